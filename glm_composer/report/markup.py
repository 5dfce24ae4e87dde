"""HTML and SVG as function calls: whatever is not markup already is escaped, by construction.

A run's name, its settings and its tables are text from elsewhere. No caller escapes anything, so
none can forget to.
"""

from collections.abc import Iterable
from html import escape

_WITHOUT_END_TAG = {"meta"}


class Markup(str):
    """Text that is markup already; only this module makes it out of anything but literals."""

    __slots__ = ()


Child = str | int | float | Iterable["Child"] | None


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: markup, text to be escaped, or nested iterables of both; None is left out.
        attributes: values to be escaped; None leaves the attribute out. A trailing underscore of a
            name is dropped (`class_`), others become hyphens (`stroke_width`).
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _WITHOUT_END_TAG:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Return children one after the other, text escaped."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str | int | float):
            parts.append(escape(str(child)))
        elif child is not None:
            parts.append(join(*child))
    return Markup("".join(parts))
