# MergingReport: what the contestants of Merging took, for people and for the README.
package MergingReport;

use strict;
use warnings;
use Exporter qw(import);
use Figures qw(median_run seconds all_seconds ratio megabytes with_commas for_each print_row);
use List::Util qw(max sum0);
use Merging qw(%label);
use Options qw(%option);

our @EXPORT_OK = qw(print_result print_markdown);

# What replaying by rule may take of replaying everything
my %greatest_replay = (mixed => 0.25, clique => 0.05);

my @results;

sub print_result {
    my ($result) = @_;
    my @here = qw(source both);

    push @results, $result;
    printf "\n%s: %s edges, %s points, %s paths a side; %.1f %% of the source's facts are in both\n",
        $result->{family},
        (map { with_commas(count_facts($result, \@here, $_)) } qw(edge point path)),
        100 * count_facts($result, ['both']) / count_facts($result, \@here);
    printf "  %-36s %9s %15s %8s %8s %10s %15s %8s %12s %10s\n", '',
        'seconds', '/ hand-written', '/ floor', 'growth',
        'processor', '/ hand-written', '/ floor', 'private MB', 'VmHWM MB';
    print_contestant($result, $_) for @{ $option{handlers} }, @{ $option{baselines} };
    print_stages($result, $_) for @{ $option{handlers} };
    print_steps($result);
    print_replay($result);
    return;
}

# The facts of one side, over all tables or in one, with any of the tags
sub count_facts {
    my ($result, $tags, @tables) = @_;
    my $expected = $result->{expected};

    @tables = keys %$expected unless @tables;
    return sum0(map { my $table = $_; map { $expected->{$table}{$_} // 0 } @$tags } @tables);
}

sub print_contestant {
    my ($result, $contestant) = @_;
    my $run = median_run($result, $contestant);

    printf "  %-36s %9.2f %15s %8s %8s %10.2f %15s %8s %12s %10s%s\n", $label{$contestant},
        ratios($result, $run, 'seconds'), growth($result, $contestant),
        ratios($result, $run, 'processor'),
        megabytes($run->{memory}{private}), megabytes($run->{memory}{high_water}),
        all_seconds($result, $contestant);
    return;
}

# A measure of a run, and what it is of the same one of the baselines
sub ratios {
    my ($result, $run, $measure) = @_;
    my @baselines = map { median_run($result, $_) } qw(handwritten floor);

    return ($run->{$measure}, map { ratio($run->{$measure}, $_ && $_->{$measure}) } @baselines);
}

# Time at this size, to the time of the next smaller size grown in proportion
sub growth {
    my ($result, $contestant) = @_;
    my ($smaller) = sort { $b->{size} <=> $a->{size} }
        grep { $_->{family} eq $result->{family} && $_->{size} < $result->{size} } @results;
    my $before = seconds($smaller, $contestant) or return '-';

    return ratio(seconds($result, $contestant), $before * $result->{size} / $smaller->{size});
}

sub print_stages {
    my ($result, $contestant) = @_;
    my $run = median_run($result, $contestant);
    my $totals = $run->{totals};

    printf "  %s: %s of %s events replayed (%.1f %%), %s facts derived\n", $label{$contestant},
        with_commas($totals->{replayed}), with_commas($totals->{events}),
        100 * $totals->{replayed} / max(1, $totals->{events}), with_commas($totals->{derived});
    printf "    %-10s %10s %10s %10s %10s %10s\n", 'ms', qw(match dump mark friends replay);
    for my $row (@{ $run->{report} }) {
        printf "    %-10s %10.0f %10.0f %10.0f %10.0f %10.0f\n",
            @$row{qw(fact_table match_ms dump_ms mark_ms friends_ms replay_ms)};
    }
    return;
}

sub print_steps {
    my ($result) = @_;
    my $run = median_run($result, 'handwritten') or return;

    printf "  %s, ms: %s\n", $label{handwritten},
        join ', ', map { sprintf '%s %.0f', $_->[0], 1000 * $_->[1] } @{ $run->{steps} };
    return;
}

# What replaying by rule takes of replaying everything
sub print_replay {
    my ($result) = @_;
    my ($by_rule, $by_hand) = map { median_run($result, $_) } qw(rule handwritten);
    return unless $by_rule && $by_hand;
    my $rule = sum0(map { ($_->{friends_ms} + $_->{replay_ms}) / 1000 } @{ $by_rule->{report} });
    my ($everything) = map { $_->[1] } grep { $_->[0] eq 'replay' } @{ $by_hand->{steps} };
    my $greatest = $greatest_replay{ $result->{family} };

    printf "  %sreplaying by rule took %.2f s, replaying everything %.2f s: %s of it%s\n",
        !defined $greatest || $result->{size} < 1_000_000 ? '' : $rule / $everything <= $greatest ? 'PASS: ' : 'FAIL: ',
        $rule, $everything, ratio($rule, $everything), defined $greatest ? "; the target at a million is $greatest" : '';
    return;
}

# The table for the README.  Where factmerge has several figures in one column,
# they are in the order of its handlers.
sub print_markdown {
    return unless @results;
    my @contestants = (@{ $option{handlers} }, @{ $option{baselines} });

    print "\n";
    print_row('family', 'edges a side', map({ "$_ (s)" } @contestants), '/ hand-written', '/ floor', 'growth',
              'private memory (MB)', 'events', 'replayed', 'derived');
    print_row('---', ('--:') x (8 + @contestants));
    for my $result (sort { $a->{family} cmp $b->{family} || $a->{size} <=> $b->{size} } @results) {
        print_markdown_row($result, @contestants);
    }
    print <<'END';

Growth is the time, divided by that of the next smaller size grown in proportion to the edges. Private
memory is the highest RssAnon of the backend, read every 50 ms.
END
    return;
}

sub print_markdown_row {
    my ($result, @contestants) = @_;
    my @handlers = @{ $option{handlers} };
    my $totals = @handlers ? median_run($result, $handlers[0])->{totals} : {};

    print_row(
        $result->{family}, with_commas($result->{size}),
        map({ sprintf '%.2f', seconds($result, $_) } @contestants),
        for_each(\@handlers, sub { ratio(seconds($result, $_[0]), seconds($result, 'handwritten')) }),
        for_each(\@handlers, sub { ratio(seconds($result, $_[0]), seconds($result, 'floor')) }),
        for_each(\@handlers, sub { growth($result, $_[0]) }),
        for_each(\@handlers, sub { megabytes(median_run($result, $_[0])->{memory}{private}) }),
        map({ defined ? with_commas($_) : '-' } @$totals{qw(events replayed)}),
        with_commas(count_facts($result, ['derived'])));
    return;
}

1;
