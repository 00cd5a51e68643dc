-- Rules whose results are compared with their queries
SET LOCAL client_min_messages = warning;
CREATE SCHEMA r;
CREATE SCHEMA elsewhere;
CREATE TABLE r.edge (a integer, b integer, kind text, PRIMARY KEY (a, b));
CREATE TABLE r.mark (n integer PRIMARY KEY);
CREATE TABLE r.path (a integer, c integer, PRIMARY KEY (a, c));
CREATE TABLE elsewhere.label (kind text PRIMARY KEY, weight integer);
INSERT INTO elsewhere.label VALUES ('x', 1), ('y', 2);
CREATE VIEW r.steps AS SELECT a, b FROM r.edge WHERE kind <> 'z';
CREATE VIEW r.counted AS SELECT a, count(*)::integer AS b FROM r.edge GROUP BY a;
CREATE FUNCTION r.twice(integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT 2 * $1';
CREATE FUNCTION r.wild(integer) RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT $1';
CREATE AGGREGATE r.first_of(integer) (SFUNC = int4larger, STYPE = integer);

CREATE TABLE accepted (query text, apart boolean NOT NULL DEFAULT false);

-- What is accepted gives what its query gives: by triggers, after a merge, and nothing else; likewise where
-- the sides have nothing in common, and nothing of one kind
CREATE FUNCTION accepted(query text, apart boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    side text;
    rewritten text;
BEGIN
    FOREACH side IN ARRAY ARRAY['p', 'q', 'whole'] LOOP
        EXECUTE format('CREATE SCHEMA %I', side);
        PERFORM set_config('search_path', side || ', public', true);
        CREATE TABLE edge (a integer, b integer, kind text, PRIMARY KEY (a, b));
        CREATE TABLE mark (n integer PRIMARY KEY);
        CREATE TABLE path (a integer, c integer, PRIMARY KEY (a, c));
        EXECUTE format('CREATE VIEW steps AS SELECT a, b FROM %I.edge WHERE kind <> ''z''', side);
        PERFORM factmerge_add_rule('tried', 'path(a, c)', query);
    END LOOP;
    PERFORM setseed(0.5);
    CREATE TEMPORARY TABLE drawn ON COMMIT DROP AS
        SELECT a, b, (ARRAY['x', 'y', 'z'])[1 + (a * b) % 3] AS kind, random() AS draw FROM generate_series(1, 7) a, generate_series(1, 7) b
        WHERE random() < 0.4;
    INSERT INTO p.mark SELECT unnest('{1,2,5}'::integer[]) WHERE NOT apart;
    INSERT INTO q.mark SELECT unnest('{2,3}'::integer[]) WHERE NOT apart;
    INSERT INTO whole.mark SELECT unnest('{1,2,3,5}'::integer[]) WHERE NOT apart;
    INSERT INTO p.edge SELECT a, b, kind FROM drawn WHERE draw < CASE WHEN apart THEN 0.5 ELSE 0.6 END;
    INSERT INTO q.edge SELECT a, b, kind FROM drawn WHERE draw > 0.5 ORDER BY a LIMIT 5;
    INSERT INTO q.edge SELECT a, b, kind FROM drawn WHERE draw >= CASE WHEN apart THEN 0.5 ELSE 0.4 END ON CONFLICT DO NOTHING;
    INSERT INTO whole.edge SELECT a, b, kind FROM drawn WHERE a < 4;
    INSERT INTO whole.edge SELECT a, b, kind FROM drawn WHERE a >= 4;
    FOREACH side IN ARRAY ARRAY['p', 'q', 'whole'] LOOP
        PERFORM set_config('search_path', side || ', public', true);
        RETURN NEXT set_eq('SELECT a, c FROM path', format('SELECT x::integer, y::integer FROM (%s) AS t (x, y)', query), side || CASE WHEN apart THEN ', apart: ' ELSE ': ' END || query);
    END LOOP;
    SET LOCAL search_path = public;
    PERFORM factmerge_merge('p', 'q');
    RETURN NEXT set_eq('SELECT a, c FROM q.path', 'SELECT a, c FROM whole.path', 'merged: ' || query);
    RETURN NEXT is(factmerge_saturate('q'), 0::bigint, '... nothing is missing');
    RETURN NEXT is_empty($q$SELECT * FROM factmerge_verify('q')$q$, '... as factmerge_verify says');
    SET LOCAL client_min_messages = warning;
    DROP TABLE drawn;
    DROP SCHEMA p, q, whole CASCADE;
END $$;
