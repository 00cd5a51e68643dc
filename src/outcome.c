/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  what has been derived from a sample, see check.c
 *
 * Facts are compared by what they say: without the keys that the database has
 * generated for them, and with the fact that they refer to in place of a reference
 * that leads to a derived one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/qunique.h"
#include "utils/builtins.h"

#include "check.h"

/* How far a fact is told by those that it refers to */
#define MOST_DEPTH 3

/*
 * SQL for what a fact says.
 */
static char *
FactText(Check *check, FactTable *table, const char *alias, int depth)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, FACT_AS_JSON("%s.*"), alias);
	foreach(lc, table->columns)
		if (((Column *) lfirst(lc))->new_value)
			appendStringInfo(&sql, " - %s::pg_catalog.text", quote_literal_cstr(((Column *) lfirst(lc))->name));
	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);
		ListCell   *c;
		char	   *target = psprintf("t%d", depth);

		if (reference->log || reference->target == NULL ||
			!(list_member_oid(check->derived, reference->target_relation) ||
			  list_member_ptr(check->written, reference->target)))
			continue;
		foreach(c, reference->columns)
			appendStringInfo(&sql, " - %s::pg_catalog.text", quote_literal_cstr(((Column *) lfirst(c))->name));
		if (depth == MOST_DEPTH)
			continue;
		appendStringInfo(&sql, " || pg_catalog.jsonb_build_object(%s, (SELECT %s FROM %s AS %s WHERE %s))",
						 quote_literal_cstr(((Column *) linitial(reference->columns))->name),
						 FactText(check, reference->target, target, depth + 1),
						 QualifiedRelation(reference->target_relation), target,
						 RefersTo(reference, alias, target));
	}
	return sql.data;
}

static int
CompareTexts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Adds a fact to an outcome */
static void
AddFact(Datum *values, bool *nulls, void *arg)
{
	Outcome    *outcome = arg;
	MemoryContext context = GetMemoryChunkContext(outcome);

	if ((outcome->count & (outcome->count + 1)) == 0)
		outcome->facts = outcome->facts == NULL ?
			MemoryContextAlloc(context, sizeof(char *) * 2) :
			repalloc(outcome->facts, sizeof(char *) * 2 * (outcome->count + 1));
	outcome->facts[outcome->count++] = MemoryContextStrdup(context, TextDatumGetCString(values[0]));
}

/*
 * Collect what is in the tables that the handler writes to, sorted.
 */
Outcome *
CollectDerived(Check *check)
{
	Outcome    *outcome = MemoryContextAllocZero(check->context, sizeof(Outcome));
	ListCell   *lc;

	foreach(lc, check->written)
	{
		FactTable  *table = lfirst(lc);

		SqlForEachRow(InvalidSnapshot,
					  psprintf("SELECT pg_catalog.concat(%s, ' ', %s) FROM %s AS d",
							   quote_literal_cstr(quote_identifier(table->name)),
							   FactText(check, table, "d", 0), QualifiedRelation(table->destination)),
					  NULL, AddFact, outcome);
	}
	if (outcome->count > 0)
		qsort(outcome->facts, outcome->count, sizeof(char *), CompareTexts);
	return outcome;
}

/*
 * The first of some sorted texts that is not among others, each counted as often as
 * it is there; NULL if there is none.
 */
char *
FirstMissing(char **texts, int count, char **others, int other_count)
{
	int			other = 0;

	for (int i = 0; i < count; i++)
	{
		while (other < other_count && strcmp(others[other], texts[i]) < 0)
			other++;
		if (other == other_count || strcmp(others[other], texts[i]) != 0)
			return texts[i];
		other++;
	}
	return NULL;
}

/*
 * Leave of each fact of an outcome only one.
 */
void
LeaveEachOnce(Outcome *outcome)
{
	if (outcome->count > 0)
		outcome->count = (int) qunique(outcome->facts, outcome->count, sizeof(char *), CompareTexts);
}

/*
 * Collect all that has been derived in some order, each once.
 */
void
UniteOutcomes(Check *check)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, check->outcomes)
		count += ((Outcome *) lfirst(lc))->count;
	check->all_count = 0;
	check->all = palloc(sizeof(char *) * (count + 1));
	foreach(lc, check->outcomes)
	{
		Outcome    *outcome = lfirst(lc);

		for (int i = 0; i < outcome->count; i++)
			check->all[check->all_count++] = outcome->facts[i];
	}
	if (count == 0)
		return;
	qsort(check->all, count, sizeof(char *), CompareTexts);
	check->all_count = (int) qunique(check->all, count, sizeof(char *), CompareTexts);
}
