"""The index of runs, against their directories read one by one."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from run_folders import write_run

from glm_composer.errors import UserError
from glm_composer.runs.index import FILE_NAME, _stamp, open_index, rebuild
from glm_composer.runs.known import columns, facts_of_all, metric_of_all, names
from glm_composer.runs.listing import print_runs
from glm_composer.runs.process import process_start, this_host
from glm_composer.runs.query import find

SMALL = [{"train/loss": 1.5}, {"train/loss": 1.25, "eval/yeast/auprc": 0.3}, {"train/loss": 1.3}]


def settle(run_dir: Path) -> None:
    """Make a run look as if nothing had happened to it lately."""
    past = time.time_ns() - 10_000_000_000
    os.utime(run_dir / "metrics.jsonl", ns=(past, past))
    os.utime(run_dir, ns=(past, past))


def value(parent: Path, key: str) -> dict:
    with open_index(parent) as index:
        return columns(index, [key])[key]


def everything(parent: Path) -> dict:
    with open_index(parent) as index:
        return facts_of_all(index)


def naively(run_dir: Path) -> dict:
    """What is known of a run, read in the plainest way."""
    known: dict = {}

    def flatten(section: dict, above: str) -> None:
        for key, each in section.items():
            if isinstance(each, dict):
                flatten(each, f"{above}{key}.")
            else:
                known[above + key] = each if isinstance(each, str) else json.dumps(each)

    flatten(yaml.safe_load((run_dir / "config.yaml").read_text()), "")
    for line in (run_dir / "metrics.jsonl").read_text().splitlines():
        known |= {k: json.dumps(v) for k, v in json.loads(line).items() if k != "step"}
    status = json.loads((run_dir / "status.json").read_text())
    return known | {"step": str(status["step"]), "state": status["state"]}


def test_the_index_holds_what_directories_hold(tmp_path):
    for number, model in enumerate(["transformer", "bytenet"]):
        write_run(tmp_path, f"run{number}", SMALL, model=model, seed=number, lr=10.0**-number)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "a file").write_text("")
    found = everything(tmp_path)
    assert list(found) == ["run0", "run1"]
    for name, known in found.items():
        for key, expected in naively(tmp_path / name).items():
            shown = known[key]
            assert (shown if isinstance(shown, str) else json.dumps(shown)) == expected, key
    with open_index(tmp_path) as index:
        loss = metric_of_all(index, "train/loss")["run0"]
    assert (loss.last, loss.step) == (1.3, 3)
    assert (loss.low, loss.low_step, loss.high, loss.high_step) == (1.25, 2, 1.5, 1)


def test_changes_are_seen_and_what_has_not_changed_is_not_read(tmp_path):
    running = {"state": "training", "host": "elsewhere", "step": 3}
    first = write_run(tmp_path, "first", SMALL, status=running)
    second = write_run(tmp_path, "second", SMALL)
    settle(first)
    settle(second)
    assert value(tmp_path, "train/loss") == {"first": 1.3, "second": 1.3}
    # A line that is not whole yet is no line.
    with (first / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "train/loss": 1.1}\n{"step": 5, "train/lo')
    settle(first)
    assert value(tmp_path, "train/loss")["first"] == 1.1
    with (first / "metrics.jsonl").open("a") as file:
        file.write('ss": 1.0}\n')
    settle(first)
    assert value(tmp_path, "train/loss")["first"] == 1.0
    # Written in place, which nothing that writes a record does: nobody looks.
    config = (second / "config.yaml").read_text()
    (second / "config.yaml").write_text(config.replace("seed: 1", "seed: 2"))
    settle(second)
    os.utime(second, ns=(1, 1))
    assert value(tmp_path, "seed")["second"] == 2
    (second / "config.yaml").write_text(config.replace("seed: 1", "seed: 3"))
    assert value(tmp_path, "seed")["second"] == 2
    with open_index(tmp_path) as index:
        rebuild(index)
        assert columns(index, ["seed"])["seed"]["second"] == 3
    (second / "config.yaml").unlink()
    (second / "status.json").unlink()
    assert list(value(tmp_path, "seed")) == ["first"]


def test_a_resumed_run_drops_its_last_lines(tmp_path):
    run_dir = write_run(tmp_path, "run", [{"train/loss": 2.0 - i / 8} for i in range(8)])
    assert value(tmp_path, "train/loss") == {"run": 1.125}
    write_run(tmp_path, "run", [{"train/loss": 2.0 - i / 8} for i in range(4)])
    assert value(tmp_path, "train/loss") == {"run": 1.625}
    with open_index(tmp_path) as index:
        assert metric_of_all(index, "train/loss")["run"].low_step == 4
    settle(run_dir)
    assert value(tmp_path, "train/loss") == {"run": 1.625}


def test_states_are_as_of_now(tmp_path):
    here = {"state": "training", "host": this_host(), "pid": os.getpid()}
    start = process_start(os.getpid())
    ago = {s: (datetime.now(UTC) - timedelta(seconds=s)).isoformat() for s in (0, 120)}
    write_run(tmp_path, "alive", status={**here, "process_start": start})
    write_run(tmp_path, "number-used-again", status={**here, "process_start": start - 1})
    away = {"state": "evaluating", "host": "another"}
    write_run(tmp_path, "heard", status={**away, "heartbeat": ago[0]})
    write_run(tmp_path, "silent", status={**away, "heartbeat": ago[120]})
    write_run(tmp_path, "over", status={"state": "failed", "heartbeat": ago[120]})
    with open_index(tmp_path) as index:
        states = {name: known["state"] for name, known in find(index, ["state"]).items()}
        dead = find(index, [], "state=dead")
    assert states == {
        "alive": "training",
        "number-used-again": "dead",
        "heard": "evaluating",
        "silent": "dead",
        "over": "failed",
    }
    assert set(dead) == {"number-used-again", "silent"}


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_removed_while_the_directory_is_read(tmp_path, ended):
    run_dir = write_run(tmp_path, "run", SMALL)
    now = time.time_ns()
    with os.scandir(tmp_path) as entries:
        (entry,) = entries
    assert _stamp(entry, ended, now)
    with os.scandir(tmp_path) as entries:
        # Its time has not been asked for yet.
        (entry,) = entries
    shutil.rmtree(run_dir)
    assert _stamp(entry, ended, now) == _stamp(run_dir, ended, now) == ""


def test_a_damaged_file_hides_neither_its_run_nor_the_others(tmp_path):
    for name in ("config", "status", "metrics", "whole"):
        write_run(tmp_path, name, SMALL)
    (tmp_path / "config/config.yaml").write_text("a: [")
    (tmp_path / "status/status.json").write_bytes(b"\xff\x00{")
    (tmp_path / "metrics/metrics.jsonl").write_text(
        'nonsense\n{"step": 2, "train/loss": 7}\n[1]\n'
    )
    found = everything(tmp_path)
    assert {name: known.get("damaged") for name, known in found.items()} == {
        "config": "config.yaml: cannot be read",
        "status": "status.json: cannot be read",
        "metrics": "metrics.jsonl: 2 lines cannot be read",
        "whole": None,
    }
    assert found["config"]["train/loss"] == 1.3
    assert found["metrics"]["train/loss"] == 7


def test_values_that_databases_do_not_hold(tmp_path):
    run_dir = write_run(tmp_path, "run", [{"train/loss": float("nan"), "huge": 1e308}])
    text = (run_dir / "config.yaml").read_text().replace("seed: 1", f"seed: {2**64 - 1}")
    (run_dir / "config.yaml").write_text(text + '"\'; DROP TABLE runs; --": .inf\n')
    (run_dir / "environment.json").write_text('{"platform": "\\ud800", "host": "\\ud800"}')
    with open_index(tmp_path) as index:
        assert find(index, ["seed"], f"seed={2**64 - 1}") == {"run": {"seed": str(2**64 - 1)}}
        assert list(find(index, [], '"\'; DROP TABLE runs; --"=inf')) == ["run"]
        # The last finite value, and of this metric there is none.
        assert columns(index, ["train/loss"])["train/loss"] == {}


@pytest.mark.parametrize("damage", ["text", "cut", "other version"])
def test_an_index_that_is_none_is_made_again(tmp_path, damage):
    for number in range(30):
        write_run(tmp_path, f"run{number}", SMALL)
    before = everything(tmp_path)
    path = tmp_path / FILE_NAME
    if damage == "text":
        path.write_text("no database at all\n" * 1000)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        with sqlite3.connect(path) as database:
            database.execute("DROP TABLE facts")
            database.execute("PRAGMA user_version = 999")
        database.close()
    assert everything(tmp_path) == before


def test_a_directory_that_is_none_is_named(tmp_path):
    with pytest.raises(UserError, match="no such directory"), open_index(tmp_path / "none"):
        pass


READER = """
import os, sys
from pathlib import Path
from glm_composer.runs.index import open_index
from glm_composer.runs.known import columns
import yaml
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    # Whom root's permissions do not help.
    os.setgroups([])
    os.setuid(65534)
with open_index(Path(".")) as index:
    print(columns(index, ["train/loss"]))
"""


@pytest.mark.parametrize("indexed", [False, True])
def test_runs_of_somebody_else_are_read_and_nothing_is_left_there(tmp_path, indexed):
    runs = tmp_path / "runs"
    write_run(runs, "run", SMALL)
    if indexed:
        everything(runs)
        write_run(runs, "run", SMALL[:1])
    before = sorted(path.name for path in runs.iterdir())
    runs.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(runs)], capture_output=True, text=True
    )
    runs.chmod(0o755)
    assert done.stdout.strip() == str({"train/loss": {"run": 1.5 if indexed else 1.3}}), (
        done.stderr
    )
    assert sorted(path.name for path in runs.iterdir()) == before


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from run_folders import write_run
from glm_composer.runs.command import change_tags
parent, number = Path(sys.argv[1]), int(sys.argv[2])
for turn in range(int(sys.argv[3])):
    write_run(parent, f"run-{number}-{turn}", [{"train/loss": turn}])
    change_tags(parent, "shared", [f"tag-{number}-{turn}"], remove=False)
"""


@pytest.mark.slow
def test_writers_at_once_lose_nothing(tmp_path):
    writers, turns = 4, 12
    write_run(tmp_path, "shared", SMALL)
    arguments = [str(turns), str(Path(__file__).parent)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(n), *arguments],
            stdout=subprocess.DEVNULL,
        )
        for n in range(writers)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0] * writers
    tags = {f"tag-{n}-{turn}" for n in range(writers) for turn in range(turns)}
    assert set(json.loads((tmp_path / "shared/tags.json").read_text())) == tags
    with open_index(tmp_path) as index:
        assert set(str(columns(index, ["tag"])["tag"]["shared"]).split(",")) == tags
        found = facts_of_all(index)
        rebuild(index)
        assert facts_of_all(index) == found
        assert len(names(index)) == 1 + writers * turns


@pytest.mark.slow
def test_ten_thousand_runs_list_at_once(tmp_path, capsys):
    for number in range(10_000):
        write_run(tmp_path, f"run{number:05d}", SMALL[:1], seed=number)
    everything(tmp_path)
    # What has changed lately is read again.
    time.sleep(2.5)
    everything(tmp_path)
    seconds = []
    for _ in range(4):
        # Of the processor: a wall clock fails on a busy machine. The command's own start, which
        # does not depend on runs, is measured by benchmarks/runs_index.py.
        start = time.process_time()
        with open_index(tmp_path) as index:
            print_runs(index, None, None, "started", reverse=False, limit=None, as_json=False)
        seconds.append(time.process_time() - start)
        assert len(capsys.readouterr().out.splitlines()) == 10_001
    assert min(seconds) < 0.5
