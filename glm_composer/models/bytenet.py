"""ByteNet, the encoder of GPN: dilated convolutions in residual blocks, no biases, no dropout.

Benegas, Batra and Song, PNAS 2023 (GPN); at width 1024 and 64 layers it has 152,189,952
parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from glm_composer.models.cone import Narrowing
from glm_composer.models.convolution import Convolution
from glm_composer.models.language_model import LanguageModel, Layers, initialise
from glm_composer.models.packing import Packing
from glm_composer.models.places import Places
from glm_composer.models.tokens import Tokens, each, states
from glm_composer.registry import models


@dataclass(frozen=True, kw_only=True)
class ByteNetConfig:
    """Settings of a ByteNet language model; the defaults are GPN-Animal-Promoter's.

    Attributes:
        name: `bytenet`.
        width: size of the hidden states; convolutions work at half of it.
        layers: number of residual blocks.
        first_kernel: kernel size of the first block's convolution, odd.
        kernel: kernel size of the other blocks' convolutions, odd.
        dilation_cycle: dilation is 2 ** (layer mod dilation_cycle).
    """

    name: str = "bytenet"
    width: PositiveInt = 1024
    layers: PositiveInt = 64
    first_kernel: PositiveInt = 9
    kernel: PositiveInt = 5
    dilation_cycle: PositiveInt = 8

    def __post_init__(self) -> None:
        if self.width % 2:
            raise ValueError(f"width ({self.width}) must be even: blocks work at half of it")
        for key in ("first_kernel", "kernel"):
            if getattr(self, key) % 2 == 0:
                raise ValueError(f"{key} ({getattr(self, key)}) must be odd")


class ByteNetBlock(nn.Module):
    """x + Linear(Conv1d(Linear(x))), each after LayerNorm and GELU, at half width inside.

    GPN's looks to both sides; `causal` is for blocks of other models.
    """

    def __init__(self, width: int, kernel: int, dilation: int, causal: bool = False):
        super().__init__()
        inner = width // 2
        self.norm_in = nn.LayerNorm(width, bias=False)
        self.reduce = nn.Linear(width, inner, bias=False)
        self.norm_conv = nn.LayerNorm(inner, bias=False)
        self.conv = Convolution(inner, kernel, dilation, causal)
        self.norm_out = nn.LayerNorm(inner, bias=False)
        self.expand = nn.Linear(inner, width, bias=False)

    @property
    def taps(self) -> tuple[int, int, int]:
        """Of its convolution, the one place where positions meet."""
        return self.conv.taps

    @property
    def narrows(self) -> bool:
        """Whether it may be called with places: not with a forward pass of somebody else's."""
        own = type(self).forward is ByteNetBlock.forward
        return own and type(self.conv).forward is Convolution.forward

    @property
    def reads_tokens(self) -> bool:
        """Whether it may be called with tokens: not with parts of somebody else's.

        A dropout or a norm over the batch, say, is no matter of the token alone.
        """
        known = {self.norm_in: nn.LayerNorm, self.reduce: nn.Linear, self.norm_conv: nn.LayerNorm}
        return self.narrows and all(type(part) is kind for part, kind in known.items())

    def narrowed(self) -> Iterator[nn.Module]:
        """What is computed on a narrowing's target, or at places, alone."""
        yield from (self.conv, self.norm_out, self.expand)

    def tabled(self) -> Iterator[nn.Module]:
        """What is computed of tokens instead of hidden states, if it is called with such."""
        yield from (self.norm_in, self.reduce, self.norm_conv, self.conv)

    def forward(
        self,
        x: Tensor | Tokens,
        packing: Packing | None = None,
        narrowing: Narrowing | Places | None = None,
    ) -> Tensor:
        """[batch, length, width], or [total, width] with a packing -> the same shape.

        With a narrowing from hidden states on its source to those on its target; with places to
        [1, places, width].
        """
        y = self.conv(each(self._before, x), packing, narrowing)
        x = states(x)
        if narrowing is not None:
            x = narrowing.take(x)
        return x + self.expand(F.gelu(self.norm_out(y)))

    def _before(self, x: Tensor) -> Tensor:
        """What comes before the convolution: [..., width] -> [..., width / 2]."""
        return F.gelu(self.norm_conv(self.reduce(F.gelu(self.norm_in(x)))))


@models.register("bytenet")
def build_bytenet(config: ByteNetConfig) -> LanguageModel:
    """Build a freshly initialised ByteNet language model."""
    blocks = (
        ByteNetBlock(
            config.width,
            config.first_kernel if layer == 0 else config.kernel,
            2 ** (layer % config.dilation_cycle),
        )
        for layer in range(config.layers)
    )
    norm = nn.LayerNorm(config.width, bias=False)
    model = LanguageModel(config.width, Layers(blocks), norm)
    initialise(model)
    return model
