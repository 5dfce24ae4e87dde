"""Random numbers that are a pure function of (seed, epoch, sample id) and a position.

SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a key names a stream, and its n-th number is the
mix of key + n x gamma. Whole batches are drawn at once, and a sample gets the same numbers
whatever its batch, worker, rank or the interruption before it. Integer arithmetic only, so that
any device can repeat it bit for bit.
"""

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)

Keys = NDArray[np.uint64]


def mix(x: Keys) -> Keys:
    """SplitMix64's finaliser, a bijection of uint64 [...]; wraps around modulo 2**64."""
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


def stream_keys(
    seed: int, epoch: int | NDArray[np.int64], ids: NDArray[np.int64], purpose: int
) -> Keys:
    """Keys uint64 [batch] of the streams of samples `ids` [batch] in an epoch.

    Args:
        seed: of the run.
        epoch: 0-based, of all samples or [batch] of each.
        ids: sample ids.
        purpose: a small number that keeps the streams of different uses apart.
    """
    with np.errstate(over="ignore"):
        start = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
        for part in (epoch, purpose):
            start = mix(start + _GAMMA) ^ np.asarray(part).astype(np.uint64)
        return mix(mix(start + _GAMMA) ^ ids.astype(np.uint64) * _GAMMA)


def draw(keys: Keys, count: int) -> Keys:
    """The first `count` numbers of each stream: uint64 [batch, count]."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64) * _GAMMA
        return mix(keys[:, None] + steps)


def draw_at(keys: Keys, positions: NDArray[np.int64]) -> Keys:
    """The number at `positions` [m] of the streams `keys` [m], one each: uint64 [m]."""
    with np.errstate(over="ignore"):
        return mix(keys + (positions.astype(np.uint64) + np.uint64(1)) * _GAMMA)


def draw_uint16(keys: Keys, count: int) -> NDArray[np.uint16]:
    """Uniform uint16 [batch, count]: four positions share a number of the stream."""
    numbers = draw(keys, -(-count // 4)).astype("<u8", copy=False)
    return numbers.view("<u2")[:, :count]
