-- Types: those that live in each schema under the same name, those without an
-- equality, large values, and what a session's settings could do to them
BEGIN;
\ir include/shapes.sql
SELECT plan(146);
CREATE EXTENSION hstore;

--
-- Types of the schemas' own: as key, as reference, as a column by itself, and
-- as part of a row without a key.  Given are three values of the type.
--
CREATE FUNCTION with_type(shape text, types text, type text, one text, two text, three text,
                          destination_types text DEFAULT NULL, reference text DEFAULT 'REFERENCES thing')
RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    tables text := replace(format('; CREATE TABLE thing (k %%s PRIMARY KEY, v %%s);
        CREATE TABLE part (k %%s %s, n integer, v %%s, PRIMARY KEY (k, n));
        CREATE TABLE loose (v %%s, n integer)', reference), '%s', type);
BEGIN
    CALL make(types || tables,
        format($$INSERT INTO thing VALUES (%1$L, %1$L), (%2$L, NULL); INSERT INTO part VALUES (%1$L, 1, %2$L), (%2$L, 1, %1$L);
                 INSERT INTO loose VALUES (%1$L, 1), (%2$L, 1), (NULL, 1)$$, one, two),
        format($$INSERT INTO thing VALUES (%3$L, NULL), (%1$L, %2$L); INSERT INTO part VALUES (%1$L, 1, %2$L);
                 INSERT INTO loose VALUES (%1$L, 2), (%2$L, 1), (NULL, 1)$$, one, two, three),
        coalesce(destination_types, types) || tables);
    RETURN QUERY SELECT merges(shape || ' in each schema', '4 in both, 3 copied, 1 conflicts',
        $$SELECT * FROM (SELECT 'thing' AS t, k::text, 0 AS n, v::text, factmerge_provenance::text AS tag FROM b.thing
          UNION ALL SELECT 'part', k::text, n, v::text, factmerge_provenance::text FROM b.part
          UNION ALL SELECT 'loose', NULL, n, v::text, factmerge_provenance::text FROM b.loose) x
              ORDER BY tag, t, k COLLATE "C", v COLLATE "C"$$,
        rows_of(format($$SELECT * FROM (VALUES
            ('thing', %1$L, 0, %2$L, 'both'), ('thing', %2$L, 0, NULL, 'source'), ('thing', %3$L, 0, NULL, 'destination'),
            ('part', %1$L, 1, %2$L, 'both'), ('part', %2$L, 1, %1$L, 'source'),
            ('loose', NULL, 1, %1$L, 'source'), ('loose', NULL, 2, %1$L, 'destination'), ('loose', NULL, 1, %2$L, 'both'),
                ('loose', NULL, 1, NULL, 'both')
            ) x (t, k, n, v, tag) ORDER BY tag, t, k COLLATE "C", v COLLATE "C"$$, one, two, three)));
    RETURN NEXT results_eq('SELECT source_value, destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))', format('VALUES (%L, %L)', one, two),
        shape || ' in each schema: the conflict shows both values');
END $body$;

\set mood 'CREATE TYPE mood AS ENUM (\'sad\', \'ok\', \'happy, "very"\', \'it\'\'s\');'
\set grade 'CREATE DOMAIN grade AS integer CHECK (VALUE > 0);'
\set spot 'CREATE TYPE spot AS ("from" integer, "to" text);'
SELECT with_type('enum', :'mood', 'mood', 'sad', 'it''s', 'happy, "very"');
SELECT with_type('enum whose labels are in another order', :'mood', 'mood', 'sad', 'ok', 'it''s',
    $$CREATE TYPE mood AS ENUM ('it''s', 'happy, "very"', 'new', 'ok', 'sad')$$);
SELECT with_type('array of an enum', :'mood', 'mood[]', '{sad,NULL}', '{}', '{ok,"happy, \"very\""}');
SELECT with_type('domain', :'grade', 'grade', '1', '2', '3');
SELECT with_type('array of a domain', :'grade', 'grade[]', '{1,2}', '{{1},{NULL}}', '[0:1]={3,4}');
SELECT with_type('domain over an array', 'CREATE DOMAIN grades AS integer[] CHECK (cardinality(VALUE) > 0)', 'grades', '{1,2}',
    '{NULL}', '{3}');
-- (The server has no foreign keys of such a type)
SELECT with_type('domain over an enum', :'mood' || 'CREATE DOMAIN good_mood AS mood CHECK (VALUE > ''sad'')', 'good_mood', 'ok',
    'happy, "very"', 'it''s', reference => '');
SELECT with_type('composite type', :'spot', 'spot', '(1,"a, ""b"" \\\\ ''c'' (d)")', '(,"")', '(2,)');
SELECT with_type('array of a composite type', :'spot', 'spot[]', '{"(1,\"a b\")",NULL}', '{"(,\"\")"}', '{}');
SELECT with_type('composite type of an enum, a domain and arrays',
    :'mood' || :'grade' || 'CREATE TYPE mixed AS (m mood, g grade, ms mood[], gs grade[], p numeric)',
    'mixed', '(sad,1,"{ok,NULL}",{2},1.50)', '(,,{},,NaN)', '("happy, ""very""",7,"{sad,""happy, \\""very\\""""}",,)');
SELECT with_type('composite type within another', :'spot' || 'CREATE TYPE way AS (start spot, stops spot[])',
    'way', '("(1,a)","{""(2,b)"",""(,\\""\\"")""}")', '(,)', '("(,)",{NULL})');
SELECT with_type('range type', 'CREATE TYPE span AS RANGE (subtype = date)', 'span', '[2020-01-01,2020-02-01)', 'empty', '(,)');
SELECT with_type('range type over an enum', :'mood' || 'CREATE TYPE moods AS RANGE (subtype = mood)', 'moods', '[sad,ok)',
    '["happy, ""very""",)', 'empty');
SELECT with_type('array of a range type', 'CREATE TYPE span AS RANGE (subtype = float8)', 'span[]', '{"[0.1,0.3]",empty}',
    '{"(,1e-300)"}', '{}');
SELECT with_type('multirange type', 'CREATE TYPE span AS RANGE (subtype = date, multirange_type_name = spans)', 'spans',
    '{[2020-01-01,2020-02-01),[2021-01-01,)}', '{}', '{(,)}');
SELECT with_type('array of a multirange type', 'CREATE TYPE span AS RANGE (subtype = float8, multirange_type_name = spans)',
    'spans[]', '{"{[0.1,0.3),[1,2)}",NULL}', '{"{}"}', '{}');
SELECT with_type('type with a name in quotes', 'CREATE TYPE "My ""Mood"" [] %s" AS ENUM (''a'', ''b'', ''c'')',
    '"My ""Mood"" [] %s"', 'a', 'b', 'c');

-- Alike is enough
SELECT with_type('domain over a wider type', 'CREATE DOMAIN d AS varchar(3)', 'd', 'a', 'b', 'abc', 'CREATE DOMAIN d AS text');
SELECT with_type('domain with another CHECK', :'grade', 'grade', '1', '2', '3', 'CREATE DOMAIN grade AS integer CHECK (VALUE < 4)');

-- A type of all is the same for both
CREATE TYPE shared_mood AS ENUM ('sad', 'ok', 'happy');
SELECT with_type('type of another schema', '', 'shared_mood', 'sad', 'ok', 'happy');

--
-- Types that are not alike
--
CREATE FUNCTION unlike_types(shape text, pattern text, types text, type text, destination_types text, destination_type text, value text)
RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(format('%s; CREATE TABLE t (n serial PRIMARY KEY, v %s, name text UNIQUE)', types, type),
        format('INSERT INTO t (v) VALUES (%L)', value), 'INSERT INTO t (v) VALUES (NULL)',
        format('%s; CREATE TABLE t (n serial PRIMARY KEY, v %s, name text UNIQUE)', destination_types, destination_type));
    RETURN QUERY SELECT refuses(shape, '42804', pattern);
END $body$;
-- Whether or not a fact has such a label
SELECT unlike_types('enum with labels that the destination lacks: refused, and they are named',
    '(?=.*mood)(?=.*bored)(?=.*"?in love"?).*HINT',
    'CREATE TYPE mood AS ENUM (''sad'', ''bored'', ''in love'')', 'mood', 'CREATE TYPE mood AS ENUM (''happy'', ''sad'')', 'mood',
        'sad');
SELECT unlike_types('array of an enum with a label that the destination lacks', '(?=.*mood)(?=.*bored).*HINT',
    'CREATE TYPE mood AS ENUM (''sad'', ''bored'')', 'mood[]', 'CREATE TYPE mood AS ENUM (''sad'')', 'mood[]', '{sad}');
SELECT unlike_types('domain over an enum with a label that the destination lacks', '(?=.*mood)(?=.*bored).*HINT',
    'CREATE TYPE mood AS ENUM (''sad'', ''bored''); CREATE DOMAIN d AS mood', 'd', 'CREATE TYPE mood AS ENUM (''sad'');
        CREATE DOMAIN d AS mood', 'd', 'sad');
SELECT unlike_types('composite type of an enum with a label that the destination lacks', '(?=.*mood)(?=.*bored).*HINT',
    'CREATE TYPE mood AS ENUM (''sad'', ''bored''); CREATE TYPE c AS (m mood)', 'c', 'CREATE TYPE mood AS ENUM (''sad'');
        CREATE TYPE c AS (m mood)', 'c', '(sad)');
SELECT unlike_types('composite types with other attributes: refused, and they are named', '(?=.*spot)(?=.*\mz\M).*HINT',
    'CREATE TYPE spot AS (x integer, z text)', 'spot', 'CREATE TYPE spot AS (x integer, y text)', 'spot', '(1,a)');
SELECT unlike_types('composite types with attributes in another order', '(?=.*spot)(?=.*\m[xy]\M).*HINT',
    'CREATE TYPE spot AS (x integer, y integer)', 'spot', 'CREATE TYPE spot AS (y integer, x integer)', 'spot', '(1,2)');
SELECT unlike_types('composite types with attributes that narrow', '(?=.*spot)(?=.*\mx\M).*HINT',
    'CREATE TYPE spot AS (x bigint)', 'spot', 'CREATE TYPE spot AS (x integer)', 'spot', '(1)');
SELECT unlike_types('composite types with fewer attributes', '(?=.*spot)(?=.*\my\M).*HINT',
    'CREATE TYPE spot AS (x integer, y integer)', 'spot', 'CREATE TYPE spot AS (x integer)', 'spot', '(1,2)');
SELECT unlike_types('domains over types that narrow', 'v.*t.*HINT', 'CREATE DOMAIN d AS bigint', 'd', 'CREATE DOMAIN d AS integer',
    'd', '1');
SELECT unlike_types('domains over text that narrow', 'v.*t.*HINT', 'CREATE DOMAIN d AS varchar(9)', 'd',
    'CREATE DOMAIN d AS varchar(5)', 'd', 'x');
SELECT unlike_types('ranges over types that narrow', 'v.*t.*HINT', 'CREATE TYPE r AS RANGE (subtype = numeric)', 'r',
    'CREATE TYPE r AS RANGE (subtype = float8)', 'r', '[1,2)');
SELECT unlike_types('types of different names', 'column "v" of table "t" does not fit.*a\.mood.*b\.temper.*HINT',
    'CREATE TYPE mood AS ENUM (''sad'')', 'mood', 'CREATE TYPE temper AS ENUM (''sad'')', 'temper', 'sad');
SELECT unlike_types('types of different kinds', 'column "v" of table "t" does not fit.*a\.mood.*b\.mood.*HINT',
    'CREATE TYPE mood AS ENUM (''sad'')', 'mood', 'CREATE DOMAIN mood AS text', 'mood', 'sad');
SELECT unlike_types('range and multirange of the same name', 'column "v" of table "t" does not fit.*HINT',
    'CREATE TYPE span AS RANGE (subtype = integer, multirange_type_name = other)', 'span',
        'CREATE TYPE other AS RANGE (subtype = integer, multirange_type_name = span)', 'span', 'empty');

--
-- Domains and what they are domains of, which is a type of everybody's
--
CALL make(
    $$CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%'); CREATE DOMAIN number AS integer;
      CREATE TABLE person (mail mail PRIMARY KEY, age number, friend text REFERENCES person (mail))$$,
    $$INSERT INTO person VALUES ('ada@x', 1, NULL), ('bob@x', 2, 'ada@x')$$,
    $$INSERT INTO person VALUES ('ada@x', 2, 'ada@x')$$,
    $$CREATE DOMAIN age AS bigint CHECK (VALUE < 150);
      CREATE TABLE person (mail text PRIMARY KEY, age age, friend text REFERENCES person)$$);
SELECT merges('domain on one side', '1 in both, 1 copied, 2 conflicts',
    'SELECT mail, age, friend, factmerge_provenance FROM b.person ORDER BY 1',
    '(ada@x,2,ada@x,both)
     (bob@x,2,ada@x,source)');

SELECT * FROM finish();
ROLLBACK;
