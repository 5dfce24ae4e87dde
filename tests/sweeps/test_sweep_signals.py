"""Which signals a sweep answers to; what it does then is in test_sweep_runs.py."""

import os
import signal

import pytest

from glm_composer.sweeps.runner import Runner
from glm_composer.sweeps.search import Grid


@pytest.fixture
def hangups():
    """Restores what this process does when its terminal closes."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2])
@pytest.mark.parametrize("nohup", [False, True])
def test_what_stops_a_sweep(define, tmp_path, hangups, number, nohup):
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    definition = define("seed=1,2")
    runner = Runner(tmp_path, definition, Grid(definition), [], 1, lambda trials: None)
    with runner._stopping():
        os.kill(os.getpid(), number)
    assert runner.stopped == (not nohup or number != signal.SIGHUP)
    assert (signal.getsignal(signal.SIGHUP) is signal.SIG_IGN) == nohup
