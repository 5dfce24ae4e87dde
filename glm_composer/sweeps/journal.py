"""`trials.jsonl`: what became of every trial; one event a line, on the disk before it counts."""

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from glm_composer.conversion.files import explain_write_errors
from glm_composer.errors import UserError

FILE = "trials.jsonl"
State = Literal["started", "finished", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run of a sweep.

    Attributes:
        number: from 1, in the order of their proposal.
        values: dotted key -> value, as on a command line.
        state: what the journal knows last; a `started` one may have been killed since.
        value: of the metric in the run's last measurement; of a finished trial.
        step: of that measurement.
        message: why it failed or stopped.
    """

    number: int
    values: dict[str, str]
    state: State
    value: float | None = None
    step: int | None = None
    message: str = ""


def read_journal(path: Path) -> list[Trial]:
    """Return the trials of a journal, by number; none where there is no journal.

    Raises:
        UserError: it cannot be read, or a whole line of it is damaged.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    trials: dict[int, Trial] = {}
    # What follows the last line break is empty, or the line a crash cut short.
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            trial = _trial(json.loads(line), trials)
        except (ValueError, TypeError, LookupError):
            raise UserError(
                f"{path}, line {number}: not an event of a trial; remove the line to go on"
            ) from None
        trials[trial.number] = trial
    return [trials[number] for number in sorted(trials)]


def _trial(event: dict[str, Any], known: dict[int, Trial]) -> Trial:
    number, state = event["trial"], event["event"]
    if state == "started":
        return Trial(number=number, values=dict(event["values"]), state="started")
    if state == "finished":
        value, step = float(event["value"]), int(event["step"])
        return replace(known[number], state="finished", value=value, step=step)
    if state not in ("failed", "stopped"):
        raise ValueError(state)
    return replace(known[number], state=state, message=str(event["message"]))


def repair(path: Path) -> None:
    """Take a last line that a crash cut short off a journal; only for who holds its lock."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def append(path: Path, trial: Trial) -> None:
    """Add a trial's new state, and wait until it is on the disk.

    Raises:
        UserError: it cannot be written.
    """
    event: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "trial": trial.number,
        "event": trial.state,
    }
    if trial.state == "started":
        event["values"] = trial.values
    elif trial.state == "finished":
        event |= {"value": trial.value, "step": trial.step}
    else:
        event["message"] = trial.message
    with explain_write_errors(path), path.open("ab") as file:
        file.write((json.dumps(event) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
