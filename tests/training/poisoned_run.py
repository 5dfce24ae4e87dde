"""`glm` with a model that goes wrong on one rank from its n-th batch on: RANK N, then words."""

import sys

import torch
from composer.utils import dist

from glm_composer.cli import main
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.registry import models

BAD_RANK, BAD_BATCH = int(sys.argv[1]), int(sys.argv[2])


class Poisoned(torch.nn.Module):
    def __init__(self, norm: torch.nn.Module):
        super().__init__()
        self.norm, self.batches = norm, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        bad = self.batches >= BAD_BATCH and dist.get_global_rank() == BAD_RANK
        return self.norm(x) * (float("nan") if bad and self.training else 1.0)


@models.register("transformer")
def build(config: TransformerConfig) -> LanguageModel:
    model = build_transformer(config)
    model.norm = Poisoned(model.norm)
    return model


if __name__ == "__main__":
    main(sys.argv[3:])
