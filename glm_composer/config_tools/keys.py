"""One key of a settings dataclass in words: type, default, unit and meaning.

Meanings are the `Attributes` of docstrings, which start with their unit where they have one.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import StringConstraints
from pydantic.fields import FieldInfo

from glm_composer.config import values

# The first words of meanings that are units.
_UNITS = {"attempts", "bases", "bytes", "fraction", "heads", "processes", "seconds", "share"}
_UNITS |= {"steps", "variants", "windows"}
_TIMES = {
    values.Interval: "`ba` or `ep`",
    values.Duration: "`ba`, `ep`, `sp` or `tok`",
    values.Moment: "`ba`, `ep` or `dur`",
}
_PATTERNS = {
    values.Interval: "text like `100ba`",
    values.Duration: "text like `100ba`",
    values.Moment: "text like `100ba`",
    values.Name: "text: letters, digits, `.`, `_`, `-`",
    values.Sha256: "text: 64 hexadecimal digits",
}
_PLAIN = {
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    str: "text",
    type(None): "`null`",
    Any: "anything",
}
_SIGNS = {Gt: ("gt", ">"), Ge: ("ge", ">="), Lt: ("lt", "<"), Le: ("le", "<=")}


@dataclass(frozen=True)
class Key:
    """A key as the page shows it.

    Attributes:
        name: of the field.
        hint: its type.
        type: the type in words.
        default: in yaml's syntax; "required" where there is none.
        unit: of the value; empty where it has none.
        meaning: one paragraph; empty where the docstring lacks it.
    """

    name: str
    hint: Any
    type: str
    default: str
    unit: str
    meaning: str


def keys(schema: type[Any]) -> list[Key]:
    """Return the keys of a dataclass in their order."""
    hints = typing.get_type_hints(schema, include_extras=True)
    meanings = _meanings(schema)
    return [
        Key(
            field.name,
            hints[field.name],
            describe(hints[field.name]),
            _default(field),
            _unit(hints[field.name], meanings.get(field.name, "")),
            meanings.get(field.name, ""),
        )
        for field in dataclasses.fields(schema)
    ]


def describe(hint: Any) -> str:
    """Return a type in words, with the bounds of its values."""
    if hint in _PATTERNS:
        return _PATTERNS[hint]
    if dataclasses.is_dataclass(hint):
        return "section"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return describe(arguments[0]) + _bounds(arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(each) for each in arguments)
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin is list:
        return f"list of {_inner(arguments[0])}"
    if origin is dict:
        return f"mapping of names to {_inner(arguments[1])}"
    if origin is tuple:
        return f"[{', '.join(describe(each) for each in arguments)}]"
    return _PLAIN[hint]


def summary(documented: Any) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _inner(hint: Any) -> str:
    return "sections" if dataclasses.is_dataclass(hint) else describe(hint)


def _bounds(annotations: tuple[Any, ...]) -> str:
    text = ""
    for each in annotations:
        if isinstance(each, FieldInfo):
            text += _bounds(tuple(each.metadata))
        elif type(each) in _SIGNS:
            name, sign = _SIGNS[type(each)]
            bound = getattr(each, name)
            shown = str(bound) if isinstance(bound, int) else f"{bound:g}"
            text += f"{' and' if text else ''} {sign} {shown}"
        elif isinstance(each, StringConstraints) and each.min_length:
            text += " (not empty)"
    return text


def _default(field: dataclasses.Field[Any]) -> str:
    if "registry" in field.metadata:
        return f"`name: {field.default}`" if field.default else "required"
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    return "its defaults" if dataclasses.is_dataclass(value) else f"`{written(value)}`"


def written(value: Any) -> str:
    """Return a value on one line in yaml's syntax."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {written(inner)}' for key, inner in value.items())}}}"
    text = str(value)
    return f"'{text}'" if isinstance(value, str) and _looks_otherwise(text) else text


def _looks_otherwise(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) != text)
    except yaml.YAMLError:
        return True


def _unit(hint: Any, meaning: str) -> str:
    alternatives = set(_alternatives(hint))
    for time, unit in _TIMES.items():
        if time in alternatives:
            return unit
    first = re.split(r"\W", meaning, maxsplit=1)[0]
    if first == "duration":
        return "`ba`, `ep`, `sp`, `tok` or `dur`"
    numbers = {int, float} & alternatives
    return first if numbers and first in _UNITS else ""


def _alternatives(hint: Any) -> Iterator[Any]:
    """Yield a type and, as far as it is made of others, those."""
    yield hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        arguments = arguments[:1]
    if origin is not None and origin is not typing.Literal:
        for each in arguments:
            yield from _alternatives(each)


def _meanings(schema: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in reversed(schema.__mro__):
        # Not getdoc, which gives a class without a docstring its parent's.
        text = inspect.cleandoc(each.__dict__.get("__doc__") or "")
        _, _, attributes = text.partition("\nAttributes:\n")
        for match in re.finditer(
            r"^    (\w+): (.*(?:\n {5,}.*)*)", attributes.partition("\n\n")[0], re.MULTILINE
        ):
            found[match[1]] = " ".join(match[2].split())
    return found
