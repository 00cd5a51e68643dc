# Server: the databases that the contests take place in.
#
# The server is found through the usual PG... variables.  Every database is a copy of
# a template, file by file, so that each contestant starts from the same.
package Server;

use strict;
use warnings;
use DBI;
use DBD::Pg;
use Exporter qw(import);
use FindBin;
use Options qw(%option);

our @EXPORT_OK = qw(server connect_to create_database drop_databases close_to_others allow_connections
    is_available fresh_backend in_transaction fill sql_of $template $floor_template $working_copy);

our $template = 'factmerge_bench_template';
our $floor_template = 'factmerge_bench_floor';
our $working_copy = 'factmerge_bench_merge';

my $server;

# The connection that makes and drops databases
sub server {
    return $server //= connect_to($ENV{PGDATABASE} || 'postgres');
}

sub connect_to {
    my ($database) = @_;

    my $db = DBI->connect("dbi:Pg:dbname=$database", undef, undef, {
        RaiseError => 1, PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1,
        pg_server_prepare => 0,
    });
    $db->do('SET client_min_messages = warning');
    return $db;
}

sub create_database {
    my ($name, $from) = @_;

    drop_database($name);
    # Files are copied as they are, so that every copy is as good as the other
    server()->do("CREATE DATABASE $name TEMPLATE $from STRATEGY file_copy");
    return;
}

sub drop_database {
    my ($name) = @_;

    server()->do("DROP DATABASE IF EXISTS $name WITH (FORCE)");
    return;
}

sub drop_databases {
    drop_database($_) for $template, $floor_template, $working_copy;
    return;
}

# Autovacuum, above all, which would change a template or hold it up
sub close_to_others {
    my ($database) = @_;

    server()->do("ALTER DATABASE $database ALLOW_CONNECTIONS false");
    return;
}

sub allow_connections {
    my ($database) = @_;

    server()->do("ALTER DATABASE $database ALLOW_CONNECTIONS true");
    return;
}

sub is_available {
    my ($extension) = @_;

    return server()->selectrow_array('SELECT true FROM pg_available_extensions WHERE name = ?', undef, $extension);
}

# A backend without a past, with nothing cached and no memory in use
sub fresh_backend {
    my $db = connect_to($working_copy);

    $db->do('CHECKPOINT');
    read_everything($db);
    $db->do("SET work_mem = '$option{'work-mem'}'");
    return $db;
}

sub read_everything {
    my ($db) = @_;
    my $tables = $db->selectcol_arrayref(q{
        SELECT oid::regclass FROM pg_class
        WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('src', 'exact', 'near', 'dst', 'ready', 'm')});

    $db->do("SELECT count(*) FROM $_") for @$tables;
    return;
}

sub in_transaction {
    my ($db, $work) = @_;

    $db->begin_work;
    $work->();
    $db->commit;
    return;
}

sub fill {
    my ($db, $generator, %parameter) = @_;

    # The generator is no contestant: it may have memory
    $db->do("SET work_mem = '64MB'");
    $db->do(sql_of($_, %parameter)) for 'world.sql', $generator;
    $db->do('VACUUM (ANALYZE)');
    return;
}

# A script of this folder, with its :parameters filled in
sub sql_of {
    my ($file, %parameter) = @_;
    my $path = "$FindBin::Bin/$file";

    open my $handle, '<', $path or die "cannot read $path: $!\n";
    my $sql = do { local $/; <$handle> };
    close $handle;
    $sql =~ s{(?<!:):([a-z_]+)\b}{$parameter{$1} // die "$file: no parameter $1\n"}ge if %parameter;
    return $sql;
}

1;
