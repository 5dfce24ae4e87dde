"""Several processes that do one job, as `composer -n N` starts them, or whatever sets RANK.

Only gloo, without Composer: processes share what the first of them has found out and wait for each
other. One that dies is noticed where the others next meet it, in `share` or `wait`; until then
they go on with what they do.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

from glm_composer.errors import UserError

T = TypeVar("T")

# The first process may check a long table for hours while the others wait.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class Ranks:
    """The processes of a job.

    Attributes:
        rank: which of them this one is, from 0.
        count: how many there are.
    """

    rank: int
    count: int
    # What was sent: threads of gloo let go of a tensor after a broadcast is over; if they are the
    # last to do so they need Python's lock, which `destroy_process_group` holds while it waits for
    # them (torch 2.7).
    _sent: list[Tensor] = field(default_factory=list, repr=False)

    def share(self, make: Callable[[], T]) -> T:
        """Call a function in the first process, and return its result in all of them.

        Raises:
            UserError: in the others, where the function fails in the first.
        """
        if self.count == 1:
            return make()
        found = None
        try:
            if self.rank == 0:
                found = pickle.dumps(make())
        finally:
            found = self._broadcast(found)
        if not found:
            raise UserError("the first process has given up; its message says why")
        return pickle.loads(found)

    def _broadcast(self, content: bytes | None) -> bytes:
        """Return what the first process gives, in all of them; nothing for None."""
        size = torch.tensor([len(content or b"")])
        with _noticing_the_dead():
            self._sent.append(size)
            distributed.broadcast(size, src=0)
            data = torch.zeros(int(size), dtype=torch.uint8)
            if content:
                data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            if len(data):
                self._sent.append(data)
                distributed.broadcast(data, src=0)
        return data.numpy().tobytes()

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.count > 1:
            with _noticing_the_dead():
                distributed.barrier()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Meet the other processes of this job, as RANK and WORLD_SIZE tell of them."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(0, 1)
        return
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if "OMP_NUM_THREADS" not in os.environ:
        # Processes of one machine share its cores.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local))
    distributed.init_process_group("gloo", timeout=_PATIENCE)
    ranks = Ranks(distributed.get_rank(), count)
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()
        ranks._sent.clear()


@contextmanager
def _noticing_the_dead() -> Iterator[None]:
    try:
        yield
    except RuntimeError:
        raise UserError(
            "another process of this job has ended too early; run the command again to go on "
            "from what is finished"
        ) from None
