import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from glm_composer.errors import UserError
from glm_composer.evaluation import metrics

# Falling scores 4 3 3 2 1; positives at 4, one of the 3s, and 1.
LABEL = np.array([0, 1, 1, 1, 0])
SCORE = np.array([3.0, 4.0, 3.0, 1.0, 2.0])
# Thresholds 4: P 1/1 R 1/3; 3: P 2/3 R 2/3; 2: P 2/4; 1: P 3/5 R 1.
AUPRC = (1 + 2 / 3 + 3 / 5) / 3
# Positives 4, 3, 1 against controls 3, 2: 4 beats both, 3 ties one and beats one, 1 beats none.
AUROC = (2 + 1.5 + 0) / 6


def draw(n, ties, seed):
    rng = np.random.default_rng(seed)
    label = rng.random(n) < 0.2
    label[:2] = [True, False]
    score = rng.normal(size=n) + label
    return label, np.round(score, 1) if ties else score, rng


def test_by_hand():
    assert metrics.auprc(LABEL, SCORE) == pytest.approx(AUPRC, abs=1e-15)
    assert metrics.auroc(LABEL, SCORE) == pytest.approx(AUROC, abs=1e-15)
    precision, recall, threshold = metrics.curve(LABEL, SCORE)
    np.testing.assert_allclose(precision, [1, 1, 2 / 3, 1 / 2, 3 / 5])
    np.testing.assert_allclose(recall, [0, 1 / 3, 2 / 3, 2 / 3, 1])
    assert threshold.tolist() == [np.inf, 4, 3, 2, 1]


def test_the_edges():
    perfect, constant = np.array([5, 4, 3, 2]), np.zeros(4)
    label = [1, 1, 0, 0]
    assert (metrics.auprc(label, perfect), metrics.auroc(label, perfect)) == (1, 1)
    assert (metrics.auprc(label, constant), metrics.auroc(label, constant)) == (0.5, 0.5)
    assert metrics.auprc(label, -perfect) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert metrics.auroc(label, -perfect) == 0


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 50, 2_000])
def test_equal_to_scikit_learn(n, ties):
    for seed in range(20):
        label, score, _ = draw(n, ties, seed)
        assert metrics.auprc(label, score) == pytest.approx(
            average_precision_score(label, score), abs=1e-12
        )
        assert metrics.auroc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
        precision, recall, threshold = precision_recall_curve(label, score)
        ours = metrics.curve(label, score)
        np.testing.assert_allclose(ours.precision, precision[::-1], atol=1e-12)
        np.testing.assert_allclose(ours.recall, recall[::-1], atol=1e-12)
        np.testing.assert_array_equal(ours.threshold[1:], threshold[::-1])
        area = np.sum(np.diff(ours.recall) * ours.precision[1:])
        assert area == pytest.approx(metrics.auprc(label, score), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_se_equals_naive_resampling(ties):
    label, score, _ = draw(300, ties, seed=1)
    order = np.argsort(-score, kind="stable")
    label, score = label[order], score[order]
    positives, controls = np.flatnonzero(label), np.flatnonzero(~label)
    rng = np.random.default_rng(7)
    values, areas = [], []
    for _ in range(25):
        rows = np.concatenate(
            [group[rng.integers(len(group), size=len(group))] for group in (positives, controls)]
        )
        values.append(average_precision_score(label[rows], score[rows]))
        areas.append(roc_auc_score(label[rows], score[rows]))
    expected = np.std(values, ddof=1), np.std(areas, ddof=1)
    assert metrics.auprc_se(label, score, bootstraps=25, seed=7) == pytest.approx(expected[0])
    assert metrics.auroc_se(label, score, bootstraps=25, seed=7) == pytest.approx(expected[1])


def test_se_matches_the_spread_over_new_samples():
    # Positives N(1, 1), controls N(0, 1): the SE of one sample estimates the spread over many.
    rng = np.random.default_rng(0)
    label = np.arange(1_000) < 100

    def sample():
        return rng.normal(size=1_000) + label

    spread = np.std([metrics.auprc(label, sample()) for _ in range(300)])
    estimate = np.mean([metrics.auprc_se(label, sample(), seed=seed) for seed in range(10)])
    assert estimate == pytest.approx(spread, rel=0.2)


def test_by_chrom_by_hand():
    # Chromosome 1 is LABEL; 2 has AP 1/2 on two rows; 3 has no positive and drops out; 4 only
    # positives: AP 1.
    label = np.concatenate([LABEL, [0, 1], [0, 0, 0], [1]])
    score = np.concatenate([SCORE, [9, 8], [7, 6, 5], [0]])
    chrom = ["1"] * 5 + ["2"] * 2 + ["3"] * 3 + ["X"]
    expected = (AUPRC * 5 + 0.5 * 2 + 1 * 1) / 8
    assert metrics.auprc_by_chrom_weighted_average(label, score, chrom) == pytest.approx(expected)
    shuffled = np.random.default_rng(0).permutation(len(label))
    assert metrics.auprc_by_chrom_weighted_average(
        label[shuffled], score[shuffled], np.array(chrom)[shuffled]
    ) == pytest.approx(expected)


def test_by_chrom_se_equals_naive_resampling():
    label, score, rng = draw(400, ties=True, seed=2)
    chrom = rng.integers(1, 8, 400).astype(str)
    rows = [
        (average_precision_score(label[chrom == c], score[chrom == c]), np.sum(chrom == c))
        for c in np.unique(chrom)
        if label[chrom == c].any()
    ]
    generator = np.random.default_rng(5)
    values = []
    for picks in generator.integers(len(rows), size=(200, len(rows))):
        values.append(sum(rows[i][0] * rows[i][1] for i in picks) / sum(rows[i][1] for i in picks))
    found = metrics.auprc_by_chrom_weighted_average_se(label, score, chrom, bootstraps=200, seed=5)
    assert found == pytest.approx(np.std(values, ddof=1))


def test_one_chromosome_has_no_spread():
    assert math.isnan(metrics.auprc_by_chrom_weighted_average_se(LABEL, SCORE, ["1"] * 5))
    assert metrics.auprc_by_chrom_weighted_average(LABEL, SCORE, ["1"] * 5) == pytest.approx(AUPRC)


def test_undefined_input_is_refused():
    for bad in (np.nan, np.inf):
        with pytest.raises(UserError, match=r"row 2 is (nan|inf) \(1 of 5 are not finite\)"):
            metrics.auprc(LABEL, np.array([1.0, bad, 2.0, 3.0, 4.0]))
    for label in (np.zeros(5), np.ones(5)):
        for metric in (
            metrics.auprc,
            metrics.auroc,
            metrics.auprc_se,
            metrics.auroc_se,
            metrics.curve,
        ):
            with pytest.raises(UserError, match=r"label: [05] positives of 5"):
                metric(label, SCORE)
    with pytest.raises(UserError, match="0 positives of 0"):
        metrics.auprc([], [])
    with pytest.raises(ValueError, match="0/1"):
        metrics.auprc([0, 1, 2, 1, 0], SCORE)
    with pytest.raises(ValueError, match="expected label"):
        metrics.auprc(LABEL[:3], SCORE)
    with pytest.raises(ValueError, match="at least 2 bootstraps"):
        metrics.auprc_se(LABEL, SCORE, bootstraps=1)


def test_random_state_is_left_alone_and_seeds_repeat():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    label, score, rng = draw(200, ties=False, seed=4)
    chrom = rng.integers(1, 6, 200)
    for function, arguments in (
        (metrics.auprc_se, (label, score)),
        (metrics.auprc_by_chrom_weighted_average_se, (label, score, chrom)),
    ):
        assert function(*arguments, seed=1) == function(*arguments, seed=1)
        assert function(*arguments, seed=1) != function(*arguments, seed=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
