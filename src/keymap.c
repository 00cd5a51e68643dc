/*-------------------------------------------------------------------------
 *
 * keymap.c
 *	  the key maps: which fact of a source is which fact of the destination
 *
 * There is one key map per source and fact table, a table of schema factmerge
 * that belongs to the owner of the fact table.  For every fact of the source
 * it holds
 *
 *	source_1, ...		its address in the source, and the values of whatever
 *						else remapped references lead to
 *	destination_1, ...	the same of its counterpart in the destination
 *	in_both				whether the destination had it before
 *	inexact				whether that is the same without being equal (samerule.c)
 *	folded				whether it was copied together with another (fold.c)
 *	merge_id			the merge that met it first
 *
 * all of it in the types of the destination, so that the source's own types
 * can be dropped.  factmerge.key_map registers the key maps, with the names of
 * the columns that the numbers stand for.  It tells sources by their tables, which
 * may be renamed.
 *
 * Facts of a source that is merged again, as far as they are looked at (fresh.c), are
 * matched anew, into rows of the new merge; SettleKeyMap() then reconciles them with
 * those of earlier merges.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"

/* From which share of the facts on the planner needs to know about new ones */
#define WORTH_ANALYZING 0.1

/*
 * Whether a table is gone when its session ends.
 */
bool
IsTemporary(Oid relation)
{
	return get_rel_persistence(relation) == RELPERSISTENCE_TEMP;
}

/*
 * The parameters that name a key map in its register: $1 fact table, $2
 * source, $3 columns, $4 source table.
 */
static void
AddRegisterArgs(SqlArgs *args, Merge *merge, FactTable *table)
{
	SqlAddArg(args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlAddArg(args, NAMEOID, NameDatum(merge->source));
	SqlAddArg(args, NAMEARRAYOID, NameArray(ColumnNames(table->map_columns)));
	SqlAddArg(args, REGCLASSOID,
			  ObjectIdGetDatum(IsTemporary(table->source) ? InvalidOid : table->source));
}

/*
 * Whether the register has the tables of sources: those of version 1.0 go by the
 * names of their schemas alone.
 */
bool
KnowsSourceTables(void)
{
	return HasRegistered("key_map", "source_table");
}

/*
 * SQL for the merges, by number, that have merged the source of a merge before and
 * are not forgotten, whatever the source was called then.
 */
char *
EarlierMerges(Merge *merge, FactTable *table)
{
	const char *name = quote_literal_cstr(merge->source);

	if (!KnowsSourceTables())
		return psprintf("SELECT g.merge_id FROM factmerge.merge AS g WHERE g.source = %s", name);
	return psprintf("SELECT g.merge_id FROM factmerge.merge AS g"
					" LEFT JOIN pg_catalog.pg_class AS c ON c.oid = g.source_table"
					" WHERE NOT g.forgotten AND NOT g.undone AND COALESCE(c.relnamespace = %u, g.source = %s)",
					get_rel_namespace(table->source), name);
}

/*
 * That row k of the register is of the source: by its table or, where that is not
 * known or no more, by the name of its schema.
 */
static char *
OfSource(void)
{
	if (!KnowsSourceTables())
		return "k.source = $2";
	return "(k.source_table = $4 OR (k.source = $2"
		" AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS s WHERE s.oid = k.source_table)"
		" AND NOT EXISTS (SELECT FROM factmerge.key_map AS o WHERE o.fact_table = $1 AND o.source_table = $4)))";
}

/*
 * Note by which table, and under which name, the source is known by now.
 */
static void
NoteSource(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};
	const char *other = psprintf("k.map = %s::pg_catalog.regclass AND (k.source <> $2"
								 " OR k.source_table IS DISTINCT FROM NULLIF($4, 0::pg_catalog.oid))",
								 quote_literal_cstr(table->map));

	if (!KnowsSourceTables())
		return;
	AddRegisterArgs(&args, merge, table);
	if (SqlFetchRow(InvalidSnapshot,
					psprintf("SELECT 1 FROM factmerge.key_map AS k WHERE %s", other), &args) != NULL)
		SqlExecuteAsOwner(psprintf("UPDATE factmerge.key_map AS k SET source = $2,"
								   " source_table = NULLIF($4, 0::pg_catalog.oid),"
								   " horizon = CASE WHEN k.source_table = $4 THEN k.horizon END WHERE %s", other), &args);
}

static void
AppendMapColumns(StringInfo sql, FactTable *table, const char *side)
{
	bool		source = strcmp(side, "source") == 0;
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);
		Oid			collation = source ? column->source_collation : column->collation;

		appendStringInfo(sql, "%s_%d %s", side, column->map_number,
						 TypeText(source ? column->source_type : column->type, -1));
		if (OidIsValid(collation))
			appendStringInfo(sql, " COLLATE %s", QualifiedCollation(collation));
		appendStringInfoString(sql, ", ");
	}
}

/*
 * Append the definition of a key map's columns.
 */
static void
AppendDefinition(StringInfo sql, FactTable *table)
{
	appendStringInfoChar(sql, '(');
	AppendMapColumns(sql, table, "source");
	AppendMapColumns(sql, table, "destination");
	appendStringInfoString(sql, "in_both pg_catalog.bool NOT NULL,"
						   " inexact pg_catalog.bool NOT NULL DEFAULT false,"
						   " folded pg_catalog.bool NOT NULL DEFAULT false,"
						   " merge_id pg_catalog.int8 NOT NULL)");
}

/* "source_1, source_2" for the address of a fact */
static char *
SourceColumns(FactTable *table)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, table->address)
		appendStringInfo(&sql, "%ssource_%d", foreach_current_index(lc) ? ", " : "",
						 ((Column *) lfirst(lc))->map_number);
	return sql.data;
}

/*
 * Create the key map and register it.  The books are kept by the extension's
 * owner; the map itself becomes that of the fact table's owner.
 */
static void
CreateKeyMap(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	SqlArgs		args = {0};
	RoleSwitch	caller;

	BecomeExtensionOwner(&caller);
	if (merge->dry_run)
		table->map = psprintf("factmerge.key_map_of_dry_run_%d_%d", MyProcPid,
							  table->position);
	else
		table->map = psprintf("factmerge.key_map_" INT64_FORMAT,
							  SqlFetchInt64(InvalidSnapshot,
											"SELECT pg_catalog.nextval('factmerge.key_map_number')",
											NULL));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s ", table->map);
	AppendDefinition(&sql, table);
	SqlUtility(sql.data);
	if (merge->batches)
		SqlUtility(psprintf("CREATE INDEX ON %s (%s)", table->map, SourceColumns(table)));
	SqlUtility(psprintf("ALTER TABLE %s OWNER TO %s", table->map,
						quote_identifier(GetUserNameFromId(table->owner, false))));

	AddRegisterArgs(&args, merge, table);
	SqlExecute(InvalidSnapshot,
			   psprintf("INSERT INTO factmerge.key_map (fact_table, source, columns, map%s)"
						" VALUES ($1, $2, $3, %s::pg_catalog.regclass%s)",
						KnowsSourceTables() ? ", source_table" : "",
						quote_literal_cstr(table->map),
						KnowsSourceTables() ? ", NULLIF($4, 0::pg_catalog.oid)" : ""), &args);
	BecomeCallerAgain(&caller);
}

/*
 * The key map that earlier merges from the same source have left behind, or
 * NULL; with outdated one of a time when the table had other keys or references.
 */
char *
FindKeyMap(Merge *merge, FactTable *table, bool outdated)
{
	SqlArgs		args = {0};
	char	  **row;

	AddRegisterArgs(&args, merge, table);
	SqlAddArg(&args, BOOLOID, BoolGetDatum(outdated));
	row = SqlFetchRow(InvalidSnapshot,
					  psprintf("SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)"
							   " FROM factmerge.key_map k"
							   " JOIN pg_catalog.pg_class c ON c.oid = k.map"
							   " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
							   " WHERE k.fact_table = $1 AND %s AND (k.columns <> $3) = $5 ORDER BY %s LIMIT 1",
							   OfSource(),
							   /* Of several tables that are gone, the one merged last */
							   KnowsSourceTables() ? "k.horizon DESC NULLS LAST, k.map DESC" : "k.map"), &args);
	return row ? row[0] : NULL;
}

/*
 * Take a key map of a table as it was before its keys or references changed,
 * or before the fact table was dropped, out of the way.
 */
static void
DropOutdatedKeyMap(Merge *merge, FactTable *table)
{
	char	   *outdated = FindKeyMap(merge, table, true);
	char	   *current = FindKeyMap(merge, table, false);
	SqlArgs		args = {0};

	AddRegisterArgs(&args, merge, table);
	if (outdated)
		SqlUtility(psprintf("DROP TABLE %s", outdated));
	/* Where the merges have been taken back, nothing depends on the types */
	if (current && HasOtherTypes(table, current) &&
		SqlFetchRow(InvalidSnapshot, psprintf("SELECT 1 FROM %s LIMIT 1", current), NULL) == NULL)
		SqlUtility(psprintf("DROP TABLE %s", current));
	SqlExecuteAsOwner(psprintf("DELETE FROM factmerge.key_map k"
							   " WHERE k.fact_table = $1 AND %s"
							   " AND (k.columns <> $3 OR NOT EXISTS"
							   " (SELECT FROM pg_catalog.pg_class c WHERE c.oid = k.map))", OfSource()),
					  &args);
}

/* That the fact table of a row r is gone */
#define IS_GONE \
	"NOT EXISTS (SELECT FROM pg_catalog.pg_class AS f WHERE f.oid OPERATOR(pg_catalog.=) r.fact_table)"

static void
DropMap(void *map)
{
	SqlUtility(psprintf("DROP TABLE IF EXISTS %s", (char *) map));
}

/*
 * Drops a key map whose fact table is gone; or, if its owner has seen to it that this
 * fails, leaves it behind.
 */
static void
DropOrphan(Datum *values, bool *nulls, void *arg)
{
	char	   *map = TextDatumGetCString(values[0]);
	ErrorData  *error = TryInSubtransaction(DropMap, map, true);

	if (error)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("key map %s of a table that is gone could not be dropped", map),
				 errdetail("%s", error->message)));
}

/*
 * Forget what is kept about fact tables that have been dropped.
 */
void
ForgetDroppedTables(void)
{
	RoleSwitch	caller;

	BecomeExtensionOwner(&caller);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)"
				  " FROM factmerge.key_map AS k"
				  " JOIN pg_catalog.pg_class AS c ON c.oid = k.map"
				  " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				  " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS f WHERE f.oid = k.fact_table)",
				  NULL, DropOrphan, NULL);
	SqlExecute(InvalidSnapshot,
			   "DELETE FROM factmerge.key_map AS r WHERE " IS_GONE, NULL);
	BecomeCallerAgain(&caller);
	ForgetDeclarations(IS_GONE);
}

/*
 * Make a temporary key map for a preview, with what earlier merges know.
 */
static void
CopyKeyMap(Merge *merge, FactTable *table)
{
	char	   *earlier = table->keyed ? FindKeyMap(merge, table, false) : NULL;
	StringInfoData sql;
	RoleSwitch	caller;

	table->map = psprintf("pg_temp.factmerge_key_map_%d", table->position);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ", table->map);
	AppendDefinition(&sql, table);
	SqlUtility(sql.data);
	table->merged_before = earlier != NULL;
	if (earlier == NULL)
		return;
	RefuseOtherTypes(table, earlier);

	/* It belongs to the table's owner, but whoever may read the table may know */
	SqlUtility(psprintf("GRANT INSERT ON %s TO %s", table->map,
						quote_identifier(GetUserNameFromId(RelationOwner(RelationNamed(earlier)), false))));
	BecomeOwnerOf(earlier, &caller);
	SqlExecute(merge->snapshot,
			   psprintf("INSERT INTO %s SELECT * FROM %s", table->map, earlier), NULL);
	BecomeCallerAgain(&caller);
}

/*
 * Whether other merges have tagged facts of a table.  Their key maps may be forgotten
 * by now.
 */
bool
IsTaggedByOthers(Merge *merge, FactTable *table)
{
	return table->has_tags &&
		SqlFetchInt64(merge->snapshot,
					  psprintf("SELECT EXISTS (SELECT FROM %s AS d WHERE d." MERGE_COLUMN " <> " INT64_FORMAT ")::pg_catalog.int4",
							   QualifiedRelation(table->destination), merge->id), NULL) != 0;
}

/*
 * Find or create the key map of a table, and see whether any merge has tagged
 * the table's facts before.
 */
void
OpenKeyMap(Merge *merge, FactTable *table)
{
	SqlArgs		fact_table = {0};

	SqlAddArg(&fact_table, REGCLASSOID, ObjectIdGetDatum(table->destination));
	table->tags_speak =
		SqlFetchInt64(InvalidSnapshot,
					  "SELECT pg_catalog.count(*) FROM factmerge.key_map WHERE fact_table = $1",
					  &fact_table) == 0 &&
		!IsTaggedByOthers(merge, table);
	if (merge->preview)
	{
		CopyKeyMap(merge, table);
		return;
	}
	DropOutdatedKeyMap(merge, table);
	table->map = FindKeyMap(merge, table, false);
	table->merged_before = table->map != NULL;
	if (table->map == NULL)
		CreateKeyMap(merge, table);
	else
	{
		RefuseOtherTypes(table, table->map);
		NoteSource(merge, table);
		/* Where a row lies says nothing about an earlier merge */
		if (!table->keyed)
			SqlExecute(merge->snapshot, psprintf("DELETE FROM %s", table->map), NULL);
	}
}

/*
 * Append that two rows of a key map, n and o, have the same value, perhaps null, in
 * a column of one side.
 */
static void
AppendSameValue(StringInfo sql, Column *column, const char *side)
{
	char	   *name = psprintf("%s_%d", side, column->map_number);

	appendStringInfoString(sql, " AND (");
	AppendSameOnSide(sql, column, strcmp(side, "source") == 0, psprintf("n.%s", name), psprintf("o.%s", name));
	appendStringInfo(sql, " OR n.%s IS NULL AND o.%s IS NULL)", name, name);
}

/*
 * Append that two rows of a key map, n and o, are about the same facts.
 */
void
AppendSameAddresses(StringInfo sql, FactTable *table)
{
	AppendSameAddress(sql, table, SIDE_SOURCE, "n.source_", "o.source_");
	appendStringInfoString(sql, " AND ");
	AppendSameAddress(sql, table, SIDE_DESTINATION, "n.destination_", "o.destination_");
}

/*
 * Append that they say the same.
 */
static void
AppendSamePair(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	AppendSameAddresses(sql, table);
	foreach(lc, table->map_columns)
		if (!list_member_ptr(table->address, lfirst(lc)))
	{
		AppendSameValue(sql, lfirst(lc), "source");
		AppendSameValue(sql, lfirst(lc), "destination");
	}
}

/*
 * SQL for the rows o of a key map that this merge looks at: all, unless some facts are
 * known; then those of facts that are not.
 */
char *
LookedAt(FactTable *table)
{
	StringInfoData sql;

	if (!table->repeated)
		return "true";
	initStringInfo(&sql);
	appendStringInfo(&sql, "EXISTS (SELECT FROM %s AS s WHERE ", SourceFacts(table));
	AppendMapJoin(&sql, table, "o", "source", "s");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Reconcile the pairs of this merge with those of earlier merges of the same source:
 * what is known already stays as it was, and what the source or the destination no
 * longer has goes.
 */
static void
Reconcile(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};
	StringInfoData pair;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	initStringInfo(&pair);
	AppendSamePair(&pair, table);
	/* The planner must not think that no row is of this merge */
	SqlUtility(psprintf("ANALYZE %s", table->map));
	if (KnowsSourceTables())
		RefuseChangedFacts(merge, table);
	/* What counts as the same may have been declared otherwise meanwhile */
	if (table->rule || MayFold(table))
		SqlExecute(merge->snapshot,
				   psprintf("UPDATE %s AS o SET inexact = n.inexact FROM %s AS n"
							" WHERE n.merge_id = $1 AND o.merge_id <> $1 AND n.in_both"
							" AND o.inexact <> n.inexact AND %s",
							table->map, table->map, pair.data), &args);
	SqlExecute(merge->snapshot,
			   psprintf("DELETE FROM %s AS o WHERE o.merge_id <> $1 AND NOT EXISTS"
						" (SELECT FROM %s AS n WHERE n.merge_id = $1 AND n.in_both AND %s) AND %s",
						table->map, table->map, pair.data, LookedAt(table)), &args);
	SqlExecute(merge->snapshot,
			   psprintf("DELETE FROM %s AS n WHERE n.merge_id = $1 AND n.in_both AND EXISTS"
						" (SELECT FROM %s AS o WHERE o.merge_id <> $1 AND %s)",
						table->map, table->map, pair.data), &args);
}

/*
 * Whether the key map has pairs of earlier merges that this one has met again.
 */
static bool
HasMetAgain(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};

	if (table->repeated)
		return table->met > 0;
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	return SqlFetchRow(merge->snapshot,
					   psprintf("SELECT 1 FROM %s WHERE merge_id <> $1 LIMIT 1", table->map), &args) != NULL;
}

/*
 * Bring the key map in order after the matching, and give the planner statistics of
 * it, unless there is little that they do not know.
 */
void
SettleKeyMap(Merge *merge, FactTable *table)
{
	if (HasMetAgain(merge, table))
		Reconcile(merge, table);
	if (table->fresh_facts >= WORTH_ANALYZING * table->known)
		SqlUtility(psprintf("ANALYZE %s", table->map));
}
