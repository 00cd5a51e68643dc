/*-------------------------------------------------------------------------
 *
 * friends.c
 *	  who is friends with whom: a search along foreign keys
 *
 * The friends of a fact are the facts that so many foreign keys lead to, each
 * followed either way; a search says how many, and facts of which tables count.
 * An event is mixed if its fact and its friends are neither all in the source nor
 * all in the destination; the event of a fact that only the source has, if one
 * of its friends is only in the destination (events.c).
 *
 * Instead of looking at the friends of one fact after the other, this walks
 * from the facts that one side alone has towards the events, one foreign key
 * a round.  What a round finds about the facts of a table is its
 * neighbourhood, a temporary table with, for each fact that has any,
 *
 *	its columns that take part in references,
 *	from_destination	whether a fact that only the destination has is within
 *						so many steps
 *	lowest, highest		the numbers of two facts that only the source has
 *						within so many steps, to be able to tell that there is
 *						one other than the event's own
 *
 * The last step joins the events with the neighbourhoods next to them.
 *
 * Two observations keep that cheap.  What a side refers to is on that side (if
 * a foreign key says so in both schemas: the reference is closed).  So two
 * facts of different sides first meet at a fact that is in both, and the first
 * round need look at no others.  And a closed reference of a source-only fact
 * leads either to a fact that is in both, then that is in the neighbourhood
 * table because of this very reference, or else to a source-only friend.
 *
 * Tables outside of the schema that facts refer to count as facts that are in
 * both, and tables that only the destination has as facts of the destination.
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
 * Whether there may be facts at a stop that one side alone has, and that count as
 * friends.
 */
bool
HasOneSidedFacts(Stop *stop)
{
	return stop->counted && (stop->table != NULL || stop->destination_only);
}

/*
 * Whether a table has facts that are the same as the source's without being
 * equal, and that these count.
 */
bool
CountsInexact(FactTable *table)
{
	return replay_inexact && table != NULL && table->inexact > 0;
}

/*
 * Append that a row is such a fact.  A row without key that has been tagged is
 * no longer where the key map has it, so all that are in both pass for that.
 */
static void
AppendIsInexact(StringInfo sql, Merge *merge, FactTable *table, const char *alias)
{
	if (!CountsInexact(table))
	{
		appendStringInfoString(sql, "false");
		return;
	}
	if (!table->keyed)
	{
		AppendSideCondition(sql, merge, table, alias, SIDE_BOTH);
		return;
	}
	appendStringInfo(sql, "EXISTS (SELECT FROM %s AS m WHERE m.inexact AND ", table->map);
	AppendMapJoin(sql, table, "m", "destination", alias);
	appendStringInfoChar(sql, ')');
}

/*
 * Append a condition on the side of a row.  To those who ask for what is in the
 * destination only, a fact that the source has differently is that.
 */
static void
AppendSide(StringInfo sql, Merge *merge, Stop *stop, const char *alias, Side side)
{
	if (side == SIDE_DESTINATION && CountsInexact(stop->table))
	{
		appendStringInfoChar(sql, '(');
		AppendSideCondition(sql, merge, stop->table, alias, side);
		appendStringInfoString(sql, " OR ");
		AppendIsInexact(sql, merge, stop->table, alias);
		appendStringInfoChar(sql, ')');
	}
	else if (stop->table)
		AppendSideCondition(sql, merge, stop->table, alias, side);
	else if (stop->destination_only)
		appendStringInfoString(sql, side == SIDE_DESTINATION ? "true" : "false");
	else
		appendStringInfoString(sql, side == SIDE_BOTH || side == SIDE_IN_SOURCE ?
							   "true" : "false");
}

char *
SideText(Merge *merge, Stop *stop, const char *alias, Side side)
{
	StringInfoData sql;

	initStringInfo(&sql);
	AppendSide(&sql, merge, stop, alias, side);
	return sql.data;
}

/*
 * The condition on facts v of a stop that paths lead over.  To a fact that the
 * destination alone has they need not go on: it is what they look for, unless
 * an event may be mixed only for a source-only friend beyond it.
 */
static char *
Visited(Merge *merge, Stop *stop)
{
	return stop->everywhere ? "true" : SideText(merge, stop, "v", SIDE_IN_SOURCE);
}

/* "alias.name, alias.name, ..." */
static char *
NameList(List *names, const char *alias)
{
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, names)
	{
		AppendSeparator(&sql, ", ", &first);
		appendStringInfo(&sql, "%s.%s", alias, quote_identifier(lfirst(lc)));
	}
	return sql.data;
}

/*
 * A subquery for the facts at a stop that one side alone has: some columns,
 * whether the fact is the destination's, and its number if it is the source's.
 */
static char *
OneSidedFacts(Merge *merge, Stop *stop, List *names)
{
	char	   *columns = NameList(names, "f");
	char	   *relation = QualifiedRelation(stop->relation);
	char	   *destination = SideText(merge, stop, "f", SIDE_DESTINATION);

	/* If a look at the row is enough, one scan does for both sides */
	if (stop->table && stop->table->tags_speak)
		return psprintf("(SELECT %s, %s AS factmerge_from_destination,"
						" CASE WHEN %s THEN factmerge.fact_number(f.tableoid, f.ctid) END AS factmerge_fact"
						" FROM %s AS f WHERE %s OR %s)",
						columns, destination,
						SideText(merge, stop, "f", SIDE_SOURCE), relation,
						destination, SideText(merge, stop, "f", SIDE_SOURCE));
	return psprintf("(SELECT %s, true AS factmerge_from_destination, NULL::pg_catalog.int8 AS factmerge_fact"
					" FROM %s AS f WHERE %s UNION ALL"
					" SELECT %s, false, factmerge.fact_number(f.tableoid, f.ctid)"
					" FROM %s AS f WHERE %s)",
					columns, relation, destination, columns, relation,
					SideText(merge, stop, "f", SIDE_SOURCE));
}

/*
 * The same for the facts that are the same without being equal.
 */
static char *
InexactFacts(Merge *merge, Stop *stop, List *names)
{
	StringInfoData inexact;

	initStringInfo(&inexact);
	AppendIsInexact(&inexact, merge, stop->table, "f");
	return psprintf("(SELECT %s, true AS factmerge_from_destination, NULL::pg_catalog.int8 AS factmerge_fact"
					" FROM %s AS f WHERE %s)",
					NameList(names, "f"), QualifiedRelation(stop->relation), inexact.data);
}

/*
 * Append one source of a neighbourhood: rows v of a stop joined with what is
 * next to them.
 */
static void
AppendContribution(StringInfo sql, Stop *stop, const char *found,
				   const char *neighbours, const char *join, const char *side)
{
	if (sql->len > 0)
		appendStringInfoString(sql, " UNION ALL ");
	appendStringInfo(sql, "SELECT %s, %s FROM %s AS v JOIN %s ON %s WHERE %s",
					 NameList(stop->names, "v"), found,
					 QualifiedRelation(stop->relation), neighbours, join, side);
}

/*
 * Append what the first round finds at a stop: facts next to it that one side
 * alone has.
 */
static void
AppendNextDoor(StringInfo sql, Merge *merge, Stop *stop)
{
	const char *found = "f.factmerge_from_destination, f.factmerge_fact AS factmerge_lowest, f.factmerge_fact AS factmerge_highest";
	ListCell   *lc;

	foreach(lc, stop->arriving)
	{
		Passage    *passage = lfirst(lc);
		Reference  *reference = passage->reference;

		if (!HasOneSidedFacts(passage->from))
			continue;
		AppendContribution(sql, stop, found,
						   psprintf("%s AS f", OneSidedFacts(merge, passage->from,
															 ColumnNames(reference->columns))),
						   RefersTo(reference, "f", "v"),
						   reference->closed ? SideText(merge, stop, "v", SIDE_BOTH) :
						   Visited(merge, stop));
	}
	foreach(lc, stop->leaving)
	{
		Passage    *passage = lfirst(lc);
		Reference  *reference = passage->reference;

		if (!HasOneSidedFacts(passage->to) ||
			(reference->closed && !CountsInexact(passage->to->table)))
			continue;
		AppendContribution(sql, stop, found,
						   psprintf("%s AS f", reference->closed ?
									InexactFacts(merge, passage->to,
												 reference->target_names) :
									OneSidedFacts(merge, passage->to,
												  reference->target_names)),
						   RefersTo(reference, "v", "f"),
						   Visited(merge, stop));
	}
}

/*
 * Append what a later round finds: the neighbourhoods of what is next door.
 */
static void
AppendFurtherOn(StringInfo sql, Merge *merge, Stop *stop)
{
	const char *found = "n.factmerge_from_destination, n.factmerge_lowest, n.factmerge_highest";
	ListCell   *lc;

	foreach(lc, stop->arriving)
	{
		Passage    *passage = lfirst(lc);

		if (passage->from->neighbourhood)
			AppendContribution(sql, stop, found,
							   psprintf("%s AS n", passage->from->neighbourhood),
							   RefersTo(passage->reference, "n", "v"),
							   Visited(merge, stop));
	}
	foreach(lc, stop->leaving)
	{
		Passage    *passage = lfirst(lc);

		if (passage->to->neighbourhood)
			AppendContribution(sql, stop, found,
							   psprintf("%s AS n", passage->to->neighbourhood),
							   RefersTo(passage->reference, "v", "n"),
							   Visited(merge, stop));
	}
}

/*
 * Make the neighbourhood of one stop in one round (from 1); returns the
 * table's name, or NULL if nothing can be found there.
 */
static char *
MakeNeighbourhood(Merge *merge, Stop *stop, int round, int number)
{
	StringInfoData sql;
	char	   *name = psprintf("pg_temp.factmerge_near_%d_%d", number, round);
	char	   *names = NameList(stop->names, "x");

	initStringInfo(&sql);
	AppendNextDoor(&sql, merge, stop);
	if (round > 1)
		AppendFurtherOn(&sql, merge, stop);
	if (sql.len == 0)
		return NULL;
	SqlExecute(merge->snapshot,
			   psprintf("CREATE TEMPORARY TABLE %s AS SELECT %s,"
						" pg_catalog.bool_or(x.factmerge_from_destination) AS factmerge_from_destination,"
						" pg_catalog.min(x.factmerge_lowest) AS factmerge_lowest, pg_catalog.max(x.factmerge_highest) AS factmerge_highest"
						" FROM (%s) AS x GROUP BY %s",
						name, names, sql.data, names), NULL);
	SqlUtility(psprintf("ANALYZE %s", name));
	return name;
}

/*
 * Whether some handler looks at events of facts that are in both, too.
 */
static bool
HasHandlerFoundFromThis(List *handlers)
{
	ListCell   *lc;

	foreach(lc, handlers)
		if (((Handler *) lfirst(lc))->found_from_this)
		return true;
	return false;
}

/*
 * Let paths lead over the facts of the destination, too, where events of facts
 * in both are looked at, which need a friend on either side, or events of the
 * destination.
 */
static void
SetEverywhere(Merge *merge, List *stops)
{
	bool		everywhere = merge->from_destination;
	ListCell   *lc;

	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		everywhere |= stop->origin && HasHandlerFoundFromThis(stop->table->handlers);
	}
	foreach(lc, stops)
		((Stop *) lfirst(lc))->everywhere = everywhere;
}

/*
 * Find how many steps each stop is from the nearest one with handlers whose
 * events are to be looked at.
 */
static void
MeasureDistances(List *stops, int hops)
{
	ListCell   *lc;

	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		stop->distance = stop->origin ? 0 : INT_MAX;
	}
	for (int steps = 0; steps < hops; steps++)
		foreach(lc, stops)
		{
			Stop	   *stop = lfirst(lc);
			ListCell   *p;

			if (stop->distance != steps)
				continue;
			foreach(p, stop->leaving)
			{
				Stop	   *to = ((Passage *) lfirst(p))->to;

				to->distance = Min(to->distance, steps + 1);
			}
			foreach(p, stop->arriving)
			{
				Stop	   *from = ((Passage *) lfirst(p))->from;

				from->distance = Min(from->distance, steps + 1);
			}
		}
}

/*
 * Whether what the last round before the events finds at a stop can matter.
 * Coming from a source-only event over a closed reference backwards, or
 * staying, one is still at a source-only fact, which the first round does not
 * look at.
 */
static bool
IsWorthwhile(Merge *merge, Stop *stop, int round, int hops)
{
	ListCell   *lc;

	if (stop->distance > hops - round || stop->destination_only)
		return false;
	if (round > 1 || hops > 2 || merge->from_destination)
		return true;
	foreach(lc, stop->arriving)
		if (((Passage *) lfirst(lc))->from->distance == 0)
		return true;
	foreach(lc, stop->leaving)
	{
		Passage    *passage = lfirst(lc);

		if (CountsInexact(passage->to->table) ||
			(passage->to->distance == 0 &&
			 (!passage->reference->closed ||
			  HasHandlerFoundFromThis(passage->to->table->handlers))))
			return true;
	}
	return false;
}

/*
 * Make the neighbourhoods of all rounds but the last, which is that of the
 * events themselves.
 */
static void
MakeNeighbourhoods(Merge *merge, List *stops, int hops)
{
	for (int round = 1; round < hops; round++)
	{
		List	   *names = NIL;
		ListCell   *lc;

		foreach(lc, stops)
		{
			Stop	   *stop = lfirst(lc);
			char	   *name = NULL;

			CHECK_FOR_INTERRUPTS();
			if (IsWorthwhile(merge, stop, round, hops))
				name = MakeNeighbourhood(merge, stop, round,
										 foreach_current_index(lc));
			names = lappend(names, name);
		}
		foreach(lc, stops)
		{
			Stop	   *stop = lfirst(lc);

			if (stop->neighbourhood)
				SqlUtility(psprintf("DROP TABLE %s", stop->neighbourhood));
			stop->neighbourhood = list_nth(names, foreach_current_index(lc));
		}
	}
}

/* The parts of the query that looks at the events of a table */
typedef struct EventQuery
{
	StringInfoData joins;
	StringInfoData from_destination;
	StringInfoData from_source;
} EventQuery;

/*
 * Note that a joined row n, if there is one, tells of one-sided friends.
 */
static void
AddFound(EventQuery *query, const char *n)
{
	appendStringInfo(&query->from_destination, " OR COALESCE(%s.factmerge_from_destination, false)", n);
	appendStringInfo(&query->from_source, " OR COALESCE(%s.factmerge_lowest <> e.factmerge_number OR %s.factmerge_highest <> e.factmerge_number, false)",
					 n, n);
}

/*
 * Look along a reference of the events' table.
 */
static void
LookForward(EventQuery *query, Merge *merge, Search *search, Passage *passage, int number)
{
	Reference  *reference = passage->reference;
	bool		first = true;
	char	   *facts;
	ListCell   *lc;

	if (passage->to->neighbourhood)
	{
		appendStringInfo(&query->joins, " LEFT JOIN %s AS n%d ON %s",
						 passage->to->neighbourhood, number,
						 RefersTo(reference, "e", psprintf("n%d", number)));
		AddFound(query, psprintf("n%d", number));
	}
	if (!HasOneSidedFacts(passage->to))
		return;
	facts = OneSidedFacts(merge, passage->to, reference->target_names);

	/*
	 * The first round looks at facts in both only.  So what a source-only
	 * event refers to is missing from there if it is source-only: a friend,
	 * unless it is the fact itself.  That takes all facts to count, for
	 * otherwise what is in both may be missing, too.
	 */
	if (passage->to->neighbourhood && reference->closed && search->hops == 2 &&
		search->tables == NIL && !merge->from_destination)
	{
		appendStringInfo(&query->from_source, " OR NOT e.factmerge_in_both AND n%d.factmerge_from_destination IS NULL",
						 number);
		foreach(lc, reference->columns)
			appendStringInfo(&query->from_source, " AND e.%s IS NOT NULL",
							 quote_identifier(((Column *) lfirst(lc))->name));
		if (passage->to == passage->from)
			appendStringInfo(&query->from_source, " AND NOT (%s)",
							 RefersTo(reference, "e", "e"));
		if (!CountsInexact(passage->to->table))
			return;
		facts = InexactFacts(merge, passage->to, reference->target_names);
	}
	appendStringInfo(&query->joins, " LEFT JOIN %s AS t%d ON ",
					 facts, number);
	AppendSeparator(&query->joins, "", &first);
	appendStringInfoString(&query->joins, RefersTo(reference, "e", psprintf("t%d", number)));
	appendStringInfo(&query->from_destination, " OR COALESCE(t%d.factmerge_from_destination, false)", number);
	appendStringInfo(&query->from_source, " OR COALESCE(t%d.factmerge_fact <> e.factmerge_number, false)", number);
}

/*
 * Look against a reference to the events' table.
 */
static void
LookBackward(EventQuery *query, Merge *merge, Passage *passage, int number)
{
	List	   *names = ColumnNames(passage->reference->columns);
	char	   *columns = NameList(names, "g");
	bool		counted = HasOneSidedFacts(passage->from);

	if (!counted && passage->from->neighbourhood == NULL)
		return;
	appendStringInfo(&query->joins, " LEFT JOIN (SELECT %s, pg_catalog.bool_or(g.factmerge_from_destination) AS factmerge_from_destination,"
					 " pg_catalog.min(g.factmerge_lowest) AS factmerge_lowest, pg_catalog.max(g.factmerge_highest) AS factmerge_highest"
					 " FROM (", columns);
	if (counted)
		appendStringInfo(&query->joins, "SELECT %s, f.factmerge_from_destination, f.factmerge_fact AS factmerge_lowest, f.factmerge_fact AS factmerge_highest FROM %s AS f",
						 NameList(names, "f"), OneSidedFacts(merge, passage->from, names));
	if (passage->from->neighbourhood)
		appendStringInfo(&query->joins, "%sSELECT %s, n.factmerge_from_destination, n.factmerge_lowest, n.factmerge_highest FROM %s AS n",
						 counted ? " UNION ALL " : "", NameList(names, "n"),
						 passage->from->neighbourhood);
	appendStringInfo(&query->joins, ") AS g GROUP BY %s) AS b%d ON %s",
					 columns, number,
					 RefersTo(passage->reference, psprintf("b%d", number), "e"));
	AddFound(query, psprintf("b%d", number));
}

/*
 * Let the facts of some tables count as friends, or of all.
 */
void
CountFacts(List *stops, Search *search)
{
	ListCell   *lc;

	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		stop->counted = search == NULL || search->tables == NIL ||
			list_member_oid(search->tables, stop->relation);
	}
}

/*
 * The condition on facts whose events may be replayed: those that only that side
 * has whose events are replayed.
 */
static char *
OwnFacts(Merge *merge, Stop *stop, const char *alias)
{
	return SideText(merge, stop, alias, merge->from_destination ? SIDE_DESTINATION : SIDE_SOURCE);
}

/*
 * The condition on all facts of that side.
 */
char *
FactsOf(Merge *merge, Stop *stop, const char *alias)
{
	if (merge->from_destination)
		return psprintf("%s IS NOT TRUE", SideText(merge, stop, alias, SIDE_SOURCE));
	return SideText(merge, stop, alias, SIDE_IN_SOURCE);
}

/*
 * SQL for the events of a table, and what a search finds about each: relation,
 * fact, in_both, inexact, from_destination, from_source.  What has been found about
 * them already is in the tables of found.
 */
char *
EventsLookedAt(Merge *merge, HandlerGroup *group, Search *search, List *found)
{
	Stop	   *stop = group->stop;
	char	   *own = OwnFacts(merge, stop, "t");
	StringInfoData inexact;
	EventQuery	query;
	ListCell   *lc;
	int			number = 0;

	initStringInfo(&inexact);
	AppendIsInexact(&inexact, merge, stop->table, "t");
	initStringInfo(&query.joins);
	initStringInfo(&query.from_destination);
	initStringInfo(&query.from_source);
	if (search->hops > 0)
	{
		foreach(lc, stop->leaving)
			LookForward(&query, merge, search, lfirst(lc), ++number);
		foreach(lc, stop->arriving)
			LookBackward(&query, merge, lfirst(lc), ++number);
	}
	foreach(lc, found)
	{
		number++;
		appendStringInfo(&query.joins, " LEFT JOIN %s AS d%d ON d%d.relation = e.factmerge_relation AND d%d.fact = e.factmerge_fact",
						 (char *) lfirst(lc), number, number, number);
		appendStringInfo(&query.from_destination, " OR COALESCE(d%d.from_destination, false)", number);
		appendStringInfo(&query.from_source, " OR COALESCE(d%d.from_source, false)", number);
	}
	return psprintf("SELECT e.factmerge_relation AS relation, e.factmerge_fact AS fact,"
					" e.factmerge_in_both AS in_both, e.factmerge_inexact AS inexact,"
					" (e.factmerge_inexact%s) AS from_destination, (e.factmerge_inexact%s) AS from_source"
					" FROM (SELECT t.tableoid AS factmerge_relation, t.ctid AS factmerge_fact,"
					" NOT %s AS factmerge_in_both, %s AS factmerge_inexact,"
					" factmerge.fact_number(t.tableoid, t.ctid) AS factmerge_number%s"
					" FROM %s AS t WHERE (%s OR %s)%s) AS e%s",
					query.from_destination.data, query.from_source.data,
					own, inexact.data,
					stop->names ? psprintf(", %s", NameList(stop->names, "t")) : "",
					QualifiedRelation(stop->relation),
					HasHandlerFoundFromThis(group->handlers) ? FactsOf(merge, stop, "t") : own,
					inexact.data,
					OnlyWhen(stop->table, linitial(group->handlers), "t.tableoid", "t.ctid"),
					query.joins.data);
}

/*
 * Whether the destination has facts at a stop that the source has not.
 */
bool
HasDestinationOnlyFacts(Merge *merge, Stop *stop)
{
	FactTable  *table = stop->table;

	/* With one key, facts of the source and of the destination pair up */
	if (table && table->paired && !MayFold(table) && !CountsInexact(table))
		return table->destination_facts > table->counts.in_both;
	return SqlFetchRow(merge->snapshot,
					   psprintf("SELECT 1 FROM %s AS x WHERE %s LIMIT 1",
								QualifiedRelation(stop->relation),
								SideText(merge, stop, "x", SIDE_DESTINATION)),
					   NULL) != NULL;
}

/*
 * Give the planner statistics of what the merge has written, for the columns
 * that the search for mixed events joins and filters by.
 */
static void
AnalyzeChanged(Merge *merge, Stop *stop)
{
	FactTable  *table = stop->table;
	StringInfoData columns;
	ListCell   *lc;

	if (table->counts.copied == 0 && table->has_tags)
		return;
	initStringInfo(&columns);
	foreach(lc, stop->names)
		appendStringInfo(&columns, ", %s", quote_identifier(lfirst(lc)));
	AnalyzeTable(merge, table, psprintf(" (" PROVENANCE_COLUMN ", " MERGE_COLUMN "%s)", columns.data));
}

/*
 * Begin a search for the events of some groups.
 */
void
BeginSearch(Merge *merge, List *stops, List *groups, Search *search)
{
	ListCell   *lc;

	CountFacts(stops, search);
	foreach(lc, stops)
		((Stop *) lfirst(lc))->origin = false;
	foreach(lc, groups)
		((HandlerGroup *) lfirst(lc))->stop->origin = true;
	MeasureDistances(stops, search->hops);
	SetEverywhere(merge, stops);
	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		if (stop->table && stop->distance <= search->hops && !stop->analyzed)
		{
			AnalyzeChanged(merge, stop);
			stop->analyzed = true;
		}
	}
	MakeNeighbourhoods(merge, stops, search->hops);
}

void
EndSearch(List *stops)
{
	ListCell   *lc;

	foreach(lc, stops)
	{
		Stop	   *stop = lfirst(lc);

		if (stop->neighbourhood)
			SqlUtility(psprintf("DROP TABLE %s", stop->neighbourhood));
		stop->neighbourhood = NULL;
	}
}
