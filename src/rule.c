/*-------------------------------------------------------------------------
 *
 * rule.c
 *	  declared rules: what follows from which facts, as a query
 *
 * factmerge_add_rule() declares that whatever a query over fact tables returns
 * is a fact of a target table.  The query is analysed by the server, as that of
 * an INSERT into the target, so that names, types and casts mean what they would
 * mean there; it is checked to be monotone (monotone.c), and kept as a view of
 * schema factmerge.  So the server keeps it in step when tables or columns are
 * renamed, does not let anybody drop what it reads without saying so, and
 * pg_dump and pg_upgrade carry it.  factmerge.rule registers the rules.
 *
 * The tables that a rule reads get a trigger, which derives what follows from
 * each INSERT (maintain.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/view.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_add_rule);
PG_FUNCTION_INFO_V1(factmerge_drop_rule);
PG_FUNCTION_INFO_V1(factmerge_rules);

/* A rule on its way into the register */
typedef struct Declaration
{
	const char *name;
	Oid			target;
	Oid			schema;			/* of the target */
	List	   *columns;		/* of ResTarget */
	List	   *facts;			/* Oids: the fact tables of the schema */
	List	   *body;			/* Oids: those that it reads */
	char	   *text;			/* of the query, resolved */
} Declaration;

/* What is being parsed, for the error context */
typedef struct Parsing
{
	const char *rule;
	const char *text;
	const char *part;			/* of the declaration */
} Parsing;

/*
 * Say in errors which part of which rule it is; a position is one in that part,
 * not in the statement that called us.
 */
static void
ParsingContext(void *arg)
{
	Parsing    *parsing = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(parsing->text);
	}
	errcontext("%s of rule \"%s\"", parsing->part, parsing->rule);
}

/*
 * Refuse a target that is not written as table(column, ...).
 */
static void
CheckTargetForm(List *trees)
{
	InsertStmt *insert = trees ? (InsertStmt *) ((RawStmt *) linitial(trees))->stmt : NULL;
	bool		good = list_length(trees) == 1 && IsA(insert, InsertStmt) &&
		insert->cols != NIL && insert->onConflictClause == NULL &&
		!HAS_RETURNING(insert) && insert->withClause == NULL &&
		insert->override == OVERRIDING_NOT_SET && insert->relation->alias == NULL;
	ListCell   *lc;

	if (good)
		foreach(lc, insert->cols)
	{
		ResTarget  *column = lfirst(lc);

		good &= column->indirection == NIL;
		column->location = -1;	/* not one in the query */
	}
	if (good)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("a target is a table with the columns that the query gives"),
			 errhint("Say it like path(a, c).")));
}

/*
 * Take the target: table(column, ...), by the server's parser for the head of
 * an INSERT.
 */
static void
TakeTarget(Declaration *rule, char *target)
{
	char	   *text = psprintf("INSERT INTO %s SELECT", target);
	Parsing		parsing = {rule->name, text, "target"};
	ErrorContextCallback context = {error_context_stack, ParsingContext, &parsing};
	List	   *trees;
	InsertStmt *insert;

	error_context_stack = &context;
	trees = raw_parser(text, RAW_PARSE_DEFAULT);
	CheckTargetForm(trees);
	insert = (InsertStmt *) ((RawStmt *) linitial(trees))->stmt;
	rule->target = RangeVarGetRelid(insert->relation, AccessShareLock, false);
	CheckTable(rule->target);
	rule->schema = get_rel_namespace(rule->target);
	rule->columns = insert->cols;
	rule->facts = FactRelations(rule->schema);
	if (!list_member_oid(rule->facts, rule->target))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a fact table", get_rel_name(rule->target)),
				 errhint("factmerge_tables() lists the fact tables of a schema.")));
	error_context_stack = context.previous;
}

/*
 * The raw parse tree of a rule's query: one SELECT.
 */
static SelectStmt *
ParseQuery(const char *text)
{
	List	   *trees = raw_parser(text, RAW_PARSE_DEFAULT);
	SelectStmt *select = trees ? (SelectStmt *) ((RawStmt *) linitial(trees))->stmt : NULL;

	if (list_length(trees) != 1 || !IsA(select, SelectStmt) || select->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a rule is one query"),
				 errhint("Give the SELECT whose rows follow from the facts.")));
	return select;
}

/*
 * Analyse a query as that of an INSERT into the target.  Names are looked up in
 * the target's schema first.
 */
static Query *
AnalyseInsert(Declaration *rule, const char *text)
{
	InsertStmt *insert = makeNode(InsertStmt);
	RawStmt    *statement = makeNode(RawStmt);
	char	   *schema = get_namespace_name(rule->schema);
	int			nest_level = NewGUCNestLevel();
	Query	   *query;

	insert->relation = makeRangeVar(schema, get_rel_name(rule->target), -1);
	insert->cols = rule->columns;
	insert->selectStmt = (Node *) ParseQuery(text);
	statement->stmt = (Node *) insert;
	SetLocally("search_path",
			   psprintf("%s%s%s", quote_identifier(schema),
						namespace_search_path[0] ? ", " : "", namespace_search_path));
	query = parse_analyze_fixedparams(statement, text, NULL, 0, NULL);
	AtEOXact_GUC(true, nest_level);
	return query;
}

/*
 * Write casts that the server has added so that they are read as such.
 */
static bool
ShowCasts(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr))
		((FuncExpr *) node)->funcformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, RelabelType))
		((RelabelType *) node)->relabelformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, CoerceViaIO))
		((CoerceViaIO *) node)->coerceformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, ArrayCoerceExpr))
		((ArrayCoerceExpr *) node)->coerceformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, CoerceToDomain))
		((CoerceToDomain *) node)->coercionformat = COERCE_EXPLICIT_CAST;
	return expression_tree_walker(node, ShowCasts, arg);
}

/*
 * The query of an analysed INSERT: what it selects, with the casts to the types
 * of the target's columns.  Lengths are left to be checked by the INSERT that
 * saves a fact, for a cast that one can see would cut values off.
 */
static Query *
SelectOf(Query *insert)
{
	Query	   *outer = makeNode(Query);
	RangeTblEntry *rte = llast(insert->rtable);
	RangeTblRef *ref = makeNode(RangeTblRef);
	bool		as_is = true;
	ListCell   *lc;

	if (rte->rtekind != RTE_SUBQUERY)
		return NULL;			/* VALUES */
	foreach(lc, insert->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		int			i = foreach_current_index(lc) + 1;

		if (exprIsLengthCoercion((Node *) entry->expr, NULL) && IsA(entry->expr, FuncExpr))
			entry->expr = linitial(((FuncExpr *) entry->expr)->args);
		as_is &= IsA(entry->expr, Var) && ((Var *) entry->expr)->varattno == i;
		entry->resno = i;
	}
	if (as_is)
		return rte->subquery;
	ChangeVarNodes((Node *) insert->targetList, list_length(insert->rtable), 1, 0);
	(void) ShowCasts((Node *) insert->targetList, NULL);
	rte->alias = makeAlias("q", NIL);
	rte->inFromCl = true;
	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->querySource = QSRC_ORIGINAL;
	outer->canSetTag = true;
	outer->rtable = list_make1(rte);
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	outer->targetList = insert->targetList;
	return outer;
}

/*
 * Refuse tables that a view of ours cannot depend on, or that facts are not
 * looked for in.
 */
static void
CheckTables(Declaration *rule, Query *query)
{
	ListCell   *lc;

	if (isQueryUsingTempRelation(query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a rule cannot look at temporary tables"),
				 errdetail("It outlives them.")));
	rule->body = FactsRead(query, rule->facts);
	if (rule->body == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the query reads no fact table of schema \"%s\"",
						get_namespace_name(rule->schema)),
				 errdetail("Nothing would ever set the rule off."),
				 errhint("Insert what it says as facts.")));
	foreach(lc, rule->body)
		CheckTable(lfirst_oid(lc));
}

/*
 * Take the query.
 */
static void
TakeQuery(Declaration *rule, char *text)
{
	Parsing		parsing = {rule->name, text, "query"};
	ErrorContextCallback context = {error_context_stack, ParsingContext, &parsing};
	Query	   *query;
	Query	   *inlined;

	error_context_stack = &context;
	query = SelectOf(AnalyseInsert(rule, text));
	if (query == NULL)
		query = makeNode(Query);
	InlineViews(query);
	inlined = copyObject(query);
	InlineFactualCtes(inlined, rule->facts);
	RefuseNonMonotone(inlined, rule->facts, text);
	CheckTables(rule, query);
	rule->text = QueryText(query);
	error_context_stack = context.previous;
}

/*
 * Analyse a rule's text as the caller, whose functions that may call: even a literal's
 * type can have a check.  Its columns are called by the names of the target's.
 */
static Query *
AnalyseAgain(const char *text, List *names)
{
	int			nest_level = NewGUCNestLevel();
	Query	   *query;
	ListCell   *lc;

	LockSearchPath();
	FixSettings();
	query = parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT)),
									  text, NULL, 0, NULL);
	AtEOXact_GUC(true, nest_level);
	foreach(lc, query->targetList)
		if (!((TargetEntry *) lfirst(lc))->resjunk)
		((TargetEntry *) lfirst(lc))->resname = list_nth(names, ((TargetEntry *) lfirst(lc))->resno - 1);
	return query;
}

/*
 * SQL for a row of nulls that has the types of what a query returns.
 */
static char *
NullsLike(Query *query)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Oid			collation = exprCollation((Node *) entry->expr);

		if (entry->resjunk)
			continue;
		appendStringInfo(&sql, "%s NULL::%s", sql.len ? "," : "SELECT",
						 TypeText(exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr)));
		if (OidIsValid(collation))
			appendStringInfo(&sql, " COLLATE %s", QualifiedCollation(collation));
	}
	return sql.data;
}

/*
 * Keep a rule: its query as a view, which becomes that of the target's owner,
 * and an entry in the register.  The view is the extension owner's at first, who must
 * not analyse what the caller wrote: it is made of nulls, and then given the query.
 */
static void
KeepRule(Declaration *rule)
{
	List	   *names = NIL;
	StringInfoData columns;
	SqlArgs		args = {0};
	RoleSwitch	caller;
	Query	   *query;
	char	   *view;
	ListCell   *lc;

	initStringInfo(&columns);
	foreach(lc, rule->columns)
	{
		names = lappend(names, ((ResTarget *) lfirst(lc))->name);
		appendStringInfo(&columns, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(llast(names)));
	}
	query = AnalyseAgain(rule->text, names);
	BecomeExtensionOwner(&caller);
	view = psprintf("factmerge.rule_" INT64_FORMAT,
					SqlFetchInt64(InvalidSnapshot,
								  "SELECT pg_catalog.nextval('factmerge.rule_number')", NULL));
	SqlUtility(psprintf("CREATE VIEW %s (%s) AS %s", view, columns.data, NullsLike(query)));
	StoreViewQuery(get_relname_relid(view + strlen("factmerge."), get_namespace_oid("factmerge", false)),
				   query, true);
	CommandCounterIncrement();
	SqlUtility(psprintf("ALTER VIEW %s OWNER TO %s", view,
						quote_identifier(GetUserNameFromId(RelationOwner(rule->target), false))));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(rule->target));
	SqlAddArg(&args, NAMEOID, NameDatum(rule->name));
	SqlAddArg(&args, NAMEARRAYOID, NameArray(names));
	SqlExecute(InvalidSnapshot,
			   psprintf("INSERT INTO factmerge.rule (target, name, columns, view)"
						" VALUES ($1, $2, $3, %s::pg_catalog.regclass)",
						quote_literal_cstr(view)), &args);
	BecomeCallerAgain(&caller);
}

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
	Query	   *query;
	Datum	   *names;
	int			count;

	rule->target = DatumGetObjectId(values[0]);
	rule->name = pstrdup(NameStr(*DatumGetName(values[1])));
	rule->view = DatumGetObjectId(values[3]);
	deconstruct_array(DatumGetArrayTypePCopy(values[2]), NAMEOID, NAMEDATALEN, false,
					  TYPALIGN_CHAR, &names, NULL, &count);
	for (int i = 0; i < count; i++)
		rule->columns = lappend(rule->columns, NameStr(*DatumGetName(names[i])));
	view = table_open(rule->view, AccessShareLock);
	query = get_view_query(view);
	rule->body = FactsRead(query, loaded->facts);
	rule->arms = SplitIntoArms(query, loaded->facts);
	table_close(view, AccessShareLock);
	loaded->rules = lappend(loaded->rules, rule);
	MemoryContextSwitchTo(context);
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
				  "SELECT r.target, r.name, r.columns, r.view FROM factmerge.rule AS r"
				  " JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) r.target"
				  " JOIN pg_catalog.pg_class AS v ON v.oid OPERATOR(pg_catalog.=) r.view"
				  " WHERE t.relnamespace OPERATOR(pg_catalog.=) $1 AND v.relkind OPERATOR(pg_catalog.=) 'v'"
				  " ORDER BY r.name", &args, TakeRule, &loaded);
	UnregisterSnapshot(snapshot);
	return loaded.rules;
}

/*
 * The rule of that name, or NULL.
 */
static Rule *
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
static void
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
static void
LockRegister(void)
{
	Oid			relation = get_relname_relid("rule", get_namespace_oid("factmerge", false));

	LockRelationOid(relation, ShareRowExclusiveLock);
}

/*
 * Drop the triggers of tables that no rule of the schema reads any more.
 */
static void
DropIdleTriggers(List *tables, List *rules)
{
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, tables)
	{
		bool		idle = true;

		foreach(r, rules)
			idle &= !list_member_oid(((Rule *) lfirst(r))->body, lfirst_oid(lc));
		if (idle)
			DropRuleTriggers(lfirst_oid(lc));
	}
}

/*
 * factmerge_add_rule(name, text, text)
 */
Datum
factmerge_add_rule(PG_FUNCTION_ARGS)
{
	Declaration rule = {.name = NameStr(*REQUIRE_ARG(NAME, 0))};
	int			nest_level = NewGUCNestLevel();
	Rule	   *before;
	ListCell   *lc;

	SqlConnect();
	TakeTarget(&rule, text_to_cstring(REQUIRE_ARG(TEXT_PP, 1)));
	TakeQuery(&rule, text_to_cstring(REQUIRE_ARG(TEXT_PP, 2)));
	LockSearchPath();
	LockRegister();
	before = FindRule(LoadRules(rule.schema), rule.name);
	if (before)
	{
		CheckTable(before->target);
		RemoveRule(before);
	}
	KeepRule(&rule);
	foreach(lc, rule.body)
		CreateRuleTriggers(lfirst_oid(lc));
	if (before)
		DropIdleTriggers(before->body, LoadRules(rule.schema));
	AtEOXact_GUC(true, nest_level);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_drop_rule(name, name)
 */
Datum
factmerge_drop_rule(PG_FUNCTION_ARGS)
{
	char	   *name = NameStr(*REQUIRE_ARG(NAME, 0));
	Oid			schema = FindSchema(NameStr(*REQUIRE_ARG(NAME, 1)));
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
	DropIdleTriggers(rule->body, LoadRules(schema));
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
	Oid			schema = FindSchema(NameStr(*REQUIRE_ARG(NAME, 0)));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	foreach(lc, LoadRules(schema))
	{
		Rule	   *rule = lfirst(lc);
		SqlArgs		args = {0};
		char	  **text;
		Datum		values[5];
		bool		nulls[5] = {false};

		SqlAddArg(&args, OIDOID, ObjectIdGetDatum(rule->view));
		text = SqlFetchRow(InvalidSnapshot,
						   "SELECT pg_catalog.rtrim(pg_catalog.btrim(pg_catalog.pg_get_viewdef($1, true)), ';')",
						   &args);
		values[0] = NameDatum(rule->name);
		values[1] = ObjectIdGetDatum(rule->target);
		values[2] = NameArray(rule->columns);
		values[3] = CStringGetTextDatum(text[0]);
		values[4] = RelationArray(rule->body);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SqlFinish();
	return (Datum) 0;
}
