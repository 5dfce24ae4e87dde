"""How well scores tell the variants of a table apart: the model's beside the baselines'."""

import re
from collections.abc import Mapping

from glm_composer.evaluation.metrics import auprc, curve
from glm_composer.report.blocks import figure, folded, grid, predictor_colour, section, table
from glm_composer.report.charts import Level, Series, line_chart
from glm_composer.report.markup import Markup, tag
from glm_composer.report.numbers import (
    best_baseline,
    by_consequence,
    is_derived,
    number,
    readable,
    with_error,
)
from glm_composer.report.record import MODEL, Run, ScoredTable
from glm_composer.report.scales import step_line

COLUMNS = ("predictor", "AUPRC ± SE", "by chrom. ± SE", "AUROC")


def auprc_rows(figures: Mapping[str, dict[str, float]]) -> list[tuple[str, ...]]:
    """Cells of a table of figures: predictor or score, AUPRC, by-chromosome AUPRC, AUROC."""
    return [
        (
            readable(name),
            with_error(f["auprc"], f["auprc_se"]),
            with_error(f["auprc_by_chrom"], f["auprc_by_chrom_se"]),
            number(f["auroc"], 3),
        )
        for name, f in figures.items()
    ]


def counts(scored: ScoredTable) -> str:
    """What the figures of a table were computed on, in words."""
    f = scored.figures[MODEL]
    return (
        f"{number(f['n'], 0)} variants on {', '.join(scored.chroms)}: "
        f"{number(f['n_positive'], 0)} positives, {number(f['n'] - f['n_positive'], 0)} controls, "
        f"base rate {number(f['base_rate'], 3)}"
    )


def best_auprc(scored: ScoredTable) -> str:
    """The best baseline of a table and its AUPRC, in words."""
    best = best_baseline({k: f["auprc"] for k, f in scored.figures.items()}, lowest=False)
    if best is None:
        return "no baseline to compare with"
    f = scored.figures[best]
    return f"best baseline, {readable(best)}: {with_error(f['auprc'], f['auprc_se'])}"


def variant_section(run: Run, scored: ScoredTable) -> Markup:
    """Curves and figures of one variant table."""
    score, *_ = run.setting(f"evaluation.tables.{scored.name}.scores") or [None]
    strands = run.setting(f"evaluation.tables.{scored.name}.strands")
    how = f" Score: {score}, strands: {strands}; higher ranks first." if score else ""
    cells = table(
        COLUMNS,
        auprc_rows(scored.figures),
        emphasised=list(scored.figures).index(MODEL),
    )
    lone = " With one chromosome its SE is unknown." if len(scored.chroms) == 1 else ""
    note = (
        "AUPRC: average precision; SE from 100 bootstraps stratified by label. By chromosome: "
        "average over chromosomes weighted by their variants, SE from 1,000 bootstraps over "
        f"chromosomes.{lone}"
    )
    return section(
        f"Variant effects: {scored.name}",
        tag("p", f"Zero-shot, without any training on labels. {counts(scored)}.{how}"),
        *_remarks(scored),
        grid(_curves(run, scored), tag("div", cells, tag("p", note, class_="remark"))),
        _others(scored),
        _strata(scored),
        _card(scored),
    )


def _others(scored: ScoredTable) -> list[Markup] | None:
    if not scored.others:
        return None
    header = ("score of the model", *COLUMNS[1:])
    return [tag("h3", "Other scores of the model"), table(header, auprc_rows(scored.others))]


def _remarks(scored: ScoredTable) -> list[Markup]:
    said = []
    if scored.rows is not None and is_derived(scored.rows):
        said.append(tag("p", _derived(scored), class_="note"))
    stale = _stale(scored)
    if stale:
        said.append(tag("p", stale, class_="note"))
    return said


def _derived(scored: ScoredTable) -> str:
    said = (
        "The labels are derived, not clinical: by the genetic code, positives lose a start codon "
        "or gain a stop codon, controls are synonymous. Most of the signal is the reading frame: "
        "to find it is most of what this table asks."
    )
    if scored.card is None:
        return said
    # The wording is that of conversion.coding_card; the dataset may have been made anew since.
    if f"{scored.total:,} SNVs:" not in scored.card:
        return f"{said} The card below is of another table, made since: see its counts."
    found = re.search(r"gets an AUPRC of (\d\.\d+)", scored.card)
    if found:
        said += (
            f" Its card gives an AUPRC of {found[1]}, over the whole table, to a ranking that "
            "knows the codon position of a variant and nothing else."
        )
    return said


def _stale(scored: ScoredTable) -> str | None:
    if scored.rows is None:
        return None
    for name, figures in scored.figures.items():
        found = auprc(scored.rows["label"], scored.rows[name])
        if abs(found - figures["auprc"]) > 1e-6:
            return (
                f"summary.json and {scored.name}.parquet do not belong together: the AUPRC of "
                f"{readable(name)} is {figures['auprc']:.6f} in one and {found:.6f} by the "
                "other's scores. Evaluate again."
            )
    return None


def _curves(run: Run, scored: ScoredTable) -> Markup | None:
    if scored.rows is None:
        return None
    series = []
    # The model last, so that it lies on top.
    for name in reversed(scored.figures):
        points = curve(scored.rows["label"], scored.rows[name])
        x, y = step_line(points.recall, points.precision)
        colour = predictor_colour(run.predictors, name)
        series.append(Series(label=readable(name), x=x, y=y, colour=_weighted(colour, name)))
    rate = scored.figures[MODEL]["base_rate"]
    chart = line_chart(
        series,
        title=f"Precision and recall on {scored.name}",
        x_label="recall (share of the positives found)",
        y_label="precision",
        x_limits=(0.0, 1.0),
        y_limits=(0.0, 1.0),
        levels=[Level(value=rate, label=f"base rate {rate:.3f}", at="start")],
    )
    caption = "Precision among the highest scores until a share of the positives is found."
    return figure("Precision and recall", chart, caption, series[::-1])


def _weighted(colour: str, name: str) -> str:
    return f"{colour} strong" if name == MODEL else colour


def _strata(scored: ScoredTable) -> list[Markup] | None:
    if scored.rows is None:
        return None
    names = list(scored.figures)
    strata = by_consequence(scored.rows, names)
    if not strata:
        return None
    matched = "match_group" in scored.rows.columns
    rows = [
        (
            each.consequence,
            number(each.positives, 0),
            number(each.controls, 0),
            *(with_error(*each.auprc[name]) for name in names),
        )
        for each in strata
    ]
    header = ("consequence", "positives", "controls", *map(readable, names))
    against = "the controls of their own match groups" if matched else "all controls"
    return [
        tag("h3", "AUPRC by consequence of the positives, ± SE"),
        tag("p", f"Positives of each consequence against {against}.", class_="remark"),
        table(header, rows),
    ]


def _card(scored: ScoredTable) -> Markup | None:
    if scored.card is None:
        return None
    return folded(f"The table's card, {scored.card_path}", tag("pre", scored.card))
