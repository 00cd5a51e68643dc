--
-- provenance: the tags, over several merges and afterwards
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_provenance(VARIADIC names text[])
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY names LOOP
        EXECUTE format($ddl$
            DROP SCHEMA IF EXISTS %1$I CASCADE;
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.item (name text PRIMARY KEY);
            CREATE TABLE %1$I.remark (remark text);
        $ddl$, schema);
    END LOOP;
END
$make$;
-- Tags with the merge that set them, the merges named by their sources
\set tags 'SELECT name, factmerge_provenance, m.source FROM prov_dst.item LEFT JOIN factmerge.merge m ON merge_id = factmerge_merge ORDER BY name'
\set remarks 'SELECT remark, factmerge_provenance, m.source FROM prov_dst.remark LEFT JOIN factmerge.merge m ON merge_id = factmerge_merge ORDER BY remark'

-- The first merge: whichever tag most facts need comes as the columns' default
CALL make_provenance('prov_a', 'prov_b', 'prov_dst');
INSERT INTO prov_a.item VALUES ('a'), ('ab'), ('ad'), ('abd'), ('a2');
INSERT INTO prov_b.item VALUES ('b'), ('ab'), ('bd'), ('abd'), ('b2');
INSERT INTO prov_dst.item VALUES ('d'), ('ad'), ('bd'), ('abd');
INSERT INTO prov_a.remark SELECT name FROM prov_a.item;
INSERT INTO prov_b.remark SELECT name FROM prov_b.item;
INSERT INTO prov_dst.remark SELECT name FROM prov_dst.item;
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
:tags;
-- The columns are the last ones, and typed
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, pg_get_expr(adbin, adrelid) AS column_default
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = 'prov_dst.item'::regclass AND attnum > 0 ORDER BY attnum;
-- The second merge tags what no merge has tagged; tags that are set stay
SELECT in_both, copied FROM factmerge_merge('prov_b', 'prov_dst');
:tags;
:remarks;
-- Merging again changes no tag
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
SELECT in_both, copied FROM factmerge_merge('prov_b', 'prov_dst');
:tags;
:remarks;

-- Ordinary INSERTs, with and without a column list, are the destination's own
INSERT INTO prov_dst.item VALUES ('later');
INSERT INTO prov_dst.item (name) VALUES ('later, by name');
COPY prov_dst.item (name) FROM stdin;
later, by copy
\.
:tags;
-- ... and known as such to the next merge
INSERT INTO prov_a.item VALUES ('later'), ('new');
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
:tags;
SELECT factmerge.current_provenance(), factmerge.current_merge();

-- Preparing: the columns ahead of time, every fact the destination's own
CALL make_provenance('prov_a', 'prov_dst');
INSERT INTO prov_a.item VALUES ('a'), ('ad'), ('ad2');
INSERT INTO prov_dst.item VALUES ('d'), ('ad'), ('ad2');
SELECT relfilenode AS before FROM pg_class WHERE oid = 'prov_dst.item'::regclass \gset
SELECT factmerge_prepare('prov_dst');
SELECT relfilenode = :before AS not_rewritten FROM pg_class WHERE oid = 'prov_dst.item'::regclass;
:tags;
SELECT factmerge_prepare('prov_dst');
CREATE TABLE prov_dst.another (a integer);
SELECT factmerge_prepare('prov_dst');
INSERT INTO prov_dst.item VALUES ('before');
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
:tags;

-- Nothing in both, everything in both, nothing at all
CALL make_provenance('prov_a', 'prov_dst');
INSERT INTO prov_a.item VALUES ('a');
INSERT INTO prov_dst.item VALUES ('d');
INSERT INTO prov_a.remark VALUES ('ad'), ('ad2');
INSERT INTO prov_dst.remark VALUES ('ad'), ('ad2');
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
:tags;
:remarks;
CALL make_provenance('prov_a', 'prov_dst');
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
:tags;
INSERT INTO prov_dst.item VALUES ('first');
:tags;

-- Derived facts, and what a later merge makes of them
CALL make_provenance('prov_a', 'prov_b', 'prov_dst');
DO $$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['prov_a', 'prov_b', 'prov_dst'] LOOP
        EXECUTE format('CREATE TABLE %1$I.word (item text REFERENCES %1$I.item, word text, PRIMARY KEY (item, word))', schema);
        EXECUTE format('INSERT INTO %1$I.item VALUES (''i'')', schema);
        EXECUTE format('INSERT INTO %1$I.word VALUES (''i'', %1$L)', schema);
    END LOOP;
END $$;
INSERT INTO prov_b.item VALUES ('prov_dst+prov_a');
CREATE FUNCTION prov_dst.join_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO prov_dst.item
    SELECT least(NEW.word, word) || '+' || greatest(NEW.word, word)
    FROM prov_dst.word WHERE item = NEW.item AND word <> NEW.word ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER join_words AFTER INSERT ON prov_dst.word FOR EACH ROW EXECUTE FUNCTION prov_dst.join_words();
SELECT in_both, copied, replayed, derived FROM factmerge_merge('prov_a', 'prov_dst');
:tags;
INSERT INTO prov_b.item VALUES ('prov_a+prov_dst');
SELECT in_both, copied, replayed, derived FROM factmerge_merge('prov_b', 'prov_dst');
:tags;
-- An ordinary derivation is the destination's own
INSERT INTO prov_dst.word VALUES ('i', 'later');
SELECT name, factmerge_provenance, factmerge_merge FROM prov_dst.item WHERE name LIKE '%later%' ORDER BY name;

-- A table of which a column has been dropped
CALL make_provenance('prov_a', 'prov_dst');
ALTER TABLE prov_dst.item ADD gone text;
ALTER TABLE prov_dst.item DROP gone;
INSERT INTO prov_a.item VALUES ('a'), ('ad');
INSERT INTO prov_dst.item VALUES ('ad'), ('d');
SELECT in_both, copied FROM factmerge_merge('prov_a', 'prov_dst');
:tags;

DROP SCHEMA prov_a, prov_b, prov_dst CASCADE;
DROP PROCEDURE make_provenance;
