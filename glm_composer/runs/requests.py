"""Requests to a running job, as files that only its owner can leave: no open port.

`commands/ID.json` waits for the run, which looks at every batch's end; `commands/done/ID.json` is
its answer. The directory and the files are the owner's alone. What another user left there, by
whatever way, is refused.
"""

import json
import os
import re
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter, ValidationError

from glm_composer.errors import UserError
from glm_composer.runs.folder import COMMANDS, now, write_whole
from glm_composer.runs.process import this_host

Kind = Literal["save", "eval", "set", "stop", "save-stop", "abort"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DONE = "done"
# A request is some hundred bytes.
_LARGEST = 65_536
_NAME = re.compile(r"[0-9a-z-]{1,80}\.json")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Something to do at the next batch's end.

    Attributes:
        id: names its file; requests are acted on in the order of their ids.
        kind: what to do.
        key: of `set`, what to change.
        value: of `set`, the new value as text.
        sent: when, ISO-8601 UTC.
        sender: HOST:PID of the command.
    """

    id: str
    kind: Kind
    key: str | None = None
    value: str | None = None
    sent: str
    sender: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a request.

    Attributes:
        done: whether it was acted on; otherwise it was refused or dropped.
        message: one line for people.
        step: batches done at that moment.
    """

    done: bool
    message: str
    step: int


@dataclass(frozen=True)
class Waiting:
    """What lies in a run's inbox.

    Attributes:
        requests: in their order.
        refused: why each of the other files is no request, by its id.
    """

    requests: list[Request]
    refused: dict[str, str]


_REQUEST = TypeAdapter(Request)
_ANSWER = TypeAdapter(Answer)


def open_inbox(run_dir: Path) -> None:
    """Make the inbox of a run that starts, for its owner alone.

    What was asked of an earlier start is dropped, but for changes: they wait for this one.

    Raises:
        UserError: there is one of another user.
    """
    folder = run_dir / COMMANDS
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_owner(folder)
    folder.chmod(0o700)
    (folder / DONE).mkdir(mode=0o700, exist_ok=True)
    late = Answer(done=False, message="dropped: the run ended before it came to this", step=0)
    for request in read_waiting(run_dir).requests:
        if request.kind != "set":
            answer(run_dir, request.id, late, request)


def send(run_dir: Path, kind: Kind, key: str | None = None, value: str | None = None) -> Request:
    """Leave a request for a run; it is there whole or not at all.

    Raises:
        UserError: the run takes no requests, or none of this user.
    """
    folder = run_dir / COMMANDS
    if not folder.is_dir():
        raise UserError(f"{run_dir}: takes no requests ({COMMANDS}/ is missing); did it start?")
    _check_owner(folder)
    # Time first: requests of one sender keep their order.
    name = f"{time.time_ns():020}-{os.getpid()}-{kind}"
    request = Request(
        id=name, kind=kind, key=key, value=value, sent=now(), sender=f"{this_host()}:{os.getpid()}"
    )
    aside = folder / f".{name}.partial"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(request), file)
    os.replace(aside, folder / f"{name}.json")
    return request


def any_waiting(run_dir: Path) -> bool:
    """Return whether there may be a request; it reads one directory and no file."""
    try:
        with os.scandir(run_dir / COMMANDS) as entries:
            return any(_NAME.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def read_waiting(run_dir: Path) -> Waiting:
    """Read the requests that nobody has answered yet."""
    found = Waiting([], {})
    folder = run_dir / COMMANDS
    for name in sorted(filter(_NAME.fullmatch, os.listdir(folder))):
        place = name.removesuffix(".json")
        try:
            _check_owner(folder)
            request = _read(folder / name)
            if request.id != place:
                raise UserError(f"its id is not its name: {request.id}")
            found.requests.append(request)
        except FileNotFoundError:
            # Answered in between.
            continue
        except UserError as error:
            found.refused[place] = str(error)
    return found


def answer(run_dir: Path, name: str, reply: Answer, request: Request | None = None) -> None:
    """Answer the request of this id: it moves to `done/`, with the answer.

    Raises:
        OSError: the answer cannot be written.
    """
    folder = run_dir / COMMANDS
    (folder / DONE).mkdir(mode=0o700, exist_ok=True)
    asked = {} if request is None else asdict(request)
    text = json.dumps({**asked, **asdict(reply), "answered": now()})
    write_whole(folder / DONE / f"{name}.json", text + "\n")
    (folder / f"{name}.json").unlink(missing_ok=True)


def read_answer(run_dir: Path, name: str) -> Answer | None:
    """Return the answer to the request of this id; None if there is none yet.

    Raises:
        UserError: it is damaged.
    """
    path = run_dir / COMMANDS / DONE / f"{name}.json"
    try:
        return _ANSWER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UserError(f"{path}: damaged ({error.errors()[0]['msg']})") from None


def _read(path: Path) -> Request:
    """Read a file that must be this user's own, without following a link.

    Raises:
        UserError: it is not, or it is no request.
        FileNotFoundError: it is not there any more.
    """
    try:
        # A named pipe must not keep the run waiting for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UserError("no plain file")
        if facts.st_uid != os.geteuid():
            raise UserError(f"left by user {facts.st_uid}; the run is of user {os.geteuid()}")
        if facts.st_mode & 0o022:
            raise UserError("others than its owner may write it")
        try:
            return _REQUEST.validate_json(file.read(_LARGEST))
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"no request ({first['msg']})") from None


def _check_owner(folder: Path) -> None:
    facts = folder.stat()
    if facts.st_uid != os.geteuid():
        raise UserError(
            f"{folder}: of user {facts.st_uid}, not {os.geteuid()}; only the owner of a run "
            "gives it requests"
        )
    if facts.st_mode & 0o022:
        raise UserError(f"{folder}: others than its owner may write there; chmod 700 it")
