"""Windows that occur more than once: hashes that ignore case and strand, and who keeps which.

Two windows are duplicates where a model sees the same bases: case does not count, nor the strand,
and everything but ACGT counts as N.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.randomness import mix
from glm_composer.sequence import Bytes, look_up

Hashes = NDArray[np.uint64]

# One bit a base, so that the bits of any stretch, read backwards, are its reverse complement;
# N, which is all four, is its own.
_N = 15
_NIBBLES = np.full(256, _N, dtype=np.uint8)
for _place, _base in enumerate(b"ACGT"):
    _NIBBLES[[_base, _base | 0x20]] = 1 << _place
_BACKWARDS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)), bitorder="little")
_WORD = 16  # bases to 64 bits

# Bytes worked on at a time: what stays in a core's cache is several times faster.
_BLOCK_BYTES = 1 << 20
# Keys sorted at a time.
_BUCKET = 1 << 22


def window_hashes(sequence: Bytes, lengths: NDArray[np.int64] | None = None) -> Hashes:
    """Hash windows so that copies of one another, on either strand and in any case, hash alike.

    128 bits: the odds that any two of n different windows collide are about n**2 / 2**129, 4e-24
    for 50 million. Not made to withstand windows crafted to collide.

    Args:
        sequence: uint8 ASCII [n, length].
        lengths: int64 [n], how many letters of each window count, where that varies.

    Returns:
        uint64 [n, 2]. Windows of different lengths can be told apart as well.
    """
    if lengths is not None:
        found = np.empty((len(sequence), 2), dtype=np.uint64)
        for length in np.unique(lengths):
            here = np.flatnonzero(lengths == length)
            found[here] = window_hashes(sequence[here, :length])
        return found
    n, length = sequence.shape
    out = np.empty((n, 2), dtype=np.uint64)
    rows = max(1, _BLOCK_BYTES // max(length, 1))
    keys = _word_keys(-(-length // _WORD))
    for first in range(0, n, rows):
        words = _smaller_strand(sequence[first : first + rows])
        for half in range(2):
            mixed = mix(words + keys[half])
            out[first : first + rows, half] = mix(mixed.sum(axis=1) + np.uint64(length))
    return out


def _smaller_strand(sequence: Bytes) -> NDArray[np.uint64]:
    """Windows uint8 ASCII [n, length] -> the smaller of both strands, uint64 [n, words]."""
    nibbles = look_up(_NIBBLES, sequence)
    forward = _pack(nibbles)
    if not forward.shape[1]:
        return forward
    whole = sequence.shape[1] % _WORD == 0
    backwards = forward if whole else _pack(nibbles, filled_from_the_end=True)
    # The first word alone spares half of the windows the rest.
    maybe = np.flatnonzero(_backwards(backwards[:, -1:])[:, 0] <= forward[:, 0])
    reverse, kept = _backwards(backwards[maybe]), forward[maybe]
    rows = np.arange(len(maybe))
    # Where strands are alike throughout, this is the first word, and either strand will do.
    differs = np.argmax(kept != reverse, axis=1)
    kept_first = kept[rows, differs] <= reverse[rows, differs]
    forward[maybe] = np.where(kept_first[:, None], kept, reverse)
    return forward


def _pack(nibbles: Bytes, filled_from_the_end: bool = False) -> NDArray[np.uint64]:
    """Nibbles uint8 [n, length] -> uint64 [n, words], the last or the first filled with zeros.

    The upper nibbles of a word are its last eight bases. Bits read backwards from the end of a row
    are then the nibbles from the end of it, as they are in any order that mirrors itself.
    """
    n, length = nibbles.shape
    missing = -length % _WORD
    if missing:
        before = missing if filled_from_the_end else 0
        padded = np.zeros((n, length + missing), dtype=np.uint8)
        padded[:, before : before + length] = nibbles
        nibbles = padded
    halves = nibbles.view("<u8").astype(np.uint64, copy=False)
    return halves[:, ::2] | halves[:, 1::2] << np.uint64(4)


def _backwards(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Words uint64 [n, words] -> the bits of every row in the opposite order."""
    backwards = words[:, ::-1].copy().byteswap(inplace=True)
    return look_up(_BACKWARDS, backwards.view(np.uint8)).view(np.uint64)


def _word_keys(words: int) -> NDArray[np.uint64]:
    """Return a number for each place of a word and each half of a hash: uint64 [2, words]."""
    counts = np.arange(1, 2 * words + 1, dtype=np.uint64).reshape(words, 2).T
    return mix(counts * np.uint64(0x9E3779B97F4A7C15))


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Which windows to keep, so that none is there twice.

    Attributes:
        keep: bool [n].
        within: int64 [ranks], windows of each split that go because their own split has them.
        across: int64 [ranks], windows of each split that go because another split has them.
    """

    keep: NDArray[np.bool_]
    within: NDArray[np.int64]
    across: NDArray[np.int64]


def find_duplicates(hashes: Hashes, split_rank: NDArray[np.integer]) -> Duplicates:
    """Choose one window of each set of duplicates: of the lowest rank, and the first one there.

    Beside its arguments and results it holds the keys of a few million windows at a time.

    Args:
        hashes: uint64 [n, 2] of `window_hashes`.
        split_rank: int [n], the rank of each window's split, from 0; held-out splits have lower
            ranks than train, so that they keep what train has too.
    """
    n = len(hashes)
    winner = np.arange(n)
    # Hashes are uniform, so their upper bits deal windows to buckets of about equal size.
    bits = max(0, int(n // _BUCKET).bit_length())
    bucket_of = (hashes[:, 0] >> np.uint64(64 - bits)) if bits else None
    for bucket in range(1 << bits):
        rows = np.arange(n) if bucket_of is None else np.flatnonzero(bucket_of == bucket)
        rows = _repeated(rows, hashes[rows, 0])
        # Stable, so that of equals the first comes first.
        rows = rows[np.lexsort((split_rank[rows], hashes[rows, 1], hashes[rows, 0]))]
        starts = np.ones(len(rows), dtype=bool)
        starts[1:] = (hashes[rows[1:]] != hashes[rows[:-1]]).any(axis=1)
        winner[rows] = rows[starts][np.cumsum(starts) - 1]
    keep = winner == np.arange(n)
    ranks = int(split_rank.max(initial=-1)) + 1
    same = split_rank[winner] == split_rank
    return Duplicates(
        keep=keep,
        within=np.bincount(split_rank[~keep & same], minlength=ranks),
        across=np.bincount(split_rank[~keep & ~same], minlength=ranks),
    )


def _repeated(rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows [n] whose keys [n] occur more than once, in order: few, so what follows is cheap."""
    order = np.argsort(keys, kind="stable")
    alike = keys[order[1:]] == keys[order[:-1]]
    repeated = np.zeros(len(rows), dtype=bool)
    repeated[order[1:][alike]] = repeated[order[:-1][alike]] = True
    return rows[repeated]
