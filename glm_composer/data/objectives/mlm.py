"""Masked language modelling: hide some bases and ask for them (Devlin et al. 2019)."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from glm_composer.data.randomness import Keys, draw_at, draw_uint16, mix
from glm_composer.registry import objectives
from glm_composer.sequence import FIRST_BASE, MASK, PAD, VOCAB_SIZE

Bytes = NDArray[np.uint8]
Fraction = Annotated[float, Ge(0), Le(1)]
# Positions are selected by 16 random bits each, so a rate is a multiple of this.
RATE_STEP = 2.0**-16


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
        # A position's 16 random bits fall below this with probability `rate`, and 32 random bits
        # below these where it becomes [MASK], and where [MASK] or a random base.
        self._threshold = np.uint16(round(config.rate / RATE_STEP))
        self._mask = math.ceil(config.mask * 2**32)
        self._changed = math.ceil((config.mask + config.random) * 2**32)

    def __call__(self, ids: Bytes, keys: Keys) -> tuple[Bytes, Bytes]:
        """Corrupt a batch of windows.

        Args:
            ids: [batch, length] uint8, the windows.
            keys: [batch] uint64, their random streams.

        Returns:
            inputs [batch, length] uint8, what the model sees, and labels [batch, length] uint8,
            the true id where a position is selected and [PAD] elsewhere.
        """
        gpn_exact = self.config.gpn_exact
        length = ids.shape[1]
        selected = draw_uint16(keys, length) < self._threshold
        if not gpn_exact:
            selected &= ids >= FIRST_BASE
        at = np.flatnonzero(selected)
        rows = np.repeat(np.arange(len(ids)), np.count_nonzero(selected, axis=1))
        # A second stream decides what becomes of the few selected positions: its upper half the
        # kind, its lower half the random base.
        numbers = draw_at(mix(keys)[rows], at - rows * length)
        kind, low = numbers >> np.uint64(32), numbers & np.uint64(0xFFFFFFFF)
        choices, first = (VOCAB_SIZE, 0) if gpn_exact else (VOCAB_SIZE - FIRST_BASE, FIRST_BASE)
        token = ((low * np.uint64(choices)) >> np.uint64(32)).astype(np.uint8) + np.uint8(first)
        true = ids.ravel()[at]
        seen = np.where(kind < self._changed, token, true)
        seen[kind < self._mask] = MASK
        inputs, labels = ids.copy(), np.full(ids.shape, PAD, dtype=np.uint8)
        inputs.ravel()[at] = seen
        labels.ravel()[at] = true
        return inputs, labels
