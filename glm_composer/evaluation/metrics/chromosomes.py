"""TraitGym's headline: average precision chromosome by chromosome, then their weighted average.

Controls are matched to positives within a chromosome, so that ranking across chromosomes asks for
more than the table was made to ask.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glm_composer.evaluation.metrics.ranking import average_precision, both_classes, spread

Floats = NDArray[np.float64]


def auprc_by_chrom_weighted_average(label: ArrayLike, score: ArrayLike, chrom: ArrayLike) -> float:
    """TraitGym's headline: sum_c AP_c n_c / sum_c n_c, with n_c all variants on chromosome c.

    A chromosome without positives has no average precision and enters neither sum; scikit-learn
    would call it 0. (One with nothing but positives does enter, with 1.) TraitGym's own tables
    have neither, since controls are matched on their chromosome.

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
    return spread(values)


def _by_chrom(label: ArrayLike, score: ArrayLike, chrom: ArrayLike) -> tuple[Floats, Floats]:
    """Average precision [c] and number of variants [c] of each chromosome with positives."""
    labels, scores = both_classes(label, score)
    names = np.asarray(chrom).astype(str)
    if names.shape != labels.shape:
        raise ValueError(f"expected chrom [n] like label {labels.shape}, not {names.shape}")
    code = np.unique(names, return_inverse=True)[1]
    rows_of = [np.flatnonzero(code == c) for c in range(code.max() + 1)]
    kept = [rows for rows in rows_of if labels[rows].any()]
    precision = [average_precision(labels[rows], scores[rows]) for rows in kept]
    return np.array(precision), np.array([len(rows) for rows in kept], dtype=np.float64)
