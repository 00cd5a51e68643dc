--
-- references: foreign keys of every shape, remapped and proven
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

-- Both schemas with the tables of ddl, in which SCHEMA stands for their name
CREATE PROCEDURE make_references(ddl text)
LANGUAGE plpgsql AS $make$
BEGIN
    DROP SCHEMA IF EXISTS ref_src CASCADE;
    DROP SCHEMA IF EXISTS ref_dst CASCADE;
    CREATE SCHEMA ref_src;
    EXECUTE replace(ddl, 'SCHEMA', 'ref_src');
    CREATE SCHEMA ref_dst;
    EXECUTE replace(ddl, 'SCHEMA', 'ref_dst');
END
$make$;

-- What the server itself would say of the foreign keys of the destination:
-- add each anew, which checks every row
CREATE PROCEDURE prove_references()
LANGUAGE plpgsql AS $prove$
DECLARE
    key record;
BEGIN
    FOR key IN SELECT conrelid::regclass AS relation, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE contype = 'f' AND connamespace = 'ref_dst'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s ADD %s', key.relation, replace(key.definition, ' NOT VALID', ''));
    END LOOP;
END
$prove$;

\set merge 'SELECT source_facts AS facts, in_both, copied, conflicts FROM factmerge_merge(\'ref_src\', \'ref_dst\')'
\set again 'SELECT in_both, copied, conflicts FROM factmerge_merge(\'ref_src\', \'ref_dst\')'
\set order 'SELECT position, fact_table, sameness FROM factmerge_tables(\'ref_dst\') ORDER BY position'

-- Referenced tables come first, whatever their names
CALL make_references($$
    CREATE TABLE SCHEMA.z (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.y (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, z integer REFERENCES SCHEMA.z, name text, UNIQUE (z, name));
    CREATE TABLE SCHEMA.x (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, y integer REFERENCES SCHEMA.y, z integer REFERENCES SCHEMA.z, UNIQUE (y, z));
    CREATE TABLE SCHEMA.a (x integer REFERENCES SCHEMA.x, note text);
    CREATE TABLE SCHEMA.b (b integer PRIMARY KEY);
$$);
:order;
INSERT INTO ref_src.z (name) VALUES ('z1'), ('z2'), ('z3');
INSERT INTO ref_src.y (z, name) VALUES (1, 'y1'), (3, 'y1'), (NULL, 'y2');
INSERT INTO ref_src.x (y, z) VALUES (1, 2), (2, 3), (1, 1);
INSERT INTO ref_src.a VALUES (1, 'a1'), (3, 'a3'), (NULL, 'a0');
INSERT INTO ref_src.b VALUES (1), (2);
INSERT INTO ref_dst.z (name) VALUES ('z4'), ('z3'), ('z2'), ('z1');
INSERT INTO ref_dst.y (z, name) VALUES (1, 'y1'), (4, 'y1');
INSERT INTO ref_dst.x (y, z) VALUES (1, 1), (2, 3);
INSERT INTO ref_dst.a VALUES (2, 'a1'), (1, 'a3'), (NULL, 'a0');
INSERT INTO ref_dst.b VALUES (2), (3);
:merge;
SELECT z.name AS z, y.name AS y, y.factmerge_provenance
FROM ref_dst.y LEFT JOIN ref_dst.z ON z.id = z ORDER BY 1, 2;
SELECT yz.name AS z_of_y, y.name AS y, z.name AS z, x.factmerge_provenance
FROM ref_dst.x JOIN ref_dst.y ON y.id = x.y JOIN ref_dst.z yz ON yz.id = y.z JOIN ref_dst.z ON z.id = x.z ORDER BY 1, 2, 3;
SELECT a.note, z.name AS z, yz.name AS z_of_y, a.factmerge_provenance
FROM ref_dst.a LEFT JOIN ref_dst.x ON x.id = a.x LEFT JOIN ref_dst.y ON y.id = x.y
LEFT JOIN ref_dst.z ON z.id = x.z LEFT JOIN ref_dst.z yz ON yz.id = y.z ORDER BY 1, 2, 3;
SELECT b, factmerge_provenance FROM ref_dst.b ORDER BY 1;
CALL prove_references();

-- A tree: names are unique below their parent, so it is matched level by level
CALL make_references($$
    CREATE TABLE SCHEMA.folder (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        parent integer REFERENCES SCHEMA.folder,
        name text NOT NULL,
        UNIQUE NULLS NOT DISTINCT (parent, name)
    )
$$);
:order;
INSERT INTO ref_src.folder (parent, name) VALUES
    (NULL, 'home'), (1, 'ada'), (2, 'papers'), (3, 'drafts'), (2, 'photos'), (NULL, 'etc'), (6, 'papers'), (1, 'bob');
INSERT INTO ref_dst.folder (parent, name) VALUES
    (NULL, 'var'), (NULL, 'home'), (2, 'bob'), (2, 'ada'), (4, 'papers'), (5, 'old'), (1, 'papers'), (3, 'papers');
:merge;
WITH RECURSIVE path AS (
    SELECT id, name AS path, factmerge_provenance FROM ref_dst.folder WHERE parent IS NULL
    UNION ALL
    SELECT f.id, path || '/' || name, f.factmerge_provenance FROM ref_dst.folder f JOIN path p ON parent = p.id)
SELECT path, factmerge_provenance FROM path ORDER BY path;
CALL prove_references();
:again;

-- A second key that the references are no part of does not wait for them
CALL make_references($$
    CREATE TABLE SCHEMA.folder (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        parent integer REFERENCES SCHEMA.folder,
        name text NOT NULL,
        code text UNIQUE,
        UNIQUE (parent, name)
    )
$$);
INSERT INTO ref_src.folder (parent, name, code) VALUES
    (NULL, 'home', 'H'), (1, 'ada', NULL), (2, 'papers', 'P'), (3, 'drafts', NULL), (3, 'old', 'O');
INSERT INTO ref_dst.folder (parent, name, code) VALUES
    (NULL, 'archive', 'A'), (1, 'old papers', 'P'), (2, 'drafts', NULL), (NULL, 'ancient', 'O');
:merge;
SELECT f.name, f.code, p.name AS parent, f.factmerge_provenance
FROM ref_dst.folder f LEFT JOIN ref_dst.folder p ON p.id = f.parent ORDER BY 1;
CALL prove_references();

-- A self-reference outside of the key needs no levels, and may go in circles
CALL make_references($$
    CREATE TABLE SCHEMA.person (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text UNIQUE,
        likes integer REFERENCES SCHEMA.person
    )
$$);
INSERT INTO ref_src.person (name) VALUES ('Ada'), ('Bob'), ('Cid'), ('Dot');
UPDATE ref_src.person SET likes = id % 3 + 1;
INSERT INTO ref_dst.person (name) VALUES ('Eve'), ('Dot'), ('Cid');
UPDATE ref_dst.person SET likes = 1 WHERE name IN ('Eve', 'Dot');
:merge;
SELECT p.name, l.name AS likes, p.factmerge_provenance
FROM ref_dst.person p LEFT JOIN ref_dst.person l ON l.id = p.likes ORDER BY 1;
SELECT key, column_name, source_value, destination_value FROM factmerge_conflicts() ORDER BY 1, 2;
CALL prove_references();

-- Without a key the whole row counts, the reference in it included: circles in
-- the data match nothing, what hangs on them neither, and all of it is copied
CALL make_references($$
    CREATE TABLE SCHEMA.node (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        next integer REFERENCES SCHEMA.node,
        label text
    )
$$);
INSERT INTO ref_src.node (label) VALUES ('end'), ('one'), ('two'), ('ring'), ('ring 2'), ('on the ring');
UPDATE ref_src.node SET next = CASE label WHEN 'one' THEN 1 WHEN 'two' THEN 2 WHEN 'ring' THEN 5
                                          WHEN 'ring 2' THEN 4 WHEN 'on the ring' THEN 4 END;
INSERT INTO ref_dst.node (label) VALUES ('two'), ('one'), ('end'), ('ring'), ('ring 2');
UPDATE ref_dst.node SET next = CASE label WHEN 'one' THEN 3 WHEN 'two' THEN 2 WHEN 'ring' THEN 5
                                          WHEN 'ring 2' THEN 4 END;
:merge;
SELECT n.label, x.label AS next, n.factmerge_provenance, x.factmerge_provenance AS provenance_of_next
FROM ref_dst.node n LEFT JOIN ref_dst.node x ON x.id = n.next ORDER BY 1, 2, 3;
CALL prove_references();
-- ... but only once
:again;

-- Two tables that refer to each other, and a third between two others
CALL make_references($$
    CREATE TABLE SCHEMA.team (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, captain integer);
    CREATE TABLE SCHEMA.player (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, team integer NOT NULL REFERENCES SCHEMA.team,
                                shirt integer, UNIQUE (team, shirt));
    ALTER TABLE SCHEMA.team ADD FOREIGN KEY (captain) REFERENCES SCHEMA.player DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE SCHEMA.match (home integer REFERENCES SCHEMA.team, away integer REFERENCES SCHEMA.team,
                               best integer REFERENCES SCHEMA.player, PRIMARY KEY (home, away));
$$);
:order;
INSERT INTO ref_src.team (name) VALUES ('reds'), ('blues'), ('greens');
INSERT INTO ref_src.player (team, shirt) VALUES (1, 9), (2, 9), (3, 9), (3, 10);
UPDATE ref_src.team SET captain = id;
INSERT INTO ref_src.match VALUES (1, 2, 1), (2, 3, 4), (3, 1, NULL);
INSERT INTO ref_dst.team (name) VALUES ('blacks'), ('blues'), ('reds');
INSERT INTO ref_dst.player (team, shirt) VALUES (1, 9), (3, 9), (2, 10);
UPDATE ref_dst.team SET captain = CASE name WHEN 'blacks' THEN 1 WHEN 'reds' THEN 2 END;
INSERT INTO ref_dst.match VALUES (1, 2, 1), (3, 2, 2);
:merge;
SELECT t.name, c.shirt AS captain, ct.name AS team_of_captain, t.factmerge_provenance
FROM ref_dst.team t LEFT JOIN ref_dst.player c ON c.id = t.captain LEFT JOIN ref_dst.team ct ON ct.id = c.team ORDER BY 1;
SELECT t.name, shirt, p.factmerge_provenance FROM ref_dst.player p JOIN ref_dst.team t ON t.id = team ORDER BY 1, 2;
SELECT h.name AS home, a.name AS away, bt.name AS team_of_best, shirt AS best, m.factmerge_provenance
FROM ref_dst.match m JOIN ref_dst.team h ON h.id = home JOIN ref_dst.team a ON a.id = away
LEFT JOIN ref_dst.player b ON b.id = best LEFT JOIN ref_dst.team bt ON bt.id = b.team ORDER BY 1, 2;
SELECT fact_table, column_name, source_value IS NOT NULL AS source, destination_value FROM factmerge_conflicts() ORDER BY key;
CALL prove_references();
:again;

-- Circular tables whose sameness goes round the circle
CALL make_references($$
    CREATE TABLE SCHEMA.place (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, founder integer, name text, UNIQUE NULLS NOT DISTINCT (founder, name));
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, birthplace integer REFERENCES SCHEMA.place, name text, UNIQUE (birthplace, name));
    ALTER TABLE SCHEMA.place ADD FOREIGN KEY (founder) REFERENCES SCHEMA.person;
$$);
INSERT INTO ref_src.place (name) VALUES ('Eden'), ('Nod');
INSERT INTO ref_src.person (birthplace, name) VALUES (1, 'Cain'), (1, 'Abel');
INSERT INTO ref_src.place (founder, name) VALUES (1, 'Enoch');
INSERT INTO ref_src.person (birthplace, name) VALUES (3, 'Irad'), (3, 'Mehujael');
INSERT INTO ref_dst.place (name) VALUES ('Nod'), ('Eden');
INSERT INTO ref_dst.person (birthplace, name) VALUES (2, 'Seth'), (2, 'Cain');
INSERT INTO ref_dst.place (founder, name) VALUES (1, 'Enoch'), (2, 'Enoch');
INSERT INTO ref_dst.person (birthplace, name) VALUES (4, 'Irad'), (3, 'Mehujael');
:merge;
SELECT l.name, f.name AS founder, l.factmerge_provenance FROM ref_dst.place l LEFT JOIN ref_dst.person f ON f.id = founder ORDER BY 1, 2;
SELECT p.name, l.name AS birthplace, f.name AS founder, p.factmerge_provenance
FROM ref_dst.person p JOIN ref_dst.place l ON l.id = birthplace LEFT JOIN ref_dst.person f ON f.id = founder ORDER BY 1, 3;
CALL prove_references();
:again;

-- Keys that refer to each other in a circle cannot be assigned
CALL make_references($$
    CREATE TABLE SCHEMA.king (id integer PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.queen (id integer PRIMARY KEY, name text UNIQUE);
    ALTER TABLE SCHEMA.king ADD FOREIGN KEY (id) REFERENCES SCHEMA.queen DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE SCHEMA.queen ADD FOREIGN KEY (id) REFERENCES SCHEMA.king DEFERRABLE INITIALLY DEFERRED;
$$);
BEGIN;
INSERT INTO ref_src.king VALUES (1, 'Arthur');
INSERT INTO ref_src.queen VALUES (1, 'Guinevere');
COMMIT;
:merge;

-- A foreign key that leaves the schema is kept as it is
CREATE SCHEMA ref_common;
CREATE TABLE ref_common.country (code text PRIMARY KEY);
INSERT INTO ref_common.country VALUES ('DK'), ('GB');
CALL make_references($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, country text REFERENCES ref_common.country);
$$);
INSERT INTO ref_src.person (name, country) VALUES ('Ada', 'GB'), ('Bob', 'DK'), ('Cid', NULL);
INSERT INTO ref_dst.person (name, country) VALUES ('Bob', 'DK');
:merge;
SELECT name, country, factmerge_provenance FROM ref_dst.person ORDER BY 1;
-- ... and proven, if only the destination has it
ALTER TABLE ref_src.person DROP CONSTRAINT person_country_fkey;
INSERT INTO ref_src.person (name, country) VALUES ('Dot', 'GR'), ('Eve', 'GB');
:merge;
SELECT name, country FROM ref_dst.person ORDER BY 1;
INSERT INTO ref_common.country VALUES ('GR');
:merge;
SELECT name, country FROM ref_dst.person ORDER BY 1;
CALL prove_references();
-- ... or if that of the source has never been validated
CALL make_references($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, country text);
$$);
INSERT INTO ref_src.person (name, country) VALUES ('Ada', 'GB'), ('Fay', 'FR');
ALTER TABLE ref_src.person ADD FOREIGN KEY (country) REFERENCES ref_common.country NOT VALID;
ALTER TABLE ref_dst.person ADD FOREIGN KEY (country) REFERENCES ref_common.country;
:merge;
-- A side's own table outside of the schema is another table
CREATE TABLE ref_common.other_country (code text PRIMARY KEY);
INSERT INTO ref_common.other_country VALUES ('FR'), ('GB');
ALTER TABLE ref_src.person DROP CONSTRAINT person_country_fkey, ADD FOREIGN KEY (country) REFERENCES ref_common.other_country;
:merge;
INSERT INTO ref_common.country VALUES ('FR');
:merge;
SELECT name, country FROM ref_dst.person ORDER BY 1;

-- A foreign key that only the destination has remaps references all the same
CALL make_references($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.deed (person integer, deed text, PRIMARY KEY (person, deed));
$$);
ALTER TABLE ref_dst.deed ADD FOREIGN KEY (person) REFERENCES ref_dst.person;
INSERT INTO ref_src.person (name) VALUES ('Ada'), ('Bob');
INSERT INTO ref_src.deed VALUES (1, 'wrote'), (2, 'sang');
INSERT INTO ref_dst.person (name) VALUES ('Cid'), ('Dot'), ('Ada');
INSERT INTO ref_dst.deed VALUES (3, 'wrote'), (1, 'wrote');
:merge;
SELECT name, deed, d.factmerge_provenance FROM ref_dst.deed d JOIN ref_dst.person p ON p.id = person ORDER BY 1, 2;
-- ... and so does one that only the source has
CALL make_references($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.deed (person integer, deed text, PRIMARY KEY (person, deed));
$$);
ALTER TABLE ref_src.deed ADD FOREIGN KEY (person) REFERENCES ref_src.person;
INSERT INTO ref_src.person (name) VALUES ('Ada'), ('Bob');
INSERT INTO ref_src.deed VALUES (1, 'wrote'), (2, 'sang');
INSERT INTO ref_dst.person (name) VALUES ('Cid'), ('Dot'), ('Ada');
INSERT INTO ref_dst.deed VALUES (3, 'wrote'), (1, 'wrote');
:merge;
SELECT name, deed, d.factmerge_provenance FROM ref_dst.deed d JOIN ref_dst.person p ON p.id = person ORDER BY 1, 2;

-- References to unique columns, to natural keys that stay, and both ways to
-- one table
CALL make_references($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, nick text UNIQUE);
    CREATE TABLE SCHEMA.letter (sender integer REFERENCES SCHEMA.person, receiver text REFERENCES SCHEMA.person (name),
                                signed text REFERENCES SCHEMA.person (nick), text text, PRIMARY KEY (sender, receiver, text));
$$);
INSERT INTO ref_src.person (name, nick) VALUES ('Ada', 'countess'), ('Bob', 'bobby'), ('Cid', NULL);
INSERT INTO ref_src.letter VALUES (1, 'Bob', 'countess', 'hi'), (2, 'Cid', NULL, 'ho'), (3, 'Ada', 'bobby', 'hm');
INSERT INTO ref_dst.person (name, nick) VALUES ('Dot', 'dotty'), ('Bob', 'robert'), ('Ada', 'countess');
INSERT INTO ref_dst.letter VALUES (3, 'Bob', 'countess', 'hi'), (2, 'Ada', 'robert', 'hm');
:merge;
SELECT s.name AS sender, receiver, signed, text, l.factmerge_provenance
FROM ref_dst.letter l JOIN ref_dst.person s ON s.id = sender ORDER BY 1, 2, 3;
CALL prove_references();

-- ON DELETE and ON UPDATE actions, MATCH FULL, and a reference that two
-- foreign keys share a column of
CALL make_references($$
    CREATE TABLE SCHEMA.tenant (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.project (tenant integer REFERENCES SCHEMA.tenant ON DELETE CASCADE, number integer, PRIMARY KEY (tenant, number));
    CREATE TABLE SCHEMA.worker (tenant integer REFERENCES SCHEMA.tenant, name text, PRIMARY KEY (tenant, name));
    CREATE TABLE SCHEMA.task (
        tenant integer, project integer, worker text, what text,
        FOREIGN KEY (tenant, project) REFERENCES SCHEMA.project MATCH FULL ON UPDATE CASCADE,
        FOREIGN KEY (tenant, worker) REFERENCES SCHEMA.worker ON DELETE SET NULL,
        UNIQUE (tenant, project, what)
    )
$$);
:order;
INSERT INTO ref_src.tenant (name) VALUES ('A'), ('B');
INSERT INTO ref_src.project VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO ref_src.worker VALUES (1, 'Ada'), (2, 'Bob');
INSERT INTO ref_src.task VALUES (1, 1, 'Ada', 'dig'), (1, 2, NULL, 'dig'), (2, 1, 'Bob', 'dig'), (NULL, NULL, NULL, 'rest');
INSERT INTO ref_dst.tenant (name) VALUES ('C'), ('D'), ('A');
INSERT INTO ref_dst.project VALUES (1, 1), (3, 1);
INSERT INTO ref_dst.worker VALUES (1, 'Ada'), (3, 'Ada');
INSERT INTO ref_dst.task VALUES (3, 1, 'Ada', 'dig'), (1, 1, 'Ada', 'dig');
:merge;
SELECT name AS tenant, project, worker, what, k.factmerge_provenance
FROM ref_dst.task k LEFT JOIN ref_dst.tenant t ON t.id = tenant ORDER BY 1, 2, 3;
CALL prove_references();

-- A source that is a foreign table cannot have foreign keys; those of the
-- destination say what refers to what
CALL make_references($$
    CREATE TABLE SCHEMA.person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
    CREATE TABLE SCHEMA.deed (person integer REFERENCES SCHEMA.person, deed text, PRIMARY KEY (person, deed));
$$);
INSERT INTO ref_src.person (name) VALUES ('Ada'), ('Bob');
INSERT INTO ref_src.deed VALUES (1, 'wrote'), (2, 'sang'), (2, 'wrote');
INSERT INTO ref_dst.person (name) VALUES ('Cid'), ('Bob');
INSERT INTO ref_dst.deed VALUES (2, 'sang');
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER ref_loopback FOREIGN DATA WRAPPER postgres_fdw;
DO $$
BEGIN
    EXECUTE format('ALTER SERVER ref_loopback OPTIONS (ADD dbname %L, ADD port %L, ADD host %L)', current_database(),
                   current_setting('port'), split_part(current_setting('unix_socket_directories'), ',', 1));
END $$;
CREATE USER MAPPING FOR CURRENT_USER SERVER ref_loopback OPTIONS (password_required 'false');
CREATE SCHEMA ref_remote;
IMPORT FOREIGN SCHEMA ref_src FROM SERVER ref_loopback INTO ref_remote;
SELECT source_facts AS facts, in_both, copied FROM factmerge_merge('ref_remote', 'ref_dst');
SELECT name, deed, d.factmerge_provenance FROM ref_dst.deed d JOIN ref_dst.person p ON p.id = person ORDER BY 1, 2;
SELECT source_facts AS facts, in_both, copied FROM factmerge_merge('ref_remote', 'ref_dst');
DROP SCHEMA ref_remote CASCADE;
DROP EXTENSION postgres_fdw CASCADE;

DROP SCHEMA ref_src, ref_dst, ref_common CASCADE;
DROP PROCEDURE make_references, prove_references;
