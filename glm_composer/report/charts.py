"""Charts as inline SVG that take their colours from the page, so that light, dark and print work.

Drawn here rather than by matplotlib, whose colours are fixed when it draws, whose text cannot
follow the page's, and whose import takes longer than the whole report. Elements carry classes;
`style` gives them colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glm_composer.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, svg, x_axis, y_axis
from glm_composer.report.markup import Markup, tag
from glm_composer.report.scales import Scale, limits_of, thinned, with_room

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, or one set of points, of a chart.

    Attributes:
        label: what a reader calls it.
        x: float [n], not falling where it is a line.
        y: float [n]; a line is interrupted where it is not finite, a point left out.
        colour: class of the page's style.
        kind: how it is drawn; `faint` is a thin pale line, for raw values behind a smoothed line;
            `area` is filled down to 0, for a histogram's outline.
        spread: float [n], half the length of an error bar; where it is not finite there is none.
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    colour: str
    kind: Literal["line", "faint", "area", "points"] = "line"
    spread: ArrayLike | None = None


@dataclass(frozen=True, kw_only=True)
class Level:
    """A dashed horizontal line at a value that curves are read against, with its label below."""

    value: float
    label: str
    at: Literal["start", "end"] = "end"


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    levels: Sequence[Level] = (),
) -> Markup:
    """Draw series over common axes; what lies outside given limits is cut off at the frame.

    Args:
        series: at least one finite point among them all, drawn in this order.
        title: for readers who hear the page.
        x_label: with its unit.
        y_label: with its unit.
        x_limits: lowest and highest value; those of the data if not given.
        y_limits: the same; those of the data, error bars and levels, and a little room.
        levels: horizontal lines.
    """
    across = Scale(*(x_limits or limits_of([s.x for s in series])), LEFT, WIDTH - RIGHT)
    if y_limits is None:
        found = [s.y for s in series] + [level.value for level in levels]
        found += [np.add(s.y, sign * np.array(_spread(s))) for s in series for sign in (-1, 1)]
        y_limits = with_room(limits_of(found))
    up = Scale(*y_limits, HEIGHT - BOTTOM, TOP)
    # Points on the left and right edge, and lines along the others, stay whole.
    x, width = LEFT - 6, WIDTH - RIGHT - LEFT + 12
    y, height = TOP - 2, HEIGHT - BOTTOM - TOP + 4
    # An inner svg cuts off what lies outside it, without a clip path and its page-wide id.
    inside = tag(
        "svg",
        [_draw(each, across, up) for each in series],
        [_level(level, across, up) for level in levels],
        x=x,
        y=y,
        width=width,
        height=height,
        viewBox=f"{x} {y} {width} {height}",
    )
    return svg(
        WIDTH,
        HEIGHT,
        title,
        x_axis(across, HEIGHT - BOTTOM, x_label),
        y_axis(up, across, y_label),
        inside,
    )


def _spread(series: Series) -> Floats:
    if series.spread is None:
        return np.zeros(np.shape(series.y))
    return np.nan_to_num(np.asarray(series.spread, dtype=np.float64), nan=0.0, posinf=0.0)


def _draw(series: Series, across: Scale, up: Scale) -> list[Markup]:
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    if series.kind != "points":
        path = _path(across(x), up(y))
        if series.kind == "area":
            ground = float(up(0.0))
            path += (
                f"L{float(across(x[-1])):.1f} {ground:.1f}L{float(across(x[0])):.1f} {ground:.1f}Z"
            )
        return [tag("path", class_=f"{series.kind} {series.colour}", d=path)]
    drawn = []
    for at, value, spread in zip(x, y, _spread(series), strict=True):
        if not np.isfinite(value):
            continue
        cx, bar = f"{across(at):.1f}", up([value - spread, value + spread])
        name = f"{series.label}, step {at:,.0f}: {value:.4f}"
        if spread:
            name += f" ± {spread:.4f}"
            drawn.append(
                tag(
                    "line",
                    class_=f"bar {series.colour}",
                    x1=cx,
                    x2=cx,
                    y1=f"{bar[0]:.1f}",
                    y2=f"{bar[1]:.1f}",
                )
            )
        drawn.append(
            tag(
                "circle",
                tag("title", name),
                class_=f"dot {series.colour}",
                cx=cx,
                cy=f"{up(value):.1f}",
                r=3.5,
            )
        )
    return drawn


def _path(x: Floats, y: Floats) -> str:
    x, y = thinned(x, y)
    words, pen_up = [], True
    for a, b in zip(x, y, strict=True):
        if np.isfinite(b):
            words.append(f"{'M' if pen_up else 'L'}{a:.1f} {b:.1f}")
        pen_up = not np.isfinite(b)
    return "".join(words)


def _level(level: Level, across: Scale, up: Scale) -> list[Markup]:
    y = float(up(level.value))
    x = across.start + 6 if level.at == "start" else across.end - 4
    return [
        tag("line", class_="level", x1=across.start, x2=across.end, y1=f"{y:.1f}", y2=f"{y:.1f}"),
        tag(
            "text",
            level.label,
            class_="hint",
            x=x,
            y=f"{y + (13 if y < up.start - 18 else -5):.1f}",
            text_anchor=level.at,
        ),
    ]
