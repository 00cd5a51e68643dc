/*
 * factmerge--1.0--1.1.sql
 *
 * What version 1.1 adds.  CREATE EXTENSION runs it after factmerge--1.0.sql, so
 * that a new installation and one that has been updated are the same.
 */
\echo Use "ALTER EXTENSION factmerge UPDATE TO '1.1'" to load this file. \quit

/*
 * Taking leave
 */
CREATE FUNCTION factmerge_remove_provenance(schema name)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_remove_provenance'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_remove_provenance(name) IS
'drops the columns factmerge_provenance and factmerge_merge from all tables of a schema; returns how many tables had them. Key maps and history stay: the next merge adds the columns again, and facts that are mapped are in both for it. Errors: not the owner of a table, a column that something depends on';
