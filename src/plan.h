/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  what a statement reads and writes, as its plan shows: see plan.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_PLAN_H
#define FACTMERGE_PLAN_H

#include "executor/execdesc.h"
#include "nodes/pg_list.h"

/* A table that is read */
typedef struct TableRead
{
	Oid			table;
	List	   *conditions;		/* of char *: SQL over fact and friend, one of which
								 * holds for whatever is read */
	bool		at_large;		/* no, there may be more */
} TableRead;

/* A table whose rows are changed, or taken away */
typedef struct TableChange
{
	Oid			table;
	const char *how;			/* as in "updates" */
} TableChange;

/* What a handler does, or one statement of it */
typedef struct PlanDeeds
{
	List	   *read;			/* of TableRead */
	List	   *changed;		/* of TableChange */
	List	   *added_to;		/* Oids: tables that rows are inserted into */
} PlanDeeds;

extern Oid	WholeTable(Oid relation);
extern char *FactVariable(Oid function, bool is_trigger);
extern bool MayChange(QueryDesc *query);
extern void ReadPlan(QueryDesc *query, Oid fact_table, char *fact, PlanDeeds *deeds);
extern void AddChange(PlanDeeds *deeds, Oid table, const char *how);
extern TableChange *FindChange(PlanDeeds *deeds, Oid table);

#endif							/* FACTMERGE_PLAN_H */
