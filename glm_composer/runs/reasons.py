"""Why a run ends: the names of its record, and the exit codes that go with them."""

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from glm_composer.errors import UserError

if TYPE_CHECKING:
    from glm_composer.runs.status import State

Reason = Literal[
    "finished",
    "requested",
    "aborted",
    "signal",
    "out_of_memory",
    "bad_loss",
    "disk_full",
    "lost_rank",
    "stuck_rank",
    "bad_input",
    "error",
]

# 75 is EX_TEMPFAIL of sysexits.h: start the same command again.
CODES: dict[Reason, int] = {
    "finished": 0,
    "requested": 76,
    "aborted": 77,
    "signal": 75,
    "out_of_memory": 78,
    "bad_loss": 2,
    "disk_full": 2,
    "lost_rank": 79,
    "stuck_rank": 79,
    "bad_input": 2,
    "error": 1,
}
_STOPPED = ("requested", "aborted", "signal")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How torch says it on a CPU, and CUDA where torch has no exception of its own for it.
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")


class RunEnds(UserError):
    """Ends a run for a named reason; raised on all ranks together.

    Args:
        reason: of the record.
        message: one line for people.
        code: exit code; None for the one of the reason.
    """

    def __init__(self, reason: Reason, message: str, code: int | None = None):
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = CODES[reason] if code is None else code


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
        reason: of the record.
        message: one line for people.
        code: exit code of the command.
    """

    reason: Reason
    message: str
    code: int

    @property
    def state(self) -> "State":
        """The run's last state."""
        if self.reason == "finished":
            return "finished"
        return "stopped" if self.reason in _STOPPED else "failed"


FINISHED = End("finished", "the run is done", 0)


def end_of(error: BaseException) -> End:
    """Return the end of a run that an exception is."""
    if isinstance(error, RunEnds):
        return End(error.reason, error.message, error.code)
    if isinstance(error, KeyboardInterrupt):
        return End("signal", "interrupted", 130)
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        # Composer's own handler, outside of what handles signals here.
        return End("signal", f"ended by signal {error.code - 128}", error.code)
    reason: Reason = "error"
    if _is_out_of_memory(error):
        reason = "out_of_memory"
    elif _is_disk_full(error):
        reason = "disk_full"
    elif isinstance(error, UserError):
        reason = "bad_input"
    return End(reason, _line(error), CODES[reason])


def _is_out_of_memory(error: BaseException) -> bool:
    # By its name: torch, whose exception it is, may not have been imported.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _NO_MEMORY
    )


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is a disk without room."""
    while error is not None and not (isinstance(error, OSError) and error.errno in _FULL):
        error = error.__cause__ or error.__context__
    return error is not None


def _line(error: BaseException) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, UserError):
        return first
    if isinstance(error, OSError) and error.errno in _FULL:
        place = error.filename or "disk"
        return f"{place}: {error.strerror}; make room and start the same command again"
    name = type(error).__name__
    return f"{name}: {first}" if first else name
