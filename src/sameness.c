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
		List	   *never_null = list_copy(table->rule->key->columns);

		foreach(lc, table->rule->tolerances)
			never_null = lappend(never_null, ((Tolerance *) lfirst(lc))->column);
		return list_make1(MakeWay(table->rule->columns, never_null));
	}
	if (table->sameness == NIL)
		return list_make1(MakeWay(WholeRow(table), NIL));
	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);

		ways = lappend(ways, MakeWay(key->inputs,
									 key->nulls_not_distinct ? NIL : key->columns));
		((SameWay *) llast(ways))->key = key;
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
static void
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
 * Whether earlier merges may have copied facts that are not recognised
 * otherwise: those that nothing identifies, and all but one of those that look
 * the same.
 */
static bool
HasEarlierCopies(FactTable *table)
{
	if (!table->has_tags)
		return false;
	if (table->sameness == NIL && !table->rule)
		return table->keyed;
	return HasUnidentified(table);
}

/*
 * Append that a key of the source's row holds a null, so that it identifies
 * nothing.
 */
static void
AppendNotIdentified(StringInfo sql, FactTable *table)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);

		appendStringInfoString(sql, " AND (false");
		foreach(c, key->nulls_not_distinct ? NIL : key->columns)
			appendStringInfo(sql, " OR s.%s IS NULL",
							 quote_identifier(((Column *) lfirst(c))->name));
		AppendExpressionsIncomplete(sql, table, key, "s");
		appendStringInfoChar(sql, ')');
	}
}

/*
 * Append what an earlier merge made of a fact, as c: what the key map has, if
 * that still looks the same.  Where rows have no key, it is a fact that an
 * earlier merge copied from the same source and that looks the same.
 */
static void
AppendEarlierCopies(StringInfo sql, Merge *merge, FactTable *table)
{
	if (table->keyed)
	{
		appendStringInfo(sql, " LEFT JOIN (%s AS o JOIN %s AS c ON ", table->map,
						 QualifiedRelation(table->destination));
		AppendMapJoin(sql, table, "o", "destination", "c");
		appendStringInfo(sql, ") ON o.merge_id <> " INT64_FORMAT " AND ", merge->id);
		AppendMapJoin(sql, table, "o", "source", "s");
		appendStringInfoString(sql, " AND ");
		AppendWholeRowEquality(sql, table, "c");
	}
	else
	{
		appendStringInfo(sql, " LEFT JOIN %s AS c ON ",
						 QualifiedRelation(table->destination));
		AppendWholeRowEquality(sql, table, "c");
		appendStringInfo(sql, " AND c." PROVENANCE_COLUMN " = 'source' AND c." MERGE_COLUMN
						 " IN (%s)", EarlierMerges(merge, table));
	}
	AppendNotIdentified(sql, table);
}

/*
 * Append the counterpart, d1, that the declared rule has found.
 */
static void
AppendPair(StringInfo sql, FactTable *table)
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
		AppendEquality(&source, psprintf("p.s%d", number), operator,
					   SourceValue(column), column->collation);
		AppendEquality(&destination, psprintf("p.d%d", number), operator,
					   psprintf("d1.%s", quote_identifier(column->name)),
					   column->collation);
	}
	appendStringInfo(sql, " LEFT JOIN %s AS p ON %s LEFT JOIN %s AS d1 ON %s",
					 table->pairs, source.data,
					 QualifiedRelation(table->destination), destination.data);
}

/*
 * Append the join of the source's row with its counterparts: the one by the
 * declared rule, or one destination row d1, d2, ... per sameness key, or one
 * for the whole row; and one more for facts without identity.
 */
static void
AppendCounterparts(StringInfo sql, Merge *merge, FactTable *table)
{
	ListCell   *lc;

	AppendWritten(sql, table);
	if (table->rule)
		AppendPair(sql, table);
	else if (table->sameness == NIL)
	{
		appendStringInfo(sql, " LEFT JOIN %s AS d1 ON ",
						 QualifiedRelation(table->destination));
		AppendWholeRowEquality(sql, table, "d1");
	}
	foreach(lc, table->sameness)
	{
		UniqueKey  *key = lfirst(lc);
		char	   *alias = psprintf("d%d", foreach_current_index(lc) + 1);

		appendStringInfo(sql, " LEFT JOIN %s AS %s ON ",
						 QualifiedRelation(table->destination), alias);
		if (key->columns == NIL)
			appendStringInfoString(sql, "true");
		AppendRowEquality(sql, key->columns, key->operators, key->collations,
						  key->nulls_not_distinct, alias);
		AppendExpressionsEqual(sql, table, key, alias, "s");
		if (key->nulls_not_distinct || !IsPlain(key))
			AppendNotWaiting(sql, table, key->inputs);
	}
	if (HasEarlierCopies(table))
		AppendEarlierCopies(sql, merge, table);
}

/*
 * Append the counterpart, d1, that the key map has from an earlier merge,
 * provided that it still looks the same but for references within the
 * component, which cannot be compared.
 */
static void
AppendKnown(StringInfo sql, Merge *merge, FactTable *table)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, WholeRow(table))
	{
		Reference  *reference = ((Column *) lfirst(lc))->reference;

		if (reference == NULL || reference->target->component != table->component)
			columns = lappend(columns, lfirst(lc));
	}
	appendStringInfo(sql, " JOIN %s AS o ON o.merge_id <> " INT64_FORMAT " AND ",
					 table->map, merge->id);
	AppendMapJoin(sql, table, "o", "source", "s");
	appendStringInfo(sql, " JOIN %s AS d1 ON ", QualifiedRelation(table->destination));
	AppendMapJoin(sql, table, "o", "destination", "d1");
	if (columns != NIL)
		appendStringInfoString(sql, " AND ");
	AppendRowEquality(sql, columns, NIL, NIL, true, "d1");
}

/*
 * Whether several rows of the destination can equal one of the source, so that
 * the lowest has to be chosen.
 */
bool
NeedsChoice(FactTable *table, MatchMode mode)
{
	return (mode == MATCH_ALL || mode == MATCH_LEVEL) &&
		(KeyCount(table) == 0 || (!table->keyed && HasEarlierCopies(table)));
}

/*
 * Append what the matched row has in a column: the copy that an earlier merge
 * made of the fact, else the first counterpart; a copy that merely looks the
 * same comes last.
 */
static void
AppendFound(StringInfo sql, FactTable *table, MatchMode mode, const char *column)
{
	int			count = mode == MATCH_KNOWN ? 1 : Max(KeyCount(table), 1);
	bool		copies = mode != MATCH_KNOWN && HasEarlierCopies(table);
	bool		first = true;

	appendStringInfoString(sql, "COALESCE(");
	if (copies && table->keyed)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "c.%s", column);
	}
	for (int i = 1; i <= count; i++)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "d%d.%s", i, column);
	}
	if (copies && !table->keyed)
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
 * Append the facts to match: s1, s2, ... their values in the source, d1, d2,
 * ... those in the destination, and whether they are matched.
 */
void
AppendMatches(StringInfo sql, Merge *merge, FactTable *table, MatchMode mode)
{
	ListCell   *lc;
	bool		first = true;
	StringInfoData address;

	initStringInfo(&address);
	foreach(lc, table->address)
		appendStringInfo(&address, "%s%d", foreach_current_index(lc) ? ", " : "",
						 ((Column *) lfirst(lc))->map_number);

	appendStringInfoString(sql, "SELECT ");
	/* Of several rows that look the same, the lowest key is the one */
	if (NeedsChoice(table, mode))
		appendStringInfo(sql, "DISTINCT ON (%s) ", address.data);
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
		const char *name = quote_identifier(column->name);

		appendStringInfoString(sql, ", ");
		if (mode == MATCH_REST)
			AppendAssigned(sql, column);
		else
		{
			appendStringInfoString(sql, "CASE WHEN ");
			AppendFound(sql, table, mode, "ctid");
			appendStringInfoString(sql, " IS NOT NULL THEN ");
			AppendFound(sql, table, mode, name);
			appendStringInfoString(sql, " ELSE ");
			AppendAssigned(sql, column);
			appendStringInfoString(sql, " END");
		}
		appendStringInfo(sql, " AS d%d", column->map_number);
	}
	appendStringInfoString(sql, ", ");
	if (mode == MATCH_REST)
		appendStringInfoString(sql, "false");
	else
	{
		AppendFound(sql, table, mode, "ctid");
		appendStringInfoString(sql, " IS NOT NULL");
	}
	appendStringInfo(sql, " AS in_both, %s AS inexact",
					 !table->rule || (mode != MATCH_ALL && mode != MATCH_LEVEL) ? "false" :
					 table->keyed && HasEarlierCopies(table) ? "c.ctid IS NULL AND COALESCE(p.inexact, false)" :
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
	appendStringInfoString(sql, " FROM ");
	AppendSourceRow(sql, merge, table, false);
	if (mode == MATCH_KNOWN)
		AppendKnown(sql, merge, table);
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
	AppendNoAddressYet(sql, merge, table);
	if (mode == MATCH_REST)
		return;
	appendStringInfoString(sql, " AND ");
	AppendFound(sql, table, mode, "ctid");
	appendStringInfoString(sql, " IS NOT NULL");
}

/*
 * Refuse facts that are the same as one fact of the destination by one key,
 * and as another by another.
 */
void
RefuseAmbiguity(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	char	  **row;
	bool		first = true;

	if (list_length(table->sameness) < 2)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s", AddressText(table, "s"));
	for (int i = 1; i <= list_length(table->sameness); i++)
		appendStringInfo(&sql, ", %s", AddressText(table, psprintf("d%d", i)));
	appendStringInfoString(&sql, " FROM ");
	AppendSourceRow(&sql, merge, table, false);
	AppendCounterparts(&sql, merge, table);
	appendStringInfoString(&sql, " WHERE ");
	for (int i = 2; i <= list_length(table->sameness); i++)
		for (int j = 1; j < i; j++)
		{
			AppendSeparator(&sql, " OR ", &first);
			appendStringInfo(&sql, "(d%d.tableoid, d%d.ctid) <> (d%d.tableoid, d%d.ctid)",
							 j, j, i, i);
		}
	appendStringInfoString(&sql, " ORDER BY 1 LIMIT 1");
	row = SqlFetchRow(merge->snapshot, sql.data, NULL);
	if (row == NULL)
		return;

	for (int i = 2; i <= list_length(table->sameness); i++)
		for (int j = 1; j < i; j++)
			if (row[i] && row[j] && strcmp(row[i], row[j]) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_CARDINALITY_VIOLATION),
						 errmsg("a fact of table \"%s\" is the same as two facts of the destination",
								table->name),
						 errdetail("Source fact %s equals destination fact %s by key \"%s\" and destination fact %s by key \"%s\".",
								   row[0],
								   row[j], ((UniqueKey *) list_nth(table->sameness, j - 1))->name,
								   row[i], ((UniqueKey *) list_nth(table->sameness, i - 1))->name),
						 errhint("Decide which fact it is, and correct the key of the other.")));
}

/*
 * Refuse two facts of the source that are the same as one fact of the
 * destination, each by another key.  Where several may be the same by one key,
 * that cannot be told.
 */
void
RefuseFusion(Merge *merge, FactTable *table)
{
	StringInfoData same;
	StringInfoData other;
	char	  **row;
	ListCell   *lc;

	if (list_length(table->sameness) < 2 || MayFold(table))
		return;
	initStringInfo(&other);
	appendStringInfo(&other, "(m.ctid < o.ctid AND o.in_both AND o.merge_id = " INT64_FORMAT, merge->id);
	if (table->repeated)
	{
		/* A fact that is not looked at may be the other one */
		appendStringInfo(&other, " OR o.merge_id <> " INT64_FORMAT " AND NOT (", merge->id);
		AppendSameAddress(&other, table, SIDE_SOURCE, "m.source_", "o.source_");
		appendStringInfoChar(&other, ')');
	}
	appendStringInfoChar(&other, ')');
	initStringInfo(&same);
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfoString(&same, " AND ");
		AppendEquality(&same, psprintf("m.destination_%d", column->map_number),
					   EqualityOperator(column->type),
					   psprintf("o.destination_%d", column->map_number),
					   column->collation);
	}
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT %s, %s, %s FROM %s AS m JOIN %s AS o ON m.in_both AND m.merge_id = " INT64_FORMAT
							   " AND %s%s ORDER BY 1 LIMIT 1",
							   MapAddressText(table, "m.source"),
							   MapAddressText(table, "o.source"),
							   MapAddressText(table, "m.destination"),
							   table->map, table->map, merge->id, other.data, same.data), NULL);
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("two facts of table \"%s\" are the same as one fact of the destination",
						table->name),
				 errdetail("Source facts %s and %s both equal destination fact %s, by different keys.",
						   row[0], row[1], row[2]),
				 errhint("Decide which fact it is, and correct the key of the other.")));
}

/*
 * Refuse a table whose facts have nothing to be told apart by.
 */
void
RefuseIndistinct(FactTable *table)
{
	if (!table->rule && table->sameness == NIL && WholeRow(table) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot tell the facts of table \"%s\" apart", table->name),
				 errdetail("All that they hold is a generated key."),
				 errhint("Add a column, or a unique key, that identifies a fact.")));
}
