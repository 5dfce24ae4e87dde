"""From a run's first moment to its end: its status while it goes on, and why it ended.

A process of several must not outlive a failure by waiting for others that are gone: it writes down
how the run ended, closes what is open, and leaves without the destructors that would wait.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from composer import Trainer
from composer.utils import dist
from torch.distributed import DistError

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.exits import report_errors
from glm_composer.runs.folder import CHECKPOINTS
from glm_composer.runs.reasons import CODES, FINISHED, End, RunEnds, end_of
from glm_composer.runs.requests import Answer, answer, any_waiting, read_waiting
from glm_composer.runs.status import read_status
from glm_composer.training.checkpoint_folder import list_checkpoints
from glm_composer.training.journal import Journal
from glm_composer.training.peers import Peers, unanswered
from glm_composer.training.pulse import Pulse
from glm_composer.training.watch import Watch

# Seconds to find out who is to blame when the others cannot be reached any more, and the silence
# after which it is whoever is silent.
_ASKING, _SILENCE = 10.0, 5.0
# The same after a signal, which others may just as well have got for its own sake.
_ASKING_AFTER_SIGNAL = 1.0
# Seconds to close what is open.
_CLOSING = 15.0


class Life:
    """A run between its start and its end, as this process lives it.

    Attributes:
        pulse: what this process does.
        trainer: closed when the run fails; None before there is one.
    """

    def __init__(self, config: Config):
        rank, self._ranks = dist.get_global_rank(), dist.get_world_size()
        self.pulse = Pulse()
        self._run_dir = config.run_dir
        self.trainer: Trainer | None = None
        self._journal = Journal(config, rank, self._ranks, self.pulse)
        self._peers = Peers(config.run_dir, rank, self._ranks, config.rank_timeout)
        self._watch = Watch(self._journal, self._peers, self.pulse, self._abort)

    def _abort(self) -> End | None:
        """The end that `glm jobs abort` asks for; rank 0 looks, the others hear of its end."""
        if dist.get_global_rank() != 0 or not any_waiting(self._run_dir):
            return None
        message = f"aborted in batch {self.pulse.step + 1}, {self.pulse.phase}"
        # What cannot be read or written now is looked at again in a second.
        with suppress(OSError):
            for request in read_waiting(self._run_dir).requests:
                if request.kind == "abort":
                    reply = Answer(done=True, message=message, step=self.pulse.step)
                    answer(self._run_dir, request.id, reply, request)
                    return End("aborted", message, CODES["aborted"])
        return None

    def begin(self) -> None:
        """Say that the run starts, on all ranks."""
        self._remember()
        self._watch.start()
        self._journal.begin()

    def _remember(self) -> None:
        """Take up how far the run was: it may end before its checkpoint is read."""
        before = None
        with suppress(UserError):
            before = read_status(self._run_dir)
        if before is not None and list_checkpoints(self._run_dir / CHECKPOINTS):
            pulse = self.pulse
            pulse.step, pulse.epoch = before.step, before.epoch
            pulse.progress, pulse.loss = before.progress, before.loss

    def built(self, trainer: Trainer) -> None:
        """Say what the run goes on from."""
        self.trainer = trainer
        at = trainer.state.timestamp
        self.pulse.step, self.pulse.epoch = at.batch.value, at.epoch.value
        elapsed = trainer.state.get_elapsed_duration()
        self.pulse.progress = elapsed.value if elapsed is not None else 0.0
        name = f"ep{at.epoch.value}-ba{at.batch.value}-rank0.pt" if at.batch.value else None
        self._journal.started(resumed_from=name)

    def finish(self) -> None:
        """Say that the run is done."""
        self._watch.stop()
        self._journal.end(FINISHED)

    def fail(self, error: BaseException) -> None:
        """Say why the run ends; of several processes this one then leaves."""
        self._watch.release()
        if self._ranks > 1:
            # The launcher sends it when another rank is gone; what is said here must be said.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end = self._explain(error)
        self._watch.stop()
        self._journal.end(end)
        own = end_of(error)
        if end != own or end.reason in ("out_of_memory", "disk_full"):
            told: BaseException = RunEnds(end.reason, end.message, end.code)
            told.__cause__ = error
        else:
            told = error
        if self._ranks > 1:
            self._leave(told, end.code)
        if told is not error:
            raise told

    def _explain(self, error: BaseException) -> End:
        """The run's end: this process's own, or that of the one it could not reach."""
        own = end_of(error)
        cut = isinstance(error, DistError) or "gloo" in str(error)
        if self._ranks == 1 or not (cut or own.reason == "signal"):
            return own
        until = time.monotonic() + (_ASKING if cut else _ASKING_AFTER_SIGNAL)
        while time.monotonic() < until:
            self._peers.look()
            still = time.monotonic() - self.pulse.moved
            silence = _SILENCE if cut else None
            if found := self._peers.verdict(self.pulse.moves, still, silence):
                return found
            time.sleep(0.05)
        if not cut:
            return own
        what = f"the other ranks do not answer ({own.message}); {self._peers.describe()}"
        return unanswered(what, "Timed out" in str(error))

    def _leave(self, error: BaseException, code: int) -> NoReturn:
        closing = threading.Timer(_CLOSING, os._exit, [code])
        closing.daemon = True
        closing.start()

        def fail() -> None:
            raise error

        try:
            report_errors(fail)
        except BaseException:
            traceback.print_exc()
        if self.trainer is not None:
            # Not the trainer, which would wait for the others.
            self.trainer.engine.close()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def recorded(config: Config) -> Iterator[Life]:
    """Keep the record of a run while what is inside goes on; call it on all ranks together.

    Raises:
        RunEnds: the run ended for a reason that is no bad input, in place of what was raised.
    """
    life = Life(config)
    try:
        life.begin()
        yield life
    except BaseException as error:
        life.fail(error)
        raise
    life.finish()
