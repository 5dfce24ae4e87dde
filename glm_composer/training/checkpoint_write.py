"""Puts a checkpoint that was written aside in its place: whole, or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from glm_composer.conversion.files import sync
from glm_composer.errors import UserError
from glm_composer.training.checkpoint_file import read_checkpoint
from glm_composer.training.checkpoint_manifest import Manifest, manifest_path, write_manifest


def check_readable(aside: Path, final: Path) -> None:
    """Check now that a run can go on from what it saves: only plain data is ever read.

    Raises:
        UserError: it holds more, and what.
    """
    try:
        read_checkpoint(aside, mapped=True)
    except UserError as error:
        raise UserError(
            f"{final}: cannot be saved: it could not be read again: {error}; the state_dict of a "
            "callback must hold tensors, numbers, text, lists and dictionaries only"
        ) from None


def publish(aside: Path, final: Path, manifest: Manifest) -> None:
    """Give a checkpoint that was written aside its name, and after it its manifest."""
    sync(aside)
    write_manifest(manifest_path(aside), manifest)
    # Of an earlier file of this name, which is replaced.
    manifest_path(final).unlink(missing_ok=True)
    os.replace(aside, final)
    sync(final.parent)
    os.replace(manifest_path(aside), manifest_path(final))
    sync(final.parent)


@contextlib.contextmanager
def whole(final: Path, aside: Path) -> Iterator[None]:
    """Remove what was written aside if anything fails.

    Raises:
        UserError: the disk failed.
    """
    try:
        yield
    except BaseException as error:
        aside.unlink(missing_ok=True)
        manifest_path(aside).unlink(missing_ok=True)
        cause = _of_the_disk(error)
        if cause is None:
            raise
        raise UserError(
            f"{final}: cannot be saved: {cause.strerror}; earlier checkpoints are whole: make "
            "room and start the run again to go on from the latest"
        ) from error


def _of_the_disk(error: BaseException | None) -> OSError | None:
    # torch.save answers a failed write with a RuntimeError about positions in the file.
    while error is not None and not (isinstance(error, OSError) and error.errno):
        error = error.__cause__ or error.__context__
    return error if isinstance(error, OSError) else None
