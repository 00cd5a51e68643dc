#!/usr/bin/perl
#
# A database with merges behind it survives pg_dump and restore
#
# What was declared (handlers, ignored triggers), the history, the conflicts
# and the key maps come along, and a further merge in the restored database
# does what it would have done in the original.  The restored databases hold
# other objects first, so that no oid is the same by chance.
#
# Works in databases of its own, on the server that PGHOST, PGPORT and PGUSER
# name, with the pg_dump, pg_restore and psql that PATH finds.
#
use strict;
use warnings;

use DBI;
use File::Temp qw(tempdir);
use Test::More;

my $original = "factmerge_dump_$$";
my $folder   = tempdir(CLEANUP => 1);

# The ways to dump, and to restore into a database
my %dumps = (
    custom   => [qw(-Fc)], plain => [], directory => [qw(-Fd -j2)],
    schema   => ['--schema-only'], data => [qw(--data-only --disable-triggers)],
);
my @restore = ('pg_restore', '--exit-on-error');
my @psql    = qw(psql -X -q -v ON_ERROR_STOP=1);
my %restores = (
    custom   => [ [ @restore, "$folder/custom" ] ],
    plain    => [ [ @psql, '-f', "$folder/plain" ] ],
    parallel => [ [ @restore, '-j2', "$folder/directory" ] ],
    parts    => [ [ @psql, '-f', "$folder/schema" ], [ @psql, '-f', "$folder/data" ] ],
    cleaned  => [ [ @restore, "$folder/custom" ], [ @restore, '--clean', '--if-exists', "$folder/custom" ] ],
);
my %copies = map { $_ => "${original}_$_" } keys %restores;

sub connect_to {
    my $name = shift;
    return DBI->connect("dbi:Pg:dbname=$name", undef, undef,
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1 });
}

sub run {
    my ($what, @command) = @_;
    my $output = "$folder/output";
    my $pid = fork // die "could not fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', $output or die;
        open STDERR, '>&', \*STDOUT or die;
        exec @command or die "could not run $command[0]: $!";
    }
    waitpid $pid, 0;
    return if is($?, 0, $what);
    open my $file, '<', $output or die;
    diag(<$file>);
}

my $admin = connect_to('postgres');
# Without what tests add to new databases, which would be dumped as well
$admin->do("CREATE DATABASE $_ TEMPLATE template0") for $original, values %copies;

my $dbh = connect_to($original);
$dbh->do('SET client_min_messages = warning');
$dbh->do('CREATE EXTENSION factmerge');
for my $schema (qw(a b c)) {
    $dbh->do($_) for (
        "CREATE SCHEMA $schema",
        qq{CREATE TABLE $schema."Place" (id serial PRIMARY KEY, name text UNIQUE, height integer)},
        qq{CREATE TABLE $schema.road (source integer REFERENCES $schema."Place",
            target integer REFERENCES $schema."Place", PRIMARY KEY (source, target))},
        qq{CREATE TABLE $schema.way (source integer REFERENCES $schema."Place",
            target integer REFERENCES $schema."Place", PRIMARY KEY (source, target))},
        qq{CREATE TABLE $schema.tour (source integer REFERENCES $schema."Place",
            target integer REFERENCES $schema."Place", PRIMARY KEY (source, target))},
        # A rule, and friends
        "SELECT factmerge_add_rule('two roads', '$schema.tour(source, target)',
            'SELECT r.source, s.target FROM road r JOIN road s ON s.source = r.target')",
        "SELECT factmerge_add_friend('$schema.road', '$schema.tour', 'fact.source = friend.target AND fact.target > 0')",
        "SELECT factmerge_set_friend_hops('$schema.tour', 3)",
        # A declared function, which the server does not call by itself, and a
        # trigger that derives nothing
        "CREATE FUNCTION $schema.on_road($schema.road) RETURNS void LANGUAGE plpgsql
         AS \$\$
         BEGIN
             INSERT INTO $schema.way
             SELECT r.source, \$1.target FROM $schema.road r WHERE r.target = \$1.source
             UNION SELECT \$1.source, r.target FROM $schema.road r WHERE r.source = \$1.target
             ON CONFLICT DO NOTHING;
         END \$\$",
        "SELECT factmerge_add_handler('$schema.road', '$schema.on_road', 7, 'this')",
        "CREATE FUNCTION $schema.audit() RETURNS trigger LANGUAGE plpgsql
         AS \$\$ BEGIN RAISE 'audited'; END \$\$",
        "CREATE TRIGGER audit AFTER INSERT ON $schema.road
         FOR EACH ROW WHEN (current_setting('test.audit', true) = 'on') EXECUTE FUNCTION $schema.audit()",
        "SELECT factmerge_ignore_trigger('$schema.road', 'audit')",
    );
}
$dbh->do($_) for (
    q{INSERT INTO a."Place" (name, height) VALUES ('p', 1), ('q', 2), ('y', 9)},
    'INSERT INTO a.road VALUES (1, 2)',
    q{INSERT INTO b."Place" (name, height) VALUES ('r', 3), ('q', 4)},
    'INSERT INTO b.road VALUES (2, 1)',
    q{INSERT INTO c."Place" (name, height) VALUES ('s', 5), ('r', 3), ('o', 6), ('p', 1)},
    'INSERT INTO c.road VALUES (2, 1), (3, 4)',
    q{SELECT factmerge_merge('a', 'b')},
);
# A failure, for the history
ok(!eval { $dbh->do(q{CALL factmerge_run('nowhere', 'b')}) }, 'a run fails');

# Everything that the extension keeps, as names and values.  Key maps are
# shown with what they map.
sub kept {
    my $dbh = shift;
    my %kept = map {
        my ($table, $order) = @$_;
        $table => $dbh->selectall_arrayref("SELECT x::text FROM $table x ORDER BY $order")
    } ([ 'factmerge.merge', 'merge_id' ], [ 'factmerge.merge_table', 'merge_id, "position"' ],
        [ 'factmerge.conflict', '1' ], [ 'factmerge.key_map', 'source, fact_table::text' ],
        [ 'factmerge.handler', '1' ], [ 'factmerge.ignored_trigger', '1' ], [ 'factmerge.rule', '1' ],
        [ 'factmerge.friend', '1' ], [ 'factmerge.friend_hops', '1' ],
        [ 'factmerge.failure', '1' ]);
    for my $map (@{ $dbh->selectcol_arrayref('SELECT map::text FROM factmerge.key_map ORDER BY 1') }) {
        $kept{$map} = $dbh->selectall_arrayref("SELECT x::text FROM $map x ORDER BY 1");
    }
    $kept{sequences} = $dbh->selectall_arrayref(
        'SELECT m.last_value, m.is_called, k.last_value, k.is_called, r.last_value, r.is_called
         FROM factmerge.merge_merge_id_seq m, factmerge.key_map_number k, factmerge.rule_number r');
    $kept{rules} = $dbh->selectall_arrayref(q{SELECT r::text FROM factmerge_rules('b') r});
    $kept{triggers} = $dbh->selectall_arrayref(
        'SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2');
    $kept{facts} = $dbh->selectall_arrayref(
        q{SELECT x::text FROM b."Place" x UNION ALL SELECT x::text FROM b.road x
          UNION ALL SELECT x::text FROM b.way x UNION ALL SELECT x::text FROM b.tour x ORDER BY 1});
    $kept{defaults} = $dbh->selectall_arrayref(
        q{SELECT table_schema, table_name, column_name, column_default FROM information_schema.columns
          WHERE column_name LIKE 'factmerge%' AND table_schema = 'b' ORDER BY 1, 2, 3});
    $kept{sources} = $dbh->selectall_arrayref(q{SELECT s::text FROM factmerge_sources('b') s});
    $kept{origins} = $dbh->selectall_arrayref(
        q{SELECT p.name, o::text FROM b."Place" p, factmerge_origin('b."Place"', p.id) o ORDER BY 1, 2});
    $kept{tables} = $dbh->selectall_arrayref(q{SELECT t::text FROM factmerge_tables('b') t ORDER BY "position"});
    return \%kept;
}

# The further merges: one of the same source, which has got something new, and
# one of another.  Returns what they say and what the destination then holds.
sub go_on {
    my $dbh = shift;
    my @said;
    $dbh->do(q{INSERT INTO a."Place" (name) VALUES ('z')});
    $dbh->do(q{INSERT INTO a.road SELECT s.id, t.id FROM a."Place" s, a."Place" t WHERE s.name = 'z' AND t.name = 'q'});
    # If it were not ignored, the trigger would raise an error now
    $dbh->do('SET test.audit = on');
    push @said, $dbh->selectrow_arrayref(
        "SELECT merge_id, source_facts, in_both, copied, conflicts, replayed, derived FROM factmerge_merge('$_', 'b')")
        for qw(a c);
    $dbh->do('RESET test.audit');
    my $facts = $dbh->selectall_arrayref(
        q{SELECT 'place ' || name AS fact, factmerge_provenance, factmerge_merge FROM b."Place"
          UNION ALL SELECT 'road ' || s.name || t.name, x.factmerge_provenance, x.factmerge_merge
              FROM b.road x JOIN b."Place" s ON s.id = source JOIN b."Place" t ON t.id = target
          UNION ALL SELECT 'way ' || s.name || t.name, x.factmerge_provenance, x.factmerge_merge
              FROM b.way x JOIN b."Place" s ON s.id = source JOIN b."Place" t ON t.id = target
          UNION ALL SELECT 'tour ' || s.name || t.name, x.factmerge_provenance, x.factmerge_merge
              FROM b.tour x JOIN b."Place" s ON s.id = source JOIN b."Place" t ON t.id = target
          ORDER BY 1});
    # The rule goes on with ordinary work
    $dbh->do(q{INSERT INTO b.road SELECT s.id, t.id FROM b."Place" s, b."Place" t WHERE s.name = 's' AND t.name = 'y'});
    push @said, $dbh->selectcol_arrayref(
        q{SELECT s.name || t.name FROM b.tour JOIN b."Place" s ON s.id = source JOIN b."Place" t ON t.id = target
          WHERE t.name = 'y'});
    $dbh->do(q{SELECT factmerge_saturate('b')});
    return { said => \@said, facts => $facts,
        verified => $dbh->selectall_arrayref(q{SELECT * FROM factmerge_verify('b')}) };
}

my $before = kept($dbh);
is(scalar @{ $before->{'factmerge.handler'} }, 3, 'there are handlers to carry');
is(scalar @{ $before->{'factmerge.conflict'} }, 1, '... a conflict');
is(scalar @{ $before->{'factmerge.key_map'} }, 4, '... key maps');
is(scalar @{ $before->{'factmerge.failure'} }, 1, '... a failed run');
is(scalar @{ $before->{rules} }, 1, '... a rule');
is(scalar @{ $before->{'factmerge.friend'} }, 3, '... friends');
is_deeply(
    $dbh->selectcol_arrayref(
        q{SELECT s.name || t.name || w.factmerge_provenance FROM b.way w JOIN b."Place" s ON s.id = source JOIN b."Place" t ON t.id = target}),
    ['prderived'], '... and a derived fact');

run("pg_dump, $_", 'pg_dump', @{ $dumps{$_} }, '-f', "$folder/$_", $original) for sort keys %dumps;
for my $copy (values %copies) {
    my $junk = connect_to($copy);
    $junk->do("CREATE TABLE public.junk$_ (x serial PRIMARY KEY)") for 1 .. 20;
    $junk->disconnect;
}
for my $way (sort keys %restores) {
    for my $command (@{ $restores{$way} }) {
        my ($program, @arguments) = @$command;
        run("$program @arguments", $program, '-d', $copies{$way}, @arguments);
    }
}

my $after = go_on($dbh);
is_deeply($after->{said},
    # a: places 4, of which z is new; roads 2, of which z>q is.  Its way z>r is
    # new; p>q, in both, now has friends on either side and is replayed, too.
    # c: o and s are new, r>s and o>p; ways q>s and o>q are.  The rule says the same
    # of tours.
    [ [ 2, 6, 4, 2, 0, 2, 2 ], [ 3, 6, 2, 4, 0, 2, 4 ], ['ry'] ], 'the original goes on')
    or diag(explain($after->{said}));
is_deeply($after->{verified}, [], '... and is saturated');

for my $format (sort keys %copies) {
    my $copy = connect_to($copies{$format});
    my $carried = kept($copy);
    is_deeply($carried->{$_}, $before->{$_}, "$format: $_") for sort keys %$before;
    isnt($copy->selectrow_array(q{SELECT 'b.road'::regclass::oid}),
        $dbh->selectrow_array(q{SELECT 'b.road'::regclass::oid}), "$format: the oids are others");
    is_deeply($carried->{tables}[1], $before->{tables}[1], "$format: handlers are found");
    is_deeply(go_on($copy), $after, "$format: the copy goes on as the original does");
    $copy->disconnect;
}

# A schema whose provenance has been removed restores where there is no factmerge,
# and the extension goes without more ado, from a restored database, too
my $plain = "${original}_plain_one";
ok(!eval { $dbh->do(q{SELECT factmerge_remove_provenance('b')}) }, 'rules are in the way');
like($@, qr/"two roads".*factmerge_drop_rule\('two roads', 'b'\)/s, '... and named');
for my $database ($original, $copies{custom}) {
    my $leaving = connect_to($database);
    my %facts = map { $_ => $leaving->selectall_arrayref("SELECT * FROM $_ ORDER BY 1, 2") } qw(b.road b.way b.tour);
    ok(!eval { $leaving->do('DROP EXTENSION factmerge') }, "$database: columns and triggers are in the way");
    like($@, qr/"a".*"b".*"c".*factmerge_remove_provenance\('b'\)/s, '... and what takes them away is said');
    for my $schema (qw(a b c)) {
        $leaving->do('SELECT factmerge_drop_rule(?, ?)', undef, 'two roads', $schema);
        $leaving->do('SELECT factmerge_remove_provenance(?)', undef, $schema);
    }
    $admin->do("CREATE DATABASE $plain");
    run("$database: a schema is dumped", 'pg_dump', '-n', 'b', '-f', "$folder/schema_b", $database);
    run('... and restored without factmerge', @psql, '-f', "$folder/schema_b", $plain);
    my $restored = connect_to($plain);
    is_deeply($restored->selectall_arrayref("SELECT * FROM $_ ORDER BY 1, 2"),
        [ map { [ @$_[ 0, 1 ] ] } @{ $facts{$_} } ], "... with the facts of $_") for sort keys %facts;
    $restored->disconnect;
    $admin->do("DROP DATABASE $plain");
    ok(eval { $leaving->do('DROP EXTENSION factmerge') }, '... and the extension is dropped') or diag($@);
    is($leaving->selectrow_array(q{SELECT count(*) FROM pg_class WHERE relname ~ '^(key_map|rule)_'}), 0, '... with all it had');
    $leaving->disconnect;
}

$dbh->disconnect;
$admin->do("DROP DATABASE $_ WITH (FORCE)") for $original, values %copies;
$admin->disconnect;
done_testing();
