-- Tables that Citus distributes are refused by name; local ones merge beside them.  What is
-- asked of Citus is its catalog, which stands here by itself for as long as this transaction.

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
\set SHOW_CONTEXT never

BEGIN;
CREATE SCHEMA city_src;
CREATE SCHEMA "City dst";
DO $$
DECLARE
    s text;
    t text;
BEGIN
    FOREACH s IN ARRAY '{city_src,City dst}'::text[] LOOP
        FOREACH t IN ARRAY '{bridge,harbour,"Quay",tower,gate,gate_102008}'::text[] LOOP
            EXECUTE format('CREATE TABLE %I.%I (name text PRIMARY KEY)', s, t);
            EXECUTE format('INSERT INTO %I.%I VALUES (%L)', s, t, s);
        END LOOP;
    END LOOP;
END $$;

SET LOCAL allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL, partkey text,
    colocationid integer NOT NULL DEFAULT 0, repmodel "char" NOT NULL, autoconverted boolean NOT NULL DEFAULT false);
GRANT SELECT ON pg_catalog.pg_dist_partition TO PUBLIC;
SET LOCAL allow_system_table_mods = off;

-- Where nothing is distributed, everything merges, rules and all
SELECT copied FROM factmerge_merge('city_src', 'City dst', dry_run => true);
SELECT factmerge_add_rule('gates', '"City dst".gate(name)', 'SELECT name FROM "City dst".tower');
SELECT factmerge_drop_rule('gates', 'City dst');

-- The view of a rule is not passed on to other servers; what else is made meanwhile is not held back
CREATE FUNCTION city_src.say() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING '% is passed on: %', tg_tag, current_setting('citus.enable_ddl_propagation', true);
END $$;
CREATE EVENT TRIGGER city_say ON ddl_command_end WHEN TAG IN ('CREATE VIEW', 'CREATE TRIGGER') EXECUTE FUNCTION city_src.say();
SAVEPOINT before;
SELECT factmerge_add_rule('gates', '"City dst".gate(name)', 'SELECT name FROM "City dst".tower');
ROLLBACK TO before;
SET LOCAL citus.enable_ddl_propagation = on;
SELECT factmerge_add_rule('gates', '"City dst".gate(name)', 'SELECT name FROM "City dst".tower');
SHOW citus.enable_ddl_propagation;
ROLLBACK TO before;
DROP EVENT TRIGGER city_say;

-- All that is distributed, in either schema, in one error; nothing is written
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, colocationid, repmodel) VALUES
    ('"City dst".bridge', 'h', 1, 's'), ('city_src.bridge', 'h', 1, 's'), ('"City dst".harbour', 'n', 2, 't'),
    ('city_src."Quay"', 'n', 3, 's'), ('"City dst".tower', 'n', 0, 's');
SAVEPOINT before;
SELECT factmerge_merge('city_src', 'City dst');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO before;
SELECT factmerge_preview('city_src', 'City dst');
ROLLBACK TO before;
SELECT factmerge_prepare('City dst');
ROLLBACK TO before;
SELECT factmerge_verify('City dst');
ROLLBACK TO before;
SELECT factmerge_saturate('City dst');
ROLLBACK TO before;
SELECT factmerge_add_rule('gates', '"City dst".gate(name)', 'SELECT name FROM "City dst".tower');
ROLLBACK TO before;

-- Shards, too, on the server that has them
DELETE FROM pg_catalog.pg_dist_partition;
CREATE FUNCTION pg_catalog.relation_is_a_known_shard(relation regclass) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT relation::text ~ '_\d+$' $$;
SAVEPOINT before;
SELECT factmerge_merge('city_src', 'City dst');
ROLLBACK TO before;

-- What is left out is not asked for
SELECT factmerge_ignore('"City dst".gate_102008');
SELECT copied FROM factmerge_merge('city_src', 'City dst');
ROLLBACK;
