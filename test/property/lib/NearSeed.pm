# A seed with tolerance: some of its tables have a declared sameness.
#
# There is no union to compare with, for which facts there are in the end depends
# on which ones find each other.  So each merge is held against its own definition
# (Counterparts.pm), worked out from the facts of both sides as they stood before.
#
# Merges are tried under various settings of the planner and taken back; then a is
# merged into b, again, and after more facts have come to a, or from c to b, once more.

package NearSeed;

use strict;
use warnings;
use parent -norequire, 'Seed';
use Counterparts ();
use Database     ();
use Draw         qw(chance between some_of weighted);
use Facts        ();
use Laws         ();
use Near         ();
use NearLaws     ();
use Oracle       ();
use Rules        ();
use Shape        ();
use Tolerance    ();

# None of this may make a difference
my @SETTINGS = (
    'enable_hashjoin = off', 'enable_nestloop = off', 'enable_mergejoin = off',
    'enable_hashjoin = off; SET LOCAL enable_mergejoin = off',
    'enable_seqscan = off', 'enable_sort = off', 'work_mem = 64', 'join_collapse_limit = 1',
    'debug_parallel_query = on; SET LOCAL parallel_setup_cost = 0; SET LOCAL min_parallel_table_scan_size = 0',
    'factmerge.rebuild_indexes = on', "timezone = 'Europe/Oslo'", "datestyle = 'SQL, DMY'",
    'search_path = pg_temp, public',
);

sub draw {
    my ($self) = @_;
    my $shape = $self->{shape} = Shape->draw(tolerant => 1);
    $self->{rules} = Rules->draw($shape);
    $shape->draw_widths;
    my $facts = $self->{facts} = Facts->draw($shape, $self->{rules});
    @$self{qw(grows chained)} = (chance(0.25), chance(0.2));
    # Where the destination has hardly anything of its own, it shows what follows from differences alone
    my %knows = (a => $facts->draw_side(draw_share()));
    $knows{b} = $facts->draw_side(draw_share(), chance(0.5) ? $knows{a} : undef);
    $knows{c} = $facts->draw_side(draw_share());
    @{ $self->{sides} }{qw(a late)} = Near::draw_versions($facts, 'a', $knows{a}, $self->{grows});
    ($self->{sides}{$_}) = Near::draw_versions($facts, $_, $knows{$_}) for qw(b c);
    $self->{settings} = [ some_of(between(0, 1), @SETTINGS) ];
    @$self{qw(strict previews)} = (chance(0.3), 1);
}

sub draw_share { return weighted(0.4 => 2, 0.6 => 4, 0.8 => 2, 0.1 => 1) }

sub run {
    my ($self) = @_;
    my $database = $self->{database};
    $self->guarded(sub {
        my @sides = ('a', 'b', $self->{chained} ? 'c' : ());
        Tolerance::learn_similarities($database);
        $self->build(@sides);
        $self->declare('b');
        $self->check_sides(@sides);
        $self->check_setting($_) for @{ $self->{settings} };
        $self->try_strictly if $self->{strict};
        $self->try_first;
        $self->check_main;
        $self->merge(qw(c b)) if $self->{chained};
        $database->add($self->{schemas}{a}, $self->{rules}, $self->{sides}{late}) if $self->{grows};
        $self->check_again if $self->{chained} || $self->{grows};
    });
    return @{ $self->{complaints} };
}

# Without the extension: are the sides saturated?
sub run_self_check {
    my ($self) = @_;
    $self->guarded(sub {
        $self->build(qw(a b c));
        $self->check_sides(qw(a b c));
    });
    return @{ $self->{complaints} };
}

# Everything goes into b
sub rank_of {
    my ($self, $name) = @_;
    return $name eq 'b' ? 1 : 0;
}

# How many facts a merge misses that takes facts for equal that are the same
sub count_missing {
    my ($self) = @_;
    my $missing = 0;
    $self->guarded(sub {
        Tolerance::learn_similarities($self->{database});
        $self->build(qw(a b));
        $self->declare('b');
        my $merge = $self->made(qw(a b));
        ($missing, my @unjustified) = NearLaws::missing_and_unjustified($merge);
        $self->law('N3 nothing that does not follow', Laws::summary('too many', @unjustified));
    });
    return $missing;
}

# Merges, under some setting, and works out what should have come of it
sub made {
    my ($self, $from, $into, $setting) = @_;
    my $database = $self->{database};
    my %merge = (shape => $self->{shape}, rules => $self->{rules}, layouts => $database->{layouts},
        from => $self->{schemas}{$from}, into => $self->{schemas}{$into});
    my $maps = sub { NearLaws::read_maps($database, @merge{qw(from into shape)}) };

    @merge{qw(source destination)} = ($self->read($from), $self->read($into));
    my $known = $merge{known} = NearLaws::known_from($maps->(), $merge{destination});
    $merge{counterparts} = Counterparts->work_out(shape => $self->{shape}, source => $merge{source},
        destination => $merge{destination}, known => $known, earlier => $database->merges_from($merge{from}));
    $database->do("SET LOCAL $setting") if defined $setting;
    $merge{totals} = $database->merge(@merge{qw(from into)}, 0);
    $database->do('SET LOCAL search_path = DEFAULT; SET LOCAL timezone = UTC; SET LOCAL datestyle = ISO')
        if defined $setting;
    $merge{report} = $database->report($merge{totals}{merge_id});
    $merge{maps} = $maps->();
    @merge{qw(source_after result)} = ($self->read($from), $self->read($into));
    NearLaws::find_copies(\%merge);
    $self->{counts}{$_} += $merge{totals}{$_} for Seed::totals();
    return \%merge;
}

# Merges, checks what holds of any such merge, and returns what happened
sub merge {
    my ($self, $from, $into, $how, $setting) = @_;
    my $database = $self->{database};
    my $merge = $self->made($from, $into, $setting);
    my $of = "($from into $into" . join('', map { ", $_" } grep { defined } $how, $setting) . ')';

    $self->law("N1 counterparts $of", NearLaws::right_counterparts($merge));
    $self->law("N2 the facts of both $of", NearLaws::holds_both($merge));
    $self->law("N3 what follows $of", NearLaws::is_saturated($merge));
    $self->law("N4 totals $of", NearLaws::totals_are_right($merge));
    $self->law("N5 tags $of", NearLaws::tags_are_right($merge));
    $self->law("N6 conflicts $of", NearLaws::conflicts_are_listed($database, $merge))
        unless ($setting // '') =~ /timezone|datestyle/;
    $self->law("13 sequences $of", Laws::sequences_are_ahead($database, $merge));
    return $merge;
}


#
# Laws
#

sub check_sides {
    my ($self, @sides) = @_;
    for my $name (@sides) {
        my $facts = $self->read($name);
        $self->law("oracle: $name is saturated", Laws::same_facts(Oracle::saturated($self->{rules}, $facts), $facts));
    }
}

sub check_setting {
    my ($self, $setting) = @_;
    my $parallel = $self->{database}->parallel_setting;
    $setting =~ s/debug_parallel_query/$parallel/;
    $self->{database}->in_vain(sub { $self->merge('a', 'b', undef, $setting) });
}

# What no tolerance allows is an error, if that is wanted
sub try_strictly {
    my ($self) = @_;
    my $database = $self->{database};
    $database->in_vain(sub {
        $database->do('SET LOCAL factmerge.on_conflict = error');
        $self->{error} = $database->error_of(sub { $database->merge(@{ $self->{schemas} }{qw(a b)}, 0) }) // '';
    });
}

sub was_strict {
    my ($self, $merge) = @_;
    my ($conflict) = NearLaws::intolerable_conflicts($merge);
    return $self->{error} ? "$self->{error}, although there is no conflict" : () unless $conflict;
    return $self->{error} =~ /^23000 / ? () : ($self->{error} || 'no error') . ", in spite of $conflict";
}

sub check_main {
    my ($self) = @_;
    my $database = $self->{database};
    my $merge = $self->merge(qw(a b));

    $self->law('8 a dry run says the same', Laws::same_totals($self->{dry_totals}, $merge->{totals}));
    $self->law('N7 preview', NearLaws::preview_is_right($merge, $self->{preview}, 2));
    $self->law('N8 conflicts as errors', $self->was_strict($merge)) if $self->{strict};
    $self->law('10 verify is empty', Laws::verify_is_empty($database, $merge));
    $self->law('2 merging twice changes nothing', Laws::nothing_new($self->merge('a', 'b', 'again')));
}

sub check_again {
    my ($self) = @_;
    my $merge = $self->merge('a', 'b', 'once more');
    $self->law('10 verify is empty (once more)', Laws::verify_is_empty($self->{database}, $merge));
    $self->law('2 merging twice changes nothing (once more)', Laws::nothing_new($self->merge('a', 'b', 'and again')));
}

1;
