"""Masked diffusion: hide a random share of a window, from almost nothing to almost all of it.

The absorbing-state diffusion of Sahoo et al. 2024 (MDLM, arXiv:2406.07524) and Nie et al. 2025
(LLaDA, arXiv:2502.09992) in continuous time: with a rate t ~ U(0, 1), the sum over the masked
positions of cross-entropy / t is in expectation a bound of the whole window's negative log
likelihood.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from glm_composer.data.bits import choose, is_base
from glm_composer.data.draws import PARTS, chosen, draw, mix
from glm_composer.data.objective import Asked
from glm_composer.registry import objectives
from glm_composer.sequence import MASK, PAD


@dataclass(frozen=True, kw_only=True)
class DLMConfig:
    """Settings of masked diffusion. All selected positions become [MASK].

    Attributes:
        name: `dlm`.
        min_rate: each window's masking rate is drawn uniformly between this and 1. A weight of
            1 / rate has no finite variance as rates go to 0: at 1e-3, the bound that both MDLM
            and LLaDA train with, no base weighs more than 1,000.
        weighted: weigh a window's bases by 1 / rate, so that the loss bounds the likelihood;
            otherwise each masked base counts alike.
    """

    name: str = "dlm"
    min_rate: Annotated[float, Ge(1 / PARTS), Lt(1)] = 1e-3
    weighted: bool = False


@objectives.register("dlm")
class DiffusionLanguageModel:
    """Masks windows at a rate of their own; a pure function of the windows and their keys."""

    def __init__(self, config: DLMConfig):
        self.config = config
        self._least = min(math.ceil(config.min_rate * PARTS), PARTS - 1)

    def __call__(self, ids: Tensor, keys: Tensor) -> Asked:
        """Mask windows uint8 [batch, length] with keys int64 [batch], see `Objective`."""
        # A stream of its own decides the rate: 32 bits scaled to `_least` ... PARTS - 1.
        number = draw(mix(keys), 1) >> 32 & 2**32 - 1
        parts = self._least + (number * (PARTS - self._least) >> 32)
        selected = chosen(keys, ids.shape[1], parts)
        selected &= is_base(ids)
        labels = choose(selected, ids, torch.full_like(ids, PAD))
        inputs = choose(selected, MASK, ids)
        return Asked(inputs, labels, PARTS / parts.float() if self.config.weighted else None)
