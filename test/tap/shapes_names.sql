-- Names: of tables, columns, types, constraints and schemas, whatever they hold,
-- and whatever else is called so
BEGIN;
\ir include/shapes.sql
SELECT plan(109);

-- Two tables of which one refers to the other, with a type and constraints, all
-- of them with names that are given
CREATE FUNCTION named(shape text, person text, deed text, id text, name text, ref text, kind text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(
        format($$CREATE TYPE %6$I AS ENUM ('x', 'y');
            CREATE TABLE %1$I (%3$I serial CONSTRAINT %4$I PRIMARY KEY, %4$I text CONSTRAINT %5$I UNIQUE, %6$I %6$I);
            CREATE TABLE %2$I (%5$I integer CONSTRAINT %5$I REFERENCES %1$I, %4$I text, PRIMARY KEY (%5$I, %4$I))$$,
            person, deed, id, name, ref, kind),
        format($$INSERT INTO %1$I (%3$I, %4$I) VALUES ('x', 'Ada'), ('y', 'Bob');
            INSERT INTO %2$I VALUES (1, 'sang'), (2, 'sang')$$, person, deed, kind, name),
        format($$INSERT INTO %1$I (%3$I, %4$I) VALUES ('x', 'Cid'), ('x', 'Bob');
            INSERT INTO %2$I VALUES (1, 'sang'), (2, 'sang')$$, person, deed, kind, name));
    RETURN QUERY SELECT merges(shape, '2 in both, 2 copied, 1 conflicts',
        format('SELECT p.%4$I, p.%6$I, d.%4$I, p.factmerge_provenance AS p, d.factmerge_provenance AS d FROM b.%1$I p
            JOIN b.%2$I d ON d.%5$I = p.%3$I ORDER BY 1',
            person, deed, id, name, ref, kind),
        '(Ada,x,sang,source,source)
         (Bob,x,sang,both,both)
         (Cid,x,sang,destination,destination)');
    RETURN NEXT is(rows_of(
        format('SELECT c.fact_table, key, column_name, source_value, o.source, source_key, r.fact_table
                FROM (SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0) AS met (id), factmerge_conflicts(met.id) c,
                    factmerge_origin(%L, 2) o, factmerge_report(met.id) r WHERE r.conflicts > 0',
                    'b.' || quote_ident(person))),
        ROW('b.' || quote_ident(person), jsonb_build_object(id, 2), kind, 'y', 'a', jsonb_build_object(id, 2), person)::text,
        shape || ': conflicts, origin and report know them');
END $body$;
SELECT named('mixed case', 'Person', 'person', 'Id', 'ID', 'personId', 'Kind');
SELECT named('reserved words', 'select', 'user', 'from', 'order', 'references', 'table');
SELECT named('quotes', 'the "one"', 'it''s', '"', '''', '""''''', '$$');
SELECT named('blanks, dots and backslashes', 'a b', 'a.b', ' ', '.', '\', E'tab\tnew\nline');
SELECT named('what would end a statement or a comment', 'x; DROP TABLE y; --', '/* x', '--', '*/', ');', '}');
SELECT named('what formats and parameters are made of', '%s', '%I %L', '$1', '%1$s', ':x', '%%');
SELECT named('braces, commas and brackets', '{a,b}', '{}', 'a,b', '(a)', '[1]', '"{');
SELECT named('digits, signs and operators', '1', '2e3', '+', '= ANY', '@', '::text');
SELECT named('unicode', 'πρόσωπο', '人', 'é', E'e\u0301', '🜚', E'ʼn\u202ex');
SELECT named('63 bytes', repeat('p', 63), repeat('p', 62) || 'q', repeat('i', 63), repeat('i', 62) || 'j', repeat('i', 62) || 'k',
    repeat('t', 63));
SELECT named('63 bytes of several a character', repeat('語', 21), repeat('語', 20) || '语', repeat('🜚', 15) || 'éx',
    repeat('é', 31) || 'x', repeat('é', 31) || 'y', repeat('é', 31));
SELECT named('names that generated statements use', 's', 'd', 'source', 'destination', 'm', 'x');
SELECT named('names that key maps use', 'map', 'key_map_1', 'source_1', 'destination_1', 'in_both', 'merge_id');
SELECT named('names that factmerge uses', 'factmerge', 'merge', 'factmerge_merge_id', 'conflict', 'provenance', 'factmerge_origin');
SELECT named('names that triggers and conflicts use', 'new', 'old', 'fact', 'excluded', 'value', 'key');
SELECT named('names of the system''s tables and types', 'pg_class', 'pg_type', 'oid', 'relname', 'xmin2', 'regclass');
SELECT named('names of the system''s functions', 'count', 'nextval', 'now', 'row_number', 'coalesce', 'int4');

-- Every word of the language as a column, and every reserved one as a table
SELECT string_agg(format('CREATE TABLE %1$I (%1$I pg_catalog.text PRIMARY KEY);
    INSERT INTO %1$I VALUES (current_schema), (''both'');', word), ' ') FILTER (WHERE catcode IN ('R', 'T')) AS tables,
    string_agg(format('%I integer', word), ', ') AS columns, count(*) FILTER (WHERE catcode IN ('R', 'T')) AS count
FROM pg_get_keywords() \gset
CALL make(:'tables');
SELECT is(words(attempt()), format('%1$s in both, %1$s copied, 0 conflicts', :count), 'every reserved word as a table');
SELECT is(words(attempt()), format('%s in both, 0 copied, 0 conflicts', 2 * :count),
    'every reserved word as a table: merging again changes nothing');
CALL make('CREATE TABLE word (' || :'columns' || ')', 'INSERT INTO word ("select", "all", "zone") VALUES (1, 2, 3), (1, 2, 4)',
    'INSERT INTO word ("zone", "all", "select") VALUES (3, 2, 1), (3, 3, 3)');
SELECT merges('every word of the language as a column', '1 in both, 1 copied, 0 conflicts',
    'SELECT "select", "all", "zone", factmerge_provenance FROM b.word ORDER BY 1, 2, 3',
    '(1,2,3,both)
     (1,2,4,source)
     (3,3,3,destination)');

--
-- Schemas
--
CREATE FUNCTION renamed(shape text, source name, destination name) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make('CREATE TYPE mood AS ENUM (''sad'', ''ok'');
        CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE, mood mood);
        CREATE TABLE deed (person integer REFERENCES person, deed text)',
        $$INSERT INTO person (name, mood) VALUES ('Ada', 'ok'), ('Bob', 'ok'); INSERT INTO deed VALUES (1, 'sang'), (2, 'sang')$$,
        $$INSERT INTO person (name, mood) VALUES ('Cid', 'ok'), ('Bob', 'sad'); INSERT INTO deed VALUES (2, 'sang')$$);
    EXECUTE format('ALTER SCHEMA a RENAME TO %I; ALTER SCHEMA b RENAME TO %I', source, destination);
    RETURN NEXT is(ARRAY[words(attempt(true, source, destination)), words(attempt(false, source, destination)),
        words(attempt(false, source, destination))],
        ARRAY['2 in both, 2 copied, 1 conflicts', '2 in both, 2 copied, 1 conflicts', '4 in both, 0 copied, 0 conflicts'], shape);
    RETURN NEXT results_eq(format('SELECT name, mood::text, deed, d.factmerge_provenance::text FROM %1$I.person
        LEFT JOIN %1$I.deed d ON person = id ORDER BY 1', destination),
        $$VALUES ('Ada', 'ok', 'sang', 'source'), ('Bob', 'sad', 'sang', 'both'), ('Cid', 'ok', NULL, NULL)$$,
            shape || ': facts, references, provenance');
    RETURN NEXT is(rows_of(format('SELECT DISTINCT o.source, c.fact_table FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0)) c, factmerge_origin(%L, 2) o',
        format('%I.person', destination))),
        ROW(source, format('%I.person', destination))::text, shape || ': conflicts and origin know them');
    EXECUTE format('DROP SCHEMA %I, %I CASCADE', source, destination);
END $body$;
SELECT renamed('schemas in mixed case', 'Data', 'DATA');
SELECT renamed('schemas with quotes', 'the "old"; --', 'it''s \ %s $1');
SELECT renamed('schemas of reserved words', 'select', 'public.table');
SELECT renamed('schemas of 63 bytes', repeat('s', 63)::name, (repeat('s', 62) || 't')::name);
SELECT renamed('schemas in unicode', '資料', 'données');
SELECT renamed('schemas that generated statements name', 'source', 'destination');

SELECT * FROM finish();
ROLLBACK;
