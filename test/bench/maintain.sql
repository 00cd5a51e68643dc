/*
 * maintain.sql
 *
 * What an ordinary bulk INSERT is compared by: schema m has the destination's
 * points, half of its edges, and the paths that follow from these.  The other
 * half of the edges is in edges_to_come, and what follows then in paths_to_come.
 * Runs after generate.sql.
 */
CREATE SCHEMA m;
CREATE TABLE m.point (LIKE dst.point INCLUDING ALL);
CREATE TABLE m.edge (LIKE dst.edge INCLUDING ALL, FOREIGN KEY (a) REFERENCES m.point, FOREIGN KEY (b) REFERENCES m.point);
CREATE TABLE m.path (LIKE dst.path INCLUDING ALL, FOREIGN KEY (a) REFERENCES m.point, FOREIGN KEY (c) REFERENCES m.point);

INSERT INTO m.point OVERRIDING SYSTEM VALUE SELECT * FROM dst.point;
INSERT INTO m.edge (a, b) SELECT a, b FROM dst.edge WHERE id % 2 = 0 ORDER BY id;
INSERT INTO m.path (a, c)
SELECT DISTINCT first.a, second.b FROM m.edge AS first JOIN m.edge AS second ON second.a = first.b;

CREATE TABLE m.edges_to_come AS SELECT a, b FROM dst.edge WHERE id % 2 = 1 ORDER BY id;
CREATE TABLE m.paths_to_come AS
SELECT a, c FROM dst.path EXCEPT SELECT a, c FROM m.path ORDER BY 1, 2;
VACUUM (ANALYZE) m.point, m.edge, m.path, m.edges_to_come, m.paths_to_come;
