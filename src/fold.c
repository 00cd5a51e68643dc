/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  facts that become the same because what they refer to has
 *
 * Several facts of the source may be the same as one fact of the destination.
 * Where two such points are one, two edges from them may be one edge: before
 * the merge their ends differed, now they do not.  If the destination has the
 * edge, both are matched with it.  If not, both would be copied, and a unique
 * key would be violated or one fact be there twice.
 *
 * So of the facts to be copied, those are looked for that are equal in a
 * sameness key (or as a whole row) once their references are translated, though
 * they refer to different facts in the source.  Only that with the lowest key
 * is copied, and the key map leads from the others to it; they are folded.
 * Facts that were equal in the source already remain as many as they were: where nothing
 * but the whole row tells facts apart, the k-th of equal ones is folded with the k-th.
 *
 * That can make further facts equal, in tables that refer to this one: those
 * come later in walk order; or within a circle of tables, which is gone
 * through until nothing is folded any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "eventlog.h"
#include "factmerge.h"
#include "sameness.h"

/*
 * Whether sameness itself lets several facts of the source be one.
 */
static bool
IsManyToOne(FactTable *table)
{
	ListCell   *lc;

	if (table->rule)
		return true;
	foreach(lc, table->sameness)
		if (!((UniqueKey *) lfirst(lc))->in_source)
		return true;
	return false;
}

/*
 * Whether a reference may lead from several facts to one.
 */
static bool
IsFolding(Reference *reference)
{
	if (!reference->remapped)
		return false;
	if (reference->target->settled)
		return reference->target->folds;
	return IsManyToOne(reference->target);
}

/*
 * Whether several facts of the source may be one fact of the destination.
 */
bool
MayFold(FactTable *table)
{
	ListCell   *lc;

	if (IsManyToOne(table))
		return true;
	foreach(lc, table->references)
		if (IsFolding(lfirst(lc)))
		return true;
	return false;
}

static char *
DestinationColumns(FactTable *table, const char *alias)
{
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, table->map_columns)
	{
		AppendSeparator(&sql, ", ", &first);
		appendStringInfo(&sql, "%sdestination_%d", alias,
						 ((Column *) lfirst(lc))->map_number);
	}
	return sql.data;
}

/*
 * Find whether several facts of the source are one fact of the destination, as
 * far as that matters to those that refer to them.  What referred to different
 * facts there meets for the first time: such facts count as inexact.
 */
void
FindFolds(Merge *merge, FactTable *table)
{
	char	   *columns = DestinationColumns(table, "");
	bool		referred_to = false;
	ListCell   *lc;

	foreach(lc, table->referrers)
		referred_to |= ((Reference *) lfirst(lc))->remapped;
	if (!referred_to || !MayFold(table) ||
		SqlFetchRow(merge->snapshot,
					psprintf("SELECT 1 FROM %s GROUP BY %s HAVING pg_catalog.count(*) > 1 LIMIT 1",
							 table->map, columns), NULL) == NULL)
		return;
	table->folds = true;
	SqlExecute(merge->snapshot,
			   psprintf("UPDATE %s AS m SET inexact = true WHERE NOT m.inexact AND ROW(%s)"
						" IN (SELECT %s FROM %s GROUP BY %s HAVING pg_catalog.count(*) > 1)",
						table->map, DestinationColumns(table, "m."), columns,
						table->map, columns), NULL);
}

/*
 * Whether several values of a column may become one.
 */
static bool
FoldsValues(Column *column)
{
	ListCell   *lc;

	if (column->log && column == column->log->key)
		foreach(lc, column->log->references)
			if (IsFolding(lfirst(lc)))
			return true;
	return column->reference && IsFolding(column->reference);
}

/*
 * The compared columns whose references may lead from several facts to one.
 */
static List *
FoldingColumns(SameWay *way)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, way->columns)
	{
		Column	   *column = lfirst(lc);

		if (FoldsValues(column))
			columns = lappend(columns, column);
	}
	return columns;
}

/*
 * Append the value of the source in a column, as the destination has it, in a
 * type that can be grouped by.
 */
static void
AppendComparable(StringInfo sql, Column *column)
{
	appendStringInfoChar(sql, '(');
	AppendMatched(sql, column);
	appendStringInfoString(sql, OidIsValid(EqualityOperator(column->type)) ?
						   ")" : ")::pg_catalog.text");
}

/*
 * What a way compares of facts of the source, as a list of SQL that can be grouped by.
 */
static List *
ComparedValues(FactTable *table, SameWay *way)
{
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, way->key ? way->key->columns : way->columns)
	{
		StringInfoData value;

		initStringInfo(&value);
		AppendComparable(&value, lfirst(lc));
		values = lappend(values, value.data);
	}
	if (way->key)
		values = list_concat(values, ExpressionValues(table, way->key, "s"));
	return values;
}

/*
 * Append the condition on facts of the source to be compared in a way.
 */
static void
AppendIsCompared(StringInfo sql, FactTable *table, SameWay *way)
{
	ListCell   *lc;

	appendStringInfoString(sql, " WHERE true");
	foreach(lc, way->never_null)
		appendStringInfo(sql, " AND s.%s IS NOT NULL",
						 quote_identifier(((Column *) lfirst(lc))->name));
	if (way->key)
		AppendExpressionsComplete(sql, table, way->key, "s");
	if (way->bag)
		AppendNotIdentified(sql, table, "s");
}

/*
 * Append the join with the ranks that facts of the source have among their equals, as k.
 */
static void
AppendRanks(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	appendStringInfoString(sql, " JOIN (SELECT ");
	foreach(lc, table->address)
		appendStringInfo(sql, "%s AS a%d, ", SourceValue(lfirst(lc)), ((Column *) lfirst(lc))->map_number);
	AppendRank(sql, table, true);
	appendStringInfo(sql, " AS rank FROM %s AS s) AS k ON true", SourceFacts(table));
	foreach(lc, table->address)
	{
		appendStringInfoString(sql, " AND ");
		AppendSameOnSide(sql, lfirst(lc), true, psprintf("k.a%d", ((Column *) lfirst(lc))->map_number),
						 SourceValue(lfirst(lc)));
	}
}

/*
 * Append the facts that a way makes equal to one with a lower key: their
 * addresses in the source (s1, ...) and in the destination (o1, ...), and all
 * that the key map has of the other (destination_1, ...).
 */
static void
AppendFolded(StringInfo sql, Merge *merge, FactTable *table, SameWay *way,
			 List *folding)
{
	StringInfoData inner;
	StringInfoData before;
	StringInfoData first_before;
	ListCell   *lc;

	initStringInfo(&inner);
	initStringInfo(&before);
	initStringInfo(&first_before);
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(&inner, "n.source_%d AS s%d, n.destination_%d AS o%d, ",
						 column->map_number, column->map_number,
						 column->map_number, column->map_number);
	}
	foreach(lc, table->map_columns)
	{
		int			number = ((Column *) lfirst(lc))->map_number;

		appendStringInfo(&inner, "pg_catalog.first_value(n.destination_%d) OVER w AS destination_%d, ",
						 number, number);
	}
	foreach(lc, folding)
	{
		const char *name = quote_identifier(((Column *) lfirst(lc))->name);
		int			number = foreach_current_index(lc) + 1;
		const char *separator = number > 1 ? ", " : "";

		appendStringInfo(&inner, "%ss.%s AS before_%d, pg_catalog.first_value(s.%s) OVER w AS first_before_%d",
						 separator, name, number, name, number);
		appendStringInfo(&before, "%sf.before_%d", separator, number);
		appendStringInfo(&first_before, "%sf.first_before_%d", separator, number);
	}
	appendStringInfo(sql, "SELECT f.* FROM (SELECT %s FROM ", inner.data);
	AppendSourceRow(sql, merge, table, false);
	appendStringInfo(sql, " JOIN %s AS n ON n.merge_id = " INT64_FORMAT
					 " AND NOT n.in_both AND NOT n.folded AND ", table->map, merge->id);
	AppendMapJoin(sql, table, "n", "source", "s");
	if (way->bag)
		AppendRanks(sql, table);
	AppendWritten(sql, table);
	AppendIsCompared(sql, table, way);
	appendStringInfo(sql, " WINDOW w AS (PARTITION BY %s", way->bag ? "k.rank, " : "");
	foreach(lc, ComparedValues(table, way))
		appendStringInfo(sql, "%s%s", foreach_current_index(lc) ? ", " : "", (char *) lfirst(lc));
	appendStringInfoString(sql, " ORDER BY ");
	foreach(lc, table->address)
		appendStringInfo(sql, "%sn.source_%d", foreach_current_index(lc) ? ", " : "",
						 ((Column *) lfirst(lc))->map_number);
	appendStringInfo(sql, ")) AS f WHERE ROW(%s) IS DISTINCT FROM ROW(%s)",
					 before.data, first_before.data);
}

/*
 * Fold the facts that one way makes equal; returns how many.  What has been
 * folded with one of them before goes with it.
 */
static uint64
FoldBy(Merge *merge, FactTable *table, SameWay *way, List *folding)
{
	StringInfoData sql;
	char	   *update = psprintf("UPDATE %s AS m SET folded = true, (%s) = ROW (%s) FROM x"
								  " WHERE m.merge_id = " INT64_FORMAT,
								  table->map, DestinationColumns(table, ""),
								  DestinationColumns(table, "x."), merge->id);

	initStringInfo(&sql);
	appendStringInfoString(&sql, "WITH x AS MATERIALIZED (");
	AppendFolded(&sql, merge, table, way, folding);
	appendStringInfo(&sql, "), followers AS (%s AND m.folded AND ", update);
	AppendSameAddress(&sql, table, SIDE_DESTINATION, "m.destination_", "x.o");
	appendStringInfo(&sql, ") %s AND ", update);
	AppendSameAddress(&sql, table, SIDE_SOURCE, "m.source_", "x.s");
	return SqlExecute(merge->snapshot, sql.data, NULL);
}

/*
 * Fold facts of a table in every way; returns how many.
 */
static uint64
FoldTable(Merge *merge, FactTable *table)
{
	uint64		count = 0;
	ListCell   *lc;

	foreach(lc, WaysToBeSame(table))
	{
		SameWay    *way = lfirst(lc);
		List	   *folding = FoldingColumns(way);

		if (folding != NIL)
			count += FoldBy(merge, table, way, folding);
	}
	return count;
}

/*
 * Refuse facts that one key makes the same while another tells them apart:
 * those that have been folded must not equal facts that are somewhere else.
 */
static void
RefuseAmbiguousFold(Merge *merge, FactTable *table, SameWay *way)
{
	StringInfoData sql;
	List	   *values = ComparedValues(table, way);
	char	  **row;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT pg_catalog.min(x.fact), pg_catalog.max(x.fact) FROM (SELECT %s AS fact, n.folded, %s",
					 MapAddressText(table, "n.source"), DestinationColumns(table, "n."));
	foreach(lc, values)
		appendStringInfo(&sql, ", %s AS k%d", (char *) lfirst(lc), foreach_current_index(lc));
	appendStringInfoString(&sql, " FROM ");
	AppendSourceRow(&sql, merge, table, false);
	appendStringInfo(&sql, " JOIN %s AS n ON ", table->map);
	AppendMapJoin(&sql, table, "n", "source", "s");
	AppendWritten(&sql, table);
	AppendIsCompared(&sql, table, way);
	appendStringInfoString(&sql, ") AS x GROUP BY ");
	for (int i = 0; i < list_length(values); i++)
		appendStringInfo(&sql, "%sx.k%d", i ? ", " : "", i);
	appendStringInfo(&sql, " HAVING pg_catalog.bool_or(x.folded) AND pg_catalog.count(DISTINCT ROW(%s)) > 1 ORDER BY 1 LIMIT 1",
					 DestinationColumns(table, "x."));
	row = SqlFetchRow(merge->snapshot, sql.data, NULL);
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("facts of table \"%s\" become the same by one key and differ by another",
						table->name),
				 errdetail("Source facts %s and %s are among them, because what they refer to has become one.",
						   row[0], row[1]),
				 errhint("Decide which fact it is, and correct the keys of the others.")));
}

/*
 * Bring the addresses of new facts up to date that are made of references
 * within a component, some facts of which have been folded; returns how many
 * changed.
 */
static uint64
RefreshAddresses(Merge *merge, FactTable *table)
{
	StringInfoData columns;
	StringInfoData before;
	StringInfoData after;
	StringInfoData values;
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&columns);
	initStringInfo(&before);
	initStringInfo(&after);
	initStringInfo(&values);
	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);
		const char *separator = first ? "" : ", ";

		if (column->reference == NULL ||
			column->reference->target->component != table->component)
			continue;
		first = false;
		appendStringInfo(&columns, "%sdestination_%d", separator, column->map_number);
		appendStringInfo(&before, "%sm.destination_%d", separator, column->map_number);
		appendStringInfo(&after, "%sx.v%d", separator, column->map_number);
		appendStringInfoString(&values, ", ");
		AppendTranslated(&values, column);
		appendStringInfo(&values, " AS v%d", column->map_number);
	}
	if (first)
		return 0;
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS m SET (%s) = ROW (%s) FROM (SELECT ",
					 table->map, columns.data, after.data);
	foreach(lc, table->address)
	{
		appendStringInfoString(&sql, foreach_current_index(lc) ? ", " : "");
		AppendSourceValue(&sql, lfirst(lc));
		appendStringInfo(&sql, " AS s%d", ((Column *) lfirst(lc))->map_number);
	}
	appendStringInfo(&sql, "%s FROM ", values.data);
	AppendSourceRow(&sql, merge, table, false);
	appendStringInfo(&sql, ") AS x WHERE m.merge_id = " INT64_FORMAT
					 " AND NOT m.in_both AND NOT m.folded AND ROW(%s) IS DISTINCT FROM ROW(%s) AND ",
					 merge->id, before.data, after.data);
	AppendSameAddress(&sql, table, SIDE_SOURCE, "m.source_", "x.s");
	return SqlExecute(merge->snapshot, sql.data, NULL);
}

/*
 * Take what has been folded out of the draft.
 */
static void
ForgetDrafts(Merge *merge, FactTable *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS x USING %s AS m WHERE m.folded AND m.merge_id = " INT64_FORMAT " AND ",
					 table->draft, table->map, merge->id);
	AppendSameAddress(&sql, table, SIDE_SOURCE, "m.source_", "x.source_");
	SqlExecute(merge->snapshot, sql.data, NULL);
}

/*
 * Fold facts of the tables of a component, until nothing changes.
 */
void
FoldFacts(Merge *merge, List *component)
{
	List	   *folded = NIL;
	bool		again = true;
	bool		renumbered = false;
	ListCell   *lc;
	ListCell   *w;

	/* New numbers may be part of addresses */
	foreach(lc, component)
		renumbered |= ((FactTable *) lfirst(lc))->numbers != NULL;
	foreach(lc, component)
		if (renumbered)
		RefreshAddresses(merge, lfirst(lc));
	while (again)
	{
		again = false;
		foreach(lc, component)
		{
			CHECK_FOR_INTERRUPTS();
			if (FoldTable(merge, lfirst(lc)) == 0)
				continue;
			folded = list_append_unique_ptr(folded, lfirst(lc));
			again = true;
		}
		foreach(lc, component)
			if (again)
			RefreshAddresses(merge, lfirst(lc));
	}
	foreach(lc, folded)
	{
		FactTable  *table = lfirst(lc);

		table->folded = true;
		if (list_length(table->sameness) > 1)
			foreach(w, WaysToBeSame(table))
				if (!((SameWay *) lfirst(w))->bag)
				RefuseAmbiguousFold(merge, table, lfirst(w));
		if (table->draft)
			ForgetDrafts(merge, table);
	}
}
