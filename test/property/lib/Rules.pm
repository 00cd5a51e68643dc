# What follows from the facts: derived tables, the rules that fill them, and the
# handlers that carry the rules out.
#
# A rule reads: whenever a fact of one table and a fact of another refer to the
# same fact, then a derived fact holds for the two, or for facts that they refer
# to.  All of it lies within two references, which is what friends cover.
#
#   rule  { target, atoms => [atom, ...], ends => [end, end] }
#   atom  { table, via, filters, by }    a fact that a derivation is made of
#   end   { atom, reference, key }   what the derived fact refers to: where a reference of
#                                    the atom leads, or the atom itself by one of its keys
#
# The first two atoms meet in the fact that `via` leads to.  A third atom is the
# shared fact itself, asked for by name: there if it is filtered, or if the first
# two refer to it by different keys.  A rule with a single atom just puts down
# what one fact says (the edges of a closure).
#
#   filter  { column, operator, value }
#   handler { rule, atom (its position), table, how, style, name, found_from, priority, in_when }
#
# A handler hangs on each atom that may arrive last.  It is a row-level or a
# statement-level trigger, or a declared function that returns nothing or the
# rows of the target.  Now and then a function hangs on the shared fact alone, and
# is declared as found from this one.

package Rules;

use strict;
use warnings;
use Draw qw(chance between pick weighted);
use Shape ();

# Adds derived tables, rules and handlers to a shape
sub draw {
    my ($class, $shape) = @_;
    my $self = bless { shape => $shape, rules => [], handlers => [], functions => chance(0.5) }, $class;
    my $derived = weighted(1 => 3, 2 => 2);

    for (1 .. $derived) {
        chance($shape->{tolerant} ? 0.2 : 0.7) && $self->draw_closure or $self->draw_meeting;
    }
    $self->hang_handlers($_) for @{ $self->{rules} };
    return $self;
}

# The same with nothing but one rule that compares values; undef if no two tables have values to compare
sub draw_coincidence {
    my ($class, $shape) = @_;
    my $self = bless { shape => $shape, rules => [], handlers => [], functions => chance(0.3) }, $class;
    my @columns = map { my $table = $_; map { [ $table, $_ ] } grep { is_comparable($_) } @{ $table->{columns} } }
        @{ $shape->{tables} };
    my $left = pick(@columns) // return;
    my @fellows = grep { $_->[1]{type} eq $left->[1]{type} } @columns;
    my $right = chance(0.6) ? $left : pick(@fellows);
    my @atoms = map { { table => $_->[0], via => undef, by => $_->[1], filters => draw_filters($_->[0]) } } $left, $right;
    my @ends = map { draw_end($_, $atoms[$_]) } 0, 1;
    return if grep { !$_->{reference} && !$_->{key} } @ends;
    my $target = $self->draw_derived_table(\@atoms, @ends);
    $self->hang_handlers($self->add_rule($target, \@atoms, \@ends));
    return $self;
}

sub is_comparable {
    my ($column) = @_;
    return $column->{role} eq 'value' && $column->{type} =~ /^(?:integer|text|date)$/ && $column->{filterable} && !$column->{outward};
}

#
# Rules
#

# Facts that meet in a third one
sub draw_meeting {
    my ($self) = @_;
    my ($left, $right) = $self->draw_meeting_point or return;
    my @atoms = map { { table => $_->{from}, via => $_, filters => draw_filters($_->{from}) } } $left, $right;
    my @ends = map { draw_end($_, $atoms[$_]) } 0, 1;
    my $target = $self->draw_derived_table(\@atoms, @ends);

    $self->add_rule($target, \@atoms, \@ends);
    return $target;
}

# Two references to one table; often the same one, or both of the same table
sub draw_meeting_point {
    my ($self) = @_;
    my @references = grep { !$_->{shadow} && !$_->{loose} } map { @{ $_->{references} } } @{ $self->{shape}{tables} };
    my %leading_to;
    push @{ $leading_to{ $_->{to}{name} } }, $_ for @references;
    return unless @references;

    # Where samenesses are declared, preferably where that matters
    my @near = grep { $_->{from}{rule} || $_->{to}{rule} } @references;
    my $left = pick(@near && chance(0.8) ? @near : @references);
    my @fellows = @{ $leading_to{ $left->{to}{name} } };
    my @others = grep { $_ != $left } @fellows;
    return ($left, @others && chance(0.75) ? pick(@others) : $left);
}

# The transitive closure of an edge table: two references by one key
sub draw_closure {
    my ($self) = @_;
    my @edges;
    for my $table (@{ $self->{shape}{tables} }) {
        my @references = grep { !$_->{cyclic} && !$_->{shadow} && !$_->{loose} && $_->{to} != $table }
            @{ $table->{references} };
        for my $from (@references) {
            push @edges, map { [ $from, $_ ] } grep { $_ != $from && same_key($from, $_) } @references;
        }
    }
    return unless @edges;

    my ($from, $to) = @{ pick(@edges) };
    my $edge = $from->{from};
    my $filters = draw_filters($edge);
    my $base = { table => $edge, via => undef, filters => $filters };
    my @ends = map { { atom => 0, reference => $_ } } $from, $to;
    my $target = $self->draw_derived_table([$base], @ends);
    my ($x, $y) = @{ $target->{references} };
    my $path = { table => $target, via => $y, filters => [] };

    $self->add_rule($target, [$base], \@ends);
    if (chance(0.6)) {
        my $step = { table => $edge, via => $from, filters => $filters };
        $self->add_rule($target, [ $path, $step ], [ { atom => 0, reference => $x }, { atom => 1, reference => $to } ]);
    }
    else {
        my $more = { table => $target, via => $x, filters => [] };
        $self->add_rule($target, [ $path, $more ], [ { atom => 0, reference => $x }, { atom => 1, reference => $y } ]);
    }
    return $target;
}

sub same_key {
    my ($one, $other) = @_;
    return $one->{to} == $other->{to} && "@{ $one->{to_columns} }" eq "@{ $other->{to_columns} }";
}

# The atom's own fact if it can be referred to, or one that it refers to
sub draw_end {
    my ($position, $atom) = @_;
    my $table = $atom->{table};
    my @ends = map { { atom => $position, reference => $_ } }
        grep { !$_->{cyclic} && !$_->{shadow} && !$_->{loose} && $_ != ($atom->{via} // 0) } @{ $table->{references} };
    my @keys = Shape::keys_of($table);
    push @ends, ({ atom => $position, reference => undef, key => pick(@keys) }) x (1 + @ends) if @keys;
    push @ends, { atom => $position, reference => $atom->{via} } if !@ends;
    return pick(@ends);
}

sub draw_filters {
    my ($table) = @_;
    my @columns = grep { $_->{filterable} } @{ $table->{columns} };
    return [] unless @columns && chance($table->{rule} ? 0.8 : 0.3);
    my $column = pick(@columns);
    my @filter = $column->{domain}        ? draw_filter_of($column->{type}, @{ $column->{domain} })
        : $column->{type} eq 'integer'    ? (pick('<', '>', '<>'), between(2, 9))
        : $column->{type} eq 'boolean'        ? ('=', pick('true', 'false'))
        : $column->{type} eq 'text'           ? ('<>', 'w' . between(1, 9))
        :                                       ('IS NOT NULL', undef);
    return [ { column => $column->{name}, operator => $filter[0], value => $filter[1] } ];
}

# One that about half of the values of a domain pass, and often only one of two neighbours
sub draw_filter_of {
    my ($type, @domain) = @_;
    my @finite = grep { !/NaN|nfinity/ } @domain;
    my $middle = $finite[ $#finite / 2 + between(-1, 1) ];
    return ('% 2 =', 0) if $type eq 'integer' && chance(0.6);
    return ('% 0.5 =', 0) if $type eq 'decimal' && chance(0.6);
    return (pick('<', '>'), $middle) if $type =~ /^(?:integer|decimal|real|date|moment|instant)$/;
    return ('<>', $middle) if $type eq 'text' || $type eq 'money';
    return ('IS NOT NULL', undef);
}

# A table of pairs: keyed by the pair, with or without a surrogate key beside
sub draw_derived_table {
    my ($self, $atoms, @ends) = @_;
    my $table = $self->{shape}->new_table('derived');
    Shape::add_surrogate($table) if chance(0.5);
    for my $end (@ends) {
        my $to = $end->{reference} ? $end->{reference}{to} : $atoms->[ $end->{atom} ]{table};
        my $key = $end->{reference} ? $end->{reference}{to_columns} : $end->{key};
        Shape::add_reference($table, $to, key => $key);
    }
    my @pair = map { @{ $_->{columns} } } @{ $table->{references} };
    if ($table->{primary}) {
        push @{ $table->{uniques} }, { columns => \@pair, nulls => 0 };
    }
    else {
        $table->{primary} = \@pair;
    }
    $table->{sameness} = \@pair;
    Shape::add_column($table, type => 'text', role => 'value', not_null => 1, constant => 'so') if chance(0.2);
    return $table;
}

sub add_rule {
    my ($self, $target, $atoms, $ends) = @_;
    my $rule = { target => $target, atoms => $atoms, ends => $ends };

    if (@$atoms == 2 && !$atoms->[0]{by}) {
        my ($left, $right) = @$atoms;
        my $filters = draw_filters($left->{via}{to});
        push @$atoms, { table => $left->{via}{to}, via => undef, filters => $filters }
            if @$filters || !same_key($left->{via}, $right->{via}) || chance(0.1);
    }
    push @{ $self->{rules} }, $rule;
    return $rule;
}

#
# Handlers
#

sub hang_handlers {
    my ($self, $rule) = @_;

    if ($self->{functions} && @{ $rule->{atoms} } == 3 && chance(0.3) && $self->may_hang_on_one($rule)) {
        $self->add_handler($rule, 2, 'this');
        return;
    }
    for my $position (0 .. $#{ $rule->{atoms} }) {
        next if $position == 2 && !$self->shared_fact_may_come_last($rule) && chance(0.6);
        $self->add_handler($rule, $position, 'any');
    }
}

# Whoever refers to the shared fact arrives after it, unless the check waits for the end of the transaction
sub shared_fact_may_come_last {
    my ($self, $rule) = @_;
    return grep { $_->{via}{cyclic} } @{ $rule->{atoms} }[ 0, 1 ];
}

# Found from the shared fact alone: only where nobody but the sides adds facts to the other two
sub may_hang_on_one {
    my ($self, $rule) = @_;
    my ($left, $right, $shared) = map { $_->{table} } @{ $rule->{atoms} };
    return 0 if grep { $_->{kind} eq 'derived' } $left, $right;
    return !grep { $_->{table} == $shared } @{ $self->{handlers} };
}

sub add_handler {
    my ($self, $rule, $position, $found_from) = @_;
    my $derived = $rule->{atoms}[$position]{table}{kind} eq 'derived';
    my $function = $found_from eq 'this' || $self->{functions} && chance($derived ? 0.7 : 0.5);
    my $number = 1 + @{ $self->{handlers} };
    push @{ $self->{handlers} },
        {
        rule => $rule, atom => $position, table => $rule->{atoms}[$position]{table}, found_from => $found_from,
        how      => $function ? pick('void', 'setof') : pick('row', 'statement'),
        style    => pick('qualified', 'bare', 'path'),
        name     => pick("h$number", "Handler $number"),
        priority => between(-2, 2),
        in_when  => chance(0.5),
        };
}

# The handlers of a table, of all kinds
sub handlers_of {
    my ($self, $table) = @_;
    return grep { $_->{table} == $table } @{ $self->{handlers} };
}

1;
