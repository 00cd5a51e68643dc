/*-------------------------------------------------------------------------
 *
 * referred.c
 *	  who refers to what an undo takes away
 *
 * Facts may go only if nothing that stays refers to them, by any foreign key of the
 * database, whatever that would do on deletion.  The tables of the destination are
 * locked, but somebody may refer to a fact from elsewhere, and not have committed yet.
 * So the facts are locked as a DELETE locks them before it is asked who refers to them:
 * that waits for whoever does, and whoever wants to has to wait.  Then it is asked under
 * a snapshot of its own, so that nothing is missed that was waited for.
 *
 * Where the caller may not read what refers, its owner looks, as the triggers of foreign
 * keys do, and the error tells no more than theirs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "factmerge.h"

/* What goes, by the name of a set of rows that statements can read */
#define KEYS	"factmerge_keys"

/* The references to a fact table that are looked at */
typedef struct Referring
{
	Merge	   *merge;
	FactTable  *table;
	bool		from_elsewhere; /* from a table that is not locked */
} Referring;

/*
 * That a row has been brought by the merge.
 */
static char *
Brought(Merge *merge, const char *alias)
{
	return psprintf("%s." MERGE_COLUMN " = " INT64_FORMAT " AND %s." PROVENANCE_COLUMN " IN ('source', 'derived')",
					alias, merge->id, alias);
}

/*
 * Refuse to take facts away, given the row that refers to one.
 */
static void
RefuseReferring(FactTable *table, ForeignKeyCacheInfo *key, const char *row, const char *fact)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("a fact that has been added since refers to what the merge has brought"),
			 row ? errdetail("Row %s of table %s refers to fact %s of table \"%s\" by foreign key \"%s\".",
							 row, QualifiedRelation(key->conrelid), fact, table->name,
							 get_constraint_name(key->conoid)) :
			 errdetail("Key %s of table \"%s\" is referred to from table %s by foreign key \"%s\".",
					   fact, table->name, QualifiedRelation(key->conrelid), get_constraint_name(key->conoid)),
			 errhint("Let it refer to another fact, or leave the merge as it is.")));
}

/*
 * SQL for what relation x has that a merge has brought: the columns that a foreign key
 * refers to.
 */
static char *
KeysBrought(Merge *merge, ForeignKeyCacheInfo *key)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < key->nkeys; i++)
		appendStringInfo(&sql, "%sx.%s AS key_%d", i ? ", " : "",
						 quote_identifier(get_attname(key->confrelid, key->confkey[i], false)), i + 1);
	appendStringInfo(&sql, " FROM %s AS x WHERE %s", QualifiedRelation(key->confrelid),
					 Brought(merge, "x"));
	return sql.data;
}

/*
 * SQL for the rows y of the table that refers, without those of tables that inherit from
 * it, but for the facts that go as well.
 */
static char *
StayingRows(Merge *merge, ForeignKeyCacheInfo *key)
{
	bool		tagged = get_attnum(key->conrelid, MERGE_COLUMN) != InvalidAttrNumber &&
		get_attnum(key->conrelid, PROVENANCE_COLUMN) != InvalidAttrNumber;

	return psprintf("(SELECT y.* FROM %s%s AS y%s) AS y",
					get_rel_relkind(key->conrelid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					QualifiedRelation(key->conrelid), tagged ? psprintf(" WHERE (%s) IS NOT TRUE", Brought(merge, "y")) : "");
}

/*
 * Refuse references along a foreign key from a table that the caller may not read.
 */
static void
RefuseUnreadable(Referring *referring, ForeignKeyCacheInfo *key, Snapshot snapshot)
{
	Tuplestorestate *keys;
	RoleSwitch	caller;
	char	  **row;

	(void) SqlCollect(snapshot, KeysBrought(referring->merge, key), KEYS, &keys);
	BecomeCheckerOf(key->conrelid, &caller);
	row = SqlFetchRow(snapshot,
					  psprintf("SELECT %s FROM " KEYS " AS k JOIN %s ON %s ORDER BY 1 LIMIT 1",
							   KeyText(key, key->confrelid, key->confkey), StayingRows(referring->merge, key), IsMeant(key, NULL, "y")), NULL);
	BecomeCallerAgain(&caller);
	if (row != NULL)
		RefuseReferring(referring->table, key, NULL, row[0]);
	SqlForget(KEYS, keys);
}

/*
 * Refuse references along a foreign key.
 */
static void
RefuseReferences(Referring *referring, ForeignKeyCacheInfo *key)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	char	  **row;

	if (pg_class_aclcheck(key->conrelid, GetUserId(), ACL_SELECT) != ACLCHECK_OK ||
		check_enable_rls(key->conrelid, InvalidOid, true) == RLS_ENABLED)
		RefuseUnreadable(referring, key, snapshot);
	else
	{
		row = SqlFetchRow(snapshot,
						  psprintf("SELECT " FACT_AS_JSON("y.*") ", " FACT_AS_JSON("x.*")
								   " FROM %s JOIN %s AS x ON %s WHERE %s ORDER BY 1 LIMIT 1",
								   StayingRows(referring->merge, key), QualifiedRelation(key->confrelid),
								   IsMeant(key, "x", "y"), Brought(referring->merge, "x")), NULL);
		if (row != NULL)
			RefuseReferring(referring->table, key, row[0], row[1]);
	}
	UnregisterSnapshot(snapshot);
}

/*
 * Whether the table that a foreign key is of is one of the tables that are locked, or a
 * partition of one.
 */
static bool
IsOfFactTable(Merge *merge, Oid relation)
{
	if (get_rel_relispartition(relation))
		relation = llast_oid(get_partition_ancestors(relation));
	return FindTable(merge->tables, relation) != NULL;
}

/* Notes whether a foreign key, given by its table, comes from elsewhere */
static void
NoteElsewhere(Datum *values, bool *nulls, void *arg)
{
	Referring  *referring = arg;

	referring->from_elsewhere |= !IsOfFactTable(referring->merge, DatumGetObjectId(values[0]));
}

/* Refuses references along a foreign key, given by its table and itself */
static void
RefuseAlong(Datum *values, bool *nulls, void *arg)
{
	ListCell   *lc;

	foreach(lc, OwnForeignKeys(DatumGetObjectId(values[0])))
		if (((ForeignKeyCacheInfo *) lfirst(lc))->conoid == DatumGetObjectId(values[1]))
		RefuseReferences(arg, lfirst(lc));
}

/*
 * Call a function for every foreign key to a table or to one of its partitions.
 */
static void
ForEachForeignKey(Referring *referring, SqlRowCallback callback)
{
	List	   *relations = find_all_inheritors(referring->table->destination, NoLock, NULL);
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSARRAYOID, RelationArray(relations));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT k.conrelid, k.oid FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f'"
				  " AND k.confrelid = ANY ($1) AND k.conparentid = 0 ORDER BY k.conname, k.oid",
				  &args, callback, referring);
}

/*
 * Refuse to take a merge back while something refers to what it has brought; until the
 * transaction ends, nothing can any more.
 */
void
RefuseReferred(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		Referring	referring = {.merge = merge, .table = lfirst(lc)};

		if (!referring.table->has_tags)
			continue;
		ForEachForeignKey(&referring, NoteElsewhere);
		if (referring.from_elsewhere)
			SqlFetchInt64(InvalidSnapshot,
						  psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s AS x WHERE %s FOR UPDATE OF x) AS z",
								   QualifiedRelation(referring.table->destination), Brought(merge, "x")), NULL);
	}
	foreach(lc, merge->tables)
	{
		Referring	referring = {.merge = merge, .table = lfirst(lc)};

		if (!referring.table->has_tags)
			continue;
		ForEachForeignKey(&referring, RefuseAlong);
	}
}
