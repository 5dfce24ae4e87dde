"""The training stream: the stock reader's order and bytes, ranks, workers and resumption."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from streaming import StreamingDataset
from torch.utils.data import DataLoader

from glm_composer.data.dataset import WindowDataset
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError

BATCH = 16
# 700 windows hold 43 whole batches.
EPOCH = 688


def open_split(path, batch=BATCH, **settings):
    return WindowDataset(path, batch, batch, **{"seed": 11, **settings})


def ids_of(batches):
    return [batch["id"].tolist() for batch in batches]


def epoch_ids(path, epochs=1, **settings):
    dataset = open_split(path, **settings)
    return [ids_of(dataset) for _ in range(epochs)]


def flat(batches):
    return [each for batch in batches for each in batch]


@pytest.mark.parametrize(
    ("settings", "nodes", "size"),
    [
        ({}, 16, EPOCH),
        ({"shuffle": False}, 16, EPOCH),
        ({"batch": 48}, 16, 672),
        ({"batch": 128}, 64, 640),
        ({"batch": 15}, 1, 690),
        ({"limit": 300}, 16, 288),
        ({"limit": 50}, 16, 48),
    ],
)
def test_samples_are_the_stock_readers_in_order(split, tmp_path, settings, nodes, size):
    # The same bytes under another name: two live datasets must not share a directory.
    copy = tmp_path / "stock"
    copy.mkdir()
    for file in split.iterdir():
        (copy / file.name).symlink_to(file)
    ours, shards = open_split(split, **settings), Shards(split)
    assert ours.epoch_samples == size
    stock = StreamingDataset(
        local=str(copy),
        batch_size=settings.get("batch", BATCH),
        shuffle=settings.get("shuffle", True),
        shuffle_seed=11,
        num_canonical_nodes=nodes,
        epoch_size=size,
        sampling_method="fixed" if "limit" in settings else "balanced",
    )
    for epoch in range(2):
        batches, samples = list(ours), list(stock)
        assert len(samples) == size
        assert len(batches) == len(ours) == size // settings.get("batch", BATCH)
        assert {batch["epoch"] for batch in batches} == {epoch}
        sequences = np.concatenate([batch["sequence"] for batch in batches])
        assert sequences.tobytes() == b"".join(each["sequence"].tobytes() for each in samples)
        rows = shards.gather(np.concatenate([batch["id"] for batch in batches]))
        for name in ("contig", "start", "strand"):
            assert rows[name].tolist() == [int(each[name]) for each in samples]


def test_batches_are_whole_and_typed(split):
    for batch in open_split(split):
        assert batch["sequence"].shape == (BATCH, 512)
        assert batch["sequence"].dtype == np.uint8
        assert batch["id"].shape == (BATCH,)
        assert batch["id"].dtype == np.int64


def test_no_sample_twice_in_an_epoch_and_a_new_order_in_the_next(split):
    first, second = epoch_ids(split, 2)
    assert len(set(flat(first))) == len(set(flat(second))) == EPOCH
    assert first != second
    # The few left over differ, so that in time every window is seen.
    assert set(flat(first)) != set(flat(second))


def test_order_is_the_seeds(split):
    assert epoch_ids(split) == epoch_ids(split)
    assert epoch_ids(split) != epoch_ids(split, seed=12)


def test_unshuffled_windows_of_one_canonical_node_ascend(split):
    order = flat(epoch_ids(split, shuffle=False, limit=50, batch=15)[0])
    assert order == sorted(order)
    shuffled = flat(epoch_ids(split, limit=50, batch=15)[0])
    assert shuffled != order
    assert sorted(shuffled) == order


@pytest.mark.parametrize(("limit", "size"), [(50, 48), (300, 288)])
def test_a_limit_takes_the_same_windows_every_epoch(split, limit, size):
    epochs = epoch_ids(split, 3, limit=limit)
    assert len({frozenset(flat(epoch)) for epoch in epochs}) == 1
    assert len(set(flat(epochs[0]))) == len(flat(epochs[0])) == size
    assert epochs[0] != epochs[1]


def test_a_limit_beyond_the_split_takes_what_there_is(split):
    assert open_split(split, limit=10_000).epoch_samples == EPOCH


@pytest.mark.parametrize(("batch", "limit"), [(701, None), (64, 63)])
def test_fewer_windows_than_a_batch(split, batch, limit):
    count = limit or 700
    expected = rf"train: {count} windows, fewer than global_train_batch_size \({batch}\)$"
    with pytest.raises(UserError, match=expected):
        open_split(split, batch=batch, limit=limit)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_nothing(split, workers):
    loader = DataLoader(
        open_split(split), batch_size=None, num_workers=workers, persistent_workers=True
    )
    assert [ids_of(loader) for _ in range(2)] == epoch_ids(split, 2)


def resume(path, state, epochs=1, **settings):
    dataset = open_split(path, **settings)
    dataset.load_state_dict(state)
    return [ids_of(dataset) for _ in range(epochs)]


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("done", [1, 17, 39])
def test_resumes_in_mid_epoch(split, epoch, done):
    whole = epoch_ids(split, epoch + 2)
    dataset = open_split(split)
    for _ in range(epoch):
        list(dataset)
    running = iter(dataset)
    for _ in range(done):
        next(running)
    state = dataset.state_dict(done * BATCH, from_beginning=True)
    assert resume(split, state, 2) == [whole[epoch][done:], whole[epoch + 1]]


def test_resumes_a_resumed_run(split):
    whole = epoch_ids(split, 3)
    first = open_split(split)
    list(first)
    iter_first = iter(first)
    next(iter_first)
    second = open_split(split)
    second.load_state_dict(first.state_dict(5 * BATCH, from_beginning=True))
    running = iter(second)
    assert next(running)["id"].tolist() == whole[1][5]
    state = second.state_dict(6 * BATCH, from_beginning=True)
    assert resume(split, state, 2) == [whole[1][6:], whole[2]]
    # And once more, at the end of the epoch that was resumed.
    list(running)
    state = second.state_dict(0, from_beginning=True)
    assert resume(split, state) == [whole[2]]


def test_resumes_exactly_at_an_epochs_end(split):
    whole = epoch_ids(split, 3)
    dataset = open_split(split)
    for epoch in range(2):
        list(dataset)
        state = dataset.state_dict(0, from_beginning=True)
        assert state["epoch"] == epoch + 1
        assert resume(split, state) == [whole[epoch + 1]]
    # Asking does not disturb the run.
    assert ids_of(dataset) == whole[2]


def test_the_stock_state_would_repeat_an_epoch(split):
    dataset = open_split(split)
    list(dataset)
    stock = StreamingDataset.state_dict(dataset, 0, from_beginning=True)
    assert stock["epoch"] == 0
    assert resume(split, stock) == epoch_ids(split)


def test_resumes_after_the_last_batch_before_the_epoch_is_counted(split):
    dataset = open_split(split)
    list(dataset)
    state = dataset.state_dict(EPOCH, from_beginning=True)
    assert resume(split, state, 2) == [[], epoch_ids(split, 2)[1]]


def test_resumes_before_the_first_batch(split):
    state = open_split(split).state_dict(0, from_beginning=True)
    assert resume(split, state) == epoch_ids(split)


def test_resumes_with_workers(split):
    whole = epoch_ids(split, 2)
    dataset = open_split(split)
    list(dataset)
    state = dataset.state_dict(0, from_beginning=True)
    for each, expected in ((state, whole[1]), ({**state, "sample_in_epoch": 80}, whole[1][5:])):
        resumed = open_split(split)
        resumed.load_state_dict(each)
        loader = DataLoader(resumed, batch_size=None, num_workers=2)
        assert ids_of(loader) == expected


def read_ranks(path, state, batch, limit):
    dataset = WindowDataset(path, batch, batch // 2, seed=11, limit=limit)
    if state:
        dataset.load_state_dict(state)
    return [ids_of(dataset) for _ in range(2)]


@pytest.mark.parametrize(
    ("batch", "limit", "done"), [(16, None, 0), (48, None, 0), (16, 50, 0), (16, None, 5)]
)
def test_two_ranks_share_each_batch_of_one_rank(split, on_two_ranks, batch, limit, done):
    whole = epoch_ids(split, 3, batch=batch, limit=limit)
    state = None
    if done:
        # Interrupted in the second epoch of one rank, continued on two.
        dataset = open_split(split, batch=batch, limit=limit)
        list(dataset)
        next(iter(dataset))
        state = dataset.state_dict(done * batch, from_beginning=True)
        whole = [whole[1][done:], whole[2]]
    left, right = on_two_ranks(read_ranks, split, state, batch, limit)
    for epoch in range(2):
        assert not set(flat(left[epoch])) & set(flat(right[epoch]))
        both = [a + b for a, b in zip(left[epoch], right[epoch], strict=True)]
        assert {len(a) for a in left[epoch] + right[epoch]} == {batch // 2}
        assert [sorted(each) for each in both] == [sorted(each) for each in whole[epoch]]


def ask_for_states(path):
    dataset = WindowDataset(path, BATCH, BATCH // 2, seed=11)
    list(dataset)
    torch.distributed.barrier()
    return [dataset.state_dict(0, from_beginning=True)["epoch"] for _ in range(3000)]


def test_ranks_that_ask_at_once_get_the_same_state(split, on_two_ranks):
    # `next_epoch` is shared by the ranks of a node: none may change it in order to answer.
    left, right = on_two_ranks(ask_for_states, split)
    assert set(left) == set(right) == {1}


def test_a_directory_can_be_read_twice_at_once(split):
    first, second = iter(open_split(split)), iter(open_split(split))
    expected = epoch_ids(split)[0]
    for batch in expected[:3]:
        assert next(first)["id"].tolist() == next(second)["id"].tolist() == batch


def test_a_moved_dataset_keeps_its_order(split, tmp_path):
    moved = Path(shutil.copytree(split, tmp_path / "elsewhere"))
    assert epoch_ids(moved) == epoch_ids(split)
