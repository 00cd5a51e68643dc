# The shape of a seed: its base tables, their keys and references.
#
# A shape is drawn once for a seed; Ddl.pm gives it to each schema, and Rules.pm
# adds the derived tables and the handlers.  It is plain data:
#
#   shape   { tables => [table, ...], conflicts => bool, widened => bool,
#             outward => [{ name, ignored, type, widths }, ...] }
#   table   { name, kind, individual, columns => [column, ...], references => [reference, ...],
#             primary => [name, ...] or undef, uniques => [{ columns, nulls, deferrable }, ...],
#             guards => [{ how, column }, ...], sameness => [name, ...] or undef }
#   column  { name, type, widths, role, rank, not_null, surrogate, conflicting, filterable }
#   reference { name, from, to, columns => [name, ...], to_columns => [name, ...],
#             nullable, deferrable, match_full, cyclic, shadow => { of, by } or undef }
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
#   declared    what factmerge_set_sameness() says (Sameness.pm)
#   derived     what the handlers fill (Rules.pm)
#
# The role of a column is to be a key, which is generated; a reference; a value; to
# be generated from a value; or an extra, which only some sides have.
#
# References lead to tables drawn earlier, to the table itself, or now and then
# to a later table, which closes a circle.  A shadow reference is one whose
# columns are part of another, composite reference: where it points is settled
# by the other one.  What outward tables hold are no facts: one is in another
# schema, one is ignored.  What refers to them is a value like any other.
#
# Sides have ranks.  Those of a higher one may have wider types, and columns that
# those of a lower one lack.

package Shape;

use strict;
use warnings;
use Draw qw(chance between pick shuffled some_of weighted);
use Sameness ();
use Types    ();

our $RANKS = 3;

my @TABLE_NAMES = (
    qw(person place book parcel song river guild vessel stone tale lamp field road bridge order user select),
    'Group', 'Odd Name', 'a.b', 'tbl$9', "it's", 'say "no"',
    'a_table_whose_name_is_exactly_as_long_as_a_name_may_be_63_bytes');

my @COLUMN_NAMES = (
    qw(name title code kind tone size part line mark note year rank from end table all),
    'Mixed Case', 'x y', "d'or", "na\x{ef}ve");

# Draws the base tables; with tolerance, some of them get a declared sameness
sub draw {
    my ($class, %options) = @_;
    my $self = bless { widened => chance(0.25), outward => [], %options }, $class;
    my $count = $self->{tolerant} ? weighted(2 => 3, 3 => 5, 4 => 4) : weighted(1 => 1, 2 => 4, 3 => 5, 4 => 4);

    $self->draw_outward if chance(0.2);
    do {
        @$self{qw(tables names)} = ([], [ shuffled(@TABLE_NAMES) ]);
        $self->draw_table for 1 .. $count - 1;
        chance($self->{tolerant} ? 0.5 : 0.3) && $self->draw_edge_table or $self->draw_table;
    } until $self->is_of_interest;
    $self->close_circle if $count > 1 && chance(0.25);
    $self->{conflicts} = !$self->{tolerant} && chance(0.2);
    mark_conflicting($_) for $self->{conflicts} ? @{ $self->{tables} } : ();
    mark_loose($_) for $self->{tolerant} ? @{ $self->{tables} } : ();
    return $self;
}

# Without any reference no two facts would ever meet; where samenesses are declared, they shall meet because of that
sub is_of_interest {
    my ($self) = @_;
    my @references = map { @{ $_->{references} } } @{ $self->{tables} };
    return @references unless $self->{tolerant};
    return grep { ($_->{from}{rule} || $_->{to}{rule}) && $_->{from} != $_->{to} && !is_beside_key($_) } @references;
}

# Is a reference no part of what makes two facts the same?
sub is_beside_key {
    my ($reference) = @_;
    my $table = $reference->{from};
    my $key = $table->{rule} ? $table->{rule}{key} : $table->{sameness} // return 0;
    my %key = map { $_ => 1 } @$key;
    return grep { !$key{$_} } @{ $reference->{columns} };
}

# Where facts become one that were not, columns outside of the key may differ, so that no rule may depend on them
sub mark_loose {
    my ($table) = @_;
    my $key = $table->{rule} ? $table->{rule}{key} : $table->{sameness} // return;
    my %key = map { $_ => 1 } @$key;
    $_->{filterable} = 0 for grep { !$key{ $_->{name} } && !$_->{domain} } @{ $table->{columns} };
    $_->{loose} = 1 for grep { is_beside_key($_) } @{ $table->{references} };
}

# Tables that hold no facts, in another schema or ignored
sub draw_outward {
    my ($self) = @_;
    for my $ignored (some_of(between(1, 2), 0, 1)) {
        push @{ $self->{outward} },
            { name => $ignored ? 'a queue' : 'Elsewhere', ignored => $ignored, type => pick(qw(integer text)) };
    }
}

sub new_table {
    my ($self, $kind, $name) = @_;
    $name //= shift @{ $self->{names} };
    my $table = {
        name => $name, kind => $kind, columns => [], references => [], uniques => [], guards => [], primary => undef,
        sameness => undef, column_names => [ shuffled(@COLUMN_NAMES) ]
    };
    push @{ $self->{tables} }, $table;
    return $table;
}

sub draw_table {
    my ($self) = @_;
    my @earlier = grep { keys_of($_) } @{ $self->{tables} };
    return Sameness::draw_table($self, @earlier) if $self->{tolerant} && chance(0.6);
    my $kind = @earlier
        ? weighted(surrogate => 40, natural => 12, composite => 22, onetoone => 8, bare => 10, keyless => 6,
            uuidkey => 4)
        : weighted(surrogate => 50, natural => 25, composite => 10, bare => 10, uuidkey => 5);
    my $table = $self->new_table($kind);

    add_surrogate($table) if $kind eq 'surrogate' || $kind eq 'bare';
    add_uuid_key($table) if $kind eq 'uuidkey';
    $self->add_references($table, @earlier) if @earlier;
    add_natural_key($table);
    $self->add_second_key($table) if $table->{primary} && chance(0.25) && !$self->{tolerant};
    make_indistinct($table) if $self->{tolerant} && chance(0.3);
    $self->add_payload($table);
    add_self_reference($table) if keys_of($table) && chance(@earlier ? 0.2 : 0.35);
}

# Lets facts of a side look the same, or hold a null in the key that would identify them
sub make_indistinct {
    my ($table) = @_;
    my ($unique) = @{ $table->{uniques} };
    $table->{individual} = $table->{twins} = 1 if $table->{kind} eq 'bare';
    return unless $table->{kind} eq 'surrogate' && !$unique->{nulls};
    my @values = grep { $_->{natural} } map { column($table, $_) } @{ $unique->{columns} } or return;
    $_->{not_null} = 0 for @values;
    $table->{individual} = $unique->{nullable} = 1;
}

# A table of edges, from one fact of another table to the next: what closures are made of
sub draw_edge_table {
    my ($self) = @_;
    my $target = pick(grep { keys_of($_) } @{ $self->{tables} }) // return;
    my $key = pick(keys_of($target));
    my $table = $self->new_table(weighted(composite => 4, surrogate => 3, bare => 1, keyless => 1));

    add_surrogate($table) if $table->{kind} eq 'surrogate' || $table->{kind} eq 'bare';
    add_reference($table, $target, key => $key) for 1 .. 2;
    add_natural_key($table);
    $self->add_payload($table);
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
    my $how = weighted(always => 4, bydefault => 3, serial => 3, shared => 1, coded => 1,
        $table->{kind} eq 'bare' ? () : (uuid => 2, hashed => 1));
    my $type = { uuid => 'uuid', hashed => 'uuid', coded => 'code' }->{$how} // 'integer';
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
    return add_column($table, type => Types::draw_natural(), role => 'value', filterable => 1, not_null => 1,
        natural => 1, %more);
}

sub add_payload {
    my ($self, $table) = @_;
    for (1 .. between(0, 3)) {
        add_column($table, type => Types::draw_payload(), role => 'value', filterable => 1, not_null => 0);
    }
    my @texts = grep { $_->{role} eq 'value' && $_->{type} eq 'text' } @{ $table->{columns} };
    add_generated($table, pick(@texts)) if @texts && chance(0.25);
    $self->add_outward_reference($table) if @{ $self->{outward} } && chance(0.5);
    add_column($table, type => pick(qw(integer text)), role => 'extra', rank => between(1, $RANKS - 1), not_null => 1,
        default => pick(7, 11)) if $self->{widened} && $table->{sameness} && chance(0.4);
}

# What the database works out from another column
sub add_generated {
    my ($table, $from) = @_;
    return add_column($table, type => 'text', role => 'generated', from => $from, not_null => 0);
}

# A foreign key to what is no fact
sub add_outward_reference {
    my ($self, $table) = @_;
    my $outward = pick(@{ $self->{outward} });
    add_column($table, type => $outward->{type}, role => 'value', outward => $outward, not_null => chance(0.5),
        filterable => 1);
}

#
# Keys
#

# The keys that a reference may lead to: all of their columns not null
sub keys_of {
    my ($table) = @_;
    my @keys = $table->{primary} ? ($table->{primary}) : ();
    my @fit = grep { !$_->{nulls} && !$_->{nullable} && !$_->{deferrable} } @{ $table->{uniques} };
    return (@keys, map { $_->{columns} } @fit);
}

# What addresses a row: the primary key, or else where it lies
sub address_of {
    my ($table) = @_;
    return $table->{primary} ? @{ $table->{primary} } : ();
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
}

# Another unique key, which tells the same facts apart; or something that guards the table and says nothing of the kind
sub add_second_key {
    my ($self, $table) = @_;
    my $how = weighted(key => 4, deferrable => 1, nullable => 2, generated => 1, expression => 1, partial => 1,
        exclude => 1);
    my $column = add_column($table, type => 'text', role => 'value', not_null => $how ne 'nullable', label => 1);

    $column = add_generated($table, $column) if $how eq 'generated';
    if ($how =~ /^(?:expression|partial|exclude)$/) {
        push @{ $table->{guards} }, { how => $how, column => $column };
    }
    elsif ($table->{sameness} && $table->{kind} ne 'uuidkey') {
        push @{ $table->{uniques} }, { columns => [ $column->{name} ], nulls => 0, deferrable => $how eq 'deferrable',
            nullable => !$column->{not_null} };
    }
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
        my $led_to = column($target, $to);
        add_column($table, name => $name, type => $led_to->{type}, role => 'reference', led_to => $led_to,
            not_null => !$more{nullable});
        push @columns, $name;
    }
    my $reference = { from => $table, to => $target, columns => \@columns, to_columns => [@$key], nullable => 0,
        deferrable => chance(0.1), match_full => chance(0.25), %more };
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

    if ($unique && !$unique->{nullable} && @{ $reference->{columns} } == 1 && chance(0.6)) {
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
# Types
#

# Once all tables are there: which member of its type's family each column has, by rank.  A reference has that of
# what it leads to.  Keys that are drawn anew may be narrower on a higher rank.
sub draw_widths {
    my ($self) = @_;
    for my $outward (@{ $self->{outward} }) {
        $outward->{widths} = Types::draw_widths($outward->{type}, $RANKS, 0);
    }
    for my $column (map { @{ $_->{columns} } } @{ $self->{tables} }) {
        widths_of($column, $self->{widened});
    }
    for my $column (grep { $_->{surrogate} && !$self->{tolerant} } map { @{ $_->{columns} } } @{ $self->{tables} }) {
        @{ $column->{widths} } = reverse @{ $column->{widths} } if $self->is_looked_up_only($column) && chance(0.4);
    }
    $self->{labels} = Types::draw_labels($RANKS, $self->{widened});
}

# A sequence gives bigint at most
sub widths_of {
    my ($column, $widened) = @_;
    return $column->{widths} //= $column->{led_to} ? widths_of($column->{led_to}, $widened)
        : $column->{outward} ? $column->{outward}{widths}
        :   Types::draw_widths($column->{type}, $RANKS, $widened, $column->{surrogate} ? 2 : undef);
}

# Are values of a column never taken, so that their type need not fit: generated keys, and what refers to them
# by itself?
sub is_looked_up_only {
    my ($self, $column) = @_;
    my $key = $column;
    $key = $key->{led_to} while $key->{led_to};
    return $key->{surrogate} && !grep {
        my $table = $_;
        grep {
            @{ $_->{columns} } > 1 && grep { column($table, $_)->{widths} == $key->{widths} } @{ $_->{columns} }
        } @{ $table->{references} };
    } @{ $self->{tables} };
}

# Has the higher of two ranks something that does not fit into the lower one?
sub differs_between {
    my ($self, $low, $high) = @_;
    my ($fewer, $more) = map { scalar @$_ } @{ $self->{labels} }[ $low, $high ];
    return grep {
        ($_->{rank} // 0) > $low ? $_->{rank} <= $high
            : $_->{widths}[$low] < $_->{widths}[$high] && !$self->is_looked_up_only($_) || $more > $fewer && $_->{type} =~ /^labels?$/
    } map { @{ $_->{columns} } } @{ $self->{tables} };
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
    @columns = (add_column($table, type => Types::draw_payload(), role => 'value', not_null => 0)) unless @columns;
    for my $column (some_of(between(1, 2), @columns)) {
        $column->{conflicting} = 1;
        $column->{filterable} = 0;
    }
}

1;
