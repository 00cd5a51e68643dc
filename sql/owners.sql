--
-- owners: code that belongs to tables runs as their owners, whoever merges
--
-- Whatever the tables of a destination bring along writes down who runs it.  Whoever
-- calls, nobody but the owner may be written down.
--
SET client_min_messages = error;
\set SHOW_CONTEXT never
CREATE EXTENSION IF NOT EXISTS factmerge;
CREATE ROLE regress_own_alice;
CREATE ROLE regress_own_ben;
CREATE ROLE regress_own_reader;
CREATE ROLE regress_own_member IN ROLE regress_own_alice, regress_own_ben;
CREATE SCHEMA own_log;
CREATE TABLE own_log.entry (who name, what text);
CREATE FUNCTION own_log.write(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO own_log.entry VALUES (current_user, what);
    PERFORM set_config('DateStyle', 'German', false);
END $$;
CREATE FUNCTION own_log.note(what text, result anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM own_log.write(what);
    RETURN result;
END $$;
CREATE FUNCTION own_log.note_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO own_log.entry VALUES (current_user, TG_NAME);
    RETURN coalesce(NEW, OLD);
END $$;
GRANT USAGE ON SCHEMA own_log TO PUBLIC;
GRANT INSERT, SELECT ON own_log.entry TO PUBLIC;
-- Who has been written down since the last time
CREATE FUNCTION own_log.heard(ignored text DEFAULT '^$') RETURNS TABLE (who name, what text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT e.who, string_agg(DISTINCT e.what, ', ' ORDER BY e.what) FROM own_log.entry AS e WHERE e.what !~ ignored GROUP BY e.who ORDER BY 1;
    TRUNCATE own_log.entry;
END $$;

CREATE PROCEDURE own_log.make_destination() LANGUAGE plpgsql AS $make$
BEGIN
    DROP SCHEMA IF EXISTS own_dst CASCADE;
    CREATE SCHEMA own_dst AUTHORIZATION regress_own_alice;
    GRANT USAGE ON SCHEMA own_dst TO PUBLIC;
    SET LOCAL ROLE regress_own_alice;
    CREATE DOMAIN own_dst.word AS text CHECK (own_log.note('domain', true));
    CREATE TABLE own_dst.item (
        name own_dst.word PRIMARY KEY,
        price integer CHECK (own_log.note('check', true)),
        extra integer DEFAULT own_log.note('default', 1),
        by name DEFAULT current_user,
        double integer GENERATED ALWAYS AS (own_log.note('generated', price * 2)) STORED);
    CREATE UNIQUE INDEX ON own_dst.item ((own_log.note('index', lower(name::text))));
    CREATE TABLE own_dst.wish (
        wisher text,
        item own_dst.word REFERENCES own_dst.item DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (wisher, item));
    CREATE TABLE own_dst.deal (
        item own_dst.word PRIMARY KEY REFERENCES own_dst.item,
        by name DEFAULT current_user CHECK (own_log.note('derived check', true)));
    CREATE TABLE own_dst.hint (item own_dst.word PRIMARY KEY, by name DEFAULT current_user CHECK (own_log.note('ruled check', true)));
    CREATE FUNCTION own_dst.deal() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO own_log.entry VALUES (current_user, 'handler');
        INSERT INTO own_dst.deal (item) SELECT w.item FROM own_dst.wish AS w WHERE w.wisher = 'Ann' AND w.item = NEW.item ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;
    CREATE TRIGGER deal AFTER INSERT ON own_dst.wish FOR EACH ROW WHEN (own_log.note('when', true)) EXECUTE FUNCTION own_dst.deal();
    CREATE TRIGGER always BEFORE INSERT ON own_dst.item FOR EACH ROW EXECUTE FUNCTION own_log.note_trigger();
    ALTER TABLE own_dst.item ENABLE ALWAYS TRIGGER always;
    CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON own_dst.deal DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION own_log.note_trigger();
    CREATE CONSTRAINT TRIGGER deferred_always AFTER INSERT ON own_dst.item DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION own_log.note_trigger();
    ALTER TABLE own_dst.item ENABLE ALWAYS TRIGGER deferred_always;
    CREATE FUNCTION own_dst.declared(own_dst.item) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO own_log.entry VALUES (current_user, 'declared handler');
    END $$;
    PERFORM factmerge_add_handler('own_dst.item', 'own_dst.declared', only_when => 'own_log.note(''only when'', true)');
    PERFORM factmerge_add_friend('own_dst.wish', 'own_dst.item', condition => 'own_log.note(''friend'', fact.item = friend.name)');
    PERFORM factmerge_add_rule('hints', 'own_dst.hint(item)', 'SELECT own_log.note(''rule'', w.item::text) FROM own_dst.wish AS w JOIN own_dst.item AS i ON i.name = w.item');
    INSERT INTO own_dst.item VALUES ('Lamp', 1), ('desk', 2);
    INSERT INTO own_dst.wish VALUES ('Ann', 'Lamp');
    RESET ROLE;
    SET DateStyle = 'ISO, MDY';
END $make$;
CREATE SCHEMA own_src AUTHORIZATION regress_own_alice;
GRANT USAGE ON SCHEMA own_src TO PUBLIC;
SET ROLE regress_own_alice;
CREATE TABLE own_src.item (name text PRIMARY KEY, price integer);
CREATE TABLE own_src.wish (wisher text, item text REFERENCES own_src.item, PRIMARY KEY (wisher, item));
INSERT INTO own_src.item VALUES ('lamp', 1), ('book', 3);
INSERT INTO own_src.wish VALUES ('Bob', 'lamp'), ('Bob', 'book');
RESET ROLE;
CALL own_log.make_destination();
SELECT * FROM own_log.heard();

-- A superuser merges
SELECT source_facts, in_both, copied, replayed FROM factmerge_merge('own_src', 'own_dst');
SELECT * FROM own_log.heard();
SHOW DateStyle;
SHOW session_replication_role;
SELECT name, by, extra, double, factmerge_provenance FROM own_dst.item ORDER BY 1;
SELECT item, by FROM own_dst.deal ORDER BY 1;
SELECT item, by FROM own_dst.hint ORDER BY 1;
-- ... looks
SELECT outcome, sum(facts) FROM factmerge_preview('own_src', 'own_dst') GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM factmerge_verify('own_dst');
SELECT factmerge_saturate('own_dst');
SELECT "check", passed FROM factmerge_check_handler('deal', 'own_dst.wish') ORDER BY 1;
SELECT "check", passed FROM factmerge_check_handler('own_dst.declared', 'own_dst.item') ORDER BY 1;
SELECT * FROM own_log.heard();
SELECT fact_table, handlers FROM factmerge_tables('own_dst') ORDER BY 1;
SELECT count(*) > 0 FROM factmerge_friends('own_dst');
SELECT count(*) FROM factmerge_rules('own_dst');
SELECT * FROM own_log.heard();
-- ... takes it back, merges again, on and on
SELECT sum(removed) > 0 FROM factmerge_undo((SELECT max(merge_id) FROM factmerge.merge));
SELECT copied FROM factmerge_merge('own_src', 'own_dst', dry_run => true);
CALL factmerge_run('own_src', 'own_dst');
CALL factmerge_merge_in_batches('own_src', 'own_dst', 1);
SELECT * FROM own_log.heard();
-- ... and adds a fact himself, which sets off the rule.  The triggers of the table that he inserts into are his to run
INSERT INTO own_dst.wish VALUES ('Superuser', 'desk');
SELECT * FROM own_log.heard('^(handler|when|domain|derived check)');
SELECT item, by FROM own_dst.hint ORDER BY 1;

-- A member of the owner's role
CALL own_log.make_destination();
TRUNCATE own_log.entry;
SET ROLE regress_own_member;
SELECT source_facts, in_both, copied, replayed FROM factmerge_merge('own_src', 'own_dst');
SELECT outcome, sum(facts) FROM factmerge_preview('own_src', 'own_dst') GROUP BY 1 ORDER BY 1;
RESET ROLE;
SELECT * FROM own_log.heard();
-- The owner, whose code is his own
CALL own_log.make_destination();
TRUNCATE own_log.entry;
SET ROLE regress_own_alice;
SELECT source_facts, in_both, copied, replayed FROM factmerge_merge('own_src', 'own_dst');
RESET ROLE;
SELECT * FROM own_log.heard();
-- A reader who previews
CALL own_log.make_destination();
GRANT SELECT ON ALL TABLES IN SCHEMA own_src, own_dst TO regress_own_reader;
TRUNCATE own_log.entry;
SET ROLE regress_own_reader;
SELECT outcome, sum(facts) FROM factmerge_preview('own_src', 'own_dst') GROUP BY 1 ORDER BY 1;
SELECT copied FROM factmerge_merge('own_src', 'own_dst');
RESET ROLE;
SELECT * FROM own_log.heard();
-- The source's owner is somebody else, and the destination's may not read it
ALTER SCHEMA own_src OWNER TO regress_own_ben;
ALTER TABLE own_src.item OWNER TO regress_own_ben;
ALTER TABLE own_src.wish OWNER TO regress_own_ben;
REVOKE ALL ON SCHEMA own_src FROM PUBLIC;
SELECT source_facts, in_both, copied, replayed FROM factmerge_merge('own_src', 'own_dst');
SELECT * FROM own_log.heard();

-- Two owners in one schema: each table's code as its own
CALL own_log.make_destination();
GRANT CREATE ON SCHEMA own_dst TO regress_own_ben;
ALTER TABLE own_dst.item OWNER TO regress_own_ben;
TRUNCATE own_log.entry;
SELECT source_facts, in_both, copied, replayed FROM factmerge_merge('own_src', 'own_dst');
SELECT name, by FROM own_dst.item ORDER BY 1;
SELECT * FROM own_log.heard();

-- What is saved in the name of a rule's target does nothing later in the name of who inserts, and sets nothing
CREATE SCHEMA own_rule AUTHORIZATION regress_own_alice;
SET ROLE regress_own_alice;
CREATE TABLE own_rule.heard (a integer PRIMARY KEY);
CREATE TABLE own_rule.told (a integer PRIMARY KEY, word varchar, by name DEFAULT current_user CHECK (own_log.note('check', true)));
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON own_rule.told DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION own_log.note_trigger();
SELECT factmerge_add_rule('tell', 'own_rule.told', 'SELECT own_log.note(''rule'', h.a) AS a FROM own_rule.heard AS h');
GRANT USAGE ON SCHEMA own_rule TO regress_own_ben;
GRANT INSERT ON own_rule.heard TO regress_own_ben;
RESET ROLE;
TRUNCATE own_log.entry;
SET DateStyle = 'ISO, MDY';
SET ROLE regress_own_ben;
BEGIN;
INSERT INTO own_rule.heard VALUES (1), (2);
SELECT DISTINCT e.who, e.what FROM own_log.entry AS e ORDER BY 1, 2;
COMMIT;
SHOW DateStyle;
RESET ROLE;
SELECT * FROM own_log.heard();
SELECT * FROM own_rule.told ORDER BY 1;
-- The owner who inserts himself has it deferred, as ever
SET ROLE regress_own_alice;
BEGIN;
INSERT INTO own_rule.heard VALUES (3);
SELECT DISTINCT e.who, e.what FROM own_log.entry AS e ORDER BY 1, 2;
COMMIT;
RESET ROLE;
SELECT * FROM own_log.heard();
SET DateStyle = 'ISO, MDY';
-- What others can create is not found in place of what is meant
GRANT CREATE ON SCHEMA own_rule TO regress_own_ben;
SET ROLE regress_own_ben;
CREATE FUNCTION own_rule.lower(varchar) RETURNS varchar LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO own_log.entry VALUES (current_user, 'an intruder');
    RETURN $1;
END $$;
RESET ROLE;
CREATE FUNCTION own_rule.fold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.word := lower('X'::varchar);
    RETURN NEW;
END $$;
CREATE TRIGGER fold BEFORE INSERT ON own_rule.told FOR EACH ROW EXECUTE FUNCTION own_rule.fold();
SET ROLE regress_own_ben;
INSERT INTO own_rule.heard VALUES (4);
RESET ROLE;
SELECT * FROM own_log.heard();
-- A rule does not outlive its owner
ALTER TABLE own_rule.told OWNER TO regress_own_member;
INSERT INTO own_rule.heard VALUES (5);
SELECT factmerge_saturate('own_rule');
SET ROLE regress_own_member;
SELECT factmerge_add_rule('tell', 'own_rule.told', 'SELECT own_log.note(''rule'', h.a) AS a FROM own_rule.heard AS h');
RESET ROLE;
INSERT INTO own_rule.heard VALUES (5);
SELECT * FROM own_log.heard();
-- ... unless all that is his passes to somebody else
REASSIGN OWNED BY regress_own_member TO regress_own_ben;
INSERT INTO own_rule.heard VALUES (6);
SELECT * FROM own_log.heard();
SET DateStyle = 'ISO, MDY';

-- While facts are copied, what their triggers and checks do elsewhere is guarded as ever
CREATE SCHEMA own_bank;
CREATE TABLE own_bank.account (id integer PRIMARY KEY);
CREATE TABLE own_bank.payment (account integer REFERENCES own_bank.account, amount integer);
CREATE FUNCTION own_bank.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.amount > 100 THEN
        RAISE 'too much';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON own_bank.payment FOR EACH ROW EXECUTE FUNCTION own_bank.guard();
INSERT INTO own_bank.account VALUES (1);
GRANT USAGE ON SCHEMA own_bank TO regress_own_alice;
GRANT INSERT, SELECT ON own_bank.payment TO regress_own_alice;
CALL own_log.make_destination();
GRANT USAGE ON SCHEMA own_src TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA own_src TO PUBLIC;
SET ROLE regress_own_alice;
CREATE FUNCTION own_dst.pay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO own_bank.payment VALUES (current_setting('own.account')::integer, current_setting('own.amount')::integer);
    RETURN NEW;
END $$;
CREATE TRIGGER pay BEFORE INSERT ON own_dst.item FOR EACH ROW EXECUTE FUNCTION own_dst.pay();
ALTER TABLE own_dst.item ENABLE ALWAYS TRIGGER pay;
SET own.account = 1;
SET own.amount = 1000;
SELECT copied FROM factmerge_merge('own_src', 'own_dst');
SET own.account = 2;
SET own.amount = 10;
SELECT copied FROM factmerge_merge('own_src', 'own_dst');
SET own.account = 1;
SELECT copied FROM factmerge_merge('own_src', 'own_dst');
TABLE own_bank.payment;
RESET ROLE;

-- What cannot be done in somebody's name is refused, and leaves nothing behind
CALL own_log.make_destination();
SET ROLE regress_own_alice;
CREATE FUNCTION own_dst.lasting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE item (name text);
    RETURN NEW;
END $$;
CREATE TRIGGER lasting AFTER INSERT ON own_dst.wish FOR EACH ROW EXECUTE FUNCTION own_dst.lasting();
RESET ROLE;
SELECT copied FROM factmerge_merge('own_src', 'own_dst');
SELECT count(*) FROM own_dst.item;
SET ROLE regress_own_alice;
SELECT copied FROM factmerge_merge('own_src', 'own_dst');
DROP TABLE pg_temp.item;
RESET ROLE;
DROP SCHEMA own_rule, own_bank CASCADE;
DROP SCHEMA own_src, own_dst, own_log CASCADE;
DROP OWNED BY regress_own_member, regress_own_alice, regress_own_ben, regress_own_reader;
DROP ROLE regress_own_member, regress_own_alice, regress_own_ben, regress_own_reader;
