"""A thread that says every second that this process lives, and ends it if the others do not.

The main thread cannot: it may be in a long step, or wait for ever for a rank that is gone.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from glm_composer.runs.reasons import End
from glm_composer.training.journal import Journal
from glm_composer.training.peers import Peers
from glm_composer.training.pulse import Pulse

# Seconds between two signs of life.
_PERIOD = 1.0
# Seconds in which the main thread may itself notice what the watch has noticed.
_GRACE = 3.0


class Watch:
    """Writes down what this process does, and looks after the others.

    Args:
        journal: where to write.
        peers: the other processes.
        pulse: what this one does.
        abort: returns the end that somebody asks for at once; None where nobody does.
    """

    def __init__(
        self, journal: Journal, peers: Peers, pulse: Pulse, abort: Callable[[], End | None]
    ):
        self._journal, self._peers, self._pulse = journal, peers, pulse
        self._abort = abort
        self._over = threading.Event()
        self._mine = threading.Lock()
        self._noticed: float | None = None
        self._thread = threading.Thread(target=self._go_on, name="watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def release(self) -> None:
        """Leave it to the caller, the main thread, to end the process.

        It does not return where the watch is already about to.
        """
        self._mine.acquire()

    def stop(self) -> None:
        """Be silent: nothing is written any more when it returns."""
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(_PERIOD):
            began = time.monotonic()
            self._peers.look()
            still = began - self._pulse.moved
            verdict = self._abort() or self._peers.verdict(self._pulse.moves, still)
            if verdict is not None:
                self._act(verdict, began)
            elif time.monotonic() - began < _PERIOD:
                # Else it was stopped in between, and others may have written the run's end.
                self._journal.beat()

    def _act(self, verdict: End, now: float) -> None:
        self._noticed = self._noticed or now
        # Rank 0 may be writing a checkpoint still, where the others have stopped already.
        grace = self._peers.patience if verdict.state == "stopped" else _GRACE
        if verdict.reason == "aborted":
            grace = 0.0
        if now - self._noticed < grace or not self._mine.acquire(blocking=False):
            self._journal.beat()
            return
        self._journal.end(verdict)
        # Whoever read it may be gone; nobody else would end this process then.
        with suppress(OSError):
            print(f"error: {verdict.message}", file=sys.stderr, flush=True)
        os._exit(verdict.code)
