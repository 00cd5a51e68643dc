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

-- Tables that have got and lost columns since
CREATE SCHEMA altered;
CREATE TABLE altered.t (x integer PRIMARY KEY, gone integer, y integer);
CREATE TABLE altered.u (x integer PRIMARY KEY, gone integer, z integer);
CREATE TABLE altered.o (v integer, w integer, PRIMARY KEY (v, w));
CREATE TABLE altered.p (v integer, w integer, PRIMARY KEY (v, w));
SELECT factmerge_add_rule('joined', 'altered.o(v, w)', 'SELECT j.c1, j.c6 FROM (t JOIN u ON t.x = u.x) j (c1, c2, c3, c4, c5, c6)');
SELECT factmerge_add_rule('using', 'altered.p(v, w)', 'SELECT j.x, j.q FROM (t JOIN u AS u (x, p, q) USING (x)) j');
ALTER TABLE altered.t ADD COLUMN z integer;
ALTER TABLE altered.u DROP COLUMN gone, ADD COLUMN y integer;
INSERT INTO altered.t (x, y) VALUES (1, 10), (2, 20);
INSERT INTO altered.u (x, z) VALUES (1, 100);
CREATE SCHEMA altered_src;
CREATE TABLE altered_src.t (LIKE altered.t INCLUDING ALL);
CREATE TABLE altered_src.u (LIKE altered.u INCLUDING ALL);
INSERT INTO altered_src.u (x, z) VALUES (2, 200);
SELECT copied FROM factmerge_merge('altered_src', 'altered');
SELECT v, w FROM altered.o ORDER BY 1;
SELECT v, w FROM altered.p ORDER BY 1;
SELECT * FROM factmerge_verify('altered');

-- A partition may have its columns in another order
CREATE TABLE altered.parted (a integer, b integer) PARTITION BY LIST (a);
CREATE TABLE altered.part (b integer, a integer);
ALTER TABLE altered.parted ATTACH PARTITION altered.part FOR VALUES IN (1);
SELECT factmerge_add_rule('parted', 'altered.o(v, w)', 'SELECT z.p, z.q FROM parted AS z (p, q)');
INSERT INTO altered.part (a, b) VALUES (1, 99);
SELECT v, w FROM altered.o WHERE w = 99;

-- A side of a UNION that reads no facts is something to begin with
CREATE TABLE altered.reached (x integer PRIMARY KEY);
SELECT factmerge_add_rule('reached', 'altered.reached(x)', 'SELECT 1 UNION SELECT t.y FROM t JOIN reached r ON r.x = t.x');
SELECT factmerge_saturate('altered');
INSERT INTO altered.t (x, y) VALUES (10, 11);
SELECT x FROM altered.reached ORDER BY 1;

-- What is alike in the query may differ in the target; types that have no order, or no collation of their own
CREATE COLLATION altered.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE altered.word (w text COLLATE altered.caseless, x xid, c text COLLATE "C", n integer PRIMARY KEY);
CREATE TABLE altered.spelt (w text, x xid, doc json);
CREATE TABLE altered.number (x xid);
SELECT factmerge_add_rule('spelt', 'altered.spelt(w, x, doc)', 'SELECT w, x, ''{}''::json FROM word UNION ALL SELECT c, x, ''{}''::json FROM word');
SELECT factmerge_add_rule('numbers', 'altered.number(x)', 'SELECT x FROM word');
CREATE TABLE altered.twice (w text PRIMARY KEY);
SELECT factmerge_add_rule('twice', 'altered.twice(w)', 'SELECT w || c FROM word');
INSERT INTO altered.word VALUES ('A', '7', 'c', 1), ('a', '7', 'c', 2);
SELECT * FROM altered.spelt ORDER BY w COLLATE "C";
SELECT * FROM altered.number;
SELECT * FROM altered.twice ORDER BY w COLLATE "C";
SELECT factmerge_saturate('altered');

-- References may have another collation than what they refer to
CREATE SCHEMA collated;
CREATE SCHEMA collated_src;
CREATE PROCEDURE make_collated(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE TABLE %1$I.node (id text COLLATE "C" DEFAULT gen_random_uuid() PRIMARY KEY, name text UNIQUE);
        CREATE TABLE %1$I.edge (a text COLLATE "POSIX" REFERENCES %1$I.node, b text COLLATE "POSIX" REFERENCES %1$I.node, PRIMARY KEY (a, b));
        CREATE TABLE %1$I.path (a text REFERENCES %1$I.node, c text REFERENCES %1$I.node, PRIMARY KEY (a, c));
    $ddl$, schema);
    PERFORM factmerge_add_rule('paths', schema || '.path(a, c)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b');
END $make$;
CALL make_collated('collated');
CALL make_collated('collated_src');
INSERT INTO collated_src.node (name) SELECT 's' || n FROM generate_series(1, 9) n;
INSERT INTO collated_src.edge SELECT p.id, q.id FROM collated_src.node p, collated_src.node q WHERE p.name < q.name;
INSERT INTO collated.node (name) VALUES ('s9'), ('d');
INSERT INTO collated.edge SELECT p.id, q.id FROM collated.node p, collated.node q WHERE p.name > q.name;
SELECT copied, derived FROM factmerge_merge('collated_src', 'collated');
SELECT * FROM factmerge_verify('collated');
DROP PROCEDURE make_collated(name);
DROP SCHEMA collated, collated_src CASCADE;

-- A rule may look into what is written otherwise in the two databases: generated keys, and values that are only equal
CREATE SCHEMA looks;
CREATE SCHEMA looks_src;
CREATE PROCEDURE make_looks(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE TABLE %1$I.person (id serial PRIMARY KEY, name text UNIQUE, city text, twice integer GENERATED ALWAYS AS (id * 2) STORED);
        CREATE TABLE %1$I.pair (a integer REFERENCES %1$I.person, b integer REFERENCES %1$I.person, PRIMARY KEY (a, b));
        CREATE TABLE %1$I.paired (name text PRIMARY KEY);
        CREATE TABLE %1$I.late (name text PRIMARY KEY);
        CREATE TABLE %1$I.counted (name text PRIMARY KEY);
        CREATE TABLE %1$I.number (id integer, city text);
        CREATE TABLE %1$I.weight (n numeric PRIMARY KEY);
        CREATE TABLE %1$I.thing (x integer PRIMARY KEY);
        CREATE TABLE %1$I.said (t text, x integer, PRIMARY KEY (t, x));
        CREATE TABLE %1$I.same (n numeric, x integer, PRIMARY KEY (n, x));
    $ddl$, schema);
    PERFORM factmerge_add_rule('pairs', schema || '.pair(a, b)', 'SELECT p.id, q.id FROM person p JOIN person q USING (city) WHERE p.id < q.id');
    PERFORM factmerge_add_rule('paired', schema || '.paired(name)', 'SELECT name FROM person WHERE id IN (SELECT a FROM pair UNION SELECT b FROM pair)');
    PERFORM factmerge_add_rule('late', schema || '.late(name)', 'SELECT q.name FROM (SELECT id, name FROM person) q WHERE q.id > 1');
    PERFORM factmerge_add_rule('counted', schema || '.counted(name)', 'SELECT p.name FROM person p, thing t WHERE p.twice = t.x');
    PERFORM factmerge_add_rule('numbers', schema || '.number(id, city)', 'SELECT id, city FROM person');
    PERFORM factmerge_add_rule('said', schema || '.said(t, x)', 'SELECT n::text, x FROM weight, thing');
    PERFORM factmerge_add_rule('same', schema || '.same(n, x)', 'SELECT n, x FROM weight, thing');
END $make$;
CALL make_looks('looks');
CALL make_looks('looks_src');
INSERT INTO looks_src.person (name, city) VALUES ('Ada', 'Oslo'), ('Bob', 'Oslo');
INSERT INTO looks_src.weight VALUES (1.0);
INSERT INTO looks_src.thing VALUES (7);
INSERT INTO looks.person (name, city) VALUES ('Bob', 'Oslo');
INSERT INTO looks.weight VALUES (1.00);
INSERT INTO looks.thing VALUES (4);
SELECT copied, derived FROM factmerge_merge('looks_src', 'looks');
SELECT p.name AS a, q.name AS b, x.factmerge_provenance FROM looks.pair x JOIN looks.person p ON p.id = a JOIN looks.person q ON q.id = b ORDER BY 1;
SELECT name, factmerge_provenance FROM looks.late;
SELECT name, factmerge_provenance FROM looks.counted;
SELECT t, x, factmerge_provenance FROM looks.said ORDER BY x, t;
SELECT n, x, factmerge_provenance FROM looks.same ORDER BY x;
SELECT * FROM factmerge_verify('looks');
SELECT copied, derived FROM factmerge_merge('looks_src', 'looks');
DROP PROCEDURE make_looks(name);
DROP SCHEMA looks, looks_src CASCADE;

DROP SCHEMA sides, nulls, nulls_src, rounded, altered, altered_src CASCADE;
RESET client_min_messages;
