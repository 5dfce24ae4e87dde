"""Runs on batches made on the device, of several lengths, and for other objectives."""

import json

import numpy as np
import pytest
import torch
from streaming import MDSWriter
from test_train import TINY, fit, losses

from glm_composer.config import Config
from glm_composer.data.shards import Shards
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.settings import load
from glm_composer.training.build import build_trainer
from glm_composer.training.run import train

SHORT = [
    "max_duration=2ba",
    "eval_interval=2ba",
    "data.eval_windows=20",
    "scheduler={name: constant}",
]
CAUSAL = ["model.causal=true", "objective={name: clm}"]


def exact(config):
    """Every loss of a short run, to the last bit."""
    fit(config)
    return losses(config), losses(config, "validation/loss")


@pytest.fixture(scope="module")
def ragged(yeast, tmp_path_factory):
    """A dataset of windows of 8 to 160 bases, stored with their lengths."""
    path = tmp_path_factory.mktemp("datasets") / "ragged"
    path.mkdir()
    rng = np.random.default_rng(0)
    manifest = json.loads((yeast / "manifest.json").read_text()) | {"window_length": 160}
    for split, count in (("train", 90), ("validation", 40), ("test", 40)):
        rows = Shards(yeast / split).gather(np.arange(count))["sequence"]
        with MDSWriter(columns={"sequence": "bytes"}, out=str(path / split)) as writer:
            for row in rows:
                writer.write({"sequence": row[: rng.integers(8, 161)].tobytes()})
        manifest["splits"][split]["windows"] = count
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize(
    "objective",
    [
        ["objective={name: mlm}"],
        pytest.param(CAUSAL, marks=pytest.mark.slow),
        pytest.param(["objective={name: dlm, weighted: true}"], marks=pytest.mark.slow),
    ],
)
def test_preparing_on_the_device_changes_no_bit(configure, objective):
    common = [*SHORT, *objective, "device_train_microbatch_size=4"]
    ahead = configure("run_name=ahead", "data.prepare_on_device=false", *common)
    there = configure("run_name=there", "data.prepare_on_device=true", *common)
    expected = exact(ahead)
    assert [len(each) for each in expected] == [2, 1]
    assert exact(there) == expected
    shares = [row["data/wait_share"] for row in read_metrics(ahead.run_dir / "metrics.jsonl")
              if "data/wait_share" in row]  # fmt: skip
    assert len(shares) == 2
    assert all(0 < share < 1 for share in shares)


@pytest.mark.slow
def test_next_base_loss_and_the_report_without_masks(configure, yeast, capsys):
    files = f"variants: {yeast}/variants.parquet, genome: {yeast}/genome.fa, interval: 1ba"
    table = f"evaluation.tables.coding={{{files}, scores: [window_llr, LLR], window: 9}}"
    config = configure(*SHORT, *CAUSAL, table, "data.prepare_on_device=false")
    train(config)
    assert (
        "learns the next base, whose held-out loss is validation/loss" in capsys.readouterr().out
    )
    summary = json.loads(next(config.run_dir.rglob("summary.json")).read_text())
    assert "held_out" not in summary
    # Nothing is compared with it, and both names are of one score.
    measured = summary["tables"]["coding"]
    assert measured["figures"] == {"model": measured["others"]["LLR"]}
    assert measured["figures"]["model"]["n"] == 3000
    # The first step's loss by hand: the logits of position i against base i + 1.
    trainer = build_trainer(configure("run_name=again", *SHORT, *CAUSAL))
    batch = next(iter(trainer.state.train_dataloader))
    ids = batch["input_ids"].long()
    with torch.no_grad():
        logits = trainer.state.model.model(ids)[:, :-1].log_softmax(-1)
    trainer.close()
    chosen = -logits.gather(2, ids[:, 1:, None])[..., 0]
    known = ids[:, 1:] >= 3
    expected = (chosen * known).sum() / known.sum()
    assert float.fromhex(losses(config)[1]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    "objective", [["objective={name: mlm}"], pytest.param(CAUSAL, marks=pytest.mark.slow)]
)
def test_ragged_windows_train_alike_in_any_micro_batches(configure, ragged, objective):
    data = [f"data.path={ragged}", "data.train_windows=null", "data.window=100", "seed=5"]
    common = [*SHORT, *data, *objective]
    runs = {}
    for micro in (16, 4):
        config = configure(
            f"run_name=micro{micro}", f"device_train_microbatch_size={micro}", *common
        )
        runs[micro] = [float.fromhex(loss) for each in exact(config) for loss in each.values()]
    assert runs[4] == pytest.approx(runs[16], rel=1e-6)


@pytest.mark.slow
def test_what_a_ragged_window_loses_is_its_own(configure, ragged):
    config = configure(f"data.path={ragged}", "data.train_windows=null", "data.window=100")
    trainer = build_trainer(config)
    batch = next(iter(trainer.state.train_dataloader))
    model = trainer.state.model.eval()
    shards = Shards(ragged / "train")
    stored = shards.gather(batch["id"].numpy())["length"]
    assert batch["length"].tolist() == np.minimum(stored, 100).tolist()
    assert batch["input_ids"].shape == (16, 100)
    with torch.no_grad():
        whole = model(batch)["sums"]
        alone = []
        for row, length in enumerate(batch["length"].tolist()):
            window = {name: each[row : row + 1] for name, each in batch.items()}
            for name in ("input_ids", "labels", "soft_masked", "loss_weight"):
                assert name == "soft_masked" or not window[name][0, length:].any()
                window[name] = window[name][:, :length]
            # As if nothing had ever been ragged.
            del window["length"]
            alone.append(model(window)["sums"])
        torch.testing.assert_close(torch.stack(alone).sum(0), whole, rtol=1e-6, atol=1e-5)
        # A control: what follows a window does count where its length is not told.
        assert not torch.allclose(
            model({k: v for k, v in batch.items() if k != "length"})["sums"], whole, rtol=1e-6
        )
    trainer.close()


@pytest.mark.slow
def test_ragged_runs_are_reported_beside_their_baselines(configure, ragged):
    config = configure(f"data.path={ragged}", "data.train_windows=null", *SHORT)
    train(config)
    found = json.loads(next(config.run_dir.rglob("summary.json")).read_text())["held_out"]
    lengths = np.minimum(Shards(ragged / "test").gather()["length"], 64).sum()
    assert abs(found["positions"] - 0.15 * lengths) < 5 * np.sqrt(0.15 * 0.85 * lengths)
    assert 1 < found["model"] < 2.1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective={name: clm}"], r"'clm' .*needs model\.causal, set it to true"),
        (
            ["objective={name: clm}", "model={name: bytenet, width: 16, layers: 2}"],
            r"'clm' .* needs model\.causal, which model\.name 'bytenet' lacks",
        ),
        (["model.causal=true"], r"model\.causal is true, but objective\.name 'mlm'"),
        (["model.causal=true", "objective={name: dlm}"], r"but objective\.name 'dlm'"),
    ],
)
def test_objectives_that_do_not_fit_the_model_are_refused(overrides, message):
    with pytest.raises(UserError, match=message) as error:
        load(Config, TINY, overrides)
    assert "\n" not in str(error.value)
