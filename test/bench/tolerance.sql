/*
 * tolerance.sql
 *
 * Facts to be matched exactly, and the same facts to be matched within a
 * tolerance: a table with one value a fact, in the schemas exact and near, which
 * are sources, and dst, the destination of either.  Runs after world.sql.
 *
 * A third of a side's facts are in both.  Facts have numbers, and the place of a
 * fact is a hundred times its number.  Source exact has the values of these
 * places; in source near, each is up to 9 off, and some are not off at all.  So
 * 10 is a tolerance that unites all that are in both, and nothing else.  Where
 * there are twins, every fiftieth fact that is in both has a neighbour in dst 15
 * further up, and the nearer of the two is the one.
 *
 * What comes out has been decided before any merge, and is kept in
 * world.expected.
 *
 * Parameters: facts (a side), type (of the values), value (the value at a place
 * p, as SQL), twins (true or false).
 */

/*
 * Words of two-letter syllables, of which a letter is an x if p is off.  No two
 * names are less than four letters apart, other than by an accident that does
 * not happen.
 */
CREATE FUNCTION world.name(p bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE n * 100 WHEN p THEN name
                ELSE overlay(name PLACING 'x' FROM (p - n * 100 + 10)::integer FOR 1) END
    FROM (SELECT n, string_agg(substr('bcdfghjklmnpqrstvwyz', 1 + drawn / 5, 1)
                               || substr('aeiou', 1 + drawn % 5, 1)
                               || CASE place WHEN 3 THEN ' ' ELSE '' END, '' ORDER BY place) AS name
          FROM (VALUES ((p + 50) / 100)) AS nearest (n)
          CROSS JOIN generate_series(0, 9) AS place
          CROSS JOIN LATERAL (VALUES (floor(world.draw(n * 10 + place, 2) * 100)::integer)) AS syllable (drawn)
          GROUP BY n) AS named;
END;

CREATE FUNCTION world.value(p bigint)
RETURNS :type
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN :value;

CREATE UNLOGGED TABLE world.fact AS
SELECT n,
       (CASE n % 5 WHEN 0 THEN 'both' WHEN 1 THEN 'source' WHEN 2 THEN 'source'
                   ELSE 'destination' END)::world.known_to AS known_to,
       floor(world.draw(n, 1) * 19)::bigint - 9 AS off,
       n % 250 = 0 AND :twins AS twin
FROM generate_series(1, :facts::bigint * 5 / 3) AS n;

/*
 * The three sides, each in an order of arrival of its own.
 */
CREATE FUNCTION world.make_side(side text, places text, stream bigint)
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', side);
    PERFORM set_config('search_path', side, true);

    CREATE TABLE fact (
        id bigint GENERATED ALWAYS AS IDENTITY,
        value :type NOT NULL
    );
    EXECUTE format('INSERT INTO fact (value) SELECT world.value(p) FROM (%s) AS place ORDER BY world.draw(p, %s)',
                   places, stream);

    -- Arrivals at random leave the pages of an index about 70 % full
    ALTER TABLE fact ADD PRIMARY KEY (id), ADD UNIQUE (value) WITH (fillfactor = 70);
END
$function$;

SELECT world.make_side('exact', $$SELECT n * 100 AS p FROM world.fact WHERE known_to <> 'destination'$$, 11);
SELECT world.make_side('near', $$SELECT n * 100 + off AS p FROM world.fact WHERE known_to <> 'destination'$$, 11);
SELECT world.make_side('dst', $$SELECT n * 100 AS p FROM world.fact WHERE known_to <> 'source'
                                UNION ALL
                                SELECT n * 100 + 15 FROM world.fact WHERE twin$$, 12);

/*
 * What every merge has to arrive at, by source, told by values.
 */
CREATE TABLE world.expected AS
WITH expected (source, known_to, p) AS (
    SELECT 'exact', known_to, n * 100
    FROM world.fact
    UNION ALL
    SELECT 'exact', 'destination', n * 100 + 15
    FROM world.fact
    WHERE twin
    UNION ALL
    SELECT 'near',
           CASE WHEN twin AND off > 7 THEN 'destination' ELSE known_to END,
           n * 100 + CASE known_to WHEN 'source' THEN off ELSE 0 END
    FROM world.fact
    UNION ALL
    SELECT 'near', (CASE WHEN off > 7 THEN 'both' ELSE 'destination' END)::world.known_to, n * 100 + 15
    FROM world.fact
    WHERE twin
)
SELECT source, known_to::text, count(*) AS facts,
       sum(hashtextextended(world.value(p)::text, 0)::numeric) AS digest
FROM expected
GROUP BY source, known_to;

/*
 * Where the merged schema dst departs from that; no row if nowhere.
 */
CREATE FUNCTION world.differences(merged text)
RETURNS TABLE (known_to text, expected_facts bigint, found_facts bigint)
LANGUAGE plpgsql STABLE
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH found AS (
        SELECT f.factmerge_provenance::text AS known_to, count(*) AS facts,
               sum(hashtextextended(f.value::text, 0)::numeric) AS digest
        FROM dst.fact AS f
        GROUP BY f.factmerge_provenance
    ), expected AS (
        SELECT * FROM world.expected AS x WHERE x.source = merged
    )
    SELECT known_to, x.facts, f.facts
    FROM expected AS x
    FULL JOIN found AS f USING (known_to)
    WHERE (x.facts, x.digest) IS DISTINCT FROM (f.facts, f.digest);
END
$function$;

DROP TABLE world.fact;
DROP FUNCTION world.make_side(text, text, bigint);
