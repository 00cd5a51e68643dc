/*
 * growth.sql
 *
 * What comes to the source between two merges: as many points, edges between old
 * points, and paths that follow, as make about one of a hundred of its facts.  The
 * paths come by the source's own rule.  Runs after generate.sql.
 */
INSERT INTO src.point (name)
SELECT 'late point ' || n FROM generate_series(1, (SELECT count(*) / 100 FROM src.point)) AS n;

INSERT INTO src.edge (a, b)
SELECT DISTINCT one.id, other.id
FROM (SELECT count(*) AS edges, (SELECT max(id) FROM src.point WHERE name NOT LIKE 'late%') AS points FROM src.edge) AS world
CROSS JOIN generate_series(1, (edges / 250)::bigint) AS n
JOIN src.point AS one ON one.id = 1 + floor(world.draw(n, 21) * points)::bigint
JOIN src.point AS other ON other.id = 1 + floor(world.draw(n, 22) * points)::bigint
WHERE one.id <> other.id
ON CONFLICT DO NOTHING;
