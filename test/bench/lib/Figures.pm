# Figures: the figures of runs, and how they are printed.
#
# What has been measured is a hash with the runs of each contestant, {runs}{contestant};
# a run has its {seconds}.
package Figures;

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw(note median_run seconds all_seconds ratio megabytes with_commas for_each print_row);

# Progress goes where it does not mix with the result
sub note {
    my ($text) = @_;

    print STDERR "$text\n";
    return;
}

# The run whose time is the median (of two, the longer)
sub median_run {
    my ($result, $contestant) = @_;
    my @runs = sort { $a->{seconds} <=> $b->{seconds} } @{ $result->{runs}{$contestant} || [] };

    return $runs[ @runs / 2 ];
}

sub seconds {
    my ($result, $contestant) = @_;
    my $run = $result && median_run($result, $contestant);

    return $run && $run->{seconds};
}

sub all_seconds {
    my ($result, $contestant) = @_;
    my @runs = @{ $result->{runs}{$contestant} };

    return '' if @runs == 1;
    return '   of ' . join ' ', map { sprintf '%.2f', $_->{seconds} } @runs;
}

sub ratio {
    my ($one, $other) = @_;

    return defined $one && $other ? sprintf('%.2f', $one / $other) : '-';
}

sub megabytes {
    my ($kilobytes) = @_;

    return defined $kilobytes ? sprintf('%.1f', $kilobytes / 1024) : '-';
}

sub with_commas {
    my ($number) = @_;

    1 while $number =~ s/^(\d+)(\d{3})/$1,$2/;
    return $number;
}

# One figure for each of some contestants, in one column
sub for_each {
    my ($contestants, $figure) = @_;

    return join(', ', map { $figure->($_) } @$contestants) || '-';
}

sub print_row {
    print '| ', join(' | ', @_), " |\n";
    return;
}

1;
