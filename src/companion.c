/*-------------------------------------------------------------------------
 *
 * companion.c
 *	  is whatever a handler combines a friend?  See check.c
 *
 * For some facts of the handler's table in turn, the event, it is tried out what
 * follows when the event arrives after all others of the sample; and what of that
 * still follows when only its friends, and what these refer to, have arrived before.
 * What then is missing takes a fact that is no friend.  Which one is found by letting
 * the others arrive again, half of them, and half of what remains, and so on.
 *
 * Friends are those that a merge would count: along so many foreign keys, through
 * facts of the sample, and those that are declared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "check.h"
#include "finding.h"
#include "friends.h"

/* How many events are tried, and how many of them from which something follows */
#define MOST_EVENTS 8
#define ENOUGH_EVENTS 4

/* A reference from one fact of the sample to another */
typedef struct Edge
{
	int			from;
	int			to;
} Edge;

/* The facts of the sample, by their numbers, and how they hang together */
typedef struct Companions
{
	Check	   *check;
	int			edge_count;
	int			edge_room;
	Edge	   *edges;
	bool	   *marks;			/* for AddPair() */
	int			event;			/* ... only pairs with this one */
} Companions;

/* What arrives, the event last; and what comes of it */
typedef struct Arrivals
{
	int		   *numbers;
	int			count;
	bool		with_event;
	Outcome    *outcome;
} Arrivals;

/* Adds an edge, given as two numbers */
static void
AddEdge(Datum *values, bool *nulls, void *arg)
{
	Companions *companions = arg;

	if (companions->edge_count == companions->edge_room)
	{
		companions->edge_room *= 2;
		companions->edges = repalloc(companions->edges, sizeof(Edge) * companions->edge_room);
	}
	companions->edges[companions->edge_count].from = DatumGetInt32(values[0]);
	companions->edges[companions->edge_count].to = DatumGetInt32(values[1]);
	companions->edge_count++;
}

/*
 * Find out which facts of the sample refer to which.
 */
static void
FindEdges(Companions *companions)
{
	Check	   *check = companions->check;
	ListCell   *lc;
	ListCell   *r;

	companions->edge_room = 64;
	companions->edges = palloc(sizeof(Edge) * companions->edge_room);
	foreach(lc, check->arriving)
		foreach(r, ((FactTable *) lfirst(lc))->references)
	{
		Reference  *reference = lfirst(r);

		if (IsAmongArriving(check, reference))
			SqlForEachRow(InvalidSnapshot,
						  psprintf("SELECT a.number, b.number FROM %s AS a JOIN %s AS b ON %s",
								   SAMPLE_OF(reference->table), SAMPLE_OF(reference->target),
								   RefersTo(reference, "(a.fact)", "(b.fact)")),
						  NULL, AddEdge, companions);
	}
}

/*
 * Mark what the marked facts refer to, or what refers to them; returns whether there
 * was anything new.
 */
static bool
MarkNext(Companions *companions, bool *marks, bool forward, bool backward)
{
	bool	   *before = palloc(companions->check->count);
	bool		news = false;

	memcpy(before, marks, companions->check->count);
	for (int i = 0; i < companions->edge_count; i++)
	{
		Edge	   *edge = &companions->edges[i];

		if (forward && before[edge->from] && !marks[edge->to])
			news = marks[edge->to] = true;
		if (backward && before[edge->to] && !marks[edge->from])
			news = marks[edge->from] = true;
	}
	pfree(before);
	return news;
}

/*
 * Mark the facts that so many foreign keys lead to from an event, of some tables or
 * (NIL) all.
 */
static void
MarkByPaths(Companions *companions, bool *marks, int hops, List *tables)
{
	Check	   *check = companions->check;
	bool	   *reached = palloc0(check->count);

	reached[companions->event] = true;
	for (int i = 0; i < hops; i++)
		(void) MarkNext(companions, reached, true, true);
	for (int i = 0; i < check->count; i++)
		marks[i] |= reached[i] &&
			(tables == NIL || list_member_oid(tables, check->sample[i].table->destination));
}

/* Marks a fact that is a friend by a condition */
static void
MarkFriend(Datum *values, bool *nulls, void *arg)
{
	((Companions *) arg)->marks[DatumGetInt32(values[0])] = true;
}

/*
 * Mark the facts that are declared to be friends of an event.
 */
static void
MarkDeclared(Companions *companions, bool *marks, Friend *friend)
{
	Check	   *check = companions->check;
	FactTable  *table = FindTable(check->arriving, friend->relation);

	if (table == NULL || (check->handler->friends && !list_member_oid(check->handler->friends, friend->relation)))
		return;
	if (friend->condition == NULL)
	{
		MarkByPaths(companions, marks, DECLARED_HOPS, list_make1_oid(friend->relation));
		return;
	}
	companions->marks = marks;
	SqlForEachRow(InvalidSnapshot,
				  psprintf("SELECT g.number FROM %s AS e, LATERAL (SELECT (e.fact).*) AS fact, %s AS g,"
						   " LATERAL (SELECT (g.fact).*) AS friend WHERE e.number = %d AND (%s)",
						   SAMPLE_OF(check->table), SAMPLE_OF(table), companions->event, friend->condition),
				  NULL, MarkFriend, companions);
}

/*
 * Mark the event, its friends, and what these refer to: that is wherever they are.
 */
static bool *
MarkFriends(Companions *companions)
{
	Check	   *check = companions->check;
	bool	   *marks = palloc0(check->count);
	int			hops = friend_hops;
	ListCell   *lc;

	foreach(lc, LoadFriends(check->table, &hops))
		MarkDeclared(companions, marks, lfirst(lc));
	MarkByPaths(companions, marks, hops, check->handler->friends);
	marks[companions->event] = true;
	while (MarkNext(companions, marks, true, false))
		CHECK_FOR_INTERRUPTS();
	return marks;
}

/* The work: facts arrive, the event last */
static void
LetArrive(Check *check, void *arg)
{
	Arrivals   *arrivals = arg;

	ForgetArrivals(check);
	Arrive(check, arrivals->numbers, arrivals->count);
	HandleAllAgain(check);
	if (arrivals->with_event)
		Arrive(check, arrivals->numbers, arrivals->count + 1);
	arrivals->outcome = CollectDerived(check);
	LeaveEachOnce(arrivals->outcome);
}

/*
 * What comes of it when some facts arrive, and perhaps the event after them; NULL if
 * a handler raises an error.
 */
static Outcome *
OutcomeOf(Companions *companions, int *numbers, int count, bool with_event)
{
	Arrivals	arrivals = {palloc(sizeof(int) * (count + 1)), count, with_event, NULL};

	CHECK_FOR_INTERRUPTS();
	memcpy(arrivals.numbers, numbers, sizeof(int) * count);
	arrivals.numbers[count] = companions->event;
	return Try(LetArrive, companions->check, &arrivals, false) == NULL ? arrivals.outcome : NULL;
}

/*
 * Which facts may arrive before the event: those that do not refer to it, directly or
 * by others.  The marked ones come first; returns how many these are.
 */
static int
Before(Companions *companions, bool *marks, int *numbers, int *count)
{
	Check	   *check = companions->check;
	bool	   *after = palloc0(check->count);
	int			marked = 0;

	*count = 0;
	after[companions->event] = true;
	while (MarkNext(companions, after, false, true))
		CHECK_FOR_INTERRUPTS();
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < check->count; i++)
			if (!after[i] && !check->sample[i].follows && marks[i] == (pass == 0))
				numbers[(*count)++] = i;
		if (pass == 0)
			marked = *count;
	}
	return marked;
}

/* Whether a fact is among those of an outcome */
static bool
HasDerived(Outcome *outcome, char *fact)
{
	return outcome && FirstMissing(&fact, 1, outcome->facts, outcome->count) == NULL;
}

/*
 * The fact that must have arrived for another to follow: of the numbers, some of the
 * first have to be there, and all are enough.
 */
static int
FindNeeded(Companions *companions, char *fact, int *numbers, int enough_not, int enough)
{
	while (enough - enough_not > 1)
	{
		int			middle = enough_not + (enough - enough_not) / 2;

		if (HasDerived(OutcomeOf(companions, numbers, middle, true), fact))
			enough = middle;
		else
			enough_not = middle;
	}
	return numbers[enough - 1];
}

/*
 * Say what follows only with a fact that is no friend, and what to declare.
 */
static char *
Complaint(Companions *companions, char *fact, int needed)
{
	Check	   *check = companions->check;
	FactTable  *table = check->sample[needed].table;
	char	   *condition = NULL;
	ListCell   *lc;

	foreach(lc, check->deeds->read)
		if (((TableRead *) lfirst(lc))->table == table->destination)
		condition = ReadCondition(lfirst(lc));
	return psprintf("%s follows from %s and %s, which is no friend of it: %s%s", fact,
					check->sample[companions->event].text, check->sample[needed].text,
					AddFriendCall(check->table->destination, table->destination, condition ? condition : "true"),
					check->handler->friends && !list_member_oid(check->handler->friends, table->destination) ?
					", and name the table among the friends of the handler" : "");
}

/*
 * Try one event; whether anything follows from it.  If that takes a fact that is no
 * friend, it is noted.
 */
static bool
TryEvent(Companions *companions)
{
	Check	   *check = companions->check;
	bool	   *marks = MarkFriends(companions);
	int		   *numbers = palloc(sizeof(int) * (check->count + 1));
	int			count;
	int			friends = Before(companions, marks, numbers, &count);
	Outcome    *with = OutcomeOf(companions, numbers, count, true);
	Outcome    *without = OutcomeOf(companions, numbers, count, false);
	Outcome    *among_friends;
	bool		follows = false;

	if (with == NULL || without == NULL)
		return false;
	among_friends = friends < count ? OutcomeOf(companions, numbers, friends, true) : with;
	for (int i = 0; i < with->count; i++)
	{
		char	   *fact = with->facts[i];

		if (HasDerived(without, fact))
			continue;
		follows = true;
		if (HasDerived(among_friends, fact))
			continue;
		check->no_friend = MemoryContextStrdup(check->context,
											   Complaint(companions, fact, FindNeeded(companions, fact, numbers, friends, count)));
		break;
	}
	return follows;
}

/*
 * Try some events of the handler's table, the same ones each time that somebody checks
 * the handler.
 */
void
TryCompanions(Check *check)
{
	Companions	companions = {.check = check};
	int		   *events = palloc(sizeof(int) * (check->count + 1));
	int			count = 0;
	pg_prng_state random;

	FindEdges(&companions);
	pg_prng_seed(&random, 0);
	for (int i = 0; i < check->count; i++)
		if (check->sample[i].table == check->table && !check->sample[i].follows)
			events[count++] = i;
	for (int i = 0; i < Min(count, MOST_EVENTS) && check->companioned < ENOUGH_EVENTS && !check->no_friend; i++)
	{
		int			other = (int) pg_prng_uint64_range(&random, i, count - 1);

		companions.event = events[other];
		events[other] = events[i];
		check->events_tried++;
		check->companioned += TryEvent(&companions);
	}
}
