"""A child process that does one of several things when asked to, and says how long it took.

Sides in Pythons of their own take turns this way; this module imports nothing of either.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

_MARK = "DONE "


def answer(answers: Mapping[str, Callable[[], object]]) -> None:
    """A child's end: does what it is told, by name, a line each, until there are no more lines."""
    for line in sys.stdin:
        work = answers[line.strip()]
        start, processor = time.perf_counter(), time.process_time()
        work()
        took = {
            "seconds": time.perf_counter() - start,
            "processor": time.process_time() - processor,
        }
        print(f"\n{_MARK}{json.dumps(took)}", flush=True)


class Child:
    """The parent's end of one child."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: str):
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

    def ask(self, question: str) -> dict[str, float]:
        """Seconds, by the clock and of the processor, that the answer took."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(question, file=self._child.stdin, flush=True)
        for line in self._child.stdout:
            if line.startswith(_MARK):
                return json.loads(line.removeprefix(_MARK))
        with open(self.log) as log:
            last = log.read().strip().splitlines()[-1:]
        sys.exit(f"{self.log}: ended early: {' '.join(last)}")

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()
        self._errors.close()
