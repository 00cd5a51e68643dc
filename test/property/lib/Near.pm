# The sides of a seed with tolerance: what each of them makes of the universe.
#
# Everybody saw the same, but nobody wrote it down exactly.  A side's version of a
# fact of a declared table (Sameness.pm) is a new fact, near the original or not so
# near; its versions of other facts are the same but for what they refer to.

package Near;

use strict;
use warnings;
use Draw qw(chance pick);
use Fact  ();
use Shape ();

# The versions that the side called $name has, of facts in the order of the universe, in two parts, if some come later.
# The second part lacks no fact that the first one refers to.
sub draw_versions {
    my ($facts, $name, $side, $late) = @_;
    my $self = bless { facts => $facts, name => $name, version => {}, twin => {}, taken => {}, codes => 0 }, __PACKAGE__;
    my @parts = ([ map { $self->versions($_) } @{ $side->{facts} } ]);
    $self->tie_cycles($side->{facts});
    if ($late) {
        my $more = $facts->draw_side(0.5);
        my @later = grep { !exists $self->{version}{ $_->identity } } @{ $more->{facts} };
        push @parts, [ map { $self->versions($_) } @later ];
        $self->tie_cycles(\@later);
    }
    return map { { facts => $_, contradicted => {} } } @parts;
}

# One, none if it refers to a fact that there is no version of or cannot be beside the others; or two that look the same
sub versions {
    my ($self, $original) = @_;
    my $version = $self->version($original) or return;
    return $version unless $original->{table}{twins} && chance(0.25);
    my $twin = $self->{twin}{ $original->identity } = Fact->new(map { $_ => $version->{$_} } qw(table values refs));
    return ($version, $twin);
}

sub version {
    my ($self, $original) = @_;
    my $table = $original->{table};
    my %refs;
    $self->{version}{ $original->identity } = undef;
    for my $reference (grep { !$_->{shadow} && !$_->{cyclic} } @{ $table->{references} }) {
        my $to = $original->{refs}{ $reference->{name} } or next;
        my $version = pick(grep { defined } map { $self->{$_}{ $to->identity } } qw(version twin));
        return unless $version || $reference->{nullable};
        $refs{ $reference->{name} } = $version;
    }
    for my $values ($table->{rule} ? $self->varied($original) : (), $self->coded($original)) {
        my $version = Fact->new(table => $table, values => $values, refs => {%refs});
        return $self->{version}{ $original->identity } = $version if $self->has_room_for($version);
    }
    return;
}

# References to facts that come later
sub tie_cycles {
    my ($self, $originals) = @_;
    for my $original (grep { $self->{version}{ $_->identity } } @$originals) {
        for my $reference (grep { $_->{cyclic} } @{ $original->{table}{references} }) {
            my $to = $original->{refs}{ $reference->{name} } or next;
            $self->{version}{ $original->identity }{refs}{ $reference->{name} } = $self->{version}{ $to->identity };
        }
    }
}

# The original's values, under a key of the side's own
sub coded {
    my ($self, $original) = @_;
    my %values = %{ $original->{values} };
    $values{ $_->{name} } = $self->{name} . ++$self->{codes} for grep { $_->{code} } @{ $original->{table}{columns} };
    return \%values;
}

# Others, most of them not far
sub varied {
    my ($self, $original) = @_;
    my $table = $original->{table};
    my $values = $self->coded($original);
    my %near = map { $_->{column}{name} => 1 } @{ $table->{rule}{tolerances} };
    my %key = map { $_ => 1 } @{ $table->{rule}{key} };

    for my $column (grep { $_->{role} eq 'value' && !$_->{code} } @{ $table->{columns} }) {
        my $name = $column->{name};
        if ($near{$name} && defined $values->{$name} && chance(0.7)) {
            $values->{$name} = neighbour($values->{$name}, @{ $column->{domain} });
        }
        elsif (chance($near{$name} ? 0.06 : $key{$name} ? 0.04 : 0.25)) {
            $values->{$name} = $self->{facts}->draw_value($column);
        }
    }
    return $values;
}

# Not far in the order of the domain
sub neighbour {
    my ($value, @domain) = @_;
    my ($place) = grep { $domain[$_] eq $value } 0 .. $#domain;
    my $other = $place + pick(-2, -1, 1, 2);
    return $other < 0 || $other > $#domain ? $value : $domain[$other];
}

# Do the keys of the table allow for it?
sub has_room_for {
    my ($self, $fact) = @_;
    my $table = $fact->{table};
    my %values = %{ $fact->{values} };
    for my $reference (grep { !$_->{shadow} } @{ $table->{references} }) {
        my $to = $fact->{refs}{ $reference->{name} };
        $values{$_} = $to && $to->identity for @{ $reference->{columns} };
    }
    my @texts = $table->{individual} ? () : $fact->identity;
    # Generated keys and nulls make room by themselves
    for my $key ($table->{primary} // (), map { $_->{columns} } @{ $table->{uniques} }) {
        push @texts, join "\0", "@$key", @values{@$key} unless grep { !defined } @values{@$key};
    }
    return if grep { $self->{taken}{ $table->{name} }{$_} } @texts;
    $self->{taken}{ $table->{name} }{$_} = 1 for @texts;
    return 1;
}

1;
