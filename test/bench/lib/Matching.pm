# Matching: matching facts within a tolerance, beside matching the same facts exactly.
#
# The time is what factmerge_report() says of matching alone.  Numbers are to be matched
# within a tolerance in at most five times the time; times, and text at the smaller
# sizes, are there for information.
package Matching;

use strict;
use warnings;
use Exporter qw(import);
use Figures qw(note median_run seconds all_seconds ratio megabytes with_commas print_row);
use Machine qw(watch_memory);
use Merging qw(compare_totals);
use Options qw(repetitions);
use Server qw(connect_to create_database close_to_others is_available fresh_backend fill $template $working_copy);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(compete_in_matching print_markdown_of_matching);

# What is matched within a tolerance: the type and the value at a place p for
# tolerance.sql, and the tolerance that unites what is up to 9 places off.  What
# similar texts have in common is common, so that they take longest by far.
my @tolerances = (
    { title => 'bigint within 10', number => 1, type => 'bigint', value => 'p', tolerance => '10' },
    { title => 'double precision within 1', number => 1, type => 'double precision', value => 'p / 10.0',
        tolerance => '1' },
    { title => 'numeric within 1', number => 1, type => 'numeric', value => 'p / 10.0', tolerance => '1' },
    { title => 'date within 2 days', type => 'date', value => q{date '4000-01-01 BC' + (p / 5)::integer},
        tolerance => '"2 days"', twins => 'false' },
    { title => 'timestamptz within 10 seconds', type => 'timestamptz',
        value => q{timestamptz '2000-01-01 00:00:00+00' + p * interval '1 second'}, tolerance => '"10 seconds"' },
    { title => 'text within 2 edits', type => 'text', value => 'world.name(p)',
        tolerance => '{"edit_distance": 2}', twins => 'false', up_to => 100_000 },
    { title => 'text of similarity 0.6', type => 'text', value => 'world.name(p)',
        tolerance => '{"similarity": 0.6}', twins => 'false', up_to => 10_000, needs => 'pg_trgm' },
);
# What numbers are allowed, and from how many facts on: below, starting up counts
my $greatest_ratio = 5;
my $least_facts = 100_000;

my @matchings;

# For each tolerance, exact matching and that within the tolerance in turns,
# every other time the other way round
sub compete_in_matching {
    my ($size) = @_;
    my @matched;

    for my $tolerance (@tolerances) {
        next if $size > ($tolerance->{up_to} // $size);
        if ($tolerance->{needs} && !is_available($tolerance->{needs})) {
            note("extension $tolerance->{needs} is not installed: no $tolerance->{title}");
            next;
        }
        note("tolerance, $size facts, $tolerance->{title}: generating");
        my %matching = (tolerance => $tolerance, size => $size);

        generate_matching($tolerance, $size);
        for my $repetition (1 .. repetitions($size)) {
            for my $source ($repetition % 2 ? qw(exact near) : qw(near exact)) {
                note("tolerance, $size facts, repetition $repetition: "
                     . ($source eq 'exact' ? "$tolerance->{type}, exactly" : $tolerance->{title}));
                push @{ $matching{runs}{$source} }, match_once($tolerance, $source);
            }
        }
        print_matching_head($size) if !@matched;
        push @matched, \%matching;
        print_matching(\%matching);
    }
    push @matchings, @matched;
    print_verdict(@matched) if $size >= $least_facts;
    return;
}

sub generate_matching {
    my ($tolerance, $size) = @_;

    create_database($template, 'template0');
    my $db = connect_to($template);
    fill($db, 'tolerance.sql', facts => $size, twins => 'true', map { ($_ => $tolerance->{$_}) }
        grep { defined $tolerance->{$_} } qw(type value twins));
    $db->do("CREATE EXTENSION $tolerance->{needs}") if $tolerance->{needs};
    $db->disconnect;
    close_to_others($template);
    return;
}

# One merge, of what is to be matched exactly or nearly, in a fresh copy
sub match_once {
    my ($tolerance, $source) = @_;
    my %run;

    create_database($working_copy, $template);
    my $db = connect_to($working_copy);
    $db->do('CREATE EXTENSION factmerge');
    $db->do(q{SELECT factmerge_set_sameness('dst.fact', tolerance => ?)}, undef,
            qq({"value": $tolerance->{tolerance}})) if $source eq 'near';
    $db->disconnect;

    $db = fresh_backend();
    my $memory_watch = watch_memory($db);
    my $start = time;
    $run{totals} = $db->selectrow_hashref('SELECT * FROM factmerge_merge(?, ?)', undef, $source, 'dst');
    $run{merging} = time - $start;
    $run{memory} = $memory_watch->();
    $run{seconds} = $db->selectrow_array('SELECT sum(match_ms) / 1000 FROM factmerge_report()');

    check_matching($tolerance, $source, $db, $run{totals});
    $db->disconnect;
    return \%run;
}

sub check_matching {
    my ($tolerance, $source, $db, $totals) = @_;
    my $title = "$tolerance->{title} (source $source)";

    my $differences = $db->selectall_arrayref('SELECT * FROM world.differences(?) ORDER BY 1', undef, $source);
    if (@$differences) {
        print "\nWRONG: $title did not match the facts that it should have.\n";
        printf "%-12s %12s expected %12s found\n", map { $_ // '-' } @$_ for @$differences;
        exit 1;
    }
    compare_totals($title, $totals, $db->selectcol_arrayref(
        'SELECT known_to, facts FROM world.expected WHERE source = ?', { Columns => [ 1, 2 ] }, $source));
    return;
}

sub print_matching_head {
    my ($size) = @_;

    printf "\ntolerance: %s facts a side; %.1f %% of the source's are in both\n", with_commas($size), 100 / 3;
    printf "  %-32s %32s   %30s   %10s\n", '', 'matching (s)', 'merging (s)', 'private MB';
    printf "  %-32s %10s %10s %10s   %10s %10s %8s   %10s\n", '', (qw(exact tolerance ratio)) x 2, 'tolerance';
    return;
}

# How matching compares for one tolerance
sub print_matching {
    my ($matching) = @_;
    my ($exact, $near) = map { median_run($matching, $_) } qw(exact near);

    printf "  %-32s %10.2f %10.2f %10s   %10.2f %10.2f %8s   %10s%s\n", $matching->{tolerance}{title},
        $exact->{seconds}, $near->{seconds}, matching_ratio($matching),
        $exact->{merging}, $near->{merging}, ratio($near->{merging}, $exact->{merging}),
        megabytes($near->{memory}{private}), all_seconds($matching, 'near');
    return;
}

sub matching_ratio {
    my ($matching) = @_;

    return ratio(map { seconds($matching, $_) } qw(near exact));
}

# Whether numbers keep to the limit, and which one is the slowest
sub print_verdict {
    my ($slowest) = sort { matching_ratio($b) <=> matching_ratio($a) } grep { $_->{tolerance}{number} } @_;
    my $ratio = matching_ratio($slowest);

    printf "  %s: numbers are matched within a tolerance in %s times the time of exact matching at most"
         . " (%s); the target is %d\n", $ratio <= $greatest_ratio ? 'PASS' : 'FAIL', $ratio,
        $slowest->{tolerance}{type}, $greatest_ratio;
    return;
}

sub print_markdown_of_matching {
    return unless @matchings;
    print "\n";
    print_row('matching', 'facts a side', 'exact (s)', 'within the tolerance (s)', 'ratio');
    print_row('---', ('--:') x 4);
    for my $matching (@matchings) {
        print_row(
            $matching->{tolerance}{title}, with_commas($matching->{size}),
            map({ sprintf '%.2f', seconds($matching, $_) } qw(exact near)), matching_ratio($matching));
    }
    return;
}

1;
