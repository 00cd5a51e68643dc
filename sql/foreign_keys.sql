--
-- foreign_keys: every one of the destination holds for every fact that is written
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

-- A merge, by its SQLSTATE, message, detail and constraint if it is refused; what is
-- refused leaves both schemas as they were
CREATE FUNCTION fk_merge() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    copied bigint;
    detail text;
    relation text;
    name text;
BEGIN
    SELECT m.copied INTO copied FROM factmerge_merge('fk_src', 'fk_dst') m;
    RETURN 'copied ' || copied;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, name = CONSTRAINT_NAME, relation = TABLE_NAME;
    RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, detail, nullif(relation || '.' || name, '.'));
END $$;
-- Empty schemas, but for the tables of ddl, in which SCHEMA stands for the name of either
CREATE PROCEDURE fk_begin(ddl text DEFAULT '') LANGUAGE plpgsql AS $$
BEGIN
    DROP SCHEMA IF EXISTS fk_src, fk_dst, fk_out CASCADE;
    CREATE SCHEMA fk_src;
    CREATE SCHEMA fk_dst;
    CREATE SCHEMA fk_out;
    EXECUTE replace(ddl, 'SCHEMA', 'fk_src');
    EXECUTE replace(ddl, 'SCHEMA', 'fk_dst');
END $$;
\pset format unaligned
\t on

-- A column that only the destination has refers by default
CALL fk_begin();
CREATE TABLE fk_src.doc (title text PRIMARY KEY);
CREATE TABLE fk_dst.tenant (id integer PRIMARY KEY);
CREATE TABLE fk_dst.doc (title text PRIMARY KEY, tenant integer NOT NULL DEFAULT 5 REFERENCES fk_dst.tenant);
INSERT INTO fk_src.doc VALUES ('b'), ('a');
SELECT fk_merge();
SELECT count(*) FROM fk_dst.doc;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'fk_dst.doc'::regclass AND attname LIKE 'factmerge%';
-- ... prepared, too, and in batches
SELECT factmerge_prepare('fk_dst');
SELECT fk_merge();
CALL factmerge_merge_in_batches('fk_src', 'fk_dst', 1);
SELECT count(*) FROM fk_dst.doc;
INSERT INTO fk_dst.tenant VALUES (5);
CALL factmerge_merge_in_batches('fk_src', 'fk_dst', 1);
SELECT title, tenant, factmerge_provenance FROM fk_dst.doc ORDER BY 1;
-- ... and when it is merged again
ALTER TABLE fk_dst.doc ALTER tenant SET DEFAULT 6;
SELECT fk_merge();
INSERT INTO fk_src.doc VALUES ('c');
SELECT fk_merge();
INSERT INTO fk_dst.tenant VALUES (6);
SELECT fk_merge();
SELECT title, tenant FROM fk_dst.doc ORDER BY 1;
-- ... even if it has not been validated, for neither does an INSERT get away with it
ALTER TABLE fk_dst.doc ALTER tenant SET DEFAULT 7, DROP CONSTRAINT doc_tenant_fkey,
    ADD CONSTRAINT fresh FOREIGN KEY (tenant) REFERENCES fk_dst.tenant NOT VALID;
INSERT INTO fk_src.doc VALUES ('d');
SELECT fk_merge();

-- A generated column refers
CALL fk_begin();
CREATE TABLE fk_out.kind (id integer PRIMARY KEY);
CREATE TABLE fk_src.n (n integer PRIMARY KEY);
CREATE TABLE fk_dst.n (n integer PRIMARY KEY, kind integer GENERATED ALWAYS AS (n % 3) STORED REFERENCES fk_out.kind);
INSERT INTO fk_out.kind VALUES (0), (1);
INSERT INTO fk_src.n SELECT generate_series(1, 9);
SELECT fk_merge();
INSERT INTO fk_out.kind VALUES (2);
SELECT fk_merge();
-- ... or is referred to, and computed in another way than in the source
CALL fk_begin();
CREATE TABLE fk_src.usr (login text PRIMARY KEY, low text GENERATED ALWAYS AS (lower(login)) STORED UNIQUE);
CREATE TABLE fk_src.doc (title text PRIMARY KEY, owner text REFERENCES fk_src.usr (low));
CREATE TABLE fk_dst.usr (login text PRIMARY KEY, low text GENERATED ALWAYS AS (upper(login)) STORED UNIQUE);
CREATE TABLE fk_dst.doc (title text PRIMARY KEY, owner text REFERENCES fk_dst.usr (low));
INSERT INTO fk_src.usr VALUES ('Ann');
INSERT INTO fk_src.doc VALUES ('d', 'ann');
SELECT fk_merge();
SELECT owner, low FROM fk_dst.doc LEFT JOIN fk_dst.usr ON low = owner;

-- A composite key of which the source has a part, and MATCH FULL
CALL fk_begin();
CREATE TABLE fk_src.d (id integer PRIMARY KEY, k integer);
CREATE TABLE fk_out.t (a integer, b integer, PRIMARY KEY (a, b));
CREATE TABLE fk_dst.d (id integer PRIMARY KEY, k integer, org integer DEFAULT 7,
    CONSTRAINT full_key FOREIGN KEY (org, k) REFERENCES fk_out.t MATCH FULL);
INSERT INTO fk_src.d VALUES (1, 1), (2, 2);
INSERT INTO fk_out.t VALUES (7, 1), (1, 2);
SELECT fk_merge();
INSERT INTO fk_out.t VALUES (7, 2);
INSERT INTO fk_src.d VALUES (3, NULL);
SELECT fk_merge();
ALTER TABLE fk_dst.d DROP CONSTRAINT full_key, ADD FOREIGN KEY (org, k) REFERENCES fk_out.t;
SELECT fk_merge();
SELECT id, k, org FROM fk_dst.d ORDER BY 1;

-- One column, and two foreign keys to tables whose keys are drawn anew
CALL fk_begin($$
    CREATE TABLE SCHEMA.a (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.b (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.x (id integer REFERENCES SCHEMA.a REFERENCES SCHEMA.b, what text, PRIMARY KEY (id, what))
$$);
INSERT INTO fk_src.a (name) VALUES ('a');
INSERT INTO fk_src.b (name) VALUES ('b');
INSERT INTO fk_src.x VALUES (1, 'x');
INSERT INTO fk_dst.a (name) VALUES ('other');
SELECT fk_merge();

-- A part of a composite reference goes by one fact, and the other part by another: the
-- item is the same by its code, though not of the same order
CALL fk_begin($$
    CREATE TABLE SCHEMA.ord (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.item (ord integer REFERENCES SCHEMA.ord, no integer, code text UNIQUE, UNIQUE (ord, no));
    CREATE TABLE SCHEMA.note (ord integer REFERENCES SCHEMA.ord, no integer, text text PRIMARY KEY,
        CONSTRAINT of_item FOREIGN KEY (ord, no) REFERENCES SCHEMA.item (ord, no))
$$);
INSERT INTO fk_src.ord (name) VALUES ('o'), ('p');
INSERT INTO fk_src.item VALUES (1, 1, 'X');
INSERT INTO fk_src.note VALUES (1, 1, 'hello');
INSERT INTO fk_dst.ord (name) VALUES ('p'), ('o');
INSERT INTO fk_dst.item VALUES (1, 1, 'X');
SELECT fk_merge();

-- Foreign keys of single partitions: of one, ...
CALL fk_begin();
CREATE TABLE fk_out.t (id integer PRIMARY KEY);
CREATE TABLE fk_src.p (k integer PRIMARY KEY, t integer);
CREATE TABLE fk_dst.p (k integer PRIMARY KEY, t integer) PARTITION BY RANGE (k);
CREATE TABLE fk_dst.p1 PARTITION OF fk_dst.p FOR VALUES FROM (0) TO (10);
CREATE TABLE fk_dst.p2 (t integer, k integer NOT NULL);
ALTER TABLE fk_dst.p ATTACH PARTITION fk_dst.p2 FOR VALUES FROM (10) TO (20);
ALTER TABLE fk_dst.p2 ADD FOREIGN KEY (t) REFERENCES fk_out.t;
INSERT INTO fk_out.t VALUES (5);
INSERT INTO fk_src.p VALUES (1, 77), (11, 99);
SELECT fk_merge();
UPDATE fk_src.p SET t = 5 WHERE k = 11;
SELECT fk_merge();
-- ... which cannot say what becomes of a reference elsewhere, ...
CALL fk_begin($$
    CREATE TABLE SCHEMA.t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.p (k integer PRIMARY KEY, t integer) PARTITION BY RANGE (k);
    CREATE TABLE SCHEMA.p1 PARTITION OF SCHEMA.p FOR VALUES FROM (0) TO (10);
    CREATE TABLE SCHEMA.p2 PARTITION OF SCHEMA.p FOR VALUES FROM (10) TO (20);
    ALTER TABLE SCHEMA.p2 ADD FOREIGN KEY (t) REFERENCES SCHEMA.t
$$);
INSERT INTO fk_src.t (name) VALUES ('a');
INSERT INTO fk_src.p VALUES (1, 1), (11, 1);
INSERT INTO fk_dst.t (name) VALUES ('b');
SELECT fk_merge();
-- ... and of all of them, which is as good as one of the table
ALTER TABLE fk_src.p1 ADD FOREIGN KEY (t) REFERENCES fk_src.t;
ALTER TABLE fk_dst.p1 ADD FOREIGN KEY (t) REFERENCES fk_dst.t;
SELECT fk_merge();
SELECT k, name FROM fk_dst.p JOIN fk_dst.t ON t.id = p.t ORDER BY 1;
-- To a partition: translated as one to the table, and proven to be in it
CALL fk_begin($$
    CREATE TABLE SCHEMA.t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE SCHEMA.t1 PARTITION OF SCHEMA.t FOR VALUES FROM (1) TO (4);
    CREATE TABLE SCHEMA.t2 PARTITION OF SCHEMA.t DEFAULT;
    CREATE TABLE SCHEMA.r (n integer PRIMARY KEY, t integer REFERENCES SCHEMA.t1)
$$);
INSERT INTO fk_src.t (name) VALUES ('a'), ('b');
INSERT INTO fk_src.r VALUES (1, 1), (2, 2);
INSERT INTO fk_dst.t (name) VALUES ('c'), ('d');
SELECT fk_merge();
DELETE FROM fk_src.r WHERE n = 2;
ALTER TABLE fk_dst.t ALTER id RESTART WITH 3;
SELECT fk_merge();
SELECT n, name FROM fk_dst.r JOIN fk_dst.t1 ON t1.id = t;

-- To a table that is ignored, to one that others inherit from, and to itself
CALL fk_begin($$
    CREATE TABLE SCHEMA.log (id integer PRIMARY KEY);
    CREATE TABLE SCHEMA.r (n integer PRIMARY KEY, log integer REFERENCES SCHEMA.log)
$$);
SELECT factmerge_ignore('fk_dst.log');
INSERT INTO fk_src.log VALUES (1), (2);
INSERT INTO fk_src.r VALUES (1, 1), (2, 2);
INSERT INTO fk_dst.log VALUES (1);
SELECT fk_merge();
CALL fk_begin();
CREATE TABLE fk_out.parent (id integer PRIMARY KEY);
CREATE TABLE fk_out.child () INHERITS (fk_out.parent);
CREATE TABLE fk_src.r (n integer PRIMARY KEY, p integer);
CREATE TABLE fk_dst.r (n integer PRIMARY KEY, p integer REFERENCES fk_out.parent, self integer GENERATED ALWAYS AS (n / 2) STORED REFERENCES fk_dst.r);
INSERT INTO fk_out.parent VALUES (1);
INSERT INTO fk_out.child VALUES (2);
INSERT INTO fk_src.r VALUES (0, 1), (1, 2), (2, 1);
SELECT fk_merge();
INSERT INTO fk_out.parent VALUES (2);
SELECT fk_merge();
INSERT INTO fk_src.r VALUES (9, 1);
SELECT fk_merge();

-- A type, a collation and names that need care; values that stand for one another
CALL fk_begin();
CREATE COLLATION fk_out.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE fk_out.mood AS ENUM ('glad', 'sad');
CREATE TABLE fk_out."Who is ""who""?" ("N a m e" text COLLATE fk_out.nocase, m fk_out.mood, PRIMARY KEY ("N a m e", m));
CREATE TABLE fk_src.r (n integer PRIMARY KEY, who varchar(9));
CREATE TABLE fk_dst.r (n integer PRIMARY KEY, who varchar(9), mood fk_out.mood DEFAULT 'sad',
    CONSTRAINT "Who?" FOREIGN KEY (who, mood) REFERENCES fk_out."Who is ""who""?");
INSERT INTO fk_out."Who is ""who""?" VALUES ('Ann', 'sad'), ('Bob', 'glad');
INSERT INTO fk_src.r VALUES (1, 'ANN'), (2, 'ann'), (3, NULL);
SELECT fk_merge();
INSERT INTO fk_src.r VALUES (4, 'BOB');
SELECT fk_merge();

-- Who may not read what a fact refers to may refer to it all the same, as by an INSERT
CALL fk_begin();
CREATE ROLE fk_user;
CREATE TABLE fk_out.secret (id integer PRIMARY KEY);
INSERT INTO fk_out.secret VALUES (1);
ALTER TABLE fk_out.secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE TABLE fk_src.r (n integer PRIMARY KEY);
CREATE TABLE fk_dst.r (n integer PRIMARY KEY, s integer DEFAULT 1 REFERENCES fk_out.secret);
ALTER TABLE fk_src.r OWNER TO fk_user;
ALTER TABLE fk_dst.r OWNER TO fk_user;
GRANT USAGE ON SCHEMA fk_src, fk_dst TO fk_user;
INSERT INTO fk_src.r VALUES (1);
SET ROLE fk_user;
INSERT INTO fk_dst.r VALUES (0);
SELECT fk_merge();
ALTER TABLE fk_dst.r ALTER s SET DEFAULT 2;
INSERT INTO fk_src.r VALUES (2);
SELECT fk_merge();
RESET ROLE;

-- An undo sees who refers to what goes even where its caller may not look, and tells no
-- more of it than that
GRANT REFERENCES ON fk_dst.r TO CURRENT_USER;
CREATE TABLE fk_out.refers (n integer REFERENCES fk_dst.r, secret text);
INSERT INTO fk_out.refers VALUES (1, 'hush');
SET ROLE fk_user;
DO $$
DECLARE
    told text;
BEGIN
    PERFORM factmerge_undo((SELECT max(merge_id) FROM factmerge_history));
EXCEPTION WHEN foreign_key_violation THEN
    GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
    RAISE WARNING '% %', SQLERRM, told;
END $$;
RESET ROLE;
DELETE FROM fk_out.refers;
SET ROLE fk_user;
SELECT removed FROM factmerge_undo((SELECT max(merge_id) FROM factmerge_history));
RESET ROLE;
-- ... and a reference to a partition
CALL fk_begin();
CREATE TABLE fk_src.p (k integer PRIMARY KEY);
CREATE TABLE fk_dst.p (k integer PRIMARY KEY) PARTITION BY RANGE (k);
CREATE TABLE fk_dst.p1 PARTITION OF fk_dst.p DEFAULT;
CREATE TABLE fk_out.refers (k integer REFERENCES fk_dst.p1);
INSERT INTO fk_src.p VALUES (1);
SELECT fk_merge();
INSERT INTO fk_out.refers VALUES (1);
SELECT removed FROM factmerge_undo((SELECT max(merge_id) FROM factmerge_history));

-- What rules derive is checked, too
CALL fk_begin($$
    CREATE TABLE SCHEMA.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.edge (a integer REFERENCES SCHEMA.point, b integer REFERENCES SCHEMA.point, PRIMARY KEY (a, b));
    CREATE TABLE SCHEMA.path (a integer REFERENCES SCHEMA.point, b integer REFERENCES SCHEMA.point, PRIMARY KEY (a, b))
$$);
CREATE TABLE fk_dst.tenant (id integer PRIMARY KEY);
ALTER TABLE fk_dst.path ADD tenant integer DEFAULT 5 CONSTRAINT of_tenant REFERENCES fk_dst.tenant;
SELECT factmerge_add_rule('two', 'fk_dst.path(a, b)', 'SELECT x.a, y.b FROM edge x JOIN edge y ON y.a = x.b');
INSERT INTO fk_src.point (name) VALUES ('p'), ('q');
INSERT INTO fk_src.edge VALUES (1, 2);
INSERT INTO fk_dst.point (name) VALUES ('q'), ('r');
INSERT INTO fk_dst.edge VALUES (1, 2);
SELECT fk_merge();
INSERT INTO fk_dst.tenant VALUES (5);
SELECT fk_merge();
SELECT count(*), min(tenant) FROM fk_dst.path;

DROP SCHEMA fk_src, fk_dst, fk_out CASCADE;
DROP FUNCTION fk_merge;
DROP PROCEDURE fk_begin;
DROP ROLE fk_user;
