/*-------------------------------------------------------------------------
 *
 * candidate.c
 *	  the counterparts of facts by a declared sameness
 *
 * The facts of either side are joined on what has to be equal (the key, and the
 * blocks of tolerance.c), the pairs that this makes are put to the test, and
 * of those that pass it each fact of the source keeps one: that which an
 * earlier merge found, else the nearest, else that with the lowest key.  What
 * is left is a temporary table of pairs, which sameness.c joins the two sides
 * with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"
#include "samerule.h"
#include "sameness.h"

/* Each of them multiplies the rows, while the first ones narrow down the most */
#define MOST_ARRAYS 3

/*
 * Append what takes the place of the key in the order of rows without one.
 * Where they lie changes, as soon as they are tagged.
 */
static void
AppendWholeRow(StringInfo sql, FactTable *table)
{
	bool		first = true;
	ListCell   *lc;

	appendStringInfoString(sql, "ROW(");
	foreach(lc, table->columns)
	{
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "d.%s", quote_identifier(((Column *) lfirst(lc))->name));
	}
	appendStringInfoString(sql, ")::pg_catalog.text COLLATE pg_catalog.\"C\" AS factmerge_row, ");
}

/*
 * Append one side of the join as source or destination: the addresses of its
 * facts, the columns that the rule looks at, and the blocks.
 */
static void
AppendSide(StringInfo sql, Merge *merge, FactTable *table, bool source, List *blocks)
{
	ListCell   *lc;

	appendStringInfoString(sql, "(SELECT ");
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		if (source)
			AppendSourceValue(sql, column);
		else
			appendStringInfo(sql, "d.%s", quote_identifier(column->name));
		appendStringInfo(sql, " AS factmerge_address_%d, ", column->map_number);
	}
	if (!source && !table->keyed)
		AppendWholeRow(sql, table);
	foreach(lc, blocks)
	{
		Block	   *block = lfirst(lc);
		int			number = foreach_current_index(lc) + 1;

		if (block->array)
			appendStringInfo(sql, "b%d.block AS factmerge_block_%d, ", number, number);
		else
			appendStringInfo(sql, "%s AS factmerge_block_%d, ", block->value, number);
	}
	foreach(lc, table->rule->columns)
	{
		Column	   *column = lfirst(lc);
		const char *name = quote_identifier(column->name);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		if (source)
			AppendMatched(sql, column);
		else
			appendStringInfo(sql, "d.%s", name);
		appendStringInfo(sql, " AS %s", name);
	}
	appendStringInfoString(sql, " FROM ");
	if (source)
		AppendSourceRow(sql, merge, table, false);
	else
		appendStringInfo(sql, "%s AS d", QualifiedRelation(table->destination));
	foreach(lc, blocks)
	{
		Block	   *block = lfirst(lc);

		if (block->array)
			appendStringInfo(sql, " CROSS JOIN LATERAL pg_catalog.unnest(%s) AS b%d (block)",
							 block->value, foreach_current_index(lc) + 1);
	}
}

/*
 * The blocks of one side of a table.
 */
static List *
BlocksOf(FactTable *table, bool source)
{
	List	   *blocks = NIL;
	int			arrays = 0;
	ListCell   *lc;
	ListCell   *b;

	foreach(lc, table->rule->tolerances)
	{
		Tolerance  *tolerance = lfirst(lc);
		StringInfoData value;

		initStringInfo(&value);
		if (source)
			AppendSourceValue(&value, tolerance->column);
		else
			appendStringInfo(&value, "d.%s", quote_identifier(tolerance->column->name));
		foreach(b, ToleranceBlocks(tolerance, value.data, source))
		{
			/* Both sides have to drop the same */
			if (tolerance->kind != TOLERATE_NORMALISED && ++arrays > MOST_ARRAYS)
				continue;
			blocks = lappend(blocks, lfirst(b));
		}
	}
	return blocks;
}

/*
 * Append what source and destination are joined on.
 */
static void
AppendJoin(StringInfo sql, FactTable *table, List *blocks)
{
	List	   *key = table->rule->key->columns;
	List	   *lefts = NIL;
	List	   *rights = NIL;
	bool		first = key == NIL;
	ListCell   *lc;

	foreach(lc, key)
	{
		const char *name = quote_identifier(((Column *) lfirst(lc))->name);

		lefts = lappend(lefts, psprintf("destination.%s", name));
		rights = lappend(rights, psprintf("source.%s", name));
	}
	AppendEqualValues(sql, key, NIL, NIL, table->rule->nulls_same, lefts, rights);
	foreach(lc, blocks)
	{
		int			number = foreach_current_index(lc) + 1;

		AppendSeparator(sql, " AND ", &first);
		AppendEquality(sql, psprintf("destination.factmerge_block_%d", number),
					   EqualityOperator(((Block *) lfirst(lc))->type),
					   psprintf("source.factmerge_block_%d", number), InvalidOid);
	}
	if (first)
		appendStringInfoString(sql, "true");
}

/*
 * Append whether source and destination differ in a column that need not be
 * equal.
 */
static void
AppendInexact(StringInfo sql, FactTable *table)
{
	bool		first = true;
	ListCell   *lc;

	appendStringInfoChar(sql, '(');
	foreach(lc, table->rule->columns)
	{
		Column	   *column = lfirst(lc);
		const char *name = quote_identifier(column->name);

		if (list_member_ptr(table->rule->key->columns, column))
			continue;
		AppendSeparator(sql, " OR ", &first);
		AppendDifference(sql, column, psprintf("source.%s", name),
						 psprintf("destination.%s", name));
	}
	appendStringInfoString(sql, first ? "false)" : ")");
}

/*
 * Append how far source and destination are apart: the sum of the distances,
 * each as a share of its tolerance.
 */
static void
AppendFarness(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	appendStringInfoString(sql, "0::pg_catalog.float8");
	foreach(lc, table->rule->tolerances)
		appendStringInfo(sql, " + %s", Share(lfirst(lc)));
}

/*
 * Append the test that pairs have to pass.
 */
static void
AppendTest(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	appendStringInfoString(sql, " WHERE true");
	foreach(lc, table->rule->tolerances)
	{
		char	   *within = Within(lfirst(lc));

		if (within)
			appendStringInfo(sql, " AND %s", within);
	}
	if (table->rule->condition)
		appendStringInfo(sql, " AND (%s)", table->rule->condition);
}

/*
 * Append the join with the pairs that earlier merges found, as o.
 */
static void
AppendEarlierPairs(StringInfo sql, Merge *merge, FactTable *table)
{
	appendStringInfo(sql, " LEFT JOIN %s AS o ON o.merge_id <> " INT64_FORMAT " AND ",
					 table->map, merge->id);
	AppendSameAddress(sql, table, SIDE_SOURCE, "o.source_", "source.factmerge_address_");
	appendStringInfoString(sql, " AND ");
	AppendSameAddress(sql, table, SIDE_DESTINATION, "o.destination_", "destination.factmerge_address_");
}

/* "prefix1, prefix2, ..." by the numbers of the address */
static char *
Numbered(FactTable *table, const char *prefix)
{
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, table->address)
	{
		AppendSeparator(&sql, ", ", &first);
		appendStringInfo(&sql, "%s%d", prefix, ((Column *) lfirst(lc))->map_number);
	}
	return sql.data;
}

/*
 * Make the table of pairs.  While levels are matched, only facts are looked at
 * that have no counterpart yet, and whose references are known.
 */
void
MakePairs(Merge *merge, FactTable *table, bool level)
{
	List	   *source_blocks = BlocksOf(table, true);
	List	   *destination_blocks = BlocksOf(table, false);
	bool		earlier = table->has_tags && table->keyed;
	StringInfoData sql;
	ListCell   *lc;

	table->pairs = psprintf("pg_temp.factmerge_pair_%d", table->position);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS SELECT DISTINCT ON (%s) %s, %s, x.inexact FROM (SELECT ",
					 table->pairs, Numbered(table, "x.s"), Numbered(table, "x.s"),
					 Numbered(table, "x.d"));
	foreach(lc, table->address)
	{
		int			number = ((Column *) lfirst(lc))->map_number;

		appendStringInfo(&sql, "source.factmerge_address_%d AS s%d, destination.factmerge_address_%d AS d%d, ",
						 number, number, number, number);
	}
	AppendInexact(&sql, table);
	appendStringInfoString(&sql, " AS inexact, ");
	AppendFarness(&sql, table);
	appendStringInfoString(&sql, " AS farness");
	if (earlier)
		appendStringInfoString(&sql, ", o.merge_id IS NOT NULL AS known");
	if (!table->keyed)
		appendStringInfoString(&sql, ", destination.factmerge_row AS whole_row");
	appendStringInfoString(&sql, " FROM ");
	AppendSide(&sql, merge, table, true, source_blocks);
	appendStringInfoString(&sql, " WHERE true");
	if (level)
		AppendNoAddressYet(&sql, merge, table);
	AppendNotWaiting(&sql, table, table->rule->columns);
	appendStringInfoString(&sql, ") AS source JOIN ");
	AppendSide(&sql, merge, table, false, destination_blocks);
	appendStringInfoString(&sql, ") AS destination ON ");
	AppendJoin(&sql, table, source_blocks);
	if (earlier)
		AppendEarlierPairs(&sql, merge, table);
	AppendTest(&sql, table);
	appendStringInfo(&sql, ") AS x ORDER BY %s%s, x.farness%s, %s",
					 Numbered(table, "x.s"), earlier ? ", x.known DESC" : "",
					 table->keyed ? "" : ", x.whole_row", Numbered(table, "x.d"));
	/* What is declared means the same to everybody */
	SqlLetCodeSee(NULL);
	SqlExecute(merge->snapshot, sql.data, NULL);
	SqlLetCodeSee(merge->search_path);
	SqlUtility(psprintf("ANALYZE %s", table->pairs));
}

/*
 * Drop the table of pairs.
 */
void
DropPairs(FactTable *table)
{
	SqlUtility(psprintf("DROP TABLE %s", table->pairs));
	table->pairs = NULL;
}
