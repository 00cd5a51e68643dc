# OwnServer: a server of a test's own, beside the one that the tests run on.
#
# It runs as the user whom that one runs as, for either may have to reach the other's
# socket, on the same installation, with the initdb and pg_ctl that PATH finds.  A
# keeper process stops it and removes its folder as soon as the test is gone, whatever
# it died of.
#
#   my $server = OwnServer->new('foreign', $port, 'fsync = off', ...);
#   my $dbh = $server->connect('postgres');
#   $server->stop;  $server->start;
package OwnServer;

use strict;
use warnings;

use Cwd qw(abs_path);
use DBI;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More ();

my $PATIENCE = 120;    # seconds

# What the keepers of all servers wait for the end of, by server
my %leashes;

# Makes a server with a name, for its folder, and settings, and starts it; the port is
# that of a socket in the folder
sub new {
    my ($class, $name, $port, @settings) = @_;
    my $self = $class->prepare($name, $port, @settings);
    $self->make_cluster('data');
    $self->start;
    return $self;
}

# Makes a server that has a small disk besides, of so many bytes, and starts it; there is
# none where this machine lets nobody mount anything.  The disk is seen by the server
# and its children alone, as folder disk(), and is gone when it stops.
sub new_with_disk {
    my ($class, $name, $port, $bytes, @settings) = @_;
    my $self = $class->prepare($name, $port, @settings);
    $self->{bytes} = $bytes;
    mkdir $self->disk or die "could not make a folder: $!";
    return undef unless $self->succeeds('true');
    $self->make_cluster('data');
    $self->start;
    return $self;
}

# Makes a server that follows another one, and starts it
sub new_standby {
    my ($class, $name, $port, $primary) = @_;
    my $self = $class->prepare($name, $port);
    $self->run('pg_basebackup', '-D', $self->data, '-h', $primary->folder, '-p', $primary->port, '-U', 'postgres', '-R', '-c', 'fast', '--no-sync');
    $self->configure($self->data);
    $self->start;
    return $self;
}

# The folder of a server to be, and its keeper
sub prepare {
    my ($class, $name, $port, @settings) = @_;
    my $user = $> == 0 ? (stat "$ENV{PGHOST}/.s.PGSQL.$ENV{PGPORT}")[4] // die "no socket in $ENV{PGHOST}" : undef;
    my $self = bless {
        port   => $port,
        folder => abs_path(tempdir("factmerge.$name.XXXXXX", TMPDIR => 1)),
        user   => $user,
        test   => $$,
        data   => 'data',
    }, $class;

    $self->{settings} = [ "listen_addresses = ''", "unix_socket_directories = '$self->{folder}'", "port = $port",
        'fsync = off', "timezone = 'UTC'", @settings ];
    $self->leave_to_keeper;
    chown $self->{user}, -1, $self->{folder} or die "could not chown $self->{folder}: $!" if defined $self->{user};
    return $self;
}

# Makes another cluster in the folder; returns where
sub make_cluster {
    my ($self, $name) = @_;
    my $data = "$self->{folder}/$name";
    $self->run('initdb', '-D', $data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync');
    $self->configure($data);
    return $data;
}

# Appends the settings to those of a cluster
sub configure {
    my ($self, $data) = @_;
    open my $configuration, '>>', "$data/postgresql.conf" or die "$data/postgresql.conf: $!";
    print $configuration map { "$_\n" } @{ $self->{settings} };
    close $configuration or die;
}

# From now on it is another cluster that is started and stopped
sub move_to {
    my ($self, $name) = @_;
    $self->{data} = $name;
}

sub data   { return "$_[0]{folder}/$_[0]{data}" }
sub folder { return $_[0]{folder} }
sub disk   { return "$_[0]{folder}/disk" }
sub port   { return $_[0]{port} }

sub start {
    my ($self) = @_;
    $self->run('pg_ctl', '-D', $self->data, '-l', "$self->{folder}/log", '-s', '-w', '-t', $PATIENCE, 'start');
}

# Kills it and all its processes, as nothing can be prepared for, and waits until they
# are no more
sub kill_all {
    my ($self) = @_;
    my ($postmaster) = slurp($self->data . '/postmaster.pid') =~ /^(\d+)/ or die 'no postmaster.pid';
    my @processes = ($postmaster, grep { parent_of($_) == $postmaster } map { m{^/proc/(\d+)$} } glob '/proc/[0-9]*');
    kill 'KILL', @processes;
    my $end = time + $PATIENCE;
    while (time < $end && grep { -e "/proc/$_" && state_of($_) ne 'Z' } @processes) {
        select undef, undef, undef, 0.01;
    }
    # Where nobody buries the dead, they pass for alive
    unlink $self->data . '/postmaster.pid', "$self->{folder}/.s.PGSQL.$self->{port}.lock" if state_of($postmaster) eq 'Z';
}

# The fields of /proc/.../stat behind the name, which may have anything in it
sub stat_of   { return split ' ', slurp("/proc/$_[0]/stat") =~ s/^.*\) //sr }
sub state_of  { return (stat_of($_[0]))[0] // '' }
sub parent_of { return (stat_of($_[0]))[1] // 0 }

# Stops it, unless said otherwise at once, as a crash would
sub stop {
    my ($self, $mode) = @_;
    $self->run('pg_ctl', '-D', $self->data, '-s', '-w', '-t', $PATIENCE, '-m', $mode // 'immediate', 'stop');
}

# A connection that hears of nothing less than warnings
sub connect {
    my ($self, $database, $role) = @_;
    my $dbh = DBI->connect("dbi:Pg:dbname=$database;host=$self->{folder};port=$self->{port}", $role // 'postgres', undef,
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1 });
    $dbh->do('SET client_min_messages = warning');
    return $dbh;
}

# The same, as soon as the server is up: one that has been killed takes a moment
sub connect_patiently {
    my ($self, $database) = @_;
    my $end = time + $PATIENCE;
    while (1) {
        my $dbh = eval { $self->connect($database) };
        return $dbh if $dbh;
        die $@ if time > $end;
        select undef, undef, undef, 0.05;
    }
}

# What programs have said
sub output {
    my ($self) = @_;
    return slurp("$self->{folder}/output");
}

# The log since the server was made
sub log_text {
    my ($self) = @_;
    return slurp("$self->{folder}/log");
}

# Runs a program of PostgreSQL's as the server's user; the test ends if it fails
sub run {
    my ($self, $name, @arguments) = @_;
    return if $self->succeeds($name, @arguments);
    Test::More::BAIL_OUT("$name @arguments: failed\n" . slurp("$self->{folder}/output") . $self->log_text);
}

sub succeeds {
    my ($self, $name, @arguments) = @_;
    my @command = (program($name), @arguments);
    @command = ('runuser', '-u', scalar getpwuid($self->{user}), '--', @command) if defined $self->{user};
    @command = $self->with_disk(@command) if $self->{bytes};
    my $pid = fork // die "could not fork: $!";
    if ($pid == 0) {
        # Where the server's user may be, and write
        chdir $self->{folder} or die;
        open STDIN,  '<',  '/dev/null'              or die;
        open STDOUT, '>>', "$self->{folder}/output" or die;
        open STDERR, '>&', \*STDOUT or die;
        exec @command or die "could not run $command[0]: $!";
    }
    waitpid $pid, 0;
    return $? == 0;
}

# A command, so that it sees a disk; whoever is not root is it for as long as it takes
# to mount that, in a world of his own
sub with_disk {
    my ($self, @command) = @_;
    my $owner   = $self->{user} // $>;
    my @mount   = ('sh', '-c', 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"', 'sh');
    my $options = "size=$self->{bytes},mode=700";
    return ('unshare', '--mount', @mount, "$options,uid=$owner", $self->disk, @command) if $> == 0;
    return ('unshare', '--map-root-user', '--mount', @mount, $options, $self->disk, 'unshare', "--map-user=$owner", '--', @command);
}

# Where a program is; runuser may have a PATH of its own
sub program {
    my ($name) = @_;
    for (split /:/, $ENV{PATH}) { return "$_/$name" if -x "$_/$name" }
    die "there is no $name";
}

# The keeper waits for the end of a pipe that nobody writes to: it comes when the test
# is no more
sub leave_to_keeper {
    my ($self) = @_;
    pipe my $end, my $leash or die "could not make a pipe: $!";
    my $pid = fork // die "could not fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'IGNORE' for qw(HUP INT TERM PIPE);
        # Held by a keeper, the leash of another would never end
        close $_ for $leash, values %leashes;
        open STDOUT, '>', '/dev/null' or die;
        open STDERR, '>', '/dev/null' or die;
        readline $end;
        $self->succeeds('pg_ctl', '-D', $self->data, '-s', '-w', '-m', 'immediate', 'stop');
        remove_tree($self->{folder});
        POSIX::_exit(0);
    }
    close $end;
    $leashes{ $self->{folder} } = $leash;
    $self->{keeper} = $pid;
}

sub DESTROY {
    my ($self) = @_;
    my $leash = $$ == $self->{test} && delete $leashes{ $self->{folder} } or return;
    local $?;
    close $leash;
    waitpid $self->{keeper}, 0;
}

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return scalar <$file>;
}

1;
