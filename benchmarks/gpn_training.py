"""gpn's own training loop, a turn at a time: `gpn_training.py PROFILE STEPS`, in gpn's Python."""

import functools
import sys
from pathlib import Path
from typing import Any

from gpn.ss import train
from transformers import TrainerCallback
from turns import Turns


class TakeTurns(TrainerCallback):
    def __init__(self, steps: int):
        self.turns = Turns(steps)

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # With logging_steps = 1 after every step, before the next batch is fetched.
        if logs and "loss" in logs:
            self.turns.step(float(logs["loss"]))


if __name__ == "__main__":
    callback = TakeTurns(int(sys.argv[2]))
    train.Trainer = functools.partial(train.Trainer, callbacks=[callback])
    train.main(Path(sys.argv[1]))
