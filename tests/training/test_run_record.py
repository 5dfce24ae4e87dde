"""What a run leaves about itself: data, code and environment, each against an independent look."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glm_composer.runs.events import read_events
from glm_composer.training.build import build_trainer
from glm_composer.training.callbacks.status import ReportStatus
from glm_composer.training.environment import variables
from glm_composer.training.pulse import Pulse
from glm_composer.training.record import write_record

REPOSITORY = Path(__file__).parents[2]


def sha256(path: Path) -> str:
    return subprocess.run(
        ["sha256sum", path], capture_output=True, text=True, check=True
    ).stdout.split()[0]


def test_the_data_are_recorded_by_their_checksums(configure, yeast, tmp_path):
    variants, genome = yeast / "variants.parquet", tmp_path / "genome.fa"
    genome.write_text(">a\nACGT\n")
    os.utime(genome, (1, 1))
    config = configure(
        f"evaluation.tables.t={{variants: {variants}, genome: {genome}}}",
        "evaluation.tables.hub={variants: songlab/TraitGym, dataset: x, genome: nowhere.fa}",
    )
    write_record(config, parameters=7)
    found = json.loads((config.run_dir / "data.json").read_text())
    assert list(found["datasets"]) == [str(yeast)]
    dataset = found["datasets"][str(yeast)]
    assert dataset["manifest"] == sha256(yeast / "manifest.json")
    assert set(dataset["splits"]) >= {"train", "validation", "test"}
    for split, digest in dataset["splits"].items():
        assert digest == sha256(yeast / split / "index.json")
    table = found["tables"]["t"]
    assert table["variants"]["size"] == len(variants.read_bytes())
    assert table["genome"] == {
        "path": str(genome),
        "size": 8,
        "modified": "1970-01-01T00:00:01+00:00",
    }
    assert found["tables"]["hub"] == {"variants": None, "genome": None}


def test_the_data_of_every_stream_are_recorded(configure, yeast, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(yeast, other)
    index = other / "train/index.json"
    index.write_text(index.read_text() + " ")
    streams = f"{{a: {{path: {yeast}}}, b: {{path: {other}}}, c: {{path: {other}}}}}"
    config = configure(f"data.streams={streams}", "data.train_windows=null")
    write_record(config, parameters=7)
    found = json.loads((config.run_dir / "data.json").read_text())["datasets"]
    assert list(found) == [str(yeast), str(other)]
    trains = [dataset["splits"]["train"] for dataset in found.values()]
    assert trains == [
        sha256(yeast / "train/index.json"),
        hashlib.sha256(index.read_bytes()).hexdigest(),
    ]
    assert len(set(trains)) == 2


def test_the_environment_tells_of_the_job_and_keeps_its_secrets(configure, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_JWT", "secret")
    monkeypatch.setenv("LOCAL_TOKEN", "secret")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("HOME_OF", "nobody")
    config = configure()
    write_record(config, parameters=7)
    text = (config.run_dir / "environment.json").read_text()
    found = json.loads(text)
    assert (found["variables"]["SLURM_JOB_ID"], found["variables"]["LOCAL_RANK"]) == ("4711", "0")
    assert "secret" not in text
    assert "HOME_OF" not in found["variables"]
    assert found["variables"] == variables()
    assert (found["seed"], found["parameters"]) == (config.seed, 7)
    assert found["torch_threads"] >= 1
    assert found["packages"]["torch"].startswith("2.7")


@pytest.fixture
def tree(tmp_path) -> Path:
    """A repository of its own that holds the package."""
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "glm_composer", tree / "glm_composer", ignore=ignored)
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=tree, check=True)
    return tree


def recorded_changes(tree: Path) -> str | None:
    code = "import json\nfrom glm_composer.training.environment import changes\n"
    code += "print(json.dumps(changes()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_changes_of_the_code_can_be_made_again_from_the_record(tree, tmp_path):
    assert recorded_changes(tree) is None
    changed = tree / "glm_composer/sequence.py"
    before = changed.read_text()
    after = before + "# changed, with blanks at the end  \n"
    changed.write_text(after)
    (tree / "glm_composer/progress.py").unlink()
    patch = recorded_changes(tree)
    subprocess.run(["git", "checkout", "-q", "."], cwd=tree, check=True)
    assert changed.read_text() == before
    subprocess.run(["git", "apply", "-"], cwd=tree, input=patch, text=True, check=True)
    assert changed.read_text() == after
    assert not (tree / "glm_composer/progress.py").exists()


class Noting(ReportStatus):
    """Notes what it is told of."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.told = []

    def run_event(self, event, state, logger) -> None:
        self.told.append(lambda: ReportStatus.run_event(self, event, state, logger))
        super().run_event(event, state, logger)

    def log_metrics(self, metrics, step=None) -> None:
        self.told.append(lambda: ReportStatus.log_metrics(self, metrics, step))
        super().log_metrics(metrics, step)


@pytest.mark.slow
def test_the_status_follows_the_run_and_costs_it_nothing(configure):
    config = configure("max_duration=40ba", "eval_interval=40ba", "save_interval=40ba")
    config.run_dir.mkdir()
    pulse = Pulse()
    status = Noting(pulse, config.run_dir)
    began = time.monotonic()
    trainer = build_trainer(config, [status])
    trainer.fit()
    trainer.close()
    took = time.monotonic() - began
    assert (pulse.step, pulse.epoch, pulse.progress) == (40, 5, 1.0)
    lines = (config.run_dir / "metrics.jsonl").read_text().splitlines()
    assert pulse.loss == json.loads(lines[-1])["train/loss"]
    # 40 batches of 16 x 64 bases, in part of the time that building took as well.
    assert pulse.tokens_per_second > 40 * 16 * 64 / took
    assert pulse.seconds_left == 0
    events = [(e["event"], e.get("name"), e["step"]) for e in read_events(config.run_dir)]
    assert events == [("evaluated", "validation", 40), ("checkpoint", None, 40)]

    # All of it once more, evaluation included: in the thread's own time, since others work here.
    began = time.thread_time()
    for tell in status.told:
        tell()
    assert (time.thread_time() - began) / 40 < 1e-4
