"""How many distinct positions of the genome the windows of a split cover."""

import numpy as np
from numpy.typing import NDArray

# A contig's number and a position in one integer, which sorts by both.
_POSITION_BITS = 40
_BLOCK = 1 << 20


class Coverage:
    """Counts as windows pass by.

    Windows that come in order of contig and position (those cut from a genome) are counted at
    once. Others are held until `finish`, 8 bytes each, 16 where their lengths vary.

    Args:
        in_order: whether they come in order.

    Attributes:
        bases: of all windows together.
    """

    def __init__(self, in_order: bool):
        self.bases = 0
        self._in_order = in_order
        self._reach = 0
        self._total = 0
        self._held: list[NDArray[np.int64]] = []
        self._ends: list[NDArray[np.int64]] = []
        self._length = 0

    def add(
        self,
        contig: NDArray[np.uint32],
        start: NDArray[np.int64],
        length: int | NDArray[np.int64],
    ) -> None:
        """Count windows by the numbers of their contigs [n], 0-based starts [n] and lengths."""
        starts = (contig.astype(np.int64) << _POSITION_BITS) + start
        self.bases += int(np.broadcast_to(length, starts.shape).sum())
        if self._in_order:
            self._count(starts, starts + length)
            return
        self._held.append(starts)
        if isinstance(length, int):
            self._length = length
        else:
            self._ends.append(starts + length)

    def finish(self) -> int:
        """Return the number of positions covered."""
        if self._held:
            starts = np.sort(np.concatenate(self._held))
            # What is covered does not depend on which start goes with which end.
            ends = np.sort(np.concatenate(self._ends)) if self._ends else None
            self._held, self._ends = [], []
            for first in range(0, len(starts), _BLOCK):
                here = slice(first, first + _BLOCK)
                self._count(
                    starts[here], starts[here] + self._length if ends is None else ends[here]
                )
        return self._total

    def _count(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        if len(starts):
            reach = np.maximum.accumulate(np.concatenate(([self._reach], ends)))
            self._total += int(np.maximum(0, ends - np.maximum(starts, reach[:-1])).sum())
            self._reach = int(reach[-1])
