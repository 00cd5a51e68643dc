/*
 * floor-setup.sql
 *
 * Tables for the rows that floor.sql inserts, filled by the benchmark, and the
 * tags' columns, so that the rows have the width that a merge gives them.
 */
CREATE SCHEMA ready;
CREATE TYPE ready.provenance AS ENUM ('source', 'destination', 'both', 'derived');

ALTER TABLE dst.point
    ADD factmerge_provenance ready.provenance NOT NULL DEFAULT 'destination', ADD factmerge_merge bigint;
ALTER TABLE dst.edge
    ADD factmerge_provenance ready.provenance NOT NULL DEFAULT 'destination', ADD factmerge_merge bigint;
ALTER TABLE dst.path
    ADD factmerge_provenance ready.provenance NOT NULL DEFAULT 'destination', ADD factmerge_merge bigint;

CREATE TABLE ready.point (LIKE dst.point);
CREATE TABLE ready.edge (LIKE dst.edge);
CREATE TABLE ready.path (LIKE dst.path);
