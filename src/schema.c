/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  what a schema holds: its fact tables
 *
 * Everything is read from the system catalogs.  The tables of the destination
 * decide: a fact table is one of theirs that the source has under the same
 * name, and that nobody has declared to be ignored.  What does not fit is
 * refused here, before anything is written.
 *
 * What a table is made of is found in column.c and key.c, how tables refer to
 * each other in reference.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
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
 * pg_temp is that of the session's temporary tables.
 */
Oid
FindSchema(const char *name)
{
	Oid			schema = strcmp(name, "pg_temp") == 0 ?
		LookupExplicitNamespace(name, true) : get_namespace_oid(name, true);

	if (!OidIsValid(schema))
	{
		char	   *nearest = NearestSchema(name);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", name),
				 nearest ? errhint("Perhaps you meant schema \"%s\".", nearest) : 0));
	}
	if (isOtherTempNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access temporary tables of other sessions")));
	if (!MayUseSchema(schema, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, name);
	return schema;
}

static int
CompareRelationNames(const ListCell *a, const ListCell *b)
{
	return strcmp(get_rel_name(lfirst_oid(a)), get_rel_name(lfirst_oid(b)));
}

/*
 * The relations of a schema of some kinds (a string of relkinds), sorted by
 * name, without partitions and without what belongs to an extension.
 */
static List *
RelationsOfKind(Oid schema, const char *kinds)
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

		if (form->relispartition || strchr(kinds, form->relkind) == NULL)
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
 * The tables of a destination that hold facts: ordinary and partitioned ones
 * that are not to be ignored.
 */
List *
FactRelations(Oid schema)
{
	return list_difference_oid(RelationsOfKind(schema, "rp"), IgnoredTables());
}

/* The names of relations, for a message */
static char *
RelationNames(List *relations)
{
	StringInfoData names;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, relations)
	{
		AppendSeparator(&names, ", ", &first);
		appendStringInfo(&names, "\"%s\"", get_rel_name(lfirst_oid(lc)));
	}
	return names.data;
}

/*
 * Say that views are no fact tables.
 */
void
NoticeViews(Oid source, Oid destination)
{
	List	   *views = RelationsOfKind(source, "vm");
	List	   *materialized = RelationsOfKind(destination, "m");

	if (views == NIL)
		return;
	ereport(NOTICE,
			(errmsg("views of the source are left alone"),
			 errdetail("They hold no facts of their own: %s.", RelationNames(views)),
			 materialized == NIL ? 0 :
			 errhint("Refresh the materialized views of the destination after the merge: %s.",
					 RelationNames(materialized))));
}

/*
 * Refuse a destination that would be written to somewhere else.
 */
static void
RefuseForeignPartitions(Relation relation)
{
	ListCell   *lc;

	if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, find_all_inheritors(RelationGetRelid(relation), NoLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot merge into table \"%s\"", RelationGetRelationName(relation)),
				 errdetail("Its partition \"%s\" is a foreign table.",
						   get_rel_name(lfirst_oid(lc))),
				 errhint("Merge on the server that has the partition.")));
}

/*
 * Describe one fact table.  source is invalid where one schema is looked at
 * by itself.
 */
FactTable *
DescribeTable(Oid source, Oid destination)
{
	FactTable  *table = palloc0(sizeof(FactTable));
	Relation	to = table_open(destination, AccessShareLock);
	Relation	from = NULL;

	if (OidIsValid(source))
	{
		from = table_open(source, AccessShareLock);
		RefuseForeignPartitions(to);
	}
	table->name = pstrdup(RelationGetRelationName(to));
	table->source = source;
	table->destination = destination;
	table->owner = to->rd_rel->relowner;
	table->partitioned = to->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	table->has_tags = HasTags(to);
	DescribeColumns(table, from, to);
	DescribeKeys(table, from, to);
	ChooseAddress(table, from);
	/* A declaration may name a column that is missing, which is said later */
	if (table->misfits == NIL)
		ChooseSameness(table);
	if (from)
		table_close(from, AccessShareLock);
	table_close(to, AccessShareLock);
	return table;
}

/*
 * Note tables that only the source has: their facts would be lost.
 */
static void
NoteSourceOnlyTables(List **misfits, List *sources, Oid destination)
{
	List	   *ignored = IgnoredTables();
	ListCell   *lc;

	foreach(lc, sources)
	{
		char	   *name = get_rel_name(lfirst_oid(lc));
		Oid			twin = get_relname_relid(name, destination);

		if (list_member_oid(ignored, OidIsValid(twin) ? twin : lfirst_oid(lc)))
			continue;
		if (OidIsValid(twin) &&
			(get_rel_relkind(twin) == RELKIND_RELATION ||
			 get_rel_relkind(twin) == RELKIND_PARTITIONED_TABLE))
			continue;
		if (!OidIsValid(twin) && IsParent(lfirst_oid(lc)))
		{
			NoteParent(misfits, lfirst_oid(lc), InvalidOid);
			continue;
		}
		NoteMisfit(misfits, ERRCODE_UNDEFINED_TABLE,
				   psprintf("only the source has table \"%s\"", name),
				   OidIsValid(twin) ? "What the destination has under this name cannot hold its facts." :
				   "The merge would lose its facts.",
				   psprintf("Create the table in schema \"%s\", or declare with factmerge_ignore(%s) that it holds no facts.",
							get_namespace_name(destination), quote_literal_cstr(QualifiedRelation(lfirst_oid(lc)))));
	}
}

/*
 * Those of the tables of the destination that are views in the source.
 */
static List *
ViewsOfTables(Oid source, List *destinations)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, RelationsOfKind(source, "vm"))
	{
		ListCell   *d;

		foreach(d, destinations)
			if (strcmp(get_rel_name(lfirst_oid(lc)), get_rel_name(lfirst_oid(d))) == 0)
			views = lappend_oid(views, lfirst_oid(lc));
	}
	return views;
}

/* What to do about a view, or some */
#define VIEW_HINT "Put what a view shows into a table of that name in another schema, and merge that; or leave the destination's table out with factmerge_ignore()."

/*
 * Note views that bear the names of tables: somebody expects their rows to be merged.
 */
static void
NoteViewsOfTables(List **misfits, List *views)
{
	ListCell   *lc;

	foreach(lc, views)
		NoteMisfit(misfits, ERRCODE_WRONG_OBJECT_TYPE,
				   psprintf("view \"%s\" of the source bears the name of a fact table", get_rel_name(lfirst_oid(lc))),
				   "Views hold no facts of their own, so the merge would not take what it shows.", VIEW_HINT);
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
		if (!IsParent(lfirst_oid(lc)))
		others = lappend(others, DescribeTable(InvalidOid, lfirst_oid(lc)));
	RelateOthers(others, tables);
	return others;
}

/*
 * Refuse two schemas without a fact table in common.
 */
static void
RefuseNothingInCommon(Oid source, Oid destination, List *views)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("schemas \"%s\" and \"%s\" have no table in common",
					get_namespace_name(source), get_namespace_name(destination)),
			 views == NIL ? errdetail("A fact table is present under the same name in both schemas.") :
			 errdetail("A fact table is present under the same name in both schemas. Views of the source hold no facts of their own: %s.",
					   RelationNames(views)),
			 views == NIL ? errhint("Create the tables in both schemas, or check the names of the schemas.") :
			 errhint("%s", VIEW_HINT)));
}

/*
 * Describe the fact tables of the destination that the source has, too; those that it has
 * not come to destination_only.  Parents of others are left out, or noted.
 */
static List *
DescribeCommon(Oid source, List *sources, List *destinations, List **destination_only, List **misfits)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, destinations)
	{
		Oid			relation = lfirst_oid(lc);
		Oid			twin = get_relname_relid(get_rel_name(relation), source);
		FactTable  *table;

		if (!list_member_oid(sources, twin))
		{
			*destination_only = lappend_oid(*destination_only, relation);
			continue;
		}
		if (IsParent(relation) || IsParent(twin))
		{
			NoteParent(misfits, relation, twin);
			continue;
		}
		NoteDistributed(misfits, list_make1_oid(twin));
		table = DescribeTable(twin, relation);
		NoteAll(misfits, table->misfits);
		tables = lappend(tables, table);
	}
	return tables;
}

/*
 * Describe the fact tables that two schemas have in common, in walk order, and
 * the other tables of the destination.  Raises an error for anything that
 * cannot be merged, all at once.
 */
List *
DescribeSchemas(Oid source, Oid destination, List **others)
{
	List	   *sources = RelationsOfKind(source, "rpf");
	List	   *destinations = FactRelations(destination);
	List	   *views = ViewsOfTables(source, destinations);
	List	   *destination_only = NIL;
	List	   *misfits = NIL;
	List	   *tables;

	NoteDistributed(&misfits, destinations);
	tables = DescribeCommon(source, sources, destinations, &destination_only, &misfits);
	if (tables == NIL && misfits == NIL)
		RefuseNothingInCommon(source, destination, views);
	NoteSourceOnlyTables(&misfits, sources, destination);
	NoteViewsOfTables(&misfits, views);
	tables = RelateTables(tables);
	NoteMisfits(&misfits, tables);
	RefuseNoted(misfits, psprintf("schema \"%s\" cannot be merged into schema \"%s\" as they are",
								  get_namespace_name(source), get_namespace_name(destination)));
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
	List	   *misfits = NIL;
	List	   *relations = FactRelations(schema);
	ListCell   *lc;

	NoteDistributed(&misfits, relations);
	foreach(lc, relations)
		if (IsParent(lfirst_oid(lc)))
			NoteParent(&misfits, lfirst_oid(lc), InvalidOid);
		else
			tables = lappend(tables, DescribeTable(InvalidOid, lfirst_oid(lc)));
	RefuseNoted(misfits, psprintf("tables of schema \"%s\" cannot be merged as they are", get_namespace_name(schema)));
	return RelateTables(tables);
}

/*
 * The table that a relation of the destination is, or NULL.
 */
FactTable *
FindTable(List *tables, Oid relation)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);

		if (table->destination == relation)
			return table;
	}
	return NULL;
}
