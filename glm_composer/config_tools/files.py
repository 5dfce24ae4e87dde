"""The yaml files of a directory: what each is for, of which kind, and what it resolves to."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glm_composer.composition import Composed, YamlFile, compose, read_chain
from glm_composer.config import Config
from glm_composer.conversion.config import ConvertConfig
from glm_composer.errors import UserError
from glm_composer.marks import shown
from glm_composer.settings import structure


@dataclass(frozen=True)
class Resolved:
    """A yaml file with what it extends, overrides and defaults.

    Attributes:
        path: of the file.
        settings: of a training run or of a conversion.
        composed: what files and overrides say.
    """

    path: Path
    settings: Config | ConvertConfig
    composed: Composed


@dataclass(frozen=True)
class Listed:
    """A yaml file as a list shows it.

    Attributes:
        path: of the file.
        about: its first comment line, without the mark; empty where there is none.
        error: why it does not resolve, or None.
    """

    path: Path
    about: str
    error: str | None


def resolve(path: Path, overrides: Sequence[str] = ()) -> Resolved:
    """Read a yaml file of either kind; the keys at its top say which.

    Raises:
        UserError: as `settings.load`.
    """
    composed = compose(path, overrides)
    schema = _kind(composed.raw)
    return Resolved(path, structure(schema, composed.raw, str(path)), composed)


def find(place: Path, *, deep: bool) -> list[Path]:
    """Return the yaml files of a directory in the order of their names, or the file given.

    Args:
        place: a directory or one file.
        deep: also those of directories within it; not hidden ones.

    Raises:
        UserError: nothing is there, or no yaml file.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"{place}: no such directory; give one with yaml files")
    pattern = "**/*" if deep else "*"
    found = sorted(
        path
        for path in place.glob(pattern)
        if path.suffix in (".yaml", ".yml")
        # A link to nothing is listed, as a broken one.
        and (path.is_file() or not path.exists())
        and not any(part.startswith(".") for part in path.relative_to(place).parts)
    )
    if not found:
        more = "" if deep else ", or -r for those of directories within it"
        raise UserError(f"{place}: no .yaml file there; give another directory{more}")
    return found


def listed(path: Path) -> Listed:
    """Read a yaml file for a list; what is wrong with it is a part of the answer."""
    error = None
    try:
        resolve(path)
    except UserError as wrong:
        # Of errors that name the file itself; those of an extended file keep its name.
        error = str(wrong).removeprefix(f"{path}: ")
    return Listed(path, about(path), error)


def about(path: Path) -> str:
    """Return the first comment line of a file, without its mark, where it comes before any key."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            first = next((line.strip() for line in lines if line.strip(" \t\n-")), "")
    except OSError:
        return ""
    return first.lstrip("#").strip() if first.startswith("#") else ""


def chain_rows(path: Path) -> list[tuple[str, str]]:
    """Return (indented path, what it is for) of a file and all that it extends, depth first."""

    def rows(file: YamlFile, depth: int) -> list[tuple[str, str]]:
        below = [row for parent in file.parents for row in rows(parent, depth + 1)]
        return [("  " * depth + shown(file.path), about(file.path)), *below]

    return rows(read_chain(path), 0)


def _kind(raw: dict[str, Any]) -> type[Config] | type[ConvertConfig]:
    conversion = {field.name for field in dataclasses.fields(ConvertConfig)}
    training = {field.name for field in dataclasses.fields(Config)}
    return ConvertConfig if len(conversion & raw.keys()) > len(training & raw.keys()) else Config
