"""Which windows each batch of a run holds, on every rank; position and resumption.

Batch b of an epoch is order[b x B : (b + 1) x B] for a global batch of B, and ranks take turns
within it, so any number of ranks sees the same set. The last batch of an epoch is filled up with
blanks: shapes stay fixed, and every window is seen exactly once an epoch.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

from glm_composer.errors import UserError

Ids = NDArray[np.int64]


class BatchIds(NamedTuple):
    """What a batch holds on one rank.

    Attributes:
        ids: [batch] sample ids, -1 for a blank.
        epoch: 0-based, of all of them or [batch] of each; with seed and id it decides their masks.
        coming: [n] samples of the batches that follow, to be fetched ahead; None for nothing new.
    """

    ids: Ids
    epoch: int | Ids
    coming: Ids | None = None


class Place(NamedTuple):
    """A rank among all.

    Attributes:
        rank: of this process, over all nodes.
        ranks: how many there are.
        node_ranks: how many a node has.
    """

    rank: int = 0
    ranks: int = 1
    node_ranks: int = 1

    @property
    def turn(self) -> int:
        """This rank's turn in the order, below `ranks`.

        Nodes take turns first, then the ranks of a node, as in Streaming: a node that is one of
        1 to 64 meets its own canonical nodes' shards only.
        """
        nodes, rest = divmod(self.ranks, self.node_ranks)
        if rest:
            return self.rank
        node, local = divmod(self.rank, self.node_ranks)
        return node + nodes * local


class Source(Protocol):
    """What global batches are cut from.

    Attributes:
        samples: of an epoch.
        rule: what an epoch holds, in words.
    """

    samples: int
    rule: str

    def deal(self, epoch: int, start: int, batch: int, place: Place) -> Iterator[BatchIds]:
        """Yield a rank's share of the batches of an epoch, all of equal size.

        Args:
            epoch: 0-based.
            start: samples of the epoch that are done already.
            batch: samples of a global batch.
            place: the rank.
        """
        ...


def fill(ids: NDArray[Any], size: int) -> Ids:
    """Sample ids [n] as int64 [size], filled up with blanks."""
    filled = np.full(size, -1, dtype=np.int64)
    filled[: len(ids)] = ids
    return filled


class GlobalBatches(DistributedSampler):
    """Deals a source's batches, an epoch an iteration; goes on where a checkpoint says.

    It runs in the training process; loader workers are sent the ids, and hold no position.
    Composer insists on a DistributedSampler, of which nothing but the type is used.

    Args:
        source: of the samples.
        batch: windows of a global batch.
        place: this rank.
        identity: names and values of what the order and content of batches depend on besides; a
            run only goes on where they are equal.
        force: go on where they are not.

    Raises:
        UserError: the global batch does not divide by the ranks.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        place: Place,
        identity: Mapping[str, Any] | None = None,
        force: bool = False,
    ):
        if batch % place.ranks:
            raise UserError(
                f"global_train_batch_size ({batch}) must be a multiple of the {place.ranks} ranks"
            )
        self.source, self.batch, self.place = source, batch, place
        self.identity, self.force = {**(identity or {}), "global_train_batch_size": batch}, force
        self._next = (0, 0)
        self._current: tuple[int, int] | None = None
        self._ended = False

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.source.samples // self.batch)

    def __iter__(self) -> Iterator[BatchIds]:
        """Begin the next epoch, or go on with the one that was interrupted.

        Nothing has begun before the first batch is asked for: a DataLoader with workers makes two
        iterators and uses one.
        """
        epoch, start = self._current = self._next
        self._next = (epoch + 1, 0)
        left = -(-(self.source.samples - start) // self.batch)
        self._ended = left <= 0
        if self._ended:
            return
        for done, batch in enumerate(self.source.deal(epoch, start, self.batch, self.place), 1):
            # Before the last one is out of hand: Composer stops asking when it has enough.
            self._ended = done == left
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: epochs are counted here, and go on with a checkpoint's."""

    def state_dict(self, samples: int) -> dict[str, Any]:
        """Return the state to resume from.

        Args:
            samples: of the current epoch that have been trained on; 0 as well when Composer has
                counted on to the next epoch, whose iteration has not begun.
        """
        epoch, _ = self._current or self._next
        if samples == 0 and self._ended:
            epoch += 1
        return {"epoch": epoch, "samples": samples, "identity": self.identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            UserError: the run it is of had other data or settings, and that is not forced.
        """
        before = state.get("identity")
        if before is None:
            raise UserError(
                "the checkpoint's position in the data is of an earlier version; start a new run"
            )
        for key in before.keys() | self.identity.keys():
            was, now = before.get(key), self.identity.get(key)
            if was != now and not self.force:
                raise UserError(
                    f"{key} was {was} in the checkpoint to go on from, now {now}; set it back, "
                    f"choose another run_name, or go on anyway with force_resume=true"
                )
        self._next, self._current = (state["epoch"], state["samples"]), None
        self._ended = False

    def __str__(self) -> str:
        """State the rule and its figures in one line."""
        samples = self.source.samples
        blanks = len(self) * self.batch - samples
        return (
            f"an epoch is {samples:,} windows in {len(self):,} batches of {self.batch:,}, "
            f"{self.source.rule}"
            + (f"; the last filled up with {blanks:,} blanks that weigh nothing" if blanks else "")
        )
