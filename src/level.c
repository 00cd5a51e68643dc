/*-------------------------------------------------------------------------
 *
 * level.c
 *	  following a circle of references level by level
 *
 * Where sameness goes through a circle of references, as in a chain of states each of
 * which refers to the one before, a fact can be told only after what it refers to.  The
 * first level, all that waits for nothing, is found by a statement over all facts
 * (match.c); each later one starts from what the last one has found:
 *
 *	found		what has been found, with the level; it stands in for the key map as
 *				long as levels are followed, for it has the indexes to be looked up by
 *	waiting		the facts of the source that refer into the circle and have no
 *				counterpart yet: their addresses, the values by which what they refer to
 *				is looked up, and their ranks (bag.c)
 *	ready		which of them refer to something that the last level has found
 *	free		the facts of the destination that refer into the circle, by a hash of
 *				all that they hold, where they are compared as a whole
 *
 * So a level costs what it finds.  Its statements are planned once: as long as few facts
 * are ready, they go from one to the next by indexes; a level that has many is left to
 * the planner.
 *
 * In the same way circle.c follows the facts that are new.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "factmerge.h"
#include "level.h"
#include "samerule.h"
#include "sameness.h"

/* The share of the waiting facts from which on a level is left to the planner */
#define MANY_READY 0.02

/*
 * The name of a temporary table of a fact table.
 */
char *
TemporaryName(FactTable *table, const char *what)
{
	return psprintf("pg_temp.factmerge_%s_%d", what, table->position);
}

/*
 * Whether a component can be followed: all facts have keys, by which they are found
 * again, and are told by equality alone.
 */
bool
CanFollow(List *component)
{
	ListCell   *lc;

	foreach(lc, component)
	{
		FactTable  *table = lfirst(lc);

		if (!table->keyed || table->log || (table->rule && !IsKeyOnly(table->rule)))
			return false;
	}
	return true;
}

/*
 * The references within its component that facts of a table may wait for.
 */
static List *
ReferencesWaitedFor(FactTable *table)
{
	List	   *references = NIL;
	ListCell   *lc;

	foreach(lc, WaysToBeSame(table))
		references = list_concat_unique_ptr(references, ReferencesOnTheWay(table, lfirst(lc)));
	return references;
}

/*
 * Append that row alias holds some reference into the circle.
 */
void
AppendRefersIntoCircle(StringInfo sql, Level *level, const char *alias)
{
	ListCell   *lc;
	ListCell   *c;
	bool		first = true;

	appendStringInfoChar(sql, '(');
	foreach(lc, level->references)
		foreach(c, ((Reference *) lfirst(lc))->columns)
	{
		AppendSeparator(sql, " OR ", &first);
		appendStringInfo(sql, "%s.%s IS NOT NULL", alias,
						 quote_identifier(((Column *) lfirst(c))->name));
	}
	appendStringInfoString(sql, first ? "false)" : ")");
}

/* "prefix1, prefix2, ..." by the numbers of columns of the key map */
static char *
Numbered(List *columns, const char *prefix)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, columns)
		appendStringInfo(&sql, "%s%s%d", foreach_current_index(lc) ? ", " : "", prefix,
						 ((Column *) lfirst(lc))->map_number);
	return sql.data;
}

/*
 * Index a temporary table by the columns of the key map that facts are looked up by: the
 * address, and what references within the component lead to.
 */
void
IndexByLookups(FactTable *table, const char *name, const char *prefix)
{
	List	   *indexed = list_make1(table->address);
	ListCell   *lc;

	SqlUtility(psprintf("CREATE INDEX ON %s (%s)", name, Numbered(table->address, prefix)));
	foreach(lc, table->referrers)
	{
		Reference  *reference = lfirst(lc);

		if (!reference->remapped || reference->table->component != table->component ||
			list_member(indexed, reference->target_columns))
			continue;
		indexed = lappend(indexed, reference->target_columns);
		SqlUtility(psprintf("CREATE INDEX ON %s (%s)", name, Numbered(reference->target_columns, prefix)));
	}
	SqlUtility(psprintf("CREATE INDEX ON %s (level)", name));
}

/*
 * Give the planner statistics of such a table, but none of its levels, of which there
 * will be more.
 */
void
AnalyzeLookups(FactTable *table, const char *name, const char *prefix)
{
	SqlUtility(psprintf("ANALYZE %s (%s)", name, Numbered(table->map_columns, prefix)));
}

/*
 * Let a table of what has been found stand in for the key map.
 */
static void
CreateFound(Merge *merge, Level *level)
{
	FactTable  *table = level->table;
	char	   *found = TemporaryName(table, "found");

	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (LIKE %s INCLUDING DEFAULTS, level pg_catalog.int8)", found, table->map));
	SqlExecute(merge->snapshot,
			   psprintf("INSERT INTO %s SELECT m.*, 0 FROM %s AS m WHERE m.merge_id = " INT64_FORMAT,
						found, table->map, merge->id), NULL);
	IndexByLookups(table, found, "source_");
	AnalyzeLookups(table, found, "source_");
	level->map = table->map;
	level->found = found;
}

/*
 * Let facts of the source that have been put aside be found by their addresses.
 */
static void
IndexFresh(FactTable *table)
{
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, table->address)
		appendStringInfo(&columns, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(((Column *) lfirst(lc))->name));
	SqlUtility(psprintf("CREATE INDEX ON %s (%s)", table->fresh, columns.data));
}

/*
 * Make the table of waiting facts, and the empty one of those that are ready.
 */
static void
CreateWaiting(Merge *merge, Level *level)
{
	FactTable  *table = level->table;
	char	   *waiting = TemporaryName(table, "waiting");
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS SELECT ", waiting);
	foreach(lc, table->address)
		appendStringInfo(&sql, "%s AS a%d, ", SourceValue(lfirst(lc)), ((Column *) lfirst(lc))->map_number);
	foreach(lc, level->references)
	{
		Reference  *reference = lfirst(lc);

		for (int i = 0; i < list_length(reference->columns); i++)
			appendStringInfo(&sql, "%s AS r%d_%d, ", LookupValue(reference, i), reference->number, i);
	}
	if (IsBag(table))
		AppendRank(&sql, table, true);
	else
		appendStringInfoString(&sql, "1::pg_catalog.int8");
	appendStringInfo(&sql, " AS factmerge_rank FROM %s AS s WHERE ", SourceFacts(table));
	AppendRefersIntoCircle(&sql, level, "s");
	AppendNoAddressYet(&sql, merge, table);
	level->waiting = SqlExecute(merge->snapshot, sql.data, NULL);
	foreach(lc, level->references)
	{
		Reference  *reference = lfirst(lc);

		resetStringInfo(&sql);
		for (int i = 0; i < list_length(reference->columns); i++)
			appendStringInfo(&sql, "%sr%d_%d", i > 0 ? ", " : "", reference->number, i);
		SqlUtility(psprintf("CREATE INDEX ON %s (%s)", waiting, sql.data));
	}
	SqlUtility(psprintf("ANALYZE %s", waiting));
	if (table->fresh)
		IndexFresh(table);
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (place pg_catalog.tid, level pg_catalog.int8)",
						TemporaryName(table, "ready")));
	SqlUtility(psprintf("CREATE INDEX ON %s (level)", TemporaryName(table, "ready")));
}

/*
 * Run a statement with the number of a level as $1.  With few facts it is planned once.
 */
static uint64
RunLevel(Merge *merge, LevelStatement *statement, int64 number, bool few)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(number)};
	SqlArgs		args = {0};
	int			nest_level;
	uint64		rows;

	CHECK_FOR_INTERRUPTS();
	if (!few)
	{
		SqlAddArg(&args, INT8OID, values[0]);
		return SqlExecute(merge->snapshot, statement->sql, &args);
	}
	nest_level = NewGUCNestLevel();
	SetLocally("enable_seqscan", "off");
	SetLocally("enable_hashjoin", "off");
	SetLocally("enable_mergejoin", "off");
	SetLocally("enable_material", "off");
	SetLocally("plan_cache_mode", "force_generic_plan");
	if (statement->prepared == NULL)
		statement->prepared = SqlPrepare(statement->sql, 1, types);
	rows = SqlExecuteUnder(merge->snapshot, statement->prepared, values);
	AtEOXact_GUC(true, nest_level);
	return rows;
}

/*
 * The statement that finds the waiting facts which refer to what a level has found, going
 * by tables of a kind ("found", "new").
 */
static char *
ReadyStatement(Level *level, const char *kind)
{
	FactTable  *table = level->table;
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s SELECT x.ctid, $1 FROM (", TemporaryName(table, "ready"));
	foreach(lc, level->references)
	{
		Reference  *reference = lfirst(lc);

		appendStringInfo(&sql, "%sSELECT w.ctid FROM %s AS f JOIN %s AS w ON f.level = $1",
						 foreach_current_index(lc) ? " UNION " : "",
						 TemporaryName(reference->target, kind), TemporaryName(table, "waiting"));
		for (int i = 0; i < list_length(reference->columns); i++)
		{
			appendStringInfoString(&sql, " AND ");
			AppendLookedUp(&sql, reference, i, "f.source_", psprintf("w.r%d_%d", reference->number, i));
		}
	}
	appendStringInfoString(&sql, ") AS x");
	return sql.data;
}

/*
 * SQL for the facts of the source that are ready at level $1, with their ranks.
 */
static char *
ReadyFacts(Level *level)
{
	FactTable  *table = level->table;
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "(SELECT s.*, w.factmerge_rank FROM %s AS y JOIN %s AS w ON w.ctid = y.place AND y.level = $1 JOIN %s AS s ON true",
					 TemporaryName(table, "ready"), TemporaryName(table, "waiting"), SourceFacts(table));
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		appendStringInfoString(&sql, " AND ");
		AppendSameOnSide(&sql, column, true, psprintf("w.a%d", column->map_number), SourceValue(column));
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * The statement that matches the facts of a table which SourceFacts() says, of level $1.
 */
static char *
MatchStatement(Merge *merge, FactTable *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%s, %s, in_both, inexact, merge_id, level) SELECT %s, %s, x.in_both, x.inexact, "
					 INT64_FORMAT ", $1 + 1 FROM (",
					 table->map, Numbered(table->map_columns, "source_"), Numbered(table->map_columns, "destination_"),
					 Numbered(table->map_columns, "x.s"), Numbered(table->map_columns, "x.d"), merge->id);
	AppendMatches(&sql, merge, table, MATCH_LEVEL);
	AppendLevelConditions(&sql, merge, table, MATCH_LEVEL);
	appendStringInfoString(&sql, ") AS x");
	return sql.data;
}

/*
 * Let what the levels have found stand in for the key maps, or not.
 */
void
StandIn(Levels *levels, bool found)
{
	ListCell   *lc;

	foreach(lc, levels->tables)
	{
		Level	   *level = lfirst(lc);

		level->table->map = found ? level->found : level->map;
		level->table->followed = found;
	}
}

/*
 * Begin to follow the levels of a component, the first of which has been matched.
 */
Levels *
BeginLevels(Merge *merge, List *component)
{
	Levels	   *levels = palloc0(sizeof(Levels));
	ListCell   *lc;

	foreach(lc, component)
	{
		Level	   *level = palloc0(sizeof(Level));

		level->table = lfirst(lc);
		level->references = ReferencesWaitedFor(level->table);
		levels->tables = lappend(levels->tables, level);
	}
	foreach(lc, levels->tables)
	{
		CreateFound(merge, lfirst(lc));
		CreateFree(merge, lfirst(lc));
	}
	StandIn(levels, true);
	foreach(lc, levels->tables)
		CreateWaiting(merge, lfirst(lc));
	return levels;
}

/*
 * Find the facts of all tables that are ready at a level; returns how many.
 */
uint64
FindReady(Merge *merge, Levels *levels, const char *kind, int64 number)
{
	uint64		count = 0;
	ListCell   *lc;

	foreach(lc, levels->tables)
	{
		Level	   *level = lfirst(lc);

		level->ready = 0;
		if (level->waiting == 0 || level->references == NIL)
			continue;
		if (level->find.sql == NULL)
			level->find.sql = ReadyStatement(level, kind);
		level->ready = RunLevel(merge, &level->find, number, number > 0 && levels->few);
		count += level->ready;
	}
	levels->few = true;
	foreach(lc, levels->tables)
	{
		Level	   *level = lfirst(lc);

		levels->few &= level->ready <= MANY_READY * level->waiting;
	}
	return count;
}

/*
 * Run a statement for the facts of a table that are ready at a level; it is built by a
 * function, for the facts that SourceFacts() says.
 */
uint64
UseReady(Merge *merge, Levels *levels, Level *level, char *(*build) (Merge *merge, FactTable *table), int64 number)
{
	char	   *facts = level->table->fresh;

	if (level->ready == 0)
		return 0;
	if (level->use.sql == NULL)
	{
		level->table->fresh = ReadyFacts(level);
		level->use.sql = build(merge, level->table);
		level->table->fresh = facts;
	}
	return RunLevel(merge, &level->use, number, levels->few);
}

/*
 * Match the facts that are ready, from level to level, until none are; returns how many
 * have been matched.
 */
int64
MatchLevels(Merge *merge, Levels *levels)
{
	int64		total = 0;
	ListCell   *lc;

	for (int64 number = 0; FindReady(merge, levels, "found", number) > 0; number++)
	{
		int64		found = 0;

		foreach(lc, levels->tables)
			found += UseReady(merge, levels, lfirst(lc), MatchStatement, number);
		if (found == 0)
			break;
		total += found;
	}
	return total;
}

/*
 * Enter what the levels have found into the key maps.
 */
void
KeepLevels(Merge *merge, Levels *levels)
{
	ListCell   *lc;

	foreach(lc, levels->tables)
	{
		Level	   *level = lfirst(lc);
		FactTable  *table = level->table;
		char	   *columns = psprintf("%s, %s, in_both, inexact, merge_id", Numbered(table->map_columns, "source_"),
									   Numbered(table->map_columns, "destination_"));

		table->counts.source_facts += SqlExecute(merge->snapshot,
												 psprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS f WHERE f.level > 0",
														  level->map, columns, columns, level->found), NULL);
	}
}

static void
ForgetStatement(LevelStatement *statement)
{
	if (statement->prepared)
		SqlFree(statement->prepared);
	statement->prepared = NULL;
	statement->sql = NULL;
}

/*
 * Begin anew, for other facts that are followed.
 */
void
RestartLevels(Levels *levels)
{
	ListCell   *lc;

	foreach(lc, levels->tables)
	{
		Level	   *level = lfirst(lc);

		ForgetStatement(&level->find);
		ForgetStatement(&level->use);
		SqlUtility(psprintf("TRUNCATE %s", TemporaryName(level->table, "ready")));
	}
	levels->few = false;
}

/*
 * End following levels.
 */
void
EndLevels(Levels *levels)
{
	ListCell   *lc;

	RestartLevels(levels);
	StandIn(levels, false);
	foreach(lc, levels->tables)
	{
		Level	   *level = lfirst(lc);
		FactTable  *table = level->table;

		SqlUtility(psprintf("DROP TABLE %s, %s, %s", level->found, TemporaryName(table, "waiting"), TemporaryName(table, "ready")));
		if (table->free)
			SqlUtility(psprintf("DROP TABLE %s", table->free));
		table->free = NULL;
	}
}
