#!/usr/bin/perl
#
# A merge that runs out of something, or is not let go on, loses nothing
#
# On a server of its own merges run out of disk space, of what a file may hold, of
# temporary files, locks, connections, workers and time, and are got rid of in other
# ways, at points spread over a merge.  Each gets the error; then both schemas and all
# that the extension keeps have to be as they were, to the last row, with nothing left
# behind in catalogs, among files or in the session; and the same session, once it may,
# merges with the result of a merge that nobody has disturbed.
#
# All this happens to a first merge, which adds columns, makes key maps and suspends
# indexes, or to a later one, which has key maps and a history to lose.
#
# The server is made with the initdb and pg_ctl that PATH finds (../lib/OwnServer.pm),
# as the user whom the one runs as that PGHOST, PGPORT and PGUSER name.
#
use strict;
use warnings;

use DBD::Pg qw(:async);
use DBI;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Networks qw(make_network);
use OwnServer ();
use Test::More;
use Time::HiRes qw(sleep time);

my $patience = 120;    # seconds
my @settings = ('autovacuum = off', 'max_connections = 12', 'superuser_reserved_connections = 2', 'max_worker_processes = 2',
    'max_logical_replication_workers = 0', 'max_prepared_transactions = 1', 'max_locks_per_transaction = 10', 'work_mem = 64kB',
    'log_min_messages = debug1');
my @arguments = ('failures', 54338);
my $disk      = OwnServer->new_with_disk(@arguments, 64 * 1024 * 1024, @settings);
my $server    = $disk // OwnServer->new(@arguments, @settings);
my $admin     = connect_to('postgres');

sub connect_to {
    my ($database, $role) = @_;
    my $dbh = $server->connect($database, $role);
    $dbh->do('SET client_min_messages = warning');
    return $dbh;
}

# Waits until a condition holds; false if patience runs out
sub wait_for {
    my ($condition) = @_;
    my $end = time + $patience;
    until ($condition->()) {
        return 0 if time > $end;
        sleep 0.01;
    }
    return 1;
}

#
# The databases to begin with: points, edges and, derived from them, paths, in schemas
# a, the source, and b.  In b the gates of a merge wait for whoever holds an advisory
# lock, while it matches (1), copies (2) and replays (3).
#
sub make_schema {
    my ($dbh, $schema) = @_;
    make_network($dbh, $schema, 'serial');
    $dbh->do($_) for (
        "CREATE TABLE $schema.aside (x integer)",
        "SELECT factmerge_ignore('$schema.aside')",
        "SELECT factmerge_set_sameness('$schema.point', key => '{name}')",
    );
}

# Adds points of which the notes differ, and edges from each to those so much further
sub grow {
    my ($dbh, $schema, $first, $last, @jumps) = @_;
    $dbh->do("INSERT INTO $schema.point (name, note) SELECT 'p' || i, i % 50 || '$schema' FROM generate_series($first, $last) i");
    $dbh->do("INSERT INTO $schema.edge SELECT p.id, q.id FROM unnest('{@{[ join ',', @jumps ]}}'::integer[]) AS jump
              JOIN $schema.point p ON true JOIN $schema.point q ON q.name = 'p' || (substr(p.name, 2)::integer + jump)");
}

$admin->do('CREATE DATABASE first');
my $dbh = connect_to('first');
$dbh->do('CREATE EXTENSION factmerge');
make_schema($dbh, $_) for qw(a b);
grow($dbh, 'a', 1, 300, 1, -7, 40);
grow($dbh, 'b', 200, 500, 7, 100, -1);
$dbh->do($_) for (
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
    q{ALTER TABLE b.point ALTER id SET DEFAULT nextval('b.point_id_seq') + public.gate(1)},
    q{CREATE TRIGGER gate BEFORE INSERT ON b.edge FOR EACH STATEMENT EXECUTE FUNCTION gate_in_trigger('2')},
    'ALTER TABLE b.edge ENABLE ALWAYS TRIGGER gate',
    q{CREATE TRIGGER gate_handler AFTER INSERT ON b.edge FOR EACH STATEMENT EXECUTE FUNCTION gate_in_trigger('3')},
    q{SELECT factmerge_set_friend_hops('b.path', 1)},
);
$dbh->disconnect;
my %gates = (1 => 'matching', 2 => 'copying', 3 => 'replaying');

$admin->do('CREATE DATABASE later TEMPLATE first');
$dbh = connect_to('later');
$dbh->do(q{CALL factmerge_run('a', 'b')});
eval { $dbh->do(q{CALL factmerge_run('nowhere', 'b')}) };
grow($dbh, 'a', 2001, 2100, 3, -40);
grow($dbh, 'b', 2050, 2150, 9, -3);
$dbh->disconnect;

#
# What must not change, and what is to come of it
#

# Everything that a merge could change or leave behind, but for sequences, which do not
# take part in transactions
sub state_of {
    my ($dbh) = @_;
    $dbh->do('CHECKPOINT');    # files that have been removed are gone then
    my $relations = $dbh->selectcol_arrayref(
        q{SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('a', 'b', 'factmerge') ORDER BY 1::text});
    my @state = map { join "\n", $_, @{ $dbh->selectcol_arrayref("SELECT to_jsonb(x)::text FROM $_ x ORDER BY 1") } } @$relations;
    for my $query (
        # Columns, relations (temporary ones, too), indexes, constraints, triggers
        q{SELECT concat_ws(' ', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
          FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
          WHERE attrelid >= 16384 AND attrelid NOT IN (SELECT oid FROM pg_class WHERE relkind IN ('t', 'S')) ORDER BY 1},
        q{SELECT concat_ws(' ', oid::regclass, relkind, relowner::regrole, relacl, relhasrules) FROM pg_class
          WHERE oid >= 16384 ORDER BY 1},
        q{SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisready, indislive) FROM pg_index WHERE indexrelid >= 16384 ORDER BY 1},
        q{SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) FROM pg_constraint WHERE oid >= 16384 ORDER BY 1},
        q{SELECT concat_ws(' ', tgrelid::regclass, pg_get_triggerdef(oid), tgenabled) FROM pg_trigger ORDER BY 1},
        # Files without a relation, temporary files, and the session
        q{SELECT 'file ' || f FROM (SELECT pg_relation_filepath('pg_class') AS path) p, pg_ls_dir(regexp_replace(path, '/[^/]*$', '')) f
          WHERE f ~ '^(t\d+_)?\d+' AND substring(f, '^(?:t\d+_)?(\d+)')::oid NOT IN (SELECT coalesce(pg_relation_filenode(oid), 0) FROM pg_class)},
        q{SELECT 'temporary file ' || name FROM pg_tablespace t, pg_ls_tmpdir(t.oid) WHERE spcname <> 'pg_global'},
    ) {
        push @state, join "\n", @{ $dbh->selectcol_arrayref($query) };
    }
    return join "\n", @state;
}

sub session_of {
    my ($dbh) = @_;
    return join ' ', $dbh->selectrow_array(q{SELECT current_setting('search_path'), current_setting('session_replication_role'),
        factmerge.current_provenance(), (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
        (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation >= 16384)});
}

# What has come of a merge: facts and tags, by names since keys depend on what has been
# drawn before, what the extension says of it, and where the facts come from
sub result_of {
    my ($dbh) = @_;
    my $name = sub { "(SELECT name FROM b.point p WHERE p.id = x.$_[0])" };
    return join "\n", map { @{ $dbh->selectcol_arrayref($_) } } (
        q{SELECT concat_ws(' ', name, note, factmerge_provenance) FROM b.point ORDER BY 1},
        (map { my ($table, @keys) = @$_;
            "SELECT concat_ws(' ', '$table', @{[ join ', ', map { $name->($_) } @keys ]}, factmerge_provenance) FROM b.$table x ORDER BY 1"
        } [qw(edge a b)], [qw(path a c)], [qw(mutual a b)]),
        q{SELECT concat_ws(' ', fact_table, source_facts, in_both, copied, conflicts, skipped_in_both, skipped_friends_in_both, skipped_one_sided,
              unhandled, replayed, derived) FROM factmerge_report()},
        q{SELECT concat_ws(' ', name, column_name, source_value, destination_value) FROM factmerge_conflicts()
          JOIN b.point ON id = (key->>'id')::integer ORDER BY 1},
        q{SELECT concat_ws(' ', source, fact_tables, facts) FROM factmerge_sources('b')},
        q{SELECT concat_ws(' ', d.name, o.provenance, s.name) FROM b.point d, factmerge_origin('b.point', d.id) o
          LEFT JOIN a.point s ON s.id = (o.source_key->>'id')::integer WHERE d.name LIKE '%77' ORDER BY 1},
    );
}

my (%before, %result, %duration);
for my $kind (qw(first later)) {
    $admin->do("CREATE DATABASE victim TEMPLATE $kind");
    my $dbh = connect_to('victim');
    $before{$kind} = state_of($dbh);
    my $start = time;
    $dbh->do(q{SELECT factmerge_merge('a', 'b')});
    $duration{$kind} = time - $start;
    $result{$kind} = result_of($dbh);
    is_deeply($dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}), [], "undisturbed, a $kind merge leaves nothing to derive");
    cmp_ok($dbh->selectrow_array('SELECT derived FROM factmerge_history ORDER BY merged_at DESC LIMIT 1'), '>', 50, '... and derives something');
    isnt(state_of($dbh), $before{$kind}, '... which is another state');
    $dbh->disconnect;
    $admin->do('DROP DATABASE victim');
}

#
# The parts of a test
#
my ($kind, $merger, $watcher, $pid);

# Makes the database of a test: for a first merge or a later one
sub begin_with {
    my $where;
    ($kind, $where) = @_;
    end_sessions();
    $admin->do('DROP DATABASE IF EXISTS victim WITH (FORCE)');
    $admin->do("CREATE DATABASE victim TEMPLATE $kind " . ($where // ''));
    $watcher = connect_to('victim');
    begin_session();
}

sub begin_session {
    end_session($merger);
    $merger = connect_to('victim');
    ($pid) = $merger->selectrow_array('SELECT pg_backend_pid()');
}

sub end_sessions {
    end_session($_) for $merger, $watcher;
    ($merger, $watcher) = ();
}

# The server may have ended it, and DBI remarks on that
sub end_session {
    my ($dbh) = @_;
    local $SIG{__WARN__} = sub { };
    eval { $dbh->disconnect } if $dbh;
}

# Ends a session from outside, and waits until it is no more
sub terminate {
    my ($pid) = @_;
    $watcher->do('SELECT pg_terminate_backend(?)', undef, $pid);
    return wait_for(sub { !$watcher->selectrow_array('SELECT 1 FROM pg_stat_activity WHERE pid = ?', undef, $pid) });
}

# Merges; returns the error's state, or nothing for none
sub try_to_merge {
    my ($statement) = @_;
    return eval { $merger->do($statement // q{SELECT factmerge_merge('a', 'b')}); 1 } ? '' : $merger->state;
}

# Sets the merge off, and waits until it waits for a lock
sub merge_until_held_up {
    my ($statement) = @_;
    $merger->do($statement // q{SELECT factmerge_merge('a', 'b')}, { pg_async => PG_ASYNC });
    return wait_for(sub { $merger->pg_ready || is_waiting($pid) });
}

sub is_waiting {
    my ($pid) = @_;
    return $watcher->selectrow_array(q{SELECT 1 FROM pg_locks WHERE pid = ? AND NOT granted}, undef, $pid);
}

# How a merge that has been set off ends
sub outcome {
    return 'no answer' unless wait_for(sub { $merger->pg_ready });
    return eval { $merger->pg_result; 1 } ? '' : $merger->state;
}

sub nothing_is_lost {
    my ($name) = @_;
    my $ok = state_of($watcher) eq $before{$kind};
    ok($ok, "$name: nothing is lost or left behind") and return 1;
    my %was = map { $_ => 1 } split /\n/, $before{$kind};
    my %is  = map { $_ => 1 } split /\n/, state_of($watcher);
    diag('gone: ', $_) for grep { !$is{$_} } sort keys %was;
    diag('new: ',  $_) for grep { !$was{$_} } sort keys %is;
    return 0;
}

# Merges in the session that has failed, and takes that back for the next test
sub retry_works {
    my ($name) = @_;
    is(session_of($merger), '"$user", public origin destination 0 0', "$name: the session is as it was");
    $merger->begin_work;
    is(try_to_merge(), '', "$name: another try succeeds");
    ok(eval { result_of($merger) } eq $result{$kind}, "$name: ... as if nothing had been");
    $merger->rollback;
}

sub fails {
    my ($name, $state, $got) = @_;
    is($got, $state, "$name: the merge gets the error") or diag($merger->errstr // '');
    nothing_is_lost($name);
}

#
# Disk space.  The database is on the small disk, all but so many bytes of which are
# taken away.
#
sub run_on_server {
    my ($command) = @_;
    return $admin->do('COPY (SELECT) TO PROGRAM ' . $admin->quote("cat >/dev/null; $command"));
}

sub free_bytes {
    $admin->do('CREATE TEMPORARY TABLE IF NOT EXISTS free (bytes text)');
    $admin->do('TRUNCATE free');
    $admin->do('COPY free FROM PROGRAM ' . $admin->quote('df --output=avail -B1 ' . $disk->disk . ' | tail -n 1'));
    return $admin->selectrow_array('SELECT bytes::bigint FROM free');
}

SKIP: {
    skip 'this machine lets nobody mount a disk; that files must not grow is tested all the same', 1 unless $disk;
    run_on_server('mkdir ' . $disk->disk . '/space');
    $admin->do("CREATE TABLESPACE small LOCATION '@{[ $disk->disk ]}/space'");
    my %shares = (first => [ 0.2, 0.6 ], later => [ 0, 0.4, 0.8 ]);
    for my $of (qw(first later)) {
        begin_with($of, 'TABLESPACE small');
        my $free = free_bytes();
        $merger->do(q{SELECT factmerge_merge('a', 'b')});
        my $needed = $free - free_bytes();
        cmp_ok($needed, '>', 200_000, "a $of merge needs space");
        for my $share (@{ $shares{$of} }) {
            my $name = "a $of merge, with $share of the disk space that it takes";
            begin_with($of, 'TABLESPACE small');
            run_on_server(sprintf 'fallocate -l %d %s/ballast', free_bytes() - $share * $needed, $disk->disk);
            my $got = try_to_merge();
            note($merger->errstr =~ s/\n.*//sr);
            is(try_to_merge(q{CALL factmerge_run('a', 'b')}), '53100', "$name: so does a run");
            run_on_server('rm ' . $disk->disk . '/ballast');
            # Where the history has no room for it, that takes nothing from the error
            $merger->do(q{DELETE FROM factmerge.failure WHERE sqlstate = '53100'});
            fails($name, '53100', $got);
            retry_works($name);
        }
    }
    end_sessions();
    $admin->do('DROP DATABASE victim');
    $admin->do('DROP TABLESPACE small');
}

#
# Files that must not grow.  The limit is that of the backend alone; the log of the
# transactions, too, is a file, so that there has to be room in it already.
#
sub limit_files {
    my ($bytes) = @_;
    $server->run('prlimit', '--pid', $pid, "--fsize=$bytes:");
}

for my $of (qw(first later)) {
    begin_with($of);
    for my $bytes (8192, 65536) {
        my $name = "a $of merge, whose files may have $bytes bytes";
        $admin->do($_) for 'SELECT pg_switch_wal()', 'CREATE TABLE IF NOT EXISTS written (x integer)', 'INSERT INTO written VALUES (1)', 'CHECKPOINT';
        limit_files($bytes);
        my $got = try_to_merge();
        note($merger->errstr =~ s/\n.*//sr);
        limit_files('unlimited');
        fails($name, 'XX000', $got);
        retry_works($name);
    }
}

#
# Temporary files
#
for my $of (qw(first later)) {
    begin_with($of);
    for my $limit ('0', '48kB') {
        my $name = "a $of merge with temp_file_limit = $limit";
        $merger->do("SET temp_file_limit = '$limit'");
        my $got = try_to_merge();
        $merger->do('RESET temp_file_limit');
        fails($name, '53400', $got);
        retry_works($name);
    }
}

#
# Locks: another session has all that there are, but for so many
#
for my $of (qw(first later)) {
    begin_with($of);
    my $hog = connect_to('victim');
    for my $left (20, 60) {
        my $name = "a $of merge with $left locks left";
        ok(!eval { $hog->do('SELECT pg_advisory_lock(i) FROM generate_series(1000001, 9000000) i'); 1 }, 'there is an end to locks');
        $hog->do("SELECT pg_advisory_unlock(1000000 + i) FROM generate_series(1, $left) i");
        my $got = try_to_merge();
        note($merger->errstr =~ s/\n.*//sr);
        $hog->do('SELECT pg_advisory_unlock_all()');
        fails($name, '53200', $got);
        retry_works($name);
    }
    $hog->disconnect;
}

#
# Time, at the gates: of statements, and of waiting for a lock.  Where the merge has not
# got to the gate, it gets more time.
#
my $holder;
for my $gate (sort keys %gates) {
    my $of = $gate == 2 ? 'later' : 'first';
    begin_with($of);
    $holder = connect_to('victim');
    for my $setting (qw(statement_timeout lock_timeout)) {
        my $name  = "a $of merge, $setting while $gates{$gate}";
        my $state = $setting eq 'statement_timeout' ? '57014' : '55P03';
        my $got;
        for (my $milliseconds = 300; $milliseconds < $patience * 1000; $milliseconds *= 2) {
            $holder->do('SELECT pg_advisory_lock(?)', undef, $gate);
            $merger->do("SET $setting = $milliseconds");
            $got = try_to_merge();
            my $at_gate = $got ne $state || $merger->errstr =~ /function public\.gate/;
            $holder->do('SELECT pg_advisory_unlock_all()');
            $merger->do("RESET $setting");
            last if $at_gate;
            nothing_is_lost("$name, too early");
        }
        fails($name, $state, $got);
        retry_works($name);
    }

    # A session that is ended from outside
    $holder->do('SELECT pg_advisory_lock(?)', undef, $gate);
    ok(merge_until_held_up(), "a $of merge is $gates{$gate}");
    ok(terminate($pid), '... and is terminated');
    isnt(outcome(), '', '... which it does not survive');
    like($merger->errstr, qr/terminating connection due to administrator command/, '... and is told of');
    $holder->do('SELECT pg_advisory_unlock_all()');
    nothing_is_lost("a $of merge, terminated while $gates{$gate}");
    begin_session();
    retry_works("a $of merge, terminated while $gates{$gate}");
    $holder->disconnect;
}

# ... and anywhere: then it may have come to its end
for my $of (qw(first later)) {
    begin_with($of);
    for my $share (0.1, 0.3, 0.5, 0.7, 0.9) {
        my $name = "a $of merge, timed out after about $share of its time";
        $merger->do(sprintf 'SET statement_timeout = %d', 1 + $share * $duration{$of} * 1000);
        my $got = try_to_merge();
        $merger->do('RESET statement_timeout');
        if   ($got eq '') { begin_with($of) }
        else              { fails($name, '57014', $got) }
    }
    retry_works("a $of merge, timed out again and again");
}

#
# A deadlock in the middle of a merge: a user has the lock of a handler, and wants to
# write to the destination.  It is the merge that looks for deadlocks.
#
begin_with('later');
$holder = connect_to('victim');
my $user = connect_to('victim');
my ($user_pid) = $user->selectrow_array('SELECT pg_backend_pid()');
$merger->do(q{SET deadlock_timeout = '10ms'});
$user->do(q{SET deadlock_timeout = '1h'});
$user->begin_work;
$user->do('SELECT pg_advisory_xact_lock(3)');
$holder->do('SELECT pg_advisory_lock(1)');
ok(merge_until_held_up(), 'a merge holds its tables');
$user->do(q{INSERT INTO b.point (id, name) VALUES (-1, 'late')}, { pg_async => PG_ASYNC });
ok(wait_for(sub { is_waiting($user_pid) }), '... and a user waits for one of them');
$holder->do('SELECT pg_advisory_unlock_all()');
is(outcome(), '40P01', '... who has what the merge needs: it gives up') or diag($merger->errstr);
ok(eval { $user->pg_result }, '... and the user goes on') or diag($@);
$user->rollback;
nothing_is_lost('a merge in a deadlock');
retry_works('a merge in a deadlock');
$_->disconnect for $user, $holder;

#
# Transactions that do not commit
#
begin_with('first');
$merger->do(q{SET idle_in_transaction_session_timeout = '50ms'});
$merger->begin_work;
is(try_to_merge(), '', 'a merge that takes longer than its session may be idle is not idle');
ok(wait_for(sub { !$watcher->selectrow_array('SELECT 1 FROM pg_stat_activity WHERE pid = ?', undef, $pid) }), '... after it, the session is, and is ended');
ok(!eval { $merger->do('SELECT 1'); 1 }, '... and told so');
nothing_is_lost('a merge in a session that is idle too long');
begin_session();
retry_works('a merge in a session that was idle too long');

$merger->begin_work;
is(try_to_merge(), '', 'a merge in a transaction');
ok(!eval { $merger->do(q{PREPARE TRANSACTION 'merge'}); 1 }, '... that cannot be prepared, for there were temporary tables');
is($merger->state, '0A000', '... gets the error');
$merger->rollback unless $merger->{AutoCommit};
nothing_is_lost('a merge in a transaction that cannot be prepared');
retry_works('a merge in a transaction that cannot be prepared');

#
# Connections: a merge goes on where there is none to be had, and needs none
#
begin_with('later');
$admin->do('CREATE ROLE scheduler LOGIN CONNECTION LIMIT 1');
my $scheduler = connect_to('victim', 'scheduler');
ok(!eval { connect_to('victim', 'scheduler'); 1 }, 'a role with all the connections that it may have gets no other');
like(DBI->errstr, qr/too many connections for role/, '... but an error');
$scheduler->disconnect;
$admin->do('ALTER ROLE scheduler CONNECTION LIMIT -1');
$holder = connect_to('victim');
$holder->do('SELECT pg_advisory_lock(3)');
ok(merge_until_held_up(q{CALL factmerge_run('a', 'b')}), 'a run is under way');
my @others;
my $full = !wait_for(sub { !eval { push @others, connect_to('victim'); 1 } });
like(DBI->errstr, qr/too many clients/, 'then all connections are taken');
ok(!eval { connect_to('victim', 'scheduler'); 1 }, '... and the scheduler gets none');
like(DBI->errstr, qr/too many clients|remaining connection slots/, '... but the error');
$holder->do('SELECT pg_advisory_unlock_all()');
is(outcome(), '', '... while the run goes on');
ok(result_of($watcher) eq $result{later}, '... to the same result as always');
$_->disconnect for @others, $holder;
ok(wait_for(sub { eval { connect_to('victim', 'scheduler')->disconnect; 1 } }), 'with connections left, the scheduler gets one');

#
# Workers: another session has them all
#
for my $of (qw(first later)) {
    begin_with($of);
    my @parallel = ('SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0', 'SET min_parallel_table_scan_size = 0',
        'SET min_parallel_index_scan_size = 0', 'SET max_parallel_workers_per_gather = 2');
    $merger->do($_) for @parallel;
    my $started = sub { return scalar(() = $server->log_text =~ /starting background worker process "parallel worker for PID $pid"/g) };
    retry_works("a $of merge with workers");
    my $workers = $started->();
    cmp_ok($workers, '>', 0, '... which it has taken');
    my @hogs = map { connect_to('victim') } 1 .. 2;
    for my $hog (@hogs) {
        # PostgreSQL 16 has given it another name
        $hog->do('SET ' . ($hog->{pg_server_version} >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode') . ' = on');
        $hog->do('SELECT pg_sleep(3600)', { pg_async => PG_ASYNC });
    }
    ok(wait_for(sub { $watcher->selectrow_array(q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'parallel worker'}) }),
        'other sessions have all workers');
    retry_works("a $of merge without workers");
    is($started->(), $workers, '... which has got none');
    $_->pg_cancel for @hogs;
    $_->disconnect  for @hogs;
}

#
# The server is shut down
#
begin_with('later');
$holder = connect_to('victim');
$holder->do('SELECT pg_advisory_lock(3)');
ok(merge_until_held_up(), 'a merge is replaying');
$server->stop('fast');
isnt(outcome(), '', '... when the server is shut down');
like($merger->errstr, qr/terminating connection due to administrator command/, '... and is told of that');
end_session($_) for $merger, $watcher, $holder, $admin;
$server->start;
$admin = connect_to('postgres');
$watcher = connect_to('victim');
begin_session();
nothing_is_lost('a merge, the server shut down');
retry_works('a merge, the server shut down');

end_sessions();
$admin->disconnect;
done_testing();
