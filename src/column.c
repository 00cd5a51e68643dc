/*-------------------------------------------------------------------------
 *
 * column.c
 *	  the columns that both sides of a fact table have
 *
 * What does not fit is refused here: a column that only the source has, and a
 * type of the destination that does not hold every value of the source's.
 * Types that live in each of the two schemas under one name (enums, domains,
 * composite and range types, and arrays of them) are compared member by member.
 * So is found which columns the database generates the values of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "factmerge.h"

static bool TypeFits(Oid from, int32 from_typmod, Oid to, int32 to_typmod,
					 Oid source_schema, Oid destination_schema,
					 ColumnConversion *conversion);

/* The two numbers in a numeric's type modifier */
static int
NumericPrecision(int32 typmod)
{
	return ((typmod - VARHDRSZ) >> 16) & 0xffff;
}

static int
NumericScale(int32 typmod)
{
	return (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
}

/*
 * Whether a type modifier holds whatever another one of the same type holds.
 */
static bool
TypmodHolds(Oid type, int32 wide, int32 narrow)
{
	if (wide < 0 || wide == narrow)
		return true;
	if (narrow < 0)
		return false;
	switch (type)
	{
		case BPCHAROID:
		case VARCHAROID:
		case VARBITOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return wide >= narrow;
		case NUMERICOID:
			return NumericScale(wide) >= NumericScale(narrow) &&
				NumericPrecision(wide) - NumericScale(wide) >=
				NumericPrecision(narrow) - NumericScale(narrow);
		default:
			return false;
	}
}

/*
 * Whether two types (or their elements) are namesakes, one in each schema.
 */
static bool
AreNamesakes(Oid source_type, Oid destination_type,
			 Oid source_schema, Oid destination_schema)
{
	HeapTuple	source;
	HeapTuple	destination;
	Form_pg_type s;
	Form_pg_type d;
	bool		result;

	if (OidIsValid(get_element_type(source_type)) &&
		OidIsValid(get_element_type(destination_type)))
		return AreNamesakes(get_element_type(source_type),
							get_element_type(destination_type),
							source_schema, destination_schema);

	source = SearchSysCache1(TYPEOID, ObjectIdGetDatum(source_type));
	destination = SearchSysCache1(TYPEOID, ObjectIdGetDatum(destination_type));
	if (!HeapTupleIsValid(source) || !HeapTupleIsValid(destination))
		elog(ERROR, "cache lookup failed for type %u or %u", source_type,
			 destination_type);
	s = (Form_pg_type) GETSTRUCT(source);
	d = (Form_pg_type) GETSTRUCT(destination);
	result = s->typnamespace == source_schema &&
		d->typnamespace == destination_schema &&
		s->typtype == d->typtype &&
		strcmp(NameStr(s->typname), NameStr(d->typname)) == 0;
	ReleaseSysCache(source);
	ReleaseSysCache(destination);
	return result;
}

/*
 * The labels of an enum, in their order.
 */
static List *
EnumLabels(Oid type)
{
	List	   *labels = NIL;
	Relation	catalog = table_open(EnumRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, EnumTypIdSortOrderIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		labels = lappend(labels,
						 pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return labels;
}

/*
 * Refuse an enum of the source with labels that the destination's lacks.
 */
static void
RefuseMissingLabels(Oid source, Oid destination)
{
	List	   *labels = EnumLabels(destination);
	ListCell   *lc;
	ListCell   *l;

	foreach(lc, EnumLabels(source))
	{
		bool		found = false;

		foreach(l, labels)
			found |= strcmp(lfirst(l), lfirst(lc)) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("type %s lacks a label of type %s",
							TypeText(destination, -1), TypeText(source, -1)),
					 errdetail("Only the source's has label \"%s\".", (char *) lfirst(lc)),
					 errhint("Add it with ALTER TYPE %s ADD VALUE %s.",
							 TypeText(destination, -1), quote_literal_cstr(lfirst(lc)))));
	}
}

/*
 * Refuse composite types that do not have the same attributes in the same
 * order, since values go from one to the other as text.
 */
static void
RefuseOtherAttributes(Oid source, Oid destination,
					  Oid source_schema, Oid destination_schema)
{
	TupleDesc	from = lookup_rowtype_tupdesc(source, -1);
	TupleDesc	to = lookup_rowtype_tupdesc(destination, -1);
	int			i = 0;
	int			j = 0;

	for (;;)
	{
		Form_pg_attribute a;
		Form_pg_attribute b;

		while (i < from->natts && TupleDescAttr(from, i)->attisdropped)
			i++;
		while (j < to->natts && TupleDescAttr(to, j)->attisdropped)
			j++;
		if (i == from->natts && j == to->natts)
			break;
		a = i < from->natts ? TupleDescAttr(from, i++) : NULL;
		b = j < to->natts ? TupleDescAttr(to, j++) : NULL;
		if (a == NULL || b == NULL ||
			strcmp(NameStr(a->attname), NameStr(b->attname)) != 0 ||
			!TypeFits(a->atttypid, a->atttypmod, b->atttypid, b->atttypmod,
					  source_schema, destination_schema, NULL))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("types %s and %s differ in their attributes",
							TypeText(source, -1), TypeText(destination, -1)),
					 a && b ? errdetail("Where the source has %s %s, the destination has %s %s.",
										quote_identifier(NameStr(a->attname)),
										format_type_with_typemod(a->atttypid, a->atttypmod),
										quote_identifier(NameStr(b->attname)),
										format_type_with_typemod(b->atttypid, b->atttypmod)) :
					 errdetail("Only one of them has attribute %s.",
							   quote_identifier(NameStr(a ? a->attname : b->attname))),
					 errhint("Give both types the same attributes in the same order.")));
	}
	ReleaseTupleDesc(from);
	ReleaseTupleDesc(to);
}

/*
 * Refuse namesakes of which the source's holds values that the destination's
 * does not, as far as the catalogs tell; what the checks of a domain refuse is
 * seen when its values are converted.
 */
static void
RefuseUnlikeNamesakes(Oid source, Oid destination,
					  Oid source_schema, Oid destination_schema)
{
	while (OidIsValid(get_element_type(source)))
	{
		source = get_element_type(source);
		destination = get_element_type(destination);
	}
	switch (get_typtype(source))
	{
		case TYPTYPE_ENUM:
			RefuseMissingLabels(source, destination);
			break;
		case TYPTYPE_COMPOSITE:
			RefuseOtherAttributes(source, destination, source_schema,
								  destination_schema);
			break;
		default:
			break;
	}
}

/*
 * Whether an implicit cast loses digits or characters nevertheless.
 */
static bool
IsLossy(Oid from, Oid to)
{
	from = getBaseType(from);
	switch (getBaseType(to))
	{
		case FLOAT4OID:
			return from == INT4OID || from == INT8OID || from == NUMERICOID;
		case FLOAT8OID:
			return from == INT8OID || from == NUMERICOID;
		case NAMEOID:
			return from != NAMEOID;
		default:
			return false;
	}
}

/*
 * Whether a type of the destination holds every value of one of the source,
 * and if so, how values get from one to the other.
 */
static bool
TypeFits(Oid from, int32 from_typmod, Oid to, int32 to_typmod,
		 Oid source_schema, Oid destination_schema, ColumnConversion *conversion)
{
	ColumnConversion ignored;
	Oid			function;

	if (conversion == NULL)
		conversion = &ignored;
	if (from == to)
	{
		*conversion = CONVERT_NOT;
		return TypmodHolds(to, to_typmod, from_typmod);
	}
	if (AreNamesakes(from, to, source_schema, destination_schema))
	{
		RefuseUnlikeNamesakes(from, to, source_schema, destination_schema);
		*conversion = CONVERT_TEXT;
		return true;
	}
	*conversion = CONVERT_CAST;
	return find_coercion_pathway(to, from, COERCION_IMPLICIT,
								 &function) != COERCION_PATH_NONE &&
		!IsLossy(from, to) && TypmodHolds(to, to_typmod, from_typmod);
}

/*
 * Say how a column's values get from one type to the other, or refuse.
 */
static ColumnConversion
ChooseConversion(Relation source, Form_pg_attribute from,
				 Relation destination, Form_pg_attribute to)
{
	ColumnConversion conversion;

	if (TypeFits(from->atttypid, from->atttypmod, to->atttypid, to->atttypmod,
				 RelationGetNamespace(source), RelationGetNamespace(destination),
				 &conversion))
		return conversion;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table \"%s\" does not fit",
					NameStr(to->attname), RelationGetRelationName(destination)),
			 errdetail("Its type is %s in the source and %s in the destination.",
					   format_type_with_typemod(from->atttypid, from->atttypmod),
					   format_type_with_typemod(to->atttypid, to->atttypmod)),
			 errhint("Give the column of the destination a type that holds every value of the source.")));
	return CONVERT_NOT;			/* keep compiler quiet */
}

/*
 * Whether there is a nextval() anywhere in a default, as in a cast of it;
 * *sequence becomes its sequence, if that is a constant.
 */
static bool
ContainsNextval(Node *node, Oid *sequence)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == F_NEXTVAL)
	{
		Node	   *argument = linitial(((FuncExpr *) node)->args);

		if (IsA(argument, Const) && !((Const *) argument)->constisnull)
			*sequence = DatumGetObjectId(((Const *) argument)->constvalue);
		return true;
	}
	return expression_tree_walker(node, ContainsNextval, sequence);
}

/*
 * Whether a foreign key says what a column holds.
 */
bool
IsReferring(Relation relation, AttrNumber column)
{
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(relation))
	{
		ForeignKeyCacheInfo *key = lfirst(lc);

		for (int i = 0; i < key->nkeys; i++)
			if (key->conkey[i] == column)
				return true;
	}
	return false;
}

/*
 * Set new_value if the database generates the values of a column.  A foreign
 * key outweighs a default.
 */
static void
FindGenerator(Relation relation, Form_pg_attribute attribute, Column *column)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	if (IsReferring(relation, attribute->attnum))
		return;
	if (attribute->attidentity != '\0')
	{
		column->sequence = IdentitySequence(relation, attribute->attnum);
		column->new_value = psprintf("pg_catalog.nextval(%u::pg_catalog.oid)",
									 column->sequence);
		return;
	}
	if (!attribute->atthasdef || attribute->attgenerated != '\0')
		return;
	for (int i = 0; i < constr->num_defval; i++)
	{
		Node	   *expression;

		if (constr->defval[i].adnum != attribute->attnum)
			continue;
		expression = stringToNode(constr->defval[i].adbin);
		column->random = getBaseType(attribute->atttypid) == UUIDOID &&
			contain_volatile_functions(expression);
		if (column->random || ContainsNextval(expression, &column->sequence))
			column->new_value =
				deparse_expression(expression,
								   deparse_context_for(RelationGetRelationName(relation),
													   RelationGetRelid(relation)),
								   false, false);
	}
}

/*
 * Whether a column is one of those that factmerge adds.
 */
bool
IsProvenanceColumn(const char *name)
{
	return strcmp(name, PROVENANCE_COLUMN) == 0 ||
		strcmp(name, MERGE_COLUMN) == 0;
}

/*
 * The live attribute of that name, or NULL.
 */
Form_pg_attribute
FindAttribute(Relation relation, const char *name)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (!attribute->attisdropped &&
			strcmp(NameStr(attribute->attname), name) == 0)
			return attribute;
	}
	return NULL;
}

/*
 * The column of that name, or NULL if not both sides have it.
 */
Column *
FindColumn(FactTable *table, const char *name)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

/*
 * The names of some columns.
 */
List *
ColumnNames(List *columns)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		names = lappend(names, ((Column *) lfirst(lc))->name);
	return names;
}

/*
 * Refuse columns that only the source has: their values would be lost.
 */
static void
RefuseSourceOnlyColumns(Relation source, Relation destination)
{
	TupleDesc	tupdesc = RelationGetDescr(source);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		char	   *name = NameStr(TupleDescAttr(tupdesc, i)->attname);

		if (!TupleDescAttr(tupdesc, i)->attisdropped &&
			!IsProvenanceColumn(name) &&
			FindAttribute(destination, name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("only the source has column \"%s\" of table \"%s\"",
							name, RelationGetRelationName(source)),
					 errdetail("The merge would lose its values."),
					 errhint("Add the column to %s, or drop it from the source.",
							 QualifiedRelation(RelationGetRelid(destination)))));
	}
}

/*
 * Describe the columns that both sides of a table have.
 */
void
DescribeColumns(FactTable *table, Relation source, Relation destination)
{
	TupleDesc	tupdesc = RelationGetDescr(destination);

	if (source)
		RefuseSourceOnlyColumns(source, destination);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute to = TupleDescAttr(tupdesc, i);
		Form_pg_attribute from = to;
		Column	   *column;

		if (to->attisdropped)
			continue;
		if (IsProvenanceColumn(NameStr(to->attname)))
			continue;
		if (source && (from = FindAttribute(source, NameStr(to->attname))) == NULL)
			continue;

		column = palloc0(sizeof(Column));
		column->name = pstrdup(NameStr(to->attname));
		column->number = to->attnum;
		column->type = to->atttypid;
		column->typmod = to->atttypmod;
		column->collation = to->attcollation;
		column->recollated = OidIsValid(to->attcollation) &&
			to->attcollation != from->attcollation;
		column->nullable = !to->attnotnull ||
			(!from->attnotnull && !(source && source->rd_rel->relkind == RELKIND_FOREIGN_TABLE));
		column->generated = to->attgenerated != '\0';
		if (source)
			column->conversion = ChooseConversion(source, from, destination, to);
		FindGenerator(destination, to, column);
		table->columns = lappend(table->columns, column);
	}
}

