--
-- inexact: facts that are the same without being equal, and handlers that make
-- something of what differs
--
-- Readings of a sensor, bounds for it, and an alert for each bound that a
-- reading exceeds.  Readings are the same within half a degree.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;

CREATE PROCEDURE make_inexact()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS inexact_src, inexact_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['inexact_src', 'inexact_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.sensor (sensor text PRIMARY KEY);
            CREATE TABLE %1$I.reading (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                                       sensor text REFERENCES %1$I.sensor, hour integer, value numeric, note text);
            CREATE TABLE %1$I.bound (sensor text REFERENCES %1$I.sensor, bound numeric, PRIMARY KEY (sensor, bound));
            CREATE TABLE %1$I.alert (sensor text REFERENCES %1$I.sensor, bound numeric, PRIMARY KEY (sensor, bound));
        $ddl$, schema);
    END LOOP;
    PERFORM factmerge_set_sameness('inexact_dst.reading', key => '{sensor,hour}', tolerance => '{"value": 0.5}');
END
$make$;

-- The handlers, in each way there is
CREATE FUNCTION alert_by_row() RETURNS trigger LANGUAGE plpgsql SET search_path = inexact_dst AS $$
BEGIN
    IF TG_TABLE_NAME = 'reading' THEN
        INSERT INTO alert SELECT sensor, bound FROM bound b WHERE b.sensor = NEW.sensor AND NEW.value > bound ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO alert SELECT NEW.sensor, NEW.bound WHERE EXISTS
            (SELECT FROM reading r WHERE r.sensor = NEW.sensor AND r.value > NEW.bound) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION alert_by_statement() RETURNS trigger LANGUAGE plpgsql SET search_path = inexact_dst AS $$
BEGIN
    IF TG_TABLE_NAME = 'reading' THEN
        INSERT INTO alert SELECT DISTINCT sensor, bound FROM fresh n JOIN bound USING (sensor) WHERE value > bound ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO alert SELECT DISTINCT sensor, bound FROM fresh n JOIN reading USING (sensor) WHERE value > bound ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE PROCEDURE handle_inexact(kind text)
LANGUAGE plpgsql AS $handle$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['reading', 'bound'] LOOP
        IF kind = 'row' THEN
            EXECUTE format('CREATE TRIGGER alert AFTER INSERT ON inexact_dst.%I FOR EACH ROW EXECUTE FUNCTION alert_by_row()', part);
        ELSIF kind = 'statement' THEN
            EXECUTE format('CREATE TRIGGER alert AFTER INSERT ON inexact_dst.%I REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION alert_by_statement()', part);
        END IF;
    END LOOP;
    IF kind = 'function' THEN
        CREATE FUNCTION inexact_dst.alerts(r inexact_dst.reading) RETURNS void LANGUAGE sql AS
        $$ INSERT INTO inexact_dst.alert SELECT r.sensor, bound FROM inexact_dst.bound b WHERE b.sensor = r.sensor AND r.value > bound ON CONFLICT DO NOTHING $$;
        CREATE FUNCTION inexact_dst.alerts(b inexact_dst.bound) RETURNS SETOF inexact_dst.alert LANGUAGE plpgsql STABLE AS $body$
        DECLARE
            a inexact_dst.alert;
        BEGIN
            FOR a.sensor, a.bound IN SELECT b.sensor, b.bound WHERE EXISTS (SELECT FROM inexact_dst.reading r WHERE r.sensor = b.sensor AND r.value > b.bound) LOOP
                RETURN NEXT a;
            END LOOP;
        END
        $body$;
        PERFORM factmerge_add_handler('inexact_dst.reading', 'inexact_dst.alerts'), factmerge_add_handler('inexact_dst.bound', 'inexact_dst.alerts');
    ELSIF kind = 'this' THEN
        CREATE FUNCTION inexact_dst.alerts(s inexact_dst.sensor) RETURNS void LANGUAGE sql AS
        $$ INSERT INTO inexact_dst.alert SELECT DISTINCT s.sensor, bound FROM inexact_dst.bound b JOIN inexact_dst.reading r USING (sensor)
           WHERE r.sensor = s.sensor AND value > bound ON CONFLICT DO NOTHING $$;
        PERFORM factmerge_add_handler('inexact_dst.sensor', 'inexact_dst.alerts', found_from => 'this');
    END IF;
END
$handle$;

-- What there would be had all the facts been fed from nothing
CREATE FUNCTION inexact_difference() RETURNS TABLE (difference text, sensor text, bound numeric) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY WITH expected AS (SELECT DISTINCT r.sensor, b.bound FROM inexact_dst.reading r JOIN inexact_dst.bound b USING (sensor) WHERE value > b.bound)
    (SELECT 'missing', e.* FROM expected e EXCEPT SELECT 'missing', a.sensor, a.bound FROM inexact_dst.alert a)
    UNION ALL
    (SELECT 'extra', a.sensor, a.bound FROM inexact_dst.alert a EXCEPT SELECT 'extra', e.* FROM expected e)
    ORDER BY 1, 2, 3;
END
$$;

\set merge 'SELECT source_facts AS facts, in_both, copied, conflicts, derived FROM factmerge_merge(\'inexact_src\', \'inexact_dst\')'
\set report 'SELECT fact_table, events, skipped_categorically AS categ, skipped_in_both AS s_both, skipped_friends_in_both AS s_friends, skipped_one_sided AS s_sided, unhandled, replayed, derived FROM factmerge_report()'
\set alerts 'SELECT sensor, bound, factmerge_provenance FROM inexact_dst.alert ORDER BY 1, 2'

-- The least of it: the destination knows a reading of 10.2, the source one of
-- 9.9 and a bound of 10, and neither an alert.  There is no fact that the
-- destination alone has.
CREATE PROCEDURE make_least()
LANGUAGE plpgsql AS $make$
BEGIN
    CALL make_inexact();
    INSERT INTO inexact_src.sensor VALUES ('s');
    INSERT INTO inexact_dst.sensor VALUES ('s');
    INSERT INTO inexact_src.reading (sensor, hour, value) VALUES ('s', 1, 9.9);
    INSERT INTO inexact_dst.reading (sensor, hour, value) VALUES ('s', 1, 10.2);
    INSERT INTO inexact_src.bound VALUES ('s', 10);
END
$make$;
CALL make_least();
SHOW factmerge.replay_inexact;
CALL handle_inexact('row');
:merge;
:report;
:alerts;
SELECT * FROM inexact_difference();
SELECT * FROM factmerge_verify('inexact_dst');
-- ... merged again, the reading is looked at again, in vain
:merge;
:report;
CALL make_least();
CALL handle_inexact('statement');
:merge;
:report;
SELECT * FROM inexact_difference();
CALL make_least();
CALL handle_inexact('function');
:merge;
:report;
SELECT * FROM inexact_difference();
CALL make_least();
CALL handle_inexact('this');
:merge;
:report;
SELECT * FROM inexact_difference();

-- Switched off, facts that are the same count as equal, and the alert is missed
SET factmerge.replay_inexact = off;
CALL make_least();
CALL handle_inexact('row');
:merge;
:report;
SELECT * FROM inexact_difference();
SELECT * FROM factmerge_verify('inexact_dst');
RESET factmerge.replay_inexact;

-- Had the two been equal, there would have been nothing to look at; a note
-- that differs, or how a number is written, makes no difference
CALL make_least();
CALL handle_inexact('row');
UPDATE inexact_src.reading SET value = 10.200, note = 'by hand';
INSERT INTO inexact_src.alert VALUES ('s', 10);
:merge;
:report;
SELECT * FROM inexact_difference();

-- All sorts of sensors in one merge
CREATE PROCEDURE make_sensors()
LANGUAGE plpgsql AS $make$
BEGIN
    CALL make_inexact();
    INSERT INTO inexact_src.sensor VALUES ('inexact'), ('exact'), ('source'), ('mixed'), ('apart');
    INSERT INTO inexact_dst.sensor VALUES ('inexact'), ('exact'), ('mixed'), ('apart'), ('destination');
    INSERT INTO inexact_src.reading (sensor, hour, value) VALUES
        ('inexact', 1, 9.9), ('inexact', 2, 3), ('exact', 1, 7), ('source', 1, 8), ('mixed', 1, 2), ('apart', 1, 1);
    INSERT INTO inexact_dst.reading (sensor, hour, value) VALUES
        ('inexact', 1, 10.2), ('inexact', 2, 3), ('exact', 1, 7.0), ('destination', 1, 8), ('apart', 1, 1.6);
    INSERT INTO inexact_src.bound VALUES ('inexact', 10), ('exact', 6), ('source', 7), ('mixed', 5), ('apart', 1.5);
    INSERT INTO inexact_dst.bound VALUES ('mixed', 1), ('destination', 9);
    INSERT INTO inexact_src.alert VALUES ('exact', 6), ('source', 7);
END
$make$;
CALL make_sensors();
CALL handle_inexact('row');
:merge;
:report;
:alerts;
SELECT * FROM inexact_difference();
CALL make_sensors();
CALL handle_inexact('statement');
:merge;
:report;
SELECT * FROM inexact_difference();
CALL make_sensors();
CALL handle_inexact('function');
:merge;
:report;
SELECT * FROM inexact_difference();
CALL make_sensors();
CALL handle_inexact('this');
:merge;
:report;
SELECT * FROM inexact_difference();
SET factmerge.replay_inexact = off;
CALL make_sensors();
CALL handle_inexact('row');
:merge;
:report;
SELECT * FROM inexact_difference();
RESET factmerge.replay_inexact;

-- How far the neighbourhood reaches is for factmerge.friend_hops to say: with
-- one foreign key a bound is no neighbour of a reading, which itself is
-- looked at in any case
SET factmerge.friend_hops = 1;
CALL make_least();
CREATE TRIGGER alert AFTER INSERT ON inexact_dst.bound FOR EACH ROW EXECUTE FUNCTION alert_by_row();
:merge;
:report;
SELECT * FROM inexact_difference();
CALL make_least();
CREATE TRIGGER alert AFTER INSERT ON inexact_dst.reading FOR EACH ROW EXECUTE FUNCTION alert_by_row();
:merge;
:report;
SELECT * FROM inexact_difference();
RESET factmerge.friend_hops;

-- A fact that only the destination has beside an inexact one: the destination
-- has looked at both already
CALL make_inexact();
CALL handle_inexact('row');
INSERT INTO inexact_src.sensor VALUES ('s');
INSERT INTO inexact_dst.sensor VALUES ('s');
INSERT INTO inexact_src.reading (sensor, hour, value) VALUES ('s', 1, 9.9);
INSERT INTO inexact_dst.reading (sensor, hour, value) VALUES ('s', 1, 10.2);
INSERT INTO inexact_dst.bound VALUES ('s', 10), ('s', 20);
:merge;
SELECT * FROM inexact_difference();

-- What the source had derived from its own value is a fact, and stays one
CALL make_inexact();
CALL handle_inexact('row');
INSERT INTO inexact_src.sensor VALUES ('s');
INSERT INTO inexact_dst.sensor VALUES ('s');
INSERT INTO inexact_src.reading (sensor, hour, value) VALUES ('s', 1, 10.2);
INSERT INTO inexact_dst.reading (sensor, hour, value) VALUES ('s', 1, 9.9);
INSERT INTO inexact_src.bound VALUES ('s', 10);
INSERT INTO inexact_src.alert VALUES ('s', 10);
:merge;
:alerts;
SELECT * FROM inexact_difference();
SELECT * FROM factmerge_verify('inexact_dst');

-- Columns of a condition are inexact as well, and so is text that a function
-- makes equal
CALL make_least();
CALL handle_inexact('row');
SELECT factmerge_set_sameness('inexact_dst.reading', condition => 'source.sensor = destination.sensor AND round(source.value) = round(destination.value)');
:merge;
:report;
SELECT * FROM inexact_difference();
CALL make_least();
CREATE FUNCTION inexact_dst.note_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO inexact_dst.alert SELECT sensor, 0 FROM inexact_dst.reading r WHERE r.sensor = NEW.sensor AND note = 'ALARM' ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER alert AFTER INSERT ON inexact_dst.bound FOR EACH ROW EXECUTE FUNCTION inexact_dst.note_alert();
UPDATE inexact_src.reading SET note = 'Alarm';
UPDATE inexact_dst.reading SET note = 'ALARM', value = 9.9;
SELECT factmerge_set_sameness('inexact_dst.reading', tolerance => '{"note": "lower"}');
:merge;
:report;
:alerts;

-- A dry run finds the same
CALL make_sensors();
CALL handle_inexact('row');
SELECT source_facts AS facts, in_both, copied, conflicts, events, skipped_in_both + skipped_friends_in_both + skipped_one_sided + skipped_categorically AS skipped, unhandled, replayed, derived
FROM factmerge_merge('inexact_src', 'inexact_dst', dry_run => true);
SELECT count(*) FROM inexact_dst.alert;

DROP SCHEMA inexact_src, inexact_dst CASCADE;
DROP FUNCTION inexact_difference, alert_by_row, alert_by_statement;
DROP PROCEDURE make_inexact, make_least, make_sensors, handle_inexact;
