"""The samples of one split as a stream of epochs; the next order is made while one is read."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.batches import BatchIds, Ids, Place, fill
from glm_composer.data.order import Order, epoch_order

# What is to be fetched ahead is told again so often while it is read.
TOLD_AGAIN = 4


class Stream:
    """A split's samples in a new order every epoch.

    Args:
        counts: [shards] samples of each shard.
        seed: of the shuffle.
        shuffle: draw a new order every epoch.
        limit: use only so many samples, evenly spaced, the same every epoch.
        ahead: tell so many coming batches' samples, now and then.

    Attributes:
        total: samples of the split.
        samples: how many of them are in use, which is an epoch.
    """

    rule = "each window once"

    def __init__(
        self,
        counts: NDArray[np.int64],
        seed: int,
        shuffle: bool = True,
        limit: int | None = None,
        ahead: int = 0,
    ):
        self.total = int(counts.sum())
        self.samples = min(self.total, limit or self.total)
        starts = np.concatenate([[0], np.cumsum(counts)])
        # Sample i of those in use is i x total // samples; so many of them lie in each shard.
        self._counts = np.diff(-(-starts * self.samples // self.total))
        self._seed, self._shuffle, self._ahead = seed, shuffle, ahead
        self._orders: dict[tuple[int, int, int], Future[Order]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="order")

    def order(self, epoch: int, start: int = 0, turn: int = 0, ranks: int = 1) -> Order:
        """Return `order[start + turn::ranks]` of an epoch, and begin to make the next one's."""
        wanted, following = (epoch, start + turn, ranks), (epoch + 1, turn, ranks)
        # This one and the next are kept; those before are let go.
        self._orders = {key: self._begin(key) for key in (wanted, following)}
        return self._orders[wanted].result()

    def _begin(self, key: tuple[int, int, int]) -> Future[Order]:
        return self._orders.get(key) or self._thread.submit(self._make, *key)

    def _make(self, epoch: int, first: int, stride: int) -> Order:
        return epoch_order(
            self._counts, self._seed, epoch, shuffle=self._shuffle, first=first, stride=stride
        )

    def ids(self, order: NDArray[Any]) -> Ids:
        """Sample ids int64 [n] of a piece of an order."""
        chosen = order.astype(np.int64)
        return chosen if self.samples == self.total else chosen * self.total // self.samples

    def deal(self, epoch: int, start: int, batch: int, place: Place) -> Iterator[BatchIds]:
        """Yield a rank's share of an epoch's batches, see `Source`; only its share is in memory.

        On one rank that is 4 bytes a sample, and as much again for the epoch that follows.
        """
        order = self.order(epoch, start, place.turn, place.ranks)
        size = batch // place.ranks
        for at in range(-(-(self.samples - start) // batch)):
            coming = None
            if self._ahead and at % (self._ahead // TOLD_AGAIN) == 0:
                coming = self.ids(order[at * size : (at + self._ahead) * size])
            yield BatchIds(fill(self.ids(order[at * size : (at + 1) * size]), size), epoch, coming)
