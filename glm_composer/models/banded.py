"""Sliding-window attention in blocks of queries: O(length x window) work and memory, any device.

Each block of queries meets one slice of the keys, from a window before it to a window after it. So
nothing is gathered or padded, and windows of several lengths are one long sequence in which
positions of other windows are hidden. The loop over blocks is one operation to a compiler, which
would unroll it, and has a backward pass of its own: autograd's of a slice fills a whole tensor
with zeros.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from glm_composer.models.packing import Packing

# Of queries. Smaller ones leave matmuls too small, larger ones score more that is out of the
# window; in between a block is as long as the window.
_SMALLEST, _LARGEST = 64, 128

# Not `torch.library.custom_op`, which imports the compiler at its first call: two seconds.
torch.library.define(
    "glm_composer::banded",
    "(Tensor q, Tensor k, Tensor v, Tensor? owner, int window, bool causal) -> (Tensor, Tensor)",
)
torch.library.define(
    "glm_composer::banded_backward",
    "(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor weights, int window, bool causal)"
    " -> (Tensor, Tensor, Tensor)",
)


def banded(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int,
    causal: bool = False,
    packing: Packing | None = None,
) -> Tensor:
    """Attention over at most `window` positions to either side, or before where `causal`.

    Args:
        q: [batch, length, heads, head_width], or [total, heads, head_width] with a packing.
        k: the same with kv_heads heads.
        v: same shape as `k`.
        window: how far a position sees.
        causal: whether it sees only back.
        packing: how windows of several lengths are packed.

    Returns:
        what `q` is like
    """
    owner = None
    if packing is not None:
        q, k, v = q[None], k[None], v[None]
        owner = packing.window
    batch, length, kv_heads, width = k.shape
    # Queries that share a key lie next to each other: [batch x kv_heads, length x groups, width].
    q = q.unflatten(2, (kv_heads, -1)).transpose(1, 2).reshape(batch * kv_heads, -1, width)
    k, v = (x.transpose(1, 2).reshape(batch * kv_heads, length, width) for x in (k, v))
    out, _ = torch.ops.glm_composer.banded(q, k, v, owner, window, causal)
    out = out.view(batch, kv_heads, length, -1, width).transpose(1, 2).flatten(2, 3)
    return out if packing is None else out[0]


def _block(window: int) -> int:
    return min(max(window, _SMALLEST), _LARGEST)


def _blocks(length: int, window: int, causal: bool) -> Iterator[tuple[int, int, int, int]]:
    """Of every block of queries: its first and its end, and those of the keys it may see."""
    size = _block(window)
    for first in range(0, length, size):
        end = min(first + size, length)
        yield first, end, max(first - window, 0), end if causal else min(end + window, length)


def _bias(like: Tensor, groups: int, window: int, causal: bool) -> Tensor:
    """What is added to the scores of a block in mid-sequence: [block x groups, keys]."""
    size = _block(window)
    i = torch.arange(size, device=like.device).repeat_interleave(groups)[:, None]
    j = torch.arange(-window, size if causal else size + window, device=like.device)
    hidden = (i - j).abs() > window
    if causal:
        hidden |= j > i
    bias = torch.zeros(hidden.shape, dtype=like.dtype, device=like.device)
    return bias.masked_fill_(hidden, torch.finfo(like.dtype).min)


def _empty_weights(q: Tensor, k: Tensor, window: int, causal: bool) -> Tensor:
    size, groups = _block(window), q.shape[1] // k.shape[1]
    blocks = (k.shape[1] + size - 1) // size
    keys = window + size + (0 if causal else window)
    return q.new_empty(blocks, q.shape[0], size * groups, keys)


@torch.library.impl("glm_composer::banded", "default")
def _forward(
    q: Tensor, k: Tensor, v: Tensor, owner: Tensor | None, window: int, causal: bool
) -> tuple[Tensor, Tensor]:
    """Return the output, like q, and the weights [blocks, rows, block x groups, keys].

    q is [rows, length x groups, width]; k and v are [rows, length, width]; `owner` [length] tells
    windows of DNA apart.
    """
    length = k.shape[1]
    groups = q.shape[1] // length
    bias = _bias(q, groups, window, causal)
    out, weights = torch.empty_like(q), _empty_weights(q, k, window, causal)
    for n, (first, end, low, high) in enumerate(_blocks(length, window, causal)):
        rows = slice(first * groups, end * groups)
        skipped = low - (first - window)
        seen = bias[: rows.stop - rows.start, skipped : skipped + high - low]
        if owner is not None:
            others = owner[first:end, None] != owner[low:high]
            lowest = torch.finfo(q.dtype).min
            seen = seen.masked_fill(others.repeat_interleave(groups, dim=0), lowest)
        scale = q.shape[2] ** -0.5
        scores = torch.baddbmm(seen, q[:, rows], k[:, low:high].transpose(1, 2), alpha=scale)
        # In the inputs' own type, computed in fp32 inside: half of fp32's memory traffic.
        weight = weights[n, :, : scores.shape[1], : scores.shape[2]]
        torch.softmax(scores, dim=-1, dtype=q.dtype, out=weight)
        out[:, rows] = weight @ v[:, low:high]
    return out, weights


@torch.library.impl("glm_composer::banded_backward", "default")
def _backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, weights: Tensor, window: int, causal: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of q, k and v, given that of the output."""
    length = k.shape[1]
    groups = q.shape[1] // length
    scale = q.shape[2] ** -0.5
    dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
    for n, (first, end, low, high) in enumerate(_blocks(length, window, causal)):
        rows, keys = slice(first * groups, end * groups), slice(low, high)
        weight = weights[n, :, : (end - first) * groups, : high - low]
        dv[:, keys].baddbmm_(weight.transpose(1, 2), grad[:, rows])
        dweight = grad[:, rows] @ v[:, keys].transpose(1, 2)
        dscores = torch.ops.aten._softmax_backward_data(dweight, weight, -1, weight.dtype)
        dq[:, rows].baddbmm_(dscores, k[:, keys], beta=0, alpha=scale)
        dk[:, keys].baddbmm_(dscores.transpose(1, 2), q[:, rows], alpha=scale)
    return dq, dk, dv


@torch.library.register_fake("glm_composer::banded")
def _(q, k, v, owner, window, causal):  # type: ignore[no-untyped-def]
    return torch.empty_like(q), _empty_weights(q, k, window, causal)


@torch.library.register_fake("glm_composer::banded_backward")
def _(grad, q, k, v, weights, window, causal):  # type: ignore[no-untyped-def]
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, _, *ctx.settings = inputs
    ctx.save_for_backward(q, k, v, output[1])


def _differentiate(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    given = torch.ops.glm_composer.banded_backward(
        grad.contiguous(), *ctx.saved_tensors, *ctx.settings
    )
    return *given, None, None, None


torch.library.register_autograd("glm_composer::banded", _differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.glm_composer.banded)
def banded_flops(
    q: tuple[int, ...],
    k: tuple[int, ...],
    v: tuple[int, ...],
    owner: object,
    window: int,
    causal: bool,
    **_: object,
) -> int:
    """Count the operations of two matmuls, hidden scores within blocks included."""
    rows, length, width = k
    groups = q[1] // length
    scores = sum((b - a) * (d - c) for a, b, c, d in _blocks(length, window, causal))
    return 2 * 2 * rows * groups * scores * width


@register_flop_formula(torch.ops.glm_composer.banded_backward)
def banded_backward_flops(
    grad: object,
    q: tuple[int, ...],
    k: tuple[int, ...],
    v: tuple[int, ...],
    weights: object,
    window: int,
    causal: bool,
    **_: object,
) -> int:
    """Count the operations of the backward pass's four matmuls."""
    return 2 * banded_flops(q, k, v, None, window, causal)
