--
-- names: schemas given as regnamespace, handlers as regprocedure or with their argument,
-- targets of rules without columns
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SELECT factmerge_trim_history('0') >= 0 AS trimmed;
CREATE SCHEMA "Names a";
CREATE SCHEMA names_b;
DO $$
DECLARE
    s name;
BEGIN
    FOREACH s IN ARRAY '{Names a,names_b}'::name[] LOOP
        PERFORM set_config('search_path', quote_ident(s), true);
        CREATE TABLE spot (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE edge (a integer REFERENCES spot, b integer REFERENCES spot, PRIMARY KEY (a, b));
        CREATE TABLE hop (a integer REFERENCES spot, c integer REFERENCES spot, PRIMARY KEY (a, c));
        CREATE TABLE log (name text PRIMARY KEY);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER noted AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION noted();
    END LOOP;
    SET LOCAL search_path = public;
    INSERT INTO "Names a".spot (name) VALUES ('p'), ('q'), ('r');
    INSERT INTO names_b.spot (name) VALUES ('r'), ('s');
    INSERT INTO "Names a".edge VALUES (1, 2), (2, 3);
    INSERT INTO names_b.edge VALUES (1, 2);
END $$;

-- Whatever takes a schema takes it as either
SELECT p.oid::regprocedure AS only_by_name
FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'factmerge')
  AND EXISTS (SELECT FROM generate_series(1, pronargs) n
              WHERE proargnames[n] IN ('schema', 'source', 'destination') AND proargtypes[n - 1] = 'name'::regtype)
  AND NOT EXISTS (SELECT FROM pg_proc o
                  WHERE (o.proname, o.pronamespace, o.prosrc, o.prokind, o.prorettype, o.proretset, o.provolatile, o.proisstrict, o.proparallel)
                      = (p.proname, p.pronamespace, p.prosrc, p.prokind, p.prorettype, p.proretset, p.provolatile, p.proisstrict, p.proparallel)
                    AND o.proargnames = p.proargnames
                    AND o.proargmodes IS NOT DISTINCT FROM p.proargmodes
                    AND replace(pg_get_function_identity_arguments(o.oid), 'regnamespace', 'name')
                      = pg_get_function_identity_arguments(p.oid)
                    AND o.oid <> p.oid);

-- Schemas
SELECT factmerge_prepare('names_b'::regnamespace);
SELECT outcome, fact_table, facts FROM factmerge_preview('"Names a"'::regnamespace, 'names_b'::regnamespace, examples => 0);
SELECT copied, in_both FROM factmerge_merge('"Names a"'::regnamespace, 'names_b'::regnamespace, dry_run => true);
SELECT copied, in_both FROM factmerge_merge(destination => 'names_b'::regnamespace, source => '"Names a"'::regnamespace);
-- One of two may be a literal
SELECT copied, in_both FROM factmerge_merge('Names a', 'names_b', true);
SELECT copied, in_both FROM factmerge_merge('"Names a"'::regnamespace, 'names_b', dry_run => true);
CALL factmerge_run('"Names a"'::regnamespace, 'names_b'::regnamespace);
CALL factmerge_run('"Names a"'::regnamespace, 'names_b'::regnamespace, wait => true);
CALL factmerge_merge_in_batches('"Names a"'::regnamespace, 'names_b'::regnamespace);
CALL factmerge_merge_in_batches('"Names a"'::regnamespace, 'names_b'::regnamespace, batch => 1);
SELECT source, destination, status FROM factmerge_history ORDER BY merge_id;
SELECT fact_table FROM factmerge_tables('names_b'::regnamespace);
SELECT fact_table, friend_table FROM factmerge_friends('names_b'::regnamespace) WHERE fact_table = 'names_b.log'::regclass;
SELECT factmerge_ignore_triggers('names_b'::regnamespace);
SELECT factmerge_unignore_triggers('names_b'::regnamespace);
SELECT count(*) FROM factmerge_verify('names_b'::regnamespace, sample => 1);
SELECT factmerge_saturate('names_b'::regnamespace);
SELECT source, destination, facts FROM factmerge_sources('names_b'::regnamespace);
-- A row of the catalog names a schema, too
SELECT nspname, (SELECT count(*) FROM factmerge_tables(n.oid)) AS fact_tables
FROM pg_namespace n WHERE nspname IN ('Names a', 'names_b') ORDER BY nspname COLLATE "C";
SELECT factmerge_forget_source('"Names a"'::regnamespace);
SELECT copied, in_both FROM factmerge_merge('Names a', 'names_b');
SELECT factmerge_forget_source('"Names a"'::regnamespace, 'names_b'::regnamespace);
SELECT factmerge_remove_provenance('names_b'::regnamespace);

-- Literals and parameters are names, in every form of a call
SELECT count(*) FROM factmerge_tables('names_b');
SELECT count(*) FROM factmerge_tables(schema => 'names_b');
SELECT count(*) FROM factmerge_sources();
SELECT count(*) FROM factmerge_sources(NULL);
SELECT count(*) FROM factmerge_sources('names_b');
SELECT factmerge_tables(NULL);
SELECT factmerge_drop_rule('none', 'names_b');
SELECT factmerge_drop_rule('none', schema => 'names_b');
SELECT factmerge_drop_rule('none');
SELECT factmerge_forget_source('nowhere');
SELECT factmerge_forget_source('nowhere', NULL);
SELECT factmerge_merge(NULL, NULL);
CALL factmerge_run('nowhere', 'names_b', true);
PREPARE names (unknown, unknown) AS SELECT copied, in_both FROM factmerge_merge($1, $2, dry_run => true);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'names';
EXECUTE names ('Names a', 'names_b');
DEALLOCATE names;
SELECT count(*) FROM factmerge_tables('names_b'::text);
SELECT count(*) FROM factmerge_tables('names_b'::varchar);

-- What is no schema, or none any more
SELECT factmerge_tables('nowhere'::regnamespace);
SELECT factmerge_tables(NULL::regnamespace);
SELECT factmerge_tables('1'::regnamespace);
SELECT factmerge_merge('names_b'::regnamespace, '1'::regnamespace);
CALL factmerge_run('1'::regnamespace, 'names_b'::regnamespace);

-- Handlers
CREATE FUNCTION names_b.note(p names_b.spot) RETURNS void LANGUAGE sql
AS $$ INSERT INTO names_b.log VALUES (p.name) ON CONFLICT DO NOTHING $$;
CREATE FUNCTION names_b.note(e names_b.edge) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION names_b.note(p names_b.spot, twice boolean) RETURNS void LANGUAGE sql AS '';
SELECT factmerge_add_handler('names_b.spot', 'names_b.note(names_b.spot)');
SELECT fact_table, handlers FROM factmerge_tables('names_b') WHERE handlers <> '{}';
SELECT factmerge_drop_handler('names_b.spot', 'names_b.note(names_b.spot)');
SELECT factmerge_add_handler('names_b.spot', 'names_b.note(names_b.spot)'::regprocedure, priority => 3);
SELECT handler, priority FROM factmerge.handler WHERE fact_table = 'names_b.spot'::regclass;
SELECT factmerge_drop_handler('names_b.spot', 'names_b.note(names_b.spot)'::regprocedure);
SET search_path = names_b, public;
SELECT factmerge_add_handler('spot', 'note');
SELECT factmerge_drop_handler('spot', 'note(spot)');
SELECT factmerge_add_handler('spot', ' "note" ( IN p spot ) ');
SELECT factmerge_add_handler('edge', 'note(edge)'::regprocedure::text);
SELECT handler, fact_table FROM factmerge.handler WHERE fact_table IN ('spot'::regclass, 'edge'::regclass) ORDER BY 2;
-- Several tables have one of that name, but only one takes that argument
SELECT count(*) FROM factmerge_check_handler('note');
SELECT count(*) FROM factmerge_check_handler('note(edge)');
SELECT count(*) FROM factmerge_check_handler('note(edge)', sample => 5);
SELECT count(*) FROM factmerge_check_handler('note(spot)'::regprocedure);
SELECT count(*) FROM factmerge_check_handler('note(spot)', 'spot');
SELECT count(*) FROM factmerge_check_handler('noted', 'log');
-- Others do not
SELECT factmerge_check_handler('note(spot)', 'edge');
SELECT factmerge_check_handler('note(log)');
SELECT factmerge_check_handler('note(integer)');
SELECT factmerge_check_handler('note(nothing)');
SELECT factmerge_check_handler('note()');
SELECT factmerge_check_handler('noted()');
SELECT factmerge_add_handler('spot', 'note(edge)');
SELECT factmerge_add_handler('spot', 'note(spot, boolean)'::regprocedure);
SELECT factmerge_add_handler('spot', 'note(nothing)');
SELECT factmerge_add_handler('log', 'note(log)');
SELECT factmerge_add_handler('spot', 'note(spot');
SELECT factmerge_add_handler('spot', 'note(spot) IS NULL; SELECT (');
SELECT factmerge_add_handler('spot', 'note(spot) IS NULL; COMMENT ON FUNCTION note(spot)');
SELECT factmerge_add_handler('spot', '1'::regprocedure);
SELECT factmerge_add_handler('spot', NULL::regprocedure);
SELECT factmerge_drop_handler('spot', 'note(edge)');
SELECT factmerge_drop_handler('edge', 'note(spot)'::regprocedure);
SELECT handler, fact_table FROM factmerge.handler WHERE fact_table IN ('spot'::regclass, 'edge'::regclass) ORDER BY 2;
-- What is gone can be dropped so
DROP FUNCTION note(edge);
SELECT factmerge_drop_handler('edge', 'note(edge)');
SELECT factmerge_drop_handler('spot', 'note(names_b.spot)');
-- Names that have parentheses in them
CREATE FUNCTION "note(spot)"(p spot) RETURNS void LANGUAGE sql AS '';
SELECT factmerge_add_handler('spot', '"note(spot)"');
SELECT count(*) FROM factmerge_check_handler('"note(spot)"(spot)');
SELECT factmerge_drop_handler('spot', '"note(spot)"(spot)');
CREATE TRIGGER "noted(log, " AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION noted();
SELECT count(*) FROM factmerge_check_handler('noted(log, ');
DROP TRIGGER "noted(log, " ON log;

-- Targets of rules
SELECT factmerge_add_rule('hops', 'hop', 'SELECT f.b AS c, e.a FROM edge e JOIN edge f ON f.a = e.b');
SELECT name, target, columns FROM factmerge_rules('names_b'::regnamespace);
SELECT factmerge_saturate('names_b');
SELECT p.name, q.name FROM hop JOIN spot p ON p.id = hop.a JOIN spot q ON q.id = hop.c ORDER BY 1, 2;
SELECT count(*) FROM factmerge_verify('names_b'::regnamespace);
SELECT factmerge_add_rule('hops', 'names_b.hop', 'SELECT a, b AS c FROM edge UNION SELECT b, a FROM edge');
SELECT columns FROM factmerge_rules('names_b');
SELECT factmerge_add_rule('hops', 'hop', 'WITH w AS (SELECT a, b AS c FROM edge) SELECT * FROM w');
SELECT columns FROM factmerge_rules('names_b');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a, b FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a, b + 0 FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a, b AS a FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a, b AS c, a AS ctid FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT * FROM edge e JOIN hop h USING (a)');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a, a AS c, a AS factmerge_merge FROM edge');
SELECT factmerge_add_rule('hops', 'hop', 'VALUES (1, 2)');
SELECT factmerge_add_rule('hops', 'hop', 'SELECT a, nothing AS c FROM edge');
SELECT factmerge_add_rule('hops', 'hop AS h', 'SELECT a, b AS c FROM edge');
SELECT factmerge_add_rule('hops', 'hop SELECT 1 --', 'SELECT a, b AS c FROM edge');
SELECT factmerge_add_rule('hops', 'hop DEFAULT VALUES --', 'SELECT a, b AS c FROM edge');
SELECT factmerge_add_rule('hops', 'nothing', 'SELECT a, b AS c FROM edge');
SELECT factmerge_drop_rule('hops', 'names_b'::regnamespace);
RESET search_path;

DROP SCHEMA "Names a", names_b CASCADE;
SELECT factmerge_trim_history('0') >= 0 AS trimmed;
