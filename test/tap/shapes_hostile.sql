-- What stands in the way of a merge on purpose or by chance: look-alikes on the
-- search_path, in the schemas themselves and among the temporary tables, and
-- policies that hide rows
BEGIN;
\ir include/shapes.sql
SELECT plan(40);

CREATE PROCEDURE make_people() LANGUAGE sql AS $make$
    CALL make(
        $$CREATE TYPE mood AS ENUM ('sad', 'ok');
          CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE, born integer, likes integer REFERENCES person, mood mood);
          CREATE TABLE deed (person integer REFERENCES person, deed text, day date, at time, score numeric,
              PRIMARY KEY (person, deed));
          CREATE TABLE note (id uuid DEFAULT gen_random_uuid(), note jsonb, tags text[], seen timestamptz,
              CHECK (note IS NOT NULL))$$,
        $$INSERT INTO person (name, born, likes, mood) VALUES ('Ada', 1815, 2, 'ok'), ('Bob', 1900, 1, 'sad');
          INSERT INTO deed VALUES (1, 'sang', '2020-01-01', '12:00', 1.5), (2, 'sang', '2020-01-01', '12:00', 2.50);
          INSERT INTO note (id, note, tags) VALUES ('00000000-0000-0000-0000-000000000001', '{"a": 1}', '{x}'),
              ('00000000-0000-0000-0000-000000000002', '{"a": 2}', '{x}')$$,
        $$INSERT INTO person (name, born, likes, mood) VALUES ('Cid', 1850, 1, 'ok'), ('Bob', 1901, 2, 'ok');
          INSERT INTO deed VALUES (1, 'sang', NULL, NULL, NULL), (2, 'sang', '2020-01-01', '12:00', 2.5);
          INSERT INTO note (id, note, tags) VALUES ('00000000-0000-0000-0000-000000000002', '{"a": 2}', '{x}')$$)
$make$;
SELECT $$SELECT p.name, p.born, l.name AS likes, p.mood, deed, day, p.factmerge_provenance AS p, d.factmerge_provenance AS d
    FROM b.person p JOIN b.person l ON l.id = p.likes JOIN b.deed d ON person = p.id ORDER BY 1$$ AS facts,
    '(Ada,1815,Bob,ok,sang,2020-01-01,source,source)' || E'\n' ||
    '(Bob,1901,Bob,ok,sang,2020-01-01,both,both)' || E'\n' ||
    '(Cid,1850,Cid,ok,sang,,destination,destination)' AS expected \gset

--
-- Row security.  The merger owns the destination and may read the source.
--
CREATE ROLE factmerge_merger;
CREATE ROLE factmerge_bypasser BYPASSRLS IN ROLE factmerge_merger;
CREATE PROCEDURE make_secured(which text) LANGUAGE plpgsql AS $body$
BEGIN
    CALL make_people();
    EXECUTE format($$
        ALTER TABLE b.person OWNER TO factmerge_merger;
        ALTER TABLE b.deed OWNER TO factmerge_merger;
        ALTER TABLE b.note OWNER TO factmerge_merger;
        GRANT ALL ON SCHEMA b TO factmerge_merger;
        GRANT USAGE ON SCHEMA a TO factmerge_merger;
        GRANT SELECT ON ALL TABLES IN SCHEMA a TO factmerge_merger;
        CREATE POLICY elder ON a.person USING (born < 1900);
        CREATE POLICY elder ON b.person USING (born < 1900);
        %s$$, which);
END $body$;
CREATE FUNCTION refuses_merger(shape text, which text, hidden text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    before text[];
    merged outcome;
BEGIN
    CALL make_secured(which);
    before := state('a', 'b', 'factmerge');
    SET LOCAL ROLE factmerge_merger;
    merged := attempt();
    RESET ROLE;
    RETURN NEXT is(merged.code, '42501', shape);
    RETURN NEXT matches(words(merged), format('row-level security would hide rows of table %s from the merge.*\nHINT: ', hidden),
        shape || ': the error says why');
    RETURN NEXT is(difference(before, state('a', 'b', 'factmerge')), NULL, shape || ': nothing has changed');
END $body$;
SELECT refuses_merger('row security in the source', 'ALTER TABLE a.person ENABLE ROW LEVEL SECURITY', 'a.person');
SELECT refuses_merger('row security in the destination, forced upon its owner',
    'ALTER TABLE b.person ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'b.person');
SET LOCAL row_security = off;
SELECT refuses_merger('row security in the source, switched off by the session', 'ALTER TABLE a.person ENABLE ROW LEVEL SECURITY',
    'a.person');
RESET row_security;

CREATE FUNCTION merges_as(shape text, role name, which text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    outcomes text[];
BEGIN
    CALL make_secured(which);
    EXECUTE format('SET LOCAL ROLE %I', role);
    outcomes := ARRAY[words(attempt(true)), words(attempt()), words(attempt())];
    RESET ROLE;
    RETURN NEXT is(outcomes, ARRAY['3 in both, 3 copied, 3 conflicts', '3 in both, 3 copied, 3 conflicts',
        '6 in both, 0 copied, 0 conflicts'], shape);
END $body$;
SELECT merges_as('row security that does not apply to the owner', 'factmerge_merger',
    'ALTER TABLE b.person ENABLE ROW LEVEL SECURITY');
SELECT is(rows_of(:'facts'), :'expected', 'row security that does not apply to the owner: facts, references, provenance');
SELECT merges_as('row security that the caller bypasses', 'factmerge_bypasser',
    'ALTER TABLE a.person ENABLE ROW LEVEL SECURITY; ALTER TABLE b.person ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
SELECT is(rows_of(:'facts'), :'expected', 'row security that the caller bypasses: facts, references, provenance');
SELECT merges_as('row security before a superuser',
    session_user, 'ALTER TABLE a.person ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
SELECT is(rows_of(:'facts'), :'expected', 'row security before a superuser: facts, references, provenance');

--
-- Temporary tables are found before all others
--
CALL make_people();
CREATE TEMPORARY TABLE person (id serial PRIMARY KEY, name text UNIQUE, born integer);
CREATE TEMPORARY TABLE deed (wrong text);
CREATE TEMPORARY TABLE pg_class (oid oid, relname name);
CREATE TEMPORARY TABLE pg_attribute (attrelid oid);
CREATE TEMPORARY TABLE key_map (map oid);
CREATE TEMPORARY TABLE merge (merge_id bigint);
CREATE TYPE pg_temp.mood AS ENUM ('lost');
CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT 1 / 0; SELECT now()';
INSERT INTO person (name) VALUES ('Nobody');
SELECT merges('look-alikes among the temporary tables', '3 in both, 3 copied, 3 conflicts', :'facts', :'expected');
SELECT results_eq('SELECT name FROM pg_temp.person', $$VALUES ('Nobody')$$, 'look-alikes among the temporary tables: left alone');
DROP TABLE pg_temp.person, pg_temp.deed, pg_temp.pg_class, pg_temp.pg_attribute, pg_temp.key_map, pg_temp.merge;
DROP TYPE pg_temp.mood;

--
-- Look-alikes.  Of every function, operator, type and table of the system there
-- is one in schema trap that raises an error or rejects everything.
--
CREATE SCHEMA trap;
-- Not so those that PL/pgSQL cannot be used for
CREATE FUNCTION can_be_written(types oid[]) RETURNS boolean LANGUAGE sql AS $$
    SELECT bool_and(typtype <> 'p' OR typname LIKE 'any_%') FROM pg_type WHERE oid = ANY (types)
$$;
CREATE PROCEDURE set_traps(schema name) LANGUAGE plpgsql AS $body$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', schema, proname,
            (SELECT string_agg(t::regtype::text, ', ') FROM unnest(proargtypes) t), prorettype::regtype,
            'BEGIN RAISE SQLSTATE ''TRAP0'' USING MESSAGE = ''trapped by a function''; END')
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p' AND provariadic = 0 AND proargnames IS NULL
            AND can_be_written(proargtypes || prorettype)
        UNION ALL
        SELECT format('CREATE OPERATOR %I.%s (%s RIGHTARG = %s, FUNCTION = %I.%I)', schema, oprname,
            CASE WHEN oprleft <> 0 THEN format('LEFTARG = %s, ', oprleft::regtype) END, oprright::regtype, schema, proname)
        FROM pg_operator JOIN pg_proc p ON p.oid = oprcode
        WHERE oprnamespace = 'pg_catalog'::regnamespace AND provariadic = 0 AND proargnames IS NULL
            AND can_be_written(proargtypes || prorettype)
        UNION ALL
        SELECT format('CREATE DOMAIN %I.%I AS pg_catalog.%I CONSTRAINT trapped_by_a_type CHECK (false)', schema, typname, typname)
        FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typelem = 0 AND typname NOT LIKE 'pg\_%'
        UNION ALL
        SELECT format('CREATE VIEW %I.%I AS SELECT 1 / 0 AS oid', schema, relname)
        FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
    LOOP
        EXECUTE statement;
    END LOOP;
END $body$;
CALL set_traps('trap');
SELECT cmp_ok((SELECT count(*) FROM pg_operator WHERE oprnamespace = 'trap'::regnamespace)::integer, '>', 500, 'the traps are set');

-- Runs statements with the traps before everything else
CREATE FUNCTION trapped(statement text) RETURNS text
LANGUAGE plpgsql SET search_path = trap, pg_catalog, public AS $body$
BEGIN
    EXECUTE statement;
    RETURN 'safe';
EXCEPTION WHEN SQLSTATE 'TRAP0' OR division_by_zero OR check_violation THEN
    RETURN SQLERRM;
END $body$;
SELECT is(trapped('SELECT 1 = 1'), 'trapped by a function', 'a trap for operators works');
SELECT is(trapped('SELECT pg_catalog.int4 ''1'' :: int4'), 'value for domain int4 violates check constraint "trapped_by_a_type"',
    'a trap for types works');
SELECT is(trapped('SELECT FROM pg_class WHERE oid IS NULL'), 'division by zero', 'a trap for tables works');

-- Everything that can be called, under a hostile search_path
CREATE FUNCTION all_safe(shape text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    call text;
BEGIN
    FOREACH call IN ARRAY ARRAY['merge(''a'', ''b'', true)', 'prepare(''b'')', 'merge(''a'', ''b'')', 'merge(''a'', ''b'')',
        'tables(''b'')', 'friends(''b'')',
        'report()', 'conflicts()', 'origin(''b.person'', 2)', 'verify(''b'')'] LOOP
        RETURN NEXT is(trapped('SELECT FROM factmerge_' || call), 'safe', format('%s: %s', shape, split_part(call, '(', 1)));
    END LOOP;
END $body$;
CALL make_people();
SELECT all_safe('hostile search_path');
SELECT is(rows_of(:'facts'), :'expected', 'hostile search_path: facts, references, provenance');
SELECT is(words(attempt()), '6 in both, 0 copied, 0 conflicts', 'hostile search_path: merging again changes nothing');


-- ... and in the schemas themselves
CALL make_people();
CALL set_traps('a');
CALL set_traps('b');
SELECT merges('look-alikes in the schemas themselves', '3 in both, 3 copied, 3 conflicts', :'facts', :'expected');

SELECT * FROM finish();
ROLLBACK;
