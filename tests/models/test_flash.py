"""flash-attn: how it is found and called, everywhere; what it answers, on a GPU."""

import importlib.machinery
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

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
from torch import Tensor

from glm_composer.models import flash
from glm_composer.models.attention import attention

FLASH, WHY_NOT = flash.find()
ALL = (-1, -1)


# The signatures that flash-attn 2.8 and its Hopper branch (version 3) publish, here with the
# arithmetic of the definition.
def flash_attn_2_func(
    q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=ALL, softcap=0.0,
    alibi_slopes=None, deterministic=False, return_attn_probs=False,
):  # fmt: skip
    return by_definition(q, k, v, causal, window_size)


def flash_attn_2_varlen_func(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0,
    softmax_scale=None, causal=False, window_size=ALL, softcap=0.0, alibi_slopes=None,
    deterministic=False, return_attn_probs=False, block_table=None,
):  # fmt: skip
    return by_window(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, causal, window_size)


def flash_attn_3_func(
    q, k, v, softmax_scale=None, causal=False, qv=None, q_descale=None, k_descale=None,
    v_descale=None, window_size=ALL, attention_chunk=0, softcap=0.0, num_splits=1, pack_gqa=None,
    deterministic=False, sm_margin=0, return_attn_probs=False,
):  # fmt: skip
    return by_definition(q, k, v, causal, window_size)


def flash_attn_3_varlen_func(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, seqused_q=None,
    seqused_k=None, softmax_scale=None, causal=False, qv=None, q_descale=None, k_descale=None,
    v_descale=None, window_size=ALL, attention_chunk=0, softcap=0.0, num_splits=1, pack_gqa=None,
    deterministic=False, sm_margin=0, return_attn_probs=False,
):  # fmt: skip
    out = by_window(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, causal, window_size)
    # As its first releases did.
    return out, out.new_zeros(q.shape[1], q.shape[0])


def by_definition(q: Tensor, k: Tensor, v: Tensor, causal: bool, sides: tuple[int, int]) -> Tensor:
    assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1
    left, right = sides
    assert right == (0 if causal else left)
    return naive(q, k, v, None if left < 0 else left, causal).to(q.dtype)


def by_window(q, k, v, ends_q, ends_k, longest, causal, sides) -> Tensor:
    assert ends_q.dtype == ends_k.dtype == torch.int32
    assert torch.equal(ends_q, ends_k)
    assert ends_q[0] == 0
    assert ends_q[-1] == len(q)
    lengths = ends_q.diff().tolist()
    assert longest == max(lengths)
    parts = zip(*(x.split(lengths) for x in (q, k, v)), strict=True)
    return torch.cat(
        [
            by_definition(*(x[None] for x in part), causal, sides)[0]
            for part in parts
            if len(part[0])
        ]
    )


FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "flash_attn": {
        "flash_attn_func": flash_attn_2_func,
        "flash_attn_varlen_func": flash_attn_2_varlen_func,
    },
    "flash_attn_interface": {
        "flash_attn_func": flash_attn_3_func,
        "flash_attn_varlen_func": flash_attn_3_varlen_func,
    },
}


def install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
    for function, stand_in in FUNCTIONS[name].items():
        setattr(module, function, stand_in)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize(
    ("version", "name"), [("flash2", "flash_attn"), ("flash3", "flash_attn_interface")]
)
def test_calls_fit_the_published_signatures(
    monkeypatch: pytest.MonkeyPatch, version: flash.Version, name: str, window, causal: bool
) -> None:
    install(monkeypatch, name)
    fixed = draw(2, 20, heads=4, kv_heads=2)
    got = flash.flash(*fixed, window, causal, None, version)
    torch.testing.assert_close(got, naive(*fixed, window, causal).float())
    lengths = [7, 0, 20, 1]
    packed = draw(28, heads=4, kv_heads=2)
    got = flash.flash(*packed, window, causal, pack(lengths), version)
    torch.testing.assert_close(got, naive_packed(*packed, window, causal, lengths).float())


def test_the_newest_version_that_the_gpu_can_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(generation: int, *names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: generation > 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (generation, 0))
        for name in FUNCTIONS:
            # An entry of None is how Python notes that a module cannot be imported.
            monkeypatch.setitem(sys.modules, name, None)
        for name in names:
            install(monkeypatch, name)

    both = ("flash_attn", "flash_attn_interface")
    machine(0, *both)
    assert flash.find() == (None, "no CUDA device")
    machine(8)
    version, why = flash.find()
    assert version is None
    assert "flash-attn is not installed" in why
    machine(8, "flash_attn_interface")
    assert flash.find()[0] is None
    machine(8, *both)
    assert flash.find() == ("flash2", "")
    machine(9, *both)
    assert flash.find() == ("flash3", "")
    machine(9, "flash_attn")
    assert flash.find() == ("flash2", "")


@pytest.mark.skipif(FLASH is None, reason=f"flash-attn cannot run here: {WHY_NOT}")
def test_the_installed_library_has_these_signatures() -> None:
    name = {"flash2": "flash_attn", "flash3": "flash_attn_interface"}[FLASH]
    for function, stand_in in FUNCTIONS[name].items():
        real = inspect.signature(getattr(sys.modules[name], function)).parameters
        used = {"q", "k", "v", "causal", "window_size", "cu_seqlens_q", "max_seqlen_q"}
        assert used & set(inspect.signature(stand_in).parameters) <= set(real)


@pytest.mark.gpu
@pytest.mark.skipif(FLASH is None, reason=f"needs a CUDA device and flash-attn: {WHY_NOT}")
@pytest.mark.parametrize("kv_heads", [4, 1])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("window", "lengths"), SHAPES, ids=str)
def test_flash_equals_naive_softmax(
    window: int | None, lengths: list[int], causal: bool, kv_heads: int
) -> None:
    shape = (2, lengths[0]) if len(lengths) == 1 else (sum(lengths),)
    drawn = draw(*shape, heads=4, kv_heads=kv_heads, dtype=torch.bfloat16, width=32)
    inputs = [x.detach().cuda().requires_grad_() for x in drawn]
    if len(lengths) == 1:
        packing, want = None, naive(*inputs, window, causal)
    else:
        packing = pack(lengths, "cuda")
        want = naive_packed(*inputs, window, causal, lengths)
    expected = outputs_and_gradients(want, inputs)
    got = outputs_and_gradients(attention(*inputs, window, causal, FLASH, packing), inputs)
    assert max(relative_errors(got, expected)) < 0.015
