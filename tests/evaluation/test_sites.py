import numpy as np
import pytest

from glm_composer import sequence
from glm_composer.evaluation.scores import llr
from glm_composer.evaluation.sites import expected_bases, letter_heights, variants_of
from glm_composer.sequence import FIRST_BASE, MASK, A, C, G, T

LETTERS = np.frombuffer(b"ACGTacgt", dtype=np.uint8)


class CountingModel:
    """Logits that depend on every base of the window and its place; counts what it is asked."""

    def __init__(self, width: int):
        self.weights = np.random.default_rng(0).normal(size=(width, 7, 4))
        self.rows = 0

    def __call__(self, ids, positions):
        assert (ids[np.arange(len(ids)), positions] == MASK).all()
        self.rows += len(ids)
        at = np.arange(ids.shape[1])
        return self.weights[at, ids].sum(1).astype(np.float32) / 3


def _stretch(n: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).choice(LETTERS, n + width - 1)


@pytest.mark.parametrize("width", [1, 8, 9])
@pytest.mark.parametrize("strands", ["both", "forward"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_differences_are_the_llr_of_every_snv(width, strands, batch_size):
    model = CountingModel(width)
    stretch = _stretch(30, width)
    found = expected_bases(model, stretch, width, strands=strands, batch_size=batch_size)
    # Each position once a strand, for all three alternatives.
    assert model.rows == 30 * (2 if strands == "both" else 1)
    windows = np.lib.stride_tricks.sliding_window_view(stretch, width)
    ref = sequence.encode(windows[:, width // 2])
    for place in range(3):
        alt = variants_of(ref)[:, place]
        one = llr(model, windows, ref, alt, strands=strands, batch_size=5)
        rows = np.arange(30)
        difference = found[rows, alt - FIRST_BASE] - found[rows, ref - FIRST_BASE]
        np.testing.assert_allclose(difference, one, atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-6)


def test_positions_without_a_base_are_not_asked():
    model = CountingModel(9)
    stretch = _stretch(20, 9)
    stretch[4 + 3], stretch[4 + 10] = ord("N"), ord("r")
    found = expected_bases(model, stretch, 9, batch_size=4)
    assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [3, 10]
    assert model.rows == 2 * 18


def test_the_three_others_of_each_base():
    assert variants_of(np.array([A, C, G, T], dtype=np.uint8)).tolist() == [
        [C, G, T],
        [A, G, T],
        [A, C, T],
        [A, C, G],
    ]


def test_letter_heights_by_hand():
    p = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0], [0.5, 0.25, 0.125, 0.125]])
    with np.errstate(divide="ignore"):
        nats = np.log(p).clip(-100).astype(np.float32)
    expected = [[2, 0, 0, 0], [0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.125, 0.0625, 0.03125, 0.03125]]
    np.testing.assert_allclose(letter_heights(nats), expected, atol=1e-6)
    assert (letter_heights(np.full((1, 4), np.nan, dtype=np.float32)) == 0).all()
