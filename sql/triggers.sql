--
-- triggers: those of the destination are handlers, with nothing declared
--
-- Offers and wishes of the same item make a deal.  The source has offers, the
-- destination wishes; both know the lamp and the desk.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;

CREATE PROCEDURE make_offers()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS trig_src CASCADE;
    DROP SCHEMA IF EXISTS trig_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['trig_src', 'trig_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.item (name text PRIMARY KEY);
            CREATE TABLE %1$I.offer (item text REFERENCES %1$I.item, seller text, PRIMARY KEY (item, seller));
            CREATE TABLE %1$I.wish (item text REFERENCES %1$I.item, buyer text, PRIMARY KEY (item, buyer));
            CREATE TABLE %1$I.deal (item text REFERENCES %1$I.item, seller text, buyer text,
                                    PRIMARY KEY (item, seller, buyer));
        $ddl$, schema);
    END LOOP;
    INSERT INTO trig_src.item VALUES ('lamp'), ('desk'), ('book');
    INSERT INTO trig_src.offer VALUES ('lamp', 'Ada'), ('lamp', 'Eve'), ('desk', 'Ada'), ('book', 'Ada');
    INSERT INTO trig_dst.item VALUES ('lamp'), ('desk'), ('vase');
    INSERT INTO trig_dst.wish VALUES ('lamp', 'Bob'), ('vase', 'Bob');
    INSERT INTO trig_dst.offer VALUES ('vase', 'Cid');
    INSERT INTO trig_dst.deal VALUES ('vase', 'Cid', 'Bob');
    TRUNCATE trig_log.call RESTART IDENTITY;
END
$make$;

-- What the triggers of this test tell of their calls
CREATE SCHEMA trig_log;
CREATE TABLE trig_log.call (number serial, call text);
CREATE FUNCTION trig_log.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trig_log.call (call)
    VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_OP, TG_LEVEL, TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0],
                      CASE WHEN TG_LEVEL = 'ROW' THEN to_jsonb(NEW) - 'factmerge_provenance' - 'factmerge_merge' END,
                      current_setting('session_replication_role')));
    RETURN NULL;
END $$;
CREATE FUNCTION trig_log.note_new_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trig_log.call (call)
    SELECT concat_ws(' ', TG_NAME, CASE WHEN TG_LEVEL = 'ROW' THEN NEW.seller END, 'sees',
                     string_agg(concat(item, ' of ', seller), ', ' ORDER BY item, seller)) FROM news;
    RETURN NULL;
END $$;
CREATE FUNCTION trig_log.deal_per_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- search_path begins with the destination
    INSERT INTO deal SELECT NEW.item, NEW.seller, buyer FROM wish WHERE item = NEW.item
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION trig_log.deal_per_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deal SELECT item, seller, buyer FROM news JOIN wish USING (item)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

\set merge 'SELECT copied, skipped_categorically AS categ, skipped_in_both AS s_both, skipped_friends_in_both AS s_friends, skipped_one_sided AS s_sided, unhandled, replayed, derived FROM factmerge_merge(\'trig_src\', \'trig_dst\')'
\set deals 'SELECT item, seller, buyer, factmerge_provenance FROM trig_dst.deal ORDER BY 1, 2, 3'
\set calls 'SELECT call FROM trig_log.call ORDER BY number'

-- Without a handler there is nothing to replay
CALL make_offers();
:merge;
:deals;

-- A row-level trigger
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.deal_per_row();
CREATE TRIGGER note AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note('argument');
SELECT fact_table, handlers FROM factmerge_tables('trig_dst') ORDER BY position;
:merge;
:deals;
:calls;

-- ... with its WHEN
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer
    FOR EACH ROW WHEN (NEW.seller <> 'Ada' AND length(NEW.item) = 4) EXECUTE FUNCTION trig_log.deal_per_row();
:merge;
:deals;

-- ... for several events
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT OR UPDATE OF seller OR DELETE ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
:merge;
:calls;

-- A statement-level trigger gets all mixed events at once
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION trig_log.deal_per_statement();
CREATE TRIGGER note AFTER INSERT ON trig_dst.offer REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION trig_log.note_new_table();
CREATE TRIGGER note_statement AFTER INSERT ON trig_dst.offer
    FOR EACH STATEMENT EXECUTE FUNCTION trig_log.note();
SELECT handlers FROM factmerge_tables('trig_dst') WHERE fact_table = 'trig_dst.offer'::regclass;
:merge;
:deals;
:calls;

-- ... unless its WHEN keeps it from firing, or there are none
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT WHEN (1 > 2) EXECUTE FUNCTION trig_log.deal_per_statement();
:merge;
:deals;
CALL make_offers();
DELETE FROM trig_dst.wish WHERE item = 'lamp';
CREATE TRIGGER note_statement AFTER INSERT ON trig_dst.offer
    FOR EACH STATEMENT EXECUTE FUNCTION trig_log.note();
:merge;
:calls;

-- A row-level trigger that reads the NEW TABLE
CALL make_offers();
CREATE TRIGGER note_rows AFTER INSERT ON trig_dst.offer REFERENCING NEW TABLE AS news
    FOR EACH ROW EXECUTE FUNCTION trig_log.note_new_table();
CREATE TRIGGER note_some AFTER INSERT ON trig_dst.offer REFERENCING NEW TABLE AS news
    FOR EACH ROW WHEN (NEW.seller = 'Eve') EXECUTE FUNCTION trig_log.note_new_table();
:merge;
:calls;

-- What a handler adds sets off the destination's triggers like any INSERT: a
-- chain of derivations goes on by itself
CREATE PROCEDURE make_reach(level text)
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS trig_src CASCADE;
    DROP SCHEMA IF EXISTS trig_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['trig_src', 'trig_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.point (name text PRIMARY KEY);
            CREATE TABLE %1$I.reach (a text REFERENCES %1$I.point, b text REFERENCES %1$I.point, PRIMARY KEY (a, b));
            CREATE FUNCTION %1$I.extend_row() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $f$
            BEGIN
                INSERT INTO reach
                SELECT r.a, NEW.b FROM reach r WHERE r.b = NEW.a UNION
                SELECT NEW.a, r.b FROM reach r WHERE r.a = NEW.b
                ON CONFLICT DO NOTHING;
                RETURN NULL;
            END $f$;
            CREATE FUNCTION %1$I.extend_statement() RETURNS trigger LANGUAGE plpgsql SET search_path = %1$I AS $f$
            BEGIN
                IF EXISTS (SELECT FROM news) THEN
                    INSERT INTO reach
                    SELECT r.a, n.b FROM reach r JOIN news n ON r.b = n.a UNION
                    SELECT n.a, r.b FROM reach r JOIN news n ON r.a = n.b
                    ON CONFLICT DO NOTHING;
                END IF;
                RETURN NULL;
            END $f$;
        $ddl$, schema);
        IF level = 'row' THEN
            EXECUTE format('CREATE TRIGGER extend AFTER INSERT ON %1$I.reach FOR EACH ROW EXECUTE FUNCTION %1$I.extend_row()', schema);
        ELSE
            EXECUTE format('CREATE TRIGGER extend AFTER INSERT ON %1$I.reach REFERENCING NEW TABLE AS news
                            FOR EACH STATEMENT EXECUTE FUNCTION %1$I.extend_statement()', schema);
        END IF;
    END LOOP;
    INSERT INTO trig_src.point SELECT unnest('{a,b,c,d,e}'::text[]);
    INSERT INTO trig_src.reach VALUES ('a', 'b'), ('c', 'd'), ('d', 'e');
    INSERT INTO trig_dst.point SELECT unnest('{b,c,e,f,g}'::text[]);
    INSERT INTO trig_dst.reach VALUES ('b', 'c'), ('e', 'f'), ('f', 'g');
END
$make$;
CALL make_reach('row');
:merge;
SELECT a, string_agg(b, '' ORDER BY b) AS reached,
       string_agg(b, '' ORDER BY b) FILTER (WHERE factmerge_provenance = 'derived') AS derived
FROM trig_dst.reach GROUP BY a ORDER BY a;
CALL make_reach('statement');
:merge;
SELECT a, string_agg(b, '' ORDER BY b) AS reached,
       string_agg(b, '' ORDER BY b) FILTER (WHERE factmerge_provenance = 'derived') AS derived
FROM trig_dst.reach GROUP BY a ORDER BY a;
DROP PROCEDURE make_reach;

-- Disabled triggers are none, nor are those for other events or other times
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.deal_per_row();
ALTER TABLE trig_dst.offer DISABLE TRIGGER make_deal;
CREATE TRIGGER note_before BEFORE INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
CREATE TRIGGER note_update AFTER UPDATE ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
CREATE TRIGGER note_insert_source AFTER INSERT ON trig_src.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
SELECT fact_table, handlers FROM factmerge_tables('trig_dst') WHERE handlers <> '{}';
:merge;
:deals;
:calls;

-- ENABLE ALWAYS fires while facts are copied, and is a handler; ENABLE REPLICA
-- fires while they are copied, and is none
CALL make_offers();
CREATE TRIGGER note_always AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
ALTER TABLE trig_dst.offer ENABLE ALWAYS TRIGGER note_always;
CREATE TRIGGER note_replica AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
ALTER TABLE trig_dst.offer ENABLE REPLICA TRIGGER note_replica;
SELECT fact_table, handlers FROM factmerge_tables('trig_dst') WHERE handlers <> '{}';
:merge;
:calls;

-- A trigger that derives nothing is left out
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.deal_per_row();
CREATE TRIGGER "Audit it" AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
SELECT factmerge_ignore_trigger('trig_dst.offer', 'Audit it');
SELECT factmerge_ignore_trigger('trig_dst.offer', 'Audit it');
SELECT fact_table, trigger_name FROM factmerge.ignored_trigger WHERE fact_table::text LIKE 'trig%';
SELECT handlers FROM factmerge_tables('trig_dst') WHERE fact_table = 'trig_dst.offer'::regclass;
:merge;
:deals;
:calls;
-- ... until that is taken back
INSERT INTO trig_src.offer VALUES ('lamp', 'Fay');
SELECT factmerge_unignore_trigger('trig_dst.offer', 'Audit it');
SELECT factmerge_unignore_trigger('trig_dst.offer', 'Audit it');
:merge;
:deals;
:calls;
-- With all of its triggers ignored a table has no handler
SELECT factmerge_ignore_trigger('trig_dst.offer', 'Audit it'), factmerge_ignore_trigger('trig_dst.offer', 'make_deal');
INSERT INTO trig_src.offer VALUES ('lamp', 'Gus');
:merge;

-- A constraint trigger guards: it runs for every copied fact, whether its event
-- is mixed or not, and is no handler
CALL make_offers();
CREATE CONSTRAINT TRIGGER note_constraint AFTER INSERT ON trig_dst.offer DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.item <> 'desk') EXECUTE FUNCTION trig_log.note();
CREATE CONSTRAINT TRIGGER note_item AFTER INSERT ON trig_dst.item
    FOR EACH ROW EXECUTE FUNCTION trig_log.note();
SELECT fact_table, handlers FROM factmerge_tables('trig_dst') WHERE handlers <> '{}';
:merge;
:calls;
-- ... once
TRUNCATE trig_log.call;
:merge;
:calls;
-- ... and can refuse
CREATE FUNCTION trig_log.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seller = 'Mallory' THEN
        RAISE EXCEPTION 'no offers of %', NEW.seller USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.refuse();
INSERT INTO trig_src.offer VALUES ('lamp', 'Hal'), ('book', 'Mallory');
:merge;
SELECT item, seller FROM trig_dst.offer WHERE seller IN ('Hal', 'Mallory');
DELETE FROM trig_src.offer WHERE seller = 'Mallory';
:merge;
SELECT item, seller FROM trig_dst.offer WHERE seller IN ('Hal', 'Mallory');
-- It sees all that has been copied and derived
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.deal_per_row();
CREATE FUNCTION trig_log.count_deals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trig_log.call (call)
    SELECT format('%s has %s deals', NEW.name, count(*)) FROM deal WHERE item = NEW.name;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER count_deals AFTER INSERT ON trig_dst.item
    FOR EACH ROW EXECUTE FUNCTION trig_log.count_deals();
:merge;
:calls;

-- Handlers of a table run in the order of their names, the row-level ones
-- first, and then those of the next table in walk order
CALL make_offers();
INSERT INTO trig_dst.deal VALUES ('lamp', 'Cid', 'Bob');
CREATE TRIGGER b AFTER INSERT ON trig_dst.offer FOR EACH ROW WHEN (NEW.seller = 'Ada') EXECUTE FUNCTION trig_log.note();
CREATE TRIGGER a AFTER INSERT ON trig_dst.offer FOR EACH STATEMENT EXECUTE FUNCTION trig_log.note();
CREATE TRIGGER c AFTER INSERT ON trig_dst.offer FOR EACH ROW WHEN (NEW.seller = 'Ada') EXECUTE FUNCTION trig_log.note();
INSERT INTO trig_src.item VALUES ('vase');
INSERT INTO trig_src.wish VALUES ('vase', 'Ian');
CREATE TRIGGER d AFTER INSERT ON trig_dst.wish FOR EACH ROW EXECUTE FUNCTION trig_log.note();
:merge;
:calls;

-- A handler sees the search_path of its caller behind the destination, and
-- what it sets of its own
CALL make_offers();
CREATE FUNCTION trig_log.note_path() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trig_log.call (call) VALUES (current_setting('search_path'));
    RETURN NULL;
END $$;
CREATE TRIGGER note_path AFTER INSERT ON trig_dst.offer FOR EACH STATEMENT EXECUTE FUNCTION trig_log.note_path();
SET search_path = trig_log, public;
:merge;
:calls;
SHOW search_path;
CALL make_offers();
CREATE TRIGGER note_path AFTER INSERT ON trig_dst.offer FOR EACH STATEMENT EXECUTE FUNCTION trig_log.note_path();
SET search_path = '';
SELECT replayed FROM public.factmerge_merge('trig_src', 'trig_dst');
RESET search_path;
:calls;

-- A handler may raise and catch errors of its own
CALL make_offers();
CREATE FUNCTION trig_log.stumble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO deal VALUES (NEW.item, NEW.seller, 'Bob');
        PERFORM 1 / (NEW.seller <> 'Ada')::integer;
    EXCEPTION WHEN division_by_zero THEN
        INSERT INTO deal VALUES (NEW.item, NEW.seller, 'caught');
    END;
    RETURN NULL;
END $$;
CREATE TRIGGER stumble AFTER INSERT ON trig_dst.offer FOR EACH ROW EXECUTE FUNCTION trig_log.stumble();
:merge;
:deals;

-- Dropping a trigger while it is ignored leaves nothing that breaks
CALL make_offers();
CREATE TRIGGER make_deal AFTER INSERT ON trig_dst.offer
    FOR EACH ROW EXECUTE FUNCTION trig_log.deal_per_row();
SELECT factmerge_ignore_trigger('trig_dst.offer', 'make_deal');
DROP TRIGGER make_deal ON trig_dst.offer;
:merge;
SELECT factmerge_unignore_trigger('trig_dst.offer', 'make_deal');

DROP SCHEMA trig_src, trig_dst, trig_log CASCADE;
DROP PROCEDURE make_offers;
