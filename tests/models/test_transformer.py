"""The RoPE encoder: rotation, size, locality and arithmetic."""

import math
from typing import Any

import pytest
import torch
from test_rotary import naive_rotate
from torch import Tensor, nn

from glm_composer.models.attention import Backend
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.transformer import (
    SelfAttention,
    Stem,
    SwiGLU,
    TransformerConfig,
    build_transformer,
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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 3},
        {"causal": True},
        {"kv_heads": 2, "qk_norm": True},
        {"kv_heads": 1, "window": 3, "causal": True, "qk_norm": True},
    ],
)
def test_self_attention_equals_the_written_out_formula(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    width, heads, length, base = 16, 4, 11, 50.0
    local = "window" in options
    layer = SelfAttention(
        TransformerConfig(
            width=width, heads=heads, rope_base=base, local_rope_base=base, **options
        ),
        local,
    )
    for norm in (module for module in layer.modules() if isinstance(module, nn.RMSNorm)):
        nn.init.uniform_(norm.weight, 0.5, 2)
    x = torch.randn(1, length, width)
    per_head, groups = width // heads, heads // options.get("kv_heads", heads)
    rows = (x[0] @ layer.qkv.weight.T).tolist()
    cut = [[row[i : i + per_head] for i in range(0, len(row), per_head)] for row in rows]

    def ready(row: list[float], position: int, norm: str) -> list[float]:
        if options.get("qk_norm"):
            weight = getattr(layer, norm).weight.tolist()
            rms = math.sqrt(sum(value**2 for value in row) / per_head + 1e-6)
            row = [value / rms * w for value, w in zip(row, weight, strict=True)]
        return naive_rotate(row, position, base)

    mixed = torch.zeros(length, width)
    for h in range(heads):
        shared = heads + h // groups
        values = shared + heads // groups
        q = [ready(cut[i][h], i, "norm_q") for i in range(length)]
        k = [ready(cut[i][shared], i, "norm_k") for i in range(length)]
        for i in range(length):
            seen = [
                j
                for j in range(length)
                if (not local or abs(i - j) <= 3) and (j <= i or not options.get("causal"))
            ]
            scores = [sum(a * b for a, b in zip(q[i], k[j], strict=True)) for j in seen]
            weights = [math.exp(score / math.sqrt(per_head)) for score in scores]
            for d in range(per_head):
                total = sum(w * cut[j][values][d] for w, j in zip(weights, seen, strict=True))
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
        kv_heads=1,
        qk_norm=True,
    )
    conv = width * inner * 2 + inner * inner * 3 + width + 2 * inner
    # One of two heads has keys and values of its own; norms of head width 8 of queries and keys.
    attending = 2 * width * width + 2 * width * 8 + 2 * 8 + width
    swiglu = 3 * width * mlp + width
    # Layers 0, 2, 3 attend (global, local, global); 1 and 4 do not.
    expected = 5 * (2 * conv + swiglu) + 3 * attending + 7 * width * width
    assert sum(p.numel() for p in model.parameters()) == expected + 2 * 7 * width + width


@pytest.mark.parametrize("backend", ["auto", "sdpa", "banded", "matmul"])
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
    for backend in ("sdpa", "banded", "matmul"):
        model = build(layers=3, attention=["local", "global"], backend=backend)
        logits = model(ids)
        logits.square().sum().backward()
        gradients = [p.grad for p in model.parameters()]
        by_backend.append([logits.detach(), *gradients])
    for first, *others in zip(*by_backend, strict=True):
        for other in others:
            torch.testing.assert_close(first, other, atol=1e-5, rtol=1e-4)


def test_rotary_tables_follow_the_length() -> None:
    ids = torch.randint(3, 7, (1, 80), generator=torch.Generator().manual_seed(0))
    used = build()
    used(ids[:, :30])
    long = used(ids)
    short = used(ids[:, :30])
    assert torch.equal(long, build()(ids))
    assert torch.equal(short, build()(ids[:, :30]))


@pytest.mark.slow
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


def test_grouped_heads_have_the_shapes_that_they_say() -> None:
    for kv_heads, rows in ((None, 48), (4, 48), (2, 32), (1, 24)):
        model = build(heads=4, kv_heads=kv_heads)
        layer = model.encoder[0].branches[0]
        assert tuple(layer.qkv.weight.shape) == (rows, 16)
        assert tuple(layer.out.weight.shape) == (16, 16)
    assert [m.weight.shape for m in layer.modules() if isinstance(m, nn.RMSNorm)] == []
    normed = build(heads=4, kv_heads=2, qk_norm=True).encoder[0].branches[0]
    assert tuple(normed.norm_q.weight.shape) == tuple(normed.norm_k.weight.shape) == (4,)


def test_options_left_alone_leave_names_and_initial_weights_alone() -> None:
    plain = build(layers=1, stem_kernel=3, conv_layers=1)
    named = build(layers=1, stem_kernel=3, conv_layers=1, kv_heads=2)
    convs = ["norm_in", "reduce", "norm_conv", "conv", "norm_out", "expand"]
    assert (
        list(plain.state_dict())
        == list(named.state_dict())
        == [
            "embedding.weight",
            "encoder.0.conv.weight",
            *(f"encoder.1.convs.0.{each}.weight" for each in convs),
            "encoder.1.branches.0.qkv.weight",
            "encoder.1.branches.0.out.weight",
            "encoder.1.branches.1.gate_up.weight",
            "encoder.1.branches.1.out.weight",
            "encoder.1.norms.0.weight",
            "encoder.1.norms.1.weight",
            "norm.weight",
            "decoder.weight",
        ]
    )
    for mine, other in zip(plain.parameters(), named.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_qk_norm_bounds_scores_that_weights_would_blow_up() -> None:
    for qk_norm in (False, True):
        layer = build(qk_norm=qk_norm).encoder[0].branches[0]
        x = torch.randn(1, 9, 16, generator=torch.Generator().manual_seed(0))
        once = layer(x)
        with torch.no_grad():
            layer.qkv.weight[:32] *= 100
        assert torch.allclose(layer(x), once, atol=1e-3) == qk_norm


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 16, "heads": 3}, r"heads \(3\) must divide width \(16\)"),
        ({"width": 12, "heads": 4}, r"width / heads \(3\) must be even"),
        ({"width": 16, "heads": 4, "kv_heads": 3}, r"kv_heads \(3\) must divide heads \(4\)"),
        ({"attention": []}, "attention must name"),
        ({"stem_kernel": 4}, r"stem_kernel \(4\) must be odd, or 0"),
        ({"conv_kernel": 2}, r"conv_kernel \(2\) must be odd"),
    ],
)
def test_impossible_settings_name_the_key(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**settings)
