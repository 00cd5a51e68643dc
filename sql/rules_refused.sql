-- Declared rules: targets and tables that there can be no rule of, and rules that have lost what they read
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE SCHEMA odd;
CREATE TABLE odd.fact (n integer PRIMARY KEY);
CREATE TABLE odd.target (
    id integer GENERATED ALWAYS AS IDENTITY,
    n integer NOT NULL,
    twice integer GENERATED ALWAYS AS (n * 2) STORED,
    note text NOT NULL DEFAULT 'none',
    word text,
    UNIQUE (n));

--
-- Targets that no fact could be saved in
--
SELECT factmerge_add_rule('r', 'odd.target(id, n)', 'SELECT n, n FROM fact');
SELECT factmerge_add_rule('r', 'odd.target(n, twice)', 'SELECT n, n FROM fact');
SELECT factmerge_add_rule('r', 'odd.target(word)', 'SELECT n FROM fact');
SELECT factmerge_add_rule('r', 'odd.target(n)', 'SELECT n FROM fact');
INSERT INTO odd.fact VALUES (1);
SELECT * FROM odd.target;
-- A trigger may fill in what is left out
CREATE FUNCTION odd.fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := length(NEW.word); RETURN NEW; END $$;
CREATE TRIGGER fill BEFORE INSERT ON odd.target FOR EACH ROW EXECUTE FUNCTION odd.fill();
SELECT factmerge_add_rule('r', 'odd.target(word)', 'SELECT repeat(''w'', n) FROM fact');
INSERT INTO odd.fact VALUES (3);
SELECT n, twice, word FROM odd.target ORDER BY n;
SELECT factmerge_drop_rule('r', 'odd');
DROP TRIGGER fill ON odd.target;
-- Provenance is no part of a fact
CREATE SCHEMA odd_src;
CREATE TABLE odd_src.fact (LIKE odd.fact INCLUDING ALL);
SELECT copied FROM factmerge_merge('odd_src', 'odd');
ALTER TABLE odd.target ADD COLUMN factmerge_merge bigint;
SELECT factmerge_add_rule('r', 'odd.target(n, factmerge_merge)', 'SELECT n, 7 FROM fact');
ALTER TABLE odd.target DROP COLUMN factmerge_merge;

--
-- Parts of fact tables
--
CREATE TABLE odd.parted (n integer PRIMARY KEY) PARTITION BY RANGE (n);
CREATE TABLE odd.low PARTITION OF odd.parted FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (n);
CREATE TABLE odd.lowest PARTITION OF odd.low FOR VALUES FROM (0) TO (5);
SELECT factmerge_add_rule('r', 'odd.target(n)', 'SELECT n FROM fact WHERE n IN (SELECT n FROM lowest)');
SELECT factmerge_add_rule('r', 'odd.target(n)', 'SELECT n FROM ONLY parted');
SELECT factmerge_add_rule('r', 'odd.lowest(n)', 'SELECT n FROM fact');
CREATE TABLE odd.parent (n integer);
CREATE TABLE odd.child () INHERITS (odd.parent);
SELECT factmerge_add_rule('r', 'odd.target(n)', 'SELECT n FROM parent');
SELECT factmerge_add_rule('r', 'odd.parent(n)', 'SELECT n FROM fact');
DROP TABLE odd.parent CASCADE;
CREATE TEMPORARY TABLE passing (n integer);
SELECT factmerge_add_rule('r', 'odd.target(n)', 'WITH w AS (SELECT n FROM fact JOIN passing USING (n)) SELECT n FROM fact');
DROP TABLE passing;
-- A common table expression that nothing refers to sets nothing off
SELECT factmerge_add_rule('r', 'odd.target(n)', 'WITH w AS (SELECT n FROM fact) SELECT 1');
SELECT count(*) FROM factmerge_rules('odd');
-- ... nor does the trigger come on what only such a one reads
SELECT factmerge_add_rule('r', 'odd.target(n)', 'WITH w AS (SELECT n FROM parted) SELECT n FROM fact');
SELECT body FROM factmerge_rules('odd');
SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'factmerge_rules' AND tgrelid::regclass::text ~ '^(odd|elsewhere)' ORDER BY 1;

--
-- Tables that cease to hold facts, or come to
--
CREATE TABLE odd.other (n integer PRIMARY KEY);
CREATE TABLE odd.constant (n integer PRIMARY KEY);
SELECT factmerge_ignore('odd.constant');
SELECT factmerge_add_rule('r', 'odd.target(n)', 'SELECT n FROM fact JOIN other USING (n) WHERE n NOT IN (SELECT n FROM constant)');
SELECT factmerge_ignore('odd.fact');
SELECT factmerge_ignore('odd.target');
SELECT factmerge_unignore('odd.constant');
-- ... which says nothing new
SELECT factmerge_ignore('odd.constant');
CREATE SCHEMA elsewhere;
ALTER TABLE odd.other SET SCHEMA elsewhere;
SELECT factmerge_saturate('odd');
SELECT factmerge_verify('odd');
SELECT factmerge_merge('odd_src', 'odd');
-- Whoever inserts is warned, but not kept from it; once a session, or until something is declared
INSERT INTO elsewhere.other VALUES (20);
INSERT INTO elsewhere.other VALUES (21);
SELECT name, body FROM factmerge_rules('odd');
-- Declared anew, it reads the table as something that does not change
INSERT INTO odd.fact VALUES (20);
SELECT factmerge_add_rule('r', 'odd.target(n)', 'SELECT n FROM fact JOIN elsewhere.other USING (n) WHERE n NOT IN (SELECT n FROM constant)');
INSERT INTO elsewhere.other VALUES (22);
SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'factmerge_rules' AND tgrelid::regclass::text ~ '^(odd|elsewhere)' ORDER BY 1;
SELECT factmerge_saturate('odd');
-- A table that comes into the schema may hold facts
ALTER TABLE elsewhere.other SET SCHEMA odd;
SELECT factmerge_saturate('odd');
SELECT factmerge_drop_rule('r', 'odd');
SELECT factmerge_saturate('odd');
SELECT count(*) FROM pg_trigger WHERE tgname = 'factmerge_rules' AND tgrelid::regclass::text ~ '^(odd|elsewhere)';

DROP SCHEMA odd, odd_src, elsewhere CASCADE;
RESET client_min_messages;
