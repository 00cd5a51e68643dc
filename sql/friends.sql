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
