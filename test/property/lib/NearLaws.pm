# The laws of a merge where what is the same need not be equal.
#
#   N1  each fact of the source is that of the destination which the rule says
#   N2  the merged schema holds the facts of both, no more, none altered
#   N3  ... and what follows from them
#   N4  the totals say so
#   N5  so do the tags
#   N6  and the conflicts
#   N7  a preview said as much
#   N8  with factmerge.on_conflict = error, what may not differ stops the merge
#
# What they look at is a merge (Laws.pm), with what came of it by the definition:
#
#   merge  { ..., counterparts }     Counterparts.pm
#
# In what a merge left behind, a copied fact is known by the key map.

package NearLaws;

use strict;
use warnings;
use JSON::PP ();
use Scalar::Util qw(refaddr);
use Counterparts ();
use Database     ();
use Ddl          qw(qualified);
use Fact         ();
use Laws         ();
use Oracle       ();
use Sameness     ();

#
# The key maps
#

# What each fact of the source was mapped to, by what the key maps say:
# { table name => { address => { to, merge, kind } } }.  Tables whose rows have no key are not among them: where a row
# lies may change.
sub read_maps {
    my ($database, $from, $into, $shape) = @_;
    my %maps;
    for my $table (grep { $_->{primary} } @{ $shape->{tables} }) {
        my $register = $database->rows('SELECT map::text, columns::text[] FROM factmerge.key_map'
            . ' WHERE source = ? AND fact_table = to_regclass(?)', $from, qualified($into, $table));
        my $map = $register->[0] or next;
        my @columns = @{ $map->{columns} };
        my ($source, $destination) = map { address_in_map($_, $table, @columns) } qw(source destination);
        my $rows = $database->rows("SELECT $source AS source, $destination AS to, merge_id AS merge,"
            . " CASE WHEN in_both THEN 'matched' WHEN folded THEN 'folded' ELSE 'copied' END AS kind FROM $map->{map}");
        $maps{ $table->{name} } = { map { $_->{source} => $_ } @$rows };
    }
    return \%maps;
}

# The expression for the address of one side, given the columns that the map has
sub address_in_map {
    my ($side, $table, @columns) = @_;
    my %place = map { $columns[$_] => $_ + 1 } 0 .. $#columns;
    my @address = map { $side . '_' . ($place{$_} // die "the key map of $table->{name} does not have $_\n") }
        @{ $table->{primary} };
    return "concat_ws(', ', " . join(', ', @address) . ')';
}

# A function that gives what an earlier merge mapped a fact to
sub known_from {
    my ($maps, $destination) = @_;
    my %at = map { $_->{table}{name} . "\0" . $_->{address} => $_ } @$destination;
    return sub {
        my ($fact) = @_;
        my $entry = $maps->{ $fact->{table}{name} }{ $fact->{address} } or return;
        return $at{ $fact->{table}{name} . "\0" . $entry->{to} };
    };
}

# Finds the rows of copies, and calls individuals after the facts that they are copies of
sub find_copies {
    my ($merge) = @_;
    my %old = map { place($_) => 1 } @{ $merge->{destination} };
    my %new = map { place($_) => $_ } grep { !$old{ place($_) } } @{ $merge->{result} };
    for my $copy (@{ $merge->{counterparts}{copies} }) {
        my $original = $copy->{copy_of};
        my $entry = $merge->{maps}{ $original->{table}{name} }{ $original->{address} } or next;
        my $fact = $new{"$original->{table}{name}\0$entry->{to}"} or next;
        $copy->{row} = $fact->{row};
        $fact->{individual} = $copy->{individual};
    }
}

sub place {
    my ($fact) = @_;
    return "$fact->{table}{name}\0$fact->{address}";
}

#
# N1
#

sub right_counterparts {
    my ($merge) = @_;
    my $counterparts = $merge->{counterparts};
    my (%at, @wrong);
    push @{ $at{ place($_) } }, $_ for @{ $merge->{result} };
    my %old = map { place($_) => 1 } @{ $merge->{destination} };

    for my $fact (grep { $_->{table}{primary} } @{ $merge->{source} }) {
        my $kind = $counterparts->kind($fact);
        my $entry = $merge->{maps}{ $fact->{table}{name} }{ $fact->{address} };
        my $original = $kind eq 'folded' ? $counterparts->image($fact)->{copy_of} : $fact;
        my $expected = $kind eq 'matched' ? $counterparts->image($fact)->{address}
            : ($merge->{maps}{ $original->{table}{name} }{ $original->{address} } // {})->{to};
        my $complaint = !$entry ? 'is in no key map'
            : $kind eq 'matched' && $entry->{to} ne $expected ? "was mapped to $entry->{to}"
            : $kind eq 'copied' && $old{"$fact->{table}{name}\0$entry->{to}"} ? "was mapped to $entry->{to}"
            : $kind eq 'folded' && $entry->{to} ne ($expected // '') ? "was mapped to $entry->{to}"
            : !$at{"$fact->{table}{name}\0$entry->{to}"} ? "was mapped to $entry->{to}, which is not there"
            : $entry->{merge} == $merge->{totals}{merge_id} && $entry->{kind} ne $kind ? "is said to be $entry->{kind}"
            :   next;
        push @wrong, [ $fact, $complaint ];
    }
    return () unless @wrong;

    # The first one in walk order is the cause of others
    my ($fact, $complaint) = @{ $wrong[0] };
    return @wrong . ' with another counterpart than they should have; the first: ' . told($merge, $fact)
        . " $complaint, " . should_be($merge, $fact);
}

sub should_be {
    my ($merge, $fact) = @_;
    my $counterparts = $merge->{counterparts};
    my $kind = $counterparts->kind($fact);
    my $image = $counterparts->image($fact);
    my @candidates = $fact->{table}{rule} ? $counterparts->candidates($fact) : ();
    @candidates = map { told($merge, $_->[0]) . " at $_->[1]" } splice @candidates, 0, 5;
    my $known = $merge->{known}->($fact);
    return ($kind eq 'matched' ? 'but is ' . told($merge, $image)
        : $kind eq 'folded' ? 'but becomes the same as ' . told($merge, $image->{copy_of}) : 'but has to be copied')
        . (@candidates ? '; candidates: ' . join(', ', @candidates) : '')
        . ($known ? '; known as ' . told($merge, $known) : '');
}

# A fact for people: its address, and what its sameness looks at
sub told {
    my ($merge, $fact) = @_;
    my $table = $fact->{table};
    my @names = $table->{rule} ? Sameness::columns_looked_at($table) : $table->{sameness} ? @{ $table->{sameness} }
        : map { $_->{name} } grep { $_->{role} =~ /^(?:value|reference)$/ } @{ $table->{columns} };
    my @values = map { "$_ " . ($fact->{row}{$_} // 'null') } @names;
    return "$table->{name} $fact->{address} (" . join(', ', @values) . ')';
}

#
# N2, N3
#

# The facts that there have to be before anything is derived
sub united {
    my ($merge) = @_;
    return (@{ $merge->{destination} }, @{ $merge->{counterparts}{copies} });
}

sub holds_both {
    my ($merge) = @_;
    my @changed = Laws::same_rows($merge->{source}, $merge->{source_after});
    my @gone = grep { !/too many/ } Laws::same_rows($merge->{destination}, $merge->{result});
    my @stated = map { [ grep { $_->{table}{kind} ne 'derived' } @$_ ] } [ united($merge) ], $merge->{result};
    return ((map { "in the source itself: $_" } @changed), (map { "of the destination: $_" } @gone),
        Laws::same_facts(@stated));
}

sub is_saturated {
    my ($merge) = @_;
    my $expected = Oracle::saturated($merge->{rules}, [ united($merge) ]);
    return Laws::same_facts(map { [ grep { $_->{table}{kind} eq 'derived' } @$_ ] } $expected, $merge->{result});
}

# How many derived facts are missing, and what there is too much
sub missing_and_unjustified {
    my ($merge) = @_;
    my ($there, $justified) = map { Laws::by_identity($_) } $merge->{result},
        Oracle::saturated($merge->{rules}, [ united($merge) ]);
    return (scalar(grep { !$there->{$_} } keys %$justified), grep { !$justified->{$_} } sort keys %$there);
}

#
# N4
#

# { table name => { in_both, copied, conflicting } }
sub expected_counts {
    my ($merge) = @_;
    my %counts = map { $_->{name} => { in_both => 0, copied => 0, conflicting => 0 } } @{ $merge->{shape}{tables} };
    for my $fact (@{ $merge->{source} }) {
        my $count = $counts{ $fact->{table}{name} };
        my $copied = $merge->{counterparts}->kind($fact) eq 'copied';
        $count->{ $copied ? 'copied' : 'in_both' }++;
        $count->{conflicting}++ if !$copied && conflicting_columns($merge, $fact);
    }
    return \%counts;
}

sub totals_are_right {
    my ($merge) = @_;
    my ($totals, $report) = @$merge{qw(totals report)};
    my $expected = expected_counts($merge);
    my (@wrong, %sum);
    for my $table (@{ $merge->{shape}{tables} }) {
        my $name = $table->{name};
        my $said = $report->{$name} or return "no report on $name";
        my $facts = $expected->{$name}{in_both} + $expected->{$name}{copied};
        $sum{$_} += $said->{$_} for @Oracle::COUNTS;
        push @wrong, (map { Laws::equal("$name: $_", $said->{$_}, $expected->{$name}{$_}) } qw(in_both copied)),
            map { Laws::equal("$name: $_", $said->{$_}, $facts) } qw(source_facts events);
    }
    my $verdicts = 0;
    $verdicts += $totals->{$_} for @Laws::SKIPS, qw(unhandled replayed);
    my $born = @{ $merge->{result} } - @{ $merge->{destination} } - $totals->{copied};
    return (@wrong, (map { Laws::equal("total of $_", $totals->{$_}, $sum{$_}) } @Oracle::COUNTS),
        Laws::equal('all verdicts', $verdicts, $totals->{events}), Laws::equal('derived', $totals->{derived}, $born));
}

#
# N5
#

# A tag that an earlier merge has set may stay
sub tags_are_right {
    my ($merge) = @_;
    my $counterparts = $merge->{counterparts};
    my %met = map { refaddr($counterparts->image($_)) => 1 } @{ $merge->{source} };
    my %old = map { place($_) => $_ } @{ $merge->{destination} };
    my %copied = map { $_->identity => 1 } @{ $counterparts->{copies} };
    my @wrong;
    for my $fact (grep { $_->{table}{primary} } @{ $merge->{result} }) {
        my $tag = Laws::tag_of($fact);
        my $ours = $old{ place($fact) };
        my @right = $ours ? Laws::tags_of_old_fact($merge, $ours, $met{ refaddr $ours })
            : ($copied{ $fact->identity } ? 'source' : 'derived') . " $merge->{totals}{merge_id}";
        next if grep { $_ eq $tag } @right;
        push @wrong, told($merge, $fact) . " is tagged '$tag', not '" . join("' or '", @right) . "'";
    }
    return Laws::summary('tagged wrongly', @wrong);
}

#
# N6
#

# [column, value of the source, value of the destination] for each column in which a fact differs from its counterpart
sub conflicting_columns {
    my ($merge, $fact) = @_;
    my $table = $fact->{table};
    return if !$table->{rule} && !$table->{sameness};
    my $image = $merge->{counterparts}->image($fact);
    my $ours = $image->{row} // $image->{copy_of}{row};
    my %same = map { $_ => 1 } @{ $table->{rule} ? $table->{rule}{key} : $table->{sameness} };
    my %theirs = (%{ $fact->{row} }, references_become($merge, $fact));
    my @references = grep { !$_->{shadow} } @{ $table->{references} };
    my @columns = (Laws::compared_values($merge, $table), map { @{ $_->{columns} } } @references);
    return map { [ $_, $theirs{$_}, $ours->{$_} ] }
        grep { !$same{$_} && Laws::unequal($theirs{$_}, $ours->{$_}) } @columns;
}

# The values that a fact's references have in the destination
sub references_become {
    my ($merge, $fact) = @_;
    my %values;
    for my $reference (grep { !$_->{shadow} } @{ $fact->{table}{references} }) {
        my $to = $fact->{refs}{ $reference->{name} } or next;
        my $row = $merge->{counterparts}->image($to)->{row} // {};
        @values{ @{ $reference->{columns} } } = @$row{ @{ $reference->{to_columns} } };
    }
    return %values;
}

# Those in columns that no declared sameness looks at
sub intolerable_conflicts {
    my ($merge) = @_;
    my @conflicts;
    for my $fact (grep { $merge->{counterparts}->kind($_) ne 'copied' } @{ $merge->{source} }) {
        my %tolerated = map { $_ => 1 } Sameness::columns_looked_at($fact->{table});
        push @conflicts, map { told($merge, $fact) . " in column $_->[0]" }
            grep { !$tolerated{ $_->[0] } } conflicting_columns($merge, $fact);
    }
    return @conflicts;
}

# What an earlier merge has met is not listed again, nor what the source has said before
sub conflicts_are_listed {
    my ($database, $merge) = @_;
    my @before = conflicts_before($database, $merge);
    my (@expected, %of);
    for my $fact (grep { $merge->{counterparts}->kind($_) ne 'copied' && !$merge->{known}->($_) } @{ $merge->{source} }) {
        for my $conflict (conflicting_columns($merge, $fact)) {
            my ($column, @values) = @$conflict;
            next if grep { is_said_by($_, $merge, $fact, $column, $values[0]) } @before;
            push @expected, my $text = Laws::conflict_text("$fact->{table}{name}.$column", @values);
            $of{$text} //= told($merge, $fact) . ', ' . $merge->{counterparts}->kind($fact);
        }
    }
    return map { /missing, as (.*)/ && $of{$1} ? "$_, of $of{$1}" : $_ }
        Laws::conflicts_differ($database, $merge, @expected);
}

# The conflicts that earlier merges from the same source have recorded, with the names and values of the shown key
sub conflicts_before {
    my ($database, $merge) = @_;
    my @conflicts;
    for my $table (@{ $merge->{shape}{tables} }) {
        my @names = map { $_->{name} } $database->{layouts}{ $merge->{into} }->columns_of($table);
        my $relation = join '.', map { $database->{dbh}->quote_identifier($_) } $merge->{into}, $table->{name};
        my $values = join ', ', map { 'r.' . $database->{dbh}->quote_identifier($_) . '::text' } @names;
        my $recorded = $database->rows(<<"END", $relation, @$merge{qw(from into)}, $merge->{totals}{merge_id});
SELECT c.column_name, c.source_value, ARRAY(SELECT jsonb_object_keys(c.key)) AS key, ARRAY[$values] AS values
FROM factmerge.conflict c JOIN factmerge.merge m USING (merge_id), jsonb_populate_record(NULL::$relation, c.key) AS r
WHERE c.fact_table = ?::regclass AND (m.source, m.destination) = (?, ?) AND merge_id < ?
END
        for my $conflict (@$recorded) {
            my %row;
            @row{@names} = @{ $conflict->{values} };
            push @conflicts, { %$conflict, table => $table->{name}, row => \%row };
        }
    }
    return @conflicts;
}

# Does a recorded conflict say that of the counterpart of a fact?
sub is_said_by {
    my ($conflict, $merge, $fact, $column, $value) = @_;
    my $image = $merge->{counterparts}->image($fact);
    my $ours = $image->{row} // $image->{copy_of}{row};
    my @pairs = ([ $conflict->{source_value}, $value ], map { [ $conflict->{row}{$_}, $ours->{$_} ] } @{ $conflict->{key} });
    return $conflict->{table} eq $fact->{table}{name} && $conflict->{column_name} eq $column
        && !grep { Laws::spelled($_->[0]) ne Laws::spelled($_->[1]) } @pairs;
}

#
# N7
#

# The counts of a preview, and examples: the lowest facts first
sub preview_is_right {
    my ($merge, $preview, $examples) = @_;
    my $expected = expected_counts($merge);
    my (%said, %shown, @wrong);
    for my $row (@$preview) {
        $said{ $row->{fact_table} }{ $row->{outcome} } = $row->{facts};
        push @{ $shown{ $row->{fact_table} }{ $row->{outcome} } }, $row if defined $row->{source_fact};
    }
    for my $table (@{ $merge->{shape}{tables} }) {
        my $counts = $expected->{ $table->{name} };
        my %right = ('in both' => $counts->{in_both}, copied => $counts->{copied}, conflict => $counts->{conflicting});
        for my $outcome (sort keys %right) {
            my $of = "$table->{name}: $outcome";
            my @shown = @{ $shown{ $table->{name} }{$outcome} // [] };
            my @lowest = lowest_of($merge, $table, $outcome, $examples);
            push @wrong, Laws::equal($of, $said{ $table->{name} }{$outcome} // -1, $right{$outcome}),
                Laws::equal("$of, examples", scalar @shown, scalar @lowest);
            next if @{ $table->{primary} // [] } != 1;
            my ($key) = @{ $table->{primary} };
            my @keys = map { JSON::PP->new->decode($_->{source_fact})->{$key} } @shown;
            my @lowest_keys = map { $_->{row}{$key} } @lowest;
            # JSON writes times, padded and composite values otherwise
            next if grep { ref || !/^(?:\w+|[0-9a-f-]+)$/ } @keys, @lowest_keys;
            push @wrong, "$of, examples: @keys, but should be @lowest_keys" if "@keys" ne "@lowest_keys";
        }
    }
    return @wrong;
}

# The first facts of the source that an outcome is about
sub lowest_of {
    my ($merge, $table, $outcome, $how_many) = @_;
    my @facts = sort { $a->{order} <=> $b->{order} } grep { $_->{table} == $table } @{ $merge->{source} };
    @facts = grep { ($merge->{counterparts}->kind($_) eq 'copied') == ($outcome eq 'copied') } @facts;
    @facts = grep { conflicting_columns($merge, $_) } @facts if $outcome eq 'conflict';
    return splice @facts, 0, $how_many;
}

1;
