-- Part of shapes_*.sql and real_*.sql: two schemas of any shape, a the source and b the
-- destination, and the two things that can become of them:
--
--	merges()	the merge goes well, and everything is where it belongs
--	refuses()	an error says what is wrong, and nothing has changed
--
-- Both are called with the name of a shape, which makes the tests' names.

SET client_min_messages = warning;

-- Runs statements with a schema first on the search_path, so that the same
-- ones can be run in both
CREATE PROCEDURE in_schema(schema name, statements text) LANGUAGE plpgsql AS $body$
DECLARE
    path text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', quote_ident(schema) || ', pg_catalog, public', true);
    EXECUTE statements;
    PERFORM set_config('search_path', path, true);
END $body$;

-- Makes both schemas anew: tables are for both of them, or for the source
-- alone if the destination has others; then come the facts of either
CREATE PROCEDURE make(tables text, source text DEFAULT '', destination text DEFAULT '',
                      destination_tables text DEFAULT NULL) LANGUAGE plpgsql AS $body$
BEGIN
    DROP SCHEMA IF EXISTS a, b CASCADE;
    CREATE SCHEMA a;
    CREATE SCHEMA b;
    CALL in_schema('a', tables);
    CALL in_schema('b', coalesce(destination_tables, tables));
    CALL in_schema('a', source);
    CALL in_schema('b', destination);
    -- What is deferred is not to wait for the end of the test
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
END $body$;

-- The columns of a table as a row, without those that factmerge adds
CREATE FUNCTION user_columns(relation regclass) RETURNS text LANGUAGE sql AS $body$
    SELECT format('ROW(%s)', string_agg(quote_ident(attname), ', ' ORDER BY attname COLLATE "C"))
    FROM pg_catalog.pg_attribute
    WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
        AND attname NOT IN ('factmerge_provenance', 'factmerge_merge')
$body$;

-- All facts of a schema as the user sees them
CREATE FUNCTION facts_of(schema name) RETURNS text[] LANGUAGE plpgsql AS $body$
DECLARE
    relation regclass;
    facts text[] := '{}';
    part text[];
BEGIN
    FOR relation IN
        SELECT oid FROM pg_catalog.pg_class
        WHERE relnamespace = schema::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        ORDER BY relname COLLATE "C"
    LOOP
        EXECUTE format('SELECT array_agg(%L || row::text ORDER BY row::text COLLATE "C") FROM (SELECT %s AS row FROM %s t) x',
                       relation || ' ', user_columns(relation), relation) INTO part;
        facts := facts || part;
    END LOOP;
    RETURN facts;
END $body$;

-- Whatever a merge could change in some schemas: rows with tags, columns,
-- constraints, indexes, triggers and sequences (but for factmerge's own ones)
CREATE FUNCTION state(VARIADIC schemas name[]) RETURNS text[] LANGUAGE plpgsql AS $body$
DECLARE
    relation record;
    lines text[] := '{}';
    part text[];
BEGIN
    FOR relation IN
        SELECT c.oid, c.oid::regclass AS name, relkind, relpersistence
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        WHERE nspname = ANY (schemas) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND NOT (nspname = 'factmerge' AND relkind = 'S')
        ORDER BY nspname, relname COLLATE "C"
    LOOP
        lines := lines || format('%s %s %s', relation.relkind, relation.relpersistence, relation.name);
        IF relation.relkind IN ('r', 'm') THEN
            EXECUTE format('SELECT array_agg(%L || (t.*)::text ORDER BY (t.*)::text COLLATE "C") FROM %s t',
                           'row of ' || relation.name || ' ', relation.name) INTO part;
        ELSIF relation.relkind = 'S' THEN
            EXECUTE format('SELECT ARRAY[format(''sequence %%s at %%s %%s'', %L, last_value, is_called)] FROM %s',
                           relation.name, relation.name) INTO part;
        ELSE
            part := NULL;
        END IF;
        lines := lines || part || ARRAY(
            SELECT format('column %s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull,
                          pg_get_expr(adbin, adrelid))
            FROM pg_catalog.pg_attribute LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid = relation.oid AND attnum > 0 ORDER BY attnum)
        || ARRAY(
            SELECT format('constraint %s %s %s', conname, convalidated, pg_get_constraintdef(oid))
            FROM pg_catalog.pg_constraint WHERE conrelid = relation.oid ORDER BY conname COLLATE "C")
        || ARRAY(
            SELECT format('index %s %s %s', indisvalid, indisready, pg_get_indexdef(indexrelid))
            FROM pg_catalog.pg_index WHERE indrelid = relation.oid ORDER BY 1)
        || ARRAY(
            SELECT format('trigger %s %s', tgname, tgenabled)
            FROM pg_catalog.pg_trigger WHERE tgrelid = relation.oid AND NOT tgisinternal ORDER BY tgname COLLATE "C");
    END LOOP;
    RETURN lines || ARRAY(
        SELECT 'temporary ' || relname FROM pg_catalog.pg_class
        WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'factmerge%');
END $body$;

-- What one has and the other lacks, for a failed test to show
CREATE FUNCTION difference(before text[], after text[], sequences boolean DEFAULT true) RETURNS text LANGUAGE sql AS $body$
    SELECT string_agg(line, E'\n') FROM (
        SELECT 'gone: ' || line FROM (SELECT unnest(before) EXCEPT ALL SELECT unnest(after)) g (line)
        UNION ALL
        SELECT 'new: ' || line FROM (SELECT unnest(after) EXCEPT ALL SELECT unnest(before)) n (line)) x (line)
    WHERE sequences OR line !~ '^(gone|new): sequence '
$body$;

-- The foreign keys of a schema that the server itself would not take now
CREATE FUNCTION broken_references(schema name) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    key record;
    broken text;
BEGIN
    FOR key IN
        SELECT conrelid::regclass AS relation, replace(pg_get_constraintdef(oid), ' NOT VALID', '') AS definition
        FROM pg_catalog.pg_constraint
        WHERE contype = 'f' AND connamespace = schema::regnamespace AND conparentid = 0
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT proof %s', key.relation, key.definition);
            RAISE SQLSTATE 'ZZ000';
        EXCEPTION
            WHEN SQLSTATE 'ZZ000' THEN NULL;
            WHEN foreign_key_violation THEN broken := concat_ws(E'\n', broken, SQLERRM);
        END;
    END LOOP;
    RETURN broken;
END $body$;

-- What a merge comes to: its totals, or its error
CREATE TYPE outcome AS (
    merge_id bigint, source_facts bigint, in_both bigint, copied bigint, conflicts bigint, derived bigint,
    code text, error text);

CREATE FUNCTION attempt(dry_run boolean DEFAULT false, source name DEFAULT 'a', destination name DEFAULT 'b')
RETURNS outcome LANGUAGE plpgsql AS $body$
DECLARE
    result outcome;
    message text;
    detail text;
    hint text;
BEGIN
    SELECT m.merge_id, m.source_facts, m.in_both, m.copied, m.conflicts, m.derived INTO result
    FROM factmerge_merge(source, destination, dry_run) m;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    result.code := SQLSTATE;
    result.error := concat_ws(E'\n', message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
    RETURN result;
END $body$;

-- What a preview makes of it
CREATE FUNCTION foresee() RETURNS outcome LANGUAGE plpgsql AS $body$
DECLARE
    result outcome;
BEGIN
    SELECT sum(facts) FILTER (WHERE outcome = 'in both'), sum(facts) FILTER (WHERE outcome = 'copied')
    INTO result.in_both, result.copied
    FROM factmerge_preview('a', 'b', 0);
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    result.code := SQLSTATE;
    result.error := SQLERRM;
    RETURN result;
END $body$;

CREATE FUNCTION words(o outcome) RETURNS text LANGUAGE sql AS $body$
    SELECT coalesce((o).code || ' ' || (o).error,
                    format('%s in both, %s copied, %s conflicts', (o).in_both, (o).copied, (o).conflicts))
$body$;

-- How many facts of a schema have the tag of a merge
CREATE FUNCTION tagged(schema name, merge_id bigint, tag text) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    relation regclass;
    part bigint;
    total bigint := 0;
BEGIN
    FOR relation IN
        SELECT oid FROM pg_catalog.pg_class c
        WHERE relnamespace = schema::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname = 'factmerge_merge')
    LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE factmerge_merge = $1 AND factmerge_provenance::text = $2', relation)
        INTO part USING merge_id, tag;
        total := total + part;
    END LOOP;
    RETURN total;
END $body$;

-- The rows of a query, one a line
CREATE FUNCTION rows_of(query text) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    lines text;
BEGIN
    EXECUTE format('SELECT string_agg((x.*)::text, E''\n'') FROM (%s) x', query) INTO lines;
    RETURN lines;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $body$;

-- The merge of a into b comes to these totals and these facts (rows of a query,
-- one a line), loses and alters nothing, and does nothing when repeated
CREATE FUNCTION merges(shape text, totals text, query text, expected text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    before text[] := state('a', 'b', 'factmerge');
    source_before text[] := state('a');
    facts_before text[] := facts_of('b');
    preview outcome := foresee();
    after_preview text[] := state('a', 'b', 'factmerge');
    dry outcome := attempt(true);
    after_dry text[] := state('a', 'b', 'factmerge');
    merged outcome := attempt(false);
    after text[] := state('b');
    again outcome := attempt(false);
BEGIN
    RETURN NEXT is(words(merged), totals, shape);
    RETURN NEXT is(rows_of(query), btrim(regexp_replace(expected, '\n *', E'\n', 'g'), E'\n '),
                   shape || ': facts, references, provenance');
    RETURN NEXT is(concat_ws(E'\n',
        CASE WHEN (preview.in_both, preview.copied) IS DISTINCT FROM (merged.in_both, merged.copied)
            THEN 'a preview says: ' || words(preview) END,
        'a preview leaves: ' || difference(before, after_preview),
        CASE WHEN words(dry) <> words(merged) THEN 'a dry run says: ' || words(dry) END,
        'a dry run leaves: ' || difference(after_preview, after_dry),
        'the source changes: ' || difference(source_before, state('a')),
        'the destination loses: ' || (SELECT string_agg(f, E'\n')
            FROM (SELECT unnest(facts_before) EXCEPT ALL SELECT unnest(facts_of('b'))) x (f)),
        'a reference is broken: ' || broken_references('b'),
        CASE WHEN merged.source_facts <> merged.in_both + merged.copied THEN 'the totals do not add up' END,
        CASE WHEN cardinality(facts_of('b')) <> cardinality(facts_before) + merged.copied + merged.derived
            THEN 'copied is not what was written' END,
        CASE WHEN tagged('b', merged.merge_id, 'source') <> merged.copied THEN 'not all that was copied has the tag' END),
        '', shape || ': nothing lost, altered or invented');
    RETURN NEXT is(concat_ws(E'\n',
        CASE WHEN (again.in_both, again.copied, again.conflicts) IS DISTINCT FROM (merged.source_facts, 0::bigint, 0::bigint)
            THEN words(again) END,
        difference(after, state('b'))),
        '', shape || ': merging again changes nothing');
END $body$;

-- The merge of a into b ends with an error whose message, detail and hint match
-- a regular expression, and changes nothing.  An early one is found before
-- anything is written: no sequence has moved, and a preview finds it as well.
CREATE FUNCTION refuses(shape text, code text, pattern text, early boolean DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    before text[] := state('a', 'b', 'factmerge');
    preview outcome := foresee();
    dry outcome := attempt(true);
    merged outcome := attempt(false);
    after text[] := state('a', 'b', 'factmerge');
BEGIN
    RETURN NEXT is(merged.code, code, shape);
    RETURN NEXT matches(words(merged), pattern, shape || ': the error says why');
    RETURN NEXT is(concat_ws(E'\n',
        CASE WHEN early AND words(preview) <> split_part(words(merged), E'\n', 1)
            THEN 'a preview says: ' || words(preview) END,
        CASE WHEN split_part(words(dry), E'\n', 1) <> split_part(words(merged), E'\n', 1)
            THEN 'a dry run says: ' || words(dry) END,
        difference(before, after, early)),
        '', shape || ': nothing has changed');
END $body$;
