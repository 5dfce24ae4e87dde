"""Saves checkpoints that are whole or not there at all.

Composer 0.32.1 writes a checkpoint under its final name and takes `latest` away before it links
it anew, so a full disk or a kill leaves a torso, or a run that starts from scratch. Here both are
made aside and renamed.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from composer.callbacks import CheckpointSaver
from composer.core import State
from composer.loggers import Logger
from composer.utils import checkpoint

from glm_composer.conversion.files import sync
from glm_composer.errors import UserError

# Directory beside the checkpoints that holds the one being written.
ASIDE = "partial"


class DurableSaver(CheckpointSaver):
    """Composer's saver for one local file a checkpoint: no shards, no uploads.

    Args:
        folder: where checkpoints lie; torsos that a kill has left there are deleted.
        check: called on all ranks before anything is written; raises where the state must not be.
        settings: as Composer's.
    """

    def __init__(self, folder: str, check: Callable[[State], None], **settings: Any):
        super().__init__(folder=folder, **settings)
        self._check = check
        shutil.rmtree(Path(folder) / ASIDE, ignore_errors=True)

    def _save_checkpoint(self, state: State, logger: Logger) -> None:
        self._check(state)
        self.last_checkpoint_batch = state.timestamp.batch
        pattern = Path(self.filename.format(state, keep_placeholders=True))
        final = Path(checkpoint.get_save_filename(state, str(pattern)))
        # Another directory, since Composer takes any ending but `.pt` for a compression.
        aside = final.parent / ASIDE / final.name
        # Before saving: the checkpoint lists itself.
        self.all_saved_checkpoints_to_timestamp[str(final)] = state.timestamp
        with _whole(final, aside):
            # Every rank takes part, one of them writes.
            written = pattern.parent / ASIDE / pattern.name
            if not checkpoint.save_checkpoint(state=state, filename=str(written)):
                return
            sync(aside)
            os.replace(aside, final)
            if self.latest_filename is not None:
                _link(Path(self.latest_filename.format(state)), final)
            sync(final.parent)
        with contextlib.suppress(OSError):
            aside.parent.rmdir()
        self.saved_checkpoints.append(str(final))
        if self.num_checkpoints_to_keep >= 0:
            self._rotate_checkpoints()


def _link(latest: Path, final: Path) -> None:
    aside = latest.with_name(latest.name + ".partial")
    aside.unlink(missing_ok=True)
    aside.symlink_to(final.name)
    os.replace(aside, latest)


@contextlib.contextmanager
def _whole(final: Path, aside: Path) -> Iterator[None]:
    """Remove what was written aside if anything fails; name the file if the disk did."""
    try:
        yield
    except BaseException as error:
        aside.unlink(missing_ok=True)
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
