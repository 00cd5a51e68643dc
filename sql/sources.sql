--
-- sources: who has been merged before, under whatever name, and forgetting them
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_source(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.page (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text UNIQUE);
        CREATE TABLE %1$I.note (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, page integer REFERENCES %1$I.page, text text);
        CREATE TABLE %1$I.log (line text);
    $ddl$, schema);
END $make$;
CALL make_source('source_one');
CALL make_source('source_two');
CALL make_source('Sink');
-- Pages without title are told by nothing but what the key map knows of them
INSERT INTO source_one.page (title) VALUES ('a'), (NULL);
INSERT INTO source_one.note (page, text) VALUES (1, 'x'), (2, 'y');
INSERT INTO source_one.log VALUES ('line'), (NULL);
INSERT INTO source_two.page (title) VALUES ('a'), ('b');
CREATE VIEW sources AS SELECT source, destination, first_merge < last_merge AS several, first_merged_at <= last_merged_at AS in_order, fact_tables, facts
    FROM factmerge_sources() WHERE destination ~ 'Sink|sink|source_';
\set merge 'SELECT source_facts AS facts, in_both, copied FROM factmerge_merge'

SELECT * FROM factmerge_sources('Sink');
:merge('source_one', 'Sink');
:merge('source_two', 'Sink');
SELECT * FROM sources;
INSERT INTO source_one.page (title) VALUES ('c');
:merge('source_one', 'Sink');
SELECT * FROM sources;
SELECT count(*) FROM factmerge_sources('source_one');
SELECT count(*) FROM factmerge_sources('nowhere');

-- Renamed, it is the same source
ALTER SCHEMA source_one RENAME TO "Source 1";
SELECT source, several, facts FROM sources;
:merge('Source 1', 'Sink');
SELECT source, several, facts FROM sources;
SELECT source, source_key FROM factmerge_origin('"Sink".page', 1);
SELECT DISTINCT source FROM factmerge.merge WHERE destination = 'Sink' ORDER BY 1;
-- ... even if another takes its name, or two exchange theirs
CALL make_source('source_one');
INSERT INTO source_one.page (title) VALUES (NULL);
:merge('source_one', 'Sink');
SELECT source, several, facts FROM sources;
ALTER SCHEMA source_one RENAME TO source_three;
ALTER SCHEMA source_two RENAME TO source_one;
ALTER SCHEMA source_three RENAME TO source_two;
:merge('source_one', 'Sink');
:merge('source_two', 'Sink');
SELECT source, several, facts FROM sources;
-- Tables of both sides renamed, and the destination
ALTER TABLE "Source 1".page RENAME TO leaf;
ALTER TABLE "Sink".page RENAME TO leaf;
ALTER SCHEMA "Sink" RENAME TO sink;
ALTER TABLE source_one.page RENAME TO leaf;
:merge('Source 1', 'sink');
:merge('source_one', 'sink');
SELECT count(*) FROM sink.leaf;
SELECT source, destination, several, facts FROM sources;

-- Made anew with the same facts, as by a restore, it is what it was
DROP SCHEMA source_one CASCADE;
SELECT source, facts FROM sources;
CALL make_source('source_one');
ALTER TABLE source_one.page RENAME TO leaf;
INSERT INTO source_one.leaf (title) VALUES ('a'), ('b');
:merge('source_one', 'sink');
SELECT source, several, facts FROM sources;
-- ... but its keys may mean something else
DROP SCHEMA source_one CASCADE;
CALL make_source('source_one');
ALTER TABLE source_one.page RENAME TO leaf;
INSERT INTO source_one.leaf (title) VALUES ('d');
:merge('source_one', 'sink');
SELECT * FROM factmerge_preview('source_one', 'sink');
SELECT factmerge_forget_source('source_one', 'sink');
SELECT source, facts FROM sources;
:merge('source_one', 'sink');
SELECT title, factmerge_provenance FROM sink.leaf ORDER BY id;

-- Forgotten, the next merge finds what is the same by sameness alone
SELECT factmerge_forget_source('Source 1');
SELECT source_key FROM factmerge_origin('sink.leaf', 1) WHERE source = 'Source 1';
:merge('Source 1', 'sink');
SELECT source, several FROM sources;
SELECT line, count(*) FROM sink.log GROUP BY line ORDER BY line;

-- Facts that somebody has deleted or altered, in spite of all
UPDATE source_one.leaf SET title = 'e' WHERE title = 'd';
:merge('source_one', 'sink');
DELETE FROM source_one.leaf;
:merge('source_one', 'sink');
SELECT factmerge_forget_source('source_one');
:merge('source_one', 'sink');

-- Nothing of that name, no name, no right
SELECT factmerge_forget_source('source_nowhere');
SELECT factmerge_forget_source('Source 1', 'source_nowhere');
SELECT factmerge_forget_source(NULL);
CREATE ROLE regress_source;
GRANT USAGE ON SCHEMA sink TO regress_source;
SET ROLE regress_source;
SELECT source, facts FROM factmerge_sources('sink');
SELECT factmerge_forget_source('Source 1');
RESET ROLE;

-- Temporary tables are told by name
CREATE TEMPORARY TABLE leaf (id integer PRIMARY KEY, title text);
INSERT INTO leaf VALUES (1, 'a'), (2, 'z');
:merge('pg_temp', 'sink');
DROP TABLE pg_temp.leaf;
CREATE TEMPORARY TABLE leaf (id integer PRIMARY KEY, title text);
INSERT INTO leaf VALUES (1, 'b');
:merge('pg_temp', 'sink');
SELECT source, facts FROM sources;

DROP VIEW sources;
DROP SCHEMA "Source 1", source_one, source_two, sink CASCADE;
DROP TABLE pg_temp.leaf;
DROP ROLE regress_source;
DROP PROCEDURE make_source;
