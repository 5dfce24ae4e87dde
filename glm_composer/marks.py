"""Values and the places that say them: `file:line` by yaml's own nodes, or an override."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf

_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Origin:
    """Where a value was written.

    Attributes:
        file: the yaml file; None for an override and for a default.
        line: of its key in that file, from 1.
        override: the `key=value` string.
    """

    file: Path | None = None
    line: int | None = None
    override: str | None = None

    def __str__(self) -> str:
        if self.override is not None:
            return f"override {' '.join(self.override.split())}"
        return "default" if self.file is None else f"{shown(self.file)}:{self.line}"


DEFAULT = Origin()


@dataclass(frozen=True)
class Marked:
    """A value as it is written, and where.

    Attributes:
        value: a scalar, a list, or for a section a dict of key -> Marked.
        origin: of the value; of a section, the place that first opened it.
    """

    value: Any
    origin: Origin


def mark_all(section: Mapping[Any, Any], origin: Origin) -> dict[Any, Marked]:
    """Mark a nested dict that comes from one place."""
    return {
        key: Marked(mark_all(value, origin) if isinstance(value, dict) else value, origin)
        for key, value in section.items()
    }


def mark_lines(section: dict[Any, Any], node: yaml.MappingNode, path: Path) -> dict[Any, Marked]:
    """Mark a nested dict with the lines of its keys.

    Args:
        section: as OmegaConf has read it.
        node: of the same text.
        path: of the file.
    """
    marked = {}
    for key, (key_node, value_node) in _entries(section, node).items():
        origin = Origin(path, key_node.start_mark.line + 1)
        value = section[key]
        if isinstance(value, dict):
            value = mark_lines(value, value_node, path)
        marked[key] = Marked(value, origin)
    return marked


def _entries(
    section: Mapping[Any, Any], node: yaml.MappingNode
) -> dict[Any, tuple[yaml.Node, yaml.Node]]:
    """Return the nodes of a section's keys; keys of merged mappings (`<<`) give way to its own."""
    merged: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
    own = {}
    for key_node, value_node in node.value:
        if key_node.tag == _MERGE_TAG:
            is_list = isinstance(value_node, yaml.SequenceNode)
            for source in reversed(value_node.value) if is_list else [value_node]:
                merged.update(_entries(section, source))
        else:
            own[_key(section, key_node)] = (key_node, value_node)
    return merged | own


def _key(section: Mapping[Any, Any], node: yaml.ScalarNode) -> Any:
    """Return the key that a node stands for; OmegaConf reads some, as 0x10, as numbers."""
    if node.value in section:
        return node.value
    return next(iter(cast(dict[Any, Any], OmegaConf.load(io.StringIO(f"{node.value}: 0")))))


def unmarked(section: Mapping[Any, Marked]) -> dict[Any, Any]:
    """Return the nested dict without its marks."""
    return {key: unmarked_value(marked.value) for key, marked in section.items()}


def unmarked_value(value: Any) -> Any:
    """Return the value of one mark without the marks within it."""
    return unmarked(value) if isinstance(value, dict) else value


def shown(path: Path) -> str:
    """Return a path as a reader would write it: from the working directory, if it lies there."""
    straight = Path(os.path.normpath(path))
    # Not where `..` leaves a directory that is a link.
    if straight != path and not (straight.exists() and straight.samefile(path)):
        straight = path
    if not straight.is_absolute():
        return str(straight)
    here = Path.cwd()
    return str(straight.relative_to(here)) if straight.is_relative_to(here) else str(straight)
