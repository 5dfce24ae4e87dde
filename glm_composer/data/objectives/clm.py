"""Causal language modelling: every position is asked for the base that follows it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from glm_composer.data.bits import choose, is_base
from glm_composer.data.objective import Asked
from glm_composer.registry import objectives
from glm_composer.sequence import PAD


@dataclass(frozen=True, kw_only=True)
class CLMConfig:
    """Settings of causal language modelling; it needs a causal model (`model.causal`).

    Attributes:
        name: `clm`.
    """

    name: str = "clm"
    causal: ClassVar[bool] = True


@objectives.register("clm")
class CausalLanguageModel:
    """Asks position i for base i + 1; the last position, and one before an N, for nothing."""

    def __init__(self, config: CLMConfig):
        self.config = config

    def __call__(self, ids: Tensor, keys: Tensor) -> Asked:
        """Label windows uint8 [batch, length], which stay as they are, see `Objective`."""
        labels = torch.full_like(ids, PAD)
        labels[:, :-1] = ids[:, 1:]
        return Asked(ids, choose(is_base(labels), labels, torch.full_like(ids, PAD)), ahead=1)
