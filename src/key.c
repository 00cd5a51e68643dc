/*-------------------------------------------------------------------------
 *
 * key.c
 *	  the keys of a fact table, and what they are good for
 *
 * The keys are the unique indexes of the destination (expressionkey.c has those that are
 * not on columns alone).  Out of them follows
 *
 * - which columns hold surrogate keys: those of the primary key that have an
 *	 identity or a sequence as default.  A uuid is none, whoever has drawn it: it is the same
 *	 wherever it went;
 * - the address of a fact: a key that both sides enforce, else tableoid and
 *	 ctid;
 * - its sameness, where none is declared (samerule.c): every key without a surrogate
 *	 column, else the whole row (no key).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "factmerge.h"
#include "samerule.h"

/*
 * The columns of a unique index, as names; NIL unless it is valid and on
 * plain columns of the whole table.
 */
static List *
UniqueIndexColumns(Relation index, Relation relation)
{
	Form_pg_index form = index->rd_index;
	List	   *names = NIL;

	if (!form->indisunique || !form->indisvalid || form->indisexclusion ||
		RelationGetIndexPredicate(index) != NIL ||
		RelationGetIndexExpressions(index) != NIL)
		return NIL;
	for (int i = 0; i < form->indnkeyatts; i++)
		names = lappend(names,
						pstrdup(NameStr(TupleDescAttr(RelationGetDescr(relation),
													  form->indkey.values[i] - 1)->attname)));
	return names;
}

/*
 * Whether the source, too, enforces a key of the destination.
 */
static bool
SourceEnforces(Relation source, UniqueKey *key)
{
	List	   *indexes = RelationGetIndexList(source);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		List	   *names = UniqueIndexColumns(index, source);
		ListCell   *column;

		if (names != NIL && index->rd_index->indimmediate &&
			list_length(names) == list_length(key->columns))
		{
			found = true;
			foreach(column, key->columns)
			{
				ListCell   *name;
				bool		among = false;

				foreach(name, names)
					among |= strcmp(lfirst(name),
									((Column *) lfirst(column))->name) == 0;
				found &= among;
			}
		}
		index_close(index, AccessShareLock);
		if (found)
			break;
	}
	return found;
}

/*
 * Add the column that column i of an index is to a key; false if the source lacks it.
 */
bool
AddKeyColumn(FactTable *table, UniqueKey *key, Relation index, int i)
{
	Column	   *column = FindColumn(table, get_attname(index->rd_index->indrelid,
													   index->rd_index->indkey.values[i], false));
	Oid			type = index->rd_opcintype[i];

	if (column == NULL)
		return false;
	key->columns = lappend(key->columns, column);
	key->operators = lappend_oid(key->operators,
								 UsableOperator(get_opfamily_member(index->rd_opfamily[i], type, type,
																	BTEqualStrategyNumber),
												column->type));
	key->collations = lappend_oid(key->collations, index->rd_indcollation[i]);
	key->inputs = list_append_unique_ptr(key->inputs, column);
	return true;
}

/*
 * Make a key of a unique index of the destination on plain columns of the whole table,
 * unless the source lacks one of them.
 */
static void
DescribeKey(FactTable *table, Relation index, Relation source)
{
	UniqueKey  *key = palloc0(sizeof(UniqueKey));

	key->name = pstrdup(RelationGetRelationName(index));
	key->primary = index->rd_index->indisprimary;
	key->immediate = index->rd_index->indimmediate;
	key->nulls_not_distinct = index->rd_index->indnullsnotdistinct;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		if (!AddKeyColumn(table, key, index, i))
			return;
	key->in_source = source == NULL || SourceEnforces(source, key);
	if (key->primary)
		table->keys = lcons(key, table->keys);
	else
		table->keys = lappend(table->keys, key);
}

/*
 * Whether a key holds a value that the database generates, and no null.
 */
static bool
IsGenerated(UniqueKey *key)
{
	bool		generated = false;
	ListCell   *lc;

	foreach(lc, key->columns)
	{
		if (((Column *) lfirst(lc))->nullable)
			return false;
		generated |= ((Column *) lfirst(lc))->new_value != NULL;
	}
	return generated;
}

/*
 * The primary key, or what takes its place where there is none; or NULL.
 */
static UniqueKey *
PrimaryKey(FactTable *table)
{
	ListCell   *lc;

	if (table->keys != NIL && ((UniqueKey *) linitial(table->keys))->primary)
		return linitial(table->keys);
	foreach(lc, table->keys)
		if (((UniqueKey *) lfirst(lc))->immediate && IsGenerated(lfirst(lc)))
		return lfirst(lc);
	return NULL;
}

/*
 * Note which columns hold surrogate keys, and which public numbers.  Uuids are neither,
 * unless the source's values of whatever key do not fit at all.
 */
static void
NoteSurrogates(FactTable *table)
{
	UniqueKey  *primary = PrimaryKey(table);
	List	   *keys = list_concat_copy(table->keys, table->other_keys);
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, keys)
		foreach(c, ((UniqueKey *) lfirst(lc))->columns)
	{
		Column	   *column = lfirst(c);

		if (column->new_value && (column->misfit || (lfirst(lc) == primary && !column->random)))
			column->surrogate = true;
	}
	foreach(lc, keys)
	{
		bool		surrogate = false;

		foreach(c, ((UniqueKey *) lfirst(lc))->inputs)
			surrogate |= ((Column *) lfirst(c))->surrogate;
		foreach(c, surrogate ? NIL : ((UniqueKey *) lfirst(lc))->inputs)
			((Column *) lfirst(c))->public_number |= ((Column *) lfirst(c))->new_value && !((Column *) lfirst(c))->random;
	}
}

/*
 * Describe the keys of a table, the primary key first, and note constraints
 * that are checked by triggers rather than by the index.
 */
void
DescribeKeys(FactTable *table, Relation source, Relation destination)
{
	List	   *indexes = RelationGetIndexList(destination);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (UniqueIndexColumns(index, destination) != NIL)
			DescribeKey(table, index, source);
		else
		{
			UniqueKey  *key = DescribeExpressionKey(table, index, source);

			if (key)
				table->other_keys = lappend(table->other_keys, key);
		}
		if (!index->rd_index->indimmediate)
			table->deferred_keys = lappend_oid(table->deferred_keys,
											   RelationGetRelid(index));
		index_close(index, AccessShareLock);
	}
	NoteSurrogates(table);
}

/*
 * Whether the rows of a relation are somewhere else.
 */
static bool
IsForeign(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE;
}

static Column *
SystemColumn(const char *name, Oid type)
{
	Column	   *column = palloc0(sizeof(Column));

	column->name = pstrdup(name);
	column->type = column->source_type = type;
	column->typmod = -1;
	column->system = true;
	return column;
}

/*
 * Choose what addresses a fact: the first key that both sides enforce and
 * that holds no nulls, else where the row lies.  A foreign table enforces
 * nothing itself, so the address is tried on its rows later (match.c).
 */
void
ChooseAddress(FactTable *table, Relation source)
{
	ListCell   *lc;

	table->untried_address = table->keyed = false;
	foreach(lc, table->keys)
	{
		UniqueKey  *key = lfirst(lc);
		bool		usable = key->immediate;
		ListCell   *column;

		foreach(column, key->columns)
			usable &= !((Column *) lfirst(column))->nullable && !((Column *) lfirst(column))->computed;
		if (usable && (key->in_source || IsForeign(source)))
		{
			table->untried_address = !key->in_source;
			table->keyed = true;
			table->address = key->columns;
			return;
		}
	}
	table->address = list_make2(SystemColumn("tableoid", OIDOID),
								SystemColumn("ctid", TIDOID));
}

/*
 * Choose what says that two facts are the same: what is declared, else the
 * keys, else the whole row.
 */
void
ChooseSameness(FactTable *table)
{
	ListCell   *lc;

	table->rule = LoadRule(table);
	table->sameness = NIL;
	table->paired = false;
	if (table->rule)
	{
		/* Whoever says that a generated key is the same means its value */
		foreach(lc, table->rule->key->columns)
			((Column *) lfirst(lc))->surrogate = ((Column *) lfirst(lc))->public_number = false;
		return;
	}
	foreach(lc, list_concat_copy(table->keys, table->other_keys))
	{
		UniqueKey  *key = lfirst(lc);
		bool		natural = true;
		ListCell   *column;

		foreach(column, key->inputs)
			natural &= !((Column *) lfirst(column))->surrogate && !((Column *) lfirst(column))->public_number &&
				!((Column *) lfirst(column))->computed;
		if (natural)
			table->sameness = lappend(table->sameness, key);
	}
	table->paired = list_length(table->sameness) == 1 &&
		((UniqueKey *) linitial(table->sameness))->in_source;
}

/*
 * Whether facts that are the same have the same value in a column.
 */
bool
IsSameIn(FactTable *table, Column *column)
{
	ListCell   *lc;

	if (table->rule)
		return list_member_ptr(table->rule->key->columns, column);
	foreach(lc, table->sameness)
		if (!list_member_ptr(((UniqueKey *) lfirst(lc))->columns, column))
		return false;
	return true;
}

/*
 * Whether what adds facts leaves a column to the database: part of a key that is drawn,
 * and that does not by itself say which facts are the same.
 */
bool
IsLeftToDatabase(FactTable *table, Column *column)
{
	ListCell   *lc;

	if (column->new_value == NULL || column->surrogate)
		return column->surrogate;
	if ((table->rule || table->sameness != NIL) && IsSameIn(table, column))
		return false;
	foreach(lc, table->keys)
		if (list_member_ptr(((UniqueKey *) lfirst(lc))->columns, column))
		return true;
	return false;
}

/*
 * SQL for a text "(column, ...)=(value, ...)" that names a fact in a message.
 */
static char *
AddressAs(FactTable *table, char *(*value) (Column *column, const char *of),
		  const char *of)
{
	StringInfoData names;
	StringInfoData values;
	ListCell   *lc;
	bool		first = true;

	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		if (!first)
			appendStringInfoString(&names, ", ");
		appendStringInfoString(&names, column->name);
		AppendSeparator(&values, ", ", &first);
		appendStringInfoString(&values, value(column, of));
	}
	return psprintf("pg_catalog.concat(%s, pg_catalog.concat_ws(', ', %s), ')')",
					quote_literal_cstr(psprintf("(%s)=(", names.data)),
					values.data);
}

static char *
ValueInRow(Column *column, const char *alias)
{
	return psprintf("%s.%s", alias, quote_identifier(column->name));
}

static char *
ValueInMap(Column *column, const char *half)
{
	return psprintf("%s_%d", half, column->map_number);
}

/*
 * SQL for a text that names the fact of a row in a message: its address, or
 * the whole row where it has no key.
 */
char *
AddressText(FactTable *table, const char *alias)
{
	if (!table->keyed)
		return psprintf("(%s.*)::pg_catalog.text", alias);
	return AddressAs(table, ValueInRow, alias);
}

/*
 * The same for a fact of one half of a row of the key map, as in "m.source".
 */
char *
MapAddressText(FactTable *table, const char *half)
{
	return AddressAs(table, ValueInMap, half);
}

/*
 * Append to an INSERT ... SELECT ... WHERE of a row that it saves nothing if there
 * is a fact of the same key already.
 *
 * ON CONFLICT cannot go by keys that are checked late; where there are any, it is
 * asked for each key.
 */
void
AppendUnlessThere(StringInfo sql, FactTable *table, const char *row)
{
	ListCell   *lc;

	if (table->deferred_keys == NIL)
	{
		appendStringInfoString(sql, " ON CONFLICT DO NOTHING");
		return;
	}
	foreach(lc, list_concat_copy(table->keys, table->other_keys))
	{
		UniqueKey  *key = lfirst(lc);

		appendStringInfo(sql, " AND NOT EXISTS (SELECT FROM %s AS d WHERE true",
						 QualifiedRelation(table->destination));
		for (int i = 0; i < list_length(key->columns); i++)
		{
			const char *name = quote_identifier(((Column *) list_nth(key->columns, i))->name);

			appendStringInfoString(sql, " AND (");
			AppendEquality(sql, psprintf("d.%s", name), list_nth_oid(key->operators, i),
						   psprintf("%s.%s", row, name), list_nth_oid(key->collations, i));
			if (key->nulls_not_distinct)
				appendStringInfo(sql, " OR d.%s IS NULL AND %s.%s IS NULL", name, row, name);
			appendStringInfoChar(sql, ')');
		}
		AppendExpressionsEqual(sql, table, key, "d", row);
		appendStringInfoChar(sql, ')');
	}
}
