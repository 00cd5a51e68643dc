/*-------------------------------------------------------------------------
 *
 * document.c
 *	  where keys of facts may be in JSON documents
 *
 * A place in documents goes by the name of the nearest key of an object around it, as
 * with {"chartsInScope": [1, 2]} and {"chart": {"id": 1}}; or it is an object that says
 * the type of a fact and its key, as {"type": "chart", "id": 1}.  A value that is no
 * object goes by the name of its column.
 *
 * Only a sample of the documents is looked at, and none that is large.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "lookalike.h"
#include "resemble.h"

#define MOST_DOCUMENTS	200
#define LARGEST_DOCUMENT 32768
#define MOST_PLACES		200
#define DEEPEST			32

/* An object or array that is being walked through */
typedef struct Level
{
	bool		object;
	char	   *name;			/* under which it stands; or NULL */
	char	   *key;			/* the last one of the object */
	char	   *type;			/* the type that it says */
	char	   *id;				/* the key that it says */
	char	   *id_name;		/* ... under this name */
} Level;

/* A name that has been met */
typedef struct NamedPlace
{
	char	   *name;
	Place	   *place;			/* NULL if it points nowhere */
} NamedPlace;

typedef struct Walk
{
	FactTable  *table;
	Column	   *column;
	List	   *targets;		/* of KeyedTable */
	List	   *names;			/* of NamedPlace */
	MemoryContext context;
	Level		levels[DEEPEST];
	int			depth;
} Walk;

/*
 * The place of a name; with a table, what is said to be of that type.
 */
static Place *
FindPlace(Walk *walk, const char *name, const char *path, bool many, KeyedTable *target)
{
	NamedPlace *named;
	List	   *targets;
	ListCell   *lc;

	foreach(lc, walk->names)
		if (strcmp(((NamedPlace *) lfirst(lc))->name, name) == 0)
		return ((NamedPlace *) lfirst(lc))->place;
	if (list_length(walk->names) >= MOST_PLACES)
		return NULL;
	named = palloc0(sizeof(NamedPlace));
	named->name = pstrdup(name);
	walk->names = lappend(walk->names, named);
	targets = target ? list_make1(target) :
		PointedTo(NameWords(name), many, walk->table, walk->targets);
	if (targets == NIL)
		return NULL;
	named->place = palloc0(sizeof(Place));
	named->place->table = walk->table;
	named->place->column = walk->column;
	named->place->path = pstrdup(path);
	named->place->targets = targets;
	return named->place;
}

static void
AddValue(Place *place, char *value)
{
	if (place && list_length(place->values) < MOST_VALUES)
		place->values = lappend(place->values, value);
}

/*
 * Note a value, with the name that is nearest: that of the key, and unless that says
 * something by itself, that of what is around it.
 */
static void
NoteValue(Walk *walk, char *value, bool in_array)
{
	char	   *name = in_array ? walk->levels[walk->depth].name : walk->levels[walk->depth].key;
	const char *full;

	if (name == NULL)
		name = walk->column->name;
	full = name;
	if (IsIdentifier(NameWords(name)))
	{
		char	   *around = in_array ? NULL : walk->levels[walk->depth].name;

		walk->levels[walk->depth].id = value;
		walk->levels[walk->depth].id_name = name;
		full = psprintf("%s.%s", around ? around : walk->column->name, name);
	}
	else if (IsTypeName(NameWords(name)) && !in_array)
		walk->levels[walk->depth].type = value;
	AddValue(FindPlace(walk, psprintf("%s%s", full, in_array ? "[]" : ""), full, in_array, NULL), value);
}

/*
 * Note the fact that an object says by its type and key.
 */
static void
NoteTyped(Walk *walk, Level *level)
{
	ListCell   *lc;

	if (level->type == NULL || level->id == NULL)
		return;
	foreach(lc, walk->targets)
	{
		KeyedTable *target = lfirst(lc);

		if (NamesTable(level->type, target->table))
			AddValue(FindPlace(walk, psprintf("%s()%s", level->id_name, target->table->name), level->id_name, false, target), level->id);
	}
}

/* The text of a number or string, NULL for anything else */
static char *
ValueText(JsonbValue *value)
{
	if (value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	if (value->type == jbvString && value->val.string.len < NAMEDATALEN)
		return pnstrdup(value->val.string.val, value->val.string.len);
	return NULL;
}

/*
 * Go into an object or array; false if that is too deep.
 */
static bool
Enter(Walk *walk, bool object)
{
	Level	   *outer = walk->depth >= 0 ? &walk->levels[walk->depth] : NULL;

	if (walk->depth + 1 >= DEEPEST)
		return false;
	walk->depth++;
	memset(&walk->levels[walk->depth], 0, sizeof(Level));
	walk->levels[walk->depth].object = object;
	if (outer)
		walk->levels[walk->depth].name = outer->object ? outer->key : outer->name;
	return true;
}

/* Walks through a document */
static void
WalkDocument(Datum *values, bool *nulls, void *arg)
{
	Walk	   *walk = arg;
	MemoryContext context = MemoryContextSwitchTo(walk->context);
	JsonbIterator *iterator = JsonbIteratorInit(&DatumGetJsonbPCopy(values[0])->root);
	JsonbIteratorToken token;
	JsonbValue	value;

	walk->depth = -1;
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		char	   *text;

		CHECK_FOR_INTERRUPTS();
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
		{
			if (!Enter(walk, token == WJB_BEGIN_OBJECT))
				break;
		}
		else if (token == WJB_KEY)
			walk->levels[walk->depth].key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
		{
			NoteTyped(walk, &walk->levels[walk->depth]);
			walk->depth--;
		}
		else if ((text = ValueText(&value)) != NULL)
			NoteValue(walk, text, token == WJB_ELEM);
	}
	MemoryContextSwitchTo(context);
}

/*
 * The places in the documents of a column whose names point to tables.
 */
List *
PlacesInDocuments(Merge *merge, FactTable *table, Column *column, bool binary, List *targets)
{
	Walk		walk = {.table = table, .column = column, .targets = targets, .context = CurrentMemoryContext};
	const char *name = quote_identifier(column->name);
	List	   *places = NIL;
	ListCell   *lc;

	/* What json may hold, and jsonb may not, would be an error */
	SqlForEachRow(merge->snapshot,
				  psprintf("SELECT s.%s::pg_catalog.jsonb FROM %s WHERE s.%s IS NOT NULL AND pg_catalog.pg_column_size(s.%s) <= %d%s LIMIT %d",
						   name, SampleOf(merge, table, psprintf("s.%s", name)), name, name, LARGEST_DOCUMENT,
						   binary ? "" : psprintf(" AND s.%s::pg_catalog.text !~ '\\\\u|[eE][-+]?[0-9]{4}'", name), MOST_DOCUMENTS),
				  NULL, WalkDocument, &walk);
	foreach(lc, walk.names)
		if (((NamedPlace *) lfirst(lc))->place)
		places = lappend(places, ((NamedPlace *) lfirst(lc))->place);
	return places;
}
