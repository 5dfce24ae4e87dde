"""Two training processes take turns: a child trains some steps when told to, then waits.

Both sides' loops call `Turns.step` after each step; this module imports nothing of either side.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

_MARK = "TURN "


class Turns:
    """A child's end: after each turn it reports the mean loss and waits for the next.

    And the processor seconds it took, which other load on the machine moves less than the clock's.
    """

    def __init__(self, steps: int):
        self.steps = steps
        self.losses: list[float] = []
        self._wait()

    def step(self, loss: float) -> None:
        self.losses.append(loss)
        if len(self.losses) == self.steps:
            seconds = time.process_time() - self.start
            print(f"\n{_MARK}{sum(self.losses) / self.steps} {seconds}", flush=True)
            self.losses = []
            self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            # Told to stop; what the loop would still evaluate or save is of no interest.
            os._exit(0)
        self.start = time.process_time()


class Side:
    """The parent's end of one child; calling it lets the child have its turn."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: str):
        self.losses: list[float] = []
        self.processor: list[float] = []
        self.log = log
        self._errors = open(log, "w")  # noqa: SIM115
        self._child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __call__(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(file=self._child.stdin, flush=True)
        for line in self._child.stdout:
            if line.startswith(_MARK):
                loss, seconds = map(float, line.removeprefix(_MARK).split())
                self.losses.append(loss)
                self.processor.append(seconds)
                return
        sys.exit(f"a side ended early; see {self.log}")

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()
        self._errors.close()
