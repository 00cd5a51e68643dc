/*-------------------------------------------------------------------------
 *
 * tolerance.c
 *	  values that are the same although they are not equal
 *
 * A tolerance says how far two values of a column may be apart: numbers,
 * money and points by a distance, dates and timestamps by an interval, text by
 * a similarity or an edit distance; or that a function makes them equal.
 *
 * Comparing every value with every other would take the square of their
 * number.  So each kind comes with blocks: values that the two sides are
 * joined on by equality, chosen such that values within the tolerance share
 * one.  (Record linkage calls that blocking.)
 *
 * - A line is cut into buckets at least twice as wide as the tolerance.  A value of
 *	 the destination lies in one, what is within the tolerance of a value of the
 *	 source in two at most.  Points have one such line for each axis.
 * - Strings within an edit distance share a piece: see edit.c.
 * - Of strings whose trigrams overlap enough, the first few trigrams overlap, in
 *	 whatever order both are sorted (the prefix filter of set similarity
 *	 joins).  Trigrams at the ends of words come last, they are common.
 *
 * The SQL speaks of two rows, source and destination, as conditions do.
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

#include "compat.h"
#include "rule.h"

/* Beyond this edit distance, pieces are too short to tell strings apart */
#define MOST_PIECEWISE_EDITS 4

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
 * Add the next function to be applied to what the ones before return.
 */
static void
AddFunction(Tolerance *tolerance, const char *name)
{
	List	   *names = ParseQualifiedName(name);
	Oid			types[] = {tolerance->compared_type,
	getBaseType(tolerance->compared_type), TEXTOID};
	int			count = IsText(tolerance->compared_type) ? 3 : 2;
	Oid			function = InvalidOid;

	for (int i = 0; i < count && !OidIsValid(function); i++)
		function = LookupFuncName(names, 1, &types[i], true);
	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s(%s) does not exist", name,
						format_type_be(tolerance->compared_type)),
				 errdetail("It is to normalise column \"%s\".", tolerance->column->name)));
	if (func_volatile(function) == PROVOLATILE_VOLATILE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("function %s is volatile", name),
				 errdetail("Which facts are the same would depend on when they are compared."),
				 errhint("A normalising function has to be immutable, or stable at least.")));
	if (!MayExecute(function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, name);
	tolerance->functions = lappend_oid(tolerance->functions, function);
	tolerance->compared_type = get_func_rettype(function);
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
static char *
TrigramSchema(void)
{
	char	  **row = SqlFetchRow(InvalidSnapshot,
								  "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e"
								  " JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace"
								  " WHERE e.extname = 'pg_trgm'", NULL);

	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("similarity is measured by extension pg_trgm, which is not installed"),
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
		(void) TrigramSchema();
	}
	else if (tolerance->size != floor(tolerance->size) || tolerance->size > INT_MAX)
		RefuseAmount(column, tolerance->amount,
					 "An edit distance is a whole number of characters.");
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
	{
		tolerance->kind = KindOfType(column->type);
		tolerance->amount = ScalarText(value);
		tolerance->size = tolerance->kind == TOLERATE_TIME ?
			ReadInterval(column, tolerance->amount) :
			ReadSize(column, tolerance->amount);
	}
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
			PushString(state, WJB_ELEM, QualifiedFunction(lfirst_oid(lc)));
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
						 QualifiedFunction(lfirst_oid(lc)));
	switch (tolerance->kind)
	{
		case TOLERATE_NORMALISED:
			break;
		case TOLERATE_SIMILAR:
			appendStringInfo(&text, " with similarity %s", tolerance->amount);
			break;
		case TOLERATE_EDITED:
			appendStringInfo(&text, " within %s edits", tolerance->amount);
			break;
		default:
			appendStringInfo(&text, " within %s", tolerance->amount);
			break;
	}
	return text.data;
}

/*
 * SQL for a value in the form in which it is compared.
 */
static char *
Compared(Tolerance *tolerance, const char *value)
{
	char	   *sql = pstrdup(value);
	ListCell   *lc;

	foreach(lc, tolerance->functions)
	{
		Oid		   *arguments;
		int			count;

		(void) get_func_signature(lfirst_oid(lc), &arguments, &count);
		sql = psprintf("%s((%s)::%s)", QualifiedFunction(lfirst_oid(lc)), sql,
					   TypeText(arguments[0], -1));
	}
	switch (tolerance->kind)
	{
		case TOLERATE_NUMBER:
			return psprintf("(%s)::pg_catalog.numeric", sql);
		case TOLERATE_FLOAT:
			return psprintf("(%s)::pg_catalog.float8", sql);
		case TOLERATE_TIME:
			if (getBaseType(tolerance->column->type) == TIMESTAMPTZOID)
				return psprintf("pg_catalog.timezone('UTC', %s)", sql);
			return psprintf("(%s)::pg_catalog.timestamp", sql);
		case TOLERATE_POINT:
			return psprintf("(%s)::pg_catalog.point", sql);
		case TOLERATE_NORMALISED:
			return psprintf("(%s)", sql);
		case TOLERATE_SIMILAR:
		case TOLERATE_EDITED:
			return psprintf("(%s)::pg_catalog.text", sql);
	}
	return NULL;				/* keep compiler quiet */
}

/* The two values to compare */
static char *
ComparedIn(Tolerance *tolerance, const char *row)
{
	return Compared(tolerance, psprintf("%s.%s", row,
										quote_identifier(tolerance->column->name)));
}

/*
 * SQL for a literal of the amount.
 */
static char *
Amount(Tolerance *tolerance)
{
	const char *type = "float8";

	if (tolerance->kind == TOLERATE_NUMBER)
		type = "numeric";
	else if (tolerance->kind == TOLERATE_TIME)
		type = "interval";
	else if (tolerance->kind == TOLERATE_SIMILAR)
		type = "float4";
	else if (tolerance->kind == TOLERATE_EDITED)
		type = "int4";
	return psprintf("%s::pg_catalog.%s", quote_literal_cstr(tolerance->amount), type);
}

/*
 * SQL for the distance of the two values, where it is a number.
 */
static char *
Distance(Tolerance *tolerance, const char *s, const char *d)
{
	switch (tolerance->kind)
	{
		case TOLERATE_NUMBER:
		case TOLERATE_FLOAT:
			return psprintf("pg_catalog.abs(%s - %s)", s, d);
		case TOLERATE_TIME:
			return psprintf("pg_catalog.abs(pg_catalog.date_part('epoch', %s) - pg_catalog.date_part('epoch', %s))", s, d);
		case TOLERATE_POINT:
			return psprintf("(%s <-> %s)", s, d);
		case TOLERATE_SIMILAR:
			return psprintf("(1 - %s.similarity(%s, %s))", TrigramSchema(), s, d);
		case TOLERATE_EDITED:
			return psprintf("factmerge.edit_distance(%s, %s, %s)", s, d, Amount(tolerance));
		case TOLERATE_NORMALISED:
			break;
	}
	return "0";
}

/*
 * SQL for the condition that the values are within the tolerance; NULL if the
 * blocks say it all.  Two infinities are equal, though they have no distance.
 */
char *
Within(Tolerance *tolerance)
{
	char	   *s = ComparedIn(tolerance, "source");
	char	   *d = ComparedIn(tolerance, "destination");

	switch (tolerance->kind)
	{
		case TOLERATE_NUMBER:
		case TOLERATE_FLOAT:
			return psprintf("(%s = %s OR %s <= %s)", s, d,
							Distance(tolerance, s, d), Amount(tolerance));
		case TOLERATE_TIME:
			return psprintf("GREATEST(%s, %s) <= LEAST(%s, %s) + %s", s, d, s, d,
							Amount(tolerance));
		case TOLERATE_POINT:
			return psprintf("(%s ~= %s OR %s <= %s)", s, d,
							Distance(tolerance, s, d), Amount(tolerance));
		case TOLERATE_SIMILAR:
			return psprintf("%s.similarity(%s, %s) >= %s", TrigramSchema(), s, d,
							Amount(tolerance));
		case TOLERATE_EDITED:
			return psprintf("%s <= %s", Distance(tolerance, s, d), Amount(tolerance));
		case TOLERATE_NORMALISED:
			break;
	}
	return NULL;
}

/*
 * SQL for the distance as a share of the tolerance, from 0 to 1, so that those
 * of several columns can be added up.
 */
char *
Share(Tolerance *tolerance)
{
	char	   *s = ComparedIn(tolerance, "source");
	char	   *d = ComparedIn(tolerance, "destination");
	const char *equals = tolerance->kind == TOLERATE_POINT ? "~=" : "=";
	double		whole = tolerance->kind == TOLERATE_SIMILAR ?
		1 - tolerance->size : tolerance->size;

	if (tolerance->kind == TOLERATE_NORMALISED || whole == 0)
		return "0";
	return psprintf("CASE WHEN %s %s %s THEN 0 ELSE (%s / %s)::pg_catalog.float8 END",
					s, equals, d, Distance(tolerance, s, d),
					tolerance->kind == TOLERATE_NUMBER ? Amount(tolerance) :
					psprintf("'%.17g'::pg_catalog.float8", whole));
}

static Block *
MakeBlock(char *value, Oid type, bool array)
{
	Block	   *block = palloc(sizeof(Block));

	block->value = value;
	block->type = type;
	block->array = array;
	return block;
}

/*
 * The buckets of exact numbers.  Their width is twice the tolerance; as the
 * division rounds towards zero, the one there is wider.
 */
static Block *
NumberBlock(Tolerance *tolerance, const char *value, bool source)
{
	char	   *amount = Amount(tolerance);
	char	   *width = tolerance->size > 0 ? psprintf("(2 * %s)", amount) : "1";

	if (!source)
		return MakeBlock(psprintf("pg_catalog.div(%s, %s)", value, width),
						 NUMERICOID, false);
	return MakeBlock(psprintf("ARRAY[pg_catalog.div(%s - %s, %s), pg_catalog.div(%s + %s, %s)]",
							  value, amount, width, value, amount, width),
					 NUMERICOID, true);
}

/*
 * The buckets of binary numbers within a distance.  They are somewhat wider
 * than twice the tolerance, for rounding; and numbers too large to be divided
 * by the width share one.
 */
static Block *
FloatBlock(const char *value, double distance, double slack, bool source)
{
	double		reach = 1.1 * distance + slack;
	double		width = reach > 0 ? 2.2 * reach : 1;
	double		limit = 1e307 * Min(width, 1);
	const char *bucket = "pg_catalog.floor(LEAST(GREATEST(%s, '-%.17g'), '%.17g') / '%.17g')";

	if (!source)
		return MakeBlock(psprintf(bucket, value, limit, limit, width), FLOAT8OID, false);
	return MakeBlock(psprintf("ARRAY[%s, %s]",
							  psprintf(bucket, psprintf("%s - '%.17g'", value, reach),
									   limit, limit, width),
							  psprintf(bucket, psprintf("%s + '%.17g'", value, reach),
									   limit, limit, width)),
					 FLOAT8OID, true);
}

/*
 * The first trigrams of a text, enough of them that one is shared by all that
 * are as similar as the tolerance demands.
 */
static Block *
TrigramBlock(Tolerance *tolerance, const char *value)
{
	char	   *trigrams = psprintf("%s.show_trgm(%s)", TrigramSchema(), value);

	return MakeBlock(psprintf("(ARRAY(SELECT t FROM pg_catalog.unnest(%s) AS t"
							  " ORDER BY pg_catalog.strpos(t, ' ') > 0, pg_catalog.hashtext(t), t COLLATE \"C\"))"
							  "[:pg_catalog.cardinality(%s) - pg_catalog.ceil('%.17g'::pg_catalog.float8 * pg_catalog.cardinality(%s) - 0.001)::pg_catalog.int4 + 1]",
							  trigrams, trigrams, tolerance->size, trigrams),
					 TEXTOID, true);
}

/*
 * What strings within an edit distance share: a piece, or the length but for
 * that distance.
 */
static Block *
EditBlock(Tolerance *tolerance, const char *value, bool source)
{
	if (tolerance->size <= MOST_PIECEWISE_EDITS)
		return MakeBlock(psprintf("factmerge.%s(%s, %s)",
								  source ? "edit_probes" : "edit_pieces", value,
								  Amount(tolerance)), TEXTOID, true);
	if (!source)
		return MakeBlock(psprintf("pg_catalog.length(%s)", value), INT4OID, false);
	return MakeBlock(psprintf("ARRAY(SELECT pg_catalog.generate_series(GREATEST(pg_catalog.length(%s) - %s, 0),"
							  " pg_catalog.length(%s)::pg_catalog.int8 + %s)::pg_catalog.int4)",
							  value, Amount(tolerance), value, Amount(tolerance)),
					 INT4OID, true);
}

/*
 * The blocks that a value of one side is in.
 */
List *
ToleranceBlocks(Tolerance *tolerance, const char *value, bool source)
{
	char	   *compared = Compared(tolerance, value);
	double		size = tolerance->size;

	switch (tolerance->kind)
	{
		case TOLERATE_NUMBER:
			return list_make1(NumberBlock(tolerance, compared, source));
		case TOLERATE_FLOAT:
			return list_make1(FloatBlock(compared, size, 0, source));
		case TOLERATE_TIME:
			/* The slack is for far times, whose fractions are rounded */
			return list_make1(FloatBlock(psprintf("pg_catalog.date_part('epoch', %s)", compared),
										 size, 0.01, source));
		case TOLERATE_POINT:
			return list_make2(FloatBlock(psprintf("(%s)[0]", compared), size, 0, source),
							  FloatBlock(psprintf("(%s)[1]", compared), size, 0, source));
		case TOLERATE_NORMALISED:
			return list_make1(MakeBlock(compared, tolerance->compared_type, false));
		case TOLERATE_SIMILAR:
			return list_make1(TrigramBlock(tolerance, compared));
		case TOLERATE_EDITED:
			return list_make1(EditBlock(tolerance, compared, source));
	}
	return NIL;					/* keep compiler quiet */
}
