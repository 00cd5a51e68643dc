-- Declared rules: what a derived fact is, and when it is there already
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

-- The sides of a UNION have the types of the whole, wherever it is, and its common table expressions
CREATE SCHEMA sides;
CREATE TABLE sides.whole (n integer PRIMARY KEY, m integer);
CREATE TABLE sides.exact (n numeric PRIMARY KEY, m numeric);
CREATE TABLE sides.day (d date PRIMARY KEY);
CREATE TABLE sides.moment (at timestamp PRIMARY KEY);
CREATE TABLE sides.quotient (q numeric PRIMARY KEY);
CREATE TABLE sides.word (w text COLLATE "C" PRIMARY KEY);
SELECT factmerge_add_rule('quotients', 'sides.quotient(q)',
    'SELECT u.n / u.m FROM (SELECT n, m FROM whole UNION ALL SELECT n, m FROM exact) u');
SELECT factmerge_add_rule('sums', 'sides.quotient(q)', $$
    WITH RECURSIVE hundreds(h) AS (SELECT 100 UNION ALL SELECT h + 100 FROM hundreds WHERE h < 200), given AS (SELECT n FROM whole)
    SELECT n + h FROM given, hundreds UNION (SELECT n + h + 0.5 FROM exact, hundreds UNION SELECT m FROM whole) $$);
SELECT factmerge_add_rule('words', 'sides.word(w)', $$
    SELECT u.d || u.t FROM (SELECT d, t FROM (SELECT d FROM day UNION SELECT at FROM moment) u(d),
        LATERAL (SELECT d::text UNION ALL SELECT '!') v(t)) u $$);
INSERT INTO sides.whole VALUES (1, 2);
INSERT INTO sides.exact VALUES (3, 4);
INSERT INTO sides.day VALUES ('2026-11-28');
INSERT INTO sides.moment VALUES ('2026-11-28 12:00');
SELECT round(q, 2) AS q FROM sides.quotient ORDER BY 1;
SELECT w FROM sides.word ORDER BY 1;
SELECT factmerge_saturate('sides');
TRUNCATE sides.quotient, sides.word;
SELECT factmerge_saturate('sides');
SELECT round(q, 2) AS q FROM sides.quotient ORDER BY 1;
SELECT w FROM sides.word ORDER BY 1;
-- A side may have another collation than the whole
CREATE TABLE sides.low (w text COLLATE "C" PRIMARY KEY);
CREATE TABLE sides.both (v text, w text, PRIMARY KEY (v, w));
SELECT factmerge_add_rule('both', 'sides.both(v, w)', $$
    SELECT x.w, y.w FROM (SELECT w FROM low UNION ALL SELECT w COLLATE "C" FROM (VALUES ('b'), ('B')) v (w)) x
        JOIN low y ON y.w < x.w $$);
INSERT INTO sides.low VALUES ('a'), ('C');
SELECT v, w FROM sides.both ORDER BY v COLLATE "C", w COLLATE "C";

-- In a key, a null is like no other, unless the key says so; the whole fact counts then
CREATE SCHEMA nulls;
CREATE TABLE nulls.said (id integer PRIMARY KEY, k integer, x text);
CREATE TABLE nulls.kept (k integer UNIQUE, x text);
CREATE TABLE nulls.one (k integer UNIQUE NULLS NOT DISTINCT, x text);
SELECT factmerge_add_rule(t, format('nulls.%s(k, x)', t), 'SELECT k, x FROM said') FROM unnest('{kept,one}'::text[]) t;
INSERT INTO nulls.said VALUES (1, NULL, 'x'), (2, 1, 'one');
INSERT INTO nulls.said VALUES (3, NULL, 'y'), (4, NULL, 'x'), (5, NULL, NULL), (6, 1, 'other');
INSERT INTO nulls.said VALUES (7, NULL, NULL), (8, NULL, 'z');
SELECT k, x FROM nulls.kept ORDER BY 1, 2;
SELECT k, x FROM nulls.one ORDER BY 1, 2;
SELECT factmerge_saturate('nulls');
SELECT * FROM factmerge_verify('nulls');
CREATE SCHEMA nulls_src;
CREATE TABLE nulls_src.said (LIKE nulls.said INCLUDING ALL);
INSERT INTO nulls_src.said VALUES (10, NULL, 'x'), (11, NULL, 'w');
SELECT copied FROM factmerge_merge('nulls_src', 'nulls');
SELECT k, x FROM nulls.kept WHERE x IN ('w', 'x') ORDER BY 1, 2;
SELECT * FROM factmerge_verify('nulls');

-- What is derived is rounded as it is saved, and is there already if that is; with a key or without
CREATE SCHEMA rounded;
CREATE TABLE rounded.exact (x numeric PRIMARY KEY, at timestamp, word text, list numeric[]);
CREATE TABLE rounded.keyed (x numeric(6, 2) PRIMARY KEY);
CREATE DOMAIN rounded.short AS varchar(3);
CREATE TABLE rounded.bare (x numeric(6, 2), at timestamp(0), word varchar(3), list numeric(4, 1)[], padded char(5), short rounded.short);
SELECT factmerge_add_rule('keyed', 'rounded.keyed(x)', 'SELECT x FROM exact');
SELECT factmerge_add_rule('bare', 'rounded.bare(x, at, word, list, padded, short)', 'SELECT x, at, word, list, word, word FROM exact');
INSERT INTO rounded.exact VALUES (1.234, '2026-11-28 12:00:00.4', 'ab', '{0.12}'), (1.2341, '2026-11-28 12:00:00.3', 'ab   ', '{0.13}');
SELECT * FROM rounded.keyed;
SELECT * FROM rounded.bare;
SELECT factmerge_saturate('rounded');
SELECT * FROM factmerge_verify('rounded');
-- ... but not cut off
\set VERBOSITY terse
INSERT INTO rounded.exact VALUES (2, NULL, 'abcd', NULL);
\set VERBOSITY default
CREATE TABLE rounded.lists (list varchar(3)[]);
SELECT factmerge_add_rule('bare', 'rounded.lists(list)', 'SELECT ARRAY[word] FROM exact');
\set VERBOSITY terse
INSERT INTO rounded.exact VALUES (2, NULL, 'abcd', NULL);
\set VERBOSITY default
INSERT INTO rounded.exact VALUES (2, NULL, 'abc', NULL);
SELECT * FROM rounded.lists;

-- What facts refer to is derived before them, whatever rules are called
CREATE SCHEMA refer;
CREATE SCHEMA refer_src;
CREATE PROCEDURE make_refer(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE TABLE %1$I.seen (x integer, y integer, PRIMARY KEY (x, y));
        CREATE TABLE %1$I.place (x integer PRIMARY KEY);
        CREATE TABLE %1$I.pair (x integer REFERENCES %1$I.place, y integer, PRIMARY KEY (x, y));
        CREATE TABLE %1$I.about (x integer, y integer, z integer, FOREIGN KEY (x, y) REFERENCES %1$I.pair);
    $ddl$, schema);
    PERFORM factmerge_add_rule('a', schema || '.about(x, y, z)', 'SELECT s.x, t.y, t.x FROM seen s JOIN seen t ON t.x = s.y');
    PERFORM factmerge_add_rule('b', schema || '.pair(x, y)', 'SELECT s.x, t.y FROM seen s JOIN seen t ON t.x = s.y');
    PERFORM factmerge_add_rule('c', schema || '.place(x)', 'SELECT x FROM seen UNION SELECT y FROM seen');
END $make$;
CALL make_refer('refer');
CALL make_refer('refer_src');
SELECT name FROM factmerge_rules('refer');
INSERT INTO refer.seen VALUES (1, 2), (2, 3);
INSERT INTO refer_src.seen VALUES (3, 4), (0, 1);
SELECT x, y, z FROM refer.about ORDER BY 1, 2, 3;
SELECT copied, derived FROM factmerge_merge('refer_src', 'refer');
SELECT x, y, z FROM refer.about ORDER BY 1, 2, 3;
TRUNCATE refer.place, refer.pair, refer.about;
SELECT factmerge_saturate('refer');
SELECT x, y, z FROM refer.about ORDER BY 1, 2, 3;
DROP PROCEDURE make_refer(name);
DROP SCHEMA refer, refer_src CASCADE;

DROP SCHEMA sides, nulls, nulls_src, rounded CASCADE;
RESET client_min_messages;
