/*-------------------------------------------------------------------------
 *
 * publicnumber.c
 *	  numbers that the database draws beside the primary key
 *
 * An invoice has a number, drawn from a sequence unless somebody typed one in, unique,
 * and printed on paper.  It is no surrogate key: a copied fact keeps it where it is free.
 * Where the destination has given it to another fact, it does not say that the two are
 * one; so the copy gets a new number, and the user is told: by a notice, and by a
 * conflict.
 *
 * A number is taken if another fact has the same in a unique key that it is part of, the
 * whole key, be it one on an expression.  This is found out for all facts that are to be
 * copied at once, after they have been matched, so that everything that refers to a number
 * follows by the key map.  What is drawn instead must be nobody's, on either side: a
 * sequence may be behind numbers that were typed in, so more and more are drawn until
 * enough of them are free.
 *
 * The facts that get other numbers stay in a temporary table, with the numbers that they
 * had, for dump.c and conflict.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "factmerge.h"
#include "sameness.h"

/* How often drawn numbers may collide with others by a key on an expression */
#define MOST_ROUNDS 100

/* How many times as many numbers are drawn as there are facts, before none can be free */
#define MOST_DRAWS 4

/*
 * The public number that is drawn anew to make a key free: the first in it; or NULL.
 */
static Column *
NumberOf(UniqueKey *key)
{
	Column	   *number = NULL;
	ListCell   *lc;

	foreach(lc, key->inputs)
	{
		Column	   *column = lfirst(lc);

		/* The server cannot but let it be, and nobody knows its value */
		if (column->surrogate || column->computed)
			return NULL;
		if (number == NULL && column->public_number)
			number = column;
	}
	return number;
}

/*
 * The keys of a table that public numbers are part of.
 */
static List *
NumberKeys(FactTable *table)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, list_concat_copy(table->keys, table->other_keys))
		if (NumberOf(lfirst(lc)) != NULL)
		keys = lappend(keys, lfirst(lc));
	return keys;
}

/*
 * The public numbers of a table.
 */
List *
PublicNumbers(FactTable *table)
{
	List	   *numbers = NIL;
	ListCell   *lc;

	foreach(lc, table->columns)
		if (((Column *) lfirst(lc))->public_number)
		numbers = lappend(numbers, lfirst(lc));
	return numbers;
}

/* "prefix1, prefix2, ..." by the numbers of the address */
static char *
Address(FactTable *table, const char *prefix)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, table->address)
		appendStringInfo(&sql, "%s%s%d", foreach_current_index(lc) ? ", " : "", prefix,
						 ((Column *) lfirst(lc))->map_number);
	return sql.data;
}

/*
 * Put the facts of a table that are to be copied aside, as they will be: their addresses
 * in the source, the columns that the keys look at, and numbers as they were.
 */
static void
ListNumbers(Merge *merge, FactTable *table, List *keys)
{
	StringInfoData sql;
	List	   *inputs = NIL;
	ListCell   *lc;

	foreach(lc, keys)
		inputs = list_concat_unique_ptr(inputs, ((UniqueKey *) lfirst(lc))->inputs);
	table->numbers = psprintf("pg_temp.factmerge_number_%d", table->position);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS SELECT ", table->numbers);
	foreach(lc, table->address)
		appendStringInfo(&sql, "n.source_%d AS factmerge_address_%d, ",
						 ((Column *) lfirst(lc))->map_number, ((Column *) lfirst(lc))->map_number);
	foreach(lc, inputs)
	{
		Column	   *column = lfirst(lc);

		AppendTranslated(&sql, column);
		appendStringInfo(&sql, " AS %s, ", quote_identifier(column->name));
		if (!column->public_number)
			continue;
		AppendTranslated(&sql, column);
		appendStringInfo(&sql, " AS factmerge_before_%d, false AS factmerge_drawn_%d, ",
						 column->number, column->number);
	}
	appendStringInfoString(&sql, "false AS factmerge_drawn FROM ");
	AppendSourceRow(&sql, merge, table, false);
	appendStringInfo(&sql, " JOIN %s AS n ON n.merge_id = " INT64_FORMAT " AND NOT n.in_both AND NOT n.folded AND ",
					 table->map, merge->id);
	AppendMapJoin(&sql, table, "n", "source", "s");
	(void) SqlExecute(merge->snapshot, sql.data, NULL);
	SqlUtility(psprintf("ANALYZE %s", table->numbers));
}

/*
 * Append that rows d and n are equal in a key.
 */
static void
AppendEqualInKey(StringInfo sql, FactTable *table, UniqueKey *key)
{
	ListCell   *lc;

	appendStringInfoString(sql, "true");
	foreach(lc, key->columns)
	{
		int			i = foreach_current_index(lc);
		Column	   *column = lfirst(lc);
		const char *name = quote_identifier(column->name);

		appendStringInfoString(sql, " AND ");
		if (key->nulls_not_distinct && column->nullable && HasHash(column->type))
			appendStringInfo(sql, "ROW(d.%s)::pg_catalog.record OPERATOR(pg_catalog.=) ROW(n.%s)::pg_catalog.record",
							 name, name);
		else
			AppendEquality(sql, psprintf("d.%s", name), list_nth_oid(key->operators, i),
						   psprintf("n.%s", name), list_nth_oid(key->collations, i));
	}
	AppendExpressionsEqual(sql, table, key, "d", "n");
}

/*
 * Put the facts aside whose key is taken, ranked in the order of the source's keys; of
 * several new ones that have the same, the first keeps it.  Returns how many.
 */
static int64
FindTaken(Merge *merge, FactTable *table, UniqueKey *key, const char *taken)
{
	char	   *address = Address(table, "n.factmerge_address_");
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s AS SELECT %s, pg_catalog.row_number() OVER (ORDER BY %s) AS rank"
					 " FROM (SELECT n.*, pg_catalog.row_number() OVER (PARTITION BY ", taken, address, address);
	foreach(lc, key->columns)
		appendStringInfo(&sql, "n.%s, ", quote_identifier(((Column *) lfirst(lc))->name));
	foreach(lc, ExpressionValues(table, key, "n"))
		appendStringInfo(&sql, "%s, ", (char *) lfirst(lc));
	appendStringInfo(&sql, "true ORDER BY %s) AS factmerge_rank FROM %s AS n WHERE true", address, table->numbers);
	foreach(lc, key->nulls_not_distinct ? NIL : key->columns)
		appendStringInfo(&sql, " AND n.%s IS NOT NULL", quote_identifier(((Column *) lfirst(lc))->name));
	AppendExpressionsComplete(&sql, table, key, "n");
	appendStringInfo(&sql, ") AS n LEFT JOIN %s AS d ON ", QualifiedRelation(table->destination));
	AppendEqualInKey(&sql, table, key);
	appendStringInfoString(&sql, " WHERE n.factmerge_rank > 1 OR d.ctid IS NOT NULL");
	return SqlExecute(merge->snapshot, sql.data, NULL);
}

/*
 * Append that no row of some table, as x, has a number.
 */
static void
AppendNotThere(StringInfo sql, Column *column, const char *relation, const char *value)
{
	appendStringInfo(sql, " AND NOT EXISTS (SELECT FROM %s AS s WHERE ", relation);
	AppendEquality(sql, value, EqualityOperator(column->type), "c.value", column->collation);
	appendStringInfoChar(sql, ')');
}

/*
 * Draw a number of candidates, and keep those that are nobody's; returns how many these
 * are.
 */
static int64
DrawSome(Merge *merge, FactTable *table, Column *column, const char *drawn, int64 had, int64 draws)
{
	const char *name = psprintf("s.%s", quote_identifier(column->name));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "WITH candidate AS MATERIALIZED (SELECT g.i, (%s)::%s AS value"
					 " FROM pg_catalog.generate_series(1, " INT64_FORMAT ") AS g (i))"
					 " INSERT INTO %s SELECT pg_catalog.row_number() OVER (ORDER BY c.i) + " INT64_FORMAT ", c.value"
					 " FROM (SELECT pg_catalog.min(a.i) AS i, a.value FROM candidate AS a GROUP BY a.value) AS c WHERE true",
					 column->new_value, TypeText(column->type, column->typmod), draws, drawn, had);
	AppendNotThere(&sql, column, QualifiedRelation(table->destination), name);
	AppendNotThere(&sql, column, QualifiedRelation(table->source), SourceValue(column));
	AppendNotThere(&sql, column, table->numbers, name);
	AppendNotThere(&sql, column, drawn, "s.value");
	return SqlExecute(merge->snapshot, sql.data, NULL);
}

/*
 * How many numbers may be drawn before it is sure that none is free.
 */
static int64
MostDraws(Merge *merge, FactTable *table, int64 needed)
{
	return MOST_DRAWS * (needed +
						 SqlFetchInt64(merge->snapshot,
									   psprintf("SELECT (SELECT pg_catalog.count(*) FROM %s) + (SELECT pg_catalog.count(*) FROM %s)",
												QualifiedRelation(table->destination),
												QualifiedRelation(table->source)), NULL));
}

/*
 * Draw as many free numbers as are needed.  Of those that are drawn the first ones are
 * taken, and each time twice as many are tried.
 */
static void
DrawNumbers(Merge *merge, FactTable *table, Column *column, const char *drawn, int64 needed)
{
	int64		had = 0;
	int64		draws = needed;
	int64		total = 0;

	SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (rank pg_catalog.int8, value %s)", drawn,
						TypeText(column->type, column->typmod)));
	while (had < needed)
	{
		CHECK_FOR_INTERRUPTS();
		if (total > needed && total > MostDraws(merge, table, needed))
			ereport(ERROR,
					(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
					 errmsg("cannot draw free values for column \"%s\" of table \"%s\"", column->name, table->name),
					 errdetail("Of " INT64_FORMAT " values that its default has drawn, " INT64_FORMAT " are free, and " INT64_FORMAT " are needed.",
							   total, had, needed),
					 errhint("Let the default of the column draw values that nobody has.")));
		had += DrawSome(merge, table, column, drawn, had, draws);
		total += draws;
		draws *= 2;
	}
}

/*
 * Append that two addresses of the source, given by prefixes, are the same.
 */
static char *
SameAddress(FactTable *table, const char *left, const char *right)
{
	StringInfoData sql;

	initStringInfo(&sql);
	AppendSameAddress(&sql, table, SIDE_SOURCE, left, right);
	return sql.data;
}

/*
 * Give new numbers to facts whose key is taken; returns how many there are.
 */
static int64
MakeFree(Merge *merge, FactTable *table, UniqueKey *key)
{
	char	   *taken = psprintf("pg_temp.factmerge_taken_%d", table->position);
	char	   *drawn = psprintf("pg_temp.factmerge_drawn_%d", table->position);
	Column	   *column = NumberOf(key);
	int64		needed = FindTaken(merge, table, key, taken);

	if (needed > 0)
	{
		DrawNumbers(merge, table, column, drawn, needed);
		(void) SqlExecute(merge->snapshot,
						  psprintf("UPDATE %s AS n SET %s = w.value, factmerge_drawn_%d = true, factmerge_drawn = true"
								   " FROM %s AS t JOIN %s AS w ON w.rank = t.rank WHERE %s",
								   table->numbers, quote_identifier(column->name), column->number, taken, drawn,
								   SameAddress(table, "n.factmerge_address_", "t.factmerge_address_")), NULL);
		SqlUtility(psprintf("DROP TABLE %s", drawn));
	}
	SqlUtility(psprintf("DROP TABLE %s", taken));
	return needed;
}

/*
 * Enter the new numbers into a table of facts to copy, where it has them.
 */
static void
EnterNumbers(Merge *merge, FactTable *table, const char *map)
{
	ListCell   *lc;

	foreach(lc, PublicNumbers(table))
	{
		Column	   *column = lfirst(lc);

		if (column->map_number == 0)
			continue;
		(void) SqlExecute(merge->snapshot,
						  psprintf("UPDATE %s AS m SET destination_%d = n.%s FROM %s AS n WHERE n.factmerge_drawn_%d AND %s%s",
								   map, column->map_number, quote_identifier(column->name), table->numbers, column->number,
								   SameAddress(table, "m.source_", "n.factmerge_address_"),
								   map == table->map ? psprintf(" AND m.merge_id = " INT64_FORMAT, merge->id) : ""), NULL);
	}
}

/*
 * Refuse a number that is taken: of a fact that could not be found again by a later merge,
 * or if the user has asked for that.
 */
static void
RefuseTaken(Merge *merge, FactTable *table, UniqueKey *key)
{
	Column	   *column = NumberOf(key);
	char	  **row;

	if (table->keyed && (on_conflict != CONFLICT_ERROR || merge->preview))
		return;
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT n.factmerge_before_%d FROM %s AS n WHERE n.factmerge_drawn_%d ORDER BY 1 LIMIT 1",
							   column->number, table->numbers, column->number), NULL);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("a value of column \"%s\" of table \"%s\" is taken in the destination", column->name, table->name),
			 errdetail("Another fact has %s by key \"%s\".", row[0] ? quote_literal_cstr(row[0]) : "null", key->name),
			 table->keyed ?
			 errhint("Correct one of the two, or let the merge draw another value with factmerge.on_conflict = keep.") :
			 errhint("Correct one of the two, or give the table a primary key, by which a fact is known that has been given another value.")));
}

/*
 * Give new numbers to the facts to copy whose own are taken.
 */
void
AssignNumbers(Merge *merge, FactTable *table)
{
	List	   *keys = NumberKeys(table);
	bool		drawn = false;
	ListCell   *lc;

	if (keys == NIL || HasNothingNew(table))
		return;
	ListNumbers(merge, table, keys);
	foreach(lc, keys)
		for (int round = 0; MakeFree(merge, table, lfirst(lc)) > 0; round++)
	{
		drawn = true;
		RefuseTaken(merge, table, lfirst(lc));
		if (round == MOST_ROUNDS)
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("cannot draw values for column \"%s\" of table \"%s\" that key \"%s\" allows",
							NumberOf(lfirst(lc))->name, table->name, ((UniqueKey *) lfirst(lc))->name),
					 errhint("Correct one of the facts that have the same by that key.")));
	}
	if (!drawn)
	{
		SqlUtility(psprintf("DROP TABLE %s", table->numbers));
		table->numbers = NULL;
		return;
	}
	merge->event_tables = lappend(merge->event_tables, table->numbers);
	(void) SqlExecute(merge->snapshot, psprintf("DELETE FROM %s AS n WHERE NOT n.factmerge_drawn", table->numbers), NULL);
	EnterNumbers(merge, table, table->map);
	if (table->draft)
		EnterNumbers(merge, table, table->draft);
}

/*
 * SQL for the new numbers of facts, as v (key, name, source, destination), for conflicts:
 * what the source has, and what the copy will have.
 */
char *
NewNumbers(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.jsonb_build_object(");
	foreach(lc, table->address)
		appendStringInfo(&sql, "%s%s, m.destination_%d", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(((Column *) lfirst(lc))->name), ((Column *) lfirst(lc))->map_number);
	appendStringInfoString(&sql, ") AS key, v.name AS column_name, v.source AS source_value,"
						   " v.destination AS destination_value FROM ");
	appendStringInfo(&sql, "%s AS n JOIN %s AS m ON m.merge_id = " INT64_FORMAT " AND NOT m.folded AND %s"
					 " CROSS JOIN LATERAL (VALUES ",
					 table->numbers, table->map, merge->id, SameAddress(table, "m.source_", "n.factmerge_address_"));
	foreach(lc, PublicNumbers(table))
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(&sql, "%s(%s::pg_catalog.name, n.factmerge_before_%d::pg_catalog.text, n.%s::pg_catalog.text, n.factmerge_drawn_%d)",
						 foreach_current_index(lc) ? ", " : "", quote_literal_cstr(column->name),
						 column->number, quote_identifier(column->name), column->number);
	}
	appendStringInfoString(&sql, ") AS v (name, source, destination, drawn) WHERE v.drawn");
	return sql.data;
}

/*
 * SQL for whether fact m of the key map gets a new number.
 */
char *
GetsNewNumber(Merge *merge, FactTable *table)
{
	return psprintf("m.merge_id = " INT64_FORMAT " AND NOT m.folded AND EXISTS (SELECT FROM %s AS n WHERE %s)",
					merge->id, table->numbers, SameAddress(table, "m.source_", "n.factmerge_address_"));
}

/*
 * Append the new numbers, as numbered, to facts m that are copied.
 */
void
AppendNumbered(StringInfo sql, FactTable *table)
{
	if (table->numbers)
		appendStringInfo(sql, " LEFT JOIN %s AS numbered ON %s", table->numbers,
						 SameAddress(table, "m.source_", "numbered.factmerge_address_"));
}

/*
 * Append the value that a copied fact gets in a public number, given what it would get.
 */
void
AppendNumber(StringInfo sql, FactTable *table, Column *column, const char *otherwise)
{
	if (table->numbers && column->public_number)
		appendStringInfo(sql, "(CASE WHEN numbered.factmerge_drawn_%d THEN numbered.%s ELSE %s END)::%s",
						 column->number, quote_identifier(column->name), otherwise,
						 TypeText(column->type, column->typmod));
	else
		appendStringInfoString(sql, otherwise);
}

/*
 * The columns of the first key that a public number is part of, as an array in SQL.
 */
static char *
ColumnsToDeclare(FactTable *table, Column *number)
{
	StringInfoData names;
	ListCell   *lc;
	ListCell   *c;

	initStringInfo(&names);
	foreach(lc, NumberKeys(table))
	{
		if (!list_member_ptr(((UniqueKey *) lfirst(lc))->columns, number))
			continue;
		foreach(c, ((UniqueKey *) lfirst(lc))->columns)
			appendStringInfo(&names, "%s%s", foreach_current_index(c) ? ", " : "",
							 quote_literal_cstr(((Column *) lfirst(c))->name));
		break;
	}
	return psprintf("ARRAY[%s]", names.len > 0 ? names.data : quote_literal_cstr(number->name));
}

/*
 * Say how many facts of a table have been given another number.
 */
void
NoticeNumber(Merge *merge, FactTable *table, Column *column, int64 count, const char *example)
{
	const char *schema = quote_identifier(TypeSchema(ProvenanceType()));
	char	   *declaration = psprintf("SELECT %s.factmerge_set_sameness(%s, %s)", schema,
									   quote_literal_cstr(QualifiedRelation(table->destination)),
									   ColumnsToDeclare(table, column));

	if (count == 0)
		return;
	ereport(NOTICE,
			(errmsg_plural(INT64_FORMAT " value of column \"%s\" of table \"%s\" is taken in the destination, and drawn anew",
						   INT64_FORMAT " values of column \"%s\" of table \"%s\" are taken in the destination, and drawn anew",
						   (unsigned long) count, count, column->name, table->name),
			 example ? errdetail("%s", example) : 0,
			 merge->dry_run ?
			 errhint("They are among the conflicts. If equal values are the same fact, first declare that: %s.", declaration) :
			 errhint("They are among the conflicts. If equal values are the same fact, take the merge back with factmerge_undo(" INT64_FORMAT "), and merge again after %s.",
					 merge->id, declaration)));
}

/*
 * Say which numbers of a table have been drawn anew.
 */
void
NoticeNumbers(Merge *merge, FactTable *table)
{
	ListCell   *lc;

	foreach(lc, PublicNumbers(table))
	{
		Column	   *column = lfirst(lc);
		char	  **row = SqlFetchRow(merge->snapshot,
									  psprintf("SELECT pg_catalog.count(*), pg_catalog.min(v.key::pg_catalog.text COLLATE pg_catalog.\"C\"),"
											   " pg_catalog.min(v.source_value COLLATE pg_catalog.\"C\") FROM (%s) AS v WHERE v.column_name = %s",
											   NewNumbers(merge, table), quote_literal_cstr(column->name)), NULL);
		int64		count = NoteNumbers(merge, table, column, pg_strtoint64(row[0]));

		if (!merge->slice)
			NoticeNumber(merge, table, column, count,
						 row[2] ? psprintf("Another fact has %s, for example.", quote_literal_cstr(row[2])) : NULL);
	}
}
