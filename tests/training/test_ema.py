"""The moving average of the weights: right, restored, and never in the way of training."""

import json
from pathlib import Path

import pytest
import torch
from composer.core import Callback
from on_ranks import on_two_ranks

from glm_composer.metrics_log import read_metrics
from glm_composer.training.build import build_trainer
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.weights import load_into, read

TINY = Path(__file__).with_name("tiny.yaml")
COMMON = ["scheduler={name: constant}", "eval_interval=4ba", "optimizer={name: muon}"]


class Recorder(Callback):
    """The weights before the first and after every step, in float64."""

    def __init__(self):
        self.weights = []

    def fit_start(self, state, logger):
        self.batch_end(state, logger)

    def batch_end(self, state, logger):
        found = state.model.state_dict()
        self.weights.append({name: tensor.double().clone() for name, tensor in found.items()})


def fit(config, *more):
    """Train; the rows of metrics and the path of the last checkpoint."""
    trainer = build_trainer(config)
    trainer.state.callbacks.extend(more)
    trainer.fit()
    trainer.close()
    latest = (config.run_dir / "checkpoints/latest-rank0.pt").resolve()
    return read_metrics(config.run_dir / "metrics.jsonl"), latest


def column(rows, name):
    return [row[name] for row in rows if name in row]


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def assert_averaged(average, weights, most):
    """Naively, in float64."""
    expected = weights[0]
    for step, after in enumerate(weights[1:], start=1):
        decay = min(most, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * after[name] for name in expected}
    assert average.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(average[name].double(), value, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_training_evaluation_checkpoints_and_resumption(configure):
    recorder = Recorder()
    plain_rows, plain = fit(configure("run_name=plain", *COMMON))
    rows, averaged = fit(configure("run_name=averaged", "ema.decay=0.6", *COMMON), recorder)

    # Training is bit for bit what it is without; the checkpoint holds both.
    assert column(rows, "train/loss") == column(plain_rows, "train/loss")
    assert_equal(read_weights(averaged, averaged=False), read_weights(plain))

    average = read_weights(averaged)
    assert_averaged(average, recorder.weights, 0.6)

    # Evaluation met the average.
    config = configure("run_name=again", *COMMON)
    trainer = build_trainer(config)
    model = trainer.state.model.model
    load_into(model, config.model, read(averaged))
    trainer.eval()
    again = trainer.state.eval_metric_values["loss"]
    assert column(rows, "validation/loss")[-1] == pytest.approx(float(again), rel=1e-7)
    assert column(plain_rows, "validation/loss")[-1] != pytest.approx(float(again), rel=1e-5)

    fit(configure("run_name=parts", "max_duration=7ba", "ema.decay=0.6", *COMMON))
    rest, parts = fit(configure("run_name=parts", "ema.decay=0.6", *COMMON))
    assert column(rest, "train/loss") == column(rows, "train/loss")
    assert_equal(read_weights(parts), average)
    assert_equal(read_weights(parts, averaged=False), read_weights(plain))


@pytest.mark.slow
def test_an_average_of_weights_in_bf16_is_kept_in_fp32(configure):
    recorder = Recorder()
    settings = ["precision=pure_bf16", "ema.decay=0.999", "max_duration=12ba", *COMMON]
    _, averaged = fit(configure("run_name=bf16", *settings), recorder)
    average = read_weights(averaged)
    assert_averaged(average, recorder.weights, 0.999)
    _, again = fit(configure("run_name=from", f"init_from={averaged}", *settings))
    assert read_weights(again).keys() == average.keys()


@pytest.mark.slow
def test_a_trained_run_in_shares_is_evaluated_by_its_average_again(tmp_path, yeast):
    here = [f"data.path={yeast}", f"runs_dir={tmp_path}", "max_duration=2ba", *COMMON]
    found = []
    for _ in range(2):
        done = on_two_ranks("train.py", TINY, *here, "parallelism=fsdp2", "ema.decay=0.6")
        assert done.returncode == 0, done.stderr
        found.append(json.loads((tmp_path / "tiny/evaluation/summary.json").read_text()))
    assert "trained to 2ba already" in done.stdout
    assert found[0] == found[1]
    assert "evaluating the moving average" in done.stderr
