/*-------------------------------------------------------------------------
 *
 * tolerance.c
 *	  values that are the same although they are not equal
 *
 * A tolerance says how far two values of a column may be apart: numbers,
 * money and points by a distance, dates and timestamps by an interval, text by
 * a similarity or an edit distance; or that a function makes them equal.
 *
 * What is declared is a JSON value per column; here it is checked against the
 * column's type and kept.  The SQL that compares values is in distance.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "compat.h"
#include "samerule.h"

/* With so many edits any name becomes any other */
#define MOST_EDITS 255

/* The largest distance of integers that integer arithmetic is used for */
#define MOST_WHOLE INT64CONST(1000000000000000)

/* The keys of a tolerance that is an object */
#define FUNCTION_KEY	"function"
#define SIMILARITY_KEY	"similarity"
#define EDITS_KEY		"edit_distance"

/* A month counts as 31 days where its length matters */
#define DAYS_OF_MONTH	31

/*
 * Refuse a tolerance that means nothing for its column.
 */
static void
RefuseTolerance(Column *column, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the tolerance of column \"%s\" does not fit its type %s",
					column->name, format_type_with_typemod(column->type, column->typmod)),
			 errdetail("%s", detail)));
}

static void
RefuseAmount(Column *column, const char *amount, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid tolerance of column \"%s\": %s", column->name, amount),
			 errhint("%s", hint)));
}

/*
 * The text of a JSON number or string, NULL for anything else.
 */
static char *
ScalarText(JsonbValue *value)
{
	if (value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	return NULL;
}

/*
 * Read an amount as a number of at least zero.
 */
static double
ReadSize(Column *column, const char *amount)
{
	double		size = DatumGetFloat8(DirectFunctionCall1(float8in,
														  CStringGetDatum(amount)));

	if (isnan(size) || isinf(size) || size < 0)
		RefuseAmount(column, amount, "A distance is a number that is not negative.");
	return size;
}

/*
 * Read an amount as an exact number of at least zero; returns not how large it
 * is, which a double may not hold, but only whether it is more than that.
 */
static double
ReadNumber(Column *column, const char *amount)
{
	Datum		number = DirectFunctionCall3(numeric_in, CStringGetDatum(amount),
											 ObjectIdGetDatum(InvalidOid),
											 Int32GetDatum(-1));
	Datum		sign;

	if (numeric_is_nan(DatumGetNumeric(number)) || numeric_is_inf(DatumGetNumeric(number)))
		RefuseAmount(column, amount, "A distance is a number that is not negative.");
	sign = DirectFunctionCall1(numeric_sign, number);
	if (DatumGetInt32(DirectFunctionCall1(numeric_int4, sign)) < 0)
		RefuseAmount(column, amount, "A distance is a number that is not negative.");
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, sign));
}

/*
 * The whole part of a number, -1 if it is so large that arithmetic with it
 * could go wrong.
 */
static double
WholePart(const char *amount)
{
	Datum		number = DirectFunctionCall1(numeric_floor,
											 DirectFunctionCall3(numeric_in,
																 CStringGetDatum(amount),
																 ObjectIdGetDatum(InvalidOid),
																 Int32GetDatum(-1)));
	Datum		large = DirectFunctionCall1(int8_numeric, Int64GetDatum(MOST_WHOLE));

	if (DatumGetBool(DirectFunctionCall2(numeric_gt, number, large)))
		return -1;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, number));
}

/*
 * Read an amount as an interval of at least zero; returns its length in
 * seconds.
 */
static double
ReadInterval(Column *column, const char *amount)
{
	Interval   *interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
																 CStringGetDatum(amount),
																 ObjectIdGetDatum(InvalidOid),
																 Int32GetDatum(-1)));

	if (interval->month < 0 || interval->day < 0 || interval->time < 0)
		RefuseAmount(column, amount, "An interval between two times is not negative.");
	return ((double) interval->month * DAYS_OF_MONTH + interval->day) * SECS_PER_DAY +
		(double) interval->time / USECS_PER_SEC;
}

/*
 * Whether values of a type can be passed on as another.
 */
static bool
IsText(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(getBaseType(type), &category, &preferred);
	return category == TYPCATEGORY_STRING;
}

/*
 * Find a function by its name that takes a value of a type; *returns becomes
 * the type of its result.
 */
static Oid
FindFunction(List *names, Oid type, Oid *takes, Oid *returns, bool *returns_set)
{
	Oid			function;
	int			variadic_count;
	Oid			variadic_type;
	Oid		   *declared;
	List	   *defaults;

	if (func_get_detail(names, NIL, NIL, 1, &type, false, true, false, &function,
						returns, returns_set, &variadic_count, &variadic_type,
						&declared, &defaults) != FUNCDETAIL_NORMAL)
		return InvalidOid;
	*takes = IsPolymorphicType(declared[0]) ? type : declared[0];
	*returns = enforce_generic_type_consistency(takes, declared, 1, *returns, false);
	return function;
}

/*
 * Add the next function to be applied to what the ones before return.
 */
static void
AddFunction(Tolerance *tolerance, const char *name)
{
	Normaliser *normaliser = palloc(sizeof(Normaliser));
	bool		returns_set;
	List	   *parts;

	if (!SplitIdentifierString(pstrdup(name), '.', &parts) || parts == NIL)
		RefuseTolerance(tolerance->column,
						psprintf("\"%s\" is not the name of a function.", name));
	normaliser->function = FindFunction(ParseQualifiedName(name),
										tolerance->compared_type,
										&normaliser->takes, &normaliser->returns,
										&returns_set);
	if (!OidIsValid(normaliser->function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s(%s) does not exist", name,
						format_type_be(tolerance->compared_type)),
				 errdetail("It is to normalise column \"%s\".", tolerance->column->name)));
	if (returns_set)
		RefuseTolerance(tolerance->column,
						psprintf("Function %s makes several values of one.", name));
	if (func_volatile(normaliser->function) == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("function %s is volatile", name),
				 errdetail("Which facts are the same would depend on when they are compared."),
				 errhint("A normalising function has to be immutable, or stable at least.")));
	if (!MayExecute(normaliser->function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, name);
	tolerance->functions = lappend(tolerance->functions, normaliser);
	tolerance->compared_type = normaliser->returns;
}

/*
 * Take the functions of a tolerance: one name, or an array of names.
 */
static void
AddFunctions(Tolerance *tolerance, JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (value->type == jbvString)
	{
		AddFunction(tolerance, ScalarText(value));
		return;
	}
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		RefuseTolerance(tolerance->column, "A function is given by its name, or several by an array of names.");
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type != jbvString)
			RefuseTolerance(tolerance->column, "An array of functions holds names.");
		AddFunction(tolerance, ScalarText(&element));
	}
}

/*
 * The schema that pg_trgm is in, quoted.
 */
char *
TrigramSchema(Tolerance *tolerance)
{
	char	  **row = SqlFetchRow(InvalidSnapshot,
								  "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e"
								  " JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace"
								  " WHERE e.extname = 'pg_trgm'", NULL);

	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("similarity is measured by extension pg_trgm, which is not installed"),
				 errdetail("Column \"%s\" is to be compared by it.", tolerance->column->name),
				 errhint("CREATE EXTENSION pg_trgm.")));
	return row[0];
}

/*
 * Take how text is to be compared.
 */
static void
TakeTextAmount(Tolerance *tolerance, ToleranceKind kind, JsonbValue *value)
{
	Column	   *column = tolerance->column;

	if (tolerance->kind != TOLERATE_NORMALISED)
		RefuseTolerance(column, "Text is compared either by similarity or by edit distance.");
	tolerance->kind = kind;
	tolerance->amount = ScalarText(value);
	if (tolerance->amount == NULL)
		RefuseTolerance(column, "Similarity and edit distance are numbers.");
	tolerance->size = ReadSize(column, tolerance->amount);
	if (kind == TOLERATE_SIMILAR)
	{
		if (tolerance->size == 0 || tolerance->size > 1)
			RefuseAmount(column, tolerance->amount,
						 "A least similarity is greater than 0 and at most 1.");
		(void) TrigramSchema(tolerance);
	}
	else if (tolerance->size != floor(tolerance->size) || tolerance->size > MOST_EDITS)
		RefuseAmount(column, tolerance->amount,
					 psprintf("An edit distance is a whole number of characters, at most %d.",
							  MOST_EDITS));
}

/*
 * Take a tolerance that is an object.  The functions come first, whatever the
 * order of the keys.
 */
static void
TakeObject(Tolerance *tolerance, JsonbValue *value)
{
	JsonbIterator *iterator = JsonbIteratorInit(value->val.binary.data);
	JsonbValue *functions = getKeyJsonValueFromContainer(value->val.binary.data,
														 FUNCTION_KEY,
														 strlen(FUNCTION_KEY), NULL);
	JsonbValue	element;
	JsonbIteratorToken token;

	if (functions)
		AddFunctions(tolerance, functions);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = ScalarText(&element);
		(void) JsonbIteratorNext(&iterator, &element, true);
		if (strcmp(key, SIMILARITY_KEY) == 0)
			TakeTextAmount(tolerance, TOLERATE_SIMILAR, &element);
		else if (strcmp(key, EDITS_KEY) == 0)
			TakeTextAmount(tolerance, TOLERATE_EDITED, &element);
		else if (strcmp(key, FUNCTION_KEY) != 0)
			RefuseAmount(tolerance->column, key,
						 "A tolerance that is an object has function, similarity or edit_distance.");
	}
	if (tolerance->kind == TOLERATE_NORMALISED && tolerance->functions == NIL)
		RefuseTolerance(tolerance->column, "The object says nothing.");
	if (tolerance->kind != TOLERATE_NORMALISED && !IsText(tolerance->compared_type))
		RefuseTolerance(tolerance->column, "Similarity and edit distance are those of text.");
}

/*
 * The kind of tolerance that an amount is for values of a type.
 */
static ToleranceKind
KindOfType(Oid type)
{
	switch (getBaseType(type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case CASHOID:
			return TOLERATE_NUMBER;
		case FLOAT4OID:
		case FLOAT8OID:
			return TOLERATE_FLOAT;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return TOLERATE_TIME;
		case POINTOID:
			return TOLERATE_POINT;
		default:
			return TOLERATE_NORMALISED;
	}
}

/*
 * Take a distance.
 */
static void
TakeAmount(Tolerance *tolerance, JsonbValue *value)
{
	Column	   *column = tolerance->column;

	tolerance->kind = KindOfType(column->type);
	tolerance->amount = ScalarText(value);
	if (tolerance->kind == TOLERATE_TIME)
	{
		if (value->type != jbvString)
			RefuseTolerance(column, "Times are an interval apart, as in \"12 days\".");
		tolerance->size = ReadInterval(column, tolerance->amount);
	}
	else if (tolerance->kind == TOLERATE_NUMBER)
	{
		tolerance->size = ReadNumber(column, tolerance->amount);
		tolerance->whole = WholePart(tolerance->amount);
	}
	else
		tolerance->size = ReadSize(column, tolerance->amount);
}

/*
 * Make the tolerance of a column of what was declared, or refuse it.
 */
Tolerance *
MakeTolerance(Relation relation, Column *column, JsonbValue *value)
{
	Tolerance  *tolerance = palloc0(sizeof(Tolerance));

	tolerance->column = column;
	tolerance->kind = TOLERATE_NORMALISED;
	tolerance->compared_type = column->type;
	if (IsReferring(relation, column->number))
		RefuseTolerance(column, "It is a foreign key: what it refers to is the same fact or another.");
	if (value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data))
		TakeObject(tolerance, value);
	else if (ScalarText(value) == NULL)
		RefuseTolerance(column, "A tolerance is a number, a string or an object.");
	else if (KindOfType(column->type) != TOLERATE_NORMALISED)
		TakeAmount(tolerance, value);
	else if (value->type == jbvString)
		AddFunction(tolerance, ScalarText(value));
	else
		RefuseTolerance(column, IsText(column->type) ?
						"Text is compared by function, similarity or edit_distance." :
						"Its values have no distance.");
	if (tolerance->kind == TOLERATE_NORMALISED &&
		!OidIsValid(EqualityOperator(tolerance->compared_type)))
		RefuseTolerance(column, "What the function returns has no equality.");
	return tolerance;
}

static void
PushString(JsonbParseState **state, JsonbIteratorToken token, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	pushJsonbValue(state, token, &value);
}

static void
PushNumber(JsonbParseState **state, const char *number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in,
															CStringGetDatum(number),
															ObjectIdGetDatum(InvalidOid),
															Int32GetDatum(-1)));
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * Push a tolerance as the value of a JSON object: as it was declared, but with
 * its functions qualified.
 */
void
PushTolerance(JsonbParseState **state, Tolerance *tolerance)
{
	ListCell   *lc;

	if (tolerance->kind == TOLERATE_TIME)
	{
		PushString(state, WJB_VALUE, tolerance->amount);
		return;
	}
	if (tolerance->kind < TOLERATE_NORMALISED)
	{
		PushNumber(state, tolerance->amount);
		return;
	}
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	if (tolerance->functions)
	{
		PushString(state, WJB_KEY, FUNCTION_KEY);
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		foreach(lc, tolerance->functions)
			PushString(state, WJB_ELEM, QualifiedFunction(((Normaliser *) lfirst(lc))->function));
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
	}
	if (tolerance->kind != TOLERATE_NORMALISED)
	{
		PushString(state, WJB_KEY, tolerance->kind == TOLERATE_SIMILAR ?
				   SIMILARITY_KEY : EDITS_KEY);
		PushNumber(state, tolerance->amount);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * Say a tolerance in words, as in "born within 12 days".
 */
char *
DescribeTolerance(Tolerance *tolerance)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfoString(&text, quote_identifier(tolerance->column->name));
	foreach(lc, tolerance->functions)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) ? ", " : " by ",
						 QualifiedFunction(((Normaliser *) lfirst(lc))->function));
	switch (tolerance->kind)
	{
		case TOLERATE_NORMALISED:
			break;
		case TOLERATE_SIMILAR:
			appendStringInfo(&text, " with similarity %s", tolerance->amount);
			break;
		case TOLERATE_EDITED:
			appendStringInfo(&text, " within an edit distance of %s", tolerance->amount);
			break;
		default:
			appendStringInfo(&text, " within %s", tolerance->amount);
			break;
	}
	return text.data;
}
