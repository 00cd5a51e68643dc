/*-------------------------------------------------------------------------
 *
 * report.c
 *	  what a merge tells: activity, timings, totals, history
 *
 * The history is kept in tables of schema factmerge, which the extension's
 * owner writes and everybody may read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "factmerge.h"
#include "finding.h"

PG_FUNCTION_INFO_V1(factmerge_report);

/* The counts in the order in which every result shows them */
#define COUNT_COLUMNS \
	"source_facts, in_both, copied, conflicts, events, skipped_categorically," \
	" skipped_in_both, skipped_friends_in_both, skipped_one_sided, unhandled," \
	" replayed, derived"
#define COUNT_COLUMN_COUNT 12

static void
CountValues(Counts *counts, int64 *values)
{
	values[0] = counts->source_facts;
	values[1] = counts->in_both;
	values[2] = counts->copied;
	values[3] = counts->conflicts;
	values[4] = counts->events;
	values[5] = counts->skipped_categorically;
	values[6] = counts->skipped_in_both;
	values[7] = counts->skipped_friends_in_both;
	values[8] = counts->skipped_one_sided;
	values[9] = counts->unhandled;
	values[10] = counts->replayed;
	values[11] = counts->derived;
}

/*
 * Show in pg_stat_activity what a merge is doing, before the statement that
 * called it; with doing NULL only the statement.
 */
void
ReportActivity(Merge *merge, FactTable *table, const char *doing)
{
	const char *statement = debug_query_string ? debug_query_string : "";

	if (doing == NULL)
		pgstat_report_activity(STATE_RUNNING, statement);
	else
	{
		char	   *activity = psprintf("factmerge: %s %s (table %d of %d): %s",
										doing, table->name, table->position,
										list_length(merge->tables), statement);

		pgstat_report_activity(STATE_RUNNING, activity);
		pfree(activity);
	}
}

/*
 * Take the time at which a stage turns to a table.
 */
void
StartClock(instr_time *start)
{
	INSTR_TIME_SET_CURRENT(*start);
}

/*
 * Add the time since to the table's time in that stage.
 */
void
StopClock(FactTable *table, Stage stage, instr_time *start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *start);
	table->milliseconds[stage] += INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Add up the counts of all tables.
 */
void
SumCounts(Merge *merge, Counts *totals)
{
	int64		sums[COUNT_COLUMN_COUNT] = {0};
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		int64		values[COUNT_COLUMN_COUNT];

		CountValues(&((FactTable *) lfirst(lc))->counts, values);
		for (int i = 0; i < COUNT_COLUMN_COUNT; i++)
			sums[i] += values[i];
	}
	*totals = (Counts)
	{
		sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6],
			sums[7], sums[8], sums[9], sums[10], sums[11]
	};
}

/*
 * The time since the merge began.
 */
static Datum
Elapsed(Merge *merge)
{
	Interval   *interval = palloc0(sizeof(Interval));
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, merge->start);
	interval->time = INSTR_TIME_GET_MICROSEC(now);
	return IntervalPGetDatum(interval);
}

/*
 * The row that factmerge_merge() returns.
 */
Datum
TotalsRow(FunctionCallInfo fcinfo, Merge *merge, Counts *totals)
{
	TupleDesc	tupdesc;
	Datum		values[COUNT_COLUMN_COUNT + 3];
	bool		nulls[COUNT_COLUMN_COUNT + 3] = {false};
	int64		counts[COUNT_COLUMN_COUNT];

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	nulls[0] = merge->dry_run;
	values[0] = Int64GetDatum(merge->id);
	values[1] = Int32GetDatum(list_length(merge->tables));
	CountValues(totals, counts);
	for (int i = 0; i < COUNT_COLUMN_COUNT; i++)
		values[i + 2] = Int64GetDatum(counts[i]);
	values[COUNT_COLUMN_COUNT + 2] = Elapsed(merge);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/*
 * Enter the merge into the history; it gets its number.
 */
void
BeginHistory(Merge *merge)
{
	SqlArgs		args = {0};
	RoleSwitch	caller;
	FactTable  *first = linitial(merge->tables);

	SqlAddArg(&args, NAMEOID, NameDatum(merge->source));
	SqlAddArg(&args, NAMEOID, NameDatum(merge->destination));
	SqlAddArg(&args, NAMEOID, NameDatum(GetUserNameFromId(GetUserId(), false)));
	SqlAddArg(&args, TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp()));
	SqlAddArg(&args, REGCLASSOID,
			  ObjectIdGetDatum(IsTemporary(first->source) ? InvalidOid : first->source));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(first->destination));
	BecomeExtensionOwner(&caller);
	merge->id = SqlFetchInt64(InvalidSnapshot,
							  KnowsSourceTables() ?
							  "INSERT INTO factmerge.merge (source, destination, merged_by, merged_at, source_table, destination_table)"
							  " VALUES ($1, $2, $3, $4, NULLIF($5, 0::pg_catalog.oid), $6) RETURNING merge_id" :
							  "INSERT INTO factmerge.merge (source, destination, merged_by, merged_at)"
							  " VALUES ($1, $2, $3, $4) RETURNING merge_id", &args);
	BecomeCallerAgain(&caller);
}

static void
AddCountArgs(SqlArgs *args, Counts *counts)
{
	int64		values[COUNT_COLUMN_COUNT];

	CountValues(counts, values);
	for (int i = 0; i < COUNT_COLUMN_COUNT; i++)
		SqlAddArg(args, INT8OID, Int64GetDatum(values[i]));
}

/*
 * Complete the history with what has been counted and measured.
 */
void
EndHistory(Merge *merge, Counts *totals)
{
	SqlArgs		args = {0};
	ListCell   *lc;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	SqlAddArg(&args, INT4OID, Int32GetDatum(list_length(merge->tables)));
	SqlAddArg(&args, INTERVALOID, Elapsed(merge));
	AddCountArgs(&args, totals);
	SqlExecuteAsOwner("UPDATE factmerge.merge SET (fact_tables, elapsed, " COUNT_COLUMNS ")"
					  " = ROW ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
					  " WHERE merge_id = $1", &args);
	RecordFindings(merge);
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		SqlArgs		row = {0};

		SqlAddArg(&row, INT8OID, Int64GetDatum(merge->id));
		SqlAddArg(&row, INT4OID, Int32GetDatum(table->position));
		SqlAddArg(&row, NAMEOID, NameDatum(table->name));
		AddCountArgs(&row, &table->counts);
		for (int i = 0; i < STAGES; i++)
			SqlAddArg(&row, FLOAT8OID, Float8GetDatum(rint(table->milliseconds[i] * 1000) / 1000));
		SqlExecuteAsOwner("INSERT INTO factmerge.merge_table (merge_id, \"position\", fact_table, "
						  COUNT_COLUMNS ", match_ms, dump_ms, mark_ms, friends_ms, replay_ms)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
						  " $16, $17, $18, $19, $20)", &row);
	}
}

/*
 * The merge that an optional argument names, by default the latest.
 */
int64
MergeArgument(FunctionCallInfo fcinfo)
{
	SqlArgs		args = {0};
	int64		id;

	SqlAddArgument(&args, INT8OID, fcinfo, 0);
	id = SqlFetchInt64(InvalidSnapshot,
					   "SELECT pg_catalog.max(merge_id) FROM factmerge.merge"
					   " WHERE merge_id OPERATOR(pg_catalog.=) COALESCE($1, merge_id)", &args);
	if (id == 0 && PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there has been no merge yet")));
	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no merge " INT64_FORMAT, PG_GETARG_INT64(0)),
				 errhint("Table factmerge.merge lists the merges.")));
	return id;
}

/*
 * factmerge_report(bigint): a row per fact table of a merge.
 */
Datum
factmerge_report(PG_FUNCTION_ARGS)
{
	SqlArgs		args = {0};
	int			nest_level = NewGUCNestLevel();

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	SqlAddArg(&args, INT8OID, Int64GetDatum(MergeArgument(fcinfo)));
	SqlReturnRows(fcinfo, InvalidSnapshot,
				  "SELECT fact_table, " COUNT_COLUMNS ", match_ms, dump_ms, mark_ms,"
				  " friends_ms, replay_ms FROM factmerge.merge_table"
				  " WHERE merge_id = $1 ORDER BY \"position\"", &args);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}
