"""What a run leaves about itself: resolved settings, command line, code, environment, data."""

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.runs.folder import CHANGES, CONFIG, DATA, ENVIRONMENT, write_whole
from glm_composer.settings import dump
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.data_record import data_record
from glm_composer.training.environment import changes, environment
from glm_composer.training.inputs import LATEST


def write_record(config: Config, parameters: int) -> None:
    """Write settings, environment, data and changes of the code into the run's directory.

    Args:
        config: of the run.
        parameters: how many the model has.
    """
    directory, patch = config.run_dir, changes()
    directory.mkdir(parents=True, exist_ok=True)
    if patch is not None:
        write_whole(directory / CHANGES, patch)
    else:
        (directory / CHANGES).unlink(missing_ok=True)
    found = environment(config.seed, parameters, patch)
    write_whole(directory / ENVIRONMENT, json.dumps(found, indent=2) + "\n")
    write_whole(directory / DATA, json.dumps(data_record(config), indent=2) + "\n")
    write_settings(config)


def write_settings(config: Config) -> None:
    """Write the resolved settings into the run's directory."""
    write_whole(config.run_dir / CONFIG, dump(config))


def check_writable(config: Config) -> None:
    """Make the run's directory, and check that files can be made in it.

    Raises:
        UserError: they cannot, and why.
    """
    checkpoints = config.run_dir / "checkpoints"
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        # Permission bits say little about read-only and full disks, and nothing to root.
        with tempfile.NamedTemporaryFile(dir=checkpoints) as probe:
            probe.write(b"x")
    except OSError as error:
        raise UserError(
            f"{config.run_dir}: cannot write the run there: {error.strerror}; mend it, or choose "
            "another runs_dir or run_name"
        ) from None


def check_resumable(config: Config) -> None:
    """Check that what the run's directory may hold already can be gone on from.

    Raises:
        UserError: it holds checkpoints of a model with other settings, damaged ones, or ones that
            do more than hold data; or resuming is off.
    """
    checkpoints = config.run_dir / "checkpoints"
    if not any(checkpoints.glob("*.pt")):
        return
    if not config.autoresume:
        raise UserError(
            f"{config.run_dir}: holds checkpoints of an earlier run; choose another run_name, "
            f"remove the directory, or set autoresume=true to go on from them"
        )
    latest = checkpoints / LATEST
    if not latest.exists():
        raise UserError(
            f"{latest}: missing or leads nowhere, though there are checkpoints beside it; link it "
            "to the one to go on from, or remove the run's directory to start afresh"
        )
    record = _settings_before(config.run_dir / CONFIG)
    before, after = record["model"], yaml.safe_load(dump(config))["model"]
    differing = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if differing:
        key = differing[0]
        raise UserError(
            f"{config.run_dir}: holds checkpoints of another architecture: model.{key} was "
            f"{before.get(key)}, now {after.get(key)}; choose another run_name or remove it"
        )
    optimizer = record["optimizer"].get("name")
    if optimizer != config.optimizer.name:
        # Composer would leave its state out without a word.
        raise UserError(
            f"{config.run_dir}: holds checkpoints of another optimizer: optimizer.name was "
            f"{optimizer}, now {config.optimizer.name}; choose another run_name or remove it"
        )
    # Composer's loader runs whatever code a file brings along; nothing may reach it unread.
    read_weights(latest.resolve(), averaged=False)


def _settings_before(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text())
        readable = all(isinstance(settings[key], dict) for key in ("model", "optimizer"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, LookupError):
        readable = False
    if not readable:
        raise UserError(
            f"{file}: cannot read the settings of the checkpoints beside it; restore the file, "
            "choose another run_name or remove the run's directory"
        )
    return settings
