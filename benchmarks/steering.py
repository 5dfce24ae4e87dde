"""Time that looking for requests and signals adds to a step: python benchmarks/steering.py.

Two ranks on this machine do what follows a batch, its losses' reduction, with and without looking;
both kinds alternate, each led in by a barrier, and the difference is what looking adds.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

STEPS = 2_000
RANKS = 2


def measure(run_dir: Path) -> None:
    """Time every step on this rank; rank 0 prints."""
    from glm_composer.training.composer_import import import_composer

    import_composer()
    import torch
    from composer.core import Time
    from composer.utils import dist

    from glm_composer.training.asked import Asked
    from glm_composer.training.callbacks.learning_rate import SetLearningRate
    from glm_composer.training.callbacks.losses import LogLosses
    from glm_composer.training.callbacks.steering import Answers, Steering
    from glm_composer.training.losses import NAMES

    torch.set_num_threads(1)
    dist.initialize_dist("cpu")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    asked = Asked(run_dir)
    rate = SetLearningRate(optimizer, lambda state: 1.0)
    steering = Steering(run_dir, asked, rate, {})
    answers = Answers(steering)
    state: Any = SimpleNamespace(
        timestamp=SimpleNamespace(batch=Time(1, "ba")),
        outputs={"sums": torch.ones(len(NAMES), 2, dtype=torch.float64)},
    )
    logger: Any = SimpleNamespace(log_metrics=lambda metrics: None)
    steering.fit_start(state, logger)
    kinds: dict[str, list[Any]] = {
        "without": [LogLosses()],
        "with": [LogLosses((), asked), steering, answers],
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for step in range(2 * STEPS):
        name = "with" if step % 2 else "without"
        losses = kinds[name][0]
        losses.before_train_batch(state, logger)
        losses.after_forward(state, logger)
        dist.barrier()
        began = time.perf_counter()
        for each in kinds[name]:
            each.batch_end(state, logger)
        if name == "with":
            answers.batch_checkpoint(state, logger)
        taken[name].append(time.perf_counter() - began)
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
