"""What a thread that prepares batches costs the steps beside it: make bench-loader-thread.

Steps of the quick start in eager bf16, of one batch, while the loader's thread waits for room:
`alone` computes without helpers, as data/ahead.py has it; `helped` with as many as the trainer,
so that OpenMP has more threads than cores. Needs data/yeast.
"""

import argparse
import os
import statistics
import time
from unittest import mock

# As `glm` does, before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch
from measure import result

from glm_composer.config import Config
from glm_composer.registry import optimizers
from glm_composer.settings import load
from glm_composer.training.allocator import keep_freed_memory
from glm_composer.training.build import build_model
from glm_composer.training.data import training_data
from glm_composer.training.inputs import check_data

HELPED = mock.patch("glm_composer.data.ahead.torch.set_num_threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="of a turn")
    arguments = parser.parse_args()
    keep_freed_memory()
    config = load(Config, "yamls/quickstart.yaml", [])
    model = build_model(config)
    optimizer = optimizers.get(config.optimizer.name)(config.optimizer, model)
    loader = training_data(config, check_data(config)).dataloader
    seconds: dict[str, list[float]] = {"alone": [], "helped": []}
    for turn in range(1 + arguments.rounds):
        for name, times in seconds.items():
            stream = iter(loader)
            if name == "helped":
                with HELPED:
                    batch = next(stream)
            else:
                batch = next(stream)
            start = time.perf_counter()
            for _ in range(arguments.steps):
                model(batch)["loss"].backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            if turn:
                times.append(time.perf_counter() - start)
            del stream  # ends the thread
    work = config.global_train_batch_size * arguments.steps
    for name, times in seconds.items():
        result(f"train.loader_thread_{name}", times, work, "windows/s")
    ratios = [b / a for a, b in zip(seconds["alone"], seconds["helped"], strict=True)]
    print(f"RESULT train.loader_thread_gain {statistics.median(ratios):.4g} x")


if __name__ == "__main__":
    main()
