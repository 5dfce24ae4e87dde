"""Windows of several lengths in a batch: each has what it has alone, and sees no other."""

import resource
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glm_composer.errors import UserError
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.packing import Packing
from glm_composer.models.transformer import TransformerConfig, build_transformer

LENGTHS = [9, 30, 1, 17, 0]
MIXED = {"attention": ["local", "global", "none"], "window": 4}
MODELS: dict[str, dict[str, Any]] = {
    "transformer": MIXED,
    "convolutions": {**MIXED, "stem_kernel": 5, "conv_layers": 1},
    "causal": {**MIXED, "stem_kernel": 5, "conv_layers": 1, "causal": True, "kv_heads": 1},
    "matmul": {**MIXED, "backend": "matmul", "qk_norm": True},
    "bytenet": {},
}


def build(name: str) -> LanguageModel:
    torch.manual_seed(0)
    if name == "bytenet":
        return build_bytenet(ByteNetConfig(width=16, layers=4, dilation_cycle=3))
    small = {"width": 16, "layers": 3, "heads": 2, "mlp_width": 24}
    return build_transformer(TransformerConfig(**small, **MODELS[name]))


def ragged_ids(lengths: list[int]) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor(lengths)
    shape = (len(lengths), max(lengths))
    ids = torch.randint(2, 7, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return torch.where(torch.arange(shape[1]) < sizes[:, None], ids, 0), sizes


def gradients(model: LanguageModel, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("name", MODELS)
class TestRagged:
    def test_a_window_has_the_logits_and_gradients_that_it_has_alone(self, name: str) -> None:
        model = build(name)
        ids, lengths = ragged_ids(LENGTHS)
        logits = model(ids, lengths)
        assert logits.shape == (5, 30, 7)
        together, alone = torch.zeros(()), torch.zeros(())
        for row, length in enumerate(LENGTHS):
            assert logits[row, length:].count_nonzero() == 0
            if length:
                single = model(ids[row : row + 1, :length])[0]
                torch.testing.assert_close(logits[row, :length], single, atol=1e-5, rtol=0)
                weight = torch.randn(length, 7, generator=torch.Generator().manual_seed(row))
                together = together + (logits[row, :length] * weight).sum()
                alone = alone + (single * weight).sum()
        pairs = zip(gradients(model, together), gradients(model, alone), strict=True)
        for got, want in pairs:
            # Sums over all positions, in another order.
            assert (got - want).norm() <= 1e-5 * want.norm()

    def test_windows_may_all_be_empty(self, name: str) -> None:
        model = build(name)
        logits = model(torch.zeros(2, 40, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
        assert logits.shape == (2, 40, 7)
        assert logits.count_nonzero() == 0
        logits.sum().backward()

    def test_no_gradient_goes_from_one_window_to_another(self, name: str) -> None:
        model = build(name)
        ids, lengths = ragged_ids(LENGTHS)
        # A table with a row for every position of the batch, so that each has its own gradient.
        model.embedding = nn.Embedding(ids.numel(), 16)
        own = torch.arange(ids.numel()).view(ids.shape)
        for row in (0, 1, 3):
            hidden = model.embed(own, lengths)
            (moved,) = torch.autograd.grad(hidden[row].square().sum(), [model.embedding.weight])
            by_window = moved.view(*ids.shape, 16).abs().sum(-1)
            assert by_window[row, : LENGTHS[row]].count_nonzero() == LENGTHS[row]
            assert by_window.count_nonzero() == LENGTHS[row]

    def test_lengths_that_are_all_the_same_change_nothing(self, name: str) -> None:
        model = build(name)
        ids, lengths = ragged_ids([20, 20])
        torch.testing.assert_close(model(ids, lengths), model(ids), atol=1e-5, rtol=0)


def test_without_lengths_padding_is_seen() -> None:
    # The control of the tests above.
    model = build("convolutions")
    ids, lengths = ragged_ids([9, 30])
    assert not torch.allclose(model(ids)[0, :9], model(ids, lengths)[0, :9], atol=1e-4)


def test_packing_by_hand() -> None:
    packing = Packing.of(torch.tensor([2, 0, 3], dtype=torch.uint8), 4)
    assert packing.cu_seqlens.tolist() == [0, 2, 2, 5]
    assert packing.cu_seqlens.dtype == torch.int32
    assert packing.index.tolist() == [0, 1, 8, 9, 10]
    assert packing.position.tolist() == [0, 1, 0, 1, 2]
    assert packing.window.tolist() == [0, 0, 2, 2, 2]
    padded = torch.arange(12).view(3, 4)
    assert packing.unpad(padded).tolist() == [0, 1, 8, 9, 10]
    assert packing.pad(packing.unpad(padded)).tolist() == [[0, 1, 0, 0], [0] * 4, [8, 9, 10, 0]]
    assert packing.real.tolist() == [[True, True, False, False], [False] * 4, [True] * 3 + [False]]


@pytest.mark.parametrize(("length", "said"), [(5, "5"), (-1, "-1")])
def test_a_length_out_of_range_names_the_window(length: int, said: str) -> None:
    with pytest.raises(UserError, match=f"window 1 of the batch has length {said}; .* 0 to the 4"):
        Packing.of(torch.tensor([4, length, 7]), 4)


def test_an_encoder_that_cannot_take_them_says_so() -> None:
    model = LanguageModel(6, nn.Linear(6, 6), nn.LayerNorm(6))
    with pytest.raises(UserError, match=r"encoder \(Linear\) takes windows of one length only"):
        model(torch.zeros(2, 5, dtype=torch.uint8), torch.tensor([5, 3]))


@pytest.mark.slow
def test_a_window_of_8192_in_memory_that_grows_with_its_length() -> None:
    torch.manual_seed(0)
    model = build_transformer(
        TransformerConfig(width=16, layers=1, heads=2, mlp_width=16, attention=["local"])
    )
    model(torch.full((1, 512), 3)).sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ids = torch.full((2, 8192), 3, dtype=torch.uint8)
    logits = model(ids, torch.tensor([8192, 600]))
    logits.sum().backward()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert logits.isfinite().all()
    # Scores of 2 heads x 8,792 positions x 192 in fp32 are 13.5 MB, those of one full square of
    # 8,192 would be 537 MB.
    assert grown < 150e6


@pytest.mark.slow
def test_compiled_it_is_the_same_with_one_break_and_few_compilations() -> None:
    # Here: importing it costs seconds.
    from torch._dynamo.utils import counters

    model = build("causal")
    torch.compiler.reset()
    counters.clear()
    compiled = torch.compile(model.embed, backend="aot_eager")
    for seed in range(4):
        lengths = [20 + seed, *torch.randint(1, 20, (3,)).tolist()]
        ids, sizes = ragged_ids(lengths)
        torch.testing.assert_close(compiled(ids, sizes), model.embed(ids, sizes))
    assert len(counters["graph_break"]) == 1
    assert "nonzero" in next(iter(counters["graph_break"]))
    torch.compiler.reset()
