# What a merge has to give, worked out from the model alone.
#
# Nothing in here asks the database or knows how a merge goes about it: rules
# are carried out naively until nothing is new, and the three checks are their
# definitions, fact by fact, over the graph of references.

package Oracle;

use strict;
use warnings;
use Fact  ();
use Ddl   ();
use Rules ();

# What is counted of each table
our @COUNTS = qw(source_facts in_both copied events skipped_categorically skipped_in_both skipped_friends_in_both
    skipped_one_sided unhandled replayed);

#
# Saturating
#

# The facts, and all that follows from them; undef if that is more than $most
sub saturated {
    my ($rules, $facts, $most) = @_;
    my @all = @$facts;
    my %known = map { $_->identity => 1 } @all;
    my $before;

    do {
        $before = @all;
        for my $rule (@{ $rules->{rules} }) {
            push @all, grep { !$known{ $_->identity }++ } consequences($rule, \@all);
            return if defined $most && @all > $most;
        }
    } while @all > $before;
    return \@all;
}

# All facts that one rule gives
sub consequences {
    my ($rule, $facts) = @_;
    my @atoms = @{ $rule->{atoms} };
    my @left = matching($atoms[0], $facts);
    return map { derived_fact($rule, $_) } @left if @atoms == 1;

    my %right;
    for my $fact (matching($atoms[1], $facts)) {
        my $meeting = meeting_point($atoms[1], $fact) // next;
        push @{ $right{$meeting} }, $fact;
    }
    my @derived;
    for my $fact (@left) {
        my $meeting = meeting_point($atoms[0], $fact) // next;
        next if $atoms[2] && !matching($atoms[2], [ $fact->{refs}{ $atoms[0]{via}{name} } ]);
        push @derived, map { derived_fact($rule, $fact, $_) } @{ $right{$meeting} // [] };
    }
    return @derived;
}

# Where the fact of an atom meets that of another: in a fact, or in a value; undef if nowhere
sub meeting_point {
    my ($atom, $fact) = @_;
    return $fact->{values}{ $atom->{by}{name} } if $atom->{by};
    my $shared = $fact->{refs}{ $atom->{via}{name} };
    return $shared && $shared->identity;
}

sub matching {
    my ($atom, $facts) = @_;
    my @matching = grep { $_->{table} == $atom->{table} } @$facts;
    for my $filter (@{ $atom->{filters} }) {
        @matching = grep { holds($filter, $_) } @matching;
    }
    return @matching;
}

sub holds {
    my ($filter, $fact) = @_;
    my $value = $fact->{values}{ $filter->{column} };
    my $operator = $filter->{operator};
    return 0 unless defined $value;
    return 1 if $operator eq 'IS NOT NULL';
    return ordered($value, $filter->{value}) < 0 if $operator eq '<';
    return ordered($value, $filter->{value}) > 0 if $operator eq '>';
    return abs($value / $1) == int(abs($value / $1)) if $operator =~ /^% (.*) =$/;
    return $value eq $filter->{value} if $operator eq '=';
    return $value ne $filter->{value};
}

# The order of numbers, of which NaN is the greatest, or of times
sub ordered {
    my ($one, $other) = @_;
    return $one cmp $other unless $other =~ /^-?[\d.]+$/;
    return 1 if $one eq 'NaN' || $one eq 'Infinity';
    return $one <=> $other;
}

# The derived fact of two atoms' facts, unless it would refer to nothing
sub derived_fact {
    my ($rule, @facts) = @_;
    my $target = $rule->{target};
    my %refs;
    for my $which (0, 1) {
        my $end = $rule->{ends}[$which];
        my $fact = $facts[ $end->{atom} ];
        $fact = $fact->{refs}{ $end->{reference}{name} } if $end->{reference};
        return unless $fact;
        $refs{ $target->{references}[$which]{name} } = $fact;
    }
    my %values = map { $_->{name} => $_->{constant} } grep { $_->{constant} } @{ $target->{columns} };
    return Fact->new(table => $target, values => \%values, refs => \%refs);
}

#
# The three checks
#

# What a merge of two lists of facts has to count, by table: { table name => { total => count } }
sub expected_counts {
    my ($shape, $rules, $hops, $source, $destination) = @_;
    my %in_source = map { $_->identity => 1 } @$source;
    my %in_destination = map { $_->identity => 1 } @$destination;
    my $side = sub {
        return 'both' if is_outward($_[0]) || $in_source{ $_[0] } && $in_destination{ $_[0] };
        return $in_source{ $_[0] } ? 'source' : 'destination';
    };
    my $adjacent = reference_graph($source, $destination);
    my %destination_only_in = map { $_->{table}{name} => 1 } grep { !$in_source{ $_->identity } } @$destination;
    my %counts;

    for my $table (@{ $shape->{tables} }) {
        my $total = $counts{ $table->{name} } = { map { $_ => 0 } @COUNTS };
        my @handlers = $rules->handlers_of($table);
        my $hopeless = !grep { $destination_only_in{$_} } friend_tables($shape, $table, $hops);
        my $any = grep { $_->{found_from} eq 'any' } @handlers;

        for my $fact (map { $_->identity } grep { $_->{table} == $table } @$source) {
            $total->{source_facts}++;
            $total->{events}++;
            $total->{ $in_destination{$fact} ? 'in_both' : 'copied' }++;
            my @sides = map { $side->($_) } friends($adjacent, $fact, $hops);
            my $verdict = !@handlers ? 'unhandled' : $hopeless ? 'skipped_categorically'
                : $any ? verdict($side->($fact), @sides) : verdict_on_group($side->($fact), @sides);
            $total->{$verdict}++;
        }
    }
    return \%counts;
}

# What becomes of an event whose derivations are found from whichever fact arrives last
sub verdict {
    my ($own, @friends) = @_;
    return 'skipped_in_both' if $own eq 'both';
    return 'skipped_friends_in_both' if !grep { $_ ne 'both' } @friends;
    return 'skipped_one_sided' if !grep { $_ eq 'destination' } @friends;
    return 'replayed';
}

# ... and of one whose derivations are found from it alone: whole groups count
sub verdict_on_group {
    my ($own, @friends) = @_;
    my %seen = map { $_ => 1 } $own, @friends;
    return $seen{source} && $seen{destination} ? 'replayed' : 'skipped_one_sided';
}

# Who is joined with whom, in the two databases as one: { identity => [identity, ...] }
sub reference_graph {
    my ($source, $destination) = @_;
    my %merged = map { $_->identity => $_ } @$source;
    $merged{ $_->identity } = $_ for @$destination;
    my %adjacent;
    for my $fact (map { $merged{$_} } sort keys %merged) {
        for my $other ((map { $_->identity } $fact->referred), outward_identities($fact)) {
            push @{ $adjacent{ $fact->identity } }, $other;
            push @{ $adjacent{$other} }, $fact->identity;
        }
    }
    return \%adjacent;
}

# What is referred to outside of the fact tables is there for both sides
sub outward_identities {
    my ($fact) = @_;
    return map { "outward $_->{outward}{name} $fact->{values}{ $_->{name} }" }
        grep { $_->{outward} && defined $fact->{values}{ $_->{name} } } @{ $fact->{table}{columns} };
}

sub is_outward { return $_[0] =~ /^outward / }

sub friends {
    my ($adjacent, $fact, $hops) = @_;
    my %met = ($fact => 1);
    my @last = ($fact);
    for (1 .. $hops) {
        @last = grep { !$met{$_}++ } map { @{ $adjacent->{$_} // [] } } @last;
    }
    delete $met{$fact};
    return keys %met;
}

# The tables that friends may be in.  Following a reference down to the facts that
# hold it and up again leads back to the fact itself, so that such a step counts
# for nothing.
sub friend_tables {
    my ($shape, $table, $hops) = @_;
    my @references = map { @{ $_->{references} }, outward_references($_) } @{ $shape->{tables} };
    my @last = ([ $table, undef ]);
    my %met;
    for (1 .. $hops) {
        my @next;
        for my $step (@last) {
            my ($from, $came_down) = @$step;
            for my $reference (@references) {
                push @next, [ $reference->{to}, undef ]
                    if $reference->{from} == $from && !($came_down && $came_down == $reference);
                push @next, [ $reference->{from}, $reference ] if $reference->{to} == $from;
            }
        }
        @last = @next;
        $met{ $_->[0]{name} } = 1 for @last;
    }
    return sort keys %met;
}

# The foreign keys of a table that lead to no fact, as references
sub outward_references {
    my ($table) = @_;
    return map { { from => $table, to => $_->{outward} } } grep { $_->{outward} } @{ $table->{columns} };
}

1;
