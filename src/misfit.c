/*-------------------------------------------------------------------------
 *
 * misfit.c
 *	  what keeps two schemas from being merged, all of it in one error
 *
 * Whoever prepares a merge wants to know at once what has to be done.  So tables,
 * columns and types that do not fit are noted while the schemas are described, and
 * refused together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "factmerge.h"

typedef struct Misfit
{
	int			sqlstate;
	char	   *message;
	char	   *detail;
	char	   *hint;
} Misfit;

/*
 * Note something that does not fit, unless that has been noted already.
 */
void
NoteMisfit(List **misfits, int sqlstate, char *message, char *detail, char *hint)
{
	Misfit	   *misfit;
	ListCell   *lc;

	foreach(lc, *misfits)
		if (strcmp(((Misfit *) lfirst(lc))->message, message) == 0)
		return;
	misfit = palloc(sizeof(Misfit));
	misfit->sqlstate = sqlstate;
	misfit->message = message;
	misfit->detail = detail;
	misfit->hint = hint;
	*misfits = lappend(*misfits, misfit);
}

/*
 * Note all that has been noted elsewhere.
 */
void
NoteAll(List **misfits, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		Misfit	   *misfit = lfirst(lc);

		NoteMisfit(misfits, misfit->sqlstate, misfit->message, misfit->detail, misfit->hint);
	}
}

/*
 * Refuse all that has been noted.  It is one kind of error if it is all of one kind.
 */
void
RefuseNoted(List *misfits, const char *summary)
{
	Misfit	   *first = misfits ? linitial(misfits) : NULL;
	int			sqlstate;
	StringInfoData lines;
	ListCell   *lc;

	if (first == NULL)
		return;
	if (list_length(misfits) == 1)
		ereport(ERROR,
				(errcode(first->sqlstate),
				 errmsg_internal("%s", first->message),
				 errdetail_internal("%s", first->detail),
				 errhint("%s", first->hint)));
	sqlstate = first->sqlstate;
	initStringInfo(&lines);
	foreach(lc, misfits)
	{
		Misfit	   *misfit = lfirst(lc);

		if (misfit->sqlstate != sqlstate)
			sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		appendStringInfo(&lines, "%s%c%s. %s %s", lines.len > 0 ? "\n" : "",
						 pg_toupper((unsigned char) misfit->message[0]), misfit->message + 1,
						 misfit->detail, misfit->hint);
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg_internal("%s", summary),
			 errdetail_internal("%s", lines.data)));
}
