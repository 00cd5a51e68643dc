/*-------------------------------------------------------------------------
 *
 * skipped.h
 *	  trying out skipped events, and what to say of it: see skipped.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_SKIPPED_H
#define FACTMERGE_SKIPPED_H

#include "handler.h"
#include "storage/itemptr.h"

/* A table that a handler may add to */
typedef struct Target
{
	Oid			relation;
	FactTable  *table;
	bool		tagged;			/* it has the provenance columns */
	List	   *parts;			/* Oids: its partitions, or itself */
	int64		inserts;		/* how often a row has been inserted so far */
} Target;

typedef struct SkippedEvent
{
	Oid			relation;
	ItemPointerData place;
	bool		own;			/* of a fact that only the side replayed has */
} SkippedEvent;

/* What is done to one handler, and what comes of it */
typedef struct Trial
{
	Merge	   *merge;
	Turn	   *turn;
	List	   *targets;		/* of Target */
	int			count;
	int			room;
	SkippedEvent *events;
	double		until;			/* milliseconds since the merge has begun */
	int			tried;			/* the event that is or was tried last, from 1 */
	PlanDeeds  *deeds;
	char	   *before;			/* the transaction before which all else is written */

	/* What has been found */
	Target	   *target;			/* NULL: nothing */
	char	   *fact;
	bool		again;			/* it adds the same each time */
	ErrorData  *error;
} Trial;

/* advice.c */
extern char *TextOfFact(FactTable *table, const char *row, bool derived);
extern void TellOfFound(Trial *trial, bool safe);
extern void TellOfError(Trial *trial);

#endif							/* FACTMERGE_SKIPPED_H */
