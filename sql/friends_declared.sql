-- Friends that are declared, and what limits a handler's events
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;

--
-- Readings of sensors, warnings about weather that no foreign key leads to
--
CREATE PROCEDURE make_station(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.sensor (name text PRIMARY KEY);
        CREATE TABLE %1$I.reading (sensor text REFERENCES %1$I.sensor, day integer, value integer, PRIMARY KEY (sensor, day));
        CREATE TABLE %1$I."Weather" (day integer PRIMARY KEY, kind text NOT NULL);
        CREATE TABLE %1$I.alert (sensor text, day integer, PRIMARY KEY (sensor, day));
        CREATE FUNCTION %1$I.find_alerts(r %1$I.reading) RETURNS void LANGUAGE sql SET search_path = %1$I AS
        'INSERT INTO alert SELECT r.sensor, r.day FROM "Weather" w WHERE w.day = r.day AND r.value > 5 ON CONFLICT DO NOTHING';
    $ddl$, schema);
    PERFORM factmerge_add_handler(format('%I.reading', schema), format('%I.find_alerts', schema));
END $make$;
CALL make_station('sa');
CALL make_station('sb');
INSERT INTO sa.sensor VALUES ('a'), ('b');
INSERT INTO sb.sensor VALUES ('b');
INSERT INTO sa.reading VALUES ('a', 1, 9), ('a', 2, 9), ('a', 3, 2), ('b', 1, 7);
INSERT INTO sb."Weather" VALUES (1, 'storm'), (3, 'storm');

-- A merge that is taken back
CREATE FUNCTION try(source name, destination name) RETURNS TABLE (derived bigint, categorically bigint, in_both bigint,
    friends_in_both bigint, one_sided bigint, unhandled bigint, replayed bigint, adds_up boolean) LANGUAGE sql AS $$
    SELECT derived, skipped_categorically, skipped_in_both, skipped_friends_in_both, skipped_one_sided, unhandled, replayed,
        events = skipped_categorically + skipped_in_both + skipped_friends_in_both + skipped_one_sided + unhandled + replayed
        AND source_facts = events
    FROM factmerge_merge(source, destination, dry_run => true) $$;

-- Nothing leads from a reading to the weather, and so it is missed
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"');
-- A condition that hardly limits, one that does, one that is wrong
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'true');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.day = friend.day');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.day = friend.day AND kind = ''calm''');
SELECT * FROM try('sa', 'sb');
SELECT * FROM factmerge.friend;
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.day = friend.day AND EXISTS (SELECT FROM sb.sensor s WHERE s.name = fact.sensor)');
SELECT * FROM try('sa', 'sb');

-- Which events concern a handler at all
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.day = friend.day');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', only_when => 'fact.value > 5');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', only_when => 'value > 5', stop_when => 'NOT EXISTS (SELECT FROM sb."Weather" WHERE kind = ''hail'')');
SELECT * FROM try('sa', 'sb');
INSERT INTO sb."Weather" VALUES (9, 'hail');
SELECT * FROM try('sa', 'sb');
SELECT handler, friends, only_when, stop_when FROM factmerge.handler WHERE fact_table = 'sb.reading'::regclass;
-- ... and what the list of friends leaves out is none, declared or not
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', friends => '{sensor}');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', friends => '{"\"Weather\"", sb.sensor}');
SELECT * FROM try('sa', 'sb');

-- Two handlers: an event is counted by what gets furthest
CREATE FUNCTION sb.nothing(r sb.reading) RETURNS void LANGUAGE sql AS '';
SELECT factmerge_add_handler('sb.reading', 'sb.nothing', friends => '{sensor}', only_when => 'day = 1');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', friends => '{"\"Weather\""}', only_when => 'value > 8');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_add_handler('sb.reading', 'sb.nothing', friends => '{sensor}', stop_when => 'true');
SELECT * FROM try('sa', 'sb');
SELECT factmerge_drop_handler('sb.reading', 'nothing');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts');
SELECT derived FROM factmerge_merge('sa', 'sb');
SELECT sensor, day, factmerge_provenance FROM sb.alert ORDER BY 1, 2;
SELECT * FROM factmerge_verify('sb');
SELECT factmerge_drop_friend('sb.reading', 'sb."Weather"');

--
-- Friends along foreign keys: some from farther away, and some hops for one table
--
CREATE PROCEDURE make_net(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.point (name text PRIMARY KEY);
        CREATE TABLE %1$I.edge (a text REFERENCES %1$I.point, b text REFERENCES %1$I.point, PRIMARY KEY (a, b));
        CREATE TABLE %1$I.three (a text REFERENCES %1$I.point, d text REFERENCES %1$I.point, PRIMARY KEY (a, d));
        CREATE FUNCTION %1$I.find() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $body$
        BEGIN
            INSERT INTO three SELECT e.a, g.b FROM edge e, edge f, edge g
            WHERE f.a = e.b AND g.a = f.b AND NEW IN (e, f, g) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $body$;
        CREATE TRIGGER find AFTER INSERT ON %1$I.edge FOR EACH ROW EXECUTE FUNCTION %1$I.find();
    $ddl$, schema);
END $make$;
CALL make_net('na');
CALL make_net('nb');
INSERT INTO na.point VALUES ('p'), ('q'), ('r'), ('x'), ('y');
INSERT INTO nb.point VALUES ('q'), ('r'), ('s');
INSERT INTO na.edge VALUES ('p', 'q'), ('q', 'r'), ('x', 'y');
INSERT INTO nb.edge VALUES ('q', 'r'), ('r', 's');
SELECT * FROM try('na', 'nb');
SELECT factmerge_add_friend('nb.edge', 'nb.edge');
SELECT * FROM try('na', 'nb');
SELECT factmerge_drop_friend('nb.edge', 'nb.edge');
SELECT factmerge_set_friend_hops('nb.edge', 3);
SELECT * FROM try('na', 'nb');
SELECT factmerge_set_friend_hops('nb.edge', 4);
SELECT * FROM try('na', 'nb');
SELECT max(hops) FROM factmerge_friends('nb') WHERE fact_table = 'nb.edge'::regclass;
SELECT max(hops) FROM factmerge_friends('nb') WHERE fact_table = 'nb.point'::regclass;
SELECT factmerge_set_friend_hops('nb.edge', 0);
SELECT * FROM try('na', 'nb');
SELECT factmerge_unset_friend_hops('nb.edge');
SELECT factmerge_add_friend('nb.edge', 'nb.edge');
SELECT * FROM factmerge_friends('nb') WHERE fact_table = 'nb.edge'::regclass AND friend_table = 'nb.three'::regclass ORDER BY path COLLATE "C";
SELECT derived FROM factmerge_merge('na', 'nb');
SELECT a, d, factmerge_provenance FROM nb.three;
SELECT * FROM factmerge_verify('nb');

--
-- What is wrong
--
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.day');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.dya = friend.day');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'random() < 0.5');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.factmerge_merge = friend.factmerge_merge');
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact = fact');
SELECT factmerge_add_friend('sb.reading', 'nb.edge', 'true');
SELECT factmerge_add_friend(NULL, 'nb.edge');
SELECT factmerge_drop_friend('sb.reading', 'sb."Weather"');
SELECT factmerge_set_friend_hops('nb.edge', 9);
SELECT factmerge_unset_friend_hops('nb.edge');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', friends => '{nowhere}');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', only_when => 'friend.day = 1');
SELECT factmerge_add_handler('sb.reading', 'sb.find_alerts', stop_when => 'fact.day = 1');
SELECT factmerge_add_handler('sb.reading', NULL);

-- A condition whose column is gone
SELECT factmerge_add_friend('sb.reading', 'sb."Weather"', 'fact.day = friend.day AND friend.kind <> ''''');
ALTER TABLE sa."Weather" RENAME kind TO sort;
ALTER TABLE sb."Weather" RENAME kind TO sort;
SELECT factmerge_merge('sa', 'sb', dry_run => true);
-- Declarations go with either table
DROP TABLE sb."Weather";
SELECT count(*) FROM factmerge.friend WHERE fact_table = 'sb.reading'::regclass;
DROP TABLE nb.edge CASCADE;
SELECT count(*) FROM factmerge.friend;
RESET client_min_messages;
