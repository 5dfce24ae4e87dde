"""Windows of varying length as rows: padded with zeros in memory and in parts, exact in shards.

A letter is never 0, so a padded row tells its own length, and parts need no other layout. In a
shard each row is as long as its window: MDS writes the uint32 size of its one column of varying
size first (`sequence`, encoded as `bytes`), then the columns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.sequence import Bytes

ENCODING = "bytes"
# Rows as MDS stores them: the bytes each takes, int64 [n], and all of them in some pieces.
Encoded = tuple[NDArray[np.int64], list[Bytes]]
# The size of `sequence` and `contig` before the letters; `start` and `strand` after them.
_BEFORE, _AFTER = 8, 9


def window_lengths(sequence: Bytes) -> NDArray[np.int64]:
    """Lengths int64 [n] of windows uint8 ASCII [n, width] that zeros follow."""
    return np.count_nonzero(sequence, axis=1)


def row_bytes(lengths: Any) -> Any:
    """Return what rows of windows of such lengths take in a shard, without their offsets."""
    return lengths + (_BEFORE + _AFTER)


def encode_rows(rows: NDArray[np.void]) -> tuple[NDArray[np.int64], Bytes]:
    """Rows [n] as MDS stores them: the bytes each takes, int64 [n], and all of them, uint8."""
    lengths = window_lengths(rows["sequence"])
    sizes = row_bytes(lengths)
    ends = np.cumsum(sizes)
    before = np.empty(len(rows), dtype=[("size", "<u4"), ("contig", "<u4")])
    before["size"], before["contig"] = lengths, rows["contig"]
    after = np.empty(len(rows), dtype=[("start", "<i8"), ("strand", "i1")])
    after["start"], after["strand"] = rows["start"], rows["strand"]
    body = np.empty(int(sizes.sum()), dtype=np.uint8)
    letters = np.ones(len(body), dtype=bool)
    for fields, begin in ((before, ends - sizes), (after, ends - _AFTER)):
        places = begin[:, None] + np.arange(fields.itemsize)
        body[places] = fields.view(np.uint8).reshape(places.shape)
        letters[places] = False
    body[letters] = rows["sequence"][rows["sequence"] != 0]
    return sizes, body


class VaryingBuffer:
    """Collects encoded rows until they fill a shard.

    Args:
        room: bytes that rows and their offsets, 4 each, may take in a shard.
    """

    def __init__(self, room: int):
        self._room = self._left = room
        self._sizes: list[NDArray[np.int64]] = []
        self._body: list[Bytes] = []

    def add(self, rows: NDArray[np.void]) -> Iterator[Encoded]:
        """Take rows [n]; yield each shard that they fill."""
        sizes, body = encode_rows(rows)
        taken = np.concatenate(([0], np.cumsum(sizes + 4)))
        first = 0
        while first < len(rows):
            most = taken[first] + self._left
            end = int(np.searchsorted(taken, most, side="right")) - 1
            # Bytes of rows alone.
            begin, stop = taken[first] - 4 * first, taken[end] - 4 * end
            self._sizes.append(sizes[first:end])
            self._body.append(body[begin:stop])
            self._left -= int(taken[end] - taken[first])
            first = end
            if first < len(rows):
                yield self.rest()

    def rest(self) -> Encoded:
        """Return what is left, and begin anew."""
        found = np.concatenate([np.empty(0, np.int64), *self._sizes]), self._body
        self._sizes, self._body, self._left = [], [], self._room
        return found
