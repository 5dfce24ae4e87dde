"""The training stream: the stock reader's order and bytes, ranks, workers and resumption."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import StreamingDataset
from streaming.base.partition import get_partitions
from streaming.base.shuffle import get_shuffle
from torch.utils.data import DataLoader

from glm_composer.data.batches import GlobalBatches, Place
from glm_composer.data.dataset import WindowDataset
from glm_composer.data.order import BLOCK
from glm_composer.data.shards import Shards
from glm_composer.data.stream import Stream
from glm_composer.errors import UserError

BATCH = 16
COUNTS = np.array([97] * 7 + [21])


def batches(batch=BATCH, place=Place(), counts=COUNTS, **settings):  # noqa: B008 - immutable
    given = {"seed": 11, **settings}
    return GlobalBatches(Stream(counts, **given), batch, place, {"seed": given["seed"]})


def ids_of(dealt):
    return [batch.ids.tolist() for batch in dealt]


def epochs_of(count=1, **settings):
    dealer = batches(**settings)
    return [ids_of(dealer) for _ in range(count)]


def flat(dealt):
    return [each for batch in dealt for each in batch]


def real(dealt):
    return [each for each in flat(dealt) if each >= 0]


def open_split(path, **settings):
    shards = Shards(path)
    dealer = batches(counts=shards.counts, **settings)
    return WindowDataset(shards, dealer), dealer


def load(path, workers=0, **settings):
    dataset, dealer = open_split(path, **settings)
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=dealer,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=lambda batch: batch,
    )


@pytest.mark.parametrize(("batch", "shuffle"), [(16, True), (16, False), (15, True), (64, True)])
def test_samples_are_the_stock_readers_in_order(split, tmp_path, stock, batch, shuffle):
    stock = StreamingDataset(
        local=str(split),
        batch_size=batch,
        shuffle=shuffle,
        shuffle_algo="py1br",
        shuffle_seed=11,
        num_canonical_nodes=64,
    )
    ours, shards = load(split, batch=batch, shuffle=shuffle), Shards(split)
    for epoch in range(2):
        # 60 of the 64 canonical nodes have an eleventh sample; the others repeat their tenth.
        samples, dealt = list(stock)[:640], list(ours)
        sequences = np.concatenate([each["sequence"] for each in dealt])[:640]
        assert {each["epoch"] for each in dealt} == {epoch}
        assert sequences.tobytes() == b"".join(each["sequence"].tobytes() for each in samples)
        rows = shards.gather(np.concatenate([each["id"] for each in dealt])[:640])
        for name in ("contig", "start", "strand"):
            assert rows[name].tolist() == [int(each[name]) for each in samples]


@pytest.mark.parametrize(("nodes", "node_ranks"), [(1, 1), (1, 2), (1, 4), (2, 2), (4, 1), (2, 4)])
@pytest.mark.parametrize("epoch", [0, 1])
def test_ranks_get_the_samples_of_the_stock_readers_ranks(nodes, node_ranks, epoch):
    counts = np.array([97] * 6 + [58])  # 640: nothing to repeat or drop
    shuffled = get_shuffle("py1br", counts, 64, 11, epoch, BLOCK)
    ranks = nodes * node_ranks
    stock = shuffled[get_partitions("orig", 640, 64, nodes, node_ranks, 1, BATCH // ranks)]
    for rank in range(ranks):
        place = Place(rank, ranks, node_ranks)
        ours = epochs_of(epoch + 1, counts=counts, place=place)[epoch]
        assert ours == stock[rank // node_ranks, rank % node_ranks, 0].tolist()


@pytest.mark.slow
@given(
    samples=st.integers(1, 700),
    rank_batch=st.integers(1, 9),
    ranks=st.sampled_from([1, 2, 3, 4, 6]),
    limit=st.none() | st.integers(1, 300),
    data=st.data(),
)
@settings(max_examples=80, deadline=None, database=None)
def test_every_window_once_an_epoch_on_any_ranks(samples, rank_batch, ranks, limit, data):
    batch, counts = rank_batch * ranks, np.array([samples])
    settings = {"batch": batch, "counts": counts, "limit": limit}
    alone = epochs_of(2, **settings)
    used = min(samples, limit or samples)
    epoch, done = data.draw(st.integers(0, 1)), data.draw(st.integers(0, len(alone[0])))
    together = []
    for rank in range(ranks):
        # Interrupted on one rank, continued on all.
        dealer = batches(place=Place(rank, ranks, ranks), **settings)
        assert len(dealer) == -(-used // batch)
        dealer.load_state_dict(stopped(batches(**settings), epoch, done * batch, used))
        together.append(ids_of(dealer))
    assert {len(each) for dealt in together for each in dealt} <= {rank_batch}
    for number, parts in enumerate(zip(*together, strict=True)):
        assert sorted(flat(parts)) == sorted(alone[epoch][done + number])
    assert len(together[0]) == len(alone[epoch]) - done
    for dealt in alone:
        assert len(set(real(dealt))) == len(real(dealt)) == used
        # All blanks are in the last batch.
        assert min(flat(dealt[:-1]), default=0) >= 0
    assert not limit or set(real(alone[0])) == set(real(alone[1]))
    assert set(real(alone[0])) <= set(range(samples))


def stopped(dealer, epoch, samples, used):
    """The state after so many samples of an epoch; Composer counts real ones."""
    for _ in range(epoch):
        list(dealer)
    running = iter(dealer)
    for _ in range(-(-samples // dealer.batch)):
        next(running)
    return dealer.state_dict(min(samples, used))


def test_batches_are_whole_and_typed(split):
    for batch in load(split):
        assert batch["sequence"].shape == (BATCH, 512)
        assert batch["sequence"].dtype == np.uint8
        assert batch["id"].shape == (BATCH,)
        assert batch["id"].dtype == np.int64
        assert np.all((batch["sequence"] == ord("N")).all(axis=1) == (batch["id"] < 0))


def test_a_rank_may_have_blanks_only():
    # 17 windows on 4 ranks: one is left for the second batch.
    dealt = [epochs_of(counts=np.array([17]), place=Place(rank, 4, 4))[0] for rank in range(4)]
    assert [sum(each >= 0 for each in two[1]) for two in dealt] == [1, 0, 0, 0]


def test_a_new_order_in_the_next_epoch_and_with_another_seed():
    first, second = epochs_of(2)
    assert first != second
    assert epochs_of() == [first]
    assert epochs_of(seed=12) != [first]


def test_a_limit_is_evenly_spaced():
    assert sorted(real(epochs_of(limit=7)[0])) == [0, 100, 200, 300, 400, 500, 600]
    assert epochs_of(limit=10_000) == epochs_of()


def test_the_rule_is_stated():
    assert str(batches()) == (
        "an epoch is 700 windows in 44 batches of 16, each window once; "
        "the last filled up with 4 blanks that weigh nothing"
    )
    assert str(batches(batch=35)).endswith("20 batches of 35, each window once")


def test_a_batch_that_does_not_divide_by_the_ranks():
    with pytest.raises(UserError, match=r"\(16\) must be a multiple of the 3 ranks$"):
        batches(place=Place(0, 3, 3))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_nothing(split, workers):
    loader = load(split, workers)
    found = [[batch["id"].tolist() for batch in loader] for _ in range(2)]
    assert found == epochs_of(2)


def resume(state, epochs=1, **settings):
    dealer = batches(**settings)
    dealer.load_state_dict(state)
    return [ids_of(dealer) for _ in range(epochs)]


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("done", [1, 17, 43])
def test_resumes_in_mid_epoch(epoch, done):
    whole = epochs_of(epoch + 2)
    state = stopped(batches(), epoch, done * BATCH, 700)
    assert resume(state, 2) == [whole[epoch][done:], whole[epoch + 1]]


def test_resumes_a_resumed_run():
    whole = epochs_of(3)
    second = batches()
    second.load_state_dict(stopped(batches(), 1, 5 * BATCH, 700))
    running = iter(second)
    assert next(running).ids.tolist() == whole[1][5]
    assert resume(second.state_dict(6 * BATCH), 2) == [whole[1][6:], whole[2]]
    # And once more, at the end of the epoch that was resumed.
    list(running)
    assert resume(second.state_dict(0)) == [whole[2]]


@pytest.mark.parametrize("exhausted", [True, False])
def test_resumes_exactly_at_an_epochs_end(exhausted):
    # Composer counts on when it has had the last batch, asked for one more or not.
    whole = epochs_of(3)
    dealer = batches()
    for epoch in range(2):
        running = iter(dealer)
        for _ in range(44):
            next(running)
        assert not exhausted or next(running, None) is None
        state = dealer.state_dict(0)
        assert state["epoch"] == epoch + 1
        assert resume(state) == [whole[epoch + 1]]
    # Asking does not disturb the run.
    assert ids_of(dealer) == whole[2]


def test_resumes_after_the_last_batch_before_the_epoch_is_counted():
    dealer = batches()
    list(dealer)
    state = dealer.state_dict(700)
    assert resume(state, 2) == [[], epochs_of(2)[1]]
    # Composer then counts on: the epoch must not be repeated.
    again = batches()
    again.load_state_dict(state)
    list(again)
    assert again.state_dict(0)["epoch"] == 1


def test_resumes_before_the_first_batch():
    assert resume(batches().state_dict(0)) == epochs_of()


def test_resumes_with_workers(split):
    whole = epochs_of(2)
    dataset, dealer = open_split(split)
    list(dealer)
    for samples in (0, 80):
        state = {**dataset.state_dict(0, from_beginning=True), "samples": samples}
        loader = load(split, workers=2)
        loader.dataset.load_state_dict(state)
        found = [batch["id"].tolist() for batch in loader]
        assert found == whole[1][samples // BATCH :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 12}, "seed was 11 in the checkpoint to go on from, now 12"),
        ({"batch": 32}, "global_train_batch_size was 16 in the checkpoint to go on from, now 32"),
    ],
)
def test_a_changed_run_is_refused_unless_forced(change, message):
    state = stopped(batches(), 0, 5 * BATCH, 700)
    with pytest.raises(UserError, match=f"^{message}; .*force_resume=true$"):
        resume(state, **change)
    forced = batches(**change)
    forced.force = True
    forced.load_state_dict(state)
    # The position is kept in windows.
    assert real(ids_of(forced)) == real(epochs_of(**change)[0])[80:]


def test_a_position_of_an_earlier_version_is_refused():
    with pytest.raises(UserError, match="earlier version"):
        batches().load_state_dict({"epoch": 1, "sample_in_epoch": 16, "num_canonical_nodes": 16})


def test_workers_are_sent_no_position(split):
    dataset, dealer = open_split(split)
    next(iter(dealer))
    copy = pickle.loads(pickle.dumps(dataset))
    chosen = next(iter(batches()))
    assert np.array_equal(copy[chosen]["sequence"], dataset[chosen]["sequence"])
    assert "_batches" in vars(copy)
    assert vars(copy)["_batches"] is None


def test_a_moved_dataset_keeps_its_order(split, tmp_path):
    moved = Path(shutil.copytree(split, tmp_path / "elsewhere"))
    ours = [batch["sequence"].tobytes() for batch in load(moved)]
    assert ours == [batch["sequence"].tobytes() for batch in load(split)]


def test_a_damaged_letter_is_no_base(split, tmp_path):
    """Its eighth bit must not be taken for anything else."""
    moved = Path(shutil.copytree(split, tmp_path / "damaged"))
    letters = Shards(split).gather(np.array([100]))["sequence"][0].tobytes()
    damaged = bytes([letters[0] | 128]) + letters[1:]
    for file in moved.glob("*.mds"):
        file.write_bytes(file.read_bytes().replace(letters, damaged))
    with pytest.raises(UserError, match=r"sample 100 is damaged: byte \d+ at position 0 .*verify"):
        [batch["sequence"] for batch in load(moved)]
