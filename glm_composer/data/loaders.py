"""Datasets -> loaders as the Trainer wants them, with the counts it needs."""

from pathlib import Path
from typing import Any, cast

import torch
from composer.core import DataSpec
from composer.utils import dist
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from glm_composer.data.dataset import WindowDataset
from glm_composer.data.held_out import HeldOutDataset
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards


def train_loader(
    path: Path,
    prepare: Prepare,
    global_batch: int,
    seed: int,
    shuffle: bool = True,
    limit: int | None = None,
    workers: int = 0,
) -> DataSpec:
    """Return the training stream of a split's directory, ready for the Trainer."""
    rank_batch = global_batch // dist.get_world_size()
    dataset = WindowDataset(path, global_batch, rank_batch, seed, shuffle, limit)
    return _data_spec(dataset, prepare, dataset.epoch_samples, workers)


def held_out_loader(
    path: Path, prepare: Prepare, rank_batch: int, limit: int | None = None
) -> DataSpec:
    """Return a held-out split, every window exactly once over all ranks."""
    dataset = HeldOutDataset(
        Shards(path), rank_batch, dist.get_global_rank(), dist.get_world_size(), limit
    )
    return _data_spec(dataset, prepare, dataset.samples, 0)


def _data_spec(dataset: IterableDataset, prepare: Prepare, samples: int, workers: int) -> DataSpec:
    loader: DataLoader = DataLoader(
        dataset,
        batch_size=None,
        collate_fn=cast(Any, prepare),  # its stub thinks of lists of samples only
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return DataSpec(
        loader,
        num_samples=samples,
        get_num_samples_in_batch=lambda batch: len(batch["id"]),
        get_num_tokens_in_batch=cast(Any, count_tokens),  # weights are no integers
    )


def count_tokens(batch: dict[str, Tensor]) -> dict[str, int | float]:
    """Count bases, and the sum of their loss weights.

    Composer weights ranks and micro-batches by `loss_generating`, so that their losses and
    gradients add up to the one ratio sum(loss x weight) / sum(weight) of the global batch.
    """
    weight = float(batch["loss_weight"].sum(dtype=torch.float64))
    # A batch that asks nothing at all (only N) must not divide by zero.
    return {"total": batch["input_ids"].numel(), "loss_generating": max(weight, 1e-12)}
