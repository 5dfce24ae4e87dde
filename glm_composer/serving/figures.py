"""How well the scores of a labelled table tell its labels apart, written beside the scores."""

import json
import math
import os
from pathlib import Path
from typing import Any

import polars as pl

from glm_composer.conversion.files import sync
from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import measure, scored_rows, summarize
from glm_composer.serving.check import positives
from glm_composer.serving.plan import Plan


def metrics_path(out: Path) -> Path:
    """Where the metrics of an output lie: OUT.metrics.json for OUT.parquet."""
    return out.with_name(f"{out.name.removesuffix('.parquet')}.metrics.json")


def write_metrics(scored: Path, plan: Plan, path: Path, aside: Path) -> None:
    """Write figures of every score over the rows that have it, or why there are none.

    The table is read as a whole: those with labels fit into memory.

    Args:
        scored: Parquet with labels, scores and problems.
        plan: of the scoring.
        path: JSON to write.
        aside: where to write it first, on the same file system.
    """
    aside.write_text(
        json.dumps(_metrics(pl.read_parquet(scored, glob=False), plan), indent=2) + "\n"
    )
    sync(aside)
    os.replace(aside, path)


def _metrics(table: pl.DataFrame, plan: Plan) -> dict[str, Any]:
    scored = table.with_columns(label=positives(table["label"]))
    scored = scored.filter(pl.col("problem").is_null())
    figures: dict[str, dict[str, float | None]] = {}
    none: dict[str, Any] = {}
    for name in plan.scores:
        try:
            found = summarize(scored, scored[name].to_numpy())
        except UserError as error:
            # Labels that are all alike, say: the scores are good all the same.
            none[name] = str(error)
            continue
        # JSON has no NaN.
        figures[name] = {k: v if math.isfinite(v) else None for k, v in found.items()}
        if any(math.isnan(v) for k, v in found.items() if not k.endswith("_se")):
            reasons = measure(scored_rows(scored, scored[name].to_numpy()))
            none[name] = {k: why for k, why in reasons.items() if isinstance(why, str)}
    counts = {"rows": len(table), "scored": len(scored)}
    return {**counts, "scores": figures, "no_metrics": none, **plan.metadata()}
