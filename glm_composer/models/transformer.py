"""The RoPE encoder: pre-norm RMSNorm, rotary attention, SwiGLU, no biases.

DNA has single-base tokens, so a model must mix neighbours before attention over content pays: an
optional convolution after the embedding (`stem_kernel`) and ByteNet blocks before each layer's
attention (`conv_layers`) do that, and `attention` says layer by layer where attention is global,
local or absent.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from glm_composer.models.attention import Backend, attention, choose
from glm_composer.models.bytenet import ByteNetBlock
from glm_composer.models.convolution import Convolution
from glm_composer.models.language_model import LanguageModel, Layers, initialise
from glm_composer.models.packing import Packing
from glm_composer.models.places import Places
from glm_composer.models.rotary import rotary_tables, rotate
from glm_composer.models.tokens import Tokens, states
from glm_composer.registry import models

Reach = Literal["global", "local", "none"]
EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Settings of a RoPE encoder language model.

    Attributes:
        name: `transformer`.
        width: size of the hidden states.
        layers: number of blocks.
        heads: attention heads; must divide `width`.
        kv_heads: heads of keys and values, each shared by heads / kv_heads heads of queries
            (grouped-query attention, Ainslie et al. 2023); must divide `heads`; null for as many.
        qk_norm: RMSNorm over each head's queries and keys before rotation (Henry et al. 2020),
            which bounds what attention scores can grow to.
        causal: no position sees what comes after it, in attention and convolutions alike.
        mlp_width: inner size of the SwiGLU.
        attention: reach of each layer's attention, repeated over the layers.
        window: bases that local layers see to either side, or before where `causal`.
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
    kv_heads: PositiveInt | None = None
    qk_norm: bool = False
    causal: bool = False
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
        if self.kv_heads and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        if not self.attention:
            raise ValueError("attention must name the reach of at least one layer")
        if self.stem_kernel and self.stem_kernel % 2 == 0:
            raise ValueError(f"stem_kernel ({self.stem_kernel}) must be odd, or 0 for none")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel ({self.conv_kernel}) must be odd")


class SelfAttention(nn.Module):
    """Multi-head rotary attention of one layer.

    Args:
        config: the model's settings.
        local: whether it sees `config.window` bases only.
    """

    def __init__(self, config: TransformerConfig, local: bool):
        super().__init__()
        width, self.heads = config.width, config.heads
        self.kv_heads = config.kv_heads or config.heads
        self.head_width = width // config.heads
        self.window = config.window if local else None
        self.base = config.local_rope_base if local else config.rope_base
        self.causal = config.causal
        self.backend, self.why = choose(config.backend, self.window)
        self.qkv = nn.Linear(width, (self.heads + 2 * self.kv_heads) * self.head_width, bias=False)
        if config.qk_norm:
            self.norm_q = nn.RMSNorm(self.head_width, eps=EPS)
            self.norm_k = nn.RMSNorm(self.head_width, eps=EPS)
        self.qk_norm = config.qk_norm
        self.out = nn.Linear(width, width, bias=False)

    def narrowed(self) -> Iterator[nn.Module]:
        """What is computed at places alone."""
        yield self.out

    def forward(
        self, x: Tensor, packing: Packing | None = None, places: Places | None = None
    ) -> Tensor:
        """[batch, length, width], or [total, width] with a packing -> the same shape.

        With places to [1, places, width].
        """
        length = x.shape[1] if packing is None else packing.longest
        # Not kept from one call to the next: a compiled model would be compiled once more for the
        # tables it has by then, and tables made under inference mode would spoil training.
        cos, sin = rotary_tables(length, self.head_width, self.base, x.device)
        if packing is not None:
            cos, sin = cos[packing.position], sin[packing.position]
        heads = self.qkv(x).unflatten(-1, (-1, self.head_width))
        q, k, v = heads.split([self.heads, self.kv_heads, self.kv_heads], dim=-2)
        if self.qk_norm:
            q, k = self.norm_q(q), self.norm_k(k)
        # Under autocast norms answer in fp32.
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        y = attention(q, k, v, self.window, self.causal, self.backend, packing)
        y = y.flatten(-2)
        return self.out(y if places is None else places.take(y))


class SwiGLU(nn.Module):
    """Gated feed-forward: out(silu(gate(x)) * up(x)) (Shazeer 2020)."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def narrowed(self) -> Iterator[nn.Module]:
        """What is computed at places alone."""
        yield self

    def forward(
        self, x: Tensor, packing: Packing | None = None, places: Places | None = None
    ) -> Tensor:
        """[..., width] -> [..., width], position by position, packed or not.

        With places [batch, length, width] -> [1, places, width].
        """
        if places is not None:
            x = places.take(x)
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
        self.convs = Layers(
            ByteNetBlock(width, config.conv_kernel, dilation, config.causal)
            for dilation in dilations
        )
        branches: list[nn.Module] = []
        if reach != "none":
            branches.append(SelfAttention(config, local=reach == "local"))
        branches.append(SwiGLU(width, config.mlp_width))
        self.branches = nn.ModuleList(branches)
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=EPS) for _ in branches)

    @property
    def narrows(self) -> bool:
        """Whether it may be called with places: not with a forward pass of somebody else's."""
        known = (SelfAttention.forward, SwiGLU.forward)
        own = type(self).forward is Block.forward
        return own and all(type(branch).forward in known for branch in self.branches)

    @property
    def reads_tokens(self) -> bool:
        """Whether it may be called with tokens: if it gains by it, its convolutions come first."""
        return type(self).forward is Block.forward and self.convs.reads_tokens

    def narrowed(self) -> Iterator[nn.Module]:
        """What is computed at places alone: all that follows where positions meet last."""
        first, *rest = self.branches
        yield from first.narrowed()
        yield from rest

    def tabled(self) -> Iterator[nn.Module]:
        """What is computed of tokens instead of hidden states, if it is called with such."""
        yield from self.convs.tabled()

    def forward(
        self, x: Tensor | Tokens, packing: Packing | None = None, places: Places | None = None
    ) -> Tensor:
        """[batch, length, width], or [total, width] with a packing -> the same shape.

        With places to [1, places, width].
        """
        y: Tensor = self.convs(x, packing)
        for norm, branch in zip(self.norms, self.branches, strict=True):
            if places is None:
                y = y + branch(norm(y), packing)
            else:
                y, places = places.take(y) + branch(norm(y), packing, places), None
        return y


class Stem(nn.Module):
    """x + conv(x), so that the first block already sees k-mers."""

    def __init__(self, width: int, kernel: int, causal: bool = False):
        super().__init__()
        self.conv = Convolution(width, kernel, causal=causal)

    @property
    def reads_tokens(self) -> bool:
        """Whether it may be called with tokens: not with a forward pass of somebody else's."""
        own = type(self).forward is Stem.forward
        return own and type(self.conv).forward is Convolution.forward

    def tabled(self) -> Iterator[nn.Module]:
        """What is computed of tokens instead of hidden states, if it is called with such."""
        yield self.conv

    def forward(self, x: Tensor | Tokens, packing: Packing | None = None) -> Tensor:
        """[batch, length, width], or [total, width] with a packing -> the same shape."""
        return states(x) + self.conv(x, packing)


@models.register("transformer")
def build_transformer(config: TransformerConfig) -> LanguageModel:
    """Build a freshly initialised RoPE encoder language model.

    Projections back into the residual stream start smaller by sqrt(2 x layers) (GPT-2's rule), so
    that its variance does not grow with depth.
    """
    kernel = config.stem_kernel
    stem = [Stem(config.width, kernel, config.causal)] if kernel else []
    blocks = [Block(config, layer) for layer in range(config.layers)]
    norm = nn.RMSNorm(config.width, eps=EPS)
    model = LanguageModel(config.width, Layers([*stem, *blocks]), norm, config.causal)
    shrink = 1 / math.sqrt(2 * config.layers)
    initialise(model, lambda name: shrink if name.endswith(".out") else 1.0)
    return model
