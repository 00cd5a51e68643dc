--
-- history: runs that succeed, runs that fail, and what is trimmed
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;
\set SHOW_CONTEXT never
\set VERBOSITY default

CREATE PROCEDURE make_runs(schema name) LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($ddl$
        CREATE SCHEMA %1$I;
        CREATE TABLE %1$I.word (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text UNIQUE);
        CREATE TABLE %1$I.rhyme (a text, b text, PRIMARY KEY (a, b));
    $ddl$, schema);
END $make$;
CALL make_runs('run_src');
CALL make_runs('run_dst');
CREATE FUNCTION run_dst.rhymes() RETURNS trigger LANGUAGE plpgsql SET search_path = run_dst AS $$
BEGIN
    IF NEW.word = 'orange' THEN
        RAISE EXCEPTION 'nothing rhymes with %', NEW.word USING ERRCODE = 'RH001', DETAIL = 'Door hinge does not.', HINT = 'Try a lemon.';
    END IF;
    INSERT INTO rhyme SELECT least(NEW.word, w.word), greatest(NEW.word, w.word) FROM word w
    WHERE right(w.word, 2) = right(NEW.word, 2) AND w.word <> NEW.word ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER rhymes AFTER INSERT ON run_dst.word FOR EACH ROW EXECUTE FUNCTION run_dst.rhymes();
INSERT INTO run_src.word (word) VALUES ('bed'), ('house');
INSERT INTO run_dst.word (word) VALUES ('red'), ('mouse');
SELECT factmerge_add_friend('run_dst.word', 'run_dst.word', 'right(fact.word, 2) = right(friend.word, 2)');
SELECT coalesce(max(merge_id), 0) AS before FROM factmerge.merge \gset
CREATE VIEW runs AS SELECT merge_id IS NOT NULL AS has_id, source, destination, status, merged_by = current_user AS mine,
    elapsed >= '0' AS took_time, copied, derived, sqlstate, message, detail, hint FROM factmerge_history
    WHERE source LIKE 'run%' ORDER BY merged_at;

-- One that succeeds
CALL factmerge_run('run_src', 'run_dst');
SELECT * FROM runs;
SELECT a, b, factmerge_provenance FROM run_dst.rhyme ORDER BY a;

-- One that fails: nothing is merged, the failure stays, and is raised
INSERT INTO run_src.word (word) VALUES ('orange'), ('spouse');
INSERT INTO run_dst.word (word) VALUES ('range');
CALL factmerge_run('run_src', 'run_dst');
SELECT * FROM runs;
SELECT word FROM run_dst.word ORDER BY id;
SELECT context ~ 'handler rhymes for fact .* of table "word"' AS says_which_fact FROM factmerge_history WHERE sqlstate = 'RH001';
-- Mended, the next one completes
DELETE FROM run_src.word WHERE word = 'orange';
CALL factmerge_run('run_src', 'run_dst', wait => true);
SELECT has_id, status, copied, derived, sqlstate FROM runs;
SELECT count(*) FROM factmerge_verify('run_dst');

-- What the other statements of the session see is as always
SELECT factmerge.current_provenance(), factmerge.current_merge();
SHOW search_path;
SHOW session_replication_role;

-- It needs a transaction of its own
BEGIN;
CALL factmerge_run('run_src', 'run_dst');
ROLLBACK;
CREATE FUNCTION run_dst.call() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL public.factmerge_run(''run_src'', ''run_dst''); END';
SELECT run_dst.call();
SELECT count(*) FROM runs;
-- ... which a block that ends transactions can give it
DO 'BEGIN CALL factmerge_run(''run_src'', ''run_dst''); COMMIT; END';
SELECT has_id, status, copied FROM runs;

-- What is wrong from the beginning fails likewise
CALL factmerge_run('run_src', 'run_nowhere');
CALL factmerge_run('run_src', 'run_src');
CALL factmerge_run('run_src', NULL);
CALL factmerge_run('run_src', 'run_dst', NULL);
SELECT destination, status, sqlstate, message FROM runs WHERE sqlstate IS NOT NULL;
-- Cancelled, too
CREATE FUNCTION run_dst.sleep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
CREATE TRIGGER sleep AFTER INSERT ON run_dst.word FOR EACH ROW EXECUTE FUNCTION run_dst.sleep();
INSERT INTO run_src.word (word) VALUES ('change');
SET statement_timeout = '200ms';
CALL factmerge_run('run_src', 'run_dst');
RESET statement_timeout;
SELECT destination, status, sqlstate, message FROM runs WHERE sqlstate = '57014';
DROP TRIGGER sleep ON run_dst.word;
-- ... and what fails at the last moment, when the merge commits
ALTER TABLE run_dst.rhyme ADD CONSTRAINT late FOREIGN KEY (a) REFERENCES run_dst.word (word) DEFERRABLE INITIALLY DEFERRED;
CREATE FUNCTION run_dst.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO run_dst.rhyme VALUES ('no', 'word'); RETURN NULL; END $$;
CREATE TRIGGER late AFTER INSERT ON run_dst.word FOR EACH STATEMENT EXECUTE FUNCTION run_dst.late();
CALL factmerge_run('run_src', 'run_dst');
SELECT destination, status, sqlstate, message FROM runs WHERE sqlstate = '23503';
SELECT count(*) FROM run_dst.word WHERE word = 'change';
DROP TRIGGER late ON run_dst.word;
-- What has been done before in a block does not come with a failure's record
DO 'BEGIN CREATE TABLE run_dst.litter (); CALL factmerge_run(''run_src'', ''run_nowhere''); END';
SELECT to_regclass('run_dst.litter');

-- What an error says is for whoever has called, and those who have the role
CREATE ROLE regress_history;
SET ROLE regress_history;
SELECT status, sqlstate, message, detail, hint, context FROM factmerge_history WHERE sqlstate = 'RH001';
SELECT message FROM factmerge.failure;
-- ... and so is trimming
SELECT factmerge_trim_history('0');
RESET ROLE;
SELECT count(*) FROM runs;
SELECT factmerge_trim_history('1 hour');
SELECT factmerge_trim_history('-1 hour');
SELECT factmerge_trim_history(NULL);
SELECT count(*) FROM runs;
SELECT count(*) FROM factmerge.merge_table WHERE merge_id > :before;
SELECT factmerge_trim_history('0') > 6 AS trimmed;
SELECT count(*) FROM runs;
SELECT count(*) FROM factmerge.merge_table;
SELECT factmerge_trim_history('0');
-- Where a fact comes from is known still, and the next merge goes on
SELECT source, source_key, provenance FROM factmerge_origin('run_dst.word', 3);
CALL factmerge_run('run_src', 'run_dst');
SELECT status, copied FROM runs;

DROP VIEW runs;
DROP SCHEMA run_src, run_dst CASCADE;
DROP ROLE regress_history;
DROP PROCEDURE make_runs;
