# What columns hold: types, the SQL that declares them, and values of theirs.
#
# A type of the model is a name.  Some stand for a family, from narrow to wide,
# of which each side may have another member: what is an integer here can be a
# bigint there.  Others are made in each schema, and only namesakes of each other.
# Values are texts, written as PostgreSQL writes them.

package Types;

use strict;
use warnings;
use Exporter 'import';
use Draw qw(chance between pick shuffled weighted);

our @EXPORT_OK = qw(quoted literal);

my $LABELS = 12;

# sql      from narrow to wide; %s is the schema of a type that each schema makes for itself
# usual    the member of the family that tables have most of the time
# value    draws one of about so many values
# make     SQL that makes the type in a schema, given the schema and an enum's labels
# opaque   there is no equality
my %TYPES = (
    integer => { sql => [qw(smallint integer bigint numeric)], usual => 1, value => sub { between(1, $_[0]) } },
    text    => { sql => [ 'varchar(20)', 'varchar(40)', 'text' ], usual => 2, value => sub { 'w' . between(1, $_[0]) } },
    boolean => { sql => ['boolean'], value => sub { pick('true', 'false') } },
    date    => { sql => ['date'], value => sub { sprintf '2001-%02d-%02d', between(1, 12), day($_[0]) } },
    decimal => { sql => [ 'numeric(8,2)', 'numeric(12,2)', 'numeric' ], usual => 0,
        value => sub { sprintf '%d.%02d', between(0, 3), between(0, 99) } },
    instant => { sql => [ 'timestamptz(0)', 'timestamptz' ], usual => 1,
        value => sub { sprintf '2001-02-%02d %02d:00:00+00', day($_[0]), between(0, 23) } },
    moment   => { sql => ['timestamp'], value => sub { sprintf '2001-02-%02d 12:30:00', day($_[0]) } },
    real     => { sql => [ 'real', 'double precision' ], usual => 0, value => sub { between(0, $_[0]) + pick(0.25, 0.5) } },
    money    => { sql => ['money'], value => sub { sprintf '$%d.%02d', between(0, $_[0]), between(0, 99) } },
    uuid     => { sql => ['uuid'], value => sub { sprintf '00000000-0000-4000-8000-%012d', between(1, $_[0]) } },
    jsonb    => { sql => ['jsonb'], value => sub { sprintf '{"n": %d}', between(1, $_[0]) } },
    json     => { sql => ['json'], opaque => 1, value => sub { sprintf '{"n":%d}', between(1, $_[0]) } },
    xml      => { sql => ['xml'], opaque => 1, value => sub { sprintf '<n>%d</n>', between(1, $_[0]) } },
    point    => { sql => ['point'], opaque => 1, value => sub { sprintf '(%d,%d)', between(0, $_[0]), between(0, 3) } },
    numbers  => { sql => ['integer[]'],
        value => sub { '{' . join(',', map { between(1, 4) } 0 .. between(0, 2)) . '}' } },
    words    => { sql => ['text[]'], value => sub { sprintf '{w%d,"x y"}', between(1, $_[0]) } },
    bytes    => { sql => ['bytea'], value => sub { sprintf '\\x%02x00ff', between(1, $_[0]) } },
    range    => { sql => ['int4range'],
        value => sub { my $from = between(1, $_[0]); sprintf '[%d,%d)', $from, $from + 3 } },
    interval => { sql => ['interval'], value => sub { between(2, 9) . ' days' } },
    network  => { sql => ['cidr'], value => sub { sprintf '10.1.%d.0/24', between(1, $_[0]) } },
    padded   => { sql => ['character(6)'], value => sub { 'w' . between(1, $_[0]) } },
    label    => { sql => ['%s."Mood"'], value => sub { 'w' . between(1, at_most($_[0], $LABELS)) },
        make => sub { "CREATE TYPE $_[0].\"Mood\" AS ENUM (" . join(', ', map { literal($_) } @{ $_[1] }) . ')' } },
    labels => { sql => ['%s."Mood"[]'], value => sub { sprintf '{w%d,w%d}', between(1, 4), between(1, $LABELS) },
        needs => 'label' },
    count => { sql => ['%s.count'], value => sub { between(1, $_[0]) },
        make => sub { "CREATE DOMAIN $_[0].count AS integer CHECK (VALUE > 0)" } },
    word => { sql => ['%s."a word"'], value => sub { 'w' . between(1, $_[0]) },
        make => sub { "CREATE DOMAIN $_[0].\"a word\" AS text CHECK (VALUE <> '')" } },
    pair => { sql => ['%s.pair'], value => sub { sprintf '(%d,w%d)', between(1, 4), between(1, $_[0]) },
        make => sub { "CREATE TYPE $_[0].pair AS (number integer, word text)" } },
    # A text that is generated, or that names a fact of one side; no family, for its length varies
    code => { sql => ['text'] },
);

# What may identify a fact, and what may stand beside that
my @NATURAL = (integer => 16, text => 16, date => 3, label => 3, instant => 2, decimal => 1, count => 1, word => 1,
    uuid => 1, numbers => 1, jsonb => 1, pair => 1, bytes => 1, padded => 1);
my @PAYLOAD = (map({ $_ => 4 } qw(integer text date decimal boolean)),
    map { $_ => 1 } grep { $_ ne 'code' && $_ ne 'word' } sort keys %TYPES);

sub draw_natural { return weighted(@NATURAL) }
sub draw_payload { return weighted(@PAYLOAD) }

# A day of a month, one of about so many
sub day { return between(1, at_most($_[0], 28)) }

sub at_most { return $_[0] < $_[1] ? $_[0] : $_[1] }

# A value, of about so many
sub value {
    my ($type, $many) = @_;
    return $TYPES{$type}{value}->($many) . '';
}

# Which member of the family a column has on the sides of each rank: never narrower on a higher one
sub draw_widths {
    my ($type, $ranks, $widened, $widest) = @_;
    my $family = $TYPES{$type};
    my $last = at_most($widest // 9, $#{ $family->{sql} });
    my $width = chance(0.75) ? at_most($family->{usual} // 0, $last) : between(0, $last);
    my @widths = ($width) x $ranks;

    if ($widened && chance(0.5)) {
        @widths = sort { $a <=> $b } map { between(0, $last) } 1 .. $ranks;
    }
    return \@widths;
}

# The type's name in SQL
sub sql {
    my ($type, $width, $schema) = @_;
    my $sql = $TYPES{$type}{sql}[$width];
    return $sql =~ s/%s/quoted($schema)/er;
}

# Has it an equality, and can a partitioned table go by it?
sub is_opaque { return $TYPES{ $_[0] }{opaque} }
sub is_partitionable { return $_[0] =~ /^(?:integer|text|date|uuid|code|count)$/ }

# The SQL that makes, in a schema, what some types take
sub make {
    my ($schema, $labels, @types) = @_;
    my %made;
    return map { $TYPES{$_}{make}->(quoted($schema), $labels) }
        grep { $TYPES{$_}{make} && !$made{$_}++ } map { $TYPES{$_}{needs} // $_ } @types;
}

# The labels of an enum on the sides of each rank: those that facts have; from some rank on others, too, in any order
sub draw_labels {
    my ($ranks, $widened) = @_;
    my @labels = ([ map { "w$_" } 1 .. $LABELS ]) x $ranks;
    @labels[ $_ .. $ranks - 1 ] = ([ shuffled(@{ $labels[0] }, 'one more', "d'accord") ]) x ($ranks - $_)
        for $widened && chance(0.5) ? between(1, $ranks - 1) : ();
    return \@labels;
}

#
# SQL
#

sub quoted {
    return join ', ', map { (my $name = $_) =~ s/"/""/g; qq("$name") } @_;
}

sub literal {
    my ($value) = @_;
    return 'NULL' unless defined $value;
    my $escape = $value =~ s/\\/\\\\/g ? 'E' : '';
    $value =~ s/'/''/g;
    return "$escape'$value'";
}

1;
