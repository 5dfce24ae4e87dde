"""What holds for every built-in model: shapes, types, initial weights, devices, gradients."""

import copy
import io
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.models.language_model import LanguageModel, initialise
from glm_composer.registry import models
from glm_composer.settings import structure

SMALL = {
    "bytenet": {"width": 16, "layers": 3},
    "transformer": {
        "width": 16,
        "layers": 3,
        "heads": 2,
        "mlp_width": 24,
        "attention": ["local", "global", "none"],
        "window": 4,
        "kv_heads": 1,
        "qk_norm": True,
        "stem_kernel": 5,
        "conv_layers": 1,
    },
}


def build(name: str, **changes: Any) -> LanguageModel:
    settings = structure(models.settings(name), {"name": name, **SMALL[name], **changes}, "test")
    torch.manual_seed(0)
    return models.get(name)(settings)


def random_ids(batch: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 7, (batch, length), generator=generator, dtype=torch.uint8)


def test_every_built_in_model_is_tested_here() -> None:
    assert set(SMALL) <= set(models.names())
    assert {name for name in models.names() if "glm_composer" in models.where(name)} == set(SMALL)


def test_it_is_embedding_encoder_norm_decoder() -> None:
    torch.manual_seed(0)
    model = LanguageModel(6, nn.Linear(6, 6), nn.LayerNorm(6))
    ids = random_ids(2, 5)
    hidden = torch.stack([model.embedding.weight[token] for token in ids.flatten().tolist()]).view(
        2, 5, 6
    )
    hidden = F.layer_norm(hidden @ model.encoder.weight.T + model.encoder.bias, [6])
    torch.testing.assert_close(model.embed(ids), hidden)
    torch.testing.assert_close(model(ids), hidden @ model.decoder.weight.T)


def test_initialise_draws_the_scaled_normal_and_leaves_convolutions() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 200), nn.Conv1d(4, 4, 3))
    convolution = encoder[2].weight.detach().clone()
    model = LanguageModel(200, encoder, nn.Identity())
    initialise(model, lambda name: 0.25 if name == "encoder.1" else 1.0)
    # 40,000 draws: their standard deviation is known to 0.35%.
    assert encoder[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert encoder[1].weight.std().item() == pytest.approx(0.005, rel=0.02)
    assert torch.equal(encoder[2].weight, convolution)
    assert model.embedding.weight[1:].std().item() == pytest.approx(0.02, rel=0.1)
    assert model.decoder.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.embedding.weight[sequence.PAD].count_nonzero() == 0


@pytest.mark.parametrize("name", SMALL)
class TestEveryModel:
    def test_logits_of_any_integer_type_are_the_same(self, name: str) -> None:
        model, ids = build(name), random_ids(2, 33)
        logits = model(ids)
        assert logits.shape == (2, 33, 7)
        assert logits.dtype == torch.float32
        for dtype in (torch.int8, torch.int32, torch.int64):
            assert torch.equal(model(ids.to(dtype)), logits)

    def test_untrained_logits_are_near_the_uniform_loss(self, name: str) -> None:
        ids = random_ids(8, 64)
        loss = F.cross_entropy(build(name)(ids).flatten(0, 1), ids.long().flatten())
        assert loss.item() == pytest.approx(math.log(7), abs=0.05)

    def test_rows_of_a_batch_do_not_see_each_other(self, name: str) -> None:
        model, ids = build(name), random_ids(3, 40)
        torch.testing.assert_close(model(ids)[1:2], model(ids[1:2]))

    @pytest.mark.parametrize("length", [1, 2, 7, 100])
    def test_any_length_keeps_its_length(self, name: str, length: int) -> None:
        assert build(name)(random_ids(1, length)).shape == (1, length, 7)

    def test_every_parameter_learns_but_the_pad_row_stays_zero(self, name: str) -> None:
        model = build(name)
        ids = torch.cat([random_ids(2, 50), torch.zeros(2, 5, dtype=torch.uint8)], dim=1)
        assert model.embedding.weight[sequence.PAD].count_nonzero() == 0
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.01)
        F.cross_entropy(model(ids).flatten(0, 1), ids.long().flatten()).backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.count_nonzero() > 0, parameter_name
        optimizer.step()
        assert model.embedding.weight[sequence.PAD].count_nonzero() == 0
        assert model.embedding.weight[sequence.A].count_nonzero() == 16

    def test_no_parameter_is_a_bias(self, name: str) -> None:
        names = [n for n, _ in build(name).named_parameters()]
        assert all(n.endswith("weight") for n in names)

    def test_same_seed_same_weights(self, name: str) -> None:
        first, second = build(name).state_dict(), build(name).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_builds_on_the_meta_device_and_takes_weights_there(self, name: str) -> None:
        with torch.device("meta"):
            empty = build(name)
        assert {p.device.type for p in empty.parameters()} == {"meta"}
        assert empty(random_ids(2, 9).to("meta")).shape == (2, 9, 7)
        filled = build(name)
        empty.load_state_dict(filled.state_dict(), assign=True)
        ids = random_ids(2, 9)
        assert torch.equal(empty(ids), filled(ids))

    def test_a_model_that_has_run_can_be_copied_and_saved(self, name: str) -> None:
        model, ids = build(name), random_ids(2, 30)
        logits = model(ids)
        assert torch.equal(copy.deepcopy(model)(ids), logits)
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        buffer.seek(0)
        other = build(name, layers=SMALL[name]["layers"])
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        other.load_state_dict(torch.load(buffer, weights_only=True))
        assert torch.equal(other(ids), logits)

    def test_trains_after_a_forward_pass_in_inference_mode(self, name: str) -> None:
        model, ids = build(name), random_ids(2, 30)
        with torch.inference_mode():
            before = model(ids)
        logits = model(ids)
        assert torch.equal(before, logits)
        logits.sum().backward()
        assert model.embedding.weight.grad is not None

    def test_bf16_autocast_is_close_to_fp32(self, name: str) -> None:
        model, ids = build(name), random_ids(2, 50)
        exact = model(ids)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(ids)
        assert rounded.dtype == torch.bfloat16
        assert (rounded.float() - exact).norm() / exact.norm() < 0.02

    def test_compiles_without_a_graph_break(self, name: str) -> None:
        model, ids = build(name), random_ids(2, 30)
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(ids), model(ids))
        torch.compiler.reset()

    def test_unknown_settings_are_refused(self, name: str) -> None:
        with pytest.raises(UserError, match="unknown key 'widht'; did you mean 'width'"):
            structure(models.settings(name), {"widht": 16}, "test")
