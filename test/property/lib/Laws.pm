# The laws of a merge.
#
#    1  merging into an empty schema copies it
#    2  merging twice changes nothing
#    3  a into b comes to the same as b into a
#    4  the order of three merges does not matter
#    5  no fact of the source is lost, no fact of either side altered
#    6  the result is the union of both, saturated
#    7  the provenance of each fact is right
#    8  the totals add up, and a dry run and a preview say the same and leave nothing
#    9  each check skips what its definition says, and no more
#   10  verify finds nothing missing
#   11  origin knows the key that a fact had in the source
#   12  the conflicts listed are those that there are
#   13  sequences are ahead of the keys given out
#   14  which side is replayed does not matter
#   15  handlers that are sound are found to be so
#   16  a merge that is undone leaves nothing, and the next one comes to the same
#   17  facts that come between two merges end up as if they had been there at once
#   18  all of that holds for merges in batches (in those seeds where they are drawn)
#
# Each function checks one law and returns the complaints, none if it holds.  What
# most of them look at is one merge that was made (Seed.pm):
#
#   merge  { shape, rules, hops, from, into     the names of the two schemas
#            source, destination                facts of both before the merge
#            source_after, result               ... and after it
#            totals, report                     what the merge said
#            layouts,                           of each schema (Layout.pm)
#            again }                            whether it was not the first of these two
#
# Complaints spell facts out by identity, for a person to read.

package Laws;

use strict;
use warnings;
use Database ();
use Ddl      qw(qualified);
use Draw     qw(some_of);
use Fact     ();
use Oracle   ();
use Shape    ();
use Types    qw(literal);

my @COUNTS = @Oracle::COUNTS;
our @SKIPS = qw(skipped_categorically skipped_in_both skipped_friends_in_both skipped_one_sided);

#
# Comparing
#

# Two lists of texts as multisets
sub differences {
    my ($expected, $got) = @_;
    my %surplus;
    $surplus{$_}++ for @$got;
    $surplus{$_}-- for @$expected;
    my @missing = grep { $surplus{$_} < 0 } sort keys %surplus;
    my @extra = grep { $surplus{$_} > 0 } sort keys %surplus;
    return (summary('missing', @missing), summary('too many', @extra));
}

sub summary {
    my ($what, @texts) = @_;
    return () unless @texts;
    return sprintf('%d %s, as %s', scalar @texts, $what, Fact::spelled_out($texts[0]));
}

# Do two schemas hold the same facts, surrogate keys aside?
sub same_facts {
    my ($expected, $got) = @_;
    return differences([ map { $_->rendering } @$expected ], [ map { $_->rendering } @$got ]);
}

# Do they hold the same rows, keys and all?
sub same_rows {
    my ($expected, $got) = @_;
    return differences(map { [ map { Database::user_columns($_) } @$_ ] } $expected, $got);
}

sub by_identity {
    my ($facts) = @_;
    return { map { $_->identity => $_ } @$facts };
}

#
# What a merge leaves behind
#

# Every row of the destination is still there as it was, every fact of the source has come
sub nothing_lost {
    my ($merge) = @_;
    my @gone = grep { !/too many/ } same_rows($merge->{destination}, $merge->{result});
    my $result = by_identity($merge->{result});
    my @lost = map { $_->identity } grep { !$result->{ $_->identity } } @{ $merge->{source} };
    my @changed = same_rows($merge->{source}, $merge->{source_after});
    return ((map { "of the destination: $_" } @gone), (map { "of the source: $_" } summary('lost', @lost)),
        (map { "in the source itself: $_" } @changed));
}

# A copied fact keeps its own values.  Of a fact in both, the destination's stay,
# which nothing_lost() sees; elsewhere in the seed, same_facts() sees the rest.
sub copies_are_faithful {
    my ($merge) = @_;
    my $destination = by_identity($merge->{destination});
    my $result = by_identity($merge->{result});
    my @wrong;
    for my $fact (grep { !$destination->{ $_->identity } } @{ $merge->{source} }) {
        my $copy = $result->{ $fact->identity } or next;
        push @wrong, map { $fact->identity . " has another $_->{name}" } unfaithful($merge, $fact, $copy);
    }
    return summary('copied wrongly', @wrong);
}

# The columns in which a copy is not as it should be
sub unfaithful {
    my ($merge, $fact, $copy) = @_;
    my ($table, $layout) = ($fact->{table}, $merge->{layouts}{ $merge->{into} });
    my @leading = grep { $fact->{refs}{ $_->{name} } } @{ $table->{references} };
    my %points = map { $_ => 1 } map { @{ $_->{columns} } } @leading;
    my $plain = $layout->of($table)->{plain};
    return grep {
        my $name = $_->{name};
        my $right = $_->{role} eq 'generated' && !$plain->{$name} ? upper($copy->{row}{ $_->{from}{name} })
            : exists $fact->{row}{$name} ? $fact->{row}{$name} : $_->{default};
        unequal($right, $copy->{row}{$name});
    } grep { $_->{role} ne 'key' && !$points{ $_->{name} } } $layout->columns_of($table);
}

sub upper { return defined $_[0] ? uc($_[0]) : undef }

sub unequal {
    my ($one, $other) = @_;
    return defined $one && defined $other ? $one ne $other : defined $one || defined $other;
}

# The tag of each fact says where it came from
sub provenance_is_right {
    my ($merge) = @_;
    my ($source, $destination) = map { by_identity($merge->{$_}) } qw(source destination);
    my @wrong;
    for my $fact (@{ $merge->{result} }) {
        my ($theirs, $ours) = ($source->{ $fact->identity }, $destination->{ $fact->identity });
        my $tag = tag_of($fact);
        my @right = $ours ? tags_of_old_fact($merge, $ours, $theirs)
            : (($theirs ? 'source' : 'derived') . " $merge->{totals}{merge_id}");
        next if grep { $_ eq $tag } @right;
        push @wrong, $fact->identity . " is tagged '$tag', not '" . join("' or '", @right) . "'";
    }
    return summary('tagged wrongly', @wrong);
}

sub tag_of {
    my ($fact) = @_;
    return join ' ', $fact->{row}{factmerge_provenance} // 'not at all', $fact->{row}{factmerge_merge} // ();
}

# A fact that the destination had.  What an earlier merge said of it may stay; otherwise its tag
# tells which side has it, and one of the destination's own belongs to no merge.
sub tags_of_old_fact {
    my ($merge, $ours, $theirs) = @_;
    my $both = "both $merge->{totals}{merge_id}";
    my $earlier = defined $ours->{row}{factmerge_merge} ? tag_of($ours) : undef;
    return $theirs ? ($both, $earlier // ()) : $earlier // 'destination';
}

# Sequences have given out every key that they could be asked for
sub sequences_are_ahead {
    my ($database, $merge) = @_;
    return $database->keys_ahead_of_sequences($merge->{into}, $merge->{shape});
}

# A row for each column in which a fact of both differs, once: what an earlier merge has met is not listed again
sub conflicts_are_listed {
    my ($database, $merge) = @_;
    return if $merge->{again};
    my $destination = by_identity($merge->{destination});
    my @expected;
    for my $fact (@{ $merge->{source} }) {
        my $ours = $destination->{ $fact->identity } or next;
        push @expected, map { conflict_text("$fact->{table}{name}.$_", $fact->{row}{$_}, $ours->{row}{$_}) }
            grep { unequal($fact->{row}{$_}, $ours->{row}{$_}) } compared_values($merge, $fact->{table});
    }
    return conflicts_differ($database, $merge, @expected);
}

# Compares the conflicts that were recorded with those that should have been
sub conflicts_differ {
    my ($database, $merge, @expected) = @_;
    my $conflicts = $database->rows(<<'END', $merge->{totals}{merge_id});
SELECT relname, column_name, source_value, destination_value
FROM factmerge_conflicts(?) JOIN pg_class ON pg_class.oid = fact_table
END
    my @listed = map { conflict_text("$_->{relname}.$_->{column_name}", @$_{qw(source_value destination_value)}) }
        @$conflicts;
    my $total = $merge->{totals}{conflicts};
    return (differences(\@expected, \@listed), $total == @listed ? () : "the total is $total, the list has " . @listed);
}

# The columns in which the same fact could differ between both sides: not what they only refer to, nor what the
# destination generates
sub compared_values {
    my ($merge, $table) = @_;
    my ($from, $into) = map { $merge->{layouts}{$_} } @$merge{qw(from into)};
    my %there = map { $_->{name} => 1 } $from->columns_of($table);
    my $plain = $into->of($table)->{plain};
    my @common = grep { $there{ $_->{name} } } $into->columns_of($table);
    return map { $_->{name} } grep { $_->{role} =~ /^(?:value|extra)$/ || $plain->{ $_->{name} } } @common;
}

sub conflict_text {
    my ($column, @values) = @_;
    return "$column: " . join ' against ', map { spelled($_) } @values;
}

# A value as a text of the database has it
sub spelled {
    my ($value) = @_;
    my %spelled = (t => 'true', f => 'false');
    return !defined $value ? 'null' : $spelled{$value} // $value;
}

#
# What a merge says
#

# The totals add up, and say how many facts there were and came
sub totals_add_up {
    my ($merge) = @_;
    my $totals = $merge->{totals};
    my %before = map { $_->identity => 1 } @{ $merge->{source} }, @{ $merge->{destination} };
    my $skipped = 0;
    $skipped += $totals->{$_} for @SKIPS;

    return (equal('source facts', $totals->{source_facts}, scalar @{ $merge->{source} }),
        equal('in both + copied', $totals->{in_both} + $totals->{copied}, $totals->{source_facts}),
        equal('events', $totals->{events}, $totals->{source_facts}),
        equal('all verdicts', $skipped + $totals->{unhandled} + $totals->{replayed}, $totals->{events}),
        equal('derived', $totals->{derived}, scalar grep { !$before{ $_->identity } } @{ $merge->{result} }),
        equal('fact tables', $totals->{fact_tables}, scalar @{ $merge->{shape}{tables} }));
}

sub equal {
    my ($what, $said, $is) = @_;
    return $said == $is ? () : "$what: $said, but should be $is";
}

# Each count of each table is what the definitions give, and they sum up to the totals
sub checks_are_right {
    my ($merge) = @_;
    my ($shape, $rules, $report) = @$merge{qw(shape rules report)};
    my $expected = Oracle::expected_counts($shape, $rules, $merge->{hops}, $merge->{source}, $merge->{destination});
    my (@wrong, %sum);

    for my $table (@{ $shape->{tables} }) {
        my $name = $table->{name};
        my $said = $report->{$name} or return "no report on $name";
        $sum{$_} += $said->{$_} for @COUNTS;
        push @wrong, map { equal("$name: $_", $said->{$_}, $expected->{$name}{$_}) } counts_settled($rules, $table);
    }
    return (@wrong, map { equal("total of $_", $merge->{totals}{$_}, $sum{$_}) } @COUNTS);
}

# Which of the skips a handler found from its own fact alone counts as is its own affair, and so are all the
# checks where handlers of both kinds hang on one table
sub counts_settled {
    my ($rules, $table) = @_;
    my %found_from = map { $_->{found_from} => 1 } $rules->handlers_of($table);
    return @COUNTS unless $found_from{this};
    my %unsettled = map { $_ => 1 } @SKIPS, $found_from{any} ? 'replayed' : ();
    return grep { !$unsettled{$_} } @COUNTS;
}

# What a preview counted is what was merged
sub preview_is_right {
    my ($merge, $preview) = @_;
    my %said;
    $said{ $_->{fact_table} }{ $_->{outcome} } = $_->{facts} for @$preview;
    return map {
        my $name = $_->{name};
        my $report = $merge->{report}{$name};
        (equal("$name: in both", $said{$name}{'in both'} // -1, $report->{in_both}),
            equal("$name: copied", $said{$name}{copied} // -1, $report->{copied}));
    } @{ $merge->{shape}{tables} };
}

# Two merges said the same
sub same_totals {
    my ($one, $other) = @_;
    return map { equal($_, $one->{$_}, $other->{$_}) } 'fact_tables', 'conflicts', 'derived', @COUNTS;
}

# The second of two equal merges finds nothing to do
sub nothing_new {
    my ($merge) = @_;
    return (equal('copied', $merge->{totals}{copied}, 0), equal('derived', $merge->{totals}{derived}, 0),
        same_rows($merge->{destination}, $merge->{result}));
}

#
# What the other functions say afterwards
#

sub verify_is_empty {
    my ($database, $merge) = @_;
    my $missing = $database->rows('SELECT fact_table::text, fact::text FROM factmerge_verify(?)', $merge->{into});
    my $after = $database->facts_in($merge->{into}, $merge->{shape});
    return ((map { "it misses $_->{fact} in $_->{fact_table}" } @$missing), same_rows($merge->{result}, $after));
}

# For some facts: the key in the source, a row without source for a derived one, none for the destination's own
sub origin_is_right {
    my ($database, $merge) = @_;
    my ($source, $destination) = map { by_identity($merge->{$_}) } qw(source destination);
    my @wrong;
    my @known_by_key = sort { $a->identity cmp $b->identity } grep { $_->{table}{primary} } @{ $merge->{result} };
    for my $fact (some_of(6, @known_by_key)) {
        my ($theirs, $ours) = ($source->{ $fact->identity }, $destination->{ $fact->identity });
        my @expected = $theirs ? "$merge->{from} " . key_text($database, $merge, $theirs) : $ours ? () : 'no source';
        my @said = map { origin_text($_) } @{ origin($database, $merge, $fact) };
        push @wrong, map { 'origin of ' . Fact::spelled_out($fact->identity) . ": $_" } differences(\@expected, \@said);
    }
    return @wrong;
}

sub origin {
    my ($database, $merge, $fact) = @_;
    my $table = $fact->{table};
    my @fields = map { 'source_key ->> ' . literal($_) } @{ $table->{primary} };
    my $arguments = join ', ', literal(qualified($merge->{into}, $table)) . '::regclass', typed_key($merge, $fact);
    return $database->rows('SELECT source, jsonb_build_array(' . join(', ', @fields) . ') AS keys'
        . " FROM factmerge_origin($arguments)");
}

# The key of a fact, of the destination's types
sub typed_key {
    my ($merge, $fact) = @_;
    my ($table, $layout) = ($fact->{table}, $merge->{layouts}{ $merge->{into} });
    return map { literal($fact->{row}{$_}) . '::' . $layout->type_of($merge->{into}, Shape::column($table, $_)) }
        @{ $table->{primary} };
}

sub origin_text {
    my ($origin) = @_;
    return defined $origin->{source} ? "$origin->{source} $origin->{keys}" : 'no source';
}

sub key_text {
    my ($database, $merge, $fact) = @_;
    my @fields = map { "to_jsonb($_) #>> '{}'" } typed_key($merge, $fact);
    return $database->value('SELECT jsonb_build_array(' . join(', ', @fields) . ')');
}

1;
