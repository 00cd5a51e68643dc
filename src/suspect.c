/*-------------------------------------------------------------------------
 *
 * suspect.c
 *	  telling of what looks like a reference and is none
 *
 * One warning a merge lists all that has been found (lookalike.c), and what to do about
 * it: a foreign key where one can say it, after the merge has been taken back, for what
 * it has copied would stay as it is; or the declaration that it is no reference.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "lookalike.h"

/* How many are told of */
#define MOST_TOLD 20

/* Says what a place is */
static char *
Description(Place *place)
{
	StringInfoData text;

	initStringInfo(&text);
	if (place->type)
		appendStringInfo(&text, "Columns \"%s\" and \"%s\" of table \"%s\" hold names of tables and keys", place->type->name,
						 place->column->name, place->table->name);
	else
		appendStringInfo(&text, "Column \"%s\" of table \"%s\" holds %s", place->column->name, place->table->name,
						 place->many ? "arrays of keys" : "keys");
	appendStringInfo(&text, " of table \"%s\"", place->target->table->name);
	if (place->path && strcmp(place->path, place->column->name) != 0)
		appendStringInfo(&text, " under \"%s\"", place->path);
	appendStringInfoChar(&text, '.');
	return text.data;
}

/*
 * Whether a foreign key could say what a place is: of one value that is of the type of
 * the key.
 */
static bool
CanBeForeignKey(Place *place)
{
	Oid			from = getBaseType(place->column->type);
	Oid			to = getBaseType(place->target->key->type);

	return !place->type && !place->path && !place->many && place->target->unique &&
		(from == to || (IsInteger(from) && IsInteger(to)));
}

/* SQL for the foreign key, which does not look at what is there already if it can */
static char *
ForeignKey(Place *place)
{
	return psprintf("ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES %s (%s)%s;",
					QualifiedRelation(place->table->destination), quote_identifier(place->column->name),
					QualifiedRelation(place->target->table->destination), quote_identifier(place->target->key->name),
					place->table->partitioned ? "" : " NOT VALID");
}

/* SQL that says that it is none */
static char *
NoReference(Place *place)
{
	return psprintf("SELECT %s.factmerge_set_column(%s, %s, reference => false);",
					quote_identifier(TypeSchema(ProvenanceType())),
					quote_literal_cstr(QualifiedRelation(place->table->destination)),
					quote_literal_cstr(place->column->name));
}

/*
 * Append a line, unless that is there.
 */
static void
AppendOnce(StringInfo text, const char *line)
{
	const char *found = strstr(text->data, line);

	if (found == NULL)
		appendStringInfo(text, "\n%s", line);
}

/*
 * What to do about some places.
 */
static char *
Advice(Merge *merge, List *places)
{
	char	   *undo = merge->dry_run ? "" :
		psprintf("Take this merge back first: SELECT %s.factmerge_undo(" INT64_FORMAT ");\n",
				 quote_identifier(TypeSchema(ProvenanceType())), merge->id);
	StringInfoData keys;
	StringInfoData none;
	bool		others = false;
	ListCell   *lc;

	initStringInfo(&keys);
	initStringInfo(&none);
	foreach(lc, places)
	{
		if (CanBeForeignKey(lfirst(lc)))
			AppendOnce(&keys, ForeignKey(lfirst(lc)));
		else
			others = true;
		AppendOnce(&none, NoReference(lfirst(lc)));
	}
	return psprintf("%s%s%s%sWhat is no reference is declared so:%s", undo,
					keys.len > 0 ? psprintf("A foreign key lets a merge translate them:%s\n", keys.data) : "",
					others ? "What no foreign key can say, keep in a table of its own, one key a row." : "",
					others ? "\n" : "", none.data);
}

/*
 * Tell of the columns that look like references and are copied as they are.
 */
void
WarnOfLookalikes(Merge *merge)
{
	List	   *found = FindLookalikes(merge);
	List	   *told;
	Place	   *first;
	StringInfoData detail;
	ListCell   *lc;

	if (found == NIL)
		return;
	told = list_truncate(list_copy(found), MOST_TOLD);
	first = linitial(told);
	initStringInfo(&detail);
	foreach(lc, told)
		appendStringInfo(&detail, "%s\n", Description(lfirst(lc)));
	if (list_length(found) > list_length(told))
		appendStringInfo(&detail, "There are %d more.\n", list_length(found) - list_length(told));
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 list_length(found) == 1 ?
			 errmsg("column \"%s\" of table \"%s\" looks like a reference that no foreign key declares",
					first->column->name, first->table->name) :
			 errmsg("%d columns look like references that no foreign key declares", list_length(found)),
			 errdetail("%sThey are copied as they are, and so lead to other facts in the destination than in the source.",
					   detail.data),
			 errhint("%s", Advice(merge, told))));
}
