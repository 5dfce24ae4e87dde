"""Memory of a training step on a CPU: kept from one step to the next, in huge pages.

A step asks for gigabytes and frees them, and the next one asks again. By default glibc maps blocks
over some megabytes and returns them one by one, so that every step has the system clear all of its
pages anew: a hundred thousand page faults, an eighth of the step.
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


def ask_for_huge_pages() -> None:
    """Let torch ask Linux for huge pages for tensors of 2 MiB and more.

    It asks, as long as `THP_MEM_ALLOC_ENABLE` is not set to 0, where the system lets programs
    choose (`madvise` in /sys/kernel/mm/transparent_hugepage/enabled); faults are fewer by far.
    Such tensors begin at a page, too, which leaves glibc's heap in fewer pieces: where a tensor
    begins elsewhere, glibc (2.36; newer ones not looked at) fills its surroundings with small
    objects, and tensors of the same size do not fit there any more. To be called before Composer
    or torch's compiler is imported: they make tensors, and torch looks at the variable once.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
