"""The verbs of `glm config` as functions that print."""

from collections.abc import Sequence
from pathlib import Path

from glm_composer.config_tools.files import chain_rows, find, listed, resolve
from glm_composer.config_tools.origin import annotate, find_origins
from glm_composer.marks import shown
from glm_composer.report.columns import print_columns
from glm_composer.settings import dump


def show(path: Path, overrides: Sequence[str], *, origin: bool) -> None:
    """Print what a yaml file resolves to, with places as comments where `origin` is set.

    Raises:
        UserError: as `settings.load`.
    """
    resolved = resolve(path, overrides)
    settings = resolved.settings
    text = annotate(settings, find_origins(settings, resolved.composed)) if origin else None
    print(text or dump(settings), end="")


def ls(directory: Path, recursive: bool) -> bool:
    """Print every yaml file of a directory with what it is for; return whether all resolve."""
    files = [listed(path) for path in find(directory, deep=recursive)]
    rows = [
        (shown(file.path), f"BROKEN: {file.error}" if file.error else file.about) for file in files
    ]
    print_columns(("file", "what it is for"), rows, words=2)
    return not any(file.error for file in files)


def tree(path: Path) -> None:
    """Print the chain of `extends` below a yaml file."""
    print_columns(("file", "what it is for"), chain_rows(path), words=2)
