# Describes a seed for people: its tables, its rules and what became of them.

package Show;

use strict;
use warnings;
use Ddl ();

sub described {
    my ($seed) = @_;
    my ($shape, $rules, $counts) = @$seed{qw(shape rules counts)};
    my @sides = map { "$_ " . @{ $seed->{sides}{$_}{facts} } } sort keys %{ $seed->{sides} };

    return ((map { table_lines($_) } @{ $shape->{tables} }), (map { rule_line($_) } @{ $rules->{rules} }),
        (map { handler_line($_) } @{ $rules->{handlers} }),
        'facts: universe ' . @{ $seed->{facts}{facts} } . ', sides ' . join(', ', @sides),
        'all merges: ' . join(', ', map { "$counts->{$_} $_" } sort keys %$counts));
}

sub table_lines {
    my ($table) = @_;
    my @columns = map { column_text($_) } @{ $table->{columns} };
    my @marks = map { unique_text($_) } @{ $table->{uniques} };
    push @marks, 'same by ' . ($table->{sameness} ? join(', ', @{ $table->{sameness} }) : 'the whole row');
    return ("$table->{kind} table $table->{name}: " . join(', ', @columns) . '; ' . join('; ', @marks),
        map { '    ' . reference_text($_) } @{ $table->{references} });
}

sub column_text {
    my ($column) = @_;
    return join ' ', @$column{qw(name type)}, $column->{surrogate} // (), $column->{conflicting} ? 'conflicting' : ();
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
