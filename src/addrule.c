/*-------------------------------------------------------------------------
 *
 * addrule.c
 *	  declared rules: what follows from which facts, as a query
 *
 * factmerge_add_rule() declares that whatever a query over fact tables returns
 * is a fact of a target table.  The query is analysed by the server, as that of
 * an INSERT into the target, so that names, types and casts mean what they would
 * mean there; it is checked to be monotone (monotone.c), and kept as a view of
 * schema factmerge.  So the server keeps it in step when tables or columns are
 * renamed, does not let anybody drop what it reads without saying so, and
 * pg_dump and pg_upgrade carry it.  factmerge.rule registers the rules (rule.c).
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
#include "catalog/pg_attribute.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/view.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_add_rule);

/* A rule on its way into the register */
typedef struct Declaration
{
	const char *name;
	Oid			target;
	Oid			schema;			/* of the target */
	List	   *columns;		/* of ResTarget; NIL until the query says them */
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
 * Say in errors which part of which rule it is.
 */
static void
ParsingContext(void *arg)
{
	Parsing    *parsing = arg;

	PointInto(parsing->text);
	errcontext("%s of rule \"%s\"", parsing->part, parsing->rule);
}

/*
 * Whether nothing but SELECT itself follows the head of an INSERT.
 */
static bool
IsEmptySelect(Node *query)
{
	SelectStmt *select = (SelectStmt *) query;

	return select != NULL && IsA(select, SelectStmt) && select->op == SETOP_NONE &&
		select->targetList == NIL && select->fromClause == NIL && select->valuesLists == NIL;
}

/*
 * Refuse a target that is not written as table(column, ...), or as a table alone.
 */
static void
CheckTargetForm(List *trees)
{
	InsertStmt *insert = trees ? (InsertStmt *) ((RawStmt *) linitial(trees))->stmt : NULL;
	bool		good = list_length(trees) == 1 && IsA(insert, InsertStmt) &&
		IsEmptySelect(insert->selectStmt) && insert->onConflictClause == NULL &&
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
			 errhint("Say it like path(a, c), or like path if the query calls its columns a and c.")));
}

/*
 * Refuse a column of the target that an INSERT cannot give a value.
 */
static void
CheckNamedColumn(Declaration *rule, Form_pg_attribute column)
{
	char	   *name = NameStr(column->attname);

	if (IsProvenanceColumn(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("a rule cannot derive column \"%s\"", name),
				 errdetail("It is not part of the fact of table \"%s\".", get_rel_name(rule->target))));
	if (column->attgenerated || column->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("a rule cannot derive column \"%s\"", name),
				 errdetail("In table \"%s\" it is generated always.", get_rel_name(rule->target)),
				 errhint("Leave the column out.")));
}

/*
 * Refuse to leave out a column that every fact needs, unless a trigger may fill it in.
 */
static void
CheckOmittedColumn(Declaration *rule, Relation target, Form_pg_attribute column)
{
	if (column->attnotnull && build_column_default(target, column->attnum) == NULL &&
		!(target->trigdesc && target->trigdesc->trig_insert_before_row))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("a rule cannot leave out column \"%s\"", NameStr(column->attname)),
				 errdetail("In table \"%s\" it cannot be null, and has no default.",
						   get_rel_name(rule->target)),
				 errhint("Add the column to the target, and what it holds to the query.")));
}

/*
 * Refuse a target of which no fact could be saved.
 */
static void
CheckTargetColumns(Declaration *rule)
{
	Relation	target = table_open(rule->target, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(target);
	ListCell   *lc;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(tupdesc, i);
		bool		named = false;

		if (column->attisdropped)
			continue;
		foreach(lc, rule->columns)
			named |= strcmp(((ResTarget *) lfirst(lc))->name, NameStr(column->attname)) == 0;
		if (named)
			CheckNamedColumn(rule, column);
		else
			CheckOmittedColumn(rule, target, column);
	}
	table_close(target, NoLock);
}

/*
 * Take the target: table(column, ...), or a table alone, by the server's parser for the head of
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
	RefuseInheritance(rule->target);
	RefuseDistributed(rule->target);
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
 * Refuse a column of the query that is not called by one of the target's, or not by one
 * of its own.
 */
static void
CheckNameGiven(Declaration *rule, TargetEntry *entry)
{
	const char *table = get_rel_name(rule->target);
	ListCell   *lc;

	if (get_attnum(rule->target, entry->resname) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\"", table, entry->resname),
				 errdetail("That is what the query calls its column %d.", entry->resno),
				 errhint("Rename it by AS, or say the target as %s(column, ...).", quote_identifier(table))));
	foreach(lc, rule->columns)
		if (strcmp(((ResTarget *) lfirst(lc))->name, entry->resname) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("the query has two columns \"%s\"", entry->resname),
				 errdetail("They are its columns %d and %d.", foreach_current_index(lc) + 1, entry->resno),
				 errhint("Rename one by AS, or say the target as %s(column, ...).", quote_identifier(table))));
}

/*
 * Take the columns of a target that is a table alone: those that the query's are
 * called by.
 */
static void
TakeColumns(Declaration *rule, const char *text)
{
	RawStmt    *statement = makeNode(RawStmt);
	ListCell   *lc;

	statement->stmt = (Node *) ParseQuery(text);
	foreach(lc, parse_analyze_fixedparams(statement, text, NULL, 0, NULL)->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		ResTarget  *column = makeNode(ResTarget);

		if (entry->resjunk)
			continue;
		CheckNameGiven(rule, entry);
		column->name = pstrdup(entry->resname);
		column->location = -1;
		rule->columns = lappend(rule->columns, column);
	}
	if (rule->columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query has no columns")));
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

	SetLocally("search_path",
			   psprintf("%s%s%s", quote_identifier(schema),
						namespace_search_path[0] ? ", " : "", namespace_search_path));
	if (rule->columns == NIL)
		TakeColumns(rule, text);
	insert->relation = makeRangeVar(schema, get_rel_name(rule->target), -1);
	insert->cols = rule->columns;
	insert->selectStmt = (Node *) ParseQuery(text);
	statement->stmt = (Node *) insert;
	query = parse_analyze_fixedparams(statement, text, NULL, 0, NULL);
	AtEOXact_GUC(true, nest_level);
	return query;
}

/*
 * Whether a cast to a length would cut values off if one could see it: its function
 * is told so.
 */
static bool
CutsOff(Node *cast)
{
	return IsA(cast, FuncExpr) && exprIsLengthCoercion(cast, NULL) &&
		list_length(((FuncExpr *) cast)->args) == 3;
}

/*
 * Write the cast of an array so that it is read as one.  One that would cut elements
 * off is left to the INSERT that saves a fact.
 */
static void
ShowArrayCast(ArrayCoerceExpr *cast)
{
	cast->coerceformat = COERCE_EXPLICIT_CAST;
	if (!CutsOff((Node *) cast->elemexpr))
		return;
	cast->elemexpr = linitial(((FuncExpr *) cast->elemexpr)->args);
	cast->resulttypmod = -1;
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
		((FuncExpr *) node)->funcformat = CutsOff(node) ? COERCE_EXPLICIT_CALL : COERCE_EXPLICIT_CAST;
	else if (IsA(node, RelabelType))
		((RelabelType *) node)->relabelformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, CoerceViaIO))
		((CoerceViaIO *) node)->coerceformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, ArrayCoerceExpr))
		ShowArrayCast((ArrayCoerceExpr *) node);
	else if (IsA(node, CoerceToDomain))
		((CoerceToDomain *) node)->coercionformat = COERCE_EXPLICIT_CAST;
	return expression_tree_walker(node, ShowCasts, arg);
}

/*
 * The query of an analysed INSERT: what it selects, with the casts to the types
 * of the target's columns.
 */
static Query *
SelectOf(Query *insert)
{
	RangeTblEntry *rte = llast(insert->rtable);
	bool		as_is = true;
	ListCell   *lc;

	if (rte->rtekind != RTE_SUBQUERY)
		return NULL;			/* VALUES */
	foreach(lc, insert->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		int			i = foreach_current_index(lc) + 1;

		as_is &= IsA(entry->expr, Var) && ((Var *) entry->expr)->varattno == i;
		entry->resno = i;
	}
	if (as_is)
		return rte->subquery;
	ChangeVarNodes((Node *) insert->targetList, list_length(insert->rtable), 1, 0);
	(void) ShowCasts((Node *) insert->targetList, NULL);
	return SelectFrom(rte, insert->targetList);
}

/*
 * Refuse to read a part of a fact table: it is the whole one whose facts arrive.
 */
static bool
RefuseParts(Node *node, void *facts)
{
	RangeTblEntry *rte = (RangeTblEntry *) node;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, RefuseParts, facts, QTW_EXAMINE_RTES_BEFORE);
	if (!IsA(node, RangeTblEntry))
		return expression_tree_walker(node, RefuseParts, facts);
	if (rte->rtekind == RTE_RELATION && FactTableOf(rte->relid) != rte->relid &&
		list_member_oid(facts, FactTableOf(rte->relid)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a rule cannot look at a partition alone"),
				 errdetail("\"%s\" holds facts of table \"%s\".", get_rel_name(rte->relid),
						   get_rel_name(FactTableOf(rte->relid))),
				 errhint("Name the table, with a condition for what the partition holds.")));
	if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_PARTITIONED_TABLE && !rte->inh)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a rule cannot look at a partitioned table without its partitions"),
				 errdetail("\"%s\" itself holds nothing.", get_rel_name(rte->relid)),
				 errhint("Leave ONLY out.")));
	return false;
}

/*
 * Refuse tables that a view of ours cannot depend on.
 */
static void
RefuseTemporary(Query *query)
{
	if (isQueryUsingTempRelation(query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a rule cannot look at temporary tables"),
				 errdetail("It outlives them.")));
}

/*
 * Take the fact tables that the query reads, and refuse it if facts are not looked for
 * in them.
 */
static void
TakeBody(Declaration *rule, Query *query)
{
	ListCell   *lc;

	(void) RefuseParts((Node *) query, rule->facts);
	rule->body = FactsRead(query, rule->facts);
	if (rule->body == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the query reads no fact table of schema \"%s\"",
						get_namespace_name(rule->schema)),
				 errdetail("Nothing would ever set the rule off."),
				 errhint("Insert what it says as facts.")));
	foreach(lc, rule->body)
	{
		CheckTable(lfirst_oid(lc));
		RefuseInheritance(lfirst_oid(lc));
		RefuseDistributed(lfirst_oid(lc));
	}
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
	RefuseTemporary(query);
	InlineViews(query);
	inlined = copyObject(query);
	InlineFactualCtes(inlined, rule->facts);
	RefuseNonMonotone(inlined, rule->facts, text);
	TakeBody(rule, inlined);
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
	int			nest_level;
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
	nest_level = NewGUCNestLevel();
	StayOnServer();
	SqlUtility(psprintf("CREATE VIEW %s (%s) AS %s", view, columns.data, NullsLike(query)));
	AtEOXact_GUC(true, nest_level);
	StoreViewQuery(get_relname_relid(view + strlen("factmerge."), get_namespace_oid("factmerge", false)),
				   query, true);
	CommandCounterIncrement();
	/* Not by a command, which extensions like Citus would pass on to other servers */
	ATExecChangeOwner(RelationNamed(view), RelationOwner(rule->target), false, AccessExclusiveLock);
	CommandCounterIncrement();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(rule->target));
	SqlAddArg(&args, NAMEOID, NameDatum(rule->name));
	SqlAddArg(&args, NAMEARRAYOID, NameArray(names));
	SqlAddArg(&args, REGCLASSARRAYOID, RelationArray(rule->body));
	SqlExecute(InvalidSnapshot,
			   psprintf("INSERT INTO factmerge.rule (target, name, columns, view%s)"
						" VALUES ($1, $2, $3, %s::pg_catalog.regclass%s)", KnowsBodies() ? ", body" : "",
						quote_literal_cstr(view), KnowsBodies() ? ", $4" : ""), &args);
	BecomeCallerAgain(&caller);
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
	CheckTargetColumns(&rule);
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
		DropIdleTriggers(before);
	AtEOXact_GUC(true, nest_level);
	SqlFinish();
	PG_RETURN_VOID();
}
