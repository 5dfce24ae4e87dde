"""Windows -> MDS shards: tables of fixed-size rows, written whole; data/shards.py reads them.

Every column has a fixed size, so a shard's body is one contiguous table: a packed numpy structured
array *is* the bytes of its rows. That is why shards are written here and not by
`streaming.MDSWriter`, whose import alone takes longer (13 s: torch, transformers) than converting
yeast, and which encodes one value at a time (95k windows/s against millions). The bytes are the
same, shard for shard and index for index; tests/conversion/test_shards.py holds us to that.

With compression a shard's file is that layout, compressed as a whole; the index tells both sizes.

Layout of a shard (MDS version 2, little-endian): uint32 rows n; uint32 offsets [n + 1] from the
start of the file; a json of the columns; n rows. Columns lie in order of their names. Rows of
windows of varying length: `varying.py`.
"""

import hashlib
import json
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from glm_composer.conversion.files import sync, write_durably
from glm_composer.conversion.shard_format import ShardFormat, Table, row_type
from glm_composer.conversion.varying import VaryingBuffer
from glm_composer.sequence import Bytes


def cut(
    sequence: Bytes,
    starts: NDArray[np.int64],
    length: int,
    *,
    contig: int,
    offset: int = 0,
    lengths: NDArray[np.int64] | None = None,
) -> Table:
    """Cut plus-strand windows out of a sequence into a table [n].

    Args:
        sequence: uint8 ASCII [bases].
        starts: int64 [n], 0-based, into `sequence`.
        length: window length.
        contig: index of the contig in the manifest.
        offset: position on the contig of the sequence's first base.
        lengths: int64 [n], of each window, at most `length`, where they vary.
    """
    table = np.empty(len(starts), dtype=row_type(length))
    table["contig"] = contig
    table["start"] = starts + offset
    table["strand"] = 1
    if lengths is not None:
        steps = np.arange(length, dtype=np.int32)
        places = np.minimum(starts[:, None] + steps, len(sequence) - 1)
        table["sequence"] = sequence[places] * (steps < lengths[:, None])
    elif len(starts):
        views = np.lib.stride_tricks.sliding_window_view(sequence, length)
        table["sequence"] = views[starts]
    return table


class ShardWriter:
    """Writes the tables of one split into a directory of shards and their index.

    Args:
        directory: where to write; created, must not exist.
        form: how shards are written.
        threads: where shards are hashed, compressed and written; here and now where not given.
        most_ahead: how many shards may wait for `threads`.
    """

    def __init__(
        self,
        directory: Path,
        form: ShardFormat,
        *,
        threads: Executor | None = None,
        most_ahead: int = 2,
    ):
        self.directory = directory
        self._form = form
        self._threads = threads
        self._most_ahead = most_ahead
        self.rows_per_shard = self._form.rows_per_shard()
        self._entries: list[dict[str, Any]] = []
        self._ahead: deque[tuple[Future[dict[str, Any]], Table | None]] = deque()
        self._varying = VaryingBuffer(form.room()) if form.varying else None
        # Used again and again: fresh memory costs the kernel more time than the rows cost us.
        self._free: list[Table] = []
        self._rows = self._new_buffer()
        self._filled = 0
        self._count = 0
        directory.mkdir()

    def write(self, table: Table) -> None:
        """Append a table [n] of the `row_type`; whole shards go to disk at once."""
        if self._varying is not None:
            for sizes, body in self._varying.add(table):
                self._submit(sizes, body)
            return
        done = 0
        while done < len(table):
            room = min(self.rows_per_shard - self._filled, len(table) - done)
            self._rows[self._filled : self._filled + room] = table[done : done + room]
            self._filled += room
            done += room
            if self._filled == self.rows_per_shard:
                self._flush()

    def finish(self) -> None:
        """Write what is left and the index; the writer is then used up."""
        if self._varying is not None:
            sizes, body = self._varying.rest()
            if len(sizes):
                self._submit(sizes, body)
        elif self._filled:
            self._flush()
        while self._ahead:
            self._collect()
        index = {"version": 2, "shards": self._entries}
        write_durably(self.directory / "index.json", json.dumps(index, sort_keys=True).encode())
        sync(self.directory)

    def _flush(self) -> None:
        rows, self._filled = self._rows[: self._filled], 0
        sizes = np.full(len(rows), rows.itemsize)
        self._submit(sizes, [rows.view(np.uint8)], self._rows)
        if self._threads is not None:
            self._rows = self._free.pop() if self._free else self._new_buffer()

    def _submit(
        self, sizes: NDArray[np.int64], body: list[Bytes], buffer: Table | None = None
    ) -> None:
        work = (self.directory, self._count, sizes, body, self._form)
        self._count += 1
        if self._threads is None:
            self._entries.append(_write_shard(*work))
            return
        self._ahead.append((self._threads.submit(_write_shard, *work), buffer))
        while len(self._ahead) > self._most_ahead:
            self._collect()

    def _collect(self) -> None:
        future, buffer = self._ahead.popleft()
        self._entries.append(future.result())
        if buffer is not None:
            self._free.append(buffer)

    def _new_buffer(self) -> Table:
        rows = 0 if self._form.varying else self.rows_per_shard
        return np.empty(rows, dtype=row_type(self._form.length))


def _write_shard(
    directory: Path,
    number: int,
    sizes: NDArray[np.int64],
    body: list[Bytes],
    form: ShardFormat,
) -> dict[str, Any]:
    """Write one shard's file and return its entry in the index.

    Rows are given as the bytes each takes, [n], and all of these bytes in some pieces.
    """
    columns = form.columns()
    config = json.dumps(columns, sort_keys=True).encode()
    header = 4 + 4 * (len(sizes) + 1) + len(config)
    offsets = header + np.concatenate(([0], np.cumsum(sizes)))
    head = np.uint32(len(sizes)).tobytes() + offsets.astype("<u4").tobytes() + config
    raw: tuple[bytes | memoryview, ...] = (head, *(piece.data for piece in body))
    name = f"shard.{number:05}.mds"
    entry = {"samples": len(sizes), "raw_data": _describe(name, raw, form), **columns}
    if form.compression is None:
        write_durably(directory / name, *raw)
        return {**entry, "zip_data": None}
    # The very library that Streaming compresses with, so that the bytes are the same.
    import zstd

    _, _, level = form.compression.partition(":")
    packed = zstd.compress(b"".join(raw), int(level or 3))
    write_durably(directory / f"{name}.zstd", packed)
    return {**entry, "zip_data": _describe(f"{name}.zstd", (packed,), form)}


def _describe(name: str, parts: Sequence[bytes | memoryview], form: ShardFormat) -> dict[str, Any]:
    hashes = {algorithm: new_hash(algorithm) for algorithm in form.hashes}
    for each in hashes.values():
        for part in parts:
            each.update(part)
    return {
        "basename": name,
        "bytes": sum(map(len, parts)),
        "hashes": {algorithm: each.hexdigest() for algorithm, each in hashes.items()},
    }


def new_hash(algorithm: str) -> Any:
    """Return a fresh hash object, as hashlib's, of one of `HASHES`."""
    library: Any = xxhash if algorithm.startswith("xxh") else hashlib
    return getattr(library, algorithm)()
