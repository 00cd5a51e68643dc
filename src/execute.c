/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  statements that call code which belongs to the user's tables
 *
 * What a merge reads and writes sets off code: checks of tables and domains, defaults,
 * generated columns, expressions of indexes, triggers that fire even now.  The functions
 * that it calls may look for names on the search_path, and find them in that
 * of the application's own INSERT.  The names in a generated statement, however,
 * are to be looked up where nobody else can have put any.  So while a merge runs, its
 * statements are analysed under the search_path of generated SQL, and then planned
 * and executed under the caller's (SqlLetCodeSee).  The plans of SPI do not do for that:
 * they are analysed again as soon as search_path has changed.
 *
 * A function that does not find something even so fails with an error that is about SQL
 * which the user may never have seen.  So the error then says, too, which table this
 * comes from, and what mends it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "nodes/params.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "query.h"

/* The search_path of code that statements call; NULL: the one that they are analysed under */
static const char *code_path;

/* The rows that statements find under a name (SqlRegisterRows), or NULL */
static QueryEnvironment *registered;

/* A statement on its way */
typedef struct Running
{
	const char *sql;
	char	   *table;			/* what it is about, qualified; or NULL */
	bool		analysed;
} Running;

/*
 * Put an error into context; one about a name that is not found is the search_path's.
 */
static void
RunningContext(void *arg)
{
	Running    *running = arg;
	int			code = geterrcode();

	if (running->analysed && running->table &&
		(code == ERRCODE_UNDEFINED_FUNCTION || code == ERRCODE_UNDEFINED_TABLE ||
		 code == ERRCODE_UNDEFINED_OBJECT || code == ERRCODE_AMBIGUOUS_FUNCTION))
	{
		errdetail("Code that belongs to table %s looks for it with search_path \"%s\".",
				  running->table, code_path);
		errhint("Let the function set its own search_path (ALTER FUNCTION ... SET search_path = ...),"
				" or merge with a search_path with which an INSERT into the table works.");
	}
	ExplainRefusal();
	if (!running->analysed)
		PointInto(running->sql);
	errcontext("SQL statement \"%s\"", running->sql);
}

/*
 * The table that a statement writes, or else the first that it reads; NULL if there is none.
 */
static char *
TableOf(Query *query)
{
	ListCell   *lc;

	if (query->utilityStmt && IsA(query->utilityStmt, CreateTableAsStmt))
		query = (Query *) ((CreateTableAsStmt *) query->utilityStmt)->query;
	if (query->commandType == CMD_UTILITY)
		return NULL;
	if (query->resultRelation > 0)
		return QualifiedRelation(rt_fetch(query->resultRelation, query->rtable)->relid);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		char	   *table = NULL;

		if (rte->rtekind == RTE_RELATION)
			return QualifiedRelation(rte->relid);
		if (rte->rtekind == RTE_SUBQUERY)
			table = TableOf(rte->subquery);
		if (table)
			return table;
	}
	return NULL;
}

static ParamListInfo
ParametersOf(SqlArgs *args)
{
	ParamListInfo parameters;

	if (args == NULL || args->count == 0)
		return NULL;
	parameters = makeParamList(args->count);
	for (int i = 0; i < args->count; i++)
	{
		parameters->params[i].value = args->values[i];
		parameters->params[i].isnull = args->nulls[i] == 'n';
		parameters->params[i].pflags = PARAM_FLAG_CONST;
		parameters->params[i].ptype = args->types[i];
	}
	return parameters;
}

/*
 * Run one planned statement, no more than limit rows of it unless that is 0; returns how many
 * rows there were.
 */
static uint64
RunPlan(PlannedStmt *plan, const char *sql, ParamListInfo parameters, DestReceiver *destination,
		uint64 limit)
{
	QueryDesc  *description;
	uint64		rows;

	if (plan->utilityStmt)
	{
		QueryCompletion completion = {CMDTAG_UNKNOWN, 0};

		ProcessUtility(plan, sql, true, PROCESS_UTILITY_QUERY, parameters, registered, destination,
					   &completion);
		return completion.nprocessed;
	}
	description = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot, destination,
								  parameters, registered, 0);
	ExecutorStart(description, 0);
	RunToEnd(description, limit);
	rows = description->estate->es_processed;
	ExecutorFinish(description);
	ExecutorEnd(description);
	FreeQueryDesc(description);
	return rows;
}

/*
 * Run what a statement has become, each part of it seeing what the ones before it
 * have written.
 */
static uint64
RunPlans(List *plans, Snapshot snapshot, const char *sql, ParamListInfo parameters,
		 DestReceiver *destination, uint64 limit)
{
	uint64		rows = 0;
	ListCell   *lc;

	PushCopiedSnapshot(snapshot != InvalidSnapshot ? snapshot : GetTransactionSnapshot());
	foreach(lc, plans)
	{
		PlannedStmt *plan = lfirst_node(PlannedStmt, lc);
		uint64		processed;

		CommandCounterIncrement();
		UpdateActiveSnapshotCommandId();
		processed = RunPlan(plan, sql, parameters, plan->canSetTag ? destination : None_Receiver, limit);
		if (plan->canSetTag)
			rows = processed;
	}
	PopActiveSnapshot();
	CommandCounterIncrement();
	return rows;
}

/*
 * Analyse a statement under the current search_path, and execute it under that of code.
 */
static uint64
AnalyseAndRun(Snapshot snapshot, const char *sql, SqlArgs *args, int options,
			  DestReceiver *destination, uint64 limit)
{
	Running		running = {sql, NULL, false};
	ErrorContextCallback context = {error_context_stack, RunningContext, &running};
	int			nest_level = NewGUCNestLevel();
	ParamListInfo parameters = ParametersOf(args);
	RoleSwitch	caller;
	bool		switched;
	Query	   *query;
	List	   *queries;
	uint64		rows;

	error_context_stack = &context;
	PushActiveSnapshot(GetTransactionSnapshot());
	ActOnStatement(sql);
	query = parse_analyze_fixedparams(linitial_node(RawStmt, pg_parse_query(sql)), sql,
									  args->types, args->count, registered);
	running.table = TableOf(query);
	running.analysed = true;
	switched = BecomeWriter(query, &caller);
	queries = pg_rewrite_query(query);
	SetLocally("search_path", code_path);
	queries = pg_plan_queries(queries, sql, options, parameters);
	PopActiveSnapshot();
	rows = RunPlans(queries, snapshot, sql, parameters, destination, limit);
	if (switched)
		BecomeCallerAgain(&caller);
	error_context_stack = context.previous;
	/* Nothing that code has set lasts */
	AtEOXact_GUC(false, nest_level);
	return rows;
}

/*
 * The same, leaving nothing behind in memory.
 */
static uint64
Run(Snapshot snapshot, const char *sql, SqlArgs *args, int options, DestReceiver *destination,
	uint64 limit)
{
	SqlArgs		none = {0};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext own = AllocSetContextCreate(context, "factmerge statement", ALLOCSET_DEFAULT_SIZES);
	uint64		rows;

	MemoryContextSwitchTo(own);
	rows = AnalyseAndRun(snapshot, sql, args ? args : &none, options, destination, limit);
	MemoryContextSwitchTo(context);
	MemoryContextDelete(own);
	return rows;
}

/*
 * From now on, let the code that statements call see a search_path, or with NULL that which
 * is in force.  This is about statements that are run under a snapshot of their own:
 * those of a merge.
 */
void
SqlLetCodeSee(const char *search_path)
{
	code_path = search_path;
}

/* Forgets everything registered, for it goes with the context that it was made in */
static void
ForgetRegistered(void *arg)
{
	registered = NULL;
}

/* Forgets rows that an error has left registered */
static void
ForgetRows(void *arg)
{
	EphemeralNamedRelation named = arg;

	if (registered && get_ENR(registered, named->md.name) == named)
		unregister_ENR(registered, named->md.name);
}

static void
CallOnReset(MemoryContextCallbackFunction function, void *arg)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = function;
	callback->arg = arg;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
}

/*
 * Let statements find rows under a name, no longer than the current memory context lasts.
 */
void
RegisterForCode(EphemeralNamedRelation named)
{
	if (registered == NULL)
	{
		registered = create_queryEnv();
		CallOnReset(ForgetRegistered, NULL);
	}
	register_ENR(registered, named);
	CallOnReset(ForgetRows, named);
}

/*
 * Let them do so no longer.
 */
void
UnregisterForCode(const char *name)
{
	unregister_ENR(registered, name);
}

/*
 * Whether a statement is to be run so.  Where users' code is called anyway, search_path is
 * set for it already.
 */
bool
IsForCode(Snapshot snapshot)
{
	return code_path != NULL && snapshot != InvalidSnapshot &&
		strcmp(namespace_search_path, LOCKED_SEARCH_PATH) == 0;
}

/*
 * Run a statement and return the number of rows.
 */
uint64
RunForCode(Snapshot snapshot, const char *sql, SqlArgs *args)
{
	return Run(snapshot, sql, args, 0, None_Receiver, 0);
}

/* Puts rows into a tuplestore */
typedef struct Storing
{
	DestReceiver receiver;
	Tuplestorestate *rows;
	MemoryContext context;		/* where the description is kept */
	TupleDesc	description;
} Storing;

static bool
StoreRow(TupleTableSlot *slot, DestReceiver *self)
{
	tuplestore_puttupleslot(((Storing *) self)->rows, slot);
	return true;
}

static void
BeginStoring(DestReceiver *self, int operation, TupleDesc description)
{
	Storing    *storing = (Storing *) self;
	MemoryContext context = MemoryContextSwitchTo(storing->context);

	storing->description = CreateTupleDescCopy(description);
	MemoryContextSwitchTo(context);
}

static void
EndRows(DestReceiver *self)
{
}

/*
 * Put the rows of a query, which may run in parallel, into a tuplestore; returns what
 * they look like.
 */
TupleDesc
StoreForCode(Snapshot snapshot, const char *sql, SqlArgs *args, Tuplestorestate *rows)
{
	Storing		storing = {{StoreRow, BeginStoring, EndRows, EndRows, DestNone}, rows, CurrentMemoryContext, NULL};

	(void) Run(snapshot, sql, args, CURSOR_OPT_PARALLEL_OK, &storing.receiver, 0);
	return storing.description;
}

/* Keeps the first row as text, and the first value as it is */
typedef struct FirstRow
{
	DestReceiver receiver;
	MemoryContext context;		/* where the row is kept */
	char	  **row;
	Datum		value;			/* if it is passed by value; 0 if it is null */
} FirstRow;

static bool
KeepFirst(TupleTableSlot *slot, DestReceiver *self)
{
	FirstRow   *first = (FirstRow *) self;
	TupleDesc	description = slot->tts_tupleDescriptor;
	MemoryContext context = MemoryContextSwitchTo(first->context);

	slot_getallattrs(slot);
	first->row = palloc0(sizeof(char *) * description->natts);
	for (int i = 0; i < description->natts; i++)
	{
		Oid			output;
		bool		varlena;

		if (slot->tts_isnull[i])
			continue;
		getTypeOutputInfo(TupleDescAttr(description, i)->atttypid, &output, &varlena);
		first->row[i] = OidOutputFunctionCall(output, slot->tts_values[i]);
	}
	if (description->natts > 0 && !slot->tts_isnull[0] && TupleDescAttr(description, 0)->attbyval)
		first->value = slot->tts_values[0];
	MemoryContextSwitchTo(context);
	return true;
}

static void
BeginFirst(DestReceiver *self, int operation, TupleDesc description)
{
}

/*
 * Return the first row of a query as text, NULL if there is none, and its first value, 0 if
 * that is null.
 */
char	  **
FetchForCode(Snapshot snapshot, const char *sql, SqlArgs *args, Datum *value)
{
	FirstRow	first = {{KeepFirst, BeginFirst, EndRows, EndRows, DestNone}, CurrentMemoryContext, NULL, 0};

	(void) Run(snapshot, sql, args, 0, &first.receiver, 1);
	*value = first.value;
	return first.row;
}
