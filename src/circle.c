/*-------------------------------------------------------------------------
 *
 * circle.c
 *	  facts that cannot be compared because they wait for each other
 *
 * Where sameness goes through a circle of references, facts are matched level
 * by level.  What is left in the end is of two kinds.  Some facts are new: all
 * that they refer to is known and yet nothing equals them, or they refer to
 * such a fact, which no fact of the destination does.  The others refer to each
 * other in a circle in the data, or to facts that do.  Whether the destination
 * has those cannot be told; they are copied, and the user is told so.
 *
 * This finds the new ones, in rounds like those of the matching, and counts the
 * rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "factmerge.h"
#include "level.h"
#include "sameness.h"

/* The facts of a table that are new, by the columns of their key map */
static char *
NewFacts(FactTable *table)
{
	return psprintf("pg_temp.factmerge_new_%d", table->position);
}

/*
 * The references within the component that a way to be the same looks at.
 */
List *
ReferencesOnTheWay(FactTable *table, SameWay *way)
{
	List	   *references = NIL;
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (!reference->remapped || reference->target->component != table->component)
			continue;
		foreach(c, reference->columns)
			if (list_member_ptr(way->columns, lfirst(c)))
			references = list_append_unique_ptr(references, reference);
	}
	return references;
}

/*
 * Append that a new fact of the target is what the source's row s refers to.
 */
static void
AppendRefersToNew(StringInfo sql, Reference *reference)
{
	appendStringInfo(sql, "EXISTS (SELECT FROM %s AS n WHERE true",
					 NewFacts(reference->target));
	for (int i = 0; i < list_length(reference->columns); i++)
	{
		appendStringInfoString(sql, " AND ");
		AppendLookup(sql, reference, i, "n.source_");
	}
	/* Each time a level is followed, nobody is to read all of them into a hash table */
	appendStringInfoString(sql, reference->table->followed ? " OFFSET 0)" : ")");
}

/*
 * Append, after others, that a fact is not compared in a way.
 */
static void
AppendNotCompared(StringInfo sql, FactTable *table, SameWay *way)
{
	ListCell   *lc;

	foreach(lc, way->never_null)
		appendStringInfo(sql, " OR s.%s IS NULL", quote_identifier(((Column *) lfirst(lc))->name));
	if (way->key && !IsPlain(way->key))
	{
		appendStringInfoString(sql, " OR NOT (true");
		AppendExpressionsComplete(sql, table, way->key, "s");
		appendStringInfoChar(sql, ')');
	}
	if (way->bag && table->sameness != NIL)
	{
		appendStringInfoString(sql, " OR NOT (true");
		AppendNotIdentified(sql, table, "s");
		appendStringInfoChar(sql, ')');
	}
}

/*
 * Append that a fact is new, as far as one way to be the same is concerned: all
 * that it refers to is known, or something is new itself.
 */
static void
AppendIsNew(StringInfo sql, FactTable *table, SameWay *way)
{
	List	   *references = ReferencesOnTheWay(table, way);
	ListCell   *lc;
	ListCell   *c;

	appendStringInfoString(sql, " AND (true");
	if (references == NIL)
	{
		appendStringInfoChar(sql, ')');
		return;
	}
	foreach(lc, references)
	{
		Reference  *reference = lfirst(lc);

		appendStringInfo(sql, " AND (r%d.merge_id IS NOT NULL", reference->number);
		foreach(c, reference->columns)
			appendStringInfo(sql, " OR s.%s IS NULL",
							 quote_identifier(((Column *) lfirst(c))->name));
		appendStringInfoChar(sql, ')');
	}
	foreach(lc, references)
	{
		appendStringInfoString(sql, " OR ");
		AppendRefersToNew(sql, lfirst(lc));
	}
	AppendNotCompared(sql, table, way);
	appendStringInfoChar(sql, ')');
}

/*
 * The statement that finds the facts of a table, of those which SourceFacts() says, that
 * are new by what is known at level $1.
 */
static char *
NewStatement(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s SELECT ", NewFacts(table));
	foreach(lc, table->map_columns)
	{
		AppendSourceValue(&sql, lfirst(lc));
		appendStringInfoString(&sql, ", ");
	}
	appendStringInfoString(&sql, "$1 + 1 FROM ");
	AppendSourceRow(&sql, merge, table, false);
	AppendWritten(&sql, table);
	appendStringInfoString(&sql, " WHERE true");
	AppendNoAddressYet(&sql, merge, table);
	appendStringInfo(&sql, " AND NOT EXISTS (SELECT FROM %s AS n WHERE true", NewFacts(table));
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfoString(&sql, " AND ");
		AppendSameOnSide(&sql, column, true, psprintf("n.source_%d", column->map_number), SourceValue(column));
	}
	appendStringInfoChar(&sql, ')');
	foreach(lc, WaysToBeSame(table))
		AppendIsNew(&sql, table, lfirst(lc));
	return sql.data;
}

/*
 * Find the new ones of all facts of a table; returns how many that are.
 */
static uint64
FindNew(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, INT8OID, Int64GetDatum(-1));
	return SqlExecute(merge->snapshot, NewStatement(merge, table), &args);
}

/*
 * Create the empty table of a table's new facts.
 */
static void
CreateNewFacts(FactTable *table)
{
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(&columns, "source_%d %s", column->map_number,
						 TypeText(column->source_type, -1));
		if (OidIsValid(column->source_collation))
			appendStringInfo(&columns, " COLLATE %s", QualifiedCollation(column->source_collation));
		appendStringInfoString(&columns, ", ");
	}
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (%slevel pg_catalog.int8)", NewFacts(table), columns.data));
}

/*
 * Say how many facts of a table are left that are not new, and drop the table
 * of those that are.
 */
static void
NoticeLeft(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	int64		count;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT pg_catalog.count(*) - (SELECT pg_catalog.count(*) FROM %s)"
					 " FROM %s AS s WHERE true",
					 NewFacts(table), SourceFacts(table));
	AppendNoAddressYet(&sql, merge, table);
	count = SqlFetchInt64(merge->snapshot, sql.data, NULL);
	SqlUtility(psprintf("DROP TABLE %s", NewFacts(table)));
	if (count > 0)
		ereport(NOTICE,
				(errmsg("facts of table \"%s\" refer to each other in a circle and cannot be compared with the destination's",
						table->name),
				 errdetail_plural(INT64_FORMAT " fact is copied.",
								  INT64_FORMAT " facts are copied.",
								  (unsigned long) count, count),
				 errhint("Give the table a key that the circle is no part of, or declare one with factmerge_set_sameness().")));
}

/*
 * Find the new facts of a component, round by round.
 */
static void
FindNewInRounds(Merge *merge, List *component)
{
	uint64		found;
	ListCell   *lc;

	do
	{
		found = 0;
		foreach(lc, component)
		{
			CHECK_FOR_INTERRUPTS();
			found += FindNew(merge, lfirst(lc));
		}
	} while (found > 0);
}

/*
 * Find the new facts of a component by following its levels.
 */
static void
FollowNew(Merge *merge, List *component, Levels *levels)
{
	ListCell   *lc;

	RestartLevels(levels);
	foreach(lc, component)
		IndexByLookups(lfirst(lc), NewFacts(lfirst(lc)), "source_");
	foreach(lc, component)
	{
		(void) FindNew(merge, lfirst(lc));
		AnalyzeLookups(lfirst(lc), NewFacts(lfirst(lc)), "source_");
	}
	for (int64 number = 0; FindReady(merge, levels, "new", number) > 0; number++)
		foreach(lc, levels->tables)
			(void) UseReady(merge, levels, lfirst(lc), NewStatement, number);
}

/*
 * Say how many facts of a component could not be compared; levels is NULL if it cannot be
 * followed.
 */
void
NoticeUnresolved(Merge *merge, List *component, Levels *levels)
{
	ListCell   *lc;

	foreach(lc, component)
		CreateNewFacts(lfirst(lc));
	if (levels)
		FollowNew(merge, component, levels);
	else
		FindNewInRounds(merge, component);
	foreach(lc, component)
		NoticeLeft(merge, lfirst(lc));
}
