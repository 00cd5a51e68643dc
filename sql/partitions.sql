--
-- partitions: partitioned fact tables, their keys and their triggers
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS factmerge;

-- Readings of stations, by year; a reading follows another of the same station
CREATE PROCEDURE make_partitions(partitioned_source boolean DEFAULT true, partitioned_destination boolean DEFAULT true)
LANGUAGE plpgsql AS $make$
DECLARE
    schema text;
    partitioned boolean;
BEGIN
    FOREACH schema IN ARRAY ARRAY['part_src', 'part_dst'] LOOP
        partitioned := CASE schema WHEN 'part_src' THEN partitioned_source ELSE partitioned_destination END;
        EXECUTE format('DROP SCHEMA IF EXISTS %1$I CASCADE', schema);
        EXECUTE format($ddl$
            CREATE SCHEMA %1$I;
            CREATE TABLE %1$I.station (name text PRIMARY KEY);
            CREATE TABLE %1$I.reading (station text REFERENCES %1$I.station, year integer, value integer,
                                       PRIMARY KEY (station, year)) %2$s;
            CREATE TABLE %1$I.remark (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, station text, year integer, remark text,
                                      FOREIGN KEY (station, year) REFERENCES %1$I.reading, UNIQUE (station, year, remark));
            CREATE TABLE %1$I.rise (station text REFERENCES %1$I.station, year integer, by integer, PRIMARY KEY (station, year));
        $ddl$, schema, CASE WHEN partitioned THEN 'PARTITION BY RANGE (year)' END);
        IF partitioned THEN
            -- The last one has its columns in another order, and is partitioned itself
            EXECUTE format($ddl$
                CREATE TABLE %1$I.reading_2000 PARTITION OF %1$I.reading FOR VALUES FROM (2000) TO (2010);
                CREATE TABLE %1$I.reading_2010 (gone text, value integer, year integer NOT NULL, station text NOT NULL)
                    PARTITION BY LIST (station);
                ALTER TABLE %1$I.reading_2010 DROP gone;
                CREATE TABLE %1$I.reading_2010_x (value integer, gone text, station text NOT NULL, year integer NOT NULL);
                ALTER TABLE %1$I.reading_2010_x DROP gone;
                ALTER TABLE %1$I.reading_2010 ATTACH PARTITION %1$I.reading_2010_x DEFAULT;
                ALTER TABLE %1$I.reading ATTACH PARTITION %1$I.reading_2010 FOR VALUES FROM (2010) TO (2020);
            $ddl$, schema);
        END IF;
    END LOOP;
    INSERT INTO part_src.station VALUES ('Alm'), ('Bay');
    INSERT INTO part_src.reading (station, year, value) VALUES ('Alm', 2001, 10), ('Alm', 2011, 20), ('Bay', 2012, 5);
    INSERT INTO part_src.remark (station, year, remark) VALUES ('Alm', 2001, 'cold'), ('Bay', 2012, 'wet');
    INSERT INTO part_dst.station VALUES ('Alm'), ('Cot');
    INSERT INTO part_dst.reading (station, year, value) VALUES ('Alm', 2001, 10), ('Alm', 2000, 8), ('Alm', 2012, 25), ('Cot', 2012, 7);
    INSERT INTO part_dst.remark (station, year, remark) VALUES ('Cot', 2012, 'dry'), ('Alm', 2001, 'cold');
    INSERT INTO part_dst.rise VALUES ('Alm', 2001, 2);
END
$make$;
CREATE TABLE part_log (number serial, call text);
CREATE FUNCTION part_rise_per_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO part_log (call) VALUES (concat_ws(' ', TG_LEVEL, TG_TABLE_NAME, NEW.station, NEW.year, NEW.value));
    INSERT INTO rise SELECT station, NEW.year, NEW.value - value FROM reading WHERE station = NEW.station AND year = NEW.year - 1
    UNION ALL SELECT station, NEW.year + 1, value - NEW.value FROM reading WHERE station = NEW.station AND year = NEW.year + 1
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION part_rise_per_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO part_log (call)
    SELECT concat_ws(' ', TG_LEVEL, TG_TABLE_NAME, string_agg(concat_ws(' ', station, year, value), ', ' ORDER BY station, year)) FROM news;
    INSERT INTO rise SELECT n.station, n.year, n.value - r.value FROM news n JOIN reading r ON r.station = n.station AND r.year = n.year - 1
    UNION ALL SELECT r.station, r.year, r.value - n.value FROM news n JOIN reading r ON r.station = n.station AND r.year = n.year + 1
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

\set merge 'SELECT fact_tables AS tables, source_facts AS facts, in_both, copied, skipped_in_both AS s_both, skipped_friends_in_both AS s_friends, skipped_one_sided AS s_sided, unhandled, replayed, derived FROM factmerge_merge(\'part_src\', \'part_dst\')'
\set readings 'SELECT tableoid::regclass AS relation, station, year, value, factmerge_provenance FROM part_dst.reading ORDER BY station, year'
\set rises 'SELECT station, year, by, factmerge_provenance FROM part_dst.rise ORDER BY station, year'
\set calls 'SELECT call FROM part_log ORDER BY number'

-- Partitions are no tables of their own
CALL make_partitions();
SELECT fact_table, key, sameness FROM factmerge_tables('part_dst') ORDER BY position;
SELECT fact_table, friend_table, hops, path FROM factmerge_friends('part_dst') WHERE hops = 1 ORDER BY fact_table::text, path COLLATE "C";

-- Row-level triggers are found on the partition, whatever the order of columns
CREATE TRIGGER rise AFTER INSERT ON part_dst.reading FOR EACH ROW WHEN (NEW.value > 0) EXECUTE FUNCTION part_rise_per_row();
:merge;
:readings;
:rises;
:calls;
SELECT r.station, r.year, remark, r.factmerge_provenance FROM part_dst.remark r ORDER BY 1, 2;
:merge;
SELECT source, provenance, source_key FROM factmerge_origin('part_dst.reading', 'Alm', 2011);
SELECT fact_table, fact FROM factmerge_verify('part_dst');

-- Statement-level triggers get the facts of all partitions as rows of the table
TRUNCATE part_log;
CALL make_partitions();
CREATE TRIGGER rise AFTER INSERT ON part_dst.reading REFERENCING NEW TABLE AS news
    FOR EACH STATEMENT EXECUTE FUNCTION part_rise_per_statement();
INSERT INTO part_src.reading (station, year, value) VALUES ('Alm', 2002, 30);
:merge;
:rises;
:calls;

-- Functions, too
TRUNCATE part_log;
CALL make_partitions();
CREATE FUNCTION part_dst.note_reading(r part_dst.reading) RETURNS void LANGUAGE sql AS
$$ INSERT INTO public.part_log (call) VALUES (concat_ws(' ', r.station, r.year, r.value)) $$;
SELECT factmerge_add_handler('part_dst.reading', 'part_dst.note_reading');
:merge;
:calls;

-- Partitioned on one side only
CALL make_partitions(true, false);
:merge;
:readings;
CALL make_partitions(false, true);
:merge;
:readings;

-- A trigger of one partition alone is no handler of the table
TRUNCATE part_log;
CALL make_partitions();
CREATE TRIGGER only_here AFTER INSERT ON part_dst.reading_2010_x FOR EACH ROW EXECUTE FUNCTION part_rise_per_row();
SELECT fact_table, handlers FROM factmerge_tables('part_dst') WHERE fact_table = 'part_dst.reading'::regclass;

-- No partition for a fact of the source
CALL make_partitions();
DROP TABLE part_dst.reading_2010 CASCADE;
\set SHOW_CONTEXT never
:merge;
\set SHOW_CONTEXT errors

DROP SCHEMA part_src, part_dst CASCADE;
DROP PROCEDURE make_partitions;
DROP FUNCTION part_rise_per_row, part_rise_per_statement;
DROP TABLE part_log;
