# Which fact of the source is which fact of the destination, by the definition.
#
# Tables are walked parents first, as far as references go in one direction; tables
# that refer to each other in a circle are walked together, level by level.  In each:
#
# - a fact of a table with a declared rule is compared with every fact of the
#   destination.  What an earlier merge copied, or mapped where the rule still
#   holds, is known; else the nearest is the one, then that with the lowest key;
# - any other is looked up by its sameness, in which a reference stands for what
#   the fact that it leads to has become.  Of several that are equal, the known one
#   comes before the lowest;
# - where there is no key, or a null leaves it incomplete, the whole row is compared,
#   and the first of those that look the same is the first of the other side, the
#   second the second, but for those that an earlier merge has mapped; a uuid that the
#   database has drawn says by itself which fact it is;
# - what is left is copied.  Of those that differ in what they refer to, and no
#   more since that has become one, the lowest is copied, and the others fold into it.
#
#   counterparts  { image   fact of the source => fact of the destination, or copy
#                   kind    fact of the source => matched, copied or folded
#                   copies  [fact, ...] }
#
# Facts are compared as objects (Fact.pm), those of a side never being read twice.

package Counterparts;

use strict;
use warnings;
use List::Util   qw(first);
use Scalar::Util qw(refaddr);
use Fact     ();
use Sameness ();
use Shape    ();

my $TIE = 1e-9;

# known is a function that gives the fact of the destination that an earlier merge mapped a fact to, or undef; earlier
# has the merges of this source
sub work_out {
    my ($class, %what) = @_;
    my $self = bless { %what, image => {}, kind => {}, copies => [] }, $class;
    for my $component (components(@{ $self->{shape}{tables} })) {
        my %among = map { refaddr($_) => 1 } @$component;
        my @facts = sort { $a->{order} <=> $b->{order} } grep { $among{ refaddr($_->{table}) } } @{ $self->{source} };
        $self->index_table($_) for @$component;
        $self->match_levels(@facts);
        $self->copy_levels(grep { !$self->image($_) } @facts);
    }
    $self->point_copies;
    return $self;
}

sub image {
    my ($self, $fact) = @_;
    return $self->{image}{ refaddr $fact };
}

sub kind {
    my ($self, $fact) = @_;
    return $self->{kind}{ refaddr $fact };
}

sub settle {
    my ($self, $fact, $image, $kind) = @_;
    $self->{image}{ refaddr $fact } = $image;
    $self->{kind}{ refaddr $fact } = $kind;
    return 1;
}

# Tables that reach each other, referenced ones before those that refer to them
sub components {
    my (@tables) = @_;
    my %reach = map { my $t = $_; refaddr($t) => { map { refaddr($_->{to}) => 1 } @{ $t->{references} } } } @tables;
    for my $over (map { refaddr $_ } @tables) {
        for my $from (grep { $_->{$over} } values %reach) {
            @$from{ keys %{ $reach{$over} } } = (1) x keys %{ $reach{$over} };
        }
    }
    my $together = sub {
        my ($one, $other) = map { refaddr $_ } @_;
        return $one == $other || $reach{$one}{$other} && $reach{$other}{$one};
    };
    my (@components, %placed);
    while (my @left = grep { !$placed{ refaddr $_ } } @tables) {
        for my $table (@left) {
            my @component = grep { $together->($table, $_) } @left;
            my %inside = map { refaddr($_) => 1 } @component;
            next if grep { !$placed{$_} && !$inside{$_} } map { keys %{ $reach{ refaddr $_ } } } @component;
            push @components, \@component;
            $placed{ refaddr $_ } = 1 for @component;
            last;
        }
    }
    return @components;
}

#
# Matching
#

# The destination's facts of a table, lowest first, and by what identifies them
sub index_table {
    my ($self, $table) = @_;
    my @facts = sort { $a->{own_order} <=> $b->{own_order} } grep { $_->{table} == $table } @{ $self->{destination} };
    my (%by_key, %by_row);
    for my $fact ($table->{rule} ? () : @facts) {
        push @{ $by_row{ whole_row($fact, sub { $_[0] }) } }, $fact if lacks_key($fact);
        my $key = key_text($fact, sub { $_[0] });
        $by_key{$key} //= $fact if defined $key;
    }
    $self->{by_row}{ $table->{name} } = \%by_row;
    $self->find_equals($table) unless $table->{rule};
    $self->{facts_of}{ $table->{name} } = \@facts;
    $self->{by_key}{ $table->{name} } = \%by_key;
}

# Of the source's facts without a key, those that look the same
sub find_equals {
    my ($self, $table) = @_;
    my %equals;
    for my $fact (sort { $a->{own_order} <=> $b->{own_order} } grep { $_->{table} == $table && lacks_key($_) } @{ $self->{source} }) {
        my $equals = $equals{ whole_row($fact, sub { $_[0] }) } //= [];
        push @$equals, $fact;
        $self->{equals}{ refaddr $fact } = $equals;
    }
}

sub match_levels {
    my ($self, @facts) = @_;
    my $news = 1;
    while ($news) {
        $news = 0;
        for my $fact (grep { !$self->image($_) && $self->is_ready($_) } @facts) {
            my $match = $self->match($fact) or next;
            $news = $self->settle($fact, $match, 'matched');
        }
    }
}

# Is it known what all has become that the sameness of a fact goes through?
sub is_ready {
    my ($self, $fact) = @_;
    return !grep { $_ && !$self->image($_) } led_to($fact, compared_references($fact));
}

# What some references of a fact lead to, undef for those that lead nowhere
sub led_to {
    my ($fact, @references) = @_;
    return map { $fact->{refs}{ $_->{name} } } @references;
}

sub compared_references {
    my ($fact) = @_;
    my $table = $fact->{table};
    return all_references($table) if lacks_key($fact);
    my $rule = $table->{rule} or return @{ Fact::parts_of($table)->{key_references} };
    return (Sameness::key_references($table), $rule->{condition} ? @{ $rule->{condition}{references} } : ());
}

sub match {
    my ($self, $fact) = @_;
    my $table = $fact->{table};
    if ($table->{rule}) {
        return $self->known_copy($fact) // $self->nearest($fact) if $table->{primary};
        return $self->nearest($fact) // $self->known_copy($fact);
    }
    return $self->known_copy($fact) // $self->by_uuid($fact) if lacks_key($fact) && has_uuid($table);
    return $self->equal_fact($fact) if lacks_key($fact);
    my $key = key_text($fact, sub { $self->image($_[0]) });
    my $known = $self->{known}->($fact);
    return $known if $known && $key eq (key_text($known, sub { $_[0] }) // '');
    return $self->{by_key}{ $table->{name} }{$key};
}

# All that the rule finds: [fact of the destination, how far it is], lowest first
sub candidates {
    my ($self, $fact) = @_;
    my @candidates;
    for my $other (@{ $self->{facts_of}{ $fact->{table}{name} } }) {
        my $farness = Sameness::farness($fact, $other, sub { $self->image($_[0]) });
        push @candidates, [ $other, $farness ] if defined $farness;
    }
    return @candidates;
}

# What an earlier merge found, else the nearest, else the lowest
sub nearest {
    my ($self, $fact) = @_;
    my $known = $self->{known}->($fact);
    my $best;
    for my $candidate ($self->candidates($fact)) {
        return $known if $known && $candidate->[0] == $known;
        $best = $candidate if !$best || $candidate->[1] < $best->[1] - $TIE;
    }
    return $best && $best->[0];
}

# What an earlier merge copied it to is this fact, even if the rule does not hold of a fact and itself.  Where nothing
# tells the copies apart, it is the first that looks the same.
sub known_copy {
    my ($self, $fact) = @_;
    my $table = $fact->{table};
    my $looks = whole_row($fact, sub { $self->image($_[0]) // $self->{known}->($_[0]) });
    my @known = $table->{primary} ? $self->{known}->($fact) // () : @{ $self->{facts_of}{ $table->{name} } };
    return first { ($_->{row}{factmerge_provenance} // '') eq 'source' && $self->{earlier}{ $_->{row}{factmerge_merge} }
            && $looks eq whole_row($_, sub { $_[0] }) } @known;
}

# The fact of the destination that looks the same, the first for the first, the second for the second
sub equal_fact {
    my ($self, $fact) = @_;
    my $looks = whole_row($fact, sub { $self->image($_[0]) });
    my $known = sub {
        my $known = $self->{known}->($_[0]) or return;
        return $known if $looks eq whole_row($known, sub { $_[0] });
        return;
    };
    return $known->($fact) if $known->($fact);
    my @equals = @{ $self->{equals}{ refaddr $fact } };
    my %mapped = map { refaddr($_) => 1 } grep { $_ } map { scalar $known->($_) } @equals;
    my @free = grep { !$mapped{ refaddr $_ } } @{ $self->{by_row}{ $fact->{table}{name} }{$looks} // [] };
    my @unknown = grep { !$known->($_) } @equals;
    my ($rank) = grep { $unknown[$_] == $fact } 0 .. $#unknown;
    return $free[$rank];
}

sub has_uuid {
    my ($table) = @_;
    return scalar grep { ($_->{surrogate} // '') =~ /^(?:uuid|hashed)$/ } @{ $table->{columns} };
}

sub by_uuid {
    my ($self, $fact) = @_;
    return first { $_->{address} eq $fact->{address} } @{ $self->{facts_of}{ $fact->{table}{name} } };
}

# Is there no key that tells a fact, or does a null leave it incomplete?
sub lacks_key {
    my ($fact) = @_;
    my $table = $fact->{table};
    return 0 if $table->{rule};
    return 1 if !$table->{sameness};
    my $unique = first { $_->{columns} == $table->{sameness} } @{ $table->{uniques} };
    return 0 if !$unique || $unique->{nulls};
    my $parts = Fact::parts_of($table);
    return scalar grep { !defined } (map { $fact->{values}{ $_->{name} } } @{ $parts->{key_values} }),
        led_to($fact, @{ $parts->{key_references} });
}

# What identifies a fact where nothing is declared; undef if it is not known yet.  A reference of the source is what it
# has become.
sub key_text {
    my ($fact, $become) = @_;
    return if lacks_key($fact);
    my $parts = Fact::parts_of($fact->{table});
    return joined((map { $fact->{values}{ $_->{name} } } @{ $parts->{key_values} }),
        map { $_ && refaddr($become->($_) // return) } led_to($fact, @{ $parts->{key_references} }));
}

sub whole_row {
    my ($fact, $become) = @_;
    my @values = map { $fact->{values}{ $_->{name} } } grep { $_->{role} eq 'value' } @{ $fact->{table}{columns} };
    return joined(@values, map { $_ && refaddr($become->($_) // $_) }
        led_to($fact, all_references($fact->{table})));
}

sub all_references {
    my ($table) = @_;
    return grep { !$_->{shadow} } @{ $table->{references} };
}

sub joined {
    return join "\0", map { defined $_ ? "=$_" : 'null' } @_;
}

#
# Copying
#

# Facts are copied, or fold, once it is known what those have become that they refer to; what then remains refers to
# itself in a circle, and is copied
sub copy_levels {
    my ($self, @left) = @_;
    while (my @ready = grep { $self->is_ready($_) } @left) {
        my %first;
        $self->copy_or_fold($_, \%first) for @ready;
        @left = grep { !$self->image($_) } @left;
    }
    $self->copy($_) for @left;
}

# Facts that were different before, and no longer are; the lowest comes first
sub copy_or_fold {
    my ($self, $fact, $first) = @_;
    my $now = $self->folding_text($fact, sub { $self->image($_[0]) });
    my $before = joined(map { $_ && refaddr($_) } led_to($fact, compared_references($fact)));
    return $self->copy($fact) unless defined $now;
    $now .= ' ' . $first->{ranks}{ $fact->{table}{name} }{"$before\0$now"}++ if lacks_key($fact);
    my $lowest = $first->{ $fact->{table}{name} }{$now} //= { fact => $fact, before => $before };
    return $self->copy($fact) if $lowest->{before} eq $before;
    $self->settle($fact, $self->image($lowest->{fact}), 'folded');
}

# All that the sameness looks at
sub folding_text {
    my ($self, $fact, $become) = @_;
    my $table = $fact->{table};
    return has_uuid($table) ? undef : whole_row($fact, $become) if lacks_key($fact);
    my $rule = $table->{rule} or return key_text($fact, $become);
    my $now = sub { map { $_ && refaddr $become->($_) } led_to($fact, @_) };
    my @strict = ((grep { Shape::column($table, $_)->{role} eq 'value' } @{ $rule->{key} }),
        map { $_->{column}{name} } @{ $rule->{tolerances} });
    my @parts = (@{ $fact->{values} }{@strict}, $now->(Sameness::key_references($table)));
    return if grep { !defined } @parts;
    my $condition = $rule->{condition} or return joined(@parts);
    return joined(@parts, (map { $fact->{values}{ $_->{name} } } @{ $condition->{columns} }),
        $now->(@{ $condition->{references} }));
}

sub copy {
    my ($self, $fact) = @_;
    my $copy = bless { table => $fact->{table}, values => $fact->{values}, copy_of => $fact }, 'Fact';
    $copy->{individual} = copy_name($fact) if $fact->{table}{individual};
    push @{ $self->{copies} }, $copy;
    $self->settle($fact, $copy, 'copied');
}

sub copy_name {
    my ($fact) = @_;
    return "copy of $fact->{individual}";
}

# What a copy refers to is what the fact's references have become
sub point_copies {
    my ($self) = @_;
    for my $copy (@{ $self->{copies} }) {
        my $refs = $copy->{copy_of}{refs};
        $copy->{refs} = { map { $_ => $refs->{$_} && $self->image($refs->{$_}) } keys %$refs };
    }
}

1;
