# Again: how long it takes to merge a source once more, with nothing new and with one of
# a hundred facts new (growth.sql), beside its first merge.  In between, all tables are
# vacuumed, as autovacuum does from one night to the next.
package Again;

use strict;
use warnings;
use Exporter qw(import);
use Figures qw(note ratio with_commas);
use Merging qw(generate);
use Options qw(repetitions);
use Server qw(connect_to create_database fresh_backend sql_of $template $working_copy);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(compete_in_merging_again);

# What a repeated merge may take of the first one, at a million
my %greatest = (nothing => 0.05, growth => 0.1);
my %label = (nothing => 'nothing new', growth => 'one fact of a hundred new');

sub compete_in_merging_again {
    my ($size) = @_;
    my %seconds;

    note("again, $size edges: generating");
    generate('mixed', $size);
    for my $repetition (1 .. repetitions($size)) {
        note("again, $size edges, repetition $repetition");
        my %run = merge_again_and_again();
        push @{ $seconds{$_} }, $run{$_} for keys %run;
    }
    my %median = map { my @sorted = sort { $a <=> $b } @{ $seconds{$_} }; $_ => $sorted[ @sorted / 2 ] } keys %seconds;
    printf "\nagain: a first merge of %s edges takes %.2f s\n", with_commas($size), $median{first};
    for my $how (qw(nothing growth)) {
        printf "  %s%s: %.2f s, ratio %s%s\n",
            $size < 1_000_000 ? '' : $median{$how} <= $greatest{$how} * $median{first} ? 'PASS: ' : 'FAIL: ',
            $label{$how}, $median{$how}, ratio($median{$how}, $median{first}), "; the target at a million is $greatest{$how}";
    }
    return;
}

# The seconds of three merges of the same source
sub merge_again_and_again {
    my %seconds;

    create_database($working_copy, $template);
    my $db = connect_to($working_copy);
    $db->do('CREATE EXTENSION factmerge');
    $db->do(sql_of('handler-rule.sql', schema => $_)) for qw(src dst);
    $db->disconnect;
    ($seconds{first}) = timed_merge();
    ($seconds{nothing}, my $totals) = timed_merge();
    complain("$totals->{copied} facts copied and $totals->{derived} derived when nothing was new")
        if $totals->{copied} || $totals->{derived};

    $db = connect_to($working_copy);
    my $before = $totals->{source_facts};
    $db->do(sql_of('growth.sql'));
    $db->disconnect;
    ($seconds{growth}, $totals) = timed_merge();
    note(sprintf 'again: %.2f %% of the facts are new, %d copied, %d derived',
        100 * ($totals->{source_facts} / $before - 1), @$totals{qw(copied derived)});
    check_growth($totals->{source_facts} - $before);
    return %seconds;
}

sub timed_merge {
    my $db = fresh_backend();
    my $start = time;
    my $totals = $db->selectrow_hashref(q{SELECT * FROM factmerge_merge('src', 'dst')});
    my $seconds = time - $start;
    $db->do('VACUUM (ANALYZE)');
    $db->disconnect;
    return ($seconds, $totals);
}

# Every point and edge of the source is there, and every path that follows
sub check_growth {
    my ($new) = @_;
    my $db = connect_to($working_copy);
    $db->do("SET work_mem = '64MB'");
    my ($lost) = $db->selectrow_array(<<'END');
SELECT count(*) FROM src.edge AS e JOIN src.point AS sa ON sa.id = e.a JOIN src.point AS sb ON sb.id = e.b
LEFT JOIN dst.point AS da ON da.name = sa.name LEFT JOIN dst.point AS db ON db.name = sb.name
LEFT JOIN dst.edge AS d ON (d.a, d.b) = (da.id, db.id) WHERE d.id IS NULL
END
    my ($missing) = $db->selectrow_array(<<'END');
SELECT count(*) FROM (SELECT e.a, f.b FROM dst.edge AS e JOIN dst.edge AS f ON f.a = e.b EXCEPT SELECT a, c FROM dst.path) AS x
END
    $db->disconnect;
    complain("$lost edges are lost and $missing paths missing") if $lost || $missing;
    complain('nothing was new') unless $new;
    return;
}

sub complain {
    my ($what) = @_;
    print "\nWRONG: merging again: $what.\n";
    exit 1;
}

1;
