#!/usr/bin/perl
#
# tap.pl NAME TALLY COMMAND [ARGUMENT ...]
#
# Runs a command that prints TAP, says in one line under NAME how it went, and
# writes "PASSED FAILED" to the file TALLY.  Of the command's output it shows what
# is not routine; with VERBOSE=1, all of it.
#
# Tests that were planned and never came are failures.  So is, as one, anything
# else that goes wrong where no test failed: a crash, an exit status, a plan that
# doesn't fit, or a file that skips all its tests.

use strict;
use warnings;
use TAP::Parser;

my ($name, $tally, @command) = @ARGV;
die "usage: tap.pl NAME TALLY COMMAND [ARGUMENT ...]\n" unless @command;

$| = 1;
my $parser = TAP::Parser->new({ exec => \@command });
show_output($parser);
my ($passed, $failed, @wrong) = judge($parser);

my $verdict = $failed ? "FAILED ($failed of " . ($passed + $failed) . ')' : "ok ($passed)";
print join('; ', "$name: $verdict", @wrong), "\n";

open(my $file, '>', $tally) or die "$tally: $!\n";
print $file "$passed $failed\n";
close($file) or die "$tally: $!\n";

# Reads all output, and prints all but the plan and the tests that went well
sub show_output {
    my ($parser) = @_;

    while (my $line = $parser->next) {
        my $routine = $line->is_plan || $line->is_test && $line->is_ok && !$line->has_skip;
        print $line->as_string, "\n" if $ENV{VERBOSE} || !$routine && $line->as_string =~ /\S/;
    }
}

# What it comes to: passed, failed, and remarks on what else went wrong
sub judge {
    my ($parser) = @_;
    my $passed  = () = $parser->passed;
    my $failed  = () = $parser->failed;
    my $missing = ($parser->tests_planned // 0) - $parser->tests_run;
    my @wrong;

    if ($missing > 0) {
        $failed += $missing;
        push @wrong, "$missing of " . $parser->tests_planned . ' never ran';
    }
    push @wrong, 'skipped altogether: ' . $parser->skip_all if $parser->skip_all;
    push @wrong, 'no test ran' if !$parser->tests_run && !$parser->skip_all;
    push @wrong, 'killed by signal ' . ($parser->wait & 127) if $parser->wait & 127;
    push @wrong, 'exit status ' . $parser->exit if $parser->exit;
    push @wrong, $parser->parse_errors;

    $failed = 1 if @wrong && !$failed;
    return ($passed, $failed, @wrong);
}
