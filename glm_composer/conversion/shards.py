"""Windows -> MDS shards: tables of fixed-size rows, written whole; data/shards.py reads them.

Every column has a fixed size, so a shard's body is one contiguous table: a packed numpy structured
array *is* the bytes of its rows. That is why shards are written here and not by
`streaming.MDSWriter`, whose import alone takes longer (13 s: torch, transformers) than converting
yeast, and which encodes one value at a time (95k windows/s against millions). The bytes are the
same, shard for shard and index for index; tests/conversion/test_shards.py holds us to that.

Layout of a shard (MDS version 2, little-endian): uint32 rows n; uint32 offsets [n + 1] from the
start of the file; a json of the columns; n rows. Columns lie in order of their names.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.files import sync_directory, write_durably
from glm_composer.sequence import Bytes

Table = NDArray[np.void]


def row_type(length: int) -> np.dtype[np.void]:
    """Return the packed dtype of one window of `length` bases, as it lies in a shard.

    Fields: `contig` uint32, index into the manifest's contigs; `sequence` uint8 [length], ASCII,
    lower case = soft-masked; `start` int64, 0-based; `strand` int8, +1 or -1.
    """
    return np.dtype(
        [("contig", "<u4"), ("sequence", "u1", (length,)), ("start", "<i8"), ("strand", "i1")]
    )


def cut(
    sequence: Bytes, starts: NDArray[np.int64], length: int, *, contig: int, offset: int = 0
) -> Table:
    """Cut plus-strand windows out of a sequence into a table [n].

    Args:
        sequence: uint8 ASCII [bases].
        starts: int64 [n], 0-based, into `sequence`.
        length: window length.
        contig: index of the contig in the manifest.
        offset: position on the contig of the sequence's first base.
    """
    table = np.empty(len(starts), dtype=row_type(length))
    table["contig"] = contig
    table["start"] = starts + offset
    table["strand"] = 1
    if len(starts):
        views = np.lib.stride_tricks.sliding_window_view(sequence, length)
        table["sequence"] = views[starts]
    return table


class ShardWriter:
    """Writes the tables of one split into a directory of shards and their index.

    Args:
        directory: where to write; created, must not exist.
        length: window length in bases.
        shard_bytes: upper bound of a shard file's size, below 4 GiB (offsets are uint32).
    """

    def __init__(self, directory: Path, length: int, shard_bytes: int):
        self.directory = directory
        self.columns = _columns(length, shard_bytes)
        self._config = json.dumps(self.columns, sort_keys=True).encode()
        self._row_bytes = row_type(length).itemsize
        self.rows_per_shard = rows_per_shard(length, shard_bytes)
        self._waiting: list[Table] = []
        self._rows_waiting = 0
        self._shards: list[dict[str, Any]] = []
        directory.mkdir()

    def write(self, table: Table) -> None:
        """Append a table [n] of the `row_type`; whole shards go to disk at once."""
        self._waiting.append(table)
        self._rows_waiting += len(table)
        if self._rows_waiting < self.rows_per_shard:
            return
        rows = np.concatenate(self._waiting)
        full = len(rows) - len(rows) % self.rows_per_shard
        for start in range(0, full, self.rows_per_shard):
            self._flush(rows[start : start + self.rows_per_shard])
        # A copy, or the tail would keep the whole array alive.
        self._waiting = [rows[full:].copy()]
        self._rows_waiting = len(rows) - full

    def finish(self) -> None:
        """Write what is left and the index; the writer is then used up."""
        if self._rows_waiting:
            self._flush(np.concatenate(self._waiting))
        index = {"version": 2, "shards": self._shards}
        write_durably(self.directory / "index.json", json.dumps(index, sort_keys=True).encode())
        sync_directory(self.directory)

    def _flush(self, rows: Table) -> None:
        header = 4 + 4 * (len(rows) + 1) + len(self._config)
        offsets = header + self._row_bytes * np.arange(len(rows) + 1, dtype=np.int64)
        name = f"shard.{len(self._shards):05}.mds"
        write_durably(
            self.directory / name,
            np.uint32(len(rows)).tobytes(),
            offsets.astype("<u4").tobytes(),
            self._config,
            rows.tobytes(),
        )
        raw = {"basename": name, "bytes": int(offsets[-1]), "hashes": {}}
        self._shards.append(
            {"samples": len(rows), "raw_data": raw, "zip_data": None, **self.columns}
        )


def rows_per_shard(length: int, shard_bytes: int) -> int:
    """Return how many windows of `length` bases fit into a shard of `shard_bytes` (may be 0)."""
    config = json.dumps(_columns(length, shard_bytes), sort_keys=True)
    return (shard_bytes - 8 - len(config)) // (row_type(length).itemsize + 4)


def _columns(length: int, shard_bytes: int) -> dict[str, Any]:
    fields = row_type(length)
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [],
        "size_limit": shard_bytes,
        "column_names": list(fields.names or ()),
        "column_encodings": ["uint32", f"ndarray:uint8:{length}", "int64", "int8"],
        "column_sizes": [fields[name].itemsize for name in fields.names or ()],
    }
