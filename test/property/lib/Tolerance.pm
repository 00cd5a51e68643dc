# How far two values may be apart and still pass for one: what is declared of a
# column, and, worked out from the definition alone, whether it holds of two values.
#
#   tolerance  { column, json, domain, share }
#
# share is a function of two values: the distance as a share of the tolerance, or
# undef where the values are too far apart.  The domain is what the column's values
# are drawn from, in an order in which neighbours are often near each other.
#
# Amounts are powers of two and distances multiples of quarters, so that sums of
# shares are exact, and two facts that are equally far really are.

package Tolerance;

use strict;
use warnings;
use Draw qw(chance between pick shuffled);
use Types qw(literal);

# How to draw each kind: the type of the column, then how it is declared
my %KINDS = (
    number => \&draw_number, time => \&draw_time, point => \&draw_point, function => \&draw_function,
    edits  => \&draw_edits, similar => \&draw_similar,
);

sub draw {
    my ($kind) = @_;
    return $KINDS{$kind}->();
}

sub kinds { return sort keys %KINDS }

#
# Numbers
#

sub draw_number {
    my $type = pick(qw(integer integer decimal money real));
    return whole_numbers() if $type eq 'integer';
    my $amount = pick(0, 0.25, 0.5, 0.5, 1, 1, 2);
    my @numbers = map { $_ / 4 } -4 .. between(8, 20);
    my $money = sub { ($_[0] < 0 ? '-' : '') . sprintf '$%.2f', abs $_[0] };
    return { type => $type, json => json_number($amount), share => number_share($amount),
        domain => $type eq 'real' ? [ @numbers, chance(0.3) ? qw(NaN Infinity) : () ]
        : [ map { $type eq 'money' ? $money->($_) : sprintf '%.2f', $_ } @numbers ] };
}

sub whole_numbers {
    my $amount = pick(0, 1, 2, 2, 4, 4);
    my $first = between(-8, 3);
    return { type => 'integer', json => json_number($amount), share => number_share($amount),
        domain => [ $first .. $first + between(6, 24) ] };
}

# As a number or as a string
sub json_number {
    my ($amount) = @_;
    return chance(0.6) ? "$amount" : qq("$amount");
}

sub number_share {
    my ($amount) = @_;
    return sub {
        my ($s, $d) = map { s/\$//r } @_;
        return 0 if $s eq $d;
        return undef if "$s$d" =~ /NaN|Infinity/;
        return share(abs($s - $d), $amount);
    };
}

# Within the amount or not; an amount of nothing adds nothing
sub share {
    my ($distance, $amount) = @_;
    return undef if $distance > $amount;
    return $amount == 0 ? 0 : $distance / $amount;
}

#
# Times
#

sub draw_time {
    my $type = pick(qw(date date moment instant));
    return months() if $type eq 'date' && chance(0.2);
    my ($json, $hours) = @{ pick([ '0', 0 ], [ '1 day', 24 ], [ '2 days', 48 ], [ '96:00:00', 96 ],
        $type eq 'date' ? () : ([ '6 hours', 6 ], [ '12:00', 12 ])) };
    my @domain = $type eq 'date' ? map { time_text($_ * 24, 1) } 20 .. between(28, 44)
        : map { time_text(80 * 24 + $_ * 6) . ($type eq 'instant' ? '+00' : '') } 0 .. between(8, 24);
    push @domain, 'infinity' if chance(0.2);
    return { type => $type, json => qq("$json"), domain => \@domain, share => sub {
        my ($s, $d) = @_;
        return 0 if $s eq $d;
        return undef if "$s$d" =~ /infinity/;
        return share(abs(hours_of($s) - hours_of($d)), $hours);
    } };
}

my @DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365);

# So many hours after the year 2001 began
sub time_text {
    my ($hours, $date_only) = @_;
    my $day = int($hours / 24);
    my ($month) = grep { $DAYS_BEFORE[$_] > $day } 1 .. 12;
    my $date = sprintf '2001-%02d-%02d', $month, $day - $DAYS_BEFORE[ $month - 1 ] + 1;
    return $date_only ? $date : sprintf '%s %02d:00:00', $date, $hours % 24;
}

sub hours_of {
    my ($text) = @_;
    my ($month, $day, $hour) = $text =~ /^2001-(\d+)-(\d+)(?: (\d+))?/ or die "no time: $text\n";
    return ($DAYS_BEFORE[ $month - 1 ] + $day - 1) * 24 + ($hour // 0);
}

# A month is as long as the earlier date makes it.  How its length is counted as a share matters only beside others.
sub months {
    my @domain = map { time_text($_ * 24, 1) } 25 .. 34, 54 .. 62, 85 .. 93;
    return { type => 'date', json => '"1 month"', domain => \@domain, alone => 1, share => sub {
        my ($early, $late) = sort @_;
        my ($month, $day) = $early =~ /^2001-(\d+)-(\d+)/;
        my $days = $DAYS_BEFORE[ $month + 1 ] - $DAYS_BEFORE[$month];
        return undef if $late gt sprintf '2001-%02d-%02d', $month + 1, $day < $days ? $day : $days;
        return (hours_of($late) - hours_of($early)) / 24;
    } };
}

#
# Points
#

# On a grid of sides 3 and 4, whose diagonals are whole numbers
sub draw_point {
    my $amount = pick(0, 4, 5, 5, 8);
    my @domain = map { my $x = $_; map { "($x,$_)" } 0, 4, 8 } 0, 3, 6, 9;
    return { type => 'point', json => json_number($amount), domain => \@domain, share => sub {
        my ($x, $y, $to_x, $to_y) = map { /^\((.*),(.*)\)$/ } @_;
        return share(sqrt(($x - $to_x)**2 + ($y - $to_y)**2), $amount);
    } };
}

#
# Texts
#

my %FUNCTIONS = (
    lower => sub { lc $_[0] },
    btrim => sub { $_[0] =~ s/^ +| +$//gr },
    abs   => sub { abs $_[0] },
);

# Equal once a function has been applied
sub draw_function {
    return { type => 'integer', json => '{"function": "abs"}', domain => [ -4 .. 4 ], share => normalised_share('abs') }
        if chance(0.25);
    my @functions = pick([qw(lower)], [qw(lower)], [qw(btrim lower)]);
    my @words = map { my $word = $_; ($word, ucfirst $word, uc $word, "$word ", " \u$word") } qw(anna bert cleo);
    my $names = $functions[0];
    my $json = @$names == 1 && chance(0.5) ? qq("$names->[0]") : '{' . functions_json(@$names) . '}';
    return { type => 'text', json => $json, domain => \@words, share => normalised_share(@$names) };
}

sub functions_json {
    my (@names) = @_;
    @names = map { chance(0.3) ? "pg_catalog.$_" : $_ } @names;
    return '"function": ' . (@names == 1 ? qq("$names[0]") : '[' . join(', ', map { qq("$_") } @names) . ']');
}

sub normalised {
    my ($value, @functions) = @_;
    $value = $FUNCTIONS{$_}->($value) for @functions;
    return $value;
}

sub normalised_share {
    my (@functions) = @_;
    return sub {
        my ($s, $d) = map { normalised($_, @functions) } @_;
        return $s eq $d ? 0 : undef;
    };
}

# So many letters put in, taken out or replaced; perhaps in lower case
sub draw_edits {
    my $amount = pick(0, 1, 1, 2, 2, 4, 8);
    my @functions = chance(0.3) ? 'lower' : ();
    my @words = (qw(ab abc abd acd abcd bcd b bca), "\x{e1}bc", 'a b', '',
        qw(abcdefgh abcdefg bcdefgh abxdefgh acbdefgh));
    @words = (@words, map { uc } @words[ 0 .. 4 ]) if @functions;
    my @members = ((map { functions_json($_) } @functions), qq("edit_distance": $amount));
    return { type => 'text', json => '{' . join(', ', shuffled(@members)) . '}', domain => \@words, share => sub {
        return share(edit_distance(map { normalised($_, @functions) } @_), $amount);
    } };
}

# By the book: the distances of all beginnings
sub edit_distance {
    my ($one, $other) = @_;
    my @row = (0 .. length $other);
    for my $i (1 .. length $one) {
        my @next = ($i);
        for my $j (1 .. length $other) {
            my $replaced = $row[ $j - 1 ] + (substr($one, $i - 1, 1) ne substr($other, $j - 1, 1));
            my ($least) = sort { $a <=> $b } $replaced, $row[$j] + 1, $next[ $j - 1 ] + 1;
            push @next, $least;
        }
        @row = @next;
    }
    return $row[-1];
}

my @NAMES = (qw(anna hanna johanna johannes hans hansa ann anne annette Anna),
    'anna maria', 'maria anna', 'hans  peter', '', 'an');

# Trigrams in common, which the server counts: pg_trgm defines what they are.  A text without any is not even similar
# to itself.
sub draw_similar {
    my $least = pick(0.125, 0.25, 0.375, 0.5, 0.75, 1);
    my @functions = chance(0.2) ? 'lower' : ();
    my @members = ((map { functions_json($_) } @functions), qq("similarity": $least));
    my $share = sub {
        my $similarity = similarity(map { normalised($_, @functions) } @_);
        return $similarity < $least ? undef : $least == 1 ? 0 : (1 - $similarity) / (1 - $least);
    };
    return { type => 'text', json => '{' . join(', ', shuffled(@members)) . '}', domain => [@NAMES], irreflexive => 1,
        share => $share };
}

my %similarity;

sub similarity {
    my ($one, $other) = @_;
    return $similarity{$one}{$other} // die "nobody knows how similar '$one' and '$other' are\n";
}

# Asks the server, once, how similar the words are that can be drawn
sub learn_similarities {
    my ($database) = @_;
    return if %similarity;
    my %words = map { $_ => 1 } @NAMES, map { lc } @NAMES;
    my $words = join ', ', map { '(' . literal($_) . ')' } sort keys %words;
    my $rows = $database->rows("SELECT a.word AS a, b.word AS b, similarity(a.word, b.word)::float8 AS similarity"
        . " FROM (VALUES $words) AS a (word), (VALUES $words) AS b (word)");
    $similarity{ $_->{a} }{ $_->{b} } = $_->{similarity} for @$rows;
}

1;
