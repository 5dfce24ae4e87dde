"""However a run ends, its record says why, its last checkpoint is whole and no rank hangs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from glm_composer.metrics_log import read_metrics
from glm_composer.runs.events import read_events
from glm_composer.runs.ranks import read_rank
from glm_composer.runs.status import Status, read_status, shown_state
from glm_composer.training.checkpoint_file import read_weights

TINY = Path(__file__).with_name("tiny.yaml")
# Seconds; the machine may be busy.
PATIENCE = 180
ENDLESS = "max_duration=100000ba"

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """Starts runs; see run_server.py."""

    process: subprocess.Popen[str]
    started: list[int] = field(default_factory=list)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, out: Path, *words: str, ranks: int = 2, **more) -> list[int]:
        pids = self.ask(words=[str(TINY), *words], ranks=ranks, out=str(out), **more)
        self.started += pids
        return pids

    def code(self, pid: int) -> int:
        """Exit code of a process that is to end by itself."""
        code = self.ask(wait=pid, seconds=PATIENCE)
        assert code is not None, "it hangs"
        self.started.remove(pid)
        return code


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    script = Path(__file__).with_name("run_server.py")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, script], env=environment, **pipes)
    server = Server(process)
    yield server
    for pid in server.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


@dataclass
class Started:
    """A run on its way."""

    folder: Path
    pids: list[int]
    server: Server

    def reach(self, step: int) -> None:
        """Wait until it has done so many batches."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            status = read_status(self.folder)
            if status is not None and status.step >= step:
                return
            time.sleep(0.05)
        pytest.fail(f"it never came to batch {step}: {self.said(0)}")

    def said(self, rank: int) -> str:
        return Path(f"{self.folder}.{rank}").read_text()

    def codes(self) -> list[int]:
        found = [self.server.code(pid) for pid in self.pids]
        for rank in range(len(self.pids)):
            print(f"rank {rank}:\n{self.said(rank)}")
        return found

    @property
    def status(self) -> Status:
        status = read_status(self.folder)
        assert status is not None
        return status


@pytest.fixture
def run(server, yeast, tmp_path):
    def start(*overrides: str, place: Path = tmp_path, **more) -> Started:
        here = [f"data.path={yeast}", f"runs_dir={place}", *overrides]
        return Started(place / "tiny", server.start(place / "tiny", *here, **more), server)

    return start


def check_end(started: Started, reason: str, code: int, *words: str) -> None:
    status, event = started.status, read_events(started.folder)[-1]
    assert (status.state, status.reason, status.code) == ("failed", reason, code), status
    assert all(word in status.message for word in words), status.message
    assert "\n" not in status.message
    assert event["event"] == "ended"
    assert (event["reason"], event["message"]) == (reason, status.message)
    assert shown_state(status) == "failed"
    hidden = [path.name for path in started.folder.iterdir() if path.name.startswith(".")]
    assert hidden == [".lock"]


def check_checkpoints(started: Started) -> None:
    saved = started.folder / "checkpoints"
    for path in saved.glob("ep*.pt"):
        assert all(tensor.isfinite().all() for tensor in read_weights(path).values())
    assert (saved / "latest-rank0.pt").exists()


@pytest.mark.parametrize("lost", [1, 0])
def test_a_rank_that_is_killed_is_named_by_the_other(run, lost):
    started = run(ENDLESS)
    started.reach(5)
    pid = started.pids[lost]
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    codes = started.codes()
    assert time.monotonic() - began < 15
    assert (codes[lost], codes[1 - lost]) == (-signal.SIGKILL, 79)
    check_end(started, "lost_rank", 79, f"rank {lost} ", f"process {pid}", "at batch")
    assert f"error: rank {lost} (" in started.said(1 - lost)
    assert "Traceback" not in started.said(1 - lost)
    check_checkpoints(started)


@pytest.mark.parametrize("stuck", [1, 0])
def test_a_rank_that_is_stopped_is_given_up_and_named(run, stuck):
    started = run(ENDLESS, "rank_timeout=5")
    started.reach(5)
    pid = started.pids[stuck]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert started.server.code(started.pids[1 - stuck]) == 79
    assert 4 < time.monotonic() - began < 40
    words = (f"rank {stuck} ", f"process {pid}", "has not said anything for")
    check_end(started, "stuck_rank", 79, *words)
    check_checkpoints(started)
    # Once it goes on it finds that the run is over, and leaves the record as it is.
    os.kill(pid, signal.SIGCONT)
    assert started.server.code(pid) == 79
    check_end(started, "stuck_rank", 79, *words)


def test_a_rank_that_lives_but_does_not_go_on_is_named_with_its_place(run):
    started = run("rank_timeout=5", bad=[1, 6, "hang"])
    began = time.monotonic()
    assert started.server.code(started.pids[0]) == 79
    assert time.monotonic() - began > 5
    check_end(started, "stuck_rank", 79, "rank 1 ", "at batch 5 (forward)", "kept the others")
    assert started.server.code(started.pids[1]) == 79
    check_checkpoints(started)


@pytest.mark.parametrize("bad", [1, 0])
def test_a_rank_alone_without_memory_ends_all(run, bad):
    started = run(bad=[bad, 6, "memory"])
    assert started.codes() == [78, 78]
    words = ("rank 1: ",) if bad else ()
    check_end(started, "out_of_memory", 78, *words, "can't allocate memory")
    assert read_rank(started.folder, 1).end.reason == "out_of_memory"
    check_checkpoints(started)


def test_any_other_error_of_one_rank_is_the_runs_end(run):
    started = run(bad=[1, 6, "error"])
    assert started.codes() == [1, 1]
    check_end(started, "error", 1, "rank 1: ValueError: no such thing")
    assert "Traceback" in started.said(1)
    # What was logged before is there.
    assert read_metrics(started.folder / "metrics.jsonl")[-1]["step"] >= 4


def test_a_bad_loss_is_the_end_of_all(run):
    started = run(bad=[1, 6, "nan"])
    assert started.codes() == [2, 2]
    check_end(started, "bad_loss", 2, "loss is nan at batch 6, sample ids of rank 1: ")
    check_checkpoints(started)


def test_a_run_whose_ranks_are_all_killed_is_dead_and_its_record_whole(run):
    started = run(ENDLESS)
    started.reach(9)
    assert shown_state(started.status) in ("training", "evaluating")
    for pid in started.pids:
        os.kill(pid, signal.SIGKILL)
    assert started.codes() == [-signal.SIGKILL] * 2
    status = started.status
    assert shown_state(status) == "dead"
    assert (status.pid, status.ranks, status.reason) == (started.pids[0], 2, None)
    steps = [row["step"] for row in read_metrics(started.folder / "metrics.jsonl")]
    assert abs(steps[-1] - status.step) < 200
    assert read_events(started.folder)[0]["event"] == "started"
    check_checkpoints(started)


def test_a_run_of_two_ranks_finishes(run):
    started = run()
    assert started.codes() == [0, 0]
    status = started.status
    assert (status.state, status.reason, status.code) == ("finished", "finished", 0)
    assert (status.step, status.progress, status.ranks) == (12, 1.0, 2)
    names = [event["event"] for event in read_events(started.folder)]
    assert names[0] == "started"
    assert names[-1] == "ended"
    assert read_rank(started.folder, 1).end.reason == "finished"


def test_a_process_alone_without_memory_says_so(run):
    started = run(ranks=1, bad=[0, 6, "memory"])
    assert started.codes() == [78]
    check_end(started, "out_of_memory", 78, "can't allocate memory")
    assert started.said(0).splitlines()[-1].startswith("error: RuntimeError: ")
    check_checkpoints(started)


def test_a_file_that_cannot_grow_is_a_full_disk(run):
    started = run(ranks=1, limit=50_000)
    assert started.codes() == [2]
    check_end(started, "disk_full", 2, "ep0-ba4-rank0.pt: cannot be saved: File too large")
    assert list((started.folder / "checkpoints").rglob("*.pt")) == []


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small tmpfs; a limit on file sizes stands in above")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_can_still_hold_why_the_run_ended(run, small_disk):
    started = run(ENDLESS, "save_interval=2ba", ranks=1, place=small_disk)
    assert started.codes() == [2]
    check_end(started, "disk_full", 2, "No space left on device")
    check_checkpoints(started)


def test_what_a_run_cannot_be_built_of_is_bad_input(run):
    table = "evaluation.tables.t={variants: nowhere.parquet, genome: nowhere.fa}"
    started = run(table, ranks=1)
    assert started.codes() == [2]
    check_end(started, "bad_input", 2, "nowhere.parquet")
    assert [event["event"] for event in read_events(started.folder)] == ["started", "ended"]
    assert "nowhere.parquet" in (started.folder / "config.yaml").read_text()


def test_a_second_run_in_the_same_place_leaves_the_first_ones_record(run):
    first = run(ENDLESS, ranks=1)
    first.reach(3)
    second = run(ENDLESS)
    assert second.codes() == [2, 2]
    assert "another process is training there" in second.said(1)
    assert first.status.pid == first.pids[0]
    assert shown_state(first.status) in ("training", "evaluating")
    assert [e["pid"] for e in read_events(first.folder) if e["event"] == "started"] == first.pids
    os.kill(first.pids[0], signal.SIGKILL)
    assert first.codes() == [-signal.SIGKILL]
    # It goes on from where it was, and says from where.
    third = run("max_duration=100000ba", ranks=1, bad=[0, 3, "nan"])
    assert third.codes() == [2]
    starts = [e for e in read_events(first.folder) if e["event"] == "started"]
    assert [e["pid"] for e in starts] == [*first.pids, *third.pids]
    assert starts[0]["resumed_from"] is None
    assert (first.folder / "checkpoints" / starts[1]["resumed_from"]).exists()
