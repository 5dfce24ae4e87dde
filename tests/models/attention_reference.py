"""Attention by its definition, and what its tests draw and compare."""

import math

import pytest
import torch
from torch import Tensor

from glm_composer.models.packing import Packing

# Windows and lengths around a block of 64 queries; 500: wider than any of them; 130: blocks
# shorter than the window.
SHAPES = [
    (1, [1]),
    (1, [2]),
    (3, [17]),
    (64, [65]),
    (64, [66]),
    (5, [90]),
    (None, [33]),
    (None, [9, 1, 33]),
    (3, [17, 2, 80]),
    (20, [66, 0, 3]),
    (500, [20, 40]),
    pytest.param(64, [200], marks=pytest.mark.slow),
    pytest.param(130, [300], marks=pytest.mark.slow),
    pytest.param(64, [128, 200, 64, 65], marks=pytest.mark.slow),
    pytest.param(20, [1, 300, 150], marks=pytest.mark.slow),
    pytest.param(None, [128, 200], marks=pytest.mark.slow),
]


def naive(q: Tensor, k: Tensor, v: Tensor, window: int | None, causal: bool) -> Tensor:
    """The definition in float64, over a Python list of what each position sees."""
    q, k, v = q.double(), k.double(), v.double()
    length, heads, width = q.shape[1:]
    # Query heads 0, 1, 2 share the first key head, 3, 4, 5 the second, and so on.
    shared = [head * k.shape[2] // heads for head in range(heads)]
    k, v = k[:, :, shared], v[:, :, shared]
    seen = [
        [
            (window is None or abs(i - j) <= window) and (not causal or j <= i)
            for j in range(length)
        ]
        for i in range(length)
    ]
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(width)
    weights = scores.exp() * torch.tensor(seen, device=q.device)
    return torch.einsum("bhij,bjhd->bihd", weights / weights.sum(-1, keepdim=True), v)


def naive_packed(
    q: Tensor, k: Tensor, v: Tensor, window: int | None, causal: bool, lengths: list[int]
) -> Tensor:
    """Each window of a packed [total, heads, width] by itself."""
    parts = [x.split(lengths) for x in (q, k, v)]
    alone = [
        naive(*(x[None] for x in window_parts), window, causal)[0]
        for window_parts in zip(*parts, strict=True)
        if len(window_parts[0])
    ]
    return torch.cat(alone)


def pack(lengths: list[int], device: str = "cpu") -> Packing:
    return Packing.of(torch.tensor(lengths, device=device), max(lengths))


def draw(
    *shape: int,
    heads: int = 3,
    kv_heads: int = 3,
    dtype: torch.dtype = torch.float32,
    width: int = 8,
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    return [
        torch.randn(*shape, n, width, generator=generator).to(dtype).requires_grad_()
        for n in (heads, kv_heads, kv_heads)
    ]


def outputs_and_gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    upstream = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape)
    loss = (out.double() * upstream.to(out.device)).sum()
    return [out.detach(), *torch.autograd.grad(loss, inputs)]


def relative_errors(got: list[Tensor], want: list[Tensor]) -> list[float]:
    pairs = zip(got, want, strict=True)
    return [((g.double() - w.double()).norm() / w.double().norm()).item() for g, w in pairs]
