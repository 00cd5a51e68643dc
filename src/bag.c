/*-------------------------------------------------------------------------
 *
 * bag.c
 *	  facts that nothing identifies but all that they hold
 *
 * Facts without a natural key, and those that hold a null in every key, are
 * compared by their whole rows.  Several of them may be equal, on either side.  They
 * are a bag: of facts that are equal, the first of the source, in the order of its
 * keys, is the first of the destination, the second the second, and so on.  So the
 * destination ends up with as many of them as the side that had more, and each keeps
 * what refers to it.
 *
 * Which of its equals a fact is, its rank, is counted on either side before they are
 * joined, so that it costs no more to match many equal facts than as many different
 * ones.  The source's are counted by what they hold there, references as they are: of
 * two that are equal only because what they refer to has become one, each is the first.
 *
 * What an earlier merge has found or copied is settled before (known.c), and left out
 * here on both sides.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "factmerge.h"
#include "samerule.h"
#include "sameness.h"

/*
 * Whether some facts of a table are compared by their whole rows.
 */
bool
IsBag(FactTable *table)
{
	return table->rule == NULL && (table->sameness == NIL || HasUnidentified(table));
}

/*
 * Append a value such that rows can be sorted into equal ones by it.
 */
static void
AppendGroupable(StringInfo sql, Oid type, Oid collation, const char *value)
{
	if (!OidIsValid(lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr))
		appendStringInfo(sql, "(%s)::pg_catalog.text COLLATE pg_catalog.\"C\"", value);
	else if (OidIsValid(collation) && get_collation_isdeterministic(collation))
		/* Equal is then what is the same, and that is faster to sort */
		appendStringInfo(sql, "(%s) COLLATE pg_catalog.\"C\"", value);
	else
		appendStringInfoString(sql, value);
}

/*
 * Append the rank of a fact among those of its side, which is that of the row s or d,
 * that are equal in some columns.
 */
void
AppendRankAmong(StringInfo sql, FactTable *table, bool source, List *columns)
{
	ListCell   *lc;

	appendStringInfoString(sql, "pg_catalog.row_number() OVER (PARTITION BY ");
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);
		const char *name = quote_identifier(column->name);
		bool		as_it_is = source && (column->reference || column->log || column->misfit);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		if (as_it_is)
			AppendGroupable(sql, get_atttype(table->source, get_attnum(table->source, column->name)),
							column->source_collation, psprintf("s.%s", name));
		else
			AppendGroupable(sql, column->type, column->collation,
							source ? SourceValue(column) : psprintf("d.%s", name));
	}
	appendStringInfoString(sql, " ORDER BY ");
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(sql, "%s%s", foreach_current_index(lc) ? ", " : "",
						 source ? SourceValue(column) : psprintf("d.%s", quote_identifier(column->name)));
	}
	appendStringInfoChar(sql, ')');
}

/*
 * The same among those that are equal as a whole.
 */
void
AppendRank(StringInfo sql, FactTable *table, bool source)
{
	AppendRankAmong(sql, table, source, WholeRow(table));
}

/*
 * Append that row d of the destination belongs to the bag, and is not taken by any fact
 * of the source yet.
 */
void
AppendIsFree(StringInfo sql, FactTable *table)
{
	appendStringInfoString(sql, "true");
	AppendNotIdentified(sql, table, "d");
	appendStringInfo(sql, " AND NOT EXISTS (SELECT FROM %s AS t WHERE ", table->map);
	AppendMapJoin(sql, table, "t", "destination", "d");
	appendStringInfoChar(sql, ')');
}

/*
 * Append the columns of one side of the pairs: the address as a1, ..., the whole row as
 * v1, ..., and the rank.
 */
static void
AppendSideColumns(StringInfo sql, FactTable *table, bool source)
{
	ListCell   *lc;

	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(sql, "%s AS a%d, ", source ? SourceValue(column) :
						 psprintf("d.%s", quote_identifier(column->name)), column->map_number);
	}
	foreach(lc, WholeRow(table))
	{
		Column	   *column = lfirst(lc);

		if (source)
			AppendMatched(sql, column);
		else
			appendStringInfo(sql, "d.%s", quote_identifier(column->name));
		appendStringInfo(sql, " AS v%d, ", column->number);
	}
	AppendRank(sql, table, source);
	appendStringInfoString(sql, " AS rank");
}

/*
 * Append that the two sides of a pair are equal as a whole, and of the same rank.
 */
static void
AppendSidesAreEqual(StringInfo sql, FactTable *table)
{
	List	   *columns = WholeRow(table);
	List	   *lefts = NIL;
	List	   *rights = NIL;
	ListCell   *lc;

	foreach(lc, columns)
	{
		lefts = lappend(lefts, psprintf("y.v%d", ((Column *) lfirst(lc))->number));
		rights = lappend(rights, psprintf("x.v%d", ((Column *) lfirst(lc))->number));
	}
	appendStringInfoString(sql, "y.rank = x.rank AND ");
	AppendEqualValues(sql, columns, NIL, NIL, true, lefts, rights);
}

/*
 * Append the pairs of facts of a bag that are the same, as a query in parentheses: their
 * addresses s1, ... and d1, ...  Facts that have an address already are left out.
 */
void
AppendBagPairs(StringInfo sql, Merge *merge, FactTable *table)
{
	ListCell   *lc;

	appendStringInfoString(sql, "(SELECT ");
	foreach(lc, table->address)
	{
		int			number = ((Column *) lfirst(lc))->map_number;

		appendStringInfo(sql, "%sx.a%d AS s%d, y.a%d AS d%d", foreach_current_index(lc) ? ", " : "",
						 number, number, number, number);
	}
	appendStringInfoString(sql, " FROM (SELECT ");
	AppendSideColumns(sql, table, true);
	appendStringInfoString(sql, " FROM ");
	AppendSourceRow(sql, merge, table, false);
	AppendWritten(sql, table);
	appendStringInfoString(sql, " WHERE true");
	AppendNotIdentified(sql, table, "s");
	AppendNoAddressYet(sql, merge, table);
	AppendNotWaiting(sql, table, WholeRow(table));
	appendStringInfoString(sql, ") AS x JOIN (SELECT ");
	AppendSideColumns(sql, table, false);
	appendStringInfo(sql, " FROM %s AS d WHERE ", QualifiedRelation(table->destination));
	AppendIsFree(sql, table);
	appendStringInfoString(sql, ") AS y ON ");
	AppendSidesAreEqual(sql, table);
	appendStringInfoChar(sql, ')');
}

/*
 * How to tell facts that no key identifies, if nulls are all that is in the way.
 */
static char *
HintAtNulls(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->sameness)
		if (IsPlain(lfirst(lc)))
		return psprintf("If facts with equal nulls in a key are one, declare it: SELECT %s.factmerge_set_sameness(%s, %s, nulls => 'same').",
						quote_identifier(TypeSchema(ProvenanceType())),
						quote_literal_cstr(QualifiedRelation(table->destination)),
						quote_literal_cstr(OidOutputFunctionCall(F_ARRAY_OUT, NameArray(ColumnNames(((UniqueKey *) lfirst(lc))->columns)))));
	return "If something else tells which of them are the same, declare it with factmerge_set_sameness().";
}

/*
 * Say how many facts of the source no key identifies, of those that have not been met by
 * earlier merges: the user may think of them as the same by a part of a key.
 */
void
NoticeUnidentified(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	int64		count;

	if (!IsBag(table) || table->sameness == NIL)
		return;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*) FROM ");
	AppendSourceRow(&sql, merge, table, false);
	AppendWritten(&sql, table);
	appendStringInfoString(&sql, " WHERE true");
	AppendNotIdentified(&sql, table, "s");
	if (table->again > 0)
		AppendNoAddressYet(&sql, merge, table);
	count = SqlFetchInt64(merge->snapshot, sql.data, NULL);
	if (count > 0)
		ereport(NOTICE,
				(errmsg_plural(INT64_FORMAT " fact of table \"%s\" is identified by no unique key and is compared as a whole",
							   INT64_FORMAT " facts of table \"%s\" are identified by no unique key and are compared as a whole",
							   (unsigned long) count, count, table->name),
				 errdetail("Each unique key holds a null there, or is a partial index that leaves them out."),
				 errhint("%s", HintAtNulls(table))));
}
