"""MDS shards of fixed-size columns as memory-mapped tables, read in whole batches.

A shard whose columns all have a fixed size is, after its header, one contiguous table of rows, so
a batch of windows is gathered without decoding samples one by one.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.errors import UserError

_SCALARS = {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"}


def row_type(column_names: list[str], encodings: list[str], path: Path) -> np.dtype[Any]:
    """Return the structured dtype of a row from the columns' MDS encodings.

    Raises:
        UserError: a column has no fixed size.
    """
    fields: list[Any] = []
    for name, encoding in zip(column_names, encodings, strict=True):
        kind, _, rest = encoding.partition(":")
        dtype, _, shape = rest.partition(":")
        if kind == "ndarray" and shape:
            fields.append((name, np.dtype(dtype), tuple(int(n) for n in shape.split(","))))
        elif encoding in _SCALARS:
            fields.append((name, np.dtype(encoding)))
        else:
            raise UserError(
                f"{path}: column '{name}' is '{encoding}'; only fixed sizes can be mapped"
            )
    return np.dtype(fields)


def map_shard(path: Path, row: np.dtype[Any], samples: int) -> NDArray[Any]:
    """Map the rows of one uncompressed shard file: structured array [samples].

    Raises:
        UserError: the file is missing, or its header does not describe that many such rows.
    """
    try:
        header = np.fromfile(path, dtype="<u4", count=samples + 2)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: cannot read shard: {error.strerror or error}") from None
    begin = int(header[1]) if len(header) == samples + 2 else -1
    end = begin + samples * row.itemsize
    if begin < 0 or header[0] != samples or header[-1] != end or size != end:
        raise UserError(
            f"{path}: not the shard its index describes ({samples} rows of {row.itemsize} bytes); "
            f"convert the dataset again"
        )
    return np.memmap(path, dtype=row, mode="r", offset=begin, shape=(samples,))


class Shards:
    """All windows of one split that lies uncompressed on this machine, by sample id.

    Args:
        path: the split's directory, which holds `index.json`.
    """

    def __init__(self, path: Path):
        self.path = path
        index = read_index(path)["shards"]
        self._files = [path / shard["raw_data"]["basename"] for shard in index]
        self._counts = np.array([shard["samples"] for shard in index], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        self.row = row_type(index[0]["column_names"], index[0]["column_encodings"], path)
        self._maps: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, ids: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Rows of samples `ids` [n], in that order, or of all: structured array [n].

        Raises:
            UserError: there is no such sample.
        """
        if ids is None:
            ids = np.arange(len(self))
        outside = ids[(ids < 0) | (ids >= len(self))]
        if len(outside):
            raise UserError(
                f"{self.path}: no sample {outside[0]}; there are {len(self):,}, from 0"
            )
        return gather_rows(ids, self._starts, self._map, self.row)

    def _map(self, shard: int) -> NDArray[Any]:
        if shard not in self._maps:
            count = int(self._counts[shard])
            self._maps[shard] = map_shard(self._files[shard], self.row, count)
        return self._maps[shard]


def gather_rows(
    ids: NDArray[np.int64], starts: NDArray[np.int64], shard_rows: Any, row: np.dtype[Any]
) -> NDArray[Any]:
    """Collect rows of several mapped shards in the order of `ids`.

    Args:
        ids: [n] sample ids.
        starts: [shards + 1] id of each shard's first sample, and one past the last.
        shard_rows: function from a shard's number to its mapped rows.
        row: dtype of a row.
    """
    out = np.empty(len(ids), dtype=row)
    shards = np.searchsorted(starts, ids, side="right") - 1
    for shard in np.unique(shards):
        here = np.flatnonzero(shards == shard)
        out[here] = shard_rows(int(shard))[ids[here] - starts[shard]]
    return out


def read_index(path: Path) -> dict[str, Any]:
    """Read a split's `index.json` and check that every shard it lists lies there in full.

    Raises:
        UserError: there is none, it cannot be read, it lists no shards or other than MDS ones, or
            a shard is missing or of another size.
    """
    file = path / "index.json"
    try:
        index = json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{file}: no MDS shards there") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot read: {error}") from None
    if not isinstance(index, dict) or not index.get("shards"):
        raise UserError(f"{file}: lists no shards: this split is empty")
    for number, shard in enumerate(index["shards"]):
        try:
            raw = shard["raw_data"]
            name, size = raw["basename"], raw["bytes"]
            shard["samples"], shard["column_names"], shard["column_encodings"]
        except (KeyError, TypeError):
            raise UserError(
                f"{file}: shard {number} is not described as an MDS shard; convert the dataset "
                f"again"
            ) from None
        _check_size(path / name, size)
    return index


def _check_size(file: Path, size: int) -> None:
    # Before any work: a shard may be touched for the first time hours into a run.
    try:
        found = file.stat().st_size
    except OSError as error:
        raise UserError(
            f"{file}: cannot read shard: {error.strerror or error}; convert the dataset again"
        ) from None
    if found != size:
        raise UserError(
            f"{file}: {found} bytes, but its index says {size}; convert the dataset again"
        )
