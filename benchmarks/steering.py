"""Time that looking for requests and signals adds to a step: python benchmarks/steering.py.

Two ranks on this machine, each step led in by a barrier, so that waiting for the slower rank, which
a training step's own reductions do anyway, is not counted. Beside it, for scale, the barrier.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

STEPS = 2_000
RANKS = 2


def measure(run_dir: Path) -> None:
    """Time every step on this rank; rank 0 prints."""
    from glm_composer.training.composer_import import import_composer

    import_composer()
    import torch
    from composer.core import Time
    from composer.utils import dist

    from glm_composer.training.callbacks.learning_rate import SetLearningRate
    from glm_composer.training.callbacks.steering import Answers, Steering

    torch.set_num_threads(1)
    dist.initialize_dist("cpu")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    steering = Steering(run_dir, SetLearningRate(optimizer, lambda state: 1.0), {})
    answers = Answers(steering)
    timestamp = SimpleNamespace(batch=Time(1, "ba"))
    state = SimpleNamespace(timestamp=timestamp)
    steering.fit_start(state, None)
    taken: dict[str, list[float]] = {"barrier": [], "steering": []}
    for _ in range(STEPS):
        dist.barrier()
        began = time.perf_counter()
        dist.barrier()
        taken["barrier"].append(time.perf_counter() - began)
        began = time.perf_counter()
        steering.batch_end(state, None)
        answers.batch_checkpoint(state, None)
        taken["steering"].append(time.perf_counter() - began)
    if dist.get_global_rank() == 0:
        for name, seconds in taken.items():
            seconds = sorted(seconds)[: int(0.999 * STEPS)]
            print(
                f"{name:<9} median {statistics.median(seconds) * 1e3:.3f} ms, "
                f"mean {statistics.mean(seconds) * 1e3:.3f} ms, "
                f"99th percentile {seconds[int(0.99 * STEPS)] * 1e3:.3f} ms"
            )


def main() -> None:
    if "RANK" in os.environ:
        measure(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as directory:
        place = {"WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS), "NODE_RANK": "0"}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611", "OMP_NUM_THREADS": "1"}
        ranks = [
            subprocess.Popen(
                [sys.executable, __file__, directory],
                env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(RANKS)
        ]
        sys.exit(max(rank.wait() for rank in ranks))


if __name__ == "__main__":
    main()
