#!/usr/bin/perl
#
# A merge that is killed has not been, or has been merged
#
# On a server of its own, merges are killed at points that are spread evenly over the
# time that a merge takes, and are random otherwise: the backend is, which makes the
# server restart, or now and then the whole server, by signal 9.  Afterwards both
# schemas have to be exactly as before, or exactly merged, nothing may be left behind,
# nothing left to derive, and the next run has to complete what is missing.
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
use Networks qw(make_networks facts tagged);
use OwnServer ();
use Test::More;
use Time::HiRes qw(sleep time);

my $kills          = 52;
my $kills_a_server = 8;      # of so many, one is that of the whole server
my $patience       = 120;    # seconds

# Whoever sees a failure can see it again, as far as clocks let him
my $seed = $ENV{CRASH_SEED} // time & 0xffff;
srand($seed);
note("CRASH_SEED=$seed");

my $server = OwnServer->new('crash', 54333, 'max_wal_size = 4GB', 'log_min_messages = fatal');

sub connect_to { return $server->connect_patiently(@_) }

# Everything else that a merge could leave behind
sub traces {
    my ($dbh) = @_;
    # Key maps are numbered by a sequence, which goes on
    return join "\n", map { s/key_map_\d+/key_map_N/r } @{ $dbh->selectcol_arrayref(
        q{SELECT concat_ws(' ', c.oid::regclass, c.relkind, c.reltriggers) FROM
              (SELECT oid, relkind, relnamespace, (SELECT count(*) FROM pg_trigger WHERE tgrelid = r.oid) AS reltriggers FROM pg_class r) c
          WHERE relnamespace::regnamespace::text IN ('a', 'b', 'factmerge') OR relnamespace::regnamespace::text ~ '^pg_temp' ORDER BY 1}) },
        @{ $dbh->selectcol_arrayref(q{SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid OR NOT indisready}) };
}

#
# The database to begin with, and what is to come of it
#
my $admin = connect_to('postgres');
$admin->do('CREATE DATABASE original');
my $dbh = connect_to('original');
$dbh->do('CREATE EXTENSION factmerge');
make_networks($dbh);
my $source = facts($dbh, 'a');
my $before = facts($dbh, 'b');
my $clean  = traces($dbh);
$dbh->disconnect;

$admin->do('CREATE DATABASE undisturbed TEMPLATE original');
$dbh = connect_to('undisturbed');
my $start = time;
$dbh->do(q{CALL factmerge_run('a', 'b')});
my $duration = time - $start;
my $after = facts($dbh, 'b', 'factmerge_provenance');
is_deeply($dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}), [], 'undisturbed, a merge leaves nothing to derive');
cmp_ok($dbh->selectrow_array('SELECT derived FROM factmerge_history'), '>', 500, '... and derives something');
my $merged = traces($dbh);
$dbh->disconnect;

#
# Kills
#
my (%stages, %ends);
my $fresh;

# The database as it was to begin with, unless it still is
sub begin_afresh {
    return if $fresh;
    my $admin = connect_to('postgres');
    $admin->do('DROP DATABASE IF EXISTS victim WITH (FORCE)');
    $admin->do('CREATE DATABASE victim TEMPLATE original');
    $admin->disconnect;
    $fresh = 1;
}

# Kills a merge after a while; returns at which stage, as far as can be seen
sub kill_merge {
    my ($delay, $whole_server) = @_;
    my $merger  = connect_to('victim');
    my $watcher = connect_to('victim');
    my ($pid)   = $merger->selectrow_array('SELECT pg_backend_pid()');
    $merger->do(q{CALL factmerge_run('a', 'b')}, { pg_async => PG_ASYNC });
    sleep $delay;
    my ($stage) = $watcher->selectrow_array('SELECT stage FROM factmerge_progress WHERE pid = ?', undef, $pid);
    $stage //= $merger->pg_ready ? 'ended' : 'between';
    if ($whole_server) {
        $server->kill_all;
        $server->start;
    }
    else {
        kill 'KILL', $pid;
        # The server ends all sessions when it notices, and lets nobody in until it is mended
        my $end = time + $patience;
        sleep 0.01 while time < $end && eval { $watcher->do('SELECT 1') };
    }
    eval { $merger->pg_result };
    eval { $_->disconnect } for $merger, $watcher;
    return $stage;
}

for my $kill (1 .. $kills) {
    my $whole_server = $kill % $kills_a_server == 0;
    begin_afresh();
    my $stage = kill_merge($duration * 1.1 * ($kill - rand) / $kills, $whole_server);
    my $name  = sprintf 'kill %d of %s, %s', $kill, $whole_server ? 'the server' : 'the backend', $stage;
    $stages{$stage}++;
    my $dbh = connect_to('victim');
    my $tag = tagged($dbh);
    my $now = facts($dbh, 'b', $tag);
    my $end = $now eq $after ? 'merged' : !$tag && $now eq $before ? 'as before' : 'half merged';
    $ends{$end}++;
    isnt($end, 'half merged', $name);
    is(facts($dbh, 'a'), $source, '... the source is as before');
    is(traces($dbh), $end eq 'merged' ? $merged : $clean, "... nothing is left behind: $end");
    is($dbh->selectrow_array('SELECT count(*) FROM factmerge_history'), $end eq 'merged' ? 1 : 0, '... the history agrees');
    $fresh = $end eq 'as before';
    if (!$fresh || $kill % 5 == 0) {
        is_deeply($dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}), [], '... nothing is left to derive');
        $dbh->do(q{CALL factmerge_run('a', 'b')});
        ok(facts($dbh, 'b', 'factmerge_provenance') eq $after, '... the next run completes');
        $fresh = 0;
    }
    $dbh->disconnect;
}
note(join ', ', map { "$_: $stages{$_}" } sort keys %stages);
note(join ', ', map { "$_: $ends{$_}" } sort keys %ends);
cmp_ok(scalar(grep { !/^(?:ended|between)$/ } keys %stages), '>=', 4, 'kills at several stages');
cmp_ok($ends{'as before'} // 0, '>=', 20, 'many of them in time');

eval { $admin->disconnect };
done_testing();
