#!/usr/bin/perl
#
# pg_stat_activity shows the stage of a merge, and how far it is
#
# The merge is held up in one stage after the other by an advisory lock, and
# looked at from another session.
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
my $database = "factmerge_activity_$$";

sub connect_to {
    my $name = shift;
    return DBI->connect("dbi:Pg:dbname=$name", undef, undef,
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1 });
}

my $admin = connect_to('postgres');
$admin->do("CREATE DATABASE $database");

my $holder = connect_to($database);
$holder->do('SET client_min_messages = warning');
$holder->do($_) for (
    'CREATE EXTENSION factmerge',
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
for my $schema (qw(a b)) {
    $holder->do($_) for (
        "CREATE SCHEMA $schema",
        qq{CREATE TABLE $schema."Kreis" (id serial PRIMARY KEY, name text UNIQUE)},
        "CREATE TABLE $schema.line (circle integer REFERENCES $schema.\"Kreis\", angle integer, PRIMARY KEY (circle, angle))",
        "CREATE TABLE $schema.other (x integer PRIMARY KEY)",
    );
}
$holder->do($_) for (
    q{INSERT INTO a."Kreis" (name) VALUES ('p'), ('q')},
    'INSERT INTO a.line SELECT 2, i FROM generate_series(1, 2500) i',
    q{INSERT INTO b."Kreis" (name) VALUES ('q'), ('r')},
    'INSERT INTO b.line VALUES (1, 0)',
    q{ALTER TABLE b."Kreis" ALTER id SET DEFAULT nextval('b."Kreis_id_seq"') + public.gate(1)},
    q{CREATE TRIGGER gate BEFORE INSERT ON b.line
      FOR EACH STATEMENT EXECUTE FUNCTION gate_in_trigger('2')},
    'ALTER TABLE b.line ENABLE ALWAYS TRIGGER gate',
    q{CREATE TRIGGER handle AFTER INSERT ON b.line
      FOR EACH ROW WHEN (NEW.angle = 2200) EXECUTE FUNCTION gate_in_trigger('3')},
);

my $merger = connect_to($database);
my ($merger_pid) = $merger->selectrow_array('SELECT pg_backend_pid()');
my $watcher = connect_to($database);

# What the merge says when it has come to wait for a lock, or has ended
sub activity_at_gate {
    my $end = time + $patience;
    while (1) {
        my ($query, $state, $waits) = $watcher->selectrow_array(
            'SELECT query, state, wait_event_type FROM pg_stat_activity WHERE pid = ?', undef, $merger_pid);
        return ($query, $state)
            if ($waits // '') eq 'Lock' || $merger->pg_ready || time > $end;
        sleep 0.01;
    }
}

# Wait for the end of what the merger does; its result is left to be fetched.
sub wait_for_end {
    my $end = time + $patience;
    sleep 0.01 until $merger->pg_ready || time > $end;
}

my $merge = q{SELECT replayed FROM factmerge_merge('a', 'b', dry_run => true)};
# Walk order is Kreis, line, other
my @gates = (
    [ 1, 'matching Kreis (table 1 of 3)',             'matching', [qw(matching Kreis 0 3 tables)] ],
    [ 2, 'copying line (table 2 of 3)',               'copying', [qw(copying line 1 3 tables)] ],
    [ 3, 'replaying event 2000 of 2500 of line (table 2 of 3)', 'replaying, with the number of events',
        [qw(replaying line 2000 2500 events)] ],
);
my $progress = 'SELECT stage, fact_table, done, total, unit FROM factmerge_progress WHERE pid = ?';

for (@gates) {
    my ($gate, $doing, $stage, $expected) = @$_;
    $holder->begin_work;
    $holder->do("SELECT pg_advisory_xact_lock($gate)");
    my $sth = $merger->prepare($merge, { pg_async => PG_ASYNC });
    $sth->execute;
    my ($query, $state) = activity_at_gate();
    is($query, "factmerge: $doing: $merge", "$stage: stage, table and statement");
    is($state, 'active', "$stage: the session is active");
    is_deeply($watcher->selectall_arrayref($progress, undef, $merger_pid), [$expected], "$stage: factmerge_progress");
    is($watcher->selectrow_array('SELECT statement FROM factmerge_progress'), $merge, "$stage: ... and the statement");
    $holder->rollback;
    wait_for_end();
    $sth->pg_result;
    is_deeply($sth->fetchall_arrayref, [ [2500] ], "$stage: the merge goes on to its end");
    ($query, $state) = $watcher->selectrow_array(
        'SELECT query, state FROM pg_stat_activity WHERE pid = ?', undef, $merger_pid);
    is($state, 'idle', "$stage: then the session is idle");
    is($query, $merge, "$stage: ... after that statement");
    is_deeply($watcher->selectall_arrayref($progress, undef, $merger_pid), [], "$stage: ... and without progress");
}

# Within one statement: once the merge has returned, its stage is forgotten
$holder->begin_work;
$holder->do('SELECT pg_advisory_xact_lock(4)');
my $more = q{SELECT replayed, gate(4) FROM factmerge_merge('a', 'b', dry_run => true)};
$merger->do($more, { pg_async => PG_ASYNC });
is((activity_at_gate())[0], $more, 'a statement that goes on after the merge is shown as it is');
$holder->rollback;
wait_for_end();
$merger->pg_result;

# factmerge_verify() replays, too
$holder->begin_work;
$holder->do('INSERT INTO b.line VALUES (1, 2200)');
$holder->commit;
$holder->begin_work;
$holder->do('SELECT pg_advisory_xact_lock(3)');
my $verify = q{SELECT * FROM factmerge_verify('b')};
my $sth    = $merger->prepare($verify, { pg_async => PG_ASYNC });
$sth->execute;
is((activity_at_gate())[0], "factmerge: verifying events of line (table 2 of 3): $verify", 'factmerge_verify shows what it replays');
$holder->rollback;
wait_for_end();
$sth->pg_result;
is_deeply($sth->fetchall_arrayref, [], '... and comes to its end');
$sth->finish;

$_->disconnect for ($merger, $watcher, $holder);
$admin->do("DROP DATABASE $database WITH (FORCE)");
$admin->disconnect;
done_testing();
