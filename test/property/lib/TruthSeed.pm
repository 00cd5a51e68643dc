# A seed whose destination holds what is written to more than the source knows of
# (Additions.pm).
#
#   T1  every foreign key holds after a merge (Orphans.pm, after each of all seeds' merges)
#   T2  where an INSERT of what is copied would be refused, so is the merge: 23503, nothing written
#   T3  elsewhere it is not, and the result is the union, as without the addition
#   T4  a trigger that changes what is copied: the same with what it has made of it,
#       each reference leading to the fact that it led to; or the merge stops, and nothing is written
#   T5  the key maps lead to facts that are there

package TruthSeed;

use strict;
use warnings;
use parent -norequire, 'Seed';
use Additions ();
use Draw      qw(chance pick);
use Laws      ();
use Orphans   ();

sub draw {
    my ($self) = @_;
    $self->SUPER::draw;
    @$self{qw(prepares batches undoes)} = (chance(0.25), pick('', '', 2), chance(0.3));
}

sub described {
    my ($self) = @_;
    return ($self->SUPER::described, 'addition: ' . ($self->{addition} ? $self->{addition}{what} : 'none'));
}

sub run {
    my ($self) = @_;
    $self->guarded(sub {
        $self->build(qw(a b union));
        $self->declare(qw(a b));
        $self->add_to_destination or return;
        $self->{database}->value('SELECT factmerge_prepare(?)', $self->{schemas}{b}) if $self->{prepares};
        my ($source, $destination) = map { Laws::by_identity($self->read($_)) } qw(a b);
        my @copied = map { $source->{$_} } grep { !$destination->{$_} } sort keys %$source;
        my $refused = $self->{addition}{refused}->(@copied);
        $refused ? $self->check_refusal : $self->check_merge;
    });
    return @{ $self->{complaints} };
}

# Sides are those of any seed
sub run_self_check { return }

sub add_to_destination {
    my ($self) = @_;
    my $into = $self->{schemas}{b};
    my $addition = $self->{addition} = Additions::draw({ shape => $self->{shape}, layout => $self->{database}{layouts}{$into},
        into => $into, elsewhere => $self->{schemas}{elsewhere}, source => $self->read('a'), destination => $self->read('b') });
    return unless $addition;
    $self->{database}->do($_) for @{ $addition->{sql} };
    return 1;
}

# All that an error takes back: what sequences have given out is gone
sub lasting_state {
    my ($self) = @_;
    return grep { !/^sequence / } $self->state_of(qw(a b));
}

# Whole or in batches, an INSERT would not have been allowed; nothing comes of a whole one
sub check_refusal {
    my ($self) = @_;
    my ($database, @schemas) = ($self->{database}, @{ $self->{schemas} }{qw(a b)});
    my $what = $self->{addition}{what};
    my @before = $self->lasting_state;
    for my $dry (1, 0) {
        my $error = $database->alone(sub { $database->error_of(sub { $database->merge(@schemas, $dry) }) }) // 'it is not';
        $self->law("T2 refused ($what)", $error) unless $error =~ /^23503 /;
    }
    $self->law("T2 nothing is written ($what)", Laws::differences(\@before, [ $self->lasting_state ]));
    $self->{counts}{refused}++;
    return unless $self->{batches};
    my $error = eval { $database->merge_in_batches(@schemas, $self->{batches}); 'it is not' } // $@;
    $self->law("T2 refused in batches ($what)", $error) unless $error =~ /foreign key/;
    $database->expect_no_orphans;
}

sub check_merge {
    my ($self) = @_;
    my ($database, @schemas) = ($self->{database}, @{ $self->{schemas} }{qw(a b)});
    my $addition = $self->{addition};
    my @before = $self->lasting_state;
    my $error = $database->alone(sub { $database->error_of(sub { $database->merge(@schemas, 0) }) });
    return $self->check_stop($error, @before) if defined $error;

    my $destination = $self->read('b');
    my $totals = $self->{batches} ? $database->merge_in_batches(@schemas, $self->{batches}) : $database->merge(@schemas, 0);
    $self->{counts}{copied} += $totals->{copied};
    $self->law("T3 the result is the union ($addition->{what})", $self->is_union) unless $addition->{sets};
    $self->law("T5 the key maps ($addition->{what})", Orphans::lost($database));
    $self->check_undone($totals, $destination) if $self->{undoes} && !$self->{batches};
    my $merged = $self->read('b');
    my $again = $database->merge(@schemas, 0);
    $self->law("T3 merging again changes nothing ($addition->{what})", Laws::equal('copied', $again->{copied}, 0),
        Laws::same_rows($merged, $self->read('b')));
}

# What triggers have put right stops a merge with an error that is about that, and leaves all as it was
sub check_stop {
    my ($self, $error, @before) = @_;
    my $addition = $self->{addition};
    my $says_why = $error =~ /^23505 / || $error =~ /^(?!XX)\w{5} / && $error =~ /$addition->{trigger}/ if $addition->{trigger};
    $self->law("T3 it goes through, or says what stops it ($addition->{what})", $error) unless $says_why;
    $self->law("T4 nothing is written ($addition->{what})", Laws::differences(\@before, [ $self->lasting_state ]));
    $self->{counts}{stopped}++;
}

sub is_union {
    my ($self) = @_;
    my @both = map { $self->read($_) } qw(union b);
    if (my $alters = $self->{addition}{alters}) {
        my $name = $alters->{column}{name};
        for my $fact (grep { $_->{table} == $alters->{table} } map { @$_ } @both) {
            $fact->{values}{$name} = uc $fact->{values}{$name} if defined $fact->{values}{$name};
        }
        @both = map { [ grep { $_->{table}{kind} ne 'derived' } @$_ ] } @both;
    }
    return Laws::same_facts(@both);
}

sub check_undone {
    my ($self, $totals, $before) = @_;
    $self->{database}->in_vain(sub {
        $self->{database}->undo($totals->{merge_id});
        $self->law('16 undone, nothing is left', Laws::same_rows($before, $self->read('b')));
    });
}

1;
