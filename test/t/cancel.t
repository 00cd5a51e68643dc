#!/usr/bin/perl
#
# A merge can be cancelled in every stage
#
# The merge is held up in one stage after the other, by a lock that this test
# holds: an advisory lock that a default, trigger or handler of the destination
# waits for, or a lock on a table that the stage needs.  As soon as the server
# says that the merge has got there, it is cancelled.  Then both schemas and
# what the extension keeps have to be as they were, and the session usable.
# Lastly a long replay is cancelled that nothing holds up.
#
# How long the answer takes is shown, but fails the test only beyond all
# reason ($patience).
#
# Works in a database of its own, on the server that PGHOST, PGPORT and PGUSER
# name.
#
use strict;
use warnings;

use DBD::Pg qw(:async);
use DBI;
use Test::More;
use Time::HiRes qw(sleep time);

my $patience = 120;    # seconds
my $database = "factmerge_cancel_$$";

sub connect_to {
    my $name = shift;
    return DBI->connect("dbi:Pg:dbname=$name", undef, undef,
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1 });
}

# Wait until a condition holds; false if patience runs out.
sub wait_for {
    my $condition = shift;
    my $end       = time + $patience;
    until ($condition->()) {
        return 0 if time > $end;
        sleep 0.01;
    }
    return 1;
}

my $admin = connect_to('postgres');
$admin->do("CREATE DATABASE $database");

my $holder = connect_to($database);
$holder->do('SET client_min_messages = warning');
$holder->do($_) for (
    'CREATE EXTENSION factmerge',
    # Outside of the schemas: regions, which both refer to, and rulers, which
    # only the destination knows to be references
    'CREATE TABLE region (id integer PRIMARY KEY)',
    'CREATE TABLE ruler (id integer PRIMARY KEY)',
    'CREATE TABLE watch (hour integer)',
    'INSERT INTO watch VALUES (1)',
    'INSERT INTO region VALUES (1)',
    'INSERT INTO ruler VALUES (1)',
    q{CREATE FUNCTION gate(number integer) RETURNS integer LANGUAGE plpgsql AS $$
      BEGIN
          PERFORM pg_advisory_xact_lock_shared(number);
          RETURN 0;
      END $$},
    q{CREATE FUNCTION gate_in_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
          PERFORM public.gate(TG_ARGV[0]::integer);
          RETURN NULL;
      END $$},
);
for my $schema (qw(a b c d)) {
    $holder->do($_) for (
        "CREATE SCHEMA $schema",
        "CREATE TABLE $schema.place (id serial PRIMARY KEY, name text UNIQUE, note text,
            region integer REFERENCES region, ruler integer)",
        "CREATE TABLE $schema.road (source integer REFERENCES $schema.place,
            target integer REFERENCES $schema.place, PRIMARY KEY (source, target))",
        "CREATE TABLE $schema.way (source integer REFERENCES $schema.place,
            target integer REFERENCES $schema.place, PRIMARY KEY (source, target))",
        "CREATE FUNCTION $schema.join_roads() RETURNS trigger LANGUAGE plpgsql
         SET search_path = $schema AS \$\$
         BEGIN
             INSERT INTO way
             SELECT r.source, NEW.target FROM road r WHERE r.target = NEW.source
             UNION SELECT NEW.source, r.target FROM road r WHERE r.source = NEW.target
             ON CONFLICT DO NOTHING;
             RETURN NULL;
         END \$\$",
        "CREATE TRIGGER join_roads AFTER INSERT ON $schema.road
            FOR EACH ROW EXECUTE FUNCTION $schema.join_roads()",
    );
}
$holder->do($_) for (
    q{INSERT INTO a.place (name, note, region, ruler)
      VALUES ('p', NULL, 1, 1), ('q', 'here', 1, 1)},
    'INSERT INTO a.road VALUES (1, 2)',
    q{INSERT INTO b.place (name, note, region, ruler)
      VALUES ('r', NULL, 1, 1), ('q', 'there', 1, 1)},
    'INSERT INTO b.road VALUES (2, 1)',
    # Gates, only in the destination
    'ALTER TABLE b.place ADD FOREIGN KEY (ruler) REFERENCES ruler',
    q{ALTER TABLE b.place ALTER id SET DEFAULT nextval('b.place_id_seq') + public.gate(1)},
    q{CREATE TRIGGER gate BEFORE INSERT ON b.road
      FOR EACH STATEMENT EXECUTE FUNCTION gate_in_trigger('2')},
    'ALTER TABLE b.road ENABLE ALWAYS TRIGGER gate',
    q{CREATE TRIGGER gate_handler AFTER INSERT ON b.road
      FOR EACH STATEMENT EXECUTE FUNCTION gate_in_trigger('3')},
    q{CREATE FUNCTION b.on_way(b.way) RETURNS void LANGUAGE sql AS 'SELECT public.gate(4)'},
    q{SELECT factmerge_add_handler('b.way', 'b.on_way')},
    q{CREATE FUNCTION b.on_place(b.place) RETURNS void LANGUAGE sql AS ''},
    q{SELECT factmerge_add_handler('b.place', 'b.on_place')},
    # Friends are looked for by it, and nothing else
    q{SELECT factmerge_add_friend('b.place', 'b.place', 'fact.note = friend.note AND EXISTS (SELECT FROM public.watch WHERE hour > 1)')},
    q{CREATE CONSTRAINT TRIGGER gate_constraint AFTER INSERT ON b.place
      FOR EACH ROW EXECUTE FUNCTION gate_in_trigger('5')},
);

# Stage => what the activity of the merge then says, and the locks that hold it
my @stages = (
    [ 'locking',              qr/^SELECT/,                                   'LOCK b.road IN ROW EXCLUSIVE MODE' ],
    [ 'matching',             qr/^factmerge: matching place /,               'SELECT pg_advisory_xact_lock(1)' ],
    [ 'marking',              qr/^factmerge: marking place /,                'LOCK b.place IN ACCESS SHARE MODE' ],
    [ 'copying',              qr/^factmerge: copying road /,                 'SELECT pg_advisory_xact_lock(2)' ],
    [ 'checking references',  qr/^factmerge: checking place /,               'LOCK ruler IN ACCESS EXCLUSIVE MODE' ],
    [ 'finding mixed events', qr/^factmerge: finding mixed events of /,      'LOCK watch IN ACCESS EXCLUSIVE MODE' ],
    [ 'replaying events',     qr/^factmerge: replaying events of road /,     'SELECT pg_advisory_xact_lock(3)' ],
    [ 'replaying derived facts', qr/^factmerge: replaying events of way /,   'SELECT pg_advisory_xact_lock(4)' ],
    [ 'constraint triggers',  qr/^factmerge: replaying events of place /,    'SELECT pg_advisory_xact_lock(5)' ],
);

# Everything that a merge could leave behind, but for sequences,
# which do not take part in transactions
sub traces {
    my $dbh       = shift;
    my $relations = $dbh->selectcol_arrayref(
        q{SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ('a', 'b', 'c', 'd', 'factmerge') AND c.relkind = 'r' ORDER BY 1::text});
    my @traces = map {
        my ($facts) = $dbh->selectrow_array(
            qq{SELECT count(*) || ' facts ' || md5(coalesce(string_agg(f, '' ORDER BY f), ''))
               FROM (SELECT md5(to_jsonb(x)::text) FROM $_ x) AS x (f)});
        my $columns = $dbh->selectcol_arrayref(
            'SELECT attname FROM pg_attribute WHERE attrelid = ?::regclass AND attnum > 0 ORDER BY attnum', undef, $_);
        "$_ (@$columns): $facts"
    } @$relations;
    return \@traces;
}

my $merger = connect_to($database);
my ($merger_pid) = $merger->selectrow_array('SELECT pg_backend_pid()');
my $watcher = connect_to($database);

sub activity {
    my ($query, $waits) = $watcher->selectrow_array(
        q{SELECT query, wait_event_type FROM pg_stat_activity WHERE pid = ?}, undef, $merger_pid);
    return ($query // '', $waits // '');
}

# Cancel the merge that is going on, and see what its session makes of it.
sub cancel_merge {
    my $stage = shift;
    my $start = time;
    $watcher->do('SELECT pg_cancel_backend(?)', undef, $merger_pid);
    my $answered = wait_for(sub { $merger->pg_ready });
    my $took     = time - $start;
    ok($answered, "$stage: there is an answer");
    # Stop a merge that does not answer, so that the test ends
    $admin->do('SELECT pg_terminate_backend(?)', undef, $merger_pid) unless $answered;
    eval { $merger->pg_result };
    is($merger->state, '57014', "$stage: the merge has been cancelled")
        or diag($@ || 'it has come to its end');
    note(sprintf '%s: answered after %.3f s', $stage, $took);
}

my $before = traces($watcher);
for (@stages) {
    my ($stage, $shows, $lock) = @$_;
    $holder->begin_work;
    $holder->do($lock);
    $merger->do(q{SELECT factmerge_merge('a', 'b')}, { pg_async => PG_ASYNC });
    my ($query, $waits);
    my $there = wait_for(sub {
        ($query, $waits) = activity();
        return $waits eq 'Lock' && $query =~ $shows || $merger->pg_ready;
    });
    like($query, $shows, "$stage: the merge gets there");
    cancel_merge($stage);
    $holder->rollback;
    is_deeply(traces($watcher), $before, "$stage: nothing has happened");
    is_deeply(
        [ $merger->selectrow_array(
            q{SELECT current_setting('search_path'), current_setting('session_replication_role'),
                     factmerge.current_provenance(), (SELECT count(*) FROM pg_class WHERE relpersistence = 't')}) ],
        [ '"$user", public', 'origin', 'destination', 0 ],
        "$stage: the session is as it was");
}

# Nothing holds it up: then it works
my @totals = $merger->selectrow_array(
    q{SELECT source_facts, in_both, copied, conflicts, derived FROM factmerge_merge('a', 'b')});
is_deeply(\@totals, [ 3, 1, 2, 1, 1 ], 'after all that the merge works');
is_deeply(
    $watcher->selectcol_arrayref(
        q{SELECT s.name || t.name FROM b.way JOIN b.place s ON s.id = source JOIN b.place t ON t.id = target}),
    ['pr'], '... and finds the way');

# A long replay: a row at a time, cancelled on the way
$holder->do($_) for (
    'DROP TRIGGER join_roads ON c.road',
    q{INSERT INTO c.place (name) VALUES ('q')},
    q{INSERT INTO c.place (name) SELECT 'n' || i FROM generate_series(1, 200000) i},
    'INSERT INTO c.road SELECT id, 1 FROM c.place WHERE id > 1',
    q{INSERT INTO d.place (name) VALUES ('q'), ('r')},
    'INSERT INTO d.road VALUES (1, 2)',
    'ANALYZE',
);
$before = traces($watcher);
$merger->do(q{SELECT factmerge_merge('c', 'd')}, { pg_async => PG_ASYNC });
my $query;
wait_for(sub {
    ($query) = activity();
    return $query =~ /^factmerge: replaying event \d+ of \d+ of road / || $merger->pg_ready;
});
like($query, qr/^factmerge: replaying event \d+ of \d+ of road /, 'a long replay is under way');
cancel_merge('a long replay');
is_deeply(traces($watcher), $before, 'a long replay: nothing has happened');

$_->disconnect for ($merger, $watcher, $holder);
$admin->do("DROP DATABASE $database WITH (FORCE)");
$admin->disconnect;
done_testing();
