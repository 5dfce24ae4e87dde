"""Masked language modelling: the exact rule in plain Python, and what it adds up to."""

import numpy as np
import pytest
import torch
from scipy import stats

from glm_composer.data.draws import stream_keys
from glm_composer.data.objectives.mlm import RATE_STEP, MLMConfig
from glm_composer.registry import objectives
from glm_composer.sequence import MASK, PAD, UNK, A, T, encode

WORD = 2**64 - 1


def keys_of(count, epoch=0):
    return stream_keys(7, epoch, torch.arange(count), 2)


def corrupt(config, ids, keys):
    """Inputs and labels [batch, length] as the objective makes them, numpy in and out."""
    asked = objectives.get("mlm")(config)(torch.from_numpy(ids), keys)
    return asked.inputs.numpy(), asked.labels.numpy()


def splitmix(key, position):
    x = (key + (position + 1) * 0x9E3779B97F4A7C15) & WORD
    return finish(x)


def finish(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


def naive(config, ids, keys):
    """The corruption, a position at a time, in integers and fractions."""
    inputs, labels = ids.copy(), np.full_like(ids, PAD)
    for row, key in enumerate(keys.numpy().view(np.uint64).tolist()):
        for at, true in enumerate(ids[row].tolist()):
            bits = splitmix(key, at // 4) >> 16 * (at % 4) & 0xFFFF
            if bits >= round(config.rate * 65536) or (true < A and not config.gpn_exact):
                continue
            labels[row, at] = true
            number = splitmix(finish(key), at)
            kind, low = number >> 32, number & 0xFFFFFFFF
            if kind < config.mask * 2**32:
                inputs[row, at] = MASK
            elif kind < (config.mask + config.random) * 2**32:
                inputs[row, at] = low * 7 >> 32 if config.gpn_exact else A + (low * 4 >> 32)
    return inputs, labels


@pytest.fixture(scope="module")
def bases(windows):
    """Real bases [700, 512], a tenth of them N."""
    ids = encode(windows["sequence"])
    ids[np.random.default_rng(0).random(ids.shape) < 0.1] = UNK
    return ids


@pytest.mark.parametrize("length", [1, 3, 61, 512])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gpn_exact": True},
        {"rate": 0.4, "mask": 0.5, "random": 0.5},
        {"mask": 0.0, "random": 0.0},
    ],
)
def test_equals_the_naive_rule(bases, settings, length):
    config = MLMConfig(**settings)
    ids, keys = bases[:8, :length], keys_of(8)
    before = ids.copy()
    inputs, labels = corrupt(config, ids, keys)
    expected = naive(config, ids, keys)
    assert np.array_equal(inputs, expected[0])
    assert np.array_equal(labels, expected[1])
    assert inputs.dtype == labels.dtype == np.uint8
    assert np.array_equal(ids, before)


def near(count, total, probability):
    return abs(count - total * probability) < 4.5 * np.sqrt(
        total * probability * (1 - probability)
    )


def test_rates_of_selection_and_of_each_kind(bases):
    inputs, labels = corrupt(MLMConfig(), bases, keys_of(len(bases)))
    selected = labels != PAD
    total = selected.sum()
    assert near(total, (bases != UNK).sum(), 0.15)
    assert np.array_equal(labels[selected], bases[selected])
    assert np.array_equal(inputs[~selected], bases[~selected])
    assert near((inputs[selected] == MASK).sum(), total, 0.8)
    # A random base is the true one a quarter of the time.
    assert near((inputs[selected] == labels[selected]).sum(), total, 0.1 + 0.1 / 4)
    assert not np.any(selected & (bases == UNK))


def test_every_position_and_base_is_selected_alike(bases):
    labels = np.concatenate(
        [corrupt(MLMConfig(), bases, keys_of(len(bases), e))[1] for e in range(4)]
    )
    ids = np.concatenate([bases] * 4)
    for base in range(A, T + 1):
        assert near((labels == base).sum(), (ids == base).sum(), 0.15)
    per_position = (labels != PAD).sum(axis=0)
    expected = 0.15 * (ids != UNK).sum(axis=0)
    statistic = ((per_position - expected) ** 2 / (expected * 0.85)).sum()
    assert stats.chi2.sf(statistic, len(expected)) > 1e-4
    assert stats.chi2.cdf(statistic, len(expected)) > 1e-4


def test_random_bases_are_uniform(bases):
    config = MLMConfig(rate=0.5, mask=0.0, random=1.0)
    inputs, labels = corrupt(config, bases, keys_of(len(bases)))
    drawn = np.bincount(inputs[labels != PAD], minlength=7)
    assert drawn[:A].sum() == 0
    assert stats.chisquare(drawn[A:]).pvalue > 1e-4


def test_gpn_exact_selects_n_and_draws_all_seven_ids(bases):
    config = MLMConfig(rate=0.5, mask=0.0, random=1.0, gpn_exact=True)
    inputs, labels = corrupt(config, bases, keys_of(len(bases)))
    assert near((labels == UNK).sum(), (bases == UNK).sum(), 0.5)
    assert stats.chisquare(np.bincount(inputs[labels != PAD], minlength=7)).pvalue > 1e-4


def test_neighbouring_positions_are_selected_independently(bases):
    _, labels = corrupt(MLMConfig(gpn_exact=True), bases, keys_of(len(bases)))
    selected = labels != PAD
    for gap in (1, 2, 3, 4, 8):
        both = selected[:, gap:] & selected[:, :-gap]
        assert near(both.sum(), both.size, 0.15**2)


def test_windows_of_n_are_asked_nothing():
    ids = np.full((4, 101), UNK, dtype=np.uint8)
    inputs, labels = corrupt(MLMConfig(rate=0.9), ids, keys_of(4))
    assert np.array_equal(inputs, ids)
    assert not labels.any()


@pytest.mark.parametrize("rate", [RATE_STEP, 0.001, 0.999, 1 - RATE_STEP])
def test_extreme_rates_are_met(bases, rate):
    config = MLMConfig(rate=rate, gpn_exact=True)
    labels = corrupt(config, bases, keys_of(len(bases)))[1]
    count = int((labels != PAD).sum())
    low, high = stats.binom.interval(1 - 1e-5, labels.size, rate)
    assert low <= count <= high
    assert 0 < count < labels.size


def test_a_window_is_masked_alike_in_any_batch(bases):
    config, keys = MLMConfig(), keys_of(len(bases))
    inputs, labels = corrupt(config, bases, keys)
    order = np.random.default_rng(1).permutation(len(bases))
    for chosen in (order, order[:1], order[:13], np.sort(order)[::-1]):
        again = corrupt(config, bases[chosen], keys[torch.from_numpy(chosen.copy())])
        assert np.array_equal(again[0], inputs[chosen])
        assert np.array_equal(again[1], labels[chosen])


def test_epochs_mask_different_positions(bases):
    config = MLMConfig(gpn_exact=True)
    first = corrupt(config, bases, keys_of(len(bases), 0))[1] != PAD
    second = corrupt(config, bases, keys_of(len(bases), 1))[1] != PAD
    assert near((first & second).sum(), first.size, 0.15**2)
