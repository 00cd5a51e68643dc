/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  functions that are named with their arguments, as regprocedure shows them
 *
 * The server's grammar takes the arguments: their modes, their names, and types
 * that are written in several words.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "parser/parser.h"

#include "handler.h"
#include "query.h"

/* What is being parsed, for the error context */
typedef struct Parsing
{
	const char *name;
	const char *text;
} Parsing;

static void
ParsingContext(void *arg)
{
	Parsing    *parsing = arg;

	PointInto(parsing->text);
	errcontext("name of handler \"%s\"", parsing->name);
}

/*
 * Whether the name of a function comes with its arguments: has a parenthesis that is not
 * quoted.
 */
bool
HasSignature(const char *name)
{
	bool		quoted = false;

	for (; *name; name++)
	{
		if (*name == '"')
			quoted = !quoted;
		else if (*name == '(' && !quoted)
			return true;
	}
	return false;
}

/*
 * The function in the raw parse tree of a COMMENT ON FUNCTION.
 */
static ObjectWithArgs *
CommentedFunction(List *trees)
{
	CommentStmt *comment = trees ? (CommentStmt *) ((RawStmt *) linitial(trees))->stmt : NULL;

	if (list_length(trees) != 1 || !IsA(comment, CommentStmt) || comment->comment != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a handler is named by a function, with its argument or without"),
				 errhint("Say it like handle(path).")));
	return castNode(ObjectWithArgs, comment->object);
}

/*
 * The name of a function without its arguments.  Takes the type of its only argument,
 * UNKNOWNOID if there is no such type or not one argument, or InvalidOid if the name
 * comes without.
 */
const char *
SplitSignature(const char *name, Oid *argument)
{
	char	   *text = psprintf("COMMENT ON FUNCTION %s IS NULL", name);
	Parsing		parsing = {name, text};
	ErrorContextCallback context = {error_context_stack, ParsingContext, &parsing};
	ObjectWithArgs *function;

	*argument = InvalidOid;
	if (!HasSignature(name))
		return name;
	error_context_stack = &context;
	function = CommentedFunction(raw_parser(text, RAW_PARSE_DEFAULT));
	if (list_length(function->objargs) == 1)
		*argument = LookupTypeNameOid(NULL, linitial_node(TypeName, function->objargs), true);
	error_context_stack = context.previous;
	if (!OidIsValid(*argument))
		*argument = UNKNOWNOID;
	return NameListToQuotedString(function->objname);
}
