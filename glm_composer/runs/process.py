"""Whether a process is still the one that wrote a file: its number is given away again."""

import os
import platform
from pathlib import Path

# Gone already, though its parent has not asked for its exit code.
_GONE = ("Z", "X")


def this_host() -> str:
    """Return this machine's name, as runs write it down."""
    return platform.node()


def process_start(pid: int) -> int | None:
    """Return when a process of this machine began, in clock ticks since the machine did.

    None where there is no such process, where it is over, or where the system has no /proc.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is a name in parentheses, which may itself hold blanks and parentheses.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in _GONE else int(fields[18])


def is_running(pid: int, start: int | None) -> bool:
    """Return whether a process of this machine still runs.

    Args:
        pid: its number.
        start: its `process_start`; None if that was not known.
    """
    if start is not None:
        return process_start(pid) == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
