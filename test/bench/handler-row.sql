/*
 * handler-row.sql
 *
 * Two-hop paths by a row-level trigger: an edge at a time.
 */
CREATE FUNCTION :schema.derive_paths()
RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    INSERT INTO :schema.path (a, c)
    SELECT NEW.a, onward.b FROM :schema.edge AS onward WHERE onward.a = NEW.b
    UNION ALL
    SELECT backward.a, NEW.b FROM :schema.edge AS backward WHERE backward.b = NEW.a
    ON CONFLICT (a, c) DO NOTHING;
    RETURN NULL;
END
$function$;

CREATE TRIGGER derive_paths
AFTER INSERT ON :schema.edge
FOR EACH ROW EXECUTE FUNCTION :schema.derive_paths();
