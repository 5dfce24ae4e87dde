"""From what a run measured to what its report says: smoothing, comparisons, strata, rounding."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from glm_composer.evaluation import strata
from glm_composer.evaluation.metrics import auprc, auprc_se
from glm_composer.report.record import MODEL

Floats = NDArray[np.float64]

# Consequences of a table that conversion.coding_variants derived, by label.
_DERIVED = {True: {"start_lost", "stop_gained"}, False: {"synonymous_variant"}}


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Positives of one consequence and their controls.

    Attributes:
        consequence: of the positives.
        positives: how many.
        controls: how many.
        auprc: predictor -> AUPRC and its standard error, NaN without controls.
    """

    consequence: str
    positives: int
    controls: int
    auprc: dict[str, tuple[float, float]]


def number(value: float | None, digits: int) -> str:
    """Write with thousands separators and so many decimals; `n/a` where there is no number."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:,.{digits}f}"


def with_error(value: float, error: float, digits: int = 3) -> str:
    """Write a value and its standard error; the error is left out where it is not known."""
    if not math.isfinite(error):
        return number(value, digits)
    return f"{number(value, digits)} ± {number(error, digits)}"


def readable(predictor: str) -> str:
    """Spell a predictor's key out, as far as it is one of ours."""
    if predictor == "composition":
        return "base composition"
    kind, _, rest = predictor.partition("_")
    if kind == "markov" and rest.isdigit():
        return f"order-{rest} Markov"
    return f"context {rest}" if kind == "context" and rest else predictor


def best_baseline(figures: Mapping[str, float], *, lowest: bool) -> str | None:
    """Name of the baseline with the lowest or highest finite figure; None if there is none."""
    known = {k: v for k, v in figures.items() if k != MODEL and math.isfinite(v)}
    if not known:
        return None
    return (min if lowest else max)(known, key=known.__getitem__)


def running_mean(values: ArrayLike, width: int) -> Floats:
    """Centred mean over `width` (odd) values [n], fewer at both ends; values not finite left out.

    NaN where no value of a stretch is finite.
    """
    y = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(y)
    sums = np.append(0.0, np.cumsum(np.where(finite, y, 0.0)))
    counts = np.append(0, np.cumsum(finite))
    middle = np.arange(len(y))
    first = np.maximum(middle - width // 2, 0)
    last = np.minimum(middle + width // 2 + 1, len(y))
    n = counts[last] - counts[first]
    return np.where(n > 0, (sums[last] - sums[first]) / np.maximum(n, 1), np.nan)


def settled_limits(curve: ArrayLike, others: ArrayLike) -> tuple[float, float]:
    """Limits of a loss axis: all but the first twentieth of a curve [n], all of the others [m].

    The first steps fall from so high that an axis which shows them shows nothing else. Later
    spikes are kept on it.
    """
    y = np.asarray(curve, dtype=np.float64)
    shown = np.append(y[len(y) // 20 :], np.asarray(others, dtype=np.float64))
    shown = shown[np.isfinite(shown)]
    low, high = float(shown.min()), float(shown.max())
    room = 0.05 * (high - low) or 0.05 * (abs(low) or 1.0)
    return low - room, high + room


def by_consequence(rows: pl.DataFrame, predictors: list[str]) -> list[Stratum]:
    """Compare positives of each consequence with the controls of their own match groups.

    Args:
        rows: with `label`, `consequence` and a column of scores for each predictor; without
            `match_group`, every control counts for every consequence.
        predictors: names of those columns.

    Returns:
        The most frequent consequence first; empty if positives have but one.
    """
    found = [
        s for s in strata.strata(rows, labelled=True) if s.column == "consequence" and s.positives
    ]
    return [_stratum(rows, part, predictors) for part in found] if len(found) > 1 else []


def _stratum(rows: pl.DataFrame, part: strata.Stratum, predictors: list[str]) -> Stratum:
    label = rows["label"].to_numpy()[part.rows]
    auprcs = {name: (math.nan, math.nan) for name in predictors}
    if part.controls:
        for name in predictors:
            score = rows[name].to_numpy()[part.rows]
            auprcs[name] = (auprc(label, score), auprc_se(label, score))
    return Stratum(
        consequence=part.name, positives=part.positives, controls=part.controls, auprc=auprcs
    )


def is_derived(rows: pl.DataFrame) -> bool:
    """Whether labels are what the genetic code says of an SNV, and no observation."""
    if "consequence" not in rows.columns:
        return False
    label = pl.col("label").cast(pl.Boolean)
    return all(
        set(rows.filter(label if positive else ~label)["consequence"].unique()) <= terms
        for positive, terms in _DERIVED.items()
    )
