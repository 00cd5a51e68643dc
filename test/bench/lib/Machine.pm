# Machine: what the machine is, and what a backend takes of it.
#
# Processor seconds are those that the backend ran, in user and system mode; on
# a busy machine they tell more than the clock.  For memory, a process of its
# own reads /proc every 50 milliseconds, as this one waits for the server.
# RssAnon is what the backend has to itself; its high-water mark VmHWM has the
# shared buffers that it touched in it.  Parallel workers are processes of their
# own, and left out.
package Machine;

use strict;
use warnings;
use Exporter qw(import);
use Figures qw(note);
use IO::Handle;
use List::Util qw(max);
use Options qw(%option);
use POSIX ();
use Server qw(server);

our @EXPORT_OK = qw(machine note_load watch_memory processor_seconds);

my @telling_settings = qw(shared_buffers maintenance_work_mem max_wal_size checkpoint_timeout wal_level
    fsync full_page_writes jit max_parallel_workers_per_gather);

sub machine {
    my ($version) = server()->selectrow_array('SHOW server_version');
    my ($model) = lines_of('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)$/m;
    my $cores = () = lines_of('/proc/cpuinfo') =~ /^processor\s*:/mg;
    my ($memory) = lines_of('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;
    my @settings = map { "$_ " . server()->selectrow_array("SHOW $_") } @telling_settings;

    # A new session need not map small pages one by one then
    push @settings, 'in huge pages' if lines_of('/proc/' . server()->{pg_pid} . '/smaps') =~ /^KernelPageSize:\s+\d{4,} kB/m;

    return sprintf('%d cores (%s), %.0f GB of memory; PostgreSQL %s; work_mem %s, %s',
                   $cores, $model // 'unknown', ($memory // 0) / 1024 ** 2, $version,
                   $option{'work-mem'}, join(', ', @settings));
}

# Warns of a machine that has other things to do
sub note_load {
    my ($load) = lines_of("/proc/loadavg") =~ /^(\S+)/ or return;

    note("the machine is busy (load $load): go by processor seconds") if $load > 0.5;
    return;
}

# Starts watching; what it returns stops that and gives the peaks, in kB
sub watch_memory {
    my ($db) = @_;
    my $pid = $db->{pg_pid};

    return sub { {} } unless defined memory($pid, 'RssAnon');
    pipe(my $stop_reader, my $stop_writer) or die "pipe: $!\n";
    pipe(my $peak_reader, my $peak_writer) or die "pipe: $!\n";
    my $child = fork // die "fork: $!\n";
    if ($child == 0) {
        close $stop_writer;
        watch_until_closed($pid, $stop_reader, $peak_writer);
        POSIX::_exit(0);
    }
    close $_ for $stop_reader, $peak_writer;
    return sub {
        my %peak = (high_water => memory($pid, 'VmHWM'));

        close $stop_writer;
        chomp($peak{private} = readline $peak_reader);
        waitpid $child, 0;
        return \%peak;
    };
}

sub watch_until_closed {
    my ($pid, $stop_reader, $peak_writer) = @_;
    my $peak = 0;

    while (1) {
        $peak = max($peak, memory($pid, 'RssAnon') // 0);
        vec(my $readable = '', fileno $stop_reader, 1) = 1;
        last if select $readable, undef, undef, 0.05;
    }
    print {$peak_writer} "$peak\n";
    $peak_writer->flush;
    return;
}

sub processor_seconds {
    my ($db) = @_;
    my ($ticks) = lines_of("/proc/$db->{pg_pid}/stat") =~ /\) (.*)/ or return 0;
    my ($user, $system) = (split ' ', $ticks)[11, 12];

    return ($user + $system) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub memory {
    my ($pid, $field) = @_;

    open my $status, '<', "/proc/$pid/status" or return;
    while (my $line = <$status>) {
        return $1 if $line =~ /^$field:\s+(\d+) kB/;
    }
    return;
}

sub lines_of {
    my ($path) = @_;

    open my $handle, '<', $path or return '';
    local $/;
    return scalar <$handle>;
}

1;
