/*-------------------------------------------------------------------------
 *
 * advice.c
 *	  what to say of handlers that have found something for skipped events
 *
 * A warning names the handler, an event and what is found for it, and says what to do:
 * which facts to declare to be friends, where a friend is missing, and else what is
 * wrong with the handler.  What is missing by now factmerge_saturate() adds; but only
 * if that does no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "finding.h"
#include "skipped.h"

/*
 * SQL for what a fact says, short enough to be told; without keys that the database
 * has drawn for it.
 */
char *
TextOfFact(FactTable *table, const char *row, bool derived)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "pg_catalog.left((" FACT_AS_JSON("%s.*"), row);
	foreach(lc, table->columns)
		if (derived && ((Column *) lfirst(lc))->new_value)
			appendStringInfo(&sql, " - %s::pg_catalog.text", quote_literal_cstr(((Column *) lfirst(lc))->name));
	appendStringInfoString(&sql, ")::pg_catalog.text, 500)");
	return sql.data;
}

/*
 * Whether a table of the source is known to lack a handler.
 */
static bool
SourceLacks(FactTable *table, Handler *handler)
{
	SqlArgs		args = {0};

	if (get_rel_relkind(table->source) != RELKIND_RELATION &&
		get_rel_relkind(table->source) != RELKIND_PARTITIONED_TABLE)
		return false;
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table->source));
	SqlAddArg(&args, TEXTOID, CStringGetTextDatum(handler->name));
	SqlAddTextArg(&args, get_func_name(handler->function));
	return SqlFetchRow(InvalidSnapshot, IsFunction(handler) ?
					   "SELECT 1 FROM factmerge.handler AS h WHERE h.fact_table = $1::pg_catalog.regclass"
					   " AND pg_catalog.right(h.handler, pg_catalog.length($3) + 1) IN ('.' || $3, $3 || '\"')" :
					   "SELECT 1 FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = $1 AND t.tgname::pg_catalog.text = $2"
					   " AND t.tgenabled <> 'D'", &args) == NULL;
}

/*
 * Which of the tables that a handler has read hold what it has combined the event's
 * fact with: those that no friend can be in, else those that no foreign key joins with
 * the fact's own, else all.
 */
static List *
TablesCombined(Trial *trial, List *friends)
{
	FactTable  *table = trial->turn->table;
	List	   *next_door = NIL;
	List	   *candidates[3] = {NIL, NIL, NIL};
	ListCell   *lc;

	foreach(lc, table->references)
		next_door = lappend_oid(next_door, ((Reference *) lfirst(lc))->target_relation);
	foreach(lc, table->referrers)
		next_door = lappend_oid(next_door, ((Reference *) lfirst(lc))->table->destination);
	foreach(lc, trial->deeds->read)
	{
		TableRead  *read = lfirst(lc);

		if (FindTable(trial->merge->tables, read->table) == NULL &&
			FindTable(trial->merge->others, read->table) == NULL)
			continue;
		if (!list_member_oid(friends, read->table))
			candidates[0] = lappend(candidates[0], read);
		else if (read->table == table->destination || !list_member_oid(next_door, read->table))
			candidates[1] = lappend(candidates[1], read);
		candidates[2] = lappend(candidates[2], read);
	}
	return candidates[0] ? candidates[0] : candidates[1] ? candidates[1] : candidates[2];
}

/*
 * Append the declaration that makes those facts of a table friends that a handler has
 * read; what foreign keys lead to, if none of the table has been a friend.
 */
static void
AppendFriendCall(StringInfo sql, Trial *trial, TableRead *read, List *friends)
{
	Turn	   *turn = trial->turn;
	char	   *condition = ReadCondition(read);
	bool		by_path = condition == NULL && !list_member_oid(friends, read->table) &&
		HasFriendPath(trial->merge, turn->table, read->table);

	appendStringInfoString(sql, AddFriendCall(turn->table->destination, read->table,
											  condition || by_path ? condition : "true"));
	if (condition == NULL && !by_path)
		appendStringInfoString(sql, " (a condition that says which facts it looks at costs less)");
	if (turn->handler->friends && !list_member_oid(turn->handler->friends, read->table))
		appendStringInfoString(sql, ", and name the table among the friends of the handler in factmerge_add_handler()");
}

/*
 * The declarations that let events be replayed which have to do with facts of these
 * tables.
 */
static char *
FriendCalls(Trial *trial, List *combined, List *friends)
{
	StringInfoData sql;
	bool		first = true;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, combined)
	{
		AppendSeparator(&sql, "; ", &first);
		AppendFriendCall(&sql, trial, lfirst(lc), friends);
	}
	return sql.data;
}

/*
 * How to let a handler find what it finds from facts that are in both.
 */
static char *
FromThisAdvice(Trial *trial)
{
	Handler    *handler = trial->turn->handler;

	if (IsFunction(handler))
		return "Declare it with found_from => 'this' in factmerge_add_handler()";
	return "Let the other facts that it combines set it off, too, by triggers of their tables, or declare it as a function by factmerge_add_handler() with found_from => 'this', or as a rule";
}

/*
 * How to complete the destination now.
 */
static char *
CompletingAdvice(Trial *trial, bool safe)
{
	Merge	   *merge = trial->merge;

	if (merge->dry_run)
		return "";
	return psprintf(safe ? " What is missing by now is added by SELECT %s(%s)." :
					" What is missing by now is added by SELECT %s(%s), as soon as the other handlers that this merge warns of are mended or left out.",
					quote_qualified_identifier(TypeSchema(ProvenanceType()), "factmerge_saturate"),
					quote_literal_cstr(merge->destination));
}

/*
 * What to do about a handler that has found something.
 */
static char *
AdviceFor(Trial *trial, bool safe)
{
	Turn	   *turn = trial->turn;
	List	   *friends = FriendTables(trial->merge, turn->table, turn->handler);
	List	   *combined = TablesCombined(trial, friends);
	char	   *advice;

	if (trial->again)
		return psprintf("If it derives nothing, leave it out: %s. Otherwise let it add only what is not there yet (ON CONFLICT DO NOTHING).",
						IgnoringCall(turn->table, turn->handler));
	if (combined == NIL)
		advice = psprintf("It looks at no other fact, so that this was missing before the merge.");
	else if (trial->events[trial->tried - 1].own)
		advice = psprintf("Declare what it looks at to be friends, before the next merge: %s.", 
						  FriendCalls(trial, combined, friends));
	else
		advice = psprintf("%s.", FromThisAdvice(trial));
	return psprintf("%s%s", advice, CompletingAdvice(trial, safe));
}

/*
 * The event that was tried last, for people.
 */
static char *
EventText(Trial *trial)
{
	SkippedEvent *event = &trial->events[trial->tried - 1];
	char	  **row = SqlFetchRow(trial->merge->snapshot,
								  psprintf("SELECT %s FROM %s AS t WHERE t.tableoid = %u AND t.ctid = '(%u,%u)'",
										   TextOfFact(trial->turn->table, "t", false),
										   QualifiedRelation(trial->turn->table->destination), event->relation,
										   ItemPointerGetBlockNumberNoCheck(&event->place),
										   ItemPointerGetOffsetNumberNoCheck(&event->place)), NULL);

	return row ? row[0] : "a fact";
}

/*
 * Tell of a handler that has found something.
 */
void
TellOfFound(Trial *trial, bool safe)
{
	Turn	   *turn = trial->turn;
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "For %s, which %s, it %s %s to table \"%s\".", EventText(trial),
					 trial->events[trial->tried - 1].own ? "was skipped" : "is in both and was skipped",
					 trial->again ? "adds, as often as it is called," : "would add", trial->fact,
					 get_rel_name(trial->target->relation));
	/* What it reads is part of that */
	if (turn->handler->changed == NIL)
		ForgetHeldFindings(trial->merge, turn->handler);
	if (!trial->again && SourceLacks(turn->table, turn->handler))
		appendStringInfo(&detail, " Table %s has no such handler: what follows from the source's facts alone may be missing, too.",
						 QualifiedRelation(turn->table->source));
	AddFinding(trial->merge, turn->table, turn->handler, true,
			   psprintf(trial->again ? "handler %s of table \"%s\" adds facts each time that it is called" :
						"handler %s of table \"%s\" would find facts that this merge has missed",
						turn->handler->name, turn->table->name),
			   detail.data, AdviceFor(trial, safe));
}

/*
 * Tell of a handler that has raised an error, which is none of the merge.
 */
void
TellOfError(Trial *trial)
{
	Turn	   *turn = trial->turn;
	char	   *advice = trial->error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ?
		"Let it add only what is not there yet (ON CONFLICT DO NOTHING)." :
		psprintf("Try it out: SELECT * FROM %s(%s, %s).",
				 quote_qualified_identifier(TypeSchema(ProvenanceType()), "factmerge_check_handler"),
				 quote_literal_cstr(turn->handler->name),
				 quote_literal_cstr(QualifiedRelation(turn->table->destination)));

	AddFinding(trial->merge, turn->table, turn->handler, false,
			   psprintf("handler %s of table \"%s\" fails for an event that was skipped",
						turn->handler->name, turn->table->name),
			   psprintf("For %s it says: %s", EventText(trial), trial->error->message),
			   advice);
}
