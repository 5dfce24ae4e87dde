"""Our training loop, a turn at a time: `our_training.py YAML STEPS`."""

import sys

from composer.core import Callback, State
from composer.loggers import Logger
from turns import Turns

from glm_composer.config import Config
from glm_composer.settings import load
from glm_composer.training.allocator import keep_freed_memory
from glm_composer.training.build import build_trainer


class TakeTurns(Callback):
    def __init__(self, steps: int):
        self.turns = Turns(steps)

    def batch_end(self, state: State, logger: Logger) -> None:
        self.turns.step(float(state.total_loss_dict["loss/train/total"]))


if __name__ == "__main__":
    keep_freed_memory()
    trainer = build_trainer(load(Config, sys.argv[1]))
    trainer.state.callbacks.append(TakeTurns(int(sys.argv[2])))
    trainer.fit()
