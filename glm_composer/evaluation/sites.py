"""What a model expects at every position of a stretch of DNA: pure functions, as the scores.

Each position is masked in a window of its own and asked once; the four answers hold all three
single-nucleotide variants of the position, and its column of a sequence logo. A causal model has
not learned to fill in a masked base, and weighs whole windows with each base there instead.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.evaluation.scores import Predict, Strands
from glm_composer.sequence import Bytes

Floats = NDArray[np.float32]

# Windows in memory at once, in batches.
_BATCHES = 8


def expected_bases(
    predict: Predict,
    stretch: Bytes,
    width: int,
    *,
    strands: Strands = "both",
    batch_size: int,
) -> Floats:
    """Log-probabilities of a, c, g, t at every position, [MASK]ed in the centre of its window.

    Position i lies at index width//2 of the window stretch[i : i + width], and at index
    width - 1 - width//2 of that window's reverse complement. Both strands' log-probabilities (of
    complemented bases on the reverse one) are averaged and normalised again, a geometric mean. So
    differences between two bases are the strand-averaged log-likelihood ratios of `scores`.

    Args:
        predict: the model; called with `batch_size` windows at a time, fewer in the last call of
            every few batches.
        stretch: ASCII uint8 [n + width - 1], in any case: n positions with the context of the
            first and the last.
        width: bases a window, at least 1.
        strands: average over both strands, or the forward one alone.
        batch_size: windows per call of `predict`.

    Returns:
        float32 [n, 4] in nats; NaN where the genome has N or another code that is no base: such
        positions are not asked.
    """
    expected, chunks = _prepared(stretch, width, _BATCHES * batch_size)
    for rows, masked in chunks:
        masked[:, width // 2] = sequence.MASK
        expected[rows] = _of_masked(predict, masked, strands, batch_size)
    return expected


def expected_by_likelihood(
    ratios: Callable[[Bytes, Bytes, Bytes], Floats],
    stretch: Bytes,
    width: int,
    *,
    batch_size: int,
) -> Floats:
    """The same of a model that gives whole windows a likelihood, as a causal one does.

    By Bayes' rule the probability of a base, given all others of the window, is in proportion to
    the likelihood of the window with it. Log-probabilities of both strands are averaged where the
    ratios are.

    Args:
        ratios: log-likelihood ratios of windows, see `score_variants`: ASCII windows uint8
            [n, width], ids of ref [n] and of alt [n] -> float32 [n].
        stretch: as of `expected_bases`.
        width: bases a window, at least 1.
        batch_size: positions per call of `ratios`, three rows each.

    Returns:
        float32 [n, 4] in nats, as of `expected_bases`.
    """
    expected, chunks = _prepared(stretch, width, batch_size)
    for rows, ids in chunks:
        ref = ids[:, width // 2]
        alt = variants_of(ref)
        windows = np.repeat(sequence.decode(ids), 3, axis=0)
        against_ref = np.zeros((len(rows), 4), dtype=np.float32)
        found = ratios(windows, np.repeat(ref, 3), alt.ravel()).reshape(-1, 3)
        np.put_along_axis(against_ref, (alt - sequence.FIRST_BASE).astype(np.intp), found, axis=1)
        expected[rows] = _log_softmax(against_ref)
    return expected


def variants_of(ref: Bytes) -> Bytes:
    """The three other bases of each base, in the order a, c, g, t: ids uint8 [n] -> [n, 3]."""
    others = [[base for base in range(4) if base != given] for given in range(4)]
    return np.array(others, dtype=np.uint8)[ref - sequence.FIRST_BASE] + np.uint8(
        sequence.FIRST_BASE
    )


def letter_heights(log_probabilities: Floats) -> Floats:
    """Heights of a sequence logo's letters: nats [n, 4] -> bits float32 [n, 4]; 0 for NaN.

    A column is as high as its information content R = log2(4) - H bits, where H is the entropy
    -sum p log2 p of the model's probabilities; of it each base takes the share p. R is 2 where the
    model is certain and 0 where all bases are alike. The correction for small samples is left
    out: probabilities of a model are no counts.

    Source: Schneider and Stephens 1990, Nucleic Acids Research 18:6097.
    """
    p = np.exp(log_probabilities.astype(np.float64))
    entropy = -np.sum(p * log_probabilities, axis=-1, keepdims=True) / np.log(2)
    heights = p * np.maximum(2.0 - entropy, 0.0)
    return np.nan_to_num(heights, nan=0.0).astype(np.float32)


def _prepared(
    stretch: Bytes, width: int, at_once: int
) -> tuple[Floats, Iterator[tuple[NDArray[np.intp], Bytes]]]:
    """NaN [n, 4], and chunks of positions that have a base, with the ids around them."""
    if width < 1 or len(stretch) < width:
        raise ValueError(f"a stretch of {len(stretch)} bases has no window of {width}")
    ids = sequence.encode(stretch)
    windows = sliding_window_view(ids, width)
    known = np.flatnonzero(ids[width // 2 :][: len(windows)] >= sequence.FIRST_BASE)
    chunks = (known[start : start + at_once] for start in range(0, len(known), at_once))
    nothing = np.full((len(windows), 4), np.nan, dtype=np.float32)
    return nothing, ((rows, windows[rows]) for rows in chunks)


def _of_masked(predict: Predict, masked: Bytes, strands: Strands, batch_size: int) -> Floats:
    """Log-probabilities [n, 4] at the centre of windows [n, width] that are masked there."""
    width = masked.shape[1]
    forward = _log_softmax(_ask(predict, masked, width // 2, batch_size))
    if strands == "forward":
        return forward
    turned = sequence.reverse_complement_ids(masked)
    reverse = _log_softmax(_ask(predict, turned, width - 1 - width // 2, batch_size))
    # Complements of a, c, g, t are t, g, c, a.
    return _log_softmax((forward + reverse[:, ::-1]) / 2)


def _ask(predict: Predict, ids: Bytes, position: int, batch_size: int) -> Floats:
    positions = np.full(len(ids), position, dtype=np.int64)
    parts = [
        predict(ids[start : start + batch_size], positions[start : start + batch_size])
        for start in range(0, len(ids), batch_size)
    ]
    return np.concatenate(parts)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
