"""Which parameters decay, and which of them are the hidden matrices that Muon orthogonalises."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from glm_composer.models.language_model import LanguageModel


def parameter_groups(
    model: nn.Module, weight_decay: float, without: Iterable[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Split parameters: decay for everything with two or more axes, none for norms and biases."""
    left_out = set(without)
    trainable = [p for p in model.parameters() if p.requires_grad and p not in left_out]
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Weights of matrices and convolutions between the model's two ends.

    The ends, embeddings and the decoder, are no maps between hidden states: a row of theirs is one
    token's own vector.
    """
    ends: set[Tensor] = set()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            ends.add(module.weight)
        if isinstance(module, LanguageModel):
            ends.update(module.decoder.parameters())
    return [p for p in model.parameters() if p.requires_grad and p.ndim >= 2 and p not in ends]
