-- The guard: what handlers read that is no friend
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;

-- Readings and, without a foreign key between them, the weather; alerts follow from both
CREATE PROCEDURE make_guarded(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.sensor (name text PRIMARY KEY);
        CREATE TABLE %1$I.reading (sensor text REFERENCES %1$I.sensor, day integer, PRIMARY KEY (sensor, day));
        CREATE TABLE %1$I."Weather" (day integer, kind text, PRIMARY KEY (day)) PARTITION BY RANGE (day);
        CREATE TABLE %1$I.weather_1 PARTITION OF %1$I."Weather" FOR VALUES FROM (0) TO (100);
        CREATE TABLE %1$I.alert (sensor text, day integer, PRIMARY KEY (sensor, day));
        CREATE VIEW %1$I.bad_weather AS SELECT day FROM %1$I."Weather" WHERE kind = 'storm';
        INSERT INTO %1$I.sensor VALUES ('s');
    $ddl$, schema);
END $make$;
CALL make_guarded('ga');
CALL make_guarded('gb');
-- A reading that is mixed for its neighbour, and one that is not
INSERT INTO ga.reading VALUES ('s', 1), ('s', 2);
INSERT INTO gb.reading VALUES ('s', 3);
INSERT INTO gb."Weather" VALUES (1, 'storm'), (2, 'sun');

-- What is read, by all sorts of handlers and statements
CREATE FUNCTION gb.by_trigger() RETURNS trigger LANGUAGE plpgsql SET search_path = gb AS $$
BEGIN
    INSERT INTO alert SELECT NEW.sensor, NEW.day FROM "Weather" w WHERE w.day = NEW.day ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER by_trigger AFTER INSERT ON gb.reading FOR EACH ROW EXECUTE FUNCTION gb.by_trigger();
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
-- What one event leads to is found, what another would have is not: verify tells
INSERT INTO ga.sensor VALUES ('t');
INSERT INTO ga.reading VALUES ('t', 1);
BEGIN;
SELECT derived FROM factmerge_merge('ga', 'gb');
SELECT * FROM factmerge_verify('gb');
ROLLBACK;
DELETE FROM ga.reading WHERE sensor = 't';
-- An error, or nothing at all, if so wished
SET factmerge.unsound_handler = error;
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
SET factmerge.unsound_handler = ignore;
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
RESET factmerge.unsound_handler;
-- What it says mends it
SELECT public.factmerge_add_friend('gb.reading', 'gb."Weather"', condition => 'true');
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
SELECT factmerge_drop_friend('gb.reading', 'gb."Weather"');
DROP TRIGGER by_trigger ON gb.reading;

CREATE FUNCTION gb.by_statement() RETURNS trigger LANGUAGE plpgsql SET search_path = gb AS $$
DECLARE
    found record;
BEGIN
    FOR found IN EXECUTE 'SELECT n.* FROM news n WHERE n.day IN (SELECT day FROM bad_weather)' LOOP
        INSERT INTO alert VALUES (found.sensor, found.day) ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER by_statement AFTER INSERT ON gb.reading REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION gb.by_statement();
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
DROP TRIGGER by_statement ON gb.reading;

CREATE FUNCTION gb.storms(day integer) RETURNS bigint LANGUAGE sql STABLE AS
'WITH w AS MATERIALIZED (SELECT * FROM gb.weather_1) SELECT count(*) FROM w WHERE w.day = $1';
CREATE FUNCTION gb.by_function(r gb.reading) RETURNS void LANGUAGE plpgsql SET search_path = gb AS $$
BEGIN
    IF storms(r.day) > 0 THEN
        INSERT INTO alert VALUES (r.sensor, r.day) ON CONFLICT DO NOTHING;
    END IF;
END $$;
SELECT factmerge_add_handler('gb.reading', 'gb.by_function');
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
SELECT factmerge_drop_handler('gb.reading', 'by_function');

CREATE FUNCTION gb.by_set(r gb.reading) RETURNS SETOF gb.alert LANGUAGE plpgsql STABLE SET search_path = gb AS $$
DECLARE
    a alert;
    storms CURSOR FOR SELECT r.sensor, w.day FROM bad_weather w WHERE w.day = r.day;
BEGIN
    FOR storm IN storms LOOP
        a.sensor := storm.sensor;
        a.day := storm.day;
        RETURN NEXT a;
    END LOOP;
END $$;
SELECT factmerge_add_handler('gb.reading', 'gb.by_set');
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
SELECT factmerge_drop_handler('gb.reading', 'by_set');

-- No false alarm: friends, what is no fact, duplicates looked for, and triggers of what is inserted
CREATE SCHEMA lookup;
CREATE TABLE lookup.wind (day integer);
INSERT INTO lookup.wind VALUES (1);
CREATE FUNCTION gb.harmless(r gb.reading) RETURNS void LANGUAGE sql SET search_path = gb AS $$
    INSERT INTO alert
    SELECT r.sensor, x.day FROM reading x JOIN sensor s ON s.name = x.sensor JOIN lookup.wind w USING (day)
    WHERE x.sensor = r.sensor AND NOT EXISTS (SELECT FROM alert a WHERE a.sensor = r.sensor AND a.day = x.day)
    ON CONFLICT DO NOTHING;
    INSERT INTO alert SELECT r.sensor, r.day + 100 WHERE (r.sensor, r.day + 100) NOT IN (SELECT sensor, day FROM alert);
$$;
CREATE FUNCTION gb.after_alert() RETURNS trigger LANGUAGE plpgsql SET search_path = gb AS $$
BEGIN
    PERFORM FROM "Weather" WHERE day = NEW.day;
    RETURN NULL;
END $$;
CREATE TRIGGER after_alert AFTER INSERT ON gb.alert FOR EACH ROW EXECUTE FUNCTION gb.after_alert();
SELECT factmerge_add_handler('gb.reading', 'gb.harmless');
SELECT derived > 0 AS derived FROM factmerge_merge('ga', 'gb', dry_run => true);
-- What leaves a friend out of a handler's list, and few hops, are told of; advice is as short as can be
SELECT factmerge_add_handler('gb.reading', 'gb.harmless', friends => '{reading}');
SELECT derived > 0 AS derived FROM factmerge_merge('ga', 'gb', dry_run => true);
SELECT factmerge_add_handler('gb.reading', 'gb.harmless', found_from => 'any');
SELECT factmerge_set_friend_hops('gb.reading', 0);
SELECT factmerge_add_friend('gb.reading', 'gb."Weather"', 'true');
SELECT derived > 0 AS derived FROM factmerge_merge('ga', 'gb', dry_run => true);
DROP SCHEMA ga, gb, lookup CASCADE;

-- Duplicates are looked for the other way round where there are many more of them (from PostgreSQL 16 on)
CALL make_guarded('ga');
CALL make_guarded('gb');
INSERT INTO ga.reading VALUES ('s', 1), ('s', 2);
INSERT INTO gb.reading VALUES ('s', 3);
INSERT INTO gb.alert SELECT 'none', n FROM generate_series(1, 20000) n;
ANALYZE gb.alert, gb.reading;
CREATE FUNCTION gb.harmless(r gb.reading) RETURNS void LANGUAGE sql SET search_path = gb
    SET enable_nestloop = off SET enable_mergejoin = off AS $$
    INSERT INTO alert
    SELECT x.sensor, x.day FROM reading x WHERE NOT EXISTS (SELECT FROM alert a WHERE a.sensor = x.sensor AND a.day = x.day);
$$;
SELECT factmerge_add_handler('gb.reading', 'gb.harmless');
SELECT derived FROM factmerge_merge('ga', 'gb', dry_run => true);
DROP SCHEMA ga, gb CASCADE;
RESET client_min_messages;
