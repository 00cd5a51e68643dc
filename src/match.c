/*-------------------------------------------------------------------------
 *
 * match.c
 *	  filling the key maps, table by table in walk order
 *
 * The key map gets, for each fact of the source, its counterpart where there is
 * one, else the address that the fact will have when it is copied: surrogate
 * keys drawn from the destination's own sequence or default, in the order of
 * the source's keys.  So all keys are known before any fact is written,
 * whatever refers to what.
 *
 * The matching has everything at hand that copying will need, so a draft is
 * left behind: a temporary table of the facts to copy, in the order of the
 * source's keys, with the columns of the key map and the values that a new fact
 * will have in columns that are small or have been translated.  The others are
 * fetched again from the source, rather than written twice; so are references
 * within the table itself, which cannot be translated before its key map is
 * complete.
 *
 * Components whose sameness goes through a circle of references are matched
 * level by level, until a round finds nothing, and what is left over then
 * (circles in the data) has no counterpart, unless an earlier merge has copied
 * it.
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
#include "level.h"
#include "samerule.h"
#include "sameness.h"

/*
 * Append the value that a column of the key map gets, given the matches x; the
 * keys of new facts are drawn here, after the sort.
 */
static void
AppendDestination(StringInfo sql, Column *column, MatchMode mode)
{
	if (IsDrawn(column) && mode == MATCH_REST)
		appendStringInfo(sql, "(%s)::%s", column->new_value,
						 TypeText(column->type, -1));
	else
		appendStringInfo(sql, "x.d%d", column->map_number);
}

/*
 * Append the order of the source's keys, and where one of several counterparts
 * has to be chosen, of the destination's.
 */
static void
AppendKeyOrder(StringInfo sql, FactTable *table, bool choose)
{
	bool		first = true;
	ListCell   *lc;

	appendStringInfoString(sql, " ORDER BY ");
	foreach(lc, table->address)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "s%d", ((Column *) lfirst(lc))->map_number);
	}
	if (choose)
		foreach(lc, table->address)
			appendStringInfo(sql, ", d%d", ((Column *) lfirst(lc))->map_number);
}

/*
 * Append matches, a query or a table, as rows of the key map.
 */
static void
AppendPairs(StringInfo sql, FactTable *table, MatchMode mode, const char *matches)
{
	ListCell   *lc;

	appendStringInfoString(sql, "SELECT ");
	foreach(lc, table->map_columns)
		appendStringInfo(sql, "x.s%d AS source_%d, ", foreach_current_index(lc) + 1,
						 foreach_current_index(lc) + 1);
	foreach(lc, table->map_columns)
	{
		AppendDestination(sql, lfirst(lc), mode);
		appendStringInfo(sql, " AS destination_%d, ", foreach_current_index(lc) + 1);
	}
	appendStringInfoString(sql, "x.in_both, x.inexact");
	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (column->drafted)
			appendStringInfo(sql, ", x.value_%d", column->number);
	}
	appendStringInfo(sql, " FROM %s AS x", matches);
}

/*
 * Enter pairs, a query or a table, into the key map; returns how many.
 */
static int64
EnterPairs(Merge *merge, FactTable *table, const char *pairs)
{
	StringInfoData columns;
	SqlArgs		args = {0};
	int			count = list_length(table->map_columns);

	initStringInfo(&columns);
	for (int i = 1; i <= count; i++)
		appendStringInfo(&columns, "source_%d, destination_%d, ", i, i);
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	return SqlExecute(merge->snapshot,
					  psprintf("INSERT INTO %s (%sin_both, inexact, merge_id) SELECT %sin_both, inexact, $1 FROM %s AS p",
							   table->map, columns.data, columns.data, pairs), &args);
}

/*
 * Choose the columns that the draft holds beside those of the key map.
 */
static void
ChooseDrafted(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		column->drafted = column->map_number == 0 && !column->generated &&
			!column->surrogate &&
			(column->log ? true : column->reference ? column->reference->target->settled :
			 get_typstorage(column->type) == TYPSTORAGE_PLAIN);
	}
}

/*
 * Match one round of a component, or assign the rest; returns how many facts
 * got an address.
 */
static int64
MatchSome(Merge *merge, FactTable *table, MatchMode mode)
{
	StringInfoData matches;
	StringInfoData pairs;
	int64		count;

	if (table->rule && mode == MATCH_LEVEL && !table->followed)
		MakePairs(merge, table, true);
	if (mode == MATCH_REST)
	{
		StringInfoData rest;

		initStringInfo(&rest);
		appendStringInfo(&rest, "SELECT pg_catalog.count(*) FROM %s AS s WHERE true",
						 SourceFacts(table));
		AppendNoAddressYet(&rest, merge, table);
		RefuseExhaustion(merge, table, PG_INT64_MAX, rest.data);
	}
	initStringInfo(&matches);
	appendStringInfoChar(&matches, '(');
	AppendMatches(&matches, merge, table, mode);
	AppendLevelConditions(&matches, merge, table, mode);
	AppendKeyOrder(&matches, table, NeedsChoice(table, mode));
	appendStringInfoChar(&matches, ')');

	initStringInfo(&pairs);
	appendStringInfoChar(&pairs, '(');
	AppendPairs(&pairs, table, mode, matches.data);
	appendStringInfoChar(&pairs, ')');
	count = EnterPairs(merge, table, pairs.data);
	if (table->pairs)
		DropPairs(table);
	return count;
}

/*
 * Match facts with what earlier merges have made of them, as far as that is still the
 * same.  Of facts that look the same, only the key map tells which is which.
 */
static void
MatchAgain(Merge *merge, FactTable *table)
{
	if (!table->merged_before || !table->keyed)
		return;
	table->again = MatchSome(merge, table, MATCH_AGAIN);
	table->counts.source_facts += table->again;
	/* The planner must not think that no row is of this merge */
	if (table->again > 0)
		SqlUtility(psprintf("ANALYZE %s", table->map));
}

/*
 * Match all facts of a table at once, and leave the draft of the others
 * behind; returns how many facts there are.
 *
 * Keys are drawn in a statement of their own: the matching itself can then be
 * done by parallel workers, and only what is new needs to be put in order.
 */
static int64
MatchAll(Merge *merge, FactTable *table)
{
	char	   *matched = psprintf("pg_temp.factmerge_matched_%d", table->position);
	StringInfoData sql;
	StringInfoData order;
	int64		facts;
	int64		in_both;

	ChooseDrafted(table);
	if (table->rule)
		MakePairs(merge, table, false);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS ", matched);
	AppendMatches(&sql, merge, table, MATCH_ALL);
	appendStringInfoString(&sql, " WHERE true");
	if (table->again > 0)
		AppendNoAddressYet(&sql, merge, table);
	if (NeedsChoice(table, MATCH_ALL))
		AppendKeyOrder(&sql, table, true);
	facts = SqlExecute(merge->snapshot, sql.data, NULL);
	if (table->pairs)
		DropPairs(table);
	RefuseExhaustion(merge, table, facts,
					 psprintf("SELECT pg_catalog.count(*) FROM %s WHERE NOT in_both", matched));

	initStringInfo(&order);
	AppendKeyOrder(&order, table, false);
	table->draft = psprintf("pg_temp.factmerge_draft_%d", table->position);
	resetStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS ", table->draft);
	AppendPairs(&sql, table, MATCH_REST,
				psprintf("(SELECT * FROM %s AS a WHERE NOT a.in_both%s)",
						 matched, order.data));
	SqlExecute(merge->snapshot, sql.data, NULL);

	resetStringInfo(&sql);
	appendStringInfoChar(&sql, '(');
	AppendPairs(&sql, table, MATCH_LEVEL,
				psprintf("(SELECT * FROM %s AS a WHERE a.in_both)", matched));
	appendStringInfoChar(&sql, ')');
	in_both = EnterPairs(merge, table, sql.data);
	SqlUtility(psprintf("DROP TABLE %s", matched));
	return in_both + EnterPairs(merge, table, table->draft);
}

/*
 * Give an address to facts that have none yet; returns to how many.
 */
static int64
Match(Merge *merge, FactTable *table, MatchMode mode)
{
	return mode == MATCH_ALL ? MatchAll(merge, table) :
		MatchSome(merge, table, mode);
}

/*
 * Give an address to every fact that has none yet, under new keys where the
 * keys are surrogate; before[i] is where the sequence of map column i stood.
 */
static int64
MatchChecked(Merge *merge, FactTable *table, MatchMode mode)
{
	int			count = list_length(table->map_columns);
	int64	   *before = palloc0(sizeof(int64) * count);
	int64		facts;

	for (int i = 0; i < count; i++)
	{
		Column	   *column = list_nth(table->map_columns, i);

		if (IsNumbered(column))
			before[i] = SequencePosition(column->sequence);
	}
	facts = Match(merge, table, mode);
	for (int i = 0; i < count; i++)
	{
		Column	   *column = list_nth(table->map_columns, i);

		if (!IsNumbered(column))
			continue;
		RefuseSequenceBehind(merge, table, column, before[i]);
		if (mode == MATCH_ALL && !merge->preview)
			NoteKeysDrawn(column, before[i]);
	}
	return facts;
}

/*
 * Whether matching the facts of a table has to wait for others of its
 * component.
 */
static bool
GoesThroughCircle(FactTable *table)
{
	ListCell   *lc;
	ListCell   *key;

	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);
		ListCell   *c;

		if (!reference->remapped || reference->target->component != table->component)
			continue;
		if (IsBag(table) || (table->has_tags && table->rule))
			return true;
		foreach(c, reference->columns)
			if (table->rule && list_member_ptr(table->rule->columns, lfirst(c)))
			return true;
		foreach(c, reference->columns)
			foreach(key, table->sameness)
			if (list_member_ptr(((UniqueKey *) lfirst(key))->inputs, lfirst(c)))
				return true;
	}
	return false;
}

/*
 * Whether the new keys of a table can be assigned once those of some others
 * of its component are.
 */
static bool
CanBeAssigned(FactTable *table, List *assigned)
{
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Reference  *reference = ((Column *) lfirst(lc))->reference;

		if (reference && reference->target->component == table->component &&
			!list_member_ptr(assigned, reference->target))
			return false;
	}
	return true;
}

/*
 * Assign addresses to what is left of a component, each table after those
 * that its own key is made of.
 */
static void
AssignRest(Merge *merge, List *component)
{
	List	   *assigned = NIL;

	while (list_length(assigned) < list_length(component))
	{
		FactTable  *next = NULL;
		ListCell   *lc;
		instr_time	start;

		foreach(lc, component)
			if (!list_member_ptr(assigned, lfirst(lc)) &&
				CanBeAssigned(lfirst(lc), assigned))
		{
			next = lfirst(lc);
			break;
		}
		if (next == NULL)
			foreach(lc, component)
				if (!list_member_ptr(assigned, lfirst(lc)))
				RefuseCircularKeys(lfirst(lc), assigned);
		StartClock(&start);
		next->counts.source_facts += MatchChecked(merge, next, MATCH_REST);
		assigned = lappend(assigned, next);
		StopClock(next, STAGE_MATCH, &start);
	}
}

/*
 * Match one round of a component; returns how many facts were matched.
 */
static int64
MatchRound(Merge *merge, List *component, MatchMode mode)
{
	int64		found = 0;
	ListCell   *lc;

	foreach(lc, component)
	{
		FactTable  *table = lfirst(lc);
		instr_time	start;
		int64		facts;

		StartClock(&start);
		ReportActivity(merge, table, "matching");
		facts = Match(merge, table, mode);
		table->counts.source_facts += facts;
		found += facts;
		StopClock(table, STAGE_MATCH, &start);
	}
	return found;
}

/*
 * Match the facts of a circle with what earlier merges have made of them, supposing that
 * what they refer to is still the same.  Should it not be, that fact has changed, and the
 * merge is refused (keymap.c).
 */
static void
MatchCircleAgain(Merge *merge, List *component)
{
	ListCell   *lc;

	foreach(lc, component)
		if (IsTemporary(((FactTable *) lfirst(lc))->source) || !KnowsSourceTables())
		return;
	foreach(lc, component)
		((FactTable *) lfirst(lc))->supposed = true;
	foreach(lc, component)
		MatchAgain(merge, lfirst(lc));
	foreach(lc, component)
		((FactTable *) lfirst(lc))->supposed = false;
}

/*
 * Match facts of a circle that earlier merges know and that cannot be compared; returns
 * whether there were any.
 */
static bool
MatchKnown(Merge *merge, List *component, Levels *levels)
{
	bool		known = false;
	ListCell   *lc;

	foreach(lc, component)
		known |= ((FactTable *) lfirst(lc))->merged_before;
	if (!known)
		return false;
	if (levels)
		StandIn(levels, false);
	known = MatchRound(merge, component, MATCH_KNOWN) > 0;
	if (levels)
		StandIn(levels, true);
	return known;
}

/*
 * Match tables that refer to each other in a circle, level by level; what
 * earlier merges know of comes in where that gets no further.
 */
static void
MatchComponent(Merge *merge, List *component)
{
	bool		follow = CanFollow(component);
	bool		known = true;
	ListCell   *lc;

	if (follow)
		MatchCircleAgain(merge, component);
	foreach(lc, component)
		NoticeUnidentified(merge, lfirst(lc));
	while (known)
	{
		Levels	   *levels = NULL;

		if (MatchRound(merge, component, MATCH_LEVEL) > 0 && !follow)
			continue;
		if (follow)
		{
			levels = BeginLevels(merge, component);
			MatchLevels(merge, levels);
			KeepLevels(merge, levels);
		}
		known = MatchKnown(merge, component, levels);
		if (!known)
			NoticeUnresolved(merge, component, levels);
		if (levels)
			EndLevels(levels);
	}
	AssignRest(merge, component);
}

/*
 * Count what has been found, and make the key map ready for use.
 */
static void
FinishMatching(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};

	table->settled = true;
	if (HasNothingNew(table))
	{
		table->counts.in_both = table->counts.source_facts;
		return;
	}
	KeepRekeyed(merge, table);
	SettleKeyMap(merge, table);
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	table->counts.copied = table->repeated ?
		SqlFetchInt64(merge->snapshot,
					  psprintf("SELECT pg_catalog.count(*) FROM %s", table->draft), NULL) :
		SqlFetchInt64(merge->snapshot,
					  psprintf("SELECT pg_catalog.count(*) FROM %s WHERE merge_id = $1 AND NOT in_both AND NOT folded",
							   table->map), &args);
	FindFolds(merge, table);
	if (table->rule || table->folds)
		table->inexact =
			SqlFetchInt64(merge->snapshot,
						  psprintf("SELECT pg_catalog.count(*) FROM %s WHERE inexact",
								   table->map), NULL);
	table->counts.in_both = table->counts.source_facts - table->counts.copied;
	if (!table->repeated)
		table->destination_facts =
			SqlFetchInt64(merge->snapshot,
						  psprintf("SELECT pg_catalog.count(*) FROM %s",
								   QualifiedRelation(table->destination)), NULL);
}

/*
 * The tables of the component that starts with this one.
 */
static List *
ComponentOf(Merge *merge, FactTable *table)
{
	List	   *component = NIL;
	ListCell   *lc;

	foreach(lc, merge->tables)
		if (((FactTable *) lfirst(lc))->component == table->component)
		component = lappend(component, lfirst(lc));
	return component;
}

/*
 * Whether the facts of a table can be matched all at once, whatever other facts of its
 * component are.
 */
bool
IsMatchedAlone(Merge *merge, FactTable *table)
{
	return list_length(ComponentOf(merge, table)) == 1 && !GoesThroughCircle(table);
}

/*
 * Match all tables of a component (of which most have just one).
 */
static void
MatchTogether(Merge *merge, List *component)
{
	bool		circular = !IsMatchedAlone(merge, linitial(component));
	ListCell   *lc;
	instr_time	start;

	foreach(lc, component)
	{
		FactTable  *table = lfirst(lc);

		StartClock(&start);
		ReportActivity(merge, table, "matching");
		RefuseIndistinct(table);
		OpenKeyMap(merge, table);
		ChooseFacts(merge, table, !circular);
		if (!HasNothingNew(table))
		{
			TryAddress(merge, table);
			CheckEventLog(merge, table);
		}
		StopClock(table, STAGE_MATCH, &start);
	}
	if (circular && !HasNothingNew(linitial(component)))
		MatchComponent(merge, component);
	foreach(lc, component)
	{
		FactTable  *table = lfirst(lc);

		StartClock(&start);
		ReportActivity(merge, table, "matching");
		table->counts.source_facts += table->known;
		if (HasNothingNew(table))
			continue;
		RefuseAmbiguity(merge, table);
		if (!circular)
		{
			if (table->rule || IsBag(table))
				MatchAgain(merge, table);
			NoticeUnidentified(merge, table);
			table->counts.source_facts += MatchChecked(merge, table, MATCH_ALL);
		}
		RefuseFusion(merge, table);
		StopClock(table, STAGE_MATCH, &start);
	}
	StartClock(&start);
	foreach(lc, component)
		AssignNumbers(merge, lfirst(lc));
	if (!HasNothingNew(linitial(component)))
		FoldFacts(merge, component);
	foreach(lc, component)
		FinishMatching(merge, lfirst(lc));
	StopClock(linitial(component), STAGE_MATCH, &start);
}

/*
 * Fill the key maps of all tables.
 */
void
MatchFacts(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		List	   *component = ComponentOf(merge, lfirst(lc));

		CHECK_FOR_INTERRUPTS();
		if (linitial(component) == lfirst(lc))
			MatchTogether(merge, component);
	}
}
