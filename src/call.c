/*-------------------------------------------------------------------------
 *
 * call.c
 *	  what has to be so for a SQL function to be called
 *
 * None is STRICT: that would return nothing for a null, which is what
 * factmerge_verify() says of a schema in which all is well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "query.h"

/*
 * The name of an argument of a SQL function.
 */
static char *
ArgumentName(Oid function, int argument)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid		   *types;
	char	  **names;
	char	   *modes;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	(void) get_func_arg_info(tuple, &types, &names, &modes);
	ReleaseSysCache(tuple);
	return names[argument];
}

/*
 * Refuse a call of a SQL function that leaves an argument open.
 */
void
RequireArgument(FunctionCallInfo fcinfo, int argument)
{
	Oid			function = fcinfo->flinfo->fn_oid;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" of %s() is null", ArgumentName(function, argument),
						get_func_name(function))));
}

/*
 * Refuse one that leaves any open.
 */
void
RequireArguments(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < PG_NARGS(); i++)
		RequireArgument(fcinfo, i);
}

/*
 * The type of an argument, as the SQL function declares it.
 */
static Oid
ArgumentType(FunctionCallInfo fcinfo, int argument)
{
	Oid		   *types;
	int			count;

	(void) get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
	return types[argument];
}

/*
 * The name of a schema, which is given by its name or as a regnamespace.  A name is
 * not looked up.
 */
char *
SchemaArgument(FunctionCallInfo fcinfo, int argument)
{
	char	   *name;

	RequireArgument(fcinfo, argument);
	if (ArgumentType(fcinfo, argument) != REGNAMESPACEOID)
		return pstrdup(NameStr(*PG_GETARG_NAME(argument)));
	name = get_namespace_name(PG_GETARG_OID(argument));
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema with OID %u does not exist", PG_GETARG_OID(argument))));
	return name;
}

/*
 * What a handler is called, which is given by its name or as a regprocedure: that of a
 * trigger, or of a function, with its argument or without, see SplitSignature().
 */
char *
HandlerArgument(FunctionCallInfo fcinfo, int argument)
{
	Oid			function;

	RequireArgument(fcinfo, argument);
	if (ArgumentType(fcinfo, argument) != REGPROCEDUREOID)
		return text_to_cstring(PG_GETARG_TEXT_PP(argument));
	function = PG_GETARG_OID(argument);
	if (get_func_name(function) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	return format_procedure_qualified(function);
}

/*
 * Refuse a call where nothing can be written, before anything is looked at.
 */
void
RequireWritable(FunctionCallInfo fcinfo)
{
	char	   *function = psprintf("%s()", get_func_name(fcinfo->flinfo->fn_oid));

	PreventCommandDuringRecovery(function);
	PreventCommandIfReadOnly(function);
}

/*
 * Refuse a call of a procedure that has to end transactions, where that cannot be done.
 */
void
RequireNonatomicCall(FunctionCallInfo fcinfo, const char *procedure, const char *reason)
{
	if (fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("%s cannot be called within a transaction", procedure),
			 errdetail("%s", reason),
			 errhint("Call it by itself, or use factmerge_merge().")));
}
