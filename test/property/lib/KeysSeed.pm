# A seed about what makes facts the same where nothing is declared but keys: several
# of them, some with nulls, with conditions, of expressions; uuids and numbers that
# the database draws; and facts that no key tells apart, of which there may be any
# number.
#
# The laws, each against what KeyOracle.pm says of both sides:
#
#   K1  the result has the facts of both, as often as the side that has more of them,
#       each with what it refers to and what refers to it
#   K2  the totals say so; a dry run and a preview, too
#   K3  merging again changes nothing
#   K4  facts that come later are met as well, and those that were known stay what they were
#   K5  undone, nothing is left
#   K6  the other direction is right as well, and comes to the same where nothing differs
#   K7  what is ambiguous is refused, and nothing written

package KeysSeed;

use strict;
use warnings;
use parent -norequire, 'Seed';
use Scalar::Util qw(refaddr);
use Colours   ();
use Database  ();
use Draw      qw(chance pick weighted);
use KeyFacts  ();
use KeyOracle ();
use KeyShape  ();
use Laws      ();
use Orphans   ();
use Types     qw(quoted literal);

sub draw {
    my ($self) = @_;
    my $shape = $self->{shape} = KeyShape->draw;
    my $facts = $self->{facts} = KeyFacts->draw($shape);
    $self->{sides}{$_} = $facts->draw_side for qw(a b);
    $self->{late}{$_} = $facts->draw_side(pick(0.1, 0.3)) for qw(a b);
    @$self{qw(prepares previews)} = (chance(0.2), chance(0.5));
    @$self{qw(batches late_batches)} = map { weighted('' => 4, 1 => 1, 3 => 1) } 1, 2;
}

sub described {
    my ($self) = @_;
    return $self->{shape}->described;
}

sub run {
    my ($self) = @_;
    my $database = $self->{database};
    $self->guarded(sub {
        $self->build(qw(a b));
        $self->try_other_direction;
        $self->check_main && $self->check_growth;
    });
    return @{ $self->{complaints} };
}

# Without the extension: does every side come to itself?
sub run_self_check {
    my ($self) = @_;
    $self->guarded(sub {
        $self->build(qw(a b));
        for my $name (qw(a b)) {
            my @twice = map { $self->read($name) } 1, 2;
            my $outcome = KeyOracle::outcome($self->{shape}, @twice, sub { return });
            my $copied = grep { $_ } values %{ $outcome->{copied} };
            $self->law("oracle: $name is $name", $outcome->{error} // (), $copied ? 'it copies' : ());
        }
    });
    return @{ $self->{complaints} };
}

sub build {
    my ($self, @names) = @_;
    my $database = $self->{database};
    for my $name (@names) {
        my $schema = $self->{schemas}{$name};
        $database->do($_) for $self->{shape}->create($schema);
        $database->do($_) for $self->declarations($schema);
        KeyFacts::load($database, $schema, $self->{shape}, $self->{sides}{$name}, $self->{there}{$name} = {});
    }
}

sub declarations {
    my ($self, $schema) = @_;
    return $self->{database}->has_extension ? $self->{shape}->declarations($schema) : ();
}

sub read {
    my ($self, $name) = @_;
    return KeyFacts::read($self->{database}, $self->{schemas}{$name}, $self->{shape});
}

#
# Merging
#

# Merges, and holds what comes of it against the oracle; undef where it was refused, as it should be
sub merge {
    my ($self, $from, $into, %how) = @_;
    my $database = $self->{database};
    my ($source, $destination) = map { $self->read($_) } $from, $into;
    my $expected = KeyOracle::outcome($self->{shape}, $source, $destination, $self->known($from, $into, $destination));
    my $of = join ' ', "($from into $into", $how{batches} ? "in batches of $how{batches}" : (), $how{what} // ();
    my @schemas = @{ $self->{schemas} }{ $from, $into };
    return $self->expect_refusal("$of)", $expected, @schemas) if $expected->{error};

    my ($totals, @notices) = $database->noting(sub {
        $how{batches} ? $database->merge_in_batches(@schemas, $how{batches}) : $database->merge(@schemas, 0);
    });
    my $merge = { expected => $expected, destination => $destination, totals => $totals, result => $self->read($into),
        again => $how{what}, notices => \@notices };
    $self->{counts}{$_} += $totals->{$_} for qw(copied in_both conflicts);
    $self->law("K1 the facts of both $of)", same_result($merge));
    $self->law("K2 totals $of)", $self->totals_are_right($merge));
    $self->law("K1 the key maps $of)", Orphans::lost($database));
    $self->law("5 the source is as it was $of)", Laws::differences(map { [ map { told($_) } @$_ ] } $source, $self->read($from)));
    return $merge;
}

# What earlier merges have met: a function from facts of the source to those of the destination
sub known {
    my ($self, $from, $into, $destination) = @_;
    my %maps;
    for my $table (grep { $_->{id} } @{ $self->{shape}{tables} }) {
        my ($map) = @{ $self->{database}{dbh}->selectcol_arrayref('SELECT map::text FROM factmerge.key_map'
            . ' WHERE source = ? AND fact_table = to_regclass(?)', undef, $self->{schemas}{$from},
            KeyShape::qualified($self->{schemas}{$into}, $table)) } or next;
        my $pairs = $self->{database}{dbh}->selectall_arrayref("SELECT source_1::text, destination_1::text FROM $map");
        $maps{ $table->{name} } = { map { @$_ } @$pairs };
    }
    my %at = map { ("$_->{table}{name} $_->{address}" => $_) } @$destination;
    return sub {
        my ($fact) = @_;
        my $address = $maps{ $fact->{table}{name} }{ $fact->{address} } // return;
        return $at{"$fact->{table}{name} $address"};
    };
}

sub expect_refusal {
    my ($self, $of, $expected, @schemas) = @_;
    my $database = $self->{database};
    my @before = $self->all_there_is;
    my $error = $database->alone(sub { $database->error_of(sub { $database->merge(@schemas, 0) }) });
    $self->law("K7 refused $of", $error // "it is not, although $expected->{error}")
        unless ($error // '') =~ /^(?:21000|23505|22023|42P10|55000) /;
    $self->law("K7 nothing written $of", Laws::differences(\@before, [ $self->all_there_is ]));
    return;
}

# Every fact of both sides, as it is written
sub all_there_is {
    my ($self) = @_;
    return map { my $name = $_; map { "$name " . told($_) } @{ $self->read($name) } } qw(a b);
}

#
# Laws
#

# A fact as it is written, with its address
sub told {
    my ($fact) = @_;
    my @refs = map { "$_ -> " . ($fact->{refs}{$_} ? $fact->{refs}{$_}{address} // 'new' : 'none') } sort keys %{ $fact->{refs} };
    return join ', ', "$fact->{table}{name} " . ($fact->{table}{id} ? $fact->{address} // 'new' : ''), values_of($fact), @refs;
}

sub values_of {
    my ($fact) = @_;
    my $values = $fact->{values};
    return map { "$_ = " . ($values->{$_} // 'NULL') } sort keys %$values;
}

# Facts of the destination by their addresses, copies by what they hold
sub same_result {
    my ($merge) = @_;
    my $expected = $merge->{expected};
    my %old = map { ("$_->{table}{name} $_->{address}" => 1) } grep { $_->{table}{id} } @{ $merge->{destination} };
    my %kept = map { $_ => 1 } map { numbers_of($_) } @{ $expected->result };
    my $text = sub {
        my ($fact) = @_;
        my $address = !$fact->{table}{id} ? '' : $fact->{copy_of} ? $fact->{id} // 'new'
            : $old{"$fact->{table}{name} $fact->{address}"} || $fact->{table}{id}{how} eq 'uuid' ? $fact->{address} : 'new';
        my %values = %{ $fact->{values} };
        # A number that nobody had before has been drawn
        for my $column (grep { $_->{role} eq 'number' } @{ $fact->{table}{columns} }) {
            my $name = $column->{name};
            $values{$name} = 'drawn' unless $kept{"$fact->{table}{name} $values{$name}"};
        }
        return join ', ', "$fact->{table}{name} $address", values_of({ values => \%values }),
            $merge->{again} ? () : 'tag ' . right_tag($expected, $fact);
    };
    return Colours::differences($expected->result, $merge->{result}, $text);
}

sub numbers_of {
    my ($fact) = @_;
    return map { "$fact->{table}{name} $fact->{values}{ $_->{name} }" } grep { $_->{role} eq 'number' } @{ $fact->{table}{columns} };
}

# What is read back says its tag itself
sub right_tag {
    my ($expected, $fact) = @_;
    my $said = $fact->{tag};
    return $said if defined $said && $said =~ /^(?:both|source|derived)$/;
    return $expected->{taken}{ refaddr $fact } ? 'both' : 'destination';
}

sub totals_are_right {
    my ($self, $merge) = @_;
    my ($expected, $totals) = @$merge{qw(expected totals)};
    my $report = $self->{database}->report($totals->{merge_id});
    return map {
        my $name = $_->{name};
        (Laws::equal("$name: in both", $report->{$name}{in_both}, $expected->{both}{$name}),
            Laws::equal("$name: copied", $report->{$name}{copied}, $expected->{copied}{$name}))
    } @{ $self->{shape}{tables} };
}

# Nothing is copied, nothing changed, and nothing said anew
sub check_again {
    my ($self, $what) = @_;
    my @before = $self->all_there_is;
    my $merge = $self->merge('a', 'b', what => $what) // return $self->law('K3 merging again is refused', 'it is');
    $self->law("K3 merging again copies nothing ($what)", Laws::equal('copied', $merge->{totals}{copied}, 0));
    $self->law("K3 merging again changes nothing ($what)", Laws::differences(\@before, [ $self->all_there_is ]));
}

# b into a, taken back; remembers what it came to
sub try_other_direction {
    my ($self) = @_;
    $self->{database}->in_vain(sub {
        my $merge = $self->merge(qw(b a)) // return;
        $self->{other_direction} = $merge->{result} if !$merge->{totals}{conflicts};
    });
}

sub check_main {
    my ($self) = @_;
    my ($database, @schemas) = ($self->{database}, @{ $self->{schemas} }{qw(a b)});
    my @before = $self->all_there_is;
    $database->value('SELECT factmerge_prepare(?)', $schemas[1]) if $self->{prepares};
    my $merge = $self->merge('a', 'b', batches => $self->{batches}) // return;
    $self->law('K6 both directions come to the same', both_directions($merge, $self->{other_direction}))
        if $self->{other_direction} && !$merge->{totals}{conflicts};
    $self->check_undo($merge, @before) if !$self->{batches} && chance(0.5);
    $self->check_again('again');
    return 1;
}

# Up to ids, tags and numbers
sub both_directions {
    my ($merge, $other) = @_;
    return Colours::differences($merge->{result}, $other, sub {
        my ($fact) = @_;
        my %values = map { $_->{name} => KeyShape::canonical($_, $fact->{values}{ $_->{name} }) }
            grep { $_->{role} ne 'number' && !$_->{to} } @{ $fact->{table}{columns} };
        return join ', ', $fact->{table}{name}, values_of({ values => \%values });
    });
}

sub check_undo {
    my ($self, $merge, @before) = @_;
    my $database = $self->{database};
    $database->in_vain(sub {
        $database->undo($merge->{totals}{merge_id});
        $self->law('K5 undone, nothing is left', Laws::differences(\@before, [ $self->all_there_is ]));
        $self->merge('a', 'b', what => 'after an undo');
    });
}

sub check_growth {
    my ($self) = @_;
    KeyFacts::load($self->{database}, $self->{schemas}{$_}, $self->{shape}, $self->{late}{$_}, $self->{there}{$_}) for qw(a b);
    $self->merge('a', 'b', what => 'grown', batches => $self->{late_batches}) && $self->check_again('grown, again');
}

1;
