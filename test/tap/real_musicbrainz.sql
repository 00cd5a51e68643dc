-- A MusicBrainz database
--
-- Every entity has a gid beside its id, and gids of entities that have been merged
-- redirect to those that are left.  Credits are lists of artists, in an order, without
-- anything to tell them by but what they say.  Triggers keep counts, times and
-- one row of metadata for each artist.  Edits are a log.
BEGIN;
\ir include/real.sql
SELECT plan(18);

CALL make($ddl$
    CREATE TABLE artist_type (
        id serial PRIMARY KEY,
        gid uuid NOT NULL UNIQUE,
        name varchar(255) NOT NULL,
        parent integer REFERENCES artist_type);
    CREATE TABLE artist (
        id serial PRIMARY KEY,
        gid uuid NOT NULL,
        name varchar NOT NULL,
        sort_name varchar NOT NULL,
        begin_date_year smallint,
        type integer REFERENCES artist_type,
        comment varchar(255) NOT NULL DEFAULT '',
        edits_pending integer NOT NULL DEFAULT 0 CHECK (edits_pending >= 0),
        last_updated timestamptz DEFAULT now(),
        CONSTRAINT artist_name CHECK (name <> ''));
    CREATE UNIQUE INDEX artist_idx_gid ON artist (gid);
    CREATE UNIQUE INDEX artist_idx_null_comment ON artist (name) WHERE comment = '';
    CREATE UNIQUE INDEX artist_idx_uniq_name_comment ON artist (name, comment) WHERE comment <> '';
    CREATE INDEX artist_idx_lower_name ON artist (lower(name));
    CREATE INDEX artist_idx_text ON artist USING gin (to_tsvector('simple', name || ' ' || sort_name));
    CREATE TABLE artist_meta (
        id integer PRIMARY KEY REFERENCES artist ON DELETE CASCADE,
        rating smallint CHECK (rating BETWEEN 0 AND 100),
        rating_count integer);
    CREATE TABLE artist_gid_redirect (
        gid uuid PRIMARY KEY,
        new_id integer NOT NULL REFERENCES artist,
        created timestamptz DEFAULT now());
    CREATE TABLE artist_credit (
        id serial PRIMARY KEY,
        name varchar NOT NULL,
        artist_count smallint NOT NULL,
        ref_count integer DEFAULT 0,
        created timestamptz DEFAULT now(),
        edits_pending integer NOT NULL DEFAULT 0);
    CREATE TABLE artist_credit_name (
        artist_credit integer NOT NULL REFERENCES artist_credit ON DELETE CASCADE,
        position smallint NOT NULL,
        artist integer NOT NULL REFERENCES artist ON DELETE CASCADE,
        name varchar NOT NULL,
        join_phrase text NOT NULL DEFAULT '',
        PRIMARY KEY (artist_credit, position));
    CREATE TABLE release_group (
        id serial PRIMARY KEY,
        gid uuid NOT NULL,
        name varchar NOT NULL,
        artist_credit integer NOT NULL REFERENCES artist_credit,
        last_updated timestamptz DEFAULT now());
    CREATE UNIQUE INDEX release_group_idx_gid ON release_group (gid);
    CREATE TABLE l_artist_artist (
        id serial PRIMARY KEY,
        link varchar NOT NULL,
        entity0 integer NOT NULL REFERENCES artist,
        entity1 integer NOT NULL REFERENCES artist,
        link_order integer NOT NULL DEFAULT 0 CHECK (link_order >= 0));
    CREATE UNIQUE INDEX l_artist_artist_idx_uniq ON l_artist_artist (entity0, entity1, link, link_order);
    CREATE TABLE edit (
        id serial PRIMARY KEY,
        editor integer NOT NULL,
        type smallint NOT NULL,
        status smallint NOT NULL,
        open_time timestamptz,
        data jsonb);
    CREATE INDEX edit_idx_open_time ON edit USING brin (open_time);
    CREATE TABLE edit_artist (
        edit integer NOT NULL REFERENCES edit,
        artist integer NOT NULL REFERENCES artist ON DELETE CASCADE,
        status smallint NOT NULL,
        PRIMARY KEY (edit, artist));

    -- Metadata comes with the artist
    CREATE FUNCTION a_ins_artist() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        INSERT INTO artist_meta (id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $body$;
    CREATE TRIGGER a_ins_artist AFTER INSERT ON artist FOR EACH ROW EXECUTE FUNCTION a_ins_artist();
    -- Counts how often a credit is used
    CREATE FUNCTION a_ins_release_group() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        UPDATE artist_credit SET ref_count = ref_count + 1 WHERE id = NEW.artist_credit;
        RETURN NULL;
    END $body$;
    CREATE TRIGGER a_ins_release_group AFTER INSERT ON release_group FOR EACH ROW EXECUTE FUNCTION a_ins_release_group();
    CREATE FUNCTION b_upd_last_updated() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        NEW.last_updated := now();
        RETURN NEW;
    END $body$;
    CREATE TRIGGER b_upd_artist BEFORE UPDATE ON artist FOR EACH ROW EXECUTE FUNCTION b_upd_last_updated();
    -- No artist has a gid that redirects
    CREATE FUNCTION deny_redirected() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        IF EXISTS (SELECT FROM artist_gid_redirect WHERE gid = NEW.gid) THEN
            RAISE EXCEPTION 'gid % redirects', NEW.gid USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $body$;
    CREATE CONSTRAINT TRIGGER deny_redirected AFTER INSERT ON artist
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deny_redirected();
    CREATE VIEW artist_series AS SELECT id, gid, name FROM artist;
$ddl$, $source$
    INSERT INTO artist_type (gid, name, parent) VALUES
        ('00000000-0000-4000-8000-0000000000f1', 'Person', NULL), ('00000000-0000-4000-8000-0000000000f2', 'Group', NULL),
        ('00000000-0000-4000-8000-0000000000f3', 'Choir', 2);
    INSERT INTO artist (gid, name, sort_name, begin_date_year, type, comment, last_updated) VALUES
        ('00000000-0000-4000-8000-0000000000a1', 'Ida Holm', 'Holm, Ida', 1970, 1, '', '2020-01-01'),
        ('00000000-0000-4000-8000-0000000000a2', 'The Reeds', 'Reeds, The', 1990, 2, '', '2020-01-01'),
        -- Has been merged into the one before, over here
        ('00000000-0000-4000-8000-0000000000a3', 'Reeds', 'Reeds', NULL, 2, 'duplicate?', '2020-01-01'),
        ('00000000-0000-4000-8000-0000000000a4', 'Sing', 'Sing', 2001, 3, '', '2020-01-01');
    UPDATE artist_meta SET rating = 80, rating_count = 3 WHERE id = 1;
    INSERT INTO artist_gid_redirect VALUES ('00000000-0000-4000-8000-0000000000b1', 1, '2019-01-01');
    INSERT INTO artist_credit (name, artist_count, created) VALUES
        ('Ida Holm & Reeds', 2, '2020-01-01'), ('Ida Holm', 1, '2020-01-01'), ('Ida Holm & Sing', 2, '2020-01-01');
    INSERT INTO artist_credit_name VALUES (1, 0, 1, 'Ida Holm', ' & '), (1, 1, 3, 'Reeds', ''), (2, 0, 1, 'Ida Holm', ''),
        (3, 0, 1, 'Ida Holm', ' & '), (3, 1, 4, 'Sing', '');
    INSERT INTO release_group (gid, name, artist_credit, last_updated) VALUES
        ('00000000-0000-4000-8000-0000000000c1', 'Marsh', 1, '2020-02-01'), ('00000000-0000-4000-8000-0000000000c2', 'Alone', 2, '2020-02-01'),
        ('00000000-0000-4000-8000-0000000000c3', 'Mass', 3, '2020-02-01');
    INSERT INTO l_artist_artist (link, entity0, entity1) VALUES ('member of', 1, 2), ('member of', 1, 3), ('conductor of', 1, 4);
    INSERT INTO edit (editor, type, status, open_time, data) VALUES
        (4, 1, 2, '2020-01-01', '{"name": "Ida Holm"}'), (4, 2, 2, '2020-01-02', NULL);
    -- The edit that merged the two
    INSERT INTO edit_artist VALUES (1, 1, 2), (2, 2, 9), (2, 3, 2);
$source$, $destination$
    INSERT INTO artist_type (gid, name, parent) VALUES
        ('00000000-0000-4000-8000-0000000000f2', 'Group', NULL), ('00000000-0000-4000-8000-0000000000f1', 'Person', NULL);
    INSERT INTO artist (gid, name, sort_name, begin_date_year, type, comment, last_updated) VALUES
        ('00000000-0000-4000-8000-0000000000a9', 'Zoe Lind', 'Lind, Zoe', 1980, 2, '', '2020-01-01'),
        ('00000000-0000-4000-8000-0000000000a2', 'The Reeds', 'Reeds, The', 1991, 1, '', '2020-01-01'),
        ('00000000-0000-4000-8000-0000000000a1', 'Ida Holm', 'Holm, Ida', 1970, 2, '', '2020-01-01');
    UPDATE artist_meta SET rating = 60, rating_count = 1 WHERE id = 3;
    INSERT INTO artist_gid_redirect VALUES ('00000000-0000-4000-8000-0000000000a3', 2, '2021-01-01'),
        ('00000000-0000-4000-8000-0000000000b1', 3, '2019-01-01');
    INSERT INTO artist_credit (name, artist_count, created) VALUES ('Ida Holm', 1, '2019-09-09'), ('Zoe Lind', 1, '2019-09-09');
    INSERT INTO artist_credit_name VALUES (1, 0, 3, 'Ida Holm', ''), (2, 0, 1, 'Zoe Lind', '');
    INSERT INTO release_group (gid, name, artist_credit, last_updated) VALUES
        ('00000000-0000-4000-8000-0000000000c2', 'Alone', 1, '2020-02-01'),
        ('00000000-0000-4000-8000-0000000000c9', 'Elsewhere', 2, '2020-02-01');
    INSERT INTO l_artist_artist (link, entity0, entity1) VALUES ('member of', 3, 2);
    INSERT INTO edit (editor, type, status, open_time, data) VALUES (9, 1, 2, '2019-01-01', '{"name": "Ida Holm"}');
    INSERT INTO edit_artist VALUES (1, 3, 2);
$destination$);

-- The application's check that waits for the end of the transaction guards here as well
SELECT refuses('MusicBrainz with a gid that redirects', '23514', 'gid 00000000-0000-4000-8000-0000000000a3 redirects', false);

-- The same by its gid, or by the gid of what it was merged into
CREATE FUNCTION b.redirects(gid uuid, id integer) RETURNS boolean LANGUAGE sql STABLE AS $body$
    SELECT EXISTS (SELECT FROM b.artist_gid_redirect r WHERE (r.gid, r.new_id) = ($1, $2))
$body$;
SELECT factmerge_set_sameness('b.artist',
    condition => 'source.gid = destination.gid OR b.redirects(source.gid, destination.id)') \g /dev/null
SELECT factmerge_set_sameness('b.artist_credit', key => '{name, artist_count}') \g /dev/null
-- One trigger derives facts, the other one counts
SELECT factmerge_ignore_trigger('b.release_group', 'a_ins_release_group') \g /dev/null

-- In both: two types; Ida, The Reeds, and Reeds, who are the same here; three of four rows
-- of metadata; the redirect to Ida; a credit and its name; Alone; two memberships that are
-- one here; and the second of two entries for an edit, which is one as well.  Conflicts: year
-- of The Reeds; gid, name, sort name, year and comment of Reeds; rating of Ida and how often;
-- when the credit was created; the status of that second entry.
SELECT merges('MusicBrainz', '15 in both, 16 copied, 10 conflicts', $$
    SELECT a.gid, a.name, begin_date_year, t.name AS type, rating, a.factmerge_provenance AS tag
    FROM b.artist a JOIN b.artist_type t ON t.id = a.type JOIN b.artist_meta m ON m.id = a.id ORDER BY gid$$, $$
    (00000000-0000-4000-8000-0000000000a1,"Ida Holm",1970,Person,60,both)
    (00000000-0000-4000-8000-0000000000a2,"The Reeds",1991,Group,,both)
    (00000000-0000-4000-8000-0000000000a4,Sing,2001,Choir,,source)
    (00000000-0000-4000-8000-0000000000a9,"Zoe Lind",1980,Person,,destination)$$);
SELECT bag_eq($$SELECT source_key FROM b.artist, factmerge_origin('b.artist', id) WHERE name = 'The Reeds'$$,
    $$VALUES ('{"id": 2}'::jsonb), ('{"id": 3}')$$, 'two artists of the source are one here');
SELECT bag_eq(
    $$SELECT c.name AS credit, n.position, a.name AS artist, n.name, join_phrase, n.factmerge_provenance::text
      FROM b.artist_credit c JOIN b.artist_credit_name n ON n.artist_credit = c.id JOIN b.artist a ON a.id = n.artist$$,
    $$VALUES ('Ida Holm'::varchar, 0::smallint, 'Ida Holm'::varchar, 'Ida Holm'::varchar, '', 'both'),
             ('Zoe Lind', 0, 'Zoe Lind', 'Zoe Lind', '', 'destination'),
             ('Ida Holm & Reeds', 0, 'Ida Holm', 'Ida Holm', ' & ', 'source'), ('Ida Holm & Reeds', 1, 'The Reeds', 'Reeds', '', 'source'),
             ('Ida Holm & Sing', 0, 'Ida Holm', 'Ida Holm', ' & ', 'source'), ('Ida Holm & Sing', 1, 'Sing', 'Sing', '', 'source')$$,
    'credits are the lists that they were, of the artists of today');
SELECT bag_eq(
    $$SELECT r.name, c.name AS credit, ref_count, r.factmerge_provenance::text
      FROM b.release_group r JOIN b.artist_credit c ON c.id = artist_credit$$,
    $$VALUES ('Alone'::varchar, 'Ida Holm'::varchar, 1, 'both'), ('Elsewhere', 'Zoe Lind', 1, 'destination'),
             ('Marsh', 'Ida Holm & Reeds', 1, 'source'), ('Mass', 'Ida Holm & Sing', 1, 'source')$$,
    'what has been counted is not counted again');
SELECT bag_eq(
    $$SELECT link, p.name AS entity0, q.name AS entity1, l.factmerge_provenance::text
      FROM b.l_artist_artist l JOIN b.artist p ON p.id = entity0 JOIN b.artist q ON q.id = entity1$$,
    $$VALUES ('member of'::varchar, 'Ida Holm'::varchar, 'The Reeds'::varchar, 'both'), ('conductor of', 'Ida Holm', 'Sing', 'source')$$,
    'two relationships are the same if their ends are');
SELECT bag_eq(
    $$SELECT editor, open_time::date, a.name, x.status, e.factmerge_provenance::text AS edit, x.factmerge_provenance::text AS artist
      FROM b.edit e JOIN b.edit_artist x ON x.edit = e.id JOIN b.artist a ON a.id = x.artist$$,
    $$VALUES (9, '2019-01-01'::date, 'Ida Holm'::varchar, 2::smallint, 'destination', 'destination'),
             (4, '2020-01-01', 'Ida Holm', 2, 'source', 'source'),
             (4, '2020-01-02', 'The Reeds', 9, 'source', 'source')$$, 'edits are of the artists that they were of');
SELECT results_eq(
    $$SELECT g.gid, name, g.factmerge_provenance::text FROM b.artist_gid_redirect g JOIN b.artist a ON a.id = new_id ORDER BY 1$$,
    $$VALUES ('00000000-0000-4000-8000-0000000000a3'::uuid, 'The Reeds'::varchar, 'destination'),
             ('00000000-0000-4000-8000-0000000000b1', 'Ida Holm', 'both')$$, 'redirects lead where they led');
SELECT bag_eq(
    $$SELECT fact_table::text, column_name::text, source_value, destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))$$,
    $$VALUES ('b.artist', 'begin_date_year', '1990', '1991'),
             ('b.artist', 'gid', '00000000-0000-4000-8000-0000000000a3', '00000000-0000-4000-8000-0000000000a2'),
             ('b.artist', 'name', 'Reeds', 'The Reeds'), ('b.artist', 'sort_name', 'Reeds', 'Reeds, The'),
             ('b.artist', 'begin_date_year', NULL, '1991'), ('b.artist', 'comment', 'duplicate?', ''),
             ('b.artist_meta', 'rating', '80', '60'), ('b.artist_meta', 'rating_count', '3', '1'),
             ('b.artist_credit', 'created', '2020-01-01'::timestamptz::text, '2019-09-09'::timestamptz::text),
             ('b.edit_artist', 'status', '2', '9')$$, 'what differs is listed');
SELECT is_empty($$SELECT name FROM b.artist WHERE last_updated <> '2020-01-01'$$, 'nobody has been updated');
SELECT is_empty($$SELECT * FROM factmerge_verify('b')$$, 'every artist has metadata, nothing is left to derive');

SELECT works_on('MusicBrainz', $$
    INSERT INTO artist (gid, name, sort_name) VALUES (gen_random_uuid(), 'New', 'New');
    UPDATE artist_meta SET rating = 1 WHERE id = (SELECT max(id) FROM artist);
    INSERT INTO artist_credit (name, artist_count) VALUES ('New', 1);
    INSERT INTO artist_credit_name SELECT max(c.id), 0, max(a.id), 'New' FROM artist_credit c, artist a;
    INSERT INTO release_group (gid, name, artist_credit) SELECT gen_random_uuid(), 'New', max(id) FROM artist_credit;
    INSERT INTO l_artist_artist (link, entity0, entity1) SELECT 'new', max(id), min(id) FROM artist;
    INSERT INTO edit (editor, type, status) VALUES (1, 1, 1)$$);

SELECT * FROM finish();
ROLLBACK;
