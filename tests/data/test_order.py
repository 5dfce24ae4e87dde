"""The order of an epoch: a permutation, Streaming's wherever that neither repeats nor drops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming.base.partition import get_partitions
from streaming.base.shuffle import get_shuffle

from glm_composer.data.order import BLOCK, CANONICAL_NODES, epoch_order

shapes = st.lists(st.integers(1, 400), min_size=1, max_size=12)


def stock_order(counts, seed, epoch, nodes, shuffle=True):
    """The order of Streaming's one rank, as far as it is free of repeats."""
    total = sum(counts)
    where = get_partitions("orig", total, nodes, 1, 1, 1, 1).ravel()[: total // nodes * nodes]
    if not shuffle:
        return where
    return get_shuffle("py1br", np.array(counts), nodes, seed, epoch, BLOCK)[where]


@given(counts=shapes, seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 3), data=st.data())
@settings(max_examples=60, deadline=None, database=None)
def test_a_permutation_that_any_rank_takes_its_turns_of(counts, seed, epoch, data):
    order = epoch_order(np.array(counts), seed, epoch)
    total = sum(counts)
    assert sorted(order.tolist()) == list(range(total))
    assert order.dtype == np.uint32
    first = data.draw(st.integers(0, total + 3))
    stride = data.draw(st.integers(1, 130))
    piece = epoch_order(np.array(counts), seed, epoch, first=first, stride=stride)
    assert piece.tolist() == order[first::stride].tolist()


@given(counts=shapes, seed=st.integers(0, 2**40), epoch=st.integers(0, 3), shuffle=st.booleans())
@settings(max_examples=60, deadline=None, database=None)
def test_is_the_stock_order(counts, seed, epoch, shuffle):
    nodes = min(CANONICAL_NODES, sum(counts))
    expected = stock_order(counts, seed, epoch, nodes, shuffle)
    ours = epoch_order(np.array(counts), seed, epoch, shuffle=shuffle)
    assert ours[: len(expected)].tolist() == expected.tolist()


@pytest.mark.parametrize("counts", [[900_000, 700_001], [40_000] * 45])
def test_is_the_stock_order_where_parts_have_several_blocks(counts, monkeypatch):
    # 64 parts of so many samples would take a while; smaller blocks do as well.
    monkeypatch.setattr("glm_composer.data.order.BLOCK", 1 << 14)
    monkeypatch.setitem(globals(), "BLOCK", 1 << 14)
    expected = stock_order(counts, 17, 1, CANONICAL_NODES)
    ours = epoch_order(np.array(counts), 17, 1)
    assert np.array_equal(ours[: len(expected)], expected)


def test_neighbours_come_from_all_over():
    order = epoch_order(np.full(8, 80_000), 1, 0)
    first = order[:64].astype(int)
    # One of each canonical node, all of which are different parts of the data.
    assert len(set(first // 10_000)) == 64
