/*-------------------------------------------------------------------------
 *
 * lookalike.h
 *	  what looks like a reference and is none: see lookalike.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_LOOKALIKE_H
#define FACTMERGE_LOOKALIKE_H

#include "factmerge.h"

/* How much of a table is looked at */
#define SAMPLE_ROWS		10000
#define SAMPLE_PAGES	200
#define MOST_VALUES		1000

/* What keys look like that are compared with each other */
typedef enum KeyKind
{
	KEY_OTHER,
	KEY_NUMBER,
	KEY_UUID,
	KEY_TEXT
} KeyKind;

/* A fact table whose facts get other keys in the destination */
typedef struct KeyedTable
{
	FactTable  *table;
	Column	   *key;
	KeyKind		kind;
	UniqueKey  *unique;			/* of the key alone; or NULL */
} KeyedTable;

/* Where values are that may be keys of another table */
typedef struct Place
{
	FactTable  *table;
	Column	   *column;
	Column	   *type;			/* its values name the table; or NULL */
	char	   *path;			/* in a document; or NULL */
	bool		many;			/* several in one value */
	List	   *targets;		/* of KeyedTable: those that it may lead to */
	List	   *values;			/* of char *: a sample */
	KeyedTable *target;			/* the one that it leads to */
} Place;

/* lookalike.c */
extern char *SampleOf(Merge *merge, FactTable *table, const char *columns);
extern List *FindLookalikes(Merge *merge);
extern List *PointedTo(List *words, bool many, FactTable *own, List *targets);

/* document.c */
extern List *PlacesInDocuments(Merge *merge, FactTable *table, Column *column,
							   bool binary, List *targets);

#endif							/* FACTMERGE_LOOKALIKE_H */
