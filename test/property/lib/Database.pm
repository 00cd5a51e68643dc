# The database: one connection, schemas filled and read back, merges called.
#
# Loading turns model facts into rows, in a random order that only puts a fact
# after those it refers to, some rows by themselves and some by the handful.  Reading
# turns rows into facts again, by following each reference to the row that it
# leads to.  So whatever keys a schema uses, its facts compare with the model's.

package Database;

use strict;
use warnings;
use DBI;
use Ddl  qw(quoted qualified);
use Draw qw(between pick uuid);
use Fact ();

my %PROVENANCE_COLUMN = (factmerge_provenance => 1, factmerge_merge => 1);

# Connects to where PGHOST, PGPORT, PGUSER and PGDATABASE point
sub connect {
    my ($class) = @_;
    my $self = bless {}, $class;
    $self->reconnect;
    return $self;
}

# A backend keeps the plans of functions that are long dropped, and goes through all of
# them with each change of a table: a new one from time to time keeps things quick
sub reconnect {
    my ($self) = @_;
    eval { $self->{dbh}->disconnect } if $self->{dbh};
    $self->{dbh} = DBI->connect('dbi:Pg:', '', '',
        { RaiseError => 1, PrintError => 0, AutoCommit => 1, pg_server_prepare => 0, pg_enable_utf8 => 1 });
    $self->do('SET client_min_messages = warning; SET datestyle = ISO; SET synchronous_commit = off; SET jit = off');
}

# After the server crashed, which takes it a while to get over
sub come_back {
    my ($self) = @_;
    for (1 .. 60) {
        return if eval { $self->reconnect; 1 };
        sleep 1;
    }
    die $@;
}

sub do {
    my ($self, $sql) = @_;
    return unless length $sql;
    $self->{dbh}->do($sql);
}

sub rows {
    my ($self, $sql, @parameters) = @_;
    return $self->{dbh}->selectall_arrayref($sql, { Slice => {} }, @parameters);
}

sub value {
    my ($self, $sql, @parameters) = @_;
    return ($self->{dbh}->selectrow_array($sql, undef, @parameters))[0];
}

sub drop_schemas {
    my ($self, @schemas) = @_;
    $self->do('DROP SCHEMA IF EXISTS ' . join(', ', map { quoted($_) } @schemas) . ' CASCADE');
}

# Runs a block whose changes are taken back, all but what sequences gave out
sub in_vain {
    my ($self, $block) = @_;
    $self->{dbh}->begin_work;
    my $done = eval { $block->(); 1 };
    my $error = $@;
    eval { $self->{dbh}->rollback };
    die $error unless $done;
}

sub in_transaction {
    my ($self, $block) = @_;
    $self->{dbh}->begin_work;
    my $done = eval { $block->(); $self->{dbh}->commit; 1 };
    my $error = $@;
    return if $done;
    eval { $self->{dbh}->rollback };
    die $error;
}

#
# Filling
#

# Creates a schema and lets a side's facts arrive in it
sub build {
    my ($self, $schema, $shape, $rules, $side) = @_;
    $self->in_transaction(sub {
        $self->do(Ddl::create_schema($schema, $shape, Ddl::draw_layout($shape)));
        $self->do(Ddl::create_handlers($schema, $rules));
        $self->load($schema, $side) if $side;
    });
    $self->in_transaction(sub { $self->saturate($schema, $rules) }) if $side;
}

# Facts arrive and triggers fire
sub load {
    my ($self, $schema, $side) = @_;
    $self->do('SET LOCAL search_path = ' . quoted($schema, 'public'));
    my %row_of;
    for my $fact (@{ $side->{facts} }) {
        my $contradicted = $side->{contradicted}{ $fact->identity } // {};
        $row_of{ $fact->identity } = { %{ $fact->{values} }, %$contradicted };
    }
    my $given = $self->give_keys($schema, $side->{facts}, \%row_of);
    for my $batch (arrival_order(@{ $side->{facts} })) {
        $self->insert($schema, \%row_of, $given, @$batch);
    }
}

# Facts that are referred to before they are there get their surrogate keys first
sub give_keys {
    my ($self, $schema, $facts, $row_of) = @_;
    my %given;
    for my $table (map { $_->{to} } grep { $_->{cyclic} } map { @{ $_->{table}{references} } } @$facts) {
        my ($key) = grep { $_->{surrogate} } @{ $table->{columns} };
        next if !$key || $given{ $table->{name} }++;
        for my $fact (grep { $_->{table} == $table } @$facts) {
            $row_of->{ $fact->identity }{ $key->{name} } = $key->{surrogate} eq 'uuid' ? uuid()
                : $self->value('SELECT nextval(' . Ddl::sequence_of($schema, $table, $key) . ')');
        }
    }
    return \%given;
}

# A random order in which everything arrives after what it refers to, in batches of one table
sub arrival_order {
    my (@facts) = @_;
    my (%waiting, %waited_for, @ready, @batches);
    for my $fact (@facts) {
        my @before = awaited($fact);
        $waiting{ $fact->identity } = @before;
        push @{ $waited_for{ $_->identity } }, $fact for @before;
        push @ready, $fact unless @before;
    }
    while (@ready) {
        my $table = pick(@ready)->{table};
        my @batch = Draw::some_of(pick(1, 1, 2, 6), grep { $_->{table} == $table } @ready);
        my %taken = map { $_->identity => 1 } @batch;
        @ready = grep { !$taken{ $_->identity } } @ready;
        for my $fact (map { @{ $waited_for{ $_->identity } // [] } } @batch) {
            push @ready, $fact unless --$waiting{ $fact->identity };
        }
        push @batches, \@batch;
    }
    return @batches;
}

sub awaited {
    my ($fact) = @_;
    my @references = grep { !$_->{cyclic} } @{ $fact->{table}{references} };
    return grep { defined } map { $fact->{refs}{ $_->{name} } } @references;
}

sub insert {
    my ($self, $schema, $row_of, $given, @facts) = @_;
    my $table = $facts[0]{table};
    my @columns = grep { !$_->{constant} && (!$_->{surrogate} || $given->{ $table->{name} }) } @{ $table->{columns} };
    my ($key) = grep { $_->{surrogate} } @{ $table->{columns} };
    my @rows = map { $row_of->{ $_->identity } } @facts;

    for my $place (0 .. $#facts) {
        point_at($rows[$place], $facts[$place], $row_of);
    }
    my @lists;
    for my $row (@rows) {
        push @lists, '(' . join(', ', map { Ddl::literal($row->{ $_->{name} }) } @columns) . ')';
    }
    my $sql = 'INSERT INTO ' . qualified($schema, $table) . ' (' . quoted(map { $_->{name} } @columns) . ')'
        . ($given->{ $table->{name} } ? ' OVERRIDING SYSTEM VALUE' : '') . ' VALUES ' . join(', ', @lists);

    # What somebody states may have been derived before; nobody refers to it, so that its key is of no interest
    return $self->do("$sql ON CONFLICT DO NOTHING") if $table->{kind} eq 'derived';
    return $self->do($sql) if !$key || $given->{ $table->{name} };
    my $keys = $self->{dbh}->selectcol_arrayref("$sql RETURNING " . quoted($key->{name}));
    $rows[$_]{ $key->{name} } = $keys->[$_] for 0 .. $#rows;
}

# Fills the columns that refer to other facts
sub point_at {
    my ($row, $fact, $row_of) = @_;
    for my $reference (grep { !$_->{shadow} } @{ $fact->{table}{references} }) {
        my $other = $fact->{refs}{ $reference->{name} };
        my @values = $other ? @{ $row_of->{ $other->identity } }{ @{ $reference->{to_columns} } } : ();
        @$row{ @{ $reference->{columns} } } = @values[ 0 .. $#{ $reference->{columns} } ];
    }
}

# Runs every declared function on every fact until nothing is new
sub saturate {
    my ($self, $schema, $rules) = @_;
    my @functions = grep { Ddl::is_function($_) } @{ $rules->{handlers} };
    return unless @functions;
    my @counts = map { '(SELECT count(*) FROM ' . qualified($schema, $_) . ')' } @{ $rules->{shape}{tables} };
    my $count = sub { $self->value('SELECT ' . join ' + ', @counts) };
    $self->do('SET LOCAL search_path = ' . quoted($schema, 'public'));
    for (my ($before, $after) = (-1, $count->()); $after > $before;) {
        $self->do(call_on_every_fact($schema, $_)) for @functions;
        ($before, $after) = ($after, $count->());
    }
}

sub call_on_every_fact {
    my ($schema, $handler) = @_;
    my $call = quoted($schema) . '.' . quoted($handler->{name}) . '(fact)';
    my $facts = qualified($schema, $handler->{table}) . ' AS fact';
    return "SELECT $call FROM $facts" if $handler->{how} eq 'void';

    my $target = $handler->{rule}{target};
    my @columns = Ddl::pair_columns($target);
    return 'INSERT INTO ' . qualified($schema, $target) . ' (' . quoted(@columns) . ')'
        . ' SELECT ' . join(', ', map { 'derived.' . quoted($_) } @columns)
        . " FROM $facts, $call AS derived ON CONFLICT DO NOTHING";
}

#
# Reading
#

# Every fact of a schema, with the row that holds it
sub facts_in {
    my ($self, $schema, $shape) = @_;
    my @tables = @{ $shape->{tables} };
    my %rows = $self->rows_in($schema, @tables);
    my @facts;

    for my $table (@tables) {
        my @values = map { $_->{name} } grep { $_->{role} eq 'value' } @{ $table->{columns} };
        for my $row (@{ $rows{ $table->{name} } }) {
            my %fact = (table => $table, row => $row);
            @{ $fact{values} }{@values} = @$row{@values};
            $row->{fact} = bless \%fact, 'Fact';
            push @facts, $row->{fact};
        }
    }
    resolve($_, $rows{ $_->{from}{name} }, $rows{ $_->{to}{name} }) for map { @{ $_->{references} } } @tables;
    delete $_->{row}{fact} for @facts;
    return \@facts;
}

# The rows of all tables, as text and with provenance where there is one: { table name => [{ column => value }] }
sub rows_in {
    my ($self, $schema, @tables) = @_;
    my %tagged = map { $_ => 1 } @{ $self->{dbh}->selectcol_arrayref(<<'END', undef, $schema) };
SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND attname = 'factmerge_provenance'
END
    my (@columns, @queries, %rows);
    for my $table (@tables) {
        my @names = map { $_->{name} } @{ $table->{columns} };
        push @names, sort keys %PROVENANCE_COLUMN if $tagged{ $table->{name} };
        my $values = join ', ', map { quoted($_) . '::text' } @names;
        push @queries, 'SELECT ' . @columns . ", ARRAY[$values] FROM " . qualified($schema, $table);
        push @columns, \@names;
        $rows{ $table->{name} } = [];
    }
    for my $row (@{ $self->{dbh}->selectall_arrayref(join ' UNION ALL ', @queries) }) {
        my ($which, $values) = @$row;
        my %row;
        @row{ @{ $columns[$which] } } = @$values;
        push @{ $rows{ $tables[$which]{name} } }, \%row;
    }
    return %rows;
}

# Follows a reference from each row of one table to the row of the other
sub resolve {
    my ($reference, $from, $to) = @_;
    my %led_to;
    for my $row (@$to) {
        $led_to{ join "\0", @$row{ @{ $reference->{to_columns} } } } = $row->{fact};
    }
    for my $row (@$from) {
        my @key = @$row{ @{ $reference->{columns} } };
        my $other = $led_to{ join "\0", map { $_ // '' } @key };
        die "a reference of $reference->{from}{name} to $reference->{to}{name} leads nowhere: @key\n"
            if !$other && !grep { !defined } @key;
        $row->{fact}{refs}{ $reference->{name} } = $other;
    }
}

# A fact's user columns in one text: neither provenance nor the order of columns
sub user_columns {
    my ($fact) = @_;
    my $row = $fact->{row};
    return join ', ', $fact->{table}{name}, map { "$_ = " . ($row->{$_} // 'NULL') }
        sort grep { !$PROVENANCE_COLUMN{$_} } keys %$row;
}

# What else a schema has that a dry run must leave alone: relations, columns, functions, where sequences are
sub structure {
    my ($self, $schema) = @_;
    return join "\n", @{ $self->{dbh}->selectcol_arrayref(<<'END', undef, $schema) };
WITH here AS (SELECT pg_namespace.oid FROM pg_namespace WHERE nspname = $1)
SELECT format('relation %s %s', relname, relfilenode) FROM pg_class, here WHERE relnamespace = here.oid
UNION ALL
SELECT format('column %s %s %s %s', relname, attnum, attname, attmissingval)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, here
WHERE relnamespace = here.oid
UNION ALL
SELECT format('function %s %s', proname, md5(prosrc)) FROM pg_proc, here WHERE pronamespace = here.oid
UNION ALL
SELECT format('trigger %s %s %s', relname, tgname, tgenabled)
FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid, here
WHERE relnamespace = here.oid
UNION ALL
SELECT format('sequence %s %s', sequencename, last_value) FROM pg_sequences WHERE schemaname = $1
UNION ALL
SELECT format('kept by the extension: %s', relname) FROM pg_class WHERE relnamespace = to_regnamespace('factmerge')
ORDER BY 1
END
}

# Generated integer keys beyond what their sequence has given out
sub keys_ahead_of_sequences {
    my ($self, $schema, $shape) = @_;
    my @ahead;
    for my $table (@{ $shape->{tables} }) {
        my ($key) = grep { $_->{surrogate} && $_->{surrogate} ne 'uuid' } @{ $table->{columns} } or next;
        my $largest = $self->value('SELECT max(' . quoted($key->{name}) . ') FROM ' . qualified($schema, $table)) // 0;
        my $last = $self->value('SELECT pg_sequence_last_value(' . Ddl::sequence_of($schema, $table, $key) . '::regclass)') // 0;
        push @ahead, "$table->{name}: key $largest, while the sequence is at $last" if $largest > $last;
    }
    return @ahead;
}

#
# Merging
#

sub install_extension {
    my ($self) = @_;
    $self->do('CREATE EXTENSION IF NOT EXISTS factmerge');
}

sub merge {
    my ($self, $source, $destination, $dry_run) = @_;
    my $totals = $self->rows('SELECT * FROM factmerge_merge(?, ?, ?)', $source, $destination, $dry_run ? 1 : 0);
    return $totals->[0];
}

# The counts of a merge by table
sub report {
    my ($self, $merge) = @_;
    return { map { $_->{fact_table} => $_ } @{ $self->rows('SELECT * FROM factmerge_report(?)', $merge) } };
}

1;
