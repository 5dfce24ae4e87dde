"""Weights as safetensors: tensors and the settings of their model, nothing that could run."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from glm_composer.errors import UserError
from glm_composer.registry import models
from glm_composer.settings import structure

SUFFIX = ".safetensors"
# Key of the model's settings in a file's own metadata.
_MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A network's tensors.

    Attributes:
        path: where they were read.
        tensors: by their name in the `LanguageModel`.
        model: the settings of that model; None where nothing says them.
    """

    path: Path
    tensors: dict[str, Tensor]
    model: Any = None


def read_weights_file(path: Path) -> Weights:
    """Read a file that `write_weights_file` wrote.

    Raises:
        UserError: it is damaged, or of another origin.
    """
    tensors, metadata = read_safetensors(path)
    if _MODEL not in metadata:
        raise UserError(
            f"{path}: not written by `glm import-gpn`: it says no model settings; a GPN "
            "checkpoint is given as its directory, with config.json"
        )
    try:
        section = json.loads(metadata[_MODEL])
        schema = models.settings(section["name"])
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path}: the model's settings in it are damaged") from None
    return Weights(path=path, tensors=tensors, model=structure(schema, section, str(path)))


def write_weights_file(weights: Weights, path: Path) -> None:
    """Write weights with the settings of their model, whole or not at all."""
    settings = json.dumps(dataclasses.asdict(weights.model))
    with written_aside(path) as aside:
        save(weights.tensors, aside, {_MODEL: settings})


def check_fit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Check that the tensors of a file are exactly the wanted ones by name and shape.

    Raises:
        UserError: they are not; every one that does not fit is named.
    """
    wrong = [
        *(f"{name} is missing" for name in wanted.keys() - found.keys()),
        *(f"{name} is not part of this model" for name in found.keys() - wanted.keys()),
        *(
            f"{name} is {list(found[name].shape)}, not {list(wanted[name].shape)}"
            for name in wanted.keys() & found.keys()
            if found[name].shape != wanted[name].shape
        ),
    ]
    if wrong:
        raise UserError(
            f"{path}: a checkpoint of another architecture; {len(wrong)} tensors do not fit: "
            f"{'; '.join(sorted(wrong))}"
        )


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors by name of a safetensors file, and its metadata.

    Raises:
        UserError: it cannot be read as one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from None


def save(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; transformers refuses one that does not say it is of torch."""
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, {"format": "pt", **metadata})


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield the path of a file or directory to write, which then replaces `path` at once.

    Raises:
        UserError: the disk does not take it; nothing is left behind.
    """
    aside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(aside)
        yield aside
        os.replace(aside, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be written: {reason}") from None
    finally:
        with suppress(OSError):
            _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
