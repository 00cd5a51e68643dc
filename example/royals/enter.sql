--
-- Enters the cards of temporary table card and the family sheets of temporary
-- table family into the schema on the search_path, as places, persons,
-- marriages and parentage, and does away with both.
--
-- A sheet names persons as people do.  A name that nobody bears, or that two
-- persons bear, raises an error: each is looked up by a subselect of its own,
-- where a join would drop or double the sheet in silence.
--
INSERT INTO place (name)
SELECT DISTINCT birthplace
FROM card
WHERE birthplace IS NOT NULL
ORDER BY birthplace;

INSERT INTO person (name, sex, born, birthplace)
SELECT card.name,
       card.sex,
       card.born,
       (SELECT place_id FROM place WHERE place.name = card.birthplace)
FROM card
ORDER BY card.number;

INSERT INTO marriage (husband, wife, married)
SELECT (SELECT person_id FROM person WHERE name = family.husband AND sex = 'm'),
       (SELECT person_id FROM person WHERE name = family.wife AND sex = 'f'),
       family.married
FROM family
ORDER BY family.number;

INSERT INTO parentage (child, parent)
SELECT (SELECT person_id FROM person WHERE name = named.child),
       (SELECT person_id FROM person WHERE name = named.parent)
FROM family
CROSS JOIN LATERAL unnest(family.children) WITH ORDINALITY AS kid (child, number)
CROSS JOIN LATERAL (VALUES (kid.child, family.husband), (kid.child, family.wife)) AS named (child, parent)
ORDER BY family.number, kid.number;

DROP TABLE card, family;
RESET search_path;
