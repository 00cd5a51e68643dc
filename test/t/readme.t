#!/usr/bin/perl
#
# readme.t - whether README.md shows what really happens, and names what there is.
#
# sql/readme.sql runs under pg_regress, so expected/readme.out is what its
# statements print.  This test ties README.md to the two files:
#
#   - every ```sql block is in sql/readme.sql word for word, in the same order,
#   - every ```text block is the whole output of the statement that ends the
#     ```sql block before it, in expected/readme.out.
#
# Trailing blanks, which psql prints and editors remove, do not count, and the
# line "(3 rows)" may be left out.  A block without a language is a drawing, or
# something that cannot be run here.
#
# It also compares the reference part of README.md with the install script and
# the source: functions with their arguments, columns, tables, settings.
#
# It needs no server.
#
use strict;
use warnings;
use FindBin;
use Test::More;

my $top = "$FindBin::Bin/../..";

my $readme   = slurp("$top/README.md");
my $script   = slurp("$top/sql/readme.sql");
my $expected = slurp("$top/expected/readme.out");
my $install  = join '', map { slurp($_) } glob "$top/factmerge--*.sql";
my $settings = slurp("$top/src/factmerge.c");

check_examples();
check_links();
check_reference();
done_testing();

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    my $text = <$file>;
    close $file;
    $text =~ s/[ \t]+$//mg;
    return $text;
}

# The fenced blocks of a page, in order: their line, language and text.
sub blocks {
    my ($page) = @_;
    my @blocks;
    while ($page =~ /^```(\w*)\n(.*?)^```$/gms) {
        my ($language, $text) = ($1, $2);
        my $line = 1 + (substr($page, 0, $-[0]) =~ tr/\n//);
        push @blocks, { language => $language, text => $text, line => $line };
    }
    return @blocks;
}

# Statements and outputs, one after the other.
sub check_examples {
    my ($script_position, $expected_position, $statements) = (0, 0, undef);

    for my $block (blocks($readme)) {
        if ($block->{language} eq 'sql') {
            $statements = $block->{text};
            $script_position = find_statements($block, $script_position);
        }
        elsif ($block->{language} eq 'text') {
            $expected_position = find_output($block, $statements, $expected_position);
            $statements = undef;
        }
    }
}

# Looks for a block of statements; returns where to look for the next one.
sub find_statements {
    my ($block, $from) = @_;
    my $found = index("\n$script", "\n$block->{text}", $from);

    ok($found >= 0, "the statements in line $block->{line} are the next in sql/readme.sql")
        or return $from;
    return $found + length $block->{text};
}

# Looks for an output right behind the last line of the statements that printed
# it; returns where to look for the next one.
sub find_output {
    my ($block, $statements, $from) = @_;
    my $name = "the output in line $block->{line} is what expected/readme.out says";

    if (!defined $statements) {
        fail($name);
        diag('no ```sql block stands before it');
        return $from;
    }
    my ($last_line) = $statements =~ /([^\n]*)\n\z/;
    my $shown = "\n$last_line\n$block->{text}";
    my $found = index($expected, $shown, $from);
    if ($found < 0) {
        fail($name);
        diag("expected/readme.out does not have, from here on:$shown");
        return $from;
    }
    my $end = $found + length $shown;
    my ($next_line) = substr($expected, $end) =~ /\A([^\n]*)/;
    # Behind an error comes the next statement, behind rows an empty line
    my $whole = $block->{text} =~ /^ERROR/
        ? index("\n$script", "\n$next_line\n") >= 0
        : $next_line eq '' || $next_line =~ /^\(\d+ rows?\)$/;
    ok($whole, $name)
        or diag("the output goes on: $next_line");
    return $end - 1;
}

# Links within the page lead to a heading, others to a file.
sub check_links {
    my %anchor = map { anchor($_) => 1 } $readme =~ /^#+ (.*)$/mg;

    for my $link ($readme =~ /\]\(#([^)]*)\)/g) {
        ok($anchor{$link}, "there is a heading for the link #$link");
    }
    for my $file ($readme =~ /\]\(([^)#:]+)\)/g) {
        ok(-e "$top/$file", "there is a file for the link $file");
    }
}

# What the link to a heading is called.
sub anchor {
    my ($heading) = @_;
    my $anchor = lc $heading;
    $anchor =~ s/[^\w\- ]//g;
    $anchor =~ tr/ /-/;
    return $anchor;
}

# Everything that a user can call, read or set is in the reference.
sub check_reference {
    my ($reference) = $readme =~ /^## Reference\n(.*?)^## /ms;
    ok($reference, 'there is a reference') or return;
    for my $type (qw(regnamespace regprocedure)) {
        ok($install =~ /$type/ && index($reference, "`$type`") >= 0, "the reference says what may be a $type");
    }

    my %arguments = functions();
    for my $function (sort keys %arguments) {
        my $signature = "$function($arguments{$function}{in})";
        ok(index($reference, "`$signature`") >= 0, "the reference has $signature");
        for my $column (@{ $arguments{$function}{out} }) {
            ok(index($reference, "`$column`") >= 0, "... with column $column");
        }
    }
    for my $table ($install =~ /^CREATE (?:TABLE|VIEW) (factmerge[._]\w+)/mg) {
        ok(index($reference, "`$table`") >= 0, "the reference has table or view $table");
    }
    my @settings = $settings =~ /DefineCustom\w+Variable\("([^"]+)"/g;
    ok(@settings > 0, 'there are settings');
    for my $setting (@settings) {
        ok(index($reference, "`$setting`") >= 0, "the reference has setting $setting");
    }
    for my $column ($readme =~ /^\| `(\w+)` \| `(?:bigint|integer|interval)` \|/mg) {
        ok($install =~ /\b\Q$column\E\b/, "column $column of the reference is in the install script");
    }
}

# The functions that users call: what goes in, as text, and the columns that
# come out.
sub functions {
    my %functions;
    while ($install =~ /^CREATE (?:FUNCTION|PROCEDURE) (factmerge_\w+)\(([^()]*(?:\(.*?\)[^()]*)*)\)\s*(?:RETURNS|AS|LANGUAGE)/gms) {
        my ($name, $list) = ($1, $2);
        next if $list =~ /\breg(?:namespace|procedure)\b/;    # the reference says once that there are these
        my (@in, @out);
        for my $argument (split /,\s*/, $list) {
            $argument =~ s/\s+/ /g;
            $argument =~ s/^ | $//g;
            if ($argument =~ /^OUT "?(\w+)"? /) {
                push @out, $1;
            }
            else {
                push @in, $argument;
            }
        }
        $functions{$name} = { in => join(', ', @in), out => \@out };
    }
    ok(keys %functions > 0, 'the install script has functions for users');
    return %functions;
}
