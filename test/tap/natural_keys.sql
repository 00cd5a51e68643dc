-- What makes two facts the same: natural keys of all kinds
--
-- Each part has a pair of schemas with the tables that it is about; all keys
-- but those said to be surrogate mean the same on both sides.
BEGIN;
SELECT plan(31);

-- Runs the same DDL in two new schemas, with %s for the schema
CREATE PROCEDURE make_pair(pair text, ddl text) LANGUAGE plpgsql AS $make$
DECLARE
    side text;
BEGIN
    FOREACH side IN ARRAY ARRAY['a', 'b'] LOOP
        EXECUTE format('CREATE SCHEMA %s_%s', pair, side);
        EXECUTE replace(ddl, '%s', pair || '_' || side);
    END LOOP;
END $make$;

-- The totals that matter here
CREATE FUNCTION merge(pair text) RETURNS text LANGUAGE sql AS $body$
    SELECT format('%s in both, %s copied, %s conflicts', in_both, copied, conflicts)
    FROM factmerge_merge((pair || '_a')::name, (pair || '_b')::name)
$body$;

--
-- Keys of one column: integer, text, uuid
--
CALL make_pair('plain', $ddl$
    CREATE TABLE %s.element (number integer PRIMARY KEY, symbol text);
    CREATE TABLE %s.country (code char(2) PRIMARY KEY, name text);
    CREATE TABLE %s.letter (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), words text,
        answers uuid REFERENCES %s.letter);
$ddl$);
INSERT INTO plain_a.element VALUES (1, 'H'), (2, 'He'), (26, 'Fe');
INSERT INTO plain_b.element VALUES (1, 'H'), (2, 'he'), (79, 'Au');
INSERT INTO plain_a.country VALUES ('NO', 'Norway'), ('SE', 'Sweden');
INSERT INTO plain_b.country VALUES ('NO', 'Norway'), ('DK', 'Denmark');
INSERT INTO plain_a.letter VALUES ('00000000-0000-0000-0000-000000000001', 'same', NULL);
INSERT INTO plain_b.letter TABLE plain_a.letter;
INSERT INTO plain_a.letter VALUES ('00000000-0000-0000-0000-00000000000a', 'hello', '00000000-0000-0000-0000-000000000001');
INSERT INTO plain_b.letter VALUES ('00000000-0000-0000-0000-00000000000b', 'hello', NULL);
SELECT is(merge('plain'), '4 in both, 3 copied, 1 conflicts', 'integer, text and uuid keys identify a fact');
SELECT results_eq('SELECT number, symbol FROM plain_b.element ORDER BY 1',
    $$VALUES (1, 'H'), (2, 'he'), (26, 'Fe'), (79, 'Au')$$, 'a natural key keeps its value');
SELECT bag_eq('SELECT id, answers FROM plain_b.letter',
    $$VALUES ('00000000-0000-0000-0000-000000000001'::uuid, NULL::uuid),
             ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-000000000001'),
             ('00000000-0000-0000-0000-00000000000b', NULL)$$,
    'a uuid, though random, is the same fact only if it is the same uuid');
SELECT results_eq($$SELECT key_kind FROM factmerge_tables('plain_b') WHERE fact_table = 'plain_b.element'::regclass$$,
    $$VALUES ('natural')$$, 'factmerge_tables says what kind of key it is');

--
-- Several columns; junction tables; a primary key that is a foreign key
--
CALL make_pair('joint', $ddl$
    CREATE TABLE %s.person (id serial PRIMARY KEY, name text UNIQUE NOT NULL);
    CREATE TABLE %s.club (id serial PRIMARY KEY, name text UNIQUE NOT NULL);
    CREATE TABLE %s.member (person integer REFERENCES %s.person, club integer REFERENCES %s.club,
        since integer, PRIMARY KEY (person, club));
    CREATE TABLE %s.portrait (person integer PRIMARY KEY REFERENCES %s.person, picture bytea);
    CREATE TABLE %s.fee (person integer, club integer, year integer, amount numeric,
        PRIMARY KEY (person, club, year), FOREIGN KEY (person, club) REFERENCES %s.member);
$ddl$);
INSERT INTO joint_a.person (name) VALUES ('Ada'), ('Bo'), ('Cleo');
INSERT INTO joint_b.person (name) VALUES ('Cleo'), ('Ada'), ('Dag');
INSERT INTO joint_a.club (name) VALUES ('chess'), ('rowing');
INSERT INTO joint_b.club (name) VALUES ('rowing'), ('chess');
INSERT INTO joint_a.member VALUES (1, 1, 2001), (2, 2, 2002), (3, 1, 2003);
INSERT INTO joint_b.member VALUES (2, 2, 2001), (3, 1, 2004);
INSERT INTO joint_a.portrait VALUES (1, 'a'), (3, 'c');
INSERT INTO joint_b.portrait VALUES (1, 'c');
INSERT INTO joint_a.fee VALUES (1, 1, 2010, 10), (3, 1, 2010, 12);
INSERT INTO joint_b.fee VALUES (2, 2, 2010, 10.00);
-- In both: Ada, Cleo; chess, rowing; Ada in chess; Cleo's portrait; Ada's fee
SELECT is(merge('joint'), '7 in both, 5 copied, 0 conflicts', 'keys that refer are compared as what they point at');
SELECT bag_eq($$SELECT p.name AS person, c.name AS club, since FROM joint_b.member m JOIN joint_b.person p ON p.id = m.person
                JOIN joint_b.club c ON c.id = club$$,
    $$VALUES ('Ada', 'chess', 2001), ('Dag', 'rowing', 2004), ('Bo', 'rowing', 2002), ('Cleo', 'chess', 2003)$$,
    'a junction table joins the right facts');
SELECT bag_eq($$SELECT p.name, convert_from(picture, 'UTF8') FROM joint_b.portrait JOIN joint_b.person p ON p.id = person$$,
    $$VALUES ('Ada', 'a'), ('Cleo', 'c')$$, 'so does a key that is a reference');
SELECT bag_eq($$SELECT p.name AS person, c.name AS club, amount FROM joint_b.fee f JOIN joint_b.person p ON p.id = person
                JOIN joint_b.club c ON c.id = club$$,
    $$VALUES ('Ada', 'chess', 10::numeric), ('Cleo', 'chess', 12)$$, '... and a reference of two columns');

--
-- A unique key beside a surrogate one, and nulls
--
CALL make_pair('nulls', $ddl$
    CREATE TABLE %s.loose (id serial PRIMARY KEY, code text UNIQUE, note text);
    CREATE TABLE %s.strict (id serial PRIMARY KEY, code text, UNIQUE NULLS NOT DISTINCT (code), note text);
$ddl$);
INSERT INTO nulls_a.loose (code, note) VALUES ('x', 'mine'), (NULL, 'first'), (NULL, 'second');
INSERT INTO nulls_b.loose (code, note) VALUES ('x', 'mine'), (NULL, 'first');
INSERT INTO nulls_a.strict (code, note) VALUES ('x', 'mine'), (NULL, 'nothing');
INSERT INTO nulls_b.strict (code, note) VALUES ('y', 'mine'), (NULL, 'nothing');
SELECT is(merge('nulls'), '3 in both, 2 copied, 0 conflicts', 'a key that holds a null identifies nothing ...');
SELECT results_eq('SELECT count(*) FROM nulls_b.loose WHERE code IS NULL', 'VALUES (2::bigint)', '... so the whole row does');
SELECT results_eq('SELECT count(*) FROM nulls_b.strict WHERE code IS NULL', 'VALUES (1::bigint)', '... unless NULLS NOT DISTINCT');

--
-- Several unique keys
--
CALL make_pair('several', $ddl$
    CREATE TABLE %s.citizen (id serial PRIMARY KEY, number integer UNIQUE, mail text CONSTRAINT mail_key UNIQUE, name text);
$ddl$);
INSERT INTO several_a.citizen (number, mail, name) VALUES (1, 'one', 'Ann'), (2, NULL, 'Bea'), (NULL, 'three', 'Cid'), (4, 'four', 'Dee');
INSERT INTO several_b.citizen (number, mail, name) VALUES (1, NULL, 'Ann'), (9, 'nine', 'Zoe'), (3, 'three', 'Cid'), (2, 'two', 'Bea');
SELECT is(merge('several'), '3 in both, 1 copied, 3 conflicts', 'facts are the same by any of several keys');
SELECT bag_eq($$SELECT column_name, source_value, destination_value FROM factmerge_conflicts()$$,
    $$VALUES ('mail'::name, 'one', NULL), ('mail', NULL, 'two'), ('number', NULL, '3')$$,
    '... and what one side does not know is a conflict, too');
INSERT INTO several_a.citizen (number, mail, name) VALUES (9, 'two', 'Eve');
SELECT throws_ok($$SELECT merge('several')$$, '21000', 'a fact of table "citizen" is the same as two facts of the destination',
    'a fact that equals one by one key, and another by another, is refused');
CREATE FUNCTION detail_of(statement text) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail;
END $body$;
SELECT matches(detail_of($$SELECT merge('several')$$),
    'equals destination fact \(id\)=\(2\) by key "citizen_number_key" and destination fact \(id\)=\(4\) by key "mail_key"',
    '... with the names of both');

--
-- No key at all, and nothing but a surrogate key: the whole row
--
CALL make_pair('row', $ddl$
    CREATE TABLE %s.place (id serial PRIMARY KEY, name text UNIQUE);
    CREATE TABLE %s.sighting (place integer REFERENCES %s.place, bird text, day date);
    CREATE TABLE %s.measure (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, place integer REFERENCES %s.place, value real, extra jsonb);
$ddl$);
INSERT INTO row_a.place (name) VALUES ('lake'), ('wood');
INSERT INTO row_b.place (name) VALUES ('wood'), ('lake');
INSERT INTO row_a.sighting VALUES (1, 'swan', '2024-04-01'), (1, 'swan', NULL), (2, 'owl', '2024-04-02');
INSERT INTO row_b.sighting VALUES (2, 'swan', '2024-04-01'), (2, 'swan', NULL), (2, 'owl', '2024-04-02');
INSERT INTO row_a.measure (place, value, extra) VALUES (1, 1.5, '{"a": 1}'), (1, 1.5, NULL), (2, 2.5, NULL);
INSERT INTO row_b.measure (place, value, extra) VALUES (2, 1.5, '{"a": 1}'), (2, 1.5, '{"a": 2}'), (1, 2.5, NULL);
-- Both places; both swans; the first and last measures
SELECT is(merge('row'), '6 in both, 2 copied, 0 conflicts', 'without a key facts are the same if all of the row is');
SELECT bag_eq($$SELECT name, bird FROM row_b.sighting JOIN row_b.place ON id = place$$,
    $$VALUES ('lake', 'swan'), ('lake', 'swan'), ('lake', 'owl'), ('wood', 'owl')$$, 'what refers, refers to the same place');
SELECT is(merge('row'), '8 in both, 0 copied, 0 conflicts', 'it is recognized the next time');

--
-- Self-reference: a tree whose names are unique below their parent
--
CALL make_pair('tree', $ddl$
    CREATE TABLE %s.folder (id serial PRIMARY KEY, parent integer REFERENCES %s.folder, name text NOT NULL,
        UNIQUE NULLS NOT DISTINCT (parent, name));
$ddl$);
INSERT INTO tree_a.folder (id, parent, name) VALUES (10, NULL, 'etc'), (11, 10, 'init'), (12, 11, 'run'), (13, NULL, 'run');
INSERT INTO tree_b.folder (id, parent, name) VALUES (20, NULL, 'run'), (21, NULL, 'etc'), (22, 21, 'init'), (23, 20, 'init');
SELECT setval('tree_b.folder_id_seq', 100) \g /dev/null
SELECT is(merge('tree'), '3 in both, 1 copied, 0 conflicts', 'names below their parents are matched level by level');
SELECT bag_eq($$WITH RECURSIVE path AS (SELECT id, '/' || name AS path FROM tree_b.folder WHERE parent IS NULL
                 UNION ALL SELECT f.id, p.path || '/' || f.name FROM path p JOIN tree_b.folder f ON f.parent = p.id)
                SELECT path FROM path$$,
    $$VALUES ('/etc'), ('/etc/init'), ('/etc/init/run'), ('/run'), ('/run/init')$$, '... at any depth');

--
-- Tables that refer to each other in a circle
--
CALL make_pair('circle', $ddl$
    CREATE TABLE %s.state (id serial PRIMARY KEY, name text UNIQUE, capital integer);
    CREATE TABLE %s.town (id serial PRIMARY KEY, name text, state integer NOT NULL REFERENCES %s.state, UNIQUE (state, name));
    ALTER TABLE %s.state ADD FOREIGN KEY (capital) REFERENCES %s.town;
$ddl$);
INSERT INTO circle_a.state (name) VALUES ('North'), ('South');
INSERT INTO circle_a.town (name, state) VALUES ('Aby', 1), ('Boby', 2);
UPDATE circle_a.state SET capital = id;
INSERT INTO circle_b.state (name) VALUES ('South');
INSERT INTO circle_b.town (name, state) VALUES ('Coby', 1), ('Boby', 1);
UPDATE circle_b.state SET capital = 2;
SELECT is(merge('circle'), '2 in both, 2 copied, 0 conflicts', 'circular references are copied rightly');
SELECT bag_eq($$SELECT s.name AS state, t.name AS town FROM circle_b.state s JOIN circle_b.town t ON t.id = s.capital AND t.state = s.id$$,
    $$VALUES ('North', 'Aby'), ('South', 'Boby')$$, '... so that every state has its own capital');

--
-- References to a unique column, and out of the schema
--
CREATE TABLE currency (code text PRIMARY KEY);
INSERT INTO currency VALUES ('NOK'), ('SEK');
CALL make_pair('far', $ddl$
    CREATE TABLE %s.bank (id serial PRIMARY KEY, swift text NOT NULL UNIQUE);
    CREATE TABLE %s.account (number text PRIMARY KEY, bank text REFERENCES %s.bank (swift), currency text REFERENCES currency);
$ddl$);
INSERT INTO far_a.bank (swift) VALUES ('X'), ('Y');
INSERT INTO far_b.bank (swift) VALUES ('Y');
INSERT INTO far_a.account VALUES ('1', 'X', 'NOK'), ('2', 'Y', 'SEK');
SELECT is(merge('far'), '1 in both, 3 copied, 0 conflicts', 'references to a unique column, and out of the schema');
SELECT bag_eq('SELECT number, bank, currency FROM far_b.account', $$VALUES ('1', 'X', 'NOK'), ('2', 'Y', 'SEK')$$,
    '... keep their values');

--
-- Equality is that of the index
--
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CALL make_pair('loose', $ddl$
    CREATE TABLE %s.tag (word text COLLATE public.caseless PRIMARY KEY);
    CREATE TABLE %s.amount (value numeric PRIMARY KEY);
$ddl$);
INSERT INTO loose_a.tag VALUES ('Tea'), ('Milk');
INSERT INTO loose_b.tag VALUES ('TEA');
INSERT INTO loose_a.amount VALUES (1.0), (2.50);
INSERT INTO loose_b.amount VALUES (1.00);
SELECT is(merge('loose'), '2 in both, 2 copied, 0 conflicts', 'words and numbers that are written differently, but equal');
SELECT bag_eq($$SELECT word COLLATE "C" FROM loose_b.tag$$, $$VALUES ('TEA' COLLATE "C"), ('Milk')$$, '... stay as the destination writes them');

--
-- What the columns may be
--
CALL make_pair('odd', $ddl$
    CREATE TYPE %s.mood AS ENUM ('sad', 'glad');
    CREATE DOMAIN %s.grade AS integer CHECK (VALUE BETWEEN 1 AND 6);
    CREATE TABLE %s."Odd ""one""" (gone integer, "Key" text PRIMARY KEY, mood %s.mood, grade %s.grade,
        twice integer GENERATED ALWAYS AS (length("Key") * 2) STORED, doc json, doc2 xml, at point);
    ALTER TABLE %s."Odd ""one""" DROP COLUMN gone;
$ddl$);
ALTER TABLE odd_b."Odd ""one""" ADD COLUMN added text DEFAULT 'dflt';
INSERT INTO odd_a."Odd ""one""" ("Key", mood, grade, doc, doc2, at) VALUES
    ('k1', 'sad', 1, '{"x":1}', '<x/>', '(1,2)'), ('k2', 'glad', 6, '[]', '<y/>', '(3,4)');
INSERT INTO odd_b."Odd ""one""" ("Key", mood, grade, doc, doc2, at) VALUES ('k1', 'glad', 1, '{"x":1}', '<x/>', '(1,2)');
SELECT is(merge('odd'), '1 in both, 1 copied, 1 conflicts', 'enums, domains, json, xml, odd names, generated and added columns');
SELECT results_eq($$SELECT "Key", mood::text, grade::integer, twice, doc::text, doc2::text, at::text, added FROM odd_b."Odd ""one""" ORDER BY 1$$,
    $$VALUES ('k1', 'glad', 1, 4, '{"x":1}', '<x/>', '(1,2)', 'dflt'), ('k2', 'glad', 6, 4, '[]', '<y/>', '(3,4)', 'dflt')$$,
    '... arrive as they were');
SELECT results_eq($$SELECT column_name, source_value, destination_value FROM factmerge_conflicts()$$,
    $$VALUES ('mood'::name, 'sad', 'glad')$$, '... and differ where they do');

--
-- A partitioned destination
--
CREATE SCHEMA part_a;
CREATE TABLE part_a.event (id serial, at date, what text, UNIQUE (at, what));
CREATE SCHEMA part_b;
CREATE TABLE part_b.event (id serial, at date, what text, UNIQUE (at, what)) PARTITION BY RANGE (at);
CREATE TABLE part_b.event_old PARTITION OF part_b.event FOR VALUES FROM ('2000-01-01') TO ('2010-01-01');
CREATE TABLE part_b.event_new PARTITION OF part_b.event FOR VALUES FROM ('2010-01-01') TO ('2020-01-01');
INSERT INTO part_a.event (at, what) VALUES ('2005-05-05', 'same'), ('2006-06-06', 'old'), ('2016-06-06', 'new');
INSERT INTO part_b.event (at, what) VALUES ('2005-05-05', 'same'), ('2015-05-05', 'mine');
SELECT is(merge('part'), '1 in both, 2 copied, 0 conflicts', 'a partitioned table gets its facts');
SELECT results_eq('SELECT what FROM ONLY part_b.event_old ORDER BY at', $$VALUES ('same'), ('old')$$, '... each where it belongs');

SELECT * FROM finish();
ROLLBACK;
