"""Windows as read -> tensors ready to train on, for a whole batch at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm_composer.data.randomness import Keys, draw, stream_keys
from glm_composer.sequence import PAD, encode, is_soft_masked, reverse_complement

Bytes = NDArray[np.uint8]
Objective = Callable[[Bytes, Keys], tuple[Bytes, Bytes]]

# What a stream of random numbers is for; see `stream_keys`.
STRAND, CORRUPTION, CROP = 1, 2, 4


class Prepare:
    """Crop, reverse complement, corruption and loss weights of a batch.

    A pure function of the windows, their ids, the epoch and the seed.

    Args:
        objective: corrupts ids [batch, length] with keys [batch] into (inputs, labels).
        seed: of the run.
        window: bases a model sees; longer windows are cropped, at random or in their middle.
        soft_mask_weight: loss weight of soft-masked (lower-case) positions; others weigh 1.
        random_crop: draw where to crop, uniformly.
        random_strand: turn half of the windows over, each with probability 1/2.
    """

    def __init__(
        self,
        objective: Objective,
        seed: int,
        window: int,
        soft_mask_weight: float,
        random_crop: bool = False,
        random_strand: bool = False,
    ):
        self.objective = objective
        self.seed = seed
        self.window = window
        self.soft_mask_weight = np.float32(soft_mask_weight)
        self.random_crop, self.random_strand = random_crop, random_strand

    def __call__(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Prepare a batch.

        Args:
            batch: `sequence` [batch, length] uint8 ASCII, `id` [batch] int64 (negative: a blank,
                which is asked nothing), `epoch` int or [batch] int64, and `stream` [batch] int64
                where there are several.

        Returns:
            `input_ids` and `labels` [batch, length] uint8 (label [PAD] where nothing is asked),
            `soft_masked` [batch, length] bool, `loss_weight` [batch, length] float32 (0 where
            nothing is asked), and `id`, `epoch` and `stream` [batch] int64.

        Raises:
            ValueError: the windows are shorter than `window`.
        """
        ids, epoch = batch["id"], batch["epoch"]
        sequences = self._crop(batch["sequence"], ids, epoch)
        if self.random_strand:
            turned = draw(stream_keys(self.seed, epoch, ids, STRAND), 1)[:, 0] % 2 == 1
            sequences = sequences.copy()
            sequences[turned] = reverse_complement(sequences[turned])
        keys = stream_keys(self.seed, epoch, ids, CORRUPTION)
        inputs, labels = self.objective(encode(sequences), keys)
        # Not left to the objective: some select N as well.
        labels[ids < 0] = PAD
        soft_masked = is_soft_masked(sequences)
        asked = labels != PAD
        weight = asked.astype(np.float32)
        np.copyto(weight, self.soft_mask_weight, where=asked & soft_masked)
        arrays: dict[str, NDArray[Any]] = {
            "input_ids": inputs,
            "labels": labels,
            "soft_masked": soft_masked,
            "loss_weight": weight,
            "id": ids,
            "epoch": np.broadcast_to(epoch, ids.shape).astype(np.int64),
        }
        if "stream" in batch:
            arrays["stream"] = batch["stream"]
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _crop(
        self, sequences: Bytes, ids: NDArray[np.int64], epoch: int | NDArray[np.int64]
    ) -> Bytes:
        spare = sequences.shape[1] - self.window
        if spare < 0:
            raise ValueError(f"windows of {sequences.shape[1]} bases, shorter than {self.window}")
        if spare == 0:
            return sequences
        if not self.random_crop:
            return sequences[:, spare // 2 : spare // 2 + self.window]
        numbers = draw(stream_keys(self.seed, epoch, ids, CROP), 1)[:, 0]
        offsets = (numbers % np.uint64(spare + 1)).astype(np.int64)
        return sequences[np.arange(len(ids))[:, None], offsets[:, None] + np.arange(self.window)]
