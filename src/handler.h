/*-------------------------------------------------------------------------
 *
 * handler.h
 *	  the handlers of a fact table, and running them: see handler.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_HANDLER_H
#define FACTMERGE_HANDLER_H

#include "executor/tuptable.h"
#include "factmerge.h"
#include "plan.h"

typedef enum HandlerKind
{
	HANDLER_ROW_TRIGGER,
	HANDLER_STATEMENT_TRIGGER,
	HANDLER_FUNCTION,			/* inserts by itself */
	HANDLER_SET_FUNCTION		/* returns the rows to save */
} HandlerKind;

typedef struct Handler
{
	char	   *name;			/* of the trigger, or the function's, qualified */
	HandlerKind kind;
	int			priority;
	bool		found_from_this;
	Oid			function;
	Oid			target;			/* table whose rows a set function returns */
	List	   *friends;		/* Oids: tables that it may inspect, NIL for all */
	char	   *only_when;		/* SQL over fact, or NULL */
	char	   *stop_when;		/* SQL, or NULL */
	char	   *events;			/* table of its mixed events, or NULL */
	bool		watched;		/* the guard has seen it before */
	List	   *harmless;		/* Oids: what it may read, or has been told of */
	List	   *changed;		/* Oids: what it has been seen to change */
} Handler;

/* Whether it is a declared function, which the server does not call by itself. */
static inline bool
IsFunction(Handler *handler)
{
	return handler->kind == HANDLER_FUNCTION || handler->kind == HANDLER_SET_FUNCTION;
}

/* A handler and its table, to be put in order */
typedef struct Turn
{
	FactTable  *table;
	Handler    *handler;
} Turn;

/* One run of one handler over events */
typedef struct HandlerRun HandlerRun;

extern void LoadHandlers(List *tables);
extern Handler *FunctionHandler(Oid fact_table, const char *name, bool is_declared);
extern List *ConstraintTriggers(FactTable *table);
extern const char *TriggerWhileCopying(Oid relation);
extern bool FiresWhileCopying(FactTable *table);
extern bool HasFunctionHandler(FactTable *table);
extern char *OnlyWhen(FactTable *table, Handler *handler,
					  const char *relation, const char *place);
extern char *AllEvents(FactTable *table, Handler *handler);
extern bool StopsAnyway(Merge *merge, Handler *handler);
extern char *DescribeHandler(Handler *handler);

extern HandlerRun *BeginHandler(Merge *merge, FactTable *table, Handler *handler);
extern void HandleFact(HandlerRun *run, Relation relation, TupleTableSlot *slot);
extern void EndHandler(HandlerRun *run);

/* guard.c */
extern List *FriendTables(Merge *merge, FactTable *table, Handler *handler);
extern bool HasFriendPath(Merge *merge, FactTable *table, Oid other);
extern void BeginGuard(Merge *merge, FactTable *table, Handler *handler, bool reads);
extern PlanDeeds *BeginNoting(FactTable *table, Handler *handler, MemoryContext context);
extern void EndNoting(void);

/* replay.c */
extern void PrepareSession(Merge *merge);
extern List *TakeTurns(Merge *merge);
extern void RunHandler(Merge *merge, FactTable *table, Handler *handler,
					   const char *events);
extern void TryHandler(Merge *merge, FactTable *table, Handler *handler,
					   const char *events);

/* signature.c */
extern bool HasSignature(const char *name);
extern const char *SplitSignature(const char *name, Oid *argument);

#endif							/* FACTMERGE_HANDLER_H */
