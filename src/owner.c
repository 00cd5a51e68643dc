/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  code that belongs to tables runs as their owners
 *
 * What is done to the tables of a destination sets off code of their owners: checks,
 * defaults, expressions of indexes, triggers, handlers, tolerances, conditions.  Who
 * merges may be somebody else: a superuser, a member of the owner's role, somebody who
 * only previews.  He must not lend them his rights.  So while a merge, or whatever else
 * looks at all facts, is at work, each function that is written in SQL or in a procedural
 * language is called as the owner of the table that the work is about, in a
 * security-restricted operation: by the hook that the server has around calls of
 * functions.  What it calls in turn is called by the owner then, as ever.  Functions
 * that are written in C are trusted with everything anyway.
 *
 * A statement that writes facts runs as the owner from beginning to end, since there the
 * role matters without any function (DEFAULT current_user).  The tables that it names
 * are the caller's to read and write nevertheless: permissions are checked for him.
 *
 * Who merges his own tables runs his own code, with nothing in between.
 *
 * The same hook sees to it that session_replication_role, which only superusers may
 * set, is "origin" whenever such a function runs, though it is "replica" while facts
 * are written.  So what these functions do to other tables is guarded
 * by triggers and foreign keys as on any other day.
 *
 * The idea, that changes are applied as the owner of the table, is that of logical
 * replication since PostgreSQL 16.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "factmerge.h"

/* A call of a function that the hook has seen, and what was in force before */
typedef struct Call
{
	struct Call *outer;
	Actor		actor;
	int			replication_role;
} Call;

/* A table, and whose code it brings along */
typedef struct Owned
{
	Oid			relation;
	Oid			owner;
} Owned;

static struct
{
	bool		acting;			/* code of others may be called */
	Oid			caller;
	List	   *owned;			/* of Owned: the fact tables, and their partitions */
	Oid			common;			/* the only owner, or InvalidOid */
	Oid			role;			/* whom the current work is done for */
	Call	   *outermost;		/* calls from here on out are not ours */
	char	   *deferred;		/* constraints that are to be deferred again */
}			state;

/* The calls that are being made, innermost first */
static Call *calls;

/* What session_replication_role is for code, while it is "replica" for us; or -1 */
static int	code_replication_role = -1;

static needs_fmgr_hook_type next_needs_hook = NULL;
static fmgr_hook_type next_hook = NULL;

/*
 * Whether a function is written in SQL or in a procedural language, and runs with the
 * rights of who calls it, if need be.  Event triggers belong to the database.
 */
static bool
IsWritten(Oid function, bool any_rights)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		is_written;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	is_written = form->prolang != INTERNALlanguageId && form->prolang != ClanguageId &&
		form->prorettype != EVENT_TRIGGEROID && (any_rights || !form->prosecdef);
	ReleaseSysCache(tuple);
	return is_written;
}

/* Tells the server which functions the hook is to be called for */
static bool
NeedsHook(Oid function)
{
	return (next_needs_hook && next_needs_hook(function)) ||
		((state.acting || code_replication_role >= 0) && IsWritten(function, true));
}

/*
 * Begin a call.  What is called from within code of an owner is called by him already.
 */
static void
BeginCall(Oid function)
{
	Call	   *call = MemoryContextAllocZero(TopMemoryContext, sizeof(Call));

	if (state.acting && calls == state.outermost && IsWritten(function, false))
		BecomeActor(&call->actor);
	call->replication_role = SessionReplicationRole;
	if (code_replication_role >= 0 && IsWritten(function, true))
		SessionReplicationRole = code_replication_role;
	call->outer = calls;
	calls = call;
}

/*
 * End a call.  What it has set does not last; after an error, that goes with the
 * transaction.
 */
static void
EndCall(bool failed)
{
	Call	   *call = calls;

	if (call == NULL)
		return;
	calls = call->outer;
	SessionReplicationRole = call->replication_role;
	if (failed && call->actor.switched)
		BecomeCallerAgain(&call->actor.before);
	else
		EndActor(&call->actor);
	pfree(call);
}

/* Called around functions by the server */
static void
AroundCall(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	if (next_hook && event == FHET_START)
		next_hook(event, function, private);
	if (event == FHET_START)
		BeginCall(function->fn_oid);
	else
		EndCall(event == FHET_ABORT);
	if (next_hook && event != FHET_START)
		next_hook(event, function, private);
}

/*
 * Put the hook in its place.
 */
void
InstallOwnerHook(void)
{
	next_needs_hook = needs_fmgr_hook;
	needs_fmgr_hook = NeedsHook;
	next_hook = fmgr_hook;
	fmgr_hook = AroundCall;
}

/*
 * Note whose a table and its partitions are.
 */
static void
AddOwned(FactTable *table)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(table->destination, NoLock, NULL))
	{
		Owned	   *owned = palloc(sizeof(Owned));

		owned->relation = lfirst_oid(lc);
		owned->owner = RelationOwner(owned->relation);
		state.owned = lappend(state.owned, owned);
	}
}

/*
 * Let it be as before.
 */
void
ForgetOwners(void)
{
	memset(&state, 0, sizeof(state));
}

/* Lets nothing be left behind by an error */
static void
ForgetAfterError(void *arg)
{
	ForgetOwners();
}

/*
 * From now on let code of the owners of fact tables run as these, until StopActing() or
 * until the current context goes.  What is noted lives in the current context.
 */
void
ActForOwners(List *tables)
{
	bool		others = false;
	ListCell   *lc;
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	ForgetOwners();
	callback->func = ForgetAfterError;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	foreach(lc, tables)
		AddOwned(lfirst(lc));
	foreach(lc, state.owned)
	{
		Owned	   *owned = lfirst(lc);

		others |= owned->owner != GetUserId();
		state.common = lc == list_head(state.owned) || state.common == owned->owner ? owned->owner : InvalidOid;
		if (!OidIsValid(state.common))
			break;
	}
	if (!others && OidIsValid(state.common))
		return;
	state.caller = GetUserId();
	state.role = state.common;
	state.outermost = calls;
	state.acting = true;
	/* What has been planned before may have the text of functions in it */
	ResetPlanCache();
	state.deferred = DeferNothing(get_rel_namespace(((Owned *) linitial(state.owned))->relation), InvalidOid);
}

/*
 * Let code run as its caller again, when all is done.
 */
void
StopActing(void)
{
	if (state.acting)
		DeferAgain(state.deferred);
	ForgetOwners();
}

/*
 * The owner of a relation if it is one of the fact tables, else InvalidOid.
 */
static Oid
OwnerAmong(Oid relation)
{
	ListCell   *lc;

	foreach(lc, state.owned)
		if (((Owned *) lfirst(lc))->relation == relation)
		return ((Owned *) lfirst(lc))->owner;
	return InvalidOid;
}

/* Finds the first fact table that a statement names */
static bool
FindNamed(Node *node, void *arg)
{
	Oid		   *owner = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar) && ((RangeVar *) node)->schemaname)
	{
		*owner = OwnerAmong(RangeVarGetRelid((RangeVar *) node, NoLock, true));
		return OidIsValid(*owner);
	}
	return raw_expression_tree_walker(node, FindNamed, arg);
}

/* Whether a statement is one that calls code */
static bool
IsQuery(Node *statement)
{
	return IsA(statement, SelectStmt) || IsA(statement, InsertStmt) ||
		IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt);
}

/*
 * From now on, work is about what a statement names.  Where all tables have the same owner,
 * there is no need to look.
 */
void
ActOnStatement(const char *sql)
{
	ListCell   *lc;

	if (!state.acting || calls != state.outermost)
		return;
	state.role = OidIsValid(state.common) ? state.common : ((Owned *) linitial(state.owned))->owner;
	if (OidIsValid(state.common))
		return;
	foreach(lc, raw_parser(sql, RAW_PARSE_DEFAULT))
	{
		Node	   *statement = lfirst_node(RawStmt, lc)->stmt;
		Oid			owner = InvalidOid;

		if (IsA(statement, CreateTableAsStmt))
			statement = ((CreateTableAsStmt *) statement)->query;
		if (IsQuery(statement) && FindNamed(statement, &owner))
			state.role = owner;
	}
}

/*
 * From now on, work is about a relation.
 */
void
ActOnRelation(Oid relation)
{
	if (state.acting && calls == state.outermost)
		state.role = RelationOwner(relation);
}

/* Lets permissions of a query, and of what it is made of, be checked as the caller's */
static bool
CheckAsCaller(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, CheckAsCaller, arg);
	CheckQueryAs((Query *) node, state.caller);
	return query_tree_walker((Query *) node, CheckAsCaller, arg, 0);
}

/*
 * The owner of the fact table that a query writes, InvalidOid if there is none.
 */
static Oid
OwnerOfWritten(Query *query)
{
	Oid			owner = InvalidOid;
	ListCell   *lc;

	if (query->resultRelation > 0)
		owner = OwnerAmong(rt_fetch(query->resultRelation, query->rtable)->relid);
	foreach(lc, query->cteList)
	{
		Query	   *cte = (Query *) ((CommonTableExpr *) lfirst(lc))->ctequery;

		if (!OidIsValid(owner) && IsA(cte, Query))
			owner = OwnerOfWritten(cte);
	}
	return owner;
}

/*
 * Become the owner of the fact table that an analysed statement writes, if that is somebody
 * else; returns whether it is.  The caller is to be restored by BecomeCallerAgain().
 */
bool
BecomeWriter(Query *query, RoleSwitch *before)
{
	Oid			owner;

	if (!state.acting || GetUserId() != state.caller)
		return false;
	owner = OwnerOfWritten(query);
	if (!OidIsValid(owner) || owner == state.caller)
		return false;
	(void) CheckAsCaller((Node *) query, NULL);
	BecomeRestricted(owner, before);
	return true;
}

/*
 * Become whom the current work is done for, if that is somebody else, until EndActor().
 */
void
BecomeActor(Actor *actor)
{
	actor->switched = state.acting && GetUserId() == state.caller && OidIsValid(state.role) &&
		state.role != state.caller;
	if (!actor->switched)
		return;
	BecomeRestricted(state.role, &actor->before);
	actor->nest_level = NewGUCNestLevel();
}

/*
 * Undo BecomeActor(), and all settings that have been made since.
 */
void
EndActor(Actor *actor)
{
	if (!actor->switched)
		return;
	AtEOXact_GUC(false, actor->nest_level);
	BecomeCallerAgain(&actor->before);
}

/*
 * Whether only a role, or (InvalidOid) only its owner, can create anything in a schema.
 */
bool
IsSafeSchema(Oid schema, Oid role)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner;
	Datum		acl;
	bool		isnull;
	bool		safe;

	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	if (!OidIsValid(role))
		role = owner;
	safe = owner == role || superuser_arg(owner);
	acl = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
	{
		Acl		   *items = DatumGetAclP(acl);

		for (int i = 0; i < ACL_NUM(items); i++)
			if ((ACLITEM_GET_PRIVS(ACL_DAT(items)[i]) & ACL_CREATE) &&
				ACL_DAT(items)[i].ai_grantee != role &&
				(ACL_DAT(items)[i].ai_grantee == ACL_ID_PUBLIC || !superuser_arg(ACL_DAT(items)[i].ai_grantee)))
				safe = false;
	}
	ReleaseSysCache(tuple);
	return safe;
}

/*
 * A search_path for code of a role: with the schema that it is about, if nobody else can
 * put anything there that would be found in place of what is meant.
 */
char *
SafePath(Oid schema, Oid role)
{
	if (!IsSafeSchema(schema, role))
		return "pg_catalog, pg_temp";
	return psprintf("%s, pg_temp", quote_identifier(get_namespace_name(schema)));
}

/*
 * Called from the context of an error: if code of an owner may not do what it wants, say
 * why that is so, and who can let it.
 */
void
ExplainRefusal(void)
{
	if (state.acting && GetUserId() != state.caller && geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE)
		errhint("It runs as the owner of the table, in a security-restricted operation, for the tables are somebody else's."
				" If it needs more, let the owner call.");
}

/*
 * Do some work while triggers behave as under logical replication: only those fire that
 * are ENABLE ALWAYS or REPLICA.  Functions that are called meanwhile see
 * session_replication_role as it was.
 */
void
DoWithoutTriggers(void (*work) (void *arg), void *arg)
{
	int			nest_level = NewGUCNestLevel();
	int			before = code_replication_role;

	code_replication_role = SESSION_REPLICATION_ROLE_ORIGIN;
	PG_TRY();
	{
		SetLocally("session_replication_role", "replica");
		work(arg);
	}
	PG_FINALLY();
	{
		code_replication_role = before;
	}
	PG_END_TRY();
	AtEOXact_GUC(true, nest_level);
}
