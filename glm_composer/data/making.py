"""Files in the making: not under their own name before they are whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glm_composer.data.remote import explain_disk_error
from glm_composer.errors import UserError


def hidden(path: Path, ending: str) -> Path:
    """Return the name of a helper of the file `path`, in its directory."""
    return path.with_name(f".{path.name}.{ending}")


def parts_of(path: Path) -> tuple[Path, Path]:
    """Return the unfinished forms of a file: itself, and its compressed form."""
    return hidden(path, "part"), hidden(path, "packed")


def remove(*files: Path) -> None:
    """Delete those of the files that are there."""
    for file in files:
        file.unlink(missing_ok=True)


def sizes(files: tuple[Path, ...]) -> int:
    """Return how many bytes those of the files that are there have together."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


@contextmanager
def written(path: Path) -> Iterator[tuple[Path, Path]]:
    """Make the directory of a file, give its unfinished forms, and explain what goes wrong.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield parts_of(path)
    except OSError as error:
        explain_disk_error(error, path)
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
