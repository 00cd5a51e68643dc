-- A music shop of the kind of Chinook
--
-- Names in mixed case, and keys that are plain numbers: the application counts
-- them by itself, so artist 1 is somebody else in every shop.  What the database
-- does not generate it takes for the fact's own, and so the destination has to
-- say first that these keys are generated.  Beside that: a tree of employees,
-- tracks that are nearly as long, two playlists of the same name.
BEGIN;
\ir include/real.sql
SELECT plan(15);

CALL make($ddl$
    CREATE TABLE "Artist" (
        "ArtistId" integer NOT NULL,
        "Name" varchar(120),
        CONSTRAINT "PK_Artist" PRIMARY KEY ("ArtistId"));
    CREATE TABLE "Album" (
        "AlbumId" integer NOT NULL,
        "Title" varchar(160) NOT NULL,
        "ArtistId" integer NOT NULL,
        CONSTRAINT "PK_Album" PRIMARY KEY ("AlbumId"),
        CONSTRAINT "FK_AlbumArtistId" FOREIGN KEY ("ArtistId") REFERENCES "Artist" ON DELETE NO ACTION);
    CREATE TABLE "Genre" (
        "GenreId" integer NOT NULL CONSTRAINT "PK_Genre" PRIMARY KEY,
        "Name" varchar(120));
    CREATE TABLE "Track" (
        "TrackId" integer NOT NULL CONSTRAINT "PK_Track" PRIMARY KEY,
        "Name" varchar(200) NOT NULL,
        "AlbumId" integer REFERENCES "Album",
        "GenreId" integer REFERENCES "Genre",
        "Composer" varchar(220),
        "Milliseconds" integer NOT NULL,
        "UnitPrice" numeric(10, 2) NOT NULL);
    CREATE INDEX "IFK_TrackAlbumId" ON "Track" ("AlbumId");
    CREATE TABLE "Playlist" (
        "PlaylistId" integer NOT NULL CONSTRAINT "PK_Playlist" PRIMARY KEY,
        "Name" varchar(120));
    CREATE TABLE "PlaylistTrack" (
        "PlaylistId" integer NOT NULL REFERENCES "Playlist",
        "TrackId" integer NOT NULL REFERENCES "Track",
        CONSTRAINT "PK_PlaylistTrack" PRIMARY KEY ("PlaylistId", "TrackId"));
    CREATE TABLE "Employee" (
        "EmployeeId" integer NOT NULL CONSTRAINT "PK_Employee" PRIMARY KEY,
        "LastName" varchar(20) NOT NULL,
        "Title" varchar(30),
        "ReportsTo" integer REFERENCES "Employee",
        "BirthDate" timestamp);
    CREATE TABLE "Customer" (
        "CustomerId" integer NOT NULL CONSTRAINT "PK_Customer" PRIMARY KEY,
        "LastName" varchar(20) NOT NULL,
        "Email" varchar(60) NOT NULL,
        "SupportRepId" integer REFERENCES "Employee");
    CREATE TABLE "Invoice" (
        "InvoiceId" integer NOT NULL CONSTRAINT "PK_Invoice" PRIMARY KEY,
        "CustomerId" integer NOT NULL REFERENCES "Customer",
        "InvoiceDate" timestamp NOT NULL,
        "Total" numeric(10, 2) NOT NULL);
    CREATE TABLE "InvoiceLine" (
        "InvoiceLineId" integer NOT NULL CONSTRAINT "PK_InvoiceLine" PRIMARY KEY,
        "InvoiceId" integer NOT NULL REFERENCES "Invoice",
        "TrackId" integer NOT NULL REFERENCES "Track",
        "UnitPrice" numeric(10, 2) NOT NULL,
        "Quantity" integer NOT NULL);
$ddl$, $source$
    INSERT INTO "Artist" VALUES (1, 'The Herons'), (2, 'Ensemble Nord');
    INSERT INTO "Album" VALUES (1, 'Marsh', 1), (2, 'Kyrie', 2);
    INSERT INTO "Genre" VALUES (1, 'Rock'), (2, 'Sacred');
    INSERT INTO "Track" VALUES
        (1, 'Reed', 1, 1, 'P. Lind', 201500, 0.99), (2, 'Silt', 1, 1, NULL, 180000, 0.99),
        (3, 'Kyrie', 2, 2, NULL, 300000, 1.99);
    INSERT INTO "Playlist" VALUES (1, 'Music'), (5, 'Sundays'), (8, 'Music');
    -- Both lists named Music hold the same
    INSERT INTO "PlaylistTrack" VALUES (1, 1), (1, 2), (8, 1), (8, 2), (5, 3);
    INSERT INTO "Employee" VALUES
        (1, 'Adams', 'General Manager', NULL, '1962-02-18'), (2, 'Brandt', 'Sales Manager', 1, '1958-12-08'),
        (3, 'Carlsen', 'Sales Agent', 2, '1973-08-29');
    INSERT INTO "Customer" VALUES (1, 'Moe', 'moe@example.org', 3), (2, 'Nilsen', 'nilsen@example.org', 2);
    INSERT INTO "Invoice" VALUES (1, 1, '2021-01-01', 1.98), (2, 2, '2021-01-02', 1.99);
    INSERT INTO "InvoiceLine" VALUES (1, 1, 1, 0.99, 1), (2, 1, 2, 0.99, 1), (3, 2, 3, 1.99, 1);
$source$, $destination$
    INSERT INTO "Artist" VALUES (1, 'Accordion Trio'), (2, 'The Herons');
    INSERT INTO "Album" VALUES (1, 'Three', 1), (2, 'Marsh', 2);
    INSERT INTO "Genre" VALUES (1, 'Folk'), (2, 'Rock');
    INSERT INTO "Track" VALUES (1, 'Waltz', 1, 1, NULL, 150000, 0.99), (2, 'Reed', 2, 2, 'Lind', 202300, 0.99);
    INSERT INTO "Playlist" VALUES (1, 'Dances'), (2, 'Music');
    INSERT INTO "PlaylistTrack" VALUES (1, 1), (2, 2);
    INSERT INTO "Employee" VALUES
        (1, 'Brandt', 'Sales Manager', 2, '1958-12-08'), (2, 'Adams', 'General Manager', NULL, '1962-02-18'),
        (3, 'Dahl', 'Sales Agent', 1, '1980-01-01');
    INSERT INTO "Customer" VALUES (1, 'Olsen', 'olsen@example.org', 3), (2, 'Moe', 'Moe@Example.org', 3);
    INSERT INTO "Invoice" VALUES (1, 2, '2021-01-01', 0.99), (2, 1, '2021-02-02', 0.99);
    INSERT INTO "InvoiceLine" VALUES (1, 1, 2, 0.99, 1), (2, 2, 1, 0.99, 1);
$destination$);

-- As it stands, numbers are taken at their word, and a preview shows what that
-- means
SELECT results_eq(
    $$SELECT source_fact ->> 'Name', destination_fact ->> 'Name' FROM factmerge_preview('a', 'b')
      WHERE fact_table = 'Artist' AND outcome = 'conflict'$$,
    $$VALUES ('The Herons', 'Accordion Trio'), ('Ensemble Nord', 'The Herons')$$,
    'plain numbers look like natural keys, a preview warns');

SELECT factmerge_set_sameness('b."Artist"', key => '{Name}') \g /dev/null
SELECT factmerge_set_sameness('b."Album"', key => '{ArtistId, Title}') \g /dev/null
SELECT factmerge_set_sameness('b."Genre"', key => '{Name}') \g /dev/null
SELECT factmerge_set_sameness('b."Track"', key => '{Name, AlbumId}', tolerance => '{"Milliseconds": 1000}') \g /dev/null
SELECT factmerge_set_sameness('b."Playlist"', key => '{Name}') \g /dev/null
SELECT factmerge_set_sameness('b."Employee"', key => '{LastName, BirthDate}') \g /dev/null
SELECT factmerge_set_sameness('b."Customer"', tolerance => '{"Email": "lower"}') \g /dev/null
SELECT factmerge_set_sameness('b."Invoice"', key => '{CustomerId, InvoiceDate}') \g /dev/null
SELECT factmerge_set_sameness('b."InvoiceLine"', key => '{InvoiceId, TrackId}') \g /dev/null

-- Told apart by name, Ensemble Nord is another artist than The Herons, but both
-- have number 2
SELECT refuses('Chinook as it is', '23505', 'PK_Artist', early => false);

-- So let the database count from now on, from the first number that is free
DO $$
DECLARE
    t text;
    free integer;
BEGIN
    FOREACH t IN ARRAY ARRAY['Artist', 'Album', 'Genre', 'Track', 'Playlist', 'Employee', 'Customer', 'Invoice', 'InvoiceLine'] LOOP
        EXECUTE format('ALTER TABLE b.%I ALTER %I ADD GENERATED BY DEFAULT AS IDENTITY', t, t || 'Id');
        EXECUTE format('SELECT max(%I) + 1 FROM b.%I', t || 'Id', t) INTO free;
        PERFORM setval(pg_get_serial_sequence(format('b.%I', t), t || 'Id'), free, false);
    END LOOP;
END $$;

-- In both: The Herons, Marsh, Rock, Reed, two playlists that are one here, Reed
-- on it (twice), Adams, Brandt, Moe, his invoice and a line of it.  Silt would be on Music
-- twice as well, and is once: its second place there counts as in both.  Conflicts:
-- composer and length of Reed, how Moe's address is written and who looks after him, the
-- total of his invoice.
SELECT merges('Chinook', '14 in both, 13 copied, 5 conflicts', $$
    SELECT "TrackId", t."Name", a."Title", r."Name", g."Name", "Milliseconds", t.factmerge_provenance
    FROM b."Track" t JOIN b."Album" a USING ("AlbumId") JOIN b."Artist" r USING ("ArtistId") JOIN b."Genre" g USING ("GenreId")
    ORDER BY 1$$, $$
    (1,Waltz,Three,"Accordion Trio",Folk,150000,destination)
    (2,Reed,Marsh,"The Herons",Rock,202300,both)
    (3,Silt,Marsh,"The Herons",Rock,180000,source)
    (4,Kyrie,Kyrie,"Ensemble Nord",Sacred,300000,source)$$);
SELECT bag_eq(
    $$SELECT p."Name" AS list, t."Name", x.factmerge_provenance::text
      FROM b."PlaylistTrack" x JOIN b."Playlist" p USING ("PlaylistId") JOIN b."Track" t USING ("TrackId")$$,
    $$VALUES ('Dances'::varchar, 'Waltz'::varchar, 'destination'), ('Music', 'Reed', 'both'), ('Music', 'Silt', 'source'),
             ('Sundays', 'Kyrie', 'source')$$,
    'two playlists of one name have become one, and nothing is on it twice');
SELECT bag_eq(
    $$SELECT source_key FROM factmerge_origin('b."Playlist"', 2)$$, $$VALUES ('{"PlaylistId": 1}'::jsonb), ('{"PlaylistId": 8}')$$,
    '... and knows both of its origins');
SELECT bag_eq(
    $$WITH RECURSIVE chain AS (
          SELECT "EmployeeId", "LastName"::text AS chain, factmerge_provenance::text AS tag FROM b."Employee" WHERE "ReportsTo" IS NULL
          UNION ALL SELECT e."EmployeeId", chain || ' > ' || "LastName", factmerge_provenance::text
          FROM chain c JOIN b."Employee" e ON e."ReportsTo" = c."EmployeeId")
      SELECT chain, tag FROM chain$$,
    $$VALUES ('Adams', 'both'), ('Adams > Brandt', 'both'), ('Adams > Brandt > Dahl', 'destination'),
             ('Adams > Brandt > Carlsen', 'source')$$, 'whoever reports to somebody still does');
SELECT bag_eq(
    $$SELECT c."LastName", "InvoiceDate"::date, t."Name", l."UnitPrice" * "Quantity", l.factmerge_provenance::text
      FROM b."InvoiceLine" l JOIN b."Invoice" i USING ("InvoiceId") JOIN b."Customer" c USING ("CustomerId")
      JOIN b."Track" t USING ("TrackId")$$,
    $$VALUES ('Moe'::varchar, '2021-01-01'::date, 'Reed'::varchar, 0.99, 'both'), ('Moe', '2021-01-01', 'Silt', 0.99, 'source'),
             ('Nilsen', '2021-01-02', 'Kyrie', 1.99, 'source'), ('Olsen', '2021-02-02', 'Waltz', 0.99, 'destination')$$,
    'invoices are whose they were, line by line');
SELECT bag_eq('SELECT fact_table::text, column_name::text, source_value, destination_value FROM factmerge_conflicts((SELECT max(merge_id) FROM factmerge.merge WHERE conflicts > 0))',
    $$VALUES ('b."Track"', 'Composer', 'P. Lind', 'Lind'), ('b."Track"', 'Milliseconds', '201500', '202300'),
             ('b."Customer"', 'Email', 'moe@example.org', 'Moe@Example.org'),
             ('b."Customer"', 'SupportRepId', (SELECT "EmployeeId"::text FROM b."Employee" WHERE "LastName" = 'Carlsen'), '3'),
             ('b."Invoice"', 'Total', '1.98', '0.99')$$,
    'the total that no longer fits the lines is among the conflicts');

SELECT works_on('Chinook', $$
    INSERT INTO "Artist" ("Name") VALUES ('New');
    INSERT INTO "Album" ("Title", "ArtistId") SELECT 'New', max("ArtistId") FROM "Artist";
    INSERT INTO "Track" ("Name", "AlbumId", "Milliseconds", "UnitPrice") SELECT 'New', max("AlbumId"), 1, 1 FROM "Album"$$);

SELECT * FROM finish();
ROLLBACK;
