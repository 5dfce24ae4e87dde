"""What is computed once a token against the same computed base by base, forward and backward."""

import pytest
import torch
from torch import nn

from glm_composer import sequence
from glm_composer.models.bytenet import ByteNetBlock, ByteNetConfig, build_bytenet
from glm_composer.models.convolution import Convolution
from glm_composer.models.language_model import LanguageModel, Layers
from glm_composer.models.tokens import Tokens, each, states
from glm_composer.models.transformer import TransformerConfig
from glm_composer.registry import models

ROPE = {"width": 8, "layers": 2, "heads": 2, "mlp_width": 12, "backend": "sdpa"}
MODELS = {
    "bytenet": ByteNetConfig(width=8, layers=3),
    "one layer": ByteNetConfig(width=8, layers=1),
    "stem": TransformerConfig(**ROPE, stem_kernel=5),
    "convolutions": TransformerConfig(**ROPE, conv_layers=2),
    "causal": TransformerConfig(**ROPE, causal=True, conv_layers=1),
    "attention": TransformerConfig(**ROPE),
}


def build(name: str) -> LanguageModel:
    torch.manual_seed(0)
    config = MODELS[name]
    return models.get(config.name)(config).double()


class OtherEmbedding(nn.Embedding):
    """Whose hidden states are no matter of the token alone, for all that the model knows."""


def naive(model: LanguageModel) -> LanguageModel:
    """The same weights, every layer computed on hidden states."""
    other = OtherEmbedding(*model.embedding.weight.shape, padding_idx=sequence.PAD).double()
    other.weight = model.embedding.weight
    model.embedding = other
    assert not list(model.tabled())
    return model


def windows() -> torch.Tensor:
    """All seven tokens, padding among them."""
    ids = torch.randint(7, (3, 40), generator=torch.Generator().manual_seed(1))
    return ids.to(torch.uint8)


CALLS = {
    "whole": (None, None, None),
    "ragged": (torch.tensor([40, 9, 0]), None, None),
    "position": (None, 20, None),
    "edge": (None, 0, None),
    "places": (None, None, torch.tensor([0, 39, 40, 77, 119])),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_all_that_is_computed_of_tokens_is_what_hidden_states_give(name: str, call: str) -> None:
    model, ids = build(name), windows()
    assert bool(list(model.tabled())) == (name != "attention")
    found = []
    for each_model in (model, naive(build(name))):
        hidden = each_model.embed(ids, *CALLS[call])
        weight = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2)).double()
        (hidden * weight).sum().backward()
        # The decoder has no part in it.
        gradients = {k: p.grad for k, p in each_model.named_parameters() if p.grad is not None}
        found.append({"hidden": hidden, **gradients})
    assert len(found[1]) == len(list(model.parameters()))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)
    assert not found[0]["embedding.weight"][sequence.PAD].any()


def test_single_precision_agrees_to_1e_5() -> None:
    config = ByteNetConfig(width=256, layers=2)
    torch.manual_seed(0)
    model = build_bytenet(config)
    ids = torch.randint(7, (2, 512))
    fast = model.embed(ids)
    torch.testing.assert_close(fast, naive(model.double()).embed(ids).float(), rtol=0, atol=1e-5)


def test_the_first_layers_work_is_spared() -> None:
    model, ids, seen = build_bytenet(ByteNetConfig(width=8, layers=2)), windows(), {}
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda module, given, out, name=name: seen.update({name: tuple(out.shape)})
        )
    model(ids)
    assert seen["encoder.0.reduce"] == (7, 4)
    assert seen["encoder.0.conv"] == seen["encoder.1.reduce"] == (3, 40, 4)


class OwnBlock(ByteNetBlock):
    """A layer that knows hidden states alone, as a plugin may have it."""

    def forward(self, x: torch.Tensor, packing: object = None) -> torch.Tensor:  # type: ignore
        return 2 * super().forward(x)


class OwnLayers(Layers):
    def forward(self, x: torch.Tensor, packing: object = None) -> torch.Tensor:  # type: ignore
        return super().forward(2 * x)


class OwnConvolution(Convolution):
    def forward(self, x: torch.Tensor, *others: object) -> torch.Tensor:  # type: ignore
        return super().forward(2 * x)


def test_what_has_a_forward_pass_of_its_own_gets_hidden_states() -> None:
    blocks = [ByteNetBlock(8, 3, 1) for _ in range(3)]
    blocks[0].conv = OwnConvolution(4, 3)
    blocks[1].reduce = nn.Sequential(nn.Dropout(0.5), blocks[1].reduce)
    blocks[2].norm_in = nn.BatchNorm1d(40)
    for encoder in (
        Layers([OwnBlock(8, 3, 1)]),
        OwnLayers([ByteNetBlock(8, 3, 1)]),
        *(Layers([block]) for block in blocks),
    ):
        model = LanguageModel(8, encoder, nn.LayerNorm(8))
        assert not list(model.tabled())
        assert model.embed(windows()).shape == (3, 40, 8)


@pytest.mark.parametrize("name", ["bytenet", "attention"])
def test_an_id_that_is_no_token_is_an_error(name: str) -> None:
    ids = windows()
    ids[1, 7] = 7
    with pytest.raises(IndexError):
        build(name)(ids)


def test_tokens_are_hidden_states() -> None:
    table = torch.randn(7, 6)
    ids = windows().int()
    tokens = Tokens(ids, table)
    torch.testing.assert_close(states(tokens), table[ids], rtol=0, atol=0)
    torch.testing.assert_close(states(each(torch.exp, tokens)), table[ids].exp(), rtol=0, atol=0)
    assert states(table) is table
    torch.testing.assert_close(each(torch.exp, table), table.exp())
    few = tokens.some(lambda x: x[:, 3:9:2])
    torch.testing.assert_close(few.states(), table[ids[:, 3:9:2]], rtol=0, atol=0)
