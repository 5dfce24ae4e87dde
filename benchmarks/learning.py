"""What an encoder learns of yeast in four minutes on two CPU threads: make bench-learning.

The figure a user feels: loss and variant scores after a time, not after a number of steps, so it
pays for every part of a step. It trains what `composer train.py yamls/learning/MODEL.yaml` trains
(its batches, model, optimizer and schedule), in a plain loop, and measures as a run's report does.
The clock starts at the first step, after compilation, and drives the schedule: after half of the
time it stands where the run would after half of its batches.

Figures of the test split are for settings that are fixed: tune with --validation. On a machine
that is shared, --windows trains as much as an idle one would have, however long it takes.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# As `glm` does, before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch
from composer.core import Time, Timestamp
from torch import Tensor

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.registry import optimizers, schedules
from glm_composer.settings import load
from glm_composer.training.allocator import keep_freed_memory
from glm_composer.training.build import build_model
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.data import training_data
from glm_composer.training.final import evaluate_run
from glm_composer.training.inputs import check_data

TABLE = "coding"
VALIDATION = [
    "evaluation.report_split=validation",
    f"evaluation.tables.{TABLE}.report_chroms=[chr15]",
]
Batch = dict[str, Tensor]


def batches(config: Config) -> Iterator[Batch]:
    """Yield a run's training batches, epoch after epoch."""
    spec = training_data(config, check_data(config))
    while True:
        for batch in spec.dataloader:
            yield spec.batch_transforms(batch)


def learning_rates(config: Config) -> Callable[[float], float]:
    """Return the schedule as a function: fraction of the run that is over -> fraction of the peak.

    Schedules read the trainer's state; this is as much of it as they look at.
    """
    schedule = schedules.get(config.scheduler.name)(config.scheduler)
    end = Time.from_timestring(config.max_duration)

    def multiplier(progress: float) -> float:
        now = Timestamp(batch=int(progress * end.value))
        state: Any = SimpleNamespace(max_duration=end, timestamp=now)
        return schedule(state)

    return multiplier


def train(config: Config, progress: Callable[[int], float]) -> tuple[GenomicModel, int, float]:
    """Train until `progress` (batches done -> fraction of the run that is over) reaches 1.

    Returns:
        the model, windows seen, and seconds from the first step to the end of the last.
    """
    torch.manual_seed(config.seed)
    model = build_model(config)
    optimizer = optimizers.get(config.optimizer.name)(config.optimizer, model)
    peaks = [group["lr"] for group in optimizer.param_groups]
    multiplier = learning_rates(config)
    stream = batches(config)
    batch = next(stream)
    for _ in range(2):  # Compiles; gradients are dropped, so that nothing is learnt yet.
        model(batch)["loss"].backward()
        optimizer.zero_grad()
    done = 0
    start = time.perf_counter()
    while (over := progress(done)) < 1:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * multiplier(over)
        model(batch)["loss"].backward()
        if config.gradient_clipping is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()
        done += 1
        batch = next(stream)
    return model, done * config.global_train_batch_size, time.perf_counter() - start


def clock(seconds: float) -> Callable[[int], float]:
    """Progress by the time since it was first asked for."""
    start: list[float] = []

    def progress(done: int) -> float:
        start[:] = start or [time.perf_counter()]
        return (time.perf_counter() - start[0]) / seconds

    return progress


def configure(name: str, seed: int, arguments: argparse.Namespace) -> Config:
    """Read the settings of a run.

    Raises:
        UserError: they ask for what the loop here does not do.
    """
    chosen = VALIDATION if arguments.validation else []
    overrides = [f"seed={seed}", *chosen, *arguments.overrides]
    config = load(Config, f"yamls/learning/{name}.yaml", overrides)
    if config.ema.decay is not None or config.device_train_microbatch_size is not None:
        raise UserError(
            "this loop knows no ema.decay and no device_train_microbatch_size; leave them out"
        )
    return config


def measure(config: Config, arguments: argparse.Namespace) -> dict[str, float]:
    """Train and evaluate once; return the figures."""
    progress = clock(arguments.seconds)
    if arguments.windows:
        steps = arguments.windows // config.global_train_batch_size
        progress = lambda done: done / steps  # noqa: E731
    with contextlib.redirect_stdout(None), tempfile.TemporaryDirectory() as folder:
        model, windows, seconds = train(config, progress)
        evaluate_run(config, model, Path(folder), "trained")
        summary = json.loads((Path(folder) / "summary.json").read_text())
    return {
        "windows": windows,
        "seconds": seconds,
        "nats": summary["held_out"]["model"],
        "auprc": summary["tables"][TABLE]["figures"]["model"]["auprc"],
    }


def report(name: str, runs: list[dict[str, float]]) -> None:
    """Print RESULT lines: the mean over the seeds, and the spread."""
    for key, unit in {"nats": "nats", "auprc": "AUPRC"}.items():
        values = [run[key] for run in runs]
        print(f"RESULT train.{name.format(key)} {statistics.fmean(values):.4f} {unit}")
        print(f"  (from {min(values):.4f} to {max(values):.4f} with {len(values)} seeds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["rope", "bytenet"], help="one only")
    parser.add_argument("--seconds", type=float, default=240.0, help="of training, a seed")
    parser.add_argument("--windows", type=int, help="train so many windows, whatever the time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--validation", action="store_true", help="judge on chr15, to tune")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    length = f"{arguments.seconds / 60:.3g}min"
    if arguments.windows:
        length = f"{arguments.windows}_windows"
    if arguments.validation:
        length += "_validation"
    for name in [arguments.model] if arguments.model else ["rope", "bytenet"]:
        runs = []
        for seed in range(1, arguments.seeds + 1):
            # A second model is not a change of the first one.
            torch._dynamo.reset()
            runs.append(measure(configure(name, seed, arguments), arguments))
            figures = ", ".join(f"{key} {value:.5g}" for key, value in runs[-1].items())
            print(f"  {name}, seed {seed}: {figures}", flush=True)
        report(f"{name}_{{}}_{length}", runs)


if __name__ == "__main__":
    main()
