# The SQL that gives a schema the shape and the handlers of a seed.
#
# The sides of a seed have the same tables, and yet not the same files: each has
# a layout of its own (Layout.pm).

package Ddl;

use strict;
use warnings;
use Exporter 'import';
use Draw qw(shuffled);
use Rules ();
use Shape ();
use Types qw(quoted literal);

our @EXPORT_OK = qw(quoted qualified);

my $SHARED_SEQUENCE = 'Every number';
my $OUTWARD_ROWS = 12;

sub qualified {
    my ($schema, $table) = @_;
    return quoted($schema) . '.' . quoted($table->{name});
}

#
# Tables
#

# One schema; what lies outside of it, in $elsewhere, is there already
sub create_schema {
    my ($schema, $shape, $layout, $elsewhere) = @_;
    my @tables = @{ $shape->{tables} };
    my @columns = map { @{ $_->{columns} } } @tables;
    my $labels = $shape->{labels}[ $layout->{rank} ];
    my @sql = ('CREATE SCHEMA ' . quoted($schema));

    push @sql, Types::make($schema, $labels, map { $_->{type} } @columns);
    push @sql, 'CREATE SEQUENCE ' . quoted($schema) . '.' . quoted($SHARED_SEQUENCE) . " START $layout->{sequence}"
        if grep { ($_->{surrogate} // '') eq 'shared' } @columns;
    push @sql, map { create_outward($schema, $_) } grep { $_->{ignored} } @{ $shape->{outward} };
    push @sql, map { create_table($schema, $_, $layout) } @tables;
    push @sql, map { add_references($schema, $_, $elsewhere) } @tables;
    push @sql, map { create_view($schema, $_, $layout->of($_)->{view}) } @tables;
    return join ";\n", @sql;
}

# The schema that others refer to
sub create_elsewhere {
    my ($elsewhere, $shape) = @_;
    return join ";\n", 'CREATE SCHEMA ' . quoted($elsewhere),
        map { create_outward($elsewhere, $_) } grep { !$_->{ignored} } @{ $shape->{outward} };
}

# A table that holds no facts, but values that facts may have.  Its rows are not the same everywhere.
sub create_outward {
    my ($schema, $outward) = @_;
    my $name = qualified($schema, $outward);
    my $type = Types::sql($outward->{type}, $outward->{widths}[0]);
    my $value = $outward->{type} eq 'text' ? "'w' || n" : 'n';
    return ("CREATE TABLE $name (code $type PRIMARY KEY, note text)",
        "INSERT INTO $name SELECT $value, random()::text FROM generate_series(1, $OUTWARD_ROWS) AS n");
}

sub create_table {
    my ($schema, $table, $layout) = @_;
    my ($name, $own) = (qualified($schema, $table), $layout->of($table));
    my @lines = map { column_definition($schema, $table, $_, $layout) } @{ $own->{columns} };
    push @lines, 'PRIMARY KEY (' . quoted(@{ $table->{primary} }) . ')' if $table->{primary};
    push @lines, map { unique_constraint($_) } @{ $table->{uniques} };
    push @lines, map { 'EXCLUDE (' . quoted($_->{column}{name}) . ' WITH =)' }
        grep { $_->{how} eq 'exclude' } @{ $table->{guards} };

    my $by = $own->{partition};
    my @sql = own_sequence($schema, $table, $own);
    my $kind = $layout->{unlogged} ? 'UNLOGGED TABLE' : 'TABLE';
    push @sql, "CREATE $kind $name (\n    " . join(",\n    ", @lines) . "\n)"
        . ($by ? " PARTITION BY $by->{by} (" . quoted(@{ $by->{columns} }) . ')' : '');
    push @sql, map { "ALTER TABLE $name DROP COLUMN " . quoted($_) } @{ $own->{dropped} };
    push @sql, map { create_part($schema, $table, $layout, $_) } 0 .. $#{ $by->{parts} } if $by;
    push @sql, map { create_guard($name, $_) } @{ $table->{guards} };
    my ($serial) = grep { ($_->{surrogate} // '') eq 'serial' } @{ $table->{columns} };
    push @sql, 'SELECT setval(' . sequence_of($schema, $table, $serial) . ", $own->{start}, false)" if $serial;
    return @sql;
}

sub unique_constraint {
    my ($unique) = @_;
    return 'UNIQUE ' . ($unique->{nulls} ? 'NULLS NOT DISTINCT ' : '') . '(' . quoted(@{ $unique->{columns} }) . ')'
        . ($unique->{deferrable} ? ' DEFERRABLE' : '');
}

# A unique index that is no key
sub create_guard {
    my ($name, $guard) = @_;
    my $column = quoted($guard->{column}{name});
    return "CREATE UNIQUE INDEX ON $name ($column) WHERE $column <> ''" if $guard->{how} eq 'partial';
    return "CREATE UNIQUE INDEX ON $name (upper($column))" if $guard->{how} eq 'expression';
    return ();
}

sub column_definition {
    my ($schema, $table, $name, $layout) = @_;
    my $column = Shape::column($table, $name) or return quoted($name) . ' integer DEFAULT 7';
    my $type = $layout->type_of($schema, $column);
    my $default = $column->{constant} // $column->{default};
    my $filled = $column->{surrogate} ? surrogate_definition($schema, $table, $column, $layout)
        : $column->{uuid_key} ? "$type DEFAULT gen_random_uuid()"
        : defined $default ? "$type DEFAULT " . literal($default)
        : $column->{role} eq 'generated' && $layout->fills($table, $column)
        ? "$type GENERATED ALWAYS AS (" . generated_from($column) . ') STORED'
        :   $type;
    return quoted($name) . " $filled" . ($column->{not_null} ? ' NOT NULL' : '');
}

sub generated_from {
    my ($column) = @_;
    return 'upper(' . quoted($column->{from}{name}) . ')';
}

sub surrogate_definition {
    my ($schema, $table, $column, $layout) = @_;
    my $how = $column->{surrogate};
    my $type = $layout->type_of($schema, $column);
    my $start = $layout->of($table)->{start};
    return "$type GENERATED ALWAYS AS IDENTITY (START WITH $start)" if $how eq 'always';
    return "$type GENERATED BY DEFAULT AS IDENTITY (START WITH $start)" if $how eq 'bydefault';
    return { smallint => 'smallserial', integer => 'serial', bigint => 'bigserial' }->{$type} if $how eq 'serial';
    return "$type DEFAULT gen_random_uuid()" if $how eq 'uuid';
    return "$type DEFAULT md5(random()::text || clock_timestamp())::uuid" if $how eq 'hashed';
    my $next = 'nextval(' . sequence_of($schema, $table, $column) . ')';
    return $how eq 'coded' ? "$type DEFAULT 'n' || $next" : "$type DEFAULT $next";
}

# The sequence of a key that is more than a number has to be there first
sub own_sequence {
    my ($schema, $table, $own) = @_;
    my ($coded) = grep { ($_->{surrogate} // '') eq 'coded' } @{ $table->{columns} } or return;
    return 'CREATE SEQUENCE ' . quoted($schema) . '.' . quoted(own_sequence_name($table)) . " START $own->{start}";
}

sub own_sequence_name {
    my ($table) = @_;
    return named_after('numbers', $table);
}

# A name for something that belongs to a table, not longer than names may be
sub named_after {
    my ($what, $table) = @_;
    return "$what of " . substr($table->{name}, 0, 50);
}

# The expression that names the sequence of a column
sub sequence_of {
    my ($schema, $table, $column) = @_;
    my $name = { shared => $SHARED_SEQUENCE, coded => own_sequence_name($table) }->{ $column->{surrogate} };
    return literal(quoted($schema) . '.' . quoted($name)) . '::regclass' if $name;
    return sprintf 'pg_get_serial_sequence(%s, %s)', literal(qualified($schema, $table)), literal($column->{name});
}

sub create_part {
    my ($schema, $table, $layout, $number) = @_;
    my $part = $layout->of($table)->{partition}{parts}[$number];
    my $whole = qualified($schema, $table);
    my $name = quoted($schema) . '.' . quoted(named_after('part ' . ($number + 1), $table));
    return "CREATE TABLE $name PARTITION OF $whole $part->{bound}" unless $part->{attached};

    my @lines;
    for my $column (shuffled($layout->columns_of($table))) {
        my $keyed = $table->{primary} && grep { $_ eq $column->{name} } @{ $table->{primary} };
        my $type = $layout->type_of($schema, $column);
        $type .= ' GENERATED ALWAYS AS (' . generated_from($column) . ') STORED'
            if $column->{role} eq 'generated' && $layout->fills($table, $column);
        push @lines, quoted($column->{name}) . " $type" . ($column->{not_null} || $keyed ? ' NOT NULL' : '');
    }
    return ("CREATE TABLE $name (" . join(', ', @lines) . ')',
        "ALTER TABLE $whole ATTACH PARTITION $name $part->{bound}");
}

sub create_view {
    my ($schema, $table, $kind) = @_;
    return () unless $kind;
    my $name = quoted($schema) . '.' . quoted(named_after('view', $table));
    return "CREATE $kind $name AS SELECT * FROM " . qualified($schema, $table);
}

sub add_references {
    my ($schema, $table, $elsewhere) = @_;
    my $add = 'ALTER TABLE ' . qualified($schema, $table) . ' ADD FOREIGN KEY ';
    my @outward = grep { $_->{outward} } @{ $table->{columns} };
    return (
        (map {
            $add . '(' . quoted(@{ $_->{columns} }) . ')'
                . ' REFERENCES ' . qualified($schema, $_->{to}) . ' (' . quoted(@{ $_->{to_columns} }) . ')'
                . ($_->{match_full} ? ' MATCH FULL' : '') . ($_->{deferrable} ? ' DEFERRABLE INITIALLY DEFERRED' : '')
        } @{ $table->{references} }),
        (map {
            $add . '(' . quoted($_->{name}) . ') REFERENCES '
                . qualified($_->{outward}{ignored} ? $schema : $elsewhere, $_->{outward})
        } @outward));
}

# What makes an ignored table known as one
sub ignore {
    my ($schema, $shape) = @_;
    return map { 'SELECT factmerge_ignore(' . literal(qualified($schema, $_)) . ')' }
        grep { $_->{ignored} } @{ $shape->{outward} };
}

#
# Handlers
#

sub create_handlers {
    my ($schema, $rules) = @_;
    return join ";\n", map { create_handler($schema, $_) } @{ $rules->{handlers} };
}

sub create_handler {
    my ($schema, $handler) = @_;
    my $how = $handler->{how};
    my $name = quoted($schema) . '.' . quoted($handler->{name});
    my $fact = { row => '(SELECT NEW.*)', statement => 'arrived' }->{$how} // '(SELECT (fact).*)';
    my $result = { void => 'void', setof => 'SETOF ' . qualified($schema, $handler->{rule}{target}) }->{$how} // 'trigger';
    my $parameters = is_function($handler) ? 'fact ' . qualified($schema, $handler->{table}) : '';
    my $path = $handler->{style} eq 'path' ? ' SET search_path = ' . quoted($schema, 'public') : '';
    my $body = $how eq 'setof' ? returning_body($schema, $handler, $fact) : inserting_body($schema, $handler, $fact);

    my @sql = ("CREATE FUNCTION $name($parameters) RETURNS $result LANGUAGE plpgsql$path AS \$body\$\n$body\$body\$");
    push @sql, create_trigger($schema, $handler, $name) unless is_function($handler);
    return @sql;
}

sub is_function {
    my ($handler) = @_;
    return $handler->{how} eq 'void' || $handler->{how} eq 'setof';
}

# Does the trigger's own condition filter the facts, so that its function need not?
sub checked_in_when {
    my ($handler) = @_;
    return $handler->{how} eq 'row' && $handler->{in_when};
}

sub create_trigger {
    my ($schema, $handler, $function) = @_;
    my $filters = $handler->{rule}{atoms}[ $handler->{atom} ]{filters};
    my @when = checked_in_when($handler) ? conditions('NEW', $filters) : ();
    my $by_row = $handler->{how} eq 'row';
    return 'CREATE TRIGGER ' . quoted($handler->{name}) . ' AFTER INSERT ON ' . qualified($schema, $handler->{table})
        . ($by_row ? ' FOR EACH ROW' : ' REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT')
        . (@when ? ' WHEN (' . join(' AND ', @when) . ')' : '')
        . " EXECUTE FUNCTION $function()";
}

sub inserting_body {
    my ($schema, $handler, $fact) = @_;
    my $target = $handler->{rule}{target};
    my $into = $handler->{style} eq 'bare' ? quoted($target->{name}) : qualified($schema, $target);
    my $return = is_function($handler) ? '' : "    RETURN NULL;\n";
    # A statement that inserts nothing fires, too, and would go on for ever
    my $stop = $handler->{how} ne 'statement' ? '' : "    IF NOT EXISTS (SELECT FROM arrived) THEN RETURN NULL; END IF;\n";
    return "BEGIN\n$stop    INSERT INTO $into (" . quoted(pair_columns($target)) . ")\n"
        . derivation($schema, $handler, $fact) . "    ON CONFLICT DO NOTHING;\n${return}END\n";
}

# The row's type may gain columns, so the rows are filled by name
sub returning_body {
    my ($schema, $handler, $fact) = @_;
    my $target = $handler->{rule}{target};
    my @fields = map { 'derived.' . quoted($_) } pair_columns($target);
    my ($constant) = grep { $_->{constant} } @{ $target->{columns} };
    my $rest = !$constant ? '' : '        derived.' . quoted($constant->{name}) . ' := ' . literal($constant->{constant}) . ";\n";
    return 'DECLARE derived ' . qualified($schema, $target) . "%ROWTYPE;\n"
        . "BEGIN\n    FOR " . join(', ', @fields) . " IN\n" . derivation($schema, $handler, $fact)
        . "    LOOP\n$rest        RETURN NEXT derived;\n    END LOOP;\nEND\n";
}

sub pair_columns {
    my ($target) = @_;
    return map { @{ $_->{columns} } } @{ $target->{references} };
}

# The query of a rule, with the arrived facts in the place of one atom's table
sub derivation {
    my ($schema, $handler, $fact) = @_;
    my $rule = $handler->{rule};
    my @atoms = @{ $rule->{atoms} };
    my @unchecked = grep { !($_ == $handler->{atom} && checked_in_when($handler)) } 0 .. $#atoms;
    my @tables = map { $handler->{style} eq 'bare' ? quoted($_->{table}{name}) : qualified($schema, $_->{table}) } @atoms;
    my @from = map { ($_ == $handler->{atom} ? $fact : $tables[$_]) . " a$_" } 0 .. $#atoms;
    my @where = (join_conditions(@atoms), map { conditions("a$_", $atoms[$_]{filters}) } @unchecked);
    my @select;
    for my $end (@{ $rule->{ends} }) {
        my @columns = @{ $end->{reference} ? $end->{reference}{columns} : $end->{key} };
        push @select, map { "a$end->{atom}." . quoted($_) } @columns;
        push @where, map { "a$end->{atom}." . quoted($_) . ' IS NOT NULL' } @columns if $end->{reference};
    }
    return "    SELECT " . join(', ', @select) . "\n    FROM " . join(', ', @from) . "\n"
        . (@where ? '    WHERE ' . join(' AND ', @where) . "\n" : '');
}

sub join_conditions {
    my (@atoms) = @_;
    return () if @atoms == 1;
    return equal('a0', [ $atoms[0]{by}{name} ], 'a1', [ $atoms[1]{by}{name} ]) if $atoms[0]{by};
    my ($left, $right) = map { $_->{via} } @atoms[ 0, 1 ];
    return equal('a0', $left->{columns}, 'a1', $right->{columns}) if @atoms == 2;
    return (equal('a0', $left->{columns}, 'a2', $left->{to_columns}),
        equal('a1', $right->{columns}, 'a2', $right->{to_columns}));
}

sub equal {
    my ($one, $columns, $other, $other_columns) = @_;
    return map { "$one." . quoted($columns->[$_]) . " = $other." . quoted($other_columns->[$_]) } 0 .. $#$columns;
}

sub conditions {
    my ($row, $filters) = @_;
    return map {
        "$row." . quoted($_->{column}) . " $_->{operator}" . (defined $_->{value} ? ' ' . literal($_->{value}) : '')
    } @$filters;
}

# What makes a schema's functions known as handlers
sub declare_handlers {
    my ($schema, $rules) = @_;
    return join ";\n", map {
        sprintf 'SELECT factmerge_add_handler(%s, %s, %d, %s)', literal(qualified($schema, $_->{table})),
            literal(quoted($schema) . '.' . quoted($_->{name})), $_->{priority}, literal($_->{found_from})
    } grep { is_function($_) } @{ $rules->{handlers} };
}

1;
