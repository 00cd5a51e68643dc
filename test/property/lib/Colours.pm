# Do two sets of facts come to the same, whatever their keys?
#
# Equal facts may still be told apart by what they refer to and what refers to them: three receipts
# of three pens are not three receipts of one.  So each fact gets a colour, at first
# what is written in it, and then, again and again, what it was together with the
# colours of its neighbours.  Two sets are the same if they have the same colours.

package Colours;

use strict;
use warnings;
use Digest::MD5  qw(md5_hex);
use Encode       qw(encode_utf8);
use Scalar::Util qw(refaddr);
use Laws         ();

my $ROUNDS = 4;

# The complaints, of the first round that shows a difference; $text is what is written in a fact
sub differences {
    my ($expected, $got, $text) = @_;
    my @sides = map { { facts => $_, colour => { map { refaddr($_) => $text->($_) } @$_ } } } $expected, $got;
    my %meaning;
    for my $round (0 .. $ROUNDS) {
        my @colours = map { my $side = $_; [ map { $side->{colour}{ refaddr $_ } } @{ $side->{facts} } ] } @sides;
        my @differences = Laws::differences(@colours);
        s/([0-9a-f]{32})/$meaning{$1} ? "$meaning{$1} (by its neighbours, round $round)" : $1/ge for @differences;
        return @differences if @differences;
        mix($_, \%meaning, $text) for @sides;
    }
    return;
}

sub mix {
    my ($side, $meaning, $text) = @_;
    my ($colour, %referring, %mixed) = $side->{colour};
    for my $fact (@{ $side->{facts} }) {
        for my $name (sort keys %{ $fact->{refs} }) {
            my $to = $fact->{refs}{$name} or next;
            push @{ $referring{ refaddr $to } }, "$fact->{table}{name}.$name $colour->{ refaddr $fact }";
        }
    }
    for my $fact (@{ $side->{facts} }) {
        my $refs = $fact->{refs};
        my @near = map { "$_ " . ($refs->{$_} ? $colour->{ refaddr $refs->{$_} } : 'none') } sort keys %$refs;
        my $new = md5_hex(encode_utf8(join "\n", $colour->{ refaddr $fact }, @near, '', sort @{ $referring{ refaddr $fact } // [] }));
        $mixed{ refaddr $fact } = $new;
        $meaning->{$new} = $text->($fact);
    }
    $side->{colour} = \%mixed;
}

1;
