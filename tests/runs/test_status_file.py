"""status.json: whole at any moment, and right about who is dead."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from glm_composer.errors import UserError
from glm_composer.runs import folder
from glm_composer.runs.process import is_running, process_start, this_host
from glm_composer.runs.status import Status, read_status, shown_state, write_status


def status(**changes) -> Status:
    """Of this process."""
    mine = Status(
        state="training",
        run_name="a",
        host=this_host(),
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        ranks=1,
        started=folder.now(),
        heartbeat=folder.now(),
    )
    return dataclasses.replace(mine, **changes)


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_what_is_written_is_read(tmp_path):
    written = status(step=3, loss=1.25, reason="error", message='ü "quoted"', code=1)
    write_status(tmp_path, written)
    assert read_status(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_no_status_is_none(tmp_path):
    assert read_status(tmp_path) is None
    assert read_status(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ('{"state": "training"', "damaged"),
        ('{"state": "training"}', "run_name"),
        ("[]", "damaged"),
        ("\xff\xfe", "damaged"),
    ],
)
def test_a_damaged_status_names_its_file(tmp_path, text, says):
    (tmp_path / "status.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=f"status.json: .*{says}"):
        read_status(tmp_path)


def test_a_value_of_the_wrong_kind_is_named(tmp_path):
    write_status(tmp_path, status())
    path = tmp_path / "status.json"
    path.write_text(path.read_text().replace('"step": 0', '"step": "0"'))
    with pytest.raises(UserError, match="damaged \\(step: "):
        read_status(tmp_path)


def test_readers_never_see_half_a_status(tmp_path):
    write_status(tmp_path, status(message="x" * 10_000))
    stop = threading.Event()

    def write() -> None:
        for number in range(10**9):
            if stop.is_set():
                return
            write_status(tmp_path, status(step=number, message="xy"[number % 2] * 10_000))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = [read_status(tmp_path) for _ in range(1000)]
    finally:
        stop.set()
        thread.join()
    assert len({each.step for each in seen}) > 1
    assert all(len(each.message) == 10_000 for each in seen)


def test_a_write_that_fails_leaves_the_status_before(tmp_path):
    write_status(tmp_path, status(step=1))
    before = (tmp_path / "status.json").read_bytes()
    with pytest.raises(TypeError):
        write_status(tmp_path, status(message=object()))
    with pytest.raises(UnicodeEncodeError):
        folder.write_whole(tmp_path / "status.json", "\ud800")
    assert (tmp_path / "status.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_process_that_was_killed_is_dead(sleeper):
    of_it = status(pid=sleeper.pid, process_start=process_start(sleeper.pid))
    assert shown_state(of_it) == "training"
    sleeper.send_signal(signal.SIGKILL)
    # Not asked for its exit code yet, so that the number is still taken.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert shown_state(of_it) == "dead"
    sleeper.wait()
    assert shown_state(of_it) == "dead"


def test_another_process_of_the_same_number_is_not_the_run(sleeper):
    start = process_start(sleeper.pid)
    assert is_running(sleeper.pid, start)
    assert is_running(sleeper.pid, None)
    assert not is_running(sleeper.pid, start - 1)


@pytest.mark.parametrize(("age", "state"), [(59, "training"), (61, "dead")])
def test_elsewhere_the_heartbeat_decides(age, state):
    beat = datetime(2026, 1, 1, tzinfo=UTC)
    of_it = status(host="elsewhere", pid=1, heartbeat=beat.isoformat())
    assert shown_state(of_it, beat + timedelta(seconds=age)) == state


def test_a_heartbeat_that_is_no_time_is_old():
    assert shown_state(status(host="elsewhere", heartbeat="yesterday")) == "dead"


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_a_run_that_has_ended_is_not_dead(state):
    assert shown_state(status(state=state, host="elsewhere", heartbeat="2000-01-01")) == state


def test_the_start_of_a_process_with_a_strange_name(tmp_path):
    # A blank and a parenthesis in the name would shift fields that are split at blanks.
    strange = tmp_path / "a) b (c"
    strange.symlink_to("/bin/sleep")
    process = subprocess.Popen([strange, "60"])
    try:
        plain = process_start(os.getpid())
        assert plain <= process_start(process.pid) < plain + 100 * 3600
    finally:
        process.kill()
        process.wait()
    assert process_start(process.pid) is None
