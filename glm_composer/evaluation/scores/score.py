"""Named scores of variants: what several names ask of the model is asked once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from glm_composer.evaluation.scores.masked import read_sites
from glm_composer.evaluation.scores.pairs import read_pairs
from glm_composer.evaluation.scores.readings import (
    MaskedSites,
    Score,
    Strands,
    Values,
    WindowPairs,
)
from glm_composer.evaluation.scores.windows import Variants, on_strands, read_windows
from glm_composer.registry import scores
from glm_composer.sequence import Bytes

if TYPE_CHECKING:
    from glm_composer.evaluation.predict import Predictor

# Masked sites handed to the predictor at a time: what it keeps of one is a vector.
_SITES = 1 << 14


def score_names() -> list[str]:
    """Every name that `score_variants` takes, plugins' included, sorted."""
    return scores.names()


def score_variants(
    predictor: Predictor,
    windows: Bytes,
    ref: Bytes,
    alt: Bytes,
    names: Iterable[str],
    *,
    strands: Strands = "both",
    batch_size: int | None = None,
) -> dict[str, Values]:
    """Score single-nucleotide variants. Call it within `evaluating`.

    On the forward strand the variant lies at index width // 2, on the reverse strand at
    width - 1 - width // 2, and the alleles are complemented; with both the measures are averaged
    before signs and absolute values are taken. Two passes over the model at most, whatever the
    names: one over masked sites, of which several alts share one window, and one over unmasked
    windows, where they share the one with the reference allele.

    Args:
        predictor: the model.
        windows: ASCII uint8 [n, width]; `Genome.windows` cuts them. At the centre stands whatever
            the genome has: `ref` is put there.
        ref: ids of the reference alleles, uint8 [n].
        alt: ids of the alternative alleles, uint8 [n].
        names: of scores, see `score_names`.
        strands: average over both strands, or the forward one alone.
        batch_size: unmasked windows in memory at a time; None for as many as the predictor takes
            at once.

    Returns:
        float32 [n] by name, rows as given.

    Raises:
        UserError: an unknown name, or a score that this model cannot have.
        ValueError: shapes do not fit, or an allele is none of a, c, g, t.
    """
    built: dict[str, Score] = {name: scores.get(name)(predictor.causal) for name in names}
    batch_size = predictor.batch_size if batch_size is None else batch_size
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    sides = on_strands(read_windows(windows, ref, alt), strands)
    measured = [_measure(predictor, side, built.values(), batch_size) for side in sides]
    return {
        name: np.asarray(score.finish(_mean([each[score.measure] for each in measured])))
        for name, score in built.items()
    }


def _measure(
    predictor: Predictor, variants: Variants, wanted: Iterable[Score], batch_size: int
) -> dict[Any, np.ndarray]:
    """Each measure of the variants on one strand, float64 [n]."""
    of_sites = {score.measure for score in wanted if score.reads is MaskedSites}
    of_pairs = {score.measure for score in wanted if score.reads is WindowPairs}
    values = {measure: np.empty(len(variants.ref)) for measure in of_sites | of_pairs}
    if of_sites:
        # The predictor cuts them into its own batches, and keeps but one position of each.
        sites = read_sites(predictor.at, variants, _SITES)
        for measure in of_sites:
            values[measure][:] = measure(sites)
    if of_pairs:
        for rows, pairs in read_pairs(predictor, variants, batch_size):
            for measure in of_pairs:
                values[measure][rows] = measure(pairs).cpu().numpy()
    return values


def _mean(strands: list[np.ndarray]) -> Values:
    return np.mean(strands, axis=0).astype(np.float32)
