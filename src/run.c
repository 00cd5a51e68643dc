/*-------------------------------------------------------------------------
 *
 * run.c
 *	  merges that a scheduler calls, and the history of those that failed
 *
 * A merge that fails leaves nothing, not even in the history.  factmerge_run() is a
 * procedure, which may end transactions: it merges and commits that, and if either
 * fails, it records the failure in the next transaction, commits this, and raises
 * the error again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_run);
PG_FUNCTION_INFO_V1(factmerge_trim_history);

/* A call of factmerge_run() */
typedef struct Run
{
	char	   *source;
	char	   *destination;
	bool		wait;
	TimestampTz started_at;
	ErrorData  *error;			/* why it has failed */
} Run;

/* The work: merge */
static void
MergeForRun(void *arg)
{
	Run		   *run = arg;
	Counts		totals;

	SqlConnect();
	(void) MergeSchemas(run->source, run->destination, false, run->wait, &totals);
	SqlFinish();
}

/* The work: enter a failure into the history */
static void
EnterFailure(void *arg)
{
	Run		   *run = arg;
	ErrorData  *error = run->error;
	SqlArgs		args = {0};
	int			nest_level = NewGUCNestLevel();

	SqlConnect();
	LockSearchPath();
	SqlAddArg(&args, NAMEOID, NameDatum(run->source));
	SqlAddArg(&args, NAMEOID, NameDatum(run->destination));
	SqlAddArg(&args, NAMEOID, NameDatum(GetUserNameFromId(GetUserId(), false)));
	SqlAddArg(&args, TIMESTAMPTZOID, TimestampTzGetDatum(run->started_at));
	SqlAddArg(&args, TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp()));
	SqlAddTextArg(&args, unpack_sql_state(error->sqlerrcode));
	SqlAddTextArg(&args, error->message);
	SqlAddTextArg(&args, error->detail);
	SqlAddTextArg(&args, error->hint);
	SqlAddTextArg(&args, error->context);
	(void) SqlExecuteAsOwner("INSERT INTO factmerge.failure (source, destination, merged_by, merged_at, elapsed,"
							 " sqlstate, message, detail, hint, context)"
							 " VALUES ($1, $2, $3, $4, $5 - $4, $6, $7, $8, $9, $10)", &args);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
}

/*
 * Commit; if that fails, the transaction has been rolled back, and another one begun,
 * and the error is returned, otherwise NULL.
 */
static ErrorData *
TryToCommit(void)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		SqlCommit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}

/*
 * Do some work and commit; returns the error if that fails, and nothing is left of the
 * transaction, otherwise NULL.
 */
static ErrorData *
TryInTransaction(void (*work) (void *arg), void *arg)
{
	ErrorData  *error = TryInSubtransaction(work, arg, true);

	if (error == NULL)
		return TryToCommit();
	/* What has gone wrong may be the transaction itself, which is no good then */
	SqlRollback();
	return error;
}

/*
 * Record a failure, which is of more interest than why it cannot be recorded.
 */
static void
RecordFailure(Run *run)
{
	ErrorData  *error = TryInTransaction(EnterFailure, run);

	if (error)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("the failure of the merge could not be entered into the history"),
				 errdetail("%s", error->message)));
}

/*
 * factmerge_run(name, name, bool): merge two schemas in a transaction of its own.
 */
Datum
factmerge_run(PG_FUNCTION_ARGS)
{
	Run			run = {.wait = PG_GETARG_BOOL(2),.started_at = GetCurrentTimestamp()};

	RequireArguments(fcinfo);
	RequireWritable(fcinfo);
	RequireNonatomicCall(fcinfo, "factmerge_run()", "It has to commit that a merge has failed.");
	SqlConnectNonatomic();
	run.source = SchemaArgument(fcinfo, 0);
	run.destination = SchemaArgument(fcinfo, 1);
	run.error = TryInTransaction(MergeForRun, &run);
	if (run.error)
	{
		RecordFailure(&run);
		ReThrowError(run.error);
	}
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_trim_history(interval): let the history forget what is older.
 */
Datum
factmerge_trim_history(PG_FUNCTION_ARGS)
{
	static const char *const statements[] = {
		"UPDATE factmerge.merge AS h SET trimmed = true WHERE NOT h.trimmed AND %s",
		"DELETE FROM factmerge.failure AS h WHERE %s",
	};
	static const char *const details[] = {"merge_table", "conflict", "finding"};
	SqlArgs		args = {0};
	int64		count = 0;
	int			nest_level = NewGUCNestLevel();

	SqlConnect();
	LockSearchPath();
	SqlAddArg(&args, INTERVALOID, REQUIRE_ARG(DATUM, 0));
	if (SqlFetchInt64(InvalidSnapshot, "SELECT ($1 < '0'::pg_catalog.interval)::pg_catalog.int4", &args) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("what is to be trimmed cannot be younger than now"),
				 errhint("Say how old it is at least, as in '90 days'.")));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(GetUserId()));
	SqlAddArg(&args, BOOLOID, BoolGetDatum(superuser()));
	for (size_t i = 0; i < lengthof(statements); i++)
		count += SqlExecuteAsOwner(psprintf(statements[i],
											"h.merged_at < pg_catalog.now() - $1 AND ($3 OR EXISTS"
											" (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = h.merged_by"
											" AND pg_catalog.pg_has_role($2, r.oid, 'USAGE')))"), &args);
	for (size_t i = 0; i < lengthof(details); i++)
		(void) SqlExecuteAsOwner(psprintf("DELETE FROM factmerge.%s AS d USING factmerge.merge AS m"
										  " WHERE m.merge_id = d.merge_id AND m.trimmed", details[i]), NULL);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	PG_RETURN_INT64(count);
}
