#!/usr/bin/perl
#
# royals.t - merges the British and the Danish tree, both ways, and compares the
# result with one database that was fed with both histories from the start.
#
# Run by prove, with a superuser's PG* environment variables set:
#
#     prove example/royals/t/royals.t
#
# All comparisons go by names and dates, never by numbers: the same person has
# different ones in different schemas.
#
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use Test::More;
use ExampleDatabase;

my $here = "$FindBin::Bin/..";

my @tables = qw(person marriage parentage sibling ancestor);

# The columns of a table that say what a fact is, whatever its number.
my %natural_key = (
    person    => [qw(name born)],
    marriage  => [qw(husband wife)],
    parentage => [qw(child parent)],
    sibling   => [qw(person sibling)],
    ancestor  => [qw(descendant ancestor generations)],
);

# The facts of a table, or of a query in its place, with names for numbers.
sub natural {
    my ($table, $schema, $from) = @_;
    $from //= "$schema.$table";
    my @columns = map { /name|born|generations/ ? $_ : person($schema, $_) . " AS $_" } @{ $natural_key{$table} };
    return 'SELECT ' . join(', ', @columns) . " FROM $from AS fact";
}

sub person {
    my ($schema, $column) = @_;
    return "(SELECT concat(name, ', born ', born) FROM $schema.person WHERE person_id = fact.$column)";
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

# Before any merge: the trees are what they are said to be, and their triggers
# derive what recomputing derives.
sub check_trees {
    my ($db) = @_;

    for my $tree (qw(british danish)) {
        cmp_ok($db->value("SELECT count(*) FROM $tree.person"), '>=', 60, "$tree: at least 60 persons");
        cmp_ok($db->value("SELECT count(*) FROM $tree.marriage"), '>=', 40, "$tree: at least 40 marriages");
    }
    cmp_ok($db->value('SELECT count(*) FROM british.person JOIN danish.person USING (name, born)'),
        '>=', 36, 'three dozen persons are in both');
    cmp_ok($db->value('SELECT count(*) FROM british.person AS one JOIN danish.person AS other USING (name, born)
                       WHERE one.person_id <> other.person_id'),
        '>=', 36, 'and are numbered differently');
    is($db->value('SELECT count(*) - count(DISTINCT name) FROM whole.person'), 0, 'a name is one person in both trees');
    is($db->value('SELECT count(*) FROM whole.parentage JOIN whole.person AS kid ON kid.person_id = child
                   JOIN whole.person AS parent ON parent.person_id = parentage.parent
                   WHERE age(kid.born, parent.born) NOT BETWEEN interval \'15 years\' AND interval \'65 years\''),
        0, 'parents are older than their children, but not by more than 65 years');
    is($db->value('SELECT count(*) FROM (SELECT FROM whole.parentage GROUP BY child HAVING count(*) <> 2) AS odd'),
        0, 'who has a parent has two, in both trees together');

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

# The triggers derive the same, whatever comes last: here parentage arrives one
# row at a time, in an order that follows no line of descent.
sub check_order_of_arrival {
    my ($db) = @_;
    load($db, 'shuffled');
    $db->rows(<<'SQL');
        INSERT INTO shuffled.person (name, born) SELECT name, born FROM whole.person;
        DO $$
        DECLARE
            fact record;
        BEGIN
            FOR fact IN
                SELECT kid.person_id AS child, parent.person_id AS parent
                FROM whole.parentage
                JOIN whole.person AS whole_kid ON whole_kid.person_id = parentage.child
                JOIN whole.person AS whole_parent ON whole_parent.person_id = parentage.parent
                JOIN shuffled.person AS kid ON (kid.name, kid.born) = (whole_kid.name, whole_kid.born)
                JOIN shuffled.person AS parent ON (parent.name, parent.born) = (whole_parent.name, whole_parent.born)
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

# Merges one tree into the other and checks everything that can be known.
sub check_merge {
    my ($db, $source, $destination) = @_;
    my $title = "$source into $destination";
    my %counts = map { $_ => $db->value("SELECT count(*) FROM $destination.$_") } @tables;

    $db->rows('CREATE EXTENSION factmerge');
    $db->rows("CREATE TABLE public.expected_$_ AS ${\implied_by_both_only($_)}") for @tables;
    $db->rows("CREATE TABLE public.before AS SELECT person_id, name, born, birthplace FROM $destination.person");
    $db->rows("CREATE TABLE public.source_before AS SELECT * FROM $source.ancestor");

    my %rehearsed = totals($db, "factmerge_merge('$source', '$destination', dry_run => true)");
    is($db->value('SELECT count(*) FROM factmerge.merge'), 0, "$title: a dry run leaves no history");
    is($db->value("SELECT count(*) FROM $destination.$_"), $counts{$_}, "$title: a dry run leaves $_ alone") for @tables;
    is($db->value("SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                   WHERE relnamespace = '$destination'::regnamespace AND attname LIKE 'factmerge%'"),
        0, "$title: a dry run leaves no columns");

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
    check_totals($db, $title, $source, $destination, \%totals);
    check_conflicts($db, $title, $source, $destination);

    same_facts($db, "SELECT before.* FROM public.before JOIN $destination.person USING (person_id, name, born)
                     WHERE before.birthplace IS NOT DISTINCT FROM person.birthplace",
        'TABLE public.before', "$title: the destination's own persons are untouched");
    same_facts($db, "TABLE $source.ancestor", 'TABLE public.source_before', "$title: so is the source");
    is(join("\n", $db->rows("SELECT * FROM factmerge_verify('$destination')")), '', "$title: nothing is left to derive");
    check_ancestors($db, $title, $destination);
    check_second_merge($db, $title, $source, $destination);
    return;
}

sub check_totals {
    my ($db, $title, $source, $destination, $totals) = @_;
    my $facts = join ' + ', map {"(SELECT count(*) FROM $source.$_)"} @tables;
    my $derived = join ' + ',
        map {"(SELECT count(*) FROM $destination.$_ WHERE factmerge_provenance = 'derived')"} @tables;

    is($totals->{fact_tables}, scalar @tables, "$title: five fact tables");
    is($totals->{source_facts}, $db->value("SELECT $facts"), "$title: source_facts counts the source");
    is($totals->{in_both} + $totals->{copied}, $totals->{source_facts}, "$title: a fact is in both or copied");
    is($totals->{derived}, $db->value("SELECT $derived"), "$title: derived counts what is tagged derived");
    is($totals->{events},
        $totals->{skipped_categorically} + $totals->{skipped_in_both} + $totals->{skipped_friends_in_both}
            + $totals->{skipped_one_sided} + $totals->{unhandled} + $totals->{replayed},
        "$title: an event is skipped, unhandled or replayed");
    cmp_ok($totals->{replayed}, '<', $totals->{events}, "$title: not every event is replayed");
    cmp_ok($totals->{replayed}, '>', 0, "$title: but some are");
    return;
}

# The two trees differ in two columns of facts that they share.
sub check_conflicts {
    my ($db, $title, $source, $destination) = @_;
    my %birthplace = (british => 'Athens', danish => 'Tatoi');
    my %wedding = (british => '1903-10-06', danish => '1903-10-07');

    is_deeply(
        [   $db->rows(
                'SELECT fact_table, column_name, source_value, destination_value
                 FROM factmerge_conflicts() ORDER BY column_name'
            )
        ],
        [   "$destination.person|birthplace|$birthplace{$source}|$birthplace{$destination}",
            "$destination.marriage|married|$wedding{$source}|$wedding{$destination}"
        ],
        "$title: Andrew's birthplace and wedding are in conflict, and nothing else"
    );
    is($db->value("SELECT birthplace FROM $destination.person WHERE name = 'Andrew of Greece'"),
        $birthplace{$destination}, "$title: the destination's birthplace stays");
    is($db->value("SELECT married FROM $destination.marriage
                   WHERE husband = (SELECT person_id FROM $destination.person WHERE name = 'Andrew of Greece')"),
        $wedding{$destination}, "$title: so does its wedding");
    return;
}

# Kinships that are well known, and that neither tree could tell alone.
sub check_ancestors {
    my ($db, $title, $schema) = @_;
    my @known = (
        [ 'Charles III', 'Christian IX of Denmark', '4,5', 'through Philip, and through Elizabeth II' ],
        [ 'Charles III', 'Nicholas I of Russia', '5', 'through Philip, Andrew, Olga and Constantine' ],
        [ 'Frederik X of Denmark', 'Victoria', '5', 'through Margrethe, Ingrid, Margaret and Arthur' ],
        [ 'Harald V of Norway', 'Victoria', '4', 'through Olav, Maud and Edward VII' ],
        [ 'Felipe VI of Spain', 'Victoria', '5,6', 'through Juan Carlos, and through Sophia twice' ],
        [ 'Carl XVI Gustaf of Sweden', 'Wilhelm of Glücksburg', '5', 'through Sibylla and Victoria Adelaide' ],
        [ 'Christian IX of Denmark', 'George II', '4', 'through his mother, on both of her sides' ],
        [ 'Mary of Teck', 'Frederick II of Hesse-Kassel', '4', 'through Mary Adelaide, Augusta and Frederick' ],
        [ 'Edward of Kent', 'Christian IX of Denmark', '4', 'through Marina as well as through George V' ],
        [ 'Margareta of Romania', 'Victoria', '5', 'through Michael, Carol, Marie and Alfred; or through Helen and Sophia' ],
    );
    for my $case (@known) {
        my ($descendant, $ancestor, $generations, $path) = @$case;
        is($db->value(
                "SELECT string_agg(generations::text, ',' ORDER BY generations)
                 FROM $schema.ancestor AS fact
                 WHERE ${\person($schema, 'descendant')} LIKE '$descendant, born %'
                   AND ${\person($schema, 'ancestor')} LIKE '$ancestor, born %'
                   AND factmerge_provenance = 'derived'"),
            $generations, "$title: $descendant descends from $ancestor ($path)");
    }
    my @siblings = $db->rows(
        "SELECT other.name FROM $schema.sibling AS fact
         JOIN $schema.person AS other ON other.person_id = fact.sibling
         WHERE ${\person($schema, 'person')} LIKE 'Philip of Edinburgh, born %'
           AND fact.factmerge_provenance = 'derived'
         ORDER BY other.born"
    );
    is_deeply(
        \@siblings,
        [ map {"$_ of Greece"} qw(Margarita Theodora Cecilie Sophie) ],
        "$title: Philip has found his four sisters"
    );
    return;
}

sub check_second_merge {
    my ($db, $title, $source, $destination) = @_;
    my %again = totals($db, "factmerge_merge('$source', '$destination')");
    is($again{in_both}, $again{source_facts}, "$title, again: every fact is in both");
    is($again{$_}, 0, "$title, again: $_ is 0") for qw(copied replayed derived);
    same_facts($db, natural($_, $destination), natural($_, 'whole'), "$title, again: $_ is the same") for @tables;
    return;
}

# The counter-test: friends one foreign key away are not enough.  Two facts from
# different trees meet only in a person whom both know, two keys away, so that
# nothing would be replayed; factmerge_verify() then names what is missing.
sub check_one_step {
    my $db = ExampleDatabase->new('royals');
    load($db, $_, $_) for qw(british danish);
    load($db, 'whole', 'british', 'danish');
    my $implied = join ' + ', map {"(SELECT count(*) FROM (${\implied_by_both_only($_)}) AS fact)"} @tables;
    my $expected = $db->value("SELECT $implied");

    $db->rows('CREATE EXTENSION factmerge');
    is($db->value("SET factmerge.friend_hops = 1;
                   SELECT derived FROM factmerge_merge('danish', 'british')"),
        0, 'with friends one step away, nothing is derived');
    is($db->value("SELECT count(*) FROM factmerge_verify('british')"),
        $expected, 'and factmerge_verify() finds all that is missing');
    $db->drop;
    return;
}

for my $direction ([qw(danish british)], [qw(british danish)]) {
    my $db = ExampleDatabase->new('royals');
    load($db, 'british', 'british');
    load($db, 'danish', 'danish');
    load($db, 'whole', 'british', 'danish');
    if ($direction->[0] eq 'danish') {
        check_trees($db);
        check_order_of_arrival($db);
    }
    check_merge($db, @$direction);
    $db->drop;
}
check_one_step();

done_testing();
