"""The one convolution of all models: along a window, keeping its length, causal on demand."""

from torch import Tensor, nn
from torch.nn import functional as F

from glm_composer.models.cone import Narrowing
from glm_composer.models.packing import Packing
from glm_composer.models.places import Places
from glm_composer.models.tokens import Tokens

# Reads a position of its input, up to which a few outputs are gathered instead of all computed.
_MOST_READS = 2


class Convolution(nn.Conv1d):
    """A convolution without bias over [batch, length, width]; zeros lie beyond a window's ends.

    Args:
        width: channels in and out.
        kernel: its size, odd.
        dilation: bases between the kernel's taps.
        causal: its last tap, instead of its middle one, is the position itself.
    """

    def __init__(self, width: int, kernel: int, dilation: int = 1, causal: bool = False):
        span = dilation * (kernel - 1)
        # Uneven padding is beyond nn.Conv1d.
        self.back = span if causal else 0
        padding = 0 if causal else span // 2
        super().__init__(width, width, kernel, dilation=dilation, padding=padding, bias=False)

    @property
    def taps(self) -> tuple[int, int, int]:
        """Dilation, and bases from the position itself to the first and to the last tap."""
        before = self.back or int(self.padding[0])
        return self.dilation[0], before, self.dilation[0] * (self.kernel_size[0] - 1) - before

    def forward(
        self,
        x: Tensor | Tokens,
        packing: Packing | None = None,
        narrowing: Narrowing | Places | None = None,
    ) -> Tensor:
        """[batch, length, width] -> the same shape; with a packing [total, width].

        With a narrowing from hidden states on its source to those on its target; with places to
        [1, places, width].
        """
        if isinstance(x, Tokens):
            return self._convolve(x.one_hot(), x.kernel(self.weight), packing, narrowing)
        return self._convolve(x, self.weight, packing, narrowing)

    def _convolve(
        self,
        x: Tensor,
        weight: Tensor,
        packing: Packing | None,
        narrowing: Narrowing | Places | None,
    ) -> Tensor:
        if packing is not None:
            return packing.unpad(self._whole(packing.pad(x), weight))
        if isinstance(narrowing, Places):
            return self._among(x, weight, narrowing)
        if narrowing is not None:
            return self._narrowed(x, weight, narrowing)
        return self._whole(x, weight)

    def _whole(self, x: Tensor, weight: Tensor) -> Tensor:
        # Of an image of height 1, which already lies channels-last: between two transposes a CPU
        # copies the input, forward and backward, and runs a slower kernel.
        x = x.unsqueeze(1).permute(0, 3, 1, 2)
        if self.back:
            x = F.pad(x, (self.back, 0))
        y = F.conv2d(
            x,
            weight.unsqueeze(2),
            dilation=(1, self.dilation[0]),
            padding=(0, int(self.padding[0])),
        )
        return y.permute(0, 2, 3, 1).squeeze(1)

    def _among(self, x: Tensor, weight: Tensor, places: Places) -> Tensor:
        if len(places.index) * self.kernel_size[0] > _MOST_READS * x.shape[0] * x.shape[1]:
            return places.take(self._whole(x, weight))
        dilation, before, after = self.taps
        x = F.pad(x, (0, 0, before, after)).flatten(0, 1)
        seen = x.index_select(0, places.taps(self.kernel_size[0], dilation).flatten())
        kernel = weight.permute(2, 1, 0).flatten(0, 1)
        return seen.view(1, -1, len(kernel)) @ kernel

    def _narrowed(self, x: Tensor, weight: Tensor, narrowing: Narrowing) -> Tensor:
        dilation, before, after = self.taps
        x = x.unsqueeze(1).permute(0, 3, 1, 2)
        y = F.conv2d(
            F.pad(x, narrowing.padding(before, after)),
            weight.unsqueeze(2),
            stride=(1, narrowing.stride),
            dilation=(1, dilation // narrowing.source.step),
        )
        return y.permute(0, 2, 3, 1).squeeze(1)
