/*-------------------------------------------------------------------------
 *
 * prepare.c
 *	  the provenance columns, ahead of a merge and away again
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_prepare);
PG_FUNCTION_INFO_V1(factmerge_remove_provenance);

/*
 * factmerge_prepare(name): add the provenance columns ahead of a merge.
 */
Datum
factmerge_prepare(PG_FUNCTION_ARGS)
{
	Merge		merge = {0};
	int			count;
	int			nest_level;

	SqlConnect();
	nest_level = NewGUCNestLevel();
	LockSearchPath();
	merge.destination = SchemaArgument(fcinfo, 0);
	merge.tables = DescribeSchema(FindSchema(merge.destination));
	if (merge.tables == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("schema \"%s\" has no tables to prepare", merge.destination)));
	count = AddProvenanceColumns(merge.tables);
	AtEOXact_GUC(true, nest_level);
	SqlFinish();
	PG_RETURN_INT32(count);
}

/* Drops the columns of a table, given by its qualified name, and counts it */
static void
RemoveColumns(Datum *values, bool *nulls, void *arg)
{
	SqlUtility(psprintf("ALTER TABLE %s DROP COLUMN " PROVENANCE_COLUMN ", DROP COLUMN " MERGE_COLUMN,
						TextDatumGetCString(values[0])));
	++*(int *) arg;
}

/*
 * factmerge_remove_provenance(name): drop the provenance columns of all tables of
 * a schema, be they fact tables now or not.
 */
Datum
factmerge_remove_provenance(PG_FUNCTION_ARGS)
{
	Oid			schema = FindSchema(SchemaArgument(fcinfo, 0));
	SqlArgs		args = {0};
	SqlArgs		of_schema = {0};
	int			count = 0;
	int			nest_level;

	SqlConnect();
	nest_level = NewGUCNestLevel();
	LockSearchPath();
	RefuseUnfinished(schema);
	RefuseRules(schema);
	DropLeftTriggers(schema);
	SqlAddArg(&of_schema, OIDOID, ObjectIdGetDatum(schema));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(schema));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(ProvenanceType()));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)"
				  " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				  " JOIN pg_catalog.pg_attribute AS p ON p.attrelid = c.oid AND p.attname = '" PROVENANCE_COLUMN "'"
				  " JOIN pg_catalog.pg_attribute AS m ON m.attrelid = c.oid AND m.attname = '" MERGE_COLUMN "'"
				  " WHERE n.oid = $1 AND p.atttypid = $2 AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
				  " AND p.attinhcount = 0 ORDER BY c.relname",
				  &args, RemoveColumns, &count);
	if (count > 0)
		(void) SqlExecuteAsOwner("UPDATE factmerge.merge AS m SET untagged = true WHERE m.destination_table IN"
								 " (SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.relnamespace = $1)", &of_schema);
	AtEOXact_GUC(true, nest_level);
	SqlFinish();
	PG_RETURN_INT32(count);
}
