"""Ranking all positives over all controls: average precision, its curve, the area under the ROC.

Written in numpy over rows sorted once, so that a bootstrap is a reweighting of the rows and costs
two cumulative sums; the values, ties included, are scikit-learn's.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glm_composer.errors import UserError

Floats = NDArray[np.float64]
Counts = NDArray[np.uint16]


class Curve(NamedTuple):
    """A precision-recall curve, from the highest threshold down; its first point is recall 0.

    Draw it as steps: between two points precision is that of the right one (average precision is
    the area under those steps).

    Attributes:
        precision: float [k + 1], 1 at the first point by convention.
        recall: float [k + 1], rising from 0 to 1.
        threshold: float [k + 1], the k distinct scores falling; infinity at the first point.
    """

    precision: Floats
    recall: Floats
    threshold: Floats


def auprc(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the precision-recall curve as average precision, sum_k (R_k - R_{k-1}) P_k.

    Equals scikit-learn's `average_precision_score`: tied scores form one threshold.

    Args:
        label: 0/1 or bool [n], at least one of each.
        score: finite [n], higher = more likely positive.

    Raises:
        UserError: a score is not finite, or the labels are all alike.
    """
    return average_precision(*both_classes(label, score))


def auprc_se(label: ArrayLike, score: ArrayLike, *, bootstraps: int = 100, seed: int = 0) -> float:
    """Standard error of `auprc`: standard deviation (n - 1) over bootstraps stratified by label.

    Positives and controls are each drawn with replacement, as many as there are.

    Args:
        label: 0/1 or bool [n].
        score: finite [n].
        bootstraps: number of draws, at least 2.
        seed: of a generator of its own; the global random state is neither read nor changed.
    """
    labels, scores = both_classes(label, score)
    order, ends = _thresholds(scores)
    positive = labels[order]
    return spread(
        [
            _weighted_average_precision(weight * positive, weight, ends)
            for weight in _stratified(positive, bootstraps, seed)
        ]
    )


def auroc(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive outranks a control, ties counting half."""
    labels, scores = both_classes(label, score)
    order, ends = _thresholds(scores)
    return _weighted_auroc(labels[order].astype(np.float64), np.ones(len(scores)), ends)


def auroc_se(label: ArrayLike, score: ArrayLike, *, bootstraps: int = 100, seed: int = 0) -> float:
    """Standard error of `auroc`, over the same bootstraps as `auprc_se`."""
    labels, scores = both_classes(label, score)
    order, ends = _thresholds(scores)
    positive = labels[order]
    return spread(
        [
            _weighted_auroc(weight * positive, weight, ends)
            for weight in _stratified(positive, bootstraps, seed)
        ]
    )


def curve(label: ArrayLike, score: ArrayLike) -> Curve:
    """Return the precision-recall curve whose area is `auprc`."""
    labels, scores = both_classes(label, score)
    order, ends = _thresholds(scores)
    true = np.cumsum(labels[order])[ends]
    return Curve(
        precision=np.append(1.0, true / (ends + 1)),
        recall=np.append(0.0, true / true[-1]),
        threshold=np.append(np.inf, scores[order][ends]),
    )


def _checked(label: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"expected label [n] and score [n], not {labels.shape}, {scores.shape}")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise UserError(
            f"score: row {bad[0] + 1} is {scores[bad[0]]} ({len(bad)} of {len(scores)} are not "
            "finite); the model overflowed or diverged: look at its loss, or score it in fp32"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("label must be 0/1 or bool")
    return labels.astype(bool), scores


def both_classes(label: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Return labels bool [n] and scores float64 [n] that can be ranked.

    Raises:
        UserError: a score is not finite, or the labels are all alike.
    """
    labels, scores = _checked(label, score)
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise UserError(
            f"label: {positives} positives of {len(labels)} variants; ranking needs at least one "
            "positive and one control"
        )
    return labels, scores


def _thresholds(score: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows from the highest score down [n], and the last place of each distinct score [k]."""
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    return order, np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(score) - 1)


def average_precision(label: NDArray[np.bool_], score: Floats) -> float:
    """Average precision of rows that are known to be sound; at least one must be positive."""
    order, ends = _thresholds(score)
    return _weighted_average_precision(label[order].astype(np.float64), np.ones(len(score)), ends)


def _weighted_average_precision(positive: Floats, weight: Floats, ends: NDArray[np.intp]) -> float:
    """Average precision of sorted rows [n] counted `weight` times; `positive` = weight x label."""
    true, predicted = np.cumsum(positive)[ends], np.cumsum(weight)[ends]
    # Leading rows of weight 0 have no precision; their recall does not rise either.
    precision = true / np.maximum(predicted, 1)
    return float(np.diff(true, prepend=0) @ precision / true[-1])


def _weighted_auroc(positive: Floats, weight: Floats, ends: NDArray[np.intp]) -> float:
    """Area under the ROC curve of sorted rows [n] counted `weight` times."""
    true = np.append(0, np.cumsum(positive)[ends])
    false = np.append(0, np.cumsum(weight)[ends]) - true
    return float(np.trapezoid(true, false) / (true[-1] * false[-1]))


def _stratified(positive: NDArray[np.bool_], bootstraps: int, seed: int) -> Iterator[Floats]:
    """How often each row [n] is drawn: with replacement, as many of each class as there are."""
    strata = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    for drawn in zip(*_draws(len(strata[0]), len(strata[1]), bootstraps, seed), strict=True):
        weight = np.empty(len(positive))
        for rows, counts in zip(strata, drawn, strict=True):
            weight[rows] = counts
        yield weight


# Every metric of every score of the same rows draws the same.
@lru_cache(maxsize=1)
def _draws(positives: int, controls: int, bootstraps: int, seed: int) -> tuple[Counts, Counts]:
    """How often each member of both classes is drawn: uint16 [bootstraps, size], twice."""
    rng = np.random.default_rng(seed)
    drawn = (
        np.empty((bootstraps, positives), np.uint16),
        np.empty((bootstraps, controls), np.uint16),
    )
    for i in range(bootstraps):
        for counts in drawn:
            size = counts.shape[1]
            counts[i] = np.bincount(rng.integers(size, size=size), minlength=size)
    return drawn


def spread(values: ArrayLike) -> float:
    """Standard deviation (n - 1) over the bootstraps' values [n], which is a standard error."""
    drawn = np.asarray(values, dtype=np.float64)
    if len(drawn) < 2:
        raise ValueError(f"a standard error needs at least 2 bootstraps, not {len(drawn)}")
    return float(drawn.std(ddof=1))
