/*-------------------------------------------------------------------------
 *
 * inspect.c
 *	  what one can look up: tables, conflicts, and where a fact came from
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "factmerge.h"
#include "handler.h"

PG_FUNCTION_INFO_V1(factmerge_tables);
PG_FUNCTION_INFO_V1(factmerge_conflicts);
PG_FUNCTION_INFO_V1(factmerge_origin);

/*
 * Say in words what makes two facts of a table the same.
 */
static char *
DescribeSameness(FactTable *table)
{
	StringInfoData text;
	bool		first_key = true;
	ListCell   *lc;
	ListCell   *c;

	if (table->rule)
		return DescribeRule(table);
	if (table->sameness == NIL)
		return "whole row";
	initStringInfo(&text);
	foreach(lc, table->sameness)
	{
		bool		first = true;

		AppendSeparator(&text, " or ", &first_key);
		if (((UniqueKey *) lfirst(lc))->text)
		{
			appendStringInfoString(&text, ((UniqueKey *) lfirst(lc))->text);
			continue;
		}
		appendStringInfoChar(&text, '(');
		foreach(c, ((UniqueKey *) lfirst(lc))->columns)
		{
			AppendSeparator(&text, ", ", &first);
			appendStringInfoString(&text,
								   quote_identifier(((Column *) lfirst(c))->name));
		}
		appendStringInfoChar(&text, ')');
	}
	return text.data;
}

/*
 * Whether a fact is addressed by a surrogate key, a natural one, or none.
 */
static const char *
KeyKind(FactTable *table)
{
	ListCell   *lc;

	if (!table->keyed)
		return "none";
	foreach(lc, table->address)
		if (((Column *) lfirst(lc))->surrogate)
		return "surrogate";
	return "natural";
}

/*
 * The handlers of a table in words, as text[].
 */
static Datum
DescribeHandlers(FactTable *table)
{
	Datum	   *texts = palloc(sizeof(Datum) * Max(list_length(table->handlers), 1));
	ListCell   *lc;
	int			count = 0;

	foreach(lc, table->handlers)
		texts[count++] = CStringGetTextDatum(DescribeHandler(lfirst(lc)));
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * factmerge_tables(name): the fact tables of a schema in walk order.
 */
Datum
factmerge_tables(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			nest_level = NewGUCNestLevel();
	List	   *tables;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	tables = DescribeSchema(FindSchema(SchemaArgument(fcinfo, 0)));
	LoadHandlers(tables);
	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);
		Datum		values[7] = {Int32GetDatum(table->position),
			ObjectIdGetDatum(table->destination),
			NameArray(ColumnNames(table->keyed ? table->address : NIL)),
			CStringGetTextDatum(KeyKind(table)),
			CStringGetTextDatum(DescribeSameness(table)),
			DescribeHandlers(table),
		NameArray(ColumnNames(PublicNumbers(table)))};
		bool		nulls[7] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}

/* Refuses to show values of a table to a role that may not read it */
static void
RefuseUnreadable(Datum *values, bool *nulls, void *role)
{
	Oid			relation = DatumGetObjectId(values[0]);
	char	   *name = get_rel_name(relation);

	if (name == NULL ? !superuser_arg(*(Oid *) role) :
		pg_class_aclcheck(relation, *(Oid *) role, ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   name ? name : psprintf("%u", relation));
}

/*
 * factmerge_conflicts(bigint): the conflicts of a merge, for those who may read
 * its fact tables.  The table itself is the extension's owner's.
 */
Datum
factmerge_conflicts(PG_FUNCTION_ARGS)
{
	int			nest_level = NewGUCNestLevel();
	Oid			role = GetUserId();
	SqlArgs		args = {0};
	RoleSwitch	caller;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	SqlAddArg(&args, INT8OID, Int64GetDatum(MergeArgument(fcinfo)));
	BecomeExtensionOwner(&caller);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT DISTINCT fact_table FROM factmerge.conflict WHERE merge_id = $1",
				  &args, RefuseUnreadable, &role);
	SqlReturnRows(fcinfo, InvalidSnapshot,
				  "SELECT fact_table, key, column_name, source_value, destination_value"
				  " FROM factmerge.conflict WHERE merge_id = $1"
				  " ORDER BY fact_table::pg_catalog.text, key, column_name", &args);
	BecomeCallerAgain(&caller);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}

/* What factmerge_origin() looks for */
typedef struct Origin
{
	FunctionCallInfo fcinfo;
	FactTable  *table;
	SqlArgs		key;			/* in the types of the key's columns */
} Origin;

/*
 * The fact table that a relation is, described with the others of its schema.
 */
static FactTable *
DescribeOne(Oid relation)
{
	FactTable  *table = FindTable(DescribeSchema(get_rel_namespace(relation)), relation);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a fact table", get_rel_name(relation)),
				 errhint("factmerge_tables() lists the fact tables of a schema.")));
	if (!table->has_tags || !table->keyed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot tell the origin of facts of table \"%s\"", table->name),
				 table->keyed ? errdetail("Nothing has been merged into it yet.") :
				 errdetail("It has no key to name a fact by.")));
	return table;
}

/*
 * Take the key's values, whatever types they come in, as the types of the
 * columns.
 */
static void
TakeKey(Origin *origin)
{
	FunctionCallInfo fcinfo = origin->fcinfo;
	Datum	   *values;
	Oid		   *types;
	bool	   *nulls;
	int			count = extract_variadic_args(fcinfo, 1, false, &values, &types, &nulls);
	ListCell   *lc;

	if (count != list_length(origin->table->address))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("wrong number of values for the key of table \"%s\": %d instead of %d",
						origin->table->name, count, list_length(origin->table->address)),
				 errhint("Give one value per column of the key.")));
	foreach(lc, origin->table->address)
	{
		Column	   *column = lfirst(lc);
		int			i = foreach_current_index(lc);
		Oid			output;
		Oid			input;
		Oid			parameter;
		bool		varlena;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a key holds no nulls")));
		getTypeOutputInfo(types[i], &output, &varlena);
		getTypeInputInfo(column->type, &input, &parameter);
		SqlAddArg(&origin->key, column->type,
				  OidInputFunctionCall(input, OidOutputFunctionCall(output, values[i]),
									   parameter, -1));
	}
}

/*
 * Append that a row has the key, its columns named by a prefix and either
 * numbers or names.
 */
static void
AppendHasKey(StringInfo sql, Origin *origin, const int *numbers)
{
	ListCell   *lc;

	foreach(lc, origin->table->address)
	{
		Column	   *column = lfirst(lc);
		int			i = foreach_current_index(lc);

		if (i > 0)
			appendStringInfoString(sql, " AND ");
		AppendEquality(sql, numbers ? psprintf("m.destination_%d", numbers[i]) :
					   psprintf("d.%s", quote_identifier(column->name)),
					   EqualityOperator(column->type), psprintf("$%d", i + 1),
					   column->collation);
	}
}

/*
 * Return what the tags say of the fact, where that is no key map's to say.
 */
static void
ReturnTag(Origin *origin)
{
	char	   *relation = QualifiedRelation(origin->table->destination);
	StringInfoData has_key;

	initStringInfo(&has_key);
	AppendHasKey(&has_key, origin, NULL);
	if (SqlFetchRow(InvalidSnapshot,
					psprintf("SELECT 1 FROM %s AS d WHERE %s", relation, has_key.data),
					&origin->key) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no such fact in table \"%s\"", origin->table->name)));
	SqlReturnRows(origin->fcinfo, InvalidSnapshot,
				  psprintf("SELECT g.merge_id, NULL::pg_catalog.name, d." PROVENANCE_COLUMN ","
						   " NULL::pg_catalog.jsonb, g.merged_at"
						   " FROM %s AS d JOIN factmerge.merge AS g ON g.merge_id = d." MERGE_COLUMN
						   " WHERE d." PROVENANCE_COLUMN " = 'derived' AND %s",
						   relation, has_key.data), &origin->key);
}

/* Returns what one key map (its name, source, and columns) says of the fact */
static void
ReturnMapped(Datum *values, bool *nulls, void *arg)
{
	Origin	   *origin = arg;
	StringInfoData sql;
	Datum	   *names;
	int			count;
	int		   *numbers = palloc0(sizeof(int) * list_length(origin->table->address));
	ListCell   *lc;

	deconstruct_array(DatumGetArrayTypeP(values[2]), NAMEOID, NAMEDATALEN, false,
					  TYPALIGN_CHAR, &names, NULL, &count);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT m.merge_id, %s::pg_catalog.name,"
					 " CASE WHEN m.in_both THEN 'both' ELSE 'source' END::%s,"
					 " pg_catalog.jsonb_build_object(",
					 quote_literal_cstr(NameStr(*DatumGetName(values[1]))),
					 TypeText(ProvenanceType(), -1));
	foreach(lc, origin->table->address)
	{
		char	   *name = ((Column *) lfirst(lc))->name;
		int			i = foreach_current_index(lc);

		for (int j = 0; j < count; j++)
			if (strcmp(NameStr(*DatumGetName(names[j])), name) == 0)
				numbers[i] = j + 1;
		if (numbers[i] == 0)
			return;				/* made when the table had another key */
		appendStringInfo(&sql, "%s%s, m.source_%d", i ? ", " : "",
						 quote_literal_cstr(name), numbers[i]);
	}
	appendStringInfo(&sql, "), g.merged_at FROM %s AS m"
					 " JOIN factmerge.merge AS g ON g.merge_id = m.merge_id WHERE ",
					 TextDatumGetCString(values[0]));
	AppendHasKey(&sql, origin, numbers);
	appendStringInfoString(&sql, " ORDER BY 1, 4");
	SqlReturnRows(origin->fcinfo, InvalidSnapshot, sql.data, &origin->key);
}

/*
 * factmerge_origin(regclass, variadic "any"): where one fact came from.
 */
Datum
factmerge_origin(PG_FUNCTION_ARGS)
{
	Origin		origin = {.fcinfo = fcinfo};
	SqlArgs		args = {0};
	int			nest_level = NewGUCNestLevel();

	InitMaterializedSRF(fcinfo, 0);
	RequireArgument(fcinfo, 0);
	SqlConnect();
	LockSearchPath();
	origin.table = DescribeOne(PG_GETARG_OID(0));
	TakeKey(&origin);
	ReturnTag(&origin);
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(origin.table->destination));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), k.source, k.columns"
				  " FROM factmerge.key_map AS k"
				  " JOIN pg_catalog.pg_class AS c ON c.oid = k.map"
				  " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				  " WHERE k.fact_table = $1 ORDER BY k.source",
				  &args, ReturnMapped, &origin);
	SqlFinish();
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}
