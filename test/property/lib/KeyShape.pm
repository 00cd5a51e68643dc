# The shape of a keys seed: tables whose facts several keys tell apart, or one, or none.
#
#   table   { name, id => column or undef, columns => [column, ...], keys => [key, ...],
#             primary => key or undef, nulls_same => key or undef }
#   column  { name, type, role, not_null, to => table or undef }
#   key     { parts => [{ column, how }, ...], how: 'plain', 'lower' or 'filled'
#             where => column or undef, nulls => 'distinct' or 'same', index => bool }
#
# The role of a column is to be a value, a reference to the id of another table or of
# the own one, a uuid that the database draws unless one is given, or a number that a
# sequence gives out likewise.  An id is either a number, which says nothing, or a
# uuid, which does.
#
# A key with a condition is about the facts in which a column is null, as with rows
# that are only marked as deleted.  What is `nulls_same` is declared, and no key.

package KeyShape;

use strict;
use warnings;
use Draw  qw(chance between pick shuffled some_of weighted);
use Types qw(quoted literal);

my @TABLE_NAMES = (qw(sale user tag lot parcel), 'Odd Name', "it's", 'say "no"',
    'a_table_whose_name_is_exactly_as_long_as_a_name_may_be_63_bytes');
my @COLUMN_NAMES = (qw(item title code day size note rank from end kind), 'Mixed Case', 'x y', "d'or");

# Few values, so that sides meet, and some that only look alike: by case, by scale
my %VALUES = (
    text              => [qw(pen Pen ink cup)],
    integer           => [ 1 .. 4 ],
    date              => [qw(2024-01-01 2024-01-02 2024-02-29)],
    numeric           => [qw(1 1.0 1.00 2.5)],
    boolean           => [qw(true false)],
    'character(5)'    => [ 'pen  ', 'ink  ' ],
    'integer[]'       => [ '{1,2}', '{2}' ],
    json              => [ '{"n": 1}', '{"n":1}' ],
    jsonb             => [ '{"n": 1}', '{"n": 2}' ],
    uuid              => [ map { "00000000-0000-4000-8000-00000000000$_" } 1 .. 3 ],
    'timestamp'       => [ '2024-01-01 00:00:00', '2024-01-01 12:00:00' ],
);
my @KEYED_TYPES = (text => 8, integer => 6, date => 2, numeric => 2, 'character(5)' => 1, uuid => 1);
my @OTHER_TYPES = (text => 4, integer => 4, map { $_ => 1 } sort keys %VALUES);

sub draw {
    my ($class) = @_;
    my $self = bless { tables => [], names => [ shuffled(@TABLE_NAMES) ] }, $class;
    $self->draw_table for 1 .. weighted(1 => 2, 2 => 4, 3 => 4);
    return $self;
}

sub draw_table {
    my ($self) = @_;
    my $kind = weighted(bag => 5, heap => 2, keyed => 7, natural => 2, uuid => 2);
    my $table = { name => shift @{ $self->{names} }, kind => $kind, columns => [], keys => [],
        column_names => [ shuffled(@COLUMN_NAMES) ] };

    add_id($table) if $kind =~ /^(?:bag|keyed|uuid)$/;
    $self->add_references($table);
    add_value($table, pick_type($kind eq 'bag' || $kind eq 'heap' ? @OTHER_TYPES : @KEYED_TYPES)) for 1 .. between(1, 2);
    draw_keys($table) if $kind =~ /^(?:keyed|natural|uuid)$/;
    add_value($table, pick_type(@OTHER_TYPES)) for 1 .. between(0, 1);
    push @{ $self->{tables} }, $table;
}

sub pick_type { return weighted(@_) }

sub add_column {
    my ($table, %column) = @_;
    $column{name} //= shift @{ $table->{column_names} };
    push @{ $table->{columns} }, \%column;
    return \%column;
}

sub add_value {
    my ($table, $type, %more) = @_;
    return add_column($table, type => $type, role => 'value', not_null => chance(0.4), %more);
}

sub add_id {
    my ($table) = @_;
    my $how = $table->{kind} eq 'uuid' ? 'uuid' : pick(qw(always bydefault serial));
    $table->{id} = { name => 'id', how => $how };
}

# To earlier tables that have an id, or from one fact of the own table to another
sub add_references {
    my ($self, $table) = @_;
    my @targets = grep { $_->{id} } @{ $self->{tables} };
    add_reference($table, pick(@targets)) for 1 .. (@targets ? weighted(0 => 2, 1 => 5, 2 => 2) : 0);
    add_reference($table, $table) if $table->{id} && chance(0.25);
}

sub add_reference {
    my ($table, $to) = @_;
    add_column($table, role => 'reference', to => $to, not_null => $to != $table && chance(0.5));
}

#
# Keys
#

sub draw_keys {
    my ($table) = @_;
    my $kind = $table->{kind};
    my @candidates = grep { $_->{role} eq 'reference' || $_->{type} !~ /^(?:json|boolean)/ } @{ $table->{columns} };

    push @{ $table->{keys} }, { parts => [ { column => $table->{id}, how => 'plain' } ], nulls => 'distinct', is_id => 1 }
        if $kind eq 'uuid';
    add_primary($table, @candidates) if $kind eq 'natural';
    return add_nulls_same($table, @candidates) if $kind eq 'keyed' && chance(0.2);
    push @{ $table->{keys} }, draw_key($table, @candidates) for 1 .. weighted($kind eq 'keyed' ? (1 => 6, 2 => 4, 3 => 1)
        : (0 => 5, 1 => 4));
    add_public_id($table) if $table->{id} && chance(0.3);
}

sub plain_parts { return map { { column => $_, how => 'plain' } } @_ }

sub add_primary {
    my ($table, @candidates) = @_;
    my @columns = some_of(between(1, 2), @candidates);
    $_->{not_null} = 1 for @columns;
    $table->{primary} = { parts => [ plain_parts(@columns) ], nulls => 'distinct' };
    push @{ $table->{keys} }, $table->{primary};
}

# What is declared counts, and nothing else
sub add_nulls_same {
    my ($table, @candidates) = @_;
    my $key = { parts => [ plain_parts(some_of(between(1, 2), @candidates)) ], nulls => 'same' };
    $table->{nulls_same} = $key;
}

# Over one column or two; an expression or a condition makes an index of it
sub draw_key {
    my ($table, @candidates) = @_;
    my @columns = some_of(weighted(1 => 4, 2 => 5), @candidates);
    my $how = weighted(plain => 6, same => 1, lower => 2, filled => 2, where => 3);
    my $key = { parts => [ plain_parts(@columns) ], nulls => $how eq 'same' ? 'same' : 'distinct' };
    if ($how eq 'lower' || $how eq 'filled') {
        my ($part) = grep { ($_->{column}{type} // '') eq 'text' } @{ $key->{parts} };
        @$part{ 'how' } = $how if $part;
        $key->{index} = 1 if $part;
    }
    if ($how eq 'where') {
        $key->{where} = $table->{marked} //= add_value($table, 'date', name => 'deleted_at', not_null => 0);
        $key->{index} = 1;
    }
    return $key;
}

# A uuid that people quote, which identifies, or a number that they quote, which does not
sub add_public_id {
    my ($table) = @_;
    my $role = pick(qw(uuid number));
    my $column = add_column($table, name => "public_$role", role => $role, type => { uuid => 'uuid', number => 'integer' }->{$role},
        not_null => 1);
    push @{ $table->{keys} }, { parts => [ plain_parts($column) ], nulls => 'distinct', number => $role eq 'number' };
}

#
# SQL
#

sub create {
    my ($self, $schema) = @_;
    return ('CREATE SCHEMA ' . quoted($schema), map { create_table($schema, $_) } @{ $self->{tables} });
}

sub qualified {
    my ($schema, $table) = @_;
    return quoted($schema) . '.' . quoted($table->{name});
}

sub create_table {
    my ($schema, $table) = @_;
    my $name = qualified($schema, $table);
    my @lines = $table->{id} ? id_definition($table->{id}) : ();
    push @lines, map { column_definition($schema, $table, $_) } @{ $table->{columns} };
    push @lines, 'PRIMARY KEY (' . columns_of_key($table->{primary}) . ')' if $table->{primary};
    my @keys = grep { !$_->{is_id} && (!$table->{primary} || $_ != $table->{primary}) } @{ $table->{keys} };
    push @lines, map { 'UNIQUE ' . ($_->{nulls} eq 'same' ? 'NULLS NOT DISTINCT ' : '') . '(' . columns_of_key($_) . ')' }
        grep { !$_->{index} } @keys;
    my @numbers = grep { $_->{role} eq 'number' } @{ $table->{columns} };
    return ((map { 'CREATE SEQUENCE ' . sequence($schema, $table) } @numbers),
        "CREATE TABLE $name (" . join(', ', @lines) . ')',
        map { "CREATE UNIQUE INDEX ON $name (" . columns_of_key($_) . ')' . where($_) } grep { $_->{index} } @keys);
}

sub id_definition {
    my ($id) = @_;
    my %type = (always => 'integer GENERATED ALWAYS AS IDENTITY', bydefault => 'integer GENERATED BY DEFAULT AS IDENTITY',
        serial => 'serial', uuid => 'uuid DEFAULT gen_random_uuid()');
    return "id $type{ $id->{how} } PRIMARY KEY";
}

sub column_definition {
    my ($schema, $table, $column) = @_;
    my $type = !$column->{to} ? $column->{type} : $column->{to}{id}{how} eq 'uuid' ? 'uuid' : 'integer';
    my $default = { uuid => 'gen_random_uuid()', number => 'nextval(' . literal(sequence($schema, $table)) . ')' }
        ->{ $column->{role} };
    return quoted($column->{name}) . " $type" . ($column->{not_null} ? ' NOT NULL' : '')
        . ($default ? " DEFAULT $default" : '') . ($column->{to} ? ' REFERENCES ' . qualified($schema, $column->{to}) : '');
}

sub sequence {
    my ($schema, $table) = @_;
    return quoted($schema) . '.' . quoted('numbers of ' . substr($table->{name}, 0, 40));
}

sub columns_of_key {
    my ($key) = @_;
    my %sql = (plain => '%s', lower => 'lower(%s)', filled => "coalesce(%s, '')");
    return join ', ', map { sprintf $sql{ $_->{how} }, quoted($_->{column}{name}) } @{ $key->{parts} };
}

sub where {
    my ($key) = @_;
    return $key->{where} ? ' WHERE ' . quoted($key->{where}{name}) . ' IS NULL' : '';
}

# What the catalog does not say
sub declarations {
    my ($self, $schema) = @_;
    return map {
        my @names = map { literal($_->{column}{name}) } @{ $_->{nulls_same}{parts} };
        'SELECT factmerge_set_sameness(' . literal(qualified($schema, $_)) . ', key => ARRAY[' . join(', ', @names)
            . "]::name[], nulls => 'same')"
    } grep { $_->{nulls_same} } @{ $self->{tables} };
}

#
# Values
#

sub value {
    my ($column) = @_;
    return undef if !$column->{not_null} && chance(0.3);
    return pick(@{ $VALUES{ $column->{type} } });
}

# A value such that what is equal is one text
sub canonical {
    my ($column, $value) = @_;
    return $value unless defined $value && ($column->{type} // '') eq 'numeric';
    return $value + 0 . '';
}

#
# For people
#

sub described {
    my ($self) = @_;
    my @sql = grep { !/^CREATE SCHEMA/ } $self->create('x'), $self->declarations('x');
    return @sql;
}

1;
