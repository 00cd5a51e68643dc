/*-------------------------------------------------------------------------
 *
 * resemble.h
 *	  which names point to a table: see resemble.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_RESEMBLE_H
#define FACTMERGE_RESEMBLE_H

#include "factmerge.h"

extern List *NameWords(const char *name);
extern bool IsIdentifier(List *words);
extern List *WithoutIdentifiers(List *words);
extern bool IsSameName(List *a, List *b);
extern bool IsTypeName(List *words);
extern bool IsAnyFact(List *words);
extern int	Resemblance(List *words, bool many, FactTable *target, Column *key,
						FactTable *own, bool *by_key);
extern bool NamesTable(const char *value, FactTable *table);

#endif							/* FACTMERGE_RESEMBLE_H */
