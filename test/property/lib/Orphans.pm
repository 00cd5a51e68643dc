# Does every foreign key of the database hold, in whatever schema?
#
# Whoever writes past the foreign keys' own triggers has to prove what they would
# have proven.  The catalog says what that is: a query for each foreign key, with
# its own operators, finds the rows that refer to nothing.

package Orphans;

use strict;
use warnings;

# The query for one foreign key: rows whose reference is complete, and leads nowhere.  MATCH FULL allows no half of one.
my $CHECKS = <<'END';
SELECT format('SELECT %L, count(*) FROM %s f WHERE %s', conrelid::regclass || ' ' || pg_get_constraintdef(c.oid),
    CASE relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || conrelid::regclass,
    format('(%s) AND NOT EXISTS (SELECT FROM %s p WHERE %s)', filled, confrelid::regclass, equal))
FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid, LATERAL (
    SELECT string_agg(format('f.%I IS NOT NULL', a.attname), CASE confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END),
        string_agg(format('p.%I OPERATOR(%s.%s) f.%I', b.attname, nspname, oprname, a.attname), ' AND ')
    FROM unnest(conkey, confkey, conpfeqop) AS k(near, far, equals)
    JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = near
    JOIN pg_attribute b ON b.attrelid = confrelid AND b.attnum = far
    JOIN pg_operator o ON o.oid = equals JOIN pg_namespace n ON n.oid = oprnamespace) AS columns(filled, equal)
WHERE contype = 'f' AND conparentid = 0 AND convalidated
END

# The foreign keys that do not hold, each with how many rows
sub found {
    my ($database) = @_;
    my $dbh = $database->{dbh};
    my $checks = $dbh->selectcol_arrayref($CHECKS);
    return unless @$checks;
    my $counts = $dbh->selectall_arrayref(join ' UNION ALL ', @$checks);
    return map { "$_->[1] orphans of $_->[0]" } grep { $_->[1] } @$counts;
}

# The key maps that lead to facts which are not there, each with how many.  Where a row without a key lies may change.
sub lost {
    my ($database) = @_;
    my $dbh = $database->{dbh};
    my $maps = $dbh->selectall_arrayref('SELECT map::text, fact_table::text, columns::text[] FROM factmerge.key_map JOIN pg_class c ON c.oid = fact_table'
        . " WHERE 'ctid' <> ALL (columns)");
    my @lost;
    for my $row (@$maps) {
        my ($map, $table, $columns) = @$row;
        my @same = map { 'f.' . $dbh->quote_identifier($columns->[$_]) . ' IS NOT DISTINCT FROM m.destination_' . ($_ + 1) }
            0 .. $#$columns;
        my $count = $database->value("SELECT count(*) FROM $map m WHERE NOT EXISTS (SELECT FROM $table f WHERE "
            . join(' AND ', @same) . ')');
        push @lost, "$count facts of $table are not where the key map says" if $count;
    }
    return @lost;
}

1;
