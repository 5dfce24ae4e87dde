"""Variants of any file, in pieces: Parquet, TSV, CSV, VCF and BCF look alike from here on.

One row is one alternate allele, in the file's order: `chrom` (text), `pos` (1-based), `ref`, `alt`
(upper case) and whatever else the table carries. Rows are numbered from 0 as they come, so that
`chunks(rows, start)` goes on where another process was stopped. Nothing is judged here but what
cannot be a variant at all; see `checks` for the rest. Memory depends on the size of a chunk, not
on that of the file.
"""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Self

import polars as pl

from glm_composer.errors import UserError
from glm_composer.variant_files import csv_table, parquet_table, vcf

_READERS: dict[str, ModuleType] = {
    "parquet": parquet_table,
    "tsv": csv_table,
    "csv": csv_table,
    "vcf": vcf,
    "bcf": vcf,
}
# What may follow the format's own ending; gnomAD says .bgz for bgzip.
_PACKINGS = {"tsv": ("", ".gz"), "csv": ("", ".gz"), "vcf": ("", ".gz", ".bgz")}


def open_variants(path: str | Path) -> "VariantFile":
    """Open a file of variants, and look at its header.

    Args:
        path: .parquet, .tsv or .csv (also .gz) with a header and the columns chrom, pos (1-based),
            ref and alt; .vcf, .vcf.gz or .vcf.bgz (bgzip) or .bcf.

    Raises:
        UserError: no such file, another format, or another than the name says; a missing or
            repeated column; a damaged header.
    """
    return VariantFile(path)


class VariantFile:
    """An open file of variants, as a context manager.

    Attributes:
        path: of the file.
        kind: "parquet", "tsv", "csv", "vcf" or "bcf".
        columns: of the chunks.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.kind = kind_of(self.path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file")
        self._reader = _READERS[self.kind]
        self.columns: list[str] = self._reader.columns(self.path)
        self._open: list[Iterator[pl.DataFrame]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what `chunks` has left open."""
        for pieces in self._open:
            pieces.close()  # type: ignore[attr-defined]
        self._open.clear()

    def chunks(self, rows: int, start: int = 0) -> Iterator[pl.DataFrame]:
        """Yield the rows from `start` on, `rows` at a time; only the last piece may be shorter.

        A VCF has no way to jump: rows before `start` are read and left out (300,000 a second).

        Args:
            rows: in a piece, at least 1.
            start: number of the first row, counting from 0.

        Yields:
            Frames with `chrom` str, `pos` int64 (1-based), `ref` and `alt` str in upper case
            ("." where there is none) and the file's other columns; of a VCF, `id`, null for ".".

        Raises:
            UserError: names the file and the row (from 1): a position that is no integer, no
                contig, a file that is cut short or damaged, no rows at all.
        """
        if rows < 1 or start < 0:
            raise ValueError(f"rows must be at least 1 and start at least 0, not {rows}, {start}")
        pieces = self._reader.chunks(self.path, rows, start)
        self._open.append(pieces)
        return pieces

    def count(self) -> int:
        """Return the number of rows, reading the file through unless it is Parquet.

        Raises:
            UserError: the file is cut short or damaged.
        """
        return int(self._reader.count(self.path))


def kind_of(path: Path) -> str:
    """Return the format that a name stands for, see `VariantFile.kind`.

    Raises:
        UserError: it stands for none.
    """
    name = Path(path.name.lower())
    packing = name.suffix if name.suffix in (".gz", ".bgz") else ""
    kind = Path(name.name.removesuffix(packing)).suffix.removeprefix(".")
    if kind not in _READERS or packing not in _PACKINGS.get(kind, ("",)):
        raise UserError(
            f"{path}: not a file of variants; expected .parquet, .tsv or .csv [.gz], .vcf "
            "[.gz, .bgz] or .bcf"
        )
    return kind
