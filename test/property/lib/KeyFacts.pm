# The facts of a keys seed.
#
# A universe of rows is drawn once, of which each side knows some, and some several
# times: what nothing tells apart is there as often as it happened.  A side may also
# see a row a little differently.  What a key of a side's own forbids is left out, so
# that every side is one that a database could hold.
#
#   fact  { table, address, id, values => { column => text }, refs => { column => fact or undef }, tag }
#
# Facts are read from a schema; an address is an id, or where a row without one lies.

package KeyFacts;

use strict;
use warnings;
use Draw     qw(chance between pick shuffled some_of uuid weighted);
use KeyShape qw();
use Types    qw(quoted literal);

my $ROWS_OF_A_TABLE = 7;
my $GREATEST_NUMBER = 15;

# A universe: [{ table, values, refs => { column => row } }, ...], what is referred to before what refers to it
sub draw {
    my ($class, $shape) = @_;
    my $self = bless { shape => $shape, rows => [] }, $class;
    for my $table (@{ $shape->{tables} }) {
        my %of;
        for (1 .. between(3, $ROWS_OF_A_TABLE)) {
            my $row = $self->draw_row($table) or next;
            push @{ $self->{rows} }, $row;
        }
    }
    return $self;
}

sub draw_row {
    my ($self, $table) = @_;
    my %row = (table => $table, values => {}, refs => {});
    $row{id} = uuid() if $table->{id} && $table->{id}{how} eq 'uuid';
    for my $column (@{ $table->{columns} }) {
        my @targets = $column->{to} ? grep { $_->{table} == $column->{to} } @{ $self->{rows} } : ();
        return if $column->{to} && $column->{not_null} && !@targets;
        $row{refs}{ $column->{name} } = pick(@targets) if @targets && ($column->{not_null} || chance(0.7));
        $row{values}{ $column->{name} } = draw_value($column) unless $column->{to};
    }
    return \%row;
}

sub draw_value {
    my ($column) = @_;
    return uuid() if $column->{role} eq 'uuid';
    return between(1, $GREATEST_NUMBER) if $column->{role} eq 'number';
    return KeyShape::value($column);
}

# What one side knows: rows as often as it has them, in some order, a little altered
sub draw_side {
    my ($self, $share) = @_;
    $share //= pick(0.3, 0.5, 0.7, 0.9);
    my @side;
    for my $row (@{ $self->{rows} }) {
        next unless chance($share);
        my $times = $row->{table}{kind} =~ /^(?:bag|heap)$/ ? weighted(1 => 4, 2 => 3, 3 => 2, 4 => 1)
            : weighted(1 => 8, 2 => 2);
        push @side, map { $self->altered($row) } 1 .. $times;
    }
    return \@side;
}

sub altered {
    my ($self, $row) = @_;
    my %values = %{ $row->{values} };
    for my $column (grep { $_->{role} eq 'value' } @{ $row->{table}{columns} }) {
        $values{ $column->{name} } = KeyShape::value($column) if chance(0.06);
    }
    for my $column (grep { $_->{role} =~ /^(?:uuid|number)$/ } @{ $row->{table}{columns} }) {
        $values{ $column->{name} } = undef if chance(0.3);
    }
    return { of => $row, values => \%values, id => chance(0.7) ? $row->{id} : undef };
}

#
# Filling and reading
#

# Rows arrive, each referring to any of those that its row of the universe refers to; $there has what is there already:
# { row of the universe => [id, ...] }
sub load {
    my ($database, $schema, $shape, $side, $there) = @_;
    $database->in_transaction(sub {
        for my $instance (@$side) {
            my $id = insert($database, $schema, $instance, $there) // next;
            push @{ $there->{ $instance->{of} } }, $id;
        }
    });
}

# The id of a row that was inserted; undef where it was not, for a key forbids it, or has no id
sub insert {
    my ($database, $schema, $instance, $there) = @_;
    my ($row, %values) = ($instance->{of}, %{ $instance->{values} });
    my $table = $row->{table};
    $values{id} = $instance->{id} if defined $instance->{id};
    for my $column (grep { $_->{to} } @{ $table->{columns} }) {
        my $target = $row->{refs}{ $column->{name} };
        my @ids = $target ? @{ $there->{$target} // [] } : ();
        return if $target && !@ids && $column->{not_null};
        $values{ $column->{name} } = @ids ? pick(@ids) : undef;
    }
    # A uuid or number that is not given is drawn by the database
    delete @values{ grep { !defined $values{$_} } map { $_->{name} } grep { $_->{role} =~ /^(?:uuid|number)$/ }
        @{ $table->{columns} } };
    return if $table->{nulls_same} && is_declared_same($database, $schema, $table, \%values);
    my @names = sort keys %values;
    my $sql = 'INSERT INTO ' . KeyShape::qualified($schema, $table) . (@names ? ' (' . quoted(@names) . ') VALUES ('
        . join(', ', map { literal($values{$_}) } @names) . ')' : ' DEFAULT VALUES') . ' ON CONFLICT DO NOTHING';
    return $database->value("$sql RETURNING id") if $table->{id};
    $database->do($sql);
    return;
}

# What is declared to be one is there once
sub is_declared_same {
    my ($database, $schema, $table, $values) = @_;
    my @equal = map { quoted($_) . ' IS NOT DISTINCT FROM ' . literal($values->{$_}) }
        map { $_->{column}{name} } @{ $table->{nulls_same}{parts} };
    return $database->value('SELECT count(*) FROM ' . KeyShape::qualified($schema, $table) . ' WHERE ' . join(' AND ', @equal));
}

# All facts of a schema, lowest ids first
sub read {
    my ($database, $schema, $shape) = @_;
    my (@facts, %at);
    for my $table (@{ $shape->{tables} }) {
        my @names = map { $_->{name} } @{ $table->{columns} };
        my @known = map { $_->[0] } @{ $database->{dbh}->selectall_arrayref(
            'SELECT attname FROM pg_attribute WHERE attrelid = ?::regclass AND attname = ?', undef,
            KeyShape::qualified($schema, $table), 'factmerge_provenance') };
        my $address = $table->{id} ? 'id' : 'ctid';
        my $rows = $database->{dbh}->selectall_arrayref("SELECT $address\::text, " . (@known ? 'factmerge_provenance::text' : 'NULL')
                . ', ' . join(', ', map { quoted($_) . '::text' } @names)
                . ' FROM ' . KeyShape::qualified($schema, $table) . " fact ORDER BY fact.$address");
        for my $row (@$rows) {
            my ($where, $tag, @values) = @$row;
            my %fact = (table => $table, address => $where, tag => $tag, refs => {});
            @{ $fact{values} }{@names} = @values;
            push @facts, \%fact;
            $at{ $table->{name} }{$where} = \%fact;
        }
    }
    point($_, \%at) for @facts;
    return \@facts;
}

# References lead to facts instead of holding ids
sub point {
    my ($fact, $at) = @_;
    for my $column (grep { $_->{to} } @{ $fact->{table}{columns} }) {
        my $id = delete $fact->{values}{ $column->{name} };
        $fact->{refs}{ $column->{name} } = defined $id
            ? $at->{ $column->{to}{name} }{$id} // die "$fact->{table}{name} $fact->{address} refers to nothing\n" : undef;
    }
}

1;
