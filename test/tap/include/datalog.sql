-- Datalog programs as rules.  A program is a row of table program; check_program() splits random facts over two
-- schemas, lets rules saturate either, merges, and compares with one schema that was given everything, and with an
-- oracle that knows nothing of factmerge: the rules' queries, carried out over and over until nothing is new.

CREATE TABLE program (
    name text PRIMARY KEY,
    ddl text NOT NULL,          -- run with the schema on the search path
    rules text[] NOT NULL,      -- target and query of each in turn
    facts text NOT NULL,        -- a query for base facts: tab text, fact jsonb
    loads jsonb NOT NULL DEFAULT '{}',  -- by table, how a set of facts ($1, a jsonb array) is entered
    shows jsonb NOT NULL DEFAULT '{}');  -- by table, a query that shows its facts without their keys

CREATE PROCEDURE make_program(schema name, program program, with_rules boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    PERFORM set_config('search_path', format('%I, public', schema), true);
    EXECUTE program.ddl;
    FOR i IN 1 .. CASE WHEN with_rules THEN cardinality(program.rules) / 2 ELSE 0 END LOOP
        PERFORM factmerge_add_rule('rule ' || i, program.rules[2 * i - 1], program.rules[2 * i]);
    END LOOP;
    SET LOCAL search_path = public;
END $$;

-- Facts arrive in a random order, one by one or by the handful
CREATE PROCEDURE load_facts(schema name, program program, which text) LANGUAGE plpgsql AS $$
DECLARE
    batch record;
    load text;
BEGIN
    PERFORM set_config('search_path', format('%I, public', schema), true);
    FOR batch IN EXECUTE format('
            SELECT tab, jsonb_agg(fact) AS facts
            FROM (SELECT tab, fact, CASE WHEN random() < 0.5 THEN random() ELSE floor(random() * 3) END AS batch
                  FROM base WHERE %s) AS drawn
            GROUP BY tab, batch ORDER BY random()', which) LOOP
        load := coalesce(program.loads ->> batch.tab,
            format('INSERT INTO %1$I SELECT * FROM jsonb_populate_recordset(NULL::%1$I, $1) ON CONFLICT DO NOTHING', batch.tab));
        EXECUTE load USING batch.facts;
    END LOOP;
    SET LOCAL search_path = public;
END $$;

-- All facts of a schema in words
CREATE FUNCTION show_program(schema name, program program) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    tab name;
BEGIN
    PERFORM set_config('search_path', format('%I, public', schema), true);
    FOR tab IN SELECT relname FROM pg_class WHERE relnamespace = schema::regnamespace AND relkind = 'r' LOOP
        RETURN QUERY EXECUTE coalesce(format('SELECT %L || x::text FROM (', tab) || (program.shows ->> tab::text) || ') AS x',
            format('SELECT %L || (to_jsonb(this_fact) - ''factmerge_provenance'' - ''factmerge_merge'')::text FROM %I AS this_fact', tab, tab));
    END LOOP;
    SET LOCAL search_path = public;
END $$;

-- The oracle
CREATE PROCEDURE saturate_naively(schema name, program program) LANGUAGE plpgsql AS $$
DECLARE
    target text;
    columns text;
    added bigint;
    news bigint := 1;
BEGIN
    PERFORM set_config('search_path', format('%I, public', schema), true);
    WHILE news > 0 LOOP
        news := 0;
        FOR i IN 1 .. cardinality(program.rules) / 2 LOOP
            target := program.rules[2 * i - 1];
            columns := substring(target FROM '\((.*)\)');
            EXECUTE format('INSERT INTO %s SELECT * FROM (%s) AS q EXCEPT SELECT %s FROM %s',
                target, program.rules[2 * i], columns, split_part(target, '(', 1));
            GET DIAGNOSTICS added = ROW_COUNT;
            news := news + added;
        END LOOP;
    END LOOP;
    SET LOCAL search_path = public;
END $$;

-- What is wrong with a program on so many random splits; nothing, it is to be hoped
CREATE FUNCTION check_program(wanted text, splits integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    program program;
    totals record;
    derived bigint := 0;
BEGIN
    SELECT * INTO STRICT program FROM program WHERE name = wanted;
    CREATE TEMPORARY TABLE base (tab text, fact jsonb, side double precision);
    FOR split IN 1 .. splits LOOP
        PERFORM setseed(split / 100.0);
        TRUNCATE base;
        EXECUTE 'INSERT INTO base SELECT DISTINCT tab, fact FROM (' || program.facts || ') AS f (tab, fact)';
        UPDATE base SET side = random();
        CALL make_program('a', program, true);
        CALL make_program('b', program, true);
        CALL make_program('whole', program, true);
        CALL make_program('oracle', program, false);
        CALL load_facts('a', program, 'side < 0.67');
        CALL load_facts('b', program, 'side > 0.33');
        CALL load_facts('whole', program, 'true');
        CALL load_facts('oracle', program, 'true');
        CALL saturate_naively('oracle', program);

        IF factmerge_saturate('a') + factmerge_saturate('b') + factmerge_saturate('whole') > 0 THEN
            RETURN NEXT format('split %s: the triggers have not kept the rules saturated', split);
        END IF;
        RETURN QUERY SELECT format('split %s: %s by triggers: %s', split, how, fact) FROM (
            (SELECT 'missing', f FROM show_program('oracle', program) f EXCEPT ALL SELECT 'missing', f FROM show_program('whole', program) f)
            UNION ALL
            (SELECT 'too much', f FROM show_program('whole', program) f EXCEPT ALL SELECT 'too much', f FROM show_program('oracle', program) f)
            ) AS d (how, fact) LIMIT 3;

        PERFORM set_config('factmerge.rebuild_indexes', CASE split % 2 WHEN 0 THEN 'on' ELSE 'auto' END, true);
        SELECT * INTO totals FROM factmerge_merge('a', 'b');
        derived := derived + totals.derived;
        RETURN QUERY SELECT format('split %s: %s by the merge: %s', split, how, fact) FROM (
            (SELECT 'missing', f FROM show_program('whole', program) f EXCEPT ALL SELECT 'missing', f FROM show_program('b', program) f)
            UNION ALL
            (SELECT 'too much', f FROM show_program('b', program) f EXCEPT ALL SELECT 'too much', f FROM show_program('whole', program) f)
            ) AS d (how, fact) LIMIT 3;
        IF factmerge_saturate('b') > 0 THEN
            RETURN NEXT format('split %s: not saturated after the merge', split);
        END IF;
        SELECT * INTO totals FROM factmerge_merge('a', 'b');
        IF totals.copied + totals.derived > 0 THEN
            RETURN NEXT format('split %s: merged again, %s copied and %s derived', split, totals.copied, totals.derived);
        END IF;
        SET LOCAL client_min_messages = warning;
        DROP SCHEMA a, b, whole, oracle CASCADE;
    END LOOP;
    DROP TABLE base;
    IF derived = 0 THEN
        RETURN NEXT 'no merge has derived anything';
    END IF;
END $$;
