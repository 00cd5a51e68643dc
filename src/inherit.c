/*-------------------------------------------------------------------------
 *
 * inherit.c
 *	  tables that inherit
 *
 * A row of a table that inherits is a row of its parent, too, so that a fact would be in
 * two tables at once.  But a parent that has no rows of its own is only a way to look at
 * its children, as it was before there were partitions: it is left out, and the children
 * are fact tables like others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "factmerge.h"

/*
 * Whether other tables inherit from one.
 */
bool
IsParent(Oid relation)
{
	char		kind = get_rel_relkind(relation);

	return (kind == RELKIND_RELATION || kind == RELKIND_FOREIGN_TABLE) && has_subclass(relation) &&
		find_inheritance_children(relation, NoLock) != NIL;
}

/*
 * Whether a table holds rows by itself, apart from those of its children.  Of a foreign
 * one nobody can tell.
 */
static bool
HoldsRows(Oid relation)
{
	Relation	rel;
	Snapshot	latest;
	TupleTableSlot *slot;
	TableScanDesc scan;
	bool		found;

	if (get_rel_relkind(relation) != RELKIND_RELATION)
		return true;
	rel = table_open(relation, AccessShareLock);
	latest = RegisterSnapshot(GetLatestSnapshot());
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, latest, 0, NULL);
	found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(latest);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * Whether a child of a table is in another schema, where nobody looks for facts.
 */
static bool
HasChildElsewhere(Oid relation)
{
	ListCell   *lc;

	foreach(lc, find_inheritance_children(relation, NoLock))
		if (get_rel_namespace(lfirst_oid(lc)) != get_rel_namespace(relation))
		return true;
	return false;
}

/*
 * Note a parent, or what has the name of one in the other schema (or is invalid), that
 * cannot be left out.
 */
void
NoteParent(List **misfits, Oid relation, Oid twin)
{
	bool		elsewhere = HasChildElsewhere(relation) || (OidIsValid(twin) && HasChildElsewhere(twin));

	if (!elsewhere && !HoldsRows(relation) && !(OidIsValid(twin) && HoldsRows(twin)))
		return;
	NoteMisfit(misfits, ERRCODE_FEATURE_NOT_SUPPORTED,
			   psprintf("cannot merge table \"%s\" because it takes part in inheritance", get_rel_name(relation)),
			   elsewhere ? "A table of another schema inherits from it." :
			   "It has rows of its own, while rows of the tables that inherit from it are rows of it, too.",
			   elsewhere ? "Have the tables that inherit from it in its schema." :
			   "Move its own rows into a table that inherits from it, in both schemas.");
}

/*
 * Refuse a table that takes part in inheritance in what a rule says.
 */
void
RefuseInheritance(Oid relation)
{
	if (has_superclass(relation) || IsParent(relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot merge table \"%s\" because it takes part in inheritance",
						get_rel_name(relation)),
				 errdetail("A row of an inheriting table is a row of its parent, too."),
				 errhint("Use partitioning, or tables of their own.")));
}
