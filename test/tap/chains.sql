-- Merging many schemas, one after the other
--
-- A schema that facts have been merged into can be a source, or a destination
-- again; whatever the order, the end is what one schema would hold that had
-- been told everything.
BEGIN;
SELECT plan(24);

-- Points, edges between them, and their transitive closure, kept by triggers
\ir include/network.sql

CREATE PROCEDURE make_sources(prefix text) LANGUAGE plpgsql AS $make$
BEGIN
    CALL make_network((prefix || 1)::name);
    CALL make_network((prefix || 2)::name);
    CALL make_network((prefix || 3)::name);
    CALL make_network((prefix || 4)::name);
    CALL add((prefix || 1)::name, 'p>q x>y');
    CALL add((prefix || 2)::name, 'r>s y>z');
    CALL add((prefix || 3)::name, 'q>r y>z');
    CALL add((prefix || 4)::name, 's>p z>p');
END $make$;

-- What one schema holds that has been told everything
CALL make_network('whole');
CALL add('whole', 'p>q x>y r>s y>z q>r s>p z>p');

--
-- A chain: each result is the source of the next merge
--
CALL make_sources('chain');
SELECT lives_ok($$SELECT factmerge_merge('chain1', 'chain2')$$, '1 into 2 ...');
SELECT lives_ok($$SELECT factmerge_merge('chain2', 'chain3')$$, '... into 3 ...');
SELECT lives_ok($$SELECT factmerge_merge('chain3', 'chain4')$$, '... into 4');
SELECT bag_eq($$SELECT facts('chain4')$$, $$SELECT facts('whole')$$, 'equals all in one');
SELECT is_empty($$SELECT * FROM factmerge_verify('chain4')$$, '... and is saturated');
SELECT is_empty($$SELECT FROM chain4.point WHERE factmerge_merge <>
                  (SELECT max(merge_id) FROM factmerge.merge) $$,
    'the tags of a source are not copied');

-- Back up the chain
SELECT results_eq($$SELECT derived FROM factmerge_merge('chain4', 'chain1')$$, 'VALUES (0::bigint)',
    'the whole into its first part: nothing is left to derive');
SELECT bag_eq($$SELECT facts('chain1')$$, $$SELECT facts('whole')$$, '... and it becomes the whole');
SELECT results_eq($$SELECT source_facts - in_both, copied FROM factmerge_merge('chain1', 'chain4')$$,
    'VALUES (0::bigint, 0::bigint)', '... so that the last has nothing to learn from it');

--
-- Everything into one, in two orders
--
CALL make_sources('up');
CALL make_network('up');
SELECT count(factmerge_merge(s, 'up')) FROM unnest(ARRAY['up1', 'up2', 'up3', 'up4']::name[]) s \g /dev/null
CALL make_sources('down');
CALL make_network('down');
SELECT count(factmerge_merge(s, 'down')) FROM unnest(ARRAY['down4', 'down3', 'down2', 'down1']::name[]) s \g /dev/null
SELECT bag_eq($$SELECT facts('up')$$, $$SELECT facts('whole')$$, 'four into an empty schema');
SELECT bag_eq($$SELECT facts('down')$$, $$SELECT facts('whole')$$, '... in any order');

--
-- A tree: pairs, then the pairs
--
CALL make_sources('tree');
SELECT factmerge_merge('tree1', 'tree2') \g /dev/null
SELECT factmerge_merge('tree3', 'tree4') \g /dev/null
SELECT lives_ok($$SELECT factmerge_merge('tree2', 'tree4')$$, 'two results into one another');
SELECT bag_eq($$SELECT facts('tree4')$$, $$SELECT facts('whole')$$, '... are the whole as well');

--
-- A diamond: the same facts by two ways
--
CALL make_sources('way');
SELECT factmerge_merge('way1', 'way2') \g /dev/null
SELECT factmerge_merge('way1', 'way3') \g /dev/null
SELECT factmerge_merge('way2', 'way4') \g /dev/null
SELECT ok((SELECT in_both >= (SELECT count(*) FROM facts('way1')) FROM factmerge_merge('way3', 'way4')),
    'what comes by two ways is recognized');
SELECT bag_eq($$SELECT facts('way4')$$, $$SELECT facts('whole')$$, '... and there once');

--
-- A source grows between merges, and so does the destination
--
CALL make_network('grow_a');
CALL make_network('grow_b');
CALL add('grow_a', 'p>q x>y');
CALL add('grow_b', 'r>s');
SELECT factmerge_merge('grow_a', 'grow_b') \g /dev/null
CALL add('grow_a', 'y>z');
CALL add('grow_b', 's>p');
SELECT results_eq($$SELECT copied, derived FROM factmerge_merge('grow_a', 'grow_b')$$,
    -- point z, edge y>z, paths y>z and x>z; nobody of b is near
    'VALUES (4::bigint, 0::bigint)', 'a second merge takes what the source has got since');
CALL add('grow_a', 'q>r');
SELECT results_eq($$SELECT copied, derived FROM factmerge_merge('grow_a', 'grow_b')$$,
    -- a: point r, edge q>r, paths q>r p>r, of which r is in b
    -- the circle p q r s: 16 paths, of which b has p>q r>s s>p r>p s>q r>q,
    -- and is given q>r and p>r
    'VALUES (3::bigint, 8::bigint)', 'a third one closes a circle through facts of earlier merges');
CALL make_network('grow');
CALL add('grow', 'p>q x>y r>s y>z s>p q>r');
SELECT bag_eq($$SELECT facts('grow_b')$$, $$SELECT facts('grow')$$, '... and the result is the whole');
SELECT is_empty($$SELECT * FROM factmerge_verify('grow_b')$$, '... and saturated');

-- A source that is dropped and made anew, with other keys
SET LOCAL client_min_messages = warning;
DROP SCHEMA grow_a CASCADE;
CALL make_network('grow_a');
CALL add('grow_a', 'z>x q>p');
CALL add('grow_a', 'p>q x>y');
SELECT throws_ok($$SELECT factmerge_merge('grow_a', 'grow_b')$$, '55000', NULL, 'a source of the same name, but with other keys, is refused');
SELECT results_eq($$SELECT factmerge_forget_source('grow_a')$$, 'VALUES (3)', '... until it is forgotten');
SELECT lives_ok($$SELECT factmerge_merge('grow_a', 'grow_b')$$, '... and can be merged then');
CALL add('grow', 'z>x q>p');
SELECT bag_eq($$SELECT facts('grow_b')$$, $$SELECT facts('grow')$$, '... is matched by its facts, not by its keys');
SELECT results_eq($$SELECT count(*) FROM factmerge.merge WHERE source = 'grow_a'$$, 'VALUES (4::bigint)',
    'the history knows every merge');

SELECT * FROM finish();
ROLLBACK;
