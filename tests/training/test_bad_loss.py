"""A loss that is no number ends the run by name; the last good checkpoint is gone on from."""

import re
from pathlib import Path

import pytest
from on_ranks import on_two_ranks

from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.training.build import build_trainer
from glm_composer.training.checkpoint_file import read_weights

TINY = Path(__file__).with_name("tiny.yaml")


def fit(config) -> list[float]:
    trainer = build_trainer(config)
    try:
        trainer.fit()
    finally:
        trainer.close()
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    return [row["train/loss"] for row in rows if "train/loss" in row]


def checkpoints(config) -> list[str]:
    return sorted(path.name for path in (config.run_dir / "checkpoints").glob("ep*.pt"))


# The first step of the warmup is at rate 0, the second ruins the weights, the third finds out.
RUINED = [
    "optimizer={name: adamw, lr: 1.0e38}",
    "scheduler={name: constant, warmup: 4ba}",
    "max_duration=6ba",
]
MENDED = ["optimizer={name: adamw, lr: 1.0e-3}", *RUINED[1:]]


@pytest.mark.slow
def test_a_checkpoint_of_ruined_weights_does_not_replace_a_good_one(configure):
    config = configure("run_name=ruined", "save_interval=1ba", *RUINED)
    with pytest.raises(UserError, match=r"weights after batch 2, sample ids: train \d+") as caught:
        fit(config)
    assert "\n" not in str(caught.value)
    assert checkpoints(config) == ["ep0-ba1-rank0.pt"]
    latest = (config.run_dir / "checkpoints/latest-rank0.pt").resolve()
    assert all(tensor.isfinite().all() for tensor in read_weights(latest).values())
    # With a sane rate it goes on from there, as if nothing had happened.
    mended = fit(configure("run_name=ruined", *MENDED))
    assert mended == fit(configure("run_name=sane", *MENDED))


@pytest.mark.slow
def test_the_step_its_loss_and_its_windows_are_named(configure):
    config = configure("device_train_microbatch_size=4", *RUINED)
    loader = build_trainer(configure("run_name=other"))._train_data_spec.dataloader
    _, _, third = (batch["id"].tolist() for batch, _ in zip(loader, range(3), strict=False))
    with pytest.raises(UserError, match=r"loss is (nan|inf) at batch 3, sample ids: ") as caught:
        fit(config)
    named = re.search(r"sample ids: train ([\d, ]+);", str(caught.value))[1]
    assert [int(number) for number in named.split(", ")] == third
    assert not checkpoints(config)


def test_a_batch_that_asks_nothing_does_not_stop_the_run(configure):
    losses = fit(configure("objective={name: mlm, rate: 0.001}", "global_train_batch_size=4"))
    assert 0 < len(losses) < 12


@pytest.mark.slow
def test_what_is_bad_on_one_rank_ends_all_of_them(tmp_path, yeast):
    here = [f"data.path={yeast}", f"runs_dir={tmp_path}", "save_interval=2ba", "ledger=true"]
    done = on_two_ranks("tests/training/poisoned_run.py", "1", "4", "train", TINY, *here)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "error: loss is nan at batch 4, sample ids of rank 1: train " in done.stderr
    saved = tmp_path / "tiny/checkpoints"
    assert [path.name for path in saved.glob("ep*.pt")] == ["ep0-ba2-rank0.pt"]
    weights = read_weights(saved / "ep0-ba2-rank0.pt")
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.slow
def test_ruined_weights_in_shares_are_not_saved_either(tmp_path, yeast):
    here = [f"data.path={yeast}", f"runs_dir={tmp_path}", "save_interval=1ba"]
    done = on_two_ranks("train.py", TINY, *here, *RUINED, "parallelism=fsdp2")
    assert done.returncode != 0
    assert "error: the weights after batch 2, sample ids" in done.stderr
    found = [path.name for path in (tmp_path / "tiny/checkpoints").glob("ep*.pt")]
    assert found == ["ep0-ba1-rank0.pt"]
