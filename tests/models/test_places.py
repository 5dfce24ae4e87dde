"""The last layer where a loss is read alone, against the whole of it, forward and backward."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glm_composer.models.bytenet import ByteNetConfig
from glm_composer.models.convolution import Convolution
from glm_composer.models.flops import forward_flops
from glm_composer.models.language_model import LanguageModel, Layers
from glm_composer.models.places import Places, asked_places
from glm_composer.models.tokens import CHANNELS
from glm_composer.models.transformer import Block, TransformerConfig
from glm_composer.registry import models
from glm_composer.sequence import PAD

ROPE = {"width": 8, "layers": 2, "heads": 2, "mlp_width": 12}
MODELS = {
    "bytenet": ByteNetConfig(width=8, layers=3),
    "bytenet, dilations beyond the window": ByteNetConfig(width=8, layers=8),
    "bytenet, kernel of one": ByteNetConfig(width=8, layers=2, kernel=1),
    "local": TransformerConfig(**ROPE, attention=["local"], window=3, conv_layers=1),
    "causal": TransformerConfig(**ROPE, causal=True, stem_kernel=3, conv_layers=2),
    "no attention": TransformerConfig(**ROPE, attention=["none"], conv_layers=2),
    "qk": TransformerConfig(**ROPE, qk_norm=True, kv_heads=1),
}


def build(name: str) -> LanguageModel:
    torch.manual_seed(0)
    config = MODELS[name]
    return models.get(config.name)(config).double()


def draw(share: float, shape: tuple[int, int] = (3, 48)) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows, and labels for a share of their positions."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 7, shape, generator=generator)
    return ids, torch.where(torch.rand(shape, generator=generator) < share, ids, PAD)


@pytest.mark.parametrize("name", MODELS)
def test_places_have_what_the_whole_window_has_there(name: str) -> None:
    model = build(name)
    ids, labels = draw(0.15)
    places = asked_places(labels)
    assert places is not None
    gradients = []
    for found in (model.embed(ids, None, None, places), model.embed(ids).flatten(0, 1)[places]):
        weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(2)).double()
        model.zero_grad()
        (found * weight).sum().backward()
        gradients.append([found, *(each.grad for each in model.encoder.parameters())])
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_other_encoders_and_windows_of_several_lengths_have_places_too() -> None:
    ids, _ = draw(0.15)
    places = torch.tensor([140, 0, 47, 48, 60])
    model = LanguageModel(8, torch.nn.Identity(), torch.nn.LayerNorm(8))
    torch.testing.assert_close(
        model.embed(ids, None, None, places), model.embed(ids).flatten(0, 1)[places]
    )
    ragged, lengths = build("local"), torch.tensor([48, 20, 1])
    torch.testing.assert_close(
        ragged.embed(ids, lengths, None, places), ragged.embed(ids, lengths).flatten(0, 1)[places]
    )


class OwnForward(Block):
    """A layer that knows nothing of places, as a plugin may have it."""

    def forward(self, x: torch.Tensor, packing: object = None) -> torch.Tensor:  # type: ignore
        return x - super().forward(x)


class OwnLayers(Layers):
    def forward(self, x: torch.Tensor, packing: object = None) -> torch.Tensor:  # type: ignore
        return x - super().forward(x)


class OwnMlp(torch.nn.Linear):
    def forward(self, x: torch.Tensor, packing: object = None) -> torch.Tensor:  # type: ignore
        return super().forward(x).roll(1, 1)


def test_what_has_a_forward_pass_of_its_own_is_computed_whole() -> None:
    ids, labels = draw(0.15)
    places = asked_places(labels)
    config = TransformerConfig(**ROPE)
    layer, other = OwnForward(config, 0), Block(config, 0)
    other.branches[-1] = OwnMlp(8, 8)
    for encoder in (Layers([layer]), OwnLayers([Block(config, 0)]), Layers([other])):
        model = LanguageModel(8, encoder, torch.nn.LayerNorm(8)).double()
        whole = model.embed(ids)
        torch.testing.assert_close(
            model.embed(ids, None, None, places), whole.flatten(0, 1)[places]
        )
        torch.testing.assert_close(model.embed(ids, None, 47), whole[:, 47])


def test_a_position_beyond_the_window_is_no_other_windows() -> None:
    ids, _ = draw(0.15)
    with pytest.raises(IndexError):
        build("local").embed(ids[-1:], None, 48)
    assert build("local").embed(ids[:0], None, 3).shape == (0, 8)


@pytest.mark.parametrize("kernel", [5, 31])
def test_many_places_of_a_long_kernel_are_taken_of_the_whole(kernel: int) -> None:
    conv = Convolution(4, kernel).double()
    x = torch.randn(2, 64, 4, dtype=torch.float64)
    places = Places(torch.arange(0, 128, 3), 64)
    torch.testing.assert_close(conv(x, None, places)[0], conv(x).flatten(0, 1)[::3])


@pytest.mark.parametrize("share", [0.0, 0.15, 0.25, 0.4])
def test_all_that_is_asked_is_among_the_places_once(share: float) -> None:
    _, labels = draw(share, (16, 512))
    places = asked_places(labels)
    assert places is not None
    assert len(places.unique()) == len(places)
    assert set((labels != PAD).flatten().nonzero()[:, 0].tolist()) <= set(places.tolist())
    # Batches that differ in how much they ask for do not differ in shape.
    others = [draw(share, (16, 512))[1].flip(turn) for turn in (0, 1)]
    assert [asked_places(each).shape for each in others] == [places.shape] * 2


def test_where_half_is_asked_for_everything_is_computed() -> None:
    assert asked_places(draw(0.5)[1]) is None
    assert asked_places(draw(1.0)[1]) is None
    assert asked_places(torch.zeros(0, 8)) is not None


@pytest.mark.parametrize("name", ["bytenet", "no attention"])
def test_flops_are_those_that_torch_counts(name: str) -> None:
    model = build(name)
    totals, share = [], 3 / 16
    for windows in (2, 3):
        ids, labels = draw(0.15, (windows, 160))
        places = asked_places(labels)
        assert places is not None
        assert len(places) / ids.numel() == share
        with FlopCounterMode(display=False) as counter:
            model.decoder(model.embed(ids, None, None, places))
        totals.append(counter.get_total_flops())
    # A CPU's table look-up is a product.
    look_up = 2 * 160 * CHANNELS * model.width
    assert forward_flops(model, 160, share) == totals[1] - totals[0] - look_up
    assert forward_flops(model, 160, share) < 0.85 * forward_flops(model, 160)
