"""Places to cut windows around: rows of BED, or variants, checked against a genome."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.serving.regions import bed_rows, first_problem, genome_contigs
from glm_composer.variant_files.checks import row_problems
from glm_composer.variant_files.contigs import ContigNames
from glm_composer.variant_files.reader import open_variants

# Lines in memory at once.
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a file of places asks for.

    Attributes:
        rows: how many.
        window: bases a window, as asked for or as the rows of a BED are long; None for as many as
            the model was trained on.
    """

    rows: int
    window: int | None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some rows of a file of places.

    Attributes:
        rows: with the file's own columns (of a BED `chrom`, `start`, `end` and `name`).
        centres: `contig`, the genome's name of it, and `middle`, 0-based, of each row.
    """

    rows: pl.DataFrame
    centres: pl.DataFrame

    def slices(self, most: int) -> Iterator["Piece"]:
        """Cut it into pieces of so many rows at most."""
        pairs = zip(self.rows.iter_slices(most), self.centres.iter_slices(most), strict=True)
        for rows, centres in pairs:
            yield Piece(rows=rows, centres=centres)


def survey(
    path: Path, genome: Genome, window: int | None, names: ContigNames | None = None
) -> Survey:
    """Read a file of places through, and check every row of it.

    Args:
        path: see `places`.
        genome: that its rows lie on.
        window: bases around the middle of each row; None for the rows of a BED themselves, and
            around variants for as many as the model was trained on.
        names: see `genome_contigs`.

    Raises:
        UserError: as `places`; or, without `window`, rows of a BED that differ in length.
    """
    count, common = 0, window
    for piece in places(path, genome, names):
        rows = piece.rows
        if window is None and _is_bed(path):
            lengths = rows["end"] - rows["start"]
            common = common or int(lengths[0])
            other = lengths != common
            if other.any():
                row = other.arg_max() or 0
                raise UserError(
                    f"{path}, row {count + row + 1}: {lengths[row]} bases, where the rows before "
                    f"have {common}; give --window for windows of one length around their middles"
                )
        count += len(rows)
    return Survey(rows=count, window=common)


def places(path: Path, genome: Genome, names: ContigNames | None = None) -> Iterator[Piece]:
    """Read places, piece by piece.

    Args:
        path: BED (also compressed), or variants in any format of `open_variants`, of which only
            `chrom` and `pos` matter here: no allele is put into the genome.
        genome: that the rows lie on.
        names: see `genome_contigs`.

    Yields:
        The file's rows. Their middles are start + (end - start) // 2, or pos - 1: a window of the
        length of a BED row around its middle is that row.

    Raises:
        UserError: naming the file and the row: see `bed_rows`; a variant off its contig, on an
            unknown one, or whose ref is not the genome's.
    """
    if _is_bed(path):
        middle = pl.col("start") + (pl.col("end") - pl.col("start")) // 2
        for rows in bed_rows(path, genome.lengths, names, _CHUNK):
            yield Piece(
                rows=rows.drop("line", "contig"), centres=rows.select("contig", middle=middle)
            )
        return
    first = 1
    with open_variants(path) as variants:
        for rows in variants.chunks(_CHUNK):
            placed = rows.with_columns(genome_contigs(rows["chrom"], genome.lengths, names))
            _check(path, placed, genome, first)
            first += len(rows)
            centres = placed.select(contig="chrom", middle=pl.col("pos") - 1)
            yield Piece(rows=rows, centres=centres)


def _is_bed(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".bed")


def _check(path: Path, rows: pl.DataFrame, genome: Genome, first: int) -> None:
    """Refuse rows, the first of which is number `first`, that do not lie where they say."""
    start = pl.col("pos") - 1
    intervals = rows.select(
        contig="chrom", line=pl.int_range(pl.len()) + first, start=start, end=pl.col("pos")
    )
    problem = first_problem(intervals, genome.lengths)
    if problem is None:
        differs = row_problems(rows, genome, snv_only=False) == "ref_mismatch"
        if not differs.any():
            return
        row = differs.arg_max() or 0
        contig, pos, ref = rows.select("chrom", "pos", "ref").row(row)
        problem = first + row, f"ref is {ref}, but not in the genome at {contig}:{pos} (1-based)"
    raise UserError(
        f"{path}, row {problem[0]}: {problem[1]}; use the genome that the rows are of, and its "
        "names of contigs"
    )
