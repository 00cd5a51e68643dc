/*-------------------------------------------------------------------------
 *
 * sequence.c
 *	  the sequences that new keys are drawn from
 *
 * Whatever could go wrong with a sequence is found before anything is written:
 * that it has not enough numbers left, or that it stands behind keys that the
 * destination holds already.  A dry run takes back what it has drawn, a preview
 * does not draw at all, and where the source's own numbers are kept, the
 * sequence goes on behind them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "factmerge.h"
#include "sameness.h"

/*
 * Whether the caller may see how far a sequence has got.  A preview can do without.
 */
static bool
MayReadSequence(Oid sequence)
{
	return pg_class_aclcheck(sequence, GetUserId(), ACL_SELECT | ACL_USAGE) == ACLCHECK_OK;
}

/*
 * How far a sequence has got: the last value that has been drawn from it, or
 * what would be that, if none has.
 */
int64
SequencePosition(Oid sequence)
{
	SqlArgs		args = {0};
	const char *position = "COALESCE(pg_catalog.pg_sequence_last_value(seqrelid), seqstart - seqincrement)";
	char	   *relation = QualifiedRelation(sequence);

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(sequence));
	if (pg_class_aclcheck(sequence, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		position = psprintf("(SELECT CASE WHEN q.is_called THEN q.last_value"
							" ELSE q.last_value - seqincrement END FROM %s AS q)", relation);
	else if (!MayReadSequence(sequence))
		position = "seqstart - seqincrement";
	return SqlFetchInt64(InvalidSnapshot,
						 psprintf("SELECT %s FROM pg_catalog.pg_sequence WHERE seqrelid = $1",
								  position), &args);
}

/*
 * Keep other sessions from a sequence, if there is any, and make what this one
 * draws from it go away with the subtransaction: altering a sequence, even to
 * what it is, gives it new storage.  Sequences of others are left alone.
 */
void
LockSequence(Oid sequence)
{
	SqlArgs		args = {0};

	if (!OidIsValid(sequence) || !OwnsRelation(sequence, GetUserId()))
		return;
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(sequence));
	SqlUtility(psprintf("ALTER SEQUENCE %s INCREMENT BY " INT64_FORMAT,
						QualifiedRelation(sequence),
						SqlFetchInt64(InvalidSnapshot,
									  "SELECT seqincrement FROM pg_catalog.pg_sequence"
									  " WHERE seqrelid = $1", &args)));
}

/*
 * Do that with the sequences of some tables.
 */
void
LockSequences(List *tables)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		foreach(c, table->columns)
			LockSequence(((Column *) lfirst(c))->sequence);
		foreach(c, table->other_sequences)
			LockSequence(lfirst_oid(c));
	}
}

/*
 * Whether the keys of a column are the very numbers of a sequence.
 */
bool
IsNumbered(Column *column)
{
	return IsDrawn(column) && OidIsValid(column->sequence) && IsInteger(column->type);
}

/*
 * The largest number that a type holds.
 */
static int64
LargestNumber(Oid type)
{
	switch (getBaseType(type))
	{
		case INT2OID:
			return PG_INT16_MAX;
		case INT4OID:
			return PG_INT32_MAX;
		default:
			return PG_INT64_MAX;
	}
}

/*
 * How many keys are left for a column, before its sequence or its type ends.
 */
static int64
KeysLeft(Column *column)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(column->sequence));
	SqlAddArg(&args, INT8OID, Int64GetDatum(LargestNumber(column->type)));
	SqlAddArg(&args, INT8OID, Int64GetDatum(SequencePosition(column->sequence)));
	return SqlFetchInt64(InvalidSnapshot,
						 "SELECT CASE WHEN seqcycle THEN 9223372036854775807 ELSE"
						 " LEAST(pg_catalog.div(CASE WHEN seqincrement > 0 THEN LEAST(seqmax, $2)"
						 " ELSE GREATEST(seqmin, -$2 - 1) END::pg_catalog.numeric - $3, seqincrement),"
						 " 9223372036854775807)::pg_catalog.int8 END"
						 " FROM pg_catalog.pg_sequence WHERE seqrelid = $1", &args);
}

/*
 * Refuse to draw more keys than there are.  How many that would be, at_most at
 * any rate, is worth being counted only if they might not do.
 */
void
RefuseExhaustion(Merge *merge, FactTable *table, int64 at_most, const char *count)
{
	int64		needed = -1;
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);
		int64		left;

		if (!IsNumbered(column))
			continue;
		left = KeysLeft(column);
		if (left >= at_most)
			continue;
		if (needed < 0)
			needed = SqlFetchInt64(merge->snapshot, count, NULL);
		if (left < needed)
			ereport(ERROR,
					(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
					 errmsg("there are not enough keys for table \"%s\"", table->name),
					 errdetail(INT64_FORMAT " facts are to be copied, and sequence %s has "
							   INT64_FORMAT " values left that column \"%s\" of type %s can hold.",
							   needed, QualifiedRelation(column->sequence), left,
							   column->name, format_type_be(column->type)),
					 errhint("Give the column a larger type, and its sequence a larger MAXVALUE.")));
	}
}

/*
 * How far a sequence has got after keys have been drawn for a table; in a
 * preview, which draws them elsewhere, how far it would have got.
 */
static int64
PositionAfter(Merge *merge, FactTable *table, Oid sequence)
{
	SqlArgs		args = {0};

	if (!merge->preview)
		return SequencePosition(sequence);
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(sequence));
	SqlAddArg(&args, INT8OID, Int64GetDatum(SequencePosition(sequence)));
	return SqlFetchInt64(merge->snapshot,
						 psprintf("SELECT $2 + q.seqincrement * (SELECT pg_catalog.count(*) FROM %s AS m"
								  " WHERE NOT m.in_both AND m.merge_id = " INT64_FORMAT ")"
								  " FROM pg_catalog.pg_sequence AS q WHERE q.seqrelid = $1",
								  table->map, merge->id), &args);
}

/*
 * Refuse keys that a sequence has drawn although the destination holds them
 * already, as happens when rows were loaded together with their keys.
 */
void
RefuseSequenceBehind(Merge *merge, FactTable *table, Column *column, int64 before)
{
	SqlArgs		args = {0};
	const char *name = quote_identifier(column->name);
	char	  **row;

	if (!MayReadSequence(column->sequence))
		return;
	SqlAddArg(&args, INT8OID, Int64GetDatum(before));
	SqlAddArg(&args, INT8OID,
			  Int64GetDatum(PositionAfter(merge, table, column->sequence)));
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT d.%s FROM %s AS d WHERE d.%s <> $1 AND d.%s"
							   " BETWEEN LEAST($1, $2) AND GREATEST($1, $2) ORDER BY 1 LIMIT 1",
							   name, QualifiedRelation(table->destination),
							   name, name), &args);
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sequence %s is behind the keys of table \"%s\"",
						QualifiedRelation(column->sequence), table->name),
				 errdetail("It draws %s = %s, which the destination holds already.",
						   column->name, row[0]),
				 errhint("Advance it with setval() to the largest key of the table.")));
}

/*
 * Note which keys a sequence has drawn for a table all at once: all that is between
 * is a key of a fact that only the source had, for RefuseSequenceBehind() has not
 * found any of the destination's there.
 */
void
NoteKeysDrawn(Column *column, int64 before)
{
	int64		after = SequencePosition(column->sequence);

	column->least_drawn = after > before ? before + 1 : after;
	column->greatest_drawn = after > before ? after : before - 1;
}

/*
 * Let the sequence of a public number that is no plain one, as in 'INV-' || nextval(...),
 * go on where that of the source has got to, so that it draws none that has been kept.
 */
static void
CatchUp(Merge *merge, Column *column)
{
	SqlArgs		args = {0};

	if (!OidIsValid(column->source_sequence) || column->source_sequence == column->sequence ||
		!MayReadSequence(column->source_sequence))
		return;
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(column->sequence));
	SqlAddArg(&args, INT8OID, Int64GetDatum(SequencePosition(column->sequence)));
	SqlAddArg(&args, INT8OID, Int64GetDatum(SequencePosition(column->source_sequence)));
	SqlExecute(merge->snapshot,
			   "SELECT pg_catalog.setval($1::pg_catalog.regclass, $3) FROM pg_catalog.pg_sequence AS q"
			   " WHERE q.seqrelid = $1 AND $3 BETWEEN q.seqmin AND q.seqmax"
			   " AND CASE WHEN q.seqincrement > 0 THEN $3 > $2 ELSE $3 < $2 END", &args);
}

/*
 * Let the sequences of columns whose values have been copied as they are go on
 * behind them: declared keys, and numbers that are no key.
 */
void
AdvanceSequences(Merge *merge, FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);
		SqlArgs		args = {0};

		if (!OidIsValid(column->sequence) || column->surrogate ||
			pg_class_aclcheck(column->sequence, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
			continue;
		if (column->public_number && !IsInteger(column->type))
			CatchUp(merge, column);
		if (!IsInteger(column->type))
			continue;
		SqlAddArg(&args, OIDOID, ObjectIdGetDatum(column->sequence));
		SqlAddArg(&args, INT8OID, Int64GetDatum(SequencePosition(column->sequence)));
		SqlExecute(merge->snapshot,
				   psprintf("SELECT pg_catalog.setval($1::pg_catalog.regclass, x.farthest)"
							" FROM pg_catalog.pg_sequence AS q CROSS JOIN LATERAL"
							" (SELECT CASE WHEN q.seqincrement > 0 THEN pg_catalog.max(d.%s) ELSE pg_catalog.min(d.%s) END"
							"::pg_catalog.int8 AS farthest FROM %s AS d) AS x"
							" WHERE q.seqrelid = $1 AND x.farthest BETWEEN q.seqmin AND q.seqmax"
							" AND CASE WHEN q.seqincrement > 0 THEN x.farthest > $2 ELSE x.farthest < $2 END",
							quote_identifier(column->name), quote_identifier(column->name),
							QualifiedRelation(table->destination)), &args);
	}
}
