"""Windows a second of training steps by model, precision and compilation: make bench-train.

One step = forward, loss, backward, clipping and optimizer (the quick start's Muon; AdamW for the
models that are compared with others), without data and Trainer, so that the figure is the model's
own. `rope_base` is the 85M encoder, in small batches since a step is heavy. RESULTs of its own are
its bf16 + compile against its fp32 eager, its share of the device's bf16 matmul peak, and how far
that peak is above fp32's, which is all that bf16 can gain in a product; all in the same rounds.
`deterministic` is fp32 eager as `deterministic: true` has it; cases `everywhere` compute the last
layer where no loss is read, too, and cases `of_states` the first one of hidden states instead of
tokens.
"""

import argparse
import statistics
from collections.abc import Callable
from unittest import mock

import torch
from measure import interleave, result

from glm_composer.config import Config
from glm_composer.registry import optimizers
from glm_composer.sequence import FIRST_BASE, MASK, PAD
from glm_composer.settings import load
from glm_composer.training.allocator import keep_freed_memory
from glm_composer.training.build import build_model
from glm_composer.training.peak import matmul_peak

BASE = "rope_base"
ADAMW = "optimizer={name: adamw}"


def rope(**sizes: int) -> str:
    """A plain encoder; what it leaves out would come from the quick start's model."""
    given = ", ".join(f"{key}: {value}" for key, value in sizes.items())
    return f"model={{name: transformer, {given}, conv_layers: 0, attention: [global]}}"


MODELS = {
    "quickstart": [],
    "bytenet": ["model={name: bytenet, width: 128, layers: 8}"],
    "gpn_bench": ["model={name: bytenet, width: 256, layers: 8}", ADAMW],
    "rope_global": [rope(width=128, layers=4, heads=4, mlp_width=341)],
    BASE: [
        rope(width=768, layers=12, heads=12, mlp_width=2048),
        "global_train_batch_size=4",
        # Muon's own products would be as many as the model's at so small a batch.
        ADAMW,
    ],
}
LENGTH = 512
COMPARED = {"fp32_eager": ("fp32", False), "bf16_compile": ("amp_bf16", True)}


class OfStates(torch.nn.Embedding):
    """Whose hidden states are no matter of the token alone, for all that a network knows."""


def make_step(
    model_overrides: list[str], precision: str, compiled: bool, of_states: bool = False
) -> tuple[Callable[[], None], int, list[float], int]:
    overrides = [*model_overrides, f"precision={precision}", f"compile={compiled}"]
    config = load(Config, "yamls/quickstart.yaml", overrides)
    torch.manual_seed(0)
    model = build_model(config)
    if of_states:
        model.model.embedding.__class__ = OfStates
    optimizer = optimizers.get(config.optimizer.name)(config.optimizer, model)
    shape = (config.global_train_batch_size, LENGTH)
    bases = torch.randint(FIRST_BASE, FIRST_BASE + 4, shape, dtype=torch.uint8)
    selected = torch.rand(shape) < 0.15
    batch = {
        "input_ids": torch.where(selected, MASK, bases),
        "labels": torch.where(selected, bases, PAD),
        "soft_masked": torch.zeros(shape, dtype=torch.bool),
        "loss_weight": selected.float(),
    }
    losses: list[float] = []

    def step() -> None:
        loss = model(batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    return step, shape[0], losses, model.flops_per_batch(batch) // shape[0]


def everywhere(step: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with mock.patch("glm_composer.training.composer_model.asked_places", return_value=None):
            step()

    return run


def deterministic(step: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        torch.use_deterministic_algorithms(True)
        step()
        torch.use_deterministic_algorithms(False)

    return run


def peak() -> None:
    matmul_peak.cache_clear()
    for dtype, found in peaks.items():
        found.append(matmul_peak("cpu", dtype))


peaks: dict[torch.dtype, list[float]] = {torch.bfloat16: [], torch.float32: []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    arguments = parser.parse_args()
    keep_freed_memory()
    for name in arguments.models:
        cases = {
            "fp32_eager": make_step(MODELS[name], "fp32", False),
            "bf16_eager": make_step(MODELS[name], "amp_bf16", False),
            "bf16_compile": make_step(MODELS[name], "amp_bf16", True),
        }
        if name != BASE:
            step, size, own, operations = make_step(MODELS[name], "fp32", False)
            cases["deterministic"] = deterministic(step), size, own, operations
            for case, how in COMPARED.items():
                step, size, own, operations = make_step(MODELS[name], *how)
                cases[f"{case}_everywhere"] = everywhere(step), size, own, operations
                cases[f"{case}_of_states"] = make_step(MODELS[name], *how, of_states=True)
        steps = {case: step for case, (step, *_) in cases.items()} | {"peak": peak}
        for found in peaks.values():
            found.clear()
        seconds = interleave(steps, arguments.rounds, warmup=2)
        del seconds["peak"]
        for case, times in seconds.items():
            result(f"train.{name}.{case}", times, cases[case][1], "windows/s")
        middle = {case: statistics.median(times) for case, times in seconds.items()}
        _, windows, _, flops = cases["bf16_compile"]
        if "deterministic" in middle:
            cost = middle["deterministic"] / middle["fp32_eager"]
            print(f"RESULT train.{name}.deterministic_cost {cost:.4g} x")
            for case in COMPARED:
                for more, gain in (("everywhere", "places"), ("of_states", "tokens")):
                    ratio = middle[f"{case}_{more}"] / middle[case]
                    print(f"RESULT train.{name}.{case}_{gain} {ratio:.4g} x")
        rate = windows * flops / middle["bf16_compile"]
        bf16, fp32 = (statistics.median(found) for found in peaks.values())
        ratio, mfu = middle["fp32_eager"] / middle["bf16_compile"], rate / bf16
        if name == BASE:
            print(f"RESULT train.rope_bf16_vs_fp32 {ratio:.4g} x\nRESULT train.mfu {mfu:.4g}")
            print(f"RESULT train.matmul_bf16_vs_fp32 {bf16 / fp32:.4g} x")
        print(f"  {rate / 1e9:.0f} GFLOP/s of {bf16 / 1e9:.0f}: {mfu:.1%} MFU")
        last = {case: losses[-1] for case, (_, _, losses, _) in cases.items()}
        print("  last losses: " + ", ".join(f"{case} {loss:.4f}" for case, loss in last.items()))


if __name__ == "__main__":
    main()
