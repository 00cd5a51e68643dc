-- Classic Datalog programs as rules: however the facts are split, two saturated halves merge into what one database
-- holds that was given everything.
-- One program a transaction, since each takes many locks.
\ir include/datalog.sql

-- Pairs of small numbers or letters, as facts of a table with two columns
CREATE FUNCTION pairs(tab text, one text, other text, amount integer, range integer) RETURNS TABLE (tab_ text, fact jsonb)
LANGUAGE sql VOLATILE AS $$
    SELECT tab, jsonb_build_object(one, 'n' || floor(random() * range)::integer, other, 'n' || floor(random() * range)::integer)
    FROM generate_series(1, amount)
$$;

INSERT INTO program (name, ddl, rules, facts) VALUES
('transitive closure, left-linear',
 'CREATE TABLE edge (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE path (a text, b text, PRIMARY KEY (a, b));',
 ARRAY['path(a, b)', 'SELECT a, b FROM edge',
       'path(a, b)', 'SELECT p.a, e.b FROM path p JOIN edge e ON e.a = p.b'],
 $$SELECT * FROM pairs('edge', 'a', 'b', 14, 9)$$),
('transitive closure, right-linear, in one rule',
 'CREATE TABLE edge (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE path (a text, b text, PRIMARY KEY (a, b));',
 ARRAY['path(a, b)', 'SELECT a, b FROM edge UNION SELECT e.a, p.b FROM edge e, path p WHERE e.b = p.a'],
 $$SELECT * FROM pairs('edge', 'a', 'b', 14, 9)$$),
('transitive closure, non-linear, of facts without keys',
 'CREATE TABLE edge (a text, b text); CREATE TABLE path (a text, b text);',
 ARRAY['path(a, b)', 'SELECT a, b FROM edge',
       'path(a, b)', 'SELECT p.a, q.b FROM path p JOIN path q ON p.b = q.a'],
 $$SELECT * FROM pairs('edge', 'a', 'b', 12, 8)$$),
('same generation',
 'CREATE TABLE parent (child text, parent text, PRIMARY KEY (child, parent)); CREATE TABLE sg (x text, y text, PRIMARY KEY (x, y));',
 ARRAY['sg(x, y)', 'SELECT p.child, q.child FROM parent p JOIN parent q ON p.parent = q.parent',
       'sg(x, y)', 'SELECT p.child, q.child FROM parent p, sg, parent q WHERE p.parent = sg.x AND q.parent = sg.y'],
 $$SELECT * FROM pairs('parent', 'child', 'parent', 13, 9)$$),
('ancestors, with names in a table of their own',
 'CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
  CREATE TABLE parent (id serial PRIMARY KEY, child integer NOT NULL REFERENCES person, parent integer NOT NULL REFERENCES person, UNIQUE (child, parent));
  CREATE TABLE ancestor (id serial PRIMARY KEY, who integer NOT NULL REFERENCES person, of integer NOT NULL REFERENCES person, UNIQUE (who, of));',
 ARRAY['ancestor(who, of)', 'SELECT parent, child FROM parent',
       'ancestor(who, of)', 'WITH step AS (SELECT parent AS up, child AS down FROM parent) SELECT s.up, a.of FROM ancestor a JOIN step s ON s.down = a.who'],
 $$SELECT * FROM pairs('parent', 'child', 'parent', 14, 10)$$),
('even and odd: two that need each other',
 'CREATE TABLE edge (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE odd (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE even (a text, b text, PRIMARY KEY (a, b));',
 ARRAY['odd(a, b)', 'SELECT a, b FROM edge',
       'even(a, b)', 'SELECT o.a, e.b FROM odd o JOIN edge e ON e.a = o.b',
       'odd(a, b)', 'SELECT v.a, e.b FROM even v JOIN edge e ON e.a = v.b'],
 $$SELECT * FROM pairs('edge', 'a', 'b', 11, 8)$$),
('triangles',
 'CREATE TABLE edge (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE triangle (a text, b text, c text, PRIMARY KEY (a, b, c));',
 ARRAY['triangle(a, b, c)', 'SELECT e.a, f.a, g.a FROM edge e JOIN edge f ON f.a = e.b JOIN edge g ON g.a = f.b AND g.b = e.a'],
 $$SELECT * FROM pairs('edge', 'a', 'b', 25, 7)$$),
('cycles of four',
 'CREATE TABLE edge (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE cycle (a text, b text, c text, d text, PRIMARY KEY (a, b, c, d));',
 ARRAY['cycle(a, b, c, d)', 'SELECT e.a, f.a, g.a, h.a FROM edge e, edge f, edge g, edge h WHERE f.a = e.b AND g.a = f.b AND h.a = g.b AND h.b = e.a'],
 $$SELECT * FROM pairs('edge', 'a', 'b', 18, 7)$$),
('Andersen''s points-to analysis',
 'CREATE TABLE address_of (p text, x text, PRIMARY KEY (p, x)); CREATE TABLE copy (p text, q text, PRIMARY KEY (p, q));
  CREATE TABLE load (p text, q text, PRIMARY KEY (p, q)); CREATE TABLE store (p text, q text, PRIMARY KEY (p, q));
  CREATE TABLE points_to (p text, x text, PRIMARY KEY (p, x));',
 ARRAY['points_to(p, x)', 'SELECT p, x FROM address_of',
       'points_to(p, x)', 'SELECT c.p, t.x FROM copy c JOIN points_to t ON t.p = c.q',
       'points_to(p, x)', 'SELECT l.p, u.x FROM load l JOIN points_to t ON t.p = l.q JOIN points_to u ON u.p = t.x',
       'points_to(p, x)', 'SELECT t.x, u.x FROM store s JOIN points_to t ON t.p = s.p JOIN points_to u ON u.p = s.q'],
 $$SELECT * FROM pairs('address_of', 'p', 'x', 6, 7) UNION ALL SELECT * FROM pairs('copy', 'p', 'q', 4, 7)
   UNION ALL SELECT * FROM pairs('load', 'p', 'q', 4, 7) UNION ALL SELECT * FROM pairs('store', 'p', 'q', 4, 7)$$),
('reachability through edges of some types',
 'CREATE TABLE edge (a text, b text, kind text, PRIMARY KEY (a, b, kind)); CREATE TABLE follows (kind text PRIMARY KEY);
  CREATE TABLE reach (a text, b text, PRIMARY KEY (a, b));',
 ARRAY['reach(a, b)', 'SELECT a, b FROM edge WHERE kind IN (SELECT kind FROM follows)',
       'reach(a, b)', 'SELECT r.a, e.b FROM reach r JOIN edge e ON e.a = r.b WHERE EXISTS (SELECT FROM follows f WHERE f.kind = e.kind) OR e.kind = ''n0'''],
 $$SELECT tab_, fact || jsonb_build_object('kind', 'n' || floor(random() * 3)) FROM pairs('edge', 'a', 'b', 16, 8)
   UNION ALL SELECT 'follows', jsonb_build_object('kind', 'n' || k) FROM generate_series(1, 2) k$$),
('folding a text: adjacent words make a square',
 'CREATE TABLE adjacent (one text, next text, PRIMARY KEY (one, next)); CREATE TABLE square (a text, b text, c text, d text, PRIMARY KEY (a, b, c, d));',
 ARRAY['square(a, b, c, d)', 'SELECT ab.one, ab.next, cd.one, cd.next FROM adjacent ab, adjacent cd, adjacent ac, adjacent bd
        WHERE ac.one = ab.one AND ac.next = cd.one AND bd.one = ab.next AND bd.next = cd.next AND ab.next <> cd.one'],
 $$SELECT * FROM pairs('adjacent', 'one', 'next', 22, 7)$$),
('connected components',
 'CREATE TABLE link (a text, b text, PRIMARY KEY (a, b)); CREATE TABLE connected (a text, b text, PRIMARY KEY (a, b));',
 ARRAY['connected(a, b)', 'SELECT a, b FROM link UNION ALL SELECT b, a FROM link',
       'connected(a, b)', 'SELECT DISTINCT x.a, y.b FROM connected x, LATERAL (SELECT c.b FROM connected c WHERE c.a = x.b) AS y'],
 $$SELECT * FROM pairs('link', 'a', 'b', 8, 9)$$),
('bill of materials, with depth up to five',
 'CREATE TABLE part (whole text, part text, PRIMARY KEY (whole, part)); CREATE TABLE holds (whole text, part text, depth integer, PRIMARY KEY (whole, part, depth));',
 ARRAY['holds(whole, part, depth)', 'SELECT whole, part, 1 FROM part',
       'holds(whole, part, depth)', 'SELECT h.whole, p.part, h.depth + 1 FROM holds h JOIN part p ON p.whole = h.part WHERE h.depth < 5'],
 $$SELECT * FROM pairs('part', 'whole', 'part', 12, 9)$$),
('roles that inherit permissions',
 'CREATE TABLE role (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
  CREATE TABLE inherits (senior integer REFERENCES role, junior integer REFERENCES role, PRIMARY KEY (senior, junior));
  CREATE TABLE grants (role integer REFERENCES role, permission text, PRIMARY KEY (role, permission));
  CREATE TABLE may (role integer REFERENCES role, permission text, PRIMARY KEY (role, permission));',
 ARRAY['may(role, permission)', 'SELECT role, permission FROM grants',
       'may(role, permission)', 'SELECT i.senior, m.permission FROM inherits i JOIN may m ON m.role = i.junior'],
 $$SELECT * FROM pairs('inherits', 'senior', 'junior', 9, 8) UNION ALL SELECT * FROM pairs('grants', 'role', 'permission', 5, 8)$$),
('balanced brackets in a graph',
 'CREATE TABLE edge (a text, b text, label text, PRIMARY KEY (a, b, label)); CREATE TABLE balanced (a text, b text, PRIMARY KEY (a, b));',
 ARRAY['balanced(a, b)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b WHERE e.label = ''('' AND f.label = '')''',
       'balanced(a, b)', 'SELECT e.a, f.b FROM edge e JOIN balanced s ON s.a = e.b JOIN edge f ON f.a = s.b WHERE (e.label, f.label) = (''('', '')'')',
       'balanced(a, b)', 'SELECT s.a, t.b FROM balanced s JOIN balanced t ON t.a = s.b'],
 $$SELECT tab_, fact || jsonb_build_object('label', CASE WHEN random() < 0.5 THEN '(' ELSE ')' END) FROM pairs('edge', 'a', 'b', 22, 8)$$),
('parsing by a grammar (CYK)',
 'CREATE TABLE word (at integer, w text, PRIMARY KEY (at, w)); CREATE TABLE lexicon (w text, symbol text, PRIMARY KEY (w, symbol));
  CREATE TABLE grammar (symbol text, one text, other text, PRIMARY KEY (symbol, one, other));
  CREATE TABLE span (symbol text, first integer, behind integer, PRIMARY KEY (symbol, first, behind));',
 ARRAY['span(symbol, first, behind)', 'SELECT l.symbol, w.at, w.at + 1 FROM word w JOIN lexicon l USING (w)',
       'span(symbol, first, behind)', 'SELECT g.symbol, x.first, y.behind FROM grammar g JOIN span x ON x.symbol = g.one JOIN span y ON y.symbol = g.other AND y.first = x.behind'],
 $$SELECT 'word', jsonb_build_object('at', n, 'w', 'w' || floor(random() * 3)) FROM generate_series(1, 6) n
   UNION ALL SELECT 'lexicon', jsonb_build_object('w', 'w' || floor(random() * 3), 'symbol', 's' || floor(random() * 3)) FROM generate_series(1, 5)
   UNION ALL SELECT 'grammar', jsonb_build_object('symbol', 's' || floor(random() * 3), 'one', 's' || floor(random() * 3), 'other', 's' || floor(random() * 3)) FROM generate_series(1, 6)$$);

-- Those with keys of their own are entered and shown by names
UPDATE program SET
    loads = jsonb_build_object('parent', $$
        WITH given AS (SELECT f ->> 'child' AS child, f ->> 'parent' AS parent FROM jsonb_array_elements($1) f),
        named AS (INSERT INTO person (name) SELECT child FROM given UNION SELECT parent FROM given ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING *)
        INSERT INTO parent (child, parent) SELECT c.id, p.id FROM given JOIN named c ON c.name = child JOIN named p ON p.name = parent$$),
    shows = jsonb_build_object(
        'person', 'SELECT name FROM person',
        'parent', 'SELECT c.name, p.name FROM parent x JOIN person c ON c.id = child JOIN person p ON p.id = x.parent',
        'ancestor', 'SELECT c.name, p.name FROM ancestor x JOIN person c ON c.id = who JOIN person p ON p.id = of')
WHERE name LIKE 'ancestors%';
UPDATE program SET
    loads = jsonb_build_object('inherits', $$
        WITH given AS (SELECT f ->> 'senior' AS one, f ->> 'junior' AS other FROM jsonb_array_elements($1) f),
        named AS (INSERT INTO role (name) SELECT one FROM given UNION SELECT other FROM given ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING *)
        INSERT INTO inherits SELECT c.id, p.id FROM given JOIN named c ON c.name = one JOIN named p ON p.name = other$$,
        'grants', $$
        WITH given AS (SELECT f ->> 'role' AS role, f ->> 'permission' AS permission FROM jsonb_array_elements($1) f),
        named AS (INSERT INTO role (name) SELECT DISTINCT role FROM given ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING *)
        INSERT INTO grants SELECT c.id, permission FROM given JOIN named c ON c.name = given.role$$),
    shows = jsonb_build_object(
        'role', 'SELECT name FROM role',
        'inherits', 'SELECT c.name, p.name FROM inherits JOIN role c ON c.id = senior JOIN role p ON p.id = junior',
        'grants', 'SELECT c.name, permission FROM grants x JOIN role c ON c.id = x.role',
        'may', 'SELECT c.name, permission FROM may x JOIN role c ON c.id = x.role')
WHERE name LIKE 'roles%';

SELECT plan((SELECT count(*)::integer FROM program));
SELECT format('SELECT is_empty(%L, %L)', format('SELECT * FROM check_program(%L, 5)', name), name) FROM program ORDER BY name
\gexec
SELECT * FROM finish();
