--
-- Two halves of WordNet's nouns are merged.
--
-- Run with psql in a database into which the halves have been loaded (see
-- README.md), with the extension factmerge installed.
--
\set QUIET on
\set ON_ERROR_STOP on
\pset pager off
\pset footer off
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS factmerge;

\echo
\echo Two halves of a dictionary, a third of the hypernyms in both
\echo ============================================================
SELECT 'first' AS half,
       (SELECT count(*) FROM first.synset) AS synsets,
       (SELECT count(*) FROM first.hypernym) AS hypernyms,
       (SELECT count(*) FROM first.kind_of) AS kind_of
UNION ALL
SELECT 'second',
       (SELECT count(*) FROM second.synset),
       (SELECT count(*) FROM second.hypernym),
       (SELECT count(*) FROM second.kind_of);

\echo 'SELECT * FROM factmerge_merge(''second'', ''first'')'
\echo ================================================
\x on
SELECT * FROM factmerge_merge('second', 'first');
\x off

\echo factmerge_report(): the same by table
\echo =====================================
SELECT fact_table,
       source_facts,
       in_both,
       copied,
       events,
       skipped_categorically + skipped_in_both + skipped_friends_in_both + skipped_one_sided AS skipped,
       unhandled,
       replayed,
       derived,
       round((match_ms + dump_ms + mark_ms + friends_ms + replay_ms)::numeric) AS ms
FROM factmerge_report();

\echo What a cat is, and which half knew
\echo ==================================
SELECT kind.words AS "a cat is a kind of",
       CASE kind_of.factmerge_provenance
           WHEN 'source' THEN 'second'
           WHEN 'destination' THEN 'first'
           WHEN 'both' THEN 'both'
           ELSE 'neither'
       END AS "known to"
FROM first.kind_of
JOIN first.synset AS cat ON cat.synset_id = kind_of.narrower
JOIN first.synset AS kind ON kind.synset_id = kind_of.broader
WHERE cat.words = 'cat, true cat'
ORDER BY (SELECT count(*) FROM first.kind_of AS above WHERE above.narrower = kind_of.broader) DESC,
         kind.words;
