/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  what a statement reads and writes, as its plan shows
 *
 * The executor's own plans name the tables that they scan, and those that they
 * insert into, update or delete from.  To look whether what is to be inserted is
 * there already does not count as reading; nor does what a MERGE sees of its target.
 *
 * Of a statement in a handler, the plan may also show which facts of a table are
 * read: those with a column that equals one of the handler's own fact.  What
 * stands for that column is a parameter, or the constant that the planner has put
 * in its place; but both still say where in the statement's text they come from,
 * and there it says "NEW.column".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "plan.h"
#include "query.h"

/* In how many ways a table may be read for the condition to be told */
#define MOST_WAYS 4

/* What is looked for in a plan */
typedef struct Look
{
	QueryDesc  *query;
	Oid			fact_table;		/* of the handler's own fact */
	char	   *fact;			/* what the handler calls it, or NULL */
	List	   *targets;		/* Oids: of the statement's INSERT */
	List	   *subplans;		/* of PlanState: looked at by themselves */
	PlanState  *top;
	bool		looks_for_duplicates;	/* below here */
	PlanDeeds  *deeds;
} Look;

/*
 * The table that a relation is a partition of, or itself.
 */
Oid
WholeTable(Oid relation)
{
	return get_rel_relispartition(relation) ?
		llast_oid(get_partition_ancestors(relation)) : relation;
}

/*
 * Which facts are read
 */

/*
 * What a handler calls its fact; NULL if that is not known.
 */
char *
FactVariable(Oid function, bool is_trigger)
{
	HeapTuple	tuple;
	Oid		   *types;
	char	  **names;
	char	   *modes;
	char	   *name = NULL;

	if (is_trigger)
		return pstrdup("new");
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	if (get_func_arg_info(tuple, &types, &names, &modes) > 0 && names && names[0][0])
		name = pstrdup(names[0]);
	ReleaseSysCache(tuple);
	return name;
}

static bool
IsPartOfWord(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/*
 * Read an identifier, and go beyond it; NULL if there is none.
 */
static char *
ReadIdentifier(const char **at)
{
	const char *start = *at;
	StringInfoData name;

	if (*start != '"')
	{
		while (IsPartOfWord(**at))
			(*at)++;
		return *at == start ? NULL : downcase_truncate_identifier(start, *at - start, false);
	}
	initStringInfo(&name);
	for ((*at)++; **at && (**at != '"' || (*at)[1] == '"'); (*at)++)
	{
		if (**at == '"')
			(*at)++;
		appendStringInfoChar(&name, **at);
	}
	if (**at == '\0')
		return NULL;
	(*at)++;
	return name.data;
}

/*
 * The column of the handler's own fact that the statement's text names at a
 * location, or NULL.
 */
static char *
ColumnNamedAt(Look *look, int location)
{
	const char *text = look->query->sourceText;
	char	   *name;

	if (look->fact == NULL || text == NULL || location < 0 || location >= (int) strlen(text))
		return NULL;
	text += location;
	name = ReadIdentifier(&text);
	if (name == NULL || strcmp(name, look->fact) != 0 || *text++ != '.')
		return NULL;
	name = ReadIdentifier(&text);
	if (name == NULL || get_attnum(look->fact_table, name) <= 0)
		return NULL;
	return name;
}

/*
 * The column of the handler's own fact that an expression stands for, or NULL.
 */
static char *
ColumnOfFact(Look *look, Node *expression)
{
	while (IsA(expression, RelabelType))
		expression = (Node *) ((RelabelType *) expression)->arg;
	if (IsA(expression, Param))
		return ((Param *) expression)->paramkind != PARAM_EXTERN ? NULL :
			ColumnNamedAt(look, ((Param *) expression)->location);
	if (IsA(expression, Const))
		return ColumnNamedAt(look, ((Const *) expression)->location);
	if (IsA(expression, FieldSelect))
	{
		FieldSelect *field = (FieldSelect *) expression;
		Param	   *param = (Param *) field->arg;

		/* The only argument of a function */
		if (IsA(param, Param) && param->paramkind == PARAM_EXTERN && param->paramid == 1 &&
			param->paramtype == get_rel_type_id(look->fact_table))
			return get_attname(look->fact_table, field->fieldnum, true);
	}
	return NULL;
}

/*
 * The column of what a plan scans that an expression is, or NULL.
 */
static char *
ColumnScanned(Scan *scan, Oid relation, Node *expression)
{
	Var		   *var;

	while (IsA(expression, RelabelType))
		expression = (Node *) ((RelabelType *) expression)->arg;
	var = (Var *) expression;
	if (IsA(var, Var) && var->varno == INDEX_VAR && IsA(scan, IndexOnlyScan))
		var = (Var *) ((TargetEntry *) list_nth(((IndexOnlyScan *) scan)->indextlist, var->varattno - 1))->expr;
	if (!IsA(var, Var) || var->varno != (int) scan->scanrelid || var->varattno <= 0)
		return NULL;
	return get_attname(relation, var->varattno, true);
}

/*
 * All that a plan asks of the rows that it scans.
 */
static List *
ScanConditions(Scan *scan)
{
	List	   *conditions = list_copy(scan->plan.qual);

	if (IsA(scan, IndexScan))
		return list_concat(conditions, ((IndexScan *) scan)->indexqualorig);
	if (IsA(scan, IndexOnlyScan))
		return list_concat(conditions, ((IndexOnlyScan *) scan)->indexqual);
	if (IsA(scan, BitmapHeapScan))
		return list_concat(conditions, ((BitmapHeapScan *) scan)->bitmapqualorig);
	return conditions;
}

/*
 * SQL for one condition of a scan, over fact and friend, if it says that a column
 * of the friend's equals one of the fact's; or NULL.
 */
static char *
AsCondition(Look *look, Scan *scan, Oid relation, Node *node)
{
	OpExpr	   *comparison = (OpExpr *) node;
	StringInfoData sql;
	char	   *fact;
	char	   *friend;

	if (!IsA(node, OpExpr) || list_length(comparison->args) != 2 ||
		!op_mergejoinable(comparison->opno, exprType(linitial(comparison->args))))
		return NULL;
	for (int i = 0; i < 2; i++)
	{
		fact = ColumnOfFact(look, list_nth(comparison->args, i));
		friend = ColumnScanned(scan, relation, list_nth(comparison->args, 1 - i));
		if (fact == NULL || friend == NULL)
			continue;
		initStringInfo(&sql);
		appendStringInfo(&sql, "fact.%s ", quote_identifier(fact));
		if (get_func_namespace(get_opcode(comparison->opno)) == PG_CATALOG_NAMESPACE)
			appendStringInfoChar(&sql, '=');
		else
			AppendOperator(&sql, comparison->opno);
		appendStringInfo(&sql, " friend.%s", quote_identifier(friend));
		return sql.data;
	}
	return NULL;
}

/*
 * SQL for what a scan asks of its rows with regard to the handler's own fact; NULL
 * if that is not known.  Less than it really asks is just as right.
 */
static char *
WhichFacts(Look *look, Scan *scan, Oid relation)
{
	List	   *parts = NIL;
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	foreach(lc, ScanConditions(scan))
	{
		char	   *part = AsCondition(look, scan, relation, lfirst(lc));

		if (part && !list_member(parts, makeString(part)))
			parts = lappend(parts, makeString(part));
	}
	if (parts == NIL)
		return NULL;
	initStringInfo(&sql);
	foreach(lc, parts)
	{
		AppendSeparator(&sql, " AND ", &first);
		appendStringInfoString(&sql, strVal(lfirst(lc)));
	}
	return sql.data;
}

/*
 * Note that a table is read, in some way or (NULL) at large.
 */
static void
AddRead(PlanDeeds *deeds, Oid table, char *condition)
{
	TableRead  *read = NULL;
	ListCell   *lc;

	foreach(lc, deeds->read)
		if (((TableRead *) lfirst(lc))->table == table)
		read = lfirst(lc);
	if (read == NULL)
	{
		read = palloc0(sizeof(TableRead));
		read->table = table;
		deeds->read = lappend(deeds->read, read);
	}
	if (condition == NULL)
		read->at_large = true;
	else if (!list_member(read->conditions, makeString(condition)))
		read->conditions = lappend(read->conditions, makeString(condition));
	if (list_length(read->conditions) > MOST_WAYS)
		read->at_large = true;
}

/*
 * What is changed
 */

TableChange *
FindChange(PlanDeeds *deeds, Oid table)
{
	ListCell   *lc;

	foreach(lc, deeds->changed)
		if (((TableChange *) lfirst(lc))->table == table)
		return lfirst(lc);
	return NULL;
}

void
AddChange(PlanDeeds *deeds, Oid table, const char *how)
{
	TableChange *change;

	if (FindChange(deeds, table))
		return;
	change = palloc(sizeof(TableChange));
	change->table = table;
	change->how = how;
	deeds->changed = lappend(deeds->changed, change);
}

/*
 * Whether a MERGE may take some action.
 */
static bool
MayMerge(ModifyTable *plan, CmdType action)
{
	ListCell   *lc;
	ListCell   *a;

	foreach(lc, plan->mergeActionLists)
		foreach(a, lfirst(lc))
		if (((MergeAction *) lfirst(a))->commandType == action)
		return true;
	return false;
}

/*
 * How a plan changes rows that are there already, or NULL.
 */
static const char *
HowItChanges(ModifyTable *plan)
{
	if (plan->operation == CMD_UPDATE || MayMerge(plan, CMD_UPDATE) ||
		(plan->operation == CMD_INSERT && plan->onConflictAction == ONCONFLICT_UPDATE))
		return "updates";
	if (plan->operation == CMD_DELETE || MayMerge(plan, CMD_DELETE))
		return "deletes from";
	return NULL;
}

/*
 * Note what a plan writes to.
 */
static void
LookAtWriting(Look *look, ModifyTable *plan)
{
	const char *how = HowItChanges(plan);
	bool		adds = plan->operation == CMD_INSERT || MayMerge(plan, CMD_INSERT);
	ListCell   *lc;

	foreach(lc, plan->resultRelations)
	{
		Oid			table = WholeTable(rt_fetch(lfirst_int(lc), look->query->plannedstmt->rtable)->relid);

		if (how)
			AddChange(look->deeds, table, how);
		if (adds)
			look->deeds->added_to = list_append_unique_oid(look->deeds->added_to, table);
	}
}

/*
 * Whether a statement may change rows that are there already.
 */
bool
MayChange(QueryDesc *query)
{
	Plan	   *plan = query->plannedstmt->planTree;

	return query->plannedstmt->hasModifyingCTE ||
		(IsA(plan, ModifyTable) && HowItChanges((ModifyTable *) plan));
}

/*
 * Through a plan
 */

/*
 * The side of a join whose rows are looked for only to find that they are not
 * there; NULL if it has none.
 */
static PlanState *
SideLookedInto(JoinState *join)
{
	if (join->jointype == JOIN_ANTI)
		return innerPlanState(join);
	return IS_RIGHT_ANTI(join->jointype) ? outerPlanState(join) : NULL;
}

/*
 * Note what a plan scans.
 */
static void
LookAtScan(Look *look, ScanState *state)
{
	Oid			relation;
	Oid			table;

	if (state->ss_currentRelation == NULL)
		return;
	relation = RelationGetRelid(state->ss_currentRelation);
	table = WholeTable(relation);
	if ((look->looks_for_duplicates || look->query->operation == CMD_MERGE) &&
		list_member_oid(look->targets, table))
		return;
	AddRead(look->deeds, table, WhichFacts(look, (Scan *) state->ps.plan, relation));
}

static bool LookAtNode(PlanState *state, void *arg);

/*
 * Look at both sides of a join; false if it is one like others.
 */
static bool
LookAtAntiJoin(Look *look, PlanState *state)
{
	PlanState  *side = SideLookedInto((JoinState *) state);
	bool		before = look->looks_for_duplicates;

	if (side == NULL)
		return false;
	(void) LookAtNode(side == innerPlanState(state) ? outerPlanState(state) : innerPlanState(state), look);
	look->looks_for_duplicates = true;
	(void) LookAtNode(side, look);
	look->looks_for_duplicates = before;
	return true;
}

/*
 * Look at a node of a plan, and what is below it.
 */
static bool
LookAtNode(PlanState *state, void *arg)
{
	Look	   *look = arg;

	if (state == NULL || (state != look->top && list_member_ptr(look->subplans, state)))
		return false;
	switch (nodeTag(state))
	{
		case T_SeqScanState:
		case T_SampleScanState:
		case T_IndexScanState:
		case T_IndexOnlyScanState:
		case T_BitmapHeapScanState:
		case T_TidScanState:
		case T_TidRangeScanState:
		case T_ForeignScanState:
			LookAtScan(look, (ScanState *) state);
			break;
		case T_NestLoopState:
		case T_MergeJoinState:
		case T_HashJoinState:
			if (LookAtAntiJoin(look, state))
				return false;
			break;
		case T_ModifyTableState:
			LookAtWriting(look, (ModifyTable *) state->plan);
			break;
		default:
			break;
	}
	return planstate_tree_walker(state, LookAtNode, arg);
}

/*
 * Note what a statement that is about to be executed does, if it is one of a
 * handler's with a fact of a table.  Subplans that read the target of an INSERT are
 * taken to look for duplicates.
 */
void
ReadPlan(QueryDesc *query, Oid fact_table, char *fact, PlanDeeds *deeds)
{
	Look		look = {.query = query,.fact_table = fact_table,.fact = fact,.deeds = deeds};
	ListCell   *lc;

	look.subplans = query->estate->es_subplanstates;
	foreach(lc, query->plannedstmt->resultRelations)
		look.targets = list_append_unique_oid(look.targets,
											  WholeTable(rt_fetch(lfirst_int(lc), query->plannedstmt->rtable)->relid));
	(void) LookAtNode(query->planstate, &look);
	look.looks_for_duplicates = true;
	foreach(lc, look.subplans)
	{
		look.top = lfirst(lc);
		(void) LookAtNode(lfirst(lc), &look);
	}
}
