/*-------------------------------------------------------------------------
 *
 * column.c
 *	  the columns that both sides of a fact table have
 *
 * What does not fit is refused here: a column that only the source has, and one
 * whose type does not hold every value of the source's (type.c).  Here, too, is
 * found which columns the database generates the values of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "eventlog.h"
#include "factmerge.h"
#include "samerule.h"

/*
 * Choose how a column's values get from one type to the other, or note that they
 * do not.  Whether they have to is seen later, see NoteMisfits().
 */
static void
ChooseConversion(FactTable *table, Column *column, Relation source, Form_pg_attribute from,
				 Relation destination, Form_pg_attribute to)
{
	if (TypeFits(from->atttypid, from->atttypmod, to->atttypid, to->atttypmod,
				 RelationGetNamespace(source), RelationGetNamespace(destination),
				 &column->conversion, &table->misfits))
		return;
	column->misfit = psprintf("Its type is %s in the source and %s in the destination.",
							  format_type_with_typemod(from->atttypid, from->atttypmod),
							  format_type_with_typemod(to->atttypid, to->atttypmod));
	column->conversion = CONVERT_NOT;
	column->recollated = false;
	column->source_type = from->atttypid;
	column->source_collation = from->attcollation;
}

/*
 * Whether the source's values of a column are never taken, but only looked up: the
 * database draws others, or the key map has what a reference becomes.
 */
static bool
IsLookedUpOnly(FactTable *table, Column *column)
{
	if (column->generated || column->log || (table->rule && table->rule->condition))
		return false;
	if (column->reference)
		return list_length(column->reference->columns) == 1;
	return column->surrogate;
}

/*
 * Note columns whose values do not fit and would be taken.  An event log may name keys as
 * text, which says nothing of their type.
 */
void
NoteMisfits(List **misfits, List *tables)
{
	bool		logged = FindEventLog(tables) != NULL;
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		foreach(c, table->columns)
		{
			Column	   *column = lfirst(c);

			if (column->misfit && !(IsLookedUpOnly(table, column) && !logged))
				NoteMisfit(misfits, ERRCODE_DATATYPE_MISMATCH,
						   psprintf("column \"%s\" of table \"%s\" does not fit", column->name, table->name),
						   column->misfit,
						   "Give the column of the destination a type that holds every value of the source.");
		}
	}
}

/*
 * Whether there is a nextval() anywhere in a default, as in a cast of it;
 * *sequence becomes its sequence, if that is a constant.
 */
static bool
ContainsNextval(Node *node, void *sequence)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == F_NEXTVAL)
	{
		Node	   *argument = linitial(((FuncExpr *) node)->args);

		if (IsA(argument, Const) && !((Const *) argument)->constisnull)
			*(Oid *) sequence = DatumGetObjectId(((Const *) argument)->constvalue);
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
 * The default of a column, or that of its domain; NULL if there is none.
 */
static Node *
DefaultOf(Relation relation, Form_pg_attribute attribute)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; attribute->atthasdef && i < constr->num_defval; i++)
		if (constr->defval[i].adnum == attribute->attnum)
			return stringToNode(constr->defval[i].adbin);
	return get_typdefault(attribute->atttypid);
}

/*
 * Set new_value if a default generates values.
 */
static void
TakeDefault(Relation relation, Node *expression, Column *column)
{
	column->random = getBaseType(column->type) == UUIDOID &&
		contain_volatile_functions(expression);
	if (column->random || ContainsNextval(expression, &column->sequence))
		column->new_value =
			deparse_expression(expression,
							   deparse_context_for(RelationGetRelationName(relation),
												   RelationGetRelid(relation)),
							   false, false);
}

/*
 * Set new_value if the database generates the values of a column.  A foreign
 * key outweighs a default.
 */
static void
FindGenerator(Relation relation, Form_pg_attribute attribute, Column *column)
{
	if (IsReferring(relation, attribute->attnum))
		return;
	if (attribute->attidentity != '\0')
	{
		column->sequence = IdentitySequence(relation, attribute->attnum);
		column->new_value = psprintf("pg_catalog.nextval(%u::pg_catalog.oid)",
									 column->sequence);
		return;
	}
	if (attribute->attgenerated == '\0')
		TakeDefault(relation, DefaultOf(relation, attribute), column);
}

/*
 * The sequence that a column's values are drawn from, or InvalidOid.
 */
static Oid
SequenceBehind(Relation relation, Form_pg_attribute attribute)
{
	Column		column = {.type = attribute->atttypid};

	FindGenerator(relation, attribute, &column);
	return column.sequence;
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
 * Whether a table has the columns that factmerge adds.
 */
bool
HasTags(Relation relation)
{
	Form_pg_attribute provenance = FindAttribute(relation, PROVENANCE_COLUMN);
	Form_pg_attribute merge = FindAttribute(relation, MERGE_COLUMN);

	return provenance != NULL && merge != NULL &&
		provenance->atttypid == ProvenanceType() && merge->atttypid == INT8OID;
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
 * Note columns that only the source has: their values would be lost.
 */
static void
NoteSourceOnlyColumns(FactTable *table, Relation source, Relation destination)
{
	TupleDesc	tupdesc = RelationGetDescr(source);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		char	   *name = NameStr(TupleDescAttr(tupdesc, i)->attname);

		if (!TupleDescAttr(tupdesc, i)->attisdropped &&
			!(IsProvenanceColumn(name) && HasTags(source)) &&
			FindAttribute(destination, name) == NULL)
			NoteMisfit(&table->misfits, ERRCODE_UNDEFINED_COLUMN,
					   psprintf("only the source has column \"%s\" of table \"%s\"",
								name, RelationGetRelationName(source)),
					   "The merge would lose its values.",
					   psprintf("Add the column to %s.", QualifiedRelation(RelationGetRelid(destination))));
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
		NoteSourceOnlyColumns(table, source, destination);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute to = TupleDescAttr(tupdesc, i);
		Form_pg_attribute from = to;
		Column	   *column;

		if (to->attisdropped)
			continue;
		if (IsProvenanceColumn(NameStr(to->attname)))
			continue;
		column = palloc0(sizeof(Column));
		column->type = to->atttypid;
		if (source && (from = FindAttribute(source, NameStr(to->attname))) == NULL)
		{
			FindGenerator(destination, to, column);
			if (OidIsValid(column->sequence))
				table->other_sequences = lappend_oid(table->other_sequences,
													 column->sequence);
			continue;
		}
		column->name = pstrdup(NameStr(to->attname));
		column->number = to->attnum;
		column->typmod = to->atttypmod;
		column->collation = to->attcollation;
		column->recollated = OidIsValid(to->attcollation) &&
			to->attcollation != from->attcollation;
		column->nullable = !IsNeverNull(destination, to) ||
			(source && !IsNeverNull(source, from) && source->rd_rel->relkind != RELKIND_FOREIGN_TABLE);
		column->generated = to->attgenerated != '\0';
		column->source_type = column->type;
		column->source_collation = column->collation;
		if (source)
			ChooseConversion(table, column, source, from, destination, to);
		FindGenerator(destination, to, column);
		if (source && OidIsValid(column->sequence))
			column->source_sequence = SequenceBehind(source, from);
		table->columns = lappend(table->columns, column);
	}
}

