"""Jobs seen from outside: which there are, what they do, and what is asked of them."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from glm_composer.conversion.files import locked
from glm_composer.errors import UserError
from glm_composer.runs.folder import CHECKPOINTS, COMMANDS, RANKS, ROOM, STATUS
from glm_composer.runs.requests import Answer, Kind, Request, read_answer, send
from glm_composer.runs.status import ENDED, Status, read_status, shown_state

# Seconds between two looks at whether a request has been answered.
_PAUSE = 0.1


def find_job(job: str, runs_dir: Path) -> tuple[Path, Status]:
    """Return the directory and the status of a job.

    Args:
        job: its directory, or its name.
        runs_dir: where the name is looked up.

    Raises:
        UserError: there is no such job.
    """
    for run_dir in (Path(job), runs_dir / job):
        if (status := read_status(run_dir)) is not None:
            return run_dir, status
    close = get_close_matches(job, [path.name for path in job_dirs(runs_dir)], 1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    raise UserError(
        f"{job}: no job, neither as a directory nor as a name under {runs_dir} ({STATUS} is "
        f"missing); "
        f"{meant}`glm jobs ls {runs_dir}` lists them"
    )


def job_dirs(runs_dir: Path) -> list[Path]:
    """Return the directories of all jobs under a directory, by name."""
    return sorted(path.parent for path in runs_dir.glob(f"*/{STATUS}"))


def is_live(status: Status) -> bool:
    """Return whether a job goes on, as far as can be seen from here."""
    return shown_state(status) not in (*ENDED, "dead")


def ask(
    run_dir: Path, status: Status, kind: Kind, key: str | None = None, value: str | None = None
) -> Request:
    """Leave a request for a job.

    A change may wait for a job that is to start again; nothing else is asked of one that is over.

    Raises:
        UserError: the job is over, or takes no requests of this user.
    """
    if kind != "set" and not is_live(status):
        raise UserError(f"{run_dir}: {shown_state(status)}; nobody there to {kind}")
    with _explained(run_dir):
        return send(run_dir, kind, key, value)


def wait(run_dir: Path, request: Request, seconds: float) -> Answer:
    """Wait until a request is answered.

    Raises:
        UserError: it was not in time, or the job has ended without an answer.
    """
    deadline = time.monotonic() + seconds
    while True:
        # In this order: the answer may be the last thing that the job writes.
        status = read_status(run_dir)
        reply = read_answer(run_dir, request.id)
        if reply is not None:
            return reply
        if status is None or not is_live(status):
            raise UserError(f"{run_dir}: the job ended before it came to this request")
        if time.monotonic() > deadline:
            raise UserError(
                f"{run_dir}: no answer within {seconds:g} s; the request stays, and is acted on "
                "at the next batch's end"
            )
        time.sleep(_PAUSE)


def clean_up(run_dir: Path, status: Status) -> list[Path]:
    """Remove what a job that is over has left half done: requests, answers, torsos.

    Its record and its checkpoints stay.

    Returns:
        What was removed.

    Raises:
        UserError: the job goes on.
    """
    # Imported late: no other request needs it.
    from glm_composer.training.checkpoint_folder import ASIDE, is_interrupted, list_checkpoints

    if is_live(status):
        raise UserError(f"{run_dir}: goes on ({shown_state(status)}); stop it first")
    taken = f"{run_dir}: its process is still there; wait until it has ended"
    checkpoints = run_dir / CHECKPOINTS
    with _explained(run_dir), locked(run_dir / ".lock", shared=False, taken=taken):
        found = [
            # First: what is aside tells that they are torsos.
            *filter(is_interrupted, list_checkpoints(checkpoints)),
            run_dir / COMMANDS,
            run_dir / RANKS,
            checkpoints / ASIDE,
            run_dir / ROOM,
            *run_dir.glob("*.partial"),
            *run_dir.glob(".*.partial"),
            *checkpoints.glob("*.partial"),
        ]
        removed = [path for path in found if path.exists() or path.is_symlink()]
        for path in removed:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return removed


@contextmanager
def _explained(run_dir: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that names the job."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{run_dir}: cannot be changed: {error.strerror}; is it yours, and is there room?"
        ) from None
