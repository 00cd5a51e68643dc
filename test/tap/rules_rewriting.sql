-- Rules whose queries take some rewriting to tell which facts a row is made of
BEGIN;
\ir include/rules.sql

INSERT INTO accepted (query) VALUES
-- what reads no facts keeps its form
('SELECT a, c.n FROM edge, LATERAL (SELECT a AS n UNION SELECT b ORDER BY 1 LIMIT 1) c'),
('SELECT a, c.n FROM edge, (SELECT count(*)::integer AS n FROM (SELECT 1 UNION ALL SELECT 2) u) c'),
('SELECT a, coalesce(c.n, 0) FROM edge LEFT JOIN (SELECT 1 AS n UNION SELECT 2) c ON c.n = a'),
('SELECT a, u.n FROM edge JOIN (SELECT n FROM mark UNION (SELECT 1 UNION SELECT 2 ORDER BY 1 LIMIT 1)) u ON u.n >= a'),
('SELECT a, b FROM edge EXCEPT (SELECT 1, 2 UNION SELECT 2, 1)'),
('SELECT a, b FROM edge LIMIT ALL'),
-- names mean what they meant where they stood
('WITH c AS (SELECT 1 AS x), f AS (SELECT a, b FROM edge JOIN c ON x = a) SELECT s.a, s.b FROM (WITH c AS (SELECT 2 AS x) SELECT f.a, f.b + c.x AS b FROM f, c) s'),
('WITH c AS (SELECT 1 AS x), f AS (SELECT a, b FROM edge JOIN c ON x = a) SELECT a, n FROM mark, edge WHERE EXISTS (WITH c AS (SELECT 3 AS x) SELECT FROM f, c WHERE c.x = f.b OR c.x = n)'),
('SELECT j.c1, j.c4 FROM (edge JOIN mark ON n = b) j (c1, c2, c3, c4)'),
('SELECT j.p, j.q FROM (edge JOIN mark AS m (b) USING (b)) j (p, q, r)');
-- What a row takes facts of is not always the same
INSERT INTO accepted SELECT query, apart FROM (VALUES (false), (true)) AS v (apart), (VALUES
('SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b WHERE e.kind = f.kind OR EXISTS (SELECT FROM mark WHERE n = e.a)'),
('SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b AND (e.kind <> f.kind OR e.a IN (SELECT n FROM mark UNION SELECT 2))'),
('(SELECT n, 1 FROM mark UNION SELECT a, 1 FROM edge) INTERSECT SELECT b, 1 FROM edge'),
('WITH w AS (SELECT weight FROM elsewhere.label) SELECT a, b + weight FROM edge, w UNION SELECT n, n + weight FROM mark, w'),
('WITH factmerge_atom_1 AS (SELECT weight FROM elsewhere.label), factmerge_atom_3 AS (SELECT n FROM mark) SELECT e.a, f.b + weight FROM edge e, edge f, factmerge_atom_1 WHERE f.a = e.b AND (f.a = weight OR EXISTS (SELECT FROM factmerge_atom_3))'),
('SELECT a, (10 * u.x)::integer FROM edge JOIN (SELECT n / 2 FROM mark UNION ALL SELECT b / 2.0 FROM edge) u (x) ON x >= a')) AS w (query);

SELECT plan(6 * (SELECT count(*)::integer FROM accepted));
SELECT accepted(query, apart) FROM accepted;
SELECT * FROM finish();
ROLLBACK;
