"""Does what `glm jobs` and signals ask of a run, on all ranks at the same batch's end.

Whether something is asked of any rank is told along with the losses, at no reduction of its own.
Only where something is, more is exchanged.
"""

import logging
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from glm_composer.errors import UserError
from glm_composer.runs.changes import (
    LR_SCALE,
    SAVE_INTERVAL,
    Change,
    check_change,
    set_since,
)
from glm_composer.runs.events import append_event
from glm_composer.runs.reasons import Reason, RunEnds
from glm_composer.runs.requests import (
    Answer,
    Request,
    answer,
    read_waiting,
)
from glm_composer.training import signals
from glm_composer.training.asked import Asked
from glm_composer.training.callbacks.learning_rate import SetLearningRate
from glm_composer.training.intervals import Interval

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Steering(Callback):
    """Takes requests at a batch's end, before anything else does something there.

    What has been set is part of the checkpoint. Of a run that was killed after its latest
    checkpoint, what was set since is in the events, and set again at the same batches.

    Args:
        run_dir: the run's directory.
        asked: knows after each batch whether something is asked of any rank.
        rate: sets the learning rate.
        intervals: by their keys in the settings; that of the checkpoints is `save_interval`, all
            others are of evaluations.
    """

    def __init__(
        self, run_dir: Path, asked: Asked, rate: SetLearningRate, intervals: dict[str, Interval]
    ):
        self._run_dir, self._asked = run_dir, asked
        self._rate, self._intervals = rate, intervals
        self._configured = {LR_SCALE: repr(1.0)} | {k: v.text for k, v in intervals.items()}
        self._changes: dict[str, Change] = {}
        self._later: list[Change] = []
        self._answers: list[tuple[Request, Answer, Change | None]] = []
        self._taken: set[str] = set()
        self._end: RunEnds | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what has been set, as plain data."""
        return {"changes": [asdict(each) for each in self._changes.values()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was set before the checkpoint."""
        # Of a checkpoint from before there was such a state it is empty.
        for each in state.get("changes", []):
            self._keep(Change(**each))

    def fit_start(self, state: State, logger: Logger) -> None:
        """Find out what was set after the checkpoint."""
        step = state.timestamp.batch.value
        self._later = _from_rank_0(lambda: set_since(self._run_dir, step))
        self._make_changes(step)

    def batch_end(self, state: State, logger: Logger) -> None:
        """Prepare what is asked of any rank, before anything else is done after the batch."""
        step = state.timestamp.batch.value
        self._make_changes(step)
        if self._asked.waiting:
            for request in _from_rank_0(lambda: self._take(step)):
                self._act(request, step)
        number = self._asked.signal
        if number and self._end is None:
            self._intervals[SAVE_INTERVAL].ask()
            self._end = RunEnds("signal", signals.ending(number))
            if dist.get_global_rank() == 0:
                name = signal.Signals(number).name
                append_event(self._run_dir, "signal", name=name, step=step)

    def finish(self, state: State) -> None:
        """Answer what has been done, and end the run if that was asked."""
        self._report(state.timestamp.batch.value)
        if self._end is not None:
            raise self._end

    def _make_changes(self, step: int) -> None:
        """Make those again that an earlier start of the run has made here."""
        for change in self._later:
            if change.step == step:
                self._keep(change)

    def _take(self, step: int) -> list[Request]:
        """Read the inbox of rank 0; refuse what is no request of the run's owner."""
        found = read_waiting(self._run_dir)
        for name, why in found.refused.items():
            _LOG.warning("request %s refused: %s", name, why)
            self._tell(name, Answer(done=False, message=why, step=step))
        # One whose answer could not be written still lies there.
        fresh = [request for request in found.requests if request.id not in self._taken]
        self._taken.update(request.id for request in fresh)
        return fresh

    def _act(self, request: Request, step: int) -> None:
        """Prepare what is asked, on every rank alike."""
        message = f"done after batch {step}"
        match request.kind:
            case "save":
                self._intervals[SAVE_INTERVAL].ask()
                message = f"saved after batch {step}"
            case "eval":
                for key, interval in self._intervals.items():
                    if key != SAVE_INTERVAL:
                        interval.ask()
                message = f"evaluated after batch {step}"
            case "set":
                self._set(request, step)
                return
            case "stop" | "save-stop" | "abort":
                if request.kind == "save-stop":
                    self._intervals[SAVE_INTERVAL].ask()
                message = f"{_ENDINGS[request.kind]} after batch {step}"
                reason: Reason = "aborted" if request.kind == "abort" else "requested"
                self._end = self._end or RunEnds(reason, f"{message}, as requested")
        self._answers.append((request, Answer(done=True, message=message, step=step), None))

    def _set(self, request: Request, step: int) -> None:
        key, change = request.key or "", None
        try:
            value = check_change(key, request.value or "", self._configured)
        except UserError as error:
            reply = Answer(done=False, message=str(error), step=step)
        else:
            before = self._value(key)
            self._later = [each for each in self._later if each.key != key]
            change = Change(key=key, value=value, configured=self._configured[key], step=step)
            self._keep(change)
            message = f"{key} is {value} after batch {step} (was {before})"
            reply = Answer(done=True, message=message, step=step)
        self._answers.append((request, reply, change))

    def _value(self, key: str) -> str:
        return repr(self._rate.scale) if key == LR_SCALE else self._intervals[key].text

    def _keep(self, change: Change) -> None:
        """Make a change, unless the settings have been changed since it was made first."""
        if self._configured.get(change.key) != change.configured:
            _LOG.info("%s: as the settings say now, no longer %s", change.key, change.value)
            return
        self._changes[change.key] = change
        if change.key == LR_SCALE:
            self._rate.scale = float(change.value)
        else:
            self._intervals[change.key].text = change.value
        _LOG.info("%s is %s (set after batch %d)", change.key, change.value, change.step)

    def _report(self, step: int) -> None:
        answers, self._answers = self._answers, []
        if dist.get_global_rank() == 0:
            for request, reply, change in answers:
                self._tell(request.id, reply, request, change)

    def _tell(
        self,
        name: str,
        reply: Answer,
        request: Request | None = None,
        change: Change | None = None,
    ) -> None:
        """Write an answer, and into the record what was asked."""
        told: dict[str, Any] = {"kind": request.kind if request else name}
        if request and request.kind == "set":
            told |= {"key": request.key, "value": request.value}
            if change is not None:
                told |= asdict(change)
        try:
            append_event(
                self._run_dir,
                "request",
                **told | {"done": reply.done, "result": reply.message, "step": reply.step},
            )
            answer(self._run_dir, name, reply, request)
        except OSError as error:
            # No reason to end a run.
            _LOG.warning("request %s: cannot be answered: %s", name, error.strerror)


_ENDINGS = {"stop": "stopped", "save-stop": "saved and stopped", "abort": "aborted"}


class Answers(Callback):
    """Lets `Steering` answer after the evaluations and the checkpoint of a batch.

    Args:
        steering: which took the requests.
    """

    def __init__(self, steering: Steering):
        self._steering = steering

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        """Answer; this callback follows that which saves checkpoints."""
        self._steering.finish(state)


def _from_rank_0(find: Callable[[], T]) -> T:
    """What rank 0 finds, on every rank; what it raises, too."""
    found: list[Any] = [None]
    if dist.get_global_rank() == 0:
        try:
            found = [find()]
        except (UserError, OSError) as error:
            found = [error]
    dist.broadcast_object_list(found, src=0)
    if isinstance(found[0], Exception):
        raise found[0]
    return cast(T, found[0])
