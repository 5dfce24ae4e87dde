"""The same weights in gpn 0.9.0 and here give the same logits, both ways."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from glm_composer import sequence
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.gpn_format import gpn_names
from glm_composer.models.language_model import LanguageModel
from glm_composer.training.weights import export_gpn, load_into, read
from glm_composer.training.weights_file import Weights, write_weights_file

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
OURS = ByteNetConfig(width=32, layers=11, first_kernel=7, kernel=3, dilation_cycle=5)

pytestmark = pytest.mark.slow


def logits(network: LanguageModel, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return network.eval()(tokens)


@pytest.fixture(scope="module")
def ours() -> LanguageModel:
    torch.manual_seed(1)
    network = build_bytenet(OURS)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    return network


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """Four windows of 300 letters in either case, with runs of N."""
    letters = np.frombuffer(b"ACGTacgtNn", dtype=np.uint8)
    found = np.random.default_rng(0).choice(letters, (4, 300))
    found[1, 40:60] = ord("N")
    return found


@pytest.fixture(scope="module")
def seen(
    ours: LanguageModel, windows: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Tensor]]:
    """The exchange directory, and what gpn left in it."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    made = subprocess.run(
        [sys.executable, REPOSITORY / "tools/gpn_venv.py"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(made.stderr.strip())
    directory = tmp_path_factory.mktemp("gpn")
    file = directory / "ours.safetensors"
    write_weights_file(Weights(path=file, tensors=ours.state_dict(), model=OURS), file)
    export_gpn(file, directory / "exported")
    lines = [bytes(window).decode() for window in windows]
    lines[2] = lines[2][:150] + "[MASK]" + lines[2][151:]
    (directory / "sequences.txt").write_text("\n".join(lines))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [made.stdout.strip(), HERE / "gpn_side.py", directory],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return directory, load_file(directory / "seen.safetensors")


def test_its_loader_gives_our_ids(seen, windows) -> None:
    expected = sequence.encode(windows)
    expected[2, 150] = sequence.MASK
    assert seen[1]["tokens"].tolist() == expected.tolist()


def test_exported_weights_give_the_same_logits_there(seen, ours) -> None:
    found = seen[1]
    torch.testing.assert_close(logits(ours, found["tokens"]), found["exported"], atol=1e-5, rtol=0)
    assert found["exported"].std() > 0.01


def test_its_weights_give_the_same_logits_here(seen) -> None:
    directory, found = seen
    weights = read(directory / "reference")
    assert weights.model == ByteNetConfig(width=24, layers=10, dilation_cycle=4)
    network = build_bytenet(weights.model)
    load_into(network, weights.model, weights)
    here = logits(network, found["tokens"])
    torch.testing.assert_close(here, found["reference"], atol=1e-5, rtol=0)
    # The negative control: one dilation cycle more, and they differ.
    other = build_bytenet(ByteNetConfig(width=24, layers=10, dilation_cycle=5))
    other.load_state_dict(weights.tensors)
    assert (logits(other, found["tokens"]) - here).abs().max() > 1e-3


def test_size_and_fresh_weights_are_its_own(seen) -> None:
    found = seen[1]
    with torch.device("meta"):
        full = build_bytenet(ByteNetConfig())
    assert found["parameters"] == sum(p.numel() for p in full.parameters()) == 152_189_952
    torch.manual_seed(0)
    network = build_bytenet(ByteNetConfig(width=256, layers=2)).state_dict()
    for name, theirs in gpn_names(2).items():
        here, there = network[name], found[f"fresh.{theirs}"]
        assert here.shape == there.shape
        # Some have 1,792 entries: their spread is known to 1.7%.
        assert here.std().item() == pytest.approx(there.std().item(), rel=0.1, abs=1e-9), name
        assert here.abs().max().item() == pytest.approx(there.abs().max().item(), rel=0.4), name
    assert not found["fresh.model.embeddings.word_embeddings.weight"][sequence.PAD].any()
    assert not network["embedding.weight"][sequence.PAD].any()
