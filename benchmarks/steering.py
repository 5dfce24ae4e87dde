"""Time that looking for requests and signals adds to a step: python benchmarks/steering.py.

Two ranks on this machine. A step here is three barriers, as many reductions as Composer does after
each batch, with and without looking; both kinds alternate, and the difference is what it adds.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
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
    rate = SetLearningRate(optimizer, lambda state: 1.0)
    steering = Steering(run_dir, rate, {}, timedelta(seconds=60))
    answers = Answers(steering)
    state = SimpleNamespace(timestamp=SimpleNamespace(batch=Time(1, "ba")))
    steering.fit_start(state, None)
    taken: dict[str, list[float]] = {"without": [], "with": []}
    for step in range(2 * STEPS):
        looks = step % 2 == 1
        dist.barrier()
        began = time.perf_counter()
        if looks:
            steering.after_train_batch(state, None)
        for _ in range(3):
            dist.barrier()
        if looks:
            steering.batch_end(state, None)
            answers.batch_checkpoint(state, None)
        taken["with" if looks else "without"].append(time.perf_counter() - began)
    if dist.get_global_rank() == 0:
        for name, seconds in taken.items():
            kept = sorted(seconds)[: int(0.99 * STEPS)]
            print(
                f"{name:<8} median {statistics.median(kept) * 1e3:.3f} ms, "
                f"mean of all but the slowest 1% {statistics.mean(kept) * 1e3:.3f} ms"
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
