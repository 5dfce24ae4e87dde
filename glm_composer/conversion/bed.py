"""BED -> transcripts: one a row. BED is 0-based and half-open, as everything here.

Twelve columns carry coding segments (thickStart, thickEnd) and exons (blocks). Six say only where
a transcript lies; its row is then taken as that of a coding transcript, because promoters of such
a list are what its owner asks for. Fewer columns have no strand, and are refused.
"""

from collections.abc import Mapping
from pathlib import Path

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.annotation_rows import Row, RowChecker
from glm_composer.conversion.files import numbered_lines


def read_bed(
    path: str | Path, lengths: Mapping[str, int], allow_missing_contigs: bool = False
) -> list[Transcript]:
    """Read a BED file of 6 to 12 columns, plain or gzip.

    Args:
        path: the file.
        lengths: contig name -> length of the genome.
        allow_missing_contigs: leave out rows on contigs that the genome lacks.

    Raises:
        UserError: naming the file and the line of a row that cannot be right.
    """
    checker = RowChecker(Path(path), lengths, allow_missing_contigs)
    transcripts = []
    for line, text in numbered_lines(checker.path):
        if not text.strip() or text.startswith(("#", "track", "browser")):
            continue
        columns = text.split("\t") if "\t" in text else text.split()
        if len(columns) < 6:
            raise checker.error(
                line, f"{len(columns)} columns; 6 are needed, for the strand is the sixth"
            )
        contig, start, end, name, _, strand = columns[:6]
        row = checker.row(line, contig, "BED row", start, end, strand, first_base=0)
        if row is not None:
            transcripts.append(_transcript(checker, checker.need_strand(row), name, columns))
    checker.finish(len(transcripts))
    return transcripts


def _transcript(checker: RowChecker, row: Row, name: str, columns: list[str]) -> Transcript:
    exons: tuple[tuple[int, int], ...] = ((row.start, row.end),)
    thick = (row.start, row.start)
    try:
        if len(columns) >= 8:
            thick = (int(columns[6]), int(columns[7]))
        if len(columns) >= 12:
            sizes, offsets = (
                [int(number) for number in column.strip(",").split(",")]
                for column in columns[10:12]
            )
            exons = tuple(
                (row.start + offset, row.start + offset + size)
                for offset, size in zip(offsets, sizes, strict=True)
            )
    except ValueError:
        raise checker.error(
            row.line, "thick or block columns are not whole numbers, or differ in count"
        ) from None
    inside = all(row.start <= start < end <= row.end for start, end in exons)
    if (
        not inside
        or list(exons) != sorted(exons)
        or not row.start <= thick[0] <= thick[1] <= row.end
    ):
        raise checker.error(row.line, "blocks or thick part leave the row or are out of order")
    cds = tuple(
        (max(start, thick[0]), min(end, thick[1]))
        for start, end in exons
        if max(start, thick[0]) < min(end, thick[1])
    )
    return Transcript(
        contig=row.contig,
        start=row.start,
        end=row.end,
        strand=row.strand,
        name=name,
        gene=name,
        coding=bool(cds) or len(columns) < 8,
        exons=exons,
        cds=cds,
    )
