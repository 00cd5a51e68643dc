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
#include "optimizer/optimizer.h"
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

/*
 * What it costs to look candidates up in an index: they come in its order, so
 * that one page is hardly ever read twice.
 */
#define LOOKUP_PAGE_COST "1.1"

/*
 * How many times work_mem a hash table may take while candidates are collected:
 * they are few, but what is joined to find them is whole tables.
 */
#define CANDIDATE_HASH_MEMORY "4"

/* Facts that have arrived in a relation, and what follows is yet to be seen */
typedef struct News
{
	Oid			relation;
	TupleDesc	description;	/* if it is not the relation's own */
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
AddNews(Oid relation, TupleDesc description, Tuplestorestate *facts, bool borrowed)
{
	MemoryContext context = MemoryContextSwitchTo(current->context);
	News	   *news = palloc(sizeof(News));

	news->relation = relation;
	news->description = description ? CreateTupleDescCopy(description) : NULL;
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

/* The work: save what has been derived, and take what comes of it as news */
static void
SaveAsNews(void *arg)
{
	Derivation *derivation = arg;
	bool		leads_on = ConsequencesOf(derivation->target)->derivations != NIL;
	char	   *sql = leads_on ? psprintf("%s RETURNING *", derivation->save) : derivation->save;
	SqlStatement *statement = SqlPrepare(sql, 0, NULL);

	if (leads_on)
	{
		Tuplestorestate *news = NewTuplestore();
		TupleDesc	description;

		(void) SqlStoreRows(InvalidSnapshot, statement, news, &description);
		AddNews(derivation->target, description, news, false);
	}
	else
		(void) SqlExecutePrepared(statement, NULL, NULL);
	SqlFree(statement);
}

/*
 * Save what has been derived where no trigger has anything to do.
 */
static void
SaveQuietly(Derivation *derivation)
{
	DoWithoutTriggers(SaveAsNews, derivation);
}

/*
 * Save what has been derived, with all that an INSERT sets off.
 */
static void
SaveAsAlways(Derivation *derivation, Snapshot snapshot, MemoryContext keep)
{
	SqlStatement *statement = derivation->save_kept;

	if (statement == NULL || keep == NULL)
		statement = SqlPrepare(derivation->save, 0, NULL);
	(void) SqlExecuteUnder(snapshot, statement, NULL);
	if (keep && derivation->save_kept == NULL)
		derivation->save_kept = SqlKeep(statement, keep);
	else if (statement != derivation->save_kept)
		SqlFree(statement);
}

/*
 * Save what has been derived as the owner of its table.  If that is somebody else,
 * then nothing that others could have put on the search path is looked at, and what he
 * has deferred does not wait until he is gone.
 */
static void
Save(Derivation *derivation, Snapshot snapshot, MemoryContext keep)
{
	bool		as_owner = derivation->owner != GetUserId();
	Oid			schema = get_rel_namespace(derivation->target);
	int			nest_level = NewGUCNestLevel();
	char	   *deferred = NULL;
	RoleSwitch	caller;

	if (as_owner)
	{
		deferred = DeferNothing(schema, derivation->target);
		if (!IsMerging())
			SetLocally("search_path", SafePath(schema, derivation->owner));
		BecomeRestricted(derivation->owner, &caller);
	}
	if (derivation->quiet)
		SaveQuietly(derivation);
	else
		SaveAsAlways(derivation, snapshot, keep);
	if (as_owner)
	{
		BecomeCallerAgain(&caller);
		DeferAgain(deferred);
	}
	/* Nothing that code has set lasts */
	AtEOXact_GUC(false, nest_level);
}

/* Rows on their way, and what they look like */
typedef struct Rows
{
	Tuplestorestate *store;
	TupleDesc	description;
	int64		count;
} Rows;

/*
 * Help the planner with what it cannot know, until the current nest level of
 * settings ends.
 */
static void
AdviseThePlanner(bool collecting)
{
	if (collecting && hash_mem_multiplier < atof(CANDIDATE_HASH_MEMORY))
		SetLocally("hash_mem_multiplier", CANDIDATE_HASH_MEMORY);
	if (!collecting && random_page_cost > atof(LOOKUP_PAGE_COST))
		SetLocally("random_page_cost", LOOKUP_PAGE_COST);
}

/*
 * Run a query as the owner of what it derives, whatever the caller's settings.
 * The plan is kept if there is a context to keep it in.
 */
static void
FetchRows(Derivation *derivation, char *sql, SqlStatement **kept, MemoryContext keep,
		  Snapshot snapshot, Rows *rows)
{
	int			nest_level = NewGUCNestLevel();
	SqlStatement *statement = keep ? *kept : NULL;
	RoleSwitch	caller;

	LockSearchPath();
	FixSettings();
	if (derivation->candidates)
		AdviseThePlanner(sql == derivation->candidates);
	if (!IsMerging())
		BecomeRestricted(derivation->owner, &caller);
	if (statement == NULL)
		statement = SqlPrepareQuery(sql);
	rows->store = tuplestore_begin_heap(true, false, work_mem);
	rows->count = SqlStoreRows(snapshot, statement, rows->store, &rows->description);
	if (keep && *kept == NULL)
		*kept = SqlKeep(statement, keep);
	else if (!keep)
		SqlFree(statement);
	if (!IsMerging())
		BecomeCallerAgain(&caller);
	AtEOXact_GUC(false, nest_level);
}

/*
 * Derive facts, and save those that are new.  Plans are kept if there is a context
 * to keep them in.
 */
static void
Derive(Derivation *derivation, Snapshot snapshot, MemoryContext keep)
{
	ErrorContextCallback context = {error_context_stack, DerivationContext, derivation};
	Rows		candidates = {.count = 1};
	Rows		derived = {0};

	error_context_stack = &context;
	if (derivation->candidates)
	{
		FetchRows(derivation, derivation->candidates, NULL, NULL, snapshot, &candidates);
		SqlRegisterRows(CANDIDATES_NAME, InvalidOid, candidates.description, candidates.store);
	}
	if (candidates.count > 0)
		FetchRows(derivation, derivation->derive, &derivation->derive_kept, keep, snapshot,
				  &derived);
	if (derivation->candidates)
	{
		SqlUnregisterRows(CANDIDATES_NAME);
		tuplestore_end(candidates.store);
	}
	if (derived.count > 0)
	{
		SqlRegisterRows(DERIVED_NAME, InvalidOid, derived.description, derived.store);
		Save(derivation, snapshot, keep);
		SqlUnregisterRows(DERIVED_NAME);
	}
	if (derived.store)
		tuplestore_end(derived.store);
	error_context_stack = context.previous;
}

/*
 * Derive what follows from some news.
 */
static void
Follow(News *news)
{
	Consequences *consequences;
	bool		few = tuplestore_tuple_count(news->facts) <= FEW_NEWS && news->description == NULL;
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
		SqlRegisterRows(NEWS_NAME, news->description ? InvalidOid : news->relation,
						news->description, news->facts);
		Derive(lfirst(lc), snapshot, few ? consequences->context : NULL);
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
 * new.
 */
void
DeriveAll(List *derivations)
{
	ListCell   *lc;

	BeginSaturation();
	foreach(lc, derivations)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		CHECK_FOR_INTERRUPTS();
		SqlConnect();
		Derive(lfirst(lc), snapshot, NULL);
		SqlFinish();
		UnregisterSnapshot(snapshot);
	}
	EndSaturation();
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
		AddNews(RelationGetRelid(relation), NULL, CopyFacts(relation, facts), false);
	else
	{
		BeginSaturation();
		AddNews(RelationGetRelid(relation), NULL, facts, true);
		EndSaturation();
	}
	SqlFinish();
}
