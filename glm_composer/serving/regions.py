"""Regions of a genome, from text or BED, checked against its contigs.

Two conventions meet here. A region as text is samtools': `chr1:1001-1200`, 1-based, both ends
included. BED is 0-based and half-open: `chr1 1000 1200` is the same region. Contigs go by the
genome's own names, or by others that `ContigNames` knows; nothing is guessed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import polars as pl

from glm_composer.conversion.files import numbered_lines
from glm_composer.errors import UserError
from glm_composer.variant_files.contigs import ContigNames

_NO_ROW = r"^\s*$|^#|^track(\s|$)|^browser(\s|$)"


@dataclass(frozen=True, kw_only=True)
class Region:
    """An interval of a contig.

    Attributes:
        contig: the genome's name of it.
        start: 0-based.
        end: behind the last base.
        name: what its owner calls it, or the region as text.
    """

    contig: str
    start: int
    end: int
    name: str

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        """As samtools writes it: 1-based, both ends included."""
        return region_text(self.contig, self.start, self.end)

    @property
    def file_stem(self) -> str:
        """A file's name that no other region has; what is not plain in the contig's is escaped."""
        return f"{quote(self.contig, safe='')}_{self.start + 1}-{self.end}"


def region_text(contig: str, start: int, end: int) -> str:
    """Write a 0-based half-open interval as samtools does: 1-based, both ends included."""
    return f"{contig}:{start + 1}-{end}"


def genome_contigs(
    chrom: pl.Series, lengths: Mapping[str, int], names: ContigNames | None
) -> pl.Series:
    """Return what the genome calls each contig; an unknown one stays as it is.

    Args:
        chrom: str [n]
        lengths: contig -> number of bases, of the genome.
        names: what else its contigs are called; None for its own names alone.
    """
    if names is None:
        return chrom
    return pl.Series(chrom.name, names.resolve(chrom.to_list(), lengths), dtype=pl.String)


def parse_region(
    text: str, lengths: Mapping[str, int], names: ContigNames | None = None
) -> Region:
    """Read `CONTIG:START-END`, 1-based, both ends included; commas within numbers are allowed.

    Args:
        text: the region. A contig's name may hold colons.
        lengths: contig -> number of bases, of the genome.
        names: see `genome_contigs`.

    Raises:
        UserError: not such a region, an unknown contig, or an end that is not on it.
    """
    contig, colon, interval = text.rpartition(":")
    first, dash, last = interval.replace(",", "").partition("-")
    if not (colon and dash and contig and _is_number(first) and _is_number(last)):
        raise UserError(
            f"region '{text}': expected CONTIG:START-END, 1-based with both ends included, as in "
            "chr1:1001-1200"
        )
    start, end = int(first) - 1, int(last)
    if end <= start:
        raise UserError(f"region '{text}': reversed: it ends before it starts")
    contig = genome_contigs(pl.Series([contig]), lengths, names)[0]
    row = pl.DataFrame({"line": [0], "contig": [contig], "start": [start], "end": [end]})
    problem = first_problem(row, lengths)
    if problem is not None:
        raise UserError(f"region '{text}': {problem[1]}")
    return Region(contig=contig, start=start, end=end, name=region_text(contig, start, end))


def parse_regions(
    texts: Sequence[str], lengths: Mapping[str, int], names: ContigNames | None = None
) -> list[Region]:
    """Read several regions, each another.

    Raises:
        UserError: as `parse_region`, or one is there twice.
    """
    regions: dict[str, Region] = {}
    for text in texts:
        region = parse_region(text, lengths, names)
        if str(region) in regions:
            raise UserError(f"region '{text}' is given twice; give each once")
        regions[str(region)] = region
    return list(regions.values())


def read_bed_regions(
    path: Path, lengths: Mapping[str, int], names: ContigNames | None = None
) -> list[Region]:
    """Read all regions of a BED file; the fourth column, if any, names them.

    Raises:
        UserError: as `bed_rows`, or an interval is there twice.
    """
    columns = ("line", "contig", "start", "end", "name")
    rows = pl.concat(list(bed_rows(path, lengths, names))).select(columns)
    again = rows.filter(~pl.struct("contig", "start", "end").is_first_distinct())
    if len(again):
        line, contig, start, end = again.row(0)[:4]
        raise UserError(
            f"{path}, line {line}: {region_text(contig, start, end)} is there already; each "
            "interval once"
        )
    return [
        Region(contig=c, start=s, end=e, name=name or region_text(c, s, e))
        for _, c, s, e, name in rows.iter_rows()
    ]


def bed_rows(
    path: Path,
    lengths: Mapping[str, int],
    names: ContigNames | None = None,
    chunk: int = 1 << 16,
) -> Iterator[pl.DataFrame]:
    """Read a BED file, plain or compressed, piece by piece.

    Args:
        path: tab-separated, at least three columns; comments, `track` and `browser` are no rows.
        lengths: contig -> number of bases, of the genome.
        names: see `genome_contigs`.
        chunk: lines in memory at once.

    Yields:
        `line` (of the file, from 1), `chrom`, `start` and `end` (0-based, half-open), `name`
        (null where there is no fourth column), checked; and `contig`, the genome's name of
        `chrom`.

    Raises:
        UserError: naming the line: too few columns, no whole numbers, reversed or empty intervals,
            an unknown contig, an interval that leaves it; or no row at all.
    """
    lines = numbered_lines(path)
    found = 0
    while numbered := list(islice(lines, chunk)):
        rows = _parse(numbered)
        rows = rows.with_columns(genome_contigs(rows["chrom"], lengths, names).alias("contig"))
        problem = first_problem(rows, lengths)
        if problem is not None:
            raise UserError(f"{path}, line {problem[0]}: {problem[1]}")
        found += len(rows)
        if len(rows):
            yield rows
    if not found:
        raise UserError(f"{path}: no interval in it; expected BED, one interval a line")


def first_problem(rows: pl.DataFrame, lengths: Mapping[str, int]) -> tuple[int, str] | None:
    """Return the line of the first row that cannot be used, and why; None if all can.

    Args:
        rows: `line`, `contig`, and `start` and `end`, 0-based and half-open, null if unreadable.
        lengths: contig -> number of bases, of the genome.
    """
    known = pl.DataFrame(
        {"contig": list(lengths), "length": list(lengths.values())},
        schema={"contig": pl.String, "length": pl.Int64},
    )
    checked = rows.join(known, on="contig", how="left", maintain_order="left")
    start, end, length = pl.col("start"), pl.col("end"), pl.col("length")
    unusable = start.is_null() | end.is_null() | length.is_null()
    bad = checked.filter(unusable | (start < 0) | (end <= start) | (end > length))
    if not len(bad):
        return None
    line, contig, first, last, bases = bad.select("line", "contig", "start", "end", "length").row(
        0
    )
    if first is None or last is None:
        return line, "expected CONTIG, START and END, tab-separated, the last two whole numbers"
    if bases is None:
        return line, f"the genome has no contig '{contig}'; it has {_some(lengths)}"
    if last <= first:
        given = "reversed" if last < first else "empty"
        return line, f"the interval {first} to {last} (0-based, half-open) is {given}"
    return line, (
        f"{region_text(contig, first, last)} (1-based) leaves contig '{contig}' of {bases} bases"
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _parse(numbered: list[tuple[int, str]]) -> pl.DataFrame:
    """Columns of lines, null where there is no such column or number in a line."""
    raw = pl.DataFrame(numbered, schema={"line": pl.Int64, "text": pl.String}, orient="row")
    fields = pl.col("text").str.splitn("\t", 5)
    names = ("chrom", "start", "end", "name")
    return (
        raw.filter(~pl.col("text").str.contains(_NO_ROW))
        .select("line", *(fields.struct.field(f"field_{i}").alias(n) for i, n in enumerate(names)))
        .with_columns(pl.col("start", "end").str.strip_chars().cast(pl.Int64, strict=False))
        .with_columns(pl.col("name").replace("", None))
    )


def _some(lengths: Mapping[str, int]) -> str:
    return ", ".join(list(lengths)[:5]) + (", ..." if len(lengths) > 5 else "")
