/*-------------------------------------------------------------------------
 *
 * samerule.h
 *	  declared samenesses: see samerule.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_SAMERULE_H
#define FACTMERGE_SAMERULE_H

#include "factmerge.h"
#include "utils/jsonb.h"

/* How values are compared that need not be equal */
typedef enum ToleranceKind
{
	TOLERATE_NUMBER,			/* exact numbers, by distance */
	TOLERATE_FLOAT,				/* binary numbers, by distance */
	TOLERATE_TIME,				/* dates and timestamps, by interval */
	TOLERATE_POINT,				/* points, by distance */
	TOLERATE_NORMALISED,		/* equal after a function */
	TOLERATE_SIMILAR,			/* text, by similarity */
	TOLERATE_EDITED				/* text, by edit distance */
} ToleranceKind;

/* A function that makes values equal */
typedef struct Normaliser
{
	Oid			function;
	Oid			takes;			/* types, with polymorphic ones resolved */
	Oid			returns;
} Normaliser;

typedef struct Tolerance
{
	Column	   *column;
	ToleranceKind kind;
	char	   *amount;			/* in text, NULL if normalised */
	double		size;			/* the same as a number; of a time in seconds, of
								 * exact numbers only whether it is zero */
	double		whole;			/* how far integers may be apart, -1 if that is
								 * more than a double can count */
	List	   *functions;		/* of Normaliser, to be applied in this order */
	Oid			compared_type;	/* of what they return, or the column's */
} Tolerance;

/* What values that may be the same are joined on: see tolerance.c */
typedef struct Block
{
	char	   *value;			/* SQL */
	Oid			type;			/* ... of one block */
	bool		array;			/* SQL for an array of blocks */
} Block;

/* A declared sameness */
typedef struct SameRule
{
	UniqueKey  *key;			/* its columns may be NIL */
	bool		nulls_same;		/* ... two nulls in one are equal */
	List	   *tolerances;		/* of Tolerance */
	char	   *condition;		/* SQL over source and destination, or NULL */
	List	   *conditional;	/* of Column: what the condition names */
	List	   *columns;		/* of Column: all that the rule looks at */
} SameRule;

/* samerule.c */
extern bool IsKeyOnly(SameRule *rule);

/* tolerance.c */
extern Tolerance *MakeTolerance(Relation relation, Column *column,
								JsonbValue *value);
extern void PushTolerance(JsonbParseState **state, Tolerance *tolerance);
extern char *TrigramSchema(Tolerance *tolerance);
extern char *DescribeTolerance(Tolerance *tolerance);

/* distance.c */
extern char *Within(Tolerance *tolerance);
extern char *Share(Tolerance *tolerance);
extern List *ToleranceBlocks(Tolerance *tolerance, const char *value,
							 bool source);

/* candidate.c */
extern void MakePairs(Merge *merge, FactTable *table, bool level);
extern void DropPairs(FactTable *table);

#endif							/* FACTMERGE_SAMERULE_H */
