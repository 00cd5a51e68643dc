/*-------------------------------------------------------------------------
 *
 * arrival.c
 *	  let the facts of a sample arrive, see check.c
 *
 * A fact arrives as any other does, by an INSERT, with all handlers and rules of
 * the schema at work.  It does as soon as those that it refers to have.
 *
 * Functions that are declared as handlers are not called by the server.  They are
 * called here after each arrival, with each fact that they have not been given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "check.h"

/* The facts of a table that functions have been given: place, and whether just now */
#define SEEN_OF(table) psprintf("pg_temp.factmerge_seen_%d", (table)->position)

/* The work: empty all fact tables, and whatever else refers to them */
static void
Empty(void *arg)
{
	Check	   *check = arg;
	int			nest_level = NewGUCNestLevel();
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	SetLocally("client_min_messages", "warning");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "TRUNCATE ");
	foreach(lc, check->merge->tables)
	{
		AppendSeparator(&sql, ", ", &first);
		appendStringInfoString(&sql, QualifiedRelation(((FactTable *) lfirst(lc))->destination));
	}
	appendStringInfoString(&sql, " CASCADE");
	SqlUtility(sql.data);
	AtEOXact_GUC(true, nest_level);
}

/*
 * Empty all fact tables, and whatever else refers to them.
 */
void
EmptyTables(Check *check)
{
	DoWithoutTriggers(Empty, check);
}

/*
 * Append, for fact s, that what a reference leads to is there.
 */
static void
AppendMayRefer(StringInfo sql, Reference *reference)
{
	ListCell   *lc;

	appendStringInfoString(sql, " AND (");
	foreach(lc, reference->columns)
		appendStringInfo(sql, "(s.fact).%s IS NULL OR ",
						 quote_identifier(((Column *) lfirst(lc))->name));
	appendStringInfo(sql, "EXISTS (SELECT FROM %s AS t WHERE %s)",
					 QualifiedRelation(reference->target->destination),
					 RefersTo(reference, "(s.fact)", "t"));
	/* A fact may refer to itself */
	if (reference->target == reference->table)
		appendStringInfo(sql, " OR %s", RefersTo(reference, "(s.fact)", "(s.fact)"));
	appendStringInfoChar(sql, ')');
}

/*
 * The statement by which fact $1 of a table arrives, if what it refers to is there
 * and itself is not.
 */
static char *
ArrivalStatement(Check *check, FactTable *table)
{
	StringInfoData columns;
	StringInfoData values;
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&sql);
	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (column->generated || column->system)
			continue;
		appendStringInfo(&columns, "%s%s", first ? "" : ", ", quote_identifier(column->name));
		appendStringInfo(&values, "%s(s.fact).%s", first ? "" : ", ", quote_identifier(column->name));
		first = false;
	}
	appendStringInfo(&sql, "INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s AS s WHERE s.number = $1",
					 QualifiedRelation(table->destination), columns.data, values.data, SAMPLE_OF(table));
	foreach(lc, table->references)
		if (IsAmongArriving(check, lfirst(lc)))
			AppendMayRefer(&sql, lfirst(lc));
	AppendUnlessThere(&sql, table, "(s.fact)");
	return sql.data;
}

/*
 * Make ready for arrivals: statements, and tables of what functions have seen.
 */
void
PrepareArrivals(Check *check)
{
	Oid			number = INT4OID;
	ListCell   *lc;

	check->arrive = palloc0(sizeof(SqlStatement *) * (list_length(check->merge->tables) + 1));
	foreach(lc, check->arriving)
	{
		FactTable  *table = lfirst(lc);

		check->arrive[table->position] = SqlPrepare(ArrivalStatement(check, table), 1, &number);
	}
	foreach(lc, check->merge->tables)
		if (HasFunctionHandler(lfirst(lc)))
			SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (relation pg_catalog.oid, place pg_catalog.tid, now pg_catalog.bool)",
								SEEN_OF((FactTable *) lfirst(lc))));
}

/*
 * Note those facts of a table that its functions have not been given; returns
 * whether there are any.
 */
static bool
SeeNewFacts(FactTable *table)
{
	char	   *seen = SEEN_OF(table);

	(void) SqlExecute(InvalidSnapshot, psprintf("UPDATE %s SET now = false WHERE now", seen), NULL);
	return SqlExecute(InvalidSnapshot,
					  psprintf("INSERT INTO %s (relation, place, now) SELECT t.tableoid, t.ctid, true FROM %s AS t"
							   " WHERE NOT EXISTS (SELECT FROM %s AS s WHERE s.relation = t.tableoid AND s.place = t.ctid)",
							   seen, QualifiedRelation(table->destination), seen), NULL) > 0;
}

/*
 * Call the functions that are declared for tables with each fact that they have not
 * been given, until there is none.
 */
static void
CallFunctions(Check *check)
{
	bool		news;
	ListCell   *lc;
	ListCell   *h;

	do
	{
		news = false;
		foreach(lc, check->merge->tables)
		{
			FactTable  *table = lfirst(lc);

			if (!HasFunctionHandler(table) || !SeeNewFacts(table))
				continue;
			news = true;
			foreach(h, table->handlers)
			{
				Handler    *handler = lfirst(h);

				if (IsFunction(handler) && !StopsAnyway(check->merge, handler))
					RunHandler(check->merge, table, handler,
							   psprintf("SELECT s.relation, s.place FROM %s AS s WHERE s.now%s",
										SEEN_OF(table), OnlyWhen(table, handler, "s.relation", "s.place")));
			}
		}
	} while (news);
}

/*
 * Let facts of the sample, given by their numbers, arrive one by one in an order,
 * each as soon as it can.
 */
void
Arrive(Check *check, int *order, int count)
{
	bool		news;

	do
	{
		news = false;
		for (int i = 0; i < count; i++)
		{
			Arrival    *arrival = &check->sample[order[i]];
			Datum		number = Int32GetDatum(order[i]);

			CHECK_FOR_INTERRUPTS();
			if (arrival->here ||
				SqlExecutePrepared(check->arrive[arrival->table->position], &number, NULL) == 0)
				continue;
			arrival->here = true;
			CallFunctions(check);
			news = true;
		}
	} while (news);
}

/*
 * Run a handler on all facts of its table, whether or not it has seen them.
 */
void
HandleAll(Check *check, Turn *turn)
{
	if (StopsAnyway(check->merge, turn->handler))
		return;
	RunHandler(check->merge, turn->table, turn->handler, AllEvents(turn->table, turn->handler));
	CallFunctions(check);
}
