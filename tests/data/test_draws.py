"""Stateless random numbers: the published sequence, purity, uniformity and independence."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glm_composer.data import draws, randomness
from glm_composer.data.draws import PARTS, chosen, mix, remainder, set_back, stream_keys

IDS = torch.arange(20_000)
BASE = {"seed": 17, "epoch": 0, "ids": IDS, "purpose": 1}
WORD = 2**64 - 1
words = st.integers(0, WORD)


def unsigned(numbers):
    return numbers.numpy().view(np.uint64)


def draw(keys, count):
    return unsigned(draws.draw(keys, count))


def draw_uint16(keys, count):
    """What `chosen` compares with its limit."""
    return draw(keys, -(-count // 4)).view(np.uint16)[:, :count]


def finish(x):
    """SplitMix64's finaliser in Python's own integers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


@given(st.lists(words, min_size=1))
def test_mix_is_that_of_integers_and_of_numpy(numbers):
    given_ = np.array(numbers, dtype=np.uint64)
    found = unsigned(mix(torch.from_numpy(given_.view(np.int64))))
    assert found.tolist() == [finish(number) for number in numbers]
    assert np.array_equal(found, randomness.mix(given_))


@given(words, words, words, st.integers(0, 5))
def test_keys_are_those_of_integers(seed, epoch, sample, purpose):
    gamma = 0x9E3779B97F4A7C15
    start = seed
    for part in (epoch, purpose):
        start = finish(start + gamma & WORD) ^ part
    expected = finish(finish(start + gamma & WORD) ^ sample * gamma & WORD)
    signed = torch.tensor([[draws.signed(epoch)], [draws.signed(sample)]])
    for each in (purpose, torch.tensor([[purpose]])):
        assert unsigned(stream_keys(seed, signed[0], signed[1], each)).ravel() == [expected]


@given(words, st.integers(1, 2**62))
def test_remainders_are_of_unsigned_numbers(number, divisor):
    found = remainder(torch.tensor([draws.signed(number)]), torch.tensor(divisor))
    assert found.tolist() == [number % divisor]


@pytest.mark.parametrize("parts", [0, 1, 9830, PARTS // 2, PARTS - 1])
def test_chosen_positions_are_those_of_few_random_bits(parts):
    keys = stream_keys(**BASE)[:50]
    expected = draw_uint16(keys, 301) < parts
    assert np.array_equal(chosen(keys, 301, parts).numpy(), expected)
    column = torch.full((50, 1), parts)
    column[7:] = 40_000
    expected[7:] = draw_uint16(keys, 301)[7:] < 40_000
    assert np.array_equal(chosen(keys, 301, column).numpy(), expected)


def test_keys_can_be_set_back():
    keys, places = stream_keys(**BASE)[:50], torch.arange(0, 5000, 100)
    later = draws.draw_at(set_back(keys, places), places + 7)
    assert torch.equal(later, draws.draw_at(keys, torch.full((50,), 7)))


def test_is_the_published_splitmix64():
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert draw(torch.tensor([1234567]), 5).tolist() == [published]


def test_any_position_can_be_drawn_alone():
    keys = stream_keys(3, 1, torch.arange(7), 2)
    whole = draw(keys, 50)
    rows, columns = np.indices(whole.shape)
    alone = unsigned(draws.draw_at(keys[rows.ravel()], torch.from_numpy(columns.ravel())))
    assert np.array_equal(alone.reshape(whole.shape), whole)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 510])
def test_four_positions_share_a_number(count):
    keys = stream_keys(3, 1, torch.arange(7), 2)
    pieces = draw_uint16(keys, count)
    numbers = draw(keys, (count + 3) // 4)
    expected = [
        [int(row[at // 4]) >> 16 * (at % 4) & 0xFFFF for at in range(count)] for row in numbers
    ]
    assert pieces.dtype == np.uint16
    assert pieces.tolist() == expected


def test_keys_ignore_the_batch_they_are_made_in():
    ids = torch.tensor([5, 0, 19_999, 3, 3])
    whole = stream_keys(17, 2, IDS, 1)
    assert torch.equal(stream_keys(17, 2, ids, 1), whole[ids])
    assert torch.equal(stream_keys(17, 2, ids[:1], 1), whole[5:6])


def test_the_global_state_does_not_matter():
    first = draw(stream_keys(**BASE), 2)
    np.random.seed(99)  # noqa: NPY002 - the global state is the point
    assert np.array_equal(draw(stream_keys(**BASE), 2), first)


def test_no_two_streams_share_a_key():
    grid = [
        stream_keys(seed, epoch, torch.arange(500), purpose)
        for seed in (0, 1, 2, 17, -1)
        for epoch in range(6)
        for purpose in range(6)
    ]
    assert len(torch.cat(grid).unique()) == 500 * 5 * 6 * 6


def test_seeds_may_be_any_integer():
    assert torch.equal(stream_keys(-1, 0, IDS[:5], 1), stream_keys(2**64 - 1, 0, IDS[:5], 1))


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
