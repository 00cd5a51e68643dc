#!/usr/bin/perl
#
# royals.t - merges the British and the Danish tree, both ways, and compares the
# result with one database that was fed with both histories from the start.
#
# Run by prove, with a superuser's PG* environment variables set:
#
#     prove example/royals/t/royals.t
#
# Who is who is told by the lists below, made by hand from what is known of these
# people, and not by anything that sameness.sql declares.  All comparisons go by
# the names that come out of them, never by numbers: the same person has
# different ones in different schemas.
#
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use Test::More;
use ExampleDatabase;

my $here = "$FindBin::Bin/..";

my @tables = qw(place person marriage parentage sibling ancestor);

# Whom the Danish genealogist calls otherwise than the British one.  Whoever has
# the same name in both trees is the same person, too.
my %british_name = (
    'Frederik V af Danmark'               => 'Frederick V of Denmark',
    'Louise af Storbritannien'            => 'Louise of Great Britain',
    'Christian VII af Danmark'            => 'Christian VII of Denmark',
    'Caroline Mathilde af Storbritannien' => 'Caroline Matilda of Great Britain',
    'Alexandra af Danmark'                => 'Alexandra of Denmark',
    'Georg I af Grækenland'               => 'George I of Greece',
    'Dagmar af Danmark'                   => 'Maria Feodorovna',
    'Thyra af Danmark'                    => 'Thyra of Denmark',
    'Gustav VI Adolf af Sverige'          => 'Gustaf VI Adolf of Sweden',
    'Margareta af Connaught'              => 'Margaret of Connaught',
    'Haakon VII af Norge'                 => 'Charles of Denmark',
    'Olga Konstantinovna af Rusland'      => 'Olga Constantinovna of Russia',
    'Konstantin I af Grækenland'          => 'Constantine I of Greece',
    'Andreas af Grækenland'               => 'Andrew of Greece',
    'Georg II af Grækenland'              => 'George II of Greece',
    'Marina af Grækenland'                => 'Marina of Greece',
    'Juan Carlos I af Spanien'            => 'Juan Carlos I of Spain',
    'Aleksander II af Rusland'            => 'Alexander II of Russia',
    'Maria Aleksandrovna'                 => 'Marie of Hesse',
    'Aleksander III af Rusland'           => 'Alexander III of Russia',
    'Sergej Aleksandrovitj af Rusland'    => 'Sergei Alexandrovich of Russia',
    'Nikolaj II af Rusland'               => 'Nicholas II of Russia',
    'Aleksandra Fjodorovna'               => 'Alix of Hesse',
    'Olga Nikolajevna af Rusland'         => 'Olga Nikolaevna of Russia',
    'Tatjana Nikolajevna af Rusland'      => 'Tatiana Nikolaevna of Russia',
    'Maria Nikolajevna af Rusland'        => 'Maria Nikolaevna of Russia',
    'Anastasia Nikolajevna af Rusland'    => 'Anastasia Nikolaevna of Russia',
    'Aleksej Nikolajevitj af Rusland'     => 'Alexei Nikolaevich of Russia',
    'Carol II af Rumænien'                => 'Carol II of Romania',
);

# Places, likewise.
my %british_place = (
    'Athen'            => 'Athens',
    'København'        => 'Copenhagen',
    'Milano'           => 'Milan',
    'Moskva'           => 'Moscow',
    'Rom'              => 'Rome',
    'Sankt Petersborg' => 'Saint Petersburg',
    'Tsarskoje Selo'   => 'Tsarskoye Selo',
    'Wien'             => 'Vienna',
);

# The columns of a table that say what a fact is, whatever its number.
my %natural_key = (
    place     => [qw(name)],
    person    => [qw(name sex)],
    marriage  => [qw(husband wife)],
    parentage => [qw(child parent)],
    sibling   => [qw(person sibling)],
    ancestor  => [qw(descendant ancestor generations)],
);

# The facts of a table, or of a query in its place, with names for numbers.
sub natural {
    my ($table, $schema, $from) = @_;
    $from //= "$schema.$table";
    my @columns = map {
              $_ eq 'name'         ? "who_is_who.$table(name) AS name"
            : /^(?:sex|generations)$/ ? $_
            :                           person($schema, $_) . " AS $_"
    } @{ $natural_key{$table} };
    return 'SELECT ' . join(', ', @columns) . " FROM $from AS fact";
}

sub person {
    my ($schema, $column) = @_;
    return "(SELECT who_is_who.person(name) FROM $schema.person WHERE person_id = fact.$column)";
}

# The lists, as functions that give the British name for either.
sub load_who_is_who {
    my ($db) = @_;
    my %list = (person => \%british_name, place => \%british_place);

    $db->rows('CREATE SCHEMA who_is_who');
    for my $table (sort keys %list) {
        my $names = join ",\n", map {"('$_', '$list{$table}{$_}')"} sort keys %{ $list{$table} };
        $db->rows("
            CREATE TABLE who_is_who.$table (danish text PRIMARY KEY, british text UNIQUE);
            INSERT INTO who_is_who.$table VALUES $names;
            CREATE FUNCTION who_is_who.$table(name text) RETURNS text LANGUAGE sql STABLE
            RETURN coalesce((SELECT british FROM who_is_who.$table WHERE danish = name), name)");
    }
    return;
}

# What follows from parentage alone, computed without any trigger.
sub recomputed {
    my ($table, $schema) = @_;
    my %query = (
        sibling => "
            SELECT DISTINCT one.child AS person, other.child AS sibling
            FROM $schema.parentage AS one
            JOIN $schema.parentage AS other ON other.parent = one.parent AND other.child <> one.child",
        ancestor => "
            WITH RECURSIVE line (descendant, ancestor, generations) AS (
                SELECT child, parent, 1
                FROM $schema.parentage
                UNION
                SELECT line.descendant, parentage.parent, line.generations + 1
                FROM line
                JOIN $schema.parentage ON parentage.child = line.ancestor
            )
            TABLE line",
    );
    return natural($table, $schema, "($query{$table})");
}

# Passes if two queries give the same rows, each as often.
sub same_facts {
    my ($db, $got, $expected, $title) = @_;
    my @difference = $db->rows(
        "(SELECT 'too many' AS what, * FROM (($got) EXCEPT ALL ($expected)) AS more)
         UNION ALL
         (SELECT 'missing', * FROM (($expected) EXCEPT ALL ($got)) AS less)"
    );
    is(scalar @difference, 0, $title)
        or diag(join "\n", @difference[ 0 .. ($#difference < 9 ? $#difference : 9) ]);
    return;
}

sub load {
    my ($db, $schema, @trees) = @_;
    $db->run_file("$here/schema.sql", schema => $schema);
    $db->run_file("$here/$_.sql", schema => $schema) for @trees;
    return;
}

# Both trees, who is who, and schema whole: one database that was fed with all
# that either genealogist entered.
sub load_all {
    my ($db) = @_;
    load($db, $_, $_) for qw(british danish);
    load_who_is_who($db);
    load($db, 'whole');
    $db->rows(<<'SQL');
        INSERT INTO whole.place (name)
        SELECT name FROM british.place
        UNION
        SELECT who_is_who.place(name) FROM danish.place
        ORDER BY name;

        INSERT INTO whole.person (name, sex, born)
        SELECT name, sex, born FROM british.person
        UNION ALL
        SELECT who_is_who.person(name), sex, born FROM danish.person
        WHERE who_is_who.person(name) NOT IN (SELECT name FROM british.person);

        CREATE VIEW who_is_who.entered AS
        SELECT 'marriage' AS fact, husband.name AS one, wife.name AS other, married
        FROM british.marriage
        JOIN british.person AS husband ON husband.person_id = marriage.husband
        JOIN british.person AS wife ON wife.person_id = marriage.wife
        UNION ALL
        SELECT 'marriage', husband.name, wife.name, married
        FROM danish.marriage
        JOIN danish.person AS husband ON husband.person_id = marriage.husband
        JOIN danish.person AS wife ON wife.person_id = marriage.wife
        UNION ALL
        SELECT 'parentage', kid.name, parent.name, NULL
        FROM british.parentage
        JOIN british.person AS kid ON kid.person_id = parentage.child
        JOIN british.person AS parent ON parent.person_id = parentage.parent
        UNION ALL
        SELECT 'parentage', kid.name, parent.name, NULL
        FROM danish.parentage
        JOIN danish.person AS kid ON kid.person_id = parentage.child
        JOIN danish.person AS parent ON parent.person_id = parentage.parent;

        INSERT INTO whole.marriage (husband, wife, married)
        SELECT husband.person_id, wife.person_id, entered.married
        FROM who_is_who.entered
        JOIN whole.person AS husband ON husband.name = who_is_who.person(entered.one)
        JOIN whole.person AS wife ON wife.name = who_is_who.person(entered.other)
        WHERE entered.fact = 'marriage'
        ON CONFLICT DO NOTHING;

        INSERT INTO whole.parentage (child, parent)
        SELECT kid.person_id, parent.person_id
        FROM who_is_who.entered
        JOIN whole.person AS kid ON kid.name = who_is_who.person(entered.one)
        JOIN whole.person AS parent ON parent.name = who_is_who.person(entered.other)
        WHERE entered.fact = 'parentage'
        ON CONFLICT DO NOTHING;
SQL
    return;
}

sub install_and_declare {
    my ($db, $destination) = @_;
    $db->rows('CREATE EXTENSION factmerge');
    $db->run_file("$here/sameness.sql", schema => $destination);
    return;
}

# One row of a function as a hash.
sub totals {
    my ($db, $call) = @_;
    return map { split /\|/, $_, 2 }
        $db->rows("SELECT key, value FROM $call AS totals CROSS JOIN jsonb_each_text(to_jsonb(totals))");
}

# Facts that neither tree has, though both together imply them.
sub implied_by_both_only {
    my ($table) = @_;
    my ($whole, $british, $danish) = map { natural($table, $_) } qw(whole british danish);
    return "($whole EXCEPT $british) EXCEPT $danish";
}

# The persons who are in both trees by the lists above, with both their names;
# a condition can speak of them as british and danish.
sub in_both_trees {
    my ($condition) = @_;
    return "SELECT danish.name AS danish_name, british.name AS british_name
            FROM danish.person AS danish
            JOIN british.person AS british ON british.name = who_is_who.person(danish.name)
            LEFT JOIN danish.place AS danish_place ON danish_place.place_id = danish.birthplace
            LEFT JOIN british.place AS british_place ON british_place.place_id = british.birthplace
            WHERE ${\($condition // 'true')}";
}

# Before any merge: the trees are what they are said to be, and their triggers
# derive what recomputing derives.
sub check_trees {
    my ($db) = @_;

    for my $tree (qw(british danish)) {
        cmp_ok($db->value("SELECT count(*) FROM $tree.person"), '>=', 60, "$tree: at least 60 persons");
        cmp_ok($db->value("SELECT count(*) FROM $tree.marriage"), '>=', 40, "$tree: at least 40 marriages");
        is($db->value("SELECT count(*) - count(DISTINCT name) FROM $tree.person"), 0, "$tree: a name is one person");
    }
    is($db->value("SELECT count(*) FROM who_is_who.person
                   WHERE danish NOT IN (SELECT name FROM danish.person)
                      OR british NOT IN (SELECT name FROM british.person)"),
        0, 'whoever has two names bears one in either tree');
    is($db->value("SELECT count(*) FROM who_is_who.place
                   WHERE danish NOT IN (SELECT name FROM danish.place)
                      OR british NOT IN (SELECT name FROM british.place)"),
        0, 'and so do places');
    is($db->value("SELECT count(*) FROM (${\in_both_trees()}) AS person"), 48, '48 persons are in both trees');
    is($db->value("SELECT count(*) FROM (${\in_both_trees('danish.person_id <> british.person_id')}) AS person"),
        48, 'and are numbered differently');
    is($db->value("SELECT count(*) FROM (${\in_both_trees('danish.sex <> british.sex')}) AS person"),
        0, 'but are of one sex');
    is($db->value("SELECT count(*) FROM (${\in_both_trees('(danish.name, danish.born) = (british.name, british.born)')})
                   AS person"),
        18, 'name and birthday alone tell so of 18');
    is($db->value('SELECT count(*) FROM whole.parentage JOIN whole.person AS kid ON kid.person_id = child
                   JOIN whole.person AS parent ON parent.person_id = parentage.parent
                   WHERE age(kid.born, parent.born) NOT BETWEEN interval \'15 years\' AND interval \'65 years\''),
        0, 'parents are older than their children, but not by more than 65 years');
    is($db->value(too_many_or_few_parents('whole')), 0, 'who has a parent has two, in both trees together');

    for my $schema (qw(british danish whole)) {
        same_facts($db, natural($_, $schema), recomputed($_, $schema), "$schema: $_ is what recomputing gives")
            for qw(sibling ancestor);
    }
    for my $table (qw(sibling ancestor)) {
        cmp_ok($db->value("SELECT count(*) FROM (${\implied_by_both_only($table)}) AS fact"),
            '>', 0, "$table: both trees together imply what neither has");
    }
    return;
}

sub too_many_or_few_parents {
    my ($schema) = @_;
    return "SELECT count(*) FROM (SELECT FROM $schema.parentage GROUP BY child HAVING count(*) <> 2) AS odd";
}

# Birthdays of the same person are apart by what the calendars were, or not at
# all.  (Andrew's register said 20 January 1882, which was 1 February; books have
# the 2nd.)
sub check_calendars {
    my ($db) = @_;
    is( join(
            ', ',
            $db->rows(
                "SELECT DISTINCT CASE WHEN british.born < '1800-01-01' THEN 'in the 18th century'
                                      WHEN british.born < '1900-03-13' THEN 'in the 19th'
                                      ELSE 'in the 20th' END
                                 || ': ' || abs(danish.born - british.born)
                 FROM (${\in_both_trees('danish.born <> british.born')}) AS same
                 JOIN danish.person AS danish ON danish.name = same.danish_name
                 JOIN british.person AS british ON british.name = same.british_name
                 WHERE british.name <> 'Andrew of Greece'
                 ORDER BY 1"
            )
        ),
        'in the 18th century: 11, in the 19th: 12, in the 20th: 13',
        'birthdays differ by calendar'
    );
    return;
}

# The triggers derive the same, whatever comes last: here parentage arrives one
# row at a time, in an order that follows no line of descent.
sub check_order_of_arrival {
    my ($db) = @_;
    load($db, 'shuffled');
    $db->rows(<<'SQL');
        INSERT INTO shuffled.person (name, sex, born) SELECT name, sex, born FROM whole.person;
        DO $$
        DECLARE
            fact record;
        BEGIN
            FOR fact IN
                SELECT kid.person_id AS child, parent.person_id AS parent
                FROM whole.parentage
                JOIN whole.person AS whole_kid ON whole_kid.person_id = parentage.child
                JOIN whole.person AS whole_parent ON whole_parent.person_id = parentage.parent
                JOIN shuffled.person AS kid ON kid.name = whole_kid.name
                JOIN shuffled.person AS parent ON parent.name = whole_parent.name
                ORDER BY md5(kid.name || parent.name)
            LOOP
                INSERT INTO shuffled.parentage (child, parent) VALUES (fact.child, fact.parent);
            END LOOP;
        END
        $$
SQL
    same_facts($db, natural($_, 'shuffled'), natural($_, 'whole'), "$_ does not depend on the order of arrival")
        for qw(sibling ancestor);
    $db->rows('SET client_min_messages = warning; DROP SCHEMA shuffled CASCADE');
    return;
}

# What is declared unites those who are one, and nobody else; and each part of
# the declaration is needed.  Nothing is written meanwhile.
sub check_declaration {
    my ($db) = @_;
    my $alike = 'british.sound(source.name) = british.sound(destination.name)';
    my $neighbours = 'source.birthplace = destination.birthplace';
    my @declarations = (
        [ 'as declared', '{sex}', '13 days', "$alike OR $neighbours", in_both_trees() ],
        [ 'with 12 days', '{sex}', '12 days', "$alike OR $neighbours",
            in_both_trees('abs(danish.born - british.born) <= 12') ],
        [ 'on the same day', '{sex}', '0 days', "$alike OR $neighbours", in_both_trees('danish.born = british.born') ],
        [ 'by sound alone', '{sex}', '13 days', $alike,
            in_both_trees(q{british.name NOT IN ('Maria Feodorovna', 'Charles of Denmark')}) ],
        [ 'by birthplace alone', '{sex}', '13 days', $neighbours,
            in_both_trees('who_is_who.place(danish_place.name) = british_place.name') ],
        [ 'by sex and birthday alone', '{sex}', '13 days', 'true',
            in_both_trees() . " UNION ALL
                VALUES ('Jelena Vladimirovna af Rusland', 'Margaret of Connaught'),
                       ('Anastasia Mikhajlovna af Rusland', 'Louise Margaret of Prussia')" ],
    );
    my $united = "SELECT source_fact ->> 'name', destination_fact ->> 'name'
                  FROM factmerge_preview('danish', 'british', 1000)
                  WHERE fact_table = 'person' AND source_fact IS NOT NULL AND destination_fact IS NOT NULL";
    my @before = contents($db, 'british');

    for my $declaration (@declarations) {
        my ($title, $key, $days, $condition, $expected) = @$declaration;
        $db->rows("SELECT factmerge_set_sameness('british.person', key => '$key', condition => '$condition',
                       tolerance => jsonb_build_object('born', '$days'))");
        same_facts($db, "SELECT DISTINCT * FROM ($united) AS pair", $expected, "persons who are one, $title");
    }
    $db->rows("SELECT factmerge_unset_sameness('british.person')");
    same_facts($db, "SELECT DISTINCT * FROM ($united) AS pair",
        in_both_trees('(danish.name, danish.born) = (british.name, british.born)'),
        'persons who are one, with nothing declared');
    is_deeply([ contents($db, 'british') ], \@before, 'factmerge_preview() has written nothing');
    return;
}

# How many rows each table of a schema has, and where its sequences stand.
sub contents {
    my ($db, $schema) = @_;
    return (
        map({ "$_ " . $db->value("SELECT count(*) FROM $schema.$_") } @tables),
        $db->rows("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = '$schema' ORDER BY 1")
    );
}

# With nothing declared, who is spelled or dated differently becomes two persons.
sub check_undeclared {
    my $db = ExampleDatabase->new('royals');
    load_all($db);
    my $expected = $db->value('SELECT count(*) FROM danish.person JOIN british.person USING (name, born)');

    $db->rows('CREATE EXTENSION factmerge');
    $db->rows("SELECT factmerge_merge('danish', 'british')");
    is($db->value("SELECT in_both FROM factmerge_report() WHERE fact_table = 'person'"),
        $expected, 'with nothing declared, persons are the same by name and birthday');
    is($db->value('SELECT count(*) FROM (SELECT FROM british.person GROUP BY who_is_who.person(name)
                                         HAVING count(*) = 2) AS twice'),
        48 - $expected, 'and everybody else is there twice');
    is( join(', ', $db->rows(
                "SELECT parent.name FROM british.parentage
                 JOIN british.person AS kid ON kid.person_id = parentage.child
                 JOIN british.person AS parent ON parent.person_id = parentage.parent
                 WHERE kid.name = 'George V' ORDER BY parent.name COLLATE \"C\"")),
        'Alexandra af Danmark, Alexandra of Denmark, Edward VII',
        'so that George V has two mothers'
    );
    is($db->value("SELECT count(*) FROM british.ancestor AS fact
                   WHERE ${\person('british', 'descendant')} = 'Frederik X af Danmark'
                     AND ${\person('british', 'ancestor')} = 'Victoria'"),
        0, 'and Frederik X does not descend from Victoria');
    is(join("\n", $db->rows("SELECT * FROM factmerge_verify('british')")), '', 'yet nothing is left to derive');
    $db->drop;
    return;
}

# Merges one tree into the other and checks everything that can be known.
sub check_merge {
    my ($db, $source, $destination) = @_;
    my $title = "$source into $destination";
    my %counts = map { $_ => $db->value("SELECT count(*) FROM $destination.$_") } @tables;

    install_and_declare($db, $destination);
    $db->rows("CREATE TABLE public.expected_$_ AS ${\implied_by_both_only($_)}") for @tables;
    $db->rows("CREATE TABLE public.expected_conflict AS ${\expected_conflicts($source, $destination)}");
    $db->rows("CREATE TABLE public.expected_pair AS ${\in_both_trees()}");
    $db->rows("CREATE TABLE public.before AS SELECT person_id, name, sex, born, birthplace FROM $destination.person");
    $db->rows("CREATE TABLE public.source_before AS SELECT * FROM $source.ancestor");
    $db->rows("CREATE TABLE public.preview AS SELECT fact_table, outcome, facts
               FROM factmerge_preview('$source', '$destination', 0)");

    my %rehearsed = totals($db, "factmerge_merge('$source', '$destination', dry_run => true)");
    is($db->value('SELECT count(*) FROM factmerge.merge'), 0, "$title: a dry run leaves no history");
    is($db->value("SELECT count(*) FROM $destination.$_"), $counts{$_}, "$title: a dry run leaves $_ alone") for @tables;
    is($db->value("SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                   WHERE relnamespace = '$destination'::regnamespace AND attname LIKE 'factmerge%'"),
        0, "$title: a dry run leaves no columns");
    check_replay_inexact($db, $title, $source, $destination, \%rehearsed);

    my %totals = totals($db, "factmerge_merge('$source', '$destination')");
    for my $count (grep { !/merge_id|elapsed/ } sort keys %totals) {
        is($rehearsed{$count}, $totals{$count}, "$title: the dry run foretold $count");
    }

    for my $table (@tables) {
        same_facts($db, natural($table, $destination), natural($table, 'whole'),
            "$title: $table is what both histories in one database give");
        same_facts($db, natural($table, $destination) . " WHERE factmerge_provenance = 'derived'",
            "TABLE public.expected_$table", "$title: derived in $table is what neither tree had");
    }
    is($db->value(too_many_or_few_parents($destination)), 0, "$title: who has a parent has two");
    check_pairs($db, $title, $source, $destination);
    check_totals($db, $title, $source, $destination, \%totals);
    check_preview($db, $title);
    check_conflicts($db, $title, $source, $destination);

    same_facts($db, "SELECT before.* FROM public.before JOIN $destination.person USING (person_id, name, sex, born)
                     WHERE before.birthplace IS NOT DISTINCT FROM person.birthplace",
        'TABLE public.before', "$title: the destination's own persons are untouched");
    same_facts($db, "TABLE $source.ancestor", 'TABLE public.source_before', "$title: so is the source");
    is(join("\n", $db->rows("SELECT * FROM factmerge_verify('$destination')")), '', "$title: nothing is left to derive");
    check_ancestors($db, $title, $destination);
    check_second_merge($db, $title, $source, $destination);
    return;
}

# Who has become one, by the keys that the merge has kept, is who is one.
sub check_pairs {
    my ($db, $title, $source, $destination) = @_;
    same_facts(
        $db,
        "SELECT danish.name, british.name
         FROM $destination.person AS kept
         CROSS JOIN LATERAL factmerge_origin('$destination.person', kept.person_id) AS origin
         JOIN $source.person AS met ON met.person_id = (origin.source_key ->> 'person_id')::bigint
         JOIN danish.person AS danish
             ON danish.person_id = ${\($destination eq 'danish' ? 'kept' : 'met')}.person_id
         JOIN british.person AS british
             ON british.person_id = ${\($destination eq 'british' ? 'kept' : 'met')}.person_id
         WHERE kept.factmerge_provenance = 'both'",
        'TABLE public.expected_pair',
        "$title: those have become one who are one, and nobody else"
    );
    return;
}

# The triggers look at no column that may differ between two facts that are the
# same, so that there is no need to replay what has been matched inexactly.
sub check_replay_inexact {
    my ($db, $title, $source, $destination, $with) = @_;
    my $merge = "factmerge_merge('$source', '$destination', dry_run => true)";
    my ($derived, $replayed) = split /\|/, $db->value("SET factmerge.replay_inexact = off;
                                                       SELECT derived, replayed FROM $merge");

    is($derived, $with->{derived}, "$title: without factmerge.replay_inexact, as much is derived");
    cmp_ok($replayed, '<', $with->{replayed}, "$title: and less is replayed");
    return;
}

sub check_totals {
    my ($db, $title, $source, $destination, $totals) = @_;
    my $facts = join ' + ', map {"(SELECT count(*) FROM $source.$_)"} @tables;
    my $derived = join ' + ',
        map {"(SELECT count(*) FROM $destination.$_ WHERE factmerge_provenance = 'derived')"} @tables;

    is($totals->{fact_tables}, scalar @tables, "$title: six fact tables");
    is($totals->{source_facts}, $db->value("SELECT $facts"), "$title: source_facts counts the source");
    is($totals->{in_both} + $totals->{copied}, $totals->{source_facts}, "$title: a fact is in both or copied");
    is($totals->{conflicts}, $db->value('SELECT count(*) FROM factmerge_conflicts()'),
        "$title: conflicts counts what is listed");
    is($totals->{derived}, $db->value("SELECT $derived"), "$title: derived counts what is tagged derived");
    is($totals->{events},
        $totals->{skipped_categorically} + $totals->{skipped_in_both} + $totals->{skipped_friends_in_both}
            + $totals->{skipped_one_sided} + $totals->{unhandled} + $totals->{replayed},
        "$title: an event is skipped, unhandled or replayed");
    cmp_ok($totals->{replayed}, '<', $totals->{events}, "$title: not every event is replayed");
    cmp_ok($totals->{replayed}, '>', 0, "$title: but some are");
    return;
}

# The preview, taken beforehand, said what the merge did.
sub check_preview {
    my ($db, $title) = @_;
    same_facts(
        $db,
        'TABLE public.preview',
        "SELECT fact_table, outcome, facts
         FROM factmerge_report() AS report
         CROSS JOIN LATERAL (
             VALUES ('in both', in_both),
                    ('copied', copied),
                    ('conflict', (SELECT count(DISTINCT key) FROM factmerge_conflicts() AS conflict
                                  JOIN pg_class ON pg_class.oid = conflict.fact_table
                                  WHERE relname = report.fact_table))
         ) AS done (outcome, facts)",
        "$title: the preview foretold what is in both, copied and in conflict"
    );
    return;
}

# Where the trees disagree about what is in both, with names for numbers.
sub expected_conflicts {
    my ($source, $destination) = @_;
    my %place = map { $_ => "(SELECT who_is_who.place(name) FROM $_.place WHERE place_id = $_.birthplace)" }
        $source, $destination;
    return "
        SELECT 'place' AS fact_table, $destination.name AS fact, 'name' AS column_name,
               $source.name AS source_value, $destination.name AS destination_value
        FROM $source.place AS $source
        JOIN $destination.place AS $destination
            ON who_is_who.place($source.name) = who_is_who.place($destination.name)
        WHERE $source.name <> $destination.name
        UNION ALL
        SELECT 'person', $destination.name, differing.*
        FROM $source.person AS $source
        JOIN $destination.person AS $destination
            ON who_is_who.person($source.name) = who_is_who.person($destination.name)
        CROSS JOIN LATERAL (
            VALUES ('name', $source.name, $destination.name),
                   ('born', $source.born::text, $destination.born::text),
                   ('birthplace', $place{$source}, $place{$destination})
        ) AS differing (column_name, source_value, destination_value)
        WHERE source_value IS DISTINCT FROM destination_value
        UNION ALL
        SELECT 'marriage', destination_husband.name || ' and ' || destination_wife.name, 'married',
               $source.married::text, $destination.married::text
        FROM $source.marriage AS $source
        JOIN $source.person AS husband ON husband.person_id = $source.husband
        JOIN $source.person AS wife ON wife.person_id = $source.wife
        JOIN $destination.person AS destination_husband
            ON who_is_who.person(destination_husband.name) = who_is_who.person(husband.name)
        JOIN $destination.person AS destination_wife
            ON who_is_who.person(destination_wife.name) = who_is_who.person(wife.name)
        JOIN $destination.marriage AS $destination
            ON ($destination.husband, $destination.wife)
             = (destination_husband.person_id, destination_wife.person_id)
        WHERE $source.married <> $destination.married";
}

sub check_conflicts {
    my ($db, $title, $source, $destination) = @_;
    my %birthplace = (british => 'Athens', danish => 'Tatoi');
    my %wedding = (british => '1903-10-06', danish => '1903-10-07');
    my %andrew = (british => 'Andrew of Greece', danish => 'Andreas af Grækenland');
    my $place = "(SELECT who_is_who.place(name) FROM $destination.place WHERE place_id = %s::bigint)";
    my $listed = "
        SELECT relname::text AS fact_table,
               coalesce(place.name, person.name, husband.name || ' and ' || wife.name) AS fact,
               column_name::text,
               CASE column_name WHEN 'birthplace' THEN ${\sprintf $place, 'source_value'}
                                ELSE source_value END AS source_value,
               CASE column_name WHEN 'birthplace' THEN ${\sprintf $place, 'destination_value'}
                                ELSE destination_value END AS destination_value
        FROM factmerge_conflicts() AS conflict
        JOIN pg_class ON pg_class.oid = conflict.fact_table
        LEFT JOIN $destination.place
            ON relname = 'place' AND place.place_id = (conflict.key ->> 'place_id')::bigint
        LEFT JOIN $destination.person
            ON relname = 'person' AND person.person_id = (conflict.key ->> 'person_id')::bigint
        LEFT JOIN $destination.marriage
            ON relname = 'marriage' AND marriage.marriage_id = (conflict.key ->> 'marriage_id')::bigint
        LEFT JOIN $destination.person AS husband ON husband.person_id = marriage.husband
        LEFT JOIN $destination.person AS wife ON wife.person_id = marriage.wife";

    same_facts($db, $listed, 'TABLE public.expected_conflict', "$title: conflicts are where the trees disagree");
    is( join(', ', $db->rows("SELECT column_name, source_value, destination_value FROM ($listed) AS listed
                              WHERE fact LIKE '$andrew{$destination}%' AND column_name IN ('birthplace', 'married')
                              ORDER BY column_name")),
        "birthplace|$birthplace{$source}|$birthplace{$destination}, "
            . "married|$wedding{$source}|$wedding{$destination}",
        "$title: Andrew's birthplace and wedding are in conflict, not only his name and birthday"
    );
    is($db->value("SELECT who_is_who.place(place.name) FROM $destination.person
                   JOIN $destination.place ON place.place_id = person.birthplace
                   WHERE person.name = '$andrew{$destination}'"),
        $birthplace{$destination}, "$title: the destination's birthplace stays");
    is($db->value("SELECT married FROM $destination.marriage
                   WHERE husband = (SELECT person_id FROM $destination.person WHERE name = '$andrew{$destination}')"),
        $wedding{$destination}, "$title: so does its wedding");
    return;
}

# Kinships that are well known, and that neither tree could tell alone.
sub check_ancestors {
    my ($db, $title, $schema) = @_;
    my @known = (
        [ 'Charles III', 'Christian IX af Danmark', '4,5', 'through Philip, and through Elizabeth II' ],
        [ 'Charles III', 'Nikolaj I af Rusland', '5', 'through Philip, Andrew, Olga and Constantine' ],
        [ 'Frederik X af Danmark', 'Victoria', '5', 'through Margrethe, Ingrid, Margaret and Arthur' ],
        [ 'Harald V af Norge', 'Victoria', '4', 'through Olav, Maud and Edward VII' ],
        [ 'Felipe VI af Spanien', 'Victoria', '5,6', 'through Juan Carlos, and through Sophia twice' ],
        [ 'Carl XVI Gustaf of Sweden', 'Wilhelm af Glücksborg', '5', 'through Sibylla and Victoria Adelaide' ],
        [ 'Christian IX af Danmark', 'George II', '4', 'through his mother, on both of her sides' ],
        [ 'Mary of Teck', 'Frederick II of Hesse-Kassel', '4', 'through Mary Adelaide, Augusta and Frederick' ],
        [ 'Edward of Kent', 'Christian IX af Danmark', '4', 'through Marina as well as through George V' ],
        [ 'Margareta af Rumænien', 'Victoria', '5', 'through Michael, Carol, Marie and Alfred; or through Helen and Sophia' ],
    );
    for my $case (@known) {
        my ($descendant, $ancestor, $generations, $path) = @$case;
        is($db->value(
                "SELECT string_agg(generations::text, ',' ORDER BY generations)
                 FROM $schema.ancestor AS fact
                 WHERE ${\person($schema, 'descendant')} = '$descendant'
                   AND ${\person($schema, 'ancestor')} = '$ancestor'
                   AND factmerge_provenance = 'derived'"),
            $generations, "$title: $descendant descends from $ancestor ($path)");
    }
    my @siblings = $db->rows(
        "SELECT other.name FROM $schema.sibling AS fact
         JOIN $schema.person AS other ON other.person_id = fact.sibling
         WHERE ${\person($schema, 'person')} = 'Philip of Edinburgh'
           AND fact.factmerge_provenance = 'derived'
         ORDER BY other.born"
    );
    is_deeply(
        \@siblings,
        [ map {"$_ af Grækenland"} qw(Margarita Theodora Cecilie Sophie) ],
        "$title: Philip has found his four sisters"
    );
    return;
}

sub check_second_merge {
    my ($db, $title, $source, $destination) = @_;
    my %again = totals($db, "factmerge_merge('$source', '$destination')");
    is($again{in_both}, $again{source_facts}, "$title, again: every fact is in both");
    is($again{$_}, 0, "$title, again: $_ is 0") for qw(copied derived);
    same_facts($db, natural($_, $destination), natural($_, 'whole'), "$title, again: $_ is the same") for @tables;
    return;
}

# The counter-test: friends one foreign key away are not enough.  Two facts from
# different trees meet only in a person whom both know, two keys away, so that
# nothing would be replayed, but for what has been matched inexactly;
# factmerge_verify() then names what is missing.
sub check_one_step {
    my $db = ExampleDatabase->new('royals');
    load_all($db);
    my $implied = join ' + ', map {"(SELECT count(*) FROM (${\implied_by_both_only($_)}) AS fact)"} @tables;
    my $expected = $db->value("SELECT $implied");

    install_and_declare($db, 'british');
    is($db->value("SET factmerge.friend_hops = 1;
                   SET factmerge.replay_inexact = off;
                   SELECT derived FROM factmerge_merge('danish', 'british')"),
        0, 'with friends one step away, nothing is derived');
    is($db->value("SELECT count(*) FROM factmerge_verify('british')"),
        $expected, 'and factmerge_verify() finds all that is missing');
    $db->drop;
    return;
}

for my $direction ([qw(danish british)], [qw(british danish)]) {
    my $db = ExampleDatabase->new('royals');
    load_all($db);
    if ($direction->[0] eq 'danish') {
        check_trees($db);
        check_calendars($db);
        check_order_of_arrival($db);
    }
    check_merge($db, @$direction);
    $db->drop;
}

my $db = ExampleDatabase->new('royals');
load_all($db);
install_and_declare($db, 'british');
check_declaration($db);
$db->drop;

check_undeclared();
check_one_step();

done_testing();
