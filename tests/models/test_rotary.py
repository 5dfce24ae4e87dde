"""Rotary embedding against complex numbers."""

import cmath

import pytest
import torch

from glm_composer.models.rotary import rotary_tables, rotate


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
