"""How a positive ranks among the controls it was matched with, group by group.

The definitions, ties and standard errors are those of TraitGym (`mean_reciprocal_rank` and
`pairwise_accuracy` of its package), carried over to groups of any size: a group of several
positives counts once, with their mean. Groups are taken for independent, so that a standard error
is the standard deviation (n - 1) of the groups' values over the root of their number.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics.ranking import both_classes
from glm_composer.evaluation.metrics.rows import Estimate

Floats = NDArray[np.float64]


def mean_reciprocal_rank(label: ArrayLike, score: ArrayLike, match_group: ArrayLike) -> Estimate:
    """Mean over match groups of 1 / (rank of the positive within its group), 1 = the best.

    Tied scores share the mean of their ranks, so that a constant score gains nothing.

    Args:
        label: 0/1 or bool [n].
        score: finite [n].
        match_group: names or numbers [n].

    Returns:
        The mean and its standard error, NaN for a single group.

    Raises:
        UserError: a group without a positive or without a control; the message names it.
    """
    labels, scores, group = _groups(label, score, match_group)
    size = np.bincount(group)
    # Half of the tied rows, itself included, count as below: the mean rank is half a place up.
    rank = size[group] - _below(group, scores, np.ones(len(group))) + 0.5
    return _mean_over_groups(labels, group, 1 / rank)


def pairwise_accuracy(label: ArrayLike, score: ArrayLike, match_group: ArrayLike) -> Estimate:
    """Mean over match groups of the share of its controls that a positive outscores.

    A tie counts half. Arguments, returned values and errors are those of `mean_reciprocal_rank`.
    """
    labels, scores, group = _groups(label, score, match_group)
    controls = np.bincount(group, weights=~labels)
    return _mean_over_groups(
        labels, group, _below(group, scores, (~labels).astype(np.float64)) / controls[group]
    )


def _groups(
    label: ArrayLike, score: ArrayLike, match_group: ArrayLike
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.intp]]:
    """Labels [n], scores [n] and the number of each row's group [n], from 0 without gaps."""
    labels, scores = both_classes(label, score)
    names = np.asarray(match_group)
    if names.shape != labels.shape:
        raise ValueError(f"expected match_group [n] like label {labels.shape}, not {names.shape}")
    if names.dtype == object:
        names = names.astype(str)
    lacking = lacking_group(labels, names)
    if lacking:
        raise UserError(f"{lacking}; keep whole groups, or leave the column out")
    return labels, scores, np.unique(names, return_inverse=True)[1]


def lacking_group(
    label: NDArray[np.bool_], match_group: NDArray[Any], rows: NDArray[np.int64] | None = None
) -> str | None:
    """Name the first match group without a positive or without a control; None if all are whole.

    Args:
        label: bool [n].
        match_group: names or numbers [n].
        rows: their numbers in the table, from 0, [n]; None where it is these rows.

    Returns:
        The group, its first row, counted from 1, and how many others are like that, in words.
    """
    known, first, group = np.unique(match_group, return_index=True, return_inverse=True)
    positives, size = np.bincount(group, weights=label), np.bincount(group)
    for lacking, what in ((positives == 0, "positive"), (positives == size, "control")):
        if lacking.any():
            named = np.flatnonzero(lacking)[first[lacking].argmin()]
            row = first[named] if rows is None else rows[first[named]]
            return (
                f"match_group '{known[named]}' (row {row + 1} is its first) has no "
                f"{what} ({lacking.sum()} of {len(known)} groups have none)"
            )
    return None


def _below(group: NDArray[np.intp], score: Floats, weight: Floats) -> Floats:
    """Weight [n] of the rows of the same group that score lower, and half of those that tie.

    A row ties with itself.
    """
    order = np.lexsort((score, group))
    sorted_group, sorted_score = group[order], score[order]
    starts = np.flatnonzero(
        np.append(True, (np.diff(sorted_group) != 0) | (np.diff(sorted_score) != 0))
    )
    tied = np.add.reduceat(weight[order], starts)
    before = np.cumsum(tied) - tied
    firsts = np.append(True, np.diff(sorted_group[starts]) != 0)
    # What the groups further up in this order weigh is nothing to a group.
    before -= before[firsts][np.cumsum(firsts) - 1]
    below = np.empty(len(group))
    below[order] = np.repeat(before + tied / 2, np.diff(np.append(starts, len(group))))
    return below


def _mean_over_groups(
    labels: NDArray[np.bool_], group: NDArray[np.intp], value: Floats
) -> Estimate:
    counted = group[labels]
    each = np.bincount(counted, weights=value[labels]) / np.bincount(counted)
    se = each.std(ddof=1) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    return Estimate(float(each.mean()), float(se))
