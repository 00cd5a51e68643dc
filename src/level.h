/*-------------------------------------------------------------------------
 *
 * level.h
 *	  following a circle of references level by level: see level.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_LEVEL_H
#define FACTMERGE_LEVEL_H

#include "factmerge.h"

/* A statement that takes the number of a level as $1 */
typedef struct LevelStatement
{
	char	   *sql;
	SqlStatement *prepared;		/* or NULL */
} LevelStatement;

/* A table of a circle, while that is followed */
typedef struct Level
{
	FactTable  *table;
	char	   *map;			/* its key map */
	char	   *found;			/* what stands in for that */
	List	   *references;		/* of Reference: that its facts may wait for */
	uint64		waiting;		/* how many do */
	uint64		ready;			/* ... and are ready at this level */
	LevelStatement find;		/* finds those */
	LevelStatement use;			/* does something with them */
} Level;

typedef struct Levels
{
	List	   *tables;			/* of Level */
	bool		few;			/* facts are ready, as far as is known */
} Levels;

extern char *TemporaryName(FactTable *table, const char *what);
extern void AppendRefersIntoCircle(StringInfo sql, Level *level, const char *alias);
extern bool CanFollow(List *component);
extern void IndexByLookups(FactTable *table, const char *name, const char *prefix);
extern void AnalyzeLookups(FactTable *table, const char *name, const char *prefix);
extern Levels *BeginLevels(Merge *merge, List *component);
extern void StandIn(Levels *levels, bool found);
extern uint64 FindReady(Merge *merge, Levels *levels, const char *kind, int64 number);
extern uint64 UseReady(Merge *merge, Levels *levels, Level *level,
					   char *(*build) (Merge *merge, FactTable *table), int64 number);
extern int64 MatchLevels(Merge *merge, Levels *levels);
extern void KeepLevels(Merge *merge, Levels *levels);
extern void RestartLevels(Levels *levels);
extern void EndLevels(Levels *levels);

/* free.c */
extern void CreateFree(Merge *merge, Level *level);
extern void AppendFreeCounterpart(StringInfo sql, FactTable *table);

#endif							/* FACTMERGE_LEVEL_H */
