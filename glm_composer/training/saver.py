"""Saves checkpoints that are whole or not there at all, and keeps those that were asked for.

Composer 0.32.1 writes a checkpoint under its final name and takes `latest` away before it links
it anew, so a full disk or a kill leaves a torso, or a run that starts from scratch; and it forgets
what was saved before a resumption. Here files are made aside and renamed, the manifest last, and
what there is is read from the folder.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from composer.callbacks import CheckpointSaver
from composer.core import Event, State
from composer.loggers import Logger
from composer.utils import checkpoint, create_interval_scheduler, dist

from glm_composer.runs.events import append_event
from glm_composer.training.best import BestMetric
from glm_composer.training.checkpoint_folder import (
    ASIDE,
    BEST,
    LATEST,
    find_best,
    known,
    link,
    rotate,
    tidy,
)
from glm_composer.training.checkpoint_manifest import (
    Manifest,
    digest,
    manifest_path,
    read_manifest,
    write_manifest,
)
from glm_composer.training.checkpoint_write import check_readable, publish, whole
from glm_composer.training.upload import Uploads


class DurableSaver(CheckpointSaver):
    """Composer's saver for one local file a checkpoint: no shards.

    Args:
        folder: where checkpoints lie; torsos that a kill has left there are deleted.
        check: called on all ranks before anything is written; raises where the state must not be.
        keep_last: the last so many are kept.
        keep_interval: checkpoints at this interval are saved and kept for good.
        best: the metric by which the best is kept; it is saved right after the evaluation.
        uploads: where to send them as well.
        settings: as Composer's.
    """

    def __init__(
        self,
        folder: str,
        check: Callable[[State], None],
        *,
        keep_last: int,
        keep_interval: str | None = None,
        best: BestMetric | None = None,
        uploads: Uploads | None = None,
        **settings: Any,
    ):
        super().__init__(
            folder=folder,
            filename="ep{epoch}-ba{batch}-rank{rank}.pt",
            latest_filename=None,
            # Composer's own check for files in the way knows nothing of manifests.
            overwrite=True,
            **settings,
        )
        self._directory = Path(folder)
        self._check, self._best, self._uploads = check, best, uploads
        self._keep_last = keep_last
        self._kept_at = _interval(keep_interval)
        self._keep = self._ended = False
        # On the rank that writes.
        self._last: Path | None = None
        if dist.get_global_rank() == 0:
            tidy(self._directory)

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        """Save after a batch if it is time."""
        self._save_if_due(state, logger, Event.BATCH_CHECKPOINT)

    def epoch_checkpoint(self, state: State, logger: Logger) -> None:
        """Save after an epoch if it is time."""
        self._save_if_due(state, logger, Event.EPOCH_CHECKPOINT)

    def fit_end(self, state: State, logger: Logger) -> None:
        """From now on nothing is saved."""
        self._ended = True

    def eval_end(self, state: State, logger: Logger) -> None:
        """After the evaluation at the end, the last checkpoint may turn out to be the best."""
        saved = self.last_checkpoint_batch == state.timestamp.batch
        if self._ended and saved and self._is_best(state):
            self._amend(state)

    def _save_if_due(self, state: State, logger: Logger, event: Event) -> None:
        due = self.save_interval(state, event)
        self._keep = self._kept_at(state, event)
        # Asked on its own, since the ranks answer it together.
        best = self._is_best(state)
        if (due or self._keep or best) and self.last_checkpoint_batch != state.timestamp.batch:
            self._save_checkpoint(state, logger)
        elif self._keep or best:
            self._amend(state)
        self._keep = False

    def _is_best(self, state: State) -> bool:
        """Whether the metric was measured at this step, and is better than ever before."""
        if self._best is None or (value := self._measured(state)) is None:
            return False
        answer = [False]
        if dist.get_global_rank() == 0:
            held = find_best(known(self._directory), self._best.name, self._best.direction)
            answer = [held is None or self._best.is_better(value, held[1])]
        dist.broadcast_object_list(answer, src=0)
        return answer[0]

    def _measured(self, state: State) -> float | None:
        return self._best.measured(state.timestamp.batch.value) if self._best else None

    def _save_checkpoint(self, state: State, logger: Logger) -> None:
        self._check(state)
        began = time.monotonic()
        self.last_checkpoint_batch = state.timestamp.batch
        pattern = Path(self.filename.format(state, keep_placeholders=True))
        final = Path(checkpoint.get_save_filename(state, str(pattern)))
        # Another directory, since Composer takes any ending but `.pt` for a compression.
        aside = final.parent / ASIDE / final.name
        # Before saving: the checkpoint lists itself.
        self.all_saved_checkpoints_to_timestamp[str(final)] = state.timestamp
        with whole(final, aside):
            # Every rank takes part, one of them writes.
            written = pattern.parent / ASIDE / pattern.name
            if not checkpoint.save_checkpoint(state=state, filename=str(written)):
                return
            check_readable(aside, final)
            manifest = self._manifest(state, aside)
            publish(aside, final, manifest)
            self._last = final
            link(final.parent, LATEST, final)
        with contextlib.suppress(OSError):
            aside.parent.rmdir()
        self._tell(state, final, bytes=manifest.bytes, seconds=time.monotonic() - began)
        self._settle(final)

    def _manifest(self, state: State, file: Path) -> Manifest:
        value = self._measured(state)
        return Manifest(
            bytes=file.stat().st_size,
            sha256=digest(file),
            epoch=state.timestamp.epoch.value,
            batch=state.timestamp.batch.value,
            saved=datetime.now(UTC).isoformat(timespec="seconds"),
            ranks=dist.get_world_size(),
            torch=str(torch.__version__),
            keep=self._keep,
            metrics={} if self._best is None or value is None else {self._best.name: value},
        )

    def _amend(self, state: State) -> None:
        """Write into the manifest of a checkpoint of these very weights what came out since."""
        if self._last is None or (manifest := read_manifest(self._last)) is None:
            return
        value = self._measured(state)
        metrics = {} if self._best is None or value is None else {self._best.name: value}
        write_manifest(
            manifest_path(self._last),
            replace(
                manifest,
                keep=manifest.keep or self._keep,
                metrics={**manifest.metrics, **metrics},
            ),
        )
        self._settle(self._last)

    def _settle(self, final: Path) -> None:
        """Link the best, send the new one, and remove those that nobody asked to keep."""
        checkpoints = known(self._directory)
        spared = []
        if self._best is not None:
            best = find_best(checkpoints, self._best.name, self._best.direction)
            if best is not None:
                link(self._directory, BEST, best[0])
                spared.append(best[0])
        if self._uploads is not None:
            self._uploads.put(final)
        rotate(checkpoints, self._keep_last, spared)

    def _tell(self, state: State, final: Path, **facts: Any) -> None:
        # Of a full disk the checkpoint itself has told.
        with contextlib.suppress(OSError):
            append_event(
                self._directory.parent,
                "checkpoint",
                step=state.timestamp.batch.value,
                file=final.name,
                **facts,
            )


def _interval(interval: str | None) -> Callable[[State, Event], bool]:
    if interval is None:
        return lambda state, event: False
    return create_interval_scheduler(interval, include_end_of_training=False)
