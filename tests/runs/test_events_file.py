"""events.jsonl: whole lines only, also after a cut and of two writers at once."""

import json
import multiprocessing
from datetime import UTC, datetime, timedelta

from glm_composer.runs.events import append_event, read_events


def test_events_come_back_in_order_with_their_time(tmp_path):
    before = datetime.now(UTC)
    append_event(tmp_path, "started", command=["glm", "train"], pid=1)
    append_event(tmp_path, "ended", reason="finished", step=3)
    first, second = read_events(tmp_path)
    assert (first["event"], first["command"]) == ("started", ["glm", "train"])
    assert (second["event"], second["step"]) == ("ended", 3)
    written = datetime.fromisoformat(first["time"])
    assert before - timedelta(milliseconds=1) <= written <= datetime.now(UTC)


def test_no_file_is_no_events(tmp_path):
    assert read_events(tmp_path) == []


def test_a_line_that_was_cut_short_costs_only_itself(tmp_path):
    append_event(tmp_path, "started", pid=1)
    append_event(tmp_path, "ended", reason="finished")
    path = tmp_path / "events.jsonl"
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = read_events(tmp_path)
        append_event(tmp_path, "started", pid=2)
        assert read_events(tmp_path)[:-1] == kept
        assert read_events(tmp_path)[-1]["pid"] == 2


def test_what_is_no_event_is_left_out(tmp_path):
    append_event(tmp_path, "started")
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'[1]\n{"event": 1, "time": ""}\n{"event": "x"}\n\xff\xfe\n\n')
    append_event(tmp_path, "ended")
    assert [each["event"] for each in read_events(tmp_path)] == ["started", "ended"]


def write_many(run_dir, writer: int) -> None:
    for number in range(300):
        append_event(run_dir, "request", writer=writer, number=number, filler="x" * 3000)


def test_two_writers_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(tmp_path, n)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read_events(tmp_path)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    # Who looks while the other writes may take its line for one that was cut short: an empty line.
    assert len([line for line in lines if line]) == 600
    for writer in range(2):
        assert [e["number"] for e in found if e["writer"] == writer] == list(range(300))
    assert all(json.dumps(each) for each in found)
