/*-------------------------------------------------------------------------
 *
 * lookalike.c
 *	  what looks like a reference and is none
 *
 * A column that holds keys of another table, but has no foreign key, is copied as it
 * is; and where the facts of that table get other keys, it then leads to other facts
 * than in the source.  Nobody would notice, so a merge tells of it.
 *
 * Names come first (resemble.c): a column, an array, a place in JSON documents
 * (document.c) or a pair of type and key, the type being the name of a table.  A sample
 * of its values must then be keys of that table in the source.  Only tables are
 * looked at of which facts are copied.  What is said to be no reference, see
 * factmerge_set_column(), is passed over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "lookalike.h"
#include "resemble.h"

/* Of as many values or more, one in ten may lead nowhere */
#define MANY_VALUES 10

/*
 * SQL for some facts of the source, as s, of those that a merge looks at.
 */
char *
SampleOf(Merge *merge, FactTable *table, const char *columns)
{
	char	   *facts = IsSliced(merge, table) ? QualifiedRelation(table->source) : SourceFacts(table);
	char	   *sampled = "";

	if (facts != table->fresh && TellsTransactions(table->source))
	{
		Relation	relation = RelationIdGetRelation(table->source);
		BlockNumber pages = RelationGetNumberOfBlocks(relation);

		RelationClose(relation);
		if (pages > 2 * SAMPLE_PAGES)
			sampled = psprintf(" TABLESAMPLE pg_catalog.system (%.6f) REPEATABLE (0)", 100.0 * SAMPLE_PAGES / pages);
	}
	return psprintf("(SELECT %s FROM %s AS s%s LIMIT %d) AS s", columns, facts, sampled, SAMPLE_ROWS);
}

/*
 * The type of a column in the source.
 */
static Oid
SourceType(FactTable *table, Column *column)
{
	return getBaseType(get_atttype(table->source, get_attnum(table->source, column->name)));
}

static KeyKind
KindOf(Oid type)
{
	if (IsInteger(type) || type == NUMERICOID)
		return KEY_NUMBER;
	if (type == UUIDOID)
		return KEY_UUID;
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ? KEY_TEXT : KEY_OTHER;
}

/*
 * The key by which facts of a table are referred to, if it becomes another; or NULL.
 */
static KeyedTable *
RemappedKey(FactTable *table)
{
	KeyedTable *keyed = palloc0(sizeof(KeyedTable));
	ListCell   *lc;
	ListCell   *c;

	keyed->table = table;
	foreach(lc, table->keys)
		foreach(c, ((UniqueKey *) lfirst(lc))->columns)
	{
		UniqueKey  *unique = lfirst(lc);
		Column	   *column = lfirst(c);
		bool		alone = list_length(unique->columns) == 1;

		if (!column->surrogate && !column->public_number && !(alone && column->reference))
			continue;
		keyed->key = column;
		keyed->kind = KindOf(SourceType(table, column));
		if (alone && unique->immediate)
			keyed->unique = unique;
		return keyed->kind == KEY_OTHER ? NULL : keyed;
	}
	return NULL;
}

/*
 * The tables, of some, to which a name points.
 */
List *
PointedTo(List *words, bool many, FactTable *own, List *targets)
{
	int			best = 1;
	bool		by_keys = false;
	List	   *pointed = NIL;
	ListCell   *lc;

	foreach(lc, targets)
	{
		KeyedTable *target = lfirst(lc);
		bool		by_key;
		int			fits = Resemblance(words, many, target->table, target->key, own, &by_key);

		if (fits < best)
			continue;
		if (fits > best)
			pointed = NIL;
		best = fits;
		by_keys = by_key;
		pointed = lappend(pointed, target);
	}
	/* A key of the same name everywhere says nothing */
	return by_keys && list_length(pointed) > 1 ? NIL : pointed;
}

/*
 * Whether a column may be a reference: it is none yet, and holds what is copied as it is.
 */
static bool
IsCopiedAsIs(FactTable *table, Column *column)
{
	ListCell   *lc;

	if (column->generated || column->surrogate || column->public_number || column->log)
		return false;
	foreach(lc, table->references)
		if (list_member_ptr(((Reference *) lfirst(lc))->columns, column))
		return false;
	return true;
}

static bool
IsNamed(List *names, Column *column)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), column->name) == 0)
		return true;
	return false;
}

/* Where values go */
typedef struct Values
{
	List	   *values;			/* of char * */
	List	   *types;			/* of char *: which table each is of */
	MemoryContext context;
} Values;

static void
TakeValue(Datum *values, bool *nulls, void *arg)
{
	Values	   *taken = arg;
	MemoryContext context = MemoryContextSwitchTo(taken->context);

	taken->values = lappend(taken->values, TextDatumGetCString(values[0]));
	if (!nulls[1])
		taken->types = lappend(taken->types, TextDatumGetCString(values[1]));
	MemoryContextSwitchTo(context);
}

static Place *
MakePlace(FactTable *table, Column *column, bool many, List *targets)
{
	Place	   *place = palloc0(sizeof(Place));

	place->table = table;
	place->column = column;
	place->many = many;
	place->targets = targets;
	return place;
}

/*
 * Fetch a sample of the values of a place.
 */
static void
FetchValues(Merge *merge, Place *place)
{
	Values		taken = {NIL, NIL, CurrentMemoryContext};
	const char *name = psprintf("s.%s", quote_identifier(place->column->name));
	const char *value = place->many ? "v" : name;

	SqlForEachRow(merge->snapshot,
				  psprintf("SELECT DISTINCT %s::pg_catalog.text, NULL::pg_catalog.text FROM %s%s WHERE %s IS NOT NULL LIMIT %d",
						   value, SampleOf(merge, place->table, name),
						   place->many ? psprintf(" CROSS JOIN pg_catalog.unnest(%s) AS v", name) : "",
						   value, MOST_VALUES), NULL, TakeValue, &taken);
	place->values = taken.values;
}

/*
 * Those of some tables whose keys a column of a type can hold.  Texts can hold any, if
 * the name says that they do.
 */
static List *
OfKind(List *targets, KeyKind kind, bool identified)
{
	List	   *fitting = NIL;
	ListCell   *lc;

	foreach(lc, targets)
	{
		KeyKind		other = ((KeyedTable *) lfirst(lc))->kind;

		if (kind == other || (kind == KEY_TEXT && identified))
			fitting = lappend(fitting, lfirst(lc));
	}
	return fitting;
}

/*
 * The places in a column that may hold keys, going by names.
 */
static List *
PlacesInColumn(Merge *merge, FactTable *table, Column *column, List *targets)
{
	Oid			type = SourceType(table, column);
	Oid			element = get_base_element_type(type);
	bool		many = OidIsValid(element);
	KeyKind		kind = KindOf(many ? getBaseType(element) : type);
	List	   *words;
	Place	   *place;

	if (type == JSONOID || type == JSONBOID)
		return PlacesInDocuments(merge, table, column, type == JSONBOID, targets);
	if (kind == KEY_OTHER)
		return NIL;
	words = NameWords(column->name);
	targets = OfKind(targets, kind, !IsSameName(WithoutIdentifiers(words), words));
	targets = PointedTo(words, many, table, targets);
	if (targets == NIL)
		return NIL;
	place = MakePlace(table, column, many, targets);
	FetchValues(merge, place);
	return list_make1(place);
}

/*
 * Whether two columns are a pair that says of which table a fact is, and which one.
 */
static bool
IsPair(Column *type, Column *key)
{
	List	   *words = NameWords(type->name);
	List	   *key_words = NameWords(key->name);
	List	   *rest = WithoutIdentifiers(key_words);

	if (type == key || rest == NIL || IsSameName(rest, key_words))
		return false;
	if (IsSameName(words, rest))
		return true;
	if (!IsTypeName(words))
		return false;
	return IsAnyFact(rest) || IsSameName(list_truncate(list_copy(words), list_length(words) - 1), rest);
}

/*
 * The places of a pair of columns, one for each table that is named.
 */
static List *
PlacesInPair(Merge *merge, FactTable *table, Column *type, Column *key, List *targets)
{
	Values		taken = {NIL, NIL, CurrentMemoryContext};
	char	   *columns[] = {psprintf("s.%s", quote_identifier(key->name)), psprintf("s.%s", quote_identifier(type->name))};
	List	   *places = NIL;
	ListCell   *lc;

	SqlForEachRow(merge->snapshot,
				  psprintf("SELECT DISTINCT %s::pg_catalog.text, %s::pg_catalog.text FROM %s WHERE %s IS NOT NULL AND %s IS NOT NULL LIMIT %d",
						   columns[0], columns[1], SampleOf(merge, table, psprintf("%s, %s", columns[0], columns[1])),
						   columns[0], columns[1], MOST_VALUES), NULL, TakeValue, &taken);
	foreach(lc, targets)
	{
		Place	   *place = MakePlace(table, key, false, list_make1(lfirst(lc)));
		ListCell   *t;
		ListCell   *v;

		place->type = type;
		forboth(t, taken.types, v, taken.values)
			if (NamesTable(lfirst(t), ((KeyedTable *) lfirst(lc))->table))
			place->values = lappend(place->values, lfirst(v));
		if (place->values)
			places = lappend(places, place);
	}
	return places;
}

/*
 * The places of all pairs that a column is the key of.
 */
static List *
PlacesOfKey(Merge *merge, FactTable *table, Column *key, List *targets)
{
	KeyKind		kind = KindOf(SourceType(table, key));
	List	   *places = NIL;
	ListCell   *lc;

	if (kind == KEY_OTHER)
		return NIL;
	foreach(lc, table->columns)
	{
		Column	   *type = lfirst(lc);
		Oid			of_type = SourceType(table, type);

		if (IsPair(type, key) &&
			(TypeCategory(of_type) == TYPCATEGORY_STRING || TypeCategory(of_type) == TYPCATEGORY_ENUM))
			places = list_concat(places, PlacesInPair(merge, table, type, key, OfKind(targets, kind, true)));
	}
	return places;
}

/*
 * Whether a text is a key of some kind; *none if it is what stands for no fact.
 */
static bool
IsKey(const char *text, KeyKind kind, bool *none)
{
	*none = *text == '\0' || strcmp(text, "0") == 0 || strcmp(text, "-1") == 0;
	if (kind == KEY_NUMBER)
		return strlen(text) <= 18 && strspn(text, "0123456789") == strlen(text);
	if (kind == KEY_UUID)
		return strlen(text) == 36 && strspn(text, "0123456789abcdefABCDEF-") == 36 &&
			text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' &&
			strcspn(text + 24, "-") == 12 && strcspn(text, "-") == 8;
	return true;
}

/*
 * The keys in a sample of values, as an array; *others becomes the number of what is no
 * key.  Numbers and uuids may be several in a text.
 */
static Datum
KeysIn(List *values, KeyKind kind, int *count, int *others)
{
	Datum	   *keys = palloc(sizeof(Datum) * MOST_VALUES);
	ListCell   *lc;

	*count = *others = 0;
	foreach(lc, values)
	{
		const char *rest = lfirst(lc);

		for (;;)
		{
			size_t		length = kind == KEY_TEXT ? strlen(rest) : strcspn(rest, ",;| ");
			char	   *key = pnstrdup(rest, length);
			bool		none;

			if (IsKey(key, kind, &none) && !none && *count < MOST_VALUES)
				keys[(*count)++] = CStringGetTextDatum(key);
			else if (!none)
				++*others;
			if (rest[length] == '\0')
				break;
			rest += length + 1;
		}
	}
	return PointerGetDatum(construct_array(keys, *count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Whether the values of a place are keys of a table in the source.
 */
static bool
LeadsTo(Merge *merge, Place *place, KeyedTable *target)
{
	static const char *const types[] = {NULL, "int8", "uuid", "text"};
	FactTable  *table = target->table;
	bool		mapped = table->fresh && target->key->map_number > 0;
	SqlArgs		args = {0};
	int			count;
	int			others;
	Datum		keys = KeysIn(place->values, target->kind, &count, &others);
	char	  **row;
	int64		known;
	int64		all;

	if (count == 0)
		return false;
	SqlAddArg(&args, TEXTARRAYOID, keys);
	row = SqlFetchRow(merge->snapshot,
					  psprintf("SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE EXISTS (SELECT FROM %s AS t WHERE t.%s = v.key))"
							   " FROM (SELECT DISTINCT k::pg_catalog.%s AS key FROM pg_catalog.unnest($1) AS k) AS v",
							   mapped ? table->map : QualifiedRelation(table->source),
							   mapped ? psprintf("source_%d", target->key->map_number) : quote_identifier(target->key->name),
							   types[target->kind]), &args);
	all = pg_strtoint64(row[0]) + others;
	known = pg_strtoint64(row[1]);
	return known > 0 && (known == all || (all >= MANY_VALUES && known * 10 >= all * 9));
}

/*
 * The tables whose facts get other keys.
 */
static List *
KeyedTables(Merge *merge)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, merge->tables)
	{
		KeyedTable *target = RemappedKey(lfirst(lc));

		if (target)
			targets = lappend(targets, target);
	}
	return targets;
}

/*
 * Of some places, those that lead to facts, each with the table that it leads to.
 */
static List *
Leading(Merge *merge, List *places)
{
	List	   *leading = NIL;
	ListCell   *lc;
	ListCell   *t;

	foreach(lc, places)
	{
		Place	   *place = lfirst(lc);

		foreach(t, place->targets)
			if (LeadsTo(merge, place, lfirst(t)))
		{
			place->target = lfirst(t);
			leading = lappend(leading, place);
			break;
		}
	}
	return leading;
}

/*
 * What looks like a reference in a table.
 */
static List *
LookalikesIn(Merge *merge, FactTable *table, List *targets)
{
	List	   *found = NIL;
	List	   *others = NoReferences(table);
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);
		List	   *leading;

		if (!IsCopiedAsIs(table, column) || IsNamed(others, column))
			continue;
		leading = Leading(merge, PlacesOfKey(merge, table, column, targets));
		if (leading == NIL)
			leading = Leading(merge, PlacesInColumn(merge, table, column, targets));
		found = list_concat(found, leading);
	}
	return found;
}

/*
 * The places, as far as they are looked for, that hold keys and are no references.
 */
List *
FindLookalikes(Merge *merge)
{
	List	   *targets = KeyedTables(merge);
	List	   *found = NIL;
	ListCell   *lc;

	if (targets == NIL)
		return NIL;
	foreach(lc, merge->tables)
		if (((FactTable *) lfirst(lc))->counts.copied > 0)
		found = list_concat(found, LookalikesIn(merge, lfirst(lc), targets));
	return found;
}
