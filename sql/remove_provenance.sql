--
-- remove_provenance: the columns of the provenance go, and may come again
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
\set VERBOSITY terse

CREATE PROCEDURE make_leaving(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.stone (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
        CREATE TABLE %1$I."Mark" (stone integer REFERENCES %1$I.stone, sign text, part integer, PRIMARY KEY (stone, sign, part)) PARTITION BY LIST (part);
        CREATE TABLE %1$I.mark_1 PARTITION OF %1$I."Mark" FOR VALUES IN (1);
        CREATE TABLE %1$I.plain (id integer PRIMARY KEY);
    $ddl$, schema);
END $make$;
CREATE FUNCTION told(command text, OUT message text, OUT detail text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END $$;
CALL make_leaving('leave_src');
CALL make_leaving('leave_dst');
INSERT INTO leave_src.stone (name) VALUES ('flint'), ('chalk');
INSERT INTO leave_src."Mark" VALUES (1, 'x', 1);
INSERT INTO leave_dst.stone (name) VALUES ('slate'), ('chalk');
SELECT source_facts, in_both, copied FROM factmerge_merge('leave_src', 'leave_dst');
CREATE VIEW columns_left AS SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = 'leave_dst'::regnamespace AND attname LIKE 'factmerge%' ORDER BY 1, 2;
SELECT * FROM columns_left;

-- All of them, also where a table is no fact table any more; the facts stay
SELECT factmerge_ignore('leave_dst.plain');
SELECT factmerge_remove_provenance('leave_dst');
SELECT * FROM columns_left;
SELECT * FROM leave_dst.stone ORDER BY id;
SELECT * FROM leave_dst."Mark";
SELECT factmerge_unignore('leave_dst.plain');
-- Once more there is nothing to do; nor in the source
SELECT factmerge_remove_provenance('leave_dst');
SELECT factmerge_remove_provenance('leave_src');
-- What has been merged is known still
SELECT count(*) FROM factmerge.merge WHERE destination = 'leave_dst';
SELECT count(*) FROM factmerge.key_map WHERE fact_table = 'leave_dst.stone'::regclass;
SELECT * FROM factmerge_verify('leave_dst');

-- The next merge adds the columns again; what is mapped is in both
INSERT INTO leave_src.stone (name) VALUES ('shale');
SELECT source_facts, in_both, copied FROM factmerge_merge('leave_src', 'leave_dst');
SELECT name, factmerge_provenance FROM leave_dst.stone ORDER BY id;
SELECT count(*) FROM columns_left;

-- Something depends on a column
CREATE VIEW leave_dst.shown AS SELECT name, factmerge_provenance FROM leave_dst.stone;
SELECT factmerge_remove_provenance('leave_dst');
SELECT count(*) FROM columns_left;
DROP VIEW leave_dst.shown;
-- No such schema, no name, no right
SELECT factmerge_remove_provenance('leave_nowhere');
SELECT factmerge_remove_provenance(NULL);
CREATE ROLE regress_leave;
GRANT ALL ON SCHEMA leave_dst TO regress_leave;
GRANT ALL ON ALL TABLES IN SCHEMA leave_dst TO regress_leave;
SET ROLE regress_leave;
SELECT factmerge_remove_provenance('leave_dst');
RESET ROLE;
-- A later merge can be undone, but one whose tags are gone cannot
SELECT sum(removed) AS removed FROM factmerge_undo((SELECT max(merge_id) FROM factmerge.merge WHERE destination = 'leave_dst'));
SELECT name FROM leave_dst.stone ORDER BY 1;
SELECT min(merge_id) AS untagged FROM factmerge.merge WHERE destination = 'leave_dst' \gset
SELECT regexp_replace(message, '\d+', 'N') AS message, detail FROM told(format('SELECT factmerge_undo(%s)', :untagged));
SELECT name FROM leave_dst.stone ORDER BY 1;
SELECT factmerge_remove_provenance('leave_dst');
DROP FUNCTION told(text);
-- Columns of the user's that happen to have our names are left alone
CREATE TABLE leave_dst.own (factmerge_provenance text, factmerge_merge bigint);
SELECT factmerge_remove_provenance('leave_dst');
SELECT * FROM columns_left;

-- Rules are in the way, for their triggers would go unnoticed; DROP EXTENSION says what is
\set VERBOSITY default
SELECT factmerge_add_rule('signs "all"', 'leave_dst.plain(id)', 'SELECT part FROM "Mark"');
SELECT factmerge_remove_provenance('leave_dst');
SELECT count(*) FROM columns_left;
BEGIN;
DROP EXTENSION factmerge;
ROLLBACK;
SELECT factmerge_drop_rule('signs "all"', 'leave_dst');
SELECT factmerge_remove_provenance('leave_dst');
-- A trigger that a restored dump has left behind goes, too
CREATE TRIGGER factmerge_rules AFTER INSERT ON leave_dst.stone REFERENCING NEW TABLE AS factmerge_new
    FOR EACH STATEMENT EXECUTE FUNCTION factmerge.apply_rules();
BEGIN;
DROP EXTENSION factmerge;
ROLLBACK;
SELECT factmerge_remove_provenance('leave_dst');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'leave_dst.stone'::regclass AND NOT tgisinternal;
-- Then everything goes with the extension, key maps and all
BEGIN;
DROP EXTENSION factmerge;
SELECT relname FROM pg_class WHERE relname ~ '^(key_map|rule)_\d+$';
ROLLBACK;
-- Somebody else gets the server's answer
SET ROLE regress_leave;
DROP EXTENSION factmerge;
RESET ROLE;

DROP VIEW columns_left;
DROP SCHEMA leave_src, leave_dst CASCADE;
DROP ROLE regress_leave;
DROP PROCEDURE make_leaving;
