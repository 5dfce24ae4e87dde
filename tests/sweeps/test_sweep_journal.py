"""The journal of a sweep: what it says after every event, and after a crash."""

import pytest

from glm_composer.errors import UserError
from glm_composer.sweeps.journal import Trial, append, read_journal, repair

ONE = Trial(number=1, values={"seed": "1", "model.width": "64"}, state="started")
TWO = Trial(number=2, values={"seed": "2", "model.width": "64"}, state="started")


def changed(trial, **changes):
    return Trial(**{**vars(trial), **changes})


def test_the_last_event_of_each_trial_counts(tmp_path):
    path = tmp_path / "trials.jsonl"
    assert read_journal(path) == []
    finished = changed(ONE, state="finished", value=0.1 + 0.2, step=12)
    events = [ONE, TWO, changed(TWO, state="failed", message="of <it>"), finished, TWO]
    expected = {}
    for event in events:
        append(path, event)
        expected[event.number] = event
        assert read_journal(path) == [expected[number] for number in sorted(expected)]


def test_a_crash_at_any_byte_loses_the_line_it_cut_and_no_other(tmp_path):
    path = tmp_path / "trials.jsonl"
    append(path, ONE)
    first = path.stat().st_size
    append(path, changed(ONE, state="finished", value=1.5, step=3))
    whole = path.read_bytes()
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        assert read_journal(path) == [ONE]
        repair(path)
        # Without the repair this line would be the tail of the torn one.
        append(path, TWO)
        assert read_journal(path) == [ONE, TWO]


def test_without_the_repair_a_torn_line_is_named(tmp_path):
    path = tmp_path / "trials.jsonl"
    append(path, ONE)
    path.write_bytes(path.read_bytes() + b'{"trial": 1, "ev')
    append(path, TWO)
    with pytest.raises(UserError, match="line 2: not an event of a trial"):
        read_journal(path)


@pytest.mark.parametrize(
    "line",
    ["[]", '{"trial": 1}', '{"trial": 7, "event": "finished", "value": 1, "step": 2}', "x"],
)
def test_damage_is_named(tmp_path, line):
    path = tmp_path / "trials.jsonl"
    append(path, ONE)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match="line 2: not an event of a trial"):
        read_journal(path)
