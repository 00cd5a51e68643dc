/*-------------------------------------------------------------------------
 *
 * consequence.c
 *	  what follows from the facts of a relation, kept ready
 *
 * To find out which rules read a table, and to write the statements that derive
 * what follows, takes longer than to run them for a single fact.  So a backend
 * keeps them, with plans for few facts, until something changes that they
 * depend on.  Then they are out of date, but may still be in use further up; so
 * they are only set aside, and thrown away when nothing is being derived.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "rule.h"

/* A relation, and what is kept about it */
typedef struct Kept
{
	Oid			relation;		/* hash key */
	Consequences *consequences;
} Kept;

static HTAB *kept = NULL;
static List *set_aside = NIL;	/* of Consequences */
static uint64 changes = 0;		/* counted, to notice one while looking things up */

/* Notes that a relation has changed; invalid: it may be any */
static void
RelationHasChanged(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS status;
	Kept	   *entry;

	changes++;
	hash_seq_init(&status, kept);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->consequences &&
			(!OidIsValid(relation) ||
			 list_member_oid(entry->consequences->relations, relation)))
			entry->consequences->stale = true;
}

/* Notes that a function or the like has changed, which a statement may name */
static void
NameHasChanged(Datum arg, int cache, uint32 hash)
{
	RelationHasChanged((Datum) 0, InvalidOid);
}

static void
StartKeeping(void)
{
	static const int caches[] = {NAMESPACEOID, PROCOID, OPEROID, TYPEOID, COLLOID};
	HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(Kept)};

	kept = hash_create("factmerge consequences", 16, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(RelationHasChanged, (Datum) 0);
	for (size_t i = 0; i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], NameHasChanged, (Datum) 0);
}

/*
 * Let a statement derive facts by a rule, in a merge or (NULL) outside of one.
 */
Derivation *
NewDerivation(Rule *rule, Merge *merge, char *candidates, char *derive)
{
	Derivation *derivation = palloc0(sizeof(Derivation));

	RefuseForeignRule(rule);
	derivation->rule = rule->name;
	derivation->target = rule->target;
	derivation->owner = RelationOwner(rule->target);
	derivation->candidates = candidates;
	derivation->derive = derive;
	derivation->save = SaveStatement(rule, merge);
	return derivation;
}

/*
 * The statements by which a rule derives what follows from new facts of a table:
 * one for each place in which it reads the table.  What a place is given are
 * the new facts, all other places look at everything there is.
 */
static List *
DerivationsFrom(Rule *rule, Oid table, Oid relation, List *facts)
{
	char	   *news = psprintf("SELECT %s FROM " NEWS_NAME " AS t", ColumnList(table, relation, "t"));
	List	   *derivations = NIL;
	ListCell   *lc;

	foreach(lc, rule->arms)
	{
		Arm		   *arm = lfirst(lc);
		char	  **sources = palloc0(sizeof(char *) * list_length(arm->atoms));

		for (int i = 0; i < list_length(arm->atoms); i++)
		{
			StringInfoData with;
			char	   *query;
			int			number = 0;

			if (list_nth_oid(arm->atoms, i) != table)
				continue;
			initStringInfo(&with);
			sources[i] = news;
			query = RestrictAtoms(arm, facts, sources, &with, &number);
			sources[i] = NULL;
			derivations = lappend(derivations,
								  NewDerivation(rule, NULL, NULL,
												DeriveStatement(rule, with.data, query)));
		}
	}
	return derivations;
}

/*
 * The views of all rules that may be set off by facts of a table, directly or by
 * what these derive; in the order of their oids.
 */
static List *
ViewsSetOff(List *rules, Oid table)
{
	List	   *tables = list_make1_oid(table);
	List	   *views = NIL;
	ListCell   *lc;

	/* The list of tables grows while it is walked */
	for (int i = 0; i < list_length(tables); i++)
		foreach(lc, rules)
	{
		Rule	   *rule = lfirst(lc);

		if (!list_member_oid(rule->body, list_nth_oid(tables, i)))
			continue;
		views = list_append_unique_oid(views, rule->view);
		tables = list_append_unique_oid(tables, rule->target);
	}
	list_sort(views, list_oid_cmp);
	return views;
}

/*
 * The table whose facts are in a relation: itself, or what it is a partition of.
 */
Oid
FactTableOf(Oid relation)
{
	List	   *ancestors = get_rel_relispartition(relation) ?
		get_partition_ancestors(relation) : NIL;

	return ancestors ? llast_oid(ancestors) : relation;
}

/*
 * Look up what follows from facts of a relation: a fact table, or a partition of
 * one.
 */
static Consequences *
LookUp(Oid relation)
{
	Oid			table = FactTableOf(relation);
	Oid			schema = get_rel_namespace(table);
	List	   *facts = FactRelations(schema);
	List	   *rules = InOrder(LoadRules(schema));
	Consequences *consequences = palloc0(sizeof(Consequences));
	ListCell   *lc;

	consequences->context = CurrentMemoryContext;
	WarnOfMissing(table);
	consequences->views = ViewsSetOff(rules, table);
	consequences->relations = list_make2_oid(relation, table);
	foreach(lc, rules)
	{
		Rule	   *rule = lfirst(lc);

		consequences->derivations = list_concat(consequences->derivations,
												DerivationsFrom(rule, table, relation, facts));
		consequences->relations = list_concat_unique_oid(consequences->relations, rule->body);
		consequences->relations = list_append_unique_oid(consequences->relations, rule->target);
		consequences->relations = list_append_unique_oid(consequences->relations, rule->view);
	}
	return consequences;
}

/*
 * What follows from facts of a relation, as kept by this backend.
 */
Consequences *
ConsequencesOf(Oid relation)
{
	MemoryContext context;
	MemoryContext caller;
	Consequences *consequences;
	uint64		before;
	Kept	   *entry;
	bool		found;

	if (kept == NULL)
		StartKeeping();
	entry = hash_search(kept, &relation, HASH_ENTER, &found);
	if (!found)
		entry->consequences = NULL;
	if (entry->consequences && !entry->consequences->stale)
		return entry->consequences;

	before = changes;
	context = AllocSetContextCreate(CurrentMemoryContext, "factmerge consequences",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	consequences = LookUp(relation);
	MemoryContextSwitchTo(TopMemoryContext);
	entry = hash_search(kept, &relation, HASH_FIND, NULL);
	if (entry->consequences)
		set_aside = lappend(set_aside, entry->consequences);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	consequences->stale = changes != before;
	entry->consequences = consequences;
	return consequences;
}

/*
 * Throw away what has been set aside.  Nothing must be being derived.
 */
void
ForgetStaleConsequences(void)
{
	ListCell   *lc;

	foreach(lc, set_aside)
	{
		Consequences *consequences = lfirst(lc);
		ListCell   *d;

		foreach(d, consequences->derivations)
		{
			Derivation *derivation = lfirst(d);

			if (derivation->derive_kept)
				SqlFree(derivation->derive_kept);
			if (derivation->save_kept)
				SqlFree(derivation->save_kept);
		}
		MemoryContextDelete(consequences->context);
	}
	list_free(set_aside);
	set_aside = NIL;
}
