/*-------------------------------------------------------------------------
 *
 * factmerge.h
 *	  what the stages of a merge share
 *
 * A Merge is what passes from stage to stage: the two schemas as they were
 * found, and the counts that end up in the report.  The stages themselves,
 * one source file each, are declared at the end in the order in which
 * merge.c calls them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTMERGE_H
#define FACTMERGE_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "query.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* Settings, see factmerge.c */
extern int	friend_hops;
extern int	rebuild_indexes;
extern bool replay_inexact;
extern int	on_conflict;
extern int	unsound_handler;
extern int	replay_side;
extern int	check_skipped;
extern int	check_skipped_seed;

typedef enum RebuildIndexes
{
	REBUILD_AUTO,
	REBUILD_ALWAYS,
	REBUILD_NEVER
} RebuildIndexes;

typedef enum OnConflict
{
	CONFLICT_KEEP,
	CONFLICT_ERROR
} OnConflict;

typedef enum UnsoundHandler
{
	UNSOUND_WARN,
	UNSOUND_ERROR,
	UNSOUND_IGNORE
} UnsoundHandler;

typedef enum ReplaySide
{
	REPLAY_SOURCE,
	REPLAY_DESTINATION,
	REPLAY_AUTO
} ReplaySide;

/* The names of the two columns that factmerge adds to a fact table */
#define PROVENANCE_COLUMN	"factmerge_provenance"
#define MERGE_COLUMN		"factmerge_merge"

/* SQL for a row as jsonb, without them */
#define FACT_AS_JSON(row) \
	"pg_catalog.to_jsonb(" row ") - '" PROVENANCE_COLUMN "' - '" MERGE_COLUMN "'"

/* How a value of the source becomes one of the destination */
typedef enum ColumnConversion
{
	CONVERT_NOT,				/* same type */
	CONVERT_CAST,				/* an implicit cast widens it */
	CONVERT_TEXT				/* types of the same name, one in each schema */
} ColumnConversion;

/*
 * A live column that both schemas have.  Where two tables stand side by side,
 * types are those of the destination.
 */
typedef struct Column
{
	char	   *name;
	AttrNumber	number;			/* in the destination */
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		recollated;		/* the source has another collation */
	char	   *misfit;			/* both types in words, if the source's does not
								 * fit; or NULL */
	Oid			source_type;	/* of the source's values where they are looked
								 * up: the destination's, unless a misfit */
	Oid			source_collation;
	bool		nullable;		/* in either schema */
	bool		generated;
	bool		computed;		/* ... from what is translated, see computed.c */
	char	   *new_value;		/* SQL for a new key, if the database generates
								 * the values of this column */
	bool		random;			/* ... as random uuids */
	Oid			sequence;		/* ... from a sequence */
	bool		surrogate;		/* generated, and part of the primary key */
	bool		public_number;	/* generated, and part of another unique key, see
								 * publicnumber.c */
	Oid			source_sequence;	/* that the source draws a public number from */
	bool		system;			/* tableoid or ctid, see address */
	bool		remapped;		/* a reference to it may need another value */
	ColumnConversion conversion;
	struct Reference *reference;	/* the one that says what a remapped
									 * column's value becomes */
	int			reference_column;	/* ... by this column of it */
	struct EventLog *log;		/* it says what a row of it is about, see
								 * eventlog.h */
	int			map_number;		/* which column of the key map, or 0 */
	int64		least_drawn;	/* from here to there are keys of facts only that */
	int64		greatest_drawn; /* the source alone has; 0, 0 if not known */
	bool		drafted;		/* the draft holds its value for a new fact */
	bool		rekeyable;		/* a copied fact may get another value, see
								 * rekeyed.c */
} Column;

/* A unique index */
typedef struct UniqueKey
{
	char	   *name;
	char	   *text;			/* in words, unless it is on columns alone */
	bool		primary;
	bool		immediate;		/* not deferrable */
	bool		nulls_not_distinct;
	bool		in_source;		/* the source enforces it, too */
	List	   *columns;		/* of Column: what it is on, but for expressions */
	List	   *operators;		/* Oids: the equality of the index */
	List	   *collations;		/* Oids */
	List	   *expressions;	/* see expressionkey.c */
	Node	   *predicate;		/* on the facts that it is of, or NULL */
	List	   *inputs;			/* of Column: all that it looks at */
} UniqueKey;

/* A foreign key of either schema, or of both; or what an event log refers to */
typedef struct Reference
{
	char	   *name;
	struct FactTable *table;	/* the fact table that refers */
	struct FactTable *target;	/* the one referred to, NULL outside the schema */
	Oid			target_relation;	/* in the destination */
	int			number;			/* among those of its table, from 1 */
	List	   *columns;		/* of Column */
	List	   *target_columns; /* of Column, NIL outside the schema */
	List	   *target_names;	/* of char * */
	List	   *operators;		/* Oids: target = referring */
	bool		in_source;
	bool		in_destination;
	bool		full;			/* MATCH FULL in the destination */
	bool		full_in_source;
	bool		proven;			/* the source guarantees that it leads somewhere */
	bool		closed;			/* what a side refers to is on that side */
	bool		remapped;		/* its values change on the way */
	struct EventLog *log;		/* only some of whose rows refer to the target */
} Reference;

/* What is counted for each fact table */
typedef struct Counts
{
	int64		source_facts;
	int64		in_both;
	int64		copied;
	int64		conflicts;
	int64		events;
	int64		skipped_categorically;
	int64		skipped_in_both;
	int64		skipped_friends_in_both;
	int64		skipped_one_sided;
	int64		unhandled;
	int64		replayed;
	int64		derived;
} Counts;

typedef enum Stage
{
	STAGE_MATCH,
	STAGE_DUMP,
	STAGE_MARK,
	STAGE_FRIENDS,
	STAGE_REPLAY
} Stage;

#define STAGES (STAGE_REPLAY + 1)

/* A table that is present under the same name in both schemas */
typedef struct FactTable
{
	char	   *name;
	Oid			source;			/* invalid if only one schema is looked at */
	Oid			destination;
	Oid			owner;			/* of the destination */
	bool		partitioned;	/* the destination */
	int			position;		/* in walk order, from 1 */
	int			component;		/* tables that refer to each other in a circle
								 * share it */
	List	   *columns;		/* of Column */
	List	   *misfits;		/* what does not fit, see misfit.c */
	List	   *other_sequences;	/* Oids: of columns only the destination has */
	List	   *keys;			/* of UniqueKey: on columns alone, of all facts */
	List	   *other_keys;		/* of UniqueKey: on expressions, or of some facts */
	List	   *deferred_keys;	/* Oids of constraints checked late */
	List	   *references;		/* of Reference, from this table */
	List	   *referrers;		/* of Reference, to this table */
	struct EventLog *log;		/* it is one, see eventlog.h */
	List	   *sameness;		/* of UniqueKey; NIL: the whole row */
	struct SameRule *rule;		/* if declared, it takes the place of sameness */
	bool		keyed;			/* address is a key, not tableoid and ctid */
	List	   *address;		/* of Column: what addresses one fact */
	List	   *map_columns;	/* of Column: address and what is referred to */
	char	   *map;			/* the key map, qualified and quoted */
	bool		merged_before;	/* ... and earlier merges have filled it */
	char	   *draft;			/* what to copy, see match.c; or NULL */
	char	   *numbers;		/* facts to copy that get other numbers, or NULL */
	char	   *rekeyed;		/* what has been written under another key, see
								 * rekeyed.c; or NULL */
	bool		settled;		/* the key map is complete */
	bool		supposed;		/* ... or what earlier merges know is taken for it */
	bool		untried_address;	/* nobody warrants that it is unique */
	bool		paired;			/* one fact of each side at most is the same */
	bool		folded;			/* some of its facts have been folded */
	bool		folds;			/* the key map leads from several facts to one */
	int64		inexact;		/* facts in both that are not quite the same */
	char	   *pairs;			/* counterparts by the rule, or NULL */
	bool		followed;		/* level by level, see level.c */
	char	   *free;			/* ... then, what is compared as a whole, or NULL */
	bool		tags_speak;		/* the tags alone say who has a fact */
	bool		has_tags;		/* the provenance columns existed before */
	bool		suspended;		/* its indexes are to be rebuilt */
	char	   *fresh;			/* the source's facts that are looked at, see
								 * fresh.c; or NULL: all of them, where they are */
	int64		fresh_facts;	/* how many */
	int64		known;			/* how many others the key map has */
	int64		met;			/* how many of the fresh ones it has, too */
	bool		repeated;		/* what is not fresh is known */
	int64		again;			/* facts that have been matched by the key map */
	char	   *next_transaction;	/* the first one after the last merge */
	bool		altered;		/* columns of the source, since then */
	int64		tagged;			/* how many of the destination's facts belong to
								 * a merge */
	bool		tagged_counted;	/* ... by now */
	int64		destination_facts;	/* before the merge */
	List	   *handlers;		/* of Handler, see handler.h */
	char	   *events;			/* table of mixed events, or NULL */
	Counts		counts;
	double		milliseconds[STAGES];
} FactTable;

typedef struct Merge
{
	int64		id;				/* 0 in a dry run */
	char	   *source;			/* schemas */
	char	   *destination;
	bool		dry_run;
	bool		preview;		/* a dry run that stops after matching */
	bool		no_wait;		/* refuse to if another merge is running */
	bool		careful;		/* notes each fact before it writes it */
	Snapshot	snapshot;		/* all statements run under it */
	List	   *tables;			/* of FactTable, in walk order */
	List	   *others;			/* of FactTable: only the destination has them */
	List	   *rules;			/* of Rule, see rule.h: of the destination */
	bool		from_destination;	/* its events are replayed, not the source's */
	List	   *event_tables;	/* of char *: temporary, to be dropped in the end */
	bool		derives_while_copying;	/* some trigger fires then */
	bool		reads_while_copying;	/* some check may read tables then */
	bool		refuses_changes;	/* a handler that changes facts is an error */
	List	   *findings;		/* about handlers, see finding.c */
	bool		holds_findings; /* they are told of later */
	struct Verification *verification;	/* NULL unless it is one, see verify.c */
	struct Batches *batches;	/* NULL unless it is done in some, see batch.c */
	struct Slice *slice;		/* the facts that this transaction takes */
	char	   *search_path;	/* the caller's */
	instr_time	start;
} Merge;

/* Which databases had a fact before the merge */
typedef enum Side
{
	SIDE_SOURCE,				/* only the source */
	SIDE_DESTINATION,			/* only the destination */
	SIDE_BOTH,
	SIDE_IN_SOURCE				/* the source, and perhaps the destination */
} Side;

/* schema.c */
extern Oid	FindSchema(const char *name);
extern List *FactRelations(Oid schema);
extern FactTable *DescribeTable(Oid source, Oid destination);
extern List *DescribeSchemas(Oid source, Oid destination, List **others);
extern List *DescribeSchema(Oid schema);
extern FactTable *FindTable(List *tables, Oid relation);
extern void NoticeViews(Oid source, Oid destination);

/* distributed.c */
extern void NoteDistributed(List **misfits, List *relations);
extern void RefuseDistributed(Oid relation);
extern void StayOnServer(void);

/* misfit.c */
extern void NoteMisfit(List **misfits, int sqlstate, char *message,
					   char *detail, char *hint);
extern void NoteAll(List **misfits, List *others);
extern void RefuseNoted(List *misfits, const char *summary);

/* inherit.c */
extern bool IsParent(Oid relation);
extern void NoteParent(List **misfits, Oid relation, Oid twin);
extern void RefuseInheritance(Oid relation);

/* column.c */
extern void NoteMisfits(List **misfits, List *tables);
extern bool HasTags(Relation relation);
extern bool IsProvenanceColumn(const char *name);
extern bool IsReferring(Relation relation, AttrNumber column);
extern Column *FindColumn(FactTable *table, const char *name);
extern List *ColumnNames(List *columns);
extern void DescribeColumns(FactTable *table, Relation source,
							Relation destination);

/* type.c */
extern bool TypeFits(Oid from, int32 from_typmod, Oid to, int32 to_typmod,
					 Oid source_schema, Oid destination_schema,
					 ColumnConversion *conversion, List **misfits);

/* key.c */
extern bool AddKeyColumn(FactTable *table, UniqueKey *key, Relation index, int i);
extern void DescribeKeys(FactTable *table, Relation source,
						 Relation destination);
extern void ChooseAddress(FactTable *table, Relation source);
extern void ChooseSameness(FactTable *table);
extern bool IsSameIn(FactTable *table, Column *column);
extern bool IsLeftToDatabase(FactTable *table, Column *column);
extern void AppendUnlessThere(StringInfo sql, FactTable *table, const char *row);
extern char *AddressText(FactTable *table, const char *alias);
extern char *MapAddressText(FactTable *table, const char *half);

/* expressionkey.c */
extern bool IsPlain(UniqueKey *key);
extern UniqueKey *DescribeExpressionKey(FactTable *table, Relation index, Relation source);
extern bool IdentifiesAll(UniqueKey *key);
extern List *ExpressionValues(FactTable *table, UniqueKey *key, const char *alias);
extern void AppendWritten(StringInfo sql, FactTable *table);
extern void AppendExpressionsEqual(StringInfo sql, FactTable *table, UniqueKey *key,
								   const char *left, const char *right);
extern void AppendExpressionsComplete(StringInfo sql, FactTable *table, UniqueKey *key,
									  const char *alias);
extern void AppendExpressionsIncomplete(StringInfo sql, FactTable *table, UniqueKey *key,
										const char *alias);

/* computed.c */
extern bool IsTranslated(Column *column);
extern bool NoteComputedColumns(List *tables);
extern void RefuseComputed(List *tables);

/* samerule.c */
extern struct SameRule *LoadRule(FactTable *table);
extern char *DescribeRule(FactTable *table);

/* columnrule.c */
extern List *NoReferences(FactTable *table);

/* suspect.c */
extern void WarnOfLookalikes(Merge *merge);

/* reference.c */
extern List *RelateTables(List *tables);
extern void RelateOthers(List *others, List *tables);
extern char *RefersTo(Reference *reference, const char *from, const char *to);

/* lock.c */
extern void CheckRights(Merge *merge);
extern void LockDestination(Merge *merge);
extern void RefuseToWait(Merge *merge);
extern void LockTables(Merge *merge);

/* translate.c */
extern void AppendSourceRow(StringInfo sql, Merge *merge, FactTable *table,
							bool rest);
extern void AppendSourceValue(StringInfo sql, Column *column);
extern char *SourceValue(Column *column);
extern void AppendTranslated(StringInfo sql, Column *column);
extern void AppendMatched(StringInfo sql, Column *column);
extern char *LookupValue(Reference *reference, int i);
extern void AppendLookedUp(StringInfo sql, Reference *reference, int i,
						   const char *prefix, const char *value);
extern void AppendLookup(StringInfo sql, Reference *reference, int i, const char *prefix);
extern void AppendReferenceJoin(StringInfo sql, Reference *reference);
extern void AppendMapJoin(StringInfo sql, FactTable *table, const char *map,
						  const char *side, const char *alias);
extern void AppendEquality(StringInfo sql, const char *left, Oid operator,
						   const char *right, Oid collation);
extern void AppendEqualValues(StringInfo sql, List *columns, List *operators,
							  List *collations, bool nulls_equal,
							  List *lefts, List *rights);
extern void AppendRowEquality(StringInfo sql, List *columns, List *operators,
							  List *collations, bool nulls_equal,
							  const char *alias);
extern void AppendSameOnSide(StringInfo sql, Column *column, bool source,
							 const char *left, const char *right);
extern void AppendSameAddress(StringInfo sql, FactTable *table, Side side,
							  const char *left, const char *right);
extern List *WholeRow(FactTable *table);
extern List *WithoutNumbers(List *columns);

/* keymap.c */
extern bool KnowsSourceTables(void);
extern bool IsTemporary(Oid relation);
extern char *EarlierMerges(Merge *merge, FactTable *table);
extern void ForgetDroppedTables(void);
extern bool IsTaggedByOthers(Merge *merge, FactTable *table);
extern void OpenKeyMap(Merge *merge, FactTable *table);
extern char *FindKeyMap(Merge *merge, FactTable *table, bool outdated);
extern char *LookedAt(FactTable *table);
extern void AppendSameAddresses(StringInfo sql, FactTable *table);
extern void SettleKeyMap(Merge *merge, FactTable *table);

/* changed.c */
extern bool HasOtherTypes(FactTable *table, const char *map);
extern void RefuseOtherTypes(FactTable *table, const char *map);
extern char *ChangedHint(Merge *merge, FactTable *table, int64 brought_by,
						 bool gone, bool replaced);
extern void RefuseChangedFacts(Merge *merge, FactTable *table);

/* fresh.c */
extern char *SourceFacts(FactTable *table);
extern bool HasNothingNew(FactTable *table);
extern bool FoundNothingNew(Merge *merge);
extern void ChooseFacts(Merge *merge, FactTable *table, bool alone);
extern void NoteHorizons(Merge *merge);
extern bool IsToldByKeys(Merge *merge, FactTable *table);
extern bool TellsTransactions(Oid relation);
extern char *WrittenBefore(const char *alias, const char *transaction);
extern void PutAside(Merge *merge, FactTable *table, const char *condition);

/* match.c */
extern bool IsMatchedAlone(Merge *merge, FactTable *table);
extern void MatchFacts(Merge *merge);

/* publicnumber.c */
extern List *PublicNumbers(FactTable *table);
extern void AssignNumbers(Merge *merge, FactTable *table);
extern char *NewNumbers(Merge *merge, FactTable *table);
extern char *GetsNewNumber(Merge *merge, FactTable *table);
extern void AppendNumbered(StringInfo sql, FactTable *table);
extern void AppendNumber(StringInfo sql, FactTable *table, Column *column,
						 const char *otherwise);
extern void NoticeNumber(Merge *merge, FactTable *table, Column *column, int64 count,
						 const char *example);
extern void NoticeNumbers(Merge *merge, FactTable *table);

/* sequence.c */
extern int64 SequencePosition(Oid sequence);
extern void LockSequence(Oid sequence);
extern void LockSequences(List *tables);
extern bool IsNumbered(Column *column);
extern void RefuseExhaustion(Merge *merge, FactTable *table, int64 at_most,
							 const char *count);
extern void RefuseSequenceBehind(Merge *merge, FactTable *table,
								 Column *column, int64 before);
extern void NoteKeysDrawn(Column *column, int64 before);
extern void AdvanceSequences(Merge *merge, FactTable *table);

/* fold.c */
extern bool MayFold(FactTable *table);
extern void FindFolds(Merge *merge, FactTable *table);
extern void FoldFacts(Merge *merge, List *component);

/* conflict.c */
extern bool MayDiffer(FactTable *table);
extern int64 CountConflicts(Merge *merge, FactTable *table);
extern void RecordConflicts(Merge *merge);
extern void RecordFoldedConflicts(Merge *merge);
extern char *ConflictingFacts(Merge *merge, FactTable *table);
extern void AppendDifference(StringInfo sql, Column *column,
							 const char *source, const char *destination);

/* provenance.c */
extern void MarkFacts(Merge *merge);
extern void AppendSideCondition(StringInfo sql, Merge *merge, FactTable *table,
								const char *alias, Side side);
extern void RefuseForeignColumns(FactTable *table);
extern Oid	ProvenanceType(void);
extern int	AddProvenanceColumns(List *tables);
extern void EnterMerge(MemoryContext context);
extern bool IsMerging(void);
extern void BeginDeriving(int64 merge_id);
extern void EndDeriving(void);
extern void LeaveMerge(void);

/* leave.c */
extern void RefuseRules(Oid schema);
extern void DropLeftTriggers(Oid schema);

/* condition.c */
#define MOST_CONDITION_ROWS 2

typedef struct ConditionRows
{
	const char *condition;
	int			count;			/* of rows that it is about */
	Relation	relations[MOST_CONDITION_ROWS];
	const char *names[MOST_CONDITION_ROWS];
	const char *declared_with;	/* for messages */
	const char *table;
	const char *volatile_detail;
} ConditionRows;

extern char *ResolveCondition(ConditionRows *rows, List **names);

/* declare.c */
extern void CheckTable(Oid relation);
extern bool HasRegistered(const char *table, const char *column);
extern uint64 Undeclare(const char *declaration, Oid relation);
extern void ForgetDeclarations(const char *condition);
extern List *IgnoredTables(void);

/* bulk.c */
extern bool ReadsWhileCopying(FactTable *table);
extern void BeginBulk(Merge *merge, FactTable *table, int64 tagged);
extern void ExtendBulk(Merge *merge, FactTable *table, const char *index);
extern void EndBulk(Merge *merge, FactTable *table);

/* code.c */
extern bool DependsOnPath(Relation index);
extern void AnalyzeTable(Merge *merge, FactTable *table, const char *columns);

/* dump.c */
extern char *CopiedFact(FactTable *table, const char *alias);
extern void DumpFacts(Merge *merge);

/* rekeyed.c */
extern void NoteRekeyable(List *tables);
extern bool MayBeRekeyed(FactTable *table);
extern bool RefersToRekeyed(FactTable *table);
extern void KeepRekeyed(Merge *merge, FactTable *table);
extern char *CollectWritten(FactTable *table, const char *insert);
extern void FollowWritten(Merge *merge, FactTable *table, const char *facts);
extern void FollowRekeyed(Merge *merge);

/* orphan.c */
extern List *OwnForeignKeys(Oid relation);
extern bool HasOtherForeignKeys(FactTable *table);
extern char *IsMeant(ForeignKeyCacheInfo *key, const char *target, const char *referring);
extern char *KeyText(ForeignKeyCacheInfo *key, Oid relation, AttrNumber *columns);
extern void ProveForeignKeys(Merge *merge, FactTable *table);

/* violation.c */
extern uint64 ExecuteNoting(Merge *merge, FactTable *table, const char *sql,
							SqlArgs *args);
extern void DoExplained(Merge *merge, void (*work) (Merge *merge),
						void (*explain) (Merge *merge));
extern void ExplainConversions(Merge *merge);

/* events.c */
extern void FindMixedEvents(Merge *merge);

/* replay.c */
extern void ReplayEvents(Merge *merge);
extern void DropTemporaryTables(Merge *merge);

/* skipped.c */
extern void CheckSkippedEvents(Merge *merge);

/* guard.c */
extern void InstallGuard(void);
extern void ActForOwners(List *tables);
extern void EndGuard(void);

/* verify.c */
extern void NumberEvent(Merge *merge, int64 number);

/* report.c */
extern void BeginHistory(Merge *merge);
extern void EndHistory(Merge *merge, Counts *totals);
extern void SumCounts(Merge *merge, Counts *totals);
extern Datum TotalsRow(FunctionCallInfo fcinfo, Merge *merge, Counts *totals);
extern void ReportActivity(Merge *merge, FactTable *table, const char *doing);
extern int64 MergeArgument(FunctionCallInfo fcinfo);
extern void StartClock(instr_time *start);
extern void StopClock(FactTable *table, Stage stage, instr_time *start);

/* merge.c */
extern char *LockSearchPath(void);
extern void FixSettings(void);
extern void OpenSchemas(Merge *merge);
extern void TakeFacts(Merge *merge);
extern void ReplayAndReport(Merge *merge, Counts *totals);
extern void DoMerge(Merge *merge, void (*work) (Merge *merge, void *arg),
					void *arg);
extern Merge *MergeSchemas(const char *source, const char *destination,
						   bool dry_run, bool wait, Counts *totals);

/* subtransaction.c */
extern ErrorData *TryInSubtransaction(void (*work) (void *arg), void *arg,
									  bool keep);
extern void DoAndTakeBack(void (*work) (Merge *merge, void *arg), Merge *merge,
						  void *arg);

/* referred.c */
extern void RefuseReferred(Merge *merge);

/* batch.c */
extern void RefuseUnfinished(Oid schema);
extern void NoteFinished(Merge *merge);
extern bool IsSliced(Merge *merge, FactTable *table);
extern int64 NoteNumbers(Merge *merge, FactTable *table, Column *column, int64 count);
extern void TakeSlice(Merge *merge, FactTable *table);

#endif							/* FACTMERGE_H */
