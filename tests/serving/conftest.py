"""A small model in a file."""

from pathlib import Path

import pytest
from small_models import BYTENET, network

from glm_composer.training.weights_file import Weights, write_weights_file


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    tensors = network().state_dict()
    write_weights_file(Weights(path=path, tensors=tensors, model=BYTENET), path)
    return path
