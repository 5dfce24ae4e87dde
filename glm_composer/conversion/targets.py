"""Where a dataset goes when it is finished: a directory, by one rename, or a bucket."""

import shutil
from pathlib import Path
from typing import Protocol

from glm_composer.conversion.files import sync
from glm_composer.errors import UserError


class Target(Protocol):
    """The place of a dataset.

    Attributes:
        name: for messages.
        work: directory for finished parts, until the dataset is published.
    """

    name: str
    work: Path

    def refuse_occupied(self) -> None:
        """Raise a UserError where something is there already."""

    def publish(self, dataset: Path) -> None:
        """Put a finished directory in its place, whole."""


def open_target(out: str) -> Target:
    """Return the target that a configuration's `out` means."""
    if out.startswith("s3://"):
        from glm_composer.conversion.s3 import Bucket

        return Bucket(out)
    return Directory(Path(out).expanduser())


class Directory:
    """A directory on this machine; parts lie beside it."""

    def __init__(self, path: Path):
        self.name = str(path)
        # Renaming onto a symbolic link would replace the link: the directory behind it is meant.
        self._path = path.resolve()
        self.work = self._path.with_name(f".{self._path.name}.parts")

    def refuse_occupied(self) -> None:
        """Raise a UserError where the path is anything but absent or an empty directory."""
        path = self._path
        if path.is_dir() and not any(path.iterdir()):
            return
        if path.exists():
            is_dataset = (path / "manifest.json").exists()
            held = "already holds a dataset" if is_dataset else "is not empty"
            raise UserError(f"{self.name}: {held}; delete it, or choose another 'out'")

    def publish(self, dataset: Path) -> None:
        """Rename the directory, which lies on the same file system."""
        self.refuse_occupied()
        dataset.rename(self._path)
        sync(self._path.parent)
        shutil.rmtree(self.work, ignore_errors=True)
