"""Trained models, loaded for scoring from whatever they lie in, without Composer.

A checkpoint, a run's directory, a weights file and a Hugging Face directory of GPN give the same
`ServedModel`: its predictor, the window it was trained on, and a digest that names its weights.
"""

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from glm_composer.config import DataConfig
from glm_composer.conversion.manifest import read_manifest
from glm_composer.errors import UserError
from glm_composer.evaluation.predict import Predictor
from glm_composer.models.compiled import compiled as compiled_function
from glm_composer.models.digest import weights_digest
from glm_composer.models.language_model import LanguageModel
from glm_composer.registry import models
from glm_composer.runs.folder import ENVIRONMENT
from glm_composer.settings import structure
from glm_composer.training.device import has_compiler
from glm_composer.training.inputs import CONFIG_FILE
from glm_composer.training.weights import load_into, read
from glm_composer.training.weights_file import Weights

ServingPrecision = Literal["fp32", "bf16"]

# Windows a forward pass, unless the user says: few stay in a CPU's cache, many fill a GPU.
_BATCH_SIZES = {"cpu": 16, "cuda": 64}
# Bases a window of GPN, whose files do not say it.
_GPN_WINDOW = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedModel:
    """A model ready to be asked: in evaluation mode, without gradients, on its device.

    Attributes:
        predictor: answers for ids at chosen positions; usable as it is, outside `evaluating` too.
        window: bases it was trained to see at once, or as many as were asked for.
        digest: `sha256:HEX` of the weights in fp32, the same whatever file they lie in.
        settings: of the network, as JSON: what the weights alone do not show.
        name: for people: RUN/CHECKPOINT, or the file's or directory's name.
        causal: whether it sees the bases before a position only.
    """

    predictor: Predictor
    window: int
    digest: str
    settings: str
    name: str
    causal: bool


def load_model(
    path: str | Path,
    *,
    batch_size: int | None = None,
    precision: ServingPrecision = "fp32",
    compile: bool = False,
    device: str = "auto",
    window: int | None = None,
) -> ServedModel:
    """Load a model for scoring.

    Args:
        path: a run's directory, for its latest checkpoint; a checkpoint in it; a file of
            `glm import-gpn`; a Hugging Face directory of GPN. Where a run kept a moving average of
            its weights, it is the average that is taken, as in the run's own evaluation.
        batch_size: windows a forward pass; None for as many as suit the device.
        precision: `bf16` runs all but the decoder under bf16 autocast.
        compile: compile the network; the first forward pass then takes a minute.
        device: `cpu`, `cuda:1` or the like; `auto` for this process's own GPU, if there is one.
        window: bases to show it at once; None for as many as it was trained on.

    Raises:
        UserError: it cannot be read, holds more than plain data, nothing says of which
            architecture or window it is, a weight is not finite, or this machine cannot compile.
    """
    place = _device(device)
    if compile and place.type == "cpu" and not has_compiler():
        raise UserError("compiling needs a C++ compiler (g++); install one or do not compile")
    weights = read(Path(path))
    settings = weights.model
    if settings is None:
        raise UserError(
            f"{weights.path}: nothing says of which architecture it is; a checkpoint belongs in "
            f"its run's directory, beside which {CONFIG_FILE} lies"
        )
    _check_finite(weights)
    network = models.get(settings.name)(settings)
    load_into(network, settings, weights)
    # Also what was trained in bf16: precision is chosen here.
    network = network.float().eval().requires_grad_(False)
    digest = weights_digest(network)
    network.to(place)
    return ServedModel(
        predictor=Predictor(
            _embed(network, place, precision, compile),
            network.decoder,
            batch_size or _BATCH_SIZES.get(place.type, _BATCH_SIZES["cuda"]),
            causal=network.causal,
        ),
        window=window or _window(weights.path),
        digest=digest,
        settings=json.dumps(dataclasses.asdict(settings), sort_keys=True),
        name=_name(weights.path),
        causal=network.causal,
    )


def _device(asked: str) -> torch.device:
    if asked != "auto":
        return torch.device(asked)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _check_finite(weights: Weights) -> None:
    """Refuse what a diverged training leaves: all that it said would be NaN."""
    bad = [name for name, tensor in weights.tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise UserError(
            f"{weights.path}: {len(bad)} of {len(weights.tensors)} tensors hold values that are "
            f"not finite, the first is {bad[0]}; take a checkpoint from before the training "
            "diverged"
        )


def _embed(
    network: LanguageModel, place: torch.device, precision: ServingPrecision, compiled: bool
) -> Callable[..., Tensor]:
    run = compiled_function(network.embed) if compiled else network.embed

    def embed(ids: Tensor, lengths: Tensor | None, position: int | None) -> Tensor:
        with torch.no_grad(), torch.autocast(place.type, torch.bfloat16, precision == "bf16"):
            return run(ids, lengths, position)

    return embed


def _run_of(path: Path) -> Path | None:
    """The directory of the run that a checkpoint lies in."""
    run = path.parent.parent
    return run if path.is_file() and (run / CONFIG_FILE).is_file() else None


def _name(path: Path) -> str:
    run = _run_of(path)
    if run:
        return f"{run.name}/{path.stem}"
    return path.name if path.is_dir() else path.stem


def _window(path: Path) -> int:
    run = _run_of(path)
    if run is None:
        return _GPN_WINDOW
    record = run / CONFIG_FILE
    # Not the whole of it: what else a run says need not fit the processes that score.
    section: Any = (yaml.safe_load(record.read_text()) or {}).get("data")
    data = structure(DataConfig, section, str(record), "data.")
    if data.window is not None:
        return data.window
    if (trained := _recorded_window(run / ENVIRONMENT)) is not None:
        return trained
    try:
        return read_manifest(Path(data.path)).window_length
    except UserError as error:
        raise UserError(
            f"{record}: says no data.window, and its dataset cannot be asked for it ({error}); "
            "say with --window how many bases to score with, or run it where that dataset is"
        ) from None


def _recorded_window(environment: Path) -> int | None:
    """The window that a run's record says it saw; None of runs from before it was recorded."""
    try:
        window = json.loads(environment.read_text())["window"]
    except (FileNotFoundError, KeyError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{environment}: cannot be read ({error}); delete it, or say with --window how many "
            "bases to score with"
        ) from None
    return int(window)
