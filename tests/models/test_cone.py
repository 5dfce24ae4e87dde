"""One position of a window, computed from what it depends on, against the whole window's."""

import pytest
import torch

from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.cone import Grid, Narrowing, narrowings
from glm_composer.models.convolution import Convolution
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer


def bytenet(**settings: int) -> LanguageModel:
    torch.manual_seed(0)
    model = build_bytenet(ByteNetConfig(**{"width": 8, **settings})).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({"layers": 8}, 512),
        ({"layers": 3}, 40),  # a cone that leaves out the window's ends
        ({"layers": 12}, 100),
        ({"layers": 19, "dilation_cycle": 3, "kernel": 3}, 77),
        ({"layers": 9}, 20),  # dilations longer than the window
        ({"layers": 2, "first_kernel": 1, "kernel": 1}, 5),
        ({"layers": 4}, 1),
    ],
)
def test_one_position_is_what_the_whole_window_has_there(
    settings: dict[str, int], length: int
) -> None:
    model = bytenet(**settings)
    ids = torch.randint(1, 7, (2, length), generator=torch.Generator().manual_seed(1))
    whole = model.embed(ids)
    for position in {0, 1 % length, length // 3, max(length // 2 - 1, 0), length // 2, length - 1}:
        found = model.embed(ids, None, position)
        torch.testing.assert_close(found, whole[:, position], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("attention", ["local", "none"])
def test_other_encoders_have_one_position_too(causal: bool, attention: str) -> None:
    settings = TransformerConfig(
        width=8,
        layers=2,
        heads=2,
        mlp_width=8,
        attention=[attention],
        stem_kernel=3,
        causal=causal,
    )
    model = build_transformer(settings)
    ids = torch.randint(1, 7, (2, 30), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model.embed(ids, None, 11), model.embed(ids)[:, 11])
    lengths = torch.tensor([30, 12])
    torch.testing.assert_close(model.embed(ids, lengths, 11), model.embed(ids, lengths)[:, 11])
    whole = LanguageModel(8, torch.nn.Identity(), torch.nn.LayerNorm(8))
    torch.testing.assert_close(whole.embed(ids, None, 11), whole.embed(ids)[:, 11])


@pytest.mark.parametrize("causal", [False, True])
def test_a_narrowed_convolution_by_its_own_outputs(causal: bool) -> None:
    torch.manual_seed(0)
    conv = Convolution(4, 3, dilation=4, causal=causal).double()
    x = torch.randn(2, 40, 4, dtype=torch.float64)
    start, narrowing = narrowings([conv.taps], 40, 10)
    assert start is not None
    assert narrowing is not None
    assert start.target == narrowing.source == Grid(2 if causal else 6, 4, 3)
    narrowed = conv(start.take(x), None, narrowing)
    torch.testing.assert_close(narrowed, conv(x)[:, 10:11])


def test_gpns_last_cycle_halves_its_positions_layer_by_layer() -> None:
    taps = [layer.taps for layer in bytenet(layers=16).encoder]
    plan = narrowings(taps, 512, 255)
    # Before the last layer of the first cycle nothing can be left out.
    assert plan[:9] == [None] * 9
    assert plan[9] == Narrowing(Grid(0, 1, 512), Grid(1, 2, 256))
    counts = [each.target.count for each in plan[9:] if each]
    assert counts == [256, 128, 64, 32, 16, 8, 4, 1]
