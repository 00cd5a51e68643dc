/*-------------------------------------------------------------------------
 *
 * rule.h
 *	  declared rules: see rule.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_RULE_H
#define FACTMERGE_RULE_H

#include "factmerge.h"
#include "nodes/parsenodes.h"
#include "utils/tuplestore.h"

/* The name under which a statement finds the facts that have just arrived */
#define NEWS_NAME		"factmerge_new"

/* ... what may be derived from them, and what has been */
#define CANDIDATES_NAME "factmerge_candidates"
#define DERIVED_NAME	"factmerge_derived"

/* A declared rule */
typedef struct Rule
{
	char	   *name;
	Oid			target;			/* table of the facts that it derives */
	Oid			view;			/* holds its query */
	List	   *columns;		/* of char *: of the target */
	List	   *arms;			/* of Arm */
	List	   *body;			/* Oids: fact tables that it reads */
	List	   *declared;		/* ... and read when declared; NIL if unknown */
	FactTable  *description;	/* of the target, see derive.c; or NULL */
} Rule;

/*
 * One way of deriving: the rule's query with one side chosen of each UNION.
 * Every derivation takes one fact of each atom.
 */
typedef struct Arm
{
	Query	   *query;
	List	   *atoms;			/* Oids: the fact tables it reads, in the order
								 * in which they stand in the query */
} Arm;

/* What a rule looks into, see use.c */
typedef struct Uses
{
	bool		keys;			/* numbers that databases have generated */
	List	   *loose;			/* of FactTable: values that may be equal without
								 * being identical */
} Uses;

/* Statements that derive facts by a rule and save them, see derive.c */
typedef struct Derivation
{
	char	   *rule;			/* its name */
	Oid			target;
	Oid			owner;			/* of the target */
	char	   *candidates;		/* collects them first, or NULL */
	char	   *derive;
	char	   *save;
	bool		quiet;			/* no trigger need be called */
	SqlStatement *derive_kept;	/* planned for few facts, or NULL */
	SqlStatement *save_kept;
} Derivation;

/* What follows from facts that arrive in a relation */
typedef struct Consequences
{
	List	   *derivations;	/* of Derivation */
	List	   *views;			/* Oids: of the rules that may be set off, in order */
	List	   *relations;		/* Oids: what all of it depends on */
	bool		stale;
	MemoryContext context;
} Consequences;

/* rule.c */
extern List *LoadRules(Oid schema);
extern bool KnowsBodies(void);
extern List *InOrder(List *rules);
extern List *RulesToApply(Oid schema);
extern void RefuseForeignRule(Rule *rule);
extern void WarnOfMissing(Oid table);
extern void RefuseInRule(Oid table);
extern Rule *FindRule(List *rules, const char *name);
extern void RemoveRule(Rule *rule);
extern void LockRegister(void);
extern void DropIdleTriggers(Rule *rule);
extern void ForgetDroppedRules(void);

/* monotone.c */
extern void RefuseNonMonotone(Query *query, List *facts, const char *text);

/* inline.c */
extern void TurnIntoSubquery(RangeTblEntry *rte, Query *query);
extern void InlineViews(Query *query);
extern char *NewCteName(Query *query, const char *kind, int *number);
extern void InlineFactualCtes(Query *query, List *facts);

/* rewrite.c */
extern bool ReadsFacts(Node *node, List *facts);
extern List *FactsRead(Query *query, List *facts);
extern Query *SelectFrom(RangeTblEntry *rte, List *targets);
extern List *SplitIntoArms(Query *query, List *facts);
extern bool AreEqual(Arm *arm, List *facts, int one, int other,
					 AttrNumber *column, AttrNumber *other_column);
extern bool IsColumnOfTable(List *queries, Node *operand, Oid *table,
							AttrNumber *column);
extern char *RestrictAtoms(Arm *arm, List *facts, char **sources,
						   StringInfo with, int *number);
extern char *QueryText(Query *query);

/* use.c */
extern Uses UsesOf(Merge *merge, Rule *rule);

/* derive.c */
extern char *ColumnList(Oid table, Oid relation, const char *alias);
extern UniqueKey *KeyLookedUp(Rule *rule);
extern bool MayConflict(Rule *rule);
extern char *CandidateStatement(Rule *rule, const char *with, const char *queries);
extern char *DeriveStatement(Rule *rule, const char *with, const char *query);
extern char *NameList(List *names, const char *alias);
extern char *SaveStatement(Rule *rule, Merge *merge);

/* maintain.c */
extern Oid	RuleTriggerFunction(void);
extern void CreateRuleTriggers(Oid table);
extern void DropRuleTriggers(Oid table);
extern bool HasTriggersOfOthers(Oid table);
extern List *EnableRuleTriggers(List *rules);
extern void RestoreRuleTriggers(List *enabled);

/* consequence.c */
extern Derivation *NewDerivation(Rule *rule, Merge *merge, char *candidates,
								 char *derive);
extern Oid	FactTableOf(Oid relation);
extern Consequences *ConsequencesOf(Oid relation);
extern void ForgetStaleConsequences(void);

/* saturate.c */
extern void TakeNews(Relation relation, Tuplestorestate *facts);
extern void DeriveAll(List *derivations);

/* combine.c */
extern List *ApplyToEverything(Rule *rule, Merge *merge, List *facts,
							   const char *condition);
extern bool IsQuiet(Merge *merge, Rule *rule);
extern void CombineFacts(Merge *merge);

/* late.c */
extern void EndOrExtendBulk(Merge *merge, FactTable *table);
extern void EndExtendedBulks(Merge *merge);

#endif							/* FACTMERGE_RULE_H */
