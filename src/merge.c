/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  the merge: one screen that calls the stages in their order
 *
 * A merge describes the two schemas, locks their tables, and then
 *
 *	matches		every fact of the source with the destination's (match.c,
 *				fold.c, conflict.c), which also assigns the keys of the others,
 *	marks		the destination's facts that are in both (provenance.c),
 *	dumps		the others into the destination (dump.c, bulk.c),
 *	finds		the events that are mixed (friends.c),
 *	replays		them (replay.c), and some of the others to see that nothing was
 *				left to find (skipped.c).
 *
 * Marking comes before dumping so that the tags of copied facts can be written
 * with them.  Everything happens in the caller's transaction.  A dry run does
 * the same in a subtransaction, and takes it back; a preview (preview.c) does
 * so after the matching.  Only a merge in batches (batch.c) takes several
 * transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "factmerge.h"
#include "handler.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_merge);

/*
 * Make generated SQL immune to the caller's search_path and row security until
 * the current nest level of settings ends; returns the caller's path.
 */
char *
LockSearchPath(void)
{
	char	   *path = pstrdup(namespace_search_path);

	SqlLetCodeSee(NULL);		/* an error may have left another behind */
	SetLocally("search_path", LOCKED_SEARCH_PATH);
	SetLocally("row_security", "off");
	return path;
}

/*
 * Refuse to go on if the tables are not those that were locked.
 */
static void
RefuseChangedTables(List *locked, List *found)
{
	ListCell   *a;
	ListCell   *b;

	forboth(a, locked, b, found)
		if (((FactTable *) lfirst(a))->destination != ((FactTable *) lfirst(b))->destination ||
			((FactTable *) lfirst(a))->source != ((FactTable *) lfirst(b))->source)
		break;
	if (list_length(locked) == list_length(found) && a == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the tables have been changed while the merge waited for them"),
			 errhint("Retry the merge.")));
}

/*
 * Describe the two schemas, check that the caller may merge them, and lock
 * their tables.
 */
void
OpenSchemas(Merge *merge)
{
	Oid			source = FindSchema(merge->source);
	Oid			destination = FindSchema(merge->destination);
	List	   *tables;
	List	   *others;
	ListCell   *lc;

	if (source == destination)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source and destination are the same schema \"%s\"",
						merge->source),
				 errhint("Name two schemas: the facts of the first go into the second.")));
	if (isAnyTempNamespace(destination))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot merge into temporary tables"),
				 errdetail("What a merge keeps of its history outlives them."),
				 errhint("Merge into a schema of ordinary tables; temporary ones can be a source.")));
	if (isTempNamespace(source))
		merge->source = "pg_temp";	/* whichever it is in this session */
	RefuseToWait(merge);
	merge->tables = DescribeSchemas(source, destination, &merge->others);
	CheckRights(merge);
	if (!merge->preview)
	{
		LockDestination(merge);
		if (merge->batches == NULL)
			RefuseUnfinished(destination);
	}
	LockTables(merge);

	/* Somebody may have altered a table before we got the lock */
	tables = DescribeSchemas(source, destination, &others);
	RefuseChangedTables(merge->tables, tables);
	RefuseChangedTables(merge->others, others);
	merge->tables = tables;
	merge->others = others;
	ActForOwners(merge->tables);
	NoticeViews(source, destination);
	LoadHandlers(merge->tables);
	merge->rules = RulesToApply(destination);
	foreach(lc, merge->tables)
	{
		merge->derives_while_copying |= FiresWhileCopying(lfirst(lc));
		merge->reads_while_copying |= ReadsWhileCopying(lfirst(lc));
	}
}

/* The work: write to the destination */
static void
MarkAndDump(void *arg)
{
	MarkFacts(arg);
	DumpFacts(arg);
}

/*
 * Write to the destination.  Triggers behave as under logical replication
 * meanwhile.  That is allowed whoever calls: what the triggers of foreign keys
 * would have checked is checked by DumpFacts().
 */
static void
WriteFacts(Merge *merge)
{
	DoWithoutTriggers(MarkAndDump, merge);
}

/*
 * Write again, noting each fact; a value that cannot even be converted is found
 * before that.
 */
static void
WriteCarefully(Merge *merge)
{
	ListCell   *lc;

	ExplainConversions(merge);
	merge->careful = true;
	foreach(lc, merge->tables)
		((FactTable *) lfirst(lc))->suspended = false;
	WriteFacts(merge);
}

/*
 * Let values become text and text values in a way that loses nothing, whatever
 * the caller has set, until the current nest level of settings ends.  Nor are
 * queries compiled: the planner thinks that far more rows are within a
 * tolerance than there are, and would take its time for that.
 */
void
FixSettings(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"array_nulls", "on"},
		{"xmloption", "content"},
		{"xmlbinary", "base64"},
		{"standard_conforming_strings", "on"},
		{"quote_all_identifiers", "off"},
		{"jit", "off"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetLocally(settings[i][0], settings[i][1]);
}

/*
 * Match the facts of both sides, and compare those that are the same.
 */
static void
CompareFacts(Merge *merge)
{
	MatchFacts(merge);
	RecordConflicts(merge);
}

/*
 * The stages that look at facts of the source: all but the replay, which is in
 * the caller's session as it is.
 */
void
TakeFacts(Merge *merge)
{
	int			nest_level = NewGUCNestLevel();

	FixSettings();
	SqlLetCodeSee(merge->search_path);
	DoExplained(merge, CompareFacts, ExplainConversions);
	if (!merge->preview)
	{
		DoExplained(merge, WriteFacts, WriteCarefully);
		RecordFoldedConflicts(merge);
	}
	SqlLetCodeSee(NULL);
	AtEOXact_GUC(true, nest_level);
}

/*
 * Replay events, and enter into the history what has come of the merge.
 */
void
ReplayAndReport(Merge *merge, Counts *totals)
{
	WarnOfLookalikes(merge);
	FindMixedEvents(merge);
	ReplayEvents(merge);
	CheckSkippedEvents(merge);
	DropTemporaryTables(merge);
	NoteHorizons(merge);
	SumCounts(merge, totals);
	if (!merge->dry_run)
		EndHistory(merge, totals);
}

/* The work of a dry run */
static void
RunDry(Merge *merge, void *totals)
{
	LockSequences(merge->tables);
	TakeFacts(merge);
	ReplayAndReport(merge, totals);
}

/* The work of a merge, which a dry run takes back */
static void
RunStages(Merge *merge, void *totals)
{
	if (merge->dry_run)
	{
		DoAndTakeBack(RunDry, merge, totals);
		return;
	}
	BeginHistory(merge);
	/* Not worth a conflict with another merge */
	if (!IsolationUsesXactSnapshot())
		ForgetDroppedTables();
	TakeFacts(merge);
	ReplayAndReport(merge, totals);
}

/*
 * Open the schemas of a merge, do some work on it, and leave it.  SPI is connected, and
 * what is allocated lives until it is not.
 */
void
DoMerge(Merge *merge, void (*work) (Merge *merge, void *arg), void *arg)
{
	int			nest_level = NewGUCNestLevel();

	EnterMerge(CurrentMemoryContext);
	merge->search_path = LockSearchPath();
	INSTR_TIME_SET_CURRENT(merge->start);
	OpenSchemas(merge);
	work(merge, arg);
	UnregisterSnapshot(merge->snapshot);
	ReportActivity(merge, NULL, NULL);
	StopActing();
	/* Nothing that handlers have set lasts */
	AtEOXact_GUC(false, nest_level);
	LeaveMerge();
}

/*
 * Merge two schemas; with no wait, only if nobody else is merging into the
 * destination.
 */
Merge *
MergeSchemas(const char *source, const char *destination, bool dry_run, bool wait, Counts *totals)
{
	Merge	   *merge = palloc0(sizeof(Merge));

	merge->source = pstrdup(source);
	merge->destination = pstrdup(destination);
	merge->dry_run = dry_run;
	merge->no_wait = !wait;
	DoMerge(merge, RunStages, totals);
	return merge;
}

/*
 * factmerge_merge(name, name, bool): merge two schemas; see the comment on the
 * SQL function for arguments, result and errors.
 */
Datum
factmerge_merge(PG_FUNCTION_ARGS)
{
	MemoryContext caller_context = CurrentMemoryContext;
	Merge	   *merge;
	Counts		totals;
	Datum		row;

	RequireArguments(fcinfo);
	RequireWritable(fcinfo);
	SqlConnect();
	merge = MergeSchemas(SchemaArgument(fcinfo, 0), SchemaArgument(fcinfo, 1),
						 PG_GETARG_BOOL(2), true, &totals);
	MemoryContextSwitchTo(caller_context);
	row = TotalsRow(fcinfo, merge, &totals);
	SqlFinish();
	return row;
}
