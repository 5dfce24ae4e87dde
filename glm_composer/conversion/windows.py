"""Interval arithmetic on numpy arrays: promoters, gaps and tiles without a loop over intervals.

Intervals are int64 [n, 2], 0-based and half-open. "Disjoint" means sorted by position, without
overlap or touch, as `merge` returns them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer.sequence import IS_SOFT_MASKED, IS_UNKNOWN, Bytes, look_up

Intervals = NDArray[np.int64]
Positions = NDArray[np.int64]
_BLOCK = 1 << 18
_LABELS = IS_SOFT_MASKED | IS_UNKNOWN << np.uint8(1)


def merge(intervals: Intervals) -> Intervals:
    """Return the union of any intervals [n, 2] as disjoint ones; touching ones are joined."""
    if not len(intervals):
        return np.empty((0, 2), dtype=np.int64)
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.flatnonzero(np.concatenate(([True], ordered[1:, 0] > reach[:-1])))
    last = np.append(first[1:], len(ordered)) - 1
    return np.stack([ordered[first, 0], reach[last]], axis=1)


def pad(intervals: Intervals, flank: int) -> Intervals:
    """Widen intervals [n, 2] by `flank` on either side; they may leave the contig."""
    return intervals + np.array([-flank, flank], dtype=np.int64)


def clip(intervals: Intervals, limit: int) -> Intervals:
    """Return what any intervals [n, 2] have inside [0, limit); what has nothing there goes."""
    inside = np.clip(intervals, 0, limit)
    return inside[inside[:, 0] < inside[:, 1]]


def expand(intervals: Intervals, width: int, limit: int) -> Intervals:
    """Widen intervals [n, 2] shorter than `width` around their middle; the result is not merged.

    An interval that would leave [0, limit) is moved inside; it stays shorter than `width` only
    where `limit` itself is.
    """
    missing = np.maximum(0, width - (intervals[:, 1] - intervals[:, 0]))
    start = intervals[:, 0] - missing // 2
    end = start + (intervals[:, 1] - intervals[:, 0]) + missing
    shift = np.where(missing > 0, np.maximum(0, -start) - np.maximum(0, end - limit), 0)
    return np.clip(np.stack([start + shift, end + shift], axis=1), 0, limit)


def expand_evenly(intervals: Intervals, width: int) -> Intervals:
    """Widen intervals [n, 2] shorter than `width` alike on both sides, beyond any contig's end.

    An odd number of missing bases is rounded up, so such an interval gets one base too many.
    """
    missing = np.maximum(0, width - (intervals[:, 1] - intervals[:, 0]))
    half = (missing + 1) // 2
    return intervals + np.stack([-half, half], axis=1)


def subtract(intervals: Intervals, holes: Intervals) -> Intervals:
    """Return what disjoint intervals [n, 2] keep outside disjoint holes [m, 2]."""
    edges = np.concatenate([intervals.ravel(), holes.ravel()])
    # A hole outweighs an interval, so that only "inside and not in a hole" sums to exactly one.
    steps = np.concatenate([np.tile([1, -1], len(intervals)), np.tile([-2, 2], len(holes))])
    positions, group = np.unique(edges, return_inverse=True)
    depth = np.cumsum(np.bincount(group, weights=steps, minlength=len(positions)).astype(np.int64))
    runs = find_runs(depth == 1)
    return positions[runs].reshape(-1, 2)


def tile(intervals: Intervals, width: int, stride: int) -> Positions:
    """Return the starts int64 [k] of the windows that fit whole into disjoint intervals [n, 2].

    Windows of an interval begin at its start and follow each other by `stride`.
    """
    room = intervals[:, 1] - intervals[:, 0] - width
    counts = np.where(room >= 0, room // stride + 1, 0)
    ranks = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(intervals[:, 0], counts) + stride * ranks


def divide(intervals: Intervals, most: int) -> tuple[Positions, NDArray[np.int64]]:
    """Cut intervals [n, 2] longer than `most` into as few equal parts as it takes.

    Returns:
        Starts and lengths of the parts, int64 [k] each; those of one interval differ by at most 1.
    """
    sizes = intervals[:, 1] - intervals[:, 0]
    counts = -(-sizes // most)
    ranks = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    sizes, begins, counts = (np.repeat(a, counts) for a in (sizes, intervals[:, 0], counts))
    firsts = sizes * ranks // counts
    return begins + firsts, sizes * (ranks + 1) // counts - firsts


def find_runs(mask: NDArray[np.bool_]) -> Intervals:
    """Return the maximal runs of true values of mask [length] as disjoint intervals [n, 2]."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    if len(mask) and mask[0]:
        edges = np.concatenate(([0], edges))
    if len(mask) and mask[-1]:
        edges = np.append(edges, len(mask))
    return edges.astype(np.int64).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class LetterRuns:
    """Where the letters of a sequence are of a kind, as disjoint intervals [n, 2].

    Attributes:
        soft_masked: lower case.
        unknown: anything but acgt, which a 2bit file would hold as N.
    """

    soft_masked: Intervals
    unknown: Intervals


def find_letter_runs(sequence: Bytes) -> LetterRuns:
    """Find the soft-masked and unknown stretches of a sequence uint8 ASCII [length].

    Works through blocks that stay in a core's cache, so a chromosome costs no memory of its size.
    """
    edges = [np.zeros(min(1, len(sequence)), dtype=np.int64)]
    for first in range(0, len(sequence), _BLOCK):
        # One more, to see a change at the block's edge.
        block = look_up(_LABELS, sequence[first : first + _BLOCK + 1])
        edges.append(np.flatnonzero(block[1:] != block[:-1]) + (first + 1))
    starts = np.concatenate(edges)
    ends = np.append(starts[1:], len(sequence)) if len(starts) else starts
    # Maximal runs of letters of one label; those of another one may touch them.
    runs, labels = np.stack([starts, ends], axis=1), _LABELS[sequence[starts]]
    return LetterRuns(soft_masked=merge(runs[labels & 1 > 0]), unknown=merge(runs[labels & 2 > 0]))


def count_inside(
    intervals: Intervals, starts: Positions, width: int | NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many positions of each window [start, start + width) lie in disjoint intervals.

    Costs n log m for n windows [n] and m intervals [m, 2], whatever their lengths.
    """
    if not len(intervals):
        return np.zeros(len(starts), dtype=np.int64)
    before_run = np.concatenate(([0], np.cumsum(intervals[:, 1] - intervals[:, 0])))

    def before(position: Positions) -> NDArray[np.int64]:
        run = np.searchsorted(intervals[:, 0], position, side="right")
        overhang = np.maximum(0, intervals[run - 1, 1] - position)
        return before_run[run] - np.where(run > 0, overhang, 0)

    return before(starts + width) - before(starts)


def covered(starts: Positions, width: int) -> int:
    """Return how many distinct positions the windows [start, start + width) cover."""
    union = merge(np.stack([starts, starts + width], axis=1))
    return int((union[:, 1] - union[:, 0]).sum())
