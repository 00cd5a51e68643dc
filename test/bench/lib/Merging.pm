# Merging: contestants that merge the same two schemas, in three families of data.
#
# A contestant starts from a checkpoint and from tables read once; its time is
# that of its transaction, commit included, seen from the client.  What it left
# behind is compared, by names and with the tags, to what must come out.
package Merging;

use strict;
use warnings;
use Exporter qw(import);
use Figures qw(note);
use List::Util qw(max);
use Machine qw(watch_memory processor_seconds);
use Options qw(%option repetitions);
use POSIX ();
use Server qw(connect_to create_database close_to_others fresh_backend in_transaction fill sql_of
    $template $floor_template $working_copy);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(compete generate compare_totals %label);

# Parameters of generate.sql.  Bridges are for so many edges each.
my %family = (
    redundant => { shared => '0.96', outward => '0.5', lone => '0.02', community => 50 },
    clique    => { shared => '0.0', outward => '0.0', lone => '0.0', community => 100, edges_a_bridge => 5000 },
    mixed     => { shared => '0.51', outward => '0.5', lone => '0.02', community => 50 },
);
my $points_an_edge = 0.37;

our %label = (
    statement   => 'factmerge, statement-level handler',
    row         => 'factmerge, row-level handler',
    rule        => 'factmerge, rule',
    handwritten => 'hand-written SQL',
    floor       => 'floor: bare insertion',
);

# Runs the contestants in turns, every other time backwards.  The hand-written
# SQL is before the floor at first, for the rows that it adds are the floor's.
sub compete {
    my ($family, $size) = @_;

    note("$family, $size edges: generating");
    generate($family, $size);
    my %result = (family => $family, size => $size, expected => expected_facts());
    my @contestants = (@{ $option{baselines} }, @{ $option{handlers} });
    my $floor_needed = grep { $_ eq 'floor' } @contestants;

    if ($floor_needed && $contestants[0] ne 'handwritten') {
        run_once('handwritten');
        prepare_floor();
        $floor_needed = 0;
    }

    for my $repetition (1 .. repetitions($size)) {
        for my $contestant ($repetition % 2 ? @contestants : reverse @contestants) {
            note("$family, $size edges, repetition $repetition: $label{$contestant}");
            push @{ $result{runs}{$contestant} }, run_once($contestant);
            if ($floor_needed) {
                prepare_floor();
                $floor_needed = 0;
            }
        }
    }
    return \%result;
}

sub generate {
    my ($family, $size) = @_;
    my %parameter = (%{ $family{$family} }, edges => $size);

    $parameter{points} = POSIX::ceil($size * $points_an_edge);
    $parameter{bridges} = $parameter{edges_a_bridge} ? max(1, int($size / $parameter{edges_a_bridge})) : 0;
    create_database($template, 'template0');
    my $db = connect_to($template);
    fill($db, 'generate.sql', %parameter);
    $db->disconnect;
    close_to_others($template);
    return;
}

# {fact table}{tag} => facts, as the merged schema must have them
sub expected_facts {
    my %facts;

    # A template that nobody may connect to: ask a copy
    create_database($working_copy, $template);
    my $db = connect_to($working_copy);
    for my $row (@{ $db->selectall_arrayref('SELECT fact_table, known_to, facts FROM world.expected') }) {
        $facts{ $row->[0] }{ $row->[1] } = $row->[2];
    }
    $db->disconnect;
    return \%facts;
}

# One contestant, once, in a fresh copy
sub run_once {
    my ($contestant) = @_;
    my %run;

    create_database($working_copy, $contestant eq 'floor' ? $floor_template : $template);
    my $db = connect_to($working_copy);
    set_up($contestant, $db);
    $db->disconnect;

    $db = fresh_backend();
    my $memory_watch = watch_memory($db);
    my $busy = processor_seconds($db);
    my $start = time;
    run_contestant($contestant, $db, \%run);
    $run{seconds} = time - $start;
    $run{processor} = processor_seconds($db) - $busy;
    $run{memory} = $memory_watch->();
    $run{report} = $db->selectall_arrayref('SELECT * FROM factmerge_report()', { Slice => {} })
        if $run{totals};

    if ($contestant eq 'floor') {
        check_row_counts($db);
    }
    else {
        check_facts($contestant, $db);
        check_totals($contestant, $db, $run{totals}) if $run{totals};
    }
    $db->disconnect;
    return \%run;
}

sub set_up {
    my ($contestant, $db) = @_;

    $db->do('CREATE EXTENSION factmerge') if $contestant =~ /^(?:statement|row|rule)$/;
    # Who has a trigger for what it derives has it in both databases
    my $handler = $contestant =~ /^(?:row|rule)$/ ? $contestant : 'statement';
    for my $schema (qw(src dst)) {
        $db->do(sql_of("handler-$handler.sql", schema => $schema));
    }
    return;
}

sub run_contestant {
    my ($contestant, $db, $run) = @_;

    if ($contestant eq 'handwritten') {
        run_steps($db, $run, 'handwritten.sql');
    }
    elsif ($contestant eq 'floor') {
        in_transaction($db, sub { $db->do(sql_of('floor.sql')) });
    }
    else {
        $run->{totals} = $db->selectrow_hashref(q{SELECT * FROM factmerge_merge('src', 'dst')});
    }
    return;
}

# Runs a script step by step, and keeps the seconds of each
sub run_steps {
    my ($db, $run, $file) = @_;
    my (undef, @parts) = split /^-- step: (.*)\n/m, sql_of($file);

    in_transaction($db, sub {
        while (my ($step, $sql) = splice @parts, 0, 2) {
            my $start = time;
            $db->do($sql);
            push @{ $run->{steps} }, [ $step, time - $start ];
        }
    });
    return;
}

# Gives the floor the rows that the hand-written SQL has just added, in its order
sub prepare_floor {
    my @tables = qw(point edge path);

    create_database($floor_template, $template);
    my $from = connect_to($working_copy);
    my $to = connect_to($floor_template);
    $to->do(sql_of('floor-setup.sql'));
    for my $table (@tables) {
        copy_rows($from, "SELECT * FROM dst.$table WHERE factmerge_provenance IN ('source', 'derived') ORDER BY id",
                  $to, "ready.$table");
    }
    $to->do('VACUUM (ANALYZE)');
    $_->disconnect for $from, $to;
    close_to_others($floor_template);
    return;
}

sub copy_rows {
    my ($from, $query, $to, $table) = @_;
    my $line;

    $from->do("COPY ($query) TO STDOUT");
    $to->do("COPY $table FROM STDIN");
    while ($from->pg_getcopydata($line) >= 0) {
        $to->pg_putcopydata($line);
    }
    $to->pg_putcopyend;
    return;
}

sub check_facts {
    my ($contestant, $db) = @_;

    $db->do("SET work_mem = '64MB'");
    my $differences = $db->selectall_arrayref('SELECT * FROM world.differences() ORDER BY 1, 2');
    return unless @$differences;
    print "\nWRONG: $label{$contestant} did not arrive at the facts that it should have.\n";
    printf "%-8s %-12s %12s expected %12s found\n", map { $_ // '-' } @$_ for @$differences;
    exit 1;
}

# What a merge says it did is what it did
sub check_totals {
    my ($contestant, $db, $totals) = @_;

    compare_totals($label{$contestant}, $totals, $db->selectcol_arrayref(
        'SELECT known_to, sum(facts) FROM world.expected GROUP BY known_to', { Columns => [ 1, 2 ] }));
    return;
}

sub compare_totals {
    my ($title, $totals, $facts_by_tag) = @_;
    my %expected = @$facts_by_tag;
    my %tag = (in_both => 'both', copied => 'source', derived => 'derived');

    for my $total (sort keys %tag) {
        my $facts = $expected{ $tag{$total} } // 0;
        next if $totals->{$total} == $facts;
        print "\nWRONG: $title reports $total = $totals->{$total} instead of $facts.\n";
        exit 1;
    }
    return;
}

sub check_row_counts {
    my ($db) = @_;

    for my $table (qw(point edge path)) {
        my ($expected) = $db->selectrow_array(
            'SELECT sum(facts) FROM world.expected WHERE fact_table = ?', undef, $table);
        my ($found) = $db->selectrow_array("SELECT count(*) FROM dst.$table");
        next if $found == $expected;
        print "\nWRONG: the floor left $found facts in table $table, not $expected.\n";
        exit 1;
    }
    return;
}

1;
