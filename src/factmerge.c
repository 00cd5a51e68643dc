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
#include "query.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "factmerge");
#else
PG_MODULE_MAGIC;
#endif

void		_PG_init(void);

int			friend_hops = 2;
int			rebuild_indexes = REBUILD_AUTO;
bool		replay_inexact = true;
int			on_conflict = CONFLICT_KEEP;
int			unsound_handler = UNSOUND_WARN;
int			replay_side = REPLAY_SOURCE;
int			check_skipped = 100;
int			check_skipped_seed = -1;

static const struct config_enum_entry rebuild_indexes_options[] = {
	{"auto", REBUILD_AUTO, false},
	{"on", REBUILD_ALWAYS, false},
	{"off", REBUILD_NEVER, false},
	{NULL, 0, false}
};

static const struct config_enum_entry on_conflict_options[] = {
	{"keep", CONFLICT_KEEP, false},
	{"error", CONFLICT_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry replay_side_options[] = {
	{"source", REPLAY_SOURCE, false},
	{"destination", REPLAY_DESTINATION, false},
	{"auto", REPLAY_AUTO, false},
	{NULL, 0, false}
};

static const struct config_enum_entry unsound_handler_options[] = {
	{"warn", UNSOUND_WARN, false},
	{"error", UNSOUND_ERROR, false},
	{"ignore", UNSOUND_IGNORE, false},
	{NULL, 0, false}
};

/*
 * Define the settings, and have statements of handlers watched.
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
	DefineCustomBoolVariable("factmerge.replay_inexact",
							 "Whether facts that are the same without being equal are looked at anew.",
							 "A fact that a declared sameness has found may differ from its counterpart, and so may what follows from it: its event and those of its friends are replayed.",
							 &replay_inexact, true, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("factmerge.on_conflict",
							 "What a merge does where the same fact differs between source and destination.",
							 "keep keeps the destination's value and records both; error stops the merge.",
							 &on_conflict, CONFLICT_KEEP,
							 on_conflict_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("factmerge.unsound_handler",
							 "What a merge does where a handler does not keep to what merges rely on.",
							 "A handler that reads facts which are no friends may be overlooked, one that changes facts does damage: warn tells what is to be declared, error stops the merge, ignore does not look.",
							 &unsound_handler, UNSOUND_WARN,
							 unsound_handler_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("factmerge.replay_side",
							 "Whose mixed events a merge replays.",
							 "Either side's will do where foreign keys are the same on both; auto takes the one that has fewer.",
							 &replay_side, REPLAY_SOURCE,
							 replay_side_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("factmerge.check_skipped",
							"How many skipped events of each handler a merge replays to see whether they would have found anything.",
							"They are drawn at random, and what they find is taken back and told of; 0 checks none. At most a twentieth of the merge's time is spent on that.",
							&check_skipped, 100, 0, 1000000, PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("factmerge.check_skipped_seed",
							"What the choice of skipped events to be checked begins with.",
							"With the same number the same events are chosen from the same facts; -1 chooses others each time.",
							&check_skipped_seed, -1, -1, INT_MAX, PGC_USERSET, 0,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("factmerge");
	InstallGuard();
	InstallOwnerHook();
}
