"""Signals that end a run in good order: SIGTERM, SIGINT, SIGUSR2 (preemption).

While batches are trained the first one is remembered; the run saves at the next batch's end and
stops. At any other time it ends the run where it is. A second one ends the process at once.

A launcher (`composer`, `torchrun`) sends each rank a SIGTERM of its own when it is to end, or when
another rank has ended; a sweep sends one to each trial. One of them more is therefore no second
signal: Ctrl-C and a batch system reach the ranks twice, themselves and through what started them.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from glm_composer.runs.reasons import RunEnds

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
# Set in the environment by what starts a run and hands signals on to it, other than a launcher.
FROM_ABOVE = "GLM_SIGNALS_FROM_ABOVE"


@dataclass
class _Received:
    """What has come so far.

    Attributes:
        first: number of the first signal; 0 for none.
        deferring: remember it instead of raising.
        expected: SIGTERMs after the first signal that are the launcher's or sweep's own.
        process: the process that listens; one that it forks does not.
    """

    first: int = 0
    deferring: bool = False
    expected: int = 0
    process: int = 0


# A process has its signals once, whoever asks for them.
_state = _Received()


def received() -> int:
    """Return the number of the signal that asks this process to end; 0 if none has."""
    return _state.first


@contextmanager
def listening() -> Iterator[None]:
    """Let the signals end what is inside as `RunEnds`; the handlers before them come back."""
    _state.first, _state.deferring = 0, False
    _state.expected = 1 if "LOCAL_RANK" in os.environ or FROM_ABOVE in os.environ else 0
    _state.process = os.getpid()
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Remember a signal that comes inside, for `received`, instead of raising.

    Raises:
        RunEnds: at the end, for one that came too late to be acted on inside.
    """
    _state.deferring = True
    try:
        yield
    finally:
        _state.deferring = False
    if _state.first:
        raise RunEnds("signal", ending(_state.first))


def _handle(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _state.process:
        # A worker that was forked has nothing to save.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    if not _state.first:
        _state.first = number
        if not _state.deferring:
            raise RunEnds("signal", ending(number))
        return
    if number == signal.SIGTERM and _state.expected:
        _state.expected -= 1
        return
    os._exit(128 + number)


def ending(number: int) -> str:
    """Return what to say of a run that a signal has ended."""
    name = signal.Signals(number).name
    return f"ended by {name}; start the same command again to go on from the latest checkpoint"
