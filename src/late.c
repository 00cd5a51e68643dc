/*-------------------------------------------------------------------------
 *
 * late.c
 *	  indexes that are rebuilt only after rules have derived
 *
 * What a merge copies is not entered into indexes where these are rebuilt
 * afterwards (bulk.c).  Nor need be what rules add to the same table right after
 * that, if the rebuilding waits for them.  Only the index by which they find out
 * what is there already has to be in order.
 *
 * The rebuilding waits if, until rules have derived, nothing but these statements
 * writes to the table, no trigger is called by them, and the other indexes would
 * refuse nothing: a copied fact that they do refuse is to be named, which is done
 * while facts are copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "handler.h"
#include "rule.h"

/*
 * Whether all that happens to a merge's tables, from copying until rules have
 * derived, is that these add facts, which sets off nothing else.
 */
static bool
AreRulesAlone(Merge *merge)
{
	ListCell   *lc;

	if (merge->derives_while_copying)
		return false;
	foreach(lc, merge->tables)
		if (((FactTable *) lfirst(lc))->handlers != NIL)
		return false;
	foreach(lc, merge->rules)
		if (!IsQuiet(merge, lfirst(lc)))
		return false;
	return true;
}

/*
 * Whether a rule reads what rules derive, perhaps itself: then it derives in
 * rounds, each of which may read what the one before has written.
 */
static bool
ReadsDerived(Merge *merge, Rule *rule)
{
	ListCell   *lc;

	foreach(lc, merge->rules)
		if (list_member_oid(rule->body, ((Rule *) lfirst(lc))->target))
		return true;
	return false;
}

/*
 * The index by which rules look up what they derive of a table, if the table's
 * other indexes can wait for them; or NULL.  All other keys are then generated, and
 * unless a sameness is declared, drawn anew for copied facts: these do not refuse
 * any.
 */
static const char *
IndexForRules(Merge *merge, FactTable *table)
{
	const char *index = NULL;
	ListCell   *lc;

	if (table->rule || !AreRulesAlone(merge))
		return NULL;
	foreach(lc, merge->rules)
	{
		Rule	   *rule = lfirst(lc);

		if (list_member_oid(rule->body, table->destination))
			return NULL;
		if (rule->target != table->destination)
			continue;
		if (KeyLookedUp(rule) == NULL || MayConflict(rule) || ReadsDerived(merge, rule))
			return NULL;
		index = KeyLookedUp(rule)->name;
	}
	return index;
}

/*
 * Rebuild the indexes of a table, after its facts are copied: all that cannot wait
 * for rules.
 */
void
EndOrExtendBulk(Merge *merge, FactTable *table)
{
	const char *index = table->suspended ? IndexForRules(merge, table) : NULL;

	if (index)
		ExtendBulk(merge, table, index);
	else
		EndBulk(merge, table);
}

/*
 * Rebuild the indexes that have waited for rules.
 */
void
EndExtendedBulks(Merge *merge)
{
	int			nest_level = NewGUCNestLevel();
	ListCell   *lc;

	LockSearchPath();
	FixSettings();
	foreach(lc, merge->tables)
	{
		instr_time	start;

		StartClock(&start);
		EndBulk(merge, lfirst(lc));
		StopClock(lfirst(lc), STAGE_DUMP, &start);
	}
	AtEOXact_GUC(true, nest_level);
}
