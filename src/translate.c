/*-------------------------------------------------------------------------
 *
 * translate.c
 *	  SQL that sees a fact of the source as the destination would write it
 *
 * All of it speaks of a row of the source under the alias s, joined with the
 * key maps of what it refers to under r1, r2, ... (the numbers of the
 * references).  A value that does not change is the source's, converted to the
 * destination's type; a remapped reference is what the key map says.
 *
 * The key map thereby proves the reference.  Should the source hold a
 * reference that leads nowhere (its foreign key is missing, or not valid),
 * or lead to a fact whose counterpart has a null in that place, then
 * factmerge.missing_reference() raises the error where the value is looked up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "eventlog.h"
#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_missing_reference);

/*
 * factmerge.missing_reference(text, anyelement, boolean) raises the error for a
 * reference of the source that leads nowhere, or to a fact whose counterpart
 * cannot be referred to.
 */
Datum
factmerge_missing_reference(PG_FUNCTION_ARGS)
{
	Oid			output;
	bool		varlena;

	getTypeOutputInfo(get_fn_expr_argtype(fcinfo->flinfo, 1), &output, &varlena);
	if (PG_GETARG_BOOL(2))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("a reference of the source cannot be kept"),
				 errdetail("What has the value %s that foreign key \"%s\" refers to is a null in the fact of the destination that is the same.",
						   OidOutputFunctionCall(output, PG_GETARG_DATUM(1)),
						   text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("Complete the fact of the destination, or refer to a key that is never null.")));
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("a fact of the source refers to a fact that is not there"),
			 errdetail("Nothing in the source has the value %s that foreign key \"%s\" demands.",
					   OidOutputFunctionCall(output, PG_GETARG_DATUM(1)),
					   text_to_cstring(PG_GETARG_TEXT_PP(0))),
			 errhint("Mend the source's references, and validate its foreign keys.")));
	PG_RETURN_NULL();			/* keep compiler quiet */
}

/*
 * Append a value of the source's row in the destination's type.
 */
void
AppendSourceValue(StringInfo sql, Column *column)
{
	const char *name = quote_identifier(column->name);

	switch (column->conversion)
	{
		case CONVERT_NOT:
			appendStringInfo(sql, "s.%s", name);
			break;
		case CONVERT_CAST:
			appendStringInfo(sql, "s.%s::%s", name,
							 TypeText(column->type, column->typmod));
			break;
		case CONVERT_TEXT:
			appendStringInfo(sql, "s.%s::pg_catalog.text::%s", name,
							 TypeText(column->type, column->typmod));
			break;
	}
	if (column->recollated)
		appendStringInfo(sql, " COLLATE %s", QualifiedCollation(column->collation));
}

/*
 * The same by itself.
 */
char *
SourceValue(Column *column)
{
	StringInfoData sql;

	initStringInfo(&sql);
	AppendSourceValue(&sql, column);
	return sql.data;
}

/*
 * The column of the target that a remapped column refers to.
 */
static Column *
TargetColumn(Column *column)
{
	return list_nth(column->reference->target_columns, column->reference_column);
}

/*
 * Append a comparison, both sides under the same collation; without an operator
 * as text.
 */
void
AppendEquality(StringInfo sql, const char *left, Oid operator,
			   const char *right, Oid collation)
{
	if (!OidIsValid(operator))
	{
		appendStringInfo(sql, "(%s)::pg_catalog.text = (%s)::pg_catalog.text COLLATE pg_catalog.\"C\"",
						 left, right);
		return;
	}
	appendStringInfoString(sql, left);
	AppendOperator(sql, operator);
	appendStringInfoString(sql, right);
	if (OidIsValid(collation))
		appendStringInfo(sql, " COLLATE %s", QualifiedCollation(collation));
}

/*
 * Whether a reference is needed to translate what is not drafted yet.
 */
static bool
IsStillNeeded(FactTable *table, Reference *reference)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if ((reference->log ? reference->log->key == column : column->reference == reference) &&
			!column->drafted && column->map_number == 0)
			return true;
	}
	return false;
}

/*
 * SQL for the value by which column i of a reference, of row s of the source, is looked
 * up among those of its target.
 */
char *
LookupValue(Reference *reference, int i)
{
	Column	   *column = list_nth(reference->columns, i);
	Column	   *target = list_nth(reference->target_columns, i);

	if (column->misfit || target->misfit)
		return psprintf("s.%s::%s", quote_identifier(column->name), TypeText(target->source_type, -1));
	return reference->log ? LoggedKey(reference, "s", true) : SourceValue(column);
}

/*
 * Append that such a value is that which the target's column has, which is called by a
 * prefix and its number in the key map.
 */
void
AppendLookedUp(StringInfo sql, Reference *reference, int i, const char *prefix, const char *value)
{
	Column	   *column = list_nth(reference->columns, i);
	Column	   *target = list_nth(reference->target_columns, i);
	bool		misfit = column->misfit || target->misfit;

	AppendEquality(sql, psprintf("%s%d", prefix, target->map_number),
				   misfit ? EqualityOperator(target->source_type) : list_nth_oid(reference->operators, i),
				   value, misfit ? target->source_collation : target->collation);
}

/*
 * Append that column i of a reference of the source, of row s, has the value that the
 * target's column has.
 */
void
AppendLookup(StringInfo sql, Reference *reference, int i, const char *prefix)
{
	AppendLookedUp(sql, reference, i, prefix, LookupValue(reference, i));
}

/*
 * Append that a fact s of the source refers to the one that row r1, r2, ... of a key
 * map is about.
 */
void
AppendReferenceJoin(StringInfo sql, Reference *reference)
{
	bool		first = true;

	for (int i = 0; i < list_length(reference->columns); i++)
	{
		AppendSeparator(sql, " AND ", &first);
		AppendLookup(sql, reference, i, psprintf("r%d.source_", reference->number));
	}
}

/*
 * Append the source table of a fact, as s, and the key maps that its remapped
 * columns go through; with rest, only those that the draft leaves to do.
 */
void
AppendSourceRow(StringInfo sql, Merge *merge, FactTable *table, bool rest)
{
	ListCell   *lc;

	appendStringInfo(sql, "%s AS s", SourceFacts(table));
	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (!reference->remapped || (rest && !IsStillNeeded(table, reference)))
			continue;
		appendStringInfo(sql, " LEFT JOIN %s AS r%d ON ",
						 reference->target->map, reference->number);
		AppendReferenceJoin(sql, reference);
		/* Until it is settled, a key map may hold pairs of earlier merges */
		if (!reference->target->settled)
			appendStringInfo(sql, " AND r%d.merge_id %s " INT64_FORMAT, reference->number,
							 reference->target->supposed ? "<>" : "=", merge->id);
	}
}

/*
 * Append a value of the source's row as the destination will hold it.  Where
 * the key map does not have what it refers to, the result is otherwise.
 */
static void
AppendTranslation(StringInfo sql, Column *column, const char *otherwise)
{
	Reference  *reference = column->reference;
	ListCell   *lc;
	bool		first = true;

	if (reference == NULL)
	{
		if (column->log)
			AppendLogTranslation(sql, column);
		else
			AppendSourceValue(sql, column);
		return;
	}
	/* A domain would become its base type in the CASE */
	appendStringInfo(sql, "(CASE WHEN r%d.destination_%d IS NOT NULL THEN r%d.destination_%d::%s WHEN ",
					 reference->number, TargetColumn(column)->map_number,
					 reference->number, TargetColumn(column)->map_number,
					 TypeText(column->type, column->typmod));
	foreach(lc, reference->columns)
	{
		AppendSeparator(sql, " OR ", &first);
		appendStringInfo(sql, "s.%s IS NULL",
						 quote_identifier(((Column *) lfirst(lc))->name));
	}
	/* What does not fit is a null there, and an error has no value */
	if (column->misfit)
		appendStringInfo(sql, " THEN NULL ELSE (%s)::pg_catalog.text::%s END)", otherwise,
						 TypeText(column->type, column->typmod));
	else
		appendStringInfo(sql, " THEN %s ELSE %s END)", SourceValue(column), otherwise);
	appendStringInfo(sql, "::%s", TypeText(column->type, column->typmod));
	if (TargetColumn(column)->collation != column->collation && OidIsValid(column->collation))
		appendStringInfo(sql, " COLLATE %s", QualifiedCollation(column->collation));
}

/*
 * Append a value of the source's row as the destination will hold it, with an
 * error for a reference that leads nowhere.
 */
void
AppendTranslated(StringInfo sql, Column *column)
{
	AppendTranslation(sql, column,
					  column->reference == NULL ? NULL :
					  psprintf("factmerge.missing_reference(%s, %s, r%d.source_%d IS NOT NULL)",
							   quote_literal_cstr(column->reference->name),
							   SourceValue(column), column->reference->number,
							   TargetColumn(column)->map_number));
}

/*
 * Append the same value for a comparison with the destination's facts.  There
 * a reference that is not mapped (yet) equals nothing; and where a plain column
 * will do, the planner knows more about it.
 */
void
AppendMatched(StringInfo sql, Column *column)
{
	if (column->reference && list_length(column->reference->columns) == 1)
		appendStringInfo(sql, "r%d.destination_%d::%s", column->reference->number,
						 TargetColumn(column)->map_number,
						 TypeText(column->type, column->typmod));
	else
		AppendTranslation(sql, column, "NULL");
}

/*
 * Append that two values of a column are the same, both of the source or both of the
 * destination.
 */
void
AppendSameOnSide(StringInfo sql, Column *column, bool source, const char *left, const char *right)
{
	AppendEquality(sql, left, EqualityOperator(source ? column->source_type : column->type),
				   right, source ? column->source_collation : column->collation);
}

/*
 * Append that a row is the one that a row of the key map stands for on one
 * side (source or destination).
 */
void
AppendMapJoin(StringInfo sql, FactTable *table, const char *map,
			  const char *side, const char *alias)
{
	bool		source = strcmp(side, "source") == 0;
	bool		first = true;
	ListCell   *lc;

	/* As SourceValue() calls them */
	Assert(!source || strcmp(alias, "s") == 0);
	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		AppendSeparator(sql, " AND ", &first);
		AppendSameOnSide(sql, column, source,
						 psprintf("%s.%s_%d", map, side, column->map_number),
						 source ? SourceValue(column) :
						 psprintf("%s.%s", alias, quote_identifier(column->name)));
	}
}

/*
 * Append that two addresses of a side are the same, each given by a prefix of the
 * numbers of its columns, as in "m.source_" and "x.s".
 */
void
AppendSameAddress(StringInfo sql, FactTable *table, Side side, const char *left, const char *right)
{
	ListCell   *lc;

	foreach(lc, table->address)
	{
		Column	   *column = lfirst(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, " AND ");
		AppendSameOnSide(sql, column, side == SIDE_SOURCE,
						 psprintf("%s%d", left, column->map_number),
						 psprintf("%s%d", right, column->map_number));
	}
}

/*
 * The columns that tell facts apart where no key does: all but surrogate keys
 * and what is generated from other columns.
 */
List *
WholeRow(FactTable *table)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (!column->surrogate && !column->generated)
			columns = lappend(columns, column);
	}
	return columns;
}

/*
 * Some columns without public numbers, which a copy may have got otherwise.
 */
List *
WithoutNumbers(List *columns)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		if (!((Column *) lfirst(lc))->public_number)
		others = lappend(others, lfirst(lc));
	return others;
}

static char *
Matched(Column *column)
{
	StringInfoData sql;

	initStringInfo(&sql);
	AppendMatched(&sql, column);
	return sql.data;
}

/*
 * Append that two rows are equal in some columns, whose values are given as SQL for
 * either of them, by the operators of an index (NIL: those of the types; what has
 * none is compared as text).  With nulls_equal two nulls are equal, too.
 *
 * Only an equality can drive a hash join, and none of SQL's lets nulls be
 * equal, except that of records: so the nullable columns are compared as two
 * records.
 */
void
AppendEqualValues(StringInfo sql, List *columns, List *operators, List *collations,
				  bool nulls_equal, List *lefts, List *rights)
{
	StringInfoData left_record;
	StringInfoData right_record;
	bool		first = true;
	bool		first_in_record = true;
	ListCell   *lc;

	initStringInfo(&left_record);
	initStringInfo(&right_record);
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);
		int			i = foreach_current_index(lc);
		Oid			operator = operators ? list_nth_oid(operators, i) :
			EqualityOperator(column->type);
		Oid			collation = collations ? list_nth_oid(collations, i) :
			column->collation;
		char	   *left = list_nth(lefts, i);
		char	   *right = list_nth(rights, i);
		Oid			type = column->type;

		if (!OidIsValid(operator))
		{
			left = psprintf("%s::pg_catalog.text", left);
			right = psprintf("%s::pg_catalog.text", right);
			type = TEXTOID;
			operator = TextEqualOperator;
			collation = C_COLLATION_OID;
		}
		if (nulls_equal && column->nullable && HasHash(type))
		{
			AppendSeparator(&left_record, ", ", &first_in_record);
			if (right_record.len > 0)
				appendStringInfoString(&right_record, ", ");
			appendStringInfoString(&left_record, left);
			appendStringInfoString(&right_record, right);
			continue;
		}
		AppendSeparator(sql, " AND ", &first);
		appendStringInfoChar(sql, '(');
		AppendEquality(sql, left, operator, right, collation);
		if (nulls_equal && column->nullable)
			appendStringInfo(sql, " OR %s IS NULL AND %s IS NULL", left, right);
		appendStringInfoChar(sql, ')');
	}
	if (left_record.len > 0)
	{
		AppendSeparator(sql, " AND ", &first);
		appendStringInfo(sql, "ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.=) ROW(%s)::pg_catalog.record",
						 left_record.data, right_record.data);
	}
}

/*
 * Append that the source's row equals a row of the destination in some columns, as
 * above.
 */
void
AppendRowEquality(StringInfo sql, List *columns, List *operators,
				  List *collations, bool nulls_equal, const char *alias)
{
	List	   *lefts = NIL;
	List	   *rights = NIL;
	ListCell   *lc;

	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);

		lefts = lappend(lefts, psprintf("%s.%s", alias, quote_identifier(column->name)));
		rights = lappend(rights, psprintf("(%s)", Matched(column)));
	}
	AppendEqualValues(sql, columns, operators, collations, nulls_equal, lefts, rights);
}
