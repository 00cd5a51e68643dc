-- Part of real_*.sql: what an application asks of a merged database beside the
-- right facts
\ir shapes.sql

-- The sequences of a schema that would draw a key which is there already
CREATE FUNCTION sequences_behind(schema name) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
    key record;
    behind text;
    greatest_key bigint;
    next_key bigint;
BEGIN
    FOR key IN
        SELECT a.attrelid::regclass AS relation, quote_ident(a.attname) AS name, s.oid::regclass AS sequence
        FROM pg_class s
        JOIN pg_depend d ON d.refobjid = s.oid AND d.classid = 'pg_attrdef'::regclass
        JOIN pg_attrdef f ON f.oid = d.objid
        JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
        WHERE s.relkind = 'S' AND a.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = schema::regnamespace)
        UNION
        SELECT a.attrelid::regclass, quote_ident(a.attname), d.objid::regclass
        FROM pg_attribute a
        JOIN pg_depend d ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
            AND d.classid = 'pg_class'::regclass
        WHERE a.attidentity <> '' AND a.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = schema::regnamespace)
    LOOP
        EXECUTE format('SELECT max(%s) FROM %s', key.name, key.relation) INTO greatest_key;
        EXECUTE format('SELECT last_value + is_called::integer FROM %s', key.sequence) INTO next_key;
        IF greatest_key >= next_key THEN
            behind := concat_ws(', ', behind, format('%s at %s, %s.%s at %s', key.sequence, next_key,
                                                     key.relation, key.name, greatest_key));
        END IF;
    END LOOP;
    RETURN behind;
END $body$;

-- The schema goes on working: its sequences are ahead of its keys, and a
-- statement of the application's succeeds with the schema first on the path
CREATE FUNCTION works_on(application text, statements text) RETURNS SETOF text LANGUAGE plpgsql AS $body$
DECLARE
    failure text;
BEGIN
    RETURN NEXT is(sequences_behind('b'), NULL, application || ': every sequence is ahead of its keys');
    BEGIN
        CALL in_schema('b', statements);
        SET CONSTRAINTS ALL IMMEDIATE;
        RAISE SQLSTATE 'ZZ000';
    EXCEPTION
        WHEN SQLSTATE 'ZZ000' THEN NULL;
        WHEN OTHERS THEN failure := SQLERRM;
    END;
    RETURN NEXT is(failure, NULL, application || ': life goes on');
END $body$;

-- What the source calls a fact of the destination, if it has it: an id for an
-- id, as references without a foreign key have to be told
CREATE FUNCTION source_id(relation regclass, id bigint) RETURNS bigint LANGUAGE sql STABLE AS $body$
    SELECT (source_key ->> 'id')::bigint FROM factmerge_origin(relation, id) WHERE source = 'a'
$body$;
