/*-------------------------------------------------------------------------
 *
 * factmerge.c
 *	  what the server needs to load the extension, and its settings
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "factmerge.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "factmerge");
#else
PG_MODULE_MAGIC;
#endif

void		_PG_init(void);

int			friend_hops = 2;
int			rebuild_indexes = REBUILD_AUTO;

static const struct config_enum_entry rebuild_indexes_options[] = {
	{"auto", REBUILD_AUTO, false},
	{"on", REBUILD_ALWAYS, false},
	{"off", REBUILD_NEVER, false},
	{NULL, 0, false}
};

/*
 * Define the settings.
 */
void
_PG_init(void)
{
	DefineCustomIntVariable("factmerge.friend_hops",
							"Foreign keys that lead from a fact to its farthest friends.",
							"A handler may inspect facts that are so many foreign keys away, each followed either way.",
							&friend_hops, 2, 0, 8, PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomEnumVariable("factmerge.rebuild_indexes",
							 "Whether a merge rebuilds the indexes of a table that it writes much to.",
							 "auto does so where much of the table is written and readers are locked out anyway; on does so always, and locks readers out.",
							 &rebuild_indexes, REBUILD_AUTO,
							 rebuild_indexes_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("factmerge");
}
