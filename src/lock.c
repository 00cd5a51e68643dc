/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  who may merge, and what is locked meanwhile
 *
 * The tables of the destination are locked SHARE ROW EXCLUSIVE, which
 * keeps writers and other merges out and lets readers in; those of the source
 * are locked ACCESS SHARE, so that their writers go on.  Before that, merges into
 * one destination queue for it, or refuse to.  All locks of tables are taken in
 * the order of the oids, so that two merges queue instead of deadlocking.
 *
 * Once the locks are held, one snapshot is taken for the whole merge.  Under
 * READ COMMITTED that is a fresh one.  Under the stricter levels it has to be
 * the transaction's, which may be older than the locks: if somebody's rows
 * have been committed to the destination in between, the merge could not see
 * them although they are there, and gives up with a serialization failure, as
 * an UPDATE does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "factmerge.h"

/*
 * Refuse to look at a table through row security: what it hides would be
 * missed silently.
 */
static void
RefuseRowSecurity(Oid relation)
{
	if (check_enable_rls(relation, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security would hide rows of table %s from the merge",
						QualifiedRelation(relation)),
				 errhint("Merge as a role that bypasses row-level security.")));
}

/*
 * Refuse to read a table that the caller may not read.
 */
static void
CheckMayRead(Oid relation, const char *detail)
{
	if (pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", QualifiedRelation(relation)),
				 errdetail("%s", detail),
				 errhint("Grant SELECT on the table to the role that merges.")));
}

/*
 * Check that the caller owns the fact tables of the destination, which have
 * room for the provenance columns, and may read those of the source.
 */
void
CheckRights(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		if (merge->preview)
			CheckMayRead(table->destination, "A preview reads every fact table of the destination.");
		else if (!OwnsRelation(table->destination, GetUserId()))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be owner of table %s",
							QualifiedRelation(table->destination)),
					 errdetail("All fact tables of schema \"%s\" are written to.", merge->destination),
					 errhint("Do it as their owner, or as a member of that role.")));
		RefuseRowSecurity(table->destination);
		RefuseForeignColumns(table);
		if (!OidIsValid(table->source))
			continue;
		CheckMayRead(table->source, "A merge reads every fact table of the source.");
		RefuseRowSecurity(table->source);
	}
}

/*
 * Refuse to go on if a table holds rows that are committed but not in the
 * snapshot of the transaction.  With a name, only rows that have it in the
 * given column count.
 */
static void
RefuseUnseenRows(Oid relation, Snapshot seen, AttrNumber column, const char *name)
{
	Relation	rel = table_open(relation, AccessShareLock);
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, latest, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		TransactionId xmin;

		CHECK_FOR_INTERRUPTS();
		xmin = DatumGetTransactionId(slot_getsysattr(slot,
													 MinTransactionIdAttributeNumber,
													 &isnull));
		if (TransactionIdIsNormal(xmin) &&
			!TransactionIdIsCurrentTransactionId(xmin) &&
			XidInMVCCSnapshot(xmin, seen) &&
			(name == NULL ||
			 strcmp(NameStr(*DatumGetName(slot_getattr(slot, column, &isnull))), name) == 0))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to a concurrent change of the destination"),
					 errdetail("Table %s has changed since the transaction began.",
							   QualifiedRelation(relation)),
					 errhint("Retry the transaction, or merge at READ COMMITTED.")));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(latest);
	table_close(rel, AccessShareLock);
}

/*
 * Refuse to go on if another merge into the destination is committed but not
 * in the snapshot: it need not have written to any fact table.
 */
static void
RefuseUnseenMerges(Merge *merge, Snapshot seen)
{
	Oid			history = get_relname_relid("merge",
											get_namespace_oid("factmerge", false));

	RefuseUnseenRows(history, seen, get_attnum(history, "destination"),
					 merge->destination);
}

/*
 * Take the snapshot of the merge, with all locks held.
 */
static Snapshot
TakeSnapshot(Merge *merge)
{
	Snapshot	seen;
	Snapshot	latest;
	ListCell   *lc;

	if (!IsolationUsesXactSnapshot())
		return RegisterSnapshot(GetLatestSnapshot());

	/* If no transaction has ended since ours began, there is nothing unseen */
	seen = GetTransactionSnapshot();
	if (merge->preview)
		return RegisterSnapshot(seen);
	latest = GetLatestSnapshot();
	if (latest->xmax != seen->xmax || latest->xcnt != seen->xcnt)
	{
		RefuseUnseenMerges(merge, seen);
		foreach(lc, list_concat_copy(merge->tables, merge->others))
		{
			FactTable  *table = lfirst(lc);
			List	   *relations = list_make1_oid(table->destination);
			ListCell   *relation;

			if (table->partitioned)
				relations = find_all_inheritors(table->destination, NoLock, NULL);
			foreach(relation, relations)
				if (get_rel_relkind(lfirst_oid(relation)) == RELKIND_RELATION)
				RefuseUnseenRows(lfirst_oid(relation), seen, InvalidAttrNumber, NULL);
		}
	}
	return RegisterSnapshot(seen);
}

static int
CompareOids(const ListCell *a, const ListCell *b)
{
	if (lfirst_oid(a) == lfirst_oid(b))
		return 0;
	return lfirst_oid(a) < lfirst_oid(b) ? -1 : 1;
}

/* What merges into one destination lock */
static LOCKTAG
DestinationTag(Merge *merge)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, NamespaceRelationId,
					   get_namespace_oid(merge->destination, false), 0);
	return tag;
}

/*
 * Lock the destination against other merges, which may not be waited for.  It is
 * the schema that is locked, which keeps nobody from its tables.
 */
void
LockDestination(Merge *merge)
{
	LOCKTAG		tag = DestinationTag(merge);

	if (LockAcquire(&tag, ShareUpdateExclusiveLock, false, merge->no_wait) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("schema \"%s\" is being merged into", merge->destination),
				 errdetail("Another session has not ended its merge yet."),
				 errhint("Try again later, or call factmerge_run() with wait => true.")));
}

/*
 * Refuse to wait for another merge into the destination, before any table is opened:
 * its first one locks them against everybody.
 */
void
RefuseToWait(Merge *merge)
{
	LOCKTAG		tag = DestinationTag(merge);

	if (!merge->no_wait)
		return;
	LockDestination(merge);
	LockRelease(&tag, ShareUpdateExclusiveLock, false);
}

/*
 * Lock all tables and take the snapshot of the merge.
 */
void
LockTables(Merge *merge)
{
	List	   *sources = NIL;
	List	   *all = NIL;
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		all = lappend_oid(all, table->destination);
		if (!OidIsValid(table->source))
			continue;
		sources = lappend_oid(sources, table->source);
		all = lappend_oid(all, table->source);
	}
	foreach(lc, merge->others)
		all = lappend_oid(all, ((FactTable *) lfirst(lc))->destination);
	list_sort(all, CompareOids);
	foreach(lc, all)
	{
		Oid			relation = lfirst_oid(lc);

		if (merge->preview || list_member_oid(sources, relation))
			LockRelationOid(relation, AccessShareLock);
		else
		{
			/* Partitions are locked with their parent */
			LockRelationOid(relation, ShareRowExclusiveLock);
			(void) find_all_inheritors(relation, ShareRowExclusiveLock, NULL);
		}
	}
	merge->snapshot = TakeSnapshot(merge);
}
