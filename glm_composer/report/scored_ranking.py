"""The part of a scored table's page that says how well its scores rank, beside published ones."""

from dataclasses import replace

from glm_composer.evaluation.figures import Figures, Found
from glm_composer.evaluation.metrics import Estimate, curve
from glm_composer.evaluation.published import BENCHMARKS, MODELS, SOURCE, SUBSET
from glm_composer.evaluation.scored import ScoredVariants
from glm_composer.report.blocks import figure, grid, section, table
from glm_composer.report.charts import Level, Series, line_chart
from glm_composer.report.dots import Dot, dot_chart
from glm_composer.report.markup import Markup, tag
from glm_composer.report.numbers import with_error
from glm_composer.report.scales import step_line
from glm_composer.report.score_names import PROBE, readable_metric, readable_score, score_colour


def metric_names(scores: dict[str, Found]) -> list[str]:
    """Metrics that were asked of any score, in the order of their names' table."""
    return list(dict.fromkeys(metric for found in scores.values() for metric in found))


def metric_rows(scores: dict[str, Found]) -> list[list[str]]:
    """Cells of a table of all figures, a score a row below the header."""
    names = metric_names(scores)
    header = ["score", *(f"{readable_metric(name)} ± SE" for name in names)]
    rows = [
        [readable_score(score), *(_cell(found.get(name)) for name in names)]
        for score, found in scores.items()
    ]
    return [header, *rows]


def _cell(found: Estimate | str | None) -> str:
    return with_error(*found) if isinstance(found, Estimate) else "n/a"


def ranking_section(scored: ScoredVariants, figures: Figures) -> Markup:
    """Curves and figures of all scores over the whole table."""
    header, *rows = metric_rows(figures.scores)
    charts = None
    if scored.labelled:
        charts = grid(_curves(scored), _bars(scored, figures))
    return section(
        "How well the scores rank",
        charts,
        table(header, rows),
        tag("p", _definitions(metric_names(figures.scores)), class_="remark"),
        tag("p", _PROBE, class_="remark") if PROBE in figures.scores else None,
    )


_DEFINED = {
    "auprc": "AUPRC: average precision; SE from 100 bootstraps stratified by label.",
    "auprc_by_chrom": (
        "By chromosome: TraitGym's AUPRC_by_chrom_weighted_average, the average over chromosomes "
        "weighted by their variants; SE from 1,000 bootstraps over chromosomes, unknown for one."
    ),
    "auroc": "AUROC: how often a positive outranks a control; SE as that of AUPRC.",
    "mrr": (
        "MRR: mean of 1 / the positive's rank in its match group, ties sharing their mean rank; "
        "SE over groups."
    ),
    "pairwise_accuracy": (
        "Pairwise accuracy: share of its own controls that a positive outscores, ties counting "
        "half; SE over groups."
    ),
    "pearson": "Pearson and Spearman: correlation with the quantity; SE from 100 bootstraps.",
}


_PROBE = (
    "The linear probe, unlike zero-shot scores, has seen labels: a chromosome is predicted by a "
    "logistic regression on the embeddings of all others (TraitGym's: mean-filled, standardised, "
    "balanced, C by average precision in five folds of chromosomes)."
)


def _definitions(names: list[str]) -> str:
    return " ".join(_DEFINED[name] for name in names if name in _DEFINED)


def _curves(scored: ScoredVariants) -> Markup:
    label = scored.table["label"]
    series = []
    for name in scored.scores:
        points = curve(label, scored.table[name])
        x, y = step_line(points.recall, points.precision)
        colour = score_colour(scored.scores, name)
        series.append(Series(label=readable_score(name), x=x, y=y, colour=colour))
    rate = float(label.mean())  # type: ignore[arg-type]
    chart = line_chart(
        # The first last, so that it lies on top.
        series[::-1],
        title="Precision and recall",
        x_label="recall (share of the positives found)",
        y_label="precision",
        x_limits=(0.0, 1.0),
        y_limits=(0.0, 1.0),
        levels=[Level(value=rate, label=f"base rate {rate:.3f}", at="start")],
    )
    caption = "Precision among the highest scores until a share of the positives is found."
    return figure("Precision and recall", chart, caption, series)


def _bars(scored: ScoredVariants, figures: Figures) -> Markup | None:
    dots = _own_dots(figures)
    if not dots:
        return None
    rate = float(scored.table["label"].mean())  # type: ignore[arg-type]
    chart = dot_chart(
        sorted(dots, key=lambda dot: -dot.value),
        title="AUPRC of each score",
        x_label="AUPRC",
        mark=rate,
    )
    return figure("AUPRC", chart, f"Bars: ± SE. Dashed: base rate {rate:.3f}.")


def _own_dots(figures: Figures) -> list[Dot]:
    names = list(figures.scores)
    found = {name: each.get("auprc") for name, each in figures.scores.items()}
    return [
        Dot(
            label=readable_score(name),
            value=each.value,
            text=with_error(*each),
            colour=score_colour(names, name),
            spread=each.se,
        )
        for name, each in found.items()
        if isinstance(each, Estimate)
    ]


def published_section(figures: Figures) -> Markup | None:
    """The scores beside published ones of the same table; None where the table is another."""
    comparison = figures.comparison
    if comparison is None:
        return None
    benchmark = BENCHMARKS[comparison.name]
    theirs = [
        Dot(
            label=f"{each.model}, {each.score}",
            value=each.auprc,
            text=with_error(each.auprc, each.se),
            colour="p1",
            spread=each.se,
        )
        for each in benchmark.figures
    ]
    ours = [replace(dot, label=f"this table, {dot.label}") for dot in _own_dots(figures)]
    dots = sorted(ours + theirs, key=lambda dot: -dot.value)
    chart = dot_chart(dots, title="AUPRC beside published ones", x_label="AUPRC", mark=0.1)
    caption = (
        "AUPRC over the whole subset, not by chromosome. Bars: ± SE. Grey: published. Dashed: "
        "base rate 0.100."
    )
    known = (
        tag("p", "This table was taken for that subset by its columns and counts.")
        if not comparison.misfits
        else tag(
            "p",
            "This table is not that subset, and the figures are not comparable as they stand: "
            f"{'; '.join(comparison.misfits)}. They are shown because that was asked for.",
            class_="note",
        )
    )
    return section(
        f"Beside published figures: {benchmark.title}",
        known,
        figure("AUPRC", chart, caption),
        tag("p", f"Published figures: subset {SUBSET}; {SOURCE}. {MODELS}.", class_="remark"),
    )
