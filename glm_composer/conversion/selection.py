"""Which windows go where, decided over all parts at once from their facts, never from bases.

A decision is one byte a window: the number of its split, or `DROPPED`. Facts are read again for
each step instead of being held, so memory stays at that byte, whatever the number of windows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.leakage import find_duplicates
from glm_composer.conversion.parts import Facts, Part

DROPPED = 255
Decisions = NDArray[np.uint8]
# Windows whose hashes are compared at a time.
_BUCKET = 1 << 22
# Keys of a draw are counted by so many of their upper bits.
_BITS = 16


@dataclass(frozen=True)
class PlacedPart:
    """A part, and its place in the order of all windows: [first, first + its windows)."""

    part: Part
    first: int

    @property
    def place(self) -> slice:
        """Where its windows stand in an array of all windows."""
        return slice(self.first, self.first + self.part.info.windows)


def place(parts: Sequence[Part]) -> list[PlacedPart]:
    """Line parts up, in their order."""
    ends = np.cumsum([0, *(part.info.windows for part in parts)])
    return [PlacedPart(part, int(first)) for part, first in zip(parts, ends, strict=False)]


def split_ranks(splits: Sequence[str]) -> NDArray[np.int64]:
    """Return who wins a window that several splits have, lowest first: int64 [splits].

    Held-out splits come before training splits (those whose name begins with train), later ones
    before earlier ones.
    """
    order = sorted(range(len(splits)), key=lambda i: (is_training(splits[i]), -i))
    ranks = np.empty(len(splits), dtype=np.int64)
    ranks[order] = np.arange(len(splits))
    return ranks


def is_training(split: str) -> bool:
    """Return whether a split is one to train on, by its name."""
    return split.startswith("train")


def drop_duplicates(
    parts: Sequence[PlacedPart], decisions: Decisions, splits: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Drop all but one of the windows that are equal, by their hashes.

    Args:
        parts: all of them.
        decisions: uint8 [windows], changed in place.
        splits: names of the splits.

    Returns:
        Windows dropped from each split because it has their like itself, and because another split
        has it: int64 [splits] each.
    """
    ranks = split_ranks(splits)
    within, across = np.zeros((2, len(splits)), dtype=np.int64)
    # Hashes are uniform, so their upper bits deal windows to buckets of about equal size.
    bits = (len(decisions) // _BUCKET).bit_length()
    for bucket in range(1 << bits):
        rows: list[NDArray[np.int64]] = []
        hashes: list[NDArray[np.uint64]] = []
        for each, facts, chosen in _kept(parts, decisions):
            keys = facts["hash"]
            if bits:
                chosen &= keys[:, 0] >> np.uint64(64 - bits) == bucket
            index = np.flatnonzero(chosen)
            rows.append(index + each.first)
            hashes.append(keys[index])
        if not rows:
            continue
        here = np.concatenate(rows)
        found = find_duplicates(np.concatenate(hashes), ranks[decisions[here]])
        decisions[here[~found.keep]] = DROPPED
        within[: len(found.within)] += found.within
        across[: len(found.across)] += found.across
    return within[ranks], across[ranks]


def thin(
    parts: Sequence[PlacedPart], decisions: Decisions, split: int, most: int, draw: int
) -> int:
    """Drop windows of one split from some parts until `most` are left; return how many went.

    Who stays is drawn by hash: it depends on the windows alone, neither on their order nor on how
    they were cut into parts.

    Args:
        parts: whose windows are counted.
        decisions: uint8 [windows], of all parts, changed in place.
        split: number of the split.
        most: how many windows may stay.
        draw: 0 or 1, the half of the hash that is drawn by. Draws that follow each other need
            different ones: those who stayed in the first would all win the second.
    """
    counts = np.zeros(1 << _BITS, dtype=np.int64)
    for _, facts, chosen in _kept(parts, decisions, split):
        counts += np.bincount(_upper(facts[chosen], draw), minlength=len(counts))
    before = int(counts.sum())
    if before <= most:
        return 0
    # All below the edge stay, all above it go, and those on it are put in order.
    below = np.concatenate(([0], np.cumsum(counts)))
    edge = int(np.searchsorted(below, most, side="right")) - 1
    rows: list[NDArray[np.int64]] = []
    keys: list[NDArray[np.uint64]] = []
    for each, facts, chosen in _kept(parts, decisions, split):
        index = np.flatnonzero(chosen)
        upper = _upper(facts[index], draw)
        decisions[each.first + index[upper > edge]] = DROPPED
        on_edge = index[upper == edge]
        rows.append(each.first + on_edge)
        keys.append(facts["hash"][on_edge, draw])
    last = np.concatenate(rows)[np.argsort(np.concatenate(keys), kind="stable")]
    decisions[last[most - int(below[edge]) :]] = DROPPED
    return before - most


def _kept(
    parts: Sequence[PlacedPart], decisions: Decisions, split: int | None = None
) -> Iterator[tuple[PlacedPart, Facts, NDArray[np.bool_]]]:
    """Yield parts with their facts [n] and which of them still stand (in one split, or any)."""
    for each in parts:
        here = decisions[each.place]
        chosen = here != DROPPED if split is None else here == split
        if chosen.any():
            yield each, each.part.facts(), chosen


def _upper(facts: Facts, draw: int) -> NDArray[np.int64]:
    return (facts["hash"][:, draw] >> np.uint64(64 - _BITS)).astype(np.int64)
