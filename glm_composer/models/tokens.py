"""Hidden states that depend on the token alone: what the layers of a network begin with.

There are seven tokens. What is computed of an embedding position by position, before positions
first meet, has seven different outcomes, and is computed of those; a convolution of them is one of
one-hot tokens, eight channels instead of hundreds, with a kernel for every token. Of a ByteNet of
eight layers this spares an eighth of the work, of one of 64 a fiftieth; the result is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Seven tokens and a channel of zeros: tensor cores want eights.
CHANNELS = 8


@dataclass(frozen=True)
class Tokens:
    """Hidden states of tokens.

    All of a table must be finite: a row that is not spoils every product, wherever its token is.

    Attributes:
        ids: [batch, length], or [total] with a packing, of any integer type.
        table: [tokens, width], the state of each token.
    """

    ids: Tensor
    table: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> "Tokens":
        """Apply what maps [..., width] to [..., width'] position by position."""
        return Tokens(self.ids, function(self.table))

    def some(self, take: Callable[[Tensor], Tensor]) -> "Tokens":
        """Of some positions, which `take` takes of [batch, length]."""
        return Tokens(take(self.ids), self.table)

    def states(self) -> Tensor:
        """[batch, length, width], or [total, width]."""
        if self.table.device.type != "cpu":
            return F.embedding(self.ids.int(), self.table)
        # A look-up's gradient is scattered base by base there.
        with torch.autocast("cpu", enabled=False):
            return self.one_hot() @ F.pad(self.table, (0, 0, 0, CHANNELS - len(self.table)))

    def one_hot(self) -> Tensor:
        """[batch, length, 8], or [total, 8], of the table's type; an id beyond it is an error."""
        one = torch.eye(len(self.table), CHANNELS, dtype=self.table.dtype, device=self.ids.device)
        return F.embedding(self.ids.int(), one)

    def kernel(self, weight: Tensor) -> Tensor:
        """A convolution's kernel over one-hot tokens.

        Args:
            weight: [out, width, taps], of a convolution over the states.

        Returns:
            [out, 8, taps]
        """
        kernel = torch.einsum("oit,ni->ont", weight, self.table)
        return F.pad(kernel, (0, 0, 0, CHANNELS - len(self.table)))


def each(function: Callable[[Tensor], Tensor], x: Tensor | Tokens) -> Tensor | Tokens:
    """Apply a function to hidden states position by position; of tokens once a token."""
    return x.each(function) if isinstance(x, Tokens) else function(x)


def states(x: Tensor | Tokens) -> Tensor:
    """Hidden states as a tensor, whatever they are given as."""
    return x.states() if isinstance(x, Tokens) else x
