"""Weights to start from, whatever they lie in: they fit a network wholly, or are refused."""

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig
from glm_composer.models.language_model import LanguageModel
from glm_composer.registry import models
from glm_composer.settings import structure
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.gpn_files import read_gpn, write_gpn
from glm_composer.training.inputs import CONFIG_FILE, find_weights
from glm_composer.training.weights_file import (
    SUFFIX,
    Weights,
    check_fit,
    read_weights_file,
    write_weights_file,
)

# Composer's model holds the network under this name.
_PREFIX = "model."


def read(path: Path) -> Weights:
    """Read a run's checkpoint, a file of `glm import-gpn`, or a GPN checkpoint directory.

    Args:
        path: of one of them; a run's directory stands for its latest checkpoint.

    Raises:
        UserError: it cannot be read, or holds more than plain data.
    """
    path = find_weights(path)
    if path.is_dir():
        return read_gpn(path)
    if path.suffix == SUFFIX:
        return read_weights_file(path)
    tensors = {name.removeprefix(_PREFIX): each for name, each in read_weights(path).items()}
    return Weights(path=path, tensors=tensors, model=_settings_of(path))


def load_into(network: LanguageModel, settings: Any, weights: Weights) -> None:
    """Put weights into a network with these settings.

    Raises:
        UserError: they are of another architecture; every key and tensor that does not fit is
            named, and nothing is loaded.
    """
    check_fit(weights.tensors, network.state_dict(), weights.path)
    # Shapes do not show dilations. Of a transformer, what they do not show may well be changed
    # between two runs, as its windows are.
    if isinstance(settings, ByteNetConfig) and weights.model is not None:
        here, there = dataclasses.asdict(settings), dataclasses.asdict(weights.model)
        wrong = [
            f"model.{key} is {there[key]} there, {here[key]} here"
            for key in here
            if here[key] != there[key]
        ]
        if wrong:
            raise UserError(f"{weights.path}: weights of another model: {'; '.join(wrong)}")
    network.load_state_dict(weights.tensors)


def import_gpn(directory: Path, out: Path) -> None:
    """Write the weights of a GPN checkpoint directory as a file that training takes.

    Raises:
        UserError: they are not GPN's ByteNet, or `out` cannot be written.
    """
    if out.suffix != SUFFIX:
        raise UserError(f"{out}: a weights file ends in {SUFFIX}")
    write_weights_file(read_gpn(directory), out)


def export_gpn(source: Path, directory: Path) -> None:
    """Write the weights of a checkpoint, or whatever `read` takes, as a GPN directory.

    Raises:
        UserError: they are not of a ByteNet, or the directory is taken or cannot be written.
    """
    write_gpn(read(source), directory)


def _settings_of(checkpoint: Path) -> Any:
    """The model's settings in the record of a checkpoint's run; None where there is no record."""
    file = checkpoint.parent.parent / CONFIG_FILE
    try:
        section = yaml.safe_load(file.read_text())["model"]
        schema = models.settings(section["name"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, LookupError):
        return None
    return structure(schema, section, str(file), "model.")
