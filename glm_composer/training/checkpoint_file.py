"""Reads a checkpoint's file without unpickling anything that could run code."""

import datetime
import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.torch_version import TorchVersion

from glm_composer.errors import UserError

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
    # The directory of a zip archive is its end, so one that was cut short has none. What torch
    # would take instead, a bare pickle, Composer never writes.
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not a checkpoint, or only the beginning of one")
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = checkpoint["state"]
        weights = state["model"]
        average = state.get("callbacks", {}).get("EMA", {}).get(EMA_WEIGHTS, {})
    except pickle.UnpicklingError:
        raise UserError(f"{path}: refused: it holds more than plain data") from None
    except (
        OSError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        EOFError,
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not a readable checkpoint ({reason})") from None
    for table in (weights, average):
        if not isinstance(table, Mapping) or not all(map(torch.is_tensor, table.values())):
            raise UserError(
                f"{path}: not a readable checkpoint (its model is no table of tensors)"
            )
    if averaged and average:
        _LOG.info("%s: taking the moving average of the weights", path)
        return {**weights, **average}
    return dict(weights)
