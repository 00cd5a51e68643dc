--
-- condition: facts that are the same if an SQL expression over both says so
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET DateStyle = ISO;
SET TimeZone = 'UTC';

-- Persons and what they did.  Persons have other numbers in the destination,
-- and another column first.
CREATE PROCEDURE make_condition()
LANGUAGE plpgsql AS $make$
BEGIN
    DROP SCHEMA IF EXISTS cond_src, cond_dst CASCADE;
    CREATE SCHEMA cond_src;
    CREATE SCHEMA cond_dst;
    CREATE TABLE cond_src.person (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, born integer, code text, seen timestamptz);
    CREATE TABLE cond_src.deed (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person integer REFERENCES cond_src.person, deed text, year integer);
    CREATE TABLE cond_dst.person (
        code text, born bigint, name text, seen timestamptz, id integer GENERATED ALWAYS AS IDENTITY (START 101) PRIMARY KEY);
    CREATE TABLE cond_dst.deed (
        id integer GENERATED ALWAYS AS IDENTITY (START 101) PRIMARY KEY, person integer REFERENCES cond_dst.person, deed text, year integer);
    INSERT INTO cond_src.person (name, born, code, seen) VALUES
        ('Ada', 1815, '007', '2020-01-01'), ('ADA', 1816, '7', NULL), ('Bob', 1900, NULL, '2020-06-01'), (NULL, 1900, '8', '2020-06-01');
    INSERT INTO cond_dst.person (name, born, code, seen) VALUES
        ('ada', 1817, '0007', '2021-01-01'), ('Ada', 1815, '7', '1999-01-01'), ('bob', 1901, '08', '2020-06-02'), (NULL, 1900, '8', NULL);
END
$make$;

-- Which person of the destination each of the source's is
\set merge 'SELECT source_facts AS facts, in_both, copied, conflicts FROM factmerge_merge(\'cond_src\', \'cond_dst\')'
\set who 'SELECT s.id, s.name, d.factmerge_provenance, d.id AS is, d.name AS is_name FROM cond_src.person s LEFT JOIN (cond_dst.person d CROSS JOIN LATERAL factmerge_origin(\'cond_dst.person\', d.id) o) ON (source_key ->> \'id\')::integer = s.id ORDER BY 1'

-- Operators, functions and casts.  Of several facts for which it is true, the
-- one with the lowest key is the one; null is not true.
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => 'lower(source.name) = lower(destination.name)');
:merge;
:who;
:merge;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person',
    condition => 'lower(source.name) = lower(destination.name) AND abs(source.born - destination.born) <= 1');
:merge;
:who;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => 'source.code::integer = CAST(destination.code AS integer)');
:merge;
:who;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => $$
    CASE WHEN source.name IS NULL THEN source.born = destination.born  -- whoever that was
         ELSE destination.seen BETWEEN source.seen AND source.seen + '2 years' END
    AND source.seen < now() /* not volatile */
$$);
:merge;
:who;
-- ... in one direction only: a copied fact is not the same as itself, and yet
-- is known when merged again
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => 'source.born < destination.born AND destination.born < 1900');
:merge;
:who;
:merge;
:who;
-- ... always or never
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => 'source.born > 0 AND destination.born > 0');
:merge;
:who;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => 'source.born = destination.born AND NULL');
:merge;
:merge;
SELECT count(*) FROM cond_dst.person;

-- The source's fact is as the destination would write it: of its types, and
-- with references to the destination's facts
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person',
    condition => 'pg_typeof(source.born) = ''bigint''::regtype AND source.name = destination.name');
:merge;
:who;
CALL make_condition();
INSERT INTO cond_src.deed (person, deed, year) VALUES
    (1, 'wrote', 1843), (2, 'wrote', 1843), (3, 'wrote', 1843), (1, 'sang', 1844), (NULL, 'wrote', 1843);
INSERT INTO cond_dst.deed (person, deed, year) VALUES
    (103, 'wrote', 1844), (102, 'wrote', 1844), (101, 'wrote', 1843), (NULL, 'wrote', 1843);
SELECT factmerge_set_sameness('cond_dst.person', condition => 'lower(source.name) = lower(destination.name) AND source.born - destination.born BETWEEN -1 AND 1');
SELECT factmerge_set_sameness('cond_dst.deed', condition => 'source.person = destination.person AND source.deed = destination.deed');
:merge;
SELECT fact_table, in_both, copied, conflicts FROM factmerge_report();
SELECT s.id, s.person, s.deed, d.factmerge_provenance, d.id AS is, d.person AS is_person
FROM cond_dst.deed d, factmerge_origin('cond_dst.deed', d.id), cond_src.deed s WHERE (source_key ->> 'id')::integer = s.id ORDER BY 1;

-- Subqueries, correlated with both; an alias of their own hides the outer one
CREATE SCHEMA cond_names;
CREATE TABLE cond_names.nick (name text, nick text);
INSERT INTO cond_names.nick VALUES ('Augusta', 'Ada'), ('Augusta', 'ada'), ('Robert', 'Bob'), ('Roberta', 'bob');
CALL make_condition();
SET search_path = cond_names, public;
SELECT factmerge_set_sameness('cond_dst.person', condition => $$
    EXISTS (SELECT FROM nick a JOIN nick b USING (name) WHERE a.nick = source.name AND b.nick = destination.name)
$$);
SET search_path = public;
:merge;
:who;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => $$
    (SELECT source.name FROM cond_names.nick AS source WHERE source.nick = destination.name) = 'Roberta' AND source.name = 'Bob'
$$);
:merge;
:who;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => $$
    source.name IN (SELECT nick FROM cond_names.nick) AND destination.name = ANY (ARRAY(SELECT lower(nick) FROM cond_names.nick WHERE name = 'Augusta'))
$$);
:merge;
:who;

-- Names are those that the declarer's search_path finds, and stay them
CREATE FUNCTION cond_names.fold(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower($1) $$;
CREATE FUNCTION cond_names.nearly(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT lower($1) = lower($2) $$;
CREATE OPERATOR cond_names.=~= (FUNCTION = cond_names.nearly, LEFTARG = text, RIGHTARG = text);
CREATE SCHEMA cond_evil;
CREATE FUNCTION cond_evil.never(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION cond_evil.never(bigint, integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION cond_evil.fold(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION cond_evil.lower(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE FUNCTION cond_evil.btrim(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR cond_evil.=~= (FUNCTION = cond_evil.never, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR cond_evil.= (FUNCTION = cond_evil.never, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR cond_evil.< (FUNCTION = cond_evil.never, LEFTARG = bigint, RIGHTARG = integer);
CREATE TABLE cond_evil.nick (name text, nick text);
CREATE TYPE cond_evil.int4 AS ENUM ('hijacked');
CALL make_condition();
SET search_path = cond_names, public;
SELECT factmerge_set_sameness('cond_dst.person', tolerance => '{"name": {"function": ["btrim", "fold"]}}',
    condition => 'fold(source.name) = fold(destination.name) AND source.name =~= lower(destination.name) AND (source.born < 2000::int4) AND EXISTS (SELECT FROM nick)');
INSERT INTO cond_src.deed (person, deed, year) VALUES (1, 'wrote', 1843);
INSERT INTO cond_dst.deed (person, deed, year) VALUES (101, 'wrote', 1844);
SET search_path = cond_evil, pg_catalog, public;
SELECT factmerge_set_sameness('cond_dst.deed', key => '{deed}', tolerance => '{"year": 1}');
:merge;
RESET search_path;
:who;
SELECT key, tolerance, condition FROM factmerge.sameness WHERE fact_table = 'cond_dst.person'::regclass;
-- ... and if one is gone, that is an error that says whose declaration it is
DROP SCHEMA cond_evil CASCADE;
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => 'cond_names.fold(source.name) = cond_names.fold(destination.name)');
DROP FUNCTION cond_names.fold;
:merge;
\echo :LAST_ERROR_SQLSTATE
SELECT factmerge_set_sameness('cond_dst.person', condition => 'lower(source.name) = lower(destination.name)');
:merge;
DROP SCHEMA cond_names CASCADE;

-- Odd names, also of columns: source and destination are the rows
DROP SCHEMA cond_src, cond_dst CASCADE;
CREATE SCHEMA cond_src;
CREATE SCHEMA cond_dst;
CREATE TABLE cond_src."Odd ""table""" (source integer, destination integer, "select" text, "Grüße aus %1$s" text);
CREATE TABLE cond_dst."Odd ""table""" (LIKE cond_src."Odd ""table""");
INSERT INTO cond_src."Odd ""table""" VALUES (1, 2, 'a', 'b'), (2, 1, 'c', 'd');
INSERT INTO cond_dst."Odd ""table""" VALUES (1, 1, 'b', 'A'), (2, 3, 'D', 'c');
SELECT factmerge_set_sameness('cond_dst."Odd ""table"""', condition => $$
    source.source = destination.source AND source."select" = lower(destination."Grüße aus %1$s")
$$);
:merge;
SELECT source, destination, "select", "Grüße aus %1$s", factmerge_provenance FROM cond_dst."Odd ""table""" ORDER BY 1, 2;
SELECT column_name, source_value, destination_value FROM factmerge_conflicts() ORDER BY 1, 2;

-- Types that each schema has for itself: those of the destination are meant
DROP SCHEMA cond_src, cond_dst CASCADE;
CREATE SCHEMA cond_src;
CREATE SCHEMA cond_dst;
CREATE TYPE cond_src.mood AS ENUM ('sad', 'glad');
CREATE TYPE cond_dst.mood AS ENUM ('glad', 'so so', 'sad');
CREATE TABLE cond_src.feeling (who text, mood cond_src.mood);
CREATE TABLE cond_dst.feeling (who text, mood cond_dst.mood);
INSERT INTO cond_src.feeling VALUES ('Ada', 'sad'), ('Bob', 'glad'), ('Cid', 'sad');
INSERT INTO cond_dst.feeling VALUES ('Ada', 'sad'), ('Bob', 'so so'), ('Cid', 'glad');
SELECT factmerge_set_sameness('cond_dst.feeling', key => '{who}',
    condition => 'source.mood = destination.mood OR (source.mood = ''glad'' AND destination.mood > source.mood)');
:merge;
SELECT who, mood, factmerge_provenance FROM cond_dst.feeling ORDER BY 1, 2;

\set SHOW_CONTEXT never
-- A condition that fails ends the merge
CALL make_condition();
SELECT factmerge_set_sameness('cond_dst.person', condition => '1 / (source.born - 1900) > destination.id');
:merge;
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM cond_dst.person;

-- What is no condition
CREATE FUNCTION refusal(condition text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM factmerge_set_sameness('cond_dst.person', condition => condition);
    RETURN 'accepted';
EXCEPTION WHEN others THEN
    RETURN concat(SQLSTATE, ' ', SQLERRM);
END
$$;
SELECT condition, refusal(condition) FROM unnest(ARRAY[
    '', ' ', '-- nothing', 'true true', 'true)', '(true', 'true) OR (true', 'true; DROP TABLE cond_dst.person', '--true',
    'true, false', 'true AS t', 'true FROM cond_dst.person', 'true WHERE true', 'true GROUP BY 1', 'true ORDER BY 1', 'true LIMIT 1',
    'true UNION SELECT false', 'true FOR UPDATE', 'SELECT true', 'source.*']) condition;
SELECT condition, refusal(condition) FROM unnest(ARRAY[
    'source.name', '1', 'source.born + destination.born', 'ROW(true)',
    'source.nobody = 1', 'person.name = ''Ada''', 'name = ''Ada''', 'no_such(source.name)', 'source.name = 1', 'source.name = ''x''::no_such_type',
    'EXISTS (SELECT FROM no_such_table)', '$1']) condition;
SELECT condition, refusal(condition) FROM unnest(ARRAY[
    'source = destination', 'source IS NOT NULL', 'source.* = destination.*', 'to_jsonb(source) = to_jsonb(destination)', 'EXISTS (SELECT source)',
    'source.ctid = destination.ctid', 'destination.tableoid > 0', 'EXISTS (SELECT FROM pg_class WHERE oid = source.tableoid)',
    'random() > 0.5', '(SELECT random()) > 0.5', 'source.seen < clock_timestamp()', 'nextval(''cond_dst.person_id_seq'') > 0',
    'count(*) > 1', 'row_number() OVER () = 1', 'generate_series(1, 2) = 1',
    'EXISTS (WITH gone AS (DELETE FROM cond_dst.person RETURNING id) SELECT FROM gone)']) condition;
-- What looks at neither says nothing
SELECT condition, refusal(condition) FROM unnest(ARRAY['true', 'NULL', 'EXISTS (SELECT FROM cond_src.person)']) condition;
-- None of them has replaced what was declared
SELECT condition FROM factmerge.sameness WHERE fact_table = 'cond_dst.person'::regclass;
-- The error points at the place
\set SHOW_CONTEXT errors
SELECT factmerge_set_sameness('cond_dst.person', condition => 'source.name = destination.nobody');
SELECT factmerge_set_sameness('cond_dst.person', condition => 'source.name = random()::text');

DROP SCHEMA cond_src, cond_dst CASCADE;
DROP FUNCTION refusal;
DROP PROCEDURE make_condition;
