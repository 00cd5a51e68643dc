-- Foreign keys of every kind: where they lead, what they may be null in, and
-- when they act.  Circles are in shapes_circles.sql.
BEGIN;
\ir include/shapes.sql
SELECT plan(81);

-- What the facts below refer to, most of the time: people with a drawn key
-- that differs on the two sides
CREATE FUNCTION people(names text) RETURNS text LANGUAGE sql AS $body$
    SELECT format('INSERT INTO person (name) SELECT regexp_split_to_table(%L, '' ''); ', names)
$body$;
CREATE FUNCTION person() RETURNS text LANGUAGE sql AS
    $$SELECT 'CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL UNIQUE); '$$;

--
-- Where a foreign key leads
--
CALL make(
    person() || $$ALTER TABLE person ADD nick text UNIQUE;
      CREATE TABLE letter (sender text REFERENCES person (nick), receiver text NOT NULL REFERENCES person (name), words text,
                           PRIMARY KEY (receiver, words))$$,
    people('Ada Bob Cid') || $$UPDATE person SET nick = left(name, 1) || '.' WHERE name <> 'Cid';
      INSERT INTO letter VALUES ('A.', 'Bob', 'hi'), (NULL, 'Cid', 'ho'), ('B.', 'Ada', 'hm')$$,
    people('Dot Bob Ada') || $$UPDATE person SET nick = lower(name) WHERE name <> 'Dot';
      INSERT INTO letter VALUES ('ada', 'Bob', 'hi'), ('bob', 'Dot', 'hm')$$);
SELECT merges('foreign key to a unique key', '3 in both, 3 copied, 2 conflicts',
    'SELECT s.name AS sender, receiver, words, l.factmerge_provenance
     FROM b.letter l LEFT JOIN b.person s ON s.nick = sender ORDER BY receiver, words',
    '(Bob,Ada,hm,source)
     (Ada,Bob,hi,both)
     (,Cid,ho,source)
     (Bob,Dot,hm,destination)');

CALL make(
    $$CREATE TABLE part (code text PRIMARY KEY, number integer GENERATED ALWAYS AS IDENTITY UNIQUE);
      CREATE TABLE stock (part integer PRIMARY KEY REFERENCES part (number), pieces integer)$$,
    $$INSERT INTO part (code) VALUES ('nut'), ('bolt'), ('gear'); INSERT INTO stock SELECT number, 5 FROM part$$,
    $$INSERT INTO part (code) VALUES ('gear'), ('cog'), ('nut');
        INSERT INTO stock SELECT number, 7 FROM part WHERE code <> 'gear'$$);
SELECT merges('foreign key to a unique key that is drawn', '3 in both, 3 copied, 4 conflicts',
    'SELECT code, pieces, p.factmerge_provenance AS p, s.factmerge_provenance AS s
     FROM b.part p LEFT JOIN b.stock s ON part = number ORDER BY 1',
    '(bolt,5,source,source)
     (cog,7,destination,destination)
     (gear,5,both,source)
     (nut,7,both,both)');

CALL make(
    $$CREATE TABLE street (town text NOT NULL, name text NOT NULL, id serial PRIMARY KEY);
      CREATE UNIQUE INDEX ON street (name, town);
      CREATE TABLE house (id serial PRIMARY KEY, number integer, town text, street text,
                          FOREIGN KEY (town, street) REFERENCES street (town, name), UNIQUE (street, number, town))$$,
    $$INSERT INTO street VALUES ('Ulm', 'Elm'), ('Bonn', 'Elm');
        INSERT INTO house (number, town, street) VALUES (1, 'Ulm', 'Elm'), (1, 'Bonn', 'Elm')$$,
    $$INSERT INTO street VALUES ('Bonn', 'Elm'), ('Bonn', 'Oak');
        INSERT INTO house (number, town, street) VALUES (1, 'Bonn', 'Elm'), (1, 'Bonn', 'Oak')$$);
SELECT merges('foreign key to a unique index, its columns in another order', '2 in both, 2 copied, 0 conflicts',
    'SELECT street, town, number, factmerge_provenance FROM b.house ORDER BY 1, 2',
    '(Elm,Bonn,1,both)
     (Elm,Ulm,1,source)
     (Oak,Bonn,1,destination)');

CREATE SCHEMA common;
CREATE TABLE common.currency (id serial PRIMARY KEY, code text UNIQUE);
INSERT INTO common.currency VALUES (7, 'NOK'), (8, 'SEK');
CALL make(
    'CREATE TABLE account (number text PRIMARY KEY, currency integer REFERENCES common.currency)',
    $$INSERT INTO account VALUES ('1', 7), ('2', 8), ('3', NULL)$$,
    $$INSERT INTO account VALUES ('2', 7)$$);
SELECT merges('foreign key to another schema', '1 in both, 2 copied, 1 conflicts',
    'SELECT number, code, factmerge_provenance FROM b.account LEFT JOIN common.currency ON id = currency ORDER BY 1',
    '(1,NOK,source)
     (2,NOK,both)
     (3,,source)');
ALTER TABLE a.account DROP CONSTRAINT account_currency_fkey;
INSERT INTO a.account VALUES ('4', 9);
SELECT refuses('foreign key to another schema that only the destination has', '23503',
    'account.*account_currency_fkey.*DETAIL: .*\(4\).*common\.currency.*HINT', early => false);

-- The source has no people of its own: it refers to the destination's
CALL make(person() || 'CREATE TABLE deed (person integer REFERENCES person, deed text, PRIMARY KEY (person, deed))',
    '', people('Ada Bob') || $$INSERT INTO deed VALUES (1, 'sang')$$);
DROP TABLE a.person CASCADE;
ALTER TABLE a.deed ADD FOREIGN KEY (person) REFERENCES b.person;
INSERT INTO a.deed VALUES (1, 'sang'), (2, 'sang');
SELECT merges('foreign key into the destination', '1 in both, 1 copied, 0 conflicts',
    'SELECT name, deed, d.factmerge_provenance FROM b.deed d JOIN b.person ON id = person ORDER BY 1',
    '(Ada,sang,both)
     (Bob,sang,source)');
CREATE TABLE a.person (LIKE b.person INCLUDING INDEXES);
INSERT INTO a.person (id, name) VALUES (1, 'Cid'), (2, 'Ada');
INSERT INTO a.deed VALUES (2, 'wrote');
SELECT merges('foreign key into the destination, past the source''s own table', '3 in both, 2 copied, 0 conflicts',
    'SELECT name, deed, d.factmerge_provenance FROM b.person LEFT JOIN b.deed d ON id = person ORDER BY 1, 2',
    '(Ada,sang,both)
     (Bob,sang,source)
     (Bob,wrote,source)
     (Cid,,)');

-- A third schema refers to the destination, which is none of the merge's business
CALL make(person(), people('Ada Bob'), people('Bob Cid'));
CREATE TABLE common.note (person integer REFERENCES b.person, note text);
INSERT INTO common.note VALUES (1, 'likes cats');
SELECT merges('foreign key from another schema', '1 in both, 1 copied, 0 conflicts',
    'SELECT name, note, p.factmerge_provenance FROM b.person p LEFT JOIN common.note ON person = id ORDER BY 1',
    '(Ada,,source)
     (Bob,"likes cats",both)
     (Cid,,destination)');
DROP TABLE common.note;

--
-- Which foreign keys there are may differ
--
CREATE PROCEDURE make_deeds() LANGUAGE sql AS $body$
    CALL make(person() || 'CREATE TABLE deed (person integer, deed text, PRIMARY KEY (person, deed));',
        people('Ada Bob') || $$INSERT INTO deed VALUES (1, 'sang'), (2, 'sang')$$,
        people('Cid Ada') || $$INSERT INTO deed VALUES (2, 'sang'), (1, 'sang')$$);
$body$;
CREATE FUNCTION deeds(shape text) RETURNS SETOF text LANGUAGE sql AS $body$
    SELECT merges(shape, '2 in both, 2 copied, 0 conflicts',
    'SELECT name, deed, d.factmerge_provenance FROM b.deed d JOIN b.person ON id = person ORDER BY 1',
    '(Ada,sang,both)
     (Bob,sang,source)
     (Cid,sang,destination)')
$body$;
CALL make_deeds();
ALTER TABLE a.deed ADD FOREIGN KEY (person) REFERENCES a.person;
SELECT deeds('foreign key that only the source has');
CALL make_deeds();
ALTER TABLE b.deed ADD FOREIGN KEY (person) REFERENCES b.person;
SELECT deeds('foreign key that only the destination has');
CALL make_deeds();
ALTER TABLE a.deed ADD FOREIGN KEY (person) REFERENCES a.person NOT VALID;
ALTER TABLE b.deed ADD FOREIGN KEY (person) REFERENCES b.person NOT VALID;
SELECT deeds('foreign key that has not been validated');
CALL make_deeds();
INSERT INTO a.deed VALUES (77, 'left');
ALTER TABLE a.deed ADD CONSTRAINT doer FOREIGN KEY (person) REFERENCES a.person NOT VALID;
ALTER TABLE b.deed ADD CONSTRAINT doer FOREIGN KEY (person) REFERENCES b.person;
SELECT refuses('reference that leads nowhere', '23503', 'refers to a fact that is not there.*77.*doer.*HINT', early => false);

CALL make(
    'CREATE TABLE person (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name varchar(9) UNIQUE);
     CREATE TABLE deed (person integer REFERENCES person, name varchar(9) REFERENCES person (name), deed text,
         PRIMARY KEY (person, deed))',
    people('Ada Bob') || $$INSERT INTO deed SELECT id, name, 'sang' FROM person$$,
    $$INSERT INTO person (id, name) OVERRIDING SYSTEM VALUE VALUES (5000000000, 'Cid'), (5000000001, 'Bob');
      INSERT INTO deed SELECT id, name, 'sang' FROM person$$,
    'CREATE TABLE person (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text UNIQUE);
     CREATE TABLE deed (person bigint REFERENCES person, name text REFERENCES person (name), deed text,
         PRIMARY KEY (person, deed))');
SELECT merges('foreign key that widens with its key', '2 in both, 2 copied, 0 conflicts',
    'SELECT p.name, d.name, d.factmerge_provenance FROM b.deed d JOIN b.person p ON id = person ORDER BY 1',
    '(Ada,Ada,source)
     (Bob,Bob,both)
     (Cid,Cid,destination)');

--
-- Nulls
--
CALL make(
    person() || 'CREATE TABLE deed (id serial PRIMARY KEY, person integer REFERENCES person, helper integer REFERENCES person, deed text UNIQUE)',
    people('Ada Bob') || $$INSERT INTO deed (person, helper, deed) VALUES (1, NULL, 'x'), (NULL, 2, 'y'), (NULL, NULL, 'z')$$,
    people('Cid Bob') || $$INSERT INTO deed (person, helper, deed) VALUES (NULL, 2, 'x'), (NULL, 2, 'y')$$);
SELECT merges('nullable foreign key', '3 in both, 2 copied, 2 conflicts',
    'SELECT deed, p.name AS person, h.name AS helper, d.factmerge_provenance
     FROM b.deed d LEFT JOIN b.person p ON p.id = person LEFT JOIN b.person h ON h.id = helper ORDER BY 1',
    '(x,,Bob,both)
     (y,,Bob,both)
     (z,,,source)');

CREATE FUNCTION rooms(match text, source_beds text, destination_beds text) RETURNS void LANGUAGE sql AS $body$
    CALL make(
        'CREATE TABLE house (id serial PRIMARY KEY, street text UNIQUE);
         CREATE TABLE room (house integer REFERENCES house, number integer, PRIMARY KEY (house, number));
         CREATE TABLE bed (label text PRIMARY KEY, house integer, room integer,
             FOREIGN KEY (house, room) REFERENCES room ' || match || ')',
        $$INSERT INTO house (street) VALUES ('Elm'), ('Oak'); INSERT INTO room VALUES (1, 1), (1, 2), (2, 1);
          INSERT INTO bed VALUES $$ || source_beds,
        $$INSERT INTO house (street) VALUES ('Ash'), ('Elm'); INSERT INTO room VALUES (1, 1), (2, 1);
          INSERT INTO bed VALUES $$ || destination_beds)
$body$;
\set beds 'SELECT label, street, room, b.factmerge_provenance FROM b.bed b LEFT JOIN b.house h ON id = house ORDER BY 1'
SELECT rooms('MATCH SIMPLE', $$('a', 1, 1), ('b', 1, 2), ('c', 2, 1), ('d', NULL, 7), ('e', NULL, NULL), ('f', 1, NULL)$$,
    $$('a', 2, 1), ('d', NULL, 8), ('f', 2, NULL)$$) \g /dev/null
-- Half a reference refers to nothing as a whole, but its house is still a house
ALTER TABLE a.bed ADD FOREIGN KEY (house) REFERENCES a.house;
ALTER TABLE b.bed ADD FOREIGN KEY (house) REFERENCES b.house;
SELECT merges('composite foreign key with a null in it', '5 in both, 6 copied, 1 conflicts', :'beds',
    '(a,Elm,1,both)
     (b,Elm,2,source)
     (c,Oak,1,source)
     (d,,8,both)
     (e,,,source)
     (f,Elm,,both)');
SELECT rooms('MATCH FULL', $$('a', 1, 1), ('b', 2, 1), ('c', NULL, NULL), ('d', NULL, NULL)$$, $$('a', 2, 1),
    ('c', 1, 1)$$) \g /dev/null
SELECT merges('MATCH FULL', '4 in both, 5 copied, 2 conflicts', :'beds',
    '(a,Elm,1,both)
     (b,Oak,1,source)
     (c,Ash,1,both)
     (d,,,source)');
SELECT rooms('MATCH SIMPLE', $$('a', 1, 1), ('b', 1, NULL)$$, $$('a', 2, 1)$$) \g /dev/null
ALTER TABLE b.bed DROP CONSTRAINT bed_house_room_fkey,
    ADD CONSTRAINT whole_reference FOREIGN KEY (house, room) REFERENCES b.room MATCH FULL;
SELECT refuses('MATCH FULL that only the destination demands', '23503', 'bed.*whole_reference.*HINT', early => false);

--
-- When and what a foreign key does
--
CALL make(
    person() || $$
     CREATE TABLE marriage (husband integer NOT NULL REFERENCES person DEFERRABLE INITIALLY DEFERRED,
                            wife integer NOT NULL REFERENCES person DEFERRABLE INITIALLY IMMEDIATE, PRIMARY KEY (husband, wife))$$,
    'INSERT INTO marriage VALUES (1, 2), (3, 4); SET CONSTRAINTS ALL DEFERRED;' || people('Al Bea Cy Di'),
    people('Di Cy Bea') || 'INSERT INTO marriage VALUES (2, 1), (2, 3)');
SELECT merges('deferrable foreign key', '4 in both, 2 copied, 0 conflicts',
    'SELECT h.name, w.name, m.factmerge_provenance FROM b.marriage m JOIN b.person h ON h.id = husband
        JOIN b.person w ON w.id = wife ORDER BY 1, 2',
    '(Al,Bea,source)
     (Cy,Bea,destination)
     (Cy,Di,both)');

CALL make(
    person() || $$
     CREATE TABLE task (person integer REFERENCES person ON DELETE CASCADE ON UPDATE CASCADE, number integer,
         PRIMARY KEY (person, number));
     CREATE TABLE step (id serial PRIMARY KEY, person integer, task integer, what text UNIQUE,
                        FOREIGN KEY (person, task) REFERENCES task ON DELETE SET NULL (task) ON UPDATE SET DEFAULT)$$,
    people('Ada Bob') || $$INSERT INTO task VALUES (1, 1), (2, 1);
        INSERT INTO step (person, task, what) VALUES (1, 1, 'x'), (2, 1, 'y')$$,
    people('Bob Cid') || $$INSERT INTO task VALUES (1, 1), (2, 1);
        INSERT INTO step (person, task, what) VALUES (1, 1, 'y'), (2, 1, 'z')$$);
SELECT merges('foreign keys with actions', '3 in both, 3 copied, 0 conflicts',
    'SELECT what, name, task, s.factmerge_provenance FROM b.step s JOIN b.person p ON p.id = person ORDER BY 1',
    '(x,Ada,1,source)
     (y,Bob,1,both)
     (z,Cid,1,destination)');

CALL make(
    person() || $$
     CREATE TABLE deed (id serial PRIMARY KEY, doer text UNIQUE, about text GENERATED ALWAYS AS (initcap(split_part(doer, ' ',
         2))) STORED REFERENCES person (name))$$,
    people('Ada Bob') || $$INSERT INTO deed (doer) VALUES ('of ada'), ('on bob')$$,
    people('Bob Cid') || $$INSERT INTO deed (doer) VALUES ('on bob'), ('by cid')$$);
SELECT merges('foreign key on a generated column', '2 in both, 2 copied, 0 conflicts',
    'SELECT doer, p.name, d.factmerge_provenance FROM b.deed d JOIN b.person p ON p.name = about ORDER BY 2',
    '("of ada",Ada,source)
     ("on bob",Bob,both)
     ("by cid",Cid,destination)');

CALL make(
    $$CREATE TABLE tenant (id serial PRIMARY KEY, name text UNIQUE);
      CREATE TABLE worker (tenant integer REFERENCES tenant, name text, PRIMARY KEY (tenant, name));
      CREATE TABLE project (tenant integer REFERENCES tenant, name text, PRIMARY KEY (tenant, name));
      CREATE TABLE work (tenant integer, worker text, project text, FOREIGN KEY (tenant, worker) REFERENCES worker,
                         FOREIGN KEY (tenant, project) REFERENCES project, PRIMARY KEY (tenant, worker, project))$$,
    $$INSERT INTO tenant (name) VALUES ('A'), ('B'); INSERT INTO worker VALUES (1, 'w'), (2, 'w'); INSERT INTO project TABLE worker;
      INSERT INTO work SELECT tenant, name, name FROM worker$$,
    $$INSERT INTO tenant (name) VALUES ('B'), ('C'); INSERT INTO worker VALUES (1, 'w'), (2, 'w'); INSERT INTO project TABLE worker;
      INSERT INTO work SELECT tenant, name, name FROM worker$$);
SELECT merges('foreign keys that share a column', '4 in both, 4 copied, 0 conflicts',
    'SELECT t.name, worker, project, w.factmerge_provenance FROM b.work w JOIN b.tenant t ON id = tenant ORDER BY 1',
    '(A,w,w,source)
     (B,w,w,both)
     (C,w,w,destination)');
SELECT * FROM finish();
ROLLBACK;
