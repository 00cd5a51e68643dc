/*-------------------------------------------------------------------------
 *
 * declare.c
 *	  declaring handlers, triggers that are none, and tables that are to be
 *	  ignored
 *
 * Declarations are rows in tables of schema factmerge that name relations as
 * regclass and everything else by name, so that pg_dump and pg_upgrade carry
 * them.  To declare something of a table one has to own it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "befriend.h"
#include "compat.h"
#include "factmerge.h"
#include "handler.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_add_handler);
PG_FUNCTION_INFO_V1(factmerge_drop_handler);
PG_FUNCTION_INFO_V1(factmerge_ignore_trigger);
PG_FUNCTION_INFO_V1(factmerge_unignore_trigger);
PG_FUNCTION_INFO_V1(factmerge_ignore_triggers);
PG_FUNCTION_INFO_V1(factmerge_unignore_triggers);
PG_FUNCTION_INFO_V1(factmerge_ignore);
PG_FUNCTION_INFO_V1(factmerge_unignore);
PG_FUNCTION_INFO_V1(factmerge_forget_dropped);

/* For an event trigger: what has just been dropped */
#define DROPPED_TABLES \
	"FROM pg_catalog.pg_event_trigger_dropped_objects() AS o" \
	" WHERE o.object_type OPERATOR(pg_catalog.=) ANY (ARRAY['table', 'foreign table', 'view'])"

#define DROPPED_COLUMNS \
	"FROM pg_catalog.pg_event_trigger_dropped_objects() AS o WHERE o.object_type OPERATOR(pg_catalog.=) 'table column'"

/* The tables that hold what is declared of fact tables */
static const char *const declarations[] = {
	"handler", "ignored_trigger", "ignored_table", "sameness", "friend", "friend_hops",
	"event_log", "column_rule"
};

/*
 * Refuse to declare anything of a relation that is not the caller's.
 */
static void
CheckOwner(Oid relation)
{
	if (!OwnsRelation(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relation));
}

/*
 * Refuse to declare anything of what holds no facts in a destination, or is not
 * the caller's.
 */
void
CheckTable(Oid relation)
{
	char	   *name = get_rel_name(relation);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relation)));
	if (get_rel_relkind(relation) != RELKIND_RELATION &&
		get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", name),
				 errhint("Only tables hold facts.")));
	CheckOwner(relation);
}

/*
 * Whether a table of schema factmerge has a column: what is installed may be an earlier
 * version, until somebody updates the extension.
 */
bool
HasRegistered(const char *table, const char *column)
{
	Oid			relation = get_relname_relid(table, get_namespace_oid("factmerge", false));

	return get_attnum(relation, column) != InvalidAttrNumber;
}

/*
 * Delete all that one of the tables of declarations holds about a fact table;
 * returns how many rows that were.
 */
uint64
Undeclare(const char *declaration, Oid relation)
{
	SqlArgs		args = {0};
	uint64		count;

	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	count = SqlExecuteAsOwner(psprintf("DELETE FROM factmerge.%s WHERE fact_table OPERATOR(pg_catalog.=) $1",
									   declaration), &args);
	SqlFinish();
	return count;
}

/*
 * Forget what is declared of the tables that meet a condition on
 * r.fact_table.
 */
void
ForgetDeclarations(const char *condition)
{
	for (size_t i = 0; i < lengthof(declarations); i++)
		if (HasRegistered(declarations[i], "fact_table"))
		SqlExecuteAsOwner(psprintf("DELETE FROM factmerge.%s AS r WHERE %s",
								   declarations[i], condition), NULL);
}

/*
 * Add a condition of a handler as a parameter, resolved.
 */
static void
AddConditionArg(SqlArgs *args, FunctionCallInfo fcinfo, int argument, Oid fact_table)
{
	SqlAddTextArg(args, PG_ARGISNULL(argument) ? NULL :
				  ResolveFactCondition(fact_table, InvalidOid,
									   text_to_cstring(PG_GETARG_TEXT_PP(argument)),
									   "factmerge_add_handler()",
									   get_rel_name(PG_GETARG_OID(0))));
}

/*
 * factmerge_add_handler(regclass, text, integer, text, text[], text, text)
 */
Datum
factmerge_add_handler(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	char	   *found_from = text_to_cstring(REQUIRE_ARG(TEXT_PP, 3));
	SqlArgs		args = {0};
	Handler    *handler;

	CheckTable(relation);
	handler = FunctionHandler(relation, HandlerArgument(fcinfo, 1), false);
	if (OidIsValid(handler->target))
		RequireSameSchema(relation, handler->target);
	if (strcmp(found_from, "any") != 0 && strcmp(found_from, "this") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("found_from \"%s\" is neither \"any\" nor \"this\"", found_from),
				 errhint("Say \"this\" for a handler that finds a derivation only from a fact of this table.")));
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, TEXTOID, CStringGetTextDatum(handler->name));
	SqlAddArg(&args, INT4OID, REQUIRE_ARG(DATUM, 2));
	SqlAddArg(&args, TEXTOID, CStringGetTextDatum(found_from));
	if (PG_ARGISNULL(4))
		SqlAddNullArg(&args, REGCLASSARRAYOID);
	else
		SqlAddArg(&args, REGCLASSARRAYOID,
				  RelationArray(NamedTables(relation, PG_GETARG_ARRAYTYPE_P(4))));
	AddConditionArg(&args, fcinfo, 5, relation);
	AddConditionArg(&args, fcinfo, 6, InvalidOid);
	SqlExecuteAsOwner("INSERT INTO factmerge.handler (fact_table, handler, priority, found_from, friends, only_when, stop_when)"
					  " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (fact_table, handler)"
					  " DO UPDATE SET priority = excluded.priority, found_from = excluded.found_from,"
					  " friends = excluded.friends, only_when = excluded.only_when, stop_when = excluded.stop_when",
					  &args);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_drop_handler(regclass, text).  The function itself may be gone, so
 * a name without schema is compared with the end of the names declared.
 */
Datum
factmerge_drop_handler(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	char	   *name = HandlerArgument(fcinfo, 1);
	Oid			argument;
	List	   *names = ParseQualifiedName(SplitSignature(name, &argument));
	SqlArgs		args = {0};
	uint64		count = 0;

	CheckTable(relation);
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, BOOLOID, BoolGetDatum(list_length(names) > 1));
	SqlAddArg(&args, TEXTOID,
			  CStringGetTextDatum(list_length(names) > 1 ?
								  quote_qualified_identifier(strVal(linitial(names)),
															 strVal(lsecond(names))) :
								  quote_identifier(strVal(linitial(names)))));
	if (!OidIsValid(argument) || argument == get_rel_type_id(relation))
		count = SqlExecuteAsOwner("DELETE FROM factmerge.handler WHERE fact_table OPERATOR(pg_catalog.=) $1"
								  " AND CASE WHEN $2 THEN handler OPERATOR(pg_catalog.=) $3"
								  " ELSE pg_catalog.right(handler, pg_catalog.length($3) OPERATOR(pg_catalog.+) 1)"
								  " OPERATOR(pg_catalog.=) pg_catalog.concat('.', $3) END", &args);
	SqlFinish();
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s is not declared as a handler of table \"%s\"", name,
						get_rel_name(relation)),
				 errhint("factmerge_tables() lists the handlers of a schema's tables.")));
	PG_RETURN_VOID();
}

/*
 * Declare that triggers of some tables, $1, derive nothing: all that are handlers by
 * now.  Returns how many of them had not been declared.
 */
static uint64
IgnoreAllTriggers(Datum tables)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSARRAYOID, tables);
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(RuleTriggerFunction()));
	return SqlExecuteAsOwner("INSERT INTO factmerge.ignored_trigger (fact_table, trigger_name)"
							 " SELECT t.tgrelid, t.tgname FROM pg_catalog.pg_trigger AS t"
							 " WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY ($1) AND NOT t.tgisinternal"
							 " AND t.tgconstraint OPERATOR(pg_catalog.=) 0 AND t.tgfoid OPERATOR(pg_catalog.<>) $2"
							 /* AFTER INSERT: neither BEFORE nor INSTEAD */
							 " AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 70) OPERATOR(pg_catalog.=) 4"
							 " ON CONFLICT DO NOTHING", &args);
}

/*
 * factmerge_ignore_trigger(regclass, name)
 */
Datum
factmerge_ignore_trigger(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	SqlArgs		args = {0};

	CheckTable(relation);
	SqlConnect();
	if (PG_ARGISNULL(1))
		(void) IgnoreAllTriggers(RelationArray(list_make1_oid(relation)));
	else
	{
		(void) get_trigger_oid(relation, NameStr(*PG_GETARG_NAME(1)), false);
		SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
		SqlAddArg(&args, NAMEOID, PG_GETARG_DATUM(1));
		SqlExecuteAsOwner("INSERT INTO factmerge.ignored_trigger (fact_table, trigger_name)"
						  " VALUES ($1, $2) ON CONFLICT DO NOTHING", &args);
	}
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_unignore_trigger(regclass, name)
 */
Datum
factmerge_unignore_trigger(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	SqlArgs		args = {0};
	uint64		count;

	CheckTable(relation);
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArgument(&args, NAMEOID, fcinfo, 1);
	count = SqlExecuteAsOwner("DELETE FROM factmerge.ignored_trigger"
							  " WHERE fact_table OPERATOR(pg_catalog.=) $1"
							  " AND trigger_name OPERATOR(pg_catalog.=) COALESCE($2, trigger_name)", &args);
	SqlFinish();
	if (count == 0 && !PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("trigger \"%s\" of table \"%s\" is not ignored",
						NameStr(*PG_GETARG_NAME(1)), get_rel_name(relation))));
	PG_RETURN_VOID();
}

/*
 * The fact tables of a schema, all of which have to be the caller's.
 */
static Datum
OwnedFactTables(const char *schema)
{
	List	   *tables = FactRelations(FindSchema(schema));
	ListCell   *lc;

	foreach(lc, tables)
		CheckOwner(lfirst_oid(lc));
	return RelationArray(tables);
}

/*
 * factmerge_ignore_triggers(name)
 */
Datum
factmerge_ignore_triggers(PG_FUNCTION_ARGS)
{
	char	   *schema = SchemaArgument(fcinfo, 0);
	uint64		count;

	SqlConnect();
	count = IgnoreAllTriggers(OwnedFactTables(schema));
	SqlFinish();
	PG_RETURN_INT32((int32) count);
}

/*
 * factmerge_unignore_triggers(name)
 */
Datum
factmerge_unignore_triggers(PG_FUNCTION_ARGS)
{
	char	   *schema = SchemaArgument(fcinfo, 0);
	SqlArgs		args = {0};
	uint64		count;

	SqlConnect();
	SqlAddArg(&args, REGCLASSARRAYOID, OwnedFactTables(schema));
	count = SqlExecuteAsOwner("DELETE FROM factmerge.ignored_trigger"
							  " WHERE fact_table OPERATOR(pg_catalog.=) ANY ($1)", &args);
	SqlFinish();
	PG_RETURN_INT32((int32) count);
}

/*
 * factmerge_ignore(regclass)
 */
Datum
factmerge_ignore(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	SqlArgs		args = {0};

	if (get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE)
		CheckOwner(relation);	/* a source may have it */
	else
		CheckTable(relation);
	SqlConnect();
	if (!list_member_oid(IgnoredTables(), relation))
		RefuseInRule(relation);
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlExecuteAsOwner("INSERT INTO factmerge.ignored_table (fact_table)"
					  " VALUES ($1) ON CONFLICT DO NOTHING", &args);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_unignore(regclass)
 */
Datum
factmerge_unignore(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);

	CheckOwner(relation);
	SqlConnect();
	if (Undeclare("ignored_table", relation) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" is not ignored", get_rel_name(relation))));
	RefuseInRule(relation);
	SqlFinish();
	PG_RETURN_VOID();
}

/* Where the tables to be ignored go */
typedef struct OidList
{
	List	   *oids;
	MemoryContext context;
} OidList;

static void
AddOid(Datum *values, bool *nulls, void *arg)
{
	OidList    *list = arg;
	MemoryContext context = MemoryContextSwitchTo(list->context);

	list->oids = lappend_oid(list->oids, DatumGetObjectId(values[0]));
	MemoryContextSwitchTo(context);
}

/*
 * The tables that are to be ignored.
 */
List *
IgnoredTables(void)
{
	OidList		list = {NIL, CurrentMemoryContext};

	SqlForEachRow(InvalidSnapshot, "SELECT fact_table FROM factmerge.ignored_table",
				  NULL, AddOid, &list);
	return list.oids;
}

/*
 * factmerge.forget_dropped(): an event trigger that forgets what was declared
 * of tables that have just been dropped.
 */
Datum
factmerge_forget_dropped(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function %s can only be called by an event trigger",
						"factmerge.forget_dropped()")));

	/* The extension itself may be among what is dropped */
	if (IsDroppingTemporary() || !OidIsValid(get_namespace_oid("factmerge", true)))
		PG_RETURN_NULL();
	SqlConnect();
	if (SqlFetchRow(InvalidSnapshot, "SELECT 1 " DROPPED_TABLES, NULL) != NULL)
	{
		ForgetDeclarations("r.fact_table OPERATOR(pg_catalog.=) ANY (SELECT o.objid " DROPPED_TABLES ")");
		SqlExecuteAsOwner("DELETE FROM factmerge.friend AS r"
						  " WHERE r.friend_table OPERATOR(pg_catalog.=) ANY (SELECT o.objid " DROPPED_TABLES ")", NULL);
		ForgetDroppedRules();
	}
	if (HasRegistered("column_rule", "column_name") && SqlFetchRow(InvalidSnapshot, "SELECT 1 " DROPPED_COLUMNS, NULL) != NULL)
		SqlExecuteAsOwner("DELETE FROM factmerge.column_rule AS r WHERE EXISTS (SELECT " DROPPED_COLUMNS
						  " AND o.objid OPERATOR(pg_catalog.=) r.fact_table"
						  " AND o.address_names[3] OPERATOR(pg_catalog.=) r.column_name::pg_catalog.text)", NULL);
	SqlFinish();
	PG_RETURN_NULL();
}
