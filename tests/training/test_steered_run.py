"""Runs of two ranks, steered from outside by `glm jobs` and by signals; each goes on bitwise."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glm_composer.metrics_log import read_metrics
from glm_composer.runs.events import read_events
from glm_composer.runs.status import Status, read_status, shown_state

SCRIPT = Path(__file__).with_name("paced_train.py")
TINY = Path(__file__).with_name("tiny.yaml")
PATIENCE = 400.0


class Steered:
    """A run in a directory, started any number of times."""

    def __init__(self, yeast: Path, runs_dir: Path, name: str, *overrides: str):
        self.runs_dir, self.name = runs_dir, name
        self.run_dir = runs_dir / name
        self._settings = [f"data.path={yeast}", f"runs_dir={runs_dir}", f"run_name={name}"]
        self._settings += ["max_duration=100000ba", "scheduler={name: constant}", *overrides]
        self.process: subprocess.Popen[str] | None = None

    def start(self, ranks: int, *overrides: str) -> None:
        """Start it, and wait until it has trained five batches more."""
        before = self.status.step if self.run_dir.exists() else 0
        launch = [str(Path(sys.executable).with_name("composer")), "-n", str(ranks)]
        if ranks == 1:
            launch = [sys.executable]
        # Its own process group, as a terminal gives it.
        self.process = subprocess.Popen(
            [*launch, str(SCRIPT), str(TINY), *self._settings, *overrides],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.until(lambda: self.goes_on and self.status.step >= before + 5)

    @property
    def goes_on(self) -> bool:
        status = read_status(self.run_dir)
        return status is not None and shown_state(status) == "training"

    @property
    def status(self) -> Status:
        status = read_status(self.run_dir)
        assert status is not None
        return status

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(self.process.communicate()[0])
            time.sleep(0.02)

    def jobs(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `glm jobs VERB` says of it."""
        glm = str(Path(sys.executable).with_name("glm"))
        command = [glm, "jobs", verb, self.name, *arguments, "--runs-dir", str(self.runs_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    def code(self) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        said = self.process.communicate(timeout=PATIENCE)[0]
        print(said)
        return self.process.returncode

    def kill(self) -> None:
        """End all of its processes without a word."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def losses(self) -> dict[int, str]:
        rows = read_metrics(self.run_dir / "metrics.jsonl")
        found = [(row["step"], row["train/loss"].hex()) for row in rows if "train/loss" in row]
        assert len(dict(found)) == len(found), "a step was logged twice"
        return dict(found)

    def told(self, event: str) -> list[dict[str, object]]:
        return [each for each in read_events(self.run_dir) if each["event"] == event]


@pytest.fixture
def steered(yeast: Path, tmp_path: Path) -> Iterator[Callable[..., Steered]]:
    """Makes runs; what is left of them is killed."""
    made: list[Steered] = []

    def make(name: str, *overrides: str) -> Steered:
        made.append(Steered(yeast, tmp_path, name, *overrides))
        return made[-1]

    yield make
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.kill()


def checkpoints(run: Steered) -> set[int]:
    found = (run.run_dir / "checkpoints").glob("ep*-rank0.pt")
    return {int(path.name.split("-")[1].removeprefix("ba")) for path in found}


@pytest.mark.slow
def test_a_steered_run_goes_on_bitwise(steered):
    never = ["save_interval=100000ba", "eval_interval=100000ba"]
    pace = "callbacks.pace={name: pace, seconds: 0.1}"
    run = steered("steered", *never, pace)
    # First life: every request is acted on, by both ranks, at one batch's end.
    run.start(2)
    saved = run.jobs("save")
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.startswith("saved after batch ")
    assert checkpoints(run) == {int(saved.stdout.split()[-1])}
    assert run.jobs("eval").stdout.startswith("evaluated after batch ")
    refused = run.jobs("set", "lr", "3")
    assert refused.returncode == 2
    assert "'lr' cannot be set" in refused.stderr
    # What no command would send is refused by the run itself.
    wrong = run.run_dir / "commands/0-set.json"
    wrong.write_text(json.dumps({"id": "0-set", "kind": "format", "sent": "", "sender": ""}))
    run.until(lambda: not wrong.exists())
    assert run.jobs("save-stop").returncode == 0
    assert run.code() == 76
    assert (run.status.state, run.status.reason) == ("stopped", "requested")
    first = run.status.step
    assert first in checkpoints(run)
    evaluated = [each["step"] for each in run.told("evaluated")]
    assert len(evaluated) == 1
    # Second life: Ctrl-C reaches all processes of the group, the launcher included.
    run.start(2)
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.code() == 75
    second = run.status.step
    assert second > first
    assert second in checkpoints(run)
    # Third life: a change, which a kill shortly after it does not take back.
    run.start(2)
    changed = run.jobs("set", "lr_scale", "0.5")
    assert changed.stdout.startswith("lr_scale is 0.5 after batch "), changed.stderr
    at = int(changed.stdout.split("after batch ")[1].split()[0])
    run.until(lambda: run.status.step >= at + 4)
    run.kill()
    assert "dead" in run.jobs("status").stdout
    before = run.losses()
    assert max(checkpoints(run)) == second < at < max(before)
    # Fourth life, ended by preemption of which one rank only is told.
    run.start(2)
    run.until(lambda: run.status.step >= at + 6)
    rank = json.loads((run.run_dir / "ranks/1.json").read_text())
    os.kill(rank["pid"], signal.SIGUSR2)
    assert run.code() == 75
    assert run.status.step in checkpoints(run)
    assert [each["name"] for each in run.told("signal")] == ["SIGINT", "SIGUSR2"]
    after = run.losses()
    assert {step: after[step] for step in before} == before
    # A run that nobody steers, as far as both are the same.
    whole = steered("whole", *never, f"max_duration={at + 4}ba")
    whole.start(2)
    assert whole.code() == 0
    expected = whole.losses()
    assert {step: after[step] for step in range(1, at + 1)} == {
        step: expected[step] for step in range(1, at + 1)
    }
    # The negative control: the change has made a difference. Its first step has the old weights.
    assert after[at + 1] == expected[at + 1]
    assert after[at + 2] != expected[at + 2]


@pytest.mark.slow
def test_a_run_that_does_not_come_to_its_next_batch_is_aborted(steered):
    run = steered("stuck", "callbacks.pace={name: pace, seconds: 0.05}", "save_interval=5ba")
    run.start(1)
    run.process.send_signal(signal.SIGUSR2)
    assert run.code() == 75
    assert run.jobs("save").returncode == 2
    # For when it starts again; the other request would not wait.
    assert "starts again" in run.jobs("set", "save_interval", "7ba").stdout
    last = run.status.step + 10
    run.start(1, f"callbacks.pace={{name: pace, seconds: 0.05, stuck_after: {last}}}")
    run.until(lambda: run.status.step == last)
    assert "save_interval = 7ba" in run.jobs("status").stdout
    assert run.jobs("cleanup").returncode == 2
    aborted = run.jobs("abort")
    assert aborted.stdout.startswith(f"aborted in batch {last + 1}"), aborted.stderr
    assert run.code() == 77
    assert (run.status.reason, run.status.code) == ("aborted", 77)
    # As it was set, from the first batch on; and the checkpoint that the signal made.
    assert {step for step in checkpoints(run) if step > last - 10} == {
        step for step in range(last - 9, last + 1) if step % 7 == 0
    }
    assert run.jobs("cleanup").returncode == 0
    assert not (run.run_dir / "commands").exists()
