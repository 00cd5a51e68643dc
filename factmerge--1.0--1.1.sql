/*
 * factmerge--1.0--1.1.sql
 *
 * What version 1.1 adds.  CREATE EXTENSION runs it after factmerge--1.0.sql, so
 * that a new installation and one that has been updated are the same.
 */
\echo Use "ALTER EXTENSION factmerge UPDATE TO '1.1'" to load this file. \quit

/*
 * Runs that are scheduled, and what became of them
 *
 * What an error says may hold values of the users' rows, so failures are read
 * through factmerge_history, which shows that to whoever has the role.
 */
CREATE TABLE factmerge.failure (
	failure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	source name NOT NULL,
	destination name NOT NULL,
	merged_by name NOT NULL,
	merged_at timestamptz NOT NULL,
	elapsed interval NOT NULL,
	sqlstate text NOT NULL,
	message text NOT NULL,
	detail text,
	hint text,
	context text
);
COMMENT ON TABLE factmerge.failure IS 'one row per call of factmerge_run() that has failed';
SELECT pg_catalog.pg_extension_config_dump('factmerge.failure', '');
SELECT pg_catalog.pg_extension_config_dump('factmerge.failure_failure_id_seq', '');

/*
 * pg_restore, with several jobs, does not keep to the order that foreign keys between
 * the extension's own tables ask for
 */
ALTER TABLE factmerge.merge_table DROP CONSTRAINT merge_table_merge_id_fkey;
ALTER TABLE factmerge.conflict DROP CONSTRAINT conflict_merge_id_fkey;

ALTER TABLE factmerge.merge
	ADD COLUMN trimmed boolean NOT NULL DEFAULT false,
	ADD COLUMN undone boolean NOT NULL DEFAULT false;

/*
 * Every merge asks for these, but would not have the history in its way under
 * SERIALIZABLE, so that they are a table of their own
 */
CREATE TABLE factmerge.unfinished (
	merge_id bigint PRIMARY KEY
);
COMMENT ON TABLE factmerge.unfinished IS 'merges in batches that have not come to their end';
GRANT SELECT ON factmerge.unfinished TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.unfinished', '');

/*
 * What a rule reads, as it was when the rule was declared: unknown to those that were
 * dumped from version 1.0
 */
ALTER TABLE factmerge.rule
	ADD COLUMN body regclass[];
COMMENT ON COLUMN factmerge.rule.body IS 'the fact tables that the rule has read when it was declared';
CREATE FUNCTION factmerge_ignore_triggers(schema name)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_ignore_triggers'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_ignore_triggers(name) IS
'declares that all AFTER INSERT triggers which the fact tables of a schema have by now derive nothing; returns how many were not ignored yet. A trigger that is created later is a handler. Errors: no such schema, not the owner of a fact table';
CREATE FUNCTION factmerge_unignore_triggers(schema name)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_unignore_triggers'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unignore_triggers(name) IS
'takes back factmerge_ignore_triggers(), and factmerge_ignore_trigger() for all triggers of a schema; returns how many were ignored. Errors: no such schema, not the owner of a fact table';
COMMENT ON FUNCTION factmerge_check_handler(text, regclass, integer) IS
'tries out on real facts whether a handler, a trigger or a declared function, keeps its contract: adding twice changes nothing; any order of arrival gives the same; each derivation is found whichever of its facts arrives last; whatever it combines is a friend, or else the declaration that is missing; it only adds facts. A sample of about that many facts, which hang together by foreign keys, arrives again and again in tables that are emptied in a subtransaction; everything is taken back. Returns a row for each promise: passed is null if it has not been tried, and detail says why. fact_table is needed if several tables have a handler of the name. Locks the fact tables until the end of the transaction, as TRUNCATE does. Errors: no such handler, not the owner of the fact tables, a sample below 1 or above 10000';
COMMENT ON FUNCTION factmerge_ignore_trigger(regclass, name) IS
'declares that an AFTER INSERT trigger derives nothing (it audits, notifies, keeps a counter), so that no merge replays events to it; with null, all that the table has by now. A trigger that is created later is a handler. Errors: no such trigger, not the owner';
COMMENT ON FUNCTION factmerge_unignore_trigger(regclass, name) IS
'takes back factmerge_ignore_trigger(); with null, for all triggers of the table. Errors: not declared, not the owner';
COMMENT ON FUNCTION factmerge_ignore(regclass) IS
'declares that a table holds no facts (a queue, the bookkeeping of migrations), so that merges leave it alone; for a table that only the source has, on that one, otherwise on the destination''s. What refers to it is kept as it is. Errors: not a table, part of a rule, not the owner';
COMMENT ON FUNCTION factmerge_unignore(regclass) IS
'takes back factmerge_ignore(). Errors: not declared, part of a rule, not the owner';
COMMENT ON FUNCTION factmerge_add_rule(name, text, text) IS
'declares that each row of query is a fact of target, which is written table(column, ...), or as a table alone if the query calls its columns like those of the table. Names in query are looked up in the target''s schema first, then on search_path; a rule''s name is unique in that schema, and declaring it again replaces the rule. Merges derive what follows from facts of both sides, and triggers what follows from an ordinary INSERT into a fact table that the query reads; what follows from facts that are there already, factmerge_saturate() derives. Errors: a query that is not monotone (aggregates, NOT EXISTS, EXCEPT, outer joins, window functions or LIMIT over facts, volatile functions), reads no fact table or only a part of one, columns that do not fit, cannot be given or must not be left out, not the owner of target and of the fact tables that query reads';

/*
 * What a merge has said of handlers
 *
 * It names facts as examples, so it is read through factmerge_history, too.
 */
CREATE TABLE factmerge.finding (
	merge_id bigint NOT NULL,
	number integer NOT NULL,
	fact_table name NOT NULL,
	handler text NOT NULL,
	message text NOT NULL,
	detail text NOT NULL,
	hint text NOT NULL,
	PRIMARY KEY (merge_id, number)
);
COMMENT ON TABLE factmerge.finding IS 'what merges have warned of: handlers that do not keep to what merges rely on';
SELECT pg_catalog.pg_extension_config_dump('factmerge.finding', '');

CREATE VIEW factmerge_history AS
SELECT m.merge_id, m.source, m.destination,
	CASE WHEN m.undone THEN 'undone' WHEN EXISTS (SELECT FROM factmerge.unfinished AS u
		WHERE u.merge_id OPERATOR(pg_catalog.=) m.merge_id) THEN 'unfinished' ELSE 'succeeded' END AS status, m.merged_by, m.merged_at, m.elapsed,
	m.fact_tables, m.source_facts, m.in_both, m.copied, m.conflicts, m.events, m.skipped_categorically, m.skipped_in_both,
	m.skipped_friends_in_both, m.skipped_one_sided, m.unhandled, m.replayed, m.derived,
	NULL::pg_catalog.text AS sqlstate, w.message, w.detail, w.hint, NULL::pg_catalog.text AS context
FROM factmerge.merge AS m
LEFT JOIN LATERAL (SELECT pg_catalog.string_agg(f.message, E'\n' ORDER BY f.number),
		pg_catalog.string_agg(f.detail, E'\n' ORDER BY f.number), pg_catalog.string_agg(f.hint, E'\n' ORDER BY f.number)
	FROM factmerge.finding AS f, pg_catalog.pg_roles AS r
	WHERE f.merge_id OPERATOR(pg_catalog.=) m.merge_id AND r.rolname OPERATOR(pg_catalog.=) m.merged_by
		AND pg_catalog.pg_has_role(r.oid, 'USAGE')) AS w (message, detail, hint) ON true
WHERE NOT m.trimmed
UNION ALL
SELECT NULL, f.source, f.destination, 'failed', f.merged_by, f.merged_at, f.elapsed,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	f.sqlstate, t.message, t.detail, t.hint, t.context
FROM factmerge.failure AS f
LEFT JOIN LATERAL (SELECT f.message, f.detail, f.hint, f.context FROM pg_catalog.pg_roles AS r
	WHERE r.rolname OPERATOR(pg_catalog.=) f.merged_by AND pg_catalog.pg_has_role(r.oid, 'USAGE')) AS t ON true;
COMMENT ON VIEW factmerge_history IS
'what merges have come to: those that succeeded, are unfinished or were undone since, with their totals, and calls of factmerge_run() that failed, with the error. message, detail and hint say what a merge has warned of, a line for each warning, or why it failed; only to whoever has the role that called';
GRANT SELECT ON factmerge_history TO PUBLIC;

CREATE PROCEDURE factmerge_run(source name, destination name, wait boolean DEFAULT false)
AS 'MODULE_PATHNAME', 'factmerge_run'
LANGUAGE C;
COMMENT ON PROCEDURE factmerge_run(name, name, boolean) IS
'merges like factmerge_merge(), in a transaction of its own, as a scheduler calls it. If that fails, the failure is recorded, see factmerge_history, and then the error is raised. Unless wait is true, it is an error if another merge into the destination is running. Errors: those of factmerge_merge(); called within a transaction or a function';

CREATE PROCEDURE factmerge_merge_in_batches(source name, destination name, batch integer DEFAULT 100000)
AS 'MODULE_PATHNAME', 'factmerge_merge_in_batches'
LANGUAGE C;
COMMENT ON PROCEDURE factmerge_merge_in_batches(name, name, integer) IS
'merges like factmerge_merge(), but commits whenever so many facts of a table have been copied or met; the last transaction replays. Interrupted, it is continued by the next call; until it has come to its end, the history calls the merge unfinished, and other merges into the destination are refused. Errors: those of factmerge_merge(); called within a transaction or a function; an unfinished merge of another source';

CREATE FUNCTION factmerge_trim_history(older_than interval)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factmerge_trim_history'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_trim_history(interval) IS
'lets the history forget merges and failures that are older than that, with their counts by table, timings and conflicts; returns how many there were. Those of others only superusers and members of their roles can let it forget. What factmerge_origin() tells stays. Errors: a negative interval';

CREATE VIEW factmerge_progress AS
SELECT a.pid, a.datname, a.usename, a.xact_start AS started_at, p.stage, p.fact_table, p.done, p.total, p.unit, p.statement
FROM pg_catalog.pg_stat_activity AS a
CROSS JOIN LATERAL pg_catalog.regexp_match(a.query, '^factmerge: (matching|comparing|marking|rebuilding the indexes|copying'
	'|checking|finding mixed events|looking up the events|analyzing|applying rules|previewing|replaying)'
	'(?: event (\d+) of (\d+)| events)?(?: of| to)? (.*?) \(table (\d+) of (\d+)\): (.*)$') AS m (parts)
CROSS JOIN LATERAL (SELECT (m.parts)[1], (m.parts)[4],
	COALESCE((m.parts)[2]::pg_catalog.int8, (m.parts)[5]::pg_catalog.int8 - 1),
	COALESCE((m.parts)[3], (m.parts)[6])::pg_catalog.int8,
	CASE WHEN (m.parts)[3] IS NULL THEN 'tables' ELSE 'events' END,
	(m.parts)[7]) AS p (stage, fact_table, done, total, unit, statement)
WHERE a.state OPERATOR(pg_catalog.=) 'active' AND m.parts IS NOT NULL;
COMMENT ON VIEW factmerge_progress IS
'merges that are running: the stage of each, the fact table that it is at, and how much of the stage is done, of how much (unit: tables, or events of the table); for sessions whose pg_stat_activity.query one may see';
GRANT SELECT ON factmerge_progress TO PUBLIC;

/*
 * Sources that have been merged before
 *
 * A source is told by its tables, whatever they and their schema are called by
 * now.  Of temporary tables, and where nothing is known yet, the name has to do.
 */
ALTER TABLE factmerge.key_map
	ADD COLUMN source_table regclass,
	ADD COLUMN horizon xid8,
	ADD COLUMN next_transaction xid8,
	ADD COLUMN system_identifier bigint,
	ADD COLUMN tagged bigint;
COMMENT ON COLUMN factmerge.key_map.horizon IS 'what transactions before it have written to the source is mapped';
COMMENT ON COLUMN factmerge.key_map.next_transaction IS 'what transactions from it on have written to the source has come after the merge';
COMMENT ON COLUMN factmerge.key_map.system_identifier IS 'of the database cluster that numbered the transactions, see pg_control_system()';
COMMENT ON COLUMN factmerge.key_map.tagged IS 'how many facts of the table belonged to a merge when the last merge into it had ended';
ALTER TABLE factmerge.key_map DROP CONSTRAINT key_map_pkey;
ALTER TABLE factmerge.key_map ADD PRIMARY KEY (map);
CREATE INDEX key_map_fact_table_idx ON factmerge.key_map (fact_table);
COMMENT ON TABLE factmerge.key_map IS 'which table maps the keys of which source''s facts (source_table) to those of which fact table';
ALTER TABLE factmerge.merge
	ADD COLUMN source_table regclass,
	ADD COLUMN destination_table regclass,
	ADD COLUMN forgotten boolean NOT NULL DEFAULT false,
	ADD COLUMN untagged boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN factmerge.merge.untagged IS 'whether the provenance columns have been removed since, so that it cannot be undone';
COMMENT ON COLUMN factmerge.merge.source_table IS 'a table of the source, which tells what its schema is called by now';
COMMENT ON COLUMN factmerge.merge.destination_table IS 'a table of the destination, likewise';

CREATE FUNCTION factmerge_sources(
	schema name DEFAULT NULL,
	OUT source name,
	OUT destination name,
	OUT first_merge bigint,
	OUT first_merged_at timestamptz,
	OUT last_merge bigint,
	OUT last_merged_at timestamptz,
	OUT fact_tables integer,
	OUT facts bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_sources'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_sources(name) IS
'the sources that have been merged into a schema, or (null) into any: their first and last merge, in how many fact tables, and how many of their facts are mapped';

CREATE FUNCTION factmerge_forget_source(source name, destination name DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_forget_source'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_forget_source(name, name) IS
'forgets which fact of a source is which of a destination, or (null) of all that it has been merged into; returns how many key maps that were. The next merge starts afresh: what is the same is found by sameness alone, so that a fact that has changed since in what tells it from others is copied a second time (a warning names the tables of which all columns tell). For sources that have been filled with something else. The facts stay, and their tags. Errors: no such source, not the owner of the fact tables, an unfinished merge into them';

/*
 * What is declared of columns
 */
CREATE TABLE factmerge.column_rule (
	fact_table regclass NOT NULL,
	column_name name NOT NULL,
	reference boolean,
	PRIMARY KEY (fact_table, column_name)
);
COMMENT ON TABLE factmerge.column_rule IS 'what factmerge_set_column() says of columns: whether one is a reference (false: it only looks like one)';
GRANT SELECT ON factmerge.column_rule TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.column_rule', '');

CREATE FUNCTION factmerge_set_column(fact_table regclass, column_name name, reference boolean DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_set_column'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_set_column(regclass, name, boolean) IS
'declares what a merge does with a column of a fact table of the destination, in place of all that was said of it before. reference => false: it only looks like a reference, so that no merge warns of it. Errors: no such column, nothing said, reference => true (a foreign key says that), not the owner';

CREATE FUNCTION factmerge_unset_column(fact_table regclass, column_name name)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_unset_column'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unset_column(regclass, name) IS
'takes back factmerge_set_column(). Errors: not declared, not the owner';

/*
 * Merging again
 */
CREATE FUNCTION factmerge.is_before(writer xid, horizon xid8)
RETURNS boolean
AS 'MODULE_PATHNAME', 'factmerge_is_before'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION factmerge.is_before(xid, xid8) IS
'whether the transaction that wrote a row comes before another, as far as the row''s short number tells; called by generated SQL';

/*
 * Taking back
 */
CREATE FUNCTION factmerge_undo(
	merge_id bigint,
	dry_run boolean DEFAULT false,
	OUT fact_table regclass,
	OUT removed bigint,
	OUT in_both bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_undo'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_undo(bigint, boolean) IS
'takes back the latest merge into a destination: facts that it has copied or derived are removed, facts in both are the destination''s own again, and key maps and history follow; returns for each fact table how many facts that were. Facts that the destination had stay as they are. With dry_run nothing happens. Errors: no such merge, not the latest, undone already; a fact that was added since refers to what would go; not the owner of the fact tables';

/*
 * Taking leave
 */
CREATE FUNCTION factmerge_remove_provenance(schema name)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_remove_provenance'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_remove_provenance(name) IS
'drops the columns factmerge_provenance and factmerge_merge from all tables of a schema; returns how many tables had them. Key maps and history stay: the next merge adds the columns again, and facts that are mapped are in both for it. Nothing in the schema needs the extension afterwards. Errors: rules that derive facts of the schema, not the owner of a table, a column that something depends on, an unfinished merge';

CREATE FUNCTION factmerge.before_drop()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'factmerge_before_drop'
LANGUAGE C;
COMMENT ON FUNCTION factmerge.before_drop() IS
'says what has to be done before the extension can be dropped';

CREATE EVENT TRIGGER factmerge_before_drop ON ddl_command_start
WHEN TAG IN ('DROP EXTENSION')
EXECUTE FUNCTION factmerge.before_drop();
COMMENT ON EVENT TRIGGER factmerge_before_drop IS
'says what has to be done before extension factmerge can be dropped, and lets its key maps go with it';

/*
 * Nulls in the key of a declared sameness
 */
ALTER TABLE factmerge.sameness ADD COLUMN nulls_same boolean NOT NULL DEFAULT false;

DROP FUNCTION factmerge_set_sameness(regclass, name[], jsonb, text);
CREATE FUNCTION factmerge_set_sameness(
	fact_table regclass,
	key name[] DEFAULT NULL,
	tolerance jsonb DEFAULT NULL,
	condition text DEFAULT NULL,
	nulls text DEFAULT 'distinct')
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_set_sameness'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_set_sameness(regclass, name[], jsonb, text, text) IS
'declares which facts of a source and of the destination''s fact_table are the same, in place of its unique keys: those that are equal in the columns of key, within tolerance in its columns, and for which condition holds, an SQL boolean over the rows source and destination (in which references already lead to the destination''s facts). tolerance maps columns to a number (the greatest distance of numbers, money or points), to an interval (of dates or timestamps), to the name of a normalising function, or to an object with function, and either similarity (at least; above 0, at most 1, as pg_trgm measures it) or edit_distance (at most). A fact that holds a null in key or tolerance is the same as none; with nulls => ''same'' two nulls in a column of key are equal. Of several facts of the destination the nearest is the one, then that with the lowest key. Declaring it again replaces what was declared. Errors: nothing declared, no such column, a tolerance that does not fit the column''s type, a condition that is no boolean or calls volatile functions, not the owner';

/*
 * A null argument is an error, rather than nothing
 */
ALTER FUNCTION factmerge_add_rule(name, text, text) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_drop_friend(regclass, regclass) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_drop_handler(regclass, text) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_drop_rule(name, name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_friends(name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_ignore(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_ignore_trigger(regclass, name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_preview(name, name, integer) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_rules(name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_saturate(name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_set_event_log(regclass, name, name, name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_set_friend_hops(regclass, integer) CALLED ON NULL INPUT;
DROP FUNCTION factmerge_tables(name);
CREATE FUNCTION factmerge_tables(
	schema name,
	OUT "position" integer,
	OUT fact_table regclass,
	OUT key name[],
	OUT key_kind text,
	OUT sameness text,
	OUT handlers text[],
	OUT public_numbers name[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_tables'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_tables(name) IS
'the fact tables of a schema in walk order (referenced tables first): key, its kind (surrogate, natural, none), the sameness that identifies a fact, the handlers, and the columns beside the primary key that the database draws unique values for, which copied facts keep where they are free';
ALTER FUNCTION factmerge_unignore(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_unignore_trigger(regclass, name) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_unset_event_log(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_unset_friend_hops(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_unset_sameness(regclass) CALLED ON NULL INPUT;
ALTER FUNCTION factmerge_verify(name, double precision) CALLED ON NULL INPUT;

/*
 * Schemas as regnamespace, handlers as regprocedure
 *
 * A literal is taken for a name, as ever: of the types that it may be, strings come first.
 * Where it may be left out, what is left out is the name.
 */
CREATE FUNCTION factmerge_merge(
	source regnamespace,
	destination regnamespace,
	dry_run boolean DEFAULT false,
	OUT merge_id bigint,
	OUT fact_tables integer,
	OUT source_facts bigint,
	OUT in_both bigint,
	OUT copied bigint,
	OUT conflicts bigint,
	OUT events bigint,
	OUT skipped_categorically bigint,
	OUT skipped_in_both bigint,
	OUT skipped_friends_in_both bigint,
	OUT skipped_one_sided bigint,
	OUT unhandled bigint,
	OUT replayed bigint,
	OUT derived bigint,
	OUT elapsed interval)
RETURNS record
AS 'MODULE_PATHNAME', 'factmerge_merge'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_merge(regnamespace, regnamespace, boolean) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_preview(
	source regnamespace,
	destination regnamespace,
	examples integer DEFAULT 3,
	OUT fact_table name,
	OUT outcome text,
	OUT facts bigint,
	OUT source_fact jsonb,
	OUT destination_fact jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_preview'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_preview(regnamespace, regnamespace, integer) IS
'the same for schemas that are given as regnamespace';

CREATE PROCEDURE factmerge_run(source regnamespace, destination regnamespace, wait boolean DEFAULT false)
AS 'MODULE_PATHNAME', 'factmerge_run'
LANGUAGE C;
COMMENT ON PROCEDURE factmerge_run(regnamespace, regnamespace, boolean) IS
'the same for schemas that are given as regnamespace';

CREATE PROCEDURE factmerge_merge_in_batches(source regnamespace, destination regnamespace, batch integer DEFAULT 100000)
AS 'MODULE_PATHNAME', 'factmerge_merge_in_batches'
LANGUAGE C;
COMMENT ON PROCEDURE factmerge_merge_in_batches(regnamespace, regnamespace, integer) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_prepare(schema regnamespace)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_prepare'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_prepare(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_remove_provenance(schema regnamespace)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_remove_provenance'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_remove_provenance(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_tables(
	schema regnamespace,
	OUT "position" integer,
	OUT fact_table regclass,
	OUT key name[],
	OUT key_kind text,
	OUT sameness text,
	OUT handlers text[],
	OUT public_numbers name[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_tables'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_tables(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_friends(
	schema regnamespace,
	OUT fact_table regclass,
	OUT friend_table regclass,
	OUT hops integer,
	OUT path text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_friends'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_friends(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_verify(
	schema regnamespace,
	sample double precision DEFAULT 1.0,
	OUT fact_table regclass,
	OUT fact jsonb,
	OUT found_by text,
	OUT event_table regclass,
	OUT event jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_verify'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_verify(regnamespace, double precision) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_saturate(schema regnamespace)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factmerge_saturate'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_saturate(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_rules(
	schema regnamespace,
	OUT name name,
	OUT target regclass,
	OUT columns name[],
	OUT query text,
	OUT body regclass[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_rules'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_rules(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_drop_rule(name name, schema regnamespace)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_drop_rule'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_drop_rule(name, regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_ignore_triggers(schema regnamespace)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_ignore_triggers'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_ignore_triggers(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_unignore_triggers(schema regnamespace)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_unignore_triggers'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unignore_triggers(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_sources(
	schema regnamespace,
	OUT source name,
	OUT destination name,
	OUT first_merge bigint,
	OUT first_merged_at timestamptz,
	OUT last_merge bigint,
	OUT last_merged_at timestamptz,
	OUT fact_tables integer,
	OUT facts bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_sources'
LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_sources(regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_forget_source(source regnamespace, destination regnamespace DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_forget_source'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_forget_source(regnamespace, regnamespace) IS
'the same for schemas that are given as regnamespace';

CREATE FUNCTION factmerge_add_handler(
	fact_table regclass,
	handler regprocedure,
	priority integer DEFAULT 0,
	found_from text DEFAULT 'any',
	friends text[] DEFAULT NULL,
	only_when text DEFAULT NULL,
	stop_when text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_add_handler'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_add_handler(regclass, regprocedure, integer, text, text[], text, text) IS
'the same for a handler that is given as regprocedure';

CREATE FUNCTION factmerge_drop_handler(fact_table regclass, handler regprocedure)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_drop_handler'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_drop_handler(regclass, regprocedure) IS
'the same for a handler that is given as regprocedure';

CREATE FUNCTION factmerge_check_handler(
	handler regprocedure,
	fact_table regclass DEFAULT NULL,
	sample integer DEFAULT 50,
	OUT "check" text,
	OUT passed boolean,
	OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_check_handler'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_check_handler(regprocedure, regclass, integer) IS
'the same for a handler that is given as regprocedure';

/* Rules that were declared under version 1.0 read now what they have read then */
UPDATE factmerge.rule AS r
SET body = f.body
FROM (SELECT DISTINCT t.oid AS target, n.nspname AS schema
	FROM factmerge.rule AS o
		JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) o.target
		JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace) AS d
	CROSS JOIN LATERAL @extschema@.factmerge_rules(d.schema) AS f
WHERE d.target OPERATOR(pg_catalog.=) r.target AND f.name OPERATOR(pg_catalog.=) r.name;
