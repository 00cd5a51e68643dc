/*-------------------------------------------------------------------------
 *
 * deferred.c
 *	  constraints that are deferred, where code runs as its owner
 *
 * What is done in the name of a table's owner may have checks to be made and triggers to
 * be fired at the end of the transaction, when the session is that of the caller
 * again: they would run as the caller.  Therefore the server allows nothing to be deferred in a
 * security-restricted operation.  So meanwhile the constraints of the tables that are written are
 * IMMEDIATE, and afterwards they are what they were declared to be.
 *
 * What the caller has deferred before that is checked early, and as the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "query.h"

/* Constraints that can be deferred, qualified; and those that are to begin with */
typedef struct Deferrable
{
	StringInfoData all;
	StringInfoData deferred;
} Deferrable;

/* Notes a constraint */
static void
NoteConstraint(Datum *values, bool *nulls, void *arg)
{
	Deferrable *deferrable = arg;
	char	   *name = TextDatumGetCString(values[0]);

	appendStringInfo(&deferrable->all, "%s%s", deferrable->all.len ? ", " : "", name);
	if (DatumGetBool(values[1]))
		appendStringInfo(&deferrable->deferred, "%s%s", deferrable->deferred.len ? ", " : "", name);
}

/*
 * Let nothing be deferred by constraints of a schema (of one of its tables, if that is
 * given); returns those for DeferAgain(), or NULL if there are none.  SPI is connected.
 */
char *
DeferNothing(Oid schema, Oid table)
{
	Deferrable	deferrable;
	SqlArgs		args = {0};

	initStringInfo(&deferrable.all);
	initStringInfo(&deferrable.deferred);
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(schema));
	SqlAddArg(&args, OIDOID, ObjectIdGetDatum(table));
	SqlForEachRow(InvalidSnapshot,
				  psprintf("SELECT pg_catalog.format('%%I.%%I', n.nspname, c.conname), pg_catalog.bool_or(c.condeferred)"
						   " FROM pg_catalog.pg_constraint AS c"
						   " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.connamespace"
						   " WHERE c.condeferrable AND c.connamespace OPERATOR(pg_catalog.=) $1%s"
						   " GROUP BY n.nspname, c.conname ORDER BY 1",
						   OidIsValid(table) ? " AND c.conrelid OPERATOR(pg_catalog.=) $2" : ""),
				  &args, NoteConstraint, &deferrable);
	if (deferrable.all.len > 0)
		SqlUtility(psprintf("SET CONSTRAINTS %s IMMEDIATE", deferrable.all.data));
	return deferrable.deferred.len > 0 ? deferrable.deferred.data : NULL;
}

/*
 * Let constraints be deferred again, if there are any.
 */
void
DeferAgain(const char *constraints)
{
	if (constraints)
		SqlUtility(psprintf("SET CONSTRAINTS %s DEFERRED", constraints));
}
