/*-------------------------------------------------------------------------
 *
 * leave.c
 *	  what keeps a schema, or the extension, from doing without factmerge
 *
 * Three things in users' schemas need the extension: the provenance columns, whose
 * type and defaults are its own; the triggers that apply rules; and nothing else.  So
 * before the columns are removed, the rules have to be dropped: to drop their triggers
 * silently would be to stop deriving facts.
 *
 * DROP EXTENSION is refused by the server as long as there is any of these.  An event
 * trigger refuses it first, in words that say what to call, and lets the tables that the
 * extension has made for itself go with it.  They could have been marked so when they
 * were made, but pg_dump does not carry that over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "factmerge.h"
#include "rule.h"

PG_FUNCTION_INFO_V1(factmerge_before_drop);

/*
 * Refuse to go on while rules derive facts of a schema, or from them.
 */
void
RefuseRules(Oid schema)
{
	SqlArgs		args = {0};
	char	  **rules;

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(schema));
	rules = SqlFetchRow(InvalidSnapshot,
						"SELECT pg_catalog.string_agg(pg_catalog.format('\"%s\"', r.name), ', ' ORDER BY r.name),"
						" pg_catalog.string_agg(pg_catalog.format('factmerge_drop_rule(%L, %L)', r.name, n.nspname), ', ' ORDER BY r.name)"
						" FROM factmerge.rule AS r JOIN pg_catalog.pg_class AS t ON t.oid = r.target"
						" JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace"
						" WHERE n.oid = $1 OR EXISTS (SELECT FROM pg_catalog.pg_class AS b"
						" WHERE b.relnamespace = $1 AND b.oid = ANY (r.body::pg_catalog.oid[]))", &args);
	if (rules[0])
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("rules derive facts of schema \"%s\"", get_namespace_name(schema)),
				 errdetail("The triggers of %s need factmerge.", rules[0]),
				 errhint("SELECT %s; what they have derived stays, and nothing new is derived.", rules[1])));
}

/* Drops a trigger, given by its quoted name and that of its table */
static void
DropTrigger(Datum *values, bool *nulls, void *arg)
{
	SqlUtility(psprintf("DROP TRIGGER %s ON %s", TextDatumGetCString(values[0]), TextDatumGetCString(values[1])));
}

/*
 * Drop triggers of ours that are left on tables of a schema that has no rules, as
 * after part of a database has been restored.
 */
void
DropLeftTriggers(Oid schema)
{
	SqlArgs		args = {0};

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(schema));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(RuleTriggerFunction()));
	SqlForEachRow(InvalidSnapshot,
				  "SELECT pg_catalog.quote_ident(t.tgname), pg_catalog.format('%I.%I', n.nspname, c.relname)"
				  " FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"
				  " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				  " WHERE n.oid = $1 AND t.tgfoid = $2 AND t.tgparentid = 0 ORDER BY c.relname",
				  &args, DropTrigger, NULL);
}

/* Lets a relation of ours go with the extension */
static void
GoWithExtension(Datum *values, bool *nulls, void *extension)
{
	ObjectAddress relation;
	ObjectAddress owner;

	ObjectAddressSet(relation, RelationRelationId, DatumGetObjectId(values[0]));
	ObjectAddressSet(owner, ExtensionRelationId, *(Oid *) extension);
	recordDependencyOn(&relation, &owner, DEPENDENCY_AUTO);
}

/*
 * Refuse to drop the extension while something in users' schemas needs it.
 */
static void
RefuseUses(void)
{
	SqlArgs		args = {0};
	char	  **uses;

	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(ProvenanceType()));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(RuleTriggerFunction()));
	uses = SqlFetchRow(InvalidSnapshot,
					   "SELECT pg_catalog.string_agg(pg_catalog.format('\"%s\"', n.nspname), ', ' ORDER BY n.nspname),"
					   " pg_catalog.string_agg(pg_catalog.format('SELECT factmerge_remove_provenance(%L);', n.nspname), ' ' ORDER BY n.nspname)"
					   " FROM pg_catalog.pg_namespace AS n WHERE n.oid IN (SELECT c.relnamespace FROM pg_catalog.pg_class AS c"
					   " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid WHERE a.atttypid = $1 AND NOT a.attisdropped"
					   " AND a.attname = '" PROVENANCE_COLUMN "' AND c.relkind IN ('r', 'p')"
					   " UNION SELECT c.relnamespace FROM pg_catalog.pg_class AS c"
					   " JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid WHERE t.tgfoid = $2)", &args);
	if (uses[0])
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop extension factmerge because other objects depend on it"),
				 errdetail("Tables have its columns or triggers, in schemas: %s.", uses[0]),
				 errhint("%s takes them away, and says which rules are in the way. After that, key maps, history and declarations go with the extension.",
						 uses[1])));
}

/*
 * Whether a command drops this extension.
 */
static bool
DropsFactmerge(DropStmt *command)
{
	ListCell   *lc;

	if (!IsA(command, DropStmt) || command->removeType != OBJECT_EXTENSION)
		return false;
	foreach(lc, command->objects)
		if (strcmp(strVal(lfirst(lc)), "factmerge") == 0)
		return true;
	return false;
}

/*
 * factmerge.before_drop(): an event trigger that says what to do before the
 * extension is dropped.  Whoever may not drop it, the server refuses.
 */
Datum
factmerge_before_drop(PG_FUNCTION_ARGS)
{
	DropStmt   *command;
	Oid			extension = get_extension_oid("factmerge", true);
	int			nest_level;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function %s can only be called by an event trigger",
						"factmerge.before_drop()")));
	command = (DropStmt *) ((EventTriggerData *) fcinfo->context)->parsetree;
	if (!OidIsValid(extension) || !DropsFactmerge(command) ||
		!has_privs_of_role(GetUserId(), ExtensionOwner()))
		PG_RETURN_NULL();
	SqlConnect();
	nest_level = NewGUCNestLevel();
	LockSearchPath();
	if (command->behavior == DROP_RESTRICT)
		RefuseUses();
	SqlForEachRow(InvalidSnapshot,
				  "SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.oid IN"
				  " (SELECT k.map FROM factmerge.key_map AS k UNION SELECT r.view FROM factmerge.rule AS r)",
				  NULL, GoWithExtension, &extension);
	AtEOXact_GUC(true, nest_level);
	SqlFinish();
	PG_RETURN_NULL();
}
