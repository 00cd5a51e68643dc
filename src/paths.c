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

/* A walk over stops, for naming friends */
typedef struct Walk
{
	Stop	   *origin;
	Stop	   *at;
	Passage    *last;
	bool		last_forward;
	int			hops;
	char	   *path;
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

static bool
HaveMet(List *walks, Walk *walk)
{
	ListCell   *lc;

	foreach(lc, walks)
	{
		Walk	   *met = lfirst(lc);

		if (met->at == walk->at && met->last == walk->last &&
			met->last_forward == walk->last_forward)
			return true;
	}
	return false;
}

/*
 * The tables of which some fact could be a friend of a fact at this stop.
 */
List *
FriendStops(Stop *origin, int hops)
{
	Walk		start = {.origin = origin, .at = origin};
	List	   *walks = list_make1(&start);
	List	   *friends = NIL;

	/* The list grows while it is walked: a breadth-first search */
	for (int i = 0; i < list_length(walks); i++)
	{
		Walk	   *walk = list_nth(walks, i);
		ListCell   *lc;

		if (walk->hops > 0)
			friends = list_append_unique_ptr(friends, walk->at);
		if (walk->hops >= hops)
			continue;
		foreach(lc, StepOn(walk))
			if (!HaveMet(walks, lfirst(lc)))
			walks = lappend(walks, lfirst(lc));
	}
	return friends;
}

/*
 * Describe a walk in words that name the columns it goes by.
 */
static char *
DescribeStep(Walk *walk)
{
	StringInfoData text;
	Reference  *reference = walk->last->reference;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, reference->columns)
	{
		AppendSeparator(&text, ", ", &first);
		appendStringInfoString(&text, quote_identifier(((Column *) lfirst(lc))->name));
	}
	if (walk->last_forward)
		return psprintf("%s (%s) -> %s", walk->path, text.data,
						quote_identifier(get_rel_name(walk->at->relation)));
	return psprintf("%s <- (%s) %s", walk->path, text.data,
					quote_identifier(get_rel_name(walk->at->relation)));
}

/*
 * Return a path to a friend; without hops it is a condition.
 */
static void
ReturnPath(ReturnSetInfo *result, Oid fact_table, Oid friend_table, int hops, char *path)
{
	Datum		values[4] = {ObjectIdGetDatum(fact_table), ObjectIdGetDatum(friend_table),
	Int32GetDatum(hops), CStringGetTextDatum(path)};
	bool		nulls[4] = {false, false, hops == 0, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Return the paths of so many foreign keys from a table, those to one table only
 * unless it is invalid, and none that are no longer than others returned before.
 */
static void
ReturnPaths(ReturnSetInfo *result, Stop *stop, int hops, Oid only, int longer_than)
{
	List	   *walks = list_make1(palloc0(sizeof(Walk)));

	*(Walk *) linitial(walks) = (Walk)
	{
		.origin = stop,.at = stop,.path = pstrdup(quote_identifier(stop->table->name))
	};
	for (int i = 0; i < list_length(walks); i++)
	{
		Walk	   *walk = list_nth(walks, i);
		ListCell   *next;

		CHECK_FOR_INTERRUPTS();
		if (walk->hops > 0)
		{
			walk->path = DescribeStep(walk);
			if (walk->at->table && walk->hops > longer_than &&
				(!OidIsValid(only) || walk->at->relation == only))
				ReturnPath(result, stop->relation, walk->at->relation, walk->hops, walk->path);
		}
		if (walk->hops >= hops)
			continue;
		foreach(next, StepOn(walk))
			walks = lappend(walks, lfirst(next));
	}
}

/*
 * factmerge_friends(name): every path from a fact table to a friend table, and
 * every friend that is declared.
 */
Datum
factmerge_friends(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			nest_level = NewGUCNestLevel();
	List	   *stops;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	stops = FindStops(DescribeSchema(FindSchema(NameStr(*REQUIRE_ARG(NAME, 0)))), NIL);
	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);
		int			hops = friend_hops;
		List	   *friends;
		ListCell   *f;

		if (stop->table == NULL)
			continue;
		friends = LoadFriends(stop->table, &hops);
		ReturnPaths(result, stop, hops, InvalidOid, 0);
		foreach(f, friends)
		{
			Friend	   *friend = lfirst(f);

			if (friend->condition)
				ReturnPath(result, stop->relation, friend->relation, 0, friend->condition);
			else
				ReturnPaths(result, stop, DECLARED_HOPS, friend->relation, hops);
		}
	}
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}
