/*-------------------------------------------------------------------------
 *
 * samerule.c
 *	  declared samenesses
 *
 * factmerge_set_sameness() declares which facts of a table are the same, in
 * place of its unique keys: those that are equal in the columns of a key, near
 * enough in others, and that meet a condition.  The declaration is kept in
 * factmerge.sameness, in terms that mean the same later and elsewhere:
 * names of columns, qualified names of functions, a resolved condition.
 *
 * What is declared is checked on the spot, and again whenever a schema is
 * described, for columns and functions come and go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "factmerge.h"
#include "samerule.h"

PG_FUNCTION_INFO_V1(factmerge_set_sameness);
PG_FUNCTION_INFO_V1(factmerge_unset_sameness);

/* What names begin with that generated SQL gives to columns of its own */
#define OWN_PREFIX "factmerge_"

/*
 * The column of a fact table that a declaration names.
 */
static Column *
NamedColumn(FactTable *table, const char *name)
{
	Column	   *column = FindColumn(table, name);

	if (strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0 && !IsProvenanceColumn(name))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("column \"%s\" of table \"%s\" cannot be compared", name, table->name),
				 errdetail("Names that begin with %s are reserved.", OWN_PREFIX),
				 errhint("Rename the column.")));
	if (column != NULL)
		return column;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("the sameness of table \"%s\" names column \"%s\"", table->name, name),
			 IsProvenanceColumn(name) ?
			 errdetail("That column is not part of the fact.") :
			 get_attnum(table->destination, name) <= InvalidAttrNumber ?
			 errdetail("The table has no such column.") :
			 errdetail("The source does not have it."),
			 errhint("Declare it by the columns that there are with factmerge_set_sameness().")));
	return NULL;				/* keep compiler quiet */
}

/*
 * Take the columns that have to be equal.
 */
static void
TakeKey(FactTable *table, SameRule *rule, ArrayType *names)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;

	rule->key = palloc0(sizeof(UniqueKey));
	rule->key->name = "declared";
	if (names == NULL)
		return;
	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &values,
					  &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		Column	   *column;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the key of a sameness holds a null")));
		column = NamedColumn(table, NameStr(*DatumGetName(values[i])));
		if (!OidIsValid(EqualityOperator(column->type)))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of table \"%s\" cannot be part of a key",
							column->name, table->name),
					 errdetail("Type %s has no equality.", format_type_be(column->type)),
					 errhint("Compare it in the condition.")));
		if (list_member_ptr(rule->key->columns, column))
			continue;
		rule->key->columns = lappend(rule->key->columns, column);
		rule->key->operators = lappend_oid(rule->key->operators,
										   EqualityOperator(column->type));
		rule->key->collations = lappend_oid(rule->key->collations, column->collation);
	}
}

/*
 * Take the columns that have to be near.
 */
static void
TakeTolerances(FactTable *table, Relation relation, SameRule *rule, Jsonb *tolerances)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (tolerances == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(tolerances))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tolerance is not a JSON object"),
				 errhint("Say it by column, as in {\"born\": \"12 days\"}.")));
	iterator = JsonbIteratorInit(&tolerances->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		Column	   *column;

		if (token != WJB_KEY)
			continue;
		column = NamedColumn(table, pnstrdup(element.val.string.val,
											 element.val.string.len));
		(void) JsonbIteratorNext(&iterator, &element, true);
		rule->tolerances = lappend(rule->tolerances,
								   MakeTolerance(relation, column, &element));
	}
}

/*
 * Take the condition.
 */
static void
TakeCondition(FactTable *table, Relation relation, SameRule *rule, const char *condition)
{
	ConditionRows rows = {condition, 2, {relation, relation}, {"source", "destination"},
		"factmerge_set_sameness()", RelationGetRelationName(relation),
	"Which facts are the same would depend on when they are compared."};
	List	   *names;
	ListCell   *lc;

	if (condition == NULL)
		return;
	rule->condition = ResolveCondition(&rows, &names);
	foreach(lc, names)
		rule->conditional = list_append_unique_ptr(rule->conditional,
												   NamedColumn(table, lfirst(lc)));
}

/*
 * Make the rule of what is declared, or raise an error.
 */
static SameRule *
MakeRule(FactTable *table, ArrayType *key, Jsonb *tolerances, const char *condition, bool nulls_same)
{
	SameRule   *rule = palloc0(sizeof(SameRule));
	Relation	relation = table_open(table->destination, AccessShareLock);
	ListCell   *lc;

	TakeKey(table, rule, key);
	TakeTolerances(table, relation, rule, tolerances);
	TakeCondition(table, relation, rule, condition);
	table_close(relation, AccessShareLock);

	rule->nulls_same = nulls_same;
	rule->columns = list_copy(rule->key->columns);
	foreach(lc, rule->tolerances)
		rule->columns = list_append_unique_ptr(rule->columns,
											   ((Tolerance *) lfirst(lc))->column);
	rule->columns = list_concat_unique_ptr(rule->columns, rule->conditional);
	if (rule->columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing says which facts of table \"%s\" are the same", table->name),
				 errhint("Give a key, a tolerance, or a condition that compares source and destination.")));
	return rule;
}

/*
 * Whether a rule says nothing but which columns are equal.
 */
bool
IsKeyOnly(SameRule *rule)
{
	return rule->tolerances == NIL && rule->condition == NULL;
}

/* Where a rule that is kept goes */
typedef struct Kept
{
	FactTable  *table;
	SameRule   *rule;
	MemoryContext context;
} Kept;

/* Makes a rule of a row of factmerge.sameness */
static void
MakeKeptRule(Datum *values, bool *nulls, void *arg)
{
	Kept	   *kept = arg;
	MemoryContext context = MemoryContextSwitchTo(kept->context);
	int			nest_level = NewGUCNestLevel();

	/* In these settings it was written down */
	FixSettings();
	kept->rule = MakeRule(kept->table, DatumGetArrayTypePCopy(values[0]),
						  DatumGetJsonbPCopy(values[1]),
						  nulls[2] ? NULL : TextDatumGetCString(values[2]), DatumGetBool(values[3]));
	AtEOXact_GUC(true, nest_level);
	MemoryContextSwitchTo(context);
}

/*
 * Whether a declaration says what nulls in a key are; those of version 1.0 do not.
 */
static bool
KnowsNulls(void)
{
	return HasRegistered("sameness", "nulls_same");
}

/*
 * The declared sameness of a table, or NULL.
 */
SameRule *
LoadRule(FactTable *table)
{
	Kept		kept = {table, NULL, CurrentMemoryContext};
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlForEachRow(InvalidSnapshot,
				  psprintf("SELECT key, tolerance, condition, %s FROM factmerge.sameness WHERE fact_table OPERATOR(pg_catalog.=) $1",
						   KnowsNulls() ? "nulls_same" : "false"), &args, MakeKeptRule, &kept);
	return kept.rule;
}

/*
 * Say a rule in words.
 */
char *
DescribeRule(FactTable *table)
{
	SameRule   *rule = table->rule;
	StringInfoData text;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, rule->key->columns)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) ? ", " : "(",
						 quote_identifier(((Column *) lfirst(lc))->name));
	if (rule->key->columns)
	{
		appendStringInfoString(&text, rule->nulls_same ? "), nulls are the same" : ")");
		first = false;
	}
	foreach(lc, rule->tolerances)
	{
		AppendSeparator(&text, " and ", &first);
		appendStringInfoString(&text, DescribeTolerance(lfirst(lc)));
	}
	if (rule->condition)
	{
		AppendSeparator(&text, " and ", &first);
		appendStringInfoString(&text, rule->condition);
	}
	return text.data;
}

/*
 * The tolerances of a rule as a JSON object.
 */
static Datum
TolerancesAsJson(SameRule *rule)
{
	JsonbParseState *state = NULL;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, rule->tolerances)
	{
		Tolerance  *tolerance = lfirst(lc);
		JsonbValue	name;

		name.type = jbvString;
		name.val.string.val = tolerance->column->name;
		name.val.string.len = strlen(tolerance->column->name);
		pushJsonbValue(&state, WJB_KEY, &name);
		PushTolerance(&state, tolerance);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/*
 * Whether the argument nulls, which version 1.0 does not have, is 'same'.
 */
static bool
TakeNulls(FunctionCallInfo fcinfo)
{
	const char *nulls = PG_NARGS() > 4 ? text_to_cstring(REQUIRE_ARG(TEXT_PP, 4)) : "distinct";

	if (strcmp(nulls, "same") == 0)
		return true;
	if (strcmp(nulls, "distinct") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nulls cannot be \"%s\"", nulls),
				 errhint("In a key they are distinct, or the same.")));
	return false;
}

/*
 * Keep with a declaration whether nulls in its key are the same.
 */
static void
NoteNulls(Oid relation, bool nulls_same)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, BOOLOID, BoolGetDatum(nulls_same));
	SqlExecuteAsOwner("UPDATE factmerge.sameness SET nulls_same = $2 WHERE fact_table OPERATOR(pg_catalog.=) $1", &args);
}

/*
 * factmerge_set_sameness(regclass, name[], jsonb, text, text)
 */
Datum
factmerge_set_sameness(PG_FUNCTION_ARGS)
{
	FactTable	table = {0};
	SqlArgs		args = {0};
	Relation	relation;
	SameRule   *rule;

	table.destination = REQUIRE_ARG(OID, 0);
	CheckTable(table.destination);
	SqlConnect();
	relation = table_open(table.destination, AccessShareLock);
	table.name = RelationGetRelationName(relation);
	DescribeColumns(&table, NULL, relation);
	rule = MakeRule(&table, PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1),
					PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2),
					PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)), TakeNulls(fcinfo));
	table_close(relation, NoLock);
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table.destination));
	SqlAddArg(&args, NAMEARRAYOID, NameArray(ColumnNames(rule->key->columns)));
	SqlAddArg(&args, JSONBOID, TolerancesAsJson(rule));
	SqlAddTextArg(&args, rule->condition);
	SqlExecuteAsOwner("INSERT INTO factmerge.sameness (fact_table, key, tolerance, condition)"
					  " VALUES ($1, $2, $3, $4) ON CONFLICT (fact_table)"
					  " DO UPDATE SET key = excluded.key, tolerance = excluded.tolerance,"
					  " condition = excluded.condition", &args);
	if (KnowsNulls())
		NoteNulls(table.destination, rule->nulls_same);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_unset_sameness(regclass)
 */
Datum
factmerge_unset_sameness(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);

	CheckTable(relation);
	if (Undeclare("sameness", relation) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no sameness is declared for table \"%s\"", get_rel_name(relation)),
				 errhint("factmerge_tables() shows what says that facts are the same.")));
	PG_RETURN_VOID();
}
