"""A causal model never looks ahead, all of it: by gradient, and with models that do as control."""

from typing import Any

import pytest
import torch
from torch import Tensor

from glm_composer.models.bytenet import ByteNetBlock, ByteNetConfig, build_bytenet
from glm_composer.models.convolution import Convolution
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import TransformerConfig, build_transformer

LENGTH = 40
OPTIONS = [
    {"attention": ["global"]},
    {"attention": ["local"], "window": 5, "kv_heads": 1},
    {"attention": ["none"], "stem_kernel": 7},
    {"attention": ["none"], "conv_layers": 2, "conv_kernel": 5},
    {"attention": ["local", "global", "none"], "window": 6, "stem_kernel": 5, "conv_layers": 1},
]


def build(**options: Any) -> LanguageModel:
    torch.manual_seed(0)
    small = {"width": 16, "layers": 3, "heads": 2, "mlp_width": 24}
    return build_transformer(TransformerConfig(**{**small, **options}))


def influence(model: LanguageModel) -> Tensor:
    """bool [LENGTH, LENGTH]: whether logits at i (rows) move with the embedding at j."""
    embedded = torch.randn(1, LENGTH, 16, generator=torch.Generator().manual_seed(0))
    embedded.requires_grad_()
    logits = model.decoder(model.norm(model.encoder(embedded)))
    # Random directions, so that no gradient cancels out.
    direction = torch.randn(7, generator=torch.Generator().manual_seed(1))
    rows = [
        torch.autograd.grad((logits[0, i] * direction).sum(), embedded, retain_graph=True)[0]
        for i in range(LENGTH)
    ]
    return torch.stack(rows)[:, 0].abs().sum(-1) > 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("backend", ["auto", "sdpa"])
def test_logits_never_depend_on_what_comes_after(options: dict[str, Any], backend: str) -> None:
    model = build(causal=True, backend=backend, **options)
    assert model.causal
    seen = influence(model)
    assert seen.diagonal().all()
    assert not seen.triu(1).any()
    # The control: the same model, not causal, looks ahead from everywhere but the end.
    looking = build(backend=backend, **options)
    assert not looking.causal
    assert influence(looking).diagonal(1).all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_prefix_has_the_logits_it_has_in_the_whole(options: dict[str, Any]) -> None:
    ids = torch.randint(3, 7, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    model = build(causal=True, **options)
    whole = model(ids)
    for length in (1, 2, 13):
        torch.testing.assert_close(model(ids[:, :length]), whole[:, :length])
    assert not torch.allclose(build(**options)(ids[:, :13]), build(**options)(ids)[:, :13])


def test_a_causal_convolution_by_hand() -> None:
    conv = Convolution(1, 3, dilation=2, causal=True)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[100.0, 10.0, 1.0]]]))
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).view(1, 5, 1)
    # The last tap is the position itself; the others 2 and 4 back, zeros before the start.
    assert conv(x)[0, :, 0].tolist() == [1, 2, 13, 24, 135]
    around = Convolution(1, 3, dilation=2)
    around.load_state_dict(conv.state_dict())
    assert around(x)[0, :, 0].tolist() == [13, 24, 135, 240, 350]


def test_bytenet_looks_to_both_sides() -> None:
    assert not build_bytenet(ByteNetConfig(width=16, layers=1)).causal
    assert not ByteNetBlock(8, 5, 1).conv.back
    assert influence(build_bytenet(ByteNetConfig(width=16, layers=3))).diagonal(1).all()
