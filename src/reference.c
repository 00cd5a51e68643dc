/*-------------------------------------------------------------------------
 *
 * reference.c
 *	  how fact tables refer to each other, and what follows from it
 *
 * Foreign keys are taken from either side; twins become one reference.  Out of
 * them follows
 *
 * - the walk order: referenced tables first.  Tables that refer to each other
 *	 in a circle make a component, and stand next to each other;
 * - which columns are remapped, that is, may have another value in the
 *	 destination although the fact is the same: surrogate keys, columns
 *	 in which facts that are the same may differ, those that the destination may make
 *	 something else of, and what refers to a remapped column;
 * - what a key map has to hold: the address of a fact, and whatever remapped
 *	 references lead to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "eventlog.h"
#include "factmerge.h"

/*
 * The fact table that a relation of the source is, or NULL.
 */
static FactTable *
FindSourceTable(List *tables, Oid relation)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		if (table->source == relation)
			return table;
	}
	return NULL;
}

/*
 * Translate attribute numbers into columns; NIL if one of them is not common
 * to both sides.
 */
static List *
ColumnsOfAttributes(FactTable *table, Oid relation, AttrNumber *numbers, int count)
{
	List	   *columns = NIL;

	for (int i = 0; i < count; i++)
	{
		Column	   *column = FindColumn(table,
										get_attname(relation, numbers[i], false));

		if (column == NULL)
			return NIL;
		columns = lappend(columns, column);
	}
	return columns;
}

/*
 * Whether two references are of the same columns.
 */
static bool
SameColumns(Reference *a, Reference *b)
{
	ListCell   *x;
	ListCell   *y;

	if (list_length(a->columns) != list_length(b->columns))
		return false;
	forboth(x, a->columns, y, b->columns)
		if (lfirst(x) != lfirst(y))
		return false;
	return true;
}

/*
 * Whether the foreign keys of two sides say the same.
 */
static bool
SameReference(Reference *a, Reference *b)
{
	ListCell   *x;
	ListCell   *y;

	if (a->target != b->target || a->target_relation != b->target_relation ||
		!SameColumns(a, b))
		return false;
	forboth(x, a->target_names, y, b->target_names)
		if (strcmp(lfirst(x), lfirst(y)) != 0)
		return false;
	return true;
}

/*
 * The fact table that a relation of one side is, or is a partition of; or NULL.
 */
static FactTable *
FindTarget(List *tables, Oid relation, bool source)
{
	if (get_rel_relispartition(relation))
		relation = llast_oid(get_partition_ancestors(relation));
	return source ? FindSourceTable(tables, relation) : FindTable(tables, relation);
}

/*
 * Make a reference of a foreign key of one side; NULL if one of its columns is
 * not common to both.
 */
static Reference *
MakeReference(List *tables, FactTable *table, ForeignKeyCacheInfo *key, bool source)
{
	Reference  *reference = palloc0(sizeof(Reference));

	reference->name = get_constraint_name(key->conoid);
	reference->table = table;
	reference->target = FindTarget(tables, key->confrelid, source);
	/* What is in a partition of the source may be in another one of the destination */
	reference->target_relation = source && reference->target ?
		reference->target->destination : key->confrelid;
	reference->columns = ColumnsOfAttributes(table, key->conrelid, key->conkey,
											 key->nkeys);
	if (reference->columns == NIL)
		return NULL;
	if (reference->target)
	{
		reference->target_columns = ColumnsOfAttributes(reference->target,
														key->confrelid,
														key->confkey, key->nkeys);
		if (reference->target_columns == NIL)
			return NULL;
	}
	for (int i = 0; i < key->nkeys; i++)
	{
		Oid			operator = key->conpfeqop[i];

		/* The types may be others in the destination */
		if (reference->target && source)
			operator = EqualityOperator(((Column *)
										 list_nth(reference->target_columns, i))->type);
		reference->operators = lappend_oid(reference->operators,
										   UsableOperator(operator,
														  ((Column *) list_nth(reference->columns, i))->type));
		reference->target_names = lappend(reference->target_names,
										  get_attname(key->confrelid,
													  key->confkey[i], false));
	}
	return reference;
}

/*
 * Refuse a foreign key to a period, which no single fact has to cover.
 */
static void
RefusePeriod(FactTable *table, ForeignKeyCacheInfo *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot merge table \"%s\" because its foreign key \"%s\" refers to a period",
					table->name, get_constraint_name(key->conoid)),
			 errdetail("Several facts may make up for the period together, so there is none to translate the reference to."),
			 errhint("Let an ordinary foreign key refer to a single fact instead.")));
}

/*
 * Add a foreign key of one side to the references of its table, or to the
 * reference that the other side's twin became.
 */
static void
AddReference(List *tables, FactTable *table, ForeignKeyCacheInfo *key, bool source)
{
	Reference  *reference;
	HeapTuple	tuple;
	Form_pg_constraint form;
	bool		holds;
	bool		full;
	bool		inherited;
	bool		period;
	ListCell   *lc;

	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key->conoid);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	holds = HoldsForEveryRow(form);
	full = form->confmatchtype == FKCONSTR_MATCH_FULL;
	inherited = OidIsValid(form->conparentid);
	period = RefersToPeriod(form);
	ReleaseSysCache(tuple);

	if (period && OidIsValid(table->source))
		RefusePeriod(table, key);
	/* One to a partitioned table has a clone for each partition */
	if (inherited || period)
		return;
	reference = MakeReference(tables, table, key, source);
	if (reference == NULL)
		return;

	foreach(lc, table->references)
	{
		Reference  *twin = lfirst(lc);

		if (SameReference(twin, reference))
		{
			/* The destination comes first */
			if (source)
			{
				twin->in_source = true;
				twin->full_in_source = full && holds;
				twin->proven = holds;
				twin->closed &= holds;
			}
			return;
		}
	}
	reference->in_source = source;
	reference->in_destination = !source;
	reference->full = !source && full;
	reference->proven = source && holds;
	reference->closed = !source && holds;
	table->references = lappend(table->references, reference);
}

static int
CompareReferences(const ListCell *a, const ListCell *b)
{
	Reference  *x = lfirst(a);
	Reference  *y = lfirst(b);

	if (list_length(x->columns) != list_length(y->columns))
		return list_length(x->columns) - list_length(y->columns);
	return strcmp(x->name, y->name);
}

/*
 * Whether two foreign keys, of whatever relations, refer from columns of the same names
 * to the same ones.
 */
static bool
SayTheSame(ForeignKeyCacheInfo *a, ForeignKeyCacheInfo *b)
{
	if (a->confrelid != b->confrelid || a->nkeys != b->nkeys)
		return false;
	for (int i = 0; i < a->nkeys; i++)
		if (a->confkey[i] != b->confkey[i] ||
			strcmp(get_attname(a->conrelid, a->conkey[i], false),
				   get_attname(b->conrelid, b->conkey[i], false)) != 0)
			return false;
	return true;
}

/*
 * The partitions of a relation that hold rows.
 */
static List *
Leaves(Oid relation)
{
	List	   *leaves = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_PARTITIONED_TABLE)
			leaves = lappend_oid(leaves, lfirst_oid(lc));
	return leaves;
}

/*
 * Whether a foreign key of one partition is one of all.
 */
static bool
AllHave(List *leaves, ForeignKeyCacheInfo *key)
{
	ListCell   *lc;
	ListCell   *k;

	foreach(lc, leaves)
	{
		bool		found = false;

		foreach(k, OwnForeignKeys(lfirst_oid(lc)))
			found |= SayTheSame(lfirst(k), key);
		if (!found)
			return false;
	}
	return true;
}

/*
 * Add the references of one side; what each partition has declared for itself is as good
 * as declared for the table.
 */
static void
AddReferencesOfRelation(List *tables, FactTable *table, Oid relation, bool source)
{
	Relation	rel = table_open(relation, AccessShareLock);
	List	   *keys = copyObject(RelationGetFKeyList(rel));
	List	   *leaves = NIL;
	ListCell   *lc;

	foreach(lc, keys)
		AddReference(tables, table, lfirst(lc), source);
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		leaves = Leaves(relation);
	foreach(lc, leaves ? OwnForeignKeys(linitial_oid(leaves)) : NIL)
		if (AllHave(leaves, lfirst(lc)))
			AddReference(tables, table, lfirst(lc), source);
	table_close(rel, AccessShareLock);
}

/*
 * Whether the columns of a foreign key are translated as it demands, given the fact table
 * that it refers to.
 */
static bool
IsTranslatedFor(FactTable *table, FactTable *target, ForeignKeyCacheInfo *key)
{
	for (int i = 0; i < key->nkeys; i++)
	{
		Column	   *column = FindColumn(table, get_attname(key->conrelid, key->conkey[i], false));
		Column	   *to = FindColumn(target, get_attname(key->confrelid, key->confkey[i], false));

		if (column && to && to->remapped &&
			(column->reference == NULL || column->reference->target != target ||
			 list_nth(column->reference->target_columns, column->reference_column) != to))
			return false;
	}
	return true;
}

/*
 * Refuse foreign keys that only some partitions of a side have, and by which values would
 * have to be translated: elsewhere in the table, the same column refers to nothing.
 */
static void
RefuseKeysOfPartitions(List *tables, FactTable *table, Oid relation, bool source)
{
	ListCell   *lc;
	ListCell   *k;

	if (!OidIsValid(table->source) || get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, Leaves(relation))
		foreach(k, OwnForeignKeys(lfirst_oid(lc)))
	{
		ForeignKeyCacheInfo *key = lfirst(k);
		FactTable  *target = FindTarget(tables, key->confrelid, source);

		if (target && !IsTranslatedFor(table, target, key))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot merge table \"%s\" because only some of its partitions have foreign key \"%s\"",
							table->name, get_constraint_name(key->conoid)),
					 errdetail("What partition %s refers to has other keys in the destination than in the source, and the column refers to nothing in other partitions.",
							   QualifiedRelation(key->conrelid)),
					 errhint("Declare the foreign key on table %s as a whole.", QualifiedRelation(relation))));
	}
}

/*
 * Describe who refers to whom.
 */
static void
DescribeReferences(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);
		ListCell   *r;

		AddReferencesOfRelation(tables, table, table->destination, false);
		if (OidIsValid(table->source))
			AddReferencesOfRelation(tables, table, table->source, true);
		list_sort(table->references, CompareReferences);
		foreach(r, table->references)
		{
			Reference  *reference = lfirst(r);

			reference->number = foreach_current_index(r) + 1;
			reference->closed &= reference->in_source && reference->in_destination;
			if (reference->target)
				reference->target->referrers = lappend(reference->target->referrers,
													   reference);
		}
	}
}

/*
 * Number the components: tables that can reach each other by references share
 * one.  Reachability is closed by Warshall's algorithm on sets.
 */
static void
FindComponents(List *tables)
{
	int			count = list_length(tables);
	Bitmapset **reach = palloc0(sizeof(Bitmapset *) * count);

	for (int i = 0; i < count; i++)
	{
		FactTable  *table = list_nth(tables, i);
		ListCell   *lc;

		table->component = i;
		foreach(lc, table->references)
		{
			FactTable  *target = ((Reference *) lfirst(lc))->target;

			if (target)
				for (int j = 0; j < count; j++)
					if (list_nth(tables, j) == target)
						reach[i] = bms_add_member(reach[i], j);
		}
	}
	for (int k = 0; k < count; k++)
		for (int i = 0; i < count; i++)
			if (bms_is_member(k, reach[i]))
				reach[i] = bms_add_members(reach[i], reach[k]);
	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			if (bms_is_member(j, reach[i]) && bms_is_member(i, reach[j]))
			{
				((FactTable *) list_nth(tables, i))->component =
					((FactTable *) list_nth(tables, j))->component;
				break;
			}
}

/*
 * Whether all that the tables of a component refer to outside of it stands
 * already.
 */
static bool
CanFollow(List *tables, int component, List *placed)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		if (table->component != component)
			continue;
		foreach(r, table->references)
		{
			FactTable  *target = ((Reference *) lfirst(r))->target;

			if (target && target->component != component &&
				!list_member_ptr(placed, target))
				return false;
		}
	}
	return true;
}

/*
 * Whether a table of this component has been placed and another has not.
 */
static bool
ComponentIsOpen(List *tables, List *placed, int component)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		if (table->component == component && list_member_ptr(placed, table))
			return true;
	}
	return false;
}

/*
 * Put referenced tables first, and keep components together.  Within these
 * bounds the order is that of the names.
 */
static List *
WalkOrder(List *tables)
{
	List	   *placed = NIL;

	FindComponents(tables);
	while (list_length(placed) < list_length(tables))
	{
		FactTable  *next = NULL;
		ListCell   *lc;

		foreach(lc, tables)
		{
			FactTable  *table = lfirst(lc);

			if (list_member_ptr(placed, table) ||
				!CanFollow(tables, table->component, placed))
				continue;
			if (next == NULL || ComponentIsOpen(tables, placed, table->component))
				next = table;
			if (ComponentIsOpen(tables, placed, table->component))
				break;
		}
		placed = lappend(placed, next);
		next->position = list_length(placed);
	}
	return placed;
}

/*
 * Whether the source says that the values of a reference refer to something
 * else than the destination says: they stay as they are.
 */
static bool
IsContradicted(Reference *reference)
{
	ListCell   *lc;

	if (reference->in_source)
		return false;
	foreach(lc, reference->table->references)
	{
		Reference  *other = lfirst(lc);

		if (other->in_source && SameColumns(other, reference))
			return true;
	}
	return false;
}

/*
 * Let one reference pass on that what it refers to is remapped; returns
 * whether that was news.
 */
static bool
SpreadRemapping(Reference *reference)
{
	bool		news = false;
	ListCell   *lc;
	int			i = 0;

	if (reference->target == NULL || reference->log || IsContradicted(reference))
		return false;
	foreach(lc, reference->columns)
	{
		Column	   *column = lfirst(lc);
		Column	   *target = list_nth(reference->target_columns, i);

		if (target->remapped && column->reference == NULL)
		{
			column->reference = reference;
			column->reference_column = i;
			column->remapped = true;
			reference->remapped = true;
			news = true;
		}
		i++;
	}
	return news;
}

/*
 * Find the columns whose values change between source and destination.
 */
static void
FindRemappedColumns(List *tables)
{
	bool		news = true;
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		foreach(c, table->references)
			((Reference *) lfirst(c))->remapped = ((Reference *) lfirst(c))->log != NULL;
		foreach(c, table->columns)
		{
			Column	   *column = lfirst(c);

			column->reference = NULL;
			column->remapped = column->surrogate || column->public_number || column->computed || column->rekeyable ||
				!IsSameIn(table, column);
		}
	}
	while (news)
	{
		news = false;
		foreach(lc, tables)
			foreach(c, ((FactTable *) lfirst(lc))->references)
			news |= SpreadRemapping(lfirst(c));
	}
}

static void
AddMapColumn(FactTable *table, Column *column)
{
	if (column->map_number > 0)
		return;
	table->map_columns = lappend(table->map_columns, column);
	column->map_number = list_length(table->map_columns);
}

/*
 * Choose what the key map of each table holds: its address, and what remapped
 * references lead to.
 */
static void
ChooseMapColumns(List *tables)
{
	ListCell   *lc;
	ListCell   *r;
	ListCell   *c;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		foreach(c, table->address)
			AddMapColumn(table, lfirst(c));
		foreach(r, table->referrers)
		{
			Reference  *reference = lfirst(r);

			if (reference->remapped)
				foreach(c, reference->target_columns)
					AddMapColumn(table, lfirst(c));
		}
	}
}

/*
 * Derive all that follows from how tables refer to each other; returns them in
 * walk order.
 */
List *
RelateTables(List *tables)
{
	ListCell   *lc;

	DescribeReferences(tables);
	RelateEventLog(tables);
	tables = WalkOrder(tables);
	NoteRekeyable(tables);
	FindRemappedColumns(tables);
	while (NoteComputedColumns(tables))
		FindRemappedColumns(tables);
	RefuseComputed(tables);
	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		RefuseKeysOfPartitions(tables, table, table->destination, false);
		if (OidIsValid(table->source))
			RefuseKeysOfPartitions(tables, table, table->source, true);
	}
	ChooseMapColumns(tables);
	return tables;
}

/*
 * Describe what the destination's other tables refer to, among themselves and
 * among the fact tables.  No side but the destination knows of them.
 */
void
RelateOthers(List *others, List *tables)
{
	List	   *all = list_concat_copy(tables, others);
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, others)
	{
		FactTable  *other = lfirst(lc);

		AddReferencesOfRelation(all, other, other->destination, false);
		foreach(r, other->references)
			((Reference *) lfirst(r))->closed = false;
	}
}

/*
 * That row "from" of the destination refers to row "to" by a reference.
 */
char *
RefersTo(Reference *reference, const char *from, const char *to)
{
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, reference->columns)
	{
		int			i = foreach_current_index(lc);
		Column	   *column = lfirst(lc);

		AppendSeparator(&sql, " AND ", &first);
		AppendEquality(&sql,
					   psprintf("%s.%s", to, quote_identifier(list_nth(reference->target_names, i))),
					   list_nth_oid(reference->operators, i),
					   reference->log ? LoggedKey(reference, from, false) :
					   psprintf("%s.%s", from, quote_identifier(column->name)),
					   column->collation);
	}
	return sql.data;
}
