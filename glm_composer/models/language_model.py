"""Embedding -> encoder -> norm -> decoder: what every genomic language model here is made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glm_composer import sequence

INIT_STD = 0.02


class LanguageModel(nn.Module):
    """Per-base logits over the seven tokens from an encoder of hidden states.

    Args:
        width: size of the hidden states.
        encoder: maps [batch, length, width] to the same shape.
        norm: final normalisation over the last axis.
    """

    def __init__(self, width: int, encoder: nn.Module, norm: nn.Module):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(sequence.VOCAB_SIZE, width, padding_idx=sequence.PAD)
        self.encoder = encoder
        self.norm = norm
        self.decoder = nn.Linear(width, sequence.VOCAB_SIZE, bias=False)

    def embed(self, ids: Tensor) -> Tensor:
        """Ids [batch, length] of any integer type -> hidden states [batch, length, width]."""
        return self.norm(self.encoder(self.embedding(ids.int())))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [batch, length] of any integer type -> logits [batch, length, 7]."""
        return self.decoder(self.embed(ids))


def initialise(model: nn.Module, scale: Callable[[str], float] = lambda name: 1.0) -> None:
    """Draw Linear and Embedding weights from N(0, 0.02 x scale(name)), the PAD row zero.

    Convolutions keep PyTorch's default, as in GPN.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD * scale(name))
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
