/*-------------------------------------------------------------------------
 *
 * use.c
 *	  what a rule does with the values that it reads
 *
 * A rule that only asks whether values are equal derives the same from facts that
 * are the same, in whichever database.  Two kinds of values may betray where they
 * are, if a rule looks into them:
 *
 * - generated keys, and references to them, are other numbers here than there; so
 *	 for a rule that compares them by order, or with anything but the same keys, or
 *	 puts them where no reference is, facts of one side alone may lead to something
 *	 new when they come to the other;
 * - values that are equal without being identical, as 1.0 and 1.00, may be written
 *	 otherwise in the two databases.
 *
 * A value is looked into unless it is an operand of = or <>, is asked whether it is
 * null, or becomes a column of the result as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "rule.h"

/* A search through a query for what it looks into */
typedef struct Search
{
	Merge	   *merge;
	List	   *queries;		/* around the place, innermost first */
	SubLink    *sublink;		/* whose operands are being looked at, or NULL */
	Uses	   *uses;
} Search;

static bool FindUsesIn(Node *node, void *arg);

/*
 * The column of a fact of the merge that an operand is, NULL if it is something else.
 */
static Column *
FactColumn(Search *search, List *queries, Node *operand, FactTable **table)
{
	Oid			relation;
	AttrNumber	number;
	ListCell   *lc;

	while (operand && IsA(operand, RelabelType))
		operand = (Node *) ((RelabelType *) operand)->arg;
	if (!IsColumnOfTable(queries, operand, &relation, &number))
		return NULL;
	*table = FindTable(search->merge->tables, relation);
	foreach(lc, *table ? (*table)->columns : NIL)
		if (((Column *) lfirst(lc))->number == number)
		return lfirst(lc);
	return NULL;
}

/*
 * The column that a column leads to, over however many references that a merge
 * translates: itself, if it is none.
 */
static Column *
RootOf(Column *column)
{
	while (column && column->reference)
		column = list_nth(column->reference->target_columns, column->reference_column);
	return column;
}

/*
 * Whether of two columns one holds keys that the other has nothing to do with.
 */
static bool
MixesKeys(Column *one, Column *other)
{
	return ((one && IsTranslated(one)) || (other && IsTranslated(other))) && RootOf(one) != RootOf(other);
}

/*
 * Whether values of a column that are equal are so to the last bit.
 */
static bool
IsIdenticalIfEqual(Column *column)
{
	TypeCacheEntry *type = lookup_type_cache(column->type, TYPECACHE_BTREE_OPFAMILY);
	Oid			function;

	/* Without an order, it is compared as text */
	if (!OidIsValid(type->btree_opf))
		return true;
	function = get_opfamily_proc(type->btree_opf, type->btree_opintype, type->btree_opintype,
								 BTEQUALIMAGE_PROC);
	return OidIsValid(function) &&
		DatumGetBool(OidFunctionCall1Coll(function, column->collation,
										  ObjectIdGetDatum(type->btree_opintype)));
}

/*
 * Note that an operand is looked into.
 */
static void
NoteLook(Search *search, List *queries, Node *operand)
{
	FactTable  *table = NULL;
	Column	   *column = FactColumn(search, queries, operand, &table);

	if (column == NULL)
		return;
	if (IsTranslated(column))
		search->uses->keys = true;
	if (!IsIdenticalIfEqual(column))
		search->uses->loose = list_append_unique_ptr(search->uses->loose, table);
}

/*
 * What an operand of a comparison is, which in that of IN is a column of the subquery.
 */
static Column *
OperandColumn(Search *search, Node *operand)
{
	List	   *queries = search->queries;
	FactTable  *table;

	if (search->sublink && IsA(operand, Param) && ((Param *) operand)->paramkind == PARAM_SUBLINK)
	{
		Query	   *query = (Query *) search->sublink->subselect;

		queries = lcons(query, list_copy(queries));
		operand = (Node *) get_tle_by_resno(query->targetList, ((Param *) operand)->paramid)->expr;
	}
	return FactColumn(search, queries, operand, &table);
}

/*
 * Whether an operator asks only whether two values are equal.
 */
static bool
AsksForEquality(OpExpr *operation)
{
	Oid			negator = get_negator(operation->opno);
	Oid			type = list_length(operation->args) == 2 ? exprType(linitial(operation->args)) : InvalidOid;

	return OidIsValid(type) && (op_mergejoinable(operation->opno, type) || op_hashjoinable(operation->opno, type) ||
								(OidIsValid(negator) && (op_mergejoinable(negator, type) ||
														 op_hashjoinable(negator, type))));
}

/*
 * Look at a comparison of two operands for equality: keys are to be compared with the
 * same keys only.
 */
static bool
FindUsesInEquality(Search *search, OpExpr *operation)
{
	Column	   *left = OperandColumn(search, linitial(operation->args));
	Column	   *right = OperandColumn(search, lsecond(operation->args));

	if (MixesKeys(left, right))
		search->uses->keys = true;
	if (left == NULL)
		(void) FindUsesIn(linitial(operation->args), search);
	if (right == NULL)
		(void) FindUsesIn(lsecond(operation->args), search);
	return false;
}

/*
 * What the sides of set operations return is beyond what is followed here.
 */
static void
NoteSides(Search *search, Query *query)
{
	ListCell   *lc;
	ListCell   *t;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind != RTE_SUBQUERY)
			continue;
		foreach(t, rte->subquery->targetList)
			NoteLook(search, lcons(rte->subquery, list_copy(search->queries)),
					 (Node *) ((TargetEntry *) lfirst(t))->expr);
	}
}

static bool
FindUsesInQuery(Search *search, Query *query)
{
	ListCell   *lc;
	ListCell   *g;

	search->queries = lcons(query, search->queries);
	if (query->setOperations)
		NoteSides(search, query);
	foreach(lc, query->rtable)
		foreach(g, GROUP_EXPRESSIONS((RangeTblEntry *) lfirst(lc)))
		if (!IsA(lfirst(g), Var))
		(void) FindUsesIn(lfirst(g), search);
	(void) query_tree_walker(query, FindUsesIn, search,
							 QTW_IGNORE_JOINALIASES | IGNORE_GROUP_EXPRESSIONS);
	search->queries = list_delete_first(search->queries);
	return false;
}

static bool
FindUsesIn(Node *node, void *arg)
{
	Search	   *search = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return FindUsesInQuery(search, (Query *) node);
	if (IsA(node, TargetEntry) && IsA(((TargetEntry *) node)->expr, Var))
		return false;
	if (IsA(node, NullTest) && IsA(((NullTest *) node)->arg, Var))
		return false;
	if (IsA(node, OpExpr) && AsksForEquality((OpExpr *) node))
		return FindUsesInEquality(search, (OpExpr *) node);
	if (IsA(node, Var))
	{
		NoteLook(search, search->queries, node);
		return false;
	}
	if (IsA(node, SubLink))
	{
		SubLink    *outer = search->sublink;

		search->sublink = (SubLink *) node;
		(void) FindUsesIn(((SubLink *) node)->testexpr, arg);
		search->sublink = outer;
		return FindUsesIn(((SubLink *) node)->subselect, arg);
	}
	return expression_tree_walker(node, FindUsesIn, arg);
}

/*
 * Look at what a query returns as it is: a key belongs where the same key is.
 */
static void
FindUsesInResult(Search *search, Query *query, Rule *rule)
{
	FactTable  *target = FindTable(search->merge->tables, rule->target);
	ListCell   *lc;
	ListCell   *name;

	forboth(lc, query->targetList, name, rule->columns)
	{
		FactTable  *table;
		Column	   *given = FactColumn(search, list_make1(query), (Node *) ((TargetEntry *) lfirst(lc))->expr, &table);
		Column	   *column = FindColumn(target, lfirst(name));

		if (given && column && MixesKeys(given, column))
			search->uses->keys = true;
	}
}

/*
 * What a rule looks into, of the tables of a merge that has its target.
 */
Uses
UsesOf(Merge *merge, Rule *rule)
{
	Uses		uses = {false, NIL};
	Search		search = {.merge = merge,.uses = &uses};
	ListCell   *lc;

	foreach(lc, rule->arms)
	{
		Query	   *query = ((Arm *) lfirst(lc))->query;

		(void) FindUsesIn((Node *) query, &search);
		if (query->setOperations == NULL)
			FindUsesInResult(&search, query, rule);
		else
			search.uses->keys = true;
	}
	return uses;
}
