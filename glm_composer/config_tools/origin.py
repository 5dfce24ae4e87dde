"""Where every value of resolved settings comes from, and the settings as yaml that says so."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from glm_composer.composition import Composed
from glm_composer.marks import DEFAULT, Marked, Origin
from glm_composer.settings import dump

Key = tuple[str, ...]
# Comments of longer lines follow their line; the others stand in one column.
_WIDEST = 60


@dataclass(frozen=True)
class Origins:
    """Places by key.

    Attributes:
        values: of every scalar, list and empty section of the settings.
        removed: of sections that a null has taken out.
    """

    values: dict[Key, Origin] = field(default_factory=dict)
    removed: dict[Key, Origin] = field(default_factory=dict)


@dataclass(frozen=True)
class _Written:
    """What files and overrides say about one value.

    Attributes:
        value: interpolations resolved.
        mark: as written. An interpolation of a whole section has no marks within it: its own
            place is that of every value in it.
    """

    value: Any
    mark: Marked

    def below(self) -> dict[str, "_Written"]:
        if not isinstance(self.value, Mapping):
            return {}
        inner = self.mark.value
        return {
            str(key): _Written(value, inner[key] if isinstance(inner, dict) else self.mark)
            for key, value in self.value.items()
        }


def find_origins(settings: Any, composed: Composed) -> Origins:
    """Find where every value of settings comes from.

    Args:
        settings: the dataclass that `composed` became.
        composed: files and overrides.
    """
    origins = Origins()
    _visit(settings, _Written(composed.raw, Marked(composed.marks, DEFAULT)), (), origins)
    return origins


def _visit(value: Any, written: _Written | None, key: Key, origins: Origins) -> None:
    if dataclasses.is_dataclass(value):
        below = written.below() if written else {}
        for each in dataclasses.fields(value):
            inner = getattr(value, each.name)
            if "registry_each" in each.metadata and each.name in below:
                _visit_labelled(inner, below[each.name], (*key, each.name), origins)
            else:
                _visit(inner, below.get(each.name), (*key, each.name), origins)
    elif isinstance(value, Mapping) and value:
        below = written.below() if written else {}
        _note_removed(value, below, key, origins)
        for name, inner in value.items():
            _visit(inner, below.get(str(name)), (*key, str(name)), origins)
    else:
        origins.values[key] = written.mark.origin if written else DEFAULT
        if isinstance(value, Mapping) and written:
            _note_removed(value, written.below(), key, origins)


def _visit_labelled(
    sections: Mapping[str, Any], written: _Written, key: Key, origins: Origins
) -> None:
    _visit(sections, written, key, origins)
    for label, section in written.below().items():
        # A section that says no name is named by its label.
        if label in sections and "name" not in section.below():
            origins.values[(*key, label, "name")] = section.mark.origin


def _note_removed(
    value: Mapping[Any, Any], below: Mapping[str, _Written], key: Key, origins: Origins
) -> None:
    for name, written in below.items():
        if name not in value:
            origins.removed[(*key, name)] = written.mark.origin


def annotate(settings: Any, origins: Origins) -> str:
    """Return settings as yaml with the place of every value as a comment beside it."""
    text = dump(settings)
    lines = text.splitlines()
    comments: dict[int, str] = {}
    after: dict[int, list[tuple[str, str]]] = {}
    for key, first, last in _places(yaml.compose(text), ()):
        if key in origins.values:
            comments[last] = str(origins.values[key])
        for name, origin in _removed_below(key, origins):
            after.setdefault(first, []).append((f"{'  ' * len(key)}# without {name}", str(origin)))
    rows = []
    for number, line in enumerate(lines):
        rows.append((line, comments.get(number, "")))
        rows += after.get(number, [])
    column = max(len(line) for line, comment in rows if comment and len(line) <= _WIDEST)
    return "".join(
        f"{line.ljust(column)}  # {comment}\n" if comment else f"{line}\n"
        for line, comment in rows
    )


def _removed_below(key: Key, origins: Origins) -> list[tuple[str, Origin]]:
    return [(gone[-1], origin) for gone, origin in origins.removed.items() if gone[:-1] == key]


def _places(node: yaml.MappingNode, key: Key) -> Iterator[tuple[Key, int, int]]:
    """Yield (key, line of the key, line that may bear a comment) of all below a node, from 0."""
    for key_node, value_node in node.value:
        inner = (*key, key_node.value)
        first = key_node.start_mark.line
        # A comment within a string of several lines would be a part of it.
        scalar = isinstance(value_node, yaml.ScalarNode)
        yield inner, first, value_node.end_mark.line if scalar else first
        if isinstance(value_node, yaml.MappingNode):
            yield from _places(value_node, inner)
