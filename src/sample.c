/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  the facts that a handler is tried out on, see check.c
 *
 * Facts that handlers or rules of some other table derive are not part of the
 * sample, nor are facts that refer to such: a handler that overlooks something
 * would find it there already.  Which tables a handler writes to is seen from its
 * statements while it handles real facts, see guard.c.
 *
 * The sample hangs together: it begins with a few facts, goes on with those that
 * refer to them, and is complete with all that these refer to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "check.h"
#include "rule.h"

/* Of how many facts that a sample begins with, one is a seed */
#define FACTS_PER_SEED 10

/* The work: run a handler on a few real facts */
static void
HandleSomeFacts(Check *check, void *arg)
{
	Turn	   *turn = arg;

	RunHandler(check->merge, turn->table, turn->handler,
			   psprintf("%s LIMIT %d", AllEvents(turn->table, turn->handler), check->wanted));
}

/*
 * What a handler does.  What it raises meanwhile it will raise again, and that is
 * told of then.
 */
static PlanDeeds *
DeedsOf(Check *check, Turn *turn, char **failure)
{
	PlanDeeds  *deeds = BeginNoting(turn->table, turn->handler, check->context);

	PG_TRY();
	{
		*failure = Try(HandleSomeFacts, check, turn, false);
	}
	PG_FINALLY();
	{
		EndNoting();
	}
	PG_END_TRY();
	if (OidIsValid(turn->handler->target))
		deeds->added_to = list_append_unique_oid(deeds->added_to, turn->handler->target);
	return deeds;
}

/*
 * Note what the handler that is checked does itself.
 */
static void
TakeDeeds(Check *check, PlanDeeds *deeds)
{
	ListCell   *lc;

	check->deeds = deeds;
	foreach(lc, deeds->added_to)
	{
		FactTable  *written = FindTable(check->merge->tables, lfirst_oid(lc));

		if (written)
			check->written = list_append_unique_ptr(check->written, written);
	}
	foreach(lc, deeds->changed)
	{
		FactTable  *changed = FindTable(check->merge->tables, ((TableChange *) lfirst(lc))->table);

		if (changed == NULL)
			continue;
		check->written = list_append_unique_ptr(check->written, changed);
		if (check->changed == NULL)
			check->changed = lfirst(lc);
	}
}

/*
 * Find out which tables are derived: those that a handler or a rule of some other
 * table adds to.
 */
void
FindDerivedTables(Check *check)
{
	ListCell   *lc;
	ListCell   *o;

	foreach(lc, TakeTurns(check->merge))
	{
		Turn	   *turn = lfirst(lc);
		char	   *failure = NULL;
		PlanDeeds  *deeds = DeedsOf(check, turn, &failure);

		foreach(o, deeds->added_to)
			if (lfirst_oid(o) != turn->table->destination && FindTable(check->merge->tables, lfirst_oid(o)))
			check->derived = list_append_unique_oid(check->derived, lfirst_oid(o));
		if (turn->handler != check->handler)
			continue;
		TakeDeeds(check, deeds);
		check->failure = failure;
		check->handled = SqlFetchRow(InvalidSnapshot, psprintf("%s LIMIT 1", AllEvents(turn->table, turn->handler)),
									 NULL) != NULL && !StopsAnyway(check->merge, turn->handler);
	}
	foreach(lc, check->merge->rules)
	{
		Rule	   *rule = lfirst(lc);

		if (list_difference_oid(rule->body, list_make1_oid(rule->target)) != NIL)
			check->derived = list_append_unique_oid(check->derived, rule->target);
	}
}

/*
 * The tables whose facts arrive by themselves: not derived, and not referring to
 * what is; in walk order.
 */
void
ChooseArriving(Check *check)
{
	bool		news;
	List	   *left_out = list_copy(check->derived);
	ListCell   *lc;
	ListCell   *r;

	do
	{
		news = false;
		foreach(lc, check->merge->tables)
		{
			FactTable  *table = lfirst(lc);

			foreach(r, table->references)
			{
				Reference  *reference = lfirst(r);

				if (reference->log || !list_member_oid(left_out, reference->target_relation) ||
					list_member_oid(left_out, table->destination))
					continue;
				left_out = lappend_oid(left_out, table->destination);
				news = true;
			}
		}
	} while (news);
	foreach(lc, check->merge->tables)
		if (!list_member_oid(left_out, ((FactTable *) lfirst(lc))->destination))
		check->arriving = lappend(check->arriving, lfirst(lc));
}

/*
 * Whether a reference leads from one fact that arrives to another.
 */
bool
IsAmongArriving(Check *check, Reference *reference)
{
	return reference->log == NULL && reference->target &&
		list_member_ptr(check->arriving, reference->target) &&
		list_member_ptr(check->arriving, reference->table);
}

/*
 * Take facts t of a table for which a condition holds into the sample; returns how
 * many are new.  NOT IN leaves the table's facts in their order, so that the same
 * are taken whichever way the server would join.
 */
static uint64
TakeIntoSample(Check *check, FactTable *table, const char *condition, int most)
{
	uint64		taken =
		SqlExecute(InvalidSnapshot,
				   psprintf("INSERT INTO %s (relation, place, fact) SELECT t.tableoid, t.ctid, (t.*)::%s FROM %s AS t"
							" WHERE (t.tableoid, t.ctid) NOT IN (SELECT s.relation, s.place FROM %s AS s)"
							" AND (%s) LIMIT %d",
							SAMPLE_OF(table), QualifiedRelation(table->destination),
							QualifiedRelation(table->destination), SAMPLE_OF(table), condition, most), NULL);

	check->count += taken;
	return taken;
}

/*
 * Take what the facts of the sample refer to, and what refers to them if there
 * is room; returns whether there was anything.
 */
static bool
TakeNeighbours(Check *check, bool referring)
{
	bool		news = false;
	ListCell   *lc;
	ListCell   *r;

	foreach(lc, check->arriving)
		foreach(r, ((FactTable *) lfirst(lc))->references)
	{
		Reference  *reference = lfirst(r);
		char	   *condition;

		if (!IsAmongArriving(check, reference) || (referring && check->count >= check->wanted))
			continue;
		condition = psprintf("EXISTS (SELECT FROM %s AS s WHERE %s)",
							 SAMPLE_OF(referring ? reference->target : reference->table),
							 RefersTo(reference, referring ? "t" : "(s.fact)", referring ? "(s.fact)" : "t"));
		news |= TakeIntoSample(check, referring ? reference->table : reference->target, condition,
							   referring ? check->wanted - check->count : INT_MAX) > 0;
	}
	return news;
}

/*
 * Take what refers to the facts of the sample, as long as there is room, and all
 * that they refer to.
 */
static void
TakeAllNeighbours(Check *check)
{
	bool		news;

	do
	{
		CHECK_FOR_INTERRUPTS();
		news = TakeNeighbours(check, true);
		news |= TakeNeighbours(check, false);
	} while (news);
}

/*
 * Take a few facts to begin with, or to go on with: of the handler's table, or
 * else of the last table that has any left.
 */
static bool
TakeSeeds(Check *check)
{
	int			seeds = (check->wanted + FACTS_PER_SEED - 1) / FACTS_PER_SEED;

	if (list_member_ptr(check->arriving, check->table) &&
		TakeIntoSample(check, check->table, "true", seeds) > 0)
		return true;
	for (int i = list_length(check->arriving) - 1; i >= 0; i--)
		if (TakeIntoSample(check, list_nth(check->arriving, i), "true", seeds) > 0)
			return true;
	return false;
}

/* Notes a fact of the sample, given as position of its table and text */
static void
NoteArrival(Datum *values, bool *nulls, void *arg)
{
	Check	   *check = arg;
	Arrival    *arrival = &check->sample[check->count];
	ListCell   *lc;

	foreach(lc, check->arriving)
		if (((FactTable *) lfirst(lc))->position == DatumGetInt32(values[0]))
		arrival->table = lfirst(lc);
	arrival->text = MemoryContextStrdup(check->context, TextDatumGetCString(values[1]));
	arrival->referred = DatumGetBool(values[2]);
	check->count++;
}

/*
 * That some fact of the sample refers to fact s of a table.
 */
static char *
IsReferredTo(Check *check, FactTable *table)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "false");
	foreach(lc, table->referrers)
	{
		Reference  *reference = lfirst(lc);

		if (!IsAmongArriving(check, reference))
			continue;
		appendStringInfo(&sql, " OR EXISTS (SELECT FROM %s AS r WHERE %s)", SAMPLE_OF(reference->table),
						 RefersTo(reference, "(r.fact)", "(s.fact)"));
	}
	return sql.data;
}

/* SQL for a fact of a table as it is told to people */
static char *
FactForPeople(FactTable *table, const char *fact)
{
	return psprintf("pg_catalog.concat(%s, ' ', " FACT_AS_JSON("%s") ")",
					quote_literal_cstr(quote_identifier(table->name)), fact);
}

/*
 * Draw the sample, and number its facts.
 */
void
DrawSample(Check *check)
{
	int			number = 0;
	ListCell   *lc;

	foreach(lc, check->arriving)
		SqlUtility(psprintf("CREATE TEMPORARY TABLE %s (number pg_catalog.int4 GENERATED BY DEFAULT AS IDENTITY,"
							" relation pg_catalog.oid, place pg_catalog.tid, fact %s)",
							SAMPLE_OF((FactTable *) lfirst(lc)),
							QualifiedRelation(((FactTable *) lfirst(lc))->destination)));
	while (check->count < check->wanted && TakeSeeds(check))
		TakeAllNeighbours(check);
	check->sample = palloc0(sizeof(Arrival) * (check->count + 1));
	check->count = 0;
	foreach(lc, check->arriving)
	{
		FactTable  *table = lfirst(lc);

		SqlForEachRow(InvalidSnapshot,
					  psprintf("SELECT %d, %s, %s FROM %s AS s ORDER BY s.number", table->position,
							   FactForPeople(table, "s.fact"), IsReferredTo(check, table), SAMPLE_OF(table)),
					  NULL, NoteArrival, check);

		/* From here on counted through all tables, from 0 */
		(void) SqlExecute(InvalidSnapshot,
						  psprintf("UPDATE %s SET number = number - 1 + %d", SAMPLE_OF(table), number), NULL);
		number = check->count;
	}
}

