/*-------------------------------------------------------------------------
 *
 * finding.h
 *	  what a merge has to say of handlers: see finding.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_FINDING_H
#define FACTMERGE_FINDING_H

#include "factmerge.h"
#include "handler.h"

extern void AddFinding(Merge *merge, FactTable *table, Handler *handler, bool unsound,
					   const char *message, const char *detail, const char *hint);
extern void RaiseFindings(Merge *merge);
extern void ForgetHeldFindings(Merge *merge, Handler *handler);
extern void RecordFindings(Merge *merge);

extern char *OurFunction(const char *name);
extern char *AddFriendCall(Oid table, Oid friend_table, const char *condition);
extern char *ReadCondition(TableRead *read);
extern char *IgnoringHint(FactTable *table, Handler *handler, Oid changed);
extern char *IgnoringCall(FactTable *table, Handler *handler);

#endif							/* FACTMERGE_FINDING_H */
