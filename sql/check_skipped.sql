--
-- check_skipped: a merge replays some of the events that it has skipped, and tells of
-- what they would have found
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;
\set SHOW_CONTEXT never

-- Sensors of two teams; which of them have read something at the same time, no foreign key says
CREATE PROCEDURE make_teams() LANGUAGE plpgsql AS $make$
DECLARE
    s text;
BEGIN
    FOREACH s IN ARRAY '{"team a", team_b}'::text[] LOOP
        EXECUTE format($ddl$
            DROP SCHEMA IF EXISTS %1$I CASCADE;
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.sensor (name text PRIMARY KEY);
            CREATE TABLE %1$I."Reading" (sensor text REFERENCES %1$I.sensor, "at" integer, PRIMARY KEY (sensor, "at"));
            CREATE TABLE %1$I.together (id serial PRIMARY KEY, a text, b text, "at" integer, UNIQUE (a, b, "at"));
        $ddl$, s);
    END LOOP;
    INSERT INTO "team a".sensor VALUES ('a1'), ('a2');
    INSERT INTO team_b.sensor VALUES ('b1'), ('b2');
END $make$;
CREATE PROCEDURE read_all() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "team a"."Reading" VALUES ('a1', 10), ('a2', 10);
    INSERT INTO team_b."Reading" VALUES ('b1', 10), ('b2', 10);
END $$;
CREATE SEQUENCE calls;
CREATE PROCEDURE make_trigger() LANGUAGE plpgsql AS $make$
DECLARE
    s text;
BEGIN
    FOREACH s IN ARRAY '{"team a", team_b}'::text[] LOOP
        EXECUTE format($ddl$
            CREATE FUNCTION %1$I.meet() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN
                PERFORM nextval('public.calls');
                INSERT INTO %1$I.together (a, b, "at")
                SELECT least(NEW.sensor, r.sensor), greatest(NEW.sensor, r.sensor), r."at"
                FROM %1$I."Reading" r WHERE r."at" = NEW."at" AND r.sensor <> NEW.sensor ON CONFLICT DO NOTHING;
                RAISE NOTICE 'met';
                NOTIFY met;
                RETURN NULL;
            END $f$;
            CREATE TRIGGER meet AFTER INSERT ON %1$I."Reading" FOR EACH ROW EXECUTE FUNCTION %1$I.meet();
        $ddl$, s);
    END LOOP;
END $make$;

-- By a trigger: told of, and nothing of it stays, not even a key that was drawn
CALL make_teams();
CALL make_trigger();
CALL read_all();
SET client_min_messages = notice;
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');
SET client_min_messages = warning;
SELECT a, b FROM team_b.together ORDER BY a, b;
SELECT last_value FROM team_b.together_id_seq;
SELECT count(*) AS left_over FROM pg_class WHERE relname LIKE 'factmerge\_%' AND relpersistence = 't';
-- In the history, too
SELECT status, message, detail, hint FROM factmerge_history WHERE destination = 'team_b' ORDER BY merge_id DESC LIMIT 1;
-- Whoever does as the hint says has all of it, now and at the next merge
SELECT public.factmerge_add_friend('team_b."Reading"', 'team_b."Reading"', condition => 'fact."at" = friend."at"');
SELECT public.factmerge_saturate('team_b');
SELECT a, b FROM team_b.together ORDER BY a, b;
INSERT INTO "team a"."Reading" VALUES ('a1', 20);
INSERT INTO team_b."Reading" VALUES ('b1', 20);
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');
-- Nothing new: no handler is called
SELECT last_value AS calls FROM calls \gset
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');
SELECT last_value = :calls AS not_called FROM calls;

-- A dry run; an error, or nothing at all, if so wished
CALL make_teams();
CALL make_trigger();
CALL read_all();
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b', dry_run => true);
SET factmerge.unsound_handler = error;
SELECT copied FROM factmerge_merge('team a', 'team_b');
SELECT count(*) FROM team_b."Reading";
SELECT last_value AS calls FROM calls \gset
SET factmerge.unsound_handler = ignore;
SELECT copied FROM factmerge_merge('team a', 'team_b', dry_run => true);
RESET factmerge.unsound_handler;
SET factmerge.check_skipped = 0;
SELECT copied FROM factmerge_merge('team a', 'team_b', dry_run => true);
RESET factmerge.check_skipped;
SELECT last_value = :calls AS not_called FROM calls;
-- An ignored trigger is not asked
SELECT factmerge_ignore_trigger('team_b."Reading"', 'meet');
SELECT copied FROM factmerge_merge('team a', 'team_b', dry_run => true);
SELECT factmerge_unignore_trigger('team_b."Reading"', 'meet');
-- One event is enough if one is all that may be tried
SET factmerge.check_skipped = 1;
SELECT copied FROM factmerge_merge('team a', 'team_b', dry_run => true);
RESET factmerge.check_skipped;
-- In batches, and whoever's events are replayed
SET factmerge.replay_side = destination;
SELECT copied FROM factmerge_merge('team a', 'team_b', dry_run => true);
RESET factmerge.replay_side;
CALL factmerge_merge_in_batches('team a', 'team_b', 1);

-- For each statement, into a table that only the destination has
CALL make_teams();
DROP TABLE "team a".together;
CREATE FUNCTION team_b.meet_all() RETURNS trigger LANGUAGE plpgsql SET search_path = team_b AS $$
BEGIN
    INSERT INTO together (a, b, "at") SELECT least(n.sensor, r.sensor), greatest(n.sensor, r.sensor), r."at"
    FROM news n JOIN "Reading" r ON r."at" = n."at" AND r.sensor <> n.sensor ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER meet_all AFTER INSERT ON team_b."Reading" REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION team_b.meet_all();
CALL read_all();
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');
SELECT public.factmerge_add_friend('team_b."Reading"', 'team_b."Reading"', condition => 'true');
INSERT INTO "team a"."Reading" VALUES ('a1', 20);
INSERT INTO team_b."Reading" VALUES ('b1', 20);
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');
SELECT a, b, "at" FROM team_b.together WHERE "at" = 20 ORDER BY a, b;

-- Declared functions, one of which looks only for later readings of one sensor
CALL make_teams();
CREATE FUNCTION team_b.find(r team_b."Reading") RETURNS void LANGUAGE sql SET search_path = team_b AS $$
    INSERT INTO together (a, b, "at") SELECT r.sensor, o.sensor, r."at" FROM "Reading" o
    WHERE o."at" = r."at" AND o.sensor > r.sensor ON CONFLICT DO NOTHING $$;
CREATE FUNCTION team_b.find_set(r team_b."Reading") RETURNS SETOF team_b.together LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT NULL::integer, o.sensor, r.sensor, r."at" FROM team_b."Reading" o
    WHERE o."at" = r."at" AND o.sensor < r.sensor;
END $$;
SELECT factmerge_add_handler('team_b."Reading"', 'team_b.find');
SELECT factmerge_add_handler('team_b."Reading"', 'team_b.find_set', only_when => 'fact.sensor <> $$a1$$');
CALL read_all();
INSERT INTO team_b.together (a, b, "at") VALUES ('b1', 'b2', 10);
INSERT INTO team_b.sensor VALUES ('a0');
INSERT INTO team_b."Reading" VALUES ('a0', 10);
SELECT factmerge_merge('team a', 'team_b', dry_run => true) IS NOT NULL AS merged;

-- A handler that hangs on one table: found from facts in both
CALL make_teams();
CREATE FUNCTION team_b.join_readings() RETURNS trigger LANGUAGE plpgsql SET search_path = team_b AS $$
BEGIN
    INSERT INTO together (a, b, "at") SELECT x.sensor, NEW.name, y."at" FROM "Reading" x JOIN "Reading" y
    ON x.sensor = NEW.name AND y.sensor = NEW.name AND x."at" = 1 AND y."at" = 2 ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER join_readings AFTER INSERT ON team_b.sensor FOR EACH ROW EXECUTE FUNCTION team_b.join_readings();
INSERT INTO "team a".sensor VALUES ('both');
INSERT INTO team_b.sensor VALUES ('both');
INSERT INTO "team a"."Reading" VALUES ('both', 1);
INSERT INTO team_b."Reading" VALUES ('both', 2);
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');

-- No friend is missing: one that adds each time, one that fails, one that only looks at its own fact
CALL make_teams();
CREATE TABLE "team a".diary (id serial PRIMARY KEY, entry text);
CREATE TABLE team_b.diary (id serial PRIMARY KEY, entry text);
CREATE FUNCTION team_b.write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO team_b.diary (entry) VALUES (NEW.name);
    RETURN NULL;
END $$;
CREATE TRIGGER write AFTER INSERT ON team_b.sensor FOR EACH ROW EXECUTE FUNCTION team_b.write();
CREATE FUNCTION team_b.alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO team_b.together (a, b, "at") VALUES (NEW.name, NEW.name, 0) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER alone AFTER INSERT ON team_b.sensor FOR EACH ROW EXECUTE FUNCTION team_b.alone();
CREATE FUNCTION team_b.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE division_by_zero;
END $$;
CREATE TRIGGER fail AFTER INSERT ON team_b.sensor FOR EACH ROW EXECUTE FUNCTION team_b.fail();
INSERT INTO "team a"."Reading" VALUES ('a1', 1);
SELECT copied, replayed, derived FROM factmerge_merge('team a', 'team_b');
SELECT count(*) AS diary, (SELECT count(*) FROM team_b.together) AS together FROM team_b.diary;
-- Whoever cancels it means the whole merge
CREATE OR REPLACE FUNCTION team_b.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE query_canceled;
END $$;
INSERT INTO "team a".sensor VALUES ('a3');
SELECT copied FROM factmerge_merge('team a', 'team_b');
SELECT count(*) FROM team_b.sensor WHERE name = 'a3';

-- Many facts in partitions, of which a sample is drawn; what is friends with each other misses nothing
DROP SCHEMA "team a", team_b CASCADE;
CREATE PROCEDURE make_days(s text, lowest integer) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.reading (day integer, n integer, filler text DEFAULT repeat('x', 100), PRIMARY KEY (day, n)) PARTITION BY RANGE (day);
        CREATE TABLE %1$I.reading_1 PARTITION OF %1$I.reading FOR VALUES FROM (0) TO (50);
        CREATE TABLE %1$I.reading_2 PARTITION OF %1$I.reading FOR VALUES FROM (50) TO (200);
        CREATE TABLE %1$I.pair (day integer, m integer, n integer, PRIMARY KEY (day, m, n));
        CREATE FUNCTION %1$I.pair_up() RETURNS trigger LANGUAGE plpgsql AS $f$
        BEGIN
            INSERT INTO %1$I.pair SELECT NEW.day, least(NEW.n, r.n), greatest(NEW.n, r.n) FROM %1$I.reading r
            WHERE r.day = NEW.day AND abs(r.n - NEW.n) = 1000 ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $f$;
        CREATE TRIGGER pair_up AFTER INSERT ON %1$I.reading FOR EACH ROW EXECUTE FUNCTION %1$I.pair_up();
        INSERT INTO %1$I.reading SELECT d, n FROM generate_series(0, 99) d, generate_series(%2$s, %2$s + 39) n;
    $ddl$, s, lowest);
END $make$;
CALL make_days('days_a', 1);
CALL make_days('days_b', 1001);
SELECT copied, replayed, derived FROM factmerge_merge('days_a', 'days_b', dry_run => true);
SELECT factmerge_add_friend('days_b.reading', 'days_b.reading', 'fact.day = friend.day');
SELECT copied, replayed, derived FROM factmerge_merge('days_a', 'days_b', dry_run => true);
DROP SCHEMA days_a, days_b CASCADE;

-- Events of a log
CREATE PROCEDURE make_logged(s text) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.item (id integer PRIMARY KEY, color text);
        CREATE TABLE %1$I.outbox (n integer PRIMARY KEY, kind text, item integer);
        CREATE TABLE %1$I.match (a integer, b integer, PRIMARY KEY (a, b));
        CREATE FUNCTION %1$I.match_colors(i %1$I.item) RETURNS void LANGUAGE sql AS
        'INSERT INTO %1$I.match SELECT least(i.id, o.id), greatest(i.id, o.id) FROM %1$I.item o
         WHERE o.color = i.color AND o.id <> i.id ON CONFLICT DO NOTHING';
    $ddl$, s);
    PERFORM factmerge_set_event_log((quote_ident(s) || '.outbox')::regclass, 'kind', 'item', 'n');
    PERFORM factmerge_add_handler((quote_ident(s) || '.item')::regclass, quote_ident(s) || '.match_colors');
END $make$;
CALL make_logged('log_a');
CALL make_logged('log_b');
INSERT INTO log_a.item VALUES (1, 'red'), (2, 'red'), (3, 'blue');
INSERT INTO log_a.outbox VALUES (1, 'item', 1), (2, 'item', 3);
INSERT INTO log_a.match VALUES (1, 2);
INSERT INTO log_b.item VALUES (11, 'red'), (12, 'green');
SELECT copied, events, replayed, derived FROM factmerge_merge('log_a', 'log_b', dry_run => true);
DROP SCHEMA log_a, log_b CASCADE;

DROP PROCEDURE make_teams, read_all, make_trigger, make_days, make_logged;
DROP SEQUENCE calls;
RESET factmerge.check_skipped_seed;
RESET client_min_messages;
