--
-- readme: the examples of README.md, in its order and word for word
--
-- test/t/readme.t compares: whoever changes an example changes it in both
-- places, and shows in README.md what expected/readme.out says.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;
RESET client_min_messages;

--
-- Getting started
--
CREATE PROCEDURE new_airline(airline text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', airline);
    PERFORM set_config('search_path', airline, true);

    CREATE TABLE airport (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        iata text NOT NULL UNIQUE,
        city text NOT NULL);
    CREATE TABLE flight (
        code text PRIMARY KEY,
        origin integer NOT NULL REFERENCES airport,
        destination integer NOT NULL REFERENCES airport);
    CREATE TABLE connection (
        first text REFERENCES flight,
        second text REFERENCES flight,
        PRIMARY KEY (first, second));

    CREATE FUNCTION find_connections() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        INSERT INTO connection (first, second)
        SELECT f.code, NEW.code FROM flight f WHERE f.destination = NEW.origin
        UNION
        SELECT NEW.code, f.code FROM flight f WHERE f.origin = NEW.destination
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $body$;
    CREATE TRIGGER find_connections AFTER INSERT ON flight
        FOR EACH ROW EXECUTE FUNCTION find_connections();
END $$;

CALL new_airline('north');
INSERT INTO north.airport (iata, city) VALUES
    ('OSL', 'Oslo'), ('HEL', 'Helsinki'), ('CPH', 'Copenhagen'), ('FRA', 'Frankfurt am Main');
INSERT INTO north.flight (code, origin, destination) VALUES
    ('N1', 1, 3), ('N2', 2, 4), ('N3', 1, 2), ('NS9', 3, 4);

CALL new_airline('south');
INSERT INTO south.airport (iata, city) VALUES
    ('FRA', 'Frankfurt'), ('FCO', 'Rome'), ('ATH', 'Athens'), ('CPH', 'Copenhagen');
INSERT INTO south.flight (code, origin, destination) VALUES
    ('S1', 1, 2), ('S2', 2, 3), ('S3', 1, 3), ('NS9', 4, 1);

SELECT fact_tables, source_facts, in_both, copied, conflicts, events,
       skipped_categorically, skipped_in_both, skipped_friends_in_both, skipped_one_sided,
       unhandled, replayed, derived
FROM factmerge_merge('north', 'south') \gx

SELECT first, second, factmerge_provenance
FROM south.connection
ORDER BY first, second;

--
-- Try first
--
CALL new_airline('west');
INSERT INTO west.airport (iata, city) VALUES
    ('LIS', 'Lisbon'), ('FRA', 'Frankfurt'), ('ATH', 'Athens'), ('JFK', 'New York');
INSERT INTO west.flight (code, origin, destination) VALUES
    ('W1', 1, 2), ('W2', 3, 1), ('W3', 1, 4);

SELECT merge_id, source_facts, in_both, copied, replayed, derived
FROM factmerge_merge('west', 'south', dry_run => true);

--
-- Look before you merge
--
SELECT outcome, facts, source_fact, destination_fact
FROM factmerge_preview('west', 'south', examples => 2) WHERE fact_table = 'airport';

--
-- Tell where a fact came from
--
SELECT id, iata, city, factmerge_provenance, factmerge_merge IS NOT NULL AS merged
FROM south.airport
ORDER BY id;

SELECT source, provenance, source_key FROM factmerge_origin('south.airport', 1);

SELECT source, provenance, source_key FROM factmerge_origin('south.connection', 'N2', 'S1');

--
-- See where the two sides disagree
--
SELECT * FROM factmerge_conflicts();

SET factmerge.on_conflict = error;
SELECT * FROM factmerge_merge('south', 'north');

RESET factmerge.on_conflict;

--
-- See what a merge did
--
SELECT fact_table, source_facts AS facts, in_both, copied, conflicts, events,
       skipped_in_both, skipped_one_sided, unhandled, replayed, derived
FROM factmerge_report();

--
-- See how factmerge understands a schema
--
SELECT fact_table, key, key_kind, sameness, handlers FROM factmerge_tables('south');

--
-- Prepare ahead
--
SELECT factmerge_prepare('west');

--
-- Use triggers as handlers
--
CREATE FUNCTION south.find_connections_of_all() RETURNS trigger
LANGUAGE plpgsql SET search_path = south AS $$
BEGIN
    INSERT INTO connection (first, second)
    SELECT f.code, n.code FROM new_flight n JOIN flight f ON f.destination = n.origin
    UNION
    SELECT n.code, f.code FROM new_flight n JOIN flight f ON f.origin = n.destination
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
DROP TRIGGER find_connections ON south.flight;
CREATE TRIGGER find_connections AFTER INSERT ON south.flight
    REFERENCING NEW TABLE AS new_flight
    FOR EACH STATEMENT EXECUTE FUNCTION south.find_connections_of_all();

SELECT copied, replayed, derived FROM factmerge_merge('west', 'south', dry_run => true);

--
-- Use functions as handlers
--
ALTER TABLE south.flight DISABLE TRIGGER find_connections;  -- so that the function does the work

CREATE FUNCTION south.connections_of(f south.flight) RETURNS SETOF south.connection
LANGUAGE plpgsql STABLE SET search_path = south AS $$
DECLARE
    c connection;
BEGIN
    FOR c.first, c.second IN
        SELECT g.code, f.code FROM flight g WHERE g.destination = f.origin
        UNION
        SELECT f.code, g.code FROM flight g WHERE g.origin = f.destination
    LOOP
        RETURN NEXT c;
    END LOOP;
END $$;
SELECT factmerge_add_handler('south.flight', 'south.connections_of');

SELECT copied, replayed, derived FROM factmerge_merge('west', 'south', dry_run => true);

SELECT factmerge_drop_handler('south.flight', 'south.connections_of');

CREATE FUNCTION south.connections_at(a south.airport) RETURNS void
LANGUAGE sql SET search_path = south AS $$
    INSERT INTO connection (first, second)
    SELECT i.code, o.code FROM flight i JOIN flight o ON o.origin = i.destination
    WHERE i.destination = a.id
    ON CONFLICT DO NOTHING
$$;
SELECT factmerge_add_handler('south.airport', 'south.connections_at', priority => 10, found_from => 'this');

SELECT copied, replayed, derived FROM factmerge_merge('west', 'south', dry_run => true);

SELECT factmerge_drop_handler('south.airport', 'south.connections_at');
ALTER TABLE south.flight ENABLE TRIGGER find_connections;

--
-- Leave out triggers that derive nothing
--
ALTER TABLE south.flight DISABLE TRIGGER find_connections;  -- so that the rule does the work

SELECT factmerge_add_rule('connections', 'south.connection(first, second)', $$
    SELECT i.code, o.code FROM flight i JOIN flight o ON o.origin = i.destination
$$);

SELECT copied, replayed, derived FROM factmerge_merge('west', 'south', dry_run => true);

BEGIN;
INSERT INTO south.flight (code, origin, destination) VALUES ('S8', 3, 1);
SELECT first, second FROM south.connection WHERE 'S8' IN (first, second) ORDER BY 1, 2;
ROLLBACK;

CREATE TABLE south.reachable (
    origin integer REFERENCES south.airport,
    destination integer REFERENCES south.airport,
    PRIMARY KEY (origin, destination));
SELECT factmerge_add_rule('reachable', 'south.reachable(origin, destination)', $$
    SELECT origin, destination FROM flight
    UNION
    SELECT r.origin, f.destination FROM reachable r JOIN flight f ON f.origin = r.destination
$$);

SELECT factmerge_saturate('south');

SELECT name, target, body FROM factmerge_rules('south');

SELECT factmerge_add_rule('dead ends', 'south.connection(first, second)', $$
    SELECT f.code, f.code FROM flight f
    WHERE NOT EXISTS (SELECT FROM flight o WHERE o.origin = f.destination)
$$);

SELECT factmerge_drop_rule('reachable', 'south');
SELECT factmerge_drop_rule('connections', 'south');
DROP TABLE south.reachable;
ALTER TABLE south.flight ENABLE TRIGGER find_connections;

CREATE FUNCTION south.announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flights', NEW.code);
    RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER INSERT ON south.flight
    FOR EACH ROW EXECUTE FUNCTION south.announce();

SELECT factmerge_ignore_trigger('south.flight', 'announce');

SELECT handlers FROM factmerge_tables('south') WHERE fact_table = 'south.flight'::regclass;

--
-- Guard with constraint triggers
--
CREATE FUNCTION south.refuse_round_flight() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'flight % ends where it begins', NEW.code;
END $$;
CREATE CONSTRAINT TRIGGER no_round_flights AFTER INSERT ON south.flight
    FOR EACH ROW WHEN (NEW.origin = NEW.destination)
    EXECUTE FUNCTION south.refuse_round_flight();

INSERT INTO west.flight (code, origin, destination) VALUES ('W9', 1, 1);
SELECT * FROM factmerge_merge('west', 'south');

SELECT count(*) FROM south.flight WHERE code LIKE 'W%';

DELETE FROM west.connection WHERE 'W9' IN (first, second);
DELETE FROM west.flight WHERE code = 'W9';

--
-- See who is friends with whom
--
SELECT hops, path FROM factmerge_friends('south')
WHERE fact_table = 'south.flight'::regclass AND friend_table = 'south.flight'::regclass
ORDER BY path COLLATE "C";

SET factmerge.friend_hops = 1;
SELECT copied, replayed, derived FROM factmerge_merge('west', 'south', dry_run => true);

RESET factmerge.friend_hops;

--
-- Verify
--
CREATE PROCEDURE new_calendar(airline text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', airline || '_calendar');
    PERFORM set_config('search_path', airline || '_calendar', true);

    CREATE TABLE holiday (country text, day date, PRIMARY KEY (country, day));
    CREATE TABLE departure (flight text, country text NOT NULL, day date, PRIMARY KEY (flight, day));
    CREATE TABLE doubtful (flight text, day date, PRIMARY KEY (flight, day));

    CREATE FUNCTION find_doubtful(d departure) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $body$
        INSERT INTO doubtful SELECT d.flight, d.day FROM holiday h
        WHERE (h.country, h.day) = (d.country, d.day) ON CONFLICT DO NOTHING
    $body$;
END $$;
CALL new_calendar('north');
CALL new_calendar('south');
INSERT INTO north_calendar.departure VALUES
    ('N1', 'NO', '2026-05-17'), ('N2', 'FI', '2026-05-17'), ('N3', 'FI', '2026-12-06');
INSERT INTO south_calendar.holiday VALUES ('NO', '2026-05-17'), ('FI', '2026-12-06');

SELECT factmerge_add_handler('south_calendar.departure', 'south_calendar.find_doubtful');
SELECT factmerge_add_friend('south_calendar.departure', 'south_calendar.holiday',
    condition => 'fact.country = friend.country AND fact.day = friend.day');

SELECT copied, skipped_friends_in_both, replayed, derived
FROM factmerge_merge('north_calendar', 'south_calendar', dry_run => true);

SELECT factmerge_add_handler('south_calendar.departure', 'south_calendar.find_doubtful',
    friends => '{holiday}',
    only_when => $$fact.day > '2026-06-01'$$,
    stop_when => 'NOT EXISTS (SELECT FROM south_calendar.holiday)');

SELECT copied, unhandled, replayed, derived
FROM factmerge_merge('north_calendar', 'south_calendar', dry_run => true);

SELECT factmerge_add_handler('south_calendar.departure', 'south_calendar.find_doubtful');
SELECT factmerge_drop_friend('south_calendar.departure', 'south_calendar.holiday');
SELECT factmerge_add_friend('south_calendar.departure', 'south_calendar.departure', 'fact.day = friend.day');
INSERT INTO south_calendar.departure VALUES ('S1', 'IT', '2026-05-17');

SELECT copied, replayed, derived
FROM factmerge_merge('north_calendar', 'south_calendar', dry_run => true);

--
-- Leave out triggers that change facts
--
CREATE PROCEDURE new_forum(forum text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', forum || '_forum');
    PERFORM set_config('search_path', forum || '_forum', true);

    CREATE TABLE post (title text PRIMARY KEY, comments integer NOT NULL DEFAULT 0);
    CREATE TABLE comment (post text REFERENCES post, author text, PRIMARY KEY (post, author));
    CREATE FUNCTION count_comment() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        UPDATE post SET comments = comments + 1 WHERE title = NEW.post;
        RETURN NULL;
    END $body$;
    CREATE TRIGGER count_comment AFTER INSERT ON comment FOR EACH ROW EXECUTE FUNCTION count_comment();
    INSERT INTO post VALUES ('Delays');
END $$;
CALL new_forum('north');
CALL new_forum('south');
INSERT INTO north_forum.comment VALUES ('Delays', 'Nora'), ('Delays', 'Niels');
INSERT INTO south_forum.comment VALUES ('Delays', 'Sara');

SELECT copied, replayed FROM factmerge_merge('north_forum', 'south_forum', dry_run => true);
SELECT factmerge_ignore_trigger('south_forum.comment', 'count_comment');
SELECT copied, unhandled FROM factmerge_merge('north_forum', 'south_forum');
UPDATE south_forum.post AS p
SET comments = (SELECT count(*) FROM south_forum.comment AS c WHERE c.post = p.title);
SELECT title, comments FROM south_forum.post;

CREATE PROCEDURE new_desk(airline text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', airline || '_desk');
    PERFORM set_config('search_path', airline || '_desk, public', true);

    CREATE TABLE airport (code text PRIMARY KEY);
    CREATE TABLE pilot (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, home text REFERENCES airport);
    CREATE TABLE departure (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, flight text UNIQUE, airport text REFERENCES airport);
    CREATE TABLE offer (pilot text, flight text, PRIMARY KEY (pilot, flight));
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, about text NOT NULL, key bigint NOT NULL);

    CREATE FUNCTION offer_departure(d departure) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS
        'INSERT INTO offer SELECT name, d.flight FROM pilot WHERE home = d.airport ON CONFLICT DO NOTHING';
    CREATE FUNCTION offer_pilot(p pilot) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS
        'INSERT INTO offer SELECT p.name, flight FROM departure WHERE airport = p.home ON CONFLICT DO NOTHING';
    PERFORM factmerge_add_handler('departure', 'offer_departure');
    PERFORM factmerge_add_handler('pilot', 'offer_pilot');
    PERFORM factmerge_set_event_log('outbox', 'about', 'key', 'id');
END $$;
CALL new_desk('north');
CALL new_desk('south');

INSERT INTO north_desk.airport VALUES ('FRA');
INSERT INTO north_desk.pilot (name, home) VALUES ('Nina', 'FRA');
INSERT INTO north_desk.departure (flight, airport) VALUES ('N2', 'FRA');
INSERT INTO north_desk.outbox (about, key) VALUES ('departure', 1), ('north_desk.pilot', 1);

INSERT INTO south_desk.airport VALUES ('FRA');
INSERT INTO south_desk.pilot (name, home) VALUES ('Sofia', 'FRA');
INSERT INTO south_desk.departure (flight, airport) VALUES ('S1', 'FRA');
INSERT INTO south_desk.outbox (about, key) VALUES ('departure', 1), ('pilot', 1);

SELECT factmerge_saturate('north_desk'), factmerge_saturate('south_desk');
SELECT source_facts, events, replayed, derived FROM factmerge_merge('north_desk', 'south_desk');

SELECT id, about, key, factmerge_provenance FROM south_desk.outbox ORDER BY id;

SELECT copied, replayed, derived FROM factmerge_merge('west', 'south');
SELECT fact_table, fact, found_by, event FROM factmerge_verify('south');

DELETE FROM south.connection WHERE first = 'W1' AND second = 'S3';
SELECT fact_table, fact, found_by, event FROM factmerge_verify('south');

INSERT INTO south.connection (first, second) VALUES ('W1', 'S3');

--
-- Check a handler
--
SELECT "check", passed, detail FROM factmerge_check_handler('find_connections', 'south.flight');

CREATE FUNCTION south.find_onward() RETURNS trigger LANGUAGE plpgsql SET search_path = south AS $$
BEGIN
    INSERT INTO connection (first, second)
    SELECT NEW.code, o.code FROM flight o WHERE o.origin = NEW.destination
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
ALTER TABLE south.flight DISABLE TRIGGER find_connections;
CREATE TRIGGER find_onward AFTER INSERT ON south.flight
    FOR EACH ROW EXECUTE FUNCTION south.find_onward();

SELECT "check", passed, detail FROM factmerge_check_handler('find_onward');

DROP TRIGGER find_onward ON south.flight;
ALTER TABLE south.flight ENABLE TRIGGER find_connections;

--
-- Merge again
--
INSERT INTO north.flight (code, origin, destination) VALUES ('N5', 4, 1);

SELECT source_facts, in_both, copied, replayed, derived FROM factmerge_merge('north', 'south');

SELECT source, destination, fact_tables, facts FROM factmerge_sources('south');

--
-- Schedule merges
--
CALL factmerge_run('north', 'south');
CALL factmerge_run('north', 'sooth');

SELECT source, destination, status, copied, sqlstate, message
FROM factmerge_history ORDER BY merged_at DESC LIMIT 2;

SELECT factmerge_trim_history('90 days');

--
-- Merge in batches
--
INSERT INTO north.airport (iata, city) VALUES ('BGO', 'Bergen'), ('TRD', 'Trondheim'), ('SVG', 'Stavanger');

CALL factmerge_merge_in_batches('north', 'south', batch => 2);
SELECT source, status, source_facts, in_both, copied FROM factmerge_history ORDER BY merged_at DESC LIMIT 1;

--
-- Take a merge back
--
INSERT INTO west.flight (code, origin, destination) VALUES ('W7', 1, 2);
SELECT merge_id, copied, derived FROM factmerge_merge('west', 'south') \gset

SELECT fact_table, removed, in_both FROM factmerge_undo(:merge_id, dry_run => true);

INSERT INTO south.connection (first, second) VALUES ('S1', 'W7');
SELECT * FROM factmerge_undo(:merge_id);

DELETE FROM south.connection WHERE (first, second) = ('S1', 'W7');
SELECT sum(removed) AS removed FROM factmerge_undo(:merge_id);
SELECT status, copied, derived FROM factmerge_history WHERE merge_id = :merge_id;

--
-- Say which facts are the same
--
CREATE PROCEDURE new_survey(survey text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', survey);
    PERFORM set_config('search_path', survey, true);

    CREATE TABLE tree (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        species text NOT NULL,
        place point NOT NULL,
        girth numeric NOT NULL);
    CREATE TABLE nest (
        tree integer REFERENCES tree,
        bird text,
        PRIMARY KEY (tree, bird));
END $$;

CALL new_survey('spring');
INSERT INTO spring.tree (species, place, girth) VALUES
    ('oak', '(10.0, 20.0)', 2.10), ('Oak', '(10.1, 20.1)', 2.12), ('Beech', '(33.0, 4.0)', 1.50);
INSERT INTO spring.nest (tree, bird) VALUES (1, 'tit'), (2, 'tit'), (3, 'owl');

CALL new_survey('autumn');
INSERT INTO autumn.tree (species, place, girth) VALUES
    ('Oak', '(10.2, 20.0)', 2.15), ('Birch', '(33.0, 4.1)', 0.80);
INSERT INTO autumn.nest (tree, bird) VALUES (1, 'jay');

SELECT factmerge_set_sameness('autumn.tree',
    tolerance => '{"species": "lower", "place": 0.5}',
    condition => 'source.girth / destination.girth BETWEEN 0.9 AND 1.1');

SELECT fact_table, sameness FROM factmerge_tables('autumn');

SELECT source_facts, in_both, copied, conflicts FROM factmerge_merge('spring', 'autumn');

SELECT id, species, place, girth, bird, n.factmerge_provenance AS nest_from
FROM autumn.tree LEFT JOIN autumn.nest n ON tree = id ORDER BY id, bird;

--
-- Leave out tables that hold no facts
--
CREATE TABLE north.schema_migration (version text PRIMARY KEY);
CREATE TABLE south.schema_migration (version text PRIMARY KEY);

SELECT factmerge_ignore('south.schema_migration');

SELECT fact_table FROM factmerge_tables('south');

--
-- Mind columns that look like references
--
CREATE TABLE north.gate (name text PRIMARY KEY, airport_id integer, seats integer);
CREATE TABLE south.gate (name text PRIMARY KEY, airport_id integer, seats integer);
INSERT INTO north.gate SELECT 'N' || id, id, 20 FROM north.airport;

ALTER TABLE south.gate ADD FOREIGN KEY (airport_id) REFERENCES south.airport (id) NOT VALID;
SELECT factmerge_set_column('south.gate', 'seats', reference => false);

--
-- Worked examples
--
CREATE PROCEDURE new_reader(reader text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', reader);
    PERFORM set_config('search_path', reader || ', public', true);

    CREATE TABLE beside (a text, b text, PRIMARY KEY (a, b));
    CREATE INDEX ON beside (b);
    CREATE TABLE square (a text, b text, c text, d text, PRIMARY KEY (a, b, c, d));

    CREATE FUNCTION find_squares() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        INSERT INTO square
        -- the new pair across, above
        SELECT NEW.a, NEW.b, ac.b, bd.b FROM beside ac JOIN beside bd ON bd.a = NEW.b
        JOIN beside cd ON cd.a = ac.b AND cd.b = bd.b WHERE ac.a = NEW.a
        -- across, below
        UNION SELECT ac.a, bd.a, NEW.a, NEW.b FROM beside ac JOIN beside bd ON bd.b = NEW.b
        JOIN beside ab ON ab.a = ac.a AND ab.b = bd.a WHERE ac.b = NEW.a
        -- down, at the left
        UNION SELECT NEW.a, ab.b, NEW.b, cd.b FROM beside ab JOIN beside cd ON cd.a = NEW.b
        JOIN beside bd ON bd.a = ab.b AND bd.b = cd.b WHERE ab.a = NEW.a
        -- down, at the right
        UNION SELECT ab.a, NEW.a, cd.a, NEW.b FROM beside ab JOIN beside cd ON cd.b = NEW.b
        JOIN beside ac ON ac.a = ab.a AND ac.b = cd.a WHERE ab.b = NEW.a
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $body$;
    EXECUTE format('ALTER FUNCTION find_squares SET search_path = %I', reader);
    CREATE TRIGGER find_squares AFTER INSERT ON beside FOR EACH ROW EXECUTE FUNCTION find_squares();
    PERFORM factmerge_add_friend('beside', 'beside',
        'friend.a IN (fact.a, fact.b) OR friend.b IN (fact.a, fact.b)');
END $$;
CALL new_reader('left_reader');
CALL new_reader('right_reader');

INSERT INTO left_reader.beside VALUES
    ('cold', 'air'), ('cold', 'front'), ('front', 'door'), ('warm', 'air'), ('warm', 'day');
INSERT INTO right_reader.beside VALUES
    ('air', 'bed'), ('air', 'lock'), ('front', 'bed'), ('door', 'lock'), ('day', 'bed'), ('cold', 'air');

SELECT source_facts, replayed, derived
FROM factmerge_merge('left_reader', 'right_reader', dry_run => true);
SELECT "check", passed FROM factmerge_check_handler('find_squares', 'right_reader.beside');

ALTER TABLE right_reader.beside DISABLE TRIGGER find_squares;
SELECT factmerge_add_rule('squares', 'right_reader.square(a, b, c, d)', $$
    SELECT ab.a, ab.b, cd.a, cd.b
    FROM beside ab
    JOIN beside ac ON ac.a = ab.a
    JOIN beside bd ON bd.a = ab.b
    JOIN beside cd ON cd.a = ac.b AND cd.b = bd.b
$$);

SELECT source_facts, replayed, derived FROM factmerge_merge('left_reader', 'right_reader');
SELECT a || ' ' || b AS across, c || ' ' || d AS below FROM right_reader.square ORDER BY 1, 2;

CREATE PROCEDURE new_worker(worker text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', worker);
    PERFORM set_config('search_path', worker || ', public', true);

    CREATE TABLE address_of (p text, x text, PRIMARY KEY (p, x));
    CREATE TABLE copied_from (p text, q text, PRIMARY KEY (p, q));
    CREATE TABLE loaded_from (p text, q text, PRIMARY KEY (p, q));
    CREATE TABLE stored_to (p text, q text, PRIMARY KEY (p, q));
    CREATE TABLE points_to (p text, x text, PRIMARY KEY (p, x));

    PERFORM factmerge_add_rule('address', format('%I.points_to(p, x)', worker),
        'SELECT p, x FROM address_of');
    PERFORM factmerge_add_rule('copy', format('%I.points_to(p, x)', worker),
        'SELECT c.p, t.x FROM copied_from c JOIN points_to t ON t.p = c.q');
    PERFORM factmerge_add_rule('load', format('%I.points_to(p, x)', worker),
        'SELECT l.p, u.x FROM loaded_from l JOIN points_to t ON t.p = l.q JOIN points_to u ON u.p = t.x');
    PERFORM factmerge_add_rule('store', format('%I.points_to(p, x)', worker),
        'SELECT t.x, u.x FROM stored_to s JOIN points_to t ON t.p = s.p JOIN points_to u ON u.p = s.q');
END $$;
CALL new_worker('worker1');
CALL new_worker('worker2');

INSERT INTO worker1.address_of VALUES ('list', 'head'), ('item', 'node');
INSERT INTO worker1.stored_to VALUES ('list', 'item');
INSERT INTO worker2.copied_from VALUES ('queue', 'list');
INSERT INTO worker2.loaded_from VALUES ('first', 'queue');

SELECT copied, derived FROM factmerge_merge('worker1', 'worker2');
SELECT p, x, factmerge_provenance FROM worker2.points_to ORDER BY p, x;

--
-- When two facts are the same
--
SET client_min_messages = warning;
CREATE SCHEMA stall;
CREATE TABLE stall.invoice (id serial PRIMARY KEY, number serial UNIQUE, customer text);
CREATE SCHEMA shop;
CREATE TABLE shop.invoice (id serial PRIMARY KEY, number serial UNIQUE, customer text);
INSERT INTO stall.invoice (number, customer) VALUES (1, 'Ada'), (2, 'Bob'), (907, 'Cid');
INSERT INTO shop.invoice (number, customer) VALUES (1, 'Dot'), (2, 'Bob');

SELECT in_both, copied, conflicts FROM factmerge_merge('stall', 'shop');
SELECT number, customer, factmerge_provenance FROM shop.invoice ORDER BY number;
RESET client_min_messages;

--
-- Upgrading and uninstalling
--
SELECT factmerge_remove_provenance('south');

--
-- What the examples made goes again
--
SET client_min_messages = warning;
SELECT factmerge_unignore_trigger('south.flight', 'announce');
DROP SCHEMA north, south, west, spring, autumn, north_calendar, south_calendar, north_desk, south_desk, north_forum, south_forum, left_reader, right_reader,
    worker1, worker2, stall, shop CASCADE;
DROP PROCEDURE new_calendar(text), new_desk(text), new_airline(text), new_survey(text), new_reader(text), new_worker(text);
