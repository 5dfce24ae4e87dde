"""`glm jobs` on jobs in every state, as a process of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from glm_composer.errors import UserError
from glm_composer.runs.folder import now
from glm_composer.runs.job_table import print_job
from glm_composer.runs.jobs import ask, clean_up
from glm_composer.runs.process import process_start, this_host
from glm_composer.runs.requests import any_waiting, open_inbox
from glm_composer.runs.status import State, Status, read_status, write_status
from glm_composer.training.checkpoint_folder import newest_whole

CONFIG = "evaluation: {tables: {coding: {}}}\n"


def put(runs: Path, name: str, state: State, pid: int, **more: object) -> Path:
    """A run's directory as a job on this machine leaves it."""
    run_dir = runs / name
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(CONFIG)
    open_inbox(run_dir)
    facts = {"host": this_host(), "pid": pid, "process_start": process_start(pid)} | more
    write_status(
        run_dir,
        Status(
            state=state, run_name=name, ranks=1, started=now(), heartbeat=now(), step=7, **facts
        ),
    )
    return run_dir


def jobs(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("glm")), "jobs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A live job, one whose process is gone, one that has finished, and a damaged record."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    put(tmp_path, "live", "training", os.getpid())
    put(tmp_path, "killed", "training", gone.pid, process_start=1)
    put(tmp_path, "over", "finished", gone.pid, reason="finished", code=0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/status.json").write_text("{")
    return tmp_path


def test_the_list_shows_each_state(runs):
    began = time.monotonic()
    listed = jobs("ls", str(runs))
    assert time.monotonic() - began < 5
    rows = {line.split()[0]: line.split()[1] for line in listed.stdout.splitlines()}
    assert rows == {
        "job": "state",
        "broken": "damaged",
        "killed": "dead",
        "live": "training",
        "over": "finished",
    }


def test_a_request_nobody_answers_says_so_and_stays(runs):
    asked = jobs("save", "live", "--runs-dir", str(runs), "--timeout", "0.2")
    assert asked.returncode == 2
    assert "no answer within 0.2 s" in asked.stderr
    assert any_waiting(runs / "live")
    assert "save of" in jobs("status", str(runs / "live")).stdout


@pytest.mark.slow
def test_nothing_is_asked_of_a_job_that_is_over_but_a_change(runs):
    for name in ("killed", "over"):
        asked = jobs("stop", name, "--runs-dir", str(runs))
        assert asked.returncode == 2
        assert not any_waiting(runs / name)
    waits = jobs(
        "set", "killed", "evaluation.tables.coding.interval", "5ba", "--runs-dir", f"{runs}"
    )
    assert waits.returncode == 0, waits.stderr
    assert any_waiting(runs / "killed")


def test_cleanup_leaves_a_live_job_alone_and_the_record_of_a_dead_one(runs):
    assert jobs("cleanup", str(runs / "live")).returncode == 2
    assert (runs / "live/commands").is_dir()
    (runs / "killed/checkpoints/partial").mkdir(parents=True)
    (runs / "killed/checkpoints/ep0-ba5-rank0.pt").touch()
    removed = jobs("cleanup", str(runs / "killed"))
    assert removed.returncode == 0, removed.stderr
    left = sorted(path.name for path in (runs / "killed").rglob("*"))
    assert left == [".lock", "checkpoints", "config.yaml", "ep0-ba5-rank0.pt", "status.json"]


def test_cleanup_lets_a_run_start_afresh_whose_first_checkpoint_was_interrupted(runs):
    folder = runs / "killed/checkpoints"
    (folder / "partial").mkdir(parents=True)
    (folder / "partial/ep0-ba5-rank0.pt.json").write_text("{}")
    (folder / "ep0-ba5-rank0.pt").touch()
    assert newest_whole(folder)[0] is None
    (runs / "killed/.room").touch()
    assert jobs("cleanup", str(runs / "killed")).returncode == 0
    assert newest_whole(folder) == (None, {})
    assert not (runs / "killed/.room").exists()


def test_a_job_of_another_user_is_shown_and_left_alone(runs):
    runs = runs.rename(Path(tempfile.mkdtemp()) / "runs")
    for folder in (runs.parent, runs):
        folder.chmod(0o755)
    status = read_status(runs / "killed")
    assert status is not None
    owner = os.geteuid()
    if owner == 0:
        os.seteuid(65534)
    else:
        (runs / "killed/commands").chmod(0)
        (runs / "killed").chmod(0o500)
    try:
        print_job(runs / "killed", status)
        for touch in (
            lambda: ask(runs / "killed", status, "set", "lr_scale", "1"),
            lambda: clean_up(runs / "killed", status),
        ):
            with pytest.raises(UserError, match=r"only the owner|cannot be changed"):
                touch()
    finally:
        if owner == 0:
            os.seteuid(0)
        (runs / "killed").chmod(0o700)
        (runs / "killed/commands").chmod(0o700)
        shutil.rmtree(runs.parent)


def test_an_unknown_job_is_named(runs):
    asked = jobs("status", "liv", "--runs-dir", str(runs))
    assert asked.returncode == 2
    assert "did you mean 'live'" in asked.stderr
