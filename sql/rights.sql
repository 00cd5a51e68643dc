--
-- rights: a merge runs with its caller's, and whatever the search_path
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
-- Roles outlive a run that failed
DROP ROLE IF EXISTS regress_factmerge_owner, regress_factmerge_member, regress_factmerge_source, regress_factmerge_reader;
CREATE ROLE regress_factmerge_owner;
CREATE ROLE regress_factmerge_member IN ROLE regress_factmerge_owner;
CREATE ROLE regress_factmerge_source;
CREATE ROLE regress_factmerge_reader;

CREATE PROCEDURE make_rights()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS rights_src CASCADE;
    DROP SCHEMA IF EXISTS rights_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['rights_src', 'rights_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I AUTHORIZATION %2$I;
            SET LOCAL ROLE %2$I;
            CREATE TABLE %1$I.person (id serial PRIMARY KEY, name text UNIQUE, secret text);
            CREATE TABLE %1$I.deed (person integer REFERENCES %1$I.person, deed text, PRIMARY KEY (person, deed));
            CREATE TABLE %1$I.fame (person integer REFERENCES %1$I.person, deeds text, PRIMARY KEY (person, deeds));
            CREATE FUNCTION %1$I.become_famous() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN
                INSERT INTO %1$I.fame
                SELECT NEW.person, least(NEW.deed, deed) || ' and ' || greatest(NEW.deed, deed)
                FROM %1$I.deed WHERE person = NEW.person AND deed <> NEW.deed ON CONFLICT DO NOTHING;
                RETURN NULL;
            END $f$;
            CREATE TRIGGER become_famous AFTER INSERT ON %1$I.deed FOR EACH ROW EXECUTE FUNCTION %1$I.become_famous();
            RESET ROLE;
        $ddl$, schema, CASE schema WHEN 'rights_src' THEN 'regress_factmerge_source' ELSE 'regress_factmerge_owner' END);
    END LOOP;
    INSERT INTO rights_src.person (name, secret) VALUES ('Ada', 'a'), ('Bob', 'b');
    INSERT INTO rights_src.deed VALUES (1, 'wrote'), (2, 'sang');
    INSERT INTO rights_dst.person (name, secret) VALUES ('Cid', 'c'), ('Ada', 'A');
    INSERT INTO rights_dst.deed VALUES (2, 'dug');
    GRANT USAGE ON SCHEMA rights_src, rights_dst TO regress_factmerge_owner, regress_factmerge_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA rights_src TO regress_factmerge_owner;
END
$make$;

\set merge 'SELECT in_both, copied, conflicts, replayed, derived FROM factmerge_merge(\'rights_src\', \'rights_dst\')'

-- The owner of the destination who may read the source; nobody is a superuser
CALL make_rights();
SET ROLE regress_factmerge_owner;
:merge;
SELECT name, deed, d.factmerge_provenance FROM rights_dst.deed d JOIN rights_dst.person ON id = person ORDER BY 1, 2;
SELECT name, deeds, f.factmerge_provenance FROM rights_dst.fame f JOIN rights_dst.person ON id = person ORDER BY 1, 2;
SELECT source, provenance, source_key FROM factmerge_origin('rights_dst.person', 2);
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
SELECT fact_table, copied FROM factmerge_report();
SELECT fact_table, fact FROM factmerge_verify('rights_dst');
SELECT merged_by FROM factmerge.merge WHERE destination = 'rights_dst' ORDER BY merge_id DESC LIMIT 1;
SELECT current_user, current_setting('session_replication_role') AS replication_role;
-- ... or a member of the owner's role, for a dry run, and preparing
RESET ROLE;
CALL make_rights();
SET ROLE regress_factmerge_member;
SELECT factmerge_prepare('rights_dst');
SELECT in_both, copied FROM factmerge_merge('rights_src', 'rights_dst', dry_run => true);
:merge;
RESET ROLE;
-- The key maps are the owner's, as the facts are
SELECT DISTINCT relowner::regrole FROM factmerge.key_map k JOIN pg_class ON pg_class.oid = map
WHERE fact_table::text LIKE 'rights%' AND fact_table IN (SELECT oid FROM pg_class);
-- What factmerge keeps is nobody's to write, and conflicts are not to be read
SET ROLE regress_factmerge_owner;
INSERT INTO factmerge.merge (source, destination, merged_by, merged_at) VALUES ('a', 'b', 'c', now());
DELETE FROM factmerge.merge_table;
SELECT count(*) FROM factmerge.conflict;
INSERT INTO factmerge.handler VALUES ('rights_dst.deed', 'pg_catalog.now', 0, 'any');
INSERT INTO factmerge.key_map VALUES ('x', 'rights_dst.deed', 'pg_class', '{a}');
CREATE TABLE factmerge.mine ();
RESET ROLE;

-- A reader: the report is everybody's, the values of facts only of those who
-- may read them
SET ROLE regress_factmerge_reader;
SELECT fact_table, conflicts FROM factmerge_report() WHERE conflicts > 0;
SELECT key FROM factmerge_conflicts();
\echo :LAST_ERROR_SQLSTATE
SELECT source FROM factmerge_origin('rights_dst.person', 2);
SELECT fact_table FROM factmerge_tables('rights_dst') ORDER BY position;
SELECT count(*) > 0 AS friends FROM factmerge_friends('rights_dst');
RESET ROLE;
GRANT SELECT (id) ON rights_dst.person TO regress_factmerge_reader;
SET ROLE regress_factmerge_reader;
SELECT key FROM factmerge_conflicts();
RESET ROLE;
GRANT SELECT ON rights_dst.person TO regress_factmerge_reader;
SET ROLE regress_factmerge_reader;
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
-- It owns nothing, so that it can neither merge, verify nor declare
:merge;
\echo :LAST_ERROR_SQLSTATE
SELECT fact_table FROM factmerge_verify('rights_dst');
SELECT factmerge_ignore_trigger('rights_dst.deed', 'become_famous');
SELECT factmerge_unignore_trigger('rights_dst.deed', 'become_famous');
SELECT factmerge_add_handler('rights_dst.deed', 'rights_dst.become_famous');
SELECT factmerge_drop_handler('rights_dst.deed', 'rights_dst.become_famous');
RESET ROLE;
-- It may insert facts, if it is allowed to, and they are tagged
GRANT INSERT ON rights_dst.person TO regress_factmerge_reader;
GRANT USAGE ON SEQUENCE rights_dst.person_id_seq TO regress_factmerge_reader;
SET ROLE regress_factmerge_reader;
INSERT INTO rights_dst.person (name) VALUES ('Dot') RETURNING name, factmerge_provenance, factmerge_merge;
RESET ROLE;

-- The source has to be readable, all of it
CALL make_rights();
REVOKE SELECT ON rights_src.deed FROM regress_factmerge_owner;
GRANT SELECT (deed) ON rights_src.deed TO regress_factmerge_owner;
SET ROLE regress_factmerge_owner;
:merge;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON rights_src.deed TO regress_factmerge_owner;
REVOKE USAGE ON SCHEMA rights_src FROM regress_factmerge_owner;
SET ROLE regress_factmerge_owner;
:merge;
RESET ROLE;
-- One table of the destination that is not the caller's
CALL make_rights();
ALTER TABLE rights_dst.fame OWNER TO regress_factmerge_source;
SET ROLE regress_factmerge_owner;
:merge;
SELECT factmerge_prepare('rights_dst');
RESET ROLE;
SELECT count(*) AS touched FROM pg_attribute WHERE attrelid = 'rights_dst.person'::regclass AND attname LIKE 'factmerge%';

-- Row security that would hide rows from the caller
CALL make_rights();
ALTER TABLE rights_src.deed ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON rights_src.deed USING (person = 1);
SET ROLE regress_factmerge_owner;
:merge;
\echo :LAST_ERROR_SQLSTATE
SET row_security = off;
:merge;
RESET row_security;
RESET ROLE;
ALTER ROLE regress_factmerge_owner BYPASSRLS;
SET ROLE regress_factmerge_owner;
SELECT in_both, copied FROM factmerge_merge('rights_src', 'rights_dst');
RESET ROLE;
ALTER ROLE regress_factmerge_owner NOBYPASSRLS;
-- ... on the destination it hides nothing from the owner, unless it is forced
CALL make_rights();
ALTER TABLE rights_dst.deed ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON rights_dst.deed USING (person = 1);
SET ROLE regress_factmerge_owner;
SELECT in_both, copied FROM factmerge_merge('rights_src', 'rights_dst', dry_run => true);
RESET ROLE;
ALTER TABLE rights_dst.deed FORCE ROW LEVEL SECURITY;
SET ROLE regress_factmerge_owner;
:merge;
RESET ROLE;

-- A handler runs as the caller, who has to be allowed to execute it
CALL make_rights();
CREATE FUNCTION rights_dst.whoami(rights_dst.deed) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'handler runs as %', current_user;
END $$;
REVOKE EXECUTE ON FUNCTION rights_dst.whoami FROM PUBLIC;
SET ROLE regress_factmerge_owner;
SELECT factmerge_add_handler('rights_dst.deed', 'rights_dst.whoami');
RESET ROLE;
SELECT factmerge_add_handler('rights_dst.deed', 'rights_dst.whoami');
SET ROLE regress_factmerge_owner;
:merge;
RESET ROLE;
GRANT EXECUTE ON FUNCTION rights_dst.whoami TO regress_factmerge_owner;
SET ROLE regress_factmerge_owner;
\set SHOW_CONTEXT never
:merge;
\set SHOW_CONTEXT errors
RESET ROLE;

-- A hostile search_path: whatever look-alike comes first, none is called
CREATE SCHEMA rights_evil;
CREATE FUNCTION rights_evil.evil_text(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil operator'; END $$;
CREATE FUNCTION rights_evil.evil_integer(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil operator'; END $$;
CREATE FUNCTION rights_evil.evil_bigint(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil operator'; END $$;
CREATE FUNCTION rights_evil.evil_name(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil operator'; END $$;
CREATE FUNCTION rights_evil.evil_oid(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil operator'; END $$;
CREATE OPERATOR rights_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = rights_evil.evil_text);
CREATE OPERATOR rights_evil.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = rights_evil.evil_integer);
CREATE OPERATOR rights_evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = rights_evil.evil_bigint);
CREATE OPERATOR rights_evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = rights_evil.evil_name);
CREATE OPERATOR rights_evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = rights_evil.evil_oid);
CREATE OPERATOR rights_evil.<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = rights_evil.evil_bigint);
CREATE OPERATOR rights_evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = rights_evil.evil_text);
CREATE OPERATOR rights_evil.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = rights_evil.evil_bigint);
CREATE FUNCTION rights_evil.nextval(regclass) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil function'; END $$;
CREATE FUNCTION rights_evil.concat(VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil function'; END $$;
CREATE FUNCTION rights_evil.current_provenance() RETURNS factmerge_provenance LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil function'; END $$;
CREATE FUNCTION rights_evil.current_merge() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil function'; END $$;
CREATE FUNCTION rights_evil.jsonb_build_object(VARIADIC "any") RETURNS jsonb LANGUAGE internal AS 'jsonb_build_object';
CREATE TABLE rights_evil.pg_class AS SELECT 'evil'::text AS evil;
CREATE TABLE rights_evil.person AS SELECT 'evil'::text AS evil;
CREATE TABLE rights_evil.merge AS SELECT 'evil'::text AS evil;
CREATE TYPE rights_evil.factmerge_provenance AS ENUM ('evil');
CREATE DOMAIN rights_evil.int8 AS text;
GRANT USAGE ON SCHEMA rights_evil TO regress_factmerge_owner;
CALL make_rights();
ALTER TABLE rights_dst.deed DISABLE TRIGGER become_famous;
CREATE FUNCTION rights_dst.good_fame() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO rights_dst.fame SELECT person, deed || ' and ' || NEW.deed FROM rights_dst.deed
    WHERE person = NEW.person AND deed < NEW.deed ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER good_fame AFTER INSERT ON rights_dst.deed FOR EACH ROW WHEN (NEW.person > 0) EXECUTE FUNCTION rights_dst.good_fame();
SET ROLE regress_factmerge_owner;
SET search_path = rights_evil, pg_catalog, public;
SELECT in_both, copied, conflicts, replayed, derived FROM public.factmerge_merge('rights_src', 'rights_dst');
SELECT fact_table, copied FROM public.factmerge_report();
SELECT column_name, source_value FROM public.factmerge_conflicts();
SELECT source, provenance, source_key FROM public.factmerge_origin('rights_dst.person', 2);
SELECT fact_table, sameness, handlers FROM public.factmerge_tables('rights_dst');
SELECT fact_table FROM public.factmerge_friends('rights_dst') LIMIT 1;
SELECT fact_table, fact FROM public.factmerge_verify('rights_dst');
SELECT public.factmerge_prepare('rights_dst');
SELECT public.factmerge_ignore_trigger('rights_dst.deed', 'good_fame');
SELECT public.factmerge_unignore_trigger('rights_dst.deed', 'good_fame');
SELECT in_both, copied FROM public.factmerge_merge('rights_src', 'rights_dst');
SHOW search_path;
-- ... and an empty one
SET search_path = '';
SELECT in_both, copied FROM public.factmerge_merge('rights_src', 'rights_dst');
SELECT source FROM public.factmerge_origin('rights_dst.person', 2);
SELECT pg_catalog.count(*) FROM public.factmerge_conflicts();
SELECT fact_table, fact FROM public.factmerge_verify('rights_dst');
INSERT INTO rights_dst.person (name) VALUES ('Zoe') RETURNING factmerge_provenance;
RESET search_path;
RESET ROLE;

DROP SCHEMA rights_src, rights_dst, rights_evil CASCADE;
DROP PROCEDURE make_rights;
DROP OWNED BY regress_factmerge_owner, regress_factmerge_member, regress_factmerge_source, regress_factmerge_reader;
DROP ROLE regress_factmerge_owner, regress_factmerge_member, regress_factmerge_source, regress_factmerge_reader;
