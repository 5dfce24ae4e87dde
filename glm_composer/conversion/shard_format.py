"""How windows lie in shards: the row in memory and in parts, and the columns as MDS names them."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.varying import ENCODING, row_bytes

Table = NDArray[np.void]

HASHES = ("md5", "sha1", "sha256", "xxh128", "xxh3_64", "xxh64")


@dataclass(frozen=True, kw_only=True)
class ShardFormat:
    """How windows of one split lie on the disk.

    Attributes:
        length: window length in bases; of the longest, where lengths vary.
        shard_bytes: upper bound of a shard's size before compression, below 4 GiB (offsets are
            uint32).
        varying: whether windows may be shorter.
        compression: None, "zstd", or "zstd:LEVEL".
        hashes: names of the hashes of every shard file in the index, sorted, out of `HASHES`.
    """

    length: int
    shard_bytes: int
    varying: bool = False
    compression: str | None = None
    hashes: tuple[str, ...] = ()

    def columns(self) -> dict[str, Any]:
        """Return the description of the rows, as headers and index hold it."""
        fields = row_type(self.length)
        sizes: list[int | None] = [fields[name].itemsize for name in fields.names or ()]
        sequence = f"ndarray:uint8:{self.length}"
        if self.varying:
            sizes[1], sequence = None, ENCODING
        return {
            "version": 2,
            "format": "mds",
            "compression": self.compression,
            "hashes": list(self.hashes),
            "size_limit": self.shard_bytes,
            "column_names": list(fields.names or ()),
            "column_encodings": ["uint32", sequence, "int64", "int8"],
            "column_sizes": sizes,
        }

    def rows_per_shard(self) -> int:
        """Return how many windows of full length fit into a shard (may be 0)."""
        row = row_bytes(self.length) if self.varying else row_type(self.length).itemsize
        return self.room() // (row + 4)

    def room(self) -> int:
        """Return how many bytes rows and their offsets may take in a shard."""
        return self.shard_bytes - 8 - len(json.dumps(self.columns(), sort_keys=True))


def row_type(length: int) -> np.dtype[np.void]:
    """Return the packed dtype of one window of `length` bases, as it lies in a shard.

    Fields: `contig` uint32, index into the manifest's contigs; `sequence` uint8 [length], ASCII,
    lower case = soft-masked, 0 behind a shorter window; `start` int64, 0-based; `strand` int8, +1
    or -1.
    """
    return np.dtype(
        [("contig", "<u4"), ("sequence", "u1", (length,)), ("start", "<i8"), ("strand", "i1")]
    )
