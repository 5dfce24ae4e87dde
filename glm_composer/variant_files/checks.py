"""What is wrong with each variant, if anything: all rows at once, against the genome.

A row has one problem at most, the first that applies in the order of `PROBLEMS`. Nothing is
refused here: whoever scores decides what to do with a marked row, and counts it.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.genome import Genome
from glm_composer.variant_files.columns import KEY

Mask = NDArray[np.bool_]

PROBLEMS = {
    "no_alt": "no alternate allele ('.')",
    "symbolic": "a symbolic allele or a breakend",
    "bad_allele": "an allele with letters other than A, C, G, T (N in ref), or '*'",
    "same_allele": "alt is the same as ref",
    "not_snv": "an insertion, a deletion or several bases",
    "unknown_contig": "a contig that the genome does not have",
    "outside": "a position outside the contig",
    "n_at_site": "the genome has no base there but N",
    "ref_mismatch": "ref is not what the genome has there",
    "duplicate": "a variant that an earlier row has",
}


def row_problems(table: pl.DataFrame, genome: Genome, *, snv_only: bool = True) -> pl.Series:
    """Say of every row what is wrong with it.

    Args:
        table: `chrom` (the genome's own names, see `contigs`), `pos` int64 (1-based), `ref` and
            `alt` in upper case, in any order of rows. Repeats are looked for within this table:
            those between two pieces of a file are the caller's to find.
        genome: of the assembly that the positions are of; its case does not matter.
        snv_only: call insertions, deletions and variants of several bases `not_snv`; otherwise
            all of ref is compared with the genome.

    Returns:
        str [n]: "" or a key of `PROBLEMS`.
    """
    problems = np.full(len(table), "", dtype=object)

    def mark(name: str, where: Mask) -> None:
        problems[(problems == "") & where] = name

    ref, alt = table["ref"], table["alt"]
    mark("no_alt", alt.is_in([".", ""]).to_numpy())
    # Breakends: t[p[, ]p]t, and single ones, .T or T.
    mark("symbolic", alt.str.contains(r"^<.*>$|[\[\]]|^\.|\.$").to_numpy())
    plain = ref.str.contains("^[ACGTN]+$") & alt.str.contains("^[ACGT]+$")
    mark("bad_allele", ~plain.to_numpy())
    mark("same_allele", (ref == alt).to_numpy())
    lengths = ref.str.len_bytes().cast(pl.Int64).to_numpy()
    if snv_only:
        mark("not_snv", (lengths != 1) | (alt.str.len_bytes() != 1).to_numpy())

    start = table["pos"].to_numpy() - 1
    size = _contig_sizes(table["chrom"], genome)
    mark("unknown_contig", size < 0)
    mark("outside", (start < 0) | (start + lengths > size))
    rows = np.flatnonzero(problems == "")
    unknown, differs = _compare(table, genome, start, lengths, rows)
    mark("n_at_site", unknown)
    mark("ref_mismatch", differs)
    mark("duplicate", ~table.select(pl.struct(KEY).is_first_distinct()).to_series().to_numpy())
    return pl.Series("problem", problems.tolist(), dtype=pl.String)


def _contig_sizes(chrom: pl.Series, genome: Genome) -> NDArray[np.int64]:
    """Length of each row's contig, int64 [n]; -1 where the genome has none of that name."""
    known = {name: genome.lengths.get(name, -1) for name in chrom.unique()}
    return chrom.replace_strict(known, return_dtype=pl.Int64).to_numpy()


def _compare(
    table: pl.DataFrame,
    genome: Genome,
    start: NDArray[np.int64],
    lengths: NDArray[np.int64],
    rows: NDArray[np.intp],
) -> tuple[Mask, Mask]:
    """Which rows have N in the genome under ref, and which have other bases there: bool [n] x 2.

    Args:
        table: n rows.
        genome: has all of ref of every row that is looked at.
        start: of ref, 0-based, int64 [n].
        lengths: of ref, int64 [n].
        rows: those to look at; the others are false.
    """
    unknown, differs = np.zeros((2, len(table)), dtype=bool)
    for length in np.unique(lengths[rows]):
        some = rows[lengths[rows] == length]
        names = table["chrom"].gather(some).to_list()
        # A window is cut around its position; this one begins at `start`.
        found = genome.windows(names, start[some] + length // 2, int(length))
        ids = sequence.encode(found)
        text = "".join(table["ref"].gather(some).to_list())
        expected = sequence.encode(text).reshape(-1, length)
        unknown[some] = (ids == sequence.UNK).any(axis=1)
        differs[some] = (ids != expected).any(axis=1)
    return unknown, differs
