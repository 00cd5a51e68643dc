# One seed: draws it, builds its schemas, merges them this way and that way, and
# asks whether the laws hold.
#
# The schemas are the sides a, b and now and then c, an empty one, and the union:
# into that one go the facts of a and b both, from the start, triggers on.  Merges
# that only have to be looked at run in a transaction that is rolled back, so that
# the sides stay as they were built; the last one, of a into b, is committed.

package Seed;

use strict;
use warnings;
use Database ();
use Ddl      ();
use Draw     qw(chance pick);
use Fact     ();
use Facts    ();
use Laws     ();
use Oracle   ();
use Rules    ();
use Shape    ();

my @TOTALS = qw(copied in_both conflicts skipped_categorically skipped_in_both skipped_friends_in_both skipped_one_sided
    unhandled replayed derived);

# Draws all that a seed decides, the same whatever is done with it
sub new {
    my ($class, %options) = @_;
    my $self = bless { hops => 2, complaints => [], counts => {}, %options }, $class;

    srand($self->{seed});
    Fact::forget_identities();
    $self->{shape} = Shape->draw;
    $self->{rules} = Rules->draw($self->{shape});
    $self->{facts} = Facts->draw($self->{shape}, $self->{rules});
    $self->{sides} = { map { $_ => $self->{facts}->draw_side } qw(a b c) };
    $self->{three_sides} = chance(0.25);
    my $prefix = pick('side_', 'side_', "Side's ");
    $self->{schemas} = { map { $_ => $prefix . $_ } qw(a b c empty union again) };
    return $self;
}

# Checks every law; returns the complaints, each a law and a text
sub run {
    my ($self) = @_;
    $self->guarded(sub {
        my @sides = ('a', 'b', $self->{three_sides} ? 'c' : ());
        $self->build(@sides, 'union', 'empty');
        $self->declare_handlers(@sides, 'empty');
        $self->check_sides(@sides);
        $self->check_empty;
        $self->check_other_direction;
        $self->check_three if $self->{three_sides};
        $self->check_dry_run;
        $self->check_main;
    });
    return @{ $self->{complaints} };
}

# Without the extension: is what the laws compare with right?
sub run_self_check {
    my ($self) = @_;
    $self->guarded(sub {
        $self->build(qw(a b c union again));
        $self->check_sides(qw(a b c));
        my @unions = map { $self->read($_) } qw(union again);
        $self->law('oracle: the order of arrival does not matter', Laws::same_facts(@unions));
    });
    return @{ $self->{complaints} };
}

# How many facts of the union a merge of a into b misses
sub count_missing {
    my ($self) = @_;
    my $missing = 0;
    $self->guarded(sub {
        $self->build(qw(a b union));
        $self->declare_handlers(qw(a b));
        my $result = $self->merge(qw(a b))->{result};
        my $there = Laws::by_identity($result);
        my $expected = $self->read('union');
        $missing = grep { !$there->{ $_->identity } } @$expected;
        my $justified = Laws::by_identity($expected);
        my @unjustified = grep { !$justified->{$_} } map { $_->identity } @$result;
        $self->law('6 nothing that does not follow', Laws::summary('too many', @unjustified));
    });
    return $missing;
}

# An error is a complaint, too; whatever happens, the schemas go
sub guarded {
    my ($self, $block) = @_;
    my $database = $self->{database};
    my @schemas = map { $self->{schemas}{$_} } sort keys %{ $self->{schemas} };

    $database->drop_schemas(@schemas);
    eval { $block->(); 1 } or $self->law('no error', $@);
    $database->come_back unless $database->{dbh}->ping;
    $database->drop_schemas(@schemas) unless $self->{keep};
}

sub law {
    my ($self, $law, @complaints) = @_;
    push @{ $self->{complaints} }, map { s/\s+/ /gr } map { "$law: $_" } @complaints;
}

#
# Schemas
#

# Builds some of the schemas and lets the facts arrive that are to be in them; `again` is the union in another order
sub build {
    my ($self, @names) = @_;
    for my $name (@names) {
        my $side = $name eq 'union' || $name eq 'again' ? $self->united(qw(a b)) : $self->{sides}{$name};
        $self->{database}->build($self->{schemas}{$name}, $self->{shape}, $self->{rules}, $side);
    }
}

sub united {
    my ($self, @names) = @_;
    return $self->{facts}->union(map { $self->{sides}{$_} } @names);
}

sub declare_handlers {
    my ($self, @names) = @_;
    $self->{database}->do(Ddl::declare_handlers($self->{schemas}{$_}, $self->{rules})) for @names;
}

sub read {
    my ($self, $name) = @_;
    return $self->{database}->facts_in($self->{schemas}{$name}, $self->{shape});
}

# What the model says that sides come to together
sub model {
    my ($self, @names) = @_;
    return Oracle::saturated($self->{rules}, $self->united(@names)->{facts});
}

# Merges one schema into another, checks what holds of any merge, and returns what happened
sub merge {
    my ($self, $from, $into) = @_;
    my $database = $self->{database};
    my %merge = (shape => $self->{shape}, rules => $self->{rules}, hops => $self->{hops},
        from => $self->{schemas}{$from}, into => $self->{schemas}{$into});

    @merge{qw(source destination)} = ($self->read($from), $self->read($into));
    $merge{totals} = $database->merge($merge{from}, $merge{into}, 0);
    $merge{report} = $database->report($merge{totals}{merge_id});
    @merge{qw(source_after result)} = ($self->read($from), $self->read($into));
    $self->{counts}{$_} += $merge{totals}{$_} for @TOTALS;

    my $of = "($from into $into)";
    $self->law("5 nothing lost, nothing altered $of", Laws::nothing_lost(\%merge), Laws::copies_are_faithful(\%merge));
    $self->law("7 provenance $of", Laws::provenance_is_right(\%merge));
    $self->law("8 totals $of", Laws::totals_add_up(\%merge));
    $self->law("9 the checks $of", Laws::checks_are_right(\%merge));
    $self->law("12 conflicts $of", Laws::conflicts_are_listed($database, \%merge));
    $self->law("13 sequences $of", Laws::sequences_are_ahead($database, \%merge));
    return \%merge;
}

#
# Laws
#

# What the other laws take for granted
sub check_sides {
    my ($self, @sides) = @_;
    for my $name (@sides) {
        $self->law("oracle: $name is saturated", Laws::same_facts($self->model($name), $self->read($name)));
    }
    $self->{union} = $self->read('union');
    $self->law('oracle: the union is saturated', Laws::same_facts($self->model(qw(a b)), $self->{union}));
}

sub check_empty {
    my ($self) = @_;
    $self->{database}->in_vain(sub {
        my $merge = $self->merge(qw(a empty));
        $self->law('1 merging into an empty schema copies', Laws::same_facts($merge->{source}, $merge->{result}));
    });
}

sub check_other_direction {
    my ($self) = @_;
    $self->{database}->in_vain(sub {
        $self->{other_direction} = $self->merge(qw(b a))->{result};
    });
}

# Merges of three sides, in three orders
sub check_three {
    my ($self) = @_;
    my $expected = $self->model(qw(a b c));
    for my $order ([qw(a c)], [qw(b c)], [qw(a b)]) {
        $self->{database}->in_vain(sub {
            my ($from, $into) = @$order;
            my ($last) = $into eq 'b' ? 'b' : grep { $_ ne $from } qw(a b);
            $self->merge($from, $into);
            my $merge = $self->merge($last, 'c');
            $self->law("4 order of three merges ($from into $into, then $last into c)",
                Laws::same_facts($expected, $merge->{result}));
        });
    }
}

sub check_dry_run {
    my ($self) = @_;
    my ($database, @names) = ($self->{database}, qw(a b));
    my $state = sub {
        my @rows = map { Database::user_columns($_) } map { @{ $self->read($_) } } @names;
        return (@rows, map { split /\n/, $database->structure($self->{schemas}{$_}) } @names);
    };
    my @before = $state->();
    $self->{dry_totals} = $database->merge(@{ $self->{schemas} }{@names}, 1);
    $self->law('8 a dry run leaves nothing', Laws::differences(\@before, [ $state->() ]),
        defined $self->{dry_totals}{merge_id} ? 'it has a merge_id' : ());
}

sub check_main {
    my ($self) = @_;
    my $database = $self->{database};
    my $merge = $self->merge(qw(a b));

    $self->law('8 a dry run says the same', Laws::same_totals($self->{dry_totals}, $merge->{totals}));
    $self->law('3 a into b is b into a', Laws::same_facts($merge->{result}, $self->{other_direction}));
    $self->law('6 the result is the union, saturated', Laws::same_facts($self->{union}, $merge->{result}));
    $self->law('10 verify is empty', Laws::verify_is_empty($database, $merge));
    $self->law('11 origin', Laws::origin_is_right($database, $merge));
    $self->law('2 merging twice changes nothing', Laws::nothing_new($self->merge(qw(a b))));
}

1;
