/*-------------------------------------------------------------------------
 *
 * expressionkey.c
 *	  unique indexes on expressions, and on a part of the rows
 *
 * A unique index on lower(mail), or one WHERE deleted_at IS NULL, says which facts are
 * the same as any other key does: two that it would not let stand side by side.  So a
 * fact of the source is compared as the destination would write it, with its references
 * translated: its columns are put together to a row of their own, written, over which
 * expressions and predicates are read as over a row of the table.
 *
 * A fact that the predicate leaves out is not identified by such a key, and neither is
 * one whose expression is null.  What the key looks at must mean the same on both sides:
 * where that is a generated key, or a column that only the destination has, the key is
 * left to the server to enforce.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "factmerge.h"
#include "sameness.h"

/* The row that the destination would write of fact s of the source */
#define WRITTEN "written"

/* What a key is on beside columns */
typedef struct KeyExpression
{
	Node	   *tree;
	Oid			type;
	Oid			operator;		/* the equality of the index */
	Oid			collation;
	bool		nullable;
} KeyExpression;

/*
 * Whether a key is on columns alone, and of every fact.
 */
bool
IsPlain(UniqueKey *key)
{
	return key->expressions == NIL && key->predicate == NULL;
}

/*
 * A tree of an index as it has been declared, with nothing inlined; or NULL.
 */
static Node *
IndexTree(Relation index, AttrNumber attribute)
{
	bool		isnull;
	Datum		tree = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, attribute, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(tree));
}

/*
 * SQL for a tree over a row of the table; without one the columns have bare names.
 */
static char *
TreeText(Oid relation, Node *tree, const char *row)
{
	return deparse_expression(tree, deparse_context_for(row ? row : get_rel_name(relation), relation),
							  row != NULL, false);
}

/*
 * Whether a tree over a row of the table is never null, for all that is known of a few
 * functions.
 */
static bool
IsNeverNullTree(FactTable *table, Node *tree)
{
	ListCell   *lc;
	List	   *arguments = NIL;

	switch (nodeTag(tree))
	{
		case T_Var:
			foreach(lc, table->columns)
				if (((Column *) lfirst(lc))->number == ((Var *) tree)->varattno)
				return !((Column *) lfirst(lc))->nullable;
			return false;
		case T_Const:
			return !((Const *) tree)->constisnull;
		case T_RelabelType:
			return IsNeverNullTree(table, (Node *) ((RelabelType *) tree)->arg);
		case T_CollateExpr:
			return IsNeverNullTree(table, (Node *) ((CollateExpr *) tree)->arg);
		case T_CoalesceExpr:
			foreach(lc, ((CoalesceExpr *) tree)->args)
				if (IsNeverNullTree(table, lfirst(lc)))
				return true;
			return false;
		case T_FuncExpr:
			switch (((FuncExpr *) tree)->funcid)
			{
				case F_LOWER_TEXT:
				case F_UPPER_TEXT:
				case F_BTRIM_TEXT:
				case F_MD5_TEXT:
					arguments = ((FuncExpr *) tree)->args;
			}
			foreach(lc, arguments)
				if (!IsNeverNullTree(table, lfirst(lc)))
				return false;
			return arguments != NIL;
		default:
			return false;
	}
}

/*
 * Add the columns that a tree looks at to those that a key does; false if there is one
 * that the source does not have.
 */
static bool
AddInputs(FactTable *table, UniqueKey *key, Node *tree)
{
	Bitmapset  *attributes = NULL;
	int			known = 0;
	ListCell   *lc;

	pull_varattnos(tree, 1, &attributes);
	foreach(lc, table->columns)
	{
		Column	   *column = lfirst(lc);

		if (!bms_is_member(column->number - FirstLowInvalidHeapAttributeNumber, attributes))
			continue;
		known++;
		key->inputs = list_append_unique_ptr(key->inputs, column);
	}
	return known == bms_num_members(attributes);
}

/*
 * Add the expression that column i of an index is.
 */
static bool
AddExpression(FactTable *table, UniqueKey *key, Relation index, int i, Node *tree)
{
	KeyExpression *expression = palloc(sizeof(KeyExpression));
	Oid			type = index->rd_opcintype[i];

	expression->tree = tree;
	expression->type = exprType(tree);
	expression->operator = UsableOperator(get_opfamily_member(index->rd_opfamily[i], type, type,
															  BTEqualStrategyNumber),
										  expression->type);
	expression->collation = index->rd_indcollation[i];
	expression->nullable = !IsNeverNullTree(table, tree);
	key->expressions = lappend(key->expressions, expression);
	return OidIsValid(expression->operator) && AddInputs(table, key, tree);
}

/*
 * What an index says, for comparison with that of the other side and for people:
 * "(a, lower(b))", and its predicate or NULL.
 */
static char *
IndexText(Relation index, char **predicate)
{
	Oid			relation = index->rd_index->indrelid;
	List	   *trees = (List *) IndexTree(index, Anum_pg_index_indexprs);
	Node	   *condition = IndexTree(index, Anum_pg_index_indpred);
	StringInfoData text;
	ListCell   *next = list_head(trees);

	initStringInfo(&text);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	number = index->rd_index->indkey.values[i];

		appendStringInfoString(&text, i > 0 ? ", " : "(");
		if (number != 0)
		{
			appendStringInfoString(&text, quote_identifier(get_attname(relation, number, false)));
			continue;
		}
		appendStringInfoString(&text, TreeText(relation, lfirst(next), NULL));
		next = lnext(trees, next);
	}
	appendStringInfoChar(&text, ')');
	*predicate = condition ? TreeText(relation, condition, NULL) : NULL;
	return text.data;
}

/*
 * Whether the source, too, enforces a key that is not plain.
 */
static bool
SourceHasIndex(Relation source, Relation index)
{
	char	   *predicate;
	char	   *text = IndexText(index, &predicate);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(source))
	{
		Relation	other = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = other->rd_index;

		if (form->indisunique && form->indisvalid && form->indimmediate && !form->indisexclusion)
		{
			char	   *other_predicate;

			found |= strcmp(IndexText(other, &other_predicate), text) == 0 &&
				(other_predicate == NULL || (predicate && strcmp(other_predicate, predicate) == 0));
		}
		index_close(other, AccessShareLock);
	}
	return found;
}

/*
 * Make a key of a unique index of the destination that is on expressions or on a part of
 * the rows; NULL if the source lacks a column that it looks at.
 */
UniqueKey *
DescribeExpressionKey(FactTable *table, Relation index, Relation source)
{
	Form_pg_index form = index->rd_index;
	UniqueKey  *key = palloc0(sizeof(UniqueKey));
	List	   *trees = (List *) IndexTree(index, Anum_pg_index_indexprs);
	ListCell   *next = list_head(trees);
	char	   *condition;

	if (!form->indisunique || !form->indisvalid || form->indisexclusion)
		return NULL;
	key->name = pstrdup(RelationGetRelationName(index));
	key->immediate = form->indimmediate;
	key->nulls_not_distinct = form->indnullsnotdistinct;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		if (form->indkey.values[i] != 0)
		{
			if (!AddKeyColumn(table, key, index, i))
				return NULL;
			continue;
		}
		if (!AddExpression(table, key, index, i, lfirst(next)))
			return NULL;
		next = lnext(trees, next);
	}
	key->predicate = IndexTree(index, Anum_pg_index_indpred);
	if (key->predicate && !AddInputs(table, key, key->predicate))
		return NULL;
	key->text = IndexText(index, &condition);
	if (condition)
		key->text = psprintf("%s where %s", key->text, condition);
	key->in_source = source == NULL || SourceHasIndex(source, index);
	return key;
}

/*
 * Whether every fact is identified by a key.
 */
bool
IdentifiesAll(UniqueKey *key)
{
	ListCell   *lc;

	if (key->predicate || key->nulls_not_distinct)
		return key->predicate == NULL;
	foreach(lc, key->columns)
		if (((Column *) lfirst(lc))->nullable)
		return false;
	foreach(lc, key->expressions)
		if (((KeyExpression *) lfirst(lc))->nullable)
		return false;
	return true;
}

/*
 * Append the row that the destination would write of fact s of the source, if a key that
 * says which facts are the same is read over it.
 */
void
AppendWritten(StringInfo sql, FactTable *table)
{
	List	   *inputs = NIL;
	ListCell   *lc;

	foreach(lc, table->sameness)
		if (!IsPlain(lfirst(lc)))
		inputs = list_concat_unique_ptr(inputs, ((UniqueKey *) lfirst(lc))->inputs);
	if (inputs == NIL)
		return;
	appendStringInfoString(sql, " CROSS JOIN LATERAL (SELECT ");
	foreach(lc, inputs)
	{
		appendStringInfoString(sql, foreach_current_index(lc) ? ", " : "");
		AppendMatched(sql, lfirst(lc));
		appendStringInfo(sql, " AS %s", quote_identifier(((Column *) lfirst(lc))->name));
	}
	appendStringInfoString(sql, ") AS " WRITTEN);
}

/* What a key is read over, for row s of the source or one of the destination */
static const char *
RowToRead(const char *alias)
{
	return strcmp(alias, "s") == 0 ? WRITTEN : alias;
}

/*
 * The values of a key's expressions for a row, as SQL.
 */
List *
ExpressionValues(FactTable *table, UniqueKey *key, const char *alias)
{
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, key->expressions)
		values = lappend(values, psprintf("(%s)", TreeText(table->destination, ((KeyExpression *) lfirst(lc))->tree,
														   RowToRead(alias))));
	return values;
}

/*
 * Append that a row is among those that a key is of.
 */
static void
AppendCovered(StringInfo sql, FactTable *table, UniqueKey *key, const char *alias)
{
	if (key->predicate)
		appendStringInfo(sql, " AND (%s)", TreeText(table->destination, key->predicate, RowToRead(alias)));
}

/*
 * Append that two rows, one of which may be s, are equal in a key: beyond its columns, in
 * its expressions, and in that it is of both of them.
 */
void
AppendExpressionsEqual(StringInfo sql, FactTable *table, UniqueKey *key, const char *left, const char *right)
{
	List	   *lefts = ExpressionValues(table, key, left);
	List	   *rights = ExpressionValues(table, key, right);
	ListCell   *lc;

	foreach(lc, key->expressions)
	{
		KeyExpression *expression = lfirst(lc);
		char	   *one = list_nth(lefts, foreach_current_index(lc));
		char	   *other = list_nth(rights, foreach_current_index(lc));

		appendStringInfoString(sql, " AND ");
		/* Only records can be hashed whose nulls are equal */
		if (key->nulls_not_distinct && HasHash(expression->type))
			appendStringInfo(sql, "ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.=) ROW(%s)::pg_catalog.record",
							 one, other);
		else
			AppendEquality(sql, one, expression->operator, other, expression->collation);
	}
	AppendCovered(sql, table, key, left);
	AppendCovered(sql, table, key, right);
}

/*
 * Append the condition on a row to be identified by a key, as far as that is not a matter
 * of its columns.
 */
void
AppendExpressionsComplete(StringInfo sql, FactTable *table, UniqueKey *key, const char *alias)
{
	ListCell   *lc;

	if (!key->nulls_not_distinct)
		foreach(lc, ExpressionValues(table, key, alias))
			appendStringInfo(sql, " AND %s IS NOT NULL", (char *) lfirst(lc));
	AppendCovered(sql, table, key, alias);
}

/*
 * Append whether a key does not identify a row, for all that is not a matter of its
 * columns.
 */
void
AppendExpressionsIncomplete(StringInfo sql, FactTable *table, UniqueKey *key, const char *alias)
{
	ListCell   *lc;

	if (!key->nulls_not_distinct)
		foreach(lc, ExpressionValues(table, key, alias))
			appendStringInfo(sql, " OR %s IS NULL", (char *) lfirst(lc));
	if (key->predicate)
		appendStringInfo(sql, " OR (%s) IS NOT TRUE", TreeText(table->destination, key->predicate, RowToRead(alias)));
}
