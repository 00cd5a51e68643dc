/*-------------------------------------------------------------------------
 *
 * skipped.c
 *	  would events that a merge has skipped have found anything?
 *
 * A merge skips what friends say can find nothing, and believes them.  So when it is
 * done, a few of the events that it has skipped are replayed after all, each handler's
 * in a subtransaction that is taken back.  By then nothing should be left to find.
 * What is found nevertheless is told of (finding.c), with an example, and with the
 * declaration that would have let the merge find it.
 *
 * The sample is drawn at random, from the facts that only the source had and then from
 * the others.  Of a large table only some pages are looked at.  All of it takes no more
 * than a twentieth of the merge's time; but where that is next to nothing, a tenth of a
 * second, and a handful of events for each handler unless these take long.
 *
 * A handler that has found something is given the same event again.  If it adds the
 * same once more, then it is no friend that is missing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "eventlog.h"
#include "finding.h"
#include "handler.h"
#include "rule.h"
#include "skipped.h"

/* The share of the merge's time, and what is allowed however short that is */
#define SHARE_OF_TIME 0.05
#define LEAST_MILLISECONDS 100

/* So many events of each handler are tried all the same, unless they take longer */
#define HANDFUL 10
#define MOST_FOR_HANDFUL 500

/* How many pages of a table are looked at for events */
#define PAGES_LOOKED_AT 64

/* How many events there is room for to begin with */
#define EVENTS_AT_FIRST 128

/* What numbers the facts that the first call adds, and the second */
#define FIRST_CALL (-1)
#define SECOND_CALL (-2)

static double
MillisecondsSince(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Draw the sample
 */

/*
 * How many pages a table has.
 */
static int64
CountPages(FactTable *table)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	return SqlFetchInt64(InvalidSnapshot,
						 "SELECT COALESCE((SELECT pg_catalog.sum(pg_catalog.pg_relation_size(p.relid))"
						 " FROM pg_catalog.pg_partition_tree($1) AS p), pg_catalog.pg_relation_size($1))::pg_catalog.int8",
						 &args) / BLCKSZ;
}

/*
 * What to look at of a table, row t, to find facts of which there are so many: all
 * of it, or some pages.  New facts are the last ones of a table, as a rule.
 */
static char *
Pages(Merge *merge, FactTable *table, int64 facts, bool new, uint32 seed)
{
	char	   *relation = QualifiedRelation(table->destination);
	int64		pages = CountPages(table);
	int64		all = Max(table->destination_facts + table->counts.copied, 1);
	double		share = (double) facts / all;

	if (pages <= PAGES_LOOKED_AT)
		return psprintf("%s AS t", relation);
	if (new && share < 0.25 && !table->partitioned)
		return psprintf("(SELECT n.*, n.tableoid, n.ctid FROM %s AS n WHERE n.ctid >= '(" INT64_FORMAT ",0)') AS t",
						relation, pages - PAGES_LOOKED_AT);
	return psprintf("%s AS t TABLESAMPLE pg_catalog.system (%.6f) REPEATABLE (%u)", relation,
					Min(100.0, 100.0 * PAGES_LOOKED_AT / pages / Max(share, 0.05)), seed);
}

/*
 * SQL, to append to WHERE, for the condition that an event has not been replayed to a
 * handler.
 */
static char *
IsSkipped(Handler *handler, const char *relation, const char *fact)
{
	if (handler->events == NULL)
		return "";
	return psprintf(" AND NOT EXISTS (SELECT FROM %s AS e WHERE e.relation = %s AND e.fact = %s%s)",
					handler->events, relation, fact, handler->found_from_this ? "" : " AND NOT e.in_both");
}

/*
 * SQL for at most so many skipped events of a handler, in random order; of facts that
 * only one side has, or of the others.
 */
static char *
SkippedEvents(Merge *merge, Turn *turn, bool own, int most, uint32 seed)
{
	FactTable  *table = turn->table;
	StringInfoData side;
	const char *order = "pg_catalog.hashint8extended(factmerge.fact_number(%s.tableoid, %s.ctid), %u)";

	if (FindEventLog(merge->tables))
		return psprintf("SELECT g.relation, g.fact, g.own FROM " LOGGED_EVENTS " AS g WHERE g.target = %d AND g.round = 0"
						" AND %s g.own%s%s ORDER BY pg_catalog.hashint8extended(g.place, %u) LIMIT %d",
						table->position, own ? "" : "NOT",
						IsSkipped(turn->handler, "g.relation", "g.fact"),
						OnlyWhen(table, turn->handler, "g.relation", "g.fact"), seed, most);
	initStringInfo(&side);
	if (own)
		AppendSideCondition(&side, merge, table, "t", merge->from_destination ? SIDE_DESTINATION : SIDE_SOURCE);
	else
		AppendSideCondition(&side, merge, table, "t", SIDE_BOTH);
	return psprintf("SELECT t.tableoid AS relation, t.ctid AS fact, %s AS own FROM %s WHERE %s"
					" AND (t." MERGE_COLUMN " = " INT64_FORMAT " AND t." PROVENANCE_COLUMN " = 'derived') IS NOT TRUE%s%s"
					" ORDER BY %s LIMIT %d", own ? "true" : "false",
					Pages(merge, table, own ? table->counts.copied : table->counts.in_both, own && !merge->from_destination, seed),
					side.data, merge->id, IsSkipped(turn->handler, "t.tableoid", "t.ctid"),
					OnlyWhen(table, turn->handler, "t.tableoid", "t.ctid"),
					psprintf(order, "t", "t", seed), most);
}

static void
TakeEvent(Datum *values, bool *nulls, void *arg)
{
	Trial	   *trial = arg;
	SkippedEvent *event;

	if (trial->count == trial->room)
	{
		trial->room *= 2;
		trial->events = repalloc_huge(trial->events, sizeof(SkippedEvent) * trial->room);
	}
	event = &trial->events[trial->count++];
	event->relation = DatumGetObjectId(values[0]);
	event->place = *(ItemPointer) DatumGetPointer(values[1]);
	event->own = DatumGetBool(values[2]);
}

/*
 * Draw the events for a trial.
 */
static void
DrawEvents(Trial *trial)
{
	uint32		seed = check_skipped_seed >= 0 ? (uint32) check_skipped_seed :
		pg_prng_uint32(&pg_global_prng_state) >> 1;

	trial->room = EVENTS_AT_FIRST;
	trial->events = palloc(sizeof(SkippedEvent) * trial->room);
	SqlForEachRow(trial->merge->snapshot,
				  psprintf("SELECT q.relation, q.fact, q.own FROM ((%s) UNION ALL (%s)) AS q"
						   " LIMIT %d",
						   SkippedEvents(trial->merge, trial->turn, true, check_skipped - check_skipped / 4, seed),
						   SkippedEvents(trial->merge, trial->turn, false, check_skipped, seed), check_skipped),
				  NULL, TakeEvent, trial);
}

/*
 * Try it out
 */

/*
 * How often a row has been inserted into a table in this transaction.
 */
static int64
InsertsInto(Target *target)
{
	int64		count = 0;
	ListCell   *lc;

	foreach(lc, target->parts)
		count += DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_tuples_inserted,
												   ObjectIdGetDatum(lfirst_oid(lc))));
	return count;
}

/*
 * Whether rows may have been inserted into a table since the last look.
 */
static bool
HasInserts(Target *target)
{
	int64		before = target->inserts;

	target->inserts = InsertsInto(target);
	return !pgstat_track_counts || target->inserts != before;
}

/*
 * A fact that a call has added to a table; NULL if there is none.
 */
static char *
FactAddedTo(Trial *trial, Target *target, int call)
{
	char	   *condition = target->tagged ?
		psprintf("x." MERGE_COLUMN " = %d AND x." PROVENANCE_COLUMN " = 'derived'", call) :
		psprintf("NOT %s", WrittenBefore("x", trial->before));
	char	  **row = SqlFetchRow(trial->merge->snapshot,
								  psprintf("SELECT %s FROM %s AS x WHERE %s LIMIT 1",
										   TextOfFact(target->table, "x", true), QualifiedRelation(target->relation),
										   condition), NULL);

	return row ? row[0] : NULL;
}

/*
 * Look for facts that a call has added, first where the handler itself adds them.
 */
static bool
FindAdded(Trial *trial, int call)
{
	bool		found = false;
	ListCell   *lc;

	foreach(lc, trial->targets)
	{
		Target	   *target = lfirst(lc);
		bool		direct = list_member_oid(trial->deeds->added_to, target->relation);
		char	   *fact;

		if (!HasInserts(target) || (trial->target && call == FIRST_CALL && !direct))
			continue;
		fact = FactAddedTo(trial, target, call);
		if (fact == NULL)
			continue;
		found = true;
		if (call == FIRST_CALL && (trial->target == NULL || direct))
		{
			trial->target = target;
			trial->fact = fact;
		}
	}
	return found;
}

/*
 * Give a handler one event, in a session as in a replay.
 */
static void
Call(Trial *trial, SkippedEvent *event, int call)
{
	int			nest_level = NewGUCNestLevel();

	PrepareSession(trial->merge);
	BeginDeriving(call);
	TryHandler(trial->merge, trial->turn->table, trial->turn->handler,
			   psprintf("SELECT %u::pg_catalog.oid, '(%u,%u)'::pg_catalog.tid", event->relation,
						ItemPointerGetBlockNumberNoCheck(&event->place),
						ItemPointerGetOffsetNumberNoCheck(&event->place)));
	EndDeriving();
	AtEOXact_GUC(true, nest_level);
}

/*
 * Whether there is time for one more event: for the first of either kind in any case,
 * and for a handful unless they take long.
 */
static bool
HasTimeFor(Trial *trial, int event, double start)
{
	double		now = MillisecondsSince(trial->merge->start);

	return event == 0 || trial->events[event].own != trial->events[event - 1].own ||
		now < trial->until || (event < HANDFUL && now < start + MOST_FOR_HANDFUL);
}

/* The work: give the handler one event after the other until it finds something */
static void
TryEvents(void *arg)
{
	Trial	   *trial = arg;
	double		start = MillisecondsSince(trial->merge->start);
	ListCell   *lc;

	trial->before = psprintf(UINT64_FORMAT, U64FromFullTransactionId(ReadNextFullTransactionId()));
	foreach(lc, trial->targets)
		((Target *) lfirst(lc))->inserts = InsertsInto(lfirst(lc));
	for (int i = 0; i < trial->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!HasTimeFor(trial, i, start))
			continue;
		trial->tried = i + 1;
		Call(trial, &trial->events[i], FIRST_CALL);
		if (!FindAdded(trial, FIRST_CALL))
			continue;
		Call(trial, &trial->events[i], SECOND_CALL);
		trial->again = FindAdded(trial, SECOND_CALL);
		break;
	}
}

/*
 * Try a handler with events in a subtransaction, and take back what it does.  What it
 * says meanwhile is not meant for anybody.
 */
static void
TryOut(Trial *trial)
{
	int			nest_level = NewGUCNestLevel();
	Merge	   *merge = trial->merge;

	merge->holds_findings = true;
	SetLocally("client_min_messages", "error");
	trial->deeds = BeginNoting(trial->turn->table, trial->turn->handler, CurrentMemoryContext);
	PG_TRY();
	{
		trial->error = TryInSubtransaction(TryEvents, trial, false);
	}
	PG_FINALLY();
	{
		EndNoting();
		EndGuard();
		EndDeriving();
		merge->holds_findings = false;
	}
	PG_END_TRY();
	AtEOXact_GUC(true, nest_level);
	if (trial->error && ERRCODE_TO_CATEGORY(trial->error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(trial->error);
}

/*
 * The whole of it
 */

/*
 * The tables that a handler may add to, as far as facts are in them.
 */
static List *
Targets(Merge *merge)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, list_concat(list_copy(merge->tables), merge->others))
	{
		FactTable  *table = lfirst(lc);
		Target	   *target = palloc0(sizeof(Target));

		target->relation = table->destination;
		target->table = table;
		target->tagged = list_member_ptr(merge->tables, table);
		target->parts = table->partitioned ?
			find_all_inheritors(table->destination, NoLock, NULL) : list_make1_oid(table->destination);
		targets = lappend(targets, target);
	}
	return targets;
}

/*
 * Let the sequences that handlers draw from be as they were afterwards, as far as
 * nobody else is using them.
 */
static void
LockIdleSequences(Merge *merge)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, merge->tables)
		foreach(c, ((FactTable *) lfirst(lc))->columns)
	{
		Oid			sequence = ((Column *) lfirst(c))->sequence;

		if (OidIsValid(sequence) && ConditionalLockRelationOid(sequence, ShareRowExclusiveLock))
			LockSequence(sequence);
	}
}

/*
 * Try out all handlers, each in its share of the time; returns the trials.
 */
static List *
TryAll(Merge *merge)
{
	List	   *targets = Targets(merge);
	List	   *turns = TakeTurns(merge);
	List	   *trials = NIL;
	double		end = MillisecondsSince(merge->start);
	ListCell   *lc;

	end += Max(end * SHARE_OF_TIME, LEAST_MILLISECONDS);
	foreach(lc, turns)
	{
		Trial	   *trial = palloc0(sizeof(Trial));
		double		now = MillisecondsSince(merge->start);

		trial->merge = merge;
		trial->turn = lfirst(lc);
		trial->targets = targets;
		trial->until = now + (end - now) / (list_length(turns) - foreach_current_index(lc));
		if (trial->turn->table->counts.events == 0 || StopsAnyway(merge, trial->turn->handler))
			continue;
		ReportActivity(merge, trial->turn->table, "checking events of");
		DrawEvents(trial);
		if (trial->count > 0)
			TryOut(trial);
		trials = lappend(trials, trial);
	}
	return trials;
}

/* The work: try out all handlers; the trials go to *arg */
static void
TryAllAndForget(Merge *merge, void *arg)
{
	LockIdleSequences(merge);
	(void) EnableRuleTriggers(merge->rules);
	*(List **) arg = TryAll(merge);
}

/*
 * Whether it does no harm to run all handlers on everything, as far as is known.
 */
static bool
IsSafeToSaturate(List *trials)
{
	ListCell   *lc;

	foreach(lc, trials)
	{
		Trial	   *trial = lfirst(lc);

		if (trial->again || trial->error || trial->turn->handler->changed)
			return false;
	}
	return true;
}

/*
 * Whether there is anything of which events could have been skipped wrongly.
 */
static bool
IsWorthwhile(Merge *merge)
{
	bool		handlers = false;
	bool		news = false;
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		handlers |= table->handlers != NIL;
		news |= table->counts.copied > 0 || table->inexact > 0;
	}
	return handlers && news;
}

/*
 * Replay a sample of the events that the merge has skipped, take that back, and tell
 * of what it would have found.
 */
void
CheckSkippedEvents(Merge *merge)
{
	MemoryContext context;
	MemoryContext before;
	List	   *trials = NIL;
	bool		safe;
	ListCell   *lc;

	if (check_skipped == 0 || unsound_handler == UNSOUND_IGNORE || !IsWorthwhile(merge))
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "factmerge skipped events", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	DoAndTakeBack(TryAllAndForget, merge, &trials);
	safe = IsSafeToSaturate(trials);
	foreach(lc, trials)
	{
		if (((Trial *) lfirst(lc))->error)
			TellOfError(lfirst(lc));
		else if (((Trial *) lfirst(lc))->target)
			TellOfFound(lfirst(lc), safe);
	}
	RaiseFindings(merge);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}
