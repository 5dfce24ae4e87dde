"""A dot chart: a row a value, read by its position, with an error bar where there is one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from glm_composer.report.axes import BOTTOM, LETTER, RIGHT, TOP, WIDTH, svg, x_axis
from glm_composer.report.markup import Markup, tag
from glm_composer.report.scales import Scale, limits_of, with_room

_ROW, _NAMES, _VALUES = 26, 124, 50


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One row of a dot chart: its label, its value and the value as text.

    Attributes:
        label: to the left.
        value: finite.
        text: in a column of values to the right.
        colour: class of the page's style.
        spread: half the length of its error bar; there is none where it is not finite.
    """

    label: str
    value: float
    text: str
    colour: str
    spread: float = math.nan


def dot_chart(dots: Sequence[Dot], *, title: str, x_label: str, mark: float | None) -> Markup:
    """Draw a row for each value on an axis that spans just the values: positions, never lengths.

    Args:
        dots: from the top down.
        title: for readers who hear the page.
        x_label: with its unit.
        mark: value of a vertical line through all rows.
    """
    # Long names and values widen the picture, so that rows keep their room.
    names = max(_NAMES, 14 + LETTER * max(len(dot.label) for dot in dots))
    values = max(_VALUES, 14 + LETTER * max(len(dot.text) for dot in dots))
    width = WIDTH + names - _NAMES + values - _VALUES
    end = width - RIGHT - values
    bottom = TOP + _ROW * len(dots)
    reach = [d.value + sign * _spread(d) for d in dots for sign in (-1, 1)]
    limits = limits_of(reach if mark is None else [*reach, mark])
    across = Scale(*with_room(limits, 0.12), names, end)
    rows = [_row(dot, across, TOP + _ROW * (i + 0.5), width) for i, dot in enumerate(dots)]
    through = None
    if mark is not None:
        at = f"{float(across(mark)):.1f}"
        through = tag("line", class_="level", x1=at, x2=at, y1=TOP, y2=bottom)
    axis = x_axis(across, bottom, x_label, top=TOP)
    return svg(width, bottom + BOTTOM, title, axis, through, *rows)


def _row(dot: Dot, across: Scale, y: float, width: float) -> list[Markup]:
    low, x, high = (float(across(dot.value + sign * _spread(dot))) for sign in (-1, 0, 1))
    bar = None
    if high > low:
        bar = tag(
            "line", class_=f"bar {dot.colour}", x1=f"{low:.1f}", x2=f"{high:.1f}", y1=y, y2=y
        )
    return [
        tag("line", class_="grid", x1=across.start, x2=across.end, y1=y, y2=y),
        tag("text", dot.label, x=across.start - 10, y=y + 4, text_anchor="end"),
        *([bar] if bar else []),
        tag("circle", class_=f"dot {dot.colour}", cx=f"{x:.1f}", cy=y, r=5),
        tag("text", dot.text, class_="value", x=f"{width:.1f}", y=y + 4, text_anchor="end"),
    ]


def _spread(dot: Dot) -> float:
    return dot.spread if math.isfinite(dot.spread) else 0.0
