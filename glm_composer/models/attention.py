"""Attention: one function, one signature, several backends that agree.

`sdpa` is torch's own kernel over the full square; `banded` computes a sliding window in blocks,
so it costs O(length x window) on any device; `flash` is flash-attn, for bf16/fp16 on CUDA.
`choose` picks one per call shape when the model is built, so nothing is decided inside a compiled
forward pass.
"""

import importlib.util
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from glm_composer.errors import UserError

Backend = Literal["auto", "sdpa", "banded", "flash"]
FLASH_TYPES = (torch.bfloat16, torch.float16)


def choose(backend: Backend, window: int | None) -> Backend:
    """Resolve `auto` for a layer with this window; check an explicit choice.

    `banded` means nothing without a window, so a global layer of such a model takes `sdpa`.

    Raises:
        UserError: `flash` without flash-attn or CUDA.
    """
    missing = _missing_for_flash()
    if backend == "auto":
        if missing is None:
            return "flash"
        return "sdpa" if window is None else "banded"
    if backend == "flash" and missing is not None:
        raise UserError(f"attention backend 'flash': {missing}; use 'auto' to fall back")
    if backend == "banded" and window is None:
        return "sdpa"
    return backend


def _missing_for_flash() -> str | None:
    if not torch.cuda.is_available():
        return "no CUDA device"
    if importlib.util.find_spec("flash_attn") is None:
        return "flash-attn is not installed (pip install 'glm-composer[gpu]')"
    return None


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int | None = None,
    causal: bool = False,
    backend: Backend = "sdpa",
) -> Tensor:
    """Scaled dot-product attention, bidirectional or causal, full or within a sliding window.

    Args:
        query: [batch, length, heads, head_width], already rotated.
        key: same shape as `query`.
        value: same shape as `query`.
        window: a position sees others at most this many bases away (|i - j| <= window); None for
            all.
        causal: a position sees only itself and what is before it.
        backend: a resolved backend, from `choose`. `flash` only knows bf16 and fp16 on CUDA; for
            other tensors the portable backends answer, so that a model built beside a GPU also
            runs in fp32 or on the CPU.

    Returns:
        [batch, length, heads, head_width]
    """
    if window is not None and window >= query.shape[1] - 1:
        window = None
    if backend == "flash":
        if query.is_cuda and query.dtype in FLASH_TYPES:
            return _flash(query, key, value, window, causal)
        backend = "banded"
    if backend == "banded" and window is not None:
        return _banded(query, key, value, window, causal)
    return _full(query, key, value, window, causal)


def _flash(q: Tensor, k: Tensor, v: Tensor, window: int | None, causal: bool) -> Tensor:
    from flash_attn import flash_attn_func

    side = -1 if window is None else window
    return flash_attn_func(q, k, v, causal=causal, window_size=(side, 0 if causal else side))


def _full(q: Tensor, k: Tensor, v: Tensor, window: int | None, causal: bool) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mask = None
    if window is not None:
        position = torch.arange(q.shape[2], device=q.device)
        mask = _visible(position[:, None], position[None, :], window, causal)
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal and mask is None
    )
    return out.transpose(1, 2)


def _visible(i: Tensor, j: Tensor, window: int, causal: bool) -> Tensor:
    return ((i - j).abs() <= window) & ((j <= i) if causal else True)


def _banded(q: Tensor, k: Tensor, v: Tensor, window: int, causal: bool) -> Tensor:
    """Queries in blocks of `window` positions, each against its own and the adjacent blocks."""
    batch, length, heads, width = q.shape
    blocks = -(-length // window)
    pad = blocks * window - length
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # [batch, heads, length, width]
    q = F.pad(q, (0, 0, 0, pad)).view(batch, heads, blocks, window, width)

    def neighbourhood(x: Tensor) -> Tensor:  # [batch, heads, blocks, 2 or 3 x window, width]
        x = F.pad(x, (0, 0, window, pad + (0 if causal else window)))
        x = x.view(batch, heads, -1, window, width)
        return torch.cat([x[:, :, i : i + blocks] for i in range(2 if causal else 3)], dim=3)

    k, v = neighbourhood(k), neighbourhood(v)
    # Positions relative to a block's own start are the same for all blocks; only the sequence's
    # two ends differ, where padding must not be seen.
    i = torch.arange(window, device=q.device)[:, None]
    j = torch.arange(-window, k.shape[3] - window, device=q.device)[None, :]
    absolute = j + window * torch.arange(blocks, device=q.device)[:, None, None]
    visible = _visible(i, j, window, causal) & (absolute >= 0) & (absolute < length)
    # A padded query sees nothing real; its row is cut off below, it only must not become NaN.
    bias = torch.zeros(visible.shape, dtype=q.dtype, device=q.device)
    bias = bias.masked_fill(~visible, torch.finfo(q.dtype).min)
    scores = (q * width**-0.5) @ k.transpose(-1, -2) + bias
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(v.dtype)
    out = (weights @ v).reshape(batch, heads, blocks * window, width)[:, :, :length]
    return out.transpose(1, 2)
