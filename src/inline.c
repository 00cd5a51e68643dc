/*-------------------------------------------------------------------------
 *
 * inline.c
 *	  replacing what stands for facts in a rule's query by what it stands for
 *
 * Views, and common table expressions that read facts, are replaced by their
 * queries, wherever they are referred to: two references may mean two facts.  Common
 * table expressions that read none stay, under names that mean the same everywhere,
 * since what refers to them may move below others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"

#include "compat.h"
#include "rule.h"

/*
 * Let an entry of a range table stand for a query, under the column names that
 * it has been known by.
 */
void
TurnIntoSubquery(RangeTblEntry *rte, Query *query)
{
	rte->alias = makeAlias(rte->eref->aliasname, copyObject(rte->eref->colnames));
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->relid = InvalidOid;
	rte->relkind = '\0';
	rte->rellockmode = NoLock;
	rte->inh = false;
	rte->ctename = NULL;
	rte->ctelevelsup = 0;
	rte->self_reference = false;
	rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
	ClearPermissions(rte);
}

static bool
InlineViewsIn(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* A view's own query may have entries that are in no FROM */
		if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW && rte->inFromCl)
		{
			Relation	view = table_open(rte->relid, AccessShareLock);

			TurnIntoSubquery(rte, copyObject(get_view_query(view)));
			table_close(view, NoLock);
		}
		return false;			/* what it is now is looked at next */
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, InlineViewsIn, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, InlineViewsIn, arg);
}

/*
 * Replace all views in a query by their queries.
 */
void
InlineViews(Query *query)
{
	(void) InlineViewsIn((Node *) query, NULL);
}

/* A common table expression on its way to where it is referred to */
typedef struct Inlining
{
	CommonTableExpr *cte;
	int			level;			/* of queries below the one that defines it */
} Inlining;

static bool
InlineCteIn(Node *node, void *arg)
{
	Inlining   *inlining = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		inlining->level++;
		(void) query_tree_walker((Query *) node, InlineCteIn, arg, QTW_EXAMINE_RTES_AFTER);
		inlining->level--;
		return false;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && (int) rte->ctelevelsup == inlining->level &&
			strcmp(rte->ctename, inlining->cte->ctename) == 0)
		{
			Query	   *query = copyObject((Query *) inlining->cte->ctequery);

			/* It has been written for a query further out */
			IncrementVarSublevelsUp((Node *) query, inlining->level, 1);
			TurnIntoSubquery(rte, query);
		}
		return false;
	}
	return expression_tree_walker(node, InlineCteIn, arg);
}

static bool
InlineCtesIn(Node *node, void *facts)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		List	   *kept = NIL;
		ListCell   *lc;

		/* One may refer to those before it */
		foreach(lc, query->cteList)
		{
			Inlining	inlining = {lfirst(lc), -1};

			if (inlining.cte->cterecursive || !ReadsFacts(inlining.cte->ctequery, facts))
			{
				kept = lappend(kept, inlining.cte);
				continue;
			}
			(void) InlineCteIn(node, &inlining);
		}
		query->cteList = kept;
		return query_tree_walker(query, InlineCtesIn, facts, 0);
	}
	return expression_tree_walker(node, InlineCtesIn, facts);
}

static bool
NamesCte(Node *node, void *name)
{
	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr) && strcmp(((CommonTableExpr *) node)->ctename, name) == 0)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, NamesCte, name, 0);
	return expression_tree_walker(node, NamesCte, name);
}

/*
 * A name like factmerge_..._1 that no common table expression of a query has.
 */
char *
NewCteName(Query *query, const char *kind, int *number)
{
	char	   *name;

	do
		name = psprintf("factmerge_%s_%d", kind, ++*number);
	while (NamesCte((Node *) query, name));
	return name;
}

/* Common table expressions, and the queries around a place */
typedef struct Ctes
{
	Query	   *query;			/* the whole */
	List	   *around;			/* of Query, innermost first */
	List	   *names;			/* that have been met */
	List	   *renamed;		/* of CommonTableExpr */
	List	   *old_names;
	int			number;
} Ctes;

/*
 * Let a reference follow a common table expression to its new name.
 */
static void
FollowName(RangeTblEntry *rte, Ctes *ctes)
{
	Query	   *query = list_nth(ctes->around, rte->ctelevelsup);
	ListCell   *lc;
	ListCell   *old;

	forboth(lc, ctes->renamed, old, ctes->old_names)
		if (list_member_ptr(query->cteList, lfirst(lc)) && strcmp(lfirst(old), rte->ctename) == 0)
		rte->ctename = ((CommonTableExpr *) lfirst(lc))->ctename;
}

static bool
FollowNamesIn(Node *node, void *arg)
{
	Ctes	   *ctes = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_CTE)
			FollowName((RangeTblEntry *) node, ctes);
		return false;
	}
	if (IsA(node, Query))
	{
		ctes->around = lcons(node, ctes->around);
		(void) query_tree_walker((Query *) node, FollowNamesIn, arg, QTW_EXAMINE_RTES_BEFORE);
		ctes->around = list_delete_first(ctes->around);
		return false;
	}
	return expression_tree_walker(node, FollowNamesIn, arg);
}

static bool
RenameCtesIn(Node *node, void *arg)
{
	Ctes	   *ctes = arg;
	CommonTableExpr *cte = (CommonTableExpr *) node;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, RenameCtesIn, arg, 0);
	if (IsA(node, CommonTableExpr))
	{
		foreach(lc, ctes->names)
			if (strcmp(lfirst(lc), cte->ctename) == 0)
			break;
		if (lc)
		{
			ctes->renamed = lappend(ctes->renamed, cte);
			ctes->old_names = lappend(ctes->old_names, cte->ctename);
			cte->ctename = NewCteName(ctes->query, "cte", &ctes->number);
		}
		ctes->names = lappend(ctes->names, cte->ctename);
	}
	return expression_tree_walker(node, RenameCtesIn, arg);
}

/*
 * Give the common table expressions of a query names of their own, so that each of them
 * means the same wherever it is referred to.
 */
static void
TellCtesApart(Query *query)
{
	Ctes		ctes = {.query = query};

	(void) RenameCtesIn((Node *) query, &ctes);
	if (ctes.renamed != NIL)
		(void) FollowNamesIn((Node *) query, &ctes);
}

/*
 * Replace references to common table expressions that read facts by these: two
 * references may mean two facts.
 */
void
InlineFactualCtes(Query *query, List *facts)
{
	TellCtesApart(query);
	(void) InlineCtesIn((Node *) query, facts);
}
