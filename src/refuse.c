/*-------------------------------------------------------------------------
 *
 * refuse.c
 *	  facts that cannot be told, or be given a key
 *
 * What a merge finds out about facts while it matches them, and cannot decide: that one
 * is two, that two are one, that a key tells nothing apart.  Each is an error that names
 * the facts and says what the user has to decide.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "factmerge.h"
#include "handler.h"
#include "sameness.h"

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
	AppendWritten(&sql, table);
	AppendCounterpartsByKey(&sql, table);
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
	StringInfoData address;
	char	   *source = MapAddressText(table, "m.source");
	char	   *met;
	char	   *groups;
	char	  **row;
	ListCell   *lc;

	if (list_length(table->sameness) < 2 || MayFold(table))
		return;
	initStringInfo(&address);
	foreach(lc, table->address)
		appendStringInfo(&address, "%sm.destination_%d", foreach_current_index(lc) ? ", " : "",
						 ((Column *) lfirst(lc))->map_number);
	/* Where facts are known, one that is not looked at may be the other one */
	met = psprintf(table->repeated ? "m.in_both OR m.merge_id <> " INT64_FORMAT :
				   "m.in_both AND m.merge_id = " INT64_FORMAT, merge->id);
	groups = psprintf("FROM %s AS m WHERE %s GROUP BY %s HAVING pg_catalog.count(*) > 1"
					  " AND pg_catalog.bool_or(m.merge_id = " INT64_FORMAT ")",
					  table->map, met, address.data, merge->id);
	/* Facts are seldom fused, and to name them all takes long */
	if (SqlFetchRow(merge->snapshot, psprintf("SELECT 1 %s LIMIT 1", groups), NULL) == NULL)
		return;
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT pg_catalog.min(%s), pg_catalog.max(%s), pg_catalog.min(%s) %s"
							   " AND pg_catalog.min(%s) <> pg_catalog.max(%s) ORDER BY 1 LIMIT 1",
							   source, source, MapAddressText(table, "m.destination"), groups,
							   source, source), NULL);
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
	if (!table->rule && table->sameness == NIL && WithoutNumbers(WholeRow(table)) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot tell the facts of table \"%s\" apart", table->name),
				 errdetail("All that they hold is a generated key."),
				 errhint("Add a column, or a unique key, that identifies a fact.")));
}

/*
 * Refuse a table whose new keys would have to be known before they are
 * assigned: primary keys that refer to each other in a circle.
 */
void
RefuseCircularKeys(FactTable *table, List *assigned)
{
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);
		const char *trigger;

		if (column->reference == NULL ||
			column->reference->target->component != table->component ||
			list_member_ptr(assigned, column->reference->target))
			continue;
		trigger = TriggerWhileCopying(column->reference->target->destination);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot assign keys to table \"%s\"", table->name),
				 errdetail("Its key column \"%s\" refers to table \"%s\", whose key in turn depends on it.",
						   column->name, column->reference->target->name),
				 trigger ? errhint("Enable trigger \"%s\" of table \"%s\" for ordinary sessions only, so that it leaves copied keys as they are.",
								   trigger, column->reference->target->name) :
				 errhint("Give one of the two tables a key of its own.")));
	}
}

/*
 * Refuse a foreign table whose facts cannot be told apart by the destination's key,
 * which nobody keeps unique there.
 */
void
TryAddress(Merge *merge, FactTable *table)
{
	StringInfoData address;
	StringInfoData null;
	char	  **row;
	ListCell   *lc;

	if (!table->untried_address)
		return;
	initStringInfo(&address);
	initStringInfo(&null);
	foreach(lc, table->address)
	{
		const char *name = quote_identifier(((Column *) lfirst(lc))->name);
		bool		first = foreach_current_index(lc) == 0;

		appendStringInfo(&address, "%ss.%s", first ? "" : ", ", name);
		appendStringInfo(&null, "%ss.%s IS NULL", first ? "" : " OR ", name);
	}
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT %s, CASE WHEN %s THEN 1 END FROM %s AS s GROUP BY %s"
							   " HAVING pg_catalog.count(*) > 1 OR %s ORDER BY 2, 1 LIMIT 1",
							   AddressText(table, "s"), null.data,
							   SourceFacts(table), address.data, null.data), NULL);
	if (row == NULL)
		return;
	ereport(ERROR,
			(errcode(row[1] ? ERRCODE_NOT_NULL_VIOLATION : ERRCODE_UNIQUE_VIOLATION),
			 errmsg("the key of the destination does not tell the facts of foreign table \"%s\" apart",
					table->name),
			 row[1] ? errdetail("A fact has a null in the key.") :
			 errdetail("Several facts have %s.", row[0]),
			 errhint("Correct the source, or give the destination another primary key.")));
}
