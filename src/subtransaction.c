/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  work that may fail, or is not to last
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "factmerge.h"

/*
 * Do some work in a subtransaction, and keep it or take it back; what it leaves in
 * memory remains.  If it raises an error, it is taken back, and the error returned;
 * otherwise NULL.
 */
ErrorData *
TryInSubtransaction(void (*work) (void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/* Work on a merge */
typedef struct Work
{
	void		(*work) (Merge *merge, void *arg);
	Merge	   *merge;
	void	   *arg;
} Work;

static void
DoWork(void *arg)
{
	Work	   *work = arg;

	work->work(work->merge, work->arg);
}

/*
 * Do some work on a merge in a subtransaction and take back what it wrote.
 */
void
DoAndTakeBack(void (*work) (Merge *merge, void *arg), Merge *merge, void *arg)
{
	Work		whole = {work, merge, arg};
	ErrorData  *error = TryInSubtransaction(DoWork, &whole, false);

	if (error)
		ReThrowError(error);
}
