/*-------------------------------------------------------------------------
 *
 * sameness.c
 *	  which fact of the source is which fact of the destination
 *
 * The SQL that says so: the source's facts, their references translated
 * through the key maps of the tables before, joined with the destination's on
 * each sameness key, or by the pairs that a declared rule has found
 * (candidate.c).  match.c runs it.
 *
 * Where the sameness of a table goes through a circle of references (a tree
 * whose names are unique below their parent), a fact can be matched only after
 * what it refers to.  A reference that is not mapped yet equals nothing; where
 * nulls are equal, it must not pass for a null either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"
#include "level.h"
#include "samerule.h"
#include "sameness.h"

static SameWay *
MakeWay(List *columns, List *never_null)
{
	SameWay    *way = palloc0(sizeof(SameWay));

	way->columns = columns;
	way->never_null = never_null;
	return way;
}

/*
 * The ways in which facts of a table can be the same.
 */
List *
WaysToBeSame(FactTable *table)
{
	List	   *ways = NIL;
	ListCell   *lc;

	if (table->rule)
	{
		List	   *never_null = table->rule->nulls_same ? NIL : list_copy(table->rule->key->columns);

		foreach(lc, table->rule->tolerances)
			never_null = lappend(never_null, ((Tolerance *) lfirst(lc))->column);
		return list_make1(MakeWay(table->rule->columns, never_null));
	}
	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);

		ways = lappend(ways, MakeWay(key->inputs,
									 key->nulls_not_distinct ? NIL : key->columns));
		((SameWay *) llast(ways))->key = key;
	}
	if (IsBag(table))
	{
		SameWay    *way = MakeWay(WholeRow(table), NIL);

		way->bag = true;
		ways = lappend(ways, way);
	}
	return ways;
}

/*
 * Append, where nulls are equal, that columns do not look null merely because
 * what they refer to has not been matched yet.
 */
void
AppendNotWaiting(StringInfo sql, FactTable *table, List *columns)
{
	ListCell   *lc;

	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);
		ListCell   *c;
		bool		compared = false;

		if (!reference->remapped || reference->target->component != table->component)
			continue;
		foreach(c, reference->columns)
			compared |= list_member_ptr(columns, lfirst(c));
		if (!compared)
			continue;
		appendStringInfo(sql, " AND (r%d.merge_id IS NOT NULL", reference->number);
		foreach(c, reference->columns)
			appendStringInfo(sql, " OR s.%s IS NULL",
							 quote_identifier(((Column *) lfirst(c))->name));
		appendStringInfoChar(sql, ')');
	}
}

/*
 * Append that the source's row equals row alias of the destination as a whole.
 */
void
AppendWholeRowEquality(StringInfo sql, FactTable *table, const char *alias)
{
	AppendRowEquality(sql, WholeRow(table), NIL, NIL, true, alias);
	AppendNotWaiting(sql, table, WholeRow(table));
}

/*
 * Whether facts may hold a null in every sameness key, so that nothing
 * identifies them.
 */
bool
HasUnidentified(FactTable *table)
{
	ListCell   *lc;

	/* A rule may say of a fact that it is not even the same as itself */
	if (table->rule)
		return true;
	foreach(lc, table->sameness)
		if (IdentifiesAll(lfirst(lc)))
		return false;
	return table->sameness != NIL;
}

/*
 * How many ways there are to find the counterpart of a fact that something
 * identifies.
 */
static int
KeyCount(FactTable *table)
{
	return table->rule ? 1 : list_length(table->sameness);
}

/*
 * Whether earlier merges may have copied facts that are not recognised otherwise:
 * those that the declared rule finds nothing for, where no key map knows them.
 */
static bool
HasEarlierCopies(FactTable *table)
{
	return table->has_tags && table->rule && !table->keyed;
}

/*
 * Append that a key of row alias, s of the source or one of the destination, holds a
 * null and so identifies nothing; that goes for every key.
 */
void
AppendNotIdentified(StringInfo sql, FactTable *table, const char *alias)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);

		appendStringInfoString(sql, " AND (false");
		foreach(c, key->nulls_not_distinct ? NIL : key->columns)
			appendStringInfo(sql, " OR %s.%s IS NULL", alias,
							 quote_identifier(((Column *) lfirst(c))->name));
		AppendExpressionsIncomplete(sql, table, key, alias);
		appendStringInfoChar(sql, ')');
	}
}

/*
 * Append, as c, a fact that an earlier merge copied from the same source and that looks
 * the same.
 */
static void
AppendEarlierCopies(StringInfo sql, Merge *merge, FactTable *table)
{
	appendStringInfo(sql, " LEFT JOIN %s AS c ON ", QualifiedRelation(table->destination));
	AppendWholeRowEquality(sql, table, "c");
	appendStringInfo(sql, " AND c." PROVENANCE_COLUMN " = 'source' AND c." MERGE_COLUMN
					 " IN (%s)", EarlierMerges(merge, table));
}

/*
 * Append the counterpart, as a row alias, that pairs (a table or a query, as map) have
 * found.
 */
static void
AppendPair(StringInfo sql, FactTable *table, const char *pairs, const char *map, const char *alias)
{
	StringInfoData source;
	StringInfoData destination;
	ListCell   *lc;

	initStringInfo(&source);
	initStringInfo(&destination);
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);
		Oid			operator = EqualityOperator(column->type);
		int			number = column->map_number;

		if (foreach_current_index(lc) > 0)
		{
			appendStringInfoString(&source, " AND ");
			appendStringInfoString(&destination, " AND ");
		}
		AppendSameOnSide(&source, column, true, psprintf("%s.s%d", map, number), SourceValue(column));
		AppendEquality(&destination, psprintf("%s.d%d", map, number), operator,
					   psprintf("%s.%s", alias, quote_identifier(column->name)),
					   column->collation);
	}
	appendStringInfo(sql, " LEFT JOIN %s AS %s ON %s LEFT JOIN %s AS %s ON %s",
					 pairs, map, source.data,
					 QualifiedRelation(table->destination), alias, destination.data);
}

/*
 * Append that the source's row equals a row of the destination by a key in which nulls
 * are equal, in a form that the key's index serves.
 */
static void
AppendIndexedEquality(StringInfo sql, UniqueKey *key, const char *alias)
{
	ListCell   *lc;

	foreach(lc, key->columns)
	{
		List	   *column = list_make1(lfirst(lc));
		int			i = foreach_current_index(lc);
		const char *name = quote_identifier(((Column *) lfirst(lc))->name);

		appendStringInfoString(sql, i > 0 ? " AND (" : "(");
		AppendRowEquality(sql, column, list_make1_oid(list_nth_oid(key->operators, i)),
						  list_make1_oid(list_nth_oid(key->collations, i)), false, alias);
		appendStringInfo(sql, " OR %s.%s IS NULL AND ", alias, name);
		AppendMatched(sql, lfirst(lc));
		appendStringInfoString(sql, " IS NULL)");
	}
}

/*
 * Append that the source's row equals a row of the destination by a key.
 */
static void
AppendSameByKey(StringInfo sql, FactTable *table, UniqueKey *key, const char *alias)
{
	if (key->columns == NIL)
		appendStringInfoString(sql, "true");
	else if (table->followed && key->nulls_not_distinct)
		AppendIndexedEquality(sql, key, alias);
	else
		AppendRowEquality(sql, key->columns, key->operators, key->collations,
						  key->nulls_not_distinct, alias);
	AppendExpressionsEqual(sql, table, key, alias, "s");
	if (key->nulls_not_distinct || !IsPlain(key))
		AppendNotWaiting(sql, table, key->inputs);
}

/*
 * Append the join of the source's row with one destination row d1, d2, ... per
 * sameness key.
 */
void
AppendCounterpartsByKey(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);
		char	   *alias = psprintf("d%d", foreach_current_index(lc) + 1);

		appendStringInfo(sql, " LEFT JOIN %s AS %s ON ",
						 QualifiedRelation(table->destination), alias);
		AppendSameByKey(sql, table, key, alias);
	}
}

/*
 * Append the join of the source's row with its counterparts: the one by the
 * declared rule, or those by keys; the one in the bag, as b; and where the rule finds
 * none, an earlier copy.
 */
static void
AppendCounterparts(StringInfo sql, Merge *merge, FactTable *table)
{
	AppendWritten(sql, table);
	if (table->rule && !table->followed)
		AppendPair(sql, table, table->pairs, "p", "d1");
	AppendCounterpartsByKey(sql, table);
	if (table->free)
		AppendFreeCounterpart(sql, table);
	else if (IsBag(table))
	{
		StringInfoData pairs;

		initStringInfo(&pairs);
		AppendBagPairs(&pairs, merge, table);
		AppendPair(sql, table, pairs.data, "q", "b");
	}
	if (HasEarlierCopies(table))
		AppendEarlierCopies(sql, merge, table);
}

/*
 * Append that row d1 of the destination, which an earlier merge has found or copied, is
 * still the same: by a key, or as a whole.
 */
static void
AppendStillSame(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	appendStringInfoString(sql, "(false");
	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);

		appendStringInfoString(sql, " OR (");
		AppendSameByKey(sql, table, key, "d1");
		appendStringInfoChar(sql, ')');
	}
	if (table->rule && IsKeyOnly(table->rule))
	{
		appendStringInfoString(sql, " OR (");
		AppendRowEquality(sql, table->rule->key->columns, NIL, NIL, table->rule->nulls_same, "d1");
		AppendNotWaiting(sql, table, table->rule->key->columns);
		appendStringInfoChar(sql, ')');
	}
	if (table->rule || IsBag(table))
	{
		List	   *columns = WithoutNumbers(WholeRow(table));

		/* Whatever number the copy has been given */
		appendStringInfoString(sql, columns ? " OR (" : " OR (true");
		AppendRowEquality(sql, columns, NIL, NIL, true, "d1");
		AppendNotWaiting(sql, table, columns);
		AppendNotIdentified(sql, table, "s");
		appendStringInfoChar(sql, ')');
	}
	appendStringInfoChar(sql, ')');
}

/*
 * Append that row d1 looks the same but for references within the component, which
 * cannot be compared.
 */
static void
AppendLooksSame(StringInfo sql, FactTable *table)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, WithoutNumbers(WholeRow(table)))
	{
		Reference  *reference = ((Column *) lfirst(lc))->reference;

		if (reference == NULL || reference->target->component != table->component)
			columns = lappend(columns, lfirst(lc));
	}
	if (columns == NIL)
		appendStringInfoString(sql, "true");
	AppendRowEquality(sql, columns, NIL, NIL, true, "d1");
}

/*
 * Append the counterpart, d1, that the key map has from an earlier merge, if that is
 * still the same, or with again may be.
 */
static void
AppendKnown(StringInfo sql, Merge *merge, FactTable *table, bool again)
{
	AppendWritten(sql, table);
	appendStringInfo(sql, " JOIN %s AS o ON o.merge_id <> " INT64_FORMAT " AND ",
					 table->map, merge->id);
	AppendMapJoin(sql, table, "o", "source", "s");
	appendStringInfo(sql, " JOIN %s AS d1 ON ", QualifiedRelation(table->destination));
	AppendMapJoin(sql, table, "o", "destination", "d1");
	appendStringInfoString(sql, " AND ");
	if (again)
		AppendStillSame(sql, table);
	else
		AppendLooksSame(sql, table);
}

/*
 * Whether several rows of the destination can equal one of the source, so that
 * the lowest has to be chosen.
 */
bool
NeedsChoice(FactTable *table, MatchMode mode)
{
	return (mode == MATCH_ALL || mode == MATCH_LEVEL) && HasEarlierCopies(table);
}

/*
 * Append what the matched row has in a column: the first counterpart; a copy that merely
 * looks the same comes last.
 */
static void
AppendFound(StringInfo sql, FactTable *table, MatchMode mode, const char *column)
{
	bool		known = mode == MATCH_KNOWN || mode == MATCH_AGAIN;
	bool		hashed = !known && (IsBag(table) || (table->rule && table->followed));
	int			count = known ? 1 : table->followed ? list_length(table->sameness) : KeyCount(table);
	bool		first = true;

	appendStringInfoString(sql, "COALESCE(");
	for (int i = 1; i <= count; i++)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "d%d.%s", i, column);
	}
	if (hashed)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "b.%s", column);
	}
	if (!known && HasEarlierCopies(table))
		appendStringInfo(sql, ", c.%s", column);
	appendStringInfoChar(sql, ')');
}

/*
 * Whether the value of a column for a new fact is drawn only when the row is
 * written, so that it comes in order.
 */
bool
IsDrawn(Column *column)
{
	return column->surrogate && column->reference == NULL;
}

/*
 * Append the value that a fact without counterpart will have in a column of
 * the key map; what is drawn, and where a row will lie, is not known yet.
 */
static void
AppendAssigned(StringInfo sql, Column *column)
{
	if (column->system || IsDrawn(column))
		appendStringInfo(sql, "NULL::%s", TypeText(column->type, -1));
	else
		AppendTranslated(sql, column);
}

/*
 * Append the columns of the key map: the fact's address in the source, and that of the
 * fact found, or else the one that it will have.
 */
static void
AppendMapColumns(StringInfo sql, FactTable *table, MatchMode mode)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		AppendSeparator(sql, ", ", &first);
		AppendSourceValue(sql, column);
		appendStringInfo(sql, " AS s%d", column->map_number);
	}
	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		appendStringInfoString(sql, ", ");
		if (mode == MATCH_REST)
			AppendAssigned(sql, column);
		else
		{
			appendStringInfoString(sql, "CASE WHEN ");
			AppendFound(sql, table, mode, "ctid");
			appendStringInfoString(sql, " IS NOT NULL THEN ");
			AppendFound(sql, table, mode, quote_identifier(column->name));
			appendStringInfoString(sql, " ELSE ");
			AppendAssigned(sql, column);
			appendStringInfoString(sql, " END");
		}
		appendStringInfo(sql, " AS d%d", column->map_number);
	}
}

/*
 * Append whether the fact is in both, whether only by a declared sameness, and the
 * values that the draft keeps.
 */
static void
AppendFindings(StringInfo sql, FactTable *table, MatchMode mode)
{
	ListCell   *lc;

	appendStringInfoString(sql, ", ");
	if (mode == MATCH_REST)
		appendStringInfoString(sql, "false");
	else
	{
		AppendFound(sql, table, mode, "ctid");
		appendStringInfoString(sql, " IS NOT NULL");
	}
	appendStringInfo(sql, " AS in_both, %s AS inexact",
					 !table->rule || table->followed || (mode != MATCH_ALL && mode != MATCH_LEVEL) ? "false" :
					 "COALESCE(p.inexact, false)");
	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (!column->drafted)
			continue;
		appendStringInfoString(sql, ", ");
		AppendTranslated(sql, column);
		appendStringInfo(sql, " AS value_%d", column->number);
	}
}

/*
 * Append the facts to match: s1, s2, ... their values in the source, d1, d2,
 * ... those in the destination, and whether they are matched.
 */
void
AppendMatches(StringInfo sql, Merge *merge, FactTable *table, MatchMode mode)
{
	ListCell   *lc;
	StringInfoData address;

	initStringInfo(&address);
	foreach(lc, table->address)
		appendStringInfo(&address, "%s%d", foreach_current_index(lc) ? ", " : "",
						 ((Column *) lfirst(lc))->map_number);

	appendStringInfoString(sql, "SELECT ");
	/* Of several rows that look the same, the lowest key is the one */
	if (NeedsChoice(table, mode))
		appendStringInfo(sql, "DISTINCT ON (%s) ", address.data);
	AppendMapColumns(sql, table, mode);
	AppendFindings(sql, table, mode);
	appendStringInfoString(sql, " FROM ");
	AppendSourceRow(sql, merge, table, false);
	if (mode == MATCH_KNOWN || mode == MATCH_AGAIN)
		AppendKnown(sql, merge, table, mode == MATCH_AGAIN);
	else if (mode != MATCH_REST)
		AppendCounterparts(sql, merge, table);
}

/*
 * Append that the source's row has no address yet.
 */
void
AppendNoAddressYet(StringInfo sql, Merge *merge, FactTable *table)
{
	appendStringInfo(sql, " AND NOT EXISTS (SELECT FROM %s AS m WHERE m.merge_id = " INT64_FORMAT " AND ",
					 table->map, merge->id);
	AppendMapJoin(sql, table, "m", "source", "s");
	appendStringInfoChar(sql, ')');
}

/*
 * Append the conditions of a component: leave out what has an address, and
 * while matching what has no counterpart (yet).
 */
void
AppendLevelConditions(StringInfo sql, Merge *merge, FactTable *table, MatchMode mode)
{
	appendStringInfoString(sql, " WHERE true");
	/* What is known is matched first */
	if (mode != MATCH_AGAIN)
		AppendNoAddressYet(sql, merge, table);
	if (mode == MATCH_REST)
		return;
	appendStringInfoString(sql, " AND ");
	AppendFound(sql, table, mode, "ctid");
	appendStringInfoString(sql, " IS NOT NULL");
}
