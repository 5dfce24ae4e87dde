"""Random choices of a conversion: pure functions of a seed and of names, on any machine."""

import hashlib

import numpy as np


def stable_hash(*parts: object) -> int:
    """Return a uniform 64-bit hash of a few strings or numbers, the same for ever."""
    digest = hashlib.sha256()
    for part in parts:
        text = str(part).encode()
        # With its length, or ("a", "bc") and ("ab", "c") would be one.
        digest.update(len(text).to_bytes(8, "little") + text)
    return int.from_bytes(digest.digest()[:8], "little")


def generator(seed: int, purpose: str, contig: str) -> np.random.Generator:
    """Return the random numbers of one contig for one purpose.

    They depend on nothing else: not on the contigs before it, nor on which process asks.
    """
    return np.random.Generator(np.random.PCG64(stable_hash(seed, purpose, contig)))
