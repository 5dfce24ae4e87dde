"""Mapped MDS shards, and how whole batches of their rows are gathered.

Layout of a shard (MDS version 2, little-endian): uint32 rows n; uint32 offsets [n + 1] from the
start of the file; a json of the columns; n rows. Where every column has a fixed size, the rows
are one contiguous table. Otherwise a row begins with a uint32 size for each of its columns of
varying size, and then come the columns.
"""

import json
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.columns import column_type
from glm_composer.data.index import Index
from glm_composer.errors import UserError

Ids = NDArray[np.int64]

_VARYING_SEQUENCES = {"bytes", "str", "ndarray:uint8"}


@dataclass(frozen=True, slots=True)
class MappedShard:
    """A shard in memory that the file backs: `body` uint8 [bytes], `offsets` uint32 [rows + 1]."""

    path: Path
    body: NDArray[np.uint8]
    offsets: NDArray[np.uint32]


def map_shard(path: Path, index: Index, samples: int) -> MappedShard:
    """Map one uncompressed shard file, read-only.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it cannot be read, or is not the shard that the index describes.
    """
    try:
        with path.open("rb") as file:
            body = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise UserError(f"{path}: cannot read shard: {error}; convert the dataset again") from None
    size = 4 * (samples + 2)
    header: NDArray[np.uint32] = body[: size if size <= len(body) else 0].view("<u4")
    if len(header) == 0 or header[0] != samples or header[-1] != len(body):
        raise _not_described(path, f"{samples} rows")
    try:
        columns = json.loads(body[4 * len(header) : header[1]].tobytes())
        names, encodings = columns["column_names"], columns["column_encodings"]
    except (ValueError, KeyError, TypeError):
        raise _not_described(path, f"{samples} rows") from None
    if tuple(names) != index.column_names or tuple(encodings) != index.column_encodings:
        described = dict(zip(index.column_names, index.column_encodings, strict=True))
        raise _not_described(path, f"columns {described}")
    return MappedShard(path, body, header[1:])


def _not_described(path: Path, what: str) -> UserError:
    return UserError(
        f"{path}: not the shard its index describes ({what}); convert the dataset again"
    )


def by_shard(ids: Ids, starts: Ids) -> tuple[NDArray[np.intp], list[tuple[int, slice, Ids]]]:
    """Sort samples by their place, since neighbours in a file are quicker to read.

    Args:
        ids: [n] sample ids.
        starts: [shards + 1] id of each shard's first sample, and one past the last.

    Returns:
        The order [n] that sorts `ids`, and for each shard that holds some of them its number,
        which part of that order it holds, and their rows in it.
    """
    order = np.argsort(ids)
    ids = ids[order]
    shards = np.searchsorted(starts, ids, side="right") - 1
    rows = ids - starts[shards]
    ends = np.flatnonzero(np.diff(shards, append=-1)) + 1
    begin, found = 0, []
    for shard, end in zip(shards[ends - 1].tolist(), ends.tolist(), strict=True):
        found.append((shard, slice(begin, end), rows[begin:end]))
        begin = end
    return order, found


class FixedRows:
    """Rows whose columns all have a fixed size.

    Args:
        index: of the split.

    Attributes:
        row: packed dtype of a row.
    """

    def __init__(self, index: Index):
        types = [column_type(encoding) for encoding in index.column_encodings]
        self.row = np.dtype(list(zip(index.column_names, types, strict=True)))

    def map(self, shard: MappedShard) -> NDArray[Any]:
        """Return the rows of a mapped shard: structured array [rows].

        Raises:
            UserError: its rows have another size.
        """
        rows = shard.body[shard.offsets[0] :]
        if len(rows) != (len(shard.offsets) - 1) * self.row.itemsize:
            raise _not_described(shard.path, f"rows of {self.row.itemsize} bytes")
        return rows.view(self.row)

    def gather(self, ids: Ids, starts: Ids, mapped: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
        """Collect rows in the order of `ids` [n]: structured array [n] of `row`.

        Args:
            ids: sample ids.
            starts: as `by_shard`.
            mapped: from a shard's number to what `map` made of it.
        """
        order, parts = by_shard(ids, starts)
        table = np.empty(len(ids), dtype=self.row)
        for shard, part, rows in parts:
            # Rows are known to be there; with mode="raise" numpy copies once more.
            mapped(shard).take(rows, out=table[part], mode="clip")
        place = np.empty(len(ids), dtype=np.intp)
        place[order] = np.arange(len(ids))
        return table.take(place, mode="clip")


class VaryingRows:
    """Rows with a `sequence` of varying length.

    Other columns of varying size are not read: a batch of them is not an array.

    Args:
        index: of the split.

    Raises:
        UserError: `sequence` is not there, or its encoding is none that holds bytes.
    """

    def __init__(self, index: Index):
        columns = dict(zip(index.column_names, index.column_encodings, strict=True))
        self._encoding = columns.get("sequence", "")
        if self._encoding not in _VARYING_SEQUENCES:
            raise UserError(
                f"{index.path}: column 'sequence' is '{self._encoding}'; it can be read as "
                f"ndarray:uint8:LENGTH, {', '.join(sorted(_VARYING_SEQUENCES))}"
            )
        self._types = {name: column_type(encoding) for name, encoding in columns.items()}
        self._heads = 4 * sum(dtype is None for dtype in self._types.values())

    def map(self, shard: MappedShard) -> MappedShard:
        """Return the shard, its offsets checked.

        Raises:
            UserError: a row is too short for the sizes it begins with.
        """
        if (np.diff(shard.offsets.astype(np.int64)) < self._heads).any():
            raise _not_described(shard.path, "rows with columns of varying size")
        return shard

    def gather(self, ids: Ids, starts: Ids, mapped: Callable[[int], MappedShard]) -> NDArray[Any]:
        """Collect rows in the order of `ids` [n]: structured array [n].

        Its fields are the columns of fixed size, `sequence` uint8 [longest of these rows], filled
        up with 0, and `length` int64.

        Args:
            ids: sample ids.
            starts: as `by_shard`.
            mapped: from a shard's number to the mapped shard.

        Raises:
            UserError: a row's sizes do not add up to its length in the file.
        """
        places = []
        lengths = np.zeros(len(ids), dtype=np.int64)
        order, parts = by_shard(ids, starts)
        for number, part, rows in parts:
            shard, here = mapped(number), order[part]
            begins, lengths[here] = self._locate(shard, rows)
            places.append((shard.body, here, begins))
        fields: list[Any] = [(name, kind) for name, kind in self._types.items() if kind]
        longest = int(lengths.max(initial=0))
        fields += [("sequence", np.uint8, (longest,)), ("length", np.int64)]
        out = np.zeros(len(ids), dtype=fields)
        out["length"] = lengths
        for body, here, begins in places:
            for name, kind in self._types.items():
                if kind:
                    taken = body[begins[name][:, None] + np.arange(kind.itemsize)]
                    out[name][here] = taken.view(kind.base).reshape(len(here), *kind.shape)
            _copy(body, begins["sequence"], lengths[here], here, out["sequence"])
        sequence = out["sequence"]
        sequence *= np.arange(longest) < lengths[:, None]
        return out

    def _locate(self, shard: MappedShard, rows: Ids) -> tuple[dict[str, Ids], Ids]:
        """First byte [n] of every column, and the length [n] of `sequence`."""
        begin = shard.offsets[rows].astype(np.int64)
        heads = shard.body[begin[:, None] + np.arange(self._heads)].view("<u4").astype(np.int64)
        begins, sizes, at, varying = {}, {}, begin + self._heads, 0
        for name, kind in self._types.items():
            begins[name] = at
            if kind is None:
                sizes[name] = heads[:, varying]
                varying += 1
            at = at + (kind.itemsize if kind else sizes[name])
        wrong = np.flatnonzero(at != shard.offsets[rows + 1])
        if len(wrong):
            raise UserError(
                f"{shard.path}: row {rows[wrong[0]]} is damaged: its sizes do not add up; "
                f"convert the dataset again"
            )
        length = sizes["sequence"]
        if self._encoding == "ndarray:uint8":
            # One byte of axes and width, then the shape in that width.
            first = shard.body[begins["sequence"]]
            head = 1 + (1 << (first & 3).astype(np.int64))
            wrong = np.flatnonzero((first >> 2 != 1) | (length < head))
            if len(wrong):
                raise UserError(
                    f"{shard.path}: row {rows[wrong[0]]}: 'sequence' is not an array of one axis"
                )
            begins["sequence"] = begins["sequence"] + head
            length = length - head
        return begins, length


def _copy(
    body: NDArray[np.uint8], begins: Ids, lengths: Ids, here: NDArray[np.intp], out: Any
) -> None:
    """Copy sequences [n] of a shard into rows `here` of `out`; what follows them is left open."""
    # As many bytes for each, which is one copy a row; at the file's end there may not be as many.
    fits = begins + out.shape[1] <= len(body)
    if fits.any():
        windows = np.lib.stride_tricks.sliding_window_view(body, out.shape[1])
        out[here[fits]] = windows[begins[fits]]
    begins, lengths, here = begins[~fits], lengths[~fits], here[~fits]
    row = np.repeat(np.arange(len(here)), lengths)
    column = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row]
    out[here[row], column] = body[begins[row] + column]


def rows_of(index: Index) -> FixedRows | VaryingRows:
    """Return how the rows of an index are read.

    Raises:
        UserError: its columns cannot be read in batches.
    """
    fixed = all(column_type(encoding) is not None for encoding in index.column_encodings)
    return FixedRows(index) if fixed else VaryingRows(index)
