"""Reads a checkpoint's file without unpickling anything that could run code."""

import datetime
import logging
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.torch_version import TorchVersion

from glm_composer.errors import UserError
from glm_composer.training.checkpoint_manifest import defect, manifest_path

_LOG = logging.getLogger(__name__)
# What else a checkpoint of Composer 0.32.1 holds besides tensors and plain data.
_HARMLESS: list[Any] = [
    datetime.timedelta,
    np.ndarray,
    np.dtype,
    TorchVersion,
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
]
# What torch raises of files that are none of its own.
_UNREADABLE = (
    OSError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    EOFError,
    AssertionError,
    ArithmeticError,
    struct.error,
)
# Key of the averaged weights in the state of the callback that keeps them.
EMA_WEIGHTS = "weights"


def read_weights(path: Path, averaged: bool = True) -> dict[str, torch.Tensor]:
    """Return the tensors by name of a checkpoint's model, mapped from the file.

    Args:
        path: the file.
        averaged: their moving average where the run kept one, which is what it reports.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint, or holds more than plain data.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    check_bytes(path)
    state = read_checkpoint(path, mapped=True)["state"]
    weights = state.get("model")
    average = _average(state)
    for table in (weights, average):
        if not isinstance(table, Mapping) or not all(map(torch.is_tensor, table.values())):
            raise UserError(
                f"{path}: not a readable checkpoint (its model is no table of tensors)"
            )
    if averaged and average:
        _LOG.info("%s: taking the moving average of the weights", path)
        return {**weights, **average}
    return dict(weights)


def check_bytes(path: Path) -> None:
    """Check that a checkpoint has the bytes it was saved with.

    By its manifest, and where it has none, by the checksums within the file.

    Raises:
        UserError: it has not.
    """
    path = path.resolve()
    if manifest_path(path).exists():
        wrong = defect(path)
        if wrong is not None:
            raise UserError(f"{path}: {wrong}; put back a copy, or take another checkpoint")
        return
    _check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not a readable checkpoint ({_first_line(error)})") from None
    if bad is not None:
        raise UserError(f"{path}: damaged: the checksum of its part {bad} does not fit")


def read_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """Return all that a checkpoint holds: tensors and plain data, on the CPU.

    Args:
        path: the file.
        mapped: map tensors from the file instead of reading them; the file must then stay.

    Raises:
        UserError: the file is damaged, not a checkpoint, or holds more than plain data.
    """
    _check_archive(path)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f": {named[1]}" if named else ""
        raise UserError(f"{path}: refused: it holds more than plain data{what}") from None
    except _UNREADABLE as error:
        raise UserError(f"{path}: not a readable checkpoint ({_first_line(error)})") from None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state"), dict):
        raise UserError(f"{path}: not a readable checkpoint (it has no 'state')")
    return checkpoint


def _check_archive(path: Path) -> None:
    # The directory of a zip archive is its end, so one that was cut short has none. What torch
    # would take instead, a bare pickle, Composer never writes.
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not a checkpoint, or only the beginning of one")


def _average(state: dict[str, Any]) -> Any:
    callbacks = state.get("callbacks", {})
    ema = callbacks.get("EMA", {}) if isinstance(callbacks, dict) else {}
    return ema.get(EMA_WEIGHTS, {}) if isinstance(ema, dict) else {}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
