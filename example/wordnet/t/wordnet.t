#!/usr/bin/perl
#
# wordnet.t - merges two overlapping halves of WordNet's nouns and compares the
# result with the transitive closure of the whole.
#
# Run by prove, with a superuser's PG* environment variables set; needs Debian's
# package wordnet-base:
#
#     prove example/wordnet/t/wordnet.t
#
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use Test::More;
use ExampleDatabase;

my $here = "$FindBin::Bin/..";
my @tables = qw(synset hypernym kind_of);

# The facts of a table, or of a query in its place, by WordNet's own offsets.
sub natural {
    my ($table, $schema, $from) = @_;
    $from //= "$schema.$table";
    return "SELECT wordnet_offset, words FROM $from AS fact" if $table eq 'synset';
    return "SELECT lower.wordnet_offset AS narrower, upper.wordnet_offset AS broader
            FROM $from AS fact
            JOIN $schema.synset AS lower ON lower.synset_id = fact.narrower
            JOIN $schema.synset AS upper ON upper.synset_id = fact.broader";
}

# The transitive closure of a dictionary's hypernyms, computed without any trigger.
sub closure {
    my ($schema) = @_;
    return "(WITH RECURSIVE closure AS (
                 SELECT narrower, broader FROM $schema.hypernym
                 UNION
                 SELECT closure.narrower, hypernym.broader
                 FROM closure
                 JOIN $schema.hypernym ON hypernym.narrower = closure.broader
             )
             TABLE closure)";
}

# Passes if two queries give the same rows, each as often.
sub same_facts {
    my ($db, $got, $expected, $title) = @_;
    my ($more, $less) = split /\|/, $db->value(
        "WITH got AS MATERIALIZED ($got), expected AS MATERIALIZED ($expected)
         SELECT (SELECT count(*) FROM (TABLE got EXCEPT ALL TABLE expected) AS more),
                (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE got) AS less)"
    );
    is("$more too many, $less missing", '0 too many, 0 missing', $title);
    return;
}

sub load {
    my ($db, $part) = @_;
    $db->run_file("$here/schema.sql", schema => $part);
    $db->run_output_of($^X, "$here/load.pl", $part, $part);
    return;
}

# The halves overlap, neither is the whole, together they are; each is closed.
sub check_halves {
    my ($db) = @_;
    my ($first, $second, $whole) = map { natural('hypernym', $_) } qw(first second whole);

    for my $what (
        [ "$first INTERSECT $second", 'hypernyms in both halves' ],
        [ "$first EXCEPT $second",    'hypernyms in the first half only' ],
        [ "$second EXCEPT $first",    'hypernyms in the second half only' ]
        )
    {
        my ($query, $title) = @$what;
        cmp_ok($db->value("SELECT count(*) FROM ($query) AS fact"), '>', 20_000, "more than 20,000 $title");
    }
    same_facts($db, "($first) UNION ($second)", $whole, 'the halves make up the whole');
    same_facts($db, natural('kind_of', $_), natural('kind_of', $_, closure($_)), "$_: kind_of is the closure")
        for qw(first second whole);
    return;
}

# The triggers derive the same, whatever comes last: here everything above and
# below the carnivores arrives one row at a time, in an order without meaning.
sub check_order_of_arrival {
    my ($db) = @_;
    $db->run_file("$here/schema.sql", schema => 'shuffled');
    $db->rows(<<'SQL');
        INSERT INTO shuffled.synset (wordnet_offset, words)
        SELECT wordnet_offset, words
        FROM whole.synset
        WHERE synset_id IN (
            SELECT narrower FROM whole.kind_of JOIN whole.synset ON synset_id = broader WHERE words = 'carnivore'
            UNION ALL
            SELECT broader FROM whole.kind_of JOIN whole.synset ON synset_id = narrower WHERE words = 'carnivore'
            UNION ALL
            SELECT synset_id FROM whole.synset WHERE words = 'carnivore');
        DO $$
        DECLARE
            fact record;
        BEGIN
            FOR fact IN
                SELECT lower.synset_id AS narrower, upper.synset_id AS broader
                FROM whole.hypernym
                JOIN whole.synset AS whole_lower ON whole_lower.synset_id = hypernym.narrower
                JOIN whole.synset AS whole_upper ON whole_upper.synset_id = hypernym.broader
                JOIN shuffled.synset AS lower ON lower.wordnet_offset = whole_lower.wordnet_offset
                JOIN shuffled.synset AS upper ON upper.wordnet_offset = whole_upper.wordnet_offset
                ORDER BY md5(lower.words || upper.words)
            LOOP
                INSERT INTO shuffled.hypernym (narrower, broader) VALUES (fact.narrower, fact.broader);
            END LOOP;
        END
        $$
SQL
    cmp_ok($db->value('SELECT count(*) FROM shuffled.hypernym'), '>', 200, 'more than 200 hypernyms about carnivores');
    same_facts($db, natural('kind_of', 'shuffled'), natural('kind_of', 'shuffled', closure('shuffled')),
        'kind_of does not depend on the order of arrival');
    return;
}

# One row of a function as a hash.
sub totals {
    my ($db, $call) = @_;
    return map { split /\|/, $_, 2 }
        $db->rows("SELECT key, value FROM $call AS totals CROSS JOIN jsonb_each_text(to_jsonb(totals))");
}

sub check_merge {
    my ($db) = @_;
    my $source_facts = $db->value('SELECT ' . join ' + ', map {"(SELECT count(*) FROM second.$_)"} @tables);
    my $in_both = $db->value('SELECT ' . join ' + ',
        map { "(SELECT count(*) FROM (${\natural($_, 'first')} INTERSECT ${\natural($_, 'second')}) AS fact)" } @tables);
    my ($first, $second, $whole) = map { natural('kind_of', $_) } qw(first second whole);
    $db->rows("CREATE TABLE public.implied_by_both_only AS ($whole EXCEPT $first) EXCEPT $second");

    $db->rows('CREATE EXTENSION factmerge');
    my %totals = totals($db, q{factmerge_merge('second', 'first')});
    note("$_: $totals{$_}") for sort keys %totals;

    same_facts($db, natural($_, 'first'), natural($_, 'whole'), "$_ of the merged halves is that of the whole")
        for @tables;
    same_facts($db, natural('kind_of', 'first', closure('first')), natural('kind_of', 'first'),
        'kind_of of the merged halves is closed');
    same_facts($db, natural('kind_of', 'first', q{(SELECT * FROM first.kind_of WHERE factmerge_provenance = 'derived')}),
        'TABLE public.implied_by_both_only', 'derived is what neither half had');

    is($totals{source_facts}, $source_facts, 'source_facts counts the second half');
    is($totals{in_both}, $in_both, 'in_both counts what both halves have');
    is($totals{copied}, $source_facts - $in_both, 'the rest was copied');
    is($totals{conflicts}, 0, 'the halves agree about every word');
    is($totals{derived}, $db->value('SELECT count(*) FROM public.implied_by_both_only'),
        'derived counts what neither half had');
    is($totals{events},
        $totals{skipped_categorically} + $totals{skipped_in_both} + $totals{skipped_friends_in_both}
            + $totals{skipped_one_sided} + $totals{unhandled} + $totals{replayed},
        'an event is skipped, unhandled or replayed');
    is($totals{unhandled}, $db->value('SELECT count(*) FROM second.synset'), 'synsets set nothing off');
    cmp_ok($totals{skipped_in_both}, '>', 0, 'what is in both was not replayed');
    return;
}

my $db = ExampleDatabase->new('wordnet');
load($db, $_) for qw(first second whole);
check_halves($db);
check_order_of_arrival($db);
check_merge($db);
$db->drop;

done_testing();
