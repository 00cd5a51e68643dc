/*-------------------------------------------------------------------------
 *
 * condition.c
 *	  conditions that are declared
 *
 * A condition is an SQL boolean over some rows, such as source and destination
 * of a sameness.  It is parsed and analysed by the server like any other
 * expression, and kept as the server's own text of the result, in which every
 * name is qualified.  So it means the same whatever the search_path of a later
 * merge.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "samerule.h"

/* What the server writes before the expression of a query without tables */
#define BEFORE_EXPRESSION " SELECT "

/* Collects the columns that an expression names */
typedef struct Named
{
	ConditionRows *rows;
	int			level;			/* of subqueries */
	List	   *names;			/* of char * */
} Named;

/*
 * Say in errors whose condition it is.
 */
static void
ConditionContext(void *arg)
{
	ConditionRows *rows = arg;

	PointInto(rows->condition);
	errcontext("condition declared with %s for table \"%s\"", rows->declared_with, rows->table);
}

/*
 * The raw parse tree of a condition: an expression and nothing around it.
 */
static Node *
ParseExpression(ConditionRows *rows)
{
	List	   *trees = raw_parser(rows->condition, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) ((RawStmt *) linitial(trees))->stmt;

	if (list_length(select->targetList) != 1 || select->distinctClause ||
		select->intoClause || select->fromClause || select->whereClause ||
		select->groupClause || select->havingClause || select->windowClause ||
		select->valuesLists || select->sortClause || select->limitOffset ||
		select->limitCount || select->lockingClause || select->withClause ||
		select->op != SETOP_NONE ||
		((ResTarget *) linitial(select->targetList))->name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a condition is one expression"),
				 rows->count < 2 ? 0 :
				 errhint("Compare columns of %s with columns of %s.", rows->names[0], rows->names[1])));
	return ((ResTarget *) linitial(select->targetList))->val;
}

/*
 * Collect the columns of the two rows that an expression names, and refuse
 * what is no column.
 */
static bool
CollectNames(Node *node, void *arg)
{
	Named	   *named = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == (Index) named->level)
	{
		Var		   *var = (Var *) node;
		char	   *name;

		if (var->varattno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a condition cannot look at whole rows or system columns"),
					 errhint("Name the columns to compare.")));
		name = NameStr(TupleDescAttr(RelationGetDescr(named->rows->relations[var->varno - 1]),
									 var->varattno - 1)->attname);
		if (IsProvenanceColumn(name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("a condition cannot look at column \"%s\"", name),
					 errdetail("It is not part of the fact.")));
		named->names = lappend(named->names, pstrdup(name));
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		named->level++;
		result = query_tree_walker((Query *) node, CollectNames, named, 0);
		named->level--;
		return result;
	}
	return expression_tree_walker(node, CollectNames, named);
}

/*
 * The text of an analysed expression over the tables of a parse state.
 */
static char *
ExpressionText(ParseState *pstate, Node *expression)
{
	Query	   *query = makeNode(Query);
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = pstate->p_rtable;
	QUERY_PERMISSIONS(query, pstate);
	query->jointree = makeFromExpr(NIL, NULL);
	query->hasSubLinks = pstate->p_hasSubLinks;
	query->targetList = list_make1(makeTargetEntry((Expr *) expression, 1,
												   NULL, false));
	LockSearchPath();
	FixSettings();
	text = pg_get_querydef(query, false);
	AtEOXact_GUC(true, nest_level);
	if (strncmp(text, BEFORE_EXPRESSION, strlen(BEFORE_EXPRESSION)) != 0)
		elog(ERROR, "unexpected text of a condition: %s", text);
	return text + strlen(BEFORE_EXPRESSION);
}

/*
 * Check a condition on some rows; returns it with all names resolved, and the
 * names of the columns that it looks at.
 */
char *
ResolveCondition(ConditionRows *rows, List **names)
{
	ParseState *pstate = make_parsestate(NULL);
	Named		named = {rows, 0, NIL};
	ErrorContextCallback context = {error_context_stack, ConditionContext, rows};
	Node	   *expression;
	char	   *text;

	error_context_stack = &context;
	pstate->p_sourcetext = rows->condition;
	for (int i = 0; i < rows->count; i++)
		addNSItemToQuery(pstate,
						 addRangeTableEntryForRelation(pstate, rows->relations[i],
													   AccessShareLock,
													   makeAlias(rows->names[i], NIL),
													   false, true),
						 false, true, true);
	expression = transformExpr(pstate, ParseExpression(rows), EXPR_KIND_WHERE);
	expression = coerce_to_boolean(pstate, expression, "condition");
	assign_expr_collations(pstate, expression);
	if (contain_volatile_functions(expression))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("a condition cannot call volatile functions"),
				 errdetail("%s", rows->volatile_detail)));
	CollectNames(expression, &named);
	text = ExpressionText(pstate, expression);
	error_context_stack = context.previous;
	*names = named.names;
	return text;
}
