/*
 * floor.sql
 *
 * What any merge has to do at the least: put the new rows into the tables and
 * their indexes.  The rows are those that the hand-written SQL added, with
 * their keys, in its order, and lie ready in schema ready; foreign keys are
 * not checked, nothing is matched, tagged or derived.
 */
SET LOCAL session_replication_role = replica;

INSERT INTO dst.point OVERRIDING SYSTEM VALUE SELECT * FROM ready.point;
INSERT INTO dst.edge OVERRIDING SYSTEM VALUE SELECT * FROM ready.edge;
INSERT INTO dst.path OVERRIDING SYSTEM VALUE SELECT * FROM ready.path;
