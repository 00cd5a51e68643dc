/*-------------------------------------------------------------------------
 *
 * code.c
 *	  indexes whose expressions call code that depends on search_path
 *
 * A function in the expression or predicate of an index may find what it calls only
 * by the search_path of whoever inserts.  Entering a row is then the only thing that
 * is sure to work: from PostgreSQL 17 on, REINDEX and ANALYZE have a search_path of
 * their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "factmerge.h"

/*
 * Whether the settings of a function (proconfig) say which search_path it has.
 */
static bool
SetsSearchPath(HeapTuple function)
{
	static const char prefix[] = "search_path=";
	bool		isnull;
	Datum		settings = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proconfig, &isnull);
	Datum	   *values;
	int			count;
	bool		found = false;

	if (isnull)
		return false;
	deconstruct_array(DatumGetArrayTypeP(settings), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL, &count);
	for (int i = 0; i < count; i++)
		found |= strncmp(TextDatumGetCString(values[i]), prefix, strlen(prefix)) == 0;
	return found;
}

/*
 * Whether a function may look for names on the search_path of whoever calls it.
 */
static bool
LooksOnPath(Oid function, void *arg)
{
	HeapTuple	tuple;
	Oid			language;
	bool		looks;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	looks = language != INTERNALlanguageId && language != ClanguageId && !SetsSearchPath(tuple);
	ReleaseSysCache(tuple);
	return looks;
}

/* Checks of domains are code, too */
static bool
CallsWhatLooks(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	return IsA(node, CoerceToDomain) || check_functions_in_node(node, LooksOnPath, arg) ||
		expression_tree_walker(node, CallsWhatLooks, arg);
}

/*
 * Whether what an index holds depends on functions that may look on search_path.
 */
bool
DependsOnPath(Relation index)
{
	return CallsWhatLooks((Node *) RelationGetIndexExpressions(index), NULL) ||
		CallsWhatLooks((Node *) RelationGetIndexPredicate(index), NULL);
}

static bool
HasIndexThatDepends(Oid relation)
{
	Relation	rel = table_open(relation, AccessShareLock);
	bool		depends = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		depends |= DependsOnPath(index);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return depends;
}

/*
 * Give the planner statistics of a table of the destination: of some columns, in
 * parentheses, or of all.  Where that might fail, it does without.
 */
void
AnalyzeTable(Merge *merge, FactTable *table, const char *columns)
{
	if (COMMANDS_SET_SEARCH_PATH && HasIndexThatDepends(table->destination))
		return;
	SqlLetCodeSee(merge->search_path);
	(void) SqlExecute(merge->snapshot, psprintf("ANALYZE %s%s", QualifiedRelation(table->destination),
												columns), NULL);
	SqlLetCodeSee(NULL);
}
