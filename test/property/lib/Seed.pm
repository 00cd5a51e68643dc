# One seed: draws it, builds its schemas, merges them this way and that way, and
# asks whether the laws hold.
#
# The schemas are the sides a, b and now and then c, an empty one, and the union:
# into that one go the facts of a and b both, from the start, triggers on.  Merges
# that only have to be looked at run in a transaction that is rolled back, so that
# the sides stay as they were built; the last one, of a into b, is committed.
#
# Of the sides, a is never wider than b, nor b than c (Shape.pm), so that merges go
# from a to b to c.  The other direction is right as well, or else refused.

package Seed;

use strict;
use warnings;
use BlindSeed ();
use Database ();
use DatalogSeed ();
use Ddl      ();
use Draw     qw(chance pick weighted);
use Fact     ();
use Facts    ();
use KeysSeed ();
use Laws     ();
use NearSeed ();
use Oracle   ();
use Rules    ();
use Sameness ();
use Shape    ();
use Show     ();
use TruthSeed ();

my %RANK = (a => 0, b => 1, c => 2, empty => 2, union => 1, again => 0);

my @TOTALS = qw(copied in_both conflicts skipped_categorically skipped_in_both skipped_friends_in_both skipped_one_sided
    unhandled replayed derived);

# How many seeds there are of each kind, if there are of all of them
my %CLASSES = (exact => 'Seed', near => 'NearSeed', datalog => 'DatalogSeed', keys => 'KeysSeed',
    truth => 'TruthSeed', blind => 'BlindSeed');
my %SHARES = (exact => 50, near => 27, datalog => 23, keys => 18, truth => 16, blind => 8);

# Draws all that a seed decides, the same whatever is done with it
sub new {
    my ($class, %options) = @_;
    my $self = bless { hops => 2, complaints => [], counts => {}, %options }, $class;

    srand($self->{seed});
    Fact::forget_identities();
    bless $self, $CLASSES{ weighted(map { $_ => $SHARES{$_} } @{ $self->{kinds} }) };
    my $prefix = pick('side_', 'side_', "Side's ");
    $self->{schemas} = { map { $_ => $prefix . $_ } qw(a b c empty union again elsewhere) };
    $self->draw;
    return $self;
}

sub totals { return @TOTALS }

sub described { return Show::described($_[0]) }

sub draw {
    my ($self) = @_;
    $self->{shape} = Shape->draw;
    $self->{rules} = Rules->draw($self->{shape});
    $self->{shape}->draw_widths;
    $self->{facts} = Facts->draw($self->{shape}, $self->{rules});
    $self->{sides} = { map { $_ => $self->{facts}->draw_side } qw(a b c) };
    @$self{qw(three_sides empty previews)} = (chance(0.25), chance(0.6), chance(0.3));
    @$self{qw(batches late_batches)} = map { pick(undef, undef, 1, 3, 100) } 1, 2;
    $self->{late} = { map { $_ => $self->{facts}->draw_side(pick(0.1, 0.3)) } qw(a b) };
}

# Checks every law; returns the complaints, each a law and a text
sub run {
    my ($self) = @_;
    $self->guarded(sub {
        my @sides = ('a', 'b', $self->{three_sides} ? 'c' : ());
        my @empty = $self->{empty} ? 'empty' : ();
        $self->build(@sides, 'union', @empty);
        $self->declare(@sides, @empty);
        $self->check_sides(@sides);
        $self->check_empty if $self->{empty};
        $self->check_other_direction;
        $self->check_three if $self->{three_sides};
        $self->check_replay_sides if $self->{seed} % 2;
        $self->check_handlers if $self->{seed} % 4 == 0;
        $self->try_first;
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

# How many facts of the union a merge of a into b misses that looks at friends one step away only
sub count_missing {
    my ($self) = @_;
    my $missing = 0;
    $self->guarded(sub {
        $self->build(qw(a b union));
        $self->declare(qw(a b));
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
    $self->{database}->build_elsewhere($self->{schemas}{elsewhere}, $self->{shape});
    for my $name (@names) {
        my $side = $name eq 'union' || $name eq 'again' ? $self->united(qw(a b)) : $self->{sides}{$name};
        $self->{database}->build($self->{schemas}{$name}, @$self{qw(shape rules)}, $self->rank_of($name), $side);
    }
}

sub rank_of {
    my ($self, $name) = @_;
    return $RANK{$name};
}

sub united {
    my ($self, @names) = @_;
    return $self->{facts}->union(map { $self->{sides}{$_} } @names);
}

# Says what the catalogs do not: handlers that are functions, tables that hold no facts, samenesses
sub declare {
    my ($self, @names) = @_;
    my ($shape, $rules) = @$self{qw(shape rules)};
    for my $schema (map { $self->{schemas}{$_} } @names) {
        my @sql = (Ddl::declare_handlers($schema, $rules), Ddl::ignore($schema, $shape), Sameness::declare($schema, $shape));
        $self->{database}->do($_) for @sql;
    }
}

sub read {
    my ($self, $name) = @_;
    return $self->{database}->facts_in($self->{schemas}{$name}, $self->{shape});
}

sub preview {
    my ($self, $from, $into) = @_;
    return $self->{database}->rows('SELECT * FROM factmerge_preview(?, ?, 2)', @{ $self->{schemas} }{ $from, $into });
}

# What the model says that sides come to together
sub model {
    my ($self, @names) = @_;
    return Oracle::saturated($self->{rules}, $self->united(@names)->{facts});
}

# Merges one schema into another, perhaps again, checks what holds of any merge, and returns what happened
sub merge {
    my ($self, $from, $into, $again) = @_;
    my $database = $self->{database};
    my %merge = (shape => $self->{shape}, rules => $self->{rules}, hops => $self->{hops}, again => $again,
        from => $self->{schemas}{$from}, into => $self->{schemas}{$into}, layouts => $database->{layouts});

    @merge{qw(source destination)} = ($self->read($from), $self->read($into));
    $merge{totals} = $self->{in_batches} ? $database->merge_in_batches($merge{from}, $merge{into}, $self->{in_batches})
        : $database->merge($merge{from}, $merge{into}, 0);
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

# What does not fit is refused: a type that is too narrow (42804), a column that is not there (42703), both at once (55000)
sub check_other_direction {
    my ($self) = @_;
    $self->{database}->in_vain(sub {
        return $self->{other_direction} = $self->merge(qw(b a))->{result} if !$self->{shape}->differs_between(0, 1);
        my $error = $self->{database}->error_of(sub { $self->{database}->merge(@{ $self->{schemas} }{qw(b a)}, 0) });
        $self->law('3 b into a is refused', $error // 'it is not')
            unless ($error // '') =~ /^(?:42804|42703) |^55000 .*(?:Only the source has column.*does not fit|does not fit.*Only the source has column)/s;
    });
}

# Whose mixed events are replayed is all the same
sub check_replay_sides {
    my ($self) = @_;
    my $database = $self->{database};
    my $tagged = sub {
        return map { join ' ', $_->identity, $_->{row}{factmerge_provenance} } @{ $self->read('b') };
    };
    my @results;
    for my $side (qw(source destination auto)) {
        $database->do("SET factmerge.replay_side = $side");
        $database->in_vain(sub {
            my $totals = $database->merge(@{ $self->{schemas} }{qw(a b)}, 0);
            my $sum = 0;
            $sum += $totals->{$_} for grep { /^skipped_|^unhandled$|^replayed$/ } keys %$totals;
            $self->law("14 replaying the side: $side", $sum == $totals->{events} ? () : "$sum of $totals->{events} events");
            push @results, [ $totals->{replayed}, sort $tagged->() ];
        });
    }
    $database->do('RESET factmerge.replay_side');
    my ($source, $destination, $auto) = @results;
    my $fewer = $source->[0] < $destination->[0] ? $source->[0] : $destination->[0];
    $self->law('14 replaying the side: auto', "replays $auto->[0] events instead of $fewer") if $auto->[0] != $fewer;
    shift @$_ for @results;
    $self->law('14 the side that is replayed does not matter', Laws::differences($source, $_)) for $destination, $auto;
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

# All that there is in some sides
sub state_of {
    my ($self, @names) = @_;
    my @rows = map { Database::user_columns($_) } map { @{ $self->read($_) } } @names;
    return (@rows, map { split /\n/, $self->{database}->structure($self->{schemas}{$_}) } @names);
}

# Handlers that are sound are found to be so, and all is as it was
sub check_handlers {
    my ($self) = @_;
    my $schema = $self->{schemas}{b};
    my @before = $self->state_of('b');
    for my $handler (@{ $self->{rules}{handlers} }) {
        my $name = Ddl::is_function($handler) ? join '.', map { Ddl::quoted($_) } $schema, $handler->{name} : $handler->{name};
        my $verdicts = $self->{database}->rows('SELECT * FROM factmerge_check_handler(?, ?::regclass, 25)',
            $name, Ddl::qualified($schema, $handler->{table}));
        $self->law("15 handler $handler->{name} is sound", map { "$_->{check}: $_->{detail}" }
            grep { defined $_->{passed} && !$_->{passed} } @$verdicts);
    }
    $self->law('15 checking handlers leaves nothing', Laws::differences(\@before, [ $self->state_of('b') ]));
}

# A dry run and a preview, either of which leaves all as it was
sub try_first {
    my ($self) = @_;
    my ($database, @names) = ($self->{database}, qw(a b));
    my @before = $self->state_of(@names);
    $self->{preview} = $self->preview(@names) if $self->{previews};
    $self->{dry_totals} = $database->merge(@{ $self->{schemas} }{@names}, 1);
    $self->law('8 a dry run and a preview leave nothing', Laws::differences(\@before, [ $self->state_of(@names) ]),
        defined $self->{dry_totals}{merge_id} ? 'it has a merge_id' : ());
}

sub check_main {
    my ($self) = @_;
    my $database = $self->{database};
    $self->{in_batches} = $self->{batches};
    my $merge = $self->merge(qw(a b));
    delete $self->{in_batches};

    $self->law('8 a dry run says the same', Laws::same_totals($self->{dry_totals}, $merge->{totals}));
    $self->law('8 a preview says the same', Laws::preview_is_right($merge, $self->{preview})) if $self->{previews};
    $self->law('3 a into b is b into a', Laws::same_facts($merge->{result}, $self->{other_direction}))
        if $self->{other_direction};
    $self->law('6 the result is the union, saturated', Laws::same_facts($self->{union}, $merge->{result}));
    $self->law('10 verify is empty', Laws::verify_is_empty($database, $merge));
    $self->law('11 origin', Laws::origin_is_right($database, $merge));
    $self->check_undo($merge) if $self->{seed} % 3 == 0;
    $self->law('2 merging twice changes nothing', Laws::nothing_new($self->merge(qw(a b again))));
    $self->check_growth;
}

# More facts come to both sides, and what comes of it is what comes of all facts at once
sub check_growth {
    my ($self) = @_;
    my @came = (@{ $self->{sides}{a}{facts} }, @{ $self->{sides}{b}{facts} });
    my %late = (a => $self->late_facts('a', @{ $self->{sides}{a}{facts} }), b => $self->late_facts('b', @came));
    $self->{database}->add($self->{schemas}{$_}, $self->{rules}, $late{$_}) for qw(a b);
    my $everything = $self->{facts}->union(@{ $self->{sides} }{qw(a b)}, @late{qw(a b)});
    $self->{in_batches} = $self->{late_batches};
    my $merge = $self->merge(qw(a b again));
    delete $self->{in_batches};
    $self->law('17 facts that came later', Laws::same_facts(Oracle::saturated($self->{rules}, $everything->{facts}), $merge->{result}));
    $self->law('17 verify is empty', Laws::verify_is_empty($self->{database}, $merge));
    $self->law('17 merging once more changes nothing', Laws::nothing_new($self->merge(qw(a b again))));
}

# The facts that come to a side later: none of those that are there, and none that refers to what has come by a merge
sub late_facts {
    my ($self, $name, @there) = @_;
    my %there = map { $_->identity => 1 } @there;
    my %known = map { $_->identity => 1 } @{ $self->{sides}{$name}{facts} };
    my @late;
    for my $fact (@{ $self->{late}{$name}{facts} }) {
        next if $there{ $fact->identity } || grep { !$known{ $_->identity } } $fact->referred;
        $known{ $fact->identity } = 1;
        push @late, $fact;
    }
    return { facts => \@late, contradicted => $self->{late}{$name}{contradicted} };
}

# Undone, all is as before the merge, and the next one comes to the same
sub check_undo {
    my ($self, $merge) = @_;
    my $database = $self->{database};
    $database->in_vain(sub {
        $database->undo($merge->{totals}{merge_id});
        my $undone = $self->read('b');
        $self->law('16 undone, nothing is left', Laws::same_rows($merge->{destination}, $undone),
            map { 'tagged: ' . $_->identity } grep { $_->{row}{factmerge_provenance} ne 'destination' } @$undone);
        my $again = $self->merge(qw(a b));
        $self->law('16 undone, the next merge is the same', Laws::same_facts($merge->{result}, $again->{result}),
            Laws::same_totals($merge->{totals}, $again->{totals}));
    });
}

1;
