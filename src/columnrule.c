/*-------------------------------------------------------------------------
 *
 * columnrule.c
 *	  what is declared of single columns
 *
 * factmerge_set_column() says what a merge does with a column of a fact table; so far,
 * that it is no reference, although it looks like one (lookalike.c).  The declaration
 * is kept in factmerge.column_rule, one row a column, and calling again replaces all
 * that was said of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_set_column);
PG_FUNCTION_INFO_V1(factmerge_unset_column);

/*
 * Refuse a column that a table does not have, or that is no part of its facts.
 */
static void
CheckColumn(Oid relation, const char *name)
{
	if (get_attnum(relation, name) > InvalidAttrNumber && !IsProvenanceColumn(name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("the facts of table \"%s\" have no column \"%s\"", get_rel_name(relation), name)));
}

/*
 * factmerge_set_column(regclass, name, boolean)
 */
Datum
factmerge_set_column(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	char	   *name = NameStr(*REQUIRE_ARG(NAME, 1));
	SqlArgs		args = {0};

	CheckTable(relation);
	CheckColumn(relation, name);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing is said of column \"%s\" of table \"%s\"", name, get_rel_name(relation)),
				 errhint("Say reference => false, or take back what was said with factmerge_unset_column().")));
	if (PG_GETARG_BOOL(2))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table \"%s\" does not say where it leads to", name, get_rel_name(relation)),
				 errhint("A foreign key makes it a reference.")));
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, NAMEOID, PG_GETARG_DATUM(1));
	SqlAddArg(&args, BOOLOID, PG_GETARG_DATUM(2));
	SqlExecuteAsOwner("INSERT INTO factmerge.column_rule (fact_table, column_name, reference)"
					  " VALUES ($1, $2, $3) ON CONFLICT (fact_table, column_name)"
					  " DO UPDATE SET reference = excluded.reference", &args);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_unset_column(regclass, name).  The column itself may be gone.
 */
Datum
factmerge_unset_column(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	SqlArgs		args = {0};
	uint64		count;

	CheckTable(relation);
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, NAMEOID, REQUIRE_ARG(DATUM, 1));
	count = SqlExecuteAsOwner("DELETE FROM factmerge.column_rule"
							  " WHERE fact_table OPERATOR(pg_catalog.=) $1"
							  " AND column_name OPERATOR(pg_catalog.=) $2", &args);
	SqlFinish();
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("nothing is declared of column \"%s\" of table \"%s\"",
						NameStr(*PG_GETARG_NAME(1)), get_rel_name(relation)),
				 errhint("Table factmerge.column_rule lists what is.")));
	PG_RETURN_VOID();
}

/* Where names go */
typedef struct Names
{
	List	   *names;
	MemoryContext context;
} Names;

static void
TakeName(Datum *values, bool *nulls, void *arg)
{
	Names	   *taken = arg;
	MemoryContext context = MemoryContextSwitchTo(taken->context);

	taken->names = lappend(taken->names, pstrdup(NameStr(*DatumGetName(values[0]))));
	MemoryContextSwitchTo(context);
}

/*
 * The names of the columns of a table that only look like references.
 */
List *
NoReferences(FactTable *table)
{
	Names		taken = {NIL, CurrentMemoryContext};
	SqlArgs		args = {0};

	if (!HasRegistered("column_rule", "reference"))
		return NIL;
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT column_name FROM factmerge.column_rule"
				  " WHERE fact_table OPERATOR(pg_catalog.=) $1 AND NOT reference", &args, TakeName, &taken);
	return taken.names;
}
