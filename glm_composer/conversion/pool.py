"""Tasks over processes, or in this one where that is not worth it."""

import logging
import os
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

from glm_composer.conversion.pieces import Piece, Task, make_parts
from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)
# Bases (or bytes of a file): less is done before a second process has imported numpy.
_WORTH_PROCESSES = 64 << 20


def run(tasks: Sequence[Task], workers: int, done: Callable[[Piece], None]) -> None:
    """Run tasks and call `done` for every piece whose part is there.

    Raises:
        UserError: as `make_parts`; a worker was killed.
        OSError: a part cannot be written.
    """
    size = sum(piece.size for task in tasks for piece in task.pieces)
    if workers > 1 and len(tasks) == 1 and len(tasks[0].pieces) > 1 and size >= _WORTH_PROCESSES:
        _LOG.info(
            "one process only: this source can only be read from its beginning; gunzip the FASTA, "
            "or make it a .2bit, for several"
        )
    if min(workers, len(tasks)) > 1 and size >= _WORTH_PROCESSES and _can_travel(tasks[0]):
        _run_in_processes(tasks, min(workers, len(tasks)), done)
        return
    for task in tasks:
        for piece in make_parts(task):
            done(piece)


def available_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _can_travel(task: Task) -> bool:
    try:
        pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        _LOG.warning("one process only: this source cannot be handed to another (%s)", error)
        return False
    return True


def _run_in_processes(tasks: Sequence[Task], workers: int, done: Callable[[Piece], None]) -> None:
    # Spawned, not forked: this process may have threads, whose locks a fork would copy.
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        futures = [pool.submit(_make_parts, task) for task in tasks]
        try:
            for future in as_completed(futures):
                for piece in future.result():
                    done(piece)
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, perhaps for want of memory; the same command goes "
                "on from the finished parts (workers=1 needs the least memory)"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _make_parts(task: Task) -> list[Piece]:
    return list(make_parts(task))


def _end_with_parent() -> None:
    """Watch the parent, or a worker would wait for ever for the next task of a killed one."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
