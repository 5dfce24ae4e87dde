"""Random access to a genome: contigs and windows out of an indexed FASTA, plain or bgzip.

Scoring needs windows around scattered variants, not a genome front to back. Contigs are read whole
and one at a time (a human genome stays under 1 GB of memory), windows are cut from them without a
loop over variants, and a contig with few variants is not read at all: its windows are fetched one
by one. Positions are 0-based. Case is kept: it is the soft mask.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pysam
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from glm_composer import fasta_index, sequence
from glm_composer.errors import UserError

Bytes = NDArray[np.uint8]

_CHUNK = 1 << 24  # bases
# Fetching one window costs about as much as reading this many bases of a contig front to back.
# Measured: 12,000 for a plain FASTA, 57,000 for bgzip.
_BASES_PER_FETCH = 20_000


class Genome:
    """An open FASTA, as a context manager. Not to be shared between processes.

    Args:
        path: FASTA, plain or bgzip, indexed on first use (see `fasta_index`).

    Attributes:
        path: as given.
        lengths: contig name -> number of bases, in the file's order.

    Raises:
        UserError: no such file; gzip instead of bgzip; truncated; not a FASTA that can be indexed.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        index, blocks = fasta_index.find_or_build(self.path)
        self._file = pysam.FastaFile(
            str(self.path),
            filepath_index=str(index),
            filepath_index_compressed=str(blocks) if blocks else None,
        )
        self.lengths: dict[str, int] = dict(
            zip(self._file.references, self._file.lengths, strict=True)
        )
        self._last: tuple[str, Bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and forget the contig in memory."""
        self._file.close()
        self._last = None

    def contig(self, name: str) -> Bytes:
        """Return a whole contig, uint8 ASCII [length], read-only. Only the last one is kept.

        Raises:
            UserError: no such contig, or characters in it that are no IUPAC code.
        """
        if self._last is None or self._last[0] != name:
            self._last = None  # before reading: two human chromosomes at once are 500 MB
            length = self._length(name)
            bases = np.empty(length, dtype=np.uint8)
            for start in range(0, length, _CHUNK):
                end = min(start + _CHUNK, length)
                bases[start:end] = self._read(name, start, end)
            bases.flags.writeable = False
            self._last = (name, bases)
        return self._last[1]

    def windows(self, contigs: Sequence[str], positions: NDArray[np.int64], width: int) -> Bytes:
        """Cut the window [position - width//2, position - width//2 + width) around each position.

        The position lies at index width//2 of its window. Outside the contig the window holds N.

        Args:
            contigs: names [n], in any order; sorted ones cost least when called in pieces.
            positions: int [n], 0-based, inside their contigs.
            width: bases per window, at least 1.

        Returns:
            uint8 ASCII [n, width], rows as given, case kept.

        Raises:
            UserError: an unknown contig, or a position outside its contig.
        """
        positions = np.asarray(positions, dtype=np.int64)
        if len(contigs) != len(positions):
            raise ValueError(f"{len(contigs)} contigs but {len(positions)} positions")
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        out = np.empty((len(positions), width), dtype=np.uint8)
        for name, rows in _rows_by_name(contigs):
            length = self._length(name)
            outside = (positions[rows] < 0) | (positions[rows] >= length)
            if outside.any():
                first = int(positions[rows][outside][0])
                raise UserError(
                    f"{self.path}: position {first + 1} (1-based) is outside contig '{name}' of "
                    f"{length} bases; is this the assembly the positions were made for?"
                )
            starts = positions[rows] - width // 2
            in_memory = self._last is not None and self._last[0] == name
            if not in_memory and len(rows) * max(_BASES_PER_FETCH, width) < length:
                for row, start in zip(rows.tolist(), starts.tolist(), strict=True):
                    out[row] = self._read_padded(name, start, width)
            else:
                out[rows] = _cut(self.contig(name), starts, width)
        return out

    def _length(self, name: str) -> int:
        if name not in self.lengths:
            shown = ", ".join(list(self.lengths)[:5]) + (", ..." if len(self.lengths) > 5 else "")
            raise UserError(f"{self.path}: no contig '{name}'; the file has {shown}")
        return self.lengths[name]

    def _read(self, name: str, start: int, end: int) -> Bytes:
        """Read [start, end) of a contig from the file, checked."""
        try:
            bases = sequence.as_ascii(self._file.fetch(name, start, end))
        except (OSError, ValueError):  # UnicodeError included
            bases = np.empty(0, dtype=np.uint8)
        if len(bases) != end - start:
            raise UserError(
                f"{self.path}: contig '{name}' cannot be read to its indexed length; the file is "
                "damaged, or changed after it was indexed: remove its .fai and try again"
            )
        valid = sequence.is_iupac(bases)
        if not valid.all():
            at = int(np.argmin(valid))
            raise UserError(
                f"{self.path}: contig '{name}', position {start + at + 1} (1-based): "
                f"{chr(bases[at])!r} is no IUPAC nucleotide code"
            )
        return bases

    def _read_padded(self, name: str, start: int, width: int) -> Bytes:
        begin, end = max(start, 0), min(start + width, self.lengths[name])
        window = np.full(width, ord("N"), dtype=np.uint8)
        window[begin - start : end - start] = self._read(name, begin, end)
        return window


def _rows_by_name(names: Sequence[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Yield each distinct name, in order of appearance, with its rows in ascending order."""
    codes: dict[str, int] = {}
    code_of_row = np.fromiter((codes.setdefault(n, len(codes)) for n in names), dtype=np.intp)
    order = np.argsort(code_of_row, kind="stable")
    ends = np.cumsum(np.bincount(code_of_row, minlength=len(codes)))
    for name, begin, end in zip(codes, (0, *ends[:-1]), ends, strict=False):
        yield name, order[begin:end]


def _cut(bases: Bytes, starts: NDArray[np.int64], width: int) -> Bytes:
    """Windows [n, width] of bases [length] from `starts`, N outside; each meets the contig."""
    length = len(bases)
    left = starts < 0
    right = ~left & (starts + width > length)
    out = np.empty((len(starts), width), dtype=np.uint8)
    for rows, begin, end in (
        (left, -width, width),
        (right, length - width, length + width),
        (~left & ~right, 0, length),
    ):
        if rows.any():
            source = bases if (begin, end) == (0, length) else _padded(bases, begin, end)
            # Not np.take: it copies the strided view, `width` times the contig, first.
            out[rows] = sliding_window_view(source, width)[starts[rows] - begin]
    return out


def _padded(bases: Bytes, begin: int, end: int) -> Bytes:
    padded = np.full(end - begin, ord("N"), dtype=np.uint8)
    inside = bases[max(begin, 0) : end]
    padded[max(-begin, 0) :][: len(inside)] = inside
    return padded
