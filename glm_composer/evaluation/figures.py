"""Every figure of a scored table: of all of it, and of its strata."""

import json
import math
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics import Estimate, measure, scored_rows
from glm_composer.evaluation.published import (
    BENCHMARKS,
    MODELS,
    SOURCE,
    SUBSET,
    misfits,
    recognise,
)
from glm_composer.evaluation.scored import ScoredVariants
from glm_composer.evaluation.strata import MINIMUM, TSS_BINS, Stratum, strata

# Metric -> figure, or why there is none.
Found = dict[str, Estimate | str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """The published benchmark that a table is set beside.

    Attributes:
        name: of it.
        misfits: what tells the table from it; empty if it was recognised.
    """

    name: str
    misfits: list[str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Figures:
    """What was measured.

    Attributes:
        scores: score -> metric -> figure or reason.
        strata: each with the same, empty where the stratum is not measured.
        comparison: None where the table is no published benchmark.
    """

    scores: dict[str, Found]
    strata: list[tuple[Stratum, dict[str, Found]]]
    comparison: Comparison | None


def measure_all(scored: ScoredVariants, published: str | None = None) -> Figures:
    """Measure every score of a table.

    Args:
        scored: the table.
        published: name of a benchmark to compare it with, `none` for no comparison; by default the
            one that it is recognised as.
    """
    rows = {
        name: scored_rows(scored.table, scored.table[name], quantity=scored.quantity)
        for name in scored.scores
    }
    parts = []
    for part in strata(scored.table, labelled=scored.labelled):
        found = {} if part.reason else {k: measure(v.take(part.rows)) for k, v in rows.items()}
        parts.append((part, found))
    return Figures(
        scores={name: measure(each) for name, each in rows.items()},
        strata=parts,
        comparison=_comparison(scored, published),
    )


def _comparison(scored: ScoredVariants, published: str | None) -> Comparison | None:
    if published == "none" or not (published or scored.labelled):
        return None
    if not scored.labelled:
        raise UserError(f"{scored.path}: no labels; '{published}' has published figures of AUPRC")
    name = published or recognise(scored.table)
    if name is None:
        return None
    return Comparison(name=name, misfits=misfits(scored.table, BENCHMARKS[name]))


def as_json(scored: ScoredVariants, figures: Figures) -> str:
    """Write figures down; a figure that is not defined is null and has a reason."""
    table = {
        "path": str(scored.path),
        "sha256": scored.sha256,
        "metadata": scored.metadata,
        "rows": len(scored.table),
        "rows_left_out": scored.left_out,
        "positives": int(scored.table["label"].sum()) if scored.labelled else None,
        "quantity": scored.quantity,
    }
    return json.dumps(
        {
            "made_by": f"glm_composer {metadata.version('glm-composer')}",
            "table": table,
            "scores": _written(figures.scores),
            "strata": [
                {
                    "column": part.column,
                    "name": part.name,
                    "positives": part.positives if scored.labelled else None,
                    "controls": part.controls if scored.labelled else None,
                    "rows": len(part.rows),
                    "reason": part.reason or None,
                    "scores": _written(found),
                }
                for part, found in figures.strata
            ],
            "strata_rules": {"minimum": MINIMUM, "tss_dist_bins_bp": TSS_BINS},
            "published": _published(figures.comparison),
        },
        indent=1,
    )


def _written(scores: dict[str, Found]) -> dict[str, Any]:
    return {
        score: {metric: _figure(each) for metric, each in found.items()}
        for score, found in scores.items()
    }


def _figure(found: Estimate | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"value": None, "se": None, "reason": found}
    # JSON knows no NaN.
    return {key: v if math.isfinite(v) else None for key, v in found._asdict().items()}


def _published(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    benchmark = BENCHMARKS[comparison.name]
    return {
        "name": comparison.name,
        "subset": SUBSET,
        "misfits": comparison.misfits,
        "auprc": [each._asdict() for each in benchmark.figures],
        "source": SOURCE,
        "models": MODELS,
    }
