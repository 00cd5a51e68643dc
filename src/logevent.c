/*-------------------------------------------------------------------------
 *
 * logevent.c
 *	  the events that an event log holds, and their order
 *
 * What a merge looks at of them, those that are in the source, is a temporary
 * table with, for each event,
 *
 *	relation, fact		where the fact lies that the event is about
 *	target				the position of its table in walk order
 *	own					whether only the source has the fact
 *	place				its number in the order of the log
 *	log_relation,
 *	log_fact			where the row of the log lies
 *	round				0, or in which round of the replay it was derived
 *
 * A row of the log is the event of the fact that it names; and if the log has
 * handlers of its own, of itself, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "eventlog.h"
#include "factmerge.h"

/*
 * Append the events of a table: of its facts x, by rows l of the log.
 */
static void
AppendEventsOf(StringInfo sql, Merge *merge, EventLog *log, FactTable *table,
			   const char *x, const char *from, const char *condition)
{
	bool		merging = OidIsValid(table->source);

	appendStringInfo(sql, "%sSELECT %s.tableoid AS relation, %s.ctid AS fact, %d AS target, ",
					 sql->len > 0 ? " UNION ALL " : "", x, x, table->position);
	if (merging)
		AppendSideCondition(sql, merge, table, x, SIDE_SOURCE);
	else
		appendStringInfoString(sql, "false");
	appendStringInfo(sql, " IS TRUE AS own, l.%s AS place, l.tableoid AS log_relation, l.ctid AS log_fact"
					 " FROM %s AS l%s WHERE %s",
					 quote_identifier(log->order->name), QualifiedRelation(log->table->destination),
					 from, condition);
}

/*
 * SQL for the events of a log, by its rows l that meet a condition, in the form
 * of the table but for place, which is the log's own value.
 */
static char *
EventsInLog(Merge *merge, const char *condition)
{
	EventLog   *log = FindEventLog(merge->tables);
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, log->references)
	{
		Reference  *reference = lfirst(lc);
		StringInfoData join;
		Column	   *key = linitial(reference->target_columns);

		initStringInfo(&join);
		appendStringInfo(&join, " JOIN %s AS x ON ", QualifiedRelation(reference->target_relation));
		AppendEquality(&join, psprintf("x.%s", quote_identifier(key->name)),
					   linitial_oid(reference->operators), LoggedKey(reference, "l", false),
					   key->collation);
		AppendEventsOf(&sql, merge, log, reference->target, "x", join.data, condition);
	}
	if (log->table->handlers != NIL || log->references == NIL)
		AppendEventsOf(&sql, merge, log, log->table, "l", "", condition);
	return sql.data;
}

/*
 * SQL for events in the order of their log, numbered, as of some round.
 */
static char *
Numbered(const char *events, int round)
{
	return psprintf("SELECT e.relation, e.fact, e.target, e.own,"
					" pg_catalog.row_number() OVER (ORDER BY e.place, e.log_relation, e.log_fact, e.target) AS place,"
					" e.log_relation, e.log_fact, %d AS round FROM (%s) AS e", round, events);
}

/*
 * Make the table of the events that a merge looks at, if there is a log.
 */
void
PlaceEvents(Merge *merge)
{
	EventLog   *log = FindEventLog(merge->tables);
	StringInfoData condition;

	if (log == NULL)
		return;
	ReportActivity(merge, log->table, "looking up the events of");
	initStringInfo(&condition);
	AppendSideCondition(&condition, merge, log->table, "l", SIDE_IN_SOURCE);
	SqlExecute(merge->snapshot,
			   psprintf("CREATE TEMPORARY TABLE " LOGGED_EVENTS " AS %s",
						Numbered(EventsInLog(merge, condition.data), 0)), NULL);
	SqlUtility("ANALYZE " LOGGED_EVENTS);
	merge->event_tables = lappend(merge->event_tables, LOGGED_EVENTS);
}

/*
 * Make the table of all events of a schema by itself.
 */
void
PlaceAllEvents(Merge *merge)
{
	SqlExecute(merge->snapshot,
			   psprintf("CREATE TEMPORARY TABLE " LOGGED_EVENTS " AS %s",
						Numbered(EventsInLog(merge, "true"), 0)), NULL);
}

/*
 * How many events are about facts of a table that only the source has, and how
 * many about others.
 */
void
CountLoggedEvents(Merge *merge, FactTable *table, int64 *own, int64 *both)
{
	char	  **row = SqlFetchRow(merge->snapshot,
								  psprintf("SELECT pg_catalog.count(*) FILTER (WHERE own), pg_catalog.count(*) FILTER (WHERE NOT own)"
										   " FROM " LOGGED_EVENTS " WHERE target = %d", table->position), NULL);

	*own = pg_strtoint64(row[0]);
	*both = pg_strtoint64(row[1]);
}

/*
 * Add the events that have been derived since the last round; returns whether
 * there were any.
 */
bool
PlaceDerivedEvents(Merge *merge, int round)
{
	char	   *derived = psprintf("l." MERGE_COLUMN " %s " INT64_FORMAT
								   " AND l." PROVENANCE_COLUMN " = 'derived'"
								   " AND NOT EXISTS (SELECT FROM " LOGGED_EVENTS " AS s"
								   " WHERE s.log_relation = l.tableoid AND s.log_fact = l.ctid)",
								   merge->verification ? "<" : "=", merge->id);

	return SqlExecute(merge->snapshot,
					  psprintf("INSERT INTO " LOGGED_EVENTS " %s",
							   Numbered(EventsInLog(merge, derived), round)), NULL) > 0;
}
