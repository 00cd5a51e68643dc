/*
 * factmerge--1.0.sql
 *
 * The objects of the extension.  What a user calls is named factmerge_... and
 * lives in the schema that CREATE EXTENSION was given; what the extension
 * keeps for itself lives in schema factmerge.
 *
 * Columns that name relations are regclass, and everything else is kept by
 * name: pg_dump and pg_upgrade carry both, whereas a bare oid would point
 * elsewhere after a restore.
 */
\echo Use "CREATE EXTENSION factmerge" to load this file. \quit

CREATE SCHEMA factmerge;
GRANT USAGE ON SCHEMA factmerge TO PUBLIC;
COMMENT ON SCHEMA factmerge IS 'what factmerge keeps: declarations, history, conflicts, key maps';

CREATE TYPE factmerge_provenance AS ENUM ('source', 'destination', 'both', 'derived');
COMMENT ON TYPE factmerge_provenance IS
'where a fact comes from, seen from the merge named in its column factmerge_merge: only the source had it, only the destination, both, or neither (derived: a handler added it during the merge)';

/*
 * History
 */
CREATE TABLE factmerge.merge (
	merge_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	source name NOT NULL,
	destination name NOT NULL,
	merged_by name NOT NULL,
	merged_at timestamptz NOT NULL,
	fact_tables integer NOT NULL DEFAULT 0,
	source_facts bigint NOT NULL DEFAULT 0,
	in_both bigint NOT NULL DEFAULT 0,
	copied bigint NOT NULL DEFAULT 0,
	conflicts bigint NOT NULL DEFAULT 0,
	events bigint NOT NULL DEFAULT 0,
	skipped_categorically bigint NOT NULL DEFAULT 0,
	skipped_in_both bigint NOT NULL DEFAULT 0,
	skipped_friends_in_both bigint NOT NULL DEFAULT 0,
	skipped_one_sided bigint NOT NULL DEFAULT 0,
	unhandled bigint NOT NULL DEFAULT 0,
	replayed bigint NOT NULL DEFAULT 0,
	derived bigint NOT NULL DEFAULT 0,
	elapsed interval
);
COMMENT ON TABLE factmerge.merge IS 'one row per merge, with its totals';
GRANT SELECT ON factmerge.merge TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.merge', '');
SELECT pg_catalog.pg_extension_config_dump('factmerge.merge_merge_id_seq', '');

CREATE TABLE factmerge.merge_table (
	merge_id bigint NOT NULL REFERENCES factmerge.merge ON DELETE CASCADE,
	"position" integer NOT NULL,
	fact_table name NOT NULL,
	source_facts bigint NOT NULL,
	in_both bigint NOT NULL,
	copied bigint NOT NULL,
	conflicts bigint NOT NULL,
	events bigint NOT NULL,
	skipped_categorically bigint NOT NULL,
	skipped_in_both bigint NOT NULL,
	skipped_friends_in_both bigint NOT NULL,
	skipped_one_sided bigint NOT NULL,
	unhandled bigint NOT NULL,
	replayed bigint NOT NULL,
	derived bigint NOT NULL,
	match_ms double precision NOT NULL,
	dump_ms double precision NOT NULL,
	mark_ms double precision NOT NULL,
	friends_ms double precision NOT NULL,
	replay_ms double precision NOT NULL,
	PRIMARY KEY (merge_id, "position")
);
COMMENT ON TABLE factmerge.merge_table IS 'one row per merge and fact table, in walk order, with its counts and the milliseconds of each stage';
GRANT SELECT ON factmerge.merge_table TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.merge_table', '');

/*
 * Conflicts hold values of the users' rows, so they are read through
 * factmerge_conflicts(), which asks for SELECT on the fact table.
 */
CREATE TABLE factmerge.conflict (
	merge_id bigint NOT NULL REFERENCES factmerge.merge ON DELETE CASCADE,
	fact_table regclass NOT NULL,
	key jsonb NOT NULL,
	column_name name NOT NULL,
	source_value text,
	destination_value text
);
CREATE INDEX conflict_merge_id_idx ON factmerge.conflict (merge_id);
COMMENT ON TABLE factmerge.conflict IS 'columns in which a fact of the source and the same fact of the destination differed; the destination''s value was kept';
SELECT pg_catalog.pg_extension_config_dump('factmerge.conflict', '');

/*
 * Key maps: one table per source and fact table, typed like the fact table's
 * key.  They belong to the fact table's owner and are ordinary tables to
 * pg_dump; this is their register.
 */
CREATE TABLE factmerge.key_map (
	source name NOT NULL,
	fact_table regclass NOT NULL,
	map regclass NOT NULL,
	columns name[] NOT NULL,
	PRIMARY KEY (fact_table, source)
);
COMMENT ON TABLE factmerge.key_map IS 'which table maps the keys of which source''s facts to those of which fact table';
GRANT SELECT ON factmerge.key_map TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.key_map', '');

CREATE SEQUENCE factmerge.key_map_number;
COMMENT ON SEQUENCE factmerge.key_map_number IS 'numbers the names of the key map tables';
SELECT pg_catalog.pg_extension_config_dump('factmerge.key_map_number', '');

/*
 * Declarations
 */
CREATE TABLE factmerge.handler (
	fact_table regclass NOT NULL,
	handler text NOT NULL,
	priority integer NOT NULL,
	found_from text NOT NULL CHECK (found_from IN ('any', 'this')),
	friends regclass[],
	only_when text,
	stop_when text,
	PRIMARY KEY (fact_table, handler)
);
COMMENT ON TABLE factmerge.handler IS 'functions declared as handlers by factmerge_add_handler(): friends are the tables that one may inspect (null: any), only_when a condition on its events, stop_when one on which it has nothing to do at all';
GRANT SELECT ON factmerge.handler TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.handler', '');

CREATE TABLE factmerge.friend (
	fact_table regclass NOT NULL,
	friend_table regclass NOT NULL,
	condition text,
	PRIMARY KEY (fact_table, friend_table)
);
COMMENT ON TABLE factmerge.friend IS 'friends declared by factmerge_add_friend(): facts of friend_table that meet the condition over fact and friend, or (null) that foreign keys lead to';
GRANT SELECT ON factmerge.friend TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.friend', '');

CREATE TABLE factmerge.friend_hops (
	fact_table regclass PRIMARY KEY,
	hops integer NOT NULL CHECK (hops BETWEEN 0 AND 8)
);
COMMENT ON TABLE factmerge.friend_hops IS 'how many foreign keys lead from a fact of a table to its farthest friends, where factmerge_set_friend_hops() says so';
GRANT SELECT ON factmerge.friend_hops TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.friend_hops', '');

CREATE TABLE factmerge.event_log (
	fact_table regclass PRIMARY KEY,
	table_column name NOT NULL,
	key_column name NOT NULL,
	order_column name NOT NULL
);
COMMENT ON TABLE factmerge.event_log IS 'tables declared by factmerge_set_event_log() to hold the events of their schema: which columns name the table and the key of an event''s fact, and which one orders the events';
GRANT SELECT ON factmerge.event_log TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.event_log', '');

CREATE TABLE factmerge.ignored_trigger (
	fact_table regclass NOT NULL,
	trigger_name name NOT NULL,
	PRIMARY KEY (fact_table, trigger_name)
);
COMMENT ON TABLE factmerge.ignored_trigger IS 'triggers that derive nothing, declared by factmerge_ignore_trigger()';
GRANT SELECT ON factmerge.ignored_trigger TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.ignored_trigger', '');

CREATE TABLE factmerge.ignored_table (
	fact_table regclass PRIMARY KEY
);
COMMENT ON TABLE factmerge.ignored_table IS 'tables that hold no facts, declared by factmerge_ignore()';
GRANT SELECT ON factmerge.ignored_table TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.ignored_table', '');

CREATE TABLE factmerge.sameness (
	fact_table regclass PRIMARY KEY,
	key name[] NOT NULL,
	tolerance jsonb NOT NULL,
	condition text
);
COMMENT ON TABLE factmerge.sameness IS 'which facts are the same, where factmerge_set_sameness() says so: equal key columns, columns within a tolerance, and a condition over source and destination';
GRANT SELECT ON factmerge.sameness TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.sameness', '');

/*
 * Rules: the query of each is a view of this schema, which belongs to the owner
 * of the target and is an ordinary view to pg_dump; this is their register.
 */
CREATE TABLE factmerge.rule (
	target regclass NOT NULL,
	name name NOT NULL,
	columns name[] NOT NULL,
	view regclass NOT NULL UNIQUE,
	PRIMARY KEY (target, name)
);
COMMENT ON TABLE factmerge.rule IS 'rules declared by factmerge_add_rule(): what view returns are facts of target, with values in columns';
GRANT SELECT ON factmerge.rule TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('factmerge.rule', '');

CREATE SEQUENCE factmerge.rule_number;
COMMENT ON SEQUENCE factmerge.rule_number IS 'numbers the names of the views of rules';
SELECT pg_catalog.pg_extension_config_dump('factmerge.rule_number', '');

/*
 * Defaults of the provenance columns: what an INSERT means depends on whether
 * a merge is replaying in this backend, so the default has to be asked.
 */
CREATE FUNCTION factmerge.current_provenance()
RETURNS factmerge_provenance
AS 'MODULE_PATHNAME', 'factmerge_current_provenance'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION factmerge.current_provenance() IS
'the provenance of a fact inserted now: derived while a merge runs handlers in this session, else destination';

CREATE FUNCTION factmerge.current_merge()
RETURNS bigint
AS 'MODULE_PATHNAME', 'factmerge_current_merge'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION factmerge.current_merge() IS
'the merge that runs handlers in this session, or null';

CREATE FUNCTION factmerge.fact_number(fact_table oid, fact tid)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factmerge_fact_number'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION factmerge.fact_number(oid, tid) IS
'a number that tells the facts of the running merge apart, whatever their tables';

/*
 * Called by generated SQL
 */
CREATE FUNCTION factmerge.missing_reference(foreign_key text, value anyelement, in_source boolean)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'factmerge_missing_reference'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION factmerge.missing_reference(text, anyelement, boolean) IS
'raises the error for a reference of the source that leads nowhere, or to a fact whose counterpart has a null in its place';

CREATE FUNCTION factmerge.note_fact(merge_id bigint, fact text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factmerge_note_fact'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge.note_fact(bigint, text) IS
'returns merge_id, and notes which fact is being copied, to name it in an error';

CREATE FUNCTION factmerge.edit_distance(a text, b text, at_most integer)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_edit_distance'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION factmerge.edit_distance(text, text, integer) IS
'how many characters have to be inserted, deleted or replaced to make b of a (the Levenshtein distance), or something above at_most if it is more than that';

CREATE FUNCTION factmerge.edit_pieces(value text, edits integer)
RETURNS text[]
AS 'MODULE_PATHNAME', 'factmerge_edit_pieces'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION factmerge.edit_pieces(text, integer) IS
'the pieces of a text, of which it shares one at least with the factmerge.edit_probes() of any text within so many edits';

CREATE FUNCTION factmerge.edit_probes(value text, edits integer)
RETURNS text[]
AS 'MODULE_PATHNAME', 'factmerge_edit_probes'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION factmerge.edit_probes(text, integer) IS
'what a text has in common with any text within so many edits: see factmerge.edit_pieces()';

/*
 * Merging
 */
CREATE FUNCTION factmerge_merge(
	source name,
	destination name,
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
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_merge(name, name, boolean) IS
'merges the facts of schema source into schema destination and replays the events that can still derive something; returns one row of totals (source_facts = in_both + copied; events = the four skips + unhandled + replayed). With dry_run the totals are the same and nothing stays, merge_id is null. Errors: a schema, table or column that does not fit, missing rights, ambiguous sameness, a handler that raises; then nothing is changed';

CREATE FUNCTION factmerge_preview(
	source name,
	destination name,
	examples integer DEFAULT 3,
	OUT fact_table name,
	OUT outcome text,
	OUT facts bigint,
	OUT source_fact jsonb,
	OUT destination_fact jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_preview'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_preview(name, name, integer) IS
'what a merge would make of the source''s facts, without writing anything or keeping writers out: for each fact table in walk order, and each outcome (in both, copied, conflict: in both, but different in a column), how many facts that are, and up to as many of them as examples says: the fact as the source has it, and its counterpart. Errors: those of factmerge_merge() up to the point where it would begin to write';

CREATE FUNCTION factmerge_prepare(schema name)
RETURNS integer
AS 'MODULE_PATHNAME', 'factmerge_prepare'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_prepare(name) IS
'adds the provenance columns to the fact tables of a schema ahead of a merge, under a short ACCESS EXCLUSIVE lock; returns how many tables were changed';

CREATE FUNCTION factmerge_report(
	merge_id bigint DEFAULT NULL,
	OUT fact_table name,
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
	OUT match_ms double precision,
	OUT dump_ms double precision,
	OUT mark_ms double precision,
	OUT friends_ms double precision,
	OUT replay_ms double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_report'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_report(bigint) IS
'a row per fact table of a merge (by default the latest one), in walk order: its counts, and the milliseconds of each stage. Error: no such merge';

CREATE FUNCTION factmerge_conflicts(
	merge_id bigint DEFAULT NULL,
	OUT fact_table regclass,
	OUT key jsonb,
	OUT column_name name,
	OUT source_value text,
	OUT destination_value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_conflicts'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_conflicts(bigint) IS
'the columns in which facts of a merge (by default the latest one) differed between source and destination although they are the same fact: the key in the destination and both values. Asks for SELECT on the fact table. Error: no such merge';

CREATE FUNCTION factmerge_origin(
	fact_table regclass,
	VARIADIC key "any",
	OUT merge_id bigint,
	OUT source name,
	OUT provenance factmerge_provenance,
	OUT source_key jsonb,
	OUT merged_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_origin'
LANGUAGE C STABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_origin(regclass, "any") IS
'where the fact with this key (one argument per key column) came from: a row per source that a merge met it in, with the key it has there; a row without source for a derived fact; no row for a fact that only the destination ever had. Errors: no such fact, a table without key';

CREATE FUNCTION factmerge_tables(
	schema name,
	OUT "position" integer,
	OUT fact_table regclass,
	OUT key name[],
	OUT key_kind text,
	OUT sameness text,
	OUT handlers text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_tables'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_tables(name) IS
'the fact tables of a schema in walk order (referenced tables first): key, its kind (surrogate, natural, none), the sameness that identifies a fact, and the handlers';

CREATE FUNCTION factmerge_friends(
	schema name,
	OUT fact_table regclass,
	OUT friend_table regclass,
	OUT hops integer,
	OUT path text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_friends'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_friends(name) IS
'every path of at most factmerge.friend_hops foreign keys, followed either way, from the facts of one table to their friends in another';

CREATE FUNCTION factmerge_verify(
	schema name,
	sample double precision DEFAULT 1.0,
	OUT fact_table regclass,
	OUT fact jsonb,
	OUT found_by text,
	OUT event_table regclass,
	OUT event jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_verify'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_verify(name, double precision) IS
'replays every event of every handler of a schema, applies every rule, returns each fact that was missing, and takes everything back; no row means that the schema is saturated. Each fact comes with what finds it and, for a handler, with the event. sample is the share of the events to replay, and of the facts that a rule reads first. Errors: a sample that is not above 0 and at most 1; not the owner of the fact tables; whatever a handler raises';

CREATE FUNCTION factmerge_check_handler(
	handler text,
	fact_table regclass DEFAULT NULL,
	sample integer DEFAULT 50,
	OUT "check" text,
	OUT passed boolean,
	OUT detail text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_check_handler'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_check_handler(text, regclass, integer) IS
'tries out on real facts whether a handler, a trigger or a declared function, keeps its contract: adding twice changes nothing; any order of arrival gives the same; each derivation is found whichever of its facts arrives last. A sample of about that many facts, which hang together by foreign keys, arrives again and again in tables that are emptied in a subtransaction; everything is taken back. Returns a row for each promise: passed is null if there was nothing to try. fact_table is needed if several tables have a handler of the name. Locks the fact tables until the end of the transaction, as TRUNCATE does. Errors: no such handler, not the owner of the fact tables, a sample below 1 or above 10000';

/*
 * Declaring
 */
CREATE FUNCTION factmerge_add_handler(
	fact_table regclass,
	handler text,
	priority integer DEFAULT 0,
	found_from text DEFAULT 'any',
	friends text[] DEFAULT NULL,
	only_when text DEFAULT NULL,
	stop_when text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_add_handler'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_add_handler(regclass, text, integer, text, text[], text, text) IS
'declares a function as handler of a fact table: handler(fact_table) RETURNS void, which inserts what follows from the fact, or RETURNS SETOF target_table, whose rows factmerge saves. Handlers of higher priority run first. found_from says from which of its facts a derivation is found: any (whichever arrives last; the default) or this (only from this table''s fact). friends names the tables that the handler inspects, in the same schema; only their facts are friends then. only_when is an SQL boolean over the row fact: events that do not meet it need no handler. stop_when is one without a fact: if it is true, no event needs it. Declaring it again changes all of that. Errors: no such function or table, wrong signature, a condition that is no boolean or calls volatile functions, not the owner';

CREATE FUNCTION factmerge_drop_handler(fact_table regclass, handler text)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_drop_handler'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_drop_handler(regclass, text) IS
'takes back factmerge_add_handler(). Errors: not declared, not the owner';

CREATE FUNCTION factmerge_add_friend(fact_table regclass, friend_table regclass, condition text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_add_friend'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_add_friend(regclass, regclass, text) IS
'declares that handlers of fact_table may inspect facts of friend_table: those that meet the condition, an SQL boolean over the rows fact and friend, or, without one, those that up to four foreign keys lead to, each followed either way. Declaring it again changes the condition. Errors: tables of different schemas, no such foreign keys, a condition that is no boolean or calls volatile functions, not the owner of fact_table';

CREATE FUNCTION factmerge_drop_friend(fact_table regclass, friend_table regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_drop_friend'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_drop_friend(regclass, regclass) IS
'takes back factmerge_add_friend(). Errors: not declared, not the owner';

CREATE FUNCTION factmerge_set_friend_hops(fact_table regclass, hops integer)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_set_friend_hops'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_set_friend_hops(regclass, integer) IS
'says for one table how many foreign keys lead from a fact to its farthest friends (0 to 8), in place of the setting factmerge.friend_hops. Errors: a number out of range, not the owner';

CREATE FUNCTION factmerge_unset_friend_hops(fact_table regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_unset_friend_hops'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unset_friend_hops(regclass) IS
'takes back factmerge_set_friend_hops(). Errors: not set, not the owner';

CREATE FUNCTION factmerge_set_event_log(
	event_table regclass,
	fact_table_column name,
	fact_key_column name,
	order_column name)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_set_event_log'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_set_event_log(regclass, name, name, name) IS
'declares that event_table holds the events of its schema, in the order of order_column: each row names a table (by its name with or without schema, or as regclass) and the key of a fact there, and merges give exactly these facts to handlers. The rows are merged like others, and lead to the destination''s facts then. A row with a null in either column is no event. Declaring it again changes the columns. Errors: no such column, a column that cannot name tables, has a foreign key or no order, another log in the schema, not the owner';

CREATE FUNCTION factmerge_unset_event_log(event_table regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_unset_event_log'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unset_event_log(regclass) IS
'takes back factmerge_set_event_log(): every fact is its own event again. Errors: not declared, not the owner';

CREATE FUNCTION factmerge_ignore_trigger(fact_table regclass, trigger name)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_ignore_trigger'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_ignore_trigger(regclass, name) IS
'declares that an AFTER INSERT trigger derives nothing (it audits, it notifies), so that no merge replays events to it. Errors: no such trigger, not the owner';

CREATE FUNCTION factmerge_unignore_trigger(fact_table regclass, trigger name)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_unignore_trigger'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unignore_trigger(regclass, name) IS
'takes back factmerge_ignore_trigger(). Errors: not declared, not the owner';

CREATE FUNCTION factmerge_ignore(fact_table regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_ignore'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_ignore(regclass) IS
'declares that a table holds no facts (a queue, the bookkeeping of migrations), so that merges leave it alone; for a table that only the source has, on that one, otherwise on the destination''s. What refers to it is kept as it is. Errors: not a table, not the owner';

CREATE FUNCTION factmerge_unignore(fact_table regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_unignore'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unignore(regclass) IS
'takes back factmerge_ignore(). Errors: not declared, not the owner';

CREATE FUNCTION factmerge_set_sameness(
	fact_table regclass,
	key name[] DEFAULT NULL,
	tolerance jsonb DEFAULT NULL,
	condition text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_set_sameness'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_set_sameness(regclass, name[], jsonb, text) IS
'declares which facts of a source and of the destination''s fact_table are the same, in place of its unique keys: those that are equal in the columns of key, within tolerance in its columns, and for which condition holds, an SQL boolean over the rows source and destination (in which references already lead to the destination''s facts). tolerance maps columns to a number (the greatest distance of numbers, money or points), to an interval (of dates or timestamps), to the name of a normalising function, or to an object with function, and either similarity (at least; above 0, at most 1, as pg_trgm measures it) or edit_distance (at most). A fact that holds a null in key or tolerance is the same as none. Of several facts of the destination the nearest is the one, then that with the lowest key. Declaring it again replaces what was declared. Errors: nothing declared, no such column, a tolerance that does not fit the column''s type, a condition that is no boolean or calls volatile functions, not the owner';

CREATE FUNCTION factmerge_unset_sameness(fact_table regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_unset_sameness'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_unset_sameness(regclass) IS
'takes back factmerge_set_sameness(): unique keys, or the whole row, say again which facts are the same. Errors: not declared, not the owner';

/*
 * Rules
 */
CREATE FUNCTION factmerge_add_rule(name name, target text, query text)
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_add_rule'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_add_rule(name, text, text) IS
'declares that each row of query is a fact of target, which is written table(column, ...). Names in query are looked up in the target''s schema first, then on search_path; a rule''s name is unique in that schema, and declaring it again replaces the rule. Merges derive what follows from facts of both sides, and triggers what follows from an ordinary INSERT into a fact table that the query reads; what follows from facts that are there already, factmerge_saturate() derives. Errors: a query that is not monotone (aggregates, NOT EXISTS, EXCEPT, outer joins, window functions or LIMIT over facts, volatile functions) or reads no fact table, columns that do not fit, not the owner of target and of the fact tables that query reads';

CREATE FUNCTION factmerge_drop_rule(name name, schema name DEFAULT current_schema())
RETURNS void
AS 'MODULE_PATHNAME', 'factmerge_drop_rule'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_drop_rule(name, name) IS
'takes back factmerge_add_rule() for a rule whose target is in that schema; what it has derived stays. Errors: no such rule, not the owner of the target';

CREATE FUNCTION factmerge_rules(
	schema name,
	OUT name name,
	OUT target regclass,
	OUT columns name[],
	OUT query text,
	OUT body regclass[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'factmerge_rules'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_rules(name) IS
'the rules that derive facts of a schema, by name: the target and its columns, the query, and the fact tables that it reads (body)';

CREATE FUNCTION factmerge_saturate(schema name)
RETURNS bigint
AS 'MODULE_PATHNAME', 'factmerge_saturate'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge_saturate(name) IS
'applies all rules and handlers to all facts of a schema until nothing is new; returns how many facts that has added. For facts that were there before a rule was declared, or that were loaded with triggers off. Errors: not the owner of the fact tables; whatever a handler raises';

CREATE FUNCTION factmerge.apply_rules()
RETURNS trigger
AS 'MODULE_PATHNAME', 'factmerge_apply_rules'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION factmerge.apply_rules() IS
'derives what follows by rules from the rows of an INSERT; factmerge_add_rule() creates the triggers that call it';

/*
 * What was declared of a table goes with it
 */
CREATE FUNCTION factmerge.forget_dropped()
RETURNS event_trigger
AS 'MODULE_PATHNAME', 'factmerge_forget_dropped'
LANGUAGE C;
COMMENT ON FUNCTION factmerge.forget_dropped() IS
'forgets what was declared of tables that have just been dropped';

CREATE EVENT TRIGGER factmerge_forget_dropped ON sql_drop
EXECUTE FUNCTION factmerge.forget_dropped();
COMMENT ON EVENT TRIGGER factmerge_forget_dropped IS
'forgets what was declared to factmerge of tables that are dropped';
