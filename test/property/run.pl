#!/usr/bin/perl
#
# Property tests: random schemas and facts, merged, and held against the laws of
# a merge and against an oracle: for facts that are the same if they are equal, that
# is to saturate the union of both sides from nothing; where sameness is declared, to
# compare each fact of one side with each of the other; where rules are, to apply them
# naively; where unique keys are of all kinds, or none, to count what is equal.  Prints TAP, a test for each seed; what failed is said under it.
#
#   perl test/property/run.pl                              180 seeds, and that they have teeth
#   perl test/property/run.pl --seeds 1000 --first 201     other seeds
#   perl test/property/run.pl --seeds 1 --first 17 --verbose    one seed, with its schema
#
#   --seeds N          how many seeds
#   --first S          the first of them
#   --exact            all seeds with keys that say what is the same,
#   --near             with declared samenesses,
#   --datalog          with rules,
#   --keys             with several keys, keys with nulls, or facts that nothing tells apart,
#   --truth            with columns and triggers that only the destination has,
#   --blind            or with handlers that compare values
#   --hops H           factmerge.friend_hops; with fewer than two steps, facts are missed
#   --verbose          show each seed's schema, its rules and what its merges did
#   --keep             leave the schemas of each seed behind
#   --expect-missing   the teeth alone: with less looked at again, some of the seeds must miss facts
#   --self-check       without the extension: check the sides and the oracle only
#
# The server is found by PGHOST, PGPORT, PGUSER and PGDATABASE.  A seed decides
# everything that is drawn, so that --first SEED --seeds 1 shows a failure again
# (with the kind, if one was given).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Getopt::Long;
use Database ();
use Seed     ();

my $DEFAULT_SEEDS = 180;
my $DEFAULT_HOPS = 2;
my $MOST_SEEDS_WITH_TEETH = 100;
my $BITES = 2;
my $SEEDS_PER_CONNECTION = 10;

# What makes seeds of either kind miss facts
my %TEETH = (exact => { hops => 1, setting => 'factmerge.friend_hops = 1' },
    near => { hops => $DEFAULT_HOPS, setting => 'factmerge.replay_inexact = off' },
    datalog => { hops => $DEFAULT_HOPS, setting => 'factmerge.friend_hops = 0', as => 'a rule of the destination dropped' });

my %options = (first => 1);
GetOptions(\%options, qw(seeds=i first=i hops=i exact near datalog keys truth blind verbose keep expect-missing self-check))
    or die "usage: run.pl [--seeds N] [--first S] [--exact | --near | --datalog | --keys | --truth | --blind] [--hops H] [--verbose] [--keep]"
    . " [--expect-missing] [--self-check]\n";

my @all_kinds = qw(exact near datalog keys truth blind);
my @chosen = grep { $options{$_} } @all_kinds;
my @kinds = @chosen ? @chosen : @all_kinds;
my $only_teeth = $options{'expect-missing'};
my $seeds = $only_teeth ? 0 : $options{seeds} // $DEFAULT_SEEDS;
my $everything = !$options{'self-check'} && !defined $options{hops} && $seeds >= $DEFAULT_SEEDS;
my @teeth = $only_teeth || $everything ? grep { $TEETH{$_} } @kinds : ();
my $number = 0;
my %sum;

$| = 1;
binmode STDOUT, ':encoding(UTF-8)';
my $database = Database->connect;
$database->install_extension unless $options{'self-check'};
print '1..', $seeds + @teeth, "\n";
test_seed($_) for $options{first} .. $options{first} + $seeds - 1;
test_teeth($_) for @teeth;
print '# altogether: ', join(', ', map { "$sum{$_} $_" } sort keys %sum), "\n" if %sum;
exit 0;

sub test_seed {
    my ($which) = @_;
    my $hops = $options{hops} // $DEFAULT_HOPS;
    $database->reconnect unless $number % $SEEDS_PER_CONNECTION;
    $database->do("SET factmerge.friend_hops = $hops") unless $options{'self-check'};
    my $seed = new_seed($which, $hops, @kinds);
    my @complaints = $options{'self-check'} ? $seed->run_self_check : $seed->run;

    result(!@complaints, "seed $which", @complaints);
    $sum{$_} += $seed->{counts}{$_} for keys %{ $seed->{counts} };
    print map { "# $_\n" } $seed->described if $options{verbose};
}

# With a setting that makes merges look at less: the laws must notice on some seed, or else they would notice nothing.
# Goes on until some have been found.
sub test_teeth {
    my ($kind) = @_;
    my ($missing, $which, @complaints) = (0, $options{first} - 1);
    $database->reconnect;
    $database->do("SET $TEETH{$kind}{setting}");
    while ($missing < $BITES && $which++ < $options{first} + $MOST_SEEDS_WITH_TEETH) {
        my $seed = new_seed($which, $TEETH{$kind}{hops}, $kind);
        $missing++ if $seed->count_missing;
        push @complaints, map { "seed $which, $_" } @{ $seed->{complaints} };
    }
    my $how_many = $which - $options{first} + 1;
    result($missing == $BITES && !@complaints,
        'with ' . ($TEETH{$kind}{as} // $TEETH{$kind}{setting}) . ", $missing of $how_many $kind seeds miss facts", @complaints);
}

# Of one of some kinds
sub new_seed {
    my ($which, $hops, @kinds) = @_;
    return Seed->new(seed => $which, database => $database, hops => $hops, keep => $options{keep}, kinds => \@kinds);
}

sub result {
    my ($ok, $what, @complaints) = @_;
    $number++;
    print $ok ? '' : 'not ', "ok $number - $what\n", map { "#   $_\n" } @complaints;
}
