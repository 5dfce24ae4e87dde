"""Where a loss is read: a few positions of each window, which alone the last layer must compute.

Masked-language modelling asks for 15% of the bases. After the last convolution or attention
positions do not meet any more, so what follows it is left out at all others: of a network of
eight layers a twelfth of the work, of one of 64 a hundredth. What is computed is the same.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch._subclasses import FakeTensor

from glm_composer.sequence import PAD

# Shares of a batch's positions that are computed: few different shapes, with room for more than
# the 15% and 25% of positions that are mostly asked for.
_SHARES = (3 / 16, 5 / 16, 7 / 16)


@dataclass(frozen=True)
class Places:
    """Positions of a batch of windows.

    Attributes:
        index: int64 [places], each place among the batch x length.
        length: bases of a window.
    """

    index: Tensor
    length: int

    def take(self, x: Tensor) -> Tensor:
        """[batch, length, ...] -> [1, places, ...], as if they were one window.

        Matrices alone torch 2.7's inductor multiplies and adds in one, whatever their types.
        """
        return x.flatten(0, 1).index_select(0, self.index)[None]

    def taps(self, count: int, dilation: int) -> Tensor:
        """Where a convolution reads: int64 [places, count], among windows with room for its span.

        Args:
            count: taps of its kernel.
            dilation: bases from each of them to the next.
        """
        span = (count - 1) * dilation
        first = self.index + self.index // self.length * span
        return first[:, None] + torch.arange(0, span + 1, dilation, device=first.device)


def asked_places(labels: Tensor) -> Tensor | None:
    """Find all positions that a loss asks for, and some more, for there are few different counts.

    Args:
        labels: [batch, length] of any integer type, [PAD] where nothing is asked.

    Returns:
        int64 [places] among the batch x length, none of them twice; None where it does not pay,
        since too many are asked for, and where it cannot be known: a GPU would have to be waited
        for, and a tensor without contents has nothing to count.
    """
    if labels.device.type != "cpu" or isinstance(labels, FakeTensor):
        return None
    asked = labels.flatten() != PAD
    found = asked.nonzero()[:, 0]
    for share in _SHARES:
        room = int(len(asked) * share)
        if len(found) <= room:
            others = (~asked).nonzero()[: room - len(found), 0]
            return torch.cat([found, others])
    return None
