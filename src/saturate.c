/*-------------------------------------------------------------------------
 *
 * saturate.c
 *	  deriving by rules until nothing is new
 *
 * Outside of merges, rules are set off by the triggers of the tables that they
 * read (maintain.c), which hand over the facts that an INSERT has added: the
 * news.  For each place in which a rule reads their table, they are joined with
 * all there is in its other places.  What that derives is inserted, and comes
 * back as news by the triggers of its own table; so it goes on, round by round,
 * until there are none.  While news are being worked off, triggers only add to
 * them, so that a long chain of derivations is no deep recursion.
 *
 * Two transactions must not overlook each other's facts.  So before news are
 * worked off, the rules that they may set off are locked until the transaction
 * ends (by their views, which nobody else locks so); and then it is done under
 * the latest snapshot, in which the facts of whoever had the lock before are
 * visible at any isolation level, as it is for foreign keys.
 *
 * What is derived is saved as the owner of its table: to insert facts takes no
 * right to what follows from them.
 *
 * A merge starts with the combinations that neither side has had, see
 * combine.c, and goes on with news likewise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "rule.h"

/* Up to so many news, plans are kept; for more, they are made to measure */
#define FEW_NEWS 100

/* Facts that have arrived in a relation, and what follows is yet to be seen */
typedef struct News
{
	Oid			relation;
	Tuplestorestate *facts;
	bool		borrowed;		/* somebody else's tuplestore */
} News;

/* News being worked off, and what they lead to */
typedef struct Saturation
{
	List	   *news;			/* of News */
	MemoryContext context;
	ResourceOwner owner;		/* of what is kept there */
	SubTransactionId subtransaction;
	struct Saturation *outer;
} Saturation;

static Saturation *current = NULL;

/* Forgets a saturation that has ended, by an error perhaps */
static void
ForgetSaturation(void *arg)
{
	Saturation *saturation = arg;

	if (current == saturation)
		current = saturation->outer;
}

/*
 * Begin to collect news.
 */
static void
BeginSaturation(void)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext,
												  "factmerge saturation",
												  ALLOCSET_DEFAULT_SIZES);
	Saturation *saturation = MemoryContextAllocZero(context, sizeof(Saturation));
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));

	if (current == NULL)
		ForgetStaleConsequences();
	saturation->context = context;
	saturation->owner = CurrentResourceOwner;
	saturation->subtransaction = GetCurrentSubTransactionId();
	saturation->outer = current;
	callback->func = ForgetSaturation;
	callback->arg = saturation;
	MemoryContextRegisterResetCallback(context, callback);
	current = saturation;
}

static void
AddNews(Oid relation, Tuplestorestate *facts, bool borrowed)
{
	MemoryContext context = MemoryContextSwitchTo(current->context);
	News	   *news = palloc(sizeof(News));

	news->relation = relation;
	news->facts = facts;
	news->borrowed = borrowed;
	current->news = lappend(current->news, news);
	MemoryContextSwitchTo(context);
}

/*
 * A tuplestore that lasts as long as the saturation.
 */
static Tuplestorestate *
NewTuplestore(void)
{
	MemoryContext context = MemoryContextSwitchTo(current->context);
	ResourceOwner owner = CurrentResourceOwner;
	Tuplestorestate *tuplestore;

	CurrentResourceOwner = current->owner;
	tuplestore = tuplestore_begin_heap(true, false, work_mem);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(context);
	return tuplestore;
}

/*
 * Copy the rows of a tuplestore that is about to vanish.
 */
static Tuplestorestate *
CopyFacts(Relation relation, Tuplestorestate *facts)
{
	Tuplestorestate *copy = NewTuplestore();
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation),
													&TTSOpsMinimalTuple);
	ResourceOwner owner = CurrentResourceOwner;

	tuplestore_select_read_pointer(facts, tuplestore_alloc_read_pointer(facts, EXEC_FLAG_REWIND));
	tuplestore_rescan(facts);
	CurrentResourceOwner = current->owner;
	while (tuplestore_gettupleslot(facts, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(copy, slot);
	}
	CurrentResourceOwner = owner;
	ExecDropSingleTupleTableSlot(slot);
	return copy;
}

/*
 * Put a statement's error into context.
 */
static void
DerivationContext(void *arg)
{
	errcontext("rule \"%s\"", ((Derivation *) arg)->rule);
}

/*
 * Save what has been derived.  If that is done as somebody else, then nothing
 * that the caller could have put on the search path is looked at.
 */
static int64
Save(Derivation *derivation, TupleDesc description, Tuplestorestate *rows, Snapshot snapshot,
	 MemoryContext keep)
{
	bool		as_owner = !IsMerging() && derivation->owner != GetUserId();
	int			nest_level = NewGUCNestLevel();
	SqlStatement *statement = derivation->save_kept;
	RoleSwitch	caller;
	int64		count;

	if (as_owner)
	{
		char	   *schema = get_namespace_name(get_rel_namespace(derivation->target));

		(void) set_config_option("search_path", psprintf("%s, pg_temp", quote_identifier(schema)),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		BecomeRole(derivation->owner, &caller);
	}
	SqlRegisterRows(DERIVED_NAME, InvalidOid, description, rows);
	if (statement == NULL)
		statement = SqlPrepare(derivation->save, 0, NULL);
	count = SqlExecuteUnder(snapshot, statement);
	SqlUnregisterRows(DERIVED_NAME);
	if (keep && derivation->save_kept == NULL)
		derivation->save_kept = SqlKeep(statement, keep);
	else if (statement != derivation->save_kept)
		SqlFree(statement);
	if (as_owner)
		BecomeCallerAgain(&caller);
	AtEOXact_GUC(true, nest_level);
	return count;
}

/*
 * Derive facts by one statement, and save those that are new; returns how many.
 * The plan is kept if there is a context to keep it in.
 */
static int64
Derive(Derivation *derivation, Snapshot snapshot, MemoryContext keep)
{
	int			nest_level = NewGUCNestLevel();
	SqlStatement *statement = derivation->derive_kept;
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	ErrorContextCallback context = {error_context_stack, DerivationContext, derivation};
	TupleDesc	description;
	RoleSwitch	caller;
	int64		count;

	error_context_stack = &context;
	LockSearchPath();
	FixSettings();
	if (!IsMerging())
		BecomeRole(derivation->owner, &caller);
	if (statement == NULL || keep == NULL)
		statement = SqlPrepareQuery(derivation->derive);
	count = SqlStoreRows(snapshot, statement, rows, &description);
	if (keep && derivation->derive_kept == NULL)
		derivation->derive_kept = SqlKeep(statement, keep);
	else if (statement != derivation->derive_kept)
		SqlFree(statement);
	if (!IsMerging())
		BecomeCallerAgain(&caller);
	AtEOXact_GUC(true, nest_level);
	if (count > 0)
		count = Save(derivation, description, rows, snapshot, keep);
	tuplestore_end(rows);
	error_context_stack = context.previous;
	return count;
}

/*
 * Derive what follows from some news.
 */
static void
Follow(News *news)
{
	Consequences *consequences;
	bool		few = tuplestore_tuple_count(news->facts) <= FEW_NEWS;
	Snapshot	snapshot;
	ListCell   *lc;

	SqlConnect();
	consequences = ConsequencesOf(news->relation);
	if (!IsMerging())
		foreach(lc, consequences->views)
			LockRelationOid(lfirst_oid(lc), ShareUpdateExclusiveLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	foreach(lc, consequences->derivations)
	{
		CHECK_FOR_INTERRUPTS();
		SqlRegisterRows(NEWS_NAME, news->relation, NULL, news->facts);
		(void) Derive(lfirst(lc), snapshot, few ? consequences->context : NULL);
		SqlUnregisterRows(NEWS_NAME);
	}
	UnregisterSnapshot(snapshot);
	SqlFinish();
}

/*
 * Work off all news.
 */
static void
EndSaturation(void)
{
	while (current->news != NIL)
	{
		News	   *news = linitial(current->news);

		current->news = list_delete_first(current->news);
		Follow(news);
		if (!news->borrowed)
			tuplestore_end(news->facts);
	}
	MemoryContextDelete(current->context);
}

/*
 * Derive facts by some statements, and what follows from them, until nothing is
 * new; returns how many the statements have added themselves.
 */
int64
DeriveAll(List *derivations)
{
	int64		count = 0;
	ListCell   *lc;

	BeginSaturation();
	foreach(lc, derivations)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		CHECK_FOR_INTERRUPTS();
		SqlConnect();
		count += Derive(lfirst(lc), snapshot, NULL);
		SqlFinish();
		UnregisterSnapshot(snapshot);
	}
	EndSaturation();
	return count;
}

/*
 * Take news from a trigger: facts that have been inserted into a relation.
 * Whoever works off news will come to them.  But what a subtransaction inserts
 * may be taken back, and so is looked at on the spot.
 */
void
TakeNews(Relation relation, Tuplestorestate *facts)
{
	bool		collecting = current &&
		current->subtransaction == GetCurrentSubTransactionId();

	SqlConnect();
	if (ConsequencesOf(RelationGetRelid(relation))->derivations == NIL)
		 /* a trigger that is left over */ ;
	else if (collecting)
		AddNews(RelationGetRelid(relation), CopyFacts(relation, facts), false);
	else
	{
		BeginSaturation();
		AddNews(RelationGetRelid(relation), facts, true);
		EndSaturation();
	}
	SqlFinish();
}
