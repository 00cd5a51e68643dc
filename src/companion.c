/*-------------------------------------------------------------------------
 *
 * companion.c
 *	  is whatever a handler combines a friend?  See check.c
 *
 * For some facts of the handler's table in turn, the event, it is tried out what
 * follows when the event arrives after all others of the sample; and what of that
 * still follows when only its friends, and what these refer to, have arrived before.
 * What follows is an event in its turn, so that its friends may be there, too.
 * What then is missing takes a fact that is no friend.  Which one is found by letting
 * the others arrive again, half of them, and half of what remains, and so on.
 *
 * Friends are those that a merge would count: along so many foreign keys, through
 * whatever there is when the event arrives, and those that are declared.
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

/* A reference from one fact to another */
typedef struct Edge
{
	int			from;
	int			to;
} Edge;

/* Facts, by their numbers, and how they hang together; those of the sample come first */
typedef struct Graph
{
	int			count;			/* of facts */
	Oid		   *tables;			/* whose facts they are */
	int			edge_count;
	int			edge_room;
	Edge	   *edges;
} Graph;

typedef struct Companions
{
	Check	   *check;
	List	   *tables;			/* of FactTable: those of the sample, and the derived ones */
	Graph	   *sample;			/* the facts of the sample alone */
	int			event;			/* whose friends are looked for */
	bool	   *friends;		/* those of the sample that are known to be friends */
} Companions;

/* What arrives, and whether the event comes after it; and what comes of it */
typedef struct Arrivals
{
	Companions *companions;
	int		   *numbers;
	int			count;
	bool		with_event;
	bool		note_friends;	/* of the event, or of what follows from it */
	Outcome    *outcome;
} Arrivals;

/* What there is of a table, but for the facts of the sample: number, fact */
#define DERIVED_OF(table) psprintf("pg_temp.factmerge_derived_%d", (table)->position)

/* Adds an edge, given as two numbers */
static void
AddEdge(Datum *values, bool *nulls, void *arg)
{
	Graph	   *graph = arg;

	if (graph->edge_count == graph->edge_room)
	{
		graph->edge_room *= 2;
		graph->edges = repalloc(graph->edges, sizeof(Edge) * graph->edge_room);
	}
	graph->edges[graph->edge_count].from = DatumGetInt32(values[0]);
	graph->edges[graph->edge_count].to = DatumGetInt32(values[1]);
	graph->edge_count++;
}

/*
 * The facts of the sample, and so far nothing else.
 */
static Graph *
NewGraph(Check *check)
{
	Graph	   *graph = palloc0(sizeof(Graph));

	graph->count = check->count;
	graph->tables = palloc(sizeof(Oid) * (check->count + 1));
	for (int i = 0; i < check->count; i++)
		graph->tables[i] = check->sample[i].table->destination;
	graph->edge_room = 64;
	graph->edges = palloc(sizeof(Edge) * graph->edge_room);
	return graph;
}

/*
 * Add what has been derived, and is not in the graph yet.
 */
static void
AddDerived(Companions *companions, Graph *graph)
{
	ListCell   *lc;

	foreach(lc, companions->tables)
	{
		FactTable  *table = lfirst(lc);
		char	   *name = QualifiedRelation(table->destination);
		char	   *not_in_sample = "";
		int			more;

		if (list_member_ptr(companions->check->arriving, table))
			not_in_sample = psprintf(" AND NOT EXISTS (SELECT FROM %s AS s WHERE s.fact OPERATOR(pg_catalog.*=) d.fact)",
									 SAMPLE_OF(table));
		more = (int) SqlExecute(InvalidSnapshot,
								psprintf("INSERT INTO %s SELECT pg_catalog.row_number() OVER () - 1 + %d, d.fact"
										 " FROM (SELECT (t.*)::%s AS fact FROM %s AS t) AS d"
										 " WHERE NOT EXISTS (SELECT FROM %s AS n WHERE n.fact OPERATOR(pg_catalog.*=) d.fact)%s",
										 DERIVED_OF(table), graph->count, name, name, DERIVED_OF(table), not_in_sample),
								NULL);
		graph->tables = repalloc(graph->tables, sizeof(Oid) * (graph->count + more + 1));
		while (more-- > 0)
			graph->tables[graph->count++] = table->destination;
	}
}

/*
 * SQL for all facts of a table that are in the graph.
 */
static char *
GraphOf(Companions *companions, FactTable *table)
{
	if (!list_member_ptr(companions->check->arriving, table))
		return DERIVED_OF(table);
	return psprintf("(SELECT s.number, s.fact FROM %s AS s UNION ALL SELECT d.number, d.fact FROM %s AS d)",
					SAMPLE_OF(table), DERIVED_OF(table));
}

/*
 * Find out which facts of the graph refer to which.
 */
static void
FindEdges(Companions *companions, Graph *graph)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, companions->tables)
		foreach(r, ((FactTable *) lfirst(lc))->references)
	{
		Reference  *reference = lfirst(r);

		if (reference->log == NULL && reference->target && list_member_ptr(companions->tables, reference->target))
			SqlForEachRow(InvalidSnapshot,
						  psprintf("SELECT a.number, b.number FROM %s AS a JOIN %s AS b ON %s",
								   GraphOf(companions, reference->table), GraphOf(companions, reference->target),
								   RefersTo(reference, "(a.fact)", "(b.fact)")),
						  NULL, AddEdge, graph);
	}
}

/*
 * Mark what the marked facts refer to, or what refers to them; returns whether there
 * was anything new.
 */
static bool
MarkNext(Graph *graph, bool *marks, bool forward, bool backward)
{
	bool	   *before = palloc(graph->count);
	bool		news = false;

	memcpy(before, marks, graph->count);
	for (int i = 0; i < graph->edge_count; i++)
	{
		Edge	   *edge = &graph->edges[i];

		if (forward && before[edge->from] && !marks[edge->to])
			news = marks[edge->to] = true;
		if (backward && before[edge->to] && !marks[edge->from])
			news = marks[edge->from] = true;
	}
	pfree(before);
	return news;
}

/*
 * Mark the facts that so many foreign keys lead to from a fact, of some tables or
 * (NIL) all.
 */
static void
MarkByPaths(Graph *graph, bool *marks, int fact, int hops, List *tables)
{
	bool	   *reached = palloc0(graph->count);

	reached[fact] = true;
	for (int i = 0; i < hops; i++)
		(void) MarkNext(graph, reached, true, true);
	for (int i = 0; i < graph->count; i++)
		marks[i] |= reached[i] && (tables == NIL || list_member_oid(tables, graph->tables[i]));
	pfree(reached);
}

/* Marks a fact that is a friend by a condition */
static void
MarkFriend(Datum *values, bool *nulls, void *arg)
{
	((bool *) arg)[DatumGetInt32(values[0])] = true;
}

/*
 * Mark the facts that are declared to be friends of a fact of a table, if a handler
 * looks at their tables (NIL for all).
 */
static void
MarkDeclared(Companions *companions, Graph *graph, bool *marks, int fact, Friend *friend, List *tables)
{
	FactTable  *table = FindTable(companions->tables, friend->relation);

	if (table == NULL || (tables && !list_member_oid(tables, friend->relation)))
		return;
	if (friend->condition == NULL)
		MarkByPaths(graph, marks, fact, DECLARED_HOPS, list_make1_oid(friend->relation));
	else
		SqlForEachRow(InvalidSnapshot,
					  psprintf("SELECT g.number FROM %s AS e, LATERAL (SELECT (e.fact).*) AS fact, %s AS g,"
							   " LATERAL (SELECT (g.fact).*) AS friend WHERE e.number = %d AND (%s)",
							   GraphOf(companions, FindTable(companions->tables, graph->tables[fact])),
							   GraphOf(companions, table), fact, friend->condition),
					  NULL, MarkFriend, marks);
}

/*
 * Mark a fact, and the friends that a handler looks at, or (NIL) all of them.
 */
static void
MarkFriends(Companions *companions, Graph *graph, bool *marks, int fact, List *tables)
{
	int			hops = friend_hops;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, LoadFriends(FindTable(companions->tables, graph->tables[fact]), &hops))
		MarkDeclared(companions, graph, marks, fact, lfirst(lc), tables);
	MarkByPaths(graph, marks, fact, hops, tables);
	marks[fact] = true;
}

/*
 * Note friends, and what these refer to: that is wherever they are.  If the facts from
 * a number on follow from the event, their friends are noted, for they are events
 * themselves; else those of the event.
 */
static void
NoteFriends(Companions *companions, Graph *graph, int following)
{
	bool	   *marks = palloc0(graph->count + 1);

	FindEdges(companions, graph);
	if (following < 0)
		MarkFriends(companions, graph, marks, companions->event, companions->check->handler->friends);
	else
		for (int i = following; i < graph->count; i++)
			MarkFriends(companions, graph, marks, i, NIL);
	while (MarkNext(graph, marks, true, false))
		CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < companions->check->count; i++)
		companions->friends[i] |= marks[i];
}

/* The work: facts arrive, the event last */
static void
LetArrive(Check *check, void *arg)
{
	Arrivals   *arrivals = arg;
	Companions *companions = arrivals->companions;
	Graph	   *graph = arrivals->note_friends ? NewGraph(check) : NULL;
	int			before = -1;

	ForgetArrivals(check);
	Arrive(check, arrivals->numbers, arrivals->count);
	HandleAllAgain(check);
	if (graph)
		AddDerived(companions, graph);
	if (arrivals->with_event)
	{
		Arrive(check, arrivals->numbers, arrivals->count + 1);
		if (graph)
		{
			before = graph->count;
			AddDerived(companions, graph);
		}
	}
	if (graph)
		NoteFriends(companions, graph, before);
	arrivals->outcome = CollectDerived(check);
	LeaveEachOnce(arrivals->outcome);
}

/*
 * What comes of it when some facts arrive, and perhaps the event after them; NULL if
 * a handler raises an error.
 */
static Outcome *
OutcomeOf(Companions *companions, int *numbers, int count, bool with_event, bool note_friends)
{
	Arrivals	arrivals = {companions, palloc(sizeof(int) * (count + 1)), count, with_event, note_friends, NULL};

	CHECK_FOR_INTERRUPTS();
	memcpy(arrivals.numbers, numbers, sizeof(int) * count);
	arrivals.numbers[count] = companions->event;
	return Try(LetArrive, companions->check, &arrivals, false) == NULL ? arrivals.outcome : NULL;
}

/*
 * Which facts may arrive before the event: those that do not refer to it, directly or
 * by others.  Returns how many these are.
 */
static int
Before(Companions *companions, int *numbers)
{
	Check	   *check = companions->check;
	bool	   *after = palloc0(check->count);
	int			count = 0;

	after[companions->event] = true;
	while (MarkNext(companions->sample, after, false, true))
		CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < check->count; i++)
		if (!after[i] && !check->sample[i].follows)
			numbers[count++] = i;
	return count;
}

/*
 * Put those numbers first that are friends, and return how many these are.
 */
static int
PutFriendsFirst(Companions *companions, int *numbers, int count)
{
	int		   *others = palloc(sizeof(int) * (count + 1));
	int			friends = 0;

	for (int i = 0; i < count; i++)
		if (companions->friends[numbers[i]])
			numbers[friends++] = numbers[i];
		else
			others[i - friends] = numbers[i];
	memcpy(numbers + friends, others, sizeof(int) * (count - friends));
	return friends;
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

		if (HasDerived(OutcomeOf(companions, numbers, middle, true, false), fact))
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
 * What follows from the event when only its friends have arrived before: those that
 * it has itself, and those of what follows, as far as that leads.  The friends are put
 * first among the numbers, and counted.
 */
static Outcome *
AmongFriends(Companions *companions, int *numbers, int count, int *friends)
{
	Outcome    *outcome = NULL;
	int			known = -1;

	*friends = PutFriendsFirst(companions, numbers, count);
	while (*friends > known)
	{
		known = *friends;
		outcome = OutcomeOf(companions, numbers, known, true, true);
		*friends = PutFriendsFirst(companions, numbers, count);
	}
	return outcome;
}

/*
 * The first fact that follows from the event, but not when only its friends have
 * arrived before; NULL if there is none.  Says whether anything follows.
 */
static char *
FirstWithOthers(Outcome *with, Outcome *without, Outcome *among_friends, bool *follows)
{
	for (int i = 0; i < with->count; i++)
	{
		if (HasDerived(without, with->facts[i]))
			continue;
		*follows = true;
		if (!HasDerived(among_friends, with->facts[i]))
			return with->facts[i];
	}
	return NULL;
}

/*
 * Try one event; whether anything follows from it.  If that takes a fact that is no
 * friend, it is noted.
 */
static bool
TryEvent(Companions *companions)
{
	Check	   *check = companions->check;
	int		   *numbers = palloc(sizeof(int) * (check->count + 1));
	int			count = Before(companions, numbers);
	int			friends;
	bool		follows = false;
	Outcome    *without;
	Outcome    *with;
	char	   *fact;

	memset(companions->friends, 0, check->count);
	without = OutcomeOf(companions, numbers, count, false, true);
	with = OutcomeOf(companions, numbers, count, true, false);
	if (with == NULL || without == NULL)
		return false;
	fact = FirstWithOthers(with, without, AmongFriends(companions, numbers, count, &friends), &follows);
	if (fact && friends < count)
		check->no_friend = MemoryContextStrdup(check->context,
											   Complaint(companions, fact, FindNeeded(companions, fact, numbers, friends, count)));
	return follows;
}

/*
 * Make room for what is derived, and find out which facts of the sample refer to which.
 */
static void
BeginCompanions(Companions *companions)
{
	Check	   *check = companions->check;
	ListCell   *lc;

	foreach(lc, check->merge->tables)
	{
		FactTable  *table = lfirst(lc);

		if (!list_member_ptr(check->arriving, table) && !list_member_oid(check->derived, table->destination) &&
			!list_member_ptr(check->written, table))
			continue;
		companions->tables = lappend(companions->tables, table);
		SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (number pg_catalog.int4, fact %s)",
							DERIVED_OF(table), QualifiedRelation(table->destination)));
	}
	companions->friends = palloc0(check->count + 1);
	companions->sample = NewGraph(check);
	FindEdges(companions, companions->sample);
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

	BeginCompanions(&companions);
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
