-- Tables of all kinds: partitioned in any way, unlogged, typed, inheriting,
-- empty, on one side only; and what is no fact table
BEGIN;
\ir include/shapes.sql
SELECT plan(132);

--
-- Partitioned tables.  Readings of stations by year, remarks on them, and a log
-- without a key.
--
CREATE FUNCTION readings(reading_by text DEFAULT '', log_by text DEFAULT '') RETURNS text LANGUAGE sql AS $body$
    SELECT format($$
        CREATE TABLE station (id serial PRIMARY KEY, name text UNIQUE);
        CREATE TABLE reading (station integer REFERENCES station, year integer, value integer, PRIMARY KEY (station, year)) %s;
        CREATE TABLE remark (id serial PRIMARY KEY, station integer, year integer, remark text,
            FOREIGN KEY (station, year) REFERENCES reading, UNIQUE (station, year, remark));
        CREATE TABLE log (id serial, station integer REFERENCES station, year integer NOT NULL, what text) %s;
    $$, reading_by, log_by)
$body$;
-- ... by range: one partition has its columns in another order and partitions
-- of its own, and another one holds the rest
SELECT readings('PARTITION BY RANGE (year)', 'PARTITION BY RANGE (year)') || $$
    CREATE TABLE reading_1 PARTITION OF reading FOR VALUES FROM (2000) TO (2010);
    CREATE TABLE reading_2 (x integer, value integer, y text, year integer NOT NULL, station integer NOT NULL) PARTITION BY LIST (year);
    ALTER TABLE reading_2 DROP x, DROP y;
    CREATE TABLE reading_2_1 (station integer NOT NULL, z json, year integer NOT NULL, value integer);
    ALTER TABLE reading_2_1 DROP z;
    ALTER TABLE reading_2 ATTACH PARTITION reading_2_1 FOR VALUES IN (2010, 2011);
    CREATE TABLE reading_2_2 PARTITION OF reading_2 DEFAULT;
    ALTER TABLE reading ATTACH PARTITION reading_2 FOR VALUES FROM (2010) TO (2020);
    CREATE TABLE reading_3 PARTITION OF reading DEFAULT;
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (MINVALUE) TO (2011);
    CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2011) TO (MAXVALUE)$$ AS by_range \gset
-- ... by hash, of a reference and of a drawn number
SELECT readings('PARTITION BY HASH (station)', 'PARTITION BY HASH (id)') || $$
    CREATE TABLE reading_1 PARTITION OF reading FOR VALUES WITH (MODULUS 3, REMAINDER 0);
    CREATE TABLE reading_2 PARTITION OF reading FOR VALUES WITH (MODULUS 3, REMAINDER 1);
    CREATE TABLE reading_3 PARTITION OF reading FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE log_2 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 1)$$ AS by_hash \gset
-- ... by list, of a reference, which is another one after the merge
SELECT readings('PARTITION BY LIST (station)', 'PARTITION BY LIST (what)') || $$
    CREATE TABLE reading_1 PARTITION OF reading FOR VALUES IN (1);
    CREATE TABLE reading_2 PARTITION OF reading FOR VALUES IN (2, 3);
    CREATE TABLE reading_3 PARTITION OF reading DEFAULT;
    CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (NULL, 'x');
    CREATE TABLE log_2 PARTITION OF log DEFAULT$$ AS by_list \gset
SELECT readings() AS plain \gset

CREATE FUNCTION partitions(shape text, tables text, destination_tables text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(tables,
        $$INSERT INTO station (name) VALUES ('x'), ('y');
            INSERT INTO reading VALUES (1, 2001, 1), (1, 2011, 2), (2, 2011, 3), (2, 1999, 4);
          INSERT INTO remark (station, year, remark) SELECT station, year, 'r' FROM reading ORDER BY value;
          INSERT INTO log (station, year, what) SELECT station, year, remark FROM remark ORDER BY id;
              INSERT INTO log (id, year) VALUES (3, 2000), (9, 2011)$$,
        $$INSERT INTO station (name) VALUES ('z'), ('y'); INSERT INTO reading VALUES (1, 2001, 1), (2, 2011, 9), (2, 1999, 4);
          INSERT INTO remark (station, year, remark) SELECT station, year, 'r' FROM reading WHERE year < 2005 ORDER BY value;
          INSERT INTO log (id, station, year, what) SELECT 10 - id, station, year, remark FROM remark;
              INSERT INTO log (id, year) VALUES (3, 2000)$$,
        destination_tables);
    RETURN QUERY SELECT merges(shape, '5 in both, 11 copied, 1 conflicts',
        'SELECT name, r.year, value, remark, what, l.id, r.factmerge_provenance AS r, m.factmerge_provenance AS m, l.factmerge_provenance AS l
         FROM b.station s JOIN b.reading r ON r.station = s.id LEFT JOIN b.remark m ON m.station = s.id AND m.year = r.year
         FULL JOIN b.log l ON l.station = s.id AND l.year = r.year ORDER BY name, r.year, l.year, l.id',
        '(x,2001,1,r,r,1,source,source,source)
         (x,2011,2,r,r,2,source,source,source)
         (y,1999,4,r,r,4,both,both,source)
         (y,1999,4,r,r,8,both,both,destination)
         (y,2011,9,r,r,3,both,source,source)
         (z,2001,1,r,r,9,destination,destination,destination)
         (,,,,,3,,,both)
         (,,,,,9,,,source)');
END $body$;
SELECT partitions('partitioned tables', :'by_range', :'by_range');
SELECT results_eq('SELECT tableoid::regclass::text, year, value FROM b.reading ORDER BY tableoid::regclass::text COLLATE "C", 2, 3',
    $$VALUES ('b.reading_1', 2001, 1), ('b.reading_1', 2001, 1), ('b.reading_2_1', 2011, 2), ('b.reading_2_1', 2011, 9),
        ('b.reading_3', 1999, 4)$$,
    'partitioned tables: each fact where it belongs');
SELECT partitions('partitioned in the source', :'by_range', :'plain');
SELECT partitions('partitioned in the destination', :'plain', :'by_range');
SELECT partitions('partitioned by range in the source and by hash in the destination', :'by_range', :'by_hash');
SELECT partitions('partitioned by hash in the source and by list in the destination', :'by_hash', :'by_list');
SELECT partitions('partitioned by list in the source and by range in the destination', :'by_list', :'by_range');

-- Partitions that live elsewhere
CREATE SCHEMA attic;
CALL make(
    $$CREATE TABLE reading (id serial, year integer, value integer, UNIQUE (year, id),
        UNIQUE (year, value)) PARTITION BY RANGE (year)$$, '', '');
CREATE TABLE attic.a_reading PARTITION OF a.reading DEFAULT;
CREATE TABLE attic.b_reading PARTITION OF b.reading FOR VALUES FROM (2000) TO (2010);
CREATE TABLE b.reading_1 PARTITION OF b.reading DEFAULT;
-- ... and one of another table that lives here
CREATE TABLE attic.log (n integer) PARTITION BY LIST (n);
CREATE TABLE b.log PARTITION OF attic.log DEFAULT;
CREATE TABLE a.log PARTITION OF attic.log FOR VALUES IN (1);
INSERT INTO a.reading (year, value) VALUES (2001, 1), (2011, 1), (2002, 1);
INSERT INTO b.reading (year, value) VALUES (2002, 1), (2012, 1);
INSERT INTO attic.log VALUES (1), (2);
SELECT merges('partitions in another schema', '1 in both, 2 copied, 1 conflicts',
    'SELECT tableoid::regclass, year, factmerge_provenance FROM b.reading ORDER BY 2',
    '(attic.b_reading,2001,source)
     (attic.b_reading,2002,both)
     (b.reading_1,2011,source)
     (b.reading_1,2012,destination)');
SELECT columns_are('attic', 'log', ARRAY['n'], 'partitions in another schema: those of other tables are left alone');
DROP SCHEMA attic CASCADE;
CREATE FUNCTION heirs(shape text, tables text, destination_tables text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make('CREATE TABLE person (name text); CREATE TABLE poet (name text, verses integer PRIMARY KEY);' || tables,
        $$INSERT INTO poet VALUES ('Ada', 2), ('Cid', 3)$$, $$INSERT INTO poet VALUES ('Cid', 3), ('Bob', 4)$$,
        'CREATE TABLE person (name text); CREATE TABLE poet (name text, verses integer PRIMARY KEY);' || destination_tables);
    RETURN NEXT is(words(attempt()), '1 in both, 1 copied, 0 conflicts', shape);
    RETURN NEXT results_eq('SELECT name, factmerge_provenance::text FROM b.poet ORDER BY 1',
        $$VALUES ('Ada', 'source'), ('Bob', 'destination'), ('Cid', 'both')$$, shape || ': the facts');
    RETURN NEXT is(words(attempt()), '2 in both, 0 copied, 0 conflicts', shape || ': merged again');
END $body$;
SELECT heirs('children of a parent without rows', 'ALTER TABLE poet INHERIT person', 'ALTER TABLE poet INHERIT person');
SELECT heirs('children in the source', 'ALTER TABLE poet INHERIT person', '');
SELECT heirs('children in the destination', '', 'ALTER TABLE poet INHERIT person');
SELECT heirs('children of a parent that only the source has', 'CREATE TABLE root (name text); ALTER TABLE poet INHERIT root', '');

-- What is fetched from elsewhere cannot be given a column
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CALL make('CREATE TABLE reading (year integer, value integer)', '', '',
    'CREATE TABLE reading (year integer, value integer) PARTITION BY RANGE (year);
    CREATE FOREIGN TABLE reading_1 PARTITION OF reading DEFAULT SERVER files OPTIONS (filename ''/dev/null'')');
INSERT INTO a.reading VALUES (2000, 1);
SELECT refuses('foreign partition in the destination', '0A000',
    'cannot merge into table "reading".*"reading_1" is a foreign table.*HINT');

--
-- Unlogged, typed, and without columns
--
CREATE FUNCTION people(shape text, tables text, destination_tables text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(tables, $$INSERT INTO person VALUES ('Ada', 1815), ('Bob', 1900);
        INSERT INTO deed VALUES ('Ada', 'sang'), ('Bob', 'sang')$$,
        $$INSERT INTO person VALUES ('Bob', 1901), ('Cid', 1850); INSERT INTO deed VALUES ('Bob', 'sang')$$, destination_tables);
    RETURN QUERY SELECT merges(shape, '2 in both, 2 copied, 1 conflicts',
        'SELECT name, born, deed, p.factmerge_provenance AS p, d.factmerge_provenance AS d FROM b.person p
            LEFT JOIN b.deed d ON person = name ORDER BY 1',
        '(Ada,1815,sang,source,source)
         (Bob,1901,sang,both,both)
         (Cid,1850,,destination,)');
END $body$;
\set people 'CREATE TABLE person (name text PRIMARY KEY, born integer); CREATE TABLE deed (person text REFERENCES person, deed text);'
SELECT people('unlogged', replace(:'people', 'TABLE', 'UNLOGGED TABLE'), replace(:'people', 'TABLE', 'UNLOGGED TABLE'));
SELECT people('unlogged in the source', replace(:'people', 'TABLE', 'UNLOGGED TABLE'), :'people');
SELECT people('unlogged in the destination', :'people', replace(:'people', 'TABLE', 'UNLOGGED TABLE'));
SELECT results_eq($$SELECT relpersistence::text FROM pg_class WHERE oid IN ('b.person'::regclass, 'b.deed'::regclass)$$,
    $$VALUES ('u'), ('u')$$,
    'unlogged in the destination: still unlogged');
SELECT $$CREATE TYPE human AS (name text, born integer); CREATE TABLE person OF human (PRIMARY KEY (name));
    CREATE TABLE deed (person text REFERENCES person, deed text);$$ AS typed \gset
SELECT people('table of a composite type in the source', :'typed', :'people');
CALL make(:'typed');
SELECT refuses('table of a composite type in the destination', '42809', 'person|typed table', early => false);
SELECT people('other storage', :'people' || 'ALTER TABLE person SET (fillfactor = 50),
    CLUSTER ON person_pkey, REPLICA IDENTITY FULL; ALTER TABLE person ALTER name SET STORAGE PLAIN',
    :'people' || 'ALTER TABLE deed SET (autovacuum_enabled = off), REPLICA IDENTITY NOTHING;
        ALTER TABLE person ALTER name SET STORAGE EXTERNAL');
CALL make(:'people' || 'CREATE TABLE nothing ()', 'INSERT INTO nothing DEFAULT VALUES');
SELECT refuses('table without columns', '0A000', 'cannot tell the facts of table "nothing" apart.*HINT');

--
-- Inheritance
--
CREATE FUNCTION inheriting(shape text, tables text, destination_tables text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make('CREATE TABLE person (name text);
        CREATE TABLE poet (name text, verses integer);' || tables, $$INSERT INTO poet VALUES ('Ada', 2); INSERT INTO person VALUES ('Eve')$$,
        $$INSERT INTO poet VALUES ('Bob', 3)$$,
        'CREATE TABLE person (name text); CREATE TABLE poet (name text, verses integer);' || destination_tables);
    RETURN QUERY SELECT refuses(shape, '0A000', 'cannot merge table "(person|poet)" because it takes part in inheritance.*HINT');
END $body$;
SELECT inheriting('inheritance refused', 'ALTER TABLE poet INHERIT person', 'ALTER TABLE poet INHERIT person');
SELECT inheriting('inheritance in the source refused', 'ALTER TABLE poet INHERIT person', '');
SELECT inheriting('inheritance in the destination refused', '', 'ALTER TABLE poet INHERIT person');
CREATE SCHEMA attic;
SELECT inheriting('inheritance from another schema refused', '', 'CREATE TABLE attic.poet () INHERITS (person)');
DROP SCHEMA attic CASCADE;

--
-- What is on one side only, and what is no fact table
--
CALL make(:'people', '', '');
SELECT merges('empty tables', '0 in both, 0 copied, 0 conflicts', 'SELECT * FROM b.person', NULL);
CALL make(:'people', $$INSERT INTO person VALUES ('Ada', 1815); INSERT INTO deed VALUES ('Ada', 'sang')$$, '');
SELECT merges('empty destination', '0 in both, 2 copied, 0 conflicts',
    'SELECT name, deed, p.factmerge_provenance, d.factmerge_provenance FROM b.person p, b.deed d',
    '(Ada,sang,source,source)');
CALL make(:'people', '', $$INSERT INTO person VALUES ('Ada', 1815); INSERT INTO deed VALUES ('Ada', 'sang')$$);
SELECT merges('empty source', '0 in both, 0 copied, 0 conflicts',
    'SELECT name, deed, p.factmerge_provenance, d.factmerge_provenance FROM b.person p, b.deed d',
    '(Ada,sang,destination,destination)');

CALL make(:'people', '', '', :'people' || 'CREATE TABLE prize (person text REFERENCES person, prize serial);
    CREATE TABLE parent (x integer); CREATE TABLE child () INHERITS (parent)');
INSERT INTO a.person VALUES ('Ada', 1815);
INSERT INTO b.person VALUES ('Ada', 1815);
INSERT INTO b.prize VALUES ('Ada');
SELECT merges('tables that only the destination has', '1 in both, 0 copied, 0 conflicts', 'SELECT * FROM b.prize', '(Ada,1)');
SELECT columns_are('b', 'prize', ARRAY['person', 'prize'], 'tables that only the destination has: left alone');

CALL make(:'people' || 'CREATE TABLE prize (prize text)', $$INSERT INTO prize VALUES ('gold')$$, '', :'people');
SELECT refuses('table that only the source has', '42P01',
    'only the source has table "prize"\nDETAIL: The merge would lose its facts.\nHINT: Create the table in schema "b"');
CREATE VIEW b.prize AS SELECT 'gold'::text AS prize;
SELECT refuses('table that is a view in the destination', '42P01', 'only the source has table "prize".*HINT');

-- (That a notice names them is tested in shapes_sessions.sql)
CALL make(:'people' || $$CREATE VIEW elder AS SELECT * FROM person WHERE born < 1900;
    CREATE MATERIALIZED VIEW deeds AS SELECT person, count(*) FROM deed GROUP BY 1;
      CREATE FUNCTION noise() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''inserted into %'', TG_TABLE_NAME; END';
          CREATE TRIGGER noise INSTEAD OF INSERT ON elder FOR EACH ROW EXECUTE FUNCTION noise();
      CREATE SEQUENCE counter; CREATE TYPE pair AS (x integer, y integer); CREATE STATISTICS born (mcv) ON name, born FROM person$$,
    $$INSERT INTO person VALUES ('Ada', 1815), ('Bob', 1900); INSERT INTO deed VALUES ('Ada', 'sang'); SELECT nextval('counter');
        REFRESH MATERIALIZED VIEW deeds$$,
    $$INSERT INTO person VALUES ('Cid', 1850); INSERT INTO deed VALUES ('Cid', 'sang'); REFRESH MATERIALIZED VIEW deeds$$);
SELECT merges('views and materialized views left alone', '0 in both, 3 copied, 0 conflicts',
    'SELECT e.name, (SELECT count(*) FROM b.deeds d WHERE person = name) FROM b.elder e ORDER BY 1',
    '(Ada,0)
     (Cid,1)');
DROP TABLE b.deed CASCADE;
CREATE VIEW b.deed AS SELECT name AS person, 'sang'::text AS deed FROM b.person;
DROP TABLE a.deed CASCADE;
CREATE VIEW a.deed AS TABLE b.deed;
SELECT merges('views in place of a table on both sides', '2 in both, 0 copied, 0 conflicts',
    'SELECT name, factmerge_provenance FROM b.person ORDER BY 1',
    '(Ada,source)
     (Bob,source)
     (Cid,destination)');

--
-- Columns of factmerge's own
--
CALL make(:'people', $$INSERT INTO person VALUES ('Ada', 1815)$$, $$INSERT INTO person VALUES ('Bob', 1900)$$);
SELECT is(words(attempt(false, 'b', 'a')), '0 in both, 1 copied, 0 conflicts',
    'source that has been a destination: the first merge');
SELECT merges('source that has been a destination', '1 in both, 1 copied, 0 conflicts',
    'SELECT name, factmerge_provenance FROM b.person ORDER BY 1',
    '(Ada,source)
     (Bob,both)');
SELECT is(words(attempt(false, 'b', 'a')), '2 in both, 0 copied, 0 conflicts', 'source that has been a destination: and back');
CALL make(:'people' || 'ALTER TABLE deed ADD factmerge_merge text');
SELECT refuses('column of one''s own with a name of factmerge''s', '42701',
    'table "deed" has a column of its own named.*DETAIL.*HINT');
CALL make('CREATE TABLE person (name text PRIMARY KEY, factmerge_merge text)', $$INSERT INTO person VALUES ('Ada', 'mine')$$, '',
    'CREATE TABLE person (name text PRIMARY KEY)');
SELECT refuses('column of one''s own with a name of factmerge''s in the source', '42703',
    'only the source has column "factmerge_merge" of table "person".*HINT');

--
-- Schemas
--
SELECT is((attempt(false, 'a', 'a')).code, '22023', 'source and destination the same');
SELECT is((attempt(false, 'nowhere', 'b')).code, '3F000', 'source missing');
SELECT is((attempt(false, 'a', 'nowhere')).code, '3F000', 'destination missing');
CREATE SCHEMA empty;
SELECT is((attempt(false, 'a', 'empty')).code, '42P01', 'no common table');
SELECT matches(string_agg((attempt(false, s, d)).error, E'\n'),
    '^[^\n]*(\nDETAIL[^\n]*)?\nHINT[^\n]*\n[^\n]*\nHINT[^\n]*\n[^\n]*(\nDETAIL[^\n]*)?\nHINT', 'such errors have a hint')
FROM (VALUES ('a'::name, 'a'::name), ('aa', 'b'), ('a', 'empty')) x (s, d);

SELECT * FROM finish();
ROLLBACK;
