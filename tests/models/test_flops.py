"""FLOPs by formula against torch's counter, which watches the products that are computed."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from glm_composer.models.bytenet import ByteNetConfig
from glm_composer.models.flops import forward_flops, training_flops
from glm_composer.models.tokens import CHANNELS
from glm_composer.models.transformer import TransformerConfig, build_transformer
from glm_composer.registry import models
from glm_composer.sequence import VOCAB_SIZE

LENGTH = 100
ROPE = {"width": 24, "layers": 3, "heads": 2, "mlp_width": 40}
CASES = {
    "global": TransformerConfig(**ROPE, backend="sdpa"),
    "convolutions": TransformerConfig(
        **ROPE, backend="sdpa", attention=["none", "global"], conv_layers=2, stem_kernel=9
    ),
    "bytenet": ByteNetConfig(width=24, layers=5),
}


def build(config):
    return models.get(config.name)(config)


def counted(model, backward=False) -> int:
    """Of a window more, without the table look-up that is a product on a CPU."""
    totals = []
    for windows in (2, 3):
        ids = torch.randint(VOCAB_SIZE, (windows, LENGTH))
        # A flash kernel computes its scores again in the backward pass.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            logits = model(ids)
            if backward:
                logits.sum().backward()
        totals.append(counter.get_total_flops())
    look_up = 2 * LENGTH * CHANNELS * model.width if list(model.tabled()) else 0
    return totals[1] - totals[0] - (2 * look_up if backward else look_up)


@pytest.mark.parametrize("name", CASES)
def test_flops_are_those_that_torch_counts(name):
    model = build(CASES[name])
    assert forward_flops(model, LENGTH) == counted(model)


def test_of_a_band_only_what_is_needed_counts():
    local = {**ROPE, "attention": ["local"], "window": 8}
    band = build(TransformerConfig(**local, backend="banded"))
    # What lies outside of the band in its blocks is computed, but less than the whole square.
    assert forward_flops(band, LENGTH) < counted(band) < counted(build(CASES["global"]))


@pytest.mark.parametrize("name", ["global", "bytenet"])
def test_of_a_training_step_all_counts(name):
    model = build(CASES[name])
    assert training_flops(model, LENGTH) == counted(model, backward=True)


@pytest.mark.parametrize("window", [1, 16, 98, 99, 200])
def test_needed_attention_is_a_count_of_visible_pairs(window):
    config = TransformerConfig(**ROPE, backend="banded", attention=["local"], window=window)
    model = build_transformer(config)
    position = torch.arange(LENGTH)
    pairs = int(((position[:, None] - position).abs() <= window).sum())
    products = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))
    expected = 2 * LENGTH * products + 3 * 4 * pairs * config.width
    assert forward_flops(model, LENGTH) == expected


def test_a_base_encoder_costs_what_is_published_for_its_size():
    # 6 FLOPs a parameter and base, and 12 x layers x width x length of attention.
    config = TransformerConfig()
    model = build_transformer(config)
    parameters = sum(p.numel() for p in model.parameters())
    rule = 512 * (6 * parameters + 12 * config.layers * config.width * 512)
    assert training_flops(model, 512) == pytest.approx(rule, rel=1e-3)
