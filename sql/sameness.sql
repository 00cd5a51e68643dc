--
-- sameness: which fact of the source is which fact of the destination
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE EXTENSION IF NOT EXISTS citext;
SET DateStyle = ISO;

-- Both schemas with the tables of ddl, in which SCHEMA stands for their name
CREATE PROCEDURE make_same(ddl text)
LANGUAGE plpgsql AS $make$
BEGIN
    DROP SCHEMA IF EXISTS same_src CASCADE;
    DROP SCHEMA IF EXISTS same_dst CASCADE;
    CREATE SCHEMA same_src;
    EXECUTE replace(ddl, 'SCHEMA', 'same_src');
    CREATE SCHEMA same_dst;
    EXECUTE replace(ddl, 'SCHEMA', 'same_dst');
END
$make$;

\set merge 'SELECT source_facts AS facts, in_both, copied, conflicts FROM factmerge_merge(\'same_src\', \'same_dst\')'
\set again 'SELECT in_both, copied, conflicts FROM factmerge_merge(\'same_src\', \'same_dst\')'
\set tables 'SELECT fact_table, key, key_kind, sameness FROM factmerge_tables(\'same_dst\') ORDER BY position'

-- A unique key without a surrogate column
CALL make_same($$
    CREATE TABLE SCHEMA.person (
        id serial PRIMARY KEY,
        name text NOT NULL,
        born date NOT NULL,
        UNIQUE (born, name)
    )
$$);
INSERT INTO same_src.person (name, born) VALUES
    ('Ada', '1815-12-10'), ('Ada', '1999-01-01'), ('Bob', '1815-12-10');
INSERT INTO same_dst.person (name, born) VALUES
    ('Bob', '1900-01-01'), ('Ada', '1815-12-10');
:tables;
:merge;
SELECT name, born, factmerge_provenance FROM same_dst.person ORDER BY 1, 2;
:again;

-- Several unique keys: equal by any of them is the same; where each holds a null, the
-- whole row decides
CALL make_same($$
    CREATE TABLE SCHEMA.person (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        passport text UNIQUE,
        email text UNIQUE,
        name text
    )
$$);
INSERT INTO same_src.person (passport, email, name) VALUES
    ('P1', 'one@x', 'by both'),
    ('P2', NULL, 'by passport'),
    (NULL, 'three@x', 'by email'),
    ('P4', 'four@x', 'by email, the passport is another'),
    (NULL, NULL, 'by nothing'),
    (NULL, NULL, 'by nothing, either');
INSERT INTO same_dst.person (passport, email, name) VALUES
    (NULL, NULL, 'by nothing'),
    ('P1', 'one@x', 'by both'),
    ('P2', 'two@x', 'by passport'),
    ('P3', 'three@x', 'by email'),
    ('P5', 'four@x', 'by email, the passport is another');
:tables;
:merge;
SELECT passport, email, name, factmerge_provenance FROM same_dst.person ORDER BY name, passport, factmerge_provenance;
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts() ORDER BY 1, 2;
-- ... and merging again adds nothing, even of what no key identifies
:again;
SELECT count(*) FROM same_dst.person;

-- What references refer to follows, whichever key it was that matched
CALL make_same($$
    CREATE TABLE SCHEMA.person (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        passport text UNIQUE,
        email text UNIQUE
    );
    CREATE TABLE SCHEMA.login (
        email text REFERENCES SCHEMA.person (email),
        at timestamp NOT NULL,
        PRIMARY KEY (email, at)
    )
$$);
INSERT INTO same_src.person (passport, email) VALUES ('P1', 'old@x'), ('P2', 'other@x');
INSERT INTO same_src.login VALUES ('old@x', '2020-01-01'), ('other@x', '2020-01-02');
INSERT INTO same_dst.person (passport, email) VALUES ('P1', 'new@x');
INSERT INTO same_dst.login VALUES ('new@x', '2020-01-01');
:merge;
SELECT email, at, factmerge_provenance FROM same_dst.login ORDER BY 1, 2;

-- Two facts of the source that the destination knows to be one: the other way
-- round it would be ambiguous, so it is here
CALL make_same($$
    CREATE TABLE SCHEMA.person (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        passport text UNIQUE,
        email text UNIQUE
    )
$$);
INSERT INTO same_src.person (passport, email) VALUES ('P1', NULL), (NULL, 'one@x');
INSERT INTO same_dst.person (passport, email) VALUES ('P1', 'one@x');
:merge;
SELECT passport, email FROM same_dst.person;

-- Nulls in a key of several columns, and NULLS NOT DISTINCT
CALL make_same($$
    CREATE TABLE SCHEMA.distinct_nulls (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        a text,
        b text,
        UNIQUE (a, b)
    );
    CREATE TABLE SCHEMA.equal_nulls (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        a text,
        b text,
        UNIQUE NULLS NOT DISTINCT (a, b)
    )
$$);
INSERT INTO same_src.distinct_nulls (a, b) VALUES ('x', 'y'), ('x', NULL), (NULL, NULL);
INSERT INTO same_dst.distinct_nulls (a, b) VALUES ('x', 'y'), ('x', NULL), (NULL, NULL);
INSERT INTO same_src.equal_nulls (a, b) VALUES ('x', 'y'), ('x', NULL), (NULL, NULL), ('z', NULL);
INSERT INTO same_dst.equal_nulls (a, b) VALUES ('x', 'y'), ('x', NULL), (NULL, NULL);
:merge;
SELECT a, b, factmerge_provenance FROM same_dst.distinct_nulls ORDER BY 1, 2, 3;
SELECT a, b, factmerge_provenance FROM same_dst.equal_nulls ORDER BY 1, 2, 3;
:again;
SELECT count(*) FROM same_dst.distinct_nulls;

-- A primary key that nobody generates
CALL make_same($$
    CREATE TABLE SCHEMA.country (code char(2) PRIMARY KEY, name text);
    CREATE TABLE SCHEMA.reading (station integer, at date, value numeric, PRIMARY KEY (station, at))
$$);
INSERT INTO same_src.country VALUES ('DK', 'Denmark'), ('GB', 'Great Britain');
INSERT INTO same_dst.country VALUES ('GB', 'United Kingdom'), ('GR', 'Greece');
INSERT INTO same_src.reading VALUES (1, '2020-01-01', 1.50), (1, '2020-01-02', 2);
INSERT INTO same_dst.reading VALUES (1, '2020-01-01', 1.5), (2, '2020-01-02', 2);
:tables;
:merge;
SELECT code, name, factmerge_provenance FROM same_dst.country ORDER BY 1;
SELECT station, at, value, factmerge_provenance FROM same_dst.reading ORDER BY 1, 2;

-- A uuid keeps its value wherever it goes, even if the database draws it
CALL make_same($$
    CREATE TABLE SCHEMA.device (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
    CREATE TABLE SCHEMA.reading (device uuid REFERENCES SCHEMA.device, at date, PRIMARY KEY (device, at))
$$);
INSERT INTO same_src.device VALUES
    ('00000000-0000-0000-0000-000000000001', 'one'), ('00000000-0000-0000-0000-000000000002', 'two');
INSERT INTO same_src.reading VALUES
    ('00000000-0000-0000-0000-000000000001', '2020-01-01'), ('00000000-0000-0000-0000-000000000002', '2020-01-01');
INSERT INTO same_dst.device VALUES
    ('00000000-0000-0000-0000-000000000001', 'one'), ('00000000-0000-0000-0000-000000000003', 'three');
INSERT INTO same_dst.reading VALUES ('00000000-0000-0000-0000-000000000001', '2020-01-01');
:tables;
:merge;
SELECT right(id::text, 1) AS id, name, factmerge_provenance FROM same_dst.device ORDER BY 1;
SELECT right(device::text, 1) AS device, at, factmerge_provenance FROM same_dst.reading ORDER BY 1, 2;

-- ... and identifies beside other keys, though what each side has drawn for the same
-- fact is no conflict
CALL make_same($$
    CREATE TABLE SCHEMA.device (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text UNIQUE);
    CREATE TABLE SCHEMA.reading (device uuid REFERENCES SCHEMA.device, at date, PRIMARY KEY (device, at))
$$);
INSERT INTO same_src.device VALUES
    ('00000000-0000-0000-0000-000000000001', 'one'), ('00000000-0000-0000-0000-000000000002', 'two'),
    ('00000000-0000-0000-0000-000000000003', 'three');
INSERT INTO same_src.reading VALUES
    ('00000000-0000-0000-0000-000000000001', '2020-01-01'), ('00000000-0000-0000-0000-000000000002', '2020-01-01'),
    ('00000000-0000-0000-0000-000000000003', '2020-01-01');
INSERT INTO same_dst.device VALUES ('00000000-0000-0000-0000-000000000009', 'one'), ('00000000-0000-0000-0000-000000000003', 'drei');
INSERT INTO same_dst.reading VALUES ('00000000-0000-0000-0000-000000000009', '2020-01-01');
:tables;
:merge;
SELECT right(id::text, 1) AS id, name, factmerge_provenance FROM same_dst.device ORDER BY 1;
SELECT key, column_name, source_value, destination_value FROM factmerge.conflict WHERE fact_table = 'same_dst.device'::regclass;
SELECT name, at, r.factmerge_provenance FROM same_dst.reading r JOIN same_dst.device d ON d.id = device ORDER BY 1;
:again;

-- A uuid and a name of two facts of the destination: which one it is nobody knows
CALL make_same('CREATE TABLE SCHEMA.device (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text UNIQUE)');
INSERT INTO same_src.device VALUES ('00000000-0000-0000-0000-000000000001', 'one');
INSERT INTO same_dst.device VALUES ('00000000-0000-0000-0000-000000000001', 'eins'), ('00000000-0000-0000-0000-000000000009', 'one');
:merge;

-- A public uuid beside a generated key identifies, is never drawn anew, and differs as any column
CALL make_same($$
    CREATE TABLE SCHEMA.device (id serial PRIMARY KEY, public_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(), name text UNIQUE);
    CREATE TABLE SCHEMA.reading (device uuid REFERENCES SCHEMA.device (public_id), at date, PRIMARY KEY (device, at))
$$);
INSERT INTO same_src.device VALUES
    (1, '00000000-0000-0000-0000-000000000001', 'one'), (2, '00000000-0000-0000-0000-000000000002', 'two'),
    (3, '00000000-0000-0000-0000-000000000003', NULL);
INSERT INTO same_src.reading SELECT public_id, '2020-01-01' FROM same_src.device;
INSERT INTO same_dst.device VALUES (7, '00000000-0000-0000-0000-000000000003', 'three'), (8, '00000000-0000-0000-0000-000000000008', 'two');
:tables;
:merge;
SELECT right(public_id::text, 1) AS public_id, name, factmerge_provenance FROM same_dst.device ORDER BY 1;
SELECT key, column_name, right(source_value, 1) AS source, right(destination_value, 1) AS destination FROM factmerge.conflict
    WHERE fact_table = 'same_dst.device'::regclass ORDER BY key;
SELECT name, at FROM same_dst.reading JOIN same_dst.device ON public_id = device ORDER BY 1;
:again;

-- Only where the source's keys are no uuids they are drawn
CALL make_same('CREATE TABLE SCHEMA.device (id serial PRIMARY KEY, name text UNIQUE)');
ALTER TABLE same_dst.device ALTER id DROP DEFAULT, ALTER id TYPE uuid USING gen_random_uuid(), ALTER id SET DEFAULT gen_random_uuid();
INSERT INTO same_src.device (name) VALUES ('one'), ('two');
INSERT INTO same_dst.device (name) VALUES ('two');
:tables;
:merge;
SELECT name, factmerge_provenance FROM same_dst.device ORDER BY 1;
:again;

-- The whole row but its surrogate key, nulls and types without equality included
CALL make_same($$
    CREATE TABLE SCHEMA.visit (
        id bigserial PRIMARY KEY,
        who text,
        at timestamptz,
        payload json,
        shape point,
        extra jsonb
    )
$$);
INSERT INTO same_src.visit (who, at, payload, shape, extra) VALUES
    ('Ada', '2020-01-01', '{"a": 1}', '(1,2)', '{"x": 1, "y": 2}'),
    (NULL, NULL, NULL, NULL, NULL),
    ('Ada', '2020-01-01', '{"a":1}', '(1,2)', '{}'),
    ('Ada', NULL, '{"a": 1}', '(1,2)', '{}'),
    ('Ada', '2020-01-01', '{"a": 1}', '(1,3)', '{}');
INSERT INTO same_dst.visit (who, at, payload, shape, extra) VALUES
    ('Bob', '2020-01-01', '{"a": 1}', '(1,2)', '{}'),
    ('Ada', '2020-01-01', '{"a": 1}', '(1,2)', '{"y": 2, "x": 1}'),
    (NULL, NULL, NULL, NULL, NULL),
    ('Ada', NULL, '{"a": 1}', '(1,2)', '{}');
:tables;
:merge;
SELECT who, at IS NOT NULL AS dated, payload, shape, extra, factmerge_provenance
FROM same_dst.visit ORDER BY id;
:again;

-- A table without any key; equal rows of the source are so many facts, but if
-- the destination has one of them, it has them all
CALL make_same($$
    CREATE TABLE SCHEMA.word (word text, page integer)
$$);
INSERT INTO same_src.word VALUES ('a', 1), ('a', 1), ('b', 1), ('b', NULL), ('c', 2), ('c', 2);
INSERT INTO same_dst.word VALUES ('a', 1), ('b', NULL), ('d', 4), ('d', 4);
:tables;
:merge;
SELECT word, page, factmerge_provenance, count(*) FROM same_dst.word GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
:again;

-- A junction table whose primary key consists of foreign keys, and one with a
-- key of its own beside
CALL make_same($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.club (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.member (
        person integer REFERENCES SCHEMA.person,
        club integer REFERENCES SCHEMA.club,
        since integer,
        PRIMARY KEY (person, club)
    );
    CREATE TABLE SCHEMA.visit (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        person integer REFERENCES SCHEMA.person,
        club integer REFERENCES SCHEMA.club,
        guest integer REFERENCES SCHEMA.person,
        UNIQUE (person, club)
    )
$$);
INSERT INTO same_src.person (name) VALUES ('Ada'), ('Bob'), ('Cid');
INSERT INTO same_src.club (name) VALUES ('chess'), ('rowing');
INSERT INTO same_src.member VALUES (1, 1, 1990), (2, 2, 1991), (3, 1, 1992);
INSERT INTO same_src.visit (person, club, guest) VALUES (1, 1, 2), (3, 2, NULL), (2, 1, 2);
INSERT INTO same_dst.person (name) VALUES ('Dot'), ('Bob'), ('Ada');
INSERT INTO same_dst.club (name) VALUES ('rowing'), ('chess');
INSERT INTO same_dst.member VALUES (3, 2, 1990), (2, 1, 1995), (1, 1, 1996);
INSERT INTO same_dst.visit (person, club, guest) VALUES (1, 1, 2), (3, 2, 2), (2, 2, 3);
:tables;
:merge;
SELECT p.name, c.name, since, m.factmerge_provenance
FROM same_dst.member m JOIN same_dst.person p ON p.id = person JOIN same_dst.club c ON c.id = club ORDER BY 1, 2;
SELECT p.name, c.name, g.name AS guest, v.factmerge_provenance
FROM same_dst.visit v JOIN same_dst.person p ON p.id = person JOIN same_dst.club c ON c.id = club
LEFT JOIN same_dst.person g ON g.id = guest ORDER BY 1, 2;
SELECT fact_table, key, column_name, source_value, destination_value FROM factmerge_conflicts() ORDER BY fact_table::text, key;

-- A primary key that is itself a foreign key, over two steps
CALL make_same($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.poet (person integer PRIMARY KEY REFERENCES SCHEMA.person, style text);
    CREATE TABLE SCHEMA.laureate (poet integer PRIMARY KEY REFERENCES SCHEMA.poet, year integer)
$$);
INSERT INTO same_src.person (name) VALUES ('Ada'), ('Bob'), ('Cid');
INSERT INTO same_src.poet VALUES (1, 'sonnet'), (3, 'ode');
INSERT INTO same_src.laureate VALUES (1, 1900), (3, 1910);
INSERT INTO same_dst.person (name) VALUES ('Dot'), ('Eve'), ('Ada');
INSERT INTO same_dst.poet VALUES (3, 'sonnet'), (1, 'haiku');
INSERT INTO same_dst.laureate VALUES (3, 1900), (1, 1999);
:tables;
:merge;
SELECT name, style, year, p.factmerge_provenance, o.factmerge_provenance, l.factmerge_provenance
FROM same_dst.person p LEFT JOIN same_dst.poet o ON o.person = p.id LEFT JOIN same_dst.laureate l ON l.poet = p.id
ORDER BY 1;

-- A composite foreign key to a key that is partly remapped
CALL make_same($$
    CREATE TABLE SCHEMA.house (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, street text UNIQUE);
    CREATE TABLE SCHEMA.room (house integer REFERENCES SCHEMA.house, number integer, PRIMARY KEY (house, number));
    CREATE TABLE SCHEMA.bed (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        house integer,
        room integer,
        label text,
        FOREIGN KEY (house, room) REFERENCES SCHEMA.room (house, number),
        UNIQUE (house, room, label)
    )
$$);
INSERT INTO same_src.house (street) VALUES ('Elm St'), ('Oak St');
INSERT INTO same_src.room VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO same_src.bed (house, room, label) VALUES (1, 1, 'a'), (1, 2, 'a'), (2, 1, 'a'), (NULL, 7, 'lost'), (2, NULL, 'stray');
INSERT INTO same_dst.house (street) VALUES ('Ash St'), ('Elm St');
INSERT INTO same_dst.room VALUES (1, 1), (2, 1);
INSERT INTO same_dst.bed (house, room, label) VALUES (1, 1, 'a'), (2, 1, 'a'), (NULL, 7, 'lost');
:merge;
SELECT street, number, r.factmerge_provenance FROM same_dst.room r JOIN same_dst.house h ON h.id = house ORDER BY 1, 2;
SELECT street, room, label, b.factmerge_provenance
FROM same_dst.bed b LEFT JOIN same_dst.house h ON h.id = house ORDER BY 1, 2, 3, 4;
:again;

-- The equality is that of the index: citext, nondeterministic collations,
-- numeric scale, negative zero
CREATE COLLATION IF NOT EXISTS same_ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CALL make_same($$
    CREATE TABLE SCHEMA.tag (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tag citext UNIQUE);
    CREATE TABLE SCHEMA.word (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                              word text COLLATE same_ignore_case UNIQUE);
    CREATE TABLE SCHEMA.spoken (word text COLLATE same_ignore_case REFERENCES SCHEMA.word (word), at date,
                                PRIMARY KEY (word, at));
    CREATE TABLE SCHEMA.amount (amount numeric PRIMARY KEY);
    CREATE TABLE SCHEMA.measure (measure float8 PRIMARY KEY)
$$);
INSERT INTO same_src.tag (tag) VALUES ('Blue'), ('Red');
INSERT INTO same_dst.tag (tag) VALUES ('BLUE'), ('Green');
INSERT INTO same_src.word (word) VALUES ('Hello'), ('World');
INSERT INTO same_src.spoken VALUES ('HELLO', '2020-01-01'), ('world', '2020-01-01');
INSERT INTO same_dst.word (word) VALUES ('hello');
INSERT INTO same_dst.spoken VALUES ('hello', '2020-01-01'), ('hello', '2020-01-02');
INSERT INTO same_src.amount VALUES (1.50), (2.0);
INSERT INTO same_dst.amount VALUES (1.5), (3);
INSERT INTO same_src.measure VALUES ('-0'), ('NaN'), (1);
INSERT INTO same_dst.measure VALUES ('0'), ('NaN'), (2);
:merge;
SELECT tag, factmerge_provenance FROM same_dst.tag ORDER BY 1;
SELECT word, factmerge_provenance FROM same_dst.word ORDER BY 1;
SELECT word, at, factmerge_provenance FROM same_dst.spoken ORDER BY 1, 2;
SELECT amount, factmerge_provenance FROM same_dst.amount ORDER BY 1;
SELECT measure, factmerge_provenance FROM same_dst.measure ORDER BY 1;
SELECT fact_table, column_name, source_value, destination_value FROM factmerge_conflicts() ORDER BY fact_table::text, 3;

-- Partial and expression unique indexes identify as others do
CALL make_same($$
    CREATE TABLE SCHEMA.account (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text,
        closed boolean NOT NULL
    );
    CREATE UNIQUE INDEX ON SCHEMA.account (name) WHERE NOT closed;
    CREATE UNIQUE INDEX ON SCHEMA.account (lower(name), closed) INCLUDE (id);
$$);
INSERT INTO same_src.account (name, closed) VALUES ('a', true), ('b', false);
INSERT INTO same_dst.account (name, closed) VALUES ('a', false), ('b', false);
:tables;
:merge;
SELECT name, closed, factmerge_provenance FROM same_dst.account ORDER BY 1, 2;

-- Columns that an index only includes are no part of the key
CALL make_same($$
    CREATE TABLE SCHEMA.account (number integer, name text, UNIQUE (number) INCLUDE (name))
$$);
INSERT INTO same_src.account VALUES (1, 'one'), (2, 'two');
INSERT INTO same_dst.account VALUES (1, 'uno');
:tables;
:merge;
SELECT number, name, factmerge_provenance FROM same_dst.account ORDER BY 1;

-- A key that only the destination enforces: the source may hold it twice
CALL make_same($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)
$$);
ALTER TABLE same_dst.person ADD UNIQUE (name);
INSERT INTO same_src.person (name) VALUES ('Ada'), ('Ada'), ('Bob');
INSERT INTO same_dst.person (name) VALUES ('Ada');
:merge;
SELECT name, factmerge_provenance FROM same_dst.person ORDER BY 1;

-- A key that only the source enforces says nothing about the destination
CALL make_same($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, born integer)
$$);
ALTER TABLE same_src.person ADD UNIQUE (name);
INSERT INTO same_src.person (name, born) VALUES ('Ada', 1815), ('Bob', 1900);
INSERT INTO same_dst.person (name, born) VALUES ('Ada', 1815), ('Bob', 1950), ('Bob', 1960);
:merge;
SELECT name, born, factmerge_provenance FROM same_dst.person ORDER BY 1, 2;

-- Without a key nothing tells which of several equal rows it is: the first is the first,
-- and the second the second
CALL make_same($$
    CREATE TABLE SCHEMA.visit (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who text);
    CREATE TABLE SCHEMA.note (visit integer REFERENCES SCHEMA.visit, note text, PRIMARY KEY (visit, note))
$$);
INSERT INTO same_src.visit (who) VALUES ('Ada'), ('Ada');
INSERT INTO same_src.note VALUES (1, 'first'), (2, 'second');
INSERT INTO same_dst.visit (who) VALUES ('Bob'), ('Ada'), ('Ada');
INSERT INTO same_dst.note VALUES (2, 'first'), (3, 'third');
:merge;
SELECT visit, note, factmerge_provenance FROM same_dst.note ORDER BY 1, 2;
SELECT id, who, factmerge_provenance FROM same_dst.visit ORDER BY 1;

DROP SCHEMA same_src, same_dst CASCADE;
DROP PROCEDURE make_same;
-- A key map outlives its fact table, and so do its columns of that collation
DROP COLLATION same_ignore_case CASCADE;
DROP EXTENSION citext;
