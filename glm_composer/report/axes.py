"""The frame of a chart: its measures, its axes, the svg around it."""

from glm_composer.report.markup import Markup, tag
from glm_composer.report.scales import Scale, ticks

# In units of the viewBox; small, so that its text stays readable on a phone.
WIDTH, HEIGHT = 440, 264
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 42
# Of a character, about.
LETTER = 6.2


def x_axis(across: Scale, y: float, label: str, top: float | None = None) -> list[Markup]:
    """A horizontal axis at height `y`, its ticks and label; grid lines up to `top`."""
    drawn = [tag("line", class_="axis", x1=across.start, x2=across.end, y1=y, y2=y)]
    for value, text in zip(*ticks(across.low, across.high), strict=True):
        x = f"{float(across(value)):.1f}"
        drawn.append(tag("line", class_="axis", x1=x, x2=x, y1=y, y2=y + 4))
        if top is not None:
            drawn.append(tag("line", class_="grid", x1=x, x2=x, y1=top, y2=y))
        # A long number at the right end would run out of the picture.
        last = float(x) > across.end - 1
        end = across.end + RIGHT
        where = {"x": end, "text_anchor": "end"} if last else {"x": x, "text_anchor": "middle"}
        drawn.append(tag("text", text, y=y + 16, **where))
    middle = (across.start + across.end) / 2
    return [*drawn, tag("text", label, class_="label", x=middle, y=y + 35, text_anchor="middle")]


def y_axis(up: Scale, across: Scale, label: str) -> list[Markup]:
    """Grid lines over the width of the horizontal scale, with their values and label."""
    drawn = []
    for value, text in zip(*ticks(up.low, up.high), strict=True):
        y = f"{float(up(value)):.1f}"
        drawn.append(tag("line", class_="grid", x1=across.start, x2=across.end, y1=y, y2=y))
        at = f"{float(up(value)) + 4:.1f}"
        drawn.append(tag("text", text, x=across.start - 6, y=at, text_anchor="end"))
    middle = (up.start + up.end) / 2
    turned = f"translate(11 {middle}) rotate(-90)"
    return [*drawn, tag("text", label, class_="label", transform=turned, text_anchor="middle")]


def svg(width: float, height: float, title: str, *content: Markup | list[Markup] | None) -> Markup:
    """A picture that readers who hear the page know by its title."""
    view = f"0 0 {width:g} {height:g}"
    return tag("svg", *content, viewBox=view, role="img", aria_label=title)
