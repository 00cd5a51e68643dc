/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  what a handler really reads
 *
 * A merge trusts that whatever a handler inspects is a friend of its event's fact.
 * So while a handler is replayed on mixed events, its statements are watched: the
 * executor's own plans name the tables that they scan.  One that is a fact table,
 * but holds no friends, is told of, once for each handler and merge.
 *
 * Only what the handler does itself counts, not what triggers do that its INSERTs
 * fire: these concern newborn facts, which are never skipped.  Nor does it count
 * to look whether what is to be inserted is there already.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "friends.h"
#include "handler.h"

/* The handler that is being watched */
static struct
{
	bool		watching;
	Merge	   *merge;
	FactTable  *table;
	Handler    *handler;
	int			depth;			/* of triggers, for what it does itself */
}			guard;

/* What writing is noted of */
static struct
{
	bool		noting;
	int			depth;			/* of triggers */
	List	   *tables;			/* Oids */
	MemoryContext context;
}			notes;

static ExecutorStart_hook_type next_hook = NULL;

/* What is looked for in a plan */
typedef struct Reading
{
	List	   *targets;		/* Oids: of the statement's INSERT */
	List	   *subplans;		/* of PlanState: looked at by themselves */
	PlanState  *top;
	bool		looks_for_duplicates;	/* below here */
	List	   *relations;		/* Oids: what is read */
} Reading;

/*
 * The table that a relation is a partition of, or itself.
 */
static Oid
WholeTable(Oid relation)
{
	return get_rel_relispartition(relation) ?
		llast_oid(get_partition_ancestors(relation)) : relation;
}

/*
 * The side of a join whose rows are looked for only to find that they are not
 * there; NULL if it has none.
 */
static PlanState *
SideLookedInto(JoinState *join)
{
	if (join->jointype == JOIN_ANTI)
		return innerPlanState(join);
	return IS_RIGHT_ANTI(join->jointype) ? outerPlanState(join) : NULL;
}

/*
 * Collect what a plan scans.
 */
static bool
CollectScans(PlanState *state, void *arg)
{
	Reading    *reading = arg;
	Relation	relation = NULL;
	PlanState  *side;

	if (state == NULL || (state != reading->top && list_member_ptr(reading->subplans, state)))
		return false;
	switch (nodeTag(state))
	{
		case T_SeqScanState:
		case T_SampleScanState:
		case T_IndexScanState:
		case T_IndexOnlyScanState:
		case T_BitmapHeapScanState:
		case T_TidScanState:
		case T_TidRangeScanState:
		case T_ForeignScanState:
			relation = ((ScanState *) state)->ss_currentRelation;
			break;
		case T_NestLoopState:
		case T_MergeJoinState:
		case T_HashJoinState:
			side = SideLookedInto((JoinState *) state);
			if (side)
			{
				bool		before = reading->looks_for_duplicates;

				(void) CollectScans(side == innerPlanState(state) ?
									outerPlanState(state) : innerPlanState(state), arg);
				reading->looks_for_duplicates = true;
				(void) CollectScans(side, arg);
				reading->looks_for_duplicates = before;
				return false;
			}
			break;
		default:
			break;
	}
	if (relation)
	{
		Oid			table = WholeTable(RelationGetRelid(relation));

		if (!(reading->looks_for_duplicates && list_member_oid(reading->targets, table)))
			reading->relations = list_append_unique_oid(reading->relations, table);
	}
	return planstate_tree_walker(state, CollectScans, arg);
}

/*
 * Collect what subplans scan.  Such as read the target of the INSERT are taken to
 * look for duplicates.
 */
static void
CollectSubplanScans(Reading *reading)
{
	ListCell   *lc;

	reading->looks_for_duplicates = true;
	foreach(lc, reading->subplans)
	{
		reading->top = lfirst(lc);
		(void) CollectScans(lfirst(lc), reading);
	}
}

/*
 * Whether a relation is a fact table that is not known to be harmless.
 */
static bool
IsSuspicious(Oid table)
{
	return !list_member_oid(guard.handler->harmless, table) &&
		(FindTable(guard.merge->tables, table) || FindTable(guard.merge->others, table));
}

/*
 * What to do about a table that is read and no friend.
 */
static char *
Advice(Oid table)
{
	char	   *schema = TypeSchema(ProvenanceType());
	char	   *call = psprintf("SELECT %s.factmerge_add_friend(%s, %s",
								quote_identifier(schema),
								quote_literal_cstr(QualifiedRelation(guard.table->destination)),
								quote_literal_cstr(QualifiedRelation(table)));
	ListCell   *lc;
	ListCell   *f;

	if (guard.handler->friends && !list_member_oid(guard.handler->friends, table))
		return "Name the table among the friends of the handler in factmerge_add_handler().";
	foreach(lc, FindStops(guard.merge->tables, guard.merge->others))
	{
		if (((Stop *) lfirst(lc))->relation != guard.table->destination)
			continue;
		foreach(f, FriendStops(lfirst(lc), DECLARED_HOPS))
			if (((Stop *) lfirst(f))->relation == table)
			return psprintf("Declare it to be one: %s)", call);
	}
	return psprintf("Declare it to be one: %s, condition => 'true'); a condition that says which facts it looks at costs less.",
					call);
}

/*
 * Tell of a table that is read and no friend.
 */
static void
TellOf(Oid table)
{
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(guard.handler));

	guard.handler->harmless = lappend_oid(guard.handler->harmless, table);
	MemoryContextSwitchTo(context);
	ereport(unsound_handler == UNSOUND_ERROR ? ERROR : WARNING,
			(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			 errmsg("handler %s of table \"%s\" reads table \"%s\", which holds no friends",
					guard.handler->name, guard.table->name, get_rel_name(table)),
			 errdetail("An event is replayed only if it has a friend that its fact has not met, so merges may miss what this handler would find."),
			 errhint("%s", Advice(table))));
}

/*
 * The tables that a statement writes to.
 */
static List *
TablesWritten(PlannedStmt *statement)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, statement->resultRelations)
		tables = list_append_unique_oid(tables, WholeTable(rt_fetch(lfirst_int(lc), statement->rtable)->relid));
	return tables;
}

static int
TriggerDepth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/*
 * Look at what a statement of the handler's reads.
 */
static void
LookAtPlan(QueryDesc *query)
{
	Reading		reading = {.subplans = query->estate->es_subplanstates};
	bool		suspicious = false;
	ListCell   *lc;

	foreach(lc, query->plannedstmt->relationOids)
		suspicious |= IsSuspicious(WholeTable(lfirst_oid(lc)));
	if (!suspicious)
		return;
	reading.targets = TablesWritten(query->plannedstmt);
	(void) CollectScans(query->planstate, &reading);
	CollectSubplanScans(&reading);
	foreach(lc, reading.relations)
		if (IsSuspicious(lfirst_oid(lc)))
		TellOf(lfirst_oid(lc));
}

/* Comes between a statement and the executor */
static void
WatchStatement(QueryDesc *query, int eflags)
{
	if (next_hook)
		next_hook(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (guard.watching && IsMerging() && !InNoForceRLSOperation() && TriggerDepth() == guard.depth)
		LookAtPlan(query);
	if (notes.noting && TriggerDepth() == notes.depth)
	{
		MemoryContext context = MemoryContextSwitchTo(notes.context);

		notes.tables = list_concat_unique_oid(notes.tables, TablesWritten(query->plannedstmt));
		MemoryContextSwitchTo(context);
	}
}

/*
 * Put the guard in its place.
 */
void
InstallGuard(void)
{
	next_hook = ExecutorStart_hook;
	ExecutorStart_hook = WatchStatement;
}

/*
 * The tables that a handler may read: those that hold friends.
 */
static List *
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
 * Begin to watch a handler.
 */
void
BeginGuard(Merge *merge, FactTable *table, Handler *handler)
{
	if (unsound_handler == UNSOUND_IGNORE)
		return;
	if (!handler->watched)
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
	guard.watching = true;
}

/*
 * Watch no longer.
 */
void
EndGuard(void)
{
	guard.watching = false;
}

/*
 * Note which tables a handler writes to, in a context, until EndNoting(), which
 * returns them.  Whoever does must catch errors on the way.
 */
void
BeginNoting(MemoryContext context)
{
	notes.noting = true;
	notes.depth = TriggerDepth();
	notes.tables = NIL;
	notes.context = context;
}

List *
EndNoting(void)
{
	notes.noting = false;
	return notes.tables;
}
