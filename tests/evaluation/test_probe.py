import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold

from glm_composer.errors import UserError
from glm_composer.evaluation.probe import probe


def draw(chromosomes, rows, seed):
    rng = np.random.default_rng(seed)
    chrom = np.repeat([f"chr{i + 1}" for i in range(chromosomes)], rows)
    label = np.tile(np.arange(rows) % 4 == 0, chromosomes)
    x = rng.normal(size=(len(label), 5)) * [1, 10, 0.1, 1, 1] + [0, 50, 0, 0, 0]
    x[:, 0] += label
    x[rng.random(x.shape) < 0.02] = np.nan
    x[:, 4] = np.nan
    return x, label, chrom


def prepared(x, fitted):
    """Fill with the mean and standardise, by the rows that are fitted."""
    empty = np.isnan(x[fitted]).all(axis=0)
    mean = np.where(empty, 0, np.nanmean(np.where(empty, 0, x[fitted]), axis=0))
    filled = np.where(np.isnan(x), mean, x)
    sd = filled[fitted].std(axis=0)
    return (filled - filled[fitted].mean(axis=0)) / np.where(sd > 0, sd, 1)


def naive(x, label, chrom, penalties):
    """Written out: nothing of a pipeline, nothing of a grid search."""

    def fit(fitted, c):
        regression = LogisticRegression(C=c, class_weight="balanced")
        return regression.fit(prepared(x, fitted)[fitted], label[fitted])

    predicted = np.full(len(label), np.nan)
    for held_out in dict.fromkeys(chrom):
        seen = np.flatnonzero(chrom != held_out)
        means = []
        for c in penalties:
            found = []
            for a, b in GroupKFold(5).split(seen, groups=chrom[seen]):
                fitted, tested = seen[a], seen[b]
                z = prepared(x, fitted)[tested]
                value = fit(fitted, c).decision_function(z)
                found.append(average_precision_score(label[tested], value))
            means.append((np.mean(found), c))
        best = max(means, key=lambda pair: pair[0])[1]
        rows = chrom == held_out
        predicted[rows] = fit(seen, best).predict_proba(prepared(x, seen)[rows])[:, 1]
    return predicted


@pytest.mark.slow
def test_equal_to_the_definition_written_out(monkeypatch):
    # Two of the ten, for speed; see below for all of them.
    monkeypatch.setattr("glm_composer.evaluation.probe.PENALTIES", np.array([1e-3, 1.0]))
    x, label, chrom = draw(6, 24, seed=0)
    done = []
    found = probe(x, label, chrom, advance=done.append)
    np.testing.assert_allclose(found, naive(x, label, chrom, [1e-3, 1.0]), atol=1e-9)
    assert done == [1] * 6
    # It reads what is there.
    assert average_precision_score(label, found) > 0.35


@pytest.mark.slow
def test_equal_to_the_definition_with_all_penalties():
    x, label, chrom = draw(6, 24, seed=0)
    found = probe(x, label, chrom)
    penalties = 10.0 ** (-8 + 8 / 9 * np.arange(10))
    np.testing.assert_allclose(found, naive(x, label, chrom, penalties), atol=1e-9)


@pytest.mark.slow
def test_neither_threads_nor_a_chromosomes_own_labels_change_its_prediction(monkeypatch):
    monkeypatch.setattr("glm_composer.evaluation.probe.PENALTIES", np.array([1e-2, 1.0]))
    x, label, chrom = draw(6, 24, seed=0)
    found = probe(x, label, chrom)
    np.testing.assert_array_equal(probe(x, label, chrom, jobs=2), found)
    other = label.copy()
    other[:24] = ~label[:24]
    np.testing.assert_array_equal(probe(x, other, chrom)[:24], found[:24])
    # And there is nothing to be read in noise.
    x[:, 0] -= label
    assert average_precision_score(label, probe(x, label, chrom)) < 0.35


def test_what_cannot_be_probed():
    x, label, chrom = draw(6, 12, seed=2)
    with pytest.raises(UserError, match=r"5 chromosomes; .* needs at least 6"):
        probe(x[:60], label[:60], chrom[:60])
    with pytest.raises(UserError, match="with 'chr1' left out, a fold of the others is fitted to"):
        probe(x, label & (chrom == "chr1"), chrom)
    x[3, 1] = np.inf
    with pytest.raises(UserError, match="row 4 has an infinite value"):
        probe(x, label, chrom)
    with pytest.raises(ValueError, match=r"\[n, d\]"):
        probe(x[:, 0], label, chrom)
