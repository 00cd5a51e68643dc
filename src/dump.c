/*-------------------------------------------------------------------------
 *
 * dump.c
 *	  copying the facts that only the source has
 *
 * One INSERT ... SELECT per table, in the order of the new keys, with every
 * reference translated through the key maps.  merge.c has set
 * session_replication_role to replica meanwhile, so that triggers behave as under logical replication:
 * those of the user fire only if they are ENABLE ALWAYS or REPLICA, and those
 * of foreign keys do not fire at all.
 *
 * What the triggers of constraints would have checked row by row is checked
 * for the whole set: foreign keys, as far as the key map does not prove them (orphan.c),
 * and deferrable unique and exclusion constraints, by one self-join each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "factmerge.h"
#include "handler.h"
#include "rule.h"

/*
 * Append the value that a copied fact gets in a column.
 */
static void
AppendCopied(StringInfo sql, FactTable *table, Column *column, bool anew)
{
	StringInfoData value;

	initStringInfo(&value);
	/* What it refers to may have been written under another key than was planned */
	if (anew && column->reference)
		AppendTranslated(&value, column);
	else if (column->map_number > 0)
		appendStringInfo(&value, "m.destination_%d", column->map_number);
	else if (column->drafted)
		appendStringInfo(&value, "m.value_%d", column->number);
	else if (column->new_value && column->surrogate)
		appendStringInfoString(&value, column->new_value);
	else
		AppendTranslated(&value, column);
	AppendNumber(sql, table, column, value.data);
}

/*
 * Append where the values of the facts to copy come from: their pairs in the
 * key map, or their draft, as m; and the source, as s, unless the draft has it
 * all.
 */
static void
AppendFactsToCopy(StringInfo sql, Merge *merge, FactTable *table)
{
	bool		whole = table->draft != NULL;
	bool		first = true;
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		whole &= column->map_number > 0 || column->drafted ||
			column->generated || column->surrogate;
	}
	/* A note of a fact without key shows all of it */
	if (merge->careful && !table->keyed)
		whole = false;
	if (whole)
		appendStringInfo(sql, "%s AS m", table->draft);
	/* A scan keeps the order */
	if (whole && table->numbers == NULL)
		return;
	if (!whole)
	{
		AppendSourceRow(sql, merge, table, table->draft != NULL);
		appendStringInfo(sql, " JOIN %s AS m ON ", table->draft ? table->draft : table->map);
		AppendMapJoin(sql, table, "m", "source", "s");
	}
	AppendNumbered(sql, table);
	if (table->draft == NULL)
		appendStringInfo(sql, " WHERE NOT m.in_both AND NOT m.folded AND m.merge_id = " INT64_FORMAT,
						 merge->id);
	appendStringInfoString(sql, " ORDER BY ");
	foreach(lc, table->address)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "m.source_%d", ((Column *) lfirst(lc))->map_number);
	}
}

/*
 * SQL for the number of the merge; in a careful merge it notes the fact, too.
 */
static char *
MergeNumber(Merge *merge, FactTable *table)
{
	if (!merge->careful)
		return "$1";
	return psprintf("factmerge.note_fact($1, %s)",
					table->keyed ? MapAddressText(table, "m.source") :
					AddressText(table, "s"));
}

/*
 * Forget the draft of a table, for what is written has to be in an order that can be told
 * again, or it has to be translated anew.
 */
static void
ForgetDraft(FactTable *table)
{
	ListCell   *lc;

	if (table->draft)
		SqlUtility(psprintf("DROP TABLE %s", table->draft));
	table->draft = NULL;
	foreach(lc, table->columns)
		((Column *) lfirst(lc))->drafted = false;
}

/*
 * Copy the facts of one table.
 */
static void
DumpTable(Merge *merge, FactTable *table)
{
	bool		rekeyed = MayBeRekeyed(table);
	StringInfoData columns;
	StringInfoData values;
	StringInfoData facts;
	SqlArgs		args = {0};
	char	   *sql;
	uint64		rows;
	ListCell   *lc;

	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&facts);
	if (rekeyed)
		ForgetDraft(table);
	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (column->generated)
			continue;
		appendStringInfo(&columns, "%s, ", quote_identifier(column->name));
		AppendCopied(&values, table, column, RefersToRekeyed(table));
		appendStringInfoString(&values, ", ");
	}
	AppendFactsToCopy(&facts, merge, table);
	sql = psprintf("INSERT INTO %s%s (%s" PROVENANCE_COLUMN ", " MERGE_COLUMN
				   ") OVERRIDING SYSTEM VALUE SELECT %s'source', %s FROM %s",
				   QualifiedRelation(table->destination), rekeyed ? " AS x" : "", columns.data,
				   values.data, MergeNumber(merge, table), facts.data);
	if (rekeyed)
		sql = CollectWritten(table, sql);
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	rows = merge->careful ? ExecuteNoting(merge, table, sql, &args) :
		SqlExecute(merge->snapshot, sql, &args);
	if ((int64) rows != table->counts.copied)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("not all facts of table \"%s\" could be copied", table->name),
				 errdetail("A trigger or rule that is enabled for replicas has suppressed some."),
				 errhint("Disable it, or enable it for ordinary sessions only.")));
	if (rekeyed)
		FollowWritten(merge, table, facts.data);
}

/*
 * SQL for a text that names a copied fact as the source does.
 */
char *
CopiedFact(FactTable *table, const char *alias)
{
	StringInfoData sql;

	if (!table->keyed)
		return AddressText(table, alias);
	initStringInfo(&sql);
	appendStringInfo(&sql, "(SELECT %s FROM %s AS m WHERE NOT m.in_both AND NOT m.folded AND ",
					 MapAddressText(table, "m.source"), table->map);
	AppendMapJoin(&sql, table, "m", "destination", alias);
	appendStringInfoString(&sql, " LIMIT 1)");
	return sql.data;
}

/*
 * The operator by which column i of a deferrable constraint excludes.
 */
static Oid
ExcludingOperator(Relation index, Oid *exclusion, int i)
{
	if (exclusion)
		return exclusion[i];
	return get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
							   index->rd_opcintype[i], BTEqualStrategyNumber);
}

/*
 * SQL for the rows of a table that an index holds: where each lies (place), its
 * address (fact), and what the index holds of it (value_1, ...); all, or only
 * those that have been copied.
 */
static char *
IndexedRows(Merge *merge, FactTable *table, Relation index, bool copied)
{
	Oid			oid = RelationGetRelid(index);
	StringInfoData sql;
	char	  **predicate = SqlFetchRow(InvalidSnapshot,
										psprintf("SELECT pg_catalog.pg_get_expr(indpred, indrelid)"
												 " FROM pg_catalog.pg_index WHERE indexrelid = %u", oid), NULL);

	initStringInfo(&sql);
	appendStringInfo(&sql, "(SELECT ROW(t.tableoid, t.ctid) AS place, %s AS fact",
					 copied ? CopiedFact(table, "t") : AddressText(table, "t"));
	for (int i = 1; i <= index->rd_index->indnkeyatts; i++)
		appendStringInfo(&sql, ", %s AS value_%d",
						 SqlFetchRow(InvalidSnapshot,
									 psprintf("SELECT pg_catalog.pg_get_indexdef(%u, %d, false)", oid, i), NULL)[0],
						 i);
	appendStringInfo(&sql, " FROM %s AS t WHERE ", QualifiedRelation(table->destination));
	if (copied)
		AppendSideCondition(&sql, merge, table, "t", SIDE_SOURCE);
	else
		appendStringInfoString(&sql, "true");
	if (predicate[0])
		appendStringInfo(&sql, " AND (%s)", predicate[0]);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Check one deferrable unique or exclusion constraint for the copied facts.
 */
static void
CheckDeferrable(Merge *merge, FactTable *table, Oid index_oid)
{
	Relation	index = index_open(index_oid, AccessShareLock);
	Oid		   *exclusion = NULL;
	Oid		   *procedures;
	uint16	   *strategies;
	StringInfoData sql;
	char	  **row;

	if (index->rd_index->indisexclusion)
		RelationGetExclusionInfo(index, &exclusion, &procedures, &strategies);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT x.fact, y.fact FROM %s AS x JOIN %s AS y ON x.place <> y.place",
					 IndexedRows(merge, table, index, true),
					 IndexedRows(merge, table, index, false));
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		appendStringInfoString(&sql, " AND (");
		AppendEquality(&sql, psprintf("x.value_%d", i + 1),
					   ExcludingOperator(index, exclusion, i),
					   psprintf("y.value_%d", i + 1), index->rd_indcollation[i]);
		if (index->rd_index->indnullsnotdistinct)
			appendStringInfo(&sql, " OR x.value_%d IS NULL AND y.value_%d IS NULL",
							 i + 1, i + 1);
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, " ORDER BY 1, 2 LIMIT 1");
	row = SqlFetchRow(merge->snapshot, sql.data, NULL);
	if (row != NULL)
		ereport(ERROR,
				(errcode(exclusion ? ERRCODE_EXCLUSION_VIOLATION : ERRCODE_UNIQUE_VIOLATION),
				 errmsg("a copied fact of table \"%s\" violates constraint \"%s\"",
						table->name, RelationGetRelationName(index)),
				 err_generic_string(PG_DIAG_CONSTRAINT_NAME, RelationGetRelationName(index)),
				 errdetail("Fact %s of the source conflicts with fact %s of the destination.",
						   row[0], row[1]),
				 errhint("Correct one of the two facts before merging.")));
	index_close(index, AccessShareLock);
}

/*
 * Check what the triggers of constraints did not.
 */
static void
CheckConstraints(Merge *merge, FactTable *table)
{
	ListCell   *lc;

	ProveForeignKeys(merge, table);
	foreach(lc, table->deferred_keys)
		CheckDeferrable(merge, table, lfirst_oid(lc));
}

/*
 * Copy the facts that only the source has, and check all references.
 */
void
DumpFacts(Merge *merge)
{
	ListCell   *lc;
	instr_time	start;

	/* What a trigger adds that fires even now is derived */
	BeginDeriving(merge->id);
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		StartClock(&start);
		ReportActivity(merge, table, "copying");
		if (table->counts.copied > 0)
			DumpTable(merge, table);
		EndOrExtendBulk(merge, table);
		if (table->counts.copied > 0)
			AdvanceSequences(merge, table);
		if (table->draft)
			SqlUtility(psprintf("DROP TABLE %s", table->draft));
		StopClock(table, STAGE_DUMP, &start);
	}
	FollowRekeyed(merge);
	EndDeriving();

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		StartClock(&start);
		ReportActivity(merge, table, "checking");
		/* Triggers may have added facts to any table */
		if (table->counts.copied > 0 || merge->derives_while_copying)
			CheckConstraints(merge, table);
		StopClock(table, STAGE_DUMP, &start);
	}
}
