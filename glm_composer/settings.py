"""YAML + `key=value` -> dataclass: the one way every command reads its settings.

`composition.py` puts files and overrides together; here the result meets its dataclass, the only
home of defaults. Unknown keys fail at every depth with the nearest valid name, wrong types and
values fail naming the key, all before any work.
"""

import dataclasses
import difflib
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError

from glm_composer.composition import compose
from glm_composer.errors import UserError
from glm_composer.registry import Registry

T = TypeVar("T")


def named(registry: Registry, default: str | None = None) -> Any:
    """Return a dataclass field whose schema is chosen by its own `name` key among a registry's.

    With a `default` name the section may be left out of the file.
    """
    return dataclasses.field(default=default, metadata={"registry": registry})


def named_each(registry: Registry) -> Any:
    """Return a dataclass field that maps labels to sections like `named`'s.

    A section's `name` is its label unless it says otherwise; `{}` takes all defaults, null takes
    out a section that an extended file has put in.
    """
    return dataclasses.field(default_factory=dict, metadata={"registry_each": registry})


def load(schema: type[T], path: str | Path, overrides: Sequence[str] = ()) -> T:
    """Read a yaml file with overrides into an instance of the dataclass `schema`.

    Args:
        schema: a dataclass; fields made by `named` take their class from a registry.
        path: the yaml file.
        overrides: `key=value` strings, values in yaml syntax, dots for depth.

    Raises:
        UserError: the file, key or value that is wrong, and what would be right.
    """
    return structure(schema, compose(Path(path), overrides).raw, str(path))


def dump(settings: Any) -> str:
    """Return a settings dataclass as yaml text that `load` reads back to an equal instance."""
    # Not yaml.dump: it leaves some strings bare, as 1e3, that OmegaConf's loader takes for
    # numbers.
    return OmegaConf.to_yaml(_escaped(dataclasses.asdict(settings)))


def _escaped(value: Any) -> Any:
    """Return a nested value whose texts mean themselves to OmegaConf, `${` and `???` too."""
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\\*\?\?\?", value):
        # One is taken off when the file is read, one when files are put together.
        return rf"\\{value}"
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)


def structure(schema: type[T], raw: Any, source: str, prefix: str = "") -> T:
    """Turn a plain nested dict into an instance of the dataclass `schema`, checking every key.

    Args:
        schema: a dataclass.
        raw: the nested dict.
        source: the file's name, for messages.
        prefix: the dotted key of this section, with its trailing dot.
    """
    if not isinstance(raw, Mapping):
        raise UserError(f"{source}: '{prefix.rstrip('.')}' must be a mapping, not {raw!r}")
    fields = {field.name: field for field in dataclasses.fields(schema)}  # type: ignore[arg-type]
    for key in raw:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.5)
            hint = f"did you mean '{prefix}{near[0]}'? " if near else ""
            raise UserError(
                f"{source}: unknown key '{prefix}{key}'; {hint}valid keys: {', '.join(fields)}"
            )
    hints = typing.get_type_hints(schema, include_extras=True)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        registry = field.metadata.get("registry")
        if registry is not None:
            section = raw.get(name, {"name": field.default} if field.default else None)
            values[name] = _named_section(
                registry,
                section,
                source,
                f"{prefix}{name}",
                typing.cast(str | None, field.default),
            )
        elif "registry_each" in field.metadata:
            values[name] = {
                label: _named_section(
                    field.metadata["registry_each"],
                    section,
                    source,
                    f"{prefix}{name}.{label}",
                    label,
                )
                for label, section in _mapping(raw.get(name), source, f"{prefix}{name}").items()
            }
        elif name in raw:
            values[name] = _value(hints[name], raw[name], source, f"{prefix}{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{source}: missing key '{prefix}{name}'")
    try:
        return schema(**values)
    except ValueError as error:
        where = prefix.rstrip(".")
        raise UserError(f"{source}: {where + ': ' if where else ''}{error}") from None


def _named_section(
    registry: Registry, raw: Any, source: str, key: str, default: str | None = None
) -> Any:
    if default is not None and isinstance(raw, Mapping):
        raw = {"name": default, **raw}
    if not isinstance(raw, Mapping) or "name" not in raw:
        raise UserError(
            f"{source}: '{key}' needs a 'name'; valid names: {', '.join(registry.names())}"
        )
    try:
        schema = registry.settings(str(raw["name"]))
    except UserError as error:
        near = difflib.get_close_matches(str(raw["name"]), registry.names(), n=1)
        hint = f"; did you mean '{near[0]}'?" if near and near[0] != raw["name"] else ""
        raise UserError(f"{source}: '{key}.name': {error}{hint}") from None
    return structure(schema, raw, source, f"{key}.")


def _value(hint: Any, value: Any, source: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return structure(
            typing.cast(type, hint), {} if value is None else value, source, f"{key}."
        )
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict and dataclasses.is_dataclass(arguments[1]):
        schema = typing.cast(type, arguments[1])
        return {
            name: structure(schema, section, source, f"{key}.{name}.")
            for name, section in _mapping(value, source, key).items()
        }
    settings = ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)
    try:
        checked = TypeAdapter(hint, config=settings).validate_python(value)
    except ValidationError as error:
        found = [(*_descend(value, each["loc"]), each["msg"]) for each in error.errors()]
        # Of a union's errors, that of the alternative which went deepest is what was meant.
        place, wrong, message = max(found, key=lambda each: len(each[0]))
        # Only its first letter: the rest may quote valid values, and case is part of them.
        message = message[0].lower() + message[1:]
        raise UserError(f"{source}: '{key}{place}' = {wrong!r}: {message}") from None
    # pydantic takes true for 1 and 1 for true, and would write the name 1e3 as 1000.0.
    mistaken = isinstance(value, bool) != isinstance(checked, bool)
    if mistaken or (isinstance(value, float) and isinstance(checked, str)):
        types = f"expected {type(checked).__name__}, not {type(value).__name__}"
        raise UserError(f"{source}: '{key}' = {value!r}: {types}")
    return checked


def _descend(value: Any, location: tuple[int | str, ...]) -> tuple[str, Any]:
    """Return the key of a place within `value`, and what is there.

    pydantic's locations also name alternatives of unions, which are no keys.
    """
    key = ""
    for part in location:
        if isinstance(value, Mapping) and part in value:
            key, value = f"{key}.{part}", value[part]
        elif isinstance(value, list) and isinstance(part, int):
            key, value = f"{key}[{part}]", value[part]
    return key, value


def _mapping(value: Any, source: str, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UserError(f"{source}: '{key}' must be a mapping of names to sections, not {value!r}")
    # Overrides merge, so null is the one way to take out what a file below has put in.
    return {str(name): section for name, section in value.items() if section is not None}
