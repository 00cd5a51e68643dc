--
-- hints: whoever does what a hint says, to the letter, has no fact twice and none lost
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
-- What is told names merges by their numbers
SELECT setval('factmerge.merge_merge_id_seq', 2000);

-- Tables of the three kinds: told by the whole row, by a key, and by another table's key
CREATE PROCEDURE make_hint() LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['hint_src', 'hint_dst'] LOOP
        EXECUTE format('DROP SCHEMA IF EXISTS %1$s CASCADE; CREATE SCHEMA %1$s;
            CREATE TABLE %1$s.stay (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, guest text, room int, paid boolean);
            CREATE TABLE %1$s.person (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text UNIQUE, age int);
            CREATE TABLE %1$s.letter (person int REFERENCES %1$s.person, no int, body text, PRIMARY KEY (person, no))', schema);
    END LOOP;
    INSERT INTO hint_dst.stay (guest, room, paid) VALUES ('dot', 1, true);
    INSERT INTO hint_src.stay (guest, room, paid) VALUES ('ann', 11, false), ('bob', 12, false), ('cid', 13, false);
    INSERT INTO hint_dst.person (mail, age) VALUES ('dot', 1);
    INSERT INTO hint_src.person (mail, age) VALUES ('ann', 11), ('bob', 12), ('cid', 13), ('dot', 1);
    INSERT INTO hint_src.letter SELECT id, 1, 'from ' || mail FROM hint_src.person;
END $make$;
\set merge 'SELECT in_both, copied, conflicts FROM factmerge_merge(\'hint_src\', \'hint_dst\');'
\set facts 'SELECT string_agg(format(\'%s %s %s\', guest, room, paid), \', \' ORDER BY guest, paid) FROM hint_dst.stay; SELECT string_agg(format(\'%s %s\', mail, body), \', \' ORDER BY mail, body) FROM hint_dst.person LEFT JOIN hint_dst.letter ON person = id;'

--
-- A fact has changed: undo and merge anew
--
CALL make_hint();
:merge
UPDATE hint_src.stay SET paid = true WHERE guest = 'ann';
:merge
SELECT count(*) FROM factmerge_undo(2001);
:merge
:facts

-- ... put it back
UPDATE hint_src.stay SET paid = false WHERE guest = 'ann';
:merge
UPDATE hint_src.stay SET paid = true WHERE guest = 'ann';
:merge
:facts

-- ... or change the destination's in the same way
UPDATE hint_src.stay SET paid = false WHERE guest = 'bob';
UPDATE hint_src.stay SET room = 99 WHERE guest = 'bob';
:merge
UPDATE hint_dst.stay SET room = 99 WHERE guest = 'bob';
:merge
:facts

-- A key has changed
CALL make_hint();
:merge
UPDATE hint_src.person SET mail = 'anna' WHERE mail = 'ann';
:merge
BEGIN;
UPDATE hint_dst.person SET mail = 'anna' WHERE mail = 'ann';
:merge
:facts
ROLLBACK;
SELECT max(merge_id) AS latest FROM factmerge_history WHERE destination = 'hint_dst' AND status = 'succeeded' \gset
SELECT count(*) FROM factmerge_undo(:latest);
:merge
:facts

-- Something else has changed, of a fact that was copied: as much
UPDATE hint_src.person SET age = 50 WHERE mail = 'bob';
:merge
SELECT max(merge_id) AS latest FROM factmerge_history WHERE destination = 'hint_dst' AND status = 'succeeded' \gset
SELECT count(*) FROM factmerge_undo(:latest);
:merge
SELECT mail, age FROM hint_dst.person ORDER BY 1;
UPDATE hint_src.person SET age = 51 WHERE mail = 'bob';
UPDATE hint_dst.person SET age = 51 WHERE mail = 'bob';
:merge

--
-- The merge that has brought it was not the latest: no word of undoing it
--
CREATE SCHEMA hint_other;
CREATE TABLE hint_other.stay (LIKE hint_src.stay INCLUDING ALL);
INSERT INTO hint_other.stay (guest, room, paid) VALUES ('eve', 77, false);
SELECT in_both, copied FROM factmerge_merge('hint_other', 'hint_dst');
UPDATE hint_src.stay SET room = 98 WHERE guest = 'bob';
:merge
UPDATE hint_src.stay SET room = 12 WHERE guest = 'bob';
:merge
:facts
DROP SCHEMA hint_other CASCADE;

--
-- A fact is gone: undone, it would be lost
--
CALL make_hint();
:merge
DELETE FROM hint_src.stay WHERE guest = 'bob';
:merge
INSERT INTO hint_src.stay OVERRIDING SYSTEM VALUE VALUES (2, 'bob', 12, false);
:merge
:facts
-- ... and as much if another has changed
DELETE FROM hint_src.letter WHERE person = 4;
UPDATE hint_src.stay SET paid = true WHERE guest = 'ann';
:merge

--
-- The table has been dropped and made anew
--
CALL make_hint();
:merge
CREATE TABLE public.hint_kept AS TABLE hint_src.stay;
DROP TABLE hint_src.stay;
CREATE TABLE hint_src.stay (LIKE hint_dst.stay INCLUDING IDENTITY EXCLUDING DEFAULTS, PRIMARY KEY (id));
ALTER TABLE hint_src.stay DROP COLUMN factmerge_provenance, DROP COLUMN factmerge_merge;
-- ... with the same facts, one of which has changed
INSERT INTO hint_src.stay (guest, room, paid) SELECT guest, room, paid OR guest = 'ann' FROM public.hint_kept ORDER BY id;
DROP TABLE public.hint_kept;
:merge
-- ... put back
UPDATE hint_src.stay SET paid = false WHERE guest = 'ann';
:merge
:facts

-- ... or with other facts, which belong in tables of another schema
CALL make_hint();
:merge
TRUNCATE hint_src.stay RESTART IDENTITY;
INSERT INTO hint_src.stay (guest, room, paid) VALUES ('fay', 1, true), ('gil', 2, true), ('hal', 3, true), ('ida', 4, true);
:merge
CREATE SCHEMA hint_other;
ALTER TABLE hint_src.stay RENAME TO other;
CREATE TABLE hint_other.stay (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, guest text, room int, paid boolean);
INSERT INTO hint_other.stay (guest, room, paid) SELECT guest, room, paid FROM hint_src.other ORDER BY id;
SELECT in_both, copied FROM factmerge_merge('hint_other', 'hint_dst');
:facts
DROP SCHEMA hint_other CASCADE;

--
-- The type of a key has changed
--
CALL make_hint();
:merge
ALTER TABLE hint_src.stay ALTER id DROP IDENTITY;
ALTER TABLE hint_src.stay ALTER id TYPE text;
:merge
ALTER TABLE hint_src.stay ALTER id TYPE int USING id::int;
:merge
-- ... which is all the same once the merge has been taken back
SELECT max(merge_id) AS latest FROM factmerge_history WHERE destination = 'hint_dst' AND status = 'succeeded' \gset
SELECT count(*) FROM factmerge_undo(:latest);
SELECT max(merge_id) AS latest FROM factmerge_history WHERE destination = 'hint_dst' AND status = 'succeeded' \gset
SELECT count(*) FROM factmerge_undo(:latest);
ALTER TABLE hint_src.stay ALTER id TYPE text;
:merge
:facts

--
-- To forget a source is no hint any more, and says what follows
--
SELECT factmerge_forget_source('hint_src', 'hint_dst');
:merge
:facts

DROP SCHEMA hint_src, hint_dst CASCADE;
DROP PROCEDURE make_hint;
