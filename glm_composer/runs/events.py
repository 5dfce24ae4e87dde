"""`events.jsonl`: what happened to a run and when, a line an event, over all of its starts."""

import json
import os
from pathlib import Path
from typing import Any

from glm_composer.errors import UserError
from glm_composer.runs.folder import EVENTS, now


def append_event(run_dir: Path, event: str, **fields: Any) -> None:
    """Append an event with its time.

    Args:
        run_dir: of the run.
        event: its name: started, checkpoint, evaluated, request, signal or ended.
        fields: what else there is to say, as JSON can; `step` is the batches done.

    Raises:
        OSError: it cannot be written.
    """
    line = json.dumps({"time": now(), "event": event, **fields}) + "\n"
    descriptor = os.open(run_dir / EVENTS, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # A crash or a full disk cut the line before this one short.
            line = "\n" + line
        # In one piece: lines of two writers never mix.
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_events(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's events, in order; none if there is no file. Each has `time` and `event`.

    A line that a crash cut short is left out.

    Raises:
        UserError: the file cannot be read.
    """
    path = run_dir / EVENTS
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    return event if isinstance(event.get("time"), str) else None
