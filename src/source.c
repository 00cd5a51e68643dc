/*-------------------------------------------------------------------------
 *
 * source.c
 *	  the sources that have been merged before, and forgetting them
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_sources);
PG_FUNCTION_INFO_V1(factmerge_forget_source);

/*
 * Row k of the register of key maps, with the names of both schemas as they are now,
 * the map's qualified name, and the fact table.
 */
#define REGISTERED \
	"(SELECT k.fact_table, COALESCE(sn.nspname, k.source) AS source, dn.nspname AS destination," \
	" pg_catalog.format('%I.%I', mn.nspname, m.relname) AS map_name" \
	" FROM factmerge.key_map AS k" \
	" JOIN pg_catalog.pg_class AS m ON m.oid = k.map JOIN pg_catalog.pg_namespace AS mn ON mn.oid = m.relnamespace" \
	" JOIN pg_catalog.pg_class AS d ON d.oid = k.fact_table JOIN pg_catalog.pg_namespace AS dn ON dn.oid = d.relnamespace" \
	" LEFT JOIN pg_catalog.pg_class AS s ON s.oid = k.source_table" \
	" LEFT JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace) AS k"

/* Row g of the history, likewise */
#define MERGED \
	"(SELECT m.merge_id, m.merged_at, COALESCE(sn.nspname, m.source) AS source, COALESCE(dn.nspname, m.destination) AS destination" \
	" FROM factmerge.merge AS m" \
	" LEFT JOIN pg_catalog.pg_class AS s ON s.oid = m.source_table" \
	" LEFT JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace" \
	" LEFT JOIN pg_catalog.pg_class AS d ON d.oid = m.destination_table" \
	" LEFT JOIN pg_catalog.pg_namespace AS dn ON dn.oid = d.relnamespace" \
	" WHERE NOT m.forgotten AND NOT m.undone) AS g"

/* A query on all key maps */
typedef struct MapQuery
{
	StringInfoData sql;			/* UNION ALL of theirs, empty if there are none */
} MapQuery;

/*
 * Appends what one key map tells, given by source, destination and name.  It is its
 * owner's, who could have made anything of it.
 */
static void
AddMap(Datum *values, bool *nulls, void *arg)
{
	MapQuery   *query = arg;
	RoleSwitch	before;
	int64		count;

	BecomeOwnerOf(TextDatumGetCString(values[2]), &before);
	count = SqlFetchInt64(InvalidSnapshot, psprintf("SELECT pg_catalog.count(*) FROM %s",
													TextDatumGetCString(values[2])), NULL);
	BecomeCallerAgain(&before);
	if (query->sql.len > 0)
		appendStringInfoString(&query->sql, " UNION ALL ");
	appendStringInfo(&query->sql, "SELECT %s::pg_catalog.name, %s::pg_catalog.name, " INT64_FORMAT "::pg_catalog.int8",
					 quote_literal_cstr(NameStr(*DatumGetName(values[0]))),
					 quote_literal_cstr(NameStr(*DatumGetName(values[1]))), count);
}

/*
 * Add an argument that names a schema as a parameter, or a null.
 */
static void
AddSchemaArgument(SqlArgs *args, FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		SqlAddNullArg(args, NAMEOID);
	else
		SqlAddArg(args, NAMEOID, NameDatum(SchemaArgument(fcinfo, argument)));
}

/*
 * factmerge_sources(name): the sources that have been merged into a schema, or any.
 * Whoever may not read a key map may know how many rows it has.
 */
Datum
factmerge_sources(PG_FUNCTION_ARGS)
{
	SqlArgs		args = {0};
	MapQuery	query;
	RoleSwitch	caller;
	int			nest_level = NewGUCNestLevel();

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	initStringInfo(&query.sql);
	AddSchemaArgument(&args, fcinfo, 0);
	BecomeExtensionOwner(&caller);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT k.source, k.destination, k.map_name FROM " REGISTERED
				  " WHERE k.destination = COALESCE($1, k.destination)", &args, AddMap, &query);
	if (query.sql.len > 0)
		SqlReturnRows(fcinfo, InvalidSnapshot,
					  psprintf("SELECT x.source, x.destination, pg_catalog.min(g.merge_id), pg_catalog.min(g.merged_at),"
							   " pg_catalog.max(g.merge_id), pg_catalog.max(g.merged_at), x.fact_tables, x.facts"
							   " FROM (SELECT q.source, q.destination, pg_catalog.count(*)::pg_catalog.int4 AS fact_tables,"
							   " pg_catalog.sum(q.facts)::pg_catalog.int8 AS facts"
							   " FROM (%s) AS q (source, destination, facts) GROUP BY 1, 2) AS x"
							   " LEFT JOIN " MERGED " ON g.source = x.source AND g.destination = x.destination"
							   " GROUP BY x.source, x.destination, x.fact_tables, x.facts ORDER BY 2, 1",
							   query.sql.data), NULL);
	BecomeCallerAgain(&caller);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}

/* What has been forgotten */
typedef struct Forgotten
{
	int			count;			/* of key maps */
	StringInfoData untold;		/* tables whose facts are told by the whole row */
} Forgotten;

/*
 * Note a table whose facts nothing tells but the whole row.
 */
static void
NoteUntold(Forgotten *forgotten, Oid fact_table)
{
	FactTable  *table = DescribeTable(InvalidOid, fact_table);

	if (table->rule == NULL && table->sameness == NIL)
		appendStringInfo(&forgotten->untold, "%s%s", forgotten->untold.len > 0 ? ", " : "",
						 QualifiedRelation(fact_table));
}

/* Drops a key map, given by its name and fact table, and counts it */
static void
ForgetMap(Datum *values, bool *nulls, void *arg)
{
	Forgotten  *forgotten = arg;
	Oid			fact_table = DatumGetObjectId(values[1]);

	if (!OwnsRelation(fact_table, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", QualifiedRelation(fact_table)),
				 errhint("A source is forgotten by whoever owns the fact tables of the destination.")));
	RefuseUnfinished(get_rel_namespace(fact_table));
	SqlUtility(psprintf("DROP TABLE %s", TextDatumGetCString(values[0])));
	NoteUntold(forgotten, fact_table);
	forgotten->count++;
}

/*
 * Warn of what a merge that starts afresh would make of facts that have changed.
 */
static void
WarnOfChanges(Forgotten *forgotten)
{
	if (forgotten->untold.len > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("facts that have changed in the source since they were merged would be copied a second time"),
				 errdetail("Nothing but the whole row tells which facts of these tables are the same: %s.", forgotten->untold.data),
				 errhint("factmerge_preview() shows what would be copied. What has changed should be as it was, or changed in the destination in the same way, before the next merge.")));
}

/*
 * factmerge_forget_source(name, name): let the next merge start afresh.
 */
Datum
factmerge_forget_source(PG_FUNCTION_ARGS)
{
	SqlArgs		args = {0};
	Forgotten	forgotten = {0};
	int			nest_level = NewGUCNestLevel();

	RequireArgument(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	initStringInfo(&forgotten.untold);
	AddSchemaArgument(&args, fcinfo, 0);
	AddSchemaArgument(&args, fcinfo, 1);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT k.map_name, k.fact_table FROM " REGISTERED
				  " WHERE k.source = $1 AND k.destination = COALESCE($2, k.destination)"
				  " ORDER BY k.fact_table::pg_catalog.text COLLATE \"C\"", &args, ForgetMap, &forgotten);
	if (forgotten.count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 PG_ARGISNULL(1) ?
				 errmsg("nothing of source \"%s\" has been merged", SchemaArgument(fcinfo, 0)) :
				 errmsg("nothing of source \"%s\" has been merged into \"%s\"", SchemaArgument(fcinfo, 0),
						SchemaArgument(fcinfo, 1)),
				 errhint("factmerge_sources() lists the sources.")));
	(void) SqlExecuteAsOwner("DELETE FROM factmerge.key_map AS k"
							 " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS m WHERE m.oid = k.map)", NULL);
	(void) SqlExecuteAsOwner("UPDATE factmerge.merge AS m SET forgotten = true FROM " MERGED
							 " WHERE g.merge_id = m.merge_id AND g.source = $1"
							 " AND g.destination = COALESCE($2, g.destination)", &args);
	WarnOfChanges(&forgotten);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	PG_RETURN_INT32(forgotten.count);
}
