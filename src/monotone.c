/*-------------------------------------------------------------------------
 *
 * monotone.c
 *	  what can be a rule
 *
 * A rule's query has to be monotone: a new fact may add rows to its result,
 * but never take one away.  Only then is it enough to look at what is new, and
 * only then does the order in which facts arrive not matter.  So a query may
 * join and filter facts as it likes, and ask whether some fact exists; it must
 * not ask whether none does, count them, rank them or take only some.
 *
 * All of that is about facts.  What a part of the query does that reads none is
 * its own business, as long as it does the same again tomorrow: functions that
 * are volatile are refused everywhere.
 *
 * The query comes in as the server has analysed it, with its views and those
 * common table expressions that read facts replaced by what they stand for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_node.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "rule.h"

/* What is known while a query is checked */
typedef struct Check
{
	List	   *facts;			/* Oids of the fact tables */
	List	   *range_tables;	/* of the queries around, innermost first */
	ParseState *pstate;			/* for positions */
} Check;

static void CheckQuery(Query *query, Check *check);

/*
 * Refuse a query for something in it, at a place if that is known.
 */
static void
Refuse(Check *check, int location, const char *what, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a rule cannot have %s", what),
			 errdetail("%s", detail),
			 errhint("A rule may only look at facts that are there: joins, conditions, IN, EXISTS, UNION. What needs more is a handler's work."),
			 parser_errposition(check->pstate, location)));
}

/* The names by which a query calls what it reads facts from, for a message */
static char *
FactualNames(Node *node, List *rtable, List *facts)
{
	if (IsA(node, JoinExpr))
	{
		char	   *left = FactualNames(((JoinExpr *) node)->larg, rtable, facts);
		char	   *right = FactualNames(((JoinExpr *) node)->rarg, rtable, facts);

		return left == NULL ? right : right == NULL ? left : psprintf("%s, %s", left, right);
	}
	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, rtable);

		if (ReadsFacts((Node *) rte, facts))
			return psprintf("\"%s\"", rte->eref->aliasname);
	}
	return NULL;
}

/*
 * Refuse a function that is volatile.
 */
static bool
IsVolatile(Oid function, void *arg)
{
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	*(Oid *) arg = function;
	return true;
}

static bool
RefuseVolatile(Node *node, void *arg)
{
	Check	   *check = arg;
	Oid			function = InvalidOid;

	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr) ||
		(!IsA(node, Query) && !IsA(node, RangeTblEntry) &&
		 check_functions_in_node(node, IsVolatile, &function)))
		Refuse(check, exprLocation(node), "a volatile function",
			   psprintf("What %s returns may differ from call to call, and so would what follows from the facts.",
						OidIsValid(function) ? QualifiedFunction(function) : "a sequence"));
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->tablesample)
			Refuse(check, exprLocation((Node *) rte->tablesample), "TABLESAMPLE",
				   psprintf("Which rows of \"%s\" it takes is left to chance.",
							rte->eref->aliasname));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, RefuseVolatile, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, RefuseVolatile, arg);
}

/*
 * Refuse a column of a fact that is no part of it, or the fact as a whole,
 * which has such columns.
 */
static void
CheckVar(Var *var, List *rtable, Check *check)
{
	RangeTblEntry *rte = rt_fetch(var->varno, rtable);
	char	   *name;

	if (rte->rtekind == RTE_JOIN)
	{
		ListCell   *lc;

		foreach(lc, rte->joinaliasvars)
		{
			Var		   *joined = copyObject(lfirst(lc));
			bool		whole = var->varattno <= 0;

			if (joined == NULL || !IsA(joined, Var) ||
				!(whole || var->varattno == foreach_current_index(lc) + 1))
				continue;
			if (whole)
				joined->varattno = 0;
			CheckVar(joined, rtable, check);
		}
		return;
	}
	if (rte->rtekind != RTE_RELATION || !list_member_oid(check->facts, rte->relid))
		return;
	if (var->varattno <= 0)
		Refuse(check, var->location, "whole rows or system columns of facts",
			   psprintf("It looks at more of a fact of table \"%s\" than its columns say.",
						get_rel_name(rte->relid)));
	name = get_attname(rte->relid, var->varattno, false);
	if (IsProvenanceColumn(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("a rule cannot look at column \"%s\"", name),
				 errdetail("It is not part of the fact of table \"%s\".",
						   get_rel_name(rte->relid)),
				 errhint("Name the columns instead of taking all of them."),
				 parser_errposition(check->pstate, var->location)));
}

static bool
CheckVars(Node *node, void *arg)
{
	Check	   *check = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		CheckVar(var, list_nth(check->range_tables, var->varlevelsup), check);
		return false;
	}
	if (IsA(node, Query))
	{
		check->range_tables = lcons(((Query *) node)->rtable, check->range_tables);
		(void) query_tree_walker((Query *) node, CheckVars, arg, QTW_IGNORE_JOINALIASES);
		check->range_tables = list_delete_first(check->range_tables);
		return false;
	}
	return expression_tree_walker(node, CheckVars, arg);
}

/* An expression in which no subquery may read facts */
typedef struct Expression
{
	Check	   *check;
	bool		negated;
} Expression;

static bool
RefuseFactualSublinks(Node *node, void *arg)
{
	Expression *expression = arg;

	if (node == NULL)
		return false;
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == NOT_EXPR)
	{
		Expression	inner = {expression->check, true};

		return expression_tree_walker(node, RefuseFactualSublinks, &inner);
	}
	if (IsA(node, SubLink) &&
		ReadsFacts(((SubLink *) node)->subselect, expression->check->facts))
	{
		SubLink    *sublink = (SubLink *) node;
		int			location = exprLocation(node);

		if (sublink->subLinkType == ALL_SUBLINK)
			Refuse(expression->check, location, "ALL over facts",
				   "A new fact could make the condition false.");
		if (sublink->subLinkType != EXISTS_SUBLINK && sublink->subLinkType != ANY_SUBLINK)
			Refuse(expression->check, location, "a subquery over facts as a value",
				   "A new fact could change the value.");
		Refuse(expression->check, location,
			   expression->negated ? "NOT EXISTS or NOT IN over facts" :
			   "EXISTS or IN over facts within another expression",
			   "A new fact could make the condition false.");
	}
	return expression_tree_walker(node, RefuseFactualSublinks, arg);
}

static void
CheckExpression(Node *node, Check *check)
{
	Expression	expression = {check, false};

	(void) RefuseFactualSublinks(node, &expression);
}

/*
 * Check a condition: it may ask, between AND and OR, whether facts exist.
 */
static void
CheckCondition(Node *node, Check *check)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, List))
	{
		foreach(lc, (List *) node)
			CheckCondition(lfirst(lc), check);
		return;
	}
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop != NOT_EXPR)
	{
		CheckCondition((Node *) ((BoolExpr *) node)->args, check);
		return;
	}
	if (IsA(node, SubLink))
	{
		SubLink    *sublink = (SubLink *) node;

		if (sublink->subLinkType == EXISTS_SUBLINK || sublink->subLinkType == ANY_SUBLINK)
		{
			CheckExpression(sublink->testexpr, check);
			CheckQuery((Query *) sublink->subselect, check);
			return;
		}
	}
	CheckExpression(node, check);
}

/*
 * Check a join: where a row is kept that has found no partner, facts must not
 * be what it looked for.
 */
static void
CheckJoin(Node *node, List *rtable, Check *check)
{
	JoinExpr   *join = (JoinExpr *) node;
	char	   *left;
	char	   *right;
	bool		refused;

	if (!IsA(node, JoinExpr))
		return;
	CheckJoin(join->larg, rtable, check);
	CheckJoin(join->rarg, rtable, check);
	if (join->jointype == JOIN_INNER)
	{
		CheckCondition(join->quals, check);
		return;
	}
	left = FactualNames(join->larg, rtable, check->facts);
	right = FactualNames(join->rarg, rtable, check->facts);
	refused = (join->jointype != JOIN_RIGHT && right) || (join->jointype != JOIN_LEFT && left);
	if (refused)
		Refuse(check, -1, "an outer join to facts",
			   psprintf("A row for which there is nothing in %s would be derived, and should not have been once there is.",
						join->jointype != JOIN_RIGHT && right ? right : left));
	CheckExpression(join->quals, check);
}

/*
 * Whether a part of a tree of set operations reads facts.
 */
static bool
SetReadsFacts(Node *node, Query *query, List *facts)
{
	if (IsA(node, RangeTblRef))
		return ReadsFacts((Node *) rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable), facts);
	return SetReadsFacts(((SetOperationStmt *) node)->larg, query, facts) ||
		SetReadsFacts(((SetOperationStmt *) node)->rarg, query, facts);
}

/*
 * Check a tree of set operations.
 */
static void
CheckSetOperations(Node *node, Query *query, Check *check)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;

	if (node == NULL || !IsA(node, SetOperationStmt))
		return;
	CheckSetOperations(operation->larg, query, check);
	CheckSetOperations(operation->rarg, query, check);
	if (operation->op == SETOP_EXCEPT && SetReadsFacts(operation->rarg, query, check->facts))
		Refuse(check, -1, "EXCEPT over facts",
			   "A new fact behind EXCEPT could take a row away.");
	if (operation->op == SETOP_EXCEPT && operation->all &&
		SetReadsFacts(operation->larg, query, check->facts))
		Refuse(check, -1, "EXCEPT ALL over facts",
			   "It depends on how many facts give the same row.");
}

/*
 * Whether LIMIT does limit, that is, unless it says ALL.
 */
static bool
Limits(Node *count)
{
	return count && !(IsA(count, Const) && ((Const *) count)->constisnull);
}

/*
 * Refuse what makes a query as a whole other than monotone.
 */
static void
CheckClauses(Query *query, Check *check)
{
	int			location = locate_agg_of_level((Node *) query->targetList, 0);

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		Refuse(check, -1, "a part that writes", "A rule only says what follows.");
	if (query->hasRecursive && ReadsFacts((Node *) query->cteList, check->facts))
		Refuse(check, ((CommonTableExpr *) linitial(query->cteList))->location,
			   "WITH RECURSIVE over facts",
			   "A rule is recursive if it reads its own target, and needs nothing else for that.");
	if (query->rowMarks)
		Refuse(check, -1, "FOR UPDATE or FOR SHARE", "A rule only looks.");
	if (query->hasAggs)
		Refuse(check, location >= 0 ? location : locate_agg_of_level(query->havingQual, 0),
			   "an aggregate over facts", "A new fact changes what it comes to.");
	if (query->groupingSets)
		Refuse(check, exprLocation((Node *) query->groupingSets), "grouping sets over facts",
			   "They add rows that no fact stands for.");
	if (query->hasWindowFuncs)
		Refuse(check, locate_windowfunc((Node *) query->targetList),
			   "a window function over facts", "A new fact changes what it comes to.");
	if (query->constraintDeps)
		Refuse(check, -1, "columns of facts that GROUP BY leaves out",
			   "That a key tells them is known of a table, and not of the facts that have just arrived in it.");
	if (Limits(query->limitCount) || query->limitOffset)
		Refuse(check, exprLocation(query->limitCount ? query->limitCount : query->limitOffset),
			   "LIMIT or OFFSET over facts", "A new fact could displace another.");
	if (query->hasDistinctOn)
		Refuse(check, -1, "DISTINCT ON over facts", "A new fact could displace another.");
}

/*
 * Check a query, if it reads facts at all.
 */
static void
CheckQuery(Query *query, Check *check)
{
	ListCell   *lc;

	check_stack_depth();
	if (!ReadsFacts((Node *) query, check->facts))
		return;
	CheckClauses(query, check);
	CheckSetOperations(query->setOperations, query, check);
	foreach(lc, query->jointree->fromlist)
		CheckJoin(lfirst(lc), query->rtable, check);
	CheckCondition(query->jointree->quals, check);
	CheckCondition(query->havingQual, check);
	CheckExpression((Node *) query->targetList, check);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_SUBQUERY)
			CheckQuery(rte->subquery, check);
		CheckExpression((Node *) rte->functions, check);
		CheckExpression((Node *) rte->tablefunc, check);
		CheckExpression((Node *) rte->values_lists, check);
		CheckExpression((Node *) GROUP_EXPRESSIONS(rte), check);
	}
}

/*
 * Raise an error if a query is not monotone in the facts; text is what it was
 * written as.
 */
void
RefuseNonMonotone(Query *query, List *facts, const char *text)
{
	Check		check = {facts, NIL, make_parsestate(NULL)};

	check.pstate->p_sourcetext = text;
	(void) RefuseVolatile((Node *) query, &check);
	(void) CheckVars((Node *) query, &check);
	CheckQuery(query, &check);
	free_parsestate(check.pstate);
}
