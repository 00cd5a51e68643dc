-- Who may merge, and with whose rights
--
-- The caller's own: it has to own the destination's fact tables and to be
-- able to read the source's.  Superusers aside, that needs no rights on what
-- the extension keeps in schema factmerge.
BEGIN;
SELECT plan(33);

CREATE ROLE factmerge_owner;
CREATE ROLE factmerge_reader;
CREATE ROLE factmerge_stranger;
GRANT factmerge_owner, factmerge_reader, factmerge_stranger TO CURRENT_USER;

CREATE PROCEDURE make_shop(schema name, owner name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I AUTHORIZATION %2$I;
        SET LOCAL ROLE %2$I;
        CREATE TABLE %1$I.item (id serial PRIMARY KEY, name text UNIQUE, price integer);
        CREATE TABLE %1$I.sale (item integer REFERENCES %1$I.item, day date, PRIMARY KEY (item, day));
        RESET ROLE;
    $ddl$, schema, owner);
END $make$;

CALL make_shop('hers', 'factmerge_owner');
CALL make_shop('his', 'factmerge_stranger');
INSERT INTO hers.item (name, price) VALUES ('tea', 3), ('milk', 1);
INSERT INTO his.item (name, price) VALUES ('bread', 2), ('tea', 4);
INSERT INTO his.sale VALUES (1, '2024-05-17'), (2, '2024-05-18');

--
-- What is refused
--
SET LOCAL ROLE factmerge_owner;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', NULL, 'a source whose schema the caller may not use');
RESET ROLE;
GRANT USAGE ON SCHEMA his TO factmerge_owner;
SET LOCAL ROLE factmerge_owner;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', 'permission denied for table his.item', '... whose tables it may not read');
RESET ROLE;
GRANT SELECT ON his.item TO factmerge_owner;
SET LOCAL ROLE factmerge_owner;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', 'permission denied for table his.sale', '... each of them');
RESET ROLE;
GRANT SELECT ON his.sale TO factmerge_owner;
GRANT USAGE ON SCHEMA hers TO factmerge_reader, factmerge_stranger;
GRANT ALL ON ALL TABLES IN SCHEMA hers TO factmerge_stranger;
SET LOCAL ROLE factmerge_stranger;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', 'must be owner of table hers.item', 'a destination of somebody else''s');
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers', dry_run => true)$$, '42501', NULL, '... even as a dry run');
SELECT throws_ok($$SELECT factmerge_prepare('hers')$$, '42501', NULL, '... or only to prepare it');
SELECT throws_ok($$SELECT * FROM factmerge_verify('hers')$$, '42501', NULL, '... or to verify it');
SELECT throws_ok($$SELECT factmerge_ignore_trigger('hers.item', 'x')$$, '42501', NULL, '... or to ignore its triggers');
RESET ROLE;
SELECT hasnt_column('hers', 'item', 'factmerge_provenance', 'none of that has changed anything');

--
-- What is granted is enough
--
SET LOCAL ROLE factmerge_owner;
SELECT results_eq($$SELECT copied, conflicts FROM factmerge_merge('his', 'hers')$$, 'VALUES (3::bigint, 1::bigint)',
    'the owner of the destination, who may read the source, can merge');
SELECT results_eq($$SELECT copied FROM factmerge_merge('his', 'hers')$$, 'VALUES (0::bigint)', '... again, too');
SELECT results_eq($$SELECT destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))$$, $$VALUES ('3')$$, '... sees the conflicts');
SELECT results_eq($$SELECT source, source_key FROM factmerge_origin('hers.item', 1)$$,
    $$VALUES ('his'::name, '{"id": 2}'::jsonb)$$, '... and the origins');
SELECT results_eq($$SELECT merged_by FROM factmerge.merge GROUP BY 1$$, $$VALUES ('factmerge_owner'::name)$$,
    'the history says who it was');
RESET ROLE;
SELECT results_eq($$SELECT DISTINCT tableowner FROM pg_tables JOIN factmerge.key_map
                    ON map = format('%I.%I', schemaname, tablename)::regclass$$, $$VALUES ('factmerge_owner'::name)$$,
    'the key maps belong to the owner of the facts');

--
-- What others see
--
SET LOCAL ROLE factmerge_reader;
SELECT lives_ok($$SELECT * FROM factmerge_report()$$, 'everybody may read the report');
SELECT lives_ok($$TABLE factmerge.merge$$, '... and the history');
SELECT throws_ok($$SELECT * FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))$$, '42501', NULL, 'conflicts are for those who may read the facts');
SELECT throws_ok($$TABLE factmerge.conflict$$, '42501', NULL, '... by no other way');
SELECT throws_ok($$INSERT INTO factmerge.handler VALUES ('hers.item', 'x', 0, 'any')$$, '42501', NULL,
    'nobody writes to what the extension keeps');
SELECT throws_ok($$SELECT * FROM factmerge_origin('hers.item', 1)$$, '42501', NULL, 'origins show facts');
RESET ROLE;
GRANT SELECT ON hers.item TO factmerge_reader;
SET LOCAL ROLE factmerge_reader;
SELECT lives_ok($$SELECT * FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))$$, 'whoever may read the facts may see conflicts');
RESET ROLE;

--
-- Handlers run as the caller
--
CREATE TABLE secret (word text);
CREATE TABLE who (name name);
GRANT INSERT ON who TO PUBLIC;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO public.who VALUES (current_user);
    RETURN NULL;
END $body$;
CREATE FUNCTION pry() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM FROM public.secret;
    RETURN NULL;
END $body$;
SET LOCAL ROLE factmerge_owner;
CREATE TRIGGER tell AFTER INSERT ON hers.sale FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO hers.sale SELECT id, '2023-01-01' FROM hers.item;
RESET ROLE;
TRUNCATE who;
INSERT INTO his.sale VALUES (1, '2024-05-19');
SET LOCAL ROLE factmerge_owner;
SELECT results_eq($$SELECT replayed FROM factmerge_merge('his', 'hers')$$, 'VALUES (1::bigint)', 'a handler runs ...');
RESET ROLE;
SELECT results_eq('SELECT DISTINCT name FROM who', $$VALUES ('factmerge_owner'::name)$$, '... as the one who merges');
SET LOCAL ROLE factmerge_owner;
CREATE TRIGGER pry AFTER INSERT ON hers.sale FOR EACH STATEMENT EXECUTE FUNCTION pry();
RESET ROLE;
INSERT INTO his.sale VALUES (1, '2024-05-20');
SET LOCAL ROLE factmerge_owner;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', 'permission denied for table secret', '... with no more rights than that');
SELECT is(current_user::text, 'factmerge_owner', 'and the caller is still the caller');
DROP TRIGGER pry ON hers.sale;

RESET ROLE;

--
-- What lies on the caller's search_path before pg_catalog is not taken
--
CREATE SCHEMA trap;
CREATE FUNCTION trap.spring(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'trapped';
END $body$;
CREATE OPERATOR trap.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = trap.spring);
CREATE FUNCTION trap.count() RETURNS bigint LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'trapped';
END $body$;
CREATE TABLE trap.item (x integer);
-- pgTAP would be caught itself, so the path is that of a function
CREATE FUNCTION with_trap(statement text) RETURNS text
LANGUAGE plpgsql SET search_path = trap, pg_catalog, public AS $body$
BEGIN
    EXECUTE statement;
    RETURN 'safe';
EXCEPTION WHEN raise_exception THEN
    RETURN SQLERRM;
END $body$;
SELECT is(with_trap('SELECT 1 = 1'), 'trapped', 'a trap on the search_path ...');
SELECT is(with_trap($$SELECT factmerge_merge('his', 'hers')$$), 'safe', '... does not catch a merge');
SELECT is(with_trap($$SELECT factmerge_origin('hers.item', 1)$$), 'safe', '... nor other calls');

--
-- Row security would hide facts
--
ALTER TABLE his.sale ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE factmerge_owner;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', NULL, 'a source that hides rows is refused');
RESET ROLE;
ALTER TABLE his.sale DISABLE ROW LEVEL SECURITY;
ALTER TABLE hers.sale ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE factmerge_owner;
SELECT lives_ok($$SELECT factmerge_merge('his', 'hers')$$, 'row security does not apply to the owner ...');
RESET ROLE;
ALTER TABLE hers.sale FORCE ROW LEVEL SECURITY;
SET LOCAL ROLE factmerge_owner;
SELECT throws_ok($$SELECT factmerge_merge('his', 'hers')$$, '42501', NULL, '... unless it is forced');
RESET ROLE;
SELECT lives_ok($$SELECT factmerge_merge('his', 'hers')$$, 'a superuser sees all and may merge all');

SELECT * FROM finish();
ROLLBACK;
