"""Times several candidates side by side: interleaved, warm-up discarded, median and spread."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleave(
    candidates: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Call each candidate in turn, `rounds` times over; return the seconds of each call."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(warmup + rounds):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def result(name: str, seconds: list[float], work: float, unit: str) -> float:
    """Print `RESULT name value unit` for the median rate of work; return it."""
    rate = work / statistics.median(seconds)
    low, high = work / max(seconds), work / min(seconds)
    print(f"RESULT {name} {rate:.6g} {unit}")
    print(f"  (from {low:.6g} to {high:.6g} in {len(seconds)} rounds)")
    return rate
