--
-- A dictionary of nouns: sets of synonyms, which kind of thing each is, and
-- what follows from that, the transitive closure.
--
-- Run with psql, once for each dictionary:
--
--     \set schema first
--     \i schema.sql
--
-- A dog is a kind of canine, a canine a kind of carnivore, and so on up to
-- entity; hence a dog is a kind of each of these.  Two statement-level triggers
-- keep kind_of closed, whatever arrives in whichever order.  It follows from
-- hypernym alone, and from a hypernym together with the kind_of of the synset
-- above it; both premises speak of that synset, and either of them may be the
-- one that arrives last.
--
\if :{?schema}
\else
    \warn 'schema.sql: name the schema first, with \\set schema ...'
    \quit
\endif

CREATE SCHEMA :"schema";
SET search_path = :"schema";

CREATE TABLE synset (
    synset_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wordnet_offset integer NOT NULL UNIQUE,
    words text NOT NULL
);
COMMENT ON TABLE synset IS 'a set of synonyms, that is, one meaning';
COMMENT ON COLUMN synset.wordnet_offset IS 'what WordNet knows the synset by: its place in data.noun';

CREATE TABLE hypernym (
    narrower bigint REFERENCES synset,
    broader bigint REFERENCES synset,
    PRIMARY KEY (narrower, broader)
);
CREATE INDEX ON hypernym (broader);
COMMENT ON TABLE hypernym IS 'as entered: the narrower is a kind of the broader, with nothing in between';

CREATE TABLE kind_of (
    narrower bigint REFERENCES synset,
    broader bigint REFERENCES synset,
    PRIMARY KEY (narrower, broader)
);
CREATE INDEX ON kind_of (broader);
COMMENT ON TABLE kind_of IS 'as it follows: the transitive closure of hypernym';

--
-- The queries are EXECUTEd so as to be planned anew for each statement: one
-- adds a single row, the next a hundred thousand, and the plan that suits the
-- one would be kept for the other.
--
-- The functions keep the search_path that they are made with, hence find their
-- own schema's tables whoever sets them off.
--

--
-- New hypernyms: each is a kind_of itself, and takes over what is known of the
-- broader synset.
--
CREATE FUNCTION close_upwards()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    EXECUTE '
        INSERT INTO kind_of (narrower, broader)
        SELECT narrower, broader
        FROM new_hypernym
        UNION
        SELECT new_hypernym.narrower, known.broader
        FROM new_hypernym
        JOIN kind_of AS known ON known.narrower = new_hypernym.broader
        ON CONFLICT DO NOTHING';

    RETURN NULL;
END
$$;

CREATE TRIGGER close_upwards
    AFTER INSERT ON hypernym
    REFERENCING NEW TABLE AS new_hypernym
    FOR EACH STATEMENT
    EXECUTE FUNCTION close_upwards();

--
-- New kind_of facts: each is handed on to the synsets right below the narrower
-- one.  What is inserted sets the trigger off again, one level further down,
-- until a statement inserts no row.
--
CREATE FUNCTION close_downwards()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM new_kind_of) THEN
        RETURN NULL;
    END IF;

    EXECUTE '
        INSERT INTO kind_of (narrower, broader)
        SELECT hypernym.narrower, new_kind_of.broader
        FROM new_kind_of
        JOIN hypernym ON hypernym.broader = new_kind_of.narrower
        ON CONFLICT DO NOTHING';

    RETURN NULL;
END
$$;

CREATE TRIGGER close_downwards
    AFTER INSERT ON kind_of
    REFERENCING NEW TABLE AS new_kind_of
    FOR EACH STATEMENT
    EXECUTE FUNCTION close_downwards();

RESET search_path;
