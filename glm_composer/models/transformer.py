"""The RoPE encoder: pre-norm RMSNorm, rotary attention, SwiGLU, no biases.

DNA has single-base tokens, so a model must mix neighbours before attention over content pays: an
optional convolution after the embedding (`stem_kernel`) and ByteNet blocks before each layer's
attention (`conv_layers`) do that, and `attention` says layer by layer where attention is global,
local or absent.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from glm_composer.models.attention import Backend, attention, choose
from glm_composer.models.bytenet import ByteNetBlock
from glm_composer.models.language_model import LanguageModel, initialise
from glm_composer.registry import models

Reach = Literal["global", "local", "none"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Settings of a RoPE encoder language model.

    Attributes:
        name: `transformer`.
        width: size of the hidden states.
        layers: number of blocks.
        heads: attention heads; must divide `width`.
        mlp_width: inner size of the SwiGLU.
        attention: reach of each layer's attention, repeated over the layers.
        window: local layers see this many bases to either side.
        rope_base: rotary base of global layers.
        local_rope_base: rotary base of local layers.
        stem_kernel: kernel of a convolution after the embedding, odd; 0 for none.
        conv_layers: ByteNet blocks (convolutions at half width) before each layer's attention.
        conv_kernel: kernel of those convolutions, odd.
        conv_dilation_cycle: the dilation of the n-th of them is 2 ** (n mod conv_dilation_cycle).
        backend: attention backend; `auto` takes the fastest that is there.
    """

    name: str = "transformer"
    width: PositiveInt = 768
    layers: PositiveInt = 12
    heads: PositiveInt = 12
    mlp_width: PositiveInt = 2048
    attention: list[Reach] = field(default_factory=lambda: ["global"])
    window: PositiveInt = 64
    rope_base: PositiveFloat = 10_000.0
    local_rope_base: PositiveFloat = 10_000.0
    stem_kernel: NonNegativeInt = 0
    conv_layers: NonNegativeInt = 0
    conv_kernel: PositiveInt = 5
    conv_dilation_cycle: PositiveInt = 8
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        if self.width // self.heads % 2:
            raise ValueError(
                f"width / heads ({self.width // self.heads}) must be even: RoPE rotates pairs"
            )
        if not self.attention:
            raise ValueError("attention must name the reach of at least one layer")
        if self.stem_kernel and self.stem_kernel % 2 == 0:
            raise ValueError(f"stem_kernel ({self.stem_kernel}) must be odd, or 0 for none")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel ({self.conv_kernel}) must be odd")


def rotary_tables(
    length: int, head_width: int, base: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [length, 1, head_width / 2] of RoPE (Su et al. 2021)."""
    pair = torch.arange(0, head_width, 2, dtype=torch.float64, device=device)
    position = torch.arange(length, dtype=torch.float64, device=device)
    angle = position[:, None, None] * base ** (-pair / head_width)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs (i, i + head_width / 2) of x [batch, length, heads, head_width]."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


class SelfAttention(nn.Module):
    """Multi-head rotary attention, global or within `window` bases to either side."""

    def __init__(self, width: int, heads: int, window: int | None, base: float, backend: Backend):
        super().__init__()
        self.heads, self.window, self.base = heads, window, base
        self.backend = choose(backend, window)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, width] -> [batch, length, width]."""
        batch, length, width = x.shape
        # Not kept from one call to the next: a compiled model would be compiled once more for the
        # tables it has by then, and tables made under inference mode would spoil training.
        cos, sin = rotary_tables(length, width // self.heads, self.base, x.device)
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).unbind(2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = attention(q, k, v, self.window, backend=self.backend)
        return self.out(y.reshape(batch, length, width))


class SwiGLU(nn.Module):
    """Gated feed-forward: out(silu(gate(x)) * up(x)) (Shazeer 2020)."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.out(F.silu(gate) * up)


class Block(nn.Module):
    """ByteNet convolutions, pre-norm attention, SwiGLU; the first two are optional."""

    def __init__(self, config: TransformerConfig, layer: int):
        super().__init__()
        width = config.width
        reach = config.attention[layer % len(config.attention)]
        depth = range(layer * config.conv_layers, (layer + 1) * config.conv_layers)
        dilations = [2 ** (i % config.conv_dilation_cycle) for i in depth]
        self.convs = nn.Sequential(
            *(ByteNetBlock(width, config.conv_kernel, dilation) for dilation in dilations)
        )
        branches: list[nn.Module] = []
        if reach != "none":
            local = reach == "local"
            window = config.window if local else None
            base = config.local_rope_base if local else config.rope_base
            branches.append(SelfAttention(width, config.heads, window, base, config.backend))
        branches.append(SwiGLU(width, config.mlp_width))
        self.branches = nn.ModuleList(branches)
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-6) for _ in branches)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, width] -> [batch, length, width]."""
        x = self.convs(x)
        for norm, branch in zip(self.norms, self.branches, strict=True):
            x = x + branch(norm(x))
        return x


class Stem(nn.Module):
    """x + conv(x), so that the first block already sees k-mers."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, width] -> [batch, length, width]."""
        return x + self.conv(x.transpose(1, 2)).transpose(1, 2)


@models.register("transformer")
def build_transformer(config: TransformerConfig) -> LanguageModel:
    """Build a freshly initialised RoPE encoder language model.

    Projections back into the residual stream start smaller by sqrt(2 x layers) (GPT-2's rule), so
    that its variance does not grow with depth.
    """
    stem = [Stem(config.width, config.stem_kernel)] if config.stem_kernel else []
    blocks = [Block(config, layer) for layer in range(config.layers)]
    model = LanguageModel(
        config.width, nn.Sequential(*stem, *blocks), nn.RMSNorm(config.width, eps=1e-6)
    )
    shrink = 1 / math.sqrt(2 * config.layers)
    initialise(model, lambda name: shrink if name.endswith(".out") else 1.0)
    return model
