-- Part of shapes_sessions.sql: a session whose people and their deeds are in
-- temporary tables.  It merges them into schema b, tries the reverse, and prints
-- the totals.  The first person, whom no key identifies, is called :name.
SET client_min_messages = warning;
CREATE TEMPORARY TABLE person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text UNIQUE, name text);
CREATE TEMPORARY TABLE deed (person integer REFERENCES person, deed text, PRIMARY KEY (person, deed));
INSERT INTO person (mail, name) VALUES (NULL, :'name'), ('bob@x', 'Bob');
INSERT INTO deed SELECT id, 'sang' FROM person;

PREPARE merge (boolean) AS
    SELECT format('%s in both, %s copied, %s conflicts', in_both, copied, conflicts) FROM factmerge_merge('pg_temp', 'b', $1);
EXECUTE merge (true);
EXECUTE merge (false);
EXECUTE merge (false);

DO $$
BEGIN
    PERFORM factmerge_merge('b', 'pg_temp');
EXCEPTION WHEN feature_not_supported THEN
    RAISE WARNING '%', SQLERRM;
END $$;
SELECT id, name FROM person ORDER BY id;
