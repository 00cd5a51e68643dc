/*-------------------------------------------------------------------------
 *
 * distance.c
 *	  the SQL that compares values within a tolerance
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

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "samerule.h"

/* Beyond this edit distance, pieces are too short to tell strings apart */
#define MOST_PIECEWISE_EDITS 4

/* Whole numbers beyond this are not told apart by blocks */
#define LARGE_INTEGER "9000000000000000000"

/* From here on a double overflows too easily */
#define LARGE_DOUBLE 1e300

/* A share so small that it may as well be zero */
#define TINY_SHARE 1e-300

/* Points whose coordinates are so large are compared as exact numbers */
#define LARGE_COORDINATE "1e150"

/* Times after this are compared by seconds, as adding to them may overflow */
#define LATE_TIME "294000-01-01"

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
		Normaliser *normaliser = lfirst(lc);

		sql = psprintf("%s((%s)::%s)", QualifiedFunction(normaliser->function), sql,
					   TypeText(normaliser->takes, -1));
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
			return psprintf("(%s)::%s", sql,
							TypeText(getBaseType(tolerance->column->type), -1));
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
 * SQL that chooses between two ways to compute with binary numbers, the second
 * of which cannot overflow; value is what has to be small for the first one.
 */
static char *
IfSmall(const char *value, const char *limit, const char *then, const char *otherwise)
{
	return psprintf("CASE WHEN %s < %s THEN %s ELSE %s END", value, limit, then, otherwise);
}

/* The seconds from one time to another, either way */
static char *
SecondsBetween(const char *s, const char *d)
{
	return psprintf("pg_catalog.abs(EXTRACT(epoch FROM %s)::pg_catalog.float8 - EXTRACT(epoch FROM %s)::pg_catalog.float8)",
					s, d);
}

/* The larger of two binary numbers' sizes */
static char *
LargerSize(const char *a, const char *b)
{
	return psprintf("GREATEST(pg_catalog.abs(%s), pg_catalog.abs(%s))", a, b);
}

/*
 * SQL for the distance of two points, not a number where that is beyond a
 * double.
 */
static char *
PointDistance(const char *s, const char *d)
{
	return IfSmall(psprintf("GREATEST(%s, %s)",
							LargerSize(psprintf("(%s)[0]", s), psprintf("(%s)[0]", d)),
							LargerSize(psprintf("(%s)[1]", s), psprintf("(%s)[1]", d))),
				   "'" LARGE_COORDINATE "'", psprintf("(%s <-> %s)", s, d),
				   psprintf("LEAST(pg_catalog.sqrt((((%s)[0]::pg_catalog.numeric - (%s)[0]::pg_catalog.numeric) ^ 2"
							" + ((%s)[1]::pg_catalog.numeric - (%s)[1]::pg_catalog.numeric) ^ 2)),"
							" '1e308'::pg_catalog.numeric)::pg_catalog.float8", s, d, s, d));
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
			return psprintf("pg_catalog.abs(%s - %s)", s, d);
		case TOLERATE_FLOAT:
			return IfSmall(LargerSize(s, d), psprintf("'%g'", LARGE_DOUBLE),
						   psprintf("pg_catalog.abs(%s - %s)", s, d),
						   psprintf("2 * LEAST(pg_catalog.abs(%s / 2 - %s / 2), '8e307')", s, d));
		case TOLERATE_TIME:
			return SecondsBetween(s, d);
		case TOLERATE_POINT:
			return PointDistance(s, d);
		case TOLERATE_SIMILAR:
			return psprintf("(1 - %s.similarity(%s, %s))", TrigramSchema(tolerance), s, d);
		case TOLERATE_EDITED:
			return psprintf("factmerge.edit_distance(%s, %s, %s)", s, d, Amount(tolerance));
		case TOLERATE_NORMALISED:
			break;
	}
	return "0";
}

/*
 * SQL for the condition that two values are equal; points have an equality of
 * their own that is not exact.
 */
static char *
Equal(Tolerance *tolerance, const char *s, const char *d)
{
	if (tolerance->kind == TOLERATE_POINT)
		return psprintf("((%s)[0] = (%s)[0] AND (%s)[1] = (%s)[1])", s, d, s, d);
	return psprintf("%s = %s", s, d);
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
		case TOLERATE_POINT:
			return psprintf("(%s OR %s <= %s)", Equal(tolerance, s, d),
							Distance(tolerance, s, d), Amount(tolerance));
		case TOLERATE_TIME:
			return psprintf("(%s = %s OR %s)", s, d,
							IfSmall(psprintf("GREATEST(%s, %s)", s, d), "'" LATE_TIME "'",
									psprintf("GREATEST(%s, %s) <= LEAST(%s, %s) + %s",
											 s, d, s, d, Amount(tolerance)),
									psprintf("%s <= '%.17g'", SecondsBetween(s, d),
											 tolerance->size)));
		case TOLERATE_SIMILAR:
			return psprintf("%s.similarity(%s, %s) >= %s", TrigramSchema(tolerance), s, d,
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
	double		whole = tolerance->kind == TOLERATE_SIMILAR ?
		1 - tolerance->size : tolerance->size;

	if (tolerance->kind == TOLERATE_NORMALISED || whole == 0)
		return "0";
	if (tolerance->kind == TOLERATE_FLOAT || tolerance->kind == TOLERATE_TIME ||
		tolerance->kind == TOLERATE_POINT)
		return psprintf("CASE WHEN %s OR %s < '%.17g' THEN 0 ELSE %s / '%.17g' END",
						Equal(tolerance, s, d), Distance(tolerance, s, d),
						whole * TINY_SHARE, Distance(tolerance, s, d), whole);
	/* These are dear to compute, or cannot be too small to be divided */
	return psprintf("CASE WHEN %s THEN 0 ELSE (%s / %s)::pg_catalog.float8 END",
					Equal(tolerance, s, d), Distance(tolerance, s, d),
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
 * The same of whole numbers, which are cheaper to divide.  The farthest of them
 * share a bucket, so that nothing overflows.
 */
static Block *
IntegerBlock(Tolerance *tolerance, const char *value, bool source)
{
	char	   *amount = psprintf("'%.0f'::pg_catalog.int8", tolerance->whole);
	char	   *width = psprintf("'%.0f'::pg_catalog.int8", Max(2 * tolerance->whole, 1));
	char	   *position = psprintf("LEAST(GREATEST((%s)::pg_catalog.int8, '-" LARGE_INTEGER "'), '" LARGE_INTEGER "')",
									value);

	if (!source)
		return MakeBlock(psprintf("%s / %s", position, width), INT8OID, false);
	return MakeBlock(psprintf("ARRAY[(%s - %s) / %s, (%s + %s) / %s]",
							  position, amount, width, position, amount, width),
					 INT8OID, true);
}

/*
 * The bucket of a binary number.  Tiny ones are not divided: the result might
 * be too small to be told from zero, which is an error.
 */
static char *
Bucket(const char *value, double width)
{
	return psprintf("CASE WHEN pg_catalog.abs(%s) < '%.17g' THEN 0 ELSE pg_catalog.floor(%s / '%.17g') END",
					value, width * TINY_SHARE, value, width);
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
	double		limit = LARGE_DOUBLE * Min(width, 1);
	char	   *position = psprintf("LEAST(GREATEST(%s, '-%.17g'), '%.17g')",
									value, limit, limit);

	if (distance > LARGE_DOUBLE)
		return MakeBlock("0::pg_catalog.float8", FLOAT8OID, false);
	if (!source)
		return MakeBlock(Bucket(position, width), FLOAT8OID, false);

	/*
	 * Where numbers are so large that the next one is a tolerance away, the
	 * bucket of the value itself may be one between the other two.
	 */
	return MakeBlock(psprintf("ARRAY[%s, %s, %s]",
							  Bucket(psprintf("(%s - '%.17g')", position, reach), width),
							  Bucket(position, width),
							  Bucket(psprintf("(%s + '%.17g')", position, reach), width)),
					 FLOAT8OID, true);
}

/*
 * The first trigrams of a text, enough of them that one is shared by all that
 * are as similar as the tolerance demands.
 */
static Block *
TrigramBlock(Tolerance *tolerance, const char *value)
{
	char	   *trigrams = psprintf("%s.show_trgm(%s)", TrigramSchema(tolerance), value);

	return MakeBlock(psprintf("(ARRAY(SELECT u.t FROM pg_catalog.unnest(%s) AS x (t) CROSS JOIN LATERAL (SELECT x.t COLLATE \"C\") AS u (t)"
							  " ORDER BY pg_catalog.strpos(u.t, ' ') > 0, pg_catalog.hashtext(u.t), u.t))"
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
			if (IsInteger(tolerance->compared_type) && tolerance->whole >= 0)
				return list_make1(IntegerBlock(tolerance, value, source));
			return list_make1(NumberBlock(tolerance, compared, source));
		case TOLERATE_FLOAT:
			return list_make1(FloatBlock(compared, size, 0, source));
		case TOLERATE_TIME:
			/* The slack is for far times, whose fractions are rounded */
			return list_make1(FloatBlock(psprintf("EXTRACT(epoch FROM %s)::pg_catalog.float8", compared),
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
