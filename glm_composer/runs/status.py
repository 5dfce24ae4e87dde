"""`status.json`: what a run is doing, written every few seconds and once more at its end."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from glm_composer.errors import UserError
from glm_composer.runs.folder import STATUS, write_whole
from glm_composer.runs.process import is_running, this_host

if TYPE_CHECKING:
    from pydantic import TypeAdapter

State = Literal["starting", "training", "evaluating", "finished", "stopped", "failed"]
ENDED: tuple[State, ...] = ("finished", "stopped", "failed")
STATES: tuple[State, ...] = get_args(State)

# Seconds without a heartbeat after which a run of another machine counts as dead.
PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a run is doing.

    Attributes:
        state: what it does, or how it ended.
        run_name: of its settings.
        host: machine of the process that writes this.
        pid: its number there.
        process_start: when it began, in clock ticks since its machine did; None if not known.
            A process that got the same number later began at another time.
        ranks: how many processes train together.
        started: when this start of the run began, ISO-8601 UTC.
        heartbeat: when this was written, ISO-8601 UTC.
        step: batches done.
        epoch: epochs done.
        max_duration: length of the run, as its settings give it.
        progress: share of that length which is done, 0 to 1.
        loss: of the last batch, nats.
        tokens_per_second: bases a second over all ranks, lately.
        seconds_left: until the training is done, at the speed so far.
        reason: why it ended, one of `reasons.Reason`.
        message: the same for people, one line.
        code: exit code of the command.
    """

    state: State
    run_name: str
    host: str
    pid: int
    process_start: int | None
    ranks: int
    started: str
    heartbeat: str
    step: int = 0
    epoch: int = 0
    max_duration: str = ""
    progress: float | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    reason: str | None = None
    message: str | None = None
    code: int | None = None


@cache
def _format() -> "TypeAdapter[Status]":
    # Not made before a status is read: a listing of runs reads none.
    from pydantic import TypeAdapter

    return TypeAdapter(Status)


def read_status(run_dir: Path) -> Status | None:
    """Read a run's status; None if it has none.

    Raises:
        UserError: the file is damaged or cannot be read.
    """
    from pydantic import ValidationError

    path = run_dir / STATUS
    try:
        return _format().validate_json(path.read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: damaged ({f'{key}: ' if key else ''}{first['msg']}); remove it, the run's "
            "other files tell the rest"
        ) from None


def write_status(run_dir: Path, status: Status) -> None:
    """Write a run's status; whoever reads it at any moment reads a whole one.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(run_dir / STATUS, json.dumps(asdict(status), indent=2) + "\n")


def shown_state(status: Status, now: datetime | None = None) -> str:
    """Return a run's state, or `dead` for one that ended without saying so.

    On its own machine it is dead when its process is gone, elsewhere when its heartbeat is older
    than 60 s.
    """
    if status.state in ENDED:
        return status.state
    if status.host == this_host():
        return status.state if is_running(status.pid, status.process_start) else "dead"
    age = (now or datetime.now(UTC)) - _time(status.heartbeat)
    return "dead" if age.total_seconds() > PATIENCE else status.state


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
