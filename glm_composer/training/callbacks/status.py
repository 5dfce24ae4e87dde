"""Tells what the run is doing: some assignments in memory; the watch writes them down."""

import time
from collections import deque
from pathlib import Path
from typing import Any

from composer.core import Event, State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist

from glm_composer.runs.events import append_event
from glm_composer.training.pulse import Pulse

_PHASES = {
    Event.FIT_START: "beginning to train",
    Event.BEFORE_DATALOADER: "reading a batch",
    Event.BEFORE_FORWARD: "forward",
    Event.BEFORE_BACKWARD: "backward",
    Event.AFTER_BACKWARD: "updating weights",
    Event.BATCH_END: "between batches",
    Event.BATCH_CHECKPOINT: "between batches",
    Event.EPOCH_CHECKPOINT: "between epochs",
    Event.EVAL_BEFORE_ALL: "evaluating",
    Event.EVAL_AFTER_ALL: "between batches",
    Event.FIT_END: "ending the training",
}
# Seconds between two looks at the speed, which is taken over so many of them.
_PERIOD, _LATELY = 0.5, 20


class ReportStatus(LoggerDestination):
    """Sets a pulse at each event of the training.

    Args:
        pulse: of this process.
        run_dir: the run's directory.
    """

    def __init__(self, pulse: Pulse, run_dir: Path):
        self._pulse, self._run_dir = pulse, run_dir
        # (seconds, tokens, progress) at the last looks.
        self._done: deque[tuple[float, int, float]] = deque(maxlen=_LATELY + 1)

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Take the loss."""
        loss = metrics.get("train/loss")
        if loss is not None:
            self._pulse.loss = float(loss)

    def run_event(self, event: Event, state: State, logger: Logger) -> None:
        """Say what comes now."""
        phase = _PHASES.get(event)
        if phase is None:
            if event is Event.EVAL_BATCH_START:
                self._pulse.stir()
            if event is Event.EVAL_END and dist.get_global_rank() == 0:
                self._tell_of_evaluation(state)
            return
        pulse = self._pulse
        if event is Event.FIT_START:
            pulse.state = "training"
            self._measure(state)
        elif event is Event.EVAL_AFTER_ALL:
            pulse.state = "training"
        elif event is Event.EVAL_BEFORE_ALL:
            pulse.state = "evaluating"
        elif event is Event.FIT_END:
            self._measure(state)
        elif event is Event.BATCH_END:
            pulse.step = state.timestamp.batch.value
            if time.monotonic() - self._done[-1][0] > _PERIOD:
                self._measure(state)
        pulse.enter(phase)

    def _measure(self, state: State) -> None:
        pulse, elapsed = self._pulse, state.get_elapsed_duration()
        pulse.epoch = state.timestamp.epoch.value
        pulse.progress = progress = elapsed.value if elapsed is not None else 0.0
        now, tokens = time.monotonic(), state.timestamp.token.value
        self._done.append((now, tokens, progress))
        then, before, less = self._done[0]
        if tokens > before and progress > less:
            pulse.tokens_per_second = (tokens - before) / (now - then)
            pulse.seconds_left = (1 - progress) * (now - then) / (progress - less)

    def _tell_of_evaluation(self, state: State) -> None:
        name, step = state.dataloader_label, state.timestamp.batch.value
        append_event(self._run_dir, "evaluated", name=name, step=step)
