#!/usr/bin/perl
#
# load.pl - turns WordNet's nouns into a psql script that fills one dictionary
#
#     load.pl SCHEMA first|second|whole [DATA.NOUN] | psql ...
#
# SCHEMA has been made by schema.sql.  "whole" loads every hypernym; "first" and
# "second" are two overlapping halves: one third of the hypernyms is in both, one
# third in the first only, one third in the second only.  Which third a hypernym
# belongs to is read off the offsets of its two synsets, hence is the same on
# every run.  A half has the synsets that its hypernyms mention.
#
# The second half numbers its synsets from the other end, so that the same
# synset has different keys in the two.
#
# In data.noun (see wndb(5WN)) a line is a synset:
#
#     offset lex_filenum n word_count word lex_id ... pointer_count pointer ...
#
# where word_count is hexadecimal, and a pointer consists of a symbol, an offset,
# a part of speech and a source/target number.  The pointers marked @ lead to
# hypernyms; @i, the class of a single instance (Einstein, a physicist), is left
# aside.  The licence at the top of the file is indented.
#
use strict;
use warnings;

my %belongs_to = (
    whole  => sub { 1 },
    first  => sub { $_[0] != 1 },
    second => sub { $_[0] != 2 },
);

my ($schema, $part, $file) = @ARGV;
die "usage: load.pl SCHEMA first|second|whole [DATA.NOUN]\n"
    unless defined $part && $belongs_to{$part};
die "load.pl: the schema's name is to be a plain one\n"
    unless $schema =~ /^[a-z_][a-z0-9_]*$/;
$file //= '/usr/share/wordnet/data.noun';

my ($words, $hypernyms) = read_nouns($file);
my @chosen = grep { $belongs_to{$part}->(third(@$_)) } @$hypernyms;
print_script(\@chosen, $words);

# Which of the three thirds a hypernym belongs to.
sub third {
    my ($narrower, $broader) = @_;
    return ($narrower + $broader) % 3;
}

# The words of each synset by its offset, and the pairs [narrower, broader].
sub read_nouns {
    my ($file) = @_;
    my (%words, @hypernyms);

    open my $nouns, '<', $file
        or die "load.pl: cannot read $file: $! (it comes with Debian's package wordnet-base)\n";
    while (my $line = <$nouns>) {
        next if $line =~ /^ /;
        my ($synset) = split / \| /, $line, 2;
        my @field = split ' ', $synset;
        my ($offset, undef, undef, $word_count) = splice @field, 0, 4;
        my @word = splice @field, 0, 2 * hex $word_count;
        my ($pointer_count, @pointer) = @field;

        $words{ $offset + 0 } = join ', ', map { tr/_/ /r } @word[ grep { $_ % 2 == 0 } 0 .. $#word ];
        for my $i (0 .. $pointer_count - 1) {
            my ($symbol, $target) = @pointer[ 4 * $i, 4 * $i + 1 ];
            push @hypernyms, [ $offset + 0, $target + 0 ] if $symbol eq '@';
        }
    }
    close $nouns;
    return (\%words, \@hypernyms);
}

# COPY into temporary tables, then one statement a table: the triggers get all
# hypernyms at once.
sub print_script {
    my ($hypernyms, $words) = @_;
    my %mentioned = map { $_ => 1 } map { @$_ } @$hypernyms;
    my $order = $part eq 'second' ? 'DESC' : 'ASC';

    print <<"END";
\\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = $schema;
CREATE TEMP TABLE noun (wordnet_offset integer, words text) ON COMMIT DROP;
CREATE TEMP TABLE link (narrower integer, broader integer) ON COMMIT DROP;
COPY noun FROM STDIN;
END
    print "$_\t$words->{$_}\n" for sort { $a <=> $b } keys %mentioned;
    print "\\.\nCOPY link FROM STDIN;\n";
    print "$_->[0]\t$_->[1]\n" for @$hypernyms;
    print <<"END";
\\.
ANALYZE noun;
ANALYZE link;
INSERT INTO synset (wordnet_offset, words)
SELECT wordnet_offset, words FROM noun ORDER BY wordnet_offset $order;
ANALYZE synset;
INSERT INTO hypernym (narrower, broader)
SELECT lower.synset_id, upper.synset_id
FROM link
JOIN synset AS lower ON lower.wordnet_offset = link.narrower
JOIN synset AS upper ON upper.wordnet_offset = link.broader;
COMMIT;
ANALYZE $schema.hypernym;
ANALYZE $schema.kind_of;
END
}
