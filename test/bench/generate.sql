/*
 * generate.sql
 *
 * The benchmark's facts: points, edges between them, and the two-hop paths
 * that follow from the edges, as two databases' worth of tables in the schemas
 * src and dst.  Runs after world.sql.
 *
 * One world of points and edges is drawn first, each of them known to the
 * source, to the destination, or to both.  A side is then what it knows of the
 * world, under surrogate keys of its own and in an arrival order of its own,
 * with every path that follows: both sides are saturated.  What a merge must
 * end up with is read off the world, not off any merge, into world.expected.
 *
 * Points live in communities of equal size, and a community is known as a
 * whole.  An edge stays inside a community or leads out, to any point that
 * somebody knows together with the first; so two sides meet in shared points
 * that have edges of either side.  Edges run from the lower to the higher place
 * in a community, which keeps paths at about 1.8 an edge.  Bridges are single
 * shared points with edges into both sides' communities.
 *
 * Parameters: edges (a side), points (a side), community (points in one),
 * shared (share of a side's communities that the other knows too), outward
 * (share of edges that leave their community), lone (share of the edges
 * between shared points that only the one side knows, and as many only the
 * other), bridges (how many).
 */
/*
 * Communities take their kind from multiples of the golden ratio, which fill
 * the interval evenly: the shares come out right however few there are.
 */
CREATE UNLOGGED TABLE world.point AS
SELECT n, 'point ' || n AS name,
       (CASE WHEN kind < :shared / (2 - :shared) THEN 'both'
             WHEN kind < 1.0 / (2 - :shared) THEN 'source'
             ELSE 'destination' END)::world.known_to AS known_to
FROM generate_series(1, ceil(:points * (2 - :shared) / :community)::bigint * :community) AS n
CROSS JOIN LATERAL (VALUES (((n - 1) / :community + 1) * 0.6180339887498949 % 1)) AS golden (kind);

INSERT INTO world.point
SELECT settled + bridge, 'point ' || settled + bridge, 'both'
FROM (SELECT max(n) AS settled FROM world.point) AS world
CROSS JOIN generate_series(1, :bridges) AS bridge;

CREATE UNIQUE INDEX ON world.point (n);
ANALYZE world.point;

/*
 * Some 4 % of the draws within a community hit a point twice or an edge drawn
 * before, and some edges are left to the other side; as many are drawn in
 * addition.
 */
CREATE UNLOGGED TABLE world.edge AS
WITH settled AS (
    SELECT max(n) - :bridges AS points FROM world.point
), inward AS (
    SELECT least(x, y) AS a, greatest(x, y) AS b
    FROM generate_series(1, ceil(1.04 * (1 + :shared * :lone) * :edges * (1 - :outward) * (2 - :shared))::bigint) AS i
    CROSS JOIN settled
    CROSS JOIN LATERAL (VALUES (floor(world.draw(i, 1) * (points / :community))::bigint * :community + 1))
        AS community (first)
    CROSS JOIN LATERAL (VALUES (first + floor(world.draw(i, 2) * :community)::bigint,
                                first + floor(world.draw(i, 3) * :community)::bigint))
        AS ends (x, y)
    WHERE x <> y
), outward AS (
    SELECT CASE WHEN x % :community < y % :community THEN x ELSE y END AS a,
           CASE WHEN x % :community < y % :community THEN y ELSE x END AS b
    FROM generate_series(1, ceil((1 + :shared * :lone) * :edges * :outward * (2 - :shared) ^ 2)::bigint) AS i
    CROSS JOIN settled
    CROSS JOIN LATERAL (VALUES (1 + floor(world.draw(i, 4) * points)::bigint,
                                1 + floor(world.draw(i, 5) * points)::bigint))
        AS ends (x, y)
    WHERE x % :community <> y % :community
), bridging AS (
    SELECT CASE i % 2 WHEN 0 THEN points + bridge ELSE x END AS a,
           CASE i % 2 WHEN 0 THEN x ELSE points + bridge END AS b
    FROM settled
    CROSS JOIN generate_series(1, :bridges) AS bridge
    CROSS JOIN generate_series(1, 10) AS i
    CROSS JOIN LATERAL (VALUES (1 + floor(world.draw(bridge * 10 + i, 6) * points)::bigint))
        AS ends (x)
), drawn AS (
    SELECT a, b FROM inward UNION SELECT a, b FROM outward UNION SELECT a, b FROM bridging
)
SELECT a, b,
       CASE WHEN one.known_to <> 'both' THEN one.known_to
            WHEN other.known_to <> 'both' THEN other.known_to
            WHEN world.draw(a * 4294967296 + b, 7) < :lone THEN 'source'
            WHEN world.draw(a * 4294967296 + b, 7) < 2 * :lone THEN 'destination'
            ELSE 'both' END AS known_to
FROM drawn
JOIN world.point AS one ON one.n = a
JOIN world.point AS other ON other.n = b
WHERE one.known_to = other.known_to OR 'both' IN (one.known_to, other.known_to);

ANALYZE world.edge;

/*
 * The two sides.  A path arrives with the later of its edges.
 */
CREATE FUNCTION world.make_side(side text, known_here text, stream bigint)
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', side);
    PERFORM set_config('search_path', side, true);

    CREATE TABLE point (
        id bigint GENERATED ALWAYS AS IDENTITY,
        name text NOT NULL
    );
    CREATE TABLE edge (
        id bigint GENERATED ALWAYS AS IDENTITY,
        a bigint NOT NULL,
        b bigint NOT NULL
    );
    CREATE TABLE path (
        id bigint GENERATED ALWAYS AS IDENTITY,
        a bigint NOT NULL,
        c bigint NOT NULL
    );

    INSERT INTO point (name)
    SELECT name FROM world.point
    WHERE known_to IN (known_here::world.known_to, 'both')
    ORDER BY world.draw(n, stream);
    ANALYZE point;

    INSERT INTO edge (a, b)
    SELECT pa.id, pb.id
    FROM world.edge
    JOIN world.point AS wa ON wa.n = edge.a
    JOIN world.point AS wb ON wb.n = edge.b
    JOIN point AS pa ON pa.name = wa.name
    JOIN point AS pb ON pb.name = wb.name
    WHERE edge.known_to IN (known_here::world.known_to, 'both')
    ORDER BY world.draw(edge.a * 4294967296 + edge.b, stream);
    ANALYZE edge;

    INSERT INTO path (a, c)
    SELECT first.a, second.b
    FROM edge AS first
    JOIN edge AS second ON second.a = first.b
    GROUP BY first.a, second.b
    ORDER BY min(greatest(first.id, second.id)), first.a, second.b;

    -- Arrivals at random leave the pages of an index about 70 % full
    ALTER TABLE point ADD PRIMARY KEY (id), ADD UNIQUE (name) WITH (fillfactor = 70);
    ALTER TABLE edge ADD PRIMARY KEY (id), ADD UNIQUE (a, b) WITH (fillfactor = 70),
        ADD FOREIGN KEY (a) REFERENCES point, ADD FOREIGN KEY (b) REFERENCES point;
    ALTER TABLE path ADD PRIMARY KEY (id), ADD UNIQUE (a, c) WITH (fillfactor = 70),
        ADD FOREIGN KEY (a) REFERENCES point, ADD FOREIGN KEY (c) REFERENCES point;
    CREATE INDEX ON edge (b) WITH (fillfactor = 70);
    CREATE INDEX ON path (c) WITH (fillfactor = 70);
END
$function$;

SELECT world.make_side('src', 'source', 11);
SELECT world.make_side('dst', 'destination', 12);

/*
 * What every merge has to arrive at, told by names.
 */
CREATE TABLE world.expected AS
WITH way AS (
    SELECT first.a, second.b AS c,
           bool_or(first.known_to <> 'destination' AND second.known_to <> 'destination') AS in_source,
           bool_or(first.known_to <> 'source' AND second.known_to <> 'source') AS in_destination
    FROM world.edge AS first
    JOIN world.edge AS second ON second.a = first.b
    GROUP BY first.a, second.b
), fact (fact_table, known_to, name) AS (
    SELECT 'point', known_to, name FROM world.point
    UNION ALL
    SELECT 'edge', known_to, format('point %s -> point %s', a, b) FROM world.edge
    UNION ALL
    SELECT 'path',
           (CASE WHEN in_source AND in_destination THEN 'both'
                 WHEN in_source THEN 'source'
                 WHEN in_destination THEN 'destination'
                 ELSE 'derived' END)::world.known_to,
           format('point %s -> point %s', a, c)
    FROM way
)
SELECT fact_table, known_to::text, count(*) AS facts, sum(hashtextextended(name, 0)::numeric) AS digest
FROM fact
GROUP BY fact_table, known_to;

/*
 * Where the merged schema dst departs from that; no row if nowhere.
 */
CREATE FUNCTION world.differences()
RETURNS TABLE (fact_table text, known_to text, expected_facts bigint, found_facts bigint)
LANGUAGE plpgsql STABLE
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH fact (fact_table, known_to, name) AS (
        SELECT 'point', p.factmerge_provenance::text, p.name FROM dst.point AS p
        UNION ALL
        SELECT 'edge', e.factmerge_provenance::text, format('%s -> %s', a.name, b.name)
        FROM dst.edge AS e
        JOIN dst.point AS a ON a.id = e.a
        JOIN dst.point AS b ON b.id = e.b
        UNION ALL
        SELECT 'path', p.factmerge_provenance::text, format('%s -> %s', a.name, c.name)
        FROM dst.path AS p
        JOIN dst.point AS a ON a.id = p.a
        JOIN dst.point AS c ON c.id = p.c
    ), found AS (
        SELECT f.fact_table, f.known_to, count(*) AS facts,
               sum(hashtextextended(f.name, 0)::numeric) AS digest
        FROM fact AS f
        GROUP BY f.fact_table, f.known_to
    )
    SELECT fact_table, known_to, x.facts, f.facts
    FROM world.expected AS x
    FULL JOIN found AS f USING (fact_table, known_to)
    WHERE (x.facts, x.digest) IS DISTINCT FROM (f.facts, f.digest);
END
$function$;

DROP TABLE world.point, world.edge;
DROP FUNCTION world.make_side(text, text, bigint);
