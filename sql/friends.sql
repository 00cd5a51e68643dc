--
-- friends: who may be friends with whom, by the foreign keys
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

CREATE SCHEMA friends;
CREATE SCHEMA friends_outside;
CREATE TABLE friends_outside.country (code text PRIMARY KEY);
CREATE TABLE friends.point (name text PRIMARY KEY, country text REFERENCES friends_outside.country);
CREATE TABLE friends.edge (a text REFERENCES friends.point, b text REFERENCES friends.point, PRIMARY KEY (a, b));
CREATE TABLE friends.path (a text, b text, "via the" text REFERENCES friends.point, PRIMARY KEY (a, b), FOREIGN KEY (a, b) REFERENCES friends.edge);
CREATE TABLE friends.loner (id integer PRIMARY KEY);
CREATE TABLE friends."Tree" (id integer PRIMARY KEY, "Parent" integer REFERENCES friends."Tree");

\set friends 'SELECT fact_table, friend_table, hops, path FROM factmerge_friends(\'friends\') ORDER BY fact_table::text, hops, friend_table::text, path COLLATE "C"'

SET factmerge.friend_hops = 0;
:friends;
SET factmerge.friend_hops = 1;
:friends;
RESET factmerge.friend_hops;
SHOW factmerge.friend_hops;
:friends;
SET factmerge.friend_hops = 3;
SELECT fact_table, friend_table, min(hops) AS nearest, count(*) AS paths FROM factmerge_friends('friends')
GROUP BY 1, 2 ORDER BY fact_table::text, friend_table::text;
RESET factmerge.friend_hops;

-- A schema without tables or without foreign keys has no friends
CREATE SCHEMA friends_none;
SELECT count(*) FROM factmerge_friends('friends_none');
CREATE TABLE friends_none.t (a integer);
SELECT count(*) FROM factmerge_friends('friends_none');
SELECT count(*) FROM factmerge_friends(NULL);

DROP SCHEMA friends, friends_outside, friends_none CASCADE;

-- A table that only the destination has holds facts of the destination, and so
-- friends; what is derived into such a table is neither tagged nor counted
CREATE SCHEMA friend_src;
CREATE SCHEMA friend_dst;
DO $make$
DECLARE
    schema text;
BEGIN
    FOREACH schema IN ARRAY ARRAY['friend_src', 'friend_dst'] LOOP
        EXECUTE format($ddl$
            CREATE TABLE %1$I.item (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
            CREATE TABLE %1$I.offer (item integer REFERENCES %1$I.item, seller text, PRIMARY KEY (item, seller));
        $ddl$, schema);
    END LOOP;
END $make$;
CREATE TABLE friend_dst.wish (item integer REFERENCES friend_dst.item, buyer text, PRIMARY KEY (item, buyer));
CREATE TABLE friend_dst.deal (item integer REFERENCES friend_dst.item, seller text, buyer text, PRIMARY KEY (item, seller, buyer));
CREATE FUNCTION friend_dst.make_deal() RETURNS trigger LANGUAGE plpgsql SET search_path = friend_dst AS $body$
BEGIN
    INSERT INTO deal SELECT NEW.item, NEW.seller, buyer FROM wish WHERE item = NEW.item ON CONFLICT DO NOTHING;
    RETURN NULL;
END $body$;
CREATE TRIGGER make_deal AFTER INSERT ON friend_dst.offer FOR EACH ROW EXECUTE FUNCTION friend_dst.make_deal();
INSERT INTO friend_src.item (name) VALUES ('lamp'), ('vase');
INSERT INTO friend_src.offer VALUES (1, 'Ada'), (2, 'Bob');
INSERT INTO friend_dst.item (name) VALUES ('vase'), ('bowl');
INSERT INTO friend_dst.wish VALUES (1, 'Cid');
SELECT copied, skipped_one_sided, replayed, derived FROM factmerge_merge('friend_src', 'friend_dst');
SELECT name, seller, buyer FROM friend_dst.deal JOIN friend_dst.item ON item = id;
SELECT * FROM factmerge_verify('friend_dst');
SET client_min_messages = warning;
DROP SCHEMA friend_src, friend_dst CASCADE;

-- Around a hub, paths are as many as pairs of references to it: each of them once, the shorter ones first
SET client_min_messages = warning;
CREATE SCHEMA friends_hub;
CREATE TABLE friends_hub.usr (id integer PRIMARY KEY);
DO $$
BEGIN
    FOR n IN 1..40 LOOP
        EXECUTE format('CREATE TABLE friends_hub.t%s (name text PRIMARY KEY, made_by integer REFERENCES friends_hub.usr,
            changed_by integer REFERENCES friends_hub.usr)', n);
    END LOOP;
END $$;
SELECT hops, fact_table = 'friends_hub.usr'::regclass AS from_usr, count(*), count(DISTINCT (fact_table, path)), count(DISTINCT friend_table) AS friends
FROM factmerge_friends('friends_hub') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT hops, path FROM factmerge_friends('friends_hub') WHERE fact_table = 'friends_hub.t1'::regclass LIMIT 4;
DROP SCHEMA friends_hub CASCADE;
RESET client_min_messages;
