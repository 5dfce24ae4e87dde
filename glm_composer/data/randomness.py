"""SplitMix64's finaliser for numpy arrays, which hashes; draws.py has the streams of a run."""

import numpy as np
from numpy.typing import NDArray

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)

Keys = NDArray[np.uint64]


def mix(x: Keys) -> Keys:
    """SplitMix64's finaliser, a bijection of uint64 [...]; wraps around modulo 2**64."""
    x = x ^ (x >> _S30)
    # From here on it is ours: in place, a large array takes two thirds of the time.
    x *= _MIX_1
    x ^= x >> _S27
    x *= _MIX_2
    x ^= x >> _S31
    return x
