/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  the one place for differences between versions of PostgreSQL
 *
 * 16: object_ownercheck() replaced pg_class_ownercheck(), object_aclcheck()
 *	   replaced pg_proc_aclcheck() and pg_namespace_aclcheck(), and
 *	   stringToQualifiedNameList() can report errors softly.  A query keeps the
 *	   permissions that it needs apart from its range table.  Anti-joins come
 *	   both ways round.
 * 17: getIdentitySequence() takes a Relation.
 *	   REINDEX and ANALYZE have a search_path of their own.
 * 18: PG_MODULE_MAGIC_EXT(); ExecutorRun() is called only once; RETURNING is a
 *	   clause rather than a list; GROUP BY has an entry of its own in the range
 *	   table.  A foreign key may be NOT ENFORCED, or refer to a period; NOT NULL
 *	   may be NOT VALID.  Generated columns may be virtual: no row holds them, so
 *	   whoever takes rows as they are has to compute them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_COMPAT_H
#define FACTMERGE_COMPAT_H

#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/regproc.h"
#include "utils/rel.h"

/* Whether a role owns a relation. */
static inline bool
OwnsRelation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, role);
#else
	return pg_class_ownercheck(relation, role);
#endif
}

/* Whether a role may call a function. */
static inline bool
MayExecute(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role,
						   ACL_EXECUTE) == ACLCHECK_OK;
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

/* Whether a role may look things up in a schema. */
static inline bool
MayUseSchema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role,
						   ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* The parts of a possibly qualified name. */
static inline List *
ParseQualifiedName(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(name, NULL);
#else
	return stringToQualifiedNameList(name);
#endif
}

/* The sequence behind an identity column. */
static inline Oid
IdentitySequence(Relation relation, AttrNumber column)
{
#if PG_VERSION_NUM >= 170000
	return getIdentitySequence(relation, column, false);
#else
	return getIdentitySequence(RelationGetRelid(relation), column, false);
#endif
}

/* Whether a foreign key holds for every row. */
static inline bool
HoldsForEveryRow(Form_pg_constraint constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->convalidated && constraint->conenforced;
#else
	return constraint->convalidated;
#endif
}

/* Whether a foreign key has to hold for new rows. */
static inline bool
IsEnforced(Form_pg_constraint constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->conenforced;
#else
	return true;
#endif
}

/* Whether a foreign key refers to a period, which several rows may cover together. */
static inline bool
RefersToPeriod(Form_pg_constraint constraint)
{
#if PG_VERSION_NUM >= 180000
	return constraint->conperiod;
#else
	return false;
#endif
}

/* Whether a column is not null in any row. */
static inline bool
IsNeverNull(Relation relation, Form_pg_attribute attribute)
{
#if PG_VERSION_NUM >= 180000
	return TupleDescCompactAttr(RelationGetDescr(relation),
								attribute->attnum - 1)->attnullability == ATTNULLABLE_VALID;
#else
	return attribute->attnotnull;
#endif
}

/*
 * What the values of a virtual generated column are computed by, over range table
 * entry 1; NULL for columns that are stored.
 */
static inline Node *
VirtualColumn(Relation relation, AttrNumber column)
{
#if PG_VERSION_NUM >= 180000
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);

	if (!attribute->attisdropped && attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
		return build_generation_expression(relation, column);
#endif
	return NULL;
}

/* Replace the virtual generated columns that a trigger's condition looks at. */
static inline Node *
ExpandVirtualColumns(Node *condition, Relation relation, int varno)
{
#if PG_VERSION_NUM >= 180000
	return expand_generated_columns_in_expr(condition, relation, varno);
#else
	return condition;
#endif
}

/* Whether a join keeps those rows of its inner side that find no partner. */
#if PG_VERSION_NUM >= 160000
#define IS_RIGHT_ANTI(jointype) ((jointype) == JOIN_RIGHT_ANTI)
#else
#define IS_RIGHT_ANTI(jointype) false
#endif

/* What the columns of the entry that stands for GROUP BY are; NIL for others. */
#if PG_VERSION_NUM >= 180000
#define GROUP_EXPRESSIONS(rte) ((rte)->groupexprs)
#define IGNORE_GROUP_EXPRESSIONS QTW_IGNORE_GROUPEXPRS
#else
#define GROUP_EXPRESSIONS(rte) ((void) (rte), NIL)
#define IGNORE_GROUP_EXPRESSIONS 0
#endif

/* Let a query that is made of a parse state ask for its permissions. */
#if PG_VERSION_NUM >= 160000
#define QUERY_PERMISSIONS(query, pstate) \
	((query)->rteperminfos = (pstate)->p_rteperminfos)
#else
#define QUERY_PERMISSIONS(query, pstate) ((void) 0)
#endif

/* Let an entry of a range table ask for no permissions. */
static inline void
ClearPermissions(RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	rte->perminfoindex = 0;
#else
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
#endif
}

/* Let permissions for the tables that a query names be checked as those of a role. */
static inline void
CheckQueryAs(Query *query, Oid role)
{
	ListCell   *lc;

#if PG_VERSION_NUM >= 160000
	foreach(lc, query->rteperminfos)
		((RTEPermissionInfo *) lfirst(lc))->checkAsUser = role;
#else
	foreach(lc, query->rtable)
		((RangeTblEntry *) lfirst(lc))->checkAsUser = role;
#endif
}

/* Whether an INSERT, as parsed, returns something. */
#if PG_VERSION_NUM >= 180000
#define HAS_RETURNING(insert) ((insert)->returningClause != NULL)
#else
#define HAS_RETURNING(insert) ((insert)->returningList != NIL)
#endif

/* Whether REINDEX and ANALYZE run under a search_path of their own. */
#if PG_VERSION_NUM >= 170000
#define COMMANDS_SET_SEARCH_PATH true
#else
#define COMMANDS_SET_SEARCH_PATH false
#endif

/* Run a query to its end, or until there are so many rows, unless that is 0. */
static inline void
RunToEnd(QueryDesc *query, uint64 limit)
{
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, ForwardScanDirection, limit);
#else
	ExecutorRun(query, ForwardScanDirection, limit, true);
#endif
}

#endif							/* FACTMERGE_COMPAT_H */
