"""A sweep as a page: the best first, and the metric against everything that was varied."""

import math
from collections.abc import Sequence
from pathlib import Path

from glm_composer.report.blocks import facts, figure, grid, section, table
from glm_composer.report.document import document, replace_text
from glm_composer.report.markup import Child, Markup, tag
from glm_composer.sweeps.definition import Definition
from glm_composer.sweeps.dimensions import Choice, Dimension
from glm_composer.sweeps.journal import Trial
from glm_composer.sweeps.picture import Point, scatter
from glm_composer.sweeps.results import (
    described,
    header,
    ranked,
    rows,
    seed_header,
    seed_rows,
    train_again,
)
from glm_composer.sweeps.trial import run_name

PAGE = "report.html"


def write_page(directory: Path, definition: Definition, trials: Sequence[Trial]) -> Path:
    """Write `report.html`, replacing an earlier one at once; return its path.

    Raises:
        UserError: it cannot be written.
    """
    path = directory / PAGE
    replace_text(path, page(definition, trials))
    return path


def page(definition: Definition, trials: Sequence[Trial]) -> str:
    """Return the page of a sweep, also of one that goes on."""
    title = f"Sweep {definition.name}"
    finished = [trial for trial in ranked(definition, trials) if trial.value is not None]
    return document(
        title,
        tag("header", tag("h1", title), tag("p", str(definition.file))),
        _summary(definition, trials, finished),
        _pictures(definition, finished) if finished else None,
        _tables(definition, trials, finished),
    )


def _summary(definition: Definition, trials: Sequence[Trial], finished: Sequence[Trial]) -> Markup:
    pairs: list[tuple[str, Child]] = [
        ("trials", f"{len(finished)} of {len(trials)} finished"),
        ("metric", f"{definition.metric}, {definition.direction}"),
        ("search", definition.search),
        ("for all", ", ".join(definition.fixed) or None),
    ]
    if finished:
        best = finished[0]
        pairs += [
            ("best", f"{run_name(definition, best.number)}: {described(definition, best)}"),
            ("train it again", tag("code", train_again(definition, best))),
        ]
    return section("Best", facts(pairs))


def _pictures(definition: Definition, finished: Sequence[Trial]) -> Markup:
    drawn = [_dimension(definition, each, finished) for each in definition.dimensions]
    return section(
        f"{definition.metric} by what was varied", grid(drawn, _history(definition, finished))
    )


def _dimension(definition: Definition, dimension: Dimension, finished: Sequence[Trial]) -> Markup:
    key, places, label = dimension.key, list[str](), dimension.key
    if isinstance(dimension, Choice):
        # With values that an earlier grid of this sweep had.
        places = list(dict.fromkeys([*dimension.values, *(each.values[key] for each in finished)]))
        xs = [float(places.index(each.values[key])) for each in finished]
    else:
        xs = [float(each.values[key]) for each in finished]
        if dimension.log:
            xs, label = [math.log10(x) for x in xs], f"log10 of {key}"
    chart = scatter(
        _points(definition, finished, xs),
        title=f"{definition.metric} against {key}",
        x_label=label,
        y_label=definition.metric,
        places=places,
    )
    return figure(key, chart, "A point a trial; the best is larger.")


def _history(definition: Definition, finished: Sequence[Trial]) -> Markup:
    in_order = sorted(finished, key=lambda trial: trial.number)
    line: list[tuple[float, float]] = []
    for trial in in_order:
        assert trial.value is not None
        before = line[-1][1] if line else trial.value
        line += [
            (float(trial.number), before),
            (float(trial.number), min(before, trial.value, key=definition.better)),
        ]
    chart = scatter(
        _points(definition, finished, [float(each.number) for each in finished]),
        title=f"{definition.metric} trial by trial",
        x_label="trial",
        y_label=definition.metric,
        line=line,
    )
    return figure("Trial by trial", chart, "The line is the best so far.")


def _points(definition: Definition, finished: Sequence[Trial], xs: Sequence[float]) -> list[Point]:
    return [
        Point(
            x=x,
            y=trial.value if trial.value is not None else math.nan,
            name=f"{run_name(definition, trial.number)}: {described(definition, trial)}",
            best=trial is finished[0],
        )
        for x, trial in zip(xs, finished, strict=True)
    ]


def _tables(definition: Definition, trials: Sequence[Trial], finished: Sequence[Trial]) -> Markup:
    without = [
        (run_name(definition, trial.number), f"{trial.state}: {trial.message}")
        for trial in trials
        if trial.message
    ]
    seeds = seed_rows(definition, trials)
    return section(
        "Trials",
        table(
            header(definition),
            rows(definition, trials),
            words=2 + len(definition.keys),
            emphasised=0 if finished else None,
        ),
        [
            tag("h3", "Over seeds"),
            table(seed_header(definition), seeds, words=len(definition.keys) - 1),
        ]
        if seeds
        else None,
        [tag("h3", "Without a result"), facts(without)] if without else None,
    )
