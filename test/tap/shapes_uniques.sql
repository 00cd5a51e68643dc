-- Unique keys of every kind, as what makes two facts the same, and as what
-- must hold when they are not
BEGIN;
\ir include/shapes.sql
SELECT plan(109);
CREATE EXTENSION citext;
CREATE EXTENSION btree_gist;
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

-- An error that names the constraint and the source's fact, and has a hint
CREATE FUNCTION breaks(constraint_name text, fact text) RETURNS text LANGUAGE sql AS
    $$SELECT format('(?=.*"%s")(?=.*DETAIL: .*%s).*HINT: ', constraint_name, regexp_replace(fact, '([()])', '\\\1', 'g'))$$;

--
-- Several
--
SELECT $$SELECT name, passport, mail, p.factmerge_provenance AS p, at, l.factmerge_provenance AS l
    FROM b.person p LEFT JOIN b.login l ON person = id ORDER BY name, at, p.factmerge_provenance$$ AS people \gset
CREATE PROCEDURE make_people(a text, b text) LANGUAGE sql AS $body$
    CALL make(
        'CREATE TABLE person (id serial PRIMARY KEY, passport integer CONSTRAINT one_passport UNIQUE, mail text CONSTRAINT one_mail UNIQUE, name text);
         CREATE TABLE login (person integer REFERENCES person, at date, PRIMARY KEY (person, at))', a, b)
$body$;
CALL make_people(
    $$INSERT INTO person (name, passport, mail) VALUES ('Ann', 1, 'a@x'), ('Bea', 2, NULL), ('Cid', NULL, 'c@x'),
        ('Dee', 4, 'd@x'), ('Eve', NULL, NULL);
      INSERT INTO login SELECT id, '2020-01-01' FROM person$$,
    $$INSERT INTO person (name, passport, mail) VALUES ('Zoe', 9, 'z@x'), ('Cid', 3, 'c@x'), ('Ann', 1, 'a@x'), ('Bea', 2, 'b@x'),
        ('Eve', NULL, NULL);
      INSERT INTO login SELECT id, '2020-01-01' FROM person WHERE name IN ('Ann', 'Eve')$$);
SELECT merges('several unique keys', '6 in both, 4 copied, 2 conflicts', :'people',
    '(Ann,1,a@x,both,2020-01-01,both)
     (Bea,2,b@x,both,2020-01-01,source)
     (Cid,3,c@x,both,2020-01-01,source)
     (Dee,4,d@x,source,2020-01-01,source)
     (Eve,,,both,2020-01-01,both)
     (Zoe,9,z@x,destination,,)');
CALL make_people(
    $$INSERT INTO person (name, passport, mail) VALUES ('Ann', 1, 'b@x')$$,
    $$INSERT INTO person (name, passport, mail) VALUES ('Bea', 2, 'b@x'), ('Ann', 1, 'a@x')$$);
SELECT refuses('several unique keys: the same as two facts of the destination', '21000',
    'a fact of table "person" is the same as two facts of the destination.*DETAIL: .*\(id\)=\(1\).*\(id\)=\(2\).*"one_passport".*\(id\)=\(1\).*"one_mail".*HINT');
CALL make_people(
    $$INSERT INTO person (name, passport, mail) VALUES ('Ann', 1, NULL), ('Bea', NULL, 'b@x')$$,
    $$INSERT INTO person (name, passport, mail) VALUES ('Ann', 1, 'b@x')$$);
SELECT refuses('several unique keys: two facts of the source the same as one', '21000',
    'two facts of table "person" are the same as one fact of the destination.*DETAIL: .*\(id\)=\(1\).*\(id\)=\(2\).*\(id\)=\(1\).*HINT');

-- One goes through a reference, the other does not
CALL make(
    'CREATE TABLE club (id serial PRIMARY KEY, name text UNIQUE);
     CREATE TABLE member (id serial PRIMARY KEY, club integer REFERENCES club, number integer, mail text UNIQUE,
         UNIQUE (club, number))',
    $$INSERT INTO club (name) VALUES ('chess'), ('rowing');
      INSERT INTO member (club, number, mail) VALUES (1, 1, 'a@x'), (1, 2, 'b@x'), (2, 1, 'c@x'), (2, 2, NULL)$$,
    $$INSERT INTO club (name) VALUES ('rowing'), ('chess');
      INSERT INTO member (club, number, mail) VALUES (1, 1, 'r@x'), (2, 1, NULL), (1, 5, 'b@x')$$);
SELECT merges('several unique keys, one with a reference in it', '5 in both, 1 copied, 4 conflicts',
    'SELECT c.name, number, mail, m.factmerge_provenance FROM b.member m JOIN b.club c ON c.id = club ORDER BY 1, 2',
    '(chess,1,,both)
     (rowing,1,r@x,both)
     (rowing,2,,source)
     (rowing,5,b@x,both)');

--
-- Nulls
--
CALL make(
    'CREATE TABLE loose (id serial PRIMARY KEY, a text, b text, UNIQUE (a, b));
     CREATE TABLE strict (id serial PRIMARY KEY, a text, b text, UNIQUE NULLS NOT DISTINCT (a, b));
     CREATE TABLE note (loose integer REFERENCES loose, strict integer REFERENCES strict, PRIMARY KEY (loose, strict))',
    $$INSERT INTO loose (a, b) VALUES ('x', 'y'), ('x', NULL), (NULL, NULL); INSERT INTO strict (a, b) SELECT a, b FROM loose;
      INSERT INTO note SELECT id, id FROM loose$$,
    $$INSERT INTO loose (a, b) VALUES (NULL, NULL), ('x', NULL), ('x', 'y'); INSERT INTO strict (a, b) SELECT a, b FROM loose;
      INSERT INTO note SELECT id, id FROM loose$$);
SELECT merges('keys with nulls; NULLS NOT DISTINCT', '9 in both, 0 copied, 0 conflicts',
    'SELECT l.a, l.b, s.a, s.b, l.factmerge_provenance AS l, s.factmerge_provenance AS s, n.factmerge_provenance AS n
     FROM b.note n JOIN b.loose l ON l.id = loose JOIN b.strict s ON s.id = strict ORDER BY 1, 2, 5',
    '(x,y,x,y,both,both,both)
     (x,,x,,both,both,both)
     (,,,,both,both,both)');

--
-- Unique indexes on a part of the rows or on an expression
--
CREATE PROCEDURE make_accounts(index text, a text, b text) LANGUAGE sql AS $body$
    CALL make(
        'CREATE TABLE account (id serial PRIMARY KEY, name text, closed boolean NOT NULL, note text);
         CREATE TABLE payment (account integer REFERENCES account, amount numeric, PRIMARY KEY (account, amount)); ' || index,
        'INSERT INTO account (name, closed) VALUES ' || a || '; INSERT INTO payment SELECT id, 10 FROM account',
        'INSERT INTO account (name, closed) VALUES ' || b || '; INSERT INTO payment SELECT id, 10.00 FROM account')
$body$;
SELECT $$SELECT name, closed, amount, a.factmerge_provenance AS a, p.factmerge_provenance AS p
    FROM b.account a JOIN b.payment p ON id = account ORDER BY 1, 2, 4$$ AS accounts \gset
CALL make_accounts('CREATE UNIQUE INDEX one_open ON account (name) WHERE NOT closed',
    $$('a', true), ('a', false), ('b', true), ('c', false)$$, $$('b', false), ('a', false), ('c', true)$$);
SELECT merges('partial unique index', '2 in both, 6 copied, 0 conflicts', :'accounts',
    '(a,f,10.00,both,both)
     (a,t,10,source,source)
     (b,f,10.00,destination,destination)
     (b,t,10,source,source)
     (c,f,10,source,source)
     (c,t,10.00,destination,destination)');
CALL make_accounts('CREATE UNIQUE INDEX one_of_kind ON account (lower(name), closed)', $$('a', true), ('b', true)$$,
    $$('B', false), ('a', true)$$);
SELECT merges('unique index on an expression', '2 in both, 2 copied, 0 conflicts', :'accounts',
    '(B,f,10.00,destination,destination)
     (a,t,10.00,both,both)
     (b,t,10,source,source)');

CALL make_accounts('CREATE UNIQUE INDEX one_of_kind ON account (lower(name), closed)', $$('a', true), ('B', false)$$,
    $$('b', false)$$);
SELECT merges('unique index on an expression: other values of the columns', '2 in both, 2 copied, 1 conflicts', :'accounts',
    '(a,t,10,source,source)
     (b,f,10.00,both,both)');
CALL make_accounts('CREATE UNIQUE INDEX one_open ON account (name) WHERE NOT closed', $$('a', true), ('b', false)$$,
    $$('b', false), ('c', false)$$);
UPDATE b.account SET note = 'other';
SELECT merges('partial unique index: other values elsewhere', '2 in both, 2 copied, 1 conflicts', :'accounts',
    '(a,t,10,source,source)
     (b,f,10.00,both,both)
     (c,f,10.00,destination,destination)');

-- Unless they look at what differs between the two sides, as generated keys do: then they have
-- to hold, and are no more
CALL make_accounts('CREATE UNIQUE INDEX one_left ON account ((id % 2), closed)', $$('a', true), ('b', true)$$, $$('c', false), ('d', true)$$);
SELECT refuses('unique index on an expression violated: constraint, fact and hint in the error', '23505',
    breaks('one_left', '(id)=(2)'), early => false);
CALL make_accounts('CREATE UNIQUE INDEX one_low ON account (name) WHERE id < 4 AND closed', $$('a', true), ('b', true)$$, $$('c', false), ('b', true)$$);
UPDATE b.account SET note = 'other';
DELETE FROM a.payment WHERE account = 1;
DELETE FROM a.account WHERE name = 'a';
SELECT refuses('partial unique index violated: constraint, fact and hint in the error', '23505',
    breaks('one_low', '(id)=(2)'), early => false);

-- The source may hold what the destination's key takes for one fact, unless
-- both of them are new
CREATE PROCEDURE make_twice(b text) LANGUAGE sql AS $body$
    CALL make('CREATE TABLE person (id serial PRIMARY KEY, name text);
        CREATE TABLE deed (person integer REFERENCES person, deed text, PRIMARY KEY (person, deed))',
    $$INSERT INTO person (name) VALUES ('Ada'), ('Bob'), ('Ada'); INSERT INTO deed VALUES (1, 'sang'), (3, 'wrote'), (2, 'sang')$$,
    'ALTER TABLE person ADD CONSTRAINT one_name UNIQUE (name); ' || b)
$body$;
CALL make_twice($$INSERT INTO person (name) VALUES ('Cid'), ('Ada')$$);
SELECT merges('unique key that only the destination has', '2 in both, 4 copied, 0 conflicts',
    'SELECT name, deed, p.factmerge_provenance AS p, d.factmerge_provenance AS d FROM b.person p LEFT JOIN b.deed d ON person = id
        ORDER BY 1, 2',
    '(Ada,sang,both,source)
     (Ada,wrote,both,source)
     (Bob,sang,source,source)
     (Cid,,destination,)');
CALL make_twice('');
SELECT refuses('unique key of the destination that the source violates by itself', '23505',
    breaks('one_name', '(id)=(3)'), early => false);

--
-- Deferrable constraints and exclusion constraints
--
CALL make(
    'CREATE TABLE seat (id serial PRIMARY KEY, number integer CONSTRAINT one_seat UNIQUE DEFERRABLE INITIALLY DEFERRED, who text);
     CREATE TABLE sale (seat integer REFERENCES seat, day date, PRIMARY KEY (seat, day))',
    $$INSERT INTO seat (number, who) VALUES (1, 'Ada'), (2, 'Bob'); INSERT INTO sale SELECT id, '2020-01-01' FROM seat$$,
    $$INSERT INTO seat (number, who) VALUES (2, 'Cid'), (3, 'Dot'); INSERT INTO sale SELECT id, '2020-01-01' FROM seat$$);
SELECT merges('deferrable unique key', '2 in both, 2 copied, 1 conflicts',
    'SELECT number, who, s.factmerge_provenance AS s, e.factmerge_provenance AS e FROM b.seat s JOIN b.sale e ON seat = id
        ORDER BY 1',
    '(1,Ada,source,source)
     (2,Cid,both,both)
     (3,Dot,destination,destination)');
ALTER TABLE a.seat DROP CONSTRAINT one_seat;
INSERT INTO a.seat (number, who) VALUES (7, 'Eve'), (7, 'Fay');
SELECT refuses('deferrable unique key violated: constraint, fact and hint in the error', '23505',
    breaks('one_seat', '(id)=(3)'), early => false);

CREATE PROCEDURE make_stays(constrained text, a text, b text) LANGUAGE sql AS $body$
    CALL make(
        'CREATE TABLE stay (id serial PRIMARY KEY, room integer, during daterange, guest text UNIQUE,
                            CONSTRAINT one_guest EXCLUDE USING gist (room WITH =, during WITH &&) ' || constrained || ')',
        'INSERT INTO stay (room, during, guest) VALUES ' || a, 'INSERT INTO stay (room, during, guest) VALUES ' || b)
$body$;
CALL make_stays('', $$(1, '[2020-01-01,2020-01-08)', 'Ada'), (1, '[2020-01-08,2020-01-09)', 'Bob')$$,
    $$(2, '[2020-01-01,2020-01-08)', 'Cid'), (1, '[2020-01-08,2020-01-09)', 'Bob')$$);
SELECT merges('exclusion constraint', '1 in both, 1 copied, 0 conflicts',
    'SELECT guest, room, during, factmerge_provenance FROM b.stay ORDER BY 1',
    '(Ada,1,"[2020-01-01,2020-01-08)",source)
     (Bob,1,"[2020-01-08,2020-01-09)",both)
     (Cid,2,"[2020-01-01,2020-01-08)",destination)');
CALL make_stays('', $$(1, '[2020-01-01,2020-01-08)', 'Ada'), (2, '[2020-01-07,2020-01-09)', 'Bob')$$,
    $$(2, '[2020-01-01,2020-01-08)', 'Cid')$$);
SELECT refuses('exclusion constraint violated: constraint, fact and hint in the error', '23P01',
    breaks('one_guest', '(id)=(2)'), early => false);
CALL make_stays('DEFERRABLE', $$(1, '[2020-01-01,2020-01-08)', 'Ada'), (2, '[2020-01-07,2020-01-09)', 'Bob')$$,
    $$(2, '[2020-01-01,2020-01-08)', 'Cid')$$);
SELECT refuses('deferrable exclusion constraint violated: constraint, fact and hint in the error', '23P01',
    breaks('one_guest', '(id)=(2)'), early => false);

--
-- Equality is that of the index
--
CREATE FUNCTION tags(shape text, tables text, destination_tables text DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(tables,
        $$INSERT INTO tag (tag) VALUES ('Tea'), ('Milk');
            INSERT INTO tagged VALUES ('cup', 'Tea'), ('cup', 'Milk'), ('jug', 'Milk')$$,
        $$INSERT INTO tag (tag) VALUES ('TEA'), ('Gin');
            INSERT INTO tagged VALUES ('cup', 'TEA'), ('jug', 'Gin')$$, destination_tables);
    RETURN QUERY SELECT merges(shape, '2 in both, 3 copied, 0 conflicts',
        'SELECT thing COLLATE "C", d.tag::text COLLATE "C", t.factmerge_provenance AS t, d.factmerge_provenance AS d
         FROM b.tagged d JOIN b.tag t USING (tag) ORDER BY 1, 2',
        '(cup,Milk,source,source)
         (cup,TEA,both,both)
         (jug,Gin,destination,destination)
         (jug,Milk,source,source)');
END $body$;
SELECT $$CREATE TABLE tag (id serial PRIMARY KEY, tag %s UNIQUE);
    CREATE TABLE tagged (thing text, tag %s REFERENCES tag (tag), PRIMARY KEY (thing, tag))$$ AS tag_tables \gset
SELECT tags('citext key', replace(:'tag_tables', '%s', 'citext'));
SELECT tags('nondeterministic collation', replace(:'tag_tables', '%s', 'text COLLATE caseless'));
SELECT tags('collation that only the destination has', replace(:'tag_tables', '%s', 'text'),
    replace(:'tag_tables', '%s', 'text COLLATE caseless'));

-- All of one key, but not of the other
CALL make(
    'CREATE TABLE mail (id serial PRIMARY KEY, address citext UNIQUE, alias text COLLATE caseless, domain text,
        UNIQUE (alias, domain))',
    $$INSERT INTO mail (address, alias, domain) VALUES ('Ada@x', 'Al', 'x'), ('bob@x', 'BO', 'x'), ('cid@x', 'Ce', 'X')$$,
    $$INSERT INTO mail (address, alias, domain) VALUES ('ADA@X', 'ad', 'x'), ('b@x', 'bo', 'x'), ('c@x', 'ce', 'x')$$);
SELECT merges('several keys of different equality', '2 in both, 1 copied, 2 conflicts',
    'SELECT address, alias COLLATE "C" AS alias, domain, factmerge_provenance FROM b.mail ORDER BY address COLLATE "C"',
    '(ADA@X,ad,x,both)
     (b@x,bo,x,both)
     (c@x,ce,x,destination)
     (cid@x,Ce,X,source)');

CALL make(
    'CREATE TABLE amount (amount numeric PRIMARY KEY); CREATE TABLE measure (measure float8 PRIMARY KEY, unit char(3));
     CREATE TABLE span (span interval PRIMARY KEY)',
    $$INSERT INTO amount VALUES (1.50), (2.0), ('NaN'); INSERT INTO measure VALUES ('-0', 'm'), ('NaN', 'kg '), (1, 'm');
        INSERT INTO span VALUES ('1 mon'), ('1 day')$$,
    $$INSERT INTO amount VALUES (1.5), (3), ('NaN'); INSERT INTO measure VALUES ('0', 'm'), ('NaN', 'kg'), (2, 'm');
        INSERT INTO span VALUES ('30 days'), ('1 hour')$$);
SELECT merges('values that are written differently, but equal', '5 in both, 3 copied, 0 conflicts',
    'SELECT * FROM (SELECT amount::text AS value, factmerge_provenance FROM b.amount
        UNION ALL SELECT measure::text || unit, factmerge_provenance FROM b.measure
     UNION ALL SELECT span::text, factmerge_provenance FROM b.span) v ORDER BY value COLLATE "C"',
    '(01:00:00,destination)
     (0m,both)
     ("1 day",source)
     (1.5,both)
     (1m,source)
     (2.0,source)
     (2m,destination)
     (3,destination)
     ("30 days",both)
     (NaN,both)
     (NaNkg,both)');

CALL make(
    'CREATE TABLE account (number integer, name text, UNIQUE (number) INCLUDE (name))',
    $$INSERT INTO account VALUES (1, 'one'), (2, 'two')$$, $$INSERT INTO account VALUES (1, 'uno')$$);
SELECT merges('unique key that includes other columns', '1 in both, 1 copied, 1 conflicts',
    'SELECT number, name, factmerge_provenance FROM b.account ORDER BY 1',
    '(1,uno,both)
     (2,two,source)');

--
-- Keys that are computed
--

-- From what a merge translates: they say nothing across databases, whatever their values happen to be
CREATE PROCEDURE make_friends(key text, a text, b text) LANGUAGE plpgsql AS $body$
BEGIN
    CALL make(
        format($$CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE friends (a integer REFERENCES person, b integer REFERENCES person, since integer,
            one integer GENERATED ALWAYS AS (LEAST(a, b)) STORED, other integer GENERATED ALWAYS AS (GREATEST(a, b)) STORED,
            CONSTRAINT one_pair %s (one, other))$$, key),
        'INSERT INTO person (name) VALUES (''Abe''), (''Ada''), (''Bob''), (''Cid'')', 'INSERT INTO person (name) VALUES (''Cid''), (''Dot''), (''Ada'')');
    EXECUTE format('INSERT INTO a.friends (a, b, since) SELECT p.id, q.id, year FROM (VALUES %s) AS v (n, m, year)'
        ' JOIN a.person p ON p.name = n JOIN a.person q ON q.name = m', a);
    EXECUTE format('INSERT INTO b.friends (a, b, since) SELECT p.id, q.id, year FROM (VALUES %s) AS v (n, m, year)'
        ' JOIN b.person p ON p.name = n JOIN b.person q ON q.name = m', b);
END $body$;
\set friends 'SELECT p.name AS a, q.name AS b, since, f.factmerge_provenance AS f FROM b.friends f JOIN b.person p ON p.id = a JOIN b.person q ON q.id = b ORDER BY 1, 2'
CALL make_friends('UNIQUE', $$('Ada', 'Bob', 2001), ('Cid', 'Bob', 2002), ('Ada', 'Cid', 2003)$$, $$('Cid', 'Dot', 2004), ('Dot', 'Ada', 2005), ('Ada', 'Cid', 2003)$$);
SELECT merges('unique key computed from references', '3 in both, 4 copied, 0 conflicts', :'friends',
    '(Ada,Bob,2001,source)
     (Ada,Cid,2003,both)
     (Cid,Bob,2002,source)
     (Cid,Dot,2004,destination)
     (Dot,Ada,2005,destination)');
CALL make_friends('PRIMARY KEY', $$('Bob', 'Ada', 2001), ('Cid', 'Bob', 2002)$$, $$('Cid', 'Dot', 2004), ('Dot', 'Ada', 2005)$$);
SELECT merges('primary key computed from references', '2 in both, 4 copied, 0 conflicts', :'friends',
    '(Bob,Ada,2001,source)
     (Cid,Bob,2002,source)
     (Cid,Dot,2004,destination)
     (Dot,Ada,2005,destination)');
CALL make_friends('UNIQUE', $$('Ada', 'Cid', 2003)$$, $$('Cid', 'Ada', 2003)$$);
SELECT refuses('unique key computed from references violated: constraint, fact and hint in the error', '23505',
    breaks('one_pair', '(2,4,2003'), early => false);
CREATE TABLE a.gift (one integer, other integer, what text, PRIMARY KEY (one, other, what),
    CONSTRAINT given FOREIGN KEY (one, other) REFERENCES a.friends (one, other));
CREATE TABLE b.gift (one integer, other integer, what text, PRIMARY KEY (one, other, what),
    CONSTRAINT given FOREIGN KEY (one, other) REFERENCES b.friends (one, other));
SELECT refuses('reference to a key computed from references', '0A000', '(?=.*given)(?=.*DETAIL.*"one".*"friends").*HINT');
DROP TABLE a.gift, b.gift;
SELECT factmerge_set_sameness('b.friends', key => '{one,other}');
SELECT refuses('declared sameness by what is computed from references', '0A000', '(?=.*"one".*"friends")(?=.*DETAIL.*generated).*HINT');

-- From values, and from references that mean the same everywhere, they are like any other
CALL make(
    'CREATE TABLE country (code text PRIMARY KEY);
     CREATE TABLE city (id serial PRIMARY KEY, country text REFERENCES country, name text,
        label text GENERATED ALWAYS AS (country || '' '' || lower(name)) STORED UNIQUE)',
    $$INSERT INTO country VALUES ('no'); INSERT INTO city (country, name) VALUES ('no', 'Oslo'), ('no', 'Bodø')$$,
    $$INSERT INTO country VALUES ('no'); INSERT INTO city (country, name) VALUES ('no', 'OSLO')$$);
SELECT merges('unique key computed from a reference by name', '2 in both, 1 copied, 1 conflicts',
    'SELECT label, name, factmerge_provenance FROM b.city ORDER BY 1',
    '("no bodø",Bodø,source)
     ("no oslo",OSLO,both)');

SELECT * FROM finish();
ROLLBACK;
