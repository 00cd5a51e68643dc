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
use Ddl    qw(quoted qualified);
use Draw   qw(between pick uuid);
use Fact   ();
use Layout  ();
use Orphans ();
use Types   ();

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
    $self->do('SET client_min_messages = warning; SET datestyle = ISO; SET timezone = UTC; SET lc_monetary = "C";'
        . ' SET synchronous_commit = off; SET jit = off');
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

# PostgreSQL 16 has given it another name
sub parallel_setting {
    my ($self) = @_;
    return $self->{dbh}{pg_server_version} >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
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

# The SQLSTATE and message of what a block dies of, undef if it does not; the transaction goes on
sub error_of {
    my ($self, $block) = @_;
    $self->do('SAVEPOINT error_of');
    return if eval { $block->(); 1 };
    my $error = ($self->{dbh}->state // '') . " $@";
    $self->do('ROLLBACK TO error_of');
    return $error;
}

# In a transaction of its own, unless there is one
sub alone {
    my ($self, $block) = @_;
    return $block->() unless $self->{dbh}{AutoCommit};
    my $result;
    $self->in_vain(sub { $result = $block->() });
    return $result;
}

# What a block returns, and then the notices and warnings that came meanwhile
sub noting {
    my ($self, $block) = @_;
    my @notices;
    local $SIG{__WARN__} = sub { push @notices, @_ };
    $self->do('SET client_min_messages = notice');
    my $done = eval { unshift @notices, $block->(); 1 };
    my $error = $@;
    $self->do('SET client_min_messages = warning') if $done || $self->{dbh}{AutoCommit};
    die $error unless $done;
    return @notices;
}

sub has_extension {
    my ($self) = @_;
    return $self->value("SELECT count(*) FROM pg_extension WHERE extname = 'factmerge'");
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

# Creates the schema that others refer to
sub build_elsewhere {
    my ($self, $elsewhere, $shape) = @_;
    $self->{elsewhere} = $elsewhere;
    $self->do(Ddl::create_elsewhere($elsewhere, $shape));
}

# Creates a schema and lets a side's facts arrive in it
sub build {
    my ($self, $schema, $shape, $rules, $rank, $side) = @_;
    my $layout = $self->{layouts}{$schema} = Layout->draw($shape, $rank);
    $self->{row_of}{$schema} = {};
    $self->in_transaction(sub {
        $self->do(Ddl::create_schema($schema, $shape, $layout, $self->{elsewhere}));
        $self->do(Ddl::create_handlers($schema, $rules));
        $self->load($schema, $side) if $side;
    });
    $self->in_transaction(sub { $self->saturate($schema, $rules) }) if $side;
}

# More facts arrive
sub add {
    my ($self, $schema, $rules, $side) = @_;
    $self->in_transaction(sub { $self->load($schema, $side) });
    $self->in_transaction(sub { $self->saturate($schema, $rules) });
}

# Facts arrive and triggers fire
sub load {
    my ($self, $schema, $side) = @_;
    $self->do('SET LOCAL search_path = ' . quoted($schema, 'public'));
    my $row_of = $self->{row_of}{$schema};
    for my $fact (@{ $side->{facts} }) {
        my $contradicted = $side->{contradicted}{ $fact->identity } // {};
        my %row = (%{ $fact->{values} }, %{ $fact->{halves} // {} }, %$contradicted);
        for my $column ($self->{layouts}{$schema}->columns_of($fact->{table})) {
            $row{ $column->{name} } = uc($row{ $column->{from}{name} } // next) if $column->{role} eq 'generated';
            $row{ $column->{name} } = Types::value($column->{type}, 9) if $column->{role} eq 'extra';
        }
        $row_of->{ $fact->identity } = \%row;
    }
    my $given = $self->give_keys($schema, $side->{facts}, $row_of);
    for my $batch (arrival_order(@{ $side->{facts} })) {
        $self->insert($schema, $row_of, $given, @$batch);
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
            $row_of->{ $fact->identity }{ $key->{name} } = $self->next_key($schema, $table, $key);
        }
    }
    return \%given;
}

sub next_key {
    my ($self, $schema, $table, $key) = @_;
    return uuid() if $key->{type} eq 'uuid';
    my $number = $self->value('SELECT nextval(' . Ddl::sequence_of($schema, $table, $key) . ')');
    return $key->{surrogate} eq 'coded' ? "n$number" : $number;
}

# A random order in which everything arrives after what it refers to, in batches of one table
sub arrival_order {
    my (@facts) = @_;
    my (%waiting, %waited_for, @ready, @batches);
    my %arriving = map { $_->identity => 1 } @facts;
    for my $fact (@facts) {
        my @before = grep { $arriving{ $_->identity } } awaited($fact);
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
    my $layout = $self->{layouts}{$schema};
    my @columns = grep { !$layout->fills($table, $_) || $_->{surrogate} && $given->{ $table->{name} } }
        $layout->columns_of($table);
    my ($key) = grep { $_->{surrogate} } @{ $table->{columns} };
    my @rows = map { $row_of->{ $_->identity } } @facts;

    for my $place (0 .. $#facts) {
        point_at($rows[$place], $facts[$place], $row_of);
    }
    my @lists;
    for my $row (@rows) {
        push @lists, '(' . join(', ', map { Types::literal($row->{ $_->{name} }) } @columns) . ')';
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
        my $other = $fact->{refs}{ $reference->{name} } or next;
        @$row{ @{ $reference->{columns} } } = @{ $row_of->{ $other->identity } }{ @{ $reference->{to_columns} } };
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

# Every fact of a schema, with the row that holds it, its address, and its place in the order of the source's facts
# and of the destination's
sub facts_in {
    my ($self, $schema, $shape) = @_;
    my @tables = @{ $shape->{tables} };
    my %rows = $self->rows_in($schema, @tables);
    my @facts;

    for my $table (@tables) {
        my @values = map { $_->{name} } grep { $_->{role} eq 'value' } @{ $table->{columns} };
        for my $row (@{ $rows{ $table->{name} } }) {
            my %fact = (table => $table, row => $row, map { $_ => delete $row->{$_} } qw(order own_order address));
            @{ $fact{values} }{@values} = @$row{@values};
            $fact{individual} = "$schema $fact{address}" if $table->{individual};
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
        my @names = map { $_->{name} } $self->{layouts}{$schema}->columns_of($table);
        push @names, sort keys %PROVENANCE_COLUMN if $tagged{ $table->{name} };
        my $values = join ', ', map { quoted($_) . '::text' } @names;
        my @key = map { quoted($_) } Shape::address_of($table);
        my $address = join ', ', @key ? @key : qw(tableoid ctid);
        # Where rows lie changes, so that among the destination's those without a key are ordered by what they hold
        my $row = 'ROW(' . quoted($self->{layouts}{$schema}->names_in_order($table)) . ')';
        my $order = @key ? $address : qq($row\::text COLLATE "C", $address);
        push @queries, 'SELECT ' . @columns . ", row_number() OVER (ORDER BY $address), row_number() OVER (ORDER BY $order),"
            . " concat_ws(', ', $address), ARRAY[$values] FROM " . qualified($schema, $table);
        push @columns, \@names;
        $rows{ $table->{name} } = [];
    }
    for my $row (@{ $self->{dbh}->selectall_arrayref(join ' UNION ALL ', @queries) }) {
        my ($which, $order, $own_order, $address, $values) = @$row;
        my %row = (order => $order, own_order => $own_order, address => $address);
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
        next if grep { !defined } @key;
        $row->{fact}{refs}{ $reference->{name} } = $led_to{ join "\0", @key }
            // die "a reference of $reference->{from}{name} to $reference->{to}{name} leads nowhere: @key\n";
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
        my ($key) = grep { $_->{surrogate} && $_->{type} ne 'uuid' } @{ $table->{columns} } or next;
        my $number = quoted($key->{name});
        $number = "substr($number, 2)::integer" if $key->{surrogate} eq 'coded';
        my $largest = $self->value("SELECT max($number) FROM " . qualified($schema, $table)) // 0;
        my $sequence = Ddl::sequence_of($schema, $table, $key);
        my $last = $self->value("SELECT pg_sequence_last_value($sequence\::regclass)") // 0;
        push @ahead, "$table->{name}: key $largest, while the sequence is at $last" if $largest > $last;
    }
    return @ahead;
}

#
# Merging
#

sub install_extension {
    my ($self) = @_;
    $self->do('CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE EXTENSION IF NOT EXISTS factmerge');
}

sub merge {
    my ($self, $source, $destination, $dry_run) = @_;
    my $totals = $self->rows('SELECT * FROM factmerge_merge(?, ?, ?)', $source, $destination, $dry_run ? 1 : 0);
    $self->expect_no_orphans;
    return $totals->[0];
}

# The same in several transactions
sub merge_in_batches {
    my ($self, $source, $destination, $batch) = @_;
    $self->{dbh}->do('CALL factmerge_merge_in_batches(?, ?, ?::integer)', undef, $source, $destination, $batch);
    $self->expect_no_orphans;
    return $self->rows('SELECT * FROM factmerge.merge ORDER BY merge_id DESC LIMIT 1')->[0];
}

sub undo {
    my ($self, $merge) = @_;
    $self->rows('SELECT * FROM factmerge_undo(?)', $merge);
    $self->expect_no_orphans;
}

# Whatever was written, each foreign key of each schema holds
sub expect_no_orphans {
    my ($self) = @_;
    my @orphans = Orphans::found($self);
    die join('; ', @orphans), "\n" if @orphans;
}

# The numbers of the merges of one source: { merge_id => 1 }
sub merges_from {
    my ($self, $source) = @_;
    my $merges = $self->rows('SELECT merge_id FROM factmerge.merge WHERE source = ?', $source);
    return { map { $_->{merge_id} => 1 } @$merges };
}

# The counts of a merge by table
sub report {
    my ($self, $merge) = @_;
    return { map { $_->{fact_table} => $_ } @{ $self->rows('SELECT * FROM factmerge_report(?)', $merge) } };
}

1;
