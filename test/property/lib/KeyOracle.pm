# What a merge of two sides has to come to, by the definition of sameness: fact by
# fact, each with each, from what is written in both.
#
# - Facts that agree in a key that is complete are the same.  If that is one fact by
#   one key and another by another, or two facts of the source are one, it is an error.
# - A fact none of whose keys is complete is compared by the whole row but its number
#   of an id; of equal ones, the k-th is the k-th of the other side's.  Facts without
#   keys are no different.
# - What is left is copied, a number being kept where it is free.
#
#   outcome  { error => text or undef, image => { fact => fact }, copies => [fact, ...],
#              both => { table name => count }, copied => { table name => count },
#              incomplete => { table name => count } }

package KeyOracle;

use strict;
use warnings;
use Scalar::Util qw(refaddr);
use KeyShape ();

# known is a function that gives what an earlier merge mapped a fact to, or undef
sub outcome {
    my ($shape, $source, $destination, $known) = @_;
    my $self = bless { image => {}, taken => {}, copies => [], both => {}, copied => {}, incomplete => {},
        destination => $destination }, __PACKAGE__;
    for my $table (@{ $shape->{tables} }) {
        @$_{ $table->{name} } = (0) for @$self{qw(both copied incomplete)};
        my @left = grep { $_->{table} == $table } @$source;
        for my $fact (@left) {
            my $image = $known->($fact) or next;
            $self->settle($fact, $image);
        }
        # References within the table: level by level
        while (my @ready = grep { $self->is_ready($_) } @left = grep { !$self->image($_) } @left) {
            $self->match_or_copy($_, $destination) for @ready;
        }
    }
    return $self;
}

sub image { return $_[0]{image}{ refaddr $_[1] } }

sub is_ready {
    my ($self, $fact) = @_;
    return !grep { $_ && !$self->image($_) } values %{ $fact->{refs} };
}

# That a fact of the source is a fact of the destination
sub settle {
    my ($self, $fact, $image) = @_;
    $self->{error} //= "two facts of $fact->{table}{name} are $image->{address}" if $self->{taken}{ refaddr $image }++;
    $self->{image}{ refaddr $fact } = $image;
    $self->{both}{ $fact->{table}{name} }++;
}

sub match_or_copy {
    my ($self, $fact, $destination) = @_;
    my $table = $fact->{table};
    my @others = grep { $_->{table} == $table } @$destination;
    my @keys = $table->{nulls_same} ? $table->{nulls_same} : grep { !$_->{number} } @{ $table->{keys} };
    my @complete = grep { defined $self->key_text($fact, $_) } @keys;

    my @same = @complete ? $self->same_by_keys($fact, \@complete, @others) : $self->next_equal($fact, @others);
    $self->{incomplete}{ $table->{name} }++ if @keys && !@complete;
    $self->{error} //= "$table->{name} $fact->{address} is several" if @same > 1;
    @same ? $self->settle($fact, $same[0]) : $self->copy($fact, @others);
}

# The facts that agree in some key
sub same_by_keys {
    my ($self, $fact, $keys, @others) = @_;
    my %same;
    for my $key (@$keys) {
        my $text = $self->key_text($fact, $key);
        for my $other (@others) {
            my $theirs = own_key_text($other, $key);
            $same{ refaddr $other } = $other if defined $theirs && $theirs eq $text;
        }
    }
    return map { $same{$_} } sort keys %same;
}

# The lowest one that has the same whole row, and is not another's counterpart
sub next_equal {
    my ($self, $fact, @others) = @_;
    my $text = whole_row($fact, sub { $self->image($_[0]) });
    my ($first) = grep { !$self->{taken}{ refaddr $_ } && whole_row($_, sub { $_[0] }) eq $text } @others;
    return $first // ();
}

# A key of a fact, undef where it is not complete or does not apply.  References are what they lead to has become.
sub key_text {
    my ($self, $fact, $key) = @_;
    return text_of_key($fact, $key, sub { $self->image($_[0]) });
}

sub own_key_text {
    my ($fact, $key) = @_;
    return text_of_key($fact, $key, sub { $_[0] });
}

sub text_of_key {
    my ($fact, $key, $become) = @_;
    return if $key->{where} && defined $fact->{values}{ $key->{where}{name} };
    my @texts = map { text_of_part($fact, $_, $become) } @{ $key->{parts} };
    return if $key->{nulls} eq 'distinct' && grep { !defined } @texts;
    return join "\0", map { defined $_ ? "=$_" : 'null' } @texts;
}

sub text_of_part {
    my ($fact, $part, $become) = @_;
    my $column = $part->{column};
    return $fact->{address} if $column == ($fact->{table}{id} // 0);
    if ($column->{to}) {
        my $to = $fact->{refs}{ $column->{name} };
        return $to && refaddr $become->($to);
    }
    my $value = KeyShape::canonical($column, $fact->{values}{ $column->{name} });
    return $value // '' if $part->{how} eq 'filled';
    return defined $value && $part->{how} eq 'lower' ? lc $value : $value;
}

sub whole_row {
    my ($fact, $become) = @_;
    return join "\0", map {
        my $text = text_of_part($fact, { column => $_, how => 'plain' }, $become);
        defined $text ? "=$text" : 'null'
    } @{ $fact->{table}{columns} };
}

# A copy, which keeps a uuid, and a number unless somebody else has it
sub copy {
    my ($self, $fact, @others) = @_;
    my %values = %{ $fact->{values} };
    for my $column (grep { $_->{role} eq 'number' } @{ $fact->{table}{columns} }) {
        my $name = $column->{name};
        $values{$name} = 'drawn' if grep { $_->{values}{$name} == $values{$name} } @others;
    }
    my $copy = { table => $fact->{table}, copy_of => $fact, values => \%values, tag => 'source',
        refs => { map { $_ => $fact->{refs}{$_} && $self->image($fact->{refs}{$_}) } keys %{ $fact->{refs} } } };
    $copy->{id} = $fact->{address} if $fact->{table}{id} && $fact->{table}{id}{how} eq 'uuid';
    push @{ $self->{copies} }, $copy;
    $self->{image}{ refaddr $fact } = $copy;
    $self->{copied}{ $fact->{table}{name} }++;
}

# What the destination holds in the end
sub result {
    my ($self) = @_;
    return [ @{ $self->{destination} }, @{ $self->{copies} } ];
}

1;
