/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  running handlers on mixed events, until nothing is new
 *
 * The handlers run as in an ordinary session: session_replication_role is
 * origin, search_path is the caller's with the destination first.  What a
 * handler inserts is tagged derived by the columns' defaults, and fires the
 * destination's triggers like any other INSERT, so that trigger handlers see
 * to derived facts by themselves.  Declared functions the server knows nothing
 * of: for tables that have any, derived facts are looked for by their tag and
 * handed to the functions, round by round, until a round finds none.
 *
 * Rules come first; their triggers see to what handlers add (combine.c).
 *
 * Constraint triggers guard rather than derive; they run last, for every
 * copied fact.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "eventlog.h"
#include "factmerge.h"
#include "finding.h"
#include "handler.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_saturate);

/* How many events go by between two looks at the clock of the activity */
#define EVENTS_PER_REPORT 1000

/* What handlers are watched for, see guard.c */
typedef enum Watch
{
	WATCH_NOTHING,
	WATCH_CHANGES,
	WATCH_ALL					/* what they read, too */
} Watch;

/* Events on their way to handlers */
typedef struct Replay
{
	Merge	   *merge;
	List	   *turns;			/* of Turn: the handlers */
	HandlerRun **runs;			/* by turn, NULL if it has not begun */
	Watch		watch;
	bool		logged;			/* an event says whose turn it is */
	FactTable  *table;			/* of the last event's fact */
	int64		done;
	int64		count;			/* of all events, for the activity */
	Relation	relation;		/* that the last event's fact lies in */
	TupleTableSlot *slot;
	instr_time	start;
	MemoryContext context;
} Replay;

static void
LeaveRelation(Replay *replay)
{
	if (replay->relation == NULL)
		return;
	ExecDropSingleTupleTableSlot(replay->slot);
	table_close(replay->relation, NoLock);
	replay->relation = NULL;
}

/*
 * Watch the handler whose turn it is.
 */
static void
Guard(Replay *replay, int number)
{
	Turn	   *turn = list_nth(replay->turns, number);

	if (replay->watch != WATCH_NOTHING)
		BeginGuard(replay->merge, turn->table, turn->handler, replay->watch == WATCH_ALL);
}

/*
 * A handler has run: what it should not have done may be an error, even if the handler
 * has caught that.
 */
static void
EndWatching(Replay *replay)
{
	EndGuard();
	if (!replay->merge->holds_findings)
		RaiseFindings(replay->merge);
}

/*
 * End the runs that have begun: what is a statement to the handlers is complete.
 */
static void
LeaveTable(Replay *replay)
{
	LeaveRelation(replay);
	for (int i = 0; i < list_length(replay->turns); i++)
	{
		if (replay->runs[i] == NULL)
			continue;
		Guard(replay, i);
		EndHandler(replay->runs[i]);
		replay->runs[i] = NULL;
		EndWatching(replay);
	}
	CommandCounterIncrement();
	if (replay->table)
		StopClock(replay->table, STAGE_REPLAY, &replay->start);
}

/*
 * The run of a handler; it begins with the first event, and again when another
 * table has had its turn.
 */
static HandlerRun *
RunOf(Replay *replay, int number)
{
	Turn	   *turn = list_nth(replay->turns, number);
	MemoryContext context = MemoryContextSwitchTo(replay->context);

	if (turn->table != replay->table)
	{
		LeaveTable(replay);
		replay->table = turn->table;
		StartClock(&replay->start);
	}
	if (replay->runs[number] == NULL)
		replay->runs[number] = BeginHandler(replay->merge, turn->table, turn->handler);
	MemoryContextSwitchTo(context);
	return replay->runs[number];
}

/*
 * Get ready for facts that lie in a relation.
 */
static void
EnterRelation(Replay *replay, Oid relation)
{
	MemoryContext context = MemoryContextSwitchTo(replay->context);

	LeaveRelation(replay);
	replay->relation = table_open(relation, RowShareLock);
	replay->slot = table_slot_create(replay->relation, NULL);
	MemoryContextSwitchTo(context);
}

static void
ReportReplay(Replay *replay)
{
	ReportActivity(replay->merge, replay->table,
				   psprintf("%s event " INT64_FORMAT " of " INT64_FORMAT " of",
							replay->merge->verification ? "verifying" : "replaying",
							replay->done, replay->count));
}

/* Hands one event, given as relation, tid, number and turn, to its handler */
static void
ReplayEvent(Datum *values, bool *nulls, void *arg)
{
	Replay	   *replay = arg;
	Oid			relation = DatumGetObjectId(values[0]);
	ItemPointer tid = (ItemPointer) DatumGetPointer(values[1]);
	int			number = replay->logged ? DatumGetInt32(values[3]) : 0;
	HandlerRun *run = RunOf(replay, number);

	if (replay->relation == NULL || RelationGetRelid(replay->relation) != relation)
		EnterRelation(replay, relation);
	if (replay->merge->verification)
		NumberEvent(replay->merge, DatumGetInt64(values[2]));
	if (table_tuple_fetch_row_version(replay->relation, tid, SnapshotSelf,
									  replay->slot))
	{
		Guard(replay, number);
		HandleFact(run, replay->relation, replay->slot);
		EndWatching(replay);
	}
	ExecClearTuple(replay->slot);
	if (++replay->done % EVENTS_PER_REPORT == 0)
		ReportReplay(replay);
}

/*
 * Run handlers on the events that a query gives as relation and tid, and, with a
 * log, number and whose turn it is.  With a log, what it has of one table without
 * a break is to the handlers as if one statement had inserted it.
 */
static void
RunTurns(Merge *merge, List *turns, const char *events, Watch watch)
{
	Replay		replay = {.merge = merge,.turns = turns,.watch = watch};
	ListCell   *lc;
	List	   *tables = NIL;

	replay.logged = list_length(turns) > 1;
	replay.context = CurrentMemoryContext;
	replay.runs = palloc0(sizeof(HandlerRun *) * list_length(turns));
	foreach(lc, turns)
		tables = list_append_unique_ptr(tables, ((Turn *) lfirst(lc))->table);
	foreach(lc, tables)
		replay.count += ((FactTable *) lfirst(lc))->counts.replayed;
	ReportActivity(merge, linitial(tables), merge->verification ? "verifying events of" :
				   "replaying events of");
	SqlForEachRow(merge->snapshot, events, NULL, ReplayEvent, &replay);
	LeaveTable(&replay);
}

/*
 * Run a handler on the events that a query gives as relation, tid and, to verify,
 * number.
 */
void
RunHandler(Merge *merge, FactTable *table, Handler *handler, const char *events)
{
	Turn		turn = {table, handler};

	RunTurns(merge, list_make1(&turn), events, WATCH_CHANGES);
}

/*
 * The same, to find out what the handler does: it is watched closely.
 */
void
TryHandler(Merge *merge, FactTable *table, Handler *handler, const char *events)
{
	Turn		turn = {table, handler};

	RunTurns(merge, list_make1(&turn), events, WATCH_ALL);
}

static int
CompareTurns(const ListCell *a, const ListCell *b)
{
	Turn	   *x = lfirst(a);
	Turn	   *y = lfirst(b);

	if (x->handler->priority != y->handler->priority)
		return x->handler->priority > y->handler->priority ? -1 : 1;
	return x->table->position - y->table->position;
}

/*
 * The handlers of all tables in the order in which they take their turns: by
 * priority, then in walk order.
 */
List *
TakeTurns(Merge *merge)
{
	List	   *turns = NIL;
	ListCell   *lc;
	ListCell   *h;

	foreach(lc, merge->tables)
		foreach(h, ((FactTable *) lfirst(lc))->handlers)
	{
		Turn	   *turn = palloc(sizeof(Turn));

		turn->table = lfirst(lc);
		turn->handler = lfirst(h);
		turns = lappend(turns, turn);
	}
	list_sort(turns, CompareTurns);
	return turns;
}

/*
 * Run handlers on the events of a log, in its order; for each handler a query
 * gives them as relation, fact and place.
 */
static void
RunInOrder(Merge *merge, List *turns, List *queries, Watch watch)
{
	StringInfoData sql;
	ListCell   *lc;

	if (turns == NIL)
		return;
	initStringInfo(&sql);
	foreach(lc, queries)
		appendStringInfo(&sql, "%sSELECT q.relation, q.fact, q.place, %d FROM (%s) AS q",
						 foreach_current_index(lc) ? " UNION ALL " : "",
						 foreach_current_index(lc), (char *) lfirst(lc));
	appendStringInfoString(&sql, " ORDER BY 3, 4");
	RunTurns(merge, turns, sql.data, watch);
}

/*
 * Replay the mixed events: in the order of the log if there is one, else handler
 * by handler.
 */
static void
ReplayMixed(Merge *merge)
{
	bool		logged = FindEventLog(merge->tables) != NULL;
	List	   *turns = NIL;
	List	   *queries = NIL;
	ListCell   *lc;

	foreach(lc, TakeTurns(merge))
	{
		Turn	   *turn = lfirst(lc);
		char	   *query;

		if (turn->handler->events == NULL)
			continue;
		query = psprintf("SELECT relation, fact%s FROM %s%s", logged ? ", place" : "",
						 turn->handler->events,
						 turn->handler->found_from_this ? "" : " WHERE NOT in_both");
		turns = lappend(turns, turn);
		queries = lappend(queries, query);
		/* Facts lie in the order in which they were copied */
		if (!logged)
			RunTurns(merge, list_make1(turn),
					 psprintf("%s ORDER BY relation, fact", query), WATCH_ALL);
	}
	if (logged)
		RunInOrder(merge, turns, queries, WATCH_ALL);
}

/*
 * How often a row has been inserted into a table in this transaction, -1 if
 * the server does not count; a change tells where to look for derived facts.
 */
static int64
InsertsSoFar(FactTable *table)
{
	SqlArgs		args = {0};

	if (!pgstat_track_counts || table->partitioned)
		return -1;
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table->destination));
	return SqlFetchInt64(InvalidSnapshot,
						 "SELECT pg_catalog.pg_stat_get_xact_tuples_inserted($1)", &args);
}

/*
 * That row x has been derived by this merge.
 */
static char *
IsDerived(Merge *merge)
{
	return psprintf("(x." MERGE_COLUMN " = " INT64_FORMAT
					" AND x." PROVENANCE_COLUMN " = 'derived')", merge->id);
}

/*
 * Hand the derived facts of a table that are new since the last round to its
 * functions; returns how many there were.
 */
static int64
ReplayDerived(Merge *merge, FactTable *table, int round)
{
	char	   *seen = psprintf("pg_temp.factmerge_derived_%d", table->position);
	int64		count;
	ListCell   *lc;

	if (round == 1)
		SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid,"
							" fact pg_catalog.tid, round pg_catalog.int4)", seen));
	count = SqlExecute(merge->snapshot,
					   psprintf("INSERT INTO %s SELECT x.tableoid, x.ctid, %d FROM %s AS x WHERE %s"
								" AND NOT EXISTS (SELECT FROM %s AS s"
								" WHERE s.relation = x.tableoid AND s.fact = x.ctid)",
								seen, round, QualifiedRelation(table->destination),
								IsDerived(merge), seen), NULL);
	if (count == 0)
		return 0;
	foreach(lc, table->handlers)
	{
		Handler    *handler = lfirst(lc);

		if (IsFunction(handler) && !StopsAnyway(merge, handler))
			RunHandler(merge, table, handler,
					   psprintf("SELECT s.relation, s.fact FROM %s AS s WHERE s.round = %d%s ORDER BY s.relation, s.fact",
								seen, round, OnlyWhen(table, handler, "s.relation", "s.fact")));
	}
	return count;
}

/*
 * The handlers that take their turns on the events of a log that a condition
 * selects, with the queries for these events in *queries: all handlers, or only
 * those that the server does not call by itself.
 */
static List *
LoggedTurns(Merge *merge, bool functions_only, const char *condition, List **queries)
{
	List	   *turns = NIL;
	ListCell   *lc;

	*queries = NIL;
	foreach(lc, TakeTurns(merge))
	{
		Turn	   *turn = lfirst(lc);

		if ((functions_only && !IsFunction(turn->handler)) || StopsAnyway(merge, turn->handler))
			continue;
		turns = lappend(turns, turn);
		*queries = lappend(*queries,
						   psprintf("SELECT g.relation, g.fact, g.place FROM " LOGGED_EVENTS " AS g"
									" WHERE g.target = %d AND %s%s", turn->table->position, condition,
									OnlyWhen(turn->table, turn->handler, "g.relation", "g.fact")));
	}
	return turns;
}

/*
 * Go on with the events that handlers have put into the log until nothing is new.
 */
static void
ReplayLogUntilSaturated(Merge *merge)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, merge->tables)
		any |= HasFunctionHandler(lfirst(lc));
	for (int round = 1; any && PlaceDerivedEvents(merge, round); round++)
	{
		List	   *queries;
		List	   *turns = LoggedTurns(merge, true, psprintf("g.round = %d", round), &queries);

		CHECK_FOR_INTERRUPTS();
		RunInOrder(merge, turns, queries, WATCH_CHANGES);
	}
}

/*
 * Go on with what has been derived until nothing is new.
 */
static void
ReplayUntilSaturated(Merge *merge)
{
	int			count = list_length(merge->tables);
	int64	   *inserts = palloc(sizeof(int64) * count);
	int		   *rounds = palloc0(sizeof(int) * count);
	bool		news;

	for (int i = 0; i < count; i++)
		inserts[i] = -1;
	do
	{
		news = false;
		for (int i = 0; i < count; i++)
		{
			FactTable  *table = list_nth(merge->tables, i);
			int64		now;

			CHECK_FOR_INTERRUPTS();
			if (!HasFunctionHandler(table))
				continue;
			now = InsertsSoFar(table);
			if (now >= 0 && now == inserts[i])
				continue;
			inserts[i] = now;
			news |= ReplayDerived(merge, table, ++rounds[i]) > 0;
		}
	} while (news);
	for (int i = 0; i < count; i++)
		if (rounds[i] > 0)
			SqlUtility(psprintf("DROP TABLE pg_temp.factmerge_derived_%d",
								((FactTable *) list_nth(merge->tables, i))->position));
}

/*
 * Run the constraint triggers for all copied facts.
 */
static void
RunConstraintTriggers(Merge *merge)
{
	ListCell   *lc;
	ListCell   *h;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		StringInfoData events;

		if (table->counts.copied == 0)
			continue;
		initStringInfo(&events);
		appendStringInfo(&events, "SELECT x.tableoid, x.ctid FROM %s AS x WHERE ",
						 QualifiedRelation(table->destination));
		AppendSideCondition(&events, merge, table, "x", SIDE_SOURCE);
		foreach(h, ConstraintTriggers(table))
		{
			Turn		turn = {table, lfirst(h)};

			RunTurns(merge, list_make1(&turn), events.data, WATCH_NOTHING);
		}
	}
}

/*
 * Count what has been derived, and, since every fact is looked at for that, those
 * that have a tag of any merge.
 */
static void
CountDerived(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		char	  **row = SqlFetchRow(merge->snapshot,
									  psprintf("SELECT pg_catalog.count(*) FILTER (WHERE %s), pg_catalog.count(x." MERGE_COLUMN ")"
											   " FROM %s AS x", IsDerived(merge),
											   QualifiedRelation(table->destination)), NULL);

		table->counts.derived = pg_strtoint64(row[0]);
		table->tagged = pg_strtoint64(row[1]);
		table->tagged_counted = true;
	}
}

/*
 * Set up the session for handlers.
 */
void
PrepareSession(Merge *merge)
{
	SetLocally("session_replication_role", "origin");
	/* Where others can create something, they could have it found in place of what is meant */
	if (IsSafeSchema(get_namespace_oid(merge->destination, false), InvalidOid))
		SetLocally("search_path",
				   psprintf("%s%s%s", quote_identifier(merge->destination),
							merge->search_path[0] ? ", " : "", merge->search_path));
	else
		SetLocally("search_path", merge->search_path);
}

/*
 * Drop what the stages have left behind for those after them.
 */
void
DropTemporaryTables(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->event_tables)
		SqlUtility(psprintf("DROP TABLE %s", (char *) lfirst(lc)));
	merge->event_tables = NIL;
}

/*
 * Run the handlers on all mixed events and on what they add, and the
 * constraint triggers on what has been copied.
 */
void
ReplayEvents(Merge *merge)
{
	int			nest_level = NewGUCNestLevel();
	bool		any = merge->rules != NIL && !FoundNothingNew(merge);
	List	   *enabled;
	ListCell   *lc;

	PrepareSession(merge);
	enabled = EnableRuleTriggers(merge->rules);
	BeginDeriving(merge->id);
	CombineFacts(merge);
	foreach(lc, merge->tables)
		any |= ((FactTable *) lfirst(lc))->counts.replayed > 0;
	if (any)
	{
		ReplayMixed(merge);
		if (FindEventLog(merge->tables))
			ReplayLogUntilSaturated(merge);
		else
			ReplayUntilSaturated(merge);
	}
	RunConstraintTriggers(merge);
	EndDeriving();
	RestoreRuleTriggers(enabled);
	AtEOXact_GUC(true, nest_level);

	if (any || merge->derives_while_copying)
		CountDerived(merge);
}

/*
 * How many facts there are.
 */
static int64
CountFacts(List *tables)
{
	int64		count = 0;
	ListCell   *lc;

	foreach(lc, tables)
		count += SqlFetchInt64(InvalidSnapshot,
							   psprintf("SELECT pg_catalog.count(*) FROM %s",
										QualifiedRelation(((FactTable *) lfirst(lc))->destination)),
							   NULL);
	return count;
}

/*
 * Apply all handlers to all facts once.
 */
static void
HandleAllFacts(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, TakeTurns(merge))
	{
		Turn	   *turn = lfirst(lc);

		if (!StopsAnyway(merge, turn->handler))
			RunHandler(merge, turn->table, turn->handler, AllEvents(turn->table, turn->handler));
	}
}

/*
 * Apply all handlers to all events of the log once.
 */
static void
HandleLog(Merge *merge)
{
	List	   *queries;
	List	   *turns = LoggedTurns(merge, false, "true", &queries);

	PlaceAllEvents(merge);
	RunInOrder(merge, turns, queries, WATCH_CHANGES);
	SqlUtility("DROP TABLE " LOGGED_EVENTS);
}

/*
 * Apply all rules and handlers to all facts, over and over until nothing is new:
 * what one has added, the others have not seen.
 */
static void
ApplyToAll(Merge *merge)
{
	List	   *facts = FactRelations(get_namespace_oid(merge->destination, false));
	int64		before;
	int64		after = CountFacts(merge->tables);
	ListCell   *lc;

	foreach(lc, merge->rules)
		DeriveAll(ApplyToEverything(lfirst(lc), NULL, facts, "true"));
	do
	{
		before = after;
		if (FindEventLog(merge->tables))
			HandleLog(merge);
		else
			HandleAllFacts(merge);
		after = CountFacts(merge->tables);
	} while (after > before);
}

/*
 * factmerge_saturate(name): derive all that is missing in a schema.
 */
Datum
factmerge_saturate(PG_FUNCTION_ARGS)
{
	Merge	   *merge;
	List	   *enabled;
	char	   *name = SchemaArgument(fcinfo, 0);
	Oid			schema = FindSchema(name);
	int			nest_level = NewGUCNestLevel();
	int64		before;
	int64		derived;

	RequireWritable(fcinfo);
	SqlConnect();
	EnterMerge(CurrentMemoryContext);
	merge = palloc0(sizeof(Merge));
	merge->destination = pstrdup(name);
	merge->refuses_changes = true;
	merge->search_path = LockSearchPath();
	merge->tables = DescribeSchema(schema);
	LoadHandlers(merge->tables);
	CheckRights(merge);
	LockTables(merge);
	ActForOwners(merge->tables);
	merge->rules = RulesToApply(schema);
	before = CountFacts(merge->tables);
	PrepareSession(merge);
	enabled = EnableRuleTriggers(merge->rules);
	ApplyToAll(merge);
	RestoreRuleTriggers(enabled);
	derived = CountFacts(merge->tables) - before;
	UnregisterSnapshot(merge->snapshot);
	ReportActivity(merge, NULL, NULL);
	StopActing();
	AtEOXact_GUC(false, nest_level);
	LeaveMerge();
	SqlFinish();
	PG_RETURN_INT64(derived);
}
