/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  which handlers a fact table has, and running one of them
 *
 * The AFTER INSERT triggers of a destination table are its handlers, with
 * nothing declared: their functions are called as the server would, with a
 * TriggerData made by hand, for rows that are there already.  A row-level
 * trigger is called for each fact that its WHEN lets through; a statement-level
 * one once, with all facts in its NEW TABLE.  Functions are declared, and are
 * called with the fact's row.
 *
 * A run of a handler is begun, given facts one by one, and ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tupconvert.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "befriend.h"
#include "compat.h"
#include "handler.h"
#include "rule.h"

struct HandlerRun
{
	Merge	   *merge;
	FactTable  *table;
	Handler    *handler;
	MemoryContext context;		/* as long as the run */
	MemoryContext fact_context; /* as long as one fact */
	EState	   *estate;			/* for WHEN and computed columns */
	Tuplestorestate *facts;		/* NEW TABLE, if the trigger wants one */
	int64		handled;
	Relation	table_relation; /* of the fact table */
	TupleTableSlot *table_slot;
	SqlStatement *statement;	/* that calls a function */
	ExprState **computed;		/* virtual generated columns, if there are any */
	TupleTableSlot *computed_slot;

	/* Of the relation that the current fact lies in (a partition, perhaps) */
	Oid			relation;
	Trigger    *trigger;
	FmgrInfo	trigger_function;
	ExprState  *when;
	TupleConversionMap *to_table;

	/* For messages */
	const char *fact;
};

/*
 * Whether a trigger is an AFTER INSERT trigger of the user's that would fire
 * in an ordinary session.  Those that rules have are none.
 */
static bool
FiresAfterInsert(Trigger *trigger)
{
	return !trigger->tgisinternal &&
		trigger->tgfoid != RuleTriggerFunction() &&
		TRIGGER_FOR_AFTER(trigger->tgtype) &&
		TRIGGER_FOR_INSERT(trigger->tgtype) &&
		(trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
		 trigger->tgenabled == TRIGGER_FIRES_ALWAYS);
}

static bool
IsIgnored(FactTable *table, const char *trigger)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlAddArg(&args, NAMEOID, NameDatum(trigger));
	return SqlFetchRow(InvalidSnapshot,
					   "SELECT 1 FROM factmerge.ignored_trigger"
					   " WHERE fact_table = $1 AND trigger_name = $2", &args) != NULL;
}

static Handler *
TriggerHandler(Trigger *trigger)
{
	Handler    *handler = palloc0(sizeof(Handler));

	handler->name = pstrdup(trigger->tgname);
	handler->kind = TRIGGER_FOR_ROW(trigger->tgtype) ? HANDLER_ROW_TRIGGER :
		HANDLER_STATEMENT_TRIGGER;
	handler->function = trigger->tgfoid;
	return handler;
}

/*
 * The triggers of a table that fire after an INSERT, either those of
 * constraints or the others.
 */
static List *
InsertTriggers(FactTable *table, bool constraint)
{
	Relation	relation = table_open(table->destination, AccessShareLock);
	TriggerDesc *triggers = relation->trigdesc;
	List	   *handlers = NIL;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (FiresAfterInsert(trigger) &&
			OidIsValid(trigger->tgconstraint) == constraint &&
			/* an ALWAYS trigger of a constraint has fired while copying */
			!(constraint && trigger->tgenabled == TRIGGER_FIRES_ALWAYS))
			handlers = lappend(handlers, TriggerHandler(trigger));
	}
	table_close(relation, AccessShareLock);
	return handlers;
}

/*
 * The first trigger of a relation, or of one of its partitions, that fires even while
 * facts are copied; or NULL.
 */
const char *
TriggerWhileCopying(Oid relation)
{
	const char *name = NULL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);
		TriggerDesc *triggers = rel->trigdesc;

		for (int i = 0; triggers && name == NULL && i < triggers->numtriggers; i++)
			if (triggers->triggers[i].tgenabled == TRIGGER_FIRES_ALWAYS ||
				triggers->triggers[i].tgenabled == TRIGGER_FIRES_ON_REPLICA)
				name = pstrdup(triggers->triggers[i].tgname);
		table_close(rel, NoLock);
	}
	return name;
}

/*
 * Whether a table has a trigger that fires even while facts are copied.
 */
bool
FiresWhileCopying(FactTable *table)
{
	return TriggerWhileCopying(table->destination) != NULL;
}

/*
 * The user's constraint triggers of a table, which guard rather than derive.
 */
List *
ConstraintTriggers(FactTable *table)
{
	return InsertTriggers(table, true);
}

/*
 * Find a handler function by name, and say how it is called.  Raises an error
 * if there is none, or if it has another signature.
 */
Handler *
FunctionHandler(Oid fact_table, const char *name, bool is_declared)
{
	Handler    *handler = palloc0(sizeof(Handler));
	Oid			row_type = get_rel_type_id(fact_table);
	const char *given = name;
	Oid			argument;
	HeapTuple	tuple;
	Form_pg_proc form;

	name = SplitSignature(name, &argument);
	if (OidIsValid(argument) && argument != row_type)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be a handler of table \"%s\"", given, get_rel_name(fact_table)),
				 errdetail("A handler takes a fact of its table as its only argument."),
				 errhint("Name %s(%s).", name, format_type_be(row_type))));
	handler->function = LookupFuncName(ParseQualifiedName(name), 1, &row_type, true);
	if (!OidIsValid(handler->function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s(%s) does not exist", name,
						format_type_be(row_type)),
				 errdetail("A handler takes a fact of its table as its only argument."),
				 is_declared ?
				 errhint("Create it again, or take its declaration back with factmerge_drop_handler().") :
				 errhint("Create it first. Triggers need no declaration: those that are AFTER INSERT are handlers anyway.")));
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler->function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", handler->function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	handler->name = QualifiedFunction(handler->function);
	handler->target = form->proretset ? get_typ_typrelid(form->prorettype) : InvalidOid;
	handler->kind = form->proretset ? HANDLER_SET_FUNCTION : HANDLER_FUNCTION;
	if (form->prokind != PROKIND_FUNCTION ||
		!(OidIsValid(handler->target) ||
		  (!form->proretset && form->prorettype == VOIDOID)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be a handler", handler->name),
				 errdetail("It returns %s%s.", form->proretset ? "SETOF " : "",
						   format_type_be(form->prorettype)),
				 errhint("A handler returns void, or SETOF a fact table.")));
	if (!MayExecute(handler->function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, handler->name);
	ReleaseSysCache(tuple);
	return handler;
}

/*
 * Take what limits a declared handler: its friends, and its conditions.
 */
static void
TakeLimits(FactTable *table, Handler *handler, Datum *values, bool *nulls)
{
	Datum	   *friends;
	int			count = 0;

	if (!nulls[0])
		deconstruct_array(DatumGetArrayTypePCopy(values[0]), REGCLASSOID, sizeof(Oid), true,
						  TYPALIGN_INT, &friends, NULL, &count);
	for (int i = 0; i < count; i++)
		handler->friends = lappend_oid(handler->friends, DatumGetObjectId(friends[i]));
	if (!nulls[1])
		handler->only_when = ResolveFactCondition(table->destination, InvalidOid,
												  TextDatumGetCString(values[1]),
												  "factmerge_add_handler()", table->name);
	if (!nulls[2])
		handler->stop_when = ResolveFactCondition(InvalidOid, InvalidOid,
												  TextDatumGetCString(values[2]),
												  "factmerge_add_handler()", table->name);
}

/* Adds a declared handler to its table */
static void
AddDeclared(Datum *values, bool *nulls, void *arg)
{
	FactTable  *table = arg;
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(table));
	Handler    *handler = FunctionHandler(table->destination,
										  TextDatumGetCString(values[0]), true);

	handler->priority = DatumGetInt32(values[1]);
	handler->found_from_this = strcmp(TextDatumGetCString(values[2]), "this") == 0;
	TakeLimits(table, handler, values + 3, nulls + 3);
	table->handlers = lappend(table->handlers, handler);
	MemoryContextSwitchTo(context);
}

/*
 * The fact table whose rows a set function returns; an error if there is none
 * among the tables.
 */
static FactTable *
FindTarget(List *tables, Handler *handler)
{
	FactTable  *table = FindTable(tables, handler->target);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be a handler here", handler->name),
				 errdetail("It returns rows of %s, which is no fact table of the schema.",
						   QualifiedRelation(handler->target)),
				 errhint("A handler returns void, or SETOF a fact table.")));
	return table;
}

static int
CompareHandlers(const ListCell *a, const ListCell *b)
{
	Handler    *x = lfirst(a);
	Handler    *y = lfirst(b);

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->kind != y->kind)
		return (int) x->kind - (int) y->kind;
	return strcmp(x->name, y->name);
}

/*
 * Find the handlers of all tables, those of higher priority first.
 */
void
LoadHandlers(List *tables)
{
	ListCell   *lc;
	ListCell   *h;

	foreach(lc, tables)
	{
		FactTable  *table = lfirst(lc);
		SqlArgs		args = {0};

		foreach(h, InsertTriggers(table, false))
			if (!IsIgnored(table, ((Handler *) lfirst(h))->name))
			table->handlers = lappend(table->handlers, lfirst(h));
		SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
		SqlForEachRow(InvalidSnapshot,
					  "SELECT handler, priority, found_from, friends, only_when, stop_when FROM factmerge.handler"
					  " WHERE fact_table = $1", &args, AddDeclared, table);
		foreach(h, table->handlers)
			if (((Handler *) lfirst(h))->kind == HANDLER_SET_FUNCTION)
			(void) FindTarget(tables, lfirst(h));
		list_sort(table->handlers, CompareHandlers);
	}
}

/*
 * The condition that a handler has for its events, to append to WHERE, given
 * where the event's fact lies.
 */
char *
OnlyWhen(FactTable *table, Handler *handler, const char *relation, const char *place)
{
	if (handler->only_when == NULL)
		return "";
	return psprintf(" AND EXISTS (SELECT FROM %s AS fact WHERE fact.tableoid = %s AND fact.ctid = %s AND (%s))",
					QualifiedRelation(table->destination), relation, place, handler->only_when);
}

/*
 * SQL for all facts of a table that are events to a handler, as RunHandler() takes
 * them.
 */
char *
AllEvents(FactTable *table, Handler *handler)
{
	return psprintf("SELECT t.tableoid, t.ctid FROM %s AS t WHERE true%s",
					QualifiedRelation(table->destination),
					OnlyWhen(table, handler, "t.tableoid", "t.ctid"));
}

/*
 * Whether a handler has nothing to do, whatever has happened.
 */
bool
StopsAnyway(Merge *merge, Handler *handler)
{
	char	  **row;

	if (handler->stop_when == NULL)
		return false;
	row = SqlFetchRow(merge->snapshot, psprintf("SELECT %s", handler->stop_when), NULL);
	return row[0] != NULL && row[0][0] == 't';
}

/*
 * Say in words what a handler is.
 */
char *
DescribeHandler(Handler *handler)
{
	static const char *const kinds[] = {
		"row trigger", "statement trigger", "function", "set function"
	};

	return psprintf("%s %s", kinds[handler->kind], handler->name);
}

/*
 * Whether a table has handlers that the server does not call by itself.
 */
bool
HasFunctionHandler(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, table->handlers)
		if (IsFunction(lfirst(lc)))
			return true;
	return false;
}

/*
 * The statement that saves what a set function returns for fact $1: whatever
 * is there already, by a unique key or as a whole row, is left out.
 */
static char *
SavingStatement(Merge *merge, Handler *handler)
{
	FactTable  *target = FindTarget(merge->tables, handler);
	StringInfoData sql;
	StringInfoData columns;
	StringInfoData same;
	ListCell   *lc;
	bool		first = true;

	initStringInfo(&sql);
	initStringInfo(&columns);
	initStringInfo(&same);
	foreach(lc, WholeRow(target))
	{
		Column	   *column = lfirst(lc);
		const char *name = quote_identifier(column->name);
		Oid			operator = EqualityOperator(column->type);
		const char *as_text = OidIsValid(operator) ? "" : "::pg_catalog.text";

		if (IsLeftToDatabase(target, column))
			continue;
		if (!first)
			appendStringInfoString(&same, " AND ");
		AppendSeparator(&columns, ", ", &first);
		appendStringInfoString(&columns, name);
		appendStringInfoChar(&same, '(');
		AppendEquality(&same, psprintf("d.%s%s", name, as_text),
					   OidIsValid(operator) ? operator : TextEqualOperator,
					   psprintf("r.%s%s", name, as_text), column->collation);
		appendStringInfo(&same, " OR d.%s IS NULL AND r.%s IS NULL)", name, name);
	}
	appendStringInfo(&sql, "INSERT INTO %s (%s) SELECT %s FROM %s($1) AS r WHERE true",
					 QualifiedRelation(target->destination), columns.data,
					 columns.data, handler->name);
	if (target->sameness == NIL)
		appendStringInfo(&sql, " AND NOT EXISTS (SELECT FROM %s AS d WHERE %s)",
						 QualifiedRelation(target->destination), same.data);
	AppendUnlessThere(&sql, target, "r");
	return sql.data;
}

/* Says in the context of an error what was being handled */
static void
HandlerErrorContext(void *arg)
{
	HandlerRun *run = arg;

	ExplainRefusal();
	if (run->fact)
		errcontext("handler %s for fact %s of table \"%s\"",
				   run->handler->name, run->fact, run->table->name);
	else
		errcontext("handler %s for all mixed events of table \"%s\"",
				   run->handler->name, run->table->name);
}

/*
 * Name a fact for messages by the columns of its key.
 */
static char *
DescribeFact(HandlerRun *run, TupleTableSlot *slot)
{
	StringInfoData names;
	StringInfoData values;
	ListCell   *lc;
	bool		first = true;

	if (!run->table->keyed)
		return ItemPointerIsValid(&slot->tts_tid) ?
			psprintf("at (%u,%u)", ItemPointerGetBlockNumber(&slot->tts_tid),
					 ItemPointerGetOffsetNumber(&slot->tts_tid)) : "without key";
	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, run->table->address)
	{
		Column	   *column = lfirst(lc);
		Oid			output;
		bool		varlena;
		bool		isnull;
		Datum		value = slot_getattr(slot, column->number, &isnull);

		getTypeOutputInfo(column->type, &output, &varlena);
		if (!first)
			appendStringInfoString(&names, ", ");
		appendStringInfoString(&names, column->name);
		AppendSeparator(&values, ", ", &first);
		appendStringInfoString(&values, isnull ? "null" :
							   OidOutputFunctionCall(output, value));
	}
	return psprintf("(%s)=(%s)", names.data, values.data);
}

/*
 * Prepare a trigger's WHEN, which speaks of the new row, for evaluation.
 */
static ExprState *
PrepareWhen(HandlerRun *run, Relation relation, Trigger *trigger)
{
	Node	   *qual;

	if (trigger->tgqual == NULL)
		return NULL;
	qual = ExpandVirtualColumns(stringToNode(trigger->tgqual), relation, PRS2_NEW_VARNO);
	ChangeVarNodes(qual, PRS2_NEW_VARNO, OUTER_VAR, 0);
	return ExecPrepareQual(make_ands_implicit((Expr *) qual), run->estate);
}

/*
 * Get ready for facts of a relation: the table itself or a partition, which
 * has a clone of each row-level trigger.
 */
static void
EnterRelation(HandlerRun *run, Relation relation)
{
	MemoryContext context;
	TriggerDesc *triggers;

	if (run->relation == RelationGetRelid(relation))
		return;
	context = MemoryContextSwitchTo(run->context);
	run->relation = RelationGetRelid(relation);
	run->to_table = convert_tuples_by_name(RelationGetDescr(relation),
										   RelationGetDescr(run->table_relation));

	/* The relation's own copy may vanish while the trigger runs */
	triggers = CopyTriggerDesc(run->handler->kind == HANDLER_ROW_TRIGGER ?
							   relation->trigdesc : run->table_relation->trigdesc);
	run->trigger = NULL;
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, run->handler->name) == 0)
			run->trigger = &triggers->triggers[i];
	if (run->trigger)
	{
		fmgr_info_cxt(run->trigger->tgfoid, &run->trigger_function, run->context);
		run->when = PrepareWhen(run, relation, run->trigger);
	}
	MemoryContextSwitchTo(context);
}

/*
 * Prepare to compute the virtual generated columns of the table.
 */
static void
PrepareVirtualColumns(HandlerRun *run)
{
	TupleDesc	tupdesc = RelationGetDescr(run->table_relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Node	   *expression = VirtualColumn(run->table_relation, i + 1);

		if (expression == NULL)
			continue;
		if (run->computed == NULL)
		{
			run->computed = palloc0(sizeof(ExprState *) * tupdesc->natts);
			run->computed_slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
		}
		ChangeVarNodes(expression, 1, OUTER_VAR, 0);
		run->computed[i] = ExecPrepareExpr((Expr *) expression, run->estate);
	}
}

/*
 * Begin to run a handler.
 */
HandlerRun *
BeginHandler(Merge *merge, FactTable *table, Handler *handler)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "factmerge handler",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	HandlerRun *run = palloc0(sizeof(HandlerRun));

	run->merge = merge;
	run->table = table;
	run->handler = handler;
	run->context = context;
	run->fact_context = AllocSetContextCreate(context, "factmerge fact",
											  ALLOCSET_DEFAULT_SIZES);
	run->estate = CreateExecutorState();
	run->table_relation = table_open(table->destination, NoLock);
	run->table_slot = MakeSingleTupleTableSlot(RelationGetDescr(run->table_relation),
											   &TTSOpsVirtual);
	if (IsFunction(handler))
	{
		Oid			row_type = get_rel_type_id(table->destination);

		run->statement = SqlPrepare(handler->kind == HANDLER_FUNCTION ?
									psprintf("SELECT %s($1)", handler->name) :
									SavingStatement(merge, handler), 1, &row_type);
		PrepareVirtualColumns(run);
	}
	MemoryContextSwitchTo(outer);
	return run;
}

/*
 * Call the current trigger, for one row or for the statement.
 */
static void
CallTrigger(HandlerRun *run, Relation relation, HeapTuple tuple, TupleTableSlot *slot)
{
	LOCAL_FCINFO(fcinfo, 0);
	TriggerData data = {0};

	data.type = T_TriggerData;
	data.tg_event = TRIGGER_EVENT_INSERT | TRIGGER_EVENT_AFTER |
		(tuple ? TRIGGER_EVENT_ROW : 0);
	data.tg_relation = relation;
	data.tg_trigtuple = tuple;
	data.tg_trigslot = slot;
	data.tg_trigger = run->trigger;
	data.tg_newtable = run->trigger->tgnewtable ? run->facts : NULL;

	InitFunctionCallInfoData(*fcinfo, &run->trigger_function, 0, InvalidOid,
							 (Node *) &data, NULL);
	(void) FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function %u returned null value",
						run->trigger->tgfoid)));
}

/*
 * Whether the trigger's WHEN lets a row through, or the statement (no slot).
 */
static bool
PassesWhen(HandlerRun *run, TupleTableSlot *slot)
{
	ExprContext *econtext = GetPerTupleExprContext(run->estate);

	ResetExprContext(econtext);
	econtext->ecxt_outertuple = slot;
	return ExecQual(run->when, econtext);
}

/*
 * Fire a row-level trigger for one fact, if its WHEN lets it through.
 */
static void
FireForRow(HandlerRun *run, Relation relation, TupleTableSlot *slot)
{
	bool		should_free;

	Actor		actor;

	BecomeActor(&actor);
	if (PassesWhen(run, slot))
		CallTrigger(run, relation, ExecFetchSlotHeapTuple(slot, true, &should_free), slot);
	EndActor(&actor);
}

/*
 * Fire a statement-level trigger, if its WHEN lets it fire.
 */
static void
FireForStatement(HandlerRun *run)
{
	Actor		actor;

	BecomeActor(&actor);
	if (PassesWhen(run, NULL))
		CallTrigger(run, run->table_relation, NULL, NULL);
	EndActor(&actor);
}

/*
 * The fact's row in the form that the table itself has.
 */
static TupleTableSlot *
AsTableRow(HandlerRun *run, TupleTableSlot *slot)
{
	if (run->to_table == NULL)
		return slot;
	return execute_attr_map_slot(run->to_table->attrMap, slot, run->table_slot);
}

/*
 * Keep a fact for the trigger's NEW TABLE.
 */
static void
KeepFact(HandlerRun *run, TupleTableSlot *slot)
{
	if (run->facts == NULL)
	{
		MemoryContext context = MemoryContextSwitchTo(run->context);

		run->facts = tuplestore_begin_heap(true, false, work_mem);
		MemoryContextSwitchTo(context);
	}
	tuplestore_puttupleslot(run->facts, AsTableRow(run, slot));
}

/*
 * The row of a fact as a query would read it, with its virtual generated columns.
 */
static TupleTableSlot *
WithVirtualColumns(HandlerRun *run, TupleTableSlot *slot)
{
	ExprContext *econtext = GetPerTupleExprContext(run->estate);
	TupleTableSlot *filled = run->computed_slot;

	if (run->computed == NULL)
		return slot;
	ResetExprContext(econtext);
	econtext->ecxt_outertuple = slot;
	slot_getallattrs(slot);
	ExecClearTuple(filled);
	for (int i = 0; i < filled->tts_tupleDescriptor->natts; i++)
	{
		filled->tts_values[i] = slot->tts_values[i];
		filled->tts_isnull[i] = slot->tts_isnull[i];
		if (run->computed[i])
			filled->tts_values[i] = ExecEvalExprSwitchContext(run->computed[i], econtext,
															  &filled->tts_isnull[i]);
	}
	return ExecStoreVirtualTuple(filled);
}

/*
 * Call a declared function with a fact.
 */
static void
CallFunction(HandlerRun *run, TupleTableSlot *slot)
{
	Datum		row = ExecFetchSlotHeapTupleDatum(WithVirtualColumns(run, AsTableRow(run, slot)));

	SqlExecutePrepared(run->statement, &row, NULL);
}

/*
 * Handle one fact, a row of the table or of one of its partitions.
 */
void
HandleFact(HandlerRun *run, Relation relation, TupleTableSlot *slot)
{
	MemoryContext context;
	ErrorContextCallback callback;

	ActOnRelation(run->table->destination);
	EnterRelation(run, relation);
	MemoryContextReset(run->fact_context);
	context = MemoryContextSwitchTo(run->fact_context);
	run->fact = DescribeFact(run, AsTableRow(run, slot));
	run->handled++;
	callback.callback = HandlerErrorContext;
	callback.arg = run;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	if (run->statement)
		CallFunction(run, slot);
	else if (run->trigger == NULL)
		 /* dropped by a handler */ ;
	else if (run->handler->kind == HANDLER_STATEMENT_TRIGGER ||
			 run->trigger->tgnewtable)
		KeepFact(run, slot);
	else
		FireForRow(run, relation, slot);

	run->fact = NULL;
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
}

/*
 * Fire a row-level trigger that wants a NEW TABLE, now that the table is
 * complete.
 */
static void
FireForKeptRows(HandlerRun *run)
{
	int			pointer = tuplestore_alloc_read_pointer(run->facts, EXEC_FLAG_REWIND);
	TupleTableSlot *slot;

	/* Neither the slot nor its row may live in what is reset */
	MemoryContextSwitchTo(run->context);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(run->table_relation), &TTSOpsMinimalTuple);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_select_read_pointer(run->facts, pointer);
		if (!tuplestore_gettupleslot(run->facts, true, true, slot))
			break;
		MemoryContextReset(run->fact_context);
		MemoryContextSwitchTo(run->fact_context);
		FireForRow(run, run->table_relation, slot);
		MemoryContextSwitchTo(run->context);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * End the run of a handler; one that handles all facts at once does so now.
 */
void
EndHandler(HandlerRun *run)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback;

	callback.callback = HandlerErrorContext;
	callback.arg = run;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (run->trigger && run->handled > 0)
	{
		ActOnRelation(run->table->destination);
		MemoryContextSwitchTo(run->fact_context);
		if (run->handler->kind == HANDLER_STATEMENT_TRIGGER)
			FireForStatement(run);
		else if (run->facts)
			FireForKeptRows(run);
		MemoryContextSwitchTo(context);
	}
	error_context_stack = callback.previous;

	if (run->facts)
		tuplestore_end(run->facts);
	if (run->statement)
		SqlFree(run->statement);
	FreeExecutorState(run->estate);
	ExecDropSingleTupleTableSlot(run->table_slot);
	if (run->computed_slot)
		ExecDropSingleTupleTableSlot(run->computed_slot);
	table_close(run->table_relation, NoLock);
	MemoryContextDelete(run->context);
}
