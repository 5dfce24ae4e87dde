"""`glm rerun`: the same run from its record, and whether it came out the same.

On one CPU the losses are the same bit by bit where code, data, packages and threads are. What is
not the same is said before training starts.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.runs.changes import set_since
from glm_composer.runs.differences import (
    Difference,
    differences,
    print_differences,
    read_record,
    record,
)
from glm_composer.runs.folder import CONFIG, METRICS

if TYPE_CHECKING:
    from glm_composer.config import Config

LOSS = "train/loss"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Losses of two runs, step by step.

    Attributes:
        steps: that both have.
        first: first step of another loss; None if there is none.
        left: its loss in the first run.
        right: in the second.
    """

    steps: int
    first: int | None = None
    left: float = 0.0
    right: float = 0.0


def rerun(run_dir: Path, run_name: str | None = None) -> None:
    """Train a run again from its record, beside it, and compare the losses.

    The same command goes on from the last checkpoint where it was stopped.

    Args:
        run_dir: of the run.
        run_name: of the new one; None for the old one's with `-rerun`.

    Raises:
        UserError: the record is damaged, or its settings, its data or the machine do not fit.
    """
    config = settings(run_dir, run_name)
    first = os.environ.get("RANK", "0") == "0"
    if first:
        _announce(run_dir, config)
    from glm_composer.training.start import start

    start(config)
    if first:
        found = agreement(run_dir / METRICS, config.run_dir / METRICS)
        print(verdict(found, run_dir.name, config.run_name))


def settings(run_dir: Path, run_name: str | None) -> "Config":
    """Return the settings of a run under another name.

    Raises:
        UserError: there are none, they are of another version, or the name is the run's own.
    """
    from glm_composer.config import Config
    from glm_composer.settings import load

    path = run_dir.resolve()
    name = run_name or f"{path.name}-rerun"
    if name == path.name:
        raise UserError(f"{run_dir}: choose another --run-name than the run's own")
    # Beside the run, wherever it has been moved since.
    parent = os.path.relpath(path.parent)
    return load(Config, run_dir / CONFIG, [f"run_name='{name}'", f"runs_dir='{parent}'"])


def since(run_dir: Path, config: "Config") -> list[Difference]:
    """Return what is not as it was when a run started: code, data, machine, packages."""
    from glm_composer.settings import dump
    from glm_composer.training.data_record import data_record
    from glm_composer.training.device import share_cores
    from glm_composer.training.environment import changes, environment

    # As training does, so that threads are compared as it will have them.
    share_cores(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    patch = changes()
    now = record(
        yaml.safe_load(dump(config)),
        environment(config.seed, 0, patch),
        patch or "",
        data_record(config),
    )
    return differences(read_record(run_dir), now)


def agreement(left: Path, right: Path) -> Agreement:
    """Compare the training losses in two metrics files.

    Raises:
        UserError: a file cannot be read.
    """
    a, b = (_losses(path) for path in (left, right))
    both = [step for step in a if step in b]
    for step in both:
        # As text: no number is NaN's equal.
        if repr(a[step]) != repr(b[step]):
            return Agreement(steps=len(both), first=step, left=a[step], right=b[step])
    return Agreement(steps=len(both))


def verdict(found: Agreement, left: str, right: str) -> str:
    """Say in a sentence how two runs agree."""
    if not found.steps:
        return f"{left} and {right} have no step in common"
    if found.first is None:
        return f"losses of {left} and {right}: bitwise equal over {found.steps:,} steps"
    return (
        f"losses of {left} and {right}: not equal from step {found.first:,} on, "
        f"{found.left!r} and {found.right!r}"
    )


def _announce(run_dir: Path, config: "Config") -> None:
    """Print what is not as it was."""
    found = since(run_dir, config)
    if found:
        print("not as it was when the run started:")
        print_differences(found, "then", "now")
    else:
        print("code, data, machine and packages are as they were")
    if read_record(run_dir).data is None:
        print("whether the data are the same is not known: the run did not write it down")
    for change in set_since(run_dir, step=1):
        print(f"not done again: {change.key} set to {change.value} after batch {change.step}")
    print(f"training {config.run_dir}", flush=True)


def _losses(path: Path) -> dict[int, float]:
    rows: list[dict[str, Any]] = read_metrics(path)
    return {row["step"]: row[LOSS] for row in rows if LOSS in row}
