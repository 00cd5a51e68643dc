--
-- Turns the family sheets of temporary table family into marriages and
-- parentage of the schema on the search_path, and does away with the table.
--
-- A sheet names persons as people do.  A name that nobody bears, or that two
-- persons bear, raises an error: each is looked up by a subselect of its own,
-- where a join would drop or double the sheet in silence.
--
INSERT INTO marriage (husband, wife, married)
SELECT (SELECT person_id FROM person WHERE name = family.husband),
       (SELECT person_id FROM person WHERE name = family.wife),
       family.married
FROM family
ON CONFLICT DO NOTHING;

INSERT INTO parentage (child, parent)
SELECT (SELECT person_id FROM person WHERE name = named.child),
       (SELECT person_id FROM person WHERE name = named.parent)
FROM family
CROSS JOIN LATERAL unnest(family.children) AS kid (child)
CROSS JOIN LATERAL (VALUES (kid.child, family.husband), (kid.child, family.wife)) AS named (child, parent)
ON CONFLICT DO NOTHING;

DROP TABLE family;
RESET search_path;
