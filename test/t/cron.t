#!/usr/bin/perl
#
# Merges that pg_cron calls, on a server of its own that has it preloaded
#
# pg_cron looks at the clock once a minute, and so this test takes about as long:
# two jobs are scheduled, one of which is bound to fail, facts are added, and then
# both are waited for.
#
# The server is made with the initdb and pg_ctl that PATH finds (../lib/OwnServer.pm),
# as the user whom the one runs as that PGHOST, PGPORT and PGUSER name.
#
use strict;
use warnings;

use DBI;
use FindBin;
use lib "$FindBin::Bin/../lib";
use OwnServer ();
use Test::More;
use Time::HiRes qw(sleep time);

my $patience = 200;    # seconds

my $server = OwnServer->new('cron', 54332, "shared_preload_libraries = 'pg_cron'", "cron.database_name = 'postgres'",
    'cron.use_background_workers = on');
my $dbh = $server->connect('postgres');

# Waits until a query returns a true value; returns it
sub wait_for {
    my ($query) = @_;
    my $end = time + $patience;
    while (time < $end) {
        my ($value) = $dbh->selectrow_array($query);
        return $value if $value;
        sleep 0.2;
    }
    return;
}

$dbh->do($_) for ('CREATE EXTENSION pg_cron', 'CREATE EXTENSION factmerge');
for my $schema (qw(branch office ruin)) {
    $dbh->do($_) for (
        "CREATE SCHEMA $schema",
        "CREATE TABLE $schema.customer (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE)",
        "CREATE TABLE $schema.visit (customer integer REFERENCES $schema.customer, day date, PRIMARY KEY (customer, day))",
    );
}
$dbh->do(q{ALTER TABLE ruin.customer ADD CHECK (name <> 'Zoe')});
$dbh->do(q{INSERT INTO office.customer (name) VALUES ('Yves'), ('Xenia')});

# The two lines of the README, and one that fails
$dbh->do($_) for (
    q{SELECT cron.schedule('merge branch', '* * * * *', $$CALL factmerge_run('branch', 'office')$$)},
    q{SELECT cron.schedule('merge in vain', '* * * * *', $$CALL factmerge_run('branch', 'ruin')$$)},
);
$dbh->do($_) for (
    q{INSERT INTO branch.customer (name) VALUES ('Zoe'), ('Yves')},
    q{INSERT INTO branch.visit SELECT id, date '2024-05-01' FROM branch.customer},
);

ok(wait_for(q{SELECT count(*) > 0 FROM factmerge_history WHERE destination = 'office'}), 'the job has merged')
    or diag($server->log_text);
is_deeply(
    $dbh->selectall_arrayref('SELECT name, day::text, v.factmerge_provenance FROM office.customer c JOIN office.visit v ON customer = id ORDER BY name'),
    [ [ 'Yves', '2024-05-01', 'source' ], [ 'Zoe', '2024-05-01', 'source' ] ],
    'what has been added since it was scheduled is there'
);
is_deeply(
    $dbh->selectrow_arrayref(q{SELECT source, status, copied, in_both, sqlstate FROM factmerge_history WHERE destination = 'office' ORDER BY merged_at LIMIT 1}),
    [ 'branch', 'succeeded', 3, 1, undef ], 'factmerge_history has the run'
);
is(wait_for(q{SELECT max(status) FROM cron.job_run_details d JOIN cron.job j USING (jobid)
              WHERE jobname = 'merge branch' AND status NOT IN ('starting', 'running')}),
    'succeeded', 'and so has pg_cron');

ok(wait_for(q{SELECT count(*) > 0 FROM factmerge_history WHERE destination = 'ruin'}), 'the job that is bound to fail has run')
    or diag($server->log_text);
is_deeply(
    $dbh->selectrow_arrayref(q{SELECT source, status, sqlstate, message FROM factmerge_history WHERE destination = 'ruin' ORDER BY merged_at LIMIT 1}),
    [ 'branch', 'failed', '23514', 'new row for relation "customer" violates check constraint "customer_name_check"' ],
    'factmerge_history says how it has failed'
);
is(wait_for(q{SELECT max(status) FROM cron.job_run_details d JOIN cron.job j USING (jobid)
              WHERE jobname = 'merge in vain' AND status NOT IN ('starting', 'running')}),
    'failed', 'pg_cron has seen it fail');
like(scalar $dbh->selectrow_array(q{SELECT return_message FROM cron.job_run_details d JOIN cron.job j USING (jobid)
                                    WHERE jobname = 'merge in vain' AND d.status = 'failed' LIMIT 1}),
    qr/violates check constraint "customer_name_check"/, '... and why');
is($dbh->selectrow_array('SELECT count(*) FROM ruin.customer'), 0, 'it has merged nothing');

$dbh->disconnect;
done_testing();
