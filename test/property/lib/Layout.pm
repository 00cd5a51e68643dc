# What one schema has of its own, in spite of the shape that all of a seed share.
#
#   layout  { rank, unlogged, sequence, tables => { table name => {
#               columns => [name, ...]     in their order, with those that will be dropped
#               dropped => [name, ...]
#               plain => { name => 1 }     columns that are generated elsewhere, but not here
#               start                      of the table's sequence
#               partition => { by, columns, parts => [{ bound, attached }, ...] } or undef
#               view => 'VIEW' or 'MATERIALIZED VIEW' or undef
#             } } }
#
# With sequences apart, one fact has one key here and another there; where they
# start alike, one key means different facts.

package Layout;

use strict;
use warnings;
use Draw  qw(chance between pick shuffled some_of);
use Shape ();
use Types qw(literal);

sub draw {
    my ($class, $shape, $rank) = @_;
    my $self = bless { shape => $shape, rank => $rank, unlogged => chance(0.08), sequence => draw_start() }, $class;
    for my $table (@{ $shape->{tables} }) {
        my @dropped = chance(0.15) ? map { "gone $_" } 1 .. between(1, 2) : ();
        my @columns = map { $_->{name} } $self->columns_of($table);
        @columns = shuffled(@columns, @dropped) if @dropped || chance(0.4);
        my @plain = grep { $_->{role} eq 'generated' && chance(0.2) } $self->columns_of($table);
        $self->{tables}{ $table->{name} } = {
            columns   => \@columns,
            dropped   => \@dropped,
            plain     => { map { $_->{name} => 1 } @plain },
            start     => draw_start(),
            partition => scalar(!$self->{unlogged} && chance(0.2) ? draw_partition($table) : undef),
            view      => chance(0.08) ? pick('VIEW', 'MATERIALIZED VIEW') : undef,
        };
    }
    return $self;
}

sub draw_start { return pick(1, between(1, 9) * 100) }

# The columns that a table has here
sub columns_of {
    my ($self, $table) = @_;
    return grep { ($_->{rank} // 0) <= $self->{rank} } @{ $table->{columns} };
}

# Their names, in the order that they have here
sub names_in_order {
    my ($self, $table) = @_;
    my $own = $self->of($table);
    my %dropped = map { $_ => 1 } @{ $own->{dropped} };
    return grep { !$dropped{$_} } @{ $own->{columns} };
}

sub of {
    my ($self, $table) = @_;
    return $self->{tables}{ $table->{name} };
}

# Does the database itself fill this column here?
sub fills {
    my ($self, $table, $column) = @_;
    return $column->{constant} || $column->{surrogate}
        || $column->{role} eq 'generated' && !$self->of($table)->{plain}{ $column->{name} };
}

# The type that a column has here, in SQL
sub type_of {
    my ($self, $schema, $column) = @_;
    return Types::sql($column->{type}, $column->{widths}[ $self->{rank} ], $schema);
}

#
# Partitions
#

# By hash or list, on columns that every key of the table holds
sub draw_partition {
    my ($table) = @_;
    my @keys = ($table->{primary} // (), map { $_->{columns} } @{ $table->{uniques} });
    return undef if @keys > 1 || @{ $table->{guards} };
    my @columns = @keys ? map { Shape::column($table, $_) } @{ $keys[0] }
        : grep { $_->{role} eq 'value' } @{ $table->{columns} };
    @columns = grep { Types::is_partitionable($_->{type}) } @columns or return undef;

    my $column = pick(@columns);
    return list_partition($column) if !$column->{surrogate} && $column->{type} =~ /^(?:integer|text)$/ && chance(0.4);
    my $count = between(2, 3);
    return { by => 'HASH', columns => [ map { $_->{name} } some_of(between(1, 2), @columns) ],
        parts => [ map { part("WITH (MODULUS $count, REMAINDER $_)") } 0 .. $count - 1 ] };
}

# Some values by themselves, and the others together
sub list_partition {
    my ($column) = @_;
    my @values = map { $column->{type} eq 'text' ? "w$_" : $_ } shuffled(1 .. 9);
    my @lists = map { part('IN (' . join(', ', map { literal($_) } splice(@values, 0, 3)) . ')') } 1 .. between(1, 2);
    return { by => 'LIST', columns => [ $column->{name} ], parts => [ @lists, part('') ] };
}

# A part is made as one, or made by itself, its columns in another order, and attached
sub part {
    my ($bound) = @_;
    return { bound => $bound eq '' ? 'DEFAULT' : "FOR VALUES $bound", attached => chance(0.3) };
}

1;
