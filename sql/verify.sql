--
-- verify: is a schema saturated?
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE SCHEMA verify;
CREATE TABLE verify.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
CREATE TABLE verify.edge (a integer REFERENCES verify.point, b integer REFERENCES verify.point, PRIMARY KEY (a, b));
CREATE TABLE verify.reach (id serial PRIMARY KEY, a integer REFERENCES verify.point, b integer REFERENCES verify.point, UNIQUE (a, b));
CREATE FUNCTION verify.begin_reach() RETURNS trigger LANGUAGE plpgsql SET search_path = verify AS $$
BEGIN
    INSERT INTO reach (a, b) VALUES (NEW.a, NEW.b) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION verify.extend_reach() RETURNS trigger LANGUAGE plpgsql SET search_path = verify AS $$
BEGIN
    INSERT INTO reach (a, b)
    SELECT r.a, NEW.b FROM reach r WHERE r.b = NEW.a UNION SELECT NEW.a, r.b FROM reach r WHERE r.a = NEW.b
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- Without handlers every schema is saturated
INSERT INTO verify.point (name) VALUES ('a'), ('b'), ('c'), ('d');
INSERT INTO verify.edge VALUES (1, 2), (2, 3);
SELECT fact_table, fact FROM factmerge_verify('verify');

-- Handlers that came after the facts: what is missing, down to what follows
-- from it, without the columns of the provenance
CREATE TRIGGER begin_reach AFTER INSERT ON verify.edge FOR EACH ROW EXECUTE FUNCTION verify.begin_reach();
CREATE TRIGGER extend_reach AFTER INSERT ON verify.reach FOR EACH ROW EXECUTE FUNCTION verify.extend_reach();
SELECT fact_table, fact FROM factmerge_verify('verify') ORDER BY fact ->> 'a', fact ->> 'b';

-- ... and nothing of it stays: no fact, no column, no drawn key, no history
SELECT count(*) FROM verify.reach;
SELECT attname FROM pg_attribute WHERE attrelid = 'verify.reach'::regclass AND attnum > 0 ORDER BY attnum;
SELECT last_value, is_called FROM verify.reach_id_seq;
SELECT count(*) FROM factmerge.merge WHERE destination = 'verify';
SELECT count(*) AS left_over FROM pg_class WHERE relname LIKE 'factmerge\_%' AND relpersistence = 't';
SHOW session_replication_role;
SHOW search_path;
SELECT factmerge.current_provenance(), factmerge.current_merge();

-- Saturated by hand, it is saturated
INSERT INTO verify.reach (a, b) VALUES (1, 2), (2, 3);
SELECT count(*) FROM verify.reach;
SELECT fact_table, fact FROM factmerge_verify('verify');
-- ... until somebody goes behind the triggers' back
SET session_replication_role = replica;
INSERT INTO verify.edge VALUES (3, 4);
RESET session_replication_role;
SELECT fact_table, fact - 'id' AS fact FROM factmerge_verify('verify') ORDER BY fact ->> 'a';
SELECT count(*) FROM verify.reach;

-- Functions, statement-level triggers and tables with provenance columns
SELECT factmerge_prepare('verify');
SELECT fact_table, fact - 'id' AS fact FROM factmerge_verify('verify') ORDER BY fact ->> 'a';
DROP TRIGGER begin_reach ON verify.edge;
SELECT fact_table, fact FROM factmerge_verify('verify');
CREATE FUNCTION verify.reach_of_edge(e verify.edge) RETURNS void LANGUAGE sql AS
'INSERT INTO verify.reach (a, b) VALUES (e.a, e.b) ON CONFLICT DO NOTHING';
SELECT factmerge_add_handler('verify.edge', 'verify.reach_of_edge');
SELECT fact_table, fact - 'id' AS fact FROM factmerge_verify('verify') ORDER BY fact ->> 'a';
SELECT factmerge_drop_handler('verify.edge', 'reach_of_edge');
CREATE FUNCTION verify.begin_reaches() RETURNS trigger LANGUAGE plpgsql SET search_path = verify AS $$
BEGIN
    INSERT INTO reach (a, b) SELECT a, b FROM news ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER begin_reaches AFTER INSERT ON verify.edge REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION verify.begin_reaches();
SELECT fact_table, fact - 'id' AS fact FROM factmerge_verify('verify') ORDER BY fact ->> 'a';
-- An ignored trigger is not asked
SELECT factmerge_ignore_trigger('verify.edge', 'begin_reaches');
SELECT fact_table, fact FROM factmerge_verify('verify');
SELECT factmerge_unignore_trigger('verify.edge', 'begin_reaches');

-- A handler that does not keep its promise, since it adds a fact each time
CREATE TABLE verify.diary (at serial PRIMARY KEY, entry text);
CREATE FUNCTION verify.write_diary() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO verify.diary (entry) VALUES (NEW.name);
    RETURN NULL;
END $$;
CREATE TRIGGER write_diary AFTER INSERT ON verify.point FOR EACH ROW EXECUTE FUNCTION verify.write_diary();
INSERT INTO verify.point (name) VALUES ('e');
SELECT fact_table, fact - 'at' AS fact FROM factmerge_verify('verify') WHERE fact_table = 'verify.diary'::regclass ORDER BY 2;
SELECT at, entry FROM verify.diary;

-- A handler that raises
CREATE FUNCTION verify.raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not verifiable';
END $$;
CREATE TRIGGER raise AFTER INSERT ON verify.diary FOR EACH ROW EXECUTE FUNCTION verify.raise();
SELECT fact_table, fact FROM factmerge_verify('verify');
SELECT count(*) FROM verify.diary;
SELECT count(*) AS left_over FROM pg_class WHERE relname LIKE 'factmerge\_%' AND relpersistence = 't';
DROP TRIGGER raise ON verify.diary;
DROP TRIGGER write_diary ON verify.point;

-- In a transaction, before and after changes of its own
BEGIN;
SELECT count(*) FROM factmerge_verify('verify');
INSERT INTO verify.edge VALUES (3, 1);
SELECT count(*) FROM factmerge_verify('verify');
SELECT a, b FROM verify.edge ORDER BY a;
COMMIT;
SELECT fact_table FROM factmerge_verify(NULL);

DROP SCHEMA verify CASCADE;

--
-- Who finds a fact, and by which event
--
CREATE SCHEMA found;
CREATE TABLE found."Edge" ("from" integer, "to" integer, PRIMARY KEY ("from", "to"));
CREATE TABLE found.hop (a integer, c integer, PRIMARY KEY (a, c));
CREATE TABLE found.meet (a integer, c integer, PRIMARY KEY (a, c));
CREATE TABLE found.far (a integer, c integer, PRIMARY KEY (a, c));
CREATE TABLE found.near (a integer, c integer, PRIMARY KEY (a, c));
INSERT INTO found."Edge" SELECT i, i + 1 FROM generate_series(1, 20) i;
CREATE FUNCTION found.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = found AS $$
BEGIN
    INSERT INTO hop SELECT NEW."from", e."to" FROM "Edge" e WHERE e."from" = NEW."to" ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER "Hops" AFTER INSERT ON found."Edge" FOR EACH ROW EXECUTE FUNCTION found.hops();
CREATE FUNCTION found.meetings() RETURNS trigger LANGUAGE plpgsql SET search_path = found AS $$
BEGIN
    -- Two new edges at once
    INSERT INTO meet SELECT n."from", m."to" FROM news n JOIN news m ON m."from" = n."to" ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER meetings AFTER INSERT ON found."Edge" REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION found.meetings();
CREATE FUNCTION found.further(h found.hop) RETURNS void LANGUAGE sql SET search_path = found AS
'INSERT INTO far SELECT h.a, e."to" FROM "Edge" e WHERE e."from" = h.c ON CONFLICT DO NOTHING';
SELECT factmerge_add_handler('found.hop', 'found.further');
SELECT factmerge_add_rule('next door', 'found.near(a, c)', 'SELECT "from", "to" FROM "Edge" WHERE "from" > 17');

-- All but two hops and what follows from them are there
INSERT INTO found.hop SELECT i, i + 2 FROM generate_series(1, 17) i;
INSERT INTO found.far SELECT i, i + 3 FROM generate_series(1, 17) i;
INSERT INTO found.meet SELECT i, i + 2 FROM generate_series(1, 18) i;
SELECT * FROM factmerge_verify('found');
-- A sample finds some of them
DO 'BEGIN PERFORM setseed(0.2); END';
SELECT count(*) BETWEEN 1 AND 6 AS some FROM factmerge_verify('found', 0.5);
INSERT INTO found.hop VALUES (18, 20), (19, 21);
INSERT INTO found.meet VALUES (19, 21);
SELECT factmerge_saturate('found');
SELECT * FROM factmerge_verify('found');
DELETE FROM found.near;
-- ... and at least one event is looked at
SELECT count(*) FROM factmerge_verify('found', 0.000001);
SELECT * FROM factmerge_verify('found', 0);
SELECT * FROM factmerge_verify('found', 1.1);
SELECT * FROM factmerge_verify('found', 'NaN');
DROP SCHEMA found CASCADE;
