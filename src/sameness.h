/*-------------------------------------------------------------------------
 *
 * sameness.h
 *	  the SQL that matches facts: see sameness.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_SAMENESS_H
#define FACTMERGE_SAMENESS_H

#include "factmerge.h"

/* What one statement does with the facts that have no address yet */
typedef enum MatchMode
{
	MATCH_ALL,					/* match what has a counterpart, assign the rest */
	MATCH_LEVEL,				/* match only */
	MATCH_AGAIN,				/* match only, with what an earlier merge found and is
								 * still the same */
	MATCH_KNOWN,				/* ... or may be, as far as it can be compared */
	MATCH_REST					/* assign only */
} MatchMode;

/* One way in which facts can be the same */
typedef struct SameWay
{
	UniqueKey  *key;			/* the one that it is, or NULL */
	List	   *columns;		/* of Column: what is compared */
	List	   *never_null;		/* of Column: a null there equals nothing */
	bool		bag;			/* it is that of facts which no key identifies: the
								 * k-th of equal ones is the k-th, see bag.c */
} SameWay;

struct Levels;

extern List *WaysToBeSame(FactTable *table);
extern bool HasUnidentified(FactTable *table);
extern bool IsDrawn(Column *column);
extern void AppendNotIdentified(StringInfo sql, FactTable *table, const char *alias);
extern void AppendNotWaiting(StringInfo sql, FactTable *table, List *columns);
extern void AppendNoAddressYet(StringInfo sql, Merge *merge, FactTable *table);
extern bool NeedsChoice(FactTable *table, MatchMode mode);
extern void AppendMatches(StringInfo sql, Merge *merge, FactTable *table,
						  MatchMode mode);
extern void AppendLevelConditions(StringInfo sql, Merge *merge, FactTable *table,
								  MatchMode mode);
extern void AppendCounterpartsByKey(StringInfo sql, FactTable *table);
extern void AppendWholeRowEquality(StringInfo sql, FactTable *table, const char *alias);

/* refuse.c */
extern void RefuseAmbiguity(Merge *merge, FactTable *table);
extern void RefuseFusion(Merge *merge, FactTable *table);
extern void RefuseIndistinct(FactTable *table);
extern void RefuseCircularKeys(FactTable *table, List *assigned);
extern void TryAddress(Merge *merge, FactTable *table);

/* bag.c */
extern bool IsBag(FactTable *table);
extern void AppendRankAmong(StringInfo sql, FactTable *table, bool source, List *columns);
extern void AppendRank(StringInfo sql, FactTable *table, bool source);
extern void AppendIsFree(StringInfo sql, FactTable *table);
extern void NoticeUnidentified(Merge *merge, FactTable *table);
extern void AppendBagPairs(StringInfo sql, Merge *merge, FactTable *table);

/* circle.c */
extern List *ReferencesOnTheWay(FactTable *table, SameWay *way);
extern void NoticeUnresolved(Merge *merge, List *component, struct Levels *levels);

#endif							/* FACTMERGE_SAMENESS_H */
