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

# With 64 canonical nodes a global batch holds the same samples on 1 to 32 ranks and 1 to 4 nodes.
CANONICAL_NODES = 64


class WindowDataset(StreamingDataset):
    """Batches of windows in Streaming's shuffled order.

    An epoch is the largest multiple of lcm(canonical nodes, global batch) that the split holds:
    whole batches only, no sample twice. The few samples left over differ from epoch to epoch.

    Args:
        path: the split's directory.
        global_batch: windows a batch over all ranks.
        rank_batch: windows a batch on this rank.
        seed: of the shuffle.
        shuffle: draw a new order every epoch; otherwise the order of the shards.
        limit: take only so many of the split's windows, the same every epoch.

    Raises:
        UserError: the split has fewer windows than one global batch.
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
        samples = sum(shard["samples"] for shard in read_index(path)["shards"])
        samples = min(samples, limit or samples)
        if samples < global_batch:
            raise UserError(
                f"{path}: {samples} windows, fewer than global_train_batch_size ({global_batch})"
            )
        unit = math.lcm(CANONICAL_NODES, global_batch)
        nodes = CANONICAL_NODES if samples >= unit else 1
        unit = math.lcm(nodes, global_batch)
        super().__init__(
            local=str(path),
            batch_size=rank_batch,
            shuffle=shuffle,
            shuffle_seed=seed,
            num_canonical_nodes=nodes,
            epoch_size=samples // unit * unit,
            sampling_method="balanced" if limit is None else "fixed",
        )
        self.global_batch = global_batch
        self.epoch_samples = samples // unit * unit
        shard = cast(MDSReader, self.shards[0])
        self.row = row_type(shard.column_names, shard.column_encodings, path)
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
            self.prepare_shard(shard)
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
        if from_beginning and num_samples == 0:
            self.next_epoch += 1
            try:
                return super().state_dict(num_samples, from_beginning)
            finally:
                self.next_epoch -= 1
        return super().state_dict(num_samples, from_beginning)
