"""What a run does where a part of its record cannot be written."""

import subprocess
import sys
from pathlib import Path

import pytest

from glm_composer.errors import UserError
from glm_composer.runs.events import read_events
from glm_composer.runs.folder import EVENTS, ROOM
from glm_composer.runs.reasons import End
from glm_composer.runs.status import read_status
from glm_composer.training.journal import Journal
from glm_composer.training.pulse import Pulse

ABORTED = End("aborted", "aborted in batch 3", 77)

# Its standard error is a pipe that nobody reads any more.
WATCHED = """
import sys, time
from pathlib import Path
from glm_composer.config import Config
from glm_composer.runs.ranks import clear_ranks
from glm_composer.runs.reasons import End
from glm_composer.settings import load
from glm_composer.training.journal import Journal
from glm_composer.training.peers import Peers
from glm_composer.training.pulse import Pulse
from glm_composer.training.watch import Watch

config = load(Config, Path(sys.argv[1]), sys.argv[2:])
config.run_dir.mkdir(parents=True)
clear_ranks(config.run_dir)
pulse = Pulse()
journal = Journal(config, 0, 1, pulse)
journal.begin()
end = End("aborted", "aborted in batch 3", 77)
Watch(journal, Peers(config.run_dir, 0, 1, 60.0), pulse, lambda: end).start()
time.sleep(60)
"""


@pytest.mark.parametrize("obstacle", [EVENTS, ROOM])
def test_the_end_is_in_the_status_whatever_else_cannot_be_noted(configure, obstacle):
    config = configure()
    (config.run_dir / "ranks").mkdir(parents=True)
    journal = Journal(config, 0, 1, Pulse())
    journal.begin()
    (config.run_dir / obstacle).unlink(missing_ok=True)
    (config.run_dir / obstacle).mkdir()
    journal.end(ABORTED)
    status = read_status(config.run_dir)
    assert status is not None
    assert (status.state, status.reason, status.code) == ("stopped", "aborted", 77)
    if obstacle != EVENTS:
        assert [event["event"] for event in read_events(config.run_dir)] == ["started", "ended"]


@pytest.mark.parametrize("obstacle", [".lock", "ranks", "commands"])
def test_what_is_in_the_way_of_the_record_is_named(configure, obstacle):
    from glm_composer.training.run import _alone

    config = configure()
    config.run_dir.mkdir()
    if obstacle == ".lock":
        (config.run_dir / obstacle).mkdir()
    else:
        (config.run_dir / obstacle).touch()
    with pytest.raises(UserError, match=rf"{obstacle}: cannot be written: "), _alone(config):
        pytest.fail("it went on")


@pytest.mark.slow
def test_a_process_whose_messages_nobody_reads_is_ended_all_the_same(tmp_path):
    tiny = Path(__file__).with_name("tiny.yaml")
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(tiny), f"runs_dir={tmp_path}"],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    process.stderr.close()
    try:
        assert process.wait(timeout=120) == 77
    finally:
        process.kill()
