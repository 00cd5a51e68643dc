/*-------------------------------------------------------------------------
 *
 * derive.c
 *	  the statements by which a rule derives facts and saves them
 *
 * For a rule path(a, c) from two edges, with the first edge a new one, it is
 *
 *	WITH factmerge_atom_1 AS NOT MATERIALIZED (SELECT t.a, t.b FROM factmerge_new AS t)
 *	SELECT DISTINCT q.a, q.c
 *	FROM (SELECT e.a, f.b FROM factmerge_atom_1 e JOIN edge f ON e.b = f.a) AS q (a, c)
 *	WHERE NOT EXISTS (SELECT FROM path AS d WHERE d.a = q.a AND d.c = q.c)
 *	ORDER BY q.a, q.c
 *
 * that derives, and
 *
 *	INSERT INTO path (a, c) SELECT r.a, r.c FROM factmerge_derived AS r
 *	ON CONFLICT DO NOTHING
 *
 * that saves what there is to save.  They are two, because triggers of the
 * target are to run as after any INSERT, not under the settings that keep the
 * first one from being misled; and if there is nothing to save, no trigger is
 * to be called at all.
 *
 * A fact is there already if a unique key says so, or, in a table without one,
 * if a row has the same values and, in the columns that the rule does not name,
 * the defaults.  Most duplicates are sorted out by the anti-join, since finding
 * them in the index one by one takes several times as long.
 *
 * Where much may follow, as in a merge, candidates are collected first,
 *
 *	SELECT DISTINCT q.a, q.c FROM (... UNION ALL ...) AS q (a, c)
 *
 * so that the planner knows how many there are before it chooses how to find
 * those that are not there yet.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_operator_d.h"
#include "optimizer/optimizer.h"
#include "parser/parse_oper.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "compat.h"
#include "rule.h"

/*
 * What a virtual generated column is computed by, as text; NULL for others.
 */
static char *
ComputedColumn(Relation relation, AttrNumber column, const char *alias)
{
	Node	   *expression = VirtualColumn(relation, column);
	int			nest_level = NewGUCNestLevel();
	char	   *text = NULL;

	if (expression)
	{
		LockSearchPath();
		FixSettings();
		text = deparse_expression(expression,
								  deparse_context_for(alias, RelationGetRelid(relation)),
								  true, false);
	}
	AtEOXact_GUC(true, nest_level);
	return text;
}

/*
 * "alias.column, ..." for all columns of a table, from rows of a relation (the table or
 * a partition, whose columns may be in another order), or from rows that have just
 * arrived in it, which lack those that are computed.
 */
char *
ColumnList(Oid table, Oid relation, const char *alias)
{
	Relation	rel = table_open(relation, AccessShareLock);
	Relation	ordered = table_open(table, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(ordered);
	StringInfoData list;
	bool		first = true;

	initStringInfo(&list);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		const char *name = quote_identifier(NameStr(attribute->attname));
		char	   *computed;

		if (attribute->attisdropped)
			continue;
		AppendSeparator(&list, ", ", &first);
		computed = ComputedColumn(rel, get_attnum(relation, NameStr(attribute->attname)), alias);
		if (computed)
			appendStringInfo(&list, "%s AS %s", computed, name);
		else
			appendStringInfo(&list, "%s.%s", alias, name);
	}
	table_close(ordered, NoLock);
	table_close(rel, NoLock);
	return list.data;
}

/*
 * The columns and keys of the table that a rule derives facts of, all that it takes
 * to save them: as they were when somebody first asked, for a merge suspends indexes.
 */
static FactTable *
DescribeTarget(Rule *rule)
{
	FactTable  *target;
	Relation	relation;

	if (rule->description)
		return rule->description;
	target = palloc0(sizeof(FactTable));
	relation = table_open(rule->target, AccessShareLock);
	target->name = pstrdup(RelationGetRelationName(relation));
	target->destination = rule->target;
	DescribeColumns(target, NULL, relation);
	DescribeKeys(target, NULL, relation);
	table_close(relation, NoLock);
	return rule->description = target;
}

/*
 * The columns that a rule names, or an error if one is gone.
 */
static List *
TargetColumns(Rule *rule)
{
	FactTable  *target = DescribeTarget(rule);
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, rule->columns)
	{
		Column	   *column = FindColumn(target, lfirst(lc));

		if (column == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("rule \"%s\" derives facts with column \"%s\"", rule->name,
							(char *) lfirst(lc)),
					 errdetail("Table %s has no such column.", QualifiedRelation(rule->target)),
					 errhint("Declare the rule anew with factmerge_add_rule().")));
		columns = lappend(columns, column);
	}
	return columns;
}

static bool
Names(List *names, Column *column)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), column->name) == 0)
		return true;
	return false;
}

/*
 * The key by which a fact that a rule derives is looked up, or NULL if the rule
 * names no key's columns.
 */
UniqueKey *
KeyLookedUp(Rule *rule)
{
	ListCell   *lc;
	ListCell   *c;

	foreach(lc, DescribeTarget(rule)->keys)
	{
		UniqueKey  *key = lfirst(lc);
		bool		named = true;

		foreach(c, key->columns)
			named &= Names(rule->columns, lfirst(c)) && OidIsValid(EqualityOperator(((Column *) lfirst(c))->type));
		if (named)
			return key;
	}
	return NULL;
}

/*
 * The value that a column has which a rule does not name: SQL, or NULL if that
 * is not always the same.
 */
static char *
ConstantDefault(Relation relation, Column *column)
{
	Node	   *expression = build_column_default(relation, column->number);

	if (expression == NULL)
		return "NULL";
	if (contain_mutable_functions(expression))
		return NULL;
	return deparse_expression(expression, NIL, false, false);
}

/* What a fact is compared by */
typedef struct Comparison
{
	StringInfoData equal;		/* ... if there is no null */
	StringInfoData equal_nulls; /* ... if there are nulls */
	StringInfoData nullable;	/* the derived values that may be null */
} Comparison;

static void
AppendAnd(StringInfo sql)
{
	if (sql->len > 0)
		appendStringInfoString(sql, " AND ");
}

/*
 * Compare one column of row d with a value.
 */
static void
Compare(Comparison *comparison, Column *column, const char *value)
{
	Oid			operator = EqualityOperator(column->type);
	const char *as_text = OidIsValid(operator) ? "" : "::pg_catalog.text";
	char	   *stored = psprintf("d.%s%s", quote_identifier(column->name), as_text);
	StringInfoData equal;

	initStringInfo(&equal);
	AppendEquality(&equal, stored, OidIsValid(operator) ? operator : TextEqualOperator,
				   psprintf("%s%s", value, as_text), column->collation);
	AppendAnd(&comparison->equal);
	AppendAnd(&comparison->equal_nulls);
	appendStringInfoString(&comparison->equal, equal.data);
	if (!column->nullable)
	{
		appendStringInfoString(&comparison->equal_nulls, equal.data);
		return;
	}
	appendStringInfo(&comparison->equal_nulls, "(%s OR %s IS NULL AND %s IS NULL)",
					 equal.data, stored, value);
	appendStringInfo(&comparison->nullable, "%s%s", comparison->nullable.len ? ", " : "", value);
}

/*
 * Compare all columns, whether the rule names them or not.
 */
static void
CompareWholeRow(Comparison *comparison, FactTable *target, List *names)
{
	Relation	relation = table_open(target->destination, AccessShareLock);
	ListCell   *lc;

	foreach(lc, WholeRow(target))
	{
		Column	   *column = lfirst(lc);
		char	   *name = psprintf("q.%s", quote_identifier(column->name));

		if (!Names(names, column))
		{
			char	   *value = column->new_value ? NULL : ConstantDefault(relation, column);

			if (value == NULL)
				continue;
			name = psprintf("(%s)::%s", value, TypeText(column->type, column->typmod));
		}
		Compare(comparison, column, name);
	}
	table_close(relation, NoLock);
}

static void
InitComparison(Comparison *comparison)
{
	initStringInfo(&comparison->equal);
	initStringInfo(&comparison->equal_nulls);
	initStringInfo(&comparison->nullable);
}

/*
 * Append that row q is not there yet.  Only where it holds a null does that take
 * a comparison which can neither be hashed nor looked up: of the whole row, for a null
 * in a key is like no other, unless the key says that it is.
 */
static void
AppendNotThere(StringInfo sql, Rule *rule)
{
	FactTable  *target = DescribeTarget(rule);
	char	   *relation = QualifiedRelation(target->destination);
	UniqueKey  *key = KeyLookedUp(rule);
	Comparison	usual;
	Comparison	with_nulls;
	ListCell   *lc;

	InitComparison(&usual);
	if (key)
		foreach(lc, key->columns)
			Compare(&usual, lfirst(lc),
					psprintf("q.%s", quote_identifier(((Column *) lfirst(lc))->name)));
	else
		CompareWholeRow(&usual, target, rule->columns);
	appendStringInfo(sql, " WHERE NOT EXISTS (SELECT FROM %s AS d WHERE %s)",
					 relation, usual.equal.len ? usual.equal.data : "true");
	if (usual.nullable.len == 0)
		return;
	with_nulls = usual;
	if (key && !key->nulls_not_distinct)
	{
		InitComparison(&with_nulls);
		CompareWholeRow(&with_nulls, target, rule->columns);
	}
	appendStringInfo(sql, " AND NOT (pg_catalog.num_nulls(%s) > 0"
					 " AND EXISTS (SELECT FROM %s AS d WHERE %s))",
					 usual.nullable.data, relation, with_nulls.equal_nulls.data);
}

/*
 * Whether values of a type can be put in order, and so told apart.
 */
static bool
HasOrder(Column *column)
{
	return OidIsValid(lookup_type_cache(column->type, TYPECACHE_LT_OPR)->lt_opr);
}

/*
 * Append "DISTINCT" for rows of q: by text where a type has no order.
 */
static void
AppendDistinct(StringInfo sql, List *columns)
{
	StringInfoData list;
	bool		comparable = true;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);

		appendStringInfo(&list, "%sq.%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(column->name), HasOrder(column) ? "" : "::pg_catalog.text");
		comparable &= HasOrder(column);
	}
	if (comparable)
		appendStringInfoString(sql, "DISTINCT ");
	else
		appendStringInfo(sql, "DISTINCT ON (%s) ", list.data);
}

/*
 * Append an order, so that generated keys do not depend on a plan, and indexes
 * are entered in one place after the other.
 */
static void
AppendOrder(StringInfo sql, List *columns)
{
	bool		first = true;
	ListCell   *lc;

	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);

		appendStringInfoString(sql, first ? " ORDER BY " : ", ");
		first = false;
		appendStringInfo(sql, "q.%s%s", quote_identifier(column->name),
						 HasOrder(column) ? "" : "::pg_catalog.text");
	}
}

/* "alias.column, ..." for the columns that a rule names */
char *
NameList(List *names, const char *alias)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names)
		appendStringInfo(&list, "%s%s%s", foreach_current_index(lc) ? ", " : "", alias,
						 quote_identifier(lfirst(lc)));
	return list.data;
}

/*
 * The rows of queries, to be told apart by the collations of the target's columns.
 */
static char *
InTargetCollations(Rule *rule, List *columns, const char *queries)
{
	StringInfoData sql;
	bool		collates = false;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, columns)
	{
		Column	   *column = lfirst(lc);
		const char *name = quote_identifier(column->name);

		appendStringInfo(&sql, "%sc.%s", foreach_current_index(lc) ? ", " : "SELECT ", name);
		if (!OidIsValid(column->collation))
			continue;
		appendStringInfo(&sql, " COLLATE %s AS %s", QualifiedCollation(column->collation), name);
		collates = true;
	}
	appendStringInfo(&sql, " FROM (%s) AS c (%s)", queries, NameList(rule->columns, ""));
	return collates ? sql.data : pstrdup(queries);
}

/*
 * Append what collects the rows of queries, each once.
 */
static void
AppendCandidates(StringInfo sql, Rule *rule, List *columns, const char *with,
				 const char *queries)
{
	appendStringInfo(sql, "%s SELECT ", with);
	AppendDistinct(sql, columns);
	appendStringInfo(sql, "%s FROM (%s) AS q (%s)", NameList(rule->columns, "q."),
					 InTargetCollations(rule, columns, queries), NameList(rule->columns, ""));
}

/*
 * The statement that collects what queries return, each once, in order.
 */
char *
CandidateStatement(Rule *rule, const char *with, const char *queries)
{
	List	   *columns = TargetColumns(rule);
	StringInfoData sql;

	initStringInfo(&sql);
	AppendCandidates(&sql, rule, columns, with, queries);
	AppendOrder(&sql, columns);
	return sql.data;
}

/*
 * The statement that derives facts: what a query returns and is not there yet.
 * With no query, it is that of the candidates.
 */
char *
DeriveStatement(Rule *rule, const char *with, const char *query)
{
	List	   *columns = TargetColumns(rule);
	StringInfoData sql;

	initStringInfo(&sql);
	if (query)
		AppendCandidates(&sql, rule, columns, with, query);
	else
		appendStringInfo(&sql, "SELECT %s FROM " CANDIDATES_NAME " AS q",
						 NameList(rule->columns, "q."));
	AppendNotThere(&sql, rule);
	AppendOrder(&sql, columns);
	return sql.data;
}

/*
 * Whether values that are not equal may be so in a key: where they are cut or rounded
 * as they are saved, or the key has its own idea of what is equal.
 */
static bool
MayCoincide(UniqueKey *key)
{
	for (int i = 0; i < list_length(key->columns); i++)
	{
		Column	   *column = list_nth(key->columns, i);
		Oid			collation = list_nth_oid(key->collations, i);

		if (column->typmod >= 0 || collation != column->collation ||
			(OidIsValid(collation) && !get_collation_isdeterministic(collation)))
			return true;
	}
	return false;
}

/*
 * Whether some key could still refuse what a rule derives, although it is not there
 * yet by the key that it has been looked up by.
 */
bool
MayConflict(Rule *rule)
{
	FactTable  *target = DescribeTarget(rule);
	UniqueKey  *looked_up = KeyLookedUp(rule);
	Relation	relation = table_open(rule->target, AccessShareLock);
	int			unknown = -list_length(target->keys);
	ListCell   *lc;
	ListCell   *c;

	/* Unique indexes on expressions or parts of the table, exclusion constraints */
	foreach(lc, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		unknown += index->rd_index->indisunique || index->rd_index->indisexclusion;
		index_close(index, NoLock);
	}
	table_close(relation, NoLock);
	if (unknown != 0 || (looked_up && (list_length(looked_up->columns) < list_length(rule->columns) ||
									   MayCoincide(looked_up))))
		return true;
	foreach(lc, target->keys)
	{
		bool		generated = false;

		foreach(c, ((UniqueKey *) lfirst(lc))->columns)
			generated |= ((Column *) lfirst(c))->new_value != NULL && !Names(rule->columns, lfirst(c));
		if (lfirst(lc) != looked_up && !generated)
			return true;
	}
	return false;
}

/*
 * What the statement that saves facts does about those that are there already.
 * Deferrable keys cannot tell duplicates; where there is one, it is left to the
 * anti-join.  A merge, while which nobody else writes, asks the keys only if it has
 * to.  A generated key is not asked if it need not: a sequence that is behind is an
 * error.
 */
static char *
ConflictClause(Rule *rule, Merge *merge)
{
	UniqueKey  *looked_up = KeyLookedUp(rule);

	if (DescribeTarget(rule)->deferred_keys != NIL)
		return "";
	if (MayConflict(rule))
		return " ON CONFLICT DO NOTHING";
	if (looked_up == NULL || (merge && !HasTriggersOfOthers(rule->target)))
		return "";
	return psprintf(" ON CONFLICT (%s) DO NOTHING", NameList(ColumnNames(looked_up->columns), ""));
}

/*
 * The statement that saves what has been derived.  In a merge it says the tags itself,
 * which is quicker than to ask the columns' defaults.
 */
char *
SaveStatement(Rule *rule, Merge *merge)
{
	return psprintf("INSERT INTO %s (%s%s) SELECT %s%s FROM " DERIVED_NAME " AS r%s",
					QualifiedRelation(rule->target), NameList(rule->columns, ""),
					merge ? ", " PROVENANCE_COLUMN ", " MERGE_COLUMN : "",
					NameList(rule->columns, "r."),
					merge ? psprintf(", 'derived', " INT64_FORMAT, merge->id) : "",
					ConflictClause(rule, merge));
}
