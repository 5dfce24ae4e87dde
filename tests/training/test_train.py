"""Runs of the real Trainer on real windows: reproducible, resumable, undisturbed."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import torch

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.registry import models
from glm_composer.serving.model import load_model
from glm_composer.settings import load
from glm_composer.training.build import build_trainer
from glm_composer.training.checkpoint import evaluate_checkpoint
from glm_composer.training.inputs import check_data
from glm_composer.training.record import check_resumable
from glm_composer.training.run import train
from glm_composer.training.tables import load_tables
from glm_composer.training.weights import read

REPOSITORY = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


@dataclass(frozen=True, kw_only=True)
class DropoutConfig(TransformerConfig):
    """A transformer whose training draws random numbers in the forward pass."""

    name: str = "dropout_for_tests"


@models.register("dropout_for_tests")
def build_with_dropout(config: DropoutConfig) -> LanguageModel:
    """Build it."""
    model = build_transformer(config)
    model.norm = torch.nn.Sequential(model.norm, torch.nn.Dropout(0.2))
    return model


def fit(config: Config) -> dict[int, str]:
    """Train; the exact loss of each step."""
    trainer = build_trainer(config)
    trainer.fit()
    trainer.close()
    return losses(config)


def coding_table(yeast: Path, settings: str) -> str:
    files = f"variants: {yeast}/variants.parquet, genome: {yeast}/genome.fa"
    return f"evaluation.tables.coding={{{files}, {settings}}}"


def losses(config: Config, name: str = "train/loss") -> dict[int, str]:
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    found = [(row["step"], row[name].hex()) for row in rows if name in row]
    assert len(dict(found)) == len(found), "a step was logged twice"
    return dict(found)


def test_same_seed_twice_is_bitwise_equal_and_another_is_not(configure):
    first = fit(configure("run_name=first"))
    assert list(first) == list(range(1, 13))
    assert fit(configure("run_name=second")) == first
    assert fit(configure("run_name=third", "seed=4")) != first


def test_a_step_has_one_line_with_all_of_it(configure):
    config = configure("max_duration=2ba", "scheduler={name: constant}")
    fit(config)
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2]
    # Measured at the end, though its interval is six steps.
    assert "validation/loss" in rows[-1]


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["6ba", "8ba", "11ba"], ids=["middle", "boundary", "later"])
def test_resumed_equals_uninterrupted(configure, stop):
    # An epoch is 8 batches. The constant schedule does not look at the run's length.
    model = ["model.name=dropout_for_tests", "model.width=16", "model.heads=2", "model.layers=1"]
    common = [*model, "scheduler={name: constant}", "save_interval=1ba"]
    whole = fit(configure("run_name=whole", "max_duration=18ba", *common))
    fit(configure("run_name=parts", f"max_duration={stop}", *common))
    assert fit(configure("run_name=parts", "max_duration=18ba", *common)) == whole


@pytest.mark.slow
def test_checkpoint_at_an_epochs_end_does_not_replay_the_epoch(configure):
    common = ["scheduler={name: constant}", "save_interval=1ep"]
    whole = fit(configure("run_name=whole", "max_duration=3ep", *common))
    fit(configure("run_name=parts", "max_duration=1ep", *common))
    fit(configure("run_name=parts", "max_duration=2ep", *common))
    assert fit(configure("run_name=parts", "max_duration=3ep", *common)) == whole


@pytest.mark.slow
def test_random_state_must_be_restored_for_that(configure):
    """The negative control: without our callback a mid-epoch resumption differs."""
    model = ["model.name=dropout_for_tests", "model.width=16", "model.heads=2", "model.layers=1"]
    common = [*model, "scheduler={name: constant}", "save_interval=1ba"]
    whole = fit(configure("run_name=whole", "max_duration=7ba", *common))
    fit(configure("run_name=parts", "max_duration=6ba", *common))
    config = configure("run_name=parts", "max_duration=7ba", *common)
    trainer = build_trainer(config)
    trainer._rng_state = None
    trainer.fit()
    trainer.close()
    assert losses(config)[7] != whole[7]


@pytest.mark.slow
def test_micro_batches_add_up_to_the_batch(configure):
    whole = fit(configure("run_name=whole"))
    parts = fit(configure("run_name=parts", "device_train_microbatch_size=4"))
    for step, loss in whole.items():
        assert float.fromhex(parts[step]) == pytest.approx(float.fromhex(loss), rel=1e-6)


@pytest.mark.slow
def test_evaluation_leaves_training_as_it_was(configure, yeast):
    plain = fit(configure("run_name=plain", "eval_interval=12ba"))
    table = coding_table(yeast, "interval: 5ba, chroms: [chr15]")
    config = configure("run_name=evaluated", "eval_interval=1ba", table)
    assert fit(config) == plain
    assert list(losses(config, "eval/coding/auprc")) == [5, 10]
    assert list(losses(config, "validation/loss")) == list(range(1, 13))


@pytest.mark.slow
def test_learning_rate_follows_the_schedule(configure):
    config = configure()
    fit(config)
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    # 4 steps up, flat, 6 steps down to 0; the n-th step's rate is that of the moment n - 1.
    expected = {1: 0.0, 2: 0.25, 4: 0.75, 5: 1.0, 7: 1.0, 8: 5 / 6, 9: 4 / 6, 12: 1 / 6}
    rates = {row["step"]: row["lr-AdamW/group0"] / config.optimizer.lr for row in rows}
    assert {step: rates[step] for step in expected} == pytest.approx(expected)


def test_a_run_leaves_its_record_and_its_checkpoint_evaluates_to_the_same(configure, yeast):
    table = coding_table(yeast, "chroms: [chr15], report_chroms: [chr16], window: 33")
    config = configure(table, "max_duration=2ba")
    train(config)
    run = config.run_dir
    environment = json.loads((run / "environment.json").read_text())
    assert {"torch", "mosaicml"} <= environment["packages"].keys()
    assert environment["window"] == 64
    assert (run / "report.html").exists()
    # A single chromosome has no spread, and JSON no NaN.
    summary = json.loads((run / "evaluation/summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["tables"]["coding"]["figures"]["model"]["auprc_by_chrom_se"] is None
    assert summary["held_out"]["uniform"] == pytest.approx(1.3862944)
    assert summary["tables"]["coding"]["chroms"] == ["chr16"]
    again = evaluate_checkpoint(run)
    assert again.parent == run / "evaluation"
    assert json.loads((again / "summary.json").read_text()) == summary
    for scores in (run / "evaluation/coding.parquet", again / "coding.parquet"):
        digest = pl.read_parquet_metadata(scores)["model_sha256"]
        assert f"sha256:{digest}" == load_model(run).digest
    with pytest.raises(
        UserError, match=r"another architecture.*embedding.*is \[7, 16\], not \[7, 32\]"
    ) as caught:
        evaluate_checkpoint(run, ["model.width=32"])
    # Every tensor that does not fit is named, not the first few.
    promised = int(re.search(r"(\d+) tensors", str(caught.value))[1])
    assert str(caught.value).count(", not [") == promised > 10
    with pytest.raises(UserError, match=r"model\.width was 16, now 32"):
        check_resumable(configure(table, "model.width=32"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"state": {"model": {}}, "extra": Hostile()}, tmp_path / "hostile.pt")
    with pytest.raises(UserError, match="more than plain data"):
        read(tmp_path / "hostile.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=data/nowhere", r"data/nowhere.*to_mds\.py"),
        ("data.window=1024", r"data\.window \(1024\) is longer than the windows of .* 512 bases"),
        ("data.train_split=trian", r"data\.train_split 'trian'.*train, validation, test"),
    ],
)
def test_data_that_does_not_fit_is_refused(configure, override, message):
    with pytest.raises(UserError, match=message):
        check_data(configure(override))


def test_a_table_with_a_column_that_a_predictor_needs_is_refused(configure, yeast, tmp_path):
    taken = pl.read_parquet(yeast / "variants.parquet").with_columns(model=pl.lit(0))
    taken.write_parquet(tmp_path / "taken.parquet")
    files = f"variants: {tmp_path}/taken.parquet, genome: {yeast}/genome.fa"
    config = configure(f"evaluation.tables.coding={{{files}}}")
    with pytest.raises(UserError, match=r"taken\.parquet: column 'model' is named as a predictor"):
        load_tables(config, 64)


@pytest.mark.slow
def test_two_ranks_equal_one(command, tmp_path):
    for ranks in (1, 2):
        more = ["device_train_microbatch_size=8", "ema.decay=0.9"]
        done = command(ranks, f"run_name=ranks{ranks}", *more)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (read_metrics(tmp_path / f"ranks{ranks}/metrics.jsonl") for ranks in (1, 2))
    assert len(one) == len(two) == 12
    for alone, together in zip(one, two, strict=True):
        for name in ("train/loss", "validation/loss"):
            if name in alone:
                assert together[name] == pytest.approx(alone[name], rel=1e-5)


@pytest.mark.slow
def test_errors_are_one_line_without_traceback(command):
    done = command(1, "data.path=data/nowhere")
    assert done.returncode != 0
    assert "error: data.path 'data/nowhere': no dataset there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(command, tmp_path, yeast):
    common = ["max_duration=24ba", "save_interval=3ba", "scheduler={name: constant}"]
    assert command(1, "run_name=whole", *common).returncode == 0
    whole = read_metrics(tmp_path / "whole/metrics.jsonl")
    arguments = [f"data.path={yeast}", f"runs_dir={tmp_path}", "run_name=killed", *common]
    run = subprocess.Popen(
        [sys.executable, "train.py", str(TINY), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    file = tmp_path / "killed/metrics.jsonl"
    while run.poll() is None and not (file.exists() and len(file.read_text().splitlines()) > 8):
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert len(file.read_text().splitlines()) < 24, "it had finished before it was killed"
    assert command(1, "run_name=killed", *common).returncode == 0
    resumed = read_metrics(file)
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]
    assert [row["train/loss"] for row in resumed] == [row["train/loss"] for row in whole]


@pytest.mark.slow
def test_loggers_write_offline(command, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = command(1, "max_duration=2ba", "loggers.tensorboard=true", "loggers.wandb=true")
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "tiny/tensorboard").rglob("events.out.tfevents*"))
    assert list((tmp_path / "tiny/wandb").glob("offline-run-*/*.wandb"))


@pytest.fixture
def preset(yeast, tmp_path):
    """Settings of a debug preset by its name."""
    here = [f"data.path={yeast}", f"runs_dir={tmp_path}", "loggers.progress_bar=false"]
    return lambda name: load(Config, REPOSITORY / f"yamls/debug/{name}.yaml", here)


@pytest.mark.slow
def test_a_small_model_learns_its_windows_by_heart(preset):
    found = list(fit(preset("overfit")).values())
    assert float.fromhex(found[-1]) < 0.5


@pytest.mark.slow
def test_the_profile_preset_leaves_a_profile(preset):
    config = preset("profile")
    assert len(fit(config)) == 9
    traces = [path for path in (config.run_dir / "profile").rglob("*") if path.is_file()]
    assert any("aten::mm" in path.read_text() for path in traces)
