/*
 * handwritten.sql
 *
 * The merge of src into dst as somebody writes it who knows PostgreSQL well
 * and these three tables by heart: the yardstick of the benchmark.  It does
 * what factmerge_merge('src', 'dst') does to them, in one transaction: key
 * maps that stay, copies of the facts that only the source has, a tag on every
 * fact, and every path that follows from the united edges.
 *
 * Constraints and indexes stay in force throughout, and readers would go on
 * but for the columns that are added.  The handler's trigger is off: what it
 * would derive an edge at a time is derived here for all edges at once.
 *
 * What was tried, and is in here because it was faster, at a million edges:
 * new keys in the order of the unique key, so that two of the three indexes
 * grow in one place each; whichever tag most facts of a table need as the
 * column's default, so that only the others are updated; updates before the
 * inserts; new paths sorted out by a hash anti-join rather than by ON CONFLICT
 * (4.8 s against 17.8 s) or EXCEPT; translated references kept in the map, so
 * that nothing is translated twice.
 *
 * Steps are timed apart; each begins with a line of its own that names it.
 */

-- step: match points
CREATE SCHEMA handwritten;

CREATE TYPE handwritten.provenance AS ENUM ('source', 'destination', 'both', 'derived');

CREATE TABLE handwritten.point_map AS
SELECT source_id, coalesce(found, nextval('dst.point_id_seq')) AS destination_id,
       found IS NOT NULL AS in_both, name
FROM (
    SELECT s.id AS source_id, d.id AS found, s.name
    FROM src.point AS s
    LEFT JOIN dst.point AS d ON d.name = s.name
    ORDER BY s.id
) AS matched;

ANALYZE handwritten.point_map;

-- step: match edges
CREATE TABLE handwritten.edge_map AS
SELECT source_id, coalesce(found, nextval('dst.edge_id_seq')) AS destination_id,
       found IS NOT NULL AS in_both, a, b
FROM (
    SELECT s.id AS source_id, d.id AS found, a.destination_id AS a, b.destination_id AS b
    FROM src.edge AS s
    JOIN handwritten.point_map AS a ON a.source_id = s.a
    JOIN handwritten.point_map AS b ON b.source_id = s.b
    LEFT JOIN dst.edge AS d ON d.a = a.destination_id AND d.b = b.destination_id
    ORDER BY a.destination_id, b.destination_id
) AS matched;

ANALYZE handwritten.edge_map;

-- step: match paths
CREATE TABLE handwritten.path_map AS
SELECT source_id, coalesce(found, nextval('dst.path_id_seq')) AS destination_id,
       found IS NOT NULL AS in_both, a, c
FROM (
    SELECT s.id AS source_id, d.id AS found, a.destination_id AS a, c.destination_id AS c
    FROM src.path AS s
    JOIN handwritten.point_map AS a ON a.source_id = s.a
    JOIN handwritten.point_map AS c ON c.source_id = s.c
    LEFT JOIN dst.path AS d ON d.a = a.destination_id AND d.c = c.destination_id
    ORDER BY a.destination_id, c.destination_id
) AS matched;

ANALYZE handwritten.path_map;

-- step: tag
DO $block$
DECLARE
    fact_table text;
    mostly_both boolean;
BEGIN
    FOREACH fact_table IN ARRAY ARRAY['point', 'edge', 'path'] LOOP
        EXECUTE format($sql$
            SELECT 2 * count(*) > (SELECT count(*) FROM dst.%1$I)
            FROM handwritten.%1$s_map
            WHERE in_both
            $sql$, fact_table)
        INTO mostly_both;

        EXECUTE format($sql$
            ALTER TABLE dst.%I
                DISABLE TRIGGER USER,
                ADD factmerge_provenance handwritten.provenance NOT NULL DEFAULT %L,
                ADD factmerge_merge bigint DEFAULT %L
            $sql$, fact_table,
            CASE WHEN mostly_both THEN 'both' ELSE 'destination' END,
            CASE WHEN mostly_both THEN 1 END);
        EXECUTE format($sql$
            ALTER TABLE dst.%I
                ALTER factmerge_provenance SET DEFAULT 'destination',
                ALTER factmerge_merge SET DEFAULT NULL
            $sql$, fact_table);

        IF mostly_both THEN
            EXECUTE format($sql$
                UPDATE dst.%1$I AS fact
                SET factmerge_provenance = 'destination', factmerge_merge = NULL
                WHERE NOT EXISTS (SELECT FROM handwritten.%1$s_map WHERE destination_id = fact.id)
                $sql$, fact_table);
        ELSE
            EXECUTE format($sql$
                UPDATE dst.%1$I AS fact
                SET factmerge_provenance = 'both', factmerge_merge = 1
                FROM handwritten.%1$s_map
                WHERE destination_id = fact.id AND in_both
                $sql$, fact_table);
        END IF;
    END LOOP;
END
$block$;

-- step: insert points
INSERT INTO dst.point OVERRIDING SYSTEM VALUE
SELECT destination_id, name, 'source', 1
FROM handwritten.point_map
WHERE NOT in_both;

-- step: insert edges
INSERT INTO dst.edge OVERRIDING SYSTEM VALUE
SELECT destination_id, a, b, 'source', 1
FROM handwritten.edge_map
WHERE NOT in_both;

-- step: insert paths
INSERT INTO dst.path OVERRIDING SYSTEM VALUE
SELECT destination_id, a, c, 'source', 1
FROM handwritten.path_map
WHERE NOT in_both;

-- step: replay
ANALYZE dst.edge, dst.path;

INSERT INTO dst.path (a, c, factmerge_provenance, factmerge_merge)
SELECT DISTINCT first.a, second.b, 'derived'::handwritten.provenance, 1
FROM dst.edge AS first
JOIN dst.edge AS second ON second.a = first.b
WHERE NOT EXISTS (SELECT FROM dst.path WHERE path.a = first.a AND path.c = second.b)
ORDER BY first.a, second.b;

ALTER TABLE dst.point ENABLE TRIGGER USER;
ALTER TABLE dst.edge ENABLE TRIGGER USER;
ALTER TABLE dst.path ENABLE TRIGGER USER;
