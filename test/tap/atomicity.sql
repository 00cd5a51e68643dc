-- A merge happens or does not: whatever stops it leaves no trace, and does not
-- stand in the way of the next one
BEGIN;
SELECT plan(26);

-- Points, edges between them, and their transitive closure, kept by triggers
\ir include/network.sql

-- Everything that a merge of a into b could leave behind: facts with all their
-- columns, the columns, the relations of schema factmerge, and what it keeps
-- there
CREATE FUNCTION traces() RETURNS SETOF text LANGUAGE plpgsql AS $trace$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('a', 'b', 'factmerge') AND relkind = 'r' ORDER BY 1
    LOOP
        RETURN NEXT 'table ' || relation;
        RETURN QUERY EXECUTE format('SELECT %L || to_jsonb(x)::text FROM %s x', relation, relation);
        RETURN QUERY SELECT format('column %s of %s default %s', attname, relation, pg_get_expr(adbin, adrelid))
            FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid = relation AND attnum > 0;
    END LOOP;
    RETURN QUERY SELECT 'temporary ' || relname FROM pg_class
        WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'factmerge%';
    RETURN QUERY SELECT name || ' = ' || setting FROM pg_settings
        WHERE name IN ('search_path', 'session_replication_role', 'row_security');
    RETURN NEXT 'tag for a new fact: ' || factmerge.current_provenance();
END $trace$;

CREATE FUNCTION context_of(statement text) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    context text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RETURN context;
END $body$;

CALL make_network('a');
CALL make_network('b');
CALL make_network('c');
CALL add('a', 'p>q x>y');
CALL add('b', 'q>r y>z');
CALL add('c', 'q>r r>s');

-- A handler that raises for one path, after it has inserted others
CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF current_setting('test.trip', true) = 'on'
        AND (SELECT name FROM b.point WHERE id = NEW.target) = 'z' THEN
        RAISE EXCEPTION 'no way to z' USING ERRCODE = 'ZZ001';
    END IF;
    RETURN NULL;
END $body$;
CREATE TRIGGER trip AFTER INSERT ON b.path FOR EACH ROW EXECUTE FUNCTION trip();
CREATE TEMPORARY TABLE before AS SELECT * FROM traces();

--
-- A handler that raises in the middle of a first merge
--
SET LOCAL test.trip = on;
SELECT throws_ok($$SELECT factmerge_merge('a', 'b')$$, 'ZZ001', 'no way to z', 'a handler that raises aborts the merge');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE before', '... and nothing has happened');
SELECT matches(context_of($$SELECT factmerge_merge('a', 'b')$$),
    'handler derive for fact \(source\)=\(\d+\) ?, ?\(target\)=\(\d+\)|handler derive for fact \(source, target\)=\(\d+, \d+\) of table "(path|edge)"',
    'the context names the handler and the fact');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE before', 'again, nothing has happened');

-- Within a savepoint, with something done before
SAVEPOINT attempt;
CALL add('b', 'k>l');
SELECT throws_ok($$SELECT factmerge_merge('a', 'b')$$, 'ZZ001', NULL, 'what was done before the failure ...');
SELECT set_has($$SELECT facts('b')$$, $$VALUES ('path kl')$$, '... in the same transaction stays');
ROLLBACK TO attempt;

-- A merge that has succeeded goes with its savepoint
SET LOCAL test.trip = off;
SAVEPOINT attempt;
SELECT lives_ok($$SELECT factmerge_merge('a', 'b')$$, 'a merge that succeeds ...');
SELECT set_has($$SELECT facts('b')$$, $$VALUES ('path xz'), ('path pr')$$, '... has effect');
ROLLBACK TO attempt;
SELECT bag_eq('SELECT * FROM traces()', 'TABLE before', '... and is undone with its savepoint');

-- Then it works
SELECT results_eq($$SELECT copied, derived FROM factmerge_merge('a', 'b')$$, 'VALUES (6::bigint, 2::bigint)',
    'after all that the merge works');
SELECT results_eq($$SELECT count(*) FROM factmerge.merge$$, 'VALUES (1::bigint)', '... and is the only one in the history');

--
-- The same for a later merge, with columns, key maps and history in place
--
CALL add('c', 's>z');
CREATE TEMPORARY TABLE merged AS SELECT * FROM traces();
SET LOCAL test.trip = on;
SELECT throws_ok($$SELECT factmerge_merge('c', 'b')$$, 'ZZ001', NULL, 'a later merge that fails ...');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE merged', '... leaves tags, key maps and history as they were');
SET LOCAL test.trip = off;
CALL add('a', 'z>x');
CREATE TEMPORARY TABLE grown AS SELECT * FROM traces();
SET LOCAL test.trip = on;
SELECT throws_ok($$SELECT factmerge_merge('a', 'b')$$, 'ZZ001', NULL, 'one of the same source, too ...');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE grown', '... even for its own key maps');
SET LOCAL test.trip = off;

--
-- A merge within a merge
--
CREATE FUNCTION merge_more() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM public.factmerge_merge('c', 'b');
    RETURN NULL;
END $body$;
CREATE TRIGGER merge_more AFTER INSERT ON b.path FOR EACH ROW EXECUTE FUNCTION merge_more();
SELECT throws_ok($$SELECT factmerge_merge('a', 'b')$$, '55006', NULL, 'a handler cannot merge');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE grown', '... and nothing has happened');
DROP TRIGGER merge_more ON b.path;

-- A handler that catches the error goes on
CREATE FUNCTION try_more() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    BEGIN
        PERFORM public.factmerge_merge('c', 'b');
    EXCEPTION WHEN object_in_use THEN
        NULL;
    END;
    RETURN NULL;
END $body$;
CREATE TRIGGER a_try_more AFTER INSERT ON b.path FOR EACH ROW EXECUTE FUNCTION try_more();
SELECT lives_ok($$SELECT factmerge_merge('a', 'b', dry_run => true)$$, '... unless it is content with the refusal');
SELECT results_eq($$SELECT derived FROM factmerge_merge('a', 'b', dry_run => true)$$,
    -- the circle x y z: x>x y>y z>z y>x; z>y is in a
    $$SELECT count(*) FROM (VALUES ('xx'), ('yy'), ('zz'), ('yx')) new$$,
    '... and what it derives after that is still tagged derived');
DROP TRIGGER a_try_more ON b.path;

--
-- What is refused is refused before anything is written
--
SELECT throws_ok($$SELECT factmerge_merge('a', 'nowhere')$$, '3F000', NULL, 'no such schema');
SELECT throws_ok($$SELECT factmerge_merge('b', 'b')$$, '22023', NULL, 'a schema into itself');
ALTER TABLE a.edge ADD COLUMN length real;
SELECT throws_ok($$SELECT factmerge_merge('a', 'b')$$, '42703', NULL, 'a column that only the source has');
ALTER TABLE a.edge DROP COLUMN length;
CREATE TABLE a.lonely (x integer);
SELECT throws_ok($$SELECT factmerge_merge('a', 'b')$$, '42P01', NULL, 'a table that only the source has');
DROP TABLE a.lonely;
SELECT is_empty('SELECT * FROM (SELECT t FROM traces() t EXCEPT SELECT * FROM grown) x WHERE t !~ ''^column \.''',
    'all of them leave things as they were');
SELECT lives_ok($$SELECT factmerge_merge('a', 'b')$$, 'then it works');
SELECT is_empty($$SELECT * FROM factmerge_verify('b')$$, '... and the result is saturated');

SELECT * FROM finish();
ROLLBACK;
