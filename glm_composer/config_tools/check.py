"""Does a configuration build? Models on torch's meta device, which has shapes and no memory."""

from dataclasses import dataclass
from pathlib import Path

import torch

from glm_composer.config import Config
from glm_composer.config_tools.files import resolve
from glm_composer.conversion.config import ConvertConfig
from glm_composer.errors import UserError
from glm_composer.registry import models, objectives, optimizers, schedules, windowings
from glm_composer.training.schedules import check_units


@dataclass(frozen=True)
class Checked:
    """What became of one yaml file.

    Attributes:
        path: of the file.
        kind: `training` or `conversion`; empty where it does not resolve.
        builds: names of what it builds: the model, or source and windows.
        parameters: of the model; None for a conversion.
        error: why it does not build, or None.
    """

    path: Path
    kind: str = ""
    builds: str = ""
    parameters: int | None = None
    error: str | None = None


def check(path: Path) -> Checked:
    """Resolve a yaml file and build what it describes; nothing it raises gets out."""
    try:
        settings = resolve(path).settings
        if isinstance(settings, ConvertConfig):
            return _check_conversion(path, settings)
        return _check_training(path, settings)
    except UserError as error:
        return Checked(path, error=str(error).removeprefix(f"{path}: "))
    # Builders of plugins may raise anything.
    except Exception as error:
        return Checked(path, error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def _check_training(path: Path, config: Config) -> Checked:
    with torch.device("meta"):
        model = models.get(config.model.name)(config.model)
        optimizers.get(config.optimizer.name)(config.optimizer, model)
    objectives.get(config.objective.name)(config.objective)
    schedules.get(config.scheduler.name)(config.scheduler)
    check_units(config.scheduler, config.max_duration)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Checked(path, "training", config.model.name, parameters)


def _check_conversion(path: Path, config: ConvertConfig) -> Checked:
    # A source may know splits that the file does not name; sources fetch, so none is built.
    if config.splits:
        windowings.get(config.windows.name)(config.windows, list(config.splits))
    return Checked(path, "conversion", f"{config.source.name} -> {config.windows.name}")
