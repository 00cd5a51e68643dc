-- Foreign keys in a circle: tables that refer to themselves and to each other,
-- with sameness that goes through the references and without, and facts that do
BEGIN;
\ir include/shapes.sql
SELECT plan(48);

--
-- One table
--
CALL make(
    'CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE, likes integer REFERENCES person)',
    $$INSERT INTO person (name) VALUES ('Ada'), ('Bob'), ('Cid'), ('Dot'); UPDATE person SET likes = id % 3 + 1$$,
    $$INSERT INTO person (name) VALUES ('Eve'), ('Dot'), ('Cid'); UPDATE person SET likes = id % 3 + 1$$);
SELECT merges('self-reference with cycles in the data', '2 in both, 2 copied, 2 conflicts',
    'SELECT p.name, l.name, p.factmerge_provenance FROM b.person p JOIN b.person l ON l.id = p.likes ORDER BY 1',
    '(Ada,Bob,source)
     (Bob,Cid,source)
     (Cid,Eve,both)
     (Dot,Cid,both)
     (Eve,Dot,destination)');

CREATE FUNCTION folders(parent text) RETURNS text LANGUAGE sql AS $body$
    SELECT format('CREATE TABLE folder (id serial PRIMARY KEY, parent integer %s REFERENCES folder, name text NOT NULL,
        UNIQUE NULLS NOT DISTINCT (parent, name));
                   CREATE TABLE file (folder integer NOT NULL REFERENCES folder, name text, PRIMARY KEY (folder, name));', parent)
$body$;
SELECT $$WITH RECURSIVE path AS (
        SELECT id, name AS path, factmerge_provenance AS tag FROM b.folder WHERE parent IS NULL OR parent = id
        UNION ALL
        SELECT f.id, path || '/' || name, f.factmerge_provenance
        FROM b.folder f JOIN path p ON parent = p.id AND f.id <> f.parent)
    SELECT path, p.tag, f.name, f.factmerge_provenance FROM path p LEFT JOIN b.file f ON folder = id
    ORDER BY path COLLATE "C", p.tag, f.name$$ AS paths \gset
CALL make(folders(''),
    $$INSERT INTO folder (parent, name) VALUES (NULL, 'home'), (1, 'ada'), (2, 'src'), (1, 'bob'), (4, 'src');
      INSERT INTO file VALUES (3, 'a.c'), (3, 'b.c'), (5, 'a.c')$$,
    $$INSERT INTO folder (parent, name) VALUES (NULL, 'src'), (NULL, 'home'), (2, 'bob'), (3, 'src'), (3, 'doc');
      INSERT INTO file VALUES (1, 'a.c'), (4, 'a.c')$$);
SELECT merges('self-reference in the key: a tree, level by level', '4 in both, 4 copied, 0 conflicts', :'paths',
    '(home,both,,)
     (home/ada,source,,)
     (home/ada/src,source,a.c,source)
     (home/ada/src,source,b.c,source)
     (home/bob,both,,)
     (home/bob/doc,destination,,)
     (home/bob/src,both,a.c,both)
     (src,destination,a.c,destination)');

CALL make(folders(''),
    $$INSERT INTO folder (parent, name) SELECT nullif(n - 1, 0), 'f' FROM generate_series(1, 100) n;
        INSERT INTO file VALUES (100, 'deep'), (50, 'half')$$,
    $$INSERT INTO folder (id, parent, name) SELECT 1000 - n, nullif(1001 - n, 1000), 'f' FROM generate_series(1, 60) n;
      INSERT INTO file VALUES (950, 'half'), (940, 'end'); SELECT setval('folder_id_seq', 1000)$$);
SELECT merges('self-reference a hundred levels deep', '61 in both, 41 copied, 0 conflicts',
    'WITH RECURSIVE path AS (SELECT id, 1 AS level, factmerge_provenance AS tag FROM b.folder WHERE parent IS NULL
     UNION ALL SELECT f.id, level + 1, f.factmerge_provenance FROM b.folder f JOIN path p ON parent = p.id)
     SELECT level, p.tag, f.name, f.factmerge_provenance FROM path p JOIN b.file f ON folder = id ORDER BY 1',
    '(50,both,half,both)
     (60,both,end,destination)
     (100,source,deep,source)');

-- A root that is its own parent, as some applications have it, cannot be
-- compared: to know whether it is the same one would have to know it already
CALL make(folders('NOT NULL'),
    $$INSERT INTO folder (parent, name) VALUES (1, 'root'), (1, 'etc'); INSERT INTO file VALUES (2, 'passwd')$$,
    $$INSERT INTO folder (parent, name) VALUES (1, 'root'), (1, 'etc'), (1, 'usr'); INSERT INTO file VALUES (2, 'passwd')$$);
SELECT merges('row that refers to itself in its key: copied', '0 in both, 3 copied, 0 conflicts', :'paths',
    '(root,source,,)
     (root,destination,,)
     (root/etc,source,passwd,source)
     (root/etc,destination,passwd,destination)
     (root/usr,destination,,)');

CALL make(
    'CREATE TABLE station (id serial PRIMARY KEY, next integer REFERENCES station, line text, UNIQUE (next, line));
     CREATE TABLE stop (station integer REFERENCES station, at time, PRIMARY KEY (station, at))',
    $$INSERT INTO station (id, next, line) VALUES (1, 2, 'ring'), (2, 3, 'ring'), (3, 1, 'ring'), (4, 1, 'spur'),
        (5, NULL, 'tram'), (6, 5, 'tram');
      INSERT INTO stop SELECT id, '12:00' FROM station$$,
    $$INSERT INTO station (id, next, line) VALUES (7, 8, 'ring'), (8, 9, 'ring'), (9, 7, 'ring'), (10, NULL, 'tram'),
        (11, 10, 'bus');
      INSERT INTO stop SELECT id, '12:00' FROM station; SELECT setval('station_id_seq', 11)$$);
SELECT merges('ring through the key: what stays unresolved is copied', '2 in both, 10 copied, 0 conflicts',
    'SELECT s.line, n.line AS next, s.factmerge_provenance AS s, p.factmerge_provenance AS p, count(*)
     FROM b.station s LEFT JOIN b.station n ON n.id = s.next JOIN b.stop p ON p.station = s.id GROUP BY 1, 2, 3, 4
         ORDER BY 1, 2, 3',
    '(bus,tram,destination,destination,1)
     (ring,ring,source,source,3)
     (ring,ring,destination,destination,3)
     (spur,ring,source,source,1)
     (tram,tram,source,source,1)
     (tram,,both,both,1)');

CALL make(
    'CREATE TABLE topic (name text PRIMARY KEY, id serial UNIQUE, part_of text REFERENCES topic, see integer REFERENCES topic (id))',
    $$INSERT INTO topic (name, part_of) VALUES ('math', NULL), ('algebra', 'math'), ('groups', 'algebra');
        UPDATE topic SET see = 4 - id$$,
    $$INSERT INTO topic (name, part_of) VALUES ('art', NULL), ('math', 'art'), ('algebra', NULL); UPDATE topic SET see = 4 - id$$);
SELECT merges('self-references by two different keys', '2 in both, 1 copied, 7 conflicts',
    'SELECT t.name, t.part_of, s.name AS see, t.factmerge_provenance FROM b.topic t JOIN b.topic s ON s.id = t.see ORDER BY 1',
    '(algebra,,art,both)
     (art,,algebra,destination)
     (groups,algebra,math,source)
     (math,art,math,both)');

CALL make(
    'CREATE TABLE worker (company text, id integer GENERATED ALWAYS AS IDENTITY, name text, boss integer,
                          PRIMARY KEY (company, id), UNIQUE (company, name), FOREIGN KEY (company, boss) REFERENCES worker)',
    $$INSERT INTO worker (company, name, boss) VALUES ('A', 'Ann', NULL), ('A', 'Bo', 1), ('A', 'Cy', 2), ('B', 'Ann', NULL)$$,
    $$INSERT INTO worker (company, name, boss) VALUES ('B', 'Ann', NULL), ('B', 'Bo', 1), ('A', 'Bo', NULL)$$);
SELECT merges('composite self-reference', '2 in both, 2 copied, 1 conflicts',
    'SELECT w.company, w.name, x.name AS boss, w.factmerge_provenance
     FROM b.worker w LEFT JOIN b.worker x ON x.company = w.company AND x.id = w.boss ORDER BY 1, 2',
    '(A,Ann,,source)
     (A,Bo,,both)
     (A,Cy,Bo,source)
     (B,Ann,,both)
     (B,Bo,Ann,destination)');

--
-- Two tables
--
CALL make(
    'CREATE TABLE state (id serial PRIMARY KEY, name text UNIQUE, capital integer NOT NULL);
     CREATE TABLE town (id serial PRIMARY KEY, name text, state integer NOT NULL REFERENCES state, UNIQUE (state, name));
     ALTER TABLE state ADD FOREIGN KEY (capital) REFERENCES town DEFERRABLE INITIALLY DEFERRED',
    $$INSERT INTO state (name, capital) VALUES ('North', 1), ('South', 2);
        INSERT INTO town (name, state) VALUES ('Aby', 1), ('Boby', 2), ('Coby', 2)$$,
    $$INSERT INTO state (name, capital) VALUES ('West', 1), ('South', 3);
        INSERT INTO town (name, state) VALUES ('Aby', 1), ('Boby', 2), ('Coby', 2)$$);
SELECT merges('mutually circular tables, both references NOT NULL', '3 in both, 2 copied, 1 conflicts',
    'SELECT s.name, c.name AS capital, t.name, s.factmerge_provenance AS s, t.factmerge_provenance AS t
     FROM b.state s JOIN b.town c ON c.id = capital JOIN b.town t ON t.state = s.id ORDER BY 1, 3',
    '(North,Aby,Aby,source,source)
     (South,Coby,Boby,both,both)
     (South,Coby,Coby,both,both)
     (West,Aby,Aby,destination,destination)');

-- A person is known by name and birthplace, a place by name and founder
CREATE PROCEDURE make_genesis(a text, b text) LANGUAGE sql AS $body$
    CALL make(
    'CREATE TABLE place (id serial PRIMARY KEY, founder integer, name text, UNIQUE NULLS NOT DISTINCT (founder, name));
     CREATE TABLE person (id serial PRIMARY KEY, birthplace integer NOT NULL REFERENCES place, name text,
         UNIQUE (birthplace, name));
     ALTER TABLE place ADD FOREIGN KEY (founder) REFERENCES person DEFERRABLE INITIALLY DEFERRED', a, b)
$body$;
CALL make_genesis(
    $$INSERT INTO place (name, founder) VALUES ('Eden', NULL), ('Enoch', 1), ('Ur', 3);
      INSERT INTO person (name, birthplace) VALUES ('Cain', 1), ('Abel', 1), ('Irad', 2), ('Lot', 3)$$,
    $$INSERT INTO place (name, founder) VALUES ('Ur', NULL), ('Eden', NULL), ('Enoch', 3), ('Enoch', 1);
      INSERT INTO person (name, birthplace) VALUES ('Seth', 2), ('Irad', 3), ('Cain', 2), ('Lot', 1)$$);
SELECT merges('mutually circular tables, level by level', '4 in both, 3 copied, 0 conflicts',
    'SELECT l.name, f.name AS founder, p.name AS born, l.factmerge_provenance AS place, p.factmerge_provenance AS person
     FROM b.place l LEFT JOIN b.person f ON f.id = founder LEFT JOIN b.person p ON p.birthplace = l.id ORDER BY 1, 2, 3',
    '(Eden,,Abel,both,source)
     (Eden,,Cain,both,both)
     (Eden,,Seth,both,destination)
     (Enoch,Cain,Irad,both,both)
     (Enoch,Seth,,destination,)
     (Ur,Irad,Lot,source,source)
     (Ur,,Lot,destination,destination)');
CALL make_genesis(
    $$INSERT INTO place (name, founder) VALUES ('Rome', 1), ('Eden', NULL);
        INSERT INTO person (name, birthplace) VALUES ('Romulus', 1), ('Abel', 2)$$,
    $$INSERT INTO place (name, founder) VALUES ('Eden', NULL), ('Rome', 1);
        INSERT INTO person (name, birthplace) VALUES ('Romulus', 2), ('Cain', 1)$$);
SELECT merges('mutually circular tables and facts: what stays unresolved is copied', '1 in both, 3 copied, 0 conflicts',
    'SELECT l.name, f.name AS founder, p.name AS born, l.factmerge_provenance AS place, p.factmerge_provenance AS person
     FROM b.place l LEFT JOIN b.person f ON f.id = founder LEFT JOIN b.person p ON p.birthplace = l.id ORDER BY 1, 2, 3, 4',
    '(Eden,,Abel,both,source)
     (Eden,,Cain,both,destination)
     (Rome,Romulus,Romulus,source,source)
     (Rome,Romulus,Romulus,destination,destination)');

CALL make(
    'CREATE TABLE king (id integer PRIMARY KEY, name text UNIQUE);
     CREATE TABLE queen (id integer PRIMARY KEY REFERENCES king DEFERRABLE INITIALLY DEFERRED, name text UNIQUE);
     ALTER TABLE king ADD FOREIGN KEY (id) REFERENCES queen DEFERRABLE INITIALLY DEFERRED',
    $$INSERT INTO king VALUES (1, 'Arthur'); INSERT INTO queen VALUES (1, 'Guinevere')$$, '');
SELECT refuses('keys that are references to each other', '0A000', 'cannot assign keys to table "(king|queen)".*HINT');

--
-- Three tables, and two circles that meet
--
CALL make(
    'CREATE TABLE school (id serial PRIMARY KEY, name text UNIQUE, head integer);
     CREATE TABLE class (id serial PRIMARY KEY, school integer NOT NULL REFERENCES school, label text, UNIQUE (school, label));
     CREATE TABLE pupil (id serial PRIMARY KEY, class integer NOT NULL REFERENCES class, name text, friend integer REFERENCES pupil, UNIQUE (class, name));
     ALTER TABLE school ADD FOREIGN KEY (head) REFERENCES pupil;
     ALTER TABLE class ADD speaker integer REFERENCES pupil',
    $$INSERT INTO school (name) VALUES ('Elm'), ('Oak'); INSERT INTO class (school, label) VALUES (1, '1a'), (1, '1b'), (2, '1a');
      INSERT INTO pupil (class, name) VALUES (1, 'Ann'), (1, 'Ben'), (2, 'Ann'), (3, 'Ann');
      UPDATE school SET head = CASE id WHEN 1 THEN 2 ELSE 4 END; UPDATE class SET speaker = id + 1;
          UPDATE pupil SET friend = 5 - id$$,
    $$INSERT INTO school (name) VALUES ('Ash'), ('Elm'); INSERT INTO class (school, label) VALUES (1, '1a'), (2, '1a');
      INSERT INTO pupil (class, name) VALUES (1, 'Ann'), (2, 'Cyd'), (2, 'Ann');
      UPDATE school SET head = id; UPDATE class SET speaker = id; UPDATE pupil SET friend = 4 - id$$);
SELECT merges('three tables in a circle, and another within', '3 in both, 6 copied, 3 conflicts',
    'SELECT s.name, h.name AS head, c.label, k.name AS speaker, p.name, f.name AS friend,
            s.factmerge_provenance AS s, c.factmerge_provenance AS c, p.factmerge_provenance AS p
     FROM b.school s JOIN b.class c ON school = s.id JOIN b.pupil p ON p.class = c.id
     LEFT JOIN b.pupil h ON h.id = head LEFT JOIN b.pupil k ON k.id = speaker LEFT JOIN b.pupil f ON f.id = p.friend
         ORDER BY 1, 3, 5',
    '(Ash,Ann,1a,Ann,Ann,Ann,destination,destination,destination)
     (Elm,Cyd,1a,Cyd,Ann,Ann,both,both,both)
     (Elm,Cyd,1a,Cyd,Ben,Ann,both,both,source)
     (Elm,Cyd,1a,Cyd,Cyd,Cyd,both,both,destination)
     (Elm,Cyd,1b,Ann,Ann,Ben,both,source,source)
     (Oak,Ann,1a,Ann,Ann,Ann,source,source,source)');
SELECT results_eq(
    $$SELECT s.name, c.label, f.name, fs.name, fc.label FROM b.pupil p JOIN b.class c ON c.id = p.class
        JOIN b.school s ON s.id = school
      JOIN b.pupil f ON f.id = p.friend JOIN b.class fc ON fc.id = f.class JOIN b.school fs ON fs.id = fc.school
      WHERE p.factmerge_provenance = 'source' ORDER BY 1, 2, 3, 4$$,
    $$VALUES ('Elm', '1a', 'Ann', 'Elm', '1b'), ('Elm', '1b', 'Ben', 'Elm', '1a'), ('Oak', '1a', 'Ann', 'Elm', '1a')$$,
    'three tables in a circle, and another within: every friend in the right class');

SELECT * FROM finish();
ROLLBACK;
