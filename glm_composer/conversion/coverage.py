"""How many distinct positions of the genome the windows of a split cover."""

import numpy as np
from numpy.typing import NDArray

# A contig's number and a position in one integer, which sorts by both.
_POSITION_BITS = 40


class Coverage:
    """Counts as windows of one length pass by.

    Windows that come in order of contig and position (those cut from a genome) are counted at
    once. Others are held, 8 bytes each, until `finish`.

    Args:
        width: bases of a window.
        in_order: whether they come in order.
    """

    def __init__(self, width: int, in_order: bool):
        self._width = width
        self._in_order = in_order
        self._last = -width
        self._total = 0
        self._held: list[NDArray[np.int64]] = []

    def add(self, contig: NDArray[np.uint32], start: NDArray[np.int64]) -> None:
        """Count windows by the numbers of their contigs [n] and 0-based starts [n]."""
        keys = (contig.astype(np.int64) << _POSITION_BITS) + start
        if self._in_order:
            self._count(keys)
        else:
            self._held.append(keys)

    def finish(self) -> int:
        """Return the number of positions covered."""
        if self._held:
            self._count(np.sort(np.concatenate(self._held)))
            self._held = []
        return self._total

    def _count(self, keys: NDArray[np.int64]) -> None:
        if len(keys):
            steps = np.diff(keys, prepend=self._last)
            self._total += int(np.minimum(steps, self._width).sum())
            self._last = int(keys[-1])
