#!/usr/bin/perl
#
# A database with merges behind it survives pg_upgrade
#
# To the same version, as the only one that is sure to be there; what matters is that
# nothing factmerge keeps stands in the way, and that it means the same afterwards.
#
# The clusters are made with the initdb and pg_ctl that PATH finds (../lib/OwnServer.pm),
# as the user whom the one runs as that PGHOST, PGPORT and PGUSER name.
#
use strict;
use warnings;

use DBI;
use FindBin;
use File::Basename qw(dirname);
use lib "$FindBin::Bin/../lib";
use OwnServer ();
use Test::More;

my $server = OwnServer->new('upgrade', 54334);
my $dbh    = $server->connect('postgres');
$dbh->do('CREATE EXTENSION factmerge');
for my $schema (qw(a b)) {
    $dbh->do($_) for (
        "CREATE SCHEMA $schema",
        "CREATE TABLE $schema.point (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE)",
        "CREATE TABLE $schema.edge (a integer REFERENCES $schema.point, b integer REFERENCES $schema.point, PRIMARY KEY (a, b))",
        "CREATE TABLE $schema.path (a integer REFERENCES $schema.point, c integer REFERENCES $schema.point, PRIMARY KEY (a, c))",
        "CREATE TABLE $schema.meeting (a integer REFERENCES $schema.point, b integer REFERENCES $schema.point, PRIMARY KEY (a, b))",
        "CREATE TABLE $schema.queue (number serial PRIMARY KEY, relation regclass, key integer)",
        "CREATE TABLE $schema.session (id integer PRIMARY KEY)",
        "SELECT factmerge_add_rule('paths', '$schema.path(a, c)', 'SELECT e.a, f.b FROM edge e JOIN edge f ON f.a = e.b')",
        "CREATE FUNCTION $schema.meet(e $schema.edge) RETURNS void LANGUAGE sql AS
             'INSERT INTO $schema.meeting SELECT e.a, f.a FROM $schema.edge f WHERE f.b = e.b ON CONFLICT DO NOTHING'",
    );
}
# Everything that can be declared
$dbh->do($_) for (
    q{SELECT factmerge_set_sameness('b.point', key => '{name}')},
    q{SELECT factmerge_ignore('b.session')},
    q{SELECT factmerge_add_handler('b.edge', 'b.meet', friends => '{edge}', only_when => 'fact.a > 0', stop_when => 'false')},
    q{SELECT factmerge_add_friend('b.edge', 'b.edge', 'fact.b = friend.b')},
    q{SELECT factmerge_set_friend_hops('b.meeting', 3)},
    q{SELECT factmerge_set_event_log('b.queue', 'relation', 'key', 'number')},
    q{INSERT INTO a.point (name) VALUES ('p'), ('q')},
    q{INSERT INTO b.point (name) VALUES ('r'), ('q')},
    q{INSERT INTO a.edge VALUES (1, 2)},
    q{INSERT INTO b.edge VALUES (2, 1)},
    q{INSERT INTO a.queue (relation, key) VALUES ('a.point', 1)},
    q{SELECT factmerge_merge('a', 'b')},
);
eval { $dbh->do(q{CALL factmerge_run('a', 'nowhere')}) };

# What the extension keeps, and what follows from that
sub kept {
    my ($dbh) = @_;
    my @tables = @{ $dbh->selectcol_arrayref(
        q{SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'factmerge'::regnamespace AND relkind = 'r'
          UNION SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'b'::regnamespace AND relkind = 'r' ORDER BY 1}) };
    return {
        (map { $_ => $dbh->selectcol_arrayref("SELECT x::text FROM $_ x ORDER BY 1") } @tables),
        history => $dbh->selectcol_arrayref('SELECT h::text FROM factmerge_history h ORDER BY merged_at'),
        rules   => $dbh->selectcol_arrayref(q{SELECT r::text FROM factmerge_rules('b') r}),
        sources => $dbh->selectcol_arrayref('SELECT s::text FROM factmerge_sources() s'),
        friends => $dbh->selectcol_arrayref(q{SELECT f::text FROM factmerge_friends('b') f ORDER BY 1}),
        fact_tables => $dbh->selectcol_arrayref(q{SELECT t::text FROM factmerge_tables('b') t}),
    };
}
my $before = kept($dbh);
$dbh->disconnect;
$server->stop('fast');

my $new = $server->make_cluster('new');
my $bin = dirname(OwnServer::program('pg_ctl'));
my @upgrade = ('pg_upgrade', '-b', $bin, '-B', $bin, '-d', $server->data, '-D', $new, '-U', 'postgres', '--socketdir', $server->folder);
ok($server->succeeds(@upgrade, '--check'), 'pg_upgrade finds nothing in its way') or diag($server->output);
ok($server->succeeds(@upgrade), 'pg_upgrade succeeds') or diag($server->output);
$server->move_to('new');
$server->start;

$dbh = $server->connect('postgres');
my $after = kept($dbh);
is_deeply($after->{$_}, $before->{$_}, "$_ is as it was") for sort keys %$before;
# The old cluster's source goes on being known
$dbh->do($_) for (
    q{INSERT INTO a.point (name) VALUES ('s')},
    q{INSERT INTO a.edge VALUES (3, 2)},
    q{INSERT INTO a.queue (relation, key) VALUES ('a.point', 3)},
);
is_deeply([ $dbh->selectrow_array(q{SELECT source_facts, in_both, copied, derived FROM factmerge_merge('a', 'b')}) ],
    [ 7, 4, 3, 1 ], 'the next merge takes what is new');
is_deeply($dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}), [], '... and leaves nothing to derive');
$dbh->disconnect;
done_testing();
