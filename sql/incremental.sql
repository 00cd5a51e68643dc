--
-- incremental: a source that is merged again is matched only where it is new
--
-- Whether a fact has been matched anew is seen from a counterpart whose key somebody
-- has altered: who looks at it would find that the fact is not the same any more.
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_growing(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        DROP SCHEMA IF EXISTS %1$I CASCADE;
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.plant (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL UNIQUE, label text UNIQUE, colour text);
        CREATE TABLE %1$I.graft (stock integer REFERENCES %1$I.plant, scion integer REFERENCES %1$I.plant, year integer,
            PRIMARY KEY (stock, scion));
    $ddl$, schema);
END $make$;

-- Merges, and tells what came of it, or the error
CREATE FUNCTION merge(source name DEFAULT 'grow_src', destination name DEFAULT 'grow_dst',
    OUT facts bigint, OUT in_both bigint, OUT copied bigint, OUT conflicts bigint)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT m.source_facts, m.in_both, m.copied, m.conflicts INTO facts, in_both, copied, conflicts
    FROM factmerge_merge(source, destination) AS m;
END $$;

-- Whether the merge looks at the facts that it knows: that finds an altered key
CREATE FUNCTION looks_at_known(source name DEFAULT 'grow_src', destination name DEFAULT 'grow_dst') RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    first integer;
BEGIN
    EXECUTE format('SELECT min(id) FROM %I.plant WHERE factmerge_merge IS NOT NULL', destination) INTO first;
    EXECUTE format('UPDATE %I.plant SET name = upper(name), label = upper(label) WHERE id = $1', destination) USING first;
    PERFORM factmerge_merge(source, destination, true);
    EXECUTE format('UPDATE %I.plant SET name = lower(name), label = lower(label) WHERE id = $1', destination) USING first;
    RETURN false;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RETURN true;
END $$;

CALL make_growing('grow_src');
CALL make_growing('grow_dst');
INSERT INTO grow_src.plant (name, label, colour) VALUES ('apple', 'a', 'red'), ('quince', NULL, 'yellow'), ('pear', 'p', 'green');
INSERT INTO grow_src.graft VALUES (2, 3, 2001);
INSERT INTO grow_dst.plant (name, label, colour) VALUES ('pear', 'p', 'yellow'), ('plum', NULL, 'blue');
SELECT * FROM merge();

-- Nothing new: nothing is written, to facts or key maps or their register
CREATE FUNCTION written() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    sums text := '';
    part text;
    relation regclass;
BEGIN
    FOR relation IN
        SELECT unnest(ARRAY['grow_dst.plant', 'grow_dst.graft', 'factmerge.key_map']::regclass[])
        UNION ALL SELECT map FROM factmerge.key_map WHERE source = 'grow_src'
    LOOP
        EXECUTE format('SELECT string_agg(concat(xmin, ctid, t), '';'' ORDER BY ctid) FROM %s AS t', relation) INTO part;
        sums := concat(sums, relation, ': ', part, E'\n');
    END LOOP;
    RETURN sums;
END $$;
SELECT written() AS before \gset
SELECT * FROM merge();
SELECT :'before' LIKE '%grow_dst.plant: %red%factmerge.key_map: %;%' AS something, :'before' = written() AS the_same;
SELECT looks_at_known();

-- New facts, which refer to old ones, to the destination's and to each other; one
-- of them is in conflict
INSERT INTO grow_src.plant (name, label, colour) VALUES ('plum', NULL, 'violet'), ('medlar', 'm', 'brown');
INSERT INTO grow_src.graft VALUES (2, 5, 2002), (4, 1, 2003);
SELECT looks_at_known();
SELECT * FROM merge();
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
SELECT s.name AS stock, c.name AS scion, year, g.factmerge_provenance FROM grow_dst.graft g
    JOIN grow_dst.plant s ON s.id = stock JOIN grow_dst.plant c ON c.id = scion ORDER BY year;
SELECT name, factmerge_provenance FROM grow_dst.plant ORDER BY id;

-- Rows that have been written anew are compared with what they have been merged as
UPDATE grow_src.plant SET name = name;
SELECT looks_at_known();
SELECT * FROM merge();
SELECT looks_at_known();
UPDATE grow_src.plant SET colour = 'gold' WHERE name = 'quince';
SELECT * FROM merge();
UPDATE grow_src.plant SET colour = 'yellow' WHERE name = 'quince';
-- ... all of them, too
BEGIN;
UPDATE grow_src.graft SET year = year + 1;
SELECT * FROM merge();
ROLLBACK;
UPDATE grow_src.plant SET name = 'cydonia' WHERE name = 'quince';
SELECT * FROM merge();
UPDATE grow_src.plant SET name = 'quince' WHERE name = 'cydonia';
SELECT * FROM merge();
-- ... but a difference that was there before any merge is an old conflict
UPDATE grow_src.plant SET colour = 'green' WHERE name = 'pear';
SELECT * FROM merge();

-- A column that has been added says something of every fact, though no row has been written
ALTER TABLE grow_src.plant ADD origin text DEFAULT 'Asia';
ALTER TABLE grow_dst.plant ADD origin text;
SELECT * FROM merge();
SELECT key ->> 'id' AS id, column_name, source_value, destination_value FROM factmerge_conflicts() ORDER BY 1;
SELECT * FROM merge();
SELECT looks_at_known();
ALTER TABLE grow_src.plant DROP origin;
ALTER TABLE grow_dst.plant DROP origin;

-- What is gone, even if as many have come, and what has come with an old number
BEGIN;
DELETE FROM grow_src.graft WHERE year = 2001;
SELECT * FROM merge();
ROLLBACK;
BEGIN;
DELETE FROM grow_src.graft WHERE year = 2001;
INSERT INTO grow_src.graft VALUES (3, 1, 2004);
SELECT * FROM merge();
ROLLBACK;

-- What somebody has deleted from the destination is copied again
DELETE FROM grow_dst.graft WHERE year = 2002;
INSERT INTO grow_dst.graft VALUES (1, 2, 2005);
SELECT * FROM merge();
SELECT * FROM merge();

-- A fact that two others of the source are, one of them known, the other new
INSERT INTO grow_dst.plant (name, label) VALUES ('cherry', 'c');
INSERT INTO grow_src.plant (name, label) VALUES ('cherry', NULL);
SELECT * FROM merge();
BEGIN;
INSERT INTO grow_src.plant (name, label) VALUES ('gean', 'c');
SELECT * FROM merge();
ROLLBACK;

-- Tables that are vacuumed, clustered, rewritten or filled anew hold the same facts
VACUUM (FREEZE) grow_src.plant;
VACUUM FULL grow_src.graft;
CLUSTER grow_src.plant USING plant_name_key;
SELECT looks_at_known();
SELECT * FROM merge();
ALTER TABLE grow_src.graft ALTER year TYPE bigint;
ALTER TABLE grow_src.graft ALTER year TYPE integer;
CREATE TABLE kept AS SELECT * FROM grow_src.graft;
TRUNCATE grow_src.graft;
INSERT INTO grow_src.graft SELECT * FROM kept;
INSERT INTO grow_src.graft VALUES (3, 1, 2006);
SELECT * FROM merge();
SELECT * FROM merge();

-- A table that takes another's place, with rows that are as old, and as many; first
-- beside the other, then instead of it
CREATE TABLE grow_src.other (LIKE grow_src.graft INCLUDING ALL);
CREATE TABLE grow_src.another (LIKE grow_src.graft INCLUDING ALL);
INSERT INTO grow_src.other SELECT * FROM grow_src.graft WHERE year <> 2006;
INSERT INTO grow_src.other VALUES (1, 5, 2007);
INSERT INTO grow_src.another SELECT * FROM grow_src.graft WHERE year <> 2006;
INSERT INTO grow_src.another VALUES (4, 5, 2008);
SELECT factmerge_ignore('grow_src.other');
SELECT factmerge_ignore('grow_src.another');
INSERT INTO grow_src.plant (name) VALUES ('rowan');
SELECT * FROM merge();
ALTER TABLE grow_src.graft RENAME TO gone;
ALTER TABLE grow_src.other RENAME TO graft;
SELECT factmerge_unignore('grow_src.graft');
SELECT factmerge_ignore('grow_src.gone');
SELECT * FROM merge();
DROP TABLE grow_src.gone;
SELECT * FROM merge();
BEGIN;
DROP TABLE grow_src.graft;
ALTER TABLE grow_src.another RENAME TO graft;
SELECT factmerge_unignore('grow_src.graft');
SELECT * FROM merge();
ROLLBACK;
DROP TABLE grow_src.another;

-- Partitions come and go with old rows, so all of a partitioned table is matched
CREATE TABLE grow_src.leaf (name text PRIMARY KEY) PARTITION BY LIST (name);
CREATE TABLE grow_src.leaf_a PARTITION OF grow_src.leaf FOR VALUES IN ('a');
CREATE TABLE grow_src.leaf_b PARTITION OF grow_src.leaf FOR VALUES IN ('b');
CREATE TABLE grow_dst.leaf (name text PRIMARY KEY);
INSERT INTO grow_src.leaf VALUES ('a'), ('b');
SELECT * FROM merge();
ALTER TABLE grow_src.leaf DETACH PARTITION grow_src.leaf_b;
CREATE TABLE leaf_c (name text NOT NULL);
INSERT INTO leaf_c VALUES ('c');
SELECT factmerge_ignore('grow_src.leaf_b');
SELECT * FROM merge();
ALTER TABLE leaf_c SET SCHEMA grow_src;
ALTER TABLE grow_src.leaf ATTACH PARTITION grow_src.leaf_c FOR VALUES IN ('c');
ALTER TABLE grow_src.leaf ATTACH PARTITION grow_src.leaf_b FOR VALUES IN ('b');
SELECT * FROM merge();

-- Sources take turns; then what they have met moves on to another destination
CALL make_growing('grow_two');
INSERT INTO grow_two.plant (name, colour) VALUES ('apple', 'red'), ('olive', 'green');
INSERT INTO grow_two.graft VALUES (1, 2, 2008);
SELECT * FROM merge('grow_two');
SELECT looks_at_known(), looks_at_known('grow_two');
CALL make_growing('grow_top');
CREATE TABLE grow_top.leaf (name text PRIMARY KEY);
SELECT * FROM merge('grow_dst', 'grow_top');
INSERT INTO grow_two.plant (name) VALUES ('fig'), ('plum');
INSERT INTO grow_two.graft VALUES (1, 3, 2009), (1, 4, 2010);
SELECT * FROM merge('grow_two');
SELECT * FROM merge('grow_dst', 'grow_top');
SELECT looks_at_known('grow_dst', 'grow_top');
SELECT name, source, source_key FROM grow_top.plant, factmerge_origin('grow_top.plant', id::text) WHERE name = 'fig';
SELECT count(*) AS facts, count(DISTINCT (s.name, c.name)) AS different FROM grow_top.graft g
    JOIN grow_top.plant s ON s.id = stock JOIN grow_top.plant c ON c.id = scion;

-- An undone merge is no base to go on from
INSERT INTO grow_two.plant (name) VALUES ('lime');
SELECT * FROM merge('grow_two');
SELECT fact_table, removed, in_both FROM factmerge_undo((SELECT max(merge_id) FROM factmerge.merge));
SELECT * FROM merge('grow_two');
SELECT looks_at_known('grow_two');

-- Nor are columns that have been taken away
SELECT factmerge_remove_provenance('grow_dst');
INSERT INTO grow_two.plant (name) VALUES ('yew');
SELECT * FROM merge('grow_two');
SELECT * FROM merge('grow_two');
SELECT looks_at_known('grow_two');

-- Transactions of another cluster, or of ages ago or to come, are not comparable
SELECT count(horizon) AS horizons, count(DISTINCT system_identifier) AS clusters FROM factmerge.key_map WHERE source = 'grow_two';
BEGIN;
UPDATE factmerge.key_map SET system_identifier = system_identifier + 1 WHERE source = 'grow_two';
SELECT looks_at_known('grow_two');
ROLLBACK;
BEGIN;
UPDATE factmerge.key_map SET horizon = (horizon::text::bigint + 1000000)::text::xid8 WHERE source = 'grow_two';
SELECT looks_at_known('grow_two');
ROLLBACK;
SELECT factmerge.is_before('3', '4'), factmerge.is_before('4', '4'), factmerge.is_before('5', '4'),
    factmerge.is_before('4294967295', '4294967300'), factmerge.is_before('3', '4294967295'), factmerge.is_before('2', '4');

-- A copy that has been edited is no fact that has been written anew, even if all of it
-- is one transaction; but what comes after it is
BEGIN;
INSERT INTO grow_two.plant (name, colour) VALUES ('teak', 'brown'), ('sloe', 'blue');
SELECT * FROM merge('grow_two');
UPDATE grow_dst.plant SET colour = 'black' WHERE name IN ('teak', 'sloe');
SELECT * FROM merge('grow_two');
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts() WHERE source_value IN ('brown', 'blue');
SAVEPOINT later;
UPDATE grow_two.plant SET colour = 'white' WHERE name = 'sloe';
SELECT * FROM merge('grow_two');
ROLLBACK;

-- A dry run does the same, and leaves no trace
INSERT INTO grow_two.plant (name) VALUES ('box');
SELECT source_facts, in_both, copied FROM factmerge_merge('grow_two', 'grow_dst', true);
SELECT outcome, facts FROM factmerge_preview('grow_two', 'grow_dst', 0) WHERE fact_table = 'plant';
SELECT * FROM merge('grow_two');
SELECT count(*) FROM pg_class WHERE relname LIKE 'factmerge\_fresh%';

-- What is new joins old facts as the destination has them, who may tell them otherwise
CREATE PROCEDURE make_ladder(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.rung (name text PRIMARY KEY, height integer);
        CREATE TABLE %1$I.step (below text REFERENCES %1$I.rung, above text REFERENCES %1$I.rung, PRIMARY KEY (below, above));
    $ddl$, schema);
END $make$;
CALL make_ladder('ladder_src');
CALL make_ladder('ladder_dst');
INSERT INTO ladder_src.rung VALUES ('a', 1);
INSERT INTO ladder_dst.rung VALUES ('a', 5);
SELECT factmerge_add_rule('step', 'ladder_dst.step(below, above)',
    'SELECT b.name, a.name FROM ladder_dst.rung b JOIN ladder_dst.rung a ON a.height = b.height + 1');
SELECT * FROM merge('ladder_src', 'ladder_dst');
INSERT INTO ladder_src.rung VALUES ('b', 2), ('c', 6);
INSERT INTO ladder_src.step VALUES ('a', 'b');
SELECT * FROM merge('ladder_src', 'ladder_dst');
SELECT below, above, factmerge_provenance FROM ladder_dst.step ORDER BY above;

DROP PROCEDURE make_ladder;
DROP SCHEMA ladder_src, ladder_dst CASCADE;
DROP SCHEMA grow_src, grow_dst, grow_two, grow_top CASCADE;
DROP TABLE kept;
DROP PROCEDURE make_growing;
DROP FUNCTION merge, looks_at_known, written;
