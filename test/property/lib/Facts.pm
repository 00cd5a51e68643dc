# The facts of a seed: a small universe, and the part of it that each side knows.
#
# The universe is drawn once.  A side knows some of its facts and everything
# that these refer to, so that two sides share facts and still have facts of
# their own.  Facts are model facts (Fact.pm): the same fact of two sides is the
# same object here, whatever keys the schemas give it.

package Facts;

use strict;
use warnings;
use Draw qw(chance between pick shuffled weighted uuid);
use Fact   ();
use Oracle ();
use Types  ();

my $MOST_FACTS = 400;

# Draws a universe for a shape, with what its rules derive not too large
sub draw {
    my ($class, $shape, $rules) = @_;
    for my $scale (1, 0.6, 0.4, 0.25, 0.1) {
        my $self = bless { shape => $shape, facts => [], of => {}, known => {} }, $class;
        $self->draw_universe($scale);
        my $saturated = Oracle::saturated($rules, $self->{facts}, $MOST_FACTS);
        return $self if $saturated && @$saturated <= $MOST_FACTS || $scale == 0.1;
    }
}

# In rounds, so that references inside a circle of tables find facts to lead to
sub draw_universe {
    my ($self, $scale) = @_;
    my @tables = grep { $_->{kind} ne 'derived' } @{ $self->{shape}{tables} };
    my %wanted;

    # Few facts to refer to and many that refer to them make many pairs; about as many make long paths
    my $sparse = $self->{sparse} = chance($self->{shape}{tolerant} ? 0.25 : 0.5);
    for my $table (@tables) {
        my $full = @{ $table->{references} } ? between(14, $sparse ? 24 : 36) : $sparse ? between(8, 18) : between(3, 8);
        $wanted{ $table->{name} } = 1 + int($scale * $full);
    }

    for my $round (1 .. 3) {
        for my $table (@tables) {
            $self->draw_fact($table) for 1 .. 1 + $wanted{ $table->{name} } / 3;
        }
    }
    $self->draw_asserted($_) for grep { $_->{kind} eq 'derived' && chance(0.2) } @{ $self->{shape}{tables} };
    $self->tie_cycles;
}

# One more fact, if what was drawn is one and is new
sub draw_fact {
    my ($self, $table) = @_;
    my (%values, %refs, %halves, %last);

    for my $reference (grep { !$_->{shadow} } @{ $table->{references} }) {
        my @choices = @{ $self->{of}{ $reference->{to}{name} } // [] };
        my $none = $reference->{nullable} && (!@choices || chance(0.25));
        return unless @choices || $none;
        my $which = between(0, $#choices);
        # From a fact to the next one: an edge of a path
        $which = ($last{ $reference->{to}{name} } + 1) % @choices
            if $self->{sparse} && defined $last{ $reference->{to}{name} } && chance(0.7);
        $last{ $reference->{to}{name} } = $which;
        $refs{ $reference->{name} } = $none ? undef : $choices[$which];
        my $half = $none && chance(0.3) && half_of($reference);
        $halves{ $half->{name} } = $self->draw_value($half->{led_to}) if $half;
    }
    for my $column (grep { $_->{role} eq 'value' } @{ $table->{columns} }) {
        $values{ $column->{name} } = $self->draw_value($column);
    }
    $self->add(Fact->new(table => $table, values => \%values, refs => \%refs, halves => \%halves));
}

# The column of a composite reference, if any, that may hold a value although the reference leads nowhere
sub half_of {
    my ($reference) = @_;
    my $table = $reference->{from};
    return if @{ $reference->{columns} } == 1 || $reference->{match_full} || !$table->{sameness};
    return if grep { $_->{shadow} && $_->{shadow}{of} == $reference } @{ $table->{references} };
    my %in_key = map { $_ => 1 } map { @$_ } $table->{sameness}, Shape::keys_of($table);
    my ($half) = grep { $_->{led_to}{role} eq 'value' && !$in_key{ $_->{name} } }
        map { Shape::column($table, $_) } @{ $reference->{columns} };
    return $half;
}

sub add {
    my ($self, $fact) = @_;
    return if $self->{known}{ $fact->identity }++;
    push @{ $self->{facts} }, $fact;
    push @{ $self->{of}{ $fact->{table}{name} } }, $fact;
}

# As PostgreSQL would write it.  Values that are part of a narrow key are few.
sub draw_value {
    my ($self, $column) = @_;

    return $column->{constant} if defined $column->{constant};
    return uuid() if $column->{uuid_key};
    return '' if $column->{code};
    return undef if !$column->{not_null} && chance(0.2);
    return 'label ' . ++$self->{labels} if $column->{label};
    return pick(@{ $column->{domain} }) . '' if $column->{domain};
    return Types::value($column->{type}, $column->{wide} ? 40 : $column->{natural} ? 6 : 12);
}

# A few facts of a derived table that somebody simply states
sub draw_asserted {
    my ($self, $table) = @_;
    return if grep { $_->{to}{kind} eq 'derived' } @{ $table->{references} };
    $self->draw_fact($table) for 1 .. between(1, 3);
}

# References that may lead anywhere, also to facts that come later
sub tie_cycles {
    my ($self) = @_;
    for my $fact (@{ $self->{facts} }) {
        for my $reference (grep { $_->{cyclic} } @{ $fact->{table}{references} }) {
            $fact->{refs}{ $reference->{name} } = pick(@{ $self->{of}{ $reference->{to}{name} } }) if chance(0.4);
        }
    }
}

#
# Sides
#

# { facts => [in the universe's order], contradicted => { identity => { column => value } } }; all of it within another
# side, if one is given
sub draw_side {
    my ($self, $share, $within) = @_;
    $share //= weighted(0.25 => 3, 0.4 => 5, 0.6 => 3, 0.9 => 1, 0.1 => 1, 0 => 0.15, 1 => 0.3);
    my %chosen;
    for my $fact (@{ ($within // $self)->{facts} }) {
        choose($fact, \%chosen) if chance($share);
    }
    my @facts = grep { $chosen{ $_->identity } } @{ $self->{facts} };
    return { facts => \@facts, contradicted => $self->draw_contradictions(@facts) };
}

# Takes a fact and all that it refers to
sub choose {
    my ($fact, $chosen) = @_;
    return if $chosen->{ $fact->identity }++;
    choose($_, $chosen) for $fact->referred;
}

# What a side believes differently from the universe, in columns that may contradict
sub draw_contradictions {
    my ($self, @facts) = @_;
    my %contradicted;
    for my $fact (@facts) {
        for my $column (grep { $_->{conflicting} } @{ $fact->{table}{columns} }) {
            $contradicted{ $fact->identity }{ $column->{name} } = $self->draw_value($column) if chance(0.3);
        }
    }
    return \%contradicted;
}

# The union of sides; of contradicting ones, the first has its way
sub union {
    my ($self, @sides) = @_;
    my (%chosen, %contradicted);
    for my $side (reverse @sides) {
        $chosen{ $_->identity } = 1 for @{ $side->{facts} };
        $contradicted{$_} = $side->{contradicted}{$_} for keys %{ $side->{contradicted} };
    }
    return { facts => [ grep { $chosen{ $_->identity } } @{ $self->{facts} } ], contradicted => \%contradicted };
}

1;
