"""Runs the trials of a sweep, so many at a time, and keeps the journal."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from glm_composer.errors import UserError
from glm_composer.sweeps.definition import Definition, check_base
from glm_composer.sweeps.journal import FILE, Trial, append
from glm_composer.sweeps.search import Search
from glm_composer.sweeps.trial import environments, gpus, outcome, run_name, start, write_config

# Between looks at the processes, in seconds.
_PAUSE = 0.2
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
_ASKED = "stopping: trials save and stop; once more kills them"


@dataclass(kw_only=True)
class _Job:
    """A trial that is being trained; without a process it waits for that of an earlier start."""

    trial: Trial
    config: Path
    process: subprocess.Popen[bytes] | None
    begun: float


class Runner:
    """Trains what is left of a sweep.

    Args:
        directory: of the sweep; its lock is held.
        definition: of the sweep.
        search: proposes new trials.
        trials: there so far, by number.
        jobs: trials at a time.
        changed: called with all trials whenever one has ended.
    """

    def __init__(
        self,
        directory: Path,
        definition: Definition,
        search: Search,
        trials: list[Trial],
        jobs: int,
        changed: Callable[[list[Trial]], object],
    ):
        self._directory, self._definition, self._search = directory, definition, search
        self.trials = trials
        self._again = [trial for trial in trials if trial.state != "finished"]
        self._environments = environments(jobs, gpus())
        self._jobs: dict[int, _Job] = {}
        self._changed = changed
        self._seconds: list[float] = []
        self._signals = self._answered = 0
        self._error: UserError | None = None

    @property
    def stopped(self) -> bool:
        """Whether a signal ended it."""
        return self._signals > 0

    def run(self) -> None:
        """Train until nothing is left, or a signal comes; trials that fail are no end of it.

        Raises:
            UserError: new trials cannot be made; those that ran have ended before.
        """
        with self._stopping():
            while True:
                self._fill()
                if not self._jobs:
                    break
                time.sleep(_PAUSE)
                self._answer_signals()
                self._collect()
        if self._error:
            raise self._error

    def _fill(self) -> None:
        free = [job for job in range(len(self._environments)) if job not in self._jobs]
        try:
            while free and not self._signals and not self._error:
                trial = self._next()
                if trial is None:
                    return
                if self._begin(trial, free[0]):
                    free.pop(0)
        except UserError as error:
            # Those that run are let finish.
            self._error = error

    def _next(self) -> Trial | None:
        if self._again:
            return replace(self._again.pop(0), state="started", message="")
        values = self._search.propose(self.trials)
        if values is None:
            return None
        check_base(self._directory, self._definition)
        return Trial(number=len(self.trials) + 1, values=values, state="started")

    def _begin(self, trial: Trial, slot: int) -> bool:
        """Start a trial; False if its settings cannot even be read."""
        known = trial.number <= len(self.trials)
        name = run_name(self._definition, trial.number)
        # Written before the run's directory can be there: what it holds is this sweep's.
        self._note(trial)
        try:
            config = write_config(self._directory, self._definition, trial)
        except UserError as error:
            self._end(replace(trial, state="failed", message=str(error)))
            return False
        process = start(config, self._environments[slot])
        self._jobs[slot] = _Job(
            trial=trial, config=config, process=process, begun=time.monotonic()
        )
        said = "started again" if known else "started"
        if process is None:
            said = "is still trained by a process of before: waiting for it"
        _say(f"{name}  {_values(trial)}  {said}")
        return True

    def _collect(self) -> None:
        for slot, job in list(self._jobs.items()):
            if job.process is None:
                if self._signals:
                    del self._jobs[slot]
                else:
                    job.process = start(job.config, self._environments[slot])
                continue
            self._pass_on(job.process)
            code = job.process.poll()
            if code is not None:
                del self._jobs[slot]
                self._seconds.append(time.monotonic() - job.begun)
                self._end(outcome(self._definition, job.trial, job.config, code))

    def _end(self, trial: Trial) -> None:
        self._note(trial)
        self._search.tell(trial)
        ended = len(self.trials) - len(self._jobs) - len(self._again)
        total = self._search.total(self.trials)
        name = run_name(self._definition, trial.number)
        said = f"{trial.state}: {trial.message}"
        if trial.value is not None:
            found = [each.value for each in self.trials if each.value is not None]
            best = trial.value == min(found, key=self._definition.better)
            said = f"{self._definition.metric} {trial.value:.4f} at step {trial.step}"
            said += ", the best so far" if best else ""
        _say(f"{name}  {said}  [{ended}/{total}{self._left(total - ended)}]")
        self._changed(self.trials)

    def _note(self, trial: Trial) -> None:
        append(self._directory / FILE, trial)
        self.trials[trial.number - 1 : trial.number] = [trial]

    def _left(self, trials: int) -> str:
        if not self._seconds or not trials or self._signals:
            return ""
        mean = sum(self._seconds) / len(self._seconds)
        minutes = math.ceil(trials / len(self._environments)) * mean / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a trial to save and stop after one signal, once; kill it after two."""
        if self._signals == 1 and process.pid not in self._asked:
            self._asked.add(process.pid)
            process.terminate()
        elif self._signals > 1:
            os.killpg(process.pid, signal.SIGKILL)

    def _answer_signals(self) -> None:
        """Say what signals lead to; not in their handler, which may interrupt another print."""
        for number in range(self._answered, self._signals):
            _say("stopping: killed" if number else _ASKED)
        self._answered = self._signals

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        self._asked: set[int] = set()

        def note(number: int, frame: FrameType | None) -> None:
            self._signals += 1

        # `nohup` has it ignored, and means it.
        ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
        heard = [number for number in _STOPPING if number not in ignored]
        before = {number: signal.signal(number, note) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # The terminal is closed, or who read is gone: the trials still have to be looked after.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _values(trial: Trial) -> str:
    return " ".join(f"{key}={value}" for key, value in trial.values.items())
