"""The page of a scored table: how well its scores rank, where, and where they come from."""

import math

from glm_composer.evaluation.figures import Figures
from glm_composer.evaluation.metrics import Estimate
from glm_composer.evaluation.scored import ScoredVariants
from glm_composer.report.blocks import facts, section
from glm_composer.report.document import document
from glm_composer.report.markup import Child, Markup, tag
from glm_composer.report.numbers import number
from glm_composer.report.score_names import readable_metric, readable_score
from glm_composer.report.scored_parts import histograms, strata_sections
from glm_composer.report.scored_ranking import published_section, ranking_section

# More would not fit a row of cards.
_CARDS = 4


def page(scored: ScoredVariants, figures: Figures) -> str:
    """Return the report of a scored table as HTML."""
    name = scored.path.name
    return document(
        f"Scores of {name}",
        tag("header", tag("h1", f"Scores of {name}"), tag("p", counts(scored))),
        tag("div", _cards(figures), class_="keys"),
        _notes(scored, figures),
        ranking_section(scored, figures),
        published_section(figures),
        histograms(scored),
        strata_sections(scored, figures),
        _provenance_section(scored),
    )


def counts(scored: ScoredVariants) -> str:
    """What was measured, in words."""
    rows = len(scored.table)
    said = f"{number(rows, 0)} variants"
    if "chrom" in scored.table.columns:
        chromosomes = scored.table["chrom"].n_unique()
        said += f" on {chromosomes} chromosome{'s' if chromosomes > 1 else ''}"
    if scored.labelled:
        positives = int(scored.table["label"].sum())
        said += (
            f": {number(positives, 0)} positives, {number(rows - positives, 0)} controls, "
            f"base rate {number(positives / rows, 3)}"
        )
    return f"{said}."


def _cards(figures: Figures) -> list[Markup]:
    """The headline figure of the first scores: the first metric that is defined."""
    cards = []
    for score, found in list(figures.scores.items())[:_CARDS]:
        known = {k: v for k, v in found.items() if isinstance(v, Estimate)}
        if not known:
            continue
        (metric, first), *others = known.items()
        se = f"± {number(first.se, 3)} SE" if math.isfinite(first.se) else "SE unknown"
        said = [f"{readable_metric(k)} {number(v.value, 3)}" for k, v in others[:2]]
        cards.append(
            tag(
                "div",
                tag("h2", f"{readable_metric(metric)}, {readable_score(score)}"),
                tag("b", number(first.value, 3), " ", tag("small", se)),
                [tag("p", line) for line in said],
                class_="key",
            )
        )
    return cards


def _notes(scored: ScoredVariants, figures: Figures) -> Markup | None:
    said = []
    if scored.left_out:
        said.append(
            f"{number(scored.left_out, 0)} rows without a score were left out, as asked; match "
            "groups that lost a member count as they are."
        )
    said += undefined(figures)
    for score, found in figures.scores.items():
        auroc = found.get("auroc")
        if isinstance(auroc, Estimate) and auroc.value + 2 * auroc.se < 0.5:
            said.append(
                f"{readable_score(score)} ranks controls above positives (AUROC "
                f"{number(auroc.value, 3)}). Everywhere on this page a higher score means "
                "positive: is its sign the wrong way round?"
            )
    if not said:
        return None
    listed = tag("ul", [tag("li", sentence) for sentence in said])
    return tag("div", tag("strong", "Before you read on"), listed, class_="note")


def undefined(figures: Figures) -> list[str]:
    """What could not be measured and why; a reason that scores share is given once."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for score, metrics in figures.scores.items():
        for metric, each in metrics.items():
            if isinstance(each, str):
                which, whose = found.setdefault(each, ({}, {}))
                which[readable_metric(metric)] = whose[readable_score(score)] = None
    return [
        f"{', '.join(which)}"
        + (f" of {', '.join(whose)}" if len(whose) < len(figures.scores) else "")
        + f": {reason}."
        for reason, (which, whose) in found.items()
    ]


def _provenance_section(scored: ScoredVariants) -> Markup:
    pairs: list[tuple[str, Child]] = [
        ("file", str(scored.path)),
        ("SHA-256", tag("code", scored.sha256)),
        ("columns measured", ", ".join(scored.scores)),
        ("measured quantity", scored.quantity),
    ]
    stated = [(key, tag("code", value)) for key, value in scored.metadata.items()]
    nothing = None if stated else tag("p", "The file says nothing of model and genome.")
    return section("Provenance", facts([*pairs, *stated]), nothing)
