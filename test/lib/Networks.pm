# Networks: two schemas of points, edges, paths and mutual edges, for tests that merge a
# into b while something happens to them.
#
# Paths are found by a statement-level trigger, edges in both directions by a rule.
package Networks;

use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw(make_network make_networks facts tagged);

# Makes a schema in a database that has the extension, without facts; the definition is that of a point's key
sub make_network {
    my ($dbh, $schema, $key) = @_;
    $dbh->do($_) for (
        "CREATE SCHEMA $schema",
        "CREATE TABLE $schema.point (id $key PRIMARY KEY, name text NOT NULL UNIQUE, note text)",
        "CREATE TABLE $schema.edge (a integer REFERENCES $schema.point, b integer REFERENCES $schema.point, PRIMARY KEY (a, b))",
        "CREATE TABLE $schema.path (a integer REFERENCES $schema.point, c integer REFERENCES $schema.point, PRIMARY KEY (a, c))",
        "CREATE TABLE $schema.mutual (a integer REFERENCES $schema.point, b integer REFERENCES $schema.point, PRIMARY KEY (a, b))",
        "CREATE FUNCTION $schema.find_paths() RETURNS trigger LANGUAGE plpgsql SET search_path = $schema AS \$\$
         BEGIN
             INSERT INTO path SELECT n.a, e.b FROM news n JOIN edge e ON e.a = n.b
             UNION SELECT e.a, n.b FROM news n JOIN edge e ON e.b = n.a ON CONFLICT DO NOTHING;
             RETURN NULL;
         END \$\$",
        "CREATE TRIGGER find_paths AFTER INSERT ON $schema.edge REFERENCING NEW TABLE AS news
         FOR EACH STATEMENT EXECUTE FUNCTION $schema.find_paths()",
        "CREATE INDEX ON $schema.edge (b)",
        "SELECT factmerge_add_rule('mutual', '$schema.mutual(a, b)',
             'SELECT e.a, e.b FROM $schema.edge e JOIN $schema.edge f ON f.a = e.b AND f.b = e.a')",
    );
}

# Makes both schemas, and lets their facts arrive
sub make_networks {
    my ($dbh) = @_;
    make_network($dbh, $_, 'integer GENERATED ALWAYS AS IDENTITY') for qw(a b);
    my %points = (a => [ 1, 3000 ], b => [ 2300, 5300 ]);
    my %jumps  = (a => [ 1, -7, 40 ], b => [ 7, 100, -1 ]);
    for my $schema (qw(a b)) {
        my ($first, $last) = @{ $points{$schema} };
        $dbh->do("INSERT INTO $schema.point (name, note) SELECT 'p' || i, '$schema' FROM generate_series($first, $last) i");
        $dbh->do("INSERT INTO $schema.edge SELECT p.id, q.id FROM unnest('{@{[ join ',', @{ $jumps{$schema} } ]}}'::integer[]) AS jump
                  JOIN generate_series($first, $last) i ON true JOIN $schema.point p ON p.name = 'p' || i
                  JOIN $schema.point q ON q.name = 'p' || (i + jump)");
    }
    return;
}

# What a schema holds, by names and, with tags, by where it comes from
sub facts {
    my ($dbh, $schema, $tag) = @_;
    my $point = sub { "(SELECT name FROM $schema.point p WHERE p.id = x.$_[0])" };
    my $shown = $tag ? "coalesce(x.$tag\::text, '')" : "''";
    my @facts = map { @$_ } map { $dbh->selectcol_arrayref($_) } (
        "SELECT concat('point ', name, ' ', $shown) FROM $schema.point x ORDER BY 1",
        map { my ($table, @columns) = @$_;
            "SELECT concat('$table ', @{[ join q{, ' ', }, map { $point->($_) } @columns ]}, ' ', $shown) FROM $schema.$table x ORDER BY 1"
        } [qw(edge a b)], [qw(path a c)], [qw(mutual a b)]);
    return join "\n", @facts;
}

sub tagged {
    my ($dbh) = @_;
    return $dbh->selectrow_array(q{SELECT 1 FROM pg_attribute WHERE attrelid = 'b.path'::regclass AND attname = 'factmerge_provenance'})
        ? 'factmerge_provenance' : undef;
}

1;
