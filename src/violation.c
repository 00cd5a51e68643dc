/*-------------------------------------------------------------------------
 *
 * violation.c
 *	  naming the fact that the destination refuses
 *
 * Facts are converted and copied in bulk, so when a constraint of the
 * destination (a check, a unique index, an exclusion constraint, a domain) refuses
 * one, the server's error names the constraint, but no fact of the source.
 * Noting each fact before it is written would cost everybody something.  So
 * the bulk work is done in a subtransaction; only if it fails, it is taken
 * back, and done again with notes, and this time the error says it all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "factmerge.h"

PG_FUNCTION_INFO_V1(factmerge_note_fact);

/* The fact that is being written; long ones are cut */
static char noted_fact[1024];

/*
 * factmerge.note_fact(bigint, text): notes a fact and returns the number.
 */
Datum
factmerge_note_fact(PG_FUNCTION_ARGS)
{
	char	   *fact = PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1));

	strlcpy(noted_fact, fact,
			pg_mbcliplen(fact, strlen(fact), sizeof(noted_fact) - 1) + 1);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_INT64(PG_GETARG_INT64(0));
}

/*
 * What can be done about a violation.
 */
static const char *
HintFor(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
			return "If the two are one fact, say so with factmerge_set_sameness(); otherwise correct one of them.";
		case ERRCODE_EXCLUSION_VIOLATION:
			return "Correct one of the two facts before merging.";
		default:
			return "Correct the fact in the source, or let the destination accept it.";
	}
}

/*
 * Whether an error is a row's fault, and does not yet say what to do.
 */
static bool
IsUnexplained(ErrorData *error)
{
	return error->hint == NULL &&
		(ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		 ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION);
}

/*
 * Raise the current error again, now naming the fact that was noted last.
 */
static void
RaiseExplained(FactTable *table, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!IsUnexplained(error) || noted_fact[0] == '\0')
		PG_RE_THROW();
	FlushErrorState();
	error->detail = psprintf("%s%sThe fact of the source is %s of table \"%s\".",
							 error->detail ? error->detail : "",
							 error->detail ? "\n" : "", noted_fact, table->name);
	error->hint = pstrdup(HintFor(error->sqlerrcode));
	ReThrowError(error);
}

/*
 * Execute a statement that notes each fact, and name the fact if that fails;
 * returns the number of rows.
 */
uint64
ExecuteNoting(Merge *merge, FactTable *table, const char *sql, SqlArgs *args)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		rows = 0;

	noted_fact[0] = '\0';
	PG_TRY();
	{
		rows = SqlExecute(merge->snapshot, sql, args);
	}
	PG_CATCH();
	{
		RaiseExplained(table, context);
	}
	PG_END_TRY();
	return rows;
}

/* Work on a merge that may have to be explained */
typedef struct Work
{
	void		(*work) (Merge *merge);
	Merge	   *merge;
} Work;

static void
DoWork(void *arg)
{
	Work	   *work = arg;

	work->work(work->merge);
}

/*
 * Do some work in a subtransaction.  Should it fail because of a row, explain
 * is called, with the work undone, to raise an error that says more; if that
 * raises none, or if it is not a row's fault, the error is raised again as it is.
 */
void
DoExplained(Merge *merge, void (*work) (Merge *merge), void (*explain) (Merge *merge))
{
	Work		whole = {work, merge};
	ErrorData  *failure = TryInSubtransaction(DoWork, &whole, true);

	if (failure == NULL)
		return;
	if (IsUnexplained(failure))
		explain(merge);
	ReThrowError(failure);
}

/*
 * Convert every fact of the source to the types of the destination, for an
 * error that names the first that cannot be.
 */
void
ExplainConversions(Merge *merge)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		StringInfoData sql;
		bool		converts = false;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT factmerge.note_fact(0, %s)",
						 AddressText(table, "s"));
		foreach(c, table->columns)
		{
			Column	   *column = lfirst(c);

			if (column->conversion == CONVERT_NOT)
				continue;
			converts = true;
			appendStringInfo(&sql, ", %s", SourceValue(column));
		}
		appendStringInfo(&sql, " FROM %s AS s", QualifiedRelation(table->source));
		if (converts)
			ExecuteNoting(merge, table, sql.data, NULL);
	}
}
