-- An Odoo database
--
-- Users are partners, and partners know which user created them: two tables that
-- refer to each other.  A partner's company may be the partner itself.  Names are
-- jsonb, one for each language; many2many tables have no key; categories are a
-- tree that repeats their numbers in a path; numbers of orders come from rows that count, not
-- from sequences; and what modules have installed is known by name, with an
-- untyped number.
BEGIN;
\ir include/real.sql
SELECT plan(13);

CALL make($ddl$
    CREATE TABLE res_partner (
        id serial PRIMARY KEY,
        name varchar,
        parent_id integer,
        commercial_partner_id integer,
        email varchar,
        lang varchar,
        active boolean,
        create_uid integer,
        create_date timestamp,
        CONSTRAINT res_partner_check_name CHECK (name IS NOT NULL OR parent_id IS NOT NULL));
    CREATE TABLE res_users (
        id serial PRIMARY KEY,
        login varchar NOT NULL,
        password varchar,
        partner_id integer NOT NULL,
        create_uid integer,
        CONSTRAINT res_users_login_key UNIQUE (login));
    ALTER TABLE res_partner
        ADD CONSTRAINT res_partner_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES res_partner ON DELETE SET NULL,
        ADD CONSTRAINT res_partner_commercial_partner_id_fkey FOREIGN KEY (commercial_partner_id) REFERENCES res_partner ON DELETE SET NULL,
        ADD CONSTRAINT res_partner_create_uid_fkey FOREIGN KEY (create_uid) REFERENCES res_users ON DELETE SET NULL;
    ALTER TABLE res_users
        ADD CONSTRAINT res_users_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES res_partner ON DELETE RESTRICT,
        ADD CONSTRAINT res_users_create_uid_fkey FOREIGN KEY (create_uid) REFERENCES res_users ON DELETE SET NULL;
    CREATE INDEX res_partner_email_trigram ON res_partner (lower(email) varchar_pattern_ops);
    CREATE TABLE res_partner_category (
        id serial PRIMARY KEY,
        name jsonb NOT NULL,
        parent_id integer REFERENCES res_partner_category ON DELETE CASCADE,
        parent_path varchar);
    CREATE TABLE res_partner_res_partner_category_rel (
        category_id integer NOT NULL REFERENCES res_partner_category ON DELETE CASCADE,
        partner_id integer NOT NULL REFERENCES res_partner ON DELETE CASCADE);
    CREATE INDEX ON res_partner_res_partner_category_rel (category_id, partner_id);
    CREATE TABLE ir_sequence (
        id serial PRIMARY KEY,
        name varchar NOT NULL,
        code varchar,
        prefix varchar,
        padding integer NOT NULL,
        number_next integer NOT NULL);
    CREATE TABLE ir_model_data (
        id serial PRIMARY KEY,
        module varchar NOT NULL,
        name varchar NOT NULL,
        model varchar NOT NULL,
        res_id integer,
        noupdate boolean DEFAULT false);
    CREATE UNIQUE INDEX ir_model_data_module_name_uniq_index ON ir_model_data (module, name);
    CREATE TABLE sale_order (
        id serial PRIMARY KEY,
        name varchar NOT NULL,
        partner_id integer NOT NULL REFERENCES res_partner ON DELETE RESTRICT,
        user_id integer REFERENCES res_users ON DELETE SET NULL,
        state varchar,
        date_order timestamp NOT NULL,
        amount_total numeric,
        CONSTRAINT sale_order_date CHECK (state NOT IN ('sale', 'done') OR date_order IS NOT NULL));
    CREATE TABLE sale_order_line (
        id serial PRIMARY KEY,
        order_id integer NOT NULL REFERENCES sale_order ON DELETE CASCADE,
        sequence integer,
        name text NOT NULL,
        product_uom_qty numeric NOT NULL,
        price_unit double precision);
    CREATE TABLE bus_bus (
        id serial PRIMARY KEY,
        channel varchar,
        message varchar,
        create_date timestamp);
$ddl$, $source$
    INSERT INTO res_partner (name, email, lang, active, create_date) VALUES
        ('My Company', 'info@company.example', 'en_US', true, '2023-01-01'),
        ('Administrator', 'admin@company.example', 'en_US', true, '2023-01-01');
    INSERT INTO res_users (login, password, partner_id) VALUES ('admin', 'x', 2);
    INSERT INTO res_partner (name, email, lang, active, create_date, create_uid) VALUES
        ('Deco', 'deco@example.org', 'de_DE', true, '2023-02-01', 1), ('Dora', 'dora@deco.example', 'de_DE', true, '2023-02-02', 1),
        ('Sam', NULL, 'en_US', true, '2023-02-03', 1);
    UPDATE res_partner SET parent_id = (SELECT id FROM res_partner WHERE name = 'Deco') WHERE name = 'Dora';
    UPDATE res_partner SET commercial_partner_id = coalesce(parent_id, id);
    INSERT INTO res_users (login, password, partner_id, create_uid) SELECT 'sam', 'x', id, 1 FROM res_partner WHERE name = 'Sam';
    UPDATE res_users SET create_uid = 1 WHERE login = 'admin';
    INSERT INTO res_partner_category (name, parent_id, parent_path) VALUES
        ('{"en_US": "Customer", "de_DE": "Kunde"}', NULL, '1/'), ('{"en_US": "Gold", "de_DE": "Gold"}', 1, '1/2/'),
        ('{"en_US": "Supplier"}', NULL, '3/'), ('{"en_US": "Gold"}', 3, '3/4/');
    INSERT INTO res_partner_res_partner_category_rel SELECT 2, id FROM res_partner WHERE name = 'Deco';
    INSERT INTO res_partner_res_partner_category_rel SELECT 4, id FROM res_partner WHERE name IN ('Deco', 'Dora');
    INSERT INTO ir_sequence (name, code, prefix, padding, number_next) VALUES
        ('Orders', 'sale.order', 'S', 5, 3), ('Tickets', 'ticket', 'T', 3, 1);
    INSERT INTO ir_model_data (module, name, model, res_id, noupdate) VALUES
        ('base', 'main_partner', 'res.partner', 1, true), ('base', 'user_admin', 'res.users', 1, true),
        ('demo', 'partner_deco', 'res.partner', 3, false), ('demo', 'user_sam', 'res.users', 2, false);
    INSERT INTO sale_order (name, partner_id, user_id, state, date_order, amount_total)
        SELECT 'S00001', id, 2, 'sale', '2023-03-01 09:00'::timestamp, 100.0 FROM res_partner WHERE name = 'Dora'
        UNION ALL SELECT 'S00002', id, 1, 'draft', '2023-03-02 09:00', 50.5 FROM res_partner WHERE name = 'Deco';
    INSERT INTO sale_order_line (order_id, sequence, name, product_uom_qty, price_unit) VALUES
        (1, 10, 'Desk', 1, 100), (2, 10, 'Chair', 1, 25.25), (2, 10, 'Chair', 1, 25.25);
    INSERT INTO bus_bus (channel, message, create_date) VALUES ('c', 'm', '2023-03-03');
$source$, $destination$
    INSERT INTO res_partner (name, email, lang, active, create_date) VALUES
        ('My Company', 'info@company.example', 'en_US', true, '2022-01-01'),
        ('Administrator', 'admin@company.example', 'fr_FR', true, '2022-01-01');
    INSERT INTO res_users (login, password, partner_id, create_uid) VALUES ('ops', 'z', 1, NULL), ('admin', 'y', 2, 1);
    INSERT INTO res_partner (name, email, lang, active, create_date, create_uid) VALUES
        ('Lumber', NULL, 'en_US', true, '2022-02-01', 2), ('Deco', 'Deco@example.org', 'de_DE', true, '2022-02-02', 2),
        ('Dora', 'dora@lumber.example', 'en_US', true, '2022-02-03', 2);
    UPDATE res_partner SET parent_id = (SELECT id FROM res_partner WHERE name = 'Lumber') WHERE name = 'Dora';
    UPDATE res_partner SET commercial_partner_id = coalesce(parent_id, id);
    INSERT INTO res_partner_category (name, parent_id, parent_path) VALUES
        ('{"en_US": "Supplier"}', NULL, '1/'), ('{"en_US": "Gold", "fr_FR": "Or"}', 1, '1/2/'), ('{"en_US": "Customer"}', NULL, '3/');
    INSERT INTO res_partner_res_partner_category_rel SELECT 2, id FROM res_partner WHERE name IN ('Lumber', 'Deco');
    INSERT INTO ir_sequence (name, code, prefix, padding, number_next) VALUES ('Sales orders', 'sale.order', 'S', 5, 2);
    INSERT INTO ir_model_data (module, name, model, res_id, noupdate) VALUES
        ('base', 'user_admin', 'res.users', 2, true), ('base', 'main_partner', 'res.partner', 1, true);
    INSERT INTO sale_order (name, partner_id, user_id, state, date_order, amount_total)
        SELECT 'S00001', id, 2, 'sale', '2022-03-01 09:00', 7 FROM res_partner WHERE name = 'Lumber';
    INSERT INTO sale_order_line (order_id, sequence, name, product_uom_qty, price_unit) VALUES (1, 10, 'Desk', 1, 7);
    INSERT INTO bus_bus (channel, message, create_date) VALUES ('c', 'm', '2022-03-03');
$destination$);

SELECT factmerge_ignore('b.bus_bus') \g /dev/null
-- A partner is known by name and mail address, contacts also by whom they work for.  The condition
-- is about rows as they would be here.
SELECT factmerge_set_sameness('b.res_partner', key => '{name}',
    condition => $$lower(source.email) IS NOT DISTINCT FROM lower(destination.email)
                   AND source.parent_id IS NOT DISTINCT FROM destination.parent_id$$) \g /dev/null
SELECT factmerge_set_sameness('b.res_partner_category',
    condition => $$source.name ->> 'en_US' = destination.name ->> 'en_US'
                   AND source.parent_id IS NOT DISTINCT FROM destination.parent_id$$) \g /dev/null
SELECT factmerge_set_sameness('b.ir_sequence', key => '{code}') \g /dev/null
SELECT factmerge_set_sameness('b.sale_order', key => '{name, partner_id, date_order}') \g /dev/null

-- In both: My Company, Administrator, Deco (whose address is written otherwise); admin;
-- Customer, Supplier and its Gold; Deco as a golden supplier; the sequence of orders; what
-- module base has installed.  Conflicts: three partners and admin, as to their times,
-- languages and creators; the names of categories where a translation is missing, and their
-- paths; the sequence; a number of the module's.
SELECT merges('Odoo', '11 in both, 14 copied, 15 conflicts', $$
    SELECT p.name, p.email, b.name AS parent, c.name AS company, u.login AS created_by, p.factmerge_provenance AS tag
    FROM b.res_partner p LEFT JOIN b.res_partner b ON b.id = p.parent_id JOIN b.res_partner c ON c.id = p.commercial_partner_id
    LEFT JOIN b.res_users u ON u.id = p.create_uid ORDER BY p.name, p.email$$, $$
    (Administrator,admin@company.example,,Administrator,,both)
    (Deco,Deco@example.org,,Deco,admin,both)
    (Dora,dora@deco.example,Deco,Deco,admin,source)
    (Dora,dora@lumber.example,Lumber,Lumber,admin,destination)
    (Lumber,,,Lumber,admin,destination)
    ("My Company",info@company.example,,"My Company",,both)
    (Sam,,,Sam,admin,source)$$);
SELECT bag_eq(
    $$SELECT u.login, u.password, p.name, c.login AS created_by, u.factmerge_provenance::text
      FROM b.res_users u JOIN b.res_partner p ON p.id = partner_id LEFT JOIN b.res_users c ON c.id = u.create_uid$$,
    $$VALUES ('ops'::varchar, 'z'::varchar, 'My Company'::varchar, NULL::varchar, 'destination'),
             ('admin', 'y', 'Administrator', 'ops', 'both'), ('sam', 'x', 'Sam', 'admin', 'source')$$,
    'users are the right partners, and were created by the right users');
SELECT bag_eq(
    $$SELECT c.name ->> 'en_US' AS name, c.name ->> 'fr_FR' AS french, p.name ->> 'en_US' AS parent, c.factmerge_provenance::text
      FROM b.res_partner_category c LEFT JOIN b.res_partner_category p ON p.id = c.parent_id$$,
    $$VALUES ('Supplier', NULL, NULL, 'both'), ('Gold', 'Or', 'Supplier', 'both'), ('Customer', NULL, NULL, 'both'),
             ('Gold', NULL, 'Customer', 'source')$$,
    'a category is the same if its parent is, and Gold there are two');
SELECT bag_eq(
    $$SELECT p.name AS partner, c.name ->> 'en_US' AS category, u.name ->> 'en_US' AS parent, r.factmerge_provenance::text
      FROM b.res_partner_res_partner_category_rel r JOIN b.res_partner p ON p.id = r.partner_id
      JOIN b.res_partner_category c ON c.id = category_id JOIN b.res_partner_category u ON u.id = c.parent_id$$,
    $$VALUES ('Lumber'::varchar, 'Gold', 'Supplier', 'destination'), ('Deco', 'Gold', 'Supplier', 'both'),
             ('Deco', 'Gold', 'Customer', 'source'), ('Dora', 'Gold', 'Supplier', 'source')$$,
    'a table that joins two others is the same if both of its ends are');
SELECT bag_eq(
    $$SELECT o.name AS number, p.email, u.login, l.name, product_uom_qty, price_unit, l.factmerge_provenance::text
      FROM b.sale_order_line l JOIN b.sale_order o ON o.id = order_id
      JOIN b.res_partner p ON p.id = partner_id JOIN b.res_users u ON u.id = user_id$$,
    $$VALUES ('S00001'::varchar, NULL::varchar, 'admin'::varchar, 'Desk', 1::numeric, 7::double precision, 'destination'),
             ('S00001', 'dora@deco.example', 'sam', 'Desk', 1, 100, 'source'),
             ('S00002', 'Deco@example.org', 'admin', 'Chair', 1, 25.25, 'source'),
             ('S00002', 'Deco@example.org', 'admin', 'Chair', 1, 25.25, 'source')$$,
    'two orders of one number are two orders, and two equal lines are two lines');

-- What the database takes for mere values, and the application has to mend: numbers
-- in paths, numbers without a foreign key, counters
SELECT bag_eq(
    $$SELECT column_name::text, source_value, destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))
      WHERE fact_table = 'b.ir_sequence'::regclass$$,
    $$VALUES ('name', 'Orders', 'Sales orders'), ('number_next', '3', '2')$$, 'a counter that is a row is a conflict');
UPDATE b.ir_sequence SET number_next = 3 WHERE code = 'sale.order';
WITH RECURSIVE path AS (
    SELECT id, id || '/' AS path FROM b.res_partner_category WHERE parent_id IS NULL
    UNION ALL SELECT c.id, path || c.id || '/' FROM path p JOIN b.res_partner_category c ON c.parent_id = p.id)
UPDATE b.res_partner_category c SET parent_path = path FROM path p WHERE p.id = c.id AND parent_path <> path;
UPDATE b.ir_model_data d
SET res_id = coalesce((SELECT id FROM b.res_partner WHERE model = 'res.partner' AND source_id('b.res_partner', id) = res_id),
                      (SELECT id FROM b.res_users WHERE model = 'res.users' AND source_id('b.res_users', id) = res_id))
WHERE factmerge_provenance = 'source';
SELECT bag_eq(
    $$SELECT module, d.name, coalesce(p.name, login) AS record FROM b.ir_model_data d
      LEFT JOIN b.res_partner p ON model = 'res.partner' AND p.id = res_id
      LEFT JOIN b.res_users u ON model = 'res.users' AND u.id = res_id$$,
    $$VALUES ('base'::varchar, 'user_admin'::varchar, 'admin'::varchar), ('base', 'main_partner', 'My Company'),
             ('demo', 'partner_deco', 'Deco'), ('demo', 'user_sam', 'sam')$$, 'records known by name can be found again');
SELECT results_eq($$SELECT in_both, copied FROM factmerge_merge('a', 'b')$$, 'VALUES (25::bigint, 0::bigint)',
    'after all that there is nothing new in the source');

SELECT works_on('Odoo', $$
    INSERT INTO res_partner (name) VALUES ('New');
    UPDATE res_partner SET commercial_partner_id = id WHERE name = 'New';
    INSERT INTO res_users (login, partner_id, create_uid) SELECT 'new', id, 1 FROM res_partner WHERE name = 'New';
    INSERT INTO res_partner_category (name, parent_id) SELECT '{"en_US": "New"}', max(id) FROM res_partner_category;
    INSERT INTO sale_order (name, partner_id, date_order) SELECT 'S00003', max(id), now() FROM res_partner;
    INSERT INTO ir_model_data (module, name, model) VALUES ('new', 'new', 'new');
    DELETE FROM bus_bus$$);

SELECT * FROM finish();
ROLLBACK;
