--
-- conflicts: the same fact, told differently; the destination's telling stays
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET DateStyle = ISO;

CREATE PROCEDURE make_conflicts()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['conf_src', 'conf_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.town (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, people integer);
            CREATE TABLE %1$I.person (
                first_name text, last_name text, born date, town integer REFERENCES %1$I.town,
                notes json, weight numeric, "Odd name" text, initials text GENERATED ALWAYS AS (left(first_name, 1) || left("Odd name", 1)) STORED,
                PRIMARY KEY (last_name, first_name)
            );
        $ddl$, schema);
    END LOOP;
END
$make$;
CALL make_conflicts();
INSERT INTO conf_src.town (name, people) VALUES ('Rome', 100), ('Paris', 200), ('Oslo', NULL);
INSERT INTO conf_dst.town (name, people) VALUES ('Oslo', 300), ('Rome', 101), ('Bern', 1), ('Paris', 200);
INSERT INTO conf_src.person VALUES
    ('Ada', 'A', '1815-12-10', 1, '{"a": 1}', 50.0, 'x'),       -- all the same, if one follows the reference
    ('Bob', 'B', '1900-01-01', 1, '{"a": 1}', 50.5, 'x'),       -- all different
    ('Cid', 'C', NULL, NULL, NULL, NULL, NULL),                 -- the source knows nothing
    ('Dot', 'D', '1901-01-01', 2, '{"a": 1}', 60, 'y'),         -- the destination knows nothing
    ('Eve', 'E', '1902-01-01', 3, '{}', 60, 'y'),               -- only the source has her
    ('Fay', 'F', NULL, NULL, NULL, NULL, NULL);                 -- nobody knows anything
INSERT INTO conf_dst.person VALUES
    ('Ada', 'A', '1815-12-10', 2, '{"a": 1}', 50, 'x'),
    ('Bob', 'B', '1900-01-02', 4, '{"a":1}', 50.6, 'X'),
    ('Cid', 'C', '1900-01-01', 1, '{}', 1, 'x'),
    ('Dot', 'D', NULL, NULL, NULL, NULL, NULL),
    ('Fay', 'F', NULL, NULL, NULL, NULL, NULL),
    ('Gus', 'G', NULL, NULL, NULL, NULL, NULL);
SELECT md5(string_agg(p::text, ',' ORDER BY p::text)) AS persons FROM conf_dst.person p \gset before_
SELECT in_both, copied, conflicts FROM factmerge_merge('conf_src', 'conf_dst', dry_run => true);
SELECT count(*) FROM factmerge.conflict WHERE fact_table::text LIKE 'conf%';
SELECT merge_id AS first, in_both, copied, conflicts FROM factmerge_merge('conf_src', 'conf_dst') \gset
\echo :in_both :copied :conflicts
-- Each differing column is one conflict; references compare as what they point
-- at, and are shown as the destination would write them
SELECT fact_table, key, column_name, source_value, destination_value FROM factmerge_conflicts();
SELECT fact_table, conflicts FROM factmerge_report();
-- No destination fact has been altered
SELECT md5(string_agg(row(first_name, last_name, born, town, notes, weight, "Odd name", initials)::text, ','
                      ORDER BY row(first_name, last_name, born, town, notes, weight, "Odd name", initials)::text)) = :'before_persons' AS unchanged
FROM conf_dst.person WHERE factmerge_provenance <> 'source';
SELECT first_name, factmerge_provenance FROM conf_dst.person ORDER BY 1;
SELECT name, people, factmerge_provenance FROM conf_dst.town ORDER BY 1;

-- Merged again, what has been met is no news; a fact that was copied is no conflict
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
SELECT count(*) FROM factmerge_conflicts();
SELECT count(*) FROM factmerge_conflicts(:first);
-- What the source says otherwise afterwards of a fact that is in both is one, once; and
-- so it is where all facts are looked at again
UPDATE conf_src.person SET weight = 62, notes = '{"a": 2}' WHERE first_name = 'Ada';
UPDATE conf_src.person SET weight = weight WHERE first_name = 'Bob';
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst', dry_run => true);
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
UPDATE conf_src.person SET weight = weight;
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
BEGIN;
SELECT factmerge_set_sameness('conf_dst.town', key => '{name}');
UPDATE conf_dst.town SET people = 7 WHERE name = 'Paris';
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
CREATE TABLE conf_src.plain (name text, size integer);
CREATE TABLE conf_dst.plain (LIKE conf_src.plain);
SELECT factmerge_set_sameness('conf_dst.plain', key => '{name}');
INSERT INTO conf_src.plain VALUES ('a', 1), ('b', 1);
INSERT INTO conf_dst.plain VALUES ('a', 2);
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
UPDATE conf_dst.plain SET size = 2 WHERE name = 'b';
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
ROLLBACK;
-- It can be refused, too
UPDATE conf_src.person SET weight = 63 WHERE first_name = 'Ada';
BEGIN;
SET LOCAL factmerge.on_conflict = error;
SELECT conflicts FROM factmerge_merge('conf_src', 'conf_dst');
ROLLBACK;
UPDATE conf_src.person SET weight = 62 WHERE first_name = 'Ada';

-- A copied fact that the source tells differently afterwards
BEGIN;
UPDATE conf_src.person SET weight = 61 WHERE first_name = 'Eve';
SELECT copied, conflicts FROM factmerge_merge('conf_src', 'conf_dst');
ROLLBACK;
-- ... or that a trigger has made something else of: that is a difference, too
CREATE FUNCTION conf_dst.weigh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.weight := NEW.weight + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER weigh BEFORE INSERT ON conf_dst.person FOR EACH ROW EXECUTE FUNCTION conf_dst.weigh();
ALTER TABLE conf_dst.person ENABLE ALWAYS TRIGGER weigh;
INSERT INTO conf_src.person (first_name, last_name, weight) VALUES ('Una', 'U', 50);
SELECT copied, conflicts FROM factmerge_merge('conf_src', 'conf_dst');
UPDATE conf_src.person SET weight = 50 WHERE first_name = 'Una';
SELECT copied, conflicts FROM factmerge_merge('conf_src', 'conf_dst');
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
ALTER TABLE conf_dst.person DISABLE TRIGGER weigh;

-- Facts that the whole row identifies do not differ
CREATE TABLE conf_src.word (word text, page integer);
CREATE TABLE conf_dst.word (word text, page integer);
INSERT INTO conf_src.word VALUES ('a', 1);
INSERT INTO conf_dst.word VALUES ('a', 2);
SELECT merge_id IS NOT NULL AS merged FROM factmerge_merge('conf_src', 'conf_dst');
SELECT fact_table, copied, conflicts FROM factmerge_report() WHERE fact_table = 'word';

-- The key is shown even where a fact is addressed by none
CREATE TABLE conf_src.loose (code text, value text);
CREATE TABLE conf_dst.loose (code text UNIQUE, value text);
INSERT INTO conf_src.loose VALUES ('a', '1'), ('b', '1');
INSERT INTO conf_dst.loose VALUES ('a', '2');
SELECT merge_id IS NOT NULL AS merged FROM factmerge_merge('conf_src', 'conf_dst');
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts() WHERE fact_table = 'conf_dst.loose'::regclass;

-- Conflicts outlive the table that they are about, without breaking anything
SELECT max(merge_id) AS last FROM factmerge.merge \gset
DROP SCHEMA conf_src, conf_dst CASCADE;
SELECT count(*) FROM factmerge_conflicts(:last);
DROP PROCEDURE make_conflicts;
