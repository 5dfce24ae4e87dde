"""Kills a training run at random moments and starts it again each time: TINY.yaml OVERRIDES...

Composer is imported once and every start is a fork, since importing takes most of the time. The
last line is JSON: how each start ended, what it left in the folder of checkpoints, and how many
steps were logged by then.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from glm_composer.config import Config
from glm_composer.settings import load
from glm_composer.training.build import build_trainer
from glm_composer.training.checkpoint_folder import ASIDE, LATEST, list_checkpoints
from glm_composer.training.checkpoint_manifest import manifest_path
from glm_composer.training.record import write_record

KILLS = 10
PATIENCE_S = 120
# Of a save; a kill comes right before one of them.
EVENTS = ("open", "os.rename", "os.remove", "os.symlink", "os.rmdir")


def fit(config: Config) -> None:
    trainer = build_trainer(config)
    write_record(config, 0)
    trainer.fit()
    trainer.close()


def start(config: Config, dies_at: int | None = None) -> int:
    """Train in a fork, which may kill itself right before its n-th touch of a checkpoint."""
    process = os.fork()
    if process:
        return process
    try:
        if dies_at is not None:
            die_at(config.run_dir / "checkpoints", dies_at)
        fit(config)
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def die_at(folder: Path, touch: int) -> None:
    left = [touch]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and str(folder) in str(arguments[0]):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def steps(config: Config) -> int:
    file = config.run_dir / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def kill_later(config: Config, process: int, more: int, delay: float, saving: bool) -> None:
    """Kill a start after so many more steps: at any moment, or while a checkpoint is written."""
    wanted, end = steps(config) + more, time.monotonic() + PATIENCE_S
    aside = config.run_dir / "checkpoints" / ASIDE
    while time.monotonic() < end and steps(config) < wanted:
        time.sleep(0.001)
    while saving and time.monotonic() < end and not any(aside.glob("*")):
        pass
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)


def left_behind(config: Config) -> list[str]:
    """What of an unfinished save lies in the folder."""
    folder = config.run_dir / "checkpoints"
    found = [f"{ASIDE}/{path.suffix}" for path in (folder / ASIDE).glob("*")]
    checkpoints = list_checkpoints(folder)
    found += ["no manifest" for path in checkpoints if not manifest_path(path).exists()]
    if checkpoints and (folder / LATEST).resolve() != checkpoints[-1].resolve():
        found.append("old link")
    return sorted(found)


def main() -> None:
    tiny, *overrides = sys.argv[1:]
    whole = load(Config, tiny, [*overrides, "run_name=whole"])
    assert os.waitpid(start(whole), 0)[1] == 0
    config = load(Config, tiny, [*overrides, "run_name=killed"])
    dice = random.Random(0)
    ends = []
    for kill in range(KILLS):
        itself = kill % 2 == 0
        process = start(config, dice.randint(1, 60) if itself else None)
        if not itself:
            delay = dice.uniform(0, 0.01)
            kill_later(config, process, dice.randint(1, 3), delay, saving=kill % 4 == 1)
        signal_number = os.waitpid(process, 0)[1]
        left = left_behind(config)
        ends.append({"signal": signal_number, "left": left, "steps": steps(config)})
    last = os.waitpid(start(config), 0)[1]
    print(json.dumps({"kills": ends, "last": last}))


if __name__ == "__main__":
    main()
