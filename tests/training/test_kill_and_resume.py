"""SIGKILL at ten random moments, those of writing checkpoints among them: nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from glm_composer.metrics_log import read_metrics
from glm_composer.training.checkpoint_folder import list_checkpoints
from glm_composer.training.checkpoint_manifest import defect

REPOSITORY = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


@pytest.mark.slow
def test_killed_ten_times_it_ends_as_if_it_had_never_been(tmp_path, yeast):
    overrides = [
        f"data.path={yeast}",
        f"runs_dir={tmp_path}",
        "max_duration=60ba",
        "save_interval=1ba",
        "save_num_checkpoints_to_keep=2",
        "save_keep_interval=7ba",
        "eval_interval=5ba",
        "save_best.metric=validation/loss",
        "scheduler={name: constant}",
    ]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("kill_and_resume.py"), TINY, *overrides],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(told, indent=1))
    assert [each["signal"] for each in told["kills"]] == [signal.SIGKILL] * 10
    assert told["last"] == 0, done.stderr[-3000:]
    assert told["kills"][-1]["steps"] < 60, "it had finished before it was killed"
    # A control of the test itself: it did meet saves halfway.
    assert sum(bool(each["left"]) for each in told["kills"]) >= 3

    whole, killed = (
        read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "killed")
    )
    assert [row["step"] for row in killed] == list(range(1, 61))
    for name in ("train/loss", "validation/loss"):
        losses = [
            [(row["step"], row[name]) for row in rows if name in row] for rows in (whole, killed)
        ]
        assert losses[0] == losses[1]

    folders = [tmp_path / name / "checkpoints" for name in ("whole", "killed")]
    names = [[path.name for path in list_checkpoints(folder)] for folder in folders]
    assert names[0] == names[1]
    assert {f"ba{n}" for n in range(7, 60, 7)} <= {name.split("-")[1] for name in names[1]}
    assert not any(defect(path) for path in list_checkpoints(folders[1]))
    assert len({os.readlink(folder / "best-rank0.pt") for folder in folders}) == 1
