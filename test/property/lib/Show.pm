# Describes a seed for people: its tables, its rules and what became of them.

package Show;

use strict;
use warnings;
use Ddl      ();
use Sameness ();

sub described {
    my ($seed) = @_;
    my ($shape, $rules, $counts) = @$seed{qw(shape rules counts)};
    my %sides = %{ $seed->{sides} };
    my @sides = map { "$_ " . @{ $sides{$_}{facts} } } grep { $sides{$_} } sort keys %sides;
    my @schemas = map { $seed->{schemas}{$_} } qw(a b c empty);

    return ((map { table_lines($_) } @{ $shape->{tables} }), (map { rule_line($_) } @{ $rules->{rules} }),
        (map { handler_line($_) } @{ $rules->{handlers} }),
        (map { layout_lines($_, $seed->{database}{layouts}{$_}, $shape) } @schemas),
        'facts: universe ' . @{ $seed->{facts}{facts} } . ', sides ' . join(', ', @sides),
        'all merges: ' . join(', ', map { "$counts->{$_} $_" } sort keys %$counts));
}

sub table_lines {
    my ($table) = @_;
    my @columns = map { column_text($_) } @{ $table->{columns} };
    my @marks = map { unique_text($_) } @{ $table->{uniques} };
    push @marks, 'same by ' . ($table->{rule} ? same_text($table->{rule})
        : $table->{sameness} ? join(', ', @{ $table->{sameness} }) : 'the whole row');
    return ("$table->{kind} table $table->{name}: " . join(', ', @columns) . '; ' . join('; ', @marks),
        map { '    ' . reference_text($_) } @{ $table->{references} });
}

# What one schema has otherwise than others
sub layout_lines {
    my ($schema, $layout, $shape) = @_;
    return () unless $layout;
    my @lines = $layout->{unlogged} ? "schema $schema is unlogged" : ();
    for my $table (@{ $shape->{tables} }) {
        my $own = $layout->of($table);
        my @differing = grep { differs($_) } $layout->columns_of($table);
        my @types = map { "$_->{name} " . $layout->type_of($schema, $_) } @differing;
        my @marks = map { "$_ plain" } sort keys %{ $own->{plain} };
        push @marks, 'with a ' . lc $own->{view} if $own->{view};
        my $partition = $own->{partition};
        push @marks, 'by ' . lc($partition->{by}) . ' of ' . join(', ', @{ $partition->{columns} }) if $partition;
        push @lines, "in $schema, $table->{name}: " . join ', ', @types, @marks if @types || @marks;
    }
    return @lines;
}

sub differs {
    my ($column) = @_;
    return $column->{rank} || $column->{widths}[0] != $column->{widths}[-1];
}

sub column_text {
    my ($column) = @_;
    return join ' ', @$column{qw(name type)}, $column->{surrogate} // (), $column->{conflicting} ? 'conflicting' : ();
}

sub same_text {
    my ($rule) = @_;
    my @tolerances = map { Sameness::tolerance_json($_) } @{ $rule->{tolerances} };
    return join ' and ', @{ $rule->{key} } ? '(' . join(', ', @{ $rule->{key} }) . ')' : (), @tolerances,
        $rule->{condition} ? $rule->{condition}{sql} : ();
}

sub unique_text {
    my ($unique) = @_;
    return 'unique (' . join(', ', @{ $unique->{columns} }) . ')' . ($unique->{nulls} ? ' nulls not distinct' : '');
}

sub reference_text {
    my ($reference) = @_;
    my ($columns, $to_columns) = map { join ', ', @$_ } @$reference{qw(columns to_columns)};
    return "$columns -> $reference->{to}{name} ($to_columns)"
        . join '', map { $reference->{$_} ? " $_" : '' } qw(nullable deferrable cyclic shadow);
}

sub rule_line {
    my ($rule) = @_;
    my @atoms = @{ $rule->{atoms} };
    my @body = map {
        my $atom = $atoms[$_];
        "a$_ = $atom->{table}{name}" . join ' and ', '', Ddl::conditions("a$_", $atom->{filters})
    } 0 .. $#atoms;
    my @head = map { join '.', "a$_->{atom}", $_->{reference} ? join('+', @{ $_->{reference}{columns} }) : () } @{ $rule->{ends} };
    return "rule: $rule->{target}{name}(" . join(', ', @head) . ') if ' . join(', ', @body, Ddl::join_conditions(@atoms));
}

sub handler_line {
    my ($handler) = @_;
    return "handler $handler->{name} on $handler->{table}{name} for $handler->{rule}{target}{name}, a$handler->{atom}: "
        . "$handler->{how}, names $handler->{style}, found from $handler->{found_from}";
}

1;
