-- search_path: what belongs to tables finds functions as in the caller's INSERT
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE SCHEMA path_app;
CREATE FUNCTION path_app.fold(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
-- It finds fold() only if path_app is on search_path
CREATE FUNCTION path_app.norm(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN fold($1); END';
CREATE FUNCTION path_app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.stamped := norm(NEW.name); RETURN NEW; END';
-- What a hostile schema holds is never what a merge means
CREATE SCHEMA path_trap;
CREATE FUNCTION path_trap.never(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR path_trap.= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = path_trap.never);
CREATE OPERATOR path_trap.<> (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = path_trap.never);
CREATE FUNCTION path_trap.never(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR path_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = path_trap.never);
CREATE OPERATOR path_trap.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = int8eq);
CREATE FUNCTION path_trap.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;

CREATE PROCEDURE make_path() LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    SET LOCAL client_min_messages = warning;
    FOREACH schema IN ARRAY ARRAY['path_src', 'path_dst'] LOOP
        EXECUTE format($ddl$
            DROP SCHEMA IF EXISTS %1$I CASCADE;
            CREATE SCHEMA %1$I;
            CREATE DOMAIN %1$I.word AS text CHECK (path_app.norm(VALUE) <> '');
            CREATE TABLE %1$I.checked (name text PRIMARY KEY CHECK (path_app.norm(name) <> ''), note text);
            CREATE TABLE %1$I.generated (name text PRIMARY KEY, folded text GENERATED ALWAYS AS (path_app.norm(name)) STORED);
            CREATE TABLE %1$I.indexed (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
            CREATE INDEX ON %1$I.indexed (path_app.norm(name));
            CREATE INDEX ON %1$I.indexed (id) WHERE path_app.norm(name) <> 'x';
            CREATE TABLE %1$I.limited (name %1$I.word PRIMARY KEY);
            CREATE TABLE %1$I.stamped (name text PRIMARY KEY, stamped text);
            CREATE TABLE %1$I.excluded (name text, at integer,
                EXCLUDE USING gist (path_app.norm(name) WITH =, at WITH =) DEFERRABLE INITIALLY DEFERRED);
            CREATE TABLE %1$I.part (n integer PRIMARY KEY, name text CHECK (path_app.norm(name) <> '')) PARTITION BY RANGE (n);
            CREATE TABLE %1$I.part_1 PARTITION OF %1$I.part DEFAULT;
        $ddl$, schema);
    END LOOP;
    CREATE TABLE path_dst.defaulted (name text PRIMARY KEY, kind text DEFAULT path_app.norm('KIND'));
    CREATE TABLE path_src.defaulted (name text PRIMARY KEY);
    CREATE TRIGGER stamp BEFORE INSERT ON path_dst.stamped FOR EACH ROW EXECUTE FUNCTION path_app.stamp();
    ALTER TABLE path_dst.stamped ENABLE ALWAYS TRIGGER stamp;
    INSERT INTO path_src.checked VALUES ('Ulm', 'a'), ('Bonn', 'b');
    INSERT INTO path_dst.checked VALUES ('Bonn', 'c');
    INSERT INTO path_src.generated VALUES ('Ulm'), ('Bonn');
    INSERT INTO path_dst.generated VALUES ('Bonn'), ('Kiel');
    INSERT INTO path_src.indexed (name) VALUES ('Ulm'), ('Bonn');
    INSERT INTO path_dst.indexed (name) VALUES ('Bonn'), ('Kiel');
    INSERT INTO path_src.limited VALUES ('Ulm'), ('Bonn');
    INSERT INTO path_dst.limited VALUES ('Bonn');
    INSERT INTO path_src.defaulted VALUES ('Ulm'), ('Bonn');
    INSERT INTO path_dst.defaulted VALUES ('Bonn');
    INSERT INTO path_src.stamped VALUES ('Ulm'), ('Bonn');
    INSERT INTO path_dst.stamped VALUES ('Bonn');
    INSERT INTO path_src.excluded VALUES ('Ulm', 1), ('Bonn', 1);
    INSERT INTO path_dst.excluded VALUES ('Bonn', 1), ('ULM', 2);
    INSERT INTO path_src.part VALUES (1, 'Ulm'), (2, 'Bonn');
    INSERT INTO path_dst.part VALUES (2, 'Bonn');
END $make$;
SET search_path = path_app, public;
CALL make_path();
RESET client_min_messages;

-- Where not even an INSERT finds it, the error says of which table it comes, and what to do
SET search_path = public;
INSERT INTO path_dst.checked VALUES ('Ulm');
\set SHOW_CONTEXT never
SELECT factmerge_merge('path_src', 'path_dst');
BEGIN;
DROP TABLE path_src.limited, path_src.generated;
SELECT factmerge_merge('path_src', 'path_dst');
ROLLBACK;
\set SHOW_CONTEXT errors
\set merge 'SELECT fact_tables, in_both, copied, conflicts FROM factmerge_merge(''path_src'', ''path_dst'')'
\set facts 'SELECT * FROM (SELECT ''checked'' AS fact_table, to_jsonb(t) - ''factmerge_merge'' AS fact FROM path_dst.checked t UNION ALL SELECT ''generated'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.generated t UNION ALL SELECT ''indexed'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.indexed t UNION ALL SELECT ''limited'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.limited t UNION ALL SELECT ''defaulted'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.defaulted t UNION ALL SELECT ''stamped'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.stamped t UNION ALL SELECT ''excluded'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.excluded t UNION ALL SELECT ''part'', to_jsonb(t) - ''factmerge_merge'' FROM path_dst.part t) AS f ORDER BY 1, 2'

-- Where it does, everything finds it: checks, generated columns, indexes, domains, defaults, triggers that always fire,
-- deferred constraints, partitions; and generated SQL finds nothing in the trap
SET search_path = path_trap, path_app, pg_catalog, public;
SELECT outcome, sum(facts) FROM factmerge_preview('path_src', 'path_dst', 1) GROUP BY outcome HAVING count(*) OPERATOR(pg_catalog.>) 0 ORDER BY 1;
SELECT copied FROM factmerge_merge('path_src', 'path_dst', true);
:merge;
SELECT current_setting('search_path');
SET search_path = path_app, public;
:facts;
SELECT factmerge_merge('path_src', 'path_dst') IS NOT NULL AS merged_again;
SELECT count(*) FROM factmerge_undo((SELECT max(merge_id) FROM factmerge_history));
SELECT fact_table, removed, in_both FROM factmerge_undo((SELECT max(merge_id) FROM factmerge_history WHERE status <> 'undone' AND destination = 'path_dst')) ORDER BY fact_table::text;

-- ... whether indexes are rebuilt or not, and in batches
CALL make_path();
SET factmerge.rebuild_indexes = on;
:merge;
SELECT name FROM path_dst.indexed WHERE norm(name) = 'ulm';
RESET factmerge.rebuild_indexes;
CALL make_path();
CALL factmerge_merge_in_batches('path_src', 'path_dst', 1);
SELECT count(*) FROM path_dst.stamped WHERE stamped = norm(name);
-- A violation is still one, and named
CALL make_path();
UPDATE path_src.excluded SET at = 2 WHERE name = 'Ulm';
\set VERBOSITY terse
:merge;
\set VERBOSITY default

-- What is declared means the same to everybody, see condition.sql
SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA path_src, path_dst, path_app, path_trap CASCADE;
DROP PROCEDURE make_path();
DROP EXTENSION btree_gist;
