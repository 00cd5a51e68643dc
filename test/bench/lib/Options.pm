# Options: what the command line of the benchmark says.
package Options;

use strict;
use warnings;
use Exporter qw(import);
use Getopt::Long qw(GetOptions);

our @EXPORT_OK = qw(read_options repetitions %option);

our %option;

my $usage = <<'END';
usage: test/bench/run [option ...]

  --sizes 10k,100k,1m                  edges a side, or facts
  --families redundant,clique,mixed,tolerance,maintain,again
                                       what the two sides share; or exact and
                                       inexact matching; or ordinary work; or
                                       merging again
  --handlers statement,row,rule        factmerge with which handlers; none for none
  --baselines handwritten,floor        what to compare with; none for nothing
  --repetitions N                      of each contestant; the median counts
                                       (default: 3 below 1m, else 1)
  --work-mem 4MB                       for every contestant

It makes and drops databases of its own, called factmerge_bench_...
END

sub read_options {
    my %given = (
        sizes => '10k,100k,1m', families => 'redundant,clique,mixed,tolerance,maintain,again',
        handlers => 'statement,row,rule',
        baselines => 'handwritten,floor', 'work-mem' => '4MB',
    );

    GetOptions(\%given, qw(sizes=s families=s handlers=s baselines=s work-mem=s repetitions=i help))
        && !@ARGV or exit_with_usage();
    if ($given{help}) {
        print $usage;
        exit 0;
    }
    exit_with_usage() if defined $given{repetitions} && $given{repetitions} < 1;
    %option = (
        %given,
        sizes     => [ map { edges_of($_) } split /,/, $given{sizes} ],
        families  => [ words($given{families}, qw(redundant clique mixed tolerance maintain again)) ],
        handlers  => [ words($given{handlers}, qw(statement row rule)) ],
        baselines => [ words($given{baselines}, qw(handwritten floor)) ],
    );
    return;
}

sub exit_with_usage {
    print STDERR $usage;
    exit 2;
}

# The words of a list, each of which has to be a known one, in the order known
sub words {
    my ($list, @known) = @_;

    return if $list eq 'none';
    for my $word (split /,/, $list) {
        grep { $_ eq $word } @known or exit_with_usage();
    }
    return grep { my $word = $_; grep { $_ eq $word } split /,/, $list } @known;
}

sub edges_of {
    my ($size) = @_;

    my ($number, $unit) = $size =~ /^(\d+)([km]?)$/i or exit_with_usage();
    return $number * ({ '' => 1, k => 1_000, m => 1_000_000 }->{ lc $unit });
}

sub repetitions {
    my ($size) = @_;

    return $option{repetitions} // ($size < 1_000_000 ? 3 : 1);
}

1;
