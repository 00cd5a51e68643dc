/*-------------------------------------------------------------------------
 *
 * resemble.c
 *	  which names point to a table
 *
 * Columns, and keys of JSON objects, that hold keys of a table are mostly called
 * after it: chart_id, chartIds, main_chart, charts_in_scope, parent_id.  So names
 * are taken apart into words, and the words compared with those of the table, in
 * the singular or the plural.  What is said of numbers otherwise, as in
 * chart_count, num_charts or sort_order, is none.
 *
 * The words are English.  A name that says nothing here is not told of, and what
 * it holds is copied as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "resemble.h"

/* How well a name fits: the whole of the table's, that of its key, the end of its */
#define FITS_TABLE	30
#define FITS_KEY	20
#define FITS_END	10

/* Of how many words of a name at most a single word of a table is made */
#define MOST_JOINED 4

static const char *const identifiers[] = {
	"id", "ids", "fk", "fks", "pk", "pks", "key", "keys", "ref", "refs", "uuid", "uuids",
	"guid", "guids", "uid", "uids", "oid", "oids", "identifier", "identifiers", NULL
};

/* Ends of words that say the same without a word of their own */
static const char *const endings[] = {"ids", "id", "fk", NULL};

static const char *const types[] = {
	"type", "kind", "class", "model", "table", "tablename", "entity", NULL
};

static const char *const any_fact[] = {
	"row", "record", "object", "entity", "item", "foreign", "ref", "reference", "target",
	"model", "subject", "resource", "related", "element", "parent", "content", NULL
};

static const char *const prepositions[] = {
	"in", "of", "on", "to", "for", "with", "from", "by", "at", NULL
};

static const char *const collections[] = {"list", "array", "set", "order", "collection", NULL};

/* Numbers that are counted or measured, rather than keys */
static const char *const quantities[] = {
	"age", "amount", "area", "average", "avg", "balance", "byte", "capacity", "code", "cost",
	"count", "day", "degree", "depth", "discount", "distance", "duration", "factor", "grade",
	"height", "hour", "index", "interval", "length", "level", "limit", "line", "max",
	"maximum", "min", "minimum", "minute", "month", "n", "no", "nr", "num", "number", "offset",
	"order", "page", "part", "percent", "percentage", "period", "phone", "place", "point",
	"position", "power", "price", "priority", "quantity", "qty", "rank", "ranking", "rate",
	"rating", "ratio", "score", "second", "sequence", "size", "sort", "speed", "step", "stock",
	"sum", "temperature", "term", "time", "total", "unit", "value", "version", "volume",
	"week", "weight", "width", "year", "zip", NULL
};

static const char *const irregular[][2] = {
	{"people", "person"}, {"children", "child"}, {"men", "man"}, {"women", "woman"},
	{"indices", "index"}, {"vertices", "vertex"}, {"matrices", "matrix"}, {"data", "datum"}
};

static bool
IsAmong(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static bool
EndsWith(const char *word, const char *end)
{
	size_t		length = strlen(word);

	return length >= strlen(end) && strcmp(word + length - strlen(end), end) == 0;
}

/*
 * Whether a word is another with something else at its end.
 */
static bool
IsInflected(const char *word, const char *ending, const char *other, const char *other_ending)
{
	size_t		stem = strlen(other) - strlen(other_ending);

	return EndsWith(word, ending) && EndsWith(other, other_ending) && *other &&
		strlen(word) - strlen(ending) == stem && strncmp(word, other, stem) == 0;
}

static bool
IsPluralOf(const char *plural, const char *singular)
{
	for (size_t i = 0; i < lengthof(irregular); i++)
		if (EndsWith(singular, irregular[i][1]) &&
			IsInflected(plural, irregular[i][0], singular, irregular[i][1]))
			return true;
	return IsInflected(plural, "s", singular, "") ||
		IsInflected(plural, "es", singular, "") ||
		IsInflected(plural, "ies", singular, "y") ||
		IsInflected(plural, "ves", singular, "f") ||
		IsInflected(plural, "ses", singular, "sis");
}

static bool
IsSameWord(const char *a, const char *b)
{
	return strcmp(a, b) == 0 || IsPluralOf(a, b) || IsPluralOf(b, a);
}

/*
 * Whether a word looks like a plural.
 */
static bool
LooksPlural(const char *word)
{
	for (size_t i = 0; i < lengthof(irregular); i++)
		if (strcmp(word, irregular[i][0]) == 0)
			return true;
	return EndsWith(word, "s") && !EndsWith(word, "ss") && !EndsWith(word, "us") && !EndsWith(word, "is");
}

/*
 * Whether a word says how much of something there is.
 */
static bool
IsQuantity(const char *word)
{
	for (const char *const *quantity = quantities; *quantity; quantity++)
		if (IsSameWord(word, *quantity))
			return true;
	return false;
}

static bool
IsLetter(char c)
{
	return IS_HIGHBIT_SET(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
IsLower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
IsUpper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/*
 * Whether a letter within a name begins a word: the I and the L of chartIDList, and
 * the I of chartIDs.
 */
static bool
BeginsWord(const char *c)
{
	if (!IsUpper(*c))
		return false;
	if (!IsUpper(c[-1]))
		return true;
	return IsLower(c[1]) && !(c[1] == 's' && !IsLower(c[2]));
}

/*
 * The words of a name, in lower case.
 */
List *
NameWords(const char *name)
{
	List	   *words = NIL;
	const char *start = NULL;

	for (const char *c = name;; c++)
	{
		if (start && (!IsLetter(*c) || BeginsWord(c)))
		{
			char	   *word = pnstrdup(start, c - start);

			for (char *w = word; *w; w++)
				*w = pg_ascii_tolower((unsigned char) *w);
			words = lappend(words, word);
			start = NULL;
		}
		if (*c == '\0')
			return words;
		if (start == NULL && IsLetter(*c))
			start = c;
	}
}

/*
 * Whether a name says nothing but that it is a key.
 */
bool
IsIdentifier(List *words)
{
	ListCell   *lc;

	foreach(lc, words)
		if (!IsAmong(lfirst(lc), identifiers))
		return false;
	return words != NIL;
}

/*
 * A name without what says that it is a key, at either end.
 */
List *
WithoutIdentifiers(List *words)
{
	List	   *rest = list_copy(words);

	while (rest != NIL && IsAmong(llast(rest), identifiers))
		rest = list_truncate(rest, list_length(rest) - 1);
	while (rest != NIL && IsAmong(linitial(rest), identifiers))
		rest = list_delete_first(rest);
	if (list_length(rest) < list_length(words) || rest == NIL)
		return rest;
	for (const char *const *ending = endings; *ending; ending++)
		if (EndsWith(llast(rest), *ending) && strlen(llast(rest)) > strlen(*ending) + 1)
		{
			llast(rest) = pnstrdup(llast(rest), strlen(llast(rest)) - strlen(*ending));
			break;
		}
	return rest;
}

/*
 * The words from one on, joined.
 */
static char *
Joined(List *words, int from)
{
	StringInfoData joined;

	initStringInfo(&joined);
	for (int i = from; i < list_length(words); i++)
		appendStringInfoString(&joined, list_nth(words, i));
	return joined.data;
}

/*
 * Whether two names are the same, wherever they are taken apart.
 */
bool
IsSameName(List *a, List *b)
{
	return a != NIL && b != NIL && IsSameWord(Joined(a, 0), Joined(b, 0));
}

/*
 * Whether a name is one of what says which table something is about.
 */
bool
IsTypeName(List *words)
{
	return words != NIL && (IsAmong(llast(words), types) ||
							(list_length(words) > 1 && EndsWith(Joined(words, list_length(words) - 2), "tablename")));
}

/*
 * Whether a name says that something is a fact, but not of which table.
 */
bool
IsAnyFact(List *words)
{
	return list_length(words) == 1 && IsAmong(linitial(words), any_fact);
}

/*
 * How many words at the end of a name are the table's whole name, or 0.
 */
static int
WordsOfTable(List *words, List *table)
{
	char	   *name = Joined(table, 0);

	for (int count = Min(list_length(words), MOST_JOINED); count > 0; count--)
		if (IsSameWord(Joined(words, list_length(words) - count), name))
			return count;
	return 0;
}

/*
 * Whether the last words of a name are also those of a table's.
 */
static bool
HasCommonEnd(List *words, List *table)
{
	return table != NIL && IsSameWord(llast(words), llast(table)) &&
		strlen(llast(table)) > 1;
}

/*
 * The name up to a preposition, or to what says that there are several.
 */
static List *
WithoutCollection(List *words)
{
	for (int i = 1; i < list_length(words); i++)
		if (IsAmong(list_nth(words, i), prepositions))
			return list_truncate(list_copy(words), i);
	if (list_length(words) > 1 && IsAmong(llast(words), collections))
		return list_truncate(list_copy(words), list_length(words) - 1);
	return words;
}

/*
 * Whether one of the first words of a name says that it counts something.
 */
static bool
BeginsAsQuantity(List *words, int count)
{
	for (int i = 0; i < count; i++)
		if (IsQuantity(list_nth(words, i)))
			return true;
	return false;
}

/*
 * How well a name fits that of a table, apart from what says that it is a key.
 */
static int
FitsTable(List *words, bool identified, bool many, List *table)
{
	int			count = WordsOfTable(words, table);

	if (count == 0)
		return identified && HasCommonEnd(words, table) ? FITS_END : 0;
	if (!identified &&
		(IsQuantity(llast(words)) || (!many && LooksPlural(llast(words))) ||
		 BeginsAsQuantity(words, list_length(words) - count)))
		return 0;
	/* The fewer other words, the better */
	return FITS_TABLE - Min(list_length(words) - count, 9);
}

/*
 * How well a name fits that of a key, which may be a word of its own.
 */
static int
FitsKey(List *words, List *key)
{
	List	   *telling = WithoutIdentifiers(key);

	if (telling == NIL || WordsOfTable(words, key) == 0)
		return 0;
	if (list_length(telling) == 1 && (IsQuantity(linitial(telling)) || strcmp(linitial(telling), "name") == 0))
		return 0;
	return FITS_KEY;
}

/*
 * How well a name, in words, points to the key of a table, 0 for not at all.  With
 * many, it is that of several values.  *by_key becomes whether it is called after the key
 * rather than the table.
 */
int
Resemblance(List *words, bool many, FactTable *target, Column *key, FactTable *own, bool *by_key)
{
	List	   *rest = WithoutIdentifiers(words);
	bool		identified = list_length(rest) < list_length(words);
	List	   *table = NameWords(target->name);
	int			fits;

	*by_key = false;
	if (rest == NIL)
		return 0;
	if (list_length(rest) == 1 && strcmp(linitial(rest), "parent") == 0)
		return target == own ? FITS_TABLE : 0;
	fits = FitsTable(words, identified, many, table);
	fits = Max(fits, FitsTable(rest, identified || strcmp(llast(rest), llast(words)) != 0, many, table));
	if (many)
		fits = Max(fits, FitsTable(WithoutCollection(words), identified, many, table));
	*by_key = fits < FITS_KEY && FitsKey(words, NameWords(key->name)) > 0;
	return *by_key ? FITS_KEY : fits;
}

/*
 * Whether a value is the name of a table, as applications have it: chart, Charts,
 * App\Models\Chart, app.chart.
 */
bool
NamesTable(const char *value, FactTable *table)
{
	const char *name = value;
	List	   *words;
	List	   *of_table = NameWords(table->name);

	for (const char *c = value; *c; c++)
		if (strchr("\\/.:", *c) && c[1] != '\0')
			name = c + 1;
	words = NameWords(name);
	return words != NIL && of_table != NIL &&
		(IsSameName(words, of_table) ||
		 (WordsOfTable(of_table, words) > 0));
}
