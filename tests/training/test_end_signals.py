"""Signals to a real process: the first one ends it in good order, a second one at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from glm_composer.training.signals import FROM_ABOVE

# A launcher's rank, and a sweep's trial.
LAUNCHED = ("LOCAL_RANK", FROM_ABOVE)
SCRIPT = """
import os, sys, time
from glm_composer.runs.reasons import RunEnds
from glm_composer.training import signals

try:
    with signals.listening():
        if sys.argv[1] == "deferred":
            with signals.deferred():
                print("ready", flush=True)
                end = time.monotonic() + 20
                while not signals.received() and time.monotonic() < end:
                    time.sleep(0.01)
                print("remembered", signals.received(), flush=True)
                # A checkpoint takes its time.
                time.sleep(float(sys.argv[2]))
            print("went on", flush=True)
        else:
            print("ready", flush=True)
            time.sleep(20)
except RunEnds as error:
    print(error, flush=True)
    sys.exit(error.code)
sys.exit(75)
"""


def start(*arguments: str, launched: str = "") -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in LAUNCHED}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=environment | ({launched: "0"} if launched else {}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_the_first_is_remembered_and_a_second_ends_at_once(number):
    process = start("deferred", "20")
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stdout.readline() == f"remembered {number}\n"
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + number
    assert time.monotonic() - began < 5


def test_one_that_comes_after_the_last_batch_ends_the_run_before_its_evaluation():
    process = start("deferred", "0")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert said.splitlines()[1].startswith("ended by SIGTERM")
    assert "went on" not in said
    assert process.returncode == 75


def test_outside_of_training_the_first_ends_the_run():
    process = start("elsewhere")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert said.startswith("ended by SIGTERM")
    assert process.returncode == 75


@pytest.mark.slow
@pytest.mark.parametrize("launched", LAUNCHED)
def test_the_launchers_own_is_no_second_one(launched):
    # Ctrl-C reaches the rank and the launcher, and the launcher sends the rank a SIGTERM; a batch
    # system's signal reaches a trial and the sweep, which sends the trial one.
    process = start("deferred", "0.5", launched=launched)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "remembered 2\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 75
    # But only one.
    process = start("deferred", "20", launched=launched)
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
        # Two of one kind that nobody has taken yet are one.
        time.sleep(0.3)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
