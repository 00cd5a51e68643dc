/*-------------------------------------------------------------------------
 *
 * changed.c
 *	  facts that have been merged, and are gone or something else in the source now
 *
 * Facts are irrevocable, so such a fact ends a merge.  What to do about it is said such
 * that no fact is lost or there twice, whoever does it to the letter: to make the two
 * the same again is always right.  To take the merge back that has brought the fact is
 * right if that was the latest one, and if the source still has whatever else it has
 * brought.  To forget the source is not: the fact as it is now would be copied beside
 * what it was before, where nothing else tells that they are one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"

/*
 * Whether a type does not go with that of a key map any more.
 */
static bool
IsOtherType(Column *column, Oid map, Oid *type)
{
	*type = get_atttype(map, get_attnum(map, psprintf("source_%d", column->map_number)));
	return !can_coerce_type(1, type, &column->source_type, COERCION_IMPLICIT) &&
		!can_coerce_type(1, &column->source_type, type, COERCION_IMPLICIT);
}

/*
 * Whether the source's keys have become something else since a key map was made.
 */
bool
HasOtherTypes(FactTable *table, const char *map)
{
	Oid			relation = RelationNamed(map);
	Oid			type;
	ListCell   *lc;

	foreach(lc, table->map_columns)
		if (IsOtherType(lfirst(lc), relation, &type))
		return true;
	return false;
}

/*
 * Refuse to go on with a key map if they have.
 */
void
RefuseOtherTypes(FactTable *table, const char *map)
{
	Oid			relation = RelationNamed(map);
	Oid			type;
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		if (IsOtherType(column, relation, &type))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of table \"%s\" had another type when it was merged before",
							column->name, table->name),
					 errdetail("Its type in the source was %s, and is %s now.",
							   format_type_be(type), format_type_be(column->source_type)),
					 errhint("Give the column of the source its type and values back. The destination's may be of another type.")));
	}
}

/*
 * The latest merge into the destination before this one, if it can be taken back; or 0.
 */
static int64
LatestMerge(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(get_rel_namespace(table->destination)));
	SqlAddArg(&args, NAMEOID, NameDatum(merge->destination));
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	return SqlFetchInt64(InvalidSnapshot,
						 "SELECT COALESCE((SELECT CASE WHEN m.untagged THEN 0 ELSE m.merge_id END"
						 " FROM factmerge.merge AS m LEFT JOIN pg_catalog.pg_class AS c ON c.oid = m.destination_table"
						 " WHERE NOT m.undone AND m.merge_id <> $3 AND COALESCE(c.relnamespace = $1, m.destination = $2)"
						 " ORDER BY m.merge_id DESC LIMIT 1), 0)", &args);
}

/*
 * Whether a merge has brought facts into a table of the destination.
 */
static bool
HasBrought(Merge *merge, FactTable *table, int64 merge_id)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge_id));
	return table->has_tags &&
		SqlFetchRow(merge->snapshot,
					psprintf("SELECT 1 FROM %s AS d WHERE d." MERGE_COLUMN " = $1 AND d." PROVENANCE_COLUMN " = 'source' LIMIT 1",
							 QualifiedRelation(table->destination)), &args) != NULL;
}

/*
 * Whether the source is the one that a merge has merged, and has all facts of a table
 * still that this has met first.  Without a key, nobody can tell.
 */
static bool
HasAllOf(Merge *merge, FactTable *table, int64 merge_id)
{
	char	   *map = table->map ? table->map : FindKeyMap(merge, table, false);
	StringInfoData join;
	SqlArgs		args = {0};

	if (!table->keyed)
		return !HasBrought(merge, table, merge_id);
	if (map == NULL)
		return true;
	if (HasOtherTypes(table, map))
		return false;
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge_id));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->source));
	initStringInfo(&join);
	AppendMapJoin(&join, table, "o", "source", "s");
	return SqlFetchRow(merge->snapshot,
					   psprintf("SELECT 1 FROM %s AS o WHERE o.merge_id = $1 AND (NOT EXISTS (SELECT FROM %s AS s WHERE %s)"
								" OR NOT EXISTS (SELECT FROM factmerge.key_map AS k WHERE k.map = %s::pg_catalog.regclass"
								" AND k.source_table = $2)) LIMIT 1",
								map, QualifiedRelation(table->source), join.data, quote_literal_cstr(map)), &args) == NULL;
}

/*
 * Whether all that a key map has is from one merge, this one apart.
 */
static bool
IsAllOf(Merge *merge, FactTable *table, int64 merge_id)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge_id));
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	return SqlFetchRow(merge->snapshot,
					   psprintf("SELECT 1 FROM %s AS o WHERE o.merge_id NOT IN ($1, $2) LIMIT 1", table->map), &args) == NULL;
}

/*
 * Whether the merge that has brought a fact, if that is known, can be taken back without
 * losing any other; it, or 0.
 */
static int64
MergeToUndo(Merge *merge, FactTable *table, int64 brought_by)
{
	int64		latest;
	ListCell   *lc;

	/* Whoever may look may not take back */
	if (merge->preview || !KnowsSourceTables())
		return 0;
	latest = LatestMerge(merge, table);
	if (latest == 0 || (brought_by != 0 ? brought_by != latest : !IsAllOf(merge, table, latest)))
		return 0;
	foreach(lc, merge->tables)
		if (!HasAllOf(merge, lfirst(lc), latest))
		return 0;
	/* Tables that the source does not have any more */
	foreach(lc, merge->others)
		if (HasBrought(merge, lfirst(lc), latest))
		return 0;
	return latest;
}

/*
 * What to do about a fact of the source that has changed since a merge, where that is
 * known; gone says that it is not there any more, replaced that most others are not the
 * same either.
 */
char *
ChangedHint(Merge *merge, FactTable *table, int64 brought_by, bool gone, bool replaced)
{
	int64		undo = gone || replaced ? 0 : MergeToUndo(merge, table, brought_by);
	StringInfoData hint;

	initStringInfo(&hint);
	appendStringInfo(&hint, "Facts are irrevocable. Put the fact of the source back as it was%s%s",
					 gone ? "" : ", or change the destination's in the same way",
					 undo != 0 ? ", or" : ".");
	if (undo != 0)
		appendStringInfo(&hint, " undo the merge that has brought it with SELECT %s.factmerge_undo(" INT64_FORMAT "), and merge anew.",
						 quote_identifier(TypeSchema(ProvenanceType())), undo);
	else if (gone || replaced)
		appendStringInfoString(&hint, " Facts of something else belong in tables of another schema, which is another source.");
	return hint.data;
}

/*
 * SQL for the rows o of a key map, of earlier merges than $1, whose facts are not the
 * same any more, though the destination has its one still.
 */
static char *
ChangedPairs(FactTable *table)
{
	StringInfoData same;
	StringInfoData destination;

	initStringInfo(&same);
	initStringInfo(&destination);
	AppendSameAddresses(&same, table);
	AppendMapJoin(&destination, table, "o", "destination", "d");
	return psprintf("FROM %s AS o WHERE o.merge_id <> $1 AND NOT EXISTS (SELECT FROM %s AS n WHERE n.merge_id = $1 AND n.in_both AND %s)"
					" AND %s AND EXISTS (SELECT FROM %s AS d WHERE %s)",
					table->map, table->map, same.data, LookedAt(table),
					QualifiedRelation(table->destination), destination.data);
}

/*
 * Whether most facts that a merge has brought into a table are not the same any more: as
 * if the source had been filled with others.
 */
static bool
IsReplaced(Merge *merge, FactTable *table, const char *merge_id)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	SqlAddArg(&args, INT8OID, Int64GetDatum(pg_strtoint64(merge_id)));
	return SqlFetchInt64(merge->snapshot,
						 psprintf("SELECT (2 * (SELECT pg_catalog.count(*) %s AND o.merge_id = $2)"
								  " > (SELECT pg_catalog.count(*) FROM %s AS a WHERE a.merge_id = $2))::pg_catalog.int4",
								  ChangedPairs(table), table->map), &args) != 0;
}

/*
 * Refuse to go on if a fact that has been merged before is gone from the source, or
 * is something else by now, under a key that it has had, perhaps because the table
 * has been dropped and made anew.  What the destination no longer has is another
 * matter, and so is what counts as the same by another declaration than before.
 * Temporary tables of one name are not even thought to hold the same facts.
 */
void
RefuseChangedFacts(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};
	StringInfoData source;
	char	  **row;

	if (table->rule || !table->keyed || IsTemporary(table->source))
		return;
	initStringInfo(&source);
	AppendMapJoin(&source, table, "o", "source", "s");
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT %s, %s, (SELECT 1 FROM %s AS s WHERE %s LIMIT 1), o.merge_id %s ORDER BY 1 LIMIT 1",
							   MapAddressText(table, "o.source"), MapAddressText(table, "o.destination"),
							   SourceFacts(table), source.data, ChangedPairs(table)), &args);
	if (row == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 row[2] ? errmsg("a fact of table \"%s\" that has been merged before has changed", table->name) :
			 errmsg("a fact of table \"%s\" that has been merged before is gone", table->name),
			 errdetail(row[2] ? "Fact %s of the source has been merged as %s of the destination, and they are not the same any more." :
					   "Fact %s of the source has been merged as %s of the destination, and is not there any more.",
					   row[0], row[1]),
			 errhint("%s", ChangedHint(merge, table, pg_strtoint64(row[3]), row[2] == NULL,
									   IsReplaced(merge, table, row[3])))));
}
