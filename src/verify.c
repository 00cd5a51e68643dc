/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  is a schema saturated?
 *
 * Every event of every handler is replayed in a subtransaction, by the stage
 * that replays the mixed events of a merge; what it derives was missing.  The
 * subtransaction is then taken back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "factmerge.h"
#include "handler.h"

PG_FUNCTION_INFO_V1(factmerge_verify);

/*
 * Make every fact of a table that has handlers an event to be replayed.
 */
static void
CollectAllEvents(Merge *merge, FactTable *table)
{
	if (table->handlers == NIL)
		return;
	table->events = psprintf("pg_temp.factmerge_event_%d", table->position);
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid,"
						" fact pg_catalog.tid, in_both pg_catalog.bool)",
						table->events));
	table->counts.replayed =
		SqlExecute(merge->snapshot,
				   psprintf("INSERT INTO %s SELECT t.tableoid, t.ctid, false FROM %s AS t",
							table->events, QualifiedRelation(table->destination)), NULL);
}

/*
 * Return the facts that have been derived, without our columns.
 */
static void
ReturnDerived(FunctionCallInfo fcinfo, FactTable *table)
{
	if (table->counts.derived == 0)
		return;
	SqlReturnRows(fcinfo, InvalidSnapshot,
				  psprintf("SELECT %u::pg_catalog.oid::pg_catalog.regclass,"
						   " pg_catalog.to_jsonb(x.*) - '" PROVENANCE_COLUMN "' - '" MERGE_COLUMN "'"
						   " FROM %s AS x WHERE x." MERGE_COLUMN " = 0 AND x." PROVENANCE_COLUMN " = 'derived'",
						   table->destination, QualifiedRelation(table->destination)), NULL);
}

/* The work: replay everything, and return what that derives */
static void
ReplayEverything(Merge *merge, void *arg)
{
	FunctionCallInfo fcinfo = arg;
	ListCell   *lc;

	LockTables(merge);
	LockSequences(merge->tables);
	AddProvenanceColumns(merge->tables);
	foreach(lc, merge->tables)
		CollectAllEvents(merge, lfirst(lc));
	ReplayEvents(merge);
	foreach(lc, merge->tables)
		ReturnDerived(fcinfo, lfirst(lc));
	UnregisterSnapshot(merge->snapshot);
}

/*
 * factmerge_verify(name): each fact that the handlers of a schema would add.
 */
Datum
factmerge_verify(PG_FUNCTION_ARGS)
{
	Merge	   *merge;
	int			nest_level;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	EnterMerge(CurrentMemoryContext);
	nest_level = NewGUCNestLevel();
	merge = palloc0(sizeof(Merge));
	merge->destination = pstrdup(NameStr(*PG_GETARG_NAME(0)));
	merge->search_path = LockSearchPath();
	merge->dry_run = true;
	merge->tables = DescribeSchema(FindSchema(merge->destination));
	LoadHandlers(merge->tables);
	CheckRights(merge);
	DoAndTakeBack(ReplayEverything, merge, fcinfo);

	ReportActivity(merge, NULL, NULL);
	AtEOXact_GUC(true, nest_level);
	LeaveMerge();
	SqlFinish();
	return (Datum) 0;
}
