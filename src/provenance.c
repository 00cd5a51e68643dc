/*-------------------------------------------------------------------------
 *
 * provenance.c
 *	  the two columns that say where a fact comes from, and their tags
 *
 * Each fact table of a destination has a column factmerge_provenance (source,
 * destination, both or derived) and a column factmerge_merge, the merge that
 * set it; a fact without a merge was the destination's own.  The columns' own
 * defaults ask this backend whether a merge is running handlers, and so facts
 * that a handler adds are tagged derived without anybody's doing.
 *
 * Tags cost nothing where a default can say them.  A merge that finds the
 * columns missing adds them with whichever tag most of the facts need as their
 * missing value, which rewrites nothing, and updates only the others.
 *
 * A tag, once a merge has set it, stays.  So later merges cannot read off the
 * tags alone who has a fact, and ask the key map instead (tags_speak tells
 * which); facts that a merge copied are known by their tag in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "parser/parse_func.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_current_provenance);
PG_FUNCTION_INFO_V1(factmerge_current_merge);
PG_FUNCTION_INFO_V1(factmerge_fact_number);

/* What this backend is doing; reset with the context of the merge */
static struct
{
	bool		merging;
	bool		deriving;
	int64		merge_id;
	HTAB	   *relations;		/* numbers of the relations met */
}			state;

typedef struct RelationNumber
{
	Oid			relation;
	int64		number;
} RelationNumber;

static void
ResetState(void *arg)
{
	memset(&state, 0, sizeof(state));
	SqlLetCodeSee(NULL);
	ForgetOwners();
}

/*
 * Note that a merge begins, or refuse it inside another one.  The note is
 * forgotten with the context, so that no error leaves it behind.
 */
void
EnterMerge(MemoryContext context)
{
	MemoryContextCallback *callback;
	HASHCTL		control = {0};

	if (state.merging)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a merge is running in this session already"),
				 errhint("A handler cannot merge.")));
	callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	callback->func = ResetState;
	callback->arg = NULL;
	MemoryContextRegisterResetCallback(context, callback);
	state.merging = true;
	EndGuard();					/* an error may have left it behind */

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(RelationNumber);
	control.hcxt = context;
	state.relations = hash_create("factmerge relation numbers", 64, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Whether a merge is running in this session.
 */
bool
IsMerging(void)
{
	return state.merging;
}

/*
 * Note that the merge has ended.
 */
void
LeaveMerge(void)
{
	ResetState(NULL);
}

/*
 * From now on facts that are inserted are derived ones of this merge.
 */
void
BeginDeriving(int64 merge_id)
{
	state.deriving = true;
	state.merge_id = merge_id;
}

/*
 * From now on they are the destination's own again.
 */
void
EndDeriving(void)
{
	state.deriving = false;
}

/*
 * factmerge.current_provenance(): the tag for a fact inserted now.
 */
Datum
factmerge_current_provenance(PG_FUNCTION_ARGS)
{
	Datum	   *tags = fcinfo->flinfo->fn_extra;

	/* To look up a tag takes longer than to enter a fact */
	if (tags == NULL)
	{
		Oid			type = get_fn_expr_rettype(fcinfo->flinfo);

		tags = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, 2 * sizeof(Datum));
		tags[false] = OidFunctionCall2(F_ENUM_IN, CStringGetDatum("destination"),
									   ObjectIdGetDatum(type));
		tags[true] = OidFunctionCall2(F_ENUM_IN, CStringGetDatum("derived"),
									  ObjectIdGetDatum(type));
		fcinfo->flinfo->fn_extra = tags;
	}
	PG_RETURN_DATUM(tags[state.deriving]);
}

/*
 * factmerge.current_merge(): the merge that a fact inserted now belongs to, or
 * null.
 */
Datum
factmerge_current_merge(PG_FUNCTION_ARGS)
{
	if (!state.deriving)
		PG_RETURN_NULL();
	PG_RETURN_INT64(state.merge_id);
}

/*
 * factmerge.fact_number(oid, tid): a number that tells facts apart while a
 * merge runs.  The relations are numbered as they come; 43 bits are enough for
 * where in its relation a row lies.
 */
Datum
factmerge_fact_number(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(1);
	RelationNumber *entry;
	bool		found;

	if (state.relations == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no merge is running in this session")));
	entry = hash_search(state.relations, &relation, HASH_ENTER, &found);
	if (!found)
		entry->number = hash_get_num_entries(state.relations);
	PG_RETURN_INT64(entry->number << 43 |
					(int64) ItemPointerGetBlockNumber(tid) << 11 |
					(int64) ItemPointerGetOffsetNumber(tid));
}

/*
 * The type of the tags, whatever schema the extension was given.
 */
Oid
ProvenanceType(void)
{
	return get_func_rettype(LookupFuncName(list_make2(makeString("factmerge"),
													  makeString("current_provenance")),
										   0, NULL, false));
}

/*
 * Refuse a column of the user's that happens to have one of our names.
 */
void
RefuseForeignColumns(FactTable *table)
{
	AttrNumber	provenance = get_attnum(table->destination, PROVENANCE_COLUMN);
	AttrNumber	merge = get_attnum(table->destination, MERGE_COLUMN);

	if (provenance == InvalidAttrNumber && merge == InvalidAttrNumber)
		return;
	if (provenance != InvalidAttrNumber && merge != InvalidAttrNumber &&
		get_atttype(table->destination, provenance) == ProvenanceType() &&
		get_atttype(table->destination, merge) == INT8OID)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("table \"%s\" has a column of its own named \"%s\" or \"%s\"",
					table->name, PROVENANCE_COLUMN, MERGE_COLUMN),
			 errdetail("factmerge keeps the provenance of facts in columns of these names."),
			 errhint("Rename the column.")));
}

/*
 * Add the columns to a table, with the tag and merge that its rows are to
 * have.  Rewrites nothing.
 */
static void
AddColumns(FactTable *table, const char *tag, const char *merge_id)
{
	char	   *relation = QualifiedRelation(table->destination);

	SqlUtility(psprintf("ALTER TABLE %s"
						" ADD COLUMN " PROVENANCE_COLUMN " %s NOT NULL DEFAULT '%s',"
						" ADD COLUMN " MERGE_COLUMN " pg_catalog.int8 DEFAULT %s",
						relation, TypeText(ProvenanceType(), -1), tag, merge_id));
	SqlUtility(psprintf("ALTER TABLE %s"
						" ALTER COLUMN " PROVENANCE_COLUMN " SET DEFAULT factmerge.current_provenance(),"
						" ALTER COLUMN " MERGE_COLUMN " SET DEFAULT factmerge.current_merge()",
						relation));
}

/*
 * Add the columns to the tables that lack them, every fact the destination's
 * own; returns how many tables that were.
 */
int
AddProvenanceColumns(List *tables)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		RefuseForeignColumns(table);
		if (table->has_tags)
			continue;
		AddColumns(table, "destination", "NULL");
		count++;
	}
	return count;
}

/*
 * That a row of a fact table is in its key map.
 */
static char *
InMap(FactTable *table, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "EXISTS (SELECT FROM %s AS m WHERE ", table->map);
	AppendMapJoin(&sql, table, "m", "destination", alias);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Append that row alias of a fact table is on a side.  While facts are being
 * derived, a derived one counts as the destination's.
 */
void
AppendSideCondition(StringInfo sql, Merge *merge, FactTable *table,
					const char *alias, Side side)
{
	char	   *tagged = psprintf("%s." MERGE_COLUMN " = " INT64_FORMAT, alias, merge->id);
	char	   *not_tagged = psprintf("(%s." MERGE_COLUMN " IS NULL OR %s." MERGE_COLUMN " <> " INT64_FORMAT ")",
									  alias, alias, merge->id);
	char	   *in_map;

	if (side == SIDE_SOURCE || (side == SIDE_BOTH && table->tags_speak))
	{
		appendStringInfo(sql, "(%s AND %s." PROVENANCE_COLUMN " = '%s')", tagged, alias,
						 side == SIDE_SOURCE ? "source" : "both");
		return;
	}
	if (table->tags_speak)
	{
		appendStringInfoString(sql, side == SIDE_DESTINATION ? not_tagged : tagged);
		return;
	}
	in_map = InMap(table, alias);
	if (side == SIDE_DESTINATION)
		appendStringInfo(sql, "(%s AND NOT %s)", not_tagged, in_map);
	else if (side == SIDE_BOTH && table->keyed)
		appendStringInfo(sql, "(NOT (%s AND %s." PROVENANCE_COLUMN " = 'source') IS TRUE AND %s)",
						 tagged, alias, in_map);
	else if (side == SIDE_BOTH)
		/* A row that has just been tagged is no longer where the map has it */
		appendStringInfo(sql, "((%s AND %s." PROVENANCE_COLUMN " = 'both') OR (%s AND %s))",
						 tagged, alias, not_tagged, in_map);
	else if (table->keyed)
		appendStringInfoString(sql, in_map);
	else
		appendStringInfo(sql, "(%s OR %s)", tagged, in_map);
}

/*
 * Tag the facts that are in both databases, table by table.  The facts that
 * the source alone has are tagged as they are copied.
 */
static void
MarkTable(Merge *merge, FactTable *table)
{
	char	   *relation = QualifiedRelation(table->destination);
	int64		newly_met = table->counts.in_both - table->known - table->met;
	bool		mostly_both = table->counts.in_both > table->destination_facts / 2;
	StringInfoData join;
	SqlArgs		args = {0};

	initStringInfo(&join);
	AppendMapJoin(&join, table, "m", "destination", "d");
	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));

	if (!table->has_tags && mostly_both)
	{
		AddColumns(table, "both", psprintf(INT64_FORMAT, merge->id));
		BeginBulk(merge, table, Max(table->destination_facts - table->counts.in_both, 0));
		SqlExecute(merge->snapshot,
				   psprintf("UPDATE %s AS d SET " PROVENANCE_COLUMN " = 'destination', "
							MERGE_COLUMN " = NULL WHERE NOT EXISTS"
							" (SELECT FROM %s AS m WHERE %s)",
							relation, table->map, join.data), NULL);
		return;
	}
	if (!table->has_tags)
		AddColumns(table, "destination", "NULL");
	BeginBulk(merge, table, newly_met);
	if (newly_met == 0)
		return;
	SqlExecute(merge->snapshot,
			   psprintf("UPDATE %s AS d SET " PROVENANCE_COLUMN " = 'both', "
						MERGE_COLUMN " = $1 FROM %s AS m"
						" WHERE %s AND %s%s",
						relation, table->map,
						table->repeated ? "m.in_both AND m.merge_id = $1" : "(m.in_both OR m.merge_id <> $1)",
						join.data, table->tags_speak ? "" : " AND d." MERGE_COLUMN " IS NULL"),
			   &args);
}

/*
 * Tag what the destination holds.
 */
void
MarkFacts(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		instr_time	start;

		StartClock(&start);
		ReportActivity(merge, table, "marking");
		MarkTable(merge, table);
		StopClock(table, STAGE_MARK, &start);
	}
}
