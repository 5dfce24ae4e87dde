"""A training step with its last layer where a loss is read alone, against the whole of it."""

from unittest import mock

import pytest
import torch

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.places import asked_places
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.training.composer_model import GenomicModel

NETWORKS = {
    "bytenet": lambda: build_bytenet(ByteNetConfig(width=16, layers=4)),
    "transformer": lambda: build_transformer(
        TransformerConfig(
            width=16, layers=2, heads=2, mlp_width=16, conv_layers=1, attention=["local"]
        )
    ),
}


def batch(share: float) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(3, 7, (8, 128), dtype=torch.uint8)
    asked = torch.rand(ids.shape) < share
    weight = torch.where(torch.rand(ids.shape) < 0.3, 0.1, 1.0)
    return {
        "input_ids": ids,
        "labels": ids * asked,
        "soft_masked": asked & (weight < 1),
        "loss_weight": weight * asked,
        "stream": torch.arange(8) % 2,
    }


@pytest.mark.parametrize("share", [0.0, 0.15, 0.25])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_loss_and_gradients_are_the_whole_batchs(network, share, compiled):
    torch.manual_seed(0)
    model = GenomicModel(NETWORKS[network](), compiled=compiled, streams=2)
    given = batch(share)

    def step():
        model.zero_grad()
        outputs = model(given)
        outputs["loss"].backward()
        return outputs, [each.grad.clone() for each in model.parameters()]

    narrowed = step()
    seen = model.model.embed(given["input_ids"], None, None, asked_places(given["labels"]))
    assert len(seen) < given["labels"].numel() / 3
    with mock.patch("glm_composer.training.composer_model.asked_places", return_value=None):
        whole = step()
    torch.testing.assert_close(narrowed, whole, rtol=1e-5, atol=1e-6)


def test_of_windows_of_several_lengths_everything_is_computed_and_counts():
    model = GenomicModel(NETWORKS["transformer"]())
    given = batch(0.15)
    some = model.flops_per_batch(given)
    ragged = {**given, "length": torch.full((8,), 128)}
    assert some < model.flops_per_batch(ragged)
    assert model(given)["loss"].item() == pytest.approx(model(ragged)["loss"].item(), rel=1e-6)
