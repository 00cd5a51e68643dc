-- Facts of the source that the destination does not admit: the error is the
-- server's, and says which fact of the source it is and what to do
BEGIN;
\ir include/shapes.sql
SELECT plan(69);
CREATE EXTENSION btree_gist;

-- People known by name, with deeds.  Of the source's, Ada is in both; number 3
-- is the one that will not do.
CREATE PROCEDURE make_people(constrained text, wrong text DEFAULT $$'Cid', 1850, 'm'$$) LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(
        'CREATE TABLE person (id serial PRIMARY KEY, name text UNIQUE, born integer, sex text);
         CREATE TABLE deed (person integer REFERENCES person, deed text, PRIMARY KEY (person, deed))',
        format($$INSERT INTO person (name, born, sex) VALUES ('Ada', 1815, 'f'), ('Bob', 1900, 'm'), (%s);
                 INSERT INTO deed SELECT id, 'sang' FROM person$$, wrong),
        $$INSERT INTO person (name, born, sex) VALUES ('Dot', 1950, 'f'), ('Ada', 1816, 'f');
            INSERT INTO deed SELECT id, 'sang' FROM person;
          CREATE FUNCTION long_ago(integer) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN $1 < 1990; $$ || constrained);
END $body$;

-- An error with a certain message that names the source's fact and has a hint
CREATE FUNCTION says(message text, fact text DEFAULT '\(id\)=\(3\)', hint text DEFAULT '') RETURNS text LANGUAGE sql AS
    $$SELECT format('%s.*\nDETAIL: .*%s.*\nHINT: +%s', message, fact, hint)$$;

--
-- Constraints of the row
--
CALL make_people('ALTER TABLE person ADD CONSTRAINT plausible CHECK (born BETWEEN 1800 AND 2000)', $$'Cid', 2850, 'm'$$);
SELECT refuses('CHECK violated: constraint, fact and hint in the error', '23514',
    says('new row for relation "person" violates check constraint "plausible"'), early => false);
CALL make_people('ALTER TABLE person ADD CONSTRAINT plausible CHECK (long_ago(born))', $$'Cid', 1991, 'm'$$);
SELECT refuses('CHECK by a function violated', '23514',
    says('new row for relation "person" violates check constraint "plausible"'), early => false);
CALL make_people('ALTER TABLE person ADD CONSTRAINT plausible CHECK (born < 1940) NOT VALID', $$'Cid', 1941, 'm'$$);
SELECT refuses('CHECK violated that is NOT VALID', '23514',
    says('new row for relation "person" violates check constraint "plausible"'), early => false);
CALL make_people('ALTER TABLE person ALTER born SET NOT NULL', $$'Cid', NULL, 'm'$$);
SELECT refuses('NOT NULL violated: column, fact and hint in the error', '23502',
    says('null value in column "born" of relation "person" violates not-null constraint'), early => false);
CALL make_people('ALTER TABLE person ADD since date DEFAULT current_date;
    ALTER TABLE person ALTER since SET NOT NULL, ALTER since DROP DEFAULT');
SELECT refuses('NOT NULL column without default that only the destination has', '23502',
    says('null value in column "since" of relation "person" violates not-null constraint', '\(id\)=\(', 'The source has no such column'),
    early => false);
CALL make('CREATE TABLE person (id integer PRIMARY KEY, name text)', $$INSERT INTO person VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cid')$$,
    $$INSERT INTO person VALUES (1, 'Ada'), (3, 'Eve')$$);
SELECT factmerge_set_sameness('b.person', key => '{name}');
SELECT refuses('a key that is not generated, where the sameness is declared otherwise', '23505',
    says('duplicate key value violates unique constraint "person_pkey"', hint => 'What the database does not generate'), early => false);
CALL make_people('CREATE DOMAIN sex AS text CONSTRAINT known_sex CHECK (VALUE IN (''f'', ''m''));
    ALTER TABLE person ALTER sex TYPE sex', $$'Cid', 1850, 'x'$$);
SELECT refuses('domain violated: constraint, fact and hint in the error', '23514',
    says('value for domain (b\.)?sex violates check constraint "known_sex"'), early => false);
CALL make_people('CREATE DOMAIN sex AS text NOT NULL; ALTER TABLE person ALTER sex TYPE sex', $$'Cid', 1850, NULL$$);
SELECT refuses('domain that is NOT NULL violated', '23502', says('domain (b\.)?sex does not allow null values'), early => false);
CALL make_people('ALTER TABLE person ADD decade integer GENERATED ALWAYS AS (100 / (born - 1850)) STORED');
SELECT refuses('generated column that cannot be computed', '22012', 'division by zero', early => false);

-- The same facts do no harm where the destination has them already
CALL make_people('ALTER TABLE person ADD CONSTRAINT plausible CHECK (born <= 1950)', $$'Dot', 2850, NULL$$);
SELECT merges('violated by a fact that is in both', '4 in both, 2 copied, 3 conflicts',
    'SELECT name, born, sex, p.factmerge_provenance AS p, d.factmerge_provenance AS d FROM b.person p JOIN b.deed d ON person = id
        ORDER BY 1',
    '(Ada,1816,f,both,both)
     (Bob,1900,m,source,source)
     (Dot,1950,f,both,both)');
-- ... and not where it is the source alone that breaks its own rule
CALL make_people('ALTER TABLE a.person ADD CONSTRAINT plausible CHECK (born < 1000) NOT VALID');
SELECT merges('constraint of the source alone', '2 in both, 4 copied, 1 conflicts',
    'SELECT name, born, p.factmerge_provenance AS p FROM b.person p ORDER BY 1',
    '(Ada,1816,both)
     (Bob,1900,source)
     (Cid,1850,source)
     (Dot,1950,destination)');

--
-- Constraints between rows, which may be found to be violated by the row or, if
-- indexes have been suspended meanwhile, by all of them
--
SET LOCAL factmerge.rebuild_indexes = on;
CALL make_people('CREATE UNIQUE INDEX one_a_year ON person (born, (id > 0)) WHERE sex = ''m'';
    UPDATE person SET sex = ''m'' WHERE name = ''Dot''', $$'Cid', 1950, 'm'$$);
SELECT refuses('partial unique index violated while indexes are suspended', '23505',
    '"one_a_year".*\nDETAIL: .*\(id\)=\(3\).*\nHINT: ', early => false);
CALL make_people('CREATE UNIQUE INDEX one_an_initial ON person (left(name, 1), (id > 0))', $$'Don', 1850, 'm'$$);
SELECT refuses('unique index on an expression violated while indexes are suspended', '23505',
    '"one_an_initial".*\nDETAIL: .*\(id\)=\(3\).*\nHINT: ', early => false);
CALL make_people('ALTER TABLE person ADD CONSTRAINT one_a_decade EXCLUDE USING gist (sex WITH =, int4range(born, born + 10) WITH &&)', $$'Eve', 1955, 'f'$$);
SELECT refuses('exclusion constraint violated while indexes are suspended', '23P01',
    '"one_a_decade".*\nDETAIL: .*\(id\)=\(3\).*\nHINT: ', early => false);
SET LOCAL factmerge.rebuild_indexes = off;
SELECT refuses('exclusion constraint on an expression violated', '23P01', '"one_a_decade".*\nDETAIL: .*\(id\)=\(3\).*\nHINT: ',
    early => false);
CALL make_people('ALTER TABLE person ADD CONSTRAINT one_a_decade EXCLUDE USING gist (sex WITH =, int4range(born, born + 10) WITH &&) DEFERRABLE', $$'Eve', 1955, 'f'$$);
SELECT refuses('deferrable exclusion constraint on an expression violated', '23P01',
    '"one_a_decade".*\nDETAIL: .*\(id\)=\(3\).*\nHINT: ', early => false);
RESET factmerge.rebuild_indexes;

--
-- Partitions
--
CALL make(
    'CREATE TABLE reading (station text, year integer, value real, PRIMARY KEY (station, year))',
    $$INSERT INTO reading VALUES ('x', 2001, 1), ('x', 2011, 2), ('x', 1999, 3)$$,
    $$INSERT INTO reading VALUES ('x', 2001, 1)$$,
    'CREATE TABLE reading (station text, year integer, value real, PRIMARY KEY (station, year)) PARTITION BY RANGE (year);
     CREATE TABLE reading_2000 PARTITION OF reading FOR VALUES FROM (2000) TO (2010);
     CREATE TABLE reading_2010 PARTITION OF reading FOR VALUES FROM (2010) TO (2020)');
SELECT refuses('no partition for a fact: table, fact and hint in the error', '23514',
    says('no partition of relation "reading" found for row', '\(station, year\)=\(x, 1999\)'), early => false);
ALTER TABLE b.reading_2010 ADD CONSTRAINT small CHECK (value < 2);
DELETE FROM a.reading WHERE year = 1999;
SELECT refuses('constraint of a partition violated', '23514',
    says('new row for relation "reading_2010" violates check constraint "small"', '\(station, year\)=\(x, 2011\)'), early => false);

--
-- What keeps a row out without a word, or bends it, is an error too
--
CALL make_people('CREATE FUNCTION no_men() RETURNS trigger LANGUAGE plpgsql AS
    ''BEGIN IF NEW.sex = ''''m'''' THEN RETURN NULL; END IF; RETURN NEW; END'';
    CREATE TRIGGER no_men BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION no_men();
        ALTER TABLE person ENABLE ALWAYS TRIGGER no_men');
SELECT refuses('trigger that suppresses facts', '27000', 'not all facts of table "person" could be copied.*HINT', early => false);
CALL make_people('CREATE FUNCTION blame() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN NEW.person := NEW.person + 900;
    RETURN NEW; END'';
    CREATE TRIGGER blame BEFORE INSERT ON deed FOR EACH ROW EXECUTE FUNCTION blame();
        ALTER TABLE deed ENABLE ALWAYS TRIGGER blame');
SELECT refuses('trigger that breaks a reference', '23503', 'deed.*deed_person_fkey.*HINT', early => false);
CALL make_people('CREATE RULE no_men AS ON INSERT TO person WHERE NEW.sex = ''m'' DO INSTEAD NOTHING');
SELECT merges('rule for ordinary sessions', '2 in both, 4 copied, 1 conflicts',
    'SELECT name, factmerge_provenance FROM b.person ORDER BY 1',
    '(Ada,both)
     (Bob,source)
     (Cid,source)
     (Dot,destination)');
CALL make_people('CREATE RULE no_men AS ON INSERT TO person WHERE NEW.sex = ''m'' DO INSTEAD NOTHING;
    ALTER TABLE person ENABLE ALWAYS RULE no_men');
SELECT refuses('rule that suppresses facts', '27000', 'not all facts of table "person" could be copied.*HINT', early => false);

SELECT * FROM finish();
ROLLBACK;
