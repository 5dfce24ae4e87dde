"""Bases, ids and strands against tables and loops written out by hand."""

import hashlib

import numpy as np
import pytest

from glm_composer.sequence import (
    ALPHABET_HASH,
    IUPAC,
    TOKENS,
    as_ascii,
    decode,
    encode,
    is_iupac,
    is_soft_masked,
    reverse_complement,
    reverse_complement_ids,
)

EVERY_BYTE = np.arange(256, dtype=np.uint8)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# What each code stands for (Cornish-Bowden 1985); the complement of a set is that of its members.
MEANING = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
PAIRED = {"A": "T", "C": "G", "G": "C", "T": "A"}


def complement_of(letter: str) -> str:
    if letter == "U":
        return "A"
    wanted = {PAIRED[base] for base in MEANING[letter]}
    return next(code for code, bases in MEANING.items() if set(bases) == wanted)


def as_text(letters: np.ndarray) -> str:
    return letters.tobytes().decode()


@pytest.fixture(scope="module")
def mixed() -> np.ndarray:
    """Every IUPAC code in both cases, at random: [40, 501]."""
    codes = np.frombuffer(IUPAC + IUPAC.lower(), dtype=np.uint8)
    return np.random.default_rng(0).choice(codes, (40, 501))


def test_ids_are_gpns():
    assert TOKENS == ("[PAD]", "[MASK]", "[UNK]", "a", "c", "g", "t")
    # Datasets carry this hash: another one makes every one of them unreadable.
    assert hashlib.sha256(b"[PAD]|[MASK]|[UNK]|a|c|g|t").hexdigest()[:16] == ALPHABET_HASH


def test_encode_knows_every_byte():
    naive = [{"a": 3, "c": 4, "g": 5, "t": 6}.get(chr(byte).lower(), 2) for byte in range(256)]
    ids = encode(EVERY_BYTE)
    assert ids.dtype == np.uint8
    assert ids.tolist() == naive


@pytest.mark.parametrize("given", ["gAtN", b"gAtN", bytearray(b"gAtN"), memoryview(b"gAtN")])
def test_strings_and_bytes_are_taken_too(given):
    assert encode(given).tolist() == [5, 3, 6, 2]
    assert is_soft_masked(given).tolist() == [True, False, True, False]
    assert as_text(reverse_complement(given)) == "NaTc"


def test_round_trip_keeps_bases_and_case(mixed):
    letters = np.where(encode(mixed) == 2, mixed & 0x20 | ord("N"), mixed)
    assert np.array_equal(decode(encode(letters), is_soft_masked(letters)), letters)
    assert as_text(decode(encode(letters))) == as_text(letters).upper()


def test_decode_by_hand():
    ids = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.uint8)
    assert decode(ids).tolist() == [list(b"-?N"), list(b"ACG")]
    soft = np.array([[True, True, True], [False, True, False]])
    # Signs have no case.
    assert decode(ids, soft).tolist() == [list(b"-?n"), list(b"AcG")]
    with pytest.raises(IndexError):
        decode(np.array([7], dtype=np.uint8))


def test_lower_case_is_the_soft_mask():
    assert is_soft_masked(LETTERS).tolist() == [letter.islower() for letter in LETTERS]


def test_iupac_codes():
    codes = {letter for code in (*MEANING, "U") for letter in (code, code.lower())}
    assert len(codes) == 2 * len(IUPAC)
    assert is_iupac(EVERY_BYTE).tolist() == [chr(byte) in codes for byte in range(256)]


@pytest.mark.parametrize("code", [*MEANING, "U"])
def test_complement_of_each_code(code):
    assert as_text(reverse_complement(code)) == complement_of(code)
    assert as_text(reverse_complement(code.lower())) == complement_of(code).lower()


def test_complement_leaves_other_bytes_alone():
    others = EVERY_BYTE[~is_iupac(EVERY_BYTE)]
    assert np.array_equal(reverse_complement(others), others[::-1])


def test_reverse_complement_of_rows_takes_case_along(mixed):
    before = mixed.copy()
    turned = reverse_complement(mixed)
    assert turned.shape == mixed.shape
    for row, result in zip(mixed, turned, strict=True):
        naive = [
            complement_of(letter) if letter.isupper() else complement_of(letter.upper()).lower()
            for letter in reversed(as_text(row))
        ]
        assert as_text(result) == "".join(naive)
    assert np.array_equal(mixed, before)


def test_turning_twice_gives_the_sequence_back(mixed):
    # Except for U, whose way back leads to T.
    dna = np.where(mixed & 0xDF == ord("U"), mixed - 1, mixed)
    assert np.array_equal(reverse_complement(reverse_complement(mixed)), dna)


def test_ids_turn_as_letters_do(mixed):
    dna = np.where(mixed & 0xDF == ord("U"), mixed - 1, mixed)
    assert np.array_equal(reverse_complement_ids(encode(dna)), encode(reverse_complement(dna)))
    specials = np.array([0, 1, 2, 3, 4, 5, 6], dtype=np.uint8)
    assert reverse_complement_ids(specials).tolist() == [3, 4, 5, 6, 2, 1, 0]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 3, 4)])
def test_any_shape_is_kept(shape):
    letters = np.full(shape, ord("a"), dtype=np.uint8)
    ids = encode(letters)
    for result in (ids, decode(ids), is_soft_masked(letters), reverse_complement(letters)):
        assert result.shape == shape


def test_arrays_are_viewed_not_copied():
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    assert as_ascii(letters) is letters


def test_text_beyond_ascii_is_refused():
    with pytest.raises(UnicodeEncodeError):
        encode("ACG\u0422")
