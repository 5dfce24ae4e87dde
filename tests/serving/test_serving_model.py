"""Loading models for scoring: every form gives the same model, and what cannot be is refused."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_models import network, write_run

from glm_composer.conversion.manifest import read_manifest
from glm_composer.errors import UserError
from glm_composer.serving.model import load_model
from glm_composer.training.weights import export_gpn

IDS = np.random.default_rng(0).integers(3, 7, (5, 40)).astype(np.uint8)
AT = np.array([3, 20, 39, 0, 11])


def test_every_form_is_the_same_model(tmp_path, weights_file):
    export_gpn(weights_file, tmp_path / "gpn.v1")
    run = write_run(tmp_path / "run", window=96)
    forms = {
        run: ("run/ep0-ba7-rank0", 96),
        run / "checkpoints/ep0-ba7-rank0.pt": ("run/ep0-ba7-rank0", 96),
        weights_file: ("small", 512),
        tmp_path / "gpn.v1": ("gpn.v1", 512),
    }
    with torch.no_grad():
        logits = network()(torch.from_numpy(IDS))
    expected = logits[torch.arange(5), torch.from_numpy(AT), 3:].numpy()
    digests = set()
    for form, (name, window) in forms.items():
        model = load_model(form, batch_size=8)
        assert (model.name, model.window, model.causal) == (name, window, False)
        np.testing.assert_allclose(model.predictor.at(IDS, AT), expected, rtol=1e-5, atol=1e-6)
        digests.add((model.digest, model.settings))
    assert len(digests) == 1
    assert load_model(run, window=70).window == 70


def test_weights_that_are_not_finite_are_named(tmp_path, weights_file):
    tensors = load_file(weights_file)
    name = sorted(tensors)[2]
    tensors[name].view(-1)[5] = math.nan
    with safe_open(weights_file, "pt") as file:
        save_file(tensors, tmp_path / "diverged.safetensors", file.metadata())
    with pytest.raises(UserError, match=f"diverged.safetensors: 1 of .* the first is {name}"):
        load_model(tmp_path / "diverged.safetensors")


def test_the_average_is_served_where_there_is_one(tmp_path):
    averaged = load_model(write_run(tmp_path / "averaged", seed=0, average=1, window=40))
    assert averaged.digest == load_model(write_run(tmp_path / "one", seed=1, window=40)).digest
    assert averaged.digest != load_model(write_run(tmp_path / "zero", seed=0, window=40)).digest


def test_precision_is_chosen_where_it_is_served(tmp_path, weights_file):
    exact = load_model(weights_file).predictor.at(IDS, AT)
    rough = load_model(weights_file, precision="bf16").predictor.at(IDS, AT)
    assert rough.dtype == np.float32
    error = np.abs(exact - rough).max()
    assert 0 < error < 0.05 * np.abs(exact).max()


def test_a_run_without_a_window_asks_its_dataset(tmp_path, yeast):
    run = write_run(tmp_path / "run", path=str(yeast))
    assert load_model(run).window == read_manifest(yeast).window_length
    gone = write_run(tmp_path / "gone")
    with pytest.raises(
        UserError, match=r"gone/config.yaml: says no data.window.*say with --window"
    ):
        load_model(gone)
    assert load_model(gone, window=64).window == 64
    # What training leaves there; see test_train.
    gone.joinpath("environment.json").write_text('{"window": 96}')
    assert load_model(gone).window == 96
    gone.joinpath("environment.json").write_text("{")
    with pytest.raises(UserError, match=r"gone/environment.json: cannot be read"):
        load_model(gone)


def test_a_checkpoint_of_no_run_is_refused(tmp_path):
    file = write_run(tmp_path / "run") / "checkpoints/ep0-ba7-rank0.pt"
    file.rename(tmp_path / "alone.pt")
    with pytest.raises(UserError, match=r"alone.pt: nothing says of which architecture"):
        load_model(tmp_path / "alone.pt")
    with pytest.raises(UserError, match="no such checkpoint"):
        load_model(tmp_path / "absent.pt")


@pytest.mark.slow
def test_loading_imports_no_composer(weights_file):
    code = (
        "import sys; from glm_composer.serving.model import load_model;"
        f"load_model({str(weights_file)!r});"
        "print({'composer', 'streaming', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
