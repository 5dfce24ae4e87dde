"""glibc's allocator, told to keep the memory it has.

A training step on a CPU asks for gigabytes and frees them, and the next one asks again. By default
blocks over some megabytes are mapped and returned one by one, so that every step has the system
clear all of its pages anew: a hundred thousand page faults, an eighth of the step.
"""

import ctypes
import os
import sys

# Of malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let this process reuse freed memory instead of returning it to the system.

    Its resident set stays at its peak then, which training reaches at every step.

    Returns:
        Whether it does: other systems and C libraries have their own ways, and whoever has set
        glibc's own variables (`MALLOC_TRIM_THRESHOLD_` and others) keeps what they say.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ)
    if chosen or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    # No mapping of single blocks; -1 stands for never giving the heap's end back.
    return bool(library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, -1))
