"""Datasets -> loaders as the Trainer wants them, with the counts it needs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from composer.core import DataSpec
from composer.utils import dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from glm_composer.data.ahead import ahead
from glm_composer.data.batches import GlobalBatches, Place, Source
from glm_composer.data.dataset import WindowDataset
from glm_composer.data.held_out import HeldOutDataset
from glm_composer.data.mixture import MixedDataset, MixedWindows, Mixture, Proportion
from glm_composer.data.prepare import Prepare, to_tensors
from glm_composer.data.shards import Shards
from glm_composer.data.stream import Stream

# Batches whose windows are fetched ahead, where there is something to fetch.
LOOK_AHEAD = 32
# Batches prepared while one is in use.
BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Loading:
    """What every training stream needs to know.

    Attributes:
        prepare: makes tensors of a batch.
        on_device: prepare on the device that trains, where a loader only moves bytes; otherwise
            ahead of time, on the CPU.
        batch: windows of a global batch.
        seed: of the order.
        identity: settings that decide the content of batches, by key; a run only goes on where
            they, the data, the seed and the global batch are what they were.
        shuffle: draw a new order every epoch.
        force: go on in any case.
    """

    prepare: Prepare
    batch: int
    seed: int
    on_device: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict)
    shuffle: bool = True
    force: bool = False


def train_loader(shards: Shards, loading: Loading, limit: int | None = None) -> DataSpec:
    """Return the training stream of a split, ready for the Trainer.

    Args:
        shards: the split.
        loading: how to load.
        limit: use only so many windows, evenly spaced.
    """
    ahead = LOOK_AHEAD if shards.fetches else 0
    stream = Stream(shards.counts, loading.seed, loading.shuffle, limit, ahead)
    identity = {"training data": _identity(shards), "windows in use": stream.samples}
    batches = _batches(stream, loading, identity, str(shards.path))
    return _train_spec(WindowDataset(shards, batches), batches, loading)


def mixed_loader(
    shards: Mapping[str, Shards],
    proportions: Mapping[str, Proportion],
    loading: Loading,
    epoch_windows: int | None = None,
) -> DataSpec:
    """Return the training stream of several splits, ready for the Trainer.

    Args:
        shards: the splits, by the streams' names.
        proportions: of each.
        loading: how to load.
        epoch_windows: windows of an epoch; null for as many as there are.
    """
    streams = [Stream(each.counts, loading.seed, loading.shuffle) for each in shards.values()]
    ahead = LOOK_AHEAD if any(each.fetches for each in shards.values()) else 0
    source = Mixture(streams, list(proportions.values()), loading.batch, epoch_windows, ahead)
    identity: dict[str, Any] = {"data.epoch_windows": source.samples}
    for name, each in shards.items():
        identity[f"data of stream {name}"] = _identity(each)
        points = zip(proportions[name].batches, proportions[name].weights, strict=True)
        identity[f"data.streams.{name}.proportion"] = str([list(point) for point in points])
    batches = _batches(source, loading, identity, f"streams {', '.join(shards)}")
    dataset = MixedDataset(MixedWindows(shards, source.starts), batches)
    return _train_spec(dataset, batches, loading)


def _identity(shards: Shards) -> str:
    return f"{len(shards):,} windows in {len(shards.counts)} shards ({shards.fingerprint[:16]})"


def _batches(
    source: Source, loading: Loading, identity: Mapping[str, Any], name: str
) -> GlobalBatches:
    place = Place(dist.get_global_rank(), dist.get_world_size(), dist.get_local_world_size())
    known = {"seed": loading.seed, "data.shuffle": loading.shuffle}
    batches = GlobalBatches(
        source, loading.batch, place, {**loading.identity, **identity, **known}, loading.force
    )
    if place.rank == 0:
        print(f"{name}: {batches}", flush=True)
    return batches


def _train_spec(dataset: WindowDataset, batches: GlobalBatches, loading: Loading) -> DataSpec:
    samples = batches.source.samples
    return _data_spec(dataset, loading.prepare, loading.on_device, samples, batches)


def stream_table(spec: DataSpec, names: Sequence[str]) -> list[dict[str, Any]]:
    """Tell the streams of a training stream apart, for its ledger.

    Args:
        spec: what `train_loader` or `mixed_loader` has returned.
        names: of the streams.

    Returns:
        `name`, `total` windows, windows in use (`windows`) and first sample id (`first`) of each.
    """
    source = cast(Any, spec.dataloader).sampler.source
    streams = source.streams if isinstance(source, Mixture) else [source]
    firsts = np.cumsum([0, *(stream.total for stream in streams)]).tolist()
    return [
        {"name": name, "total": stream.total, "windows": stream.samples, "first": first}
        for name, stream, first in zip(names, streams, firsts, strict=False)
    ]


def held_out_loader(
    shards: Shards,
    prepare: Prepare,
    rank_batch: int,
    limit: int | None = None,
    on_device: bool = False,
) -> DataSpec:
    """Return a held-out split, every window exactly once over all ranks."""
    dataset = HeldOutDataset(
        shards, rank_batch, dist.get_global_rank(), dist.get_world_size(), limit
    )
    return _data_spec(dataset, prepare, on_device, dataset.samples)


class _Loader(DataLoader):
    """A DataLoader that prepares the next batches while one is in use."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        device = torch.cuda.current_device() if self.pin_memory else None
        yield from ahead(self._prepare(device), BATCHES_AHEAD)

    def _prepare(self, device: int | None) -> Iterator[Any]:
        if device is not None:
            # A thread begins on the first device, whose memory is another rank's.
            torch.cuda.set_device(device)
        yield from super().__iter__()


def _data_spec(
    dataset: Dataset,
    prepare: Prepare,
    on_device: bool,
    samples: int,
    sampler: Sampler | None = None,
) -> DataSpec:
    loader: DataLoader = _Loader(
        dataset,
        batch_size=None,
        sampler=sampler,
        # The stub thinks of lists of samples only.
        collate_fn=cast(Any, to_tensors if on_device else prepare),
        pin_memory=torch.cuda.is_available(),
        # It draws a seed at every start; from the global state that would disturb dropout.
        generator=torch.Generator(),
    )
    return DataSpec(
        loader,
        num_samples=samples,
        # Of whole batches: micro-batches are weighted by the sums of their weights, so that these
        # must be there before Composer divides a batch and moves its parts.
        batch_transforms=partial(_prepare_on_device, prepare) if on_device else None,
        get_num_samples_in_batch=lambda batch: int((batch["id"] >= 0).sum()),
        get_num_tokens_in_batch=cast(Any, count_tokens),  # weights are no integers
    )


def _prepare_on_device(prepare: Prepare, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return prepare({name: each.to(device, non_blocking=True) for name, each in batch.items()})


def count_tokens(batch: dict[str, Tensor]) -> dict[str, int | float]:
    """Count bases of real windows, and the sum of their loss weights.

    Composer weights ranks and micro-batches by `loss_generating`, so that their losses and
    gradients add up to the one ratio sum(loss x weight) / sum(weight) of the global batch.
    """
    weight = float(batch["loss_weight"].sum(dtype=torch.float64))
    # A batch that asks nothing at all (only N, only blanks) must not divide by zero.
    real = batch["id"] >= 0
    if "length" in batch:
        bases = int((batch["length"] * real).sum())
    else:
        bases = int(real.sum()) * batch["input_ids"].shape[1]
    return {"total": bases, "loss_generating": max(weight, 1e-12)}
