# Drawing at random.
#
# Everything that a seed decides is drawn through these functions, from Perl's
# own generator, which gives the same numbers on every machine for the same
# srand().  No function looks at the order of a hash.

package Draw;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT_OK = qw(chance between pick shuffled some_of weighted uuid);

# True in one of 1/probability cases
sub chance {
    my ($probability) = @_;
    return rand() < $probability;
}

# An integer from lowest to highest, both included
sub between {
    my ($lowest, $highest) = @_;
    return $lowest + int(rand($highest - $lowest + 1));
}

sub pick {
    my (@choices) = @_;
    return $choices[ int(rand(@choices)) ];
}

sub shuffled {
    my (@items) = @_;
    for my $last (reverse 1 .. $#items) {
        my $other = int(rand($last + 1));
        @items[ $last, $other ] = @items[ $other, $last ];
    }
    return @items;
}

# A random part of the items, in random order
sub some_of {
    my ($how_many, @items) = @_;
    my @shuffled = shuffled(@items);
    splice(@shuffled, $how_many) if $how_many < @shuffled;
    return @shuffled;
}

# One of the names in (name => weight, ...)
sub weighted {
    my (@pairs) = @_;
    my $sum = 0;
    for (my $i = 1; $i < @pairs; $i += 2) {
        $sum += $pairs[$i];
    }
    my $point = rand($sum);
    while (my ($name, $weight) = splice(@pairs, 0, 2)) {
        return $name if ($point -= $weight) < 0;
        return $name unless @pairs;
    }
}

# A uuid of the random kind, as PostgreSQL writes it
sub uuid {
    my @digits = map { sprintf '%x', int(rand(16)) } 1 .. 32;
    $digits[12] = '4';
    $digits[16] = sprintf '%x', 8 + int(rand(4));
    return join('-', map { join '', splice(@digits, 0, $_) } 8, 4, 4, 4, 12);
}

1;
