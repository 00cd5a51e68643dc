--
-- batches: merging in several transactions
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET check_function_bodies = off;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_harbour(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        DROP SCHEMA IF EXISTS %1$I CASCADE;
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.ship (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, tons integer);
        CREATE TABLE %1$I.berth (quay text, number integer, PRIMARY KEY (quay, number));
        CREATE TABLE %1$I.call (ship integer REFERENCES %1$I.ship, quay text, number integer, day date,
            PRIMARY KEY (ship, day), FOREIGN KEY (quay, number) REFERENCES %1$I.berth);
        -- These cannot be sliced: no key, a key that refers to itself, what refers to that
        CREATE TABLE %1$I.remark (text text);
        CREATE TABLE %1$I.company (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, owner integer REFERENCES %1$I.company);
        CREATE TABLE %1$I.charter (company integer REFERENCES %1$I.company, ship integer REFERENCES %1$I.ship, PRIMARY KEY (company, ship));
    $ddl$, schema);
END $make$;
CREATE PROCEDURE make_harbours() LANGUAGE plpgsql AS $$
BEGIN
    CALL make_harbour('harbour_src');
    CALL make_harbour('harbour_dst');
    INSERT INTO harbour_src.ship (name, tons) VALUES ('Ida', 5), ('Ole', 6), ('Eli', 7), ('Una', 8), ('Eva', 9);
    INSERT INTO harbour_src.berth VALUES ('north', 1), ('north', 2), ('south', 1);
    INSERT INTO harbour_src.call VALUES (1, 'north', 2, '2024-01-01'), (2, NULL, NULL, '2024-01-02'), (3, 'south', 1, '2024-01-02'), (5, 'north', 1, '2024-01-03');
    INSERT INTO harbour_src.remark VALUES ('calm'), ('calm'), ('windy');
    INSERT INTO harbour_src.company (name, owner) VALUES ('Sol', 2), ('Luna', NULL), ('Mar', 1);
    INSERT INTO harbour_src.charter VALUES (3, 1), (1, 4);
    INSERT INTO harbour_dst.ship (name, tons) VALUES ('Eva', 10), ('Ole', 6);
    INSERT INTO harbour_dst.berth VALUES ('north', 1);
    INSERT INTO harbour_dst.call VALUES (2, NULL, NULL, '2024-01-02');
    INSERT INTO harbour_dst.remark VALUES ('calm');
    INSERT INTO harbour_dst.company (name) VALUES ('Luna');
END $$;
\set merges 'SELECT status, fact_tables, source_facts, in_both, copied, conflicts, events, unhandled, derived FROM factmerge_history WHERE destination ~ \'harbour\' ORDER BY merged_at'
CREATE FUNCTION facts() RETURNS TABLE (fact_table text, facts text) LANGUAGE sql AS $$
    SELECT 'ship', string_agg(concat_ws(' ', name, tons, factmerge_provenance), ', ' ORDER BY name) FROM harbour_dst.ship
    UNION ALL SELECT 'berth', string_agg(concat_ws(' ', quay, number, factmerge_provenance), ', ' ORDER BY quay, number) FROM harbour_dst.berth
    UNION ALL SELECT 'call', string_agg(concat_ws(' ', name, day, quay, number, c.factmerge_provenance), ', ' ORDER BY name, day)
        FROM harbour_dst.call c JOIN harbour_dst.ship s ON s.id = ship
    UNION ALL SELECT 'remark', string_agg(concat_ws(' ', text, factmerge_provenance), ', ' ORDER BY 1) FROM (SELECT * FROM harbour_dst.remark ORDER BY text, factmerge_provenance) AS r
    UNION ALL SELECT 'company', string_agg(concat_ws(' of ', c.name, o.name) || ' ' || c.factmerge_provenance, ', ' ORDER BY c.name)
        FROM harbour_dst.company c LEFT JOIN harbour_dst.company o ON o.id = c.owner
    UNION ALL SELECT 'charter', string_agg(concat_ws(' ', c.name, s.name, h.factmerge_provenance), ', ' ORDER BY c.name)
        FROM harbour_dst.charter h JOIN harbour_dst.company c ON c.id = company JOIN harbour_dst.ship s ON s.id = ship
$$;

-- In one transaction and in the smallest batches
CALL make_harbours();
SELECT copied FROM factmerge_merge('harbour_src', 'harbour_dst');
CREATE TABLE at_once AS SELECT * FROM facts();
CALL make_harbours();
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst', 1);
SELECT * FROM facts();
SELECT count(*) AS different FROM (SELECT * FROM facts() EXCEPT SELECT * FROM at_once) AS d;
:merges;
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
SELECT source, source_key FROM factmerge_origin('harbour_dst.ship', (SELECT id::text FROM harbour_dst.ship WHERE name = 'Ida'));
SELECT count(DISTINCT xmin::text) AS transactions, count(*) AS ships FROM harbour_dst.ship WHERE factmerge_provenance = 'source';
SELECT count(*) FROM pg_class WHERE relpersistence = 't';
-- Nothing new; then something, which refers to old facts
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst');
INSERT INTO harbour_src.ship (name) VALUES ('Ada'), ('Bo');
INSERT INTO harbour_src.call VALUES (6, 'south', 1, '2024-02-01'), (1, 'south', 1, '2024-02-01');
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst', 1);
:merges;
SELECT source_facts, in_both, copied FROM factmerge_merge('harbour_src', 'harbour_dst', true);

-- Stopped on the way: what has been done stays, and the history says so
CALL make_harbours();
UPDATE harbour_dst.call SET day = '2023-12-31';
ALTER TABLE harbour_dst.call ADD CHECK (day < '2024-01-02');
\set VERBOSITY terse
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst', 1);
\set VERBOSITY default
SELECT * FROM facts();
SELECT status, source, copied FROM factmerge_history ORDER BY merged_at DESC LIMIT 1;
-- Nobody else is let in (details have the number of the merge in them)
CALL make_harbour('harbour_two');
\set VERBOSITY terse
SELECT factmerge_merge('harbour_src', 'harbour_dst');
\echo :LAST_ERROR_SQLSTATE
CALL factmerge_merge_in_batches('harbour_two', 'harbour_dst');
SELECT factmerge_forget_source('harbour_src', 'harbour_dst');
SELECT factmerge_remove_provenance('harbour_dst');
\set VERBOSITY default
SELECT outcome, facts FROM factmerge_preview('harbour_src', 'harbour_dst', 0) WHERE fact_table = 'ship';
-- Renamed, and with more facts on either side, it is gone on with
ALTER SCHEMA harbour_src RENAME TO harbour_old;
ALTER SCHEMA harbour_dst RENAME TO harbour_new;
INSERT INTO harbour_old.ship (name) VALUES ('Pia'), ('Zoe');
INSERT INTO harbour_old.call VALUES (6, 'south', 1, '2024-02-01');
INSERT INTO harbour_new.ship (name) VALUES ('Zoe');
ALTER TABLE harbour_new.call DROP CONSTRAINT call_day_check;
CALL factmerge_merge_in_batches('harbour_old', 'harbour_new', 2);
ALTER SCHEMA harbour_old RENAME TO harbour_src;
ALTER SCHEMA harbour_new RENAME TO harbour_dst;
SELECT * FROM facts();
SELECT status, source, source_facts, in_both, copied FROM factmerge_history ORDER BY merged_at DESC LIMIT 1;

-- Or it is taken back
CALL make_harbours();
ALTER TABLE harbour_dst.call ADD CHECK (day < '2024-01-03');
\set VERBOSITY terse
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst', 1);
\set VERBOSITY default
SELECT fact_table, removed, in_both FROM factmerge_undo((SELECT max(merge_id) FROM factmerge.merge));
SELECT * FROM facts();
ALTER TABLE harbour_dst.call DROP CONSTRAINT call_day_check;
SELECT copied FROM factmerge_merge('harbour_src', 'harbour_dst');
SELECT count(*) AS different FROM (SELECT * FROM facts() EXCEPT SELECT * FROM at_once) AS d;

-- Facts that go from the source meanwhile
CALL make_harbours();
ALTER TABLE harbour_dst.call ADD CHECK (day < '2024-01-03');
\set VERBOSITY terse
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst', 1);
\set VERBOSITY default
ALTER TABLE harbour_dst.call DROP CONSTRAINT call_day_check;
DELETE FROM harbour_src.charter;
DELETE FROM harbour_src.ship WHERE name = 'Una';
\set VERBOSITY terse
CALL factmerge_merge_in_batches('harbour_src', 'harbour_dst', 1);
\set VERBOSITY default

-- Schemas made anew have nothing to do with it
CALL make_harbours();
SELECT copied FROM factmerge_merge('harbour_src', 'harbour_dst');

-- What others add between batches may refer to what has been copied: it follows from both
CREATE PROCEDURE make_lines(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.stop (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text UNIQUE);
        CREATE TABLE %1$I.line (a integer REFERENCES %1$I.stop, b integer REFERENCES %1$I.stop, length integer, PRIMARY KEY (a, b));
        CREATE TABLE %1$I.change (a integer REFERENCES %1$I.stop, b integer REFERENCES %1$I.stop, PRIMARY KEY (a, b));
        CREATE TABLE %1$I.hub (stop integer PRIMARY KEY REFERENCES %1$I.stop);
        CREATE FUNCTION %1$I.find_hubs() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $body$
            BEGIN
                INSERT INTO hub SELECT x.b FROM line x JOIN line y ON y.a = x.b WHERE y.length = 100 AND NEW.a IN (x.a, y.a) ON CONFLICT DO NOTHING;
                RETURN NULL;
            END $body$;
        CREATE TRIGGER find_hubs AFTER INSERT ON %1$I.line FOR EACH ROW EXECUTE FUNCTION %1$I.find_hubs();
    $ddl$, schema);
    PERFORM factmerge_add_rule('changes', schema || '.change(a, b)', 'SELECT x.a, y.b FROM line x JOIN line y ON x.b = y.a');
END $make$;
CALL make_lines('lines_src');
CALL make_lines('lines_dst');
INSERT INTO lines_src.stop (name) SELECT 's' || n FROM generate_series(1, 40) n;
INSERT INTO lines_src.line SELECT n, n + 1, n FROM generate_series(1, 39) n;
INSERT INTO lines_dst.stop (name) VALUES ('d1'), ('d2');
INSERT INTO lines_dst.line VALUES (1, 2, 1);
ALTER TABLE lines_dst.line ADD CONSTRAINT short CHECK (length <> 25);
\set VERBOSITY terse
CALL factmerge_merge_in_batches('lines_src', 'lines_dst', 10);
\set VERBOSITY default
INSERT INTO lines_dst.line SELECT id, 1, 100 FROM lines_dst.stop WHERE name IN ('s5', 's30', 's38');
ALTER TABLE lines_dst.line DROP CONSTRAINT short;
CALL factmerge_merge_in_batches('lines_src', 'lines_dst', 10);
SELECT name FROM lines_dst.hub JOIN lines_dst.stop ON id = stop ORDER BY id;
SELECT * FROM factmerge_verify('lines_dst');
DROP SCHEMA lines_src, lines_dst CASCADE;
DROP PROCEDURE make_lines;

-- Where it cannot be called, and with what
BEGIN;
CALL factmerge_merge_in_batches('harbour_two', 'harbour_dst');
ROLLBACK;
DO $$ BEGIN CALL factmerge_merge_in_batches('harbour_two', 'harbour_top', 0); END $$;
CALL factmerge_merge_in_batches('harbour_two', NULL);
CALL factmerge_merge_in_batches('harbour_two', 'nowhere');

DROP SCHEMA harbour_src, harbour_dst, harbour_two CASCADE;
DROP TABLE at_once;
DROP FUNCTION facts;
DROP PROCEDURE make_harbour, make_harbours;
