"""Hashes and duplicates of windows against strings and loops, on yeast and on drawn windows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glm_composer.conversion import leakage
from glm_composer.conversion.leakage import find_duplicates, window_hashes
from glm_composer.data.shards import Shards
from glm_composer.sequence import Bytes, as_ascii, reverse_complement

letters = st.text(st.sampled_from("ACGTNacgtnRy-"), min_size=0, max_size=70)


def canonical(window: str) -> str:
    seen = "".join(c if c in "ACGT" else "N" for c in window.upper())
    return min(seen, seen[::-1].translate(str.maketrans("ACGT", "TGCA")))


def text(windows: Bytes) -> list[str]:
    return [row.tobytes().decode() for row in windows]


def pairs(hashes: leakage.Hashes) -> list[tuple[int, ...]]:
    return [tuple(row) for row in hashes.tolist()]


@pytest.fixture(scope="module")
def windows(yeast: Path) -> Bytes:
    """5,000 windows of yeast, re-cased reverse complements of 1,000, changed copies of 1,000."""
    real = Shards(yeast / "train").gather(np.arange(5_000))["sequence"]
    rng = np.random.default_rng(0)
    turned = reverse_complement(real[:1_000]) ^ np.uint8(0x20) * rng.integers(
        0, 2, (1_000, 512), dtype=np.uint8
    )
    changed = real[:1_000].copy()
    place = rng.integers(0, 512, 1_000)
    old = changed[np.arange(1_000), place]
    changed[np.arange(1_000), place] = np.where(old == ord("A"), ord("C"), ord("A"))
    return np.concatenate([real, turned, changed])


@pytest.mark.parametrize("length", [512, 497, 8])
def test_hashes_group_real_windows_as_their_canonical_strings_do(
    windows: Bytes, length: int
) -> None:
    cut = windows[:, :length]
    strings = [canonical(window) for window in text(cut)]
    hashes = pairs(window_hashes(cut))
    assert len(set(hashes)) == len(set(strings)) == len(set(zip(hashes, strings, strict=True)))
    if length == 512:
        assert len(set(strings)) < len(strings) - 900


@given(letters, letters)
@example("", "")
@example("A" * 16, "T" * 16)
@example("ACGT" * 8, "acgt" * 8)
@example("A" * 15, "A" * 16)
@example("AN", "NA")
def test_two_windows_hash_alike_exactly_where_canonical_strings_are_equal(a: str, b: str) -> None:
    one, other = (window_hashes(as_ascii(window).reshape(1, -1)) for window in (a, b))
    assert (pairs(one) == pairs(other)) == (canonical(a) == canonical(b))


@given(letters)
def test_strand_and_case_do_not_count(window: str) -> None:
    row = as_ascii(window).reshape(1, -1)
    turned = reverse_complement(as_ascii(window.swapcase())).reshape(1, -1)
    assert pairs(window_hashes(row)) == pairs(window_hashes(turned))


def test_hash_does_not_depend_on_blocks(windows: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = window_hashes(windows)
    monkeypatch.setattr(leakage, "_BLOCK_BYTES", 512 * 7)
    np.testing.assert_array_equal(window_hashes(windows[:1_000]), whole[:1_000])


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("GATTACA", (0xCDFCE3E90BD337C0, 0x071D0472A342FD3D)),
        ("ACGTN" * 7, (0xF1C453BE948A1261, 0x8551522A8E131AD1)),
        ("acGT" * 128, (0x3E95364498AA7072, 0xA5384ED01EE4F81D)),
    ],
)
def test_hashes_stay_what_they_are(window: str, expected: tuple[int, int]) -> None:
    # Finished parts hold them, and they draw who stays under a cap or a weight.
    assert pairs(window_hashes(as_ascii(window).reshape(1, -1))) == [expected]


def test_every_bit_of_a_hash_is_as_often_set_as_not(windows: Bytes) -> None:
    bits = np.unpackbits(window_hashes(windows[:5_000]).view(np.uint8), axis=1)
    # Five standard errors of 5,000 fair coins.
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / 5_000**0.5


def naive_duplicates(hashes: leakage.Hashes, ranks: list[int]) -> tuple[list[bool], dict]:
    winners: dict[tuple[int, ...], int] = {}
    for i, key in enumerate(pairs(hashes)):
        if key not in winners or ranks[i] < ranks[winners[key]]:
            winners[key] = i
    keep, counts = [], {"within": [0, 0, 0], "across": [0, 0, 0]}
    for i, key in enumerate(pairs(hashes)):
        keep.append(winners[key] == i)
        if not keep[-1]:
            counts["within" if ranks[winners[key]] == ranks[i] else "across"][ranks[i]] += 1
    return keep, counts


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(0, 2)), max_size=40),
    st.sampled_from([3, 1 << 22]),
)
def test_duplicates_are_those_of_a_loop(rows: list[tuple[int, int, int]], bucket: int) -> None:
    # The upper bits choose the bucket, and a hash may differ in its second half alone.
    hashes = np.array([(a << 61, b) for a, b, _ in rows], dtype=np.uint64).reshape(-1, 2)
    ranks = [*(rank for _, _, rank in rows), 2]
    hashes = np.concatenate([hashes, np.array([[7 << 61, 9]], dtype=np.uint64)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leakage, "_BUCKET", bucket)
        found = find_duplicates(hashes, np.array(ranks))
    keep, counts = naive_duplicates(hashes, ranks)
    assert found.keep.tolist() == keep
    assert found.within.tolist() == counts["within"]
    assert found.across.tolist() == counts["across"]


def test_held_out_keeps_what_train_has_too(windows: Bytes) -> None:
    # The turned copies of the first 1,000 windows are held out, all else is train.
    rank = np.ones(len(windows), dtype=np.int64)
    rank[5_000:6_000] = 0
    found = find_duplicates(window_hashes(windows), rank)
    strings = [canonical(window) for window in text(windows)]
    assert not found.keep[:1_000].any()
    assert found.keep[5_000:6_000].sum() == len(set(strings[5_000:6_000]))
    assert found.keep.sum() == len(set(strings))
    assert found.across[1] >= 1_000


def test_nothing_to_do() -> None:
    found = find_duplicates(np.empty((0, 2), dtype=np.uint64), np.empty(0, dtype=np.int64))
    assert len(found.keep) == len(found.within) == len(found.across) == 0
