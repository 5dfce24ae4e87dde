import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import pearson, pearson_se, spearman, spearman_se


def draw(n, ties, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = np.exp(x) + rng.normal(size=n)
    return (np.round(x, 1), np.round(y)) if ties else (x, y)


def test_by_hand():
    # Ranks 1 2 3 4 against 1 3.5 2 3.5: covariance 3, variances 5 and 4.5.
    assert spearman([10, 20, 30, 40], [-1, 5, 2, 5]) == pytest.approx(3 / math.sqrt(5 * 4.5))
    # Deviations -1 0 1 against -2 1 1.
    assert pearson([1, 2, 3], [0, 3, 3]) == pytest.approx(3 / math.sqrt(2 * 6))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 40, 2_000])
def test_equal_to_scipy(n, ties):
    for seed in range(10):
        x, y = draw(n, ties, seed)
        if np.ptp(y) == 0:
            continue
        assert pearson(x, y) == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), [(pearson_se, pearsonr), (spearman_se, spearmanr)])
def test_se_equals_naive_resampling(ours, theirs, ties):
    x, y = draw(200, ties, seed=3)
    rng = np.random.default_rng(5)
    drawn = [rng.integers(200, size=200) for _ in range(30)]
    expected = np.std([theirs(x[rows], y[rows]).statistic for rows in drawn], ddof=1)
    assert ours(x, y, bootstraps=30, seed=5) == pytest.approx(expected, abs=1e-12)


def test_what_is_not_defined():
    # A constant of which the mean is not exact.
    assert math.isnan(pearson([0.1] * 7, np.arange(7)))
    assert math.isnan(spearman(np.arange(7), [0.1] * 7))
    with pytest.raises(UserError, match=r"quantity: row 2 is nan \(1 of 3"):
        pearson([0, np.nan, 1], [1, 2, 3])
    with pytest.raises(UserError, match=r"score: row 3 is inf"):
        spearman([0, 1, 2], [1, 2, np.inf])
    with pytest.raises(UserError, match="at least 3"):
        spearman([0, 1], [1, 2])
