--
-- lookalikes: what looks like a reference and is none is told of, and nothing else
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
-- What is told names merges by their numbers
SELECT setval('factmerge.merge_merge_id_seq', 1000);
DROP SCHEMA IF EXISTS like_src, like_dst CASCADE;
CREATE SCHEMA like_src;
CREATE SCHEMA like_dst;

-- Makes tables in both schemas
CREATE PROCEDURE in_both(tables text) LANGUAGE plpgsql AS $body$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['like_src', 'like_dst'] LOOP
        PERFORM set_config('search_path', schema, true);
        EXECUTE tables;
    END LOOP;
    PERFORM set_config('search_path', 'public', true);
END $body$;

-- Those that are called after a table or its key
CALL in_both($$
    CREATE TABLE chart (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE people (person_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL UNIQUE);
    CREATE TABLE "Sales Orders" ("OrderID" serial PRIMARY KEY, no text NOT NULL UNIQUE);
    CREATE TABLE app_category (id serial PRIMARY KEY, title text NOT NULL UNIQUE);
    CREATE TABLE one (what text PRIMARY KEY, chart_id int, chart smallint, main_chart_id bigint, id_chart numeric, chart_fk int, chartid int,
        "chartId" int, chart_ids int[], charts bigint[], "chartsOnPage" int[], favourite_charts text, chart_ref text);
    CREATE TABLE two (what text PRIMARY KEY, person_id int, person_no bigint, owner_person_no bigint, "SalesOrderId" int, "OrderID" int,
        category_id int, parent_chart int);
    CREATE TABLE node (label text PRIMARY KEY, id serial UNIQUE, parent_id int, parent int)$$);
INSERT INTO like_dst.chart (name) SELECT 'd' || i FROM generate_series(1, 5) i;
INSERT INTO like_src.chart (name) SELECT 's' || i FROM generate_series(1, 3) i;
INSERT INTO like_src.people (mail) VALUES ('p1'), ('p2');
INSERT INTO like_src."Sales Orders" (no) VALUES ('n1'), ('n2');
INSERT INTO like_src.app_category (title) VALUES ('t1'), ('t2');
INSERT INTO like_src.one VALUES ('a', 1, 2, 3, 1, 2, 3, 1, '{1,2}', '{3}', '{2,3}', '1,2', '3');
INSERT INTO like_src.one VALUES ('b');
INSERT INTO like_src.two VALUES ('a', 1, 2, 1, 2, 1, 2, 3);
INSERT INTO like_src.two VALUES ('b');
INSERT INTO like_src.node (label, parent_id, parent) VALUES ('root', 0, NULL), ('child', 1, 1);
SELECT count(*) FROM factmerge_preview('like_src', 'like_dst', 0);

-- Pairs of type and key
DROP SCHEMA like_src, like_dst CASCADE;
CREATE SCHEMA like_src;
CREATE SCHEMA like_dst;
CALL in_both($$
    CREATE TYPE kind AS ENUM ('posts', 'pictures');
    CREATE TABLE posts (id serial PRIMARY KEY, title text UNIQUE);
    CREATE TABLE pictures (id serial PRIMARY KEY, file text UNIQUE);
    CREATE TABLE comment (body text PRIMARY KEY, commentable_type varchar(40), commentable_id bigint);
    CREATE TABLE tagging (tag text PRIMARY KEY, kind kind, object_id text);
    CREATE TABLE log (line text PRIMARY KEY, table_name text, row_id int);
    CREATE TABLE likes (who text PRIMARY KEY, target text, target_id int);
    CREATE TABLE elsewhere (who text PRIMARY KEY, target_type text, target_id int)$$);
INSERT INTO like_src.posts (title) VALUES ('a'), ('b');
INSERT INTO like_src.pictures (file) VALUES ('f'), ('g'), ('h');
INSERT INTO like_src.comment VALUES ('x', 'App\Models\Post', 1), ('y', 'Picture', 3);
INSERT INTO like_src.tagging VALUES ('x', 'posts', '2'), ('y', NULL, NULL);
INSERT INTO like_src.log VALUES ('x', 'like_src.posts', 2), ('y', 'nothing', 77);
INSERT INTO like_src.likes VALUES ('x', 'post', 2);
INSERT INTO like_src.elsewhere VALUES ('x', 'App\Models\Video', 1), ('y', 'Post', 99);
SELECT count(*) FROM factmerge_preview('like_src', 'like_dst', 0);

-- Documents
DROP SCHEMA like_src, like_dst CASCADE;
CREATE SCHEMA like_src;
CREATE SCHEMA like_dst;
CALL in_both($$
    CREATE TABLE chart (id serial PRIMARY KEY, name text UNIQUE);
    CREATE TABLE page (slug text PRIMARY KEY, chart_ids jsonb, layout jsonb, old json)$$);
INSERT INTO like_src.chart (name) VALUES ('a'), ('b'), ('c');
INSERT INTO like_src.page VALUES
    ('1', '[1, 2]', '{"rows": [{"chart": {"id": 3, "width": 2}}, {"chartId": 1, "chartCount": 2, "maxCharts": 1, "chart": "x"}]}',
     '{"type": "Chart", "id": 2, "title": "\u0000"}'),
    ('2', NULL, '{"chartsInScope": ["1", "3"], "pageSize": 3, "parts": [{"kind": "chart", "ref": 3}]}', '{"numCharts": 3, "chart_key": 1}'),
    ('3', '[]', '{"chart": 1e2000, "chart_ids": [1, 2, 99]}', '{"deep": [[[[{"chartIds": [2]}]]]], "chart": 1e200000}');
SELECT count(*) FROM factmerge_preview('like_src', 'like_dst', 0);

-- No wolf: numbers that are none, keys that stay as they are, and what a foreign key declares
DROP SCHEMA like_src, like_dst CASCADE;
CREATE SCHEMA like_src;
CREATE SCHEMA like_dst;
CALL in_both($$
    CREATE TABLE chart (id serial PRIMARY KEY, name text UNIQUE);
    CREATE TABLE orders (id serial PRIMARY KEY, no text UNIQUE);
    CREATE TABLE year (id serial PRIMARY KEY, name text UNIQUE);
    CREATE TABLE country (code int PRIMARY KEY, name text);
    CREATE TABLE token (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
    CREATE TABLE fact (what text PRIMARY KEY, quantity int, charts int, chart_count int, num_charts int, chart_size int, year int, years int[],
        sort_order int, rank int, chart_id int, chart text, page int, version int, country_code int, token_id uuid, note text, chart_ids int[],
        declared_chart int REFERENCES chart, created_at timestamp, price numeric, notes jsonb)$$);
INSERT INTO like_src.chart (name) SELECT 'c' || i FROM generate_series(1, 20) i;
INSERT INTO like_src.orders (no) SELECT 'o' || i FROM generate_series(1, 20) i;
INSERT INTO like_src.year (name) SELECT 'y' || i FROM generate_series(1, 20) i;
INSERT INTO like_src.country VALUES (1, 'x');
INSERT INTO like_src.token (name) VALUES ('t');
INSERT INTO like_src.fact VALUES ('a', 1, 2, 3, 4, 5, 2020, '{1,2}', 1, 2, 1001, 'c1', 3, 4, 1, (SELECT id FROM like_src.token), '1', '{1,500}',
    1, '2020-01-01', 3, '{"quantity": 1, "years": 2, "charts": 3, "year": [1]}');
SELECT count(*) FROM factmerge_preview('like_src', 'like_dst', 0);

-- A merge says it once, with the line that mends it; whoever follows it has it right
CALL in_both('CREATE TABLE dashboard (slug text PRIMARY KEY, chart_id int)');
INSERT INTO like_dst.chart (name) VALUES ('d1'), ('d2');
INSERT INTO like_src.dashboard VALUES ('sales', 2);
BEGIN;
SELECT copied FROM factmerge_merge('like_src', 'like_dst', dry_run => true);
SELECT max(merge_id) AS merge FROM factmerge_merge('like_src', 'like_dst') \gset
SELECT slug, name FROM like_dst.dashboard JOIN like_dst.chart c ON c.id = chart_id;
-- Nothing is copied any more
SELECT copied FROM factmerge_merge('like_src', 'like_dst');
ROLLBACK;
SELECT max(merge_id) AS merge FROM factmerge_merge('like_src', 'like_dst') \gset
SELECT count(*) > 0 AS undone FROM factmerge_undo(:merge);
ALTER TABLE like_dst.dashboard ADD FOREIGN KEY (chart_id) REFERENCES like_dst.chart (id) NOT VALID;
SELECT copied FROM factmerge_merge('like_src', 'like_dst');
SELECT slug, name FROM like_dst.dashboard JOIN like_dst.chart c ON c.id = chart_id;

-- What only looks like one
CALL in_both('CREATE TABLE memo (slug text PRIMARY KEY, "Chart Id" int, chart_ids int[])');
INSERT INTO like_src.memo VALUES ('m', 2, '{1}');
SELECT factmerge_set_column('like_dst.memo', 'Chart Id', reference => false);
SELECT count(*) FROM factmerge_preview('like_src', 'like_dst', 0);
SELECT factmerge_set_column('like_dst.memo', 'chart_ids', reference => false);
SELECT factmerge_set_column('like_dst.memo', 'chart_ids', reference => false);
SELECT count(*) FROM factmerge_preview('like_src', 'like_dst', 0);
ALTER TABLE like_dst.memo RENAME TO memory;
SELECT * FROM factmerge.column_rule ORDER BY 2;
SELECT factmerge_unset_column('like_dst.memory', 'chart_ids');
SELECT factmerge_unset_column('like_dst.memory', 'chart_ids');
ALTER TABLE like_dst.memory DROP COLUMN "Chart Id";
SELECT * FROM factmerge.column_rule;
SELECT factmerge_set_column('like_dst.memory', 'chart_ids', reference => false);
DROP TABLE like_dst.memory;
SELECT * FROM factmerge.column_rule;
SELECT factmerge_set_column('like_dst.fact', 'chart_id');
SELECT factmerge_set_column('like_dst.fact', 'chart_id', reference => true);
SELECT factmerge_set_column('like_dst.fact', 'nothing', reference => false);
SELECT factmerge_set_column('like_dst.fact', 'factmerge_merge', reference => false);
CREATE ROLE regress_like_nobody;
GRANT USAGE ON SCHEMA like_dst TO regress_like_nobody;
SET ROLE regress_like_nobody;
SELECT factmerge_set_column('like_dst.fact', 'chart_id', reference => false);
SELECT factmerge_unset_column('like_dst.fact', 'chart_id');
RESET ROLE;

-- Many: those of a schema without any foreign keys, in batches
DROP SCHEMA like_src, like_dst CASCADE;
CREATE SCHEMA like_src;
CREATE SCHEMA like_dst;
CALL in_both($$
    CREATE TABLE chart (id serial PRIMARY KEY, name text UNIQUE);
    DO 'BEGIN FOR i IN 1 .. 25 LOOP EXECUTE format(''CREATE TABLE t%s (id serial PRIMARY KEY, chart_id int, n int UNIQUE)'', i); END LOOP; END'$$);
INSERT INTO like_src.chart (name) SELECT i FROM generate_series(1, 100) i;
DO $$BEGIN FOR i IN 1 .. 25 LOOP EXECUTE format('INSERT INTO like_src.t%s (chart_id, n) SELECT i, i FROM generate_series(1, 100) i', i); END LOOP; END$$;
-- A tenth may lead nowhere
UPDATE like_src.t1 SET chart_id = n + 1000 WHERE n <= 10;
UPDATE like_src.t2 SET chart_id = n + 1000 WHERE n <= 11;
CALL factmerge_merge_in_batches('like_src', 'like_dst', 40);

DROP SCHEMA like_src, like_dst CASCADE;
DROP PROCEDURE in_both;
DROP ROLE regress_like_nobody;
