--
-- When a person of one genealogist is a person of the other.
--
-- Run with psql after schema.sql, with the :schema that is to be merged into,
-- and with the extension factmerge in schema public.
--
-- The two genealogists spell differently (Nicholas, Nikolaj), write of or af,
-- know some people by another name altogether (Maria Feodorovna was Dagmar),
-- and have their dates from registers that kept the Julian calendar here and
-- the Gregorian there.  So name and birthday, the unique key of person, are not
-- enough to tell who is the same.
--
\if :{?schema}
\else
    \warn 'sameness.sql: name the schema first, with \\set schema ...'
    \quit
\endif

SET search_path = :"schema", public;

--
-- Places.  A few have a name of their own in Danish; of the others at most a
-- letter is different: Athen and Athens, Milano and Milan.
--
CREATE FUNCTION english(place text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE place
    WHEN 'Bruxelles' THEN 'Brussels'
    WHEN 'Haag' THEN 'The Hague'
    WHEN 'København' THEN 'Copenhagen'
    WHEN 'Moskva' THEN 'Moscow'
    WHEN 'Sankt Petersborg' THEN 'Saint Petersburg'
    WHEN 'Wien' THEN 'Vienna'
    ELSE place
END;

SELECT factmerge_set_sameness('place',
    tolerance => '{"name": {"function": "english", "edit_distance": 1}}');

--
-- How a given name sounds, roughly, whatever the language: its first letter and
-- the next two consonants.  Nicholas and Nikolaj are nkl, Margaret, Margareta
-- and Margrethe mrg; but then Alexander, Alexandra, Alexei and Alix are all alk.
--
CREATE FUNCTION sound(name text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN left(
    regexp_replace(
        regexp_replace(
            translate(
                replace(replace(replace(lower(split_part(name, ' ', 1)), 'ch', 'k'), 'ph', 'f'), 'x', 'ks'),
                'cjwyz', 'kivis'),
            '(?<=.)[^bdfgklmnpqrstv]', '', 'g'),
        '(.)\1+', '\1', 'g'),
    3);

--
-- Persons.  None of it would do alone: Margaret of Connaught and Jelena
-- Vladimirovna were born two days apart, and Marie is a name that many bear.
-- All of it together, though, is true of one and the same person only: of the
-- same sex, born on the same day as far as two calendars can tell (they were 11
-- days apart in the 18th century, 12 in the 19th and 13 in the 20th), and either
-- called alike or born in the same place.
--
-- Birthplaces are compared as numbers of the destination: that København is
-- Copenhagen has been settled above, for place is merged before person.
--
SELECT factmerge_set_sameness('person',
    key => '{sex}',
    tolerance => '{"born": "13 days"}',
    condition => 'sound(source.name) = sound(destination.name) OR source.birthplace = destination.birthplace');

--
-- Marriages, parentage, siblings and ancestors need nothing: they are the same
-- when the persons are.
--
RESET search_path;
