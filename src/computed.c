/*-------------------------------------------------------------------------
 *
 * computed.c
 *	  columns that a merge cannot go by: they are computed from what it translates
 *
 * A generated column may be computed from a reference or a generated key, as in
 *
 *	CREATE TABLE friends (a integer REFERENCES person, b integer REFERENCES person,
 *		one integer GENERATED ALWAYS AS (LEAST(a, b)) STORED,
 *		other integer GENERATED ALWAYS AS (GREATEST(a, b)) STORED,
 *		UNIQUE (one, other));
 *
 * What the source holds in it is computed from the source's keys, and says nothing
 * about the destination's.  A key with such a column is left to the server to
 * enforce: it neither tells which facts are the same, nor where a fact is.  Where more
 * is asked of such a column, the merge is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/rel.h"

#include "factmerge.h"
#include "samerule.h"

/*
 * Whether a column's values may be other ones in the destination: it holds generated keys,
 * refers to what is translated, or is computed from such.
 */
bool
IsTranslated(Column *column)
{
	return column->surrogate || column->public_number || column->reference || column->computed;
}

/*
 * Whether a column of a table is computed from any that is translated.
 */
static bool
IsComputedFromTranslated(FactTable *table, Column *column, Relation relation)
{
	Bitmapset  *inputs = NULL;
	ListCell   *lc;

	if (!column->generated)
		return false;
	pull_varattnos(build_column_default(relation, column->number), 1, &inputs);
	foreach(lc, table->columns)
	{
		Column	   *input = lfirst(lc);

		if (IsTranslated(input) &&
			bms_is_member(input->number - FirstLowInvalidHeapAttributeNumber, inputs))
			return true;
	}
	return false;
}

/*
 * Note which columns of a table are computed from what is translated; returns whether
 * there are any that have not been noted before.
 */
static bool
NoteColumns(FactTable *table)
{
	Relation	relation = table_open(table->destination, AccessShareLock);
	bool		news = false;
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (column->computed || !IsComputedFromTranslated(table, column, relation))
			continue;
		column->computed = true;
		news = true;
	}
	table_close(relation, NoLock);
	return news;
}

/*
 * Note which columns are computed from what is translated between schemas, and choose
 * anew what tables with such columns go by; returns whether anything has changed by
 * that, so that other columns may be translated now.
 */
bool
NoteComputedColumns(List *tables)
{
	bool		news = false;
	ListCell   *lc;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);
		Relation	source = NULL;

		if (!NoteColumns(table))
			continue;
		if (OidIsValid(table->source))
			source = table_open(table->source, AccessShareLock);
		ChooseAddress(table, source);
		ChooseSameness(table);
		if (source)
			table_close(source, NoLock);
		news = true;
	}
	return news;
}

/*
 * Refuse a declaration by which facts are the same that have the same in what is computed
 * from what is translated.
 */
static void
RefuseComputedSameness(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->rule ? table->rule->key->columns : NIL)
		if (((Column *) lfirst(lc))->computed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot tell by column \"%s\" which facts of table \"%s\" are the same",
						((Column *) lfirst(lc))->name, table->name),
				 errdetail("It is generated from columns whose values differ between databases."),
				 errhint("Name these columns with factmerge_set_sameness() instead.")));
}

/*
 * Refuse references to what is computed from what is translated: what they lead to is
 * known only when it has been saved.
 */
static void
RefuseComputedTarget(Reference *reference)
{
	ListCell   *lc;

	foreach(lc, reference->target_columns)
		if (((Column *) lfirst(lc))->computed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot merge table \"%s\" because foreign key \"%s\" refers to what is computed from keys",
						reference->table->name, reference->name),
				 errdetail("Column \"%s\" of table \"%s\" is generated from columns whose values differ between databases.",
						   ((Column *) lfirst(lc))->name, reference->target->name),
				 errhint("Let the foreign key refer to a key that is not generated from others.")));
}

/*
 * Refuse what would need the values of computed columns across databases.
 */
void
RefuseComputed(List *tables)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, tables)
	{
		RefuseComputedSameness(lfirst(lc));
		foreach(r, ((FactTable *) lfirst(lc))->references)
			RefuseComputedTarget(lfirst(r));
	}
}
