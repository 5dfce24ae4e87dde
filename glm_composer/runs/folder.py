"""Names of what lies in a run's directory, and the one way in which it is written."""

import os
from datetime import UTC, datetime
from pathlib import Path

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
CHANGES = "changes.patch"
DATA = "data.json"
METRICS = "metrics.jsonl"
EVENTS = "events.jsonl"
STATUS = "status.json"
RANKS = "ranks"
COMMANDS = "commands"
# Room on the disk that a run keeps until its end.
ROOM = ".room"
CHECKPOINTS = "checkpoints"


def write_whole(path: Path, text: str) -> None:
    """Write a small file aside, then rename it: a reader finds the old one or the new one.

    It does not wait for the disk: a file that is a second old after a power cut is no loss.

    Raises:
        OSError: it cannot be written; the file that was there is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def now() -> str:
    """Return the time as ISO-8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
