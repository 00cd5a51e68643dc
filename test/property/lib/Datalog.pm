# A random Datalog program: relations, rules of two to four atoms, and what follows.
#
#   relation  { name, columns [ { name, type } ], key }   a table; a column of type point refers
#                                                          to table point, others hold a value
#   rule      { name, target, bodies [ body ], head [ variable ], style }
#   body      { atoms [ { relation, variables } ], filters [ { sql, holds } ], either }
#   either    { filter, relation, column, variable }      the filter holds, or a fact of the relation has
#                                                          the variable's value in the column
#   handler   { from, columns, target }                   a trigger that derives, instead of a rule
#
# A fact is a text, the name of its relation and its values, points by their names: so the
# facts of schemas with different keys compare.  The oracle joins in Perl, over and over
# until nothing is new, and knows nothing of factmerge.

package Datalog;

use strict;
use warnings;
use Draw qw(between chance pick shuffled some_of weighted);

my @POINTS = map { chr(ord('a') + $_) } 0 .. 11;
my @COLOURS = ('red', 'green', "it's blue");
my $MOST_VARIABLES = 4;

sub draw {
    my ($class) = @_;
    my $self = bless { points => [ @POINTS[ 0 .. between(6, $#POINTS) ] ], rules => [], handlers => [] }, $class;
    my @base = map { draw_relation("base_$_") } 1 .. between(1, 3);
    my @derived = map { draw_relation("Derived $_") } 1 .. between(1, 3);

    # The first rule has something to begin with
    $self->{relations} = [ @base, @derived ];
    $self->draw_rule(1, $derived[0], @base);
    $self->draw_rule($_, pick(@derived), @base, @base, @derived) for 2 .. between(1, 4);
    $self->draw_handler(pick(@base, @derived), @derived) if chance(0.3);
    return $self;
}

sub draw_relation {
    my ($name) = @_;
    my @types = ('point', map { pick(qw(point point colour)) } 2 .. weighted(1 => 1, 2 => 12, 3 => 3));
    return {
        name => $name,
        columns => [ map { { name => "c$_", type => $types[ $_ - 1 ] } } 1 .. @types ],
        key => weighted(natural => 5, surrogate => 3, unique => 1, none => 1),
    };
}

#
# Rules
#

sub draw_rule {
    my ($self, $number, $target, @relations) = @_;
    my $rule = { name => "rule $number", target => $target, style => pick(qw(comma join with lateral exists distinct)) };
    my $bodies = chance(0.2) ? 2 : 1;

    for (1 .. 20) {
        my $body = draw_body(@relations);
        my $head = draw_head($body, $target) or next;
        push @{ $rule->{bodies} }, { %$body, head => $head };
        last if @{ $rule->{bodies} } == $bodies;
    }
    push @{ $self->{rules} }, $rule if $rule->{bodies};
}

# Atoms that hang together: each of them but the first has a variable of an earlier one, and most others are new
sub draw_body {
    my (@relations) = @_;
    my (@atoms, %type_of);
    for my $number (1 .. weighted(2 => 6, 3 => 3, 4 => 2)) {
        my $relation = pick(@relations);
        my @types = map { $_->{type} } @{ $relation->{columns} };
        my ($shared) = shuffled(grep { variables_of($types[$_], \%type_of) } 0 .. $#types);
        my @variables;
        for my $place (0 .. $#types) {
            my @known = variables_of($types[$place], \%type_of);
            push @variables, defined $shared && $place == $shared ? pick(@known) : draw_variable($types[$place], @known);
            $type_of{ $variables[$place] } = $types[$place];
        }
        push @atoms, { relation => $relation, variables => \@variables };
    }
    my %read = map { $_->{relation}{name} => 1 } @atoms;
    my @others = grep { !$read{ $_->{name} } } @relations;
    return {
        atoms => \@atoms, types => \%type_of, filters => [ map { draw_filter(\%type_of) } 1 .. between(0, 1) ],
        either => chance(0.3) ? scalar(draw_either(\%type_of, @others ? @others : @relations)) : undef,
    };
}

# A condition that some fact can make true, but need not
sub draw_either {
    my ($type_of, @relations) = @_;
    my $relation = pick(@relations) // return;
    my $column = between(0, $#{ $relation->{columns} });
    my @variables = variables_of($relation->{columns}[$column]{type}, $type_of) or return;
    my $filter = draw_filter($type_of) // { sql => 'false', holds => sub { 0 } };
    return { filter => $filter, relation => $relation, column => $column, variable => pick(@variables) };
}

# The same as SQL, with variables as @variable
sub either_sql {
    my ($either) = @_;
    my $relation = $either->{relation};
    return "($either->{filter}{sql} OR EXISTS (SELECT FROM \"$relation->{name}\" AS o"
        . " WHERE o.$relation->{columns}[ $either->{column} ]{name} = \@$either->{variable}))";
}

# The variables of a type that there are already
sub variables_of {
    my ($type, $type_of) = @_;
    return grep { $type_of->{$_} eq $type } sort keys %$type_of;
}

sub draw_variable {
    my ($type, @known) = @_;
    return pick(@known) if @known >= $MOST_VARIABLES || (@known && chance(0.1));
    return "$type\_" . (1 + @known);
}

# Variables of a body for the columns of a target, as far as may be different ones
sub draw_head {
    my ($body, $target) = @_;
    my (%left, @head);
    for my $type (map { $_->{type} } @{ $target->{columns} }) {
        $left{$type} = [ shuffled(variables_of($type, $body->{types})) ] unless $left{$type} && @{ $left{$type} };
        push @head, shift @{ $left{$type} } // return;
    }
    return \@head;
}

sub draw_filter {
    my ($type_of) = @_;
    my @points = variables_of('point', $type_of);
    my @colours = variables_of('colour', $type_of);
    if (@colours && chance(0.5)) {
        my ($variable, $colour) = (pick(@colours), pick(@COLOURS));
        my $quoted = $colour =~ s/'/''/gr;
        return { sql => "\@$variable <> '$quoted'", holds => sub { $_[0]{$variable} ne $colour } };
    }
    my ($one, $other) = some_of(2, @points) or return;
    return unless defined $other;
    return { sql => "\@$one <> \@$other", holds => sub { $_[0]{$one} ne $_[0]{$other} } };
}

# A trigger on one relation whose facts are facts of another, less some columns or in another order
sub draw_handler {
    my ($self, $from, @targets) = @_;
    my $target = pick(@targets);
    my @columns = map {
        my $type = $_->{type};
        pick(grep { $_->{type} eq $type } @{ $from->{columns} }) // return
    } @{ $target->{columns} };
    push @{ $self->{handlers} }, { from => $from, columns => \@columns, target => $target };
}

#
# Rules as SQL
#

# The target as factmerge_add_rule() takes it, and the query
sub rule_sql {
    my ($rule) = @_;
    my $target = sprintf '"%s" (%s)', $rule->{target}{name}, join ', ', map { $_->{name} } @{ $rule->{target}{columns} };
    return ($target, join ' UNION ', map { body_sql($rule, $_) } @{ $rule->{bodies} });
}

sub body_sql {
    my ($rule, $body) = @_;
    my @atoms = @{ $body->{atoms} };
    my $style = $rule->{style};
    my (%place, @conditions, @by_atom);
    for my $number (0 .. $#atoms) {
        my @equal;
        for my $column (0 .. $#{ $atoms[$number]{variables} }) {
            my $variable = $atoms[$number]{variables}[$column];
            my $here = "a$number." . $atoms[$number]{relation}{columns}[$column]{name};
            push @equal, "$place{$variable} = $here" if $place{$variable};
            $place{$variable} //= $here;
        }
        push @by_atom, \@equal;
    }
    my @filters = map { s/\@(\w+)/$place{$1}/gr } (map { $_->{sql} } @{ $body->{filters} }),
        $body->{either} ? either_sql($body->{either}) : ();
    my @head = map { $place{$_} } @{ $body->{head} };
    my @from = map { qq("$_->{relation}{name}") } @atoms;
    my $last = $#atoms;
    my $needed = join ' ', @head, @filters;

    # What only says that there is some fact
    if ($style eq 'exists' && $needed !~ /\ba$last\./) {
        my @within = @{ pop @by_atom };
        push @filters, "EXISTS (SELECT FROM $from[-1] AS a$last" . where(@within) . ')';
        pop @from;
    }
    my $select = ($style eq 'distinct' ? 'SELECT DISTINCT ' : 'SELECT ') . join(', ', @head);
    if ($style eq 'join') {
        my $joined = "$from[0] AS a0";
        $joined .= " JOIN $from[$_] AS a$_ ON " . (join(' AND ', @{ $by_atom[$_] }) || 'true') for 1 .. $#from;
        return "$select FROM $joined" . where(@{ $by_atom[0] }, @filters);
    }
    if ($style eq 'with') {
        return "(WITH w AS (SELECT * FROM $from[0] AS a0" . where(@{ shift @by_atom }) . ") $select FROM w AS a0"
            . join('', map { ", $from[$_] AS a$_" } 1 .. $#from) . where((map { @$_ } @by_atom), @filters) . ')';
    }
    if ($style eq 'lateral') {
        my @within = @{ pop @by_atom };
        return "$select FROM " . join(', ', map { "$from[$_] AS a$_" } 0 .. $#from - 1)
            . ", LATERAL (SELECT * FROM $from[-1] AS a$last" . where(@within) . ") AS a$last" . where((map { @$_ } @by_atom), @filters);
    }
    return "$select FROM " . join(', ', map { "$from[$_] AS a$_" } 0 .. $#from) . where((map { @$_ } @by_atom), @filters);
}

sub where { return @_ ? ' WHERE ' . join ' AND ', @_ : '' }

#
# Facts
#

# All facts that there might be at first
sub draw_facts {
    my ($self) = @_;
    my %facts;
    for my $relation (@{ $self->{relations} }) {
        my $many = $relation->{name} =~ /^base/ && chance(0.9) ? between(4, 12) : between(0, 2);
        for (1 .. $many) {
            my @values = map { $_->{type} eq 'point' ? pick(@{ $self->{points} }) : pick(@COLOURS) } @{ $relation->{columns} };
            $facts{ fact($relation, @values) } = 1;
        }
    }
    return sort keys %facts;
}

sub fact { return join "\t", $_[0]{name}, @_[ 1 .. $#_ ] }

# The oracle: all that follows from facts
sub saturated {
    my ($self, @facts) = @_;
    my (%known, %tuples, $news);
    my $learn = sub {
        my ($fact) = @_;
        return if $known{$fact}++;
        my ($name, @values) = split /\t/, $fact;
        push @{ $tuples{$name} }, \@values;
        $news = 1;
    };
    $learn->($_) for @facts;
    do {
        $news = 0;
        my @found = map { results($_, \%tuples) } @{ $self->{rules} };
        push @found, map { handled($_, \%tuples) } @{ $self->{handlers} };
        $learn->($_) for @found;
    } while ($news);
    return sort keys %known;
}

sub results {
    my ($rule, $tuples) = @_;
    my %results;
    for my $body (@{ $rule->{bodies} }) {
        my @matches = ({});
        @matches = extended($_, $tuples->{ $_->{relation}{name} } // [], @matches) for @{ $body->{atoms} };
        for my $match (@matches) {
            next if grep { !$_->{holds}->($match) } @{ $body->{filters} };
            next if $body->{either} && !either_holds($body->{either}, $match, $tuples);
            $results{ fact($rule->{target}, @$match{ @{ $body->{head} } }) } = 1;
        }
    }
    return keys %results;
}

sub either_holds {
    my ($either, $match, $tuples) = @_;
    return 1 if $either->{filter}{holds}->($match);
    return grep { $_->[ $either->{column} ] eq $match->{ $either->{variable} } } @{ $tuples->{ $either->{relation}{name} } // [] };
}

# Matches of the atoms so far, each with every fact of one more atom that fits
sub extended {
    my ($atom, $tuples, @matches) = @_;
    my @variables = @{ $atom->{variables} };
    return unless @matches;
    my @bound = grep { exists $matches[0]{ $variables[$_] } } 0 .. $#variables;
    my (%by_bound, %extended);
    push @{ $by_bound{ join "\t", @$_[@bound] } }, $_ for @$tuples;
    for my $match (@matches) {
        TUPLE: for my $tuple (@{ $by_bound{ join "\t", @$match{ @variables[@bound] } } // [] }) {
            my %more = %$match;
            for my $place (0 .. $#variables) {
                next TUPLE if exists $more{ $variables[$place] } && $more{ $variables[$place] } ne $tuple->[$place];
                $more{ $variables[$place] } = $tuple->[$place];
            }
            $extended{ join "\t", map { $more{$_} } sort keys %more } = \%more;
        }
    }
    return values %extended;
}

sub handled {
    my ($handler, $tuples) = @_;
    my @places = map { substr($_->{name}, 1) - 1 } @{ $handler->{columns} };
    return map { fact($handler->{target}, @$_[@places]) } @{ $tuples->{ $handler->{from}{name} } // [] };
}

#
# For people
#

sub described {
    my ($self) = @_;
    my @relations = map { "relation $_->{name} (" . join(', ', map { $_->{type} } @{ $_->{columns} }) . "), key: $_->{key}" }
        @{ $self->{relations} };
    my @rules = map { join ' <- ', rule_sql($_) } @{ $self->{rules} };
    my @handlers = map { "trigger on $_->{from}{name}: (" . join(', ', map { $_->{name} } @{ $_->{columns} }) . ") is in $_->{target}{name}" }
        @{ $self->{handlers} };
    return (@relations, (map { "rule $_" } @rules), @handlers);
}

1;
