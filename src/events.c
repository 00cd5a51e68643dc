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
 * What takes facts of both sides is found from the source's as well as from the
 * destination's.  So where setting factmerge.replay_side says so, the mixed events
 * of the destination are replayed: of its own facts that have a friend which only
 * the source has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "eventlog.h"
#include "factmerge.h"
#include "friends.h"
#include "handler.h"
#include "rule.h"

/*
 * What tells tables for events of the destination from those for the source's.
 */
static const char *
Suffix(Merge *merge)
{
	return merge->from_destination ? "_destination" : "";
}

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
	char	   *verdicts = psprintf("pg_temp.factmerge_verdict_%d%s", stop->table->position,
									   Suffix(merge));
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
						" in_both pg_catalog.bool, verdict pg_catalog.int4, place pg_catalog.int8)", verdicts));
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
CountVerdicts(Merge *merge, FactTable *table, char *verdicts, bool any_stopped,
			  int64 own, int64 both)
{
	char	  **row = SqlFetchRow(merge->snapshot,
								  psprintf("SELECT pg_catalog.count(*) FILTER (WHERE j.in_both AND j.verdict = 2),"
										   " pg_catalog.count(*) FILTER (WHERE NOT j.in_both AND j.verdict = 2),"
										   " pg_catalog.count(*) FILTER (WHERE NOT j.in_both AND j.verdict = 1),"
										   " pg_catalog.count(*) FILTER (WHERE NOT j.in_both AND j.verdict = 0)"
										   " FROM (SELECT v.in_both, pg_catalog.max(v.verdict) AS verdict FROM %s AS v"
										   " GROUP BY v.relation, v.fact, v.in_both, v.place) AS j", verdicts), NULL);
	Counts	   *counts = &table->counts;
	int64		rest;

	counts->skipped_in_both = both - pg_strtoint64(row[0]);
	counts->replayed = pg_strtoint64(row[0]) + pg_strtoint64(row[1]);
	counts->skipped_one_sided = pg_strtoint64(row[2]);
	counts->skipped_friends_in_both = pg_strtoint64(row[3]);
	rest = own - pg_strtoint64(row[1]) - counts->skipped_one_sided -
		counts->skipped_friends_in_both;
	if (any_stopped)
		counts->skipped_categorically = rest;
	else
		counts->unhandled = rest;
}

/*
 * How many facts of a table only the destination has.
 */
static int64
CountOwnFacts(Merge *merge, FactTable *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT pg_catalog.count(*) FROM %s AS x WHERE ",
					 QualifiedRelation(table->destination));
	AppendSideCondition(&sql, merge, table, "x", SIDE_DESTINATION);
	return SqlFetchInt64(merge->snapshot, sql.data, NULL);
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
	int64		own = counts->copied;
	int64		both = counts->in_both;
	ListCell   *lc;

	if (FindEventLog(merge->tables))
		CountLoggedEvents(merge, table, &own, &both);
	else if (merge->from_destination)
	{
		own = CountOwnFacts(merge, table);
		both = table->destination_facts - own;
	}
	counts->events = own + both;
	counts->unhandled = counts->skipped_categorically = counts->skipped_in_both = 0;
	counts->skipped_friends_in_both = counts->skipped_one_sided = counts->replayed = 0;
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
		CountVerdicts(merge, table, group->verdicts, any_stopped, own, both);
	else
	{
		counts->skipped_in_both = both - group->mixed_in_both;
		counts->replayed = group->mixed_in_both + group->mixed;
		counts->skipped_one_sided = group->one_sided;
		counts->skipped_friends_in_both = own - group->mixed - group->one_sided;
	}
}

/*
 * SQL for the events to look at, as EventsLookedAt() says; with a log those that
 * it holds, as often as it does, with their places.
 */
static char *
Events(Merge *merge, HandlerGroup *group)
{
	char	   *events = EventsLookedAt(merge, group, &group->search, group->found);

	if (FindEventLog(merge->tables) == NULL)
		return events;
	return psprintf("SELECT f.*, g.place FROM (%s) AS f JOIN " LOGGED_EVENTS " AS g"
					" ON g.relation = f.relation AND g.fact = f.fact", events);
}

/*
 * Look at the events of one group of handlers: put the mixed ones into its table
 * of events, and each of the source's own with a verdict into that of its table.
 */
static void
LookAtEvents(Merge *merge, HandlerGroup *group)
{
	char	  **row;
	const char *own = merge->from_destination ? "l.from_destination" : "l.from_source";
	const char *other = merge->from_destination ? "l.from_source" : "l.from_destination";
	bool		logged = FindEventLog(merge->tables) != NULL;
	const char *place = logged ? ", l.place" : "";

	group->events = psprintf("pg_temp.factmerge_event_%d_%d%s", group->stop->table->position,
							 group->number, Suffix(merge));
	merge->event_tables = lappend(merge->event_tables, group->events);
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid,"
						" fact pg_catalog.tid, in_both pg_catalog.bool%s)", group->events,
						logged ? ", place pg_catalog.int8" : ""));
	row = SqlFetchRow(merge->snapshot,
					  psprintf("WITH looked_at AS MATERIALIZED (%s),"
							   " mixed AS (INSERT INTO %s SELECT l.relation, l.fact, l.in_both AND NOT l.inexact%s"
							   " FROM looked_at AS l WHERE %s AND (%s OR NOT l.in_both))%s"
							   " SELECT pg_catalog.count(*) FILTER (WHERE in_both AND %s AND %s),"
							   " pg_catalog.count(*) FILTER (WHERE NOT in_both AND %s),"
							   " pg_catalog.count(*) FILTER (WHERE NOT in_both AND NOT %s AND %s)"
							   " FROM looked_at AS l",
							   Events(merge, group), group->events, place, other, own,
							   group->verdicts == NULL ? "" :
							   psprintf(", judged AS (INSERT INTO %s SELECT l.relation, l.fact, l.in_both,"
										" CASE WHEN %s AND (%s OR NOT l.in_both) THEN 2"
										" WHEN %s THEN 1 ELSE 0 END%s FROM looked_at AS l)",
										group->verdicts, other, own, own, place),
							   other, own, other, other, own), NULL);
	group->mixed_in_both = pg_strtoint64(row[0]);
	group->mixed = pg_strtoint64(row[1]);
	group->one_sided = pg_strtoint64(row[2]);
	if (group->mixed + group->mixed_in_both > 0)
		SqlUtility(psprintf("ANALYZE %s", group->events));
	else
		group->events = NULL;
}

/*
 * Whether only the side whose events are not replayed has facts at a stop.
 */
static bool
HasFactsOfOther(Merge *merge, Stop *stop)
{
	if (!HasOneSidedFacts(stop))
		return false;
	return merge->from_destination ? stop->table && stop->table->counts.copied > 0 :
		HasDestinationOnlyFacts(merge, stop);
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
		if (HasFactsOfOther(merge, lfirst(lc)))
		return false;
	CountFacts(stops, NULL);
	foreach(lc, group->friends)
		foreach(s, stops)
	{
		Stop	   *stop = lfirst(s);

		if (stop->relation == ((Friend *) lfirst(lc))->relation &&
			HasFactsOfOther(merge, stop))
			return false;
	}
	return true;
}

/*
 * SQL for the events whose friends are all facts of a table.  That is told from a few
 * of these, without a look at every pair.
 */
static char *
EventsWithAnyFriend(Merge *merge, HandlerGroup *group, Stop *at)
{
	const char *alone = "SELECT friend.tableoid AS relation, friend.ctid AS fact FROM %s AS friend WHERE %s LIMIT 2";
	char	   *relation = QualifiedRelation(at->relation);

	return psprintf("WITH d AS MATERIALIZED (%s), s AS MATERIALIZED (%s)"
					" SELECT fact.tableoid AS relation, fact.ctid AS fact, EXISTS (SELECT FROM d) AS from_destination,"
					" EXISTS (SELECT FROM s WHERE s.relation <> fact.tableoid OR s.fact <> fact.ctid) AS from_source"
					" FROM %s AS fact WHERE %s",
					psprintf(alone, relation, SideText(merge, at, "friend", SIDE_DESTINATION)),
					psprintf(alone, relation, SideText(merge, at, "friend", SIDE_SOURCE)),
					QualifiedRelation(group->stop->relation), FactsOf(merge, group->stop, "fact"));
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
	if (strcmp(friend->condition, "true") == 0)
	{
		SqlExecute(merge->snapshot,
				   psprintf("CREATE TEMPORARY TABLE %s AS %s", name, EventsWithAnyFriend(merge, group, at)), NULL);
		return name;
	}
	SqlExecute(merge->snapshot,
			   psprintf("CREATE TEMPORARY TABLE %s AS SELECT fact.tableoid AS relation, fact.ctid AS fact,"
						" pg_catalog.bool_or(%s) AS from_destination,"
						" pg_catalog.bool_or(%s AND (fact.tableoid <> friend.tableoid OR fact.ctid <> friend.ctid)) AS from_source"
						" FROM %s AS fact JOIN %s AS friend ON (%s) WHERE %s AND (%s OR %s) GROUP BY 1, 2",
						name, SideText(merge, at, "friend", SIDE_DESTINATION),
						SideText(merge, at, "friend", SIDE_SOURCE),
						QualifiedRelation(group->stop->relation), QualifiedRelation(friend->relation),
						friend->condition, FactsOf(merge, group->stop, "fact"),
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
		char	   *name = psprintf("pg_temp.factmerge_found_%d_%d_%d%s", group->stop->table->position,
									group->number, foreach_current_index(lc), Suffix(merge));

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
 * Whether a table may have any event to look at.
 */
static bool
MayHaveEvents(Merge *merge, FactTable *table)
{
	if (merge->batches || FindEventLog(merge->tables))
		return true;
	if (merge->from_destination)
		return table->destination_facts > 0;
	return table->counts.copied > 0 || table->counts.in_both > 0;
}

/*
 * Find the mixed events of one side for all handlers, and count the others by the
 * check that skips them; returns how many are mixed.
 */
static int64
FindMixedEventsOf(Merge *merge, bool destination)
{
	List	   *stops = FindStops(merge->tables, merge->others);
	List	   *groups = NIL;
	List	   *looking = NIL;
	int64		count = 0;
	ListCell   *lc;
	instr_time	start;

	merge->from_destination = destination;
	/* Reading what is declared of friends may have to wait for somebody */
	ReportActivity(merge, linitial(merge->tables), "finding mixed events of");
	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		if (stop->table)
			groups = list_concat(groups, GroupHandlers(merge, stop));
	}
	foreach(lc, groups)
	{
		HandlerGroup *group = lfirst(lc);

		if (!MayHaveEvents(merge, group->stop->table))
			continue;
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
	{
		CountEvents(merge, lfirst(lc), groups);
		count += ((FactTable *) lfirst(lc))->counts.replayed;
	}
	return count;
}

/*
 * Whether it is all the same whose mixed events are replayed.  What a fact refers
 * to must be on its side, lest a handler that hangs on one that refers to the other
 * is left out; whoever looks at facts must be asked, which nobody does for tables
 * that only the destination has; and no fact may be the same without being equal.
 * Of an event log, the source's part is replayed.
 */
static bool
IsSymmetric(Merge *merge)
{
	ListCell   *lc;
	ListCell   *r;

	if (FindEventLog(merge->tables))
		return false;
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		if (CountsInexact(table) || table->folds || table->folded)
			return false;
		foreach(r, table->references)
			if (((Reference *) lfirst(r))->target && !((Reference *) lfirst(r))->closed)
			return false;
	}
	foreach(lc, merge->others)
		if (HasTriggersOfOthers(((FactTable *) lfirst(lc))->destination))
		return false;
	return !merge->derives_while_copying;
}

/* What has been found for the source, to come back to */
typedef struct Found
{
	Counts		counts;
	List	   *events;			/* of char *: by handler */
} Found;

static Found *
KeepFound(FactTable *table)
{
	Found	   *found = palloc0(sizeof(Found));
	ListCell   *lc;

	found->counts = table->counts;
	foreach(lc, table->handlers)
		found->events = lappend(found->events, ((Handler *) lfirst(lc))->events);
	return found;
}

static void
ComeBackTo(Found *found, FactTable *table)
{
	ListCell   *lc;

	table->counts = found->counts;
	foreach(lc, table->handlers)
		((Handler *) lfirst(lc))->events = list_nth(found->events, foreach_current_index(lc));
}

/*
 * Find the mixed events that are to be replayed: those of the side that has fewer,
 * or that is wished for.
 */
void
FindMixedEvents(Merge *merge)
{
	List	   *kept = NIL;
	int64		count;
	ListCell   *lc;

	PlaceEvents(merge);
	if (replay_side == REPLAY_DESTINATION && IsSymmetric(merge))
	{
		(void) FindMixedEventsOf(merge, true);
		return;
	}
	count = FindMixedEventsOf(merge, false);
	if (replay_side != REPLAY_AUTO || count == 0 || !IsSymmetric(merge))
		return;
	foreach(lc, merge->tables)
		kept = lappend(kept, KeepFound(lfirst(lc)));
	if (FindMixedEventsOf(merge, true) < count)
		return;
	merge->from_destination = false;
	foreach(lc, merge->tables)
		ComeBackTo(list_nth(kept, foreach_current_index(lc)), lfirst(lc));
}
