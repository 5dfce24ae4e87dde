"""What a run leaves about itself: resolved settings, command line, git commit, environment."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from glm_composer import __version__
from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.settings import dump
from glm_composer.training.checkpoint_folder import list_checkpoints
from glm_composer.training.inputs import CONFIG_FILE

ENVIRONMENT_FILE = "environment.json"


def write_record(config: Config, parameters: int) -> None:
    """Write `config.yaml` and `environment.json` into the run's directory, atomically.

    Args:
        config: of the run.
        parameters: how many the model has.
    """
    directory = config.run_dir
    directory.mkdir(parents=True, exist_ok=True)
    _replace(directory / CONFIG_FILE, dump(config))
    _replace(directory / ENVIRONMENT_FILE, json.dumps(_environment(parameters), indent=2) + "\n")


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
        UserError: it holds checkpoints of a model with other settings, or resuming is off.
    """
    if not list_checkpoints(config.run_dir / "checkpoints"):
        return
    if not config.autoresume:
        raise UserError(
            f"{config.run_dir}: holds checkpoints of an earlier run; choose another run_name, "
            f"remove the directory, or set autoresume=true to go on from them"
        )
    record = _settings_before(config.run_dir / CONFIG_FILE)
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


def _environment(parameters: int) -> dict[str, Any]:
    import torch

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "glm_composer": __version__,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed_files": (_git("status", "--porcelain") or "").splitlines(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cores": os.cpu_count(),
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "parameters": parameters,
        "ranks": int(os.environ.get("WORLD_SIZE", "1")),
        "packages": {
            each.metadata["Name"]: each.version
            for each in sorted(metadata.distributions(), key=lambda d: d.metadata["Name"].lower())
        },
    }


def _git(*arguments: str) -> str | None:
    """What git says of the source tree this package runs from; None if it is not one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _replace(path: Path, text: str) -> None:
    aside = path.with_suffix(".partial")
    aside.write_text(text)
    os.replace(aside, path)
