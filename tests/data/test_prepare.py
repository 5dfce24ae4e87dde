"""Windows -> tensors: crop, strand, corruption and weights, against loops over strings."""

import numpy as np
import pytest
import torch
from scipy import stats

from glm_composer.data.draws import draw, stream_keys
from glm_composer.data.objective import Asked
from glm_composer.data.objectives.clm import CLMConfig
from glm_composer.data.objectives.dlm import DLMConfig
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import CROP, STRAND, Prepare, to_tensors
from glm_composer.registry import objectives
from glm_composer.sequence import FIRST_BASE, PAD, decode, encode

OTHERS = [CLMConfig(), DLMConfig(), DLMConfig(weighted=True)]
COMPLEMENT = str.maketrans("ACGTNacgtn", "TGCANtgcan")


def ask_all(ids, keys):
    """An objective that hides nothing and asks for every base."""
    return Asked(ids, torch.where(ids >= FIRST_BASE, ids, PAD))


def letters(text):
    return np.frombuffer(text.encode(), dtype=np.uint8)


def seen(prepared):
    """The windows of a prepared batch as strings, case included."""
    rows = decode(prepared["input_ids"].numpy(), prepared["soft_masked"].numpy())
    return [row.tobytes().decode() for row in rows]


@pytest.fixture(scope="module")
def batch(windows):
    """Real windows with stretches of lower case and N, under scattered ids."""
    rng = np.random.default_rng(0)
    sequence = windows["sequence"].copy()
    for row, (start, kind) in enumerate(zip(rng.integers(0, 400, 700), range(700), strict=True)):
        if kind % 3 == 0:
            sequence[row, start : start + 100] |= 0x20
        elif kind % 3 == 1:
            sequence[row, start : start + 20] = ord("N")
    return {"sequence": sequence, "id": rng.permutation(100_000)[:700], "epoch": 3}


def full(seed=5, window=512, objective=None):
    objective = objective or MaskedLanguageModel(MLMConfig())
    return Prepare(objective, seed, window, 0.01, random_crop=True, random_strand=True)


def first_numbers(batch, purpose, seed=5, epoch=3):
    """The first number of each window's stream: uint64 [n]."""
    keys = stream_keys(seed, epoch, torch.from_numpy(batch["id"]), purpose)
    return draw(keys, 1)[:, 0].numpy().view(np.uint64)


def rows_of(batch, chosen):
    return {**batch, "sequence": batch["sequence"][chosen], "id": batch["id"][chosen]}


def assert_same(one, other, chosen=slice(None)):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name][chosen], other[name]), name


def test_types_and_shapes(batch):
    prepared = full(window=300)(batch)
    assert {name: (value.dtype, tuple(value.shape)) for name, value in prepared.items()} == {
        "input_ids": (torch.uint8, (700, 300)),
        "labels": (torch.uint8, (700, 300)),
        "soft_masked": (torch.bool, (700, 300)),
        "loss_weight": (torch.float32, (700, 300)),
        "id": (torch.int64, (700,)),
        "epoch": (torch.int64, (700,)),
    }


def test_weights_by_hand():
    sequence = np.stack([letters("ACgtNn"), letters("nnTTaa")])
    batch = {"sequence": sequence, "id": np.array([4, 9]), "epoch": 0}
    prepared = Prepare(ask_all, 0, 6, 0.25)(batch)
    assert prepared["input_ids"].tolist() == [[3, 4, 5, 6, 2, 2], [2, 2, 6, 6, 3, 3]]
    assert prepared["labels"].tolist() == [[3, 4, 5, 6, 0, 0], [0, 0, 6, 6, 3, 3]]
    assert prepared["loss_weight"].tolist() == [
        [1, 1, 0.25, 0.25, 0, 0],
        [0, 0, 1, 1, 0.25, 0.25],
    ]
    assert prepared["id"].tolist() == [4, 9]


def test_weights_follow_labels_and_case(batch):
    prepared = full()(batch)
    asked, soft = prepared["labels"] != PAD, prepared["soft_masked"]
    expected = torch.where(soft, torch.tensor(0.01), torch.tensor(1.0)) * asked
    assert torch.equal(prepared["loss_weight"], expected)
    assert (asked & soft).any()
    assert (asked & ~soft).any()


def test_half_of_the_windows_turn_over_and_take_their_case_along(batch):
    prepare = Prepare(ask_all, 5, 512, 1.0, random_strand=True)
    given = [row.tobytes().decode() for row in batch["sequence"]]
    turned = [row[::-1].translate(COMPLEMENT) for row in given]
    decided = first_numbers(batch, STRAND) % 2 == 1
    expected = [b if flag else a for a, b, flag in zip(given, turned, decided, strict=True)]
    assert seen(prepare(batch)) == expected
    assert abs(decided.sum() - 350) < 4.5 * np.sqrt(700) / 2


def test_strands_change_with_the_epoch(batch):
    prepare = Prepare(ask_all, 5, 512, 1.0, random_strand=True)
    rows = [seen(prepare({**batch, "epoch": epoch})) for epoch in (3, 4)]
    same = sum(a == b for a, b in zip(*rows, strict=True))
    assert abs(same - 350) < 4.5 * np.sqrt(700) / 2


def test_nothing_turns_over_unasked(batch):
    prepare = Prepare(ask_all, 5, 512, 1.0)
    assert seen(prepare(batch)) == [row.tobytes().decode() for row in batch["sequence"]]


@pytest.mark.parametrize("window", [1, 100, 511, 512])
def test_random_crops_equal_a_loop(batch, window):
    prepare = Prepare(ask_all, 5, window, 1.0, random_crop=True)
    offsets = (first_numbers(batch, CROP) % (512 - window + 1)).tolist()
    expected = [
        row[offset : offset + window].tobytes().decode()
        for row, offset in zip(batch["sequence"], offsets, strict=True)
    ]
    assert seen(prepare(batch)) == expected


def test_random_crops_start_anywhere():
    # Each offset of a window shows in its first base.
    sequence = np.tile(letters("ACGTN"), (20_000, 1))
    batch = {"sequence": sequence, "id": np.arange(20_000), "epoch": 0}
    prepared = Prepare(ask_all, 5, 1, 1.0, random_crop=True)(batch)
    counts = np.bincount(prepared["input_ids"].numpy().ravel(), minlength=7)
    assert counts[:2].sum() == 0
    assert stats.chisquare(counts[2:]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("window", "expected"), [(4, "CCGG"), (3, "CCG"), (1, "C"), (6, "ACCGGT")]
)
def test_held_out_crops_are_the_middle(window, expected):
    batch = {"sequence": letters("ACCGGT")[None], "id": np.array([8]), "epoch": 0}
    offset = (6 - window) // 2
    assert expected == "ACCGGT"[offset : offset + window]
    assert seen(Prepare(ask_all, 0, window, 1.0)(batch)) == [expected]


@pytest.mark.parametrize("random_crop", [True, False])
def test_windows_that_are_too_short_are_refused(batch, random_crop):
    with pytest.raises(ValueError, match="512 bases, shorter than 600"):
        Prepare(ask_all, 0, 600, 1.0, random_crop=random_crop)(batch)


def test_corruption_sees_the_turned_and_cropped_window(batch):
    config = MLMConfig()
    prepared, plain = full(window=400)(batch), full(window=400, objective=ask_all)(batch)
    asked = prepared["labels"] != PAD
    assert torch.equal(prepared["labels"][asked], plain["input_ids"][asked])
    assert torch.equal(prepared["input_ids"][~asked], plain["input_ids"][~asked])
    rate = asked.sum() / (plain["input_ids"] >= FIRST_BASE).sum()
    assert abs(rate - config.rate) < 0.005


def test_the_batch_does_not_matter(batch):
    whole = full(window=300)(batch)
    order = np.random.default_rng(2).permutation(700)
    for chosen in (order, order[:32], order[:1]):
        assert_same(whole, full(window=300)(rows_of(batch, chosen)), torch.from_numpy(chosen))


@pytest.mark.parametrize("change", [{"epoch": 4}, {"seed": 6}, {"id": 1}])
def test_epoch_seed_and_id_all_matter(batch, change):
    other = {**batch, "id": batch["id"] + change.get("id", 0)}
    other["epoch"] = change.get("epoch", 3)
    first, second = full()(batch), full(seed=change.get("seed", 5))(other)
    asked = [prepared["labels"] != PAD for prepared in (first, second)]
    both = (asked[0] & asked[1]).float().mean()
    assert both < 1.1 * 0.15**2


def test_input_is_left_alone(batch):
    before = batch["sequence"].copy()
    full()(batch)
    assert np.array_equal(batch["sequence"], before)


@pytest.mark.parametrize("gpn_exact", [True, False])
def test_blanks_are_asked_nothing(batch, gpn_exact):
    objective = MaskedLanguageModel(MLMConfig(gpn_exact=gpn_exact))
    sequence = batch["sequence"][:6].copy()
    sequence[3:] = ord("N")
    ids = np.array([0, 1, 2, 3, -1, -1])
    prepared = Prepare(objective, 0, 512, 1.0)({"sequence": sequence, "id": ids, "epoch": 0})
    weights = prepared["loss_weight"].sum(dim=1)
    assert (weights[:3] > 0).all()
    # A true window of N counts in GPN's original recipe; a blank never does.
    assert bool(weights[3] > 0) == gpn_exact
    assert not weights[4:].any()
    assert not prepared["labels"][4:].any()


def test_masks_reach_every_letter_of_the_alphabet(batch):
    assert np.array_equal(np.unique(encode(batch["sequence"])), [2, 3, 4, 5, 6])


@pytest.fixture(scope="module")
def ragged(batch):
    """The windows cut to many lengths, and what of each is real, as strings."""
    lengths = np.random.default_rng(4).integers(1, 500, 700)
    lengths[:3] = 1, 200, 499
    sequence = batch["sequence"][:, :499].copy()
    sequence[np.arange(499) >= lengths[:, None]] = 0
    texts = [
        row[:length].tobytes().decode() for row, length in zip(sequence, lengths, strict=True)
    ]
    return {**batch, "sequence": sequence, "length": lengths}, texts


@pytest.mark.parametrize("window", [499, 300, 64, 1])
@pytest.mark.parametrize("training", [True, False])
def test_ragged_windows_equal_a_loop(ragged, window, training):
    batch, texts = ragged
    prepared = Prepare(ask_all, 5, window, 1.0, training, training)(batch)
    assert prepared["input_ids"].shape[1] == min(window, 512)
    assert torch.equal(prepared["length"], torch.from_numpy(batch["length"]).clamp(max=window))
    crops = first_numbers(batch, CROP).tolist()
    strands = first_numbers(batch, STRAND).tolist()
    everything = zip(seen(prepared), texts, crops, strands, strict=True)
    for found, text, crop, strand in everything:
        spare = max(0, len(text) - window)
        offset = crop % (spare + 1) if training else spare // 2
        expected = text[offset : offset + window]
        if training and strand % 2:
            expected = expected[::-1].translate(COMPLEMENT)
        assert found == expected + "-" * (len(found) - len(expected))


@pytest.mark.parametrize("gpn_exact", [False, True])
def test_padding_is_asked_nothing_and_weighs_nothing(ragged, gpn_exact):
    objective = MaskedLanguageModel(MLMConfig(gpn_exact=gpn_exact, rate=0.5))
    prepared = full(objective=objective)(ragged[0])
    beyond = torch.arange(512) >= prepared["length"][:, None]
    assert beyond.any()
    for name in ("input_ids", "labels", "loss_weight"):
        assert not prepared[name][beyond].any()
        assert prepared[name][~beyond].any()


def test_widths_of_ragged_batches(ragged):
    batch, _ = ragged
    short = rows_of(batch, batch["length"] < 100)
    longest = int(batch["length"][batch["length"] < 100].max())
    short |= {"length": batch["length"][batch["length"] < 100]}
    short["sequence"] = short["sequence"][:, :longest]
    found = full()(short)
    assert found["input_ids"].shape[1] == 128
    wide = Prepare(MaskedLanguageModel(MLMConfig()), 5, 512, 0.01, True, True, fixed_width=True)(
        short
    )
    assert wide["input_ids"].shape[1] == 512
    # A window is the same however wide its batch is.
    for name in ("input_ids", "labels", "soft_masked", "loss_weight"):
        assert torch.equal(wide[name][:, :128], found[name]), name
        assert not wide[name][:, 128:].any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("objective", [MLMConfig(), MLMConfig(gpn_exact=True), *OTHERS])
@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_a_gpu_repeats_it_bit_for_bit(ragged, batch, seed, objective):
    build = objectives.get(objective.name)
    prepare = Prepare(build(objective), seed, 300, 0.01, True, True)
    for given in (batch, ragged[0]):
        moved = {name: each.cuda() for name, each in to_tensors(given).items()}
        assert_same(prepare(given), {name: each.cpu() for name, each in prepare(moved).items()})
