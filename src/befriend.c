/*-------------------------------------------------------------------------
 *
 * befriend.c
 *	  friends that are declared
 *
 * Where foreign keys do not show what a handler inspects, one says so: which
 * facts of another table are friends, by a condition or by whatever foreign keys
 * lead to them from somewhat farther away; how many foreign keys count for a
 * table; and, for a handler, which tables it inspects and which events concern
 * it (declare.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "befriend.h"
#include "friends.h"

PG_FUNCTION_INFO_V1(factmerge_add_friend);
PG_FUNCTION_INFO_V1(factmerge_drop_friend);
PG_FUNCTION_INFO_V1(factmerge_set_friend_hops);
PG_FUNCTION_INFO_V1(factmerge_unset_friend_hops);

#define MOST_HOPS 8

/*
 * Check a condition on a fact and (unless invalid) a friend; returns it with all
 * names resolved.  With no fact table, it is on nothing.
 */
char *
ResolveFactCondition(Oid fact_table, Oid friend_table, const char *condition,
					 const char *declared_with, const char *table)
{
	ConditionRows rows = {condition, 0, {NULL, NULL}, {"fact", "friend"},
		declared_with, table,
	"Which events are replayed would depend on when that is asked."};
	Oid			tables[] = {fact_table, friend_table};
	List	   *names;
	char	   *text;

	for (size_t i = 0; i < lengthof(tables) && OidIsValid(tables[i]); i++)
		rows.relations[rows.count++] = table_open(tables[i], AccessShareLock);
	text = ResolveCondition(&rows, &names);
	for (int i = 0; i < rows.count; i++)
		table_close(rows.relations[i], NoLock);
	return text;
}

/*
 * Refuse a friend along foreign keys where there are none.
 */
static void
CheckPath(Oid fact_table, Oid friend_table)
{
	List	   *stops = FindStops(DescribeSchema(get_rel_namespace(fact_table)), NIL);
	ListCell   *lc;
	ListCell   *f;

	foreach(lc, stops)
	{
		if (((Stop *) lfirst(lc))->relation != fact_table)
			continue;
		foreach(f, FriendStops(lfirst(lc), DECLARED_HOPS))
			if (((Stop *) lfirst(f))->relation == friend_table)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("no foreign keys lead from table \"%s\" to table \"%s\"",
					get_rel_name(fact_table), get_rel_name(friend_table)),
			 errdetail("Paths of up to %d foreign keys, each followed either way, have been looked for.",
					   DECLARED_HOPS),
			 errhint("Say by a condition which facts are friends, as in condition => 'fact.a = friend.b'.")));
}

/*
 * Refuse what is declared of a fact table and one that no handler of its schema has to
 * do with.
 */
void
RequireSameSchema(Oid fact_table, Oid other)
{
	if (get_rel_namespace(other) != get_rel_namespace(fact_table))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tables %s and %s are in different schemas",
						QualifiedRelation(fact_table), QualifiedRelation(other)),
				 errdetail("What handlers inspect and derive are facts of one schema.")));
}

/*
 * factmerge_add_friend(regclass, regclass, text)
 */
Datum
factmerge_add_friend(PG_FUNCTION_ARGS)
{
	Oid			fact_table = REQUIRE_ARG(OID, 0);
	Oid			friend_table = REQUIRE_ARG(OID, 1);
	int			nest_level;
	char	   *condition = NULL;
	SqlArgs		args = {0};

	CheckTable(fact_table);
	RequireSameSchema(fact_table, friend_table);
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(fact_table));
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(friend_table));
	if (PG_ARGISNULL(2))
	{
		nest_level = NewGUCNestLevel();
		LockSearchPath();
		CheckPath(fact_table, friend_table);
		AtEOXact_GUC(true, nest_level);
	}
	else
		condition = ResolveFactCondition(fact_table, friend_table,
										 text_to_cstring(PG_GETARG_TEXT_PP(2)),
										 "factmerge_add_friend()", get_rel_name(fact_table));
	SqlAddTextArg(&args, condition);
	SqlExecuteAsOwner("INSERT INTO factmerge.friend (fact_table, friend_table, condition)"
					  " VALUES ($1, $2, $3) ON CONFLICT (fact_table, friend_table)"
					  " DO UPDATE SET condition = excluded.condition", &args);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_drop_friend(regclass, regclass)
 */
Datum
factmerge_drop_friend(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	SqlArgs		args = {0};
	uint64		count;

	CheckTable(relation);
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, PG_GETARG_DATUM(0));
	SqlAddArg(&args, REGCLASSOID, REQUIRE_ARG(DATUM, 1));
	count = SqlExecuteAsOwner("DELETE FROM factmerge.friend"
							  " WHERE fact_table OPERATOR(pg_catalog.=) $1"
							  " AND friend_table OPERATOR(pg_catalog.=) $2", &args);
	SqlFinish();
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" is not declared as a friend of table \"%s\"",
						get_rel_name(PG_GETARG_OID(1)), get_rel_name(relation)),
				 errhint("Table factmerge.friend lists the friends that are declared.")));
	PG_RETURN_VOID();
}

/*
 * factmerge_set_friend_hops(regclass, integer)
 */
Datum
factmerge_set_friend_hops(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	int32		hops = REQUIRE_ARG(INT32, 1);
	SqlArgs		args = {0};

	CheckTable(relation);
	if (hops < 0 || hops > MOST_HOPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d is outside the valid range for the number of foreign keys to a friend (0 .. %d)",
						hops, MOST_HOPS)));
	SqlConnect();
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, INT4OID, Int32GetDatum(hops));
	SqlExecuteAsOwner("INSERT INTO factmerge.friend_hops (fact_table, hops) VALUES ($1, $2)"
					  " ON CONFLICT (fact_table) DO UPDATE SET hops = excluded.hops", &args);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_unset_friend_hops(regclass)
 */
Datum
factmerge_unset_friend_hops(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);

	CheckTable(relation);
	if (Undeclare("friend_hops", relation) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no number of foreign keys to a friend is set for table \"%s\"",
						get_rel_name(relation))));
	PG_RETURN_VOID();
}

/* Where declared friends go */
typedef struct Loaded
{
	FactTable  *table;
	List	   *friends;		/* of Friend */
	int			hops;
	MemoryContext context;
} Loaded;

static void
TakeFriend(Datum *values, bool *nulls, void *arg)
{
	Loaded	   *loaded = arg;
	MemoryContext context = MemoryContextSwitchTo(loaded->context);
	Friend	   *friend = palloc0(sizeof(Friend));

	friend->relation = DatumGetObjectId(values[0]);
	if (!nulls[1])
		friend->condition = ResolveFactCondition(loaded->table->destination, friend->relation,
												 TextDatumGetCString(values[1]),
												 "factmerge_add_friend()", loaded->table->name);
	loaded->friends = lappend(loaded->friends, friend);
	MemoryContextSwitchTo(context);
}

static void
TakeHops(Datum *values, bool *nulls, void *arg)
{
	((Loaded *) arg)->hops = DatumGetInt32(values[0]);
}

/*
 * The declared friends of a table; and how many foreign keys count for it, unless
 * nothing is declared.
 */
List *
LoadFriends(FactTable *table, int *hops)
{
	Loaded		loaded = {table, NIL, *hops, CurrentMemoryContext};
	SqlArgs		args = {0};

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(table->destination));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT r.friend_table, r.condition FROM factmerge.friend AS r"
				  " JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) r.friend_table"
				  " WHERE r.fact_table OPERATOR(pg_catalog.=) $1 ORDER BY t.relname",
				  &args, TakeFriend, &loaded);
	SqlForEachRow(InvalidSnapshot,
				  "SELECT hops FROM factmerge.friend_hops WHERE fact_table OPERATOR(pg_catalog.=) $1",
				  &args, TakeHops, &loaded);
	/* The step from a row of an event log to its fact is none along a foreign key */
	*hops = loaded.hops + (table->log && loaded.hops > 0 ? 1 : 0);
	return loaded.friends;
}

/*
 * The tables that names say: those without a schema are in that of the fact
 * table.
 */
List *
NamedTables(Oid fact_table, ArrayType *names)
{
	List	   *tables = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		RangeVar   *name;
		Oid			table;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the name of a friend is null")));
		name = makeRangeVarFromNameList(textToQualifiedNameList(DatumGetTextPP(values[i])));
		if (name->schemaname == NULL)
			name->schemaname = get_namespace_name(get_rel_namespace(fact_table));
		table = RangeVarGetRelid(name, AccessShareLock, false);
		RequireSameSchema(fact_table, table);
		tables = list_append_unique_oid(tables, table);
	}
	return tables;
}
