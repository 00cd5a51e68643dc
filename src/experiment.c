/*-------------------------------------------------------------------------
 *
 * experiment.c
 *	  try out whether a handler keeps its contract, see check.c
 *
 * Each experiment is a subtransaction that is taken back: with the tables empty,
 * the sample arrives in some order, and what has been derived is noted.
 *
 * A fact that turns out to be there already when it is about to arrive follows from
 * others.  It is left out of the sample, and everything is tried again, for a fact
 * that arrives by itself would hide that a handler fails to derive it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "check.h"
#include "rule.h"

/* How many facts of a table have a turn to be the last */
#define LAST_FACTS_PER_TABLE 8

/* How often a handler may go on finding what it has missed */
#define ROUNDS_TO_SATURATE 8

/* Facts of the sample, by their numbers, as they arrive */
typedef struct Order
{
	int		   *numbers;
	int			count;
	int			last;			/* fact that is last on purpose, or -1 */
} Order;

/* Work on a check */
typedef struct Work
{
	void		(*work) (Check *check, void *arg);
	Check	   *check;
	void	   *arg;
} Work;

static void
DoWork(void *arg)
{
	Work	   *work = arg;

	work->work(work->check, work->arg);
}

/*
 * Do some work in a subtransaction, and keep it or take it back.  If it raises an
 * error, it is taken back, and the message is returned.  Whoever cancels the query
 * means the whole of it.
 */
char *
Try(void (*work) (Check *check, void *arg), Check *check, void *arg, bool keep)
{
	MemoryContext short_lived = AllocSetContextCreate(CurrentMemoryContext, "factmerge experiment",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = MemoryContextSwitchTo(short_lived);
	Work		whole = {work, check, arg};
	ErrorData  *error = TryInSubtransaction(DoWork, &whole, keep);
	char	   *message = NULL;

	MemoryContextSwitchTo(context);
	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	if (error)
		message = MemoryContextStrdup(check->context, error->message);
	MemoryContextDelete(short_lived);
	return message;
}

/* The work: a handler handles what is there */
static void
HandleTurn(Check *check, void *arg)
{
	HandleAll(check, arg);
}

/*
 * Let all handlers handle once more what is there; those that raise an error leave
 * it as it is.
 */
void
HandleAllAgain(Check *check)
{
	ListCell   *lc;

	foreach(lc, TakeTurns(check->merge))
		(void) Try(HandleTurn, check, lfirst(lc), true);
}

/* Nothing of the sample has arrived yet */
void
ForgetArrivals(Check *check)
{
	for (int i = 0; i < check->count; i++)
		check->sample[i].here = false;
}

/*
 * The work: the sample arrives, and what comes of it is the last outcome.  If a fact
 * is to be the last on purpose, all others are handled once more before, so that
 * nothing is left which these would have found.
 */
static void
ArriveInOrder(Check *check, void *arg)
{
	Order	   *order = arg;

	ForgetArrivals(check);
	if (order->last >= 0)
	{
		Arrive(check, order->numbers, order->count - 1);
		HandleAllAgain(check);
	}
	Arrive(check, order->numbers, order->count);
	llast(check->outcomes) = CollectDerived(check);
	LeaveEachOnce(llast(check->outcomes));
}

/*
 * Say what has changed from one outcome to another, or NULL.
 */
static char *
Difference(Outcome *before, Outcome *after)
{
	char	   *fact = FirstMissing(after->facts, after->count, before->facts, before->count);

	if (fact)
		return psprintf("adds %s", fact);
	fact = FirstMissing(before->facts, before->count, after->facts, after->count);
	return fact ? psprintf("takes away %s", fact) : NULL;
}

/*
 * The work: add the facts of the handler's table once more, and see whether that
 * changes anything.  What the handler should have found when they arrived it may
 * find now, which takes a few rounds at most.
 */
static void
AddAgain(Check *check, void *arg)
{
	Turn		turn = {check->table, check->handler};
	Outcome    *before;
	Outcome    *after;
	char	   *difference;
	int			round = 0;

	ForgetArrivals(check);
	Arrive(check, ((Order *) arg)->numbers, ((Order *) arg)->count);
	HandleAllAgain(check);
	after = CollectDerived(check);
	do
	{
		before = after;
		HandleAll(check, &turn);
		after = CollectDerived(check);
		difference = Difference(before, after);
	} while (difference && ++round < ROUNDS_TO_SATURATE);
	if (difference)
		check->again = MemoryContextStrdup(check->context, difference);
}

/*
 * The facts of the sample in their own order, without those that follow from
 * others.
 */
static Order
NaturalOrder(Check *check)
{
	Order		order = {palloc(sizeof(int) * (check->count + 1)), 0, -1};

	for (int i = 0; i < check->count; i++)
		if (!check->sample[i].follows)
			order.numbers[order.count++] = i;
	return order;
}

/*
 * Let the sample arrive in an order, and note what comes of it.  Returns whether
 * every fact could arrive; otherwise the others follow from these.
 */
static bool
TryOrder(Check *check, Order *order)
{
	char	   *error;
	bool		all_here = true;
	Outcome    *outcome;
	MemoryContext context = MemoryContextSwitchTo(check->context);

	check->outcomes = lappend(check->outcomes, palloc0(sizeof(Outcome)));
	MemoryContextSwitchTo(context);
	error = Try(ArriveInOrder, check, order, false);
	outcome = llast(check->outcomes);
	outcome->last = order->last;
	outcome->error = error;
	for (int i = 0; i < order->count && error == NULL; i++)
		if (!check->sample[order->numbers[i]].here)
		{
			check->sample[order->numbers[i]].follows = true;
			all_here = false;
		}
	return all_here;
}

static void
Reverse(Order *order)
{
	for (int i = 0, j = order->count - 1; i < j; i++, j--)
	{
		int			number = order->numbers[i];

		order->numbers[i] = order->numbers[j];
		order->numbers[j] = number;
	}
}

static void
Shuffle(Order *order, pg_prng_state *random)
{
	for (int i = order->count - 1; i > 0; i--)
	{
		int			other = (int) pg_prng_uint64_range(random, 0, i);
		int			number = order->numbers[i];

		order->numbers[i] = order->numbers[other];
		order->numbers[other] = number;
	}
}

/*
 * Let the sample arrive backwards and in random orders, the same ones each time
 * that somebody checks the handler; returns whether every fact could arrive each time.
 */
static bool
TryOrders(Check *check, pg_prng_state *random)
{
	Order		order = NaturalOrder(check);

	Reverse(&order);
	for (int i = 1; i < ORDERS; i++)
	{
		if (i > 1)
			Shuffle(&order, random);
		if (!TryOrder(check, &order))
			return false;
	}
	return true;
}

/*
 * Let the sample arrive with each of some facts of every table as the last, facts
 * that no other refers to; returns whether every fact could arrive each time.
 */
static bool
TryEachLast(Check *check, pg_prng_state *random)
{
	Order		candidates = NaturalOrder(check);
	int		   *done = palloc0(sizeof(int) * (list_length(check->merge->tables) + 1));

	Shuffle(&candidates, random);
	for (int i = 0; i < candidates.count; i++)
	{
		Order		order = NaturalOrder(check);
		Arrival    *arrival = &check->sample[candidates.numbers[i]];
		int			at = 0;

		if (arrival->referred || done[arrival->table->position]++ >= LAST_FACTS_PER_TABLE)
			continue;
		order.last = candidates.numbers[i];
		for (int j = 0; j < order.count; j++)
			if (order.numbers[j] != order.last)
				order.numbers[at++] = order.numbers[j];
		order.numbers[at] = order.last;
		if (!TryOrder(check, &order))
			return false;
	}
	return true;
}

/*
 * Try everything, and again without what turns out to follow from others.
 */
static void
TryEverything(Check *check)
{
	pg_prng_state random;
	bool		all_here = true;

	do
	{
		Order		order = NaturalOrder(check);
		char	   *error;

		pg_prng_seed(&random, 0);
		check->outcomes = NIL;
		check->again = NULL;
		if (!TryOrder(check, &order))
		{
			all_here = false;
			continue;
		}
		error = Try(AddAgain, check, &order, false);
		if (error)
			check->again = psprintf("fails: %s", error);
		all_here = check->handler->found_from_this ||
			(TryOrders(check, &random) && TryEachLast(check, &random));
	} while (!all_here);
	UniteOutcomes(check);
	if (check->changed == NULL)
		TryCompanions(check);
}

/* The work: everything, in a subtransaction that is taken back */
void
Experiment(Merge *merge, void *arg)
{
	Check	   *check = arg;
	int			nest_level = NewGUCNestLevel();

	LockTables(merge);
	LockSequences(merge->tables);
	PrepareSession(merge);
	(void) EnableRuleTriggers(merge->rules);
	FindDerivedTables(check);
	ChooseArriving(check);
	if (check->written != NIL)
		DrawSample(check);
	if (check->count > 0)
	{
		EmptyTables(check);
		PrepareArrivals(check);
		TryEverything(check);
	}
	AtEOXact_GUC(true, nest_level);
	UnregisterSnapshot(merge->snapshot);
}
