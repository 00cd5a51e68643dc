/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  what a schema holds: fact tables, their columns and keys
 *
 * Everything is read from the system catalogs.  The tables of the destination
 * decide: a fact table is one of theirs that the source has under the same
 * name, its columns are those that both have, and its keys are the unique
 * indexes of the destination.  What does not fit is refused here, before
 * anything is written.
 *
 * Out of this follows
 *
 * - which columns hold surrogate keys: those of a key that have an identity, a
 *	 sequence or a random uuid as default;
 * - the address of a fact: a key that both sides enforce, else tableoid and
 *	 ctid;
 * - its sameness: every key without a surrogate column, else a primary key
 *	 that is a random uuid, else the whole row (no key).
 *
 * How tables refer to each other is found in reference.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "compat.h"
#include "factmerge.h"

/* How far off a wrong name may be for a suggestion */
#define SUGGESTION_DISTANCE 3

/*
 * The name of an existing schema that is nearest to a wrong one, or NULL.
 */
static char *
NearestSchema(const char *name)
{
	Relation	catalog = table_open(NamespaceRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0,
										  NULL);
	int			best = SUGGESTION_DISTANCE + 1;
	char	   *nearest = NULL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		char	   *candidate = NameStr(((Form_pg_namespace) GETSTRUCT(tuple))->nspname);
		int			distance = varstr_levenshtein_less_equal(name, strlen(name),
															 candidate,
															 strlen(candidate),
															 1, 1, 1,
															 best, false);

		if (distance < best)
		{
			best = distance;
			nearest = pstrdup(candidate);
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return nearest;
}

/*
 * Find a schema by name, or raise an error that proposes the nearest name.
 */
Oid
FindSchema(const char *name)
{
	Oid			schema = get_namespace_oid(name, true);

	if (!OidIsValid(schema))
	{
		char	   *nearest = NearestSchema(name);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", name),
				 nearest ? errhint("Perhaps you meant schema \"%s\".", nearest) : 0));
	}
	if (!MayUseSchema(schema, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, name);
	return schema;
}

/*
 * Whether a table inherits or is inherited from.
 */
static bool
TakesPartInInheritance(Oid relation)
{
	return has_superclass(relation) ||
		(get_rel_relkind(relation) == RELKIND_RELATION &&
		 list_length(find_inheritance_children(relation, NoLock)) > 0);
}

/*
 * Refuse a table that takes part in inheritance: a fact would be in two tables
 * at once.
 */
static void
RefuseInheritance(Oid relation)
{
	if (TakesPartInInheritance(relation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot merge table \"%s\" because it takes part in inheritance",
						get_rel_name(relation)),
				 errdetail("A row of an inheriting table is a row of its parent, too."),
				 errhint("Use partitioning, or tables of their own.")));
}

static int
CompareRelationNames(const ListCell *a, const ListCell *b)
{
	return strcmp(get_rel_name(lfirst_oid(a)), get_rel_name(lfirst_oid(b)));
}

/*
 * The tables of a schema that hold facts, sorted by name: ordinary,
 * partitioned and (to read from) foreign ones, without partitions and without
 * what belongs to an extension.
 */
static List *
FactRelations(Oid schema, bool foreign)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	List	   *relations = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relispartition ||
			(form->relkind != RELKIND_RELATION &&
			 form->relkind != RELKIND_PARTITIONED_TABLE &&
			 !(foreign && form->relkind == RELKIND_FOREIGN_TABLE)))
			continue;
		if (OidIsValid(getExtensionOfObject(RelationRelationId, form->oid)))
			continue;
		relations = lappend_oid(relations, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(relations, CompareRelationNames);
	return relations;
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
 * Say how a column's values get from one type to the other, or refuse.
 */
static ColumnConversion
ChooseConversion(Relation source, Form_pg_attribute from,
				 Relation destination, Form_pg_attribute to)
{
	Oid			function;

	if (from->atttypid == to->atttypid)
	{
		if (TypmodHolds(to->atttypid, to->atttypmod, from->atttypmod))
			return CONVERT_NOT;
	}
	else if (AreNamesakes(from->atttypid, to->atttypid,
						  RelationGetNamespace(source),
						  RelationGetNamespace(destination)))
		return CONVERT_TEXT;
	else if (find_coercion_pathway(to->atttypid, from->atttypid,
								   COERCION_IMPLICIT, &function) != COERCION_PATH_NONE &&
			 TypmodHolds(to->atttypid, to->atttypmod, from->atttypmod))
		return CONVERT_CAST;

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
static bool
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

static bool
IsProvenanceColumn(const char *name)
{
	return strcmp(name, PROVENANCE_COLUMN) == 0 ||
		strcmp(name, MERGE_COLUMN) == 0;
}

/*
 * The live attribute of that name, or NULL.
 */
static Form_pg_attribute
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
static void
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
		column->nullable = !to->attnotnull || !from->attnotnull;
		column->generated = to->attgenerated != '\0';
		if (source)
			column->conversion = ChooseConversion(source, from, destination, to);
		FindGenerator(destination, to, column);
		table->columns = lappend(table->columns, column);
	}
}

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
 * Make a key of a unique index of the destination, unless the source lacks one
 * of its columns.
 */
static void
DescribeKey(FactTable *table, Relation index, Relation destination)
{
	List	   *names = UniqueIndexColumns(index, destination);
	UniqueKey  *key;
	ListCell   *lc;
	int			i = 0;

	if (names == NIL)
		return;
	key = palloc0(sizeof(UniqueKey));
	key->name = pstrdup(RelationGetRelationName(index));
	key->primary = index->rd_index->indisprimary;
	key->immediate = index->rd_index->indimmediate;
	key->nulls_not_distinct = index->rd_index->indnullsnotdistinct;
	foreach(lc, names)
	{
		Column	   *column = FindColumn(table, lfirst(lc));

		if (column == NULL)
			return;
		column->surrogate = column->new_value != NULL;
		key->columns = lappend(key->columns, column);
		key->operators = lappend_oid(key->operators,
									 get_opfamily_member(index->rd_opfamily[i],
														 index->rd_opcintype[i],
														 index->rd_opcintype[i],
														 BTEqualStrategyNumber));
		key->collations = lappend_oid(key->collations, index->rd_indcollation[i]);
		i++;
	}
	if (key->primary)
		table->keys = lcons(key, table->keys);
	else
		table->keys = lappend(table->keys, key);
}

/*
 * Describe the keys of a table, the primary key first, and note constraints
 * that are checked by triggers rather than by the index.
 */
static void
DescribeKeys(FactTable *table, Relation destination)
{
	List	   *indexes = RelationGetIndexList(destination);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		DescribeKey(table, index, destination);
		if (!index->rd_index->indimmediate)
			table->deferred_keys = lappend_oid(table->deferred_keys,
											   RelationGetRelid(index));
		index_close(index, AccessShareLock);
	}
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

static Column *
SystemColumn(const char *name, Oid type)
{
	Column	   *column = palloc0(sizeof(Column));

	column->name = pstrdup(name);
	column->type = type;
	column->typmod = -1;
	column->system = true;
	return column;
}

/*
 * Choose what addresses a fact: the first key that both sides enforce and
 * that holds no nulls, else where the row lies.
 */
static void
ChooseAddress(FactTable *table, Relation source)
{
	ListCell   *lc;

	foreach(lc, table->keys)
	{
		UniqueKey  *key = lfirst(lc);
		bool		usable = key->immediate;
		ListCell   *column;

		foreach(column, key->columns)
			usable &= !((Column *) lfirst(column))->nullable;
		if (usable && (source == NULL || SourceEnforces(source, key)))
		{
			table->keyed = true;
			table->address = key->columns;
			return;
		}
	}
	table->address = list_make2(SystemColumn("tableoid", OIDOID),
								SystemColumn("ctid", TIDOID));
}

/*
 * Choose the keys that say that two facts are the same.
 */
static void
ChooseSameness(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->keys)
	{
		UniqueKey  *key = lfirst(lc);
		bool		natural = true;
		ListCell   *column;

		foreach(column, key->columns)
			natural &= !((Column *) lfirst(column))->surrogate;
		if (natural)
			table->sameness = lappend(table->sameness, key);
	}
	if (table->sameness != NIL)
		return;

	/* A random uuid is the same wherever it went, so it can stay */
	foreach(lc, table->keys)
	{
		UniqueKey  *key = lfirst(lc);
		bool		random = key->primary;
		ListCell   *column;

		foreach(column, key->columns)
			random &= ((Column *) lfirst(column))->random ||
				!((Column *) lfirst(column))->surrogate;
		if (!random)
			continue;
		foreach(column, key->columns)
			((Column *) lfirst(column))->surrogate = false;
		table->sameness = list_make1(key);
		return;
	}
}

/*
 * Describe one fact table.  source is invalid where one schema is looked at
 * by itself.
 */
static FactTable *
DescribeTable(Oid source, Oid destination)
{
	FactTable  *table = palloc0(sizeof(FactTable));
	Relation	to = table_open(destination, AccessShareLock);
	Relation	from = NULL;

	if (OidIsValid(source))
		from = table_open(source, AccessShareLock);
	table->name = pstrdup(RelationGetRelationName(to));
	table->source = source;
	table->destination = destination;
	table->owner = to->rd_rel->relowner;
	table->partitioned = to->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	table->has_tags = FindAttribute(to, PROVENANCE_COLUMN) != NULL &&
		FindAttribute(to, MERGE_COLUMN) != NULL;
	DescribeColumns(table, from, to);
	DescribeKeys(table, to);
	ChooseAddress(table, from);
	ChooseSameness(table);
	if (from)
		table_close(from, AccessShareLock);
	table_close(to, AccessShareLock);
	return table;
}

/*
 * Refuse tables that only the source has: their facts would be lost.
 */
static void
RefuseSourceOnlyTables(List *sources, Oid destination)
{
	ListCell   *lc;

	foreach(lc, sources)
	{
		char	   *name = get_rel_name(lfirst_oid(lc));
		Oid			twin = get_relname_relid(name, destination);

		if (OidIsValid(twin) &&
			(get_rel_relkind(twin) == RELKIND_RELATION ||
			 get_rel_relkind(twin) == RELKIND_PARTITIONED_TABLE))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("only the source has table \"%s\"", name),
				 errdetail("The merge would lose its facts."),
				 errhint("Create the table in schema \"%s\", or drop or move the one of the source.",
						 get_namespace_name(destination))));
	}
}

/*
 * Describe the tables that only the destination has.  They take no part in the
 * merge, but their rows are facts that handlers may look at.
 */
static List *
DescribeOthers(List *relations, List *tables)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, relations)
		if (!TakesPartInInheritance(lfirst_oid(lc)))
		others = lappend(others, DescribeTable(InvalidOid, lfirst_oid(lc)));
	RelateOthers(others, tables);
	return others;
}

/*
 * Describe the fact tables that two schemas have in common, in walk order, and
 * the other tables of the destination.  Raises an error for anything that
 * cannot be merged.
 */
List *
DescribeSchemas(Oid source, Oid destination, List **others)
{
	List	   *sources = FactRelations(source, true);
	List	   *tables = NIL;
	List	   *common = NIL;
	List	   *destination_only = NIL;
	ListCell   *lc;

	foreach(lc, FactRelations(destination, false))
	{
		Oid			twin = get_relname_relid(get_rel_name(lfirst_oid(lc)), source);

		if (list_member_oid(sources, twin))
			common = lappend_oid(common, lfirst_oid(lc));
		else
			destination_only = lappend_oid(destination_only, lfirst_oid(lc));
	}
	if (common == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("schemas \"%s\" and \"%s\" have no table in common",
						get_namespace_name(source), get_namespace_name(destination)),
				 errdetail("A fact table is present under the same name in both schemas."),
				 errhint("Create the tables in both schemas, or check the names of the schemas.")));
	RefuseSourceOnlyTables(sources, destination);
	foreach(lc, common)
	{
		Oid			twin = get_relname_relid(get_rel_name(lfirst_oid(lc)), source);

		RefuseInheritance(lfirst_oid(lc));
		RefuseInheritance(twin);
		tables = lappend(tables, DescribeTable(twin, lfirst_oid(lc)));
	}
	tables = RelateTables(tables);
	*others = DescribeOthers(destination_only, tables);
	return tables;
}

/*
 * Describe the fact tables of one schema by itself, in walk order.
 */
List *
DescribeSchema(Oid schema)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, FactRelations(schema, false))
	{
		RefuseInheritance(lfirst_oid(lc));
		tables = lappend(tables, DescribeTable(InvalidOid, lfirst_oid(lc)));
	}
	return RelateTables(tables);
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
		return psprintf("%s::pg_catalog.text", alias);
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
