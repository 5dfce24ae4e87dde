"""Context tables: what the neighbours alone say about a base, the honest baselines of a model.

A neural model is worth its name only where it beats these. Each one counts, over training windows
and both strands, how often a base stands between given neighbours. They predict any position of
any window, so that both are compared on exactly the same masked positions and variants.

The tables see the **true** neighbours of every position they predict, also those that are masked
in the model's input: an advantage over the model, and a reason to believe one that beats them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm_composer import sequence

SYMBOLS = 5  # a, c, g, t, and one for anything else: unknown, masked, or outside the window
BASES = 4
OUTSIDE = SYMBOLS - 1
# What `fit_all` fits, in order of strength.
NAMES = ("uniform", "composition", "markov_5", "context_4+4", "context_5+5")
# 5 + 5 neighbours: 156 MB as float32, and twice that while counting.
MAXIMUM_CONTEXTS = SYMBOLS**10
# A bincount allocates the whole table of int64, so chunks must be large beside it.
_CHUNK_POSITIONS = 1 << 24

Ids = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ContextTable:
    """The log-probability of a base given `left` and `right` true neighbours.

    Attributes:
        left: how many neighbours on the left (towards column 0) are seen.
        right: how many on the right.
        log_table: float32 [5 ** (left + right), 4], natural log over acgt. A row's index reads the
            neighbours from left to right as digits in base 5; digit 4 is "none of acgt".
    """

    left: int
    right: int
    log_table: NDArray[np.float32]

    def log_probabilities(
        self, windows: Ids, rows: Indices, columns: Indices
    ) -> NDArray[np.float32]:
        """Predict the base at chosen positions; the base that stands there is not looked at.

        Args:
            windows: uint8 ids [n, length], uncorrupted.
            rows: int64 [m], which window.
            columns: int64 [m], which position in it, 0-based.

        Returns:
            float32 [m, 4], natural log over acgt.

        Raises:
            IndexError: a row or a column lies outside the windows.
        """
        length = windows.shape[1]
        rows, columns = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
        # A negative row would wrap around, and a column past the end would read as all unknown.
        if rows.size and (
            rows.min() < 0
            or rows.max() >= len(windows)
            or columns.min() < 0
            or columns.max() >= length
        ):
            raise IndexError(f"positions outside windows of shape {windows.shape}")
        codes = np.zeros(len(rows), dtype=np.int32)
        for offset in _offsets(self.left, self.right):
            neighbours = columns + offset
            inside = (neighbours >= 0) & (neighbours < length)
            ids = windows[rows, np.where(inside, neighbours, 0)]
            codes = codes * SYMBOLS + np.where(inside, _symbols(ids), OUTSIDE)
        return self.log_table[codes]


def uniform() -> ContextTable:
    """Return the table that gives every base a quarter: ln 4 = 1.3863 nats."""
    return ContextTable(0, 0, np.full((1, BASES), -np.log(BASES), dtype=np.float32))


def composition(windows: Ids) -> ContextTable:
    """Fit the base composition of windows, uint8 ids [n, length], over both strands."""
    return fit(windows, left=0, right=0)


def markov(windows: Ids, order: int = 5) -> ContextTable:
    """Fit a Markov chain on windows, uint8 ids [n, length]: `order` neighbours on the left."""
    return fit(windows, left=order, right=0)


def bidirectional(windows: Ids, size: int = 4) -> ContextTable:
    """Fit `size` neighbours on either side on windows, uint8 ids [n, length].

    Counting both strands makes the table symmetric: a window and its reverse complement get the
    same prediction.
    """
    return fit(windows, left=size, right=size)


def fit_all(windows: Ids) -> dict[str, ContextTable]:
    """Fit the baselines of a report, NAMES, on windows, uint8 ids [n, length]."""
    tables = (
        uniform(),
        composition(windows),
        markov(windows, 5),
        bidirectional(windows, 4),
        bidirectional(windows, 5),
    )
    return dict(zip(NAMES, tables, strict=True))


def fit(windows: Ids, *, left: int, right: int, weight: float = 128.0) -> ContextTable:
    """Count bases by context over windows and their reverse complements, and smooth.

    A context's counts are topped up with `weight` pseudo-counts spread as the next smaller context
    predicts (a Dirichlet prior centred there; MacKay and Peto, 1995), down to the composition,
    whose own prior is one count a base::

        p(b | context) = (n(context, b) + weight * p(b | smaller context)) / (n(context) + weight)

    The smaller context lacks the outermost neighbour of the longer side, or of both where the
    sides are equal; taking them one at a time would make the two strands unequal.

    Args:
        windows: uint8 ids [n, length]. Positions outside acgt are contexts, never targets. A base
            in two overlapping windows counts twice.
        left: neighbours on the left.
        right: neighbours on the right.
        weight: pseudo-counts of the prior. Trained on yeast chr01-14, 128 was the best power of
            two for 5+5 on chr15 (1.3208 nats; weight 4: 1.3621) and all but the best for 4+4.

    Raises:
        ValueError: no target at all, a negative size, or more contexts than fit in memory.
    """
    if left < 0 or right < 0 or SYMBOLS ** (left + right) > MAXIMUM_CONTEXTS:
        raise ValueError(f"{left}+{right} neighbours: want two sizes >= 0 of sum <= 10")
    counts = _count((windows, sequence.reverse_complement_ids(windows)), left, right)
    if not counts.any():
        raise ValueError("no a, c, g or t to count in these windows")
    return ContextTable(left, right, np.log(_smooth(counts, left, right, weight)))


def cross_entropy(log_probabilities: NDArray[np.float32], targets: Ids) -> float:
    """Mean negative log-probability of the true bases, in nats a base.

    Args:
        log_probabilities: float32 [m, 4], natural log over acgt.
        targets: uint8 ids [m], all of them a, c, g or t.

    Raises:
        ValueError: no positions, or a target outside acgt, which has no loss to average.
    """
    symbols = _symbols(targets)
    if not len(symbols) or (symbols == OUTSIDE).any():
        raise ValueError("cross-entropy needs at least one target, and every target in acgt")
    chosen = np.take_along_axis(log_probabilities, symbols[:, None].astype(np.int64), axis=1)
    return -float(chosen.mean(dtype=np.float64))


def variant_llr(
    model: ContextTable, windows: Ids, centre: int, ref: Ids, alt: Ids
) -> NDArray[np.float32]:
    """Return ln p(alt) - ln p(ref) at the variant, averaged over both strands as a model's is.

    Args:
        model: a fitted table.
        windows: uint8 ids [n, width], plus strand.
        centre: 0-based column of the variant (width // 2 in windows cut as TraitGym's).
        ref: uint8 ids [n], plus strand.
        alt: uint8 ids [n], plus strand.

    Returns:
        float32 [n]; negative where the alternative is the less expected base.

    Raises:
        ValueError: an allele outside acgt.
    """
    opposite = windows.shape[1] - 1 - centre
    forward = _llr(model, windows, centre, ref, alt)
    # A single base is its own window: reversing [n, 1] only complements.
    complements = [sequence.reverse_complement_ids(allele[:, None])[:, 0] for allele in (ref, alt)]
    reverse = _llr(model, sequence.reverse_complement_ids(windows), opposite, *complements)
    return (forward + reverse) / 2


def _llr(
    model: ContextTable, windows: Ids, column: int, ref: Ids, alt: Ids
) -> NDArray[np.float32]:
    alleles = np.stack([_symbols(ref), _symbols(alt)], axis=1).astype(np.int64)
    if (alleles == OUTSIDE).any():
        raise ValueError("every allele must be one of acgt")
    rows = np.arange(len(windows))
    predicted = model.log_probabilities(windows, rows, np.full_like(rows, column))
    chosen = np.take_along_axis(predicted, alleles, axis=1)
    return chosen[:, 1] - chosen[:, 0]


def _symbols(ids: Ids) -> NDArray[np.uint8]:
    """Ids [...] -> 0..3 for acgt, 4 for every special id (whose difference wraps to 253..255)."""
    return np.minimum(np.asarray(ids, np.uint8) - np.uint8(sequence.FIRST_BASE), np.uint8(OUTSIDE))


def _offsets(left: int, right: int) -> list[int]:
    """Offsets of the neighbours from left to right, the order of a context's digits."""
    return [*range(-left, 0), *range(1, right + 1)]


def _count(strands: tuple[Ids, Ids], left: int, right: int) -> NDArray[np.int64]:
    """Ids [n, length] of each strand -> int64 [5 ** (left + right), 4], a base by its context."""
    total = np.zeros((SYMBOLS ** (left + right), BASES), dtype=np.int64)
    for windows in strands:
        step = max(1, _CHUNK_POSITIONS // max(1, windows.shape[1]))
        for first in range(0, len(windows), step):
            codes = _codes(windows[first : first + step], left, right)
            total += np.bincount(codes, minlength=total.size).reshape(total.shape)
    return total


def _codes(windows: Ids, left: int, right: int) -> NDArray[np.int32]:
    """Ids [n, length] -> context * 4 + base of every position that holds one of acgt, flat."""
    length = windows.shape[1]
    symbols = np.full((len(windows), left + length + right), OUTSIDE, dtype=np.uint8)
    targets = symbols[:, left : left + length]
    targets[:] = _symbols(windows)
    codes = np.zeros(windows.shape, dtype=np.int32)
    for offset in _offsets(left, right):
        codes *= SYMBOLS
        codes += symbols[:, left + offset : left + offset + length]
    codes *= BASES  # at most 4 * 5**10 = 39 million: fits
    codes += targets
    return codes[targets != OUTSIDE]


def _smooth(
    counts: NDArray[np.int64], left: int, right: int, weight: float
) -> NDArray[np.float32]:
    """Counts int64 [5 ** (left + right), 4] -> probabilities float32 of the same shape."""
    if left + right == 0:
        prior = np.ones((1, 1, 1, BASES), dtype=np.float32)
        outer, inner, last = 1, 1, 1
    else:
        shorter = left - (left >= right), right - (right >= left)
        outer, last = SYMBOLS ** (left - shorter[0]), SYMBOLS ** (right - shorter[1])
        inner = SYMBOLS ** sum(shorter)
        marginal = counts.reshape(outer, inner, last, BASES).sum(axis=(0, 2))
        prior = weight * _smooth(marginal, *shorter, weight)[None, :, None]
    table = counts.reshape(outer, inner, last, BASES).astype(np.float32)
    table += prior
    table /= table.sum(axis=-1, keepdims=True)
    return table.reshape(-1, BASES)
