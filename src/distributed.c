/*-------------------------------------------------------------------------
 *
 * distributed.c
 *	  tables that Citus keeps on several servers
 *
 * A merge goes by where rows lie, by their transactions and by locks, all of which are
 * this server's.  What Citus distributes is elsewhere: its tables, and the shards that
 * they are made of, are refused by name.  Whether Citus is there at all is seen from its
 * catalog, so that without it nothing is asked.
 *
 * Citus passes the making of a view on to all servers if no local table is read in it,
 * which is how the view of a rule begins.  So it is told not to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_namespace_d.h"
#include "catalog/pg_type.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "factmerge.h"

/* Citus's own catalog of its tables, and what tells shards, both in pg_catalog */
#define DISTRIBUTED_TABLES "pg_dist_partition"
#define IS_SHARD "relation_is_a_known_shard"

/* Its parameter for passing commands on, which is there once its library is loaded */
#define PASSES_ON "citus.enable_ddl_propagation"

/* Where tables are noted */
typedef struct Noting
{
	List	  **misfits;
	MemoryContext context;		/* that outlives the rows of a query */
} Noting;

/* Notes a table, given with what Citus makes of it */
static void
NoteTable(Datum *values, bool *nulls, void *arg)
{
	Noting	   *noting = arg;
	Oid			relation = DatumGetObjectId(values[0]);
	MemoryContext context = MemoryContextSwitchTo(noting->context);

	NoteMisfit(noting->misfits, ERRCODE_FEATURE_NOT_SUPPORTED,
			   psprintf("cannot merge table %s, which Citus keeps on several servers", QualifiedRelation(relation)),
			   psprintf("It is %s.", TextDatumGetCString(values[1])),
			   pstrdup("Merge tables that are local to one server, or leave this one out with factmerge_ignore()."));
	MemoryContextSwitchTo(context);
}

/*
 * Whether Citus can tell shards from other tables.
 */
static bool
KnowsShards(void)
{
	Oid			types[] = {REGCLASSOID};

	return OidIsValid(LookupFuncName(list_make2(makeString("pg_catalog"), makeString(IS_SHARD)), 1, types, true));
}

/*
 * Note those of some relations that Citus distributes.
 */
void
NoteDistributed(List **misfits, List *relations)
{
	SqlArgs		args = {0};
	Noting		noting = {misfits, CurrentMemoryContext};

	if (relations == NIL || !OidIsValid(get_relname_relid(DISTRIBUTED_TABLES, PG_CATALOG_NAMESPACE)))
		return;
	SqlAddArg(&args, REGCLASSARRAYOID, RelationArray(relations));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT p.logicalrelid, CASE"
				  " WHEN p.partmethod OPERATOR(pg_catalog.<>) 'n' THEN 'distributed by Citus, row by row'"
				  " WHEN p.repmodel OPERATOR(pg_catalog.=) 't' THEN 'a reference table of Citus'"
				  " WHEN p.colocationid OPERATOR(pg_catalog.<>) 0 THEN 'distributed by Citus with its schema'"
				  " ELSE 'a local table that Citus manages' END"
				  " FROM pg_catalog." DISTRIBUTED_TABLES " AS p"
				  " WHERE p.logicalrelid OPERATOR(pg_catalog.=) ANY ($1) ORDER BY p.logicalrelid::pg_catalog.text",
				  &args, NoteTable, &noting);
	if (KnowsShards())
		SqlForEachRow(InvalidSnapshot,
					  "SELECT r.relation, 'a shard of a table that Citus distributes'"
					  " FROM pg_catalog.unnest($1) AS r (relation) WHERE pg_catalog." IS_SHARD "(r.relation)"
					  " ORDER BY r.relation::pg_catalog.text",
					  &args, NoteTable, &noting);
}

/*
 * Refuse a table that Citus distributes where it is named by a declaration.
 */
void
RefuseDistributed(Oid relation)
{
	List	   *misfits = NIL;

	NoteDistributed(&misfits, list_make1_oid(relation));
	RefuseNoted(misfits, NULL);
}

/*
 * Keep Citus from passing commands on to other servers until the current nest level of
 * settings ends.
 */
void
StayOnServer(void)
{
	if (GetConfigOption(PASSES_ON, true, false))
		SetLocally(PASSES_ON, "off");
}
