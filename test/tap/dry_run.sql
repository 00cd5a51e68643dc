-- A dry run reports what a merge would, and leaves nothing behind
BEGIN;
SELECT plan(20);

-- Points, edges between them, and their transitive closure, kept by triggers
\ir include/network.sql

-- Everything that could stay behind
CREATE FUNCTION traces() RETURNS SETOF text LANGUAGE plpgsql AS $trace$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('a', 'b', 'factmerge') AND relkind IN ('r', 'S') ORDER BY 1
    LOOP
        RETURN NEXT 'relation ' || relation;
        RETURN QUERY EXECUTE format(CASE relkind WHEN 'S' THEN
                'SELECT %L || format('' at %%s %%s'', last_value, is_called) FROM %s'
            ELSE 'SELECT %L || to_jsonb(x)::text FROM %s x' END, relation, relation)
            FROM pg_class WHERE oid = relation;
        RETURN QUERY SELECT format('column %s of %s', attname, relation)
            FROM pg_attribute WHERE attrelid = relation AND attnum > 0;
    END LOOP;
    RETURN QUERY SELECT 'temporary ' || relname FROM pg_class
        WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'factmerge%';
    RETURN QUERY SELECT name || ' = ' || setting FROM pg_settings
        WHERE name IN ('search_path', 'session_replication_role', 'row_security');
    RETURN NEXT 'tag for a new fact: ' || factmerge.current_provenance();
END $trace$;

-- The totals but for number and time
CREATE FUNCTION totals(source name, destination name, dry_run boolean) RETURNS jsonb LANGUAGE sql AS $body$
    SELECT to_jsonb(m) - ARRAY['merge_id', 'elapsed'] FROM factmerge_merge(source, destination, dry_run) m
$body$;

CALL make_network('a');
CALL make_network('b');
CALL make_network('c');
CALL add('a', 'p>q x>y v>w');
CALL add('b', 'q>r y>z v>w');
CALL add('c', 'r>s v>w z>p');

--
-- Before the first merge
--
CREATE TEMPORARY TABLE before AS SELECT * FROM traces();
CREATE TEMPORARY TABLE dry AS SELECT * FROM factmerge_merge('a', 'b', dry_run => true);
SELECT results_eq('SELECT merge_id, fact_tables FROM dry', 'VALUES (NULL::bigint, 3)', 'a dry run has no number');
SELECT ok((SELECT elapsed > interval '0' FROM dry), '... but takes its time');
SELECT results_eq('SELECT copied, derived FROM dry', 'VALUES (6::bigint, 2::bigint)', 'it counts what a merge would do');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE before', '... and leaves nothing behind, not even in the sequences');
SELECT throws_ok('SELECT * FROM factmerge_report()', 'P0002', NULL, '... nor in the history');
SELECT is(totals('a', 'b', true), (SELECT to_jsonb(d) - ARRAY['merge_id', 'elapsed'] FROM dry d), 'twice is the same');
SELECT is(totals('a', 'b', false), (SELECT to_jsonb(d) - ARRAY['merge_id', 'elapsed'] FROM dry d),
    'the merge itself reports the same figures');

-- Keys are those that the merge would have drawn without the dry runs
SELECT results_eq($$SELECT max(id) FROM b.point$$,
    -- q r y z v w were first, then came p x
    'VALUES (8)', 'dry runs use up no keys');

--
-- A second merge of the same source, and one of another
--
CREATE TEMPORARY TABLE merged AS SELECT * FROM traces();
SELECT is((SELECT (t ->> 'copied')::int + (t ->> 'derived')::int FROM totals('a', 'b', true) t), 0, 'nothing is left to do');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE merged', '... nor done');
CREATE TEMPORARY TABLE dry_c AS SELECT totals('c', 'b', true) AS t;
SELECT cmp_ok((SELECT (t ->> 'derived')::int FROM dry_c), '>', 0, 'another source has something to add');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE merged', '... but a dry run adds nothing');
SELECT is(totals('c', 'b', false), (SELECT t FROM dry_c), '... and the merge does what was foretold');

--
-- Errors are those of the merge
--
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'not here' USING ERRCODE = 'ZZ002';
END $body$;
CREATE TRIGGER refuse AFTER INSERT ON b.path FOR EACH ROW EXECUTE FUNCTION refuse();
CALL add('a', 'w>p');
CREATE TEMPORARY TABLE refusing AS SELECT * FROM traces();
SELECT throws_ok($$SELECT factmerge_merge('a', 'b', dry_run => true)$$, 'ZZ002', 'not here',
    'a handler that raises does so in a dry run');
SELECT bag_eq('SELECT * FROM traces()', 'TABLE refusing', '... which leaves nothing behind either');
DROP TRIGGER refuse ON b.path;
SELECT throws_ok($$SELECT factmerge_merge('a', 'a', dry_run => true)$$, '22023', NULL, 'what a merge refuses, a dry run refuses');

--
-- Conflicts are counted, not recorded
--
CREATE SCHEMA old;
CREATE SCHEMA new;
CREATE TABLE old.city (name text PRIMARY KEY, inhabitants integer);
CREATE TABLE new.city (name text PRIMARY KEY, inhabitants integer);
INSERT INTO old.city VALUES ('Oslo', 500000), ('Bergen', 250000), ('Moss', NULL);
INSERT INTO new.city VALUES ('Oslo', 700000), ('Bergen', 250000), ('Moss', 50000);
SELECT is((totals('old', 'new', true) ->> 'conflicts')::int, 2, 'a dry run counts conflicts');
SELECT is_empty($$SELECT FROM factmerge.conflict WHERE fact_table = 'new.city'::regclass$$, '... and records none');
SELECT is((totals('old', 'new', false) ->> 'conflicts')::int, 2, 'a merge counts as many');
SELECT results_eq($$SELECT key ->> 'name', source_value, destination_value FROM factmerge_conflicts() ORDER BY 1$$,
    $$VALUES ('Moss', NULL, '50000'), ('Oslo', '500000', '700000')$$, '... and records them');

SELECT * FROM finish();
ROLLBACK;
