"""One trial: its settings, its process, and what its run says when the process is over."""

import fcntl
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.report.document import replace_text
from glm_composer.settings import dump, load
from glm_composer.sweeps.definition import Definition
from glm_composer.sweeps.journal import Trial
from glm_composer.training.signals import FROM_ABOVE

# Exit codes of a `glm train` that ended well, but before its end.
_STOPPED = {
    75: "saved and stopped by a signal",
    76: "stopped on request",
    77: "aborted on request",
}


def run_name(definition: Definition, number: int) -> str:
    """Name of a trial's run."""
    return f"{definition.name}-{number:04d}"


def trial_config(definition: Definition, number: int, values: dict[str, str]) -> Config:
    """Return the settings of a trial's run.

    Raises:
        UserError: these values do not go together.
    """
    ours = [
        f"run_name={run_name(definition, number)}",
        "autoresume=true",
        "loggers.progress_bar=false",
    ]
    return load(Config, definition.file, [*definition.overrides(values), *ours])


def write_config(directory: Path, definition: Definition, trial: Trial) -> Path:
    """Write a trial's resolved yaml, unless it is there from an earlier start; return its path.

    Raises:
        UserError: its values do not go together, or it cannot be written.
    """
    path = directory / f"{run_name(definition, trial.number)}.yaml"
    if not path.exists():
        replace_text(path, dump(trial_config(definition, trial.number, trial.values)))
    return path


def start(config: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    """Start a trial's process; None while one of an earlier start still trains it.

    Its output goes to the `.log` beside its yaml. The process holds a lock on that file for as
    long as it lives: a sweep that was killed leaves its trials running, and the next one waits
    for them instead of training the same run twice.
    """
    with config.with_suffix(".log").open("ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError:
            # Without locks a second process is refused by the run's own directory.
            pass
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "glm_composer", "train", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            # Ctrl-C on the terminal is for the sweep, which then asks its trials to stop, once.
            start_new_session=True,
        )


def environments(jobs: int, devices: Sequence[str]) -> list[dict[str, str]]:
    """Return what the process of each job finds in its environment.

    `signals.FROM_ABOVE` says that a SIGTERM of the sweep's may follow another.

    Args:
        jobs: how many there are at a time.
        devices: GPUs, dealt out in turn, one a job; without any, jobs share the cores evenly.
    """
    shared = {**os.environ, FROM_ABOVE: "1"}
    if devices:
        return [
            {**shared, "CUDA_VISIBLE_DEVICES": devices[job % len(devices)]} for job in range(jobs)
        ]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    return [{"OMP_NUM_THREADS": str(threads), **shared} for _ in range(jobs)]


def gpus() -> list[str]:
    """Return the GPUs of this process, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(device) for device in range(count)]


def outcome(definition: Definition, trial: Trial, config: Path, code: int) -> Trial:
    """Return a trial as its run's metrics and its process's exit code say it ended."""
    # A shell's way of saying it, and Python's.
    number = code - 128 if code > 128 else -code
    if number > 0:
        return replace(trial, state="stopped", message=f"ended by signal {number}")
    if code in _STOPPED:
        return replace(trial, state="stopped", message=_STOPPED[code])
    if code:
        message = f"{_last_line(config.with_suffix('.log'))} (exit code {code})"
        return replace(trial, state="failed", message=message)
    try:
        value, step = measured(load(Config, config).run_dir, definition.metric)
    except UserError as error:
        return replace(trial, state="failed", message=str(error))
    return replace(trial, state="finished", value=value, step=step, message="")


def measured(run_dir: Path, metric: str) -> tuple[float, int]:
    """Return the last value of a run's metric, and its step.

    Raises:
        UserError: it was never measured, or is not a number.
    """
    path = run_dir / "metrics.jsonl"
    rows = read_metrics(path)
    found = [(row[metric], row["step"]) for row in rows if row.get(metric) is not None]
    if not found:
        names = sorted({name for row in rows for name in row} - {"step"})
        evaluated = [name for name in names if not name.endswith("_se")]
        raise UserError(f"{path}: no '{metric}'; it holds {', '.join(evaluated)}")
    value, step = float(found[-1][0]), int(found[-1][1])
    if not math.isfinite(value):
        raise UserError(f"{path}: '{metric}' is {value} at step {step}")
    return value, step


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
