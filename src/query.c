/*-------------------------------------------------------------------------
 *
 * query.c
 *	  the one place that runs SQL, and the helpers to build and quote it
 *
 * Stages build the text of the SQL they mean and hand it to the functions
 * below; no other file calls SPI.  Every statement is prepared with its
 * values as parameters.
 *
 * A merge runs all of its statements under one snapshot, so that a source
 * that goes on changing is seen as of one moment.  SPI advances the command
 * id of the snapshot it is given before each statement, and so a statement
 * sees what the ones before it wrote.  Functions that only look something up
 * pass InvalidSnapshot and get an ordinary one.
 *
 * Names are always qualified and quoted by the server's own functions.  In
 * addition the callers set search_path to pg_catalog, pg_temp for as long as
 * generated SQL runs, so that an operator without a schema is the server's.  What
 * a merge's statements call of the user's sees the caller's search_path, see execute.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "query.h"

/* Rows that a cursor fetches at a time: enough to make the call cheap */
#define CURSOR_BATCH 1000

/* How a command begins that drops a temporary table */
#define DROP_TEMPORARY "DROP TABLE pg_temp."

static bool dropping_temporary;

struct SqlStatement
{
	SPIPlanPtr	plan;
};

/*
 * Let the position of an error be one in a text that is being parsed, rather than in the
 * statement that called us.
 */
void
PointInto(const char *text)
{
	int			position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(text);
}

/*
 * Connect to SPI; what is allocated until SqlFinish() lives until then.
 */
void
SqlConnect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/*
 * The same in a procedure, which may end its transaction.
 */
void
SqlConnectNonatomic(void)
{
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/*
 * Commit the transaction, and begin another.
 */
void
SqlCommit(void)
{
	SPI_commit();
}

/*
 * Roll the transaction back, and begin another.
 */
void
SqlRollback(void)
{
	SPI_rollback();
}

/*
 * Disconnect from SPI and free all that was allocated since SqlConnect().
 */
void
SqlFinish(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/*
 * Add the next parameter.
 */
void
SqlAddArg(SqlArgs *args, Oid type, Datum value)
{
	if (args->count == MAX_SQL_ARGS)
		elog(ERROR, "too many parameters for a statement");
	args->types[args->count] = type;
	args->values[args->count] = value;
	args->nulls[args->count] = ' ';
	args->count++;
}

/*
 * Add the next parameter, a null.
 */
void
SqlAddNullArg(SqlArgs *args, Oid type)
{
	SqlAddArg(args, type, (Datum) 0);
	args->nulls[args->count - 1] = 'n';
}

/*
 * Add the next parameter, an argument of the calling SQL function, null or not.
 */
void
SqlAddArgument(SqlArgs *args, Oid type, FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		SqlAddNullArg(args, type);
	else
		SqlAddArg(args, type, PG_GETARG_DATUM(argument));
}

/*
 * Add the next parameter, a text, or a null for NULL.
 */
void
SqlAddTextArg(SqlArgs *args, const char *text)
{
	if (text)
		SqlAddArg(args, TEXTOID, CStringGetTextDatum(text));
	else
		SqlAddNullArg(args, TEXTOID);
}

/*
 * Raise an error for a statement that SPI would not run.
 */
static void
CheckResult(int result, const char *sql)
{
	if (result < 0)
		elog(ERROR, "could not run statement (%s): %s",
			 SPI_result_code_string(result), sql);
}

static SPIPlanPtr
Prepare(const char *sql, int nargs, Oid *types, int options)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan;

	ActOnStatement(sql);
	plan = SPI_prepare_cursor(sql, nargs, types, options);
	if (plan == NULL)
		elog(ERROR, "could not prepare statement (%s): %s",
			 SPI_result_code_string(SPI_result), sql);

	/* SPI leaves its own, longer-lived context behind */
	MemoryContextSwitchTo(context);
	return plan;
}

/*
 * Run a statement, leaving its rows (no more than limit, 0 for all) in
 * SPI_tuptable.
 */
static uint64
Execute(Snapshot snapshot, const char *sql, SqlArgs *args, uint64 limit)
{
	MemoryContext context = CurrentMemoryContext;
	SqlArgs		none = {0};
	SPIPlanPtr	plan;

	if (args == NULL)
		args = &none;
	plan = Prepare(sql, args->count, args->types, 0);
	CheckResult(SPI_execute_snapshot(plan, args->values, args->nulls, snapshot,
									 InvalidSnapshot, false, true, limit), sql);
	SPI_freeplan(plan);
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

/*
 * Run a command that is not a query, such as CREATE TABLE.
 */
void
SqlUtility(const char *sql)
{
	MemoryContext context = CurrentMemoryContext;

	dropping_temporary = strncmp(sql, DROP_TEMPORARY, strlen(DROP_TEMPORARY)) == 0;
	PG_TRY();
	{
		CheckResult(SPI_execute(sql, false, 0), sql);
	}
	PG_FINALLY();
	{
		dropping_temporary = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/*
 * Whether SqlUtility() is dropping a temporary table, of which nothing can have been
 * declared.
 */
bool
IsDroppingTemporary(void)
{
	return dropping_temporary;
}

/*
 * Run a query or an INSERT, UPDATE or DELETE; returns the number of rows.
 */
uint64
SqlExecute(Snapshot snapshot, const char *sql, SqlArgs *args)
{
	uint64		rows;

	if (IsForCode(snapshot))
		return RunForCode(snapshot, sql, args);
	rows = Execute(snapshot, sql, args, 0);
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

/*
 * Return the first column of a query's first row, 0 if it is null or if there
 * is no row.
 */
int64
SqlFetchInt64(Snapshot snapshot, const char *sql, SqlArgs *args)
{
	int64		result = 0;
	Datum		value;

	if (IsForCode(snapshot))
	{
		(void) FetchForCode(snapshot, sql, args, &value);
		return DatumGetInt64(value);
	}
	if (Execute(snapshot, sql, args, 1) > 0)
	{
		bool		isnull;

		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		if (!isnull)
			result = DatumGetInt64(value);
	}
	SPI_freetuptable(SPI_tuptable);
	return result;
}

/*
 * Return the first row of a query as text, NULL if there is none.
 */
char	  **
SqlFetchRow(Snapshot snapshot, const char *sql, SqlArgs *args)
{
	char	  **row = NULL;
	Datum		value;

	if (IsForCode(snapshot))
		return FetchForCode(snapshot, sql, args, &value);
	if (Execute(snapshot, sql, args, 1) > 0)
	{
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;

		row = palloc(sizeof(char *) * tupdesc->natts);
		for (int i = 0; i < tupdesc->natts; i++)
			row[i] = SPI_getvalue(SPI_tuptable->vals[0], tupdesc, i + 1);
	}
	SPI_freetuptable(SPI_tuptable);
	return row;
}

/*
 * Call a function for every row of a query, which is read through a cursor so
 * that memory stays bounded.  The callback runs in a context of its own that
 * is reset from row to row, and may itself run SQL.
 */
void
SqlForEachRow(Snapshot snapshot, const char *sql, SqlArgs *args,
			  SqlRowCallback callback, void *arg)
{
	SqlArgs		none = {0};
	SPIPlanPtr	plan;
	Portal		portal;
	MemoryContext row_context;
	MemoryContext context = CurrentMemoryContext;

	if (args == NULL)
		args = &none;
	plan = Prepare(sql, args->count, args->types, 0);

	/* A read-only cursor takes the active snapshot: make it the merge's */
	if (snapshot != InvalidSnapshot)
	{
		CommandCounterIncrement();
		PushCopiedSnapshot(snapshot);
		UpdateActiveSnapshotCommandId();
	}
	portal = SPI_cursor_open(NULL, plan, args->values, args->nulls,
							 snapshot != InvalidSnapshot);
	if (snapshot != InvalidSnapshot)
		PopActiveSnapshot();

	row_context = AllocSetContextCreate(context,
										"factmerge row", ALLOCSET_SMALL_SIZES);
	for (;;)
	{
		SPITupleTable *rows;
		uint64		count;

		SPI_cursor_fetch(portal, true, CURSOR_BATCH);
		rows = SPI_tuptable;
		count = SPI_processed;
		for (uint64 i = 0; i < count; i++)
		{
			int			natts = rows->tupdesc->natts;
			Datum	   *values;
			bool	   *nulls;

			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(row_context);
			MemoryContextSwitchTo(row_context);
			values = palloc(sizeof(Datum) * natts);
			nulls = palloc(sizeof(bool) * natts);
			heap_deform_tuple(rows->vals[i], rows->tupdesc, values, nulls);
			callback(values, nulls, arg);
			MemoryContextSwitchTo(context);
		}
		SPI_freetuptable(rows);
		if (count == 0)
			break;
	}
	MemoryContextDelete(row_context);
	SPI_cursor_close(portal);
	SPI_freeplan(plan);
	MemoryContextSwitchTo(context);
}

/* Puts a row into the result of a set-returning function. */
static void
ReturnRow(Datum *values, bool *nulls, void *arg)
{
	ReturnSetInfo *result = arg;

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Return the rows of a query as the result of the calling SQL function, whose
 * InitMaterializedSRF() has been called.  The types have to match exactly.
 */
void
SqlReturnRows(FunctionCallInfo fcinfo, Snapshot snapshot, const char *sql,
			  SqlArgs *args)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (IsForCode(snapshot))
		(void) StoreForCode(snapshot, sql, args, result->setResult);
	else
		SqlForEachRow(snapshot, sql, args, ReturnRow, result);
}

/*
 * Prepare a statement that is executed again and again.
 */
SqlStatement *
SqlPrepare(const char *sql, int nargs, Oid *types)
{
	SqlStatement *statement = palloc(sizeof(SqlStatement));

	statement->plan = Prepare(sql, nargs, types, 0);
	return statement;
}

/*
 * Prepare a query for SqlStoreRows(), which may run it in parallel.
 */
SqlStatement *
SqlPrepareQuery(const char *sql)
{
	SqlStatement *statement = palloc(sizeof(SqlStatement));

	statement->plan = Prepare(sql, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	return statement;
}

/*
 * Execute a prepared statement under a fresh snapshot, as user code does;
 * nulls is as for SPI, NULL if no parameter is null.  Returns the number of
 * rows.
 */
uint64
SqlExecutePrepared(SqlStatement *statement, Datum *values,
				   const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	int			result = SPI_execute_plan(statement->plan, values, nulls,
										  false, 0);

	CheckResult(result, "prepared statement");
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

/*
 * Let a prepared statement outlive the connection to SPI, in a context.
 */
SqlStatement *
SqlKeep(SqlStatement *statement, MemoryContext context)
{
	SqlStatement *kept = MemoryContextAlloc(context, sizeof(SqlStatement));

	if (SPI_keepplan(statement->plan) != 0)
		elog(ERROR, "could not keep a statement");
	*kept = *statement;
	pfree(statement);
	return kept;
}

/*
 * Run a prepared statement without parameters, putting its rows into a
 * tuplestore; returns how many there are, and what they look like.  With a
 * snapshot, it has to be a query.
 */
int64
SqlStoreRows(Snapshot snapshot, SqlStatement *statement, Tuplestorestate *rows,
			 TupleDesc *description)
{
	MemoryContext context = CurrentMemoryContext;
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(statement->plan));
	SPIExecuteOptions options = {.read_only = snapshot != InvalidSnapshot};

	options.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(options.dest, rows, context, false, NULL, NULL);
	if (snapshot != InvalidSnapshot)
	{
		CommandCounterIncrement();
		PushCopiedSnapshot(snapshot);
		UpdateActiveSnapshotCommandId();
	}
	CheckResult(SPI_execute_plan_extended(statement->plan, &options), "prepared statement");
	if (snapshot != InvalidSnapshot)
		PopActiveSnapshot();
	MemoryContextSwitchTo(context);
	options.dest->rDestroy(options.dest);
	*description = CreateTupleDescCopy(source->resultDesc);
	return tuplestore_tuple_count(rows);
}

/*
 * Run a query, putting its rows into a tuplestore, as SqlStoreRows() does.
 */
int64
SqlStoreQuery(Snapshot snapshot, const char *sql, Tuplestorestate *rows, TupleDesc *description)
{
	SqlStatement *statement;
	int64		count;

	if (IsForCode(snapshot))
	{
		*description = StoreForCode(snapshot, sql, NULL, rows);
		return tuplestore_tuple_count(rows);
	}
	statement = SqlPrepareQuery(sql);
	count = SqlStoreRows(snapshot, statement, rows, description);
	SqlFree(statement);
	return count;
}

/*
 * Execute a prepared statement under a snapshot; values is NULL if it has no parameters,
 * none of which is null.
 */
uint64
SqlExecuteUnder(Snapshot snapshot, SqlStatement *statement, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;

	CheckResult(SPI_execute_snapshot(statement->plan, values, NULL, snapshot, InvalidSnapshot,
									 false, true, 0), "prepared statement");
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

/*
 * Let statements find rows under a name, until the connection to SPI ends or
 * SqlUnregisterRows() is called.  They are a relation's, or else described.
 */
void
SqlRegisterRows(char *name, Oid relation, TupleDesc description, Tuplestorestate *rows)
{
	EphemeralNamedRelation named = palloc0(sizeof(EphemeralNamedRelationData));

	named->md.name = name;
	named->md.reliddesc = relation;
	named->md.tupdesc = description;
	named->md.enrtype = ENR_NAMED_TUPLESTORE;
	named->md.enrtuples = tuplestore_tuple_count(rows);
	named->reldata = rows;
	if (SPI_register_relation(named) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register rows under name \"%s\"", name);
	RegisterForCode(named);
}

/*
 * Undo SqlRegisterRows().
 */
void
SqlUnregisterRows(const char *name)
{
	if (SPI_unregister_relation(name) != SPI_OK_REL_UNREGISTER)
		elog(ERROR, "no rows are registered under name \"%s\"", name);
	UnregisterForCode(name);
}

/*
 * Put the rows of a query where statements find them under a name, until SqlForget();
 * returns how many there are.
 */
int64
SqlCollect(Snapshot snapshot, const char *sql, char *name, Tuplestorestate **rows)
{
	SqlStatement *statement = SqlPrepareQuery(sql);
	TupleDesc	description;
	int64		count;

	*rows = tuplestore_begin_heap(false, false, work_mem);
	count = SqlStoreRows(snapshot, statement, *rows, &description);
	SqlFree(statement);
	SqlRegisterRows(name, InvalidOid, description, *rows);
	return count;
}

/*
 * Undo SqlCollect().
 */
void
SqlForget(const char *name, Tuplestorestate *rows)
{
	SqlUnregisterRows(name);
	tuplestore_end(rows);
}

/*
 * Forget a prepared statement.
 */
void
SqlFree(SqlStatement *statement)
{
	SPI_freeplan(statement->plan);
	pfree(statement);
}

/*
 * The owner of the extension.
 */
Oid
ExtensionOwner(void)
{
	Oid			namespace = get_namespace_oid("factmerge", false);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID,
										ObjectIdGetDatum(namespace));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", namespace);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * The owner of a relation.
 */
Oid
RelationOwner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Become a role until BecomeCallerAgain().  An error restores the caller with
 * the transaction.
 */
void
BecomeRole(Oid role, RoleSwitch *before)
{
	GetUserIdAndSecContext(&before->user, &before->security_context);
	SetUserIdAndSecContext(role, before->security_context |
						   SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * The same for code that belongs to the role: nothing that this sets off can act as
 * anybody else.
 */
void
BecomeRestricted(Oid role, RoleSwitch *before)
{
	GetUserIdAndSecContext(&before->user, &before->security_context);
	SetUserIdAndSecContext(role, before->security_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

/*
 * Become the owner of the extension, to keep its books.  Nothing that runs
 * until BecomeCallerAgain() may evaluate anything of the user's: values come
 * in as parameters.  An error restores the caller with the transaction.
 */
void
BecomeExtensionOwner(RoleSwitch *before)
{
	BecomeRole(ExtensionOwner(), before);
}

/*
 * The relation that has a name, qualified and quoted as need be.
 */
Oid
RelationNamed(const char *name)
{
	return RangeVarGetRelid(makeRangeVarFromNameList(ParseQualifiedName(name)), AccessShareLock, false);
}

/*
 * Become the owner of a relation, given by its name, to read what may not be what it
 * was: nothing that this sets off can act as anybody else.
 */
void
BecomeOwnerOf(const char *relation, RoleSwitch *before)
{
	BecomeRestricted(RelationOwner(RelationNamed(relation)), before);
}

/*
 * Become the owner of a relation as the triggers of foreign keys do, to see whether they
 * hold, whatever row security would hide.
 */
void
BecomeCheckerOf(Oid relation, RoleSwitch *before)
{
	GetUserIdAndSecContext(&before->user, &before->security_context);
	SetUserIdAndSecContext(RelationOwner(relation),
						   before->security_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
}

/*
 * Undo BecomeRole(), BecomeOwnerOf(), BecomeCheckerOf() or BecomeExtensionOwner().
 */
void
BecomeCallerAgain(RoleSwitch *before)
{
	SetUserIdAndSecContext(before->user, before->security_context);
}

/*
 * Run a bookkeeping statement as the owner of the extension.
 */
uint64
SqlExecuteAsOwner(const char *sql, SqlArgs *args)
{
	RoleSwitch	before;
	uint64		rows;

	BecomeExtensionOwner(&before);
	rows = SqlExecute(InvalidSnapshot, sql, args);
	BecomeCallerAgain(&before);
	return rows;
}

/*
 * Set a parameter of the server until the current nest level of settings ends, even
 * one that only superusers may, for it is not the caller who does.
 */
void
SetLocally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * A value of type name.
 */
Datum
NameDatum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

/*
 * A value of type name[], of a list of C strings.
 */
Datum
NameArray(List *names)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(names), 1));
	ListCell   *lc;

	foreach(lc, names)
		values[foreach_current_index(lc)] = NameDatum(lfirst(lc));
	return PointerGetDatum(construct_array(values, list_length(names), NAMEOID,
										   NAMEDATALEN, false, TYPALIGN_CHAR));
}

/*
 * A value of type regclass[], of a list of Oids.
 */
Datum
RelationArray(List *relations)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(relations), 1));
	ListCell   *lc;

	foreach(lc, relations)
		values[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(values, list_length(relations), REGCLASSOID,
										   sizeof(Oid), true, TYPALIGN_INT));
}

/*
 * The schema-qualified, quoted name of a relation.
 */
char *
QualifiedRelation(Oid relation)
{
	char	   *name = get_rel_name(relation);

	if (name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", relation);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  name);
}

/*
 * The schema-qualified, quoted name of a function, without its arguments.
 */
char *
QualifiedFunction(Oid function)
{
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
									  get_func_name(function));
}

/*
 * The schema-qualified, quoted name of a collation.
 */
char *
QualifiedCollation(Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	name = quote_qualified_identifier(get_namespace_name(form->collnamespace),
									  NameStr(form->collname));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * The name of the schema that a type is in.
 */
char *
TypeSchema(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	char	   *schema;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	schema = get_namespace_name(((Form_pg_type) GETSTRUCT(tuple))->typnamespace);
	ReleaseSysCache(tuple);
	return schema;
}

/*
 * The qualified name of a type, with its modifier.
 */
char *
TypeText(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod,
								FORMAT_TYPE_TYPEMOD_GIVEN |
								FORMAT_TYPE_FORCE_QUALIFY);
}

/*
 * An operator for values of a type, InvalidOid if SQL cannot use it for them:
 * those of enums do not take domains over enums.
 */
Oid
UsableOperator(Oid operator, Oid type)
{
	Oid			base = getBaseType(type);

	return base != type && get_typtype(base) == TYPTYPE_ENUM ? InvalidOid : operator;
}

/*
 * A type's own equality, InvalidOid if it has none.
 */
Oid
EqualityOperator(Oid type)
{
	return UsableOperator(lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr, type);
}

/*
 * Whether a type's values are whole numbers.
 */
bool
IsInteger(Oid type)
{
	type = getBaseType(type);
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/*
 * Whether values of a type can be hashed in accordance with their equality.
 */
bool
HasHash(Oid type)
{
	return OidIsValid(lookup_type_cache(type, TYPECACHE_HASH_PROC)->hash_proc);
}

/*
 * Append an operator in a form that does not depend on search_path.
 */
void
AppendOperator(StringInfo sql, Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(sql, " OPERATOR(%s.%s) ",
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname));
	ReleaseSysCache(tuple);
}

/*
 * Append a separator before every item but the first.
 */
void
AppendSeparator(StringInfo sql, const char *separator, bool *first)
{
	if (!*first)
		appendStringInfoString(sql, separator);
	*first = false;
}
