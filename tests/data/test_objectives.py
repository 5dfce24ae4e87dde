"""Next-base and diffusion objectives: against loops over letters, and what they add up to."""

import numpy as np
import pytest
import torch
from scipy import stats

from glm_composer.data.bits import choose, is_base
from glm_composer.data.draws import PARTS, draw, mix, stream_keys
from glm_composer.data.objectives.clm import CausalLanguageModel, CLMConfig
from glm_composer.data.objectives.dlm import DiffusionLanguageModel, DLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.sequence import FIRST_BASE, MASK, PAD, UNK, encode


@pytest.fixture(scope="module")
def bases(windows):
    """Real bases [700, 512], a tenth of them N."""
    ids = encode(windows["sequence"])
    ids[np.random.default_rng(0).random(ids.shape) < 0.1] = UNK
    return torch.from_numpy(ids)


def keys_of(count, epoch=0):
    return stream_keys(7, epoch, torch.arange(count), 2)


def letters(*rows):
    return np.stack([np.frombuffer(row.encode(), dtype=np.uint8) for row in rows])


def test_choices_by_bits_are_those_of_torch(bases):
    mask = torch.rand(bases.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    assert torch.equal(choose(mask, PAD, bases), bases.masked_fill(mask, PAD))
    assert torch.equal(choose(mask[:, :1], bases.flip(1), bases),
                       torch.where(mask[:, :1], bases.flip(1), bases))  # fmt: skip
    every = torch.arange(7, dtype=torch.uint8)
    assert torch.equal(is_base(every), every >= FIRST_BASE)


def test_next_base_by_hand():
    # Lower case is the base that is asked for, not the one that asks.
    batch = {"sequence": letters("ACgtNA", "nnTTaa"), "id": np.array([4, -1]), "epoch": 0}
    prepared = Prepare(CausalLanguageModel(CLMConfig()), 0, 6, 0.25)(batch)
    assert prepared["input_ids"].tolist() == [[3, 4, 5, 6, 2, 3], [2, 2, 6, 6, 3, 3]]
    assert prepared["labels"].tolist() == [[4, 5, 6, 0, 3, 0], [0] * 6]
    assert prepared["loss_weight"].tolist() == [[1, 0.25, 0.25, 0, 1, 0], [0] * 6]
    assert prepared["soft_masked"][0].tolist() == [False, True, True, False, False, False]


def test_next_base_of_real_windows_is_the_base_that_follows(windows):
    batch = {"sequence": windows["sequence"], "id": np.arange(700), "epoch": 0}
    prepare = Prepare(CausalLanguageModel(CLMConfig()), 3, 400, 1.0, True, True)
    prepared = prepare(batch)
    inputs, labels = prepared["input_ids"], prepared["labels"]
    assert torch.equal(labels[:, :-1], inputs[:, 1:] * (inputs[:, 1:] >= FIRST_BASE))
    assert not labels[:, -1].any()
    assert torch.equal(prepared["loss_weight"], (labels != PAD).float())


@pytest.mark.parametrize("weighted", [False, True])
def test_diffusion_equals_the_naive_rule(bases, weighted):
    config = DLMConfig(min_rate=0.1, weighted=weighted)
    keys = keys_of(40)
    asked = DiffusionLanguageModel(config)(bases[:40], keys)
    rates = draw(mix(keys), 1)[:, 0].numpy().view(np.uint64) >> np.uint64(32)
    bits = draw(keys, 128).numpy().view(np.uint16)
    least = 6554  # 0.1 x 65,536, rounded up
    for row, number in enumerate(rates.tolist()):
        parts = least + (number * (PARTS - least) >> 32)
        selected = torch.from_numpy(bits[row].astype(np.int64) < parts) & (bases[row] != UNK)
        assert torch.equal(asked.labels[row], torch.where(selected, bases[row], PAD))
        assert torch.equal(asked.inputs[row], torch.where(selected, MASK, bases[row]))
        if weighted:
            assert asked.weight[row].item() == pytest.approx(PARTS / parts, rel=1e-6)
    assert weighted or asked.weight is None


def test_diffusion_rates_are_uniform_and_no_weight_explodes(bases):
    config = DLMConfig(weighted=True)
    parts = [DiffusionLanguageModel(config)(bases, keys_of(700, e)) for e in range(6)]
    rates = 1 / torch.cat([asked.weight for asked in parts]).flatten().double()
    assert rates.min() >= 1e-3
    assert rates.max() < 1
    assert stats.kstest(rates.numpy(), stats.uniform(1e-3, 1 - 1e-3).cdf).pvalue > 1e-4
    # Each window meets its own rate.
    counts = torch.cat([(asked.labels != PAD).sum(1) for asked in parts]).double()
    totals = (bases != UNK).sum(1).repeat(6)
    spread = (counts - rates * totals) / (totals * rates * (1 - rates)).sqrt()
    assert spread.abs().max() < 5.5
    assert abs(spread.mean()) < 5 / np.sqrt(len(spread))
    # The weights make every base count once, in expectation.
    weight = sum((asked.weight * (asked.labels != PAD)).sum().item() for asked in parts)
    assert weight == pytest.approx(totals.sum().item(), rel=0.05)


def test_diffusion_weights_multiply_those_of_case(windows):
    sequence = windows["sequence"] | np.uint8(0x20)
    batch = {"sequence": sequence, "id": np.arange(700), "epoch": 0}
    objective = DiffusionLanguageModel(DLMConfig(weighted=True))
    plain, soft = (Prepare(objective, 0, 512, weight)(batch) for weight in (1.0, 0.25))
    asked = plain["labels"] != PAD
    assert torch.equal(soft["loss_weight"], plain["loss_weight"] * 0.25)
    assert (plain["loss_weight"][asked] > 1).all()
    assert not plain["loss_weight"][~asked].any()


@pytest.mark.parametrize(
    "objective", [CausalLanguageModel(CLMConfig()), DiffusionLanguageModel(DLMConfig())]
)
def test_a_window_is_corrupted_alike_in_any_batch(bases, objective):
    before, keys = bases.clone(), keys_of(700)
    whole = objective(bases, keys)
    order = torch.randperm(700, generator=torch.Generator().manual_seed(1))
    for chosen in (order, order[:1], order[:13]):
        again = objective(bases[chosen], keys[chosen])
        assert torch.equal(again.inputs, whole.inputs[chosen])
        assert torch.equal(again.labels, whole.labels[chosen])
    assert torch.equal(bases, before)
