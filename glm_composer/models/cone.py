"""What one position depends on: fewer and fewer positions of a stack of dilated convolutions.

A variant's score reads one position of a window. The last convolution must be computed there
alone, the one before it where the last one's taps fall, and so on back to the first: after
dilations 1, 2, 4, ... these are grids of twice the step and half the positions each. What is not
computed is what nothing reads; what is computed is the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Positions start, start + step, ... of a window, `count` of them; at least one."""

    start: int
    step: int
    count: int

    @property
    def last(self) -> int:
        """The last position."""
        return self.start + (self.count - 1) * self.step


@dataclass(frozen=True)
class Narrowing:
    """From hidden states on one grid to those on another, which lies within it."""

    source: Grid
    target: Grid

    @property
    def stride(self) -> int:
        """Places of the source between two of the target."""
        return self.target.step // self.source.step if self.target.count > 1 else 1

    @property
    def offset(self) -> int:
        """The place in the source where the target begins."""
        return (self.target.start - self.source.start) // self.source.step

    def take(self, x: Tensor) -> Tensor:
        """[batch, source.count, width] -> [batch, target.count, width]: what the target has."""
        end = self.offset + (self.target.count - 1) * self.stride + 1
        return x[:, self.offset : end : self.stride]

    def padding(self, before: int, after: int) -> tuple[int, int]:
        """Places of zeros beyond the source's ends, or fewer than none, that taps need.

        Args:
            before: bases from the first tap to the position itself.
            after: bases from the position itself to the last tap.
        """
        step = self.source.step
        left = (before - (self.target.start - self.source.start)) // step
        return left, (after - (self.source.last - self.target.last)) // step


def narrowings(
    taps: Sequence[tuple[int, int, int]], length: int, position: int
) -> list[Narrowing | None]:
    """How far each of a stack of convolutions may be narrowed for its last output at a position.

    Args:
        taps: dilation, and bases from the position itself to its first and last tap, each a
            multiple of the dilation, of every convolution from first to last.
        length: of the window.
        position: the one that is read, 0-based.

    Returns:
        One a convolution, and before them one from the whole window to the first one's source;
        None where all positions are needed.
    """
    everything = Grid(0, 1, length)
    target = Grid(position, length, 1)
    found: list[Narrowing | None] = []
    for dilation, before, after in reversed(taps):
        if target == everything:
            found.append(None)
            continue
        step = math.gcd(dilation, target.step) if target.count > 1 else dilation
        # Clipped to the window without leaving the grid.
        start = max(target.start - before, target.start % step)
        end = min(target.last + after, length - 1)
        source = Grid(start, step, (end - start) // step + 1)
        found.append(Narrowing(source, target))
        target = source
    found.append(None if target == everything else Narrowing(everything, target))
    return found[::-1]
