"""Output that is whole or not there: made aside, put in its place at the end, over nothing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glm_composer.errors import UserError


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Make a directory aside, for files to be written into; it appears as `path` at the end.

    Raises:
        UserError: `path` is there already, or cannot be written.
    """
    with _aside(path) as aside:
        aside.mkdir()
        yield aside


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to be written aside; it appears as `path` at the end.

    Raises:
        UserError: `path` is there already, or cannot be written.
    """
    with _aside(path) as aside:
        yield aside


def check_free(path: Path) -> None:
    """Check that nothing is there yet.

    Raises:
        UserError: something is.
    """
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: exists already; remove it, or give another output")


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    check_free(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        check_free(path)
        os.rename(aside, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}; check space and permissions"
        ) from None
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
