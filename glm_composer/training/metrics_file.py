"""`metrics.jsonl`: an object a line, `step` first, then full-precision values by name."""

import json
import os
from pathlib import Path
from typing import Any

from composer.core import State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist

from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics

# Composer's own copies of what is logged elsewhere: the training loss of LogLosses, and clocks.
_DROPPED = ("loss/train/total", "time/", "trainer/", "enabled_algorithms")


class MetricsFile(LoggerDestination):
    """Writes metrics of rank 0, one line for each step that logged any.

    After a resumption the lines behind the checkpoint are dropped, since their steps are run
    again. The checkpoint carries the line of its own step, which is written when the next step
    begins: a run that is killed in between would have lost it, and its evaluations with it.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self.path = path
        self._step = -1
        self._line: dict[str, float] = {}

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Collect metrics of a step; a new step writes the line before it."""
        if step is None or dist.get_global_rank() != 0:
            return
        if step != self._step:
            self._flush()
            self._step = step
        for name, value in metrics.items():
            if not name.startswith(_DROPPED):
                self._line[name.removeprefix("metrics/")] = float(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the line that is not written yet."""
        return {"step": self._step, "line": dict(self._line)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the line of the checkpoint's step."""
        # Of a checkpoint from before there was such a state it is empty.
        if state and dist.get_global_rank() == 0:
            self._step, self._line = state["step"], dict(state["line"])

    def fit_start(self, state: State, logger: Logger) -> None:
        """Drop what a resumed run is going to log again."""
        if dist.get_global_rank() == 0 and self.path.exists():
            resumed = state.timestamp.batch.value
            kept = [row for row in read_metrics(self.path) if row["step"] <= resumed]
            if kept and kept[-1]["step"] == self._step:
                # Written after the checkpoint, and with what was logged after it; an epoch that
                # ends with the checkpoint may log to it once more.
                self._line = {key: value for key, value in kept.pop().items() if key != "step"}
            aside = self.path.with_suffix(".partial")
            aside.write_text("".join(json.dumps(row) + "\n" for row in kept if resumed))
            os.replace(aside, self.path)

    def batch_end(self, state: State, logger: Logger) -> None:
        """Nothing more is logged of the step before."""
        if self._step < state.timestamp.batch.value:
            self._flush()

    def close(self, state: State, logger: Logger) -> None:
        """Write the last line, also of a run that failed.

        Not at the fit's end: Composer evaluates once more after it.
        """
        if self._line and self.path.exists():
            written = read_metrics(self.path)
            # Of a run that was trained to its end already: with all that was logged of that step.
            if written and written[-1]["step"] == self._step:
                self._line = {}
        self._flush()

    def _flush(self) -> None:
        if not self._line:
            return
        # Forgotten first: closing after a failure would try, and fail, again.
        line, self._line = self._line, {}
        try:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": self._step, **line}) + "\n")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
