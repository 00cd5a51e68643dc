# A seed with rules: a random Datalog program (Datalog.pm), whose rules are declared in
# each schema, and facts that arrive there in a random order.
#
# The schemas are the sides a, b and now and then c, and the union of a and b.  In each,
# rules are kept by triggers as facts arrive; or else, now and then, facts arrive while
# triggers are off or rules are not yet declared, and factmerge_saturate() makes up for it.
#
#   D1  what rules and triggers have derived in a schema is what follows
#   D2  a into b is the union of both, saturated; and so is b into a
#   D3  tags: in both, of one side, or derived
#   D4  a dry run says the same as the merge
#   D5  verify is empty, and saturating adds nothing
#   D6  merging twice changes nothing
#   D7  after more facts have come to both, too, or from c, a merge leaves nothing out

package DatalogSeed;

use strict;
use warnings;
use parent -norequire, 'Seed';
use Datalog  ();
use Database ();
use Ddl      qw(quoted);
use Draw     qw(between chance pick shuffled some_of weighted);
use Laws     ();

my @COMPARED = qw(source_facts in_both copied events replayed derived);

sub draw {
    my ($self) = @_;
    my $program = $self->{program} = Datalog->draw;
    my @facts = $program->draw_facts;
    @$self{qw(grows chained)} = (chance(0.3), chance(0.3));
    for my $fact (@facts) {
        push @{ $self->{sides}{$_} }, $fact for split //, weighted(a => 5, b => 5, ab => 2);
    }
    $self->{sides}{c} = [ some_of(int(@facts * 0.3), @facts) ];
    $self->{sides}{late} = [ some_of(between(1, 3), @facts) ];
    $self->{sides}{union} = [ keys %{ { map { $_ => 1 } @{ $self->{sides}{a} }, @{ $self->{sides}{b} } } } ];
    $self->{sides}{union} = [ sort @{ $self->{sides}{union} } ];
    $self->{arrival}{$_} = pick(qw(triggers triggers triggers off late)) for qw(a b c union);
}

sub described { return $_[0]{program}->described }

sub run {
    my ($self) = @_;
    $self->guarded(sub {
        my @names = ('a', 'b', 'union', $self->{chained} ? 'c' : ());
        $self->build($_) for @names;
        for my $name (@names) {
            $self->law("D1 what follows in $name ($self->{arrival}{$name})", $self->wrong($name, @{ $self->{sides}{$name} }));
        }
        $self->check_other_direction;
        $self->check_main;
        $self->check_growth if $self->{grows};
        $self->check_chain if $self->{chained};
    });
    return @{ $self->{complaints} };
}

# Nothing to be found out without the extension
sub run_self_check { return () }

# How many facts a merge misses whose destination lacks one of the rules
sub count_missing {
    my ($self) = @_;
    my $missing = 0;
    $self->guarded(sub {
        $self->build($_) for qw(a b);
        return unless @{ $self->{program}{rules} };
        my $rule = pick(@{ $self->{program}{rules} });
        $self->{database}->do("SELECT factmerge_drop_rule('$rule->{name}', '" . $self->{schemas}{b} =~ s/'/''/gr . "')");
        $self->merge(qw(a b));
        my %there = map { $_ => 1 } $self->facts('b');
        my %expected = map { $_ => 1 } $self->{program}->saturated(map { @{ $self->{sides}{$_} } } qw(a b));
        $missing = grep { !$there{$_} } keys %expected;
        $self->law('D2 nothing that does not follow', grep { !$expected{$_} } sort keys %there);
    });
    return $missing;
}

#
# Schemas
#

sub build {
    my ($self, $name) = @_;
    my ($database, $program, $arrival) = ($self->{database}, $self->{program}, $self->{arrival}{$name});
    my @facts = shuffled(@{ $self->{sides}{$name} });
    my @early = $arrival eq 'late' ? splice(@facts, 0, @facts / 2) : ();
    $database->in_transaction(sub {
        $database->do('CREATE SCHEMA ' . quoted($self->{schemas}{$name}));
        $self->enter($name);
        $database->do($self->tables($name));
        $self->arrive(@early);
        $database->rows('SELECT factmerge_add_rule(?, ?, ?)', $_->{name}, Datalog::rule_sql($_)) for @{ $program->{rules} };
        $self->saturate($name) if $arrival eq 'late';
    });
    $self->add($name, $arrival eq 'off', @facts);
}

# Facts arrive, with triggers on or off
sub add {
    my ($self, $name, $off, @facts) = @_;
    my $database = $self->{database};
    $database->in_transaction(sub {
        $self->enter($name);
        $database->do('SET LOCAL session_replication_role = replica') if $off;
        $self->arrive(@facts);
        $database->do('SET LOCAL session_replication_role = origin');
        $self->saturate($name) if $off;
    });
}

sub enter {
    my ($self, $name) = @_;
    $self->{database}->do('SET LOCAL search_path = ' . quoted($self->{schemas}{$name}, 'public'));
}

sub saturate {
    my ($self, $name) = @_;
    return $self->{database}->value('SELECT factmerge_saturate(?)', $self->{schemas}{$name});
}

# Which keys a schema draws is its own business
sub tables {
    my ($self, $name) = @_;
    my $first = between(1, 50);
    my $point = "CREATE TABLE point (id integer GENERATED ALWAYS AS IDENTITY (START $first) PRIMARY KEY, name text NOT NULL UNIQUE);";
    return join "\n", $point, (map { table_ddl($_) } @{ $self->{program}{relations} }),
        map { trigger_ddl($self->{program}{handlers}[$_], $_) } 0 .. $#{ $self->{program}{handlers} };
}

sub table_ddl {
    my ($relation) = @_;
    my @names = map { $_->{name} } @{ $relation->{columns} };
    my @columns = map { "$_->{name} " . ($_->{type} eq 'point' ? 'integer NOT NULL REFERENCES point' : 'text NOT NULL') }
        @{ $relation->{columns} };
    my %key = (
        natural => [ 'PRIMARY KEY (' . join(', ', @names) . ')' ],
        unique => [ 'UNIQUE (' . join(', ', @names) . ')' ],
        surrogate => [ 'id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY', 'UNIQUE (' . join(', ', @names) . ')' ],
        none => [],
    );
    return qq(CREATE TABLE "$relation->{name}" () ;) =~ s/\(\)/'(' . join(', ', @columns, @{ $key{ $relation->{key} } }) . ')'/er;
}

sub trigger_ddl {
    my ($handler, $number) = @_;
    my $target = $handler->{target};
    my @to = map { $_->{name} } @{ $target->{columns} };
    my @from = map { "NEW.$_->{name}" } @{ $handler->{columns} };
    my $same = join ' AND ', map { "t.$to[$_] = $from[$_]" } 0 .. $#to;
    return <<"END";
CREATE FUNCTION handle_$number() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS \$\$
BEGIN
    INSERT INTO "$target->{name}" (@{[ join ', ', @to ]}) SELECT @{[ join ', ', @from ]}
        WHERE NOT EXISTS (SELECT FROM "$target->{name}" t WHERE $same) ON CONFLICT DO NOTHING;
    RETURN NULL;
END \$\$;
CREATE TRIGGER handle_$number AFTER INSERT ON "$handler->{from}{name}" FOR EACH ROW EXECUTE FUNCTION handle_$number();
END
}

# One by one or by the handful, each after the points that it refers to; what a rule has derived already is there
sub arrive {
    my ($self, @facts) = @_;
    my $database = $self->{database};
    my %relation = map { $_->{name} => $_ } @{ $self->{program}{relations} };
    while (@facts) {
        my ($name) = split /\t/, $facts[0];
        my @columns = @{ $relation{$name}{columns} };
        my (@batch, @rows);
        my $most = pick(1, 1, 3, 9);
        push @batch, shift @facts while @facts && @batch < $most && $facts[0] =~ /^\Q$name\E\t/;
        for my $fact (@batch) {
            my (undef, @values) = split /\t/, $fact;
            my @points = grep { $columns[$_]{type} eq 'point' } 0 .. $#values;
            $database->{dbh}->do('INSERT INTO point (name) VALUES (?) ON CONFLICT DO NOTHING', undef, $_) for @values[@points];
            push @rows, 'SELECT ' . join ', ', map {
                my $value = $database->{dbh}->quote($values[$_]);
                $columns[$_]{type} eq 'point' ? "(SELECT id FROM point WHERE name = $value)" : "$value\::text"
            } 0 .. $#values;
        }
        my @names = map { $_->{name} } @columns;
        $database->do(sprintf 'INSERT INTO "%s" (%s) SELECT * FROM (%s) AS n (%s) WHERE NOT EXISTS (SELECT FROM "%s" t WHERE %s)%s',
            $name, join(', ', @names), join(' UNION ', @rows), join(', ', @names), $name,
            join(' AND ', map { "t.$_ = n.$_" } @names), chance(0.5) ? ' ON CONFLICT DO NOTHING' : '');
    }
}

# All facts of a schema; with tags, where they come from
sub facts {
    my ($self, $name, $tagged) = @_;
    my $schema = quoted($self->{schemas}{$name});
    my @facts;
    for my $relation (@{ $self->{program}{relations} }) {
        my @values = map { $_->{type} eq 'point' ? "(SELECT p.name FROM $schema.point p WHERE p.id = t.$_->{name})" : "t.$_->{name}" }
            @{ $relation->{columns} };
        push @values, 't.factmerge_provenance' if $tagged;
        my $rows = $self->{database}{dbh}->selectall_arrayref('SELECT ' . join(', ', @values) . qq( FROM $schema."$relation->{name}" t));
        push @facts, map { Datalog::fact($relation, @$_) } @$rows;
    }
    return sort @facts;
}

#
# Laws
#

# What is wrong with the facts of a schema that is to be what follows from some
sub wrong {
    my ($self, $name, @facts) = @_;
    return Laws::differences([ $self->{program}->saturated(@facts) ], [ $self->facts($name) ]);
}

sub merge {
    my ($self, $from, $into, $dry_run) = @_;
    my $totals = $self->{database}->merge(@{ $self->{schemas} }{ $from, $into }, $dry_run);
    $self->{counts}{$_} += $totals->{$_} for $dry_run ? () : Seed::totals();
    return $totals;
}

sub check_other_direction {
    my ($self) = @_;
    $self->{database}->in_vain(sub {
        $self->{database}->do('SET LOCAL factmerge.rebuild_indexes = on');
        $self->merge(qw(b a));
        $self->law('D2 b into a', $self->wrong('a', @{ $self->{sides}{union} }));
        $self->law('D8 indexes that are in order', $self->unsound_indexes('a'));
    });
}

sub unsound_indexes {
    my ($self, $name) = @_;
    my $indexes = $self->{database}->rows(<<'END', $self->{schemas}{$name});
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = quote_ident(?)::regnamespace AND NOT (i.indisready AND i.indisvalid)
END
    return map { $_->{relname} } @$indexes;
}

sub check_main {
    my ($self) = @_;
    my %side = map { $_ => { map { $_ => 1 } $self->facts($_) } } qw(a b);
    my $dry = $self->merge('a', 'b', 1);
    my $totals = $self->merge(qw(a b));
    my @expected = map {
        my $tag = $side{a}{$_} ? $side{b}{$_} ? 'both' : 'source' : $side{b}{$_} ? 'destination' : 'derived';
        "$_\t$tag"
    } $self->facts('union');

    $self->law('D2 a into b', $self->wrong('b', @{ $self->{sides}{union} }));
    $self->law('D3 tags', Laws::differences(\@expected, [ $self->facts('b', 1) ]));
    $self->law('D4 a dry run says the same', map { $dry->{$_} == $totals->{$_} ? () : "$_: $dry->{$_}, not $totals->{$_}" } @COMPARED);
    $self->check_saturated('b');
    $self->law('D6 merging twice changes nothing', $self->news(qw(a b)));
}

sub check_saturated {
    my ($self, $name) = @_;
    my $missing = $self->{database}->rows('SELECT fact_table, fact, found_by FROM factmerge_verify(?)', $self->{schemas}{$name});
    $self->law("D5 verify is empty ($name)", map { join ' ', @$_{qw(fact_table fact found_by)} } @$missing);
    my $added = $self->saturate($name);
    $self->law("D5 saturating adds nothing ($name)", $added ? "$added facts" : ());
}

sub news {
    my ($self, $from, $into) = @_;
    my $totals = $self->merge($from, $into);
    return map { $totals->{$_} ? "$totals->{$_} $_" : () } qw(copied derived);
}

# More facts come to both, those of b perhaps while triggers are off
sub check_growth {
    my ($self) = @_;
    my @late = @{ $self->{sides}{late} };
    my @more = pick(@{ $self->{sides}{c} }, @late);
    $self->add('a', 0, @late);
    $self->add('b', chance(0.5), @more);
    $self->merge(qw(a b));
    push @{ $self->{sides}{union} }, @late, @more;
    $self->law('D7 once more', $self->wrong('b', @{ $self->{sides}{union} }));
    $self->check_saturated('b');
    $self->law('D6 merging twice changes nothing (once more)', $self->news(qw(a b)));
}

sub check_chain {
    my ($self) = @_;
    $self->merge(qw(b c));
    $self->law('D7 b into c', $self->wrong('c', @{ $self->{sides}{union} }, @{ $self->{sides}{c} }));
    $self->check_saturated('c');
}

1;
