-- Values: of types without an equality or with an odd one, large ones, special
-- ones, and all of them under whatever settings the session has
BEGIN;
\ir include/shapes.sql
SELECT plan(163);
CREATE EXTENSION hstore;

--
-- Types of all sorts, in a row without a key (so that they say whether two
-- facts are the same) and outside of a key (so that they may conflict)
--
CREATE FUNCTION with_values(type text, one text, two text, shape text DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(
        format('CREATE TABLE loose (id serial PRIMARY KEY, v %1$s, n integer);
            CREATE TABLE noted (name text PRIMARY KEY, v %1$s, loose integer REFERENCES loose)', type),
        format($$INSERT INTO loose (v, n) VALUES (%1$L, 1), (%2$L, 1), (NULL, 1);
                 INSERT INTO noted VALUES ('same', %1$L, 1), ('other', %1$L, 2), ('null', %1$L, 3), ('new', %2$L, 3)$$, one, two),
        format($$INSERT INTO loose (v, n) VALUES (NULL, 1), (%1$L, 2), (%1$L, 1);
                 INSERT INTO noted VALUES ('same', %1$L, 3), ('other', %2$L, NULL), ('null', NULL, 1)$$, one, two));
    RETURN QUERY SELECT merges(coalesce(shape, type), '5 in both, 2 copied, 3 conflicts',
        $$SELECT * FROM (SELECT n, NULL AS name, v::text, NULL AS loose, factmerge_provenance AS tag FROM b.loose
          UNION ALL SELECT l.n, name, d.v::text, l.v::text, d.factmerge_provenance FROM b.noted d
              LEFT JOIN b.loose l ON l.id = loose) x
          ORDER BY tag, n, name, v COLLATE "C"$$,
        rows_of(format($$SELECT * FROM (VALUES
            (1, NULL, %1$L::%3$s::text, NULL, 'both'::public.factmerge_provenance), (1, NULL, NULL, NULL, 'both'),
                (2, NULL, %1$L::%3$s::text, NULL, 'destination'),
            (1, NULL, %2$L::%3$s::text, NULL, 'source'),
            (1, 'same', %1$L::%3$s::text, %1$L::%3$s::text, 'both'), (NULL, 'other', %2$L::%3$s::text, NULL, 'both'),
                (1, 'null', NULL, NULL, 'both'),
            (1, 'new', %2$L::%3$s::text, NULL, 'source')) x (n, name, v, loose, tag)
            ORDER BY tag, n, name, v COLLATE "C"$$, one, two, type)));
END $body$;

SELECT with_values('json', '{"a": 1, "b": [null, "x"]}', '{"a":1, "b": [null, "x"]}');
SELECT with_values('jsonb', '{"a": 1, "b": [null, "x\"y"]}', '{"a": 1}');
SELECT with_values('xml', '<a b="1">x &amp; y</a>', '<a b="2"/>');
SELECT with_values('point', '(1.1,-2)', '(1.1,3)');
SELECT with_values('box', '(2,2),(1,1)', '(2,2),(2,1)');
-- Equal to "=", which compares areas and lengths
SELECT with_values('box', '(2,2),(1,1)', '(3,3),(2,2)', 'boxes of one area');
SELECT with_values('circle', '<(0,0),1>', '<(1,0),1>', 'circles of one area');
SELECT with_values('lseg', '[(0,0),(1,1)]', '[(1,1),(2,2)]');
SELECT with_values('line', '{1,-1,0}', '{2,1,0}');
SELECT with_values('path', '[(0,0),(1,1)]', '((0,0),(1,1))', 'paths of as many points');
SELECT with_values('polygon', '((0,0),(1,1),(1,0))', '((0,0),(2,2),(2,0))');
SELECT with_values('bytea', '\x00ff27', '\x');
SELECT with_values('bit varying', '101', '');
SELECT with_values('tsvector', '''a'':1 ''it''''s'':2A', '''a''');
SELECT with_values('tsquery', '''a'' & !''b''', '''a'' | ''b''');
SELECT with_values('money', '-1234.50', '0');
SELECT with_values('inet', '10.0.0.1/8', '::1');
SELECT with_values('macaddr8', '08:00:2b:01:02:03:04:05', '08:00:2b:ff:fe:03:04:05');
SELECT with_values('interval', '1 year 2 mons -3 days 04:05:06.789', '-00:00:01');
SELECT with_values('timestamptz', '2020-02-29 23:59:59.999999+13', '-infinity');
SELECT with_values('date', '0044-03-15 BC', 'infinity');
SELECT with_values('double precision', '0.1', 'NaN');
SELECT with_values('real', '1e-45', '-Infinity');
SELECT with_values('numeric', '12345678901234567890.12345678901234567890', 'NaN');
SELECT with_values('text', E'it''s \\ "x"\n\t$$ %s {}', '');
SELECT with_values('"char"', 'x', '');
SELECT with_values('integer[]', '[0:1][3:4]={{1,2},{NULL,4}}', '{}');
SELECT with_values('text[]', '{"a,\"b\"",NULL,"NULL",""}', '{NULL}');
SELECT with_values('int4range', '[1,5)', 'empty');
SELECT with_values('nummultirange', '{[1.5,2),(3,)}', '{}');
SELECT with_values('hstore', '"a"=>NULL, "b"=>"x\"y"', '');
SELECT with_values('regtype', 'text', 'factmerge_provenance');
SELECT with_values('pg_lsn', '0/1', '16/B374D848');

--
-- Large values, which the server keeps apart, compressed or not.  They differ
-- in their last characters only.
--
CALL make(
    'CREATE TABLE loose (id serial PRIMARY KEY, packed text, plain bytea, doc jsonb);
        ALTER TABLE loose ALTER plain SET STORAGE EXTERNAL;
     CREATE TABLE noted (name text PRIMARY KEY, v text, loose integer REFERENCES loose)',
    $$INSERT INTO loose (packed, plain, doc) SELECT repeat('x', 200000) || n, convert_to(repeat('y', 60000) || n, 'UTF8'),
        to_jsonb(repeat('z', 20000) || n)
          FROM generate_series(1, 3) n;
      INSERT INTO noted SELECT packed, repeat('v', 200000) || id, id FROM (SELECT right(packed, 1) AS packed, id FROM loose) l$$,
    $$INSERT INTO loose (packed, plain, doc) SELECT repeat('x', 200000) || n, convert_to(repeat('y', 60000) || n, 'UTF8'),
        to_jsonb(repeat('z', 20000) || n)
          FROM generate_series(2, 4) n;
      INSERT INTO noted SELECT '2', repeat('v', 200000) || 7, id FROM loose WHERE right(packed, 1) = '2'$$);
SELECT merges('toasted values', '3 in both, 3 copied, 1 conflicts',
    'SELECT right(packed, 1), length(packed), length(plain), right(doc #>> ''{}'', 2),
        l.factmerge_provenance AS l, name, length(v), right(v, 1), n.factmerge_provenance AS n
     FROM b.loose l LEFT JOIN b.noted n ON loose = id ORDER BY 1',
    '(1,200001,60001,z1,source,1,200001,1,source)
     (2,200001,60001,z2,both,2,200001,7,both)
     (3,200001,60001,z3,both,3,200001,3,source)
     (4,200001,60001,z4,destination,,,,)');
SELECT results_eq('SELECT length(source_value), right(source_value, 1), length(destination_value),
    right(destination_value, 1) FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))',
    $$VALUES (200001, '2', 200001, '7')$$, 'toasted values: the conflict has them whole');

--
-- Settings that change how values are written, names are read or queries are
-- planned must not change what is merged.  The types of the schemas' own have
-- to be carried over from one to the other.
--
CREATE FUNCTION under(VARIADIC settings text[]) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    shape text := 'settings: ' || array_to_string(settings, ', ');
    setting text;
    before text[];
    outcomes text[];
BEGIN
    CALL make(
        $$CREATE TYPE mood AS ENUM ('sad', 'null');
          CREATE TYPE mixed AS (m mood[], f float8, r real, t timestamptz, i interval, d date, b bytea, x xml, n text[]);
          CREATE TYPE span AS RANGE (subtype = float8);
          CREATE TYPE period AS RANGE (subtype = timestamptz);
          CREATE TABLE loose (id serial PRIMARY KEY, v mixed, s span, p period[], m mood[]);
          CREATE TABLE noted ("Name" text PRIMARY KEY, v mixed, s span, loose integer REFERENCES loose)$$,
        $$INSERT INTO loose (v, s, p, m) VALUES
              (ROW('{sad,NULL,"null"}', 0.12345678901234568, 0.33333334, '2020-02-03 04:05:06.789+00', '-1 mon +2 days -03:04:05',
                  '2020-03-04',
                   '\x00deadbeef5c27', 'x<a b="1"/>', '{NULL,"NULL","","\\"}'), '[0.1,0.6000000000000004]',
                       '{"[2020-03-04 00:00+00,)",NULL}', '{sad,NULL}'),
              (ROW(NULL, 'NaN', 1e-45, '0044-03-15 BC', '1 year -1 day 00:00:00.000001', '-infinity', '', NULL, '{}'), '(,1e-320)',
                  '{}', '{"null"}'),
              (NULL, NULL, NULL, NULL);
          INSERT INTO noted SELECT chr(96 + id), v, s, id FROM loose$$,
        '');
    INSERT INTO b.loose (v, s, p, m) SELECT v::text::b.mixed, s::text::b.span, p::text::b.period[], m::text::b.mood[] FROM a.loose WHERE id <> 2 ORDER BY id DESC;
    INSERT INTO b.noted SELECT 'a', v, s, id FROM b.loose WHERE v IS NOT NULL;
    before := facts_of('a');
    FOREACH setting IN ARRAY settings LOOP
        PERFORM set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), true);
    END LOOP;
    outcomes := ARRAY[words(attempt(true)), words(attempt()), words(attempt())];
    FOREACH setting IN ARRAY settings LOOP
        EXECUTE format('SET LOCAL %I TO DEFAULT', split_part(setting, '=', 1));
    END LOOP;
    SET LOCAL client_min_messages = warning;
    RETURN NEXT is(outcomes || words(attempt()), ARRAY['3 in both, 3 copied, 0 conflicts', '3 in both, 3 copied, 0 conflicts',
        '6 in both, 0 copied, 0 conflicts', '6 in both, 0 copied, 0 conflicts'], shape);
    RETURN NEXT set_eq(
        'SELECT l.v::text AS v, l.s::text AS s, p::text, m::text, "Name", n.v::text AS nv, n.s::text AS ns FROM b.loose l
            LEFT JOIN b.noted n ON l.id = loose',
        'SELECT l.v::text AS v, l.s::text AS s, p::text, m::text, "Name", n.v::text AS nv, n.s::text AS ns FROM a.loose l
            LEFT JOIN a.noted n ON l.id = loose',
        shape || ': values as they were');
END $body$;
SELECT under('extra_float_digits=0');
SELECT under('extra_float_digits=-15', 'bytea_output=escape');
SELECT under('array_nulls=off');
SELECT under('DateStyle=SQL, DMY', 'IntervalStyle=sql_standard');
SELECT under('DateStyle=German', 'IntervalStyle=iso_8601', 'TimeZone=America/St_Johns');
SELECT under('DateStyle=Postgres, MDY', 'IntervalStyle=postgres_verbose', 'TimeZone=Asia/Kathmandu');
SELECT under('xmloption=document', 'xmlbinary=hex');
SELECT under('standard_conforming_strings=off', 'backslash_quote=off', 'escape_string_warning=on', 'quote_all_identifiers=on',
    'transform_null_equals=on');
SELECT under('client_encoding=LATIN1', 'check_function_bodies=off', 'default_toast_compression=pglz', 'synchronize_seqscans=off');
SELECT under('enable_hashjoin=off', 'enable_hashagg=off', 'enable_sort=off', 'enable_seqscan=off', 'work_mem=64kB');
SELECT under('enable_nestloop=off', 'enable_mergejoin=off', 'enable_indexscan=off',
    'parallel_setup_cost=0', 'parallel_tuple_cost=0', 'min_parallel_table_scan_size=0');
SELECT under('plan_cache_mode=force_generic_plan', 'cursor_tuple_fraction=0.001', 'from_collapse_limit=1', 'join_collapse_limit=1');
SELECT under('session_replication_role=replica', 'row_security=off');

SELECT * FROM finish();
ROLLBACK;
