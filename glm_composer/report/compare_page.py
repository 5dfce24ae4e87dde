"""Several runs on one self-contained HTML page: a chart a metric, a line a run."""

import numpy as np

from glm_composer.report.blocks import figure, folded, grid, predictor_colour, section, table
from glm_composer.report.charts import Level, Series, line_chart
from glm_composer.report.compare import (
    COLUMNS,
    Comparison,
    differing_settings,
    standard_errors,
    summary_rows,
)
from glm_composer.report.document import document
from glm_composer.report.markup import Child, Markup, tag

_STEP = "step (optimizer updates)"
# Drawn openly; what else a table logged is folded away.
_FIRST = {"auprc": "AUPRC", "auprc_by_chrom": "AUPRC by chromosome", "auroc": "AUROC"}


def page(comparison: Comparison) -> str:
    """Return the comparison as HTML."""
    count = len(comparison.runs)
    title = f"{count} runs compared" if count > 1 else "1 run"
    listed = tag("p", ", ".join(comparison.runs))
    return document(title, tag("header", tag("h1", title), listed), body(comparison))


def body(comparison: Comparison) -> list[Child]:
    """Return the sections of a comparison."""
    return [
        _notes(comparison),
        [_table_section(comparison, name) for name in comparison.tables],
        _loss_section(comparison),
        _settings_section(comparison),
    ]


def _notes(comparison: Comparison) -> Markup | None:
    if not comparison.notes:
        return None
    listed = tag("ul", [tag("li", sentence) for sentence in comparison.notes])
    return tag("div", tag("strong", "Before you compare"), listed, class_="note")


def _table_section(comparison: Comparison, name: str) -> Markup:
    metrics, headline = comparison.metrics(name), comparison.headline(name)
    first = [metric for metric in _FIRST if metric in metrics]
    others = [metric for metric in metrics if metric not in _FIRST]
    charts = {metric: _chart(comparison, name, metric) for metric in metrics}

    def values(some: list[str]) -> Markup:
        names = [(f"eval/{name}/{metric}", _FIRST.get(metric, metric)) for metric in some]
        return table(COLUMNS, summary_rows(comparison, names), words=2)

    return section(
        f"Variant effects: {name}",
        tag("p", "Zero-shot, during training. Bars and ±: 1 SE.", class_="remark"),
        grid([charts[metric] for metric in first]),
        tag("h3", "Last and best values"),
        values(headline),
        folded("Other metrics", grid([charts[metric] for metric in others]), values(others))
        if others
        else None,
    )


def _chart(comparison: Comparison, table_name: str, metric: str) -> Markup | None:
    rates = {
        rate
        for run in comparison.runs.values()
        for rate in run.metric(f"eval/{table_name}/base_rate")[1].tolist()
    }
    # What AUPRC is without any skill; of other metrics it says nothing.
    known = metric.rpartition("/")[2].startswith("auprc") and len(rates) == 1
    levels = [Level(value=rate, label=f"base rate {rate:.3f}") for rate in rates if known]
    shown = _FIRST.get(metric, metric)
    return _curves(
        comparison, f"eval/{table_name}/{metric}", f"{shown} on {table_name}", shown, levels
    )


def _loss_section(comparison: Comparison) -> Markup | None:
    names = comparison.losses()
    if not names:
        return None
    drawn = [
        _curves(comparison, name, f"Loss, {name.partition('/')[0]} split", "nats per base", [])
        for name in names
    ]
    return section(
        "Held-out loss",
        grid(drawn),
        tag("h3", "Last and best values"),
        table(COLUMNS, summary_rows(comparison, [(name, name) for name in names]), words=2),
    )


def _curves(
    comparison: Comparison, metric: str, title: str, y_label: str, levels: list[Level]
) -> Markup | None:
    """A line and points with error bars for each run that logged the metric."""
    lines, points, last = [], [], 1.0
    for name, run in comparison.runs.items():
        steps, values = run.metric(metric)
        if not np.isfinite(values).any():
            continue
        colour = predictor_colour(list(comparison.runs), name)
        spread = standard_errors(run, metric)
        lines.append(Series(label=name, x=steps, y=values, colour=colour))
        points.append(
            Series(label=name, x=steps, y=values, colour=colour, kind="points", spread=spread)
        )
        last = max(last, float(steps[-1]))
    if not lines:
        return None
    chart = line_chart(
        [*lines, *points],
        title=f"{title} over training steps",
        x_label=_STEP,
        y_label=y_label,
        x_limits=(0.0, last),
        levels=levels,
    )
    return figure(title, chart, f"Metric {metric}.", lines)


def _settings_section(comparison: Comparison) -> Markup:
    differing = differing_settings(comparison)
    rows: list[list[Child]] = [[tag("code", key), *values] for key, values in differing.items()]
    rows.append(["directory", *(str(run.directory) for run in comparison.runs.values())])
    return section(
        "Settings that differ",
        table(["setting", *comparison.runs], rows, words=1 + len(comparison.runs)),
    )
