/*-------------------------------------------------------------------------
 *
 * paths.c
 *	  the map of tables and foreign keys, and the paths from fact to friend
 *
 * A path takes at most factmerge.friend_hops steps, each along a foreign key in
 * either direction.  It does not go back along a foreign key that it has just
 * followed against its direction: that leads to where it came from, whereas
 * following it first and then going back leads to the other facts that refer
 * to the same one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "eventlog.h"
#include "friends.h"

PG_FUNCTION_INFO_V1(factmerge_friends);

/* A walk over stops */
typedef struct Walk
{
	Stop	   *at;
	Passage    *last;
	bool		last_forward;
	int			hops;
} Walk;

static Stop *
FindStop(List **stops, FactTable *table, Oid relation)
{
	ListCell   *lc;
	Stop	   *stop;

	foreach(lc, *stops)
		if (((Stop *) lfirst(lc))->relation == relation)
		return lfirst(lc);
	stop = palloc0(sizeof(Stop));
	stop->table = table;
	stop->relation = relation;
	*stops = lappend(*stops, stop);
	return stop;
}

static void
AddName(Stop *stop, char *name)
{
	ListCell   *lc;

	foreach(lc, stop->names)
		if (strcmp(lfirst(lc), name) == 0)
		return;
	stop->names = lappend(stop->names, name);
}

/*
 * Make the map of stops and passages: the fact tables, and others that only
 * the destination has.
 */
List *
FindStops(List *tables, List *others)
{
	List	   *stops = NIL;
	ListCell   *lc;
	ListCell   *r;
	ListCell   *c;

	foreach(lc, tables)
		FindStop(&stops, lfirst(lc), ((FactTable *) lfirst(lc))->destination);
	foreach(lc, others)
		FindStop(&stops, NULL, ((FactTable *) lfirst(lc))->destination)->destination_only = true;
	foreach(lc, list_concat_copy(tables, others))
	{
		FactTable  *table = lfirst(lc);

		foreach(r, table->references)
		{
			Reference  *reference = lfirst(r);
			Passage    *passage = palloc0(sizeof(Passage));

			passage->reference = reference;
			passage->from = FindStop(&stops, NULL, table->destination);
			passage->to = FindStop(&stops, NULL, reference->target_relation);
			passage->from->leaving = lappend(passage->from->leaving, passage);
			/* Nobody looks at events to find facts */
			if (reference->log)
				AddName(passage->from, reference->log->name->name);
			else
				passage->to->arriving = lappend(passage->to->arriving, passage);
			foreach(c, reference->columns)
				AddName(passage->from, ((Column *) lfirst(c))->name);
			foreach(c, reference->target_names)
				AddName(passage->to, lfirst(c));
		}
	}
	return stops;
}

/*
 * Take one more step in every direction but straight back along a reference
 * that has just been followed against its direction, which would end where
 * the step before began.
 */
static List *
StepOn(Walk *walk)
{
	List	   *walks = NIL;
	ListCell   *lc;

	foreach(lc, walk->at->leaving)
	{
		Passage    *passage = lfirst(lc);
		Walk	   *next;

		if (walk->last == passage && !walk->last_forward)
			continue;
		next = palloc(sizeof(Walk));
		*next = *walk;
		next->at = passage->to;
		next->last = passage;
		next->last_forward = true;
		next->hops++;
		walks = lappend(walks, next);
	}
	foreach(lc, walk->at->arriving)
	{
		Passage    *passage = lfirst(lc);
		Walk	   *next = palloc(sizeof(Walk));

		*next = *walk;
		next->at = passage->from;
		next->last = passage;
		next->last_forward = false;
		next->hops++;
		walks = lappend(walks, next);
	}
	return walks;
}

/*
 * Whether a search comes to a stop by this step for the first time.
 */
static bool
IsNewStep(Walk *walk, uint64 search)
{
	uint64	   *met = &walk->last->met[walk->last_forward];
	bool		new = *met != search;

	*met = search;
	return new;
}

/*
 * The tables of which some fact could be a friend of a fact at this stop.
 */
List *
FriendStops(Stop *origin, int hops)
{
	static uint64 search = 0;
	Walk		start = {.at = origin};
	List	   *walks = list_make1(&start);
	List	   *friends = NIL;

	search++;
	/* The list grows while it is walked: a breadth-first search */
	for (int i = 0; i < list_length(walks); i++)
	{
		Walk	   *walk = list_nth(walks, i);
		ListCell   *lc;

		if (walk->hops > 0 && walk->at->met != search)
		{
			walk->at->met = search;
			friends = lappend(friends, walk->at);
		}
		if (walk->hops >= hops)
			continue;
		foreach(lc, StepOn(walk))
			if (IsNewStep(lfirst(lc), search))
			walks = lappend(walks, lfirst(lc));
	}
	return friends;
}

/*
 * Describe the step along a reference, or against it, in words that name the columns it
 * goes by.
 */
static char *
DescribeStep(Passage *passage, bool forward)
{
	StringInfoData text;
	bool		first = true;
	ListCell   *lc;

	if (passage->text[forward])
		return passage->text[forward];
	initStringInfo(&text);
	appendStringInfoString(&text, forward ? " (" : " <- (");
	foreach(lc, passage->reference->columns)
	{
		AppendSeparator(&text, ", ", &first);
		appendStringInfoString(&text, quote_identifier(((Column *) lfirst(lc))->name));
	}
	appendStringInfo(&text, forward ? ") -> %s" : ") %s",
					 quote_identifier(get_rel_name(forward ? passage->to->relation :
												   passage->from->relation)));
	return passage->text[forward] = text.data;
}

/* Where paths are returned */
typedef struct Tour
{
	ReturnSetInfo *result;
	Stop	   *origin;
	Oid			only;			/* to this table only, unless invalid */
	int			hops;			/* this long */
	StringInfoData path;		/* so far */
	MemoryContext context;		/* for a row */
} Tour;

/*
 * Return a path to a friend; without hops it is a condition.
 */
static void
ReturnPath(Tour *tour, Oid friend_table, int hops, const char *path)
{
	MemoryContext context = MemoryContextSwitchTo(tour->context);
	Datum		values[4] = {ObjectIdGetDatum(tour->origin->relation), ObjectIdGetDatum(friend_table),
	Int32GetDatum(hops), CStringGetTextDatum(path)};
	bool		nulls[4] = {false, false, hops == 0, false};

	tuplestore_putvalues(tour->result->setResult, tour->result->setDesc, values, nulls);
	MemoryContextSwitchTo(context);
	MemoryContextReset(tour->context);
}

static void GoOn(Tour *tour, Stop *at, Passage *last, bool last_forward, int hops);

/*
 * Take a step, and those after it, and come back.
 */
static void
Take(Tour *tour, Passage *passage, bool forward, int hops)
{
	int			length = tour->path.len;

	appendStringInfoString(&tour->path, DescribeStep(passage, forward));
	GoOn(tour, forward ? passage->to : passage->from, passage, forward, hops + 1);
	tour->path.data[length] = '\0';
	tour->path.len = length;
}

/*
 * Take every step from a stop, as StepOn() does, and return the paths that are long
 * enough.
 */
static void
GoOn(Tour *tour, Stop *at, Passage *last, bool last_forward, int hops)
{
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	if (hops == tour->hops)
	{
		if (at->table && (!OidIsValid(tour->only) || at->relation == tour->only))
			ReturnPath(tour, at->relation, hops, tour->path.data);
		return;
	}
	foreach(lc, at->leaving)
		if (lfirst(lc) != last || last_forward)
		Take(tour, lfirst(lc), true, hops);
	foreach(lc, at->arriving)
		Take(tour, lfirst(lc), false, hops);
}

/*
 * Return the paths of more than so many foreign keys from a table, the shorter ones
 * first; those to one table only unless it is invalid.  Nothing is kept of a path
 * that has been returned: there are as many as pairs of references to a hub.
 */
static void
ReturnPaths(Tour *tour, int longer_than, int hops, Oid only)
{
	tour->only = only;
	for (tour->hops = longer_than + 1; tour->hops <= hops; tour->hops++)
	{
		resetStringInfo(&tour->path);
		appendStringInfoString(&tour->path, quote_identifier(tour->origin->table->name));
		GoOn(tour, tour->origin, NULL, false, 0);
	}
}

/*
 * factmerge_friends(name): every path from a fact table to a friend table, and
 * every friend that is declared.
 */
Datum
factmerge_friends(PG_FUNCTION_ARGS)
{
	Tour		tour = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	int			nest_level = NewGUCNestLevel();
	List	   *stops;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	initStringInfo(&tour.path);
	tour.context = AllocSetContextCreate(CurrentMemoryContext, "factmerge path", ALLOCSET_SMALL_SIZES);
	LockSearchPath();
	stops = FindStops(DescribeSchema(FindSchema(SchemaArgument(fcinfo, 0))), NIL);
	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);
		int			hops = friend_hops;
		List	   *friends;
		ListCell   *f;

		if (stop->table == NULL)
			continue;
		friends = LoadFriends(stop->table, &hops);
		tour.origin = stop;
		ReturnPaths(&tour, 0, hops, InvalidOid);
		foreach(f, friends)
		{
			Friend	   *friend = lfirst(f);

			if (friend->condition)
				ReturnPath(&tour, friend->relation, 0, friend->condition);
			else
				ReturnPaths(&tour, hops, DECLARED_HOPS, friend->relation);
		}
	}
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}
