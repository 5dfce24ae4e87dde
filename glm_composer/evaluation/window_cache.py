"""Windows of a big genome's variants are cut once a machine, not at every start of every rank.

Cutting ten thousand windows reads most of a human genome. What was cut lies in the cache, under a
name that is a digest of all it depends on: the genome, the variants' places and the width. The
first process cuts, those that start together with it wait for it.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm_composer.errors import UserError
from glm_composer.sequence import Bytes

# Of another layout of these files, or another rule for what fits.
_FORMAT = 1


class Cut(NamedTuple):
    """Windows of a table's variants.

    Attributes:
        fits: bool [n], which of the table's rows have a window.
        windows: ASCII uint8 [fits.sum(), width].
    """

    fits: NDArray[np.bool_]
    windows: Bytes


def digest(
    places: pl.DataFrame, genome_sha256: str, width: int, allow_mismatch: bool = False
) -> str:
    """Name what `Cut` depends on.

    Args:
        places: `chrom` as the genome calls it, `pos` (1-based) and `ref` of each row.
        genome_sha256: of the FASTA.
        width: bases a window.
        allow_mismatch: whether rows that do not fit are left out, or an error.
    """
    table = hashlib.sha256(places.select("chrom", "pos", "ref").write_csv().encode()).hexdigest()
    parts = (str(_FORMAT), table, genome_sha256, str(width), str(allow_mismatch))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def kept(directory: Path, name: str, cut: Callable[[], Cut]) -> Cut:
    """Return what lies in a directory under a name, cut and kept there where it is not.

    Args:
        directory: of the cache; made where it is not there.
        name: what `digest` returns.
        cut: makes it; what it raises goes through, and nothing is kept.

    Raises:
        UserError: the directory cannot be written.
    """
    try:
        return _kept(directory, name, cut)
    except OSError as error:
        raise UserError(
            f"{error.filename or directory}: {error.strerror or error}; point GLM_CACHE to a "
            "directory that can be written"
        ) from None


def _kept(directory: Path, name: str, cut: Callable[[], Cut]) -> Cut:
    path = directory / f"{name}.npz"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.lock").open("a") as lock:
        # Until whoever cuts has done so; it ends with this process, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            found = cut()
            aside = directory / f"{name}.partial"
            with aside.open("wb") as file:
                np.savez(file, fits=found.fits, windows=found.windows)
            os.replace(aside, path)
    with np.load(path, allow_pickle=False) as arrays:
        return Cut(arrays["fits"], arrays["windows"])
