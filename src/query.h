/*-------------------------------------------------------------------------
 *
 * query.h
 *	  building, quoting and running SQL: see query.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_QUERY_H
#define FACTMERGE_QUERY_H

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/queryenvironment.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

/* The parameters $1, $2, ... of a statement */
#define MAX_SQL_ARGS 24

typedef struct SqlArgs
{
	int			count;
	Oid			types[MAX_SQL_ARGS];
	Datum		values[MAX_SQL_ARGS];
	char		nulls[MAX_SQL_ARGS];
} SqlArgs;

/* A statement that is planned once and executed often */
typedef struct SqlStatement SqlStatement;

/* Who we were before we became the extension's owner */
typedef struct RoleSwitch
{
	Oid			user;
	int			security_context;
} RoleSwitch;

/* Code of an owner that is being run, and what was in force before */
typedef struct Actor
{
	bool		switched;		/* the owner is somebody else */
	RoleSwitch	before;
	int			nest_level;		/* of settings, which do not last */
} Actor;

typedef void (*SqlRowCallback) (Datum *values, bool *nulls, void *arg);

extern void SqlConnect(void);
extern void SqlConnectNonatomic(void);
extern void SqlCommit(void);
extern void SqlRollback(void);
extern void SqlFinish(void);

extern void SqlAddArg(SqlArgs *args, Oid type, Datum value);
extern void SqlAddNullArg(SqlArgs *args, Oid type);
extern void SqlAddArgument(SqlArgs *args, Oid type, FunctionCallInfo fcinfo,
						   int argument);
extern void SqlAddTextArg(SqlArgs *args, const char *text);

extern void SqlUtility(const char *sql);
extern bool IsDroppingTemporary(void);
extern uint64 SqlExecute(Snapshot snapshot, const char *sql, SqlArgs *args);
extern int64 SqlFetchInt64(Snapshot snapshot, const char *sql, SqlArgs *args);
extern char **SqlFetchRow(Snapshot snapshot, const char *sql, SqlArgs *args);
extern void SqlForEachRow(Snapshot snapshot, const char *sql, SqlArgs *args,
						  SqlRowCallback callback, void *arg);
extern void SqlReturnRows(FunctionCallInfo fcinfo, Snapshot snapshot,
						  const char *sql, SqlArgs *args);
extern SqlStatement *SqlPrepare(const char *sql, int nargs, Oid *types);
extern uint64 SqlExecutePrepared(SqlStatement *statement, Datum *values,
								 const char *nulls);
extern SqlStatement *SqlKeep(SqlStatement *statement, MemoryContext context);
extern uint64 SqlExecuteUnder(Snapshot snapshot, SqlStatement *statement, Datum *values);
extern SqlStatement *SqlPrepareQuery(const char *sql);
extern int64 SqlStoreRows(Snapshot snapshot, SqlStatement *statement,
						  Tuplestorestate *rows, TupleDesc *description);
extern int64 SqlStoreQuery(Snapshot snapshot, const char *sql, Tuplestorestate *rows,
						   TupleDesc *description);
extern void SqlFree(SqlStatement *statement);
extern void SqlRegisterRows(char *name, Oid relation, TupleDesc description,
							Tuplestorestate *rows);
extern void SqlUnregisterRows(const char *name);
extern int64 SqlCollect(Snapshot snapshot, const char *sql, char *name,
						Tuplestorestate **rows);
extern void SqlForget(const char *name, Tuplestorestate *rows);

extern Oid	ExtensionOwner(void);
extern Oid	RelationOwner(Oid relation);
extern Oid	RelationNamed(const char *name);
extern void BecomeRole(Oid role, RoleSwitch *before);
extern void BecomeRestricted(Oid role, RoleSwitch *before);
extern void BecomeExtensionOwner(RoleSwitch *before);
extern void BecomeCheckerOf(Oid relation, RoleSwitch *before);
extern void BecomeOwnerOf(const char *relation, RoleSwitch *before);
extern void BecomeCallerAgain(RoleSwitch *before);

/* owner.c */
extern void InstallOwnerHook(void);
extern void StopActing(void);
extern void ForgetOwners(void);
extern void ActOnStatement(const char *sql);
extern void ActOnRelation(Oid relation);
extern bool BecomeWriter(Query *query, RoleSwitch *before);
extern void BecomeActor(Actor *actor);
extern void EndActor(Actor *actor);
extern void ExplainRefusal(void);
extern bool IsSafeSchema(Oid schema, Oid role);
extern char *SafePath(Oid schema, Oid role);
extern void DoWithoutTriggers(void (*work) (void *arg), void *arg);
extern uint64 SqlExecuteAsOwner(const char *sql, SqlArgs *args);
extern void SetLocally(const char *name, const char *value);

extern Datum NameDatum(const char *name);
extern Datum NameArray(List *names);
extern Datum RelationArray(List *relations);
extern char *QualifiedRelation(Oid relation);
extern char *QualifiedFunction(Oid function);
extern char *QualifiedCollation(Oid collation);
extern char *TypeSchema(Oid type);
extern void PointInto(const char *text);
extern char *TypeText(Oid type, int32 typmod);
extern Oid	UsableOperator(Oid operator, Oid type);
extern Oid	EqualityOperator(Oid type);
extern bool IsInteger(Oid type);
extern bool HasHash(Oid type);
extern void AppendOperator(StringInfo sql, Oid operator);
extern void AppendSeparator(StringInfo sql, const char *separator, bool *first);

/*
 * An argument of the SQL function that is being called, as by PG_GETARG_..., which
 * must not be null
 */
#define REQUIRE_ARG(type, n) (RequireArgument(fcinfo, n), PG_GETARG_##type(n))

/* The search_path under which generated SQL is analysed */
#define LOCKED_SEARCH_PATH "pg_catalog, pg_temp"

/* deferred.c */
extern char *DeferNothing(Oid schema, Oid table);
extern void DeferAgain(const char *constraints);

/* execute.c */
extern void SqlLetCodeSee(const char *search_path);
extern void RegisterForCode(EphemeralNamedRelation named);
extern void UnregisterForCode(const char *name);
extern bool IsForCode(Snapshot snapshot);
extern uint64 RunForCode(Snapshot snapshot, const char *sql, SqlArgs *args);
extern char **FetchForCode(Snapshot snapshot, const char *sql, SqlArgs *args, Datum *value);
extern TupleDesc StoreForCode(Snapshot snapshot, const char *sql, SqlArgs *args,
							  Tuplestorestate *rows);

/* call.c */
extern void RequireArgument(FunctionCallInfo fcinfo, int argument);
extern void RequireArguments(FunctionCallInfo fcinfo);
extern char *SchemaArgument(FunctionCallInfo fcinfo, int argument);
extern char *HandlerArgument(FunctionCallInfo fcinfo, int argument);
extern void RequireWritable(FunctionCallInfo fcinfo);
extern void RequireNonatomicCall(FunctionCallInfo fcinfo, const char *procedure,
								 const char *reason);

#endif							/* FACTMERGE_QUERY_H */
