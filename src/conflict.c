/*-------------------------------------------------------------------------
 *
 * conflict.c
 *	  facts that are the same but differ outside of the key
 *
 * The destination's value stays; what the source says otherwise is recorded in
 * factmerge.conflict, one row per fact and column.  The values are read as the
 * caller and written by the extension's owner, as plain parameters, so that
 * nothing of the user's is evaluated with the owner's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "factmerge.h"

/* What the recording of one table's conflicts needs to know */
typedef struct Recorder
{
	Merge	   *merge;
	FactTable  *table;
	SqlStatement *insert;
} Recorder;

/*
 * The columns in which facts that are the same can differ.
 */
static List *
ComparedColumns(FactTable *table)
{
	List	   *columns = NIL;
	ListCell   *lc;

	if (table->sameness == NIL)
		return NIL;
	foreach(lc, WholeRow(table))
	{
		Column	   *column = lfirst(lc);
		bool		differs = false;
		ListCell   *key;

		foreach(key, table->sameness)
			differs |= !list_member_ptr(((UniqueKey *) lfirst(key))->columns, column);
		if (differs)
			columns = lappend(columns, column);
	}
	return columns;
}

/*
 * Append whether source and destination differ in a column.
 */
static void
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
 * Append an object that shows the key of a fact of the destination.
 */
static void
AppendShownKey(StringInfo sql, FactTable *table)
{
	List	   *key = table->keyed ? table->address :
		((UniqueKey *) linitial(table->sameness))->columns;
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
 * The query for the conflicts of a table.  The condition comes twice: on the
 * rows, before any value is made text, and on each column.
 */
static char *
ConflictQuery(Merge *merge, FactTable *table, List *columns)
{
	StringInfoData sql;
	StringInfoData values;
	StringInfoData differences;
	ListCell   *lc;
	bool		first = true;

	initStringInfo(&sql);
	initStringInfo(&values);
	initStringInfo(&differences);
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);
		StringInfoData source;
		StringInfoData difference;
		char	   *destination = psprintf("d.%s", quote_identifier(column->name));

		initStringInfo(&source);
		appendStringInfoChar(&source, '(');
		AppendTranslated(&source, column);
		appendStringInfoChar(&source, ')');
		initStringInfo(&difference);
		AppendDifference(&difference, column, source.data, destination);
		if (!first)
			appendStringInfoString(&values, ", ");
		appendStringInfo(&values, "(%s::pg_catalog.name, %s::pg_catalog.text, %s::pg_catalog.text, %s)",
						 quote_literal_cstr(column->name), source.data,
						 destination, difference.data);
		AppendSeparator(&differences, " OR ", &first);
		appendStringInfoString(&differences, difference.data);
	}

	appendStringInfoString(&sql, "SELECT ");
	AppendShownKey(&sql, table);
	appendStringInfoString(&sql, ", v.name, v.source, v.destination FROM ");
	AppendSourceRow(&sql, merge, table, false);
	appendStringInfo(&sql, " JOIN %s AS m ON ", table->map);
	AppendMapJoin(&sql, table, "m", "source", "s");
	appendStringInfo(&sql, " JOIN %s AS d ON ", QualifiedRelation(table->destination));
	AppendMapJoin(&sql, table, "m", "destination", "d");
	appendStringInfo(&sql, " CROSS JOIN LATERAL (VALUES %s) AS v (name, source, destination, differs)",
					 values.data);
	appendStringInfo(&sql, " WHERE (m.in_both OR m.merge_id <> $1) AND (%s) AND v.differs",
					 differences.data);
	return sql.data;
}

/* Records one conflict */
static void
RecordConflict(Datum *values, bool *nulls, void *arg)
{
	Recorder   *recorder = arg;
	RoleSwitch	caller;
	Datum		row[6] = {Int64GetDatum(recorder->merge->id),
		ObjectIdGetDatum(recorder->table->destination),
	values[0], values[1], values[2], values[3]};
	char		row_nulls[6] = {' ', ' ', ' ', ' ',
	nulls[2] ? 'n' : ' ', nulls[3] ? 'n' : ' '};

	recorder->table->counts.conflicts++;
	if (recorder->merge->dry_run)
		return;
	BecomeExtensionOwner(&caller);
	SqlExecutePrepared(recorder->insert, row, row_nulls);
	BecomeCallerAgain(&caller);
}

/*
 * Find and record the conflicts of all tables.
 */
void
RecordConflicts(Merge *merge)
{
	Oid			types[] = {INT8OID, REGCLASSOID, JSONBOID, NAMEOID, TEXTOID, TEXTOID};
	Recorder	recorder = {merge, NULL, NULL};
	RoleSwitch	caller;
	ListCell   *lc;

	BecomeExtensionOwner(&caller);
	recorder.insert = SqlPrepare("INSERT INTO factmerge.conflict"
								 " (merge_id, fact_table, key, column_name, source_value, destination_value)"
								 " VALUES ($1, $2, $3, $4, $5, $6)",
								 lengthof(types), types);
	BecomeCallerAgain(&caller);
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		List	   *columns = ComparedColumns(table);
		SqlArgs		args = {0};
		instr_time	start;

		if (columns == NIL || table->counts.in_both == 0)
			continue;
		StartClock(&start);
		ReportActivity(merge, table, "comparing");
		recorder.table = table;
		SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
		SqlForEachRow(merge->snapshot, ConflictQuery(merge, table, columns),
					  &args, RecordConflict, &recorder);
		StopClock(table, STAGE_MATCH, &start);
	}
	SqlFree(recorder.insert);
}
