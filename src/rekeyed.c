/*-------------------------------------------------------------------------
 *
 * rekeyed.c
 *	  keys that the destination makes something else of while facts are copied
 *
 * A BEFORE INSERT trigger that is ENABLE ALWAYS or REPLICA fires while facts are copied,
 * and may change whatever it likes: it writes names in lower case, or draws the key
 * itself.  A generated column of the destination may be computed in another way than
 * that of the source.  Then a fact does not have the key that the key map says.
 *
 * So whatever refers to such a column is translated by the key map, and of such a
 * table, what has been written is collected.  Rows are written in the order of the
 * source's keys, so that the n-th that comes back is the n-th that went in, whatever has
 * become of it.  Where it is not as planned, the key map follows.  What is copied later
 * is translated by that; what has been copied already, by circles of references, is
 * changed to refer to the facts as they are.
 *
 * A later merge of the same source knows such facts by the key map, since the sameness
 * may not find them again.
 *
 * In the end, where triggers fire at all, every copied fact has to be where the key map
 * says: a trigger that changes keys only afterwards is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

#include "factmerge.h"
#include "handler.h"

/* The keys that facts of a table have been written with, and those that are others */
#define WRITTEN_OF(table) psprintf("pg_temp.factmerge_written_%d", (table)->position)
#define REKEYED_OF(table) psprintf("pg_temp.factmerge_rekeyed_%d", (table)->position)

/*
 * Whether a trigger may change rows before facts are copied into them.
 */
static bool
ChangesCopies(Trigger *trigger)
{
	return TRIGGER_FOR_BEFORE(trigger->tgtype) && TRIGGER_FOR_ROW(trigger->tgtype) &&
		TRIGGER_FOR_INSERT(trigger->tgtype) &&
		(trigger->tgenabled == TRIGGER_FIRES_ALWAYS ||
		 trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA);
}

/*
 * Whether a table, or a partition of it, has a trigger that may change copied facts.
 */
static bool
HasChangingTrigger(Oid relation)
{
	bool		changes = false;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
			changes |= ChangesCopies(&rel->trigdesc->triggers[i]);
		table_close(rel, NoLock);
	}
	return changes;
}

/*
 * The expression of a generated column, or NULL.
 */
static char *
GenerationExpression(Oid relation, const char *column)
{
	SqlArgs		args = {0};
	char	  **row;

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, NAMEOID, NameDatum(column));
	row = SqlFetchRow(InvalidSnapshot,
					  "SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attribute AS a"
					  " JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
					  " WHERE a.attrelid = $1 AND a.attname = $2 AND a.attgenerated <> ''", &args);
	return row ? row[0] : NULL;
}

/*
 * Whether the destination computes a column in another way than the source.
 */
static bool
IsComputedOtherwise(FactTable *table, Column *column)
{
	char	   *source;

	if (!column->generated || !OidIsValid(table->source))
		return false;
	source = GenerationExpression(table->source, column->name);
	return source == NULL ||
		strcmp(source, GenerationExpression(table->destination, column->name)) != 0;
}

/*
 * Note which columns a copied fact may have another value in than the merge gives it.
 */
void
NoteRekeyable(List *tables)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);
		bool		changing = HasChangingTrigger(table->destination);

		foreach(c, table->columns)
			((Column *) lfirst(c))->rekeyable = changing || IsComputedOtherwise(table, lfirst(c));
	}
}

/*
 * Whether the keys of copied facts have to be looked at: they may be others than the key
 * map says, or they are made of such.
 */
bool
MayBeRekeyed(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->map_columns)
		if (((Column *) lfirst(lc))->rekeyable)
			return true;
	return RefersToRekeyed(table);
}

/*
 * Whether some fact that a table may refer to has been written under another key than
 * was planned.
 */
bool
RefersToRekeyed(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (reference->remapped && reference->target->rekeyed)
			return true;
	}
	return false;
}

/*
 * Let facts that an earlier merge has copied be known, though what the destination has
 * made of them is not the same any more: by what the key map says of them, as long as
 * the copy is there.
 */
void
KeepRekeyed(Merge *merge, FactTable *table)
{
	StringInfoData set;
	StringInfoData known;
	StringInfoData there;
	char	   *same;
	bool		rekeyable = false;
	ListCell   *lc;

	initStringInfo(&set);
	initStringInfo(&known);
	initStringInfo(&there);
	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		rekeyable |= column->rekeyable;
		appendStringInfo(&set, "destination_%d = o.destination_%d, ", column->map_number, column->map_number);
	}
	if (!rekeyable || !table->merged_before || !table->keyed)
		return;
	AppendSameAddress(&known, table, SIDE_SOURCE, "n.source_", "o.source_");
	AppendMapJoin(&there, table, "o", "destination", "d");
	same = psprintf("o.merge_id <> " INT64_FORMAT " AND %s AND EXISTS (SELECT FROM %s AS d WHERE %s)",
					merge->id, known.data, QualifiedRelation(table->destination), there.data);
	if (table->draft)
		SqlExecute(merge->snapshot,
				   psprintf("DELETE FROM %s AS n USING %s AS o WHERE %s", table->draft, table->map, same), NULL);
	SqlExecute(merge->snapshot,
			   psprintf("UPDATE %s AS n SET %sin_both = true FROM %s AS o"
						" WHERE n.merge_id = " INT64_FORMAT " AND NOT n.in_both AND NOT n.folded AND %s",
						table->map, set.data, table->map, merge->id, same), NULL);
}

/*
 * Make an INSERT ... SELECT into a table collect the columns of the key map as they are
 * written, in the order of the rows.  The table is called x.
 */
char *
CollectWritten(FactTable *table, const char *insert)
{
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, table->map_columns)
		appendStringInfo(&columns, "%sx.%s AS written_%d", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(((Column *) lfirst(lc))->name), foreach_current_index(lc) + 1);
	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s AS SELECT 0::pg_catalog.int8 AS number, %s FROM %s AS x WHERE false",
						WRITTEN_OF(table), columns.data, QualifiedRelation(table->destination)));
	return psprintf("WITH w AS (%s RETURNING %s) INSERT INTO %s SELECT pg_catalog.row_number() OVER (), w.* FROM w",
					insert, columns.data, WRITTEN_OF(table));
}

/*
 * Append "prefix1, prefix2", for the columns of the key map that say something of the
 * destination's fact: where it lies is not known yet.
 */
static void
AppendKnown(StringInfo sql, FactTable *table, const char *prefix)
{
	bool		first = true;
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		if (((Column *) lfirst(lc))->system)
			continue;
		AppendSeparator(sql, ", ", &first);
		appendStringInfo(sql, "%s%d", prefix, foreach_current_index(lc) + 1);
	}
}

/*
 * Note which facts have been written under other keys than planned, given FROM, WHERE
 * and ORDER BY of what has been copied; returns how many.
 */
static int64
FindRekeyed(Merge *merge, FactTable *table, const char *facts)
{
	StringInfoData planned;
	StringInfoData written;
	StringInfoData columns;

	initStringInfo(&planned);
	initStringInfo(&written);
	initStringInfo(&columns);
	AppendKnown(&planned, table, "p.destination_");
	AppendKnown(&written, table, "w.written_");
	for (int number = 1; number <= list_length(table->map_columns); number++)
		appendStringInfo(&columns, ", p.source_%d, p.destination_%d AS old_%d, w.written_%d AS new_%d",
						 number, number, number, number, number);
	return SqlExecute(merge->snapshot,
					  psprintf("CREATE TEMPORARY TABLE %s AS SELECT p.number%s"
							   " FROM (SELECT pg_catalog.row_number() OVER () AS number, z.* FROM (SELECT m.* FROM %s) AS z) AS p"
							   " JOIN %s AS w ON w.number OPERATOR(pg_catalog.=) p.number"
							   " WHERE ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record",
							   REKEYED_OF(table), columns.data, facts, WRITTEN_OF(table), planned.data, written.data), NULL);
}

/*
 * Let the key map follow, for copied facts, and for those that were copied with them.
 */
static void
FollowInMap(Merge *merge, FactTable *table)
{
	StringInfoData set;
	StringInfoData same;
	ListCell   *lc;

	initStringInfo(&set);
	initStringInfo(&same);
	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		column->least_drawn = column->greatest_drawn = 0;
		if (!column->system)
			appendStringInfo(&set, "%sdestination_%d = c.new_%d", set.len ? ", " : "",
							 column->map_number, column->map_number);
	}
	AppendSameAddress(&same, table, SIDE_SOURCE, "m.source_", "c.source_");
	SqlExecute(merge->snapshot,
			   psprintf("UPDATE %s AS m SET %s FROM %s AS c WHERE NOT m.in_both AND NOT m.folded AND m.merge_id = " INT64_FORMAT " AND %s",
						table->map, set.data, table->rekeyed, merge->id, same.data), NULL);
	if (!table->folded || !table->keyed)
		return;
	resetStringInfo(&same);
	AppendSameAddress(&same, table, SIDE_DESTINATION, "m.destination_", "c.old_");
	SqlExecute(merge->snapshot,
			   psprintf("UPDATE %s AS m SET %s FROM %s AS c WHERE m.folded AND m.merge_id = " INT64_FORMAT " AND %s",
						table->map, set.data, table->rekeyed, merge->id, same.data), NULL);
}

/*
 * Compare what has been written of a table with the key map, and let that follow.
 */
void
FollowWritten(Merge *merge, FactTable *table, const char *facts)
{
	if (FindRekeyed(merge, table, facts) > 0)
	{
		table->rekeyed = REKEYED_OF(table);
		FollowInMap(merge, table);
	}
	else
		SqlUtility(psprintf("DROP TABLE %s", REKEYED_OF(table)));
	SqlUtility(psprintf("DROP TABLE %s", WRITTEN_OF(table)));
}

/*
 * Refuse to go on, given what a trigger has done with keys.
 */
static void
RefuseTrigger(FactTable *table, const char *detail)
{
	const char *trigger = TriggerWhileCopying(table->destination);

	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 trigger ? errmsg("trigger \"%s\" of table \"%s\" has changed keys while facts were copied", trigger, table->name) :
			 errmsg("keys of table \"%s\" have been changed while facts were copied", table->name),
			 errdetail_internal("%s", detail),
			 errhint("Let the trigger leave keys as they are, or enable it for ordinary sessions only.")));
}

/*
 * Let facts that have been copied already refer to those that were then written under
 * other keys.
 */
static void
FollowInCopied(Merge *merge, FactTable *table, Reference *reference)
{
	StringInfoData set;
	StringInfoData same;
	StringInfoData side;
	bool		is_key = false;

	initStringInfo(&set);
	initStringInfo(&same);
	initStringInfo(&side);
	for (int i = 0; i < list_length(reference->columns); i++)
	{
		Column	   *column = list_nth(reference->columns, i);
		Column	   *target = list_nth(reference->target_columns, i);
		const char *name = quote_identifier(column->name);

		if (i > 0)
			appendStringInfoString(&same, " AND ");
		AppendEquality(&same, psprintf("c.old_%d", target->map_number),
					   list_nth_oid(reference->operators, i), psprintf("x.%s", name), target->collation);
		if (column->reference != reference || column->generated)
			continue;
		appendStringInfo(&set, "%s%s = c.new_%d", set.len ? ", " : "", name, target->map_number);
		is_key |= column->map_number > 0;
	}
	if (set.len == 0)
		return;
	AppendSideCondition(&side, merge, table, "x", SIDE_SOURCE);
	if (SqlExecute(merge->snapshot,
				   psprintf("UPDATE %s AS x SET %s FROM %s AS c WHERE %s AND %s", QualifiedRelation(table->destination),
							set.data, reference->target->rekeyed, same.data, side.data), NULL) > 0 && is_key)
		RefuseTrigger(reference->target,
					  psprintf("Keys of table \"%s\" are made of them, and in circles of references they cannot follow.",
							   table->name));
}

/*
 * Refuse a copied fact that is not where the key map has it.
 */
static void
RefuseLost(Merge *merge, FactTable *table)
{
	StringInfoData from;
	StringInfoData there;
	char	  **row;
	ListCell   *lc;

	if (!table->keyed || table->counts.copied == 0)
		return;
	initStringInfo(&from);
	initStringInfo(&there);
	if (table->repeated && table->fresh)
	{
		appendStringInfo(&from, "%s AS s JOIN %s AS m ON ", table->fresh, table->map);
		AppendMapJoin(&from, table, "m", "source", "s");
	}
	else
		appendStringInfo(&from, "%s AS m", table->map);
	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);
		char	   *value = psprintf("m.destination_%d", column->map_number);
		char	   *written = psprintf("x.%s", quote_identifier(column->name));
		bool		address = list_member_ptr(table->address, column);

		appendStringInfo(&there, "%s%s", foreach_current_index(lc) ? " AND " : "", address ? "" : "(");
		AppendSameOnSide(&there, column, false, value, written);
		if (!address)
			appendStringInfo(&there, " OR %s IS NULL AND %s IS NULL)", value, written);
	}
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT %s FROM %s WHERE NOT m.in_both AND m.merge_id = " INT64_FORMAT
							   " AND NOT EXISTS (SELECT FROM %s AS x WHERE %s) ORDER BY 1 LIMIT 1",
							   MapAddressText(table, "m.source"), from.data, merge->id,
							   QualifiedRelation(table->destination), there.data), NULL);
	if (row != NULL)
		RefuseTrigger(table, psprintf("Fact %s of the source has been copied, and is not there as it was.", row[0]));
}

/*
 * Now that all facts are copied, let references follow that have been copied before what
 * they lead to, and see whether every fact is where it should be.
 */
void
FollowRekeyed(Merge *merge)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		foreach(r, table->counts.copied > 0 ? table->references : NIL)
		{
			Reference  *reference = lfirst(r);

			if (reference->remapped && !reference->log && reference->target->rekeyed &&
				reference->target->position >= table->position)
				FollowInCopied(merge, table, reference);
		}
	}
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);

		if (merge->derives_while_copying)
			RefuseLost(merge, table);
		if (table->rekeyed)
			SqlUtility(psprintf("DROP TABLE %s", table->rekeyed));
		table->rekeyed = NULL;
	}
}
