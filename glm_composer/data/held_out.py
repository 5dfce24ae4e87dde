"""A held-out split in order, every window exactly once over all ranks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from glm_composer.data.batches import BatchIds
from glm_composer.data.dataset import read_batch
from glm_composer.data.shards import Shards


class HeldOutDataset(IterableDataset):
    """Batches of a split, dealt to ranks batch by batch.

    Every rank yields equally many batches of equal size, as collective operations need; where
    windows run out, rows are filled up with blanks that ask for nothing and so weigh nothing.

    Args:
        shards: the windows.
        rank_batch: windows a batch on each rank.
        rank: this rank.
        ranks: how many there are.
        limit: use only the first `limit` windows.
    """

    def __init__(
        self, shards: Shards, rank_batch: int, rank: int, ranks: int, limit: int | None = None
    ):
        self.shards = shards
        self.rank_batch, self.rank, self.ranks = rank_batch, rank, ranks
        self.samples = min(len(shards), limit or len(shards))

    def __len__(self) -> int:
        return -(-self.samples // (self.rank_batch * self.ranks))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield batches, see `read_batch`; the epoch is always 0."""
        for index in range(len(self)):
            first = (index * self.ranks + self.rank) * self.rank_batch
            ids = np.arange(first, first + self.rank_batch, dtype=np.int64)
            yield read_batch(self.shards, BatchIds(np.where(ids < self.samples, ids, -1), 0))
