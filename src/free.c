/*-------------------------------------------------------------------------
 *
 * free.c
 *	  looking facts of a circle up by all that they hold
 *
 * While a circle is followed level by level (level.c), each of its facts is looked up as
 * soon as what it refers to is known.  Where a key tells facts apart, its index does that.
 * Where the whole row does (bag.c), or a declared key, no index need be there: so the
 * destination's facts that may still be taken are put into a table, free, with a hash of
 * what is compared and the rank that each has among its equals.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "factmerge.h"
#include "level.h"
#include "samerule.h"
#include "sameness.h"

/*
 * The columns in which facts of a table are equal that are looked up by a hash: those of
 * the declared key, or all.
 */
static List *
HashedColumns(FactTable *table)
{
	return table->rule ? table->rule->key->columns : WholeRow(table);
}

/*
 * Append a hash of what the row s of the source, as the destination would write it, or
 * row d of the destination holds in these columns.
 */
static void
AppendHash(StringInfo sql, FactTable *table, bool source)
{
	bool		first = true;
	ListCell   *lc;

	appendStringInfoString(sql, "pg_catalog.hash_record_extended(ROW(");
	foreach(lc, HashedColumns(table))
	{
		Column	   *column = lfirst(lc);

		if (!HasHash(column->type) || !OidIsValid(EqualityOperator(column->type)))
			continue;
		AppendSeparator(sql, ", ", &first);
		if (source)
			AppendMatched(sql, column);
		else
			appendStringInfo(sql, "d.%s", quote_identifier(column->name));
	}
	appendStringInfoString(sql, "), 0)");
}

/*
 * Append the rank of row d of the destination among its equals.  By a declared key the
 * one with the lowest address is the counterpart.
 */
static void
AppendFreeRank(StringInfo sql, FactTable *table)
{
	if (table->rule)
		AppendRankAmong(sql, table, false, table->rule->key->columns);
	else
		AppendRank(sql, table, false);
}

/*
 * Make the table of the destination's facts that are compared as a whole, or by a declared
 * key.
 */
void
CreateFree(Merge *merge, Level *level)
{
	FactTable  *table = level->table;
	char	   *name = TemporaryName(table, "free");
	StringInfoData sql;
	ListCell   *lc;

	if (!IsBag(table) && table->rule == NULL)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS SELECT ", name);
	foreach(lc, table->address)
		appendStringInfo(&sql, "d.%s AS d%d, ", quote_identifier(((Column *) lfirst(lc))->name),
						 ((Column *) lfirst(lc))->map_number);
	AppendHash(&sql, table, false);
	appendStringInfoString(&sql, " AS hash, ");
	AppendFreeRank(&sql, table);
	appendStringInfo(&sql, " AS rank FROM %s AS d WHERE ", QualifiedRelation(table->destination));
	AppendRefersIntoCircle(&sql, level, "d");
	if (table->rule == NULL)
	{
		appendStringInfoString(&sql, " AND ");
		AppendIsFree(&sql, table);
	}
	SqlExecute(merge->snapshot, sql.data, NULL);
	SqlUtility(psprintf("CREATE INDEX ON %s (hash)", name));
	SqlUtility(psprintf("ANALYZE %s", name));
	table->free = name;
}

/*
 * Append the join of a ready fact s with the one of the destination, as b, that is equal
 * as a whole, and of the same rank; or that is the first by a declared key.
 */
void
AppendFreeCounterpart(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	appendStringInfo(sql, " LEFT JOIN (%s AS q JOIN %s AS b ON true", table->free,
					 QualifiedRelation(table->destination));
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfoString(sql, " AND ");
		AppendSameOnSide(sql, column, false, psprintf("q.d%d", column->map_number),
						 psprintf("b.%s", quote_identifier(column->name)));
	}
	appendStringInfoString(sql, ") ON q.hash = ");
	AppendHash(sql, table, true);
	appendStringInfoString(sql, " AND q.rank = s.factmerge_rank AND ");
	if (table->rule)
	{
		AppendRowEquality(sql, table->rule->key->columns, NIL, NIL, table->rule->nulls_same, "b");
		AppendNotWaiting(sql, table, table->rule->key->columns);
		return;
	}
	AppendWholeRowEquality(sql, table, "b");
	AppendNotIdentified(sql, table, "s");
}
