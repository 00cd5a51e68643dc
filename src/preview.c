/*-------------------------------------------------------------------------
 *
 * preview.c
 *	  what a merge would make of the source's facts
 *
 * The facts are matched as in a merge, but in a subtransaction that is taken
 * back, with key maps that are temporary tables, and with keys for new facts
 * that come from sequences of their own.  So nothing is written, nobody is
 * kept from writing, and to look at the source and the destination is enough
 * of a right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_preview);

/* What the work needs to know */
typedef struct Preview
{
	FunctionCallInfo fcinfo;
	int32		examples;
} Preview;

/*
 * Let new keys be drawn from a temporary sequence that goes on where both the
 * keys and the real one have got to.
 */
static void
DrawElsewhere(Merge *merge, FactTable *table, Column *column)
{
	char	   *sequence = psprintf("pg_temp.factmerge_preview_%d_%d",
									table->position, column->number);
	const char *name = quote_identifier(column->name);
	SqlArgs		args = {0};
	char	  **start;

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(column->sequence));
	SqlAddArg(&args, INT8OID, Int64GetDatum(SequencePosition(column->sequence)));
	start = SqlFetchRow(merge->snapshot,
						psprintf("SELECT CASE WHEN q.seqincrement > 0 THEN GREATEST(x.largest, $2) + 1"
								 " ELSE LEAST(x.smallest, $2) - 1 END, pg_catalog.sign(q.seqincrement)"
								 " FROM pg_catalog.pg_sequence AS q CROSS JOIN"
								 " (SELECT pg_catalog.max(d.%s)::pg_catalog.int8 AS largest,"
								 " pg_catalog.min(d.%s)::pg_catalog.int8 AS smallest FROM %s AS d) AS x"
								 " WHERE q.seqrelid = $1",
								 name, name, QualifiedRelation(table->destination)), &args);
	SqlUtility(psprintf("CREATE TEMPORARY SEQUENCE %s INCREMENT BY %s START WITH %s"
						" MINVALUE -9223372036854775808 MAXVALUE 9223372036854775807",
						sequence, start[1], start[0]));
	column->new_value = psprintf("pg_catalog.nextval(%s)", quote_literal_cstr(sequence));
}

/*
 * Keep the sequences of the destination as they are.  What takes their values
 * for more than a number gets something else that nobody has.
 */
static void
SpareSequences(Merge *merge)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, merge->tables)
		foreach(c, ((FactTable *) lfirst(lc))->columns)
	{
		Column	   *column = lfirst(c);

		if (!(column->surrogate || column->public_number) || column->random || column->new_value == NULL ||
			column->reference != NULL)
			continue;
		if (OidIsValid(column->sequence) &&
			(IsInteger(column->type) || getBaseType(column->type) == NUMERICOID))
			DrawElsewhere(merge, lfirst(lc), column);
		else if (TypeCategory(getBaseType(column->type)) == TYPCATEGORY_STRING)
			column->new_value = "pg_catalog.gen_random_uuid()::pg_catalog.text";
		else
			LockSequence(column->sequence);
	}
}

/*
 * Return one outcome of a table: how many facts, and examples of them, given
 * what selects them as s, m and d.
 */
static void
ReturnOutcome(Merge *merge, Preview *preview, FactTable *table,
			  const char *outcome, int64 facts, const char *rows)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s::pg_catalog.name, %s::pg_catalog.text, " INT64_FORMAT "::pg_catalog.int8,"
					 " e.source, e.destination FROM (VALUES (1)) AS one"
					 " LEFT JOIN (SELECT " FACT_AS_JSON("s.*") " AS source,"
					 " CASE WHEN d.ctid IS NOT NULL THEN " FACT_AS_JSON("d.*") " END AS destination"
					 " %s ORDER BY ",
					 quote_literal_cstr(table->name), quote_literal_cstr(outcome),
					 facts, rows);
	foreach(lc, table->address)
		appendStringInfo(&sql, "%sm.source_%d", foreach_current_index(lc) ? ", " : "",
						 ((Column *) lfirst(lc))->map_number);
	appendStringInfo(&sql, " LIMIT %d) AS e ON true", preview->examples);
	SqlReturnRows(preview->fcinfo, merge->snapshot, sql.data, NULL);
}

/*
 * SQL for the facts of a table whose row in the key map meets a condition.
 */
static char *
FactsWhere(FactTable *table, const char *condition)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "FROM %s AS s JOIN %s AS m ON ",
					 SourceFacts(table), table->map);
	AppendMapJoin(&sql, table, "m", "source", "s");
	appendStringInfo(&sql, " LEFT JOIN %s AS d ON ", QualifiedRelation(table->destination));
	AppendMapJoin(&sql, table, "m", "destination", "d");
	appendStringInfo(&sql, " WHERE %s", condition);
	return sql.data;
}

/*
 * Return what would become of the facts of a table.
 */
static void
ReturnTable(Merge *merge, Preview *preview, FactTable *table)
{
	const char *copied = "m.merge_id = 0 AND NOT m.in_both AND NOT m.folded";
	char	   *conflicting = ConflictingFacts(merge, table);

	ReportActivity(merge, table, "previewing");
	ReturnOutcome(merge, preview, table, "in both", table->counts.in_both,
				  FactsWhere(table, psprintf("NOT (%s)", copied)));
	ReturnOutcome(merge, preview, table, "copied", table->counts.copied,
				  FactsWhere(table, copied));
	ReturnOutcome(merge, preview, table, "conflict",
				  SqlFetchInt64(merge->snapshot,
								psprintf("SELECT pg_catalog.count(*) %s", conflicting), NULL),
				  conflicting);
}

/* The work: match, and return what that comes to */
static void
PreviewMerge(Merge *merge, void *arg)
{
	ListCell   *lc;

	SpareSequences(merge);
	TakeFacts(merge);
	WarnOfLookalikes(merge);
	SqlLetCodeSee(merge->search_path);
	foreach(lc, merge->tables)
		ReturnTable(merge, arg, lfirst(lc));
	SqlLetCodeSee(NULL);
}

/*
 * factmerge_preview(name, name, integer)
 */
Datum
factmerge_preview(PG_FUNCTION_ARGS)
{
	Preview		preview = {fcinfo, REQUIRE_ARG(INT32, 2)};
	Merge	   *merge;
	int			nest_level;

	if (preview.examples < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of examples must not be negative")));
	RequireWritable(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	EnterMerge(CurrentMemoryContext);
	nest_level = NewGUCNestLevel();
	merge = palloc0(sizeof(Merge));
	merge->source = SchemaArgument(fcinfo, 0);
	merge->destination = SchemaArgument(fcinfo, 1);
	merge->dry_run = true;
	merge->preview = true;
	merge->search_path = LockSearchPath();
	OpenSchemas(merge);
	DoAndTakeBack(PreviewMerge, merge, &preview);

	UnregisterSnapshot(merge->snapshot);
	ReportActivity(merge, NULL, NULL);
	StopActing();
	AtEOXact_GUC(false, nest_level);
	LeaveMerge();
	SqlFinish();
	return (Datum) 0;
}
