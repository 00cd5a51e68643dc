-- After each merge, and after each undo, all foreign keys from and to the destination
-- have to hold.  Whatever database has this extension before it gets factmerge looks
-- after that by itself, so that no test has to remember it: the history's entry of the
-- merge, which is written last, sets it off.  Foreign keys that are deferred have to hold
-- when the transaction ends.
\echo Use "CREATE EXTENSION factmerge_orphans" to load this file. \quit

CREATE SCHEMA factmerge_orphans;
GRANT USAGE ON SCHEMA factmerge_orphans TO PUBLIC;

-- The foreign keys from and to a schema, and the SQL that finds a row which breaks each
CREATE VIEW factmerge_orphans.foreign_key AS
SELECT k.oid, k.conname, k.condeferred, k.conrelid::regclass AS relation, r.relnamespace AS schema, f.relnamespace AS target_schema,
    format('SELECT to_jsonb(x) FROM %s%s AS x WHERE %s AND NOT EXISTS (SELECT FROM %s%s AS y WHERE %s)%s LIMIT 1',
           CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, k.conrelid::regclass, c.present,
           CASE f.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, k.confrelid::regclass, c.meant,
           CASE k.confmatchtype WHEN 'f' THEN format(' OR num_nulls(%s) BETWEEN 1 AND %s', c.columns, cardinality(k.conkey) - 1) ELSE '' END) AS query
FROM pg_constraint AS k
JOIN pg_class AS r ON r.oid = k.conrelid
JOIN pg_class AS f ON f.oid = k.confrelid
CROSS JOIN LATERAL (
    SELECT string_agg(format('x.%I IS NOT NULL', a.attname), ' AND ') AS present,
        string_agg(format('x.%I', a.attname), ', ') AS columns,
        string_agg(format('y.%I OPERATOR(%I.%s) x.%I%s', b.attname, n.nspname, o.oprname, a.attname, ' COLLATE ' || NULLIF(b.attcollation, 0)::regcollation),
                   ' AND ') AS meant
    FROM ROWS FROM (unnest(k.conkey), unnest(k.confkey), unnest(k.conpfeqop)) AS c (referring, referred, operator)
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.referring
    JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = c.referred
    JOIN pg_operator AS o ON o.oid = c.operator
    JOIN pg_namespace AS n ON n.oid = o.oprnamespace) AS c
-- Not those that nobody keeps (PostgreSQL 18), nor those that several rows may meet together
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.convalidated
    AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AND NOT coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false);

CREATE FUNCTION factmerge_orphans.look() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Version 1.0 knows it by name alone
    destination oid := coalesce((SELECT relnamespace FROM pg_class WHERE oid::regclass::text = to_jsonb(NEW) ->> 'destination_table'),
                                (SELECT oid FROM pg_namespace WHERE nspname = NEW.destination));
    key record;
    orphan jsonb;
BEGIN
    FOR key IN SELECT * FROM factmerge_orphans.foreign_key AS f
        WHERE (f.schema = destination OR f.target_schema = destination) AND f.condeferred::text = TG_ARGV[0]
    LOOP
        EXECUTE key.query INTO orphan;
        IF orphan IS NOT NULL THEN
            RAISE 'merge % has left an orphan', NEW.merge_id USING ERRCODE = 'assert_failure',
                DETAIL = format('Foreign key %I of %s does not hold for %s.', key.conname, key.relation, orphan);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION factmerge_orphans.look_after() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_type = 'extension' AND object_identity = 'factmerge') THEN
        CREATE TRIGGER factmerge_orphans AFTER UPDATE ON factmerge.merge
            FOR EACH ROW EXECUTE FUNCTION factmerge_orphans.look(false);
        CREATE CONSTRAINT TRIGGER factmerge_orphans_later AFTER UPDATE ON factmerge.merge
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION factmerge_orphans.look(true);
    END IF;
END
$$;

CREATE EVENT TRIGGER factmerge_orphans ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION')
    EXECUTE FUNCTION factmerge_orphans.look_after();
