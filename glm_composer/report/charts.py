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

from glm_composer.report.markup import Markup, tag
from glm_composer.report.scales import Scale, limits_of, thinned, ticks, with_room

Floats = NDArray[np.float64]

# In units of the viewBox; small, so that its text stays readable on a phone.
_WIDTH, _HEIGHT = 440, 264
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 12, 42
_ROW, _NAMES = 26, 124


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, or one set of points, of a chart.

    Attributes:
        label: what a reader calls it.
        x: float [n], not falling where it is a line.
        y: float [n]; a line is interrupted where it is not finite, a point left out.
        colour: class of the page's style.
        kind: how it is drawn; `faint` is a thin pale line, for raw values behind a smoothed line.
        spread: float [n], half the length of an error bar; where it is not finite there is none.
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    colour: str
    kind: Literal["line", "faint", "points"] = "line"
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
    across = Scale(*(x_limits or limits_of([s.x for s in series])), _LEFT, _WIDTH - _RIGHT)
    if y_limits is None:
        found = [s.y for s in series] + [level.value for level in levels]
        found += [np.add(s.y, sign * np.array(_spread(s))) for s in series for sign in (-1, 1)]
        y_limits = with_room(limits_of(found))
    up = Scale(*y_limits, _HEIGHT - _BOTTOM, _TOP)
    # Points on the left and right edge, and lines along the others, stay whole.
    x, width = _LEFT - 6, _WIDTH - _RIGHT - _LEFT + 12
    y, height = _TOP - 2, _HEIGHT - _BOTTOM - _TOP + 4
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
    return _svg(
        _HEIGHT, title, _x_axis(across, _HEIGHT - _BOTTOM, x_label), _y_axis(up, y_label), inside
    )


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One row of a dot chart: its label, its value and the value as text."""

    label: str
    value: float
    text: str
    colour: str


def dot_chart(dots: Sequence[Dot], *, title: str, x_label: str, mark: float | None) -> Markup:
    """Draw a row for each value on an axis that spans just the values: positions, never lengths.

    Args:
        dots: from the top down; finite values.
        title: for readers who hear the page.
        x_label: with its unit.
        mark: value of a vertical line through all rows.
    """
    bottom = _TOP + _ROW * len(dots)
    across = Scale(*with_room(limits_of([d.value for d in dots]), 0.12), _NAMES, _WIDTH - _RIGHT)
    rows = []
    for i, dot in enumerate(dots):
        x, y = float(across(dot.value)), _TOP + _ROW * (i + 0.5)
        fits = x < _WIDTH - _RIGHT - 52
        rows += [
            tag("line", class_="grid", x1=_NAMES, x2=_WIDTH - _RIGHT, y1=y, y2=y),
            tag("text", dot.label, x=_NAMES - 10, y=y + 4, text_anchor="end"),
            tag("circle", class_=f"dot {dot.colour}", cx=f"{x:.1f}", cy=y, r=5),
            tag(
                "text",
                dot.text,
                class_="value",
                x=f"{x + (9 if fits else -9):.1f}",
                y=y + 4,
                text_anchor="start" if fits else "end",
            ),
        ]
    through = None
    if mark is not None:
        at = f"{float(across(mark)):.1f}"
        through = tag("line", class_="level", x1=at, x2=at, y1=_TOP, y2=bottom)
    axis = _x_axis(across, bottom, x_label, top=_TOP)
    return _svg(bottom + _BOTTOM, title, axis, through, *rows)


def _spread(series: Series) -> Floats:
    if series.spread is None:
        return np.zeros(np.shape(series.y))
    return np.nan_to_num(np.asarray(series.spread, dtype=np.float64), nan=0.0, posinf=0.0)


def _draw(series: Series, across: Scale, up: Scale) -> list[Markup]:
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    if series.kind != "points":
        path = _path(across(x), up(y))
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


def _x_axis(across: Scale, y: float, label: str, top: float | None = None) -> list[Markup]:
    drawn = [tag("line", class_="axis", x1=across.start, x2=across.end, y1=y, y2=y)]
    for value, text in zip(*ticks(across.low, across.high), strict=True):
        x = f"{float(across(value)):.1f}"
        drawn.append(tag("line", class_="axis", x1=x, x2=x, y1=y, y2=y + 4))
        if top is not None:
            drawn.append(tag("line", class_="grid", x1=x, x2=x, y1=top, y2=y))
        # A long number at the right end would run out of the picture.
        last = float(x) > _WIDTH - _RIGHT - 1
        where = {"x": _WIDTH, "text_anchor": "end"} if last else {"x": x, "text_anchor": "middle"}
        drawn.append(tag("text", text, y=y + 16, **where))
    middle = (across.start + across.end) / 2
    return [*drawn, tag("text", label, class_="label", x=middle, y=y + 35, text_anchor="middle")]


def _y_axis(up: Scale, label: str) -> list[Markup]:
    drawn = []
    for value, text in zip(*ticks(up.low, up.high), strict=True):
        y = float(up(value))
        drawn.append(
            tag("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}")
        )
        drawn.append(tag("text", text, x=_LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end"))
    middle = (up.start + up.end) / 2
    turned = f"translate(11 {middle}) rotate(-90)"
    return [*drawn, tag("text", label, class_="label", transform=turned, text_anchor="middle")]


def _svg(height: float, title: str, *content: Markup | list[Markup] | None) -> Markup:
    view = f"0 0 {_WIDTH} {height:g}"
    return tag("svg", *content, viewBox=view, role="img", aria_label=title)
