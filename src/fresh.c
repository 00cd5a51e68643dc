/*-------------------------------------------------------------------------
 *
 * fresh.c
 *	  the facts of a source that a merge has to look at
 *
 * A source that is merged again and again mostly holds what it held the last time,
 * and the key map knows that.  So the register of key maps notes a horizon: the
 * oldest transaction that was still running when the last merge took its snapshot.
 * Whatever a transaction before the horizon has written was there then; the others
 * are fresh, and put into a temporary table that takes the source's place.
 * An updated row is a fresh one, and is compared with what it has been merged as.  That
 * it has been written anew is sure only of transactions that began after the merge, the
 * first of which is noted, too: others may be older than it, and be the merge's own.
 * If columns have been altered since, any row may have changed without being written.
 *
 * That is relied upon only where counting bears it out: the source still has as many
 * facts as the key map, but for those that are new, and the destination as many that
 * merges have brought or met as there were.  Otherwise, as where a table has been
 * filled from a dump or altered, all facts are matched anew.
 *
 * A foreign table says nothing of transactions.  Its facts are fetched once, into
 * such a table as well; and where their key comes from a sequence, only those beyond
 * the greatest key that the key map has, if the others are as many as it has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/xid8.h"

#include "eventlog.h"
#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_is_before);

/*
 * How many transactions a horizon may lie back.  Transaction numbers of rows tell
 * before from after within twice as many.
 */
#define FARTHEST_HORIZON (UINT64CONST(1) << 30)

/*
 * factmerge.is_before(xid, xid8): whether a transaction, the number of which a row
 * has, comes before another.  One of ages ago may look like one to come.
 */
Datum
factmerge_is_before(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(TransactionIdPrecedes(PG_GETARG_TRANSACTIONID(0),
										 XidFromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(1))));
}

/*
 * SQL for where the facts of the source that a merge looks at are.
 */
char *
SourceFacts(FactTable *table)
{
	return table->fresh ? table->fresh : QualifiedRelation(table->source);
}

/*
 * Whether a table has nothing that earlier merges have not met.
 */
bool
HasNothingNew(FactTable *table)
{
	return table->repeated && table->fresh_facts == 0;
}

/*
 * Whether what a table refers to has become one by now, and facts of it with that.
 */
static bool
RefersToFolds(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (reference->remapped && reference->target->folds)
			return true;
	}
	return false;
}

/*
 * Whether the facts of a table are told by keys alone, so that each can be matched by
 * itself.
 */
bool
IsToldByKeys(Merge *merge, FactTable *table)
{
	return table->keyed && table->sameness != NIL && !table->rule &&
		FindEventLog(merge->tables) == NULL && !IsTemporary(table->source);
}

/*
 * Whether what the key map has of a table can be taken as it is: where facts are the
 * same by keys, and stay so.
 */
static bool
CanBeRepeated(Merge *merge, FactTable *table)
{
	return !merge->preview && KnowsSourceTables() && table->has_tags &&
		IsToldByKeys(merge, table) && !RefersToFolds(table);
}

/*
 * Whether the rows of a table say which transaction has written them, and all of them
 * were in the table when that committed: partitions come and go.
 */
bool
TellsTransactions(Oid relation)
{
	Relation	rel = RelationIdGetRelation(relation);
	bool		tells = rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relam == HEAP_TABLE_AM_OID;

	RelationClose(rel);
	return tells;
}

/*
 * Whether some facts of a source are fetched from another server.
 */
static bool
IsFetched(Oid relation)
{
	ListCell   *lc;

	if (get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE)
		return true;
	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
		return true;
	return false;
}

/*
 * Put the facts of the source that meet a condition into a table.
 */
void
PutAside(Merge *merge, FactTable *table, const char *condition)
{
	char	   *fresh = psprintf("pg_temp.factmerge_fresh_%d", table->position);

	table->fresh_facts =
		SqlExecute(merge->snapshot,
				   psprintf("CREATE TEMPORARY TABLE %s AS SELECT s.* FROM %s AS s WHERE %s",
							fresh, QualifiedRelation(table->source), condition), NULL);
	table->fresh = fresh;
	merge->event_tables = lappend(merge->event_tables, fresh);
	if (table->fresh_facts > 0)
		SqlUtility(psprintf("ANALYZE %s", fresh));
}

/*
 * Count the facts of the destination, and those that belong to a merge.
 */
static void
CountDestinationFacts(Merge *merge, FactTable *table)
{
	char	  **row = SqlFetchRow(merge->snapshot,
								  psprintf("SELECT pg_catalog.count(*), pg_catalog.count(d." MERGE_COLUMN ") FROM %s AS d",
										   QualifiedRelation(table->destination)), NULL);

	table->destination_facts = pg_strtoint64(row[0]);
	table->tagged = pg_strtoint64(row[1]);
}

/*
 * Whether the destination still has the facts that merges have brought or met, going by
 * their number.
 */
static bool
HasAllTagged(Merge *merge, FactTable *table, int64 tagged)
{
	CountDestinationFacts(merge, table);
	return table->tagged == tagged;
}

/*
 * Forget that some facts are known, after all.
 */
static void
LookAtAll(Merge *merge, FactTable *table)
{
	if (table->fresh)
	{
		SqlUtility(psprintf("DROP TABLE %s", table->fresh));
		merge->event_tables = list_delete_ptr(merge->event_tables, table->fresh);
	}
	table->fresh = NULL;
	table->known = table->met = table->fresh_facts = 0;
}

/*
 * What the register of key maps knows of the last merge of a table from this very
 * source: the number of tagged facts, and the horizon or NULL, with what came after;
 * false if nothing.
 */
static bool
LastMerge(FactTable *table, int64 *tagged, char **horizon)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	SqlArgs		args = {0};
	char	  **row;

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->source));
	SqlAddArg(&args, INT8OID, Int64GetDatum((int64) GetSystemIdentifier()));
	row = SqlFetchRow(InvalidSnapshot,
					  psprintf("SELECT k.tagged, CASE WHEN k.system_identifier = $2 THEN k.horizon END, k.next_transaction"
							   " FROM factmerge.key_map AS k WHERE k.map = %s::pg_catalog.regclass"
							   " AND k.source_table = $1 AND k.tagged IS NOT NULL",
							   quote_literal_cstr(table->map)), &args);
	if (row == NULL)
		return false;
	*tagged = pg_strtoint64(row[0]);
	*horizon = row[1];
	table->next_transaction = row[2];
	if (*horizon && next - strtou64(*horizon, NULL, 10) > FARTHEST_HORIZON)
		*horizon = NULL;
	return true;
}

/*
 * Count the facts that the key map has, and those of them that have been put aside.
 */
static int64
CountPairs(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	char	  **row;

	initStringInfo(&sql);
	if (table->fresh_facts == 0)
		appendStringInfo(&sql, "SELECT pg_catalog.count(*), 0 FROM %s AS m", table->map);
	else
	{
		appendStringInfo(&sql, "SELECT pg_catalog.count(*), pg_catalog.count(s.ctid) FROM %s AS m LEFT JOIN %s AS s ON ",
						 table->map, table->fresh);
		AppendMapJoin(&sql, table, "m", "source", "s");
	}
	row = SqlFetchRow(merge->snapshot, sql.data, NULL);
	table->met = pg_strtoint64(row[1]);
	return pg_strtoint64(row[0]);
}

/*
 * SQL for whether a row was written before a transaction.
 */
char *
WrittenBefore(const char *alias, const char *transaction)
{
	return psprintf("factmerge.is_before(%s.xmin, %s::pg_catalog.xid8)", alias,
					quote_literal_cstr(transaction));
}

/*
 * Whether columns of the source have been added or altered since a horizon, which may
 * change facts without writing a row.
 */
static bool
HasAlteredColumns(FactTable *table, const char *horizon)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table->source));
	return SqlFetchRow(InvalidSnapshot,
					   psprintf("SELECT 1 FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum > 0"
								" AND NOT a.attisdropped AND NOT %s LIMIT 1", WrittenBefore("a", horizon)), &args) != NULL;
}

/*
 * Put the facts aside that have been written since a horizon, if the others are those
 * that the key map has.
 */
static void
TakeWrittenSince(Merge *merge, FactTable *table, const char *horizon)
{
	char	   *before = WrittenBefore("s", horizon);
	char	  **row = SqlFetchRow(merge->snapshot,
								  psprintf("SELECT pg_catalog.count(*) FILTER (WHERE %s), pg_catalog.count(*) FROM %s AS s",
										   before, QualifiedRelation(table->source)), NULL);

	table->known = pg_strtoint64(row[0]);
	PutAside(merge, table, table->known == pg_strtoint64(row[1]) ? "false" : psprintf("NOT %s", before));
	table->repeated = CountPairs(merge, table) == table->known + table->met;
}

/*
 * The column whose values grow from fact to fact, or NULL: a key that comes from a
 * sequence.  Its wrapper must be able to count without fetching anything.
 */
static Column *
GrowingKey(FactTable *table)
{
	Column	   *column = linitial(table->address);

	if (list_length(table->address) != 1 || !IsNumbered(column) || column->conversion == CONVERT_TEXT || column->misfit ||
		get_rel_relkind(table->source) != RELKIND_FOREIGN_TABLE ||
		GetFdwRoutineByRelId(table->source)->GetForeignUpperPaths == NULL)
		return NULL;
	return column;
}

/*
 * Fetch the facts beyond the greatest key that the key map has, if there are as many up
 * to it as the key map has.
 */
static void
FetchBeyond(Merge *merge, FactTable *table, Column *key)
{
	char	   *name = psprintf("s.%s", quote_identifier(key->name));
	char	  **row = SqlFetchRow(merge->snapshot,
								  psprintf("SELECT pg_catalog.max(m.source_%d), pg_catalog.count(*) FROM %s AS m",
										   key->map_number, table->map), NULL);
	char	   *greatest;

	if (row[0] == NULL)
		return;
	greatest = psprintf("%s::%s", quote_literal_cstr(row[0]), TypeText(key->type, -1));
	table->known = SqlFetchInt64(merge->snapshot,
								 psprintf("SELECT pg_catalog.count(*) FROM %s AS s WHERE %s <= %s",
										  QualifiedRelation(table->source), name, greatest), NULL);
	table->repeated = table->known == pg_strtoint64(row[1]);
	if (table->repeated)
		PutAside(merge, table, psprintf("(%s > %s OR %s IS NULL)", name, greatest, name));
}

/*
 * Put the facts aside that slices have left, see batch.c.  The others must be those that
 * the key map has.
 */
static void
TakeUnmet(Merge *merge, FactTable *table)
{
	StringInfoData join;
	int64		facts;

	initStringInfo(&join);
	AppendMapJoin(&join, table, "m", "source", "s");
	PutAside(merge, table, psprintf("NOT EXISTS (SELECT FROM %s AS m WHERE %s)", table->map, join.data));
	facts = SqlFetchInt64(merge->snapshot,
						  psprintf("SELECT pg_catalog.count(*) FROM %s", QualifiedRelation(table->source)), NULL);
	CountDestinationFacts(merge, table);
	table->known = SqlFetchInt64(merge->snapshot,
								 psprintf("SELECT pg_catalog.count(*) FROM %s", table->map), NULL);
	table->repeated = true;
	if (table->known + table->fresh_facts != facts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("facts of table \"%s\" that have been merged are gone", table->name),
				 errdetail("The key map has " INT64_FORMAT " facts of the source, of which there are " INT64_FORMAT ".",
						   table->known, facts - table->fresh_facts),
				 errhint("Facts are irrevocable. Put them back as they were: the destination has copies.")));
}

/*
 * Choose which facts of a table are looked at: those that may be new, if it is merged
 * again, and if it takes its turn by itself.
 */
void
ChooseFacts(Merge *merge, FactTable *table, bool alone)
{
	int64		tagged;
	char	   *horizon;

	if (merge->slice)
	{
		TakeSlice(merge, table);
		return;
	}
	if (IsSliced(merge, table))
	{
		TakeUnmet(merge, table);
		return;
	}
	if (alone && CanBeRepeated(merge, table) && LastMerge(table, &tagged, &horizon))
	{
		Column	   *key = GrowingKey(table);

		if (key && HasAllTagged(merge, table, tagged))
			FetchBeyond(merge, table, key);
		else if (horizon && TellsTransactions(table->source) && HasAllTagged(merge, table, tagged))
		{
			table->altered = HasAlteredColumns(table, horizon);
			if (!table->altered)
				TakeWrittenSince(merge, table, horizon);
		}
	}
	if (table->repeated)
		return;
	LookAtAll(merge, table);
	if (IsFetched(table->source))
		PutAside(merge, table, "true");
}

/*
 * The horizon of a merge: before it nothing was running that could write any more.
 */
static FullTransactionId
HorizonOf(Merge *merge)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		horizon = (next & ~UINT64CONST(0xFFFFFFFF)) | merge->snapshot->xmin;

	/* Of two numbers with the same end, it is the one that has been given out */
	if (horizon > next)
		horizon -= UINT64CONST(1) << 32;
	return FullTransactionIdFromU64(horizon);
}

/*
 * Note for the next merge of a table how far this one has come.
 */
static void
NoteHorizon(Merge *merge, FactTable *table)
{
	SqlArgs		tagged = {0};
	SqlArgs		reached = {0};

	if (!table->tagged_counted)
		CountDestinationFacts(merge, table);
	SqlAddArg(&tagged, INT8OID, Int64GetDatum(table->tagged));
	SqlAddArg(&tagged, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlExecuteAsOwner("UPDATE factmerge.key_map SET tagged = $1 WHERE fact_table = $2", &tagged);

	SqlAddArg(&reached, XID8OID, FullTransactionIdGetDatum(HorizonOf(merge)));
	SqlAddArg(&reached, XID8OID, FullTransactionIdGetDatum(ReadNextFullTransactionId()));
	SqlAddArg(&reached, INT8OID, Int64GetDatum((int64) GetSystemIdentifier()));
	SqlExecuteAsOwner(psprintf("UPDATE factmerge.key_map SET horizon = $1, next_transaction = $2,"
							   " system_identifier = $3 WHERE map = %s::pg_catalog.regclass",
							   quote_literal_cstr(table->map)), &reached);
}

/*
 * Whether no table has anything that earlier merges have not met.
 */
bool
FoundNothingNew(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
		if (!HasNothingNew(lfirst(lc)))
		return false;
	return true;
}

/*
 * Note for the next merge of the same source how far this one has come; not if it has
 * found nothing new anywhere.
 */
void
NoteHorizons(Merge *merge)
{
	ListCell   *lc;

	if (merge->dry_run || FoundNothingNew(merge) || !KnowsSourceTables())
		return;
	foreach(lc, merge->tables)
		NoteHorizon(merge, lfirst(lc));
}
