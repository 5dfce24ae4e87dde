"""Items made by a thread before they are asked for, so that making and using them overlap.

A thread and no processes: numpy lets go of the interpreter while it works, one core prepares far
more windows than an encoder eats, and a kill leaves nothing behind, where worker processes take
named semaphores.
"""

import threading
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield `items` in order, up to `count` of them made in advance.

    What making one raises is raised in its place. The thread starts with the first item asked for
    and ends before this generator does.
    """
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room = threading.Semaphore(count)
    stopped = threading.Event()

    def make() -> None:
        coming = iter(items)
        try:
            while True:
                room.acquire()
                if stopped.is_set():
                    return
                made.put((True, next(coming)))
        except StopIteration:
            made.put((False, None))
        except BaseException as error:
            made.put((False, error))

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, item = made.get()
            if not more:
                break
            room.release()
            yield item
        if item is not None:
            raise item
    finally:
        stopped.set()
        room.release()
        thread.join()
