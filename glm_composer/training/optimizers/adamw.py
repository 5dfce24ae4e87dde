"""AdamW, fused: its other forms are far slower, on a CPU too."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeFloat, PositiveFloat
from torch import nn

from glm_composer.registry import optimizers
from glm_composer.training.optimizers.groups import parameter_groups


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


@optimizers.register("adamw")
def build_adamw(config: AdamWConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build it over the parameters of `model`."""
    return torch.optim.AdamW(
        parameter_groups(model, config.weight_decay),
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
