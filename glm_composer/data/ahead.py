"""Items made by a thread before they are asked for, so that making and using them overlap.

A thread and no processes: numpy lets go of the interpreter while it works, one core prepares far
more windows than an encoder eats, and a kill leaves nothing behind, where worker processes take
named semaphores. It computes alone: with helpers of its own OpenMP would count more threads than
cores, and let all of them, the trainer's too, sleep instead of spin while they wait.
"""

import threading
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """Yield `items` in order, up to `count` of them made in advance.

    What making one raises is raised in its place. The thread starts with the first item asked for
    and ends before this generator does.
    """
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    room = threading.Semaphore(count)
    stopped, started = threading.Event(), threading.Event()

    def make() -> None:
        # The first one, since a thread that has not computed yet takes the number over later.
        torch.get_num_threads()
        torch.set_num_threads(1)
        started.set()
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
    count_here = torch.get_num_threads()
    thread.start()
    started.wait()
    # What one thread sets, torch takes over in every other that has not computed yet.
    torch.set_num_threads(count_here)
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
