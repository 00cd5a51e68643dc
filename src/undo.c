/*-------------------------------------------------------------------------
 *
 * undo.c
 *	  taking back a merge
 *
 * The tags say what a merge has done: what it has copied (source) or derived is
 * removed, and what it found in both becomes the destination's own again.  Only the
 * latest merge into a destination can be taken back, and only as long as nothing else
 * refers to what it has brought.  That is checked for all foreign keys, whatever they
 * would do on deletion; the deletion itself then fires no triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_undo);

/* That row alias has been brought by merge $1 */
#define BROUGHT(alias) \
	alias "." MERGE_COLUMN " = $1 AND " alias "." PROVENANCE_COLUMN " IN ('source', 'derived')"

/*
 * The destination of a merge, by what its schema is called now; refuses a merge that
 * cannot be taken back.
 */
static char *
DestinationOf(int64 merge_id)
{
	SqlArgs		args = {0};
	char	  **row;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge_id));
	row = SqlFetchRow(InvalidSnapshot,
					  "SELECT COALESCE(n.nspname, m.destination), CASE WHEN m.undone THEN 1 END,"
					  " (SELECT pg_catalog.max(l.merge_id) FROM factmerge.merge AS l LEFT JOIN pg_catalog.pg_class AS lc ON lc.oid = l.destination_table"
					  " WHERE NOT l.undone AND l.merge_id > m.merge_id AND COALESCE(lc.relnamespace = n.oid, l.destination = m.destination)),"
					  " CASE WHEN m.untagged THEN 1 END"
					  " FROM factmerge.merge AS m LEFT JOIN pg_catalog.pg_class AS c ON c.oid = m.destination_table"
					  " LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE m.merge_id = $1", &args);
	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no merge " INT64_FORMAT, merge_id),
				 errhint("View factmerge_history lists the merges.")));
	if (row[1])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("merge " INT64_FORMAT " has been undone already", merge_id)));
	if (row[3])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("merge " INT64_FORMAT " cannot be undone any more", merge_id),
				 errdetail("The provenance columns that told what it has brought to schema \"%s\" have been removed.",
						   row[0])));
	if (row[2])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("merge " INT64_FORMAT " is not the latest into schema \"%s\"", merge_id, row[0]),
				 errdetail("The latest is merge %s.", row[2]),
				 errhint("Undo the later merges first, the latest of them first, and merge their sources anew afterwards.")));
	return row[0];
}

/*
 * Take back what a merge has done to one table, and return how much that is.
 */
static void
UndoTable(Merge *merge, FactTable *table, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *relation = QualifiedRelation(table->destination);
	SqlArgs		args = {0};
	Datum		values[3] = {ObjectIdGetDatum(table->destination), 0, 0};
	bool		nulls[3] = {false};

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	values[1] = Int64GetDatum(SqlExecute(GetTransactionSnapshot(),
										 psprintf("DELETE FROM %s AS x WHERE " BROUGHT("x"), relation), &args));
	values[2] = Int64GetDatum(SqlExecute(GetTransactionSnapshot(),
										 psprintf("UPDATE %s AS x SET " PROVENANCE_COLUMN " = 'destination', "
												  MERGE_COLUMN " = NULL WHERE x." MERGE_COLUMN " = $1", relation), &args));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Removes the pairs that merge $1 was the first to meet from a key map, given by its name */
static void
ForgetPairs(Datum *values, bool *nulls, void *arg)
{
	SqlExecute(InvalidSnapshot,
			   psprintf("DELETE FROM %s WHERE merge_id = $1", TextDatumGetCString(values[0])), arg);
}

/* What to take back, and where to return what that has come to */
typedef struct Undoing
{
	Merge	   *merge;
	void	   *arg;
} Undoing;

/* The work: take facts and their pairs back */
static void
TakeBack(void *arg)
{
	Undoing    *undoing = arg;
	Merge	   *merge = undoing->merge;
	SqlArgs		args = {0};
	ListCell   *lc;

	SqlLetCodeSee(merge->search_path);
	foreach(lc, merge->tables)
		if (((FactTable *) lfirst(lc))->has_tags)
		UndoTable(merge, lfirst(lc), undoing->arg);
	SqlLetCodeSee(NULL);
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	foreach(lc, merge->tables)
	{
		SqlArgs		fact_table = {0};

		SqlAddArg(&fact_table, REGCLASSOID, ObjectIdGetDatum(((FactTable *) lfirst(lc))->destination));
		SqlForEachRow(InvalidSnapshot,
					  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM factmerge.key_map AS k"
					  " JOIN pg_catalog.pg_class AS c ON c.oid = k.map JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
					  " WHERE k.fact_table = $1", &fact_table, ForgetPairs, &args);
	}
}

/* The work: take everything back */
static void
UndoMerge(Merge *merge, void *arg)
{
	Undoing		undoing = {merge, arg};
	SqlArgs		args = {0};

	RefuseReferred(merge);
	DoWithoutTriggers(TakeBack, &undoing);
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	(void) SqlExecuteAsOwner("DELETE FROM factmerge.conflict AS c WHERE c.merge_id = $1", &args);
	NoteFinished(merge);
	(void) SqlExecuteAsOwner("UPDATE factmerge.merge AS m SET undone = true WHERE m.merge_id = $1", &args);
}

/*
 * factmerge_undo(bigint, bool): take back the latest merge into a destination.
 */
Datum
factmerge_undo(PG_FUNCTION_ARGS)
{
	Merge		merge = {0};
	int			nest_level = NewGUCNestLevel();

	RequireWritable(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	EnterMerge(CurrentMemoryContext);
	merge.search_path = LockSearchPath();
	merge.id = REQUIRE_ARG(INT64, 0);
	merge.dry_run = REQUIRE_ARG(BOOL, 1);
	merge.destination = DestinationOf(merge.id);
	merge.tables = DescribeSchema(FindSchema(merge.destination));
	CheckRights(&merge);
	LockDestination(&merge);
	LockTables(&merge);
	ActForOwners(merge.tables);
	UnregisterSnapshot(merge.snapshot);
	/* Another may have been made, or undone, before we got the lock */
	(void) DestinationOf(merge.id);
	if (merge.dry_run)
		DoAndTakeBack(UndoMerge, &merge, fcinfo);
	else
		UndoMerge(&merge, fcinfo);
	StopActing();
	LeaveMerge();
	SqlFinish();
	AtEOXact_GUC(false, nest_level);
	return (Datum) 0;
}
