"""Masked language modelling: hide some bases and ask for them (Devlin et al. 2019)."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor

from glm_composer.data.bits import choose, is_base
from glm_composer.data.draws import PARTS, chosen, draw_at, mix, set_back
from glm_composer.data.objective import Asked
from glm_composer.registry import objectives
from glm_composer.sequence import FIRST_BASE, MASK, PAD, VOCAB_SIZE

Fraction = Annotated[float, Ge(0), Le(1)]
# Positions are selected by 16 random bits each, so a rate is a multiple of this.
RATE_STEP = 1 / PARTS
_LOW = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class MLMConfig:
    """Settings of masked language modelling.

    Of the selected positions, `mask` become [MASK], `random` a random base and the rest stay.

    Attributes:
        name: `mlm`.
        rate: fraction of the bases that is selected, rounded to a multiple of `RATE_STEP`.
        mask: fraction of the selected positions that becomes [MASK].
        random: fraction of the selected positions that becomes a random base.
        gpn_exact: reproduce GPN's original corruption: every position may be selected, N
            included, and the random token is drawn from all seven ids, specials included.
    """

    name: str = "mlm"
    rate: Annotated[float, Ge(RATE_STEP), Le(1 - RATE_STEP)] = 0.15
    mask: Fraction = 0.8
    random: Fraction = 0.1
    gpn_exact: bool = False

    def __post_init__(self) -> None:
        if self.mask + self.random > 1:
            raise ValueError(f"mask + random ({self.mask + self.random:g}) must not exceed 1")


@objectives.register("mlm")
class MaskedLanguageModel:
    """Selects and corrupts positions; a pure function of the windows and their keys."""

    def __init__(self, config: MLMConfig):
        self.config = config
        self._parts = round(config.rate * PARTS)
        # 32 random bits fall below these where a selected position becomes [MASK], and where it
        # becomes [MASK] or a random base.
        self._mask = math.ceil(config.mask * 2**32)
        self._changed = math.ceil((config.mask + config.random) * 2**32)

    def __call__(self, ids: Tensor, keys: Tensor) -> Asked:
        """Corrupt windows uint8 [batch, length] with keys int64 [batch], see `Objective`."""
        gpn_exact = self.config.gpn_exact
        length = ids.shape[1]
        selected = chosen(keys, length, self._parts)
        if not gpn_exact:
            selected &= is_base(ids)
        at = _places(selected)
        # A second stream decides what becomes of the few selected positions: its upper half the
        # kind, its lower half the random base.
        # Its keys are set back by what comes before each row in `at`.
        before = torch.arange(0, ids.numel(), length, device=ids.device)
        counts = selected.view(torch.uint8).sum(1, dtype=torch.int32)
        kind_keys = set_back(mix(keys), before).repeat_interleave(counts, output_size=len(at))
        numbers = draw_at(kind_keys, at)
        kind, low = numbers >> 32 & _LOW, numbers & _LOW
        choices, first = (VOCAB_SIZE, 0) if gpn_exact else (VOCAB_SIZE - FIRST_BASE, FIRST_BASE)
        token = ((low * choices >> 32) + first).to(torch.uint8)
        true = ids.flatten().index_select(0, at)
        seen = choose(kind < self._changed, token, true)
        seen = choose(kind < self._mask, MASK, seen)
        inputs, labels = ids.clone(), torch.full_like(ids, PAD)
        inputs.view(-1).scatter_(0, at, seen)
        labels.view(-1).scatter_(0, at, true)
        return Asked(inputs, labels)


def _places(selected: Tensor) -> Tensor:
    """Places int64 [n] of what is true in bool [...], counted over all axes in order."""
    if selected.device.type == "cpu":
        # Five times as fast as torch's own.
        return torch.from_numpy(np.flatnonzero(selected.numpy()))
    return selected.flatten().nonzero()[:, 0]
