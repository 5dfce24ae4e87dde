"""Every attention backend against a softmax written out by its definition."""

import pytest
import torch
from attention_reference import (
    SHAPES,
    draw,
    naive,
    naive_packed,
    outputs_and_gradients,
    pack,
    relative_errors,
)

from glm_composer.errors import UserError
from glm_composer.models import flash
from glm_composer.models.attention import (
    MATMUL_LENGTH,
    Choice,
    Resolved,
    attention,
    choose,
)

FLASH, NO_FLASH = flash.find()
PORTABLE: list[Resolved] = ["sdpa", "banded", "matmul", "matmul_or_sdpa"]


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "lengths"), SHAPES, ids=str)
def test_backends_equal_naive_softmax_forward_and_backward(
    window: int | None, lengths: list[int], causal: bool, kv_heads: int
) -> None:
    if len(lengths) == 1:
        packing = None
        inputs = draw(2, lengths[0], heads=4, kv_heads=kv_heads)
        want = naive(*inputs, window, causal)
    else:
        packing = pack(lengths)
        inputs = draw(sum(lengths), heads=4, kv_heads=kv_heads)
        want = naive_packed(*inputs, window, causal, lengths)
    expected = outputs_and_gradients(want, inputs)
    for backend in PORTABLE:
        out = attention(*inputs, window, causal, backend, packing)
        assert out.dtype == torch.float32
        for got, wanted in zip(outputs_and_gradients(out, inputs), expected, strict=True):
            torch.testing.assert_close(got.double(), wanted.double(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", PORTABLE)
def test_equal_keys_give_the_mean_of_what_is_seen(backend: Resolved) -> None:
    zero = torch.zeros(1, 5, 1, 2)
    values = torch.tensor([1.0, 2.0, 6.0, 10.0, 20.0]).view(1, 5, 1, 1).expand(1, 5, 1, 2)
    both = attention(zero, zero, values, window=1, backend=backend)[0, :, 0, 0]
    torch.testing.assert_close(both, torch.tensor([1.5, 3.0, 6.0, 12.0, 15.0]))
    past = attention(zero, zero, values, window=2, causal=True, backend=backend)[0, :, 0, 0]
    torch.testing.assert_close(past, torch.tensor([1.0, 1.5, 3.0, 6.0, 12.0]))


@pytest.mark.parametrize("backend", PORTABLE)
def test_what_is_out_of_the_window_has_no_influence_at_all(backend: Resolved) -> None:
    q, k, v = (x.detach() for x in draw(2, 50))
    far_k, far_v = k.clone(), v.clone()
    far_k[:, 31:], far_v[:, 31:] = 1e4, -1e4
    near = attention(q, k, v, window=10, backend=backend)
    far = attention(q, far_k, far_v, window=10, backend=backend)
    assert torch.equal(near[:, :21], far[:, :21])
    assert not torch.equal(near[:, 21], far[:, 21])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "length"), [(3, 17), (40, 90)])
def test_bf16_is_finite_and_close(window: int, length: int, causal: bool) -> None:
    inputs = draw(2, length, dtype=torch.bfloat16)
    expected = outputs_and_gradients(naive(*inputs, window, causal), inputs)
    for backend in PORTABLE:
        out = attention(*inputs, window, causal, backend)
        assert out.dtype == torch.bfloat16
        # bf16 keeps 8 bits: one rounding is 0.4%, and a handful of them add up on the way.
        assert max(relative_errors(outputs_and_gradients(out, inputs), expected)) < 0.015


@pytest.mark.parametrize("backend", PORTABLE)
@pytest.mark.parametrize("window", [None, 6])
def test_no_gradient_crosses_windows(window: int | None, backend: Resolved) -> None:
    inputs = draw(30)
    out = attention(*inputs, window, False, backend, pack([11, 12, 7]))
    for gradient in torch.autograd.grad(out[11:23].square().sum(), inputs):
        assert gradient[11:23].count_nonzero() > 0
        assert gradient[:11].count_nonzero() == gradient[23:].count_nonzero() == 0
    # Were they one window, it would: the assertion above can fail.
    whole = attention(*(x[None] for x in inputs), window, False, backend)[0]
    assert torch.autograd.grad(whole[11:23].square().sum(), inputs)[1][:11].count_nonzero() > 0


def test_the_square_is_for_short_windows_in_bf16() -> None:
    def products(dtype: torch.dtype, length: int) -> int:
        """Scores that a call keeps for its backward pass, by autograd's own hooks."""
        kept = []
        inputs = draw(1, length, heads=1, kv_heads=1, dtype=dtype)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: kept.append(x.numel()), lambda x: x
        ):
            attention(*inputs, backend="matmul_or_sdpa")
        return sum(size >= length**2 for size in kept)

    assert products(torch.bfloat16, MATMUL_LENGTH) > 0
    assert products(torch.bfloat16, MATMUL_LENGTH + 1) == 0
    assert products(torch.float32, 64) == 0


def test_auto_takes_the_fastest_backend_that_is_there() -> None:
    if FLASH:
        assert choose("auto", None) == choose("auto", 64) == Choice(FLASH)
    else:
        whole = "sdpa" if torch.cuda.is_available() else "matmul_or_sdpa"
        assert choose("auto", None) == (whole, NO_FLASH)
        assert choose("auto", 64) == ("banded", NO_FLASH)
        assert "flash-attn is not installed" in NO_FLASH or NO_FLASH == "no CUDA device"


def test_explicit_choices() -> None:
    for backend in ("sdpa", "banded", "matmul"):
        assert choose(backend, 64) == (backend, "")
    assert choose("matmul", None) == ("matmul", "")
    assert choose("banded", None) == ("sdpa", "'banded' needs a window")


def test_an_unknown_backend_lists_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"'fast'; valid ones: auto, flash, sdpa, banded, matmul$"):
        choose("fast", 64)


@pytest.mark.skipif(FLASH is not None, reason="flash-attn is available here")
def test_asking_for_flash_where_it_cannot_run_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"'flash': .*; use 'auto' to fall back$") as error:
        choose("flash", 64)
    assert NO_FLASH in str(error.value)


@pytest.mark.parametrize("backend", ["flash2", "flash3"])
@pytest.mark.parametrize("window", [None, 3, 500])
def test_flash_hands_tensors_it_does_not_know_to_the_portable_backends(
    window: int | None, backend: Resolved
) -> None:
    inputs = draw(2, 20)
    got = attention(*inputs, window, backend=backend)
    torch.testing.assert_close(got.double(), naive(*inputs, window, False), atol=1e-5, rtol=1e-5)
