-- Sameness that goes through a circle of references is found level by level: chains and
-- trees of many levels, first and again, against what they should come to.

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE SCHEMA level_src;
CREATE SCHEMA level_dst;

CREATE PROCEDURE make_levels(tables text) LANGUAGE plpgsql AS $$
BEGIN
    DROP SCHEMA level_src, level_dst CASCADE;
    CREATE SCHEMA level_src;
    CREATE SCHEMA level_dst;
    EXECUTE replace(tables, 'SCHEMA', 'level_src');
    EXECUTE replace(tables, 'SCHEMA', 'level_dst');
END $$;

\set merge 'SELECT source_facts AS facts, in_both, copied FROM factmerge_merge(''level_src'', ''level_dst'')'

-- Chains: each state refers to the one before, and nothing but that and its value tells it.
-- The first 150 of 10 chains are the same on both sides; of two chains there are two.
CALL make_levels($$
    CREATE TABLE SCHEMA.state (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, before bigint REFERENCES SCHEMA.state, value text)
$$);
CREATE FUNCTION chains(schema text, chains integer, length integer, same integer, twice integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR level IN 1 .. length LOOP
        EXECUTE format('INSERT INTO %I.state (before, value)
            SELECT CASE WHEN $1 > 1 THEN (SELECT max(id) FROM %1$I.state) - $2 + chain END, (chain %% $5) || '' '' || CASE WHEN $1 > $4 THEN $3 || $1 ELSE $1::text END
            FROM generate_series(1, $2) AS chain ORDER BY chain', schema) USING level, chains, schema, same, twice;
    END LOOP;
END $$;
SELECT chains('level_src', 10, 200, 150, 8);
SELECT chains('level_dst', 9, 180, 150, 8);
:merge;
-- What refers to what: the chains of either side from their roots on
CREATE FUNCTION paths(schema text) RETURNS TABLE (root text, last text, length bigint, number bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('WITH RECURSIVE path AS (
            SELECT id, value AS root, value, 1::bigint AS length FROM %1$I.state WHERE before IS NULL
            UNION ALL SELECT s.id, p.root, s.value, p.length + 1 FROM path p JOIN %1$I.state s ON s.before = p.id)
        SELECT root, value, length, count(*) FROM path p WHERE NOT EXISTS (SELECT FROM %1$I.state s WHERE s.before = p.id) GROUP BY 1, 2, 3', schema);
END $$;
SELECT * FROM paths('level_dst') ORDER BY 1, 2;
:merge;
-- One more at the end of each chain
INSERT INTO level_src.state (before, value) SELECT id, 'more' FROM level_src.state s WHERE NOT EXISTS (SELECT FROM level_src.state t WHERE t.before = s.id);
:merge;
:merge;
SELECT count(*), max(length) FROM paths('level_dst') WHERE last = 'more';
-- A fact that was merged has changed: it is the one that is named
BEGIN;
UPDATE level_src.state SET value = 'other' WHERE id = 42;
:merge;
ROLLBACK;

-- By a declared key there is one of each, the one with the lowest key
CALL make_levels($$
    CREATE TABLE SCHEMA.state (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, before bigint REFERENCES SCHEMA.state, value text)
$$);
SELECT chains('level_src', 10, 60, 40, 8);
SELECT chains('level_dst', 9, 50, 40, 8);
SELECT factmerge_set_sameness('level_dst.state', '{before,value}', nulls => 'same');
:merge;
SELECT * FROM paths('level_dst') WHERE root < '3' ORDER BY 1, 2;
:merge;

-- Trees whose roots and nodes are unique, whichever way nulls are equal
CREATE FUNCTION tree(schema text, depth integer, width integer, owner text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.node (parent, name) VALUES (NULL, ''root''), (NULL, %L)', schema, owner);
    FOR level IN 1 .. depth LOOP
        EXECUTE format('INSERT INTO %I.node (parent, name) SELECT n.id, format(''%%s.%%s'', $1, i)
            FROM %1$I.node n, generate_series(1, $2) i WHERE name = CASE WHEN $1 = 1 THEN ''root'' ELSE $1 - 1 || ''.1'' END', schema) USING level, width;
    END LOOP;
END $$;
CREATE FUNCTION nodes(schema text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('WITH RECURSIVE path AS (SELECT id, name AS path FROM %1$I.node WHERE parent IS NULL
        UNION ALL SELECT n.id, p.path || ''/'' || n.name FROM path p JOIN %1$I.node n ON n.parent = p.id) SELECT path FROM path', schema);
END $$;
CALL make_levels($$
    CREATE TABLE SCHEMA.node (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent integer REFERENCES SCHEMA.node, name text NOT NULL, UNIQUE NULLS NOT DISTINCT (parent, name))
$$);
SELECT tree('level_src', 60, 3, 'source'), tree('level_dst', 50, 4, 'destination');
CREATE TEMPORARY TABLE expected AS SELECT nodes('level_src') AS path UNION SELECT nodes('level_dst');
:merge;
SELECT (SELECT count(*) FROM expected), (SELECT count(*) FROM level_dst.node),
    (SELECT count(*) FROM (TABLE expected EXCEPT SELECT nodes('level_dst')) AS missing) AS missing;
:merge;
DROP TABLE expected;
CALL make_levels($$
    CREATE TABLE SCHEMA.node (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent integer REFERENCES SCHEMA.node, name text NOT NULL, UNIQUE (parent, name))
$$);
SELECT tree('level_src', 60, 3, 'source'), tree('level_dst', 50, 4, 'destination');
CREATE TEMPORARY TABLE expected AS SELECT nodes('level_src') AS path UNION SELECT nodes('level_dst');
:merge;
SELECT (SELECT count(*) FROM expected), (SELECT count(*) FROM level_dst.node),
    (SELECT count(*) FROM (TABLE expected EXCEPT SELECT nodes('level_dst')) AS missing) AS missing;
:merge;
DROP TABLE expected;

-- Two tables in one circle, with references of two columns and of other types
CALL make_levels($$
    CREATE TABLE SCHEMA.board (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, reply_to integer, title text);
    CREATE TABLE SCHEMA.post (board integer, number smallint, text text, UNIQUE (board, number), id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
    ALTER TABLE SCHEMA.board ADD FOREIGN KEY (reply_to) REFERENCES SCHEMA.post;
    ALTER TABLE SCHEMA.post ADD FOREIGN KEY (board) REFERENCES SCHEMA.board
$$);
CREATE FUNCTION boards(schema text, depth integer, same integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.board (title) VALUES (''first'')', schema);
    FOR level IN 1 .. depth LOOP
        EXECUTE format('INSERT INTO %I.post (board, number, text) SELECT max(id), i, ''post '' || i FROM %1$I.board, generate_series(1, 2) i GROUP BY i', schema);
        EXECUTE format('INSERT INTO %I.board (reply_to, title) SELECT max(id), CASE WHEN $1 > $2 THEN $3 ELSE ''board'' END FROM %1$I.post', schema)
            USING level, same, schema;
    END LOOP;
END $$;
SELECT boards('level_src', 100, 40), boards('level_dst', 60, 40);
:merge;
SELECT b.factmerge_provenance, count(*), min(b.title) FROM level_dst.board b GROUP BY 1 ORDER BY 1;
SELECT factmerge_provenance, count(*) FROM level_dst.post GROUP BY 1 ORDER BY 1;
:merge;
-- ... and in a preview, and a dry run
SELECT fact_table, outcome, facts FROM factmerge_preview('level_src', 'level_dst', 0);
SELECT in_both, copied FROM factmerge_merge('level_src', 'level_dst', dry_run => true);

-- Rings in the data cannot be told, and what hangs on them neither; once known, they are
CALL make_levels($$
    CREATE TABLE SCHEMA.state (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, before bigint REFERENCES SCHEMA.state, value text)
$$);
INSERT INTO level_src.state (before, value) VALUES (2, 'ring'), (3, 'ring'), (1, 'ring'), (1, 'tail'), (4, 'tail'), (NULL, 'free'), (6, 'free');
INSERT INTO level_dst.state (before, value) VALUES (2, 'ring'), (3, 'ring'), (1, 'ring'), (NULL, 'free');
SET client_min_messages = notice;
:merge;
:merge;
SET client_min_messages = warning;
SELECT s.id, s.before, b.value AS what_is_before, s.value, s.factmerge_provenance FROM level_dst.state s LEFT JOIN level_dst.state b ON b.id = s.before ORDER BY 1;

DROP SCHEMA level_src, level_dst CASCADE;
DROP PROCEDURE make_levels;
DROP FUNCTION chains, paths, tree, nodes, boards;
