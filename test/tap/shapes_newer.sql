-- What only newer servers have in store: periods, virtual generated columns, and
-- constraints that need not hold.  All of it came with PostgreSQL 18.
BEGIN;
\ir include/shapes.sql
SELECT plan(32);
SELECT current_setting('server_version_num')::integer >= 180000 AS newer \gset
\if :newer
CREATE EXTENSION btree_gist;

--
-- Periods
--
CALL make(
    $$CREATE TABLE post (person text, held daterange, title text, PRIMARY KEY (person, held WITHOUT OVERLAPS))$$,
    $$INSERT INTO post VALUES ('Ada', '[2020-01-01,2021-01-01)', 'clerk'), ('Bob', '[2020-01-01,2021-01-01)', 'clerk')$$,
    $$INSERT INTO post VALUES ('Ada', '[2020-01-01,2021-01-01)', 'clerk'), ('Ada', '[2021-01-01,2022-01-01)', 'judge')$$);
SELECT merges('key without overlaps', '1 in both, 1 copied, 0 conflicts',
    'SELECT person, lower(held), title, factmerge_provenance FROM b.post ORDER BY 1, 2',
    '(Ada,2020-01-01,clerk,both)
     (Ada,2021-01-01,judge,destination)
     (Bob,2020-01-01,clerk,source)');
INSERT INTO a.post VALUES ('Ada', '[2021-06-01,2023-01-01)', 'clerk');
SELECT refuses('key without overlaps, with one', '23P01', 'conflicting key value violates exclusion constraint "post_pkey"', false);
CALL make(
    $$CREATE TABLE post (person text, held daterange, PRIMARY KEY (person, held WITHOUT OVERLAPS));
      CREATE TABLE pay (person text, paid daterange, FOREIGN KEY (person, PERIOD paid) REFERENCES post (person, PERIOD held))$$);
SELECT refuses('foreign key to a period', '0A000',
    'cannot merge table "pay" because its foreign key "pay_person_paid_fkey" refers to a period');
SELECT factmerge_ignore('b.pay');
SELECT lives_ok($$SELECT factmerge_merge('a', 'b')$$, 'foreign key to a period: left out');

--
-- Columns that no row holds
--
CALL make(
    'CREATE TABLE field (name text PRIMARY KEY, width integer, area integer GENERATED ALWAYS AS (width * width) VIRTUAL)',
    $$INSERT INTO field VALUES ('a', 2), ('b', 3)$$, $$INSERT INTO field VALUES ('b', 3), ('c', 4)$$,
    'CREATE TABLE field (name text PRIMARY KEY, width integer, area integer GENERATED ALWAYS AS (10 * width * width) VIRTUAL)');
SELECT merges('virtual generated columns', '1 in both, 1 copied, 0 conflicts',
    'SELECT name, width, area, factmerge_provenance FROM b.field ORDER BY 1',
    '(a,2,40,source)
     (b,3,90,both)
     (c,4,160,destination)');

-- Everything that looks at facts: functions, a trigger with a condition, and a rule.  Measures that are equal make pairs.
CALL make(
    $$CREATE TABLE fact (name text PRIMARY KEY, raw text, measure integer GENERATED ALWAYS AS (length(raw)) VIRTUAL);
      CREATE TABLE by_function (one text, other text, PRIMARY KEY (one, other));
      CREATE TABLE by_trigger (LIKE by_function INCLUDING ALL);
      CREATE TABLE by_rule (LIKE by_function INCLUDING ALL, measure integer);
      CREATE FUNCTION pair(f fact) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS
          'INSERT INTO by_function SELECT least(name, f.name), greatest(name, f.name) FROM fact g
               WHERE g.measure = f.measure AND g.name <> f.name ON CONFLICT DO NOTHING';
      CREATE FUNCTION pair() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
          'BEGIN INSERT INTO by_trigger SELECT least(g.name, f.name), greatest(g.name, f.name) FROM fact f JOIN fact g USING (measure)
               WHERE f.name = NEW.name AND g.name <> f.name ON CONFLICT DO NOTHING; RETURN NULL; END';
      CREATE TRIGGER pair AFTER INSERT ON fact FOR EACH ROW WHEN (NEW.measure > 0) EXECUTE FUNCTION pair();
      SELECT factmerge_add_rule('pairs', current_schema || '.by_rule(one, other, measure)',
          'SELECT f.name, g.name, f.measure FROM fact f JOIN fact g USING (measure) WHERE f.name < g.name')$$,
    $$INSERT INTO fact VALUES ('a', '12'), ('b', '1234')$$, $$INSERT INTO fact VALUES ('c', 'xy'), ('d', 'x')$$);
SELECT factmerge_add_handler('b.fact', 'b.pair', friends => '{fact}');
SELECT factmerge_add_friend('b.fact', 'b.fact', 'fact.measure = friend.measure');
SELECT merges('virtual generated column that handlers look at', '0 in both, 2 copied, 0 conflicts',
    'SELECT one, other FROM b.by_function UNION ALL SELECT one, other FROM b.by_trigger
     UNION ALL SELECT one, other FROM b.by_rule WHERE measure = 2',
    '(a,c)
     (a,c)
     (a,c)');
INSERT INTO b.fact VALUES ('e', 'yz');
SELECT results_eq('SELECT one, other, measure FROM b.by_rule ORDER BY 1, 2',
    $$VALUES ('a', 'c', 2), ('a', 'e', 2), ('c', 'e', 2)$$, 'virtual generated column of a fact that arrives, in a rule');
SELECT is(factmerge_saturate('b'), 2::bigint, 'virtual generated column of a fact that arrives: only the function, which nobody calls, has not seen it');

--
-- Constraints that need not hold
--
CALL make(
    $$CREATE TABLE note (place text, text text, UNIQUE NULLS NOT DISTINCT (place, text))$$,
    $$INSERT INTO note VALUES ('x', NULL), ('x', 'y'), ('z', NULL); ALTER TABLE note ADD NOT NULL text NOT VALID$$,
    $$INSERT INTO note VALUES ('x', NULL), ('x', 'y'); ALTER TABLE note ADD NOT NULL text NOT VALID$$);
DELETE FROM a.note WHERE place = 'z';
SELECT merges('not null that is not valid', '2 in both, 0 copied, 0 conflicts',
    'SELECT place, text, factmerge_provenance FROM b.note ORDER BY 1, 2',
    '(x,y,both)
     (x,,both)');
CALL make(
    $$CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE);
      CREATE TABLE deed (person integer REFERENCES person NOT ENFORCED, deed text, PRIMARY KEY (person, deed))$$,
    $$INSERT INTO person (name) VALUES ('Ada'), ('Bob'); INSERT INTO deed VALUES (1, 'sang'), (2, 'sang')$$,
    $$INSERT INTO person (name) VALUES ('Bob'), ('Cid'); INSERT INTO deed VALUES (1, 'sang'), (7, 'fell')$$);
SELECT merges('foreign key that is not enforced', '2 in both, 2 copied, 0 conflicts',
    'SELECT name, deed, d.factmerge_provenance FROM b.deed d LEFT JOIN b.person p ON id = person ORDER BY 1',
    '(Ada,sang,source)
     (Bob,sang,both)
     (,fell,destination)');
INSERT INTO a.deed VALUES (9, 'fell');
SELECT refuses('foreign key that is not enforced and does not hold', '23503', 'a fact of the source refers to a fact that is not there');
\else
SELECT skip('PostgreSQL 18 has it', 32);
\endif
SELECT * FROM finish();
ROLLBACK;
