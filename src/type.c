/*-------------------------------------------------------------------------
 *
 * type.c
 *	  whether a type of the destination holds every value of one of the source
 *
 * A type fits if it is the same one, or if an implicit cast widens the other to
 * it without losing anything.  Types that live in each of the two schemas under
 * one name (enums, domains, composite and range types, and arrays of them) fit
 * if their members do; their values go from one to the other as text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "factmerge.h"

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
 * Note an enum of the source with labels that the destination's lacks.
 */
static void
NoteMissingLabels(Oid source, Oid destination, List **misfits)
{
	List	   *labels = EnumLabels(destination);
	StringInfoData missing;
	bool		first = true;
	ListCell   *lc;
	ListCell   *l;

	initStringInfo(&missing);
	foreach(lc, EnumLabels(source))
	{
		bool		found = false;

		foreach(l, labels)
			found |= strcmp(lfirst(l), lfirst(lc)) == 0;
		if (found)
			continue;
		AppendSeparator(&missing, ", ", &first);
		appendStringInfoString(&missing, quote_literal_cstr(lfirst(lc)));
	}
	if (!first)
		NoteMisfit(misfits, ERRCODE_DATATYPE_MISMATCH,
				   psprintf("type %s lacks labels of type %s",
							TypeText(destination, -1), TypeText(source, -1)),
				   psprintf("Only the source's has %s.", missing.data),
				   psprintf("Add them with ALTER TYPE %s ADD VALUE.",
							TypeText(destination, -1)));
}

/*
 * Note composite types that do not have the same attributes in the same
 * order, since values go from one to the other as text.
 */
static void
NoteOtherAttributes(Oid source, Oid destination,
					Oid source_schema, Oid destination_schema, List **misfits)
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
					  source_schema, destination_schema, NULL, misfits))
		{
			NoteMisfit(misfits, ERRCODE_DATATYPE_MISMATCH,
					   psprintf("types %s and %s differ in their attributes",
								TypeText(source, -1), TypeText(destination, -1)),
					   a && b ? psprintf("Where the source has %s %s, the destination has %s %s.",
										 quote_identifier(NameStr(a->attname)),
										 format_type_with_typemod(a->atttypid, a->atttypmod),
										 quote_identifier(NameStr(b->attname)),
										 format_type_with_typemod(b->atttypid, b->atttypmod)) :
					   psprintf("Only one of them has attribute %s.",
								quote_identifier(NameStr(a ? a->attname : b->attname))),
					   "Give both types the same attributes in the same order.");
			break;
		}
	}
	ReleaseTupleDesc(from);
	ReleaseTupleDesc(to);
}

/*
 * Whether a namesake of the destination holds every value of the source's, as
 * far as the catalogs tell; what the checks of a domain refuse is seen when its
 * values are converted.
 */
static bool
NamesakeFits(Oid source, Oid destination, Oid source_schema, Oid destination_schema, List **misfits)
{
	int32		source_typmod = -1;
	int32		destination_typmod = -1;

	while (OidIsValid(get_element_type(source)))
	{
		source = get_element_type(source);
		destination = get_element_type(destination);
	}
	switch (get_typtype(source))
	{
		case TYPTYPE_ENUM:
			NoteMissingLabels(source, destination, misfits);
			return true;
		case TYPTYPE_COMPOSITE:
			NoteOtherAttributes(source, destination, source_schema,
								destination_schema, misfits);
			return true;
		case TYPTYPE_DOMAIN:
			source = getBaseTypeAndTypmod(source, &source_typmod);
			destination = getBaseTypeAndTypmod(destination, &destination_typmod);
			break;
		case TYPTYPE_MULTIRANGE:
			source = get_range_subtype(get_multirange_range(source));
			destination = get_range_subtype(get_multirange_range(destination));
			break;
		case TYPTYPE_RANGE:
			source = get_range_subtype(source);
			destination = get_range_subtype(destination);
			break;
		default:
			return true;
	}
	return TypeFits(source, source_typmod, destination, destination_typmod,
					source_schema, destination_schema, NULL, misfits);
}

/*
 * Whether an implicit cast loses digits or characters nevertheless.
 */
static bool
IsLossy(Oid from, Oid to)
{
	switch (to)
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
 * and if so, how values get from one to the other.  What is to be done about types of
 * the same name is noted.
 */
bool
TypeFits(Oid from, int32 from_typmod, Oid to, int32 to_typmod,
		 Oid source_schema, Oid destination_schema, ColumnConversion *conversion,
		 List **misfits)
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
		*conversion = CONVERT_TEXT;
		return NamesakeFits(from, to, source_schema, destination_schema, misfits);
	}
	*conversion = CONVERT_CAST;
	from = getBaseTypeAndTypmod(from, &from_typmod);
	to = getBaseTypeAndTypmod(to, &to_typmod);
	return (from == to ||
			find_coercion_pathway(to, from, COERCION_IMPLICIT,
								  &function) != COERCION_PATH_NONE) &&
		!IsLossy(from, to) && TypmodHolds(to, to_typmod, from_typmod);
}
