-- Tables that hold no facts: factmerge_ignore() and factmerge_unignore()
BEGIN;
\ir include/shapes.sql
SELECT plan(63);

CREATE FUNCTION ignored() RETURNS SETOF text LANGUAGE sql AS
    'SELECT fact_table::text FROM factmerge.ignored_table ORDER BY fact_table::text COLLATE "C"';

--
-- A queue on both sides, the bookkeeping of migrations on one
--
CREATE PROCEDURE make_people() LANGUAGE sql AS $make$
    CALL make(
        'CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE, born integer);
         CREATE TABLE queue (id serial PRIMARY KEY, person integer REFERENCES person, job text)',
        $$INSERT INTO person (name) VALUES ('Ada'), ('Bob'); INSERT INTO queue (person, job) VALUES (1, 'greet'), (2, 'greet')$$,
        $$INSERT INTO person (name) VALUES ('Cid'), ('Bob'); INSERT INTO queue (person, job) VALUES (1, 'greet')$$)
$make$;
CALL make_people();
SELECT lives_ok($$SELECT factmerge_ignore('b.queue')$$, 'a table can be ignored');
SELECT results_eq('SELECT ignored()', $$VALUES ('b.queue')$$, '... which is kept');
SELECT results_eq('SELECT fact_table::text FROM factmerge_tables(''b'')', $$VALUES ('b.person')$$,
    '... and it is no fact table any more');
SELECT merges('ignored table', '1 in both, 1 copied, 0 conflicts',
    'SELECT name, job, p.factmerge_provenance FROM b.person p LEFT JOIN b.queue ON person = p.id ORDER BY 1',
    '(Ada,,source)
     (Bob,,both)
     (Cid,greet,destination)');
SELECT columns_are('b', 'queue', ARRAY['id', 'person', 'job'], 'ignored table: left alone');
SELECT is_empty($$SELECT FROM factmerge_report() WHERE fact_table = 'queue'$$, 'ignored table: not reported');
SELECT lives_ok($$SELECT factmerge_ignore('b.queue')$$, 'to ignore it again changes nothing');
SELECT results_eq('SELECT ignored()', $$VALUES ('b.queue')$$, '... indeed');
SELECT lives_ok($$SELECT factmerge_unignore('b.queue')$$, 'and back');
SELECT is_empty('SELECT ignored()', '... to what it was');
SELECT merges('table that is not ignored any more', '2 in both, 2 copied, 0 conflicts',
    'SELECT name, job, q.factmerge_provenance FROM b.person p LEFT JOIN b.queue q ON person = p.id ORDER BY 1',
    '(Ada,greet,source)
     (Bob,greet,source)
     (Cid,greet,destination)');

CALL make_people();
CREATE TABLE a.migration (name text, at timestamptz DEFAULT now());
INSERT INTO a.migration VALUES ('0001_initial');
SELECT refuses('table that only the source has, before it is ignored', '42P01', 'only the source has table "migration".*HINT');
SELECT factmerge_ignore('a.migration') \g /dev/null
SELECT merges('ignored table that only the source has', '1 in both, 3 copied, 0 conflicts',
    'SELECT name, factmerge_provenance FROM b.person ORDER BY 1',
    '(Ada,source)
     (Bob,both)
     (Cid,destination)');
SELECT factmerge_unignore('a.migration') \g /dev/null
SELECT refuses('table that only the source has, and is not ignored any more', '42P01',
    'only the source has table "migration".*HINT');

CREATE TABLE b.migration (name text PRIMARY KEY, checksum bytea NOT NULL);
SELECT refuses('tables that do not fit, before they are ignored', '42703', 'only the source has column "at".*HINT');
SELECT factmerge_ignore('b.migration') \g /dev/null
SELECT is(words(attempt()), '4 in both, 0 copied, 0 conflicts', 'ignored tables need not fit');
SELECT is_empty('SELECT FROM b.migration', '... as nothing goes into them');

--
-- What refers to an ignored table keeps its values, which have to be there
--
CREATE PROCEDURE make_cities() LANGUAGE plpgsql AS $make$
BEGIN
    CALL make(
        'CREATE TABLE country (id serial PRIMARY KEY, name text UNIQUE);
         CREATE TABLE city (id serial PRIMARY KEY, name text UNIQUE, country integer REFERENCES country)',
        $$INSERT INTO country (name) VALUES ('Norway'), ('Sweden');
            INSERT INTO city (name, country) VALUES ('Oslo', 1), ('Lund', 2), ('Atlantis', NULL)$$,
        $$INSERT INTO country (name) VALUES ('Norway'), ('Denmark'), ('Sweden');
            INSERT INTO city (name, country) VALUES ('Oslo', 1), ('Ribe', 2)$$);
    PERFORM factmerge_ignore('b.country');
END $make$;
CALL make_cities();
SELECT merges('reference to an ignored table is kept as it is', '1 in both, 2 copied, 0 conflicts',
    'SELECT c.name, o.name AS country, c.factmerge_provenance FROM b.city c LEFT JOIN b.country o ON o.id = country ORDER BY 1',
    '(Atlantis,,source)
     (Lund,Denmark,source)
     (Oslo,Norway,both)
     (Ribe,Denmark,destination)');
CALL make_cities();
INSERT INTO a.country VALUES (9, 'Finland');
INSERT INTO a.city (name, country) VALUES ('Turku', 9);
SELECT refuses('reference to an ignored table that leads nowhere', '23503', 'city.*country.*HINT', early => false);
SELECT factmerge_unignore('b.country') \g /dev/null
SELECT merges('reference to a table that is not ignored any more', '3 in both, 4 copied, 0 conflicts',
    'SELECT c.name, o.name AS country, c.factmerge_provenance AS c, o.factmerge_provenance AS o FROM b.city c
        LEFT JOIN b.country o ON o.id = country ORDER BY 1',
    '(Atlantis,,source,)
     (Lund,Sweden,source,both)
     (Oslo,Norway,both,both)
     (Ribe,Denmark,destination,destination)
     (Turku,Finland,source,source)');

-- An ignored table has no facts to be friends with
SELECT factmerge_ignore('b.country') \g /dev/null
SELECT is_empty($$SELECT FROM factmerge_friends('b') WHERE 'b.country'::regclass IN (fact_table, friend_table)$$,
    'ignored tables make no friends');
SELECT factmerge_unignore('b.country') \g /dev/null

--
-- Tables that could not be merged, if they were not ignored
--
CALL make('CREATE TABLE fact (f text PRIMARY KEY); CREATE TABLE parent (x integer); CREATE TABLE child () INHERITS (parent);
    CREATE TABLE counter (id serial PRIMARY KEY)',
    $$INSERT INTO fact VALUES ('a'); INSERT INTO counter DEFAULT VALUES;
        INSERT INTO child VALUES (1)$$, $$INSERT INTO fact VALUES ('b')$$);
SELECT factmerge_ignore(t) FROM unnest('{b.parent,b.child,b.counter}'::regclass[]) t \g /dev/null
SELECT merges('ignored tables that could not be merged', '0 in both, 1 copied, 0 conflicts',
    'SELECT f, factmerge_provenance FROM b.fact ORDER BY 1',
    '(a,source)
     (b,destination)');
SELECT factmerge_ignore('b.fact') \g /dev/null
SELECT is((attempt()).code, '42P01', 'nothing is left if all tables are ignored');
SELECT factmerge_unignore('b.fact') \g /dev/null

CALL make('CREATE TABLE fact (f text PRIMARY KEY); CREATE TABLE log (at date, what text) PARTITION BY RANGE (at);
    CREATE TABLE log_1 PARTITION OF log DEFAULT',
    $$INSERT INTO fact VALUES ('a'); INSERT INTO log VALUES ('2020-01-01', 'x')$$, '');
SELECT factmerge_ignore('b.log') \g /dev/null
SELECT merges('ignored partitioned table', '0 in both, 1 copied, 0 conflicts', 'SELECT count(*) FROM b.log', '(0)');

--
-- It goes with its table
--
SELECT results_eq('SELECT ignored()', $$VALUES ('b.log')$$, 'what is declared ...');
DROP TABLE b.log;
SELECT is_empty('SELECT ignored()', '... goes with its table');
SELECT is_empty('SELECT FROM factmerge.ignored_table', '... at once');

--
-- Errors
--
SELECT throws_ok($$SELECT factmerge_ignore('b.nothing')$$, '42P01', NULL, 'no such table');
CREATE VIEW b.view AS SELECT 1;
SELECT throws_ok($$SELECT factmerge_ignore('b.view')$$, '42809', NULL, 'a view is not a table');
SELECT throws_ok($$SELECT factmerge_ignore('b.fact_pkey')$$, '42809', NULL, 'an index is not a table');
SELECT throws_ok($$SELECT factmerge_unignore('b.fact')$$, '42704', NULL, 'what is not ignored cannot be unignored');
CREATE ROLE factmerge_stranger;
GRANT USAGE ON SCHEMA b TO factmerge_stranger;
SELECT factmerge_ignore('b.fact') \g /dev/null
SET LOCAL ROLE factmerge_stranger;
SELECT throws_ok($$SELECT factmerge_ignore('b.fact')$$, '42501', NULL, 'only the owner can ignore a table');
SELECT throws_ok($$SELECT factmerge_unignore('b.fact')$$, '42501', NULL, '... and take it back');
SELECT results_eq('SELECT ignored()', $$VALUES ('b.fact')$$, 'everybody can see what is ignored');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
