/*
 * handler-statement.sql
 *
 * Two-hop paths by a statement-level trigger: all edges of one INSERT at once.
 */
CREATE FUNCTION :schema.derive_paths()
RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO :schema.path (a, c)
    SELECT fresh.a, onward.b
    FROM new_edge AS fresh
    JOIN :schema.edge AS onward ON onward.a = fresh.b
    UNION
    SELECT backward.a, fresh.b
    FROM new_edge AS fresh
    JOIN :schema.edge AS backward ON backward.b = fresh.a
    ON CONFLICT (a, c) DO NOTHING;
    RETURN NULL;
END
$function$;

CREATE TRIGGER derive_paths
AFTER INSERT ON :schema.edge
REFERENCING NEW TABLE AS new_edge
FOR EACH STATEMENT EXECUTE FUNCTION :schema.derive_paths();
