-- How far friends reach: factmerge.friend_hops
--
-- Facts of two databases meet only through a fact that is in both, so one
-- foreign key is not enough; two are the default.  A handler that looks
-- further needs more.  Each part merges one pair of schemas as a dry run with
-- fewer steps, which loses the derivation, then with enough.
BEGIN;
SELECT plan(25);

CREATE PROCEDURE make_network(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.point (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE %1$I.edge (
            source integer REFERENCES %1$I.point, target integer REFERENCES %1$I.point,
            PRIMARY KEY (source, target));
        CREATE TABLE %1$I.chain (
            source integer REFERENCES %1$I.point, target integer REFERENCES %1$I.point,
            PRIMARY KEY (source, target));
    $ddl$, schema);
END $make$;

CREATE PROCEDURE add(schema name, edges text) LANGUAGE plpgsql AS $add$
BEGIN
    EXECUTE format('INSERT INTO %I.point (name) SELECT DISTINCT n FROM regexp_split_to_table($1, ''[ >]'') n
                    ORDER BY 1 ON CONFLICT DO NOTHING', schema) USING edges;
    EXECUTE format('INSERT INTO %1$I.edge SELECT s.id, t.id FROM regexp_split_to_table($1, '' '') e
                    JOIN %1$I.point s ON s.name = split_part(e, ''>'', 1)
                    JOIN %1$I.point t ON t.name = split_part(e, ''>'', 2)', schema) USING edges;
END $add$;

CREATE FUNCTION chains(schema name) RETURNS SETOF text LANGUAGE plpgsql AS $show$
BEGIN
    RETURN QUERY EXECUTE format('SELECT s.name || t.name FROM %1$I.chain c JOIN %1$I.point s ON s.id = c.source
                                 JOIN %1$I.point t ON t.id = c.target', schema);
END $show$;

-- Chains of as many edges as the trigger's argument says, through the new one
CREATE FUNCTION find_chains() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('
        WITH RECURSIVE walk (source, target, length, fresh) AS (
            SELECT source, target, 1, (source, target) = ($1, $2) FROM %1$I.edge
            UNION ALL
            SELECT w.source, e.target, w.length + 1, w.fresh OR (e.source, e.target) = ($1, $2)
            FROM walk w JOIN %1$I.edge e ON e.source = w.target WHERE w.length < $3)
        INSERT INTO %1$I.chain SELECT DISTINCT source, target FROM walk
        WHERE length = $3 AND fresh ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA)
    USING NEW.source, NEW.target, TG_ARGV[0]::integer;
    RETURN NULL;
END $body$;

-- The setting exists once the library is there
LOAD 'factmerge';

-- Friends of an edge, two steps away at most
CALL make_network('two_a');
CALL make_network('two_b');
SELECT is(current_setting('factmerge.friend_hops'), '2', 'two steps are the default');
SELECT bag_eq($$SELECT friend_table::text, hops, path FROM factmerge_friends('two_b')
               WHERE fact_table = 'two_b.edge'::regclass AND path LIKE 'edge (source)%'$$,
    $$VALUES ('two_b.point', 1, 'edge (source) -> point'),
             ('two_b.edge', 2, 'edge (source) -> point <- (source) edge'),
             ('two_b.edge', 2, 'edge (source) -> point <- (target) edge'),
             ('two_b.chain', 2, 'edge (source) -> point <- (source) chain'),
             ('two_b.chain', 2, 'edge (source) -> point <- (target) chain')$$,
    'factmerge_friends shows each of them with its path');
SET LOCAL factmerge.friend_hops = 1;
SELECT bag_eq($$SELECT friend_table::text, path FROM factmerge_friends('two_b') WHERE fact_table = 'two_b.edge'::regclass$$,
    $$VALUES ('two_b.point', 'edge (source) -> point'), ('two_b.point', 'edge (target) -> point')$$,
    'with one step the points alone are friends');
SET LOCAL factmerge.friend_hops = 0;
SELECT is_empty($$SELECT * FROM factmerge_friends('two_b')$$, 'with none, nobody is');
SELECT throws_ok('SET LOCAL factmerge.friend_hops = 9', '22023', NULL, 'eight is the most');
SELECT throws_ok('SET LOCAL factmerge.friend_hops = -1', '22023', NULL, 'and zero the least');

--
-- Two-hop paths need two steps
--
CREATE TRIGGER derive AFTER INSERT ON two_a.edge FOR EACH ROW EXECUTE FUNCTION find_chains(2);
CREATE TRIGGER derive AFTER INSERT ON two_b.edge FOR EACH ROW EXECUTE FUNCTION find_chains(2);
CALL add('two_a', 'p>q x>y');
CALL add('two_b', 'q>r');

PREPARE two_dry AS
    SELECT skipped_categorically, skipped_friends_in_both, skipped_one_sided, replayed, derived
    FROM factmerge_merge('two_a', 'two_b', dry_run => true);
SET LOCAL factmerge.friend_hops = 0;
SELECT results_eq('two_dry', 'VALUES (2::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint)',
    'without friends no event can be mixed');
-- Of the two friends in table point one (r) is the destination's alone, so that
-- the stop is not categorical
SET LOCAL factmerge.friend_hops = 1;
SELECT results_eq('two_dry', 'VALUES (0::bigint, 0::bigint, 2::bigint, 0::bigint, 0::bigint)',
    'one step loses the two-hop path: no friend is the destination''s');
SET LOCAL factmerge.friend_hops = 2;
SELECT results_eq('two_dry', 'VALUES (0::bigint, 0::bigint, 1::bigint, 1::bigint, 1::bigint)',
    'two steps find it, and only that event is replayed');

SET LOCAL factmerge.friend_hops = 1;
SELECT results_eq($$SELECT derived FROM factmerge_merge('two_a', 'two_b')$$, 'VALUES (0::bigint)',
    'merged with one step ...');
SELECT is_empty($$SELECT chains('two_b')$$, '... the path is missing');
SELECT results_eq($$SELECT count(*) FROM factmerge_verify('two_b')$$, 'VALUES (1::bigint)',
    '... and factmerge_verify finds it');

--
-- Three-edge chains: from the first edge to the last are four foreign keys
--
CALL make_network('three_a');
CALL make_network('three_b');
CREATE TRIGGER derive AFTER INSERT ON three_a.edge FOR EACH ROW EXECUTE FUNCTION find_chains(3);
CREATE TRIGGER derive AFTER INSERT ON three_b.edge FOR EACH ROW EXECUTE FUNCTION find_chains(3);
CALL add('three_a', 'p>q q>r');
CALL add('three_b', 'q>r r>s');
PREPARE three_dry AS
    SELECT replayed, derived FROM factmerge_merge('three_a', 'three_b', dry_run => true);
SELECT results_eq('three_dry', 'VALUES (0::bigint, 0::bigint)', 'two steps lose a chain whose middle is in both');
SET LOCAL factmerge.friend_hops = 3;
SELECT results_eq('three_dry', 'VALUES (0::bigint, 0::bigint)', '... and so do three');
SET LOCAL factmerge.friend_hops = 4;
SELECT results_eq('three_dry', 'VALUES (1::bigint, 1::bigint)', '... four find it');
SELECT lives_ok($$SELECT factmerge_merge('three_a', 'three_b')$$, 'merged with four ...');
SELECT bag_eq($$SELECT chains('three_b')$$, $$VALUES ('ps')$$, '... it is there');

-- A chain whose middle is one-sided has friends near enough
RESET factmerge.friend_hops;
CALL make_network('middle_a');
CALL make_network('middle_b');
CREATE TRIGGER derive AFTER INSERT ON middle_a.edge FOR EACH ROW EXECUTE FUNCTION find_chains(3);
CREATE TRIGGER derive AFTER INSERT ON middle_b.edge FOR EACH ROW EXECUTE FUNCTION find_chains(3);
CALL add('middle_a', 'q>r');
CALL add('middle_b', 'p>q r>s');
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('middle_a', 'middle_b')$$,
    'VALUES (1::bigint, 1::bigint)', 'an edge of the source between two of the destination needs two steps only');

--
-- Three steps, an odd number: down from a law to its country, then up to the
-- city and on to a person
--
CREATE PROCEDURE make_state(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.country (id serial PRIMARY KEY, name text UNIQUE);
        CREATE TABLE %1$I.city (id serial PRIMARY KEY, country integer REFERENCES %1$I.country, name text UNIQUE);
        CREATE TABLE %1$I.person (id serial PRIMARY KEY, city integer REFERENCES %1$I.city, name text UNIQUE);
        CREATE TABLE %1$I.law (id serial PRIMARY KEY, country integer REFERENCES %1$I.country, name text UNIQUE);
        CREATE TABLE %1$I.duty (person integer REFERENCES %1$I.person, law integer REFERENCES %1$I.law,
            PRIMARY KEY (person, law));
        INSERT INTO %1$I.country (name) VALUES ('Norway');
        INSERT INTO %1$I.city (country, name) VALUES (1, 'Bergen');
        CREATE FUNCTION %1$I.bind() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $body$
        BEGIN
            IF TG_TABLE_NAME = 'person' THEN
                INSERT INTO duty SELECT NEW.id, l.id FROM city c JOIN law l USING (country)
                WHERE c.id = NEW.city ON CONFLICT DO NOTHING;
            ELSE
                INSERT INTO duty SELECT p.id, NEW.id FROM city c JOIN person p ON p.city = c.id
                WHERE c.country = NEW.country ON CONFLICT DO NOTHING;
            END IF;
            RETURN NULL;
        END $body$;
        CREATE TRIGGER bind AFTER INSERT ON %1$I.person FOR EACH ROW EXECUTE FUNCTION %1$I.bind();
        CREATE TRIGGER bind AFTER INSERT ON %1$I.law FOR EACH ROW EXECUTE FUNCTION %1$I.bind();
    $ddl$, schema);
END $make$;
CALL make_state('state_a');
CALL make_state('state_b');
INSERT INTO state_a.person (city, name) VALUES (1, 'Amalie');
INSERT INTO state_b.law (country, name) VALUES (1, 'salt tax');
PREPARE state_dry AS
    SELECT replayed, derived FROM factmerge_merge('state_a', 'state_b', dry_run => true);
SET LOCAL factmerge.friend_hops = 1;
SELECT results_eq('state_dry', 'VALUES (0::bigint, 0::bigint)', 'one step does not reach the country');
SET LOCAL factmerge.friend_hops = 2;
SELECT results_eq('state_dry', 'VALUES (0::bigint, 0::bigint)', 'two steps end there');
SET LOCAL factmerge.friend_hops = 3;
SELECT results_eq('state_dry', 'VALUES (1::bigint, 1::bigint)', 'three reach the law');
SET LOCAL factmerge.friend_hops = 8;
SELECT results_eq('state_dry', 'VALUES (1::bigint, 1::bigint)', 'more find no more');
SET LOCAL factmerge.friend_hops = 3;
SELECT results_eq($$SELECT derived FROM factmerge_merge('state_a', 'state_b')$$, 'VALUES (1::bigint)', 'merged with three ...');
SELECT results_eq($$SELECT p.name, l.name, d.factmerge_provenance::text FROM state_b.duty d
                    JOIN state_b.person p ON p.id = d.person JOIN state_b.law l ON l.id = d.law$$,
    $$VALUES ('Amalie', 'salt tax', 'derived')$$, '... she owes what she owes');

--
-- Many facts: the two-hop paths of a long line, of which each side has two edges in three
--
RESET factmerge.friend_hops;
CALL make_network('big_a');
CALL make_network('big_b');
CREATE TRIGGER derive AFTER INSERT ON big_a.edge FOR EACH ROW EXECUTE FUNCTION find_chains(2);
CREATE TRIGGER derive AFTER INSERT ON big_b.edge FOR EACH ROW EXECUTE FUNCTION find_chains(2);
DO $$
DECLARE
    a text := (SELECT string_agg(i || '>' || i + 1, ' ') FROM generate_series(1, 1500) i WHERE i % 3 <> 0);
    b text := (SELECT string_agg(i || '>' || i + 1, ' ') FROM generate_series(1, 1500) i WHERE i % 3 <> 1);
BEGIN
    CALL add('big_a', a);
    CALL add('big_b', b);
END $$;
-- In a are edges 1 2 . 4 5 . ..., in b . 2 3 . 5 6 ...: chains 3-4, 6-7, ... are new.  Edge 1 is replayed in
-- vain, because chain 2-4 of the destination starts where it ends.
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('big_a', 'big_b')$$,
    'VALUES (500::bigint, 499::bigint)', 'of a long line, only events at the seams are replayed');

SELECT * FROM finish();
ROLLBACK;
