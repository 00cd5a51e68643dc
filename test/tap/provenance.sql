-- Provenance: the tags of facts, and where a fact came from over many merges
BEGIN;
SELECT plan(24);

-- Points, edges between them, and their transitive closure, kept by triggers
\ir include/network.sql

-- Facts of a schema with their tags, in words
CREATE FUNCTION tags(schema name) RETURNS TABLE (fact text, tag text, merge bigint) LANGUAGE plpgsql AS $show$
BEGIN
    RETURN QUERY EXECUTE format('
        SELECT ''point '' || name, factmerge_provenance::text, factmerge_merge FROM %1$I.point
        UNION ALL SELECT ''path '' || s.name || t.name, x.factmerge_provenance::text, x.factmerge_merge FROM %1$I.path x
            JOIN %1$I.point s ON s.id = x.source JOIN %1$I.point t ON t.id = x.target', schema);
END $show$;

-- The key of a point
CREATE FUNCTION point(schema name, name text) RETURNS integer LANGUAGE plpgsql AS $key$
DECLARE
    key integer;
BEGIN
    EXECUTE format('SELECT id FROM %I.point WHERE name = $1', schema) INTO STRICT key USING name;
    RETURN key;
END $key$;

CALL make_network('a');
CALL make_network('b');
CALL make_network('c');
CALL make_network('d');
CALL add('a', 'o>p p>q');
CALL add('b', 'x>y p>q q>r');
CALL add('c', 'q>r r>s');
CALL add('d', 'p>q z>p');
-- So that no key is the same by chance
SELECT setval('b.point_id_seq', 500) \g /dev/null
SELECT setval('c.point_id_seq', 900) \g /dev/null

--
-- One merge
--
CREATE TEMPORARY TABLE merges (letter text, id bigint);
INSERT INTO merges SELECT 'ab', merge_id FROM factmerge_merge('a', 'b');
CREATE FUNCTION merge_of(letter text) RETURNS bigint LANGUAGE sql AS 'SELECT id FROM merges m WHERE m.letter = $1';

SELECT bag_eq($$SELECT * FROM tags('b')$$,
    $$VALUES ('point x', 'destination', NULL), ('point y', 'destination', NULL), ('point r', 'destination', NULL),
             ('point p', 'both', merge_of('ab')), ('point q', 'both', merge_of('ab')), ('point o', 'source', merge_of('ab')),
             ('path xy', 'destination', NULL), ('path qr', 'destination', NULL), ('path pr', 'destination', NULL),
             ('path pq', 'both', merge_of('ab')),
             ('path op', 'source', merge_of('ab')), ('path oq', 'source', merge_of('ab')),
             ('path or', 'derived', merge_of('ab'))$$,
    'every fact is tagged by who had it');
SELECT hasnt_column('a', 'point', 'factmerge_provenance', 'the source is left alone');
SELECT enum_has_labels('factmerge_provenance', ARRAY['source', 'destination', 'both', 'derived'], 'there are four tags');

--
-- Origins after one merge
--
SELECT results_eq($$SELECT merge_id, source, provenance::text, source_key FROM factmerge_origin('b.point', point('b', 'o'))$$,
    $$SELECT merge_of('ab'), 'a'::name, 'source'::text, jsonb_build_object('id', point('a', 'o'))$$,
    'a copied fact came from the source, where it has another key');
SELECT isnt(point('a', 'o'), point('b', 'o'), '... which really is another');
SELECT results_eq($$SELECT merge_id, source, provenance::text, source_key FROM factmerge_origin('b.point', point('b', 'p'))$$,
    $$SELECT merge_of('ab'), 'a'::name, 'both'::text, jsonb_build_object('id', point('a', 'p'))$$,
    'a fact in both says so');
SELECT is_empty($$SELECT * FROM factmerge_origin('b.point', point('b', 'x'))$$, 'the destination''s own has no other origin');
SELECT results_eq($$SELECT merge_id, source, provenance::text, source_key
                    FROM factmerge_origin('b.path', point('b', 'o'), point('b', 'r'))$$,
    $$SELECT merge_of('ab'), NULL::name, 'derived'::text, NULL::jsonb$$, 'a derived fact has a merge, but no source');
SELECT results_eq($$SELECT source, source_key FROM factmerge_origin('b.path', point('b', 'o'), point('b', 'q'))$$,
    $$SELECT 'a'::name, jsonb_build_object('source', point('a', 'o'), 'target', point('a', 'q'))$$,
    'a key of several columns is given and shown column by column');
SELECT throws_ok($$SELECT * FROM factmerge_origin('b.point', 123456)$$, 'P0002', NULL, 'there has to be such a fact');
SELECT throws_ok($$SELECT * FROM factmerge_origin('b.path', 1)$$, '22023', NULL, '... with a whole key');
SELECT throws_ok($$SELECT * FROM factmerge_origin('c.point', 1)$$, '55000', NULL,
    '... in a table that facts have been merged into');

--
-- A chain of merges: b into c
--
INSERT INTO merges SELECT 'bc', merge_id FROM factmerge_merge('b', 'c');
SELECT bag_eq($$SELECT fact, tag FROM tags('c') WHERE fact LIKE 'point%'$$,
    $$VALUES ('point q', 'both'), ('point r', 'both'), ('point s', 'destination'),
             ('point o', 'source'), ('point p', 'source'), ('point x', 'source'), ('point y', 'source')$$,
    'seen from c, all that b has come from b, wherever b has it from');
SELECT bag_eq($$SELECT fact FROM tags('c') WHERE tag = 'derived'$$, $$VALUES ('path ps'), ('path os')$$,
    'what b derived is a fact like any other; what is derived now is new');
SELECT results_eq($$SELECT DISTINCT merge FROM tags('c') WHERE merge IS NOT NULL$$, $$SELECT merge_of('bc')$$,
    'the tags of b are not carried over');
SELECT results_eq(
    $$WITH RECURSIVE way (schema, key, step) AS (
          SELECT 'c'::name, point('c', 'o'), 0
          UNION ALL
          SELECT o.source, (o.source_key ->> 'id')::integer, w.step + 1
          FROM way w, factmerge_origin((w.schema || '.point')::regclass, w.key) o
          WHERE w.schema <> 'a')
      SELECT schema, key FROM way ORDER BY step$$,
    $$VALUES ('c'::name, point('c', 'o')), ('b', point('b', 'o')), ('a', point('a', 'o'))$$,
    'origins lead from schema to schema, back to the first');

--
-- A second source into the same destination
--
CREATE TEMPORARY TABLE tags_before AS SELECT * FROM tags('b');
INSERT INTO merges SELECT 'db', merge_id FROM factmerge_merge('d', 'b');
SELECT is_empty($$SELECT * FROM tags_before WHERE merge IS NOT NULL EXCEPT SELECT * FROM tags('b')$$,
    'a tag that a merge has set, stays');
SELECT bag_eq($$SELECT * FROM tags('b') EXCEPT SELECT * FROM tags_before$$,
    $$VALUES ('point z', 'source', merge_of('db')), ('path zp', 'source', merge_of('db')), ('path zq', 'source', merge_of('db')),
             ('path zr', 'derived', merge_of('db'))$$,
    'new facts get the tags of the new merge');
SELECT results_eq($$SELECT source, provenance::text, source_key FROM factmerge_origin('b.point', point('b', 'p')) ORDER BY 1$$,
    $$VALUES ('a'::name, 'both'::text, jsonb_build_object('id', point('a', 'p'))),
             ('d', 'both', jsonb_build_object('id', point('d', 'p')))$$,
    'a fact that two sources have names both, with the key of each');
-- a, again, now has what d brought
CALL add('a', 'z>p');
INSERT INTO merges SELECT 'ab2', merge_id FROM factmerge_merge('a', 'b');
SELECT results_eq($$SELECT source, merge_id, provenance::text FROM factmerge_origin('b.point', point('b', 'z')) ORDER BY 1$$,
    $$VALUES ('a'::name, merge_of('ab2'), 'both'::text), ('d', merge_of('db'), 'source')$$,
    'each source is named with the merge that met the fact first');
SELECT results_eq($$SELECT merge_id FROM factmerge_origin('b.point', point('b', 'o'))$$, $$SELECT merge_of('ab')$$,
    '... and later merges do not hide it');

--
-- What is inserted by hand
--
CALL add('b', 'k>l');
SELECT bag_eq($$SELECT fact, tag, merge FROM tags('b') WHERE fact IN ('point k', 'path kl')$$,
    $$VALUES ('point k', 'destination', NULL::bigint), ('path kl', 'destination', NULL)$$,
    'later facts, and what triggers derive from them, are the destination''s own');
SELECT is_empty($$SELECT * FROM factmerge_origin('b.point', point('b', 'k'))$$, '... without another origin');
SELECT results_eq($$SELECT factmerge.current_provenance()::text, factmerge.current_merge()$$,
    $$VALUES ('destination', NULL::bigint)$$, 'no merge is going on');

SELECT * FROM finish();
ROLLBACK;
