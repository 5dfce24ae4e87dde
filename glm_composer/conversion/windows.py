"""Interval arithmetic on numpy arrays: promoters, gaps and tiles without a loop over intervals.

Intervals are int64 [n, 2], 0-based and half-open. "Disjoint" means sorted by position, without
overlap or touch, as `merge` returns them.
"""

import numpy as np
from numpy.typing import NDArray

Intervals = NDArray[np.int64]
Positions = NDArray[np.int64]


def merge(intervals: Intervals) -> Intervals:
    """Return the union of any intervals [n, 2] as disjoint ones; touching ones are joined."""
    if not len(intervals):
        return np.empty((0, 2), dtype=np.int64)
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.flatnonzero(np.concatenate(([True], ordered[1:, 0] > reach[:-1])))
    last = np.append(first[1:], len(ordered)) - 1
    return np.stack([ordered[first, 0], reach[last]], axis=1)


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


def find_runs(mask: NDArray[np.bool_]) -> Intervals:
    """Return the maximal runs of true values of mask [length] as disjoint intervals [n, 2]."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    if len(mask) and mask[0]:
        edges = np.concatenate(([0], edges))
    if len(mask) and mask[-1]:
        edges = np.append(edges, len(mask))
    return edges.astype(np.int64).reshape(-1, 2)


def count_inside(intervals: Intervals, starts: Positions, width: int) -> NDArray[np.int64]:
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
