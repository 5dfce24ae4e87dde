"""Locks between processes, also of several users, that no killed process leaves behind.

The kernel holds them. Their files can be opened by everybody who may enter the directory.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glm_composer.errors import UserError

_POLL_S = 0.01
_OPENING_S = 1.0


@contextmanager
def held(
    path: Path, done: Callable[[], bool], patience: float, progress: Callable[[], int]
) -> Iterator[int]:
    """Hold the lock file `path` for as long as the body runs; it is deleted then.

    Gives the open file's descriptor, or -1 without a lock when `done` says that whoever held it
    has done the work.

    Args:
        path: the lock file; created.
        done: whether the work is done.
        patience: seconds to wait while the holder makes no progress.
        progress: a number that changes while the holder gets on.

    Raises:
        UserError: the holder made no progress for that long.
    """
    descriptor = _acquire(path, done, patience, progress)
    try:
        yield descriptor
    finally:
        if descriptor >= 0:
            _release(path, descriptor)


def _release(path: Path, descriptor: int) -> None:
    # One that a killed process of another user has left cannot be deleted everywhere; no harm.
    with suppress(PermissionError):
        # Before it is released: who gets a lock on a file without name, tries again.
        path.unlink(missing_ok=True)
    os.close(descriptor)


def _acquire(
    path: Path, done: Callable[[], bool], patience: float, progress: Callable[[], int]
) -> int:
    since, seen = time.monotonic(), -1
    while not done():
        descriptor = try_lock(path, create=True)
        if descriptor >= 0:
            if not done():
                return descriptor
            _release(path, descriptor)
            return -1
        if (now := progress()) != seen:
            since, seen = time.monotonic(), now
        if time.monotonic() - since > patience:
            raise UserError(
                f"{path}: another process has held this lock for {patience:.0f} s without "
                f"progress; look for it with `fuser {path}` and end it"
            )
        time.sleep(_POLL_S)
    return -1


def try_lock(path: Path, create: bool = False) -> int:
    """Lock a file if nobody else holds it; return its descriptor, or -1.

    Raises:
        FileNotFoundError: it is not there, and `create` is not asked.
    """
    descriptor = _open(path, create)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have deleted it between the two calls.
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return -1


def _open(path: Path, create: bool) -> int:
    deadline = time.monotonic() + _OPENING_S
    while True:
        # Not O_CREAT for one that is there: in a directory like /tmp the kernel then refuses
        # another user's file.
        try:
            return os.open(path, os.O_RDWR)
        except FileNotFoundError:
            if not create:
                raise
        except PermissionError:
            # Perhaps its maker has not come to the fchmod below.
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
            continue
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.fchmod(descriptor, 0o666)  # whatever the umask
            return descriptor


@contextmanager
def directory_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a directory, for work of milliseconds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
