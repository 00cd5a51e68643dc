--
-- undo: the latest merge is taken back
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_undo(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, note text);
        CREATE TABLE %1$I.edge (a integer REFERENCES %1$I.point ON DELETE CASCADE, b integer REFERENCES %1$I.point ON DELETE CASCADE,
            PRIMARY KEY (a, b)) PARTITION BY HASH (a, b);
        CREATE TABLE %1$I.edge_0 PARTITION OF %1$I.edge FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE %1$I.edge_1 PARTITION OF %1$I.edge FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE TABLE %1$I.path (a integer REFERENCES %1$I.point, c integer REFERENCES %1$I.point, PRIMARY KEY (a, c));
        CREATE TABLE %1$I.line (text text);
        CREATE FUNCTION %1$I.find() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $body$
        BEGIN
            INSERT INTO path SELECT NEW.a, e.b FROM edge e WHERE e.a = NEW.b
            UNION SELECT e.a, NEW.b FROM edge e WHERE e.b = NEW.a ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $body$;
        CREATE TRIGGER find AFTER INSERT ON %1$I.edge FOR EACH ROW EXECUTE FUNCTION %1$I.find();
        -- Nothing is to fire when facts go
        CREATE FUNCTION %1$I.hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''facts are irrevocable''; END';
        CREATE TRIGGER hold BEFORE DELETE OR UPDATE ON %1$I.path FOR EACH ROW EXECUTE FUNCTION %1$I.hold();
    $ddl$, schema);
END $make$;
CALL make_undo('undo_a');
CALL make_undo('undo_b');
CALL make_undo('undo_c');
INSERT INTO undo_a.point (name, note) VALUES ('p', 'a'), ('q', 'a');
INSERT INTO undo_a.edge VALUES (1, 2);
INSERT INTO undo_a.line VALUES ('same'), ('a');
INSERT INTO undo_b.point (name, note) VALUES ('r', 'b'), ('q', 'b');
INSERT INTO undo_b.edge VALUES (2, 1);
INSERT INTO undo_b.line VALUES ('same'), ('b');
INSERT INTO undo_c.point (name) VALUES ('r'), ('s');
INSERT INTO undo_c.edge VALUES (1, 2);

SELECT factmerge_prepare('undo_b');
-- Facts by names, with where they come from
CREATE VIEW undo_facts AS
SELECT 'point ' || name || coalesce(' ' || note, '') AS fact, factmerge_provenance AS tag, factmerge_merge IS NOT NULL AS merged FROM undo_b.point
UNION ALL SELECT concat_ws(' ', 'edge', p.name, q.name), e.factmerge_provenance, e.factmerge_merge IS NOT NULL
    FROM undo_b.edge e JOIN undo_b.point p ON p.id = a JOIN undo_b.point q ON q.id = b
UNION ALL SELECT concat_ws(' ', 'path', p.name, q.name), e.factmerge_provenance, e.factmerge_merge IS NOT NULL
    FROM undo_b.path e JOIN undo_b.point p ON p.id = a JOIN undo_b.point q ON q.id = c
UNION ALL SELECT 'line ' || text, factmerge_provenance, factmerge_merge IS NOT NULL FROM undo_b.line;
-- The numbers of merges are as they come
CREATE FUNCTION undo_error(number bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
BEGIN
    PERFORM factmerge_undo(number);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || regexp_replace(concat_ws(' -- ', SQLERRM, nullif(told, '')), '\ymerge \d+', 'merge N', 'g');
END $$;
CREATE TABLE before_merge AS SELECT * FROM undo_facts;
SELECT source_facts, in_both, copied, conflicts, derived FROM factmerge_merge('undo_a', 'undo_b');
CREATE TABLE after_merge AS SELECT * FROM undo_facts;
SELECT max(merge_id) AS first FROM factmerge.merge \gset

-- A dry run says what would go, and leaves it
SELECT * FROM factmerge_undo(:first, dry_run => true) ORDER BY 1;
SELECT count(*) FROM (SELECT * FROM undo_facts EXCEPT SELECT * FROM after_merge) AS x;
SELECT status FROM factmerge_history WHERE merge_id = :first;
-- Undone, all is as it was
SELECT * FROM factmerge_undo(:first) ORDER BY 1;
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM before_merge;
SELECT * FROM before_merge EXCEPT ALL SELECT * FROM undo_facts;
SELECT status, copied FROM factmerge_history WHERE merge_id = :first;
SELECT facts FROM factmerge_sources('undo_b');
SELECT count(*) FROM factmerge_conflicts(:first);
SELECT * FROM factmerge_verify('undo_b');
SELECT undo_error(:first);
-- ... and merging again comes to the same as the first time
SELECT source_facts, in_both, copied, conflicts, derived FROM factmerge_merge('undo_a', 'undo_b');
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM after_merge;
SELECT * FROM after_merge EXCEPT ALL SELECT * FROM undo_facts;

-- Only the latest; what earlier merges have brought stays
SELECT max(merge_id) AS second FROM factmerge.merge \gset
SELECT source_facts, in_both, copied, derived FROM factmerge_merge('undo_c', 'undo_b');
SELECT max(merge_id) AS third FROM factmerge.merge \gset
SELECT * FROM undo_facts WHERE fact ~ 's$' ORDER BY 1;
SELECT undo_error(:second);
SELECT * FROM factmerge_undo(:third) ORDER BY 1;
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM after_merge;
SELECT * FROM after_merge EXCEPT ALL SELECT * FROM undo_facts;
SELECT source, facts FROM factmerge_sources('undo_b');
-- The next merge of the same source finds it as before
INSERT INTO undo_c.point (name) VALUES ('t');
SELECT source_facts, in_both, copied, derived FROM factmerge_merge('undo_c', 'undo_b');
SELECT max(merge_id) AS fourth FROM factmerge.merge \gset

-- What has been added since refers to what would go: along a foreign key that would delete it silently, too
INSERT INTO undo_b.edge SELECT t.id, r.id FROM undo_b.point t, undo_b.point r WHERE (t.name, r.name) = ('t', 'r');
SELECT * FROM factmerge_undo(:fourth);
DELETE FROM undo_b.edge e USING undo_b.point t WHERE e.a = t.id AND t.name = 't';
SELECT * FROM factmerge_undo(:fourth);
ALTER TABLE undo_b.path DISABLE TRIGGER hold;
DELETE FROM undo_b.path e USING undo_b.point t WHERE e.a = t.id AND t.name = 't';
ALTER TABLE undo_b.path ENABLE TRIGGER hold;
-- ... or from another schema
CREATE TABLE public.visit (point integer REFERENCES undo_b.point ON DELETE SET NULL, day date);
INSERT INTO public.visit SELECT id, '2024-05-01' FROM undo_b.point WHERE name = 't';
SELECT * FROM factmerge_undo(:fourth);
DROP TABLE public.visit;
SELECT sum(removed), sum(in_both) FROM factmerge_undo(:fourth);
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM after_merge;

-- No such merge, no right, no number
SELECT * FROM factmerge_undo(0);
SELECT * FROM factmerge_undo(NULL);
CREATE ROLE regress_undo;
GRANT ALL ON SCHEMA undo_b TO regress_undo;
GRANT ALL ON ALL TABLES IN SCHEMA undo_b TO regress_undo;
SET ROLE regress_undo;
SELECT undo_error(:second);
RESET ROLE;
-- A merge of a source that has been forgotten tags nothing anew, so that both can be undone
SELECT factmerge_forget_source('undo_a', 'undo_b');
SELECT in_both, copied FROM factmerge_merge('undo_a', 'undo_b');
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM after_merge;
SELECT * FROM after_merge EXCEPT ALL SELECT * FROM undo_facts;
SELECT sum(removed) AS removed, sum(u.in_both) AS in_both FROM factmerge_undo((SELECT max(merge_id) FROM factmerge.merge)) AS u;
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM after_merge;
SELECT * FROM after_merge EXCEPT ALL SELECT * FROM undo_facts;
-- Renamed, it is the same destination
ALTER SCHEMA undo_b RENAME TO undo_d;
SELECT sum(removed) AS removed FROM factmerge_undo(:second);
SELECT * FROM undo_facts EXCEPT ALL SELECT * FROM before_merge;

DROP VIEW undo_facts;
DROP TABLE before_merge, after_merge;
DROP SCHEMA undo_a, undo_d, undo_c CASCADE;
DROP ROLE regress_undo;
DROP PROCEDURE make_undo;
DROP FUNCTION undo_error;
