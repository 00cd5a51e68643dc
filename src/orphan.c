/*-------------------------------------------------------------------------
 *
 * orphan.c
 *	  every foreign key of the destination holds for every fact written
 *
 * While facts are copied, the triggers of foreign keys do not fire.  Most of what
 * they would check is proven by then: a reference that the key map translates is
 * that to a fact which is there.  Whatever is not proven so is proven here, for all
 * copied facts at once: keys with columns that only the destination has, those that
 * leave the merge, those of single partitions, and all of them once a trigger has had
 * its hands on the facts.
 *
 * It is done as the triggers do it, but for whole sets.  What copied facts refer to is
 * collected, and looked up as the owner of the table that is referred to.  If the
 * merge has not locked that table, then the rows are locked as well, until the
 * transaction ends: or else somebody could delete one after we have seen it.  The
 * look-up takes a snapshot of its own, for it may have waited for somebody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "factmerge.h"
#include "handler.h"

/* What facts refer to, by the names of two sets of rows that statements can read */
#define KEYS	"factmerge_keys"
#define MISSING "factmerge_missing"

/* How many keys that are not there are looked for, to name a fact */
#define MOST_MISSING 100

/*
 * Whether a foreign key is what an INSERT has to meet, and not the copy that a
 * partition has of it.
 */
static bool
IsOfItsOwn(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	bool		own;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	own = !OidIsValid(form->conparentid) && IsEnforced(form);
	ReleaseSysCache(tuple);
	return own;
}

static bool
IsMatchFull(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool		full;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	full = ((Form_pg_constraint) GETSTRUCT(tuple))->confmatchtype == FKCONSTR_MATCH_FULL;
	ReleaseSysCache(tuple);
	return full;
}

/*
 * The foreign keys of a relation, as ForeignKeyCacheInfo: those that are declared on it.
 */
List *
OwnForeignKeys(Oid relation)
{
	Relation	rel = table_open(relation, AccessShareLock);
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(rel))
	{
		ForeignKeyCacheInfo *key = lfirst(lc);

		if (IsOfItsOwn(key->conoid))
			keys = lappend(keys, copyObject(key));
	}
	table_close(rel, NoLock);
	return keys;
}

/*
 * The foreign keys of a fact table in the destination, as ForeignKeyCacheInfo, with
 * those that only some of its partitions have.
 */
static List *
ForeignKeysOf(FactTable *table)
{
	List	   *keys = NIL;
	ListCell   *lc;

	if (!table->partitioned)
		return OwnForeignKeys(table->destination);
	foreach(lc, find_all_inheritors(table->destination, NoLock, NULL))
		keys = list_concat(keys, OwnForeignKeys(lfirst_oid(lc)));
	return keys;
}

/*
 * The reference that a foreign key of a table's destination has become, or NULL.
 */
static Reference *
ReferenceOfKey(FactTable *table, ForeignKeyCacheInfo *key)
{
	ListCell   *lc;

	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);
		bool		same = reference->in_destination && !reference->log &&
			reference->target_relation == key->confrelid &&
			list_length(reference->columns) == key->nkeys;

		for (int i = 0; same && i < key->nkeys; i++)
			same = strcmp(((Column *) list_nth(reference->columns, i))->name,
						  get_attname(key->conrelid, key->conkey[i], false)) == 0 &&
				strcmp(list_nth(reference->target_names, i),
					   get_attname(key->confrelid, key->confkey[i], false)) == 0;
		if (same)
			return reference;
	}
	return NULL;
}

/*
 * Whether a table has a foreign key in the destination that is no reference.
 */
bool
HasOtherForeignKeys(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, ForeignKeysOf(table))
		if (ReferenceOfKey(table, lfirst(lc)) == NULL)
			return true;
	return false;
}

/*
 * Whether what a column of a reference holds is what its target holds in the column
 * that it refers to, given that both are copied as they are, or translated alike.
 */
static bool
AreTranslatedAlike(FactTable *table, Column *column, Column *target)
{
	Column	   *leads_to;

	if (column->conversion != CONVERT_NOT || target->conversion != CONVERT_NOT ||
		column->recollated || target->recollated)
		return false;
	if (column->reference == NULL)
		return !target->remapped;
	if (target->reference == NULL || target->reference->target != column->reference->target)
		return false;
	leads_to = list_nth(column->reference->target_columns, column->reference_column);
	return list_nth(target->reference->target_columns, target->reference_column) == leads_to &&
		IsSameIn(table, target);
}

/*
 * Whether the key map proves what a reference of copied facts leads to: the value is
 * that of the fact that the source's refers to.
 */
static bool
IsProven(Merge *merge, Reference *reference)
{
	ListCell   *c;
	ListCell   *t;

	if (merge->derives_while_copying || reference->target == NULL ||
		reference->target_relation != reference->target->destination)
		return false;
	forboth(c, reference->columns, t, reference->target_columns)
	{
		Column	   *column = lfirst(c);
		Column	   *target = lfirst(t);

		if (column->generated || target->generated)
			return false;
		if (column->reference != reference &&
			!(reference->proven && AreTranslatedAlike(reference->target, column, target)))
			return false;
	}
	return true;
}

/*
 * Whether nobody but the merge can take rows from a table, or from the one that it is a
 * partition of.
 */
static bool
IsLocked(Merge *merge, Oid relation)
{
	List	   *ancestors = NIL;
	ListCell   *lc;

	if (get_rel_relispartition(relation))
		ancestors = get_partition_ancestors(relation);
	foreach(lc, lcons_oid(relation, ancestors))
		if (FindTable(merge->tables, lfirst_oid(lc)) || FindTable(merge->others, lfirst_oid(lc)))
			return true;
	return false;
}

/* A foreign key that is being proven */
typedef struct Proof
{
	Merge	   *merge;
	FactTable  *table;
	ForeignKeyCacheInfo *key;
	Reference  *reference;		/* that it is, or NULL */
	char	   *copied;			/* SQL: FROM and WHERE for the copied facts x */
} Proof;

/* "alias.a, alias.b" for the columns that refer */
static char *
ReferringColumns(ForeignKeyCacheInfo *key, const char *alias)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < key->nkeys; i++)
		appendStringInfo(&sql, "%s%s.%s", i ? ", " : "", alias,
						 quote_identifier(get_attname(key->conrelid, key->conkey[i], false)));
	return sql.data;
}

/*
 * SQL for the copied facts x of a relation, a fact table or a partition of it: FROM and
 * WHERE.  Where only some facts of the source are looked at, it starts from them.
 */
static char *
CopiedFacts(Merge *merge, FactTable *table, Oid relation)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "FROM ");
	if (table->repeated && table->keyed && table->fresh && !merge->derives_while_copying)
	{
		appendStringInfo(&sql, "%s AS s JOIN %s AS m ON ", table->fresh, table->map);
		AppendMapJoin(&sql, table, "m", "source", "s");
		appendStringInfo(&sql, " JOIN %s AS x ON ", QualifiedRelation(relation));
		AppendMapJoin(&sql, table, "m", "destination", "x");
	}
	else
		appendStringInfo(&sql, "%s AS x", QualifiedRelation(relation));
	appendStringInfoString(&sql, " WHERE ");
	if (merge->derives_while_copying)
		appendStringInfo(&sql, "x." MERGE_COLUMN " = " INT64_FORMAT " AND x." PROVENANCE_COLUMN
						 " IN ('source', 'derived')", merge->id);
	else
		AppendSideCondition(&sql, merge, table, "x", SIDE_SOURCE);
	return sql.data;
}

/*
 * Refuse a foreign key, given a fact that does not meet it, and a fitting detail and hint.
 */
static void
RefuseForeignKey(Proof *proof, const char *detail, const char *hint)
{
	const char *trigger = TriggerWhileCopying(proof->table->destination);
	const char *name = get_constraint_name(proof->key->conoid);
	Oid			relation = proof->table->destination;

	if (trigger == NULL && OidIsValid(relation = proof->key->confrelid))
		trigger = TriggerWhileCopying(relation);
	if (trigger)
		hint = psprintf("Trigger \"%s\" of table %s fires while facts are copied, and may have changed keys."
						" Enable it for ordinary sessions only, or let it leave keys as they are.",
						trigger, QualifiedRelation(relation));
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("a copied fact of table \"%s\" violates foreign key constraint \"%s\"",
					proof->table->name, name),
			 err_generic_string(PG_DIAG_SCHEMA_NAME, get_namespace_name(get_rel_namespace(proof->key->conrelid))),
			 err_generic_string(PG_DIAG_TABLE_NAME, get_rel_name(proof->key->conrelid)),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, name),
			 errdetail_internal("%s", detail), errhint("%s", hint)));
}

/*
 * SQL for a text that names a fact x of the destination, by what the source calls it if
 * that has it.
 */
static char *
FactText(FactTable *table)
{
	return psprintf("COALESCE(%s, %s)", CopiedFact(table, "x"), AddressText(table, "x"));
}

/*
 * Refuse copied facts that only in part refer to something, where MATCH FULL
 * forbids that.
 */
static void
RefusePartialReference(Proof *proof)
{
	char	  **row;

	if (proof->key->nkeys < 2 || !IsMatchFull(proof->key->conoid))
		return;
	row = SqlFetchRow(proof->merge->snapshot,
					  psprintf("SELECT %s %s AND pg_catalog.num_nulls(%s) BETWEEN 1 AND %d ORDER BY 1 LIMIT 1",
							   FactText(proof->table), proof->copied,
							   ReferringColumns(proof->key, "x"), proof->key->nkeys - 1), NULL);
	if (row != NULL)
		RefuseForeignKey(proof,
						 psprintf("MATCH FULL does not allow mixing of null and nonnull key values, as in fact %s of the source.",
								  row[0]),
						 "Complete the reference in the source.");
}

/*
 * SQL for what copied facts refer to: each key once, if its type lets us tell.
 */
static char *
KeysReferredTo(Proof *proof)
{
	ForeignKeyCacheInfo *key = proof->key;
	bool		distinct = true;
	StringInfoData columns;
	StringInfoData present;

	initStringInfo(&columns);
	initStringInfo(&present);
	for (int i = 0; i < key->nkeys; i++)
	{
		const char *name = quote_identifier(get_attname(key->conrelid, key->conkey[i], false));

		appendStringInfo(&columns, "%sx.%s AS key_%d", i ? ", " : "", name, i + 1);
		appendStringInfo(&present, " AND x.%s IS NOT NULL", name);
		distinct &= OidIsValid(EqualityOperator(get_atttype(key->conrelid, key->conkey[i])));
	}
	return psprintf("SELECT %s%s %s%s", distinct ? "DISTINCT " : "", columns.data, proof->copied, present.data);
}

/*
 * SQL for the rows y of the table that is referred to, without those of tables that
 * inherit from it.
 */
static char *
ReferredTo(ForeignKeyCacheInfo *key)
{
	return psprintf("%s%s AS y", get_rel_relkind(key->confrelid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					QualifiedRelation(key->confrelid));
}

/* The value that a row has in a column of a foreign key, or that is called key_1, ... of k */
static char *
KeyValue(const char *alias, Oid relation, AttrNumber column, int i)
{
	return alias ? psprintf("%s.%s", alias, quote_identifier(get_attname(relation, column, false))) :
		psprintf("k.key_%d", i + 1);
}

/*
 * That one row is what another refers to, by the very operators and collations of the
 * foreign key.  Of either of them k may know the key alone; then it is NULL.
 */
char *
IsMeant(ForeignKeyCacheInfo *key, const char *target, const char *referring)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < key->nkeys; i++)
	{
		Oid			collation;
		Oid			type;
		int32		typmod;

		get_atttypetypmodcoll(key->confrelid, key->confkey[i], &type, &typmod, &collation);
		if (i > 0)
			appendStringInfoString(&sql, " AND ");
		generate_operator_clause(&sql, KeyValue(target, key->confrelid, key->confkey[i], i),
								 type, key->conpfeqop[i], KeyValue(referring, key->conrelid, key->conkey[i], i),
								 get_atttype(key->conrelid, key->conkey[i]));
		if (OidIsValid(collation))
			appendStringInfo(&sql, " COLLATE %s", QualifiedCollation(collation));
	}
	return sql.data;
}

/*
 * SQL for a text "(a, b)=(1, 2)" that names key k in a message, by the columns of a
 * relation.
 */
char *
KeyText(ForeignKeyCacheInfo *key, Oid relation, AttrNumber *columns)
{
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < key->nkeys; i++)
	{
		appendStringInfo(&names, "%s%s", i ? ", " : "", get_attname(relation, columns[i], false));
		appendStringInfo(&values, "%sk.key_%d", i ? ", " : "", i + 1);
	}
	return psprintf("pg_catalog.concat(%s, pg_catalog.concat_ws(', ', %s), ')')",
					quote_literal_cstr(psprintf("(%s)=(", names.data)), values.data);
}

/*
 * Refuse a foreign key that does not hold for some copied facts: name one of them.
 */
static void
RefuseMissing(Proof *proof)
{
	StringInfoData columns;
	Tuplestorestate *missing;
	RoleSwitch	caller;
	char	  **row;
	const char *target = QualifiedRelation(proof->key->confrelid);

	initStringInfo(&columns);
	for (int i = 1; i <= proof->key->nkeys; i++)
		appendStringInfo(&columns, "%sk.key_%d", i > 1 ? ", " : "", i);
	BecomeCheckerOf(proof->key->confrelid, &caller);
	(void) SqlCollect(InvalidSnapshot,
					  psprintf("SELECT k.* FROM " KEYS " AS k WHERE NOT EXISTS (SELECT FROM %s WHERE %s) ORDER BY %s LIMIT %d",
								 ReferredTo(proof->key), IsMeant(proof->key, "y", NULL), columns.data, MOST_MISSING),
						MISSING, &missing);
	BecomeCallerAgain(&caller);
	row = SqlFetchRow(proof->merge->snapshot,
					  psprintf("SELECT z.fact, z.key FROM (SELECT %s AS fact, (SELECT %s FROM " MISSING " AS k"
							   " WHERE ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(%s)::pg_catalog.record LIMIT 1) AS key %s) AS z"
							   " WHERE z.key IS NOT NULL ORDER BY 1 LIMIT 1",
							   FactText(proof->table), KeyText(proof->key, proof->key->conrelid, proof->key->conkey),
							   ReferringColumns(proof->key, "x"), columns.data, proof->copied), NULL);
	if (row == NULL)
		elog(ERROR, "no fact of table \"%s\" refers to what is missing", proof->table->name);
	if (proof->reference && proof->reference->proven && proof->reference->target && !proof->merge->derives_while_copying)
		RefuseForeignKey(proof,
						 psprintf("Fact %s of the source would get %s here, which is not in table %s, though it refers to a fact in the source.",
								  row[0], row[1], target),
						 "Let the destination compute columns as the source does, and give each foreign key a column of its own.");
	if (proof->reference)
		RefuseForeignKey(proof,
						 psprintf("What fact %s of the source refers to is not in table %s.", row[0], target),
						 "Add what it refers to, or correct the reference in the source.");
	RefuseForeignKey(proof,
					 psprintf("Fact %s of the source would get %s here, which is not in table %s.", row[0], row[1], target),
					 "Add what it refers to, or let the column of the destination get another value.");
}

/*
 * Prove one foreign key for all copied facts at once, and let nobody take away what they
 * refer to.
 */
static void
ProveForeignKey(Proof *proof)
{
	ForeignKeyCacheInfo *key = proof->key;
	Tuplestorestate *keys;
	RoleSwitch	caller;
	int64		count;
	int64		found = 0;

	count = SqlCollect(proof->merge->snapshot, KeysReferredTo(proof), KEYS, &keys);
	if (count > 0)
	{
		BecomeCheckerOf(key->confrelid, &caller);
		found = SqlFetchInt64(InvalidSnapshot,
							  psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM " KEYS " AS k JOIN %s ON %s%s) AS z",
									   ReferredTo(key), IsMeant(key, "y", NULL),
									   IsLocked(proof->merge, key->confrelid) ? "" : " FOR KEY SHARE OF y"), NULL);
		BecomeCallerAgain(&caller);
	}
	if (found < count)
		RefuseMissing(proof);
	SqlForget(KEYS, keys);
}

/*
 * Prove all foreign keys of a table for the facts that have been copied into it, as far
 * as the key map does not.
 */
void
ProveForeignKeys(Merge *merge, FactTable *table)
{
	ListCell   *lc;

	foreach(lc, ForeignKeysOf(table))
	{
		Proof		proof = {.merge = merge, .table = table, .key = lfirst(lc)};

		CHECK_FOR_INTERRUPTS();
		proof.reference = ReferenceOfKey(table, proof.key);
		proof.copied = CopiedFacts(merge, table, proof.key->conrelid);
		if (proof.reference == NULL || !IsProven(merge, proof.reference))
			ProveForeignKey(&proof);
		if (proof.reference == NULL || !proof.reference->full_in_source ||
			merge->derives_while_copying)
			RefusePartialReference(&proof);
	}
}
