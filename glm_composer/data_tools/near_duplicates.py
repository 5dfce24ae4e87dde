"""The nearest train window of every held-out one, by the k-mers they share.

Held-out windows are sketched into one sorted table of k-mers. Train windows go past it block by
block, so memory does not depend on how many there are, and time grows in proportion.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer.data_tools.kmers import K, Kmers, sketch
from glm_composer.sequence import Bytes

Blocks = Iterable[Bytes]

# K-mers a sketch holds on average: enough to estimate a containment to within 0.06.
_SKETCH = 64
# A window with fewer that can be compared is not compared.
_ENOUGH = 8
# A k-mer of more held-out windows than this is a repeat's, and says little about a pair: left out,
# or work would grow with the square of a repeat's copies.
_FREQUENT = 100
# Slots of the filter that most k-mers of train do not pass.
_FILTER = 1 << 26
# Pairs of a window and a k-mer that are looked at together.
_PIECE = 1 << 21


@dataclass(frozen=True)
class Nearest:
    """What is nearest to each held-out window.

    Attributes:
        containment: float32 [n], estimated share of the window's k-mers that one train window
            holds, 0 where none holds any; NaN where too few k-mers can be compared.
        train: int64 [n], that train window, the first of equals; -1 where there is none.
    """

    containment: NDArray[np.float32]
    train: NDArray[np.int64]


def scale_for(length: int) -> int:
    """Return one in how many k-mers the sketches of windows of `length` bases hold."""
    return max(1, (length - K + 1) // _SKETCH)


def find_nearest(held_out: Blocks, train: Blocks, scale: int) -> Nearest:
    """Find the train window that holds most of each held-out window's k-mers.

    Args:
        held_out: the windows in order, uint8 ASCII [n, length] a block; at most 5 KB of
            memory a window.
        train: the same.
        scale: one in how many k-mers to look at, see `scale_for`.
    """
    table = _Table(held_out, scale)
    shared = np.zeros(table.windows, dtype=np.int32)
    nearest = np.full(table.windows, -1, dtype=np.int64)
    first = 0
    for block in train:
        for window, there, count in table.matches(*sketch(block, scale), len(block)):
            # Later blocks must be better to win, so the first of equals stays.
            better = count > shared[window]
            shared[window[better]] = count[better]
            nearest[window[better]] = first + there[better]
        first += len(block)
    with np.errstate(invalid="ignore", divide="ignore"):
        containment = (shared / table.usable).astype(np.float32)
    containment[table.usable < _ENOUGH] = np.nan
    nearest[table.usable < _ENOUGH] = -1
    return Nearest(containment, nearest)


class _Table:
    """Held-out windows by k-mer.

    Attributes:
        windows: how many there are.
        usable: int64 [windows], distinct k-mers of each that are looked up.
    """

    def __init__(self, blocks: Blocks, scale: int):
        keys = [np.empty(0, dtype=np.uint64)]
        self.windows = 0
        for block in blocks:
            owner, kmer = sketch(block, scale)
            # Both in one number: sorting those is several times faster than ordering by k-mer.
            owner += self.windows
            keys.append(kmer.astype(np.uint64) << np.uint64(32) | owner.astype(np.uint64))
            self.windows += len(block)
        table = np.concatenate(keys)
        del keys
        table.sort()
        self._owner = table.astype(np.uint32)
        kmers = (table >> np.uint64(32)).astype(np.uint32)
        starts = np.flatnonzero(np.diff(table >> np.uint64(32), prepend=np.uint64(1 << 32)))
        counts = np.diff(starts, append=len(table))
        rare = counts <= _FREQUENT
        self.usable = np.bincount(self._owner[np.repeat(rare, counts)], minlength=self.windows)
        self._distinct = kmers[starts[rare]]
        self._starts, self._counts = starts[rare], counts[rare]
        self._filter = np.zeros(_FILTER, dtype=bool)
        self._filter[self._distinct % _FILTER] = True

    def matches(
        self, row: NDArray[np.int64], kmer: Kmers, rows: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Yield held-out windows [m], the row that shares most with each, and how many k-mers.

        A window comes at most once a piece, and pieces bound the memory.

        Args:
            row: the train window each k-mer is of [k], in order.
            kmer: the k-mers [k].
            rows: how many train windows there are.
        """
        maybe = self._filter[kmer % _FILTER]
        row, kmer = row[maybe], kmer[maybe]
        place = np.searchsorted(self._distinct, kmer)
        place[place == len(self._distinct)] = 0
        found = self._distinct[place] == kmer if len(kmer) else np.empty(0, dtype=bool)
        row, place = row[found], place[found]
        # A piece ends with a row, so that no pair is counted in two parts.
        work = np.bincount(row, weights=self._counts[place], minlength=rows)
        piece = (np.cumsum(work) // _PIECE)[row]
        for chosen in np.split(np.arange(len(row)), np.flatnonzero(np.diff(piece)) + 1):
            if len(chosen):
                yield self._best(row[chosen], place[chosen], rows)

    def _best(
        self, row: NDArray[np.int64], place: NDArray[np.int64], rows: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        counts = self._counts[place]
        # Every k-mer of a row meets all of its owners, which lie in one run of the table.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        owner = self._owner[np.repeat(self._starts[place], counts) + within].astype(np.int64)
        pairs, shared = np.unique(owner * rows + np.repeat(row, counts), return_counts=True)
        window, there = pairs // rows, pairs % rows
        starts = np.flatnonzero(np.diff(window, prepend=-1))
        most = np.maximum.reduceat(shared, starts)
        is_most = np.flatnonzero(shared == np.repeat(most, np.diff(np.append(starts, len(pairs)))))
        first = is_most[np.searchsorted(is_most, starts)]
        return window[first], there[first], most
