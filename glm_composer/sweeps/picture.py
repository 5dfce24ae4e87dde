"""The metric of a sweep's trials against one thing that was varied, as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from glm_composer.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, svg, x_axis, y_axis
from glm_composer.report.markup import Markup, tag
from glm_composer.report.scales import Scale, limits_of, with_room

# Characters of a value below an axis, over its whole width.
_LETTERS = 60


@dataclass(frozen=True, kw_only=True)
class Point:
    """A trial on a picture.

    Attributes:
        x: place along the horizontal axis.
        y: the metric.
        name: what shows when a reader points at it.
        best: whether it stands out.
    """

    x: float
    y: float
    name: str
    best: bool = False


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str,
    y_label: str,
    places: Sequence[str] = (),
    line: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Draw points, at least one.

    Args:
        points: to draw.
        title: for readers who hear the page.
        x_label: below the horizontal axis.
        y_label: beside the vertical one.
        places: names of x = 0, 1, ... where it is no number.
        line: corners of a line behind the points.
    """
    inside = (0.0, len(places) - 1.0) if len(places) > 1 else limits_of([[p.x for p in points]])
    across = Scale(*with_room(inside, 0.08), LEFT, WIDTH - RIGHT)
    up = Scale(*with_room(limits_of([[p.y for p in points]])), HEIGHT - BOTTOM, TOP)
    path = "L".join(f"{float(across(x)):.1f} {float(up(y)):.1f}" for x, y in line)
    # The best on top of those it shares its place with.
    ordered = sorted(points, key=lambda point: point.best)
    return svg(
        WIDTH,
        HEIGHT,
        title,
        _names(across, places, x_label) if places else x_axis(across, HEIGHT - BOTTOM, x_label),
        y_axis(up, across, y_label),
        tag("path", class_="line p1", d=f"M{path}") if line else None,
        [_dot(point, across, up) for point in ordered],
    )


def _dot(point: Point, across: Scale, up: Scale) -> Markup:
    return tag(
        "circle",
        tag("title", point.name),
        class_="dot p4" if point.best else "dot p0",
        cx=f"{float(across(point.x)):.1f}",
        cy=f"{float(up(point.y)):.1f}",
        r=5 if point.best else 3.5,
    )


def _names(across: Scale, places: Sequence[str], label: str) -> list[Markup]:
    """A horizontal axis of names instead of numbers."""
    y, room = HEIGHT - BOTTOM, max(4, _LETTERS // len(places))
    drawn = [tag("line", class_="axis", x1=across.start, x2=across.end, y1=y, y2=y)]
    for place, name in enumerate(places):
        short = name if len(name) <= room else f"{name[: room - 1]}…"
        x = f"{float(across(place)):.1f}"
        drawn.append(tag("line", class_="axis", x1=x, x2=x, y1=y, y2=y + 4))
        drawn.append(tag("text", tag("title", name), short, x=x, y=y + 16, text_anchor="middle"))
    middle = (across.start + across.end) / 2
    return [*drawn, tag("text", label, class_="label", x=middle, y=y + 35, text_anchor="middle")]
