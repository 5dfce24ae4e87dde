"""Two windows side by side: the k-mers they share, and how they lie on one another."""

from dataclasses import dataclass

import numpy as np

from glm_composer.data_tools.kmers import canonical_kmers
from glm_composer.sequence import FIRST_BASE, Bytes, encode, reverse_complement_ids


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How alike two windows are.

    Attributes:
        containment: share of the first one's distinct k-mers that the second one holds; NaN where
            it has none.
        overlap: bases that lie on one another in the best alignment without gaps.
        identical: how many of them are equal; N equals nothing.
        turned: whether the second one is reverse complemented for it.
    """

    containment: float
    overlap: int
    identical: int
    turned: bool


def compare(first: Bytes, second: Bytes) -> Likeness:
    """Compare two windows, uint8 ASCII [length] each, case apart.

    The alignment is that with most equal over unequal bases among all shifts on both strands.
    """
    ours, theirs = (set(_kmers(window)) for window in (first, second))
    containment = len(ours & theirs) / len(ours) if ours else float("nan")
    a, b = encode(first), encode(second)
    _, overlap, identical, turned = max(
        (*_best_shift(a, reverse_complement_ids(b) if turn else b), turn) for turn in (False, True)
    )
    return Likeness(containment=containment, overlap=overlap, identical=identical, turned=turned)


def _kmers(window: Bytes) -> list[int]:
    kmers, known = canonical_kmers(window[None])
    return kmers[known].tolist()


def _best_shift(a: Bytes, b: Bytes) -> tuple[int, int, int]:
    """Return (equal minus unequal bases, overlap, equal bases) of the best shift of ids."""
    best = (-len(a) - len(b), 0, 0)
    for shift in range(1 - len(b), len(a)):
        here = a[max(0, shift) : shift + len(b)]
        there = b[max(0, -shift) :][: len(here)]
        equal = int(np.count_nonzero((here == there) & (here >= FIRST_BASE)))
        best = max(best, (2 * equal - len(here), len(here), equal))
    return best
