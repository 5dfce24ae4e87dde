"""Sweeps as a user types them: killed, stopped, resumed; every trial a real run."""

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

TINY = Path(__file__).parents[1] / "training" / "tiny.yaml"
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def start(yeast: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `glm VERB tiny.yaml ...`; whatever is left of it at the end is killed."""
    started = []

    def begin(
        verb: str, *words: str, file: Path = TINY, out: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        here = [f"data.path={yeast}", f"runs_dir={tmp_path}", "data.eval_windows=20"]
        process = subprocess.Popen(
            [sys.executable, "-m", "glm_composer", verb, str(file), *here, *words],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
    for pid in trials_of(tmp_path):
        os.kill(pid, signal.SIGKILL)


def trials_of(directory: Path) -> dict[int, str]:
    """Processes that train from a yaml of a sweep below a directory -> the trial's name."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text().split("\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if "train" in words and words[-2].startswith(f"{directory}/sweeps/"):
            found[int(entry.name)] = Path(words[-2]).stem
    return found


def wait(for_what: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def end(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said


def events(directory: Path) -> list[tuple[int, str]]:
    lines = (directory / "sweeps/tiny/trials.jsonl").read_text().splitlines()
    return [(each["trial"], each["event"]) for each in map(json.loads, lines)]


def times(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.glob("tiny-*/**/*")}


SWEEP = ("optimizer={name: adamw}", "optimizer.lr=log:1e-4..1e-2", "--search", "optuna")
LONG = "max_duration=40ba"


def test_a_sweep_and_a_trial_that_are_killed_go_on_where_they_were(start, tmp_path):
    command = ("sweep", *SWEEP, LONG, "--trials", "2", "--jobs", "2")
    first = start(*command)
    saved = [tmp_path / f"tiny-{n:04d}/checkpoints/latest-rank0.pt" for n in (1, 2)]
    wait(lambda: all(path.exists() for path in saved))
    first.kill()
    first.wait()
    running = trials_of(tmp_path)
    assert sorted(running.values()) == ["tiny-0001", "tiny-0002"]
    victim, orphan = sorted(running, key=running.__getitem__)
    os.kill(victim, signal.SIGKILL)
    kept = saved[0].resolve()
    written = kept.stat().st_mtime_ns

    # Two go on at once: one of them does, the other is told so.
    ended = sorted(map(end, [start(*command), start(*command)]))
    assert [code for code, _ in ended] == [0, 2], ended
    assert "another process is at this sweep" in ended[1][1]
    assert not Path(f"/proc/{orphan}").exists()
    # Nothing was trained twice: the checkpoint from before the kill was gone on from.
    assert kept.stat().st_mtime_ns == written
    assert sorted(set(events(tmp_path))) == [
        (1, "finished"),
        (1, "started"),
        (2, "finished"),
        (2, "started"),
    ]
    for number in (1, 2):
        rows = read_metrics(tmp_path / f"tiny-{number:04d}/metrics.jsonl")
        steps = [row["step"] for row in rows if "train/loss" in row]
        assert steps == list(range(1, 41))

    # An uninterrupted run of the same settings has the same losses, and a finished sweep rests.
    before = times(tmp_path)
    again, alone = start(*command), tmp_path / "sweeps/tiny/tiny-0001.yaml"
    uninterrupted = start("train", "run_name=alone", file=alone)
    code, said = end(again)
    assert code == 0
    assert times(tmp_path) == before
    table = said.splitlines()[2:4]
    values = [float(line.split()[3]) for line in table]
    assert values == sorted(values)
    assert "to train it again: glm train" in said
    code, said = end(uninterrupted)
    assert code == 0, said
    logged = [
        [row["train/loss"] for row in read_metrics(tmp_path / name / "metrics.jsonl")]
        for name in ("alone", "tiny-0001")
    ]
    assert logged[0] == logged[1]


def test_a_trial_that_fails_is_named_and_a_signal_stops_the_others(start, tmp_path):
    # A warmup in samples does not go with a run in batches; that shows only once it trains.
    process = start("sweep", "scheduler.warmup=100sp,2ba", "max_duration=2000ba")
    wait((tmp_path / "tiny-0002/metrics.jsonl").exists)
    # As batch systems do before they take a machine away.
    process.send_signal(signal.SIGUSR2)
    code, said = end(process)
    assert code == 75, said
    assert "stopping: trials save and stop" in said
    assert not trials_of(tmp_path)
    assert events(tmp_path) == [(1, "started"), (1, "failed"), (2, "started"), (2, "stopped")]
    assert "tiny-0001 failed: scheduler.warmup (100sp) and max_duration" in said
    assert "stopped: the same command goes on" in said
    report = (tmp_path / "sweeps/tiny/report.html").read_text()
    assert "scheduler.warmup (100sp) and max_duration" in report


def test_a_terminal_that_closes_and_a_signal_to_all_processes_lose_nothing(start, tmp_path):
    terminal, slave = os.openpty()
    # Inherited by what is started: `nohup make test` has it ignored, and a sweep leaves that so.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = start("sweep", "seed=1,2", "max_duration=2000ba", out=slave)
    signal.signal(signal.SIGHUP, before)
    os.close(slave)
    wait((tmp_path / "tiny-0001/checkpoints/latest-rank0.pt").exists)
    os.close(terminal)
    # The trial hears it from the batch system and, while it saves, from the sweep.
    (trial,) = trials_of(tmp_path)
    os.kill(trial, signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 75
    assert not trials_of(tmp_path)
    assert events(tmp_path) == [(1, "started"), (1, "stopped")]
    run = tmp_path / "tiny-0001"
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["reason"], status["code"]) == ("stopped", "signal", 75)
    latest = (run / "checkpoints/latest-rank0.pt").resolve().name
    assert latest.endswith(f"-ba{status['step']}-rank0.pt")
