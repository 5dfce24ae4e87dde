"""How many floating-point operations a network takes, counted from its modules.

A multiplication and an addition are two. Matrix products and convolutions count; norms,
activations, softmax, rotation and table look-ups do not, as in the literature (Chowdhery et al.
2022, PaLM, appendix B) and in torch's own counter. Of attention only the pairs that may see each
other count, so that a local or causal layer is not credited with what a backend computes and
throws away; for global, bidirectional layers and convolutions that is all that is computed. What
is computed of tokens instead of hidden states (see `tokens`) counts as that.
"""

from torch import nn

from glm_composer.models.language_model import LanguageModel
from glm_composer.models.tokens import CHANNELS
from glm_composer.models.transformer import SelfAttention


def forward_flops(model: nn.Module, length: int, share: float = 1.0) -> int:
    """FLOPs that a forward pass over one window needs.

    Args:
        model: a network whose linear layers and convolutions each see every position once.
        length: bases of the window.
        share: of the positions is all that its `narrowed` modules see, where it has such; a
            convolution that is computed whole all the same counts as what is needed of it.
    """
    return _of_states(model, length, share) + _of_tokens(model, length, share)


def training_flops(model: nn.Module, length: int, share: float = 1.0) -> int:
    """FLOPs of a training step a window: the backward pass takes two of each forward product.

    One of those of one-hot tokens, which have no gradient. What a flash kernel or activation
    checkpointing computes again is not counted.
    """
    return 3 * _of_states(model, length, share) + 2 * _of_tokens(model, length, share)


def _of_states(model: nn.Module, length: int, share: float) -> int:
    """FLOPs of a forward pass on hidden states."""
    flops = 0
    few, tabled = _narrowed(model), _tabled(model)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d) and module not in tabled:
            seen = round(length * share) if module in few else length
            flops += 2 * seen * module.weight.numel()
        elif isinstance(module, SelfAttention):
            # Query by key, then weights by value; `out` reads all heads side by side.
            flops += 2 * 2 * _pairs(module, length) * module.out.in_features
    return flops


def _of_tokens(model: nn.Module, length: int, share: float) -> int:
    """FLOPs of a forward pass on one-hot tokens; those of a few rows a batch are none."""
    flops = 0
    few = _narrowed(model)
    for module in _tabled(model):
        if isinstance(module, nn.Conv1d):
            seen = round(length * share) if module in few else length
            flops += 2 * seen * CHANNELS * module.out_channels * module.kernel_size[0]
    return flops


def _narrowed(model: nn.Module) -> set[nn.Module]:
    """What a model computes at given places alone."""
    narrowed = model.narrowed() if isinstance(model, LanguageModel) else ()
    return {module for each in narrowed for module in each.modules()}


def _tabled(model: nn.Module) -> set[nn.Module]:
    """What a model computes of tokens."""
    return set(model.tabled()) if isinstance(model, LanguageModel) else set()


def _pairs(layer: SelfAttention, length: int) -> int:
    """How many (query, key) pairs of a head see each other."""
    window = length - 1 if layer.window is None else min(layer.window, length - 1)
    before = length * window - window * (window + 1) // 2
    causal = getattr(layer, "causal", False)
    return length + (before if causal else 2 * before)
