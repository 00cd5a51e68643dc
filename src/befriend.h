/*-------------------------------------------------------------------------
 *
 * befriend.h
 *	  what is declared of friends: see befriend.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_BEFRIEND_H
#define FACTMERGE_BEFRIEND_H

#include "factmerge.h"
#include "utils/array.h"

extern char *ResolveFactCondition(Oid fact_table, Oid friend_table,
								  const char *condition,
								  const char *declared_with,
								  const char *table);
extern List *NamedTables(Oid fact_table, ArrayType *names);
extern void RequireSameSchema(Oid fact_table, Oid other);

#endif							/* FACTMERGE_BEFRIEND_H */
