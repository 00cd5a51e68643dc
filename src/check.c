/*-------------------------------------------------------------------------
 *
 * check.c
 *	  does a handler keep its contract?
 *
 * What a handler promises is tried on a sample of real facts: the tables are
 * emptied, and the sample arrives one fact after the other, as events do, with all
 * handlers and rules of the schema at work; then again in another order, and so on.
 * What has been derived into the tables that the handler writes to must always be
 * the same.  All of this is taken back in the end.
 *
 * sample.c draws the sample, arrival.c lets it arrive, outcome.c tells what has been
 * derived, experiment.c says in which orders, and companion.c tries whether it is friends
 * that are combined.  Here is what comes before and
 * after: which handler is meant, and the verdicts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "check.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_check_handler);

#define MOST_SAMPLE 10000

/*
 * Which handler is meant
 */

/* The handler that is meant, as it has been named */
typedef struct Named
{
	const char *name;
	const char *trigger;		/* that it may be, or "" */
	const char *function;		/* that it may be: its name, or what that ends in; or "" */
	bool		is_end;
	Oid			argument;		/* type of the function's, if it is named with it */
} Named;

/*
 * What the name of a declared function is, or ends in if it is given without its
 * schema; NULL if no function can have such a name.
 */
static char *
FunctionName(const char *name, bool *is_end)
{
	List	   *parts;

	if (!SplitIdentifierString(pstrdup(name), '.', &parts) || parts == NIL || list_length(parts) > 2)
		return NULL;
	*is_end = list_length(parts) == 1;
	return *is_end ? psprintf(".%s", quote_identifier(linitial(parts))) :
		quote_qualified_identifier(linitial(parts), lsecond(parts));
}

/*
 * Whether there is a trigger of that name, on whatever table.
 */
static bool
TriggerExists(const char *name)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, TEXTOID, CStringGetTextDatum(name));
	return SqlFetchRow(InvalidSnapshot,
					   "SELECT 1 FROM pg_catalog.pg_trigger AS t"
					   " WHERE t.tgname::pg_catalog.text OPERATOR(pg_catalog.=) $1 LIMIT 1", &args) != NULL;
}

/*
 * Read the name of a handler.  One with an argument is that of a function, unless a
 * trigger is called so.  The caller's search_path is still in force, since the argument's
 * type is found by it.
 */
static void
ReadName(Named *named, const char *name)
{
	const char *function = name;

	named->name = name;
	named->trigger = name;
	if (HasSignature(name) && !TriggerExists(name))
	{
		named->trigger = "";
		function = SplitSignature(name, &named->argument);
	}
	if (OidIsValid(named->argument) && !OidIsValid(get_typ_typrelid(named->argument)))
		function = "";			/* none takes a fact */
	named->function = FunctionName(function, &named->is_end);
	if (named->function == NULL)
		named->function = "";
}

/*
 * The only fact table that has a handler of that name.
 */
static Oid
TableWithHandler(Named *named)
{
	const char *name = named->name;
	SqlArgs		args = {0};
	char	  **row;

	if (OidIsValid(named->argument) && *named->function)
		return get_typ_typrelid(named->argument);
	SqlAddArg(&args, TEXTOID, CStringGetTextDatum(named->trigger));
	SqlAddArg(&args, TEXTOID, CStringGetTextDatum(named->function));
	row = SqlFetchRow(InvalidSnapshot,
					  psprintf("SELECT pg_catalog.min(h.fact_table), pg_catalog.count(*),"
							   " pg_catalog.string_agg(h.fact_table::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY h.fact_table)"
							   " FROM (SELECT t.tgrelid FROM pg_catalog.pg_trigger AS t WHERE t.tgname::pg_catalog.text = $1"
							   " AND NOT t.tgisinternal AND t.tgparentid = 0"
							   " UNION SELECT d.fact_table FROM factmerge.handler AS d WHERE %s = $2) AS h (fact_table)",
							   named->is_end ? "pg_catalog.right(d.handler, pg_catalog.length($2))" : "d.handler"), &args);
	if (row[0] == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no handler \"%s\"", name),
				 errhint("Name a trigger, or a function that has been declared by factmerge_add_handler(); factmerge_tables() lists the handlers of a schema's tables.")));
	if (strcmp(row[1], "1") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("several tables have a handler \"%s\"", name),
				 errdetail("They are %s.", row[2]),
				 errhint("Name the table as the second argument.")));
	return DatumGetObjectId(DirectFunctionCall1(oidin, CStringGetDatum(row[0])));
}

/*
 * Whether a handler of a table is called so.
 */
static bool
IsCalled(FactTable *table, Handler *handler, Named *named)
{
	int			longer = (int) strlen(handler->name) - (int) strlen(named->function);

	if (!IsFunction(handler))
		return strcmp(handler->name, named->trigger) == 0;
	if (OidIsValid(named->argument) && named->argument != get_rel_type_id(table->destination))
		return false;
	return *named->function && (named->is_end ? longer >= 0 : longer == 0) &&
		strcmp(handler->name + longer, named->function) == 0;
}

/*
 * The handler of a table that has a name.
 */
static Handler *
FindHandler(FactTable *table, Named *named)
{
	ListCell   *lc;

	foreach(lc, table->handlers)
		if (IsCalled(table, lfirst(lc), named))
			return lfirst(lc);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("\"%s\" is not a handler of table \"%s\"", named->name, table->name),
			 errhint("Handlers are triggers that fire after an INSERT and are not ignored, and functions declared by factmerge_add_handler().")));
	return NULL;				/* keep compiler quiet */
}

/*
 * Read the arguments, and find the handler; SPI is connected.
 */
static void
OpenCheck(Check *check, Named *named, FunctionCallInfo fcinfo)
{
	Merge	   *merge = check->merge;
	Oid			relation;
	Oid			schema;

	check->wanted = PG_GETARG_INT32(2);
	if (check->wanted < 1 || check->wanted > MOST_SAMPLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sample has from 1 to %d facts", MOST_SAMPLE)));
	relation = PG_ARGISNULL(1) ? TableWithHandler(named) : PG_GETARG_OID(1);
	CheckTable(relation);
	schema = get_rel_namespace(relation);
	merge->destination = get_namespace_name(schema);
	merge->tables = DescribeSchema(schema);
	LoadHandlers(merge->tables);
	merge->rules = RulesToApply(schema);
	CheckRights(merge);
	check->table = FindTable(merge->tables, relation);
	if (check->table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" holds no facts", get_rel_name(relation)),
				 errhint("It is ignored, or a partition.")));
	check->handler = FindHandler(check->table, named);
}

/*
 * The verdicts
 */

/*
 * How many facts of the sample have arrived by themselves, in some tables or (NIL)
 * in all.
 */
static int
CountArrived(Check *check, List *tables)
{
	int			count = 0;

	for (int i = 0; i < check->count; i++)
		count += !check->sample[i].follows &&
			(tables == NIL || list_member_ptr(tables, check->sample[i].table));
	return count;
}

/*
 * How many facts have been derived in any order, into the tables that the handler
 * writes to.
 */
static int
CountDerivedFacts(Check *check)
{
	return check->all_count - CountArrived(check, check->written);
}

/*
 * Why nothing can be said of the handler, or NULL.
 */
static const char *
WhyUntried(Check *check)
{
	ListCell   *lc;

	if (check->written == NIL)
		return "the handler has written to no fact table";
	if (CountArrived(check, NIL) == 0)
		return "there are no facts that would arrive by themselves";
	foreach(lc, check->outcomes)
		if (((Outcome *) lfirst(lc))->error)
		return NULL;
	if (check->again == NULL && CountDerivedFacts(check) <= 0)
		return psprintf("nothing follows from a sample of %d facts", check->count);
	return NULL;
}

/*
 * Return a row for a promise: whether it is kept, or that it has not been tried.
 */
static void
ReturnCheck(FunctionCallInfo fcinfo, const char *promise, bool tried, bool kept, const char *detail)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[3] = {CStringGetTextDatum(promise), BoolGetDatum(kept), CStringGetTextDatum(detail)};
	bool		nulls[3] = {false, !tried, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
JudgeAddingAgain(Check *check, FunctionCallInfo fcinfo, const char *promise)
{
	ReturnCheck(fcinfo, promise, true, check->again == NULL, check->again ? check->again :
				psprintf("%d facts arrived, and those of table %s were added once more",
						 CountArrived(check, NIL), quote_identifier(check->table->name)));
}

/*
 * Judge the orders of arrival that put a certain fact last, or those that do not.
 */
static void
JudgeOrders(Check *check, FunctionCallInfo fcinfo, const char *promise, bool lasts)
{
	int			orders = 0;
	ListCell   *lc;

	foreach(lc, check->outcomes)
	{
		Outcome    *outcome = lfirst(lc);
		char	   *missing = FirstMissing(check->all, check->all_count, outcome->facts, outcome->count);
		char	   *when;

		if (lasts != (outcome->last >= 0))
			continue;
		orders++;
		if (outcome->error == NULL && missing == NULL)
			continue;
		when = lasts ? psprintf("when %s arrives last", check->sample[outcome->last].text) :
			psprintf("in order %d of %d", orders, ORDERS);
		ReturnCheck(fcinfo, promise, true, false,
					outcome->error ? psprintf("fails %s: %s", when, outcome->error) :
					psprintf("does not find %s %s", missing, when));
		return;
	}
	ReturnCheck(fcinfo, promise, true, true,
				psprintf(lasts ? "each of %d facts was the last to arrive, and %d were derived" :
						 "%d orders of arrival, and %d facts were derived",
						 orders, CountDerivedFacts(check)));
}

/*
 * Why nothing can be said of what the handler combines, or NULL.
 */
static const char *
WhyNotCombined(Check *check)
{
	if (check->changed)
		return "it does not only add facts";
	if (check->no_friend || check->companioned > 0)
		return NULL;
	if (!list_member_ptr(check->arriving, check->table))
		return psprintf("facts of table %s follow from others, and do not arrive by themselves",
						quote_identifier(check->table->name));
	return psprintf("nothing follows when one of %d facts of table %s arrives", check->events_tried,
					quote_identifier(check->table->name));
}

static void
JudgeCompanions(Check *check, FunctionCallInfo fcinfo, const char *untried)
{
	const char *promise = "whatever it combines is a friend";

	if (untried == NULL)
		untried = WhyNotCombined(check);
	if (untried)
		ReturnCheck(fcinfo, promise, false, false, untried);
	else
		ReturnCheck(fcinfo, promise, true, check->no_friend == NULL, check->no_friend ? check->no_friend :
					psprintf("what follows when one of %d facts arrives takes no others than friends", check->companioned));
}

/*
 * Whether a handler's text has a statement that changes rows, as far as can be told from
 * words: without comments, row locks, and the names of events.
 */
static bool
MentionsChanges(Handler *handler)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(handler->function));
	return SqlFetchRow(InvalidSnapshot,
					   "SELECT 1 FROM pg_catalog.pg_proc AS p WHERE p.oid = $1 AND pg_catalog.regexp_replace(p.prosrc,"
					   " $$--[^\n]*|/\\*.*?\\*/|\\mfor\\s+(no\\s+key\\s+)?update\\M|'(insert|update|delete|truncate)'$$, ' ', 'gi')"
					   " ~* $$\\m(update|delete|truncate|merge)\\M$$", &args) != NULL;
}

static void
JudgeAddingOnly(Check *check, FunctionCallInfo fcinfo)
{
	const char *promise = "it only adds facts";

	if (check->changed)
		ReturnCheck(fcinfo, promise, true, false,
					psprintf("%s table %s", check->changed->how,
							 quote_identifier(get_rel_name(check->changed->table))));
	else if (check->failure)
		ReturnCheck(fcinfo, promise, false, false, psprintf("it fails: %s", check->failure));
	else if (MentionsChanges(check->handler) && (!check->handled || check->deeds->changed == NIL))
		ReturnCheck(fcinfo, promise, false, false,
					check->handled ? "its text has statements that change rows, which no fact has set off" :
					"its text has statements that change rows, and there are no facts to try it on");
	else
		ReturnCheck(fcinfo, promise, check->handled, true,
					check->handled ? "no statement of it has changed a fact" : "there are no facts to try it on");
}

/*
 * Return a row for each promise.
 */
static void
ReturnVerdicts(Check *check, FunctionCallInfo fcinfo)
{
	static const char *const promises[] = {
		"adding twice changes nothing", "any order of arrival gives the same", "found from each participant"
	};
	const char *untried = WhyUntried(check);
	const char *uncombined = untried;
	int			promise = 0;

	if (untried == NULL)
		JudgeAddingAgain(check, fcinfo, promises[promise++]);
	if (untried == NULL && check->changed)
		untried = "it does not only add facts";
	if (untried == NULL && check->handler->found_from_this)
		untried = "it is declared to find derivations from facts of its table only";
	if (untried == NULL)
	{
		JudgeOrders(check, fcinfo, promises[promise++], false);
		JudgeOrders(check, fcinfo, promises[promise++], true);
	}
	while (promise < (int) lengthof(promises))
		ReturnCheck(fcinfo, promises[promise++], false, false, untried);
	JudgeCompanions(check, fcinfo, uncombined);
	JudgeAddingOnly(check, fcinfo);
}

/*
 * factmerge_check_handler(text, regclass, integer): a row for each promise of a
 * handler, and whether it is kept.
 */
Datum
factmerge_check_handler(PG_FUNCTION_ARGS)
{
	Merge		merge = {0};
	Check		check = {.merge = &merge};
	Named		named = {0};
	int			nest_level;

	RequireArgument(fcinfo, 0);
	RequireArgument(fcinfo, 2);
	RequireWritable(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	SqlConnect();
	ReadName(&named, HandlerArgument(fcinfo, 0));
	nest_level = NewGUCNestLevel();
	merge.search_path = LockSearchPath();
	merge.dry_run = true;
	check.context = CurrentMemoryContext;
	OpenCheck(&check, &named, fcinfo);
	ActForOwners(merge.tables);
	DoAndTakeBack(Experiment, &merge, &check);
	ReturnVerdicts(&check, fcinfo);
	ReportActivity(&merge, NULL, NULL);
	StopActing();
	AtEOXact_GUC(false, nest_level);
	SqlFinish();
	return (Datum) 0;
}
