"""The same training however it is cut: micro-batches, ranks, sharded weights, and back."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_ranks import fit

from glm_composer.metrics_log import read_metrics
from glm_composer.training.checkpoint_file import read_weights

REPOSITORY = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny.yaml")
# Soft-masked bases weigh nothing here, so that micro-batches weigh as unequally as they can.
COMMON = [
    "global_train_batch_size=64",
    "data.train_windows=256",
    "data.window=128",
    "data.soft_mask_weight=0.0",
    "gradient_clipping=null",
    "scheduler={name: constant}",
    "max_duration=3ba",
    "eval_interval=2ba",
    "save_interval=1ba",
]
# The clipping must see the norm of the whole gradient.
LONGER = ["max_duration=6ba", "gradient_clipping=0.05", "device_train_microbatch_size=16"]


def rows(run: Path, name: str = "train/loss") -> dict[int, float]:
    found = read_metrics(run / "metrics.jsonl")
    return {row["step"]: row[name] for row in found if name in row}


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Norm of the difference of two gradients, relative to the first."""
    assert one.keys() == other.keys()
    gap = torch.stack([(one[name] - other[name]).norm() for name in one]).norm()
    return (gap / torch.stack([one[name].norm() for name in one]).norm()).item()


@pytest.fixture
def prepared(configure, promoters):
    return lambda *overrides: configure(f"data.path={promoters}", *COMMON, *overrides)


@pytest.mark.slow
def test_gradients_of_micro_batches_add_up_to_the_batchs(prepared, monkeypatch):
    whole = fit(prepared("run_name=whole"))
    micro = "device_train_microbatch_size=16"
    config = prepared("run_name=parts", micro)
    assert distance(whole, fit(config)) < 1e-6
    losses = rows(config.run_dir.parent / "whole")
    assert rows(config.run_dir) == pytest.approx(losses, rel=1e-6)
    # The negative control: a mean of means of micro-batches.
    monkeypatch.setattr(
        "glm_composer.data.loaders.count_tokens",
        lambda batch: {"total": 1, "loss_generating": len(batch["id"])},
    )
    assert distance(whole, fit(prepared("run_name=naive", micro))) > 1e-3


@pytest.fixture(scope="module")
def on_two_ranks(promoters, yeast, tmp_path_factory) -> Path:
    """Directory of runs on two ranks; those with `parts` in their name were stopped between."""
    runs_dir = tmp_path_factory.mktemp("runs")
    files = f"variants: {yeast}/variants.parquet, genome: {yeast}/genome.fa"
    scoring = "interval: 3ba, chroms: [chr15], window: 33, strands: forward"
    table = f"evaluation.tables.coding={{{files}, {scoring}}}"
    here = [f"runs_dir={runs_dir}", f"data.path={promoters}", *COMMON]
    sharded = [*LONGER, "parallelism=fsdp2"]
    muon = ["optimizer={name: muon}", "ema.decay=0.6"]
    runs = [
        ("gradient", ["device_train_microbatch_size=16"]),
        ("ddp", [*LONGER, table]),
        ("fsdp2", [*sharded, table]),
        ("parts", [*sharded, "max_duration=3ba"]),
        ("parts", sharded),
        ("parts_ddp_first", [*LONGER, "max_duration=3ba"]),
        ("parts_ddp_first", sharded),
        ("parts_ddp_last", [*sharded, "max_duration=3ba"]),
        ("parts_ddp_last", LONGER),
        ("parts_one_rank_last", [*sharded, "max_duration=3ba"]),
        ("muon_ddp", [*LONGER, *muon, table]),
        ("muon_fsdp2", [*sharded, *muon, table]),
        ("parts_muon", [*sharded, *muon, "max_duration=3ba"]),
        ("parts_muon", [*sharded, *muon]),
        ("parts_muon_ddp_first", [*LONGER, *muon, "max_duration=3ba"]),
        ("parts_muon_ddp_first", [*sharded, *muon]),
        ("parts_muon_ddp_last", [*sharded, *muon, "max_duration=3ba"]),
        ("parts_muon_ddp_last", [*LONGER, *muon]),
    ]
    file = runs_dir / "runs.json"
    file.write_text(json.dumps([(name, [*here, *overrides]) for name, overrides in runs]))
    finish(launch(file, "-n", "2"))
    return runs_dir


def launch(file: Path, *arguments: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("two_ranks.py")
    composer = Path(sys.executable).with_name("composer")
    return subprocess.Popen(
        [composer, *arguments, script, file, TINY],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*launched: subprocess.Popen[str]) -> None:
    try:
        for each in launched:
            output, _ = each.communicate(timeout=600)
            assert each.returncode == 0, output[-5000:]
    finally:
        for each in launched:
            each.kill()


@pytest.mark.slow
def test_two_ranks_of_two_micro_batches_equal_the_whole_batch(prepared, on_two_ranks):
    config = prepared("run_name=whole")
    whole = fit(config)
    run = on_two_ranks / "gradient"
    assert distance(whole, torch.load(run / "gradient.pt")) < 1e-6
    assert rows(run) == pytest.approx(rows(config.run_dir), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("muon", ["", "muon_"])
@pytest.mark.parametrize("name", ["train/loss", "validation/loss", "eval/coding/auprc"])
def test_sharded_weights_train_as_whole_ones(on_two_ranks, name, muon):
    whole = rows(on_two_ranks / f"{muon}ddp", name)
    assert rows(on_two_ranks / f"{muon}fsdp2", name) == pytest.approx(whole, rel=1e-5)
    assert len(whole) == {"train/loss": 6, "validation/loss": 3}.get(name, 2)


@pytest.mark.slow
def test_sharded_gradients_are_whole_ones(on_two_ranks):
    whole = torch.load(on_two_ranks / "ddp/gradient.pt")
    assert distance(whole, torch.load(on_two_ranks / "fsdp2/gradient.pt")) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train/loss", "validation/loss"])
@pytest.mark.parametrize(("parts", "run"), [("parts", "fsdp2"), ("parts_muon", "muon_fsdp2")])
def test_a_sharded_run_resumes_bitwise(on_two_ranks, parts, run, name):
    found = rows(on_two_ranks / run, name)
    # Where the first part ended is a validation of its own.
    assert {k: v for k, v in rows(on_two_ranks / parts, name).items() if k in found} == found


@pytest.mark.slow
@pytest.mark.parametrize("muon", ["", "muon_"])
@pytest.mark.parametrize("change", ["ddp_first", "ddp_last"])
def test_runs_change_between_whole_and_sharded_weights(on_two_ranks, change, muon):
    found = rows(on_two_ranks / f"parts_{muon}{change}")
    assert found == pytest.approx(rows(on_two_ranks / f"{muon}ddp"), rel=1e-5)


@pytest.mark.slow
def test_a_sharded_runs_moving_average_is_a_whole_ones(on_two_ranks):
    file = "checkpoints/latest-rank0.pt"
    for averaged in (True, False):
        whole = read_weights(on_two_ranks / "muon_ddp" / file, averaged)
        for run in ("muon_fsdp2", "parts_muon", "parts_muon_ddp_first", "parts_muon_ddp_last"):
            torch.testing.assert_close(read_weights(on_two_ranks / run / file, averaged), whole)


@pytest.mark.slow
def test_one_rank_goes_on_from_a_sharded_run(prepared, on_two_ranks):
    here = f"runs_dir={on_two_ranks}"
    fit(prepared(here, "run_name=parts_one_rank_last", *LONGER, "parallelism=fsdp2"))
    found = rows(on_two_ranks / "parts_one_rank_last")
    assert found == pytest.approx(rows(on_two_ranks / "ddp"), rel=1e-5)


@pytest.mark.slow
def test_two_nodes_of_one_rank_are_two_ranks(promoters, on_two_ranks):
    runs_dir = on_two_ranks / "nodes"
    here = [f"runs_dir={runs_dir}", f"data.path={promoters}", *COMMON, *LONGER]
    runs_dir.mkdir()
    file = runs_dir / "runs.json"
    file.write_text(json.dumps([("ddp", here)]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = ["-n", "1", "--world_size", "2", "--master_addr", "127.0.0.1"]
    common += ["--master_port", str(port)]
    finish(*(launch(file, *common, "--node_rank", str(node)) for node in range(2)))
    assert rows(runs_dir / "ddp") == rows(on_two_ranks / "ddp")
