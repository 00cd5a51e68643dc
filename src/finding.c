/*-------------------------------------------------------------------------
 *
 * finding.c
 *	  what a merge has to say of handlers that do not keep their word
 *
 * What is found is told of as factmerge.unsound_handler says, by a warning or an
 * error, and entered into the history.  While a handler is being tried out
 * (skipped.c) it is kept until that is over, since what is raised meanwhile would
 * pass for the handler's own.
 *
 * A handler may catch errors.  So an error that is raised while one runs is raised
 * again when it has come to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "finding.h"

typedef struct Finding
{
	FactTable  *table;
	Handler    *handler;
	char	   *message;
	char	   *detail;
	char	   *hint;
	bool		unsound;		/* may be an error, if so set */
	bool		told;
} Finding;

/*
 * Tell of all that has not been told of yet.
 */
void
RaiseFindings(Merge *merge)
{
	ListCell   *lc;

	foreach(lc, merge->findings)
	{
		Finding    *finding = lfirst(lc);
		bool		fatal = finding->unsound &&
			(merge->refuses_changes || unsound_handler == UNSOUND_ERROR);

		if (finding->told)
			continue;
		finding->told = !fatal;
		ereport(fatal ? ERROR : WARNING,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg_internal("%s", finding->message),
				 errdetail_internal("%s", finding->detail),
				 errhint("%s", finding->hint)));
	}
}

/*
 * Note what has been found about a handler of a table, and tell of it unless it has
 * to wait.
 */
void
AddFinding(Merge *merge, FactTable *table, Handler *handler, bool unsound,
		   const char *message, const char *detail, const char *hint)
{
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(merge));
	Finding    *finding = palloc0(sizeof(Finding));

	finding->table = table;
	finding->handler = handler;
	finding->unsound = unsound;
	finding->message = pstrdup(message);
	finding->detail = pstrdup(detail);
	finding->hint = pstrdup(hint);
	merge->findings = lappend(merge->findings, finding);
	MemoryContextSwitchTo(context);
	if (!merge->holds_findings)
		RaiseFindings(merge);
}

/*
 * Forget what has been found about a handler and not been told of yet.
 */
void
ForgetHeldFindings(Merge *merge, Handler *handler)
{
	ListCell   *lc;

	foreach(lc, merge->findings)
	{
		Finding    *finding = lfirst(lc);

		if (!finding->told && finding->handler == handler)
			merge->findings = foreach_delete_current(merge->findings, lc);
	}
}

/*
 * Enter into the history what has been found.
 */
void
RecordFindings(Merge *merge)
{
	ListCell   *lc;

	if (merge->findings == NIL || !HasRegistered("finding", "merge_id"))
		return;
	foreach(lc, merge->findings)
	{
		Finding    *finding = lfirst(lc);
		SqlArgs		args = {0};

		SqlAddArg(&args, INT8OID, Int64GetDatum(merge->id));
		SqlAddArg(&args, INT4OID, Int32GetDatum(foreach_current_index(lc) + 1));
		SqlAddArg(&args, NAMEOID, NameDatum(finding->table->name));
		SqlAddTextArg(&args, finding->handler->name);
		SqlAddTextArg(&args, finding->message);
		SqlAddTextArg(&args, finding->detail);
		SqlAddTextArg(&args, finding->hint);
		SqlExecuteAsOwner("INSERT INTO factmerge.finding (merge_id, number, fact_table, handler, message, detail, hint)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7)", &args);
	}
}

/*
 * Words for it
 */

/*
 * A function of ours, as the user has to write it.
 */
char *
OurFunction(const char *name)
{
	return quote_qualified_identifier(TypeSchema(ProvenanceType()), name);
}

/*
 * The call that declares a friend, by a condition or (NULL) along foreign keys.
 */
char *
AddFriendCall(Oid table, Oid friend_table, const char *condition)
{
	return psprintf("SELECT %s(%s, %s%s)", OurFunction("factmerge_add_friend"),
					quote_literal_cstr(QualifiedRelation(table)),
					quote_literal_cstr(QualifiedRelation(friend_table)),
					condition == NULL ? "" : psprintf(", condition => %s", quote_literal_cstr(condition)));
}

/*
 * SQL over fact and friend for what is read of a table; NULL if that is not known.
 */
char *
ReadCondition(TableRead *read)
{
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	if (read->at_large || read->conditions == NIL)
		return NULL;
	initStringInfo(&sql);
	foreach(lc, read->conditions)
	{
		AppendSeparator(&sql, " OR ", &first);
		appendStringInfoString(&sql, strVal(lfirst(lc)));
	}
	return sql.data;
}

/*
 * The call by which a handler is left out of merges.
 */
char *
IgnoringCall(FactTable *table, Handler *handler)
{
	return psprintf("SELECT %s(%s, %s)",
					OurFunction(IsFunction(handler) ? "factmerge_drop_handler" : "factmerge_ignore_trigger"),
					quote_literal_cstr(QualifiedRelation(table->destination)),
					quote_literal_cstr(handler->name));
}

/*
 * What to do about a handler that changes facts of a table.
 */
char *
IgnoringHint(FactTable *table, Handler *handler, Oid changed)
{
	return psprintf("If it adds no facts, leave it out: %s; then compute anew what it keeps in table %s, now and after each merge."
					" One that also adds facts has to be divided first, into what adds and what changes.",
					IgnoringCall(table, handler), QualifiedRelation(changed));
}
