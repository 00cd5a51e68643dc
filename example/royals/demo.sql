--
-- Two genealogists merge their databases.
--
-- Run with psql in an empty database, with the extension factmerge installed:
--
--     createdb royals && psql -X -d royals -f demo.sql
--
\set QUIET on
\set ON_ERROR_STOP on
\pset pager off
\pset footer off
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS factmerge;

\set schema british
\ir schema.sql
\ir british.sql
\set schema danish
\ir schema.sql
\ir danish.sql

\echo
\echo Two trees: what the genealogists entered, and what their triggers derived
\echo =========================================================================
SELECT tree,
       person AS persons,
       marriage AS marriages,
       parentage,
       sibling AS siblings,
       ancestor AS ancestors
FROM (SELECT 'british' AS tree,
             (SELECT count(*) FROM british.person) AS person,
             (SELECT count(*) FROM british.marriage) AS marriage,
             (SELECT count(*) FROM british.parentage) AS parentage,
             (SELECT count(*) FROM british.sibling) AS sibling,
             (SELECT count(*) FROM british.ancestor) AS ancestor
      UNION ALL
      SELECT 'danish',
             (SELECT count(*) FROM danish.person),
             (SELECT count(*) FROM danish.marriage),
             (SELECT count(*) FROM danish.parentage),
             (SELECT count(*) FROM danish.sibling),
             (SELECT count(*) FROM danish.ancestor)) AS trees;

\echo Alexandra is in both, under two numbers; her parents are in one, her grandchildren in the other
\echo ==============================================================================================
SELECT 'british' AS tree,
       person.person_id,
       person.name,
       (SELECT count(*) FROM british.ancestor WHERE descendant = person_id) AS ancestors,
       (SELECT count(*) FROM british.ancestor WHERE ancestor = person_id) AS descendants
FROM british.person
WHERE name = 'Alexandra of Denmark'
UNION ALL
SELECT 'danish',
       person.person_id,
       person.name,
       (SELECT count(*) FROM danish.ancestor WHERE descendant = person_id),
       (SELECT count(*) FROM danish.ancestor WHERE ancestor = person_id)
FROM danish.person
WHERE name = 'Alexandra of Denmark';

\echo 'SELECT * FROM factmerge_merge(''danish'', ''british'')'
\echo =================================================
\x on
SELECT * FROM factmerge_merge('danish', 'british');
\x off

\echo factmerge_report(): the same by table
\echo =====================================
SELECT fact_table,
       source_facts,
       in_both,
       copied,
       conflicts,
       events,
       skipped_categorically + skipped_in_both + skipped_friends_in_both + skipped_one_sided AS skipped,
       unhandled,
       replayed,
       derived
FROM factmerge_report();

\echo Ancestors that neither tree knew (1: parent, 2: grandparent, 3: great-grandparent, ...)
\echo =====================================================================================
SELECT descendant.name AS descendant,
       ancestor.name AS ancestor,
       string_agg(line.generations::text, ' and ' ORDER BY line.generations) AS generations
FROM british.ancestor AS line
JOIN british.person AS descendant ON descendant.person_id = line.descendant
JOIN british.person AS ancestor ON ancestor.person_id = line.ancestor
JOIN (VALUES (1, 'Charles III', 'Christian IX of Denmark'),
             (2, 'Charles III', 'Nicholas I of Russia'),
             (3, 'George of Wales', 'Frederik V of Denmark'),
             (4, 'Frederik X of Denmark', 'Victoria'),
             (5, 'Frederik X of Denmark', 'George II'),
             (6, 'Harald V of Norway', 'Victoria'),
             (7, 'Felipe VI of Spain', 'Victoria'),
             (8, 'Carl XVI Gustaf of Sweden', 'Wilhelm of Glücksburg'),
             (9, 'Nicholas II of Russia', 'Charles II of Mecklenburg-Strelitz'),
             (10, 'Christian IX of Denmark', 'George II')
     ) AS wanted (position, descendant, ancestor)
    ON (wanted.descendant, wanted.ancestor) = (descendant.name, ancestor.name)
WHERE line.factmerge_provenance = 'derived'
GROUP BY wanted.position, descendant.name, ancestor.name
ORDER BY wanted.position;

\echo How Charles III descends from Christian IX, and who knew which step
\echo ===================================================================
WITH RECURSIVE path (generation, person, line, known) AS (
    SELECT 0, person_id, name, ''
    FROM british.person
    WHERE name = 'Charles III'
    UNION ALL
    SELECT path.generation + 1,
           parentage.parent,
           path.line || ' < ' || parent.name,
           path.known || CASE parentage.factmerge_provenance
                             WHEN 'source' THEN 'D'
                             WHEN 'destination' THEN 'B'
                             ELSE '='
                         END
    FROM path
    JOIN british.parentage ON parentage.child = path.person
    JOIN british.person AS parent ON parent.person_id = parentage.parent
)
SELECT path.line AS "child < parent < ...",
       path.known AS "British, Danish, =both"
FROM path
JOIN british.person ON person.person_id = path.person
WHERE person.name = 'Christian IX of Denmark'
ORDER BY path.generation;

\echo Brothers and sisters that neither tree knew
\echo ===========================================
SELECT elder.name AS elder,
       younger.name AS younger
FROM british.sibling
JOIN british.person AS elder ON elder.person_id = sibling.person
JOIN british.person AS younger ON younger.person_id = sibling.sibling
WHERE sibling.factmerge_provenance = 'derived'
  AND elder.born < younger.born
ORDER BY elder.born, younger.born;

\echo factmerge_conflicts(): where the trees disagree about a fact; the destination keeps its word
\echo ============================================================================================
SELECT conflict.fact_table,
       coalesce(person.name, husband.name || ' and ' || wife.name) AS fact,
       conflict.column_name,
       conflict.source_value,
       conflict.destination_value
FROM factmerge_conflicts() AS conflict
LEFT JOIN british.person
    ON conflict.fact_table = 'british.person'::regclass
   AND person.person_id = (conflict.key ->> 'person_id')::bigint
LEFT JOIN british.marriage
    ON conflict.fact_table = 'british.marriage'::regclass
   AND marriage.marriage_id = (conflict.key ->> 'marriage_id')::bigint
LEFT JOIN british.person AS husband ON husband.person_id = marriage.husband
LEFT JOIN british.person AS wife ON wife.person_id = marriage.wife
ORDER BY fact;
