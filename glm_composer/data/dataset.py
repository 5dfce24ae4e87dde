"""Batches of windows by their sample ids: what loaders read, in training and in evaluation."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from glm_composer.data.batches import BatchIds, GlobalBatches, Ids


class Windows(Protocol):
    """Windows by sample id, as `Shards` are.

    Attributes:
        length: bases of every window; None where that varies.
    """

    length: int | None

    def gather(self, ids: Ids) -> NDArray[Any]:
        """Rows of samples `ids` [n], in that order: structured array [n]."""
        ...

    def prefetch(self, ids: Ids) -> None:
        """Fetch coming samples in the background, in this order; returns at once."""
        ...


def read_batch(windows: Windows, batch: BatchIds) -> dict[str, Any]:
    """Read a batch: `sequence` [batch, length] uint8 ASCII (N in blanks), `id` and `epoch`.

    Where windows vary in length also `length` [batch] int64, how much of each is real.
    """
    if batch.coming is not None:
        windows.prefetch(batch.coming)
    real = batch.ids >= 0
    rows = windows.gather(np.where(real, batch.ids, 0))
    sequence = rows["sequence"]
    if not real.all():
        sequence = np.where(real[:, None], sequence, np.uint8(ord("N")))
    found = {"sequence": sequence, "id": batch.ids, "epoch": batch.epoch}
    if windows.length is None:
        # A blank has one letter: there is no attention over nothing.
        found["length"] = np.where(real, rows["length"], 1)
    return found


class WindowDataset(Dataset):
    """Whole batches of windows; Composer asks it for the position as well.

    Args:
        windows: to read from.
        batches: the order they are read in, whose position is saved and loaded.
    """

    def __init__(self, windows: Windows, batches: GlobalBatches):
        self.windows = windows
        self._batches: GlobalBatches | None = batches

    def __getitem__(self, batch: BatchIds) -> dict[str, Any]:
        """Read a batch, see `read_batch`."""
        return read_batch(self.windows, batch)

    def __getstate__(self) -> dict[str, Any]:
        # Loader workers are told what to read.
        return {**self.__dict__, "_batches": None}

    def state_dict(self, num_samples: int, from_beginning: bool) -> dict[str, Any]:
        """Return the state to resume from; `num_samples` counts from the epoch's beginning."""
        assert self._batches is not None
        assert from_beginning
        return self._batches.state_dict(num_samples)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        assert self._batches is not None
        self._batches.load_state_dict(state)
