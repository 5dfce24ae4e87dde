"""Validation loss and seconds a step by optimizer, on the quick start: make bench-optimizers.

All candidates start from the same weights and train on the same batches, a step of each in turn,
with the quick start's cosine schedule and clipping; then each meets the same validation windows.
"""

import argparse
import math
import statistics
import time

import torch

from glm_composer.config import Config
from glm_composer.registry import optimizers
from glm_composer.settings import load
from glm_composer.training.build import build_model
from glm_composer.training.data import evaluation_data, training_data
from glm_composer.training.inputs import check_data

# Name and peak rate in thousandths; beta2 as in the quick start.
CANDIDATES = {
    f"{name}_{rate}": f"{{name: {name}, lr: {rate}.0e-3, beta2: 0.99}}"
    for name in ("adamw", "muon")
    for rate in (2, 4)
}
_WARMUP = 50


def cosine(step: int, steps: int) -> float:
    if step < _WARMUP:
        return step / _WARMUP
    return 0.5 + 0.5 * math.cos(math.pi * (step - _WARMUP) / (steps - _WARMUP))


def compare(names: list[str], seed: int, steps: int, overrides: list[str]) -> None:
    base = [f"seed={seed}", "data.window=512", *overrides]
    config = load(Config, "yamls/quickstart.yaml", base)
    models, steppers = {}, {}
    for name in names:
        each = load(Config, "yamls/quickstart.yaml", [*base, f"optimizer={CANDIDATES[name]}"])
        torch.manual_seed(seed)
        models[name] = build_model(each)
        steppers[name] = optimizers.get(each.optimizer.name)(each.optimizer, models[name])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    batches = iter(training_data(config, check_data(config)).dataloader)
    for number in range(steps):
        batch = next(batches)
        for name, model in models.items():
            start = time.perf_counter()
            for group in steppers[name].param_groups:
                peak = group.setdefault("peak", group["lr"])
                group["lr"] = peak * cosine(number, steps)
            model(batch)["loss"].backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            steppers[name].step()
            steppers[name].zero_grad()
            seconds[name].append(time.perf_counter() - start)
    for name, model in models.items():
        loss, spent = evaluate(model, config), statistics.median(seconds[name])
        print(f"RESULT optimizer.{name}.seed{seed} {loss:.4f} nats {spent:.4f} s/step", flush=True)


@torch.inference_mode()
def evaluate(model: torch.nn.Module, config: Config) -> float:
    model.eval()
    batches = evaluation_data(config, check_data(config)).dataloader
    sums = sum(model(batch)["sums"].double() for batch in batches)
    return float(sums[0, 0] / sums[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--names", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES))
    parser.add_argument("overrides", nargs="*", help="key=value changes to the quick start")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        compare(arguments.names, seed, arguments.steps, arguments.overrides)


if __name__ == "__main__":
    main()
