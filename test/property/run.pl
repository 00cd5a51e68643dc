#!/usr/bin/perl
#
# Property tests: random schemas and facts, merged, and held against the laws of
# a merge and against an oracle, which is to saturate the union of both sides from
# nothing.  Prints TAP, a test for each seed; what failed is said under it.
#
#   perl test/property/run.pl                              200 seeds, and that they have teeth
#   perl test/property/run.pl --seeds 1000 --first 201     other seeds
#   perl test/property/run.pl --seeds 1 --first 17 --verbose    one seed, with its schema
#
#   --seeds N          how many seeds
#   --first S          the first of them
#   --hops H           factmerge.friend_hops; with fewer than two steps, facts are missed
#   --verbose          show each seed's schema, its rules and what its merges did
#   --keep             leave the schemas of each seed behind
#   --expect-missing   the teeth: with too few steps, some of the seeds must miss facts
#   --self-check       without the extension: check the sides and the oracle only
#
# The server is found by PGHOST, PGPORT, PGUSER and PGDATABASE.  A seed decides
# everything that is drawn, so that --first SEED --seeds 1 shows a failure again.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Getopt::Long;
use Database ();
use Seed     ();
use Show     ();

my $DEFAULT_SEEDS = 200;
my $SEEDS_WITH_TEETH = 20;

my %options = (first => 1);
GetOptions(\%options, qw(seeds=i first=i hops=i verbose keep expect-missing self-check))
    or die "usage: run.pl [--seeds N] [--first S] [--hops H] [--verbose] [--keep] [--expect-missing] [--self-check]\n";

my $everything = !grep { exists $options{$_} } qw(hops expect-missing self-check);
my $seeds = $options{seeds} // ($options{'expect-missing'} ? $SEEDS_WITH_TEETH : $DEFAULT_SEEDS);
my $teeth = $options{'expect-missing'} || $everything && $seeds >= $SEEDS_WITH_TEETH;
my $SEEDS_PER_CONNECTION = 10;
my $number = 0;
my %sum;

$| = 1;
binmode STDOUT, ':encoding(UTF-8)';
my $database = Database->connect;
$database->install_extension unless $options{'self-check'};
print '1..', ($options{'expect-missing'} ? 0 : $seeds) + ($teeth ? 1 : 0), "\n";
test_seed($_) for $options{'expect-missing'} ? () : $options{first} .. $options{first} + $seeds - 1;
test_teeth($options{'expect-missing'} ? $seeds : $SEEDS_WITH_TEETH) if $teeth;
print '# altogether: ', join(', ', map { "$sum{$_} $_" } sort keys %sum), "\n" if %sum;
exit 0;

sub test_seed {
    my ($which) = @_;
    my $hops = $options{hops} // 2;
    $database->reconnect unless $number % $SEEDS_PER_CONNECTION;
    $database->do("SET factmerge.friend_hops = $hops") unless $options{'self-check'};
    my $seed = new_seed($which, $hops);
    my @complaints = $options{'self-check'} ? $seed->run_self_check : $seed->run;

    result(!@complaints, "seed $which", @complaints);
    $sum{$_} += $seed->{counts}{$_} for keys %{ $seed->{counts} };
    print map { "# $_\n" } Show::described($seed) if $options{verbose};
}

# With one step, friends are too few: the laws must notice on some seed, or else they would notice nothing
sub test_teeth {
    my ($how_many) = @_;
    my $hops = $options{hops} // 1;
    my ($missing, @complaints) = (0);
    $database->do("SET factmerge.friend_hops = $hops");
    for my $which ($options{first} .. $options{first} + $how_many - 1) {
        my $seed = new_seed($which, $hops);
        $missing++ if $seed->count_missing;
        push @complaints, map { "seed $which, $_" } @{ $seed->{complaints} };
    }
    result($missing && !@complaints, "with friend_hops = $hops, $missing of $how_many seeds miss facts", @complaints);
}

sub new_seed {
    my ($which, $hops) = @_;
    return Seed->new(seed => $which, database => $database, hops => $hops, keep => $options{keep});
}

sub result {
    my ($ok, $what, @complaints) = @_;
    $number++;
    print $ok ? '' : 'not ', "ok $number - $what\n", map { "#   $_\n" } @complaints;
}
