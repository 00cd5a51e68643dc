# ExampleDatabase - a database of its own for the test of an example
#
# The server is the one that the PG* environment variables name.  The database
# is made by new() and dropped when the test ends, however it ends.  Everything
# goes through psql, so that the tests run the very files that a reader runs.
#
#     my $db = ExampleDatabase->new('royals');
#     $db->run_file("$dir/schema.sql", schema => 'british');
#     my $count = $db->value('SELECT count(*) FROM british.person');
#     my @rows = $db->rows('SELECT ...');     # one string a row, columns joined by |
#
# Whatever psql refuses is fatal: the test dies with psql's message above it.
package ExampleDatabase;

use strict;
use warnings;
use File::Temp ();

my @made;

$ENV{PGCLIENTENCODING} = 'UTF8';

# An interrupted test cleans up, too.
$SIG{$_} = sub { exit 1 }
    for qw(INT TERM);

sub new {
    my ($class, $name) = @_;
    my $self = bless { name => "factmerge_${name}_$$", owner => $$ }, $class;

    _run('createdb', '--encoding=UTF8', '--template=template0', $self->{name});
    push @made, $self;
    return $self;
}

sub drop {
    my ($self) = @_;
    return if $self->{dropped} || $self->{owner} != $$;
    $self->{dropped} = 1;
    _run('dropdb', '--force', $self->{name});
    return;
}

# The arguments that every call of psql shares.
sub psql_command {
    my ($self, %variable) = @_;
    return (
        'psql', '--no-psqlrc', '--quiet', '--tuples-only', '--no-align',
        '--set=ON_ERROR_STOP=1', "--dbname=$self->{name}",
        map {"--set=$_=$variable{$_}"} sort keys %variable
    );
}

# Runs a file of SQL with psql variables; returns what psql printed.
sub run_file {
    my ($self, $file, %variable) = @_;
    local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
    return _output($self->psql_command(%variable), "--file=$file");
}

# Runs the psql script that a command prints.
sub run_output_of {
    my ($self, @command) = @_;
    my $script = File::Temp->new(SUFFIX => '.sql');
    print {$script} _output(@command);
    close $script or die "cannot write $script: $!\n";
    return $self->run_file("$script");
}

sub rows {
    my ($self, $sql) = @_;
    my $script = File::Temp->new(SUFFIX => '.sql');
    print {$script} "$sql;\n";
    close $script or die "cannot write $script: $!\n";
    return split /\n/, $self->run_file("$script");
}

sub value {
    my ($self, $sql) = @_;
    my @rows = $self->rows($sql);
    die "not one row, but ${\scalar @rows}: $sql\n" if @rows != 1;
    return $rows[0];
}

sub _run {
    my @command = @_;
    system(@command) == 0 or die "failed: @command\n";
    return;
}

sub _output {
    my @command = @_;
    open my $pipe, '-|', @command or die "cannot run $command[0]: $!\n";
    my $output = do { local $/; <$pipe> } // '';
    close $pipe or die "failed: @command\n";
    return $output;
}

END {
    my $status = $?;
    for my $database (@made) {
        eval { $database->drop; 1 } or warn $@;
    }
    $? = $status;
}

1;
