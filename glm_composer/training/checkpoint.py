"""Reads checkpoints without unpickling anything that could run code."""

import datetime
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.torch_version import TorchVersion

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.settings import load
from glm_composer.training.build import build_model
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.final import evaluate_run
from glm_composer.training.record import CONFIG_FILE

LATEST = "latest-rank0.pt"

# What else a checkpoint of Composer 0.32.1 holds besides tensors and plain data.
_HARMLESS: list[Any] = [
    datetime.timedelta,
    np.ndarray,
    np.dtype,
    TorchVersion,
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
]


def load_weights(model: GenomicModel, path: Path) -> None:
    """Load a checkpoint's weights into a model.

    Raises:
        UserError: the file cannot be read, holds anything but plain data, or is of another
            architecture; the tensors that do not fit are named, and nothing is loaded.
    """
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        weights = checkpoint["state"]["model"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: refused: it holds more than plain data ({reason})") from None
    except (OSError, RuntimeError, KeyError, TypeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable checkpoint ({reason})") from None
    wanted = model.state_dict()
    wrong = [
        *(f"{name} is missing" for name in wanted.keys() - weights.keys()),
        *(f"{name} is not part of this model" for name in weights.keys() - wanted.keys()),
        *(
            f"{name} is {list(weights[name].shape)}, not {list(wanted[name].shape)}"
            for name in wanted.keys() & weights.keys()
            if weights[name].shape != wanted[name].shape
        ),
    ]
    if wrong:
        raise UserError(
            f"{path}: a checkpoint of another architecture; {len(wrong)} tensors do not fit: "
            f"{'; '.join(sorted(wrong))}"
        )
    model.load_state_dict(weights)


def evaluate_checkpoint(path: Path, overrides: Sequence[str] = ()) -> Path:
    """Measure held-out loss and variant scores of a checkpoint, as at the end of its run.

    Args:
        path: a checkpoint in a run's `checkpoints` directory, or the run's directory for its
            latest.
        overrides: changes to the run's own settings.

    Returns:
        The directory of the results, `RUN/evaluation/CHECKPOINT`.

    Raises:
        UserError: what is missing or does not fit.
    """
    if path.is_dir():
        path = path / "checkpoints" / LATEST
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint")
    path = path.resolve()
    run_dir = path.parent.parent
    if not (run_dir / CONFIG_FILE).exists():
        raise UserError(f"{path}: not in a run's checkpoints: {run_dir / CONFIG_FILE} is missing")
    config = load(Config, run_dir / CONFIG_FILE, overrides)
    model = build_model(config)
    load_weights(model, path)
    if torch.cuda.is_available():
        model.cuda()
    out = run_dir / "evaluation" / path.stem
    evaluate_run(config, model, out)
    return out
