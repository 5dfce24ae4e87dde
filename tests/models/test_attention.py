"""Every attention backend against a softmax written out by its definition."""

import importlib.util
import math

import pytest
import torch
from torch import Tensor

from glm_composer.errors import UserError
from glm_composer.models.attention import Backend, attention, choose

HAS_FLASH = torch.cuda.is_available() and importlib.util.find_spec("flash_attn") is not None
PORTABLE: list[Backend] = ["sdpa", "banded"]
# Window 64 with 200 and 130: no multiples; 128: two full blocks; 500: wider than any of them.
SHAPES = [
    (1, 1),
    (1, 2),
    (1, 17),
    (3, 17),
    (3, 12),
    (63, 64),
    (64, 65),
    (64, 66),
    pytest.param(64, 128, marks=pytest.mark.slow),
    (64, 130),
    pytest.param(64, 200, marks=pytest.mark.slow),
    pytest.param(500, 130, marks=pytest.mark.slow),
    (None, 33),
]


def naive(q: Tensor, k: Tensor, v: Tensor, window: int | None, causal: bool) -> Tensor:
    """Position by position in float64, over a Python list of what that position sees."""
    q, k, v = q.double(), k.double(), v.double()
    length, width = q.shape[1], q.shape[3]
    rows = []
    for i in range(length):
        seen = [
            j
            for j in range(length)
            if (window is None or abs(i - j) <= window) and (not causal or j <= i)
        ]
        scores = torch.einsum("bhd,bjhd->bhj", q[:, i], k[:, seen]) / math.sqrt(width)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        rows.append(torch.einsum("bhj,bjhd->bhd", weights, v[:, seen]))
    return torch.stack(rows, dim=1)


def draw(length: int, dtype: torch.dtype = torch.float32, width: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    return [
        torch.randn(2, length, 3, width, generator=generator).to(dtype).requires_grad_()
        for _ in range(3)
    ]


def outputs_and_gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    upstream = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape)
    loss = (out.double() * upstream.to(out.device)).sum()
    return [out.detach(), *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "length"), SHAPES)
@pytest.mark.parametrize("backend", PORTABLE)
def test_backend_equals_naive_softmax_forward_and_backward(
    backend: Backend, window: int | None, length: int, causal: bool
) -> None:
    inputs = draw(length)
    q, k, v = inputs
    expected = outputs_and_gradients(naive(q, k, v, window, causal), inputs)
    out = attention(q, k, v, window, causal, choose(backend, window))
    assert out.dtype == torch.float32
    assert out.shape == q.shape
    for got, want in zip(outputs_and_gradients(out, inputs), expected, strict=True):
        torch.testing.assert_close(got.double(), want.double(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", PORTABLE)
def test_equal_keys_give_the_mean_of_what_is_seen(backend: Backend) -> None:
    zero = torch.zeros(1, 5, 1, 2)
    values = torch.tensor([1.0, 2.0, 6.0, 10.0, 20.0]).view(1, 5, 1, 1).expand(1, 5, 1, 2)
    both = attention(zero, zero, values, window=1, backend=backend)[0, :, 0, 0]
    torch.testing.assert_close(both, torch.tensor([1.5, 3.0, 6.0, 12.0, 15.0]))
    past = attention(zero, zero, values, window=2, causal=True, backend=backend)[0, :, 0, 0]
    torch.testing.assert_close(past, torch.tensor([1.0, 1.5, 3.0, 6.0, 12.0]))


@pytest.mark.parametrize("backend", PORTABLE)
def test_what_is_out_of_the_window_has_no_influence_at_all(backend: Backend) -> None:
    q, k, v = (x.detach() for x in draw(50))
    far_k, far_v = k.clone(), v.clone()
    far_k[:, 31:], far_v[:, 31:] = 1e4, -1e4
    near = attention(q, k, v, window=10, backend=backend)
    far = attention(q, far_k, far_v, window=10, backend=backend)
    assert torch.equal(near[:, :21], far[:, :21])
    assert not torch.equal(near[:, 21], far[:, 21])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "length"), [(3, 17), (64, 200)])
def test_banded_in_bf16_is_finite_and_close(window: int, length: int, causal: bool) -> None:
    inputs = draw(length, torch.bfloat16)
    q, k, v = inputs
    expected = outputs_and_gradients(naive(q, k, v, window, causal), inputs)
    out = attention(q, k, v, window, causal, "banded")
    assert out.dtype == torch.bfloat16
    for got, want in zip(outputs_and_gradients(out, inputs), expected, strict=True):
        assert got.isfinite().all()
        # bf16 keeps 8 bits: one rounding is 0.4%, and a handful of them add up on the way.
        error = (got.double() - want.double()).norm() / want.double().norm()
        assert error < 0.015


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_banded_survives_scores_at_the_edge_of_the_type(dtype: torch.dtype) -> None:
    inputs = [(x.detach() * 60).to(dtype).requires_grad_() for x in draw(21)]
    for tensor in outputs_and_gradients(attention(*inputs, 4, False, "banded"), inputs):
        assert tensor.isfinite().all()


def test_auto_takes_the_fastest_backend_that_is_there() -> None:
    if HAS_FLASH:
        assert choose("auto", None) == choose("auto", 64) == "flash"
    else:
        assert choose("auto", None) == "sdpa"
        assert choose("auto", 64) == "banded"


def test_explicit_choices() -> None:
    assert choose("sdpa", 64) == "sdpa"
    assert choose("banded", 64) == "banded"
    assert choose("banded", None) == "sdpa"


@pytest.mark.skipif(HAS_FLASH, reason="flash-attn is available here")
def test_asking_for_flash_where_it_cannot_run_is_a_user_error() -> None:
    missing = "flash-attn is not installed" if torch.cuda.is_available() else "no CUDA device"
    with pytest.raises(UserError, match=f"'flash': {missing}.*use 'auto'"):
        choose("flash", 64)


@pytest.mark.parametrize("window", [None, 3, 500])
def test_flash_hands_tensors_it_does_not_know_to_the_portable_backends(window: int | None) -> None:
    q, k, v = draw(20)
    got = attention(q, k, v, window, backend="flash")
    torch.testing.assert_close(got.double(), naive(q, k, v, window, False), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_FLASH, reason="needs a CUDA device and flash-attn")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "length"), SHAPES)
def test_flash_equals_naive_softmax(window: int | None, length: int, causal: bool) -> None:
    inputs = [x.detach().cuda().requires_grad_() for x in draw(length, torch.bfloat16, width=32)]
    q, k, v = inputs
    expected = outputs_and_gradients(naive(q, k, v, window, causal), inputs)
    out = attention(q, k, v, window, causal, "flash")
    for got, want in zip(outputs_and_gradients(out, inputs), expected, strict=True):
        assert got.isfinite().all()
        scale = max(want.double().norm().item(), 1.0)
        assert (got.double() - want.double()).norm().item() / scale < 0.015
