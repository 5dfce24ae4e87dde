"""Parts of a scored table's page: histograms of scores, and tables of strata."""

import numpy as np
from numpy.typing import NDArray

from glm_composer.evaluation.figures import Figures, Found
from glm_composer.evaluation.metrics import Estimate
from glm_composer.evaluation.scored import ScoredVariants
from glm_composer.evaluation.strata import MINIMUM, Stratum
from glm_composer.report.blocks import figure, folded, grid, section, table
from glm_composer.report.charts import Series, line_chart
from glm_composer.report.markup import Markup, tag
from glm_composer.report.numbers import number, with_error
from glm_composer.report.score_names import readable_metric, readable_score, score_colour

Floats = NDArray[np.float64]

_BINS = 24
# Tails beyond these percentiles would squeeze all the rest into a few bins.
_TAILS = (0.2, 99.8)
_TITLES = {
    "consequence": "By consequence",
    "tss_dist": "By distance to the transcription start site",
}


def histograms(scored: ScoredVariants) -> Markup:
    """How the scores of positives and controls are distributed."""
    return section(
        "Scores by label" if scored.labelled else "Scores",
        grid([_histogram(scored, name) for name in scored.scores]),
    )


def _histogram(scored: ScoredVariants, name: str) -> Markup:
    values = scored.table[name].to_numpy()
    low, high = np.percentile(values, _TAILS)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    colour = score_colour(scored.scores, name)
    classes: list[tuple[str, str, Floats]] = [("all variants", colour, values)]
    if scored.labelled:
        label = scored.table["label"].to_numpy()
        classes = [("controls", "p1", values[~label]), ("positives", colour, values[label])]
    series = [
        Series(label=what, x=np.repeat(edges, 2), y=_outline(part, edges), colour=c, kind="area")
        for what, c, part in classes
    ]
    chart = line_chart(
        series,
        title=f"Distribution of {readable_score(name)}",
        x_label=f"{readable_score(name)} ({_BINS} bins)",
        y_label="share of the class",
        y_limits=(0.0, 1.05 * max(float(np.max(s.y)) for s in series)),
    )
    outside = int(np.sum((values < low) | (values > high)))
    caption = "Each class adds up to 1."
    if outside:
        caption += f" {number(outside, 0)} variants beyond either end are in the last bin there."
    return figure(readable_score(name), chart, caption, series)


def _outline(values: Floats, edges: Floats) -> Floats:
    """Heights [2 x edges] of a histogram's outline, from 0 to 0; shares of all values."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return np.concatenate([[0.0], np.repeat(counts / len(values), 2), [0.0]])


def strata_sections(scored: ScoredVariants, figures: Figures) -> list[Markup]:
    """A section for each column that divides the table."""
    columns = dict.fromkeys(part.column for part, _ in figures.strata)
    return [
        _strata_section(
            scored, column, [each for each in figures.strata if each[0].column == column]
        )
        for column in columns
    ]


def _strata_section(
    scored: ScoredVariants, column: str, strata: list[tuple[Stratum, dict[str, Found]]]
) -> Markup:
    against = "the controls of their own match groups"
    if "match_group" not in scored.table.columns:
        against = "all controls"
    how = f"Positives of each against {against}." if scored.labelled else "The rows of each."
    measured = [each for each in strata if not each[0].reason]
    metrics = list(
        dict.fromkeys(m for _, scores in measured for found in scores.values() for m in found)
    )
    tables = [
        (readable_metric(metric), _table(scored, column, measured, metric)) for metric in metrics
    ]
    first, others = tables[:1], tables[1:]
    return section(
        _TITLES[column],
        tag("p", how, class_="remark"),
        [(tag("h3", f"{name} ± SE"), drawn) for name, drawn in first],
        [folded(f"{name} ± SE", drawn) for name, drawn in others],
        _unmeasured(scored, column, [part for part, _ in strata if part.reason]),
    )


def _table(
    scored: ScoredVariants,
    column: str,
    strata: list[tuple[Stratum, dict[str, Found]]],
    metric: str,
) -> Markup:
    rows = [
        (part.name, *_sizes(scored, part), *(_cell(scores[s].get(metric)) for s in scored.scores))
        for part, scores in strata
    ]
    counted = ("positives", "controls") if scored.labelled else ("rows",)
    return table((column, *counted, *map(readable_score, scored.scores)), rows)


def _sizes(scored: ScoredVariants, part: Stratum) -> tuple[str, ...]:
    counts = (part.positives, part.controls) if scored.labelled else (part.controls,)
    return tuple(number(count, 0) for count in counts)


def _cell(found: Estimate | str | None) -> str:
    return with_error(*found) if isinstance(found, Estimate) else "n/a"


def _unmeasured(
    scored: ScoredVariants, column: str, strata: list[Stratum]
) -> tuple[Markup, Markup] | None:
    if not strata:
        return None
    counted = ("positives", "controls") if scored.labelled else ("rows",)
    rows = [(part.name, part.reason, *_sizes(scored, part)) for part in strata]
    needed = (
        f"{MINIMUM} positives and {MINIMUM} controls" if scored.labelled else f"{MINIMUM} rows"
    )
    return (
        tag("h3", f"Not measured, for lack of {needed}"),
        table((column, "reason", *counted), rows, words=2),
    )
