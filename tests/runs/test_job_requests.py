"""Requests as files: whole, in order, the owner's alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from glm_composer.errors import UserError
from glm_composer.runs.requests import (
    Answer,
    answer,
    any_waiting,
    open_inbox,
    read_answer,
    read_waiting,
    send,
)

SEND = """
import sys
from pathlib import Path
from glm_composer.runs.requests import send
for number in range(50):
    send(Path(sys.argv[1]), "set", "lr_scale", f"{sys.argv[2]}.{number}")
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_request_is_answered_once_and_is_the_owners_alone(tmp_path):
    os.umask(before := os.umask(0))
    os.umask(0)
    try:
        open_inbox(tmp_path)
        request = send(tmp_path, "save")
    finally:
        os.umask(before)
    file = tmp_path / "commands" / f"{request.id}.json"
    assert (mode(file.parent), mode(file)) == (0o700, 0o600)
    assert any_waiting(tmp_path)
    assert read_waiting(tmp_path).requests == [request]
    assert read_answer(tmp_path, request.id) is None
    reply = Answer(done=True, message="saved", step=3)
    answer(tmp_path, request.id, reply, request)
    assert read_answer(tmp_path, request.id) == reply
    assert not any_waiting(tmp_path)
    assert mode(tmp_path / "commands/done") == 0o700


def test_requests_of_several_senders_are_all_read_and_each_whole(tmp_path):
    open_inbox(tmp_path)
    senders = [
        subprocess.Popen([sys.executable, "-c", SEND, str(tmp_path), str(number)])
        for number in range(3)
    ]
    found: dict[str, str] = {}
    while any(sender.poll() is None for sender in senders) or any_waiting(tmp_path):
        waiting = read_waiting(tmp_path)
        assert not waiting.refused
        for request in waiting.requests:
            found[request.id] = str(request.value)
            answer(tmp_path, request.id, Answer(done=True, message="", step=0), request)
    assert len(found) == 150
    # Each sender's in its order.
    for number in range(3):
        sent = [v for _, v in sorted(found.items()) if v.startswith(f"{number}.")]
        assert sent == [f"{number}.{each}" for each in range(50)]


def test_what_is_no_request_of_the_owner_is_refused(tmp_path):
    open_inbox(tmp_path)
    folder = tmp_path / "commands"
    good = send(tmp_path, "stop")
    text = (folder / f"{good.id}.json").read_text()
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(text.replace(good.id, "linked"))
    (folder / "linked.json").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.json")
    (folder / "writable.json").write_text(text.replace(good.id, "writable"))
    (folder / "writable.json").chmod(0o666)
    (folder / "another.json").write_text(text)
    (folder / "half.json").write_text(text[:20])
    (folder / ".torso.partial").write_text(text[:20])
    waiting = read_waiting(tmp_path)
    assert waiting.requests == [good]
    assert sorted(waiting.refused) == ["another", "half", "linked", "pipe", "writable"]
    assert "others than its owner" in waiting.refused["writable"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_another_user_left_is_refused(tmp_path):
    open_inbox(tmp_path)
    request = send(tmp_path, "abort")
    os.chown(tmp_path / "commands" / f"{request.id}.json", 12345, -1)
    waiting = read_waiting(tmp_path)
    assert waiting.requests == []
    assert "left by user 12345" in waiting.refused[request.id]
    os.chown(tmp_path / "commands", 12345, -1)
    for refused in (lambda: send(tmp_path, "save"), lambda: open_inbox(tmp_path)):
        with pytest.raises(UserError, match="only the owner"):
            refused()


def test_a_new_start_drops_what_was_asked_of_the_one_before_but_changes(tmp_path):
    open_inbox(tmp_path)
    stop = send(tmp_path, "stop")
    change = send(tmp_path, "set", "lr_scale", "0.5")
    open_inbox(tmp_path)
    assert read_waiting(tmp_path).requests == [change]
    reply = read_answer(tmp_path, stop.id)
    assert reply is not None
    assert not reply.done
