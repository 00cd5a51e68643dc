--
-- A genealogist's database: persons, who married whom, who is whose parent,
-- and what follows from that: brothers and sisters, and ancestors.
--
-- Run with psql, once for each database of a genealogist:
--
--     \set schema british
--     \i schema.sql
--
-- Place, person and marriage have surrogate keys, numbered by each database for
-- itself, so that the same person bears different numbers in two of them.
-- What makes two persons the same is their natural key, name and birthday,
-- unless something else has been declared: see sameness.sql.
--
-- Siblings and ancestors are derived by AFTER INSERT triggers.  Each trigger
-- only adds facts, adds none twice, and finds a new fact whichever of its
-- premises arrives last; and it looks no further than at facts that speak of
-- the same person as the fact that set it off.  That is all a merge needs in
-- order to derive what follows from two databases together.
--
\if :{?schema}
\else
    \warn 'schema.sql: name the schema first, with \\set schema ...'
    \quit
\endif

CREATE SCHEMA :"schema";
SET search_path = :"schema";

--
-- What the genealogist enters
--
CREATE TABLE place (
    place_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE person (
    person_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    sex text NOT NULL CHECK (sex IN ('f', 'm')),
    born date NOT NULL,
    birthplace bigint REFERENCES place,
    UNIQUE (name, born)
);
CREATE INDEX ON person (birthplace);
COMMENT ON COLUMN person.born IS 'as the register has it, Julian or Gregorian';

CREATE TABLE marriage (
    marriage_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    husband bigint NOT NULL REFERENCES person,
    wife bigint NOT NULL REFERENCES person,
    married date NOT NULL,
    UNIQUE (husband, wife)
);
CREATE INDEX ON marriage (wife);

CREATE TABLE parentage (
    child bigint REFERENCES person,
    parent bigint REFERENCES person,
    PRIMARY KEY (child, parent),
    CHECK (child <> parent)
);
CREATE INDEX ON parentage (parent);

--
-- What follows
--
-- Siblings are kept in both directions.  One row with the lower number first
-- would do in one database, but the order of the numbers differs between two.
--
CREATE TABLE sibling (
    person bigint REFERENCES person,
    sibling bigint REFERENCES person,
    PRIMARY KEY (person, sibling),
    CHECK (person <> sibling)
);
CREATE INDEX ON sibling (sibling);
COMMENT ON TABLE sibling IS 'persons with a parent in common: half-siblings, too';

--
-- Cousins marry, so that one ancestor is reached over several paths; each
-- length is a fact of its own, and none ever takes another's place.
--
CREATE TABLE ancestor (
    descendant bigint REFERENCES person,
    ancestor bigint REFERENCES person,
    generations integer CHECK (generations > 0),
    PRIMARY KEY (descendant, ancestor, generations),
    CHECK (descendant <> ancestor)
);
CREATE INDEX ON ancestor (ancestor);
COMMENT ON COLUMN ancestor.generations IS '1: parent, 2: grandparent, 3: great-grandparent, ...';

--
-- The functions keep the search_path that they are made with, hence find their
-- own schema's tables whoever sets them off.
--

--
-- Siblings, row by row: the other children of the new child's parent.
--
CREATE FUNCTION find_siblings()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO sibling (person, sibling)
    SELECT pair.person, pair.sibling
    FROM parentage AS other
    CROSS JOIN LATERAL (VALUES (NEW.child, other.child), (other.child, NEW.child)) AS pair (person, sibling)
    WHERE other.parent = NEW.parent
      AND other.child <> NEW.child
    ON CONFLICT DO NOTHING;

    RETURN NULL;
END
$$;

CREATE TRIGGER find_siblings
    AFTER INSERT ON parentage
    FOR EACH ROW
    EXECUTE FUNCTION find_siblings();

--
-- Ancestors, a statement at a time: a parent is an ancestor, and so is every
-- ancestor of a parent.  The second rule has two premises, parentage and
-- ancestor, and either can be the one that arrives last; hence two triggers.
--
CREATE FUNCTION find_ancestors_through_parents()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO ancestor (descendant, ancestor, generations)
    SELECT child, parent, 1
    FROM new_parentage
    UNION
    SELECT new_parentage.child, known.ancestor, known.generations + 1
    FROM new_parentage
    JOIN ancestor AS known ON known.descendant = new_parentage.parent
    ON CONFLICT DO NOTHING;

    RETURN NULL;
END
$$;

CREATE TRIGGER find_ancestors
    AFTER INSERT ON parentage
    REFERENCING NEW TABLE AS new_parentage
    FOR EACH STATEMENT
    EXECUTE FUNCTION find_ancestors_through_parents();

--
-- Hands new ancestors on to the children, whose rows set the trigger off again,
-- a generation at a time.  A statement that inserts no row fires it as well:
-- there the recursion ends.
--
CREATE FUNCTION hand_ancestors_to_children()
RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM new_ancestor) THEN
        RETURN NULL;
    END IF;

    INSERT INTO ancestor (descendant, ancestor, generations)
    SELECT parentage.child, new_ancestor.ancestor, new_ancestor.generations + 1
    FROM new_ancestor
    JOIN parentage ON parentage.parent = new_ancestor.descendant
    ON CONFLICT DO NOTHING;

    RETURN NULL;
END
$$;

CREATE TRIGGER hand_on
    AFTER INSERT ON ancestor
    REFERENCING NEW TABLE AS new_ancestor
    FOR EACH STATEMENT
    EXECUTE FUNCTION hand_ancestors_to_children();

RESET search_path;
