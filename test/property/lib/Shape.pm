# The shape of a seed: its base tables, their keys and references.
#
# A shape is drawn once for a seed; Ddl.pm gives it to each schema, and Rules.pm
# adds the derived tables and the handlers.  It is plain data:
#
#   shape   { tables => [table, ...], conflicts => bool }
#   table   { name, kind, columns => [column, ...], references => [reference, ...],
#             primary => [name, ...] or undef, uniques => [{ columns, nulls }, ...],
#             sameness => [name, ...] or undef }
#   column  { name, type, role, not_null, surrogate, conflicting, filterable }
#   reference { name, from, to, columns => [name, ...], to_columns => [name, ...],
#             nullable, deferrable, cyclic, shadow => { of, by } or undef }
#
# The sameness is what makes two facts one and the same: the columns of one
# natural key, or undef for the whole row but its surrogate key.  The kinds:
#
#   surrogate   a generated primary key, and a natural unique key beside it
#   natural     a primary key of one column that nobody generates
#   composite   a primary key of several columns, some of them references
#   onetoone    a primary key that is itself a reference
#   uuidkey     a uuid primary key with a default, and no other key: the uuid
#               itself is the identity
#   bare        a generated primary key and nothing beside it
#   keyless     no key at all
#   derived     what the handlers fill (Rules.pm)
#
# References lead to tables drawn earlier, to the table itself, or now and then
# to a later table, which closes a circle.  A shadow reference is one whose
# columns are part of another, composite reference: where it points is settled
# by the other one.

package Shape;

use strict;
use warnings;
use Draw qw(chance between pick shuffled some_of weighted);

my @TABLE_NAMES = (
    qw(person place book parcel song river guild vessel stone tale lamp field road bridge order user select),
    'Group', 'Odd Name', 'a.b', 'tbl$9', "it's", 'say "no"',
    'a_table_whose_name_is_exactly_as_long_as_a_name_may_be_63_bytes');

my @COLUMN_NAMES = (
    qw(name title code kind tone size part line mark note year rank from end table all),
    'Mixed Case', 'x y', "d'or");

my @PAYLOAD_TYPES = ('integer', 'text', 'date', 'numeric(8,2)', 'boolean');

# Draws the base tables
sub draw {
    my ($class) = @_;
    my $self = bless { conflicts => chance(0.2) }, $class;
    my $count = weighted(1 => 1, 2 => 4, 3 => 5, 4 => 4);

    # Without any reference no two facts would ever meet
    do {
        @$self{qw(tables names)} = ([], [ shuffled(@TABLE_NAMES) ]);
        $self->draw_table for 1 .. $count - 1;
        $count > 1 && chance(0.3) ? $self->draw_edge_table : $self->draw_table;
    } until grep { @{ $_->{references} } } @{ $self->{tables} };
    $self->close_circle if $count > 1 && chance(0.2);
    mark_conflicting($_) for $self->{conflicts} ? @{ $self->{tables} } : ();
    return $self;
}

sub new_table {
    my ($self, $kind, $name) = @_;
    $name //= shift @{ $self->{names} };
    my $table = {
        name => $name, kind => $kind, columns => [], references => [], uniques => [], primary => undef,
        sameness => undef, column_names => [ shuffled(@COLUMN_NAMES) ]
    };
    push @{ $self->{tables} }, $table;
    return $table;
}

sub draw_table {
    my ($self) = @_;
    my @earlier = grep { keys_of($_) } @{ $self->{tables} };
    my $kind = @{ $self->{tables} }
        ? weighted(surrogate => 40, natural => 12, composite => 22, onetoone => 8, bare => 10, keyless => 6,
            uuidkey => 4)
        : weighted(surrogate => 50, natural => 25, composite => 10, bare => 10, uuidkey => 5);
    my $table = $self->new_table($kind);

    add_surrogate($table) if $kind eq 'surrogate' || $kind eq 'bare';
    add_uuid_key($table) if $kind eq 'uuidkey';
    $self->add_references($table, @earlier) if @earlier;
    add_natural_key($table);
    add_payload($table);
    add_self_reference($table) if keys_of($table) && chance(@earlier ? 0.2 : 0.35);
}

# A table of edges, from one fact of another table to the next: what closures are made of
sub draw_edge_table {
    my ($self) = @_;
    my $target = pick(grep { keys_of($_) } @{ $self->{tables} });
    my $key = pick(keys_of($target));
    my $table = $self->new_table(weighted(composite => 4, surrogate => 3, bare => 1, keyless => 1));

    add_surrogate($table) if $table->{kind} eq 'surrogate' || $table->{kind} eq 'bare';
    add_reference($table, $target, key => $key) for 1 .. 2;
    add_natural_key($table);
    add_payload($table);
}

#
# Columns
#

sub add_column {
    my ($table, %column) = @_;
    $column{name} //= shift @{ $table->{column_names} };
    push @{ $table->{columns} }, \%column;
    return \%column;
}

sub column {
    my ($table, $name) = @_;
    my ($column) = grep { $_->{name} eq $name } @{ $table->{columns} };
    return $column;
}

# A uuid identifies a fact where nothing else does (uuidkey), so that it is no mere surrogate there
sub add_surrogate {
    my ($table) = @_;
    my $how = weighted(always => 4, bydefault => 3, serial => 3, $table->{kind} eq 'bare' ? () : (uuid => 2));
    my $type = { always => 'bigint', bydefault => 'bigint', serial => 'integer', uuid => 'uuid' }->{$how};
    my $id = add_column($table, name => pick('id', 'Id', 'key'), type => $type, role => 'key', surrogate => $how,
        not_null => 1);
    $table->{primary} = [ $id->{name} ];
}

sub add_uuid_key {
    my ($table) = @_;
    my $key = add_column($table, name => 'id', type => 'uuid', role => 'value', uuid_key => 1, not_null => 1);
    $table->{primary} = [ $key->{name} ];
    $table->{sameness} = [ $key->{name} ];
}

# A column that belongs to a natural key: few values, so that both sides meet
sub add_natural_column {
    my ($table, %more) = @_;
    return add_column($table, type => weighted(integer => 5, text => 5, date => 1), role => 'value', filterable => 1,
        not_null => 1, natural => 1, %more);
}

sub add_payload {
    my ($table) = @_;
    for (1 .. between(0, 3)) {
        add_column($table, type => pick(@PAYLOAD_TYPES), role => 'value', filterable => 1, not_null => 0);
    }
}

#
# Keys
#

# The keys that a reference may lead to: all of their columns not null
sub keys_of {
    my ($table) = @_;
    my @keys = $table->{primary} ? ($table->{primary}) : ();
    push @keys, map { $_->{columns} } grep { !$_->{nulls} } @{ $table->{uniques} };
    return @keys;
}

sub add_natural_key {
    my ($table) = @_;
    my $kind = $table->{kind};
    my @references = grep { !$_->{shadow} } @{ $table->{references} };

    if ($kind eq 'surrogate') {
        add_unique_key($table, @references);
    }
    elsif ($kind eq 'natural') {
        my $key = add_natural_column($table, wide => 1);
        $table->{primary} = $table->{sameness} = [ $key->{name} ];
    }
    elsif ($kind eq 'composite') {
        my @chosen = some_of(between(1, 2), @references);
        make_not_null($table, @chosen);
        my @columns = columns_of(@chosen);
        push @columns, add_natural_column($table)->{name} while @columns < 2 || @columns < 3 && chance(0.1);
        $table->{primary} = $table->{sameness} = [ shuffled(@columns) ];
    }
    elsif ($kind eq 'onetoone') {
        make_not_null($table, $references[0]);
        $table->{primary} = $table->{sameness} = [ @{ $references[0]{columns} } ];
    }
    else {
        # The whole row counts, nulls and all
        add_natural_column($table, wide => 1, not_null => chance(0.6)) for 1 .. between(1, 2);
    }
}

# Beside a surrogate key: values, references, or both
sub add_unique_key {
    my ($table, @references) = @_;
    my @chosen = @references && chance(0.5) ? some_of(between(1, 2), @references) : ();
    make_not_null($table, grep { chance(0.75) } @chosen);
    my $nulls = grep { $_->{nullable} } @chosen;
    my @columns = columns_of(@chosen);

    if (!@chosen) {
        my $several = chance(0.4);
        push @columns, add_natural_column($table, wide => !$several)->{name} for 0 .. $several;
    }
    elsif (@chosen == 1 || chance(0.3)) {
        push @columns, add_natural_column($table)->{name};
    }
    $table->{sameness} = [ shuffled(@columns) ];
    push @{ $table->{uniques} }, { columns => $table->{sameness}, nulls => $nulls };
    add_second_key($table) if chance(0.1);
}

# Another unique key, which tells the same facts apart
sub add_second_key {
    my ($table) = @_;
    my $column = add_column($table, type => 'text', role => 'value', not_null => 1, filterable => 0, label => 1);
    push @{ $table->{uniques} }, { columns => [ $column->{name} ], nulls => 0 };
}

sub make_not_null {
    my ($table, @references) = @_;
    for my $reference (@references) {
        $reference->{nullable} = 0;
        for my $name (@{ $reference->{columns} }) {
            column($table, $name)->{not_null} = 1;
        }
        make_not_null($table, grep { $_->{shadow} && $_->{shadow}{of} == $reference && !$_->{shadow}{by}{nullable} }
            @{ $table->{references} });
    }
}

# The columns of some references, each once
sub columns_of {
    my (@references) = @_;
    my %seen;
    return grep { !$seen{$_}++ } map { @{ $_->{columns} } } @references;
}

# Does the sameness hold this reference?
sub identifies {
    my ($table, $reference) = @_;
    return 1 unless $table->{sameness};
    my %same = map { $_ => 1 } @{ $table->{sameness} };
    return !grep { !$same{$_} } @{ $reference->{columns} };
}

#
# References
#

sub add_references {
    my ($self, $table, @targets) = @_;
    my $kind = $table->{kind};
    my $fewest = $kind eq 'onetoone' ? 1 : $kind eq 'composite' && chance(0.9) ? 1 : 0;
    my $count = $fewest + weighted(0 => 3, 1 => 5, 2 => 2);
    my $last;

    for (1 .. $count) {
        # Two references to one table make an edge: wanted often
        my $target = $last && chance(0.65) ? $last : pick(@targets);
        my $reference = add_reference($table, $target, nullable => chance(0.3));
        add_shadow($table, $reference) if chance(0.4);
        $last = $target;
    }
}

sub add_reference {
    my ($table, $target, %more) = @_;
    my $key = delete $more{key};
    unless ($key) {
        my @keys = keys_of($target);
        $key = @keys == 1 || chance(0.65) ? $keys[0] : pick(@keys[ 1 .. $#keys ]);
    }
    my $stem = pick("$target->{name} ref", 'of', 'ref', "Its $target->{name}");
    my %taken = map { $_->{name} => 1 } @{ $table->{columns} };
    my @columns;
    for my $to (@$key) {
        my $name = fresh_name(@$key > 1 ? "$stem $to" : $stem, \%taken);
        add_column($table, name => $name, type => column($target, $to)->{type}, role => 'reference',
            not_null => !$more{nullable});
        push @columns, $name;
    }
    my $reference = { from => $table, to => $target, columns => \@columns, to_columns => [@$key], nullable => 0,
        deferrable => chance(0.1), %more };
    $reference->{name} = 'r' . @{ $table->{references} };
    push @{ $table->{references} }, $reference;
    return $reference;
}

sub fresh_name {
    my ($wanted, $taken) = @_;
    my $stem = substr($wanted, 0, 55);
    my $name = $stem;
    for (my $number = 2; $taken->{$name}; $number++) {
        $name = "$stem $number";
    }
    $taken->{$name} = 1;
    return $name;
}

# If the key that a reference leads to holds a reference in turn, its columns may refer directly, too
sub add_shadow {
    my ($table, $reference) = @_;
    my %at = map { $reference->{to_columns}[$_] => $reference->{columns}[$_] } 0 .. $#{ $reference->{columns} };
    for my $by (@{ $reference->{to}{references} }) {
        next if $by->{cyclic} || grep { !exists $at{$_} } @{ $by->{columns} };
        push @{ $table->{references} },
            {
            name => 'r' . @{ $table->{references} }, from => $table, to => $by->{to},
            columns => [ map { $at{$_} } @{ $by->{columns} } ], to_columns => $by->{to_columns},
            nullable => $reference->{nullable}, shadow => { of => $reference, by => $by }
            };
        return;
    }
}

# A tree: the parent is payload, or part of what identifies the fact
sub add_self_reference {
    my ($table) = @_;
    my $reference = add_reference($table, $table, nullable => 1, key => (keys_of($table))[0]);
    my ($unique) = grep { $table->{sameness} && $_->{columns} == $table->{sameness} } @{ $table->{uniques} };

    if ($unique && @{ $reference->{columns} } == 1 && chance(0.6)) {
        push @{ $unique->{columns} }, @{ $reference->{columns} };
        $unique->{nulls} = 1;
    }
    elsif ($table->{sameness} && key_known_beforehand($reference) && chance(0.3)) {
        $reference->{cyclic} = $reference->{deferrable} = 1;
    }
}

# A nullable reference from an earlier table to one that refers to it
sub close_circle {
    my ($self) = @_;
    my @closable = grep { my $r = $_; $r->{from} != $r->{to} && keys_of($r->{from}) && $r->{to}{kind} ne 'onetoone' }
        map { @{ $_->{references} } } @{ $self->{tables} };
    return unless @closable;
    my $back = pick(@closable);
    my ($table, $target) = ($back->{to}, $back->{from});
    my $reference = add_reference($table, $target, nullable => 1, key => (keys_of($target))[0]);
    my ($unique) = grep { $table->{sameness} && $_->{columns} == $table->{sameness} } @{ $table->{uniques} };

    if ($unique && $unique->{nulls} && chance(0.5)) {
        push @{ $unique->{columns} }, @{ $reference->{columns} };
    }
    elsif ($table->{sameness} && key_known_beforehand($reference) && chance(0.5)) {
        $reference->{cyclic} = $reference->{deferrable} = 1;
    }
}

# Can a fact be referred to before it is inserted?
sub key_known_beforehand {
    my ($reference) = @_;
    return !grep { column($reference->{to}, $_)->{role} eq 'reference' } @{ $reference->{to_columns} };
}

#
# Conflicts
#

# One or two columns in which the sides may contradict each other
sub mark_conflicting {
    my ($table) = @_;
    return unless $table->{sameness};
    my %key = map { $_ => 1 } map { @$_ } keys_of($table), $table->{sameness};
    my @columns = grep { $_->{role} eq 'value' && !$key{ $_->{name} } && !$_->{label} } @{ $table->{columns} };
    @columns = (add_column($table, type => pick(@PAYLOAD_TYPES), role => 'value', not_null => 0)) unless @columns;
    for my $column (some_of(between(1, 2), @columns)) {
        $column->{conflicting} = 1;
        $column->{filterable} = 0;
    }
}

1;
