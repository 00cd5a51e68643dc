/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *	  taking a rule's query apart, and putting it together again
 *
 * All of it happens on the server's own query trees, and the server's own code
 * writes the result down.
 *
 * What stands for facts has been replaced by what it stands for (inline.c), so that
 * each place that reads a fact table is one of its own: an atom.  Each UNION is
 * split, which leaves arms of which a derivation takes one fact of each atom, or
 * of some where there is an OR.
 *
 * To look at some facts only, an atom is turned into a reference to a common
 * table expression, factmerge_atom_1 and so on, whose definition the caller
 * writes in front of the statement: it selects the columns of the table from
 * the facts that are wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "rule.h"

/* Splitting is left alone where it would make more arms than that */
#define MOST_ARMS 64

/* Collects the places that read fact tables */
typedef struct Atoms
{
	List	   *facts;			/* Oids */
	List	   *entries;		/* of RangeTblEntry */
} Atoms;

static bool
CollectAtoms(Node *node, void *arg)
{
	Atoms	   *atoms = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && list_member_oid(atoms->facts, rte->relid))
			atoms->entries = lappend(atoms->entries, rte);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, CollectAtoms, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, CollectAtoms, arg);
}

/*
 * The places of a query that read fact tables, in the order of the tree.
 */
static List *
AtomsOf(Query *query, List *facts)
{
	Atoms		atoms = {facts, NIL};

	(void) CollectAtoms((Node *) query, &atoms);
	return atoms.entries;
}

/*
 * Whether a query, or a part of one, reads fact tables.
 */
bool
ReadsFacts(Node *node, List *facts)
{
	Atoms		atoms = {facts, NIL};

	if (node && IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* A walker that is given an entry does not look into it */
		return rte->rtekind == RTE_SUBQUERY ? ReadsFacts((Node *) rte->subquery, facts) :
			rte->rtekind == RTE_RELATION && list_member_oid(facts, rte->relid);
	}
	(void) CollectAtoms(node, &atoms);
	return atoms.entries != NIL;
}

/*
 * The fact tables that a query reads, each once.
 */
List *
FactsRead(Query *query, List *facts)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, AtomsOf(query, facts))
		tables = list_append_unique_oid(tables, ((RangeTblEntry *) lfirst(lc))->relid);
	return tables;
}

/*
 * A query that selects from one entry of a range table only.
 */
Query *
SelectFrom(RangeTblEntry *rte, List *targets)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);

	rte->alias = makeAlias("q", NIL);
	rte->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = targets;
	return query;
}

/*
 * An expression as a column of the UNIONs that it is part of, the innermost one first.
 * Conversions and collations are written so that they are read as such.
 */
static Expr *
AsColumnOf(List *unions, int number, Expr *expression)
{
	Node	   *node = (Node *) expression;
	Oid			collation = list_nth_oid(((SetOperationStmt *) llast(unions))->colCollations, number);
	CollateExpr *collate;
	ListCell   *lc;

	foreach(lc, unions)
		node = coerce_to_target_type(NULL, node, exprType(node),
									 list_nth_oid(((SetOperationStmt *) lfirst(lc))->colTypes, number),
									 -1, COERCION_IMPLICIT, COERCE_EXPLICIT_CAST, -1);
	if (!OidIsValid(collation) || exprCollation(node) == collation)
		return (Expr *) node;
	collate = makeNode(CollateExpr);
	collate->arg = (Expr *) node;
	collate->collOid = collation;
	collate->location = -1;
	return (Expr *) collate;
}

/*
 * One of the queries that UNIONs put together, of which rte is the entry: to stand
 * where they have been, with their common table expressions and types of columns.
 */
static Query *
SideOf(List *unions, RangeTblEntry *rte, Query *query)
{
	List	   *targets = NIL;
	bool		as_is = query->cteList == NIL;
	Query	   *side;
	ListCell   *lc;

	rte = copyObject(rte);
	foreach(lc, rte->subquery->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Expr	   *given = (Expr *) makeVarFromTargetEntry(1, entry);
		Expr	   *column;

		if (entry->resjunk)
			continue;
		column = AsColumnOf(unions, list_length(targets), given);
		as_is &= column == given;
		targets = lappend(targets, makeTargetEntry(column, list_length(targets) + 1,
												   entry->resname, false));
	}
	if (as_is)
	{
		IncrementVarSublevelsUp((Node *) rte->subquery, -1, 1);
		return rte->subquery;
	}
	side = SelectFrom(rte, targets);
	side->cteList = copyObject(query->cteList);
	side->hasRecursive = query->hasRecursive;
	return side;
}

/*
 * The queries that a tree of UNIONs puts together, which is itself part of some
 * unions, the innermost one first; NIL if the tree is not one.
 */
static List *
UnitedQueries(Node *node, List *unions, Query *query)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	List	   *left;
	List	   *right;

	if (node && IsA(node, RangeTblRef))
		return list_make1(SideOf(unions, rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable),
								 query));
	if (node == NULL || operation->op != SETOP_UNION)
		return NIL;
	unions = lcons(operation, list_copy(unions));
	left = UnitedQueries(operation->larg, unions, query);
	right = UnitedQueries(operation->rarg, unions, query);
	return left && right ? list_concat(left, right) : NIL;
}

/*
 * All ways to choose one side of each UNION in a query and in what it selects
 * from.  What reads no facts is left as it is: only of what does is it known that
 * nothing but the rows as such matters.
 */
static List *
SplitUnions(Query *query, List *facts)
{
	List	   *united;
	List	   *split = NIL;
	ListCell   *lc;

	if (!ReadsFacts((Node *) query, facts))
		return list_make1(query);
	united = UnitedQueries(query->setOperations, NIL, query);
	if (united)
	{
		foreach(lc, united)
			split = list_concat(split, SplitUnions(lfirst(lc), facts));
		return split;
	}
	split = list_make1(query);
	for (int i = 0; i < list_length(query->rtable); i++)
	{
		RangeTblEntry *rte = list_nth(query->rtable, i);
		List	   *sides;
		List	   *ways = NIL;
		ListCell   *side;

		if (rte->rtekind != RTE_SUBQUERY || !rte->inFromCl)
			continue;
		sides = SplitUnions(rte->subquery, facts);
		if (list_length(sides) * list_length(split) > MOST_ARMS)
			continue;
		foreach(lc, split)
			foreach(side, sides)
		{
			Query	   *way = copyObject((Query *) lfirst(lc));

			TurnIntoSubquery(list_nth(way->rtable, i), copyObject(lfirst(side)));
			ways = lappend(ways, way);
		}
		split = ways;
	}
	return split;
}

/*
 * Take a rule's query apart.
 */
List *
SplitIntoArms(Query *query, List *facts)
{
	List	   *arms = NIL;
	ListCell   *lc;
	ListCell   *a;

	query = copyObject(query);
	AcquireRewriteLocks(query, false, false);
	InlineFactualCtes(query, facts);
	foreach(lc, SplitUnions(query, facts))
	{
		Arm		   *arm = palloc0(sizeof(Arm));

		arm->query = lfirst(lc);
		foreach(a, AtomsOf(arm->query, facts))
			arm->atoms = lappend_oid(arm->atoms, ((RangeTblEntry *) lfirst(a))->relid);
		arms = lappend(arms, arm);
	}
	return arms;
}

/* Looks for an equality between columns of two entries of one range table */
typedef struct Equality
{
	int			one;
	int			other;
	AttrNumber	column;
	AttrNumber	other_column;
} Equality;

static bool
FindEquality(Node *node, void *arg)
{
	Equality   *equality = arg;

	if (node == NULL)
		return false;
	if (IsA(node, List))
		return expression_tree_walker(node, FindEquality, arg);
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR)
		return FindEquality((Node *) ((BoolExpr *) node)->args, arg);
	if (IsA(node, FromExpr) || (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER))
		return expression_tree_walker(node, FindEquality, arg);
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		Var		   *left = linitial(((OpExpr *) node)->args);
		Var		   *right = lsecond(((OpExpr *) node)->args);

		if (!IsA(left, Var) || !IsA(right, Var) || left->varlevelsup || right->varlevelsup ||
			!op_mergejoinable(((OpExpr *) node)->opno, left->vartype))
			return false;
		if (left->varno == equality->other && right->varno == equality->one)
		{
			Var		   *swapped = left;

			left = right;
			right = swapped;
		}
		equality->column = left->varattno;
		equality->other_column = right->varattno;
		return left->varno == equality->one && right->varno == equality->other;
	}
	return false;
}

/*
 * Whether an arm joins two of its atoms directly, by which columns.
 */
bool
AreEqual(Arm *arm, List *facts, int one, int other,
		 AttrNumber *column, AttrNumber *other_column)
{
	List	   *entries = AtomsOf(arm->query, facts);
	Equality	equality = {0};
	ListCell   *lc;

	foreach(lc, arm->query->rtable)
	{
		if (lfirst(lc) == list_nth(entries, one))
			equality.one = foreach_current_index(lc) + 1;
		if (lfirst(lc) == list_nth(entries, other))
			equality.other = foreach_current_index(lc) + 1;
	}
	if (equality.one == 0 || equality.other == 0 ||
		!FindEquality((Node *) arm->query->jointree, &equality))
		return false;
	*column = equality.column;
	*other_column = equality.other_column;
	return true;
}

/*
 * Whether an operand is just a column of a table, seen through subqueries and joins: of
 * which table, and which.  queries are those around it, the innermost first.
 */
bool
IsColumnOfTable(List *queries, Node *operand, Oid *table, AttrNumber *column)
{
	while (operand && IsA(operand, Var) && ((Var *) operand)->varattno > 0)
	{
		Var		   *var = (Var *) operand;
		Query	   *query;
		RangeTblEntry *rte;

		queries = list_copy_tail(queries, var->varlevelsup);
		query = linitial(queries);
		rte = rt_fetch(var->varno, query->rtable);
		if (query->setOperations)
			return false;
		if (rte->rtekind == RTE_RELATION)
		{
			*table = rte->relid;
			*column = var->varattno;
			return true;
		}
		if (rte->rtekind == RTE_JOIN)
			operand = list_nth(rte->joinaliasvars, var->varattno - 1);
		else if (GROUP_EXPRESSIONS(rte) != NIL)
			operand = list_nth(GROUP_EXPRESSIONS(rte), var->varattno - 1);
		else if (rte->rtekind == RTE_SUBQUERY)
		{
			queries = lcons(rte->subquery, queries);
			operand = (Node *) get_tle_by_resno(rte->subquery->targetList, var->varattno)->expr;
		}
		else
			return false;
	}
	return false;
}

/*
 * The facts that a query gives, without columns that their table has got since a query
 * that reads it was analysed: their names could mean something else there.
 */
static char *
AsWhenAnalysed(RangeTblEntry *rte, char *source)
{
	Relation	relation = table_open(rte->relid, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(relation);
	int			known = list_length(rte->eref->colnames);
	StringInfoData sql;
	bool		first = true;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < known; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (attribute->attisdropped)
			continue;
		AppendSeparator(&sql, ", ", &first);
		appendStringInfo(&sql, "t.%s", quote_identifier(NameStr(attribute->attname)));
	}
	appendStringInfo(&sql, " FROM (%s) AS t", source);
	table_close(relation, NoLock);
	return known < tupdesc->natts ? sql.data : source;
}

/*
 * The names by which a query knows the columns of a relation now; empty for
 * those that are gone.
 */
static List *
CurrentNames(RangeTblEntry *rte)
{
	Relation	relation = table_open(rte->relid, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(relation);
	List	   *aliases = rte->alias ? rte->alias->colnames : NIL;
	List	   *names = NIL;
	int			known = list_length(rte->eref->colnames);

	for (int i = 0; i < known; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (attribute->attisdropped)
			names = lappend(names, makeString(""));
		else if (i < list_length(aliases))
			names = lappend(names, list_nth(aliases, i));
		else
			names = lappend(names, makeString(pstrdup(NameStr(attribute->attname))));
	}
	table_close(relation, NoLock);
	return names;
}

/*
 * Let an entry that reads a table refer to a common table expression.
 */
static void
TurnIntoReference(RangeTblEntry *rte, char *name)
{
	rte->eref->colnames = CurrentNames(rte);
	rte->rtekind = RTE_CTE;
	rte->ctename = name;
	rte->ctelevelsup = 0;
	rte->relid = InvalidOid;
	rte->relkind = '\0';
	rte->rellockmode = NoLock;
	rte->inh = false;
	ClearPermissions(rte);
}

/*
 * The text of a query, with every name qualified.
 */
char *
QueryText(Query *query)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	LockSearchPath();
	FixSettings();
	text = pg_get_querydef(copyObject(query), false);
	AtEOXact_GUC(true, nest_level);
	return text;
}

/*
 * The text of an arm in which some atoms look at certain facts only: those that
 * the query in sources gives, unless it is NULL.  Appends the definitions that
 * have to stand before it; number counts them.
 */
char *
RestrictAtoms(Arm *arm, List *facts, char **sources, StringInfo with, int *number)
{
	Query	   *query = copyObject(arm->query);
	ListCell   *lc;

	foreach(lc, AtomsOf(query, facts))
	{
		int			i = foreach_current_index(lc);
		char	   *name;

		if (sources[i] == NULL)
			continue;
		name = NewCteName(query, "atom", number);
		appendStringInfo(with, "%s%s AS NOT MATERIALIZED (%s)", with->len ? ", " : "WITH ", name,
						 AsWhenAnalysed(lfirst(lc), sources[i]));
		TurnIntoReference(lfirst(lc), name);
	}
	return QueryText(query);
}
