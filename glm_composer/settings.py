"""YAML + `key=value` -> dataclass: the one way every command reads its settings.

Files are composed with OmegaConf: `extends: other.yaml` (relative to the file, or a list), then
overrides `key=value`, dots for depth. A section whose `name` changes on the way starts afresh from
the new builder's defaults instead of inheriting keys that mean nothing to it. Dataclasses are the
only home of defaults. Unknown keys fail at every depth with the nearest valid name, wrong types
and values fail naming the key, all before any work.
"""

import dataclasses
import difflib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

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
    raw = compose(Path(path), overrides)
    return structure(schema, raw, str(path))


def dump(settings: Any) -> str:
    """Return a settings dataclass as yaml text that `load` reads back to an equal instance."""
    # Not yaml.dump: it leaves some strings bare, as 1e3, that OmegaConf's loader takes for
    # numbers.
    return OmegaConf.to_yaml(dataclasses.asdict(settings))


def compose(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the nested dict of a yaml file after `extends` and overrides, not yet checked."""
    # Overrides are put together first: were `model.width=64 model.name=NAME` applied one by one,
    # the new name would throw away the width that was asked for with it.
    wanted: dict[str, Any] = {}
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not key:
            raise UserError(f"override '{override}' is not of the form key=value")
        try:
            value = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise UserError(f"override '{override}': {_one_line(error)}") from None
        wanted = _merge(wanted, typing.cast(dict[str, Any], value))
    merged = OmegaConf.create(_merge(_extend(path, ()), wanted))
    try:
        resolved = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {_one_line(error)}") from None
    return typing.cast(dict[str, Any], resolved)


def _extend(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in children:
        chain = " -> ".join(str(p) for p in (*children, path))
        raise UserError(f"{path}: extends itself ({chain})")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path)) if path.stat().st_size else {}
    except FileNotFoundError:
        by = f" (extended by {children[-1]})" if children else ""
        raise UserError(f"{path}: no such file{by}") from None
    except (OSError, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable yaml file: {_one_line(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping of keys to values at the top")
    parents = content.pop("extends", None) or []
    parents = [parents] if isinstance(parents, str) else parents
    if not (isinstance(parents, list) and all(isinstance(parent, str) for parent in parents)):
        raise UserError(f"{path}: 'extends' must be a file or a list of files, not {parents!r}")
    merged: dict[str, Any] = {}
    for parent in parents:
        merged = _merge(merged, _extend(path.parent / parent, (*children, path.resolve())))
    return _merge(merged, typing.cast(dict[str, Any], content))


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        present = merged.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            renamed = "name" in value and value["name"] != present.get("name", value["name"])
            merged[key] = value if renamed else _merge(present, value)
        else:
            merged[key] = value
    return merged


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
            values[name] = _named_section(registry, section, source, f"{prefix}{name}")
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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
