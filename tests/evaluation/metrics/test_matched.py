import math

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, roc_auc_score

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import mean_reciprocal_rank, pairwise_accuracy

# Group a: the positive 2 is second of three. b: it ties with one of three at the top, ranks 1 and
# 2, so that its own is 1.5; one control is beaten, one tied, one beaten. c: last of two.
GROUP = ["a", "b", "a", "c", "b", "a", "b", "c", "b"]
LABEL = [1, 0, 0, 1, 1, 0, 0, 0, 0]
SCORE = [2.0, 7.0, 3.0, -1.0, 9.0, 1.0, 9.0, 0.0, 8.0]
RANKS = [2, 1.5, 2]
SHARES = [1 / 2, 2.5 / 3, 0]


def draw(groups, ties, seed):
    """One positive and two to nine controls a group, in any order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 11, groups)
    group = np.repeat(np.arange(groups), sizes)
    label = np.append(1, np.diff(group)) != 0
    score = rng.normal(size=len(group)) + label
    shuffled = rng.permutation(len(group))
    return label[shuffled], (np.round(score) if ties else score)[shuffled], group[shuffled]


def test_by_hand():
    found = mean_reciprocal_rank(LABEL, SCORE, GROUP)
    each = 1 / np.array(RANKS)
    assert found.value == pytest.approx(each.mean(), abs=1e-15)
    assert found.se == pytest.approx(np.std(each, ddof=1) / math.sqrt(3), abs=1e-15)
    found = pairwise_accuracy(LABEL, SCORE, GROUP)
    assert found.value == pytest.approx(np.mean(SHARES), abs=1e-15)
    assert found.se == pytest.approx(np.std(SHARES, ddof=1) / math.sqrt(3), abs=1e-15)


@pytest.mark.parametrize("ties", [False, True])
def test_equal_to_scikit_learn_group_by_group(ties):
    for seed in range(2):
        label, score, group = draw(30, ties, seed)
        groups = [group == g for g in range(30)]
        # Pairwise accuracy within one group is the area under its ROC.
        areas = [roc_auc_score(label[g], score[g]) for g in groups]
        found = pairwise_accuracy(label, score, group)
        assert found.value == pytest.approx(np.mean(areas), abs=1e-12)
        assert found.se == pytest.approx(np.std(areas, ddof=1) / math.sqrt(30), abs=1e-12)
        ranks = [
            (np.sum(score[g] > score[g & label]) + np.sum(score[g] >= score[g & label]) + 1) / 2
            for g in groups
        ]
        found = mean_reciprocal_rank(label, score, group)
        assert found.value == pytest.approx(np.mean(1 / np.array(ranks)), abs=1e-12)
        if not ties:  # to which scikit-learn gives their worst rank
            theirs = [
                label_ranking_average_precision_score([label[g]], [score[g]]) for g in groups
            ]
            assert found.value == pytest.approx(np.mean(theirs), abs=1e-12)


def test_several_positives_of_a_group_count_once_with_their_mean():
    label, score, group = [1, 1, 0, 0, 1, 0], [4.0, 2.0, 3.0, 1.0, 0.0, 9.0], [0, 0, 0, 0, 1, 1]
    assert mean_reciprocal_rank(label, score, group).value == pytest.approx(
        ((1 + 1 / 3) / 2 + 1 / 2) / 2
    )
    assert pairwise_accuracy(label, score, group).value == pytest.approx(((1 + 0.5) / 2 + 0) / 2)


def test_a_constant_score_gains_nothing():
    label, _, group = draw(20, ties=False, seed=0)
    constant = np.zeros(len(label))
    assert pairwise_accuracy(label, constant, group) == (0.5, 0)
    ranks = (np.bincount(group) + 1) / 2
    assert mean_reciprocal_rank(label, constant, group).value == pytest.approx(np.mean(1 / ranks))


def test_neither_the_order_of_rows_nor_the_names_of_groups_matter():
    label, score, group = draw(30, ties=True, seed=1)
    order = np.argsort(group, kind="stable")
    named = np.array([f"g{g * 7 % 30}" for g in group], dtype=object)
    for metric in (mean_reciprocal_rank, pairwise_accuracy):
        expected = metric(label, score, group)
        assert metric(label[order], score[order], group[order]) == pytest.approx(expected)
        assert metric(label, score, named) == pytest.approx(expected)


def test_one_group_has_no_spread():
    found = pairwise_accuracy([1, 0, 0], [2.0, 1.0, 3.0], ["a"] * 3)
    assert found.value == 0.5
    assert math.isnan(found.se)


@pytest.mark.parametrize("metric", [mean_reciprocal_rank, pairwise_accuracy])
def test_a_group_without_a_positive_or_a_control_is_named(metric):
    at = r"match_group 'c' \(row 4 is its first\) has no"
    with pytest.raises(UserError, match=at + r" positive \(1 of 3 groups"):
        metric([*LABEL[:3], 0, *LABEL[4:]], SCORE, GROUP)
    with pytest.raises(UserError, match=at + r" control \(1 of 3 groups"):
        metric([*LABEL[:7], 1, 0], SCORE, GROUP)
    # Of several the one that comes first in the table, not in the alphabet.
    with pytest.raises(UserError, match=r"'b' \(row 2 is its first\) has no positive \(2 of 3"):
        metric([1, *[0] * 8], SCORE, GROUP)
    with pytest.raises(UserError, match=r"row 1 is nan"):
        metric(LABEL, [np.nan, *SCORE[1:]], GROUP)
