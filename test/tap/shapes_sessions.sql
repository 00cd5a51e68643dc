-- What shows from outside of a session only: the notices of a merge, and
-- temporary tables as a source.  So this is not in one transaction: it prepares
-- schemas, and has other sessions merge them.
\ir include/shapes.sql
SELECT plan(17);

-- What psql printed, without the names of its input and empty lines
CREATE FUNCTION printed(output text) RETURNS text LANGUAGE sql AS $$
    SELECT btrim(regexp_replace(regexp_replace(output, '^psql:[^ ]*: ', '', 'gn'), '\n+', E'\n', 'g'), E'\n')
$$;

--
-- Views of the source
--
CREATE PROCEDURE make_views(of_destination text) LANGUAGE sql AS $make$
    CALL make(
        'CREATE TABLE person (name text PRIMARY KEY, born integer); CREATE VIEW elder AS SELECT * FROM person WHERE born < 1900;
         CREATE VIEW "The Young" AS SELECT * FROM person WHERE born > 1900;
             CREATE MATERIALIZED VIEW people AS SELECT count(*) FROM person',
        $$INSERT INTO person VALUES ('Ada', 1815)$$, $$INSERT INTO person VALUES ('Bob', 1900)$$,
        'CREATE TABLE person (name text PRIMARY KEY, born integer);' || of_destination)
$make$;
CALL make_views('');
\set output `psql -X -q -A -t -c "SELECT FROM factmerge_merge('a', 'b', true)" 2>&1`
SELECT is(printed(:'output'),
    E'NOTICE:  views of the source are left alone\nDETAIL:  They hold no facts of their own: "The Young", "elder", "people".',
    'views and materialized views left alone with a notice');
\set output `psql -X -q -A -t -c "SELECT FROM factmerge_merge('a', 'b')" 2>&1`
SELECT matches(printed(:'output'), '^NOTICE:  views of the source are left alone[^\n]*\nDETAIL: [^\n]*$',
    'views left alone: one notice for all of them, by a merge as by a dry run');
SELECT results_eq('SELECT name, factmerge_provenance FROM b.person ORDER BY 1', $$VALUES ('Ada', 'source'::factmerge_provenance),
    ('Bob', 'destination')$$,
    'views left alone: the tables are merged');
CALL make_views('CREATE VIEW elder AS SELECT 1; CREATE MATERIALIZED VIEW people AS SELECT count(*) FROM person');
\set output `psql -X -q -A -t -c "SELECT FROM factmerge_merge('a', 'b')" 2>&1`
SELECT matches(printed(:'output'), '^NOTICE: [^\n]*\nDETAIL: [^\n]*"people"[^\n]*\nHINT: [^\n]*Refresh[^\n]*"people"[^\n]*$',
    'views left alone: what the destination should refresh');
SELECT hasnt_column('b', 'people', 'factmerge_provenance', 'views left alone: in the destination, too');
DROP VIEW a.elder, a."The Young";
DROP MATERIALIZED VIEW a.people;
\set output `psql -X -q -A -t -c "SELECT FROM factmerge_merge('a', 'b')" 2>&1`
SELECT is(printed(:'output'), '', 'no notice without views');

--
-- What stays unresolved is copied, and said so
--
CALL make(
    'CREATE TABLE folder (id serial PRIMARY KEY, parent integer REFERENCES folder, name text,
        UNIQUE NULLS NOT DISTINCT (parent, name))',
    $$INSERT INTO folder (id, parent, name) VALUES (1, 1, 'root'), (2, 1, 'etc'), (3, NULL, 'tmp'), (4, 3, 'new'),
        (5, NULL, 'home')$$,
    $$INSERT INTO folder (parent, name) VALUES (1, 'root'), (1, 'etc'), (NULL, 'tmp'), (NULL, 'var')$$);
\set output `psql -X -q -A -t -c "SELECT copied FROM factmerge_merge('a', 'b')" 2>&1`
-- Two are in a circle or hang on it; "new" and "home" are new without doubt
SELECT matches(printed(:'output'),
    '^NOTICE: [^\n]*"folder"[^\n]*circle[^\n]*\nDETAIL: [^\n]*\m2 facts[^\n]*copied[^\n]*\nHINT: [^\n]*\n4$',
    'unresolved facts are copied with a notice');
SELECT results_eq('SELECT name, factmerge_provenance::text FROM b.folder ORDER BY 1, 2',
    $$VALUES ('etc', 'destination'), ('etc', 'source'), ('home', 'source'), ('new', 'source'), ('root', 'destination'),
        ('root', 'source'), ('tmp', 'both'), ('var', 'destination')$$,
    'unresolved facts are copied');
\set output `psql -X -q -A -t -c "SELECT copied FROM factmerge_merge('a', 'b')" 2>&1`
SELECT is(printed(:'output'), '0', 'unresolved facts: once only');

CALL make(
    'CREATE TABLE place (id serial PRIMARY KEY, founder integer, name text, UNIQUE NULLS NOT DISTINCT (founder, name));
     CREATE TABLE person (id serial PRIMARY KEY, birthplace integer NOT NULL REFERENCES place, name text,
         UNIQUE (birthplace, name));
     ALTER TABLE place ADD FOREIGN KEY (founder) REFERENCES person DEFERRABLE INITIALLY DEFERRED',
    $$INSERT INTO place (name, founder) VALUES ('Rome', 1), ('Eden', NULL);
        INSERT INTO person (name, birthplace) VALUES ('Romulus', 1), ('Abel', 2), ('Remus', 1)$$,
    $$INSERT INTO place (name, founder) VALUES ('Eden', NULL), ('Rome', 1);
        INSERT INTO person (name, birthplace) VALUES ('Romulus', 2), ('Cain', 1)$$);
\set output `psql -X -q -A -t -c "SELECT copied FROM factmerge_merge('a', 'b')" 2>&1`
SELECT matches(printed(:'output'), '"person"[^\n]*\nDETAIL:  2 facts are copied',
    'unresolved facts of mutually circular tables are copied with a notice');
SELECT matches(printed(:'output'), '"place"[^\n]*\nDETAIL:  1 fact is copied', '... for each of the tables');

--
-- Temporary tables as a source
--
CALL make(
    'CREATE TABLE person (id serial PRIMARY KEY, mail text UNIQUE, name text);
        CREATE TABLE deed (person integer REFERENCES person, deed text, PRIMARY KEY (person, deed))', '',
    $$INSERT INTO person (mail, name) VALUES ('dot@x', 'Dot'), ('bob@x', 'Robert');
        INSERT INTO deed VALUES (1, 'sang'), (2, 'sang')$$);
\set output `psql -X -q -A -t -v name=Ada -f test/tap/include/temporary.sql 2>&1`
SELECT is(printed(:'output'),
    E'2 in both, 2 copied, 1 conflicts\n2 in both, 2 copied, 1 conflicts\n4 in both, 0 copied, 1 conflicts\nWARNING:  cannot merge into temporary tables\n1|Ada\n2|Bob',
    'temporary tables as a source, but not as a destination');
\set facts 'SELECT name, mail, deed, p.factmerge_provenance::text, d.factmerge_provenance::text FROM b.person p JOIN b.deed d ON person = id ORDER BY name'
SELECT results_eq(:'facts', $$VALUES ('Ada', NULL, 'sang', 'source', 'source'),
    ('Dot', 'dot@x', 'sang', 'destination', 'destination'), ('Robert', 'bob@x', 'sang', 'both', 'both')$$,
    'temporary tables as a source: facts, references, provenance');
SELECT is(broken_references('b'), NULL, 'temporary tables as a source: every reference holds');
SELECT is_empty('SELECT FROM pg_class WHERE relpersistence = ''t'' AND oid IN (SELECT map FROM factmerge.key_map)',
    'temporary tables as a source: what is kept of the merge is not temporary');
-- Another session's number 1 is somebody else
\set output `psql -X -q -A -t -v name=Eve -f test/tap/include/temporary.sql 2>&1`
SELECT is(printed(:'output'),
    E'2 in both, 2 copied, 1 conflicts\n2 in both, 2 copied, 1 conflicts\n4 in both, 0 copied, 1 conflicts\nWARNING:  cannot merge into temporary tables\n1|Eve\n2|Bob',
    'temporary tables of another session are another source');
SELECT results_eq('SELECT name FROM b.person ORDER BY 1', $$VALUES ('Ada'), ('Dot'), ('Eve'), ('Robert')$$,
    '... whose facts are its own');

SELECT * FROM finish();
