"""Reads a checkpoint's file without unpickling anything that could run code."""

import datetime
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.torch_version import TorchVersion

from glm_composer.errors import UserError

# What else a checkpoint of Composer 0.32.1 holds besides tensors and plain data.
_HARMLESS: list[Any] = [
    datetime.timedelta,
    np.ndarray,
    np.dtype,
    TorchVersion,
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
]


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors by name of a checkpoint's model, mapped from the file.

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
        weights = checkpoint["state"]["model"]
    except pickle.UnpicklingError:
        raise UserError(f"{path}: refused: it holds more than plain data") from None
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not a readable checkpoint ({reason})") from None
    if not isinstance(weights, Mapping) or not all(map(torch.is_tensor, weights.values())):
        raise UserError(f"{path}: not a readable checkpoint (its model is no table of tensors)")
    return dict(weights)
