-- What can be a rule, and what cannot
BEGIN;
\ir include/rules.sql
CREATE TABLE queries (query text, state text, message text);

INSERT INTO queries VALUES
-- not monotone
('SELECT a, count(*)::integer FROM edge GROUP BY a', '0A000', 'an aggregate over facts'),
('SELECT max(a), 1 FROM edge', '0A000', 'an aggregate over facts'),
('SELECT r.first_of(a), 1 FROM edge', '0A000', 'an aggregate over facts'),
('SELECT a, a FROM edge GROUP BY a HAVING count(*) > 1', '0A000', 'an aggregate over facts'),
('SELECT a, (SELECT max(b) FROM edge f WHERE f.a = e.a) FROM edge e', '0A000', 'a subquery over facts as a value'),
('SELECT a, (SELECT max(n) FROM mark) FROM edge GROUP BY 1, 2', '0A000', 'a subquery over facts as a value'),
('SELECT a, CASE WHEN EXISTS (SELECT FROM mark) THEN 1 ELSE 2 END AS c FROM edge GROUP BY a, c', '0A000', 'within another expression'),
('SELECT a, b FROM edge GROUP BY a, b, cardinality(ARRAY(SELECT n FROM mark))', '0A000', 'a subquery over facts as a value'),
('SELECT a, b FROM counted', '0A000', 'an aggregate over facts'),
('SELECT a, b FROM edge GROUP BY GROUPING SETS ((a, b), (a))', '0A000', 'grouping sets over facts'),
('SELECT a, row_number() OVER (ORDER BY b)::integer FROM edge', '0A000', 'a window function over facts'),
('SELECT a, b FROM edge e WHERE NOT EXISTS (SELECT FROM mark WHERE n = e.a)', '0A000', 'NOT EXISTS or NOT IN over facts'),
('SELECT a, b FROM edge WHERE a NOT IN (SELECT n FROM mark)', '0A000', 'NOT EXISTS or NOT IN over facts'),
('SELECT a, b FROM edge WHERE NOT (a > 1 OR b IN (SELECT n FROM mark))', '0A000', 'NOT EXISTS or NOT IN over facts'),
('SELECT a, b FROM edge WHERE a > ALL (SELECT n FROM mark)', '0A000', 'ALL over facts'),
('SELECT a, b FROM edge WHERE (a IN (SELECT n FROM mark)) IS NULL', '0A000', 'within another expression'),
('SELECT a, CASE WHEN EXISTS (SELECT FROM mark) THEN 1 ELSE 2 END FROM edge', '0A000', 'within another expression'),
('SELECT a, cardinality(ARRAY(SELECT n FROM mark)) FROM edge', '0A000', 'a subquery over facts as a value'),
('SELECT a, b FROM edge EXCEPT SELECT a, c FROM path', '0A000', 'EXCEPT over facts'),
('SELECT a, b FROM edge EXCEPT ALL SELECT 1, 2', '0A000', 'EXCEPT ALL over facts'),
('SELECT a, b FROM edge EXCEPT (SELECT 1, 2 UNION SELECT n, n FROM mark)', '0A000', 'EXCEPT over facts'),
('SELECT i, length(t) FROM (SELECT a AS i, e::text AS t FROM edge e) x', '0A000', 'whole rows or system columns of facts'),
('SELECT 1, length(j::text) FROM (edge JOIN mark ON n = a) j', '0A000', 'whole rows or system columns of facts'),
('SELECT a, length(kind) FROM edge GROUP BY a, b', '0A000', 'columns of facts that GROUP BY leaves out'),
('SELECT a, b FROM edge LEFT JOIN mark ON n = a', '0A000', 'an outer join to facts'),
('SELECT a, b FROM mark RIGHT JOIN edge ON n = a', '0A000', 'an outer join to facts'),
('SELECT a, b FROM edge FULL JOIN elsewhere.label USING (kind)', '0A000', 'an outer join to facts'),
('SELECT weight, b FROM elsewhere.label LEFT JOIN (edge JOIN mark ON n = a) USING (kind)', '0A000', 'an outer join to facts'),
('SELECT a, b FROM edge LEFT JOIN elsewhere.label l ON EXISTS (SELECT FROM mark WHERE n = l.weight)', '0A000', 'within another expression'),
('SELECT a, b FROM edge ORDER BY a LIMIT 1', '0A000', 'LIMIT or OFFSET over facts'),
('SELECT a, b FROM edge OFFSET 1', '0A000', 'LIMIT or OFFSET over facts'),
('SELECT a, b FROM edge ORDER BY a FETCH FIRST ROW ONLY', '0A000', 'LIMIT or OFFSET over facts'),
('SELECT a, b FROM (SELECT * FROM mark LIMIT 1) m JOIN edge ON n = a', '0A000', 'LIMIT or OFFSET over facts'),
('SELECT DISTINCT ON (a) a, b FROM edge', '0A000', 'DISTINCT ON over facts'),
('WITH RECURSIVE w AS (SELECT a, b FROM edge UNION SELECT w.a, e.b FROM w JOIN edge e ON e.a = w.b) SELECT a, b FROM w', '0A000', 'WITH RECURSIVE over facts'),
('SELECT a, b FROM edge FOR UPDATE', '0A000', 'FOR UPDATE or FOR SHARE'),
('SELECT a, b FROM edge TABLESAMPLE SYSTEM (10)', '0A000', 'TABLESAMPLE'),
-- depends on more than the facts
('SELECT a, (random() * 5)::integer FROM edge', '0A000', 'a volatile function'),
('SELECT a, r.wild(b) FROM edge', '0A000', 'a volatile function'),
('SELECT a, b FROM edge WHERE r.wild(b) = 1', '0A000', 'a volatile function'),
('SELECT a, g FROM edge, generate_series(1, r.wild(2)) g', '0A000', 'a volatile function'),
('SELECT a, (ctid::text::point)[0]::integer FROM edge', '0A000', 'whole rows or system columns of facts'),
('SELECT a, hashtext(e::text) FROM edge e', '0A000', 'whole rows or system columns of facts'),
('SELECT a, b FROM edge WHERE tableoid > 0', '0A000', 'whole rows or system columns of facts'),
-- no rule at all
('SELECT weight, weight FROM elsewhere.label', '42P17', 'reads no fact table'),
('SELECT 1, 2', '42P17', 'reads no fact table'),
('VALUES (1, 2)', '42P17', 'reads no fact table'),
('SELECT a FROM edge', '42601', 'more target columns than expressions'),
('SELECT a, b, b FROM edge', '42601', 'more expressions than target columns'),
('SELECT a, kind FROM edge', '42804', 'is of type integer but expression is of type text'),
('SELECT a, x FROM edge', '42703', 'column "x" does not exist'),
('SELECT a, b FROM nowhere', '42P01', 'relation "nowhere" does not exist'),
('SELEKT a, b FROM edge', '42601', 'syntax error'),
('SELECT a, b FROM edge; SELECT 1, 2', '42601', 'a rule is one query'),
('', '42601', 'a rule is one query'),
('DELETE FROM edge RETURNING a, b', '42601', 'a rule is one query'),
('SELECT a, b INTO x FROM edge', '42601', 'a rule is one query');
INSERT INTO queries (query, state, message) VALUES
('WITH w AS (DELETE FROM edge RETURNING a, b) SELECT a, b FROM w', '0A000', '');

INSERT INTO accepted VALUES
('SELECT a, b FROM edge'),
('SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b'),
('SELECT e.a, g.b FROM edge e, edge f, edge g WHERE f.a = e.b AND g.a = f.b AND (e.kind = g.kind OR f.kind = ''x'')'),
('SELECT a, n FROM edge CROSS JOIN mark WHERE b = n OR a + 1 = n'),
('SELECT a, b FROM edge WHERE a IN (SELECT n FROM mark) OR EXISTS (SELECT FROM edge f WHERE f.a = edge.b)'),
('SELECT a, b FROM edge WHERE a = ANY (SELECT n + 1 FROM mark)'),
('SELECT a, b FROM edge UNION SELECT n, n FROM mark'),
('SELECT a, b FROM (SELECT a, b FROM edge UNION ALL SELECT b, a FROM edge) u JOIN mark ON n = a'),
('SELECT x.a, y.b FROM (SELECT a, b FROM edge UNION SELECT b, a FROM edge) x, (SELECT a, b FROM edge UNION SELECT n, 0 FROM mark) y WHERE x.b = y.a'),
('(SELECT a, b FROM edge UNION SELECT n, n FROM mark) INTERSECT SELECT b, a FROM edge'),
('WITH w AS (SELECT a, b FROM edge WHERE kind = ''x''), v AS (SELECT a AS p, b AS q FROM w) SELECT w.a, v.q FROM w JOIN v ON v.p = w.b'),
('WITH w (p, q) AS (SELECT a, b FROM edge) SELECT x.p, y.q FROM w x JOIN w y ON x.q = y.p WHERE EXISTS (SELECT FROM w z WHERE z.p = y.q)'),
('SELECT e.a, l.c FROM edge e, LATERAL (SELECT f.b + e.a AS c FROM edge f WHERE f.a = e.b) l'),
('SELECT a, g FROM edge, generate_series(b, b + 2) g'),
('SELECT a, unnest(ARRAY[b, b + 1]) FROM edge'),
('SELECT DISTINCT a, CASE kind WHEN ''x'' THEN b ELSE -b END FROM edge'),
('SELECT a, min(n) FROM (SELECT 1 AS n UNION SELECT 2) c, edge GROUP BY a, n HAVING false') ;
DELETE FROM accepted WHERE query LIKE '%HAVING false';
INSERT INTO accepted VALUES
('SELECT a, b FROM edge GROUP BY a, b'),
('SELECT e.a, f.b + 1 FROM edge e JOIN edge f ON f.a = e.b GROUP BY e.a, f.b + 1 HAVING f.b + 1 > 2'),
('SELECT x.c, b FROM (SELECT a + b AS c, kind FROM edge GROUP BY 1, 2) x JOIN (SELECT b, kind FROM edge GROUP BY kind, b) y USING (kind) GROUP BY c, b'),
('SELECT a, n FROM (SELECT a, b FROM edge GROUP BY a, b UNION SELECT n, n FROM mark GROUP BY n) u JOIN mark ON n = b GROUP BY a, n'),
('SELECT a, b FROM edge ORDER BY b, a'),
('SELECT a, (SELECT max(weight) FROM elsewhere.label) FROM edge'),
('SELECT a, weight FROM edge LEFT JOIN elsewhere.label USING (kind) WHERE weight IS NOT NULL'),
('SELECT a, b FROM edge WHERE kind NOT IN (SELECT kind FROM elsewhere.label WHERE weight > 1)'),
('SELECT a, b + v.n FROM edge, (VALUES (1), (2)) v (n)'),
('SELECT a, r.twice(b) FROM edge WHERE abs(a) > 0'),
('SELECT s.a, t.b FROM steps s JOIN steps t ON t.a = s.b'),
('SELECT e.a, f.b FROM edge e NATURAL JOIN (SELECT b, kind FROM edge) f WHERE a <> b'),
('SELECT e.a, y FROM edge AS e (a, y) JOIN edge AS f (y, z) USING (y)'),
('SELECT a, b::bigint FROM edge'),
('TABLE steps');

SELECT plan((SELECT count(*)::integer FROM queries) + 6 * (SELECT count(*)::integer FROM accepted) + 5);

CREATE FUNCTION refused(query text, state text, message text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    got text;
    said text;
BEGIN
    PERFORM factmerge_add_rule('tried', 'r.path(a, c)', query);
    RETURN NEXT ok(false, 'refused: ' || query);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS got = RETURNED_SQLSTATE, said = MESSAGE_TEXT;
    RETURN NEXT is(got || CASE WHEN strpos(said, message) > 0 THEN ' ' || message ELSE ' ' || said END, state || ' ' || message,
        'refused: ' || query);
END $$;
SELECT refused(query, state, message) FROM queries;
SELECT throws_like($$SELECT factmerge_add_rule('tried', 'r.path', 'SELECT a, b FROM r.edge')$$, '%table "path" has no column "b"%', 'the columns of a target that is a table alone are the query''s');
SELECT throws_like($$SELECT factmerge_add_rule('tried', 'r.path(a, c) SELECT 1; DROP TABLE r.edge; --', 'SELECT a, b FROM r.edge')$$, '%a target is a table%', '... and nothing else');
SELECT throws_ok($$SELECT factmerge_add_rule('tried', 'r.path(a, z)', 'SELECT a, b FROM r.edge')$$, '42703', NULL, '... that it has');
SELECT throws_ok($$SELECT factmerge_add_rule('tried', 'r.steps(a, b)', 'SELECT a, b FROM r.edge')$$, '42809', NULL, 'a view is no target');
SELECT is_empty($$SELECT * FROM factmerge_rules('r')$$, 'what is refused leaves no rule');

SELECT accepted(query, apart) FROM accepted;
SELECT * FROM finish();
ROLLBACK;
