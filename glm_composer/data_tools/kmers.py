"""Windows as sets of k-mers: all of them, or a fixed fraction of all there are (FracMinHash).

A k-mer and its reverse complement are one, so strands do not count. Whether a k-mer is in the
fraction depends on the k-mer alone, so two windows keep the same part of what they share (Irber
et al. 2022). Written here rather than taken from sourmash or datasketch: these sketch one sequence
a call, where a dataset has millions of short ones, and a batch of windows is a few array
operations.
"""

import numpy as np
from numpy.typing import NDArray

from glm_composer.sequence import FIRST_BASE, Bytes, encode

# Fills 32 bits. Two unrelated windows of 512 bases share one with odds of 1 to 10,000; of two that
# differ in a share d of their bases, (1 - d)**16 of the k-mers of one are in the other.
K = 16

Kmers = NDArray[np.uint32]


def canonical_kmers(sequence: Bytes) -> tuple[Kmers, NDArray[np.bool_]]:
    """Return the k-mer at every position, as the smaller of both strands.

    Args:
        sequence: uint8 ASCII [n, length], any case.

    Returns:
        uint32 [n, length - K + 1], scrambled (a bijection of the k-mer, uniform for any fixed
        threshold), and bool of the same shape, false where the k-mer holds anything but ACGT.
    """
    n, length = sequence.shape
    if length < K:
        return np.empty((n, 0), dtype=np.uint32), np.empty((n, 0), dtype=bool)
    ids = encode(sequence)
    unknown = ids < FIRST_BASE
    # a c g t are 0 1 2 3, and a complement is three minus it.
    forward = (ids - np.uint8(FIRST_BASE)).astype(np.uint32) & np.uint32(3)
    reverse = forward ^ np.uint32(3)
    for width in (1, 2, 4, 8):
        shift = np.uint32(2 * width)
        forward = forward[:, :-width] << shift | forward[:, width:]
        reverse = reverse[:, :-width] | reverse[:, width:] << shift
        unknown = unknown[:, :-width] | unknown[:, width:]
    return _scramble(np.minimum(forward, reverse)), ~unknown


def sketch(sequence: Bytes, scale: int) -> tuple[NDArray[np.int64], Kmers]:
    """Return the distinct k-mers of windows that are among the chosen one in `scale` of all.

    Args:
        sequence: uint8 ASCII [n, length], any case.
        scale: 1 keeps every k-mer.

    Returns:
        int64 [m], the window each is of, in order, and uint32 [m], the k-mers.
    """
    kmers, known = canonical_kmers(sequence)
    # Uniform, so the threshold chooses one in `scale`.
    row, column = np.nonzero(known & (kmers <= np.uint32(0xFFFFFFFF // scale)))
    # Windows and k-mers in one number, so that a single sort finds the distinct ones.
    keys = np.unique(row.astype(np.uint64) << np.uint64(32) | kmers[row, column])
    return (keys >> np.uint64(32)).astype(np.int64), keys.astype(np.uint32)


def _scramble(x: Kmers) -> Kmers:
    """MurmurHash3's 32-bit finaliser, a bijection (Appleby, public domain)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
