"""Random numbers that are a pure function of (seed, epoch, sample id) and a position.

SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a key names a stream, and its n-th number is the
mix of key + n x gamma. Whole batches are drawn at once, and a sample gets the same numbers
whatever its batch, rank, device or the interruption before it. Integer arithmetic only, so that
every device repeats it bit for bit; torch has no arithmetic of uint64, so all of it is int64,
whose sums and products wrap around to the same bits.
"""

from typing import Any, overload

import torch
from torch import Tensor


def signed(word: int) -> int:
    """Return the int64 with the bits of `word` modulo 2**64."""
    return (word + 2**63) % 2**64 - 2**63


_GAMMA = signed(0x9E3779B97F4A7C15)
_ROUNDS = ((30, signed(0xBF58476D1CE4E5B9)), (27, signed(0x94D049BB133111EB)), (31, 1))
# Moves each of a number's four uint16 into the range of int16, in the same order.
_MIDDLE = signed(0x8000800080008000)
# `chosen` decides by 16 random bits: a probability is so many of this.
PARTS = 1 << 16


@overload
def mix(x: int) -> int: ...
@overload
def mix(x: Tensor) -> Tensor: ...
def mix(x: int | Tensor) -> int | Tensor:
    """SplitMix64's finaliser, a bijection of int64 [...]; an integer is taken modulo 2**64."""
    if isinstance(x, int):
        for shift, factor in _ROUNDS:
            x %= 2**64
            x = (x ^ x >> shift) * factor
        return signed(x)
    for shift, factor in _ROUNDS:
        # A shift of int64 brings the sign along, which is masked off.
        shifted = x >> shift
        shifted &= (1 << 64 - shift) - 1
        x = shifted.bitwise_xor_(x)
        if factor != 1:
            x *= factor
    return x


def stream_keys(seed: int, epoch: int | Tensor, ids: Tensor, purpose: int | Tensor) -> Tensor:
    """Keys int64 [batch] of the streams of samples `ids` [batch] in an epoch.

    Args:
        seed: of the run, taken modulo 2**64.
        epoch: 0-based, of all samples or int64 [batch] of each.
        ids: sample ids, int64.
        purpose: a small number that keeps the streams of different uses apart; or several of
            them, int64 [purposes, 1], for keys [purposes, batch].
    """
    # As long as the parts are single numbers, no tensor: its overhead is what keys cost.
    start: Any = seed
    for part in (epoch, purpose):
        start = mix(start + _GAMMA) ^ part
    return mix(mix(start + _GAMMA) ^ ids * _GAMMA)


def draw(keys: Tensor, count: int) -> Tensor:
    """The first `count` numbers of each stream: int64 [batch, count], all 64 bits random."""
    return draw_at(keys[:, None], torch.arange(count, device=keys.device))


def draw_at(keys: Tensor, positions: Tensor) -> Tensor:
    """The number at `positions` of the streams `keys`, elementwise: int64."""
    return mix((positions + 1).mul_(_GAMMA) + keys)


def set_back(keys: Tensor, places: Tensor) -> Tensor:
    """Keys whose number at position p is that of `keys` at p - `places`, elementwise: int64."""
    return keys - places * _GAMMA


def remainder(numbers: Tensor, divisor: int | Tensor) -> Tensor:
    """Remainders int64 of numbers int64 read as uint64, by a positive `divisor`."""
    half = numbers >> 1 & 2**63 - 1
    return (half % divisor * 2 + (numbers & 1)) % divisor


def chosen(keys: Tensor, count: int, parts: int | Tensor) -> Tensor:
    """Choose positions independently: bool [batch, count].

    Four positions share a number of the stream, 16 bits each.

    Args:
        keys: int64 [batch].
        count: positions of each.
        parts: each position's probability times `PARTS`, below `PARTS`; or int64 [batch, 1].
    """
    numbers = draw(keys, -(-count // 4)).bitwise_xor_(_MIDDLE)
    limit = parts - PARTS // 2
    if isinstance(limit, Tensor):
        limit = limit.to(torch.int16)
    return numbers.view(torch.int16)[:, :count] < limit
