/*-------------------------------------------------------------------------
 *
 * check.h
 *	  what the parts of factmerge_check_handler() share, see check.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_CHECK_H
#define FACTMERGE_CHECK_H

#include "factmerge.h"
#include "handler.h"

/* How often the sample arrives in some order that puts no fact last on purpose */
#define ORDERS 6

/* A fact of the sample */
typedef struct Arrival
{
	FactTable  *table;
	char	   *text;			/* for people */
	bool		referred;		/* others of the sample refer to it */
	bool		here;			/* it has arrived */
	bool		follows;		/* it could not arrive, since it was derived before */
} Arrival;

/* One order of arrival, and what came of it */
typedef struct Outcome
{
	int			last;			/* fact that came as late as it could, or -1 */
	int			count;
	char	  **facts;			/* derived, sorted */
	char	   *error;			/* raised on the way, or NULL */
} Outcome;

typedef struct Check
{
	Merge	   *merge;
	FactTable  *table;
	Handler    *handler;
	int			wanted;			/* how many facts */
	MemoryContext context;		/* what is found out lives in it */

	List	   *derived;		/* Oids: tables that some handler or rule writes to */
	List	   *written;		/* of FactTable: those that this handler does */
	PlanDeeds  *deeds;			/* what this handler does itself */
	TableChange *changed;		/* a fact table that it does not only add to, or NULL */
	List	   *arriving;		/* of FactTable: whose facts arrive */

	int			count;			/* of facts in the sample */
	Arrival    *sample;
	SqlStatement **arrive;		/* by a table's position: fact $1 arrives */

	char	   *again;			/* what adding twice has changed, or NULL */
	bool		handled;		/* the handler has been run on facts */
	char	   *failure;		/* what it has raised then, or NULL */
	int			events_tried;	/* for what it combines, see companion.c */
	int			companioned;	/* from how many of these something followed */
	char	   *no_friend;		/* what it combines that is no friend, or NULL */
	List	   *outcomes;		/* of Outcome */
	char	  **all;			/* what has been derived in any order, sorted */
	int			all_count;
} Check;

/* A table's part of the sample: number from 0 through all tables, place, fact */
#define SAMPLE_OF(table) psprintf("pg_temp.factmerge_sample_%d", (table)->position)

/* sample.c */
extern void FindDerivedTables(Check *check);
extern void ChooseArriving(Check *check);
extern bool IsAmongArriving(Check *check, Reference *reference);
extern void DrawSample(Check *check);

/* arrival.c */
extern void EmptyTables(Check *check);
extern void PrepareArrivals(Check *check);
extern void Arrive(Check *check, int *order, int count);
extern void HandleAll(Check *check, Turn *turn);

/* outcome.c */
extern Outcome *CollectDerived(Check *check);
extern void LeaveEachOnce(Outcome *outcome);
extern void UniteOutcomes(Check *check);
extern char *FirstMissing(char **texts, int count, char **others,
						  int other_count);

/* experiment.c */
extern char *Try(void (*work) (Check *check, void *arg), Check *check,
				 void *arg, bool keep);
extern void ForgetArrivals(Check *check);
extern void HandleAllAgain(Check *check);
extern void Experiment(Merge *merge, void *arg);

/* companion.c */
extern void TryCompanions(Check *check);

#endif							/* FACTMERGE_CHECK_H */
