"""Optimizers by name, with weight decay only where it belongs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeFloat, PositiveFloat
from torch import nn

from glm_composer.registry import optimizers


@dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """Settings of AdamW (Loshchilov and Hutter 2019).

    Attributes:
        name: `adamw`.
        lr: peak learning rate.
        weight_decay: of matrices, convolutions and embeddings.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: added to the root of the second moment.
    """

    name: str = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.01
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: PositiveFloat = 1e-8


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters: decay for everything with two or more axes, none for norms and biases."""

    def trainable(decays: bool) -> Iterable[nn.Parameter]:
        return [p for p in model.parameters() if p.requires_grad and (p.ndim >= 2) == decays]

    return [
        {"params": trainable(True), "weight_decay": weight_decay},
        {"params": trainable(False), "weight_decay": 0.0},
    ]


@optimizers.register("adamw")
def build_adamw(config: AdamWConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build fused AdamW over the parameters of `model`; its other forms are far slower."""
    return torch.optim.AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
