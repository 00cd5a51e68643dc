# What a destination has and its sources do not know of: columns that refer somewhere,
# and triggers that change what is copied.
#
#   addition  { what                     for people
#               sql => [text, ...]       makes it, when the destination has its facts
#               refused(fact, ...)       given the facts that will be copied, whether an INSERT would be refused
#               trigger                  the name of one, because of which a merge may stop
#               alters => { table, column } or undef   whose text is upper case from then on
#               sets => reference or undef             that leads elsewhere from then on }
#
# The kinds:
#
#   default     a column with a default, which refers to a table with few rows
#   generated   the same, worked out from a value of the fact
#   part        a column with a default that together with a value refers
#   together    one in a fact table and one in another that refers to it, and
#               the foreign key is about both
#   upper       a trigger, ENABLE ALWAYS, that writes a text in upper case
#   drawn       one that draws the generated key itself
#   pointed     one that decides where a reference leads

package Additions;

use strict;
use warnings;
use Draw  qw(between chance pick shuffled weighted);
use Ddl   qw(qualified);
use Shape ();
use Types qw(quoted literal);

my %MAKE = (default => \&add_default, generated => \&add_generated, part => \&add_part, together => \&add_together,
    upper => \&add_upper, drawn => \&add_drawn, pointed => \&add_pointed);
my @WEIGHTS = (default => 4, generated => 2, part => 3, together => 4, upper => 4, drawn => 3, pointed => 1);
my $TRIES = 20;

# The one that a seed has, of those that fit its tables.  What the sides hold is there already.
sub draw {
    my ($context) = @_;
    for (1 .. $TRIES) {
        my $kind = weighted(@WEIGHTS);
        my $addition = $MAKE{$kind}->($context) or next;
        return { refused => sub { return 0 }, what => $kind, %$addition };
    }
    return;
}

sub base_tables {
    my ($context) = @_;
    return grep { $_->{kind} ne 'derived' } @{ $context->{shape}{tables} };
}

sub pick_value {
    my ($context, $fits) = @_;
    my @found;
    for my $table (base_tables($context)) {
        push @found, map { [ $table, $_ ] } grep { $_->{role} eq 'value' && $fits->($table, $_) } @{ $table->{columns} };
    }
    return @found ? @{ pick(@found) } : ();
}

# All values of a column among some facts
sub values_of {
    my ($column, @facts) = @_;
    my %seen;
    return grep { !$seen{$_}++ } grep { defined } map { $_->{values}{ $column->{name} } } @facts;
}

sub facts_of {
    my ($table, @facts) = @_;
    return grep { $_->{table} == $table } @facts;
}

# A table that is referred to, of one column or two, and its rows; outside of the destination, or one that only it has
sub create_target {
    my ($context, $columns, @rows) = @_;
    my $name = quoted(chance(0.5) ? $context->{elsewhere} : $context->{into}) . '.' . quoted('The tenants');
    my @names = map { (split / /)[0] } @$columns;
    return ($name, 'CREATE TABLE ' . "$name (" . join(', ', @$columns) . ', PRIMARY KEY (' . join(', ', @names) . '))',
        map { "INSERT INTO $name VALUES (" . join(', ', map { literal($_) } @$_) . ')' } @rows);
}

#
# Columns that refer
#

# Facts of the destination's own refer to the first tenant; whether that of the default is there is a matter of luck
sub add_default {
    my ($context) = @_;
    my $table = pick(base_tables($context));
    my ($type, $first, $second) = @{ pick([qw(integer 1 2)], [qw(text one two)],
        [ 'uuid', map { "00000000-0000-4000-8000-00000000000$_" } 1, 2 ]) };
    my $default = pick($first, $second);
    my $there = chance(0.4);
    my ($target, @create) = create_target($context, ["id $type"], [$first], $there ? [$second] : ());
    my $alter = 'ALTER TABLE ' . qualified($context->{into}, $table);
    my $dangles = $default eq $second && !$there;
    return { sql => [ @create, "$alter ADD \"its tenant\" $type NOT NULL DEFAULT " . literal($first) . " REFERENCES $target",
            "$alter ALTER \"its tenant\" SET DEFAULT " . literal($default) ],
        what => "$table->{name} has a tenant by default" . ($dangles ? ' that is not there' : ''),
        refused => sub { return $dangles && facts_of($table, @_) } };
}

# What is made of the destination's own facts is there; of the source's, with luck
sub add_generated {
    my ($context) = @_;
    my ($table, $column) = pick_value($context, sub { $_[1]{type} eq 'text' && !Shape::column($_[0], $_[1]{name})->{outward} });
    return unless $table;
    my @own = map { uc } values_of($column, facts_of($table, @{ $context->{destination} }));
    my @theirs = map { uc } values_of($column, facts_of($table, @{ $context->{source} }));
    my %there = map { $_ => 1 } @own, chance(0.5) ? @theirs : ();
    my ($target, @create) = create_target($context, ['id text'], map { [$_] } sort keys %there);
    my $name = quoted($column->{name});
    return { sql => [ @create, 'ALTER TABLE ' . qualified($context->{into}, $table) . ' ADD "its tenant" text GENERATED ALWAYS'
                . " AS (upper($name)) STORED REFERENCES $target" ],
        what => "$table->{name} has a tenant made of $column->{name}",
        refused => sub { return grep { !$there{ uc $_ } } values_of($column, facts_of($table, @_)) } };
}

sub add_part {
    my ($context) = @_;
    my ($table, $column) = pick_value($context, sub { $_[1]{type} =~ /^(?:text|integer|date|uuid)$/ });
    return unless $table;
    my $type = $context->{layout}->type_of($context->{into}, $column);
    my @own = values_of($column, facts_of($table, @{ $context->{destination} }));
    my @theirs = values_of($column, facts_of($table, @{ $context->{source} }));
    my %there = map { $_ => 1 } @own, chance(0.5) ? @theirs : ();
    my ($target, @create) = create_target($context, [ 'tenant integer', "code $type" ], map { [ 1, $_ ] } sort keys %there);
    my @columns = ('its tenant', $column->{name});
    my $alter = 'ALTER TABLE ' . qualified($context->{into}, $table);
    return { sql => [ @create, "$alter ADD \"its tenant\" integer DEFAULT 1",
            "$alter ADD FOREIGN KEY (" . quoted(@columns) . ") REFERENCES $target (tenant, code)" ],
        what => "$table->{name} has a tenant, and refers by that and $column->{name}",
        refused => sub { return grep { !$there{$_} } values_of($column, facts_of($table, @_)) } };
}

# Some of the destination's own facts belong to the second tenant; what is copied belongs to the first
sub add_together {
    my ($context) = @_;
    my @references = grep { $_->{from} != $_->{to} && !$_->{cyclic} && !$_->{shadow} && !$context->{layout}->of($_->{to})->{partition} }
        map { @{ $_->{references} } } base_tables($context);
    my $reference = pick(@references) or return;
    my ($from, $to) = map { qualified($context->{into}, $_) } @$reference{qw(from to)};
    my @second = grep { chance(0.3) } facts_of($reference->{to}, @{ $context->{destination} });
    my %second = map { $_->identity => 1 } @second;
    my @near = ('its tenant', @{ $reference->{columns} });
    my @far = ('its tenant', @{ $reference->{to_columns} });
    my $same = join ' AND ', map { 'f.' . quoted($near[$_]) . ' = t.' . quoted($far[$_]) } 1 .. $#near;
    return { sql => [ (map { "ALTER TABLE $_ ADD \"its tenant\" integer NOT NULL DEFAULT 1" } $from, $to),
            (map { "UPDATE $to SET \"its tenant\" = 2 WHERE " . row_condition($context, $_, @{ $reference->{to_columns} }) } @second),
            "UPDATE $from f SET \"its tenant\" = 2 FROM $to t WHERE $same AND t.\"its tenant\" = 2",
            "ALTER TABLE $to ADD UNIQUE (" . quoted(@far) . ')',
            "ALTER TABLE $from ADD FOREIGN KEY (" . quoted(@near) . ") REFERENCES $to (" . quoted(@far) . ')' ],
        what => "$reference->{from}{name} and $reference->{to}{name} have a tenant",
        refused => sub { return grep { my $led_to = $_->{refs}{ $reference->{name} }; $led_to && $second{ $led_to->identity } }
            facts_of($reference->{from}, @_) } };
}

sub row_condition {
    my ($context, $fact, @columns) = @_;
    return join ' AND ', map {
        quoted($_) . ' = ' . literal($fact->{row}{$_}) . '::'
            . $context->{layout}->type_of($context->{into}, Shape::column($fact->{table}, $_))
    } @columns;
}

#
# Triggers
#

sub add_trigger {
    my ($context, $table, $body) = @_;
    my ($function, $name) = (quoted($context->{into}) . '.alter_it', qualified($context->{into}, $table));
    return { trigger => 'alter_it',
        sql => [ "CREATE FUNCTION $function() RETURNS trigger LANGUAGE plpgsql AS \$body\$BEGIN $body; RETURN NEW; END\$body\$",
            "CREATE TRIGGER alter_it BEFORE INSERT ON $name FOR EACH ROW EXECUTE FUNCTION $function()",
            "ALTER TABLE $name ENABLE ALWAYS TRIGGER alter_it" ] };
}

# A key, preferably, that something refers to
sub add_upper {
    my ($context) = @_;
    my %led_to = map { ("$_->{to}{name} $_->{to_columns}[0]" => 1) } map { @{ $_->{references} } } base_tables($context);
    my @fits = (sub { $_[1]{type} eq 'text' && !$_[1]{outward} && $led_to{"$_[0]{name} $_[1]{name}"} },
        sub { $_[1]{type} eq 'text' && !$_[1]{outward} });
    my ($table, $column);
    ($table, $column) = pick_value($context, $_) for chance(0.8) ? $fits[0] : $fits[1];
    return unless $table && !$context->{layout}->of($table)->{partition};
    my $name = quoted($column->{name});
    return { %{ add_trigger($context, $table, "NEW.$name := upper(NEW.$name)") },
        what => "$table->{name}.$column->{name} is written in upper case", alters => { table => $table, column => $column } };
}

sub add_drawn {
    my ($context) = @_;
    my @tables = grep { grep { $_->{surrogate} && $_->{type} eq 'integer' } @{ $_->{columns} } } base_tables($context);
    my $table = pick(@tables) or return;
    my ($key) = grep { $_->{surrogate} } @{ $table->{columns} };
    my $sequence = Ddl::sequence_of($context->{into}, $table, $key);
    my $name = quoted($key->{name});
    return { %{ add_trigger($context, $table, "NEW.$name := nextval($sequence)") }, what => "$table->{name} draws its key by a trigger" };
}

sub add_pointed {
    my ($context) = @_;
    my @references = grep { @{ $_->{columns} } == 1 && !$_->{shadow} && !$_->{cyclic} } map { @{ $_->{references} } }
        grep { !$context->{layout}->of($_)->{partition} } base_tables($context);
    my $reference = pick(@references) or return;
    my ($column, $to) = (quoted($reference->{columns}[0]), quoted($reference->{to_columns}[0]));
    my $target = qualified($context->{into}, $reference->{to});
    return { %{ add_trigger($context, $reference->{from}, "NEW.$column := (SELECT $to FROM $target ORDER BY $to LIMIT 1)") },
        what => "$reference->{from}{name}.$reference->{name} is pointed by a trigger", sets => $reference };
}

1;
