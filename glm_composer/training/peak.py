"""What this device can do at best: the rate of large matrix products, measured."""

import functools
import time

import torch

# Rows of square matrices, and seconds of measuring; a product takes 1 to 20 ms.
_SIZE = {"cpu": 1024, "cuda": 8192}
_SECONDS = 0.25


@functools.cache
def matmul_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of several square matrix products, measured once a process.

    With the threads and settings (TF32) of the moment; of ranks that share a machine each gets its
    share, if they measure together.

    Args:
        device: `cpu` or `cuda`.
        dtype: of both matrices and of their product.
    """
    size = _SIZE[device]
    # Random, since GPUs clock higher on constants; from a state of its own, not the run's.
    generator = torch.Generator(device).manual_seed(0)
    a = torch.randn(size, size, generator=generator, device=device).to(dtype)
    best = float("inf")
    with torch.no_grad():
        for _ in range(2):
            a @ a
        end = time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            best = min(best, _seconds(a))
    return 2 * size**3 / best


def _seconds(a: torch.Tensor) -> float:
    if a.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    a @ a
    if a.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
