-- A Rails application
--
-- Times of creation and of the last update in every table, mail addresses that
-- are unique whatever their case, references without a foreign key, tags and
-- attachments that hang on any record there is, jsonb, text to search in by a
-- generated column, the bookkeeping of migrations.
BEGIN;
\ir include/real.sql
SELECT plan(21);

CALL make($ddl$
    CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);
    CREATE TABLE ar_internal_metadata (
        key varchar NOT NULL PRIMARY KEY,
        value varchar,
        created_at timestamp(6) NOT NULL,
        updated_at timestamp(6) NOT NULL);
    CREATE TABLE users (
        id bigserial PRIMARY KEY,
        email varchar DEFAULT '' NOT NULL,
        encrypted_password varchar NOT NULL,
        settings jsonb DEFAULT '{}' NOT NULL,
        sign_in_count integer DEFAULT 0 NOT NULL,
        created_at timestamp(6) NOT NULL,
        updated_at timestamp(6) NOT NULL);
    CREATE UNIQUE INDEX index_users_on_lower_email ON users (lower(email));
    CREATE INDEX index_users_on_settings ON users USING gin (settings);
    CREATE TABLE posts (
        id bigserial PRIMARY KEY,
        user_id bigint NOT NULL,
        title varchar NOT NULL,
        state integer DEFAULT 0 NOT NULL,
        search tsvector GENERATED ALWAYS AS (to_tsvector('english', title)) STORED,
        created_at timestamp(6) NOT NULL,
        updated_at timestamp(6) NOT NULL);
    CREATE INDEX index_posts_on_user_id ON posts (user_id);
    CREATE INDEX index_posts_on_search ON posts USING gin (search);
    CREATE TABLE tags (
        id bigserial PRIMARY KEY,
        name varchar,
        taggings_count integer DEFAULT 0,
        created_at timestamp(6),
        updated_at timestamp(6));
    CREATE UNIQUE INDEX index_tags_on_name ON tags (name);
    CREATE TABLE taggings (
        id bigserial PRIMARY KEY,
        tag_id bigint REFERENCES tags,
        taggable_type varchar,
        taggable_id bigint,
        context varchar(128),
        created_at timestamp);
    CREATE UNIQUE INDEX taggings_idx ON taggings (tag_id, taggable_id, taggable_type, context);
    CREATE TABLE active_storage_blobs (
        id bigserial PRIMARY KEY,
        key varchar NOT NULL,
        filename varchar NOT NULL,
        metadata text,
        byte_size bigint NOT NULL,
        checksum varchar,
        created_at timestamp(6) NOT NULL);
    CREATE UNIQUE INDEX index_active_storage_blobs_on_key ON active_storage_blobs (key);
    CREATE TABLE active_storage_attachments (
        id bigserial PRIMARY KEY,
        name varchar NOT NULL,
        record_type varchar NOT NULL,
        record_id bigint NOT NULL,
        blob_id bigint NOT NULL REFERENCES active_storage_blobs,
        created_at timestamp(6) NOT NULL);
    CREATE UNIQUE INDEX index_active_storage_attachments_uniqueness
        ON active_storage_attachments (record_type, record_id, name, blob_id);
    CREATE TABLE active_storage_variant_records (
        id bigserial PRIMARY KEY,
        blob_id bigint NOT NULL REFERENCES active_storage_blobs,
        variation_digest varchar NOT NULL);
    CREATE UNIQUE INDEX index_active_storage_variant_records_uniqueness
        ON active_storage_variant_records (blob_id, variation_digest);
$ddl$, $source$
    INSERT INTO schema_migrations VALUES ('20230101000000'), ('20230202000000');
    INSERT INTO ar_internal_metadata VALUES ('environment', 'staging', '2023-01-01', '2023-01-01');
    INSERT INTO users (email, encrypted_password, settings, created_at, updated_at) VALUES
        ('Ada@example.org', 'x', '{"theme": "dark"}', '2023-01-01', '2023-01-01'),
        ('ben@example.org', 'x', '{"theme": "light", "mail": {"weekly": true}}', '2023-01-02', '2023-01-02');
    INSERT INTO posts (user_id, title, state, created_at, updated_at) VALUES
        (1, 'Hello', 1, '2023-02-01 10:00:00.123456', '2023-02-01 10:00:00.123456'),
        (2, 'World', 0, '2023-02-02', '2023-02-03'), (1, 'Again', 1, '2023-02-04', '2023-02-04');
    INSERT INTO tags (name, taggings_count, created_at, updated_at) VALUES
        ('sql', 2, '2023-01-01', '2023-01-01'), ('ruby', 1, '2023-01-01', '2023-01-01');
    INSERT INTO taggings (tag_id, taggable_type, taggable_id, context, created_at) VALUES
        (1, 'Post', 1, 'tags', '2023-02-01'), (2, 'Post', 2, 'tags', '2023-02-02'), (1, 'User', 2, 'skills', '2023-02-02');
    INSERT INTO active_storage_blobs (key, filename, metadata, byte_size, checksum, created_at) VALUES
        ('k1aaaa', 'ben.png', '{"identified":true}', 5000000000, 'c1', '2023-03-01'), ('k2aaaa', 'cv.pdf', NULL, 20, NULL, '2023-03-02');
    INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at) VALUES
        ('avatar', 'User', 2, 1, '2023-03-01'), ('file', 'Post', 2, 2, '2023-03-02'),
        ('image', 'ActiveStorage::VariantRecord', 1, 1, '2023-03-01');
    INSERT INTO active_storage_variant_records (blob_id, variation_digest) VALUES (1, 'v1');
$source$, $destination$
    INSERT INTO schema_migrations VALUES ('20230101000000'), ('20230303000000');
    INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2022-01-01', '2022-01-01');
    INSERT INTO users (email, encrypted_password, settings, sign_in_count, created_at, updated_at) VALUES
        ('root@example.org', 'y', '{}', 1, '2022-01-01', '2022-01-01'), ('cid@example.org', 'y', '{}', 2, '2022-01-02', '2022-01-02'),
        ('ada@example.org', 'y', '{"theme": "dark"}', 3, '2023-01-01', '2023-01-01');
    INSERT INTO posts (user_id, title, state, created_at, updated_at) VALUES
        (2, 'Mine', 1, '2022-02-01', '2022-02-01'), (3, 'Hello', 1, '2023-02-01 10:00:00.123456', '2023-05-05');
    INSERT INTO tags (name, taggings_count, created_at, updated_at) VALUES ('sql', 1, '2022-01-01', '2022-01-01');
    INSERT INTO taggings (tag_id, taggable_type, taggable_id, context, created_at) VALUES (1, 'Post', 2, 'tags', '2023-02-01');
    INSERT INTO active_storage_blobs (key, filename, byte_size, created_at) VALUES ('k3bbbb', 'cid.png', 30, '2022-03-01');
    INSERT INTO active_storage_attachments (name, record_type, record_id, blob_id, created_at) VALUES ('avatar', 'User', 2, 1, '2022-03-01');
$destination$);

SELECT factmerge_ignore('b.schema_migrations') \g /dev/null
SELECT factmerge_ignore('b.ar_internal_metadata') \g /dev/null
-- References to a record of any kind cannot be followed, see below
SELECT factmerge_ignore('b.taggings') \g /dev/null
SELECT factmerge_ignore('b.active_storage_attachments') \g /dev/null

-- Posts say whose they are, but not to the database.  Telling the destination is enough
ALTER TABLE b.posts ADD FOREIGN KEY (user_id) REFERENCES b.users NOT VALID;
SELECT factmerge_set_sameness('b.posts', key => '{user_id, title, created_at}') \g /dev/null

-- In both: ada, her first post, sql.  Conflicts: how her address is written, password and
-- number of sign-ins, when the post was updated; the count of sql, and its times.
SELECT merges('Rails', '3 in both, 7 copied, 7 conflicts', $$
    SELECT title, state, p.created_at, email, settings, p.factmerge_provenance AS post, u.factmerge_provenance AS "user"
    FROM b.posts p JOIN b.users u ON u.id = user_id ORDER BY title$$, $$
    (Again,1,"2023-02-04 00:00:00",ada@example.org,"{""theme"": ""dark""}",source,both)
    (Hello,1,"2023-02-01 10:00:00.123456",ada@example.org,"{""theme"": ""dark""}",both,both)
    (Mine,1,"2022-02-01 00:00:00",cid@example.org,{},destination,destination)
    (World,0,"2023-02-02 00:00:00",ben@example.org,"{""mail"": {""weekly"": true}, ""theme"": ""light""}",source,source)$$);
SELECT bag_eq('SELECT version FROM b.schema_migrations', $$VALUES ('20230101000000'::varchar), ('20230303000000')$$,
    'what the source''s migrations did has not been done here');
SELECT results_eq('SELECT value FROM b.ar_internal_metadata', $$VALUES ('production'::varchar)$$, 'production stays production');
SELECT results_eq($$SELECT key, byte_size, b.factmerge_provenance::text, variation_digest
                    FROM b.active_storage_blobs b LEFT JOIN b.active_storage_variant_records v ON v.blob_id = b.id ORDER BY key$$,
    $$VALUES ('k1aaaa'::varchar, 5000000000, 'source', 'v1'::varchar), ('k2aaaa', 20, 'source', NULL), ('k3bbbb', 30, 'destination', NULL)$$,
    'blobs and their variants are there');
SELECT bag_eq($$SELECT title FROM b.posts WHERE search @@ to_tsquery('english', 'worlds | mine')$$, $$VALUES ('World'::varchar), ('Mine')$$,
    'generated columns are generated');
SELECT is_empty($$SELECT email FROM b.users WHERE updated_at > '2023-12-31'$$, 'nobody has been updated');
SELECT bag_eq(
    $$SELECT fact_table::text, column_name::text FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0)) WHERE fact_table <> 'b.users'::regclass$$,
    $$VALUES ('b.posts', 'updated_at'), ('b.tags', 'taggings_count'), ('b.tags', 'created_at'), ('b.tags', 'updated_at')$$,
    'times of updates and counts are conflicts like any other');

-- What hangs on any record follows by way of the origins
CREATE FUNCTION record_here(type text, id_there bigint) RETURNS bigint LANGUAGE sql AS $body$
    SELECT id FROM b.users WHERE type = 'User' AND source_id('b.users', id) = id_there
    UNION ALL SELECT id FROM b.posts WHERE type = 'Post' AND source_id('b.posts', id) = id_there
    UNION ALL SELECT id FROM b.active_storage_variant_records
        WHERE type = 'ActiveStorage::VariantRecord' AND source_id('b.active_storage_variant_records', id) = id_there
$body$;
CREATE PROCEDURE follow() LANGUAGE sql AS $body$
    INSERT INTO b.taggings (tag_id, taggable_type, taggable_id, context, created_at)
    SELECT t.id, taggable_type, record_here(taggable_type, taggable_id), context, s.created_at
    FROM a.taggings s JOIN b.tags t ON source_id('b.tags', t.id) = tag_id
    ORDER BY s.id ON CONFLICT DO NOTHING;
    INSERT INTO b.active_storage_attachments (name, record_type, record_id, blob_id, created_at)
    SELECT name, record_type, record_here(record_type, record_id), b.id, s.created_at
    FROM a.active_storage_attachments s JOIN b.active_storage_blobs b ON source_id('b.active_storage_blobs', b.id) = blob_id
    ORDER BY s.id ON CONFLICT DO NOTHING;
$body$;
CALL follow();
CALL follow();
SELECT bag_eq(
    $$SELECT t.name, context, coalesce(title, email) AS record FROM b.taggings g JOIN b.tags t ON t.id = tag_id
      LEFT JOIN b.posts p ON taggable_type = 'Post' AND p.id = taggable_id
      LEFT JOIN b.users u ON taggable_type = 'User' AND u.id = taggable_id$$,
    $$VALUES ('sql'::varchar, 'tags'::varchar, 'Hello'::varchar), ('ruby', 'tags', 'World'), ('sql', 'skills', 'ben@example.org')$$,
    'tags hang on what they hung on');
SELECT bag_eq(
    $$SELECT filename, a.name, coalesce(title, email, variation_digest) AS record
      FROM b.active_storage_attachments a JOIN b.active_storage_blobs b ON b.id = blob_id
      LEFT JOIN b.posts p ON record_type = 'Post' AND p.id = record_id
      LEFT JOIN b.users u ON record_type = 'User' AND u.id = record_id
      LEFT JOIN b.active_storage_variant_records v ON record_type = 'ActiveStorage::VariantRecord' AND v.id = record_id$$,
    $$VALUES ('cid.png'::varchar, 'avatar'::varchar, 'cid@example.org'::varchar), ('ben.png', 'avatar', 'ben@example.org'),
             ('cv.pdf', 'file', 'World'), ('ben.png', 'image', 'v1')$$, '... and so do attachments');
-- Counts that the application keeps are for the application to mend
UPDATE b.tags t SET taggings_count = (SELECT count(*) FROM b.taggings g WHERE g.tag_id = t.id);
SELECT results_eq($$SELECT in_both, copied FROM factmerge_merge('a', 'b')$$, 'VALUES (10::bigint, 0::bigint)',
    'after all that there is nothing new in the source');

SELECT works_on('Rails', $$
    INSERT INTO users (email, encrypted_password, created_at, updated_at) VALUES ('new@example.org', '', now(), now());
    INSERT INTO posts (user_id, title, created_at, updated_at) SELECT max(id), 'New', now(), now() FROM users;
    INSERT INTO tags (name) VALUES ('new');
    INSERT INTO taggings (tag_id, taggable_type, taggable_id) SELECT max(t.id), 'Post', max(p.id) FROM tags t, posts p;
    INSERT INTO active_storage_blobs (key, filename, byte_size, created_at) VALUES ('new', 'new', 0, now());
    INSERT INTO schema_migrations VALUES ('20240101000000')$$);

--
-- A database and its copy
--
-- Staging began as a dump of production, and both have gone on: what has the same id is the
-- same, and whatever has another, keeps it.
--
CALL make($ddl$
    CREATE TABLE products (
        id bigserial PRIMARY KEY,
        name varchar NOT NULL,
        updated_at timestamp(6) NOT NULL);
    CREATE TABLE prices (
        id bigserial PRIMARY KEY,
        product_id bigint NOT NULL REFERENCES products,
        amount numeric(10, 2) NOT NULL);
    INSERT INTO products (name, updated_at) VALUES ('Tea', '2023-01-01'), ('Milk', '2023-01-01');
    INSERT INTO prices (product_id, amount) VALUES (1, 3), (2, 1);
$ddl$, $source$
    UPDATE products SET name = 'Oat milk' WHERE id = 2;
    INSERT INTO products (id, name, updated_at) VALUES (11, 'Bread', '2023-02-01'), (12, 'Salt', '2023-02-01');
    INSERT INTO prices (id, product_id, amount) VALUES (11, 11, 4), (12, 2, 2);
$source$, $destination$
    INSERT INTO products (name, updated_at) VALUES ('Rice', '2023-02-02');
$destination$);
SELECT factmerge_set_sameness('b.products', key => '{id}') \g /dev/null
SELECT factmerge_set_sameness('b.prices', key => '{id}') \g /dev/null
SELECT merges('A copy of a database', '4 in both, 4 copied, 1 conflicts', $$
    SELECT p.id, name, r.id, amount, p.factmerge_provenance AS product, r.factmerge_provenance AS price
    FROM b.products p LEFT JOIN b.prices r ON product_id = p.id ORDER BY 1, 3$$, $$
    (1,Tea,1,3.00,both,both)
    (2,Milk,2,1.00,both,both)
    (2,Milk,12,2.00,both,source)
    (3,Rice,,,destination,)
    (11,Bread,11,4.00,source,source)
    (12,Salt,,,source,)$$);
SELECT works_on('A copy of a database', $$
    INSERT INTO products (name, updated_at) SELECT 'New', now() FROM generate_series(1, 20);
    INSERT INTO prices (product_id, amount) SELECT id, 1 FROM products$$);

SELECT * FROM finish();

ROLLBACK;
