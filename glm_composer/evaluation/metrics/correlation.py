"""How a score goes with a measured quantity: Pearson's and Spearman's correlation.

Written over weighted rows, so that a bootstrap is a reweighting: ranks are counted from rows that
are sorted once.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics.ranking import spread

Floats = NDArray[np.float64]


def pearson(quantity: ArrayLike, score: ArrayLike) -> float:
    """Pearson's correlation of two finite [n]; NaN where one of them is constant."""
    x, y = _finite(quantity, score)
    return _correlation(x, y, np.ones(len(x)))


def pearson_se(
    quantity: ArrayLike, score: ArrayLike, *, bootstraps: int = 100, seed: int = 0
) -> float:
    """Standard error of `pearson`: standard deviation (n - 1) over bootstraps of the rows.

    NaN where the correlation of some bootstrap is not defined.
    """
    x, y = _finite(quantity, score)
    return spread([_correlation(x, y, w) for w in _resampled(len(x), bootstraps, seed)])


def spearman(quantity: ArrayLike, score: ArrayLike) -> float:
    """Spearman's rank correlation of two finite [n], ties sharing the mean of their ranks.

    NaN where one of them is constant.
    """
    x, y = _finite(quantity, score)
    ones = np.ones(len(x))
    return _correlation(_Ranks(x)(ones), _Ranks(y)(ones), ones)


def spearman_se(
    quantity: ArrayLike, score: ArrayLike, *, bootstraps: int = 100, seed: int = 0
) -> float:
    """Standard error of `spearman`, over the same bootstraps as `pearson_se`.

    Each bootstrap is ranked anew.
    """
    x, y = (_Ranks(values) for values in _finite(quantity, score))
    drawn = _resampled(len(x.tie), bootstraps, seed)
    return spread([_correlation(x(w), y(w), w) for w in drawn])


class _Ranks:
    """Mean ranks of values [n] that are counted so many times each."""

    def __init__(self, values: Floats):
        self.tie = np.unique(values, return_inverse=True)[1]

    def __call__(self, counts: ArrayLike) -> Floats:
        tied = np.bincount(self.tie, weights=counts)
        return (np.cumsum(tied) - (tied - 1) / 2)[self.tie]


def _finite(quantity: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(quantity, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected quantity [n] and score [n], not {x.shape}, {y.shape}")
    for name, values in (("quantity", x), ("score", y)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise UserError(
                f"{name}: row {bad[0] + 1} is {values[bad[0]]} ({len(bad)} of {len(values)} are "
                "not finite); correlations need numbers"
            )
    if len(x) < 3:
        raise UserError(f"{len(x)} variants; a correlation needs at least 3")
    return x, y


def _correlation(x: Floats, y: Floats, counts: ArrayLike) -> float:
    """Pearson's correlation of rows that are counted so many times each."""
    weight = np.asarray(counts, dtype=np.float64)
    total = weight.sum()
    dx, dy = x - x @ weight / total, y - y @ weight / total
    drawn = weight > 0
    # Not by the variance, which rounding leaves above zero.
    if np.ptp(x[drawn]) == 0 or np.ptp(y[drawn]) == 0:
        return math.nan
    return float((weight * dx) @ dy / math.sqrt(((weight * dx) @ dx) * ((weight * dy) @ dy)))


# Both correlations of every score of the same rows draw the same.
@lru_cache(maxsize=1)
def _resampled(n: int, bootstraps: int, seed: int) -> NDArray[np.uint16]:
    """How often each of n rows is drawn with replacement, n rows in all: [bootstraps, n]."""
    rng = np.random.default_rng(seed)
    counts = np.empty((bootstraps, n), np.uint16)
    for i in range(bootstraps):
        counts[i] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts
