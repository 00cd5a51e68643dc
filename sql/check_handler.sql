--
-- check_handler: does a handler keep its contract?
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
\set SHOW_CONTEXT never

CREATE SCHEMA checked;
CREATE TABLE checked.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
CREATE TABLE checked.edge (a integer REFERENCES checked.point, b integer REFERENCES checked.point, PRIMARY KEY (a, b));
CREATE TABLE checked.hop (id serial PRIMARY KEY, a integer REFERENCES checked.point, c integer REFERENCES checked.point, UNIQUE (a, c));
INSERT INTO checked.point (name) SELECT 'p' || i FROM generate_series(1, 12) i;
INSERT INTO checked.edge SELECT i, i + 1 FROM generate_series(1, 11) i UNION ALL SELECT i, 1 + i % 5 FROM generate_series(1, 11) i ON CONFLICT DO NOTHING;

-- One that keeps all of it
CREATE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO hop (a, c)
    SELECT NEW.a, e.b FROM edge e WHERE e.a = NEW.b UNION SELECT e.a, NEW.b FROM edge e WHERE e.b = NEW.a
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER hops AFTER INSERT ON checked.edge FOR EACH ROW EXECUTE FUNCTION checked.hops();
SELECT * FROM factmerge_check_handler('hops');
-- ... named with its table, on a sample of another size
SELECT "check", passed FROM factmerge_check_handler('hops', 'checked.edge', sample => 7);
SELECT "check", passed FROM factmerge_check_handler('hops', sample => 10000);

-- Nothing of it stays
SELECT (SELECT count(*) FROM checked.point) AS points, (SELECT count(*) FROM checked.edge) AS edges, (SELECT count(*) FROM checked.hop) AS hops;
SELECT last_value, is_called FROM checked.hop_id_seq;
SELECT attname FROM pg_attribute WHERE attrelid = 'checked.hop'::regclass AND attnum > 0 ORDER BY attnum;
SELECT count(*) AS left_over FROM pg_class WHERE relname LIKE 'factmerge\_%' AND relpersistence = 't';
SHOW session_replication_role;
SHOW search_path;

-- One that looks only ahead: found if the second edge comes first, not otherwise.
-- Which fact is told of depends on nothing but the sample
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO hop (a, c) SELECT NEW.a, e.b FROM edge e WHERE e.a = NEW.b ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
SELECT * FROM factmerge_check_handler('hops');
SELECT * FROM factmerge_check_handler('hops');

-- One that derives, but fails the second time
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO hop (a, c)
    SELECT NEW.a, e.b FROM edge e WHERE e.a = NEW.b UNION SELECT e.a, NEW.b FROM edge e WHERE e.b = NEW.a;
    RETURN NULL;
END $$;
SELECT * FROM factmerge_check_handler('hops');

-- One that adds a fact each time
CREATE TABLE checked.sighting (id serial PRIMARY KEY, a integer, b integer);
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO sighting (a, b) VALUES (NEW.a, NEW.b);
    RETURN NULL;
END $$;
SELECT * FROM factmerge_check_handler('hops');

-- One that goes by what is there: only the first of each point
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO sighting (a, b) SELECT NEW.a, NEW.b WHERE NOT EXISTS (SELECT FROM sighting s WHERE s.a = NEW.a);
    RETURN NULL;
END $$;
SELECT "check", passed FROM factmerge_check_handler('hops');

-- One that takes facts away
INSERT INTO checked.sighting (a, b) VALUES (100, 100);
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    IF EXISTS (SELECT FROM sighting s WHERE s.a = NEW.a AND s.b = NEW.b) THEN
        DELETE FROM sighting s WHERE s.a = NEW.a AND s.b = NEW.b;
    ELSE
        INSERT INTO sighting (a, b) VALUES (NEW.a, NEW.b);
    END IF;
    RETURN NULL;
END $$;
SELECT * FROM factmerge_check_handler('hops');
SELECT a, b FROM checked.sighting;

-- One that writes nothing, one that writes what is no fact, one from whose sample nothing follows
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT * FROM factmerge_check_handler('hops');
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO hop (a, c) SELECT NEW.a, NEW.b WHERE NEW.a = 0 ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
SELECT * FROM factmerge_check_handler('hops');

-- One that always raises
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO hop (a, c) VALUES (NEW.a, NEW.b) ON CONFLICT DO NOTHING;
    IF NEW.a > 3 THEN
        RAISE EXCEPTION 'no edge from point %', NEW.a;
    END IF;
    RETURN NULL;
END $$;
SELECT * FROM factmerge_check_handler('hops');

-- For each statement
DROP TRIGGER hops ON checked.edge;
CREATE OR REPLACE FUNCTION checked.hops() RETURNS trigger LANGUAGE plpgsql SET search_path = checked AS $$
BEGIN
    INSERT INTO hop (a, c)
    SELECT n.a, e.b FROM news n JOIN edge e ON e.a = n.b UNION SELECT e.a, n.b FROM news n JOIN edge e ON e.b = n.a
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER "Hops!" AFTER INSERT ON checked.edge REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION checked.hops();
SELECT * FROM factmerge_check_handler('Hops!');
DROP TRIGGER "Hops!" ON checked.edge;

-- Declared functions: RETURNS void, and RETURNS SETOF; by their names with and without schema
CREATE FUNCTION checked.ahead(e checked.edge) RETURNS void LANGUAGE sql SET search_path = checked AS
'INSERT INTO hop (a, c) SELECT e.a, f.b FROM edge f WHERE f.a = e.b ON CONFLICT DO NOTHING';
CREATE FUNCTION checked."Behind"(e checked.edge) RETURNS SETOF checked.hop LANGUAGE sql SET search_path = checked AS
'SELECT NULL::integer, f.a, e.b FROM edge f WHERE f.b = e.a';
SELECT factmerge_add_handler('checked.edge', 'checked.ahead');
SELECT "check", passed FROM factmerge_check_handler('checked.ahead');
-- Either finds what the other does not
SELECT factmerge_add_handler('checked.edge', 'checked."Behind"');
SELECT * FROM factmerge_check_handler('ahead');
SELECT * FROM factmerge_check_handler('"Behind"');
SELECT "check", passed FROM factmerge_check_handler('checked."Behind"', 'checked.edge');
-- Only half of it is promised
SELECT factmerge_drop_handler('checked.edge', 'checked.ahead');
SELECT factmerge_add_handler('checked.edge', 'checked."Behind"', found_from => 'this');
SELECT * FROM factmerge_check_handler('"Behind"');
-- Conditions of the declaration hold here, too
SELECT factmerge_add_handler('checked.edge', 'checked."Behind"', only_when => 'fact.a < 0');
SELECT * FROM factmerge_check_handler('"Behind"');
SELECT factmerge_add_handler('checked.edge', 'checked."Behind"', stop_when => 'true');
SELECT * FROM factmerge_check_handler('"Behind"');
SELECT factmerge_drop_handler('checked.edge', 'checked."Behind"');

-- No such handler, or too many of them
CREATE TRIGGER hops AFTER INSERT ON checked.edge REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION checked.hops();
CREATE FUNCTION checked.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER hops AFTER INSERT ON checked.point FOR EACH ROW EXECUTE FUNCTION checked.nothing();
SELECT * FROM factmerge_check_handler('hops');
SELECT "check", passed FROM factmerge_check_handler('hops', 'checked.edge');
SELECT * FROM factmerge_check_handler('hop');
SELECT * FROM factmerge_check_handler('no schema.hops');
SELECT * FROM factmerge_check_handler('checked.ahead');
SELECT * FROM factmerge_check_handler('hops', 'checked.hop');
SELECT * FROM factmerge_check_handler('hops', 'pg_catalog.pg_class');
SELECT * FROM factmerge_check_handler(NULL);
SELECT * FROM factmerge_check_handler('hops', 'checked.edge', NULL);
SELECT * FROM factmerge_check_handler('hops', 'checked.edge', 0);
SELECT * FROM factmerge_check_handler('hops', 'checked.edge', 10001);
SELECT factmerge_ignore_trigger('checked.edge', 'hops');
SELECT * FROM factmerge_check_handler('hops', 'checked.edge');
SELECT factmerge_unignore_trigger('checked.edge', 'hops');
SELECT factmerge_ignore('checked.edge');
SELECT * FROM factmerge_check_handler('hops', 'checked.edge');
SELECT factmerge_unignore('checked.edge');
CREATE ROLE check_visitor;
GRANT USAGE ON SCHEMA checked TO check_visitor;
GRANT ALL ON ALL TABLES IN SCHEMA checked TO check_visitor;
SET ROLE check_visitor;
SELECT * FROM factmerge_check_handler('hops', 'checked.edge');
RESET ROLE;
DROP OWNED BY check_visitor;
DROP ROLE check_visitor;

-- Before there are facts
DROP TRIGGER hops ON checked.point;
TRUNCATE checked.point CASCADE;
SELECT * FROM factmerge_check_handler('hops');
DROP SCHEMA checked CASCADE;

--
-- Derivations that go on: into the handler's own table, and from derived facts
--
CREATE SCHEMA closed;
CREATE TABLE closed.link (a text, b text, PRIMARY KEY (a, b));
CREATE FUNCTION closed.extend() RETURNS trigger LANGUAGE plpgsql SET search_path = closed AS $$
BEGIN
    INSERT INTO link SELECT NEW.a, l.b FROM link l WHERE l.a = NEW.b ON CONFLICT DO NOTHING;
    INSERT INTO link SELECT l.a, NEW.b FROM link l WHERE l.b = NEW.a ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER extend AFTER INSERT ON closed.link FOR EACH ROW EXECUTE FUNCTION closed.extend();
INSERT INTO closed.link VALUES ('a', 'b'), ('b', 'c'), ('c', 'd'), ('d', 'e'), ('e', 'f'), ('x', 'y');
-- Links that follow from others do not arrive by themselves, or else nobody would
-- see that one who overlooks half of them does
SELECT * FROM factmerge_check_handler('extend');
CREATE OR REPLACE FUNCTION closed.extend() RETURNS trigger LANGUAGE plpgsql SET search_path = closed AS $$
BEGIN
    INSERT INTO link SELECT NEW.a, l.b FROM link l WHERE l.a = NEW.b ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
SELECT "check", passed FROM factmerge_check_handler('extend');
DROP SCHEMA closed CASCADE;

-- Facts of derived tables, which have keys of their own, and refer to each other;
-- quoted names, generated columns, provenance columns, partitions, keys that are
-- checked late, and a rule beside
CREATE SCHEMA "Far Off";
CREATE TABLE "Far Off"."Word" (id bigint GENERATED BY DEFAULT AS IDENTITY, "the text" text NOT NULL,
    size integer GENERATED ALWAYS AS (length("the text")) STORED, part integer NOT NULL,
    PRIMARY KEY (id, part), UNIQUE ("the text", part)) PARTITION BY LIST (part);
CREATE TABLE "Far Off"."Word 1" PARTITION OF "Far Off"."Word" FOR VALUES IN (1);
CREATE TABLE "Far Off"."Word 2" PARTITION OF "Far Off"."Word" FOR VALUES IN (2);
CREATE TABLE "Far Off"."Pair" (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, "left" bigint, part integer, "right" bigint, other integer,
    FOREIGN KEY ("left", part) REFERENCES "Far Off"."Word", FOREIGN KEY ("right", other) REFERENCES "Far Off"."Word",
    UNIQUE ("left", part, "right", other) DEFERRABLE);
CREATE TABLE "Far Off"."Chain" (id serial PRIMARY KEY, first uuid REFERENCES "Far Off"."Pair", second uuid REFERENCES "Far Off"."Pair",
    UNIQUE (first, second));
CREATE TABLE "Far Off".mirror (a bigint, b bigint, PRIMARY KEY (a, b));
INSERT INTO "Far Off"."Word" ("the text", part) VALUES ('at', 1), ('tea', 1), ('ark', 2), ('kit', 2), ('top', 1), ('pea', 2), ('oar', 2);
CREATE FUNCTION "Far Off".pairs("Far Off"."Word") RETURNS SETOF "Far Off"."Pair" LANGUAGE plpgsql STABLE SET search_path = "Far Off" AS $$
DECLARE
    pair "Pair";
BEGIN
    FOR pair."left", pair.part, pair."right", pair.other IN
        SELECT $1.id, $1.part, w.id, w.part FROM "Word" w WHERE left(w."the text", 1) = right($1."the text", 1)
        UNION SELECT w.id, w.part, $1.id, $1.part FROM "Word" w WHERE left($1."the text", 1) = right(w."the text", 1)
    LOOP
        RETURN NEXT pair;
    END LOOP;
END $$;
CREATE FUNCTION "Far Off".chains() RETURNS trigger LANGUAGE plpgsql SET search_path = "Far Off" AS $$
BEGIN
    INSERT INTO "Chain" (first, second) SELECT NEW.id, p.id FROM "Pair" p WHERE (p."left", p.part) = (NEW."right", NEW.other)
    UNION SELECT p.id, NEW.id FROM "Pair" p WHERE (p."right", p.other) = (NEW."left", NEW.part) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
SELECT factmerge_add_handler('"Far Off"."Word"', '"Far Off".pairs');
CREATE TRIGGER chains AFTER INSERT ON "Far Off"."Pair" FOR EACH ROW EXECUTE FUNCTION "Far Off".chains();
SELECT factmerge_add_rule('"Far Off".mirror', '"Far Off".mirror(a, b)', 'SELECT "right", "left" FROM "Far Off"."Pair"');
SELECT factmerge_saturate('Far Off');
SELECT (SELECT count(*) FROM "Far Off"."Pair") AS pairs, (SELECT count(*) FROM "Far Off"."Chain") AS chains, (SELECT count(*) FROM "Far Off".mirror) AS mirrored;
SELECT * FROM factmerge_check_handler('pairs');
SELECT * FROM factmerge_check_handler('chains');
SELECT factmerge_prepare('Far Off');
SELECT * FROM factmerge_check_handler('pairs');
SELECT * FROM factmerge_check_handler('chains');
-- What is told of a derived fact leaves its keys out, and tells what it refers to
CREATE OR REPLACE FUNCTION "Far Off".chains() RETURNS trigger LANGUAGE plpgsql SET search_path = "Far Off" AS $$
BEGIN
    INSERT INTO "Chain" (first, second) SELECT NEW.id, p.id FROM "Pair" p WHERE (p."left", p.part) = (NEW."right", NEW.other) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
SELECT "check", passed, regexp_replace(detail, '(in order|when) .*', '\1 ...') AS detail FROM factmerge_check_handler('chains');
DROP SCHEMA "Far Off" CASCADE;

--
-- Several tables: a derivation that has three participants, one of which does not look
--
CREATE SCHEMA joint;
CREATE TABLE joint.supplier (part text, firm text, t integer, s jsonb, PRIMARY KEY (part, firm));
CREATE TABLE joint.need (project text, part text, PRIMARY KEY (project, part) DEFERRABLE);
CREATE TABLE joint.licence (firm text PRIMARY KEY);
CREATE TABLE joint.offer (project text, part text, firm text, d text DEFAULT 'd', PRIMARY KEY (project, part, firm));
INSERT INTO joint.supplier SELECT 'part ' || i % 5, 'firm ' || i % 3 FROM generate_series(1, 15) i;
INSERT INTO joint.need SELECT 'project ' || i % 4, 'part ' || i % 5 FROM generate_series(1, 20) i;
INSERT INTO joint.licence SELECT 'firm ' || i FROM generate_series(0, 1) i;
CREATE FUNCTION joint.offers() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    INSERT INTO offer SELECT n.project, n.part, s.firm FROM need n JOIN supplier s ON s.part = n.part JOIN licence l ON l.firm = s.firm
    WHERE CASE TG_TABLE_NAME WHEN 'need' THEN n = NEW::need WHEN 'supplier' THEN s = NEW::supplier ELSE l = NEW::licence END
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION joint.offers_of_need() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    INSERT INTO offer SELECT NEW.project, NEW.part, s.firm FROM supplier s JOIN licence l ON l.firm = s.firm WHERE s.part = NEW.part
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION joint.offers_of_supplier() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    INSERT INTO offer SELECT n.project, NEW.part, NEW.firm FROM need n JOIN licence l ON l.firm = NEW.firm WHERE n.part = NEW.part
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION joint.offers_of_licence() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    INSERT INTO offer SELECT n.project, n.part, NEW.firm FROM need n JOIN supplier s ON s.part = n.part WHERE s.firm = NEW.firm
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER offers_of_need AFTER INSERT ON joint.need FOR EACH ROW EXECUTE FUNCTION joint.offers_of_need();
CREATE TRIGGER offers_of_supplier AFTER INSERT ON joint.supplier FOR EACH ROW EXECUTE FUNCTION joint.offers_of_supplier();
CREATE TRIGGER offers_of_licence AFTER INSERT ON joint.licence FOR EACH ROW EXECUTE FUNCTION joint.offers_of_licence();
SELECT * FROM factmerge_check_handler('offers_of_need');
DROP TRIGGER offers_of_licence ON joint.licence;
SELECT "check", passed, regexp_replace(detail, '^.* (when licence|in order) .*', '... \1 ...') AS detail FROM factmerge_check_handler('offers_of_need');
SELECT "check", passed FROM factmerge_check_handler('offers_of_supplier');

-- What is declared is a friend, by a condition or for the handler alone; one that changes facts, or may
SELECT factmerge_add_friend('joint.need', 'joint.supplier', condition => 'fact.part = friend.part');
SELECT "check", passed, detail FROM factmerge_check_handler('offers_of_need') WHERE "check" LIKE 'whatever%';
SELECT factmerge_add_friend('joint.need', 'joint.licence', condition => 'true');
SELECT "check", passed, detail FROM factmerge_check_handler('offers_of_need') WHERE "check" LIKE 'whatever%';
SELECT factmerge_drop_friend('joint.need', 'joint.licence');
SELECT factmerge_drop_friend('joint.need', 'joint.supplier');
CREATE FUNCTION joint.may_change() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    -- No UPDATE yet
    IF TG_OP = 'UPDATE' THEN
        PERFORM FROM licence FOR UPDATE;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER may_change AFTER INSERT ON joint.licence FOR EACH ROW EXECUTE FUNCTION joint.may_change();
SELECT "check", passed, detail FROM factmerge_check_handler('may_change') WHERE "check" LIKE 'it only%';
CREATE OR REPLACE FUNCTION joint.may_change() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    IF NEW.firm = 'none' THEN
        DELETE FROM offer WHERE firm = NEW.firm;
    END IF;
    RETURN NULL;
END $$;
SELECT "check", passed, detail FROM factmerge_check_handler('may_change') WHERE "check" LIKE 'it only%';
INSERT INTO joint.licence VALUES ('none');
SELECT "check", passed, detail FROM factmerge_check_handler('may_change') WHERE "check" LIKE 'it only%';
DELETE FROM joint.licence;
SELECT "check", passed, detail FROM factmerge_check_handler('may_change') WHERE "check" LIKE 'it only%';
DROP TRIGGER may_change ON joint.licence;
INSERT INTO joint.licence SELECT 'firm ' || i FROM generate_series(0, 1) i;

-- Cancelled, it leaves nothing behind either, not even inside a block that goes on
CREATE FUNCTION joint.offers_of_licence_slowly() RETURNS trigger LANGUAGE plpgsql SET search_path = joint AS $$
BEGIN
    INSERT INTO offer VALUES ('project', 'part', NEW.firm) ON CONFLICT DO NOTHING;
    RAISE query_canceled;
    RETURN NULL;
END $$;
CREATE TRIGGER slowly AFTER INSERT ON joint.licence FOR EACH ROW EXECUTE FUNCTION joint.offers_of_licence_slowly();
SELECT * FROM factmerge_check_handler('slowly');
DO $$
BEGIN
    PERFORM factmerge_check_handler('slowly');
EXCEPTION WHEN query_canceled THEN
    RAISE WARNING 'cancelled, with % licences there', (SELECT count(*) FROM joint.licence);
END $$;
DROP TRIGGER slowly ON joint.licence;
INSERT INTO joint.need VALUES ('project 9', 'part 1');
SELECT * FROM joint.offer WHERE project = 'project 9' ORDER BY firm;
SELECT "check", passed FROM factmerge_check_handler('offers_of_need');
DROP SCHEMA joint CASCADE;
