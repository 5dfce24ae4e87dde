"""Peak memory of training against what is computed of it, and its growth: make bench-memory.

Two runs of the real Trainer, each in a process of its own: a thousand steps of a small model and
a few of the base encoder. The first one's resident set should stay as it is; what the second one's
is larger by is compared with `training_memory` (weights, gradients, AdamW, activations). Linux
only; needs data/yeast.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from composer.core import Callback, State
from composer.loggers import Logger

from glm_composer.config import Config
from glm_composer.settings import load
from glm_composer.training.allocator import ask_for_huge_pages, keep_freed_memory
from glm_composer.training.build import build_trainer
from glm_composer.training.memory import training_memory

COMMON = [
    "yamls/quickstart.yaml",
    "save_interval=1000000ba",
    "eval_interval=1000000ba",
    "evaluation.tables.coding.interval=1000000ba",
    "loggers.progress_bar=false",
]
# The model of yamls/rope/base.yaml.
BASE = [
    "model={name: transformer, width: 768, layers: 12, heads: 12, mlp_width: 2048, qk_norm: true, "
    "attention: [global, local, local], window: 64, conv_layers: 0}",
    "optimizer={name: adamw}",
    "precision=fp32",
    "max_duration=4ba",
]
SMALL = ["model={name: bytenet, width: 32, layers: 2}"]


class Watch(Callback):
    """Notes the resident set after every batch."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    def batch_end(self, state: State, logger: Logger) -> None:
        self.bytes.append(resident())


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def child(file: str, overrides: list[str]) -> None:
    """Train, and print the resident set after each batch, and at most."""
    config = load(Config, file, overrides)
    keep_freed_memory()
    watch = Watch()
    trainer = build_trainer(config)
    trainer.state.callbacks.append(watch)
    trainer.fit()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print("\nMEMORY " + json.dumps({"after": watch.bytes, "peak": peak}))


def measure(settings: list[str]) -> dict:
    """Run a child of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--child", *settings, f"runs_dir={scratch}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.rpartition("MEMORY ")[2].splitlines()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4, help="windows of the base encoder's step")
    parser.add_argument("--steps", type=int, default=1000, help="of the small model")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], arguments.child[1:])
        return

    sizes = [
        f"{key}={arguments.batch}"
        for key in (
            "global_train_batch_size",
            "device_train_microbatch_size",
            "device_eval_batch_size",
            "data.eval_windows",
        )
    ]
    # Of the children, as `glm train` has it.
    ask_for_huge_pages()
    small = [*COMMON, *SMALL, f"max_duration={arguments.steps}ba", "run_name=small"]
    run = measure(small)
    after = run["after"]
    config = load(Config, small[0], small[1:])
    # What a run takes without a model: libraries, data, metrics.
    without = run["peak"] - training_memory(config, config.global_train_batch_size, 512).total
    marks = range(len(after) // 5 - 1, len(after), len(after) // 5)
    print("small model, resident set after steps:")
    for step in marks:
        print(f"  {step + 1:5} {after[step] / 1e6:9.1f} MB")
    growth = after[-1] - after[marks[0]]
    print(f"RESULT train.memory_growth {growth / 1e6:.4g} MB from step {marks[0] + 1} to the last")

    base = [*COMMON, *BASE, *sizes, "run_name=base"]
    computed = training_memory(load(Config, base[0], base[1:]), arguments.batch, 512)
    taken = measure(base)["peak"] - without
    print(f"base encoder, fp32, {arguments.batch} x 512, computed:")
    for part in ("weights", "gradients", "optimizer", "activations", "total"):
        print(f"  {part:12} {getattr(computed, part) / 1e9:6.3f} GB")
    print(f"  a run takes {without / 1e9:.3f} GB without a model, and {taken / 1e9:.3f} GB for it")
    print(f"RESULT train.memory_vs_computed {taken / computed.total:.4g} x")


if __name__ == "__main__":
    main()
