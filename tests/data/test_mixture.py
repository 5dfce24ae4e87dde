"""Mixtures: exact counts that follow the schedule, each stream in orders of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stock_shards import write

from glm_composer.data.batches import GlobalBatches, Place
from glm_composer.data.mixture import (
    MixedDataset,
    MixedWindows,
    Mixture,
    Proportion,
    batch_counts,
)
from glm_composer.data.shards import Shards
from glm_composer.data.stream import Stream
from glm_composer.errors import UserError

SIZES = (300, 70, 41)
LEVEL = [Proportion((0,), (weight,)) for weight in (0.5, 0.3, 0.2)]
# The second comes in over batches 10 to 30, the third stops at once after batch 20.
SCHEDULED = [
    Proportion((0,), (1.0,)),
    Proportion((10, 30), (0.0, 1.0)),
    Proportion((20, 20), (1.0, 0.0)),
]
weights = st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(lambda found: sum(found) > 0.01)


def mixture(proportions=LEVEL, batch=12, **settings):
    streams = [Stream(np.array([size]), 5) for size in SIZES]
    return Mixture(streams, proportions, batch, **settings)


def dealt(dealer, epochs=1):
    """The batches of some epochs: ids and epochs of each."""
    return [
        [(batch.ids.tolist(), batch.epoch.tolist()) for batch in dealer] for _ in range(epochs)
    ]


@given(weights=weights, batch=st.integers(1, 300))
@settings(max_examples=60, deadline=None, database=None)
def test_counts_add_up_and_follow_the_proportions(weights, batch):
    counts = batch_counts([Proportion((0,), (weight,)) for weight in weights], batch)
    taken = np.zeros(len(weights))
    for number in range(1, 100):
        given = next(counts)
        assert sum(given) == batch
        assert min(given) >= 0
        taken += given
        assert np.abs(taken - number * batch * np.array(weights) / sum(weights)).max() < 2


def test_counts_follow_a_schedule():
    counts = batch_counts(SCHEDULED, 12)
    found = [next(counts) for _ in range(60)]
    assert found[:10] == [[6, 0, 6]] * 10
    assert all(third == 0 for _, _, third in found[21:])
    assert found[40:] == [[6, 6, 0]] * 20
    expected = np.zeros(3)
    for number in range(60):
        weight = np.array([each.at(number) for each in SCHEDULED])
        expected += 12 * weight / weight.sum()
    assert np.abs(np.sum(found, axis=0) - expected).max() < 1


def test_nothing_to_take_is_said():
    counts = batch_counts([Proportion((0, 10), (1.0, 0.0))], 4)
    with pytest.raises(UserError, match="all proportions are 0 in batch 10"):
        [next(counts) for _ in range(11)]


@pytest.mark.parametrize("proportions", [LEVEL, SCHEDULED])
def test_each_stream_goes_through_orders_of_its_own(proportions):
    source = mixture(proportions)
    seen = [[], [], []]
    for batch in dealt(GlobalBatches(source, 12, Place()), 3):
        for ids, epochs in batch:
            for id_, epoch in zip(ids, epochs, strict=True):
                stream = int(np.searchsorted(source.starts, id_, side="right")) - 1
                seen[stream].append((epoch, id_ - source.starts[stream]))
    for stream, found in zip(source.streams, seen, strict=True):
        assert [epoch for epoch, _ in found] == sorted(epoch for epoch, _ in found)
        for epoch in range(found[-1][0] + 1):
            ids = [id_ for e, id_ in found if e == epoch]
            assert ids == stream.ids(stream.order(epoch))[: len(ids)].tolist()
            assert epoch == found[-1][0] or len(ids) == stream.samples


def test_an_epoch_is_whole_batches():
    assert mixture().samples == 420  # 411 windows
    assert mixture(epoch_windows=100).samples == 108
    assert len(GlobalBatches(mixture(epoch_windows=100), 12, Place())) == 9


@pytest.mark.parametrize("proportions", [LEVEL, SCHEDULED])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_and_resumption(proportions, ranks):
    whole = dealt(GlobalBatches(mixture(proportions), 12, Place()), 3)
    for epoch, done in ((0, 7), (1, 0), (1, 34)):
        parts = []
        for rank in range(ranks):
            dealer = GlobalBatches(mixture(proportions), 12, Place(rank, ranks, ranks))
            dealer.load_state_dict(
                {"epoch": epoch, "samples": done * 12, "identity": dealer.identity}
            )
            parts.append([*dealt(dealer)[0], *dealt(dealer)[0]])
        expected = [*whole[epoch][done:], *whole[epoch + 1]]
        for (ids, epochs), *shares in zip(expected, *parts, strict=True):
            together = [pair for share in shares for pair in zip(*share, strict=True)]
            assert sorted(together) == sorted(zip(ids, epochs, strict=True))


def test_windows_are_those_of_their_stream(yeast):
    shards = {name: Shards(yeast / name) for name in ("train", "test")}
    starts = np.array([0, len(shards["train"]), len(shards["train"]) + len(shards["test"])])
    streams = [Stream(each.counts, 5) for each in shards.values()]
    source = Mixture(streams, LEVEL[:2], 64)
    assert source.starts.tolist() == starts.tolist()
    dealer = GlobalBatches(source, 64, Place())
    dataset = MixedDataset(MixedWindows(shards, starts), dealer)
    batch = dataset[next(iter(dealer))]
    assert np.bincount(batch["stream"]).tolist() == [40, 24]
    for row, id_, stream in zip(batch["sequence"], batch["id"], batch["stream"], strict=True):
        name = list(shards)[stream]
        assert np.array_equal(
            row, shards[name].gather(np.array([id_ - starts[stream]]))["sequence"][0]
        )


def test_windows_of_several_lengths_come_with_them(yeast, tmp_path):
    ragged = Shards(write(tmp_path / "ragged", "bytes", 30, 10, longest=600))
    shards = {"fixed": Shards(yeast / "test"), "ragged": ragged}
    first = len(shards["fixed"])
    windows = MixedWindows(shards, np.array([0, first, first + 30]))
    assert windows.length is None
    for ids in ([5, first + 3, 9, first], [5, 9], [first + 3]):
        rows = windows.gather(np.array(ids))
        for row, id_ in zip(rows, ids, strict=True):
            here, at = ("ragged", id_ - first) if id_ >= first else ("fixed", id_)
            expected = shards[here].gather(np.array([at]))[0]["sequence"]
            assert row["length"] == len(expected)
            assert np.array_equal(row["sequence"][: len(expected)], expected)
            assert not row["sequence"][len(expected) :].any()
    alike = MixedWindows({"a": shards["fixed"]}, np.array([0, first]))
    assert alike.length == 512
    assert alike.gather(np.array([3])).dtype.names == ("sequence",)
