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
-- The British tree again, to see what a merge makes of it with nothing declared
\set schema undeclared
\ir schema.sql
\ir british.sql

\echo
\echo Two trees: what the genealogists entered, and what their triggers derived
\echo =========================================================================
SELECT tree,
       person AS persons,
       place AS places,
       marriage AS marriages,
       parentage,
       sibling AS siblings,
       ancestor AS ancestors
FROM (SELECT 'british' AS tree,
             (SELECT count(*) FROM british.person) AS person,
             (SELECT count(*) FROM british.place) AS place,
             (SELECT count(*) FROM british.marriage) AS marriage,
             (SELECT count(*) FROM british.parentage) AS parentage,
             (SELECT count(*) FROM british.sibling) AS sibling,
             (SELECT count(*) FROM british.ancestor) AS ancestor
      UNION ALL
      SELECT 'danish',
             (SELECT count(*) FROM danish.person),
             (SELECT count(*) FROM danish.place),
             (SELECT count(*) FROM danish.marriage),
             (SELECT count(*) FROM danish.parentage),
             (SELECT count(*) FROM danish.sibling),
             (SELECT count(*) FROM danish.ancestor)) AS trees;

\echo Alexandra is in both; her parents are in one, her grandchildren in the other
\echo ============================================================================
SELECT 'british' AS tree,
       person_id,
       name,
       born,
       (SELECT count(*) FROM british.ancestor WHERE descendant = person_id) AS ancestors,
       (SELECT count(*) FROM british.ancestor WHERE ancestor = person_id) AS descendants
FROM british.person
WHERE name = 'Alexandra of Denmark'
UNION ALL
SELECT 'danish',
       person_id,
       name,
       born,
       (SELECT count(*) FROM danish.ancestor WHERE descendant = person_id),
       (SELECT count(*) FROM danish.ancestor WHERE ancestor = person_id)
FROM danish.person
WHERE name = 'Alexandra af Danmark';

\echo Merged with nothing declared: who is spelled or dated differently stays two persons
\echo ===================================================================================
SELECT in_both, copied, conflicts, replayed, derived
FROM factmerge_merge('danish', 'undeclared');

SELECT child.name AS "child with too many parents",
       string_agg(parent.name, ', ' ORDER BY parentage.factmerge_provenance, parent.name) AS parents
FROM undeclared.parentage
JOIN undeclared.person AS child ON child.person_id = parentage.child
JOIN undeclared.person AS parent ON parent.person_id = parentage.parent
GROUP BY child.person_id
HAVING count(*) > 2
ORDER BY child.born
LIMIT 4;

\echo Now declared (sameness.sql): who is the same although not everything is equal
\echo =============================================================================
\set schema british
\o /dev/null
\ir sameness.sql
\o
SELECT fact_table, sameness
FROM factmerge_tables('british');

\echo 'factmerge_preview(''danish'', ''british''): what a merge would make of it; nothing is written'
\echo ===========================================================================================
SELECT fact_table,
       sum(facts) FILTER (WHERE outcome <> 'conflict') AS facts,
       sum(facts) FILTER (WHERE outcome = 'in both') AS in_both,
       sum(facts) FILTER (WHERE outcome = 'copied') AS copied,
       sum(facts) FILTER (WHERE outcome = 'conflict') AS conflict
FROM (SELECT fact_table, outcome, facts, position
      FROM factmerge_preview('danish', 'british', 0)
          WITH ORDINALITY AS preview (fact_table, outcome, facts, source_fact, destination_fact, position)
     ) AS preview
GROUP BY fact_table
ORDER BY min(position);

\echo '... and the first persons that it would unite although they differ'
\echo ==================================================================
SELECT source_fact ->> 'name' AS danish_name,
       source_fact ->> 'born' AS danish_birthday,
       destination_fact ->> 'name' AS british_name,
       destination_fact ->> 'born' AS british_birthday
FROM factmerge_preview('danish', 'british', 10)
WHERE fact_table = 'person' AND outcome = 'conflict';

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
       string_agg(line.generations::text, ' and ' ORDER BY line.generations) AS generations,
       coalesce((SELECT string_agg(known.generations::text, ' and ' ORDER BY known.generations)
                 FROM undeclared.ancestor AS known
                 JOIN undeclared.person AS younger ON younger.person_id = known.descendant
                 JOIN undeclared.person AS elder ON elder.person_id = known.ancestor
                 WHERE (younger.name, elder.name) = (descendant.name, ancestor.name)), '-') AS undeclared
FROM british.ancestor AS line
JOIN british.person AS descendant ON descendant.person_id = line.descendant
JOIN british.person AS ancestor ON ancestor.person_id = line.ancestor
JOIN (VALUES (1, 'Charles III', 'Christian IX af Danmark'),
             (2, 'Charles III', 'Nikolaj I af Rusland'),
             (3, 'George of Wales', 'Frederick V of Denmark'),
             (4, 'Frederik X af Danmark', 'Victoria'),
             (5, 'Frederik X af Danmark', 'George II'),
             (6, 'Harald V af Norge', 'Victoria'),
             (7, 'Felipe VI af Spanien', 'Victoria'),
             (8, 'Carl XVI Gustaf of Sweden', 'Wilhelm af Glücksborg'),
             (9, 'Nicholas II of Russia', 'Charles II of Mecklenburg-Strelitz'),
             (10, 'Christian IX af Danmark', 'George II')
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
WHERE person.name = 'Christian IX af Danmark'
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

\echo factmerge_conflicts(): persons that are one although the trees differ; the destination keeps its word
\echo ====================================================================================================
SELECT person.name,
       max(source_value) FILTER (WHERE column_name = 'name') AS danish_name,
       max(destination_value) FILTER (WHERE column_name = 'born') AS born,
       max(source_value) FILTER (WHERE column_name = 'born') AS danish_birthday,
       max(place.name) FILTER (WHERE column_name = 'birthplace') AS danish_birthplace
FROM factmerge_conflicts() AS conflict
JOIN british.person ON person.person_id = (conflict.key ->> 'person_id')::bigint
LEFT JOIN british.place
    ON conflict.column_name = 'birthplace'
   AND place.place_id::text = conflict.source_value
WHERE conflict.fact_table = 'british.person'::regclass
GROUP BY person.person_id
ORDER BY person.born;

\echo ... and weddings: the same couple, on another day
\echo =================================================
SELECT husband.name AS husband,
       wife.name AS wife,
       conflict.destination_value AS married,
       conflict.source_value AS "Danish date"
FROM factmerge_conflicts() AS conflict
JOIN british.marriage ON marriage.marriage_id = (conflict.key ->> 'marriage_id')::bigint
JOIN british.person AS husband ON husband.person_id = marriage.husband
JOIN british.person AS wife ON wife.person_id = marriage.wife
WHERE conflict.fact_table = 'british.marriage'::regclass
ORDER BY marriage.married;
