/*-------------------------------------------------------------------------
 *
 * eventlog.h
 *	  the events of a schema that keeps them in a table: see eventlog.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_EVENTLOG_H
#define FACTMERGE_EVENTLOG_H

#include "factmerge.h"

typedef struct EventLog
{
	FactTable  *table;
	Column	   *name;			/* which table the fact of an event is in */
	Column	   *key;			/* ... and its key there */
	Column	   *order;			/* what the events are ordered by */
	bool		by_oid;			/* name holds oids, not texts */
	List	   *references;		/* of Reference: to each table that it can name */
	List	   *ignored;		/* Oids: tables of the source without facts */
} EventLog;

/* The events that a merge looks at, in their order: see logevent.c */
#define LOGGED_EVENTS "pg_temp.factmerge_log"

/* eventlog.c */
extern void RelateEventLog(List *tables);
extern EventLog *FindEventLog(List *tables);
extern char *LoggedKey(Reference *reference, const char *alias, bool source);
extern void AppendLogTranslation(StringInfo sql, Column *column);
extern void CheckEventLog(Merge *merge, FactTable *table);

/* logevent.c */
extern void PlaceEvents(Merge *merge);
extern void PlaceAllEvents(Merge *merge);
extern void CountLoggedEvents(Merge *merge, FactTable *table, int64 *own,
							  int64 *both);
extern bool PlaceDerivedEvents(Merge *merge, int round);

#endif							/* FACTMERGE_EVENTLOG_H */
