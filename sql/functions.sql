--
-- functions: declared handlers
--
-- Offers and wishes of the same item make a deal, as in the test of triggers;
-- here functions find them.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;
SET factmerge.check_skipped_seed = 1;

CREATE PROCEDURE make_functions()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS func_src CASCADE;
    DROP SCHEMA IF EXISTS func_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['func_src', 'func_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.item (name text PRIMARY KEY);
            CREATE TABLE %1$I.offer (item text REFERENCES %1$I.item, seller text, PRIMARY KEY (item, seller));
            CREATE TABLE %1$I.wish (item text REFERENCES %1$I.item, buyer text, PRIMARY KEY (item, buyer));
            CREATE TABLE %1$I.deal (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                                    item text REFERENCES %1$I.item, seller text, buyer text,
                                    UNIQUE (item, seller, buyer));
            CREATE TABLE %1$I.news (deal integer REFERENCES %1$I.deal, what text);
            CREATE FUNCTION %1$I.match_offer(o %1$I.offer) RETURNS void LANGUAGE sql SET search_path = %1$I AS
            'INSERT INTO deal (item, seller, buyer) SELECT o.item, o.seller, buyer FROM wish WHERE item = o.item
             ON CONFLICT DO NOTHING';
            -- Rows are built by name, for the target gets two more columns
            CREATE FUNCTION %1$I.deals_of_offer(o %1$I.offer) RETURNS SETOF %1$I.deal LANGUAGE plpgsql STABLE SET search_path = %1$I AS $f$
            DECLARE d deal;
            BEGIN
                FOR d.item, d.seller, d.buyer IN SELECT o.item, o.seller, buyer FROM wish WHERE item = o.item ORDER BY buyer LOOP
                    RETURN NEXT d;
                END LOOP;
            END $f$;
            CREATE FUNCTION %1$I.deals_of_wish(w %1$I.wish) RETURNS SETOF %1$I.deal LANGUAGE plpgsql STABLE SET search_path = %1$I AS $f$
            DECLARE d deal;
            BEGIN
                FOR d.item, d.seller, d.buyer IN SELECT w.item, seller, w.buyer FROM offer WHERE item = w.item ORDER BY seller LOOP
                    RETURN NEXT d;
                END LOOP;
            END $f$;
            CREATE FUNCTION %1$I.spread(d %1$I.deal) RETURNS SETOF %1$I.news LANGUAGE plpgsql STABLE SET search_path = %1$I AS $f$
            DECLARE n news;
            BEGIN
                n.deal := d.id;
                n.what := concat(d.seller, ' sells a ', d.item, ' to ', d.buyer);
                RETURN NEXT n;
            END $f$;
            CREATE FUNCTION %1$I.resell(d %1$I.deal) RETURNS SETOF %1$I.deal LANGUAGE plpgsql STABLE SET search_path = %1$I AS $f$
            DECLARE r deal;
            BEGIN
                IF d.buyer < 'E' THEN
                    r.item := d.item;
                    r.seller := d.buyer;
                    r.buyer := chr(ascii(d.buyer) + 1);
                    RETURN NEXT r;
                END IF;
            END $f$;
        $ddl$, schema);
    END LOOP;
    INSERT INTO func_src.item VALUES ('lamp'), ('desk'), ('book');
    INSERT INTO func_src.offer VALUES ('lamp', 'A'), ('lamp', 'X'), ('desk', 'A'), ('book', 'A');
    INSERT INTO func_dst.item VALUES ('lamp'), ('desk'), ('vase');
    INSERT INTO func_dst.wish VALUES ('lamp', 'B'), ('vase', 'B');
END
$make$;

\set merge 'SELECT copied, skipped_categorically AS categ, skipped_in_both AS s_both, skipped_friends_in_both AS s_friends, skipped_one_sided AS s_sided, unhandled, replayed, derived FROM factmerge_merge(\'func_src\', \'func_dst\')'
\set deals 'SELECT item, seller, buyer, factmerge_provenance FROM func_dst.deal ORDER BY item COLLATE "C", seller COLLATE "C", buyer COLLATE "C"'
\set news 'SELECT what, n.factmerge_provenance, d.id IS NOT NULL AS of_a_deal FROM func_dst.news n LEFT JOIN func_dst.deal d ON d.id = deal ORDER BY what COLLATE "C"'

-- A function that inserts by itself
CALL make_functions();
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.match_offer');
SELECT fact_table, handler, priority, found_from FROM factmerge.handler WHERE fact_table::text LIKE 'func%';
SELECT fact_table, handlers FROM factmerge_tables('func_dst') WHERE handlers <> '{}';
:merge;
:deals;

-- A function whose rows are saved; what is there already is no error, and the
-- surrogate key is the destination's
CALL make_functions();
INSERT INTO func_dst.deal (item, seller, buyer) VALUES ('lamp', 'X', 'B'), ('vase', 'C', 'B');
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.deals_of_offer');
SELECT fact_table, handlers FROM factmerge_tables('func_dst') WHERE handlers <> '{}';
:merge;
SELECT id, item, seller, buyer, factmerge_provenance FROM func_dst.deal ORDER BY id;

-- Saved facts are events: the deals that an offer makes are spread as news.
-- Nothing identifies news but the whole row, and none is told twice
CALL make_functions();
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.deals_of_offer'),
       factmerge_add_handler('func_dst.wish', 'func_dst.deals_of_wish'),
       factmerge_add_handler('func_dst.deal', 'func_dst.spread');
INSERT INTO func_src.wish VALUES ('book', 'Y');
INSERT INTO func_src.deal (item, seller, buyer) VALUES ('book', 'A', 'Y');
INSERT INTO func_src.news VALUES (1, 'A sells a book to Y');
:merge;
:deals;
:news;
:merge;
SELECT count(*) FROM func_dst.news;
SELECT fact_table, fact FROM factmerge_verify('func_dst');

-- ... round by round until nothing is new
CALL make_functions();
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.deals_of_offer'),
       factmerge_add_handler('func_dst.deal', 'func_dst.resell'),
       factmerge_add_handler('func_dst.deal', 'func_dst.spread');
:merge;
:deals;
:news;

-- Functions and triggers work together: a trigger's facts are a function's
-- events, and the other way round
CALL make_functions();
CREATE FUNCTION func_dst.resell_by_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO func_dst.deal (item, seller, buyer)
    SELECT item, buyer, 'by trigger' FROM func_dst.deal WHERE id = NEW.id AND buyer NOT LIKE 'by%' ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER resell AFTER INSERT ON func_dst.deal FOR EACH ROW EXECUTE FUNCTION func_dst.resell_by_trigger();
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.deals_of_offer'),
       factmerge_add_handler('func_dst.deal', 'func_dst.spread');
:merge;
:deals;
:news;

-- Handlers of higher priority run first, over all tables
CALL make_functions();
CREATE TABLE func_log (number serial, call text);
INSERT INTO func_src.item VALUES ('vase');
INSERT INTO func_src.wish VALUES ('vase', 'Z');
INSERT INTO func_dst.offer VALUES ('vase', 'C');
CREATE FUNCTION func_dst.low(func_dst.offer) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.func_log (call) VALUES ('low ' || $1.seller) $$;
CREATE FUNCTION func_dst.mid(func_dst.wish) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.func_log (call) VALUES ('mid ' || $1.buyer) $$;
CREATE FUNCTION func_dst.top(func_dst.offer) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.func_log (call) VALUES ('top ' || $1.seller) $$;
CREATE FUNCTION func_dst.usual(func_dst.wish) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.func_log (call) VALUES ('usual ' || $1.buyer) $$;
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.low', -1),
       factmerge_add_handler('func_dst.wish', 'func_dst.mid', priority => 5),
       factmerge_add_handler('func_dst.offer', 'func_dst.top', 10),
       factmerge_add_handler('func_dst.wish', 'func_dst.usual');
SELECT fact_table, handlers FROM factmerge_tables('func_dst') WHERE handlers <> '{}';
:merge;
SELECT call FROM func_log ORDER BY number;
-- Declaring one again changes its priority
TRUNCATE func_log;
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.low', 20);
SELECT handler, priority FROM factmerge.handler WHERE fact_table = 'func_dst.offer'::regclass ORDER BY priority;
INSERT INTO func_src.offer VALUES ('lamp', 'W');
:merge;
SELECT call FROM func_log ORDER BY number;
DROP TABLE func_log;

-- A handler that hangs on one table only: a point joins what comes in with what
-- goes out.  Found from any fact it misses what a point in both would find;
-- found from this one it misses nothing.
CREATE PROCEDURE make_points()
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
BEGIN
    DROP SCHEMA IF EXISTS func_src CASCADE;
    DROP SCHEMA IF EXISTS func_dst CASCADE;
    FOREACH schema IN ARRAY ARRAY['func_src', 'func_dst'] LOOP
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.point (name text PRIMARY KEY);
            CREATE TABLE %1$I.edge (a text REFERENCES %1$I.point, b text REFERENCES %1$I.point, PRIMARY KEY (a, b));
            CREATE TABLE %1$I.way (a text REFERENCES %1$I.point, b text REFERENCES %1$I.point, PRIMARY KEY (a, b));
            CREATE FUNCTION %1$I.join_edges(p %1$I.point) RETURNS SETOF %1$I.way LANGUAGE plpgsql STABLE SET search_path = %1$I AS $f$
            DECLARE r way;
            BEGIN
                FOR r.a, r.b IN SELECT i.a, o.b FROM edge i JOIN edge o ON i.b = p.name AND o.a = p.name LOOP
                    RETURN NEXT r;
                END LOOP;
            END $f$;
        $ddl$, schema);
    END LOOP;
    INSERT INTO func_src.point VALUES ('a'), ('b'), ('c');
    INSERT INTO func_src.edge VALUES ('a', 'b');
    INSERT INTO func_dst.point VALUES ('b'), ('c'), ('d');
    INSERT INTO func_dst.edge VALUES ('b', 'c'), ('c', 'd');
    INSERT INTO func_dst.way VALUES ('b', 'd');
END
$make$;
\set paths 'SELECT a, b, factmerge_provenance FROM func_dst.way ORDER BY 1, 2'
CALL make_points();
SELECT factmerge_add_handler('func_dst.point', 'func_dst.join_edges', found_from => 'any');
:merge;
:paths;
SELECT fact_table, fact FROM factmerge_verify('func_dst');
CALL make_points();
SELECT factmerge_add_handler('func_dst.point', 'func_dst.join_edges', found_from => 'this');
SELECT handler, found_from FROM factmerge.handler WHERE fact_table = 'func_dst.point'::regclass;
:merge;
:paths;
SELECT fact_table, fact FROM factmerge_verify('func_dst');
-- Only handlers that are found from this fact are called for facts in both
CALL make_points();
CREATE TABLE func_log (number serial, call text);
CREATE FUNCTION func_dst.note_any(func_dst.point) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.func_log (call) VALUES ('any ' || $1.name) $$;
CREATE FUNCTION func_dst.note_this(func_dst.point) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.func_log (call) VALUES ('this ' || $1.name) $$;
SELECT factmerge_add_handler('func_dst.point', 'func_dst.note_any'),
       factmerge_add_handler('func_dst.point', 'func_dst.note_this', 0, 'this');
:merge;
SELECT call FROM func_log ORDER BY number;
DROP TABLE func_log;
DROP PROCEDURE make_points;

-- Names: quoted, unqualified, and of a function elsewhere
CALL make_functions();
CREATE FUNCTION func_dst."Match \ it's"(o func_dst.offer) RETURNS void LANGUAGE sql AS 'SELECT func_dst.match_offer(o)';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst."Match \ it''s"');
SET search_path = func_dst, public;
SELECT factmerge_add_handler('offer', 'deals_of_offer');
RESET search_path;
SELECT handler FROM factmerge.handler WHERE fact_table = 'func_dst.offer'::regclass ORDER BY handler COLLATE "C";
:merge;
:deals;
SELECT factmerge_drop_handler('func_dst.offer', 'deals_of_offer');
SELECT factmerge_drop_handler('func_dst.offer', '"Match \ it''s"');
SELECT factmerge_drop_handler('func_dst.offer', 'deals_of_offer');
SELECT count(*) FROM factmerge.handler WHERE fact_table = 'func_dst.offer'::regclass;

-- What is no handler is refused when it is declared
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.no_such_function');
\echo :LAST_ERROR_SQLSTATE
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.spread');
SELECT factmerge_add_handler('func_dst.offer', 'pg_catalog.now');
CREATE FUNCTION func_dst.returns_text(func_dst.offer) RETURNS text LANGUAGE sql AS 'SELECT $1.item';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.returns_text');
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION func_dst.returns_texts(func_dst.offer) RETURNS SETOF text LANGUAGE sql AS 'SELECT $1.item';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.returns_texts');
CREATE FUNCTION func_dst.returns_record(func_dst.offer) RETURNS SETOF record LANGUAGE sql AS 'SELECT 1, 2';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.returns_record');
CREATE FUNCTION func_dst.returns_one(func_dst.offer) RETURNS func_dst.deal LANGUAGE sql AS 'SELECT NULL::func_dst.deal';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.returns_one');
CREATE PROCEDURE func_dst.is_procedure(func_dst.offer) LANGUAGE sql AS 'SELECT 1';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.is_procedure');
CREATE AGGREGATE func_dst.is_aggregate(func_dst.offer) (SFUNC = array_append, STYPE = func_dst.offer[]);
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.is_aggregate');
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.match_offer', found_from => 'that');
\echo :LAST_ERROR_SQLSTATE
SELECT factmerge_add_handler('func_dst.offer', 'not a name');
SELECT factmerge_add_handler('func_dst.offer', '');
SELECT factmerge_add_handler('func_dst.nothing', 'func_dst.match_offer');
CREATE VIEW func_dst.offers AS SELECT * FROM func_dst.offer;
CREATE FUNCTION func_dst.match_offers(func_dst.offers) RETURNS void LANGUAGE sql AS '';
SELECT factmerge_add_handler('func_dst.offers', 'func_dst.match_offers');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM factmerge.handler WHERE fact_table = 'func_dst.offer'::regclass;
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.match_offer', friends => '{func_src.deal}');
-- A set of rows of a table elsewhere is refused, when it comes to merging if need be
CREATE FUNCTION func_dst.elsewhere(func_dst.offer) RETURNS SETOF func_src.deal LANGUAGE sql AS 'SELECT NULL::func_src.deal';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.elsewhere');
CREATE TABLE func_dst.moving (id integer);
CREATE FUNCTION func_dst.moves(func_dst.offer) RETURNS SETOF func_dst.moving LANGUAGE sql AS 'SELECT NULL::func_dst.moving';
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.moves');
ALTER TABLE func_dst.moving SET SCHEMA public;
INSERT INTO func_src.offer VALUES ('lamp', 'V');
:merge;
\echo :LAST_ERROR_SQLSTATE
SELECT factmerge_drop_handler('func_dst.offer', 'func_dst.moves');
DROP TABLE public.moving CASCADE;

-- A function that has gone since: the merge says so, and dropping the
-- declaration still works
SELECT factmerge_add_handler('func_dst.offer', 'func_dst.match_offer');
DROP FUNCTION func_dst.match_offer;
:merge;
\echo :LAST_ERROR_SQLSTATE
SELECT factmerge_drop_handler('func_dst.offer', 'func_dst.match_offer');
:merge;

-- A table that has gone leaves nothing that breaks
CREATE FUNCTION func_dst.tell(func_dst.news) RETURNS void LANGUAGE sql AS '';
SELECT factmerge_add_handler('func_dst.news', 'func_dst.tell');
DROP TABLE func_dst.news, func_src.news CASCADE;
:merge;
SELECT fact_table FROM factmerge_tables('func_dst') ORDER BY position;

DROP SCHEMA func_src, func_dst CASCADE;
DROP PROCEDURE make_functions;
