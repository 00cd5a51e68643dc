# Tables whose sameness is declared, and the rule that is declared of each:
#
#   rule  { key => [name, ...], tolerances => [tolerance, ...], condition => condition or undef }
#   tolerance  { column, json, domain, share }                    Tolerance.pm
#   condition  { sql, columns => [column, ...], references => [reference, ...], holds }
#
# Two facts are the same if they are equal in the key, within tolerance in its
# columns, and the condition holds.  A column of a reference is in the key with all
# of the reference.  The columns of tolerance and condition are what handlers may
# look at; what is neither, nor in the key, may differ without anybody noticing, so
# that no rule may depend on it.
#
# Such facts have no identity that a schema would share with another: within
# their schema it is their address, their key or, where there is none, the whole row.

package Sameness;

use strict;
use warnings;
use Draw qw(chance between pick shuffled some_of weighted);
use Shape     ();
use Tolerance ();
use Types     qw(quoted literal);

my $EASY_VALUES = 4;

#
# Drawing
#

# A table with a rule
sub draw_table {
    my ($shape, @earlier) = @_;
    my $table = $shape->new_table('declared');
    my $addressed = weighted(surrogate => 10, code => 4, two => 2, row => 2);
    my $rule = $table->{rule} = { key => [], tolerances => [], condition => undef };

    $table->{individual} = $addressed ne 'row';
    Shape::add_surrogate($table) if $addressed eq 'surrogate';
    $shape->add_references($table, @earlier) if @earlier;
    draw_rule($table);
    add_codes($table, $addressed);
    add_unique_key($table) if $addressed eq 'surrogate' && chance(0.25);
    for (1 .. between(0, 2)) {
        Shape::add_column($table, type => Types::draw_payload(), role => 'value', not_null => chance(0.3));
    }
    Shape::add_self_reference($table) if Shape::keys_of($table) && chance(0.25);
    return $table;
}

# A primary key that nobody generates, and that tells the facts of one side from all others
sub add_codes {
    my ($table, $addressed) = @_;
    my $how_many = { code => 1, two => 2 }->{$addressed} or return;
    my %code = (type => 'code', role => 'value', not_null => 1, code => 1);
    my @codes = map { Shape::add_column($table, %code) } 1 .. $how_many;
    $table->{primary} = [ map { $_->{name} } @codes ];
}

# At least one of the three
sub draw_rule {
    my ($table) = @_;
    my $rule = $table->{rule};
    my @references = grep { !$_->{shadow} } @{ $table->{references} };
    my $tolerances = weighted(0 => 2, 1 => 5, 2 => 3);

    my ($one, @others) = shuffled(@references);
    my @chosen = ($one && chance(0.8) ? $one : (), grep { chance(0.25) } @others);
    push @{ $rule->{key} }, map { @{ $_->{columns} } } @chosen;
    my $fewest = @chosen || $tolerances ? 0 : 1;
    push @{ $rule->{key} }, add_rule_column($table, type => Types::draw_natural())->{name}
        for 1 .. $fewest + ($tolerances ? weighted(0 => 7, 1 => 3) : weighted(0 => 3, 1 => 3, 2 => 1));
    while (@{ $rule->{tolerances} } < $tolerances) {
        my $tolerance = Tolerance::draw(pick(Tolerance::kinds()));
        next if $tolerance->{alone} && $tolerances > 1;
        my %column = map { $_ => $tolerance->{$_} } qw(type domain);
        push @{ $rule->{tolerances} }, { %$tolerance, column => add_rule_column($table, %column, filterable => 1) };
    }
    $rule->{condition} = draw_condition($table, grep { !$_->{nullable} || chance(0.5) } @references) if chance(0.25);
    @{ $rule->{key} } = shuffled(@{ $rule->{key} });
}

sub add_rule_column {
    my ($table, %column) = @_;
    my $domain = $column{domain} //= easy_domain($column{type});
    return Shape::add_column($table, role => 'value', not_null => chance(0.6), %column, domain => $domain);
}

# A few values of a type
sub easy_domain {
    my ($type) = @_;
    my %seen;
    return [ grep { !$seen{$_}++ } map { Types::value($type, $EASY_VALUES) } 1 .. $EASY_VALUES ];
}

# A unique key of what the rule looks at: facts that are equal there are the same anyway
sub add_unique_key {
    my ($table) = @_;
    my $rule = $table->{rule};
    my @tolerances = @{ $rule->{tolerances} };
    return if $rule->{condition} || !@tolerances || grep { $_->{irreflexive} } @tolerances;
    my @columns = columns_looked_at($table);
    return if grep { Types::is_opaque(Shape::column($table, $_)->{type}) } @columns;
    push @{ $table->{uniques} }, { columns => [ shuffled(@columns) ], nulls => 0,
        nullable => scalar grep { !Shape::column($table, $_)->{not_null} } @columns };
}

sub in_key {
    my ($table, @names) = @_;
    my %key = map { $_ => 1 } @{ $table->{rule}{key} };
    return !grep { !$key{$_} } @names;
}

#
# Conditions
#

sub draw_condition {
    my ($table, @references) = @_;
    return draw_reference_condition(pick(@references)) if @references && chance(0.25);
    my $column = add_rule_column($table, type => 'integer', domain => [ 1 .. 6 ], filterable => 1);
    my ($s, $d) = map { "$_." . quoted($column->{name}) } qw(source destination);
    my ($sql, $holds) = @{ pick(
        [ "$s = $d", sub { defined $_[0] && defined $_[1] && $_[0] == $_[1] } ],
        [ "$s <= $d", sub { defined $_[0] && defined $_[1] && $_[0] <= $_[1] } ],
        [ "abs($s - $d) <= 2", sub { defined $_[0] && defined $_[1] && abs($_[0] - $_[1]) <= 2 } ],
        [ "$s IS NOT DISTINCT FROM $d", sub { ($_[0] // 0) == ($_[1] // 0) } ],
        [ "$s + $d > 5 OR $s IS NULL", sub { !defined $_[0] || defined $_[1] && $_[0] + $_[1] > 5 } ],
        [ "coalesce($d, 1) > 2", sub { ($_[1] // 1) > 2 } ],
    ) };
    my $name = $column->{name};
    return { sql => $sql, columns => [$column], references => [],
        holds => sub { my ($s, $d) = @_; $holds->($s->{values}{$name}, $d->{values}{$name}) } };
}

# What the source's reference leads to is already a fact of the destination
sub draw_reference_condition {
    my ($reference) = @_;
    my ($sql, $nulls) = @{ pick([ '%s = %s', 0 ], [ '%s IS NOT DISTINCT FROM %s', 1 ]) };
    my @sql = map { sprintf $sql, 'source.' . quoted($_), 'destination.' . quoted($_) } @{ $reference->{columns} };
    return { sql => join(' AND ', @sql), columns => [], references => [$reference],
        holds => sub {
            my ($s, $d, $image) = @_;
            my ($one, $other) = ($s->{refs}{ $reference->{name} }, $d->{refs}{ $reference->{name} });
            return $nulls && !$one && !$other unless $one && $other;
            return ($image->($one) // 0) == $other;
        } };
}

#
# The rule
#

# How far a fact of the source is from one of the destination, as a sum of shares; undef if they are not the same.
# What a fact of the source that the first refers to has become is asked of $image.
sub farness {
    my ($s, $d, $image) = @_;
    my ($table, $sum) = ($s->{table}, 0);
    my $rule = $table->{rule};

    return unless equal_in_key($s, $d, $image);
    for my $tolerance (@{ $rule->{tolerances} }) {
        my ($ours, $theirs) = map { $_->{values}{ $tolerance->{column}{name} } } $s, $d;
        return unless defined $ours && defined $theirs;
        my $share = $tolerance->{share}->($ours, $theirs) // return;
        $sum += $share;
    }
    return if $rule->{condition} && !$rule->{condition}{holds}->($s, $d, $image);
    return $sum;
}

sub equal_in_key {
    my ($s, $d, $image) = @_;
    my $table = $s->{table};
    for my $name (@{ $table->{rule}{key} }) {
        next if Shape::column($table, $name)->{role} ne 'value';
        my ($ours, $theirs) = map { $_->{values}{$name} } $s, $d;
        return 0 unless defined $ours && defined $theirs && $ours eq $theirs;
    }
    for my $reference (key_references($table)) {
        my ($ours, $theirs) = map { $_->{refs}{ $reference->{name} } } $s, $d;
        return 0 unless $ours && $theirs && ($image->($ours) // 0) == $theirs;
    }
    return 1;
}

# The names of the columns that the rule is about, if there is one
sub columns_looked_at {
    my ($table) = @_;
    my $rule = $table->{rule} or return;
    my $condition = $rule->{condition} // { columns => [], references => [] };
    my %seen;
    return grep { !$seen{$_}++ } @{ $rule->{key} }, (map { $_->{column}{name} } @{ $rule->{tolerances} }),
        (map { $_->{name} } @{ $condition->{columns} }), map { @{ $_->{columns} } } @{ $condition->{references} };
}

sub key_references {
    my ($table) = @_;
    return grep { !$_->{shadow} && in_key($table, @{ $_->{columns} }) } @{ $table->{references} };
}

#
# SQL
#

# What declares the rules of a schema's tables
sub declare {
    my ($schema, $shape) = @_;
    return map { declaration($schema, $_, $_->{rule}) } grep { $_->{rule} } @{ $shape->{tables} };
}

sub declaration {
    my ($schema, $table, $rule) = @_;
    my @key = map { literal($_) } @{ $rule->{key} };
    my @tolerances = map { tolerance_json($_) } @{ $rule->{tolerances} };
    my @arguments = literal(quoted($schema) . '.' . quoted($table->{name}));
    push @arguments, 'key => ARRAY[' . join(', ', @key) . ']::name[]' if @key;
    push @arguments, 'tolerance => ' . literal('{' . join(', ', @tolerances) . '}') if @tolerances;
    push @arguments, 'condition => ' . literal($rule->{condition}{sql}) if $rule->{condition};
    return 'SELECT factmerge_set_sameness(' . join(', ', @arguments) . ')';
}

sub tolerance_json {
    my ($tolerance) = @_;
    my $name = $tolerance->{column}{name} =~ s/(["\\])/\\$1/gr;
    return qq("$name": $tolerance->{json});
}

1;
