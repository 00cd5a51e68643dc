# A seed whose handlers join facts by values, while nothing shows that they are
# friends.  What a merge skips may be wrong then, but not in silence:
#
#   B1  the result is the union, saturated, or a warning names a handler whose events were skipped
#   B2  nothing is derived that does not follow, and nothing is left of what was tried
#   B3  with what the warning's hint says declared, the result is the union

package BlindSeed;

use strict;
use warnings;
use parent -norequire, 'Seed';
use Draw  qw(chance);
use Facts ();
use Laws  ();
use Rules ();
use Shape ();

# Every skipped event is tried, rather than some
my $SAMPLE_ALL = 'SET factmerge.check_skipped = 1000000';

sub draw {
    my ($self) = @_;
    do {
        $self->{shape} = Shape->draw;
        $self->{rules} = Rules->draw_coincidence($self->{shape});
    } until $self->{rules};
    $self->{shape}->draw_widths;
    $self->{facts} = Facts->draw($self->{shape}, $self->{rules});
    $self->{sides} = { map { $_ => $self->{facts}->draw_side } qw(a b c) };
}

sub run {
    my ($self) = @_;
    my $database = $self->{database};
    $self->guarded(sub {
        $self->build(qw(a b union));
        $self->declare(qw(a b));
        $self->check_sides(qw(a b));
        $database->do($SAMPLE_ALL);
        my @hints = $self->check_merge('as it is');
        $self->check_mended(@hints) if @hints;
        $database->do('RESET factmerge.check_skipped');
    });
    return @{ $self->{complaints} };
}

sub run_self_check {
    my ($self) = @_;
    $self->guarded(sub {
        $self->build(qw(a b union));
        $self->check_sides(qw(a b));
    });
    return @{ $self->{complaints} };
}

# Merges, takes that back, and returns the hints of the warnings
sub check_merge {
    my ($self, $how, $must_be_complete) = @_;
    my @hints;
    $self->{database}->in_vain(sub {
        my ($totals, @notices) = $self->{database}->noting(sub { $self->{database}->merge(@{ $self->{schemas} }{qw(a b)}, 0) });
        my $result = Laws::by_identity($self->read('b'));
        my $union = Laws::by_identity($self->{union});
        my @missing = grep { !$result->{$_} } sort keys %$union;
        my @warnings = grep { /^WARNING/ && $self->names_a_handler($_) } @notices;
        $self->law("B1 complete or told of ($how)", Laws::summary('missing in silence', @missing)) unless @warnings && !$must_be_complete;
        $self->law("B2 nothing that does not follow ($how)", Laws::summary('too many', grep { !$union->{$_} } sort keys %$result));
        $self->{counts}{copied} += $totals->{copied};
        $self->{counts}{$_}++ for @missing ? 'incomplete' : 'complete', @warnings ? 'warned' : ();
        @hints = map { /^HINT:\s*(.*)/m ? $1 : () } @warnings;
    });
    return @hints;
}

sub names_a_handler {
    my ($self, $text) = @_;
    return grep { index($text, $_->{name}) >= 0 } @{ $self->{rules}{handlers} };
}

# Following the hints to the letter, once
sub check_mended {
    my ($self, @hints) = @_;
    my @sql = map { /(SELECT (?:\w+\.)?factmerge_add_friend\((?:'(?:[^']|'')*'|[^')])*\))/g } @hints;
    $self->law('B3 the hint can be followed', @sql >= @hints ? () : "no SQL in: @hints");
    $self->{database}->do($_) for @sql;
    $self->check_merge('mended', 1);
}

1;
