--
-- upgrade: a database that began with version 1.0 comes to the same as a new one
--
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS factmerge CASCADE;

-- What there is, with all that is visible of it
CREATE VIEW extension_objects AS
SELECT o.type, o.identity, obj_description(d.objid, d.classid::regclass::name) AS comment,
    CASE d.classid WHEN 'pg_proc'::regclass THEN (SELECT to_jsonb(p) - 'oid' - 'pronamespace' - 'proowner' - 'prorettype' - 'proargtypes' - 'proallargtypes'
                                                  FROM pg_proc p WHERE p.oid = d.objid)::text || pg_get_function_arguments(d.objid)
        || ' ' || pg_get_function_result(d.objid)
    WHEN 'pg_class'::regclass THEN
        (SELECT string_agg(format('%s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)), ', ' ORDER BY attnum)
         FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = d.objid AND attnum > 0 AND NOT attisdropped)
        || (SELECT format(' %s %s ', c.relkind, c.relacl) || coalesce(pg_get_viewdef(c.oid), '')
            || coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ', ' ORDER BY conname) FROM pg_constraint k WHERE conrelid = c.oid), '')
            || coalesce((SELECT string_agg(pg_get_indexdef(i.indexrelid), ', ' ORDER BY indexrelid::regclass::text) FROM pg_index i WHERE indrelid = c.oid), '')
            FROM pg_class c WHERE c.oid = d.objid)
    END AS definition,
    d.objid = ANY ((SELECT extconfig FROM pg_extension WHERE extname = 'factmerge')::oid[]) AS dumped
FROM pg_depend d, pg_identify_object(classid, objid, 0) AS o
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
    AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'factmerge');

CREATE EXTENSION factmerge;
SELECT count(*) > 50 AS many FROM extension_objects;
CREATE TABLE new_installation AS SELECT * FROM extension_objects;
DROP EXTENSION factmerge;

-- A database that has merged with version 1.0
CREATE EXTENSION factmerge VERSION '1.0';
CREATE SCHEMA upgrade_src;
CREATE TABLE upgrade_src.item (id serial PRIMARY KEY, name text UNIQUE);
CREATE SCHEMA upgrade_dst;
CREATE TABLE upgrade_dst.item (id serial PRIMARY KEY, name text UNIQUE, price integer);
INSERT INTO upgrade_src.item (name) VALUES ('a'), ('b');
INSERT INTO upgrade_dst.item (name) VALUES ('b'), ('c');
SELECT factmerge_set_sameness('upgrade_dst.item', key => '{name}');
SELECT in_both, copied FROM factmerge_merge('upgrade_src', 'upgrade_dst');
CREATE TABLE upgrade_dst.pair (a text, b text, PRIMARY KEY (a, b));
SELECT factmerge_add_rule('pairs', 'upgrade_dst.pair(a, b)', 'SELECT i.name, j.name FROM item i JOIN item j ON i.name < j.name');
INSERT INTO upgrade_dst.item (name) VALUES ('z');
SELECT count(*) FROM upgrade_dst.pair;
ALTER EXTENSION factmerge UPDATE;
SELECT extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'factmerge') AS latest FROM pg_extension WHERE extname = 'factmerge';

-- It is the same as a new one
SELECT 'missing' AS is, type, identity, definition FROM (SELECT * FROM new_installation EXCEPT SELECT * FROM extension_objects) AS x
UNION ALL
SELECT 'too many', type, identity, definition FROM (SELECT * FROM extension_objects EXCEPT SELECT * FROM new_installation) AS x
ORDER BY 1, 3;

-- ... and goes on from where it was
SELECT name, body FROM factmerge.rule;
SELECT source, destination, in_both, copied FROM factmerge.merge;
SELECT fact_table, sameness FROM factmerge_tables('upgrade_dst');
INSERT INTO upgrade_src.item (name) VALUES ('d');
SELECT in_both, copied FROM factmerge_merge('upgrade_src', 'upgrade_dst');
SELECT name, factmerge_provenance, factmerge_merge FROM upgrade_dst.item ORDER BY name;

DROP VIEW extension_objects;
DROP TABLE new_installation;
DROP SCHEMA upgrade_src, upgrade_dst CASCADE;
