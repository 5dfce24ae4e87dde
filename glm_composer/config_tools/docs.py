"""The page of every key: written from the dataclasses, so that it says what the code does.

Plugins are left out: the page is the library's own.
"""

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from glm_composer.config import Config
from glm_composer.config_tools.keys import Key, keys, summary
from glm_composer.conversion.config import ConvertConfig
from glm_composer.errors import UserError
from glm_composer.registry import Registry, scores

_HEAD = """# Keys of yaml files

Written by `glm config docs` from the dataclasses of the settings and their docstrings: change
those. `glm config show FILE --origin` says what a file makes of these keys, and why.

Times are a number with a unit: `ba` batches (steps), `ep` epochs, `sp` windows, `tok` bases, `dur`
a fraction of the run (`0.1dur`). A file may say `extends: FILE`, or a list of files of which the
last one wins; every other key is below. In a section with a `name`, it chooses the other keys, and
where it changes the section starts afresh.
"""
_COLUMNS = ("key", "type", "default", "unit", "meaning")


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    parts += _section("Training: `glm train FILE`", Config, "")
    parts.append("## Scores: `evaluation.tables.NAME.scores`\n")
    rows = [(f"`{name}`", summary(scores.built_in[name])) for name in sorted(scores.built_in)]
    parts.append(_table(("score", "meaning"), rows))
    parts += _section("Conversion: `glm convert FILE`", ConvertConfig, "")
    return "\n".join(parts)


def write(path: Path) -> None:
    """Write the page, aside first.

    Raises:
        UserError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page(), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def is_current(path: Path) -> bool:
    """Return whether a file is the page as it would be written."""
    try:
        return path.read_text(encoding="utf-8") == page()
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _section(title: str, schema: type[Any], prefix: str, about: str = "") -> Iterator[str]:
    """Yield a section's heading and table, then those of the sections within it."""
    yield f"## {title}\n"
    about = about or summary(schema)
    if about:
        yield f"{about}\n"
    fields = {field.name: field for field in dataclasses.fields(schema)}
    rows = [_row(key, fields[key.name], prefix) for key in keys(schema)]
    yield _table(_COLUMNS, rows)
    for key in keys(schema):
        yield from _below(key, fields[key.name], prefix)


def _below(key: Key, field: dataclasses.Field[Any], prefix: str) -> Iterator[str]:
    place = f"{prefix}{key.name}"
    inner = typing.get_args(key.hint)[-1:] if typing.get_origin(key.hint) is dict else (key.hint,)
    for registry, label in _registries(field):
        for name in sorted(registry.built_in):
            schema = registry.settings(name)
            yield from _section(f"`{place}{label}`: `name: {name}`", schema, f"{place}{label}.")
    if inner and dataclasses.is_dataclass(inner[0]):
        label = "" if inner == (key.hint,) else ".NAME"
        yield from _section(f"`{place}{label}`", typing.cast(type, inner[0]), f"{place}{label}.")


def _registries(field: dataclasses.Field[Any]) -> list[tuple[Registry, str]]:
    if "registry" in field.metadata:
        return [(field.metadata["registry"], "")]
    if "registry_each" in field.metadata:
        return [(field.metadata["registry_each"], ".LABEL")]
    return []


def _row(key: Key, field: dataclasses.Field[Any], prefix: str) -> tuple[str, ...]:
    kind, meaning = key.type, key.meaning
    for registry, label in _registries(field):
        names = ", ".join(f"`{name}`" for name in sorted(registry.built_in))
        kind = f"{'sections' if label else 'section'} named {names}"
    if key.name == "name" and prefix:
        meaning = "chooses this section's keys"
    return (f"`{prefix}{key.name}`", kind, key.default, key.unit, meaning)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
