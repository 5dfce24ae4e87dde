"""Windows as read -> tensors ready to train on, for a whole batch at once, on any device."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glm_composer.data.bits import choose
from glm_composer.data.draws import draw, remainder, stream_keys
from glm_composer.data.objective import Objective
from glm_composer.sequence import PAD, encode, is_soft_masked, reverse_complement

# What a stream of random numbers is for; see `stream_keys`.
STRAND, CORRUPTION, CROP = 1, 2, 4
_PURPOSES = (STRAND, CORRUPTION, CROP)
# Widths of batches of windows of several lengths are a multiple of this: few different shapes.
WIDTH_STEP = 64
# A letter's code: its id in the lower three bits, whether it is soft-masked in the fourth. That
# of the other strand's letter is 128 entries further on.
_ID, _CASE, _OTHER_STRAND = 7, 3, 128


def _codes() -> Tensor:
    letters = np.arange(_OTHER_STRAND, dtype=np.uint8)[:, None]
    both = np.concatenate([letters, reverse_complement(letters)])[:, 0]
    return torch.from_numpy(encode(both) | is_soft_masked(both).astype(np.uint8) << _CASE)


def to_tensors(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Make tensors of a batch as a dataset reads it: no copy, and all that a loader has to move.

    Args:
        batch: `sequence` [batch, length] uint8 ASCII, `id` [batch] int64 (negative: a blank, which
            is asked nothing), `epoch` int or [batch] int64, and more arrays [batch].
    """
    found = {name: torch.as_tensor(value) for name, value in batch.items()}
    found["epoch"] = found["epoch"].expand_as(found["id"]).contiguous()
    return found


class Prepare:
    """Crop, reverse complement, corruption and loss weights of a batch.

    A pure function of the windows, their ids, the epoch and the seed; bit for bit the same on
    every device.

    Args:
        objective: corrupts the windows.
        seed: of the run.
        window: bases a model sees; longer windows are cropped, at random or in their middle.
        soft_mask_weight: loss weight of soft-masked (lower-case) bases; others weigh 1.
        random_crop: draw where to crop, uniformly.
        random_strand: turn half of the windows over, each with probability 1/2.
        fixed_width: fill up windows of several lengths to `window`, as a compiled model needs it;
            otherwise to a multiple of `WIDTH_STEP`.
    """

    def __init__(
        self,
        objective: Objective,
        seed: int,
        window: int,
        soft_mask_weight: float,
        random_crop: bool = False,
        random_strand: bool = False,
        fixed_width: bool = False,
    ):
        self.objective = objective
        self.seed = seed
        self.window = window
        self.soft_mask_weight = soft_mask_weight
        self.random_crop, self.random_strand = random_crop, random_strand
        self.fixed_width = fixed_width
        self._codes = _codes()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Prepare a batch.

        Args:
            batch: as `to_tensors` takes or returns it. With `length` [batch] int64, only so many
                letters of each window are real.

        Returns:
            `input_ids` and `labels` [batch, width] uint8 (label [PAD] where nothing is asked),
            `soft_masked` [batch, width] bool, whether the base that is asked there is,
            `loss_weight` [batch, width] float32 (0 where nothing is asked), and `id`, `epoch` and
            `stream` [batch] int64, the last where there are several. All are `window` wide; given
            a `length`, at most that, and `length` [batch] int64 tells how much of each is real,
            before [PAD].

        Raises:
            ValueError: the windows have no `length` and are shorter than `window`.
        """
        epoch, batch = batch["epoch"], to_tensors(batch)
        if not isinstance(epoch, int):
            epoch = batch["epoch"]
        ids = batch["id"]
        purposes = torch.tensor(_PURPOSES, device=ids.device)[:, None]
        keys = dict(zip(_PURPOSES, stream_keys(self.seed, epoch, ids, purposes), strict=True))
        codes, lengths = self._view(batch, keys)
        asked = self.objective(codes & _ID, keys[CORRUPTION])
        inputs, labels = asked.inputs, asked.labels
        # Not left to the objective: some select N as well.
        labels = choose((ids < 0)[:, None], PAD, labels)
        if lengths is not None:
            beyond = codes == PAD
            inputs, labels = choose(beyond, PAD, inputs), choose(beyond, PAD, labels)
        soft_masked = (codes >> _CASE).view(torch.bool)
        if asked.ahead:
            # The case that counts is that of the base asked for.
            soft_masked = soft_masked.roll(-asked.ahead, 1)
            soft_masked[:, -asked.ahead :] = False
        is_asked = labels.bool()
        soft = is_asked & soft_masked
        weight = (is_asked ^ soft).view(torch.uint8).float()
        weight.add_(soft.view(torch.uint8).float(), alpha=self.soft_mask_weight)
        if asked.weight is not None:
            weight *= asked.weight
        found = {
            "input_ids": inputs,
            "labels": labels,
            "soft_masked": soft_masked,
            "loss_weight": weight,
            "id": ids,
            "epoch": batch["epoch"],
        }
        if lengths is not None:
            found["length"] = lengths
        if "stream" in batch:
            found["stream"] = batch["stream"]
        return found

    def _view(
        self, batch: dict[str, Tensor], keys: dict[int, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """What is seen of each window: codes uint8 [batch, width], [PAD] after its end.

        And how many letters that is, int64 [batch], where windows have a `length`.
        """
        sequence, ids = batch["sequence"], batch["id"]
        stored, width = sequence.shape[1], self.window
        if "length" in batch:
            lengths = batch["length"]
            if not self.fixed_width:
                width = min(width, -(-stored // WIDTH_STEP) * WIDTH_STEP)
        elif stored < width:
            raise ValueError(f"windows of {stored} bases, shorter than {width}")
        else:
            lengths = torch.full_like(ids, stored)
        seen = lengths.clamp(max=self.window)
        turned = torch.zeros_like(ids)
        if self.random_strand:
            turned = draw(keys[STRAND], 1)[:, 0] & 1
        if stored == self.window and "length" not in batch:
            # As the next case, in half of the time.
            letters = choose(turned[:, None].bool(), sequence.flip(1), sequence)
        else:
            spare = lengths - seen
            first = spare // 2
            if self.random_crop:
                first = remainder(draw(keys[CROP], 1)[:, 0], spare + 1)
            letters = _read(sequence, first, seen, turned, width)
        letters = letters | turned.to(torch.uint8)[:, None] * _OTHER_STRAND
        self._codes = self._codes.to(ids.device)
        codes = self._codes.index_select(0, letters.flatten().int()).view(letters.shape)
        if "length" not in batch:
            return codes, None
        beyond = torch.arange(width, device=ids.device) >= seen[:, None]
        return choose(beyond, PAD, codes), seen


def _read(sequence: Tensor, first: Tensor, seen: Tensor, turned: Tensor, width: int) -> Tensor:
    """A stretch of each window, backwards where it is turned over: uint8 [batch, width].

    Args:
        sequence: uint8 [batch, stored].
        first: int64 [batch], where stretches begin.
        seen: int64 [batch], their lengths; what follows is any letter.
        turned: int64 [batch], 1 where turned over, else 0.
        width: the longest.
    """
    rows, stored = sequence.shape
    steps = torch.arange(width, device=first.device, dtype=torch.int32)
    # int32 halves the time; a batch has less than 2**31 letters.
    places = (1 - 2 * turned).int()[:, None] * steps
    places += (first + turned * (seen - 1)).int()[:, None]
    places.clamp_(0, stored - 1)
    places += torch.arange(0, rows * stored, stored, device=first.device).int()[:, None]
    return sequence.flatten().index_select(0, places.flatten()).view(rows, width)
