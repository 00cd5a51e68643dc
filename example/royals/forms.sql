--
-- The forms that a genealogist's data come on: a card for each person, and a
-- family sheet for each couple, with their wedding and those of their children
-- who have been recorded.  See enter.sql for what becomes of them.
--
CREATE TEMP TABLE card (
    number integer GENERATED ALWAYS AS IDENTITY,
    name text,
    sex text,
    born date,
    birthplace text
);

CREATE TEMP TABLE family (
    number integer GENERATED ALWAYS AS IDENTITY,
    husband text,
    wife text,
    married date,
    children text[]
);
