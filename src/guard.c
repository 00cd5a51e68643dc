/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  what a handler really does
 *
 * A merge trusts that a handler only adds facts, and that whatever it inspects is a
 * friend of its event's fact.  So while a handler runs, its statements are watched:
 * their plans (plan.c) show whether they change facts, and, on mixed events, whether
 * they read a fact table that holds no friends.  What is found is told of once for
 * each handler, table and merge (finding.c).
 *
 * To run a handler that changes facts on everything would do damage: there it is
 * refused.
 *
 * Only what the handler does itself counts, not what triggers do that its INSERTs
 * fire: these concern newborn facts, which are never skipped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "finding.h"
#include "friends.h"
#include "handler.h"

/* The handler that is being watched */
static struct
{
	bool		watching;
	bool		reads;			/* watch what it reads, too */
	Merge	   *merge;
	FactTable  *table;
	Handler    *handler;
	int			depth;			/* of triggers, for what it does itself */
}			guard;

/* What is noted of a handler */
static struct
{
	bool		noting;
	bool		handling;		/* the handler is at work, and not we */
	int			depth;			/* of triggers */
	Oid			fact_table;
	char	   *fact;			/* what the handler calls its fact */
	PlanDeeds  *deeds;
	MemoryContext context;
}			notes;

static ExecutorStart_hook_type next_hook = NULL;
static ProcessUtility_hook_type next_utility_hook = NULL;

/*
 * Whether a table holds facts.
 */
static bool
IsFactTable(Oid table)
{
	return FindTable(guard.merge->tables, table) || FindTable(guard.merge->others, table);
}

/*
 * Whether a relation is a fact table that is not known to be harmless.
 */
static bool
IsSuspicious(Oid table)
{
	return guard.reads && !list_member_oid(guard.handler->harmless, table) && IsFactTable(table);
}

/*
 * Whether foreign keys lead from a fact table to another one, so that it can be
 * declared to hold friends without a condition.
 */
bool
HasFriendPath(Merge *merge, FactTable *table, Oid other)
{
	ListCell   *lc;
	ListCell   *f;

	foreach(lc, FindStops(merge->tables, merge->others))
	{
		if (((Stop *) lfirst(lc))->relation != table->destination)
			continue;
		foreach(f, FriendStops(lfirst(lc), DECLARED_HOPS))
			if (((Stop *) lfirst(f))->relation == other)
			return true;
	}
	return false;
}

/*
 * What to do about a table that is read and no friend.
 */
static char *
Advice(TableRead *read)
{
	char	   *condition = ReadCondition(read);

	if (guard.handler->friends && !list_member_oid(guard.handler->friends, read->table))
		return "Name the table among the friends of the handler in factmerge_add_handler().";
	if (HasFriendPath(guard.merge, guard.table, read->table))
		return psprintf("Declare it to be one: %s", AddFriendCall(guard.table->destination, read->table, NULL));
	if (condition)
		return psprintf("Declare it to be one: %s",
						AddFriendCall(guard.table->destination, read->table, condition));
	return psprintf("Declare it to be one: %s; a condition that says which facts it looks at costs less.",
					AddFriendCall(guard.table->destination, read->table, "true"));
}

/*
 * Tell of a table that is read and no friend.
 */
static void
TellOfReading(TableRead *read)
{
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(guard.handler));

	guard.handler->harmless = lappend_oid(guard.handler->harmless, read->table);
	MemoryContextSwitchTo(context);
	AddFinding(guard.merge, guard.table, guard.handler, true,
			   psprintf("handler %s of table \"%s\" reads table \"%s\", which holds no friends",
						guard.handler->name, guard.table->name, get_rel_name(read->table)),
			   "An event is replayed only if it has a friend that its fact has not met, so merges may miss what this handler would find.",
			   Advice(read));
}

/*
 * Tell of a table whose facts are changed.
 */
static void
TellOfChange(TableChange *change)
{
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(guard.handler));

	guard.handler->changed = list_append_unique_oid(guard.handler->changed, change->table);
	MemoryContextSwitchTo(context);
	AddFinding(guard.merge, guard.table, guard.handler, true,
			   psprintf("handler %s of table \"%s\" %s table \"%s\", which holds facts",
						guard.handler->name, guard.table->name, change->how, get_rel_name(change->table)),
			   guard.merge->refuses_changes ?
			   "Facts are there to stay: to run it on everything would change what it has changed before." :
			   "Facts are there to stay: a merge replays only some events, so that what this handler keeps there is neither what it was nor what all events together would make of it.",
			   IgnoringHint(guard.table, guard.handler, change->table));
}

static int
TriggerDepth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/*
 * Tell of what a statement changes, unless that has been told of before.
 */
static void
TellOfChanges(PlanDeeds *deeds)
{
	ListCell   *lc;

	foreach(lc, deeds->changed)
	{
		TableChange *change = lfirst(lc);

		if (IsFactTable(change->table) &&
			(guard.merge->refuses_changes || !list_member_oid(guard.handler->changed, change->table)))
			TellOfChange(change);
	}
}

/*
 * Look at what a statement of the handler's does.
 */
static void
LookAtPlan(QueryDesc *query)
{
	PlanDeeds	deeds = {0};
	bool		suspicious = MayChange(query);
	ListCell   *lc;

	foreach(lc, query->plannedstmt->relationOids)
		suspicious |= IsSuspicious(WholeTable(lfirst_oid(lc)));
	if (!suspicious)
		return;
	ReadPlan(query, guard.table->destination,
			 FactVariable(guard.handler->function, !IsFunction(guard.handler)), &deeds);
	TellOfChanges(&deeds);
	foreach(lc, deeds.read)
	{
		TableRead  *read = lfirst(lc);

		if (IsSuspicious(read->table) && FindChange(&deeds, read->table) == NULL)
			TellOfReading(read);
	}
}

static bool
IsWatched(void)
{
	return guard.watching && IsMerging() && !InNoForceRLSOperation() && TriggerDepth() == guard.depth;
}

static bool
IsNoted(void)
{
	return notes.noting && notes.handling && TriggerDepth() == notes.depth;
}

/* Comes between a statement and the executor */
static void
WatchStatement(QueryDesc *query, int eflags)
{
	if (next_hook)
		next_hook(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (IsWatched())
		LookAtPlan(query);
	if (IsNoted())
	{
		MemoryContext context = MemoryContextSwitchTo(notes.context);

		ReadPlan(query, notes.fact_table, notes.fact, notes.deeds);
		MemoryContextSwitchTo(context);
	}
}

/*
 * Look at a TRUNCATE, which has no plan.
 */
static void
LookAtTruncate(TruncateStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->relations)
	{
		Oid			relation = RangeVarGetRelid(lfirst(lc), NoLock, true);
		PlanDeeds	deeds = {0};

		if (!OidIsValid(relation))
			continue;
		AddChange(&deeds, WholeTable(relation), "truncates");
		if (IsWatched())
			TellOfChanges(&deeds);
		if (IsNoted())
		{
			MemoryContext context = MemoryContextSwitchTo(notes.context);

			AddChange(notes.deeds, WholeTable(relation), "truncates");
			MemoryContextSwitchTo(context);
		}
	}
}

/* Comes between a statement that has no plan and its execution */
static void
WatchUtility(PlannedStmt *statement, const char *text, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (IsA(statement->utilityStmt, TruncateStmt) && (guard.watching || notes.noting))
		LookAtTruncate((TruncateStmt *) statement->utilityStmt);
	if (next_utility_hook)
		next_utility_hook(statement, text, read_only_tree, context, params, environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, params, environment, receiver,
								completion);
}

/*
 * Put the guard in its place.
 */
void
InstallGuard(void)
{
	next_hook = ExecutorStart_hook;
	ExecutorStart_hook = WatchStatement;
	next_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = WatchUtility;
}

/*
 * The tables that a handler may read: those that hold friends.
 */
List *
FriendTables(Merge *merge, FactTable *table, Handler *handler)
{
	int			hops = friend_hops;
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, LoadFriends(table, &hops))
		tables = lappend_oid(tables, ((Friend *) lfirst(lc))->relation);
	foreach(lc, FindStops(merge->tables, merge->others))
	{
		ListCell   *f;

		if (((Stop *) lfirst(lc))->relation == table->destination)
			foreach(f, FriendStops(lfirst(lc), hops))
				tables = lappend_oid(tables, ((Stop *) lfirst(f))->relation);
	}
	if (handler->friends)
		tables = list_difference_oid(tables, list_difference_oid(tables, handler->friends));
	return tables;
}

/*
 * Begin to watch a handler: what it changes, and perhaps what it reads.
 */
void
BeginGuard(Merge *merge, FactTable *table, Handler *handler, bool reads)
{
	notes.handling = true;
	if (unsound_handler == UNSOUND_IGNORE && !merge->refuses_changes)
		return;
	if (reads && !handler->watched)
	{
		MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(handler));

		handler->harmless = FriendTables(merge, table, handler);
		handler->watched = true;
		MemoryContextSwitchTo(context);
	}
	guard.merge = merge;
	guard.table = table;
	guard.handler = handler;
	guard.depth = TriggerDepth();
	guard.reads = reads;
	guard.watching = true;
}

/*
 * Watch no longer.
 */
void
EndGuard(void)
{
	guard.watching = false;
	notes.handling = false;
}

/*
 * Note what a handler of a table does, in a context, until EndNoting().  Whoever
 * does must catch errors on the way.
 */
PlanDeeds *
BeginNoting(FactTable *table, Handler *handler, MemoryContext context)
{
	MemoryContext before = MemoryContextSwitchTo(context);

	notes.noting = true;
	notes.depth = TriggerDepth();
	notes.fact_table = table->destination;
	notes.fact = FactVariable(handler->function, !IsFunction(handler));
	notes.deeds = palloc0(sizeof(PlanDeeds));
	notes.context = context;
	MemoryContextSwitchTo(before);
	return notes.deeds;
}

void
EndNoting(void)
{
	notes.noting = false;
}
