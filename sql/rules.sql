-- Declared rules: declaring, keeping saturated, merging
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_graph(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.point (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE %1$I.edge (
            id serial PRIMARY KEY,
            a integer NOT NULL REFERENCES %1$I.point,
            b integer NOT NULL REFERENCES %1$I.point,
            UNIQUE (a, b));
        CREATE TABLE %1$I.path (
            id serial PRIMARY KEY,
            a integer NOT NULL REFERENCES %1$I.point,
            c integer NOT NULL REFERENCES %1$I.point,
            UNIQUE (a, c));
    $ddl$, schema);
END $make$;

-- Adds edges, given as 'p>q q>r', and the points that are not there yet
CREATE PROCEDURE add_edges(schema name, edges text) LANGUAGE plpgsql AS $add$
BEGIN
    EXECUTE format('INSERT INTO %I.point (name) SELECT DISTINCT n FROM regexp_split_to_table($1, ''[ >]'') n
                    ORDER BY 1 ON CONFLICT DO NOTHING', schema) USING edges;
    EXECUTE format('INSERT INTO %1$I.edge (a, b) SELECT s.id, t.id FROM regexp_split_to_table($1, '' '') e
                    JOIN %1$I.point s ON s.name = split_part(e, ''>'', 1)
                    JOIN %1$I.point t ON t.name = split_part(e, ''>'', 2)', schema) USING edges;
END $add$;

CREATE FUNCTION paths(schema name) RETURNS SETOF text LANGUAGE plpgsql AS $show$
BEGIN
    RETURN QUERY EXECUTE format('SELECT s.name || t.name || coalesce('' '' || (to_jsonb(x) ->> ''factmerge_provenance''), '''')
                                 FROM %1$I.path x JOIN %1$I.point s ON s.id = x.a
                                 JOIN %1$I.point t ON t.id = x.c ORDER BY 1', schema);
END $show$;

--
-- Declaring
--
CALL make_graph('north');
SELECT factmerge_add_rule('two hops', 'north.path(a, c)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b');
SELECT * FROM factmerge_rules('north');
SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE tgfoid = 'factmerge.apply_rules()'::regprocedure ORDER BY 2;
-- A trigger of a rule is no handler
SELECT fact_table, handlers FROM factmerge_tables('north');
CALL add_edges('north', 'p>q q>r r>s');
SELECT paths('north');
-- Declared again, it is another rule; what it reads has changed, and so has what has triggers
SELECT factmerge_add_rule('two hops', 'north.path(a, c)', 'SELECT p.id, p.id FROM point p WHERE p.name = ''z''');
-- From PostgreSQL 16 on, the server leaves the name of a table out that is the only one
SELECT name, body, replace(query, 'p.', '') AS query FROM factmerge_rules('north');
SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE tgfoid = 'factmerge.apply_rules()'::regprocedure ORDER BY 2;
INSERT INTO north.point (name) VALUES ('z');
SELECT paths('north');
SELECT factmerge_drop_rule('two hops', 'north');
SELECT name FROM factmerge_rules('north');
SELECT count(*) FROM pg_trigger WHERE tgfoid = 'factmerge.apply_rules()'::regprocedure;
SELECT count(*) FROM factmerge.rule;
SELECT count(*) FROM pg_class WHERE relnamespace = 'factmerge'::regnamespace AND relkind = 'v';
SELECT factmerge_drop_rule('two hops', 'north');
SELECT factmerge_drop_rule('two hops', 'nowhere');

-- The schema of the target comes first, then the search path; the target may be found on it, too
SET search_path = north, public;
SELECT factmerge_add_rule('closure', 'path(a, c)', $$
    SELECT a, b FROM edge
    UNION
    SELECT p.a, e.b FROM path p, edge e WHERE e.a = p.c $$);
SELECT name, target, columns, body FROM factmerge_rules('north');
SELECT factmerge_saturate('north');
SELECT factmerge_saturate('north');
RESET search_path;
SELECT paths('north');

--
-- It goes with what is renamed, and refuses to lose what it reads
--
ALTER SCHEMA north RENAME TO "North pole";
ALTER TABLE "North pole".edge RENAME TO "select";
ALTER TABLE "North pole"."select" RENAME b TO "B!";
INSERT INTO "North pole".point (name) VALUES ('t');
INSERT INTO "North pole"."select" (a, "B!") SELECT s.id, t.id FROM "North pole".point s, "North pole".point t
    WHERE s.name = 's' AND t.name = 't';
SELECT paths('North pole');
SELECT query FROM factmerge_rules('North pole');
\set VERBOSITY sqlstate
DROP TABLE "North pole"."select";
\set VERBOSITY default
ALTER TABLE "North pole".path RENAME c TO d;
INSERT INTO "North pole"."select" (a, "B!") SELECT s.id, t.id FROM "North pole".point s, "North pole".point t
    WHERE s.name = 't' AND t.name = 'p';
ALTER TABLE "North pole".path RENAME d TO c;
DROP SCHEMA "North pole" CASCADE;
SELECT count(*) FROM factmerge.rule;
SELECT count(*) FROM pg_class WHERE relnamespace = 'factmerge'::regnamespace AND relkind = 'v';

-- Of a rule that reads other tables than its target, the view goes with the target
CALL make_graph('gone');
SELECT factmerge_add_rule('hop', 'gone.path(a, c)', 'SELECT a, b FROM edge');
DROP TABLE gone.path;
SELECT count(*) FROM pg_class WHERE relnamespace = 'factmerge'::regnamespace AND relkind = 'v';
CALL add_edges('gone', 'p>q');
DROP SCHEMA gone CASCADE;

--
-- Merging: facts of both sides, and what follows from these
--
CALL make_graph('a');
CALL make_graph('b');
SELECT factmerge_add_rule('closure', s || '.path(a, c)',
    'SELECT a, b FROM edge UNION SELECT p.a, e.b FROM path p, edge e WHERE e.a = p.c')
FROM (VALUES ('a'), ('b')) AS v(s);
CALL add_edges('a', 'p>q q>r x>y');
CALL add_edges('b', 'q>r r>s s>t u>p');
SELECT source_facts, in_both, copied, events, unhandled, replayed, derived FROM factmerge_merge('a', 'b', dry_run => true);
SELECT source_facts, in_both, copied, events, unhandled, replayed, derived FROM factmerge_merge('a', 'b');
SELECT paths('b');
SELECT factmerge_saturate('b');
-- Again: nothing
SELECT source_facts, in_both, copied, derived FROM factmerge_merge('a', 'b');
-- What is new since, on either side
CALL add_edges('a', 'r>z');
CALL add_edges('b', 'z>w');
SELECT source_facts, in_both, copied, derived FROM factmerge_merge('a', 'b');
SELECT x FROM paths('b') x WHERE x ~ '[zw]';
SELECT factmerge_saturate('b');

-- With the triggers off, and handlers beside rules: what a handler adds, rules look at, and the other way round
CREATE FUNCTION b.back() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO edge (a, b) SELECT p.id, q.id FROM point p, point q
    WHERE (p.id, NEW.c, p.name, q.name) = (NEW.c, p.id, 'x2', 'x3') ON CONFLICT DO NOTHING;
    RETURN NULL;
END $body$;
CREATE TRIGGER back AFTER INSERT ON b.path FOR EACH ROW EXECUTE FUNCTION b.back();
-- ... and renamed, for the triggers are theirs
ALTER TRIGGER factmerge_rules ON b.edge RENAME TO "Our rules";
ALTER TABLE b.edge DISABLE TRIGGER "Our rules";
ALTER TABLE b.path DISABLE TRIGGER factmerge_rules;
CALL add_edges('a', 'x0>x1 x1>x2');
INSERT INTO a.point (name) VALUES ('x3');
CALL add_edges('b', 'x3>x4 xx>x0');
SELECT x FROM paths('b') x WHERE x ~ 'x[0-9]';
INSERT INTO b.path (a, c) SELECT a, b FROM b.edge ON CONFLICT DO NOTHING;
SET search_path = b, public;
SELECT copied, derived FROM factmerge_merge('a', 'b');
SELECT x FROM paths('b') x WHERE x ~ 'x[0-9]';
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgfoid = 'factmerge.apply_rules'::regproc AND tgrelid::regclass::text !~ '^a' ORDER BY 1;
-- What the destination had not derived before is no merge's work
SELECT factmerge_saturate('b');
SELECT factmerge_saturate('b');
ALTER TABLE edge ENABLE TRIGGER "Our rules";
ALTER TABLE path ENABLE TRIGGER factmerge_rules;
RESET search_path;

--
-- Where facts that are in both are not alike, what follows from the destination's version counts
--
CREATE PROCEDURE make_people(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.person (id serial PRIMARY KEY, name text NOT NULL UNIQUE, city text);
        CREATE TABLE %1$I.neighbour (one text, other text, PRIMARY KEY (one, other));
    $ddl$, schema);
    PERFORM factmerge_add_rule('neighbours', format('%I.neighbour(one, other)', schema),
        'SELECT p.name, q.name FROM person p JOIN person q USING (city) WHERE p.name <> q.name');
END $make$;
CALL make_people('pa');
CALL make_people('pb');
INSERT INTO pa.person (name, city) VALUES ('Ann', 'Oslo'), ('Bob', 'Bergen'), ('Cid', 'Oslo');
INSERT INTO pb.person (name, city) VALUES ('Ann', 'Bergen'), ('Dan', 'Bergen');
SELECT in_both, copied, conflicts, derived FROM factmerge_merge('pa', 'pb');
SELECT one, other, factmerge_provenance FROM pb.neighbour ORDER BY 1, 2;
SELECT factmerge_saturate('pb');

-- Where two facts become one, what refers to them may meet
CALL make_graph('fa');
CALL make_graph('fb');
SELECT factmerge_add_rule('two hops', s || '.path(a, c)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b')
FROM (VALUES ('fa'), ('fb')) AS v(s);
SELECT factmerge_set_sameness('fb.point', tolerance => '{"name": "lower"}');
CALL add_edges('fa', 'p>q Q>r');
CALL add_edges('fb', 'q>s');
SELECT in_both, copied, derived FROM factmerge_merge('fa', 'fb');
SELECT paths('fb');
SELECT factmerge_saturate('fb');

-- A table that only the destination has
CREATE TABLE fb.closed (point integer REFERENCES fb.point);
INSERT INTO fb.closed SELECT id FROM fb.point WHERE name = 's';
CREATE TABLE fb.barred (a integer, b integer);
SELECT factmerge_add_rule('barred', 'fb.barred(a, b)', 'SELECT e.a, e.b FROM edge e JOIN closed c ON c.point = e.b');
SELECT factmerge_saturate('fb');
CALL add_edges('fa', 'w>s');
SELECT copied, derived FROM factmerge_merge('fa', 'fb');
SELECT s.name, t.name FROM fb.barred JOIN fb.point s ON s.id = a JOIN fb.point t ON t.id = b ORDER BY 1;

--
-- Saving: duplicates, defaults, nulls, types
--
CREATE SCHEMA kinds;
CREATE TABLE kinds.fact (n integer PRIMARY KEY, m integer);
CREATE TABLE kinds.bare (n integer, m integer, note text DEFAULT 'none', at timestamptz DEFAULT clock_timestamp());
CREATE TABLE kinds.late (n integer, m integer, UNIQUE (n, m) DEFERRABLE);
CREATE TABLE kinds.expr (n integer, label text);
CREATE UNIQUE INDEX ON kinds.expr (lower(label));
CREATE TABLE kinds.odd (n bigint, label varchar(4), doc json);
CREATE TABLE kinds.part (n integer, label text, PRIMARY KEY (n)) PARTITION BY RANGE (n);
CREATE TABLE kinds.part_1 (label text, n integer NOT NULL);
ALTER TABLE kinds.part ATTACH PARTITION kinds.part_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE kinds.part_2 PARTITION OF kinds.part FOR VALUES FROM (10) TO (20);
CREATE TABLE kinds.whole (n integer);
SELECT factmerge_add_rule('bare', 'kinds.bare(n, m)', 'SELECT n % 2, m FROM fact');
SELECT factmerge_add_rule('late', 'kinds.late(n, m)', 'SELECT n % 2, m FROM fact');
SELECT factmerge_add_rule('expr', 'kinds.expr(n, label)', 'SELECT n, CASE n % 2 WHEN 0 THEN ''a'' ELSE ''A'' END FROM fact');
SELECT factmerge_add_rule('odd', 'kinds.odd(n, label, doc)', 'SELECT n, ''l'' || m, json_build_object(''m'', m) FROM fact');
SELECT factmerge_add_rule('part', 'kinds.part(n, label)', 'SELECT m, ''f'' || n FROM fact WHERE m < 20');
SELECT factmerge_add_rule('whole', 'kinds.whole(n)', 'SELECT n FROM part WHERE label LIKE ''f%''');
INSERT INTO kinds.fact VALUES (1, 11), (2, NULL), (3, 11), (4, NULL);
INSERT INTO kinds.fact VALUES (5, 11), (6, NULL), (7, 5);
INSERT INTO kinds.fact VALUES (7, 6) ON CONFLICT DO NOTHING;
INSERT INTO kinds.fact VALUES (7, 6), (8, 8) ON CONFLICT (n) DO UPDATE SET m = excluded.m;
SELECT n, m, note FROM kinds.bare ORDER BY 1, 2;
SELECT * FROM kinds.late ORDER BY 1, 2;
SELECT count(*), count(DISTINCT lower(label)) FROM kinds.expr;
SELECT * FROM kinds.odd ORDER BY 1, 2;
SELECT tableoid::regclass, * FROM kinds.part ORDER BY n;
SELECT * FROM kinds.whole ORDER BY n;
-- Directly into a partition, whose columns are in another order; by COPY; through a view
INSERT INTO kinds.part_1 (n, label) VALUES (1, 'f');
COPY kinds.part_2 (n, label) FROM STDIN;
12	fx
13	gx
\.
CREATE VIEW kinds.way AS SELECT * FROM kinds.part;
INSERT INTO kinds.way VALUES (14, 'fv');
SELECT * FROM kinds.whole ORDER BY n;
-- Fact 7 has been changed, as no fact should be
SELECT factmerge_saturate('kinds');
SELECT factmerge_saturate('kinds');
\set VERBOSITY terse
INSERT INTO kinds.fact VALUES (10, 12345);
\set VERBOSITY default
-- A null that tells a fact apart is derived once
SELECT count(*) FROM kinds.bare WHERE m IS NULL;

--
-- Rights: whoever inserts needs none to what follows, and cannot get in between
--
CREATE ROLE rules_owner;
CREATE ROLE rules_clerk;
CREATE SCHEMA owned AUTHORIZATION rules_owner;
GRANT USAGE ON SCHEMA owned TO rules_clerk;
SET ROLE rules_owner;
CREATE TABLE owned.word (w text PRIMARY KEY);
CREATE TABLE owned.pair (v text, w varchar, who name DEFAULT current_user, PRIMARY KEY (v, w));
GRANT INSERT ON owned.word TO rules_clerk;
SELECT factmerge_add_rule('pairs', 'owned.pair(v, w)', 'SELECT x.w, y.w FROM word x, word y WHERE x.w < y.w AND x.w = reverse(y.w)');
RESET ROLE;
SET ROLE rules_clerk;
SELECT factmerge_add_rule('mine', 'owned.pair(v, w)', 'SELECT w, w FROM word');
SELECT factmerge_drop_rule('pairs', 'owned');
SELECT name, target, columns, replace(query, 'q.', '') AS query, body FROM factmerge_rules('owned');
RESET ROLE;
CREATE SCHEMA hostile;
GRANT ALL ON SCHEMA hostile TO rules_clerk;
SET ROLE rules_clerk;
CREATE FUNCTION hostile.less(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught % in the trap', current_user; END $$;
CREATE FUNCTION hostile.less(text, varchar) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught % in the trap', current_user; END $$;
CREATE FUNCTION hostile.less(varchar, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught % in the trap', current_user; END $$;
CREATE FUNCTION hostile.reverse(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught % in the trap', current_user; END $$;
CREATE OPERATOR hostile.< (FUNCTION = hostile.less, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR hostile.= (FUNCTION = hostile.less, LEFTARG = text, RIGHTARG = varchar);
CREATE OPERATOR hostile.= (FUNCTION = hostile.less, LEFTARG = varchar, RIGHTARG = text);
SET search_path = hostile, pg_catalog;
INSERT INTO owned.word VALUES ('loop'), ('pool'), ('noon');
SET search_path = '';
INSERT INTO owned.word VALUES ('god'), ('dog');
RESET search_path;
RESET ROLE;
SELECT * FROM owned.pair ORDER BY 1;
DROP SCHEMA hostile CASCADE;

-- A saving that is done for somebody else calls triggers as the owner, with the schema on the search path
SET ROLE rules_owner;
CREATE TABLE owned.seen (what text);
CREATE FUNCTION owned.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (current_user || ' ' || NEW.v || ' ' || current_setting('search_path'));
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT ON owned.pair FOR EACH ROW EXECUTE FUNCTION owned.see();
SET ROLE rules_clerk;
INSERT INTO owned.word VALUES ('era'), ('are');
RESET ROLE;
SELECT * FROM owned.seen;
DROP SCHEMA owned CASCADE;
DROP ROLE rules_owner, rules_clerk;

--
-- Subtransactions take back what they derived, and only that
--
CALL make_graph('sub');
SELECT factmerge_add_rule('two hops', 'sub.path(a, c)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b');
BEGIN;
CALL add_edges('sub', 'p>q');
SAVEPOINT s;
CALL add_edges('sub', 'q>r');
SELECT paths('sub');
ROLLBACK TO s;
SELECT paths('sub');
CALL add_edges('sub', 'q>t');
COMMIT;
SELECT paths('sub');

-- Facts that nobody but a trigger's subtransaction saw
CREATE FUNCTION sub.try() RETURNS trigger LANGUAGE plpgsql SET search_path = sub AS $$
BEGIN
    BEGIN
        INSERT INTO edge (a, b) SELECT NEW.c, p.id FROM point p WHERE p.name = 'lost' AND NEW.c <> p.id;
        RAISE EXCEPTION 'never mind';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN NULL;
END $$;
CREATE TRIGGER try AFTER INSERT ON sub.path FOR EACH ROW EXECUTE FUNCTION sub.try();
INSERT INTO sub.point (name) VALUES ('lost');
CALL add_edges('sub', 't>v');
SELECT paths('sub');
SELECT factmerge_saturate('sub');
SELECT paths('sub');

-- A source that lacks what is derived cannot have derived it: all that takes one of its facts is
CALL make_graph('bare');
CALL make_graph('laden');
DROP TABLE bare.path;
CREATE TABLE laden.loop (point integer PRIMARY KEY REFERENCES laden.point);
SELECT factmerge_add_rule('two hops', 'laden.path(a, c)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b');
SELECT factmerge_add_rule('loops', 'laden.loop(point)', 'SELECT p.a FROM path p WHERE p.a = p.c UNION SELECT e.a FROM edge e WHERE e.a = e.b');
CALL add_edges('bare', 'p>q q>r p>p q>s');
CALL add_edges('laden', 'q>r r>q s>t');
SELECT copied FROM factmerge_merge('bare', 'laden');
SELECT paths('laden');
SELECT p.name FROM laden.loop l JOIN laden.point p ON p.id = l.point ORDER BY 1;
SELECT * FROM factmerge_verify('laden');
CALL add_edges('bare', 'r>u u>u');
SELECT copied FROM factmerge_merge('bare', 'laden');
SELECT p.name FROM laden.loop l JOIN laden.point p ON p.id = l.point ORDER BY 1;
SELECT * FROM factmerge_verify('laden');

-- A side of a UNION below a join counts even if it reads no facts
CREATE SCHEMA deep;
CREATE TABLE deep.a (x integer PRIMARY KEY);
CREATE TABLE deep.b (x integer PRIMARY KEY);
CREATE TABLE deep.t (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v integer UNIQUE);
SELECT factmerge_add_rule('deep', 'deep.t(v)', 'SELECT b.x * 10 + q.x FROM b CROSS JOIN (SELECT x FROM a UNION ALL SELECT 7) q');
INSERT INTO deep.b VALUES (1), (2);
INSERT INTO deep.a VALUES (3);
SELECT v FROM deep.t ORDER BY 1;
-- What is derived does not get lost if a sequence is behind
INSERT INTO deep.t (id, v) VALUES (5, 0);
INSERT INTO deep.a VALUES (4);
DELETE FROM deep.t WHERE id = 5;
-- What is the same only as it is saved is saved once
CREATE TABLE deep.exact (x numeric PRIMARY KEY, y integer);
CREATE TABLE deep.rounded (x numeric(6, 2) PRIMARY KEY);
SELECT factmerge_add_rule('rounded', 'deep.rounded(x)', 'SELECT e.x FROM exact e JOIN b ON b.x = e.y');
CREATE SCHEMA deep_src;
CREATE TABLE deep_src.a (LIKE deep.a INCLUDING ALL);
CREATE TABLE deep_src.b (LIKE deep.b INCLUDING ALL);
CREATE TABLE deep_src.exact (LIKE deep.exact INCLUDING ALL);
CREATE TABLE deep_src.rounded (LIKE deep.rounded INCLUDING ALL);
INSERT INTO deep_src.exact VALUES (1.234, 2), (1.2341, 2);
SELECT copied, derived FROM factmerge_merge('deep_src', 'deep');
SELECT x FROM deep.rounded;
-- The text of a rule is nobody's but the caller's
CREATE ROLE regress_rule;
GRANT CREATE ON DATABASE :DBNAME TO regress_rule;
SET ROLE regress_rule;
CREATE SCHEMA sly;
CREATE FUNCTION sly.seen(n integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_rule' THEN
        RAISE WARNING 'called as somebody else';
    END IF;
    RETURN true;
END $$;
CREATE DOMAIN sly.number AS integer CHECK (sly.seen(VALUE));
CREATE TABLE sly.a (x integer PRIMARY KEY);
CREATE TABLE sly.t (x numeric(6, 2) PRIMARY KEY, y text);
SELECT factmerge_add_rule('sly', 'sly.t(x, y)', $$SELECT a.x, 'y' COLLATE "C" FROM a WHERE '{7}'::sly.number[] IS NOT NULL$$);
INSERT INTO sly.a VALUES (1);
TABLE sly.t;
-- ... nor is what he makes of a key map
CREATE SCHEMA sly_src;
CREATE TABLE sly_src.a (x integer PRIMARY KEY);
SELECT copied FROM factmerge_merge('sly_src', 'sly');
CREATE FUNCTION sly.told(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'regress_rule' THEN
        RAISE WARNING 'called as somebody else';
    END IF;
    RETURN n;
END $$;
SELECT c.relname AS map FROM factmerge.key_map k JOIN pg_class c ON c.oid = k.map WHERE fact_table = 'sly.a'::regclass \gset
ALTER TABLE factmerge.:map SET SCHEMA sly;
CREATE INDEX ON sly.:map ((source_1 + sly.told(1)));
RESET ROLE;
SELECT fact_tables, facts FROM factmerge_sources('sly');
SELECT outcome, facts FROM factmerge_preview('sly_src', 'sly', 0);
-- ... which keeps nobody from merging
ALTER TABLE sly.:map SET SCHEMA public;
ALTER TABLE public.:map RENAME TO sly_map;
CREATE VIEW public.kept AS SELECT * FROM public.sly_map;
DROP SCHEMA sly CASCADE;
SELECT copied FROM factmerge_merge('deep_src', 'deep');
DROP TABLE public.sly_map CASCADE;
DROP SCHEMA sly_src, deep, deep_src CASCADE;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_rule;
DROP ROLE regress_rule;

-- Our trigger's function is for our triggers
CREATE TRIGGER wrong BEFORE INSERT ON sub.point FOR EACH ROW EXECUTE FUNCTION factmerge.apply_rules();
INSERT INTO sub.point (name) VALUES ('wrong');

RESET client_min_messages;
