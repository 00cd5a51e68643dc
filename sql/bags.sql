-- Facts that nothing identifies but all that they hold are a bag: of equal ones the first
-- is the first of the other side, the second the second, and so on.

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE SCHEMA bag_src;
CREATE SCHEMA bag_dst;

CREATE PROCEDURE make_bags(tables text) LANGUAGE plpgsql AS $$
BEGIN
    DROP SCHEMA bag_src, bag_dst CASCADE;
    CREATE SCHEMA bag_src;
    CREATE SCHEMA bag_dst;
    EXECUTE replace(tables, 'SCHEMA', 'bag_src');
    EXECUTE replace(tables, 'SCHEMA', 'bag_dst');
END $$;

\set merge 'SELECT source_facts AS facts, in_both, copied FROM factmerge_merge(''bag_src'', ''bag_dst'')'
\set back 'SELECT source_facts AS facts, in_both, copied FROM factmerge_merge(''bag_dst'', ''bag_src'')'

-- The result has as many as the side that has more, and each keeps what refers to it
CALL make_bags($$
    CREATE TABLE SCHEMA.sale (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text, day date);
    CREATE TABLE SCHEMA.receipt (no text PRIMARY KEY, sale integer NOT NULL REFERENCES SCHEMA.sale)
$$);
INSERT INTO bag_src.sale (item, day) VALUES ('pen', '2024-01-01'), ('ink', NULL), ('pen', '2024-01-01'), ('pen', '2024-01-01'), ('ink', NULL);
INSERT INTO bag_dst.sale (item, day) VALUES ('ink', NULL), ('pen', '2024-01-01'), ('ink', NULL), ('ink', NULL);
INSERT INTO bag_src.receipt VALUES ('s1', 1), ('s2', 3), ('s3', 4), ('s4', 5);
INSERT INTO bag_dst.receipt VALUES ('d1', 2), ('d2', 3);
SELECT fact_table, outcome, facts FROM factmerge_preview('bag_src', 'bag_dst', 0) WHERE fact_table::text LIKE '%sale';
:merge;
SELECT s.id, item, s.factmerge_provenance, string_agg(no, ' ' ORDER BY no) AS receipts
FROM bag_dst.sale s LEFT JOIN bag_dst.receipt ON sale = s.id GROUP BY s.id ORDER BY s.id;
-- ... merging again, back, and again changes nothing
:merge;
:back;
:merge;
SELECT item, count(*) FROM bag_dst.sale GROUP BY 1 ORDER BY 1;
SELECT item, count(*) FROM bag_src.sale GROUP BY 1 ORDER BY 1;
-- One more of the source's is one more, and finds the destination's own that came meanwhile
INSERT INTO bag_src.sale (item, day) VALUES ('pen', '2024-01-01');
INSERT INTO bag_dst.sale (item, day) VALUES ('pen', '2024-01-01');
INSERT INTO bag_src.receipt VALUES ('s5', (SELECT max(id) FROM bag_src.sale));
:merge;
SELECT s.id, item, string_agg(no, ' ' ORDER BY no) AS receipts
FROM bag_dst.sale s LEFT JOIN bag_dst.receipt ON sale = s.id WHERE item = 'pen' GROUP BY s.id ORDER BY s.id;
-- What is undone was not the destination's
SELECT fact_table, removed FROM factmerge_undo((SELECT max(merge_id) FROM factmerge_history));
SELECT item, count(*) FROM bag_dst.sale GROUP BY 1 ORDER BY 1;
:merge;
SELECT item, count(*) FROM bag_dst.sale GROUP BY 1 ORDER BY 1;

-- No key at all; types without an order, without an equality, and equal in their own way
CREATE COLLATION bag_ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CALL make_bags($$
    CREATE TABLE SCHEMA.thing (amount numeric, data json, at point, label text COLLATE bag_ignore_case, bits bit(3), transaction xid, range int4range, list integer[])
$$);
INSERT INTO bag_src.thing VALUES
    (1.0, '{"a": 1}', '(1,2)', 'Pen', '101', '7', '[1,3)', '{1,NULL}'), (1.00, '{"a": 1}', '(1,2)', 'PEN', '101', '7', '[1,2]', '{1,NULL}'),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO bag_dst.thing VALUES
    (1, '{"a": 1}', '(1,2)', 'pen', '101', '7', '[1,3)', '{1,NULL}'), (1, '{"a": 2}', '(1,2)', 'pen', '101', '7', '[1,3)', '{1,NULL}'),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
:merge;
:merge;
:back;
SELECT amount, data::text, label, count(*) FROM bag_dst.thing GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Partitions
CALL make_bags($$
    CREATE TABLE SCHEMA.hit (day date, page text) PARTITION BY RANGE (day);
    CREATE TABLE SCHEMA.hit_1 PARTITION OF SCHEMA.hit FOR VALUES FROM (MINVALUE) TO ('2024-07-01');
    CREATE TABLE SCHEMA.hit_2 PARTITION OF SCHEMA.hit DEFAULT
$$);
INSERT INTO bag_src.hit SELECT '2024-06-01'::date + 30 * (i % 2), 'p' FROM generate_series(1, 5) i;
INSERT INTO bag_dst.hit SELECT '2024-06-01'::date + 30 * (i % 2), 'p' FROM generate_series(1, 3) i;
:merge;
:merge;
SELECT day, count(*) FROM bag_dst.hit GROUP BY 1 ORDER BY 1;

-- A null in every key: the whole row decides, and the user is told
CALL make_bags($$
    CREATE TABLE SCHEMA.cat (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent integer REFERENCES SCHEMA.cat, name text NOT NULL, UNIQUE (parent, name))
$$);
INSERT INTO bag_src.cat (parent, name) VALUES (NULL, 'Books'), (1, 'Novels'), (1, 'Maps'), (NULL, 'Books'), (4, 'Novels');
INSERT INTO bag_dst.cat (parent, name) VALUES (NULL, 'Music'), (NULL, 'Books'), (2, 'Novels');
SET client_min_messages = notice;
:merge;
SET client_min_messages = warning;
SELECT c.id, concat_ws('/', p.name || ' ' || p.id, c.name) AS path, c.factmerge_provenance FROM bag_dst.cat c LEFT JOIN bag_dst.cat p ON p.id = c.parent ORDER BY 1;
:merge;
:back;
-- ... unless nulls are declared to be the same: then two roots of one name are one
CALL make_bags($$
    CREATE TABLE SCHEMA.cat (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent integer REFERENCES SCHEMA.cat, name text NOT NULL, note text, UNIQUE (parent, name))
$$);
INSERT INTO bag_src.cat (parent, name, note) VALUES (NULL, 'Books', 'source'), (1, 'Novels', 'source'), (1, 'Maps', NULL);
INSERT INTO bag_dst.cat (parent, name, note) VALUES (NULL, 'Music', NULL), (NULL, 'Books', 'destination'), (2, 'Novels', 'destination');
SELECT factmerge_set_sameness('bag_dst.cat', '{parent,name}', nulls => 'same');
SELECT sameness FROM factmerge_tables('bag_dst');
SET client_min_messages = notice;
:merge;
SET client_min_messages = warning;
SELECT concat_ws('/', p.name, c.name) AS path, c.note, c.factmerge_provenance FROM bag_dst.cat c LEFT JOIN bag_dst.cat p ON p.id = c.parent ORDER BY 1;
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts();
:merge;
-- Declared again without it, nulls are distinct
SELECT factmerge_set_sameness('bag_dst.cat', '{parent,name}');
SELECT sameness FROM factmerge_tables('bag_dst');
SELECT factmerge_set_sameness('bag_dst.cat', '{parent,name}', nulls => 'equal');
SELECT factmerge_set_sameness('bag_dst.cat', '{parent,name}', nulls => NULL);

-- Facts with a complete key and facts without one stand side by side; in batches, too
CALL make_bags($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text UNIQUE, name text)
$$);
INSERT INTO bag_src.person (mail, name) VALUES ('a@x', 'Ann'), (NULL, 'Bob'), (NULL, 'Bob'), (NULL, 'Cid'), ('d@x', 'Bob'), (NULL, 'Bob');
INSERT INTO bag_dst.person (mail, name) VALUES ('e@x', 'Bob'), (NULL, 'Bob'), ('a@x', 'Anna'), (NULL, 'Dot'), (NULL, 'Bob');
CALL factmerge_merge_in_batches('bag_src', 'bag_dst', 2);
SELECT id, mail, name, factmerge_provenance FROM bag_dst.person ORDER BY id;
INSERT INTO bag_src.person (mail, name) VALUES (NULL, 'Bob'), (NULL, 'Dot');
:merge;
:merge;
SELECT mail, name, count(*) FROM bag_dst.person GROUP BY 1, 2 ORDER BY 1, 2;

-- Facts that become equal because what they refer to has: the k-th is the k-th, too
CALL make_bags($$
    CREATE TABLE SCHEMA.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
    CREATE TABLE SCHEMA.mark (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, point integer REFERENCES SCHEMA.point, sign text)
$$);
INSERT INTO bag_src.point (name) VALUES ('a'), ('A'), ('b');
INSERT INTO bag_dst.point (name) VALUES ('c'), ('a');
INSERT INTO bag_src.mark (point, sign) VALUES (1, 'x'), (1, 'x'), (2, 'x'), (2, 'x'), (2, 'x'), (3, 'x');
INSERT INTO bag_dst.mark (point, sign) VALUES (1, 'x'), (2, 'x');
SELECT factmerge_set_sameness('bag_dst.point', tolerance => '{"name": "lower"}');
:merge;
SELECT name, sign, m.factmerge_provenance, count(*) FROM bag_dst.mark m JOIN bag_dst.point p ON p.id = point GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
:merge;

DROP SCHEMA bag_src, bag_dst CASCADE;
DROP COLLATION bag_ignore_case;
DROP PROCEDURE make_bags;
