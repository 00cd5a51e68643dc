--
-- updating_handlers: handlers that do not only add facts
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;
\set SHOW_CONTEXT never

-- Posts that count their comments, in all the ways there are.  The comment on "lively" is mixed, the
-- one on "quiet" is skipped
CREATE PROCEDURE make_blogs(body text, referencing text DEFAULT '', each text DEFAULT 'ROW') LANGUAGE plpgsql AS $make$
DECLARE
    s text;
BEGIN
    FOREACH s IN ARRAY '{blog_a,"Blog b"}'::text[] LOOP
        EXECUTE format($ddl$
            DROP SCHEMA IF EXISTS %1$I CASCADE;
            CREATE SCHEMA %1$I;
            SET LOCAL search_path = %1$I;
            CREATE TABLE post (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slug text NOT NULL UNIQUE, comments integer NOT NULL DEFAULT 0);
            CREATE TABLE "Comment" (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, post integer NOT NULL REFERENCES post, uri text NOT NULL UNIQUE);
            CREATE TABLE recent (slug text PRIMARY KEY, n integer NOT NULL DEFAULT 1);
            CREATE TABLE tally (n integer PRIMARY KEY);
            INSERT INTO tally VALUES (0);
            CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS %2$L;
            CREATE TRIGGER "Count it" AFTER INSERT ON "Comment" %3$s FOR EACH %4$s EXECUTE FUNCTION count_it();
        $ddl$, s, body, referencing, each);
    END LOOP;
    SET LOCAL search_path = public;
    PERFORM factmerge_ignore('"Blog b".tally');
    INSERT INTO blog_a.post (slug) VALUES ('lively'), ('quiet');
    INSERT INTO "Blog b".post (slug) VALUES ('quiet'), ('lively');
    INSERT INTO blog_a."Comment" (post, uri) VALUES (1, 'a1'), (2, 'a2');
    INSERT INTO "Blog b"."Comment" (post, uri) VALUES (2, 'b1');
END $make$;
CREATE PROCEDURE try_it() LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    PERFORM factmerge_merge('blog_a', 'Blog b', dry_run => true);
    PERFORM factmerge_saturate('Blog b');
    RAISE WARNING 'not refused';
EXCEPTION WHEN invalid_function_definition THEN
    RAISE WARNING 'refused: %', SQLERRM;
END $$;

CALL make_blogs('BEGIN UPDATE post SET comments = comments + 1 WHERE id = NEW.post; RETURN NULL; END');
SELECT copied, replayed FROM factmerge_merge('blog_a', 'Blog b');
SELECT message, detail, hint FROM factmerge_history WHERE destination = 'Blog b' ORDER BY merge_id DESC LIMIT 1;
-- Nothing is run on everything, and nothing is changed by the attempt
SELECT slug, comments FROM "Blog b".post ORDER BY slug;
SELECT factmerge_saturate('Blog b');
SELECT * FROM factmerge_verify('Blog b');
SELECT slug, comments FROM "Blog b".post ORDER BY slug;
SELECT "check", passed, detail FROM factmerge_check_handler('Count it', '"Blog b"."Comment"');
-- Whoever does as the hint says has no more of it, and counters that are right
SELECT public.factmerge_ignore_trigger('"Blog b"."Comment"', 'Count it');
UPDATE "Blog b".post AS p SET comments = (SELECT count(*) FROM "Blog b"."Comment" AS c WHERE c.post = p.id);
INSERT INTO blog_a."Comment" (post, uri) VALUES (1, 'a3');
SELECT copied, replayed, unhandled FROM factmerge_merge('blog_a', 'Blog b');
UPDATE "Blog b".post AS p SET comments = (SELECT count(*) FROM "Blog b"."Comment" AS c WHERE c.post = p.id);
SELECT slug, comments FROM "Blog b".post ORDER BY slug;
SELECT factmerge_saturate('Blog b');
SELECT * FROM factmerge_verify('Blog b');

-- An error, or nothing at all, if so wished; a handler that catches the error does not get away with it
CALL make_blogs('BEGIN UPDATE post SET comments = comments + 1 WHERE id = NEW.post; RETURN NULL; EXCEPTION WHEN OTHERS THEN RETURN NULL; END');
SET factmerge.unsound_handler = error;
SELECT copied FROM factmerge_merge('blog_a', 'Blog b');
SELECT slug, comments FROM "Blog b".post ORDER BY slug;
SET factmerge.unsound_handler = ignore;
SELECT copied FROM factmerge_merge('blog_a', 'Blog b', dry_run => true);
SELECT factmerge_saturate('Blog b');
SELECT * FROM factmerge_verify('Blog b');
RESET factmerge.unsound_handler;

-- All events skipped: it is noticed all the same, once for each table
CALL make_blogs('BEGIN UPDATE post SET comments = comments + 1 WHERE id = NEW.post; DELETE FROM recent; DELETE FROM post WHERE false; RETURN NULL; END');
DELETE FROM "Blog b"."Comment";
SELECT copied, replayed FROM factmerge_merge('blog_a', 'Blog b', dry_run => true);

-- Other statements
CALL make_blogs('BEGIN DELETE FROM recent WHERE slug < NEW.uri; RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN INSERT INTO recent (slug) VALUES (NEW.uri) ON CONFLICT (slug) DO UPDATE SET n = recent.n + 1; RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN MERGE INTO recent r USING (SELECT NEW.uri) n ON r.slug = n.uri WHEN MATCHED THEN UPDATE SET n = r.n + 1 WHEN NOT MATCHED THEN INSERT (slug) VALUES (n.uri); RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN MERGE INTO recent r USING (SELECT NEW.uri) n ON r.slug = n.uri WHEN MATCHED THEN DELETE; RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN WITH u AS (UPDATE post SET comments = 1 WHERE id = NEW.post RETURNING slug) INSERT INTO recent (slug) SELECT slug FROM u ON CONFLICT DO NOTHING; RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN EXECUTE ''UPDATE "post" SET comments = comments + 1 WHERE id = $1'' USING NEW.post; RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN TRUNCATE recent; RETURN NULL; END');
CALL try_it();
CALL make_blogs('BEGIN UPDATE post p SET comments = p.comments + 1 FROM news n WHERE n.post = p.id; RETURN NULL; END', 'REFERENCING NEW TABLE AS news', 'STATEMENT');
CALL try_it();

-- A declared function is left out by taking back its declaration
CALL make_blogs('BEGIN RETURN NULL; END');
CREATE FUNCTION "Blog b".bump(c "Blog b"."Comment") RETURNS void LANGUAGE sql AS 'UPDATE "Blog b".post SET comments = comments + 1 WHERE id = c.post';
SELECT factmerge_add_handler('"Blog b"."Comment"', '"Blog b".bump');
SELECT copied FROM factmerge_merge('blog_a', 'Blog b', dry_run => true);
SELECT public.factmerge_drop_handler('"Blog b"."Comment"', '"Blog b".bump');
SELECT copied FROM factmerge_merge('blog_a', 'Blog b', dry_run => true);

-- No fault: what is no fact, the fact itself before it is there, a MERGE that only inserts, a row lock
CALL make_blogs('BEGIN UPDATE tally SET n = n + 1; PERFORM FROM post WHERE id = NEW.post FOR UPDATE; MERGE INTO recent r USING (SELECT NEW.uri) n ON r.slug = n.uri WHEN NOT MATCHED THEN INSERT (slug) VALUES (n.uri); RETURN NULL; END');
CREATE FUNCTION "Blog b".tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.slug := lower(NEW.slug); RETURN NEW; END';
CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON "Blog b".recent FOR EACH ROW EXECUTE FUNCTION "Blog b".tidy();
SELECT copied, replayed FROM factmerge_merge('blog_a', 'Blog b');
SELECT factmerge_saturate('Blog b');
SELECT fact_table, fact FROM factmerge_verify('Blog b');
SELECT "check", passed, detail FROM factmerge_check_handler('Count it', '"Blog b"."Comment"');

--
-- Ignoring all triggers of a table, or of a schema
--
CALL make_blogs('BEGIN UPDATE post SET comments = comments + 1 WHERE id = NEW.post; RETURN NULL; END');
CREATE TRIGGER again AFTER INSERT OR UPDATE ON "Blog b"."Comment" FOR EACH ROW EXECUTE FUNCTION "Blog b".count_it();
CREATE TRIGGER before BEFORE INSERT ON "Blog b"."Comment" FOR EACH ROW EXECUTE FUNCTION "Blog b".count_it();
CREATE TRIGGER later AFTER UPDATE ON "Blog b"."Comment" FOR EACH ROW EXECUTE FUNCTION "Blog b".count_it();
CREATE TRIGGER post AFTER INSERT ON "Blog b".post FOR EACH STATEMENT EXECUTE FUNCTION "Blog b".count_it();
CREATE TRIGGER tally AFTER INSERT ON "Blog b".tally FOR EACH STATEMENT EXECUTE FUNCTION "Blog b".count_it();
CREATE VIEW ignored_here AS SELECT fact_table, trigger_name FROM factmerge.ignored_trigger
    WHERE fact_table::text LIKE '"Blog b"%' ORDER BY 1, 2;
SELECT factmerge_ignore_trigger('"Blog b"."Comment"', NULL);
SELECT factmerge_ignore_trigger('"Blog b".recent', NULL);
SELECT * FROM ignored_here;
SELECT factmerge_ignore_triggers('Blog b');
SELECT factmerge_ignore_triggers('Blog b');
SELECT * FROM ignored_here;
SELECT copied, replayed FROM factmerge_merge('blog_a', 'Blog b', dry_run => true);
-- One that is created later is a handler
CREATE TRIGGER new AFTER INSERT ON "Blog b"."Comment" FOR EACH ROW EXECUTE FUNCTION "Blog b".count_it();
SELECT fact_table, handlers FROM factmerge_tables('Blog b') WHERE handlers <> '{}';
SELECT factmerge_unignore_trigger('"Blog b"."Comment"', 'again');
SELECT * FROM ignored_here;
SELECT factmerge_unignore_trigger('"Blog b"."Comment"', NULL);
SELECT factmerge_unignore_trigger('"Blog b"."Comment"', NULL);
SELECT * FROM ignored_here;
SELECT factmerge_unignore_triggers('Blog b');
SELECT factmerge_unignore_triggers('Blog b');
SELECT * FROM ignored_here;
-- Rules have triggers of their own, which stay
SELECT factmerge_add_rule('r', '"Blog b".recent(slug)', 'SELECT uri FROM "Comment"');
SELECT factmerge_ignore_triggers('Blog b');
SELECT * FROM ignored_here;
SELECT factmerge_ignore_triggers('no such');
SELECT factmerge_ignore_triggers(NULL);
SELECT factmerge_unignore_triggers(NULL);
CREATE ROLE updating_other;
SET ROLE updating_other;
SELECT factmerge_ignore_triggers('Blog b');
SELECT factmerge_unignore_triggers('Blog b');
RESET ROLE;
DROP ROLE updating_other;

DROP VIEW ignored_here;
DROP SCHEMA blog_a, "Blog b" CASCADE;
DROP PROCEDURE make_blogs, try_it;
RESET factmerge.check_skipped_seed;
RESET client_min_messages;
