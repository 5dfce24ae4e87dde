"""A part: the windows of one piece of the input, finished, in a file of its own.

Parts are what a killed conversion finds again, and what the slices of an array of jobs leave for
the merge. A part has its name only once it is whole; a checksum tells one that a crash of the
machine has torn.

Layout: rows (`shard_format.row_type`) [n], whose `contig` counts the part's own contigs; `FACT`
[n]; a json of the `PartInfo`; its size, uint64.
"""

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import xxhash
from numpy.typing import NDArray

from glm_composer.conversion.shard_format import Table, row_type

# What is decided by: the hashes of `leakage.window_hashes`, the part's contig, and counts of
# lower-case bases and of those that are none of ACGT.
FACT = np.dtype(
    [("hash", "<u8", (2,)), ("contig", "<u4"), ("soft_masked", "<u4"), ("unknown", "<u4")]
)
Facts = NDArray[np.void]
_SIZE = 8
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class PartInfo:
    """What a part holds.

    Attributes:
        windows: number of rows.
        length: bases of a window.
        contigs: names of its contigs.
        ends: one past the last position seen on each contig.
        longest: bases of the longest sequence that was read.
        transcripts: number of transcripts on its contigs.
        checksum: xxh3_64 of rows and facts.
    """

    windows: int
    length: int
    contigs: list[str]
    ends: list[int]
    longest: int
    transcripts: int
    checksum: str


class PartWriter:
    """Writes one part, under its name only when it is finished; use as a context manager.

    Args:
        path: of the part.
        length: window length in bases.

    Attributes:
        longest: as in `PartInfo`; the caller counts.
        transcripts: the same.
    """

    def __init__(self, path: Path, length: int):
        self.longest = 0
        self.transcripts = 0
        self._path = path
        self._length = length
        # A name of its own: a job that an array starts twice must not write into the first one's.
        descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        self._scratch = Path(scratch)
        self._file = os.fdopen(descriptor, "wb")
        self._checksum = xxhash.xxh3_64()
        self._facts: list[Facts] = []
        self._numbers: dict[str, int] = {}
        self._ends: list[int] = []

    def __enter__(self) -> Self:
        return self

    def contig(self, name: str, end: int) -> int:
        """Return the part's number of a contig that is at least `end` bases long."""
        number = self._numbers.setdefault(name, len(self._ends))
        if number == len(self._ends):
            self._ends.append(0)
        self._ends[number] = max(self._ends[number], end)
        return number

    def write(self, rows: Table, facts: Facts) -> None:
        """Append windows [n] and what is known of them [n]."""
        self._put(rows)
        self._facts.append(facts)

    def _put(self, table: NDArray[np.void]) -> None:
        data = table.view(np.uint8).data if len(table) else b""
        self._checksum.update(data)
        self._file.write(data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._file.close()
            # After a rename there is nothing under that name.
            self._scratch.unlink(missing_ok=True)

    def _finish(self) -> None:
        for facts in self._facts:
            self._put(facts)
        info = PartInfo(
            windows=sum(map(len, self._facts)),
            length=self._length,
            contigs=list(self._numbers),
            ends=self._ends,
            longest=self.longest,
            transcripts=self.transcripts,
            checksum=self._checksum.hexdigest(),
        )
        text = json.dumps(dataclasses.asdict(info)).encode()
        self._file.write(text + len(text).to_bytes(_SIZE, "little"))
        self._file.close()
        # Not synced: a part that the machine's crash tears fails its checksum and is made again.
        self._scratch.rename(self._path)


class Part:
    """A finished part, read in blocks, so that memory does not grow with it.

    Args:
        path: of the part.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _SIZE))
            size = int.from_bytes(file.read(_SIZE), "little")
            begin = end - _SIZE - size
            if begin < 0:
                raise ValueError("cut short")
            file.seek(begin)
            self.info = PartInfo(**json.loads(file.read(size)))
        self._row = row_type(self.info.length)
        self._facts_at = self.info.windows * self._row.itemsize
        self._end = self._facts_at + self.info.windows * FACT.itemsize
        if begin != self._end:
            raise ValueError("cut short")

    def check(self) -> None:
        """Raise a ValueError where the content is not what was written."""
        checksum = xxhash.xxh3_64()
        with self.path.open("rb") as file:
            left = self._end
            while left > 0 and (data := file.read(min(_CHUNK, left))):
                checksum.update(data)
                left -= len(data)
        if checksum.hexdigest() != self.info.checksum:
            raise ValueError("its checksum is another")

    def facts(self) -> Facts:
        """Return what is known of every window: `FACT` [n]."""
        count = self.info.windows
        return np.fromfile(self.path, dtype=FACT, count=count, offset=self._facts_at)

    def blocks(self) -> Iterator[tuple[slice, Table]]:
        """Yield the rows a few MiB at a time, with their place among the part's.

        The next rows are read into the same memory: fresh memory costs more than reading does.
        """
        step = max(1, _CHUNK // self._row.itemsize)
        buffer = np.empty(min(step, self.info.windows), dtype=self._row)
        with self.path.open("rb") as file:
            for first in range(0, self.info.windows, step):
                rows = buffer[: self.info.windows - first]
                if file.readinto(rows.view(np.uint8).data) != rows.nbytes:
                    raise ValueError("cut short")
                yield slice(first, first + len(rows)), rows
