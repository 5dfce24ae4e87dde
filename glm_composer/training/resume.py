"""Which checkpoint a run goes on from, and that Composer reads it without running its code."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from composer import Trainer
from composer.utils import checkpoint, dist

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.runs.events import append_event
from glm_composer.runs.folder import CHECKPOINTS
from glm_composer.training.checkpoint_file import read_checkpoint
from glm_composer.training.checkpoint_folder import LATEST, link, newest_whole, set_aside

_LOG = logging.getLogger(__name__)


def find_resumable(config: Config) -> Path | None:
    """Return the checkpoint to go on from, the same on every rank; None to start afresh.

    That is the newest one whose bytes are those it was saved with. Later ones that are damaged are
    set aside, so that nothing takes them for checkpoints.

    Raises:
        UserError: there are checkpoints and none is whole, or a rank does not see the one.
    """
    if not config.autoresume:
        return None
    answer: list[Any] = [None, None]
    if dist.get_global_rank() == 0:
        # Whatever rank 0 finds, the others must hear of it: they wait.
        try:
            answer[0] = _choose(config.run_dir)
        except UserError as error:
            answer[1] = str(error)
        except OSError as error:
            answer[1] = f"{error.filename}: cannot be read: {error.strerror}"
    dist.broadcast_object_list(answer, src=0)
    chosen, problem = answer
    if problem is not None:
        raise UserError(problem)
    if chosen is not None and not all(dist.all_gather_object(chosen.exists())):
        raise UserError(f"{chosen}: not every node sees it; runs_dir must be on shared storage")
    return chosen


def _choose(run_dir: Path) -> Path | None:
    folder = run_dir / CHECKPOINTS
    chosen, wrong = newest_whole(folder)
    for path, reason in wrong.items():
        instead = "starting afresh" if chosen is None else f"going on from {chosen.name}"
        _LOG.warning("%s: skipped: %s; %s", path, reason, instead)
        append_event(run_dir, "checkpoint_skipped", file=path.name, reason=reason)
        if reason.startswith("damaged"):
            _LOG.warning("%s: kept there to be looked at", set_aside(path))
    if chosen is None:
        return None
    link(folder, LATEST, chosen)
    return chosen.absolute()


class PlainTrainer(Trainer):
    """Composer's Trainer, but it reads `load_path` as plain data.

    Composer 0.32.1 unpickles whatever a file holds, and there is no setting for it.
    """

    def __init__(self, **settings: Any):
        with _plain_loading():
            super().__init__(**settings)


@contextlib.contextmanager
def _plain_loading() -> Iterator[None]:
    theirs = checkpoint._torch_load_with_validation
    checkpoint._torch_load_with_validation = _load
    try:
        yield
    finally:
        checkpoint._torch_load_with_validation = theirs


def _load(checkpoint_filepath: str | Path, map_location: str) -> dict[str, Any]:
    # Composer reads through a link in a temporary directory. Not mapped: tensors of optimizers
    # may stay where they were read, and rotation removes the file.
    found = read_checkpoint(Path(checkpoint_filepath).resolve())
    # Composer evaluates the text of those that it thinks necessary, as Python. None of ours is,
    # and none has a state.
    found["state"].pop("algorithms", None)
    return found
