--
-- expression_keys: unique indexes on expressions, and on a part of the rows
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE EXTENSION IF NOT EXISTS citext;
SET DateStyle = ISO;

-- Both schemas with the tables of ddl, in which SCHEMA stands for their name
CREATE PROCEDURE make_indexed(ddl text)
LANGUAGE plpgsql AS $make$
BEGIN
    DROP SCHEMA IF EXISTS ix_src CASCADE;
    DROP SCHEMA IF EXISTS ix_dst CASCADE;
    CREATE SCHEMA ix_src;
    EXECUTE replace(ddl, 'SCHEMA', 'ix_src');
    CREATE SCHEMA ix_dst;
    EXECUTE replace(ddl, 'SCHEMA', 'ix_dst');
END
$make$;

\set tables 'SELECT fact_table, sameness FROM factmerge_tables(\'ix_dst\') ORDER BY position'
\set preview 'SELECT outcome, facts FROM factmerge_preview(\'ix_src\', \'ix_dst\', 0) WHERE facts > 0 ORDER BY fact_table, outcome'
\set merge 'SELECT source_facts AS facts, in_both, copied, conflicts FROM factmerge_merge(\'ix_src\', \'ix_dst\')'
\set again 'SELECT in_both, copied, conflicts FROM factmerge_merge(\'ix_src\', \'ix_dst\')'
\set back 'SELECT in_both, copied, conflicts FROM factmerge_merge(\'ix_dst\', \'ix_src\')'
\set undo 'SELECT factmerge_undo(max(merge_id)) IS NOT NULL AS undone FROM factmerge.merge'

-- An expression: the same user by another spelling, and who refers to him
CALL make_indexed($$
    CREATE TABLE SCHEMA.person (id serial PRIMARY KEY, mail text NOT NULL, name text);
    CREATE UNIQUE INDEX one_mail ON SCHEMA.person (lower(mail)) INCLUDE (name);
    CREATE TABLE SCHEMA.login (person integer REFERENCES SCHEMA.person, at date, PRIMARY KEY (person, at))
$$);
INSERT INTO ix_src.person (mail, name) VALUES ('Ada@x', 'Ada'), ('bob@x', 'Bob'), ('CID@x', NULL);
INSERT INTO ix_dst.person (mail, name) VALUES ('dot@x', 'Dot'), ('cid@x', 'Cid'), ('ada@X', 'Ada');
INSERT INTO ix_src.login SELECT id, '2020-01-01' FROM ix_src.person;
INSERT INTO ix_dst.login SELECT id, '2020-01-01' FROM ix_dst.person WHERE mail = 'ada@X';
:tables;
:preview;
BEGIN;
SELECT source_facts AS facts, in_both, copied, conflicts FROM factmerge_merge('ix_src', 'ix_dst', true);
ROLLBACK;
:merge;
SELECT mail, name, factmerge_provenance FROM ix_dst.person ORDER BY id;
SELECT mail, at, l.factmerge_provenance FROM ix_dst.login l JOIN ix_dst.person p ON p.id = person ORDER BY 1;
SELECT key, column_name, source_value, destination_value FROM factmerge.conflict WHERE fact_table = 'ix_dst.person'::regclass ORDER BY 1, 2;
:again;
INSERT INTO ix_src.person (mail) VALUES ('DOT@x'), ('eve@x');
:again;
:back;
SELECT mail, name, factmerge_provenance FROM ix_src.person ORDER BY id;
:again;

-- ... in batches, into what is prepared, and taken back
CALL make_indexed($$
    CREATE TABLE SCHEMA.person (id serial PRIMARY KEY, mail text NOT NULL);
    CREATE UNIQUE INDEX one_mail ON SCHEMA.person (lower(mail));
    CREATE TABLE SCHEMA.login (person integer REFERENCES SCHEMA.person, at date, PRIMARY KEY (person, at))
$$);
INSERT INTO ix_src.person (mail) SELECT 'U' || n || '@x' FROM generate_series(1, 20) n;
INSERT INTO ix_dst.person (mail) SELECT 'u' || n || '@x' FROM generate_series(30, 11, -1) n;
INSERT INTO ix_src.login SELECT id, '2020-01-01' FROM ix_src.person;
SELECT factmerge_prepare('ix_dst');
CALL factmerge_merge_in_batches('ix_src', 'ix_dst', 3);
SELECT in_both, copied, conflicts FROM factmerge_history ORDER BY merge_id DESC LIMIT 1;
SELECT count(*), count(DISTINCT lower(mail)) FROM ix_dst.login JOIN ix_dst.person ON id = person;
:undo;
SELECT (SELECT count(*) FROM ix_dst.person), (SELECT count(*) FROM ix_dst.login);

-- A part of the rows: who has been deleted leaves the name to another
CALL make_indexed($$
    CREATE TABLE SCHEMA.person (id serial PRIMARY KEY, name text, deleted_at date, note text);
    CREATE UNIQUE INDEX one_name ON SCHEMA.person (name) WHERE deleted_at IS NULL;
    CREATE TABLE SCHEMA.deed (person integer REFERENCES SCHEMA.person, deed text)
$$);
INSERT INTO ix_src.person (name, deleted_at, note) VALUES ('Ada', '2019-01-01', 'first'), ('Ada', NULL, 'second'), ('Bob', NULL, 'here'),
    ('Cid', '2020-01-01', 'gone');
INSERT INTO ix_dst.person (name, deleted_at, note) VALUES ('Bob', '2018-01-01', 'gone'), ('Ada', NULL, 'zweite'), ('Cid', NULL, 'here');
INSERT INTO ix_src.deed SELECT id, note FROM ix_src.person;
:tables;
:merge;
SELECT name, deleted_at, note, deed, p.factmerge_provenance FROM ix_dst.person p LEFT JOIN ix_dst.deed ON person = id ORDER BY id, deed;
:again;
:back;
:again;

-- Both, with several columns, a coalesce, references, quoted names and predicates of several terms
CALL make_indexed($$
    CREATE TABLE SCHEMA.tenant (id serial PRIMARY KEY, name text UNIQUE NOT NULL);
    CREATE TABLE SCHEMA."The ""Zone""" (id serial PRIMARY KEY, "Tenant's" integer REFERENCES SCHEMA.tenant, "The ""Name""" text, domain text, gone boolean NOT NULL);
    CREATE UNIQUE INDEX ON SCHEMA."The ""Zone""" ("Tenant's", lower("The ""Name"""), coalesce(domain, '')) WHERE NOT gone AND "Tenant's" IS NOT NULL;
    CREATE UNIQUE INDEX ON SCHEMA."The ""Zone""" (upper("The ""Name""")) WHERE "Tenant's" IS NULL
$$);
INSERT INTO ix_src.tenant (name) VALUES ('x'), ('y');
INSERT INTO ix_dst.tenant (name) VALUES ('y'), ('z');
INSERT INTO ix_src."The ""Zone""" ("Tenant's", "The ""Name""", domain, gone) VALUES (1, 'A', NULL, false), (2, 'A', NULL, false), (2, 'A', 'd', false),
    (2, 'a', NULL, true), (NULL, 'Root', NULL, false), (NULL, 'other', NULL, false);
INSERT INTO ix_dst."The ""Zone""" ("Tenant's", "The ""Name""", domain, gone) VALUES (1, 'a', NULL, false), (2, 'a', NULL, false), (NULL, 'rOOT', 'd', true);
:tables;
:merge;
SELECT t.name, "The ""Name""", domain, gone, z.factmerge_provenance FROM ix_dst."The ""Zone""" z LEFT JOIN ix_dst.tenant t ON t.id = "Tenant's" ORDER BY z.id;
:again;

-- An expression over what is translated is read over the translation: by the source's keys 1 and 2 would be each other
CALL make_indexed($$
    CREATE TABLE SCHEMA.city (id serial PRIMARY KEY, name text UNIQUE NOT NULL);
    CREATE TABLE SCHEMA.road (id serial PRIMARY KEY, a integer REFERENCES SCHEMA.city, b integer REFERENCES SCHEMA.city, lanes integer);
    CREATE UNIQUE INDEX either_way ON SCHEMA.road (LEAST(a, b), GREATEST(a, b))
$$);
INSERT INTO ix_src.city (name) VALUES ('x'), ('y'), ('z');
INSERT INTO ix_dst.city (name) VALUES ('z'), ('x'), ('y');
INSERT INTO ix_src.road (a, b, lanes) VALUES (1, 2, 1), (3, 2, 2);
INSERT INTO ix_dst.road (a, b, lanes) VALUES (1, 2, 3), (3, 1, 4);
:tables;
:merge;
SELECT x.name, y.name, lanes, r.factmerge_provenance FROM ix_dst.road r JOIN ix_dst.city x ON x.id = a JOIN ix_dst.city y ON y.id = b ORDER BY r.id;
:again;

-- A tree: roots by a part of the rows, the others by their parent
CALL make_indexed($$
    CREATE TABLE SCHEMA.place (id serial PRIMARY KEY, parent integer REFERENCES SCHEMA.place, name text NOT NULL, size integer);
    CREATE UNIQUE INDEX one_root ON SCHEMA.place (lower(name)) WHERE parent IS NULL;
    CREATE UNIQUE INDEX one_child ON SCHEMA.place (coalesce(parent, 0), lower(name)) WHERE parent IS NOT NULL
$$);
INSERT INTO ix_src.place (parent, name) VALUES (NULL, 'Asia'), (1, 'India'), (2, 'Goa'), (NULL, 'Goa'), (4, 'Goa'), (1, 'China');
INSERT INTO ix_dst.place (parent, name) VALUES (NULL, 'goa'), (NULL, 'ASIA'), (2, 'china'), (2, 'INDIA'), (1, 'India');
:tables;
:merge;
SELECT p.name, q.name AS in, p.factmerge_provenance FROM ix_dst.place p LEFT JOIN ix_dst.place q ON q.id = p.parent ORDER BY p.id;
:again;
INSERT INTO ix_src.place (parent, name) VALUES (3, 'Panaji'), (NULL, 'Africa');
:again;

-- Several keys: one fact by the one, another by the other
CALL make_indexed($$
    CREATE TABLE SCHEMA.person (id serial PRIMARY KEY, name text UNIQUE, mail text);
    CREATE UNIQUE INDEX one_mail ON SCHEMA.person (lower(mail)) WHERE mail <> ''
$$);
INSERT INTO ix_src.person (name, mail) VALUES ('Ada', 'B@x');
INSERT INTO ix_dst.person (name, mail) VALUES ('Ada', 'a@x'), ('Bob', 'b@x');
:merge;
TRUNCATE ix_src.person;
INSERT INTO ix_src.person (name, mail) VALUES ('Ada', 'c@x'), (NULL, 'A@x');
:merge;
UPDATE ix_src.person SET mail = '' WHERE name IS NULL;
:merge;
SELECT name, mail, factmerge_provenance FROM ix_dst.person ORDER BY id;

-- Facts become one by an expression, because what they refer to has
CALL make_indexed($$
    CREATE TABLE SCHEMA.person (id serial PRIMARY KEY, mail text NOT NULL);
    CREATE TABLE SCHEMA.deed (id serial PRIMARY KEY, person integer REFERENCES SCHEMA.person, deed text, open boolean);
    CREATE UNIQUE INDEX one_deed ON SCHEMA.deed (person, lower(deed)) WHERE open;
    CREATE TABLE SCHEMA.witness (deed integer REFERENCES SCHEMA.deed, name text, PRIMARY KEY (deed, name))
$$);
CREATE UNIQUE INDEX one_mail ON ix_dst.person (lower(mail));
INSERT INTO ix_src.person (mail) VALUES ('a@x'), ('A@x'), ('b@x');
INSERT INTO ix_dst.person (mail) VALUES ('a@X');
INSERT INTO ix_src.deed (person, deed, open) VALUES (1, 'sang', true), (2, 'SANG', true), (1, 'wrote', false), (2, 'wrote', true), (3, 'sang', true);
INSERT INTO ix_src.witness SELECT id, 'w' || id FROM ix_src.deed;
:tables;
:merge;
SELECT mail, deed, open, (SELECT string_agg(name, ' ' ORDER BY name) FROM ix_dst.witness w WHERE w.deed = d.id) AS seen, d.factmerge_provenance
    FROM ix_dst.deed d JOIN ix_dst.person p ON p.id = person ORDER BY d.id;
SELECT column_name, source_value, destination_value FROM factmerge.conflict WHERE fact_table = 'ix_dst.deed'::regclass;
:again;

-- What only the destination enforces: two of the source's facts may be one, but not if both are new
CALL make_indexed('CREATE TABLE SCHEMA.person (id serial PRIMARY KEY, mail text)');
CREATE UNIQUE INDEX one_mail ON ix_dst.person (lower(mail));
INSERT INTO ix_src.person (mail) VALUES ('a@x'), ('A@x');
:merge;
INSERT INTO ix_dst.person (mail) VALUES ('a@X');
:merge;
SELECT mail, factmerge_provenance FROM ix_dst.person;

-- Operator classes, collations, types of extensions, NULLS NOT DISTINCT, a function and a type of the user's
CALL make_indexed($$
    CREATE TYPE SCHEMA.state AS ENUM ('open', 'closed');
    CREATE FUNCTION SCHEMA.canonical(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT replace(lower($1), ''-'', '''')';
    CREATE TABLE SCHEMA.pattern (id serial PRIMARY KEY, v text);
    CREATE UNIQUE INDEX ON SCHEMA.pattern (lower(v) text_pattern_ops, (v COLLATE "C") DESC) WHERE v > 'b';
    CREATE TABLE SCHEMA.caseless (id serial PRIMARY KEY, v citext, n integer);
    CREATE UNIQUE INDEX ON SCHEMA.caseless (v) WHERE n > 0;
    CREATE UNIQUE INDEX ON SCHEMA.caseless ((v || '!'), n) WHERE n < 0;
    CREATE TABLE SCHEMA.nulls (id serial PRIMARY KEY, a text, b integer, c text);
    CREATE UNIQUE INDEX ON SCHEMA.nulls (lower(a), b) NULLS NOT DISTINCT;
    CREATE TABLE SCHEMA.own (id serial PRIMARY KEY, code text, state SCHEMA.state);
    CREATE UNIQUE INDEX ON SCHEMA.own (SCHEMA.canonical(code), state) WHERE state <> 'closed';
    CREATE TABLE SCHEMA.doc (id serial PRIMARY KEY, doc jsonb);
    CREATE UNIQUE INDEX ON SCHEMA.doc ((doc->>'isbn'))
$$);
INSERT INTO ix_src.pattern (v) VALUES ('a'), ('x'), ('Y');
INSERT INTO ix_dst.pattern (v) VALUES ('a'), ('x'), ('y');
INSERT INTO ix_src.caseless (v, n) VALUES ('a', 1), ('b', 0), ('c', -1), ('c', -2);
INSERT INTO ix_dst.caseless (v, n) VALUES ('A', 2), ('B', 0), ('C', -1);
INSERT INTO ix_src.nulls (a, b, c) VALUES (NULL, NULL, 'x'), ('A', NULL, 'x'), (NULL, 1, 'x'), ('B', 1, 'x');
INSERT INTO ix_dst.nulls (a, b, c) VALUES (NULL, NULL, 'y'), ('a', NULL, 'y'), (NULL, 2, 'y'), ('b', 1, 'y');
INSERT INTO ix_src.own (code, state) VALUES ('A-1', 'open'), ('B-1', 'closed');
INSERT INTO ix_dst.own (code, state) VALUES ('a1', 'open'), ('b1', 'closed');
INSERT INTO ix_src.doc (doc) VALUES ('{"isbn": "1", "title": "x"}'), ('{"title": "x"}');
INSERT INTO ix_dst.doc (doc) VALUES ('{"isbn": "1", "title": "y"}');
:tables;
SELECT (fact_table)::text, source_facts, in_both, copied, conflicts FROM factmerge_report((SELECT merge_id FROM factmerge_merge('ix_src', 'ix_dst'))) ORDER BY 1;
SELECT v, n, factmerge_provenance FROM ix_dst.caseless ORDER BY id;
:again;

-- Partitions
CALL make_indexed($$
    CREATE TABLE SCHEMA.reading (id serial, at date NOT NULL, place text, value real, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE SCHEMA.old PARTITION OF SCHEMA.reading FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
    CREATE TABLE SCHEMA.new PARTITION OF SCHEMA.reading DEFAULT;
    CREATE UNIQUE INDEX one_reading ON SCHEMA.reading (at, lower(place)) WHERE value IS NOT NULL
$$);
INSERT INTO ix_src.reading (at, place, value) VALUES ('2019-01-01', 'X', 1), ('2021-01-01', 'Y', 2), ('2021-01-01', 'Z', NULL);
INSERT INTO ix_dst.reading (at, place, value) VALUES ('2019-01-01', 'x', 3), ('2021-01-01', 'y', 2), ('2020-01-01', 'x', 1);
:merge;
SELECT at, place, value, factmerge_provenance FROM ix_dst.reading ORDER BY 1, 2;
:again;

-- A handler's facts are there already by such a key, too, whether keys are checked late or not
CALL make_indexed($$
    CREATE TABLE SCHEMA.word (id serial PRIMARY KEY, word text UNIQUE, number integer);
    CREATE TABLE SCHEMA.pair (id serial PRIMARY KEY, one text, other text, sum integer CONSTRAINT late UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE UNIQUE INDEX one_pair ON SCHEMA.pair (lower(one), lower(other)) WHERE one IS NOT NULL;
    CREATE FUNCTION SCHEMA.pairs(word SCHEMA.word) RETURNS SETOF SCHEMA.pair LANGUAGE plpgsql SET search_path = SCHEMA AS $body$
    DECLARE
        pair SCHEMA.pair;
    BEGIN
        FOR pair.one, pair.other IN SELECT upper(a.word), b.word FROM word a, word b WHERE $1.id IN (a.id, b.id) AND a.number + 1 = b.number LOOP
            RETURN NEXT pair;
        END LOOP;
    END $body$
$$);
SELECT factmerge_add_handler('ix_dst.word', 'ix_dst.pairs');
SELECT factmerge_add_friend('ix_dst.word', 'ix_dst.word', 'true');
INSERT INTO ix_src.word (word, number) VALUES ('a', 1), ('c', 3);
INSERT INTO ix_dst.word (word, number) VALUES ('b', 2);
:merge;
SELECT one, other FROM ix_dst.pair ORDER BY 1, 2;
SELECT factmerge_saturate('ix_dst');

DROP SCHEMA ix_src, ix_dst CASCADE;
DROP PROCEDURE make_indexed;
