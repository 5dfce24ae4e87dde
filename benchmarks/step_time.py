"""Windows a second of training steps by model, precision and compilation: make bench-train.

One step = forward, loss, backward, clipping and AdamW on the quick start's batch, without data and
Trainer, so that the figure is the model's own.
"""

import argparse

import torch
from measure import interleave, result

from glm_composer.config import Config
from glm_composer.registry import optimizers
from glm_composer.sequence import FIRST_BASE, MASK, PAD
from glm_composer.settings import load
from glm_composer.training.build import build_model

MODELS = {
    "quickstart": [],
    "bytenet": ["model={name: bytenet, width: 128, layers: 8}"],
    "rope_global": ["model={name: transformer, width: 128, layers: 4, heads: 4, mlp_width: 341}"],
}


def make_step(model_overrides: list[str], precision: str, compiled: bool):
    overrides = [*model_overrides, f"precision={precision}", f"compile={compiled}"]
    config = load(Config, "yamls/quickstart.yaml", overrides)
    torch.manual_seed(0)
    model = build_model(config)
    optimizer = optimizers.get(config.optimizer.name)(config.optimizer, model)
    shape = (config.global_train_batch_size, 512)
    bases = torch.randint(FIRST_BASE, FIRST_BASE + 4, shape, dtype=torch.uint8)
    selected = torch.rand(shape) < 0.15
    batch = {
        "input_ids": torch.where(selected, MASK, bases),
        "labels": torch.where(selected, bases, PAD),
        "soft_masked": torch.zeros(shape, dtype=torch.bool),
        "loss_weight": selected.float(),
    }
    losses = []

    def step() -> None:
        loss = model(batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    return step, shape[0], losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    arguments = parser.parse_args()
    for name in arguments.models:
        cases = {
            "fp32_eager": make_step(MODELS[name], "fp32", False),
            "bf16_eager": make_step(MODELS[name], "amp_bf16", False),
            "bf16_compile": make_step(MODELS[name], "amp_bf16", True),
        }
        steps = {case: step for case, (step, _, _) in cases.items()}
        seconds = interleave(steps, arguments.rounds, warmup=2)
        for case, times in seconds.items():
            result(f"train.{name}.{case}", times, cases[case][1], "windows/s")
        last = {case: losses[-1] for case, (_, _, losses) in cases.items()}
        print("  last losses: " + ", ".join(f"{case} {loss:.4f}" for case, loss in last.items()))


if __name__ == "__main__":
    main()
