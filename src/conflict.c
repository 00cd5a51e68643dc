/*-------------------------------------------------------------------------
 *
 * conflict.c
 *	  facts that are the same but differ outside of the key
 *
 * The destination's value stays; what the source says otherwise is recorded in
 * factmerge.conflict, one row per fact and column, by the merge that meets the fact.
 * Later merges compare the fact again if the source has written it anew, or if the
 * destination's is a copy; but what the source says is recorded once.
 *
 * The values are made text as the caller, and then written by the extension's owner, so
 * that nothing of the user's is evaluated with the owner's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "factmerge.h"
#include "handler.h"
#include "samerule.h"

/* The name under which a statement finds the conflicts that have been found */
#define FOUND_NAME "factmerge_found"

/*
 * Whether a column holds a key that either side has drawn for itself, as uuids are:
 * where another key says that two facts are the same, these differ as a matter of course.
 */
static bool
IsDrawnKey(FactTable *table, Column *column)
{
	return column->random && list_member_ptr(table->address, column);
}

/*
 * The columns in which facts that are the same can differ.
 */
static List *
ComparedColumns(FactTable *table)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, WholeRow(table))
		if (!IsSameIn(table, lfirst(lc)) && !IsDrawnKey(table, lfirst(lc)))
		columns = lappend(columns, lfirst(lc));
	return columns;
}

/*
 * Whether facts that are the same can differ.
 */
bool
MayDiffer(FactTable *table)
{
	return ComparedColumns(table) != NIL;
}

/*
 * Append whether source and destination differ in a column.
 */
void
AppendDifference(StringInfo sql, Column *column, const char *source,
				 const char *destination)
{
	Oid			operator = EqualityOperator(column->type);
	const char *as_text = "";

	if (!OidIsValid(operator))
	{
		operator = TextEqualOperator;
		as_text = "::pg_catalog.text";
	}
	appendStringInfo(sql, "CASE WHEN %s IS NULL OR %s IS NULL THEN (%s IS NULL) <> (%s IS NULL) ELSE NOT (",
					 destination, source, destination, source);
	AppendEquality(sql, psprintf("%s%s", destination, as_text), operator,
				   psprintf("%s%s", source, as_text), column->collation);
	appendStringInfoString(sql, ") END");
}

/*
 * The columns that name a fact to the user.
 */
static List *
ShownKey(FactTable *table)
{
	if (table->keyed)
		return table->address;
	if (table->rule)
		return table->rule->columns;
	return ((UniqueKey *) linitial(table->sameness))->inputs;
}

/*
 * Append an object that shows the key of a fact of the destination.
 */
static void
AppendShownKey(StringInfo sql, FactTable *table)
{
	List	   *key = ShownKey(table);
	bool		first = true;
	ListCell   *lc;

	appendStringInfoString(sql, "pg_catalog.jsonb_build_object(");
	foreach(lc, key)
	{
		char	   *name = ((Column *) lfirst(lc))->name;

		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "%s, d.%s", quote_literal_cstr(name),
						 quote_identifier(name));
	}
	appendStringInfoChar(sql, ')');
}

/*
 * Append facts of both sides that are the same: s of the source, m of the key
 * map, d of the destination.
 */
static void
AppendSameFacts(StringInfo sql, Merge *merge, FactTable *table)
{
	AppendSourceRow(sql, merge, table, false);
	appendStringInfo(sql, " JOIN %s AS m ON ", table->map);
	AppendMapJoin(sql, table, "m", "source", "s");
	appendStringInfo(sql, " JOIN %s AS d ON ", QualifiedRelation(table->destination));
	AppendMapJoin(sql, table, "m", "destination", "d");
}

/*
 * SQL for the value that the source has in a column.
 */
static char *
TranslatedValue(Column *column)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoChar(&sql, '(');
	AppendTranslated(&sql, column);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Append whether a fact of the source differs from row alias in some columns;
 * that has them by name, or if numbered as v1, v2, ...
 */
static void
AppendDiffers(StringInfo sql, List *columns, const char *alias, bool numbered)
{
	bool		first = true;
	ListCell   *lc;

	appendStringInfoChar(sql, '(');
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);

		AppendSeparator(sql, " OR ", &first);
		AppendDifference(sql, column, TranslatedValue(column),
						 numbered ? psprintf("%s.v%d", alias, column->number) :
						 psprintf("%s.%s", alias, quote_identifier(column->name)));
	}
	appendStringInfoString(sql, first ? "false)" : ")");
}

/* Which facts that are the same are compared */
typedef enum Compared
{
	COMPARED_MET,				/* those that this merge has met in both, what earlier
								 * ones have copied, and what is rewritten; all
								 * if columns have been altered */
	COMPARED_FOLDED,			/* those that this merge has folded with a copied one */
	COMPARED_REWRITTEN			/* those that an earlier merge has copied, and the
								 * source has written since, for sure */
} Compared;

/*
 * SQL for whether the source's fact of pair m was written after the last merge.
 */
static char *
IsRewritten(FactTable *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "EXISTS (SELECT FROM %s AS s WHERE NOT %s AND ",
					 QualifiedRelation(table->source), WrittenBefore("s", table->next_transaction));
	AppendMapJoin(&sql, table, "m", "source", "s");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * The condition on pair m to be compared.  A temporary table is another source every
 * time, although it may bear the same name.
 */
static char *
IsCompared(Merge *merge, FactTable *table, Compared compared)
{
	char	   *by_this = psprintf("(m.merge_id = " INT64_FORMAT ")", merge->id);

	if (compared == COMPARED_FOLDED)
		return psprintf("m.folded AND %s", by_this);
	if (compared == COMPARED_REWRITTEN)
		return psprintf("NOT m.in_both AND NOT %s AND %s", by_this, IsRewritten(table));
	if (IsTemporary(table->source))
		return psprintf("(m.in_both OR NOT %s)", by_this);
	if (table->altered)
		return "NOT m.folded";
	if (table->met == 0)
		return psprintf("NOT m.folded AND m.in_both = %s", by_this);
	return psprintf("NOT m.folded AND (m.in_both = %s OR %s)", by_this, IsRewritten(table));
}

/*
 * The query for the conflicts of a table.  The condition comes twice: on the
 * rows, before any value is made text, and on each column.  What has been
 * folded in this merge is there to be compared with only after the others have
 * been copied.
 */
static char *
ConflictQuery(Merge *merge, FactTable *table, List *columns, Compared compared)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	AppendShownKey(&sql, table);
	appendStringInfoString(&sql, " AS key, v.name AS column_name, v.source AS source_value,"
						   " v.destination AS destination_value FROM ");
	AppendSameFacts(&sql, merge, table);
	appendStringInfoString(&sql, " CROSS JOIN LATERAL (VALUES ");
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(&sql, "%s(%s::pg_catalog.name, %s::pg_catalog.text, d.%s::pg_catalog.text, ",
						 foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(column->name), TranslatedValue(column),
						 quote_identifier(column->name));
		AppendDiffers(&sql, list_make1(column), "d", false);
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, ") AS v (name, source, destination, differs)");
	appendStringInfo(&sql, " WHERE %s AND ", IsCompared(merge, table, compared));
	AppendDiffers(&sql, columns, "d", false);
	appendStringInfoString(&sql, " AND v.differs");
	return sql.data;
}

/*
 * Append the facts that would be copied and that others have been folded with,
 * as y: where they go, and what they would be in some columns.
 */
static void
AppendFoldedWith(StringInfo sql, Merge *merge, FactTable *table, List *columns)
{
	ListCell   *lc;

	appendStringInfoString(sql, " LEFT JOIN (SELECT n.*");
	foreach(lc, columns)
		appendStringInfo(sql, ", %s AS v%d", TranslatedValue(lfirst(lc)),
						 ((Column *) lfirst(lc))->number);
	appendStringInfoString(sql, " FROM ");
	AppendSourceRow(sql, merge, table, false);
	appendStringInfo(sql, " JOIN %s AS n ON n.merge_id = " INT64_FORMAT
					 " AND NOT n.in_both AND NOT n.folded AND ", table->map, merge->id);
	AppendMapJoin(sql, table, "n", "source", "s");
	appendStringInfoString(sql, ") AS y ON m.folded AND m.merge_id = y.merge_id AND ");
	AppendSameAddress(sql, table, SIDE_DESTINATION, "y.destination_", "m.destination_");
}

/*
 * SQL for the facts of a table that are in conflict, as s, m and d: what comes
 * after SELECT ....  Before anything is copied, what has been folded is
 * compared with the fact that will be.
 */
char *
ConflictingFacts(Merge *merge, FactTable *table)
{
	List	   *columns = ComparedColumns(table);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "FROM ");
	AppendSourceRow(&sql, merge, table, false);
	appendStringInfo(&sql, " JOIN %s AS m ON ", table->map);
	AppendMapJoin(&sql, table, "m", "source", "s");
	appendStringInfo(&sql, " LEFT JOIN %s AS d ON ", QualifiedRelation(table->destination));
	AppendMapJoin(&sql, table, "m", "destination", "d");
	if (table->folded)
		AppendFoldedWith(&sql, merge, table, columns);
	appendStringInfo(&sql, " WHERE d.ctid IS NOT NULL AND %s AND ", IsCompared(merge, table, COMPARED_MET));
	AppendDiffers(&sql, columns, "d", false);
	if (table->numbers)
		appendStringInfo(&sql, " OR %s", GetsNewNumber(merge, table));
	if (table->folded)
	{
		appendStringInfoString(&sql, " OR y.merge_id IS NOT NULL AND ");
		AppendDiffers(&sql, columns, "y", true);
	}
	return sql.data;
}

/*
 * The first of the conflicts of a table, or NULL.
 */
static char **
FirstConflict(Merge *merge, FactTable *table, List *columns, Compared compared)
{
	return SqlFetchRow(merge->snapshot,
					   psprintf("%s ORDER BY 1, 2 LIMIT 1",
								ConflictQuery(merge, table, columns, compared)), NULL);
}

/* What a conflict is, for people */
static char *
DescribeConflict(char **row)
{
	return psprintf("Column \"%s\" of fact %s is %s in the source and %s in the destination.",
					row[1], row[0],
					row[2] ? quote_literal_cstr(row[2]) : "null",
					row[3] ? quote_literal_cstr(row[3]) : "null");
}

/*
 * Stop if a fact that an earlier merge has copied has been written anew in the source,
 * and differs from its copy.  What a trigger has made of the copy is not told from
 * that.
 */
static void
RefuseRewrittenFacts(Merge *merge, FactTable *table, List *columns)
{
	char	  **row;

	if (table->met == 0 || FiresWhileCopying(table))
		return;
	columns = WithoutNumbers(columns);
	row = columns ? FirstConflict(merge, table, columns, COMPARED_REWRITTEN) : NULL;
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a fact of table \"%s\" that has been merged before has changed", table->name),
				 errdetail("%s", DescribeConflict(row)),
				 errhint("%s", ChangedHint(merge, table, 0, false, false))));
}

/*
 * SQL for the conflicts that have been found, as f, but for what the source has said
 * before: $1 is the number of the merge, $2 the table.  Nobody knows whether a temporary
 * table is that source.
 */
static char *
NewConflicts(Merge *merge, FactTable *table)
{
	if (IsTemporary(table->source))
		return FOUND_NAME " AS f WHERE true";
	return psprintf(FOUND_NAME " AS f WHERE NOT EXISTS"
					" (SELECT FROM factmerge.conflict AS c WHERE c.fact_table = $2 AND c.key = f.key"
					" AND c.column_name = f.column_name AND c.source_value IS NOT DISTINCT FROM f.source_value"
					" AND (c.merge_id = $1 OR c.merge_id IN (%s)))", EarlierMerges(merge, table));
}

/*
 * Stop at the first of the new conflicts, but for differences that the declared
 * sameness allows.
 */
static void
RefuseConflict(FactTable *table, const char *conflicts, SqlArgs *args)
{
	SqlArgs		all = *args;
	char	  **row;

	SqlAddArg(&all, NAMEARRAYOID, NameArray(table->rule ? ColumnNames(table->rule->columns) : NIL));
	row = SqlFetchRow(InvalidSnapshot,
					  psprintf("SELECT f.key, f.column_name, f.source_value, f.destination_value"
							   " FROM %s AND f.column_name <> ALL ($3) ORDER BY 1, 2 LIMIT 1", conflicts), &all);
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION),
				 errmsg("a fact of table \"%s\" is not the same in source and destination",
						table->name),
				 errdetail("%s", DescribeConflict(row)),
				 errhint("Correct one of the two, or let the merge keep the destination's value with factmerge.on_conflict = keep.")));
}

/*
 * Record those of the conflicts found that are new, or refuse them; returns how many
 * there are.
 */
static int64
EnterConflicts(Merge *merge, FactTable *table)
{
	const char *conflicts = NewConflicts(merge, table);
	SqlArgs		args = {0};
	RoleSwitch	caller;
	int64		count;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	BecomeExtensionOwner(&caller);
	if (on_conflict == CONFLICT_ERROR)
		RefuseConflict(table, conflicts, &args);
	if (merge->dry_run)
		count = SqlFetchInt64(InvalidSnapshot, psprintf("SELECT pg_catalog.count(*) FROM %s", conflicts), &args);
	else
		count = SqlExecute(InvalidSnapshot,
						   psprintf("INSERT INTO factmerge.conflict"
									" (merge_id, fact_table, key, column_name, source_value, destination_value)"
									" SELECT $1, $2, f.key, f.column_name, f.source_value, f.destination_value FROM %s",
									conflicts), &args);
	BecomeCallerAgain(&caller);
	return count;
}

/*
 * Find the conflicts of a table by a query, and record or refuse those that are new.  A
 * preview shows them all.
 */
static void
RecordOf(Merge *merge, FactTable *table, const char *query)
{
	Tuplestorestate *found = tuplestore_begin_heap(true, false, work_mem);
	TupleDesc	description;
	int64		count = SqlStoreQuery(merge->snapshot, query, found, &description);

	if (count > 0 && !merge->preview)
	{
		SqlRegisterRows(FOUND_NAME, InvalidOid, description, found);
		count = EnterConflicts(merge, table);
		SqlUnregisterRows(FOUND_NAME);
	}
	tuplestore_end(found);
	table->counts.conflicts += count;
}

/*
 * How many conflicts of a table a merge has recorded by now.
 */
int64
CountConflicts(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};
	RoleSwitch	caller;
	int64		count;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	BecomeExtensionOwner(&caller);
	count = SqlFetchInt64(merge->snapshot,
						  "SELECT pg_catalog.count(*) FROM factmerge.conflict AS c WHERE c.merge_id = $1 AND c.fact_table = $2", &args);
	BecomeCallerAgain(&caller);
	return count;
}

/*
 * Find and record conflicts of all tables, of facts that have been folded or of
 * the others.
 */
static void
RecordSome(Merge *merge, Compared compared)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		List	   *columns = ComparedColumns(table);
		instr_time	start;

		if (columns == NIL || table->counts.in_both == 0 || HasNothingNew(table) ||
			(compared == COMPARED_FOLDED && !table->folded))
			continue;
		StartClock(&start);
		ReportActivity(merge, table, "comparing");
		RefuseRewrittenFacts(merge, table, columns);
		RecordOf(merge, table, ConflictQuery(merge, table, columns, compared));
		StopClock(table, STAGE_MATCH, &start);
	}
}

/*
 * Find and record the conflicts of facts that are in both, and the numbers of others that
 * are taken.
 */
void
RecordConflicts(Merge *merge)
{
	ListCell   *lc;

	RecordSome(merge, COMPARED_MET);
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		if (table->numbers == NULL)
			continue;
		NoticeNumbers(merge, table);
		RecordOf(merge, table, NewNumbers(merge, table));
	}
}

/*
 * Find and record the conflicts of facts that have been folded with a copied
 * one, which is in the destination by now.
 */
void
RecordFoldedConflicts(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
		if (((FactTable *) lfirst(lc))->folded)
	{
		RecordSome(merge, COMPARED_FOLDED);
		return;
	}
}
