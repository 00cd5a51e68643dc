-- Whose mixed events are replayed: factmerge.replay_side
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_sides(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.point (name text PRIMARY KEY);
        CREATE TABLE %1$I.edge (a text REFERENCES %1$I.point, b text REFERENCES %1$I.point, PRIMARY KEY (a, b));
        CREATE TABLE %1$I.path (a text REFERENCES %1$I.point, c text REFERENCES %1$I.point, PRIMARY KEY (a, c));
        CREATE FUNCTION %1$I.find() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $body$
        BEGIN
            INSERT INTO path SELECT NEW.a, e.b FROM edge e WHERE e.a = NEW.b
            UNION SELECT e.a, NEW.b FROM edge e WHERE e.b = NEW.a ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $body$;
        CREATE TRIGGER find AFTER INSERT ON %1$I.edge FOR EACH ROW EXECUTE FUNCTION %1$I.find();
        -- The same, from the point alone
        CREATE FUNCTION %1$I.meet(p %1$I.point) RETURNS void LANGUAGE sql SET search_path = %1$I AS
        'INSERT INTO path SELECT e.a, f.b FROM edge e, edge f WHERE e.b = p.name AND f.a = p.name ON CONFLICT DO NOTHING';
    $ddl$, schema);
END $make$;
CALL make_sides('side_a');
CALL make_sides('side_b');
-- Three edges of the source's lead to p4, which is in both, and one of the destination's leaves it
INSERT INTO side_a.point SELECT 'p' || i FROM generate_series(1, 6) i;
INSERT INTO side_b.point SELECT 'p' || i FROM generate_series(4, 9) i;
INSERT INTO side_a.edge SELECT 'p' || i, 'p4' FROM generate_series(1, 3) i;
INSERT INTO side_a.edge VALUES ('p5', 'p6');
INSERT INTO side_b.edge VALUES ('p4', 'p5'), ('p8', 'p9'), ('p5', 'p6');

CREATE FUNCTION replay(side text, source name, destination name) RETURNS TABLE (source_facts bigint, events bigint,
    categorically bigint, in_both bigint, friends_in_both bigint, one_sided bigint, unhandled bigint, replayed bigint,
    derived bigint, adds_up boolean) LANGUAGE sql AS $$
    SELECT set_config('factmerge.replay_side', side, true);
    SELECT source_facts, events, skipped_categorically, skipped_in_both, skipped_friends_in_both, skipped_one_sided, unhandled,
        replayed, derived, events = skipped_categorically + skipped_in_both + skipped_friends_in_both + skipped_one_sided
            + unhandled + replayed AND source_facts = m.in_both + copied
    FROM factmerge_merge(source, destination, dry_run => true) m $$;

SELECT * FROM replay('source', 'side_a', 'side_b');
SELECT * FROM replay('destination', 'side_a', 'side_b');
SELECT * FROM replay('auto', 'side_a', 'side_b');
-- The other way round, the source has fewer
SELECT * FROM replay('source', 'side_b', 'side_a');
SELECT * FROM replay('destination', 'side_b', 'side_a');
SELECT * FROM replay('auto', 'side_b', 'side_a');

-- Found from the point that is in both, and with declared friends and several groups beside
ALTER TABLE side_b.edge DISABLE TRIGGER find;
SELECT factmerge_add_handler('side_b.point', 'side_b.meet', found_from => 'this');
SELECT * FROM replay('source', 'side_a', 'side_b');
SELECT * FROM replay('destination', 'side_a', 'side_b');
SELECT factmerge_drop_handler('side_b.point', 'side_b.meet');
CREATE FUNCTION side_b.by_edge(e side_b.edge) RETURNS void LANGUAGE sql SET search_path = side_b AS
'INSERT INTO path SELECT e.a, f.b FROM edge f WHERE f.a = e.b UNION SELECT f.a, e.b FROM edge f WHERE f.b = e.a ON CONFLICT DO NOTHING';
CREATE FUNCTION side_b.nothing(e side_b.edge) RETURNS void LANGUAGE sql AS '';
SELECT factmerge_add_handler('side_b.edge', 'side_b.by_edge', friends => '{edge,path}');
SELECT factmerge_add_handler('side_b.edge', 'side_b.nothing', friends => '{point}', only_when => 'fact.a <> ''p8''');
SELECT factmerge_set_friend_hops('side_b.edge', 1);
SELECT factmerge_add_friend('side_b.edge', 'side_b.edge', 'fact.b = friend.a OR fact.a = friend.b');
SELECT * FROM replay('source', 'side_a', 'side_b');
SELECT * FROM replay('destination', 'side_a', 'side_b');
SELECT * FROM replay('auto', 'side_a', 'side_b');

-- Where a foreign key is on one side only, it is the source's events in any case
ALTER TABLE side_a.edge DROP CONSTRAINT edge_a_fkey;
SELECT source_facts, events, replayed, derived, adds_up FROM replay('destination', 'side_a', 'side_b');
SELECT source_facts, events, replayed, derived, adds_up FROM replay('auto', 'side_a', 'side_b');
DROP SCHEMA side_a, side_b CASCADE;

-- Over three steps, the first of them to a fact that only the destination has
CREATE PROCEDURE make_far_sides(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.town (name text PRIMARY KEY);
        CREATE TABLE %1$I.shop (name text PRIMARY KEY, town text REFERENCES %1$I.town);
        CREATE TABLE %1$I.ware (name text PRIMARY KEY, shop text REFERENCES %1$I.shop);
        CREATE TABLE %1$I.buyer (name text PRIMARY KEY, town text REFERENCES %1$I.town);
        CREATE TABLE %1$I.sale (ware text REFERENCES %1$I.ware, buyer text REFERENCES %1$I.buyer, PRIMARY KEY (ware, buyer));
        CREATE FUNCTION %1$I.sell() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $body$
        BEGIN
            INSERT INTO sale SELECT w.name, b.name FROM ware w JOIN shop s ON s.name = w.shop JOIN buyer b ON b.town = s.town
            WHERE CASE TG_TABLE_NAME WHEN 'ware' THEN w.name = NEW.name ELSE b.name = NEW.name END ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $body$;
        CREATE TRIGGER sell AFTER INSERT ON %1$I.ware FOR EACH ROW EXECUTE FUNCTION %1$I.sell();
        CREATE TRIGGER sell AFTER INSERT ON %1$I.buyer FOR EACH ROW EXECUTE FUNCTION %1$I.sell();
        INSERT INTO %1$I.town VALUES ('both');
    $ddl$, schema);
END $make$;
CALL make_far_sides('side_a');
CALL make_far_sides('side_b');
INSERT INTO side_a.buyer VALUES ('Ada', 'both');
INSERT INTO side_b.shop VALUES ('corner', 'both');
INSERT INTO side_b.ware VALUES ('bread', 'corner'), ('milk', 'corner');
SET factmerge.friend_hops = 3;
SELECT * FROM replay('source', 'side_a', 'side_b');
SELECT * FROM replay('destination', 'side_a', 'side_b');
SELECT * FROM replay('auto', 'side_a', 'side_b');
RESET factmerge.friend_hops;
DROP PROCEDURE make_far_sides(name);
DROP SCHEMA side_a, side_b CASCADE;
RESET client_min_messages;
