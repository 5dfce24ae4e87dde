"""A real run made again from its record, and what is said of two that are not the same."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.runs.events import append_event
from glm_composer.runs.rerun import agreement, settings, since, verdict
from glm_composer.settings import load
from glm_composer.training.device import share_cores
from glm_composer.training.record import write_record

REPOSITORY = Path(__file__).parents[2]
TINY = REPOSITORY / "tests/training/tiny.yaml"
GLM = str(Path(sys.executable).with_name("glm"))


def glm(*arguments: str | Path) -> str:
    done = subprocess.run(
        [GLM, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_losses(path: Path, losses: list[float]) -> Path:
    rows = [{"step": step, "train/loss": loss} for step, loss in enumerate(losses, start=1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_one_bit_is_a_difference(tmp_path):
    losses = [1.5, math.nan, 1.25, 1.125]
    a = write_losses(tmp_path / "a", losses)
    same = agreement(a, write_losses(tmp_path / "b", losses[:3]))
    assert verdict(same, "a", "b") == "losses of a and b: bitwise equal over 3 steps"
    nearly = [*losses[:2], math.nextafter(1.25, 2), 1.0]
    found = agreement(a, write_losses(tmp_path / "c", nearly))
    assert (found.steps, found.first, found.left, found.right) == (4, 3, 1.25, nearly[2])
    assert "not equal from step 3 on, 1.25 and 1.2500000000000002" in verdict(found, "a", "c")
    assert "no step in common" in verdict(agreement(a, write_losses(tmp_path / "d", [])), "a", "d")


def test_settings_are_the_run_s_own_under_another_name(tmp_path):
    run_dir = tmp_path / "runs" / "first"
    run_dir.mkdir(parents=True)
    text = TINY.read_text().replace("run_name: tiny", "run_name: first\nruns_dir: elsewhere")
    (run_dir / "config.yaml").write_text(text)
    found = settings(run_dir, None)
    assert found.run_dir.resolve() == tmp_path / "runs" / "first-rerun"
    assert (found.seed, found.model.width) == (3, 16)
    with pytest.raises(UserError, match="than the run's own"):
        settings(run_dir, "first")
    (run_dir / "config.yaml").write_text(text + "no_such_key: 1\n")
    with pytest.raises(UserError, match="unknown key 'no_such_key'"):
        settings(run_dir, None)


def test_nothing_has_changed_since_a_record_was_written(tmp_path, yeast, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    config = load(Config, TINY, [f"data.path={yeast}", f"runs_dir={tmp_path}"])
    share_cores(1)
    write_record(config, parameters=1)
    assert since(config.run_dir, config) == []


@pytest.mark.slow
def test_a_run_made_again_is_the_same_and_says_what_is_not(tmp_path, yeast):
    glm("train", TINY, f"data.path={yeast}", f"runs_dir={tmp_path}")
    run_dir = tmp_path / "tiny"
    # As if it had been trained with other packages, threads and data.
    environment = json.loads((run_dir / "environment.json").read_text())
    environment["packages"]["torch"] = "2.6.0"
    environment["torch_threads"] += 1
    (run_dir / "environment.json").write_text(json.dumps(environment))
    data = json.loads((run_dir / "data.json").read_text())
    data["datasets"][str(yeast)]["splits"]["train"] = "0" * 64
    (run_dir / "data.json").write_text(json.dumps(data))
    # As if it had been steered.
    request = {"kind": "set", "key": "lr_scale", "configured": "1.0", "step": 5}
    append_event(run_dir, "request", **request, value="0.5", done=True)
    append_event(run_dir, "request", **request, value="999", done=False)
    append_event(run_dir, "request", kind="save", done=True, step=6)
    said = glm("rerun", "tiny", "--runs-dir", tmp_path)
    table, _, steered = said.partition("training ")[0].partition("not done again: ")
    assert steered == "lr_scale set to 0.5 after batch 5\n"
    found = [line.split() for line in table.splitlines()[2:]]
    assert [(row[0], row[1].rpartition(".")[2]) for row in found] == [
        ("data", "train"),
        ("environment", "torch_threads"),
        ("packages", "torch"),
    ]
    assert "losses of tiny and tiny-rerun: bitwise equal over 12 steps" in said
    first, second = (read_metrics(tmp_path / n / "metrics.jsonl") for n in ("tiny", "tiny-rerun"))
    assert [row["train/loss"] for row in first] == [row["train/loss"] for row in second]
    assert [row.get("validation/loss") for row in first] == [
        row.get("validation/loss") for row in second
    ]
