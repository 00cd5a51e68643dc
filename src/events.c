/*-------------------------------------------------------------------------
 *
 * events.c
 *	  which events are mixed
 *
 * Handlers of a table that may inspect the same tables, and whose events have to
 * meet the same condition, are a group.  What is found about the events of a group
 * comes from one search along foreign keys (friends.c), which groups that search
 * for the same share, and from one more for each friend that is declared.
 *
 * Each handler is given the events that are mixed for its group.  An event is
 * counted once, by what gets furthest with any handler of its table; where there
 * are several groups, each puts its verdict on every event of the source's own
 * into a table for that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"
#include "friends.h"
#include "handler.h"

/*
 * Whether a handler's events are as a group's are.
 */
static bool
BelongsTo(Handler *handler, bool stopped, HandlerGroup *group)
{
	Handler    *first = linitial(group->handlers);

	return stopped == group->stopped &&
		list_difference_oid(handler->friends, first->friends) == NIL &&
		list_difference_oid(first->friends, handler->friends) == NIL &&
		strcmp(handler->only_when ? handler->only_when : "",
			   first->only_when ? first->only_when : "") == 0;
}

/*
 * A group for the first of its handlers.  Declared friends count if the handler
 * says that it may inspect them, or says nothing.
 */
static HandlerGroup *
NewGroup(Stop *stop, Handler *handler, bool stopped)
{
	HandlerGroup *group = palloc0(sizeof(HandlerGroup));
	ListCell   *lc;

	group->stop = stop;
	group->stopped = stopped;
	group->search.hops = friend_hops;
	group->search.tables = handler->friends;
	foreach(lc, LoadFriends(stop->table, &group->search.hops))
	{
		Friend	   *friend = lfirst(lc);

		if ((handler->friends == NIL || list_member_oid(handler->friends, friend->relation)) &&
			(friend->condition || group->search.hops < DECLARED_HOPS))
			group->friends = lappend(group->friends, friend);
	}
	return group;
}

/*
 * Put the handlers of a table into groups.
 */
static List *
GroupHandlers(Merge *merge, Stop *stop)
{
	List	   *groups = NIL;
	char	   *verdicts = psprintf("pg_temp.factmerge_verdict_%d", stop->table->position);
	ListCell   *lc;
	ListCell   *g;

	foreach(lc, stop->table->handlers)
	{
		Handler    *handler = lfirst(lc);
		bool		stopped = StopsAnyway(merge, handler);
		HandlerGroup *group = NULL;

		foreach(g, groups)
			if (BelongsTo(handler, stopped, lfirst(g)))
			group = lfirst(g);
		if (group == NULL)
		{
			group = NewGroup(stop, handler, stopped);
			groups = lappend(groups, group);
			group->number = list_length(groups);
		}
		group->handlers = lappend(group->handlers, handler);
	}
	if (list_length(groups) < 2 &&
		(groups == NIL || ((Handler *) linitial(stop->table->handlers))->only_when == NULL))
		return groups;
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid, fact pg_catalog.tid,"
						" in_both pg_catalog.bool, verdict pg_catalog.int4)", verdicts));
	merge->event_tables = lappend(merge->event_tables, verdicts);
	foreach(g, groups)
		((HandlerGroup *) lfirst(g))->verdicts = verdicts;
	return groups;
}

/*
 * Count the events of a table by the verdicts of several groups: what gets
 * furthest with one of them counts.
 */
static void
CountVerdicts(Merge *merge, FactTable *table, char *verdicts, bool any_stopped)
{
	char	  **row = SqlFetchRow(merge->snapshot,
								  psprintf("SELECT pg_catalog.count(*) FILTER (WHERE j.in_both AND j.verdict = 2),"
										   " pg_catalog.count(*) FILTER (WHERE NOT j.in_both AND j.verdict = 2),"
										   " pg_catalog.count(*) FILTER (WHERE NOT j.in_both AND j.verdict = 1),"
										   " pg_catalog.count(*) FILTER (WHERE NOT j.in_both AND j.verdict = 0)"
										   " FROM (SELECT v.in_both, pg_catalog.max(v.verdict) AS verdict FROM %s AS v"
										   " GROUP BY v.relation, v.fact, v.in_both) AS j", verdicts), NULL);
	Counts	   *counts = &table->counts;
	int64		rest;

	counts->skipped_in_both = counts->in_both - pg_strtoint64(row[0]);
	counts->replayed = pg_strtoint64(row[0]) + pg_strtoint64(row[1]);
	counts->skipped_one_sided = pg_strtoint64(row[2]);
	counts->skipped_friends_in_both = pg_strtoint64(row[3]);
	rest = counts->copied - pg_strtoint64(row[1]) - counts->skipped_one_sided -
		counts->skipped_friends_in_both;
	if (any_stopped)
		counts->skipped_categorically = rest;
	else
		counts->unhandled = rest;
}

/*
 * Count the events of a table.
 */
static void
CountEvents(Merge *merge, FactTable *table, List *groups)
{
	Counts	   *counts = &table->counts;
	HandlerGroup *group = NULL;
	bool		any_stopped = false;
	bool		any_looking = false;
	ListCell   *lc;

	counts->events = counts->source_facts;
	foreach(lc, groups)
	{
		if (((HandlerGroup *) lfirst(lc))->stop->table != table)
			continue;
		group = lfirst(lc);
		any_stopped |= group->stopped;
		any_looking |= !group->stopped;
	}
	if (group == NULL)
		counts->unhandled = counts->events;
	else if (!any_looking)
		counts->skipped_categorically = counts->events;
	else if (group->verdicts)
		CountVerdicts(merge, table, group->verdicts, any_stopped);
	else
	{
		counts->skipped_in_both = counts->in_both - group->mixed_in_both;
		counts->replayed = group->mixed_in_both + group->mixed;
		counts->skipped_one_sided = group->one_sided;
		counts->skipped_friends_in_both = counts->copied - group->mixed - group->one_sided;
	}
}

/*
 * Look at the events of one group of handlers: put the mixed ones into its table
 * of events, and each of the source's own with a verdict into that of its table.
 */
static void
LookAtEvents(Merge *merge, HandlerGroup *group)
{
	char	  **row;

	group->events = psprintf("pg_temp.factmerge_event_%d_%d", group->stop->table->position,
							 group->number);
	merge->event_tables = lappend(merge->event_tables, group->events);
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid,"
						" fact pg_catalog.tid, in_both pg_catalog.bool)", group->events));
	row = SqlFetchRow(merge->snapshot,
					  psprintf("WITH looked_at AS MATERIALIZED (%s),"
							   " mixed AS (INSERT INTO %s SELECT l.relation, l.fact, l.in_both AND NOT l.inexact"
							   " FROM looked_at AS l WHERE l.from_destination AND (l.from_source OR NOT l.in_both))%s"
							   " SELECT pg_catalog.count(*) FILTER (WHERE in_both AND from_destination AND from_source),"
							   " pg_catalog.count(*) FILTER (WHERE NOT in_both AND from_destination),"
							   " pg_catalog.count(*) FILTER (WHERE NOT in_both AND NOT from_destination AND from_source)"
							   " FROM looked_at",
							   EventsLookedAt(merge, group, &group->search, group->found), group->events,
							   group->verdicts == NULL ? "" :
							   psprintf(", judged AS (INSERT INTO %s SELECT l.relation, l.fact, l.in_both,"
										" CASE WHEN l.from_destination AND (l.from_source OR NOT l.in_both) THEN 2"
										" WHEN l.from_source THEN 1 ELSE 0 END FROM looked_at AS l)",
										group->verdicts)), NULL);
	group->mixed_in_both = pg_strtoint64(row[0]);
	group->mixed = pg_strtoint64(row[1]);
	group->one_sided = pg_strtoint64(row[2]);
	if (group->mixed + group->mixed_in_both > 0)
		SqlUtility(psprintf("ANALYZE %s", group->events));
	else
		group->events = NULL;
}

/*
 * Whether none of a group's events can be mixed, as far as tables tell.
 */
static bool
StopsCategorically(Merge *merge, HandlerGroup *group, List *stops)
{
	ListCell   *lc;
	ListCell   *s;

	if (CountsInexact(group->stop->table))
		return false;
	CountFacts(stops, &group->search);
	foreach(lc, FriendStops(group->stop, group->search.hops))
		if (HasOneSidedFacts(lfirst(lc)) && HasDestinationOnlyFacts(merge, lfirst(lc)))
		return false;
	CountFacts(stops, NULL);
	foreach(lc, group->friends)
		foreach(s, stops)
	{
		Stop	   *stop = lfirst(s);

		if (stop->relation == ((Friend *) lfirst(lc))->relation &&
			HasOneSidedFacts(stop) && HasDestinationOnlyFacts(merge, stop))
			return false;
	}
	return true;
}

/*
 * Put the events that have a declared friend, by a condition, into a table; the
 * friend is of the destination only, or of the source only and not the fact itself.
 */
static char *
FindByCondition(Merge *merge, HandlerGroup *group, List *stops, Friend *friend, char *name)
{
	Stop	   *at = NULL;
	ListCell   *lc;

	foreach(lc, stops)
		if (((Stop *) lfirst(lc))->relation == friend->relation)
		at = lfirst(lc);
	if (at == NULL)
		return NULL;
	SqlExecute(merge->snapshot,
			   psprintf("CREATE TEMPORARY TABLE %s AS SELECT fact.tableoid AS relation, fact.ctid AS fact,"
						" pg_catalog.bool_or(%s) AS from_destination,"
						" pg_catalog.bool_or(%s AND (fact.tableoid <> friend.tableoid OR fact.ctid <> friend.ctid)) AS from_source"
						" FROM %s AS fact JOIN %s AS friend ON (%s) WHERE %s AND (%s OR %s) GROUP BY 1, 2",
						name, SideText(merge, at, "friend", SIDE_DESTINATION),
						SideText(merge, at, "friend", SIDE_SOURCE),
						QualifiedRelation(group->stop->relation), QualifiedRelation(friend->relation),
						friend->condition, SideText(merge, group->stop, "fact", SIDE_IN_SOURCE),
						SideText(merge, at, "friend", SIDE_DESTINATION),
						SideText(merge, at, "friend", SIDE_SOURCE)), NULL);
	return name;
}

/*
 * Put the events that have a declared friend along foreign keys into a table.
 */
static char *
FindByPaths(Merge *merge, HandlerGroup *group, List *stops, Friend *friend, char *name)
{
	Search		search = {DECLARED_HOPS, list_make1_oid(friend->relation)};

	BeginSearch(merge, stops, list_make1(group), &search);
	SqlExecute(merge->snapshot,
			   psprintf("CREATE TEMPORARY TABLE %s AS SELECT l.relation, l.fact, l.from_destination, l.from_source"
						" FROM (%s) AS l WHERE l.from_destination OR l.from_source",
						name, EventsLookedAt(merge, group, &search, NIL)), NULL);
	EndSearch(stops);
	return name;
}

/*
 * Look for the declared friends of a group's events.
 */
static void
FindDeclaredFriends(Merge *merge, HandlerGroup *group, List *stops)
{
	ListCell   *lc;

	CountFacts(stops, NULL);
	foreach(lc, group->friends)
	{
		Friend	   *friend = lfirst(lc);
		char	   *name = psprintf("pg_temp.factmerge_found_%d_%d_%d", group->stop->table->position,
									group->number, foreach_current_index(lc));

		if (friend->condition)
			name = FindByCondition(merge, group, stops, friend, name);
		else
			name = FindByPaths(merge, group, stops, friend, name);
		if (name == NULL)
			continue;
		SqlUtility(psprintf("ANALYZE %s", name));
		group->found = lappend(group->found, name);
		merge->event_tables = lappend(merge->event_tables, name);
	}
}

static bool
IsSameSearch(Search *a, Search *b)
{
	return a->hops == b->hops && list_difference_oid(a->tables, b->tables) == NIL &&
		list_difference_oid(b->tables, a->tables) == NIL;
}

/*
 * Look at the events of all groups, those together that search for the same.
 */
static void
LookAtGroups(Merge *merge, List *groups, List *stops)
{
	instr_time	start;
	ListCell   *lc;

	foreach(lc, groups)
		FindDeclaredFriends(merge, lfirst(lc), stops);
	while (groups != NIL)
	{
		Search	   *search = &((HandlerGroup *) linitial(groups))->search;
		List	   *same = NIL;

		foreach(lc, groups)
			if (IsSameSearch(&((HandlerGroup *) lfirst(lc))->search, search))
			same = lappend(same, lfirst(lc));
		StartClock(&start);
		BeginSearch(merge, stops, same, search);
		/* What the tables have in common is the first one's */
		StopClock(linitial(merge->tables), STAGE_FRIENDS, &start);
		foreach(lc, same)
		{
			HandlerGroup *group = lfirst(lc);

			StartClock(&start);
			ReportActivity(merge, group->stop->table, "finding mixed events of");
			LookAtEvents(merge, group);
			StopClock(group->stop->table, STAGE_FRIENDS, &start);
		}
		EndSearch(stops);
		groups = list_difference_ptr(groups, same);
	}
}

/*
 * Find the mixed events of all handlers, and count the others by the check that
 * skips them.
 */
void
FindMixedEvents(Merge *merge)
{
	List	   *stops = FindStops(merge->tables, merge->others);
	List	   *groups = NIL;
	List	   *looking = NIL;
	ListCell   *lc;
	instr_time	start;

	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		if (stop->table)
			groups = list_concat(groups, GroupHandlers(merge, stop));
	}
	foreach(lc, groups)
	{
		HandlerGroup *group = lfirst(lc);

		StartClock(&start);
		ReportActivity(merge, group->stop->table, "finding mixed events of");
		if (!group->stopped)
			group->stopped = StopsCategorically(merge, group, stops);
		if (!group->stopped)
			looking = lappend(looking, group);
		StopClock(group->stop->table, STAGE_FRIENDS, &start);
	}
	LookAtGroups(merge, looking, stops);
	foreach(lc, groups)
	{
		HandlerGroup *group = lfirst(lc);
		ListCell   *h;

		foreach(h, group->handlers)
			((Handler *) lfirst(h))->events = group->events;
	}
	foreach(lc, merge->tables)
		CountEvents(merge, lfirst(lc), groups);
}
