"""The columns of MDS rows, as an index names them."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from glm_composer.data.index import FILE_NAME, Index, read_index
from glm_composer.errors import UserError

_SCALARS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_SCALARS |= {"float16", "float32", "float64"}
_ARRAY = re.compile(r"ndarray:(\w+):([1-9]\d*(?:,[1-9]\d*)*)")


def column_type(encoding: str) -> np.dtype[Any] | None:
    """Return the dtype of a column's MDS encoding, or None where its size varies."""
    array = _ARRAY.fullmatch(encoding)
    if array and array[1] in _SCALARS:
        return np.dtype((array[1], tuple(int(n) for n in array[2].split(","))))
    if encoding in _SCALARS:
        return np.dtype(encoding)
    return np.dtype(np.int64) if encoding == "int" else None


def sequence_length(index: Index) -> int | None:
    """Return how many bases every `sequence` has, or None where that varies."""
    columns = dict(zip(index.column_names, index.column_encodings, strict=True))
    kind = column_type(columns.get("sequence", ""))
    return kind.shape[0] if kind is not None and len(kind.shape) == 1 else None


def check_split(path: Path, windows: int, length: int) -> None:
    """Check that a split's index says the same as its dataset's manifest.

    Args:
        path: the split's directory.
        windows: how many the manifest counts.
        length: bases of a window in the manifest.

    Raises:
        UserError: it does not; both numbers are named.
    """
    index = read_index(path)
    found = sequence_length(index)
    if found not in (length, None):
        raise UserError(
            f"{path / FILE_NAME}: windows of {found} bases, but the dataset's manifest says "
            f"{length}; convert the dataset again"
        )
    samples = sum(shard.samples for shard in index.shards)
    if samples != windows:
        raise UserError(
            f"{path / FILE_NAME}: {samples} windows, but the dataset's manifest says {windows}; "
            f"convert the dataset again"
        )
