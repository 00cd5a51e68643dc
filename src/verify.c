/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  is a schema saturated?
 *
 * Every event of every handler is replayed in a subtransaction, and every rule
 * applied to everything; what that derives was missing.  The subtransaction is
 * then taken back.
 *
 * Facts that are derived say in their column factmerge_merge which merge has
 * derived them.  Here they say which event: each event that a handler is given
 * has a number of its own, below zero.  A statement-level trigger is given all
 * events at once; only if that derives anything it is taken back, and halved
 * until it is known which event does.
 *
 * Facts are returned as soon as the handler has run that has found them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "eventlog.h"
#include "factmerge.h"
#include "handler.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_verify);

typedef struct Verification
{
	FunctionCallInfo fcinfo;
	double		sample;			/* share of the events */
	int64		base;			/* numbers given to events of earlier runs */
} Verification;

/* What the facts that a run has derived are numbered by */
#define NUMBER_OF(verification, event) (-((verification)->base + (event)))

/*
 * From now on, what is derived is so by the event of that number in its table of
 * events.
 */
void
NumberEvent(Merge *merge, int64 number)
{
	BeginDeriving(NUMBER_OF(merge->verification, number));
}

/*
 * That a share of the rows counts; SQL to append to WHERE.
 */
static char *
Sampled(Verification *verification)
{
	return verification->sample < 1 ?
		psprintf("pg_catalog.random() < %.17g", verification->sample) : "true";
}

/*
 * Make every fact of a table that has handlers an event to be replayed, or a
 * sample of them, but one at least.
 */
static void
CollectAllEvents(Merge *merge, FactTable *table)
{
	char	   *facts = psprintf("SELECT t.tableoid, t.ctid FROM %s AS t",
								 QualifiedRelation(table->destination));

	if (table->handlers == NIL)
		return;
	if (FindEventLog(merge->tables))
		facts = psprintf("SELECT t.relation, t.fact FROM (SELECT g.* FROM " LOGGED_EVENTS " AS g"
						 " WHERE g.target = %d ORDER BY g.place) AS t", table->position);
	table->events = psprintf("pg_temp.factmerge_event_%d", table->position);
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid, fact pg_catalog.tid,"
						" number pg_catalog.int8 GENERATED ALWAYS AS IDENTITY)", table->events));
	table->counts.replayed =
		SqlExecute(merge->snapshot,
				   psprintf("INSERT INTO %s (relation, fact) %s WHERE %s", table->events, facts,
							Sampled(merge->verification)), NULL);
	if (table->counts.replayed == 0)
		table->counts.replayed =
			SqlExecute(merge->snapshot,
					   psprintf("INSERT INTO %s (relation, fact) %s LIMIT 1", table->events, facts),
					   NULL);
}

/*
 * Return the facts that the last run has derived, with the events that they are
 * numbered by; no events for a rule (no table).  Then go on with other numbers.
 */
static void
ReturnFound(Merge *merge, FactTable *table, const char *found_by, int64 highest)
{
	Verification *verification = merge->verification;
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *derived = lfirst(lc);
		SqlArgs		args = {0};
		char	   *event = table == NULL ? "NULL" :
			psprintf("(SELECT " FACT_AS_JSON("t.*") " FROM %s AS e"
					 " JOIN %s AS t ON t.tableoid = e.relation AND t.ctid = e.fact"
					 " WHERE e.number = - x." MERGE_COLUMN " - " INT64_FORMAT ")",
					 table->events, QualifiedRelation(table->destination), verification->base);

		SqlAddArg(&args, TEXTOID, CStringGetTextDatum(found_by));
		SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table ? table->destination : InvalidOid));
		SqlReturnRows(verification->fcinfo, InvalidSnapshot,
					  psprintf("SELECT %u::pg_catalog.oid::pg_catalog.regclass, " FACT_AS_JSON("x.*") ", $1,"
							   " NULLIF($2, 0)::pg_catalog.regclass, %s::pg_catalog.jsonb FROM %s AS x"
							   " WHERE x." PROVENANCE_COLUMN " = 'derived' AND x." MERGE_COLUMN
							   " BETWEEN " INT64_FORMAT " AND " INT64_FORMAT,
							   derived->destination, event, QualifiedRelation(derived->destination),
							   NUMBER_OF(verification, highest), NUMBER_OF(verification, 0)), &args);
	}
	verification->base += highest + 1;
}

/*
 * Whether anything has been derived under a number.
 */
static bool
HasDerived(Merge *merge, int64 number)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
		if (SqlFetchRow(merge->snapshot,
						psprintf("SELECT 1 FROM %s AS x WHERE x." MERGE_COLUMN " = " INT64_FORMAT " LIMIT 1",
								 QualifiedRelation(((FactTable *) lfirst(lc))->destination), number),
						NULL) != NULL)
		return true;
	return false;
}

/*
 * Run a handler on the events with numbers from one to another.
 */
static void
RunOnEvents(Merge *merge, Turn *turn, int64 first, int64 last)
{
	RunHandler(merge, turn->table, turn->handler,
			   psprintf("SELECT e.relation, e.fact, e.number FROM %s AS e WHERE e.number BETWEEN "
						INT64_FORMAT " AND " INT64_FORMAT "%s ORDER BY e.number",
						turn->table->events, first, last,
						OnlyWhen(turn->table, turn->handler, "e.relation", "e.fact")));
}

/*
 * Run a handler that is given all events at once on such a range of them, and if
 * that derives anything, on either half instead; returns whether it does.  It is
 * numbered by the last event that it is given.
 */
static bool
Halve(Merge *merge, Turn *turn, int64 first, int64 last)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int64		middle = first + (last - first) / 2;
	bool		found;
	bool		keep;

	CHECK_FOR_INTERRUPTS();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	RunOnEvents(merge, turn, first, last);
	found = HasDerived(merge, NUMBER_OF(merge->verification, last));
	keep = !found || first == last;
	if (keep)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (keep)
		return found;
	(void) Halve(merge, turn, first, middle);
	(void) Halve(merge, turn, middle + 1, last);

	/* What takes events of both halves at once */
	RunOnEvents(merge, turn, first, last);
	return true;
}

/*
 * Verify one handler with the events above a number.
 */
static void
VerifyHandler(Merge *merge, Turn *turn, int64 above)
{
	int64		last = turn->table->counts.replayed;

	if (last <= above || StopsAnyway(merge, turn->handler))
		return;
	if (turn->handler->kind == HANDLER_STATEMENT_TRIGGER)
		(void) Halve(merge, turn, above + 1, last);
	else
		RunOnEvents(merge, turn, above + 1, last);
	ReturnFound(merge, turn->table, DescribeHandler(turn->handler), last);
}

/*
 * Apply each rule to everything, or to a sample of what it reads first.
 */
static void
VerifyRules(Merge *merge)
{
	List	   *facts = FactRelations(get_namespace_oid(merge->destination, false));
	ListCell   *lc;

	foreach(lc, merge->rules)
	{
		Rule	   *rule = lfirst(lc);

		NumberEvent(merge, 0);
		ReportActivity(merge, linitial(merge->tables),
					   psprintf("verifying rule %s, before", quote_identifier(rule->name)));
		DeriveAll(ApplyToEverything(rule, NULL, facts, Sampled(merge->verification)));
		ReturnFound(merge, NULL, psprintf("rule %s", rule->name), 0);
	}
}

/*
 * SQL for the events of a table that have been derived since the last round.
 */
static char *
NewbornEvents(Merge *merge, FactTable *table, int round)
{
	if (FindEventLog(merge->tables))
		return psprintf("SELECT g.relation, g.fact FROM " LOGGED_EVENTS " AS g"
						" WHERE g.round = %d AND g.target = %d ORDER BY g.place", round, table->position);
	return psprintf("SELECT x.tableoid, x.ctid FROM %s AS x"
					" WHERE x." PROVENANCE_COLUMN " = 'derived' AND x." MERGE_COLUMN " < 0"
					" AND NOT EXISTS (SELECT FROM %s AS e WHERE e.relation = x.tableoid AND e.fact = x.ctid)",
					QualifiedRelation(table->destination), table->events);
}

/*
 * Make what has been derived since events of the functions that are declared for
 * a table, and verify these; returns whether there was anything.
 */
static bool
VerifyNewborn(Merge *merge, FactTable *table, int round)
{
	int64		before = table->counts.replayed;
	ListCell   *lc;

	if (!HasFunctionHandler(table))
		return false;
	table->counts.replayed +=
		SqlExecute(merge->snapshot,
				   psprintf("INSERT INTO %s (relation, fact) %s", table->events,
							NewbornEvents(merge, table, round)), NULL);
	foreach(lc, table->handlers)
	{
		Turn		turn = {table, lfirst(lc)};

		if (IsFunction(turn.handler))
			VerifyHandler(merge, &turn, before);
	}
	return table->counts.replayed > before;
}

/* The work: replay everything, and return what that derives */
static void
ReplayEverything(Merge *merge, void *arg)
{
	int			nest_level = NewGUCNestLevel();
	bool		news;
	int			round = 0;
	ListCell   *lc;

	LockTables(merge);
	LockSequences(merge->tables);
	AddProvenanceColumns(merge->tables);
	if (FindEventLog(merge->tables))
		PlaceAllEvents(merge);
	foreach(lc, merge->tables)
		CollectAllEvents(merge, lfirst(lc));
	PrepareSession(merge);
	(void) EnableRuleTriggers(merge->rules);
	VerifyRules(merge);
	foreach(lc, TakeTurns(merge))
		VerifyHandler(merge, lfirst(lc), 0);
	do
	{
		news = false;
		round++;
		if (FindEventLog(merge->tables) && !PlaceDerivedEvents(merge, round))
			break;
		foreach(lc, merge->tables)
			news |= VerifyNewborn(merge, lfirst(lc), round);
	} while (news);
	EndDeriving();
	AtEOXact_GUC(true, nest_level);
	UnregisterSnapshot(merge->snapshot);
}

/*
 * factmerge_verify(name, double precision): each fact that rules and handlers of a
 * schema would add.
 */
Datum
factmerge_verify(PG_FUNCTION_ARGS)
{
	Verification verification = {.fcinfo = fcinfo,.sample = REQUIRE_ARG(FLOAT8, 1)};
	char	   *name = SchemaArgument(fcinfo, 0);
	Oid			schema = FindSchema(name);
	Merge	   *merge;
	int			nest_level;

	if (!(verification.sample > 0 && verification.sample <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sample is more than 0 and at most 1"),
				 errhint("It is the share of the events to replay, as in 0.05.")));
	RequireWritable(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	EnterMerge(CurrentMemoryContext);
	nest_level = NewGUCNestLevel();
	merge = palloc0(sizeof(Merge));
	merge->destination = pstrdup(name);
	merge->search_path = LockSearchPath();
	merge->dry_run = true;
	merge->refuses_changes = true;
	merge->verification = &verification;
	merge->tables = DescribeSchema(schema);
	LoadHandlers(merge->tables);
	merge->rules = RulesToApply(schema);
	CheckRights(merge);
	ActForOwners(merge->tables);
	DoAndTakeBack(ReplayEverything, merge, NULL);

	ReportActivity(merge, NULL, NULL);
	StopActing();
	AtEOXact_GUC(false, nest_level);
	LeaveMerge();
	SqlFinish();
	return (Datum) 0;
}
