"""Training from given weights: what init_from takes, and that a run's own checkpoint wins."""

import pytest
import torch

from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics
from glm_composer.settings import load
from glm_composer.training.build import build_trainer
from glm_composer.training.checkpoint import evaluate_checkpoint
from glm_composer.training.inputs import CONFIG_FILE, check_init
from glm_composer.training.record import write_record
from glm_composer.training.weights import export_gpn, import_gpn, read

BYTENET = [
    "model={name: bytenet, width: 16, layers: 2}",
    "scheduler={name: constant}",
    "save_interval=1ba",
    "eval_interval=10ba",
]


def fit(config):
    """Train; the final weights and the exact loss of each step."""
    trainer = build_trainer(config)
    write_record(config, 0)
    trainer.fit()
    weights = {name: tensor.clone() for name, tensor in trainer.state.model.state_dict().items()}
    trainer.close()
    rows = read_metrics(config.run_dir / "metrics.jsonl")
    return weights, {row["step"]: row["train/loss"] for row in rows}


def start(config):
    """The weights and the optimizer's state a run starts with."""
    trainer = build_trainer(config)
    state = trainer.state
    found = {name: tensor.clone() for name, tensor in state.model.model.state_dict().items()}
    assert state.timestamp.batch.value == 0
    assert not state.optimizers[0].state
    trainer.close()
    return found


@pytest.mark.slow
def test_every_form_starts_with_the_same_weights(configure, tmp_path):
    first = configure("run_name=first", "max_duration=2ba", *BYTENET)
    weights, _ = fit(first)
    export_gpn(first.run_dir, tmp_path / "gpn")
    import_gpn(tmp_path / "gpn", tmp_path / "imported.safetensors")
    forms = [
        first.run_dir,
        first.run_dir / "checkpoints/ep0-ba2-rank0.pt",
        tmp_path / "imported.safetensors",
        tmp_path / "gpn",
    ]
    for number, form in enumerate(forms):
        found = start(configure(f"run_name=form{number}", f"init_from={form}", *BYTENET))
        assert found.keys() == {name.removeprefix("model.") for name in weights}
        assert all(torch.equal(found[k.removeprefix("model.")], v) for k, v in weights.items())
    random = start(configure("run_name=random", *BYTENET))
    assert not torch.equal(random["decoder.weight"], weights["model.decoder.weight"])


@pytest.mark.slow
def test_a_resumed_run_does_not_start_over(configure):
    fit(configure("run_name=first", "max_duration=1ba", *BYTENET))
    source = configure("run_name=first").run_dir
    common = [f"init_from={source}", *BYTENET]
    weights, whole = fit(configure("run_name=whole", "max_duration=4ba", *common))
    fit(configure("run_name=parts", "max_duration=2ba", *common))
    # Gone since: the run's own checkpoint is all it needs.
    source.rename(source.with_name("moved"))
    config = configure("run_name=parts", "max_duration=4ba", *common)
    check_init(config)
    resumed, parts = fit(config)
    assert parts == whole
    assert all(torch.equal(resumed[name], tensor) for name, tensor in weights.items())
    assert load(type(config), config.run_dir / CONFIG_FILE).init_from == str(source)
    with pytest.raises(UserError, match="first: no such checkpoint"):
        check_init(configure("run_name=new", *common))


@pytest.mark.slow
def test_weights_of_another_model_stop_the_run(configure):
    fit(configure("run_name=first", "max_duration=1ba", *BYTENET))
    common = ["init_from=" + str(configure("run_name=first").run_dir), *BYTENET]
    with pytest.raises(UserError, match=r"model\.dilation_cycle is 8 there, 1 here"):
        build_trainer(configure("run_name=a", *common, "model.dilation_cycle=1"))
    with pytest.raises(UserError, match=r"encoder\.2\.conv\.weight is missing"):
        build_trainer(configure("run_name=b", *common, "model.layers=3"))


@pytest.mark.slow
def test_imported_weights_evaluate_without_a_run(configure, tmp_path, yeast):
    first = configure("run_name=first", "max_duration=2ba", *BYTENET)
    fit(first)
    export_gpn(first.run_dir, tmp_path / "gpn")
    yaml = first.run_dir / CONFIG_FILE
    own = evaluate_checkpoint(first.run_dir)
    results = evaluate_checkpoint(tmp_path / "gpn", ["run_name=imported"], yaml)
    assert results == tmp_path / "imported/evaluation/gpn"
    assert (results / "summary.json").read_text() == (own / "summary.json").read_text()
    record = {file: file.read_bytes() for file in (tmp_path / "imported").glob("*.*")}
    evaluate_checkpoint(tmp_path / "gpn", ["run_name=imported"], yaml)
    assert {file: file.read_bytes() for file in (tmp_path / "imported").glob("*.*")} == record
    with pytest.raises(UserError, match=r"imported: holds a run of other settings"):
        evaluate_checkpoint(tmp_path / "gpn", ["run_name=imported", "seed=5"], yaml)
    assert read(results.parent.parent / "../gpn").model == first.model
