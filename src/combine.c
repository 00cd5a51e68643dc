/*-------------------------------------------------------------------------
 *
 * combine.c
 *	  what rules derive in a merge: from facts of both sides
 *
 * Source and destination are saturated.  So whatever a rule derives from the
 * two together takes at least one fact that only the source had, S, and at least
 * one that only the destination had, D; all others are known to whoever had the
 * rest.  To join just these, and each combination once, combinations are told
 * apart by where the first S and the first D stand among the rule's atoms:
 *
 *	before the first of the two		both	facts that are in both
 *	the first of the two			S		or D
 *	between							S, both	or D, both
 *	the second						D		or S
 *	behind							anything
 *
 * For a rule with two atoms these are two queries, (S, D) and (D, S).
 *
 * A fact that is in both, but not quite alike, is known to the source as
 * something else; where a table has such facts, what is in both counts as D.  So
 * it does where a source is merged again and has little that is new.
 * And where several facts have become one, facts that refer to them may meet
 * that never could; then the rule is applied to everything, as is one that looks into
 * generated keys (use.c).
 *
 * A source that lacks the table of what a rule derives is not saturated by it.  There
 * the rule is applied to all combinations that take an S, by where the first one stands:
 *
 *	before it		what the destination has
 *	the first S		S
 *	behind			anything
 *
 * Where two facts S and D meet in a column that refers to the same table, they
 * meet in a fact that is in both, see friends.c.  If there are few of these, it
 * is quicker to come from there; and if not, to leave out of S what refers to
 * facts that are the source's alone, which is easy to see where a sequence has
 * just drawn their keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "rule.h"

/* By how much fewer facts have to be in both for that to be worthwhile */
#define FEW_IN_BOTH 4

/* By how much fewer facts have to be fresh to make do with knowing that */
#define FEW_FRESH 4

/* How many facts, as a share of those before, leave statistics good enough */
#define MOST_UNKNOWN 2

/* How much effort takes statistics of a column with few values */
#define FEW_STATISTICS "10"

/* Which facts of its table an atom looks at */
typedef enum Part
{
	PART_ALL,
	PART_SOURCE,
	PART_DESTINATION,
	PART_BOTH,
	PART_IN_SOURCE,
	PART_IN_DESTINATION
} Part;

/*
 * Whether facts of a table that are in both count as the destination's: because they
 * may differ, if only for a rule that looks into them (loose); or because few are new, which join quicker with all of them than it
 * takes to tell the others apart.
 */
static bool
IsBlurred(FactTable *table, List *loose)
{
	return (replay_inexact && (list_member_ptr(loose, table) || table->inexact > 0 || table->counts.conflicts > 0 ||
							   (table->merged_before && MayDiffer(table)))) ||
		(table->repeated && table->counts.copied * FEW_FRESH <= table->known);
}

/*
 * Whether facts of a table, or what they refer to, have become one.
 */
static bool
HasFolds(FactTable *table, List **seen)
{
	ListCell   *lc;

	if (table == NULL || list_member_ptr(*seen, table))
		return false;
	*seen = lappend(*seen, table);
	if (table->folds || table->folded)
		return true;
	foreach(lc, table->references)
		if (HasFolds(((Reference *) lfirst(lc))->target, seen))
		return true;
	return false;
}

/*
 * Whether a merge has copied anything that a rule reads.
 */
static bool
ReadsCopied(Merge *merge, Rule *rule)
{
	ListCell   *lc;

	foreach(lc, merge->tables)
		if (((FactTable *) lfirst(lc))->counts.copied > 0 &&
			list_member_oid(rule->body, ((FactTable *) lfirst(lc))->destination))
		return true;
	return false;
}

/*
 * Whether a rule has to be applied to everything.
 */
static bool
NeedsEverything(Merge *merge, Rule *rule, Uses *uses)
{
	List	   *seen = NIL;
	ListCell   *lc;

	if (uses->keys && ReadsCopied(merge, rule))
		return true;

	/* What triggers have derived while facts were copied is on no side */
	if (merge->derives_while_copying)
		return true;
	if (replay_inexact)
		foreach(lc, rule->body)
			if (HasFolds(FindTable(merge->tables, lfirst_oid(lc)), &seen))
			return true;
	return false;
}

/*
 * Append the condition on a row t of a table to be in a part of it; returns false
 * if no row can be.  A table that only the destination has is not merged (NULL).
 */
static bool
AppendPart(StringInfo sql, Merge *merge, FactTable *table, Part part, List *loose)
{
	bool		blurred = table && IsBlurred(table, loose);
	StringInfoData source;

	if (part == PART_ALL || (table == NULL && (part == PART_DESTINATION || part == PART_IN_DESTINATION)))
	{
		appendStringInfoString(sql, "true");
		return true;
	}
	if (table == NULL)
		return false;
	if (part == PART_SOURCE || (blurred && part == PART_IN_SOURCE))
	{
		AppendSideCondition(sql, merge, table, "t", SIDE_SOURCE);
		return table->counts.copied > 0;
	}
	if (part == PART_IN_DESTINATION || (blurred && part == PART_DESTINATION))
	{
		initStringInfo(&source);
		AppendSideCondition(&source, merge, table, "t", SIDE_SOURCE);
		appendStringInfo(sql, "%s IS NOT TRUE", source.data);
		return table->destination_facts > 0;
	}
	AppendSideCondition(sql, merge, table, "t",
						part == PART_DESTINATION ? SIDE_DESTINATION :
						part == PART_BOTH ? SIDE_BOTH : SIDE_IN_SOURCE);
	if (part == PART_BOTH)
		return !blurred && table->counts.in_both > 0;
	return part == PART_IN_SOURCE || !table->paired || MayFold(table) ||
		table->destination_facts > table->counts.in_both;
}

/* Stands for an atom where no D is called for */
#define NOWHERE (-1)

/*
 * Which part an atom looks at, given where S and D stand.
 */
static Part
PartOf(int atom, int source, int destination)
{
	int			first = Min(source, destination);

	if (destination == NOWHERE && atom != source)
		return atom < source ? PART_IN_DESTINATION : PART_ALL;
	if (atom < first)
		return PART_BOTH;
	if (atom == source)
		return PART_SOURCE;
	if (atom == destination)
		return PART_DESTINATION;
	if (atom > Max(source, destination))
		return PART_ALL;
	return first == source ? PART_IN_SOURCE : PART_IN_DESTINATION;
}

/*
 * The closed reference that a column alone makes, or NULL.
 */
static Reference *
ReferenceOf(FactTable *table, AttrNumber column)
{
	ListCell   *lc;

	if (table == NULL)
		return NULL;
	foreach(lc, table->references)
	{
		Reference  *reference = lfirst(lc);

		if (reference->closed && reference->target && list_length(reference->columns) == 1 &&
			((Column *) linitial(reference->columns))->number == column)
			return reference;
	}
	return NULL;
}

/* The queries that are put together for one rule */
typedef struct Queries
{
	StringInfoData with;		/* definitions before them */
	StringInfoData text;		/* UNION ALL of them, empty if there are none */
	int			number;			/* of definitions */
	List	   *keys_in_both;	/* of Column: it is defined what they hold */
	List	   *loose;			/* of FactTable: the rule looks into them */
} Queries;

static void
InitQueries(Queries *queries)
{
	initStringInfo(&queries->with);
	initStringInfo(&queries->text);
	queries->number = 0;
	queries->keys_in_both = NIL;
	queries->loose = NIL;
}

static void
AddQuery(Queries *queries, Arm *arm, List *facts, char **sources)
{
	char	   *query = RestrictAtoms(arm, facts, sources, &queries->with, &queries->number);

	appendStringInfo(&queries->text, "%s(%s)", queries->text.len ? " UNION ALL " : "", query);
}

/*
 * The name of a definition for the keys of a table's facts that are in both.
 */
static char *
KeysInBoth(Queries *queries, Merge *merge, FactTable *table, Column *key)
{
	char	   *name = psprintf("factmerge_in_both_%d_%d", table->position, key->number);

	if (list_member_ptr(queries->keys_in_both, key))
		return name;
	queries->keys_in_both = lappend(queries->keys_in_both, key);
	appendStringInfo(&queries->with, "%s%s AS MATERIALIZED (SELECT t.%s AS key FROM %s AS t WHERE ",
					 queries->with.len ? ", " : "WITH ", name, quote_identifier(key->name),
					 QualifiedRelation(table->destination));
	AppendSideCondition(&queries->with, merge, table, "t", SIDE_BOTH);
	appendStringInfoChar(&queries->with, ')');
	return name;
}

/*
 * Append, for the atom of S, that it can meet D: if they do so in a fact that both
 * refer to, that is in both.  Either there are few such facts; or, where keys come
 * from a sequence, those are left out which it has drawn for facts that only the
 * source had.
 */
static void
AppendMeeting(StringInfo sql, Queries *queries, Merge *merge, Arm *arm, List *facts,
			  int source, int destination)
{
	AttrNumber	columns[2];
	FactTable  *table = FindTable(merge->tables, list_nth_oid(arm->atoms, source));
	Reference  *own;
	Reference  *other;
	Column	   *key;
	const char *name;

	if (!AreEqual(arm, facts, source, destination, &columns[0], &columns[1]))
		return;
	own = ReferenceOf(table, columns[0]);
	other = ReferenceOf(FindTable(merge->tables, list_nth_oid(arm->atoms, destination)), columns[1]);
	if (own == NULL || other == NULL || own->target != other->target ||
		linitial(own->target_columns) != linitial(other->target_columns))
		return;
	key = linitial(own->target_columns);
	name = quote_identifier(((Column *) linitial(own->columns))->name);
	if (OidIsValid(key->collation))
		name = psprintf("%s COLLATE %s", name, QualifiedCollation(key->collation));
	if (own->target->counts.in_both * FEW_IN_BOTH <= table->counts.copied)
		appendStringInfo(sql, " AND t.%s IN (SELECT k.key FROM %s AS k)", name,
						 KeysInBoth(queries, merge, own->target, key));
	else if (key->least_drawn < key->greatest_drawn)
		appendStringInfo(sql, " AND t.%s NOT BETWEEN " INT64_FORMAT " AND " INT64_FORMAT, name,
						 key->least_drawn, key->greatest_drawn);
}

/*
 * Add the query for the combinations in which S and D (or S alone) first stand at
 * atoms of an arm, unless there can be none.  Where some other atom has nothing to
 * look at, there may be some: behind OR, not each atom need have a fact.
 */
static void
AddCombination(Queries *queries, Merge *merge, Arm *arm, List *facts, int source, int destination)
{
	char	  **sources = palloc0(sizeof(char *) * list_length(arm->atoms));

	for (int i = 0; i < list_length(arm->atoms); i++)
	{
		Oid			relation = list_nth_oid(arm->atoms, i);
		Part		part = PartOf(i, source, destination);
		bool		possible;
		StringInfoData condition;

		if (part == PART_ALL)
			continue;
		initStringInfo(&condition);
		possible = AppendPart(&condition, merge, FindTable(merge->tables, relation), part, queries->loose);
		if (!possible && (i == source || i == destination))
			return;
		if (i == source && destination != NOWHERE)
			AppendMeeting(&condition, queries, merge, arm, facts, source, destination);
		sources[i] = psprintf("SELECT %s FROM %s AS t WHERE %s", ColumnList(relation, relation, "t"),
							  QualifiedRelation(relation), possible ? condition.data : "false");
	}
	AddQuery(queries, arm, facts, sources);
}

/*
 * Add the queries by which an arm combines facts of both sides, or (unless the source
 * is saturated) facts of the source with any.
 */
static void
AddCombinations(Queries *queries, Merge *merge, Arm *arm, List *facts, bool saturated)
{
	int			count = list_length(arm->atoms);

	for (int source = 0; source < count; source++)
	{
		if (!saturated)
			AddCombination(queries, merge, arm, facts, source, NOWHERE);
		for (int destination = 0; saturated && destination < count; destination++)
			if (source != destination)
				AddCombination(queries, merge, arm, facts, source, destination);
	}
}

/*
 * Whether the server has proven what a reference of a derived fact leads to: the
 * value is that of a fact which refers to the same.
 */
static bool
IsProven(Merge *merge, Rule *rule, Reference *reference)
{
	char	   *name = ((Column *) linitial(reference->columns))->name;
	int			number = 0;
	ListCell   *lc;

	foreach(lc, rule->columns)
		if (strcmp(lfirst(lc), name) == 0)
			number = foreach_current_index(lc) + 1;
	if (number == 0 || list_length(reference->columns) != 1)
		return false;
	foreach(lc, rule->arms)
	{
		Query	   *query = ((Arm *) lfirst(lc))->query;
		Oid			relation;
		AttrNumber	column;
		Reference  *same;

		if (!IsColumnOfTable(list_make1(query), (Node *) get_tle_by_resno(query->targetList, number)->expr,
							 &relation, &column))
			return false;
		same = ReferenceOf(FindTable(merge->tables, relation), column);
		if (same == NULL || same->target != reference->target ||
			strcmp(linitial(same->target_names), linitial(reference->target_names)) != 0)
			return false;
	}
	return true;
}

/*
 * Whether no trigger of a rule's target has anything to do: there are none but
 * ours, whose work is done without it, and those of foreign keys, which are
 * proven.
 */
bool
IsQuiet(Merge *merge, Rule *rule)
{
	FactTable  *target = FindTable(merge->tables, rule->target);
	ListCell   *lc;

	if (target == NULL || target->partitioned || target->deferred_keys ||
		HasTriggersOfOthers(rule->target) || HasOtherForeignKeys(target))
		return false;
	foreach(lc, target->references)
	{
		Reference  *reference = lfirst(lc);

		if (reference->in_destination && !IsProven(merge, rule, reference))
			return false;
	}
	return true;
}

/*
 * What derives the facts that queries return; NIL if there are none.
 */
static List *
DerivationOf(Rule *rule, Merge *merge, Queries *queries)
{
	Derivation *derivation;

	if (queries->text.len == 0)
		return NIL;
	derivation = NewDerivation(rule, merge && FindTable(merge->tables, rule->target) ? merge : NULL,
							   CandidateStatement(rule, queries->with.data, queries->text.data),
							   DeriveStatement(rule, NULL, NULL));
	derivation->quiet = merge && IsQuiet(merge, rule);
	return list_make1(derivation);
}

/*
 * What applies a rule to everything, in a merge or (NULL) outside of one; of the
 * facts that it reads first only to those that meet a condition, "true" for all.
 */
List *
ApplyToEverything(Rule *rule, Merge *merge, List *facts, const char *condition)
{
	Queries		queries;
	ListCell   *lc;

	InitQueries(&queries);
	foreach(lc, rule->arms)
	{
		Arm		   *arm = lfirst(lc);
		char	  **sources = palloc0(sizeof(char *) * list_length(arm->atoms));
		Oid			first = arm->atoms ? linitial_oid(arm->atoms) : InvalidOid;

		if (strcmp(condition, "true") != 0 && OidIsValid(first))
			sources[0] = psprintf("SELECT %s FROM %s AS t WHERE %s", ColumnList(first, first, "t"),
								  QualifiedRelation(first), condition);
		AddQuery(&queries, arm, facts, sources);
	}
	return DerivationOf(rule, merge, &queries);
}

/*
 * What applies a rule to the combinations of facts that neither side has had.
 */
static List *
ApplyToCombinations(Rule *rule, Merge *merge, List *facts, Uses *uses)
{
	bool		saturated = FindTable(merge->tables, rule->target) != NULL;
	Queries		queries;
	ListCell   *lc;

	InitQueries(&queries);
	queries.loose = uses->loose;
	foreach(lc, rule->arms)
		AddCombinations(&queries, merge, lfirst(lc), facts, saturated);
	return DerivationOf(rule, merge, &queries);
}

/*
 * Whether the planner knows the facts of a table well enough, as it does if they
 * have been analyzed, and the merge has not added too many.
 */
static bool
IsKnownToPlanner(FactTable *table)
{
	ListCell   *lc;

	if (table->counts.copied > MOST_UNKNOWN * table->destination_facts)
		return false;
	foreach(lc, table->columns)
		if (!SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(table->destination),
								   Int16GetDatum(((Column *) lfirst(lc))->number),
								   BoolGetDatum(table->partitioned)))
			return false;
	return true;
}

/*
 * Give the planner statistics of the tags, of which there are few.
 */
static void
AnalyzeTags(Merge *merge, FactTable *table)
{
	int			nest_level = NewGUCNestLevel();

	SetLocally("default_statistics_target", FEW_STATISTICS);
	AnalyzeTable(merge, table, " (" PROVENANCE_COLUMN ", " MERGE_COLUMN ")");
	AtEOXact_GUC(true, nest_level);
}

/*
 * Give the planner statistics of what the merge has written to the tables that
 * rules read, and to those that facts of them may meet in.
 */
static void
AnalyzeBodies(Merge *merge)
{
	List	   *bodies = NIL;
	List	   *referred = NIL;
	ListCell   *lc;

	foreach(lc, merge->rules)
		bodies = list_concat_unique_oid(bodies, ((Rule *) lfirst(lc))->body);
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		ListCell   *r;

		if (list_member_oid(bodies, table->destination))
			foreach(r, table->references)
				referred = list_append_unique_ptr(referred, ((Reference *) lfirst(r))->target);
	}
	foreach(lc, merge->tables)
	{
		FactTable  *table = lfirst(lc);
		bool		is_body = list_member_oid(bodies, table->destination);

		if ((table->counts.copied == 0 && table->has_tags) ||
			!(is_body || list_member_ptr(referred, table)))
			continue;
		ReportActivity(merge, table, "analyzing");
		if (is_body && !IsKnownToPlanner(table))
			AnalyzeTable(merge, table, "");
		else
			AnalyzeTags(merge, table);
	}
}

/*
 * Derive by rules what follows from the facts of both sides, and what follows
 * from that.
 */
void
CombineFacts(Merge *merge)
{
	List	   *facts = merge->rules ? FactRelations(get_namespace_oid(merge->destination, false)) : NIL;
	instr_time	start;
	ListCell   *lc;

	if (merge->rules == NIL)
		return;
	StartClock(&start);
	AnalyzeBodies(merge);
	foreach(lc, merge->rules)
	{
		Rule	   *rule = lfirst(lc);
		FactTable  *target = FindTable(merge->tables, rule->target);
		Uses		uses = {false, NIL};

		if (target)
		{
			ReportActivity(merge, target, "applying rules to");
			uses = UsesOf(merge, rule);
		}
		DeriveAll(NeedsEverything(merge, rule, &uses) ? ApplyToEverything(rule, merge, facts, "true") :
				  ApplyToCombinations(rule, merge, facts, &uses));
		StopClock(target ? target : linitial(merge->tables), STAGE_REPLAY, &start);
		StartClock(&start);
	}
	EndExtendedBulks(merge);
}
