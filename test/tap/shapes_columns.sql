-- Tables that are not quite alike: columns in another order, dropped, computed,
-- on one side only, of wider and of narrower types, and very many of them
BEGIN;
\ir include/shapes.sql
SELECT plan(223);
CREATE EXTENSION citext;

CALL make(
    'CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE, born integer, died integer);
     CREATE TABLE deed (person integer REFERENCES person, deed text, year integer, PRIMARY KEY (person, deed))',
    $$INSERT INTO person (name, born, died) VALUES ('Ada', 1815, 1852), ('Bob', 1900, NULL);
        INSERT INTO deed VALUES (1, 'sang', 1), (2, 'sang', 2), (2, 'fell', 3)$$,
    $$INSERT INTO person (name, born, died) VALUES ('Cid', 1, 2), ('Bob', 1900, 1950);
        INSERT INTO deed (person, deed, year) VALUES (1, 'sang', 1), (2, 'sang', 4)$$,
    'CREATE TABLE person (died integer, born integer, name text UNIQUE, id serial PRIMARY KEY);
     CREATE TABLE deed (deed text, year integer, person integer REFERENCES person, PRIMARY KEY (deed, person))');
SELECT merges('columns in another order', '2 in both, 3 copied, 2 conflicts',
    'SELECT name, born, died, deed, year, p.factmerge_provenance AS p, d.factmerge_provenance AS d FROM b.person p
        JOIN b.deed d ON person = id ORDER BY 1, 4',
    '(Ada,1815,1852,sang,1,source,source)
     (Bob,1900,1950,fell,3,both,source)
     (Bob,1900,1950,sang,4,both,both)
     (Cid,1,2,sang,1,destination,destination)');

CALL make(
    'CREATE TABLE person (x integer, id serial PRIMARY KEY, y text, name text UNIQUE, z date);
     ALTER TABLE person DROP x, DROP y, DROP z, ADD born integer;
     CREATE TABLE deed (x integer, person integer REFERENCES person, deed text, PRIMARY KEY (person, deed));
         ALTER TABLE deed DROP x',
    $$INSERT INTO person (name, born) VALUES ('Ada', 1815), ('Bob', 1900); INSERT INTO deed SELECT id, 'sang' FROM person$$,
    $$INSERT INTO person (name, born) VALUES ('Cid', 1), ('Bob', 1901); INSERT INTO deed SELECT id, 'sang' FROM person$$,
    'CREATE TABLE person (born text, name text UNIQUE, v text, id serial PRIMARY KEY); ALTER TABLE person DROP born, DROP v;
        ALTER TABLE person ADD born integer;
     CREATE TABLE deed (person integer REFERENCES person, x integer, y json, deed text, PRIMARY KEY (person, deed));
         ALTER TABLE deed DROP x, DROP y');
SELECT merges('dropped columns', '2 in both, 2 copied, 1 conflicts',
    'SELECT name, born, deed, p.factmerge_provenance AS p, d.factmerge_provenance AS d FROM b.person p JOIN b.deed d ON person = id
        ORDER BY 1',
    '(Ada,1815,sang,source,source)
     (Bob,1901,sang,both,both)
     (Cid,1,sang,destination,destination)');

--
-- Generated columns, each side by its own expression
--
CREATE FUNCTION areas(shape text, totals text, of_source text, of_destination text)
RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make('CREATE TABLE field (name text PRIMARY KEY, width integer, area integer ' || of_source || ')',
        CASE of_source
            WHEN '' THEN $$INSERT INTO field VALUES ('a', 2, 4), ('b', 3, 9)$$
            ELSE $$INSERT INTO field VALUES ('a', 2), ('b', 3)$$ END,
        CASE of_destination
            WHEN '' THEN $$INSERT INTO field VALUES ('b', 3, 90), ('c', 4, 160)$$
            ELSE $$INSERT INTO field VALUES ('b', 3), ('c', 4)$$ END,
        'CREATE TABLE field (name text PRIMARY KEY, width integer, area integer ' || of_destination || ')');
    RETURN QUERY SELECT merges(shape, totals, 'SELECT name, width, area, factmerge_provenance FROM b.field ORDER BY 1',
        format('(a,2,%s,source)
                (b,3,90,both)
                (c,4,160,destination)', CASE WHEN of_destination = '' THEN 4 ELSE 40 END));
END $body$;
SELECT areas('generated columns', '1 in both, 1 copied, 0 conflicts', 'GENERATED ALWAYS AS (width * width) STORED',
    'GENERATED ALWAYS AS (10 * width * width) STORED');
SELECT areas('generated column that is an ordinary one in the source', '1 in both, 1 copied, 0 conflicts', '',
    'GENERATED ALWAYS AS (10 * width * width) STORED');
SELECT areas('generated column that is an ordinary one in the destination', '1 in both, 1 copied, 1 conflicts',
    'GENERATED ALWAYS AS (width * width) STORED', '');
CALL make(
    'CREATE TABLE tag (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tag text, plain text GENERATED ALWAYS AS (lower(tag)) STORED UNIQUE);
     CREATE TABLE tagged (thing text, tag integer REFERENCES tag, PRIMARY KEY (thing, tag))',
    $$INSERT INTO tag (tag) VALUES ('Tea'), ('Milk'); INSERT INTO tagged VALUES ('cup', 1), ('cup', 2)$$,
    $$INSERT INTO tag (tag) VALUES ('Gin'), ('TEA'); INSERT INTO tagged VALUES ('cup', 2), ('mug', 1)$$);
SELECT merges('generated column that is the key', '2 in both, 2 copied, 1 conflicts',
    'SELECT t.tag, plain, thing, t.factmerge_provenance AS t, d.factmerge_provenance AS d FROM b.tag t
        JOIN b.tagged d ON d.tag = id ORDER BY 2',
    '(Gin,gin,mug,destination,destination)
     (Milk,milk,cup,source,source)
     (TEA,tea,cup,both,both)');

--
-- Columns that only one side has
--
CALL make(
    'CREATE TABLE person (name text PRIMARY KEY); CREATE TABLE deed (deed text, person text REFERENCES person)',
    $$INSERT INTO person VALUES ('Ada'), ('Bob'), ('Cid'); INSERT INTO deed VALUES ('sang', 'Ada'), ('sang', 'Bob')$$,
    $$INSERT INTO person (name, state) VALUES ('Bob', 'old'), ('Dot', 'old');
        INSERT INTO deed (deed, person, seen) VALUES ('sang', 'Bob', true)$$,
    $$CREATE TABLE person (
          number serial, name text PRIMARY KEY, state text NOT NULL DEFAULT 'new', token uuid NOT NULL DEFAULT gen_random_uuid(),
          rank integer GENERATED ALWAYS AS IDENTITY (START 101), shout text GENERATED ALWAYS AS (upper(name)) STORED, born date);
      CREATE TABLE deed (id bigserial PRIMARY KEY, deed text, person text REFERENCES person, seen boolean DEFAULT false)$$);
SELECT merges('defaults only in the destination', '2 in both, 3 copied, 0 conflicts',
    'SELECT number, name, state, rank, shout, born, id, seen, p.factmerge_provenance AS p, d.factmerge_provenance AS d
        FROM b.person p LEFT JOIN b.deed d ON person = name ORDER BY 1',
    '(1,Bob,old,101,BOB,,1,t,both,both)
     (2,Dot,old,102,DOT,,,,destination,)
     (3,Ada,new,103,ADA,,2,f,source,source)
     (4,Cid,new,104,CID,,,,source,)');
SELECT results_eq('SELECT count(DISTINCT token) FROM b.person', 'VALUES (4::bigint)',
    'defaults only in the destination: one for each fact');
ALTER TABLE a.deed ADD place text;
SELECT refuses('column that only the source has', '42703',
    'only the source has column "place" of table "deed"\nDETAIL: The merge would lose its values.\nHINT: Add the column to b.deed');

-- What a database draws need not be a key
CALL make(
    'CREATE TABLE note (id integer GENERATED ALWAYS AS IDENTITY, version integer GENERATED BY DEFAULT AS IDENTITY, note text PRIMARY KEY)',
    $$INSERT INTO note (note, version) VALUES ('x', 5), ('y', 6)$$, $$INSERT INTO note (note) VALUES ('x')$$);
SELECT merges('identity columns that are no keys', '1 in both, 1 copied, 1 conflicts',
    'SELECT note, id, version, factmerge_provenance FROM b.note ORDER BY 1',
    '(x,1,1,both)
     (y,2,6,source)');

--
-- Types that hold whatever the source has.  One value is in both, and one new.
--
CREATE FUNCTION widens(from_type text, to_type text, value text, other text, expected text DEFAULT NULL, reference text DEFAULT 'REFERENCES t')
RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    -- a primary key, a foreign key to it, and a column by itself
    tables text := 'CREATE TABLE t (k %1$s PRIMARY KEY, v %1$s);
        CREATE TABLE u (k %1$s ' || reference || ', n integer, PRIMARY KEY (k, n))';
BEGIN
    CALL make(format(tables, from_type),
        format('INSERT INTO t VALUES (%1$L, %2$L), (%2$L, NULL); INSERT INTO u VALUES (%1$L, 1), (%2$L, 1)', value, other),
        format('INSERT INTO t VALUES (%1$L, %1$L); INSERT INTO u VALUES (%1$L, 1), (%1$L, 2)', value), format(tables, to_type));
    RETURN QUERY SELECT merges(format('%s to %s', from_type, to_type), '2 in both, 2 copied, 1 conflicts',
        format('SELECT n, t.k::text = %L::%s::text AS k, v IS NULL AS empty, t.factmerge_provenance AS t, u.factmerge_provenance AS u
                FROM b.t JOIN b.u USING (k) ORDER BY v IS NULL, n', coalesce(expected, other), to_type),
        '(1,f,f,both,both)
         (2,f,f,both,destination)
         (1,t,t,source,source)');
END $body$;
SELECT widens('smallint', 'integer', '1', '-32768');
SELECT widens('integer', 'bigint', '1', '2147483647');
SELECT widens('integer', 'numeric', '1', '-2147483648');
SELECT widens('bigint', 'numeric', '1', '9223372036854775807');
SELECT widens('smallint', 'real', '1', '32767');
SELECT widens('integer', 'double precision', '1', '2147483647');
SELECT widens('real', 'double precision', '1.5', '0.125');
SELECT widens('numeric(5,2)', 'numeric', '1.50', '999.99');
SELECT widens('numeric(5,2)', 'numeric(8,2)', '1.50', '-999.99');
SELECT widens('numeric(5,2)', 'numeric(8,4)', '1.50', '999.99');
SELECT widens('varchar', 'text', 'x', 'a much longer one');
SELECT widens('varchar(9)', 'text', 'x', '123456789');
SELECT widens('varchar(5)', 'varchar(9)', 'x', '12345');
SELECT widens('text', 'varchar', 'x', 'y ');
SELECT widens('char(3)', 'char(5)', 'x', 'abc');
SELECT widens('char(3)', 'text', 'xyz', 'ab', 'ab');
SELECT widens('name', 'text', 'x', 'y');
SELECT widens('citext', 'text', 'x', 'Y');
SELECT widens('date', 'timestamp', '2020-01-01', 'infinity');
SELECT widens('timestamp(0)', 'timestamp(3)', '2020-01-01', '2020-01-01 12:34:56');
SELECT widens('time(0)', 'time', '12:00', '12:34:56');
SELECT widens('interval(0)', 'interval', '1 day', '1 mon 2 days 03:04:05');
SELECT widens('cidr', 'inet', '10.0.0.0/8', 'fe80::/64');
SELECT widens('bit varying(3)', 'bit varying(5)', '1', '101');
SELECT widens('integer[]', 'bigint[]', '{1}', '{NULL,2147483647}');
-- (The server itself cannot check a foreign key of this type)
SELECT widens('varchar(3)[]', 'text[]', '{x}', '{abc,NULL,""}', reference => '');

--
-- Types that do not
--
CREATE FUNCTION narrows(from_type text, to_type text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(format('CREATE TABLE t (n integer PRIMARY KEY, v %s)', from_type), 'INSERT INTO t VALUES (1, NULL)',
        'INSERT INTO t VALUES (2, NULL)',
        format('CREATE TABLE t (n integer PRIMARY KEY, v %s)', to_type));
    RETURN QUERY SELECT refuses(format('%s to %s refused', from_type, to_type), '42804',
        'column "v" of table "t" does not fit\nDETAIL: Its type is .* in the source and .* in the destination.\nHINT: Give the column');
END $body$;
SELECT narrows('bigint', 'integer');
SELECT narrows('integer', 'real');
SELECT narrows('bigint', 'double precision');
SELECT narrows('double precision', 'real');
SELECT narrows('numeric', 'double precision');
SELECT narrows('numeric', 'integer');
SELECT narrows('numeric', 'numeric(9,2)');
SELECT narrows('numeric(6,3)', 'numeric(6,2)');
SELECT narrows('numeric(6,2)', 'numeric(6,3)');
SELECT narrows('text', 'varchar(10)');
SELECT narrows('varchar(20)', 'varchar(10)');
SELECT narrows('varchar', 'char(10)');
SELECT narrows('char(5)', 'char(3)');
SELECT narrows('text', 'name');
SELECT narrows('text', 'integer');
SELECT narrows('text', 'text[]');
SELECT narrows('bigint[]', 'integer[]');
SELECT narrows('varchar(5)[]', 'varchar(3)[]');
SELECT narrows('timestamp', 'date');
SELECT narrows('timestamp', 'timestamp(0)');
SELECT narrows('interval', 'interval day to minute');
SELECT narrows('timestamptz', 'timestamp');
SELECT narrows('inet', 'cidr');
SELECT narrows('bit varying', 'bit(8)');
SELECT narrows('json', 'jsonb');

--
-- Very many columns
--
CREATE FUNCTION columns(format text, count integer) RETURNS text LANGUAGE sql AS
    $$SELECT string_agg(replace(format, '%s', n::text), ', ') FROM generate_series(1, count) n$$;
CREATE FUNCTION wide(ddl text, count integer) RETURNS text LANGUAGE sql AS
    $$SELECT format(ddl, columns('"Column %s" integer', count))$$;
-- The whole row counts: the second fact differs in the last column alone
SELECT wide('CREATE TABLE wide (id serial PRIMARY KEY, %s);
    CREATE TABLE note (wide integer REFERENCES wide, note text, PRIMARY KEY (wide, note))', 300) AS wide,
    format('INSERT INTO wide VALUES (DEFAULT, %s)', columns('%s', 300)) AS ordinary,
    format('INSERT INTO wide VALUES (DEFAULT, %s, 0)', columns('%s', 299)) AS other,
    format('INSERT INTO wide VALUES (DEFAULT, %s, 300)', columns('NULL', 299)) AS empty \gset
CALL make(:'wide',
    :'ordinary' || ';' || :'other' || ';' || :'empty' || $$;INSERT INTO note SELECT id, 'n' FROM wide$$,
    :'empty' || ';' || :'ordinary' || $$;INSERT INTO note SELECT id, 'n' FROM wide$$);
SELECT merges('300 columns', '4 in both, 2 copied, 0 conflicts',
    'SELECT "Column 1" AS first, "Column 299" AS next, "Column 300" AS last, note, w.factmerge_provenance AS w, n.factmerge_provenance AS n
     FROM b.wide w JOIN b.note n ON wide = id ORDER BY 1, 3',
    '(1,299,0,n,source,source)
     (1,299,300,n,both,both)
     (,,300,n,both,both)');
SELECT results_eq(
    $$SELECT to_jsonb(w) - 'id' - 'factmerge_provenance' - 'factmerge_merge' FROM b.wide w WHERE factmerge_provenance = 'source'$$,
    $$SELECT to_jsonb(w) - 'id' FROM a.wide w WHERE "Column 300" = 0$$,
    '300 columns: all of them arrive');

-- As many as there can be, so that there is no room for those of factmerge
CALL make(wide('CREATE TABLE wide (id serial PRIMARY KEY, %s)', 1598), 'INSERT INTO wide ("Column 1") VALUES (1)',
    'INSERT INTO wide ("Column 1") VALUES (2)');
SELECT refuses('1599 columns: no room for provenance', '54011', 'at most 1600 columns', early => false);
SELECT * FROM finish();
ROLLBACK;
