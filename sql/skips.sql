--
-- skips: each event is counted once, under the check that decided about it
--
-- Persons own pets.  A handler on ownership looks at the other owners and pets
-- next to it; for the counts it does not matter what it derives.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE PROCEDURE make_owners()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS skip_src CASCADE;
    DROP SCHEMA IF EXISTS skip_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['skip_src', 'skip_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.person (name text PRIMARY KEY);
            CREATE TABLE %1$I.pet (name text PRIMARY KEY);
            CREATE TABLE %1$I.owns (person text REFERENCES %1$I.person, pet text REFERENCES %1$I.pet, PRIMARY KEY (person, pet));
            CREATE TABLE %1$I.remark (remark text PRIMARY KEY);
        $ddl$, schema);
    END LOOP;
END
$make$;

CREATE FUNCTION note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.noted VALUES (format('%s %s', TG_TABLE_NAME, translate(split_part(NEW::text, ',source', 1), '()', '')));
    RETURN NULL;
END $$;
CREATE TABLE noted (event text);

\set merge 'SELECT events, skipped_categorically AS categ, skipped_in_both AS s_both, skipped_friends_in_both AS s_friends, skipped_one_sided AS s_sided, unhandled, replayed FROM factmerge_merge(\'skip_src\', \'skip_dst\')'
\set report 'SELECT fact_table, events, skipped_categorically AS categ, skipped_in_both AS s_both, skipped_friends_in_both AS s_friends, skipped_one_sided AS s_sided, unhandled, replayed FROM factmerge_report()'
\set noted 'SELECT event FROM noted ORDER BY event'

-- All of them in one merge
CALL make_owners();
INSERT INTO skip_src.person VALUES ('Ada'), ('Bob'), ('Cid');
INSERT INTO skip_src.pet VALUES ('ant'), ('bee'), ('cat'), ('cow');
INSERT INTO skip_src.owns VALUES
    ('Ada', 'ant'),             -- in both
    ('Ada', 'cow'),             -- friends in both: Ada, the cow, Ada and the ant
    ('Bob', 'bee'),             -- mixed: Dot owns the bee, too, only in the destination
    ('Cid', 'cat');             -- one-sided: Cid and the cat are the source's
INSERT INTO skip_src.remark VALUES ('unhandled'), ('unhandled, too');
INSERT INTO skip_dst.person VALUES ('Ada'), ('Bob'), ('Dot');
INSERT INTO skip_dst.pet VALUES ('ant'), ('bee'), ('cow');
INSERT INTO skip_dst.owns VALUES ('Ada', 'ant'), ('Dot', 'bee');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.person FOR EACH ROW EXECUTE FUNCTION note_event();
:merge;
:report;
:noted;

-- The group is what counts: a friend in both is in the source, too, so that
-- friends in both do not make an event mixed
TRUNCATE noted;
CALL make_owners();
INSERT INTO skip_src.person VALUES ('Ada'), ('Bob');
INSERT INTO skip_src.pet VALUES ('ant'), ('bee');
INSERT INTO skip_src.owns VALUES ('Ada', 'ant'), ('Bob', 'ant');
INSERT INTO skip_dst.person VALUES ('Ada'), ('Bob'), ('Eve');
INSERT INTO skip_dst.pet VALUES ('ant'), ('bee');
INSERT INTO skip_dst.owns VALUES ('Eve', 'bee');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
:merge;
:report;
:noted;

-- A fact without any friend: nothing to find
CALL make_owners();
CREATE TABLE skip_src.hermit (name text PRIMARY KEY, person text REFERENCES skip_src.person);
CREATE TABLE skip_dst.hermit (name text PRIMARY KEY, person text REFERENCES skip_dst.person);
INSERT INTO skip_src.hermit VALUES ('Han', NULL);
INSERT INTO skip_dst.person VALUES ('Pia');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.hermit FOR EACH ROW EXECUTE FUNCTION note_event();
:merge;
:report;
:noted;

-- Categorically: no friend table has a fact of the destination alone; other
-- tables do not matter, nor does a table without foreign keys
CALL make_owners();
INSERT INTO skip_src.person VALUES ('Ada'), ('Bob');
INSERT INTO skip_src.pet VALUES ('ant');
INSERT INTO skip_src.owns VALUES ('Ada', 'ant'), ('Bob', 'ant');
INSERT INTO skip_src.remark VALUES ('one'), ('two');
INSERT INTO skip_dst.person VALUES ('Ada');
INSERT INTO skip_dst.pet VALUES ('ant');
INSERT INTO skip_dst.owns VALUES ('Ada', 'ant');
INSERT INTO skip_dst.remark VALUES ('two'), ('three');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.remark FOR EACH ROW EXECUTE FUNCTION note_event();
:merge;
:report;
:noted;
-- ... empty tables included
CALL make_owners();
INSERT INTO skip_src.person VALUES ('Ada');
INSERT INTO skip_src.pet VALUES ('ant');
INSERT INTO skip_src.owns VALUES ('Ada', 'ant');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
:merge;
:report;
-- ... and it takes but one fact of the destination in a friend table to look
CALL make_owners();
INSERT INTO skip_src.person VALUES ('Ada');
INSERT INTO skip_src.pet VALUES ('ant');
INSERT INTO skip_src.owns VALUES ('Ada', 'ant');
INSERT INTO skip_dst.pet VALUES ('dog');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
:merge;
:report;
:noted;

-- An ordinary destination-only fact and one that an earlier merge brought are
-- alike to the next merge
CALL make_owners();
INSERT INTO skip_src.person VALUES ('Ada');
INSERT INTO skip_src.pet VALUES ('ant');
INSERT INTO skip_src.owns VALUES ('Ada', 'ant');
CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
CREATE SCHEMA skip_src2;
CREATE TABLE skip_src2.person (name text PRIMARY KEY);
CREATE TABLE skip_src2.pet (name text PRIMARY KEY);
CREATE TABLE skip_src2.owns (person text REFERENCES skip_src2.person, pet text REFERENCES skip_src2.pet, PRIMARY KEY (person, pet));
INSERT INTO skip_src2.person VALUES ('Zoe');
INSERT INTO skip_src2.pet VALUES ('ant');
INSERT INTO skip_src2.owns VALUES ('Zoe', 'ant');
SELECT copied, replayed FROM factmerge_merge('skip_src2', 'skip_dst');
:merge;
:report;
:noted;
-- ... and merged again, the first source finds what the second brought
TRUNCATE noted;
INSERT INTO skip_src2.person VALUES ('Yan');
INSERT INTO skip_src2.owns VALUES ('Yan', 'ant');
SELECT copied, skipped_in_both AS s_both, replayed FROM factmerge_merge('skip_src2', 'skip_dst');
:noted;
DROP SCHEMA skip_src2 CASCADE;

-- How far friends reach: with one step two owners of a pet do not meet, and
-- with none nobody does
CREATE PROCEDURE make_chain()
LANGUAGE plpgsql AS $make$
BEGIN
    CALL make_owners();
    TRUNCATE noted;
    INSERT INTO skip_src.person VALUES ('Ada'), ('Bob');
    INSERT INTO skip_src.pet VALUES ('ant'), ('bee');
    INSERT INTO skip_src.owns VALUES ('Ada', 'ant'), ('Bob', 'bee');
    INSERT INTO skip_dst.person VALUES ('Ada'), ('Dot');
    INSERT INTO skip_dst.pet VALUES ('ant'), ('bee');
    INSERT INTO skip_dst.owns VALUES ('Dot', 'ant'), ('Ada', 'bee');
    CREATE TRIGGER note_event AFTER INSERT ON skip_dst.owns FOR EACH ROW EXECUTE FUNCTION note_event();
    CREATE TRIGGER note_event AFTER INSERT ON skip_dst.person FOR EACH ROW EXECUTE FUNCTION note_event();
    CREATE TRIGGER note_event AFTER INSERT ON skip_dst.pet FOR EACH ROW EXECUTE FUNCTION note_event();
END
$make$;
SET factmerge.friend_hops = 0;
CALL make_chain();
:merge;
:report;
:noted;
SET factmerge.friend_hops = 1;
CALL make_chain();
:merge;
:report;
:noted;
SET factmerge.friend_hops = 2;
CALL make_chain();
:merge;
:report;
:noted;
SET factmerge.friend_hops = 3;
CALL make_chain();
:merge;
:report;
:noted;
SET factmerge.friend_hops = 8;
CALL make_chain();
:merge;
:report;
RESET factmerge.friend_hops;

DROP SCHEMA skip_src, skip_dst CASCADE;
DROP PROCEDURE make_owners, make_chain;
DROP FUNCTION note_event;
DROP TABLE noted;
