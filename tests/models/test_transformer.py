"""The RoPE encoder: rotation, size, locality and arithmetic."""

import cmath
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glm_composer.models.attention import Backend
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import (
    SelfAttention,
    Stem,
    SwiGLU,
    TransformerConfig,
    build_transformer,
    rotary_tables,
    rotate,
)


def build(**settings: Any) -> LanguageModel:
    small = {"width": 16, "layers": 2, "heads": 2, "mlp_width": 24, "window": 5}
    torch.manual_seed(0)
    return build_transformer(TransformerConfig(**{**small, **settings}))


def reach(module: nn.Module, length: int, position: int, width: int = 16) -> list[int]:
    """Positions whose input moves the module's output at `position`, by gradient."""
    x = torch.randn(1, length, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    module(x)[0, position].square().sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(-1).nonzero().flatten().tolist()


def around(position: int, radius: int) -> list[int]:
    return list(range(position - radius, position + radius + 1))


def naive_rotate(vector: list[float], position: int, base: float) -> list[float]:
    """Pairs (i, i + half) as complex numbers times exp(i position theta), Su et al. 2021."""
    half = len(vector) // 2
    turned = [
        complex(vector[i], vector[i + half])
        * cmath.exp(1j * position * base ** (-2 * i / len(vector)))
        for i in range(half)
    ]
    return [z.real for z in turned] + [z.imag for z in turned]


@pytest.mark.parametrize("base", [100.0, 10_000.0, 160_000.0])
def test_rotation_equals_complex_multiplication(base: float) -> None:
    torch.manual_seed(0)
    # Far positions too: angles in float32 would be off by percents there.
    length = 100_001
    cos, sin = rotary_tables(length, 8, base)
    assert cos.shape == sin.shape == (length, 1, 4)
    for position in (0, 1, 2, 511, 100_000):
        x = torch.randn(1, 1, 3, 8)
        got = rotate(x, cos[position : position + 1], sin[position : position + 1])
        want = torch.tensor([naive_rotate(head.tolist(), position, base) for head in x[0, 0]])
        torch.testing.assert_close(got[0, 0], want, atol=2e-6, rtol=1e-5)


def test_dot_products_depend_on_distance_only_and_norms_are_kept() -> None:
    torch.manual_seed(0)
    length, head_width = 300, 16
    cos, sin = rotary_tables(length, head_width, 10_000.0)
    q, k = torch.randn(2, head_width).unbind()
    q_at = rotate(q.expand(1, length, 1, -1), cos, sin)[0, :, 0]
    k_at = rotate(k.expand(1, length, 1, -1), cos, sin)[0, :, 0]
    products = q_at @ k_at.T
    for distance in (-250, -7, 0, 1, 64, 299):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=0)
    assert products[0].std() > 0.1
    assert abs(products[0, 10] - products[10, 0]) > 1e-3
    torch.testing.assert_close(q_at.norm(dim=-1), q.norm().expand(length))


def test_rotation_keeps_the_type_and_leaves_position_zero() -> None:
    x = torch.randn(2, 5, 3, 8).bfloat16()
    turned = rotate(x, *rotary_tables(5, 8, 10_000.0))
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned[:, 0], x[:, 0])


@pytest.mark.parametrize("window", [None, 3])
def test_self_attention_equals_the_written_out_formula(window: int | None) -> None:
    torch.manual_seed(0)
    width, heads, length = 12, 3, 11
    layer = SelfAttention(width, heads, window, 50.0, "auto")
    x = torch.randn(1, length, width)
    per_head = width // heads
    qkv = (x[0] @ layer.qkv.weight.T).tolist()
    mixed = torch.zeros(length, width)
    for h in range(heads):
        q, k, v = (
            [row[part * width + h * per_head :][:per_head] for row in qkv] for part in range(3)
        )
        q, k = ([naive_rotate(row, p, 50.0) for p, row in enumerate(side)] for side in (q, k))
        for i in range(length):
            seen = [j for j in range(length) if window is None or abs(i - j) <= window]
            scores = [sum(a * b for a, b in zip(q[i], k[j], strict=True)) for j in seen]
            weights = [math.exp(score / math.sqrt(per_head)) for score in scores]
            for d in range(per_head):
                total = sum(w * v[j][d] for w, j in zip(weights, seen, strict=True))
                mixed[i, h * per_head + d] = total / sum(weights)
    torch.testing.assert_close(layer(x)[0], mixed @ layer.out.weight.T, atol=1e-5, rtol=1e-5)


def test_swiglu_by_hand() -> None:
    layer = SwiGLU(1, 2)
    with torch.no_grad():
        layer.gate_up.weight.copy_(torch.tensor([[1.0], [-2.0], [3.0], [0.5]]))
        layer.out.weight.copy_(torch.tensor([[1.0, 10.0]]))
    # x = 2: gates 2 and -4, ups 6 and 1; silu(z) = z / (1 + exp(-z)).
    expected = 2 / (1 + math.exp(-2)) * 6 + 10 * -4 / (1 + math.exp(4))
    assert layer(torch.tensor([[2.0]])).item() == pytest.approx(expected, rel=1e-6)


def test_block_is_pre_norm_with_residuals() -> None:
    model = build(layers=1)
    block = model.encoder[0]
    x = torch.randn(2, 9, 16)

    def rms(y: Tensor) -> Tensor:
        return y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    y = x + block.branches[0](rms(x))
    torch.testing.assert_close(block(x), y + block.branches[1](rms(y)))


def test_default_size_by_hand() -> None:
    with torch.device("meta"):
        model = build_transformer(TransformerConfig())
    layer = 4 * 768 * 768 + 3 * 768 * 2048 + 2 * 768
    assert sum(p.numel() for p in model.parameters()) == 12 * layer + 2 * 7 * 768 + 768
    assert 12 * layer + 2 * 7 * 768 + 768 == 84_964_608


def test_size_with_every_option_by_hand() -> None:
    width, inner, mlp = 16, 8, 24
    model = build(
        layers=5,
        attention=["global", "none", "local"],
        stem_kernel=7,
        conv_layers=2,
        conv_kernel=3,
    )
    conv = width * inner * 2 + inner * inner * 3 + width + 2 * inner
    attending = 4 * width * width + width
    swiglu = 3 * width * mlp + width
    # Layers 0, 2, 3 attend (global, local, global); 1 and 4 do not.
    expected = 5 * (2 * conv + swiglu) + 3 * attending + 7 * width * width
    assert sum(p.numel() for p in model.parameters()) == expected + 2 * 7 * width + width


@pytest.mark.parametrize("backend", ["auto", "sdpa", "banded"])
@pytest.mark.parametrize(("layers", "radius"), [(1, 5), (2, 10), (3, 15)])
def test_local_layers_reach_exactly_their_windows(
    backend: Backend, layers: int, radius: int
) -> None:
    model = build(layers=layers, attention=["local"], backend=backend)
    assert reach(model.encoder, 64, 31) == around(31, radius)
    assert reach(model.encoder, 64, 0) == list(range(radius + 1))


def test_reach_of_the_other_parts() -> None:
    assert reach(build(attention=["none"]).encoder, 40, 20) == [20]
    assert reach(build(attention=["none", "local"]).encoder, 40, 20) == around(20, 5)
    assert reach(build(attention=["global"]).encoder, 40, 20) == list(range(40))
    assert reach(build(attention=["local", "global"]).encoder, 40, 20) == list(range(40))
    assert reach(build(attention=["none"], stem_kernel=9).encoder, 40, 20) == around(20, 4)
    # Dilations go on over the layers, 1 2 | 4 1, for kernel 3: radius 8.
    convolutional = build(attention=["none"], conv_layers=2, conv_kernel=3, conv_dilation_cycle=3)
    assert reach(convolutional.encoder, 40, 20) == around(20, 8)


def test_the_attention_pattern_repeats_over_the_layers() -> None:
    model = build(
        layers=7,
        attention=["global", "local", "none"],
        window=9,
        rope_base=160_000.0,
        local_rope_base=500.0,
    )
    seen = []
    for block in model.encoder:
        layers = [m for m in block.branches if isinstance(m, SelfAttention)]
        seen.append([(layer.window, layer.base) for layer in layers])
    whole, near = [(None, 160_000.0)], [(9, 500.0)]
    assert seen == [whole, near, [], whole, near, [], whole]


def test_backends_agree_in_the_whole_model() -> None:
    ids = torch.randint(3, 7, (2, 47), generator=torch.Generator().manual_seed(0))
    by_backend = []
    for backend in ("sdpa", "banded"):
        model = build(layers=3, attention=["local", "global"], backend=backend)
        logits = model(ids)
        logits.square().sum().backward()
        gradients = [p.grad for p in model.parameters()]
        by_backend.append([logits.detach(), *gradients])
    for first, second in zip(*by_backend, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_rotary_tables_follow_the_length() -> None:
    ids = torch.randint(3, 7, (1, 80), generator=torch.Generator().manual_seed(0))
    used = build()
    used(ids[:, :30])
    long = used(ids)
    short = used(ids[:, :30])
    assert torch.equal(long, build()(ids))
    assert torch.equal(short, build()(ids[:, :30]))


def test_compiled_rotary_tables_are_each_layers_own_and_follow_the_length() -> None:
    model = build(layers=2, attention=["local", "global"], rope_base=50.0, local_rope_base=500.0)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for length in (30, 47, 30):
        ids = torch.randint(3, 7, (2, length), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(compiled(ids), model(ids))
    torch.compiler.reset()


def test_initial_weights() -> None:
    model = build(width=128, heads=4, mlp_width=256, layers=8, stem_kernel=5)
    for name, module in model.encoder.named_modules():
        if isinstance(module, nn.Linear):
            # Back into the residual stream: smaller by sqrt(2 x 8 layers) = 4.
            std = 0.005 if name.endswith(".out") else 0.02
            assert module.weight.std().item() == pytest.approx(std, rel=0.03), name
        if isinstance(module, nn.RMSNorm):
            assert torch.all(module.weight == 1)
    assert isinstance(model.encoder[0], Stem)
    bound = 1 / math.sqrt(128 * 5)
    assert model.encoder[0].conv.weight.abs().max().item() <= bound
    assert model.embedding.weight[1:].std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 16, "heads": 3}, r"heads \(3\) must divide width \(16\)"),
        ({"width": 12, "heads": 4}, r"width / heads \(3\) must be even"),
        ({"attention": []}, "attention must name"),
        ({"stem_kernel": 4}, r"stem_kernel \(4\) must be odd, or 0"),
        ({"conv_kernel": 2}, r"conv_kernel \(2\) must be odd"),
    ],
)
def test_impossible_settings_name_the_key(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**settings)
