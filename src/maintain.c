/*-------------------------------------------------------------------------
 *
 * maintain.c
 *	  the triggers that keep rules saturated
 *
 * Each table that a rule reads has a statement-level trigger, factmerge_rules,
 * which hands over what an INSERT has added (saturate.c).  A partition that is
 * inserted into directly fires none of its parent's triggers, and so has one of
 * its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_apply_rules);

#define TRIGGER_NAME "factmerge_rules"

/* How a trigger has been, whose table needs it to fire meanwhile */
typedef struct Enabled
{
	Oid			relation;
	char	   *trigger;		/* quoted */
	char		before;			/* tgenabled */
} Enabled;

/*
 * The function of our triggers.
 */
Oid
RuleTriggerFunction(void)
{
	return LookupFuncName(list_make2(makeString("factmerge"), makeString("apply_rules")),
						  0, NULL, false);
}

/*
 * factmerge.apply_rules(): what the triggers call.
 */
Datum
factmerge_apply_rules(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || trigger->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function %s can only be called by a trigger that fires after INSERT, for each statement, with a NEW TABLE",
						"factmerge.apply_rules()"),
				 errhint("factmerge_add_rule() creates the triggers.")));
	if (tuplestore_tuple_count(trigger->tg_newtable) > 0)
		TakeNews(trigger->tg_relation, trigger->tg_newtable);
	return PointerGetDatum(NULL);
}

/*
 * The quoted name of our trigger of a relation, whatever it is called by now, and
 * how it is enabled; NULL if there is none.
 */
static char *
FindRuleTrigger(Oid relation, char *enabled)
{
	Relation	rel = table_open(relation, AccessShareLock);
	Oid			function = RuleTriggerFunction();
	char	   *name = NULL;

	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid != function)
			continue;
		name = pstrdup(quote_identifier(trigger->tgname));
		if (enabled)
			*enabled = trigger->tgenabled;
	}
	table_close(rel, NoLock);
	return name;
}

/*
 * A fact table and its partitions, as far as they are ordinary tables.
 */
static List *
Parts(Oid table)
{
	List	   *parts = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(table, ShareRowExclusiveLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_FOREIGN_TABLE)
		parts = lappend_oid(parts, lfirst_oid(lc));
	return parts;
}

/*
 * Make sure that a table and its partitions have our trigger.  Whoever keeps
 * plans for it learns that there are other rules now.
 */
void
CreateRuleTriggers(Oid table)
{
	ListCell   *lc;

	foreach(lc, Parts(table))
	{
		if (FindRuleTrigger(lfirst_oid(lc), NULL) == NULL)
			SqlUtility(psprintf("CREATE TRIGGER " TRIGGER_NAME " AFTER INSERT ON %s"
								" REFERENCING NEW TABLE AS " NEWS_NAME
								" FOR EACH STATEMENT EXECUTE FUNCTION factmerge.apply_rules()",
								QualifiedRelation(lfirst_oid(lc))));
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	}
}

/*
 * Drop our triggers of a table that no rule reads any more.
 */
void
DropRuleTriggers(Oid table)
{
	ListCell   *lc;

	foreach(lc, Parts(table))
	{
		char	   *trigger = FindRuleTrigger(lfirst_oid(lc), NULL);

		if (trigger)
			SqlUtility(psprintf("DROP TRIGGER %s ON %s", trigger, QualifiedRelation(lfirst_oid(lc))));
	}
}

/*
 * Whether anything but our trigger and those of foreign keys happens when rows
 * are inserted into a table.
 */
bool
HasTriggersOfOthers(Oid table)
{
	Relation	rel = table_open(table, AccessShareLock);
	Oid			function = RuleTriggerFunction();
	bool		found = rel->rd_rules != NULL;

	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		found |= TRIGGER_FOR_INSERT(trigger->tgtype) && trigger->tgfoid != function &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE;
	}
	table_close(rel, NoLock);
	return found;
}

/*
 * Make sure that our triggers fire on all tables that some rules read; returns
 * what has to be put back afterwards, for RestoreRuleTriggers().
 */
List *
EnableRuleTriggers(List *rules)
{
	List	   *enabled = NIL;
	List	   *tables = NIL;
	ListCell   *lc;
	ListCell   *part;

	foreach(lc, rules)
		tables = list_concat_unique_oid(tables, ((Rule *) lfirst(lc))->body);
	foreach(lc, tables)
		foreach(part, Parts(lfirst_oid(lc)))
	{
		char		before = '\0';
		char	   *trigger = FindRuleTrigger(lfirst_oid(part), &before);
		Enabled    *entry;

		if (trigger == NULL)
			CreateRuleTriggers(lfirst_oid(lc));
		if (trigger == NULL || before == TRIGGER_FIRES_ON_ORIGIN || before == TRIGGER_FIRES_ALWAYS)
			continue;
		SqlUtility(psprintf("ALTER TABLE %s ENABLE TRIGGER %s",
							QualifiedRelation(lfirst_oid(part)), trigger));
		entry = palloc(sizeof(Enabled));
		entry->relation = lfirst_oid(part);
		entry->trigger = trigger;
		entry->before = before;
		enabled = lappend(enabled, entry);
	}
	return enabled;
}

/*
 * Let triggers be as they were before EnableRuleTriggers().
 */
void
RestoreRuleTriggers(List *enabled)
{
	ListCell   *lc;

	foreach(lc, enabled)
	{
		Enabled    *entry = lfirst(lc);

		SqlUtility(psprintf("ALTER TABLE %s %s TRIGGER %s", QualifiedRelation(entry->relation),
							entry->before == TRIGGER_DISABLED ? "DISABLE" : "ENABLE REPLICA",
							entry->trigger));
	}
}
