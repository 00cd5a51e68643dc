/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  merging in several transactions
 *
 * What can be copied piece by piece is: facts of tables that are matched by keys, each
 * after the facts that it refers to.  A slice is so many facts of one table, in the
 * order of the source's keys; it is matched, marked and copied in a transaction of its
 * own, under the number of the one merge that all of them are part of.  The last
 * transaction takes whatever is left, all tables that cannot be sliced, and what has
 * come to the source meanwhile, and replays events, as any merge does.
 *
 * Until then the history calls the merge unfinished, and no other merge into the
 * destination is let in.  Whoever calls again goes on: the key map says which facts
 * are done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_merge_in_batches);

/* The facts that a transaction takes */
typedef struct Slice
{
	Oid			relation;		/* of the destination */
	int			most;			/* facts */
	char	   *after;			/* SQL for the address that it begins behind, or
								 * NULL */
	int64		taken;			/* facts, known ones included */
} Slice;

/* How many numbers of a column have been drawn anew */
typedef struct DrawnNumbers
{
	Oid			relation;
	AttrNumber	column;
	int64		count;
} DrawnNumbers;

/* A call of factmerge_merge_in_batches() */
typedef struct Batches
{
	MemoryContext context;		/* that outlives the transactions */
	char	   *source;
	char	   *destination;
	int64		merge_id;
	List	   *relations;		/* Oids of the destination: to be sliced */
	List	   *numbers;		/* of DrawnNumbers */
	Slice		slice;
} Batches;

/*
 * Whether the facts of a table can be merged in slices, given the tables, as Oids, that
 * can be.
 */
static bool
CanBeSliced(Merge *merge, FactTable *table, List *relations)
{
	ListCell   *lc;

	if (!IsToldByKeys(merge, table) || MayFold(table) || !IsMatchedAlone(merge, table) ||
		!TellsTransactions(table->source))
		return false;
	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (reference->remapped && !list_member_oid(relations, reference->target->destination))
			return false;
	}
	return true;
}

/*
 * Whether there is any unfinished merge, into whatever schema.
 */
static bool
IsAnyUnfinished(void)
{
	return KnowsSourceTables() &&
		SqlFetchRow(InvalidSnapshot, "SELECT 1 FROM factmerge.unfinished LIMIT 1", NULL) != NULL;
}

/*
 * The condition on merge m to be an unfinished one into a schema, as long as that has
 * not been dropped.
 */
static char *
IsUnfinished(Oid schema)
{
	return psprintf("EXISTS (SELECT FROM factmerge.unfinished AS u WHERE u.merge_id = m.merge_id)"
					" AND EXISTS (SELECT FROM pg_catalog.pg_class AS c"
					" WHERE c.oid = m.destination_table AND c.relnamespace = %u)", schema);
}

/*
 * Note that a merge is unfinished.
 */
static void
NoteUnfinished(Merge *merge)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	(void) SqlExecuteAsOwner("INSERT INTO factmerge.unfinished (merge_id) VALUES ($1)", &args);
}

/*
 * Note that a merge is not unfinished any more, if it has been.
 */
void
NoteFinished(Merge *merge)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	if (IsAnyUnfinished())
		(void) SqlExecuteAsOwner("DELETE FROM factmerge.unfinished WHERE merge_id = $1", &args);
}

/*
 * Refuse to do anything with a destination that is between two states.
 */
void
RefuseUnfinished(Oid schema)
{
	const char *destination = get_namespace_name(schema);
	char	  **row;

	if (!IsAnyUnfinished())
		return;
	row = SqlFetchRow(InvalidSnapshot,
					  psprintf("SELECT m.merge_id, m.source FROM factmerge.merge AS m WHERE %s LIMIT 1",
							   IsUnfinished(schema)), NULL);
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a merge into schema \"%s\" is unfinished", destination),
				 errdetail("Merge %s, of source \"%s\", is done in batches and has not come to its end.", row[0], row[1]),
				 errhint("Go on with CALL %s.factmerge_merge_in_batches(%s, %s), or, if the source still has all of its facts, take it back with factmerge_undo(%s).",
						 quote_identifier(TypeSchema(ProvenanceType())), quote_literal_cstr(row[1]),
						 quote_literal_cstr(destination), row[0])));
}

/*
 * The unfinished merge of the same source, or 0; refuses one of another source.
 */
static int64
FindUnfinished(Merge *merge)
{
	char	  **row = SqlFetchRow(InvalidSnapshot,
								  psprintf("SELECT m.merge_id, m.source, CASE WHEN COALESCE((SELECT c.relnamespace = %u FROM pg_catalog.pg_class AS c"
										   " WHERE c.oid = m.source_table), m.source = %s) THEN 1 END"
										   " FROM factmerge.merge AS m WHERE %s LIMIT 1",
										   FindSchema(merge->source), quote_literal_cstr(merge->source),
										   IsUnfinished(FindSchema(merge->destination))), NULL);

	if (row && row[2] == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a merge of source \"%s\" into schema \"%s\" is unfinished", row[1], merge->destination),
				 errhint("Finish that first, or, if its source still has all of its facts, take it back with factmerge_undo(%s).", row[0])));
	return row ? pg_strtoint64(row[0]) : 0;
}

/* The work of the first transaction: begin, or find out where to go on */
static void
BeginBatches(Merge *merge, void *arg)
{
	Batches    *batches = arg;
	MemoryContext before;
	ListCell   *lc;

	merge->id = FindUnfinished(merge);
	if (merge->id == 0)
	{
		BeginHistory(merge);
		NoteUnfinished(merge);
	}
	(void) AddProvenanceColumns(merge->tables);
	batches->merge_id = merge->id;
	before = MemoryContextSwitchTo(batches->context);
	foreach(lc, merge->tables)
		if (CanBeSliced(merge, lfirst(lc), batches->relations))
		batches->relations = lappend_oid(batches->relations, ((FactTable *) lfirst(lc))->destination);
	MemoryContextSwitchTo(before);
}

/* "s.a, s.b" for the address of a fact of the source */
static char *
SourceAddress(FactTable *table)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, table->address)
		appendStringInfo(&sql, "%ss.%s", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(((Column *) lfirst(lc))->name));
	return sql.data;
}

/*
 * Note where a slice ends, for the next to begin there.
 */
static void
NoteEnd(Merge *merge, FactTable *table)
{
	Slice	   *slice = merge->slice;
	StringInfoData last;
	StringInfoData after;
	char	  **row;
	ListCell   *lc;

	initStringInfo(&last);
	initStringInfo(&after);
	foreach(lc, table->address)
		appendStringInfo(&last, "%ss.%s DESC", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(((Column *) lfirst(lc))->name));
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT %s FROM %s AS s ORDER BY %s LIMIT 1", SourceAddress(table), table->fresh, last.data), NULL);
	foreach(lc, table->address)
	{
		AttrNumber	number = get_attnum(table->source, ((Column *) lfirst(lc))->name);

		appendStringInfo(&after, "%s%s::%s", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(row[foreach_current_index(lc)]),
						 TypeText(get_atttype(table->source, number), -1));
	}
	if (slice->after)
		pfree(slice->after);
	slice->after = MemoryContextStrdup(merge->batches->context, after.data);
}

/*
 * Append that a fact s of the source is done, or has to wait for one that it refers to.
 */
static void
AppendDoneOrWaiting(StringInfo sql, FactTable *table)
{
	ListCell   *lc;
	ListCell   *c;

	appendStringInfo(sql, "EXISTS (SELECT FROM %s AS m WHERE ", table->map);
	AppendMapJoin(sql, table, "m", "source", "s");
	appendStringInfoChar(sql, ')');
	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (!reference->remapped)
			continue;
		appendStringInfo(sql, " OR (NOT EXISTS (SELECT FROM %s AS r%d WHERE ", reference->target->map, reference->number);
		AppendReferenceJoin(sql, reference);
		appendStringInfoChar(sql, ')');
		foreach(c, reference->columns)
			appendStringInfo(sql, " AND s.%s IS NOT NULL", quote_identifier(((Column *) lfirst(c))->name));
		appendStringInfoChar(sql, ')');
	}
}

/*
 * Put a slice of its table aside; of all others nothing is new.
 */
void
TakeSlice(Merge *merge, FactTable *table)
{
	Slice	   *slice = merge->slice;
	char	   *address = SourceAddress(table);
	StringInfoData sql;

	table->repeated = true;
	if (table->destination != slice->relation)
		return;
	PutAside(merge, table,
			 psprintf("%s ORDER BY %s LIMIT %d",
					  slice->after ? psprintf("(%s) > (%s)", address, slice->after) : "true", address, slice->most));
	slice->taken = table->fresh_facts;
	if (slice->taken == 0)
		return;
	NoteEnd(merge, table);
	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS s WHERE ", table->fresh);
	AppendDoneOrWaiting(&sql, table);
	table->fresh_facts -= SqlExecute(merge->snapshot, sql.data, NULL);
}

/* The work of a slice */
static void
MergeSlice(Merge *merge, void *arg)
{
	Batches    *batches = arg;

	merge->id = batches->merge_id;
	merge->slice = &batches->slice;
	TakeFacts(merge);
	DropTemporaryTables(merge);
}

/*
 * Whether a table has been merged in slices.
 */
bool
IsSliced(Merge *merge, FactTable *table)
{
	return merge->batches && list_member_oid(merge->batches->relations, table->destination);
}

/*
 * Add to how many numbers of a column have been drawn anew; returns how many that are, in
 * all slices so far.
 */
int64
NoteNumbers(Merge *merge, FactTable *table, Column *column, int64 count)
{
	Batches    *batches = merge->batches;
	DrawnNumbers *drawn;
	MemoryContext before;
	ListCell   *lc;

	if (batches == NULL)
		return count;
	foreach(lc, batches->numbers)
	{
		drawn = lfirst(lc);
		if (drawn->relation == table->destination && drawn->column == column->number)
			return drawn->count += count;
	}
	before = MemoryContextSwitchTo(batches->context);
	drawn = palloc(sizeof(DrawnNumbers));
	drawn->relation = table->destination;
	drawn->column = column->number;
	drawn->count = count;
	batches->numbers = lappend(batches->numbers, drawn);
	MemoryContextSwitchTo(before);
	return count;
}

/*
 * Say which numbers of a table the slices have drawn anew, unless the last transaction has
 * drawn some, and said so.
 */
static void
NoticeNumbersOfSlices(Merge *merge, FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->numbers ? NIL : PublicNumbers(table))
		NoticeNumber(merge, table, lfirst(lc), NoteNumbers(merge, table, lfirst(lc), 0), NULL);
}

/*
 * Add what the slices have done to what the last transaction has.
 */
static void
AddSlices(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};
	int64		copied = table->counts.copied;
	char	  **row;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT pg_catalog.count(*) FILTER (WHERE m.merge_id = $1 AND NOT m.in_both),"
							   " pg_catalog.count(*) FILTER (WHERE m.merge_id <> $1),"
							   " (SELECT pg_catalog.count(*) FROM factmerge.key_map AS k WHERE k.fact_table = $2) FROM %s AS m",
							   table->map), &args);
	table->counts.copied = pg_strtoint64(row[0]);
	table->counts.in_both = table->counts.source_facts - table->counts.copied;
	table->destination_facts -= table->counts.copied - copied;
	table->merged_before = pg_strtoint64(row[1]) > 0;
	table->tags_speak = !table->merged_before && pg_strtoint64(row[2]) == 1 &&
		!IsTaggedByOthers(merge, table);
	table->counts.conflicts = CountConflicts(merge, table);
	/* Now all of it is this merge's */
	table->repeated = false;
}

/*
 * Between slices, others may have referred to what had been copied: no longer is what
 * a side refers to on that side.
 */
static void
OpenReferences(Merge *merge)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, merge->tables)
		foreach(r, ((FactTable *) lfirst(lc))->references)
	{
		Reference  *reference = lfirst(r);

		if (reference->target && IsSliced(merge, reference->target))
			reference->closed = false;
	}
}

/* The work of the last transaction: the rest, and the replay */
static void
FinishBatches(Merge *merge, void *arg)
{
	Batches    *batches = arg;
	Counts		totals;
	ListCell   *lc;

	merge->id = batches->merge_id;
	TakeFacts(merge);
	foreach(lc, merge->tables)
		if (IsSliced(merge, lfirst(lc)))
	{
		NoticeNumbersOfSlices(merge, lfirst(lc));
		AddSlices(merge, lfirst(lc));
	}
	OpenReferences(merge);
	ReplayAndReport(merge, &totals);
	NoteFinished(merge);
}

/*
 * Do some work on the merge in a transaction, and commit.
 */
static void
DoInTransaction(Batches *batches, void (*work) (Merge *merge, void *arg))
{
	Merge	   *merge;

	CHECK_FOR_INTERRUPTS();
	SqlConnect();
	merge = palloc0(sizeof(Merge));
	merge->source = pstrdup(batches->source);
	merge->destination = pstrdup(batches->destination);
	merge->batches = batches;
	DoMerge(merge, work, batches);
	SqlFinish();
	SqlCommit();
}

/*
 * factmerge_merge_in_batches(name, name, integer): merge two schemas in several
 * transactions.
 */
Datum
factmerge_merge_in_batches(PG_FUNCTION_ARGS)
{
	Batches		batches = {0};
	ListCell   *lc;

	RequireArguments(fcinfo);
	RequireWritable(fcinfo);
	if (PG_GETARG_INT32(2) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a batch must hold at least one fact")));
	RequireNonatomicCall(fcinfo, "factmerge_merge_in_batches()", "It commits batch by batch.");
	SqlConnectNonatomic();
	batches.context = CurrentMemoryContext;
	batches.source = SchemaArgument(fcinfo, 0);
	batches.destination = SchemaArgument(fcinfo, 1);
	batches.slice.most = PG_GETARG_INT32(2);
	DoInTransaction(&batches, BeginBatches);
	foreach(lc, batches.relations)
	{
		batches.slice.relation = lfirst_oid(lc);
		batches.slice.after = NULL;
		do
			DoInTransaction(&batches, MergeSlice);
		while (batches.slice.taken == batches.slice.most);
	}
	DoInTransaction(&batches, FinishBatches);
	SqlFinish();
	PG_RETURN_VOID();
}
