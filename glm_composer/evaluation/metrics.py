"""How well a score ranks positives over controls: TraitGym's metrics, fast enough for a callback.

Average precision is written in numpy over rows sorted once, so that a bootstrap is a reweighting
of the rows and costs two cumulative sums; its values, ties included, are scikit-learn's.
Everywhere a higher score means "positive". Undefined values are errors or NaN, never a convenient
number.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from glm_composer.errors import UserError

Floats = NDArray[np.float64]


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
    return _average_precision(*_both_classes(label, score))


def auprc_se(label: ArrayLike, score: ArrayLike, *, bootstraps: int = 100, seed: int = 0) -> float:
    """Standard error of `auprc`: standard deviation (n - 1) over bootstraps stratified by label.

    Positives and controls are each drawn with replacement, as many as there are.

    Args:
        label: 0/1 or bool [n].
        score: finite [n].
        bootstraps: number of draws, at least 2.
        seed: of a generator of its own; the global random state is neither read nor changed.
    """
    labels, scores = _both_classes(label, score)
    order, ends = _thresholds(scores)
    positive = labels[order]
    strata = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    rng = np.random.default_rng(seed)
    values = np.empty(bootstraps)
    for i in range(bootstraps):
        weight = np.zeros(len(scores))
        for rows in strata:
            weight[rows] = np.bincount(
                rng.integers(len(rows), size=len(rows)), minlength=len(rows)
            )
        values[i] = _weighted_average_precision(weight * positive, weight, ends)
    return _spread(values)


def auprc_by_chrom_weighted_average(label: ArrayLike, score: ArrayLike, chrom: ArrayLike) -> float:
    """TraitGym's headline: sum_c AP_c n_c / sum_c n_c, with n_c all variants on chromosome c.

    A chromosome without positives has no average precision and enters neither sum. (One with
    nothing but positives does, with 1.)

    Args:
        label: 0/1 or bool [n], at least one of each in all.
        score: finite [n].
        chrom: names [n].
    """
    precision, size = _by_chrom(label, score, chrom)
    return float(precision @ size / size.sum())


def auprc_by_chrom_weighted_average_se(
    label: ArrayLike,
    score: ArrayLike,
    chrom: ArrayLike,
    *,
    bootstraps: int = 1_000,
    seed: int = 0,
) -> float:
    """Standard error of `auprc_by_chrom_weighted_average`, by bootstraps over chromosomes.

    The standard deviation (n - 1) over bootstraps, each of which draws, with replacement, as many
    (AP_c, n_c) as there are. NaN where only one chromosome has positives: its spread is unknown,
    not zero.
    """
    precision, size = _by_chrom(label, score, chrom)
    if len(size) < 2:
        return float("nan")
    draws = np.random.default_rng(seed).integers(len(size), size=(bootstraps, len(size)))
    values = (precision * size)[draws].sum(axis=1) / size[draws].sum(axis=1)
    return _spread(values)


def auroc(label: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive outranks a control, ties counting half."""
    labels, scores = _both_classes(label, score)
    order, ends = _thresholds(scores)
    true = np.append(0, np.cumsum(labels[order])[ends])
    false = np.append(0, ends + 1) - true
    return float(np.trapezoid(true, false) / (true[-1] * false[-1]))


def curve(label: ArrayLike, score: ArrayLike) -> Curve:
    """Return the precision-recall curve whose area is `auprc`."""
    labels, scores = _both_classes(label, score)
    order, ends = _thresholds(scores)
    true = np.cumsum(labels[order])[ends]
    return Curve(
        precision=np.append(1.0, true / (ends + 1)),
        recall=np.append(0.0, true / true[-1]),
        threshold=np.append(np.inf, scores[order][ends]),
    )


def summarize(table: pl.DataFrame, score: ArrayLike) -> dict[str, float]:
    """Every figure of one score over a labelled variant table.

    Args:
        table: with columns `label` (0/1 or bool) and `chrom`, [n] rows.
        score: finite [n].

    Returns:
        auprc, auprc_se, auprc_by_chrom, auprc_by_chrom_se, auroc, base_rate, n, n_positive.
    """
    absent = [column for column in ("label", "chrom") if column not in table.columns]
    if absent:
        raise UserError(f"variant table: no column '{absent[0]}'; metrics need label and chrom")
    label, chrom = table["label"].to_numpy(), table["chrom"].to_numpy()
    positives = int(np.sum(label))
    return {
        "auprc": auprc(label, score),
        "auprc_se": auprc_se(label, score),
        "auprc_by_chrom": auprc_by_chrom_weighted_average(label, score, chrom),
        "auprc_by_chrom_se": auprc_by_chrom_weighted_average_se(label, score, chrom),
        "auroc": auroc(label, score),
        "base_rate": positives / len(label),
        "n": len(label),
        "n_positive": positives,
    }


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


def _both_classes(label: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
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


def _average_precision(label: NDArray[np.bool_], score: Floats) -> float:
    order, ends = _thresholds(score)
    return _weighted_average_precision(label[order].astype(np.float64), np.ones(len(score)), ends)


def _weighted_average_precision(positive: Floats, weight: Floats, ends: NDArray[np.intp]) -> float:
    """Average precision of sorted rows [n] counted `weight` times; `positive` = weight x label."""
    true, predicted = np.cumsum(positive)[ends], np.cumsum(weight)[ends]
    # Leading rows of weight 0 have no precision; their recall does not rise either.
    precision = true / np.maximum(predicted, 1)
    return float(np.diff(true, prepend=0) @ precision / true[-1])


def _spread(values: Floats) -> float:
    if len(values) < 2:
        raise ValueError(f"a standard error needs at least 2 bootstraps, not {len(values)}")
    return float(values.std(ddof=1))


def _by_chrom(label: ArrayLike, score: ArrayLike, chrom: ArrayLike) -> tuple[Floats, Floats]:
    """Average precision [c] and number of variants [c] of each chromosome with positives."""
    labels, scores = _both_classes(label, score)
    names = np.asarray(chrom).astype(str)
    if names.shape != labels.shape:
        raise ValueError(f"expected chrom [n] like label {labels.shape}, not {names.shape}")
    code = np.unique(names, return_inverse=True)[1]
    rows_of = [np.flatnonzero(code == c) for c in range(code.max() + 1)]
    kept = [rows for rows in rows_of if labels[rows].any()]
    precision = [_average_precision(labels[rows], scores[rows]) for rows in kept]
    return np.array(precision), np.array([len(rows) for rows in kept], dtype=np.float64)
