"""Values -> places on a chart: scales, round ticks, limits, and lines thinned to what shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Finer than a pixel of any screen a chart is shown on.
_BINS = 800


@dataclass(frozen=True)
class Scale:
    """Values [low, high] -> coordinates [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: ArrayLike) -> Floats:
        """Return coordinates of the same shape as `value`."""
        share = (np.asarray(value, dtype=np.float64) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> tuple[Floats, list[str]]:
    """Round values within [low, high], a step of 1, 2 or 5 times a power of ten apart, as text."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(np.log(rough / (factor * power))))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    values = np.arange(first, last + 1) * step
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    form = f",.{decimals}f" if decimals < 5 else ".1e"
    # Adding zero turns -0.0 into 0.0.
    return values, [format(value + 0.0, form) for value in values]


def limits_of(parts: Sequence[ArrayLike]) -> tuple[float, float]:
    """Lowest and highest finite value, a little apart even where there is only one."""
    values = np.concatenate([np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in parts])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low, high


def with_room(limits: tuple[float, float], share: float = 0.05) -> tuple[float, float]:
    """Widen limits on both sides by a share of their distance."""
    room = share * (limits[1] - limits[0])
    return limits[0] - room, limits[1] + room


def step_line(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Turn points [n] into corners [2n - 2] of n - 1 steps, each as high as its right end.

    The first point's own height, which belongs to no step, is not drawn.
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return np.repeat(across, 2)[1:-1], np.repeat(up[1:], 2)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep the lowest and highest point of each sliver of x: looks the same, peaks included."""
    if len(x) <= 2 * _BINS:
        return x, y
    share = (x - x[0]) / max(x[-1] - x[0], 1e-12)
    bins = np.minimum((share * _BINS).astype(np.int64), _BINS - 1)
    order = np.lexsort((y, bins))
    first = np.flatnonzero(np.diff(bins[order], prepend=-1))
    finite = np.add.reduceat(np.isfinite(y[order]).astype(np.int64), first)
    # NaN sorts last within its bin; a bin of nothing else stays one point, and a gap.
    kept = np.unique(np.append(order[first], order[first + np.maximum(finite, 1) - 1]))
    return x[kept], y[kept]
