"""Interval functions against sets of positions, for random intervals and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.conversion import windows

SIZE = 60
pairs = st.lists(
    st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).filter(lambda p: p[0] < p[1]),
    max_size=8,
)


def array(intervals) -> np.ndarray:
    return np.array(intervals, dtype=np.int64).reshape(-1, 2)


def mask(intervals) -> np.ndarray:
    inside = np.zeros(SIZE, dtype=bool)
    for start, end in intervals:
        inside[start:end] = True
    return inside


def naive_runs(inside) -> list[list[int]]:
    runs: list[list[int]] = []
    for position in np.flatnonzero(inside):
        if runs and runs[-1][1] == position:
            runs[-1][1] += 1
        else:
            runs.append([position, position + 1])
    return runs


@given(pairs)
def test_merge_and_find_runs_equal_marked_positions(intervals):
    expected = naive_runs(mask(intervals))
    merged = windows.merge(array(intervals))
    assert merged.tolist() == expected
    assert merged.dtype == np.int64
    assert windows.find_runs(mask(intervals)).tolist() == expected


@given(pairs, pairs)
def test_subtract_equals_marked_positions(intervals, holes):
    kept = windows.subtract(windows.merge(array(intervals)), windows.merge(array(holes)))
    assert kept.tolist() == naive_runs(mask(intervals) & ~mask(holes))


@given(pairs, st.integers(1, 20), st.integers(1, 20))
def test_tile_equals_a_loop(intervals, width, stride):
    merged = windows.merge(array(intervals))
    expected = [s for start, end in merged for s in range(start, end, stride) if s + width <= end]
    assert windows.tile(merged, width, stride).tolist() == expected


@settings(max_examples=200)
@given(pairs, st.integers(1, 80))
def test_expand_reaches_the_width_inside_the_limit(intervals, width):
    before = array(intervals)
    after = windows.expand(before, width, SIZE)
    sizes = after[:, 1] - after[:, 0]
    assert (after >= 0).all()
    assert (after <= SIZE).all()
    assert (after[:, 0] <= before[:, 0]).all()
    assert (after[:, 1] >= before[:, 1]).all()
    assert (sizes == np.minimum(SIZE, np.maximum(width, before[:, 1] - before[:, 0]))).all()


def test_expand_by_hand():
    before = array([[10, 14], [0, 3], [57, 60], [20, 40]])
    # 4 -> 10: three on either side. 3 -> 10 at an edge: moved inside. 20 is wide enough.
    assert windows.expand(before, 10, 60).tolist() == [[7, 17], [0, 10], [50, 60], [20, 40]]


@given(pairs, st.lists(st.integers(0, SIZE - 5), max_size=10), st.integers(1, 5))
def test_count_inside_equals_marked_positions(intervals, starts, width):
    counted = windows.count_inside(
        windows.merge(array(intervals)), np.array(starts, dtype=np.int64), width
    )
    assert counted.tolist() == [mask(intervals)[s : s + width].sum() for s in starts]


@pytest.mark.parametrize(("starts", "expected"), [([0, 4, 8], 12), ([0, 2], 6), ([], 0)])
def test_covered_counts_distinct_positions(starts, expected):
    assert windows.covered(np.array(starts, dtype=np.int64), 4) == expected


@given(st.text("acgtACGTNnRy", max_size=60), st.integers(1, 9))
def test_letter_runs_equal_a_look_at_every_letter(text, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_BLOCK", block)
        runs = windows.find_letter_runs(np.frombuffer(text.encode(), dtype=np.uint8))
    soft_masked = np.array([letter.islower() for letter in text], dtype=bool)
    unknown = np.array([letter.upper() not in "ACGT" for letter in text], dtype=bool)
    assert runs.soft_masked.tolist() == naive_runs(soft_masked)
    assert runs.unknown.tolist() == naive_runs(unknown)
