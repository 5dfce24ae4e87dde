"""The training stream: StreamingDataset's order and resumption, whole batches from mapped shards.

Everything that decides order, partition over ranks and resumption is inherited, so a batch holds
the samples the stock reader would have yielded, in its order. Only the reading is ours.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from streaming import StreamingDataset
from streaming.base.format.mds import MDSReader

from glm_composer.data.shards import gather_rows, map_shard, read_index, row_type
from glm_composer.errors import UserError


def canonical_nodes(global_batch: int) -> int:
    """Return Streaming's number of canonical nodes for a global batch.

    It decides the order, so it must not depend on ranks or nodes. With 64 a global batch holds the
    same samples on 1 to 32 ranks and 1 to 4 nodes. A divisor of the batch, so that an epoch of
    whole batches also divides into equal canonical nodes: else Streaming pads with repeats.
    """
    return math.gcd(64, global_batch)


class WindowDataset(StreamingDataset):
    """Batches of windows in Streaming's shuffled order.

    An epoch is as many whole global batches as the split holds, no sample twice. The samples left
    over, fewer than a batch, differ from epoch to epoch.

    Args:
        path: the split's directory.
        global_batch: windows a batch over all ranks.
        rank_batch: windows a batch on this rank.
        seed: of the shuffle.
        shuffle: draw a new order every epoch; otherwise canonical nodes take turns, each through
            its part of the shards in order.
        limit: take at most so many of the split's windows, the same every epoch.

    Raises:
        UserError: the split has fewer windows than one global batch, or a shard is missing or
            truncated.
    """

    def __init__(
        self,
        path: Path,
        global_batch: int,
        rank_batch: int,
        seed: int,
        shuffle: bool = True,
        limit: int | None = None,
    ):
        index = read_index(path)["shards"]
        samples = sum(shard["samples"] for shard in index)
        samples = min(samples, limit or samples)
        if samples < global_batch:
            raise UserError(
                f"{path}: {samples} windows, fewer than global_train_batch_size ({global_batch})"
            )
        self.global_batch = global_batch
        self.epoch_samples = samples // global_batch * global_batch
        super().__init__(
            local=str(path),
            batch_size=rank_batch,
            shuffle=shuffle,
            shuffle_seed=seed,
            num_canonical_nodes=canonical_nodes(global_batch),
            epoch_size=self.epoch_samples,
            sampling_method="balanced" if limit is None else "fixed",
        )
        self.row = row_type(index[0]["column_names"], index[0]["column_encodings"], path)
        self.rank_batch = rank_batch
        self._starts = np.concatenate([[0], np.cumsum(self.samples_per_shard)])
        self._maps: dict[int, NDArray[Any]] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield `sequence` [batch, length] uint8 ASCII, `id` [batch] int64 and `epoch` int."""
        self._unique_worker_world = self._unique_rank_world.detect_workers()
        self._parallel_worker_world = self._parallel_rank_world.detect_workers()
        epoch, sample_in_epoch = self._resume_incr_epoch()
        ids = self._get_work(epoch, sample_in_epoch)
        ids = ids[ids >= 0]
        for start in range(0, len(ids), self.rank_batch):
            chosen = ids[start : start + self.rank_batch]
            rows = gather_rows(chosen, self._starts, self._map, self.row)
            yield {"sequence": rows["sequence"], "id": chosen, "epoch": epoch}

    def __len__(self) -> int:
        """Batches an epoch on this rank, since batches are what is yielded."""
        return self.epoch_samples // self.global_batch

    def _map(self, shard: int) -> NDArray[Any]:
        if shard not in self._maps:
            reader = cast(MDSReader, self.shards[shard])
            file = Path(reader.dirname) / reader.split / reader.raw_data.basename
            self._maps[shard] = map_shard(file, self.row, reader.samples)
        return self._maps[shard]

    def state_dict(self, num_samples: int, from_beginning: bool) -> dict[str, Any]:
        """Return the state to resume from.

        Streaming's own answer at an epoch's boundary names the epoch that has just ended, which a
        resumed run would repeat: Composer has already counted on (`num_samples` is 0) while no new
        iterator has been made.
        """
        state = super().state_dict(num_samples, from_beginning)
        if from_beginning and num_samples == 0:
            # Only read `next_epoch`: it lies in memory that all ranks of a node share, and every
            # rank asks at the same time.
            state["epoch"], _ = self._resume(self._parallel_rank_world, self.next_epoch)
        return state
