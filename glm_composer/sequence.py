"""Bases and ids: GPN's seven tokens, soft masks and reverse complements, all vectorised.

The ground floor: numpy only, and it knows nothing above it. A sequence is a uint8 array (or bytes)
of ASCII letters in which **case is data** (lower case = soft-masked), or a uint8 array of ids.
Every function is one table look-up over the whole array, whatever its shape.

Ids: [PAD]=0 [MASK]=1 [UNK]=2 a=3 c=4 g=5 t=6. N and every other IUPAC code are [UNK].
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

TOKENS = ("[PAD]", "[MASK]", "[UNK]", "a", "c", "g", "t")
PAD, MASK, UNK, A, C, G, T = range(7)
VOCAB_SIZE = len(TOKENS)
FIRST_BASE = A
ALPHABET_HASH = hashlib.sha256("|".join(TOKENS).encode()).hexdigest()[:16]

IUPAC = b"ACGTURYSWKMBDHVN"
_COMPLEMENTS = b"TGCAAYRSWMKVHDBN"


def _table(default: int, pairs: dict[int, int]) -> Bytes:
    table = np.full(256, default, dtype=np.uint8)
    for key, value in pairs.items():
        table[key] = value
    return table


_ID_OF_ASCII = _table(
    UNK, {ord(c): A + i for i, pair in enumerate(("aA", "cC", "gG", "tT")) for c in pair}
)
_ASCII_OF_ID = np.frombuffer(b"-?NACGT", dtype=np.uint8)
_COMPLEMENT_OF_ASCII = np.arange(256, dtype=np.uint8)
for _upper, _complement in zip(IUPAC, _COMPLEMENTS, strict=True):
    _COMPLEMENT_OF_ASCII[_upper] = _complement
    _COMPLEMENT_OF_ASCII[_upper | 0x20] = _complement | 0x20
_COMPLEMENT_OF_ID = np.array([PAD, MASK, UNK, T, G, C, A], dtype=np.uint8)
# 1 for every letter that is none of acgt, in any case.
IS_UNKNOWN = (_ID_OF_ASCII == UNK).astype(np.uint8)
IS_SOFT_MASKED = (np.arange(256) >= ord("a")).astype(np.uint8)
_IS_IUPAC = _table(0, {code | case: 1 for code in IUPAC for case in (0, 0x20)})


def look_up(table: Bytes, values: Bytes) -> Bytes:
    """Entries of a table uint8 [256] at values uint8 [...], as a new array uint8 [...].

    Twice as fast as numpy's `take`, which first makes eight bytes of every value.
    """
    flat = bytearray(np.ascontiguousarray(values)).translate(table.tobytes())
    return np.frombuffer(flat, dtype=np.uint8).reshape(values.shape)


def as_ascii(sequence: str | bytes | Bytes) -> Bytes:
    """View a string, bytes or uint8 array as a uint8 array of ASCII letters."""
    if isinstance(sequence, str):
        sequence = sequence.encode("ascii")
    if isinstance(sequence, bytes | bytearray | memoryview):
        return np.frombuffer(sequence, dtype=np.uint8)
    return sequence


def encode(sequence: str | bytes | Bytes) -> Bytes:
    """ASCII letters [...] -> ids uint8 [...]; case is ignored, anything outside acgt is [UNK]."""
    return look_up(_ID_OF_ASCII, as_ascii(sequence))


def decode(ids: Bytes, soft_masked: NDArray[np.bool_] | None = None) -> Bytes:
    """Ids uint8 [...] -> ASCII uint8 [...], lower case where `soft_masked` [...].

    [UNK] decodes to N, [PAD] to '-' and [MASK] to '?'.
    """
    letters = np.take(_ASCII_OF_ID, ids)
    if soft_masked is not None:
        # The sixth bit of a letter is its case.
        letters |= soft_masked.astype(np.uint8) << np.uint8(5)
    return letters


def is_soft_masked(sequence: str | bytes | Bytes) -> NDArray[np.bool_]:
    """ASCII letters [...] -> bool [...], true where the letter is lower case."""
    return as_ascii(sequence) >= ord("a")


def is_iupac(sequence: str | bytes | Bytes) -> NDArray[np.bool_]:
    """ASCII letters [...] -> bool [...], true for the sixteen IUPAC nucleotide codes, any case."""
    return look_up(_IS_IUPAC, as_ascii(sequence)).view(bool)


def reverse_complement(sequence: str | bytes | Bytes) -> Bytes:
    """Reverse complement of ASCII letters [..., length] along the last axis; case travels."""
    return look_up(_COMPLEMENT_OF_ASCII, as_ascii(sequence)[..., ::-1])


def reverse_complement_ids(ids: Bytes) -> Bytes:
    """Reverse complement of ids [..., length] along the last axis; special ids stay."""
    return np.take(_COMPLEMENT_OF_ID, ids[..., ::-1])
