"""Resuming from checkpoints that are damaged, hostile, old or uploaded, with the real Trainer."""

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from composer.core import Callback
from composer.utils.checkpoint import safe_torch_load
from on_ranks import on_two_ranks

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.runs.events import read_events
from glm_composer.serving.model import load_model
from glm_composer.training.build import build_trainer
from glm_composer.training.checkpoint import evaluate_checkpoint
from glm_composer.training.checkpoint_command import accept
from glm_composer.training.checkpoint_file import read_checkpoint
from glm_composer.training.checkpoint_folder import list_checkpoints
from glm_composer.training.checkpoint_manifest import (
    Manifest,
    digest,
    manifest_path,
    read_manifest,
    write_manifest,
)
from glm_composer.training.record import check_resumable, write_record

TINY = Path(__file__).with_name("tiny.yaml")
COMMON = ["scheduler={name: constant}", "save_interval=2ba", "eval_interval=100ba"]


def fit(config: Config) -> dict[int, str]:
    """Train; the exact loss of each step."""
    check_resumable(config)
    trainer = build_trainer(config)
    write_record(config, 0)
    trainer.fit()
    trainer.close()
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    return {row["step"]: row["train/loss"].hex() for row in rows}


def checkpoint(config: Config, batch: int) -> Path:
    return config.run_dir / f"checkpoints/ep0-ba{batch}-rank0.pt"


def flip(file: Path) -> None:
    with file.open("r+b") as raw:
        raw.seek(file.stat().st_size // 2)
        byte = raw.read(1)[0]
        raw.seek(-1, os.SEEK_CUR)
        raw.write(bytes([byte ^ 4]))


@pytest.mark.slow
def test_what_is_damaged_or_old_is_named_and_the_one_before_taken(configure, caplog):
    longer = [*COMMON, "max_duration=7ba"]
    whole = fit(configure("run_name=whole", *longer))
    config = configure("run_name=parts", *COMMON, "max_duration=6ba")
    fit(config)
    flip(checkpoint(config, 6))
    manifest_path(checkpoint(config, 4)).unlink()
    with caplog.at_level(logging.WARNING):
        assert fit(configure("run_name=parts", *longer)) == whole
    assert "ba6-rank0.pt: skipped: damaged: its sha256 is not the one" in caplog.text
    assert "ba4-rank0.pt: skipped: incomplete: it has no manifest; going on from ep0-ba2" in (
        caplog.text
    )
    skipped = [
        each for each in read_events(config.run_dir) if each["event"] == "checkpoint_skipped"
    ]
    assert [each["file"] for each in skipped] == ["ep0-ba6-rank0.pt", "ep0-ba4-rank0.pt"]
    assert (config.run_dir / "checkpoints/ep0-ba6-rank0.pt.damaged").exists()
    # A run from before there were manifests.
    for path in list_checkpoints(config.run_dir / "checkpoints"):
        manifest_path(path).unlink()
    with pytest.raises(UserError, match=r"no manifest.*`glm checkpoints accept .*/parts`"):
        fit(configure("run_name=parts", *longer, "max_duration=9ba"))
    accept(config.run_dir)
    further = fit(configure("run_name=parts", *longer, "max_duration=9ba"))
    assert {step: further[step] for step in whole} == whole


class Intruder:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def plant(file: Path, content: dict[str, Any]) -> None:
    """Put another file into a checkpoint's place, with a manifest that fits it."""
    before = read_manifest(file)
    assert before is not None
    torch.save(content, file)
    facts = {**before.__dict__, "bytes": file.stat().st_size, "sha256": digest(file)}
    write_manifest(manifest_path(file), Manifest(**facts))


def test_no_checkpoint_runs_code(configure, tmp_path):
    config = configure("run_name=first", *COMMON, "max_duration=2ba")
    fit(config)
    file, mark = checkpoint(config, 2), tmp_path / "mark"
    content = read_checkpoint(file)
    evil = {**content, "extra": Intruder(mark)}
    plant(file, evil)
    longer = configure("run_name=first", *COMMON, "max_duration=3ba")
    everywhere = [
        lambda: fit(longer),
        lambda: build_trainer(configure("run_name=other", f"init_from={config.run_dir}")),
        lambda: evaluate_checkpoint(config.run_dir),
        lambda: load_model(config.run_dir),
    ]
    for use in everywhere:
        with pytest.raises(
            UserError, match=r"ba2-rank0\.pt: refused: .* more than plain data: \w"
        ):
            use()
    assert not mark.exists()
    # The negative control: what Composer would have done.
    safe_torch_load(file)
    assert mark.exists()

    # Plain data whose text Composer evaluates as Python.
    mark.unlink()
    code = f"BlurPool.__init__.__globals__['__builtins__']['open']({str(mark)!r}, 'w')"
    content["state"]["algorithms"] = [("BlurPool", {"repr": code})]
    plant(file, content)
    assert len(fit(longer)) == 3
    assert not mark.exists()
    trainer = build_trainer(longer)
    with pytest.raises(ValueError, match="required to successfully load"):
        trainer.state.load_state_dict(content["state"], trainer.logger)
    assert mark.exists()
    trainer.close()


class Careless(Callback):
    """Keeps in checkpoints what cannot be read again."""

    def state_dict(self) -> dict[str, Any]:
        return {"path": Path("somewhere")}


def test_what_could_not_be_read_again_is_not_saved(configure):
    config = configure(*COMMON[:1], "save_interval=1ba", "max_duration=1ba")
    trainer = build_trainer(config)
    trainer.state.callbacks.append(Careless())
    with pytest.raises(UserError, match=r"ba1-rank0\.pt: cannot be saved: .* data: pathlib\."):
        trainer.fit()
    trainer.close()
    assert not list((config.run_dir / "checkpoints").rglob("*.pt*"))


@pytest.mark.slow
def test_the_best_the_last_and_every_nth_are_kept_over_resumptions(configure):
    settings = [
        "scheduler={name: constant}",
        "save_interval=5ba",
        "eval_interval=3ba",
        "save_num_checkpoints_to_keep=2",
        "save_keep_interval=1ep",
        "save_best={metric: validation/loss, direction: maximize}",
    ]
    configs = [
        configure("run_name=kept", f"max_duration={end}ba", *settings) for end in (7, 12, 20)
    ]
    for config in configs:
        fit(config)
        folder = config.run_dir / "checkpoints"
        rows = read_metrics(config.run_dir / "metrics.jsonl")
        measured = {
            row["step"]: row["validation/loss"] for row in rows if "validation/loss" in row
        }
        # Of equals the first. At its end, a run that is gone on with has measured once more.
        best = max(measured, key=lambda step: (measured[step], -step))
        batch = config.max_duration.removesuffix("ba")
        assert max(measured) == int(batch)
        found = {int(path.name.split("-")[1][2:]) for path in list_checkpoints(folder)}
        # An epoch is 8 batches; the last checkpoint is of the end, the one before of an interval
        # or a best.
        assert {8, 16} & set(range(int(batch) + 1)) <= found
        assert {best, int(batch)} <= found
        link = (folder / "best-rank0.pt").resolve()
        assert link.name.split("-")[1] == f"ba{best}"
        manifest = read_manifest(link)
        assert manifest is not None
        assert manifest.metrics == {"validation/loss": measured[best]}
        spare = found - {8, 16, best}
        assert len(spare) <= 2
    # It did remove some.
    assert not {5, 10} & found - {best}


@pytest.mark.slow
def test_a_best_that_nobody_measures_is_refused(configure):
    with pytest.raises(UserError, match=r"'eval/codnig/auprc' is measured by no evaluation"):
        configure("save_best.metric=eval/codnig/auprc")
    config = configure("save_best.metric=validation/los", *COMMON[:2], "eval_interval=1ba")
    with pytest.raises(UserError, match=r"'validation/los': not measured; there are .*ion/loss"):
        fit(config)


@pytest.mark.slow
def test_ranks_agree_on_the_one_before_a_damaged_one(tmp_path, yeast):
    here = [f"data.path={yeast}", f"runs_dir={tmp_path}", *COMMON, "max_duration=6ba"]
    here += ["eval_interval=4ba", "save_best.metric=validation/loss"]
    script = Path(__file__).with_name("damaged_on_ranks.py")
    done = on_two_ranks(script, TINY, *here)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {name: read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "parts")}
    losses = {name: [row["train/loss"] for row in found] for name, found in rows.items()}
    assert len(losses["whole"]) == 6
    assert losses["parts"] == losses["whole"]
    assert (tmp_path / "parts/checkpoints/ep0-ba4-rank0.pt.damaged").exists()
    # Measured when training had ended, after the last checkpoint was saved.
    last = read_manifest(tmp_path / "parts/checkpoints/ep0-ba6-rank0.pt")
    assert last is not None
    assert last.ranks == 2
    assert last.metrics == {"validation/loss": rows["parts"][-1]["validation/loss"]}
    assert os.readlink(tmp_path / "parts/checkpoints/best-rank0.pt") == "ep0-ba6-rank0.pt"


@pytest.mark.slow
def test_what_was_uploaded_is_gone_on_from(configure, tmp_path):
    longer = [*COMMON, "max_duration=6ba"]
    whole = fit(configure("run_name=whole", *longer))
    away = tmp_path / "away"
    config = configure("run_name=sent", *COMMON, f"save_upload=file://{away}", "max_duration=4ba")
    fit(config)
    end = time.monotonic() + 60
    while "uploaded" not in str(read_events(config.run_dir)[-1]) and time.monotonic() < end:
        time.sleep(0.01)
    shutil.rmtree(config.run_dir)
    shutil.copytree(away / "sent", config.run_dir)
    resumed = fit(configure("run_name=sent", *longer))
    # The checkpoint carries the line of its own step.
    assert resumed == {step: whole[step] for step in (4, 5, 6)}


@pytest.mark.slow
def test_a_killed_first_save_starts_afresh(configure):
    config = configure("run_name=torso", *COMMON, "max_duration=2ba")
    whole = fit(config)
    folder = config.run_dir / "checkpoints"
    file = checkpoint(config, 2)
    # As between two renames.
    (folder / "partial").mkdir()
    manifest_path(file).rename(folder / "partial" / manifest_path(file).name)
    assert fit(config) == whole
