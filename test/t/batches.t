#!/usr/bin/perl
#
# A merge in batches comes to the same as one in one transaction, whatever happens to it
#
# On a server of its own, networks are merged by factmerge_merge() and then, in copies of
# the same database, by factmerge_merge_in_batches(), in batches of several sizes.  Then
# the backend is killed by signal 9 again and again, and the next call goes on; what had
# been committed must still be there, and is never done twice.
#
# The server is made with the initdb and pg_ctl that PATH finds (../lib/OwnServer.pm), as
# the user whom the one runs as that PGHOST, PGPORT and PGUSER name.
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

my $most_kills = 12;
my $patience   = 120;    # seconds

my $seed = $ENV{CRASH_SEED} // time & 0xffff;
srand($seed);
note("CRASH_SEED=$seed");

my $server = OwnServer->new('batches', 54335, 'max_wal_size = 4GB', 'log_min_messages = fatal');

sub connect_to { return $server->connect_patiently(@_) }

sub copy {
    my ($name) = @_;
    my $admin = connect_to('postgres');
    $admin->do("CREATE DATABASE $name TEMPLATE original");
    $admin->disconnect;
    return connect_to($name);
}

# What the books say of the merge
sub books {
    my ($dbh) = @_;
    my @counts = qw(source_facts in_both copied conflicts events skipped_categorically skipped_in_both
        skipped_friends_in_both skipped_one_sided unhandled replayed derived);
    local $" = ', ';
    my %books = (
        history   => $dbh->selectall_arrayref("SELECT merge_id, status, fact_tables, @counts FROM factmerge_history"),
        report    => $dbh->selectall_arrayref("SELECT fact_table, @counts FROM factmerge_report()"),
        conflicts => $dbh->selectall_arrayref('SELECT fact_table::text, column_name, source_value, destination_value, count(*)
                                               FROM factmerge_conflicts() GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4'),
        sources   => $dbh->selectall_arrayref('SELECT source, fact_tables, facts FROM factmerge_sources()'),
        left_over => $dbh->selectcol_arrayref(q{SELECT oid::regclass::text FROM pg_class WHERE relpersistence = 't'}),
    );
    return \%books;
}

my $dbh = connect_to('postgres');
$dbh->do('CREATE DATABASE original');
$dbh->disconnect;
$dbh = connect_to('original');
$dbh->do('CREATE EXTENSION factmerge');
make_networks($dbh);
$dbh->disconnect;

$dbh = copy('at_once');
$dbh->do(q{SELECT factmerge_merge('a', 'b')});
my $expected       = facts($dbh, 'b', 'factmerge_provenance');
my $expected_books = books($dbh);
cmp_ok($expected_books->{history}[0][-1], '>', 500, 'in one transaction, something is derived');
cmp_ok(scalar @{ $expected_books->{conflicts} }, '>', 0, '... and there are conflicts');
$dbh->disconnect;

#
# Of any size
#
for my $size (300, 2500, 100_000) {
    my $dbh = copy("by_$size");
    my ($first) = $dbh->selectrow_array('SELECT pg_current_xact_id()::text::bigint');
    $dbh->do("CALL factmerge_merge_in_batches('a', 'b', $size)");
    ok(facts($dbh, 'b', 'factmerge_provenance') eq $expected, "in batches of $size it comes to the same");
    is_deeply(books($dbh), $expected_books, '... and the books say the same');
    is_deeply($dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}), [], '... nothing is left to derive');
    my ($transactions) = $dbh->selectrow_array('SELECT count(DISTINCT xmin::text) FROM b.edge WHERE factmerge_provenance = ?', undef, 'source');
    my ($edges) = $dbh->selectrow_array('SELECT count(*) FROM a.edge');
    $size < $edges ? cmp_ok($transactions, '>=', int($edges / $size / 2), '... by many transactions') : is($transactions, 1, '... by one');
    is_deeply([ $dbh->selectrow_array(q{SELECT copied, derived FROM factmerge_merge('a', 'b')}) ], [ 0, 0 ], '... the next merge finds nothing new');
    $dbh->disconnect;
}

#
# Killed
#
$dbh = copy('victim');
my $start = time;
{
    my $rehearsal = copy('rehearsal');
    $start = time;
    $rehearsal->do(q{CALL factmerge_merge_in_batches('a', 'b', 500)});
    $rehearsal->disconnect;
}
my $duration = time - $start;
my ($kills, $copied, $interrupted) = (0, 0, 0);
while (1) {
    my $merger  = connect_to('victim');
    my ($pid)   = $merger->selectrow_array('SELECT pg_backend_pid()');
    my $watcher = connect_to('victim');
    $merger->do(q{CALL factmerge_merge_in_batches('a', 'b', 500)}, { pg_async => PG_ASYNC });
    if ($kills < $most_kills) {
        sleep $duration * (0.05 + rand(0.3));
        kill 'KILL', $pid if eval { !$merger->pg_ready };
        $kills++;
        # The server ends all sessions when it notices, and lets nobody in until it is mended
        my $end = time + $patience;
        sleep 0.01 while time < $end && eval { !$merger->pg_ready } && eval { $watcher->do('SELECT 1') };
    }
    my $done = eval { $merger->pg_result; 1 };
    eval { $_->disconnect } for $merger, $watcher;
    my $dbh = connect_to('victim');
    my ($status) = $dbh->selectrow_array('SELECT status FROM factmerge_history');
    if ($done) {
        is($status, 'succeeded', "after $kills kills it has come to its end");
        $dbh->disconnect;
        last;
    }
    my ($now) = tagged($dbh) ? $dbh->selectrow_array(
        q{SELECT (SELECT count(*) FROM b.point WHERE factmerge_provenance = 'source')
               + (SELECT count(*) FROM b.edge WHERE factmerge_provenance = 'source')}) : 0;
    cmp_ok($now, '>=', $copied, "kill $kills: $now facts stay copied");
    $copied = $now;
    if (($status // '') eq 'unfinished') {
        $interrupted++;
        my $lived = eval { $dbh->do(q{SELECT factmerge_merge('a', 'b')}) };
        ok(!$lived && $dbh->state eq '55000', '... and nobody else may merge meanwhile') or diag($dbh->errstr);
    }
    $dbh->disconnect;
}
cmp_ok($interrupted, '>', 2, 'it has been interrupted on its way');
$dbh->disconnect;
$dbh = connect_to('victim');
ok(facts($dbh, 'b', 'factmerge_provenance') eq $expected, 'it has come to the same');
is_deeply(books($dbh), $expected_books, '... and the books say the same');
is_deeply($dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}), [], '... nothing is left to derive');
$dbh->disconnect;
done_testing();
