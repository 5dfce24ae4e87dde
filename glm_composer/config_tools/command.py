"""The verbs of `glm config` as functions that print."""

from collections.abc import Sequence
from pathlib import Path

from glm_composer.columns import print_columns
from glm_composer.config_tools.compare import differences
from glm_composer.config_tools.docs import is_current, write
from glm_composer.config_tools.files import chain_rows, find, listed, resolve
from glm_composer.config_tools.origin import annotate, find_origins
from glm_composer.errors import UserError
from glm_composer.marks import shown
from glm_composer.settings import dump
from glm_composer.training.composer_import import import_composer


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


def docs(path: Path, *, check: bool) -> bool:
    """Write the page of all keys, or only check it; return whether it is current now.

    Raises:
        UserError: it cannot be written.
    """
    # Callbacks are Composer's.
    import_composer()
    if check:
        current = is_current(path)
        print(f"{path}: current" if current else f"{path}: stale; write it: glm config docs")
        return current
    write(path)
    print(f"written to {path}")
    return True


def check(place: Path) -> bool:
    """Build every configuration of a directory, print how it went; return whether all build.

    Raises:
        UserError: there is no yaml file.
    """
    from glm_composer.config_tools.check import check as build

    checked = [build(path) for path in find(place, deep=True)]
    sizes = ["" if each.parameters is None else f"{each.parameters:,}" for each in checked]
    width = max(map(len, sizes))
    rows = [
        (
            shown(each.path),
            each.kind,
            each.builds,
            size.rjust(width),
            f"FAILS: {each.error}" if each.error else "builds",
        )
        for each, size in zip(checked, sizes, strict=True)
    ]
    print_columns(("file", "kind", "what", "parameters", "result"), rows, words=5)
    failed = sum(each.error is not None for each in checked)
    print(f"{len(checked)} files, {failed} fail" if failed else f"{len(checked)} files, all build")
    return not failed


def diff(left: Path, right: Path) -> None:
    """Print the keys in which two resolved configurations differ.

    Raises:
        UserError: as `settings.load`, or one is of a training run and one of a conversion.
    """
    ours, theirs = resolve(left).settings, resolve(right).settings
    if type(ours) is not type(theirs):
        raise UserError(f"{left} and {right}: one is a training run, the other a conversion")
    found = differences(ours, theirs)
    if not found:
        print("no difference")
        return
    rows = [(each.key, each.left or "", each.right or "") for each in found]
    print_columns(("key", shown(left), shown(right)), rows, words=3)
