"""Attention: one function, one signature, several backends that agree.

| backend | what it is | where it is best |
|---|---|---|
| `flash` | flash-attn 2 or 3, bf16 and fp16 on CUDA | everywhere it runs |
| `banded` | a sliding window in blocks, O(length x window) | local layers without flash |
| `sdpa` | torch's own kernel over the full square | global layers without flash |
| `matmul` | the square of scores in plain matmuls | global layers on a CPU, in bf16 |

`choose` picks one for each layer when the model is built; `auto` takes the best that is there. On
a CPU that is, for global layers, `matmul_or_sdpa`: what a call's type and length make the faster.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from glm_composer.errors import UserError
from glm_composer.models import flash
from glm_composer.models.banded import banded
from glm_composer.models.packing import Packing

Backend = Literal["auto", "flash", "sdpa", "banded", "matmul"]
Resolved = Literal["flash2", "flash3", "sdpa", "banded", "matmul", "matmul_or_sdpa"]
# The square of scores is kept for the backward pass: beyond this it is too much memory.
MATMUL_LENGTH = 1024


class Choice(NamedTuple):
    """A backend, and why not the one that was asked for or the fastest ("" where it is)."""

    backend: Resolved
    why: str = ""


def choose(backend: Backend, window: int | None) -> Choice:
    """Resolve the backend of a layer with this window (None for a global one).

    Raises:
        UserError: an unknown backend, or `flash` without flash-attn or CUDA.
    """
    if backend == "flash" or backend == "auto":
        version, missing = flash.find()
        if version is not None:
            return Choice(version)
        if backend == "flash":
            raise UserError(f"attention backend 'flash': {missing}; use 'auto' to fall back")
        if window is not None:
            return Choice("banded", missing)
        return Choice("sdpa" if torch.cuda.is_available() else "matmul_or_sdpa", missing)
    if backend == "banded" and window is None:
        return Choice("sdpa", "'banded' needs a window")
    if backend not in get_args(Backend):
        valid = ", ".join(get_args(Backend))
        raise UserError(f"unknown attention backend '{backend}'; valid ones: {valid}")
    return Choice(backend)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int | None = None,
    causal: bool = False,
    backend: Resolved = "sdpa",
    packing: Packing | None = None,
) -> Tensor:
    """Scaled dot-product attention within each window of DNA, full or over a sliding band.

    Where a band is as wide as the windows, `banded` is `sdpa`. Calls that flash-attn cannot
    answer, in fp32 or on a CPU, go to the portable backends, so that a model built beside a GPU
    runs anywhere.

    Args:
        query: [batch, length, heads, head_width], already rotated; [total, heads, head_width]
            with a packing.
        key: the same with kv_heads heads, each for heads / kv_heads heads of queries in turn.
        value: same shape as `key`.
        window: a position sees others at most this many bases away (|i - j| <= window); None for
            all.
        causal: a position sees only itself and what is before it.
        backend: a resolved backend, from `choose`.
        packing: how windows of several lengths are packed; no attention from one to another.

    Returns:
        what `query` is like
    """
    if query.shape[0] == 0:
        # A batch of empty windows; or of none.
        return query
    longest = query.shape[1] if packing is None else packing.longest
    if window is not None and window >= longest - 1:
        window = None
    if backend in ("flash2", "flash3"):
        if query.is_cuda and query.dtype in flash.TYPES:
            return flash.flash(query, key, value, window, causal, packing, backend)
        backend = "banded"
    if backend == "banded" and window is not None:
        return banded(query, key, value, window, causal, packing)
    if backend == "matmul_or_sdpa":
        short = longest <= MATMUL_LENGTH
        backend = "matmul" if short and query.dtype == torch.bfloat16 else "sdpa"
    if packing is not None:
        q, k, v = packing.pad(query), packing.pad(key), packing.pad(value)
        return packing.unpad(_square(q, k, v, window, causal, packing.real, backend))
    return _square(query, key, value, window, causal, None, backend)


def _square(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int | None,
    causal: bool,
    real: Tensor | None,
    backend: Resolved,
) -> Tensor:
    """Attention over [batch, length, ...], where keys are seen that are `real` [batch, length]."""
    groups = q.shape[2] // k.shape[2]
    # Not sdpa's `enable_gqa`, for which torch 2.7 leaves its fused kernel on a CPU.
    k, v = (x[:, :, :, None].expand(-1, -1, -1, groups, -1).flatten(2, 3) for x in (k, v))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if backend == "matmul":
        out = _matmul(q, k, v, _bias(q, window, causal, real))
    elif window is None and real is None:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    else:
        bias = _bias(q, window, causal, real)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return out.transpose(1, 2)


def _bias(q: Tensor, window: int | None, causal: bool, real: Tensor | None) -> Tensor | None:
    """What is added to scores, [1 or batch, 1, 1 or length, length]; None for nothing."""
    length = q.shape[2]
    hidden = None if real is None else ~real[:, None, None]
    if window is not None or causal:
        position = torch.arange(length, device=q.device)
        distance = position[:, None] - position
        far = distance.abs() > (length if window is None else window)
        far = (far | (distance < 0) if causal else far)[None, None]
        hidden = far if hidden is None else far | hidden
    if hidden is None:
        return None
    # Not -inf: a window without real positions would be NaN, and its gradient spoil all.
    bias = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device)
    return bias.masked_fill(hidden, torch.finfo(q.dtype).min)


def _matmul(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """The definition in three steps over [batch, heads, length, head_width].

    The softmax answers in the inputs' own type, while it computes in fp32 inside: in fp32 outside
    its reading and writing would cost what the matmuls gain.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return torch.softmax(scores if bias is None else scores + bias, dim=-1) @ v
