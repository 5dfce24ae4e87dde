"""Seconds of attention, forward and backward, by backend, type and shape, interleaved.

python benchmarks/attention_rate.py --rounds 9
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from measure import interleave

from glm_composer.models.attention import Resolved, attention

# batch, length, heads, head_width, window of the band
SHAPES = [(16, 512, 2, 64, 64), (4, 512, 12, 64, 64), (8, 512, 4, 32, 20), (2, 2048, 4, 64, 128)]


def make_call(shape: tuple[int, ...], dtype: torch.dtype, backend: Resolved) -> Callable[[], None]:
    batch, length, heads, width, window = shape
    torch.manual_seed(0)
    qkv = torch.randn(batch, length, 3, heads, width, dtype=dtype, requires_grad=True)
    upstream = torch.randn(batch, length, heads, width, dtype=dtype)

    def call() -> None:
        q, k, v = qkv.unbind(2)
        reach = window if backend == "banded" else None
        attention(q, k, v, reach, backend=backend).backward(upstream)
        qkv.grad = None

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for dtype in (torch.bfloat16, torch.float32):
        for shape in SHAPES:
            backends: tuple[Resolved, ...] = ("sdpa", "matmul", "banded")
            seconds = interleave({b: make_call(shape, dtype, b) for b in backends}, rounds)
            name = f"attention.{str(dtype).removeprefix('torch.')}.{'x'.join(map(str, shape))}"
            for backend, times in seconds.items():
                ratios = [a / b for a, b in zip(seconds["sdpa"], times, strict=True)]
                print(f"RESULT {name}.{backend}_vs_sdpa {statistics.median(ratios):.2f} x")
                print(f"  ({min(ratios):.2f} to {max(ratios):.2f}; {min(times) * 1e3:.1f} ms)")


if __name__ == "__main__":
    main()
