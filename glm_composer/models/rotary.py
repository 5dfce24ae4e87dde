"""Rotary position embedding (RoPE, Su et al. 2021)."""

import torch
from torch import Tensor


def rotary_tables(
    length: int, head_width: int, base: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [length, 1, head_width / 2] of RoPE (Su et al. 2021)."""
    pair = torch.arange(0, head_width, 2, dtype=torch.float64, device=device)
    position = torch.arange(length, dtype=torch.float64, device=device)
    angle = position[:, None, None] * base ** (-pair / head_width)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs (i, i + head_width / 2) of x [..., length, heads, head_width]."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)
