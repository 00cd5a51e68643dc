-- A video rental of the kind of Pagila
--
-- Every table has a generated key, hardly one has another, and all of them say
-- when they were last updated: by whole rows nothing would ever be the same
-- in two shops, so it is declared what is.  Beside that: stores and staff that
-- refer to each other, an enum, a domain, an array, full text by a trigger,
-- partitioned payments, views.
BEGIN;
\ir include/real.sql
SELECT plan(18);

CALL make($ddl$
    CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
    CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);
    CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        NEW.last_update := now();
        RETURN NEW;
    END $body$;

    CREATE TABLE language (
        language_id serial PRIMARY KEY,
        name character(20) NOT NULL,
        last_update timestamptz NOT NULL DEFAULT now());
    CREATE TABLE actor (
        actor_id serial PRIMARY KEY,
        first_name text NOT NULL,
        last_name text NOT NULL,
        last_update timestamptz NOT NULL DEFAULT now());
    CREATE TABLE film (
        film_id serial PRIMARY KEY,
        title text NOT NULL,
        description text,
        release_year year,
        language_id integer NOT NULL REFERENCES language,
        original_language_id integer REFERENCES language,
        rental_rate numeric(4, 2) NOT NULL DEFAULT 4.99,
        rating mpaa_rating DEFAULT 'G',
        special_features text[],
        last_update timestamptz NOT NULL DEFAULT now(),
        fulltext tsvector NOT NULL);
    CREATE INDEX film_fulltext_idx ON film USING gist (fulltext);
    CREATE TABLE film_actor (
        actor_id integer REFERENCES actor ON UPDATE CASCADE ON DELETE RESTRICT,
        film_id integer REFERENCES film ON UPDATE CASCADE ON DELETE RESTRICT,
        last_update timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (actor_id, film_id));
    CREATE TABLE store (
        store_id serial PRIMARY KEY,
        manager_staff_id integer NOT NULL UNIQUE,
        last_update timestamptz NOT NULL DEFAULT now());
    CREATE TABLE staff (
        staff_id serial PRIMARY KEY,
        first_name text NOT NULL,
        store_id integer NOT NULL REFERENCES store,
        active boolean NOT NULL DEFAULT true,
        username text NOT NULL,
        picture bytea,
        last_update timestamptz NOT NULL DEFAULT now());
    ALTER TABLE store ADD FOREIGN KEY (manager_staff_id) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE customer (
        customer_id serial PRIMARY KEY,
        store_id integer NOT NULL REFERENCES store,
        first_name text NOT NULL,
        last_name text NOT NULL,
        email text,
        create_date date NOT NULL DEFAULT CURRENT_DATE,
        last_update timestamptz DEFAULT now());
    CREATE TABLE inventory (
        inventory_id serial PRIMARY KEY,
        film_id integer NOT NULL REFERENCES film,
        store_id integer NOT NULL REFERENCES store,
        last_update timestamptz NOT NULL DEFAULT now());
    CREATE TABLE rental (
        rental_id serial PRIMARY KEY,
        rental_date timestamptz NOT NULL,
        inventory_id integer NOT NULL REFERENCES inventory,
        customer_id integer NOT NULL REFERENCES customer,
        return_date timestamptz,
        staff_id integer NOT NULL REFERENCES staff,
        last_update timestamptz NOT NULL DEFAULT now());
    CREATE UNIQUE INDEX idx_unq_rental ON rental (rental_date, inventory_id, customer_id);
    CREATE TABLE payment (
        payment_id serial,
        customer_id integer NOT NULL REFERENCES customer,
        staff_id integer NOT NULL REFERENCES staff,
        rental_id integer NOT NULL REFERENCES rental,
        amount numeric(5, 2) NOT NULL,
        payment_date timestamptz NOT NULL,
        PRIMARY KEY (payment_date, payment_id)) PARTITION BY RANGE (payment_date);

    CREATE TRIGGER film_fulltext_trigger BEFORE INSERT OR UPDATE ON film
        FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');
    CREATE TRIGGER last_updated BEFORE UPDATE ON language FOR EACH ROW EXECUTE FUNCTION last_updated();
    CREATE TRIGGER last_updated BEFORE UPDATE ON actor FOR EACH ROW EXECUTE FUNCTION last_updated();
    CREATE TRIGGER last_updated BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION last_updated();
    CREATE TRIGGER last_updated BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION last_updated();
    CREATE TRIGGER last_updated BEFORE UPDATE ON rental FOR EACH ROW EXECUTE FUNCTION last_updated();

    CREATE VIEW actor_info AS
        SELECT a.actor_id, first_name, last_name, string_agg(title, ', ' ORDER BY title) AS films
        FROM actor a LEFT JOIN film_actor USING (actor_id) LEFT JOIN film USING (film_id)
        GROUP BY 1, 2, 3;
    CREATE MATERIALIZED VIEW sales_by_month AS
        SELECT date_trunc('month', payment_date, 'UTC') AS month, sum(amount) AS sales FROM payment GROUP BY 1;
    CREATE UNIQUE INDEX ON sales_by_month (month);
$ddl$, $source$
    -- By months there, by years here
    CREATE TABLE payment_2024_05 PARTITION OF payment FOR VALUES FROM ('2024-05-01+0') TO ('2024-06-01+0');
    CREATE TABLE payment_2024_06 PARTITION OF payment FOR VALUES FROM ('2024-06-01+0') TO ('2024-07-01+0');
    INSERT INTO language (name, last_update) VALUES ('English', '2006-02-15'), ('German', '2006-02-15');
    INSERT INTO actor (first_name, last_name, last_update) VALUES ('IDA', 'HOLM', '2006-02-15'), ('BEN', 'STONE', '2006-02-15');
    INSERT INTO film (title, description, release_year, language_id, original_language_id, rating, special_features, last_update) VALUES
        ('LONG NIGHT', 'A tale of a lighthouse', 2001, 1, NULL, 'PG', '{Trailers,"Deleted Scenes"}', '2006-02-15'),
        ('RED RIVER', 'A ferry goes astray', 2003, 2, 1, 'PG-13', '{Trailers}', '2006-02-15');
    INSERT INTO film_actor VALUES (1, 1, '2006-02-15'), (2, 2, '2006-02-15'), (1, 2, '2006-02-15');
    INSERT INTO store (manager_staff_id, last_update) VALUES (1, '2006-02-15');
    INSERT INTO staff (first_name, store_id, username, picture, last_update) VALUES
        ('Hanna', 1, 'hanna', '\x0102', '2006-02-15'), ('Otto', 1, 'otto', NULL, '2006-02-15');
    INSERT INTO customer (store_id, first_name, last_name, email, create_date, last_update) VALUES
        (1, 'KIM', 'BERG', 'KIM.BERG@example.org', '2024-01-01', '2024-01-01'),
        (1, 'LEA', 'MOE', NULL, '2024-01-02', '2024-01-02');
    INSERT INTO inventory (film_id, store_id, last_update) VALUES (2, 1, '2006-02-15'), (1, 1, '2006-02-15');
    INSERT INTO rental (rental_date, inventory_id, customer_id, return_date, staff_id, last_update) VALUES
        ('2024-05-01 10:00+0', 1, 1, NULL, 2, '2024-05-01'), ('2024-05-02 11:00+0', 2, 2, '2024-05-04 09:00+0', 1, '2024-05-01');
    INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) VALUES
        (1, 1, 1, 4.99, '2024-05-03 12:00+0'), (2, 1, 2, 2.99, '2024-06-02 12:00+0');
    REFRESH MATERIALIZED VIEW sales_by_month;
$source$, $destination$
    CREATE TABLE payment_2024 PARTITION OF payment FOR VALUES FROM ('2024-01-01+0') TO ('2025-01-01+0');
    INSERT INTO language (name, last_update) VALUES ('French', '2006-02-15'), ('English', '2007-07-07');
    INSERT INTO actor (first_name, last_name, last_update) VALUES ('BEN', 'STONE', '2006-02-15'), ('ZOE', 'LIND', '2006-02-15');
    INSERT INTO film (title, description, release_year, language_id, rating, special_features, last_update) VALUES
        ('RED RIVER', 'A ferry goes astray', 2003, 2, 'R', '{Trailers}', '2006-02-15'),
        ('LAST TRAIN', 'A stoker finds a map', 1999, 1, 'G', NULL, '2006-02-15');
    INSERT INTO film_actor VALUES (1, 1, '2006-02-15'), (2, 2, '2006-02-15');
    INSERT INTO store (manager_staff_id, last_update) VALUES (1, '2006-02-15'), (2, '2006-02-15');
    INSERT INTO staff (first_name, store_id, username, picture, last_update) VALUES
        ('Mike', 1, 'mike', NULL, '2006-02-15'), ('Hanna', 2, 'hanna', '\x0102', '2006-02-15');
    INSERT INTO customer (store_id, first_name, last_name, email, create_date, last_update) VALUES
        (2, 'KIM', 'BERG', 'kim.berg@example.org', '2024-01-01', '2024-01-01');
    INSERT INTO inventory (film_id, store_id, last_update) VALUES (1, 2, '2006-02-15'), (2, 1, '2006-02-15');
    INSERT INTO rental (rental_date, inventory_id, customer_id, return_date, staff_id, last_update) VALUES
        ('2024-05-01 10:00+0', 1, 1, '2024-05-03 12:00+0', 2, '2024-05-01');
    INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) VALUES (1, 2, 1, 4.99, '2024-05-03 12:00+0');
    REFRESH MATERIALIZED VIEW sales_by_month;
$destination$);

-- What happens if nothing is declared
SELECT results_eq(
    $$SELECT sameness FROM factmerge_tables('b') WHERE fact_table IN ('b.language'::regclass, 'b.film'::regclass)$$,
    $$VALUES ('whole row'), ('whole row')$$, 'a generated key and the time of the last update tell nothing');
SELECT results_eq(
    $$SELECT outcome, facts FROM factmerge_preview('a', 'b', 0) WHERE fact_table = 'language'$$,
    $$VALUES ('in both', 0::bigint), ('copied', 2), ('conflict', 0)$$, '... so that English would be there twice, as a preview shows');

SELECT factmerge_set_sameness('b.language', key => '{name}') \g /dev/null
SELECT factmerge_set_sameness('b.actor', key => '{first_name, last_name}') \g /dev/null
SELECT factmerge_set_sameness('b.film', key => '{title, release_year}') \g /dev/null
SELECT factmerge_set_sameness('b.staff', key => '{username}') \g /dev/null
SELECT factmerge_set_sameness('b.customer', key => '{first_name, last_name}', tolerance => '{"email": "lower"}') \g /dev/null
SELECT factmerge_set_sameness('b.inventory', key => '{film_id, store_id}') \g /dev/null

-- In both: English, Ben, Red River with Ben in it, Hanna and her store, Kim,
-- their copy of Red River, Kim's rental of it, and its payment.  Conflicts: when English
-- was updated; language, original language and rating of Red River; how Kim's address is
-- written; when the film came back, and who lent it.
SELECT merges('Pagila', '10 in both, 10 copied, 7 conflicts', $$
    SELECT trim(l.name) AS language, title, release_year, rating, special_features, f.factmerge_provenance AS tag,
        ARRAY(SELECT concat(first_name, ' ', last_name) || ': ' || x.factmerge_provenance
              FROM b.film_actor x JOIN b.actor USING (actor_id) WHERE x.film_id = f.film_id ORDER BY 1) AS actors
    FROM b.film f JOIN b.language l USING (language_id) ORDER BY title$$, $$
    (French,"LAST TRAIN",1999,G,,destination,"{""ZOE LIND: destination""}")
    (English,"LONG NIGHT",2001,PG,"{Trailers,""Deleted Scenes""}",source,"{""IDA HOLM: source""}")
    (English,"RED RIVER",2003,R,{Trailers},both,"{""BEN STONE: both"",""IDA HOLM: source""}")$$);
SELECT bag_eq('SELECT trim(name), factmerge_provenance::text FROM b.language',
    $$VALUES ('French', 'destination'), ('English', 'both'), ('German', 'source')$$, 'each language is there once');
SELECT bag_eq(
    $$SELECT s.username, m.username AS manager, s.factmerge_provenance::text AS staff, t.factmerge_provenance::text AS store, s.picture
      FROM b.staff s JOIN b.store t USING (store_id) JOIN b.staff m ON m.staff_id = t.manager_staff_id$$,
    $$VALUES ('mike', 'mike', 'destination', 'destination', NULL::bytea), ('hanna', 'hanna', 'both', 'both', '\x0102'),
             ('otto', 'hanna', 'source', 'both', NULL)$$,
    'a store is the same if its manager is, and staff work where they worked');
SELECT bag_eq(
    $$SELECT c.first_name, c.email, title, r.rental_date, s.username, r.factmerge_provenance::text
      FROM b.rental r JOIN b.customer c USING (customer_id) JOIN b.inventory i USING (inventory_id)
      JOIN b.film USING (film_id) JOIN b.staff s USING (staff_id) WHERE i.store_id = c.store_id$$,
    $$VALUES ('KIM', 'kim.berg@example.org', 'RED RIVER', '2024-05-01 10:00+0'::timestamptz, 'hanna', 'both'),
             ('LEA', NULL, 'LONG NIGHT', '2024-05-02 11:00+0', 'hanna', 'source')$$, 'rentals are of the right copies by the right people');
SELECT bag_eq(
    $$SELECT p.tableoid::regclass::text AS part, first_name, amount, rental_date, p.factmerge_provenance::text
      FROM b.payment p JOIN b.customer USING (customer_id) JOIN b.rental USING (rental_id)$$,
    $$VALUES ('b.payment_2024', 'KIM', 4.99, '2024-05-01 10:00+0'::timestamptz, 'both'),
             ('b.payment_2024', 'LEA', 2.99, '2024-05-02 11:00+0', 'source')$$,
    'payments get from partitions by month to one by year');
SELECT bag_eq('SELECT fact_table::text, column_name::text, source_value, destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))',
    $$VALUES ('b.language', 'last_update', '2006-02-15'::timestamptz::text, '2007-07-07'::timestamptz::text),
             ('b.film', 'language_id', (SELECT language_id::text FROM b.language WHERE name = 'German'), '2'),
             ('b.film', 'original_language_id', '2', NULL),
             ('b.film', 'rating', 'PG-13', 'R'),
             ('b.customer', 'email', 'KIM.BERG@example.org', 'kim.berg@example.org'),
             ('b.rental', 'return_date', NULL, '2024-05-03 12:00+0'::timestamptz::text),
             ('b.rental', 'staff_id', (SELECT staff_id::text FROM b.staff WHERE username = 'otto'), '2')$$,
    'what differs is listed, references as the destination would have them');

-- Triggers that keep a column up to date have kept quiet: nobody has updated
-- anything
SELECT is_empty($$SELECT title FROM b.film WHERE last_update <> '2006-02-15'$$, 'copying and tagging are no updates');
SELECT results_eq($$SELECT title FROM b.film WHERE fulltext @@ to_tsquery('english', 'lighthouses')$$, $$VALUES ('LONG NIGHT')$$,
    'what was found by its text there, is found here');
SELECT results_eq($$SELECT films FROM b.actor_info WHERE first_name = 'IDA'$$, $$VALUES ('LONG NIGHT, RED RIVER')$$,
    'views show it');
SELECT results_eq('SELECT sales FROM b.sales_by_month ORDER BY month', 'VALUES (4.99)', 'materialized views wait ...');
REFRESH MATERIALIZED VIEW b.sales_by_month;
SELECT results_eq('SELECT sales FROM b.sales_by_month ORDER BY month', 'VALUES (4.99), (2.99)', '... until they are refreshed');

SELECT works_on('Pagila', $$
    INSERT INTO language (name) VALUES ('Norwegian');
    INSERT INTO film (title, language_id) SELECT 'NEW', max(language_id) FROM language;
    INSERT INTO inventory (film_id, store_id) SELECT max(film_id), 1 FROM film;
    INSERT INTO rental (rental_date, inventory_id, customer_id, staff_id)
        SELECT '2024-07-01', max(inventory_id), max(customer_id), 1 FROM inventory, customer;
    INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date)
        SELECT max(customer_id), 1, max(rental_id), 1, '2024-07-02' FROM rental;
    UPDATE film SET title = title$$);

SELECT * FROM finish();
ROLLBACK;
