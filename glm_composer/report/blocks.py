"""The few shapes a report is made of: sections, figures, tables, lists of facts, folded text."""

from collections.abc import Iterable, Sequence

from glm_composer.report.charts import Series
from glm_composer.report.markup import Child, Markup, tag

# Classes of the page's style that hold a colour; the model has the first.
_COLOURS = 7


def predictor_colour(predictors: Sequence[str], name: str) -> str:
    """Class of a predictor's colour, the same all over a report."""
    place = predictors.index(name)
    # A second round through the colours is told apart by dashes.
    return f"p{place % _COLOURS}" + (" dashed" if place >= _COLOURS else "")


def section(title: str, *children: Child) -> Markup:
    """A titled part of the page."""
    return tag("section", tag("h2", title), *children)


def figure(title: str, chart: Markup, caption: str, series: Iterable[Series] = ()) -> Markup:
    """A chart with its title, a legend of its series where there are several, and a caption."""
    named = [s for s in series if s.label]
    legend = tag(
        "ul",
        [tag("li", tag("i", class_=f"swatch {s.kind} {s.colour}"), s.label) for s in named],
        class_="legend",
    )
    return tag(
        "figure",
        tag("h3", title),
        legend if len(named) > 1 else None,
        chart,
        tag("figcaption", caption),
    )


def grid(*children: Child) -> Markup:
    """Blocks in two columns, in one on a narrow screen."""
    return tag("div", *children, class_="grid")


def table(
    header: Sequence[Child],
    rows: Iterable[Sequence[Child]],
    *,
    words: int = 1,
    emphasised: int | None = None,
) -> Markup:
    """A table that scrolls sideways where it does not fit.

    Args:
        header: names of the columns, with units.
        rows: cells.
        words: how many columns from the left hold words; the others are numbers, to the right.
        emphasised: index of a row to stand out.
    """

    def cell(name: str, column: int, content: Child) -> Markup:
        return tag(name, content, class_="word" if column < words else "number")

    body = [
        tag(
            "tr",
            [cell("td", column, content) for column, content in enumerate(row)],
            class_="emphasised" if place == emphasised else None,
        )
        for place, row in enumerate(rows)
    ]
    head = tag("tr", [cell("th", column, content) for column, content in enumerate(header)])
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="scroll")


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they stand for; a pair without content is left out."""
    return tag(
        "dl",
        [(tag("dt", name), tag("dd", content)) for name, content in pairs if content is not None],
    )


def folded(title: str, *children: Child) -> Markup:
    """Content that opens on demand."""
    return tag("details", tag("summary", title), *children)
