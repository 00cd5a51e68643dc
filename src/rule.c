/*-------------------------------------------------------------------------
 *
 * rule.c
 *	  the register of declared rules
 *
 * factmerge.rule says for each rule what it derives, and which view of schema
 * factmerge holds its query (addrule.c).  Here rules are read, listed and dropped.
 *
 * A rule looks at the fact tables of its target's schema.  If one of them leaves the
 * schema, the rule would go on without noticing what arrives there; so whoever
 * wants to use the rule is told.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "finding.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_drop_rule);
PG_FUNCTION_INFO_V1(factmerge_rules);

/* Where rules that are loaded go */
typedef struct Loaded
{
	List	   *rules;			/* of Rule */
	List	   *facts;			/* Oids */
	MemoryContext context;
} Loaded;

/*
 * Make a rule of a row of factmerge.rule.
 */
static void
TakeRule(Datum *values, bool *nulls, void *arg)
{
	Loaded	   *loaded = arg;
	MemoryContext context = MemoryContextSwitchTo(loaded->context);
	Rule	   *rule = palloc0(sizeof(Rule));
	Relation	view;
	Datum	   *elements;
	int			count;
	ListCell   *lc;

	rule->target = DatumGetObjectId(values[0]);
	rule->name = pstrdup(NameStr(*DatumGetName(values[1])));
	rule->view = DatumGetObjectId(values[3]);
	deconstruct_array(DatumGetArrayTypePCopy(values[2]), NAMEOID, NAMEDATALEN, false,
					  TYPALIGN_CHAR, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		rule->columns = lappend(rule->columns, NameStr(*DatumGetName(elements[i])));
	if (!nulls[4])
	{
		deconstruct_array(DatumGetArrayTypePCopy(values[4]), REGCLASSOID, sizeof(Oid), true,
						  TYPALIGN_INT, &elements, NULL, &count);
		for (int i = 0; i < count; i++)
			rule->declared = lappend_oid(rule->declared, DatumGetObjectId(elements[i]));
	}
	view = table_open(rule->view, AccessShareLock);
	rule->arms = SplitIntoArms(get_view_query(view), loaded->facts);
	foreach(lc, rule->arms)
		rule->body = list_concat_unique_oid(rule->body, ((Arm *) lfirst(lc))->atoms);
	table_close(view, AccessShareLock);
	loaded->rules = lappend(loaded->rules, rule);
	MemoryContextSwitchTo(context);
}

/*
 * Whether it is known which fact tables rules were declared with, as it is from version
 * 1.1 on.
 */
bool
KnowsBodies(void)
{
	return HasRegistered("rule", "body");
}

/*
 * The rules that derive facts of a schema, by name.  A transaction that began
 * before a rule was declared has to keep to it all the same.
 */
List *
LoadRules(Oid schema)
{
	Loaded		loaded = {NIL, FactRelations(schema), CurrentMemoryContext};
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(schema));
	SqlForEachRow(snapshot,
				  psprintf("SELECT r.target, r.name, r.columns, r.view, %s FROM factmerge.rule AS r"
						   " JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) r.target"
						   " JOIN pg_catalog.pg_class AS v ON v.oid OPERATOR(pg_catalog.=) r.view"
						   " WHERE t.relnamespace OPERATOR(pg_catalog.=) $1 AND v.relkind OPERATOR(pg_catalog.=) 'v'"
						   " ORDER BY r.name", KnowsBodies() ? "r.body" : "NULL"), &args, TakeRule, &loaded);
	UnregisterSnapshot(snapshot);
	return loaded.rules;
}

/*
 * Say of a rule that it reads other fact tables than it has been declared with.
 * Unless a rule comes from a version that did not note them.
 */
static void
ReportBody(Rule *rule, int elevel)
{
	List	   *lost = list_difference_oid(rule->declared, rule->body);
	List	   *gained = list_difference_oid(rule->body, rule->declared);
	char	   *schema = get_namespace_name(get_rel_namespace(rule->target));

	if (rule->declared == NIL || (lost == NIL && gained == NIL))
		return;
	ereport(elevel,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rule \"%s\" of schema \"%s\" reads other fact tables than when it was declared",
					rule->name, schema),
			 lost ? errdetail("%s is no fact table of the schema any more.",
							  QualifiedRelation(linitial_oid(lost))) :
			 errdetail("%s has become a fact table of the schema.",
					   QualifiedRelation(linitial_oid(gained))),
			 errhint("Declare the rule anew with factmerge_add_rule(), or let the table be what it was.")));
}

/*
 * Whether a table refers to the target of any other rule by a foreign key.
 */
static bool
RefersToTarget(Oid table, List *rules)
{
	Relation	relation = table_open(table, AccessShareLock);
	bool		refers = false;
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, RelationGetFKeyList(relation))
		foreach(r, rules)
	{
		Oid			target = ((Rule *) lfirst(r))->target;

		refers |= target != table && target == ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid;
	}
	table_close(relation, NoLock);
	return refers;
}

/*
 * Rules in the order in which they are applied: what facts refer to is derived before
 * them, unless tables refer to each other in a circle.
 */
List *
InOrder(List *rules)
{
	List	   *left = list_copy(rules);
	List	   *ordered = NIL;

	while (left != NIL)
	{
		Rule	   *next = linitial(left);
		ListCell   *lc;

		foreach(lc, left)
			if (!RefersToTarget(((Rule *) lfirst(lc))->target, left))
		{
			next = lfirst(lc);
			break;
		}
		ordered = lappend(ordered, next);
		left = list_delete_ptr(left, next);
	}
	return ordered;
}

/*
 * The text of a rule's query.
 */
static char *
RuleText(Rule *rule)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(rule->view));
	return SqlFetchRow(InvalidSnapshot,
					   "SELECT pg_catalog.rtrim(pg_catalog.btrim(pg_catalog.pg_get_viewdef($1, true)), ';')",
					   &args)[0];
}

/*
 * Refuse a rule of a table that has got another owner since it was declared: it is code
 * in the name of that owner, who has not written it.
 */
void
RefuseForeignRule(Rule *rule)
{
	Oid			author = RelationOwner(rule->view);
	char	   *target = QualifiedRelation(rule->target);

	if (author == RelationOwner(rule->target))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("rule \"%s\" was declared for another owner of table %s", rule->name, target),
			 errdetail("It would run as \"%s\", and was declared for \"%s\".",
					   GetUserNameFromId(RelationOwner(rule->target), false), GetUserNameFromId(author, false)),
			 errhint("If what it calls is to be trusted, the owner can declare it again: SELECT %s(%s, %s, %s); else drop it: SELECT %s(%s, %s).",
					 OurFunction("factmerge_add_rule"), quote_literal_cstr(rule->name),
					 quote_literal_cstr(psprintf("%s(%s)", target, NameList(rule->columns, ""))),
					 quote_literal_cstr(RuleText(rule)), OurFunction("factmerge_drop_rule"),
					 quote_literal_cstr(rule->name),
					 quote_literal_cstr(get_namespace_name(get_rel_namespace(rule->target))))));
}

/*
 * The rules of a schema, to be applied in this order.  Raises an error if they could
 * miss facts, of tables that have left their schema or that have come into it.
 */
List *
RulesToApply(Oid schema)
{
	List	   *rules = LoadRules(schema);
	ListCell   *lc;

	foreach(lc, rules)
	{
		ReportBody(lfirst(lc), ERROR);
		RefuseForeignRule(lfirst(lc));
	}
	return InOrder(rules);
}

/* Warns of rules of a schema that miss facts of a table */
static void
WarnOfRules(Datum *values, bool *nulls, void *table)
{
	ListCell   *lc;

	foreach(lc, LoadRules(DatumGetObjectId(values[0])))
	{
		Rule	   *rule = lfirst(lc);

		if (list_member_oid(rule->declared, *(Oid *) table) && !list_member_oid(rule->body, *(Oid *) table))
			ReportBody(rule, WARNING);
	}
}

/*
 * Warn if rules miss facts of a table, since it has left their schema.
 */
void
WarnOfMissing(Oid table)
{
	SqlArgs		args = {0};

	if (!KnowsBodies())
		return;
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(get_rel_namespace(table)));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT DISTINCT t.relnamespace FROM factmerge.rule AS r"
				  " JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) r.target"
				  " WHERE $1 OPERATOR(pg_catalog.=) ANY (r.body::pg_catalog.oid[])"
				  " AND t.relnamespace OPERATOR(pg_catalog.<>) $2", &args, WarnOfRules, &table);
}

/*
 * Refuse to let a table become or cease to be one of facts that is part of a rule.
 */
void
RefuseInRule(Oid table)
{
	SqlArgs		args = {0};
	char	  **rule;

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(get_rel_namespace(table)));
	rule = SqlFetchRow(InvalidSnapshot,
					   "SELECT r.name FROM factmerge.rule AS r"
					   " JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) r.target"
					   " WHERE t.relnamespace OPERATOR(pg_catalog.=) $2 AND (t.oid OPERATOR(pg_catalog.=) $1 OR EXISTS"
					   " (SELECT FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS w ON w.oid OPERATOR(pg_catalog.=) d.objid"
					   " WHERE w.ev_class OPERATOR(pg_catalog.=) r.view AND d.refobjid OPERATOR(pg_catalog.=) $1"
					   " AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
					   " AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass))"
					   " ORDER BY 1", &args);
	if (rule)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("table \"%s\" is part of rule \"%s\"", get_rel_name(table), rule[0]),
				 errdetail("Which tables hold facts is settled when a rule is declared."),
				 errhint("Drop the rule with factmerge_drop_rule(), and declare it again afterwards.")));
}

/*
 * The rule of that name, or NULL.
 */
Rule *
FindRule(List *rules, const char *name)
{
	ListCell   *lc;

	foreach(lc, rules)
		if (strcmp(((Rule *) lfirst(lc))->name, name) == 0)
		return lfirst(lc);
	return NULL;
}

/*
 * Take a rule out of the register, with its view.
 */
void
RemoveRule(Rule *rule)
{
	SqlArgs		args = {0};
	RoleSwitch	caller;

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(rule->view));
	BecomeExtensionOwner(&caller);
	SqlExecute(InvalidSnapshot,
			   "DELETE FROM factmerge.rule WHERE view OPERATOR(pg_catalog.=) $1", &args);
	SqlUtility(psprintf("DROP VIEW %s", QualifiedRelation(rule->view)));
	BecomeCallerAgain(&caller);
}

/* Drops the view of a rule whose target is gone */
static void
DropView(Datum *values, bool *nulls, void *arg)
{
	SqlUtility(psprintf("DROP VIEW %s", TextDatumGetCString(values[0])));
}

/*
 * Forget rules whose target or whose view, for something that it reads, has been
 * dropped.
 */
void
ForgetDroppedRules(void)
{
	RoleSwitch	caller;

	BecomeExtensionOwner(&caller);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT pg_catalog.format('%I.%I', n.nspname, v.relname) FROM factmerge.rule AS r"
				  " JOIN pg_catalog.pg_class AS v ON v.oid OPERATOR(pg_catalog.=) r.view"
				  " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) v.relnamespace"
				  " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS t WHERE t.oid OPERATOR(pg_catalog.=) r.target)",
				  NULL, DropView, NULL);
	SqlExecute(InvalidSnapshot,
			   "DELETE FROM factmerge.rule AS r WHERE NOT EXISTS"
			   " (SELECT FROM pg_catalog.pg_class AS v WHERE v.oid OPERATOR(pg_catalog.=) r.view)", NULL);
	BecomeCallerAgain(&caller);
}

/*
 * Let nobody else declare rules meanwhile.
 */
void
LockRegister(void)
{
	Oid			relation = get_relname_relid("rule", get_namespace_oid("factmerge", false));

	LockRelationOid(relation, ShareRowExclusiveLock);
}

/*
 * Drop the triggers of tables that a rule has read, and no rule reads any more.
 */
void
DropIdleTriggers(Rule *rule)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, list_union_oid(rule->body, rule->declared))
	{
		bool		idle = true;

		foreach(r, LoadRules(get_rel_namespace(lfirst_oid(lc))))
			idle &= !list_member_oid(((Rule *) lfirst(r))->body, lfirst_oid(lc));
		if (idle)
			DropRuleTriggers(lfirst_oid(lc));
	}
}

/*
 * factmerge_drop_rule(name, name)
 */
Datum
factmerge_drop_rule(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*REQUIRE_ARG(NAME, 0));
	Oid			schema = FindSchema(SchemaArgument(fcinfo, 1));
	int			nest_level = NewGUCNestLevel();
	Rule	   *rule;

	SqlConnect();
	LockSearchPath();
	LockRegister();
	rule = FindRule(LoadRules(schema), name);
	if (rule == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schema \"%s\" has no rule \"%s\"", get_namespace_name(schema), name),
				 errhint("factmerge_rules() lists the rules of a schema.")));
	CheckTable(rule->target);
	RemoveRule(rule);
	DropIdleTriggers(rule);
	AtEOXact_GUC(true, nest_level);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_rules(name): the rules that derive facts of a schema.
 */
Datum
factmerge_rules(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			schema = FindSchema(SchemaArgument(fcinfo, 0));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	foreach(lc, LoadRules(schema))
	{
		Rule	   *rule = lfirst(lc);
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = NameDatum(rule->name);
		values[1] = ObjectIdGetDatum(rule->target);
		values[2] = NameArray(rule->columns);
		values[3] = CStringGetTextDatum(RuleText(rule));
		values[4] = RelationArray(rule->body);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SqlFinish();
	return (Datum) 0;
}
