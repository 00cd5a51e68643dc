--
-- errors: what a merge refuses, how it says so, and that nothing has changed
-- afterwards
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- Rows and columns of all schemas of this test, and what factmerge keeps
CREATE FUNCTION errors_fingerprint() RETURNS text
LANGUAGE plpgsql AS $errors_fingerprint$
DECLARE
    result text := '';
    part text;
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IN ('errors_src', 'errors_dst', 'factmerge') AND relkind = 'r'
        ORDER BY c.oid::regclass::text
    LOOP
        EXECUTE format('SELECT string_agg(to_jsonb(t)::text, '','' ORDER BY t::text) FROM %s t',
                       relation) INTO part;
        result := concat(result, relation, part,
                         (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
                          WHERE attrelid = relation AND attnum > 0));
    END LOOP;
    RETURN md5(result);
END
$errors_fingerprint$;

-- Both schemas afresh: a person has a name, and a deed its doer
CREATE PROCEDURE make_errors()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS errors_src CASCADE;
    DROP SCHEMA IF EXISTS errors_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['errors_src', 'errors_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.person (
                id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                name text NOT NULL CONSTRAINT person_name UNIQUE,
                born date
            );
            CREATE TABLE %1$I.deed (
                person integer NOT NULL REFERENCES %1$I.person,
                deed text,
                PRIMARY KEY (person, deed)
            );
            INSERT INTO %1$I.person (name) VALUES ('Ada'), (%1$L);
            INSERT INTO %1$I.deed VALUES (1, 'wrote'), (2, %1$L);
        $ddl$, schema);
    END LOOP;
END
$make$;

-- Both schemas and factmerge's own tables are as they were at the last \gset
\set unchanged 'SELECT errors_fingerprint() = :\'before\' AS unchanged'

CALL make_errors();
SELECT errors_fingerprint() AS before \gset

-- The arguments
SELECT copied FROM factmerge_merge('errors_scr', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
SELECT copied FROM factmerge_merge('errors_src', 'Errors_dst');
SELECT copied FROM factmerge_merge('nothing of the kind', 'errors_dst');
SELECT copied FROM factmerge_merge('errors_src', 'errors_src');
\echo :LAST_ERROR_SQLSTATE
SELECT copied FROM factmerge_merge(NULL, 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
SELECT copied FROM factmerge_merge('errors_src', NULL);
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst', NULL);
:unchanged;

-- No common table
CREATE SCHEMA errors_empty;
SELECT copied FROM factmerge_merge('errors_src', 'errors_empty');
\echo :LAST_ERROR_SQLSTATE
SELECT copied FROM factmerge_merge('errors_empty', 'errors_dst');
CREATE VIEW errors_empty.person AS SELECT 1 AS id, 'a view is not a fact table'::text AS name;
SELECT copied FROM factmerge_merge('errors_src', 'errors_empty');
DROP SCHEMA errors_empty CASCADE;
:unchanged;

-- A table or column that only the source has
CREATE TABLE errors_src.note (id integer PRIMARY KEY);
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
CREATE VIEW errors_dst.note AS SELECT 1 AS id;
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
:unchanged;
CALL make_errors();
ALTER TABLE errors_src.person ADD died date;
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst', dry_run => true);
:unchanged;

-- Types that do not fit
CALL make_errors();
ALTER TABLE errors_src.person ALTER name TYPE varchar(20);
ALTER TABLE errors_dst.person ALTER name TYPE varchar(10);
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE errors_dst.person DROP CONSTRAINT person_name;
ALTER TABLE errors_dst.person ALTER name TYPE integer USING 0;
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
CALL make_errors();
ALTER TABLE errors_src.person ADD height bigint;
ALTER TABLE errors_dst.person ADD height integer;
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');

-- A NOT NULL or CHECK constraint of the destination that the source lacks
-- (the details name the number of the merge)
\set VERBOSITY terse
CALL make_errors();
ALTER TABLE errors_dst.person ADD CHECK (name <> 'errors_src');
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
:unchanged;
CALL make_errors();
UPDATE errors_dst.person SET born = '1815-12-10';
ALTER TABLE errors_dst.person ALTER born SET NOT NULL;
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
:unchanged;
\set VERBOSITY default

-- Inheritance, on either side
CALL make_errors();
CREATE TABLE errors_dst.poet (verses integer) INHERITS (errors_dst.person);
CREATE TABLE errors_src.poet (id integer, name text, born date, verses integer);
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
SELECT copied FROM factmerge_merge('errors_dst', 'errors_src');
:unchanged;

-- Ambiguous sameness names both candidates
CALL make_errors();
ALTER TABLE errors_src.person ADD passport text CONSTRAINT person_passport UNIQUE;
ALTER TABLE errors_dst.person ADD passport text CONSTRAINT person_passport UNIQUE;
UPDATE errors_src.person SET passport = 'X 99' WHERE name = 'Ada';
UPDATE errors_dst.person SET passport = 'X 99' WHERE name = 'errors_dst';
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;

-- A table whose facts nothing tells apart
CALL make_errors();
CREATE TABLE errors_src.ticket (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE errors_dst.ticket (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;

-- A sequence behind the keys of its table
CALL make_errors();
INSERT INTO errors_dst.person (id, name) OVERRIDING SYSTEM VALUE VALUES (3, 'Bob');
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;

-- A reference of the source that leads nowhere
-- (the context holds generated SQL)
\set SHOW_CONTEXT never
CALL make_errors();
ALTER TABLE errors_src.deed DROP CONSTRAINT deed_person_fkey;
INSERT INTO errors_src.deed VALUES (77, 'vanished');
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;
ALTER TABLE errors_src.deed ADD FOREIGN KEY (person) REFERENCES errors_src.person NOT VALID;
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
:unchanged;
\set SHOW_CONTEXT errors

-- A column of the user's that has one of our names
CALL make_errors();
ALTER TABLE errors_dst.deed ADD factmerge_merge text;
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
SELECT factmerge_prepare('errors_dst');
:unchanged;

-- A handler that raises, with the fact in the context
CALL make_errors();
CREATE FUNCTION errors_dst.raise_on_deed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no deed goes unpunished';
END $$;
CREATE TRIGGER raise_on_deed AFTER INSERT ON errors_dst.deed
    FOR EACH ROW EXECUTE FUNCTION errors_dst.raise_on_deed();
INSERT INTO errors_src.deed VALUES (1, 'calculated');
ALTER TABLE errors_dst.deed DISABLE TRIGGER raise_on_deed;
INSERT INTO errors_dst.deed VALUES (1, 'danced');
ALTER TABLE errors_dst.deed ENABLE TRIGGER raise_on_deed;
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;
DROP TRIGGER raise_on_deed ON errors_dst.deed;
CREATE TRIGGER raise_on_deeds AFTER INSERT ON errors_dst.deed REFERENCING NEW TABLE AS deeds
    FOR EACH STATEMENT EXECUTE FUNCTION errors_dst.raise_on_deed();
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
:unchanged;
DROP TRIGGER raise_on_deeds ON errors_dst.deed;
CREATE FUNCTION errors_dst.divide(errors_dst.deed) RETURNS void LANGUAGE sql AS 'SELECT 1 / ($1.person - $1.person)';
SELECT factmerge_add_handler('errors_dst.deed', 'errors_dst.divide');
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst', dry_run => true);
:unchanged;
SELECT fact_table FROM factmerge_verify('errors_dst');
:unchanged;
SELECT factmerge_drop_handler('errors_dst.deed', 'errors_dst.divide');
-- The session can merge again, and tags facts as before
SHOW session_replication_role;
SHOW search_path;
SELECT factmerge.current_provenance(), factmerge.current_merge();
SELECT copied, replayed FROM factmerge_merge('errors_src', 'errors_dst', true);
SELECT merge_id IS NOT NULL AS merged, copied FROM factmerge_merge('errors_src', 'errors_dst');

-- A merge inside a handler
CALL make_errors();
CREATE FUNCTION errors_dst.merge_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.factmerge_merge('errors_src', 'errors_dst');
    RETURN NULL;
END $$;
INSERT INTO errors_src.deed VALUES (1, 'calculated');
INSERT INTO errors_dst.deed VALUES (1, 'danced');
CREATE TRIGGER merge_more AFTER INSERT ON errors_dst.deed
    FOR EACH ROW EXECUTE FUNCTION errors_dst.merge_more();
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;
-- ... but not after it has been caught
DO $$
BEGIN
    PERFORM factmerge_merge('errors_src', 'errors_dst');
EXCEPTION WHEN object_in_use THEN
    DROP TRIGGER merge_more ON errors_dst.deed;
END $$;
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');

-- A deferrable unique or exclusion constraint, which the copying itself does
-- not check
CALL make_errors();
INSERT INTO errors_src.person (name) VALUES ('Bob');
ALTER TABLE errors_src.person ADD seat integer DEFAULT 7;
ALTER TABLE errors_dst.person ADD seat integer
    CONSTRAINT person_seat UNIQUE DEFERRABLE INITIALLY DEFERRED;
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;
-- ... nor lets an immediate one through, which the source does not have
ALTER TABLE errors_dst.person DROP CONSTRAINT person_seat,
    ADD CONSTRAINT person_seat UNIQUE (seat);
SELECT errors_fingerprint() AS before \gset
\set SHOW_CONTEXT never
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\set SHOW_CONTEXT errors
:unchanged;
CALL make_errors();
ALTER TABLE errors_src.person ADD stay daterange;
ALTER TABLE errors_dst.person ADD stay daterange;
ALTER TABLE errors_dst.person ADD CONSTRAINT one_guest EXCLUDE USING gist (stay WITH &&)
    DEFERRABLE INITIALLY IMMEDIATE;
UPDATE errors_src.person SET stay = '[2020-01-01,2020-02-01)' WHERE name = 'errors_src';
UPDATE errors_dst.person SET stay = '[2020-01-31,2020-03-01)' WHERE name = 'errors_dst';
SELECT errors_fingerprint() AS before \gset
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\echo :LAST_ERROR_SQLSTATE
:unchanged;

-- A read-only transaction
CALL make_errors();
BEGIN READ ONLY;
\set SHOW_CONTEXT never
SELECT copied FROM factmerge_merge('errors_src', 'errors_dst');
\set SHOW_CONTEXT errors
ROLLBACK;

-- What the other functions refuse
SELECT errors_fingerprint() AS before \gset
SELECT fact_table FROM factmerge_report(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT key FROM factmerge_conflicts(-1);
SELECT fact_table FROM factmerge_tables('errors_scr');
SELECT fact_table FROM factmerge_friends('errors_scr');
SELECT fact_table FROM factmerge_verify('errors_scr');
SELECT factmerge_prepare('errors_scr');
CREATE SCHEMA errors_empty;
SELECT factmerge_prepare('errors_empty');
SELECT factmerge_prepare(NULL);
DROP SCHEMA errors_empty;
SELECT factmerge_ignore_trigger('errors_dst.deed', 'no_such_trigger');
SELECT factmerge_unignore_trigger('errors_dst.deed', 'no_such_trigger');
SELECT factmerge_drop_handler('errors_dst.deed', 'no_such_function');
SELECT factmerge_add_handler('errors_dst.deed', 'no_such_function');
-- A null is refused by every function that needs the value
CREATE FUNCTION calls_with_nulls() RETURNS TABLE (name name, told text) LANGUAGE plpgsql AS $$
DECLARE
    call text;
BEGIN
    FOR name, call IN
        SELECT p.proname, format('%s %I(%s)', CASE p.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT' END, p.proname,
            (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)))
        FROM pg_proc p JOIN pg_depend d ON (d.classid, d.objid, d.deptype) = ('pg_proc'::regclass, p.oid, 'e')
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'factmerge'
        WHERE p.pronamespace = e.extnamespace AND p.proname LIKE 'factmerge%' AND p.provariadic = 0 AND p.pronargs > 0
        ORDER BY 1
    LOOP
        BEGIN
            EXECUTE call;
            told := 'nothing';
        EXCEPTION WHEN OTHERS THEN
            told := SQLSTATE;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT told, count(*), CASE told WHEN '22004' THEN NULL ELSE array_agg(name) END AS names FROM calls_with_nulls() GROUP BY 1 ORDER BY 1;
DROP FUNCTION calls_with_nulls();
SELECT factmerge.missing_reference('k', 1, false);
SELECT factmerge.fact_number(1259, '(0,1)');
SET factmerge.friend_hops = 9;
SET factmerge.friend_hops = -1;
:unchanged;

DROP SCHEMA errors_src, errors_dst CASCADE;
DROP PROCEDURE make_errors;
DROP FUNCTION errors_fingerprint;
DROP EXTENSION btree_gist;
