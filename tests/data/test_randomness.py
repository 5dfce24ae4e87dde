"""Stateless random numbers: the published sequence, purity, uniformity and independence."""

import numpy as np
import pytest
from scipy import stats

from glm_composer.data.randomness import draw, draw_at, draw_uint16, mix, stream_keys

IDS = np.arange(20_000)
BASE = {"seed": 17, "epoch": 0, "ids": IDS, "purpose": 1}


def uniform(keys, count=1):
    return draw(keys, count) * 2.0**-64


def test_is_the_published_splitmix64():
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert draw(np.array([1234567], dtype=np.uint64), 5).tolist() == [published]


def test_any_position_can_be_drawn_alone():
    keys = stream_keys(3, 1, np.arange(7), 2)
    whole = draw(keys, 50)
    rows, columns = np.indices(whole.shape)
    alone = draw_at(keys[rows.ravel()], columns.ravel())
    assert np.array_equal(alone.reshape(whole.shape), whole)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 510])
def test_four_positions_share_a_number(count):
    keys = stream_keys(3, 1, np.arange(7), 2)
    pieces = draw_uint16(keys, count)
    numbers = draw(keys, (count + 3) // 4)
    expected = [
        [int(row[at // 4]) >> 16 * (at % 4) & 0xFFFF for at in range(count)] for row in numbers
    ]
    assert pieces.dtype == np.uint16
    assert pieces.tolist() == expected


def test_keys_ignore_the_batch_they_are_made_in():
    ids = np.array([5, 0, 19_999, 3, 3])
    whole = stream_keys(17, 2, IDS, 1)
    assert np.array_equal(stream_keys(17, 2, ids, 1), whole[ids])
    assert np.array_equal(stream_keys(17, 2, ids[:1], 1), whole[[5]])


def test_the_global_state_does_not_matter():
    first = draw(stream_keys(**BASE), 2)
    np.random.seed(99)  # noqa: NPY002 - the global state is the point
    assert np.array_equal(draw(stream_keys(**BASE), 2), first)


def test_no_two_streams_share_a_key():
    grid = [
        stream_keys(seed, epoch, np.arange(500), purpose)
        for seed in (0, 1, 2, 17, -1)
        for epoch in range(6)
        for purpose in range(6)
    ]
    assert len(np.unique(np.concatenate(grid))) == 500 * 5 * 6 * 6


def test_seeds_may_be_any_integer():
    assert np.array_equal(stream_keys(-1, 0, IDS[:5], 1), stream_keys(2**64 - 1, 0, IDS[:5], 1))


def test_numbers_are_uniform():
    numbers = draw(stream_keys(**BASE), 16)
    for shift in range(0, 64, 8):
        octets = (numbers >> np.uint64(shift)).astype(np.uint8).ravel()
        counts = np.bincount(octets, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-4
    pieces = draw_uint16(stream_keys(**BASE), 64)
    for lane in range(4):
        counts = np.bincount(pieces[:, lane::4].ravel() >> 8, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-4


def test_the_first_number_is_uniform_over_ids():
    # Consecutive ids are what a training set has, and the strand looks at one bit only.
    numbers = draw(stream_keys(**BASE), 1)[:, 0]
    for bit in range(64):
        ones = int((numbers >> np.uint64(bit) & np.uint64(1)).sum())
        assert abs(ones - len(IDS) / 2) < 4.5 * np.sqrt(len(IDS)) / 2


@pytest.mark.parametrize(
    "change", [{"seed": 18}, {"epoch": 1}, {"purpose": 2}, {"ids": IDS + 1}, {"ids": IDS + 2**32}]
)
def test_streams_are_independent(change):
    one, other = stream_keys(**BASE), stream_keys(**{**BASE, **change})
    assert_independent(draw(one, 4).ravel(), draw(other, 4).ravel())


def test_positions_and_the_second_stream_are_independent():
    keys = stream_keys(**BASE)
    numbers = draw(keys, 4)
    for at in range(1, 4):
        assert_independent(numbers[:, 0], numbers[:, at])
    # Corruption draws from the stream of `mix(keys)` beside that of `keys`.
    assert_independent(numbers.ravel(), draw(mix(keys), 4).ravel())


def assert_independent(one, other):
    n = len(one)
    assert abs(np.corrcoef(one * 2.0**-64, other * 2.0**-64)[0, 1]) < 4.5 / np.sqrt(n)
    # Every bit of one agrees with the same bit of the other half of the time.
    differing = np.unpackbits((one ^ other).view(np.uint8).reshape(n, 8), axis=1).sum(axis=0)
    assert np.all(np.abs(differing - n / 2) < 4.5 * np.sqrt(n) / 2)
