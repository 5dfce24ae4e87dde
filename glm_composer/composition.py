"""Yaml files and `key=value` -> one nested dict, and for every value of it the place that says it.

A file may extend others (`extends: other.yaml`, relative to the file, or a list of which the last
one wins); overrides come last. Sections merge key by key, everything else is replaced whole. A
section whose `name` changes on the way starts afresh. Interpolations are resolved at the end, so
that they see overrides.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from glm_composer.errors import UserError
from glm_composer.marks import Marked, Origin, mark_all, mark_lines, unmarked, unmarked_value

# A ValueError is a text that is not what its tag says (`!!int x`), or not UTF-8; a RecursionError
# comes of hundreds of sections within each other.
_UNREADABLE = (OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class YamlFile:
    """One file of a chain.

    Attributes:
        path: as it was reached, through the path of the file that extends it.
        content: key -> Marked, without `extends`.
        parents: the files that it extends; the last one wins.
    """

    path: Path
    content: dict[Any, Marked]
    parents: tuple["YamlFile", ...]


@dataclass(frozen=True)
class Composed:
    """Files and overrides put together, not yet checked against any schema.

    Attributes:
        raw: nested dict, interpolations resolved.
        marks: the same keys, as they were written and where.
    """

    raw: dict[str, Any]
    marks: dict[Any, Marked]


def compose(path: Path, overrides: Sequence[str] = ()) -> Composed:
    """Put a yaml file, all that it extends, and overrides together.

    Raises:
        UserError: a file, override or interpolation that cannot be read.
    """
    # Overrides are put together first: were `model.width=64 model.name=NAME` applied one by one,
    # the new name would throw away the width that was asked for with it.
    wanted: dict[Any, Marked] = {}
    for override in overrides:
        wanted = _merge(wanted, _read_override(override))
    marks = _merge(_flatten(read_chain(path)), wanted)
    try:
        merged = OmegaConf.create(unmarked(marks))
        resolved = OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, RecursionError) as error:
        raise UserError(f"{path}: {one_line(error)}") from None
    return Composed(cast(dict[str, Any], resolved), marks)


def read_chain(path: Path, children: tuple[Path, ...] = ()) -> YamlFile:
    """Read a yaml file and, in turn, all that it extends.

    Args:
        path: of the file.
        children: resolved paths of the files that extend it, the first one asked for.

    Raises:
        UserError: a file is missing, not yaml, not a mapping, or extends itself.
    """
    if path.resolve() in children:
        chain = " -> ".join(str(p) for p in (*children, path))
        raise UserError(f"{path}: extends itself ({chain})")
    try:
        content = _read_file(path)
    except FileNotFoundError:
        by = f" (extended by {children[-1]})" if children else ""
        raise UserError(f"{path}: no such file{by}") from None
    except (OSError, *_UNREADABLE) as error:
        raise UserError(f"{path}: not a readable yaml file: {one_line(error)}") from None
    extends = content.pop("extends", None)
    parents = unmarked_value(extends.value) if extends else None
    parents = [parents] if isinstance(parents, str) else parents or []
    if not (isinstance(parents, list) and all(isinstance(parent, str) for parent in parents)):
        raise UserError(f"{path}: 'extends' must be a file or a list of files, not {parents!r}")
    chain_so_far = (*children, path.resolve())
    read = tuple(read_chain(path.parent / parent, chain_so_far) for parent in parents)
    return YamlFile(path, content, read)


def one_line(error: BaseException) -> str:
    """Return an error's message without line breaks."""
    return " ".join(str(error).split())


class _NamedText(io.StringIO):
    """A text with the name that yaml's errors say."""

    def __init__(self, text: str, name: str):
        super().__init__(text)
        self.name = name


def _read_file(path: Path) -> dict[Any, Marked]:
    text = path.read_text(encoding="utf-8")
    content = OmegaConf.to_container(OmegaConf.load(_NamedText(text, os.path.abspath(path))))
    node = yaml.compose(text, Loader=_Loader)
    if not isinstance(content, dict) or not isinstance(node, yaml.MappingNode | None):
        raise UserError(f"{path}: expected a mapping of keys to values at the top")
    return mark_lines(content, node, path) if node else {}


def _read_override(override: str) -> dict[Any, Marked]:
    key, equals, _ = override.partition("=")
    if not equals or not key:
        raise UserError(f"override '{override}' is not of the form key=value")
    try:
        value = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
    except _UNREADABLE as error:
        raise UserError(f"override '{override}': {one_line(error)}") from None
    return mark_all(cast(dict[Any, Any], value), Origin(override=override))


def _flatten(file: YamlFile) -> dict[Any, Marked]:
    merged: dict[Any, Marked] = {}
    for parent in file.parents:
        merged = _merge(merged, _flatten(parent))
    return _merge(merged, file.content)


def _merge(under: dict[Any, Marked], over: dict[Any, Marked]) -> dict[Any, Marked]:
    merged = dict(under)
    for key, new in over.items():
        old = merged.get(key, new)
        sections = isinstance(old.value, dict) and isinstance(new.value, dict)
        merges = sections and not _is_renamed(old.value, new.value)
        merged[key] = Marked(_merge(old.value, new.value), old.origin) if merges else new
    return merged


def _is_renamed(under: dict[Any, Marked], over: dict[Any, Marked]) -> bool:
    if "name" not in over or "name" not in under:
        return False
    return bool(unmarked_value(over["name"].value) != unmarked_value(under["name"].value))
