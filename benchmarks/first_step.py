"""Seconds from a command to the end of the first training step, and where they go.

The quick start, not compiled, with the files in the page cache. A process of its own does what
`glm train` does, says when each phase is over, and ends after one step; `composer FILE` starts the
same one. CPU time tells more than wall time where the machine is shared. Needs data/yeast.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
YAML = Path("yamls/quickstart.yaml")
COMMANDS = {
    "train.first_step_seconds": [sys.executable, __file__],
    "train.first_step_composer_seconds": [shutil.which("composer") or "composer", __file__],
}


def main() -> None:
    for name, command in COMMANDS.items():
        rounds = [measure(command) for _ in range(ROUNDS + 1)][1:]
        wall = statistics.median(each["first step"] for each in rounds)
        cpu = statistics.median(each["cpu"] for each in rounds)
        print(f"RESULT {name} {wall:.4g} s")
        print(f"  CPU time {cpu:.4g} s; phases, each from the end of the one before:")
        before = 0.0
        for phase in list(rounds[0])[:-1]:
            at = statistics.median(each[phase] for each in rounds)
            print(f"  {phase:12} {at - before:6.2f} s")
            before = at


def measure(command: list[str]) -> dict[str, float]:
    """Run a command to its first step; seconds from its start to each phase's end, and CPU."""
    with tempfile.TemporaryDirectory() as scratch:
        marks = Path(scratch) / "marks.json"
        environment = {**os.environ, "FIRST_STEP_MARKS": str(marks)}
        used = cpu_seconds()
        start = time.time()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        found = {phase: at - start for phase, at in json.loads(marks.read_text())}
        return {**found, "cpu": cpu_seconds() - used}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def train_one_step(marks: Path) -> None:
    """What `glm train` does, up to the first step."""
    at: list[tuple[str, float]] = [("start", time.time())]

    def mark(phase: str) -> None:
        at.append((phase, time.time()))

    from glm_composer.config import Config
    from glm_composer.settings import load
    from glm_composer.training.composer_import import import_composer
    from glm_composer.training.inputs import check_data

    config = load(Config, YAML, [f"runs_dir={marks.parent}", "max_duration=1ba"])
    mark("settings")
    check_data(config)
    mark("check data")
    import_composer()
    mark("composer")
    from composer.core import Callback

    import glm_composer.training.run  # noqa: F401
    from glm_composer.training.build import build_trainer

    mark("other imports")
    trainer = build_trainer(config)
    mark("build")

    class End(Callback):
        def batch_end(self, state: object, logger: object) -> None:
            mark("first step")
            marks.write_text(json.dumps(at))
            # Neither a checkpoint nor an evaluation: that is not what is measured.
            os._exit(0)

    trainer.state.callbacks.append(End())
    trainer.fit()


if __name__ == "__main__":
    if "FIRST_STEP_MARKS" in os.environ:
        train_one_step(Path(os.environ["FIRST_STEP_MARKS"]))
    else:
        main()
