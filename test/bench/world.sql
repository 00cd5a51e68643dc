/*
 * world.sql
 *
 * What the generators of the benchmark's facts share: the schema that they
 * prepare their worlds in, and its numbers.  Nothing is random: every draw is a
 * hash of its number.
 */
CREATE SCHEMA world;

CREATE TYPE world.known_to AS ENUM ('source', 'destination', 'both', 'derived');

CREATE FUNCTION world.draw(n bigint, stream bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(n, stream) & 4503599627370495)::double precision / 4503599627370496;
COMMENT ON FUNCTION world.draw(bigint, bigint) IS
'the n-th number of a stream of them, even between 0 and 1';
