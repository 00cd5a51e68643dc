/*-------------------------------------------------------------------------
 *
 * friends.h
 *	  the map that friends are found on: see paths.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_FRIENDS_H
#define FACTMERGE_FRIENDS_H

#include "factmerge.h"

/* A table as a stop on the way */
typedef struct Stop
{
	FactTable  *table;			/* NULL if it takes no part in the merge */
	bool		destination_only;	/* a table that only the destination has */
	Oid			relation;
	List	   *names;			/* of char *: columns that take part in
								 * references */
	List	   *leaving;		/* of Passage: references from it */
	List	   *arriving;		/* of Passage: references to it */
	int			distance;		/* steps to the nearest table with handlers */
	bool		everywhere;		/* paths may lead over any fact here */
	char	   *neighbourhood;	/* the table of the last round, or NULL */
} Stop;

/* A reference as a way between two stops */
typedef struct Passage
{
	Reference  *reference;
	Stop	   *from;
	Stop	   *to;
} Passage;

extern List *FindStops(List *tables, List *others);
extern List *FriendStops(Stop *origin);

#endif							/* FACTMERGE_FRIENDS_H */
