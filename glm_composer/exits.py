"""From an exception to what a user reads and the exit code of the command."""

import errno
import sys
from collections.abc import Callable

from glm_composer.errors import UserError
from glm_composer.runs.reasons import RunEnds, end_of

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
}


def report_errors(verb: Callable[[], object]) -> int:
    """Call a verb; turn a user's error into one line on stderr and its exit code."""
    try:
        verb()
    except RunEnds as error:
        stopped = end_of(error).state == "stopped"
        print(error if stopped else f"error: {error}", file=sys.stderr)
        return error.code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        print(f"error: {error.filename or 'disk'}: {error.strerror}; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
