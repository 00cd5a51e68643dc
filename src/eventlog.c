/*-------------------------------------------------------------------------
 *
 * eventlog.c
 *	  schemas that keep their events in a table
 *
 * Otherwise every fact is its own event.  Where a schema has an event log, its
 * rows are: each names a table and the key of a fact there (an outbox, a queue
 * that is kept), and handlers are given the facts that it names, in its order.
 *
 * The log is a fact table like others, but it refers to many tables at once, by
 * a column that says which.  So it gets a reference to each table that it can
 * name: one that is not among those that refer to the log in turn, and has a key
 * of one column.  From there on walk order, key maps and the search for friends
 * do what they do for foreign keys; only how to compare the key (LoggedKey), and
 * what the two columns become in the destination (AppendLogTranslation), is
 * said here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "eventlog.h"

PG_FUNCTION_INFO_V1(factmerge_set_event_log);
PG_FUNCTION_INFO_V1(factmerge_unset_event_log);

static bool
IsString(Oid type)
{
	return TypeCategory(getBaseType(type)) == TYPCATEGORY_STRING;
}

/*
 * Whether a column of some type can name tables.
 */
static bool
NamesTables(Oid type)
{
	type = getBaseType(type);
	return type == REGCLASSOID || type == OIDOID || type == NAMEOID ||
		IsString(type) || get_typtype(type) == TYPTYPE_ENUM;
}

/*
 * The number of a column of a log that is being declared; its type goes to *type.
 */
static AttrNumber
LogColumn(Oid relation, const char *name, Oid *type)
{
	AttrNumber	number = get_attnum(relation, name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", name,
						get_rel_name(relation))));
	*type = get_atttype(relation, number);
	return number;
}

/*
 * Refuse a log whose columns cannot say what they have to say.
 */
static void
CheckLogColumns(Oid relation, const char *table, const char *key, const char *order)
{
	Relation	rel = RelationIdGetRelation(relation);
	AttrNumber	numbers[2];
	Oid			type;

	numbers[0] = LogColumn(relation, table, &type);
	if (!NamesTables(type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" cannot name tables", table),
				 errdetail("It is of type %s.", format_type_be(type)),
				 errhint("Tables are named by text, name, an enum, regclass or oid.")));
	numbers[1] = LogColumn(relation, key, &type);
	if (numbers[0] == numbers[1])
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column \"%s\" cannot name both the table and the key", key)));
	for (int i = 0; i < 2; i++)
		if (IsReferring(rel, numbers[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" cannot lead to facts of several tables",
							i == 0 ? table : key),
					 errdetail("It has a foreign key, which leads to one.")));
	(void) LogColumn(relation, order, &type);
	if (!OidIsValid(lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("events cannot be ordered by column \"%s\"", order),
				 errdetail("Its type %s has no order.", format_type_be(type))));
	RelationClose(rel);
}

/*
 * Refuse a second log for a schema.
 */
static void
RefuseOtherLog(Oid relation)
{
	SqlArgs		args = {0};
	char	  **row;

	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(get_rel_namespace(relation)));
	row = SqlFetchRow(InvalidSnapshot,
					  "SELECT c.relname FROM factmerge.event_log AS l"
					  " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.fact_table"
					  " WHERE c.relnamespace OPERATOR(pg_catalog.=) $2"
					  " AND c.oid OPERATOR(pg_catalog.<>) $1", &args);
	if (row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schema \"%s\" has an event log already",
						get_namespace_name(get_rel_namespace(relation))),
				 errdetail("It is table \"%s\".", row[0]),
				 errhint("Take it back with factmerge_unset_event_log(), or log all events in one table.")));
}

/*
 * factmerge_set_event_log(regclass, name, name, name)
 */
Datum
factmerge_set_event_log(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);
	SqlArgs		args = {0};

	CheckTable(relation);
	CheckLogColumns(relation, NameStr(*REQUIRE_ARG(NAME, 1)), NameStr(*REQUIRE_ARG(NAME, 2)),
					NameStr(*REQUIRE_ARG(NAME, 3)));
	SqlConnect();
	RefuseOtherLog(relation);
	SqlAddArg(&args, REGCLASSOID, ObjectIdGetDatum(relation));
	for (int i = 1; i <= 3; i++)
		SqlAddArg(&args, NAMEOID, PG_GETARG_DATUM(i));
	SqlExecuteAsOwner("INSERT INTO factmerge.event_log (fact_table, table_column, key_column, order_column)"
					  " VALUES ($1, $2, $3, $4) ON CONFLICT (fact_table) DO UPDATE SET"
					  " table_column = excluded.table_column, key_column = excluded.key_column,"
					  " order_column = excluded.order_column", &args);
	SqlFinish();
	PG_RETURN_VOID();
}

/*
 * factmerge_unset_event_log(regclass)
 */
Datum
factmerge_unset_event_log(PG_FUNCTION_ARGS)
{
	Oid			relation = REQUIRE_ARG(OID, 0);

	CheckTable(relation);
	if (Undeclare("event_log", relation) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" is not declared as an event log",
						get_rel_name(relation)),
				 errhint("Table factmerge.event_log lists those that are.")));
	PG_RETURN_VOID();
}

/*
 * A column that the declaration of a log names.
 */
static Column *
DeclaredColumn(FactTable *table, const char *name)
{
	Column	   *column = FindColumn(table, name);

	if (column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("event log \"%s\" has no column \"%s\"", table->name, name),
				 errdetail("It is declared to have one."),
				 errhint("Declare it anew with factmerge_set_event_log().")));
	return column;
}

/*
 * The tables of the source that are to be ignored, be it because their twins in
 * the destination are.
 */
static List *
IgnoredInSource(EventLog *log)
{
	Oid			source = get_rel_namespace(log->table->source);
	Oid			destination = get_rel_namespace(log->table->destination);
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, IgnoredTables())
	{
		Oid			relation = lfirst_oid(lc);

		if (get_rel_namespace(relation) == destination)
			relation = get_relname_relid(get_rel_name(relation), source);
		if (OidIsValid(relation) && get_rel_namespace(relation) == source)
			relations = list_append_unique_oid(relations, relation);
	}
	return relations;
}

/*
 * The event log among the tables of a schema, or NULL; an error if it is none of
 * them.
 */
static EventLog *
LoadEventLog(List *tables)
{
	SqlArgs		args = {0};
	char	  **row;
	EventLog   *log;

	if (tables == NIL)
		return NULL;
	SqlAddArg(&args, OIDOID,
			  ObjectIdGetDatum(get_rel_namespace(((FactTable *) linitial(tables))->destination)));
	row = SqlFetchRow(InvalidSnapshot,
					  "SELECT c.oid, c.relname, l.table_column, l.key_column, l.order_column"
					  " FROM factmerge.event_log AS l"
					  " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.fact_table"
					  " WHERE c.relnamespace OPERATOR(pg_catalog.=) $1", &args);
	if (row == NULL)
		return NULL;
	log = palloc0(sizeof(EventLog));
	log->table = FindTable(tables, atooid(row[0]));
	if (log->table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("event log \"%s\" is not among the fact tables", row[1]),
				 errdetail("It is declared to be ignored, or the source has no such table, so that the events are not known."),
				 errhint("Give it to both schemas, or take it back with factmerge_unset_event_log().")));
	log->name = DeclaredColumn(log->table, row[2]);
	log->key = DeclaredColumn(log->table, row[3]);
	log->order = DeclaredColumn(log->table, row[4]);
	log->by_oid = getBaseType(log->name->type) == REGCLASSOID ||
		getBaseType(log->name->type) == OIDOID;
	if (OidIsValid(log->table->source))
		log->ignored = IgnoredInSource(log);
	return log;
}

/*
 * Whether a table refers to another one, be it by way of others.
 */
static bool
Reaches(FactTable *from, FactTable *to, List **seen)
{
	ListCell   *lc;

	if (from == to)
		return true;
	if (from == NULL || list_member_ptr(*seen, from))
		return false;
	*seen = lappend(*seen, from);
	foreach(lc, from->references)
		if (Reaches(((Reference *) lfirst(lc))->target, to, seen))
		return true;
	return false;
}

/*
 * Whether values of a key can be held by a column of another type.
 */
static bool
CanHold(Oid holder, Oid key)
{
	return getBaseType(holder) == getBaseType(key) || IsString(holder) ||
		(can_coerce_type(1, &holder, &key, COERCION_ASSIGNMENT) &&
		 can_coerce_type(1, &key, &holder, COERCION_ASSIGNMENT));
}

/*
 * Whether events of a table's facts can be in a log.
 */
static bool
CanBeLogged(EventLog *log, FactTable *table)
{
	List	   *seen = NIL;

	return table->keyed && list_length(table->address) == 1 &&
		CanHold(log->key->type, ((Column *) linitial(table->address))->type) &&
		!Reaches(table, log->table, &seen);
}

/*
 * Let a log refer to a table.
 */
static void
AddLogReference(EventLog *log, FactTable *table)
{
	Reference  *reference = palloc0(sizeof(Reference));
	Column	   *key = linitial(table->address);

	reference->name = log->key->name;
	reference->table = log->table;
	reference->log = log;
	reference->target = table;
	reference->target_relation = table->destination;
	reference->number = list_length(log->table->references) + 1;
	reference->columns = list_make1(log->key);
	reference->target_columns = list_make1(key);
	reference->target_names = list_make1(key->name);
	reference->operators = list_make1_oid(EqualityOperator(key->type));
	reference->in_source = true;
	reference->proven = true;	/* see CheckEventLog() */
	reference->remapped = true;
	log->references = lappend(log->references, reference);
	log->table->references = lappend(log->table->references, reference);
	table->referrers = lappend(table->referrers, reference);
}

/*
 * Let the event log of some tables, if there is one, refer to the others.
 */
void
RelateEventLog(List *tables)
{
	EventLog   *log = LoadEventLog(tables);
	ListCell   *lc;

	if (log == NULL)
		return;
	log->table->log = log;
	foreach(lc, tables)
		if (CanBeLogged(log, lfirst(lc)))
		AddLogReference(log, lfirst(lc));
	log->name->log = log;
	log->key->log = log;
}

/*
 * The event log among some tables, or NULL.
 */
EventLog *
FindEventLog(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
		if (((FactTable *) lfirst(lc))->log)
		return ((FactTable *) lfirst(lc))->log;
	return NULL;
}

/*
 * The ways to write a table's name, with its schema or without: quoted where that
 * is needed, or never.
 */
static List *
Spellings(Oid relation, bool qualified)
{
	char	   *name = get_rel_name(relation);
	char	   *schema = get_namespace_name(get_rel_namespace(relation));
	char	   *plain = qualified ? psprintf("%s.%s", schema, name) : name;
	char	   *quoted = qualified ? quote_qualified_identifier(schema, name) :
		pstrdup(quote_identifier(name));

	return strcmp(plain, quoted) == 0 ? list_make1(plain) : list_make2(quoted, plain);
}

/*
 * Append the names of a table and of its partitions as a list in parentheses.
 */
static void
AppendNames(StringInfo sql, EventLog *log, Oid relation, bool qualified)
{
	List	   *relations = list_make1_oid(relation);
	bool		first = true;
	ListCell   *lc;
	ListCell   *s;

	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		relations = find_all_inheritors(relation, NoLock, NULL);
	appendStringInfoChar(sql, '(');
	foreach(lc, relations)
	{
		if (log->by_oid)
		{
			AppendSeparator(sql, ", ", &first);
			appendStringInfo(sql, "%u", lfirst_oid(lc));
			continue;
		}
		foreach(s, Spellings(lfirst_oid(lc), qualified))
		{
			AppendSeparator(sql, ", ", &first);
			appendStringInfoString(sql, quote_literal_cstr(lfirst(s)));
		}
	}
	appendStringInfoChar(sql, ')');
}

/*
 * A value that names a table, in the type by which names are compared.
 */
static char *
NameValue(EventLog *log, const char *value)
{
	return psprintf("%s::pg_catalog.%s", value, log->by_oid ? "oid" : "text COLLATE pg_catalog.\"C\"");
}

/*
 * That a value names a relation.
 */
static char *
IsNameOf(EventLog *log, const char *value, Oid relation)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "(%s IN ", NameValue(log, value));
	AppendNames(&sql, log, relation, false);
	if (!log->by_oid)
	{
		appendStringInfo(&sql, " OR %s IN ", NameValue(log, value));
		AppendNames(&sql, log, relation, true);
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * A value in another type.
 */
static char *
AsType(const char *value, Oid from, Column *to)
{
	if (from == to->type)
		return pstrdup(value);
	return psprintf("%s%s::%s", value, IsString(from) || IsString(to->type) ? "::pg_catalog.text" : "",
					TypeText(to->type, to->typmod));
}

/*
 * What a row of a log says the key of its fact is, if the fact is in the table
 * of a reference, else null; in the key's type.  The row is one of the source (as
 * alias s), or of the destination.
 */
char *
LoggedKey(Reference *reference, const char *alias, bool source)
{
	EventLog   *log = reference->log;
	FactTable  *target = reference->target;
	char	   *name = source ? SourceValue(log->name) :
		psprintf("%s.%s", alias, quote_identifier(log->name->name));
	char	   *key = source ? SourceValue(log->key) :
		psprintf("%s.%s", alias, quote_identifier(log->key->name));

	return psprintf("CASE WHEN %s THEN %s END",
					IsNameOf(log, name, source ? target->source : target->destination),
					AsType(key, log->key->type, linitial(reference->target_columns)));
}

/*
 * Append a branch of a CASE: what the names of a table become.
 */
static void
AppendRenaming(StringInfo sql, EventLog *log, Oid relation, bool qualified, const char *name)
{
	appendStringInfo(sql, "WHEN %s IN ", NameValue(log, SourceValue(log->name)));
	AppendNames(sql, log, relation, qualified);
	appendStringInfo(sql, " THEN %s ", name);
}

/*
 * Append what the names of a table of the source become.  A name without schema
 * stays as it is, but for that of a partition, which the destination need not
 * have.
 */
static void
AppendRenamings(StringInfo sql, EventLog *log, Oid source, Oid destination)
{
	char	   *name = get_rel_name(destination);
	ListCell   *lc;

	if (log->by_oid)
	{
		AppendRenaming(sql, log, source, false, psprintf("%u::pg_catalog.oid", destination));
		return;
	}
	AppendRenaming(sql, log, source, true, quote_literal_cstr(QualifiedRelation(destination)));
	if (get_rel_relkind(source) != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, Spellings(source, false))
		appendStringInfo(sql, "WHEN %s = %s THEN %s ", NameValue(log, SourceValue(log->name)),
						 quote_literal_cstr(lfirst(lc)), quote_literal_cstr(lfirst(lc)));
	AppendRenaming(sql, log, source, false, quote_literal_cstr(name));
}

/*
 * Append what the name of a table in the source's row becomes.
 */
static void
AppendNameTranslation(StringInfo sql, EventLog *log)
{
	Oid			schema = get_rel_namespace(log->table->destination);
	ListCell   *lc;

	foreach(lc, log->references)
	{
		FactTable  *target = ((Reference *) lfirst(lc))->target;

		AppendRenamings(sql, log, target->source, target->destination);
	}
	foreach(lc, log->ignored)
	{
		Oid			twin = get_relname_relid(get_rel_name(lfirst_oid(lc)), schema);

		if (OidIsValid(twin))
			AppendRenamings(sql, log, lfirst_oid(lc), twin);
	}
	appendStringInfo(sql, "ELSE %s::pg_catalog.%s", SourceValue(log->name),
					 log->by_oid ? "oid" : "text");
}

/*
 * Append what the key of a fact in the source's row becomes.
 */
static void
AppendKeyTranslation(StringInfo sql, EventLog *log)
{
	ListCell   *lc;

	foreach(lc, log->references)
	{
		Reference  *reference = lfirst(lc);
		Column	   *target = linitial(reference->target_columns);
		char	   *value = psprintf("r%d.destination_%d", reference->number,
									 target->map_number);

		appendStringInfo(sql, "WHEN %s IS NOT NULL THEN %s ", value,
						 AsType(value, target->type, log->key));
	}
	appendStringInfo(sql, "ELSE %s", SourceValue(log->key));
}

/*
 * Append what the name of a table, or the key of a fact there, in the source's
 * row becomes in the destination.
 */
void
AppendLogTranslation(StringInfo sql, Column *column)
{
	if (column->log->references == NIL)
	{
		AppendSourceValue(sql, column);
		return;
	}
	appendStringInfoString(sql, "(CASE ");
	if (column == column->log->name)
		AppendNameTranslation(sql, column->log);
	else
		AppendKeyTranslation(sql, column->log);
	appendStringInfo(sql, " END)::%s", TypeText(column->type, column->typmod));
	if (OidIsValid(column->collation))
		appendStringInfo(sql, " COLLATE %s", QualifiedCollation(column->collation));
}

/*
 * That a row of the source's log names a table that holds no facts, so that its
 * key is kept as it is.
 */
static char *
NamesIgnored(EventLog *log)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "false");
	foreach(lc, log->ignored)
		appendStringInfo(&sql, " OR %s", IsNameOf(log, SourceValue(log->name), lfirst_oid(lc)));
	return sql.data;
}

/*
 * Raise the error for a row of a log that leads nowhere, given its name for
 * messages, what it names, and whether that is a table of which it can name facts.
 */
static void
RefuseEvent(EventLog *log, char **row)
{
	if (row[3][0] == 't')
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("an event of the source is about a fact that is not there"),
				 errdetail("Row %s of event log \"%s\" names fact %s of table %s.",
						   row[0], log->table->name, row[2], row[1]),
				 errhint("Add the fact, or let the row of the log name the one that it is about.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("an event of the source is about no fact that a merge could find"),
			 errdetail("Row %s of event log \"%s\" names table %s.", row[0], log->table->name, row[1]),
			 errhint("A log can name fact tables of its own schema that have a key of one column, of a type that its column \"%s\" can hold, and that do not refer to the log.",
					 log->key->name)));
}

/*
 * Refuse rows of the source's log that lead nowhere.
 */
void
CheckEventLog(Merge *merge, FactTable *table)
{
	EventLog   *log = table->log;
	StringInfoData sql;
	StringInfoData known;
	StringInfoData found;
	char	  **row;
	ListCell   *lc;

	if (log == NULL)
		return;
	initStringInfo(&known);
	initStringInfo(&found);
	appendStringInfoString(&known, "false");
	appendStringInfoString(&found, "false");
	foreach(lc, log->references)
	{
		Reference  *reference = lfirst(lc);

		appendStringInfo(&known, " OR %s",
						 IsNameOf(log, SourceValue(log->name), reference->target->source));
		appendStringInfo(&found, " OR r%d.source_%d IS NOT NULL", reference->number,
						 ((Column *) linitial(reference->target_columns))->map_number);
	}
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s, %s::pg_catalog.text, %s::pg_catalog.text, %s FROM ",
					 AddressText(table, "s"), SourceValue(log->name), SourceValue(log->key), known.data);
	AppendSourceRow(&sql, merge, table, false);
	appendStringInfo(&sql, " WHERE %s IS NOT NULL AND %s IS NOT NULL AND NOT (%s) AND NOT (%s) ORDER BY 1 LIMIT 1",
					 SourceValue(log->name), SourceValue(log->key), found.data, NamesIgnored(log));
	row = SqlFetchRow(merge->snapshot, sql.data, NULL);
	if (row != NULL)
		RefuseEvent(log, row);
}
