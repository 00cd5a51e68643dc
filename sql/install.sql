--
-- install: what CREATE EXTENSION makes, and what DROP EXTENSION leaves
--
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS factmerge CASCADE;

-- Into another schema
CREATE SCHEMA "Merge tools";
CREATE EXTENSION factmerge SCHEMA "Merge tools";
SELECT extname, nspname, extversion, extrelocatable
FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'factmerge';

-- Every object, its kind and its schema, but for types that belong to tables:
-- before PostgreSQL 17 these are no members themselves
SELECT o.type, o.identity
FROM pg_depend d, pg_identify_object(classid, objid, 0) AS o
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'factmerge')
  AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typrelid <> 0 OR t.typelem <> 0))
ORDER BY o.type COLLATE "C", o.identity COLLATE "C";
-- What a user calls starts with factmerge_; nothing runs with its owner's rights
SELECT p.oid::regprocedure, pg_get_function_result(p.oid) LIKE 'SETOF%' OR proretset AS returns_set, provolatile, proisstrict, proparallel, prosecdef
FROM pg_proc p JOIN pg_depend d ON classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'factmerge')
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Every object has a comment; a sequence that belongs to an identity column
-- and the types that belong to tables need none
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'factmerge')
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i')
  AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typrelid <> 0 OR t.typelem <> 0))
ORDER BY 1;
SELECT obj_description(oid, 'pg_extension') IS NOT NULL AS extension_has_comment FROM pg_extension WHERE extname = 'factmerge';

-- Every table and sequence is carried by pg_dump with its rows
SELECT c.oid::regclass AS not_dumped
FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'factmerge') AND relkind IN ('r', 'S')
  AND c.oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'factmerge')::oid[])
ORDER BY 1;
-- No column is of a type that another cluster would read differently
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod)
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = 'factmerge'::regnamespace AND relkind = 'r' AND attnum > 0
  AND atttypid IN ('oid'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype,
                   'regconfig'::regtype, 'regdictionary'::regtype, 'regcollation'::regtype, 'xid'::regtype, 'tid'::regtype);
-- Who may do what: everybody may look, nobody may write
SELECT c.oid::regclass AS relation, has_table_privilege('public', c.oid, 'SELECT') AS may_read,
       has_table_privilege('public', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write
FROM pg_class c WHERE relnamespace = 'factmerge'::regnamespace AND relkind = 'r' ORDER BY c.relname;
SELECT has_schema_privilege('public', 'factmerge', 'USAGE') AS may_use, has_schema_privilege('public', 'factmerge', 'CREATE') AS may_create;

-- The setting
SELECT name, setting, vartype, context, min_val, max_val, boot_val, short_desc IS NOT NULL AS described
FROM pg_settings WHERE name LIKE 'factmerge.%' ORDER BY name;
SET factmerge.no_such_setting = 1;

-- Nothing has been merged yet
SELECT fact_table FROM "Merge tools".factmerge_report();
SELECT key FROM "Merge tools".factmerge_conflicts();

-- It works from there, whatever the search_path
CREATE SCHEMA install_src;
CREATE TABLE install_src.item (id serial PRIMARY KEY, name text UNIQUE);
CREATE SCHEMA install_dst;
CREATE TABLE install_dst.item (id serial PRIMARY KEY, name text UNIQUE);
INSERT INTO install_src.item (name) VALUES ('a'), ('b');
INSERT INTO install_dst.item (name) VALUES ('b'), ('c');
SELECT merge_id, in_both, copied FROM "Merge tools".factmerge_merge('install_src', 'install_dst');
SELECT name, factmerge_provenance, factmerge_merge FROM install_dst.item ORDER BY name;
SELECT merge_id, source, provenance, source_key FROM "Merge tools".factmerge_origin('install_dst.item', 1);
INSERT INTO install_dst.item (name) VALUES ('d') RETURNING name, factmerge_provenance;

-- The extension cannot be merged into, nor with
CREATE SCHEMA install_more;
CREATE TABLE install_more.merge (LIKE factmerge.merge);
SELECT copied FROM "Merge tools".factmerge_merge('install_more', 'factmerge');
DROP SCHEMA install_more CASCADE;

-- The columns and the key maps depend on it: dropping it says so, and with
-- CASCADE the facts stay
DROP EXTENSION factmerge;
DROP EXTENSION factmerge CASCADE;
SELECT id, name FROM install_dst.item ORDER BY id;
SELECT attname FROM pg_attribute WHERE attrelid = 'install_dst.item'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
INSERT INTO install_dst.item (name) VALUES ('e') RETURNING name;
SELECT count(*) AS left_over FROM pg_namespace WHERE nspname = 'factmerge';
SELECT count(*) AS left_over FROM pg_class WHERE relnamespace = '"Merge tools"'::regnamespace;

-- Installed anew, it merges what has been merged before, once the column that
-- has been left is gone
CREATE EXTENSION factmerge SCHEMA "Merge tools";
SELECT copied FROM "Merge tools".factmerge_merge('install_src', 'install_dst');
ALTER TABLE install_dst.item DROP factmerge_merge;
SELECT merge_id, in_both, copied FROM "Merge tools".factmerge_merge('install_src', 'install_dst');
SELECT name, factmerge_provenance, factmerge_merge FROM install_dst.item ORDER BY name;

DROP SCHEMA install_src, install_dst CASCADE;
DROP EXTENSION factmerge CASCADE;
DROP SCHEMA "Merge tools";
