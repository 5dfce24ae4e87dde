"""A held-out split: every window exactly once over all ranks, blanks weigh nothing."""

import numpy as np
import pytest

from glm_composer.data.held_out import HeldOutDataset
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.data.prepare import Prepare
from glm_composer.data.shards import Shards


def deal(shards, rank_batch, ranks, limit=None):
    """The batches of every rank."""
    return [list(HeldOutDataset(shards, rank_batch, r, ranks, limit)) for r in range(ranks)]


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(
    ("rank_batch", "limit"),
    [(32, None), (7, None), (700, None), (701, None), (16, 50), (16, 5), (16, 2)],
)
def test_every_window_exactly_once(split, windows, ranks, rank_batch, limit):
    shards = Shards(split)
    dealt = deal(shards, rank_batch, ranks, limit)
    wanted = limit or len(windows)
    ids = np.concatenate([batch["id"] for batches in dealt for batch in batches])
    assert sorted(ids[ids >= 0]) == list(range(wanted))
    assert set(ids[ids < 0]) <= {-1}
    # Collective operations need as many batches of the same size from every rank.
    steps = {len(batches) for batches in dealt}
    assert steps == {len(HeldOutDataset(shards, rank_batch, 0, ranks, limit))}
    assert {batch["id"].shape for batches in dealt for batch in batches} == {(rank_batch,)}
    # And no step too many.
    assert (max(steps) - 1) * rank_batch * ranks < wanted


def test_batches_are_dealt_in_order(split):
    first, second = deal(Shards(split), 4, 2, limit=11)
    assert [batch["id"].tolist() for batch in first] == [[0, 1, 2, 3], [8, 9, 10, -1]]
    assert [batch["id"].tolist() for batch in second] == [[4, 5, 6, 7], [-1, -1, -1, -1]]


def test_windows_are_the_rows_of_their_ids(split, windows):
    for batch in HeldOutDataset(Shards(split), 96, 0, 1):
        real = batch["id"] >= 0
        assert np.array_equal(batch["sequence"][real], windows["sequence"][batch["id"][real]])
        assert np.all(batch["sequence"][~real] == ord("N"))
        assert batch["sequence"].dtype == np.uint8
        assert batch["id"].dtype == np.int64
        assert batch["epoch"] == 0


def test_every_pass_is_the_same(split):
    dataset = HeldOutDataset(Shards(split), 64, 0, 1)
    for first, second in zip(dataset, dataset, strict=True):
        assert np.array_equal(first["id"], second["id"])
        assert np.array_equal(first["sequence"], second["sequence"])


def test_a_limit_beyond_the_split_takes_all_of_it(split, windows):
    dataset = HeldOutDataset(Shards(split), 64, 0, 1, limit=10_000)
    assert dataset.samples == len(windows)


@pytest.mark.parametrize("gpn_exact", [False, True])
@pytest.mark.parametrize("ranks", [1, 3])
def test_loss_weights_do_not_depend_on_the_ranks(split, ranks, gpn_exact):
    objective = MaskedLanguageModel(MLMConfig(gpn_exact=gpn_exact))
    prepare = Prepare(objective, 0, 512, 1.0)
    shards = Shards(split)
    reference = prepare(next(iter(HeldOutDataset(shards, 700, 0, 1))))["loss_weight"].sum(dim=1)
    weights = np.zeros(700)
    for batches in deal(shards, 32, ranks):
        for batch in batches:
            prepared = prepare(batch)
            blank = prepared["id"] < 0
            weight = prepared["loss_weight"].sum(dim=1)
            assert not weight[blank].any()
            weights[prepared["id"][~blank].numpy()] += weight[~blank].numpy()
    assert np.array_equal(weights, reference.numpy())
    assert weights.sum() > 0.1 * 700 * 512
