/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  writing much to a table whose indexes are rebuilt afterwards
 *
 * Entering a row into an index costs several times what the row's share of
 * building the index costs.  So where a merge is about to write a good part of
 * a table, it suspends the table's indexes, marks and copies, and has them
 * rebuilt with REINDEX, which also enforces their constraints.
 *
 * An index is suspended by taking back indisready, the flag by which CREATE
 * INDEX CONCURRENTLY, too, keeps an index from being maintained; REINDEX sets
 * it again.  All of it belongs to the transaction, and goes with it.
 *
 * What rules are about to add to a table is written likewise, see late.c: its
 * indexes stay suspended, but for the one by which rules look facts up.  Since the
 * table is read in the meantime, suspended indexes are then made invalid as well,
 * so that the planner does without.
 *
 * Rebuilding an index locks it against readers, so by default that is done only
 * where readers are locked out already, for the provenance columns have just
 * been added; see factmerge.rebuild_indexes.
 *
 * A suspended index still holds the old rows, and nothing else is looked for
 * meanwhile.  But no row may be updated in place of the old one (HOT): the new
 * indexes would then be of no use to the transaction itself.  An index on the
 * column that is updated prevents that; it is empty, and dropped afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_index.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "factmerge.h"

/* Below so many rows it does not matter */
#define WORTHWHILE_ROWS 10000

/*
 * From which share of a table on rebuilding is cheaper.  Entering a row into an
 * index takes four times its share of building the index at the least, and much
 * more where that makes a full page image of nearly every page.
 */
#define WORTHWHILE_SHARE 0.1

/* The name of the index that prevents updates in place */
#define GUARD_INDEX "factmerge_guard_%u"

/*
 * Whether all indexes of a table are in order, and there are any.
 */
static bool
HasSoundIndexes(FactTable *table)
{
	Relation	relation = table_open(table->destination, NoLock);
	List	   *indexes = RelationGetIndexList(relation);
	bool		sound = indexes != NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		sound &= index->rd_index->indisvalid && index->rd_index->indisready;
		index_close(index, NoLock);
	}
	table_close(relation, NoLock);
	return sound;
}

/*
 * Whether a function may read tables: one that users have written, and do not promise
 * to be immutable.
 */
static bool
MayRead(Oid function, void *arg)
{
	return function >= FirstNormalObjectId && func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

static bool
CallsWhatMayRead(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, MayRead, arg) ||
		expression_tree_walker(node, CallsWhatMayRead, arg);
}

/*
 * Whether a check of a table may read tables while facts are copied, by their indexes.
 */
bool
ReadsWhileCopying(FactTable *table)
{
	Relation	relation = table_open(table->destination, AccessShareLock);
	TupleConstr *constraints = RelationGetDescr(relation)->constr;
	bool		reads = false;

	for (int i = 0; constraints && i < constraints->num_check; i++)
		reads |= CallsWhatMayRead(stringToNode(constraints->check[i].ccbin), NULL);
	table_close(relation, AccessShareLock);
	return reads;
}

/*
 * Decide whether to rebuild a table's indexes, given how many facts will be
 * tagged by an UPDATE.
 */
static bool
IsWorthwhile(FactTable *table, int64 tagged)
{
	double		written = tagged + table->counts.copied;

	if (table->partitioned || rebuild_indexes == REBUILD_NEVER)
		return false;
	if (rebuild_indexes == REBUILD_ALWAYS)
		return written > 0;
	return !table->has_tags && written >= WORTHWHILE_ROWS &&
		written >= WORTHWHILE_SHARE * (table->destination_facts + table->counts.copied);
}

/*
 * Whether REINDEX is sure to find what an index calls.
 */
static bool
IsToBeSuspended(Oid oid)
{
	Relation	index = index_open(oid, AccessShareLock);
	bool		depends = DependsOnPath(index);

	index_close(index, NoLock);
	return !depends;
}

/*
 * Take indisready from the indexes of a table, and indisvalid if they are not even to
 * be read.
 */
static void
SuspendIndexes(Oid relation, bool readable)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	Relation	rel = table_open(relation, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple;

		if (!IsToBeSuspended(lfirst_oid(lc)))
			continue;
		tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		((Form_pg_index) GETSTRUCT(tuple))->indisready = false;
		((Form_pg_index) GETSTRUCT(tuple))->indisvalid &= readable;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		heap_freetuple(tuple);
	}
	CacheInvalidateRelcache(rel);
	table_close(rel, NoLock);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Suspend the indexes of a table if that is worthwhile, before its facts are
 * tagged.  Its provenance columns exist by now.
 */
void
BeginBulk(Merge *merge, FactTable *table, int64 tagged)
{
	/* What is called while facts are copied may look for some by index */
	if (merge->careful || merge->slice || merge->derives_while_copying || merge->reads_while_copying ||
		!IsWorthwhile(table, tagged) || !HasSoundIndexes(table))
		return;
	SqlUtility(psprintf("CREATE INDEX " GUARD_INDEX " ON %s (" MERGE_COLUMN ") WHERE false",
						table->destination, QualifiedRelation(table->destination)));
	SuspendIndexes(table->destination, true);
	table->suspended = true;
}

/* The name of an index of a table, qualified and quoted */
static char *
IndexName(FactTable *table, const char *index)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table->destination)),
									  index);
}

/*
 * Rebuild one index of a table whose facts are copied, by which they are looked up,
 * and let the others stay suspended for facts that are yet to come.
 */
void
ExtendBulk(Merge *merge, FactTable *table, const char *index)
{
	ReportActivity(merge, table, "rebuilding an index of");
	SuspendIndexes(table->destination, false);
	SqlUtility(psprintf("REINDEX INDEX %s", IndexName(table, index)));
}

/*
 * The names of a table's indexes that are suspended.
 */
static List *
SuspendedIndexes(FactTable *table)
{
	Relation	relation = table_open(table->destination, NoLock);
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (!index->rd_index->indisready)
			names = lappend(names, pstrdup(RelationGetRelationName(index)));
		index_close(index, NoLock);
	}
	table_close(relation, NoLock);
	return names;
}

/*
 * Rebuild the indexes of a table that are suspended, after its facts are written.
 */
void
EndBulk(Merge *merge, FactTable *table)
{
	ListCell   *lc;

	if (!table->suspended)
		return;
	ReportActivity(merge, table, "rebuilding the indexes of");
	SqlUtility(psprintf("DROP INDEX %s", IndexName(table, psprintf(GUARD_INDEX, table->destination))));
	foreach(lc, SuspendedIndexes(table))
		SqlUtility(psprintf("REINDEX INDEX %s", IndexName(table, lfirst(lc))));
	table->suspended = false;
}
