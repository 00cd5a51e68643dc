-- Handlers: what is one, when it runs, and what it has to promise
--
-- Facts are edges between points; handlers derive two-hop paths (hop2) and
-- what follows from those (hop3).  The same network serves all kinds of
-- handlers; each part of the test makes its own pair of schemas.
BEGIN;
SELECT plan(46);

-- Foreign keys are checked late, so that a point can arrive after its edges
CREATE PROCEDURE make_network(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.point (name text PRIMARY KEY);
        CREATE TABLE %1$I.edge (
            id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            source text NOT NULL REFERENCES %1$I.point DEFERRABLE INITIALLY DEFERRED,
            target text NOT NULL REFERENCES %1$I.point DEFERRABLE INITIALLY DEFERRED,
            UNIQUE (source, target));
        CREATE TABLE %1$I.hop2 (
            source text REFERENCES %1$I.point, target text REFERENCES %1$I.point,
            PRIMARY KEY (source, target));
        CREATE TABLE %1$I.hop3 (LIKE %1$I.hop2 INCLUDING ALL,
            FOREIGN KEY (source) REFERENCES %1$I.point,
            FOREIGN KEY (target) REFERENCES %1$I.point);
        CREATE TABLE %1$I.log (line text);
    $ddl$, schema);
    -- A log of calls is no fact: it is kept out of the way
    EXECUTE format('ALTER TABLE %I.log SET SCHEMA public', schema);
    EXECUTE format('ALTER TABLE public.log RENAME TO %I', 'log_' || schema);
END $make$;

-- Edges given as 'p>q q>r', with their points
CREATE PROCEDURE add(schema name, edges text) LANGUAGE plpgsql AS $add$
BEGIN
    EXECUTE format('INSERT INTO %I.point SELECT DISTINCT n FROM regexp_split_to_table($1, ''[ >]'') n
                    ORDER BY 1 ON CONFLICT DO NOTHING', schema) USING edges;
    EXECUTE format('INSERT INTO %I.edge (source, target)
                    SELECT split_part(e, ''>'', 1), split_part(e, ''>'', 2)
                    FROM regexp_split_to_table($1, '' '') e', schema) USING edges;
    -- As at the end of a transaction
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
END $add$;

CREATE FUNCTION logged(schema name) RETURNS SETOF text LANGUAGE plpgsql AS $log$
BEGIN
    RETURN QUERY EXECUTE format('SELECT line FROM public.%I', 'log_' || schema);
END $log$;
CREATE PROCEDURE write_log(schema name, line text) LANGUAGE plpgsql AS $log$
BEGIN
    EXECUTE format('INSERT INTO public.%I VALUES ($1)', 'log_' || schema) USING line;
END $log$;

-- Handlers of edges.  Their function names the schema by the trigger's, so
-- that one function serves all schemas.
CREATE FUNCTION each_edge() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    CALL write_log(TG_TABLE_SCHEMA, format('%s>%s', NEW.source, NEW.target));
    EXECUTE format('INSERT INTO %1$I.hop2
        SELECT e.source, $2 FROM %1$I.edge e WHERE e.target = $1
        UNION SELECT $1, e.target FROM %1$I.edge e WHERE e.source = $2
        ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA) USING NEW.source, NEW.target;
    RETURN NULL;
END $body$;
CREATE FUNCTION all_edges() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    n bigint := (SELECT count(*) FROM fresh);
BEGIN
    CALL write_log(TG_TABLE_SCHEMA, n || ' at once');
    EXECUTE format('INSERT INTO %1$I.hop2
        SELECT e.source, n.target FROM %1$I.edge e JOIN fresh n ON e.target = n.source
        UNION SELECT n.source, e.target FROM %1$I.edge e JOIN fresh n ON e.source = n.target
        ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA);
    RETURN NULL;
END $body$;

--
-- Row-level triggers, with WHEN
--
CALL make_network('row_a');
CALL make_network('row_b');
CREATE TRIGGER derive AFTER INSERT ON row_a.edge FOR EACH ROW EXECUTE FUNCTION each_edge();
CREATE TRIGGER derive AFTER INSERT ON row_b.edge FOR EACH ROW
    WHEN (NEW.source <> 'closed') EXECUTE FUNCTION each_edge();
CALL add('row_a', 'p>q x>y closed>q');
CALL add('row_b', 'q>r');
TRUNCATE log_row_b;
SELECT results_eq(
    $$SELECT copied, events, skipped_categorically + skipped_in_both + skipped_friends_in_both + skipped_one_sided,
             unhandled, replayed, derived FROM factmerge_merge('row_a', 'row_b')$$,
    -- 5 points and 3 edges, of which q is in both; p>q and closed>q meet q>r
    $$VALUES (7::bigint, 8::bigint, 1::bigint, 5::bigint, 2::bigint, 1::bigint)$$,
    'a row trigger: two events are mixed, the others skipped or without handler');
SELECT bag_eq($$SELECT logged('row_b')$$, $$VALUES ('p>q')$$, '... and WHEN lets one of them through');
SELECT bag_eq($$SELECT source, target, factmerge_provenance::text FROM row_b.hop2$$, $$VALUES ('p', 'r', 'derived')$$,
    '... which derives what neither side had');

--
-- Statement-level triggers
--
CALL make_network('stmt_a');
CALL make_network('stmt_b');
CREATE TRIGGER derive AFTER INSERT ON stmt_a.edge REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION all_edges();
CREATE TRIGGER derive AFTER INSERT ON stmt_b.edge REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION all_edges();
CALL add('stmt_a', 'p>q o>q x>y');
CALL add('stmt_b', 'q>r q>s');
TRUNCATE log_stmt_b;
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('stmt_a', 'stmt_b')$$, $$VALUES (2::bigint, 4::bigint)$$,
    'a statement trigger gets the mixed events');
SELECT bag_eq($$SELECT logged('stmt_b')$$, $$VALUES ('2 at once')$$, '... all at once, in its NEW TABLE');
SELECT bag_eq($$SELECT source || target FROM stmt_b.hop2$$, $$VALUES ('pr'), ('ps'), ('or'), ('os')$$,
    '... and derives the same');
SELECT is_empty($$SELECT * FROM factmerge_verify('stmt_b')$$, 'the result is saturated');

--
-- Functions: RETURNS void
--
CALL make_network('void_a');
CALL make_network('void_b');
CREATE FUNCTION void_b.on_edge(void_b.edge) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO void_b.hop2
        SELECT e.source, $1.target FROM void_b.edge e WHERE e.target = $1.source
        UNION SELECT $1.source, e.target FROM void_b.edge e WHERE e.source = $1.target
        ON CONFLICT DO NOTHING
$body$;
SELECT lives_ok($$SELECT factmerge_add_handler('void_b.edge', 'void_b.on_edge')$$, 'a function is declared');
CALL add('void_a', 'p>q');
CALL add('void_b', 'q>r');
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('void_a', 'void_b')$$, $$VALUES (1::bigint, 1::bigint)$$,
    'a function that returns void inserts by itself');
SELECT bag_eq($$SELECT source || target, factmerge_provenance::text FROM void_b.hop2$$, $$VALUES ('pr', 'derived')$$,
    '... and what it inserts is tagged');

--
-- Functions: RETURNS SETOF
--
CALL make_network('set_a');
CALL make_network('set_b');
-- On purpose it returns what is there already, too, and twice
CREATE FUNCTION set_b.on_edge(set_b.edge) RETURNS SETOF set_b.hop2 LANGUAGE plpgsql AS $body$
DECLARE
    found set_b.hop2;
BEGIN
    FOR i IN 1..2 LOOP
        FOR found.source, found.target IN
            SELECT l.source, r.target FROM set_b.edge l JOIN set_b.edge r ON l.target = r.source
        LOOP
            RETURN NEXT found;
        END LOOP;
    END LOOP;
END $body$;
SELECT lives_ok($$SELECT factmerge_add_handler('set_b.edge', 'set_b.on_edge')$$, 'so is one that returns rows');
CALL add('set_a', 'p>q o>q');
INSERT INTO set_a.hop2 SELECT 'o', 'q' WHERE false;
CALL add('set_b', 'q>r r>s');
INSERT INTO set_b.hop2 VALUES ('q', 's');
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('set_a', 'set_b')$$, $$VALUES (2::bigint, 2::bigint)$$,
    'factmerge saves the rows; a duplicate is no error');
SELECT bag_eq($$SELECT source || target, factmerge_provenance::text FROM set_b.hop2$$,
    $$VALUES ('qs', 'destination'), ('pr', 'derived'), ('or', 'derived')$$, '... and adds no fact twice');

-- A function in SQL has to return all columns, so the two of factmerge as well
CALL make_network('sql_a');
CALL make_network('sql_b');
SELECT factmerge_prepare('sql_b') \g /dev/null
CREATE FUNCTION sql_b.on_edge(sql_b.edge) RETURNS SETOF sql_b.hop2 LANGUAGE sql AS $body$
    SELECT e.source, $1.target, NULL::factmerge_provenance, NULL::bigint
    FROM sql_b.edge e WHERE e.target = $1.source
    UNION SELECT $1.source, e.target, NULL, NULL
    FROM sql_b.edge e WHERE e.source = $1.target
$body$;
SELECT factmerge_add_handler('sql_b.edge', 'sql_b.on_edge') \g /dev/null
CALL add('sql_a', 'p>q');
CALL add('sql_b', 'q>r');
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('sql_a', 'sql_b')$$, $$VALUES (1::bigint, 1::bigint)$$,
    'a function in SQL returns rows as wide as the table');
SELECT bag_eq($$SELECT source || target, factmerge_provenance::text FROM sql_b.hop2$$, $$VALUES ('pr', 'derived')$$,
    '... and factmerge sees to their tags');

--
-- The first failure: newborn facts are events, whatever side their friends are on
--
CALL make_network('born_a');
CALL make_network('born_b');
CREATE FUNCTION born_b.on_edge(born_b.edge) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO born_b.hop2
        SELECT e.source, $1.target FROM born_b.edge e WHERE e.target = $1.source
        UNION SELECT $1.source, e.target FROM born_b.edge e WHERE e.source = $1.target
        ON CONFLICT DO NOTHING
$body$;
CREATE FUNCTION born_b.on_edge_too(born_b.edge) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO born_b.hop3
        SELECT h.source, $1.target FROM born_b.hop2 h WHERE h.target = $1.source
        ON CONFLICT DO NOTHING
$body$;
CREATE FUNCTION born_b.on_hop2(born_b.hop2) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO born_b.hop3
        SELECT $1.source, e.target FROM born_b.edge e WHERE e.source = $1.target
        ON CONFLICT DO NOTHING
$body$;
SELECT factmerge_add_handler('born_b.edge', 'born_b.on_edge') \g /dev/null
SELECT factmerge_add_handler('born_b.edge', 'born_b.on_edge_too') \g /dev/null
SELECT factmerge_add_handler('born_b.hop2', 'born_b.on_hop2') \g /dev/null
CALL add('born_a', 'p>q');
CALL add('born_b', 'q>r r>s');
INSERT INTO born_b.hop2 VALUES ('q', 's');
-- Hop p>r is new.  All its friends but those at p are in the destination
-- alone; with edge r>s, which is no event of the source, it makes p>s.
SELECT results_eq($$SELECT derived FROM factmerge_merge('born_a', 'born_b')$$, $$VALUES (2::bigint)$$,
    'a fact born in the merge is an event itself');
SELECT bag_eq($$SELECT source || target, factmerge_provenance::text FROM born_b.hop3$$, $$VALUES ('ps', 'derived')$$,
    '... from which its own handlers go on');
SELECT is_empty($$SELECT * FROM factmerge_verify('born_b')$$, '... until nothing is new');

-- Round after round: a chain of edges that alternate between the two sides
CALL make_network('chain_a');
CALL make_network('chain_b');
CREATE FUNCTION chain_b.on_edge(chain_b.edge) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO chain_b.hop2
        SELECT $1.source, $1.target
        ON CONFLICT DO NOTHING
$body$;
CREATE FUNCTION chain_b.on_hop2(chain_b.hop2) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO chain_b.hop2
        SELECT h.source, $1.target FROM chain_b.hop2 h WHERE h.target = $1.source
        UNION SELECT $1.source, h.target FROM chain_b.hop2 h WHERE h.source = $1.target
        ON CONFLICT DO NOTHING
$body$;
SELECT factmerge_add_handler('chain_b.edge', 'chain_b.on_edge') \g /dev/null
SELECT factmerge_add_handler('chain_b.hop2', 'chain_b.on_hop2') \g /dev/null
CALL add('chain_a', '1>2 3>4 5>6 7>8');
CALL add('chain_b', '2>3 4>5 6>7 8>9');
INSERT INTO chain_a.hop2 SELECT source, target FROM chain_a.edge;
INSERT INTO chain_b.hop2 SELECT source, target FROM chain_b.edge;
SELECT results_eq($$SELECT derived FROM factmerge_merge('chain_a', 'chain_b')$$, $$VALUES (28::bigint)$$,
    'a closure is derived over as many rounds as it takes');
SELECT bag_eq($$SELECT source, target FROM chain_b.hop2$$,
    $$SELECT s::text, t::text FROM generate_series(1, 9) s, generate_series(1, 9) t WHERE s < t$$,
    '... in full');

--
-- The second failure: a handler on one table of several that it joins
--
CREATE FUNCTION on_point() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('INSERT INTO %1$I.hop2
        SELECT i.source, o.target FROM %1$I.edge i JOIN %1$I.edge o ON o.source = i.target
        WHERE i.target = $1 ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA) USING NEW.name;
    RETURN NULL;
END $body$;
CREATE FUNCTION put_points_last(schema name) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('CREATE TRIGGER derive AFTER INSERT ON %I.point
        FOR EACH ROW EXECUTE FUNCTION on_point()', schema);
END $body$;
CALL make_network('any_a');
CALL make_network('any_b');
SELECT put_points_last('any_a') \g /dev/null
SELECT put_points_last('any_b') \g /dev/null
CALL add('any_a', 'p>q');
CALL add('any_b', 'q>r');
SELECT results_eq(
    $$SELECT replayed, derived FROM factmerge_merge('any_a', 'any_b')$$, $$VALUES (0::bigint, 0::bigint)$$,
    'found_from any, of a handler that finds only from the point: the point is in both, and skipped');
SELECT bag_eq($$SELECT fact_table::text, fact FROM factmerge_verify('any_b')$$,
    $$VALUES ('any_b.hop2', '{"source": "p", "target": "r"}'::jsonb)$$, 'factmerge_verify tells of the broken promise');
SELECT is_empty('TABLE any_b.hop2', '... and takes what it finds back');

CALL make_network('this_a');
CALL make_network('this_b');
CREATE FUNCTION this_b.on_point(this_b.point) RETURNS void LANGUAGE sql AS $body$
    INSERT INTO this_b.hop2
        SELECT i.source, o.target FROM this_b.edge i JOIN this_b.edge o ON o.source = i.target
        WHERE i.target = $1.name
        ON CONFLICT DO NOTHING
$body$;
SELECT factmerge_add_handler('this_b.point', 'this_b.on_point', found_from => 'this') \g /dev/null
CALL add('this_a', 'p>q x>y');
CALL add('this_b', 'q>r y>y2');
DELETE FROM this_b.edge WHERE source = 'y';
SELECT results_eq(
    $$SELECT events, skipped_in_both, replayed, derived FROM factmerge_merge('this_a', 'this_b')$$,
    -- q has edges of both sides; y, in both too, has one of the source only
    $$VALUES (6::bigint, 1::bigint, 1::bigint, 1::bigint)$$,
    'found_from this: a fact in both whose friends are on different sides is replayed');
SELECT bag_eq($$SELECT source || target FROM this_b.hop2$$, $$VALUES ('pr')$$, '... and the derivation is found');
SELECT is_empty($$SELECT * FROM factmerge_verify('this_b')$$, '... as factmerge_verify confirms');

--
-- Triggers that derive nothing
--
CALL make_network('audit_a');
CALL make_network('audit_b');
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    CALL public.write_log(TG_TABLE_SCHEMA, TG_NAME);
    RETURN NULL;
END $body$;
CREATE TRIGGER audit AFTER INSERT ON audit_b.edge FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER derive AFTER INSERT ON audit_b.edge FOR EACH ROW EXECUTE FUNCTION each_edge();
CREATE TRIGGER resting AFTER INSERT ON audit_b.edge FOR EACH ROW EXECUTE FUNCTION audit();
ALTER TABLE audit_b.edge DISABLE TRIGGER resting;
CREATE TRIGGER before BEFORE INSERT ON audit_b.edge FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE TRIGGER changed AFTER UPDATE ON audit_b.edge FOR EACH ROW EXECUTE FUNCTION audit();
SELECT factmerge_ignore_trigger('audit_b.edge', 'audit') \g /dev/null
CALL add('audit_a', 'p>q');
CALL add('audit_b', 'q>r');
TRUNCATE log_audit_b;
SELECT results_eq($$SELECT handlers FROM factmerge_tables('audit_b') WHERE fact_table = 'audit_b.edge'::regclass$$,
    $$VALUES (ARRAY['row trigger derive'])$$, 'ignored, disabled, BEFORE and UPDATE triggers are no handlers');
SELECT results_eq($$SELECT replayed, derived FROM factmerge_merge('audit_a', 'audit_b')$$, $$VALUES (1::bigint, 1::bigint)$$,
    '... and the handler does its work without them');
SELECT bag_eq($$SELECT logged('audit_b')$$, $$VALUES ('p>q')$$, '... nor do they see a copied fact');
SELECT factmerge_unignore_trigger('audit_b.edge', 'audit') \g /dev/null
CALL add('audit_a', 'o>q');
TRUNCATE log_audit_b;
SELECT lives_ok($$SELECT factmerge_merge('audit_a', 'audit_b')$$, 'a trigger that is no longer ignored ...');
SELECT bag_eq($$SELECT logged('audit_b')$$, $$VALUES ('o>q'), ('audit')$$, '... is a handler again');

--
-- While facts are copied, triggers behave as under logical replication: most do
-- not fire, and those that do cannot rely on a search_path
--
CALL make_network('copy_a');
CALL make_network('copy_b');
CREATE TRIGGER origin BEFORE INSERT ON copy_b.edge FOR EACH STATEMENT EXECUTE FUNCTION audit();
CREATE TRIGGER always BEFORE INSERT ON copy_b.edge FOR EACH STATEMENT EXECUTE FUNCTION audit();
ALTER TABLE copy_b.edge ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER replica AFTER INSERT ON copy_b.edge FOR EACH ROW EXECUTE FUNCTION audit();
ALTER TABLE copy_b.edge ENABLE REPLICA TRIGGER replica;
CALL add('copy_a', 'p>q q>r');
SELECT lives_ok($$SELECT factmerge_merge('copy_a', 'copy_b')$$, 'copying ...');
SELECT bag_eq($$SELECT logged('copy_b')$$, $$VALUES ('always'), ('replica'), ('replica')$$,
    '... fires ENABLE ALWAYS and REPLICA triggers and no others');

--
-- Constraint triggers guard every copied fact
--
CALL make_network('guard_a');
CALL make_network('guard_b');
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF NEW.source = NEW.target THEN
        RAISE EXCEPTION 'a loop at %', NEW.source;
    END IF;
    CALL write_log(TG_TABLE_SCHEMA, NEW.source || NEW.target);
    RETURN NULL;
END $body$;
CREATE CONSTRAINT TRIGGER guard AFTER INSERT ON guard_b.edge FOR EACH ROW EXECUTE FUNCTION guard();
CALL add('guard_a', 'p>q q>r');
CALL add('guard_b', 'p>q');
TRUNCATE log_guard_b;
SELECT results_eq($$SELECT unhandled, replayed FROM factmerge_merge('guard_a', 'guard_b')$$, $$VALUES (5::bigint, 0::bigint)$$,
    'a constraint trigger is no handler');
SELECT bag_eq($$SELECT logged('guard_b')$$, $$VALUES ('qr')$$, '... but sees every copied fact');
CALL add('guard_a', 'r>r');
SELECT throws_ok($$SELECT factmerge_merge('guard_a', 'guard_b')$$, 'P0001', 'a loop at r', '... and can refuse it');
SELECT is_empty($$SELECT FROM guard_b.edge WHERE source = target$$, '... so that nothing is merged');

--
-- Order and search path
--
CALL make_network('order_a');
CALL make_network('order_b');
CREATE FUNCTION order_b.late(order_b.edge) RETURNS void LANGUAGE sql AS $$ CALL write_log('order_b', 'late edge') $$;
CREATE FUNCTION order_b.early(order_b.point) RETURNS void LANGUAGE sql AS $$ CALL write_log('order_b', 'early point') $$;
CREATE FUNCTION order_b.first(order_b.edge) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    n bigint := (SELECT count(*) FROM edge);
BEGIN
    CALL write_log('order_b', 'first edge of ' || n);
END $body$;
SELECT factmerge_add_handler('order_b.edge', 'order_b.late', -1) \g /dev/null
SELECT factmerge_add_handler('order_b.edge', 'order_b.first', 7) \g /dev/null
SELECT factmerge_add_handler('order_b.point', 'order_b.early', 3, 'this') \g /dev/null
CALL add('order_a', 'p>q');
CALL add('order_b', 'q>r');
SELECT lives_ok($$SELECT factmerge_merge('order_a', 'order_b')$$, 'handlers find unqualified names in the destination');
SELECT is(ARRAY(SELECT logged('order_b')), ARRAY['first edge of 2', 'early point', 'late edge'],
    'higher priority runs first, whatever the table');
SELECT lives_ok($$SELECT factmerge_drop_handler('order_b.edge', 'first')$$, 'a handler is taken back by its name');
SELECT results_eq($$SELECT handlers FROM factmerge_tables('order_b') WHERE fact_table = 'order_b.edge'::regclass$$,
    $$VALUES (ARRAY['function order_b.late'])$$, '... and is gone');

--
-- What is declared is checked
--
CREATE FUNCTION order_b.wrong(order_b.edge) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION order_b.other(order_b.point) RETURNS void LANGUAGE sql AS '';
SELECT throws_ok($$SELECT factmerge_add_handler('order_b.edge', 'order_b.wrong')$$, '42P13', NULL,
    'a handler returns void or rows of a fact table');
SELECT throws_ok($$SELECT factmerge_add_handler('order_b.edge', 'order_b.other')$$, '42883', NULL,
    'it takes a fact of its table');
SELECT throws_ok($$SELECT factmerge_add_handler('order_b.edge', 'order_b.late', found_from => 'that')$$, '22023', NULL,
    'found_from is any or this');
SELECT throws_ok($$SELECT factmerge_drop_handler('order_b.edge', 'nobody')$$, '42704', NULL,
    'what is not declared cannot be taken back');
SELECT throws_ok($$SELECT factmerge_ignore_trigger('order_b.edge', 'nobody')$$, '42704', NULL,
    'a trigger that does not exist cannot be ignored');

SELECT * FROM finish();
ROLLBACK;
