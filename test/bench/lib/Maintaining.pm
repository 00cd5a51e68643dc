# Maintaining: ordinary bulk INSERTs where a rule derives what follows, beside inserting
# the same facts, and then just those that follow, without a rule (maintain.sql).
package Maintaining;

use strict;
use warnings;
use Exporter qw(import);
use Figures qw(note ratio with_commas);
use Merging qw(generate);
use Options qw(repetitions);
use Server qw(connect_to create_database close_to_others allow_connections fresh_backend in_transaction sql_of
    $template $working_copy);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(compete_in_maintaining);

# What maintaining a rule may take of inserting what it derives
my $greatest_maintenance = 2;

# With a rule and without, in turns
sub compete_in_maintaining {
    my ($size) = @_;
    my %seconds;

    note("maintain, $size edges: generating");
    generate('mixed', $size);
    allow_connections($template);
    my $db = connect_to($template);
    $db->do($_) for split /;\n/, sql_of('maintain.sql');
    $db->disconnect;
    close_to_others($template);
    for my $repetition (1 .. repetitions($size)) {
        for my $how ($repetition % 2 ? qw(rule bare) : qw(bare rule)) {
            note("maintain, $size edges, repetition $repetition: $how");
            push @{ $seconds{$how} }, maintain_once($how);
        }
    }
    my ($rule, $bare) = map { my @sorted = sort { $a <=> $b } @{ $seconds{$_} }; $sorted[ @sorted / 2 ] } qw(rule bare);
    printf "\nmaintain: %s edges inserted at once, half as many as there are then\n", with_commas(int($size / 2));
    printf "  %s: with a rule %.2f s, the same facts inserted without %.2f s, ratio %s; the target is %s\n",
        $rule / $bare <= $greatest_maintenance ? 'PASS' : 'FAIL', $rule, $bare, ratio($rule, $bare), $greatest_maintenance;
    return;
}

sub maintain_once {
    my ($how) = @_;

    create_database($working_copy, $template);
    my $db = connect_to($working_copy);
    if ($how eq 'rule') {
        $db->do('CREATE EXTENSION factmerge');
        $db->do(sql_of('handler-rule.sql', schema => 'm'));
    }
    $db->disconnect;
    $db = fresh_backend();
    my $start = time;
    in_transaction($db, sub {
        $db->do('INSERT INTO m.edge (a, b) SELECT a, b FROM m.edges_to_come');
        $db->do('INSERT INTO m.path (a, c) SELECT a, c FROM m.paths_to_come') if $how eq 'bare';
    });
    my $seconds = time - $start;
    my ($wrong) = $db->selectrow_array('SELECT count(*) FROM (SELECT a, c FROM m.path EXCEPT SELECT a, c FROM dst.path) AS x');
    my ($missing) = $db->selectrow_array('SELECT count(*) FROM (SELECT a, c FROM dst.path EXCEPT SELECT a, c FROM m.path) AS x');
    if ($wrong || $missing) {
        print "\nWRONG: $missing paths are missing, $wrong too many.\n";
        exit 1;
    }
    $db->disconnect;
    return $seconds;
}

1;
