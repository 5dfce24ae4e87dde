"""What `glm jobs` prints of jobs."""

import os
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from glm_composer.errors import UserError
from glm_composer.runs.changes import set_since
from glm_composer.runs.folder import COMMANDS
from glm_composer.runs.jobs import job_dirs
from glm_composer.runs.requests import read_waiting
from glm_composer.runs.status import Status, read_status, shown_state

_COLUMNS = ("job", "state", "step", "epoch", "done", "loss", "tokens/s", "left", "host", "pid")
# Printed in words of their own.
_OTHERWISE = ("state", "progress", "seconds_left", "run_name")


def print_jobs(runs_dir: Path) -> None:
    """Print a line a job, by name.

    Raises:
        UserError: there is no such directory.
    """
    if not runs_dir.is_dir():
        raise UserError(f"{runs_dir}: no such directory")
    rows = [_COLUMNS, *map(_row, job_dirs(runs_dir))]
    if len(rows) == 1:
        print(f"{runs_dir}: no jobs")
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def print_job(run_dir: Path, status: Status) -> None:
    """Print all that a job says of itself, what was set in it, and what waits for it."""
    shown = {"job": str(run_dir), "state": shown_state(status)}
    shown |= {"done": _share(status.progress), "time left": _left(status.seconds_left)}
    shown |= {
        key.replace("_", " "): str(value)
        for key, value in asdict(status).items()
        if value not in (None, "") and key not in _OTHERWISE
    }
    for key, value in shown.items():
        if value:
            print(f"{key:<18}{value}")
    for change in set_since(run_dir, 1):
        print(f"{'set':<18}{change.key} = {change.value} after batch {change.step}")
    # Only the owner of a job sees them.
    if os.access(run_dir / COMMANDS, os.R_OK | os.X_OK, effective_ids=True):
        for request in read_waiting(run_dir).requests:
            print(f"{'waiting':<18}{request.kind} of {request.sender}, {request.sent}")


def _row(run_dir: Path) -> tuple[str, ...]:
    try:
        status = read_status(run_dir)
    except UserError:
        status = None
    if status is None:
        return (run_dir.name, "damaged", *[""] * (len(_COLUMNS) - 2))
    loss, speed = status.loss, status.tokens_per_second
    tells = status.reason and status.reason != status.state
    return (
        run_dir.name,
        shown_state(status) + (f" ({status.reason})" if tells else ""),
        str(status.step),
        str(status.epoch),
        _share(status.progress),
        "" if loss is None else f"{loss:.4f}",
        "" if speed is None else f"{speed:,.0f}",
        _left(status.seconds_left),
        status.host,
        str(status.pid),
    )


def _share(progress: float | None) -> str:
    return "" if progress is None else f"{progress:.1%}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else re.sub(r"^0:", "", str(timedelta(seconds=round(seconds))))
