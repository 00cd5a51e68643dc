/*-------------------------------------------------------------------------
 *
 * edit.c
 *	  the edit distance of texts, and the pieces that near ones share
 *
 * The distance itself is the server's own.  That a merge need not compare each
 * text with each other comes from the pigeonhole principle: cut a text into
 * n + 1 pieces; n edits can touch n of them at the most, so any text within
 * that distance has one of the pieces as it is, and not far from its place.
 *
 * The destination's texts are cut (edit_pieces), each piece named by the length
 * of the text, its number and its characters.  A text of the source is probed
 * (edit_probes) for all pieces that a text of any near length could share with
 * it: were the piece moved by d, and the lengths differ by l, then d edits are
 * before the piece and at least |l - d| behind it, and that bounds d.  The
 * idea is that of Pass-Join (Li, Deng, Wang and Feng, 2011).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "fmgr.h"

PG_FUNCTION_INFO_V1(factmerge_edit_distance);
PG_FUNCTION_INFO_V1(factmerge_edit_pieces);
PG_FUNCTION_INFO_V1(factmerge_edit_probes);

/* More than make sense: the texts have to be longer than that many pieces */
#define MOST_EDITS 32

/* A text by its characters */
typedef struct Characters
{
	char	   *data;
	int			count;
	int		   *offsets;		/* count + 1 of them */
} Characters;

/*
 * factmerge.edit_distance(text, text, integer)
 */
Datum
factmerge_edit_distance(PG_FUNCTION_ARGS)
{
	text	   *a = PG_GETARG_TEXT_PP(0);
	text	   *b = PG_GETARG_TEXT_PP(1);

	/* trusted: the bound keeps long texts from costing much */
	PG_RETURN_INT32(varstr_levenshtein_less_equal(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a),
												  VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b),
												  1, 1, 1, PG_GETARG_INT32(2), true));
}

/*
 * Find where each character of a text begins.
 */
static void
FindCharacters(text *value, Characters *characters)
{
	int			length = VARSIZE_ANY_EXHDR(value);
	int			offset = 0;

	characters->data = VARDATA_ANY(value);
	characters->offsets = palloc(sizeof(int) * (length + 1));
	characters->count = 0;
	while (offset < length)
	{
		characters->offsets[characters->count++] = offset;
		offset += pg_mblen(characters->data + offset);
	}
	characters->offsets[characters->count] = offset;
}

/*
 * Where piece i (from 0) of a text of some length begins.  The pieces are about
 * as long as each other, the longer ones last.
 */
static int
PieceStart(int length, int pieces, int i)
{
	int			longer = length % pieces;

	return i * (length / pieces) + Max(i - (pieces - longer), 0);
}

/*
 * The name of a piece: the length of its text, its number, its characters.
 */
static Datum
PieceName(Characters *whole, int start, int size, int length, int number)
{
	int			from = whole->offsets[start];

	return CStringGetTextDatum(psprintf("%d:%d:%.*s", length, number,
										whole->offsets[start + size] - from,
										whole->data + from));
}

/*
 * Refuse to cut texts into no piece, or into endlessly many.
 */
static int
CheckEdits(int edits)
{
	if (edits < 0 || edits > MOST_EDITS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of edits must be between 0 and %d", MOST_EDITS)));
	return edits;
}

/*
 * factmerge.edit_pieces(text, integer): the pieces of a text.
 */
Datum
factmerge_edit_pieces(PG_FUNCTION_ARGS)
{
	int			pieces = CheckEdits(PG_GETARG_INT32(1)) + 1;
	Datum	   *names = palloc(sizeof(Datum) * pieces);
	Characters	whole;

	FindCharacters(PG_GETARG_TEXT_PP(0), &whole);
	for (int i = 0; i < pieces; i++)
	{
		int			start = PieceStart(whole.count, pieces, i);

		names[i] = PieceName(&whole, start,
							 PieceStart(whole.count, pieces, i + 1) - start,
							 whole.count, i);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(names, pieces, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

/*
 * factmerge.edit_probes(text, integer): the pieces that texts within an edit
 * distance may share with this one.
 */
Datum
factmerge_edit_probes(PG_FUNCTION_ARGS)
{
	int			edits = CheckEdits(PG_GETARG_INT32(1));
	int			pieces = edits + 1;
	Datum	   *names = palloc(sizeof(Datum) * (2 * edits + 1) * pieces * (edits + 1));
	int			count = 0;
	Characters	whole;

	FindCharacters(PG_GETARG_TEXT_PP(0), &whole);
	for (int length = Max(whole.count - edits, 0); length <= whole.count + edits; length++)
	{
		int			longer = whole.count - length;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < pieces; i++)
		{
			int			start = PieceStart(length, pieces, i);
			int			size = PieceStart(length, pieces, i + 1) - start;
			int			first = Max(start - (edits - longer) / 2, 0);
			int			last = Min(start + (edits + longer) / 2, whole.count - size);

			for (int at = first; at <= last; at++)
				names[count++] = PieceName(&whole, at, size, length, i);
		}
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(names, count, TEXTOID, -1, false,
										  TYPALIGN_INT));
}
