"""`key=v1,v2` and `key=LOW..HIGH` on the command line -> what a sweep varies, and what it sets."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from glm_composer.errors import UserError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"(log:)?({_NUMBER})\.\.({_NUMBER})")
# Keys that the sweep itself sets in every trial.
_OURS = ("run_name", "runs_dir", "autoresume", "loggers.progress_bar")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Values to choose among, as texts in yaml syntax."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        key: dotted.
        low: smallest.
        high: largest.
        whole: whole numbers only.
        log: even on a logarithmic scale.
    """

    key: str
    low: float
    high: float
    whole: bool
    log: bool


Dimension = Choice | Range


def parse(overrides: Sequence[str]) -> tuple[list[str], list[Dimension]]:
    """Tell overrides with one value from those with several.

    Args:
        overrides: `key=value`; several values with commas between them (those within brackets and
            quotes belong to a value), or a range `LOW..HIGH`, `log:LOW..HIGH`.

    Returns:
        The overrides that hold for every trial, and the dimensions of the sweep, in their order.

    Raises:
        UserError: an override of another form, a key given twice or set by the sweep itself, a
            value given twice, a range that is none.
    """
    fixed: list[str] = []
    dimensions: list[Dimension] = []
    seen: set[str] = set()
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise UserError(f"override '{override}' is not of the form key=value")
        if key in seen:
            raise UserError(f"'{key}' is given twice; give all of its values at once")
        seen.add(key)
        dimension = _dimension(key, text)
        if dimension is None:
            fixed.append(override)
            continue
        if key in _OURS:
            raise UserError(f"'{key}' cannot be swept: a sweep sets it in every trial")
        dimensions.append(dimension)
    return fixed, dimensions


def _dimension(key: str, text: str) -> Dimension | None:
    found = _RANGE.fullmatch(text)
    if found:
        return _range(key, found)
    values = tuple(_split(text))
    if len(values) == 1:
        return None
    if "" in values:
        raise UserError(f"'{key}={text}': an empty value; write '' for an empty text")
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise UserError(f"'{key}={text}': the value {twice} is given twice")
    return Choice(key=key, values=values)


def _range(key: str, found: re.Match[str]) -> Range:
    log, low, high = found.groups()
    dimension = Range(
        key=key,
        low=float(low),
        high=float(high),
        whole=all(re.fullmatch(r"[+-]?\d+", each) for each in (low, high)),
        log=log is not None,
    )
    if not (math.isfinite(dimension.low) and dimension.low < dimension.high < math.inf):
        raise UserError(f"'{key}={found[0]}': the first number must be below the second")
    if log and dimension.low <= 0:
        raise UserError(f"'{key}={found[0]}': a logarithmic range begins above 0")
    return dimension


def _split(text: str) -> list[str]:
    """Cut at commas outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts]
