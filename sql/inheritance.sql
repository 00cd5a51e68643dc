--
-- inheritance: the children of parents without rows of their own are fact tables; and all that does not fit, in one error
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
DROP SCHEMA IF EXISTS heir_src, heir_dst, heir_out CASCADE;

-- Makes tables in both schemas, anew
CREATE PROCEDURE make_heirs(tables text, more text DEFAULT '') LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['heir_src', 'heir_dst'] LOOP
        EXECUTE format('DROP SCHEMA IF EXISTS %1$s CASCADE; CREATE SCHEMA %1$s', schema);
        PERFORM set_config('search_path', schema, true);
        EXECUTE tables;
    END LOOP;
    EXECUTE more;
    PERFORM set_config('search_path', 'public', true);
END $make$;
\set merge 'SELECT in_both, copied FROM factmerge_merge(\'heir_src\', \'heir_dst\');'

-- Children with keys of their own, one of two parents, one a child of a child, all with references; and handlers that look at the parent
CALL make_heirs($$
    CREATE TABLE sensor (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE metric (id serial, sensor int NOT NULL, day date NOT NULL, v int NOT NULL CHECK (v >= 0));
    CREATE TABLE noted (note text);
    CREATE TABLE metric_2023 (PRIMARY KEY (id), UNIQUE (sensor, day), FOREIGN KEY (sensor) REFERENCES sensor) INHERITS (metric);
    CREATE TABLE metric_old () INHERITS (metric);
    CREATE TABLE metric_2024 (more text, UNIQUE (sensor, day), FOREIGN KEY (sensor) REFERENCES sensor) INHERITS (metric_old, noted);
    CREATE TABLE remark (metric int REFERENCES metric_2023, body text, PRIMARY KEY (metric, body));
    CREATE TABLE total (day date, n int, PRIMARY KEY (day, n));
    CREATE FUNCTION sum_up() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS 'BEGIN
        INSERT INTO total SELECT day, count(*) FROM metric WHERE day = NEW.day GROUP BY 1 ON CONFLICT DO NOTHING; RETURN NULL; END';
    CREATE TRIGGER sum_up AFTER INSERT ON metric_2024 FOR EACH ROW EXECUTE FUNCTION sum_up()$$);
INSERT INTO heir_dst.sensor (name) VALUES ('d'), ('both');
INSERT INTO heir_src.sensor (name) VALUES ('both'), ('s');
INSERT INTO heir_dst.metric_2023 (sensor, day, v) VALUES (1, '2023-01-01', 1), (2, '2023-01-01', 2);
INSERT INTO heir_src.metric_2023 (sensor, day, v) VALUES (1, '2023-01-01', 2), (2, '2023-01-01', 3);
INSERT INTO heir_src.metric_2024 (sensor, day, v, note, more) VALUES (1, '2024-01-01', 4, 'n', 'm'), (2, '2024-01-01', 5, NULL, NULL);
INSERT INTO heir_src.remark VALUES (1, 'good'), (2, 'fair');
SELECT fact_table, sameness FROM factmerge_tables('heir_dst');
SELECT fact_table, outcome, facts FROM factmerge_preview('heir_src', 'heir_dst', 0) WHERE facts > 0;
SELECT factmerge_prepare('heir_dst');
:merge
SELECT m.tableoid::regclass, name, day, v FROM heir_dst.metric m JOIN heir_dst.sensor s ON s.id = sensor ORDER BY 1, 2, 3;
SELECT name, v, body FROM heir_dst.remark JOIN heir_dst.metric_2023 m ON m.id = metric JOIN heir_dst.sensor s ON s.id = sensor ORDER BY 1;
SELECT note, more FROM heir_dst.metric_2024 ORDER BY v;
:merge
INSERT INTO heir_src.metric_2024 (sensor, day, v) VALUES (2, '2024-01-02', 6);
CALL factmerge_merge_in_batches('heir_src', 'heir_dst', 2);
SELECT count(*) FROM heir_dst.metric;
SELECT count(*) FROM factmerge_verify('heir_dst');
SELECT removed FROM factmerge_undo((SELECT max(merge_id) FROM factmerge_history)) ORDER BY 1 DESC LIMIT 1;
SELECT count(*) FROM heir_dst.metric;
SELECT factmerge_remove_provenance('heir_dst');

-- A parent on one side only; rows that were, but are no more
CALL make_heirs($$CREATE TABLE leaf (a text PRIMARY KEY); CREATE TABLE root (a text)$$,
    $$ALTER TABLE heir_src.leaf INHERIT heir_src.root; INSERT INTO heir_src.root VALUES ('x'); DELETE FROM heir_src.root;
      DROP TABLE heir_dst.root; INSERT INTO heir_src.leaf VALUES ('a')$$);
:merge
SELECT a FROM heir_dst.leaf;

-- Rows of its own, in the source, the destination, and where only the source has it: all are named
CALL make_heirs($$CREATE TABLE one (a text PRIMARY KEY); CREATE TABLE one_1 () INHERITS (one);
    CREATE TABLE two (a text PRIMARY KEY); CREATE TABLE two_1 () INHERITS (two);
    CREATE TABLE three (a text); CREATE TABLE three_1 () INHERITS (three); CREATE TABLE other (a text PRIMARY KEY)$$,
    $$INSERT INTO heir_src.one VALUES ('x'); INSERT INTO heir_dst.two VALUES ('x'); INSERT INTO heir_src.three VALUES ('x');
      ALTER TABLE heir_dst.three_1 NO INHERIT heir_dst.three; DROP TABLE heir_dst.three$$);
:merge
SELECT fact_table FROM factmerge_tables('heir_dst');
SELECT fact_table FROM factmerge_tables('heir_src');
-- Left out, it may have any
SELECT factmerge_ignore('heir_dst.one'), factmerge_ignore('heir_dst.two');
DELETE FROM ONLY heir_src.three;
INSERT INTO heir_src.one_1 VALUES ('y');
:merge

-- Children in another schema
CALL make_heirs('CREATE TABLE root (a text); CREATE TABLE leaf (a text PRIMARY KEY)', 'CREATE SCHEMA heir_out; CREATE TABLE heir_out.leaf () INHERITS (heir_src.root)');
:merge
DROP SCHEMA heir_out CASCADE;

-- All that does not fit
CALL make_heirs($$CREATE TYPE mood AS ENUM ('good'); CREATE TYPE pair AS (a int, b int);
    CREATE TABLE fact (id serial PRIMARY KEY, name text UNIQUE, size int, mood mood, pair pair); CREATE TABLE root (a text); CREATE TABLE leaf () INHERITS (root)$$,
    $$ALTER TYPE heir_src.mood ADD VALUE 'bad'; ALTER TYPE heir_dst.pair RENAME ATTRIBUTE b TO c; ALTER TABLE heir_src.fact ALTER size TYPE numeric, ADD more int, ADD "even More" int;
      INSERT INTO heir_dst.root VALUES ('x'); CREATE TABLE heir_src.lost (a text); CREATE TABLE heir_dst.seen (a text PRIMARY KEY); CREATE TABLE heir_dst.shown (a text);
      CREATE VIEW heir_src.seen AS SELECT 'x' AS a; CREATE MATERIALIZED VIEW heir_src.shown AS SELECT 'x' AS a; CREATE VIEW heir_src.others AS SELECT 1$$);
SELECT in_both FROM factmerge_merge('heir_src', 'heir_dst') \g /dev/null
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM factmerge_preview('heir_src', 'heir_dst');

-- ... and each mended as it says
ALTER TYPE heir_dst.mood ADD VALUE 'bad';
ALTER TYPE heir_dst.pair RENAME ATTRIBUTE c TO b;
ALTER TABLE heir_dst.fact ALTER size TYPE numeric, ADD more int, ADD "even More" int;
INSERT INTO heir_dst.leaf SELECT * FROM ONLY heir_dst.root;
DELETE FROM ONLY heir_dst.root;
CREATE TABLE heir_dst.lost (a text);
SELECT factmerge_ignore('heir_dst.shown');
:merge
SELECT factmerge_ignore('heir_dst.seen');
:merge

-- Nothing but views
CALL make_heirs('CREATE TABLE fact (a text)', 'DROP TABLE heir_src.fact; CREATE VIEW heir_src.fact AS SELECT 1 AS a; CREATE VIEW heir_src.other AS SELECT 1');
:merge
CALL make_heirs('CREATE TABLE fact (a text)', 'DROP TABLE heir_src.fact; CREATE VIEW heir_src.other AS SELECT 1');
:merge

DROP SCHEMA heir_src, heir_dst CASCADE;
DROP PROCEDURE make_heirs;
