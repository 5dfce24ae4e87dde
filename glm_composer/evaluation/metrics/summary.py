"""All metrics of one score at once: what was found, or why there is nothing to be found."""

import math
from collections.abc import Callable
from functools import cache

import polars as pl
from numpy.typing import ArrayLike

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics.ranking import both_classes
from glm_composer.evaluation.metrics.rows import Estimate, ScoredRows, scored_rows
from glm_composer.registry import metrics


@cache
def _metrics() -> dict[str, Callable[[ScoredRows], Estimate | None]]:
    """Every metric by name; looking for plugins takes longer than a small stratum's metrics."""
    return {name: metrics.get(name) for name in metrics.names()}


def measure(rows: ScoredRows) -> dict[str, Estimate | str]:
    """Ask every metric that knows what to do with these rows.

    Returns:
        Name -> figure, or one line that says why it is not defined. A metric whose columns the
        table lacks is absent.
    """
    found: dict[str, Estimate | str] = {}
    for name, metric in _metrics().items():
        try:
            estimate = metric(rows)
        except UserError as error:
            found[name] = str(error)
        else:
            if estimate is not None:
                known = math.isfinite(estimate.value)
                found[name] = estimate if known else "not defined for these rows"
    return found


def summarize(table: pl.DataFrame, score: ArrayLike) -> dict[str, float]:
    """Every figure of one score over a labelled variant table.

    Args:
        table: with columns `label` (0/1 or bool) and `chrom`, [n] rows.
        score: finite [n].

    Returns:
        NAME and NAME_se of each metric: auprc, auprc_by_chrom, auroc; with a column `match_group`
        also mrr and pairwise_accuracy, NaN where groups were taken apart, since training should
        not end for that; whatever plugins add; base_rate, n, n_positive.

    Raises:
        UserError: no such columns, a score that is not finite, labels that are all alike.
    """
    absent = [column for column in ("label", "chrom") if column not in table.columns]
    if absent:
        raise UserError(f"variant table: no column '{absent[0]}'; metrics need label and chrom")
    rows = scored_rows(table, score)
    labels, _ = both_classes(table["label"], rows.score)
    figures: dict[str, float] = {}
    for name, found in measure(rows).items():
        estimate = Estimate(math.nan) if isinstance(found, str) else found
        figures |= {name: estimate.value, f"{name}_se": estimate.se}
    positives = int(labels.sum())
    return figures | {"base_rate": positives / len(rows), "n": len(rows), "n_positive": positives}
