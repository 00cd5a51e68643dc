--
-- origin: where one fact came from
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_origin()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
    key integer := 0;
BEGIN
    FOREACH schema IN ARRAY ARRAY['orig_a', 'orig_b', 'orig_dst'] LOOP
        key := key + 100;
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.person (id integer GENERATED ALWAYS AS IDENTITY (START %2$s) PRIMARY KEY, name text UNIQUE);
            CREATE TABLE %1$I.trip (person integer REFERENCES %1$I.person, "to" text, PRIMARY KEY (person, "to"));
            CREATE TABLE %1$I.word (word text);
            CREATE TABLE %1$I.pair (a integer, b integer, PRIMARY KEY (a, b));
        $ddl$, schema, key);
    END LOOP;
END
$make$;
CALL make_origin();
INSERT INTO orig_a.person (name) VALUES ('in a'), ('in a and b'), ('in a and dst'), ('everywhere');
INSERT INTO orig_b.person (name) VALUES ('everywhere'), ('in b'), ('in b and dst'), ('in a and b');
INSERT INTO orig_dst.person (name) VALUES ('in dst'), ('everywhere'), ('in a and dst'), ('in b and dst');
INSERT INTO orig_a.trip SELECT id, 'Rome' FROM orig_a.person;
INSERT INTO orig_b.trip SELECT id, 'Rome' FROM orig_b.person;
INSERT INTO orig_dst.trip SELECT id, 'Rome' FROM orig_dst.person;
INSERT INTO orig_a.word VALUES ('a');
CREATE FUNCTION orig_dst.pair_up() RETURNS trigger LANGUAGE plpgsql SET search_path = orig_dst AS $$
BEGIN
    IF EXISTS (SELECT FROM person WHERE id = NEW.person AND name = 'in a and dst') THEN
        INSERT INTO pair SELECT NEW.person, 7 WHERE NEW."to" = 'Oslo' ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pair_up AFTER INSERT ON orig_dst.trip FOR EACH ROW EXECUTE FUNCTION orig_dst.pair_up();

-- Nothing has been merged yet
SELECT source FROM factmerge_origin('orig_dst.person', 300);
\echo :LAST_ERROR_SQLSTATE

INSERT INTO orig_dst.trip SELECT id, 'Bern' FROM orig_dst.person WHERE name = 'in a and dst';
INSERT INTO orig_a.trip SELECT id, 'Oslo' FROM orig_a.person WHERE name = 'in a and dst';
SELECT merge_id AS a FROM factmerge_merge('orig_a', 'orig_dst') \gset
SELECT merge_id AS b FROM factmerge_merge('orig_b', 'orig_dst') \gset

-- A row per source that has the fact, with the key that it has there
SELECT name, p.factmerge_provenance AS tag, o.merge_id = CASE source WHEN 'orig_a' THEN :a ELSE :b END AS right_merge,
       source, provenance, source_key, merged_at IS NOT NULL AS dated
FROM orig_dst.person p LEFT JOIN LATERAL factmerge_origin('orig_dst.person', p.id) AS o ON true
ORDER BY name, source;
SELECT name, "to", source, provenance, source_key
FROM orig_dst.trip t JOIN orig_dst.person p ON p.id = t.person
LEFT JOIN LATERAL factmerge_origin('orig_dst.trip', t.person, t."to") AS o ON true
ORDER BY name, "to", source;
-- A derived fact has no source
SELECT b, factmerge_provenance, o.merge_id = :a AS right_merge, source, provenance, source_key
FROM orig_dst.pair, LATERAL factmerge_origin('orig_dst.pair', a, b) AS o;

-- Merging again adds no row, and the merge that met a fact first stays
SELECT copied FROM factmerge_merge('orig_a', 'orig_dst');
SELECT o.merge_id = :a AS first_merge, source, provenance, source_key
FROM orig_dst.person p, LATERAL factmerge_origin('orig_dst.person', p.id) AS o WHERE name = 'in a' ORDER BY source;
-- A fact that the destination got first and a source told later, is in both
INSERT INTO orig_a.person (name) VALUES ('in dst');
SELECT copied FROM factmerge_merge('orig_a', 'orig_dst');
SELECT source, provenance, source_key
FROM orig_dst.person p, LATERAL factmerge_origin('orig_dst.person', p.id) AS o WHERE name = 'in dst' ORDER BY source;

-- The key may come in any type that can be read as the key's
SELECT source, source_key FROM factmerge_origin('orig_dst.person', '304') ORDER BY source;
SELECT source, source_key FROM factmerge_origin('orig_dst.person', 304::bigint) ORDER BY source;
SELECT source, source_key FROM factmerge_origin('orig_dst.trip', VARIADIC ARRAY['304', 'Rome']) ORDER BY source;

-- Errors
SELECT source FROM factmerge_origin('orig_dst.person', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT source FROM factmerge_origin('orig_dst.person', 'Ada');
SELECT source FROM factmerge_origin('orig_dst.person', NULL);
SELECT source FROM factmerge_origin('orig_dst.person', 1, 2);
SELECT source FROM factmerge_origin('orig_dst.trip', 304);
SELECT source FROM factmerge_origin('orig_dst.trip', '304', 'Rome', 'Oslo');
SELECT source FROM factmerge_origin('orig_dst.word', 'a');
\echo :LAST_ERROR_SQLSTATE
SELECT source FROM factmerge_origin('orig_a.person', 100);
SELECT source FROM factmerge_origin('pg_catalog.pg_class', 100);
SELECT source FROM factmerge_origin(NULL, 100);
CREATE VIEW orig_dst.persons AS SELECT * FROM orig_dst.person;
SELECT source FROM factmerge_origin('orig_dst.persons', 300);
\echo :LAST_ERROR_SQLSTATE

DROP SCHEMA orig_a, orig_b, orig_dst CASCADE;
DROP PROCEDURE make_origin;
