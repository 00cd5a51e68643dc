/*-------------------------------------------------------------------------
 *
 * keymap.c
 *	  the key maps: which fact of a source is which fact of the destination
 *
 * There is one key map per source and fact table, a table of schema factmerge
 * that belongs to the owner of the fact table.  For every fact of the source
 * it holds
 *
 *	source_1, ...		its address in the source, and the values of whatever
 *						else remapped references lead to
 *	destination_1, ...	the same of its counterpart in the destination
 *	in_both				whether the destination had it before
 *	inexact				whether that is the same without being equal (samerule.c)
 *	folded				whether it was copied together with another (fold.c)
 *	merge_id			the merge that met it first
 *
 * all of it in the types of the destination, so that the source's own types
 * can be dropped.  factmerge.key_map registers the key maps, with the names of
 * the columns that the numbers stand for.
 *
 * A source that is merged again is matched anew, into rows of the new merge;
 * SettleKeyMap() then reconciles them with those of earlier merges.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "factmerge.h"

/*
 * The parameters that name a key map in its register: $1 fact table, $2
 * source, $3 columns.
 */
static void
AddRegisterArgs(SqlArgs *args, Merge *merge, FactTable *table)
{
	SqlAddArg(args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlAddArg(args, NAMEOID, NameDatum(merge->source));
	SqlAddArg(args, NAMEARRAYOID, NameArray(ColumnNames(table->map_columns)));
}

static void
AppendMapColumns(StringInfo sql, FactTable *table, const char *side)
{
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(sql, "%s_%d %s", side, column->map_number,
						 TypeText(column->type, -1));
		if (OidIsValid(column->collation))
			appendStringInfo(sql, " COLLATE %s",
							 QualifiedCollation(column->collation));
		appendStringInfoString(sql, ", ");
	}
}

/*
 * Append the definition of a key map's columns.
 */
static void
AppendDefinition(StringInfo sql, FactTable *table)
{
	appendStringInfoChar(sql, '(');
	AppendMapColumns(sql, table, "source");
	AppendMapColumns(sql, table, "destination");
	appendStringInfoString(sql, "in_both pg_catalog.bool NOT NULL,"
						   " inexact pg_catalog.bool NOT NULL DEFAULT false,"
						   " folded pg_catalog.bool NOT NULL DEFAULT false,"
						   " merge_id pg_catalog.int8 NOT NULL)");
}

/*
 * Create the key map and register it.  The books are kept by the extension's
 * owner; the map itself becomes that of the fact table's owner.
 */
static void
CreateKeyMap(Merge *merge, FactTable *table)
{
	StringInfoData sql;
	SqlArgs		args = {0};
	RoleSwitch	caller;

	BecomeExtensionOwner(&caller);
	if (merge->dry_run)
		table->map = psprintf("factmerge.key_map_of_dry_run_%d_%d", MyProcPid,
							  table->position);
	else
		table->map = psprintf("factmerge.key_map_" INT64_FORMAT,
							  SqlFetchInt64(InvalidSnapshot,
											"SELECT pg_catalog.nextval('factmerge.key_map_number')",
											NULL));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s ", table->map);
	AppendDefinition(&sql, table);
	SqlUtility(sql.data);
	SqlUtility(psprintf("ALTER TABLE %s OWNER TO %s", table->map,
						quote_identifier(GetUserNameFromId(table->owner, false))));

	AddRegisterArgs(&args, merge, table);
	SqlExecute(InvalidSnapshot,
			   psprintf("INSERT INTO factmerge.key_map (fact_table, source, columns, map)"
						" VALUES ($1, $2, $3, %s::pg_catalog.regclass)",
						quote_literal_cstr(table->map)), &args);
	BecomeCallerAgain(&caller);
}

/*
 * The key map that earlier merges from the same source have left behind, or
 * NULL; with outdated one of a time when the table had other keys or references.
 */
static char *
FindKeyMap(Merge *merge, FactTable *table, bool outdated)
{
	SqlArgs		args = {0};
	char	  **row;

	AddRegisterArgs(&args, merge, table);
	SqlAddArg(&args, BOOLOID, BoolGetDatum(outdated));
	row = SqlFetchRow(InvalidSnapshot,
					  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)"
					  " FROM factmerge.key_map k"
					  " JOIN pg_catalog.pg_class c ON c.oid = k.map"
					  " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
					  " WHERE k.fact_table = $1 AND k.source = $2 AND (k.columns <> $3) = $4",
					  &args);
	return row ? row[0] : NULL;
}

/*
 * Take a key map of a table as it was before its keys or references changed,
 * or before the fact table was dropped, out of the way.
 */
static void
DropOutdatedKeyMap(Merge *merge, FactTable *table)
{
	char	   *outdated = FindKeyMap(merge, table, true);
	SqlArgs		args = {0};

	AddRegisterArgs(&args, merge, table);
	if (outdated)
		SqlUtility(psprintf("DROP TABLE %s", outdated));
	SqlExecuteAsOwner("DELETE FROM factmerge.key_map k"
					  " WHERE k.fact_table = $1 AND k.source = $2"
					  " AND (k.columns <> $3 OR NOT EXISTS"
					  " (SELECT FROM pg_catalog.pg_class c WHERE c.oid = k.map))",
					  &args);
}

/* That the fact table of a row r is gone */
#define IS_GONE \
	"NOT EXISTS (SELECT FROM pg_catalog.pg_class AS f WHERE f.oid OPERATOR(pg_catalog.=) r.fact_table)"

/* Drops a key map whose fact table is gone */
static void
DropOrphan(Datum *values, bool *nulls, void *arg)
{
	SqlUtility(psprintf("DROP TABLE IF EXISTS %s", TextDatumGetCString(values[0])));
}

/*
 * Forget what is kept about fact tables that have been dropped.
 */
void
ForgetDroppedTables(void)
{
	RoleSwitch	caller;

	BecomeExtensionOwner(&caller);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)"
				  " FROM factmerge.key_map AS k"
				  " JOIN pg_catalog.pg_class AS c ON c.oid = k.map"
				  " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				  " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS f WHERE f.oid = k.fact_table)",
				  NULL, DropOrphan, NULL);
	SqlExecute(InvalidSnapshot,
			   "DELETE FROM factmerge.key_map AS r WHERE " IS_GONE, NULL);
	BecomeCallerAgain(&caller);
	ForgetDeclarations(IS_GONE);
}

/*
 * Make a temporary key map for a preview, with what earlier merges know.
 */
static void
CopyKeyMap(Merge *merge, FactTable *table)
{
	char	   *earlier = table->keyed ? FindKeyMap(merge, table, false) : NULL;
	StringInfoData sql;
	RoleSwitch	caller;

	table->map = psprintf("pg_temp.factmerge_key_map_%d", table->position);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TEMPORARY TABLE %s ", table->map);
	AppendDefinition(&sql, table);
	SqlUtility(sql.data);
	if (earlier == NULL)
		return;

	/* It belongs to the table's owner, but whoever may read the table may know */
	SqlUtility(psprintf("GRANT INSERT ON %s TO %s", table->map,
						quote_identifier(GetUserNameFromId(ExtensionOwner(), false))));
	BecomeExtensionOwner(&caller);
	SqlExecute(merge->snapshot,
			   psprintf("INSERT INTO %s SELECT * FROM %s", table->map, earlier), NULL);
	BecomeCallerAgain(&caller);
}

/*
 * Find or create the key map of a table, and see whether any merge has tagged
 * the table's facts before.
 */
void
OpenKeyMap(Merge *merge, FactTable *table)
{
	SqlArgs		fact_table = {0};

	SqlAddArg(&fact_table, REGCLASSOID, ObjectIdGetDatum(table->destination));
	table->tags_speak =
		SqlFetchInt64(InvalidSnapshot,
					  "SELECT pg_catalog.count(*) FROM factmerge.key_map WHERE fact_table = $1",
					  &fact_table) == 0;
	if (merge->preview)
	{
		CopyKeyMap(merge, table);
		return;
	}
	DropOutdatedKeyMap(merge, table);
	table->map = FindKeyMap(merge, table, false);
	if (table->map == NULL)
		CreateKeyMap(merge, table);
	else
	{
		/* Where a row lies says nothing about an earlier merge */
		if (!table->keyed)
			SqlExecute(merge->snapshot, psprintf("DELETE FROM %s", table->map), NULL);
	}
}

/*
 * Append that two rows of a key map, n and o, say the same.
 */
static void
AppendSamePair(StringInfo sql, FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->map_columns)
	{
		Column	   *column = lfirst(lc);
		Oid			operator = EqualityOperator(column->type);
		int			number = column->map_number;

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, " AND ");
		AppendEquality(sql, psprintf("n.source_%d", number), operator,
					   psprintf("o.source_%d", number), column->collation);
		appendStringInfoString(sql, " AND ");
		AppendEquality(sql, psprintf("n.destination_%d", number), operator,
					   psprintf("o.destination_%d", number), column->collation);
	}
}

/*
 * Reconcile the pairs of this merge with those of earlier merges of the same
 * source: what is known already stays as it was, and what the source or the
 * destination no longer has goes.  Gives the planner statistics of the result.
 */
void
SettleKeyMap(Merge *merge, FactTable *table)
{
	SqlArgs		args = {0};
	StringInfoData pair;

	SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
	if (SqlFetchRow(merge->snapshot,
					psprintf("SELECT 1 FROM %s WHERE merge_id <> $1 LIMIT 1",
							 table->map), &args) != NULL)
	{
		initStringInfo(&pair);
		AppendSamePair(&pair, table);
		/* The planner must not think that no row is of this merge */
		SqlUtility(psprintf("ANALYZE %s", table->map));
		/* What counts as the same may have been declared otherwise meanwhile */
		if (table->rule || MayFold(table))
			SqlExecute(merge->snapshot,
					   psprintf("UPDATE %s AS o SET inexact = n.inexact FROM %s AS n"
								" WHERE n.merge_id = $1 AND o.merge_id <> $1 AND n.in_both"
								" AND o.inexact <> n.inexact AND %s",
								table->map, table->map, pair.data), &args);
		SqlExecute(merge->snapshot,
				   psprintf("DELETE FROM %s AS o WHERE o.merge_id <> $1 AND NOT EXISTS"
							" (SELECT FROM %s AS n WHERE n.merge_id = $1 AND n.in_both AND %s)",
							table->map, table->map, pair.data), &args);
		SqlExecute(merge->snapshot,
				   psprintf("DELETE FROM %s AS n WHERE n.merge_id = $1 AND n.in_both AND EXISTS"
							" (SELECT FROM %s AS o WHERE o.merge_id <> $1 AND %s)",
							table->map, table->map, pair.data), &args);
	}
	SqlUtility(psprintf("ANALYZE %s", table->map));
}
