"""A step whose last layer is computed where a loss is read, compiled or not, against the whole."""

from unittest import mock

import pytest
import torch

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.language_model import LanguageModel
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
    built = NETWORKS[network]()
    given = batch(share)

    def step(compiled=False):
        model = GenomicModel(built, compiled=compiled, streams=2)
        model.zero_grad()
        outputs = model(given)
        outputs["loss"].backward()
        return outputs, [each.grad.clone() for each in model.parameters()]

    outputs, gradients = step(compiled)
    seen = built.embed(given["input_ids"], None, None, asked_places(given["labels"]))
    assert len(seen) < given["labels"].numel() / 3
    with mock.patch("glm_composer.training.composer_model.asked_places", return_value=None):
        whole, expected = step()
    # Inductor has an erf of its own.
    most = 1e-4 if compiled else 2e-6
    torch.testing.assert_close(outputs, whole, rtol=most, atol=0)
    for one, other in zip(gradients, expected, strict=True):
        assert (one - other).norm() <= most * other.norm()


class OwnEmbed(LanguageModel):
    """A network that knows nothing of places, as a plugin may have it."""

    def embed(self, ids, lengths=None, position=None):
        return super().embed(ids, lengths, position)


def test_a_network_that_embeds_in_its_own_way_and_one_elsewhere_are_computed_whole():
    built = NETWORKS["bytenet"]()
    own = OwnEmbed(built.width, built.encoder, built.norm)
    own.embedding, own.decoder = built.embedding, built.decoder
    given = batch(0.15)
    loss = GenomicModel(built)(given)["loss"].item()
    assert GenomicModel(own)(given)["loss"].item() == pytest.approx(loss, rel=1e-6)
    whole = GenomicModel(own).flops_per_batch(given)
    assert GenomicModel(built).flops_per_batch(given) < whole
    # Composer hands a loader's batch to what counts, wherever the network is.
    assert GenomicModel(built.to("meta")).flops_per_batch(given) == whole


def test_of_windows_of_several_lengths_everything_is_computed_and_counts():
    model = GenomicModel(NETWORKS["transformer"]())
    given = batch(0.15)
    some = model.flops_per_batch(given)
    ragged = {**given, "length": torch.full((8,), 128)}
    assert some < model.flops_per_batch(ragged)
    assert model(given)["loss"].item() == pytest.approx(model(ragged)["loss"].item(), rel=1e-6)
