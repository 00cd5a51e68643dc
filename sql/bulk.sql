-- bulk: indexes are suspended while a merge writes much, and rebuilt
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
RESET client_min_messages;
LOAD 'factmerge';
SHOW factmerge.rebuild_indexes;
SET factmerge.rebuild_indexes = sometimes;

-- An exclusion constraint, a deferrable one, a partial index and one on an
-- expression: what REINDEX has to see to
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE PROCEDURE make_bulk() LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['bulk_src', 'bulk_dst'] LOOP
        EXECUTE format($ddl$
            DROP SCHEMA IF EXISTS %1$I CASCADE;
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.room (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, floor integer);
            CREATE TABLE %1$I.booking (
                id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                room integer NOT NULL REFERENCES %1$I.room,
                during daterange NOT NULL,
                code text UNIQUE DEFERRABLE INITIALLY DEFERRED,
                EXCLUDE USING gist (room WITH =, during WITH &&));
            CREATE INDEX room_floor_idx ON %1$I.room (floor) WHERE floor > 1;
            CREATE INDEX room_lower_idx ON %1$I.room (lower(name));
        $ddl$, schema);
    END LOOP;
END $make$;
CREATE VIEW unsound AS
SELECT indexrelid::regclass AS index, indisready, indisvalid, indcheckxmin FROM pg_index
WHERE indrelid::regclass::text LIKE 'bulk_dst.%' AND (NOT indisready OR NOT indisvalid OR indcheckxmin);
\set merge 'SELECT source_facts AS facts, in_both, copied, derived FROM factmerge_merge(''bulk_src'', ''bulk_dst'')'

SET client_min_messages = warning;
CALL make_bulk();
RESET client_min_messages;
INSERT INTO bulk_src.room (name, floor) VALUES ('red', 1), ('blue', 2), ('green', 3);
INSERT INTO bulk_src.booking (room, during, code) VALUES (1, '[2020-01-01,2020-01-05)', 'a'), (2, '[2020-01-01,2020-01-05)', 'b');
INSERT INTO bulk_dst.room (name, floor) VALUES ('blue', 2), ('grey', 4);
INSERT INTO bulk_dst.booking (room, during, code) VALUES (1, '[2020-02-01,2020-02-05)', 'c');

SET factmerge.rebuild_indexes = on;
:merge;
SELECT * FROM unsound;
-- Nothing of the guard stays, and the rebuilt indexes find every row
SELECT indexrelid::regclass AS index FROM pg_index WHERE indrelid::regclass::text LIKE 'bulk_dst.%' ORDER BY indexrelid::regclass::text COLLATE "C";
SET enable_seqscan = off;
SELECT name, factmerge_provenance FROM bulk_dst.room WHERE lower(name) IN ('blue', 'green', 'grey', 'red') ORDER BY 1;
SELECT count(*) FROM bulk_dst.room WHERE floor > 1;
SELECT b.code, r.name FROM bulk_dst.booking b JOIN bulk_dst.room r ON r.id = b.room ORDER BY 1;
RESET enable_seqscan;
-- ... in the same transaction, too
BEGIN;
INSERT INTO bulk_src.room (name, floor) VALUES ('pink', 5);
:merge;
SELECT * FROM unsound;
SELECT name FROM bulk_dst.room WHERE lower(name) = 'pink';
INSERT INTO bulk_dst.room (name, floor) VALUES ('pink', 6);
ROLLBACK;
SELECT * FROM unsound;

-- What a constraint forbids is still an error, and leaves the indexes as they were
INSERT INTO bulk_src.booking (room, during, code) VALUES (2, '[2020-02-04,2020-02-06)', 'd');
\set VERBOSITY terse
\set SHOW_CONTEXT never
:merge;
SELECT * FROM unsound;
DELETE FROM bulk_src.booking WHERE code = 'd';
INSERT INTO bulk_dst.room (name, floor) VALUES ('tall', 9);
INSERT INTO bulk_src.room (name, floor) VALUES ('Tall', 9);
CREATE UNIQUE INDEX room_lower_key ON bulk_dst.room (lower(name), (id > 0));
:merge;
SELECT * FROM unsound;
\set VERBOSITY default

-- Where a table only gets what rules derive, its indexes wait for them, but for that of the key by which facts are
-- looked up.  The functions tell the order, and what the rule sees
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS amcheck;
RESET client_min_messages;
CREATE FUNCTION entered(point integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    RAISE NOTICE 'a path to % is entered', point;
    RETURN point;
END $$;
CREATE FUNCTION paths_to(point integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    paths bigint := (SELECT count(*) FROM bulk_dst.path WHERE c = point);
BEGIN
    RAISE NOTICE 'the rule sees % path to %', paths, point;
    RETURN paths;
END $$;
CREATE PROCEDURE make_paths() LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    SET LOCAL client_min_messages = warning;
    DROP SCHEMA bulk_src, bulk_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['bulk_src', 'bulk_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
            CREATE TABLE %1$I.edge (a integer REFERENCES %1$I.point, b integer REFERENCES %1$I.point, PRIMARY KEY (a, b));
            CREATE TABLE %1$I.path (
                id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                a integer NOT NULL REFERENCES %1$I.point,
                c integer NOT NULL REFERENCES %1$I.point,
                UNIQUE (a, c));
            CREATE INDEX path_c_idx ON %1$I.path (c);
        $ddl$, schema);
    END LOOP;
    INSERT INTO bulk_src.point (name) VALUES ('p'), ('q'), ('r');
    INSERT INTO bulk_src.edge VALUES (1, 2), (2, 3);
    INSERT INTO bulk_src.path (a, c) VALUES (1, 3);
    INSERT INTO bulk_dst.point (name) VALUES ('r'), ('s'), ('t');
    INSERT INTO bulk_dst.edge VALUES (1, 2), (2, 3);
    INSERT INTO bulk_dst.path (a, c) VALUES (1, 3);
    CREATE INDEX path_entered_idx ON bulk_dst.path (entered(c));
    PERFORM factmerge_add_rule('two hops', 'bulk_dst.path(a, c)',
        'SELECT e.a, f.b FROM bulk_dst.edge e JOIN bulk_dst.edge f ON f.a = e.b WHERE public.paths_to(f.a + 0 * e.a) > 0');
END $make$;
\set paths 'SELECT a.name AS a, c.name AS c, p.factmerge_provenance FROM bulk_dst.path p JOIN bulk_dst.point a ON a.id = p.a JOIN bulk_dst.point c ON c.id = p.c ORDER BY 1, 2'
\set check 'SELECT c.relname, bt_index_check(c.oid, true) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE i.indrelid = ''bulk_dst.path''::regclass ORDER BY 1'

CALL make_paths();
SET enable_seqscan = off;
SELECT derived FROM factmerge_merge('bulk_src', 'bulk_dst', true);
SELECT * FROM unsound;
:merge;
SELECT * FROM unsound;
:paths;
SET client_min_messages = warning;
:check;
RESET client_min_messages;
-- Not so where a rule reads what it derives,
CALL make_paths();
SELECT factmerge_add_rule('more hops', 'bulk_dst.path(a, c)', 'SELECT p.a, e.b FROM bulk_dst.path p JOIN bulk_dst.edge e ON e.a = p.c');
:merge;
SELECT * FROM unsound;
-- ... where a trigger is called,
CALL make_paths();
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'the trigger sees % path to %', (SELECT count(*) FROM bulk_dst.path WHERE c = NEW.c), NEW.c;
    RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT ON bulk_dst.path FOR EACH ROW EXECUTE FUNCTION told();
:merge;
SELECT * FROM unsound;
-- ... and where another key could refuse a copied fact
CALL make_paths();
CREATE UNIQUE INDEX path_key ON bulk_dst.path ((a > 0), (id > 0));
:merge;
SELECT * FROM unsound;
-- Where a check may look facts up, nothing is suspended
SET client_min_messages = warning;
DO $$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['bulk_src', 'bulk_dst'] LOOP
        EXECUTE format($ddl$
            DROP SCHEMA %1$I CASCADE;
            CREATE SCHEMA %1$I;
            CREATE FUNCTION %1$I.is_there(n integer) RETURNS boolean LANGUAGE plpgsql AS $body$
                BEGIN RETURN n = 0 OR EXISTS (SELECT FROM %1$I.link WHERE id = n); END $body$;
            CREATE TABLE %1$I.link (id integer PRIMARY KEY, before integer CHECK (%1$I.is_there(before)));
        $ddl$, schema);
    END LOOP;
END $$;
RESET client_min_messages;
INSERT INTO bulk_src.link SELECT n, n - 1 FROM generate_series(1, 5) n;
INSERT INTO bulk_dst.link VALUES (1, 0);
:merge;
RESET enable_seqscan;

SET client_min_messages = warning;
DROP SCHEMA bulk_src, bulk_dst CASCADE;
DROP VIEW unsound;
DROP PROCEDURE make_bulk();
DROP PROCEDURE make_paths();
DROP FUNCTION entered(integer);
DROP FUNCTION paths_to(integer);
DROP FUNCTION told();
DROP EXTENSION amcheck;
DROP EXTENSION btree_gist;
