# One fact, and what it is to the others.
#
#   fact  { table, values => { column => text or undef }, refs => { reference => fact or undef } }
#
# A fact knows other facts, not keys, so that it means the same in every schema:
# its identity is made of what its sameness holds, each reference standing for
# the identity of the fact that it leads to.  Facts of the model (Facts.pm) and
# facts read from a schema (Database.pm) are the same kind of thing.
#
# Where what is the same need not be equal (Sameness.pm), or what is equal need not be the
# same, a fact is an individual: its identity is a name that it has been given.
#
# An identity is a short name, #1, #2 and so on, for a text that may hold other
# such names: the text of a deep tree would be long.

package Fact;

use strict;
use warnings;
use Shape ();

my (%name_of, @text_of, $individuals);

# A new seed begins
sub forget_identities {
    %name_of = ();
    @text_of = ();
    $individuals = 0;
}

# A new fact; shadow references follow from the others
sub new {
    my ($class, %fact) = @_;
    my $self = bless {%fact}, $class;
    for my $reference (@{ $self->{table}{references} }) {
        my $shadow = $reference->{shadow} or next;
        my $leading = $self->{refs}{ $shadow->{of}{name} };
        $self->{refs}{ $reference->{name} } = $leading && $leading->{refs}{ $shadow->{by}{name} };
    }
    return $self;
}

# What of a table identifies a fact, and what else it holds
sub parts_of {
    my ($table) = @_;
    return $table->{parts} //= do {
        my %same = map { $_ => 1 } @{ $table->{sameness} // [] };
        my $whole_row = !$table->{rule} || !$table->{individual};
        my %parts = map { $_ => [] } qw(key_values key_references other_values other_references);
        for my $column (grep { $_->{role} eq 'value' } @{ $table->{columns} }) {
            my $in_key = $table->{sameness} ? $same{ $column->{name} } : $whole_row;
            push @{ $parts{ $in_key ? 'key_values' : 'other_values' } }, $column;
        }
        for my $reference (grep { !$_->{shadow} } @{ $table->{references} }) {
            my $in_key = $table->{sameness} ? Shape::identifies($table, $reference) : $whole_row;
            push @{ $parts{ $in_key ? 'key_references' : 'other_references' } }, $reference;
        }
        \%parts;
    };
}

sub identity {
    my ($self) = @_;
    return $self->{identity} //= do {
        die "a fact of $self->{table}{name} is part of its own identity\n" if $self->{identifying}++;
        my $parts = parts_of($self->{table});
        my $told = $self->{table}{individual} ? $self->{individual} //= 'number ' . ++$individuals
            : $self->described($parts->{key_values}, $parts->{key_references});
        my $text = "$self->{table}{name}($told)";
        delete $self->{identifying};
        $name_of{$text} //= do { push @text_of, $text; '#' . @text_of };
    };
}

# The fact with all that is comparable between schemas
sub rendering {
    my ($self) = @_;
    my $parts = parts_of($self->{table});
    my @compared = $self->{table}{individual} ? qw(key other) : 'other';
    my @values = grep { !$_->{conflicting} } map { @{ $parts->{"${_}_values"} } } @compared;
    return $self->identity . ' ' . $self->described(\@values, [ map { @{ $parts->{"${_}_references"} } } @compared ]);
}

sub described {
    my ($self, $columns, $references) = @_;
    my @values = map { my $value = $self->{values}{ $_->{name} }; defined $value ? "'$value'" : 'null' } @$columns;
    return join ', ', @values, map { $self->pointed_at($_) } @$references;
}

sub pointed_at {
    my ($self, $reference) = @_;
    my $fact = $self->{refs}{ $reference->{name} };
    return $fact ? $fact->identity : 'none';
}

# The facts it refers to
sub referred {
    my ($self) = @_;
    return grep { defined } map { $self->{refs}{ $_->{name} } } @{ $self->{table}{references} };
}

# A text with its short names written out, for people, and not without end
sub spelled_out {
    my ($text) = @_;
    1 while length $text < 300 && $text =~ s/#(\d+)/$text_of[$1 - 1]/g;
    return length $text > 500 ? substr($text, 0, 500) . '...' : $text;
}

1;
