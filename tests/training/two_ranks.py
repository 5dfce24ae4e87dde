"""Runs several tiny runs one after the other on the ranks it is started on: RUNS.json TINY.yaml.

RUNS.json is a list of [name, [KEY=VALUE, ...]]; each leaves `gradient.pt`, the whole gradient of
its first step, in its directory. Many runs a start, since starting ranks takes most of the time.
"""

import json
import sys

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist
from torch.distributed.tensor import DTensor

from glm_composer.config import Config
from glm_composer.settings import load
from glm_composer.training.build import build_trainer


class KeepGradient(Callback):
    """Keeps the gradient of the first step."""

    def __init__(self) -> None:
        self.found: dict[str, torch.Tensor] = {}

    def after_train_batch(self, state: State, logger: Logger) -> None:
        if not self.found:
            for name, parameter in state.model.named_parameters():
                whole = parameter.grad
                whole = whole.full_tensor() if isinstance(whole, DTensor) else whole.clone()
                self.found[name.removeprefix("module.")] = whole


def fit(config: Config) -> dict[str, torch.Tensor]:
    """Train; the gradient of the first step."""
    trainer = build_trainer(config)
    keep = KeepGradient()
    trainer.state.callbacks.append(keep)
    trainer.fit()
    trainer.close()
    return keep.found


def main() -> None:
    file, tiny = sys.argv[1:]
    with open(file) as lines:
        runs = json.load(lines)
    for name, overrides in runs:
        config = load(Config, tiny, [*overrides, f"run_name={name}"])
        gradient = fit(config)
        if dist.get_global_rank() == 0:
            torch.save(gradient, config.run_dir / "gradient.pt")


if __name__ == "__main__":
    main()
