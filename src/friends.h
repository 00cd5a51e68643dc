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

	/* For one search */
	bool		origin;			/* its events are looked at */
	bool		counted;		/* its facts count as friends */
	int			distance;		/* steps to the nearest origin */
	bool		everywhere;		/* paths may lead over any fact here */
	bool		analyzed;		/* for this or another search */
	char	   *neighbourhood;	/* the table of the last round, or NULL */
	uint64		met;			/* the last search of FriendStops() that came here */
} Stop;

/* A reference as a way between two stops */
typedef struct Passage
{
	Reference  *reference;
	Stop	   *from;
	Stop	   *to;
	char	   *text[2];		/* the step in words, backward and forward */
	uint64		met[2];			/* as a stop's */
} Passage;

/* How far to look for friends, and for which */
typedef struct Search
{
	int			hops;
	List	   *tables;			/* Oids: whose facts count, NIL for all */
} Search;

/* A table whose facts are declared to be friends */
typedef struct Friend
{
	Oid			relation;
	char	   *condition;		/* SQL over fact and friend, NULL: what foreign
								 * keys lead to */
} Friend;

/* How many foreign keys lead to a friend that is declared without condition */
#define DECLARED_HOPS 4

/* Handlers of one table that have the same friends, and take the same events */
typedef struct HandlerGroup
{
	Stop	   *stop;
	int			number;			/* among those of its table, from 1 */
	List	   *handlers;		/* of Handler */
	Search		search;
	List	   *friends;		/* of Friend */
	bool		stopped;		/* none of its events is looked at */
	List	   *found;			/* of char *: tables of what the friends show */
	char	   *events;			/* table of mixed events, or NULL */
	char	   *verdicts;		/* table of all events, if there are other groups */
	int64		mixed;			/* events of facts that only the source has */
	int64		mixed_in_both;	/* ... that are in both */
	int64		one_sided;
} HandlerGroup;

/* paths.c */
extern List *FindStops(List *tables, List *others);
extern List *FriendStops(Stop *origin, int hops);

/* befriend.c */
extern List *LoadFriends(FactTable *table, int *hops);

/* friends.c */
extern bool CountsInexact(FactTable *table);
extern bool HasOneSidedFacts(Stop *stop);
extern char *SideText(Merge *merge, Stop *stop, const char *alias, Side side);
extern bool HasDestinationOnlyFacts(Merge *merge, Stop *stop);
extern char *FactsOf(Merge *merge, Stop *stop, const char *alias);
extern void CountFacts(List *stops, Search *search);
extern void BeginSearch(Merge *merge, List *stops, List *groups,
						Search *search);
extern void EndSearch(List *stops);
extern char *EventsLookedAt(Merge *merge, HandlerGroup *group, Search *search,
							List *found);

#endif							/* FACTMERGE_FRIENDS_H */
